//! Ballots, their votes, and what is owed by them. A ballot is written with the events that say so.
//!
//! Every change of a vote is a row, in the order in which it counted: who reached a number first can
//! be told again after a restart. An account has one vote that stands, by an index that allows no
//! other. When a ballot is closed only those stay.

use mujian_protocol::ballot::{BallotOption, BallotResult, BallotView, Interaction, Owed};
use mujian_protocol::room::RoomEventBody;
use mujian_protocol::{AccountId, BallotId, RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accounts::parsed;
use super::events::{self, NewEvent};
use super::migrations::Migration;
use super::{Appended, Store, StoreError};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 2,
    sql: "
        CREATE TABLE ballots (
            id TEXT PRIMARY KEY,
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            opened_at INTEGER NOT NULL,
            closes_at INTEGER,
            -- A JSON array of Interaction.
            options TEXT NOT NULL CHECK (json_valid(options)),
            closed_at INTEGER,
            -- The option that won, its votes, and whether others had as many: what is owed until it is done.
            winner INTEGER,
            votes INTEGER,
            tie INTEGER,
            done_at INTEGER
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX ballots_open ON ballots (room_id) WHERE closed_at IS NULL;
        CREATE INDEX ballots_owed ON ballots (room_id, closed_at) WHERE winner IS NOT NULL AND done_at IS NULL;
        CREATE TABLE votes (
            ballot_id TEXT NOT NULL REFERENCES ballots (id) ON DELETE CASCADE,
            -- In which order the votes counted.
            number INTEGER NOT NULL,
            account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            option INTEGER NOT NULL,
            -- 0: the account changed its mind later.
            stands INTEGER NOT NULL CHECK (stands IN (0, 1)),
            PRIMARY KEY (ballot_id, number)
        ) STRICT, WITHOUT ROWID;
        CREATE UNIQUE INDEX votes_once ON votes (ballot_id, account_id) WHERE stands = 1;
        CREATE INDEX votes_by_account ON votes (account_id);
    ",
}];

/// A ballot that is open, as it is on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BallotRow {
    /// What it is on; the votes are not counted in it.
    pub ballot: BallotView,
    /// Who voted for which option, in the order in which it counted; a later one takes an earlier one's place.
    pub votes: Vec<(AccountId, u32)>,
}

/// What became of something owed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// It is done now.
    Done(Appended),
    /// It was done before.
    Already,
    /// The room owes no such thing.
    Unknown,
}

pub(super) fn options(r: &Row<'_>, index: usize) -> rusqlite::Result<Vec<Interaction>> {
    serde_json::from_str(r.get_ref(index)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(e)))
}

/// Notes that a ballot is open.
pub(super) fn open(c: &Connection, room: &RoomId, ballot: &BallotView) -> rusqlite::Result<()> {
    let options: Vec<&Interaction> = ballot.options.iter().map(|o| &o.interaction).collect();
    let options = serde_json::to_string(&options).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    c.execute(
        "INSERT INTO ballots (id, room_id, opened_at, closes_at, options) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            ballot.id.as_str(),
            room.as_str(),
            ballot.opened_at.millis(),
            ballot.closes_at.map(WallTime::millis),
            options
        ],
    )?;
    Ok(())
}

/// Notes what came out of a ballot.
pub(super) fn close(c: &Connection, result: &BallotResult, at: WallTime) -> rusqlite::Result<()> {
    let votes = result.winner.and_then(|w| result.options.get(w as usize)).map(|o| o.votes);
    c.execute(
        "UPDATE ballots SET closed_at = ?2, winner = ?3, votes = ?4, tie = ?5 WHERE id = ?1 AND closed_at IS NULL",
        params![result.id.as_str(), at.millis(), result.winner, votes, result.tie],
    )?;
    c.execute("DELETE FROM votes WHERE ballot_id = ?1 AND stands = 0", [result.id.as_str()])?;
    Ok(())
}

/// Notes that something owed is done.
pub(super) fn done(c: &Connection, id: &BallotId, at: WallTime) -> rusqlite::Result<()> {
    c.execute("UPDATE ballots SET done_at = ?2 WHERE id = ?1 AND done_at IS NULL", params![id.as_str(), at.millis()])?;
    Ok(())
}

