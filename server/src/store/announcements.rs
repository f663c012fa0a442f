//! What rooms announce for later: one programme each, which goes with its room.

use mujian_protocol::hall::Announcement;
use mujian_protocol::{RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::migrations::{ANNOUNCEMENTS, Migration};
use super::{RoomRow, Store, StoreError, rooms};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: ANNOUNCEMENTS,
    sql: "
        CREATE TABLE announcements (
            room_id TEXT PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
            at INTEGER NOT NULL,
            title TEXT NOT NULL,
            -- A stream that ran before is not what is announced.
            made_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX announcements_by_time ON announcements (at);
        CREATE INDEX streams_by_end ON streams (ended_at);
    ",
}];

/// Whether `a` is not over at `?1`: it is an hour after its time, and from an hour before it with the first stream that
/// begins.
const STANDS: &str = "a.at > ?1 - 3600000 AND NOT EXISTS (SELECT 1 FROM streams s WHERE s.room_id = a.room_id
    AND s.started_at > a.made_at AND s.started_at >= a.at - 3600000)";

fn announcement(r: &Row<'_>) -> rusqlite::Result<Announcement> {
    Ok(Announcement { at: WallTime(r.get("at")?), title: r.get("title")? })
}

/// For an export: what was announced last, whatever became of it.
pub(super) fn exported(c: &Connection, room: &RoomId) -> rusqlite::Result<Option<Announcement>> {
    c.prepare_cached("SELECT at, title FROM announcements WHERE room_id = ?1")?
        .query_row([room.as_str()], announcement)
        .optional()
}

impl Store {
    /// What a room announces, unless it is over at `now`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn announcement(&self, room: RoomId, now: WallTime) -> Result<Option<Announcement>, StoreError> {
        self.read(move |c| {
            c.prepare_cached(&format!("SELECT at, title FROM announcements a WHERE a.room_id = ?2 AND {STANDS}"))?
                .query_row(params![now.millis(), room.as_str()], announcement)
                .optional()
        })
        .await
    }

    /// Announces something in place of what was announced before, or nothing. False: there is no such room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_announcement(
        &self,
        room: RoomId,
        announced: Option<Announcement>,
        now: WallTime,
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let known: bool =
                c.query_row("SELECT EXISTS (SELECT 1 FROM rooms WHERE id = ?1)", [room.as_str()], |r| r.get(0))?;
            match announced {
                Some(new) if known => c.execute(
                    "INSERT INTO announcements (room_id, at, title, made_at) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (room_id)
                     DO UPDATE SET at = excluded.at, title = excluded.title, made_at = excluded.made_at",
                    params![room.as_str(), new.at.millis(), new.title, now.millis()],
                )?,
                _ => c.execute("DELETE FROM announcements WHERE room_id = ?1", [room.as_str()])?,
            };
            Ok(known)
        })
        .await
    }

    /// What is announced by rooms in which no stream runs, the next first, `limit` at most.
    ///
    /// # Errors
    /// The database failed.
    pub async fn announced(&self, now: WallTime, limit: u32) -> Result<Vec<(RoomRow, Announcement)>, StoreError> {
        self.read(move |c| {
            let found: Vec<(RoomId, Announcement)> = c
                .prepare_cached(&format!(
                    "SELECT room_id, at, title FROM announcements a WHERE {STANDS}
                     AND NOT EXISTS (SELECT 1 FROM streams s WHERE s.room_id = a.room_id AND s.ended_at IS NULL)
                     ORDER BY at, room_id LIMIT ?2"
                ))?
                .query_map(params![now.millis(), limit], |r| Ok((super::accounts::parsed(r, 0)?, announcement(r)?)))?
                .collect::<Result<_, _>>()?;
            let mut rows = Vec::with_capacity(found.len());
            for (id, announced) in found {
                rows.extend(rooms::by_id(c, &id)?.map(|room| (room, announced)));
            }
            Ok(rows)
        })
        .await
    }
}
