//! The rooms that are held in memory: those that somebody publishes to, watches, or asked for lately.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use mujian_media::rtmp::{self, Secret};
use mujian_protocol::api::{OwnedRoom, Person, RefusedPublisher, RoomView, WaitingPublisher};
use mujian_protocol::room::{Away, EventId, Stage};
use mujian_protocol::{AccountId, LeaveId, RoomId, WallTime};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::absence::{self, Absence};
use crate::clock::Clock;
use crate::config::Config;
use crate::cover::{self, Cover};
use crate::egress::Fanout;
use crate::grant::Grants;
use crate::hls;
use crate::ingest::{Admission, Denied, Publishers};
use crate::placeholder::{Placeholders, RoomShelf};
use crate::relay::{Marks, Relays, Site};
use crate::replay::Recorder;
use crate::room::{Hub, Past, RoomStatus};
use crate::slate::{AwaySlates, SlateKind, SlateSource};
use crate::stage::{self, StageConfig, StageHandle, StageStatus};
use crate::store::{OverlayRow, RelayRow, RoomRow, RoomUpdate, Store, StoreError};

/// Rooms that nobody uses are put away this often.
const SWEEP: Duration = Duration::from_secs(30);
/// Refused publishers that a room remembers.
const WAITING: usize = 8;
/// For how long: as long as the stage takes an admission for one.
const WAITING_LIFE: Duration = Duration::from_secs(300);

