//! How many bits the picture may have, by what the line to the server does: down at once, up slowly.
//!
//! Pure: what was measured and the time go in, a bitrate comes out. What the line carries is known only while
//! something waits for it; while nothing waits, more is tried little by little.

use std::time::Duration;

use mujian_media::time::Now;
use mujian_protocol::studio::{Uplink, UplinkLevel, UplinkWhy};

/// How often the line is judged.
const EVERY: Duration = Duration::from_millis(100);
/// What is later than this waits for the line.
const BUSY: Duration = Duration::from_millis(200);
/// What is not later than this does not.
const CALM: Duration = Duration::from_millis(120);
/// This late, the line is given less than it carries, so that what waits gets through.
const LONG: Duration = Duration::from_millis(700);
/// How long something must wait before the bitrate goes down: a key frame alone takes a moment.
const LOOK: Duration = Duration::from_millis(300);
/// Between two steps down.
const SETTLE: Duration = Duration::from_millis(400);
/// Nothing came through for so long: a stall, of which fewer bits are no cure.
const STALL: Duration = Duration::from_millis(600);
/// A stall of this length is told of.
const STALLED: Duration = Duration::from_millis(1500);
/// What passes is not known for so long while something waits: then it goes down by feel.
const BLIND: Duration = Duration::from_millis(2000);
/// Between two steps up.
const RAISE: Duration = Duration::from_millis(1000);
/// For so long nothing waits before more is tried.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same at most, where trying failed again and again.
const PATIENCE_MAX: Duration = Duration::from_secs(16);
/// A step up was too much if the line was busy within this.
const FAILED: Duration = Duration::from_secs(5);
/// Pictures that were dropped are told of for so long.
const TOLD: Duration = Duration::from_secs(5);
/// What is later than this is told of.
const LATE: Duration = Duration::from_millis(400);
/// Of what the line carries so much is used.
const SHARE: f64 = 0.85;
/// The same while what waits is to get through.
const DRAIN: f64 = 0.7;
/// Down by this where nothing is known.
const FEEL: f64 = 0.7;
/// Up by this.
const STEP: f64 = 1.08;
/// What the protocol adds to what is encoded.
const WRAPPED: f64 = 1.02;
/// The picture has at least so many bits a second: less is none.
pub const LEAST: u32 = 200_000;

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// How long what waits here has waited.
    pub queued: Duration,
    /// How much later bytes come through than the road needs.
    pub transit: Duration,
    /// For how long nothing has come through that was due.
    pub stalled: Duration,
    /// Bits a second that came through lately.
    pub passes: Option<u32>,
    /// How often pictures were dropped because they waited too long.
    pub drops: u64,
    /// No pictures are sent now, so the line does not show whether it would carry more of them.
    pub without: bool,
}

/// The bitrate of one broadcast's picture.
#[derive(Clone, Debug)]
pub struct Rate {
    most: u32,
    sound: u32,
    video: u32,
    load: Load,
    judged: Option<Now>,
    busy: Option<Now>,
    calm: Option<Now>,
    /// Since when it is not calm.
    stirred: Option<Now>,
    lowered: Option<Now>,
    raised: Option<Now>,
    patience: Duration,
    dropped: Option<Now>,
    carries: Option<u32>,
}

impl Rate {
    /// A picture of at most this many bits a second, beside sound of so many.
    #[must_use]
    pub const fn new(most: u32, sound: u32) -> Self {
        Self {
            most,
            sound,
            video: most,
            load: Load {
                queued: Duration::ZERO,
                transit: Duration::ZERO,
                stalled: Duration::ZERO,
                passes: None,
                drops: 0,
                without: false,
            },
            judged: None,
            busy: None,
            calm: None,
            stirred: None,
            lowered: None,
            raised: None,
            patience: PATIENCE,
            dropped: None,
            carries: None,
        }
    }

    /// Bits a second that the picture may have now.
    #[must_use]
    pub const fn video(&self) -> u32 {
        self.video
    }

    /// The picture is another one from now on, of at most so many bits a second: what it may have now. A line that was too
    /// narrow for the one before is not asked for more than it carried.
    pub fn limit(&mut self, most: u32) -> u32 {
        self.video = if self.video == self.most { most } else { self.video.min(most) };
        self.most = most;
        self.video
    }

