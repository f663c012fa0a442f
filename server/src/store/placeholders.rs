//! Placeholders on rooms' shelves, what was picked, and whom the operator trusts.

use std::collections::HashSet;

use mujian_protocol::api::Person;
use mujian_protocol::audit::AuditAction;
use mujian_protocol::placeholder::{
    PlaceholderKind, PlaceholderPatch, PlaceholderState, PlaceholderView, RefusalCode, RemovedView, ReviewItem,
};
use mujian_protocol::room::RoomEventBody;
use mujian_protocol::{AccountId, LeaveId, RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accounts::parsed;
use super::migrations::Migration;
use super::{Concerned, Hand, Store, StoreError, audit};

/// How the reason that a moderator gave is kept, with their own words after it.
const BY_MODERATOR: &str = "A moderator refused it: ";
/// Titles of past streams that are kept for a room.
const TITLES_KEPT: u32 = 20;
/// Deletions that are remembered for a room.
const REMOVED_KEPT: u32 = 256;

pub(super) const MIGRATIONS: &[Migration] = &[
    Migration {
        version: super::migrations::PLACEHOLDERS,
        sql: "
        CREATE TABLE placeholders (
            id TEXT PRIMARY KEY,
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            name TEXT NOT NULL,
            -- A JSON array of strings.
            keywords TEXT NOT NULL CHECK (json_valid(keywords)),
            text TEXT NOT NULL,
            -- The protocol's names, as JSON strings.
            kind TEXT NOT NULL,
            sound INTEGER NOT NULL,
            bytes INTEGER NOT NULL,
            digest TEXT NOT NULL,
            duration_ms INTEGER,
            -- It was made ready; it may be shown. Two facts, of two judges.
            made INTEGER NOT NULL DEFAULT 0,
            allowed INTEGER NOT NULL DEFAULT 0,
            -- Why it is not shown.
            refused_code TEXT,
            refused_message TEXT,
            created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE INDEX placeholders_by_room ON placeholders (room_id, position);
        CREATE TABLE shelves (
            room_id TEXT PRIMARY KEY REFERENCES rooms (id) ON DELETE CASCADE,
            -- Picked for the next time away, and for the stay of this name.
            next TEXT,
            stay TEXT,
            shown TEXT
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE past_titles (
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            at INTEGER NOT NULL,
            title TEXT NOT NULL,
            PRIMARY KEY (room_id, at)
        ) STRICT, WITHOUT ROWID;
        ALTER TABLE accounts ADD COLUMN trusted INTEGER NOT NULL DEFAULT 0;
    ",
    },
    Migration {
        version: super::migrations::SHELF_COPIES,
        sql: "
        -- The uploading program's own name for it: sent twice, it is one placeholder.
        ALTER TABLE placeholders ADD COLUMN key TEXT;
        ALTER TABLE placeholders ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
        -- Of what is shown until this one, of other words, is made and allowed.
        ALTER TABLE placeholders ADD COLUMN shown_digest TEXT;
        UPDATE placeholders SET changed_at = created_at;
        CREATE UNIQUE INDEX placeholders_by_key ON placeholders (room_id, key) WHERE key IS NOT NULL;
        ALTER TABLE shelves ADD COLUMN ordered_at INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE removed_placeholders (
            room_id TEXT NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
            id TEXT NOT NULL,
            key TEXT,
            at INTEGER NOT NULL,
            PRIMARY KEY (room_id, id)
        ) STRICT, WITHOUT ROWID;
    ",
    },
];

/// What came of putting one on a shelf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is there.
    New,
    /// It was there before, by its key: this one.
    Already(Box<PlaceholderView>),
    /// There is no room for it.
    Full,
}

/// What a placeholder is made of, as its digest says it: `FILE+SOUND~WORDS`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Parts<'a> {
    file: &'a str,
    sound: Option<&'a str>,
    words: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn of(digest: &'a str) -> Self {
        let (files, words) = digest.split_once('~').map_or((digest, None), |(files, words)| (files, Some(words)));
        let (file, sound) = files.split_once('+').map_or((files, None), |(file, sound)| (file, Some(sound)));
        Self { file, sound, words }
    }
}

impl std::fmt::Display for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.file)?;
        self.sound.map_or(Ok(()), |sound| write!(f, "+{sound}"))?;
        self.words.map_or(Ok(()), |words| write!(f, "~{words}"))
    }
}

/// What of a placeholder was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// Its name or keywords.
    pub said: bool,
    /// The words on it.
    pub text: bool,
}

