//! The sound's own grid: frames of exactly 1024 samples, one after the other, without a hole.
//!
//! What a publisher sends carries RTMP's milliseconds and its clock's drift. Each frame takes the next
//! slot of the grid; where it is off by more than [`RESYNC`], a silent frame is put before it or it is
//! left out, so that sound and picture stay together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mujian_media::aac;
use mujian_media::frame::{AudioConfig, AudioFrame};
use mujian_media::time::{MediaTime, Now};

/// How far a frame may be from its slot.
pub(super) const RESYNC: MediaTime = MediaTime::from_millis(15);
/// Longest hole before a frame that is closed with silence at once.
const HOLE_MAX: MediaTime = MediaTime::from_millis(3000);
/// Sound is waited for at least this long before silence takes its place.
const PATIENCE_MIN: Duration = Duration::from_millis(200);
/// And at most this long, however late a publisher's sound usually is.
const PATIENCE_MAX: Duration = Duration::from_millis(1000);
/// What is waited beyond the lateness that was seen.
const PATIENCE_MARGIN: Duration = Duration::from_millis(60);

/// The sound track of a programme.
#[derive(Debug)]
pub(super) struct Grid {
    config: Arc<AudioConfig>,
    silence: Bytes,
    /// Where slot 0 begins.
    base: MediaTime,
    /// The slot after the last that went out.
    sent: i64,
    /// Slots filled but not sent, and when each was filled.
    pending: VecDeque<(AudioFrame, Now)>,
    lateness: Duration,
}

impl Grid {
    /// A grid that begins at `base`.
    pub(super) fn new(config: Arc<AudioConfig>, base: MediaTime) -> Self {
        let silence = aac::silent_frame(config.channels);
        Self { config, silence, base, sent: 0, pending: VecDeque::new(), lateness: Duration::ZERO }
    }

    pub(super) fn config(&self) -> &Arc<AudioConfig> {
        &self.config
    }

    /// Goes on with another configuration from the end of what was sent. What waits is thrown away.
    pub(super) fn reconfigure(&mut self, config: Arc<AudioConfig>) {
        *self = Self { lateness: self.lateness, ..Self::new(config, self.slot(self.sent)) };
    }

    fn slot(&self, n: i64) -> MediaTime {
        self.base.saturating_add(MediaTime::from_scale(n.saturating_mul(1024), self.config.sample_rate))
    }

    fn next(&self) -> i64 {
        self.sent + self.pending.len() as i64
    }

    /// Where the next frame will stand.
    pub(super) fn end(&self) -> MediaTime {
        self.slot(self.next())
    }

    fn put(&mut self, data: Bytes, now: Now) {
        let pts = self.end();
        self.pending.push_back((AudioFrame { pts, data }, now));
    }

    /// Puts the publisher's sound, which belongs at `at`, into its slot. False if it came too late.
    pub(super) fn live(&mut self, data: Bytes, at: MediaTime, edge: MediaTime, now: Now) -> bool {
        self.note_lateness(edge.saturating_sub(at).to_duration());
        let early = at.saturating_sub(self.end());
        if early < MediaTime::ZERO.saturating_sub(RESYNC) || early > HOLE_MAX {
            return false;
        }
        if early > RESYNC {
            let half = MediaTime::from_flicks(self.config.frame_duration().flicks() / 2);
            while at.saturating_sub(self.end()) > half {
                self.put(self.silence.clone(), now);
            }
        }
        self.put(data, now);
        true
    }

    /// Rises at once, falls slowly: 1 in 512 with every frame, about ten seconds for half of it.
    fn note_lateness(&mut self, late: Duration) {
        self.lateness = if late > self.lateness { late.min(PATIENCE_MAX) } else { self.lateness - self.lateness / 512 };
    }

    /// How long to wait for the publisher's sound, beside a picture that is so late: where that is, it is the road that
    /// is slow, and the sound is on it.
    pub(super) fn patience(&self, picture: Duration) -> MediaTime {
        let late = self.lateness.max(picture).saturating_add(PATIENCE_MARGIN);
        MediaTime::from_duration(late.clamp(PATIENCE_MIN, PATIENCE_MAX))
    }

    /// Fills with silence until the slots reach `until`.
    pub(super) fn silence(&mut self, until: MediaTime, now: Now) {
        self.fill(until, now, |_| None);
    }

    /// Fills with what `sound` gives for the time of each slot, or silence, until the slots reach `until`.
    pub(super) fn fill(&mut self, until: MediaTime, now: Now, sound: impl Fn(MediaTime) -> Option<Bytes>) {
        while self.end() < until {
            let data = sound(self.end()).unwrap_or_else(|| self.silence.clone());
            self.put(data, now);
        }
    }

