//! How the rest of the server talks to a room's stage.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use mujian_media::frame::FeedItem;
use mujian_protocol::api::WaitingPublisher;
use mujian_protocol::room::{Away, Stage};
use mujian_protocol::{LeaveId, RoomId, StreamId, WallTime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};

use super::programme::{Programme, READER_AGE, RING_BYTES};
use crate::slate::{SlateKind, SlateLoop, SlateRequest};

/// Items that may wait between a publisher's connection and its stage.
pub(super) const FEED_ITEMS: usize = 512;
/// Kilobytes that may wait there.
pub(super) const FEED_KBYTES: usize = 16 * 1024;
/// Longest delay line.
pub(super) const DELAY_MAX: Duration = Duration::from_secs(30);

/// How a room's stage behaves.
#[derive(Clone, Debug)]
pub struct StageConfig {
    /// The room.
    pub room: RoomId,
    /// Which owner of the room this is; 1 on a single server.
    pub epoch: u64,
    /// How long a stream waits for a lost publisher. Default 90 s.
    pub grace: Duration,
    /// How long it waits while the streamer is away. Default 60 min.
    pub grace_away: Duration,
    /// How long frames wait in the delay line, to 30 s. Default 0.
    pub delay: Duration,
    /// Bound of the ring that viewers read from, in bytes.
    pub ring_bytes: usize,
    /// Lag at which a viewer skips to the newest key frame.
    pub reader_age: Duration,
    /// The streamer left and did not come back before this stage was spawned: the fact as stored.
    pub away: Option<Leave>,
    /// A moderator's cover lies over the room from before.
    pub covered: bool,
}

impl StageConfig {
    /// The defaults for a room.
    #[must_use]
    pub fn new(room: RoomId) -> Self {
        Self {
            room,
            epoch: 1,
            grace: Duration::from_secs(90),
            grace_away: Duration::from_secs(60 * 60),
            delay: Duration::ZERO,
            ring_bytes: RING_BYTES,
            reader_age: READER_AGE,
            away: None,
            covered: false,
        }
    }
}

/// A program that wants to publish. Its stream key was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publisher {
    /// Names this connection in logs.
    pub id: String,
    /// What the program calls itself, for people.
    pub program: String,
    /// Its network address without the port.
    pub address: String,
    /// What the program calls its own running instance: the same one that comes again takes over
    /// at once. None for programs that do not say.
    pub same_as: Option<String>,
    /// It marks in its stream where the streamer leaves and comes back.
    pub marks: bool,
}

/// The streamer leaves, or has left, for a while.
pub type Leave = Away;

/// What a publisher said in its stream that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The streamer left; the gate is closed already. To be stored in place of any absence before it, if
    /// [`StageStatus::away`] still says so.
    Left(Leave),
    /// The streamer is back from this absence. To be stored (nothing, if another one is), and then told
    /// by [`StageHandle::back`]: what the publisher sends waits for that, for 3 s at most.
    Back(LeaveId),
}

/// Who publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublisherInfo {
    /// What the program calls itself.
    pub program: String,
    /// Its network address without the port.
    pub address: String,
    /// When it connected.
    pub since: WallTime,
    /// It marks in its stream where the streamer leaves and comes back: both are exact.
    pub marks: bool,
    /// What it calls its own running instance, as [`Publisher::same_as`].
    pub same_as: Option<String>,
}

/// What a stage does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageStatus {
    /// What viewers are shown.
    pub stage: Stage,
    /// Since when.
    pub since: WallTime,
    /// The stream that runs, from its publisher's first connection to its end.
    pub stream: Option<StreamId>,
    /// When that stream began.
    pub started: Option<WallTime>,
    /// Width and height of what goes out, in pixels.
    pub size: Option<(u32, u32)>,
    /// Who publishes now; none while the connection is lost.
    pub publisher: Option<PublisherInfo>,
    /// The streamer is away, whatever is shown.
    pub away: Option<Leave>,
    /// A moderator's cover lies over the programme.
    pub covered: bool,
}

