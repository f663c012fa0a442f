//! `make shots`: pictures of every screen, in both languages, both themes, at 1280 x 800 and in the smallest window,
//! into `target/shots`. The browser's from a real server with a real stream, the studio from the real app.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::chat;
use mujian_tests::desk::Desk;
use mujian_tests::process::source_root;
use mujian_tests::server::{Room, Server};
use mujian_tests::{live, wait};
use serde_json::json;

/// What to take pictures of.
#[derive(Parser)]
struct Arguments {
    /// Where they go.
    #[arg(long)]
    out: Option<PathBuf>,
    /// `web` or `studio`; both if neither is named.
    parts: Vec<String>,
}

/// The app's smallest window.
const SMALLEST: (u32, u32) = (960, 600);
const SOON: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let out = arguments.out.clone().unwrap_or_else(|| source_root().join("target/shots"));
    std::fs::create_dir_all(&out)?;
    let wanted = |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|p| p == part);
    if wanted("web") {
        web(&out).await?;
    }
    if wanted("studio") {
        studio(&out).await?;
    }
    println!("{} pictures in {}", std::fs::read_dir(&out)?.count(), out.display());
    Ok(())
}

/// Rooms with people's titles, one of them on air, with danmaku.
async fn rooms(server: &Server) -> Result<Room> {
    let room = server.room("岚山 Lanshan", "深夜手冲 · 听雨聊天").await?;
    let change = json!({"category": "生活", "tags": ["咖啡", "雨声"]});
    server.call("PATCH", &format!("/rooms/{}", room.id), Some(&room.token), Some(change)).await?;
    server.room("Marlow", "Writing an RTMP server from scratch, with questions").await?;
    server.room("小满", "练琴").await?;
    Ok(room)
}

async fn web(out: &Path) -> Result<()> {
    let mut server = Server::start().await?;
    let operator = server.operator("掌柜 Olga").await?;
    let room = rooms(&server).await?;
    let _live = live::start(&server, &room, &["--test-card"]).await?;
    let guest = server.account("石头").await?;
    let me = server.account("阿宁").await?;
    let said = ["雨声真好", "晚上好 @岚山 Lanshan", "第一次来", "@阿宁 你也在啊", "剧透一下结局"];
    chat::say(&server, &room, &guest, &said).await?;
    let mut browser = Browser::start(true).await?;
    for (locale, language) in [("en-US", "en"), ("zh-CN", "zh")] {
        for dark in [true, false] {
            for (width, height) in [(1280, 800), SMALLEST, (390, 844)] {
                let look = Look { width, height, locale, dark, ..Look::default() };
                let name = |screen: &str| {
                    let theme = if dark { "dark" } else { "light" };
                    out.join(format!("{screen}-{language}-{theme}-{width}x{height}.png"))
                };
                let page = browser.page(&look).await?;
                browser.goto(page, &server.url()).await?;
                browser.visible(page, &format!("a[href$='{}']", room.id), SOON).await?;
                browser.visible(page, "article .cover img", SOON).await?;
                settled(&mut browser, page, &name("hall")).await?;
                for (words, what) in [("练琴", "hall-found"), ("海上", "hall-nothing")] {
                    browser.fill(page, "role=searchbox", words).await?;
                    browser.visible(page, &format!("role=status >> text=“{words}”"), SOON).await?;
                    settled(&mut browser, page, &name(what)).await?;
                }
                browser.goto(page, &server.watch_url(&room)).await?;
                browser.wait(page, "document.querySelector('video')?.currentTime > 1", SOON).await?;
                settled(&mut browser, page, &name("room")).await?;
                watching(&mut browser, page, &me, &name).await?;
                browser.goto(page, &format!("{}/account", server.url())).await?;
                browser.visible(page, "main, h1", SOON).await?;
                settled(&mut browser, page, &name("account")).await?;
                account(&mut browser, page, &operator, &name).await?;
                browser.goto(page, &format!("{}/parts", server.url())).await?;
                browser.visible(page, ".page h1", SOON).await?;
                settled(&mut browser, page, &name("parts")).await?;
                browser.goto(page, &format!("{}/watch/nowhere", server.url())).await?;
                browser.visible(page, "main, h1, h2", SOON).await?;
                settled(&mut browser, page, &name("missing")).await?;
                browser.close(page).await?;
            }
        }
    }
    Ok(())
}

