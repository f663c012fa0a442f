//! Rooms' shelves: files and what became of them, and what a room shows while its streamer is away.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mujian_protocol::placeholder::{
    BuiltInView, ChoiceView, PLACEHOLDERS_MAX, PlaceholderPatch, PlaceholderState, PlaceholderView, RefusalCode,
    ReviewItem, ShelfView,
};
use mujian_protocol::{LeaveId, RoomId};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use super::encode::Order;
use super::turns::{SLOW, Turns};
use super::{Refusal, choice, job};
use crate::clock::Clock;
use crate::matching::RoomWords;
use crate::review::{Case, Judges, Verdict};
use crate::slate::{Art, AwaySlates, SlateError, SlateFuture, SlateLoop, SlateRequest, SlateSource, Theme, tape};
use crate::store::{Added, Changed, Picks, RoomRow, ShelfRows, Store, StoreError};

/// Most bytes of all files on a shelf.
const SHELF_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Forms of one placeholder that are kept.
const FORMS_KEPT: usize = 4;
/// Danmaku that say what a room is about.
const DANMAKU: u32 = 60;
/// Names of files beside a placeholder's forms.
const FILE: &str = "file";
const SOUND: &str = "sound";
pub(crate) const POSTER: &str = "poster.jpg";

/// Whether a file in a placeholder's folder belongs to it, and is not one that is being made.
pub(crate) fn is_kept(name: &str) -> bool {
    [FILE, SOUND, POSTER].contains(&name) || (name.ends_with(".tape") && !name.starts_with('.'))
}

/// Something could not be done with a shelf.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk failed.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// The shelf is full.
    #[error("The shelf is full: {PLACEHOLDERS_MAX} placeholders and 2 GB at most. Delete one that you do not need.")]
    Full,
    /// There is no such placeholder.
    #[error("There is no such placeholder on this shelf.")]
    Unknown,
}

/// A placeholder that somebody puts on a shelf.
#[derive(Debug)]
pub struct NewPlaceholder {
    /// What is known of it.
    pub view: PlaceholderView,
    /// Its file, if it has one.
    pub file: Option<tempfile::NamedTempFile>,
}

/// All rooms' placeholders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Placeholders {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    slates: SlateSource,
    folder: PathBuf,
    judges: Judges,
    clock: Clock,
    turns: Arc<Turns>,
}