/// What was picked for a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picks {
    /// For the next time away.
    pub next: Option<String>,
    /// The stay that it was picked for, if it was for one.
    pub stay: Option<LeaveId>,
    /// For that stay.
    pub shown: Option<String>,
}

const SELECT: &str =
    "SELECT p.id, p.name, p.keywords, p.text, p.kind, p.sound, p.bytes, p.digest, p.duration_ms, p.made,
    p.allowed, p.refused_code, p.refused_message, p.created_at, p.room_id, a.id, a.name, p.key, p.changed_at,
    p.shown_digest IS NOT NULL
    FROM placeholders p JOIN rooms r ON r.id = p.room_id JOIN accounts a ON a.id = r.owner_id";

fn name_of<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn named<T: serde::de::DeserializeOwned>(r: &Row<'_>, at: usize) -> rusqlite::Result<T> {
    let name: String = r.get(at)?;
    serde_json::from_value(serde_json::Value::String(name))
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(e)))
}

fn view(r: &Row<'_>) -> rusqlite::Result<PlaceholderView> {
    let keywords = serde_json::from_str(r.get_ref(2)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))?;
    let refused = r.get::<_, Option<String>>(11)?.is_some();
    let (made, allowed): (bool, bool) = (r.get(9)?, r.get(10)?);
    let state = match (refused, made, allowed) {
        (true, ..) => {
            let (code, message) = (named::<RefusalCode>(r, 11)?, r.get::<_, String>(12)?);
            let words = (code == RefusalCode::Moderator).then(|| message.strip_prefix(BY_MODERATOR)).flatten();
            PlaceholderState::Refused { code, words: words.map(str::to_owned), message }
        }
        (_, false, _) => PlaceholderState::Checking,
        (_, true, false) => PlaceholderState::Waiting,
        (_, true, true) => PlaceholderState::Ready,
    };
    Ok(PlaceholderView {
        id: r.get(0)?,
        name: r.get(1)?,
        keywords,
        text: r.get(3)?,
        kind: named::<PlaceholderKind>(r, 4)?,
        sound: r.get(5)?,
        bytes: u64::try_from(r.get::<_, i64>(6)?).unwrap_or(0),
        digest: r.get(7)?,
        duration_ms: r.get(8)?,
        // One that can be shown is.
        stands: state != PlaceholderState::Ready && r.get(19)?,
        state,
        created_at: WallTime(r.get(13)?),
        changed_at: WallTime(r.get(18)?),
        key: r.get(17)?,
        mirror: None,
    })
}

fn item(r: &Row<'_>) -> rusqlite::Result<ReviewItem> {
    Ok(ReviewItem {
        room: parsed(r, 14)?,
        owner: Person { id: parsed(r, 15)?, name: r.get(16)? },
        placeholder: view(r)?,
    })
}

fn judge(c: &Connection, id: &str, digest: &str, refused: Option<(RefusalCode, String)>) -> rusqlite::Result<bool> {
    let (code, message) = refused.map(|(c, m)| (name_of(&c), m)).unzip();
    let changed = c.execute(
        "UPDATE placeholders SET allowed = ?3, refused_code = ?4, refused_message = ?5,
         shown_digest = iif(?4 = ?6 OR (?4 IS NULL AND made = 1), NULL, shown_digest)
         WHERE id = ?1 AND digest = ?2",
        params![id, digest, code.is_none(), code, message, name_of(&RefusalCode::Moderator)],
    )?;
    Ok(changed > 0)
}

fn renumber(c: &Connection, room: &str, order: &[String]) -> rusqlite::Result<()> {
    let mut set = c.prepare_cached("UPDATE placeholders SET position = ?3 WHERE room_id = ?1 AND id = ?2")?;
    for (position, id) in order.iter().enumerate() {
        set.execute(params![room, id, i64::try_from(position).unwrap_or(i64::MAX)])?;
    }
    Ok(())
}

/// A room's placeholders, in their order.
pub(super) fn of_room(c: &Connection, room: &RoomId) -> rusqlite::Result<Vec<PlaceholderView>> {
    c.prepare_cached(&format!("{SELECT} WHERE p.room_id = ?1 ORDER BY p.position, p.id"))?
        .query_map([room.as_str()], view)?
        .collect()
}

fn order(c: &Connection, room: &str) -> rusqlite::Result<Vec<String>> {
    c.prepare_cached("SELECT id FROM placeholders WHERE room_id = ?1 ORDER BY position, id")?
        .query_map([room], |r| r.get(0))?
        .collect()
}

