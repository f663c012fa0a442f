use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::aac;
use crate::frame::{AudioFrame, VideoFrame};
use crate::testing;
use crate::time::MediaTime;

/// A box: its kind and content.
struct Found<'a> {
    kind: [u8; 4],
    body: &'a [u8],
}

fn walk(mut data: &[u8]) -> Vec<Found<'_>> {
    let mut found = Vec::new();
    while !data.is_empty() {
        let size = u32_at(data, 0) as usize;
        found.push(Found { kind: data[4..8].try_into().unwrap(), body: &data[8..size] });
        data = &data[size..];
    }
    found
}

fn child<'a>(data: &'a [u8], path: &str) -> &'a [u8] {
    path.split('/').fold(data, |data, kind| {
        walk(data).into_iter().find(|b| b.kind == kind.as_bytes()).unwrap_or_else(|| panic!("no {kind}")).body
    })
}

fn u32_at(data: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(data[at..at + 4].try_into().unwrap())
}

fn u64_at(data: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(data[at..at + 8].try_into().unwrap())
}

fn silence(count: i64) -> Vec<AudioFrame> {
    (0..count)
        .map(|i| AudioFrame { pts: MediaTime::from_scale(1024 * i, 48_000), data: aac::silent_frame(2) })
        .collect()
}

#[test]
fn a_fragment_says_where_its_samples_are() {
    let frame = VideoFrame {
        dts: MediaTime::from_scale(1 << 40, 90_000),
        pts: MediaTime::from_scale((1 << 40) + 6000, 90_000),
        key: false,
        data: Bytes::from_static(b"PICTURE"),
    };
    let audio: Vec<_> = ["SO", "UND"]
        .iter()
        .enumerate()
        .map(|(i, data)| AudioFrame {
            pts: MediaTime::from_scale(1024 * (7 + i as i64), 44_100),
            data: Bytes::from_static(data.as_bytes()),
        })
        .collect();
    let fragment = Fragment {
        sequence: 9,
        wall: Some(Duration::from_millis(1500)),
        video: Some(VideoSample { frame: &frame, duration: MediaTime::from_scale(1, 30) }),
        audio: &audio,
        sample_rate: 44_100,
    };
    let bytes = fragment.write();
    let kinds: Vec<_> = walk(&bytes).iter().map(|b| b.kind).collect();
    assert_eq!(kinds, [*b"prft", *b"moof", *b"mdat"]);

    let prft = child(&bytes, "prft");
    assert_eq!((u32_at(prft, 4), u32_at(prft, 8), u32_at(prft, 12)), (1, 2_208_988_801, 1 << 31));
    assert_eq!(u64_at(prft, 16), 1 << 40);

    let moof = child(&bytes, "moof");
    // Offsets count from the first byte of the moof's header.
    let from_moof = &bytes[8 + prft.len()..];
    assert_eq!(u32_at(child(moof, "mfhd"), 4), 9);
    let tracks: Vec<_> = walk(moof).into_iter().filter(|b| b.kind == *b"traf").collect();
    let (tfdt, trun) = (child(tracks[0].body, "tfdt"), child(tracks[0].body, "trun"));
    assert_eq!((tfdt[0], u64_at(tfdt, 4)), (1, 1 << 40));
    assert_eq!(u32_at(child(tracks[0].body, "tfhd"), 0), 0x02_0000);
    let fields: Vec<_> = (0..trun.len()).step_by(4).map(|at| u32_at(trun, at)).collect();
    assert_eq!(fields[0], 0x0100_0f01);
    assert_eq!((fields[1], fields[3], fields[4], fields[5], fields[6]), (1, 3000, 7, 0x0101_0000, 6000));
    assert!(from_moof[fields[2] as usize..].starts_with(b"PICTURE"));

    let (tfhd, tfdt, trun) =
        (child(tracks[1].body, "tfhd"), child(tracks[1].body, "tfdt"), child(tracks[1].body, "trun"));
    assert_eq!((u32_at(tfhd, 4), u32_at(tfhd, 8), u32_at(tfhd, 12)), (2, 1024, 0x0200_0000));
    assert_eq!(u64_at(tfdt, 4), 7 * 1024);
    assert_eq!((u32_at(trun, 4), u32_at(trun, 12), u32_at(trun, 16)), (2, 2, 3));
    assert_eq!(&from_moof[u32_at(trun, 8) as usize..], b"SOUND");
}

