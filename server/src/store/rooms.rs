//! Rooms.
//!
//! The stream key is kept as it is, not hashed: its owner must be able to read it again to set up
//! another program, it opens nothing but publishing to one room, and it can be renewed. The file is
//! readable for the server's user only.

use mujian_protocol::api::Person;
use mujian_protocol::ballot::BallotSettings;
use mujian_protocol::room::{Away, EventId, RoomEventBody, Stage};
use mujian_protocol::{AccountId, RoomId, StreamId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accounts::{self, parsed};
use super::events::{self, NewEvent};
use super::migrations::Migration;
use super::{Appended, Store, StoreError, away, goodbye, search};

pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        sql: "
        CREATE TABLE rooms (
            id TEXT PRIMARY KEY,
            owner_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            title TEXT NOT NULL,
            category TEXT NOT NULL,
            -- A JSON array of strings.
            tags TEXT NOT NULL CHECK (json_valid(tags)),
            stream_key TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            -- The last stage that was told to the room.
            stage TEXT NOT NULL DEFAULT 'off' CHECK (stage IN ('off', 'live', 'away', 'lost', 'covered')),
            stage_since INTEGER NOT NULL,
            -- Where the room's sequence of events stands.
            epoch INTEGER NOT NULL DEFAULT 1,
            last_number INTEGER NOT NULL DEFAULT 0
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX rooms_by_owner ON rooms (owner_id, created_at);
        CREATE INDEX rooms_by_age ON rooms (created_at);
    ",
    },
    Migration {
        version: 2,
        sql: "
        -- What viewers can vote for while the streamer is away, a JSON object: BallotSettings. NULL: as it comes.
        ALTER TABLE rooms ADD COLUMN ballot TEXT CHECK (ballot IS NULL OR json_valid(ballot));
    ",
    },
];

/// A room as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomRow {
    /// Its id.
    pub id: RoomId,
    /// Whose it is.
    pub owner: Person,
    /// Its title.
    pub title: String,
    /// Its category.
    pub category: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The secret to publish with.
    pub stream_key: String,
    /// When it was made.
    pub created_at: WallTime,
    /// The last stage that was told to the room.
    pub stage: Stage,
    /// Since when.
    pub stage_since: WallTime,
    /// The last event.
    pub last: EventId,
    /// The stream that runs, as far as the room was told.
    pub stream: Option<StreamId>,
    /// The streamer's stay away.
    pub away: Option<Away>,
    /// What viewers can vote for then.
    pub ballot: BallotSettings,
}

/// What changes of a room; none: stays.
#[derive(Clone, Debug, Default)]
pub struct RoomUpdate {
    /// The title.
    pub title: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// The tags.
    pub tags: Option<Vec<String>>,
    /// What viewers can vote for. Nobody is told before a ballot is opened.
    pub ballot: Option<BallotSettings>,
}

const SELECT: &str = "SELECT r.id, a.id, a.name, r.title, r.category, r.tags, r.stream_key, r.created_at, r.stage,
    r.stage_since, r.epoch, r.last_number, s.id, r.away_id, r.away_since, r.away_keep_sound, r.away_back_at,
    r.ballot
    FROM rooms r JOIN accounts a ON a.id = r.owner_id LEFT JOIN streams s ON s.room_id = r.id AND s.ended_at IS NULL";

pub(super) fn stage_name(stage: Stage) -> &'static str {
    match stage {
        Stage::Off => "off",
        Stage::Live => "live",
        Stage::Away => "away",
        Stage::Lost => "lost",
        Stage::Covered => "covered",
    }
}

fn stage_of(name: &str) -> Stage {
    match name {
        "live" => Stage::Live,
        "away" => Stage::Away,
        "lost" => Stage::Lost,
        "covered" => Stage::Covered,
        // The table allows no other.
        _ => Stage::Off,
    }
}

fn row(r: &Row<'_>) -> rusqlite::Result<RoomRow> {
    let tags = serde_json::from_str(r.get_ref(5)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Text, Box::new(e)))?;
    let stream = match r.get_ref(12)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(parsed(r, 12)?),
    };
    let ballot = match r.get_ref(17)? {
        rusqlite::types::ValueRef::Null => BallotSettings::default(),
        settings => serde_json::from_str(settings.as_str()?)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(17, rusqlite::types::Type::Text, Box::new(e)))?,
    };
    Ok(RoomRow {
        id: parsed(r, 0)?,
        owner: Person { id: parsed(r, 1)?, name: r.get(2)? },
        title: r.get(3)?,
        category: r.get(4)?,
        tags,
        stream_key: r.get(6)?,
        created_at: WallTime(r.get(7)?),
        stage: stage_of(r.get_ref(8)?.as_str()?),
        stage_since: WallTime(r.get(9)?),
        last: events::id_at(r, 10)?,
        stream,
        away: away::away_at(r, 13)?,
        ballot,
    })
}

pub(super) fn by_id(c: &Connection, id: &RoomId) -> rusqlite::Result<Option<RoomRow>> {
    c.prepare_cached(&format!("{SELECT} WHERE r.id = ?1"))?.query_row([id.as_str()], row).optional()
}

