//! Packing chunks for the protocols that read a programme. Done once a room, never once a viewer.

use std::ops::Range;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use mujian_media::flv;
use mujian_media::fmp4::{self, Fragment, VideoSample};
use mujian_media::frame::{AudioConfig, AudioFrame, VideoConfig, VideoFrame};
use mujian_media::time::MediaTime;

use super::programme::Chunk;

/// Room for the largest WebSocket frame header that a server sends (RFC 6455, 5.2: no mask).
const WS_HEADER_MAX: usize = 10;

pub(super) fn init_segment(video: &VideoConfig, audio: &AudioConfig) -> Bytes {
    fmp4::init_segment(video, audio)
}

pub(super) fn flv_headers(video: &VideoConfig, audio: &AudioConfig, at: MediaTime) -> Bytes {
    let mut out = BytesMut::new();
    flv::video_config_tag(&mut out, video, at);
    flv::audio_config_tag(&mut out, audio, at);
    out.freeze()
}

/// The tags in order of their times, and where the picture's data lies in them.
pub(super) fn flv_tags(video: Option<&VideoFrame>, audio: &[AudioFrame]) -> (Bytes, Option<Range<usize>>) {
    let size = video.map_or(0, |v| v.data.len() + 32) + audio.iter().map(|a| a.data.len() + 24).sum::<usize>();
    let mut out = BytesMut::with_capacity(size);
    let before = video.map_or(audio.len(), |v| audio.iter().take_while(|a| a.pts < v.dts).count());
    let (first, rest) = audio.split_at(before);
    for frame in first {
        flv::audio_tag(&mut out, frame);
    }
    let picture = video.map(|v| {
        flv::video_tag(&mut out, v);
        // Behind the data lie only the four bytes of the back pointer.
        let end = out.len() - 4;
        end - v.data.len()..end
    });
    for frame in rest {
        flv::audio_tag(&mut out, frame);
    }
    (out.freeze(), picture)
}

/// A message as one unmasked binary frame (RFC 6455, 5.2).
pub(super) fn ws_binary(message: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + WS_HEADER_MAX);
    ws_header(&mut out, message.len());
    out.put_slice(message);
    out.freeze()
}

/// A chunk's fragment as one binary frame, and where the fragment begins in it.
pub(super) fn ws_fragment(chunk: &Chunk) -> (Bytes, usize) {
    let wall = u64::try_from(chunk.wall.millis()).ok().map(Duration::from_millis);
    let fragment = Fragment {
        sequence: (chunk.number & u64::from(u32::MAX)) as u32,
        wall,
        video: chunk.video.as_ref().map(|frame| VideoSample { frame, duration: chunk.video_duration }),
        audio: &chunk.audio,
        sample_rate: chunk.config.audio.sample_rate,
    }
    .write();
    let message = ws_binary(&fragment);
    let head = message.len() - fragment.len();
    (message, head)
}

fn ws_header(out: &mut BytesMut, len: usize) {
    const FINAL_BINARY: u8 = 0x82;
    out.put_u8(FINAL_BINARY);
    match len {
        0..=125 => out.put_u8(len as u8),
        126..=0xFFFF => {
            out.put_u8(126);
            out.put_u16(len as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(len as u64);
        }
    }
}
