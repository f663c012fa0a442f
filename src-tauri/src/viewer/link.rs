//! The connection to a room as a state machine: hello, resume, heartbeats, and trying again.

use std::collections::VecDeque;
use std::time::Duration;

use mujian_media::backoff::Backoff;
use mujian_media::time::Now;
use mujian_protocol::ErrorCode;
use mujian_protocol::app::LinkState;
use mujian_protocol::room::{ClientMessage, EventId, ROOM_PROTOCOL, ServerMessage};

/// No `welcome` for this long: the connection is given up.
pub const WELCOME: Duration = Duration::from_secs(10);
/// Nothing at all for this long, with a heartbeat due every 10 s: it is dead.
pub const SILENCE: Duration = Duration::from_secs(25);
/// It stood for this long: the next failure counts as the first again.
const STEADY: Duration = Duration::from_secs(10);

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Do {
    /// Open a socket; answer with [`Link::opened`] or [`Link::closed`].
    Connect,
    /// Send on it.
    Send(ClientMessage),
    /// Close it, without an answer.
    Close,
    /// Hand it on.
    Deliver(Box<ServerMessage>),
    /// Tell that the connection stands otherwise now.
    State(LinkState),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Connecting { since: Now },
    Greeting { since: Now },
    Joined { since: Now, heard: Now },
    Waiting { until: Now },
}

/// The machine.
#[derive(Debug)]
pub struct Link {
    phase: Phase,
    backoff: Backoff,
    last: Option<EventId>,
    watching: bool,
    /// The session has ended: hello without it, until somebody logs in.
    guest: bool,
    todo: VecDeque<Do>,
}

impl Link {
    /// A link that connects at once, for somebody who watches the room or only runs it.
    #[must_use]
    pub fn new(now: Now, watching: bool) -> Self {
        let todo = VecDeque::from([Do::State(LinkState::Connecting), Do::Connect]);
        let phase = Phase::Connecting { since: now };
        Self { phase, backoff: Backoff::default(), last: None, watching, guest: false, todo }
    }

    /// What is to be done next.
    pub fn poll(&mut self) -> Option<Do> {
        self.todo.pop_front()
    }

    /// The server said welcome, and the connection stands.
    #[must_use]
    pub const fn joined(&self) -> bool {
        matches!(self.phase, Phase::Joined { .. })
    }

    /// When [`tick`](Self::tick) is due at the latest.
    #[must_use]
    pub fn deadline(&self) -> Now {
        match self.phase {
            Phase::Connecting { since } | Phase::Greeting { since } => since.plus(WELCOME),
            Phase::Joined { heard, .. } => heard.plus(SILENCE),
            Phase::Waiting { until } => until,
        }
    }

    /// The socket is open. `token` is the session's, as it is now.
    pub fn opened(&mut self, token: Option<String>, now: Now) {
        if matches!(self.phase, Phase::Connecting { .. }) {
            self.phase = Phase::Greeting { since: now };
            self.todo.push_back(Do::Send(ClientMessage::Hello {
                version: ROOM_PROTOCOL,
                token: token.filter(|_| !self.guest),
                after: self.last,
                watching: self.watching,
                overlay: None,
            }));
        }
    }

    /// The server said something.
    pub fn message(&mut self, message: ServerMessage, now: Now) {
        if matches!(&message, ServerMessage::Refused { error, .. } if error.code == ErrorCode::Unauthenticated) {
            // Else the same token would be refused, and that be told, again and again.
            self.guest = true;
        }
        match (&mut self.phase, &message) {
            (Phase::Greeting { .. }, ServerMessage::Welcome { last, .. }) => {
                self.last = Some(*last);
                self.phase = Phase::Joined { since: now, heard: now };
                // First, so that whoever reacts to the welcome can already send.
                self.todo.push_back(Do::State(LinkState::Joined));
                self.todo.push_back(Do::Deliver(Box::new(message)));
            }
            // Before the welcome only a refusal makes sense.
            (Phase::Greeting { .. }, ServerMessage::Refused { .. }) => {
                self.todo.push_back(Do::Deliver(Box::new(message)))
            }
            (Phase::Joined { heard, .. }, _) => {
                *heard = now;
                if let ServerMessage::Event { event } = &message {
                    if self.last.is_some_and(|last| event.id <= last) {
                        return;
                    }
                    self.last = Some(event.id);
                }
                // A second welcome would make the window forget what it has.
                if !matches!(message, ServerMessage::Heartbeat { .. } | ServerMessage::Welcome { .. }) {
                    self.todo.push_back(Do::Deliver(Box::new(message)));
                }
            }
            _ => {}
        }
    }

