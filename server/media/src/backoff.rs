//! How long to wait before the next attempt: growing, capped, with jitter, so that a server that
//! comes back is not met by everybody in the same moment.

use std::time::Duration;

/// Counts failed attempts and says how long to wait after each.
#[derive(Clone, Debug)]
pub struct Backoff {
    shortest: Duration,
    longest: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// From 0.5 s to 8 s: for what a person waits for.
    fn default() -> Self {
        Self::new(Duration::from_millis(500), Duration::from_secs(8))
    }
}

impl Backoff {
    /// Waits of at least `shortest` and at most `longest`, which is not less.
    #[must_use]
    pub const fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, failures: 0 }
    }

    /// How many attempts failed since the last [`reset`](Self::reset).
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt failed: how long to wait, from the shortest wait to the longest.
    ///
    /// `jitter` is a random number from 0 to 1; what is outside counts as the nearer end.
    pub fn failed(&mut self, jitter: f64) -> Duration {
        let jitter = if jitter.is_nan() { 0.5 } else { jitter.clamp(0.0, 1.0) };
        let doublings = self.failures.min(8);
        self.failures = self.failures.saturating_add(1);
        let ceiling = self.shortest.saturating_mul(2 << doublings).min(self.longest);
        self.shortest + ceiling.saturating_sub(self.shortest).mul_f64(jitter)
    }

    /// An attempt succeeded for good.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn grows_to_the_cap_and_starts_again() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..6).map(|_| backoff.failed(1.0).as_millis()).collect();
        assert_eq!(waits, [1000, 2000, 4000, 8000, 8000, 8000]);
        backoff.reset();
        assert_eq!(backoff.failed(0.0), Duration::from_millis(500));
    }

    proptest! {
        #[test]
        fn stays_in_range(jitters in proptest::collection::vec(any::<f64>(), 1..64)) {
            let mut backoff = Backoff::default();
            for jitter in jitters {
                let wait = backoff.failed(jitter);
                prop_assert!((Duration::from_millis(500)..=Duration::from_secs(8)).contains(&wait));
            }
        }
    }
}
