//! Recordings of streams, as `/api/v1` tells of them. Times are milliseconds from the beginning of what they are of:
//! the *whole* recording, or what is *played* of it.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::ids::{RoomId, StreamId};
use crate::room::Danmaku;
use crate::time::WallTime;

/// Why a recording is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordingProblem {
    /// The disk was full.
    DiskFull,
    /// The disk refused to take it.
    DiskFailed,
    /// The disk was slower than the stream; pieces are missing.
    TooSlow,
}

/// A recording in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplayView {
    /// The stream's id.
    pub id: StreamId,
    /// The room.
    pub room: RoomId,
    /// As the room was called then.
    pub title: String,
    /// When the stream began.
    pub started_at: WallTime,
    /// When it ended; none while it is being recorded, which only its owner sees.
    pub ended_at: Option<WallTime>,
    /// How long the replay is.
    pub played_ms: i64,
    /// How long the stream was.
    pub whole_ms: i64,
    /// How much of it the streamer was away.
    pub away_ms: i64,
    /// What the owner knows besides.
    pub owner: Option<OwnerOfReplay>,
}

/// What a recording's owner knows of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct OwnerOfReplay {
    /// Bytes on the server's disk.
    pub bytes: u64,
    /// Why it is not complete.
    pub problem: Option<RecordingProblem>,
}

/// The streamer left, or came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplayMoment {
    /// Which of the two.
    pub kind: ReplayMomentKind,
    /// When, in the whole recording.
    pub whole_ms: i64,
    /// When, by the clock.
    pub at: WallTime,
}

/// What happened at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMomentKind {
    /// The streamer left.
    Left,
    /// The streamer came back.
    Back,
}

/// A stretch of the whole recording that is played as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplaySpan {
    /// Where it begins in the whole.
    pub from_ms: i64,
    /// Where it ends there.
    pub to_ms: i64,
    /// Where it begins in what is played.
    pub played_ms: i64,
}

/// A version of a recording that can be watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplayVersion {
    /// The address of its HLS playlist, on the server.
    pub playlist: String,
    /// How long the playlist is.
    pub length_ms: i64,
    /// What the player must play of the playlist, and where; none: all of it.
    pub spans: Option<Vec<ReplaySpan>>,
    /// Files to download.
    pub downloads: Vec<ReplayDownload>,
}

/// A file to download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplayDownload {
    /// Its address, on the server.
    pub url: String,
    /// Width of its pictures.
    pub width: u32,
    /// Height of its pictures.
    pub height: u32,
    /// How long it is.
    pub length_ms: i64,
}

/// A recording: `GET /replays/ID`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct Replay {
    /// As in the list.
    #[serde(flatten)]
    pub view: ReplayView,
    /// When the streamer left and came back.
    pub moments: Vec<ReplayMoment>,
    /// The cut map: what of the whole is played in the replay.
    pub spans: Vec<ReplaySpan>,
    /// The replay.
    pub replay: ReplayVersion,
    /// The whole, for its owner.
    pub full: Option<ReplayVersion>,
}

/// A danmaku where it is played.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplayDanmaku {
    /// When.
    pub played_ms: i64,
    /// What was written.
    pub danmaku: Danmaku,
}

/// Some danmaku of a recording, in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
pub struct ReplayDanmakuPage {
    /// Those that are played.
    pub danmaku: Vec<ReplayDanmaku>,
    /// For `?from=`, if there are more.
    pub next: Option<u32>,
}
