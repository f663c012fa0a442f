//! Writes recordings.
//!
//! The live path hands over whole segments and never waits: a queue bounded by bytes stands between, and what does not
//! fit is left out (a gap). A disk that is full or broken ends the recording with a reason that its owner is told; the
//! stream goes on.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use mujian_media::time::MediaTime;
use mujian_protocol::room::Stage;
use mujian_protocol::{RoomId, StreamId, WallTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::files::Files;
use crate::clock::Clock;
use crate::stage::programme::ChunkConfig;
use crate::store::{Problem, RecordingProgress, Store};

/// Kilobytes that may wait for the disk.
const QUEUE_KBYTES: usize = 32 * 1024;
/// Segments that are written at once, where they wait for the disk.
const AT_ONCE: usize = 16;
/// How far a recording is, is noted in the database once in so many segments.
const NOTE_EVERY: u32 = 15;

/// A segment to be written.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its parts.
    pub parts: Vec<Bytes>,
    /// How it is coded.
    pub config: Arc<ChunkConfig>,
    /// What it shows.
    pub stage: Stage,
    /// Programme time of its first picture.
    pub start: MediaTime,
    /// How long it is.
    pub duration: MediaTime,
    /// When its first picture went out.
    pub wall: WallTime,
    /// Decoding can start with it.
    pub key: bool,
    /// Something is missing before it.
    pub gap: bool,
    /// When its first sound frame is heard.
    pub sound_at: Option<MediaTime>,
    /// How many sound frames it has.
    pub sounds: u32,
}

/// Where recordings go.
#[derive(Clone)]
pub struct Recorder {
    store: Store,
    clock: Clock,
    tasks: TaskTracker,
    /// None: nothing is recorded.
    folder: Option<PathBuf>,
}

/// The folder of a recording.
#[must_use]
pub fn folder_of(recordings: &Path, room: &RoomId, stream: &StreamId) -> PathBuf {
    // Both are checked when they are parsed: neither can name another place.
    recordings.join(room.as_str()).join(stream.as_str())
}

impl Recorder {
    /// `folder`: where the recordings of all rooms are; none: nothing is recorded.
    #[must_use]
    pub fn new(store: Store, clock: Clock, tasks: TaskTracker, folder: Option<PathBuf>) -> Self {
        Self { store, clock, tasks, folder }
    }

    /// Begins to record a stream. Dropping the recording ends it.
    #[must_use]
    pub fn begin(&self, room: &RoomId, stream: &StreamId, at: WallTime) -> Option<Recording> {
        let folder = folder_of(self.folder.as_ref()?, room, stream);
        let (queue, inbox) = mpsc::unbounded_channel();
        let writer = Writer {
            store: self.store.clone(),
            clock: self.clock,
            room: room.clone(),
            stream: stream.clone(),
            files: None,
            progress: RecordingProgress::default(),
            exact: Sums::default(),
        };
        self.tasks.spawn(writer.run(folder, at, inbox));
        Some(Recording { queue, budget: Arc::new(Semaphore::new(QUEUE_KBYTES)), missed: false })
    }
}

type Queued = (Record, OwnedSemaphorePermit, bool);

/// A recording that is being made.
pub struct Recording {
    /// Bounded by the budget.
    queue: mpsc::UnboundedSender<Queued>,
    budget: Arc<Semaphore>,
    missed: bool,
}

impl Recording {
    /// Hands a segment over; never waits.
    pub fn segment(&mut self, mut record: Record) {
        let bytes: usize = record.parts.iter().map(Bytes::len).sum();
        let kbytes = (bytes / 1024 + 1).min(QUEUE_KBYTES) as u32;
        let Ok(permit) = Arc::clone(&self.budget).try_acquire_many_owned(kbytes) else {
            if !self.missed {
                warn!("The disk is slower than the stream: a piece of the recording is missing.");
            }
            self.missed = true;
            return;
        };
        let late = std::mem::take(&mut self.missed);
        record.gap |= late;
        // Fails once the recording has ended by itself; why is noted.
        let _ = self.queue.send((record, permit, late));
    }
}

