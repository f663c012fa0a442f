//! Backup and restore (row G3): a server that streams, records and is written to, and another one with what it had.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::ffmpeg::{self, Publish};
use mujian_tests::process::{ours, run};
use mujian_tests::server::{Room, Server, Setup};
use mujian_tests::wait;
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

/// Gives the room one title after another, each when the one before is on the disk, until told to stop.
async fn rename(server: &Server, room: &Room, written: &AtomicU32, enough: &AtomicBool) -> Result<()> {
    while !enough.load(Ordering::Relaxed) {
        let n = written.load(Ordering::Relaxed) + 1;
        let title = json!({"title": n.to_string()});
        let (status, answer) =
            server.call("PATCH", &format!("/rooms/{}", room.id), Some(&room.token), Some(title)).await?;
        ensure!(status == 200, "{answer}");
        written.store(n, Ordering::Relaxed);
    }
    Ok(())
}

async fn program(order: &str, from: &Path, data: &Path) -> Result<String> {
    let program = ours("mujian-server")?.to_string_lossy().into_owned();
    let words = [OsStr::new(order), from.as_os_str(), OsStr::new("--data"), data.as_os_str()];
    Ok(String::from_utf8(run(&program, words, SOON).await?)?)
}

#[tokio::test]
async fn a_streaming_server_is_backed_up_and_another_one_goes_on_with_what_it_had() -> Result<()> {
    let server = Setup::default().config("[limits]\nrequests = { burst = 100000, per_hour = 1 }\n").start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    // Three whole segments, and a part of the fourth.
    let base = format!("{}/live/{}", server.url(), room.id);
    let index = reqwest::get(format!("{base}/index.m3u8")).await?.text().await?;
    let media = index.lines().last().context("no rendition")?;
    reqwest::get(format!("{base}/{media}&_HLS_msn=3&_HLS_part=1")).await?.text().await?;

    let folder = tempfile::tempdir()?;
    let backup = folder.path().join("backup");
    let (written, enough) = (AtomicU32::new(0), AtomicBool::new(false));
    let back_up = async {
        let some = || async { Ok((written.load(Ordering::Relaxed) >= 3).then_some(())) };
        wait::until("a few titles", SOON, some).await?;
        let before = written.load(Ordering::Relaxed);
        let said = program("backup", &backup, &server.data).await?;
        let after = written.load(Ordering::Relaxed);
        enough.store(true, Ordering::Relaxed);
        ensure!(said.starts_with(&format!("backup={} files=3 ", backup.display())), "{said}");
        Ok::<_, anyhow::Error>((before, after))
    };
    let ((), (before, after)) = tokio::try_join!(rename(&server, &room, &written, &enough), back_up)?;
    // The server did not notice: it streams on.
    server.wait_stage(&room, "live", SOON).await?;
    drop((publisher, server));

    let data = folder.path().join("data");
    let said = program("restore", &backup, &data).await?;
    ensure!(said.starts_with(&format!("restored={}", data.display())), "{said}");
    let server = Setup::default().data(&data).start().await?;
    let (_, found) = server.call("GET", &format!("/rooms/{}", room.id), None, None).await?;
    let title: u32 = found["title"].as_str().context("no title")?.parse()?;
    // All that was acknowledged before it began, and nothing of what came later.
    ensure!((before..=after + 1).contains(&title), "{before} {title} {after}");
    assert_eq!(server.call("GET", "/me", Some(&room.token), None).await?.1["name"], "owner");
    let credentials = json!({"name": "owner", "password": "correct horse battery"});
    assert_eq!(server.call("POST", "/sessions", None, Some(credentials)).await?.0, 201);
    // What was recorded up to then is a replay.
    let (_, list) = server.call("GET", &format!("/rooms/{}/replays", room.id), None, None).await?;
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    ensure!(list[0]["whole_ms"].as_u64().context("no length")? > 3500 && !list[0]["ended_at"].is_null(), "{list}");
    let (_, replay) =
        server.call("GET", &format!("/replays/{}", list[0]["id"].as_str().context("no id")?), None, None).await?;
    let url = format!("{}{}", server.url(), replay["replay"]["downloads"][0]["url"].as_str().context("no file")?);
    let file = folder.path().join("replay.mp4");
    std::fs::write(&file, reqwest::get(url).await?.bytes().await?)?;
    ffmpeg::decodes(&file).await?;
    // And the room takes its publisher again.
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await
}
