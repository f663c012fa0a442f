//! What can go wrong with the store.

use std::io;
use std::path::{Path, PathBuf};

use mujian_protocol::Problem;

/// The store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or written.
    #[error(
        "The data folder {path} cannot be written: {source}. Give another one with --data, or make it writable for the user who runs the server."
    )]
    NotWritable {
        /// Which folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No space is left.
    #[error("The disk that holds {path} is full. Free some space, or give a folder on another disk with --data.")]
    Full {
        /// Which folder or file.
        path: PathBuf,
    },
    /// Another server has it open.
    #[error(
        "The data folder {path} is used by another server that runs now. Stop that one, or give another folder with --data."
    )]
    InUse {
        /// Which folder.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "The database {path} was written by a newer version of Mujian (its format is {found}, this program knows up to {known}). Use the newer version; nothing was changed."
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// There is no database.
    #[error("There is no database of Mujian in {path}. Give the server's data folder with --data.")]
    Nothing {
        /// Which folder.
        path: PathBuf,
    },
    /// A server of an older version uses it.
    #[error(
        "The server that runs with the data folder {path} is of an older version than this program. Start it again with this version first."
    )]
    Older {
        /// Which folder.
        path: PathBuf,
    },
    /// It is the database of something else, or no database.
    #[error("{path} is not a database of Mujian. Give another folder with --data; nothing was changed.")]
    NotOurs {
        /// Which file.
        path: PathBuf,
    },
    /// It is damaged, or the system refused something.
    #[error("The database {path} cannot be opened: {detail}.")]
    Database {
        /// Which file.
        path: PathBuf,
        /// SQLite's words.
        detail: String,
    },
    /// The system refused something.
    #[error("The store at {path} cannot be opened: {source}.")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl OpenError {
    /// The same, for the app's window.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let shown = |path: &Path| path.display().to_string();
        match self {
            Self::NotWritable { path, source } => {
                Problem::FolderNotWritable { path: shown(path), reason: source.to_string() }
            }
            Self::Full { path } => Problem::DiskFull { path: shown(path) },
            Self::InUse { path } => Problem::FolderInUse { path: shown(path) },
            Self::Newer { path, found, known } => {
                Problem::NewerData { path: shown(path), found: *found, known: *known }
            }
            Self::Nothing { path } | Self::Older { path } | Self::NotOurs { path } => {
                Problem::ForeignData { path: shown(path) }
            }
            Self::Database { path, detail } => Problem::DataFailed { path: shown(path), reason: detail.clone() },
            Self::Io { path, source } => Problem::DataFailed { path: shown(path), reason: source.to_string() },
        }
    }

    /// Sorts an error of the file system.
    pub(super) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::NotWritable { path, source },
        }
    }

    /// Sorts an error of SQLite.
    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Self {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { path },
            // The memory that readers and the writer share is a file too, and SQLite does not say why it cannot grow.
            Some(rusqlite::ErrorCode::SystemIoFailure) if is_full(&path) => Self::Full { path },
            Some(rusqlite::ErrorCode::NotADatabase) => Self::NotOurs { path },
            Some(
                rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::PermissionDenied,
            ) => Self::NotWritable { path, source: io::Error::other(detail) },
            _ => Self::Database { path, detail },
        }
    }
}

/// Whether the disk that holds a database has no room for a little more.
fn is_full(database: &Path) -> bool {
    let probe = database.with_extension("space");
    let full = std::fs::write(&probe, [0; 65_536]).is_err_and(|e| e.kind() == io::ErrorKind::StorageFull);
    let _ = std::fs::remove_file(&probe);
    full
}

/// An operation failed. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No space is left.
    #[error("the disk that holds the data is full")]
    Full,
    /// The server is shutting down.
    #[error("the store is closed")]
    Closed,
    /// Anything else, in SQLite's words.
    #[error("the database failed: {0}")]
    Failed(String),
}

impl From<&rusqlite::Error> for StoreError {
    fn from(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            _ => Self::Failed(error.to_string()),
        }
    }
}
