//! Lip sync of a captured test card: what the cells of the pictures say against when the beep is heard.
//!
//! Each picture carries the wall time of its capture in its cells, and the beep begins with every wall second. Both
//! are compared with presentation times: how much later the sound is presented than the picture of the same moment.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use mujian_av::testcard::cells;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::figures::{median, slope};
use crate::ffmpeg;

/// Size at which the cells are read.
const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
/// Samples a second of the sound.
const RATE: f64 = 48_000.0;
/// Length of the beep in seconds.
const BEEP: f64 = 0.1;

/// What came out.
#[derive(Clone, Debug)]
pub struct LipSync {
    /// For each beep: seconds into the capture, and milliseconds that the sound is later than the picture.
    pub beeps: Vec<(f64, f64)>,
    /// The median, in milliseconds.
    pub median: f64,
    /// The furthest from zero, in milliseconds.
    pub worst: f64,
    /// How much it changes over the whole capture, in milliseconds, by a straight line through the beeps.
    pub drift: f64,
}

/// Measures a captured file.
///
/// # Errors
///
/// It holds no test card, or ffmpeg cannot decode it.
pub async fn of_file(path: &Path) -> Result<LipSync> {
    Capture::read(path).await?.lip_sync(0)
}

/// The same where a microphone ([`crate::sound::Skewed`]) hears an octave above the card's own tone: of the card, and
/// of the microphone.
///
/// # Errors
///
/// As for [`of_file`].
pub async fn of_both(path: &Path) -> Result<(LipSync, LipSync)> {
    let capture = Capture::read(path).await?;
    // Half a period later a tone cancels itself out.
    Ok((capture.lip_sync(12)?, capture.lip_sync(24)?))
}

/// A captured file, decoded.
struct Capture {
    pictures: Vec<(f64, f64)>,
    first_sound: f64,
    samples: Vec<f32>,
}

impl Capture {
    async fn read(path: &Path) -> Result<Self> {
        let packets = ffmpeg::packets(path).await?;
        let pictures = picture_offsets(path, &packets).await?;
        let first_sound = packets.iter().find(|p| !p.video).context("no sound")?.pts;
        Ok(Self { pictures, first_sound, samples: ffmpeg::samples(path).await? })
    }

    /// Of the tone that is left when the sound is added to itself, so many samples later.
    fn lip_sync(&self, later: usize) -> Result<LipSync> {
        let echo = |index: usize| index.checked_sub(later).filter(|_| later > 0).map_or(0.0, |i| self.samples[i]);
        let samples: Vec<f32> = self.samples.iter().enumerate().map(|(i, s)| s + echo(i)).collect();
        let delay = later as f64 / 2.0 / RATE;
        of_samples(&self.pictures, self.first_sound - delay, &samples)
    }
}

fn of_samples(pictures: &[(f64, f64)], first_sound: f64, samples: &[f32]) -> Result<LipSync> {
    let mut beeps = Vec::new();
    for at in beep_times(samples) {
        let heard = first_sound + at;
        // The pictures around the beep say which wall second it belongs to.
        let near: Vec<f64> =
            pictures.iter().filter(|(pts, _)| (pts - heard).abs() < 1.5).map(|(_, wall)| *wall).collect();
        let Some(offset) = median(&near) else { continue };
        let wall = heard + offset;
        let late = wall - wall.round();
        beeps.push((heard, late * 1000.0));
    }
    if beeps.len() < 3 {
        bail!("only {} beeps in the capture", beeps.len());
    }
    let all: Vec<f64> = beeps.iter().map(|b| b.1).collect();
    let worst = all.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(f64::NAN);
    let span = beeps.last().map_or(0.0, |b| b.0) - beeps.first().map_or(0.0, |b| b.0);
    let drift = slope(&beeps).unwrap_or(0.0) * span;
    Ok(LipSync { median: median(&all).unwrap_or(f64::NAN), worst, drift, beeps })
}