/// An account's rooms, newest first.
pub(super) fn owned(c: &Connection, owner: &AccountId) -> rusqlite::Result<Vec<RoomRow>> {
    c.prepare_cached(&format!("{SELECT} WHERE r.owner_id = ?1 ORDER BY r.created_at DESC, r.id"))?
        .query_map([owner.as_str()], row)?
        .collect()
}

/// The rooms that an account follows, those whose stage changed last first.
pub(super) fn followed(c: &Connection, account: &AccountId, limit: u32) -> rusqlite::Result<Vec<RoomRow>> {
    c.prepare_cached(&format!(
        "{SELECT} JOIN follows f ON f.room_id = r.id WHERE f.account_id = ?1
         ORDER BY r.stage_since DESC, r.id LIMIT ?2"
    ))?
    .query_map(params![account.as_str(), limit], row)?
    .collect()
}

/// Every room there is.
pub(super) fn all(c: &Connection) -> rusqlite::Result<Vec<RoomRow>> {
    c.prepare(&format!("{SELECT} ORDER BY r.created_at, r.id"))?.query_map([], row)?.collect()
}

fn json(tags: &[String]) -> String {
    serde_json::Value::from(tags).to_string()
}

impl Store {
    /// Makes a room for an account that owns fewer than `most`. None: it owns that many already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_room(&self, new: RoomRow, most: u32) -> Result<Option<RoomRow>, StoreError> {
        self.write(move |c| {
            if goodbye::is_gone(c, &new.owner.id)? {
                return Err(rusqlite::Error::QueryReturnedNoRows);
            }
            let owned: u32 =
                c.query_row("SELECT count(*) FROM rooms WHERE owner_id = ?1", [new.owner.id.as_str()], |r| r.get(0))?;
            if owned >= most {
                return Ok(None);
            }
            c.execute(
                "INSERT INTO rooms (id, owner_id, title, category, tags, stream_key, created_at, stage_since)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7)",
                params![
                    new.id.as_str(),
                    new.owner.id.as_str(),
                    new.title,
                    new.category,
                    json(&new.tags),
                    new.stream_key,
                    new.created_at.millis()
                ],
            )?;
            accounts::promote_to_streamer(c, &new.owner.id)?;
            let made = by_id(c, &new.id)?;
            made.iter().try_for_each(|room| search::note(c, room))?;
            Ok(made)
        })
        .await
    }

    /// A room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn room(&self, id: RoomId) -> Result<Option<RoomRow>, StoreError> {
        self.read(move |c| by_id(c, &id)).await
    }

    /// The newest rooms, or an account's, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rooms(&self, owner: Option<AccountId>, limit: u32) -> Result<Vec<RoomRow>, StoreError> {
        self.read(move |c| {
            let owner = owner.as_ref().map(AccountId::as_str);
            let filter = if owner.is_some() { "WHERE r.owner_id = ?1" } else { "WHERE ?1 IS NULL" };
            c.prepare_cached(&format!("{SELECT} {filter} ORDER BY r.created_at DESC, r.id LIMIT ?2"))?
                .query_map(params![owner, limit], row)?
                .collect()
        })
        .await
    }

    /// Changes a room and numbers the event that says so. None: nothing changed.
    ///
    /// # Errors
    /// The database failed, or there is no such room.
    pub async fn update_room(
        &self,
        id: RoomId,
        update: RoomUpdate,
        at: WallTime,
    ) -> Result<(RoomRow, Option<Appended>), StoreError> {
        self.write(move |c| {
            let Some(old) = by_id(c, &id)? else { return Err(rusqlite::Error::QueryReturnedNoRows) };
            let mut new = old.clone();
            new.title = update.title.unwrap_or(new.title);
            new.category = update.category.unwrap_or(new.category);
            new.tags = update.tags.unwrap_or(new.tags);
            if let Some(ballot) = update.ballot {
                let json =
                    serde_json::to_string(&ballot).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
                c.execute("UPDATE rooms SET ballot = ?2 WHERE id = ?1", params![id.as_str(), json])?;
                new.ballot = ballot;
            }
            if (&new.title, &new.category, &new.tags) == (&old.title, &old.category, &old.tags) {
                return Ok((new, None));
            }
            c.execute(
                "UPDATE rooms SET title = ?2, category = ?3, tags = ?4 WHERE id = ?1",
                params![id.as_str(), new.title, new.category, json(&new.tags)],
            )?;
            search::note(c, &new)?;
            let body = RoomEventBody::RoomChanged {
                title: new.title.clone(),
                category: new.category.clone(),
                tags: new.tags.clone(),
            };
            let event = events::append(c, &id, NewEvent { at, author: None, client_ref: None, body })?;
            new.last = event.event.id;
            Ok((new, Some(event)))
        })
        .await
    }

    /// Replaces a room's stream key.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_stream_key(&self, id: RoomId, key: String) -> Result<Option<RoomRow>, StoreError> {
        self.write(move |c| {
            c.execute("UPDATE rooms SET stream_key = ?2 WHERE id = ?1", params![id.as_str(), key])?;
            by_id(c, &id)
        })
        .await
    }
}
