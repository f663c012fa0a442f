//! Cameras and screens, through libavdevice, and what keeps them: a device that is lost is opened again.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mujian_av::device::{DeviceRequest, LivePictures};
use mujian_av::open::Watch;
use mujian_av::{AvError, Picture};
use mujian_media::time::MediaTime;

use super::watchman::{Do, Input, Watchman};
use super::{CaptureError, Clock, End, Outlet, Source, Stop, Voice, Wanted, devices};
use crate::clock;

/// Longest time from one picture of a device to the next, where its driver lets itself be interrupted.
pub(super) const LIMIT: Duration = Duration::from_secs(5);
/// How often it is looked whether the source is to stop, while no picture comes.
const LOOK: Duration = Duration::from_millis(50);
/// What a device is said to have been silent for: it is told within a second.
const SAID: Duration = Duration::from_secs(1);

/// A device that can be opened, again and again.
pub trait Device: Send + Sync + 'static {
    /// Opens it; it is closed when what is returned is dropped. A cancelled `watch` ends what hangs, where the driver
    /// lets it.
    ///
    /// # Errors
    /// Why it does not open.
    fn open(self: Arc<Self>, watch: &Arc<Watch>) -> Result<Box<dyn Opened>, CaptureError>;
}

/// An open device. It stays on the thread that opened it.
pub trait Opened {
    /// Waits for the next picture.
    ///
    /// # Errors
    /// The device is gone, or gives nothing.
    fn next(&mut self, clock: &Clock) -> Result<Picture, CaptureError>;
}

/// A camera or a screen, which is opened again when it was lost.
pub struct LiveSource {
    label: String,
    device: Arc<dyn Device>,
}

/// One way to open a device: libavdevice's format and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attempt {
    format: &'static str,
    url: String,
    options: Vec<(&'static str, String)>,
}

/// A device of libavdevice.
struct AvDevice {
    label: String,
    /// The best first; the next is tried where a device does not do that size or rate.
    attempts: Vec<Attempt>,
    /// A camera's own name, by which it is known when it comes back in another place.
    name: Option<String>,
}

/// The camera with this id (see [`super::devices()`]).
///
/// # Errors
/// [`CaptureError::Unsupported`] where cameras cannot be captured.
pub fn camera(device: &str, wanted: Wanted) -> Result<LiveSource, CaptureError> {
    let label = format!("the camera {device}");
    let size = ("video_size", format!("{}x{}", wanted.width, wanted.height));
    let rate = ("framerate", wanted.fps.to_string());
    let with = |format: &'static str, url: String, sets: &[&[(&'static str, String)]]| -> Vec<Attempt> {
        sets.iter().map(|s| Attempt { format, url: url.clone(), options: s.to_vec() }).collect()
    };
    let attempts = if cfg!(target_os = "linux") {
        let wall = ("timestamps", "abs".to_owned());
        let jpeg = ("input_format", "mjpeg".to_owned());
        with(
            "v4l2",
            device.to_owned(),
            &[
                // Over USB only JPEG has the bandwidth for large pictures at full rate.
                &[wall.clone(), jpeg, size.clone(), rate.clone()],
                &[wall.clone(), size, rate],
                &[wall],
            ],
        )
    } else if cfg!(target_os = "macos") {
        with("avfoundation", format!("{device}:none"), &[&[size, rate.clone()], &[rate], &[]])
    } else if cfg!(target_os = "windows") {
        with("dshow", format!("video={device}"), &[&[size, rate.clone()], &[rate], &[]])
    } else {
        return Err(CaptureError::Unsupported("Cameras cannot be captured on this system yet.".into()));
    };
    let listed = devices::cameras(Path::new(devices::CAMERAS));
    let name = listed.into_iter().find(|d| d.id == device).map(|d| d.name);
    Ok(LiveSource::of(AvDevice { label, attempts, name }))
}

/// The screen with this id: an X display as `:0`, or a screen's number on other systems.
///
/// # Errors
/// [`CaptureError::Wayland`], [`CaptureError::NoDisplay`] or [`CaptureError::Unsupported`].
pub fn screen(device: &str, wanted: Wanted) -> Result<LiveSource, CaptureError> {
    let rate = ("framerate", wanted.fps.to_string());
    let attempt = if cfg!(target_os = "linux") {
        devices::screen_allowed(device)?;
        Attempt { format: "x11grab", url: device.to_owned(), options: vec![rate] }
    } else if cfg!(target_os = "macos") {
        let url = format!("Capture screen {device}:none");
        Attempt { format: "avfoundation", url, options: vec![rate, ("capture_cursor", "1".into())] }
    } else if cfg!(target_os = "windows") {
        Attempt { format: "gdigrab", url: "desktop".into(), options: vec![rate] }
    } else {
        return Err(CaptureError::Unsupported("Screens cannot be captured on this system yet.".into()));
    };
    Ok(LiveSource::of(AvDevice { label: format!("the screen {device}"), attempts: vec![attempt], name: None }))
}

impl Device for AvDevice {
    fn open(self: Arc<Self>, watch: &Arc<Watch>) -> Result<Box<dyn Opened>, CaptureError> {
        let mut last = None;
        for attempt in &self.attempts {
            let url = match &self.name {
                Some(name) => {
                    let listed = devices::cameras(Path::new(devices::CAMERAS));
                    let found = devices::same_camera(&listed, &attempt.url, name);
                    found.ok_or_else(|| AvError::Gone { device: self.label.clone() })?
                }
                None => attempt.url.clone(),
            };
            let options: Vec<(&str, &str)> = attempt.options.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let request = DeviceRequest {
                format: attempt.format,
                url: &url,
                label: &self.label,
                options: &options,
                limit: LIMIT,
            };
            match LivePictures::open(&request, Arc::clone(watch)) {
                Ok(live) => return Ok(Box::new(live)),
                // Another size would not help these.
                Err(
                    e @ (AvError::Gone { .. }
                    | AvError::Busy { .. }
                    | AvError::Denied { .. }
                    | AvError::MissingInput { .. }),
                ) => {
                    return Err(e.into());
                }
                Err(e) => last = Some(e),
            }
        }
        Err(last.map_or_else(|| CaptureError::Stopped(self.label.clone()), Into::into))
    }
}