/// A publisher was not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    /// Another program publishes. The owner was told and can admit this one.
    #[error(
        "Another program ({}) is already publishing to this room. End it there, or let this one in from the room's page, then try again.",
        current.program
    )]
    Busy {
        /// Who publishes.
        current: Box<PublisherInfo>,
        /// Who was refused, as the owner is told.
        waiting: Box<WaitingPublisher>,
    },
    /// The room is being closed.
    #[error("The room is closing. Try again in a moment.")]
    Gone,
}

/// A publisher's connection is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedClosed {
    /// Another program, or the same one over a new connection, publishes now.
    #[error("Another connection publishes to this room now.")]
    TakenOver,
    /// The stream was ended.
    #[error("The stream was ended.")]
    Ended,
    /// The room is being closed.
    #[error("The room is closing.")]
    Gone,
}

/// The room's stage does not exist any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room is closing")]
pub struct StageGone;

/// What comes over a feed.
pub(super) enum FeedMessage {
    /// The permit is held until the item is taken.
    Item(FeedItem, OwnedSemaphorePermit),
    /// In the order of the stream, after [`Command::AwayMark`] has gone past it.
    AwayMark(AwayMark),
    Goodbye,
}

/// A publisher's word that the streamer left, numbered from 1 in each connection.
#[derive(Clone, Debug)]
pub(super) struct AwayMark {
    pub(super) number: u64,
    pub(super) leave_id: LeaveId,
    pub(super) keep_sound: bool,
}

/// What a stage is asked.
pub(super) enum Command {
    Publish(Publisher, oneshot::Sender<Result<Feed, PublishRefused>>),
    Admit(String, oneshot::Sender<bool>),
    Leave(Leave, oneshot::Sender<Option<Leave>>),
    /// In band, from the session of this number.
    AwayMark(u64, AwayMark),
    Back(Option<LeaveId>, oneshot::Sender<bool>),
    BackAt(LeaveId, Option<WallTime>, oneshot::Sender<bool>),
    Cover(oneshot::Sender<()>),
    Restore(oneshot::Sender<()>),
    End(oneshot::Sender<()>),
    /// What was asked for by the request of this number.
    Slate(u64, SlateKind, SlateRequest, Arc<SlateLoop>),
    SlateChanged(SlateKind),
}

/// A room's stage, for everybody else. Cheap to clone; the stage ends when the last one is dropped.
#[derive(Clone)]
pub struct StageHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) programme: Arc<Programme>,
    pub(super) status: watch::Receiver<StageStatus>,
    pub(super) waiting: broadcast::Sender<WaitingPublisher>,
    pub(super) told: watch::Receiver<Option<Told>>,
}

impl StageHandle {
    /// Asks to publish.
    ///
    /// # Errors
    /// Another program publishes that has not been silent for 3 s and is not the same one.
    pub async fn publish(&self, publisher: Publisher) -> Result<Feed, PublishRefused> {
        self.ask(|reply| Command::Publish(publisher, reply)).await.unwrap_or(Err(PublishRefused::Gone))
    }

    /// Lets a publisher in that was refused: its next attempt within 5 minutes takes over. False if
    /// nobody of this id waits.
    pub async fn admit(&self, id: &str) -> bool {
        self.ask(|reply| Command::Admit(id.to_owned(), reply)).await.unwrap_or(false)
    }

