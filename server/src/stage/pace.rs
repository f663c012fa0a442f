//! The pace: where the programme's timeline should be now.
//!
//! It runs with the server's clock, and is drawn to the publisher's by at most 1 in 100, so that
//! hours of drift do not add up. Frames that come ahead of it carry its edge with them, up to
//! [`LEAD_MAX`]; whoever sends faster than that is slowed down.

use mujian_media::time::{MediaTime, Now};

/// Furthest that the programme runs ahead of the clock. A lead hurts nobody: it only means that the
/// session's first picture was late on its way.
pub(super) const LEAD_MAX: MediaTime = MediaTime::from_millis(3000);
/// Furthest behind that the edge follows a publisher.
const LAG_MAX: MediaTime = MediaTime::from_millis(2000);
/// Drawn to the publisher's clock by at most this part.
const SLEW: i64 = 100;
/// Of how far the edge is ahead of a late frame, this part is given up with every frame.
const RELAX: i64 = 32;

/// The clock of a programme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    base: MediaTime,
    base_now: Now,
    slewed_at: Now,
    lead: MediaTime,
}

impl Pace {
    /// A timeline that stands at `at` now.
    pub(super) fn start(at: MediaTime, now: Now) -> Self {
        Self { base: at, base_now: now, slewed_at: now, lead: MediaTime::ZERO }
    }

    /// Where the server's clock alone would be.
    pub(super) fn clock(&self, now: Now) -> MediaTime {
        self.base.saturating_add(MediaTime::from_duration(now.since(self.base_now)))
    }

    /// Where the output should have come to.
    pub(super) fn edge(&self, now: Now) -> MediaTime {
        self.clock(now).saturating_add(self.lead)
    }

    /// A picture of the publisher went out at its own time.
    pub(super) fn live(&mut self, dts: MediaTime, now: Now) {
        let most = MediaTime::from_duration(now.since(self.slewed_at)).flicks() / SLEW;
        self.slewed_at = now;
        let off = dts.saturating_sub(self.clock(now)).flicks();
        self.base = self.base.saturating_add(MediaTime::from_flicks(off.clamp(-most, most)));
        let ahead = dts.saturating_sub(self.clock(now)).clamp(MediaTime::ZERO.saturating_sub(LAG_MAX), LEAD_MAX);
        if ahead >= self.lead {
            self.lead = ahead;
        } else {
            let give = self.lead.saturating_sub(ahead).flicks() / RELAX;
            self.lead = self.lead.saturating_sub(MediaTime::from_flicks(give));
        }
    }

    /// A picture of a slate went out. Lead and lag belong to a publisher's session: where there is
    /// none any more, they melt away.
    pub(super) fn slate(&mut self, melt: bool, now: Now) {
        self.slewed_at = now;
        if !melt {
            return;
        }
        self.lead = MediaTime::from_flicks(self.lead.flicks() - self.lead.flicks() / RELAX);
    }

    /// The machine slept, or the task was held up: what was missed is not made up for.
    pub(super) fn forgive(&mut self, missed: MediaTime) {
        self.base = self.base.saturating_sub(missed);
    }

    /// When the edge will have come to `at`, if nothing else happens.
    pub(super) fn when(&self, at: MediaTime, now: Now) -> Now {
        now.plus(at.saturating_sub(self.edge(now)).to_duration())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn it_follows_a_publisher_whose_clock_is_a_little_off() {
        for ppm in [-500i64, 500] {
            let mut pace = Pace::start(MediaTime::ZERO, at(0));
            for i in 1..200_000u64 {
                let now = at(i * 33);
                let dts = MediaTime::from_flicks(i as i64 * 33 * 705_600 / 1_000_000 * (1_000_000 + ppm));
                pace.live(dts, now);
                assert!(pace.edge(now).abs_diff(dts) < MediaTime::from_millis(5), "{i}");
                assert!(pace.clock(now).abs_diff(dts) < MediaTime::from_millis(5), "{i}");
            }
        }
    }

    #[test]
    fn a_publisher_that_sends_too_fast_does_not_carry_it_away() {
        let mut pace = Pace::start(MediaTime::ZERO, at(0));
        for i in 1..1000u64 {
            pace.live(MediaTime::from_millis(i as i64 * 33), at(i));
        }
        assert!(pace.edge(at(1000)) <= MediaTime::from_millis(4020));
    }
}
