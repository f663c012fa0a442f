//! The real ffmpeg: as a publisher like any other, and as an independent judge of what comes out.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::process::{Program, run};

/// What ffmpeg publishes.
#[derive(Clone, Debug)]
pub struct Publish {
    /// Picture as `lavfi` names it.
    pub picture: String,
    /// Sound as `lavfi` names it; none: no sound at all.
    pub sound: Option<String>,
    /// Options of the encoders.
    pub coding: Vec<String>,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Default for Publish {
    /// 640 x 360, 30 a second, a tone of 1 kHz at 48 kHz; a key frame every second.
    fn default() -> Self {
        Self {
            picture: "testsrc2=size=640x360:rate=30".into(),
            sound: Some("sine=frequency=1000:sample_rate=48000".into()),
            coding: words(
                "-c:v libx264 -preset ultrafast -tune zerolatency -g 30 -pix_fmt yuv420p -b:v 800k -c:a aac -ac 2 -b:a 96k",
            ),
        }
    }
}

impl Publish {
    /// As OBS Studio does by default: B-frames, 44.1 kHz, key frames far apart.
    #[must_use]
    pub fn like_obs() -> Self {
        Self {
            picture: "testsrc2=size=640x360:rate=30".into(),
            sound: Some("sine=frequency=1000:sample_rate=44100".into()),
            coding: words(
                "-c:v libx264 -preset veryfast -bf 2 -g 150 -keyint_min 150 -sc_threshold 0 -pix_fmt yuv420p -b:v 800k -c:a aac -ar 44100 -ac 2 -b:a 160k",
            ),
        }
    }

    /// Publishes to `url`, paced by the clock, until it is stopped.
    ///
    /// # Errors
    ///
    /// ffmpeg cannot be started.
    pub fn start(&self, url: &str) -> Result<Program> {
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-loglevel", "info", "-nostats", "-re", "-f", "lavfi", "-i", &self.picture]);
        if let Some(sound) = &self.sound {
            command.args(["-re", "-f", "lavfi", "-i", sound]);
        }
        command.args(&self.coding).args(["-f", "flv", url]);
        Program::start(&mut command)
    }
}

/// One packet as ffprobe tells it.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The picture's track, else the sound's.
    pub video: bool,
    /// Decoding time, seconds.
    pub dts: f64,
    /// Presentation time, seconds.
    pub pts: f64,
    /// Decoding can start here.
    pub key: bool,
}

/// Every packet of a file.
///
/// # Errors
///
/// ffprobe cannot read it.
pub async fn packets(path: &Path) -> Result<Vec<Packet>> {
    let file = path.to_string_lossy();
    let args = ["-v", "error", "-show_packets", "-of", "json", &file];
    let out: Value = serde_json::from_slice(&run("ffprobe", args, Duration::from_secs(30)).await?)?;
    let list = out["packets"].as_array().context("no packets")?;
    let number = |packet: &Value, name: &str| packet[name].as_str().and_then(|s| s.parse::<f64>().ok());
    Ok(list
        .iter()
        .filter_map(|packet| {
            let pts = number(packet, "pts_time")?;
            Some(Packet {
                video: packet["codec_type"] == "video",
                dts: number(packet, "dts_time").unwrap_or(pts),
                pts,
                key: packet["flags"].as_str().is_some_and(|f| f.starts_with('K')),
            })
        })
        .collect())
}

/// The height of every picture of a file, in lines, in the order of showing.
///
/// # Errors
///
/// ffprobe cannot decode it.
pub async fn heights(path: &Path) -> Result<Vec<i64>> {
    let file = path.to_string_lossy();
    let args = ["-v", "error", "-select_streams", "v", "-show_entries", "frame=height", "-of", "csv=p=0", &file];
    let out = String::from_utf8(run("ffprobe", args, Duration::from_secs(60)).await?)?;
    // Lines of their own, empty ones, tell of what comes beside some frames.
    let lines = out.lines().map(|line| line.trim_matches(',')).filter(|line| !line.is_empty());
    lines.map(|line| line.parse().with_context(|| format!("no height: {line}"))).collect()
}

/// What ffprobe says of the streams of a file or an address.
///
/// # Errors
///
/// ffprobe cannot read it within 30 seconds.
pub async fn streams(address: &str) -> Result<Vec<Value>> {
    let args = ["-v", "error", "-show_streams", "-of", "json", address];
    let out: Value = serde_json::from_slice(&run("ffprobe", args, Duration::from_secs(30)).await?)?;
    Ok(out["streams"].as_array().cloned().unwrap_or_default())
}

/// The sound of a file as one channel of samples at 48 kHz, -1 to 1.
///
/// # Errors
///
/// ffmpeg cannot decode it.
pub async fn samples(path: &Path) -> Result<Vec<f32>> {
    let file = path.to_string_lossy();
    let args = ["-v", "error", "-i", &file, "-vn", "-ac", "1", "-ar", "48000", "-f", "f32le", "-"];
    let out = run("ffmpeg", args, Duration::from_secs(60)).await?;
    Ok(out.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// The pictures of a file, small and grey: each `width * height` bytes, with its presentation time in seconds.
///
/// # Errors
///
/// ffmpeg cannot decode it.
pub async fn grey(path: &Path, width: u32, height: u32) -> Result<Vec<Vec<u8>>> {
    let file = path.to_string_lossy();
    let scale = format!("scale={width}:{height}:flags=area,format=gray");
    let args = ["-v", "error", "-i", &file, "-an", "-vf", &scale, "-fps_mode", "passthrough", "-f", "rawvideo", "-"];
    let out = run("ffmpeg", args, Duration::from_secs(120)).await?;
    let size = usize::try_from(width * height)?;
    Ok(out.chunks_exact(size).map(<[u8]>::to_vec).collect())
}

/// A still picture as `r, g, b, a` by the pixel.
///
/// # Errors
///
/// ffmpeg cannot decode it.
pub async fn layer(path: &Path) -> Result<Vec<u8>> {
    let file = path.to_string_lossy();
    let args = ["-v", "error", "-i", &file, "-frames:v", "1", "-pix_fmt", "rgba", "-f", "rawvideo", "-"];
    run("ffmpeg", args, Duration::from_secs(60)).await
}

/// Whether ffmpeg decodes the whole file without a complaint.
///
/// # Errors
///
/// What it complained about.
pub async fn decodes(path: &Path) -> Result<()> {
    let file = path.to_string_lossy();
    let args = ["-v", "error", "-xerror", "-i", &file, "-f", "null", "-"];
    run("ffmpeg", args, Duration::from_secs(120)).await.map(|_| ())
}
