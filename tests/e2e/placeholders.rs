//! What viewers see while the streamer is away (issue 3): the shelf, the quick picker and the time to be back at, by a
//! streamer who publishes with another program and has nothing but a browser.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::desk::Desk;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::{Room, Server};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);
/// A worker makes it, with low priority.
const MADE: Duration = Duration::from_secs(120);

/// How often a film is looked at and closed in the window.
const FILMS: usize = 3;

/// Whether what a viewer's page shows now is blue all over.
const BLUE: &str = "(() => { const c = document.createElement('canvas'); c.width = c.height = 8; const p = c.getContext('2d'); \
    p.drawImage(document.querySelector('video'), 0, 0, 8, 8); const d = p.getImageData(0, 0, 8, 8).data; \
    return [...Array(64).keys()].every((i) => d[4 * i + 2] > 140 && d[4 * i] < 100 && d[4 * i + 1] < 100); })()";

/// Who runs the server is trusted: what they upload waits for nobody.
async fn becomes_operator(server: &mut Server, owner: &str) -> Result<()> {
    let line = server.program.line("the set-up code", SOON, |l| l.contains("set-up code there")).await?;
    let code = line.rsplit(' ').next().context("no code")?.to_owned();
    let (status, answer) = server.call("POST", "/setup", Some(owner), Some(json!({"code": code}))).await?;
    ensure!(status == 200, "{answer}");
    Ok(())
}

async fn blue(path: &Path) -> Result<()> {
    let mut ffmpeg = tokio::process::Command::new("ffmpeg");
    let made = ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", "color=blue:size=640x360", "-frames:v", "1"]).arg(path);
    ensure!(made.status().await?.success(), "no picture");
    Ok(())
}

async fn open(browser: &mut Browser, server: &Server, room: &Room, look: &Look, token: Option<&str>) -> Result<Page> {
    let page = browser.page(look).await?;
    browser.goto(page, &server.watch_url(room)).await?;
    if let Some(token) = token {
        browser
            .eval(page, &format!("(localStorage.setItem('mujian.token', '{token}'), location.reload(), true)"))
            .await?;
    }
    browser.wait(page, "document.querySelector('video')?.currentTime > 1", SOON).await?;
    Ok(page)
}

#[tokio::test]
async fn a_picture_of_the_shelf_is_seen_while_away_and_viewers_are_told_the_time_in_their_language() -> Result<()> {
    let mut server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    becomes_operator(&mut server, &room.token).await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let folder = tempfile::tempdir()?;
    let picture = folder.path().join("蓝 blue.png");
    blue(&picture).await?;

    let mut browser = Browser::start(false).await?;
    let owner = open(&mut browser, &server, &room, &Look::default(), Some(&room.token)).await?;
    browser.click(owner, "role=button[name='Open the shelf…']").await?;
    browser.files(owner, "role=dialog >> input[type=file] >> nth=0", &[&picture]).await?;
    browser.fill(owner, "role=dialog >> role=textbox[name='Name']", "Blue hour").await?;
    browser.click(owner, "role=button[name='Put it on the shelf']").await?;
    browser.visible(owner, "role=dialog >> text=it is the only one on your shelf", MADE).await?;
    browser.click(owner, "role=dialog >> role=button[name='Close']").await?;

    let english = open(&mut browser, &server, &room, &Look::default(), None).await?;
    let chinese = Look { locale: "zh-CN", ..Look::default() };
    let chinese = open(&mut browser, &server, &room, &chinese, None).await?;
    for page in [english, chinese] {
        assert_eq!(browser.eval(page, BLUE).await?, false, "the picture is the publisher's");
    }
    browser.click(owner, "role=button[name=/^Leave for a while/]").await?;
    server.wait_stage(&room, "away", SOON).await?;
    for page in [english, chinese] {
        browser.wait(page, BLUE, SOON).await.context("the placeholder is not seen")?;
    }

    // One press and viewers see another one.
    browser.click(owner, "role=button[name='Show it to viewers now: Food']").await?;
    for page in [english, chinese] {
        browser.wait(page, &format!("!({BLUE})"), SOON).await.context("it is still the first one")?;
    }

    browser.click(owner, "role=button[name='Tell viewers that you are back in 15 min']").await?;
    browser.visible(english, "text=/^Back at \\d{2}:\\d{2}/", SOON).await?;
    browser.visible(chinese, "text=/^\\d{2}:\\d{2} 回来$/", SOON).await?;
    browser.click(owner, "role=button[name='Tell viewers no time any more']").await?;
    for page in [english, chinese] {
        browser.wait(page, "document.querySelector('.player .back-at') === null", SOON).await?;
    }

    browser.click(owner, "role=button[name='Tell viewers that you are back in 5 min']").await?;
    browser.visible(english, "text=/^Back at \\d{2}:\\d{2}/", SOON).await?;
    browser.click(owner, "role=button[name=/^I'm back/]").await?;
    server.wait_stage(&room, "live", SOON).await?;
    browser.wait(english, "document.querySelector('.player .back-at') === null", SOON).await?;
    for page in [owner, english, chinese] {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    }
    Ok(())
}