/// The room's own parts, for somebody who is logged in. Leaves the page logged out again.
async fn watching(browser: &mut Browser, page: Page, me: &str, name: &impl Fn(&str) -> PathBuf) -> Result<()> {
    let field = "role=combobox";
    let session = format!("(localStorage.setItem('mujian.token', {me:?}), location.reload(), true)");
    browser.eval(page, &session).await?;
    browser.visible(page, field, SOON).await?;
    browser.wait(page, "document.querySelector('video')?.currentTime > 1", SOON).await?;
    for (key, what) in [("i", "room-quality"), ("t", "room-theatre")] {
        browser.key(page, key).await?;
        settled(browser, page, &name(what)).await?;
    }
    browser.key(page, "t").await?;
    browser.key(page, "i").await?;
    browser.fill(page, field, "@").await?;
    browser.press(page, field, "End").await?;
    browser.visible(page, "role=option", SOON).await?;
    settled(browser, page, &name("room-names")).await?;
    browser.fill(page, field, "好听").await?;
    browser.click(page, ".emoji").await?;
    settled(browser, page, &name("room-emoji")).await?;
    browser.key(page, "Escape").await?;
    browser.fill(page, field, "").await?;
    browser.click(page, ".list .name >> nth=0").await?;
    settled(browser, page, &name("room-person")).await?;
    browser.click(page, ".more > button").await?;
    settled(browser, page, &name("room-more")).await?;
    browser.click(page, ".more .panel button >> nth=-1").await?;
    settled(browser, page, &name("room-keys")).await?;
    browser.key(page, "Escape").await?;
    browser.click(page, ".pair button >> nth=1").await?;
    browser.fill(page, "role=dialog >> .entry", "剧透").await?;
    browser.key(page, "Enter").await?;
    settled(browser, page, &name("room-settings")).await?;
    browser.key(page, "Escape").await?;
    browser
        .eval(page, "(localStorage.removeItem('mujian.token'), localStorage.removeItem('mujian.blocked'), true)")
        .await?;
    Ok(())
}

/// The account page of who runs the server, and its dialogs. Leaves the page logged out again.
async fn account(browser: &mut Browser, page: Page, operator: &str, name: &impl Fn(&str) -> PathBuf) -> Result<()> {
    let section = |n: usize, what: &str| format!(".content > section >> nth={n} >> {what}");
    let show = |n: usize| format!("(document.querySelectorAll('.content > section')[{n}].scrollIntoView(), true)");
    browser.click(page, ".content button >> nth=0").await?;
    browser.click(page, "role=dialog >> form >> button >> nth=1").await?;
    settled(browser, page, &name("account-recover")).await?;
    let session = format!("(localStorage.setItem('mujian.token', {operator:?}), location.reload(), true)");
    browser.eval(page, &session).await?;
    browser.visible(page, &section(5, "button"), SOON).await?;
    browser.eval(page, &show(2)).await?;
    settled(browser, page, &name("account-security")).await?;
    for (n, button, what) in [(2, 0, "account-password"), (2, 1, "account-everywhere"), (3, 1, "account-delete")] {
        browser.click(page, &section(n, &format!("button >> nth={button}"))).await?;
        settled(browser, page, &name(what)).await?;
        browser.key(page, "Escape").await?;
    }
    browser.fill(page, &section(4, "input"), "石头").await?;
    browser.click(page, &section(4, "button")).await?;
    browser.visible(page, ".made", SOON).await?;
    browser.click(page, &section(5, "button")).await?;
    browser.visible(page, &section(5, "li >> nth=0"), SOON).await?;
    browser.eval(page, &show(4)).await?;
    settled(browser, page, &name("account-operator")).await?;
    browser.eval(page, "(localStorage.removeItem('mujian.token'), true)").await?;
    Ok(())
}

/// Takes the picture when fonts are there and nothing has moved in for two frames.
async fn settled(browser: &mut Browser, page: Page, path: &Path) -> Result<()> {
    let quiet = "document.fonts.ready.then(() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done(true))), 500)))";
    browser.eval(page, quiet).await?;
    browser.picture(page, path).await
}

async fn studio(out: &Path) -> Result<()> {
    let desk = Desk::new().await?;
    let _tone = desk.sound.tone(440)?;
    let app = desk.open_app().await?;
    for (code, language) in [("en", "en"), ("zh-CN", "zh")] {
        for theme in ["dark", "light"] {
            let set = format!(
                "(localStorage.setItem('mujian.language', '{code}'), localStorage.setItem('mujian.prefs', JSON.stringify({{theme: '{theme}'}})), location.assign('/studio'), true)"
            );
            app.eval(&set).await?;
            app.wait("document.querySelector('canvas.seen') !== null", SOON).await?;
            for (width, height) in [(1280, 800), SMALLEST] {
                app.resize(width, height).await?;
                wait::until("the window's size", SOON, || async {
                    let inner = app.eval("innerWidth").await?;
                    Ok((inner == json!(width)).then_some(()))
                })
                .await?;
                app.wait("new Promise((done) => setTimeout(() => done(true), 600))", SOON).await?;
                app.picture(&out.join(format!("studio-{language}-{theme}-{width}x{height}.png"))).await?;
            }
        }
    }
    // On air, with the pictures for the README.
    app.eval("(localStorage.setItem('mujian.language', 'en'), localStorage.setItem('mujian.prefs', JSON.stringify({theme: 'dark'})), location.assign('/studio'), true)").await?;
    app.resize(1280, 800).await?;
    app.click("//button[contains(., 'Go live')]").await?;
    app.wait("[...document.querySelectorAll('button')].some((b) => b.textContent.trim() === 'End')", SOON).await?;
    app.wait("new Promise((done) => setTimeout(() => done(true), 5000))", SOON).await?;
    app.picture(&out.join("studio-live-en-dark-1280x800.png")).await?;
    Ok(())
}
