//! `make bench`: measures the figures that the project promises and their references, prints them as a table and
//! writes them to `target/bench.json`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Parser;
use mujian_tests::browser::{Browser, Look};
use mujian_tests::hand_out::HandOut;
use mujian_tests::measure::figures::{median, percentile};
use mujian_tests::measure::light::Drawn;
use mujian_tests::measure::table::{HEAD, Row, write};
use mujian_tests::measure::{cpu, fanout, glass, join, leave, light, lipsync, uplink, votes};
use mujian_tests::process::{Program, source_root};
use mujian_tests::screen::Screen;
use mujian_tests::server::{Room, Server, Setup};
use mujian_tests::sound::{Skewed, Sound};
use mujian_tests::{ffmpeg, flv, live};
use tokio::process::Command;

/// Which rows to measure; all of them if none is named.
#[derive(Parser)]
struct Arguments {
    /// `fanout`, `join`, `picture`, `glass`, `leave`, `votes`, `uplink`, `broadcaster`, `idle`, `preview`,
    /// `danmaku`, `lipsync`, `lips` (in the browser).
    rows: Vec<String>,
    /// How long the lip sync is measured, in seconds.
    #[arg(long, env = "LIPSYNC_SECONDS", default_value_t = 600)]
    lipsync_seconds: u64,
    /// Where the figures are written.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let wanted = |name: &str| arguments.rows.is_empty() || arguments.rows.iter().any(|row| row == name);
    let out = arguments.out.clone().unwrap_or_else(|| source_root().join("target/bench.json"));
    let mut rows = Vec::new();
    let mut broken = Vec::new();
    println!("{HEAD}");
    macro_rules! measure {
        ($name:literal, $work:expr) => {
            if wanted($name) {
                let host = cpu::host()?;
                let measured = $work.await;
                println!(
                    "<!-- {}: the machine's host gave {:.1} % of it to others -->",
                    $name,
                    cpu::host()?.stolen_since(&host) * 100.0
                );
                match measured {
                    Ok(new) => {
                        let new: Vec<Row> = new;
                        new.iter().for_each(|row| println!("{}", row.line()));
                        rows.extend(new);
                    }
                    Err(error) => broken.push(format!("{}: {error:#}", $name)),
                }
            }
        };
    }
    measure!("fanout", fanout::rows(&fanout::Plan::default()));
    measure!("join", joins());
    measure!("picture", click_to_picture());
    measure!("glass", glass_to_glass());
    measure!("leave", leaving());
    measure!("votes", voting());
    measure!("uplink", narrow_line());
    measure!("broadcaster", broadcaster());
    measure!("idle", idle_app());
    measure!("preview", preview());
    measure!("danmaku", danmaku());
    measure!("lipsync", lip_sync(arguments.lipsync_seconds));
    measure!("lips", lip_sync_in_browser());
    if arguments.rows.is_empty() {
        // A whole run stands for itself.
        let _ = std::fs::remove_file(&out);
    }
    write(&out, &rows)?;
    println!("\nWritten to {}.", out.display());
    for failure in &broken {
        eprintln!("NOT MEASURED {failure}");
    }
    let missed = rows.iter().filter(|row| !row.met).count();
    if broken.is_empty() && missed > 0 {
        anyhow::bail!("{missed} of the goals were missed");
    }
    if broken.is_empty() { Ok(()) } else { anyhow::bail!("{} of the measurements failed", broken.len()) }
}

/// A server with a room that ffmpeg publishes 720p30 at 2.5 Mbit/s to.
async fn on_air() -> Result<(Server, Room, Program)> {
    let server = quick_server().await?;
    let room = server.room("bench", "Bench").await?;
    let publish = ffmpeg::Publish {
        picture: "testsrc2=size=1280x720:rate=30".into(),
        coding: "-c:v libx264 -preset ultrafast -tune zerolatency -threads 1 -g 60 -pix_fmt yuv420p -b:v 2500k -maxrate 2500k -bufsize 2500k -c:a aac -ac 2"
            .split_whitespace()
            .map(str::to_owned)
            .collect(),
        ..ffmpeg::Publish::default()
    };
    let publisher = publish.start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", Duration::from_secs(20)).await?;
    let viewer = flv::Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(90, Duration::from_secs(20)).await?;
    Ok((server, room, publisher))
}

