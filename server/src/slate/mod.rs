//! Slates: what viewers see in place of the publisher's picture, as loops of compressed frames.

use std::sync::Arc;

use bytes::Bytes;
use mujian_media::frame::VideoConfig;
use mujian_media::time::MediaTime;

/// Which slate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SlateKind {
    /// 请稍候 / One moment: the publisher is lost, away or covered.
    Moment,
    /// 声音还在 / Sound only: the picture is missing while the sound goes on.
    SoundOnly,
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

/// What a room's stream asks of its slates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlateRequest {
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// How long a picture stands.
    pub frame_duration: MediaTime,
}

/// A slate could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SlateError(pub String);

/// Where stages get their slates from. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct SlateSource;

impl SlateSource {
    /// A slate of just this form, made if there is none yet.
    ///
    /// # Errors
    /// It could not be made.
    pub async fn exact(&self, _kind: SlateKind, request: SlateRequest) -> Result<Arc<SlateLoop>, SlateError> {
        Err(SlateError(format!("no slate of {}x{} yet", request.width, request.height)))
    }
}
