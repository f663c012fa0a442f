//! What moderators and operators did. Entries are written with what they tell of, in one transaction, and stay.

use mujian_protocol::api::Person;
use mujian_protocol::audit::{AuditAction, AuditEntry, AuditPage};
use mujian_protocol::{AccountId, RoomId, WallTime};
use rusqlite::{Connection, Row, params};

use super::accounts::parsed;
use super::migrations::{AUDIT, Migration};
use super::{Store, StoreError};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: AUDIT,
    sql: "
        CREATE TABLE audit (
            number INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            -- Who; NULL: somebody at the server's own terminal. What is told of outlives whom it concerns: no references.
            by_id TEXT,
            -- A JSON object: AuditAction.
            action TEXT NOT NULL CHECK (json_valid(action)),
            account_id TEXT,
            room_id TEXT
        ) STRICT;
        CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
        CREATE TRIGGER audit_is_not_shortened BEFORE DELETE ON audit
        BEGIN SELECT RAISE(ABORT, 'the audit log only grows'); END;
    ",
}];

/// Whose act something is, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hand {
    /// Who; none: somebody at the server's own terminal.
    pub by: Option<AccountId>,
    /// When.
    pub at: WallTime,
}

/// What an act concerns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// Whom, or whose thing.
    pub account: Option<AccountId>,
    /// Which room.
    pub room: Option<RoomId>,
}

/// Adds an entry, as part of what it tells of.
pub(super) fn note(c: &Connection, hand: &Hand, action: &AuditAction, on: &Concerned) -> rusqlite::Result<()> {
    let action = serde_json::to_string(action).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    c.prepare_cached("INSERT INTO audit (at, by_id, action, account_id, room_id) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![
            hand.at.millis(),
            hand.by.as_ref().map(AccountId::as_str),
            action,
            on.account.as_ref().map(AccountId::as_str),
            on.room.as_ref().map(RoomId::as_str)
        ])
        .map(drop)
}

fn person(r: &Row<'_>, first: usize) -> rusqlite::Result<Option<Person>> {
    if r.get::<_, Option<String>>(first)?.is_none() {
        return Ok(None);
    }
    // Of an account that is gone nothing but its id is known.
    Ok(Some(Person { id: parsed(r, first)?, name: r.get::<_, Option<String>>(first + 1)?.unwrap_or_default() }))
}

fn entry(r: &Row<'_>) -> rusqlite::Result<AuditEntry> {
    let action = serde_json::from_str(r.get_ref(2)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))?;
    let room = if r.get::<_, Option<String>>(7)?.is_some() { Some(parsed(r, 7)?) } else { None };
    Ok(AuditEntry {
        number: u64::try_from(r.get::<_, i64>(0)?).unwrap_or(0),
        at: WallTime(r.get(1)?),
        by: person(r, 3)?,
        action,
        account: person(r, 5)?,
        room,
    })
}

impl Store {
    /// Adds an entry that stands for itself.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_audit(&self, hand: Hand, action: AuditAction, on: Concerned) -> Result<(), StoreError> {
        self.write(move |c| note(c, &hand, &action, &on)).await
    }

    /// The newest entries before a number, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub async fn audit(&self, before: Option<u64>, limit: u32) -> Result<AuditPage, StoreError> {
        let before = before.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        self.read(move |c| {
            let mut entries: Vec<AuditEntry> = c
                .prepare_cached(
                    "SELECT e.number, e.at, e.action, e.by_id, b.name, e.account_id, a.name, e.room_id
                     FROM audit e LEFT JOIN accounts b ON b.id = e.by_id LEFT JOIN accounts a ON a.id = e.account_id
                     WHERE e.number < ?1 ORDER BY e.number DESC LIMIT ?2",
                )?
                .query_map(params![before, i64::from(limit) + 1], entry)?
                .collect::<Result<_, _>>()?;
            let more = entries.len() > limit as usize;
            entries.truncate(limit as usize);
            Ok(AuditPage { entries, more })
        })
        .await
    }
}
