//! The one clock of capture.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mujian_media::time::MediaTime;

/// The system's monotonic clock, counted from an origin that is the same for the whole process: a
/// time of it means the same to everybody, whichever was asked.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// The clock.
    #[must_use]
    pub fn new() -> Self {
        Self { origin: crate::clock::origin() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> MediaTime {
        MediaTime::from_duration(self.origin.elapsed())
    }

    /// The moment of the system at a time of this clock.
    #[must_use]
    pub fn instant(&self, at: MediaTime) -> Instant {
        self.origin + at.to_duration()
    }

    /// The time of this clock when the wall clock showed (or will show) so many microseconds since the epoch.
    #[must_use]
    pub fn at_wall(&self, micros: i64) -> MediaTime {
        let ago = wall_micros().saturating_sub(micros);
        self.now().saturating_sub(MediaTime::from_scale(ago, 1_000_000))
    }

    /// How long until a time; zero if it has passed.
    #[must_use]
    pub fn until(&self, at: MediaTime) -> Duration {
        at.saturating_sub(self.now()).to_duration()
    }
}

/// Microseconds of the wall clock since the epoch.
#[must_use]
pub(crate) fn wall_micros() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_and_monotonic_time_meet() {
        let clock = Clock::new();
        let before = clock.now();
        let at = clock.at_wall(wall_micros());
        let after = clock.now();
        // A step of the wall clock in this very moment is not what is tested.
        assert!(at.abs_diff(before) < MediaTime::from_millis(200) && at.abs_diff(after) < MediaTime::from_millis(200));
    }
}
