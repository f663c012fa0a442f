//! When a further address is connected to, let go of, tried again and given up: a pure state machine.

use std::time::Duration;

use mujian_media::backoff::Backoff;
use mujian_media::time::Now;
use mujian_protocol::ApiError;

/// The shortest wait before the next attempt.
pub const SHORTEST: Duration = Duration::from_secs(1);
/// The longest. A platform that closes the connection on a wrong key, without a word, is not asked more often.
pub const LONGEST: Duration = Duration::from_secs(60);
/// An attempt that was live for so long counts as a success: what comes after it is another failure, not the same.
pub const STEADY: Duration = Duration::from_secs(20);

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For the owner.
    pub error: ApiError,
    /// Whether it may help to try again by itself.
    pub again: bool,
}

/// What happens to a further address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Its owner switched it on or off.
    On(bool),
    /// The room is on air, or is no more.
    OnAir(bool),
    /// Its owner gave it another address or key, or wants it tried again now.
    Changed,
    /// The attempt that runs was let in.
    Published,
    /// The attempt that runs failed.
    Failed(Failure),
    /// Time passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Do {
    /// Begin an attempt; one that runs is let go of.
    Connect,
    /// Say goodbye.
    Close,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Switched off.
    Off,
    /// On; the room is not on air.
    Idle,
    /// An attempt runs.
    Connecting,
    /// It was let in.
    Live {
        /// When.
        since: Now,
    },
    /// It failed and is tried again.
    Waiting {
        /// Why.
        error: ApiError,
        /// When.
        until: Now,
    },
    /// It was refused, and trying again would not help.
    Refused {
        /// Why.
        error: ApiError,
    },
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    on: bool,
    on_air: bool,
    backoff: Backoff,
}

impl Machine {
    /// One that is switched off, in a room that is not on air.
    #[must_use]
    pub const fn new() -> Self {
        Self { state: State::Off, on: false, on_air: false, backoff: Backoff::new(SHORTEST, LONGEST) }
    }

    /// How it stands.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// When [`Input::Tick`] is due.
    #[must_use]
    pub const fn deadline(&self) -> Option<Now> {
        match self.state {
            State::Waiting { until, .. } => Some(until),
            _ => None,
        }
    }

    /// Takes what happened. `jitter` is a random number from 0 to 1.
    pub fn take(&mut self, input: Input, now: Now, jitter: f64) -> Option<Do> {
        match input {
            Input::On(on) => {
                self.on = on;
                self.settle()
            }
            Input::OnAir(on_air) => {
                self.on_air = on_air;
                self.settle()
            }
            Input::Changed => {
                self.backoff.reset();
                self.connect_if_wanted()
            }
            Input::Published => {
                if self.state == State::Connecting {
                    self.state = State::Live { since: now };
                }
                None
            }
            Input::Failed(failure) => {
                match self.state {
                    State::Live { since } if now.since(since) >= STEADY => self.backoff.reset(),
                    State::Live { .. } | State::Connecting => {}
                    _ => return None,
                }
                let Failure { error, again } = failure;
                self.state = if again {
                    State::Waiting { error, until: now.plus(self.backoff.failed(jitter)) }
                } else {
                    State::Refused { error }
                };
                None
            }
            Input::Tick => match self.state {
                State::Waiting { until, .. } if now >= until => self.connect_if_wanted(),
                _ => None,
            },
        }
    }

    /// Brings what runs in line with what is wanted.
    fn settle(&mut self) -> Option<Do> {
        if self.on && self.on_air {
            return match self.state {
                State::Off | State::Idle => self.connect_if_wanted(),
                _ => None,
            };
        }
        let ran = matches!(self.state, State::Connecting | State::Live { .. });
        self.state = if self.on { State::Idle } else { State::Off };
        self.backoff.reset();
        ran.then_some(Do::Close)
    }

