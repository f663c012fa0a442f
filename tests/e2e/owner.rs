//! What the app does for whom the room belongs to, in its real window: sharing, a renewed key, a name, closing.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::desk::Desk;
use mujian_tests::flv::{SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::wait;
use mujian_tests::webdriver::Window;

use crate::app::{GO_LIVE, HALL, wait_stage};

const SOON: Duration = Duration::from_secs(30);

/// Goes live in a new app; the server's address, and the room's id.
async fn live(desk: &Desk, app: &Window) -> Result<(String, String)> {
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    app.click(GO_LIVE).await?;
    let server = desk.hosted().await?;
    let room = wait_stage(&server, "live").await?;
    Ok((server, room["id"].as_str().context("no id")?.to_owned()))
}

/// Whether a piece of text is on the page.
fn shows(text: &str) -> String {
    format!("document.body.innerText.includes({text:?})")
}

#[tokio::test]
async fn what_is_shared_can_be_opened_by_others() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    // Before there is any room: the dialog says that nothing is shared, and offers no address that others cannot open.
    app.click("//button[normalize-space(.) = 'Share']").await?;
    app.wait(&shows("Only this computer can watch and publish now"), SOON).await?;
    assert_eq!(app.eval("document.querySelectorAll('dialog input').length").await?, 0);
    app.click("//dialog//button[normalize-space(.) = 'Start sharing']").await?;
    app.wait(&shows("Others can watch with the link"), SOON).await?;
    let link = "document.querySelector('dialog input')?.value ?? ''";
    let shared = app.eval(link).await?.as_str().unwrap_or_default().to_owned();
    assert!(shared.contains("/watch/") && !shared.contains("//127.") && !shared.contains("//localhost"), "{shared}");
    assert_eq!(reqwest::get(&shared).await?.status(), 200);
    app.click("//dialog//button[@aria-label = 'Close']").await?;

    // On the room's page it is the same dialog with the same link, not the address of this computer's own.
    let (_, id) = live(&desk, &app).await?;
    app.click(HALL).await?;
    app.click(&format!("a[href$='{id}']")).await?;
    app.click("//section//button[normalize-space(.) = 'Share']").await?;
    app.wait(&shows("Others can watch with the link"), SOON).await?;
    assert_eq!(app.eval(link).await?, shared.as_str());
    Ok(())
}

#[tokio::test]
async fn a_renewed_key_does_not_end_the_apps_own_broadcast() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    let (server, id) = live(&desk, &app).await?;
    let viewer = Viewer::open(&format!("{server}/live/{id}.flv")).await?;
    viewer.more_pictures(60, SOON).await?;
    app.click("//a[contains(., 'Account')]").await?;
    app.click("//button[contains(., 'Show the stream key')]").await?;
    let key = "(document.querySelector('input[type=password]')?.value ?? '')";
    let before = app.wait(key, SOON).await?;
    app.click("//button[contains(., 'Renew the key')]").await?;
    app.click("//dialog//button[contains(., 'Renew the key')]").await?;
    app.wait(&format!("{key} !== '' && {key} !== {before}"), SOON).await.context("no new key")?;
    // It was cut off, fetched the new key, and is back; who watches did nothing.
    let cut = viewer.pictures();
    viewer.more_pictures(150, SOON).await?;
    wait_stage(&server, "live").await?;
    viewer.more_pictures(60, SOON).await?;
    assert!(cut > 0 && viewer.ended().is_none(), "the viewer's connection is the one of the beginning");
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)
}

#[tokio::test]
async fn the_streamers_name_is_changed_and_shown_at_once_where_they_cannot_log_out() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    let (server, _) = live(&desk, &app).await?;
    app.click("//a[contains(., 'Account')]").await?;
    app.wait(&shows("Change the name"), SOON).await?;
    assert_eq!(app.eval(&shows("Log out")).await?, false);
    app.fill("main form input", "岚山 Lanshan").await?;
    app.click("//button[normalize-space(.) = 'Change the name']").await?;
    app.wait("document.querySelector('h1').innerText === '岚山 Lanshan'", SOON).await?;
    let room = wait_stage(&server, "live").await?;
    assert_eq!(room["owner"]["name"], "岚山 Lanshan");
    // Loaded again, the app still knows it.
    app.eval("(location.reload(), true)").await?;
    app.wait("document.querySelector('h1')?.innerText === '岚山 Lanshan'", SOON).await?;
    Ok(())
}

#[tokio::test]
async fn closing_the_window_on_air_is_asked_about_first() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    let (server, id) = live(&desk, &app).await?;
    let viewer = Viewer::open(&format!("{server}/live/{id}.flv")).await?;
    viewer.more_pictures(30, SOON).await?;
    desk.screen.close_window("mujian").await?;
    app.wait(&shows("Closing Mujian ends the stream"), SOON).await?;
    app.click("//dialog//button[normalize-space(.) = 'Keep streaming']").await?;
    app.wait("document.querySelector('dialog') === null", SOON).await?;
    viewer.more_pictures(60, SOON).await?;
    assert_eq!(viewer.ended(), None);

    desk.screen.close_window("mujian").await?;
    app.click_to_close("//dialog//button[normalize-space(.) = 'End the stream and close']").await?;
    // The goodbye was said, and nothing of the app is left.
    wait::until("the end of the viewer's stream", SOON, || async { Ok(viewer.ended()) }).await?;
    wait::until("the app's end", SOON, || async {
        let left = app.processes(|words| words.first().is_some_and(|w| w.ends_with("/mujian")))?;
        anyhow::ensure!(left.is_empty(), "still there: {left:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn off_air_the_window_closes_at_once() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    desk.screen.close_window("mujian").await?;
    wait::until("the app's end", SOON, || async {
        let left = app.processes(|words| words.first().is_some_and(|w| w.ends_with("/mujian")))?;
        anyhow::ensure!(left.is_empty(), "still there: {left:?}");
        Ok(Some(()))
    })
    .await
}

#[tokio::test]
async fn what_goes_wrong_is_said_in_the_persons_language() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    let path = "input[placeholder='/home/me/video.mp4']";
    let chosen =
        format!("(document.querySelector('input[value=file]')?.click(), document.querySelector({path:?}) !== null)");
    app.wait(&chosen, SOON).await?;
    app.fill(path, "/nowhere/at/all.mp4").await?;
    app.wait(&shows("There is no file at /nowhere/at/all.mp4. Check the name, or choose the file again."), SOON)
        .await?;
    app.eval("(localStorage.setItem('mujian.language', 'zh-CN'), location.reload(), true)").await?;
    app.wait(&shows("/nowhere/at/all.mp4 没有这个文件。请检查名字，或重新选择。"), SOON).await?;
    assert_eq!(app.eval(&shows("There is no file")).await?, false);
    Ok(())
}