impl Opened for LivePictures {
    fn next(&mut self, clock: &Clock) -> Result<Picture, CaptureError> {
        let (frame, age) = self.read()?;
        let at = clock.now().saturating_sub(MediaTime::from_duration(age.unwrap_or_default()));
        Ok(Picture::new(frame, at))
    }
}

enum Heard {
    /// A picture went out; not said of every one.
    Gave,
    /// The device is closed.
    Ended(CaptureError),
}

/// A device that is open, or being opened, on a thread of its own: some drivers hang, and that must be noticed.
/// Dropping it closes the device, and waits for that as long as the driver takes.
struct Holding {
    /// The first to be dropped: whoever waits for its room to say the last word need not any more.
    heard: mpsc::Receiver<Heard>,
    held: Held,
}

struct Held {
    watch: Arc<Watch>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.watch.cancel();
        if let Some(thread) = self.thread.take() {
            // One that crashed has let go of its device as well.
            let _ = thread.join();
        }
    }
}

impl LiveSource {
    fn of(device: AvDevice) -> Self {
        Self { label: device.label.clone(), device: Arc::new(device) }
    }

    /// A source of a device of one's own making; `label` is what a person calls it.
    #[must_use]
    pub fn new(label: impl Into<String>, device: Arc<dyn Device>) -> Self {
        Self { label: label.into(), device }
    }

    fn hold(&self, clock: Clock, outlet: &Outlet, stop: &Stop) -> Result<Holding, CaptureError> {
        let watch = Arc::new(Watch::default());
        let (tell, heard) = mpsc::sync_channel(2);
        let (device, label, outlet, stop) =
            (Arc::clone(&self.device), self.label.clone(), outlet.clone(), stop.clone());
        let theirs = Arc::clone(&watch);
        let run = move || {
            let is_over = || theirs.is_cancelled() || stop.is_stopped();
            let capture = || -> Result<(), CaptureError> {
                let mut opened = Arc::clone(&device).open(&theirs)?;
                loop {
                    let picture = opened.next(&clock)?;
                    // What came after the stop is nobody's.
                    if is_over() {
                        return Ok(());
                    }
                    outlet.picture(picture);
                    // Whoever has not heard of the last one yet need not hear of this one.
                    let _ = tell.try_send(Heard::Gave);
                }
            };
            let ended = capture().err().unwrap_or(CaptureError::Stopped(label));
            // Nobody listens any more when the source has stopped.
            let _ = tell.send(Heard::Ended(ended));
        };
        let thread = std::thread::Builder::new()
            .name("device".into())
            .spawn(run)
            .map_err(|e| CaptureError::Unsupported(format!("No thread could be started ({e}).")))?;
        Ok(Holding { heard, held: Held { watch, thread: Some(thread) } })
    }
}

impl Source for LiveSource {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(&mut self, clock: Clock, outlet: &Outlet, stop: &Stop, voice: &Voice<'_>) -> Result<End, CaptureError> {
        let mut watchman = Watchman::default();
        let mut presses = outlet.presses();
        let mut holding = Some(self.hold(clock, outlet, stop)?);
        loop {
            let wait = watchman.deadline().map_or(LOOK, |due| due.since(clock::now()).min(LOOK));
            let (input, error) = match &holding {
                Some(holding) => match holding.heard.recv_timeout(wait) {
                    Ok(Heard::Gave) => (Input::Gave, None),
                    Ok(Heard::Ended(error)) => (Input::Ended, Some(error)),
                    Err(RecvTimeoutError::Timeout) => (Input::Tick, None),
                    // It crashed.
                    Err(RecvTimeoutError::Disconnected) => {
                        (Input::Ended, Some(CaptureError::Stopped(self.label.clone())))
                    }
                },
                None => {
                    let _ = stop.wait_until(Instant::now() + wait);
                    (Input::Tick, None)
                }
            };
            if stop.is_stopped() {
                return Ok(End::Stopped);
            }
            if input == Input::Gave {
                voice.ready();
            }
            if let Some(error) = &error {
                holding = None;
                if !voice.was_ready() {
                    return Err(error.clone());
                }
                tracing::info!(source = %self.label, %error, "the device is lost");
            }
            let mut todo = watchman.handle(input, clock::now());
            if presses != outlet.presses() {
                presses = outlet.presses();
                todo.extend(watchman.handle(Input::Press, clock::now()));
            }
            for todo in todo {
                match todo {
                    Do::Silent => voice.lost(AvError::TimedOut { path: self.label.clone(), limit: SAID }.into()),
                    Do::Lost => voice.lost(error.clone().unwrap_or_else(|| CaptureError::Stopped(self.label.clone()))),
                    // Said by `ready`.
                    Do::Back => {}
                    Do::Open => holding = Some(self.hold(clock, outlet, stop)?),
                    Do::Cancel => {
                        if let Some(holding) = &holding {
                            holding.held.watch.cancel();
                        }
                    }
                }
            }
        }
    }

    fn first_limit(&self) -> Duration {
        LIMIT + Duration::from_secs(1)
    }
}
