//! Slates: what viewers see in place of the publisher's picture, as loops of compressed frames.

mod draw;
pub mod format;
pub mod make;
mod source;

use std::sync::Arc;

use bytes::Bytes;
use mujian_media::frame::VideoConfig;
use mujian_media::time::MediaTime;

pub use source::SlateSource;

/// Which slate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum SlateKind {
    /// 请稍候 / One moment: the publisher is lost, away or covered.
    Moment,
    /// 声音还在 / Sound only: the picture is missing while the sound goes on.
    SoundOnly,
}

impl SlateKind {
    /// Its name in arguments and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moment => "moment",
            Self::SoundOnly => "sound-only",
        }
    }
}

/// One picture of a slate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlateFrame {
    /// Decoding can start here.
    pub key: bool,
    /// NAL units behind 4-byte lengths, without parameter sets.
    pub data: Bytes,
}

/// A slate: its first picture is a key frame, it has no B-frames, and after its last picture comes
/// its first.
#[derive(Debug, PartialEq, Eq)]
pub struct SlateLoop {
    /// How it is coded.
    pub config: Arc<VideoConfig>,
    /// How long a picture stands.
    pub frame_duration: MediaTime,
    /// At least one.
    pub frames: Vec<SlateFrame>,
}

/// What a room's stream asks of its slates. One of few forms, so that they can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlateRequest {
    /// Width of the picture in pixels, even.
    pub width: u32,
    /// Height of the picture in pixels, even.
    pub height: u32,
    /// Pictures a second: one of [`RATES`].
    pub fps: u32,
}

/// Rates that slates are made in.
pub const RATES: [u32; 8] = [15, 20, 24, 25, 30, 48, 50, 60];
/// Smallest and largest sides of a slate, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

impl Default for SlateRequest {
    fn default() -> Self {
        Self { width: 1280, height: 720, fps: 30 }
    }
}

impl SlateRequest {
    /// The form for a stream: its size, made even and bounded, and the rate nearest to its own.
    #[must_use]
    pub fn for_stream(width: u32, height: u32, frame_duration: MediaTime) -> Self {
        let side = |v: u32| v.clamp(*SIDES.start(), *SIDES.end()) & !1;
        let per_second = MediaTime::PER_SECOND / frame_duration.flicks().max(1);
        let fps = RATES.into_iter().min_by_key(|r| (i64::from(*r) - per_second).abs()).unwrap_or(30);
        Self { width: side(width), height: side(height), fps }
    }
}

/// A slate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SlateError(pub String);

/// Small slates that are part of the program: what serves until better ones are there.
const BUILT_IN: [&[u8]; 2] = [include_bytes!("moment.slate"), include_bytes!("sound_only.slate")];
