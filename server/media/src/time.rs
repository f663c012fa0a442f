//! Media time: when a frame is decoded or shown.
//!
//! Three kinds of time exist in Mujian and do not mix: [`MediaTime`] (of frames, here), wall time
//! (of records, `mujian_protocol::WallTime`) and [`Now`] (of timers, here). None of them is a bare
//! integer, and none converts into another without a stated anchor.

use std::fmt;
use std::time::Duration;

/// A position or a span on a media timeline, in flicks: 1/705,600,000 of a second.
///
/// A flick divides evenly into 1 ms, 1/90,000 s, one sample at 44.1 and at 48 kHz, and one frame
/// at 24, 25, 30, 50 and 60 frames a second, so sums of frame durations do not drift.
/// The range is ± 414 years. Arithmetic is checked or saturating, never wrapping.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MediaTime(i64);

impl MediaTime {
    /// Flicks in a second.
    pub const PER_SECOND: i64 = 705_600_000;
    /// The origin of a timeline, and the empty span.
    pub const ZERO: Self = Self(0);
    /// The latest time there is.
    pub const MAX: Self = Self(i64::MAX);
    /// The earliest time there is.
    pub const MIN: Self = Self(i64::MIN);

    /// A time from a count of flicks.
    #[must_use]
    pub const fn from_flicks(flicks: i64) -> Self {
        Self(flicks)
    }

    /// The count of flicks.
    #[must_use]
    pub const fn flicks(self) -> i64 {
        self.0
    }

    /// A time from milliseconds, saturating.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(Self::PER_SECOND / 1000))
    }

    /// Whole milliseconds, rounded to the nearest.
    #[must_use]
    pub const fn millis(self) -> i64 {
        let unit = Self::PER_SECOND / 1000;
        (self.0.saturating_add(unit / 2)).div_euclid(unit)
    }

    /// A time from a count of units of `1/scale` seconds, rounded to the nearest flick.
    ///
    /// `scale` of 0 counts as 1. Saturates.
    #[must_use]
    pub fn from_scale(value: i64, scale: u32) -> Self {
        let scale = i128::from(scale.max(1));
        let flicks = (i128::from(value) * i128::from(Self::PER_SECOND) + scale / 2).div_euclid(scale);
        Self(clamp(flicks))
    }

    /// The count of units of `1/scale` seconds, rounded to the nearest.
    #[must_use]
    pub fn to_scale(self, scale: u32) -> i64 {
        let per = i128::from(Self::PER_SECOND);
        clamp((i128::from(self.0) * i128::from(scale.max(1)) + per / 2).div_euclid(per))
    }

    /// Seconds, for display and for logs only.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / Self::PER_SECOND as f64
    }

    /// A span from a duration, saturating.
    #[must_use]
    pub fn from_duration(d: Duration) -> Self {
        let flicks = (d.as_nanos().min(u128::from(u64::MAX)) as i128) * i128::from(Self::PER_SECOND) / 1_000_000_000;
        Self(clamp(flicks))
    }

    /// The duration of a span; a negative one is zero.
    #[must_use]
    pub fn to_duration(self) -> Duration {
        let nanos = i128::from(self.0.max(0)) * 1_000_000_000 / i128::from(Self::PER_SECOND);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The sum, or none on overflow.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }

    /// The difference, or none on overflow.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }

    /// The sum, held at the ends of the range.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, held at the ends of the range.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The distance between two times, never negative.
    #[must_use]
    pub const fn abs_diff(self, other: Self) -> Self {
        let d = self.0.saturating_sub(other.0);
        Self(d.saturating_abs())
    }

    /// `count` times this span, saturating.
    #[must_use]
    pub const fn times(self, count: i64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

fn clamp(v: i128) -> i64 {
    v.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

impl fmt::Debug for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}s", self.as_secs_f64())
    }
}

impl fmt::Display for MediaTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}s", self.as_secs_f64())
    }
}

/// A moment of the monotonic clock of this process, since an origin that the process chose once.
///
/// State machines take it as an input; they never read a clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Now(Duration);

impl Now {
    /// A moment this long after the origin.
    #[must_use]
    pub const fn from_origin(since: Duration) -> Self {
        Self(since)
    }

    /// The time since the origin.
    #[must_use]
    pub const fn since_origin(self) -> Duration {
        self.0
    }

    /// The time since an earlier moment; zero if that one is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment this much later, held at the end of the range.
    #[must_use]
    pub const fn plus(self, d: Duration) -> Self {
        Self(self.0.saturating_add(d))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_rates_are_exact() {
        assert_eq!(MediaTime::from_millis(1).flicks(), 705_600);
        for (scale, n) in [(48_000, 1024), (44_100, 1024), (90_000, 3000), (30, 1), (60, 1), (1000, 1)] {
            let t = MediaTime::from_scale(n, scale);
            assert_eq!(t.flicks() * i64::from(scale), n * MediaTime::PER_SECOND);
            assert_eq!(t.to_scale(scale), n);
        }
    }

    #[test]
    fn extremes_saturate() {
        assert_eq!(MediaTime::from_millis(i64::MAX), MediaTime::MAX);
        assert_eq!(MediaTime::MAX.checked_add(MediaTime::from_flicks(1)), None);
        assert_eq!(MediaTime::MIN.saturating_sub(MediaTime::MAX), MediaTime::MIN);
        assert_eq!(MediaTime::from_scale(i64::MIN, 1), MediaTime::MIN);
    }

    #[test]
    fn durations_round_trip() {
        let d = Duration::from_millis(1234);
        assert_eq!(MediaTime::from_duration(d).to_duration(), d);
        assert_eq!(MediaTime::from_millis(-5).to_duration(), Duration::ZERO);
    }
}
