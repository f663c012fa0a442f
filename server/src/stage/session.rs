//! One publisher session's clock: where its timestamps stand on the programme's timeline.
//!
//! Sound and picture share one offset, set when the session's first frame goes out. Timestamps that
//! jump (an hour ahead, or back) get a new offset instead of making a hole; the track that jumps
//! second finds the first one's and takes it, so that sound and picture stay together.

use mujian_media::frame::VideoConfig;
use mujian_media::time::{MediaTime, Now};

use super::pace::Pace;

/// A step back of this much is a jump, not a late frame.
const JUMP_BACK: MediaTime = MediaTime::from_millis(1000);
/// A step ahead by this much more than the time that passed, and to this far ahead of the edge, is a
/// jump.
const JUMP_AHEAD: MediaTime = MediaTime::from_millis(250);
const EARLY: MediaTime = MediaTime::from_millis(1000);
/// How near the other track's offset must bring a frame to the edge to be taken.
const NEAR: MediaTime = MediaTime::from_millis(1500);
/// After this long without a frame, a jump lands at the edge rather than behind the last frame.
const PAUSE: MediaTime = MediaTime::from_millis(500);
/// Frame durations that are believed.
const DURATION_MIN: MediaTime = MediaTime::from_millis(4);
const DURATION_MAX: MediaTime = MediaTime::from_millis(250);
/// Steps between pictures that are remembered.
const STEPS: usize = 16;

/// Which track a frame is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Track {
    Video,
    Audio,
}

#[derive(Clone, Copy, Debug, Default)]
struct TrackClock {
    offset: Option<MediaTime>,
    /// Counts the session's offsets: the track whose offset is older takes the newer one over, as
    /// soon as it fits its timestamps.
    generation: u32,
    last: Option<(MediaTime, Now)>,
}

/// The clock of one publisher session.
#[derive(Debug, Default)]
pub(super) struct SessionClock {
    video: TrackClock,
    audio: TrackClock,
}

impl SessionClock {
    /// From now on the publisher's `theirs` is the programme's `ours`, for both tracks.
    pub(super) fn anchor(&mut self, theirs: MediaTime, ours: MediaTime) {
        let offset = Some(ours.saturating_sub(theirs));
        let generation = self.video.generation.max(self.audio.generation) + 1;
        for track in [&mut self.video, &mut self.audio] {
            (track.offset, track.generation) = (offset, generation);
        }
    }

    /// Where a picture belongs by the offset as it stands.
    pub(super) fn place_of(&self, theirs: MediaTime) -> Option<MediaTime> {
        self.video.offset.map(|offset| theirs.saturating_add(offset))
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.video.offset.is_some()
    }

    /// Where a frame belongs. None before the session has an offset.
    pub(super) fn map(
        &mut self,
        track: Track,
        at: MediaTime,
        step: MediaTime,
        pace: &Pace,
        now: Now,
    ) -> Option<MediaTime> {
        let (own, other) = match track {
            Track::Video => (&mut self.video, &self.audio),
            Track::Audio => (&mut self.audio, &self.video),
        };
        let before = own.last.replace((at, now));
        let offset = own.offset?;
        let edge = pace.edge(now);
        if other.generation > own.generation
            && let Some(newer) = other.offset
            && at.saturating_add(newer).abs_diff(edge) < NEAR
        {
            (own.offset, own.generation) = (other.offset, other.generation);
            return Some(at.saturating_add(newer));
        }
        let ours = at.saturating_add(offset);
        let Some((last, last_now)) = before else { return Some(ours) };
        let moved = at.saturating_sub(last);
        let passed = MediaTime::from_duration(now.since(last_now));
        let jumped = moved < MediaTime::ZERO.saturating_sub(JUMP_BACK)
            || (moved.saturating_sub(passed) > JUMP_AHEAD && ours.saturating_sub(edge) > EARLY);
        if !jumped {
            return Some(ours);
        }
        let ours = if passed > PAUSE { edge } else { last.saturating_add(offset).saturating_add(step) };
        own.offset = Some(ours.saturating_sub(at));
        own.generation = own.generation.max(other.generation) + 1;
        Some(ours)
    }
}

/// How long a publisher's pictures stand: what its configuration says, once two pictures have come as near
/// to each other as that; until then, and for those that say nothing, from the steps between them.
///
/// A publisher that leaves most of its pictures out (its computer is too busy) must not move it: the
/// holes would count for steps, and stay.
#[derive(Clone, Debug)]
pub(super) struct Cadence {
    nominal: MediaTime,
    declared: bool,
    confirmed: bool,
    steps: [MediaTime; STEPS],
    seen: usize,
    last: Option<MediaTime>,
}