impl Placeholders {
    /// With files in `data`'s folder of placeholders and the word list beside it.
    #[must_use]
    pub fn new(store: Store, slates: SlateSource, data: &Path, clock: Clock) -> Self {
        let judges = Judges::new(store.clone(), data.join("words.txt"));
        let folder = data.join("placeholders");
        let inner = Inner { store, slates, folder, judges, clock, turns: Arc::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Where a file that is being uploaded goes.
    ///
    /// # Errors
    /// The disk failed.
    pub fn incoming(&self) -> io::Result<tempfile::NamedTempFile> {
        std::fs::create_dir_all(&self.inner.folder)?;
        tempfile::NamedTempFile::new_in(&self.inner.folder)
    }

    fn place(&self, room: &RoomId, id: &str) -> PathBuf {
        self.inner.folder.join(room.as_str()).join(id)
    }

    /// Puts a placeholder on a shelf, to be made ready in the background. False: it was there already, by its key.
    ///
    /// # Errors
    /// The shelf is full, or the disk or the database failed.
    pub async fn add(&self, room: &RoomId, new: NewPlaceholder) -> Result<(PlaceholderView, bool), ShelfError> {
        let NewPlaceholder { mut view, file } = new;
        view.id = uuid::Uuid::now_v7().to_string();
        view.state = PlaceholderState::Checking;
        view.created_at = self.inner.clock.wall();
        view.changed_at = view.created_at;
        let place = self.place(room, &view.id);
        std::fs::create_dir_all(&place)?;
        if let Some(file) = file {
            file.persist(place.join(FILE)).map_err(|e| e.error)?;
        }
        let added =
            self.inner.store.add_placeholder(room.clone(), view.clone(), PLACEHOLDERS_MAX, SHELF_BYTES_MAX).await;
        if !matches!(added, Ok(Added::New)) {
            let _ = std::fs::remove_dir_all(&place);
        }
        match added? {
            Added::New => Ok((view, true)),
            Added::Already(there) => Ok((*there, false)),
            Added::Full => Err(ShelfError::Full),
        }
    }

    /// Changes what is said of a placeholder, its place, or the words on it. None: it is not there.
    ///
    /// # Errors
    /// The database failed.
    pub async fn change(
        &self,
        room: &RoomId,
        id: &str,
        patch: PlaceholderPatch,
    ) -> Result<Option<Changed>, StoreError> {
        let sign = patch.text.as_deref().map(sign_of).unwrap_or_default();
        let at = self.inner.clock.wall();
        self.inner.store.change_placeholder(room.clone(), id.to_owned(), patch, sign, at).await
    }

    /// A placeholder's file, or the sound that was added to it.
    #[must_use]
    pub fn original(&self, room: &RoomId, id: &str, sound: bool) -> PathBuf {
        self.place(room, id).join(if sound { SOUND } else { FILE })
    }

    /// Gives a placeholder sound of its own, in place of its file's.
    ///
    /// # Errors
    /// There is no such placeholder, or the disk or the database failed.
    pub async fn add_sound(
        &self,
        room: &RoomId,
        id: &str,
        file: tempfile::NamedTempFile,
        bytes: u64,
        digest: &str,
    ) -> Result<(), ShelfError> {
        let place = self.place(room, id);
        let own = std::fs::metadata(place.join(FILE)).map_or(0, |m| m.len());
        let sizes = (own.saturating_add(bytes), SHELF_BYTES_MAX);
        // The files before the fact: what is made of them meanwhile is of the old digest, and counts for nothing.
        file.persist(place.join(SOUND)).map_err(|e| e.error)?;
        let (store, at) = (&self.inner.store, self.inner.clock.wall());
        if !store.set_placeholder_sound(room.clone(), id.to_owned(), sizes, digest.to_owned(), at).await? {
            return Err(ShelfError::Full);
        }
        Ok(())
    }

    /// Has a placeholder judged and makes it ready; tells what came of it in the store.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prepare(&self, id: &str, request: SlateRequest) -> Result<(), StoreError> {
        // Words cost nothing to judge; what they refuse is not worth a worker.
        self.judge(id).await?;
        let Some(item) = self.inner.store.placeholder(id.to_owned()).await? else { return Ok(()) };
        if matches!(item.placeholder.state, PlaceholderState::Refused { .. }) {
            return Ok(());
        }
        if let Err(refusal) = self.make(&item, request).await {
            tracing::info!(placeholder = id, code = ?refusal.code, "A placeholder was refused.");
            let refused = Some((refusal.code, refusal.message));
            self.inner.store.judge_placeholder(id.to_owned(), item.placeholder.digest, refused).await?;
        }
        Ok(())
    }

    /// Has the judges look at a placeholder: when it comes, and when its words change.
    ///
    /// # Errors
    /// The database failed.
    pub async fn judge(&self, id: &str) -> Result<(), StoreError> {
        let Some(item) = self.inner.store.placeholder(id.to_owned()).await? else { return Ok(()) };
        let view = &item.placeholder;
        if matches!(view.state, PlaceholderState::Refused { code, .. } if code != RefusalCode::Words) {
            // What a file or a moderator settled, other words do not unsettle.
            return Ok(());
        }
        let place = self.place(&item.room, id);
        let media = [FILE, SOUND].map(|f| place.join(f)).into_iter().filter(|f| f.exists()).collect();
        let words = [&view.text, &view.name].into_iter().chain(&view.keywords).cloned().collect();
        let digest = view.digest.clone();
        match self.inner.judges.judge(&Case { owner: item.owner.id.clone(), words, media }).await? {
            Verdict::Pass => self.inner.store.judge_placeholder(id.to_owned(), digest, None).await.map(|_| ()),
            Verdict::Refuse(why) => {
                let refused = Some((RefusalCode::Words, why));
                self.inner.store.judge_placeholder(id.to_owned(), digest, refused).await.map(|_| ())
            }
            // What only its words refused waits for a person again; what one allowed stays allowed.
            Verdict::Unknown if matches!(view.state, PlaceholderState::Refused { .. }) => {
                self.inner.store.unjudge_placeholder(id.to_owned()).await
            }
            Verdict::Unknown => Ok(()),
        }
    }

    /// A form of a placeholder, made if it is not there.
    async fn make(&self, item: &ReviewItem, request: SlateRequest) -> Result<(), Refusal> {
        let place = self.place(&item.room, &item.placeholder.id);
        let digest = &item.placeholder.digest;
        let out = form(&place, digest, request);
        let known = item.placeholder.duration_ms.is_some();
        if known && out.exists() {
            return Ok(());
        }
        let no_workshop = || Refusal::new(RefusalCode::NoWorkshop, "This server makes no placeholders.");
        let program = self.inner.slates.worker().ok_or_else(no_workshop)?.to_owned();
        let turn = self.inner.turns.enter(&item.owner.id, item.placeholder.bytes).await;
        if known && out.exists() {
            return Ok(());
        }
        let part =
            tempfile::Builder::new().suffix(".part").tempfile_in(&place).map_err(|_| no_workshop())?.into_temp_path();
        let file = |name| Some(place.join(name)).filter(|p| p.exists());
        let order = Order {
            file: file(FILE),
            sound: file(SOUND),
            text: item.placeholder.text.clone(),
            owner: item.owner.name.clone(),
            width: request.width,
            height: request.height,
            fps: request.fps,
            out: part.to_path_buf(),
            poster: place.join(POSTER),
        };
        let began = std::time::Instant::now();
        let mut work = std::pin::pin!(job::order(&program, &order));
        let made = tokio::select! {
            made = &mut work => made,
            () = tokio::time::sleep(SLOW) => {
                turn.slowed();
                work.await
            }
        }?;
        // What the worker wrote is read as hostile, as everything is that had to do with the file.
        tape::open(&part).map_err(|_| Refusal::damaged())?;
        let kept = part.persist(&out);
        kept.map_err(|_| {
            Refusal::new(
                RefusalCode::NoWorkshop,
                "The server's disk could not keep it. Its operator must look at it; then upload it again.",
            )
        })?;
        let standing = self.inner.store.placeholder_standing(item.placeholder.id.clone()).await.ok().flatten();
        keep_few(&place, digest, standing.as_deref(), &out);
        tracing::info!(placeholder = %item.placeholder.id, took = ?began.elapsed(), "made a placeholder");
        let id = item.placeholder.id.clone();
        let of = item.placeholder.digest.clone();
        let stored = self.inner.store.placeholder_made(id, of, made.kind, made.sound, made.duration_ms).await;
        // What has other files by now is made of them next: whoever brought them asked for it.
        stored.map(|_| ()).map_err(|_| {
            Refusal::new(
                RefusalCode::NoWorkshop,
                "The server could not note that it is ready. Upload it again; if that fails, its operator must look at the server's disk.",
            )
        })
    }

    /// A still picture of a placeholder, as JPEG.
    pub async fn poster(&self, room: &RoomId, id: &str) -> Option<Vec<u8>> {
        tokio::fs::read(self.place(room, id).join(POSTER)).await.ok()
    }

    /// A form of a placeholder, to look at: its file.
    #[must_use]
    pub fn tape_of(&self, item: &ReviewItem) -> Option<PathBuf> {
        forms(&self.place(&item.room, &item.placeholder.id), &item.placeholder.digest).into_iter().next()
    }

    /// Removes the files of a room that is not there any more.
    pub async fn forget_room(&self, room: &RoomId) {
        let folder = self.inner.folder.join(room.as_str());
        if let Err(error) = tokio::fs::remove_dir_all(&folder).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, %room, "The placeholders of a deleted room could not be removed.");
        }
    }

    /// Removes files that nothing tells of, which a server that was killed may have left. Before anything is uploaded.
    ///
    /// # Errors
    /// The database failed.
    pub async fn sweep(&self) -> Result<(), StoreError> {
        let known = self.inner.store.placeholder_places().await?;
        let folder = self.inner.folder.clone();
        let work = move || remove_unknown(&folder, &known);
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Failed("a sweep broke off".into()))
    }

    /// Takes a placeholder off its shelf, with its files.
    ///
    /// # Errors
    /// There is no such placeholder, or the database failed.
    pub async fn delete(&self, room: &RoomId, id: &str) -> Result<(), ShelfError> {
        if !self.inner.store.delete_placeholder(room.clone(), id.to_owned(), self.inner.clock.wall()).await? {
            return Err(ShelfError::Unknown);
        }
        // What is played of it now is played to its end: the file is open.
        let _ = tokio::fs::remove_dir_all(self.place(room, id)).await;
        Ok(())
    }
}

