//! A programme that is announced for later, and one that ended, in Chromium: from the owner's dialog to the hall.

use std::time::Duration;

use anyhow::{Result, ensure};
use mujian_tests::browser::{Browser, Look};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::Server;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(20);
const COMING: &str = "document.querySelector('section[aria-labelledby=coming]')?.innerText ?? ''";

#[tokio::test]
async fn what_is_announced_is_seen_in_each_ones_own_time_until_it_is_live() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("岚山", "深夜手冲").await?;
    let mut browser = Browser::start(false).await?;
    // Neither zone puts its clocks forward or back.
    let owner = browser.page(&Look { zone: "Asia/Tokyo", ..Look::default() }).await?;
    browser.goto(owner, &server.watch_url(&room)).await?;
    browser.eval(owner, &format!("(localStorage.setItem('mujian.token', {:?}), true)", room.token)).await?;
    browser.goto(owner, &server.watch_url(&room)).await?;
    browser.click(owner, "role=button[name='Announce the next one…']").await?;
    let when = "dialog input[type=datetime-local]";
    browser.visible(owner, "dialog >> text=In your time (Asia/Tokyo)", SOON).await?;
    // What lies behind is refused with a sentence, and nothing is announced.
    let field = "document.querySelector('dialog input[type=datetime-local]').value";
    let evening = browser.eval(owner, field).await?;
    browser.fill(owner, "dialog input >> nth=0", "云海日出 <i>").await?;
    browser.fill(owner, when, "2020-01-01T10:00").await?;
    browser.click(owner, "dialog button[type=submit]").await?;
    browser.visible(owner, "dialog >> text=The time must lie ahead, by 90 days at most.", SOON).await?;
    let path = format!("/rooms/{}/announcement", room.id);
    assert_eq!(server.call("GET", &path, None, None).await?.1, json!({"announced": null}));
    browser.fill(owner, when, evening.as_str().unwrap_or_default()).await?;
    browser.press(owner, when, "Enter").await?;
    browser.wait(owner, "document.querySelector('dialog') === null", SOON).await?;
    browser.visible(owner, ".announced >> text=云海日出 <i>", SOON).await?;
    let (_, told) = server.call("GET", &path, None, None).await?;
    assert_eq!(told["announced"]["title"], "云海日出 <i>");
    let at = format!("new Date({}).getHours()", told["announced"]["at"]);
    assert_eq!(browser.eval(owner, &at).await?, json!(20), "it was tomorrow evening in Tokyo");

    // An hour earlier on the clocks of Shanghai; in the hall and in the room, for who is not logged in.
    let viewer = browser.page(&Look { locale: "zh-CN", ..Look::default() }).await?;
    browser.goto(viewer, &server.url()).await?;
    browser
        .wait(viewer, &format!("({COMING}).includes(' 19:00') && ({COMING}).includes('云海日出 <i>')"), SOON)
        .await?;
    ensure!(
        browser.eval(viewer, "document.querySelector('.others') === null").await? == json!(true),
        "it is listed twice"
    );
    browser.click(viewer, "section[aria-labelledby=coming] a").await?;
    browser.visible(viewer, ".announced >> text=/[天日] 19:00/", SOON).await?;
    ensure!(browser.eval(viewer, "document.querySelector('.announced button') === null").await? == json!(true));

    // Live, it is gone from both; a stream that is not the one that was announced leaves it standing.
    let hall = browser.page(&Look::default()).await?;
    browser.goto(hall, &server.url()).await?;
    browser.wait(hall, &format!("({COMING}).includes('07:00')"), SOON).await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    browser.visible(hall, &format!("article a[href$='{}']", room.id), SOON).await?;
    browser.wait(hall, &format!("{COMING} === ''"), SOON).await?;
    browser.wait(viewer, "document.querySelector('.announced') === null", SOON).await?;
    browser.wait(viewer, "document.querySelector('video')?.currentTime > 2", SOON).await?;
    let (status, answer) =
        server.call("POST", &format!("/rooms/{}/end", room.id), Some(&room.token), Some(json!({}))).await?;
    ensure!(status < 300, "{answer}");
    drop(publisher);
    browser.wait(hall, &format!("({COMING}).includes('07:00')"), SOON).await?;
    browser.visible(viewer, ".announced >> text=/[天日] 19:00/", SOON).await?;

    // It ended a moment ago, and has a replay, which plays.
    let ended = "section[aria-labelledby=ended]";
    browser
        .visible(hall, &format!("{ended} >> text=/ended (this minute|1 minute ago|[0-9]+ minutes ago)/"), SOON)
        .await?;
    browser.click(hall, &format!("{ended} a[href^='/replay/']")).await?;
    browser
        .wait(hall, "location.pathname.startsWith('/replay/') && document.querySelector('video') !== null", SOON)
        .await?;

    // The owner withdraws it.
    browser.click(owner, "role=button[name='Change what is announced…']").await?;
    browser.click(owner, "role=button[name='Withdraw']").await?;
    browser.visible(owner, "role=button[name='Announce the next one…']", SOON).await?;
    browser.wait(viewer, "document.querySelector('.announced') === null", SOON).await?;
    let (_, hall_now) = server.call("GET", "/hall", None, None).await?;
    assert_eq!(hall_now["announced"], Value::Array(Vec::new()));
    for page in [viewer, hall] {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    }
    Ok(())
}