/// See [`Store::shelf`].
#[derive(Clone, Debug)]
pub struct ShelfRows {
    /// When it was put in order last.
    pub ordered_at: WallTime,
    /// What was deleted from it, the newest first.
    pub removed: Vec<RemovedView>,
    /// Those that are on it, in their order.
    pub placeholders: Vec<PlaceholderView>,
}

impl Store {
    /// Puts a placeholder at the end of a room's shelf, unless one of its key is there. Full: it holds `most`
    /// already, or its files would be more than `bytes` together.
    ///
    /// # Errors
    /// The database failed.
    pub async fn add_placeholder(
        &self,
        room: RoomId,
        new: PlaceholderView,
        most: usize,
        bytes: u64,
    ) -> Result<Added, StoreError> {
        self.write(move |c| {
            if let Some(key) = &new.key {
                let there = c
                    .prepare_cached(&format!("{SELECT} WHERE p.room_id = ?1 AND p.key = ?2"))?
                    .query_row(params![room.as_str(), key], view)
                    .optional()?;
                if let Some(there) = there {
                    return Ok(Added::Already(Box::new(there)));
                }
            }
            let (held, size, end): (i64, i64, i64) = c.query_row(
                "SELECT count(*), coalesce(sum(bytes), 0), coalesce(max(position), -1) + 1 FROM placeholders WHERE room_id = ?1",
                [room.as_str()],
                |r| Ok((r.get(0)?, r.get(1)?, r.get(2)?)),
            )?;
            let size = u64::try_from(size).unwrap_or(0);
            if held >= i64::try_from(most).unwrap_or(i64::MAX) || size.saturating_add(new.bytes) > bytes {
                return Ok(Added::Full);
            }
            c.execute(
                "INSERT INTO placeholders (id, room_id, position, name, keywords, text, kind, sound, bytes, digest, created_at, changed_at, key)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12)",
                params![
                    new.id,
                    room.as_str(),
                    end,
                    new.name,
                    serde_json::Value::from(new.keywords).to_string(),
                    new.text,
                    name_of(&new.kind),
                    new.sound,
                    i64::try_from(new.bytes).unwrap_or(i64::MAX),
                    new.digest,
                    new.created_at.millis(),
                    new.key,
                ],
            )?;
            c.execute(
                "DELETE FROM removed_placeholders WHERE room_id = ?1 AND key = ?2",
                params![room.as_str(), new.key],
            )?;
            Ok(Added::New)
        })
        .await
    }

