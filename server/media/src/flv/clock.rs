//! 32-bit timestamps that wrap, unrolled.

use crate::time::MediaTime;

/// Unrolls the 32-bit milliseconds of one stream.
///
/// Each timestamp is taken to be the one nearest to the last, so a wrap after 49.7 days goes on
/// and a small step back stays small.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Unroll {
    last: Option<i64>,
}

impl Unroll {
    /// The time of this timestamp, and the new point of reference.
    pub(crate) fn next(&mut self, timestamp: u32) -> MediaTime {
        let ms = self.resolve(timestamp);
        self.last = Some(ms);
        MediaTime::from_millis(ms)
    }

    /// The time of this timestamp, without moving the point of reference.
    #[must_use]
    pub(crate) fn peek(&self, timestamp: u32) -> MediaTime {
        MediaTime::from_millis(self.resolve(timestamp))
    }

    fn resolve(&self, timestamp: u32) -> i64 {
        match self.last {
            None => i64::from(timestamp),
            // The truncation is the arithmetic: a difference modulo 2^32, read as signed.
            Some(last) => last.saturating_add(i64::from(timestamp.wrapping_sub(last as u32) as i32)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_wrap_goes_on() {
        let mut u = Unroll::default();
        assert_eq!(u.next(u32::MAX - 10).millis(), i64::from(u32::MAX) - 10);
        assert_eq!(u.next(5).millis(), i64::from(u32::MAX) + 6);
        assert_eq!(u.peek(u32::MAX).millis(), i64::from(u32::MAX));
        assert_eq!(u.next(u32::MAX).millis(), i64::from(u32::MAX));
    }

    proptest! {
        #[test]
        fn steps_are_kept(start in any::<u32>(), steps in prop::collection::vec(-100_000i32..1_000_000, 1..200)) {
            let mut u = Unroll::default();
            let mut truth = u.next(start).millis();
            for s in steps {
                truth += i64::from(s);
                prop_assert_eq!(u.next(truth as u32).millis(), truth);
            }
        }
    }
}
