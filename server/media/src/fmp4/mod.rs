//! Fragmented MP4 as media source extensions take it (ISO/IEC 14496-12 and -15).
//!
//! Track 1 is H.264 at 90,000 units a second, track 2 is AAC-LC in samples. Every fragment is one
//! `moof` and one `mdat`, with both tracks in it, so that a fragment can go out for each frame.
//! A [`Part`] is the same with many frames, for HLS and recordings; a [`Movie`] is a plain file to keep.

mod boxes;
mod fragment;
mod init;
mod part;
mod progressive;
mod read;

#[cfg(test)]
mod tests;

pub use self::fragment::{Fragment, VideoSample};
pub use self::init::{codecs_string, init_segment};
pub use self::part::Part;
pub use self::progressive::{Block, Movie, MovieSample};
pub use self::read::{AudioPlace, Places, ReadError, VideoPlace, places};

/// Units a second of the video track.
pub const VIDEO_TIMESCALE: u32 = 90_000;
/// Id of the video track.
pub const VIDEO_TRACK: u32 = 1;
/// Id of the audio track.
pub const AUDIO_TRACK: u32 = 2;
