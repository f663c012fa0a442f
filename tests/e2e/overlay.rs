//! The overlay for OBS's browser source (row G5): made in the account page, opened as OBS does, ended by its owner.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::chat::say;
use mujian_tests::ffmpeg::{self, Publish};
use mujian_tests::picture;
use mujian_tests::server::{Room, Server, Setup};
use serde_json::json;

use crate::accessible::STILL;

const SOON: Duration = Duration::from_secs(20);
/// What the overlay says.
const WORDS: &str = "(document.body?.innerText ?? '').trim()";

fn shows(text: &str) -> String {
    format!("{WORDS}.includes({text:?})")
}

/// The owner's account page, with the dialog of the room's overlay.
async fn account(browser: &mut Browser, server: &Server, room: &Room) -> Result<Page> {
    let page = browser.page(&Look::default()).await?;
    let address = format!("{}/account", server.url());
    browser.goto(page, &address).await?;
    browser.eval(page, &format!("(localStorage.setItem('mujian.token', {:?}), true)", room.token)).await?;
    browser.goto(page, &address).await?;
    browser.click(page, "role=button[name='Overlay…']").await?;
    Ok(page)
}

/// The address that the dialog shows.
async fn address(browser: &mut Browser, page: Page) -> Result<String> {
    let shown = "document.querySelector('dialog input')?.value ?? ''";
    let address = browser.wait(page, shown, SOON).await?;
    Ok(address.as_str().context("no address")?.to_owned())
}

/// A page as OBS opens one: as large as the canvas, and nothing behind it.
async fn overlay(browser: &mut Browser, address: &str) -> Result<Page> {
    let page = browser.page(&Look { width: 1280, height: 720, ..Look::default() }).await?;
    browser.goto(page, address).await?;
    Ok(page)
}

/// What the page paints, as `r, g, b, a`, once nothing in it moves any more.
async fn painted(browser: &mut Browser, page: Page) -> Result<Vec<u8>> {
    browser.eval(page, STILL).await?;
    let file = tempfile::Builder::new().suffix(".png").tempfile()?;
    browser.layer(page, file.path()).await?;
    ffmpeg::layer(file.path()).await
}