    /// Judges the line, at most ten times a second. Another bitrate, if there is to be one from now on.
    pub fn judge(&mut self, load: &Load, now: Now) -> Option<u32> {
        if self.judged.is_some_and(|at| now.since(at) < EVERY) {
            return None;
        }
        self.judged = Some(now);
        if load.drops > self.load.drops {
            self.dropped = Some(now);
        }
        self.load = *load;
        let delay = self.delay();
        self.busy = if delay >= BUSY { self.busy.or(Some(now)) } else { None };
        let calm = delay <= CALM && load.stalled < STALL;
        self.stirred = if calm { None } else { self.stirred.or(Some(now)) };
        // A key frame takes a moment.
        if load.without || self.stirred.is_some_and(|since| now.since(since) >= LOOK) {
            self.calm = None;
        } else if calm {
            self.calm = self.calm.or(Some(now));
        }
        let before = self.video;
        if let Some(fewer) = self.fewer(now) {
            // The last try was too much: the next one waits longer.
            let tried = self.raised.is_some_and(|at| now.since(at) < FAILED);
            self.patience = if tried { (self.patience * 2).min(PATIENCE_MAX) } else { PATIENCE };
            (self.video, self.lowered, self.raised) = (fewer, Some(now), None);
        } else if self.may_rise(now) {
            let more = (f64::from(self.video) * STEP) as u32;
            (self.video, self.raised) = (more.clamp(LEAST.min(self.most), self.most), Some(now));
        }
        (self.video != before).then_some(self.video)
    }

    /// The connection is another one: nothing is known of its line.
    pub fn reconnected(&mut self) {
        (self.busy, self.calm, self.stirred) = (None, None, None);
        self.load = Load { drops: self.load.drops, ..Load::default() };
    }

    fn delay(&self) -> Duration {
        self.load.queued + self.load.transit
    }

    fn fewer(&mut self, now: Now) -> Option<u32> {
        let waited = now.since(self.busy?);
        let settled = self.lowered.is_none_or(|at| now.since(at) >= SETTLE);
        if waited < LOOK || !settled || self.load.stalled >= STALL {
            return None;
        }
        let long = self.delay() >= LONG;
        let least = LEAST.min(self.most);
        let video = match self.load.passes {
            Some(passes) => {
                let (passes, needs) = (f64::from(passes), f64::from(self.video + self.sound) * WRAPPED);
                // What waits is a burst and drains by itself.
                if passes >= needs && !long {
                    return None;
                }
                self.carries = Some(passes as u32);
                let share = if long { DRAIN } else { SHARE };
                (passes * share / WRAPPED - f64::from(self.sound)).max(0.0) as u32
            }
            None if waited >= BLIND => (f64::from(self.video) * FEEL) as u32,
            None => return None,
        };
        let video = video.clamp(least, self.most);
        (video < self.video).then_some(video)
    }

    fn may_rise(&self, now: Now) -> bool {
        self.video < self.most
            && self.stirred.is_none()
            && self.calm.is_some_and(|since| now.since(since) >= self.patience)
            && self.raised.is_none_or(|at| now.since(at) >= RAISE)
            && self.lowered.is_none_or(|at| now.since(at) >= self.patience)
    }