/// A server whose limits of rate do not stand in the way of measuring.
async fn quick_server() -> Result<Server> {
    Setup::default().config("[limits]\nrequests = { burst = 100000, per_hour = 3600000 }\n").start().await
}

async fn joins() -> Result<Vec<Row>> {
    let (server, room, _publisher) = on_air().await?;
    let (mut by_flv, mut by_websocket) = (Vec::new(), Vec::new());
    for _ in 0..200 {
        by_flv.push(join::flv(server.http, &room.id).await?);
        by_websocket.push(join::websocket(server.http, &room.id).await?);
    }
    let row = |what: &str, runs: Vec<f64>| -> Result<Row> {
        let value = percentile(&runs, 0.95).context("no figures")?;
        Ok(Row::fixed(what, "ms", value, 30.0, "95th percentile at most 30 ms", runs))
    };
    Ok(vec![
        row("join at the server, HTTP-FLV, 95th percentile of 200", by_flv)?,
        row("join at the server, WebSocket, 95th percentile of 200", by_websocket)?,
    ])
}

async fn click_to_picture() -> Result<Vec<Row>> {
    let server = quick_server().await?;
    let room = server.room("bench", "Bench").await?;
    let _live = live::start(&server, &room, &["--test-card"]).await?;
    cpu::prepared(server.program.pid().context("the server is gone")?).await?;
    let mut browser = Browser::start(true).await?;
    let (mut first, mut newest) = (Vec::new(), Vec::new());
    for _ in 0..24 {
        let page = browser.page(&Look::default()).await?;
        browser.goto(page, &server.url()).await?;
        let shown = glass::click_to_picture(&mut browser, page, &format!("a[href$='{}']", room.id)).await?;
        first.push(shown.0);
        newest.push(shown.1);
        browser.close(page).await?;
    }
    let high = |runs: &[f64]| percentile(runs, 0.95).context("no figures");
    let (to_first, to_newest) = (high(&first)?, high(&newest)?);
    let row = |what, value, runs| Row::fixed(what, "ms", value, 500.0, "95th percentile at most 500 ms", runs);
    Ok(vec![
        row("click to the first live picture in Chromium, 95th percentile of 24", to_first, first),
        row("click to the newest pictures, at most 0.5 s behind what has arrived, the same", to_newest, newest),
    ])
}

async fn glass_to_glass() -> Result<Vec<Row>> {
    let server = quick_server().await?;
    let room = server.room("bench", "Bench").await?;
    let _live = live::start(&server, &room, &["--test-card"]).await?;
    let mut browser = Browser::start(true).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    browser.wait(page, "document.querySelector('video')?.currentTime > 5", Duration::from_secs(40)).await?;
    let found = glass::to_glass(&mut browser, page, 900).await?;
    let middle = median(&found).context("no figures")?;
    let high = percentile(&found, 0.95).context("no figures")?;
    Ok(vec![
        Row::fixed("glass to glass, median of 900 pictures", "ms", middle, 300.0, "median at most 300 ms", found),
        Row::fixed("glass to glass, 95th percentile", "ms", high, 450.0, "95th percentile at most 450 ms", Vec::new()),
    ])
}