    /// The socket is closed, or could not be opened.
    pub fn closed(&mut self, now: Now, jitter: f64) {
        match self.phase {
            Phase::Waiting { .. } => return,
            Phase::Joined { since, .. } if now.since(since) >= STEADY => self.backoff.reset(),
            _ => {}
        }
        self.phase = Phase::Waiting { until: now.plus(self.backoff.failed(jitter)) };
        self.todo.push_back(Do::State(LinkState::Lost));
    }

    /// Says hello again, as whoever is logged in now.
    pub fn renew(&mut self, now: Now) {
        self.guest = false;
        if !matches!(self.phase, Phase::Waiting { .. }) {
            self.todo.push_back(Do::Close);
        }
        self.connect(now);
    }

    /// Time went on.
    pub fn tick(&mut self, now: Now, jitter: f64) {
        if now < self.deadline() {
            return;
        }
        if matches!(self.phase, Phase::Waiting { .. }) {
            self.connect(now);
        } else {
            self.todo.push_back(Do::Close);
            self.closed(now, jitter);
        }
    }

    fn connect(&mut self, now: Now) {
        self.phase = Phase::Connecting { since: now };
        self.todo.push_back(Do::State(LinkState::Connecting));
        self.todo.push_back(Do::Connect);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::api::{Person, RoomView};
    use mujian_protocol::room::{RoomEvent, RoomEventBody, Stage};
    use mujian_protocol::{AccountId, ApiError, WallTime};
    use proptest::prelude::*;

    fn id(number: u64) -> EventId {
        EventId { epoch: 1, number }
    }

    fn welcome(last: u64) -> ServerMessage {
        let room = RoomView {
            id: "demo".parse().unwrap(),
            title: String::new(),
            category: String::new(),
            tags: Vec::new(),
            owner: Person { id: AccountId::new(), name: "a".into() },
            stage: Stage::Live,
            stage_since: WallTime(0),
            live_since: None,
            away: None,
            viewers: 0,
        };
        ServerMessage::Welcome {
            room: Box::new(room),
            you: None,
            resumed: true,
            events: Vec::new(),
            last: id(last),
            ballot: None,
            your_vote: None,
            owed: Vec::new(),
            waiting: Vec::new(),
            refused: None,
            key_frames_far: false,
            server_time: WallTime(0),
        }
    }

    fn event(number: u64) -> ServerMessage {
        let body = RoomEventBody::StageChanged { stage: Stage::Live, away: None };
        ServerMessage::Event { event: RoomEvent { id: id(number), at: WallTime(0), body } }
    }

    fn drain(link: &mut Link) -> Vec<Do> {
        std::iter::from_fn(|| link.poll()).collect()
    }

    fn at(ms: u64) -> Now {
        Now::from_origin(Duration::from_millis(ms))
    }

    #[test]
    fn joins_resumes_and_delivers_once() {
        let mut link = Link::new(at(0), true);
        assert_eq!(drain(&mut link), [Do::State(LinkState::Connecting), Do::Connect]);
        link.opened(Some("t".into()), at(1));
        assert_eq!(
            drain(&mut link),
            [Do::Send(ClientMessage::Hello {
                version: 1,
                token: Some("t".into()),
                after: None,
                watching: true,
                overlay: None
            })]
        );
        link.message(welcome(5), at(2));
        link.message(event(5), at(3));
        link.message(event(6), at(4));
        let delivered = drain(&mut link).into_iter().filter(|d| matches!(d, Do::Deliver(_))).count();
        assert_eq!(delivered, 2, "the welcome and event 6; event 5 was in the welcome");
        link.closed(at(20_000), 0.0);
        assert_eq!(link.deadline(), at(20_500));
        link.tick(at(20_500), 0.0);
        link.opened(None, at(20_600));
        let hello = ClientMessage::Hello { version: 1, token: None, after: Some(id(6)), watching: true, overlay: None };
        assert_eq!(drain(&mut link).last(), Some(&Do::Send(hello)));
    }

    #[test]
    fn an_ended_session_is_told_once_and_the_room_watched_without_it() {
        for joined in [false, true] {
            let mut link = Link::new(at(0), true);
            let hello = |link: &mut Link, now| {
                link.opened(Some("t".into()), at(now));
                drain(link).into_iter().find_map(|d| match d {
                    Do::Send(ClientMessage::Hello { token, .. }) => Some(token),
                    _ => None,
                })
            };
            assert_eq!(hello(&mut link, 1), Some(Some("t".into())));
            if joined {
                link.message(welcome(5), at(2));
            }
            let error = ApiError::new(ErrorCode::Unauthenticated, "The session has ended.");
            link.message(ServerMessage::Refused { client_ref: None, error }, at(3));
            assert!(
                drain(&mut link)
                    .iter()
                    .any(|d| matches!(d, Do::Deliver(m) if matches!(**m, ServerMessage::Refused { .. })))
            );
            link.closed(at(4), 0.0);
            link.tick(link.deadline(), 0.0);
            assert_eq!(hello(&mut link, 60_000), Some(None));
            // Somebody logs in.
            link.renew(at(61_000));
            assert_eq!(hello(&mut link, 61_001), Some(Some("t".into())));
        }
    }

    #[test]
    fn silence_is_a_dead_connection() {
        let mut link = Link::new(at(0), true);
        link.opened(None, at(0));
        link.message(welcome(0), at(0));
        link.message(ServerMessage::Heartbeat { server_time: WallTime(0) }, at(10_000));
        link.tick(at(34_999), 0.0);
        assert!(link.joined());
        drain(&mut link);
        link.tick(at(35_000), 0.0);
        assert_eq!(drain(&mut link), [Do::Close, Do::State(LinkState::Lost)]);
    }

    proptest! {
        /// Whatever happens: events are delivered in order, once, and one socket is open at most.
        #[test]
        fn any_sequence(steps in proptest::collection::vec((0u8..7, 0u64..30_000, 0u64..20), 0..200)) {
            let mut link = Link::new(at(0), true);
            let (mut now, mut sockets, mut seen) = (0, 0i32, None::<EventId>);
            for (what, ms, number) in steps {
                now += ms;
                match what {
                    0 => link.opened(None, at(now)),
                    1 => link.message(welcome(number.max(seen.map_or(0, |s| s.number))), at(now)),
                    2 | 3 => link.message(event(number), at(now)),
                    4 if sockets > 0 => { sockets = 0; link.closed(at(now), 0.5); }
                    5 => link.renew(at(now)),
                    _ => link.tick(at(now), 0.5),
                }
                while let Some(action) = link.poll() {
                    match action {
                        Do::Connect => sockets += 1,
                        Do::Close => sockets = 0,
                        Do::Deliver(m) => match *m {
                            ServerMessage::Welcome { last, .. } => seen = Some(last),
                            ServerMessage::Event { event } => {
                                prop_assert!(seen.is_some_and(|s| s < event.id));
                                seen = Some(event.id);
                            }
                            _ => {}
                        },
                        Do::Send(_) | Do::State(_) => {}
                    }
                    prop_assert!(sockets <= 1);
                }
            }
        }
    }
}
