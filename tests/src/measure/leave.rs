//! Leaving and coming back, seen from outside: what the pictures' own clocks say at the viewers, and when.
//!
//! The publisher shows the test card, whose cells carry the moment of each picture's capture. A picture without
//! readable cells is the placeholder.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use mujian_av::testcard::cells;
use mujian_media::time::MediaTime;
use serde_json::{Value, json};

use crate::process::Program;
use crate::server::{Room, Server};
use crate::{ffmpeg, flv, fmp4, hls, live, wait};

const WIDTH: u32 = 320;
const HEIGHT: u32 = 180;
const SOON: Duration = Duration::from_secs(20);
/// Over bad roads; our own publisher rests for up to 8 s between its attempts.
const AT_LAST: Duration = Duration::from_secs(60);
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
    /// From here on nothing that is captured may be seen: the server's word that it holds, or, pressed in the app, the
    /// time that the app has for it.
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
    /// Pictures that were captured while the streamer was away: how long after it held.
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

/// When the test card's pictures in a file were captured, in milliseconds since 1970; none: it is something else.
///
/// # Errors
///
/// They cannot be decoded.
pub async fn captured(file: &Path) -> Result<Vec<Option<f64>>> {
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
    // What is saved has these tags, and what came since.
    let tags: Vec<flv::Tag> = viewer.tags().into_iter().filter(flv::Tag::is_picture).collect();
    viewer.save(file.path())?;
    let captured = captured(file.path()).await?;
    ensure!(captured.len() >= tags.len(), "{} pictures decoded of {}", captured.len(), tags.len());
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

/// A viewer at each exit.
pub struct Exits {
    /// Of HTTP-FLV.
    pub flv: flv::Viewer,
    /// Of fMP4 over WebSocket.
    pub fmp4: fmp4::Viewer,
    /// Of low-latency HLS.
    pub hls: fmp4::Viewer,
}

/// What the viewers saw.
#[derive(Clone, Debug)]
pub struct Watched {
    /// At each exit.
    pub by: Vec<(&'static str, Found)>,
    /// See [`slack`].
    pub slack: f64,
}

impl Exits {
    /// Viewers of a room that is live.
    ///
    /// # Errors
    ///
    /// One of them is not let in, or gets nothing.
    pub async fn open(server: &Server, room: &Room) -> Result<Self> {
        let flv = flv::Viewer::open(&server.flv_url(room)).await?;
        let fmp4 = fmp4::Viewer::open(&server.fmp4_url(room)).await?;
        let hls = hls::open(&server.hls_url(room)).await?;
        let exits = Self { flv, fmp4, hls };
        exits.settle().await?;
        Ok(exits)
    }

    /// Waits until the viewers have more than what was on its way.
    ///
    /// # Errors
    ///
    /// Nothing more comes.
    pub async fn settle(&self) -> Result<()> {
        self.flv.more_pictures(15, SOON).await?;
        self.fmp4.more_pictures(15, SOON).await
    }

    /// Looks what cycles did at the exits, see [`find`]. At HLS, where pictures come in pieces, only for leaks.
    ///
    /// # Errors
    ///
    /// A viewer never saw the placeholder, or never the picture again, or its stream is broken.
    pub async fn watched(&self, cycles: &[Cycle], marks: bool) -> Result<Watched> {
        self.hls.more_pictures(15, SOON).await?;
        self.flv.check_timeline(flv::SLATE_HOLE, flv::SOUND_HOLE)?;
        let (by_flv, by_fmp4) = (seen_by_flv(&self.flv).await?, seen_by_fmp4(&self.fmp4).await?);
        let slack = if marks { 0.0 } else { slack(&by_flv) };
        let by_hls = seen_by_fmp4(&self.hls).await?.into_iter().filter_map(|s| s.captured);
        let by_hls = Found { leaks: leaks(by_hls, cycles, slack), ..Found::default() };
        let by = vec![
            ("HTTP-FLV", find(&by_flv, cycles, marks).context("HTTP-FLV")?),
            ("fMP4", find(&by_fmp4, cycles, marks).context("fMP4")?),
            ("LL-HLS", by_hls),
        ];
        Ok(Watched { by, slack })
    }
}

/// How the streamer presses.
pub enum Press<'a> {
    /// In any browser: by the API.
    Api,
    /// In the app: `mujian live` by signals.
    App(&'a mut Program),
}

/// Leaves, stays away for so long, and comes back; returns when viewers are shown the picture again.
///
/// # Errors
///
/// The server refused, or the stage did not follow.
pub async fn cycle(server: &Server, room: &Room, press: &mut Press<'_>, stay: Duration) -> Result<Cycle> {
    let pressed = wall();
    let held = match press {
        Press::Api => {
            let view = call(server, room, "leave", json!({})).await?;
            ensure!(view["stage"] == "away", "the answer came before it holds: {view}");
            wall()
        }
        Press::App(program) => {
            let stay = live::leave(program, SOON).await?;
            server.wait_stage(room, "away", AT_LAST).await?;
            stay.since as f64
        }
    };
    tokio::time::sleep(stay).await;
    let back = wall();
    match press {
        Press::Api => drop(call(server, room, "back", json!({})).await?),
        Press::App(program) => live::back(program),
    }
    server.wait_stage(room, "live", AT_LAST).await?;
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
    let replay = last_replay(server, room).await?;
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

/// For how many seconds the recordings of a room show a stage. What shows that the publisher is lost is no part of the
/// time away: a return on which no pictures come begins so.
///
/// # Errors
///
/// There is no recording.
pub fn in_recordings(server: &Server, room: &Room, stage: &str) -> Result<f64> {
    let mut flicks = 0;
    for stream in std::fs::read_dir(server.data.join("recordings").join(&room.id))? {
        let index = std::fs::read_to_string(stream?.path().join("index.jsonl"))?;
        let lines = index.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        flicks += lines.filter(|l| l["stage"] == stage).filter_map(|l| l["duration"].as_i64()).sum::<i64>();
    }
    Ok(MediaTime::from_flicks(flicks).to_duration().as_secs_f64())
}

/// For how many seconds the recording of a room's last stream shows pictures of another size than the publisher's, which no
/// file to download has.
///
/// # Errors
///
/// There is no recording.
pub async fn in_other_sizes(server: &Server, room: &Room) -> Result<f64> {
    let full = last_replay(server, room).await?["full"].take();
    let files = full["downloads"].as_array().with_context(|| format!("no files: {full}"))?;
    let whole = full["length_ms"].as_f64().with_context(|| format!("no length: {full}"))?;
    Ok((whole - files.iter().filter_map(|file| file["length_ms"].as_f64()).sum::<f64>()) / 1000.0)
}

async fn last_replay(server: &Server, room: &Room) -> Result<Value> {
    let ask = async |path: &str| {
        let (status, answer) = server.call("GET", path, Some(&room.token), None).await?;
        if status == 200 { Ok(answer) } else { bail!("{path}: {status} {answer}") }
    };
    let id = wait::until("the recording", SOON, || async {
        let list = ask(&format!("/rooms/{}/replays", room.id)).await?;
        Ok(list[0]["id"].as_str().filter(|_| !list[0]["ended_at"].is_null()).map(str::to_owned))
    })
    .await?;
    ask(&format!("/replays/{id}")).await
}

/// Looks what the cycles did at one viewer. `marks`: the publisher tells itself where the absence begins and ends.
///
/// What came before what is told by the order in which pictures are shown: when they arrive is the machine's affair too.
///
/// # Errors
///
/// A viewer never saw the placeholder, or never the picture again.
pub fn find(seen: &[Seen], cycles: &[Cycle], marks: bool) -> Result<Found> {
    let slack = if marks { 0.0 } else { slack(seen) };
    let mut found = Found::default();
    let after = |from: usize, wanted: &dyn Fn(&Seen) -> bool| {
        seen.iter().enumerate().skip(from).find(|(_, s)| wanted(s)).map(|(at, s)| (at, *s))
    };
    for (number, cycle) in cycles.iter().enumerate() {
        let none = || format!("no placeholder in cycle {number}");
        let (from, _) = after(0, &|s| s.at > cycle.pressed).with_context(none)?;
        let (at, placeholder) = after(from, &|s| s.captured.is_none()).with_context(none)?;
        let returned = seen[from..at].iter().any(|s| s.captured.is_some_and(|c| c > cycle.back));
        ensure!(!returned, "{}, the next is of a later one", none());
        found.placeholder.push(placeholder.at - cycle.pressed);
        let live = after(at, &|s| s.captured.is_some_and(|c| c > cycle.held));
        let (_, live) = live.with_context(|| format!("no picture after cycle {number}"))?;
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

/// Of pictures that were shown, those that were captured while the streamer was away: how long after it held.
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

    /// On a busy machine the return is pressed before the placeholder has arrived.
    #[test]
    fn what_arrives_late_is_measured_and_what_never_comes_is_missed() {
        let live = |captured: f64| Seen { at: captured + 400.0, captured: Some(captured), key: Some(true) };
        let slate = |at| Seen { at, captured: None, key: Some(true) };
        let cycle = |pressed| Cycle { pressed, held: pressed + 5.0, back: pressed + 250.0 };
        let seen = [live(900.0), slate(1390.0), live(1300.0), live(1990.0), slate(2400.0), live(2300.0)];
        let found = find(&seen, &[cycle(1000.0), cycle(2000.0)], true).unwrap();
        assert_eq!((found.placeholder, found.live), (vec![390.0, 400.0], vec![450.0, 450.0]));
        let without = [live(900.0), live(1300.0), live(1990.0), slate(2400.0), live(2300.0)];
        let missed = find(&without, &[cycle(1000.0), cycle(2000.0)], true).unwrap_err().to_string();
        assert!(missed.starts_with("no placeholder in cycle 0"), "{missed}");
    }
}
