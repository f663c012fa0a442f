//! Cameras and screens, through libavdevice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mujian_av::device::{DeviceRequest, LivePictures};
use mujian_av::open::Watch;
use mujian_av::{AvError, Picture};
use mujian_media::time::MediaTime;

use super::{CaptureError, Clock, End, Outlet, Source, Stop, Voice, Wanted};

/// Longest time from one picture of a device to the next.
const LIMIT: Duration = Duration::from_secs(5);

/// Between attempts to get a lost device back.
const RETRY: Duration = Duration::from_secs(1);

/// One way to open a device: libavdevice's format and its options.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Attempt {
    format: &'static str,
    url: String,
    options: Vec<(&'static str, String)>,
}

/// A camera or a screen.
pub struct LiveSource {
    label: String,
    /// The best first; the next is tried where a device does not do that size or rate.
    attempts: Vec<Attempt>,
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
    Ok(LiveSource { label, attempts })
}

/// The screen with this id: an X display as `:0`, or a screen's number on other systems.
///
/// # Errors
/// [`CaptureError::Wayland`], [`CaptureError::NoDisplay`] or [`CaptureError::Unsupported`].
pub fn screen(device: &str, wanted: Wanted) -> Result<LiveSource, CaptureError> {
    let rate = ("framerate", wanted.fps.to_string());
    let attempt = if cfg!(target_os = "linux") {
        super::devices::screen_allowed(device)?;
        Attempt { format: "x11grab", url: device.to_owned(), options: vec![rate] }
    } else if cfg!(target_os = "macos") {
        let url = format!("Capture screen {device}:none");
        Attempt { format: "avfoundation", url, options: vec![rate, ("capture_cursor", "1".into())] }
    } else if cfg!(target_os = "windows") {
        Attempt { format: "gdigrab", url: "desktop".into(), options: vec![rate] }
    } else {
        return Err(CaptureError::Unsupported("Screens cannot be captured on this system yet.".into()));
    };
    Ok(LiveSource { label: format!("the screen {device}"), attempts: vec![attempt] })
}

impl LiveSource {
    /// Captures until asked to stop.
    fn capture(&self, clock: Clock, outlet: &Outlet, stop: &Stop, voice: &Voice<'_>) -> Result<(), CaptureError> {
        let mut live = self.open(&Arc::new(Watch::default()))?;
        while !stop.is_stopped() {
            let (frame, age) = live.read()?;
            let at = clock.now().saturating_sub(MediaTime::from_duration(age.unwrap_or_default()));
            outlet.picture(Picture::new(frame, at));
            voice.ready();
        }
        Ok(())
    }

    fn open(&self, watch: &Arc<Watch>) -> Result<LivePictures, CaptureError> {
        let mut last = None;
        for attempt in &self.attempts {
            let options: Vec<(&str, &str)> = attempt.options.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let request = DeviceRequest {
                format: attempt.format,
                url: &attempt.url,
                label: &self.label,
                options: &options,
                limit: LIMIT,
            };
            match LivePictures::open(&request, Arc::clone(watch)) {
                Ok(live) => return Ok(live),
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

impl Source for LiveSource {
    fn label(&self) -> String {
        self.label.clone()
    }

    fn run(&mut self, clock: Clock, outlet: &Outlet, stop: &Stop, voice: &Voice<'_>) -> Result<End, CaptureError> {
        loop {
            match self.capture(clock, outlet, stop, voice) {
                Ok(()) => return Ok(End::Stopped),
                Err(e) if !voice.was_ready() => return Err(e),
                // A cable that was pulled is often put back.
                Err(e) => voice.lost(e),
            }
            if stop.wait_until(Instant::now() + RETRY) {
                return Ok(End::Stopped);
            }
        }
    }

    fn first_limit(&self) -> Duration {
        LIMIT + Duration::from_secs(1)
    }
}
