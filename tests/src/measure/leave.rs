//! Leaving and coming back, seen from outside: what the pictures' own clocks say at the viewers, and when.
//!
//! The publisher shows the test card, whose cells carry the moment of each picture's capture. A picture without
//! readable cells is the placeholder.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use mujian_av::testcard::cells;
use serde_json::{Value, json};

use crate::process::Program;
use crate::server::{Room, Server};
use crate::{ffmpeg, flv, fmp4, wait};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const SOON: Duration = Duration::from_secs(20);
/// What a publisher that does not mark is kept out longer by, after "back".
const MARGIN: f64 = 200.0;

/// A picture as a viewer got it. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it arrived.
    pub at: f64,
    /// When it was captured; none: it is the placeholder's.
    pub captured: Option<f64>,
    /// Decoding can start at it, where that is known.
    pub key: Option<bool>,
}

/// One time away. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Cycle {
    /// The press on leave.
    pub pressed: f64,
    /// The server's word that it holds.
    pub held: f64,
    /// The press on back.
    pub back: f64,
}

/// What one series of cycles gave at one viewer, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// From each press to the placeholder's arrival.
    pub placeholder: Vec<f64>,
    /// From each press on back to the first live picture's arrival.
    pub live: Vec<f64>,
    /// From that picture's capture to its arrival.
    pub live_age: Vec<f64>,
    /// Pictures that were captured while the streamer was away: when, after the server's word.
    pub leaks: Vec<f64>,
    /// First live pictures that are no key frames.
    pub no_keys: usize,
}

/// The wall clock in milliseconds.
#[must_use]
pub fn wall() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1000.0
}

fn wall_of(at: Instant) -> f64 {
    wall() - at.elapsed().as_secs_f64() * 1000.0
}

async fn captured(file: &Path) -> Result<Vec<Option<f64>>> {
    let pictures = ffmpeg::grey(file, WIDTH, HEIGHT).await?;
    let (width, height) = (WIDTH as usize, HEIGHT as usize);
    Ok(pictures.iter().map(|p| cells::read(p, width, width, height).map(|ms| ms as f64)).collect())
}

/// The pictures of a viewer of HTTP-FLV.
///
/// # Errors
///
/// They cannot be decoded.
pub async fn seen_by_flv(viewer: &flv::Viewer) -> Result<Vec<Seen>> {
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let captured = captured(file.path()).await?;
    let tags: Vec<flv::Tag> = viewer.tags().into_iter().filter(flv::Tag::is_picture).collect();
    ensure!(tags.len() >= captured.len(), "{} pictures decoded of {}", captured.len(), tags.len());
    let seen =
        |(tag, captured): (&flv::Tag, Option<f64>)| Seen { at: wall_of(tag.at), captured, key: Some(tag.is_key()) };
    Ok(tags.iter().zip(captured).map(seen).collect())
}

/// The pictures of a viewer of fMP4.
///
/// # Errors
///
/// They cannot be decoded.
pub async fn seen_by_fmp4(viewer: &fmp4::Viewer) -> Result<Vec<Seen>> {
    let mut all = Vec::new();
    for piece in viewer.pieces()?.iter().filter(|p| !p.pictures.is_empty()) {
        let file = tempfile::Builder::new().suffix(".mp4").tempfile()?;
        std::fs::write(file.path(), &piece.bytes)?;
        let captured = captured(file.path()).await?;
        ensure!(captured.len() == piece.pictures.len(), "{} decoded of {}", captured.len(), piece.pictures.len());
        all.extend(piece.pictures.iter().zip(captured).map(|(at, captured)| Seen {
            at: wall_of(*at),
            captured,
            key: None,
        }));
    }
    Ok(all)
}

/// How the streamer presses.
pub enum Press<'a> {
    /// In any browser: by the API.
    Api,
    /// In the app: `mujian live` by signals.
    App(&'a Program),
}

/// Leaves, stays away for so long, and comes back; returns when viewers are shown the picture again.
///
/// # Errors
///
/// The server refused, or the stage did not follow.
pub async fn cycle(server: &Server, room: &Room, press: &Press<'_>, stay: Duration) -> Result<Cycle> {
    let pressed = wall();
    match press {
        Press::Api => {
            let view = call(server, room, "leave", json!({})).await?;
            ensure!(view["stage"] == "away", "the answer came before it holds: {view}");
        }
        Press::App(program) => {
            program.signal(libc::SIGUSR1);
            server.wait_stage(room, "away", SOON).await?;
        }
    }
    let held = wall();
    tokio::time::sleep(stay).await;
    let back = wall();
    match press {
        Press::Api => drop(call(server, room, "back", json!({})).await?),
        Press::App(program) => program.signal(libc::SIGUSR2),
    }
    server.wait_stage(room, "live", SOON).await?;
    Ok(Cycle { pressed, held, back })
}

/// A call of the room's owner; gives the room as it is then.
///
/// # Errors
///
/// It was not answered with 200.
pub async fn call(server: &Server, room: &Room, what: &str, body: Value) -> Result<Value> {
    let path = format!("/rooms/{}/{what}", room.id);
    let (status, answer) = server.call("POST", &path, Some(&room.token), Some(body)).await?;
    if status == 200 { Ok(answer) } else { bail!("{what}: {status} {answer}") }
}

