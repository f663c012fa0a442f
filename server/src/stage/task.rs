//! The task that drives a room's stage: sockets' frames and people's commands in, chunks out.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mujian_media::time::Now;
use mujian_protocol::api::WaitingPublisher;
use mujian_protocol::room::Stage;
use mujian_protocol::{StreamId, WallTime};
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};
use tracing::{Instrument, info, warn};

use super::engine::{Engine, EngineConfig, Out, Slates};
use super::handle::{Command, FEED_ITEMS, FEED_KBYTES, FeedMessage};
use super::programme::{ChunkConfig, Programme};
use super::{Feed, FeedClosed, PublishRefused, Publisher, PublisherInfo, StageConfig, StageHandle, StageStatus, Told};
use crate::clock::Clock;
use crate::slate::{SlateKind, SlateRequest, SlateSource};

/// A publisher that has said nothing for this long may be taken over from.
const SILENT: Duration = Duration::from_secs(3);
/// How long a refused publisher stays known, and an admission good.
const WAITING: Duration = Duration::from_secs(5 * 60);
/// Most refused publishers that are remembered.
const WAITING_MAX: usize = 16;
/// Most items that are taken at once from a publisher that sends a burst.
const BATCH: usize = FEED_ITEMS;
/// The task looks at its timers at least so often.
const IDLE: Duration = Duration::from_secs(1);

/// Starts a room's stage. It ends when the last handle is dropped.
#[must_use]
pub fn spawn(config: StageConfig, slates: SlateSource, clock: Clock) -> StageHandle {
    let (commands, receiver) = mpsc::channel(64);
    let programme = Arc::new(Programme::new(config.epoch, config.ring_bytes, config.reader_age));
    let status = watch::Sender::new(StageStatus {
        stage: Stage::Off,
        since: clock.wall(),
        stream: None,
        started: None,
        size: None,
        publisher: None,
        away: config.away.clone(),
        covered: config.covered,
    });
    let (waiting, _) = broadcast::channel(WAITING_MAX);
    let told = watch::Sender::new(None);
    let handle = StageHandle {
        commands: commands.clone(),
        programme: Arc::clone(&programme),
        status: status.subscribe(),
        waiting: waiting.clone(),
        told: told.subscribe(),
    };
    let span = tracing::info_span!("stage", room = %config.room);
    let task = Task {
        engine: Engine::new(
            EngineConfig::from(&config),
            Slates {
                moment: slates.fallback(SlateKind::Moment),
                sound_only: slates.fallback(SlateKind::SoundOnly),
                away: slates.fallback(SlateKind::Away),
            },
        ),
        clock,
        slates,
        programme,
        status,
        waiting_sender: waiting,
        told,
        waiting: Vec::new(),
        commands: commands.downgrade(),
        current: None,
        sessions: 0,
        config: None,
        configs: 0,
        asked: [0; 3],
    };
    tokio::spawn(task.run(receiver).instrument(span));
    handle
}

struct Current {
    session: u64,
    publisher: Publisher,
    info: PublisherInfo,
    items: mpsc::Receiver<FeedMessage>,
    closed: Arc<OnceLock<FeedClosed>>,
    last_item: Now,
}

struct Waiting {
    view: WaitingPublisher,
    at: Now,
    admitted: bool,
}

struct Task {
    engine: Engine,
    clock: Clock,
    slates: SlateSource,
    programme: Arc<Programme>,
    status: watch::Sender<StageStatus>,
    waiting_sender: broadcast::Sender<WaitingPublisher>,
    told: watch::Sender<Option<Told>>,
    waiting: Vec<Waiting>,
    commands: mpsc::WeakSender<Command>,
    current: Option<Current>,
    sessions: u64,
    config: Option<Arc<ChunkConfig>>,
    configs: u64,
    /// How often each kind of slate was asked for: only the last answer counts.
    asked: [u64; 3],
}