    /// Takes what begins before `until`.
    pub(super) fn take(&mut self, until: MediaTime) -> Vec<AudioFrame> {
        let n = self.pending.partition_point(|(f, _)| f.pts < until);
        self.sent += n as i64;
        self.pending.drain(..n).map(|(f, _)| f).collect()
    }

    /// Throws away what has not gone out.
    pub(super) fn discard(&mut self) {
        self.pending.clear();
    }

    /// Since when the oldest frame waits.
    pub(super) fn waiting_since(&self) -> Option<Now> {
        self.pending.front().map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grid(rate: u32) -> Grid {
        Grid::new(Arc::new(aac::make_asc(rate, 2)), MediaTime::ZERO)
    }

    /// Sound at `ppm` off, in whole milliseconds, for `frames` frames: the largest distance of a frame
    /// from where it belongs, and how many frames went out.
    fn worst(rate: u32, ppm: i64, frames: i64) -> (MediaTime, i64) {
        let (mut g, mut worst, mut out) = (grid(rate), MediaTime::ZERO, 0);
        for i in 0..frames {
            let exact = MediaTime::from_scale(i * 1024, rate).flicks();
            let at = MediaTime::from_millis(MediaTime::from_flicks(exact + exact / 1_000_000 * ppm).millis());
            g.live(Bytes::from_static(b"x"), at, at, Now::default());
            for f in g.take(MediaTime::MAX) {
                if f.data == b"x".as_slice() {
                    worst = worst.max(f.pts.abs_diff(at));
                }
                assert_eq!(f.pts, MediaTime::from_scale(out * 1024, rate));
                out += 1;
            }
        }
        (worst, out)
    }

    #[test]
    fn drift_and_rounding_never_part_sound_from_picture() {
        for rate in [44_100, 48_000] {
            for ppm in [-1000, -200, 0, 200, 1000] {
                let (worst, out) = worst(rate, ppm, 20_000);
                assert!(worst <= RESYNC, "{rate} {ppm}: {worst:?}");
                assert!((out - 20_000 - 20_000 * ppm / 1_000_000).abs() <= 1, "{out}");
            }
        }
        let (worst, out) = worst(44_100, 0, 20_000);
        assert!(worst < MediaTime::from_millis(1) && out == 20_000, "without drift nothing is put in or left out");
    }

    #[test]
    fn a_hole_becomes_silence_and_what_is_late_is_left_out() {
        let mut g = grid(48_000);
        assert!(g.live(Bytes::from_static(b"a"), MediaTime::ZERO, MediaTime::ZERO, Now::default()));
        assert!(g.live(Bytes::from_static(b"b"), MediaTime::from_millis(100), MediaTime::ZERO, Now::default()));
        assert_eq!(g.take(MediaTime::MAX).len(), 6);
        assert!(!g.live(Bytes::from_static(b"c"), MediaTime::from_millis(100), MediaTime::ZERO, Now::default()));
        assert!(g.end() > MediaTime::from_millis(127));
    }

    #[test]
    fn sound_is_waited_for_as_long_as_the_picture_beside_it_was_late() {
        let waited = |ms| grid(48_000).patience(Duration::from_millis(ms));
        assert_eq!([waited(0), waited(500), waited(5000)], [200, 560, 1000].map(MediaTime::from_millis));
        assert_eq!(grid(48_000).patience(Duration::MAX), MediaTime::from_millis(1000));
    }

    #[test]
    fn another_rate_goes_on_where_the_last_one_ended() {
        let mut g = grid(48_000);
        g.silence(MediaTime::from_millis(100), Now::default());
        let end = g.take(MediaTime::MAX).last().map(|f| f.pts).unwrap().saturating_add(g.config().frame_duration());
        g.reconfigure(Arc::new(aac::make_asc(44_100, 1)));
        assert_eq!(g.end(), end);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_grid_has_no_hole(
            steps in prop::collection::vec((-5000i64..5000, any::<bool>()), 1..200), fast in any::<bool>(),
        ) {
            let rate = if fast { 48_000 } else { 44_100 };
            let (mut g, mut n) = (grid(rate), 0);
            for (ms, silence) in steps {
                let at = MediaTime::from_millis(ms);
                if silence { g.silence(at, Now::default()) } else { g.live(Bytes::new(), at, at, Now::default()); }
                for f in g.take(at) {
                    prop_assert_eq!(f.pts, MediaTime::from_scale(n * 1024, rate));
                    n += 1;
                }
            }
        }
    }
}
