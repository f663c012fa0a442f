//! Brings a database from any older version to the present one, forward only.
//!
//! Every table's steps stand beside its operations; here they are put in order. The version is
//! SQLite's `user_version`; `application_id` says that the file is ours.

use std::path::Path;

use rusqlite::Connection;

use super::{
    OpenError, accounts, announcements, audit, away, ballots, events, follows, goodbye, overlays, placeholders,
    recordings, recoveries, relays, rooms, search, sessions, streams,
};

/// One step of one table.
pub(super) struct Migration {
    /// The version of the database that it leads to.
    pub(super) version: u32,
    /// What it does.
    pub(super) sql: &'static str,
}

/// The version that this program writes.
pub const LATEST: u32 = 13;

/// The version that brought recordings.
pub(super) const RECORDINGS: u32 = 3;

/// The version that brought placeholders.
pub(super) const PLACEHOLDERS: u32 = 4;

/// The version that let copies of a shelf be kept elsewhere, and words be changed.
pub(super) const SHELF_COPIES: u32 = 5;

/// The version that brought recovery codes.
pub(super) const RECOVERIES: u32 = 6;

/// The version that brought the audit log.
pub(super) const AUDIT: u32 = 7;

/// The version that let accounts be deleted.
pub(super) const GOODBYES: u32 = 8;

/// The version that brought the index by which rooms are found.
pub(super) const SEARCH: u32 = 9;

/// The version that brought overlays.
pub(super) const OVERLAYS: u32 = 10;

/// The version that let accounts follow rooms.
pub(super) const FOLLOWS: u32 = 11;

/// The version that let rooms announce programmes.
pub(super) const ANNOUNCEMENTS: u32 = 12;

/// The version that brought restreaming.
pub(super) const RELAYS: u32 = 13;

/// "mujn" in ASCII, in the file's header.
const APPLICATION: i32 = 0x6d75_6a6e;

/// All steps; within a version, tables that are referred to come first.
fn all() -> impl Iterator<Item = &'static Migration> {
    [
        accounts::MIGRATIONS,
        sessions::MIGRATIONS,
        rooms::MIGRATIONS,
        away::MIGRATIONS,
        events::MIGRATIONS,
        streams::MIGRATIONS,
        ballots::MIGRATIONS,
        recordings::MIGRATIONS,
        placeholders::MIGRATIONS,
        recoveries::MIGRATIONS,
        audit::MIGRATIONS,
        goodbye::MIGRATIONS,
        search::MIGRATIONS,
        overlays::MIGRATIONS,
        follows::MIGRATIONS,
        announcements::MIGRATIONS,
        relays::MIGRATIONS,
    ]
    .into_iter()
    .flatten()
}

/// Why a database could not be prepared, before the path is known.
pub(super) enum PrepareError {
    Newer(u32),
    NotOurs,
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for PrepareError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl PrepareError {
    pub(super) fn at(self, path: &Path) -> OpenError {
        match self {
            Self::Newer(found) => OpenError::Newer { path: path.to_owned(), found, known: LATEST },
            Self::NotOurs => OpenError::NotOurs { path: path.to_owned() },
            Self::Sqlite(e) => OpenError::sqlite(path, &e),
        }
    }
}

/// Checks whose database it is and how new; gives its version, 0 for an empty one.
pub(super) fn version(connection: &Connection) -> Result<u32, PrepareError> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    let version: u32 = connection.query_row("PRAGMA user_version", [], |r| r.get(0))?;
    let application: i32 = connection.query_row("PRAGMA application_id", [], |r| r.get(0))?;
    let tables: u32 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))?;
    if application != APPLICATION && (tables > 0 || version > 0) {
        return Err(PrepareError::NotOurs);
    }
    if version > LATEST {
        return Err(PrepareError::Newer(version));
    }
    Ok(version)
}

/// How a handle that writes behaves.
pub(super) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    // FULL: an event that was acknowledged survives a power cut. WAL makes that one fsync a commit.
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF;",
    )
}

/// Checks whose database it is and how new, then migrates it. A newer one is left untouched.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), PrepareError> {
    let version = version(connection)?;
    configure(connection)?;
    for next in version + 1..=LATEST {
        let step = connection.transaction()?;
        for migration in all().filter(|m| m.version == next) {
            step.execute_batch(migration.sql)?;
        }
        step.pragma_update(None, "application_id", APPLICATION)?;
        step.pragma_update(None, "user_version", next)?;
        step.commit()?;
        tracing::info!(version = next, "The database was brought to a newer format.");
    }
    let index = connection.transaction()?;
    search::prepare(&index)?;
    index.commit()?;
    // A start that cannot write should fail now, not at the first visitor.
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('last_start', unixepoch()) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        [],
    )?;
    Ok(())
}
