//! Who is logged in, by server, and the room that this app publishes to there.

use mujian_protocol::RoomId;
use mujian_protocol::api::AccountView;
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::{Cache, CacheError};

pub(super) const V1: &str = "\
CREATE TABLE session (server TEXT PRIMARY KEY, token TEXT NOT NULL, account TEXT NOT NULL) STRICT;
CREATE TABLE own_room (server TEXT NOT NULL, account TEXT NOT NULL, room TEXT NOT NULL, stream_key TEXT NOT NULL,
    PRIMARY KEY (server, account)) STRICT;";

/// A log-in at a server.
#[derive(Clone)]
pub struct StoredSession {
    /// For `Authorization: Bearer`.
    pub token: Zeroizing<String>,
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
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let found = self.connection.lock().query_row(sql, [server], read).optional()?;
        Ok(found.and_then(|(token, account)| {
            Some(StoredSession { token: Zeroizing::new(token), account: serde_json::from_str(&account).ok()? })
        }))
    }

    /// Remembers or forgets the session at a server.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_session(&self, server: &str, session: Option<&StoredSession>) -> Result<(), CacheError> {
        let connection = self.connection.lock();
        match session {
            None => connection.execute("DELETE FROM session WHERE server = ?1", [server])?,
            Some(s) => connection.execute(
                "INSERT OR REPLACE INTO session (server, token, account) VALUES (?1, ?2, ?3)",
                params![server, s.token.as_str(), serde_json::to_string(&s.account)?],
            )?,
        };
        Ok(())
    }

    /// The room that an account publishes to at a server, with its stream key.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn own_room(&self, server: &str, account: &str) -> Result<Option<(RoomId, Zeroizing<String>)>, CacheError> {
        let sql = "SELECT room, stream_key FROM own_room WHERE server = ?1 AND account = ?2";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
        let found = self.connection.lock().query_row(sql, [server, account], read).optional()?;
        Ok(found.and_then(|(room, key)| Some((room.parse().ok()?, Zeroizing::new(key)))))
    }

    /// Remembers the room that an account publishes to at a server.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_own_room(&self, server: &str, account: &str, room: &RoomId, key: &str) -> Result<(), CacheError> {
        let sql = "INSERT OR REPLACE INTO own_room (server, account, room, stream_key) VALUES (?1, ?2, ?3, ?4)";
        self.connection.lock().execute(sql, params![server, account, room.as_str(), key])?;
        Ok(())
    }

    /// Forgets it, when the room is gone or the key was renewed elsewhere.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn forget_own_room(&self, server: &str, account: &str) -> Result<(), CacheError> {
        self.connection.lock().execute("DELETE FROM own_room WHERE server = ?1 AND account = ?2", [server, account])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::api::Role;
    use mujian_protocol::{AccountId, WallTime};

    #[test]
    fn sessions_and_rooms_are_kept_by_server() {
        let cache = Cache::in_memory().unwrap();
        let account =
            AccountView { id: AccountId::new(), name: "甲".into(), role: Role::Operator, created_at: WallTime(5) };
        let session = StoredSession { token: Zeroizing::new("t".into()), account: account.clone() };
        cache.set_session("a", Some(&session)).unwrap();
        assert_eq!(cache.session("a").unwrap().unwrap().account, account);
        assert!(cache.session("b").unwrap().is_none());
        let room: RoomId = "demo".parse().unwrap();
        cache.set_own_room("a", account.id.as_str(), &room, "k").unwrap();
        assert_eq!(cache.own_room("a", account.id.as_str()).unwrap().unwrap().0, room);
        cache.set_session("a", None).unwrap();
        assert!(cache.session("a").unwrap().is_none());
    }
}
