//! A copy of the database at one moment, taken while a server writes to it.

use std::path::{Path, PathBuf};

use mujian_protocol::audit::AuditAction;
use mujian_protocol::{RoomId, StreamId, WallTime};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::accounts::parsed;
use super::migrations::{self, AUDIT, PLACEHOLDERS, RECORDINGS, RECOVERIES};
use super::{Concerned, FILE, Hand, OpenError, audit, make_private, take_lock};

/// Why a snapshot cannot be taken or used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// SQLite finds the copy damaged.
    #[error("The database {path} is damaged: {detail}.")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
}

/// Files that the database tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Media {
    /// A recording.
    Recording(RoomId, StreamId),
    /// A placeholder, by its id.
    Placeholder(RoomId, String),
}

/// A database that a server may be using, and a copy of it.
#[derive(Debug)]
pub struct Snapshot {
    live: Connection,
    copy: Connection,
    path: PathBuf,
    version: u32,
}

impl Snapshot {
    /// Copies the database of a data folder to `folder`, which has none, as it is at one moment.
    ///
    /// # Errors
    /// There is no database, it is newer than this program, the disk failed or is full.
    pub fn take(data: &Path, folder: &Path) -> Result<Self, SnapshotError> {
        let (source, path) = (data.join(FILE), folder.join(FILE));
        if !source.is_file() {
            return Err(OpenError::Nothing { path: data.to_owned() }.into());
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let failed = |e: rusqlite::Error| OpenError::sqlite(&source, &e);
        let live = Connection::open_with_flags(&source, flags).map_err(failed)?;
        let version = migrations::version(&live).map_err(|e| e.at(&source))?;
        let mut copy = Connection::open(&path).map_err(|e| OpenError::sqlite(&path, &e))?;
        make_private(&path);
        let backup = Backup::new(&live, &mut copy).map_err(|e| OpenError::sqlite(&path, &e))?;
        // All at once: in pieces it would begin anew whenever the server writes. Beside a WAL, writers go on meanwhile.
        match backup.step(-1).map_err(|e| OpenError::sqlite(&path, &e))? {
            StepResult::Done => {}
            _ => {
                let detail = "another program kept it locked for too long".to_owned();
                return Err(OpenError::Database { path: source, detail }.into());
            }
        }
        drop(backup);
        let snapshot = Self { live, copy, path, version };
        // One file, whole by itself.
        let tidy = "PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
        snapshot.copy.execute_batch(tidy).map_err(|e| snapshot.failed(&e))?;
        check(&snapshot.copy, &snapshot.path)?;
        Ok(snapshot)
    }

    fn failed(&self, error: &rusqlite::Error) -> SnapshotError {
        OpenError::sqlite(&self.path, error).into()
    }

    /// The format of the database.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The files that belong to the copy.
    ///
    /// # Errors
    /// The database failed.
    pub fn media(&self) -> Result<Vec<Media>, SnapshotError> {
        let mut all = Vec::new();
        let mut read = || -> rusqlite::Result<()> {
            if self.version >= RECORDINGS {
                let mut rows = self.copy.prepare("SELECT room_id, id FROM recordings ORDER BY started_at, id")?;
                let rows = rows.query_map([], |r| Ok(Media::Recording(parsed(r, 0)?, parsed(r, 1)?)))?;
                all.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            if self.version >= PLACEHOLDERS {
                let mut rows =
                    self.copy.prepare("SELECT room_id, id FROM placeholders ORDER BY room_id, position, id")?;
                let rows = rows.query_map([], |r| Ok(Media::Placeholder(parsed(r, 0)?, r.get(1)?)))?;
                all.extend(rows.collect::<Result<Vec<_>, _>>()?);
            }
            Ok(())
        };
        read().map_err(|e| self.failed(&e))?;
        Ok(all)
    }

    /// Whether the server still knows something that the copy knows: what is deleted is deleted there before its files.
    ///
    /// # Errors
    /// The database failed.
    pub fn is_still_there(&self, media: &Media) -> Result<bool, SnapshotError> {
        let (sql, id) = match media {
            Media::Recording(_, id) => ("SELECT EXISTS (SELECT 1 FROM recordings WHERE id = ?1)", id.as_str()),
            Media::Placeholder(_, id) => ("SELECT EXISTS (SELECT 1 FROM placeholders WHERE id = ?1)", id.as_str()),
        };
        self.live.query_row(sql, [id], |r| r.get(0)).map_err(|e| self.failed(&e))
    }

    /// Forgets in the copy what was deleted while it was made.
    ///
    /// # Errors
    /// The database failed.
    pub fn forget(&self, media: &Media) -> Result<(), SnapshotError> {
        let done = match media {
            Media::Recording(_, id) => {
                self.copy.execute("DELETE FROM recordings WHERE id = ?1", [id.as_str()]).map(drop)
            }
            Media::Placeholder(room, id) => self
                .copy
                .execute("DELETE FROM placeholders WHERE id = ?1", [id])
                .and_then(|_| {
                    let clear =
                        "UPDATE shelves SET next = nullif(next, ?2), shown = nullif(shown, ?2) WHERE room_id = ?1";
                    self.copy.execute(clear, params![room.as_str(), id])
                })
                .map(drop),
        };
        done.map_err(|e| self.failed(&e))
    }

    /// Closes the copy; its file.
    ///
    /// # Errors
    /// The disk failed.
    pub fn finish(self) -> Result<PathBuf, SnapshotError> {
        self.copy.close().map_err(|(_, e)| OpenError::sqlite(&self.path, &e))?;
        Ok(self.path)
    }
}

fn damaged(path: &Path, detail: &str) -> SnapshotError {
    SnapshotError::Damaged { path: path.to_owned(), detail: detail.to_owned() }
}

fn check(connection: &Connection, path: &Path) -> Result<(), SnapshotError> {
    let found: String = connection
        .query_row("PRAGMA quick_check(1)", [], |r| r.get(0))
        .map_err(|e| SnapshotError::Open(OpenError::sqlite(path, &e)))?;
    if found == "ok" { Ok(()) } else { Err(damaged(path, &found)) }
}

/// Looks whether the database in a folder, which no server uses, is whole and one that this program can use; its format.
///
/// # Errors
/// It is not there, damaged, newer than this program, or none of ours.
pub fn inspect(folder: &Path) -> Result<u32, SnapshotError> {
    let path = folder.join(FILE);
    if !path.is_file() {
        return Err(OpenError::Nothing { path: folder.to_owned() }.into());
    }
    let connection = Connection::open(&path).map_err(|e| OpenError::sqlite(&path, &e))?;
    let version = migrations::version(&connection).map_err(|e| e.at(&path))?;
    check(&connection, &path)?;
    connection.close().map_err(|(_, e)| OpenError::sqlite(&path, &e))?;
    Ok(version)
}

/// Notes in the log of a data folder, which a server may be using, that a backup of it was made. Before there were logs
/// there is nothing to note.
///
/// # Errors
/// The database cannot be written.
pub fn note_backup(data: &Path, at: WallTime) -> Result<(), SnapshotError> {
    change(data, |c, version| {
        if version >= AUDIT {
            audit::note(c, &Hand { by: None, at }, &AuditAction::BackedUp, &Concerned::default())?;
        }
        Ok(())
    })
}

/// Makes the database in a folder, a copy of how things were at `made_at`, one that a server goes on with.
///
/// # Errors
/// It cannot be written.
pub fn revive(folder: &Path, made_at: WallTime, at: WallTime) -> Result<(), SnapshotError> {
    change(folder, |c, version| {
        // Clients may have events of the numbers that come next, which are others than these will be.
        c.execute("UPDATE rooms SET epoch = epoch + 1", [])?;
        if version >= RECOVERIES {
            // One of them may have been used since, and is good once.
            c.execute("DELETE FROM recoveries", [])?;
        }
        if version >= AUDIT {
            audit::note(c, &Hand { by: None, at }, &AuditAction::Restored { made_at }, &Concerned::default())?;
        }
        Ok(())
    })
}

/// Changes a database in one transaction, as its format tells.
fn change(folder: &Path, work: impl FnOnce(&Connection, u32) -> rusqlite::Result<()>) -> Result<(), SnapshotError> {
    let path = folder.join(FILE);
    let failed = |e: rusqlite::Error| SnapshotError::Open(OpenError::sqlite(&path, &e));
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&path, flags).map_err(failed)?;
    let version = migrations::version(&connection).map_err(|e| e.at(&path))?;
    connection.execute_batch("PRAGMA synchronous = FULL;").map_err(failed)?;
    let step = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    work(&step, version).and_then(|()| step.commit()).map_err(failed)?;
    connection.close().map_err(|(_, e)| failed(e))
}

/// Keeps servers from a data folder for as long as the answer is held; the folder is made if it is not there.
///
/// # Errors
/// A server uses it, or it cannot be written.
pub fn reserve(data: &Path) -> Result<std::fs::File, OpenError> {
    super::make_private_folder(data)?;
    take_lock(data)
}
