//! Light on the machine: what the app's window costs while nothing happens in it, what the studio's preview costs, and
//! whether a crowd's danmaku are drawn at the screen's rate.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::cpu;
use crate::browser::{Browser, Look};
use crate::chat::Crowd;
use crate::desk::Desk;
use crate::ffmpeg::Publish;
use crate::server::Setup;
use crate::wait;
use crate::webdriver::Window;

const SOON: Duration = Duration::from_secs(40);
/// From a change of what is on the screen to the beginning of measuring.
const SETTLE: Duration = Duration::from_secs(8);
const MEASURE: Duration = Duration::from_secs(20);
/// As often, one after the other.
const RUNS: usize = 3;
const HALL: &str = "//a[contains(., 'Hall')]";
const ACCOUNT: &str = "a[href='/account']";
const STUDIO: &str = "//a[contains(., 'Stage')]";
const PREVIEW: &str = "document.querySelector('canvas.seen') !== null";

/// Cores that the window, its web processes and the server that it hosts keep busy.
async fn cores(app: &Window) -> Result<f64> {
    tokio::time::sleep(SETTLE).await;
    let pid = app.pid().context("the driver is gone")?;
    let before = cpu::read(pid)?;
    tokio::time::sleep(MEASURE).await;
    Ok(cpu::read(pid)?.cores_since(&before))
}

/// Shares of a core while the hall is open and nothing is on air.
///
/// # Errors
///
/// The window does not open.
pub async fn idle() -> Result<Vec<f64>> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait(PREVIEW, SOON).await?;
    app.click(HALL).await?;
    app.wait("document.querySelector('canvas.seen') === null", SOON).await?;
    cpu::prepared(app.pid().context("the driver is gone")?).await?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(cores(&app).await?);
    }
    ensure!(runs.iter().all(|cores| *cores > 0.0), "nothing was measured: {runs:?}");
    Ok(runs)
}

/// Shares of a core on air, with the studio's page and its preview shown and with the account's page, which stands still, in
/// its place, in turns: what is encoded is the same.
///
/// # Errors
///
/// The window does not open, or does not go on air.
pub async fn preview() -> Result<(Vec<f64>, Vec<f64>)> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait(PREVIEW, SOON).await?;
    app.click("//button[contains(., 'Go live')]").await?;
    let server = desk.hosted().await?;
    wait::until("the room on air", SOON, || async {
        let rooms: Value = reqwest::get(format!("{server}/api/v1/rooms")).await?.json().await?;
        Ok(rooms.as_array().is_some_and(|rooms| rooms.iter().any(|room| room["stage"] == "live")).then_some(()))
    })
    .await?;
    cpu::prepared(app.pid().context("the driver is gone")?).await?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        with.push(cores(&app).await?);
        app.click(ACCOUNT).await?;
        app.wait("document.querySelector('canvas.seen') === null", SOON).await?;
        without.push(cores(&app).await?);
        app.click(STUDIO).await?;
        app.wait(PREVIEW, SOON).await?;
    }
    Ok((with, without))
}

/// What Chromium draws of a room in ten seconds.
pub struct Drawn {
    /// Frames of the page that are missing, of 60 a second, from 0 to 1.
    pub missed: f64,
    /// The longest time from one to the next, in milliseconds.
    pub longest: f64,
    /// Danmaku over the picture, on average.
    pub flying: f64,
}

/// A function that watches the page's frames for some seconds, and what is drawn over the picture in each.
const FRAMES: &str = r"
(seconds) => new Promise((done) => {
  const own = CanvasRenderingContext2D.prototype.drawImage;
  let drawn = 0, frames = 0, began = null, last = 0, longest = 0;
  CanvasRenderingContext2D.prototype.drawImage = function (...all) { drawn++; return own.apply(this, all); };
  const tick = (now) => {
    if (began === null) { began = now; drawn = 0; } else { frames++; longest = Math.max(longest, now - last); }
    last = now;
    if (now - began < seconds * 1000) { requestAnimationFrame(tick); return; }
    CanvasRenderingContext2D.prototype.drawImage = own;
    done([1 - Math.min(1, (frames * 1000) / (now - began) / 60), longest, drawn / frames]);
  };
  requestAnimationFrame(tick);
})";

/// A room's page before anybody writes, and so often while `a_second` danmaku come in.
///
/// # Errors
///
/// The page does not play, or the danmaku are refused, or do not fly.
pub async fn danmaku(a_second: u32) -> Result<(Drawn, Vec<Drawn>)> {
    let limits = "[limits]\ndanmaku = { burst = 100000, per_hour = 3600000 }\nrequests = { burst = 100000, per_hour = 3600000 }\n";
    let server = Setup::default().config(limits).start().await?;
    let room = server.room("bench", "Bench").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let mut browser = Browser::start(true).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    // Over the whole picture, where most of them have room.
    browser
        .eval(page, "(localStorage.setItem('mujian.prefs', '{\"area\":\"whole\"}'), location.reload(), true)")
        .await?;
    browser.wait(page, "document.querySelector('video')?.currentTime > 5", SOON).await?;
    let script = format!("({FRAMES})(10)");
    let of = |value: Value| -> Result<Drawn> {
        let [missed, longest, flying]: [f64; 3] = serde_json::from_value(value)?;
        Ok(Drawn { missed, longest, flying })
    };
    let quiet = of(browser.eval(page, &script).await?)?;
    let token = server.account("crowd").await?;
    let crowd = Crowd::begin(&server, &room, &token, a_second).await?;
    // As long as one flies: from here on as many go as come.
    tokio::time::sleep(Duration::from_secs(12)).await;
    let mut full = Vec::new();
    for _ in 0..RUNS {
        full.push(of(browser.eval(page, &script).await?)?);
    }
    let said = crowd.end().await?;
    ensure!(said >= u64::from(a_second) * 40, "only {said} danmaku were taken");
    for run in &full {
        // One takes some seconds from edge to edge.
        ensure!(run.flying > f64::from(a_second) * 4.0, "only {:.0} danmaku fly at a time", run.flying);
    }
    Ok((quiet, full))
}
