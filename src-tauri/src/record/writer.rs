//! The thread that writes a recording.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, TrySendError};

use mujian_media::time::MediaTime;
use mujian_protocol::Problem;
use mujian_protocol::studio::LocalRecording;
use time::{OffsetDateTime, UtcOffset};

use super::cutter::Piece;
use super::{Order, names};

/// Pieces that may wait for the disk, of a second each.
const WAITING: usize = 64;

/// How a recording goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// It grew, or ended as it should.
    Runs(LocalRecording),
    /// It ended: why. What was written stays, and is whole.
    Failed(Problem),
}

type Tell = Arc<dyn Fn(Told) + Send + Sync>;

/// Writes pieces in the background.
pub(super) struct Writer {
    queue: mpsc::SyncSender<Piece>,
    folder: String,
    tell: Tell,
}

impl Writer {
    /// Starts the thread; whether the folder can be written is found out at once.
    pub(super) fn start(order: Order, tell: impl Fn(Told) + Send + Sync + 'static) -> Self {
        let (queue, inbox) = mpsc::sync_channel(WAITING);
        let tell: Tell = Arc::new(tell);
        let heard = Arc::clone(&tell);
        let folder = order.folder.as_ref().map_or_else(String::new, |f| f.display().to_string());
        let spawned = std::thread::Builder::new().name("recording".into()).spawn(move || {
            if let Err(problem) = run(&order, &inbox, &*heard) {
                tracing::warn!(?problem, "the recording ended");
                heard(Told::Failed(problem));
            }
        });
        if let Err(error) = spawned {
            tell(Told::Failed(Problem::RecordingRefused { path: folder.clone(), reason: error.to_string() }));
        }
        Self { queue, folder, tell }
    }

    /// Hands a piece over; never waits. False: nothing is recorded any more, and why was told.
    pub(super) fn write(&self, piece: Piece) -> bool {
        match self.queue.try_send(piece) {
            Ok(()) => true,
            Err(TrySendError::Disconnected(_)) => false,
            Err(TrySendError::Full(_)) => {
                (self.tell)(Told::Failed(Problem::RecordingSlow { path: self.folder.clone() }));
                false
            }
        }
    }
}

struct Open {
    file: File,
    path: PathBuf,
    bytes: u64,
    length: MediaTime,
}

impl Open {
    fn begin(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Self> {
        let (file, path) = names::create(folder, name)?;
        let mut this = Self { file, path, bytes: 0, length: MediaTime::ZERO };
        this.append(bytes)?;
        Ok(this)
    }

    /// All of it, or nothing: half a fragment at the end is no file that every player reads.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            let undone = self.file.set_len(self.bytes).and_then(|()| self.file.seek(SeekFrom::Start(self.bytes)));
            if let Err(undone) = undone {
                tracing::warn!(error = %undone, "the end of the recording is not whole");
            }
            return Err(error);
        }
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn view(&self, running: bool) -> LocalRecording {
        LocalRecording {
            path: self.path.display().to_string(),
            bytes: self.bytes,
            seconds: self.length.as_secs_f64(),
            running,
        }
    }
}

fn run(order: &Order, inbox: &mpsc::Receiver<Piece>, tell: &dyn Fn(Told)) -> Result<(), Problem> {
    let folder = order.folder.as_deref().ok_or(Problem::FolderUnknown)?;
    let refused = |error: io::Error| refusal(folder, &error);
    std::fs::create_dir_all(folder).and_then(|()| tempfile::NamedTempFile::new_in(folder)).map_err(refused)?;
    let name = names::file_name(now(), &order.title);
    let mut open: Option<Open> = None;
    while let Ok(piece) = inbox.recv() {
        match (piece, &mut open) {
            (Piece::Begin(bytes), _) => open = Some(Open::begin(folder, &name, &bytes).map_err(refused)?),
            (Piece::More { bytes, length }, Some(open)) => {
                let done = open.append(&bytes);
                if done.is_ok() {
                    open.length = length;
                }
                tell(Told::Runs(open.view(done.is_ok())));
                done.map_err(refused)?;
            }
            (Piece::More { .. }, None) => {}
        }
    }
    if let Some(open) = open {
        if let Err(error) = open.file.sync_data() {
            tracing::warn!(%error, "the recording may not be on the disk yet");
        }
        tell(Told::Runs(open.view(false)));
    }
    Ok(())
}

fn refusal(folder: &Path, error: &io::Error) -> Problem {
    let path = folder.display().to_string();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::DiskFull { path },
        _ => Problem::RecordingRefused { path, reason: error.to_string() },
    }
}

/// The time by the clock on the wall, where this computer is.
fn now() -> OffsetDateTime {
    let offset = UtcOffset::from_whole_seconds(mujian_av::testcard::local_offset()).unwrap_or(UtcOffset::UTC);
    OffsetDateTime::now_utc().to_offset(offset)
}
