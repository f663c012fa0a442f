//! Where a broadcast stands, as a pure state machine: inputs and the time go in, actions come out.
//!
//! It is the one owner of the retry: nothing else decides when to connect again.

use std::time::Duration;

use mujian_media::backoff::Backoff;
use mujian_media::time::Now;
use mujian_protocol::studio::Broadcast;
use mujian_protocol::{ApiError, ErrorCode, Problem, WallTime};

use super::absence::{Absence, Do, Moment, Turn};

/// How long the goodbye may take before everything is closed without it.
pub const FAREWELL: Duration = Duration::from_secs(4);
/// How long a connection must hold before the back-off starts from the beginning again.
pub const STEADY: Duration = Duration::from_secs(10);
/// How long a lost connection is tried again before the broadcast fails.
pub const GIVE_UP: Duration = Duration::from_secs(600);
/// The same while the streamer is away: the room waits as long.
pub const GIVE_UP_AWAY: Duration = Duration::from_secs(3600);

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The streamer wants to be on air. `resume`: a broadcast that ran before goes on, so a server
    /// that cannot be reached at first is waited for.
    GoLive {
        /// Go on with what ran before.
        resume: bool,
    },
    /// Capture and encoder run.
    Opened,
    /// The server takes the stream.
    Published,
    /// The connection could not be made, or broke.
    Lost(ApiError),
    /// The server does not want this stream: trying again would not help.
    Refused(ApiError),
    /// The source or the encoder cannot go on.
    SourceFailed(ApiError),
    /// The streamer ends it, or the media file is over.
    End,
    /// The goodbye was said and the connection is closed.
    Gone,
    /// Nothing but time.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open capture and encoder; answer with `Opened` or `SourceFailed`.
    Open,
    /// Make one attempt to publish; answer with `Published`, `Lost` or `Refused`.
    Connect,
    /// Say goodbye after what is queued, then close; answer with `Gone`.
    Farewell,
    /// Drop the connection if there is one, and stop capture for the broadcast. No answer.
    Close,
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Idle,
    Opening { resume: bool },
    Connecting { resume: bool },
    Live { since: WallTime, connected: Now },
    Reconnecting(Reconnecting),
    Ending { deadline: Now },
    Failed { error: ApiError },
}

#[derive(Clone, Debug, PartialEq)]
struct Reconnecting {
    since: WallTime,
    lost_at: WallTime,
    lost: Now,
    attempt: u32,
    error: ApiError,
    /// When to try again; none while an attempt is under way.
    retry_at: Option<Now>,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    backoff: Backoff,
    absence: Absence,
}

impl Default for Machine {
    fn default() -> Self {
        Self { state: State::Idle, backoff: Backoff::default(), absence: Absence::default() }
    }
}

impl Machine {
    /// Where the broadcast stands, as it is shown.
    #[must_use]
    pub fn broadcast(&self) -> Broadcast {
        match &self.state {
            State::Idle => Broadcast::Idle,
            State::Opening { .. } | State::Connecting { .. } => Broadcast::Starting,
            State::Live { since, .. } => Broadcast::Live { since: *since },
            State::Reconnecting(r) => Broadcast::Reconnecting {
                since: r.since,
                lost_at: r.lost_at,
                attempt: r.attempt,
                error: r.error.clone(),
            },
            State::Ending { .. } => Broadcast::Ending,
            State::Failed { error } => Broadcast::Failed { error: error.clone() },
        }
    }

    /// Whether settings of the broadcast must stay as they are.
    #[must_use]
    pub const fn busy(&self) -> bool {
        !matches!(self.state, State::Idle | State::Failed { .. })
    }

