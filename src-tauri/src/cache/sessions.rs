//! Who is logged in, by server, and the room that they published to there.

use mujian_protocol::api::AccountView;
use mujian_protocol::{AccountId, RoomId};
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::{Cache, CacheError};

pub(super) const V1: &str =
    "CREATE TABLE session (server TEXT PRIMARY KEY, token TEXT NOT NULL, account TEXT NOT NULL) STRICT;";

/// `keychain`: it may hold a token of this app's for this server. Without an account the row says that alone.
pub(super) const V2: &str = "ALTER TABLE session ADD COLUMN keychain INTEGER NOT NULL DEFAULT 0;";

/// For `Authorization: Bearer`, and where it is.
pub enum Token {
    /// In this file.
    Here(Zeroizing<String>),
    /// In the system's keychain.
    Keychain,
}

/// A log-in at a server.
pub struct StoredSession {
    /// What it is proven with.
    pub token: Token,
    /// Whose it is.
    pub account: AccountView,
}

impl Cache {
    /// The session at a server. `server` is whatever names it for good.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn session(&self, server: &str) -> Result<Option<StoredSession>, CacheError> {
        let sql = "SELECT token, account FROM session WHERE server = ?1";
        let read = |row: &rusqlite::Row<'_>| Ok((Zeroizing::new(row.get::<_, String>(0)?), row.get::<_, String>(1)?));
        let found = self.connection.lock().query_row(sql, [server], read).optional()?;
        Ok(found.and_then(|(token, account)| {
            let token = if token.is_empty() { Token::Keychain } else { Token::Here(token) };
            Some(StoredSession { token, account: serde_json::from_str(&account).ok()? })
        }))
    }

    /// Somebody logged in at a server.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_session(&self, server: &str, token: &str, account: &AccountView) -> Result<(), CacheError> {
        self.connection.lock().execute(
            "INSERT INTO session (server, token, account) VALUES (?1, ?2, ?3)
             ON CONFLICT (server) DO UPDATE SET token = ?2, account = ?3",
            params![server, token, serde_json::to_string(account)?],
        )?;
        Ok(())
    }

    /// Nobody is logged in at a server any more. What the keychain may hold is not forgotten ([`Self::in_keychain`]).
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn end_session(&self, server: &str) -> Result<(), CacheError> {
        let connection = self.connection.lock();
        connection.execute("UPDATE session SET token = '', account = '' WHERE server = ?1", [server])?;
        connection.execute("DELETE FROM session WHERE server = ?1 AND keychain = 0", [server])?;
        empty_the_journal(&connection)
    }

    /// The keychain may hold a token of this app's for a server.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn in_keychain(&self, server: &str) -> Result<bool, CacheError> {
        let sql = "SELECT keychain FROM session WHERE server = ?1";
        Ok(self.connection.lock().query_row(sql, [server], |row| row.get(0)).optional()?.unwrap_or(false))
    }

    /// Remembers that it may, or that it does not. False: nobody is logged in there, and it holds nothing.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_in_keychain(&self, server: &str, may: bool) -> Result<bool, CacheError> {
        let connection = self.connection.lock();
        let sql = "UPDATE session SET keychain = ?2 WHERE server = ?1";
        let found = connection.execute(sql, params![server, may])? > 0;
        connection.execute("DELETE FROM session WHERE server = ?1 AND account = '' AND keychain = 0", [server])?;
        Ok(found)
    }

    /// Who is logged in at a server is called something else, if anybody is.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_account(&self, server: &str, account: &AccountView) -> Result<(), CacheError> {
        let account = serde_json::to_string(account)?;
        self.connection.lock().execute("UPDATE session SET account = ?2 WHERE server = ?1", [server, &account])?;
        Ok(())
    }

    /// This token is in the keychain now, and nowhere in this file any more, if it is the one that counts still.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn tucked_away(&self, server: &str, token: &str) -> Result<(), CacheError> {
        let connection = self.connection.lock();
        connection.execute("UPDATE session SET token = '' WHERE server = ?1 AND token = ?2", [server, token])?;
        empty_the_journal(&connection)
    }

    /// The room that an account published to last at a server.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn last_room(&self, server: &str, account: &AccountId) -> Result<Option<RoomId>, CacheError> {
        Ok(self.setting(&room_setting(server, account))?.and_then(|room| room.parse().ok()))
    }

    /// Remembers it.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_last_room(&self, server: &str, account: &AccountId, room: &RoomId) -> Result<(), CacheError> {
        self.set_setting(&room_setting(server, account), room.as_str())
    }
}