/// A room in memory.
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What its viewers see.
    pub stage: StageHandle,
    /// Whether its streamer is away.
    pub absence: Absence,
    /// What its people share.
    pub hub: Hub,
    /// Who reads its programme.
    pub grants: Grants,
    /// Its viewers.
    pub fanout: Fanout,
    /// Its programme in segments.
    pub hls: Arc<hls::Live>,
    /// What it shows while its streamer is away.
    pub shelf: Arc<RoomShelf>,
    /// What the hall shows of it.
    pub cover: Cover,
    /// Where it is restreamed to.
    pub relays: Relays,
    row: Mutex<RoomRow>,
    /// Changes of the row on disk and here are one step for everybody else.
    changes: tokio::sync::Mutex<()>,
    status: watch::Receiver<StageStatus>,
    waiting: Mutex<VecDeque<WaitingPublisher>>,
    refused: Mutex<VecDeque<RefusedPublisher>>,
    /// Changes whenever the stream key does.
    key_renewed: watch::Sender<()>,
    /// The overlay, while it is switched on.
    overlay: watch::Sender<Option<OverlayRow>>,
    /// Cancelled when the room is deleted.
    deleted: CancellationToken,
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Room").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Room {
    /// As everybody sees it.
    #[must_use]
    pub fn view(&self) -> RoomView {
        let status = self.status.borrow().clone();
        let away = status.away.clone();
        view(&self.row.lock(), (status.stage, status.since), status.started, away, self.hub.viewers())
    }

    /// Whether a stream runs.
    #[must_use]
    pub fn on_air(&self) -> bool {
        self.status.borrow().stage != Stage::Off
    }

    /// The streamer's stay away, by its name.
    #[must_use]
    pub fn stay(&self) -> Option<LeaveId> {
        self.status.borrow().away.as_ref().map(|a| a.leave_id.clone())
    }

    /// As it is on disk.
    #[must_use]
    pub fn row(&self) -> RoomRow {
        self.row.lock().clone()
    }

    /// Changes what everybody sees of it, and tells them.
    ///
    /// # Errors
    /// The database failed, or the room is closing.
    pub async fn change(&self, update: RoomUpdate) -> Result<(), StoreError> {
        let _turn = self.changes.lock().await;
        let row = self.hub.update(update).await?;
        self.shelf.about(&row);
        *self.row.lock() = row;
        Ok(())
    }

    /// Replaces the stream key. The old one opens nothing any more once this returns, and whoever
    /// publishes with it is cut off.
    ///
    /// # Errors
    /// The database failed.
    pub async fn renew_key(&self, store: &Store, key: String) -> Result<(), StoreError> {
        let _turn = self.changes.lock().await;
        if let Some(row) = store.set_stream_key(self.id.clone(), key).await? {
            *self.row.lock() = row;
            self.key_renewed.send_replace(());
        }
        Ok(())
    }

    /// The overlay as it is, and as it will be: whoever came with its key looks whether it is still good.
    #[must_use]
    pub fn overlay(&self) -> watch::Receiver<Option<OverlayRow>> {
        self.overlay.subscribe()
    }

    /// Gives the overlay another key, or switches it off without one. The old key opens nothing any more once this
    /// returns, and whoever reads along with it is sent away. False: the room was deleted.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_overlay(&self, store: &Store, overlay: Option<OverlayRow>) -> Result<bool, StoreError> {
        let _turn = self.changes.lock().await;
        let known = store.set_overlay(self.id.clone(), overlay).await?;
        self.overlay.send_replace(overlay.filter(|_| known));
        Ok(known)
    }

    /// Waits until the room is deleted.
    pub async fn deleted(&self) {
        self.deleted.cancelled().await;
    }

    /// Whether this is the stream key now.
    #[must_use]
    pub fn key_is(&self, key: &str) -> bool {
        self.row.lock().stream_key.as_bytes().ct_eq(key.as_bytes()).into()
    }

    /// Publishers that were refused lately and may be let in.
    #[must_use]
    pub fn waiting(&self, now: WallTime) -> Vec<WaitingPublisher> {
        recent(&mut self.waiting.lock(), now, |p| p.at)
    }

    /// Publishers that were sent away lately because of what they send.
    #[must_use]
    pub fn refused(&self, now: WallTime) -> Vec<RefusedPublisher> {
        recent(&mut self.refused.lock(), now, |p| p.at)
    }

    /// Those of [`waiting`](Self::waiting) that the stream which runs keeps out, oldest first.
    #[must_use]
    pub fn still_waiting(&self, now: WallTime) -> Vec<WaitingPublisher> {
        let Some(started) = self.status.borrow().started else { return Vec::new() };
        let mut waiting = self.waiting(now);
        waiting.retain(|p| p.at >= started);
        waiting.reverse();
        waiting
    }

    /// The publisher that was sent away last, unless something was taken since.
    #[must_use]
    pub fn last_refused(&self, now: WallTime) -> Option<RefusedPublisher> {
        let taken = Some(self.status.borrow()).filter(|s| s.stage == Stage::Live).map(|s| s.since);
        self.refused(now).into_iter().next().filter(|p| taken.is_none_or(|taken| p.at >= taken))
    }

    /// Lets a refused publisher in. False: nobody of this id waits.
    pub async fn admit(&self, id: &str) -> bool {
        let admitted = self.stage.admit(id).await;
        if admitted {
            self.waiting.lock().retain(|p| p.id != id);
        }
        admitted
    }

    fn note_waiting(&self, publisher: WaitingPublisher) {
        note(&mut self.waiting.lock(), publisher, |a, b| a.id == b.id);
    }

    fn note_refused(&self, publisher: RefusedPublisher) {
        // A program that comes again by itself, every few seconds, is told of once.
        note(&mut self.refused.lock(), publisher, |a, b| {
            (&a.program, &a.address, &a.reason) == (&b.program, &b.address, &b.reason)
        });
    }
}

/// Those of the last minutes, newest first.
fn recent<T: Clone>(list: &mut VecDeque<T>, now: WallTime, at: impl Fn(&T) -> WallTime) -> Vec<T> {
    let life = i64::try_from(WAITING_LIFE.as_millis()).unwrap_or(i64::MAX);
    list.retain(|p| now.millis().saturating_sub(at(p).millis()) < life);
    list.iter().rev().cloned().collect()
}

fn note<T>(list: &mut VecDeque<T>, new: T, same: impl Fn(&T, &T) -> bool) {
    list.retain(|old| !same(old, &new));
    list.push_back(new);
    if list.len() > WAITING {
        list.pop_front();
    }
}

/// A room as everybody sees it.
fn view(
    row: &RoomRow,
    (stage, stage_since): (Stage, WallTime),
    live_since: Option<WallTime>,
    away: Option<Away>,
    viewers: u32,
) -> RoomView {
    RoomView {
        id: row.id.clone(),
        title: row.title.clone(),
        category: row.category.clone(),
        tags: row.tags.clone(),
        owner: row.owner.clone(),
        stage,
        stage_since,
        live_since,
        away,
        viewers,
    }
}