    /// When [`Input::Tick`] and [`Turn::Tick`] are due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let own = match &self.state {
            State::Reconnecting(r) => r.retry_at,
            State::Ending { deadline } => Some(*deadline),
            _ => None,
        };
        // Off air nothing is heard of leaving any more.
        let leaves = !self.is_over();
        own.into_iter().chain(self.absence.deadline().filter(|_| leaves)).min()
    }

    const fn is_over(&self) -> bool {
        matches!(self.state, State::Idle | State::Failed { .. } | State::Ending { .. })
    }

    /// Whether the streamer is there.
    #[must_use]
    pub const fn absence(&self) -> &Absence {
        &self.absence
    }

    /// Takes what happened to the streamer's being there, and says what is to be done. Off air there is
    /// nothing to leave.
    pub fn turn(&mut self, turn: Turn, moment: &Moment) -> Vec<Do> {
        if self.is_over() && turn != Turn::Over {
            return Vec::new();
        }
        self.absence.handle(turn, moment)
    }

    /// Takes what happened at `now` (`wall` by the clock on the wall) and says what is to be done.
    ///
    /// `jitter` is a random number from 0 to 1. Inputs that do not fit the state are late
    /// messages of something already closed, and change nothing.
    pub fn handle(&mut self, input: Input, now: Now, wall: WallTime, jitter: f64) -> Option<Action> {
        let (state, action) = self.step(input, now, wall, jitter);
        if let Some(state) = state {
            self.state = state;
        }
        action
    }

    fn step(&mut self, input: Input, now: Now, wall: WallTime, jitter: f64) -> (Option<State>, Option<Action>) {
        match (&self.state, input) {
            (State::Idle | State::Failed { .. }, Input::GoLive { resume }) => {
                self.backoff.reset();
                (Some(State::Opening { resume }), Some(Action::Open))
            }
            (State::Opening { resume }, Input::Opened) => {
                (Some(State::Connecting { resume: *resume }), Some(Action::Connect))
            }
            (State::Connecting { .. }, Input::Published) => (Some(State::Live { since: wall, connected: now }), None),
            (State::Connecting { resume: true }, Input::Lost(error)) => {
                (Some(self.retry(wall, wall, now, error, now, jitter)), None)
            }
            (State::Live { since, connected }, Input::Lost(error)) => {
                let since = *since;
                if now.since(*connected) >= STEADY {
                    self.backoff.reset();
                }
                (Some(self.retry(since, wall, now, error, now, jitter)), None)
            }
            (State::Reconnecting(r), Input::Lost(error)) if r.retry_at.is_none() => {
                let (since, lost_at, lost) = (r.since, r.lost_at, r.lost);
                let patience = if self.absence.is_away() { GIVE_UP_AWAY } else { GIVE_UP };
                if now.since(lost) >= patience {
                    return failed(error);
                }
                (Some(self.retry(since, lost_at, lost, error, now, jitter)), None)
            }
            (State::Reconnecting(r), Input::Published) if r.retry_at.is_none() => {
                (Some(State::Live { since: r.since, connected: now }), None)
            }
            (State::Reconnecting(r), Input::Tick) if r.retry_at.is_some_and(|at| at <= now) => {
                let next = Reconnecting { retry_at: None, attempt: r.attempt.saturating_add(1), ..r.clone() };
                (Some(State::Reconnecting(next)), Some(Action::Connect))
            }
            (State::Connecting { resume: false }, Input::Lost(error))
            | (State::Connecting { .. } | State::Live { .. } | State::Reconnecting(_), Input::Refused(error))
            | (
                State::Opening { .. } | State::Connecting { .. } | State::Live { .. } | State::Reconnecting(_),
                Input::SourceFailed(error),
            ) => failed(error),
            (
                State::Opening { .. } | State::Connecting { .. } | State::Live { .. } | State::Reconnecting(_),
                Input::End,
            ) => (Some(State::Ending { deadline: now.plus(FAREWELL) }), Some(Action::Farewell)),
            (State::Ending { .. }, Input::Gone | Input::Lost(_) | Input::Refused(_) | Input::SourceFailed(_)) => {
                (Some(State::Idle), Some(Action::Close))
            }
            (State::Ending { deadline }, Input::Tick) if *deadline <= now => (Some(State::Idle), Some(Action::Close)),
            _ => (None, None),
        }
    }

    fn retry(
        &mut self,
        since: WallTime,
        lost_at: WallTime,
        lost: Now,
        error: ApiError,
        now: Now,
        jitter: f64,
    ) -> State {
        let attempt = self.backoff.failures();
        let retry_at = Some(now.plus(self.backoff.failed(jitter)));
        State::Reconnecting(Reconnecting { since, lost_at, lost, attempt, error, retry_at })
    }

    /// Whether the stream was given up because of an error, and which.
    #[must_use]
    pub const fn failure(&self) -> Option<&ApiError> {
        match &self.state {
            State::Failed { error } => Some(error),
            _ => None,
        }
    }
}

