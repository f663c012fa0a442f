//! Recording on the streamer's own computer (row A8): what is in the file, whatever happens to the program or the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::flv::Viewer;
use mujian_tests::measure::leave;
use mujian_tests::process::Program;
use mujian_tests::server::{Server, inside_small_disk};
use mujian_tests::{ffmpeg, live, wait};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
const CARD: [&str; 3] = ["--test-card", "--preset", "540p30"];

fn args(folder: &str) -> Vec<&str> {
    [&CARD[..], &["--record", folder]].concat()
}

/// The newest line of that kind.
fn said(program: &Program, kind: &str) -> Option<Value> {
    let lines = program.words();
    let values = lines.lines().rev().filter_map(|l| serde_json::from_str::<Value>(l).ok());
    values.into_iter().find(|v| v["type"] == kind)
}

async fn path_of(program: &Program) -> Result<PathBuf> {
    wait::until("the recording's file", SOON, || async {
        Ok(said(program, "recording").and_then(|v| v["path"].as_str().map(PathBuf::from)))
    })
    .await
}

/// Until so much of it is on the disk, in seconds.
async fn grown(path: &Path, seconds: f64) -> Result<()> {
    wait::until("a longer recording", SOON, || async {
        let last = ffmpeg::packets(path).await?.iter().filter(|p| p.video).map(|p| p.pts).fold(0.0, f64::max);
        Ok((last >= seconds).then_some(()))
    })
    .await
}

/// Neither track steps back, and neither has a hole. A picture that a busy machine left out is nobody's to fill here.
async fn whole(path: &Path) -> Result<()> {
    ffmpeg::decodes(path).await?;
    let packets = ffmpeg::packets(path).await?;
    for video in [true, false] {
        let times: Vec<f64> = packets.iter().filter(|p| p.video == video).map(|p| p.dts).collect();
        ensure!(times.len() > 30, "only {} packets, picture: {video}", times.len());
        for pair in times.windows(2) {
            let most = if video { 0.5 } else { 0.08 };
            ensure!(pair[1] > pair[0] && pair[1] - pair[0] < most, "a jump: {pair:?}, picture: {video}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_is_sent_is_recorded_and_nothing_of_the_time_away() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let folder = tempfile::tempdir()?;
    // A folder that is not there yet.
    let films = folder.path().join("Videos/Mujian");
    let films = films.to_string_lossy();
    let mut program = live::start(&server, &room, &args(&films)).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    let path = path_of(&program).await?;
    grown(&path, 3.0).await?;
    let stay = live::leave(&mut program, SOON).await?;
    server.wait_stage(&room, "away", SOON).await?;
    viewer.more_pictures(60, SOON).await?;
    let back = leave::wall();
    live::back(&program);
    server.wait_stage(&room, "live", SOON).await?;
    viewer.more_pictures(90, SOON).await?;
    program.signal(libc::SIGINT);
    ensure!(program.ended(SOON).await?.success(), "{}", program.words());

    let last = said(&program, "recording").context("no word of it")?;
    assert_eq!(last["running"], false, "{last}");
    assert_eq!(last["bytes"].as_u64(), Some(path.metadata()?.len()), "{last}");
    whole(&path).await?;
    let captured = leave::captured(&path).await?;
    assert!(captured.iter().all(Option::is_some), "only the card is in it, no slate");
    let away = |at: &f64| *at > stay.since as f64 && *at < back;
    let leaked: Vec<f64> = captured.iter().flatten().copied().filter(away).collect();
    assert!(leaked.is_empty(), "captured while away: {leaked:?}, left {} back {back}", stay.since);
    let after = captured.iter().flatten().filter(|at| **at >= back).count();
    assert!(captured.len() - after > 60 && after > 60, "both parts: {} and {after}", captured.len() - after);
    Ok(())
}

#[tokio::test]
async fn a_recording_is_readable_after_the_program_was_killed() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let folder = tempfile::tempdir()?;
    let mut program = live::start(&server, &room, &args(&folder.path().to_string_lossy())).await?;
    let path = path_of(&program).await?;
    grown(&path, 3.0).await?;
    program.signal(libc::SIGKILL);
    program.ended(SOON).await?;
    whole(&path).await?;
    assert!(leave::captured(&path).await?.len() >= 90);
    Ok(())
}

#[tokio::test]
async fn a_line_that_carries_nothing_leaves_no_hole_in_the_recording() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let folder = tempfile::tempdir()?;
    let mut program = live::start(&server, &room, &args(&folder.path().to_string_lossy())).await?;
    let path = path_of(&program).await?;
    grown(&path, 1.0).await?;
    // The server takes nothing any more; then it is gone.
    server.program.signal(libc::SIGSTOP);
    let at = path.metadata()?.len();
    wait::until("that it goes on", SOON, || async { Ok((path.metadata()?.len() > at + 100_000).then_some(())) })
        .await?;
    server.program.signal(libc::SIGKILL);
    let at = path.metadata()?.len();
    wait::until("that it goes on", SOON, || async { Ok((path.metadata()?.len() > at + 100_000).then_some(())) })
        .await?;
    program.signal(libc::SIGKILL);
    program.ended(SOON).await?;
    whole(&path).await?;
    // By the card's own clock: the file's times go on where pictures are missing.
    let shown: Vec<f64> = leave::captured(&path).await?.into_iter().flatten().collect();
    let still = shown.windows(2).map(|w| w[1] - w[0]).fold(0.0, f64::max);
    ensure!(still < 400.0, "a hole of {still:.0} ms");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_ends_the_recording_and_not_the_stream() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let disk = tempfile::tempdir()?;
    let folder = disk.path().to_string_lossy().into_owned();
    let plain = live::command(&server, &room, &args(&folder))?;
    let mut command = inside_small_disk(disk.path(), "size=1m", &plain);
    command.env("MUJIAN_STREAM_KEY", &room.key).env("MUJIAN_DATA", server.data.join("broadcaster"));
    let mut program = live::begin(&server, &room, &mut command).await?;
    program.line("that it is full", SOON, |l| l.contains("\"recording_failed\"")).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(60, SOON).await?;
    // Seen through the program's own eyes: the small disk is its alone.
    let path = path_of(&program).await?;
    let seen = format!("/proc/{}/root{}", program.pid().context("it ended")?, path.display());
    let copy = tempfile::Builder::new().suffix(".mp4").tempfile()?;
    std::fs::copy(&seen, copy.path())?;
    whole(copy.path()).await?;
    program.signal(libc::SIGINT);
    ensure!(program.ended(SOON).await?.success(), "{}", program.words());
    Ok(())
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_and_the_stream_goes_on() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut program = live::start(&server, &room, &args("/proc/nowhere")).await?;
    program.line("that it is refused", SOON, |l| l.contains("\"recording_failed\"")).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(60, SOON).await
}
