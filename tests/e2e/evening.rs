//! A whole evening (issue 3): the streamer in the app's window, three viewers in browsers. Live, away, a vote, the
//! streamer heard meanwhile, back, owed, settled, the end, and the replay without the time away.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::desk::Desk;
use mujian_tests::flv::Viewer;
use mujian_tests::{ffmpeg, tone, wait};
use serde_json::Value;

use crate::replay::plays_to_the_end;

const SOON: Duration = Duration::from_secs(40);
const RATE: usize = 48_000;

async fn get(url: &str) -> Result<Value> {
    Ok(reqwest::get(url).await?.error_for_status()?.json().await?)
}

async fn wait_stage(server: &str, stage: &str) -> Result<String> {
    wait::until(&format!("the stage {stage}"), SOON, || async {
        let rooms = get(&format!("{server}/api/v1/rooms")).await?;
        anyhow::ensure!(rooms[0]["stage"] == stage, "the stage is {}", rooms[0]["stage"]);
        Ok(rooms[0]["id"].as_str().map(str::to_owned))
    })
    .await
}

/// What every viewer's page shows, or comes to show.
async fn all_see(browser: &mut Browser, pages: &[Page], words: &[&str]) -> Result<()> {
    for page in pages {
        for word in words {
            let seen = format!("document.body.innerText.includes({})", Value::from(*word));
            browser.wait(*page, &seen, SOON).await.with_context(|| format!("a viewer does not see {word}"))?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_evening_with_a_break_a_vote_and_a_promise() -> Result<()> {
    let desk = Desk::new().await?;
    std::fs::create_dir_all(&desk.data)?;
    // Whoever hosts in the app sets the same as with a server alone.
    std::fs::write(desk.data.join("server.toml"), "[recordings]\ncut_from_minutes = 0\n")?;
    let _tone = desk.sound.tone(1500)?;
    let app = desk.open_app().await?;
    app.wait("document.querySelector('canvas.seen') !== null", SOON).await.context("no preview")?;
    let keep = "(() => { const box = [...document.querySelectorAll('label')].find((l) => l.textContent.includes('goes on \
        hearing me'))?.querySelector('input'); if (box && !box.checked) box.click(); return box?.checked; })()";
    app.wait(keep, SOON).await.context("the sound cannot be kept")?;
    // Four pictures at a time are a lot for a small machine.
    let small = "(() => { const size = [...document.querySelectorAll('select')].find((s) => [...s.options].some((o) => o.value \
        === '540p30')); if (!size) return false; size.value = '540p30'; size.dispatchEvent(new Event('change', { bubbles: \
        true })); return true; })()";
    app.wait(small, SOON).await.context("no choice of a size")?;
    let server = desk.hosted().await?;
    let mut browser = Browser::start(false).await?;
    let mut pages = Vec::new();
    for name in ["Ann", "Ben", "小明"] {
        let page = browser.page(&Look { width: 1000, ..Look::default() }).await?;
        browser.goto(page, &format!("{server}/account")).await?;
        browser.click(page, "role=button[name='Sign up']").await?;
        browser.fill(page, "role=dialog >> role=textbox[name=/name/i]", name).await?;
        browser.fill(page, "role=dialog >> input[type=password]", "correct horse battery").await?;
        browser.press(page, "role=dialog >> input[type=password]", "Enter").await?;
        browser.visible(page, &format!("role=heading[name='{name}']"), SOON).await?;
        pages.push(page);
    }

    app.click("//button[contains(., 'Go live')]").await?;
    let room = wait_stage(&server, "live").await?;
    let listener = Viewer::open(&format!("{server}/live/{room}.flv")).await?;
    for page in &pages {
        browser.goto(*page, &format!("{server}/watch/{room}")).await?;
        browser.wait(*page, "document.querySelector('video')?.currentTime > 0.2", SOON).await?;
    }

    app.click("//button[contains(., 'Leave for a while')]").await?;
    wait_stage(&server, "away").await?;
    all_see(&mut browser, &pages, &["Back in a while", "Still on the microphone", "Once back, they will"]).await?;
    listener.more_pictures(2, SOON).await?;
    let left = listener.tags().last().context("nothing came")?.dts;
    for (page, wish) in pages.iter().zip(["Sing a song", "Dance", "Dance"]) {
        browser.click(*page, &format!("role=button[name=/{wish}/]")).await?;
    }
    all_see(&mut browser, &pages, &["67%", "33%", "Your vote"]).await?;
    // A vote is changed, and another one is still there, and one, after its page was opened anew.
    browser.click(pages[0], "role=button[name=/Tell a joke/]").await?;
    browser.goto(pages[1], &format!("{server}/watch/{room}")).await?;
    let tally =
        "[...document.querySelectorAll('section li')].map((l) => l.innerText.replaceAll('\\n', ' ')).join('; ')";
    for page in &pages {
        browser.wait(*page, &format!("/Sing a song 0%.*joke.* 33%.*Dance.* 67%/.test({tally})"), SOON).await?;
    }
    app.wait("document.body.innerText.includes('67%')", SOON).await.context("the streamer does not see the votes")?;
    let until = listener.tags().last().context("nothing came")?.dts;

    app.click("//button[contains(., \"I'm back\")]").await?;
    wait_stage(&server, "live").await?;
    all_see(&mut browser, &pages, &["Promised", "Dance"]).await?;
    app.wait("document.body.innerText.includes('You still owe them')", SOON).await?;
    app.click("//section[@aria-labelledby = 'owed-title']//button[normalize-space(.) = 'Done']").await?;
    all_see(&mut browser, &pages, &["Dance: done"]).await?;
    listener.more_pictures(60, SOON).await?;

    app.click("//button[normalize-space(.) = 'End']").await?;
    app.click("//dialog//button[normalize-space(.) = 'End']").await?;
    wait_stage(&server, "off").await?;

    // Heard all the while: the microphone's tone.
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    listener.save(file.path())?;
    let samples = ffmpeg::samples(file.path()).await?;
    let first = listener.tags().iter().find(|t| t.is_sound()).context("no sound")?.dts;
    let at = |time: u32| (time.saturating_sub(first) as usize) * RATE / 1000;
    let away = samples.get(at(left)..at(until)).context("the sound is too short")?;
    assert!(away.len() > RATE, "away for {} samples", away.len());
    let heard = tone::heard(away, RATE as f32, 1500.0);
    assert!(heard > 0.2, "the streamer is heard for {heard} of the time");

    let id = wait::until("the recording", SOON, || async {
        let list = get(&format!("{server}/api/v1/rooms/{room}/replays")).await?;
        Ok(list[0]["id"].as_str().map(str::to_owned))
    })
    .await?;
    let replay = get(&format!("{server}/api/v1/replays/{id}")).await?;
    let ms = |name: &str| replay[name].as_f64().with_context(|| format!("no {name} in {replay}"));
    assert!(ms("away_ms")? >= f64::from(until - left) && ms("played_ms")? < ms("whole_ms")?, "{replay}");
    let last = pages.pop().context("no page")?;
    for page in pages {
        assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
        browser.close(page).await?;
    }
    browser.goto(last, &format!("{server}/watch/{room}")).await?;
    browser.click(last, &format!("a[href='/replay/{id}']")).await?;
    plays_to_the_end(&mut browser, last, ms("played_ms")? / 1000.0).await?;
    assert_eq!(browser.complaints(last).await?, Vec::<String>::new());
    Ok(())
}
