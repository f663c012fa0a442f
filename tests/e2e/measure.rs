//! The measurements, measured: a test card with a known error must give that error.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use mujian_av::testcard::{TestCard, beep};
use mujian_media::time::MediaTime;
use mujian_tests::measure::lipsync;
use mujian_tests::process::run;

/// Six seconds of a test card whose sound is late by so many milliseconds, through real encoders, as FLV.
async fn card(folder: &Path, late_ms: i64) -> Result<std::path::PathBuf> {
    const WALL: u64 = 1_763_700_000_400;
    let (raw, pcm, flv) = (folder.join("p.yuv"), folder.join("s.f32"), folder.join("card.flv"));
    let mut card = TestCard::new(640, 360, 0);
    let mut out = std::io::BufWriter::new(std::fs::File::create(&raw)?);
    for frame in 0..180u64 {
        let picture = card.draw(WALL + frame * 1000 / 30, MediaTime::from_scale(i64::try_from(frame)?, 30));
        for (plane, (width, height)) in [(640, 360), (320, 180), (320, 180)].into_iter().enumerate() {
            for row in 0..height {
                out.write_all(&picture.plane(plane)[row * picture.stride(plane)..][..width])?;
            }
        }
    }
    out.flush()?;
    let mut samples = vec![[0.0f32; 2]; 48_000 * 6];
    beep::fill((i64::try_from(WALL)? - late_ms) * 1000, &mut samples);
    let bytes: Vec<u8> = samples.iter().flatten().flat_map(|s| s.to_le_bytes()).collect();
    std::fs::write(&pcm, bytes)?;
    let (raw, pcm, out) = (raw.to_string_lossy(), pcm.to_string_lossy(), flv.to_string_lossy());
    let args = [
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "yuv420p",
        "-s",
        "640x360",
        "-r",
        "30",
        "-i",
        &raw,
        "-f",
        "f32le",
        "-ar",
        "48000",
        "-ac",
        "2",
        "-i",
        &pcm,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-tune",
        "zerolatency",
        "-c:a",
        "aac",
        &out,
    ];
    run("ffmpeg", args, Duration::from_secs(60)).await?;
    Ok(flv)
}

#[tokio::test]
async fn lip_sync_is_measured_to_a_few_milliseconds() -> Result<()> {
    for late in [0, 40, -25] {
        let folder = tempfile::tempdir()?;
        let found = lipsync::of_file(&card(folder.path(), late).await?).await?;
        // ffmpeg's FLV rounds to milliseconds, and starts its sound 1024 samples of priming before the picture.
        assert!((found.median - late as f64).abs() < 3.0, "put in {late} ms, measured {:.2} ms", found.median);
        assert!(found.drift.abs() < 2.0, "{:.2}", found.drift);
    }
    Ok(())
}
