//! One `moof` and `mdat`.

use std::time::Duration;

use bytes::Bytes;

use super::boxes::Boxes;
use super::{AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK};
use crate::frame::{AudioFrame, VideoFrame};
use crate::time::MediaTime;

/// A picture and how long it is shown.
#[derive(Clone, Copy, Debug)]
pub struct VideoSample<'a> {
    /// The picture.
    pub frame: &'a VideoFrame,
    /// Until the next picture is decoded.
    pub duration: MediaTime,
}

/// What goes out at once: usually a picture with its sound, or sound alone.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Counts up from 1 along a stream.
    pub sequence: u32,
    /// When the server made the fragment, since 1970 UTC: written as producer reference time (`prft`).
    pub wall: Option<Duration>,
    /// The picture, if there is one.
    pub video: Option<VideoSample<'a>>,
    /// Sound without holes between the frames. The first one's time counts.
    pub audio: &'a [AudioFrame],
    /// Samples a second of the sound.
    pub sample_rate: u32,
}

pub(super) const DEFAULT_BASE_IS_MOOF: u32 = 0x02_0000;
const TFHD_DURATION: u32 = 0x08;
const TFHD_FLAGS: u32 = 0x20;
pub(super) const TRUN_DATA_OFFSET: u32 = 0x001;
pub(super) const TRUN_DURATION: u32 = 0x100;
pub(super) const TRUN_SIZE: u32 = 0x200;
pub(super) const TRUN_FLAGS: u32 = 0x400;
pub(super) const TRUN_COMPOSITION: u32 = 0x800;
/// Depends on nothing: decoding can start here.
pub(super) const SAMPLE_SYNC: u32 = 0x0200_0000;
/// Depends on others, and is no sync sample.
pub(super) const SAMPLE_DEPENDS: u32 = 0x0101_0000;
/// Seconds from 1900, where NTP counts from, to 1970.
const NTP_OFFSET: u64 = 2_208_988_800;

impl Fragment<'_> {
    /// The bytes of the fragment. Times before zero are written as zero.
    #[must_use]
    pub fn write(&self) -> Bytes {
        let video_size = self.video.map_or(0, |v| v.frame.data.len());
        let audio_size: usize = self.audio.iter().map(|a| a.data.len()).sum();
        let mut b = Boxes::with_capacity(256 + 4 * self.audio.len() + video_size + audio_size);
        let video: Option<&[VideoSample<'_>]> = self.video.as_ref().map(std::slice::from_ref);
        producer_time(&mut b, self.wall, video.unwrap_or_default(), self.audio, self.sample_rate);
        let moof = b.out.len();
        // Where the data offsets stand, to be filled in when the size of the moof is known.
        let (mut video_offset, mut audio_offset) = (None, None);
        b.plain(b"moof", |b| {
            b.full(b"mfhd", 0, 0, |b| b.u32(self.sequence));
            if let Some(video) = self.video {
                b.plain(b"traf", |b| video_offset = Some(video_track(b, video)));
            }
            if !self.audio.is_empty() {
                b.plain(b"traf", |b| audio_offset = Some(audio_track(b, self.audio, self.sample_rate)));
            }
        });
        let data = b.out.len() + 8 - moof;
        for (place, offset) in [(video_offset, data), (audio_offset, data + video_size)] {
            if let Some(place) = place {
                b.out[place..place + 4].copy_from_slice(&(offset as u32).to_be_bytes());
            }
        }
        b.plain(b"mdat", |b| {
            if let Some(video) = self.video {
                b.slice(&video.frame.data);
            }
            for frame in self.audio {
                b.slice(&frame.data);
            }
        });
        b.out.freeze()
    }
}

/// ISO/IEC 14496-12, 8.16.5.
pub(super) fn producer_time(
    b: &mut Boxes,
    wall: Option<Duration>,
    video: &[VideoSample<'_>],
    audio: &[AudioFrame],
    sample_rate: u32,
) {
    const WHEN_FINALISED: u32 = 2;
    let Some(wall) = wall else { return };
    let (track, media) = match (video.first(), audio.first()) {
        (Some(video), _) => (VIDEO_TRACK, units(video.frame.dts, VIDEO_TIMESCALE)),
        (None, Some(audio)) => (AUDIO_TRACK, units(audio.pts, sample_rate)),
        (None, None) => return,
    };
    let seconds = wall.as_secs().wrapping_add(NTP_OFFSET) << 32;
    let fraction = (u64::from(wall.subsec_nanos()) << 32) / 1_000_000_000;
    b.full(b"prft", 1, WHEN_FINALISED, |b| {
        b.u32(track);
        b.u64(seconds | fraction);
        b.u64(media);
    });
}

pub(super) fn units(time: MediaTime, scale: u32) -> u64 {
    u64::try_from(time.to_scale(scale)).unwrap_or(0)
}

/// Gives the place of the data offset.
fn video_track(b: &mut Boxes, VideoSample { frame, duration }: VideoSample<'_>) -> usize {
    let dts = units(frame.dts, VIDEO_TIMESCALE);
    // From rounded end to rounded start, so that rounding never adds up to a hole.
    let end = units(frame.dts.saturating_add(duration), VIDEO_TIMESCALE);
    let duration = u32::try_from(end.saturating_sub(dts)).unwrap_or(u32::MAX).max(1);
    let composition = i64::try_from(units(frame.pts, VIDEO_TIMESCALE)).unwrap_or(i64::MAX) - dts as i64;
    let composition = composition.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    track_header(b, VIDEO_TRACK, DEFAULT_BASE_IS_MOOF, dts, |_| {});
    let mut place = 0;
    b.full(b"trun", 1, TRUN_DATA_OFFSET | TRUN_DURATION | TRUN_SIZE | TRUN_FLAGS | TRUN_COMPOSITION, |b| {
        b.u32(1);
        place = b.out.len();
        b.u32(0);
        b.u32(duration);
        b.u32(frame.data.len() as u32);
        b.u32(if frame.key { SAMPLE_SYNC } else { SAMPLE_DEPENDS });
        b.u32(composition as u32);
    });
    place
}

/// Gives the place of the data offset.
pub(super) fn audio_track(b: &mut Boxes, frames: &[AudioFrame], sample_rate: u32) -> usize {
    const SAMPLES: u32 = 1024;
    let start = frames.first().map_or(0, |frame| units(frame.pts, sample_rate));
    let flags = DEFAULT_BASE_IS_MOOF | TFHD_DURATION | TFHD_FLAGS;
    track_header(b, AUDIO_TRACK, flags, start, |b| {
        b.u32(SAMPLES);
        b.u32(SAMPLE_SYNC);
    });
    let mut place = 0;
    b.full(b"trun", 0, TRUN_DATA_OFFSET | TRUN_SIZE, |b| {
        b.u32(frames.len() as u32);
        place = b.out.len();
        b.u32(0);
        for frame in frames {
            b.u32(frame.data.len() as u32);
        }
    });
    place
}

pub(super) fn track_header(b: &mut Boxes, track: u32, flags: u32, start: u64, defaults: impl FnOnce(&mut Boxes)) {
    b.full(b"tfhd", 0, flags, |b| {
        b.u32(track);
        defaults(b);
    });
    b.full(b"tfdt", 1, 0, |b| b.u64(start));
}
