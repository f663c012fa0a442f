//! `make soak`: what takes long. A thousand times away and back, and two hundred over bad roads, a publisher and a link that
//! are gone for 20 s, ten minutes of lip sync, thousands of viewers that come and go. The figures are printed and written
//! to `target/soak.json`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use mujian_tests::dice::Dice;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::flv::{HOLE, SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::link::{Link, Roads};
use mujian_tests::measure::figures::median;
use mujian_tests::measure::table::{HEAD, Row, write};
use mujian_tests::measure::{cpu, join, leave, lipsync};
use mujian_tests::process::{Program, ours, source_root};
use mujian_tests::server::{Room, Server, Setup};
use mujian_tests::{live, wait};
use tokio::process::Command;

/// What to do; everything if nothing is named.
#[derive(Parser)]
struct Arguments {
    /// `leave`, `roads`, `outage`, `lipsync`, `churn`.
    parts: Vec<String>,
    /// How long the lip sync is measured, in seconds.
    #[arg(long, default_value_t = 600)]
    lipsync_seconds: u64,
    /// How many viewers come and go.
    #[arg(long, default_value_t = 4000)]
    churn: usize,
    /// How often streamers leave and come back, all rooms together.
    #[arg(long, default_value_t = 1000)]
    leaves: usize,
    /// The same while the roads to the server are bad.
    #[arg(long, default_value_t = 200)]
    leaves_over_bad_roads: usize,
    /// In how many rooms at the same time.
    #[arg(long, default_value_t = 3)]
    rooms: usize,
    /// Where the moments of leaving begin to differ; another number gives others.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the figures are written.
    #[arg(long)]
    out: Option<PathBuf>,
}

const SOON: Duration = Duration::from_secs(30);
const QUICK: &str = "[limits]\nrequests = { burst = 100000, per_hour = 3600000 }\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wanted = |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|p| p == part);
    let mut rows = Vec::new();
    if wanted("leave") {
        let (count, rooms, seed) = (arguments.leaves, arguments.rooms.max(1), arguments.seed);
        rows.extend(leaves(Leaving { count, rooms, seed, bad_weather: false }).await?);
    }
    if wanted("roads") {
        let (count, rooms, seed) = (arguments.leaves_over_bad_roads, arguments.rooms.max(1), arguments.seed);
        rows.extend(leaves(Leaving { count, rooms, seed, bad_weather: true }).await?);
    }
    if wanted("outage") {
        rows.extend(outage().await?);
        rows.extend(broken_link().await?);
    }
    if wanted("churn") {
        rows.extend(churn(arguments.churn).await?);
    }
    if wanted("lipsync") {
        rows.extend(lip_sync(arguments.lipsync_seconds).await?);
    }
    println!("{HEAD}");
    rows.iter().for_each(|row| println!("{}", row.line()));
    let out = arguments.out.unwrap_or_else(|| source_root().join("target/soak.json"));
    write(&out, &rows)?;
    ensure!(rows.iter().all(|row| row.met), "a goal is not met");
    Ok(())
}

/// How streamers leave and come back.
#[derive(Clone, Copy)]
struct Leaving {
    /// How often, all rooms together.
    count: usize,
    /// In how many rooms at the same time.
    rooms: usize,
    /// Where the moments begin to differ.
    seed: u64,
    /// The roads between the broadcasters and the server are bad.
    bad_weather: bool,
}

