//! From what is captured to what is sent: choosing an encoder, pacing, mixing, encoding.

mod feed;
mod inset;
mod line;
mod memory;
mod pacer;
mod pipeline;
mod preview;
pub mod probe;
mod sound;
mod status;
mod video;

pub use feed::{Feed, FeedControl, FeedStats};
pub use line::{Faders, Voicing, Way};
pub use memory::Memory;
pub use pipeline::{LiveSettings, Pipeline};
pub use probe::{Encoders, ProbeCommand, run_probe};
pub use sound::BITRATE as SOUND;
pub use status::PipelineStatus;

use mujian_protocol::EncoderFault;
use mujian_protocol::studio::Preset;

use crate::capture::{CaptureError, Wanted};

/// Why nothing can be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The picture or the sound is not there.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// An encoder failed.
    #[error(transparent)]
    Av(#[from] mujian_av::AvError),
    /// The chosen encoder does not work here.
    #[error("The encoder {name} does not work on this computer. {why} Choose another, or let the program choose.")]
    Unusable {
        /// FFmpeg's name of it.
        name: String,
        /// Why.
        why: EncoderFault,
    },
    /// Not one encoder works.
    #[error(
        "No H.264 encoder works on this computer. Install FFmpeg's libraries with libx264 (Debian and Ubuntu: libavcodec-extra)."
    )]
    NoneWorks,
    /// A stream is already encoded.
    #[error("A broadcast is already running. End it before another begins.")]
    AlreadyLive,
}

/// What a preset stands for: size, rate, and bits a second.
#[must_use]
pub fn preset(preset: Preset) -> (Wanted, u32) {
    let (width, height, fps, kbps) = match preset {
        Preset::P540f30 => (960, 540, 30, 1500),
        Preset::P720f30 => (1280, 720, 30, 2500),
        Preset::P1080f30 => (1920, 1080, 30, 4500),
        Preset::P1080f60 => (1920, 1080, 60, 6000),
    };
    (Wanted { width, height, fps }, kbps * 1000)
}

/// The largest preset that a line of so many bits a second carries with its sound, and a quarter to spare: lines waver.
#[must_use]
pub fn fits(bits: u64) -> Option<Preset> {
    let all = [Preset::P1080f60, Preset::P1080f30, Preset::P720f30, Preset::P540f30];
    all.into_iter().find(|p| u64::from(preset(*p).1 + SOUND) * 4 <= bits * 3)
}

#[cfg(test)]
mod tests;
