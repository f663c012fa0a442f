//! The app's real window (rows A1, A4, A7), driven by WebDriver on a screen made of software.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::desk::Desk;
use mujian_tests::flv::{HOLE, SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::hands::{ENTER, Hands};
use mujian_tests::measure::lipsync;
use mujian_tests::process::{Program, ours};
use mujian_tests::webdriver::Window;
use mujian_tests::{ffmpeg, picture, tone, wait};
use serde_json::Value;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(30);
pub(crate) const STAGE: &str = "//a[normalize-space(.) = 'Stage'] | //nav//button[normalize-space(.) = 'Stage']";
pub(crate) const HALL: &str = "//a[contains(., 'Hall')] | //button[contains(., 'Hall')]";
pub(crate) const GO_LIVE: &str = "//button[contains(., 'Go live')]";

/// The first room of a server, as the API tells it.
async fn first_room(server: &str) -> Result<Value> {
    let rooms: Value = reqwest::get(format!("{server}/api/v1/rooms")).await?.json().await?;
    let list = rooms.as_array().or_else(|| rooms["rooms"].as_array()).context("no list")?;
    list.first().cloned().context("no room")
}

pub(crate) async fn wait_stage(server: &str, stage: &str) -> Result<Value> {
    wait::until(&format!("the stage {stage}"), SOON, || async {
        let room = first_room(server).await?;
        anyhow::ensure!(room["stage"] == stage, "the stage is {}", room["stage"]);
        Ok(Some(room))
    })
    .await
}

/// The app's window on air with one click, the server that it hosts, its room, and a viewer who has seen two seconds.
pub(crate) struct OnAir {
    pub(crate) app: Window,
    pub(crate) viewer: Viewer,
    pub(crate) server: String,
    pub(crate) id: String,
    /// After all that is on it.
    pub(crate) desk: Desk,
}

impl OnAir {
    pub(crate) async fn begin() -> Result<Self> {
        let desk = Desk::new().await?;
        let app = desk.open_app().await?;
        // It opens at the studio, with the picture that would go out.
        app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
        app.click(GO_LIVE).await?;
        let server = desk.hosted().await?;
        let room = wait_stage(&server, "live").await?;
        let id = room["id"].as_str().context("no id")?.to_owned();
        let viewer = Viewer::open(&format!("{server}/live/{id}.flv")).await?;
        viewer.more_pictures(60, SOON).await?;
        Ok(Self { app, viewer, server, id, desk })
    }
}

#[tokio::test]
async fn one_click_goes_live_and_the_app_watches_itself() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, viewer, server, id, .. } = &on_air;

    // What goes out is the test card, picture and sound in step.
    viewer.more_pictures(120, SOON).await?;
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let found = lipsync::of_file(file.path()).await?;
    // One beep may fall where a busy machine held the pictures up; the worst is what `make bench` looks at.
    assert!(found.median.abs() < 45.0, "lip sync {:.1} ms", found.median);

    // The hall shows it, the room plays it, and a danmaku goes round.
    app.click(HALL).await?;
    app.click(&format!("a[href$='{id}']")).await?;
    app.wait("document.querySelector('video') && document.querySelector('video').currentTime > 2", SOON).await?;
    assert_eq!(app.eval("document.querySelector('video').videoWidth > 0").await?, true);
    app.fill("[placeholder='Say something…']", "from the app 你好").await?;
    app.click("//button[contains(., 'Send')]").await?;
    app.wait("document.body.innerText.includes('from the app 你好')", SOON).await?;

    // The small window is the app's own, and ends with P as it began.
    let inside = "[innerWidth, innerHeight].join()";
    let large = app.eval(inside).await?;
    app.click("[aria-label='More']").await?;
    app.click("//button[contains(., 'Small window')]").await?;
    app.wait(
        "innerWidth === 480 && innerHeight === 270 && document.querySelector('.alone .picture').clientHeight === 270",
        SOON,
    )
    .await?;
    app.click("[aria-label='Large window']").await?;
    app.wait(&format!("{inside} === {large}"), SOON).await?;

    // The end is said, not only the connection closed.
    app.click(STAGE).await?;
    app.click("//button[normalize-space(.) = 'End']").await?;
    app.click("//dialog//button[normalize-space(.) = 'End']").await?;
    wait_stage(server, "off").await?;
    Ok(())
}

/// The whole screen, small and grey.
async fn screen(desk: &Desk) -> Result<Vec<u8>> {
    let file = tempfile::Builder::new().suffix(".png").tempfile()?;
    desk.screen.picture(file.path()).await?;
    ffmpeg::grey(file.path(), 96, 64).await?.pop().context("no picture of the screen")
}

/// The left edge of the window, where nothing moves: 60 of its pixels of the screen's 1440, 720 of 960.
fn rail(screen: &[u8]) -> Vec<u8> {
    screen.chunks(96).take(48).flat_map(|row| row.iter().take(4).copied()).collect()
}