/// What woke the task.
enum Wake {
    Command(Option<Command>),
    Feed(Option<FeedMessage>),
    Timer,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let now = self.clock.now();
            self.engine.run(now);
            self.publish_outputs(now);
            let wake = self.engine.wake_at(now).map_or(IDLE, |at| at.since(now)).min(IDLE);
            let listen = self.engine.hungry(now);
            let woken = tokio::select! {
                biased;
                command = commands.recv() => Wake::Command(command),
                item = next_item(&mut self.current), if listen => Wake::Feed(item),
                () = tokio::time::sleep(wake) => Wake::Timer,
            };
            let now = self.clock.now();
            match woken {
                Wake::Command(Some(command)) => self.command(command, now),
                Wake::Command(None) => break,
                Wake::Feed(message) => self.feed(message, now),
                Wake::Timer => {}
            }
        }
        self.close_current(FeedClosed::Gone);
        self.programme.end();
    }

    /// Takes one message and what waits behind it, so that a burst is seen as one.
    fn feed(&mut self, first: Option<FeedMessage>, now: Now) {
        let mut message = first;
        for left in (0..BATCH).rev() {
            match message {
                Some(FeedMessage::Item(item, _permit)) => self.engine.feed(item, now),
                Some(FeedMessage::AwayMark(mark)) => {
                    if let Some(session) = self.current.as_ref().map(|c| c.session) {
                        self.engine.away_mark(session, mark, true, self.clock.wall(), now);
                    }
                }
                Some(FeedMessage::Goodbye) => {
                    info!("the publisher said goodbye");
                    self.close_current(FeedClosed::Ended);
                    self.engine.goodbye(now);
                    return self.tell_publisher();
                }
                None => {
                    info!("the publisher's connection is lost");
                    self.close_current(FeedClosed::Gone);
                    self.engine.lost(now);
                    return self.tell_publisher();
                }
            }
            let Some(current) = self.current.as_mut() else { return };
            current.last_item = now;
            if left == 0 || self.engine.is_returning(now) {
                return;
            }
            // A feed that was dropped with nothing left in it is seen by the next waiting receive.
            match current.items.try_recv() {
                Ok(next) => message = Some(next),
                Err(_) => return,
            }
        }
    }

    fn command(&mut self, command: Command, now: Now) {
        // A caller that stopped waiting for its answer is no failure of the stage.
        match command {
            Command::Publish(publisher, reply) => {
                let answer = self.publish(publisher, now);
                if let Err(Ok(_feed)) = reply.send(answer) {
                    warn!("the publisher went before it was let in");
                }
            }
            Command::Admit(id, reply) => {
                let _ = reply.send(self.admit(&id, now));
            }
            Command::Leave(leave, reply) => {
                let holds = self.engine.leave(leave, now);
                self.settle(reply, holds, now);
            }
            Command::AwayMark(session, mark) => {
                self.engine.away_mark(session, mark, false, self.clock.wall(), now);
                self.after_command(now);
            }
            Command::Back(id, reply) => {
                let was_away = self.engine.back(id.as_ref(), now);
                self.settle(reply, was_away, now);
            }
            Command::BackAt(id, at, reply) => {
                let held = self.engine.back_at(&id, at);
                self.settle(reply, held, now);
            }
            Command::Cover(reply) => {
                self.engine.cover();
                self.settle(reply, (), now);
            }
            Command::Restore(reply) => {
                self.engine.restore(now);
                self.settle(reply, (), now);
            }
            Command::End(reply) => {
                self.engine.end();
                self.settle(reply, (), now);
            }
            // What was asked for before the last request may be gone from the shelf by now, or refused.
            Command::Slate(asked, kind, request, slate) => {
                if self.asked[kind as usize] == asked {
                    self.engine.slate_ready(kind, request, slate);
                }
            }
            Command::SlateChanged(kind) => self.engine.slate_changed(kind),
        }
    }

    /// Lets a command's effect go out before its caller hears that it is done.
    fn settle<T>(&mut self, reply: oneshot::Sender<T>, answer: T, now: Now) {
        self.after_command(now);
        let _ = reply.send(answer);
    }

    fn after_command(&mut self, now: Now) {
        self.engine.run(now);
        self.publish_outputs(now);
        self.tell_facts();
    }

    fn tell_facts(&self) {
        let (away, covered) = (self.engine.away(), self.engine.is_covered());
        self.status.send_if_modified(|s| {
            let changed = s.away.as_ref() != away || s.covered != covered;
            if changed {
                (s.away, s.covered) = (away.cloned(), covered);
            }
            changed
        });
    }

    fn publish(&mut self, publisher: Publisher, now: Now) -> Result<Feed, PublishRefused> {
        let wall = self.clock.wall();
        self.waiting.retain(|w| now.since(w.at) < WAITING);
        let id = waiting_id(&publisher);
        if let Some(current) = &self.current {
            let same = publisher.same_as.is_some() && publisher.same_as == current.publisher.same_as;
            let silent = now.since(current.last_item) >= SILENT;
            let admitted = self.waiting.iter().any(|w| w.view.id == id && w.admitted);
            if !(same || silent || admitted) {
                let waiting = WaitingPublisher {
                    id: id.clone(),
                    program: publisher.program.clone(),
                    address: publisher.address.clone(),
                    at: wall,
                };
                let current = Box::new(current.info.clone());
                self.waiting.retain(|w| w.view.id != id);
                if self.waiting.len() >= WAITING_MAX {
                    self.waiting.remove(0);
                }
                self.waiting.push(Waiting { view: waiting.clone(), at: now, admitted: false });
                // Nobody listening is fine: the list is asked for, too.
                let _ = self.waiting_sender.send(waiting.clone());
                info!(program = %publisher.program, "refused a second publisher");
                return Err(PublishRefused::Busy { current, waiting: Box::new(waiting) });
            }
            info!(same, silent, admitted, "another connection takes over");
        }
        self.waiting.retain(|w| w.view.id != id);
        if self.current.is_some() {
            self.close_current(FeedClosed::TakenOver);
            self.engine.lost(now);
        }
        self.sessions += 1;
        let session = self.sessions;
        let (sender, items) = mpsc::channel(FEED_ITEMS);
        let closed = Arc::new(OnceLock::new());
        let info = PublisherInfo {
            program: publisher.program.clone(),
            address: publisher.address.clone(),
            since: wall,
            marks: publisher.marks,
            same_as: publisher.same_as.clone(),
        };
        info!(program = %publisher.program, session, connection = %publisher.id, "publishing");
        self.current = Some(Current { session, publisher, info, items, closed: Arc::clone(&closed), last_item: now });
        self.engine.came(session, now);
        if self.status.borrow().stream.is_none() {
            self.status.send_modify(|s| {
                s.stream = Some(StreamId::new());
                s.started = Some(wall);
            });
        }
        self.tell_publisher();
        let budget = Arc::new(Semaphore::new(FEED_KBYTES));
        Ok(Feed { session, items: sender, budget, commands: self.commands.clone(), closed, aways: AtomicU64::new(0) })
    }

    fn admit(&mut self, id: &str, now: Now) -> bool {
        self.waiting.retain(|w| now.since(w.at) < WAITING);
        match self.waiting.iter_mut().find(|w| w.view.id == id) {
            Some(w) => {
                w.admitted = true;
                w.at = now;
                true
            }
            None => false,
        }
    }

    fn close_current(&mut self, why: FeedClosed) {
        if let Some(current) = self.current.take() {
            // Set once: the first reason stands.
            let _ = current.closed.set(why);
            info!(session = current.session, why = %why, "the publisher's connection is closed");
        }
    }

    fn tell_publisher(&self) {
        let publisher = self.current.as_ref().map(|c| c.info.clone());
        self.status.send_if_modified(|s| {
            let changed = s.publisher != publisher;
            s.publisher = publisher;
            changed
        });
    }

    fn publish_outputs(&mut self, now: Now) {
        while let Some(out) = self.engine.poll() {
            match out {
                Out::Config { video, audio, at } => {
                    self.configs += 1;
                    let size = (video.width, video.height);
                    self.config = Some(Arc::new(ChunkConfig::new(self.configs, video, audio, at)));
                    self.status.send_if_modified(|s| s.size.replace(size) != Some(size));
                }
                Out::Chunk(parts) => {
                    if let Some(config) = &self.config {
                        self.programme.push(Arc::clone(config), parts, self.clock.wall(), now);
                    }
                }
                Out::Stage(stage) => self.tell_stage(stage),
                Out::Told(told) => {
                    info!(?told, "the publisher tells of the streamer");
                    self.told.send_replace(Some(told));
                    self.tell_facts();
                }
                Out::WantSlate(kind, request) => self.fetch_slate(kind, request),
                Out::Ended => {
                    info!("the stream is over");
                    self.close_current(FeedClosed::Ended);
                    self.programme.end();
                    self.config = None;
                    let wall = self.clock.wall();
                    self.status.send_modify(|s| {
                        *s = StageStatus {
                            stage: Stage::Off,
                            since: wall,
                            stream: None,
                            started: None,
                            size: None,
                            publisher: None,
                            away: self.engine.away().cloned(),
                            covered: self.engine.is_covered(),
                        };
                    });
                }
            }
        }
    }

    fn tell_stage(&self, stage: Stage) {
        let since: WallTime = self.clock.wall();
        let (away, covered) = (self.engine.away().cloned(), self.engine.is_covered());
        info!(?stage, "viewers are shown another thing");
        self.status.send_modify(|s| {
            (s.stage, s.since) = (stage, since);
            (s.away, s.covered) = (away, covered);
        });
    }

    /// Gets a slate of the stream's form, in the background.
    fn fetch_slate(&mut self, kind: SlateKind, request: SlateRequest) {
        let (slates, commands) = (self.slates.clone(), self.commands.clone());
        self.asked[kind as usize] += 1;
        let asked = self.asked[kind as usize];
        let fetch = async move {
            let tell = async |slate| {
                // A stage that has gone needs no slate.
                if let Some(commands) = commands.upgrade() {
                    let _ = commands.send(Command::Slate(asked, kind, request, slate)).await;
                }
            };
            // Whatever is ready serves until the exact one is.
            if let Some(slate) = slates.ready(kind, request).await {
                tell(slate).await;
            }
            match slates.exact(kind, request).await {
                Ok(slate) => tell(slate).await,
                Err(error) => warn!(%error, ?kind, "a slate could not be made; another one serves"),
            }
        };
        tokio::spawn(fetch.in_current_span());
    }
}

