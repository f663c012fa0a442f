//! Watching over a device that may be lost, as a pure state machine: what happened and the time go in, what is to be
//! done comes out.
//!
//! It tells within a second that a device gives nothing, tries to open it again after waits that grow up to a bound,
//! and at once when a person asks for it. It lives as long as the source that it watches over: while the streamer is
//! away there is none, and nothing is opened.

use std::time::Duration;

use mujian_media::time::Now;

/// A device that gives nothing for so long is told of, although it is still open.
pub const SILENT: Duration = Duration::from_millis(800);
/// How long a device must have given something before the waits are short again.
pub const STEADY: Duration = Duration::from_secs(5);
/// The wait before the first attempt. Each following one is twice as long,
pub const SHORTEST: Duration = Duration::from_millis(250);
/// up to this.
pub const LONGEST: Duration = Duration::from_secs(4);

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The device gave something.
    Gave,
    /// The device that was open is closed, or could not be opened.
    Ended,
    /// A person wants it now.
    Press,
    /// Nothing but time.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    /// Tell that it is lost: it is open and gives nothing.
    Silent,
    /// Tell that it is lost, and why it ended.
    Lost,
    /// Tell that it is there again.
    Back,
    /// Open it. It is closed.
    Open,
    /// End what hangs, if that can be; then it has ended.
    Cancel,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Open, or being opened: since when it gives something, and when it did last.
    Open { gave: Option<(Now, Now)> },
    /// Closed.
    Waiting { until: Now },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Works,
    Silent,
    Lost,
}

/// The machine. It begins with the device being opened.
#[derive(Clone, Debug)]
pub struct Watchman {
    phase: Phase,
    told: Told,
    /// Attempts since it last worked for good.
    failures: u32,
    /// Somebody asked while something hung.
    pressed: bool,
}

impl Default for Watchman {
    fn default() -> Self {
        Self { phase: Phase::Open { gave: None }, told: Told::Works, failures: 0, pressed: false }
    }
}

impl Watchman {
    /// When [`Input::Tick`] is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self.phase {
            Phase::Open { gave: Some((_, last)) } if self.told == Told::Works => Some(last.plus(SILENT)),
            Phase::Open { .. } => None,
            Phase::Waiting { until } => Some(until),
        }
    }

    /// It was told that it is lost.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.told != Told::Works
    }

    /// Takes what happened at `now` and says what is to be done, in this order.
    pub fn handle(&mut self, input: Input, now: Now) -> Vec<Do> {
        match (self.phase, input) {
            (Phase::Open { gave }, Input::Gave) => {
                let first = gave.map_or(now, |(first, _)| first);
                self.phase = Phase::Open { gave: Some((first, now)) };
                if now.since(first) >= STEADY {
                    self.failures = 0;
                }
                let was = std::mem::replace(&mut self.told, Told::Works);
                if was == Told::Works { Vec::new() } else { vec![Do::Back] }
            }
            (Phase::Open { .. }, Input::Ended) if std::mem::take(&mut self.pressed) => self.open(),
            (Phase::Open { .. }, Input::Ended) => {
                self.phase = Phase::Waiting { until: now.plus(wait(self.failures)) };
                self.failures = self.failures.saturating_add(1);
                let was = std::mem::replace(&mut self.told, Told::Lost);
                if was == Told::Lost { Vec::new() } else { vec![Do::Lost] }
            }
            (Phase::Open { .. }, Input::Press) if self.is_lost() && !self.pressed => {
                self.pressed = true;
                self.failures = 0;
                vec![Do::Cancel]
            }
            (Phase::Open { gave: Some((_, last)) }, Input::Tick)
                if self.told == Told::Works && last.plus(SILENT) <= now =>
            {
                self.told = Told::Silent;
                // What comes now and then does not work for good.
                self.phase = Phase::Open { gave: None };
                vec![Do::Silent]
            }
            (Phase::Waiting { .. }, Input::Press) => {
                self.failures = 0;
                self.open()
            }
            (Phase::Waiting { until }, Input::Tick) if until <= now => self.open(),
            _ => Vec::new(),
        }
    }

    fn open(&mut self) -> Vec<Do> {
        self.phase = Phase::Open { gave: None };
        vec![Do::Open]
    }
}

