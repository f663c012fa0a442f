//! Making FLV: tags for HTTP-FLV and payloads for RTMP.

use bytes::{BufMut, BytesMut};

use super::{Metadata, TAG_AUDIO, TAG_DATA, TAG_VIDEO};
use crate::amf::{self, Value};
use crate::frame::{AudioConfig, AudioFrame, VideoConfig, VideoFrame};
use crate::time::MediaTime;

/// Bytes of a tag beyond its payload: its header and the size behind it.
pub const TAG_OVERHEAD: usize = 15;
/// Sound payloads of AAC begin so: AAC, 44 kHz, 16 bits, stereo, whatever the stream is (E.4.2.1).
const AAC: u8 = 0xAF;

/// The file header and the empty back pointer behind it (E.2, E.3).
#[must_use]
pub const fn file_header(video: bool, audio: bool) -> [u8; 13] {
    let flags = (audio as u8) << 2 | video as u8;
    [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]
}

/// A time in RTMP's and FLV's milliseconds: 32 bits that wrap after 49.7 days; before 0 is 0.
#[must_use]
pub fn timestamp(t: MediaTime) -> u32 {
    t.millis().max(0) as u32
}

/// The five bytes before a picture's NAL units.
#[must_use]
pub fn video_head(frame: &VideoFrame) -> [u8; 5] {
    let composition = (frame.pts.millis().saturating_sub(frame.dts.millis())).clamp(0, 0x7F_FFFF) as u32;
    let [_, a, b, c] = composition.to_be_bytes();
    [if frame.key { 0x17 } else { 0x27 }, 1, a, b, c]
}

/// The five bytes before an AVCDecoderConfigurationRecord.
pub const VIDEO_CONFIG_HEAD: [u8; 5] = [0x17, 0, 0, 0, 0];
/// The two bytes before an AudioSpecificConfig.
pub const AUDIO_CONFIG_HEAD: [u8; 2] = [AAC, 0];
/// The two bytes before an AAC frame.
pub const AUDIO_HEAD: [u8; 2] = [AAC, 1];

fn tag(out: &mut BytesMut, kind: u8, at: u32, head: &[u8], body: &[u8]) {
    let size = (head.len() + body.len()) as u32 & 0xFF_FFFF;
    let [high, low @ ..] = at.to_be_bytes();
    out.reserve(TAG_OVERHEAD + head.len() + body.len());
    out.put_u8(kind);
    out.put_uint(u64::from(size), 3);
    out.put_slice(&low);
    out.put_u8(high);
    out.put_slice(&[0, 0, 0]);
    out.put_slice(head);
    out.put_slice(body);
    out.put_u32(size + 11);
}

/// Appends a picture. Frames past 16 MiB cannot exist here: ingest bounds them far lower.
pub fn video_tag(out: &mut BytesMut, frame: &VideoFrame) {
    tag(out, TAG_VIDEO, timestamp(frame.dts), &video_head(frame), &frame.data);
}

/// Appends a frame of sound.
pub fn audio_tag(out: &mut BytesMut, frame: &AudioFrame) {
    tag(out, TAG_AUDIO, timestamp(frame.pts), &AUDIO_HEAD, &frame.data);
}

/// Appends the video's sequence header.
pub fn video_config_tag(out: &mut BytesMut, config: &VideoConfig, at: MediaTime) {
    tag(out, TAG_VIDEO, timestamp(at), &VIDEO_CONFIG_HEAD, &config.avcc);
}

/// Appends the sound's sequence header.
pub fn audio_config_tag(out: &mut BytesMut, config: &AudioConfig, at: MediaTime) {
    tag(out, TAG_AUDIO, timestamp(at), &AUDIO_CONFIG_HEAD, &config.asc);
}

/// Appends `onMetaData`.
pub fn metadata_tag(out: &mut BytesMut, metadata: &Metadata, at: MediaTime) {
    let body = amf::encode_all(&[Value::string("onMetaData"), metadata.to_amf()]);
    tag(out, TAG_DATA, timestamp(at), &[], &body);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_tag_byte_for_byte() {
        let frame = VideoFrame {
            dts: MediaTime::from_millis(0x0123_4567),
            pts: MediaTime::from_millis(0x0123_4567 + 40),
            key: true,
            data: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
        };
        let mut out = BytesMut::new();
        video_tag(&mut out, &frame);
        let expected = [9, 0, 0, 10, 0x23, 0x45, 0x67, 0x01, 0, 0, 0, 0x17, 1, 0, 0, 40, 0, 0, 0, 1, 0x65, 0, 0, 0, 21];
        assert_eq!(&out[..], expected);
        assert_eq!(&file_header(true, true)[..5], b"FLV\x01\x05");
    }
}