/// Away and back in parallel rooms at random moments, in every other room by the press in the app: no exit shows a picture
/// that was captured meanwhile.
async fn leaves(how: Leaving) -> Result<Vec<Row>> {
    let Leaving { count, rooms, seed, bad_weather } = how;
    let server = Setup::default().config(QUICK).start().await?;
    let mut series = Vec::new();
    for n in 0..rooms {
        let room = server.room(&format!("owner {n}"), "Leaving").await?;
        let one = Leaving {
            count: count / rooms + usize::from(n < count % rooms),
            seed: seed.wrapping_mul(1000) + n as u64,
            ..how
        };
        series.push((room, one, n % 2 == 0));
    }
    let runs = series.iter().map(|(room, one, by_app)| leaves_in(&server, room, *one, *by_app));
    let (mut leaks, mut no_keys, mut late) = (Vec::new(), 0, Vec::new());
    for found in futures_util::future::join_all(runs).await {
        for found in found? {
            leaks.extend(found.leaks);
            no_keys += found.no_keys;
            late.extend(found.placeholder);
        }
    }
    let (all, keys) = (leaks.len() as f64, no_keys as f64);
    let middle = median(&late).context("no cycles")?;
    let over = if bad_weather { " over bad roads" } else { "" };
    let mut rows = vec![
        Row::fixed(
            &format!("{count} times away{over}: pictures captured meanwhile that were seen"),
            "",
            all,
            0.0,
            "none",
            leaks,
        ),
        Row::fixed(&format!("{count} times back{over}: not at a key frame"), "", keys, 0.0, "none", vec![]),
    ];
    let what = format!("{count} times away in {rooms} rooms{over}: from the press to the placeholder, median");
    // A road that is stuck or cut holds up what the app says, and its pictures too: the slate is there after a second.
    rows.push(if bad_weather {
        Row::fixed(&what, "ms", middle, 3000.0, "at most 3000 ms, on a busy machine", vec![])
    } else {
        Row::fixed(&what, "ms", middle, 1000.0, "at most 1000 ms, on a busy machine", vec![])
    });
    Ok(rows)
}

/// The cycles of one room, twenty at a time with viewers of their own, so that memory stays bounded.
async fn leaves_in(server: &Server, room: &Room, how: Leaving, by_app: bool) -> Result<Vec<leave::Found>> {
    let mut dice = Dice::new(how.seed);
    let roads = Roads::to(server).await?;
    let command = if by_app { live::command_of_owner } else { live::command_over };
    let mut command = command(&roads, server, room, &["--test-card", "--preset", "540p30"])?;
    // A broadcaster keeps what it knows of encoders in a folder; each has its own.
    command.env("MUJIAN_DATA", server.data.join(format!("broadcaster-{}", room.id)));
    let mut program = live::begin(server, room, &mut command).await?;
    let weather = how.bad_weather.then(|| (roads.control.weather(2 * how.seed), roads.media.weather(2 * how.seed + 1)));
    let (mut all, mut every, mut slack) = (Vec::new(), Vec::new(), f64::INFINITY);
    let mut left = how.count;
    while left > 0 {
        let exits = leave::Exits::open(server, room).await?;
        let mut cycles = Vec::new();
        for _ in 0..left.min(20) {
            tokio::time::sleep(dice.millis(0, 700)).await;
            let mut press = if by_app { leave::Press::App(&mut program) } else { leave::Press::Api };
            cycles.push(leave::cycle(server, room, &mut press, dice.millis(200, 1000)).await?);
            exits.settle().await?;
        }
        left -= cycles.len();
        let watched = exits.watched(&cycles, by_app).await?;
        slack = slack.min(watched.slack);
        all.extend(watched.by.into_iter().map(|(_, found)| found));
        every.extend(cycles);
        println!("{}: {left} to go", room.id);
    }
    drop(weather);
    // What was recorded of it all, and what of that is left when it is cut.
    program.signal(libc::SIGINT);
    program.ended(SOON).await?;
    for shown in leave::recorded(server, room).await? {
        let leaks = leave::leaks(shown.into_iter().flatten(), &every, slack);
        all.push(leave::Found { leaks, ..leave::Found::default() });
    }
    Ok(all)
}

/// The publisher is killed, and comes back after 20 s: one connection of the viewer, one timeline.
async fn outage() -> Result<Vec<Row>> {
    let server = Server::start().await?;
    let room = server.room("owner", "Outage").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(90, SOON).await?;
    let killed = Instant::now();
    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    let slate = killed.elapsed();
    tokio::time::sleep(Duration::from_secs(20).saturating_sub(killed.elapsed())).await;
    ensure!(server.stage(&room).await? == "lost", "the room ended within the grace time");
    let started = Instant::now();
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let back = started.elapsed();
    viewer.more_pictures(150, SOON).await?;
    ensure!(viewer.ended().is_none(), "the viewer's connection ended");
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    let (slate, back) = (slate.as_secs_f64() * 1000.0, back.as_secs_f64() * 1000.0);
    Ok(vec![
        Row::fixed("20 s outage: from the kill to the slate", "ms", slate, 1500.0, "at most 1500 ms", vec![]),
        Row::fixed("20 s outage: from the publisher's start to live", "ms", back, 5000.0, "at most 5000 ms", vec![]),
    ])
}

