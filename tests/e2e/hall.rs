//! The hall, in Chromium, on real streams: covers of what is live and of nothing else, and finding a room.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::{Room, Server};
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);
/// The field to search in.
const FIELD: &str = "role=searchbox[name='Search rooms']";

fn card(room: &Room) -> String {
    format!("document.querySelector('a[href$=\"{}\"]')?.closest('article')", room.id)
}

/// Whether a picture of the stream is on a room's card.
fn covered(room: &Room) -> String {
    format!("{}?.querySelector('.cover img')?.naturalWidth === 640", card(room))
}

async fn owners_word(server: &Server, room: &Room, word: &str) -> Result<()> {
    let path = format!("/rooms/{}/{word}", room.id);
    let (status, answer) = server.call("POST", &path, Some(&room.token), Some(json!({}))).await?;
    ensure!(status < 300, "{word}: {status} {answer}");
    Ok(())
}

/// Whether the server gives anybody a picture of the room.
async fn has_cover(server: &Server, room: &Room) -> Result<bool> {
    let answer = reqwest::get(format!("{}/api/v1/rooms/{}/cover", server.url(), room.id)).await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    Ok(!answer.bytes().await?.is_empty())
}

/// The picture that programs show where the room's link is shared.
async fn shared_image(server: &Server, room: &Room) -> Result<String> {
    let page = reqwest::get(server.watch_url(room)).await?.text().await?;
    let (_, rest) = page.split_once("<meta property=\"og:image\" content=\"").context("no picture")?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn the_hall_shows_what_is_live_and_nothing_of_who_left() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "幕间 A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.url()).await?;
    browser.wait(page, &covered(&room), SOON).await?;
    // It is the picture of the stream, which is colourful, and not one of the curtain.
    let colours = format!(
        "(() => {{ const c = new OffscreenCanvas(32, 18).getContext('2d'); c.drawImage({}.querySelector('img'), 0, 0, 32, 18); \
         const d = c.getImageData(0, 0, 32, 18).data; let n = 0; \
         for (let i = 0; i < d.length; i += 4) if (Math.max(d[i + 1], d[i + 2]) > d[i] + 60) n += 1; return n; }})()",
        card(&room)
    );
    let green_or_blue = browser.eval(page, &colours).await?.as_u64().unwrap_or(0);
    ensure!(green_or_blue > 60, "{green_or_blue} of 576 are green or blue");

    let image = shared_image(&server, &room).await?;
    ensure!(image == format!("{}/api/v1/rooms/{}/cover", server.url(), room.id), "{image}");
    let picture = reqwest::get(&image).await?;
    ensure!(picture.headers()["content-type"] == "image/jpeg" && !picture.bytes().await?.is_empty());

    owners_word(&server, &room, "leave").await?;
    let fixed = format!("{}/preview.png", server.url());
    ensure!(shared_image(&server, &room).await? == fixed, "the picture of somebody who left is shared");
    ensure!(!has_cover(&server, &room).await?, "a picture of somebody who left");
    let gone = format!("{} && {}.querySelector('img') === null", card(&room), card(&room));
    browser.wait(page, &gone, SOON).await?;
    server.wait_stage(&room, "away", SOON).await?;
    ensure!(!has_cover(&server, &room).await?, "a picture of the placeholder");
    owners_word(&server, &room, "back").await?;
    browser.wait(page, &covered(&room), SOON).await?;

    // A publisher that is gone leaves no picture behind either, nor does the end.
    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    ensure!(!has_cover(&server, &room).await?, "a picture of a lost stream");
    owners_word(&server, &room, "end").await?;
    ensure!(!has_cover(&server, &room).await?, "a picture of a stream that ended");
    ensure!(shared_image(&server, &room).await? == fixed, "a picture of a stream that ended is shared");
    browser.wait(page, "document.querySelector('article') === null", SOON).await?;
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    Ok(())
}

