//! The durable events of rooms: numbered without holes, once for each `client_ref` of an author.

use mujian_protocol::room::{EventId, RoomEvent, RoomEventBody};
use mujian_protocol::{AccountId, RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::migrations::Migration;
use super::{Store, StoreError, ballots, goodbye, rooms, streams};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sql: "
        CREATE TABLE room_events (
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            epoch INTEGER NOT NULL,
            number INTEGER NOT NULL,
            at INTEGER NOT NULL,
            author_id TEXT REFERENCES accounts (id) ON DELETE CASCADE,
            client_ref TEXT,
            -- A JSON object: RoomEventBody.
            body TEXT NOT NULL CHECK (json_valid(body)),
            PRIMARY KEY (room_id, epoch, number)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX room_events_once ON room_events (room_id, author_id, client_ref) WHERE client_ref IS NOT NULL;
        CREATE INDEX room_events_by_author ON room_events (author_id) WHERE author_id IS NOT NULL;
    ",
}];

/// An event to be numbered.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// When the server took it.
    pub at: WallTime,
    /// Who made it, where somebody did.
    pub author: Option<AccountId>,
    /// The author's own name for it; the same name again is the same event.
    pub client_ref: Option<String>,
    /// What happened.
    pub body: RoomEventBody,
}

/// An event that is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event with its number.
    pub event: RoomEvent,
    /// False: it was there before, by its `client_ref`.
    pub fresh: bool,
}

/// Some events of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<RoomEvent>,
    /// True: there are none between the bound that was asked for and the first of these.
    pub complete: bool,
}

pub(super) fn event(r: &Row<'_>) -> rusqlite::Result<RoomEvent> {
    let body = serde_json::from_str(r.get_ref(3)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(e)))?;
    Ok(RoomEvent { id: id_at(r, 0)?, at: WallTime(r.get(2)?), body })
}

/// Reads epoch and number from a column on.
pub(super) fn id_at(r: &Row<'_>, first: usize) -> rusqlite::Result<EventId> {
    let unsigned = |index: usize| {
        let value: i64 = r.get(index)?;
        u64::try_from(value).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(index, value))
    };
    Ok(EventId { epoch: unsigned(first)?, number: unsigned(first + 1)? })
}

/// As SQLite's integers go; what a client made up may be larger, and is then after everything.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Numbers an event and writes it, with what it means for the room's row and its streams.
pub(super) fn append(c: &Connection, room: &RoomId, new: NewEvent) -> rusqlite::Result<Appended> {
    if let (Some(author), Some(client_ref)) = (&new.author, &new.client_ref) {
        let before = c
            .prepare_cached(
                "SELECT epoch, number, at, body FROM room_events WHERE room_id = ?1 AND author_id = ?2 AND client_ref = ?3",
            )?
            .query_row(params![room.as_str(), author.as_str(), client_ref], event)
            .optional()?;
        if let Some(event) = before {
            return Ok(Appended { event, fresh: false });
        }
    }
    let mut body = new.body;
    if let (Some(author), RoomEventBody::Danmaku(danmaku)) = (&new.author, &mut body)
        && goodbye::is_gone(c, author)?
    {
        danmaku.author.name.clear();
    }
    // Fails if there is no such room.
    let id = c
        .prepare_cached("UPDATE rooms SET last_number = last_number + 1 WHERE id = ?1 RETURNING epoch, last_number")?
        .query_row([room.as_str()], |r| id_at(r, 0))?;
    let text = serde_json::to_string(&body).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    c.prepare_cached(
        "INSERT INTO room_events (room_id, epoch, number, at, author_id, client_ref, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute(params![
        room.as_str(),
        signed(id.epoch),
        signed(id.number),
        new.at.millis(),
        new.author.as_ref().map(AccountId::as_str),
        new.client_ref,
        text
    ])?;
    match &body {
        RoomEventBody::StreamStarted { stream } => streams::start(c, room, stream, new.at)?,
        RoomEventBody::StreamEnded { stream } => streams::end(c, stream, new.at)?,
        RoomEventBody::StageChanged { stage, .. } => {
            c.execute(
                "UPDATE rooms SET stage = ?2, stage_since = iif(stage = ?2, stage_since, ?3) WHERE id = ?1",
                params![room.as_str(), rooms::stage_name(*stage), new.at.millis()],
            )?;
        }
        RoomEventBody::BallotOpened { ballot } => ballots::open(c, room, ballot)?,
        RoomEventBody::BallotClosed { result } => ballots::close(c, result, new.at)?,
        RoomEventBody::OwedDone { id, at } => ballots::done(c, id, *at)?,
        // What is owed is the closed ballot's own winner.
        RoomEventBody::Danmaku(_) | RoomEventBody::RoomChanged { .. } | RoomEventBody::OwedAdded { .. } => {}
    }
    Ok(Appended { event: RoomEvent { id, at: new.at, body }, fresh: true })
}

impl Store {
    /// Numbers events and writes them, all or none, in their order.
    ///
    /// # Errors
    /// The database failed, or there is no such room.
    pub async fn append_events(&self, room: RoomId, new: Vec<NewEvent>) -> Result<Vec<Appended>, StoreError> {
        self.write(move |c| new.into_iter().map(|e| append(c, &room, e)).collect()).await
    }

    /// The events after one and up to another, at most `limit`, the newest if there are more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn events_between(
        &self,
        room: RoomId,
        after: EventId,
        upto: EventId,
        limit: u32,
    ) -> Result<EventPage, StoreError> {
        self.read(move |c| {
            let mut events: Vec<RoomEvent> = c
                .prepare_cached(
                    "SELECT epoch, number, at, body FROM room_events
                     WHERE room_id = ?1 AND (epoch, number) > (?2, ?3) AND (epoch, number) <= (?4, ?5)
                     ORDER BY epoch DESC, number DESC LIMIT ?6",
                )?
                .query_map(
                    params![
                        room.as_str(),
                        signed(after.epoch),
                        signed(after.number),
                        signed(upto.epoch),
                        signed(upto.number),
                        i64::from(limit) + 1
                    ],
                    event,
                )?
                .collect::<Result<_, _>>()?;
            let complete = events.len() <= limit as usize;
            events.truncate(limit as usize);
            events.reverse();
            Ok(EventPage { events, complete })
        })
        .await
    }
}
