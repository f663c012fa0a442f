//! The tools of the tests, tested: each must be able to see what it is there to see.

use std::time::Duration;

use anyhow::Result;
use mujian_tests::browser::{Browser, Look};
use mujian_tests::screen::Screen;
use mujian_tests::sound::Sound;
use mujian_tests::{ffmpeg, picture, tone};

#[tokio::test]
async fn a_tone_and_a_picture_made_by_ffmpeg_are_recognised() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("a.flv");
    let args = [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=30",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=1000",
        "-t",
        "1",
        "-c:v",
        "libx264",
        "-c:a",
        "aac",
    ];
    let mut all: Vec<String> = args.iter().map(|s| (*s).to_owned()).collect();
    all.push(file.to_string_lossy().into_owned());
    mujian_tests::process::run("ffmpeg", &all, Duration::from_secs(30)).await?;
    let samples = ffmpeg::samples(&file).await?;
    assert!(tone::share(&samples[9600..19_200], 48_000.0, 1000.0) > 0.9);
    let pictures = ffmpeg::grey(&file, 32, 18).await?;
    assert_eq!(pictures.len(), 30);
    assert!(picture::difference(&pictures[0], &pictures[0]) < 1e-6);
    assert!(picture::brightness(&pictures[0]) > 0.1);
    assert_eq!(ffmpeg::packets(&file).await?.iter().filter(|p| p.video).count(), 30);
    Ok(())
}

#[tokio::test]
async fn a_screen_a_sound_card_and_a_browser_start() -> Result<()> {
    let screen = Screen::start(320, 240).await?;
    assert!(screen.display.starts_with(':'));
    let sound = Sound::start().await?;
    let sources = String::from_utf8(sound.pactl(&["list", "short", "sources"]).await?)?;
    assert!(sources.contains("mic.monitor"), "{sources}");
    let mut browser = Browser::start(true).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, "data:text/html,<title>t</title><button onclick='document.title=1'>go</button>").await?;
    browser.click(page, "text=go").await?;
    browser.wait(page, "document.title === '1'", Duration::from_secs(5)).await?;
    // The tests must be able to tell that H.264 and AAC are playable here at all.
    let plays = "MediaSource.isTypeSupported('video/mp4; codecs=\"avc1.42c01f,mp4a.40.2\"')";
    assert_eq!(browser.eval(page, plays).await?, true);
    Ok(())
}