    /// A room's shelf at one moment: whoever compares it with another copy must find each placeholder that there was either
    /// on it or among those deleted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn shelf(&self, room: RoomId) -> Result<ShelfRows, StoreError> {
        self.read(move |c| {
            // Without it each statement would see a moment of its own.
            let c = c.unchecked_transaction()?;
            let ordered: Option<i64> = c
                .prepare_cached("SELECT ordered_at FROM shelves WHERE room_id = ?1")?
                .query_row([room.as_str()], |r| r.get(0))
                .optional()?;
            let removed = c
                .prepare_cached("SELECT id, key, at FROM removed_placeholders WHERE room_id = ?1 ORDER BY at DESC, id")?
                .query_map([room.as_str()], |r| {
                    Ok(RemovedView { id: r.get(0)?, key: r.get(1)?, at: WallTime(r.get(2)?) })
                })?
                .collect::<Result<_, _>>()?;
            Ok(ShelfRows { ordered_at: WallTime(ordered.unwrap_or(0)), removed, placeholders: of_room(&c, &room)? })
        })
        .await
    }

    /// The digest of what is shown in the place of one whose words were changed.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholder_standing(&self, id: String) -> Result<Option<String>, StoreError> {
        self.read(move |c| {
            let found = c
                .prepare_cached("SELECT shown_digest FROM placeholders WHERE id = ?1")?
                .query_row([id], |r| r.get(0))
                .optional()?;
            Ok(found.flatten())
        })
        .await
    }

    /// A room's placeholders, in their order.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholders(&self, room: RoomId) -> Result<Vec<PlaceholderView>, StoreError> {
        self.read(move |c| of_room(c, &room)).await
    }

    /// A placeholder with its room and owner.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholder(&self, id: String) -> Result<Option<ReviewItem>, StoreError> {
        self.read(move |c| c.prepare_cached(&format!("{SELECT} WHERE p.id = ?1"))?.query_row([id], item).optional())
            .await
    }

    /// Those that wait for a moderator, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholders_waiting(&self, limit: u32) -> Result<Vec<ReviewItem>, StoreError> {
        self.read(move |c| {
            c.prepare_cached(&format!(
                "{SELECT} WHERE p.made = 1 AND p.allowed = 0 AND p.refused_code IS NULL ORDER BY p.created_at, p.id LIMIT ?1"
            ))?
            .query_map([limit], item)?
            .collect()
        })
        .await
    }

    /// Of all that are there: in which room, and which.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholder_places(&self) -> Result<HashSet<(RoomId, String)>, StoreError> {
        self.read(|c| {
            c.prepare("SELECT room_id, id FROM placeholders")?
                .query_map([], |r| Ok((parsed(r, 0)?, r.get(1)?)))?
                .collect()
        })
        .await
    }

    /// Those that were not made ready yet.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholders_unmade(&self) -> Result<Vec<ReviewItem>, StoreError> {
        self.read(|c| {
            c.prepare_cached(&format!("{SELECT} WHERE p.made = 0 AND p.refused_code IS NULL ORDER BY p.created_at"))?
                .query_map([], item)?
                .collect()
        })
        .await
    }

    /// A worker has made it ready, of the files of this digest. False: it has others now, or is gone.
    ///
    /// # Errors
    /// The database failed.
    pub async fn placeholder_made(
        &self,
        id: String,
        digest: String,
        kind: PlaceholderKind,
        sound: bool,
        duration_ms: u32,
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let changed = c.execute(
                "UPDATE placeholders SET made = 1, kind = ?3, sound = ?4, duration_ms = ?5,
                 shown_digest = iif(allowed = 1 AND refused_code IS NULL, NULL, shown_digest)
                 WHERE id = ?1 AND digest = ?2",
                params![id, digest, name_of(&kind), sound, duration_ms],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    /// It may be shown; or it is refused, with the reason. False: it is not of this digest, or gone, and
    /// nothing changed: what somebody did not look at, nobody judged. What a moderator refuses is not shown as it
    /// was before its words were changed, either.
    ///
    /// # Errors
    /// The database failed.
    pub async fn judge_placeholder(
        &self,
        id: String,
        digest: String,
        refused: Option<(RefusalCode, String)>,
    ) -> Result<bool, StoreError> {
        self.write(move |c| judge(c, &id, &digest, refused)).await
    }

    /// The same by a moderator, in their words, which may be empty.
    ///
    /// # Errors
    /// The database failed.
    pub async fn review_placeholder(
        &self,
        item: ReviewItem,
        digest: String,
        refused: Option<String>,
        hand: Hand,
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let PlaceholderView { id, name, .. } = item.placeholder;
            let message = refused.as_deref().map(|reason| match reason {
                "" => "A moderator refused it.".to_owned(),
                reason => format!("{BY_MODERATOR}{reason}"),
            });
            let judged = judge(c, &id, &digest, message.map(|m| (RefusalCode::Moderator, m)))?;
            if judged {
                let action = match refused {
                    None => AuditAction::PlaceholderAllowed { name },
                    Some(reason) => AuditAction::PlaceholderRefused { name, reason },
                };
                audit::note(c, &hand, &action, &Concerned { account: Some(item.owner.id), room: Some(item.room) })?;
            }
            Ok(judged)
        })
        .await
    }

    /// Nobody has said yet whether it may be shown.
    ///
    /// # Errors
    /// The database failed.
    pub async fn unjudge_placeholder(&self, id: String) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "UPDATE placeholders SET allowed = 0, refused_code = NULL, refused_message = NULL WHERE id = ?1",
                [id],
            )?;
            Ok(())
        })
        .await
    }

    /// Changes what is not none. A position puts it there among the others. Other words are made and judged
    /// again, with `sign` in the digest, and what could be shown before is shown until then; but what a moderator
    /// refused, or what is wrong with the file, other words do not mend. None: it is not there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change_placeholder(
        &self,
        room: RoomId,
        id: String,
        patch: PlaceholderPatch,
        sign: String,
        at: WallTime,
    ) -> Result<Option<Changed>, StoreError> {
        self.write(move |c| {
            let before = c
                .prepare_cached(&format!("{SELECT} WHERE p.room_id = ?1 AND p.id = ?2"))?
                .query_row(params![room.as_str(), id], view)
                .optional()?;
            let Some(before) = before else { return Ok(None) };
            let said = patch.name.as_ref().is_some_and(|n| *n != before.name)
                || patch.keywords.as_ref().is_some_and(|k| *k != before.keywords);
            let text = patch.text.filter(|t| *t != before.text);
            if said {
                c.execute(
                    "UPDATE placeholders SET name = coalesce(?2, name), keywords = coalesce(?3, keywords), changed_at = ?4 WHERE id = ?1",
                    params![id, patch.name, patch.keywords.map(|k| serde_json::Value::from(k).to_string()), at.millis()],
                )?;
            }
            let changed = Changed { said, text: text.is_some() };
            if let Some(text) = text {
                let digest = Parts { words: Some(&sign), ..Parts::of(&before.digest) }.to_string();
                // One that stands was made of this file before.
                let settled = !before.stands
                    && matches!(&before.state, PlaceholderState::Refused { code, .. }
                        if !matches!(code, RefusalCode::Words | RefusalCode::NoFont | RefusalCode::NoWorkshop));
                let shown = (before.state == PlaceholderState::Ready).then_some(before.digest);
                c.execute(
                    "UPDATE placeholders SET text = ?2, digest = ?3, changed_at = ?4, made = 0, allowed = 0, duration_ms = NULL,
                     refused_code = iif(?5, refused_code, NULL), refused_message = iif(?5, refused_message, NULL),
                     shown_digest = coalesce(?6, shown_digest) WHERE id = ?1",
                    params![id, text, digest, at.millis(), settled, shown],
                )?;
            }
            if let Some(position) = patch.position {
                let before = order(c, room.as_str())?;
                let mut all = before.clone();
                all.retain(|other| *other != id);
                all.insert((position as usize).min(all.len()), id);
                if all != before {
                    renumber(c, room.as_str(), &all)?;
                    c.execute(
                        "INSERT INTO shelves (room_id, ordered_at) VALUES (?1, ?2)
                         ON CONFLICT (room_id) DO UPDATE SET ordered_at = excluded.ordered_at",
                        params![room.as_str(), at.millis()],
                    )?;
                }
            }
            Ok(Some(changed))
        })
        .await
    }

    /// Takes one off its shelf. False: it is not there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_placeholder(&self, room: RoomId, id: String, at: WallTime) -> Result<bool, StoreError> {
        self.write(move |c| {
            c.execute(
                "INSERT OR REPLACE INTO removed_placeholders (room_id, id, key, at)
                 SELECT room_id, id, key, ?3 FROM placeholders WHERE room_id = ?1 AND id = ?2",
                params![room.as_str(), id, at.millis()],
            )?;
            c.execute(
                "DELETE FROM removed_placeholders WHERE room_id = ?1 AND id NOT IN
                 (SELECT id FROM removed_placeholders WHERE room_id = ?1 ORDER BY at DESC, id LIMIT ?2)",
                params![room.as_str(), REMOVED_KEPT],
            )?;
            let deleted =
                c.execute("DELETE FROM placeholders WHERE room_id = ?1 AND id = ?2", params![room.as_str(), id])?;
            c.execute(
                "UPDATE shelves SET next = nullif(next, ?2), shown = nullif(shown, ?2) WHERE room_id = ?1",
                params![room.as_str(), id],
            )?;
            Ok(deleted > 0)
        })
        .await
    }

    /// What was picked for a room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn picks(&self, room: RoomId) -> Result<Picks, StoreError> {
        self.read(move |c| {
            let picks = c
                .prepare_cached("SELECT next, shown, stay FROM shelves WHERE room_id = ?1")?
                .query_row([room.as_str()], |r| {
                    let stay = if r.get::<_, Option<String>>(2)?.is_some() { Some(parsed(r, 2)?) } else { None };
                    Ok(Picks { next: r.get(0)?, shown: r.get(1)?, stay })
                })
                .optional()?;
            Ok(picks.unwrap_or_default())
        })
        .await
    }

    /// Picks for a room.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_picks(&self, room: RoomId, picks: Picks) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "INSERT INTO shelves (room_id, next, stay, shown) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (room_id) DO UPDATE SET next = excluded.next, stay = excluded.stay, shown = excluded.shown",
                params![room.as_str(), picks.next, picks.stay.as_ref().map(LeaveId::as_str), picks.shown],
            )?;
            Ok(())
        })
        .await
    }

    /// Notes under which title a stream began.
    ///
    /// # Errors
    /// The database failed.
    pub async fn note_title(&self, room: RoomId, at: WallTime, title: String) -> Result<(), StoreError> {
        self.write(move |c| {
            c.execute(
                "INSERT OR REPLACE INTO past_titles (room_id, at, title) VALUES (?1, ?2, ?3)",
                params![room.as_str(), at.millis(), title],
            )?;
            c.execute(
                "DELETE FROM past_titles WHERE room_id = ?1 AND at NOT IN
                 (SELECT at FROM past_titles WHERE room_id = ?1 ORDER BY at DESC LIMIT ?2)",
                params![room.as_str(), TITLES_KEPT],
            )?;
            Ok(())
        })
        .await
    }

    /// Titles of a room's past streams, the newest first, and its last danmaku, the oldest first.
    ///
    /// # Errors
    /// The database failed.
    pub async fn room_words(&self, room: RoomId, danmaku: u32) -> Result<(Vec<String>, Vec<String>), StoreError> {
        self.read(move |c| {
            let titles = c
                .prepare_cached("SELECT title FROM past_titles WHERE room_id = ?1 ORDER BY at DESC")?
                .query_map([room.as_str()], |r| r.get(0))?
                .collect::<Result<Vec<String>, _>>()?;
            let bodies = c
                .prepare_cached(
                    "SELECT body FROM room_events WHERE room_id = ?1 ORDER BY epoch DESC, number DESC LIMIT ?2",
                )?
                .query_map(params![room.as_str(), danmaku], |r| r.get(0))?
                .collect::<Result<Vec<String>, _>>()?;
            let said = bodies.iter().rev().filter_map(|b| match serde_json::from_str(b) {
                Ok(RoomEventBody::Danmaku(danmaku)) => Some(danmaku.text),
                _ => None,
            });
            Ok((titles, said.collect()))
        })
        .await
    }

    /// Says whether an account's uploads are shown without a moderator's word. False: no such account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_trusted(&self, account: AccountId, trusted: bool, hand: Option<Hand>) -> Result<bool, StoreError> {
        self.write(move |c| {
            let changed = c.execute(
                "UPDATE accounts SET trusted = ?2 WHERE id = ?1 AND deleted_at IS NULL",
                params![account.as_str(), trusted],
            )?;
            if let Some(hand) = hand.filter(|_| changed > 0) {
                let on = Concerned { account: Some(account), room: None };
                audit::note(c, &hand, &AuditAction::TrustChanged { trusted }, &on)?;
            }
            Ok(changed > 0)
        })
        .await
    }

    /// Whether an account's uploads are shown without a moderator's word: the operator said so, or it is one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn is_trusted(&self, account: AccountId) -> Result<bool, StoreError> {
        self.read(move |c| {
            let found = c
                .prepare_cached("SELECT trusted = 1 OR role = 'operator' FROM accounts WHERE id = ?1")?
                .query_row([account.as_str()], |r| r.get(0))
                .optional()?;
            Ok(found.unwrap_or(false))
        })
        .await
    }
}

