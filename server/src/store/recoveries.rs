//! Codes with which who lost a password sets a new one: one at a time for each account, and only its hash.

use mujian_protocol::audit::AuditAction;
use mujian_protocol::{AccountId, WallTime};
use rusqlite::{OptionalExtension, params};
use subtle::ConstantTimeEq;

use super::migrations::{Migration, RECOVERIES};
use super::{Concerned, Hand, Store, StoreError, audit, sessions};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: RECOVERIES,
    sql: "
        CREATE TABLE recoveries (
            account_id TEXT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
            code_hash BLOB NOT NULL CHECK (length(code_hash) = 32),
            made_at INTEGER NOT NULL,
            expires_at INTEGER NOT NULL,
            -- How often a wrong code may still be tried.
            tries INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
}];

/// A code to be kept.
pub struct NewRecovery {
    /// Whose password it sets.
    pub account: AccountId,
    /// Its hash.
    pub code_hash: [u8; 32],
    /// Who makes it, and when.
    pub hand: Hand,
    /// When it ends.
    pub expires_at: WallTime,
    /// How often a wrong code may be tried before it ends.
    pub tries: u32,
}

/// What became of a code that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptRecovery {
    /// It is kept.
    Done,
    /// There is no such account.
    Unknown,
    /// The account has no password.
    NoPassword,
}

impl Store {
    /// Keeps a code in place of an older one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn keep_recovery(&self, new: NewRecovery) -> Result<KeptRecovery, StoreError> {
        self.write(move |c| {
            c.execute("DELETE FROM recoveries WHERE expires_at <= ?1", [new.hand.at.millis()])?;
            let has_password = c
                .query_row(
                    "SELECT password IS NOT NULL FROM accounts WHERE id = ?1 AND deleted_at IS NULL",
                    [new.account.as_str()],
                    |r| r.get(0),
                )
                .optional()?;
            match has_password {
                Some(true) => {}
                Some(false) => return Ok(KeptRecovery::NoPassword),
                None => return Ok(KeptRecovery::Unknown),
            }
            c.execute(
                "INSERT INTO recoveries (account_id, code_hash, made_at, expires_at, tries) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (account_id) DO UPDATE SET code_hash = excluded.code_hash, made_at = excluded.made_at,
                     expires_at = excluded.expires_at, tries = excluded.tries",
                params![new.account.as_str(), new.code_hash, new.hand.at.millis(), new.expires_at.millis(), new.tries],
            )?;
            let on = Concerned { account: Some(new.account), room: None };
            audit::note(c, &new.hand, &AuditAction::RecoveryMade, &on)?;
            Ok(KeptRecovery::Done)
        })
        .await
    }

    /// Uses a code: sets the password, ends the account's sessions and forgets the code. Says whether it was right;
    /// a wrong one costs a try.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recover(
        &self,
        account: AccountId,
        code_hash: [u8; 32],
        password: String,
        at: WallTime,
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let kept: Option<[u8; 32]> = c
                .query_row(
                    "SELECT code_hash FROM recoveries WHERE account_id = ?1 AND expires_at > ?2 AND tries > 0",
                    params![account.as_str(), at.millis()],
                    |r| r.get(0),
                )
                .optional()?;
            let Some(kept) = kept else { return Ok(false) };
            if !bool::from(kept.as_slice().ct_eq(code_hash.as_slice())) {
                c.execute("UPDATE recoveries SET tries = tries - 1 WHERE account_id = ?1", [account.as_str()])?;
                return Ok(false);
            }
            c.execute("DELETE FROM recoveries WHERE account_id = ?1", [account.as_str()])?;
            c.execute("UPDATE accounts SET password = ?2 WHERE id = ?1", params![account.as_str(), password])?;
            sessions::delete_all(c, &account, None)?;
            Ok(true)
        })
        .await
    }
}
