//! The task that owns one room's sequence of events.
//!
//! It has at most one write at the store, so events reach everybody in the order of their numbers;
//! what comes meanwhile is gathered and goes into the next. Whoever joins is put on the channel and
//! told where the sequence stands in one step, so nothing falls between the two.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use futures_util::future::BoxFuture;
use mujian_protocol::api::{Person, RefusedPublisher, WaitingPublisher};
use mujian_protocol::ballot::{BallotState, Owed};
use mujian_protocol::room::{Away, Danmaku, EventId, RoomEventBody, ServerMessage, Stage};
use mujian_protocol::{AccountId, ApiError, BallotId, ErrorCode, Problem, RoomId, StreamId, WallTime};
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::log::{Catchup, Log, SNAPSHOT};
use super::poll::{Poll, Vote};
use super::presence::{Member, Presence};
use crate::clock::Clock;
use crate::grant::Grants;
use crate::store::{Appended, BallotRow, NewEvent, RoomRow, RoomUpdate, Settled, Store, StoreError};

/// Messages that a socket may be behind; then it is closed, and its client resumes.
const BEHIND: usize = 512;
/// Commands that may wait.
const COMMANDS: usize = 256;
/// Events that may wait for the store.
const PENDING: usize = 512;
/// Most events in one write.
const BATCH: usize = 64;
/// Presence is told so often at most.
const PRESENCE: Duration = Duration::from_millis(500);
/// A stage's change that could not be written is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

/// What the room's stage does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomStatus {
    /// What viewers are shown.
    pub stage: Stage,
    /// Since when.
    pub since: WallTime,
    /// The stream that runs.
    pub stream: Option<StreamId>,
    /// The streamer's stay away.
    pub away: Option<Away>,
}

/// What a hub should know of its room's past when it starts.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// The last events, oldest first.
    pub tail: Vec<mujian_protocol::room::RoomEvent>,
    /// The ballot that is open.
    pub ballot: Option<BallotRow>,
    /// What is owed.
    pub owed: Vec<Owed>,
}

/// The room is being closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room is closing")]
pub struct HubGone;

/// A message for sockets, written once for all of them.
#[derive(Debug)]
pub struct Outgoing {
    /// The only account that gets it; none: everybody.
    pub only: Option<AccountId>,
    /// The message as JSON.
    pub text: Utf8Bytes,
    /// Who has another name by it.
    pub renamed: Option<Person>,
}

impl Outgoing {
    fn new(message: &ServerMessage) -> Self {
        Self { only: None, text: json(message), renamed: None }
    }
}

/// A message as it travels.
pub(super) fn json(message: &ServerMessage) -> Utf8Bytes {
    // Plain data with string keys always serialises.
    serde_json::to_string(message).unwrap_or_default().into()
}

/// What somebody who joins gets.
pub struct Joined {
    /// What to tell first.
    pub catchup: Catchup,
    /// Where the sequence stands; what comes over `messages` is after it.
    pub last: EventId,
    /// What is voted on, and what is owed.
    pub ballot: BallotState,
    /// What the account of who came votes for.
    pub your_vote: Option<u32>,
    /// Who came is the owner, and should mend how far apart the publisher's key frames are.
    pub key_frames_far: bool,
    /// Everything from now on.
    pub messages: broadcast::Receiver<Arc<Outgoing>>,
    /// Dropping it is leaving.
    pub seat: Seat,
}

/// Somebody's place in the room.
pub struct Seat {
    socket: u64,
    presence: Arc<Mutex<Presence>>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.presence.lock().leave(self.socket);
        metrics::gauge!("mujian_room_sockets").decrement(1.0);
    }
}

enum Command {
    Join(Option<EventId>, Member, oneshot::Sender<Joined>),
    Write(Person, Danmaku, mpsc::Sender<ServerMessage>),
    Vote(Vote),
    Ballot(oneshot::Sender<BallotState>),
    Settle(BallotId, oneshot::Sender<Result<Settled, StoreError>>),
    Update(RoomUpdate, oneshot::Sender<Result<RoomRow, StoreError>>),
    Status(RoomStatus),
    KeyFrames(bool),
    ToOwner(ServerMessage),
    Renamed(Person),
    Forgotten(AccountId),
}

/// A room's sequence of events, for everybody else. Cheap to clone; it ends when the last one is dropped.
#[derive(Clone)]
pub struct Hub {
    commands: mpsc::Sender<Command>,
    presence: Arc<Mutex<Presence>>,
    grants: Grants,
}

