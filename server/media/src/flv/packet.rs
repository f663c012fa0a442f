//! One payload of video or sound: what it says it is, and where its data lies.

use bytes::{Buf, Bytes};

use mujian_protocol::Problem;

use super::FlvError;

/// A video payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VideoPacket {
    /// The AVCDecoderConfigurationRecord.
    SequenceHeader(Bytes),
    /// A coded picture.
    Frame {
        /// PTS minus DTS in milliseconds.
        composition_ms: i32,
        /// NAL units behind lengths.
        data: Bytes,
    },
    /// The sequence ended, or a kind of packet that carries no picture.
    Nothing,
}

/// A sound payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AudioPacket {
    /// The AudioSpecificConfig.
    SequenceHeader(Bytes),
    /// One raw AAC frame.
    Frame(Bytes),
    /// The sequence ended, or a kind of packet that carries no sound.
    Nothing,
}

const COMMAND_FRAME: u8 = 5;
const MOD_EX: u8 = 7;

fn u8_of(data: &mut Bytes, what: &'static str) -> Result<u8, FlvError> {
    data.try_get_u8().map_err(|_| FlvError::Bad(what))
}

fn i24_of(data: &mut Bytes) -> Result<i32, FlvError> {
    if data.len() < 3 {
        return Err(FlvError::Bad("a video packet ends in its composition time"));
    }
    let v = data.get_int(3);
    Ok(v as i32)
}

fn fourcc_of(data: &mut Bytes) -> Result<[u8; 4], FlvError> {
    if data.len() < 4 {
        return Err(FlvError::Bad("a packet ends in its codec's name"));
    }
    let mut cc = [0; 4];
    data.copy_to_slice(&mut cc);
    Ok(cc)
}

/// Skips Enhanced RTMP v2's extensions of a packet and gives the packet's type.
fn skip_mod_ex(data: &mut Bytes, mut packet_type: u8) -> Result<u8, FlvError> {
    const CUT: &str = "a packet ends in its extension";
    while packet_type == MOD_EX {
        let mut size = usize::from(u8_of(data, CUT)?) + 1;
        if size == 256 {
            size = usize::from(data.try_get_u16().map_err(|_| FlvError::Bad(CUT))?) + 1;
        }
        if data.len() < size {
            return Err(FlvError::Bad(CUT));
        }
        data.advance(size);
        packet_type = u8_of(data, CUT)? & 0x0F;
    }
    Ok(packet_type)
}

/// Reads a video payload (E.4.3, and Enhanced RTMP's ExVideoTagHeader).
///
/// # Errors
/// [`FlvError::Unsupported`] names a codec that is not taken; [`FlvError::Bad`] is a payload cut short.
pub fn parse_video(mut data: Bytes) -> Result<VideoPacket, FlvError> {
    let first = u8_of(&mut data, "a video packet is empty")?;
    if first & 0x80 != 0 {
        return parse_video_extended(data, first);
    }
    let frame_type = first >> 4;
    if frame_type == COMMAND_FRAME {
        return Ok(VideoPacket::Nothing);
    }
    match first & 0x0F {
        7 => {}
        codec => return Err(FlvError::video_codec(video_codec_name(codec))),
    }
    let packet_type = u8_of(&mut data, "a video packet ends in its header")?;
    match packet_type {
        0 => {
            i24_of(&mut data)?;
            Ok(VideoPacket::SequenceHeader(data))
        }
        1 => Ok(VideoPacket::Frame { composition_ms: i24_of(&mut data)?, data }),
        2 => Ok(VideoPacket::Nothing),
        _ => Err(FlvError::Bad("a video packet is of a type that does not exist")),
    }
}

