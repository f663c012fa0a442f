//! The broadcast that is meant to run: what a new process goes on with after this one died.

use mujian_protocol::room::Away;
use mujian_protocol::studio::StudioSettings;
use mujian_protocol::{RoomId, WallTime};
use rusqlite::{OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::{Cache, CacheError};

pub(super) const V1: &str =
    "CREATE TABLE broadcast_intent (only INTEGER PRIMARY KEY CHECK (only = 1), value TEXT NOT NULL) STRICT;";

/// Stored before the first frame goes out, and removed by an end that was meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// Names the server, as for sessions.
    pub server: String,
    /// Where it is published to.
    pub room: RoomId,
    /// What is broadcast, and how.
    pub settings: StudioSettings,
    /// The encoder that ran, once it did.
    pub encoder: Option<String>,
    /// Since when.
    pub since: WallTime,
    /// The streamer is away: whatever crashes, nothing goes live again by itself.
    #[serde(default)]
    pub away: Option<Away>,
}

impl Cache {
    /// The broadcast that is meant to run.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn intent(&self) -> Result<Option<Intent>, CacheError> {
        let found: Option<String> =
            self.connection.lock().query_row("SELECT value FROM broadcast_intent", [], |row| row.get(0)).optional()?;
        Ok(found.and_then(|s| serde_json::from_str(&s).ok()))
    }

    /// Remembers it, or that there is none.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_intent(&self, intent: Option<&Intent>) -> Result<(), CacheError> {
        let connection = self.connection.lock();
        match intent {
            None => connection.execute("DELETE FROM broadcast_intent", [])?,
            Some(intent) => connection.execute(
                "INSERT OR REPLACE INTO broadcast_intent (only, value) VALUES (1, ?1)",
                params![serde_json::to_string(intent)?],
            )?,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::LeaveId;

    #[test]
    fn an_intent_outlives_the_process() {
        let dir = tempfile::tempdir().unwrap();
        let intent = Intent {
            server: "hosted".into(),
            room: "demo".parse().unwrap(),
            settings: StudioSettings::default(),
            encoder: Some("libx264".into()),
            since: WallTime(3),
            away: Some(Away { since: WallTime(4), leave_id: LeaveId::new(), keep_sound: true, back_at: None }),
        };
        Cache::open(dir.path()).unwrap().set_intent(Some(&intent)).unwrap();
        let again = Cache::open(dir.path()).unwrap();
        assert_eq!(again.intent().unwrap(), Some(intent));
        again.set_intent(None).unwrap();
        assert_eq!(again.intent().unwrap(), None);
    }
}