impl Hub {
    /// Starts the hub of a room. The task is given back, to be spawned; it ends when the last hub is
    /// dropped and what waits is written.
    pub fn new(
        row: &RoomRow,
        past: Past,
        store: Store,
        clock: Clock,
        grants: Grants,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let presence = Arc::new(Mutex::new(Presence::default()));
        let task = Task {
            room: row.id.clone(),
            owner: row.owner.id.clone(),
            store,
            clock,
            grants: grants.clone(),
            presence: Arc::clone(&presence),
            sockets: AtomicU64::new(0),
            log: Log::new(row.last, past.tail),
            channel: broadcast::Sender::new(BEHIND),
            pending: VecDeque::new(),
            told: Told { stage: row.stage, stream: row.stream.clone(), away: row.away.clone() },
            poll: Poll::new(row.ballot.clone(), past.ballot, past.owed),
            votes_next: false,
            status: None,
            key_frames_far: false,
            viewers: 0,
        };
        (Self { commands, presence, grants }, task.run(receiver))
    }

    /// Takes a seat. `after` is the last event that the client has.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn join(&self, after: Option<EventId>, member: Member) -> Result<Joined, HubGone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Join(after, member, reply)).await.map_err(|_| HubGone)?;
        answer.await.map_err(|_| HubGone)
    }

    /// Writes a danmaku; `Accepted` or `Refused` comes over `reply`.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn write(
        &self,
        author: Person,
        danmaku: Danmaku,
        reply: mpsc::Sender<ServerMessage>,
    ) -> Result<(), HubGone> {
        self.commands.send(Command::Write(author, danmaku, reply)).await.map_err(|_| HubGone)
    }

    /// Votes; `Voted` or `Refused` comes over `reply`, the former once the vote is on the disk.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn vote(
        &self,
        voter: AccountId,
        client_ref: String,
        (ballot, option): (BallotId, u32),
        reply: mpsc::Sender<ServerMessage>,
    ) -> Result<(), HubGone> {
        let vote = Vote { voter, client_ref, ballot, option, reply };
        self.commands.send(Command::Vote(vote)).await.map_err(|_| HubGone)
    }

    /// What is voted on, and what is owed.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn ballot(&self) -> Result<BallotState, HubGone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Ballot(reply)).await.map_err(|_| HubGone)?;
        answer.await.map_err(|_| HubGone)
    }

    /// The streamer has done what was owed; everybody is told.
    ///
    /// # Errors
    /// The database failed, or the room is closing.
    pub async fn settle(&self, owed: BallotId) -> Result<Settled, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Settle(owed, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Changes the room and tells everybody.
    ///
    /// # Errors
    /// The database failed, or the room is closing.
    pub async fn update(&self, update: RoomUpdate) -> Result<RoomRow, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Update(update, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// What the stage does now. Waits while the hub is busy.
    pub async fn status(&self, status: RoomStatus) {
        // A hub that is gone needs no status.
        let _ = self.commands.send(Command::Status(status)).await;
    }

    /// Tells the owner that a publisher was refused.
    pub async fn waiting(&self, publisher: WaitingPublisher) {
        let _ = self.commands.send(Command::ToOwner(ServerMessage::PublisherWaiting { publisher })).await;
    }

    /// Tells the owner that a publisher was sent away.
    pub async fn refused(&self, publisher: RefusedPublisher) {
        let _ = self.commands.send(Command::ToOwner(ServerMessage::PublisherRefused { publisher })).await;
    }

    /// Tells everybody that somebody has another name.
    pub async fn renamed(&self, person: Person) {
        let _ = self.commands.send(Command::Renamed(person)).await;
    }

    /// An account was deleted: what it wrote is shown without its name from now on.
    pub async fn forgotten(&self, account: AccountId) {
        let _ = self.commands.send(Command::Forgotten(account)).await;
    }

    /// Tells the owner that the publisher's key frames are too far apart, or no longer are.
    pub async fn key_frames(&self, far: bool) {
        let _ = self.commands.send(Command::KeyFrames(far)).await;
    }

    /// People in the room now.
    #[must_use]
    pub fn viewers(&self) -> u32 {
        let readers = self.grants.readers();
        self.presence.lock().people(&readers)
    }

    /// Sockets in the room now.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.presence.lock().sockets()
    }
}

/// What the room was told of its stage, durably.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Told {
    stage: Stage,
    stream: Option<StreamId>,
    away: Option<Away>,
}

