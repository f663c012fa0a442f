//! The shelf on this computer: what was dropped, byte for byte, by its content, and what is said of it, in SQLite.
//!
//! Unlike the cache, this is the truth: what is lost here is lost. A file is there before a row names it, and goes
//! after the last row that does.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use mujian_protocol::placeholder::{PLACEHOLDERS_MAX, PlaceholderKind};
use mujian_protocol::{AccountId, ApiError, ErrorCode, Problem, RoomId};
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::plan::{Base, Local, LocalShelf, Words};

/// The folder in the data folder, the database and the files in it.
const FOLDER: &str = "shelf";
const DATABASE: &str = "shelf.db";
/// The streamer's shelf; others are other accounts'.
pub(crate) const STREAMERS: i64 = 0;
const FILES: &str = "files";
/// One step each, never changed, only added to.
const MIGRATIONS: &[&str] = &[V1];
const V1: &str = "
    -- Whose shelf it is: another account of the same server has another one.
    CREATE TABLE owner (
        server TEXT NOT NULL,
        account TEXT NOT NULL,
        shelf INTEGER NOT NULL,
        PRIMARY KEY (server, account)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE ordered (shelf INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;
    CREATE TABLE item (
        shelf INTEGER NOT NULL,
        key TEXT NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        -- A JSON array of strings.
        keywords TEXT NOT NULL,
        text TEXT NOT NULL,
        -- The protocol's name, as a JSON string.
        kind TEXT NOT NULL,
        -- SHA-256 in hexadecimal: their names among the files.
        file TEXT,
        file_type TEXT NOT NULL DEFAULT '',
        file_bytes INTEGER NOT NULL DEFAULT 0,
        sound TEXT,
        sound_type TEXT NOT NULL DEFAULT '',
        sound_bytes INTEGER NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL,
        changed_at INTEGER NOT NULL,
        -- Deleted ones are remembered for the servers that have them still.
        removed_at INTEGER,
        PRIMARY KEY (shelf, key)
    ) STRICT, WITHOUT ROWID;
    -- What this computer and a room agreed on last.
    CREATE TABLE base (
        shelf INTEGER NOT NULL,
        server TEXT NOT NULL,
        room TEXT NOT NULL,
        key TEXT NOT NULL,
        id TEXT NOT NULL,
        -- JSON.
        words TEXT NOT NULL,
        sound TEXT,
        PRIMARY KEY (shelf, server, room, key),
        UNIQUE (shelf, server, room, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE base_order (
        shelf INTEGER NOT NULL,
        server TEXT NOT NULL,
        room TEXT NOT NULL,
        -- A JSON array of keys.
        keys TEXT NOT NULL,
        PRIMARY KEY (shelf, server, room)
    ) STRICT, WITHOUT ROWID;
";

/// Something could not be done with the shelf.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShelfError {
    #[error(
        "The shelf's data could not be read or written ({0}). See that the disk is not full and that the data folder is yours."
    )]
    Sqlite(#[from] rusqlite::Error),
    #[error("The shelf's data is damaged ({0}).")]
    Format(#[from] serde_json::Error),
    #[error("The shelf was written by a newer Mujian (its format is {found}, this one knows {known}). Update Mujian.")]
    Newer { found: u32, known: u32 },
    #[error("{path} could not be written ({error}). Free some space or mend its permissions.")]
    Disk { path: PathBuf, error: io::Error },
    #[error("{0} has vanished. Delete the placeholder from the shelf and add it again.")]
    Gone(PathBuf),
    #[error("The shelf is full: {PLACEHOLDERS_MAX} placeholders at most. Delete one that you do not need.")]
    Full,
    #[error("There is no such placeholder on this shelf.")]
    Unknown,
}

impl From<ShelfError> for ApiError {
    fn from(error: ShelfError) -> Self {
        let path = format!("{FOLDER}/{DATABASE}");
        let full = |e: &rusqlite::Error| e.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull);
        let (code, problem) = match &error {
            ShelfError::Full => {
                let max = u32::try_from(PLACEHOLDERS_MAX).unwrap_or(u32::MAX);
                (ErrorCode::Conflict, Some(Problem::ShelfFull { max }))
            }
            ShelfError::Unknown => (ErrorCode::NotFound, None),
            ShelfError::Newer { found, known } => {
                (ErrorCode::Storage, Some(Problem::NewerData { path, found: *found, known: *known }))
            }
            ShelfError::Gone(path) => {
                (ErrorCode::Storage, Some(Problem::ShelfFileGone { path: path.display().to_string() }))
            }
            ShelfError::Disk { path, error } => {
                let path = path.display().to_string();
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                let problem = if full {
                    Problem::DiskFull { path }
                } else {
                    Problem::FolderNotWritable { path, reason: error.to_string() }
                };
                (ErrorCode::Storage, Some(problem))
            }
            ShelfError::Sqlite(e) if full(e) => (ErrorCode::Storage, Some(Problem::DiskFull { path })),
            ShelfError::Sqlite(e) => (ErrorCode::Storage, Some(Problem::DataFailed { path, reason: e.to_string() })),
            ShelfError::Format(e) => (ErrorCode::Storage, Some(Problem::DataFailed { path, reason: e.to_string() })),
        };
        Self::new(code, error.to_string()).about(problem)
    }
}

type Result<T> = std::result::Result<T, ShelfError>;

/// A file of the shelf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Blob {
    /// SHA-256 in hexadecimal.
    pub(crate) digest: String,
    /// What it said it was.
    pub(crate) content_type: String,
    /// Its size.
    pub(crate) bytes: u64,
}

/// A placeholder as it is kept here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) key: String,
    pub(crate) words: Words,
    pub(crate) kind: PlaceholderKind,
    pub(crate) file: Option<Blob>,
    pub(crate) sound: Option<Blob>,
    pub(crate) created_at: i64,
    pub(crate) changed_at: i64,
    pub(crate) removed_at: Option<i64>,
}

