//! Where picture and sound come from: camera, screen, media file, test card, microphone, what the computer plays.
//!
//! Everything captured carries the time of its capture on one [`Clock`], not the time at which it
//! arrived. A [`Source`] runs on a thread of its own and hands its pictures and its sound to an
//! [`Outlet`], which drops the oldest pictures when nobody keeps up.

mod clock;
pub mod devices;
mod error;
mod file;
mod gate;
pub mod listen;
mod live;
mod outlet;
mod running;
mod stop;
mod testcard;
pub mod watchman;
#[cfg(target_os = "linux")]
mod window;

pub use clock::Clock;
pub use devices::devices;
pub use error::CaptureError;
pub use file::FileSource;
pub use gate::Gate;
pub use live::{Device, LiveSource, Opened, camera, screen};
pub use outlet::{Hold, Next, Outlet, Pictures, Program, SoundTrack};
pub use running::{Closing, End, Running, Source, SourceEvent, Voice};
pub use stop::Stop;
pub use testcard::TestCardSource;

use mujian_protocol::studio::VideoSource;

/// What a source is asked for: the stream's own size and rate, so that nothing is captured in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
}

/// The source for a choice.
///
/// # Errors
/// A sentence where the choice cannot be served on this system.
pub fn source(choice: &VideoSource, wanted: Wanted) -> Result<Box<dyn Source>, CaptureError> {
    Ok(match choice {
        VideoSource::TestCard => Box::new(TestCardSource::new(wanted)),
        VideoSource::Camera { device } => Box::new(camera(device, wanted)?),
        VideoSource::Screen { device } => Box::new(screen(device, wanted)?),
        VideoSource::Window { device, name } => Box::new(window(device, name, wanted)?),
        VideoSource::File { path, looped } => Box::new(FileSource::new(path.into(), *looped, wanted)),
    })
}

#[cfg(target_os = "linux")]
use window::source as window;

#[cfg(not(target_os = "linux"))]
fn window(_: &str, _: &str, _: Wanted) -> Result<LiveSource, CaptureError> {
    Err(CaptureError::Unsupported("Windows cannot be captured on this system yet; choose the screen.".into()))
}