/// Twenty times away and back, by the API, at moments that differ.
async fn leaving() -> Result<Vec<Row>> {
    let server = quick_server().await?;
    let room = server.room("bench", "Bench").await?;
    let _live = live::start(&server, &room, &["--test-card"]).await?;
    let exits = leave::Exits::open(&server, &room).await?;
    let mut cycles = Vec::new();
    for n in 0..20u64 {
        tokio::time::sleep(Duration::from_millis(n * 137 % 930)).await;
        cycles.push(leave::cycle(&server, &room, &mut leave::Press::Api, Duration::from_millis(700)).await?);
        exits.settle().await?;
    }
    let mut rows = Vec::new();
    for (what, seen) in
        [("HTTP-FLV", leave::seen_by_flv(&exits.flv).await?), ("fMP4", leave::seen_by_fmp4(&exits.fmp4).await?)]
    {
        let found = leave::find(&seen, &cycles, false)?;
        anyhow::ensure!(found.leaks.is_empty(), "{what}: pictures that were captured while away: {:?}", found.leaks);
        for (name, runs) in [
            ("from the press on leave to the placeholder", found.placeholder),
            ("after back, from the first picture's capture to the viewer", found.live_age),
        ] {
            let value = percentile(&runs, 0.95).context("no figures")?;
            let name = format!("{name}, {what}, 95th percentile of 20");
            rows.push(Row::fixed(&name, "ms", value, 300.0, "at most 300 ms", runs));
        }
    }
    exits.hls.more_pictures(15, Duration::from_secs(10)).await?;
    let found = leave::find(&leave::seen_by_fmp4(&exits.hls).await?, &cycles, false)?;
    anyhow::ensure!(found.leaks.is_empty(), "LL-HLS: pictures that were captured while away: {:?}", found.leaks);
    // A player shows a part when it has so much behind it.
    let behind = mujian_media::hls::window::PART_HOLD_BACK.as_secs_f64() * 1000.0;
    let runs: Vec<f64> = found.placeholder.iter().map(|ms| ms + behind).collect();
    let value = percentile(&runs, 0.95).context("no figures")?;
    let name = "from the press on leave to the placeholder, LL-HLS with its hold-back, 95th percentile of 20";
    rows.push(Row::fixed(name, "ms", value, 2000.0, "at most 2 s", runs));
    Ok(rows)
}

/// Row A6, at a viewer of HTTP-FLV.
async fn narrow_line() -> Result<Vec<Row>> {
    let plan = uplink::Plan {
        preset: "720p30",
        wide: 3000,
        narrow: 600,
        stays: Duration::from_secs(20),
        late: Duration::from_secs(1),
    };
    let found = uplink::over_the_kernels_line(&plan).await?;
    let row = |what: &str, unit: &str, value: f64, goal: f64, words: &str| {
        Row::fixed(&format!("from 3 Mbit/s to 600 kbit/s and back: {what}"), unit, value, goal, words, vec![value])
    };
    Ok(vec![
        row("until pictures are in time again", "ms", found.back, 3000.0, "at most 3 s"),
        row("their age while it is narrow, 95th percentile", "ms", found.narrow_age, 1000.0, "less than 1 s"),
        row("their age when it is wide again, 95th percentile", "ms", found.wide_age, 1000.0, "less than 1 s"),
        row("frames of silence in the sound", "", found.silences.len() as f64, 0.0, "none"),
    ])
}

async fn voting() -> Result<Vec<Row>> {
    let found = votes::measure(2000, Duration::from_secs(5)).await?;
    let (cast, counted) = found.counted;
    let wrong: u64 = cast.iter().zip(counted).map(|(a, b)| a.abs_diff(b)).sum();
    let runs = counted.iter().map(|n| *n as f64).collect();
    Ok(vec![
        Row::fixed(
            "2000 people vote in 5 s: votes that the tally has too many or too few",
            "",
            wrong as f64,
            0.0,
            "none",
            runs,
        ),
        Row::fixed(
            "the same: longest time that a vote was not in the tally",
            "s",
            found.behind,
            1.0,
            "at most 1 s",
            vec![],
        ),
    ])
}

/// Settings of the reference: those of our own libx264 candidate (`mujian_av::encode`) and of the 720p30 preset.
const REFERENCE: &str = "-c:v libx264 -threads:v 1 -profile:v high -preset veryfast -tune zerolatency -g 60 -bf 0 -pix_fmt yuv420p -b:v 2500k -maxrate 2500k -bufsize 2500k -c:a aac -b:a 128k";

