//! Files of many kinds, made by the real ffmpeg, decoded by ours.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use mujian_av::decode::{Decoded, Reader};
use mujian_av::open::Watch;
use mujian_av::{AvError, sound::Sample};
use mujian_media::time::MediaTime;

struct Contents {
    pictures: Vec<(MediaTime, u32, u32)>,
    sound: Vec<(MediaTime, Vec<Sample>)>,
}

fn read(path: &Path) -> Result<Contents, AvError> {
    let mut reader = Reader::open(path, Arc::new(Watch::default()))?;
    let mut c = Contents { pictures: Vec::new(), sound: Vec::new() };
    while let Some(piece) = reader.read()? {
        match piece {
            Decoded::Picture(p) => c.pictures.push((p.at, p.width(), p.height())),
            Decoded::Sound { at, samples } => c.sound.push((at, samples)),
        }
    }
    Ok(c)
}

fn make(dir: &Path, name: &str, arguments: &str) -> PathBuf {
    let path = dir.join(name);
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(arguments.split_whitespace())
        .arg(&path)
        .output()
        .expect("this test needs the ffmpeg program");
    assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    path
}

const PICTURE: &str = "-f lavfi -i testsrc2=size=320x240:rate=25:duration=2";
const TONE: &str = "-f lavfi -i sine=frequency=1000:sample_rate=44100:duration=2";

fn seconds(c: &Contents) -> f64 {
    c.sound.iter().map(|(_, s)| s.len()).sum::<usize>() as f64 / 48_000.0
}

/// Frequency of the left channel in the middle second, by counting upward crossings.
fn frequency(c: &Contents) -> usize {
    let all: Vec<f32> = c.sound.iter().flat_map(|(_, s)| s.iter().map(|v| v[0])).collect();
    let part = &all[all.len() / 4..][..all.len() / 2];
    part.windows(2).filter(|w| w[0] <= 0.0 && w[1] > 0.0).count() * 48_000 / part.len()
}

#[test]
fn many_kinds_of_files_give_picture_and_sound() {
    let dir = tempfile::tempdir().unwrap();
    let kinds = [
        ("a.webm", "-c:v libvpx -deadline realtime -c:a libopus"),
        ("b.mkv", "-c:v libx264 -preset ultrafast -c:a flac"),
        ("c.mov", "-c:v mpeg4 -c:a pcm_s16be"),
        ("d.mp4", "-c:v libx264 -bf 3 -preset veryfast -c:a aac -ac 6"),
        ("e.ts", "-c:v mpeg2video -c:a mp2"),
        ("f.avi", "-c:v mjpeg -c:a pcm_u8 -ar 11025 -ac 1"),
        ("g.flv", "-c:v flv1 -c:a libmp3lame"),
    ];
    for (name, codecs) in kinds {
        let path = make(dir.path(), name, &format!("{PICTURE} {TONE} {codecs}"));
        let c = read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!((48..=51).contains(&c.pictures.len()), "{name}: {} pictures", c.pictures.len());
        assert!(c.pictures.iter().all(|p| (p.1, p.2) == (320, 240)), "{name}");
        assert!(c.pictures.windows(2).all(|w| w[1].0 > w[0].0), "{name}: pictures out of order");
        assert!(c.pictures[0].0.abs_diff(MediaTime::ZERO) < MediaTime::from_millis(120), "{name}: {:?}", c.pictures[0]);
        assert!((seconds(&c) - 2.0).abs() < 0.15, "{name}: {} s of sound", seconds(&c));
        assert!(frequency(&c).abs_diff(1000) < 12, "{name}: {} Hz", frequency(&c));
    }
}

#[test]
fn files_with_one_track_only_are_fine() {
    let dir = tempfile::tempdir().unwrap();
    let silent = read(&make(dir.path(), "silent.mp4", &format!("{PICTURE} -c:v libx264 -preset ultrafast"))).unwrap();
    assert!(silent.sound.is_empty() && silent.pictures.len() == 50);
    let blind = read(&make(dir.path(), "blind.ogg", &format!("{TONE} -c:a libvorbis"))).unwrap();
    assert!(blind.pictures.is_empty() && seconds(&blind) > 1.9);
    // The cover of an album is no picture that moves.
    let cover = make(dir.path(), "cover.png", "-f lavfi -i color=red:size=64x64 -frames:v 1");
    let music =
        format!("{TONE} -i {} -map 0 -map 1 -c:a libmp3lame -c:v copy -disposition:v attached_pic", cover.display());
    let album = read(&make(dir.path(), "album.mp3", &music)).unwrap();
    assert!(album.pictures.is_empty() && seconds(&album) > 1.9);
}