/// When the pictures of a captured file were captured, where their cells can be read: milliseconds of the wall clock.
///
/// # Errors
///
/// It holds no test card, or ffmpeg cannot decode it.
pub async fn captured(path: &Path) -> Result<Vec<f64>> {
    let packets = ffmpeg::packets(path).await?;
    let offsets = picture_offsets(path, &packets).await?;
    Ok(offsets.into_iter().map(|(pts, offset)| ((pts + offset) * 1000.0).round()).collect())
}

/// For each picture whose cells can be read: presentation time, and how much to add for the wall time (seconds).
async fn picture_offsets(path: &Path, packets: &[ffmpeg::Packet]) -> Result<Vec<(f64, f64)>> {
    let mut times: Vec<f64> = packets.iter().filter(|p| p.video).map(|p| p.pts).collect();
    times.sort_by(f64::total_cmp);
    let scale = format!("scale={WIDTH}:{HEIGHT}:flags=area,format=gray");
    let mut decoder = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-an", "-vf", &scale, "-fps_mode", "passthrough", "-f", "rawvideo", "-"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut out = decoder.stdout.take().context("no output")?;
    let mut picture = vec![0; (WIDTH * HEIGHT) as usize];
    let mut offsets = Vec::new();
    for pts in times {
        if out.read_exact(&mut picture).await.is_err() {
            break;
        }
        if let Some(wall) = cells::read(&picture, WIDTH as usize, WIDTH as usize, HEIGHT as usize) {
            offsets.push((pts, wall as f64 / 1000.0 - pts));
        }
    }
    if offsets.len() < 10 {
        bail!("the cells of only {} pictures can be read", offsets.len());
    }
    Ok(offsets)
}

/// Seconds from the first sample at which each beep begins. It is taken from the middle of the beep, between where its
/// power has risen to half and where it has fallen to half, since coding smears both ends alike.
#[must_use]
pub fn beep_times(samples: &[f32]) -> Vec<f64> {
    let hop = 48;
    let window = 240;
    let loud: Vec<f32> = samples.windows(window).step_by(hop).map(crate::tone::rms).collect();
    let top = loud.iter().copied().fold(0.0f32, f32::max);
    if top < 0.01 {
        return Vec::new();
    }
    let half = top / 2.0;
    let centre = |index: usize, before: f32, after: f32| {
        let part = if (after - before).abs() > f32::EPSILON { (half - before) / (after - before) } else { 0.0 };
        ((index as f64 - 1.0 + f64::from(part)) * f64::from(hop as u32) + f64::from(window as u32) / 2.0) / RATE
    };
    let mut beeps = Vec::new();
    let mut rise: Option<f64> = None;
    for (index, pair) in loud.windows(2).enumerate() {
        if pair[0] < half && pair[1] >= half {
            rise = Some(centre(index + 1, pair[0], pair[1]));
        } else if pair[0] >= half && pair[1] < half {
            let fall = centre(index + 1, pair[0], pair[1]);
            if let Some(rise) = rise.take().filter(|rise| (fall - rise - BEEP).abs() < 0.03) {
                beeps.push(f64::midpoint(rise, fall) - BEEP / 2.0);
            }
        }
    }
    beeps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beeps_are_found_within_a_millisecond() {
        let mut samples = vec![0.0f32; 48_000 * 3];
        for second in 0..3 {
            let from = second * 48_000 + 12_345;
            for (n, sample) in samples[from..from + 4800].iter_mut().enumerate() {
                *sample = 0.25 * (std::f32::consts::TAU * 1000.0 * n as f32 / 48_000.0).sin();
            }
        }
        let beeps = beep_times(&samples);
        assert_eq!(beeps.len(), 3);
        for (second, at) in beeps.iter().enumerate() {
            let wanted = second as f64 + 12_345.0 / 48_000.0;
            assert!((at - wanted).abs() < 0.001, "{at} against {wanted}");
        }
    }
}