#[tokio::test]
async fn a_window_that_is_killed_on_air_comes_back_and_viewers_keep_their_players() -> Result<()> {
    let desk = Desk::new().await?;
    let _tone = desk.sound.tone(1500)?;
    let app = desk.open_watched_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    app.click(GO_LIVE).await?;
    let server = desk.hosted().await?;
    let room = wait_stage(&server, "live").await?;
    let id = room["id"].as_str().context("no id")?.to_owned();
    let viewer = Viewer::open(&format!("{server}/live/{id}.flv")).await?;
    viewer.more_pictures(60, SOON).await?;
    app.click(HALL).await?;
    app.wait("document.querySelector('.cards a') !== null", SOON).await.context("no card in the hall")?;
    let hall = screen(&desk).await?;
    app.click(STAGE).await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await?;
    let studio = screen(&desk).await?;

    let windows = app.processes(|words| words.get(1).is_some_and(|w| w == "window"))?;
    assert_eq!(windows.len(), 1, "one window, the child of the process that watches: {windows:?}");
    mujian_tests::process::kill(windows[0]);
    // The server, a process of its own, goes on; the window is opened again by itself, and so is the broadcast. Between
    // them the slate may be seen, or be over before anybody asks: how long a window takes is the machine's affair.
    let again = wait::until("another window", SOON, || async {
        let now = app.processes(|words| words.get(1).is_some_and(|w| w == "window"))?;
        Ok((now.len() == 1 && now != windows).then_some(now))
    })
    .await?;
    let killed_at = viewer.pictures();
    viewer.more_pictures(90, SOON).await?;
    wait_stage(&server, "live").await?;
    viewer.more_pictures(120, SOON).await?;
    assert_eq!(viewer.ended(), None, "the viewer's connection is the one of the beginning");
    assert_eq!(app.processes(|words| words.get(1).is_some_and(|w| w == "window"))?, again, "it stays open");
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;

    // In the samples: the tone, then silence where nobody published, then the tone again.
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let samples = ffmpeg::samples(file.path()).await?;
    let hums = |from: usize| tone::heard(&samples[from..from + 48_000], 48_000.0, 1500.0) > 0.2;
    assert!(hums(12_000), "the microphone before");
    assert!(
        killed_at > 60 && samples.chunks(4800).any(|block| tone::rms(block) < 0.01),
        "nobody published for a while"
    );
    assert!(hums(samples.len() - 48_000), "the microphone after");

    // The new window opened at the studio, with the picture that goes out, and says what happened.
    wait::until("the studio on the screen", SOON, || async {
        let now = screen(&desk).await?;
        let (like_studio, like_hall) = (picture::difference(&studio, &now), picture::difference(&hall, &now));
        anyhow::ensure!(like_studio * 1.5 < like_hall, "{like_studio} from the studio, {like_hall} from the hall");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn a_second_start_brings_the_first_window_to_the_front() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    let seen = rail(&screen(&desk).await?);
    // Something lies over it.
    let _cover = desk.screen.moving_content(1440, 960)?;
    wait::until("the window to be covered", SOON, || async {
        Ok((picture::difference(&seen, &rail(&screen(&desk).await?)) > 0.1).then_some(()))
    })
    .await?;
    let mut second = Program::start(Command::new(ours("mujian")?).envs(desk.environment()))?;
    assert_eq!(second.ended(SOON).await?.code(), Some(0), "{}", second.words());
    assert!(second.words().contains("open already"), "{}", second.words());
    wait::until("the window to be seen again", SOON, || async {
        let difference = picture::difference(&seen, &rail(&screen(&desk).await?));
        anyhow::ensure!(difference < 0.03, "it differs by {difference}");
        Ok(Some(()))
    })
    .await?;
    // One window, one server, one studio: the first.
    assert_eq!(app.processes(|words| words.get(1).is_some_and(|w| w == "host"))?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_media_file_is_chosen_with_the_systems_dialog() -> Result<()> {
    let folder = tempfile::Builder::new().prefix("Film ").tempdir()?;
    let film = folder.path().join("blue.mkv");
    let path = film.to_str().context("no text")?;
    let made = ["-v", "error", "-f", "lavfi", "-i", "color=blue:size=640x360:rate=10", "-t", "60", path];
    mujian_tests::process::run("ffmpeg", made, SOON).await?;
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    // The page may be drawn anew while it learns what this computer has: clicked until it is chosen.
    let chosen = "(() => { document.querySelector('input[value=file]')?.click(); \
        return [...document.querySelectorAll('button')].some((b) => b.textContent.includes('Choose a file')); })()";
    app.wait(chosen, SOON).await?;
    app.click("//button[contains(., 'Choose a file')]").await?;
    let hands = Hands::at(&desk.screen.display)?;
    wait::until("the dialog", SOON, || async { hands.turn_to("Choose a file").map(Some) }).await?;
    // The page goes on behind it, and does not open a second one.
    assert_eq!(
        app.eval(
            "[...document.querySelectorAll('button')].find((b) => b.textContent.includes('Choose a file')).disabled"
        )
        .await?,
        true
    );
    hands.types(path)?;
    hands.press(ENTER)?;
    app.wait(&format!("[...document.querySelectorAll('input')].some((i) => i.value === {path:?})"), SOON).await?;
    let blue = "(() => { const seen = document.querySelector('canvas.seen'); if (!seen) return false; \
        const [r, , b] = seen.getContext('2d').getImageData(seen.width / 2, seen.height / 2, 1, 1).data; \
        return b > 150 && r < 80; })()";
    app.wait(blue, SOON).await.context("the film is not seen")?;
    Ok(())
}
