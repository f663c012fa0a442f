//! The fact that a room's streamer is away, at the stage and on the disk.
//!
//! Leaving closes the stage's gate first, then it is stored, then whoever left hears that it holds.
//! Coming back is stored first, then the gate opens. Whatever breaks in between, the picture stays off:
//! what the disk says is loaded before a publisher's first frame is taken.
//!
//! The stage's fact is the truth while the server runs. What publishers say in their streams is
//! followed by [`follow`]; what could not be stored is tried again until it is.

use std::sync::Weak;
use std::time::Duration;

use mujian_protocol::room::Away;
use mujian_protocol::{LeaveId, RoomId, WallTime};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::rooms::Room;
use crate::stage::{Leave, StageGone, StageHandle, Told};
use crate::store::{Store, StoreError};

/// What could not be stored is tried again after so long.
const RETRY: Duration = Duration::from_secs(5);

/// The streamer could not leave, or not for good.
#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    /// The leave is an old one that was held up.
    #[error(
        "This leave is over already, and changed nothing. To leave once more, send another leave_id, or none at all."
    )]
    Over,
    /// The room is being closed.
    #[error("The room is closing. Try again in a moment.")]
    Closing(#[from] StageGone),
    /// The picture is off, but the disk does not know.
    #[error(
        "Your picture is off and stays off, but the server could not store that you are away: {0}. It keeps trying; if it is started again before, your picture is shown. End the stream to be sure."
    )]
    NotKept(StoreError),
}

/// The streamer is still away.
#[derive(Debug, thiserror::Error)]
pub enum BackError {
    /// The room is being closed.
    #[error("The room is closing. Try again in a moment.")]
    Closing(#[from] StageGone),
    /// The disk does not take it, so the picture stays off.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps one room's fact.
pub struct Absence {
    room: RoomId,
    stage: StageHandle,
    store: Store,
    /// What is on the disk. Held while that or the way back changes.
    kept: Mutex<Option<Away>>,
}

impl Absence {
    /// For a room whose fact on the disk is `kept`, and was told to its stage.
    #[must_use]
    pub fn new(room: RoomId, stage: StageHandle, store: Store, kept: Option<Away>) -> Self {
        Self { room, stage, store, kept: Mutex::new(kept) }
    }

    fn fact(&self) -> Option<Away> {
        self.stage.status().borrow().away.clone()
    }

    /// The streamer leaves: returns when no picture can go out any more and the disk knows. It gives the stay
    /// away that holds.
    ///
    /// # Errors
    /// The leave is stale, the room is closing, or the disk does not take it; in the last case the picture is off.
    pub async fn leave(&self, leave: Leave) -> Result<Leave, LeaveError> {
        // Before anything that may have to wait.
        let holds = self.stage.leave(leave).await?.ok_or(LeaveError::Over)?;
        let mut kept = self.kept.lock().await;
        self.keep(&mut kept).await.map_err(LeaveError::NotKept)?;
        Ok(holds)
    }

    /// The streamer, who is away, means to be back at this time. False: they are not away.
    ///
    /// # Errors
    /// The room is closing, or the disk does not take it; it may be told then, but does not outlive a restart.
    pub async fn back_at(&self, at: Option<WallTime>) -> Result<bool, BackError> {
        let mut kept = self.kept.lock().await;
        let Some(fact) = self.fact() else { return Ok(false) };
        let held = self.stage.back_at(fact.leave_id, at).await?;
        self.keep(&mut kept).await?;
        Ok(held)
    }

    /// The streamer is back, from this stay away or from any. If there is none such, nothing changes.
    ///
    /// # Errors
    /// The room is closing, or the disk does not take it; the streamer is still away then.
    pub async fn back(&self, leave_id: Option<&LeaveId>) -> Result<(), BackError> {
        let mut kept = self.kept.lock().await;
        if let Some(fact) = self.fact()
            && leave_id.is_none_or(|id| *id == fact.leave_id)
        {
            self.store.clear_away(self.room.clone()).await?;
            *kept = None;
            // A leave of another name that came meanwhile is not ended by this.
            self.stage.back(Some(fact.leave_id)).await?;
        }
        Ok(self.keep(&mut kept).await?)
    }

    /// The stream was ended, and the stay away with it: returns when the disk knows, or does not take it. In the
    /// latter case it is tried again, and the next stream begins away until it is done.
    pub async fn ended(&self) {
        let mut kept = self.kept.lock().await;
        if let Err(error) = self.keep(&mut kept).await {
            tracing::warn!(%error, room = %self.room, "The end of a stay away could not be stored yet.");
        }
    }

    /// Brings the disk to what the stage says.
    async fn keep(&self, kept: &mut Option<Away>) -> Result<(), StoreError> {
        let fact = self.fact();
        if *kept == fact {
            return Ok(());
        }
        match &fact {
            Some(away) => self.store.set_away(self.room.clone(), away.clone()).await?,
            None => self.store.clear_away(self.room.clone()).await?,
        }
        *kept = fact;
        Ok(())
    }

    /// Whether the disk knows what the stage says.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.kept.try_lock().is_ok_and(|kept| *kept == self.fact())
    }

    /// Does what follows from what a publisher said, and stores what is not stored. False: it must be tried again.
    async fn catch_up(&self, told: Option<Told>) -> bool {
        let done = match told {
            Some(Told::Back(id)) => self.back(Some(&id)).await,
            Some(Told::Left(_)) | None => {
                let mut kept = self.kept.lock().await;
                self.keep(&mut kept).await.map_err(BackError::from)
            }
        };
        match done {
            Ok(()) | Err(BackError::Closing(_) | BackError::Store(StoreError::Closed)) => true,
            Err(BackError::Store(error)) => {
                tracing::error!(%error, room = %self.room, "That a streamer left or is back could not be stored; it is tried again.");
                false
            }
        }
    }
}

/// Follows what a room's stage says, until the room is put away or the server stops.
pub(crate) async fn follow(room: Weak<Room>, stop: CancellationToken) {
    let Some((mut told, mut status)) = room.upgrade().map(|r| (r.stage.told(), r.stage.status())) else { return };
    loop {
        let (newest, stopping) = (told.borrow_and_update().clone(), stop.is_cancelled());
        status.borrow_and_update();
        let done = match room.upgrade() {
            Some(room) => room.absence.catch_up(newest).await,
            None => return,
        };
        if stopping {
            return;
        }
        tokio::select! {
            changed = told.changed() => if changed.is_err() { return },
            changed = status.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(RETRY), if !done => {}
            // Once more: what was said last must be stored too.
            () = stop.cancelled() => {}
        }
    }
}