#[tokio::test]
async fn an_overlay_shows_the_room_over_nothing_until_its_address_is_renewed() -> Result<()> {
    let server = Setup::default().log("debug").start().await?;
    let room = server.room("岚山", "A room").await?;
    let guest = server.account("小明").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let mut browser = Browser::start(false).await?;
    let owner = account(&mut browser, &server, &room).await?;
    browser.click(owner, "role=button[name='Make an address']").await?;
    let first = address(&mut browser, owner).await?;
    ensure!(first.starts_with(&format!("{}/overlay/{}#", server.url(), room.id)), "{first}");

    // Comments stay: how long a test takes is the machine's affair.
    let (place, key) = first.split_once('#').context("no key")?;
    let shown = overlay(&mut browser, &format!("{place}?keep=0#{key}")).await?;
    browser.visible(shown, ".viewers", SOON).await?;
    // Markup is text, and a word without an end stays in its place.
    let hostile = "<img src=x onerror=\"document.title='taken'\"><b>晚上好</b>";
    let long = "哈".repeat(90);
    say(&server, &room, &guest, &[hostile, &long]).await?;
    browser.wait(shown, &shows(hostile), SOON).await?;
    browser.wait(shown, &shows(&long), SOON).await?;
    browser.wait(shown, &shows("小明"), SOON).await?;
    let markup = "[document.title === 'taken', document.querySelectorAll('img, b').length, \
        document.querySelector('.comments').scrollWidth > document.querySelector('.comments').clientWidth]";
    assert_eq!(browser.eval(shown, markup).await?, json!([false, 0, false]));
    let pixels = painted(&mut browser, shown).await?;
    assert_eq!(pixels.len(), 1280 * 720 * 4);
    let empty = picture::empty(&pixels);
    assert!((0.75..0.999).contains(&empty), "{empty} of the picture is left free");
    // All of the right half is.
    let right: Vec<u8> = pixels.chunks_exact(1280 * 4).flat_map(|row| &row[640 * 4..]).copied().collect();
    assert_eq!(picture::empty(&right), 1.0);
    let letters = pixels.chunks_exact(4).filter(|p| p[3] == 255 && p[0] > 240 && p[1] > 240 && p[2] > 240).count();
    assert!(letters > 500, "{letters} pixels of white letters");

    // The streamer leaves: viewers vote, and are told the time.
    let back = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64 + 600_000;
    let path = format!("/rooms/{}", room.id);
    let (status, answer) =
        server.call("POST", &format!("{path}/leave"), Some(&room.token), Some(json!({"back_at": back}))).await?;
    ensure!(status < 300, "{answer}");
    browser.visible(shown, ".away", SOON).await?;
    browser.wait(shown, &shows("Away"), SOON).await?;
    browser.wait(shown, &shows("Back at "), SOON).await?;
    browser.visible(shown, ".ballot", SOON).await?;
    let (_, ballot) = server.call("GET", &format!("{path}/ballot"), None, None).await?;
    let vote = json!({"ballot": ballot["ballot"]["id"], "option": 1});
    let (status, answer) = server.call("POST", &format!("{path}/ballot/vote"), Some(&guest), Some(vote)).await?;
    ensure!(status < 300, "{answer}");
    browser.wait(shown, "document.querySelectorAll('.ballot b')[1]?.innerText === '100%'", SOON).await?;
    server.call("POST", &format!("{path}/back"), Some(&room.token), Some(json!({}))).await?;
    browser.wait(shown, "!document.querySelector('.away, .ballot')", SOON).await?;

    // As the address says it: in Chinese, on the right, large, without the viewers.
    let said = format!("{place}?lang=zh&side=right&size=40&hide=viewers&keep=0#{key}");
    let other = overlay(&mut browser, &said).await?;
    browser.wait(other, &shows(hostile), SOON).await?;
    let look = "[document.documentElement.lang, !!document.querySelector('.viewers'), \
        getComputedStyle(document.querySelector('.comments li')).fontSize, \
        document.querySelector('.overlay').getBoundingClientRect().right]";
    assert_eq!(browser.eval(other, look).await?, json!(["zh-CN", false, "40px", 1280]));

    // Renewed: what is shown with the old address ends at once, and opened again it says why it is empty.
    browser.click(owner, "role=button[name='Make a new one']").await?;
    browser.click(owner, "role=button[name='Make a new one']").await?;
    browser.wait(owner, &format!("document.querySelector('dialog input')?.value !== {first:?}"), SOON).await?;
    for page in [shown, other] {
        browser.wait(page, &format!("{WORDS} === ''"), SOON).await?;
        assert_eq!(picture::empty(&painted(&mut browser, page).await?), 1.0);
    }
    let second = address(&mut browser, owner).await?;
    browser.goto(other, "about:blank").await?;
    browser.goto(other, &first).await?;
    browser.wait(other, &shows("no longer works"), SOON).await?;
    let new = overlay(&mut browser, &second.replace('#', "?keep=0#")).await?;
    browser.wait(new, &shows("晚上好"), SOON).await?;
    browser.click(owner, "role=button[name='Switch off']").await?;
    browser.click(owner, "role=button[name='Switch off']").await?;
    browser.wait(new, &format!("{WORDS} === ''"), SOON).await?;
    for page in [owner, shown, other, new] {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    }
    // The key is told to nobody but the page: not even a talkative log has it.
    let log = server.program.words();
    assert!(log.contains(&room.id), "{log}");
    for address in [&first, &second] {
        let key = address.rsplit('#').next().context("no key")?;
        assert!(key.len() > 40 && !log.contains(key), "{log}");
    }
    Ok(())
}