/// Removes what no row tells of. What is not named like ours is not ours to delete.
fn remove_unknown(folder: &Path, known: &HashSet<(RoomId, String)>) {
    let entries = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    for room in entries(folder) {
        let Some(id) = room.file_name().to_str().and_then(|n| n.parse::<RoomId>().ok()) else { continue };
        for place in entries(&room.path()) {
            let name = place.file_name().to_string_lossy().into_owned();
            if uuid::Uuid::parse_str(&name).is_ok()
                && !known.contains(&(id.clone(), name))
                && let Err(error) = std::fs::remove_dir_all(place.path())
            {
                tracing::warn!(%error, room = %id, "The files of a deleted placeholder could not be removed.");
            }
        }
        // One with something in it stays.
        let _ = std::fs::remove_dir(room.path());
    }
}

/// How words are told apart in a digest.
fn sign_of(text: &str) -> String {
    Sha256::digest(text).iter().take(8).map(|b| format!("{b:02x}")).collect()
}

/// The end of the names of all that was made of what this digest tells.
fn edition(digest: &str) -> String {
    let (mut name, mut long) = (String::from("-"), 0);
    for c in digest.chars() {
        long = if matches!(c, '+' | '~') { 0 } else { long + 1 };
        if long <= 16 {
            name.push(c);
        }
    }
    name + ".tape"
}

