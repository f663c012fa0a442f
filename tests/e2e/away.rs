//! The streamer leaves for a while and comes back (issue 3, B3), with our own publisher and the app's window.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use mujian_tests::flv::{SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::measure::lipsync;
use mujian_tests::server::Server;
use mujian_tests::webdriver::Window;
use mujian_tests::{live, wait};

use crate::app::{OnAir, STAGE, wait_stage};

const SOON: Duration = Duration::from_secs(30);

fn wall_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64() * 1000.0)
}

/// When the pictures that a viewer got were captured, in milliseconds of the wall clock.
async fn captured(viewer: &Viewer) -> Result<Vec<f64>> {
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    lipsync::captured(file.path()).await
}

/// Nothing between the press and the return was shown, and something on both sides was.
fn nothing_of_the_time_away(captured: &[f64], left: f64, back: f64) {
    let shown: Vec<f64> = captured.iter().copied().filter(|at| left < *at && *at < back).collect();
    assert!(shown.is_empty(), "captured {:?} ms after the press, and shown", shown.first().map(|at| at - left));
    assert!(captured.iter().any(|at| *at <= left) && captured.iter().any(|at| *at >= back));
}

#[tokio::test]
async fn a_signal_leaves_and_another_comes_back_and_nothing_captured_between_is_shown() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut program = live::start(&server, &room, &["--test-card", "--preset", "540p30"]).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(60, SOON).await?;

    // Whatever was captured after that was captured after the press.
    let left = live::leave(&mut program, SOON).await?.since as f64;
    // The step before, "closing", may be over before the program has come to tell of it.
    let closed = |l: &str| l.contains("\"type\":\"away\"") && l.contains("\"closed\"");
    program.line("that its source is closed", SOON, closed).await?;
    server.wait_stage(&room, "away", SOON).await?;
    viewer.more_pictures(45, SOON).await?;

    let back = wall_ms();
    program.signal(libc::SIGUSR2);
    program.line("that it is back", SOON, |l| l.contains("\"type\":\"back\"")).await?;
    server.wait_stage(&room, "live", SOON).await?;
    viewer.more_pictures(90, SOON).await?;
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    nothing_of_the_time_away(&captured(&viewer).await?, left, back);
    Ok(())
}

const LEAVE: &str = "//button[contains(., 'Leave for a while')]";

/// Presses "leave"; gives a moment after the press.
async fn leave(app: &Window) -> Result<f64> {
    app.click(LEAVE).await?;
    app.wait("document.body.innerText.includes(\"I'm back\")", SOON).await?;
    Ok(wall_ms())
}

#[tokio::test]
async fn the_control_in_the_window_leaves_and_comes_back() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, server, viewer, .. } = on_air;
    let left = leave(&app).await?;
    // The whole window says so, on whichever screen.
    app.wait("document.querySelector('.app').classList.contains('away')", SOON).await?;
    app.wait("document.title.includes('Away')", SOON).await?;
    app.wait("document.body.innerText.includes('Capture stopped')", SOON).await?;
    wait_stage(&server, "away").await?;
    // The streamer sees what the audience sees, without its sound.
    app.wait("document.querySelector('video')?.muted && document.querySelector('video').currentTime > 1", SOON).await?;
    viewer.more_pictures(45, SOON).await?;

    let back = wall_ms();
    app.click("//button[contains(., \"I'm back\")]").await?;
    app.wait("!document.querySelector('.app').classList.contains('away')", SOON).await?;
    wait_stage(&server, "live").await?;
    viewer.more_pictures(90, SOON).await?;
    nothing_of_the_time_away(&captured(&viewer).await?, left, back);

    // The same by the keyboard, from the press's own time.
    app.eval(
        "(dispatchEvent(new KeyboardEvent('keydown', {key: 'L', ctrlKey: true, shiftKey: true, cancelable: true})), true)",
    )
    .await?;
    wait_stage(&server, "away").await?;
    Ok(())
}

#[tokio::test]
async fn a_window_that_is_killed_while_away_is_away_again() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { desk, app, server, viewer, .. } = on_air;
    let left = leave(&app).await?;

    // The window's process is the one that publishes; the server that it hosts lives on.
    let window =
        |words: &[String]| words.first().is_some_and(|w| w.ends_with("/mujian")) && !words.iter().any(|w| w == "host");
    let pids = app.processes(window)?;
    assert!(!pids.is_empty(), "no window");
    for pid in pids {
        // A process of this test's own.
        let _ = std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status()?;
    }
    drop(app);
    let again = desk.open_app().await?;
    again.click(STAGE).await?;
    again.wait("document.body.innerText.includes(\"I'm back\")", SOON).await.context("it is not away")?;
    wait_stage(&server, "away").await?;
    viewer.more_pictures(45, SOON).await?;
    let back = wall_ms();
    again.click("//button[contains(., \"I'm back\")]").await?;
    wait_stage(&server, "live").await?;
    viewer.more_pictures(90, SOON).await?;
    nothing_of_the_time_away(&captured(&viewer).await?, left, back);
    Ok(())
}

#[tokio::test]
async fn a_hosted_server_that_is_killed_while_away_comes_back_with_the_picture_off() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, server, id, viewer: before, .. } = on_air;
    let left = leave(&app).await?;
    wait_stage(&server, "away").await?;
    before.more_pictures(45, SOON).await?;

    let hosts = app.processes(|words| words.get(1).is_some_and(|w| w == "host"))?;
    assert_eq!(hosts.len(), 1, "one server: {hosts:?}");
    mujian_tests::process::kill(hosts[0]);
    // The app starts it again, at the same address.
    wait::until("another server", SOON, || async {
        let now = app.processes(|words| words.get(1).is_some_and(|w| w == "host"))?;
        Ok((now.len() == 1 && now != hosts).then_some(()))
    })
    .await?;
    let after = wait::until("the programme of the next server", SOON, || async {
        Ok(Some(Viewer::open(&format!("{server}/live/{id}.flv")).await?))
    })
    .await?;
    after.more_pictures(45, SOON).await?;
    wait_stage(&server, "away").await?;
    app.wait("document.body.innerText.includes(\"I'm back\")", SOON).await.context("the window forgot")?;

    let back = wall_ms();
    app.click("//button[contains(., \"I'm back\")]").await?;
    wait_stage(&server, "live").await?;
    after.more_pictures(90, SOON).await?;
    after.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    let shown: Vec<f64> = [captured(&before).await?, captured(&after).await?].concat();
    nothing_of_the_time_away(&shown, left, back);
    Ok(())
}