    /// How the line does, for a person.
    #[must_use]
    pub fn report(&self, now: Now) -> Uplink {
        let reduced = f64::from(self.video) < f64::from(self.most) * 0.85;
        let why = if self.load.stalled >= STALLED {
            Some(UplinkWhy::Stalled)
        } else if self.dropped.is_some_and(|at| now.since(at) < TOLD) {
            Some(UplinkWhy::Dropping)
        } else if reduced {
            Some(UplinkWhy::Narrow)
        } else if self.delay() >= LATE {
            Some(UplinkWhy::Late)
        } else {
            None
        };
        let level = match why {
            None => UplinkLevel::Good,
            Some(UplinkWhy::Narrow | UplinkWhy::Late) => UplinkLevel::Weak,
            Some(UplinkWhy::Dropping | UplinkWhy::Stalled) => UplinkLevel::Bad,
        };
        Uplink {
            level,
            why,
            video_kbps: self.video / 1000,
            carries_kbps: self.carries.filter(|_| reduced).map(|bits| bits / 1000),
            behind_ms: u32::try_from(self.delay().as_millis()).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod simulated;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What is judged every tenth of a second from `from` on; the bitrates that came of it.
    fn run(rate: &mut Rate, from: u64, until: u64, load: Load) -> Vec<u32> {
        (from..until).step_by(100).filter_map(|t| rate.judge(&load, at(t))).collect()
    }

    #[test]
    fn another_picture_has_another_limit() {
        let mut rate = Rate::new(2_500_000, 160_000);
        assert_eq!(rate.limit(6_000_000), 6_000_000);
        assert_eq!(rate.limit(1_500_000), 1_500_000);
        let full = Load { queued: ms(300), passes: Some(600_000), ..Load::default() };
        let narrow = run(&mut rate, 0, 500, full)[0];
        assert_eq!(rate.limit(6_000_000), narrow, "the line is as narrow as before");
        assert_eq!(rate.report(at(500)).why, Some(UplinkWhy::Narrow));
        assert_eq!(rate.limit(100_000), 100_000);
    }

    #[test]
    fn it_goes_down_at_once_and_up_slowly() {
        let mut rate = Rate::new(2_500_000, 160_000);
        let full = Load { queued: ms(300), passes: Some(600_000), ..Load::default() };
        let down = run(&mut rate, 0, 500, full);
        assert_eq!(down.len(), 1, "{down:?}");
        assert!((330_000..=350_000).contains(&down[0]), "{down:?}");
        assert_eq!(rate.report(at(500)).why, Some(UplinkWhy::Narrow));
        assert_eq!(rate.report(at(500)).carries_kbps, Some(600));
        let up = run(&mut rate, 500, 60_000, Load::default());
        assert!(up.windows(2).all(|w| w[1] > w[0] && f64::from(w[1]) < f64::from(w[0]) * 1.1), "{up:?}");
        assert_eq!((up.last(), rate.report(at(60_000)).level), (Some(&2_500_000), UplinkLevel::Good));
        assert!(up.len() > 20, "not faster than a step a second");
    }

    #[test]
    fn a_key_frame_that_takes_a_moment_changes_nothing() {
        let mut rate = Rate::new(2_500_000, 160_000);
        let burst = Load { queued: ms(400), passes: Some(2_900_000), ..Load::default() };
        for second in 0..10 {
            assert!(run(&mut rate, second * 1000, second * 1000 + 500, burst).is_empty());
            assert!(run(&mut rate, second * 1000 + 500, second * 1000 + 1000, Load::default()).is_empty());
        }
        assert_eq!(rate.report(at(10_000)).level, UplinkLevel::Good);
    }

    #[test]
    fn a_stall_is_told_of_and_does_not_cost_the_bitrate() {
        let mut rate = Rate::new(2_500_000, 160_000);
        for t in (0..3000).step_by(100) {
            let load =
                Load { queued: ms(t), stalled: ms(t), passes: Some(2_600_000 - 800 * t as u32), ..Load::default() };
            rate.judge(&load, at(t));
        }
        assert_eq!(rate.report(at(3000)).why, Some(UplinkWhy::Stalled));
        assert!(rate.video() > 1_500_000, "{}", rate.video());
    }

    #[test]
    fn what_failed_is_tried_again_less_often() {
        let mut rate = Rate::new(2_500_000, 160_000);
        // The least that a picture has passes, and one step more does not.
        let full = Load { queued: ms(300), passes: Some(380_000), ..Load::default() };
        let mut now = 0;
        let mut tries = Vec::new();
        for _ in 0..6 {
            run(&mut rate, now, now + 1000, full);
            now += 1000;
            let began = now;
            while rate.judge(&Load::default(), at(now)).is_none() {
                now += 100;
            }
            tries.push(now - began);
        }
        assert!(tries.windows(2).all(|w| w[1] >= w[0]), "{tries:?}");
        assert!(tries[0] <= 2100 && tries[5] >= 15_000 && tries[5] <= 17_000, "{tries:?}");
    }

    #[test]
    fn while_no_pictures_are_sent_nothing_more_is_tried() {
        let mut rate = Rate::new(2_500_000, 160_000);
        run(&mut rate, 0, 500, Load { queued: ms(300), passes: Some(600_000), ..Load::default() });
        let low = rate.video();
        let away = Load { passes: Some(160_000), without: true, ..Load::default() };
        assert_eq!(run(&mut rate, 500, 600_000, away), [0; 0]);
        assert_eq!(run(&mut rate, 600_000, 601_900, Load::default()), [0; 0]);
        assert!(run(&mut rate, 601_900, 603_000, Load::default())[0] > low);
    }

    #[test]
    fn dropped_pictures_are_bad_for_a_while() {
        let mut rate = Rate::new(2_500_000, 160_000);
        run(&mut rate, 0, 1000, Load::default());
        run(&mut rate, 1000, 1100, Load { drops: 1, ..Load::default() });
        assert_eq!(rate.report(at(1200)).why, Some(UplinkWhy::Dropping));
        run(&mut rate, 1100, 7000, Load { drops: 1, ..Load::default() });
        assert_eq!(rate.report(at(7000)).level, UplinkLevel::Good);
    }

    proptest! {
        /// Whatever is measured: the bitrate stays between its ends, never rises while something waits, and never by more
        /// than a step; and where nothing waits for long, it is what was chosen.
        #[test]
        fn it_keeps_its_rules(
            most in 100_000u32..8_000_000,
            steps in prop::collection::vec((0u64..3000, 0u64..3000, 0u64..4000, prop::option::of(0u32..20_000_000), 1u64..500), 0..300),
        ) {
            let mut rate = Rate::new(most, 160_000);
            let mut now = 0;
            for (queued, transit, stalled, passes, later) in steps {
                now += later;
                let before = rate.video();
                let load = Load { queued: ms(queued), transit: ms(transit), stalled: ms(stalled), passes, ..Load::default() };
                let told = rate.judge(&load, at(now));
                prop_assert_eq!(told.is_some(), rate.video() != before);
                prop_assert!(rate.video() >= LEAST.min(most) && rate.video() <= most);
                if queued + transit > 120 { prop_assert!(rate.video() <= before); }
                prop_assert!(f64::from(rate.video()) <= f64::from(before) * 1.09);
                let _ = rate.report(at(now));
            }
            run(&mut rate, now + 100, now + 100_000, Load::default());
            prop_assert_eq!(rate.video(), most);
            prop_assert_eq!(rate.report(at(now + 100_000)).level, UplinkLevel::Good);
        }
    }
}