fn parse_video_extended(mut data: Bytes, first: u8) -> Result<VideoPacket, FlvError> {
    let packet_type = skip_mod_ex(&mut data, first & 0x0F)?;
    let frame_type = (first >> 4) & 0x07;
    if packet_type != 4 && frame_type == COMMAND_FRAME {
        return Ok(VideoPacket::Nothing);
    }
    if packet_type == 6 {
        return Err(FlvError::not_taken(
            Problem::VideoTracks,
            "The stream carries several video tracks, which this server does not take. \
             Turn multitrack video off (in OBS: Settings, Stream) and start again.",
        ));
    }
    let codec = fourcc_of(&mut data)?;
    if &codec != b"avc1" {
        return Err(FlvError::video_codec(&fourcc_name(codec)));
    }
    match packet_type {
        0 => Ok(VideoPacket::SequenceHeader(data)),
        1 => Ok(VideoPacket::Frame { composition_ms: i24_of(&mut data)?, data }),
        3 => Ok(VideoPacket::Frame { composition_ms: 0, data }),
        2 | 4 | 5 => Ok(VideoPacket::Nothing),
        _ => Err(FlvError::Bad("a video packet is of a type that does not exist")),
    }
}

/// Reads a sound payload (E.4.2, and Enhanced RTMP's ExAudioTagHeader).
///
/// # Errors
/// [`FlvError::Unsupported`] names a codec that is not taken; [`FlvError::Bad`] is a payload cut short.
pub fn parse_audio(mut data: Bytes) -> Result<AudioPacket, FlvError> {
    let first = u8_of(&mut data, "a sound packet is empty")?;
    match first >> 4 {
        10 => match u8_of(&mut data, "a sound packet ends in its header")? {
            0 => Ok(AudioPacket::SequenceHeader(data)),
            1 => Ok(AudioPacket::Frame(data)),
            _ => Err(FlvError::Bad("a sound packet is of a type that does not exist")),
        },
        9 => parse_audio_extended(data, first),
        format => Err(FlvError::audio_codec(audio_codec_name(format))),
    }
}

fn parse_audio_extended(mut data: Bytes, first: u8) -> Result<AudioPacket, FlvError> {
    let packet_type = skip_mod_ex(&mut data, first & 0x0F)?;
    if packet_type == 5 {
        return Err(FlvError::not_taken(
            Problem::SoundTracks,
            "The stream carries several sound tracks, which this server does not take. \
             Leave only one audio track on (in OBS: Settings, Output, Audio Track) and start again.",
        ));
    }
    let codec = fourcc_of(&mut data)?;
    if &codec != b"mp4a" {
        return Err(FlvError::audio_codec(&fourcc_name(codec)));
    }
    match packet_type {
        0 => Ok(AudioPacket::SequenceHeader(data)),
        1 => Ok(AudioPacket::Frame(data)),
        2 | 4 => Ok(AudioPacket::Nothing),
        _ => Err(FlvError::Bad("a sound packet is of a type that does not exist")),
    }
}

fn video_codec_name(id: u8) -> &'static str {
    match id {
        2 => "Sorenson H.263",
        3 | 6 => "Screen Video",
        4 | 5 => "VP6",
        8 => "H.263",
        9 => "MPEG-4 part 2",
        12 => "HEVC (H.265)",
        13 => "AV1",
        _ => "something unknown",
    }
}

fn audio_codec_name(id: u8) -> &'static str {
    match id {
        0 | 3 => "PCM",
        1 => "ADPCM",
        2 | 14 => "MP3",
        4..=6 => "Nellymoser",
        7 | 8 => "G.711",
        11 => "Speex",
        13 => "Opus",
        _ => "something unknown",
    }
}

