//! One person's socket, `/api/v1/rooms/ROOM/socket`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use mujian_protocol::room::{CLIENT_MESSAGE_MAX, ClientMessage, ROOM_PROTOCOL, ServerMessage};
use mujian_protocol::{AccountId, ApiError, BallotId, ErrorCode, Problem};
use subtle::ConstantTimeEq;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, timeout};

use super::danmaku::{Written, check_ref};
use super::hub::{Joined, json, refusal};
use super::log::{Catchup, MISSED};
use super::presence::Member;
use crate::account::{Ending, TokenHash};
use crate::app::App;
use crate::config::Rate;
use crate::limit::Bucket;
use crate::rooms::Room;
use crate::store::{Account, OverlayRow};

/// Time to say hello.
const HELLO: Duration = Duration::from_secs(10);
/// A heartbeat, and a ping, this often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Nothing at all from the client for so long, not even an answer to pings: it is gone.
const SILENCE: Duration = Duration::from_secs(35);
/// Time that one message may take to leave.
const SEND: Duration = Duration::from_secs(10);
/// Messages of one client: more are refused.
const MESSAGES: Rate = Rate { burst: 30, per_hour: 5 * 3600 };
/// Refused for their number in a row: then the socket is closed.
const PATIENCE: u32 = 200;
/// Answers that wait for this client.
const REPLIES: usize = 64;

/// Close codes (RFC 6455, 7.4): of the protocol itself, and ours from 4000 on.
mod close {
    /// The server stops; come again.
    pub(super) const GOING_AWAY: u16 = 1001;
    /// The client is too slow; come again and resume.
    pub(super) const TRY_AGAIN: u16 = 1013;
    /// Not a message of this protocol.
    pub(super) const BAD_MESSAGE: u16 = 4400;
    /// The token is not good.
    pub(super) const UNAUTHENTICATED: u16 = 4401;
    /// The room was deleted.
    pub(super) const DELETED: u16 = 4404;
    /// No hello in time, or silence.
    pub(super) const TIMED_OUT: u16 = 4408;
    /// Too many messages.
    pub(super) const TOO_MANY: u16 = 4429;
    /// A fault of ours.
    pub(super) const INTERNAL: u16 = 1011;
}

/// Why a socket ends.
struct End {
    code: u16,
    /// Told before the socket is closed.
    error: Option<ApiError>,
}

impl End {
    /// The client went away by itself, or cannot be reached.
    const GONE: Option<Self> = None;

    fn told(code: u16, error: ErrorCode, message: &str) -> Option<Self> {
        Some(Self { code, error: Some(ApiError::new(error, message)) })
    }

    fn silent(code: u16) -> Option<Self> {
        Some(Self { code, error: None })
    }
}

/// Speaks with one person until they leave.
pub(crate) async fn serve(mut socket: WebSocket, app: Arc<App>, room: Arc<Room>, address: IpAddr) {
    let (stop, of) = (app.stop.clone(), Arc::clone(&room));
    let end = tokio::select! {
        end = converse(&mut socket, &app, &room, address) => end,
        () = stop.cancelled() => End::silent(close::GOING_AWAY),
        () = of.deleted() => End::told(close::DELETED, ErrorCode::NotFound, "There is no such room any more."),
    };
    let Some(end) = end else { return };
    if let Some(error) = end.error
        && send(&mut socket, json(&ServerMessage::Refused { client_ref: None, error })).await.is_err()
    {
        return;
    }
    let frame = CloseFrame { code: end.code, reason: Utf8Bytes::from_static("") };
    // The client answers a close with its own; whether it does is its affair.
    let _ = timeout(Duration::from_secs(1), async {
        socket.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = socket.recv().await {}
        Ok::<_, axum::Error>(())
    })
    .await;
}