/// What was overwritten is in there still.
fn empty_the_journal(connection: &rusqlite::Connection) -> Result<(), CacheError> {
    let busy: bool = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        tracing::warn!("somebody else has app.db open: its journal keeps what was deleted for a while");
    }
    Ok(())
}

fn room_setting(server: &str, account: &AccountId) -> String {
    format!("room {account} {server}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::WallTime;
    use mujian_protocol::api::Role;

    #[test]
    fn sessions_and_rooms_are_kept_by_server() {
        let cache = Cache::in_memory().unwrap();
        let account =
            AccountView { id: AccountId::new(), name: "甲".into(), role: Role::Operator, created_at: WallTime(5) };
        cache.set_session("a", "t", &account).unwrap();
        assert_eq!(cache.session("a").unwrap().unwrap().account, account);
        assert!(cache.session("b").unwrap().is_none());
        let named = AccountView { name: "乙".into(), ..account.clone() };
        cache.set_account("a", &named).unwrap();
        cache.set_account("b", &named).unwrap();
        assert_eq!(cache.session("a").unwrap().unwrap().account, named);
        assert!(cache.session("b").unwrap().is_none(), "nobody is logged in there");
        let room: RoomId = "demo".parse().unwrap();
        cache.set_last_room("a", &account.id, &room).unwrap();
        assert_eq!(cache.last_room("a", &account.id).unwrap(), Some(room));
        assert_eq!(cache.last_room("b", &account.id).unwrap(), None);
        cache.end_session("a").unwrap();
        assert!(cache.session("a").unwrap().is_none());
    }

    #[test]
    fn what_the_keychain_may_hold_outlives_the_log_in() {
        let cache = Cache::in_memory().unwrap();
        let account =
            AccountView { id: AccountId::new(), name: "甲".into(), role: Role::Viewer, created_at: WallTime(5) };
        cache.set_session("a", "first", &account).unwrap();
        assert!(!cache.in_keychain("a").unwrap());
        cache.set_in_keychain("a", true).unwrap();
        cache.set_session("a", "second", &account).unwrap();
        cache.end_session("a").unwrap();
        assert!(cache.session("a").unwrap().is_none() && cache.in_keychain("a").unwrap());
        cache.set_session("a", "third", &account).unwrap();
        assert!(matches!(cache.session("a").unwrap().unwrap().token, Token::Here(token) if *token == "third"));
        cache.end_session("a").unwrap();
        cache.set_in_keychain("a", false).unwrap();
        assert!(!cache.in_keychain("a").unwrap());
    }

    #[test]
    fn a_token_that_was_tucked_away_is_nowhere_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let account =
            AccountView { id: AccountId::new(), name: "甲".into(), role: Role::Viewer, created_at: WallTime(5) };
        let secret = "mjs_a-secret-of-the-test";
        let holds = || {
            std::fs::read_dir(dir.path()).unwrap().any(|file| {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
            })
        };
        cache.set_session("a", secret, &account).unwrap();
        assert!(holds());
        cache.tucked_away("a", "another").unwrap();
        assert!(holds());
        cache.tucked_away("a", secret).unwrap();
        assert!(!holds());
        assert!(matches!(cache.session("a").unwrap().unwrap().token, Token::Keychain));
        cache.set_session("a", secret, &account).unwrap();
        cache.end_session("a").unwrap();
        assert!(!holds(), "logged out");
    }
}
