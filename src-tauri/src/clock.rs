//! The one monotonic clock of this process, for timers.

use std::sync::OnceLock;
use std::time::Instant;

use mujian_media::time::Now;

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// Where it counts from.
#[must_use]
pub fn origin() -> Instant {
    *ORIGIN.get_or_init(Instant::now)
}

/// The moment that it is.
#[must_use]
pub fn now() -> Now {
    Now::from_origin(origin().elapsed())
}

/// The same moment for tokio's timers.
#[must_use]
pub fn deadline(at: Now) -> tokio::time::Instant {
    tokio::time::Instant::now() + at.since(now())
}

/// A random number from 0 to 1, for spreading attempts.
#[must_use]
pub fn jitter() -> f64 {
    rand::random()
}