/// Everything up to the end; gives why, or none if the client is gone.
async fn converse(socket: &mut WebSocket, app: &Arc<App>, room: &Arc<Room>, address: IpAddr) -> Option<End> {
    let hello = match timeout(HELLO, receive(socket)).await {
        Ok(Ok(hello)) => hello,
        Ok(Err(end)) => return end,
        Err(_) => return End::told(close::TIMED_OUT, ErrorCode::InvalidRequest, "No hello came within 10 s."),
    };
    let ClientMessage::Hello { version, token, after, watching, overlay } = hello else {
        return End::told(close::BAD_MESSAGE, ErrorCode::InvalidRequest, "The first message must be a hello.");
    };
    if version != ROOM_PROTOCOL {
        let error = ApiError::new(
            ErrorCode::InvalidRequest,
            "This program speaks another version of the room's protocol than the server. Update it, or reload the page.",
        );
        return Some(End { code: close::BAD_MESSAGE, error: Some(error.about(Problem::VersionDiffers)) });
    }
    let (account, pass) = match (overlay, token) {
        (Some(key), _) => match overlay_pass(room, &key) {
            Some(pass) => (None, pass),
            None => return overlay_over(),
        },
        (None, None) => (None, Pass::None),
        (None, Some(token)) => {
            let endings = app.accounts.endings();
            match app.accounts.session(&app.store, &app.clock, &token).await {
                Ok(Some((account, hash))) => (Some(account), Pass::Session(hash, endings)),
                Ok(None) => return session_over(),
                Err(error) => return Some(End { code: close::INTERNAL, error: Some(refusal(&error)) }),
            }
        }
    };
    // An overlay is part of the picture, not of the audience.
    let watching = watching && !matches!(pass, Pass::Overlay(..));
    let member = Member { account: account.as_ref().map(|a| a.id.clone()), address, watching };
    let Ok(joined) = room.hub.join(after, member).await else { return End::silent(close::GOING_AWAY) };
    let (resumed, events) = match catch_up(app, room, joined.catchup.clone()).await {
        Ok(caught_up) => caught_up,
        Err(error) => return Some(End { code: close::INTERNAL, error: Some(error) }),
    };
    let owns = account.as_ref().is_some_and(|a| a.id == room.row().owner.id);
    let now = app.clock.wall();
    let welcome = ServerMessage::Welcome {
        room: Box::new(room.view()),
        you: account.as_ref().map(Account::view),
        resumed,
        events,
        last: joined.last,
        ballot: joined.ballot.ballot.clone(),
        your_vote: joined.your_vote,
        owed: joined.ballot.owed.clone(),
        key_frames_far: joined.key_frames_far,
        waiting: if owns { room.still_waiting(now) } else { Vec::new() },
        refused: owns.then(|| room.last_refused(now)).flatten().map(Box::new),
        server_time: now,
    };
    if send(socket, json(&welcome)).await.is_err() {
        return End::GONE;
    }
    Conversation { socket, app, room, account, pass, answers: mpsc::channel(REPLIES), refused: 0 }.run(joined).await
}

fn session_over() -> Option<End> {
    End::told(close::UNAUTHENTICATED, ErrorCode::Unauthenticated, "The session has ended. Log in again.")
}

fn overlay_over() -> Option<End> {
    let message = "This overlay's address is not good any more. Make a new one in the account page.";
    End::told(close::UNAUTHENTICATED, ErrorCode::Unauthenticated, message)
}

/// With what a client came, and where its end is told.
enum Pass {
    /// With nothing: a guest.
    None,
    /// With a session.
    Session(TokenHash, Receiver<Ending>),
    /// With the key of the room's overlay.
    Overlay(TokenHash, watch::Receiver<Option<OverlayRow>>),
}

/// The pass of who has the key of the room's overlay.
fn overlay_pass(room: &Room, key: &str) -> Option<Pass> {
    let hash = TokenHash::of(key)?;
    let mut kept = room.overlay();
    opens(&mut kept, hash).then_some(Pass::Overlay(hash, kept))
}

/// Whether a key is the overlay's now; a change after this is a change to be told.
fn opens(kept: &mut watch::Receiver<Option<OverlayRow>>, hash: TokenHash) -> bool {
    kept.borrow_and_update().is_some_and(|row| row.key_hash.ct_eq(&hash.0).into())
}

