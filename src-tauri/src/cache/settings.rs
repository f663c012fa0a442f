//! What the streamer chose last.

use mujian_protocol::studio::StudioSettings;
use rusqlite::{OptionalExtension as _, params};

use super::{Cache, CacheError};

pub(super) const V1: &str = "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;";

const STUDIO: &str = "studio";

impl Cache {
    /// The studio's settings, or the first ones. What cannot be read any more counts as never set.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn settings(&self) -> Result<StudioSettings, CacheError> {
        let stored = self.setting(STUDIO)?;
        Ok(stored.and_then(|s| serde_json::from_str(&s).ok()).unwrap_or_default())
    }

    /// Remembers the studio's settings.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_settings(&self, settings: &StudioSettings) -> Result<(), CacheError> {
        self.set_setting(STUDIO, &serde_json::to_string(settings)?)
    }

    /// A value by its name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn setting(&self, name: &str) -> Result<Option<String>, CacheError> {
        let connection = self.connection.lock();
        Ok(connection.query_row("SELECT value FROM setting WHERE name = ?1", [name], |row| row.get(0)).optional()?)
    }

    /// Remembers a value by its name.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn set_setting(&self, name: &str, value: &str) -> Result<(), CacheError> {
        let sql =
            "INSERT INTO setting (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
        self.connection.lock().execute(sql, params![name, value])?;
        Ok(())
    }

    /// Forgets a value.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn forget_setting(&self, name: &str) -> Result<(), CacheError> {
        self.connection.lock().execute("DELETE FROM setting WHERE name = ?1", [name])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_and_damage_is_survived() {
        let cache = Cache::in_memory().unwrap();
        assert_eq!(cache.settings().unwrap(), StudioSettings::default());
        let changed = StudioSettings { title: "夜谈".into(), muted: true, ..StudioSettings::default() };
        cache.set_settings(&changed).unwrap();
        assert_eq!(cache.settings().unwrap(), changed);
        cache.set_setting(STUDIO, "{\"source\":7}").unwrap();
        assert_eq!(cache.settings().unwrap(), StudioSettings::default());
    }
}
