//! The two clocks that the server reads, in one place, so that everything else takes time as an input.

use std::time::Instant;

use mujian_media::time::Now;
use mujian_protocol::WallTime;

/// The monotonic clock of this process and the wall clock of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is this moment.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The time of timers.
    #[must_use]
    pub fn now(&self) -> Now {
        Now::from_origin(self.origin.elapsed())
    }

    /// The time of records.
    #[must_use]
    pub fn wall(&self) -> WallTime {
        WallTime::now()
    }
}
