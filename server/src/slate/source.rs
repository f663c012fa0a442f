//! Where stages get their slates from: memory, the folder of slates, a worker; and until one of them
//! has the right one, what is part of the program.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::format::{self, SLATE_BYTES_MAX};
use super::{Art, BUILT_IN, SlateError, SlateKind, SlateLoop, SlateRequest, Theme};
use crate::worker;

/// A worker that takes longer is killed. What it works is bounded by the processor time that it may take; but it stands
/// behind everything else, and beside a game and an encoder it gets a small part of each second.
const WORKER_TIME: Duration = Duration::from_secs(3600);
/// Somebody waits for a still picture.
const POSTER_TIME: Duration = Duration::from_secs(120);
/// Bytes of slates that are kept in memory beside those that stages hold.
const MEMORY_BYTES: usize = 48 * 1024 * 1024;
/// Still pictures that are kept.
const POSTERS_KEPT: usize = 128;
/// Files and bytes that are kept on disk.
const DISK_FILES: usize = 128;
const DISK_BYTES: u64 = 256 * 1024 * 1024;
/// Name of files of this art and form; older ones are made anew.
const EDITION: &str = "v2";
/// Forms that are made ahead of need.
const COMMON: [(u32, u32); 3] = [(1280, 720), (960, 540), (1920, 1080)];

/// What a source of slates gives, later.
pub type SlateFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who knows what one room shows while its streamer is away.
pub trait AwaySlates: Send + Sync + std::fmt::Debug {
    /// What of it is there now, in whatever form.
    fn ready(&self, request: SlateRequest) -> SlateFuture<'_, Option<Arc<SlateLoop>>>;
    /// It, in just this form.
    fn exact(&self, request: SlateRequest) -> SlateFuture<'_, Result<Arc<SlateLoop>, SlateError>>;
}

/// Where stages get their slates from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SlateSource {
    inner: Arc<Inner>,
    away: Option<Arc<dyn AwaySlates>>,
}

type Kept = ((Art, SlateRequest), Arc<SlateLoop>);

#[derive(Debug)]
struct Inner {
    fallback: [Arc<SlateLoop>; 3],
    workshop: Option<Workshop>,
    /// The one used last stands last.
    memory: Mutex<Vec<Kept>>,
    /// One worker at a time: slates are never worth the live path's processor.
    turn: Semaphore,
    /// Still pictures of the system's own, and the right to draw one.
    posters: tokio::sync::Mutex<HashMap<(Theme, String), Bytes>>,
}

#[derive(Debug)]
struct Workshop {
    program: PathBuf,
    folder: PathBuf,
}

impl SlateSource {
    /// The slates that are part of the program, and no others.
    ///
    /// # Errors
    /// The program was built from damaged files.
    pub fn built_in() -> Result<Self, format::BadSlate> {
        Self::build(None)
    }

    /// With a worker that makes slates to measure (`program worker slate ...`) and a folder that
    /// keeps them.
    ///
    /// # Errors
    /// The program was built from damaged files.
    pub fn with_worker(program: PathBuf, folder: PathBuf) -> Result<Self, format::BadSlate> {
        Self::build(Some(Workshop { program, folder }))
    }