/// Where a room's owner publishes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// The name, with no port, by which the server was reached.
    pub host: String,
    /// The port.
    pub port: u16,
    /// It takes RTMPS.
    pub secure: bool,
}

/// A room as its owner sees it.
#[must_use]
pub fn owned(room: RoomView, stream_key: String, ingress: &Ingress) -> OwnedRoom {
    let Ingress { host, port, secure } = ingress;
    let (scheme, usual) = if *secure { ("rtmps", rtmp::TLS_PORT) } else { ("rtmp", rtmp::PORT) };
    let port = if *port == usual { String::new() } else { format!(":{port}") };
    let rtmp_url = format!("{scheme}://{host}{port}/live/{}", room.id);
    OwnedRoom { room, stream_key, rtmp_url }
}

/// The rooms in memory.
pub struct Rooms {
    store: Store,
    clock: Clock,
    config: Config,
    slates: SlateSource,
    recorder: Recorder,
    placeholders: Placeholders,
    relays: Site,
    stop: CancellationToken,
    tasks: TaskTracker,
    held: Mutex<HashMap<RoomId, Arc<Room>>>,
    /// Loading is done one at a time for each room's sake: two stages of one room must never be.
    loading: tokio::sync::Mutex<()>,
}

impl Rooms {
    pub(crate) fn new(
        store: Store,
        clock: Clock,
        config: Config,
        (slates, placeholders): (SlateSource, Placeholders),
        recorder: Recorder,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> Self {
        let relays = Site {
            store: store.clone(),
            clock,
            tasks: tasks.clone(),
            stop: stop.clone(),
            marks: Marks::new(),
            to_private: config.relays_to_private,
        };
        Self {
            store,
            clock,
            config,
            slates,
            recorder,
            placeholders,
            relays,
            stop,
            tasks,
            held: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }
    }

    /// Where the rooms' stages get their slates from.
    pub(crate) fn slates(&self) -> &SlateSource {
        &self.slates
    }

    /// A room, brought into memory if it is not there. None: there is no such room.
    ///
    /// # Errors
    /// The database failed, or the server is stopping.
    pub async fn get(&self, id: &RoomId) -> Result<Option<Arc<Room>>, StoreError> {
        if let Some(room) = self.held(id) {
            return Ok(Some(room));
        }
        let _turn = self.loading.lock().await;
        if let Some(room) = self.held(id) {
            return Ok(Some(room));
        }
        let Some(row) = self.store.room(id.clone()).await? else { return Ok(None) };
        let start = EventId { epoch: 0, number: 0 };
        let past = Past {
            tail: self.store.events_between(id.clone(), start, row.last, crate::room::TAIL).await?.events,
            ballot: self.store.open_ballot(id.clone()).await?,
            owed: self.store.owed(id.clone(), crate::room::OWED).await?,
        };
        let overlay = self.store.overlay(id.clone()).await?;
        let relays = self.store.relays(id.clone()).await?;
        let room = self.start(row, past, overlay, relays);
        let mut held = self.held.lock();
        // Under the lock: after the last room was put away at the end, none may come.
        if self.stop.is_cancelled() {
            return Err(StoreError::Closed);
        }
        held.insert(id.clone(), Arc::clone(&room));
        metrics::gauge!("mujian_rooms_active").set(held.len() as f64);
        Ok(Some(room))
    }

    /// A room that is in memory.
    #[must_use]
    pub fn held(&self, id: &RoomId) -> Option<Arc<Room>> {
        self.held.lock().get(id).cloned()
    }

    /// Rooms with a stream.
    #[must_use]
    pub fn on_air(&self) -> Vec<Arc<Room>> {
        self.held.lock().values().filter(|r| r.on_air()).cloned().collect()
    }

    /// A room as everybody sees it, from memory if it is there.
    #[must_use]
    pub fn view(&self, row: &RoomRow) -> RoomView {
        match self.held(&row.id) {
            Some(room) => room.view(),
            // What is not in memory has no stream and no people.
            None => view(row, (Stage::Off, row.stage_since), None, row.away.clone(), 0),
        }
    }

    /// Somebody has another name: whoever is in a room is told.
    pub async fn renamed(&self, person: &Person) {
        let held: Vec<Arc<Room>> = self.held.lock().values().cloned().collect();
        for room in held {
            {
                let mut row = room.row.lock();
                if row.owner.id == person.id {
                    row.owner = person.clone();
                    room.shelf.about(&row);
                }
            }
            room.hub.renamed(person.clone()).await;
        }
    }

    /// An account was deleted: rooms that are in memory show its name no more.
    pub async fn forgotten(&self, account: &AccountId) {
        let held: Vec<Arc<Room>> = self.held.lock().values().cloned().collect();
        for room in held {
            room.hub.forgotten(account.clone()).await;
        }
    }

    /// A room is not on the disk any more: whoever is in it is sent away, and nobody comes.
    pub async fn remove(&self, id: &RoomId) {
        // One that is just being loaded was read before; it is there when this has its turn.
        let _turn = self.loading.lock().await;
        let room = {
            let mut held = self.held.lock();
            let room = held.remove(id);
            metrics::gauge!("mujian_rooms_active").set(held.len() as f64);
            room
        };
        let Some(room) = room else { return };
        room.deleted.cancel();
        room.key_renewed.send_replace(());
        room.grants.revoke(|_| true);
        // A stage that has gone by itself has ended too.
        let _ = room.stage.end().await;
    }

    fn start(&self, row: RoomRow, past: Past, overlay: Option<OverlayRow>, relays: Vec<RelayRow>) -> Arc<Room> {
        let mut config = StageConfig::new(row.id.clone());
        config.grace = self.config.grace();
        config.epoch = row.last.epoch;
        // Before a publisher's first frame can be taken: the picture of who is away stays off.
        config.away = row.away.clone();
        let shelf = RoomShelf::new(self.placeholders.clone(), &row);
        let away: Arc<dyn AwaySlates> = Arc::clone(&shelf) as _;
        let stage = stage::spawn(config, self.slates.for_room(away), self.clock);
        let grants = Grants::new(self.config.max_connections);
        let (hub, hub_task) = Hub::new(&row, past, self.store.clone(), self.clock, grants.clone());
        self.tasks.spawn(hub_task);
        let fanout = Fanout::new(stage.programme(), self.tasks.clone(), self.stop.clone());
        let status = stage.status();
        let mut refused = stage.waiting();
        let absence = Absence::new(row.id.clone(), stage.clone(), self.store.clone(), row.away.clone());
        let hls = Arc::new(hls::Live::default());
        let packager = hls::Packager {
            room: row.id.clone(),
            live: Arc::clone(&hls),
            reader: stage.programme().recorder(),
            status: stage.status(),
            recorder: self.recorder.clone(),
            clock: self.clock,
        };
        self.tasks.spawn(packager.run(self.stop.clone()));
        let cover = Cover::new(stage.status(), stage.programme());
        let relays = Relays::new(self.relays.clone(), &row, stage.clone(), relays);
        let room = Arc::new(Room {
            id: row.id.clone(),
            absence,
            cover,
            relays,
            stage,
            hub,
            grants,
            fanout,
            hls,
            shelf,
            row: Mutex::new(row),
            changes: tokio::sync::Mutex::default(),
            status: status.clone(),
            waiting: Mutex::default(),
            refused: Mutex::default(),
            key_renewed: watch::Sender::new(()),
            overlay: watch::Sender::new(overlay),
            deleted: CancellationToken::new(),
        });
        self.tasks.spawn(tell_status(status, room.hub.clone(), self.stop.clone()));
        self.tasks.spawn(cover::mind(Arc::downgrade(&room), room.stage.status(), self.stop.clone()));
        self.tasks.spawn(absence::follow(Arc::downgrade(&room), self.stop.clone()));
        self.tasks.spawn(mind_shelf(Arc::downgrade(&room), room.stage.status(), self.store.clone(), self.stop.clone()));
        let weak = Arc::downgrade(&room);
        self.tasks.spawn(async move {
            loop {
                match refused.recv().await {
                    Ok(publisher) => {
                        let Some(room) = weak.upgrade() else { return };
                        room.note_waiting(publisher.clone());
                        room.hub.waiting(publisher).await;
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return,
                }
            }
        });
        room
    }

    /// Puts rooms away that nobody uses, until the server stops; then all of them.
    pub(crate) async fn sweep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    let mut held = self.held.lock();
                    // Whoever uses a room holds it; the lock keeps anybody from taking it meanwhile.
                    held.retain(|_, room| {
                        Arc::strong_count(room) > 1
                            || room.on_air()
                            || !room.absence.is_kept()
                            || room.hub.sockets() > 0
                            || room.grants.viewers() > 0
                    });
                    metrics::gauge!("mujian_rooms_active").set(held.len() as f64);
                }
                () = self.stop.cancelled() => {
                    self.held.lock().clear();
                    return;
                }
            }
        }
    }
}

