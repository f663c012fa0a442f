//! How far apart a publisher's key frames are. The picture after coming back waits for one, and whoever
//! comes in begins at the last, so the streamer should know when they are far apart.

use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;

/// Further apart than this is pointed out: 4 s, and a little for those who count them at 29.97 a second.
const FAR: MediaTime = MediaTime::from_millis(4100);
/// A longer step between two pictures is a hole: what was left out may have been a key frame.
const HOLE: MediaTime = MediaTime::from_millis(1000);

/// Watches one connection.
#[derive(Debug, Default)]
pub(super) struct KeyFrames {
    last: Option<MediaTime>,
    /// The last key frame, if every picture since then has come.
    key: Option<MediaTime>,
    far: bool,
}

impl KeyFrames {
    /// Sees what the publisher sends. Whether key frames are too far apart, when that changes.
    pub(super) fn see(&mut self, item: &FeedItem) -> Option<bool> {
        let FeedItem::Video(frame) = item else { return None };
        let step = self.last.replace(frame.dts).map_or(MediaTime::ZERO, |last| frame.dts.saturating_sub(last));
        if !(MediaTime::ZERO..=HOLE).contains(&step) {
            self.key = None;
        }
        let apart = self.key.map(|key| frame.dts.saturating_sub(key));
        if frame.key {
            self.key = Some(frame.dts);
        }
        let far = match apart {
            Some(apart) if apart > FAR => true,
            // Only the next key frame tells that it is better.
            Some(_) if frame.key => false,
            _ => self.far,
        };
        (std::mem::replace(&mut self.far, far) != far).then_some(far)
    }

    pub(super) fn are_far(&self) -> bool {
        self.far
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mujian_media::frame::VideoFrame;

    use super::*;

    /// Sends pictures 40 ms apart from `from` to `to`, a key frame every `group`. When something was told, and what.
    fn send(watch: &mut KeyFrames, from: i64, to: i64, group: i64) -> Vec<(i64, bool)> {
        let picture = |ms| {
            let at = MediaTime::from_millis(ms);
            FeedItem::Video(VideoFrame { dts: at, pts: at, key: (ms - from) % group == 0, data: Bytes::new() })
        };
        (from..to).step_by(40).filter_map(|ms| watch.see(&picture(ms)).map(|far| (ms, far))).collect()
    }

    #[test]
    fn far_apart_is_told_once_and_taken_back_when_it_is_mended() {
        let mut watch = KeyFrames::default();
        assert_eq!(send(&mut watch, 0, 20_000, 4000), []);
        assert_eq!(send(&mut watch, 20_000, 50_000, 8000), [(24_120, true)], "before the next one has come");
        assert!(watch.are_far());
        assert_eq!(send(&mut watch, 50_000, 60_000, 2000), [(52_000, false)]);
        assert_eq!(send(&mut watch, 60_000, 90_000, 1_000_000), [(64_120, true)], "nor will it ever");
    }

    #[test]
    fn holes_and_jumps_are_no_long_groups() {
        let mut watch = KeyFrames::default();
        for from in [0, 9000, 60_000, 3_600_000, 1000, 12_000] {
            assert_eq!(send(&mut watch, from, from + 3000, 100_000), [], "{from}");
        }
    }
}