/// Sums without rounding.
#[derive(Default)]
struct Sums {
    duration: MediaTime,
    away: MediaTime,
}

struct Writer {
    store: Store,
    clock: Clock,
    room: RoomId,
    stream: StreamId,
    files: Option<Files<File>>,
    progress: RecordingProgress,
    exact: Sums,
}

impl Writer {
    async fn run(mut self, folder: PathBuf, at: WallTime, mut inbox: mpsc::UnboundedReceiver<Queued>) {
        let begun = self.store.begin_recording(self.stream.clone(), self.room.clone(), at).await;
        if let Err(error) = begun {
            return error!(%error, room = %self.room, "A recording could not be begun.");
        }
        let (mut unnoted, mut waiting) = (0, Vec::with_capacity(AT_ONCE));
        while inbox.recv_many(&mut waiting, AT_ONCE).await > 0 {
            let (mut records, mut permits) = (Vec::with_capacity(waiting.len()), Vec::with_capacity(waiting.len()));
            for (record, permit, late) in waiting.drain(..) {
                if late {
                    self.progress.problem = Some(Problem::TooSlow);
                }
                records.push(record);
                permits.push(permit);
            }
            let sums: Vec<_> = records.iter().map(|record| (record.duration, record.stage)).collect();
            let (kept, failed) = self.write(records, &folder, at).await;
            drop(permits);
            for (duration, stage) in sums.into_iter().take(kept) {
                self.exact.duration = self.exact.duration.saturating_add(duration);
                if stage == Stage::Away {
                    self.exact.away = self.exact.away.saturating_add(duration);
                }
                unnoted += 1;
            }
            if let Some(error) = failed {
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                self.progress.problem = Some(if full { Problem::DiskFull } else { Problem::DiskFailed });
                error!(%error, room = %self.room, "The recording was stopped; the stream goes on.");
                break;
            }
            if unnoted >= NOTE_EVERY {
                unnoted = 0;
                self.note().await;
            }
        }
        self.finish(&folder).await;
    }

