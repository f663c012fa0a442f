//! Sessions. Only the SHA-256 of a token is kept: who reads the database cannot log in with it.

use mujian_protocol::{AccountId, WallTime};
use rusqlite::{Connection, OptionalExtension, params};

use super::accounts::{Account, account_at};
use super::migrations::Migration;
use super::{Store, StoreError};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sql: "
        CREATE TABLE sessions (
            token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
            account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            created_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX sessions_by_account ON sessions (account_id);
        CREATE INDEX sessions_by_end ON sessions (expires_at);
    ",
}];

/// A session that is good.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// Whose it is.
    pub account: Account,
    /// When it ends, unless it is used before.
    pub expires_at: WallTime,
}

/// Sessions that one account has at most; the oldest make room.
const PER_ACCOUNT: u32 = 50;

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_session(
        &self,
        token_hash: [u8; 32],
        account: AccountId,
        at: WallTime,
        expires_at: WallTime,
    ) -> Result<(), StoreError> {
        self.write(move |c| insert(c, token_hash, &account, at, expires_at)).await
    }

    /// Begins a session, if the account's password is still the one of this PHC string: what was checked a moment ago
    /// may have been changed since. Says whether it is.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_session_by(
        &self,
        password: String,
        token_hash: [u8; 32],
        account: AccountId,
        at: WallTime,
        expires_at: WallTime,
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let stands: bool = c.query_row(
                "SELECT EXISTS (SELECT 1 FROM accounts WHERE id = ?1 AND password = ?2)",
                params![account.as_str(), password],
                |r| r.get(0),
            )?;
            if stands {
                insert(c, token_hash, &account, at, expires_at)?;
            }
            Ok(stands)
        })
        .await
    }

    /// The session of a token, if it has not ended.
    ///
    /// # Errors
    /// The database failed.
    pub async fn session(&self, token_hash: [u8; 32], at: WallTime) -> Result<Option<SessionRow>, StoreError> {
        self.read(move |c| {
            c.prepare_cached(
                "SELECT a.id, a.name, a.role, a.created_at, s.expires_at
                 FROM sessions s JOIN accounts a ON a.id = s.account_id
                 WHERE s.token_hash = ?1 AND s.expires_at > ?2",
            )?
            .query_row(params![token_hash, at.millis()], |r| {
                Ok(SessionRow { account: account_at(r, 0)?, expires_at: WallTime(r.get(4)?) })
            })
            .optional()
        })
        .await
    }

    /// Moves a session's end.
    ///
    /// # Errors
    /// The database failed.
    pub async fn extend_session(&self, token_hash: [u8; 32], expires_at: WallTime) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "UPDATE sessions SET expires_at = max(expires_at, ?2) WHERE token_hash = ?1",
                params![token_hash, expires_at.millis()],
            )?;
            Ok(())
        })
        .await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_session(&self, token_hash: [u8; 32]) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute("DELETE FROM sessions WHERE token_hash = ?1", params![token_hash])?;
            Ok(())
        })
        .await
    }

    /// Ends all of an account's sessions but one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_other_sessions(&self, account: AccountId, but: [u8; 32]) -> Result<(), StoreError> {
        self.write(move |c| delete_all(c, &account, Some(but))).await
    }
}

fn insert(
    c: &Connection,
    token_hash: [u8; 32],
    account: &AccountId,
    at: WallTime,
    expires_at: WallTime,
) -> rusqlite::Result<()> {
    c.execute("DELETE FROM sessions WHERE expires_at <= ?1", [at.millis()])?;
    c.execute(
        "INSERT INTO sessions (token_hash, account_id, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)",
        params![token_hash, account.as_str(), at.millis(), expires_at.millis()],
    )?;
    c.execute(
        "DELETE FROM sessions WHERE account_id = ?1 AND token_hash NOT IN
         (SELECT token_hash FROM sessions WHERE account_id = ?1 ORDER BY created_at DESC LIMIT ?2)",
        params![account.as_str(), PER_ACCOUNT],
    )?;
    Ok(())
}

/// Ends an account's sessions; all of them, or all but one.
pub(super) fn delete_all(c: &Connection, account: &AccountId, but: Option<[u8; 32]>) -> rusqlite::Result<()> {
    c.execute(
        "DELETE FROM sessions WHERE account_id = ?1 AND (?2 IS NULL OR token_hash <> ?2)",
        params![account.as_str(), but],
    )?;
    Ok(())
}
