//! The task that owns one room's sequence of events.
//!
//! It has at most one write at the store, so events reach everybody in the order of their numbers;
//! what comes meanwhile is gathered and goes into the next. Whoever joins is put on the channel and
//! told where the sequence stands in one step, so nothing falls between the two.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use futures_util::future::BoxFuture;
use mujian_protocol::api::{Person, WaitingPublisher};
use mujian_protocol::room::{Danmaku, EventId, RoomEventBody, ServerMessage, Stage};
use mujian_protocol::{AccountId, ApiError, ErrorCode, RoomId, StreamId, WallTime};
use parking_lot::Mutex;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::log::{Catchup, Log, SNAPSHOT};
use super::presence::{Member, Presence};
use crate::clock::Clock;
use crate::grant::Grants;
use crate::store::{Appended, NewEvent, RoomRow, RoomUpdate, Store, StoreError};

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
}

impl Outgoing {
    fn new(message: &ServerMessage) -> Self {
        Self { only: None, text: json(message) }
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
    Update(RoomUpdate, oneshot::Sender<Result<RoomRow, StoreError>>),
    Status(RoomStatus),
    Waiting(WaitingPublisher),
}

/// A room's sequence of events, for everybody else. Cheap to clone; it ends when the last one is dropped.
#[derive(Clone)]
pub struct Hub {
    commands: mpsc::Sender<Command>,
    presence: Arc<Mutex<Presence>>,
    grants: Grants,
}

impl Hub {
    /// Starts the hub of a room. `tail` are its last events, oldest first. The task is given back, to be
    /// spawned; it ends when the last hub is dropped and what waits is written.
    pub fn new(
        row: &RoomRow,
        tail: Vec<mujian_protocol::room::RoomEvent>,
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
            log: Log::new(row.last, tail),
            channel: broadcast::Sender::new(BEHIND),
            pending: VecDeque::new(),
            told: Told { stage: row.stage, stream: row.stream.clone() },
            status: None,
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
        let _ = self.commands.send(Command::Waiting(publisher)).await;
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
}

/// The events that lead from what the room was told to what is.
fn reconcile(told: &Told, now: &RoomStatus) -> Vec<RoomEventBody> {
    let mut bodies = Vec::new();
    if told.stream != now.stream {
        bodies.extend(told.stream.clone().map(|stream| RoomEventBody::StreamEnded { stream }));
        bodies.extend(now.stream.clone().map(|stream| RoomEventBody::StreamStarted { stream }));
    }
    if told.stage != now.stage {
        bodies.push(RoomEventBody::StageChanged { stage: now.stage, away: None });
    }
    bodies
}

enum Work {
    Event(NewEvent, mpsc::Sender<ServerMessage>),
    Update(RoomUpdate, oneshot::Sender<Result<RoomRow, StoreError>>),
}

/// A write that the store has answered.
enum Done {
    Events(Result<Vec<Appended>, StoreError>, Vec<(String, mpsc::Sender<ServerMessage>)>),
    Update(Box<Result<(RoomRow, Option<Appended>), StoreError>>, oneshot::Sender<Result<RoomRow, StoreError>>),
    Status(Result<Vec<Appended>, StoreError>, RoomStatus),
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
    /// What the stage does, while the room was not told yet.
    status: Option<RoomStatus>,
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
                _ = presence.tick(), if watched => self.tell_presence(),
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Join(after, member, reply) => self.join(after, member, reply),
            Command::Write(author, danmaku, reply) => {
                if self.pending.len() >= PENDING {
                    let error =
                        ApiError::new(ErrorCode::RateLimited, "The room is too busy right now. Try again in a moment.");
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
            Command::Status(status) => self.status = Some(status),
            Command::Waiting(publisher) => {
                let text = json(&ServerMessage::PublisherWaiting { publisher });
                self.send(Outgoing { only: Some(self.owner.clone()), text });
            }
        }
    }

    fn join(&mut self, after: Option<EventId>, member: Member, reply: oneshot::Sender<Joined>) {
        let socket = self.sockets.fetch_add(1, Ordering::Relaxed);
        self.presence.lock().join(socket, member);
        metrics::gauge!("mujian_room_sockets").increment(1.0);
        let joined = Joined {
            catchup: self.log.join(after),
            last: self.log.last(),
            messages: self.channel.subscribe(),
            seat: Seat { socket, presence: Arc::clone(&self.presence) },
        };
        // Whoever asked is gone: dropping the seat is leaving.
        let _ = reply.send(joined);
    }