    /// The streamer leaves: returns once no live picture can go out any more. What is to be stored is what it
    /// gives: the absence that holds now. None: this leave is of an absence that is over, and changed nothing.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn leave(&self, leave: Leave) -> Result<Option<Leave>, StageGone> {
        self.ask(|reply| Command::Leave(leave, reply)).await
    }

    /// The streamer is back from this absence, or from whichever it is; that was stored. False: there is none
    /// such, and nothing changed.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn back(&self, leave_id: Option<LeaveId>) -> Result<bool, StageGone> {
        self.ask(|reply| Command::Back(leave_id, reply)).await
    }

    /// When the streamer means to be back from this absence. False: there is no such.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn back_at(&self, leave_id: LeaveId, at: Option<WallTime>) -> Result<bool, StageGone> {
        self.ask(|reply| Command::BackAt(leave_id, at, reply)).await
    }

    /// What publishers say in their streams of leaving and coming back: the newest is all that counts.
    #[must_use]
    pub fn told(&self) -> watch::Receiver<Option<Told>> {
        self.told.clone()
    }

    /// A moderator covers the programme: returns once nothing of the publisher can go out any more.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn cover(&self) -> Result<(), StageGone> {
        self.ask(Command::Cover).await
    }

    /// The cover is lifted. The delay line is filled again first.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn restore(&self) -> Result<(), StageGone> {
        self.ask(Command::Restore).await
    }

    /// Ends the stream at once, and with it a stay away.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn end(&self) -> Result<(), StageGone> {
        self.ask(Command::End).await
    }

    /// Another slate of this kind is wanted from now on: the stage asks its source for it.
    ///
    /// # Errors
    /// The room is closing.
    pub async fn slate_changed(&self, kind: SlateKind) -> Result<(), StageGone> {
        self.commands.send(Command::SlateChanged(kind)).await.map_err(|_| StageGone)
    }

    /// What goes out.
    #[must_use]
    pub fn programme(&self) -> Arc<Programme> {
        Arc::clone(&self.programme)
    }

    /// What the stage does, now and whenever it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<StageStatus> {
        self.status.clone()
    }

    /// Publishers that are refused from now on: for telling the owner.
    #[must_use]
    pub fn waiting(&self) -> broadcast::Receiver<WaitingPublisher> {
        self.waiting.subscribe()
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, StageGone> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| StageGone)?;
        answer.await.map_err(|_| StageGone)
    }
}

/// A publisher's way into the stage. Dropping it means that the connection was lost: viewers see a
/// slate and the stream waits for the publisher to come back.
pub struct Feed {
    pub(super) session: u64,
    pub(super) items: mpsc::Sender<FeedMessage>,
    pub(super) budget: Arc<Semaphore>,
    pub(super) commands: mpsc::WeakSender<Command>,
    pub(super) closed: Arc<OnceLock<FeedClosed>>,
    /// Away marks that were sent.
    pub(super) aways: AtomicU64,
}

impl Feed {
    /// Hands one item to the stage; waits while the stage is ahead of its clock or has too much
    /// waiting, which slows the publisher's connection down.
    ///
    /// An away mark goes past everything that waits.
    ///
    /// # Errors
    /// The stage does not want this connection any more: it should be closed.
    pub async fn send(&self, item: FeedItem) -> Result<(), FeedClosed> {
        // All that waited before an away mark is kept out by it, so its time need not be known here.
        let item = match item {
            FeedItem::AwayMark { leave_id, keep_sound, last: _ } => {
                let number = self.aways.fetch_add(1, Ordering::Relaxed) + 1;
                let mark = AwayMark { number, leave_id, keep_sound };
                let commands = self.commands.upgrade().ok_or(FeedClosed::Gone)?;
                commands.send(Command::AwayMark(self.session, mark.clone())).await.map_err(|_| FeedClosed::Gone)?;
                // And once more in its place, in case a later return is read before that command is.
                return self.items.send(FeedMessage::AwayMark(mark)).await.map_err(|_| self.reason());
            }
            item => item,
        };
        let size = match &item {
            FeedItem::Video(frame) => frame.data.len(),
            FeedItem::Audio(frame) => frame.data.len(),
            _ => 0,
        };
        let kbytes = (size / 1024 + 1).min(FEED_KBYTES) as u32;
        let permit = Arc::clone(&self.budget).acquire_many_owned(kbytes);
        let permit = tokio::select! {
            permit = permit => permit.map_err(|_| self.reason())?,
            () = self.items.closed() => return Err(self.reason()),
        };
        self.items.send(FeedMessage::Item(item, permit)).await.map_err(|_| self.reason())
    }

    /// The publisher said goodbye: the stream ends once what it sent has gone out.
    pub async fn end(self) {
        // If the stage has closed the feed, there is nothing left to end.
        let _ = self.items.send(FeedMessage::Goodbye).await;
    }

    /// Waits until the stage does not want this connection any more.
    pub async fn closed(&self) -> FeedClosed {
        self.items.closed().await;
        self.reason()
    }

    fn reason(&self) -> FeedClosed {
        self.closed.get().copied().unwrap_or(FeedClosed::Gone)
    }
}