/// A room of a server, and the shelf that is mirrored there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Which shelf.
    pub(crate) shelf: i64,
    /// As the cache calls it.
    pub(crate) server: String,
    /// Whose room.
    pub(crate) account: AccountId,
    /// Which room.
    pub(crate) room: RoomId,
}

/// See the top of the file.
#[derive(Debug)]
pub(crate) struct Store {
    connection: Mutex<Connection>,
    files: PathBuf,
}

fn named(kind: PlaceholderKind) -> String {
    serde_json::to_string(&kind).unwrap_or_default()
}

fn item(r: &Row<'_>) -> rusqlite::Result<Item> {
    fn json<T: serde::de::DeserializeOwned>(r: &Row<'_>, at: usize) -> rusqlite::Result<T> {
        let text: String = r.get(at)?;
        serde_json::from_str(&text)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(e)))
    }
    let blob = |at: usize| -> rusqlite::Result<Option<Blob>> {
        let Some(digest) = r.get(at)? else { return Ok(None) };
        let bytes = u64::try_from(r.get::<_, i64>(at + 2)?).unwrap_or(0);
        Ok(Some(Blob { digest, content_type: r.get(at + 1)?, bytes }))
    };
    Ok(Item {
        key: r.get(0)?,
        words: Words { name: r.get(1)?, keywords: json(r, 2)?, text: r.get(3)? },
        kind: json(r, 4)?,
        file: blob(5)?,
        sound: blob(8)?,
        created_at: r.get(11)?,
        changed_at: r.get(12)?,
        removed_at: r.get(13)?,
    })
}

const SELECT: &str = "SELECT key, name, keywords, text, kind, file, file_type, file_bytes, sound, sound_type,
    sound_bytes, created_at, changed_at, removed_at FROM item";

impl Store {
    /// Opens or makes the shelf in the data folder.
    pub(crate) fn open(data: &Path) -> Result<Self> {
        let files = data.join(FOLDER).join(FILES);
        let prepared = fs::create_dir_all(&files).and_then(|()| crate::paths::restrict(&data.join(FOLDER), 0o700));
        prepared.map_err(|error| ShelfError::Disk { path: files.clone(), error })?;
        let mut connection = Connection::open(data.join(FOLDER).join(DATABASE))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
        let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        if found > known {
            return Err(ShelfError::Newer { found, known });
        }
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for step in MIGRATIONS.iter().skip(found as usize) {
            transaction.execute_batch(step)?;
        }
        if found < known {
            transaction.pragma_update(None, "user_version", known)?;
        }
        transaction.commit()?;
        let store = Self { connection: Mutex::new(connection), files };
        store.sweep();
        Ok(store)
    }

