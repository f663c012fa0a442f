//! Players in pages through both switches of a stay away (issue 3, B4): the same player plays on, with no hole in what it
//! was given and no step back. Whether it waits or hurries is the machine's affair too, and measured by `make bench`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::Browser;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::measure::leave::call;
use mujian_tests::server::Server;
use mujian_tests::webdriver::Window;
use serde_json::{Value, json};

use crate::app::{HALL, OnAir, wait_stage};
use crate::web::page_of;

const SOON: Duration = Duration::from_secs(30);
const PLAYS: &str = "(document.querySelector('video')?.currentTime ?? 0) > 1";

/// Looks at the page's player at each of its pictures: whether it was given another medium, whether there was a hole in what
/// it has (in seconds), and how far it stepped back.
const LOOK: &str = "(() => {
  const video = document.querySelector('video');
  const seen = (window.seen = { video, began: video.currentTime, emptied: 0, hole: 0, back: 0 });
  let last = video.currentTime;
  video.addEventListener('emptied', () => seen.emptied++);
  const look = () => {
    const { buffered, currentTime } = video;
    for (let n = 1; n < buffered.length; n++)
      seen.hole = Math.max(seen.hole, buffered.start(n) - buffered.end(n - 1));
    seen.back = Math.max(seen.back, last - currentTime);
    last = currentTime;
    requestAnimationFrame(look);
  };
  look();
  return true;
})()";

/// What was found, and whether the page still has the player that was looked at.
const FOUND: &str = "(({ video, began, emptied, hole, back }) => ({ emptied, hole, back, failed: video.error !== null, \
    same: video === document.querySelector('video'), played: video.currentTime - began }))(window.seen)";

/// WebKitGTK tells a time that may step back by less than a picture.
const STEP: f64 = 0.034;

fn judge(found: &Value, switches: usize) -> Result<()> {
    let number = |name: &str| found[name].as_f64().with_context(|| format!("no {name} in {found}"));
    ensure!(found["same"] == true && found["failed"] == false, "another player: {found}");
    ensure!(number("emptied")? == 0.0, "it was given another medium: {found}");
    ensure!(number("hole")? == 0.0, "a hole: {found}");
    ensure!(number("back")? < STEP, "a step back: {found}");
    ensure!(number("played")? > switches as f64, "it hardly played: {found}");
    Ok(())
}

/// A script that is true when the player is a second further than now.
fn further(now: &Value) -> Result<String> {
    Ok(format!("document.querySelector('video').currentTime > {}", now.as_f64().context("no time")? + 1.0))
}

const SWITCHES: [(&str, &str); 4] = [("leave", "away"), ("back", "live"), ("leave", "away"), ("back", "live")];

#[tokio::test]
async fn a_page_in_chromium_plays_through_both_switches() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = server.account("viewer").await?;
    let mut browser = Browser::start(false).await?;
    let page = page_of(&mut browser, &server, &room, &viewer).await?;
    browser.wait(page, PLAYS, SOON).await?;
    browser.eval(page, LOOK).await?;
    for (press, stage) in SWITCHES {
        call(&server, &room, press, json!({})).await?;
        server.wait_stage(&room, stage, SOON).await?;
        let now = browser.eval(page, "document.querySelector('video').currentTime").await?;
        browser.wait(page, &further(&now)?, SOON).await?;
    }
    judge(&browser.eval(page, FOUND).await?, SWITCHES.len())?;
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    Ok(())
}

/// What the player is at, for whoever reads that it stood still.
const STATE: &str = "(({ currentTime, readyState, paused, seeking, buffered, error }) => ({ currentTime, readyState, paused, \
    seeking, failed: error !== null, buffered: [...Array(buffered.length).keys()].map((n) => [buffered.start(n), \
    buffered.end(n)]) }))(document.querySelector('video'))";

async fn plays_on(app: &Window) -> Result<()> {
    let now = app.eval("document.querySelector('video').currentTime").await?;
    if let Err(error) = app.wait(&further(&now)?, SOON).await {
        let state = app.eval(STATE).await?;
        return Err(error).with_context(|| format!("it stands at {now}: {state}"));
    }
    Ok(())
}

#[tokio::test]
async fn the_room_in_the_apps_window_plays_through_both_switches() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, server, id, .. } = &on_air;
    app.click(HALL).await?;
    app.click(&format!("a[href$='{id}']")).await?;
    app.wait(PLAYS, SOON).await?;
    app.eval(LOOK).await?;
    for (_, stage) in SWITCHES {
        // The streamer's own key, which works on whichever screen.
        app.eval(
            "(dispatchEvent(new KeyboardEvent('keydown', {key: 'L', ctrlKey: true, shiftKey: true, cancelable: true})), true)",
        )
        .await?;
        wait_stage(server, stage).await?;
        plays_on(app).await?;
    }
    judge(&app.eval(FOUND).await?, SWITCHES.len())
}
