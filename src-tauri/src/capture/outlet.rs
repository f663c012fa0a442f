//! Between sources and those who use what they give: bounded, and never waiting.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use mujian_av::Picture;
use mujian_av::sound::{RATE, Sample, Track};
use mujian_media::time::MediaTime;
use parking_lot::{Condvar, Mutex};

use super::Gate;

/// Keeps a source at its beginning until it is released.
#[derive(Clone, Debug, Default)]
pub struct Hold(Arc<AtomicBool>);

impl Hold {
    /// From now on it plays.
    pub fn release(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// It may play.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

struct Queue {
    pictures: VecDeque<Picture>,
    closed: bool,
}

/// A queue of pictures that drops the oldest when it is full, and those that its gate does not let through.
#[derive(Clone)]
pub struct Pictures {
    shared: Arc<(Mutex<Queue>, Condvar)>,
    capacity: usize,
    gate: Option<Gate>,
}

/// What came out of a queue.
#[derive(Debug)]
pub enum Next {
    /// A picture.
    Picture(Picture),
    /// Nothing in time.
    TimedOut,
    /// Nothing will come any more.
    Closed,
}

impl Pictures {
    /// An empty queue.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let queue = Queue { pictures: VecDeque::with_capacity(capacity), closed: false };
        Self { shared: Arc::new((Mutex::new(queue), Condvar::new())), capacity: capacity.max(1), gate: None }
    }

    /// An empty queue behind a gate, which is asked when a picture comes and when it goes.
    #[must_use]
    pub fn behind(gate: &Gate, capacity: usize) -> Self {
        Self { gate: Some(gate.clone()), ..Self::new(capacity) }
    }

    fn passes(&self, picture: &Picture) -> bool {
        self.gate.as_ref().is_none_or(|gate| gate.passes(picture.at))
    }

    /// Adds a picture.
    pub fn push(&self, picture: Picture) {
        if !self.passes(&picture) {
            return;
        }
        let mut queue = self.shared.0.lock();
        if queue.pictures.len() >= self.capacity {
            queue.pictures.pop_front();
        }
        queue.pictures.push_back(picture);
        self.shared.1.notify_one();
    }

    /// Waits for the next picture until a moment.
    #[must_use]
    pub fn next(&self, until: Instant) -> Next {
        let mut queue = self.shared.0.lock();
        loop {
            while let Some(picture) = queue.pictures.pop_front() {
                if self.passes(&picture) {
                    return Next::Picture(picture);
                }
            }
            if queue.closed {
                return Next::Closed;
            }
            if self.shared.1.wait_until(&mut queue, until).timed_out() && queue.pictures.is_empty() && !queue.closed {
                return Next::TimedOut;
            }
        }
    }

    /// The newest picture that was captured by a moment. It stays where it is: for who looks again and again, whatever came
    /// meanwhile.
    #[must_use]
    pub fn newest(&self, by: MediaTime) -> Option<Picture> {
        let queue = self.shared.0.lock();
        queue.pictures.iter().rev().find(|picture| picture.at <= by && self.passes(picture)).cloned()
    }

    /// Nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.0.lock().pictures.is_empty()
    }

    /// Wakes the waiting side for good.
    pub fn close(&self) {
        self.shared.0.lock().closed = true;
        self.shared.1.notify_all();
    }
}

/// Sound on its way from a source to the mixer.
#[derive(Clone)]
pub struct SoundTrack {
    shared: Arc<(Mutex<Track>, Condvar)>,
    alive: Arc<AtomicBool>,
}

impl Default for SoundTrack {
    fn default() -> Self {
        Self::new()
    }
}

impl SoundTrack {
    /// An empty track that holds 3 seconds.
    #[must_use]
    pub fn new() -> Self {
        let track = Track::new(3 * RATE as usize);
        Self { shared: Arc::new((Mutex::new(track), Condvar::new())), alive: Arc::default() }
    }

    /// Adds sound from the sample `index` of the clock on.
    pub fn write(&self, index: i64, samples: &[Sample]) {
        self.shared.0.lock().write(index, samples);
        self.alive.store(true, Ordering::Relaxed);
        self.shared.1.notify_all();
    }