    fn build(workshop: Option<Workshop>) -> Result<Self, format::BadSlate> {
        let [moment, sound_only, away] = BUILT_IN.map(|bytes| format::read(Bytes::from_static(bytes)).map(Arc::new));
        let inner = Inner {
            fallback: [moment?, sound_only?, away?],
            workshop,
            memory: Mutex::new(Vec::new()),
            turn: Semaphore::new(1),
            posters: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner), away: None })
    }

    /// The same source for a room that knows what it shows while its streamer is away.
    #[must_use]
    pub fn for_room(&self, away: Arc<dyn AwaySlates>) -> Self {
        Self { inner: Arc::clone(&self.inner), away: Some(away) }
    }

    /// A slate that is always there.
    #[must_use]
    pub fn fallback(&self, kind: SlateKind) -> Arc<SlateLoop> {
        Arc::clone(&self.inner.fallback[kind as usize])
    }

    /// Something of this kind that is there now and better than the fallback.
    pub async fn ready(&self, kind: SlateKind, request: SlateRequest) -> Option<Arc<SlateLoop>> {
        match (&self.away, kind) {
            (Some(away), SlateKind::Away) => away.ready(request).await,
            _ => None,
        }
    }

    /// A slate of just this form, made if there is none yet.
    ///
    /// # Errors
    /// It could not be made.
    pub async fn exact(&self, kind: SlateKind, request: SlateRequest) -> Result<Arc<SlateLoop>, SlateError> {
        match (&self.away, kind) {
            (Some(away), SlateKind::Away) => away.exact(request).await,
            (None, SlateKind::Away) => self.drawn(&Art::Theme(Theme::Away, String::new()), request).await,
            (_, SlateKind::Moment) => self.drawn(&Art::Moment, request).await,
            (_, SlateKind::SoundOnly) => self.drawn(&Art::SoundOnly, request).await,
        }
    }

    /// One of the system's own, in just this form, drawn if there is none yet.
    ///
    /// # Errors
    /// It could not be made.
    pub async fn drawn(&self, art: &Art, request: SlateRequest) -> Result<Arc<SlateLoop>, SlateError> {
        if let Some(slate) = self.remembered(art, request) {
            return Ok(slate);
        }
        let Some(workshop) = &self.inner.workshop else {
            return Err(SlateError("this server makes no slates to measure".into()));
        };
        let _turn = self.turn().await?;
        // Somebody may have made it while this one waited.
        if let Some(slate) = self.remembered(art, request) {
            return Ok(slate);
        }
        let path = workshop.folder.join(file_name(art, request));
        if let Some(slate) = load(&path).await {
            return Ok(self.remember(art, request, slate));
        }
        let bytes = workshop.run(art, request).await?;
        let slate =
            format::read(bytes.clone()).map_err(|e| SlateError(format!("the worker's answer is wrong: {e}")))?;
        if let Err(error) = keep(&workshop.folder, &path, bytes).await {
            warn!(%error, "a slate could not be kept in its folder and will be made again");
        }
        Ok(self.remember(art, request, slate))
    }

    /// A still picture of one of the system's own, as JPEG.
    ///
    /// # Errors
    /// It could not be made.
    pub async fn poster(&self, theme: Theme, name: &str) -> Result<Bytes, SlateError> {
        let late = |_| SlateError("no picture could be drawn in time".into());
        tokio::time::timeout(POSTER_TIME, self.draw_poster(theme, name)).await.map_err(late)?
    }

    async fn draw_poster(&self, theme: Theme, name: &str) -> Result<Bytes, SlateError> {
        const LARGEST: u64 = 4 * 1024 * 1024;
        let fail = || SlateError("no picture could be drawn".into());
        let program = self.worker().ok_or_else(fail)?;
        // Not behind the slates: somebody waits who looks at a page.
        let mut posters = self.inner.posters.lock().await;
        let key = (theme, name.to_owned());
        if let Some(poster) = posters.get(&key) {
            return Ok(poster.clone());
        }
        let arguments = ["poster", "--theme", theme.name(), &format!("--name={name}")];
        match worker::hire(program, arguments, b"", LARGEST).await {
            Ok((bytes, status)) if status.success() => {
                if posters.len() >= POSTERS_KEPT {
                    posters.clear();
                }
                let poster = Bytes::from(bytes);
                posters.insert(key, poster.clone());
                Ok(poster)
            }
            _ => Err(fail()),
        }
    }

    /// The right to run a worker: one at a time, whatever it makes.
    pub(crate) async fn turn(&self) -> Result<tokio::sync::SemaphorePermit<'_>, SlateError> {
        self.inner.turn.acquire().await.map_err(|_| SlateError("the server is stopping".into()))
    }

    /// The program that runs workers.
    #[must_use]
    pub fn worker(&self) -> Option<&Path> {
        self.inner.workshop.as_ref().map(|w| w.program.as_path())
    }

    /// Makes the common forms ahead of need, one after the other. To be run in the background.
    pub async fn prepare(&self) {
        if self.inner.workshop.is_none() {
            return;
        }
        for (width, height) in COMMON {
            for kind in [SlateKind::Moment, SlateKind::SoundOnly, SlateKind::Away] {
                if let Err(error) = self.exact(kind, SlateRequest { width, height, fps: 30 }).await {
                    warn!(%error, "slates cannot be made here; the ones that are part of the program serve");
                    return;
                }
            }
        }
    }

    /// One of the system's own as far as it is there now: in just this form, or what is part of the program.
    pub(crate) fn at_hand(&self, art: &Art, request: SlateRequest) -> Arc<SlateLoop> {
        self.remembered(art, request).unwrap_or_else(|| self.fallback(SlateKind::Away))
    }

    fn remembered(&self, art: &Art, request: SlateRequest) -> Option<Arc<SlateLoop>> {
        let mut memory = self.inner.memory.lock();
        let at = memory.iter().position(|((a, r), _)| a == art && *r == request)?;
        let entry = memory.remove(at);
        let slate = Arc::clone(&entry.1);
        memory.push(entry);
        Some(slate)
    }

    fn remember(&self, art: &Art, request: SlateRequest, slate: SlateLoop) -> Arc<SlateLoop> {
        let slate = Arc::new(slate);
        let mut memory = self.inner.memory.lock();
        memory.push(((art.clone(), request), Arc::clone(&slate)));
        let mut total: usize = memory.iter().map(|(_, s)| weight(s)).sum();
        while total > MEMORY_BYTES && memory.len() > 1 {
            total -= weight(&memory.remove(0).1);
        }
        slate
    }
}