#[test]
fn sound_alone_makes_a_fragment() {
    let audio = silence(2);
    let fragment = Fragment { sequence: 1, wall: None, video: None, audio: &audio, sample_rate: 48_000 };
    let bytes = fragment.write();
    let moof = child(&bytes, "moof");
    assert_eq!(walk(moof).len(), 2);
    let trun = child(moof, "traf/trun");
    assert!(bytes[u32_at(trun, 8) as usize..].starts_with(&aac::silent_frame(2)));
}

#[test]
fn durations_leave_no_hole_by_rounding() {
    // 24,000/1001 frames a second do not fit into 90,000 units.
    let (mut end, step) = (None, MediaTime::from_scale(1001, 24_000));
    for i in 0..200 {
        let dts = step.times(i);
        let frame = VideoFrame { dts, pts: dts, key: true, data: Bytes::from_static(b"x") };
        let video = Some(VideoSample { frame: &frame, duration: step });
        let bytes = Fragment { sequence: 1, wall: None, video, audio: &[], sample_rate: 48_000 }.write();
        let track = child(&bytes, "moof/traf");
        let start = u64_at(child(track, "tfdt"), 4);
        assert!(end.is_none_or(|end| end == start));
        end = Some(start + u64::from(u32_at(child(track, "trun"), 12)));
    }
}

/// The whole chain by a player's means: every picture is bit-exact, times are right, silence is silent.
#[test]
fn ffmpeg_plays_it() {
    let encoded = testing::encode(60, "-profile:v high -tune zerolatency -g 30");
    let frames = testing::frames(&encoded.units);
    for (rate, channels) in [(48_000, 2), (44_100, 1)] {
        let audio_config = aac::make_asc(rate, channels);
        assert_eq!(codecs_string(&encoded.config, &audio_config), "avc1.64000d,mp4a.40.2");
        let mut file = init_segment(&encoded.config, &audio_config).to_vec();
        let mut sound = 0;
        for (i, frame) in frames.iter().enumerate() {
            let mut audio = Vec::new();
            while MediaTime::from_scale(1024 * sound, rate) <= frame.dts {
                audio.push(AudioFrame {
                    pts: MediaTime::from_scale(1024 * sound, rate),
                    data: aac::silent_frame(channels),
                });
                sound += 1;
            }
            let fragment = Fragment {
                sequence: i as u32 + 1,
                wall: Some(Duration::from_secs(1_700_000_000)),
                video: Some(VideoSample { frame, duration: MediaTime::from_scale(1, 30) }),
                audio: &audio,
                sample_rate: rate,
            };
            file.extend_from_slice(&fragment.write());
        }
        let strict = "-xerror -err_detect explode -f mp4 -i -";
        let played = testing::ffmpeg(&format!("{strict} -map 0:v -fps_mode passthrough -f framemd5 -"), &file);
        let original = testing::byte_stream(&encoded.config, encoded.units.iter().map(|u| (u.key, u.data.clone())));
        assert_eq!(testing::sums(&played), testing::picture_sums(&original));
        let times =
            String::from_utf8(testing::ffmpeg(&format!("{strict} -map 0:v -c copy -f framecrc -"), &file)).unwrap();
        let dts: Vec<i64> = times
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split(',').nth(1).unwrap().trim().parse().unwrap())
            .collect();
        assert_eq!(dts, (0..60).map(|i| i * 3000).collect::<Vec<_>>());

        let samples = testing::ffmpeg(&format!("{strict} -map 0:a -f s16le -"), &file);
        assert!(samples.iter().all(|byte| *byte == 0), "silence is digital silence");
        let count = samples.len() / 2 / usize::from(channels);
        assert!((count as i64 - 1024 * sound).abs() <= 1024, "{count} samples of {sound} frames");
    }
}