fn wait(failures: u32) -> Duration {
    SHORTEST.saturating_mul(1 << failures.min(8)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    fn working() -> Watchman {
        let mut watchman = Watchman::default();
        assert_eq!(watchman.handle(Input::Gave, at(0)), []);
        watchman
    }

    #[test]
    fn a_device_that_gives_nothing_is_told_of_within_a_second() {
        let mut watchman = working();
        assert!(SILENT < Duration::from_secs(1));
        assert_eq!(watchman.deadline(), Some(at(800)));
        assert_eq!(watchman.handle(Input::Tick, at(799)), []);
        assert_eq!(watchman.handle(Input::Tick, at(800)), [Do::Silent]);
        assert_eq!(watchman.deadline(), None, "once");
        // It was only held up.
        assert_eq!(watchman.handle(Input::Gave, at(900)), [Do::Back]);
        // It ends after all, and the better reason is told.
        watchman.handle(Input::Tick, at(1700));
        assert_eq!(watchman.handle(Input::Ended, at(5000)), [Do::Lost]);
    }

    #[test]
    fn a_device_that_ended_is_opened_again_after_waits_that_grow() {
        let mut watchman = working();
        let (mut now, mut waits) = (at(10_000), Vec::new());
        assert_eq!(watchman.handle(Input::Ended, now), [Do::Lost]);
        for _ in 0..7 {
            let due = watchman.deadline().unwrap();
            waits.push(due.since(now).as_millis());
            now = due;
            assert_eq!(watchman.handle(Input::Tick, now), [Do::Open]);
            assert_eq!(watchman.handle(Input::Ended, now), [], "told already");
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 4000, 4000]);
        // It gives a picture and ends again: the waits stay long until it has held for a while.
        watchman.handle(Input::Press, now);
        for _ in 0..2 {
            assert_eq!(watchman.handle(Input::Gave, now), [Do::Back]);
            assert_eq!(watchman.handle(Input::Ended, now), [Do::Lost]);
            now = watchman.deadline().unwrap();
            assert_eq!(watchman.handle(Input::Tick, now), [Do::Open]);
        }
        watchman.handle(Input::Gave, now);
        watchman.handle(Input::Gave, now.plus(STEADY));
        watchman.handle(Input::Ended, now.plus(STEADY));
        assert_eq!(watchman.deadline(), Some(now.plus(STEADY).plus(SHORTEST)));
    }

    #[test]
    fn a_press_opens_it_at_once() {
        let mut watchman = working();
        assert_eq!(watchman.handle(Input::Press, at(1)), [], "it works");
        watchman.handle(Input::Ended, at(2));
        assert_eq!(watchman.handle(Input::Press, at(3)), [Do::Open]);
        assert_eq!(watchman.handle(Input::Press, at(4)), [Do::Cancel], "an attempt that hangs");
        assert_eq!(watchman.handle(Input::Press, at(5)), [], "once");
        assert_eq!(watchman.handle(Input::Ended, at(6)), [Do::Open]);
        assert_eq!(watchman.handle(Input::Gave, at(7)), [Do::Back]);
    }

    fn inputs() -> impl Strategy<Value = Vec<(u8, u64)>> {
        proptest::collection::vec((0u8..4, 0u64..3000), 0..120)
    }

    proptest! {
        /// Whatever a device does: it is never opened while it is open, what is told fits what was told before, what
        /// gives nothing for long is told of, and what ended is opened again within bounds.
        #[test]
        fn what_it_tells_and_opens_fits(steps in inputs()) {
            let mut watchman = Watchman::default();
            let (mut now, mut open, mut lost) = (at(0), true, false);
            let mut gave: Option<Now> = None;
            for (what, ms) in steps {
                // Time goes in steps that miss no deadline, as the loops around it do.
                let end = now.plus(Duration::from_millis(ms));
                let mut todo = Vec::new();
                while let Some(due) = watchman.deadline().filter(|due| *due <= end) {
                    now = now.max(due);
                    todo.push((Input::Tick, watchman.handle(Input::Tick, now)));
                    prop_assert!(watchman.deadline().is_none_or(|next| next > now), "it does not turn in a circle");
                }
                now = end;
                let input = [Input::Gave, Input::Ended, Input::Press, Input::Tick][usize::from(what)];
                // A closed device gives nothing and does not end, except when it was opened a moment ago.
                let opened = open || todo.iter().any(|(_, t)| t.contains(&Do::Open));
                if opened || !matches!(input, Input::Gave | Input::Ended) {
                    todo.push((input, watchman.handle(input, now)));
                }
                for (input, todo) in todo {
                    if input == Input::Gave { gave = Some(now); }
                    if input == Input::Ended { open = false; gave = None; }
                    for action in todo {
                        match action {
                            Do::Open => {
                                prop_assert!(!open, "opened twice");
                                open = true;
                            }
                            Do::Back => {
                                prop_assert!(lost && input == Input::Gave);
                                lost = false;
                            }
                            Do::Silent => {
                                prop_assert!(!lost && open);
                                lost = true;
                            }
                            Do::Lost => {
                                prop_assert!(input == Input::Ended);
                                lost = true;
                            }
                            Do::Cancel => prop_assert!(lost && open && input == Input::Press),
                        }
                    }
                }
                prop_assert_eq!(watchman.is_lost(), lost);
                prop_assert!(open || lost, "what is closed was told of");
                if let Some(last) = gave.filter(|last| now.since(*last) >= SILENT) {
                    prop_assert!(lost, "silent since {last:?} at {now:?}");
                }
                if !open {
                    let due = watchman.deadline().expect("it is tried again");
                    prop_assert!(due > now && due.since(now) <= LONGEST);
                }
            }
        }
    }
}