/// What the recording of a room's last stream shows, once it is complete: when its pictures were captured (none: a
/// placeholder's), in order, of the whole that its owner sees and of what everybody else does.
///
/// # Errors
///
/// There is no recording, or it cannot be decoded.
pub async fn recorded(server: &Server, room: &Room) -> Result<[Vec<Option<f64>>; 2]> {
    let ask = async |path: &str| {
        let (status, answer) = server.call("GET", path, Some(&room.token), None).await?;
        if status == 200 { Ok(answer) } else { bail!("{path}: {status} {answer}") }
    };
    let id = wait::until("the recording", SOON, || async {
        let list = ask(&format!("/rooms/{}/replays", room.id)).await?;
        Ok(list[0]["id"].as_str().filter(|_| !list[0]["ended_at"].is_null()).map(str::to_owned))
    })
    .await?;
    let replay = ask(&format!("/replays/{id}")).await?;
    let mut all = [Vec::new(), Vec::new()];
    for (version, pictures) in ["full", "replay"].iter().zip(&mut all) {
        let files = replay[version]["downloads"].as_array().with_context(|| format!("no {version}: {replay}"))?;
        for file in files {
            let url = format!("{}{}", server.url(), file["url"].as_str().context("no address")?);
            let bytes = reqwest::get(url).await?.error_for_status()?.bytes().await?;
            let file = tempfile::Builder::new().suffix(".mp4").tempfile()?;
            std::fs::write(file.path(), bytes)?;
            pictures.extend(captured(file.path()).await?);
        }
    }
    Ok(all)
}

/// Waits until the viewers have more than what was on its way.
///
/// # Errors
///
/// Nothing more comes.
pub async fn settle(flv: &flv::Viewer, fmp4: &fmp4::Viewer) -> Result<()> {
    wait::until("the pictures", SOON, || async {
        flv.more_pictures(15, SOON).await?;
        fmp4.more_pictures(15, SOON).await.map(Some)
    })
    .await
}

/// Looks what the cycles did at one viewer. `marks`: the publisher tells itself where the absence begins and ends.
///
/// # Errors
///
/// A viewer never saw the placeholder, or never the picture again.
pub fn find(seen: &[Seen], cycles: &[Cycle], marks: bool) -> Result<Found> {
    let slack = if marks { 0.0 } else { slack(seen) };
    let mut found = Found::default();
    for (number, cycle) in cycles.iter().enumerate() {
        let placeholder = seen.iter().find(|s| s.at > cycle.pressed && s.captured.is_none());
        let placeholder = placeholder.with_context(|| format!("no placeholder in cycle {number}"))?;
        ensure!(placeholder.at < cycle.back, "cycle {number}: the placeholder came after the return");
        found.placeholder.push(placeholder.at - cycle.pressed);
        let live = seen.iter().find(|s| s.at > cycle.back && s.captured.is_some_and(|c| c > cycle.held));
        let live = live.with_context(|| format!("no picture after cycle {number}"))?;
        found.live.push(live.at - cycle.back);
        found.live_age.push(live.at - live.captured.unwrap_or(live.at));
        found.no_keys += usize::from(live.key == Some(false));
    }
    found.leaks = leaks(seen.iter().filter_map(|s| s.captured), cycles, slack);
    Ok(found)
}

/// What a publisher that does not mark may show of the end of an absence, in milliseconds: by so much less than the margin is
/// what it sends on its way.
#[must_use]
pub fn slack(seen: &[Seen]) -> f64 {
    // The shortest way from capture to here is at least as long as that to the server.
    let road = seen.iter().filter_map(|s| s.captured.map(|c| s.at - c)).fold(f64::INFINITY, f64::min);
    (road - MARGIN).max(0.0)
}

/// Of pictures that were shown, those that were captured while the streamer was away: how long after the server's word.
#[must_use]
pub fn leaks(captured: impl Iterator<Item = f64>, cycles: &[Cycle], slack: f64) -> Vec<f64> {
    let away = |at: f64| cycles.iter().find(|c| at > c.held && at < c.back - slack).map(|c| at - c.held);
    captured.filter_map(away).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_seen_and_a_clean_cycle_is_measured() {
        let live = |captured: f64, key| Seen { at: captured + 50.0, captured: Some(captured), key: Some(key) };
        let slate = |at| Seen { at, captured: None, key: Some(true) };
        let cycle = Cycle { pressed: 1000.0, held: 1010.0, back: 2000.0 };
        let mut seen = vec![live(900.0, true), live(990.0, false), slate(1060.0), slate(1500.0), live(2100.0, true)];
        let found = find(&seen, &[cycle], true).unwrap();
        assert_eq!((found.placeholder, found.live, found.live_age), (vec![60.0], vec![150.0], vec![50.0]));
        assert_eq!((found.leaks, found.no_keys), (vec![], 0));
        seen.insert(4, live(1990.0, false));
        let found = find(&seen, &[cycle], true).unwrap();
        assert_eq!((found.leaks, found.no_keys), (vec![980.0], 1));
        assert!(find(&seen[..2], &[cycle], true).is_err());
    }
}
