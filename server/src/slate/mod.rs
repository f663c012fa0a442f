//! Slates: what viewers see in place of the publisher's picture, as loops of compressed frames.

mod art;
mod board;
mod draw;
pub mod format;
pub mod make;
mod source;
pub mod tape;

use std::sync::Arc;

use bytes::Bytes;
use mujian_media::frame::VideoConfig;
use mujian_media::time::MediaTime;

pub use art::Theme;
pub use draw::Art;
pub use source::{AwaySlates, SlateFuture, SlateSource};
use tape::Tape;

/// Which slate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum SlateKind {
    /// 请稍候 / One moment: the publisher is lost, away or covered.
    Moment,
    /// 声音还在 / Sound only: the picture is missing while the sound goes on.
    SoundOnly,
    /// The placeholder that was chosen for while the streamer is away.
    Away,
}

impl SlateKind {
    /// Its name in arguments and files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Moment => "moment",
            Self::SoundOnly => "sound-only",
            Self::Away => "away",
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
/// its first. A long one is read from its file while it is played.
#[derive(Debug)]
pub struct SlateLoop {
    /// How it is coded.
    pub config: Arc<VideoConfig>,
    /// How long a picture stands.
    pub frame_duration: MediaTime,
    /// At least one, unless they are on a tape.
    pub frames: Vec<SlateFrame>,
    /// Where they come from instead, and sound.
    pub tape: Option<Arc<Tape>>,
}

impl SlateLoop {
    /// How many pictures it has.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it has at least one")]
    pub fn len(&self) -> usize {
        self.tape.as_ref().map_or(self.frames.len(), |t| t.pictures())
    }

    /// A picture of it. None: there is no such, or the disk was too slow; the first is always there.
    #[must_use]
    pub fn frame(&self, n: usize) -> Option<SlateFrame> {
        match &self.tape {
            Some(tape) => tape.picture(n),
            None => self.frames.get(n).cloned(),
        }
    }

    /// Whether it has sound of its own.
    #[must_use]
    pub fn has_sound(&self) -> bool {
        self.tape.as_ref().is_some_and(|t| t.sounds() > 0)
    }

    /// The sound that belongs `since` its first picture: 1024 samples of AAC-LC, 48 kHz, stereo.
    #[must_use]
    pub fn sound(&self, since: MediaTime) -> Option<Bytes> {
        let step = MediaTime::from_scale(1024, SOUND_RATE).flicks();
        let n = (since.flicks() + step / 2).div_euclid(step);
        self.tape.as_ref()?.sound(usize::try_from(n).ok()?)
    }
}

/// Samples a second of a slate's own sound.
pub const SOUND_RATE: u32 = 48_000;

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
const BUILT_IN: [&[u8]; 3] =
    [include_bytes!("moment.slate"), include_bytes!("sound_only.slate"), include_bytes!("away.slate")];
