//! How long a hosted server lives without an app: a pure rule, with the time as an input.

use std::time::Duration;

use mujian_media::time::Now;

/// Until when the server stays.
#[derive(Clone, Copy, Debug)]
pub struct Lease {
    grace: Duration,
    renewed: Now,
}

impl Lease {
    /// A lease that begins now.
    #[must_use]
    pub const fn new(grace: Duration, now: Now) -> Self {
        Self { grace, renewed: now }
    }

    /// The app is there.
    pub fn renew(&mut self, now: Now) {
        self.renewed = self.renewed.max(now);
    }

    /// When it ends if nobody renews it.
    #[must_use]
    pub const fn deadline(&self) -> Now {
        self.renewed.plus(self.grace)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn expired(&self, now: Now) -> bool {
        now >= self.deadline()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// It ends exactly one grace time after the last renewal, whatever the order of arrival.
        #[test]
        fn ends_after_the_last_renewal(grace in 1u64..200, renewals in proptest::collection::vec(0u64..1000, 0..20)) {
            let at = |s| Now::from_origin(Duration::from_secs(s));
            let mut lease = Lease::new(Duration::from_secs(grace), at(0));
            for renewal in &renewals { lease.renew(at(*renewal)); }
            let last = renewals.iter().copied().max().unwrap_or(0);
            prop_assert!(!lease.expired(at(last + grace - 1)));
            prop_assert!(lease.expired(at(last + grace)));
        }
    }
}
