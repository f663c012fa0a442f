//! Token buckets: a burst at once, then so many an hour. Time is an input.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

use mujian_media::time::Now;
use parking_lot::Mutex;

use crate::config::Rate;

/// Keys that are remembered at most.
const KEYS: usize = 50_000;

/// One bucket for each key.
#[derive(Debug)]
pub struct Limiter<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

/// One bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level: f64,
    at: Now,
}

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(rate: Rate, now: Now) -> Self {
        Self { level: f64::from(rate.burst), at: now }
    }

    /// Takes one.
    ///
    /// # Errors
    /// It is empty; tells how long until it is not.
    pub fn take(&mut self, rate: Rate, now: Now) -> Result<(), Duration> {
        let per_second = f64::from(rate.per_hour) / 3600.0;
        self.level = self.level_at(rate, now);
        self.at = self.at.max(now);
        if self.level >= 1.0 {
            self.level -= 1.0;
            Ok(())
        } else {
            Err(Duration::from_secs_f64((1.0 - self.level) / per_second.max(f64::MIN_POSITIVE)))
        }
    }

    fn level_at(&self, rate: Rate, now: Now) -> f64 {
        let gained = now.since(self.at).as_secs_f64() * f64::from(rate.per_hour) / 3600.0;
        (self.level + gained).min(f64::from(rate.burst))
    }
}

impl<K: Eq + Hash> Limiter<K> {
    /// A limiter for a rate.
    #[must_use]
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one from a key's bucket.
    ///
    /// # Errors
    /// It is empty; tells how long until it is not.
    pub fn take(&self, key: K, now: Now) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock();
        if buckets.len() >= KEYS && !buckets.contains_key(&key) {
            // A full bucket is as good as none.
            let (rate, burst) = (self.rate, f64::from(self.rate.burst));
            buckets.retain(|_, b| b.level_at(rate, now) < burst);
            if buckets.len() >= KEYS {
                // So many at once is an attack from everywhere: the limiter must not be what
                // takes the memory. Those that waited longest are forgotten.
                let mut times: Vec<Now> = buckets.values().map(|b| b.at).collect();
                let (_, median, _) = times.select_nth_unstable(KEYS / 2);
                let median = *median;
                buckets.retain(|_, b| b.at > median);
            }
        }
        buckets.entry(key).or_insert_with(|| Bucket::full(self.rate, now)).take(self.rate, now)
    }
}

/// An address as limits see it: a household of IPv6 has 2^64 addresses, and counts as one.
#[must_use]
pub fn address_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { burst: 3, per_hour: 3600 };

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn a_burst_then_one_a_second() {
        let limiter = Limiter::new(RATE);
        for _ in 0..3 {
            assert_eq!(limiter.take("a", at(0)), Ok(()));
        }
        assert_eq!(limiter.take("a", at(0)), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take("b", at(0)), Ok(()));
        assert_eq!(limiter.take("a", at(1000)), Ok(()));
        assert!(limiter.take("a", at(1500)).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::new(RATE);
        for i in 0..KEYS as u64 * 2 {
            let _ = limiter.take(i, at(i / 100));
        }
        assert!(limiter.buckets.lock().len() <= KEYS);
    }

    #[test]
    fn a_household_is_one() {
        assert_eq!(address_key("2001:db8::1".parse().unwrap()), address_key("2001:db8::ffff".parse().unwrap()));
        assert_ne!(address_key("2001:db8::1".parse().unwrap()), address_key("2001:db8:0:1::1".parse().unwrap()));
        assert_eq!(address_key("::ffff:10.0.0.1".parse().unwrap()), address_key("10.0.0.1".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(steps in prop::collection::vec(0u64..2000, 1..100)) {
            let limiter = Limiter::new(RATE);
            let (mut now, mut taken) = (0u64, 0u64);
            for step in steps {
                now += step;
                taken += u64::from(limiter.take((), at(now)).is_ok());
                prop_assert!(taken <= 3 + now / 1000);
            }
        }
    }
}