/// The events that lead from what the room was told to what is.
fn reconcile(told: &Told, now: &RoomStatus) -> Vec<RoomEventBody> {
    let mut bodies = Vec::new();
    if told.stream != now.stream {
        bodies.extend(told.stream.clone().map(|stream| RoomEventBody::StreamEnded { stream }));
        bodies.extend(now.stream.clone().map(|stream| RoomEventBody::StreamStarted { stream }));
    }
    if (told.stage, &told.away) != (now.stage, &now.away) {
        bodies.push(RoomEventBody::StageChanged { stage: now.stage, away: now.away.clone() });
    }
    bodies
}

enum Work {
    Event(NewEvent, mpsc::Sender<ServerMessage>),
    Update(RoomUpdate, oneshot::Sender<Result<RoomRow, StoreError>>),
    Settle(BallotId, oneshot::Sender<Result<Settled, StoreError>>),
}

/// A write that the store has answered.
enum Done {
    Events(Result<Vec<Appended>, StoreError>, Vec<(String, mpsc::Sender<ServerMessage>)>),
    Update(Box<Result<(RoomRow, Option<Appended>), StoreError>>, oneshot::Sender<Result<RoomRow, StoreError>>),
    /// What followed from a status of the stage, or from a ballot whose time is over.
    Told(Result<Vec<Appended>, StoreError>, Option<RoomStatus>),
    Votes(Result<(), StoreError>, Vec<Vote>),
    Settle(Box<Result<Settled, StoreError>>, oneshot::Sender<Result<Settled, StoreError>>),
}