/// Has the shelf choose when the streamer leaves, and the stage ask when the choice changed.
async fn mind_shelf(room: Weak<Room>, mut status: watch::Receiver<StageStatus>, store: Store, stop: CancellationToken) {
    let Some(shelf) = room.upgrade().map(|r| Arc::clone(&r.shelf)) else { return };
    let mut stream = None;
    loop {
        let (stay, now_stream, started) = {
            let s = status.borrow_and_update();
            (s.away.as_ref().map(|a| a.leave_id.clone()), s.stream.clone(), s.started)
        };
        let done = shelf.follow(stay.as_ref()).await;
        if let (true, Some(row), Some(at)) = (stream != now_stream, room.upgrade().map(|r| r.row()), started) {
            let title = [&row.title].into_iter().chain(&row.tags).map(String::as_str).collect::<Vec<_>>().join(" ");
            if let Err(error) = store.note_title(row.id.clone(), at, title).await {
                tracing::warn!(%error, "a stream's title could not be noted");
            }
        }
        if let Err(error) = done {
            tracing::warn!(%error, "a placeholder could not be chosen; the last choice stands");
        }
        stream = now_stream;
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = shelf.changed() => {
                let Some(room) = room.upgrade() else { return };
                // A room that is closing shows nothing.
                let _ = room.stage.slate_changed(SlateKind::Away).await;
            }
            () = stop.cancelled() => return,
        }
    }
}