    /// Runs on a thread that may wait for the disk. How many of the segments are there for good, and what failed then.
    async fn write(&mut self, records: Vec<Record>, folder: &Path, at: WallTime) -> (usize, Option<io::Error>) {
        let files = self.files.take();
        let (folder, room, stream) = (folder.to_owned(), self.room.clone(), self.stream.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let mut files = match files {
                Some(files) => files,
                None => Files::create(&folder, &room, &stream, at)?,
            };
            let (kept, failed) = files.segments(&records);
            Ok::<_, io::Error>((files, kept, failed))
        });
        match writing.await.map_err(io::Error::other).flatten() {
            Ok((files, kept, failed)) => {
                self.progress.bytes = files.bytes();
                // They are closed where it failed: nothing is written after.
                self.files = failed.is_none().then_some(files);
                (kept, failed)
            }
            Err(error) => (0, Some(error)),
        }
    }

    async fn note(&mut self) {
        (self.progress.duration, self.progress.away) = (self.exact.duration.millis(), self.exact.away.millis());
        if let Err(error) = self.store.note_recording(self.stream.clone(), self.progress).await {
            warn!(%error, "How far a recording is could not be noted.");
        }
    }

    async fn finish(&mut self, folder: &Path) {
        let now = self.clock.wall();
        if let Some(mut files) = self.files.take() {
            let end = move || files.end(now);
            // Without it the recording counts as broken off, which loses nothing.
            let _ = tokio::task::spawn_blocking(end).await;
        }
        self.progress.ended_at = Some(now);
        if self.progress.bytes == 0 && self.progress.problem.is_none() {
            // Nothing went out: there is nothing to keep.
            let _ = tokio::fs::remove_dir_all(folder).await;
            let _ = self.store.delete_recording(self.stream.clone()).await;
            return;
        }
        self.note().await;
        info!(room = %self.room, bytes = self.progress.bytes, "A recording is complete.");
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use mujian_media::aac;
    use mujian_protocol::api::{Person, Role};
    use mujian_protocol::ballot::BallotSettings;
    use mujian_protocol::room::EventId;

    use super::super::index::{INDEX, Index, MEDIA};
    use super::*;
    use crate::slate::format;
    use crate::store::{NewAccount, RoomRow};

    pub(in crate::replay) fn config(id: u64, rate: u32) -> Arc<ChunkConfig> {
        let slate = format::read(Bytes::from_static(include_bytes!("../stage/testdata/small.slate"))).unwrap();
        let audio = Arc::new(aac::make_asc(rate, 2));
        Arc::new(ChunkConfig::new(id, Arc::clone(&slate.config), audio, MediaTime::ZERO))
    }

    pub(in crate::replay) fn record(i: i64, stage: Stage, config: &Arc<ChunkConfig>) -> Record {
        Record {
            parts: vec![vec![i as u8; 1000].into(), vec![i as u8; 500].into()],
            config: Arc::clone(config),
            stage,
            start: MediaTime::from_millis(2000 * i),
            duration: MediaTime::from_millis(2000),
            wall: WallTime(1_000_000 + 2000 * i),
            key: true,
            gap: false,
            sound_at: Some(MediaTime::from_millis(2000 * i)),
            sounds: 94,
        }
    }

    struct Desk {
        store: Store,
        tasks: TaskTracker,
        folder: tempfile::TempDir,
        room: RoomId,
        stream: StreamId,
    }

    impl Desk {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path()).unwrap();
            let new = NewAccount {
                name: "a".into(),
                name_key: "a".into(),
                password: None,
                role: Role::Viewer,
                at: WallTime(1),
            };
            let owner = store.create_account(new).await.unwrap().unwrap();
            let room: RoomId = "room".parse().unwrap();
            let row = RoomRow {
                id: room.clone(),
                owner: Person { id: owner.id, name: "a".into() },
                title: "t".into(),
                category: String::new(),
                tags: Vec::new(),
                stream_key: "k".into(),
                created_at: WallTime(2),
                stage: Stage::Off,
                stage_since: WallTime(2),
                last: EventId { epoch: 1, number: 0 },
                stream: None,
                away: None,
                ballot: BallotSettings::default(),
            };
            store.create_room(row, 9).await.unwrap().unwrap();
            Self { store, tasks: TaskTracker::new(), folder, room, stream: StreamId::new() }
        }

        fn recorder(&self) -> Recorder {
            let folder = self.folder.path().join("recordings");
            Recorder::new(self.store.clone(), Clock::start(), self.tasks.clone(), Some(folder))
        }

        fn begin(&self) -> Recording {
            self.recorder().begin(&self.room, &self.stream, WallTime(5)).unwrap()
        }

        fn files(&self) -> PathBuf {
            folder_of(&self.folder.path().join("recordings"), &self.room, &self.stream)
        }

        async fn done(&self) -> Option<crate::store::RecordingRow> {
            self.tasks.close();
            tokio::time::timeout(Duration::from_secs(20), self.tasks.wait()).await.unwrap();
            self.store.recording(self.stream.clone()).await.unwrap()
        }
    }

    #[tokio::test]
    async fn what_was_handed_over_is_read_again_and_summed_up() {
        let desk = Desk::new().await;
        let mut recording = desk.begin();
        let (one, two) = (config(1, 48_000), config(2, 44_100));
        // The same coding under another number is the same.
        let again = config(3, 48_000);
        for (i, config) in [&one, &two, &again].into_iter().enumerate() {
            let stage = if i == 1 { Stage::Away } else { Stage::Live };
            recording.segment(record(i as i64, stage, config));
        }
        drop(recording);
        let row = desk.done().await.unwrap();
        assert_eq!((row.duration, row.away, row.bytes, row.problem), (6000, 2000, 4500, None));
        assert!(row.ended_at.is_some() && row.title == "t");
        let index = Index::read(&desk.files()).unwrap();
        assert_eq!(index.codings.len(), 2);
        assert_eq!(index.ended, row.ended_at);
        let found: Vec<_> =
            index.entries.iter().map(|e| (e.offset, e.length(), e.config, e.stage, e.sound_at)).collect();
        assert_eq!(
            found,
            [
                (0, 1500, 0, Stage::Live, Some(0)),
                (1500, 1500, 1, Stage::Away, Some(88_200)),
                (3000, 1500, 0, Stage::Live, Some(192_000))
            ]
        );
        let media = std::fs::read(desk.files().join(MEDIA)).unwrap();
        assert!(media[1500..3000].iter().all(|b| *b == 1));

        // Whatever is cut off, what is before it holds.
        let text = std::fs::read(desk.files().join(INDEX)).unwrap();
        for end in 0..text.len() {
            std::fs::write(desk.files().join(INDEX), &text[..end]).unwrap();
            let index = Index::read(&desk.files()).unwrap();
            let whole = text[..end].iter().filter(|b| **b == b'\n').count();
            // Lines: head, config, segment, config, segment, segment, end.
            assert_eq!(index.entries.len(), [0, 0, 0, 1, 1, 2, 3, 3][whole], "{end}");
        }
        std::fs::write(desk.files().join(INDEX), &text).unwrap();
        std::fs::write(desk.files().join(MEDIA), &media[..4499]).unwrap();
        assert_eq!(Index::read(&desk.files()).unwrap().entries.len(), 2, "no segment without its bytes");
    }

    #[tokio::test]
    async fn a_stream_that_showed_nothing_leaves_nothing() {
        let desk = Desk::new().await;
        drop(desk.begin());
        assert_eq!(desk.done().await, None);
        assert!(!desk.files().exists());
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_full_disk_ends_the_recording_with_a_reason() {
        let desk = Desk::new().await;
        std::fs::create_dir_all(desk.files()).unwrap();
        // Takes no byte, as a full disk does not.
        std::os::unix::fs::symlink("/dev/full", desk.files().join(MEDIA)).unwrap();
        let mut recording = desk.begin();
        let config = config(1, 48_000);
        for i in 0..100 {
            recording.segment(record(i, Stage::Live, &config));
        }
        let row = desk.done().await.unwrap();
        assert_eq!((row.problem, row.duration), (Some(Problem::DiskFull), 0));
        assert!(row.ended_at.is_some(), "it ended although it was not told to");
        recording.segment(record(0, Stage::Live, &config));
    }

    #[tokio::test]
    async fn what_the_disk_is_too_slow_for_is_left_out_and_noted() {
        let desk = Desk::new().await;
        let mut recording = desk.begin();
        let config = config(1, 48_000);
        // Nothing is written while the test does not wait: 40 segments of 1 MB do not fit into 32 MB.
        for i in 0..40 {
            let parts = vec![vec![0; 1 << 20].into()];
            recording.segment(Record { parts, ..record(i, Stage::Live, &config) });
        }
        assert!(recording.missed);
        while recording.budget.available_permits() < QUEUE_KBYTES {
            tokio::task::yield_now().await;
        }
        recording.segment(record(50, Stage::Live, &config));
        drop(recording);
        let row = desk.done().await.unwrap();
        assert_eq!(row.problem, Some(Problem::TooSlow));
        let index = Index::read(&desk.files()).unwrap();
        assert_eq!(index.entries.iter().filter(|e| e.gap).count(), 1);
        assert!(index.entries.last().unwrap().gap && index.entries.len() < 40);
    }
}
