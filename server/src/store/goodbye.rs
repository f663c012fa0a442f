//! What is kept of an account, to be taken along, and its end.
//!
//! An account that is deleted leaves a row without name, password and role: what others' records refer to (a vote in
//! their ballot, the author of an event with its number) stays, and tells nothing of whom it was.

use mujian_protocol::export::{
    AccountExport, EXPORT_FORMAT, EXPORT_MAX, ExportedDanmaku, ExportedRecording, ExportedRoom, ExportedSession,
    ExportedStream, ExportedVote,
};
use mujian_protocol::room::RoomEventBody;
use mujian_protocol::{AccountId, RoomId, WallTime};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::accounts::{account_at, parsed};
use super::migrations::{GOODBYES, Migration};
use super::recordings::RecordingRow;
use super::{Store, StoreError, announcements, ballots, follows, placeholders, recordings, relays, rooms, sessions};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: GOODBYES,
    sql: "
        -- It was deleted: nothing is left but what others' records refer to.
        ALTER TABLE accounts ADD COLUMN deleted_at INTEGER;
    ",
}];

/// What became of a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It was done; files of these are still there.
    Done {
        /// Rooms that were the account's.
        rooms: Vec<RoomId>,
        /// Their recordings.
        recordings: Vec<RecordingRow>,
    },
    /// There is no such account, or its password was changed a moment ago.
    Unknown,
    /// Nobody would run the server any more.
    LastOperator,
    /// A stream runs in one of its rooms.
    OnAir,
}

fn export(c: &Connection, id: &AccountId, at: WallTime) -> rusqlite::Result<Option<AccountExport>> {
    let found = c
        .prepare_cached(
            "SELECT id, name, role, created_at, trusted FROM accounts WHERE id = ?1 AND deleted_at IS NULL",
        )?
        .query_row([id.as_str()], |r| Ok((account_at(r, 0)?, r.get::<_, bool>(4)?)))
        .optional()?;
    let Some((account, trusted)) = found else { return Ok(None) };
    let sessions = c
        .prepare_cached("SELECT created_at, expires_at FROM sessions WHERE account_id = ?1 ORDER BY created_at")?
        .query_map([id.as_str()], |r| {
            Ok(ExportedSession { created_at: WallTime(r.get(0)?), expires_at: WallTime(r.get(1)?) })
        })?
        .collect::<Result<_, _>>()?;
    let mut owned = rooms::owned(c, id)?;
    owned.reverse();
    let rooms = owned.into_iter().map(|room| exported_room(c, room)).collect::<Result<_, _>>()?;
    let most = i64::try_from(EXPORT_MAX).unwrap_or(i64::MAX) + 1;
    let mut danmaku: Vec<ExportedDanmaku> = Vec::new();
    let mut rows = c.prepare_cached(
        "SELECT room_id, at, body FROM room_events WHERE author_id = ?1 ORDER BY at DESC, room_id, epoch, number LIMIT ?2",
    )?;
    let mut rows = rows.query(params![id.as_str(), most])?;
    while let Some(r) = rows.next()? {
        let body: RoomEventBody = serde_json::from_str(r.get_ref(2)?.as_str()?)
            .map_err(|e| rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(e)))?;
        if let RoomEventBody::Danmaku(d) = body {
            let (room, at) = (parsed(r, 0)?, WallTime(r.get(1)?));
            danmaku.push(ExportedDanmaku { room, at, text: d.text, mode: d.mode, color: d.color });
        }
    }
    let mut votes: Vec<ExportedVote> = c
        .prepare_cached(
            "SELECT v.ballot_id, b.room_id, b.opened_at, b.options, v.option FROM votes v
             JOIN ballots b ON b.id = v.ballot_id WHERE v.account_id = ?1 AND v.stands = 1
             ORDER BY b.opened_at DESC, b.id LIMIT ?2",
        )?
        .query_map(params![id.as_str(), most], |r| {
            let number: u32 = r.get(4)?;
            let choice = ballots::options(r, 3)?
                .into_iter()
                .nth(number as usize)
                .ok_or(rusqlite::Error::IntegralValueOutOfRange(4, i64::from(number)))?;
            Ok(ExportedVote { ballot: parsed(r, 0)?, room: parsed(r, 1)?, opened_at: WallTime(r.get(2)?), choice })
        })?
        .collect::<Result<_, _>>()?;
    let complete = danmaku.len() <= EXPORT_MAX && votes.len() <= EXPORT_MAX;
    danmaku.truncate(EXPORT_MAX);
    votes.truncate(EXPORT_MAX);
    Ok(Some(AccountExport {
        format: EXPORT_FORMAT,
        made_at: at,
        account: account.view(),
        trusted,
        sessions,
        rooms,
        follows: follows::exported(c, id)?,
        danmaku,
        votes,
        complete,
    }))
}