fn weight(slate: &SlateLoop) -> usize {
    slate.frames.iter().map(|f| f.data.len() + 64).sum()
}

fn file_name(art: &Art, request: SlateRequest) -> String {
    let SlateRequest { width, height, fps } = request;
    let form = format!("{width}x{height}-{fps}.slate");
    match art {
        Art::Moment => format!("{EDITION}-moment-{form}"),
        Art::SoundOnly => format!("{EDITION}-sound-only-{form}"),
        Art::Theme(theme, name) if name.is_empty() => format!("{EDITION}-{}-{form}", theme.name()),
        Art::Theme(theme, name) => {
            let hash = Sha256::digest(name.as_bytes());
            let hash: String = hash.iter().take(8).map(|b| format!("{b:02x}")).collect();
            format!("{EDITION}-{}-{hash}-{form}", theme.name())
        }
    }
}

async fn load(path: &Path) -> Option<SlateLoop> {
    let file = tokio::fs::File::open(path).await.ok()?;
    let mut bytes = Vec::new();
    file.take(SLATE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await.ok()?;
    match format::read(bytes.into()) {
        Ok(slate) => Some(slate),
        Err(error) => {
            warn!(%error, file = %path.display(), "a kept slate is damaged and is made again");
            None
        }
    }
}

/// Writes a file beside and renames it, so that it is there whole or not at all; then makes room.
async fn keep(folder: &Path, path: &Path, bytes: Bytes) -> std::io::Result<()> {
    let (folder, path) = (folder.to_owned(), path.to_owned());
    let work = move || {
        std::fs::create_dir_all(&folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        std::io::Write::write_all(&mut file, &bytes)?;
        file.persist(&path).map_err(|e| e.error)?;
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let about = entry.metadata()?;
            kept.push((about.modified()?, about.len(), entry.path()));
        }
        kept.sort_unstable();
        let (mut files, mut total) = (kept.len(), kept.iter().map(|k| k.1).sum::<u64>());
        for (_, size, old) in kept {
            if (files <= DISK_FILES && total <= DISK_BYTES) || old == path {
                continue;
            }
            std::fs::remove_file(old)?;
            (files, total) = (files - 1, total - size);
        }
        Ok(())
    };
    tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?
}

impl Workshop {
    async fn run(&self, art: &Art, request: SlateRequest) -> Result<Bytes, SlateError> {
        let began = std::time::Instant::now();
        let fail = |what: &str| SlateError(format!("the worker for {} {what}", file_name(art, request)));
        let (kind, theme, name) = match art {
            Art::Moment => (SlateKind::Moment, Theme::Away, ""),
            Art::SoundOnly => (SlateKind::SoundOnly, Theme::Away, ""),
            Art::Theme(theme, name) => (SlateKind::Away, *theme, name.as_str()),
        };
        let (width, height, fps) = (request.width.to_string(), request.height.to_string(), request.fps.to_string());
        let name = format!("--name={name}");
        let arguments = ["slate", "--kind", kind.name(), "--theme", theme.name(), &name];
        let form = ["--width", &width, "--height", &height, "--fps", &fps];
        let work = worker::hire(&self.program, arguments.into_iter().chain(form), b"", SLATE_BYTES_MAX as u64 + 1);
        let (bytes, status) = tokio::time::timeout(WORKER_TIME, work)
            .await
            .map_err(|_| fail("took too long"))?
            .map_err(|e| fail(&format!("broke off: {e}")))?;
        if !status.success() {
            return Err(fail(&format!("failed: {status}")));
        }
        info!(form = %file_name(art, request), bytes = bytes.len(), took = ?began.elapsed(), "made a slate");
        Ok(bytes.into())
    }
}
