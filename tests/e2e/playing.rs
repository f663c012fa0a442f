//! Players in pages play through leaving and coming back (row B4): Chromium, and WebKitGTK as the app's window.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look};
use mujian_tests::desk::Desk;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::flv::Viewer;
use mujian_tests::measure::leave::{call, wall};
use mujian_tests::measure::playing::{Playing, SEEN, WATCH};
use mujian_tests::process::Program;
use mujian_tests::server::{Room, Server};
use mujian_tests::webdriver::Window;
use serde_json::{Value, json};

use crate::app::HALL;

const SOON: Duration = Duration::from_secs(30);
const SWITCHES: [(&str, &str); 6] =
    [("leave", "away"), ("back", "live"), ("leave", "away"), ("back", "live"), ("leave", "away"), ("back", "live")];

/// A page with the room's video in it.
enum Page {
    Chromium(Box<Browser>, mujian_tests::browser::Page),
    WebKit(Box<Window>),
}

impl Page {
    async fn eval(&mut self, script: &str) -> Result<Value> {
        match self {
            Self::Chromium(browser, page) => browser.eval(*page, script).await,
            Self::WebKit(window) => window.eval(script).await,
        }
    }

    async fn wait(&mut self, script: &str) -> Result<()> {
        match self {
            Self::Chromium(browser, page) => browser.wait(*page, script, SOON).await.map(drop),
            Self::WebKit(window) => window.wait(script, SOON).await.map(drop),
        }
    }
}

async fn on_air() -> Result<(Server, Room, Program)> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    Ok((server, room, publisher))
}

/// Leaves and comes back several times; the page's player has played two seconds of each.
async fn plays_through(server: &Server, room: &Room, page: &mut Page) -> Result<()> {
    let time = "document.querySelector('video').currentTime";
    page.wait("document.querySelector('video')?.videoWidth === 640").await?;
    page.wait(&format!("{time} > 3")).await?;
    // Another viewer of the same, which says when the stream itself is held up.
    let viewer = Viewer::open(&server.flv_url(room)).await?;
    viewer.more_pictures(15, SOON).await?;
    page.eval(WATCH).await?;
    let mut switches = Vec::new();
    for (press, stage) in SWITCHES {
        switches.push((press, wall()));
        call(server, room, press, json!({})).await?;
        server.wait_stage(room, stage, SOON).await?;
        let at = page.eval(time).await?.as_f64().context("no time")?;
        page.wait(&format!("{time} > {}", at + 2.0)).await.with_context(|| format!("it stands still after {press}"))?;
    }
    let playing = Playing::read(&page.eval(SEEN).await?)?;
    println!("{playing:?}");
    ensure!(playing.to - playing.from > 12.0, "it played {} s", playing.to - playing.from);
    playing.through(&switches, &viewer.tags())
}

#[tokio::test]
async fn chromium_plays_through_leaving_and_coming_back() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    plays_through(&server, &room, &mut Page::Chromium(Box::new(browser), page)).await
}

#[tokio::test]
async fn webkit_plays_through_leaving_and_coming_back() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let desk = Desk::new().await?;
    let app = desk.open_app_at(&server.url()).await?;
    app.click(HALL).await?;
    app.click(&format!("a[href$='{}']", room.id)).await?;
    plays_through(&server, &room, &mut Page::WebKit(Box::new(app))).await
}
