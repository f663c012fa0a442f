//! Payloads to items and back, and files by the ffmpeg program.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::frame::{AudioFrame, FeedItem, VideoConfig, VideoFrame};
use crate::time::MediaTime;
use crate::{aac, avc};

/// 64x64 at 30 frames a second, high profile, by libx264.
pub(crate) const SPS: &[u8] =
    b"\x67\x64\x00\x0a\xac\xd9\x44\x26\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xf0\x3c\x48\x96\x58";
pub(crate) const PPS: &[u8] = b"\x68\xef\x8f\xcb";
/// The same with another level: another configuration.
pub(crate) const SPS_2: &[u8] =
    b"\x67\x64\x00\x0b\xac\xd9\x44\x26\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xf0\x3c\x48\x96\x58";

pub(crate) fn config() -> VideoConfig {
    avc::config_from_parameter_sets(SPS, PPS).unwrap()
}

fn nals(size: usize, nals: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for n in nals {
        out.extend(&(n.len() as u64).to_be_bytes()[8 - size..]);
        out.extend(*n);
    }
    out
}

fn header(avcc: &[u8]) -> Bytes {
    [&[0x17, 0, 0, 0, 0], avcc].concat().into()
}

fn frame(data: &[u8]) -> Bytes {
    [&[0x27, 1, 0, 0, 40], data].concat().into()
}

fn video(t: &mut Tracks, ms: i64, payload: Bytes) -> Result<Vec<FeedItem>, FlvError> {
    let mut out = Vec::new();
    t.video(MediaTime::from_millis(ms), payload, &mut out).map(|()| out)
}

fn picture(items: &[FeedItem]) -> &VideoFrame {
    match items.last() {
        Some(FeedItem::Video(f)) => f,
        other => panic!("no picture: {other:?}"),
    }
}

#[test]
fn frames_come_out_in_our_form() {
    let mut t = Tracks::default();
    let items = video(&mut t, 0, header(&config().avcc)).unwrap();
    assert_eq!(items, [FeedItem::VideoConfig(Arc::new(config()))]);
    assert!(video(&mut t, 0, header(&config().avcc)).unwrap().is_empty(), "the same again is nothing new");

    let clean = nals(4, &[&[0x65, 1, 2, 3]]);
    let items = video(&mut t, 33, frame(&clean)).unwrap();
    let f = picture(&items);
    assert_eq!((f.dts.millis(), f.pts.millis(), f.key), (33, 73, true));
    assert_eq!(f.data, clean);

    let cluttered = nals(4, &[&[9, 0xF0], SPS, PPS, &[6, 5], &[0x41, 7], &[12, 255, 255], &[]]);
    let items = video(&mut t, 66, frame(&cluttered)).unwrap();
    assert_eq!(items.len(), 1, "known parameter sets are no news");
    assert_eq!(picture(&items).data, nals(4, &[&[6, 5], &[0x41, 7]]));
    assert!(!picture(&items).key);
}

#[test]
fn short_lengths_become_four_bytes() {
    for size in [1u8, 2, 4] {
        let mut avcc = config().avcc.to_vec();
        avcc[4] = avcc[4] & !3 | (size - 1);
        let mut t = Tracks::default();
        let items = video(&mut t, 0, header(&avcc)).unwrap();
        assert_eq!(items, [FeedItem::VideoConfig(Arc::new(config()))]);
        let items = video(&mut t, 0, frame(&nals(usize::from(size), &[&[0x65, 1], &[0x65, 2]]))).unwrap();
        assert_eq!(picture(&items).data, nals(4, &[&[0x65, 1], &[0x65, 2]]));
    }
}