struct Task {
    room: RoomId,
    owner: AccountId,
    store: Store,
    clock: Clock,
    grants: Grants,
    presence: Arc<Mutex<Presence>>,
    sockets: AtomicU64,
    log: Log,
    channel: broadcast::Sender<Arc<Outgoing>>,
    pending: VecDeque<Work>,
    told: Told,
    poll: Poll,
    /// Votes are written next, if some wait.
    votes_next: bool,
    /// What the stage does, while the room was not told yet.
    status: Option<RoomStatus>,
    key_frames_far: bool,
    viewers: u32,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut presence = tokio::time::interval(PRESENCE);
        presence.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut writing: Option<BoxFuture<'static, Done>> = None;
        let mut retry_at: Option<tokio::time::Instant> = None;
        let mut open = true;
        loop {
            if writing.is_none() {
                writing = self.next_write(retry_at.is_none());
            }
            if writing.is_none() && !open {
                // Nobody is left to ask for anything, and all that was asked for is written.
                return;
            }
            let watched = self.channel.receiver_count() > 0;
            tokio::select! {
                command = commands.recv(), if open => match command {
                    Some(Command::Status(status)) => {
                        self.poll.away(self.told.away.as_ref(), status.away.as_ref());
                        self.status = Some(status);
                        retry_at = None;
                    }
                    Some(command) => self.take(command),
                    None => open = false,
                },
                done = async { match writing.as_mut() { Some(w) => w.await, None => std::future::pending().await } } => {
                    writing = None;
                    if !self.done(done) {
                        retry_at = Some(tokio::time::Instant::now() + RETRY);
                        if !open {
                            // The next start finds the difference and writes it.
                            self.status = None;
                        }
                    }
                }
                () = async { match retry_at { Some(at) => tokio::time::sleep_until(at).await, None => std::future::pending().await } } => {
                    retry_at = None;
                }
                () = self.ballot_over(), if writing.is_none() && retry_at.is_none() => {}
                _ = presence.tick(), if watched => {
                    self.tell_presence();
                    if let Some(tally) = self.poll.news() {
                        self.send(Outgoing::new(&tally));
                    }
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Join(after, member, reply) => self.join(after, member, reply),
            Command::Write(author, danmaku, reply) => {
                if self.pending.len() >= PENDING {
                    let error =
                        ApiError::new(ErrorCode::RateLimited, "The room is too busy right now. Try again in a moment.")
                            .about(Problem::Crowded);
                    let _ = reply.try_send(ServerMessage::Refused { client_ref: Some(danmaku.client_ref), error });
                    return;
                }
                let event = NewEvent {
                    at: self.clock.wall(),
                    author: Some(author.id),
                    client_ref: Some(danmaku.client_ref.clone()),
                    body: RoomEventBody::Danmaku(danmaku),
                };
                self.pending.push_back(Work::Event(event, reply));
            }
            Command::Update(update, reply) => self.pending.push_back(Work::Update(update, reply)),
            Command::Vote(vote) => {
                let now = self.clock.wall();
                self.poll.take(vote, now);
            }
            Command::Ballot(reply) => {
                let _ = reply.send(self.poll.state());
            }
            Command::Settle(owed, reply) => self.pending.push_back(Work::Settle(owed, reply)),
            Command::Status(status) => self.status = Some(status),
            Command::KeyFrames(far) => {
                self.key_frames_far = far;
                self.tell_owner(&ServerMessage::KeyFrames { far });
            }
            Command::Renamed(person) => {
                let message = ServerMessage::Renamed { person: person.clone() };
                self.send(Outgoing { renamed: Some(person), ..Outgoing::new(&message) });
            }
            Command::Forgotten(account) => self.log.forget(&account),
            Command::ToOwner(message) => self.tell_owner(&message),
        }
    }

    fn join(&mut self, after: Option<EventId>, member: Member, reply: oneshot::Sender<Joined>) {
        let socket = self.sockets.fetch_add(1, Ordering::Relaxed);
        let your_vote = self.poll.vote_of(member.account.as_ref());
        let key_frames_far = self.key_frames_far && member.account.as_ref() == Some(&self.owner);
        self.presence.lock().join(socket, member);
        metrics::gauge!("mujian_room_sockets").increment(1.0);
        let joined = Joined {
            catchup: self.log.join(after),
            last: self.log.last(),
            ballot: self.poll.state(),
            your_vote,
            key_frames_far,
            messages: self.channel.subscribe(),
            seat: Seat { socket, presence: Arc::clone(&self.presence) },
        };
        // Whoever asked is gone: dropping the seat is leaving.
        let _ = reply.send(joined);
    }

    /// Waits until the open ballot's time is over.
    async fn ballot_over(&self) {
        match self.poll.closes_at() {
            Some(at) => {
                let left = at.millis().saturating_sub(self.clock.wall().millis());
                tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap_or(0))).await;
            }
            None => std::future::pending().await,
        }
    }

    /// The next write, if anything waits: votes and everything else in turn, but the votes that came in
    /// time before what closes the ballot.
    fn next_write(&mut self, status_too: bool) -> Option<BoxFuture<'static, Done>> {
        if self.votes_next || self.poll.is_closing(self.clock.wall()) {
            self.votes_next = false;
            if let Some(votes) = self.next_votes() {
                return Some(votes);
            }
        }
        self.votes_next = true;
        self.next_events(status_too).or_else(|| self.next_votes())
    }

    fn next_votes(&mut self) -> Option<BoxFuture<'static, Done>> {
        let (ballot, votes) = self.poll.next_votes()?;
        let store = self.store.clone();
        let cast = votes.iter().map(|v| (v.voter.clone(), v.option)).collect();
        Some(Box::pin(async move { Done::Votes(store.cast_votes(ballot, cast).await, votes) }))
    }

    /// The next write of events. The stage's changes go first.
    fn next_events(&mut self, status_too: bool) -> Option<BoxFuture<'static, Done>> {
        let (store, room) = (self.store.clone(), self.room.clone());
        let event = |at| move |body| NewEvent { at, author: None, client_ref: None, body };
        if status_too && let Some(status) = self.status.take() {
            let mut bodies = reconcile(&self.told, &status);
            // Under a cover the streamer may leave and come back: what is shown is older than that.
            let shown = (self.told.stage, &self.told.stream) != (status.stage, &status.stream);
            let at = if shown { status.since } else { self.clock.wall() };
            let (told, now) = (self.told.away.as_ref(), status.away.as_ref());
            bodies.extend(self.poll.follow(told, now, status.stream.is_some(), at));
            if !bodies.is_empty() {
                let events = bodies.into_iter().map(event(at)).collect();
                return Some(Box::pin(
                    async move { Done::Told(store.append_events(room, events).await, Some(status)) },
                ));
            }
        }
        let now = self.clock.wall();
        if status_too && self.poll.is_over(now) {
            let events = self.poll.closing_events(now).into_iter().map(event(now)).collect();
            return Some(Box::pin(async move { Done::Told(store.append_events(room, events).await, None) }));
        }
        let mut events = Vec::new();
        let mut replies = Vec::new();
        loop {
            match self.pending.pop_front() {
                Some(Work::Event(event, reply)) => {
                    replies.push((event.client_ref.clone().unwrap_or_default(), reply));
                    events.push(event);
                    if events.len() >= BATCH {
                        break;
                    }
                }
                Some(Work::Update(update, reply)) if events.is_empty() => {
                    let at = self.clock.wall();
                    return Some(Box::pin(async move {
                        Done::Update(Box::new(store.update_room(room, update, at).await), reply)
                    }));
                }
                Some(Work::Settle(owed, reply)) if events.is_empty() => {
                    let at = self.clock.wall();
                    return Some(Box::pin(
                        async move { Done::Settle(Box::new(store.settle(room, owed, at).await), reply) },
                    ));
                }
                Some(other) => {
                    self.pending.push_front(other);
                    break;
                }
                None => break,
            }
        }
        if events.is_empty() {
            return None;
        }
        Some(Box::pin(async move { Done::Events(store.append_events(room, events).await, replies) }))
    }

    /// Tells everybody what was written. False: a change of the stage was not.
    fn done(&mut self, done: Done) -> bool {
        match done {
            Done::Events(Ok(appended), replies) => {
                for (Appended { event, .. }, (client_ref, reply)) in appended.into_iter().zip(replies) {
                    let id = event.id;
                    self.publish(event);
                    let _ = reply.try_send(ServerMessage::Accepted { client_ref, id });
                }
            }
            Done::Events(Err(error), replies) => {
                let error = refusal(&error);
                for (client_ref, reply) in replies {
                    let message = ServerMessage::Refused { client_ref: Some(client_ref), error: error.clone() };
                    let _ = reply.try_send(message);
                }
            }
            Done::Update(result, reply) => {
                let answer = result.map(|(row, event)| {
                    if let Some(appended) = event {
                        self.publish(appended.event);
                    }
                    self.poll.settings = row.ballot.clone();
                    row
                });
                // Whoever asked is gone; the change stands.
                let _ = reply.send(answer);
            }
            Done::Votes(Ok(()), votes) => self.poll.count(votes),
            Done::Votes(Err(error), votes) => {
                let error = refusal(&error);
                votes.into_iter().for_each(|vote| vote.refuse(error.clone()));
            }
            Done::Settle(result, reply) => {
                if let Ok(Settled::Done(appended)) = result.as_ref() {
                    self.publish(appended.event.clone());
                }
                // Whoever asked is gone; it is done all the same.
                let _ = reply.send(*result);
            }
            Done::Told(Ok(appended), status) => {
                if let Some(status) = status {
                    self.told = Told { stage: status.stage, stream: status.stream, away: status.away };
                }
                for Appended { event, .. } in appended {
                    self.publish(event);
                }
            }
            Done::Told(Err(error), status) => {
                tracing::error!(%error, room = %self.room, "A change of the stage or of a ballot could not be written; it is tried again.");
                // A newer one is truer.
                if self.status.is_none() {
                    self.status = status;
                }
                return false;
            }
        }
        true
    }

    fn publish(&mut self, event: mujian_protocol::room::RoomEvent) {
        self.poll.happened(&event.body);
        if let Some(event) = self.log.append(event) {
            metrics::counter!("mujian_room_events_total").increment(1);
            self.send(Outgoing::new(&ServerMessage::Event { event: event.as_ref().clone() }));
        }
    }

    fn tell_presence(&mut self) {
        let readers = self.grants.readers();
        let viewers = self.presence.lock().people(&readers);
        if viewers != self.viewers {
            self.viewers = viewers;
            self.send(Outgoing::new(&ServerMessage::Presence { viewers }));
        }
    }

    fn tell_owner(&self, message: &ServerMessage) {
        self.send(Outgoing { only: Some(self.owner.clone()), ..Outgoing::new(message) });
    }

    fn send(&self, message: Outgoing) {
        // Nobody is here: nobody is told.
        let _ = self.channel.send(Arc::new(message));
    }
}

/// A failure of the store as a person is told of it.
pub(super) fn refusal(error: &StoreError) -> ApiError {
    match error {
        StoreError::Full => ApiError::new(ErrorCode::Storage, "The server's disk is full; this was not kept.")
            .about(Problem::ServerDiskFull),
        StoreError::Closed => {
            ApiError::new(ErrorCode::Internal, "The server is stopping; this was not kept. Try again in a moment.")
                .about(Problem::ServerStopping)
        }
        StoreError::Failed(_) => ApiError::new(
            ErrorCode::Internal,
            "The server's database failed; this was not kept. Try again in a moment.",
        )
        .about(Problem::ServerDataFailed),
    }
}

/// Events that a hub should know when it starts.
pub(crate) const TAIL: u32 = SNAPSHOT as u32;
