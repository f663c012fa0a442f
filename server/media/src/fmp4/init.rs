//! The init segment: `ftyp` and `moov` without samples.

use bytes::{BufMut, Bytes};

use super::boxes::Boxes;
use super::{AUDIO_TRACK, VIDEO_TIMESCALE, VIDEO_TRACK};
use crate::frame::{AudioConfig, VideoConfig};

/// The `codecs` parameter of the MIME type (RFC 6381), such as `avc1.64001f,mp4a.40.2`.
#[must_use]
pub fn codecs_string(video: &VideoConfig, _audio: &AudioConfig) -> String {
    let avc = match video.avcc.get(1..4) {
        Some([profile, constraints, level]) => format!("avc1.{profile:02x}{constraints:02x}{level:02x}"),
        _ => "avc1".into(),
    };
    format!("{avc},mp4a.40.2")
}

/// What a player needs before the first fragment of this configuration.
#[must_use]
pub fn init_segment(video: &VideoConfig, audio: &AudioConfig) -> Bytes {
    let mut b = Boxes::with_capacity(1200 + video.avcc.len());
    b.plain(b"ftyp", |b| {
        b.slice(b"iso6");
        b.u32(0);
        b.slice(b"iso6avc1mp41");
    });
    b.plain(b"moov", |b| {
        b.full(b"mvhd", 0, 0, |b| {
            b.zeros(8);
            b.u32(1000);
            b.u32(0);
            b.u32(0x0001_0000);
            b.u16(0x0100);
            b.zeros(10);
            matrix(b);
            b.zeros(24);
            b.u32(AUDIO_TRACK + 1);
        });
        track(b, &Track::Video(video));
        track(b, &Track::Audio(audio));
        b.plain(b"mvex", |b| {
            for id in [VIDEO_TRACK, AUDIO_TRACK] {
                b.full(b"trex", 0, 0, |b| {
                    b.u32(id);
                    b.u32(1);
                    b.zeros(12);
                });
            }
        });
    });
    b.out.freeze()
}

enum Track<'a> {
    Video(&'a VideoConfig),
    Audio(&'a AudioConfig),
}

pub(super) fn matrix(b: &mut Boxes) {
    for value in [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000] {
        b.u32(value);
    }
}

fn track(b: &mut Boxes, track: &Track<'_>) {
    const ENABLED_IN_MOVIE: u32 = 3;
    const UNDETERMINED: u16 = 0x55c4;
    let (id, timescale, handler, name): (_, _, _, &[u8]) = match track {
        Track::Video(_) => (VIDEO_TRACK, VIDEO_TIMESCALE, b"vide", b"video\0"),
        Track::Audio(audio) => (AUDIO_TRACK, audio.sample_rate, b"soun", b"audio\0"),
    };
    b.plain(b"trak", |b| {
        b.full(b"tkhd", 0, ENABLED_IN_MOVIE, |b| {
            b.zeros(8);
            b.u32(id);
            b.zeros(4 + 4 + 8);
            b.u16(0);
            b.u16(0);
            b.u16(if matches!(track, Track::Audio(_)) { 0x0100 } else { 0 });
            b.u16(0);
            matrix(b);
            let (width, height) = match track {
                Track::Video(video) => (video.width << 16, video.height << 16),
                Track::Audio(_) => (0, 0),
            };
            b.u32(width);
            b.u32(height);
        });
        b.plain(b"mdia", |b| {
            b.full(b"mdhd", 0, 0, |b| {
                b.zeros(8);
                b.u32(timescale);
                b.u32(0);
                b.u16(UNDETERMINED);
                b.u16(0);
            });
            b.full(b"hdlr", 0, 0, |b| {
                b.u32(0);
                b.slice(handler);
                b.zeros(12);
                b.slice(name);
            });
            b.plain(b"minf", |b| {
                match track {
                    Track::Video(_) => b.full(b"vmhd", 0, 1, |b| b.zeros(8)),
                    Track::Audio(_) => b.full(b"smhd", 0, 0, |b| b.zeros(4)),
                }
                b.plain(b"dinf", |b| {
                    b.full(b"dref", 0, 0, |b| {
                        b.u32(1);
                        b.full(b"url ", 0, 1, |_| {});
                    });
                });
                b.plain(b"stbl", |b| {
                    b.full(b"stsd", 0, 0, |b| {
                        b.u32(1);
                        match track {
                            Track::Video(video) => avc1(b, video),
                            Track::Audio(audio) => mp4a(b, audio),
                        }
                    });
                    b.full(b"stts", 0, 0, |b| b.u32(0));
                    b.full(b"stsc", 0, 0, |b| b.u32(0));
                    b.full(b"stsz", 0, 0, |b| b.zeros(8));
                    b.full(b"stco", 0, 0, |b| b.u32(0));
                });
            });
        });
    });
}

pub(super) fn avc1(b: &mut Boxes, video: &VideoConfig) {
    const DPI_72: u32 = 0x0048_0000;
    b.plain(b"avc1", |b| {
        b.zeros(6);
        b.u16(1);
        b.zeros(16);
        // At most avc::MAX_SIDE.
        b.u16(video.width as u16);
        b.u16(video.height as u16);
        b.u32(DPI_72);
        b.u32(DPI_72);
        b.u32(0);
        b.u16(1);
        b.zeros(32);
        b.u16(24);
        b.u16(0xffff);
        b.plain(b"avcC", |b| b.slice(&video.avcc));
    });
}

pub(super) fn mp4a(b: &mut Boxes, audio: &AudioConfig) {
    b.plain(b"mp4a", |b| {
        b.zeros(6);
        b.u16(1);
        b.zeros(8);
        b.u16(audio.channels.into());
        b.u16(16);
        b.u32(0);
        // 16.16; 48,000 is the highest rate that is taken.
        b.u32(audio.sample_rate << 16);
        b.full(b"esds", 0, 0, |b| elementary_stream(b, &audio.asc));
    });
}

/// The ES descriptor (ISO/IEC 14496-1, 7.2.6.5). All lengths are below 128, so one byte each.
fn elementary_stream(b: &mut Boxes, asc: &[u8]) {
    const ES: u8 = 3;
    const DECODER_CONFIG: u8 = 4;
    const DECODER_SPECIFIC: u8 = 5;
    const SYNC_LAYER: u8 = 6;
    const MPEG4_AUDIO: u8 = 0x40;
    const AUDIO_STREAM: u8 = 5 << 2 | 1;
    let specific = asc.len() as u8;
    let decoder = 13 + 2 + specific;
    b.out.put_u8(ES);
    b.out.put_u8(3 + 2 + decoder + 3);
    b.u16(AUDIO_TRACK as u16);
    b.out.put_u8(0);
    b.out.put_u8(DECODER_CONFIG);
    b.out.put_u8(decoder);
    b.out.put_u8(MPEG4_AUDIO);
    b.out.put_u8(AUDIO_STREAM);
    // Size of the decoding buffer and bit rates: not known.
    b.zeros(3 + 4 + 4);
    b.out.put_u8(DECODER_SPECIFIC);
    b.out.put_u8(specific);
    b.slice(asc);
    b.out.put_u8(SYNC_LAYER);
    b.out.put_u8(1);
    b.out.put_u8(2);
}
