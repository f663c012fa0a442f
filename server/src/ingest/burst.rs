//! After a stall of the network everything that waited arrives at once: frames too old to be live.
//!
//! This machine stands between a publisher's connection and its stage. Normally items pass
//! straight through. When nothing came for [`STALL`] and then something that is old (its timestamp
//! has not moved on as the clock has), items are held until they come no faster than they were
//! captured, and only those from the newest key frame on are let through. A publisher that merely
//! sends faster than time passes (a file without pacing) is not thrown away: it is slowed down by
//! the stage.

use mujian_media::frame::FeedItem;
use mujian_media::time::{MediaTime, Now};
use std::time::Duration;

/// Silence after which what comes may be old. The stage shows a slate by then.
pub(super) const STALL: Duration = Duration::from_secs(1);
/// How much further a timestamp may lag behind the clock over a stall before it counts as old.
const FRESH: MediaTime = MediaTime::from_millis(500);
/// Span over which the pace is measured.
const WINDOW: Duration = Duration::from_millis(60);
/// Media that may arrive in a window of a stream at its usual pace: twice the window and two frames.
const USUAL: MediaTime = MediaTime::from_millis(190);
/// A burst is waited for no longer than this.
const LONGEST: Duration = Duration::from_secs(5);
/// Most bytes that are held.
const HELD_MAX: usize = 16 << 20;
/// Of a stream without a key frame in its burst, this much sound is kept.
const SOUND: MediaTime = MediaTime::from_millis(200);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Burst {
    newest: Option<MediaTime>,
    /// When items last came, or could last have been read.
    alive: Option<Now>,
    hold: Option<Hold>,
    /// Pictures are left out until a key frame, because some before it were.
    needs_key: bool,
    dropped: u64,
}

#[derive(Debug)]
struct Hold {
    since: Now,
    window: Now,
    window_at: MediaTime,
    items: Vec<FeedItem>,
    bytes: usize,
}

fn time_of(item: &FeedItem) -> Option<(MediaTime, usize)> {
    match item {
        FeedItem::Video(f) => Some((f.dts, f.data.len())),
        FeedItem::Audio(f) => Some((f.pts, f.data.len())),
        _ => None,
    }
}

impl Burst {
    /// Takes an item that was read now; what may pass is appended to `out`.
    pub(super) fn push(&mut self, item: FeedItem, now: Now, out: &mut Vec<FeedItem>) {
        // That the streamer left is never held back. That it is back keeps its place.
        if matches!(item, FeedItem::AwayMark { .. }) {
            out.push(item);
            return;
        }
        let Some((at, size)) = time_of(&item) else {
            self.pass(item, out);
            return;
        };
        if self.hold.is_none() && self.is_old(at, now) {
            self.hold = Some(Hold { since: now, window: now, window_at: at, items: Vec::new(), bytes: 0 });
        }
        self.newest = Some(self.newest.map_or(at, |n| n.max(at)));
        self.alive = Some(now);
        if let Some(hold) = &mut self.hold {
            hold.bytes += size;
        }
        self.pass(item, out);
        if self.hold.as_ref().is_some_and(|h| h.bytes > HELD_MAX) {
            self.trim();
        }
        self.tick(now, out);
    }

    /// The connection was not read for a while, for the stage's sake: no silence of the publisher's.
    pub(super) fn resumed(&mut self, now: Now) {
        if self.alive.is_some() {
            self.alive = Some(now);
        }
    }

    /// When [`Self::tick`] must be called at the latest.
    pub(super) fn deadline(&self) -> Option<Now> {
        self.hold.as_ref().map(|h| h.window.plus(WINDOW))
    }

    /// Lets time pass; what may pass is appended to `out`.
    pub(super) fn tick(&mut self, now: Now, out: &mut Vec<FeedItem>) {
        let newest = self.newest.unwrap_or_default();
        let Some(hold) = &mut self.hold else { return };
        if now.since(hold.window) < WINDOW {
            return;
        }
        let came = newest.saturating_sub(hold.window_at);
        if came > USUAL && now.since(hold.since) < LONGEST {
            (hold.window, hold.window_at) = (now, newest);
            return;
        }
        self.release(out);
    }

    /// Gives out what is held: the publisher said goodbye.
    pub(super) fn release(&mut self, out: &mut Vec<FeedItem>) {
        self.trim();
        if let Some(hold) = self.hold.take() {
            out.extend(hold.items);
        }
    }

