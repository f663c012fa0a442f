//! Who is logged in, by server, and the room that they published to there.

use mujian_protocol::api::AccountView;
use mujian_protocol::{AccountId, RoomId};
use rusqlite::{OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::{Cache, CacheError};

pub(super) const V1: &str =
    "CREATE TABLE session (server TEXT PRIMARY KEY, token TEXT NOT NULL, account TEXT NOT NULL) STRICT;";

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
        let session = StoredSession { token: Zeroizing::new("t".into()), account: account.clone() };
        cache.set_session("a", Some(&session)).unwrap();
        assert_eq!(cache.session("a").unwrap().unwrap().account, account);
        assert!(cache.session("b").unwrap().is_none());
        let room: RoomId = "demo".parse().unwrap();
        cache.set_last_room("a", &account.id, &room).unwrap();
        assert_eq!(cache.last_room("a", &account.id).unwrap(), Some(room));
        assert_eq!(cache.last_room("b", &account.id).unwrap(), None);
        cache.set_session("a", None).unwrap();
        assert!(cache.session("a").unwrap().is_none());
    }
}
