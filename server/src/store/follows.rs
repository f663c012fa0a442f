//! Whom accounts follow: rooms, and since when. A follow goes with its room, and with its account.

use mujian_protocol::export::ExportedFollow;
use mujian_protocol::{AccountId, RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, params};

use super::accounts::parsed;
use super::migrations::{FOLLOWS, Migration};
use super::{RoomRow, Store, StoreError, goodbye, rooms};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: FOLLOWS,
    sql: "
        CREATE TABLE follows (
            account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            since INTEGER NOT NULL,
            PRIMARY KEY (account_id, room_id)
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX follows_by_room ON follows (room_id);
    ",
}];

/// What became of a wish to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Following {
    /// The account follows the room, from now on or before.
    Done,
    /// There is no such room.
    NoRoom,
    /// The room is the account's own.
    Own,
    /// The account follows as many as it may.
    Full,
    /// The account was deleted a moment ago.
    Gone,
}

fn follow(c: &Connection, account: &AccountId, room: &RoomId, at: WallTime, most: u32) -> rusqlite::Result<Following> {
    if goodbye::is_gone(c, account)? {
        return Ok(Following::Gone);
    }
    let owner: Option<String> =
        c.query_row("SELECT owner_id FROM rooms WHERE id = ?1", [room.as_str()], |r| r.get(0)).optional()?;
    let Some(owner) = owner else { return Ok(Following::NoRoom) };
    if owner == account.as_str() {
        return Ok(Following::Own);
    }
    let (all, this): (u32, bool) = c.query_row(
        "SELECT count(*), coalesce(max(room_id = ?2), 0) FROM follows WHERE account_id = ?1",
        [account.as_str(), room.as_str()],
        |r| Ok((r.get(0)?, r.get(1)?)),
    )?;
    if this {
        return Ok(Following::Done);
    }
    if all >= most {
        return Ok(Following::Full);
    }
    c.execute(
        "INSERT INTO follows (account_id, room_id, since) VALUES (?1, ?2, ?3)",
        params![account.as_str(), room.as_str(), at.millis()],
    )?;
    Ok(Following::Done)
}

/// For an account's export, the oldest first.
pub(super) fn exported(c: &Connection, account: &AccountId) -> rusqlite::Result<Vec<ExportedFollow>> {
    c.prepare_cached(
        "SELECT r.id, r.title, f.since FROM follows f JOIN rooms r ON r.id = f.room_id
         WHERE f.account_id = ?1 ORDER BY f.since, r.id",
    )?
    .query_map([account.as_str()], |r| {
        Ok(ExportedFollow { room: parsed(r, 0)?, title: r.get(1)?, since: WallTime(r.get(2)?) })
    })?
    .collect()
}

/// An account that is deleted leaves a row, so what it follows does not go with that.
pub(super) fn delete_all(c: &Connection, account: &AccountId) -> rusqlite::Result<()> {
    c.execute("DELETE FROM follows WHERE account_id = ?1", [account.as_str()]).map(drop)
}

impl Store {
    /// Has an account follow a room, unless it follows `most` others. Twice is as once.
    ///
    /// # Errors
    /// The database failed.
    pub async fn follow(
        &self,
        account: AccountId,
        room: RoomId,
        at: WallTime,
        most: u32,
    ) -> Result<Following, StoreError> {
        self.write(move |c| follow(c, &account, &room, at, most)).await
    }

    /// Ends it, if it was so.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unfollow(&self, account: AccountId, room: RoomId) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute("DELETE FROM follows WHERE account_id = ?1 AND room_id = ?2", [account.as_str(), room.as_str()])
                .map(drop)
        })
        .await
    }

    /// The rooms that an account follows, `limit` at most: those whose stage changed last first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn followed(&self, account: AccountId, limit: u32) -> Result<Vec<RoomRow>, StoreError> {
        self.read(move |c| rooms::followed(c, &account, limit)).await
    }

    /// How many follow a room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn followers(&self, room: RoomId) -> Result<u32, StoreError> {
        self.read(move |c| {
            c.prepare_cached("SELECT count(*) FROM follows WHERE room_id = ?1")?
                .query_row([room.as_str()], |r| r.get(0))
        })
        .await
    }
}
