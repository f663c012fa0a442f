//! The publishers of the model: how they encode, and what is known of each frame that they captured.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use mujian_media::aac;
use mujian_media::frame::{AudioConfig, VideoConfig};
use mujian_media::time::MediaTime;

use crate::slate::{SlateFrame, SlateLoop, format};

/// How a publisher of the model encodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Real H.264 whose holes can be filled, 30 a second, sound at 48 kHz.
    Plain,
    /// The same with another size and sound at 44.1 kHz, mono.
    Wide,
    /// B pictures, long groups, 44.1 kHz, 25 a second, and nothing that a parser understands.
    Reordered,
    /// The same with key frames 8 s apart, as OBS has them.
    Far,
    /// No sound.
    Mute,
    /// No picture.
    SoundOnly,
}

impl Shape {
    pub(super) fn fixture(self) -> &'static SlateLoop {
        static SMALL: OnceLock<SlateLoop> = OnceLock::new();
        static WIDE: OnceLock<SlateLoop> = OnceLock::new();
        match self {
            Self::Wide => {
                WIDE.get_or_init(|| format::read(Bytes::from_static(include_bytes!("../testdata/wide.slate"))).unwrap())
            }
            _ => SMALL
                .get_or_init(|| format::read(Bytes::from_static(include_bytes!("../testdata/small.slate"))).unwrap()),
        }
    }

    pub(super) fn reorders(self) -> bool {
        matches!(self, Self::Reordered | Self::Far)
    }

    pub(super) fn fps(self) -> u64 {
        if self.reorders() { 25 } else { 30 }
    }

    pub(super) fn group(self) -> u64 {
        match self {
            Self::Reordered => 61,
            Self::Far => 199,
            _ => 30,
        }
    }

    pub(super) fn audio(self) -> AudioConfig {
        match self {
            Self::Wide => aac::make_asc(44_100, 1),
            Self::Reordered | Self::Far => aac::make_asc(44_100, 2),
            _ => aac::make_asc(48_000, 2),
        }
    }

    pub(super) fn video(self) -> Arc<VideoConfig> {
        let config = &self.fixture().config;
        match self {
            // Another configuration to the engine, with parameter sets that do not fit the pictures.
            Self::Reordered | Self::Far => {
                Arc::new(VideoConfig { width: 63, frame_duration: None, ..(**config).clone() })
            }
            _ => Arc::clone(config),
        }
    }

    /// A picture's place in the order of output, relative to its place in the order of decoding, plus 1.
    pub(super) fn composition(self, in_group: u64) -> u64 {
        match self {
            Self::Reordered | Self::Far if in_group == 0 => 1,
            Self::Reordered | Self::Far => [3, 0, 0][((in_group - 1) % 3) as usize],
            _ => 0,
        }
    }
}

/// What is known of a frame that was captured.
#[derive(Clone, Debug)]
pub(super) struct Truth {
    pub(super) captured: u64,
    /// When a key frame of this decoding time is captured; of sound, when it is.
    pub(super) slot: u64,
    /// Captured in an absence, by the word of the app that captured it.
    pub(super) hidden: bool,
    pub(super) session: u64,
    /// Of which configuration in which session.
    pub(super) era: u64,
    pub(super) theirs: MediaTime,
    pub(super) key: bool,
    pub(super) config: Arc<VideoConfig>,
    /// The frame before it of the same track that was handed to the stage.
    pub(super) before: Option<usize>,
    /// When it came to the stage.
    pub(super) came: u64,
}

const TAG: &[u8; 4] = b"\x06TAG";

pub(super) fn tagged(slice: &[u8], id: usize) -> Bytes {
    let mut out = BytesMut::new();
    out.put_slice(slice);
    out.put_u32(12);
    out.put_slice(TAG);
    out.put_u64(id as u64);
    out.freeze()
}

pub(super) fn tag_of(data: &[u8]) -> Option<usize> {
    let tail = data.len().checked_sub(12)?;
    (&data[tail..tail + 4] == TAG).then(|| u64::from_be_bytes(data[tail + 4..].try_into().unwrap()) as usize)
}

pub(super) fn slate(size: u32, fps: u32, frames: usize) -> Arc<SlateLoop> {
    let base = Shape::Plain.fixture();
    let config = VideoConfig { width: size, height: size, ..(*base.config).clone() };
    let frame = |i| SlateFrame { key: i == 0, data: Bytes::from(format!("\0\0\0\x09\x05slate{i:03}").into_bytes()) };
    Arc::new(SlateLoop {
        config: Arc::new(config),
        frame_duration: MediaTime::from_scale(1, fps),
        frames: (0..frames).map(frame).collect(),
        tape: None,
    })
}
