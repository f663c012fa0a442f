//! One task that writes to many viewers of one room.
//!
//! A task for each viewer would cost a wake-up, a trip through the scheduler and a registration for
//! every frame of every viewer, which is a good part of what the write itself costs. Here the task
//! wakes once a chunk and writes to its viewers one after the other; a viewer wakes it by itself only
//! when it sends something, or when its socket takes bytes again after it was full.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::figures::Tally;
use super::viewer::{Leaving, Viewer};
use crate::stage::programme::Programme;

/// How often viewers are looked at that nothing happens to.
const ROUND: Duration = Duration::from_secs(1);
/// After so many viewers in a row other tasks get their turn.
const TURN: usize = 256;

/// What the wakers of a shard's viewers share.
#[derive(Default)]
struct Woken {
    /// Places of viewers whose sockets have something to say.
    places: Mutex<Vec<usize>>,
    notify: Notify,
}

/// Wakes the shard for one viewer.
struct ViewerWaker {
    place: usize,
    queued: AtomicBool,
    woken: Arc<Woken>,
}

impl Wake for ViewerWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.woken.places.lock().push(self.place);
            self.woken.notify.notify_one();
        }
    }
}

struct Seat {
    viewer: Viewer,
    own: Arc<ViewerWaker>,
    waker: Waker,
    /// The socket was full: it is written to again when it says that it takes bytes.
    full: bool,
}

/// The viewers of one task.
pub(super) struct Shard {
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    woken: Arc<Woken>,
    programme: Arc<Programme>,
}

impl Shard {
    pub(super) fn new(programme: Arc<Programme>) -> Self {
        Self { seats: Vec::new(), free: Vec::new(), woken: Arc::default(), programme }
    }

    /// Runs until there is no viewer left and `close` says that no more will come, or until `stop`.
    pub(super) async fn run(
        mut self,
        mut newcomers: mpsc::UnboundedReceiver<Viewer>,
        stop: CancellationToken,
        close: impl Fn(&mut mpsc::UnboundedReceiver<Viewer>) -> bool,
    ) {
        let woken = Arc::clone(&self.woken);
        let mut head = self.programme.watch();
        let mut round = tokio::time::interval(ROUND);
        round.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return self.dismiss(&mut newcomers),
                changed = head.changed() => match changed {
                    Ok(()) => self.write_all().await,
                    // The programme is held here; it cannot go before.
                    Err(_) => return self.dismiss(&mut newcomers),
                },
                newcomer = newcomers.recv() => match newcomer {
                    Some(viewer) => self.seat(viewer),
                    None => return,
                },
                () = woken.notify.notified() => {
                    for place in std::mem::take(&mut *woken.places.lock()) {
                        self.attend(place);
                    }
                }
                _ = round.tick() => self.look_round(),
            }
            if self.free.len() == self.seats.len() && close(&mut newcomers) {
                return;
            }
        }
    }

    fn seat(&mut self, viewer: Viewer) {
        let place = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        let own = Arc::new(ViewerWaker { place, queued: AtomicBool::new(false), woken: Arc::clone(&self.woken) });
        let waker = Waker::from(Arc::clone(&own));
        self.seats[place] = Some(Seat { viewer, own, waker, full: false });
        self.attend(place);
    }

    /// A chunk came: everybody gets it whose socket is not full.
    async fn write_all(&mut self) {
        let now = Instant::now();
        let (head, mut tally) = (self.programme.head(), Tally::default());
        for place in 0..self.seats.len() {
            if let Some(seat) = self.seats[place].as_mut().filter(|seat| !seat.full)
                && !head.as_ref().is_some_and(|head| seat.viewer.write_head(head, now, &mut tally))
            {
                self.write(place, now);
            }
            if place % TURN == TURN - 1 {
                tokio::task::yield_now().await;
            }
        }
        tally.count();
    }

    /// A viewer's socket has something to say: it is read, and written to if that is possible again.
    fn attend(&mut self, place: usize) {
        let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut) else { return };
        // From here on the waker counts again: what comes meanwhile is not missed.
        seat.own.queued.store(false, Ordering::Release);
        let now = Instant::now();
        let mut cx = Context::from_waker(&seat.waker);
        // Reading ends with the waker registered, or with the viewer gone.
        while let Poll::Ready(ready) = seat.viewer.tcp().poll_read_ready(&mut cx) {
            if let Err(leaving) = ready.map_err(|_| Leaving::Gone).and_then(|()| seat.viewer.read(now)) {
                return self.leave(place, leaving);
            }
        }
        self.write(place, now);
    }

    fn write(&mut self, place: usize, now: Instant) {
        let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut) else { return };
        loop {
            match seat.viewer.write(now) {
                Ok(done) => seat.full = !done,
                Err(leaving) => return self.leave(place, leaving),
            }
            if !seat.full {
                return;
            }
            // Registers the waker, unless the socket takes bytes again already.
            match seat.viewer.tcp().poll_write_ready(&mut Context::from_waker(&seat.waker)) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return self.leave(place, Leaving::Gone),
                Poll::Pending => return,
            }
        }
    }

    fn look_round(&mut self) {
        let now = Instant::now();
        for place in 0..self.seats.len() {
            let Some(seat) = self.seats[place].as_mut() else { continue };
            match seat.viewer.look_after(now) {
                Ok(()) if seat.full => {}
                Ok(()) => self.write(place, now),
                Err(leaving) => self.leave(place, leaving),
            }
        }
    }

    fn leave(&mut self, place: usize, leaving: Leaving) {
        if let Some(seat) = self.seats[place].take() {
            self.free.push(place);
            seat.viewer.leave(leaving);
        }
    }

    fn dismiss(&mut self, newcomers: &mut mpsc::UnboundedReceiver<Viewer>) {
        newcomers.close();
        for place in 0..self.seats.len() {
            self.leave(place, Leaving::Stopping);
        }
        while let Ok(viewer) = newcomers.try_recv() {
            viewer.leave(Leaving::Stopping);
        }
    }
}
