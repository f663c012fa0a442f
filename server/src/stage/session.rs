//! One publisher session's clock: where its timestamps stand on the programme's timeline.
//!
//! In two steps that never mix. A timestamp becomes a *position* on the session's own timeline, which runs
//! on where the publisher's clock jumps (an hour ahead, or back); this looks at nothing but the stream's
//! own order, so it is the same for frames that were held up. A position becomes a *place* by one offset,
//! which whatever is done about lateness may move. Sound and picture share the offset always, and the
//! correction for jumps but for the moment in which one has jumped and the other has not: nothing parts them.

use mujian_media::frame::VideoConfig;
use mujian_media::time::{MediaTime, Now};

/// A step back of this much is a jump, not a late frame.
const JUMP_BACK: MediaTime = MediaTime::from_millis(1000);
/// A step ahead by this much more than the time that passed, and to this far ahead of the edge, is a
/// jump; or what was lost on the way of a stream that is in time.
const JUMP_AHEAD: MediaTime = MediaTime::from_millis(250);
const EARLY: MediaTime = MediaTime::from_millis(1000);
/// A track without a frame for so long says nothing of its next one, and a jump after it has lasted as long.
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

/// What is added to timestamps since a jump, and the jump's number.
#[derive(Clone, Copy, Debug, Default)]
struct Correction {
    jump: u32,
    by: MediaTime,
}

#[derive(Clone, Copy, Debug, Default)]
struct TrackClock {
    correction: Correction,
    last: Option<(MediaTime, Now)>,
}

/// The clock of one publisher session.
#[derive(Debug, Default)]
pub(super) struct SessionClock {
    offset: Option<MediaTime>,
    newest: Correction,
    /// How far the session has come, and when the last frame of either track came.
    front: Option<(MediaTime, Now)>,
    video: TrackClock,
    audio: TrackClock,
}

impl SessionClock {
    /// From now on this position is the programme's `place`.
    pub(super) fn anchor(&mut self, position: MediaTime, place: MediaTime) {
        self.offset = Some(place.saturating_sub(position));
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.offset.is_some()
    }

    /// Where a position belongs. None before the session has an offset.
    pub(super) fn place(&self, position: MediaTime) -> Option<MediaTime> {
        self.offset.map(|offset| position.saturating_add(offset))
    }

    /// The position of a picture that has not come yet, unless the clock jumps until then.
    pub(super) fn ahead(&self, dts: MediaTime) -> MediaTime {
        dts.saturating_add(self.video.correction.by)
    }

    /// The position of the track's next frame; to be asked for every one, in order. `step` is how long its
    /// frames are, `edge` where the programme is.
    pub(super) fn position(
        &mut self,
        track: Track,
        stamp: MediaTime,
        step: MediaTime,
        edge: Option<MediaTime>,
        now: Now,
    ) -> MediaTime {
        let own = match track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        };
        let (front, at) = *self.front.get_or_insert((stamp, now));
        let passed = MediaTime::from_duration(now.since(at));
        let mut position = stamp.saturating_add(own.correction.by);
        if own.correction.jump < self.newest.jump {
            // The other track has jumped; this one too, if that brings them together.
            let far = |p: MediaTime| p.abs_diff(p.clamp(front, front.saturating_add(passed)));
            let jumped = stamp.saturating_add(self.newest.by);
            if far(jumped) < far(position) {
                (own.correction, position) = (self.newest, jumped);
            }
        }
        let hurried = position.saturating_sub(front).saturating_sub(passed);
        let early = match (self.offset, edge) {
            (Some(offset), Some(edge)) => position.saturating_add(offset).saturating_sub(edge),
            _ => hurried,
        };
        let current = own.last.filter(|(_, at)| MediaTime::from_duration(now.since(*at)) <= PAUSE);
        let last = current.map_or(front, |(last, _)| last);
        if (hurried > JUMP_AHEAD && early > EARLY) || last.saturating_sub(position) > JUMP_BACK {
            position = match current {
                Some((last, _)) => last.saturating_add(step),
                None => front.saturating_add(passed.max(step)),
            };
            self.newest = Correction { jump: self.newest.jump + 1, by: position.saturating_sub(stamp) };
            own.correction = self.newest;
        }
        own.last = Some((position, now));
        self.front = Some((front.max(position), now));
        position
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
        if self.confirmed || n < if self.declared { STEPS } else { 4 } {
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

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    const PICTURE: MediaTime = MediaTime::from_millis(40);
    const SOUND: MediaTime = MediaTime::from_millis(20);

    /// A session that ran for a second, with sound that comes `skew` behind the picture.
    fn running(skew: i64) -> SessionClock {
        let mut clock = SessionClock::default();
        clock.anchor(t(0), t(0));
        for ms in (0..1000).step_by(20) {
            let now = at(ms as u64);
            clock.position(Track::Audio, t(ms - skew), SOUND, Some(t(ms)), now);
            if ms % 40 == 0 {
                clock.position(Track::Video, t(ms), PICTURE, Some(t(ms)), now);
            }
        }
        clock
    }

    #[test]
    fn both_tracks_jump_together() {
        for jump in [3_600_000, -3_600_000, 1 << 32, -5000, -1300] {
            for skew in [0, 10, 300] {
                // In time, and held up for so long that nothing comes near the edge any more.
                for late in [0, 700, 3000, 5000] {
                    let mut clock = running(skew);
                    for ms in (1000..3000).step_by(20) {
                        let now = (1000 + late).max(ms);
                        let (edge, now) = (Some(t(now)), at(now as u64));
                        let theirs = |captured: i64| t(captured + if captured >= 2000 { jump } else { 0 });
                        let sound = clock.position(Track::Audio, theirs(ms - skew), SOUND, edge, now);
                        assert!(sound.abs_diff(t(ms - skew)) <= t(20), "{jump} {skew} {late} {ms}: {sound:?}");
                        if ms % 40 == 0 {
                            let picture = clock.position(Track::Video, theirs(ms), PICTURE, edge, now);
                            assert!(picture.abs_diff(t(ms)) <= t(20), "{jump} {skew} {late} {ms}: {picture:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_track_that_was_not_there_finds_the_others_jump() {
        for jump in [-5000, 3_600_000] {
            let mut clock = running(0);
            for ms in (1000..9000).step_by(20) {
                let stamp = t(ms + if ms >= 4000 { jump } else { 0 });
                clock.position(Track::Audio, stamp, SOUND, Some(t(ms)), at(ms as u64));
            }
            let picture = clock.position(Track::Video, t(9000 + jump), PICTURE, Some(t(9000)), at(9000));
            assert!(picture.abs_diff(t(9000)) <= t(20), "{picture:?}");
        }
    }

    #[test]
    fn a_hole_of_one_track_is_not_a_jump() {
        // A publisher that sends faster than time passes, three seconds of whose sound are missing.
        let mut clock = running(0);
        for ms in (1000..6000).step_by(20) {
            if ms % 40 == 0 {
                assert_eq!(clock.position(Track::Video, t(ms), PICTURE, Some(t(1000)), at(1000)), t(ms));
            }
            if !(1500..4500).contains(&ms) {
                assert_eq!(clock.position(Track::Audio, t(ms), SOUND, Some(t(1000)), at(1000)), t(ms));
            }
        }
    }

    #[test]
    fn after_a_pause_the_time_that_passed_counts() {
        let mut clock = running(0);
        assert_eq!(clock.position(Track::Video, t(-7000), PICTURE, Some(t(4000)), at(4000)), t(4000));
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
