//! A small picture over the large one, and scenes (issue 4): what viewers see of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::flv::{HOLE, SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::screen::Screen;
use mujian_tests::server::Server;
use mujian_tests::{live, picture, wait};

use crate::app::OnAir;

const SOON: Duration = Duration::from_secs(30);

/// What somebody who comes now is shown after a moment, as 32 x 18 places.
async fn newest(url: &str) -> Result<Vec<u8>> {
    let viewer = Viewer::open(url).await?;
    viewer.more_pictures(10, SOON).await?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    picture::colours(file.path()).await?.pop().context("no picture")
}

/// The places of the left upper part, and of the right lower one.
fn parts(shown: &[u8]) -> [Vec<&[u8]>; 2] {
    let part = |columns: std::ops::Range<usize>, rows: std::ops::Range<usize>| {
        rows.flat_map(|row| columns.clone().map(move |column| row * 32 + column))
            .map(|at| &shown[at * 3..][..3])
            .collect()
    };
    [part(2..14, 2..8), part(20..31, 11..17)]
}

/// The share of places that are green.
fn green(places: &[&[u8]]) -> f64 {
    places.iter().filter(|p| p[1] > 110 && p[0] < 70 && p[2] < 70).count() as f64 / places.len() as f64
}

#[tokio::test]
async fn a_small_picture_lies_over_the_screen_but_not_while_away() -> Result<()> {
    let screen = Screen::start(1280, 720).await?;
    let _game = screen.window("A game", "color=0x00a000:size=1280x720:rate=30", (0, 0))?;
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let picture = ["--screen", "--inset", "test-card", "--inset-at", "top-left", "--inset-size", "50"];
    let args = [&picture[..], &["--mic", "none", "--preset", "540p30"]].concat();
    let mut command = live::command(&server, &room, &args)?;
    command.env("DISPLAY", &screen.display);
    let mut program = live::begin(&server, &room, &mut command).await?;
    let url = server.flv_url(&room);
    let viewer = Viewer::open(&url).await?;
    let both = async || {
        wait::until("both pictures", SOON, || async {
            let shown = newest(&url).await?;
            let [small, large] = parts(&shown);
            Ok((green(&small) < 0.5 && green(&large) > 0.9).then_some(()))
        })
        .await
    };
    viewer.more_pictures(30, SOON).await?;
    both().await?;
    live::leave(&mut program, SOON).await?;
    wait::until("neither of them", SOON, || async {
        let shown = newest(&url).await?;
        Ok(parts(&shown).iter().all(|part| green(part) < 0.1).then_some(()))
    })
    .await?;
    server.wait_stage(&room, "away", SOON).await?;
    live::back(&program);
    both().await?;
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    Ok(())
}

#[tokio::test]
async fn scenes_are_kept_in_the_window_and_shown_by_one_press_on_air() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, viewer, server, id, .. } = &on_air;
    let url = format!("{server}/live/{id}.flv");
    const HANDLE: &str = "document.querySelector('[aria-label^=\"Small picture\"]')";
    let shown = |name: &str| {
        format!("[...document.querySelectorAll('[aria-pressed=true]')].some((b) => b.innerText.trim() === '{name}')")
    };
    let keep = async |name: &str| -> Result<()> {
        app.fill("//label[normalize-space(.) = 'Name of a scene']/following-sibling::input", name).await?;
        app.click("//button[normalize-space(.) = 'Keep this picture']").await?;
        app.wait(&shown(name), SOON).await.map(drop)
    };
    app.click("//label[normalize-space(.) = 'Set-up']").await?;
    keep("Card alone").await?;
    let alone = newest(&url).await?;

    app.click("//label[normalize-space(.) = 'A small picture over it']").await?;
    app.wait(&format!("{HANDLE} !== null"), SOON).await?;
    // It is moved by the keyboard, and where it is then is kept.
    let left = app.eval(&format!("{HANDLE}.style.left")).await?;
    let key = "new KeyboardEvent('keydown', { key: 'ArrowLeft', bubbles: true, cancelable: true })";
    app.eval(&format!("({HANDLE}.dispatchEvent({key}), true)")).await?;
    app.wait(&format!("{HANDLE}.style.left !== {left}"), SOON).await?;
    keep("Both").await?;
    // How many places of a hundred of its corner are others than without the small picture.
    let others = |now: &[u8]| {
        let ([_, before], [_, now]) = (parts(&alone), parts(now));
        let pairs = before.iter().zip(&now);
        let moved = pairs.filter(|(a, b)| a.iter().zip(b.iter()).any(|(a, b)| a.abs_diff(*b) > 40)).count();
        moved * 100 / before.len()
    };
    let small = async |there: bool| {
        wait::until(&format!("the small picture: {there}"), SOON, || async {
            let moved = others(&newest(&url).await?);
            Ok(if there { moved > 25 } else { moved < 15 }.then_some(()))
        })
        .await
    };
    small(true).await?;
    app.click("//button[normalize-space(.) = 'Card alone']").await?;
    app.wait(&format!("{HANDLE} === null && {}", shown("Card alone")), SOON).await?;
    small(false).await?;
    app.click("//button[normalize-space(.) = 'Both']").await?;
    app.wait(&format!("{HANDLE} !== null && {}", shown("Both")), SOON).await?;
    small(true).await?;
    ensure!(viewer.ended().is_none(), "the viewer's stream ended");
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    app.click("[aria-label='Delete the scene “Both”']").await?;
    app.wait("!document.body.innerText.includes('Both')", SOON).await?;
    Ok(())
}
