//! Recordings and replays (row B10): whole after a kill, and played in Chromium without a seam.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_protocol::room::Stage;
use mujian_server::{Config, Running};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::ffmpeg::{self, Publish};
use mujian_tests::process::run;
use mujian_tests::server::Setup;
use mujian_tests::wait;
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

/// Decoding times of a playlist's or a file's tracks, checked: no hole, no step back. How long the picture is, in
/// seconds, checked: the sound is as long, but for what was still waited for at the end.
async fn is_continuous(what: &str) -> Result<f64> {
    let mut ends = [(0.0, 0.0); 2];
    for ((track, most), ends) in [("v:0", 0.075), ("a:0", 0.0215)].into_iter().zip(&mut ends) {
        let args =
            ["-v", "error", "-select_streams", track, "-show_entries", "packet=dts_time", "-of", "csv=p=0", what];
        let out = String::from_utf8(run("ffprobe", args, SOON).await?)?;
        let times: Vec<f64> = out.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect();
        for pair in times.windows(2) {
            assert!(pair[1] > pair[0] && pair[1] - pair[0] < most, "{what} {track}: {pair:?}");
        }
        *ends = (times[0], *times.last().context("no packets")?);
    }
    let [picture, sound] = ends;
    // The sound of a publisher that stalls is waited for up to a second and a half.
    let (begins, ends) = (sound.0 - picture.0, sound.1 - picture.1);
    assert!(begins.abs() < 0.1 && (-1.6..0.1).contains(&ends), "{what}: sound from {begins} to {ends} of the picture");
    eprintln!("{what}: {picture:?} {sound:?}");
    Ok(picture.1 - picture.0)
}

#[tokio::test]
async fn a_killed_server_leaves_a_recording_that_is_whole_up_to_its_last_segment() -> Result<()> {
    killed_while_recording(false).await
}

#[tokio::test]
async fn so_does_one_whose_publisher_had_stalled() -> Result<()> {
    killed_while_recording(true).await
}

async fn killed_while_recording(stalled: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Setup::default().data(folder.path()).start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let base = format!("{}/live/{}", server.url(), room.id);
    let index = reqwest::get(format!("{base}/index.m3u8")).await?.text().await?;
    let media = index.lines().last().context("no rendition")?;
    // Three whole segments, and a part of the fourth.
    let media = reqwest::get(format!("{base}/{media}&_HLS_msn=3&_HLS_part=1")).await?.text().await?;
    assert!(media.matches("#EXTINF").count() >= 3, "{media}");
    if stalled {
        publisher.signal(libc::SIGSTOP);
        server.wait_stage(&room, "lost", SOON).await?;
    }
    server.program.signal(libc::SIGKILL);
    drop(server);

    let server = Setup::default().data(folder.path()).start().await?;
    let (_, list) = server.call("GET", &format!("/rooms/{}/replays", room.id), None, None).await?;
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    let whole = list[0]["whole_ms"].as_f64().context("no length")? / 1000.0;
    // The third may have been on its way to the disk.
    assert!(whole > 3.5 && !list[0]["ended_at"].is_null(), "{list}");
    let id = list[0]["id"].as_str().context("no id")?;
    let (_, replay) = server.call("GET", &format!("/replays/{id}"), None, None).await?;
    let playlist = format!("{}{}", server.url(), replay["replay"]["playlist"].as_str().context("no playlist")?);
    let seen = is_continuous(&playlist).await?;
    assert!((seen - whole).abs() < 0.15, "{seen} of {whole} s");
    let file = folder.path().join("replay.mp4");
    let url = format!("{}{}", server.url(), replay["replay"]["downloads"][0]["url"].as_str().context("no file")?);
    std::fs::write(&file, reqwest::get(url).await?.bytes().await?)?;
    let seen = is_continuous(&file.to_string_lossy()).await?;
    assert!((seen - whole).abs() < 0.15, "{seen} of {whole} s");
    ffmpeg::decodes(&file).await?;
    Ok(())
}

