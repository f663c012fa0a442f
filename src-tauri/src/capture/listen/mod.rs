//! Listening to a microphone, or to what the computer plays.
//!
//! A thread of its own takes the device's samples from its stream, places them on the clock, and opens the device again
//! when it vanished (see [`super::watchman`]). While there is none its track is silent; nobody waits for it.

mod ear;
#[cfg(target_os = "linux")]
mod pulse;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use mujian_av::AvError;
use mujian_av::sound::{Aligner, SilenceWatch};

pub use ear::{DEFAULT, Ear, NONE_SET_UP, list_microphones, list_outputs};
use stream::{FIRST, Hung, Message, Stream};

use super::running::{CLOSING, still_runs};
use super::watchman::{Do, Input, Watchman};
use super::{CaptureError, Clock, SoundTrack, Stop};
use crate::clock::now;

/// A stream that gives nothing for so long is closed, and opened again.
const STALLED: Duration = Duration::from_secs(2);
/// How often it is looked whether it is to stop, while no samples come.
const LOOK: Duration = Duration::from_millis(50);
/// What it is said to have been silent for: it is told within a second.
const SAID: Duration = Duration::from_secs(1);
/// Seconds of exact zeros until it counts as silent.
const SILENT_AFTER: u32 = 10;

/// What is told of what is listened to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hearing {
    /// Samples come again.
    Back,
    /// It was lost or could not be opened; it is tried again and again. Said again, with another reason, that one counts.
    Lost(CaptureError),
    /// Only digital silence comes, or (false) sound again.
    Silent(bool),
}

/// Somebody who listens. Dropping it closes the device.
pub struct Listener {
    stop: Stop,
    pressed: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Listener {
    /// Opens what is to be heard and writes its sound to `track`. `event` tells what becomes of it.
    #[must_use]
    pub fn start(ear: Ear, clock: Clock, track: SoundTrack, event: impl FnMut(Hearing) + Send + 'static) -> Self {
        let stop = Stop::default();
        let pressed = Arc::<AtomicBool>::default();
        let mut worker = Worker {
            ear,
            clock,
            track,
            stop: stop.clone(),
            pressed: Arc::clone(&pressed),
            event: Box::new(event),
            watchman: Watchman::default(),
            hung: Hung::of_this_process(),
        };
        let spawned = std::thread::Builder::new().name("listener".into()).spawn(move || worker.run());
        if let Err(e) = &spawned {
            tracing::error!(error = %e, "no thread to listen");
        }
        Self { stop, pressed, thread: spawned.ok() }
    }

    /// Somebody wants it now, if it is lost, without waiting for the next attempt.
    pub fn press(&self) {
        self.pressed.store(true, Ordering::SeqCst);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.stop();
        if let Some(thread) = self.thread.take() {
            let _ = still_runs(thread, CLOSING);
        }
    }
}

struct Worker {
    ear: Ear,
    clock: Clock,
    track: SoundTrack,
    stop: Stop,
    pressed: Arc<AtomicBool>,
    event: Box<dyn FnMut(Hearing) + Send>,
    watchman: Watchman,
    hung: Hung,
}

impl Worker {
    fn run(&mut self) {
        loop {
            let error = self.capture();
            self.track.pause();
            if self.stop.is_stopped() {
                return;
            }
            tracing::info!(ear = ?self.ear, %error, "the sound device is closed");
            let mut todo = self.happened(Input::Ended, Some(&error));
            while !todo.contains(&Do::Open) {
                let wait = self.watchman.deadline().map_or(LOOK, |due| due.since(now()).min(LOOK));
                if self.stop.wait_until(Instant::now() + wait) {
                    return;
                }
                todo = self.happened(Input::Tick, None);
                todo.extend(self.look_at_presses());
            }
        }
    }

    /// Tells what is to be told of what happened; the rest is the caller's.
    fn happened(&mut self, input: Input, error: Option<&CaptureError>) -> Vec<Do> {
        let todo = self.watchman.handle(input, now());
        for todo in &todo {
            let event = match (todo, error) {
                (Do::Silent, _) => {
                    self.track.pause();
                    Hearing::Lost(AvError::TimedOut { path: self.ear.name(), limit: SAID }.into())
                }
                (Do::Lost, Some(error)) => Hearing::Lost(error.clone()),
                (Do::Lost, None) => Hearing::Lost(CaptureError::Stopped(self.ear.name())),
                (Do::Back, _) => Hearing::Back,
                (Do::Open | Do::Cancel, _) => continue,
            };
            (self.event)(event);
        }
        todo
    }

    fn look_at_presses(&mut self) -> Vec<Do> {
        if self.pressed.swap(false, Ordering::SeqCst) { self.happened(Input::Press, None) } else { Vec::new() }
    }

    /// Captures until asked to stop: then, or why it ended.
    fn capture(&mut self) -> CaptureError {
        let ended = self.listen();
        ended.err().unwrap_or_else(|| CaptureError::Stopped(self.ear.name()))
    }

    /// As [`Self::capture`]; the stream is closed when it returns, or left behind where it hangs.
    fn listen(&mut self) -> Result<(), CaptureError> {
        let stream = Stream::open(&self.ear, self.clock, &self.hung)?;
        let mut aligner: Option<Aligner> = None;
        let mut silence = SilenceWatch::new(SILENT_AFTER);
        let mut silent = false;
        let mut last = Instant::now();
        let mut limit = FIRST;
        loop {
            if self.stop.is_stopped() {
                return Ok(());
            }
            if self.look_at_presses().contains(&Do::Cancel) {
                return Ok(());
            }
            match (stream.next(LOOK), &mut aligner) {
                (Ok(Message::Open(rate)), _) => {
                    aligner = Some(Aligner::new(rate)?);
                    last = Instant::now();
                }
                (Ok(Message::Chunk(chunk)), Some(aligner)) => {
                    self.happened(Input::Gave, None);
                    limit = STALLED;
                    last = Instant::now();
                    let (index, samples) = aligner.push(chunk.at, &chunk.samples)?;
                    if silent != silence.push(samples) {
                        silent = !silent;
                        (self.event)(Hearing::Silent(silent));
                    }
                    self.track.write(index, samples);
                }
                // Nothing comes before it is open.
                (Ok(Message::Chunk(_)), None) => {}
                (Ok(Message::Refused(error)), _) => return Err(error),
                (Ok(Message::Moved), aligner) => {
                    self.happened(Input::Tick, None);
                    if let Some(aligner) = aligner {
                        aligner.reset();
                    }
                }
                (Err(RecvTimeoutError::Timeout), _) => drop(self.happened(Input::Tick, None)),
                (Err(RecvTimeoutError::Disconnected), _) => return Err(CaptureError::Stopped(self.ear.name())),
            }
            // Some say all the time that they have moved, and give nothing.
            if last.elapsed() > limit {
                return Err(CaptureError::NothingCame { device: self.ear.name(), seconds: limit.as_secs() });
            }
        }
    }
}