/// Hands what the stage does on to the room's people.
async fn tell_status(mut status: watch::Receiver<StageStatus>, hub: Hub, stop: CancellationToken) {
    loop {
        let now = {
            let s = status.borrow_and_update();
            let away = s.away.clone();
            RoomStatus { stage: s.stage, since: s.since, stream: s.stream.clone(), away }
        };
        hub.status(now).await;
        tokio::select! {
            changed = status.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// A room that somebody publishes to, held in memory, and whether their key is still good.
pub struct Admitted {
    room: Arc<Room>,
    key_renewed: watch::Receiver<()>,
}

impl Admission for Admitted {
    async fn revoked(&mut self) {
        if self.key_renewed.changed().await.is_err() {
            // The room holds the other end, and this holds the room.
            std::future::pending::<()>().await;
        }
    }

    async fn not_taken(&self, publisher: RefusedPublisher) {
        self.room.note_refused(publisher.clone());
        self.room.hub.refused(publisher).await;
    }

    async fn key_frames(&self, far: bool) {
        self.room.hub.key_frames(far).await;
    }
}

impl Publishers for Rooms {
    type Room = Admitted;

    async fn authorise(&self, id: &RoomId, key: &Secret) -> Result<(StageHandle, Admitted), Denied> {
        let unavailable = |error: StoreError| {
            tracing::error!(room = %id, %error, "A stream key could not be checked.");
            Denied::Unavailable
        };
        // Not told which of the two is wrong: ids can be guessed.
        let room = self.get(id).await.map_err(unavailable)?.ok_or(Denied::WrongKey)?;
        // Before the key is looked at, so that no renewal falls between the two.
        let key_renewed = room.key_renewed.subscribe();
        if !room.key_is(key.expose()) {
            return Err(Denied::WrongKey);
        }
        Ok((room.stage.clone(), Admitted { room, key_renewed }))
    }

    fn leads_back(&self, program_id: &str) -> bool {
        self.relays.marks.are_on(program_id)
    }
}
