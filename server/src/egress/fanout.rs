//! A room's viewers, spread over a few tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::shard::Shard;
use super::viewer::Viewer;
use crate::stage::programme::Programme;

/// Below so many viewers for each task, more tasks would only cost: writing to so many takes some
/// milliseconds, and a second task is a second thread to wake for every frame.
const VIEWERS_PER_SHARD: usize = 512;

/// The viewers of one room that are written to directly.
pub struct Fanout {
    shards: Vec<Arc<Place>>,
    programme: Arc<Programme>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// One task's way in; none while it does not run.
#[derive(Default)]
struct Place {
    way_in: Mutex<Option<mpsc::UnboundedSender<Viewer>>>,
    viewers: Arc<AtomicUsize>,
}

/// A viewer's share in the count of its task.
pub(super) struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fanout {
    /// For a room without viewers. Its tasks run among `tasks` while there are viewers, and end with `stop`.
    #[must_use]
    pub fn new(programme: Arc<Programme>, tasks: TaskTracker, stop: CancellationToken) -> Self {
        let most = std::thread::available_parallelism().map_or(1, usize::from).min(16);
        Self { shards: (0..most).map(|_| Arc::default()).collect(), programme, tasks, stop }
    }

    /// What the viewers are shown.
    #[must_use]
    pub fn programme(&self) -> &Arc<Programme> {
        &self.programme
    }

    /// Takes a viewer in; from now on it is written to until it leaves or has to.
    pub(super) fn join(&self, viewer: impl FnOnce(Counted) -> Viewer) {
        let place = self.choose();
        place.viewers.fetch_add(1, Ordering::Relaxed);
        let viewer = viewer(Counted(Arc::clone(&place.viewers)));
        let mut way_in = place.way_in.lock();
        let viewer = match way_in.as_ref() {
            Some(sender) => match sender.send(viewer) {
                Ok(()) => return,
                Err(mpsc::error::SendError(viewer)) => viewer,
            },
            None => viewer,
        };
        let (sender, newcomers) = mpsc::unbounded_channel();
        // The receiver is here, so it cannot fail.
        let _ = sender.send(viewer);
        *way_in = Some(sender);
        let close = {
            let place = Arc::clone(place);
            move |newcomers: &mut mpsc::UnboundedReceiver<Viewer>| {
                // Under the lock nobody comes in, so an empty queue stays empty.
                let mut way_in = place.way_in.lock();
                let empty = newcomers.is_empty();
                if empty {
                    *way_in = None;
                }
                empty
            }
        };
        let shard = Shard::new(Arc::clone(&self.programme));
        self.tasks.spawn(shard.run(newcomers, self.stop.clone(), close));
    }

    /// The least busy of as many tasks as there are viewers for.
    fn choose(&self) -> &Arc<Place> {
        let viewers = |place: &Arc<Place>| place.viewers.load(Ordering::Relaxed);
        let all: usize = self.shards.iter().map(viewers).sum();
        let used = (1 + all / VIEWERS_PER_SHARD).min(self.shards.len());
        let least = self.shards[..used].iter().min_by_key(|place| viewers(place));
        // There is always at least one.
        least.unwrap_or(&self.shards[0])
    }
}