    /// Nothing more comes for now: the mixer need not wait.
    pub fn pause(&self) {
        self.alive.store(false, Ordering::Relaxed);
        self.shared.1.notify_all();
    }

    /// Waits until the sound up to `end` is there, the track is paused, or the moment comes.
    pub fn wait(&self, end: i64, until: Instant) {
        let mut track = self.shared.0.lock();
        while self.alive.load(Ordering::Relaxed) && track.end().is_none_or(|e| e < end) {
            if self.shared.1.wait_until(&mut track, until).timed_out() {
                return;
            }
        }
    }

    /// Both are handles of one track.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// Takes sound; see [`Track::read`].
    pub fn read(&self, index: i64, out: &mut [Sample]) -> usize {
        self.shared.0.lock().read(index, out)
    }
}

/// What is on air inside the studio: the queues that every source feeds, one source at a time.
#[derive(Clone)]
pub struct Program {
    inner: Arc<ProgramInner>,
}

struct ProgramInner {
    current: AtomicU64,
    issued: AtomicU64,
    sinks: Vec<Pictures>,
    sound: Mutex<SoundTrack>,
    held: AtomicBool,
    presses: AtomicU64,
}

impl Program {
    /// A programme that feeds these queues.
    #[must_use]
    pub fn new(sinks: Vec<Pictures>) -> Self {
        let inner = ProgramInner {
            current: AtomicU64::new(0),
            issued: AtomicU64::new(0),
            sinks,
            sound: Mutex::new(SoundTrack::new()),
            held: AtomicBool::new(false),
            presses: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A way in for a further source. What it gives is shown from its first picture on (or from its
    /// first sound, if it has no picture), and what the others give is not any more.
    #[must_use]
    pub fn outlet(&self) -> Outlet {
        let generation = self.inner.issued.fetch_add(1, Ordering::SeqCst) + 1;
        Outlet { program: self.clone(), generation, sound: SoundTrack::new() }
    }

    /// Asks a source that can stand still, as a file can, to stand still, or to go on.
    pub fn hold(&self, held: bool) {
        self.inner.held.store(held, Ordering::SeqCst);
    }

    /// Somebody wants a lost device now, without waiting for the next attempt.
    pub fn press(&self) {
        self.inner.presses.fetch_add(1, Ordering::SeqCst);
    }

    /// The sound of the source on air.
    #[must_use]
    pub fn sound(&self) -> SoundTrack {
        self.inner.sound.lock().clone()
    }
}

/// A source's way into the programme.
#[derive(Clone)]
pub struct Outlet {
    program: Program,
    generation: u64,
    sound: SoundTrack,
}

impl Outlet {
    /// Gives a picture.
    pub fn picture(&self, picture: Picture) {
        if self.take_over() {
            for sink in &self.program.inner.sinks {
                sink.push(picture.clone());
            }
        }
    }

    /// Goes on air unless a later source already has. `true`: on air.
    pub fn take_over(&self) -> bool {
        let current = &self.program.inner.current;
        let before = current.fetch_max(self.generation, Ordering::SeqCst);
        if before < self.generation {
            *self.program.inner.sound.lock() = self.sound.clone();
        }
        before <= self.generation
    }

    /// Gives sound whose first sample was captured at `at`.
    pub fn sound(&self, at: MediaTime, samples: &[Sample]) {
        self.sound.write(mujian_av::sound::index_of(at), samples);
    }

    /// Gives sound by its place on the clock.
    pub fn sound_at(&self, index: i64, samples: &[Sample]) {
        self.sound.write(index, samples);
    }

    /// A source that can stand still is to do so.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.program.inner.held.load(Ordering::SeqCst)
    }

    /// How often somebody wanted a lost device now.
    #[must_use]
    pub fn presses(&self) -> u64 {
        self.program.inner.presses.load(Ordering::SeqCst)
    }

    /// No sound comes for now.
    pub fn pause_sound(&self) {
        self.sound.pause();
    }
}