fn exported_room(c: &Connection, room: rooms::RoomRow) -> rusqlite::Result<ExportedRoom> {
    let streams = c
        .prepare_cached("SELECT id, started_at, ended_at FROM streams WHERE room_id = ?1 ORDER BY started_at, id")?
        .query_map([room.id.as_str()], |r| {
            let ended_at = r.get::<_, Option<i64>>(2)?.map(WallTime);
            Ok(ExportedStream { id: parsed(r, 0)?, started_at: WallTime(r.get(1)?), ended_at })
        })?
        .collect::<Result<_, _>>()?;
    let mut recordings = recordings::of_room(c, &room.id, u32::MAX)?;
    recordings.reverse();
    let recordings = recordings
        .into_iter()
        .map(|r| ExportedRecording {
            id: r.id,
            title: r.title,
            started_at: r.started_at,
            whole_ms: r.duration,
            bytes: r.bytes,
        })
        .collect();
    Ok(ExportedRoom {
        placeholders: placeholders::of_room(c, &room.id)?,
        announced: announcements::exported(c, &room.id)?,
        relays: relays::of_room(c, &room.id)?,
        id: room.id,
        title: room.title,
        category: room.category,
        tags: room.tags,
        created_at: room.created_at,
        ballot: room.ballot,
        streams,
        recordings,
    })
}

fn delete(c: &Connection, id: &AccountId, password: &str, at: WallTime) -> rusqlite::Result<Deletion> {
    let role: Option<String> = c
        .query_row(
            "SELECT role FROM accounts WHERE id = ?1 AND password = ?2 AND deleted_at IS NULL",
            params![id.as_str(), password],
            |r| r.get(0),
        )
        .optional()?;
    let Some(role) = role else { return Ok(Deletion::Unknown) };
    let operators: u32 = c.query_row("SELECT count(*) FROM accounts WHERE role = 'operator'", [], |r| r.get(0))?;
    if role == "operator" && operators <= 1 {
        return Ok(Deletion::LastOperator);
    }
    let owned = rooms::owned(c, id)?;
    if owned.iter().any(|room| room.stream.is_some()) {
        return Ok(Deletion::OnAir);
    }
    let mut recordings = Vec::new();
    for room in &owned {
        recordings.extend(recordings::of_room(c, &room.id, u32::MAX)?);
    }
    // With all that is in them: what others wrote there belongs to the room.
    c.execute("DELETE FROM rooms WHERE owner_id = ?1", [id.as_str()])?;
    c.execute("UPDATE room_events SET body = json_set(body, '$.author.name', '') WHERE author_id = ?1", [id.as_str()])?;
    sessions::delete_all(c, id, None)?;
    follows::delete_all(c, id)?;
    c.execute("DELETE FROM recoveries WHERE account_id = ?1", [id.as_str()])?;
    // Longer than a name can be, so nobody's; the name itself is free for somebody else.
    c.execute(
        "UPDATE accounts SET name = '', name_key = 'deleted ' || id, password = NULL, role = 'viewer', trusted = 0,
         deleted_at = ?2 WHERE id = ?1",
        params![id.as_str(), at.millis()],
    )?;
    Ok(Deletion::Done { rooms: owned.into_iter().map(|room| room.id).collect(), recordings })
}

/// Whether an account was deleted. What it still had under way is written without its name.
pub(super) fn is_gone(c: &Connection, id: &AccountId) -> rusqlite::Result<bool> {
    let gone = c
        .prepare_cached("SELECT deleted_at IS NOT NULL FROM accounts WHERE id = ?1")?
        .query_row([id.as_str()], |r| r.get(0))
        .optional()?;
    Ok(gone.unwrap_or(true))
}

impl Store {
    /// What is kept of an account, as of one moment. None: there is no such account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn export(&self, id: AccountId, at: WallTime) -> Result<Option<AccountExport>, StoreError> {
        self.read(move |c| {
            let moment = Transaction::new_unchecked(c, TransactionBehavior::Deferred)?;
            export(&moment, &id, at)
        })
        .await
    }

    /// Deletes an account whose password is still the one of this PHC string: its rooms with all that is in them, its
    /// sessions, its name wherever it stands. Files are the caller's to delete.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete_account(&self, id: AccountId, password: String, at: WallTime) -> Result<Deletion, StoreError> {
        self.write(move |c| delete(c, &id, &password, at)).await
    }
}
