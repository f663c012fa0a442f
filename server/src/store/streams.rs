//! Streams: from going live to the end, one row each, written with the events that say so.

use mujian_protocol::{RoomId, StreamId, WallTime};
use rusqlite::{Connection, params};

use super::accounts::parsed;
use super::migrations::Migration;
use super::{RoomRow, Store, StoreError, rooms};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sql: "
        CREATE TABLE streams (
            id TEXT PRIMARY KEY,
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            started_at INTEGER NOT NULL,
            ended_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX streams_by_room ON streams (room_id, started_at);
        CREATE UNIQUE INDEX streams_open ON streams (room_id) WHERE ended_at IS NULL;
    ",
}];

/// A stream of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// Its id.
    pub id: StreamId,
    /// When it began.
    pub started_at: WallTime,
    /// When it ended; none while it runs.
    pub ended_at: Option<WallTime>,
}

/// A stream that ended, with its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedStream {
    /// Its id.
    pub id: StreamId,
    /// The room, as it is now.
    pub room: RoomRow,
    /// When it began.
    pub started_at: WallTime,
    /// When it ended.
    pub ended_at: WallTime,
}

/// Notes a beginning. One that is still open ends: a room has one stream at a time.
pub(super) fn start(c: &Connection, room: &RoomId, stream: &StreamId, at: WallTime) -> rusqlite::Result<()> {
    c.execute(
        "UPDATE streams SET ended_at = ?2 WHERE room_id = ?1 AND ended_at IS NULL",
        params![room.as_str(), at.millis()],
    )?;
    c.execute(
        "INSERT INTO streams (id, room_id, started_at) VALUES (?1, ?2, ?3)",
        params![stream.as_str(), room.as_str(), at.millis()],
    )?;
    Ok(())
}

/// Notes an end.
pub(super) fn end(c: &Connection, stream: &StreamId, at: WallTime) -> rusqlite::Result<()> {
    c.execute(
        "UPDATE streams SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL",
        params![stream.as_str(), at.millis()],
    )?;
    Ok(())
}

impl Store {
    /// The last stream of each room in which none runs, of those that ended after `since`; the last end first, `limit` at
    /// most.
    ///
    /// # Errors
    /// The database failed.
    pub async fn ended_since(&self, since: WallTime, limit: u32) -> Result<Vec<EndedStream>, StoreError> {
        self.read(move |c| {
            // Of the row that has the maximum come the other columns too (SQLite's "Bare columns in an aggregate query").
            let found: Vec<(RoomId, StreamId, i64, i64)> = c
                .prepare_cached(
                    "SELECT room_id, id, started_at, max(ended_at) FROM streams s WHERE ended_at > ?1 AND NOT EXISTS
                     (SELECT 1 FROM streams o WHERE o.room_id = s.room_id AND o.ended_at IS NULL)
                     GROUP BY room_id ORDER BY max(ended_at) DESC, room_id LIMIT ?2",
                )?
                .query_map(params![since.millis(), limit], |r| {
                    Ok((parsed(r, 0)?, parsed(r, 1)?, r.get(2)?, r.get(3)?))
                })?
                .collect::<Result<_, _>>()?;
            let mut ended = Vec::with_capacity(found.len());
            for (room, id, started_at, ended_at) in found {
                let (started_at, ended_at) = (WallTime(started_at), WallTime(ended_at));
                ended.extend(rooms::by_id(c, &room)?.map(|room| EndedStream { id, room, started_at, ended_at }));
            }
            Ok(ended)
        })
        .await
    }

    /// The last streams of a room, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn streams(&self, room: RoomId, limit: u32) -> Result<Vec<StreamRow>, StoreError> {
        self.read(move |c| {
            c.prepare_cached(
                "SELECT id, started_at, ended_at FROM streams WHERE room_id = ?1 ORDER BY started_at DESC, id DESC LIMIT ?2",
            )?
            .query_map(params![room.as_str(), limit], |r| {
                Ok(StreamRow {
                    id: parsed(r, 0)?,
                    started_at: WallTime(r.get(1)?),
                    ended_at: r.get::<_, Option<i64>>(2)?.map(WallTime),
                })
            })?
            .collect()
        })
        .await
    }
}
