//! What the app does for whom the room belongs to, in its real window: sharing, a renewed key, a name, closing.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::desk::Desk;
use mujian_tests::flv::{SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::hands::Hands;
use mujian_tests::process::ours;
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
    Hands::at(&desk.screen.display)?.close("mujian")?;
    app.wait(&shows("Closing Mujian ends the stream"), SOON).await?;
    app.click("//dialog//button[normalize-space(.) = 'Keep streaming']").await?;
    app.wait("document.querySelector('dialog') === null", SOON).await?;
    viewer.more_pictures(60, SOON).await?;
    assert_eq!(viewer.ended(), None);

    Hands::at(&desk.screen.display)?.close("mujian")?;
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
    Hands::at(&desk.screen.display)?.close("mujian")?;
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

    // Why the other encoders do not work: each in Chinese, the system's own words for it too.
    let why = "(document.querySelector('.setup details')?.setAttribute('open', ''), \
               [...document.querySelectorAll('.setup details li')].map((li) => li.innerText))";
    let whys = app.wait(&format!("({why}).length > 0 && ({why})"), Duration::from_secs(60)).await?;
    let whys: Vec<&str> = whys.as_array().context("no list")?.iter().filter_map(|w| w.as_str()).collect();
    assert!(!whys.is_empty());
    for why in whys {
        assert!(why.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c)), "{why}");
        for english in ["This computer", "was built", "does not work", "not permitted", "No such", "Unknown error"] {
            assert!(!why.contains(english), "{why}");
        }
    }
    Ok(())
}

/// An app that cannot start says why in its window, in the person's language.
#[tokio::test]
async fn an_app_that_cannot_start_says_why_in_the_persons_language() -> Result<()> {
    let (newer, blocked) = (Desk::new().await?, Desk::new().await?);
    // A newer Mujian wrote the app's own data.
    std::fs::create_dir(&newer.data)?;
    let database = rusqlite::Connection::open(newer.data.join("app.db"))?;
    database.pragma_update(None, "user_version", 99)?;
    drop(database);
    // The server's folder cannot be made: a file is in its place.
    std::fs::create_dir(&blocked.data)?;
    std::fs::write(blocked.data.join("server"), "in the way")?;
    for (desk, english, chinese) in [
        (&newer, "app.db was written by a newer Mujian (its format is 99", "是更新版本的幕间写的（格式 99"),
        (&blocked, "cannot be written (File exists)", "写不了（文件已存在）"),
    ] {
        let app = Window::open(&ours("mujian")?, &[], &desk.environment()).await?;
        app.wait(&shows("Mujian could not start"), SOON).await?;
        app.wait(&shows(english), SOON).await?;
        app.eval("(localStorage.setItem('mujian.language', 'zh-CN'), location.reload(), true)").await?;
        app.wait(&shows("没能启动"), SOON).await?;
        app.wait(&shows(chinese), SOON).await?;
        assert_eq!(app.eval(&shows("written")).await?, false);
    }
    Ok(())
}