fn fourcc_name(code: [u8; 4]) -> String {
    let known = match &code {
        b"hvc1" | b"hev1" => "HEVC (H.265)",
        b"vvc1" => "VVC (H.266)",
        b"av01" => "AV1",
        b"vp08" => "VP8",
        b"vp09" => "VP9",
        b"Opus" => "Opus",
        b"fLaC" => "FLAC",
        b"ac-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b".mp3" => "MP3",
        _ => return format!("\u{201c}{}\u{201d}", code.escape_ascii()),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn video(bytes: &[u8]) -> Result<VideoPacket, FlvError> {
        parse_video(Bytes::copy_from_slice(bytes))
    }

    fn audio(bytes: &[u8]) -> Result<AudioPacket, FlvError> {
        parse_audio(Bytes::copy_from_slice(bytes))
    }

    fn frame(composition_ms: i32, data: &'static [u8]) -> VideoPacket {
        VideoPacket::Frame { composition_ms, data: Bytes::from_static(data) }
    }

    #[test]
    fn legacy_avc() {
        assert_eq!(video(&[0x17, 0, 0, 0, 0, 1, 2]), Ok(VideoPacket::SequenceHeader(Bytes::from_static(&[1, 2]))));
        assert_eq!(video(&[0x27, 1, 0, 0, 80, 9]), Ok(frame(80, &[9])));
        assert_eq!(video(&[0x27, 1, 0xFF, 0xFF, 0xFF, 9]), Ok(frame(-1, &[9])));
        assert_eq!(video(&[0x17, 2, 0, 0, 0]), Ok(VideoPacket::Nothing));
        assert_eq!(video(&[0x57, 0]), Ok(VideoPacket::Nothing));
    }

    #[test]
    fn enhanced_avc() {
        assert_eq!(video(b"\x90avc1\x01"), Ok(VideoPacket::SequenceHeader(Bytes::from_static(&[1]))));
        assert_eq!(video(b"\xA1avc1\x00\x00\x21x"), Ok(frame(33, b"x")));
        assert_eq!(video(b"\xA3avc1x"), Ok(frame(0, b"x")));
        // A nanosecond offset (three bytes) before the packet, then a long extension.
        assert_eq!(video(b"\xA7\x02\x00\x00\x05\x03avc1x"), Ok(frame(0, b"x")));
        let mut long = vec![0xA7, 0xFF, 0x01, 0x00];
        long.extend([0; 257]);
        long.extend(b"\x03avc1x");
        assert_eq!(video(&long), Ok(frame(0, b"x")));
    }

    #[test]
    fn other_codecs_are_named() {
        for (bytes, name) in [
            (&b"\x90hvc1\x01"[..], "HEVC"),
            (b"\x90av01\x01", "AV1"),
            (b"\x90vp09\x01", "VP9"),
            (b"\x1C\x00\x00\x00\x00", "HEVC"),
            (b"\x12\x00", "Sorenson"),
            (b"\x90\x00\xff\"!\x01", "\\x00\\xff"),
        ] {
            let e = video(bytes).unwrap_err();
            assert!(!e.is_survivable());
            assert!(e.to_string().contains(name) && e.to_string().contains("H.264"), "{e}");
        }
        for (bytes, name) in [(&b"\x90Opus\x01"[..], "Opus"), (b"\x2F\x00", "MP3"), (b"\xB2\x00", "Speex")] {
            let e = audio(bytes).unwrap_err();
            assert!(!e.is_survivable());
            assert!(e.to_string().contains(name) && e.to_string().contains("AAC"), "{e}");
        }
    }

    #[test]
    fn aac() {
        assert_eq!(audio(&[0xAF, 0, 0x11, 0x90]), Ok(AudioPacket::SequenceHeader(Bytes::from_static(&[0x11, 0x90]))));
        assert_eq!(audio(&[0xAF, 1, 7]), Ok(AudioPacket::Frame(Bytes::from_static(&[7]))));
        assert_eq!(audio(b"\x90mp4a\x11\x90"), Ok(AudioPacket::SequenceHeader(Bytes::from_static(&[0x11, 0x90]))));
        assert_eq!(audio(b"\x91mp4a\x07"), Ok(AudioPacket::Frame(Bytes::from_static(&[7]))));
    }

    #[test]
    fn short_payloads_are_bad_and_survivable() {
        for bytes in [&[][..], &[0x17], &[0x17, 1, 0], &[0x17, 9], &[0x90, b'a'], &[0xA1, b'a', b'v', b'c', b'1', 0]] {
            assert!(video(bytes).unwrap_err().is_survivable(), "{bytes:?}");
        }
        for bytes in [&[][..], &[0xAF], &[0x97, 200, 1], &[0x97, 255, 1], &[0x91, b'm']] {
            assert!(audio(bytes).unwrap_err().is_survivable(), "{bytes:?}");
        }
    }
}
