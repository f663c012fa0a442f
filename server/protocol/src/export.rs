//! What a server holds of an account, for its owner to take along.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::api::AccountView;
use crate::ballot::{BallotSettings, Interaction};
use crate::hall::Announcement;
use crate::ids::{BallotId, RoomId, StreamId};
use crate::placeholder::PlaceholderView;
use crate::room::DanmakuMode;
use crate::time::WallTime;

/// Version of [`AccountExport`].
pub const EXPORT_FORMAT: u32 = 1;
/// Most danmaku, and most votes, of one export: the newest.
pub const EXPORT_MAX: usize = 200_000;

/// `GET /me/export`. Passwords, session tokens and stream keys are left out: they are secrets, not data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct AccountExport {
    /// Version of this form.
    pub format: u32,
    /// When it was made.
    pub made_at: WallTime,
    /// The account.
    pub account: AccountView,
    /// Its uploads are shown without a moderator's word.
    pub trusted: bool,
    /// Where it is logged in.
    pub sessions: Vec<ExportedSession>,
    /// Its rooms, the oldest first.
    pub rooms: Vec<ExportedRoom>,
    /// The rooms that it follows, the oldest follow first.
    pub follows: Vec<ExportedFollow>,
    /// What it wrote, in whatever room, the newest first.
    pub danmaku: Vec<ExportedDanmaku>,
    /// What it voted for, the newest first.
    pub votes: Vec<ExportedVote>,
    /// False: there are more danmaku or votes than are taken along.
    pub complete: bool,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedSession {
    /// When it began.
    pub created_at: WallTime,
    /// When it ends, unless it is used before.
    pub expires_at: WallTime,
}

/// A room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedRoom {
    /// Its id.
    pub id: RoomId,
    /// Its title.
    pub title: String,
    /// Its category.
    pub category: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: WallTime,
    /// What viewers can vote for.
    pub ballot: BallotSettings,
    /// What it announced last.
    pub announced: Option<Announcement>,
    /// Its streams, the oldest first.
    pub streams: Vec<ExportedStream>,
    /// What is kept of them, the oldest first. The files are downloaded from the room's page.
    pub recordings: Vec<ExportedRecording>,
    /// Its shelf. The files are downloaded from there.
    pub placeholders: Vec<PlaceholderView>,
    /// Where it is restreamed to.
    pub relays: Vec<ExportedRelay>,
}

/// A further address to which a room is restreamed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedRelay {
    /// What its owner calls it.
    pub name: String,
    /// The address, without the key.
    pub url: String,
    /// Whether it is switched on.
    pub on: bool,
}

/// A room that the account follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedFollow {
    /// The room's id.
    pub room: RoomId,
    /// The room's title.
    pub title: String,
    /// Since when.
    pub since: WallTime,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedStream {
    /// Its id.
    pub id: StreamId,
    /// When it began.
    pub started_at: WallTime,
    /// When it ended, if it has.
    pub ended_at: Option<WallTime>,
}

/// A recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedRecording {
    /// Its stream's id.
    pub id: StreamId,
    /// As the room was called then.
    pub title: String,
    /// When it began.
    pub started_at: WallTime,
    /// How long it is, in milliseconds.
    pub whole_ms: i64,
    /// Its bytes on the server's disk.
    pub bytes: u64,
}

/// A danmaku.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedDanmaku {
    /// In which room.
    pub room: RoomId,
    /// When.
    pub at: WallTime,
    /// Its words.
    pub text: String,
    /// How it moves.
    pub mode: DanmakuMode,
    /// Its colour.
    pub color: String,
}

/// A vote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ExportedVote {
    /// In which ballot.
    pub ballot: BallotId,
    /// Of which room.
    pub room: RoomId,
    /// When the ballot was opened.
    pub opened_at: WallTime,
    /// For what.
    pub choice: Interaction,
}