/// The rooms that the hall lists, by their ids, in order.
async fn listed(browser: &mut Browser, page: Page, rooms: &[&Room]) -> Result<()> {
    let ids = rooms.iter().map(|room| room.id.as_str()).collect::<Vec<_>>().join(" ");
    let links = "[...document.querySelectorAll('.content a[href^=\"/watch/\"]')]";
    let now = format!("{links}.map((a) => a.getAttribute('href').split('/').at(-1)).sort().join(' ')");
    let mut wanted: Vec<&str> = ids.split(' ').filter(|id| !id.is_empty()).collect();
    wanted.sort_unstable();
    browser.wait(page, &format!("{now} === {:?}", wanted.join(" ")), SOON).await.map(|_| ())
}

#[tokio::test]
async fn a_room_is_found_by_keyboard_and_the_address_keeps_the_words() -> Result<()> {
    let server = Server::start().await?;
    let cafe = server.room("岚山 Lanshan", "深夜手冲 · 听雨聊天").await?;
    let code = server.room("Marlow", "Writing an RTMP server").await?;
    for (room, change) in [(&cafe, json!({"tags": ["咖啡", "雨声"]})), (&code, json!({"category": "Code"}))] {
        server.call("PATCH", &format!("/rooms/{}", room.id), Some(&room.token), Some(change)).await?;
    }
    let _live = Publish::default().start(&server.publish_url(&code))?;
    server.wait_stage(&code, "live", SOON).await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.url()).await?;
    listed(&mut browser, page, &[&cafe, &code]).await?;

    browser.key(page, "/").await?;
    browser.type_text(page, "咖啡聊天").await?;
    listed(&mut browser, page, &[&cafe]).await?;
    browser.visible(page, "role=status >> text=Rooms found for “咖啡聊天”: 1", SOON).await?;
    let kept = "new URLSearchParams(location.search).get('q')";
    assert_eq!(browser.eval(page, kept).await?, "咖啡聊天");
    // Another page with that address shows the same, and so does the way back from a room.
    let address = browser.eval(page, "location.href").await?;
    let other = browser.page(&Look { locale: "zh-CN", ..Look::default() }).await?;
    browser.goto(other, address.as_str().unwrap_or_default()).await?;
    listed(&mut browser, other, &[&cafe]).await?;
    browser.visible(other, "text=“咖啡聊天”：找到 1 个房间", SOON).await?;
    browser.click(page, &format!("a[href$='{}']", cafe.id)).await?;
    browser.wait(page, "location.pathname.startsWith('/watch/') && location.search === ''", SOON).await?;
    browser.eval(page, "(history.back(), true)").await?;
    listed(&mut browser, page, &[&cafe]).await?;
    assert_eq!(browser.eval(page, "document.querySelector('input[type=search]').value").await?, "咖啡聊天");

    // A live one, by the beginning of its streamer's name; and what nobody has.
    browser.fill(page, FIELD, "ＭＡＲ").await?;
    listed(&mut browser, page, &[&code]).await?;
    browser.fill(page, FIELD, "100% \"*_'").await?;
    browser.visible(page, "role=status >> text=/No room has “100% \"\\*_'” in its title/", SOON).await?;
    listed(&mut browser, page, &[]).await?;
    browser.press(page, FIELD, "Escape").await?;
    listed(&mut browser, page, &[&cafe, &code]).await?;
    browser.wait(page, "location.search === '' && document.activeElement.type === 'search'", SOON).await?;
    // A room that gets another title while it is looked for is found by that.
    browser.type_text(page, "雪").await?;
    listed(&mut browser, page, &[]).await?;
    let path = format!("/rooms/{}", cafe.id);
    server.call("PATCH", &path, Some(&cafe.token), Some(json!({"title": "看雪"}))).await?;
    listed(&mut browser, page, &[&cafe]).await?;
    for page in [page, other] {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    }
    Ok(())
}
