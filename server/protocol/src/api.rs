//! Bodies of the calls under `/api/v1`.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::ids::{AccountId, LeaveId, RoomId};
use crate::problem::Problem;
use crate::room::{Away, Stage};
use crate::time::WallTime;

/// Longest account name, in characters.
pub const NAME_MAX: usize = 24;
/// Shortest password, in characters.
pub const PASSWORD_MIN: usize = 8;
/// Longest password, in bytes: the work of hashing is bounded.
pub const PASSWORD_MAX: usize = 256;
/// Longest room title, in characters.
pub const TITLE_MAX: usize = 80;
/// Longest category, in characters.
pub const CATEGORY_MAX: usize = 24;
/// Most tags of a room.
pub const TAGS_MAX: usize = 8;
/// Longest tag, in characters.
pub const TAG_MAX: usize = 16;

/// What an account may do. A viewer who makes a room is a streamer from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Watches and writes.
    Viewer,
    /// Owns rooms.
    Streamer,
    /// Reviews every room.
    Moderator,
    /// Runs the server.
    Operator,
}

/// An account as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// The name shown to others.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: WallTime,
}

/// An account as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Person {
    /// Its id.
    pub id: AccountId,
    /// The name shown to others.
    pub name: String,
}

/// `POST /accounts` and `POST /sessions`.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct Credentials {
    /// The account's name, 1 to [`NAME_MAX`] characters.
    pub name: String,
    /// The password, [`PASSWORD_MIN`] characters to [`PASSWORD_MAX`] bytes.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    // The password must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The answer to [`Credentials`]: 201.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SessionView {
    /// Who is logged in.
    pub account: AccountView,
    /// For `Authorization: Bearer TOKEN`. Shown once.
    pub token: String,
}

/// `PATCH /accounts/ID`, by the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AccountPatch {
    /// What the account may do from now on.
    pub role: Role,
}

/// `PATCH /me`: what others call the account from now on, and what it logs in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamePatch {
    /// 1 to [`NAME_MAX`] characters.
    pub name: String,
}

/// `PUT /me/password`.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    /// The password up to now.
    pub old: String,
    /// The password from now on, [`PASSWORD_MIN`] characters to [`PASSWORD_MAX`] bytes.
    pub new: String,
}

impl std::fmt::Debug for PasswordChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PasswordChange").finish_non_exhaustive()
    }
}

/// The answer to `POST /accounts/ID/recovery`, by the operator: 201.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct RecoveryCode {
    /// Sets a new password once. Shown once; the server keeps only its hash.
    pub code: String,
    /// When it ends.
    pub expires_at: WallTime,
}

/// `POST /recovery`: a new password for who lost theirs and has a code of the operator's.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecoveryRequest {
    /// The account's name.
    pub name: String,
    /// The code. Hyphens, blanks and case make no difference.
    pub code: String,
    /// The password from now on, [`PASSWORD_MIN`] characters to [`PASSWORD_MAX`] bytes.
    pub password: String,
}

impl std::fmt::Debug for RecoveryRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

/// `DELETE /me`: the account is deleted for good.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountDeletion {
    /// The account's password.
    pub password: String,
}

impl std::fmt::Debug for AccountDeletion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountDeletion").finish_non_exhaustive()
    }
}

/// `POST /setup`: makes the account that calls an operator.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SetupRequest {
    /// The one-time code that the server printed when it first started.
    pub code: String,
}

/// `POST /rooms`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
pub struct NewRoom {
    /// 1 to [`TITLE_MAX`] characters.
    pub title: String,
    /// At most [`CATEGORY_MAX`] characters.
    #[serde(default)]
    pub category: String,
    /// At most [`TAGS_MAX`], each at most [`TAG_MAX`] characters.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// `PATCH /rooms/ID`: what is absent stays.
#[derive(Clone, Debug, Default, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct RoomPatch {
    /// The new title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The new category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The new tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// A room as everybody sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RoomView {
    /// Its id, as in its address.
    pub id: RoomId,
    /// Its title.
    pub title: String,
    /// Its category; may be empty.
    pub category: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Whose it is.
    pub owner: Person,
    /// What viewers are shown.
    pub stage: Stage,
    /// Since when the stage is what it is.
    pub stage_since: WallTime,
    /// Since when the present stream runs.
    pub live_since: Option<WallTime>,
    /// The streamer's stay away, whatever is shown: from leaving until back or the end.
    pub away: Option<Away>,
    /// People watching now.
    pub viewers: u32,
}

