//! What the app remembers between runs, in SQLite: settings, sessions, the broadcast that runs.
//!
//! Nothing here is the truth about a room; the server is. A lost cache costs a log-in.

mod intent;
mod sessions;
mod settings;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::{ApiError, ErrorCode, Problem};
use parking_lot::Mutex;
use rusqlite::Connection;

pub use intent::Intent;
pub use sessions::{StoredSession, Token};

/// The file in the data folder.
const FILE: &str = "app.db";
/// One step each, in the order in which they were written; never changed, only added to.
const MIGRATIONS: &[&str] = &[settings::V1, sessions::V1, intent::V1, sessions::V2];

/// Why something could not be remembered.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// SQLite failed.
    #[error(
        "The app's data could not be read or written ({0}). See that the disk is not full and that the data folder is yours."
    )]
    Sqlite(#[from] rusqlite::Error),
    /// What is stored is not what this version writes.
    #[error("The app's data is damaged ({0}).")]
    Format(#[from] serde_json::Error),
    /// A later version of the app wrote it.
    #[error(
        "The app's data was written by a newer Mujian (its format is {found}, this one knows {known}). Update Mujian, or start it with another folder by --data."
    )]
    Newer {
        /// The format in the file.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
}

impl From<CacheError> for ApiError {
    fn from(error: CacheError) -> Self {
        let path = FILE.to_owned();
        let problem = match &error {
            CacheError::Newer { found, known } => {
                let number = |n: i64| u32::try_from(n).unwrap_or(u32::MAX);
                Problem::NewerData { path, found: number(*found), known: number(*known) }
            }
            CacheError::Sqlite(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull) => {
                Problem::DiskFull { path }
            }
            CacheError::Sqlite(e) if e.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => {
                Problem::ForeignData { path }
            }
            CacheError::Sqlite(e) => Problem::DataFailed { path, reason: e.to_string() },
            CacheError::Format(e) => Problem::DataFailed { path, reason: e.to_string() },
        };
        Self::new(ErrorCode::Storage, error.to_string()).about(problem)
    }
}

/// The cache. Clones share one connection; calls take well under a millisecond.
#[derive(Clone, Debug)]
pub struct Cache {
    connection: Arc<Mutex<Connection>>,
}

impl Cache {
    /// Opens or makes the file `app.db` in the data folder.
    ///
    /// # Errors
    /// When it cannot be read or written, or a newer version wrote it.
    pub fn open(data: &Path) -> Result<Self, CacheError> {
        let path = data.join(FILE);
        let connection = Connection::open(&path)?;
        // The file holds session tokens. SQLite gives its journal the same permissions.
        if let Err(error) = crate::paths::restrict(&path, 0o600) {
            tracing::warn!(%error, "could not restrict the permissions of app.db");
        }
        Self::prepare(connection)
    }

    /// A cache that forgets everything when it is dropped.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn in_memory() -> Result<Self, CacheError> {
        Self::prepare(Connection::open_in_memory()?)
    }

    fn prepare(mut connection: Connection) -> Result<Self, CacheError> {
        connection.busy_timeout(Duration::from_secs(5))?;
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        let found: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > known {
            return Err(CacheError::Newer { found, known });
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A token that has gone to the keychain is not to be found in what is free.
        connection.pragma_update(None, "secure_delete", true)?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        // Asked again inside the transaction: another process may have been here.
        let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            transaction.execute_batch(step)?;
        }
        if found < known {
            transaction.pragma_update(None, "user_version", known)?;
        }
        transaction.commit()?;
        if (1..known).contains(&found) {
            // Versions before this one left in the file what they overwrote.
            connection.execute_batch("VACUUM")?;
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opens_twice_and_refuses_a_newer_file() {
        let dir = tempfile::tempdir().unwrap();
        drop(Cache::open(dir.path()).unwrap());
        drop(Cache::open(dir.path()).unwrap());
        let raw = Connection::open(dir.path().join("app.db")).unwrap();
        raw.pragma_update(None, "user_version", 99).unwrap();
        let error = Cache::open(dir.path()).unwrap_err();
        assert!(matches!(error, CacheError::Newer { found: 99, .. }), "{error}");
        let told = ApiError::from(error);
        assert!(told.message.contains("Update Mujian"));
        assert!(matches!(told.problem.as_deref(), Some(Problem::NewerData { found: 99, .. })), "{told:?}");
    }

    #[test]
    #[cfg(unix)]
    fn others_cannot_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let _cache = Cache::open(dir.path()).unwrap();
        let mode = std::fs::metadata(dir.path().join("app.db")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