    /// Where a file of this content is, if it is here.
    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.files.join(digest)
    }

    fn has(&self, blob: Option<&Blob>) -> bool {
        blob.is_none_or(|b| self.path(&b.digest).exists())
    }

    /// Whether all files of it are on this computer.
    pub(crate) fn is_here(&self, item: &Item) -> bool {
        self.has(item.file.as_ref()) && self.has(item.sound.as_ref())
    }

    /// A new file beside the others, for what is on its way here.
    pub(crate) fn incoming(&self) -> Result<NamedTempFile> {
        NamedTempFile::new_in(&self.files).map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> ShelfError {
        ShelfError::Disk { path: self.files.clone(), error }
    }

    /// Bytes as a file on their way in, with their digest. Blocks on the disk.
    pub(crate) fn receive(&self, bytes: &[u8], content_type: &str) -> Result<(NamedTempFile, Blob)> {
        let mut file = self.incoming()?;
        file.write_all(bytes).map_err(|error| self.failed(error))?;
        let digest = hex(&Sha256::digest(bytes));
        Ok((file, Blob { digest, content_type: content_type.to_owned(), bytes: bytes.len() as u64 }))
    }

    /// The file is there for good, before a row names it.
    fn keep(&self, file: NamedTempFile, blob: &Blob) -> Result<()> {
        file.as_file().sync_data().map_err(|error| self.failed(error))?;
        file.persist(self.path(&blob.digest)).map_err(|e| self.failed(e.error))?;
        Ok(())
    }

    /// Which shelf is an account's at a server. The first account at each server is the streamer, whose shelf goes
    /// from server to server; another one at the same server is somebody else.
    pub(crate) fn shelf_of(&self, server: &str, account: &AccountId) -> Result<i64> {
        let mut connection = self.connection.lock();
        let c = connection.transaction()?;
        let known = c
            .query_row(
                "SELECT shelf FROM owner WHERE server = ?1 AND account = ?2",
                params![server, account.as_str()],
                |r| r.get(0),
            )
            .optional()?;
        if let Some(shelf) = known {
            return Ok(shelf);
        }
        let shelf: i64 = c.query_row(
            "SELECT iif(EXISTS (SELECT 1 FROM owner WHERE server = ?1), (SELECT max(shelf) + 1 FROM owner), 0)",
            [server],
            |r| r.get(0),
        )?;
        c.execute(
            "INSERT INTO owner (server, account, shelf) VALUES (?1, ?2, ?3)",
            params![server, account.as_str(), shelf],
        )?;
        c.commit()?;
        Ok(shelf)
    }

    /// All on a shelf, in order, deleted ones included.
    pub(crate) fn items(&self, shelf: i64) -> Result<Vec<Item>> {
        let connection = self.connection.lock();
        let mut all = connection.prepare_cached(&format!("{SELECT} WHERE shelf = ?1 ORDER BY position, key"))?;
        Ok(all.query_map([shelf], item)?.collect::<rusqlite::Result<_>>()?)
    }

    /// One that was not deleted.
    pub(crate) fn item(&self, shelf: i64, key: &str) -> Result<Option<Item>> {
        let connection = self.connection.lock();
        let mut one =
            connection.prepare_cached(&format!("{SELECT} WHERE shelf = ?1 AND key = ?2 AND removed_at IS NULL"))?;
        Ok(one.query_row(params![shelf, key], item).optional()?)
    }

    /// What this computer and a room agreed on last, of one of them.
    pub(crate) fn base(&self, place: &Place, key: &str) -> Result<Option<Base>> {
        let sql = "SELECT id, words, sound FROM base WHERE shelf = ?1 AND server = ?2 AND room = ?3 AND key = ?4";
        let found: Option<(String, String, Option<String>)> = self
            .connection
            .lock()
            .query_row(sql, params![place.shelf, place.server, place.room.as_str(), key], |r| {
                Ok((r.get(0)?, r.get(1)?, r.get(2)?))
            })
            .optional()?;
        found.map(|(id, words, sound)| Ok(Base { id, words: serde_json::from_str(&words)?, sound })).transpose()
    }

    /// The shelf as the mirror compares it with a room's.
    pub(crate) fn local(&self, place: &Place) -> Result<LocalShelf> {
        let items = self.items(place.shelf)?;
        let (mut bases, ordered_at, base_order) = self.agreed(place)?;
        let items = items.into_iter().map(|item| Local {
            base: bases.remove(&item.key),
            here: self.is_here(&item),
            sound: item.sound.map(|s| s.digest),
            key: item.key,
            words: item.words,
            changed_at: item.changed_at,
            removed_at: item.removed_at,
        });
        Ok(LocalShelf { items: items.collect(), ordered_at, base_order })
    }

    /// What this computer and a room agreed on, and when the order was changed here.
    fn agreed(&self, place: &Place) -> Result<(BTreeMap<String, Base>, i64, Vec<String>)> {
        let connection = self.connection.lock();
        let room = place.room.as_str();
        let mut all = connection
            .prepare_cached("SELECT key, id, words, sound FROM base WHERE shelf = ?1 AND server = ?2 AND room = ?3")?;
        let mut bases = BTreeMap::new();
        let mut rows = all.query(params![place.shelf, place.server, room])?;
        while let Some(r) = rows.next()? {
            let words = serde_json::from_str(r.get_ref(2)?.as_str().unwrap_or_default())?;
            bases.insert(r.get(0)?, Base { id: r.get(1)?, words, sound: r.get(3)? });
        }
        let ordered: Option<i64> =
            connection.query_row("SELECT at FROM ordered WHERE shelf = ?1", [place.shelf], |r| r.get(0)).optional()?;
        let keys: Option<String> = connection
            .query_row(
                "SELECT keys FROM base_order WHERE shelf = ?1 AND server = ?2 AND room = ?3",
                params![place.shelf, place.server, room],
                |r| r.get(0),
            )
            .optional()?;
        let keys = keys.map(|k| serde_json::from_str(&k)).transpose()?.unwrap_or_default();
        Ok((bases, ordered.unwrap_or(0), keys))
    }

    /// Puts one at the end of the shelf, with its files.
    pub(crate) fn add(
        &self,
        shelf: i64,
        new: &Item,
        files: Vec<(NamedTempFile, Blob)>,
        base: Option<(&Place, &Base)>,
    ) -> Result<()> {
        let mut connection = self.connection.lock();
        let c = connection.transaction()?;
        let (held, end): (i64, i64) = c.query_row(
            "SELECT count(*) FILTER (WHERE removed_at IS NULL), coalesce(max(position), -1) + 1 FROM item WHERE shelf = ?1",
            [shelf],
            |r| Ok((r.get(0)?, r.get(1)?)),
        )?;
        // What the room has already is taken in, whatever came here meanwhile.
        if base.is_none() && held >= i64::try_from(PLACEHOLDERS_MAX).unwrap_or(i64::MAX) {
            return Err(ShelfError::Full);
        }
        for (file, blob) in files {
            self.keep(file, &blob)?;
        }
        let (file, sound) = (new.file.clone().unwrap_or_default(), new.sound.clone().unwrap_or_default());
        let size = |b: &Blob| i64::try_from(b.bytes).unwrap_or(i64::MAX);
        c.execute(
            "INSERT OR REPLACE INTO item (shelf, key, position, name, keywords, text, kind, file, file_type, file_bytes,
             sound, sound_type, sound_bytes, created_at, changed_at)
             VALUES (?1, ?2, coalesce((SELECT position FROM item WHERE shelf = ?1 AND key = ?2), ?3),
             ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            params![
                shelf,
                new.key,
                end,
                new.words.name,
                serde_json::to_string(&new.words.keywords)?,
                new.words.text,
                named(new.kind),
                new.file.as_ref().map(|f| &f.digest),
                file.content_type,
                size(&file),
                new.sound.as_ref().map(|s| &s.digest),
                sound.content_type,
                size(&sound),
                new.created_at,
                new.changed_at,
            ],
        )?;
        if let Some((place, base)) = base {
            note(&c, place, &new.key, base)?;
        }
        c.commit()?;
        Ok(())
    }

    /// Puts files that vanished back in their places.
    pub(crate) fn restore(&self, files: Vec<(NamedTempFile, Blob)>) -> Result<()> {
        files.into_iter().try_for_each(|(file, blob)| self.keep(file, &blob))
    }

    /// Changes what is said of one. With a place, that is what the room says, and both agree on it.
    pub(crate) fn set_words(
        &self,
        shelf: i64,
        key: &str,
        words: &Words,
        at: i64,
        agreed: Option<(&Place, &Base)>,
    ) -> Result<()> {
        let mut connection = self.connection.lock();
        let c = connection.transaction()?;
        let changed = c.execute(
            "UPDATE item SET name = ?3, keywords = ?4, text = ?5, changed_at = max(changed_at, ?6) WHERE shelf = ?1 AND key = ?2",
            params![shelf, key, words.name, serde_json::to_string(&words.keywords)?, words.text, at],
        )?;
        if changed == 0 {
            return Err(ShelfError::Unknown);
        }
        if let Some((place, base)) = agreed {
            note(&c, place, key, base)?;
        }
        c.commit()?;
        Ok(())
    }

    /// Gives one sound, in place of its file's own.
    pub(crate) fn set_sound(
        &self,
        shelf: i64,
        key: &str,
        (file, sound): (NamedTempFile, Blob),
        at: i64,
        agreed: Option<(&Place, &Base)>,
    ) -> Result<()> {
        {
            let mut connection = self.connection.lock();
            let c = connection.transaction()?;
            self.keep(file, &sound)?;
            let changed = c.execute(
                "UPDATE item SET sound = ?3, sound_type = ?4, sound_bytes = ?5, changed_at = max(changed_at, ?6)
                 WHERE shelf = ?1 AND key = ?2",
                params![
                    shelf,
                    key,
                    sound.digest,
                    sound.content_type,
                    i64::try_from(sound.bytes).unwrap_or(i64::MAX),
                    at
                ],
            )?;
            if changed == 0 {
                return Err(ShelfError::Unknown);
            }
            if let Some((place, base)) = agreed {
                note(&c, place, key, base)?;
            }
            c.commit()?;
        }
        self.sweep();
        Ok(())
    }

    /// Deletes one. That it was there is remembered; its files are not kept.
    pub(crate) fn remove(&self, shelf: i64, key: &str, at: i64, gone_at: Option<&Place>) -> Result<()> {
        {
            let connection = self.connection.lock();
            let sql = "UPDATE item SET removed_at = ?3 WHERE shelf = ?1 AND key = ?2 AND removed_at IS NULL";
            if connection.execute(sql, params![shelf, key, at])? == 0 {
                return Err(ShelfError::Unknown);
            }
        }
        if let Some(place) = gone_at {
            self.forget(place, key)?;
        }
        self.sweep();
        Ok(())
    }

    /// Puts the shelf in this order. With a time: the streamer did it.
    pub(crate) fn set_order(&self, shelf: i64, keys: &[String], at: Option<i64>) -> Result<()> {
        let mut connection = self.connection.lock();
        let c = connection.transaction()?;
        for (position, key) in keys.iter().enumerate() {
            let position = i64::try_from(position).unwrap_or(i64::MAX);
            c.execute("UPDATE item SET position = ?3 WHERE shelf = ?1 AND key = ?2", params![shelf, key, position])?;
        }
        if let Some(at) = at {
            c.execute("INSERT OR REPLACE INTO ordered (shelf, at) VALUES (?1, ?2)", params![shelf, at])?;
        }
        c.commit()?;
        Ok(())
    }

    /// Notes in which order this computer's and a room's are.
    pub(crate) fn agree_order(&self, place: &Place, keys: &[String]) -> Result<()> {
        self.connection.lock().execute(
            "INSERT OR REPLACE INTO base_order (shelf, server, room, keys) VALUES (?1, ?2, ?3, ?4)",
            params![place.shelf, place.server, place.room.as_str(), serde_json::to_string(keys)?],
        )?;
        Ok(())
    }

    /// Notes what this computer and a room agree on.
    pub(crate) fn agree(&self, place: &Place, key: &str, base: &Base) -> Result<()> {
        note(&self.connection.lock(), place, key, base)
    }

    /// The room has it no more.
    pub(crate) fn forget(&self, place: &Place, key: &str) -> Result<()> {
        self.connection.lock().execute(
            "DELETE FROM base WHERE shelf = ?1 AND server = ?2 AND room = ?3 AND key = ?4",
            params![place.shelf, place.server, place.room.as_str(), key],
        )?;
        Ok(())
    }

    /// Deletes files that no row names. One that cannot be deleted now is deleted at the next start.
    fn sweep(&self) {
        // Under the lock: a file that is being named is not without a name.
        let connection = self.connection.lock();
        let named = || -> rusqlite::Result<BTreeSet<String>> {
            let sql = "SELECT file FROM item WHERE removed_at IS NULL AND file IS NOT NULL
                UNION SELECT sound FROM item WHERE removed_at IS NULL AND sound IS NOT NULL";
            connection.prepare(sql)?.query_map([], |r| r.get(0))?.collect()
        };
        let (Ok(named), Ok(entries)) = (named(), fs::read_dir(&self.files)) else { return };
        for entry in entries.filter_map(std::result::Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // Others are on their way in, and delete themselves.
            if name.len() == 64 && !named.contains(&name) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn note(c: &Connection, place: &Place, key: &str, base: &Base) -> Result<()> {
    c.execute(
        "INSERT OR REPLACE INTO base (shelf, server, room, key, id, words, sound) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            place.shelf,
            place.server,
            place.room.as_str(),
            key,
            base.id,
            serde_json::to_string(&base.words)?,
            base.sound
        ],
    )?;
    Ok(())
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(store: &Store, server: &str) -> Place {
        let account = AccountId::new();
        let shelf = store.shelf_of(server, &account).unwrap();
        Place { shelf, server: server.into(), account, room: "demo".parse().unwrap() }
    }

    fn words(name: &str) -> Words {
        Words { name: name.into(), keywords: vec!["唱歌".into()], text: "稍等".into() }
    }

    fn put(store: &Store, shelf: i64, key: &str, bytes: &[u8]) -> Item {
        let (file, blob) = store.receive(bytes, "image/png").unwrap();
        let item = Item {
            key: key.into(),
            words: words(key),
            kind: PlaceholderKind::Picture,
            file: Some(blob.clone()),
            sound: None,
            created_at: 5,
            changed_at: 5,
            removed_at: None,
        };
        store.add(shelf, &item, vec![(file, blob)], None).unwrap();
        item
    }

    fn files(data: &Path) -> usize {
        fs::read_dir(data.join("shelf/files")).unwrap().count()
    }

    #[test]
    fn what_was_dropped_is_there_again_byte_for_byte() {
        let data = tempfile::tempdir().unwrap();
        let (one, two) = {
            let store = Store::open(data.path()).unwrap();
            (put(&store, 0, "a", b"cat"), put(&store, 0, "b", b"cat"))
        };
        assert_eq!(files(data.path()), 1, "the same content is there once");
        let store = Store::open(data.path()).unwrap();
        assert_eq!(store.items(0).unwrap(), [one.clone(), two]);
        assert!(store.is_here(&one));
        let digest = &one.file.as_ref().unwrap().digest;
        assert_eq!(fs::read(store.path(digest)).unwrap(), b"cat");
        store.set_words(0, "a", &words("other"), 9, None).unwrap();
        let (file, sound) = store.receive(b"music", "audio/mpeg").unwrap();
        store.set_sound(0, "a", (file, sound.clone()), 11, None).unwrap();
        let (file, other) = store.receive(b"other music", "audio/mpeg").unwrap();
        store.set_sound(0, "a", (file, other.clone()), 10, None).unwrap();
        let changed = store.item(0, "a").unwrap().unwrap();
        assert_eq!((changed.words, changed.sound, changed.changed_at), (words("other"), Some(other), 11));
        assert_eq!(files(data.path()), 2, "sound that nobody names is gone");
        // Deleted, it is remembered, and its content stays for the other one.
        store.remove(0, "a", 12, None).unwrap();
        assert!(matches!(store.remove(0, "a", 13, None), Err(ShelfError::Unknown)));
        assert_eq!((store.item(0, "a").unwrap(), files(data.path())), (None, 1));
        assert_eq!(store.items(0).unwrap()[0].removed_at, Some(12));
        store.remove(0, "b", 12, None).unwrap();
        assert_eq!(files(data.path()), 0);
    }

    #[test]
    fn what_was_agreed_is_known_by_place() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let (here, there) = (place(&store, "http://here"), place(&store, "http://there"));
        assert_eq!((here.shelf, there.shelf), (0, 0), "the shelf goes along");
        assert_eq!(place(&store, "http://here").shelf, 1, "and is not anybody's who logs in");
        assert_eq!(store.shelf_of("http://here", &here.account).unwrap(), 0);
        put(&store, 0, "a", b"cat");
        put(&store, 0, "b", b"dog");
        let base = Base { id: "r1".into(), words: words("a"), sound: Some("s".into()) };
        store.agree(&here, "a", &base).unwrap();
        let order = ["b".to_owned(), "a".to_owned()];
        store.set_order(0, &order, Some(7)).unwrap();
        store.agree_order(&here, &order).unwrap();
        let local = store.local(&here).unwrap();
        let seen: Vec<_> = local.items.iter().map(|i| (i.key.as_str(), i.base.clone())).collect();
        assert_eq!(seen, [("b", None), ("a", Some(base.clone()))]);
        assert_eq!((local.ordered_at, local.base_order), (7, order.to_vec()));
        assert_eq!(store.base(&here, "a").unwrap(), Some(base));
        let other = store.local(&there).unwrap();
        assert!(other.items.iter().all(|i| i.base.is_none()) && other.base_order.is_empty());
        store.forget(&here, "a").unwrap();
        assert_eq!(store.base(&here, "a").unwrap(), None);
    }

    #[test]
    fn what_stands_in_the_way_is_a_sentence() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        let item = put(&store, 0, "a", b"cat");
        fs::remove_file(store.path(&item.file.as_ref().unwrap().digest)).unwrap();
        assert!(!store.is_here(&item), "a file that vanished");
        // A folder that is no folder any more stands for one that cannot be written.
        fs::remove_dir_all(data.path().join("shelf/files")).unwrap();
        let told = ApiError::from(store.receive(b"dog", "").unwrap_err());
        assert!(matches!(told.problem.as_deref(), Some(Problem::FolderNotWritable { .. })), "{told:?}");
        let full = ShelfError::Disk { path: "x".into(), error: io::ErrorKind::StorageFull.into() };
        assert!(matches!(ApiError::from(full).problem.as_deref(), Some(Problem::DiskFull { .. })));
        drop(store);
        let raw = Connection::open(data.path().join("shelf/shelf.db")).unwrap();
        raw.pragma_update(None, "user_version", 99).unwrap();
        let told = ApiError::from(Store::open(data.path()).unwrap_err());
        assert!(matches!(told.problem.as_deref(), Some(Problem::NewerData { found: 99, .. })), "{told:?}");
        let blocked = tempfile::tempdir().unwrap();
        fs::write(blocked.path().join("shelf"), "in the way").unwrap();
        assert!(matches!(Store::open(blocked.path()), Err(ShelfError::Disk { .. })));
    }

    #[test]
    fn a_full_database_keeps_what_was_there() {
        let data = tempfile::tempdir().unwrap();
        let store = Store::open(data.path()).unwrap();
        put(&store, 0, "a", b"cat");
        let pages: u32 = store.connection.lock().query_row("PRAGMA page_count", [], |r| r.get(0)).unwrap();
        store.connection.lock().pragma_update(None, "max_page_count", pages).unwrap();
        let long = Words { text: "w".repeat(100_000), ..words("a") };
        let told = ApiError::from(store.set_words(0, "a", &long, 9, None).unwrap_err());
        assert!(matches!(told.problem.as_deref(), Some(Problem::DiskFull { .. })), "{told:?}");
        assert_eq!(store.item(0, "a").unwrap().unwrap().words, words("a"));
    }
}