/// Waits until what a client came with ends before its time; for ever if it came with nothing.
async fn ended(me: Option<&AccountId>, pass: &mut Pass) -> Option<End> {
    match (me, pass) {
        (Some(me), Pass::Session(hash, endings)) => loop {
            match endings.recv().await {
                Ok(ending) if ending.concerns(me, *hash) => return session_over(),
                Ok(_) => {}
                // Theirs may be among those that were missed: whoever comes again is asked for the session.
                Err(RecvError::Lagged(_)) => return End::silent(close::TRY_AGAIN),
                Err(RecvError::Closed) => return End::silent(close::GOING_AWAY),
            }
        },
        (_, Pass::Overlay(hash, kept)) => loop {
            if kept.changed().await.is_err() {
                return End::silent(close::GOING_AWAY);
            }
            if !opens(kept, *hash) {
                return overlay_over();
            }
        },
        _ => std::future::pending().await,
    }
}

/// What was missed, or the last few.
async fn catch_up(
    app: &App,
    room: &Room,
    catchup: Catchup,
) -> Result<(bool, Vec<mujian_protocol::room::RoomEvent>), ApiError> {
    let owned =
        |events: Vec<Arc<mujian_protocol::room::RoomEvent>>| events.iter().map(|e| e.as_ref().clone()).collect();
    match catchup {
        Catchup::Exact(events) => Ok((true, owned(events))),
        Catchup::Snapshot(events) => Ok((false, owned(events))),
        Catchup::Load { after, upto } => {
            let limit = u32::try_from(MISSED).unwrap_or(u32::MAX);
            let page = app.store.events_between(room.id.clone(), after, upto, limit).await.map_err(|e| refusal(&e))?;
            Ok((page.complete, page.events))
        }
    }
}

/// A person who was welcomed.
struct Conversation<'a> {
    socket: &'a mut WebSocket,
    app: &'a Arc<App>,
    room: &'a Arc<Room>,
    account: Option<Account>,
    pass: Pass,
    answers: (mpsc::Sender<ServerMessage>, mpsc::Receiver<ServerMessage>),
    /// Messages refused for their number, in a row.
    refused: u32,
}

impl Conversation<'_> {
    async fn run(mut self, joined: Joined) -> Option<End> {
        let Joined { mut messages, seat, .. } = joined;
        // Held to the end: dropping it is leaving.
        let _seat = seat;
        let me = self.account.as_ref().map(|a| a.id.clone());
        let mut bucket = Bucket::full(MESSAGES, self.app.clock.now());
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Ok(message) if message.only.is_none() || message.only == me => {
                        if let (Some(person), Some(account)) = (&message.renamed, &mut self.account)
                            && person.id == account.id
                        {
                            account.name.clone_from(&person.name);
                        }
                        if send(self.socket, message.text.clone()).await.is_err() {
                            return End::GONE;
                        }
                    }
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => {
                        metrics::counter!("mujian_room_sockets_closed_slow_total").increment(1);
                        return End::silent(close::TRY_AGAIN);
                    }
                    Err(RecvError::Closed) => return End::silent(close::GOING_AWAY),
                },
                end = ended(me.as_ref(), &mut self.pass) => return end,
                Some(answer) = self.answers.1.recv() => {
                    if send(self.socket, json(&answer)).await.is_err() {
                        return End::GONE;
                    }
                }
                message = self.socket.recv() => {
                    heard = Instant::now();
                    match message {
                        None | Some(Err(_) | Ok(Message::Close(_))) => return End::GONE,
                        Some(Ok(Message::Ping(_) | Message::Pong(_))) => {
                            if bucket.take(MESSAGES, self.app.clock.now()).is_err() {
                                self.refused += 1;
                                if self.refused > PATIENCE {
                                    return Some(End { code: close::TOO_MANY, error: Some(too_fast()) });
                                }
                            }
                        }
                        Some(Ok(Message::Text(text))) => {
                            let in_time = bucket.take(MESSAGES, self.app.clock.now()).is_ok();
                            if let Err(end) = self.heard(&text, in_time).await {
                                return end;
                            }
                        }
                        Some(Ok(Message::Binary(_))) => return not_a_message(),
                    }
                }
                _ = heartbeat.tick() => {
                    if heard.elapsed() > SILENCE {
                        return End::silent(close::TIMED_OUT);
                    }
                    let beat = json(&ServerMessage::Heartbeat { server_time: self.app.clock.wall() });
                    let ping = timeout(SEND, self.socket.send(Message::Ping(bytes::Bytes::new()))).await;
                    if !matches!(ping, Ok(Ok(()))) || send(self.socket, beat).await.is_err() {
                        return End::GONE;
                    }
                }
            }
        }
    }

    /// Takes a message; an error is the end.
    async fn heard(&mut self, text: &str, in_time: bool) -> Result<(), Option<End>> {
        let Ok(message) = serde_json::from_str::<ClientMessage>(text) else { return Err(not_a_message()) };
        let place = Place { app: self.app, room: self.room, account: self.account.as_ref(), answers: &self.answers.0 };
        let (client_ref, taken) = match message {
            ClientMessage::Danmaku { client_ref, text, mode, color } => {
                let written = Written { client_ref: client_ref.clone(), text, mode, color };
                (client_ref, place.write(written, in_time).await)
            }
            ClientMessage::Vote { client_ref, ballot, option } => {
                (client_ref.clone(), place.vote(client_ref, (ballot, option), in_time).await)
            }
            ClientMessage::Hello { .. } => {
                return Err(End::told(close::BAD_MESSAGE, ErrorCode::InvalidRequest, "Hello was said already."));
            }
        };
        if let Err(error) = taken {
            if error.code == ErrorCode::RateLimited {
                self.refused += 1;
                if self.refused > PATIENCE {
                    return Err(Some(End { code: close::TOO_MANY, error: Some(error) }));
                }
            }
            let answer = json(&ServerMessage::Refused { client_ref: Some(client_ref), error });
            return send(self.socket, answer).await.map_err(|()| End::GONE);
        }
        self.refused = 0;
        Ok(())
    }
}