/// Both at once, of one screen: what the host takes from this machine, and what else runs on it, costs both the same.
async fn broadcaster() -> Result<Vec<Row>> {
    let server = quick_server().await?;
    let (room, other) = (server.room("bench", "Bench").await?, server.room("reference", "Reference").await?);
    let screen = Screen::start(1280, 720).await?;
    let _content = screen.moving_content(1280, 720)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let mut command = live::command(
            &server,
            &room,
            &["--screen", "--mic", "none", "--preset", "720p30", "--encoder", "libx264"],
        )?;
        command.env("DISPLAY", &screen.display);
        let mut app = Program::start(&mut command)?;
        app.line("that it is live", Duration::from_secs(30), |l| l.contains("\"live\"")).await?;

        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostats", "-f", "x11grab", "-framerate", "30", "-video_size", "1280x720"]);
        command.args(["-i", &format!("{}.0", screen.display)]);
        command.args(["-re", "-f", "lavfi", "-i", "anullsrc=channel_layout=stereo:sample_rate=48000"]);
        command.args(REFERENCE.split_whitespace()).args(["-f", "flv", &server.publish_url(&other)]);
        let mut reference = Program::start(&mut command)?;
        server.wait_stage(&other, "live", Duration::from_secs(20)).await?;

        let (cores, reference_cores) = tokio::try_join!(cores(&app), cores(&reference))?;
        ours.push(cores * 100.0);
        theirs.push(reference_cores * 100.0);
        for (program, room) in [(&mut app, &room), (&mut reference, &other)] {
            program.signal(libc::SIGINT);
            program.ended(Duration::from_secs(10)).await?;
            server.wait_stage(room, "off", Duration::from_secs(20)).await?;
        }
    }
    let (value, reference) = (median(&ours).context("no figures")?, median(&theirs).context("no figures")?);
    let what = "broadcaster CPU, screen 720p30 to libx264 veryfast to RTMP";
    Ok(vec![Row::times(what, "% of a core", value, reference, 1.2, ours)])
}

async fn idle_app() -> Result<Vec<Row>> {
    let runs: Vec<f64> = light::idle().await?.iter().map(|cores| cores * 100.0).collect();
    let value = median(&runs).context("no figures")?;
    let what = "the app's window at the hall, its web processes and its server, nothing on air";
    Ok(vec![Row::fixed(what, "% of a core", value, 3.0, "at most 3 %", runs)])
}

async fn preview() -> Result<Vec<Row>> {
    let (with, without) = light::preview().await?;
    let runs: Vec<f64> = with.iter().zip(&without).map(|(with, without)| (with - without) * 100.0).collect();
    println!("<!-- preview: with it {with:?} cores, without {without:?} -->");
    let value = median(&runs).context("no figures")?;
    let what = "the studio's page with its preview on air, beyond the same with a page that stands still";
    Ok(vec![Row::fixed(what, "% of a core", value, 25.0, "at most 25 %", runs)])
}

async fn danmaku() -> Result<Vec<Row>> {
    let (quiet, full) = light::danmaku(100).await?;
    for (of, Drawn { missed, longest, flying }) in
        std::iter::once(("without", &quiet)).chain(full.iter().map(|run| ("with", run)))
    {
        println!(
            "<!-- danmaku: {of}: {:.1} % missing, the longest {longest:.0} ms, {flying:.0} fly -->",
            missed * 100.0
        );
    }
    let runs: Vec<f64> = full.iter().map(|run| run.missed * 100.0).collect();
    let value = median(&runs).context("no figures")?;
    let what = "100 danmaku a second in Chromium: missing of 60 frames a second";
    Ok(vec![Row::fixed(what, "%", value, 2.0, "at most 2 %", runs)])
}

/// Cores that a program keeps busy over 30 s, from 4 s on.
async fn cores(program: &Program) -> Result<f64> {
    let pid = program.pid().context("it has ended")?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let before = cpu::read(pid)?;
    tokio::time::sleep(Duration::from_secs(30)).await;
    Ok(cpu::read(pid)?.cores_since(&before))
}

