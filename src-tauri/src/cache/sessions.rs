//! Who is logged in, by server, and the room that they published to there.

use mujian_protocol::api::AccountView;
use mujian_protocol::{AccountId, RoomId};
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::{Cache, CacheError};

pub(super) const V1: &str =
    "CREATE TABLE session (server TEXT PRIMARY KEY, token TEXT NOT NULL, account TEXT NOT NULL) STRICT;";

pub(super) const V2: &str = "ALTER TABLE session ADD COLUMN keychain INTEGER NOT NULL DEFAULT 0;";

/// For `Authorization: Bearer`, and where it is.
#[derive(Clone)]
pub enum Token {
    /// In this file.
    Here(Zeroizing<String>),
    /// In the system's keychain.
    Keychain,
}

/// A log-in at a server.
#[derive(Clone)]
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
        let sql = "SELECT token, account, keychain FROM session WHERE server = ?1";
        let read = |row: &rusqlite::Row<'_>| {
            let token = Zeroizing::new(row.get::<_, String>(0)?);
            Ok((if row.get(2)? { Token::Keychain } else { Token::Here(token) }, row.get::<_, String>(1)?))
        };
        let found = self.connection.lock().query_row(sql, [server], read).optional()?;
        Ok(found
            .and_then(|(token, account)| Some(StoredSession { token, account: serde_json::from_str(&account).ok()? })))
    }

    /// Remembers or forgets the session at a server.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_session(&self, server: &str, session: Option<&StoredSession>) -> Result<(), CacheError> {
        let connection = self.connection.lock();
        match session {
            None => connection.execute("DELETE FROM session WHERE server = ?1", [server])?,
            Some(s) => {
                let (token, keychain) = match &s.token {
                    Token::Here(token) => (token.as_str(), false),
                    Token::Keychain => ("", true),
                };
                connection.execute(
                    "INSERT OR REPLACE INTO session (server, token, account, keychain) VALUES (?1, ?2, ?3, ?4)",
                    params![server, token, serde_json::to_string(&s.account)?, keychain],
                )?
            }
        };
        Ok(())
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

    /// This token is in the keychain now, and nowhere in this file any more. False: it is not the one that counts.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn tucked_away(&self, server: &str, token: &str) -> Result<bool, CacheError> {
        let connection = self.connection.lock();
        let sql = "UPDATE session SET token = '', keychain = 1 WHERE server = ?1 AND token = ?2 AND keychain = 0";
        let changed = connection.execute(sql, [server, token])?;
        // The journal has it still.
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(changed > 0)
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
        let session = StoredSession { token: Token::Here(Zeroizing::new("t".into())), account: account.clone() };
        cache.set_session("a", Some(&session)).unwrap();
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
        cache.set_session("a", None).unwrap();
        assert!(cache.session("a").unwrap().is_none());
    }

    #[test]
    fn a_token_that_was_tucked_away_is_nowhere_in_the_files() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path()).unwrap();
        let account =
            AccountView { id: AccountId::new(), name: "甲".into(), role: Role::Viewer, created_at: WallTime(5) };
        let secret = "mjs_a-secret-of-the-test";
        let session = StoredSession { token: Token::Here(Zeroizing::new(secret.into())), account };
        cache.set_session("a", Some(&session)).unwrap();
        let holds = || {
            std::fs::read_dir(dir.path()).unwrap().any(|file| {
                let bytes = std::fs::read(file.unwrap().path()).unwrap();
                bytes.windows(secret.len()).any(|w| w == secret.as_bytes())
            })
        };
        assert!(holds());
        assert!(!cache.tucked_away("a", "another").unwrap());
        assert!(cache.tucked_away("a", secret).unwrap());
        assert!(!holds());
        assert!(matches!(cache.session("a").unwrap().unwrap().token, Token::Keychain));
    }
}
