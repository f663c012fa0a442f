//! Keeps the recordings' folder in order: what a crash left is finished, what is too old or too much is deleted.

use std::path::PathBuf;
use std::time::Duration;

use mujian_protocol::{StreamId, WallTime};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::index::{INDEX, Index, MEDIA};
use super::recorder::folder_of;
use crate::clock::Clock;
use crate::config::Recordings;
use crate::store::{RecordingProgress, RecordingRow, Store, StoreError};

/// What is too old or too much is looked for so often.
const SWEEP: Duration = Duration::from_secs(600);
const DAY_MS: i64 = 24 * 3600 * 1000;
const GIGABYTE: u64 = 1 << 30;

/// See the module.
#[derive(Clone)]
pub struct Keeper {
    store: Store,
    clock: Clock,
    folder: PathBuf,
    rules: Recordings,
}

/// Which of these, oldest first, are too old or too much. One that is being made stays.
fn too_much(rows: &[RecordingRow], rules: &Recordings, now: WallTime) -> Vec<StreamId> {
    let oldest = now.millis().saturating_sub(i64::from(rules.keep_days).saturating_mul(DAY_MS));
    let most = u64::from(rules.keep_gigabytes).saturating_mul(GIGABYTE);
    let mut all: u64 = rows.iter().map(|r| r.bytes).sum();
    let mut gone = Vec::new();
    for row in rows {
        let Some(ended) = row.ended_at else { continue };
        let old = rules.keep_days > 0 && ended.millis() < oldest;
        let much = rules.keep_gigabytes > 0 && all > most;
        if old || much {
            all -= row.bytes;
            gone.push(row.id.clone());
        }
    }
    gone
}

impl Keeper {
    /// `folder`: where the recordings of all rooms are.
    #[must_use]
    pub fn new(store: Store, clock: Clock, folder: PathBuf, rules: Recordings) -> Self {
        Self { store, clock, folder, rules }
    }

    /// Where a recording's files are.
    #[must_use]
    pub fn folder_of(&self, row: &RecordingRow) -> PathBuf {
        folder_of(&self.folder, &row.room, &row.id)
    }

    /// Finishes what a server that was killed left, before anything is recorded.
    ///
    /// # Errors
    /// The database failed.
    pub async fn recover(&self) -> Result<(), StoreError> {
        for row in self.store.all_recordings().await?.into_iter().filter(|r| r.ended_at.is_none()) {
            let folder = self.folder_of(&row);
            let read = tokio::task::spawn_blocking(move || Index::read(&folder));
            let index = read.await.ok().and_then(Result::ok).unwrap_or_default();
            let Some(last) = index.entries.last() else {
                self.delete(&row).await?;
                continue;
            };
            let (duration, away) = index.lengths();
            let ended = WallTime(last.wall.millis().saturating_add(last.duration().millis()));
            let progress = RecordingProgress {
                duration: duration.millis(),
                away: away.millis(),
                bytes: last.offset + last.length(),
                ended_at: Some(index.ended.unwrap_or(ended)),
                problem: row.problem,
            };
            self.store.note_recording(row.id.clone(), progress).await?;
            info!(room = %row.room, "A recording that was broken off is whole up to its last segment.");
        }
        Ok(())
    }

    /// Deletes a recording: first what tells of it, then its files.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete(&self, row: &RecordingRow) -> Result<(), StoreError> {
        self.store.delete_recording(row.id.clone()).await?;
        self.remove_files(row).await;
        Ok(())
    }

    /// Removes the files of a recording that nothing tells of any more.
    pub async fn remove_files(&self, row: &RecordingRow) {
        let folder = self.folder_of(row);
        if let Err(error) = tokio::fs::remove_dir_all(&folder).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            // The next sweep finds files that nothing tells of.
            warn!(%error, "The files of a deleted recording could not be removed yet.");
        }
        // The room's folder goes with its last recording.
        if let Some(room) = folder.parent() {
            let _ = tokio::fs::remove_dir(room).await;
        }
    }

    /// Deletes what is too old or too much, and files that nothing tells of.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let rows = self.store.all_recordings().await?;
        let gone = too_much(&rows, &self.rules, self.clock.wall());
        for row in rows.iter().filter(|row| gone.contains(&row.id)) {
            info!(room = %row.room, "A recording is deleted: it is too old, or there are too many.");
            self.delete(row).await?;
        }
        self.remove_orphans().await
    }

    async fn remove_orphans(&self) -> Result<(), StoreError> {
        let Ok(mut rooms) = tokio::fs::read_dir(&self.folder).await else { return Ok(()) };
        while let Ok(Some(room)) = rooms.next_entry().await {
            let Ok(mut streams) = tokio::fs::read_dir(room.path()).await else { continue };
            while let Ok(Some(folder)) = streams.next_entry().await {
                let id: Option<StreamId> = folder.file_name().to_str().and_then(|name| name.parse().ok());
                // What is not named like ours is not ours to delete.
                let Some(id) = id else { continue };
                if self.store.recording(id).await?.is_none() {
                    for name in [MEDIA, INDEX] {
                        let _ = tokio::fs::remove_file(folder.path().join(name)).await;
                    }
                    let _ = tokio::fs::remove_dir(folder.path()).await;
                    // That of a room with other recordings is not empty, and stays.
                    let _ = tokio::fs::remove_dir(room.path()).await;
                }
            }
        }
        Ok(())
    }

    /// Sweeps again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = stop.cancelled() => return,
            }
            if let Err(error) = self.sweep().await {
                warn!(%error, "The recordings could not be looked through.");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mujian_protocol::{AccountId, RoomId};

    use super::*;

    fn row(days_ago: i64, gigabytes: u64, ended: bool) -> RecordingRow {
        let room: RoomId = "room".parse().unwrap();
        let at = WallTime(100 * DAY_MS - days_ago * DAY_MS);
        RecordingRow {
            id: StreamId::new(),
            room,
            owner: AccountId::new(),
            title: String::new(),
            started_at: at,
            ended_at: ended.then_some(at),
            duration: 0,
            away: 0,
            bytes: gigabytes * GIGABYTE,
            problem: None,
        }
    }

    #[test]
    fn the_oldest_go_until_what_is_left_is_young_and_small_enough() {
        let rows = [row(50, 1, true), row(40, 5, false), row(20, 40, true), row(10, 40, true), row(1, 40, true)];
        let gone = |keep_days, keep_gigabytes| {
            let rules = Recordings { keep_days, keep_gigabytes, ..Recordings::default() };
            let gone = too_much(&rows, &rules, WallTime(100 * DAY_MS));
            rows.iter().map(|r| gone.contains(&r.id)).collect::<Vec<_>>()
        };
        assert_eq!(gone(0, 0), [false; 5]);
        assert_eq!(gone(30, 0), [true, false, false, false, false]);
        assert_eq!(gone(0, 100), [true, false, true, false, false]);
        assert_eq!(gone(15, 60), [true, false, true, true, false]);
    }
}