impl Store {
    /// A placeholder has other sound: it must be made and judged again, and stands until then. False: it is not there, or the files on
    /// the shelf would be more than `most` bytes together.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_placeholder_sound(
        &self,
        room: RoomId,
        id: String,
        (bytes, most): (u64, u64),
        sound: String,
        at: WallTime,
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let others: i64 = c.query_row(
                "SELECT coalesce(sum(bytes), 0) FROM placeholders WHERE room_id = ?1 AND id != ?2",
                params![room.as_str(), id],
                |r| r.get(0),
            )?;
            if u64::try_from(others).unwrap_or(0).saturating_add(bytes) > most {
                return Ok(false);
            }
            let before: Option<String> = c
                .prepare_cached("SELECT digest FROM placeholders WHERE room_id = ?1 AND id = ?2")?
                .query_row(params![room.as_str(), id], |r| r.get(0))
                .optional()?;
            let Some(before) = before else { return Ok(false) };
            let digest = Parts { sound: Some(&sound), ..Parts::of(&before) }.to_string();
            c.execute(
                "UPDATE placeholders SET made = 0, allowed = 0, refused_code = NULL, refused_message = NULL,
                 duration_ms = NULL, bytes = ?2, digest = ?3, changed_at = ?4,
                 shown_digest = iif(made = 1 AND allowed = 1 AND refused_code IS NULL, digest, shown_digest) WHERE id = ?1",
                params![id, i64::try_from(bytes).unwrap_or(i64::MAX), digest, at.millis()],
            )?;
            Ok(true)
        })
        .await
    }
}