#[test]
fn a_variable_rate_keeps_its_times() {
    let dir = tempfile::tempdir().unwrap();
    // Every picture but each third: gaps of 40 and 80 ms.
    let path = make(
        dir.path(),
        "v.mkv",
        &format!("{PICTURE} -vf select=mod(n\\,3) -fps_mode vfr -c:v libx264 -preset ultrafast"),
    );
    let c = read(&path).unwrap();
    let gaps: Vec<i64> = c.pictures.windows(2).map(|w| w[1].0.saturating_sub(w[0].0).millis()).collect();
    assert!(gaps.contains(&40) && gaps.contains(&80) && gaps.iter().all(|g| *g == 40 || *g == 80), "{gaps:?}");
}

#[test]
fn bad_files_end_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let error = |path: &Path| read(path).err().unwrap_or_else(|| panic!("{} was taken", path.display()));

    assert!(matches!(error(&at("none.mp4")), AvError::NotFound { .. }));
    assert!(matches!(error(dir.path()), AvError::Folder { .. }));
    std::fs::write(at("empty.mp4"), b"").unwrap();
    assert!(matches!(error(&at("empty.mp4")), AvError::NotMedia { .. }));
    std::fs::write(at("text.mp4"), "This is no film.\n".repeat(2000)).unwrap();
    assert!(matches!(
        error(&at("text.mp4")),
        AvError::NotMedia { .. } | AvError::NoStreams { .. } | AvError::Undecodable { .. }
    ));
    let noise: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(at("noise.bin"), &noise).unwrap();
    let sentence = error(&at("noise.bin")).to_string();
    assert!(sentence.contains("noise.bin") && sentence.ends_with('.'), "{sentence}");

    // Without its index (at the end), an MP4 that was cut short is nothing.
    let whole = make(dir.path(), "whole.mp4", &format!("{PICTURE} {TONE} -c:v libx264 -preset ultrafast -c:a aac"));
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(at("cut.mp4"), &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(error(&at("cut.mp4")), AvError::NotMedia { .. }));

    // A playlist does not make this program fetch from a network, or read other protocols.
    std::fs::write(
        at("list.m3u8"),
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    )
    .unwrap();
    assert!(matches!(
        error(&at("list.m3u8")),
        AvError::NotMedia { .. } | AvError::NoStreams { .. } | AvError::Undecodable { .. }
    ));
}

#[test]
fn a_damaged_or_shortened_stream_plays_as_far_as_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let whole =
        make(dir.path(), "whole.mkv", &format!("{PICTURE} {TONE} -c:v libx264 -preset ultrafast -g 10 -c:a aac"));
    let mut bytes = std::fs::read(&whole).unwrap();
    let cut = dir.path().join("cut.mkv");
    std::fs::write(&cut, &bytes[..bytes.len() / 2]).unwrap();
    let half = read(&cut).unwrap();
    assert!((10..45).contains(&half.pictures.len()), "{}", half.pictures.len());
    // Holes in the middle: what is left plays.
    let n = bytes.len();
    for i in (n / 3..n / 2).step_by(97) {
        bytes[i] ^= 0x5a;
    }
    let damaged = dir.path().join("damaged.mkv");
    std::fs::write(&damaged, &bytes).unwrap();
    assert!(read(&damaged).unwrap().pictures.len() > 10);
}

#[test]
fn reading_can_be_cancelled() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.ts");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // A pipe that somebody holds open and writes nothing to.
    let hold = pipe.clone();
    let writer = std::thread::spawn(move || std::fs::OpenOptions::new().read(true).write(true).open(hold).unwrap());
    let keep = writer.join().unwrap();
    let watch = Arc::new(Watch::default());
    let theirs = Arc::clone(&watch);
    let reader = std::thread::spawn(move || Reader::open(&pipe, theirs).map(|_| ()));
    watch.cancel();
    // Wakes the read that hangs in the kernel, so that FFmpeg asks whether to go on.
    use std::io::Write;
    (&keep).write_all(&[0x47; 188 * 4]).unwrap();
    let result = reader.join().unwrap();
    assert!(result.is_err(), "it opened");
}
