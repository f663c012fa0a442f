//! What the hall has besides the rooms that are live: what is announced for later, and what ended lately.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::api::RoomView;
use crate::ids::StreamId;
use crate::time::WallTime;

/// How far ahead something may be announced, in days.
pub const ANNOUNCED_DAYS_MAX: u32 = 90;

/// A programme that a room's owner announces for later. `PUT /rooms/ID/announcement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Announcement {
    /// When it begins: ahead, by [`ANNOUNCED_DAYS_MAX`] days at most.
    pub at: WallTime,
    /// What it is: 1 to [`TITLE_MAX`](crate::api::TITLE_MAX) characters.
    pub title: String,
}

/// `GET /rooms/ID/announcement`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AnnouncementState {
    /// What is announced; none: nothing, or it is over.
    pub announced: Option<Announcement>,
}

/// What a room announces, in the hall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct AnnouncedProgramme {
    /// The room.
    pub room: RoomView,
    /// What it announces.
    pub announced: Announcement,
}

/// A stream that ended lately, in the hall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct EndedProgramme {
    /// The room.
    pub room: RoomView,
    /// When the stream began.
    pub started_at: WallTime,
    /// When it ended.
    pub ended_at: WallTime,
    /// Its replay, if there is one that can be watched.
    pub replay: Option<EndedReplay>,
}

/// The replay of a stream that ended lately.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct EndedReplay {
    /// Its id.
    pub id: StreamId,
    /// As the room was called when the stream began.
    pub title: String,
    /// How long it is, in milliseconds.
    pub played_ms: i64,
}

/// `GET /hall`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct HallView {
    /// What is announced, the next first.
    pub announced: Vec<AnnouncedProgramme>,
    /// What ended lately, the last first; one for each room.
    pub ended: Vec<EndedProgramme>,
}