/// From where a person writes: a conversation without its socket, which cannot be shared.
struct Place<'a> {
    app: &'a App,
    room: &'a Room,
    account: Option<&'a Account>,
    answers: &'a mpsc::Sender<ServerMessage>,
}

impl Place<'_> {
    async fn write(&self, written: Written, in_time: bool) -> Result<(), ApiError> {
        if !in_time {
            return Err(too_fast());
        }
        let Some(account) = self.account else {
            return Err(ApiError::new(ErrorCode::Unauthenticated, "Log in to write."));
        };
        let danmaku = written.check(account.person())?;
        if self.app.limits.danmaku.take(account.id.clone(), self.app.clock.now()).is_err() {
            return Err(too_fast());
        }
        self.room.hub.write(account.person(), danmaku, self.answers.clone()).await.map_err(|_| closing())
    }

    async fn vote(&self, client_ref: String, choice: (BallotId, u32), in_time: bool) -> Result<(), ApiError> {
        if !in_time {
            return Err(too_fast());
        }
        let Some(account) = self.account else {
            return Err(ApiError::new(ErrorCode::Unauthenticated, "Log in to vote."));
        };
        check_ref(&client_ref)?;
        if self.app.limits.votes.take(account.id.clone(), self.app.clock.now()).is_err() {
            return Err(too_fast());
        }
        self.room.hub.vote(account.id.clone(), client_ref, choice, self.answers.clone()).await.map_err(|_| closing())
    }
}

fn closing() -> ApiError {
    ApiError::new(ErrorCode::Internal, "The room is closing. Try again in a moment.").about(Problem::RoomClosing)
}

fn too_fast() -> ApiError {
    ApiError::new(ErrorCode::RateLimited, "That was too fast. Wait a moment, then send it again.")
}

fn not_a_message() -> Option<End> {
    End::told(close::BAD_MESSAGE, ErrorCode::InvalidRequest, "This is not a message of the room's protocol.")
}

/// The next message, whatever else comes before it.
async fn receive(socket: &mut WebSocket) -> Result<ClientMessage, Option<End>> {
    loop {
        match socket.recv().await {
            Some(Ok(Message::Text(text))) if text.len() <= CLIENT_MESSAGE_MAX => {
                return serde_json::from_str(&text).map_err(|_| not_a_message());
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Text(_) | Message::Binary(_))) => return Err(not_a_message()),
            None | Some(Err(_) | Ok(Message::Close(_))) => return Err(End::GONE),
        }
    }
}

async fn send(socket: &mut WebSocket, text: Utf8Bytes) -> Result<(), ()> {
    match timeout(SEND, socket.send(Message::Text(text))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}