fn form(place: &Path, digest: &str, request: SlateRequest) -> PathBuf {
    let SlateRequest { width, height, fps } = request;
    place.join(format!("{width}x{height}-{fps}{}", edition(digest)))
}

/// The forms that are there of files of this digest, the newest first.
fn forms(place: &Path, digest: &str) -> Vec<PathBuf> {
    let edition = edition(digest);
    let mine = |p: &PathBuf| p.file_name().is_some_and(|n| n.to_string_lossy().ends_with(&edition));
    all_forms(place).into_iter().filter(mine).collect()
}

/// All of them.
fn all_forms(place: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(place) else { return Vec::new() };
    let mut all: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|e| e.path().extension().is_some_and(|x| x == "tape"))
        .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
        .collect();
    all.sort_unstable();
    all.into_iter().rev().map(|(_, path)| path).collect()
}

/// Keeps the newest few of this digest and of the one that is shown until it is allowed, and none of another.
fn keep_few(place: &Path, digest: &str, standing: Option<&str>, new: &Path) {
    let mut kept: Vec<PathBuf> = forms(place, digest).into_iter().filter(|f| f != new).take(FORMS_KEPT - 1).collect();
    kept.extend(standing.map(|digest| forms(place, digest)).unwrap_or_default());
    for old in all_forms(place).into_iter().filter(|f| f != new && !kept.contains(f)) {
        // One that cannot be removed now is removed after the next.
        let _ = std::fs::remove_file(old);
    }
}

/// What one room shows while its streamer is away.
#[derive(Debug)]
pub struct RoomShelf {
    room: RoomId,
    placeholders: Placeholders,
    now: Mutex<Now>,
    me: std::sync::Weak<Self>,
    /// Picks are read and written in one step.
    picking: tokio::sync::Mutex<()>,
    /// Its choice, or a form of it, changed: the stage should ask again.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Now {
    choice: Option<ChoiceView>,
    wanted: SlateRequest,
    /// The streamer's name, as it stands on the system's own.
    owner: String,
    title: String,
    tags: Vec<String>,
    /// The streamer's stay away.
    stay: Option<LeaveId>,
    /// What was opened last: the same file is the same loop.
    open: Option<(PathBuf, Arc<SlateLoop>)>,
}