    fn connect_if_wanted(&mut self) -> Option<Do> {
        let wanted = self.on && self.on_air;
        wanted.then(|| {
            self.state = State::Connecting;
            Do::Connect
        })
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::ErrorCode;
    use proptest::prelude::*;

    fn failure(again: bool) -> Failure {
        Failure { error: ApiError::new(ErrorCode::Unreachable, "why"), again }
    }

    fn at(seconds: u64) -> Now {
        Now::from_origin(Duration::from_secs(seconds))
    }

    fn running() -> Machine {
        let mut m = Machine::new();
        assert_eq!(m.take(Input::On(true), at(0), 1.0), None);
        assert_eq!(*m.state(), State::Idle);
        assert_eq!(m.take(Input::OnAir(true), at(0), 1.0), Some(Do::Connect));
        m
    }

    #[test]
    fn waits_grow_until_it_was_live_for_a_while() {
        let mut m = running();
        let mut waits = Vec::new();
        let mut now = 0;
        for _ in 0..8 {
            m.take(Input::Published, at(now), 1.0);
            m.take(Input::Failed(failure(true)), at(now), 1.0);
            let until = m.deadline().unwrap().since_origin().as_secs();
            waits.push(until - now);
            assert_eq!(m.take(Input::Tick, at(until - 1), 1.0), None);
            assert_eq!(m.take(Input::Tick, at(until), 1.0), Some(Do::Connect));
            now = until;
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
        m.take(Input::Published, at(now), 1.0);
        m.take(Input::Failed(failure(true)), at(now + STEADY.as_secs()), 0.0);
        assert_eq!(m.deadline(), Some(at(now + STEADY.as_secs() + 1)));
    }

    #[test]
    fn what_was_refused_is_tried_again_by_its_owner_or_with_the_next_stream_only() {
        let mut m = running();
        m.take(Input::Failed(failure(false)), at(1), 0.5);
        assert!(matches!(m.state(), State::Refused { .. }));
        for input in [Input::Tick, Input::OnAir(true), Input::On(true), Input::Published, Input::Failed(failure(true))]
        {
            assert_eq!(m.take(input, at(100_000), 0.5), None);
            assert!(matches!(m.state(), State::Refused { .. }));
        }
        assert_eq!(m.clone().take(Input::Changed, at(2), 0.5), Some(Do::Connect));
        assert_eq!(m.take(Input::OnAir(false), at(2), 0.5), None);
        assert_eq!(*m.state(), State::Idle);
        assert_eq!(m.take(Input::OnAir(true), at(3), 0.5), Some(Do::Connect));
    }

    fn inputs() -> impl Strategy<Value = Input> {
        prop_oneof![
            any::<bool>().prop_map(Input::On),
            any::<bool>().prop_map(Input::OnAir),
            Just(Input::Changed),
            Just(Input::Published),
            any::<bool>().prop_map(|again| Input::Failed(failure(again))),
            Just(Input::Tick),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: something runs only while it is wanted, is let go of once, and nobody is
        /// asked again sooner than the shortest wait unless a person wants it.
        #[test]
        fn it_runs_only_while_wanted_and_hammers_nobody(
            steps in proptest::collection::vec((inputs(), 0u64..90, 0.0f64..=1.0), 1..200),
        ) {
            let mut m = Machine::new();
            let (mut on, mut on_air, mut runs, mut now) = (false, false, false, 0);
            let mut failed_at = None;
            for (input, later, jitter) in steps {
                now += later;
                let asked = matches!(input, Input::On(_) | Input::OnAir(_) | Input::Changed);
                match &input {
                    Input::On(b) => on = *b,
                    Input::OnAir(b) => on_air = *b,
                    Input::Failed(_) if runs => {
                        runs = false;
                        failed_at = Some(now);
                    }
                    _ => {}
                }
                match m.take(input, at(now), jitter) {
                    Some(Do::Connect) => {
                        prop_assert!(on && on_air);
                        if let Some(failed) = failed_at.take() {
                            prop_assert!(asked || now - failed >= SHORTEST.as_secs());
                        }
                        runs = true;
                    }
                    Some(Do::Close) => {
                        prop_assert!(runs && !(on && on_air));
                        runs = false;
                    }
                    None => {}
                }
                prop_assert!(!runs || (on && on_air));
                prop_assert_eq!(runs, matches!(m.state(), State::Connecting | State::Live { .. }));
                prop_assert_eq!(!on, *m.state() == State::Off);
                prop_assert_eq!(on && !on_air, *m.state() == State::Idle);
                if let Some(until) = m.deadline() {
                    prop_assert!(until <= at(now).plus(LONGEST));
                }
            }
        }
    }
}