impl Cadence {
    pub(super) fn new(config: Option<&VideoConfig>) -> Self {
        let declared = config.and_then(|c| c.frame_duration).filter(|d| (DURATION_MIN..=DURATION_MAX).contains(d));
        let nominal = declared.unwrap_or(MediaTime::from_scale(1, 30));
        Self {
            nominal,
            declared: declared.is_some(),
            confirmed: false,
            steps: [MediaTime::ZERO; STEPS],
            seen: 0,
            last: None,
        }
    }

    pub(super) fn picture(&mut self, dts: MediaTime) {
        if let Some(last) = self.last.replace(dts) {
            let step = dts.saturating_sub(last);
            if (DURATION_MIN..=DURATION_MAX).contains(&step) {
                self.confirmed |= self.declared && near(step, self.nominal);
                self.steps[self.seen % STEPS] = step;
                self.seen += 1;
            }
        }
    }

    /// The usual duration. Measured, it is the mean of the steps near the median, so that RTMP's milliseconds
    /// even out.
    pub(super) fn duration(&self) -> MediaTime {
        let n = self.seen.min(STEPS);
        if self.confirmed || n < 4 {
            return self.nominal;
        }
        let mut steps = self.steps;
        let steps = &mut steps[..n];
        steps.sort_unstable();
        let median = steps[n / 2];
        let usual = steps.iter().filter(|s| near(**s, median));
        let (sum, count) = usual.fold((0, 0), |(sum, count), s| (sum + s.flicks(), count + 1));
        MediaTime::from_flicks(sum / count.max(1))
    }
}

/// Within a tenth of it.
fn near(step: MediaTime, of: MediaTime) -> bool {
    step.abs_diff(of).flicks().saturating_mul(10) <= of.flicks()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn t(ms: i64) -> MediaTime {
        MediaTime::from_millis(ms)
    }

    #[test]
    fn both_tracks_jump_together() {
        let pace = Pace::start(MediaTime::ZERO, Now::default());
        for jump in [3_600_000, -3_600_000, 1 << 32] {
            let mut clock = SessionClock::default();
            let base = 10_000_000;
            clock.anchor(t(base), MediaTime::ZERO);
            let step = t(33);
            let mut mapped = Vec::new();
            for i in 0..60i64 {
                let now = Now::from_origin(Duration::from_millis(i as u64 * 33));
                let video = base + i * 33 + if i >= 30 { jump } else { 0 };
                // The sound is 10 ms behind the picture and jumps one frame later.
                let audio = base + i * 33 - 10 + if i >= 31 { jump } else { 0 };
                let v = clock.map(Track::Video, t(video), step, &pace, now).unwrap();
                let a = clock.map(Track::Audio, t(audio), step, &pace, now).unwrap();
                mapped.push((v, a));
            }
            for (i, (v, a)) in mapped.into_iter().enumerate() {
                assert_eq!(v, t(i as i64 * 33), "{i}");
                assert_eq!(v.saturating_sub(a), t(10), "{i}");
            }
        }
    }

    #[test]
    fn pictures_that_are_left_out_do_not_make_a_slower_publisher() {
        let third = MediaTime::from_scale(1, 30);
        let config =
            |duration| VideoConfig { avcc: bytes::Bytes::new(), width: 2, height: 2, frame_duration: Some(duration) };
        let mut c = Cadence::new(Some(&config(third)));
        for ms in [0, 33, 67] {
            c.picture(t(ms));
        }
        for i in 1..200i64 {
            c.picture(t(67 + i * 133));
        }
        assert_eq!(c.duration(), third);
        // One that says 60 and sends 30 is taken at its deeds.
        let mut c = Cadence::new(Some(&config(MediaTime::from_scale(1, 60))));
        for i in 0..200i64 {
            c.picture(t(i * 100 / 3));
        }
        assert!(c.duration().abs_diff(third) < t(1));
    }

    #[test]
    fn the_cadence_evens_out_milliseconds_and_ignores_holes() {
        let mut c = Cadence::new(None);
        for i in 0..100i64 {
            if i % 10 != 9 {
                c.picture(t((i * 1000 + 15) / 30));
            }
        }
        assert!(
            c.duration().abs_diff(MediaTime::from_scale(1, 30)) < MediaTime::from_flicks(MediaTime::PER_SECOND / 5000)
        );
    }
}
