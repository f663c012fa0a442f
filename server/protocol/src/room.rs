//! The room socket: one WebSocket a person at `/api/v1/rooms/ROOM/socket`, JSON text messages.
//!
//! The client says `hello` first, within 10 s. The server answers `welcome`, then sends what
//! happened. Durable events are numbered per room without holes: a client that says where it
//! stopped gets just what it missed, once, in order. Presence and heartbeats carry no number.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::api::{AccountView, Person, RefusedPublisher, RoomView, WaitingPublisher};
use crate::ballot::{BallotResult, BallotView, Owed};
use crate::error::ApiError;
use crate::ids::{BallotId, LeaveId, StreamId};
use crate::time::WallTime;

/// Version of this protocol.
pub const ROOM_PROTOCOL: u32 = 1;
/// Longest danmaku, in characters.
pub const DANMAKU_MAX: usize = 100;
/// Longest client message, in bytes.
pub const CLIENT_MESSAGE_MAX: usize = 4096;
/// Longest `client_ref`, in bytes.
pub const CLIENT_REF_MAX: usize = 64;

/// What viewers of a room are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// No stream runs.
    Off,
    /// The publisher's picture.
    Live,
    /// A placeholder, because the streamer left for a while. With no [`Away`] beside it the streamer is back, and the
    /// placeholder goes on until the publisher's next key frame.
    Away,
    /// A slate, because the publisher's connection is lost, or its picture is missing.
    Lost,
    /// A slate, because a moderator covers the programme.
    Covered,
}

/// The streamer is away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Away {
    /// Since when.
    pub since: WallTime,
    /// Which stay away this is.
    pub leave_id: LeaveId,
    /// The sound goes on.
    pub keep_sound: bool,
    /// When the streamer means to be back: shown to viewers, and nothing follows from it.
    #[serde(default)]
    pub back_at: Option<WallTime>,
}

/// Where a durable event stands in its room's sequence: first by epoch, then by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
pub struct EventId {
    /// Which owner of the room numbered it; 1 on a single server.
    #[ts(type = "number")]
    pub epoch: u64,
    /// From 1, without holes.
    #[ts(type = "number")]
    pub number: u64,
}

/// How a danmaku moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DanmakuMode {
    /// From right to left.
    #[default]
    Scroll,
    /// Standing at the top.
    Top,
    /// Standing at the bottom.
    Bottom,
}

/// A comment that flies over the picture. Its text is text, never markup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Danmaku {
    /// Who wrote it.
    pub author: Person,
    /// 1 to [`DANMAKU_MAX`] characters, no control characters.
    pub text: String,
    /// How it moves.
    pub mode: DanmakuMode,
    /// Its colour, `#rrggbb`.
    pub color: String,
    /// The author's own name for it, unique for that author: how a client knows its own.
    pub client_ref: String,
}

/// What happened, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RoomEventBody {
    /// Somebody wrote.
    Danmaku(Danmaku),
    /// What viewers are shown changed, or whether the streamer is away.
    StageChanged {
        /// Shown from now on.
        stage: Stage,
        /// The streamer's stay away, whatever is shown.
        #[serde(default)]
        away: Option<Away>,
    },
    /// Title, category or tags changed.
    RoomChanged {
        /// The title now.
        title: String,
        /// The category now.
        category: String,
        /// The tags now.
        tags: Vec<String>,
    },
    /// A stream began.
    StreamStarted {
        /// Its id.
        stream: StreamId,
    },
    /// A stream ended.
    StreamEnded {
        /// Its id.
        stream: StreamId,
    },
    /// The streamer left, and viewers vote what is owed for it.
    BallotOpened {
        /// On what.
        ballot: BallotView,
    },
    /// The ballot is closed: the streamer is back, or its time is over.
    BallotClosed {
        /// What came out.
        result: BallotResult,
    },
    /// The streamer owes what won.
    OwedAdded {
        /// What.
        owed: Owed,
    },
    /// The streamer has done it.
    OwedDone {
        /// Which.
        id: BallotId,
        /// When.
        at: WallTime,
    },
}

/// A durable event of a room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RoomEvent {
    /// Its place in the sequence.
    pub id: EventId,
    /// When the server took it.
    pub at: WallTime,
    /// What happened.
    pub body: RoomEventBody,
}