fn cast(c: &Connection, ballot: &BallotId, votes: &[(AccountId, u32)]) -> rusqlite::Result<()> {
    // Fails if it is closed: nothing may count then.
    c.prepare_cached("SELECT 1 FROM ballots WHERE id = ?1 AND closed_at IS NULL")?
        .query_row([ballot.as_str()], |_| Ok(()))?;
    let mut number: i64 = c
        .prepare_cached("SELECT coalesce(max(number), 0) FROM votes WHERE ballot_id = ?1")?
        .query_row([ballot.as_str()], |r| r.get(0))?;
    let mut standing =
        c.prepare_cached("SELECT option FROM votes WHERE ballot_id = ?1 AND account_id = ?2 AND stands = 1")?;
    let mut replace =
        c.prepare_cached("UPDATE votes SET stands = 0 WHERE ballot_id = ?1 AND account_id = ?2 AND stands = 1")?;
    let mut insert = c.prepare_cached(
        "INSERT INTO votes (ballot_id, number, account_id, option, stands) VALUES (?1, ?2, ?3, ?4, 1)",
    )?;
    for (account, option) in votes {
        let key = params![ballot.as_str(), account.as_str()];
        let before: Option<u32> = standing.query_row(key, |r| r.get(0)).optional()?;
        if before == Some(*option) {
            continue;
        }
        if before.is_some() {
            replace.execute(key)?;
        }
        number += 1;
        insert.execute(params![ballot.as_str(), number, account.as_str(), option])?;
    }
    Ok(())
}

impl Store {
    /// A room's open ballot, with its votes.
    ///
    /// # Errors
    /// The database failed.
    pub async fn open_ballot(&self, room: RoomId) -> Result<Option<BallotRow>, StoreError> {
        self.read(move |c| {
            let found = c
                .prepare_cached(
                    "SELECT id, opened_at, closes_at, options FROM ballots WHERE room_id = ?1 AND closed_at IS NULL",
                )?
                .query_row([room.as_str()], |r| {
                    let options = options(r, 3)?;
                    Ok(BallotView {
                        id: parsed(r, 0)?,
                        opened_at: WallTime(r.get(1)?),
                        closes_at: r.get::<_, Option<i64>>(2)?.map(WallTime),
                        options: options
                            .into_iter()
                            .map(|interaction| BallotOption { interaction, votes: 0 })
                            .collect(),
                    })
                })
                .optional()?;
            let Some(ballot) = found else { return Ok(None) };
            let votes = c
                .prepare_cached("SELECT account_id, option FROM votes WHERE ballot_id = ?1 ORDER BY number")?
                .query_map([ballot.id.as_str()], |r| Ok((parsed(r, 0)?, r.get(1)?)))?
                .collect::<Result<_, _>>()?;
            Ok(Some(BallotRow { ballot, votes }))
        })
        .await
    }

    /// Keeps votes in a ballot that is open, all or none. A vote for what the account votes for already
    /// changes nothing.
    ///
    /// # Errors
    /// The database failed, or the ballot is closed.
    pub async fn cast_votes(&self, ballot: BallotId, votes: Vec<(AccountId, u32)>) -> Result<(), StoreError> {
        self.write(move |c| cast(c, &ballot, &votes)).await
    }

    /// What a room owes and has not done, oldest first; the newest `limit` if there is more.
    ///
    /// # Errors
    /// The database failed.
    pub async fn owed(&self, room: RoomId, limit: u32) -> Result<Vec<Owed>, StoreError> {
        self.read(move |c| {
            let mut owed: Vec<Owed> = c
                .prepare_cached(
                    "SELECT id, options, winner, votes, tie, closed_at FROM ballots
                     WHERE room_id = ?1 AND winner IS NOT NULL AND done_at IS NULL
                     ORDER BY closed_at DESC, id DESC LIMIT ?2",
                )?
                .query_map(params![room.as_str(), limit], |r| {
                    let winner: u32 = r.get(2)?;
                    let interaction = options(r, 1)?
                        .into_iter()
                        .nth(winner as usize)
                        .ok_or(rusqlite::Error::IntegralValueOutOfRange(2, i64::from(winner)))?;
                    let (votes, tie) = (r.get(3)?, r.get(4)?);
                    Ok(Owed { id: parsed(r, 0)?, interaction, votes, tie, since: WallTime(r.get(5)?) })
                })?
                .collect::<Result<_, _>>()?;
            owed.reverse();
            Ok(owed)
        })
        .await
    }

    /// Notes that a room has done what it owed, and numbers the event that says so.
    ///
    /// # Errors
    /// The database failed.
    pub async fn settle(&self, room: RoomId, id: BallotId, at: WallTime) -> Result<Settled, StoreError> {
        self.write(move |c| {
            let found: Option<Option<i64>> = c
                .query_row(
                    "SELECT done_at FROM ballots WHERE id = ?1 AND room_id = ?2 AND winner IS NOT NULL",
                    params![id.as_str(), room.as_str()],
                    |r| r.get(0),
                )
                .optional()?;
            match found {
                None => Ok(Settled::Unknown),
                Some(Some(_)) => Ok(Settled::Already),
                Some(None) => {
                    let body = RoomEventBody::OwedDone { id, at };
                    let event = NewEvent { at, author: None, client_ref: None, body };
                    Ok(Settled::Done(events::append(c, &room, event)?))
                }
            }
        })
        .await
    }
}