fn failed(error: ApiError) -> (Option<State>, Option<Action>) {
    (Some(State::Failed { error }), Some(Action::Close))
}

/// The error for a connection that broke.
#[must_use]
pub fn connection_lost(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(ErrorCode::Unreachable, format!("The connection to the server broke ({why})."))
        .about(Problem::ConnectionLost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::LeaveId;
    use proptest::prelude::*;

    fn lost() -> ApiError {
        connection_lost("reset")
    }

    struct Rig {
        machine: Machine,
        now: Now,
    }

    impl Rig {
        fn new() -> Self {
            Self { machine: Machine::default(), now: Now::default() }
        }

        fn input(&mut self, input: Input) -> Option<Action> {
            self.machine.handle(input, self.now, WallTime(7), 0.5)
        }

        fn live() -> Self {
            let mut rig = Self::new();
            assert_eq!(rig.input(Input::GoLive { resume: false }), Some(Action::Open));
            assert_eq!(rig.input(Input::Opened), Some(Action::Connect));
            assert_eq!(rig.input(Input::Published), None);
            rig
        }

        fn at_deadline(&mut self) -> Option<Action> {
            self.now = self.machine.deadline().unwrap();
            self.input(Input::Tick)
        }
    }

    #[test]
    fn goes_live_and_ends() {
        let mut rig = Rig::live();
        assert_eq!(rig.machine.broadcast(), Broadcast::Live { since: WallTime(7) });
        assert_eq!(rig.input(Input::End), Some(Action::Farewell));
        assert_eq!(rig.input(Input::Gone), Some(Action::Close));
        assert_eq!(rig.machine.broadcast(), Broadcast::Idle);
    }

    #[test]
    fn the_first_connection_fails_at_once_unless_it_resumes() {
        let mut rig = Rig::new();
        rig.input(Input::GoLive { resume: false });
        rig.input(Input::Opened);
        assert_eq!(rig.input(Input::Lost(lost())), Some(Action::Close));
        assert!(matches!(rig.machine.broadcast(), Broadcast::Failed { .. }));
        rig.input(Input::GoLive { resume: true });
        rig.input(Input::Opened);
        assert_eq!(rig.input(Input::Lost(lost())), None);
        assert!(matches!(rig.machine.broadcast(), Broadcast::Reconnecting { .. }));
        assert_eq!(rig.at_deadline(), Some(Action::Connect));
    }

    #[test]
    fn a_broken_connection_is_made_again_and_the_clock_goes_on() {
        let mut rig = Rig::live();
        rig.input(Input::Lost(lost()));
        for _ in 0..4 {
            assert_eq!(rig.at_deadline(), Some(Action::Connect));
            rig.input(Input::Lost(lost()));
        }
        assert!(matches!(rig.machine.broadcast(), Broadcast::Reconnecting { attempt: 4, .. }));
        rig.at_deadline();
        rig.input(Input::Published);
        assert_eq!(rig.machine.broadcast(), Broadcast::Live { since: WallTime(7) });
    }

    #[test]
    fn a_wrong_key_is_final() {
        let mut rig = Rig::live();
        rig.input(Input::Lost(lost()));
        rig.at_deadline();
        let refused = ApiError::new(ErrorCode::WrongStreamKey, "no");
        assert_eq!(rig.input(Input::Refused(refused.clone())), Some(Action::Close));
        assert_eq!(rig.machine.failure(), Some(&refused));
        assert_eq!(rig.machine.deadline(), None);
    }

    #[test]
    fn gives_up_in_the_end() {
        let mut rig = Rig::live();
        rig.input(Input::Lost(lost()));
        let start = rig.now;
        while rig.machine.busy() {
            assert_eq!(rig.at_deadline(), Some(Action::Connect));
            rig.input(Input::Lost(lost()));
            assert!(rig.now.since(start) < GIVE_UP * 2);
        }
        assert!(rig.now.since(start) >= GIVE_UP);
    }

    #[test]
    fn off_air_there_is_nothing_to_leave_and_the_end_forgets_the_stay() {
        let moment = Moment { now: Now::default(), wall: WallTime(1), fresh: LeaveId::new(), self_view: false };
        let leave = || Turn::Leave { id: LeaveId::new(), keep_sound: false, resumed: None };
        let mut rig = Rig::new();
        assert_eq!(rig.machine.turn(leave(), &moment), []);
        let mut rig = Rig::live();
        assert!(!rig.machine.turn(leave(), &moment).is_empty() && rig.machine.absence().is_away());
        rig.input(Input::End);
        assert_eq!(rig.machine.turn(Turn::Back, &moment), [], "it is ending");
        assert_eq!(rig.machine.deadline(), Some(rig.now.plus(FAREWELL)), "only the goodbye is waited for");
        assert_eq!(rig.input(Input::Gone), Some(Action::Close));
        rig.machine.turn(Turn::Over, &moment);
        assert!(!rig.machine.absence().is_away());
    }

    #[test]
    fn while_away_the_connection_is_tried_for_as_long_as_the_room_waits() {
        let mut rig = Rig::live();
        let moment = Moment { now: Now::default(), wall: WallTime(1), fresh: LeaveId::new(), self_view: false };
        rig.machine.turn(Turn::Leave { id: LeaveId::new(), keep_sound: false, resumed: None }, &moment);
        rig.machine.turn(Turn::Closed, &moment);
        rig.input(Input::Lost(lost()));
        let start = rig.now;
        while rig.machine.busy() {
            assert_eq!(rig.at_deadline(), Some(Action::Connect));
            rig.input(Input::Lost(lost()));
        }
        assert!(rig.now.since(start) >= GIVE_UP_AWAY);
    }

    fn any_input() -> impl Strategy<Value = Input> {
        prop_oneof![
            any::<bool>().prop_map(|resume| Input::GoLive { resume }),
            Just(Input::Opened),
            Just(Input::Published),
            Just(Input::Lost(lost())),
            Just(Input::Refused(ApiError::new(ErrorCode::WrongStreamKey, "no"))),
            Just(Input::SourceFailed(ApiError::new(ErrorCode::Device, "gone"))),
            Just(Input::End),
            Just(Input::Gone),
            Just(Input::Tick),
        ]
    }

    proptest! {
        /// Whatever happens in whatever order: at most one attempt at a time, nothing is opened
        /// twice without being closed, and an end that is asked for comes in bounded time.
        #[test]
        fn any_sequence_keeps_the_rules(steps in proptest::collection::vec((any_input(), 0u64..9000, 0.0f64..1.0), 0..200)) {
            let mut machine = Machine::default();
            let mut now = Now::default();
            let (mut open, mut attempt) = (false, false);
            for (input, ms, jitter) in steps {
                now = now.plus(Duration::from_millis(ms));
                let answers = matches!(input, Input::Published | Input::Lost(_) | Input::Refused(_));
                // Answers come only to attempts and connections that exist.
                if answers && !attempt { continue; }
                if input == Input::Published && matches!(machine.broadcast(), Broadcast::Live { .. }) { continue; }
                let ended = matches!(input, Input::Lost(_) | Input::Refused(_));
                let action = machine.handle(input, now, WallTime(0), jitter);
                if ended { attempt = false; }
                match action {
                    Some(Action::Open) => { prop_assert!(!open); open = true; }
                    Some(Action::Connect) => { prop_assert!(open); prop_assert!(!attempt); attempt = true; }
                    Some(Action::Farewell) => prop_assert!(open),
                    Some(Action::Close) => { prop_assert!(open); open = false; attempt = false; }
                    None => {}
                }
                prop_assert_eq!(open, machine.busy());
            }
            machine.handle(Input::End, now, WallTime(0), 0.0);
            machine.handle(Input::Tick, now.plus(FAREWELL), WallTime(0), 0.0);
            prop_assert!(!machine.busy());
        }
    }
}
