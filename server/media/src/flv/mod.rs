//! FLV (Adobe, "Video File Format Specification", version 10.1, annex E) and Enhanced RTMP's
//! signalling (Veovera, "Enhanced RTMP", v2): the payload that RTMP messages and HTTP-FLV share.
//!
//! [`packet`] reads one payload, [`Tracks`] turns payloads into [`FeedItem`](crate::frame::FeedItem)s,
//! [`Demuxer`] reads whole files, [`write`] makes tags.

pub(crate) mod clock;
mod demux;
mod metadata;
pub mod packet;
#[cfg(test)]
pub(crate) mod tests;
mod tracks;
pub mod write;

use mujian_protocol::Problem;

pub use demux::Demuxer;
pub use metadata::Metadata;
pub use tracks::Tracks;
pub use write::{audio_config_tag, audio_tag, file_header, video_config_tag, video_tag};

/// Tag type of sound, in FLV and as RTMP's message type.
pub const TAG_AUDIO: u8 = 8;
/// Tag type of video, in FLV and as RTMP's message type.
pub const TAG_VIDEO: u8 = 9;
/// Tag type of data in AMF0, in FLV and as RTMP's message type.
pub const TAG_DATA: u8 = 18;

/// A codec, or its parameters, that are not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct NotTaken {
    /// For the publisher, whose program shows it as it is.
    pub sentence: String,
    /// The same, for the room's owner.
    pub problem: Problem,
}

/// An FLV payload that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlvError {
    /// The publisher's codec, or its parameters, are not taken: the stream cannot go on.
    #[error(transparent)]
    Unsupported(#[from] NotTaken),
    /// One payload is broken. The stream can go on without it.
    #[error("{0}")]
    Bad(&'static str),
    /// The bytes are no FLV file.
    #[error("this is not an FLV stream: {0}")]
    NotFlv(&'static str),
}

impl FlvError {
    /// Whether the stream can go on after this payload was left out.
    #[must_use]
    pub fn is_survivable(&self) -> bool {
        matches!(self, Self::Bad(_))
    }

    pub(crate) fn not_taken(problem: Problem, sentence: impl Into<String>) -> Self {
        Self::Unsupported(NotTaken { sentence: sentence.into(), problem })
    }

    pub(crate) fn video_codec(name: &str) -> Self {
        Self::not_taken(
            Problem::VideoCodec { codec: name.to_owned() },
            format!(
                "The video is coded as {name}, which this server does not take. Choose an H.264 encoder \
             (in OBS: Settings, Output, Video Encoder, x264 or any H.264 one) and start again."
            ),
        )
    }

    pub(crate) fn audio_codec(name: &str) -> Self {
        Self::not_taken(
            Problem::SoundCodec { codec: name.to_owned() },
            format!(
                "The sound is coded as {name}, which this server does not take. Choose AAC \
             (in OBS: Settings, Output, Audio Encoder) and start again."
            ),
        )
    }
}
