//! The truth on disk: SQLite, one writer, many readers. Nothing else knows SQL.
//!
//! It speaks in operations of the domain (`create_account`, `append_events`), so that another
//! database can stand behind the same operations. Each table lives in one file, beside its
//! migrations. A write is acknowledged after it is on the disk: `synchronous=FULL`, with as many
//! writes as wait sharing one commit.

mod accounts;
mod announcements;
mod audit;
mod away;
mod ballots;
mod error;
mod events;
mod follows;
mod goodbye;
mod migrations;
mod overlays;
mod placeholders;
mod reader;
mod recordings;
mod recoveries;
mod relays;
mod rooms;
mod search;
mod sessions;
pub mod snapshot;
mod streams;
#[cfg(test)]
mod tests;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;

pub use accounts::{Account, AccountRow, NewAccount, RoleChange};
pub use audit::{Concerned, Hand};
pub use ballots::{BallotRow, Settled};
pub use error::{OpenError, StoreError};
pub use events::{Appended, EventPage, NewEvent};
pub use follows::Following;
pub use goodbye::Deletion;
pub use migrations::LATEST;
pub use overlays::OverlayRow;
pub use placeholders::{Added, Changed, Picks, ShelfRows};
pub use recordings::{Problem, RecordingProgress, RecordingRow};
pub use recoveries::{KeptRecovery, NewRecovery};
pub use relays::{RelayAdded, RelayChange, RelayRow};
pub use rooms::{RoomRow, RoomUpdate};
pub use sessions::SessionRow;
pub use streams::{EndedStream, StreamRow};

/// Name of the database in the data folder.
pub const FILE: &str = "mujian.db";
/// Name of the file whose lock says that a server uses the folder.
pub const LOCK: &str = "server.lock";

/// The store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    writer: writer::Writer,
    readers: reader::Readers,
    /// Held for as long as the store is open: two servers must not number the same events. None beside a server.
    _lock: Option<std::fs::File>,
    path: PathBuf,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish()
    }
}

impl Store {
    /// Opens the store in a folder, which is made if it is not there, and brings it up to date.
    ///
    /// # Errors
    /// The folder cannot be written, the disk is full, another server uses the folder, or the
    /// database is newer than this program or not one of ours.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        make_private_folder(data)?;
        let lock = take_lock(data)?;
        let path = data.join(FILE);
        let mut connection = Connection::open(&path).map_err(|e| OpenError::sqlite(&path, &e))?;
        make_private(&path);
        migrations::prepare(&mut connection).map_err(|e| e.at(&path))?;
        Self::with(connection, Some(lock), path)
    }

    /// Opens the store of a folder that has one, also while a server uses it: for a command of the operator's that
    /// numbers no events.
    ///
    /// # Errors
    /// As for [`Store::open`]; there is no database in the folder, or a server of an older version uses it.
    pub fn open_beside(data: &Path) -> Result<Self, OpenError> {
        let path = data.join(FILE);
        if !path.is_file() {
            return Err(OpenError::Nothing { path: data.to_owned() });
        }
        match Self::open(data) {
            Err(OpenError::InUse { .. }) => {}
            other => return other,
        }
        let connection = Connection::open(&path).map_err(|e| OpenError::sqlite(&path, &e))?;
        let found = migrations::version(&connection).map_err(|e| e.at(&path))?;
        if found < LATEST {
            return Err(OpenError::Older { path: data.to_owned() });
        }
        migrations::configure(&connection).map_err(|e| OpenError::sqlite(&path, &e))?;
        Self::with(connection, None, path)
    }

    fn with(connection: Connection, lock: Option<std::fs::File>, path: PathBuf) -> Result<Self, OpenError> {
        let readers = reader::Readers::open(&path, 4).map_err(|e| OpenError::sqlite(&path, &e))?;
        let writer = writer::Writer::start(connection).map_err(|e| OpenError::Io { path: path.clone(), source: e })?;
        Ok(Self { inner: Arc::new(Inner { writer, readers, _lock: lock, path }) })
    }

    /// Runs a write; the answer comes after it is on the disk.
    async fn write<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.inner.writer.write(operation).await
    }

    /// Runs a read on a handle that cannot write.
    async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        inner.readers.read(operation).await
    }

    /// Whether a read works: what `/readyz` asks.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.read(|c| c.query_row("SELECT 1", [], |_| Ok(()))).await
    }

    /// Ends the writer after what waits was written. Later writes are refused.
    pub async fn close(&self) {
        self.inner.writer.close().await;
    }
}

fn make_private_folder(data: &Path) -> Result<(), OpenError> {
    let not_writable = |source| OpenError::from_io(data, source);
    if data.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        // Password hashes and stream keys lie here: nobody else reads them.
        builder.mode(0o700);
    }
    builder.create(data).map_err(not_writable)
}

fn make_private(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        if let Err(error) = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
            tracing::warn!(%error, path = %path.display(), "The database could not be made readable for its owner only.");
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

fn take_lock(data: &Path) -> Result<std::fs::File, OpenError> {
    let path = data.join(LOCK);
    let file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| OpenError::from_io(data, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::InUse { path: data.to_owned() }),
        Err(std::fs::TryLockError::Error(e)) => Err(OpenError::from_io(data, e)),
    }
}