/// A room as its owner sees it when it is made: 201.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct OwnedRoom {
    /// What everybody sees.
    #[serde(flatten)]
    pub room: RoomView,
    /// The secret that lets a program publish.
    pub stream_key: String,
    /// Where to publish to, without the key: `rtmp://HOST/live/ROOM`, or `rtmps://` where the question came by HTTPS and
    /// the server takes RTMPS itself.
    pub rtmp_url: String,
}

/// `POST /rooms/ID/leave`: the streamer leaves for a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct LeaveRequest {
    /// Names this stay away, where it is told on another way too; the server makes one if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave_id: Option<LeaveId>,
    /// The sound goes on; it does not if this is absent.
    #[serde(default)]
    #[ts(as = "Option<bool>", optional)]
    pub keep_sound: bool,
    /// What viewers see meanwhile: one of the shelf's or the system's. By rule if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placeholder_id: Option<String>,
    /// When the streamer means to be back. Viewers are told; nothing follows from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_at: Option<WallTime>,
}

/// `PUT /rooms/ID/back_at`: when the streamer, who is away, means to be back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct BackAtRequest {
    /// At most a day ahead; none: no time is told any more.
    pub back_at: Option<WallTime>,
}

/// `POST /rooms/ID/back`: the streamer is back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[ts(optional_fields)]
pub struct BackRequest {
    /// Only from this stay away; from any if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leave_id: Option<LeaveId>,
}

/// A program that asks to publish while another does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct WaitingPublisher {
    /// For `POST /rooms/ID/publishers/PUBLISHER/admit`.
    pub id: String,
    /// What the program calls itself, as it said.
    pub program: String,
    /// Its network address, without the port.
    pub address: String,
    /// When it was refused.
    pub at: WallTime,
}

/// A program with the right key that was sent away, because what it sends is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct RefusedPublisher {
    /// What the program calls itself, as it said.
    pub program: String,
    /// Its network address, without the port.
    pub address: String,
    /// When it was sent away.
    pub at: WallTime,
    /// Why: a sentence in English that says what is taken.
    pub reason: String,
    /// The same, for the interface.
    pub problem: Box<Problem>,
}

/// `POST /rooms/ID/tokens`: a token to watch with, good for minutes and for one room.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct WatchToken {
    /// For `?token=`.
    pub token: String,
    /// When it ends.
    pub expires_at: WallTime,
}

/// `GET /rooms/ID/overlay`: the page that a program like OBS lays over the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct OverlayState {
    /// When its key was made; none: it is switched off.
    pub made_at: Option<WallTime>,
}

/// `POST /rooms/ID/overlay`: a new key for the overlay's address. Shown once.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct OverlayKey {
    /// For the address, after its `#`.
    pub key: String,
    /// When it was made.
    pub made_at: WallTime,
}

/// `GET /rooms/ID/followers`, for the room's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Followers {
    /// How many accounts follow the room.
    pub followers: u32,
}

/// Most bytes that `POST /speed` reads.
pub const SPEED_MAX: u64 = 16 << 20;

/// What `POST /speed` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct SpeedView {
    /// Bytes that came.
    #[ts(type = "number")]
    pub bytes: u64,
    /// Bits a second that came once the connection had got going; 0 where too little came to tell.
    #[ts(type = "number")]
    pub bits_per_second: u64,
}

/// `GET /server`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ServerInfo {
    /// The server's version.
    pub version: String,
    /// Whether anybody may make an account.
    pub registration_open: bool,
    /// Whether no operator exists yet.
    pub setup_needed: bool,
    /// The port that takes RTMP.
    pub rtmp_port: u16,
    /// The port that takes RTMPS; none: it is not served. Who asks by HTTPS publishes there, also through a proxy that ends
    /// HTTPS: the certificate is for the same name.
    #[serde(default)]
    pub rtmps_port: Option<u16>,
}