/// From a person's client to the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
#[ts(optional_fields)]
pub enum ClientMessage {
    /// The first message.
    Hello {
        /// [`ROOM_PROTOCOL`].
        version: u32,
        /// The session's token; absent for somebody who only watches.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        token: Option<String>,
        /// The last event that the client has, if it was here before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<EventId>,
        /// False for somebody who runs the room and does not watch it, as the studio: they are not counted.
        #[serde(default = "yes", skip_serializing_if = "is_yes")]
        #[ts(as = "Option<bool>", optional)]
        watching: bool,
        /// An overlay's key, in place of a session's token: who has it may read along in this room, and nothing else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        overlay: Option<String>,
    },
    /// Write a danmaku. Sent again with the same `client_ref`, it counts once.
    Danmaku {
        /// The author's own name for it, 1 to [`CLIENT_REF_MAX`] bytes.
        client_ref: String,
        /// The text.
        text: String,
        /// How it moves.
        #[serde(default)]
        #[ts(as = "Option<DanmakuMode>", optional)]
        mode: DanmakuMode,
        /// `#rrggbb`; white if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        color: Option<String>,
    },
    /// Vote in the ballot that is open. An account has one vote: a later one takes its place.
    Vote {
        /// The voter's own name for the message, 1 to [`CLIENT_REF_MAX`] bytes.
        client_ref: String,
        /// In which ballot.
        ballot: BallotId,
        /// For which of its options, counted from 0.
        option: u32,
    },
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde asks")]
const fn is_yes(value: &bool) -> bool {
    *value
}

/// From the room to a person's client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// The answer to `hello`.
    Welcome {
        /// The room now.
        room: Box<RoomView>,
        /// Who the client is; none for somebody who is not logged in.
        you: Option<AccountView>,
        /// True: `events` is all that was missed. False: it is the last few, and whatever the
        /// client kept from before stands beside a hole it must not hide.
        resumed: bool,
        /// Durable events, oldest first.
        events: Vec<RoomEvent>,
        /// The last event's id, for the next `hello`.
        last: EventId,
        /// The ballot that is open.
        #[serde(default)]
        ballot: Option<BallotView>,
        /// What the client's account voted for in it.
        #[serde(default)]
        your_vote: Option<u32>,
        /// What the streamer owes and has not done yet, oldest first.
        #[serde(default)]
        owed: Vec<Owed>,
        /// To the owner: programs that were refused because another publishes, oldest first.
        #[serde(default)]
        waiting: Vec<WaitingPublisher>,
        /// To the owner: the program that was sent away last, unless something was taken since.
        #[serde(default)]
        refused: Option<Box<RefusedPublisher>>,
        /// To the owner: what [`ServerMessage::KeyFrames`] said last.
        #[serde(default)]
        key_frames_far: bool,
        /// The server's clock.
        server_time: WallTime,
    },
    /// Something happened.
    Event {
        /// What.
        event: RoomEvent,
    },
    /// How many people watch; at most twice a second.
    Presence {
        /// People watching now.
        viewers: u32,
    },
    /// The client's message was taken, now or when it was sent before.
    Accepted {
        /// Which.
        client_ref: String,
        /// The event it became.
        id: EventId,
    },
    /// The client's vote is kept, now or when it was sent before.
    Voted {
        /// Which message.
        client_ref: String,
        /// In which ballot.
        ballot: BallotId,
        /// What the account votes for now.
        option: u32,
    },
    /// How the open ballot stands; at most twice a second.
    Tally {
        /// Which.
        ballot: BallotId,
        /// Votes for each option, in the ballot's order.
        votes: Vec<u32>,
    },
    /// The client's message was not taken.
    Refused {
        /// Which, where one was named.
        client_ref: Option<String>,
        /// Why.
        error: ApiError,
    },
    /// To the owner: a program with the right key was refused because another publishes.
    PublisherWaiting {
        /// Which.
        publisher: WaitingPublisher,
    },
    /// To the owner: a program with the right key was sent away, because what it sends is not taken.
    PublisherRefused {
        /// Which, and why.
        publisher: RefusedPublisher,
    },
    /// Somebody has another name from now on: the room's owner, or one of its people.
    Renamed {
        /// By the name that is new.
        person: Person,
    },
    /// To the owner: the key frames of the program that publishes are more than 4 s apart, or no longer are. The
    /// picture after coming back waits for one, and whoever comes in begins at the last.
    KeyFrames {
        /// They are.
        far: bool,
    },
    /// Every 10 s, so that a dead connection is noticed.
    Heartbeat {
        /// The server's clock.
        server_time: WallTime,
    },
}
