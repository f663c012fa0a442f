//! Recordings of streams: what there is, beside the files that hold it.

use mujian_protocol::room::RoomEvent;
use mujian_protocol::{AccountId, RoomId, StreamId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accounts::parsed;
use super::migrations::Migration;
use super::{Store, StoreError, events};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: super::migrations::RECORDINGS,
    sql: "
        CREATE TABLE recordings (
            -- The stream's id.
            id TEXT PRIMARY KEY,
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            -- As the room was called when the stream began.
            title TEXT NOT NULL,
            started_at INTEGER NOT NULL,
            -- None while it is being made.
            ended_at INTEGER,
            -- Milliseconds of the whole, and of what was shown while the streamer was away.
            duration INTEGER NOT NULL DEFAULT 0,
            away INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            -- Why it is not complete.
            problem TEXT CHECK (problem IN ('disk_full', 'disk_failed', 'too_slow'))
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX recordings_by_room ON recordings (room_id, started_at);
        CREATE INDEX recordings_by_age ON recordings (started_at);
        CREATE INDEX room_events_by_time ON room_events (room_id, at);
    ",
}];

/// Why a recording is not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The disk was full.
    DiskFull,
    /// The disk refused to take it.
    DiskFailed,
    /// The disk was slower than the stream; pieces are missing.
    TooSlow,
}

impl Problem {
    fn name(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::DiskFailed => "disk_failed",
            Self::TooSlow => "too_slow",
        }
    }

    fn of(name: &str) -> Self {
        match name {
            "disk_full" => Self::DiskFull,
            "too_slow" => Self::TooSlow,
            // The table allows no other.
            _ => Self::DiskFailed,
        }
    }
}

/// A recording as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingRow {
    /// The stream's id.
    pub id: StreamId,
    /// The room.
    pub room: RoomId,
    /// Whose the room is.
    pub owner: AccountId,
    /// As the room was called when the stream began.
    pub title: String,
    /// When the stream began.
    pub started_at: WallTime,
    /// When the recording ended; none while it is being made.
    pub ended_at: Option<WallTime>,
    /// Milliseconds of the whole.
    pub duration: i64,
    /// Milliseconds of it that were shown while the streamer was away.
    pub away: i64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Why it is not complete.
    pub problem: Option<Problem>,
}

/// How far a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingProgress {
    /// Milliseconds of the whole.
    pub duration: i64,
    /// Milliseconds away.
    pub away: i64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// When it ended, if it has.
    pub ended_at: Option<WallTime>,
    /// Why it is not complete.
    pub problem: Option<Problem>,
}

const SELECT: &str =
    "SELECT v.id, v.room_id, r.owner_id, v.title, v.started_at, v.ended_at, v.duration, v.away, v.bytes,
    v.problem FROM recordings v JOIN rooms r ON r.id = v.room_id";

fn row(r: &Row<'_>) -> rusqlite::Result<RecordingRow> {
    Ok(RecordingRow {
        id: parsed(r, 0)?,
        room: parsed(r, 1)?,
        owner: parsed(r, 2)?,
        title: r.get(3)?,
        started_at: WallTime(r.get(4)?),
        ended_at: r.get::<_, Option<i64>>(5)?.map(WallTime),
        duration: r.get(6)?,
        away: r.get(7)?,
        bytes: u64::try_from(r.get::<_, i64>(8)?).unwrap_or(0),
        problem: r.get::<_, Option<String>>(9)?.map(|name| Problem::of(&name)),
    })
}

fn by_id(c: &Connection, id: &StreamId) -> rusqlite::Result<Option<RecordingRow>> {
    c.prepare_cached(&format!("{SELECT} WHERE v.id = ?1"))?.query_row([id.as_str()], row).optional()
}

/// The recordings of a room, newest first.
pub(super) fn of_room(c: &Connection, room: &RoomId, limit: u32) -> rusqlite::Result<Vec<RecordingRow>> {
    c.prepare_cached(&format!("{SELECT} WHERE v.room_id = ?1 ORDER BY v.started_at DESC, v.id DESC LIMIT ?2"))?
        .query_map(params![room.as_str(), limit], row)?
        .collect()
}

impl Store {
    /// Notes that a stream is being recorded.
    ///
    /// # Errors
    /// The database failed, or there is no such room.
    pub async fn begin_recording(&self, id: StreamId, room: RoomId, at: WallTime) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "INSERT INTO recordings (id, room_id, title, started_at) SELECT ?1, id, title, ?3 FROM rooms WHERE id = ?2",
                params![id.as_str(), room.as_str(), at.millis()],
            )
            .map(drop)
        })
        .await
    }

    /// Notes how far a recording is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_recording(&self, id: StreamId, progress: RecordingProgress) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "UPDATE recordings SET duration = ?2, away = ?3, bytes = ?4, ended_at = ?5, problem = ?6 WHERE id = ?1",
                params![
                    id.as_str(),
                    progress.duration,
                    progress.away,
                    i64::try_from(progress.bytes).unwrap_or(i64::MAX),
                    progress.ended_at.map(WallTime::millis),
                    progress.problem.map(Problem::name)
                ],
            )
            .map(drop)
        })
        .await
    }

    /// A recording.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recording(&self, id: StreamId) -> Result<Option<RecordingRow>, StoreError> {
        self.read(move |c| by_id(c, &id)).await
    }

    /// The recordings of a room, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recordings(&self, room: RoomId, limit: u32) -> Result<Vec<RecordingRow>, StoreError> {
        self.read(move |c| of_room(c, &room, limit)).await
    }

    /// All recordings, oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all_recordings(&self) -> Result<Vec<RecordingRow>, StoreError> {
        self.read(|c| c.prepare_cached(&format!("{SELECT} ORDER BY v.started_at, v.id"))?.query_map([], row)?.collect())
            .await
    }

    /// Forgets a recording.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_recording(&self, id: StreamId) -> Result<(), StoreError> {
        self.write(move |c| c.execute("DELETE FROM recordings WHERE id = ?1", [id.as_str()]).map(drop)).await
    }

    /// The danmaku of a room that were written in a stretch of time, oldest first, leaving out the first `skip`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn danmaku_between(
        &self,
        room: RoomId,
        (from, to): (WallTime, WallTime),
        (skip, limit): (u32, u32),
    ) -> Result<Vec<RoomEvent>, StoreError> {
        self.read(move |c| {
            c.prepare_cached(
                "SELECT epoch, number, at, body FROM room_events
                 WHERE room_id = ?1 AND at BETWEEN ?2 AND ?3 AND body ->> 'kind' = 'danmaku'
                 ORDER BY at, epoch, number LIMIT ?5 OFFSET ?4",
            )?
            .query_map(params![room.as_str(), from.millis(), to.millis(), skip, limit], events::event)?
            .collect()
        })
        .await
    }
}
