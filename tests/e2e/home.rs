//! The first start of the app, and whose server it uses (issue 4): the app's own, or one that others run.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::desk::Desk;
use mujian_tests::link::{Road, Roads};
use mujian_tests::server::Server;
use mujian_tests::wait;
use mujian_tests::webdriver::Window;

use crate::app::{GO_LIVE, wait_stage};

const SOON: Duration = Duration::from_secs(30);
const WELCOME: &str = "document.querySelector('[aria-labelledby=welcome]')";
const ACCOUNT: &str = "//nav//a[contains(., 'Account')]";

#[tokio::test]
async fn the_first_start_asks_for_a_name_and_keeps_nobody_from_going_live() -> Result<()> {
    let desk = Desk::new().await?;
    let app = desk.open_app().await?;
    app.wait(&format!("{WELCOME} !== null"), SOON).await.context("nobody is welcomed")?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview beside it")?;
    // Chinese, at once.
    app.click("//*[@aria-labelledby='welcome']//label[contains(., '中文')]").await?;
    app.wait("document.body.innerText.includes('欢迎来到幕间')", SOON).await?;
    app.click("//*[@aria-labelledby='welcome']//label[contains(., 'English')]").await?;
    app.fill("[aria-labelledby=welcome] input[autocomplete=nickname]", "岚山 Lanshan").await?;
    app.click("//button[normalize-space(.) = 'Begin']").await?;
    app.wait(&format!("{WELCOME} === null"), SOON).await.context("it asks on")?;
    app.click(ACCOUNT).await?;
    app.wait("document.querySelector('h1')?.innerText === '岚山 Lanshan'", SOON).await?;
    app.close().await?;
    drop(app);

    // Asked once.
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await?;
    ensure!(app.eval(&format!("{WELCOME} === null")).await? == true, "asked again");
    app.click(GO_LIVE).await?;
    let room = wait_stage(&desk.hosted().await?, "live").await?;
    ensure!(room["owner"]["name"] == "岚山 Lanshan", "{room}");
    Ok(())
}

#[tokio::test]
async fn the_app_joins_a_server_that_others_run() -> Result<()> {
    let server = Server::start().await?;
    let roads = Roads::to(&server).await?;
    let desk = Desk::new().await?;
    let app = desk.open_watched_app().await?;
    app.wait(&format!("{WELCOME} !== null"), SOON).await.context("nobody is welcomed")?;
    desk.hosted().await?;
    app.click("//*[@aria-labelledby='welcome']//label[contains(., 'At a server')]").await?;
    let address = "[aria-labelledby=welcome] input[autocomplete=url]";
    // What is wrong is said where it was typed, and nothing changes.
    for (typed, said) in [("ftp://nowhere", "no server's address"), (&server.rtmp.to_string(), "cannot be reached")] {
        app.fill(address, typed).await?;
        app.click("//button[normalize-space(.) = 'Use this server']").await?;
        app.wait(&format!("{WELCOME}.innerText.includes({said:?})"), SOON).await.context(typed.to_owned())?;
    }
    let windows = app.processes(|words| words.get(1).is_some_and(|w| w == "window"))?;
    app.fill(address, &roads.control.at.to_string()).await?;
    app.click_to_close("//button[normalize-space(.) = 'Use this server']").await?;
    // The window ends and another is opened; nothing is hosted any more.
    wait::until("another window", SOON, || async {
        let now = app.processes(|words| words.get(1).is_some_and(|w| w == "window"))?;
        Ok((now.len() == 1 && now != windows).then_some(()))
    })
    .await?;
    wait::until("that nothing is hosted", SOON, || async {
        Ok(app.processes(|words| words.get(1).is_some_and(|w| w == "host"))?.is_empty().then_some(()))
    })
    .await?;
    drop(app);

    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await?;
    ensure!(app.eval(&format!("{WELCOME} === null")).await? == true, "asked again");
    app.click(ACCOUNT).await?;
    app.click("//button[normalize-space(.) = 'Sign up']").await?;
    app.fill("dialog input[autocomplete=username]", "guest").await?;
    app.fill("dialog input[type=password]", "correct horse battery").await?;
    app.click("//dialog//button[@type='submit']").await?;
    app.wait("document.querySelector('h1')?.innerText === 'guest'", SOON).await?;
    app.click("//nav//a[contains(., 'Stage')]").await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await?;
    the_line_is_measured(&app, &roads).await?;
    app.click(GO_LIVE).await?;
    let room = wait_stage(&server.url(), "live").await?;
    ensure!(room["owner"]["name"] == "guest", "{room}");
    // What the stream needs is not taken from it.
    app.click("//label[normalize-space(.) = 'Set-up']").await?;
    app.wait("document.querySelector('aside .setup') !== null", SOON).await?;
    ensure!(app.eval("!document.body.innerText.includes('Measure the line')").await? == true, "measured on air");
    Ok(())
}

/// The road is narrow: what it carries is told about right, and the size that fits is taken with one press.
async fn the_line_is_measured(app: &Window, roads: &Roads) -> Result<()> {
    const CARRIES: f64 = 3.2;
    roads.are(Road::Narrow((CARRIES * 1_000_000.0 / 8.0) as u32));
    app.click("//button[normalize-space(.) = 'Measure the line']").await?;
    app.wait("document.body.innerText.includes('Mbit/s get through')", SOON).await?;
    roads.are(Road::Clear);
    let said = app.eval("document.body.innerText.match(/About ([0-9.]+) Mbit/)[1]").await?;
    let told: f64 = said.as_str().context("no figure")?.parse()?;
    ensure!((CARRIES * 0.8..CARRIES * 1.2).contains(&told), "{told} Mbit/s of {CARRIES}");
    app.click("//button[normalize-space(.) = 'Use that']").await?;
    let chosen = "[...document.querySelectorAll('aside select')].some((s) => s.value === '540p30')";
    app.wait(chosen, SOON).await?;
    Ok(())
}
