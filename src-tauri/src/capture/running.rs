//! A source at work on its thread.

use std::cell::Cell;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{CaptureError, Clock, Outlet, Stop};

/// How a source ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop.
    Stopped,
    /// A file that is not looped came to its end.
    Finished,
}

/// Something that gives pictures, sound, or both.
pub trait Source: Send {
    /// What a person calls it.
    fn label(&self) -> String;

    /// Runs until `stop`, an end of its own, or a failure. It says [`Voice::ready`] after the first
    /// picture (or sound, where there is no picture) went out; again and again does no harm.
    ///
    /// # Errors
    /// Why it could not start, or how it was lost for good.
    fn run(&mut self, clock: Clock, outlet: &Outlet, stop: &Stop, voice: &Voice<'_>) -> Result<End, CaptureError>;

    /// Longest time from the start to `ready`.
    fn first_limit(&self) -> Duration {
        Duration::from_secs(5)
    }
}

/// What a source tells about itself, after it was ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceEvent {
    /// A file came to its end.
    Finished,
    /// It was lost: unplugged, broken.
    Lost(CaptureError),
    /// It is there again, by itself.
    Back,
}

/// What a source says while it runs.
pub struct Voice<'a> {
    started: Cell<bool>,
    lost: Cell<bool>,
    on_ready: &'a dyn Fn(),
    on_event: &'a dyn Fn(SourceEvent),
}

impl Voice<'_> {
    /// A picture or sound went out.
    pub fn ready(&self) {
        if !self.started.replace(true) {
            (self.on_ready)();
        }
        if self.lost.replace(false) {
            (self.on_event)(SourceEvent::Back);
        }
    }

    /// It is lost for now and will be tried again. Said again, with another reason, that one counts.
    pub fn lost(&self, error: CaptureError) {
        if self.started.get() {
            self.lost.set(true);
            (self.on_event)(SourceEvent::Lost(error));
        }
    }

    /// Something went out already.
    #[must_use]
    pub fn was_ready(&self) -> bool {
        self.started.get()
    }
}

/// A source that runs. Dropping it stops the source and waits for its thread, unless that hangs in
/// a driver.
pub struct Running {
    stop: Stop,
    thread: Option<JoinHandle<()>>,
    label: String,
}

enum Report {
    Ready,
    Ended(Result<End, CaptureError>),
}

impl Running {
    /// Starts a source and waits for its first picture or sound, unless `stop` says otherwise meanwhile. `event` is called
    /// when it is lost, comes back, or ends by itself after that.
    ///
    /// # Errors
    /// What the source said, or [`CaptureError::NothingCame`].
    pub fn start(
        mut source: Box<dyn Source>,
        clock: Clock,
        outlet: Outlet,
        stop: Stop,
        event: impl Fn(SourceEvent) + Send + 'static,
    ) -> Result<Self, CaptureError> {
        let label = source.label();
        if stop.is_stopped() {
            return Err(CaptureError::Stopped(label));
        }
        let limit = source.first_limit();
        let (reports, answers) = mpsc::channel();
        let theirs = stop.clone();
        let name = label.clone();
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                let voice = Voice {
                    started: Cell::new(false),
                    lost: Cell::new(false),
                    on_ready: &|| {
                        let _ = reports.send(Report::Ready);
                    },
                    on_event: &event,
                };
                let ended = source.run(clock, &outlet, &theirs, &voice);
                outlet.pause_sound();
                tracing::info!(source = %name, ?ended, "capture ended");
                // Whoever started it listens until it is ready; afterwards the end is an event.
                match ended {
                    ended if !voice.was_ready() => {
                        let _ = reports.send(Report::Ended(ended));
                    }
                    _ if theirs.is_stopped() => {}
                    Ok(End::Stopped) => {}
                    Ok(End::Finished) => event(SourceEvent::Finished),
                    Err(e) => event(SourceEvent::Lost(e)),
                }
            })
            .map_err(|e| CaptureError::Unsupported(format!("No thread could be started ({e}).")))?;
        let running = Self { stop, thread: Some(thread), label };
        match answers.recv_timeout(limit) {
            Ok(Report::Ready) => Ok(running),
            Ok(Report::Ended(Err(e))) => Err(e),
            Ok(Report::Ended(Ok(_))) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(CaptureError::Stopped(running.label.clone()))
            }
            Err(mpsc::RecvTimeoutError::Timeout) => {
                Err(CaptureError::NothingCame { device: running.label.clone(), seconds: limit.as_secs() })
            }
        }
    }

    /// What a person calls it.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// It ended by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// It was asked to stop: by the gate, since whoever has it has not asked.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop.is_stopped()
    }

    /// Asks it to stop, without waiting.
    #[must_use]
    pub fn close(mut self) -> Closing {
        self.stop.stop();
        Closing { threads: self.thread.take().into_iter().collect() }
    }
}

/// Sources that were asked to stop.
#[derive(Default)]
pub struct Closing {
    threads: Vec<JoinHandle<()>>,
}

impl Closing {
    /// Waits until their devices are closed: for as long as the drivers take.
    pub fn wait(self) {
        for thread in self.threads {
            // One that crashed has let go of its device as well.
            let _ = thread.join();
        }
    }

    /// This one as well.
    pub fn join(&mut self, other: Self) {
        self.threads.extend(other.threads);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        // The device must be closed before another opens it; a driver that hangs keeps its thread.
        if let Some(thread) = self.thread.take()
            && still_runs(thread, CLOSING).is_some()
        {
            tracing::warn!(source = %self.label, "the device does not close in time");
        }
    }
}

/// How long the end of a thread that was asked to stop is waited for.
pub(super) const CLOSING: Duration = Duration::from_millis(500);

/// Waits for a thread's end, but no longer than this: the thread, if it still runs then.
pub(super) fn still_runs(thread: JoinHandle<()>, limit: Duration) -> Option<JoinHandle<()>> {
    let deadline = Instant::now() + limit;
    while !thread.is_finished() {
        if Instant::now() >= deadline {
            return Some(thread);
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
    // One that crashed has ended as well.
    let _ = thread.join();
    None
}