/// A file that is dropped on the open shelf, as the file manager does it.
const DROP: &str = "new Promise((done) => { const c = document.createElement('canvas'); c.width = 640; c.height = 360; \
    const p = c.getContext('2d'); p.fillStyle = '#0000ff'; p.fillRect(0, 0, 640, 360); c.toBlob((blob) => { \
    const dropped = new DataTransfer(); dropped.items.add(new File([blob], 'blue hour.png', { type: 'image/png' })); \
    document.querySelector('.shelf').dispatchEvent(new DragEvent('drop', { dataTransfer: dropped, bubbles: true, cancelable: true })); \
    done(true); }, 'image/png'); })";

#[tokio::test]
async fn what_is_dropped_on_the_shelf_in_the_window_is_seen_while_away() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    app.click("//button[contains(., 'Go live')]").await?;
    app.wait("document.querySelector('.bar').innerText.includes('Leave for a while')", SOON).await?;
    app.click("//label[contains(., 'Set-up')]").await?;
    app.click("//button[contains(., 'Open the shelf')]").await?;
    app.wait(DROP, SOON).await?;
    app.click("//button[contains(., 'Put it on the shelf')]").await?;
    app.wait("document.querySelector('dialog').innerText.includes('it is the only one on your shelf')", MADE).await?;
    // Pictures come through the app's own process, which holds the session.
    let pictures = "(() => { const all = [...document.querySelectorAll('dialog ul img')]; return all.length === 8 && all.every((i) => i.naturalWidth > 0); })()";
    app.wait(pictures, MADE).await.context("its own and seven built in")?;
    // It is kept on this computer, and the server has it.
    app.wait("document.querySelector('dialog ul').innerText.includes('on the server')", SOON).await?;
    // A film that is closed while it plays lets its player go first: WebKit's page hung without that.
    for time in 0..FILMS {
        app.click("//dialog//button[contains(@aria-label, 'Look at or change')]").await?;
        let plays = "document.querySelector('dialog video')?.currentTime > 0.2";
        app.wait(plays, SOON).await.with_context(|| format!("film {time}"))?;
        app.click("//dialog//button[contains(., 'Cancel')]").await?;
        app.wait("document.querySelector('dialog video') === null", SOON).await?;
    }
    app.click("//dialog//button[@aria-label='Close']").await?;

    app.click("//button[contains(., 'Leave for a while')]").await?;
    app.wait(&format!("document.querySelector('video')?.currentTime > 1 && {BLUE}"), SOON).await?;
    app.click("//button[@aria-label='Tell viewers that you are back in 10 min']").await?;
    app.wait("document.querySelector('.picture .back-at')?.textContent.startsWith('Back at')", SOON).await?;
    app.click("//button[@aria-label='Show it to viewers now: Music']").await?;
    app.wait(&format!("!({BLUE})"), SOON).await.context("it is still the first one")?;
    Ok(())
}
