//! Further addresses to which rooms are restreamed. They go with their room.
//!
//! The stream keys are kept as they are: the server must send them. The file is readable for the server's user only.

use mujian_media::rtmp::Secret;
use mujian_protocol::export::ExportedRelay;
use mujian_protocol::{RelayId, RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accounts::parsed;
use super::migrations::{Migration, RELAYS};
use super::{Store, StoreError};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: RELAYS,
    sql: "
        CREATE TABLE relays (
            id TEXT PRIMARY KEY,
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            url TEXT NOT NULL,
            stream_key TEXT NOT NULL,
            is_on INTEGER NOT NULL CHECK (is_on IN (0, 1)),
            made_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX relays_by_room ON relays (room_id, made_at, id);
    ",
}];

/// A further address of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRow {
    /// Its id.
    pub id: RelayId,
    /// What its owner calls it.
    pub name: String,
    /// The address, without the key.
    pub url: String,
    /// The stream key there.
    pub key: Secret,
    /// Whether it is published to.
    pub on: bool,
    /// When it was made.
    pub made_at: WallTime,
}

/// What becomes of one; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct RelayChange {
    /// Its name.
    pub name: Option<String>,
    /// Its address.
    pub url: Option<String>,
    /// Its key.
    pub key: Option<Secret>,
    /// Whether it is published to.
    pub on: Option<bool>,
}

/// What came of adding one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayAdded {
    /// It is kept.
    Done,
    /// The room has as many as it may.
    Full,
    /// There is no such room.
    NoRoom,
}

fn row(r: &Row<'_>) -> rusqlite::Result<RelayRow> {
    Ok(RelayRow {
        id: parsed(r, 0)?,
        name: r.get(1)?,
        url: r.get(2)?,
        key: Secret::new(r.get::<_, String>(3)?),
        on: r.get(4)?,
        made_at: WallTime(r.get(5)?),
    })
}

/// For the export: without keys.
pub(super) fn of_room(c: &Connection, room: &RoomId) -> rusqlite::Result<Vec<ExportedRelay>> {
    c.prepare_cached("SELECT name, url, is_on FROM relays WHERE room_id = ?1 ORDER BY made_at, id")?
        .query_map([room.as_str()], |r| Ok(ExportedRelay { name: r.get(0)?, url: r.get(1)?, on: r.get(2)? }))?
        .collect()
}

impl Store {
    /// The further addresses of a room, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn relays(&self, room: RoomId) -> Result<Vec<RelayRow>, StoreError> {
        self.read(move |c| {
            c.prepare_cached(
                "SELECT id, name, url, stream_key, is_on, made_at FROM relays WHERE room_id = ?1 ORDER BY made_at, id",
            )?
            .query_map([room.as_str()], row)?
            .collect()
        })
        .await
    }

    /// Keeps a further address of a room, if it has fewer than `most`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_relay(&self, room: RoomId, new: RelayRow, most: usize) -> Result<RelayAdded, StoreError> {
        self.write(move |c| {
            let known: bool =
                c.query_row("SELECT EXISTS (SELECT 1 FROM rooms WHERE id = ?1)", [room.as_str()], |r| r.get(0))?;
            if !known {
                return Ok(RelayAdded::NoRoom);
            }
            let count: u32 =
                c.query_row("SELECT count(*) FROM relays WHERE room_id = ?1", [room.as_str()], |r| r.get(0))?;
            if count as usize >= most {
                return Ok(RelayAdded::Full);
            }
            c.execute(
                "INSERT INTO relays (id, room_id, name, url, stream_key, is_on, made_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    new.id.as_str(),
                    room.as_str(),
                    new.name,
                    new.url,
                    new.key.expose(),
                    new.on,
                    new.made_at.millis()
                ],
            )?;
            Ok(RelayAdded::Done)
        })
        .await
    }

    /// Changes a further address of a room. None: it has none of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_relay(
        &self,
        room: RoomId,
        id: RelayId,
        change: RelayChange,
    ) -> Result<Option<RelayRow>, StoreError> {
        self.write(move |c| {
            c.prepare_cached(
                "UPDATE relays SET name = coalesce(?3, name), url = coalesce(?4, url),
                     stream_key = coalesce(?5, stream_key), is_on = coalesce(?6, is_on)
                 WHERE room_id = ?1 AND id = ?2
                 RETURNING id, name, url, stream_key, is_on, made_at",
            )?
            .query_row(
                params![
                    room.as_str(),
                    id.as_str(),
                    change.name,
                    change.url,
                    change.key.as_ref().map(Secret::expose),
                    change.on
                ],
                row,
            )
            .optional()
        })
        .await
    }

    /// Forgets a further address of a room. False: it has none of this id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn remove_relay(&self, room: RoomId, id: RelayId) -> Result<bool, StoreError> {
        self.write(move |c| {
            let gone = c.execute("DELETE FROM relays WHERE room_id = ?1 AND id = ?2", [room.as_str(), id.as_str()])?;
            Ok(gone > 0)
        })
        .await
    }
}
