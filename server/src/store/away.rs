//! The fact that a streamer is away: on the disk before anybody is told that it holds, and gone from it
//! before a picture may come in again.

use mujian_protocol::room::Away;
use mujian_protocol::{RoomId, WallTime};
use rusqlite::{Row, params};

use super::accounts::parsed;
use super::migrations::Migration;
use super::{Store, StoreError};

pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 2,
        sql: "
        -- The streamer's stay away: all three, or none.
        ALTER TABLE rooms ADD COLUMN away_id TEXT;
        ALTER TABLE rooms ADD COLUMN away_since INTEGER;
        ALTER TABLE rooms ADD COLUMN away_keep_sound INTEGER;
    ",
    },
    Migration {
        version: super::migrations::PLACEHOLDERS,
        sql: "
        -- When the streamer means to be back, if that was said.
        ALTER TABLE rooms ADD COLUMN away_back_at INTEGER;
    ",
    },
];

/// Reads `away_id, away_since, away_keep_sound, away_back_at` from a column on.
pub(super) fn away_at(r: &Row<'_>, first: usize) -> rusqlite::Result<Option<Away>> {
    if matches!(r.get_ref(first)?, rusqlite::types::ValueRef::Null) {
        return Ok(None);
    }
    Ok(Some(Away {
        leave_id: parsed(r, first)?,
        since: WallTime(r.get(first + 1)?),
        keep_sound: r.get(first + 2)?,
        back_at: r.get::<_, Option<i64>>(first + 3)?.map(WallTime),
    }))
}

impl Store {
    /// Keeps that a room's streamer is away.
    ///
    /// # Errors
    /// The database failed, or there is no such room.
    pub async fn set_away(&self, room: RoomId, away: Away) -> Result<(), StoreError> {
        self.write(move |c| {
            let found = c.execute(
                "UPDATE rooms SET away_id = ?2, away_since = ?3, away_keep_sound = ?4, away_back_at = ?5 WHERE id = ?1",
                params![
                    room.as_str(),
                    away.leave_id.as_str(),
                    away.since.millis(),
                    away.keep_sound,
                    away.back_at.map(WallTime::millis)
                ],
            )?;
            if found == 1 { Ok(()) } else { Err(rusqlite::Error::QueryReturnedNoRows) }
        })
        .await
    }

    /// Forgets that a room's streamer is away.
    ///
    /// # Errors
    /// The database failed.
    pub async fn clear_away(&self, room: RoomId) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "UPDATE rooms SET away_id = NULL, away_since = NULL, away_keep_sound = NULL, away_back_at = NULL
                 WHERE id = ?1",
                [room.as_str()],
            )?;
            Ok(())
        })
        .await
    }
}
