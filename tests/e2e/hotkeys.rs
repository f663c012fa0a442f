//! Keys that are heard while another program is in front (issue 4), pressed at the X server.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::desk::Desk;
use mujian_tests::hands::{CONTROL, F1, Hands, SHIFT};

use crate::app::wait_stage;

const SOON: Duration = Duration::from_secs(30);
const AWAY: u32 = F1 + 8;
const MUTE: u32 = F1 + 9;
const LIVE: u32 = F1 + 10;

/// Whether this is the choice that the page shows.
fn chosen(name: &str) -> String {
    format!("[...document.querySelectorAll('label.on')].some((l) => l.innerText.trim() === {name:?})")
}

#[tokio::test]
async fn keys_go_live_mute_leave_and_come_back_while_the_window_has_no_keyboard() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    let hands = Hands::at(&desk.screen.display)?;
    let press = |key: u32| hands.chord(&[CONTROL, SHIFT], key);
    let account = "//nav//a[contains(., 'Account')]";
    app.click(account).await?;
    let section = "//section[h2[normalize-space(.) = 'Keys everywhere']]";
    app.click(&format!("{section}//label[normalize-space(.) = 'On']")).await?;
    app.wait(&chosen("On"), SOON).await?;

    press(LIVE)?;
    let server = desk.hosted().await?;
    wait_stage(&server, "live").await?;
    press(AWAY)?;
    wait_stage(&server, "away").await?;
    press(AWAY)?;
    wait_stage(&server, "live").await?;
    app.click("//nav//a[contains(., 'Stage')]").await?;
    press(MUTE)?;
    app.wait("document.querySelector('[aria-label=\"Unmute the microphone\"]') !== null", SOON)
        .await
        .context("it is not muted")?;

    // Given back, they are other programs' again; taken by another, that is said.
    app.click(account).await?;
    // What is above the keys on that page is fetched, and moves them down.
    app.wait("document.body.innerText.includes('Being recorded')", SOON).await?;
    app.click(&format!("{section}//label[normalize-space(.) = 'Off']")).await?;
    app.wait(&chosen("Off"), SOON).await?;
    let other = Hands::at(&desk.screen.display)?;
    other.take(AWAY)?;
    app.click(&format!("{section}//label[normalize-space(.) = 'On']")).await?;
    app.wait("document.body.innerText.includes('Another program has Ctrl+Shift+F9')", SOON).await?;
    drop(other);
    ensure!(wait_stage(&server, "live").await.is_ok());
    Ok(())
}
