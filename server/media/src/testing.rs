//! Real streams for the tests of this crate, made and checked by the ffmpeg program.

use std::io::Write;
use std::process::{Command, Stdio};

use bytes::Bytes;

use crate::avc::{self, AccessUnit};
use crate::frame::{VideoConfig, VideoFrame};
use crate::time::MediaTime;

/// Runs ffmpeg on `input` and gives its standard output; anything that it complains about is a failure.
pub(crate) fn ffmpeg(args: &str, input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-threads", "1"])
        .args(args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the ffmpeg program is installed (make setup)");
    let mut stdin = child.stdin.take().expect("piped");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // ffmpeg may stop reading before the end; what it then says is checked below.
        let _ = stdin.write_all(&input);
    });
    let out = child.wait_with_output().expect("ffmpeg runs");
    writer.join().expect("the writer does not panic");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.trim().is_empty(), "ffmpeg {args}: {} {said}", out.status);
    out.stdout
}

/// A coded test picture, access unit by access unit.
pub(crate) struct Encoded {
    pub(crate) config: VideoConfig,
    pub(crate) units: Vec<AccessUnit>,
}

/// Encodes `frames` pictures of 320x176 at 30 frames a second with libx264.
pub(crate) fn encode(frames: u32, x264: &str) -> Encoded {
    encode_source("testsrc2=s=320x176:r=30", frames, x264)
}

/// Encodes `frames` pictures of a lavfi source with libx264.
pub(crate) fn encode_source(source: &str, frames: u32, x264: &str) -> Encoded {
    let args = format!(
        "-f lavfi -i {source} -frames:v {frames} -pix_fmt yuv420p -c:v libx264 -threads 1 {x264} -x264opts aud=1 -f h264 -"
    );
    let stream = ffmpeg(&args, &[]);
    let units = split_at_delimiters(&stream);
    let config =
        avc::config_from_parameter_sets(&units[0].sps[0], &units[0].pps[0]).expect("libx264's configuration is taken");
    Encoded { config, units }
}

/// Cuts a byte stream at its access unit delimiters.
fn split_at_delimiters(stream: &[u8]) -> Vec<AccessUnit> {
    const DELIMITER: [u8; 5] = [0, 0, 0, 1, 9];
    let mut starts: Vec<usize> =
        stream.windows(5).enumerate().filter(|(_, w)| *w == DELIMITER).map(|(at, _)| at).collect();
    starts.push(stream.len());
    starts.windows(2).map(|w| avc::annexb_to_avcc(&stream[w[0]..w[1]]).expect("libx264's frames are taken")).collect()
}

/// Puts access units back into the byte stream format, with the parameter sets before key frames.
pub(crate) fn byte_stream(config: &VideoConfig, units: impl IntoIterator<Item = (bool, Bytes)>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut put = |nals: &[u8]| {
        for nal in avc::nals(nals) {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(nal);
        }
    };
    for (key, data) in units {
        if key {
            put(&avc::in_band_parameter_sets(config));
        }
        put(&data);
    }
    out
}

/// One line with a checksum for each decoded picture of a byte stream.
pub(crate) fn picture_sums(stream: &[u8]) -> Vec<String> {
    sums(&ffmpeg(
        "-xerror -err_detect explode -flags +output_corrupt -f h264 -i - -fps_mode passthrough -f framemd5 -",
        stream,
    ))
}

/// The checksums of ffmpeg's framemd5 format.
pub(crate) fn sums(framemd5: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(framemd5)
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit(',').next().unwrap_or_default().trim().to_owned())
        .collect()
}

/// Frames without reordering, 30 a second.
pub(crate) fn frames(units: &[AccessUnit]) -> Vec<VideoFrame> {
    let frame = MediaTime::from_scale(1, 30);
    let at = |i: usize| frame.times(i as i64);
    units
        .iter()
        .enumerate()
        .map(|(i, unit)| VideoFrame { dts: at(i), pts: at(i), key: unit.key, data: unit.data.clone() })
        .collect()
}