#[test]
fn a_new_configuration_is_told_wherever_it_stands() {
    let second = avc::config_from_parameter_sets(SPS_2, PPS).unwrap();
    // In band, with and without a sequence header before it.
    for with_header in [true, false] {
        let mut t = Tracks::default();
        if with_header {
            video(&mut t, 0, header(&config().avcc)).unwrap();
        }
        let items = video(&mut t, 0, frame(&nals(4, &[SPS_2, PPS, &[0x65, 1]]))).unwrap();
        assert_eq!(items[0], FeedItem::VideoConfig(Arc::new(second.clone())));
        assert_eq!(items.len(), 2);
    }
    // As a sequence header in mid-stream, and back.
    let mut t = Tracks::default();
    for c in [config(), second, config()] {
        assert_eq!(video(&mut t, 0, header(&c.avcc)).unwrap(), [FeedItem::VideoConfig(Arc::new(c))]);
    }
}

#[test]
fn broken_payloads_leave_the_stream_going() {
    let mut t = Tracks::default();
    let early = video(&mut t, 0, frame(&nals(4, &[&[0x65, 1]])));
    assert!(early.unwrap_err().is_survivable());
    video(&mut t, 0, header(&config().avcc)).unwrap();
    for bad in [frame(&[0, 0, 0, 9, 0x65]), frame(&[0, 0]), header(&[]), frame(&nals(4, &[&[0x67, 1]]))] {
        let result = video(&mut t, 0, bad.clone());
        assert!(result.as_ref().is_err_and(FlvError::is_survivable) || bad.len() > 10, "{result:?}");
    }
    assert_eq!(video(&mut t, 0, frame(&[])).unwrap(), []);
    assert_eq!(video(&mut t, 0, frame(&nals(4, &[&[0x65, 1]]))).unwrap().len(), 1);

    let mut out = Vec::new();
    let mut sound = |bytes: &'static [u8]| t.audio(MediaTime::ZERO, Bytes::from_static(bytes), &mut out);
    assert!(sound(&[0xAF, 1, 5]).unwrap_err().is_survivable());
    assert!(sound(&[0xAF, 0]).unwrap_err().is_survivable());
    assert!(sound(&[0xAF, 0, 0x11, 0x90]).is_ok());
    assert!(sound(&[0xAF, 1]).unwrap_err().is_survivable());
    assert!(sound(&[0xAF, 1, 5]).is_ok());
    assert_eq!(out.len(), 2);
}

#[test]
fn parameters_that_are_not_taken_end_it_with_a_sentence() {
    // 22.05 kHz, and a picture configuration that is damaged.
    let mut t = Tracks::default();
    let e = t.audio(MediaTime::ZERO, Bytes::from_static(&[0xAF, 0, 0x13, 0x90]), &mut Vec::new()).unwrap_err();
    assert!(!e.is_survivable() && e.to_string().contains("22050"), "{e}");
    let e = video(&mut t, 0, header(&config().avcc[..12])).unwrap_err();
    assert!(!e.is_survivable() && e.to_string().contains("damaged"), "{e}");
}

fn items() -> impl Strategy<Value = Vec<FeedItem>> {
    let frame = prop_oneof![
        (prop::collection::vec(any::<u8>(), 0..300), any::<bool>(), 0..200i64).prop_map(|(body, key, pts)| {
            let mut data = BytesMut::new();
            data.put_u32(body.len() as u32 + 1);
            data.put_u8(if key { 0x65 } else { 0x41 });
            data.put_slice(&body);
            FeedItem::Video(VideoFrame {
                dts: MediaTime::ZERO,
                pts: MediaTime::from_millis(pts),
                key,
                data: data.freeze(),
            })
        }),
        prop::collection::vec(any::<u8>(), 1..300)
            .prop_map(|d| FeedItem::Audio(AudioFrame { pts: MediaTime::ZERO, data: d.into() })),
    ];
    prop::collection::vec((frame, 0..60i64), 0..30).prop_map(|frames| {
        let mut at = MediaTime::from_millis(5);
        let mut out =
            vec![FeedItem::VideoConfig(Arc::new(config())), FeedItem::AudioConfig(Arc::new(aac::make_asc(48_000, 2)))];
        for (mut item, step) in frames {
            at = at.saturating_add(MediaTime::from_millis(step));
            match &mut item {
                FeedItem::Video(f) => (f.dts, f.pts) = (at, at.saturating_add(f.pts)),
                FeedItem::Audio(f) => f.pts = at,
                _ => {}
            }
            out.push(item);
        }
        out
    })
}