/// A server in this process, whose stage can be told to leave and come back.
struct Desk {
    running: Running,
    url: String,
    room: String,
    _folder: tempfile::TempDir,
}

async fn call(method: reqwest::Method, url: &str, token: Option<&str>, body: Option<Value>) -> Result<Value> {
    let mut request = reqwest::Client::new().request(method, url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    Ok(request.send().await?.error_for_status()?.json().await?)
}

/// Records a stream with two stays away; gives its id.
async fn recorded(cut_in_player: bool) -> Result<(Desk, String)> {
    let folder = tempfile::tempdir()?;
    let mut config = Config::local(folder.path());
    config.recordings.cut_from_minutes = 0;
    config.recordings.cut_in_player = cut_in_player;
    let running = mujian_server::Server::start(config).await?;
    let url = format!("http://{}", running.http);
    let api = format!("{url}/api/v1");
    let who = json!({"name": "owner", "password": "correct horse battery"});
    let token = call(reqwest::Method::POST, &format!("{api}/accounts"), None, Some(who)).await?;
    let token = token["token"].as_str().context("no token")?.to_owned();
    let title = json!({"title": "幕间 A room"});
    let room = call(reqwest::Method::POST, &format!("{api}/rooms"), Some(&token), Some(title)).await?;
    let (id, key) = (room["id"].as_str().context("no id")?, room["stream_key"].as_str().context("no key")?);
    let publisher = Publish::default().start(&format!("rtmp://{}/live/{id}?key={key}", running.rtmp))?;
    let held = running.app().rooms.get(&id.parse()?).await?.context("no room")?;
    let mut status = held.stage.status();
    let programme = held.stage.programme();
    for _ in 0..2 {
        tokio::time::timeout(SOON, status.wait_for(|s| s.stage == Stage::Live)).await??;
        goes_on(&programme, 3).await?;
        call(reqwest::Method::POST, &format!("{api}/rooms/{id}/leave"), Some(&token), Some(json!({}))).await?;
        tokio::time::timeout(SOON, status.wait_for(|s| s.stage == Stage::Away)).await??;
        goes_on(&programme, 3).await?;
        call(reqwest::Method::POST, &format!("{api}/rooms/{id}/back"), Some(&token), Some(json!({}))).await?;
    }
    tokio::time::timeout(SOON, status.wait_for(|s| s.stage == Stage::Live)).await??;
    goes_on(&programme, 3).await?;
    held.stage.end().await?;
    drop((publisher, held));
    let replays = format!("{api}/rooms/{id}/replays");
    let replay = wait::until("the recording", SOON, || async {
        let list = call(reqwest::Method::GET, &replays, None, None).await?;
        Ok(list[0]["id"].as_str().map(str::to_owned))
    })
    .await?;
    Ok((Desk { running, url, room: id.to_owned(), _folder: folder }, replay))
}

async fn goes_on(programme: &std::sync::Arc<mujian_server::stage::programme::Programme>, seconds: u64) -> Result<()> {
    let mut from = None;
    let by = Duration::from_secs(seconds);
    let mut head = programme.watch();
    let on = head.wait_for(|_| {
        let Some(newest) = programme.newest() else { return false };
        newest.dts.saturating_sub(*from.get_or_insert(newest.dts)).to_duration() >= by
    });
    tokio::time::timeout(SOON, on).await??;
    Ok(())
}

/// Plays a replay's page to its end, without a stop on the way.
pub(crate) async fn plays_to_the_end(browser: &mut Browser, page: Page, seconds: f64) -> Result<()> {
    let video = "document.querySelector('video')";
    browser.wait(page, &format!("{video}?.readyState >= 3"), SOON).await?;
    let length = browser.eval(page, &format!("{video}.duration")).await?.as_f64().context("no length")?;
    assert!((length - seconds).abs() < 0.3, "{length} of {seconds}");
    // Where it stopped, and what was buffered then.
    let listen = format!(
        "(() => {{
            const video = {video};
            window.stops = [];
            video.addEventListener('waiting', () => {{
                const at = video.currentTime;
                const ranges = Array.from({{ length: video.buffered.length }}, (_, i) =>
                    [video.buffered.start(i), video.buffered.end(i)]);
                // With media on both sides the machine is what is slow, and not the player.
                const amid = ranges.some(([start, end]) => start < Math.max(0.01, at - 0.1) && end > at + 0.3);
                if (!amid && at > 0.5 && at < video.duration - 0.5) window.stops.push([at, ranges]);
            }});
            return true;
        }})()"
    );
    browser.eval(page, &listen).await?;
    browser.click(page, "role=button[name='Play'] >> nth=0").await?;
    browser.wait(page, &format!("{video}.ended"), SOON).await?;
    let stops = browser.eval(page, "JSON.stringify(window.stops)").await?;
    assert_eq!(stops, "[]", "it stopped on the way");
    let seen = browser.eval(page, &format!("{video}.getVideoPlaybackQuality().totalVideoFrames")).await?;
    let most = seconds * 30.0;
    assert!(seen.as_f64().unwrap_or(0.0) > most * 0.8, "{seen} pictures of {most}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn chromium_plays_the_cut_replay_without_a_seam() -> Result<()> {
    let (desk, id) = recorded(false).await?;
    let replay = call(reqwest::Method::GET, &format!("{}/api/v1/replays/{id}", desk.url), None, None).await?;
    let seconds = replay["played_ms"].as_f64().context("no length")? / 1000.0;
    assert!(replay["away_ms"].as_f64().context("no away")? > 5000.0, "{replay}");
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    // From the room's page, as a person finds it.
    browser.goto(page, &format!("{}/watch/{}", desk.url, desk.room)).await?;
    browser.click(page, &format!("a[href='/replay/{id}']")).await?;
    plays_to_the_end(&mut browser, page, seconds).await?;
    // Seeking, there and back again.
    let video = "document.querySelector('video')";
    for at in [1.0, 6.0, 3.0] {
        browser.eval(page, &format!("({video}.currentTime = {at}, true)")).await?;
        browser.wait(page, &format!("{video}.readyState >= 2 && !{video}.seeking"), SOON).await?;
    }
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    desk.running.shutdown().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_player_leaves_out_what_the_server_did_not() -> Result<()> {
    let (desk, id) = recorded(true).await?;
    let replay = call(reqwest::Method::GET, &format!("{}/api/v1/replays/{id}", desk.url), None, None).await?;
    let seconds = replay["played_ms"].as_f64().context("no length")? / 1000.0;
    assert!(replay["replay"]["playlist"].as_str().context("no playlist")?.ends_with("apart.m3u8"), "{replay}");
    assert_eq!(replay["replay"]["spans"].as_array().map(Vec::len), Some(3));
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look { locale: "zh-CN", ..Look::default() }).await?;
    browser.goto(page, &format!("{}/replay/{id}", desk.url)).await?;
    browser.visible(page, "role=button[name='播放'] >> nth=0", SOON).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &format!("{}/replay/{id}", desk.url)).await?;
    plays_to_the_end(&mut browser, page, seconds).await?;
    let fetched = "performance.getEntriesByType('resource').map((e) => e.name).filter((name) => name.endsWith('.m4s'))";
    let fetched = browser.eval(page, &format!("new Set({fetched}).size")).await?;
    let text = reqwest::get(format!("{}/replays/{id}/apart.m3u8", desk.url)).await?.text().await?;
    assert!(
        fetched.as_u64().context("no count")? < text.matches("#EXTINF").count() as u64,
        "what is left out is not fetched"
    );
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    desk.running.shutdown().await;
    Ok(())
}
