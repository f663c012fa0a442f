//! Keys of overlays: one for each room, and only its hash. It goes with its room.

use mujian_protocol::{RoomId, WallTime};
use rusqlite::{OptionalExtension, params};

use super::migrations::{Migration, OVERLAYS};
use super::{Store, StoreError};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: OVERLAYS,
    sql: "
        CREATE TABLE overlays (
            room_id TEXT PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
            key_hash BLOB NOT NULL CHECK (length(key_hash) = 32),
            made_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
}];

/// What is kept of an overlay's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverlayRow {
    /// Its hash.
    pub key_hash: [u8; 32],
    /// When it was made.
    pub made_at: WallTime,
}

impl Store {
    /// A room's overlay, if it is switched on.
    ///
    /// # Errors
    /// The database failed.
    pub async fn overlay(&self, room: RoomId) -> Result<Option<OverlayRow>, StoreError> {
        self.read(move |c| {
            c.prepare_cached("SELECT key_hash, made_at FROM overlays WHERE room_id = ?1")?
                .query_row([room.as_str()], |r| Ok(OverlayRow { key_hash: r.get(0)?, made_at: WallTime(r.get(1)?) }))
                .optional()
        })
        .await
    }

    /// Keeps a key in place of an older one; without one the overlay is switched off. False: there is no such room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_overlay(&self, room: RoomId, overlay: Option<OverlayRow>) -> Result<bool, StoreError> {
        self.write(move |c| {
            let known: bool =
                c.query_row("SELECT EXISTS (SELECT 1 FROM rooms WHERE id = ?1)", [room.as_str()], |r| r.get(0))?;
            match overlay {
                Some(row) if known => c.execute(
                    "INSERT INTO overlays (room_id, key_hash, made_at) VALUES (?1, ?2, ?3)
                     ON CONFLICT (room_id) DO UPDATE SET key_hash = excluded.key_hash, made_at = excluded.made_at",
                    params![room.as_str(), row.key_hash, row.made_at.millis()],
                )?,
                _ => c.execute("DELETE FROM overlays WHERE room_id = ?1", [room.as_str()])?,
            };
            Ok(known)
        })
        .await
    }
}
