//! The app's real window (rows A1, A4, A7), driven by WebDriver on a screen made of software.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::desk::Desk;
use mujian_tests::flv::Viewer;
use mujian_tests::measure::lipsync;
use mujian_tests::wait;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(30);
const STAGE: &str = "//a[normalize-space(.) = 'Stage'] | //nav//button[normalize-space(.) = 'Stage']";
const GO_LIVE: &str = "//button[contains(., 'Go live')]";

/// The first room of a server, as the API tells it.
async fn first_room(server: &str) -> Result<Value> {
    let rooms: Value = reqwest::get(format!("{server}/api/v1/rooms")).await?.json().await?;
    let list = rooms.as_array().or_else(|| rooms["rooms"].as_array()).context("no list")?;
    list.first().cloned().context("no room")
}

async fn wait_stage(server: &str, stage: &str) -> Result<Value> {
    wait::until(&format!("the stage {stage}"), SOON, || async {
        let room = first_room(server).await?;
        anyhow::ensure!(room["stage"] == stage, "the stage is {}", room["stage"]);
        Ok(Some(room))
    })
    .await
}

#[tokio::test]
async fn one_click_goes_live_and_the_app_watches_itself() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.click(STAGE).await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    app.click(GO_LIVE).await?;
    let server = desk.hosted().await?;
    let room = wait_stage(&server, "live").await?;
    let id = room["id"].as_str().context("no id")?.to_owned();

    // What goes out is the test card, picture and sound in step.
    let viewer = Viewer::open(&format!("{server}/live/{id}.flv")).await?;
    viewer.more_pictures(180, SOON).await?;
    viewer.check_timeline(140, 36)?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let found = lipsync::of_file(file.path()).await?;
    assert!(found.worst.abs() < 45.0, "lip sync {:.1} ms", found.worst);

    // The hall shows it, the room plays it, and a danmaku goes round.
    app.click("//a[contains(., 'Hall')] | //button[contains(., 'Hall')]").await?;
    app.click(&format!("a[href$='{id}']")).await?;
    app.wait("document.querySelector('video') && document.querySelector('video').currentTime > 2", SOON).await?;
    assert_eq!(app.eval("document.querySelector('video').videoWidth > 0").await?, true);
    app.fill("[placeholder='Say something…']", "from the app 你好").await?;
    app.click("//button[contains(., 'Send')]").await?;
    app.wait("document.body.innerText.includes('from the app 你好')", SOON).await?;

    // The end is said, not only the connection closed.
    app.click(STAGE).await?;
    app.click("//button[normalize-space(.) = 'End']").await?;
    app.click("//dialog//button[normalize-space(.) = 'End']").await?;
    wait_stage(&server, "off").await?;
    Ok(())
}
