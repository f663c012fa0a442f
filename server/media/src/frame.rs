//! The one internal unit of media. Protocols exist only at the edges and turn into this.

use std::sync::Arc;

use bytes::Bytes;
use mujian_protocol::LeaveId;

use crate::time::MediaTime;

/// What a decoder of H.264 must know before the first frame.
///
/// Two configurations are the same when their `avcc` bytes are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoConfig {
    /// The AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). NAL lengths are 4 bytes.
    pub avcc: Bytes,
    /// Width of the shown picture in pixels, cropping applied.
    pub width: u32,
    /// Height of the shown picture in pixels, cropping applied.
    pub height: u32,
    /// Duration of a frame as the SPS's timing information tells it, where it does.
    pub frame_duration: Option<MediaTime>,
}

/// What a decoder of AAC-LC must know before the first frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioConfig {
    /// The AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1).
    pub asc: Bytes,
    /// Samples a second: 44,100 or 48,000.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

/// One coded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoFrame {
    /// When it is decoded.
    pub dts: MediaTime,
    /// When it is shown; never before `dts`.
    pub pts: MediaTime,
    /// Decoding can start here (an IDR picture).
    pub key: bool,
    /// The access unit: NAL units, each behind a 4-byte big-endian length; no parameter sets.
    pub data: Bytes,
}

/// One AAC-LC frame of 1024 samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioFrame {
    /// When its first sample is heard.
    pub pts: MediaTime,
    /// The raw data block, without an ADTS header.
    pub data: Bytes,
}

/// What a publisher feeds into a room's stage, in order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    /// The video that follows is coded like this.
    VideoConfig(Arc<VideoConfig>),
    /// The audio that follows is coded like this.
    AudioConfig(Arc<AudioConfig>),
    /// A picture.
    Video(VideoFrame),
    /// Sound.
    Audio(AudioFrame),
    /// The streamer left (CN113259693A, \[0127\]): nothing that comes after this may be shown.
    AwayMark {
        /// The absence that begins.
        leave_id: LeaveId,
        /// The last permitted time, on the publisher's timeline: what came before this mark and is of a
        /// later time, wherever it waits, may not be shown either.
        last: MediaTime,
        /// The sound goes on.
        keep_sound: bool,
    },
    /// The streamer is back: everything that comes after this was captured after that.
    BackMark {
        /// The absence that is over.
        leave_id: LeaveId,
    },
}

impl FeedItem {
    /// Whether it says what the streamer does, rather than being media.
    #[must_use]
    pub fn is_mark(&self) -> bool {
        matches!(self, Self::AwayMark { .. } | Self::BackMark { .. })
    }
}

impl AudioConfig {
    /// Duration of one frame of 1024 samples.
    #[must_use]
    pub fn frame_duration(&self) -> MediaTime {
        MediaTime::from_scale(1024, self.sample_rate)
    }
}