impl RoomShelf {
    /// The shelf of a room.
    #[must_use]
    pub fn new(placeholders: Placeholders, row: &RoomRow) -> Arc<Self> {
        let (owner, title, tags) = (row.owner.name.clone(), row.title.clone(), tags_of(row));
        let now = Now { owner, title, tags, ..Now::default() };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            picking: tokio::sync::Mutex::default(),
            room: row.id.clone(),
            placeholders,
            now: Mutex::new(now),
            changed: Notify::new(),
        })
    }

    /// Waits until the stage should ask again for what is shown.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The room's title, tags or owner's name are these now.
    pub fn about(&self, row: &RoomRow) {
        let mut now = self.now.lock();
        (now.title, now.tags) = (row.title.clone(), tags_of(row));
        if now.owner != row.owner.name {
            now.owner.clone_from(&row.owner.name);
            // It stands on what is shown.
            self.changed.notify_one();
        }
    }

    fn art(&self, theme: Theme) -> Art {
        Art::Theme(theme, self.now.lock().owner.clone())
    }

    /// Chooses anew, and has the stage ask again if that changed something.
    ///
    /// # Errors
    /// The database failed.
    pub async fn choose(&self) -> Result<ChoiceView, StoreError> {
        let store = &self.placeholders.inner.store;
        let shelf = store.placeholders(self.room.clone()).await?;
        let picks = store.picks(self.room.clone()).await?;
        let (past, danmaku) = store.room_words(self.room.clone(), DANMAKU).await?;
        let (title, tags, stay) = {
            let now = self.now.lock();
            (now.title.clone(), now.tags.clone(), now.stay.clone())
        };
        let words = RoomWords { title, tags, danmaku, past };
        let picked = match stay {
            Some(stay) => picks.shown.filter(|_| picks.stay == Some(stay)),
            None => picks.next,
        };
        let work = move || choice::choose(&shelf, picked.as_deref(), &words);
        let choice = tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?;
        let before = self.now.lock().choice.replace(choice.clone());
        if before.is_none_or(|b| b.id != choice.id) {
            self.changed.notify_one();
        }
        Ok(choice)
    }

    /// The streamer is away by this leave, or is not: what was picked for the next time is for this one, and
    /// the next time is another one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn follow(&self, stay: Option<&LeaveId>) -> Result<(), StoreError> {
        let _turn = self.picking.lock().await;
        if self.now.lock().stay.as_ref() == stay {
            return Ok(());
        }
        match stay {
            Some(stay) => self.begin(stay).await.map(|_| ())?,
            None => self.now.lock().stay = None,
        }
        self.choose().await.map(|_| ())
    }

    /// The picks as they are for this stay. A stay has a name, so it does not matter who hears of it first.
    async fn begin(&self, stay: &LeaveId) -> Result<Picks, StoreError> {
        let store = &self.placeholders.inner.store;
        let mut picks = store.picks(self.room.clone()).await?;
        if picks.stay.as_ref() != Some(stay) {
            picks = Picks { next: None, stay: Some(stay.clone()), shown: picks.next };
            store.set_picks(self.room.clone(), picks.clone()).await?;
        }
        self.now.lock().stay = Some(stay.clone());
        Ok(picks)
    }

    /// Picks one, for this stay away or the next; none: by rule.
    ///
    /// # Errors
    /// There is no such placeholder, or the database failed.
    pub async fn pick(&self, id: Option<String>, stay: Option<&LeaveId>) -> Result<ChoiceView, ShelfError> {
        let _turn = self.picking.lock().await;
        let store = &self.placeholders.inner.store;
        if let Some(id) = id.as_ref().filter(|id| Theme::named(id).is_none()) {
            let found = store.placeholder(id.clone()).await?;
            found.filter(|item| item.room == self.room).ok_or(ShelfError::Unknown)?;
        }
        let picks = match stay {
            Some(stay) => Picks { shown: id, ..self.begin(stay).await? },
            None => Picks { next: id, ..store.picks(self.room.clone()).await? },
        };
        store.set_picks(self.room.clone(), picks).await?;
        Ok(self.choose().await?)
    }

    /// The shelf as its owner sees it.
    ///
    /// # Errors
    /// The database failed.
    pub async fn view(&self) -> Result<ShelfView, StoreError> {
        let store = &self.placeholders.inner.store;
        let choice = self.choose().await?;
        let ShelfRows { ordered_at, removed, placeholders } = store.shelf(self.room.clone()).await?;
        Ok(ShelfView {
            ordered_at,
            removed,
            placeholders,
            built_in: Theme::ALL
                .map(|theme| {
                    let (zh, en) = theme.words();
                    BuiltInView { id: theme.name().into(), zh: zh.into(), en: en.into() }
                })
                .into(),
            next: store.picks(self.room.clone()).await?.next,
            choice,
        })
    }

    /// Makes a placeholder ready, in the form that the room's stream has or had last.
    ///
    /// # Errors
    /// The database failed.
    pub async fn prepare(&self, id: &str) -> Result<(), StoreError> {
        let wanted = self.now.lock().wanted;
        self.placeholders.prepare(id, wanted).await?;
        self.renewed(id).await
    }

    /// One was made or judged: it may be the one that is shown, of other files or words than before.
    ///
    /// # Errors
    /// The database failed.
    pub async fn renewed(&self, id: &str) -> Result<(), StoreError> {
        if self.choose().await?.id == id {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Makes all that are ready in the stream's form, one after the other.
    async fn prepare_all(&self, request: SlateRequest) {
        let store = &self.placeholders.inner.store;
        let Ok(all) = store.placeholders(self.room.clone()).await else { return };
        for view in all.into_iter().filter(|p| p.state == PlaceholderState::Ready) {
            if self.now.lock().wanted != request {
                return;
            }
            let Ok(Some(item)) = store.placeholder(view.id).await else { continue };
            if let Err(error) = self.placeholders.make(&item, request).await {
                tracing::warn!(%error, "a placeholder could not be made in the stream's form; another form of it serves");
            }
        }
    }

    async fn chosen(&self) -> Option<String> {
        let kept = self.now.lock().choice.as_ref().map(|c| c.id.clone());
        match kept {
            Some(id) => Some(id),
            None => self.choose().await.ok().map(|c| c.id),
        }
    }

    async fn play(&self, path: PathBuf) -> Option<Arc<SlateLoop>> {
        if let Some((_, slate)) = self.now.lock().open.as_ref().filter(|(p, _)| *p == path) {
            return Some(Arc::clone(slate));
        }
        let slate = Arc::new(tape::play(path.clone()).await.ok()?);
        self.now.lock().open = Some((path, Arc::clone(&slate)));
        Some(slate)
    }
}

fn tags_of(row: &RoomRow) -> Vec<String> {
    row.tags.iter().chain([&row.category]).filter(|t| !t.is_empty()).cloned().collect()
}

impl AwaySlates for RoomShelf {
    fn ready(&self, request: SlateRequest) -> SlateFuture<'_, Option<Arc<SlateLoop>>> {
        Box::pin(async move {
            let id = self.chosen().await?;
            let slates = &self.placeholders.inner.slates;
            if let Some(theme) = Theme::named(&id) {
                // What is shown now may be gone from the shelf or refused, and must not stay until this is drawn.
                return Some(slates.at_hand(&self.art(theme), request));
            }
            let store = &self.placeholders.inner.store;
            let item = store.placeholder(id.clone()).await.ok()??;
            let digest = match item.placeholder.stands {
                true => store.placeholder_standing(id.clone()).await.ok()??,
                false => item.placeholder.digest,
            };
            let place = self.placeholders.place(&self.room, &id);
            let exact = form(&place, &digest, request);
            let path = if exact.exists() { exact } else { forms(&place, &digest).into_iter().next()? };
            self.play(path).await
        })
    }

    fn exact(&self, request: SlateRequest) -> SlateFuture<'_, Result<Arc<SlateLoop>, SlateError>> {
        Box::pin(async move {
            self.now.lock().wanted = request;
            let gone = || SlateError("the placeholder is gone".into());
            let id = self.chosen().await.ok_or_else(gone)?;
            let slates = &self.placeholders.inner.slates;
            let slate = match Theme::named(&id) {
                Some(theme) => slates.drawn(&self.art(theme), request).await?,
                None => {
                    let store = &self.placeholders.inner.store;
                    let item = store.placeholder(id.clone()).await.ok().flatten().ok_or_else(gone)?;
                    if item.placeholder.stands {
                        // What it was made of before its words were changed cannot be made in another form now.
                        return self.ready(request).await.ok_or_else(gone);
                    }
                    self.placeholders.make(&item, request).await.map_err(|e| SlateError(e.message))?;
                    let made = form(&self.placeholders.place(&self.room, &id), &item.placeholder.digest, request);
                    self.play(made).await.ok_or_else(gone)?
                }
            };
            // The others are made ahead of need, once what is shown is there.
            if let Some(me) = self.me.upgrade() {
                tokio::spawn(async move { me.prepare_all(request).await });
            }
            Ok(slate)
        })
    }
}