/// The link of our own broadcaster breaks for 20 s: it says so, and comes back by itself to the same viewer.
async fn broken_link() -> Result<Vec<Row>> {
    let server = Server::start().await?;
    let room = server.room("owner", "Link").await?;
    let link = Link::to(server.rtmp).await?;
    let mut command = Command::new(ours("mujian")?);
    let url = format!("rtmp://{}/live", link.at);
    command.args(["live", "--server", &url, "--room", &room.id, "--json", "--test-card", "--preset", "540p30"]);
    command.env("MUJIAN_STREAM_KEY", &room.key).env("MUJIAN_DATA", server.data.join("broadcaster"));
    let mut program = Program::start(&mut command)?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(90, SOON).await?;
    let broken = Instant::now();
    link.cut();
    program.line("that it reconnects", SOON, |l| l.contains(r#""type":"reconnecting""#)).await?;
    server.wait_stage(&room, "lost", SOON).await?;
    let slate = broken.elapsed();
    tokio::time::sleep(Duration::from_secs(20).saturating_sub(broken.elapsed())).await;
    ensure!(server.stage(&room).await? == "lost", "the room ended within the grace time");
    link.mend();
    let mended = Instant::now();
    server.wait_stage(&room, "live", SOON).await?;
    let back = mended.elapsed();
    let said = || program.words().matches(r#""type":"live""#).count();
    wait::until("that it says so", SOON, async || Ok((said() == 2).then_some(()))).await?;
    viewer.more_pictures(150, SOON).await?;
    ensure!(viewer.ended().is_none(), "the viewer's connection ended");
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    program.signal(libc::SIGINT);
    ensure!(program.ended(SOON).await?.success(), "{}", program.words());
    let (slate, back) = (slate.as_secs_f64() * 1000.0, back.as_secs_f64() * 1000.0);
    Ok(vec![
        Row::fixed("20 s broken link of mujian live: to the slate", "ms", slate, 1500.0, "at most 1500 ms", vec![]),
        // Its longest pause between attempts is 8 s.
        Row::fixed("20 s broken link of mujian live: mended to live", "ms", back, 10_000.0, "at most 10 s", vec![]),
    ])
}

/// Viewers come and go; the server's memory stays.
async fn churn(count: usize) -> Result<Vec<Row>> {
    let server = Setup::default().config(QUICK).start().await?;
    let room = server.room("owner", "Churn").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    // The ring fills first.
    viewer.more_pictures(900, Duration::from_secs(60)).await?;
    drop(viewer);
    let pid = server.program.pid().context("the server ended")?;
    let mut readings = Vec::new();
    for round in 0..8 {
        for n in 0..count / 8 {
            let joined = if n % 2 == 0 {
                join::flv(server.http, &room.id).await
            } else {
                join::websocket(server.http, &room.id).await
            };
            joined.with_context(|| format!("round {round}, viewer {n}"))?;
        }
        readings.push(cpu::memory(pid)? as f64 / f64::from(1 << 20));
    }
    let growth = median(&readings[4..]).context("no readings")? - median(&readings[..4]).context("no readings")?;
    let what = format!("memory after {count} viewers came and went, growth from the first to the second half");
    Ok(vec![Row::fixed(&what, "MiB", growth, 8.0, "at most 8 MiB", readings)])
}

async fn lip_sync(seconds: u64) -> Result<Vec<Row>> {
    let server = Server::start().await?;
    let room = server.room("owner", "Lip sync").await?;
    let _live = live::start(&server, &room, &["--test-card"]).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(usize::try_from(seconds * 30)?, Duration::from_secs(seconds + 60)).await?;
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let found = lipsync::of_file(file.path()).await?;
    let runs: Vec<f64> = found.beeps.iter().map(|b| b.1).collect();
    Ok(vec![
        Row::fixed(
            &format!("lip sync over {seconds} s, furthest beep"),
            "ms",
            found.worst.abs(),
            15.0,
            "at most 15 ms",
            runs,
        ),
        Row::fixed(&format!("lip sync drift over {seconds} s"), "ms", found.drift.abs(), 10.0, "under 10 ms", vec![]),
    ])
}
