//! Following a streamer, in Chromium: from a stranger's press to the section at the head of the hall.

use std::time::Duration;

use anyhow::{Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::{Room, Server};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

/// The rooms that the followed section shows, as cards and in lines, by their ids; nothing stands twice in the hall.
async fn followed(browser: &mut Browser, page: Page, live: &[&Room], off: &[&Room]) -> Result<()> {
    let ids = |rooms: &[&Room]| {
        let mut ids: Vec<&str> = rooms.iter().map(|room| room.id.as_str()).collect();
        ids.sort_unstable();
        ids.join(" ")
    };
    let shown = "(() => { const ids = (links) => [...links].map((a) => a.getAttribute('href').split('/').at(-1)).sort(); \
        const part = (what) => ids(document.querySelectorAll(`section[aria-labelledby=followed] ${what} a`)).join(' '); \
        const all = ids(document.querySelectorAll('.content a[href^=\"/watch/\"]')); \
        return [part('article'), part('.off'), all.length === new Set(all).size].join('|'); })()";
    let wanted = format!("{}|{}|true", ids(live), ids(off));
    browser.wait(page, &format!("{shown} === {wanted:?}"), SOON).await.map(|_| ())
}

async fn log_in(browser: &mut Browser, page: Page, name: &str) -> Result<()> {
    browser.fill(page, "dialog input[name=username]", name).await?;
    browser.fill(page, "dialog input[type=password]", "correct horse battery").await?;
    browser.press(page, "dialog input[type=password]", "Enter").await?;
    browser.wait(page, "document.querySelector('dialog') === null", SOON).await.map(|_| ())
}

#[tokio::test]
async fn a_streamer_is_followed_and_stands_at_the_head_of_the_hall() -> Result<()> {
    let server = Server::start().await?;
    let live = server.room("岚山", "深夜手冲").await?;
    let other = server.room("Marlow", "Writing an RTMP server").await?;
    let off = server.room("石头", "明早见").await?;
    server.account("小明").await?;
    let _publishers =
        [Publish::default().start(&server.publish_url(&live))?, Publish::default().start(&server.publish_url(&other))?];
    for room in [&live, &other] {
        server.wait_stage(room, "live", SOON).await?;
    }
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.url()).await?;

    // A stranger is asked to log in, and stays in the hall.
    let button = "role=button[name='Follow 岚山']";
    browser.click(page, button).await?;
    log_in(&mut browser, page, "小明").await?;
    assert_eq!(browser.eval(page, "location.pathname").await?, "/");
    followed(&mut browser, page, &[], &[]).await?;
    // By keyboard; the card itself is a link, which the press does not follow.
    browser.press(page, button, "Enter").await?;
    browser.visible(page, "role=button[name='Following 岚山'][pressed]", SOON).await?;
    followed(&mut browser, page, &[&live], &[]).await?;
    assert_eq!(browser.eval(page, "location.pathname").await?, "/");
    browser.visible(page, "role=heading[name='Others on stage'][level=2]", SOON).await?;

    // One that is off air, on its own page.
    browser.goto(page, &server.watch_url(&off)).await?;
    browser.click(page, ".about >> role=button[name='Follow 石头']").await?;
    browser.visible(page, ".about >> role=button[name='Following 石头'][pressed]", SOON).await?;
    browser.goto(page, &server.url()).await?;
    followed(&mut browser, page, &[&live], &[&off]).await?;
    // What is searched for stands together.
    browser.fill(page, "role=searchbox", "石头").await?;
    browser.wait(page, "document.querySelector('section[aria-labelledby=followed]') === null", SOON).await?;
    browser.visible(page, &format!(".others a[href$='{}']", off.id), SOON).await?;
    browser.press(page, "role=searchbox", "Escape").await?;
    followed(&mut browser, page, &[&live], &[&off]).await?;

    // Its streamer is told how many follow, and has nothing to follow there.
    let streamer = browser.page(&Look { locale: "zh-CN", ..Look::default() }).await?;
    browser.goto(streamer, &server.watch_url(&live)).await?;
    let session = format!("(localStorage.setItem('mujian.token', {:?}), location.reload(), true)", live.token);
    browser.eval(streamer, &session).await?;
    browser.visible(streamer, ".about >> text=1 人关注", SOON).await?;
    ensure!(browser.eval(streamer, "document.querySelector('.about [aria-pressed]') === null").await? == json!(true));
    ensure!(browser.eval(page, "!document.body.innerText.includes('Followers')").await? == json!(true));

    // The end moves it to what is off; pressed again it is followed no more.
    let (status, answer) =
        server.call("POST", &format!("/rooms/{}/end", live.id), Some(&live.token), Some(json!({}))).await?;
    ensure!(status < 300, "{answer}");
    followed(&mut browser, page, &[], &[&live, &off]).await?;
    browser.click(page, &format!(".off a[href$='{}']", off.id)).await?;
    browser.click(page, ".about >> role=button[name='Following 石头']").await?;
    browser.visible(page, ".about >> role=button[name='Follow 石头']", SOON).await?;
    browser.goto(page, &server.url()).await?;
    followed(&mut browser, page, &[], &[&live]).await?;
    // Logged out, nothing of it is left in the page.
    browser.eval(page, "(localStorage.removeItem('mujian.token'), location.reload(), true)").await?;
    browser.visible(page, "role=button[name='Follow Marlow']", SOON).await?;
    followed(&mut browser, page, &[], &[]).await?;
    for page in [page, streamer] {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    }
    Ok(())
}