async fn lip_sync(seconds: u64) -> Result<Vec<Row>> {
    let server = quick_server().await?;
    let room = server.room("bench", "Bench").await?;
    let sound = Sound::start().await?;
    let microphone = Skewed::start(&sound, SKEW_PPM).await?;
    let mut command = live::command(&server, &room, &["--test-card", "--mic", "default"])?;
    command.envs(sound.environment());
    let mut program = Program::start(&mut command)?;
    program.line("that it is live", Duration::from_secs(30), |l| l.contains("\"live\"")).await?;
    server.wait_stage(&room, "live", Duration::from_secs(10)).await?;
    let viewer = flv::Viewer::open(&server.flv_url(&room)).await?;
    // The microphone's clock is followed from its first seconds on; they count too.
    let frames = usize::try_from(seconds * 30)?;
    viewer.more_pictures(frames, Duration::from_secs(seconds + 30)).await?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    program.signal(libc::SIGINT);
    program.ended(Duration::from_secs(10)).await?;
    drop(microphone);
    let (card, microphone) = lipsync::of_both(file.path()).await?;
    let runs: Vec<f64> = card.beeps.iter().map(|b| b.1).collect();
    let what = format!("lip sync in the stream, furthest of {} beeps in {seconds} s", runs.len());
    let of_microphone: Vec<f64> = microphone.beeps.iter().map(|b| b.1).collect();
    // What the sound server and its pipe add is the same all the time.
    let still = format!("a microphone {SKEW_PPM} ppm off: drift of {} beeps in {seconds} s", of_microphone.len());
    let furthest = of_microphone.iter().map(|late| (late - microphone.median).abs()).fold(0.0, f64::max);
    let wander = format!("a microphone {SKEW_PPM} ppm off: furthest from its median, {:.1} ms", microphone.median);
    Ok(vec![
        Row::fixed(&what, "ms", card.worst.abs(), 15.0, "at most 15 ms", runs),
        Row::fixed("lip sync, drift", "ms", card.drift.abs(), 10.0, "under 10 ms", Vec::new()),
        Row::fixed(&still, "ms", microphone.drift.abs(), 10.0, "under 10 ms", of_microphone),
        Row::fixed(&wander, "ms", furthest, 15.0, "at most 15 ms", Vec::new()),
    ])
}

/// How far off the microphone's clock is, in millionths.
const SKEW_PPM: f64 = 200.0;

/// The reference is the same pictures and sound as a file, with the times that the stream has, which the same browser
/// plays by itself: what the instrument adds (the way of a page's sound through WebAudio to the output) is in both.
async fn lip_sync_in_browser() -> Result<Vec<Row>> {
    const BEEPS: u64 = 60;
    let server = quick_server().await?;
    let room = server.room("bench", "Bench").await?;
    let live = live::start(&server, &room, &["--test-card"]).await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    browser.wait(page, "document.querySelector('video')?.readyState > 2", Duration::from_secs(40)).await?;
    let found = glass::lips(&mut browser, page, BEEPS).await?;
    browser.close(page).await?;

    let viewer = flv::Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(usize::try_from(BEEPS / 2 + 5)? * 30, Duration::from_secs(BEEPS)).await?;
    let folder = tempfile::tempdir()?;
    let (stream, file) = (folder.path().join("card.flv"), folder.path().join("card.mp4"));
    viewer.save(&stream)?;
    drop((viewer, live));
    let copy = ["-v", "error", "-i", text(&stream)?, "-c", "copy", "-movflags", "+faststart", text(&file)?];
    mujian_tests::process::run("ffmpeg", copy, Duration::from_secs(30)).await?;
    let in_file = lipsync::of_file(&stream).await?;
    let there = HandOut::begin("video/mp4", std::fs::read(&file)?).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &format!("http://{}/card.mp4", there.address)).await?;
    browser.wait(page, "document.querySelector('video')?.readyState > 2", Duration::from_secs(40)).await?;
    let reference = glass::lips(&mut browser, page, BEEPS / 2).await?;

    let high = |found: &[f64], from: f64| {
        percentile(&found.iter().map(|late| (late - from).abs()).collect::<Vec<_>>(), 0.95).context("no figures")
    };
    let instrument = median(&reference).context("no figures")? - in_file.median;
    let what = format!(
        "lip sync in Chromium, 95th percentile of {} beeps; {:.1} ms with what the instrument adds, {instrument:.1} ms by a file",
        found.len(),
        high(&found, 0.0)?
    );
    Ok(vec![Row::fixed(&what, "ms", high(&found, instrument)?, 45.0, "45 ms", found)])
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