    /// The next write, if anything waits. The stage's changes go first.
    fn next_write(&mut self, status_too: bool) -> Option<BoxFuture<'static, Done>> {
        let (store, room) = (self.store.clone(), self.room.clone());
        if status_too && let Some(status) = self.status.take() {
            let event = |body| NewEvent { at: status.since, author: None, client_ref: None, body };
            let events: Vec<NewEvent> = reconcile(&self.told, &status).into_iter().map(event).collect();
            if !events.is_empty() {
                return Some(Box::pin(async move { Done::Status(store.append_events(room, events).await, status) }));
            }
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
                Some(update) => {
                    self.pending.push_front(update);
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
                    row
                });
                // Whoever asked is gone; the change stands.
                let _ = reply.send(answer);
            }
            Done::Status(Ok(appended), status) => {
                self.told = Told { stage: status.stage, stream: status.stream };
                for Appended { event, .. } in appended {
                    self.publish(event);
                }
            }
            Done::Status(Err(error), status) => {
                tracing::error!(%error, room = %self.room, "A change of the stage could not be written; it is tried again.");
                // A newer one is truer.
                self.status.get_or_insert(status);
                return false;
            }
        }
        true
    }

    fn publish(&mut self, event: mujian_protocol::room::RoomEvent) {
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

    fn send(&self, message: Outgoing) {
        // Nobody is here: nobody is told.
        let _ = self.channel.send(Arc::new(message));
    }
}

/// A failure of the store as a person is told of it.
pub(super) fn refusal(error: &StoreError) -> ApiError {
    match error {
        StoreError::Full => ApiError::new(ErrorCode::Storage, "The server's disk is full; this was not kept."),
        StoreError::Closed => {
            ApiError::new(ErrorCode::Internal, "The server is stopping; this was not kept. Try again in a moment.")
        }
        StoreError::Failed(_) => ApiError::new(
            ErrorCode::Internal,
            "The server's database failed; this was not kept. Try again in a moment.",
        ),
    }
}

/// Events that a hub should know when it starts.
pub(crate) const TAIL: u32 = SNAPSHOT as u32;

#[cfg(test)]
mod tests {
    use mujian_protocol::api::Role;
    use mujian_protocol::room::DanmakuMode;

    use super::*;
    use crate::store::NewAccount;

    async fn room_with_author(store: &Store) -> (RoomRow, Person) {
        let at = WallTime(1);
        let new = NewAccount { name: "a".into(), name_key: "a".into(), password: None, role: Role::Viewer, at };
        let author = store.create_account(new).await.unwrap().unwrap().person();
        let row = RoomRow {
            id: "room".parse().unwrap(),
            owner: author.clone(),
            title: "t".into(),
            category: String::new(),
            tags: Vec::new(),
            stream_key: "key".into(),
            created_at: at,
            stage: Stage::Off,
            stage_since: at,
            last: EventId { epoch: 1, number: 0 },
            stream: None,
        };
        (store.create_room(row, 1).await.unwrap().unwrap(), author)
    }

    /// Writers write while clients come, read a little, are cut off and come again: in the end each has
    /// every event, once and in order, from memory, from the disk and from the channel alike.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_lost_and_nothing_comes_twice_across_reconnects() {
        const WRITERS: u64 = 4;
        const EACH: u64 = 150;
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (row, author) = room_with_author(&store).await;
        let clock = Clock::start();
        let (hub, task) = Hub::new(&row, Vec::new(), store.clone(), clock, Grants::new(10));
        let task = tokio::spawn(task);