pub(crate) fn any_items() -> impl Strategy<Value = Vec<FeedItem>> {
    items()
}

fn mux(items: &[FeedItem]) -> Vec<u8> {
    let mut out = BytesMut::from(&file_header(true, true)[..]);
    write::metadata_tag(&mut out, &Metadata { width: Some(64.0), ..Metadata::default() }, MediaTime::ZERO);
    for item in items {
        match item {
            FeedItem::VideoConfig(c) => video_config_tag(&mut out, c, MediaTime::ZERO),
            FeedItem::AudioConfig(c) => audio_config_tag(&mut out, c, MediaTime::ZERO),
            FeedItem::Video(f) => video_tag(&mut out, f),
            FeedItem::Audio(f) => audio_tag(&mut out, f),
            FeedItem::AwayMark { .. } | FeedItem::BackMark { .. } => {}
        }
    }
    out.to_vec()
}

fn demux(bytes: &[u8], cut: usize) -> (Demuxer, Vec<FeedItem>) {
    let mut d = Demuxer::new();
    let mut out = Vec::new();
    for piece in bytes.chunks(cut.max(1)) {
        d.input(piece).unwrap();
        out.extend(std::iter::from_fn(|| d.poll()));
    }
    (d, out)
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(items in items(), cut in 1usize..500) {
        let (d, back) = demux(&mux(&items), cut);
        prop_assert_eq!(back, items);
        prop_assert_eq!(d.skipped(), 0);
        prop_assert_eq!(d.metadata().and_then(|m| m.width), Some(64.0));
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut d = Demuxer::new();
        let _ = d.input(b"FLV\x01\x05\0\0\0\x09\0\0\0\0");
        let _ = d.input(&bytes);
    }
}

#[test]
fn a_file_by_ffmpeg_is_read_with_its_b_frames() {
    let file = crate::testing::ffmpeg(
        "-f lavfi -i testsrc2=s=64x64:r=30 -f lavfi -i sine=r=44100 -t 1 -pix_fmt yuv420p -c:v libx264 \
         -preset veryfast -bf 2 -g 15 -c:a aac -ac 1 -f flv -flvflags no_duration_filesize -",
        &[],
    );
    let (d, items) = demux(&file, 777);
    let frames: Vec<_> = items.iter().filter_map(|i| if let FeedItem::Video(f) = i { Some(f) } else { None }).collect();
    let sound = items.iter().filter(|i| matches!(i, FeedItem::Audio(_))).count();
    assert_eq!((frames.len(), d.skipped()), (30, 0));
    assert!(frames[0].key && frames.iter().filter(|f| f.key).count() == 2);
    assert!(frames.windows(2).all(|w| w[0].dts < w[1].dts), "decoding goes forward");
    assert!(frames.windows(2).any(|w| w[0].pts > w[1].pts), "there are B-frames");
    assert!((43..=45).contains(&sound), "{sound}");
    let config = items.iter().find_map(|i| if let FeedItem::AudioConfig(c) = i { Some(c) } else { None }).unwrap();
    assert_eq!((config.sample_rate, config.channels), (44_100, 1));
}

#[test]
fn what_is_no_flv_is_told_so() {
    for bytes in
        [&b"GIF89a"[..], b"FLV\x01\x05\xFF\xFF\xFF\xFF", b"FLV\x01\x05\0\0\0\x09\0\0\0\0\x09\xFF\xFF\xFF\0\0\0\0\0\0\0"]
    {
        assert!(Demuxer::new().input(bytes).is_err(), "{bytes:?}");
    }
}