/// The next message of the publisher's connection; never, while there is none.
async fn next_item(current: &mut Option<Current>) -> Option<FeedMessage> {
    match current {
        Some(current) => current.items.recv().await,
        None => std::future::pending().await,
    }
}

/// The same program at the same address is the same one when it tries again.
fn waiting_id(publisher: &Publisher) -> String {
    let mut hash = Sha256::new();
    for part in [&publisher.program, &publisher.address, publisher.same_as.as_ref().unwrap_or(&String::new())] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize()[..8].iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use mujian_media::frame::{FeedItem, VideoFrame};
    use mujian_media::time::MediaTime;
    use parking_lot::Mutex;
    use tokio::sync::Notify;

    use super::*;
    use crate::slate::{AwaySlates, SlateError, SlateFuture, SlateLoop};

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Gives its slates from the last to the first; the first one that is asked for comes late.
    #[derive(Debug)]
    struct Late {
        slates: Mutex<Vec<Arc<SlateLoop>>>,
        asked: AtomicU32,
        wait: Notify,
    }

    impl AwaySlates for Late {
        fn ready(&self, _: SlateRequest) -> SlateFuture<'_, Option<Arc<SlateLoop>>> {
            Box::pin(async { None })
        }

        fn exact(&self, _: SlateRequest) -> SlateFuture<'_, Result<Arc<SlateLoop>, SlateError>> {
            let (first, slate) = (self.asked.fetch_add(1, Ordering::Relaxed) == 0, self.slates.lock().pop());
            Box::pin(async move {
                if first {
                    self.wait.notified().await;
                }
                slate.ok_or_else(|| SlateError("there are no more".into()))
            })
        }
    }

    /// What it asked for first may be gone from the shelf when the answer comes.
    #[tokio::test]
    async fn a_slate_that_comes_after_a_later_question_is_not_shown() {
        let source = SlateSource::built_in().unwrap();
        let one = source.fallback(SlateKind::Moment);
        let (config, duration, frames) = (Arc::clone(&one.config), one.frame_duration, one.frames.clone());
        let slate =
            || SlateLoop { config: Arc::clone(&config), frame_duration: duration, frames: frames.clone(), tape: None };
        let (stale, wanted) = (Arc::new(slate()), Arc::new(slate()));
        let (stale_is, wanted_is) = (Arc::downgrade(&stale), Arc::downgrade(&wanted));
        let slates = Mutex::new(vec![wanted, stale]);
        let late = Arc::new(Late { slates, asked: AtomicU32::new(0), wait: Notify::new() });
        let away: Arc<dyn AwaySlates> = Arc::clone(&late) as _;
        let stage = spawn(StageConfig::new("room-1".parse().unwrap()), source.for_room(away), Clock::start());
        let publisher = Publisher {
            id: "1".into(),
            program: "test".into(),
            address: "127.0.0.1".into(),
            same_as: None,
            marks: false,
        };
        let feed = stage.publish(publisher).await.unwrap();
        feed.send(FeedItem::VideoConfig(Arc::clone(&config))).await.unwrap();
        let at = MediaTime::ZERO;
        feed.send(FeedItem::Video(VideoFrame { dts: at, pts: at, key: true, data: frames[0].data.clone() }))
            .await
            .unwrap();
        let until = async |done: &dyn Fn() -> bool| {
            let wait = async {
                while !done() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.is_ok()
        };
        assert!(until(&|| late.asked.load(Ordering::Relaxed) == 1).await, "the stream's form asks");
        stage.slate_changed(SlateKind::Away).await.unwrap();
        assert!(until(&|| late.asked.load(Ordering::Relaxed) == 2).await);
        late.wait.notify_one();
        assert!(until(&|| stale_is.strong_count() == 0).await, "the late answer is kept");
        assert_eq!(wanted_is.strong_count(), 1, "and the last one serves");
    }
}