        let mut clients = Vec::new();
        for client in 0..6u64 {
            let (hub, store, room) = (hub.clone(), store.clone(), row.id.clone());
            clients.push(tokio::spawn(async move {
                let mut has: Vec<u64> = Vec::new();
                let mut visits = 0;
                while has.len() < (WRITERS * EACH) as usize {
                    visits += 1;
                    let after = has.last().map_or(0, |number| *number);
                    let after = Some(EventId { epoch: 1, number: after });
                    let member = Member { account: None, address: [127, 0, 0, 1].into() };
                    let mut joined = hub.join(after, member).await.unwrap();
                    match joined.catchup {
                        Catchup::Exact(events) => has.extend(events.iter().map(|e| e.id.number)),
                        Catchup::Load { after, upto } => {
                            let page = store.events_between(room.clone(), after, upto, 1000).await.unwrap();
                            assert!(page.complete);
                            has.extend(page.events.iter().map(|e| e.id.number));
                        }
                        Catchup::Snapshot(_) => panic!("missed too many: the test is not about that"),
                    }
                    assert_eq!(has.last().copied().unwrap_or(0), joined.last.number);
                    // Reads a little, differently each time.
                    for _ in 0..(client * 7 + visits * 3) % 40 {
                        if has.len() >= (WRITERS * EACH) as usize {
                            break;
                        }
                        let message = joined.messages.recv().await.unwrap();
                        let message: serde_json::Value = serde_json::from_str(&message.text).unwrap();
                        if message["type"] == "event" {
                            has.push(message["event"]["id"]["number"].as_u64().unwrap());
                        }
                    }
                }
                assert_eq!(has, (1..=WRITERS * EACH).collect::<Vec<_>>());
                visits
            }));
        }
        let mut writers = Vec::new();
        for writer in 0..WRITERS {
            let (hub, author) = (hub.clone(), author.clone());
            writers.push(tokio::spawn(async move {
                let (reply, mut answers) = mpsc::channel(4);
                for n in 0..EACH {
                    let danmaku = Danmaku {
                        author: author.clone(),
                        text: "x".into(),
                        mode: DanmakuMode::Scroll,
                        color: "#ffffff".into(),
                        client_ref: format!("{writer}-{n}"),
                    };
                    // Every fifth is sent twice, as by somebody who did not hear the answer.
                    for _ in 0..if n % 5 == 0 { 2 } else { 1 } {
                        hub.write(author.clone(), danmaku.clone(), reply.clone()).await.unwrap();
                        assert!(matches!(answers.recv().await, Some(ServerMessage::Accepted { .. })));
                    }
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let mut visits = 0;
        for client in clients {
            visits += client.await.unwrap();
        }
        assert!(visits > 20, "the clients hardly ever came again: {visits}");
        assert_eq!((hub.sockets(), hub.viewers()), (0, 0));
        drop(hub);
        task.await.unwrap();
    }

    /// What waits when the last hub is dropped is still written.
    #[tokio::test]
    async fn a_hub_ends_after_its_last_write() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (row, _) = room_with_author(&store).await;
        let (hub, task) = Hub::new(&row, Vec::new(), store.clone(), Clock::start(), Grants::new(1));
        let stream = StreamId::new();
        hub.status(RoomStatus { stage: Stage::Live, since: WallTime(5), stream: Some(stream.clone()) }).await;
        drop(hub);
        task.await;
        let row = store.room(row.id).await.unwrap().unwrap();
        assert_eq!((row.stage, row.stream, row.last.number), (Stage::Live, Some(stream), 2));
    }

    #[test]
    fn the_room_is_told_what_changed_and_nothing_else() {
        let (a, b) = (StreamId::new(), StreamId::new());
        let told = |stage, stream: Option<&StreamId>| Told { stage, stream: stream.cloned() };
        let now = |stage, stream: Option<&StreamId>| RoomStatus { stage, since: WallTime(0), stream: stream.cloned() };
        let ended = |s: &StreamId| RoomEventBody::StreamEnded { stream: s.clone() };
        let started = |s: &StreamId| RoomEventBody::StreamStarted { stream: s.clone() };
        let stage = |stage| RoomEventBody::StageChanged { stage, away: None };
        assert_eq!(reconcile(&told(Stage::Off, None), &now(Stage::Off, None)), []);
        assert_eq!(reconcile(&told(Stage::Off, None), &now(Stage::Live, Some(&a))), [started(&a), stage(Stage::Live)]);
        assert_eq!(reconcile(&told(Stage::Live, Some(&a)), &now(Stage::Lost, Some(&a))), [stage(Stage::Lost)]);
        assert_eq!(reconcile(&told(Stage::Live, Some(&a)), &now(Stage::Live, Some(&b))), [ended(&a), started(&b)]);
        assert_eq!(reconcile(&told(Stage::Live, Some(&a)), &now(Stage::Off, None)), [ended(&a), stage(Stage::Off)]);
    }
}
