//! The index by which rooms are found, kept in step with what it tells of in the same transaction.
//!
//! SQLite's FTS5, without a copy of the texts: [`crate::search`] decides what stands in it and what is asked of it.

use mujian_protocol::{AccountId, RoomId};
use rusqlite::{Connection, OptionalExtension, params};

use super::migrations::{Migration, SEARCH};
use super::rooms::{self, RoomRow};
use super::{Store, StoreError};
use crate::search::{EDITION, indexed};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: SEARCH,
    sql: "
        -- The numbers by which the index knows rooms.
        CREATE TABLE search_rooms (
            number INTEGER PRIMARY KEY,
            room_id TEXT NOT NULL UNIQUE REFERENCES rooms (id) ON DELETE CASCADE
        ) STRICT;
        CREATE VIRTUAL TABLE search_words USING fts5 (
            title, tags, category, name,
            content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
        );
        CREATE TRIGGER search_rooms_gone AFTER DELETE ON search_rooms
        BEGIN DELETE FROM search_words WHERE rowid = old.number; END;
    ",
}];

/// What the index was written by, in `meta`.
const WRITTEN: &str = "search_edition";

/// Between two tags: a word that nobody can ask for, so that nothing is found which begins in one and ends in the next.
const APART: &str = " \u{e000} ";

/// Puts what a room can be found by into the index, in place of what was there.
pub(super) fn note(c: &Connection, room: &RoomRow) -> rusqlite::Result<()> {
    c.prepare_cached("INSERT INTO search_rooms (room_id) VALUES (?1) ON CONFLICT (room_id) DO NOTHING")?
        .execute([room.id.as_str()])?;
    c.prepare_cached(
        "INSERT OR REPLACE INTO search_words (rowid, title, tags, category, name)
         SELECT number, ?2, ?3, ?4, ?5 FROM search_rooms WHERE room_id = ?1",
    )?
    .execute(params![
        room.id.as_str(),
        indexed(&room.title),
        room.tags.iter().map(|tag| indexed(tag)).collect::<Vec<_>>().join(APART),
        indexed(&room.category),
        indexed(&room.owner.name),
    ])?;
    Ok(())
}

/// The same for all rooms of an account, which has another name.
pub(super) fn renamed(c: &Connection, owner: &AccountId) -> rusqlite::Result<()> {
    rooms::owned(c, owner)?.iter().try_for_each(|room| note(c, room))
}

/// Writes the index anew if another edition of it, or none, was written.
pub(super) fn prepare(c: &Connection) -> rusqlite::Result<()> {
    let written: Option<u32> =
        c.query_row("SELECT value FROM meta WHERE key = ?1", [WRITTEN], |r| r.get(0)).optional()?;
    if written == Some(EDITION) {
        return Ok(());
    }
    c.execute("DELETE FROM search_rooms", [])?;
    rooms::all(c)?.iter().try_for_each(|room| note(c, room))?;
    c.execute(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![WRITTEN, EDITION],
    )?;
    tracing::info!("The index of rooms was written anew.");
    Ok(())
}

impl Store {
    /// Rooms that a question of [`crate::search::question`] finds, the best first: a name or a title weighs more than a tag,
    /// and that more than the category.
    ///
    /// # Errors
    /// The database failed.
    pub async fn search_rooms(&self, question: String, limit: u32) -> Result<Vec<RoomRow>, StoreError> {
        self.read(move |c| {
            let found: Vec<RoomId> = c
                .prepare_cached(
                    "SELECT n.room_id FROM search_words JOIN search_rooms n ON n.number = search_words.rowid
                     WHERE search_words MATCH ?1 ORDER BY bm25(search_words, 8.0, 6.0, 3.0, 10.0), n.number DESC LIMIT ?2",
                )?
                .query_map(params![question, limit], |r| super::accounts::parsed(r, 0))?
                .collect::<Result<_, _>>()?;
            let mut rows = Vec::with_capacity(found.len());
            for id in found {
                rows.extend(rooms::by_id(c, &id)?);
            }
            Ok(rows)
        })
        .await
    }
}