    /// Items that were left out because they are old.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn is_old(&self, at: MediaTime, now: Now) -> bool {
        let (Some(newest), Some(alive)) = (self.newest, self.alive) else { return false };
        let silence = now.since(alive);
        let moved = at.saturating_sub(newest);
        silence >= STALL && moved.saturating_add(FRESH) < MediaTime::from_duration(silence)
    }

    fn pass(&mut self, item: FeedItem, out: &mut Vec<FeedItem>) {
        if let FeedItem::Video(f) = &item {
            if self.needs_key && !f.key {
                self.dropped += 1;
                return;
            }
            self.needs_key = false;
        }
        match &mut self.hold {
            Some(hold) => hold.items.push(item),
            None => out.push(item),
        }
    }

    /// Leaves of what is held only what can be shown live.
    fn trim(&mut self) {
        let Some(hold) = &mut self.hold else { return };
        let is_key = |i: &FeedItem| matches!(i, FeedItem::Video(f) if f.key);
        let newest = self.newest.unwrap_or_default();
        let key = hold.items.iter().rposition(is_key);
        let has_video = hold.items.iter().any(|i| matches!(i, FeedItem::Video(_)));
        let before = hold.items.len();
        // The last configurations before the cut still count after it.
        let cut = key.unwrap_or(before);
        let last = |wanted: fn(&FeedItem) -> bool| hold.items[..cut].iter().rposition(wanted);
        let configs =
            [last(|i| matches!(i, FeedItem::VideoConfig(_))), last(|i| matches!(i, FeedItem::AudioConfig(_)))];
        let mut at = 0;
        hold.items.retain(|item| {
            let place = at;
            at += 1;
            match item {
                _ if place >= cut || configs.contains(&Some(place)) || item.is_mark() => true,
                FeedItem::Audio(f) => key.is_none() && f.pts.saturating_add(SOUND) >= newest,
                _ => false,
            }
        });
        if key.is_none() && has_video {
            self.needs_key = true;
        }
        let mut left: usize = hold.items.iter().filter_map(time_of).map(|(_, n)| n).sum();
        if left > HELD_MAX {
            // One group of pictures alone is too much: it is not shown at all.
            hold.items.retain(|i| !matches!(i, FeedItem::Video(_) | FeedItem::Audio(_)));
            self.needs_key = true;
            left = 0;
        }
        hold.bytes = left;
        self.dropped += (before - hold.items.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use mujian_media::aac;
    use mujian_media::frame::{AudioFrame, VideoFrame};
    use mujian_protocol::LeaveId;
    use proptest::prelude::*;

    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    fn video(ms: i64, key: bool) -> FeedItem {
        let t = MediaTime::from_millis(ms);
        FeedItem::Video(VideoFrame { dts: t, pts: t, key, data: Bytes::from_static(&[0; 100]) })
    }

    fn audio(ms: i64) -> FeedItem {
        FeedItem::Audio(AudioFrame { pts: MediaTime::from_millis(ms), data: Bytes::from_static(&[0; 10]) })
    }

    fn config() -> FeedItem {
        FeedItem::AudioConfig(Arc::new(aac::make_asc(48_000, 2)))
    }

    /// Frame `n` of a stream of 25 frames a second with a key frame every 2 s.
    fn frame(n: i64) -> FeedItem {
        video(n * 40, n % 50 == 0)
    }

    /// Runs a live stream to `n`, at its own pace.
    fn live(b: &mut Burst, frames: std::ops::Range<i64>, out: &mut Vec<FeedItem>) {
        for n in frames {
            b.push(frame(n), at(n as u64 * 40), out);
        }
    }

    #[test]
    fn a_stream_at_its_pace_passes_at_once() {
        let (mut b, mut out) = (Burst::default(), Vec::new());
        live(&mut b, 0..500, &mut out);
        assert_eq!((out.len(), b.deadline(), b.dropped()), (500, None, 0));
    }

    #[test]
    fn a_burst_after_a_stall_begins_at_its_newest_key_frame() {
        let (mut b, mut out) = (Burst::default(), Vec::new());
        live(&mut b, 0..75, &mut out);
        out.clear();
        // Ten seconds of silence, then all of them within 50 ms, then the usual pace.
        let back = 75 * 40 + 10_000;
        for n in 75..325 {
            b.push(frame(n), at(back + (n as u64 - 75) / 5), &mut out);
        }
        assert!(out.is_empty(), "held");
        for n in 325..335 {
            b.push(frame(n), at(back + 50 + (n as u64 - 325) * 40), &mut out);
        }
        assert_eq!(out.first(), Some(&frame(300)), "the newest key frame of the burst");
        assert_eq!(out.last(), Some(&frame(334)));
        assert_eq!(out.len(), 35);
        assert_eq!((b.dropped(), b.deadline()), (225, None));
    }

    #[test]
    fn a_pause_of_the_publisher_itself_costs_nothing() {
        let (mut b, mut out) = (Burst::default(), Vec::new());
        live(&mut b, 0..75, &mut out);
        out.clear();
        // Its clock went on: this frame is fresh.
        b.push(video(600_000, true), at(600_000), &mut out);
        assert_eq!(out.len(), 1);
        // Its clock stood still: one window, then all passes.
        let (mut b, mut out) = (Burst::default(), Vec::new());
        live(&mut b, 0..75, &mut out);
        out.clear();
        b.push(video(3000, true), at(600_000), &mut out);
        assert!(out.is_empty());
        b.tick(b.deadline().unwrap(), &mut out);
        assert_eq!(out.len(), 1);
    }

    #[test]
    fn a_file_without_pacing_is_not_thrown_away() {
        let (mut b, mut out) = (Burst::default(), Vec::new());
        for n in 0..2000 {
            b.push(frame(n), at(n as u64), &mut out);
            if n % 100 == 0 {
                // The stage made it wait for three seconds: no silence of the publisher's.
                b.resumed(at(n as u64 + 3000));
            }
        }
        assert_eq!((out.len(), b.dropped()), (2000, 0));
    }

    #[test]
    fn without_a_key_frame_pictures_wait_for_the_next() {
        let (mut b, mut out) = (Burst::default(), Vec::new());
        live(&mut b, 0..10, &mut out);
        out.clear();
        for n in 10..40 {
            b.push(frame(n), at(5000), &mut out);
            b.push(audio(n * 40), at(5000), &mut out);
        }
        b.push(config(), at(5000), &mut out);
        b.tick(at(5060), &mut out);
        b.tick(at(5120), &mut out);
        let pictures = out.iter().filter(|i| matches!(i, FeedItem::Video(_))).count();
        let sound = out.iter().filter(|i| matches!(i, FeedItem::Audio(_))).count();
        assert_eq!((pictures, sound), (0, 6));
        assert!(out.contains(&config()), "a configuration is never lost");
        out.clear();
        b.push(frame(49), at(5130), &mut out);
        assert!(out.is_empty());
        b.push(frame(50), at(5140), &mut out);
        b.push(frame(51), at(5180), &mut out);
        assert_eq!(out, [frame(50), frame(51)]);
    }

    proptest! {
        #[test]
        fn nothing_reorders_and_marks_always_pass(
            steps in prop::collection::vec((0u64..3000, 0i64..3000, 0u8..8), 1..200)
        ) {
            let (mut b, mut out) = (Burst::default(), Vec::new());
            let leave_id: LeaveId = "one".parse().unwrap();
            let (mut now, mut ts, mut backs, mut sent, mut passed) = (0, 0, 0, 0u64, 0);
            let (mut last, mut broken) = (MediaTime::MIN, false);
            for (n, (wait, step, kind)) in steps.into_iter().enumerate() {
                // Mostly small steps, now and then a stall.
                now += if wait < 2700 { wait / 60 } else { wait };
                ts += if step < 2700 { step / 60 } else { step };
                out.clear();
                let item = match kind {
                    0 if n % 2 == 0 => {
                        FeedItem::AwayMark { leave_id: leave_id.clone(), last: MediaTime::from_millis(ts), keep_sound: false }
                    }
                    0 => { backs += 1; FeedItem::BackMark { leave_id: leave_id.clone() } }
                    1 => video(ts, true),
                    2..=5 => video(ts, false),
                    _ => audio(ts),
                };
                sent += u64::from(kind != 0);
                b.push(item, at(now), &mut out);
                let aways = out.iter().filter(|i| matches!(i, FeedItem::AwayMark { .. })).count();
                prop_assert_eq!(aways, usize::from(kind == 0 && n % 2 == 0), "it goes past all that is held");
                backs -= out.iter().filter(|i| matches!(i, FeedItem::BackMark { .. })).count();
                for i in &out {
                    if let Some((t, _)) = time_of(i) {
                        prop_assert!(t >= last);
                        (last, passed) = (t, passed + 1);
                    }
                }
                broken |= b.hold.as_ref().is_some_and(|h| h.bytes > HELD_MAX);
            }
            out.clear();
            b.release(&mut out);
            passed += out.iter().filter(|i| time_of(i).is_some()).count() as u64;
            prop_assert_eq!(backs, out.iter().filter(|i| matches!(i, FeedItem::BackMark { .. })).count());
            prop_assert_eq!(passed + b.dropped(), sent);
            prop_assert!(!broken && b.deadline().is_none());
        }
    }
}
