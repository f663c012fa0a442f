//! A line to the server that becomes narrow and wide again (row A6), as a viewer sees and hears the broadcast.
//!
//! The broadcaster plays a film that was made for it: it moves enough to use all bits that it may have, sounds a tone
//! without a pause, and carries its own time in the test card's cells. How old a picture is when it is shown counts from the
//! youngest that was seen while the line was wide.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mujian_av::testcard::cells;
use mujian_media::aac;
use serde_json::Value;
use tokio::process::Command;

use super::leave::{self, wall};
use crate::link::{Link, Road, Roads};
use crate::namespace::Namespace;
use crate::process::{Program, run};
use crate::server::{Room, Server, Setup};
use crate::{ffmpeg, flv, live, tone, wait};

const SOON: Duration = Duration::from_secs(20);
/// Width and height of the film's cells, before they are made larger.
const CELLS: (usize, usize) = (320, 20);
const TONE: f32 = 1000.0;
/// The age of what is no picture of the broadcaster's.
const NEVER: f64 = 1e9;
/// The process was held up for so long: the machine was busy, and so were the programs.
const HELD_UP: Duration = Duration::from_millis(100);
/// So long after that its silence may come out.
const AFTER: f64 = 2000.0;

enum Line {
    /// A link of ours, which lets so much through.
    Link(Link),
    /// The kernel's own.
    Kernel(Namespace),
}

impl Line {
    async fn carries(&self, kbits: u32) -> Result<()> {
        match self {
            Self::Link(link) => link.is(Road::Narrow(kbits * 1000 / 8)),
            Self::Kernel(namespace) => namespace.carries(kbits).await?,
        }
        Ok(())
    }
}

/// What is done.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The broadcaster's preset.
    pub preset: &'static str,
    /// Kilobits a second that the line carries, before and after.
    pub wide: u32,
    /// And in between.
    pub narrow: u32,
    /// For how long it is narrow.
    pub stays: Duration,
    /// A picture that is older than this is too late.
    pub late: Duration,
}

/// What a viewer got. Times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Found {
    /// Kilobits a second that were sent while the line was wide.
    pub sent: f64,
    /// From the moment when the line became narrow until pictures were in time again.
    pub back: f64,
    /// Their age from then on, while the line was narrow: of 95 in a hundred no more than this.
    pub narrow_age: f64,
    /// The same at the end, when the line had been wide again for some seconds.
    pub wide_age: f64,
    /// When silence was put in though the machine was not held up, from the moment when the line became narrow.
    pub silences: Vec<f64>,
    /// The share of the sound that is the tone, 0 to 1.
    pub tone: f32,
    /// Kilobits a second that the picture had when the line was narrow, and at the end.
    pub video: (u64, u64),
    /// What the broadcaster said of its line, in order.
    pub said: Vec<String>,
}

/// Over a road of ours, which carries so much and keeps what is too much waiting.
///
/// # Errors
///
/// Something does not start, or never comes through.
pub async fn over_a_road(plan: &Plan) -> Result<Found> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let roads = Roads::to(&server).await?;
    let command = live::command_over(&roads, &server, &room, &[])?;
    let Roads { control: _control, media } = roads;
    measure(&server, &room, &Line::Link(media), command, plan).await
}

/// Over a line that the kernel limits, in a network of its own; where this machine does not give us one, as
/// [`over_a_road`].
///
/// # Errors
///
/// Something does not start, or never comes through.
pub async fn over_the_kernels_line(plan: &Plan) -> Result<Found> {
    let Some(namespace) = Namespace::new(plan.wide).await else { return over_a_road(plan).await };
    let here = format!("{}:0", namespace.here);
    let server = Setup::default().arg("--http").arg(&here).arg("--rtmp").arg(&here).start().await?;
    let room = server.room("owner", "A room").await?;
    let command = live::command(&server, &room, &[])?;
    measure(&server, &room, &Line::Kernel(namespace), command, plan).await
}

/// Makes the film.
async fn film(folder: &Path, seconds: usize) -> Result<PathBuf> {
    let (strip, film) = (folder.join("cells.grey"), folder.join("film.mp4"));
    let (width, height) = CELLS;
    let mut bytes = Vec::with_capacity(seconds * 30 * width * height);
    for n in 0..seconds * 30 {
        let bits = cells::encode(n as u64 * 1000 / 30);
        for row in 0..cells::ROWS {
            let line: Vec<u8> =
                (0..width)
                    .map(|x| {
                        if bits >> (63 - (row * cells::COLUMNS + x * cells::COLUMNS / width)) & 1 == 1 {
                            255
                        } else {
                            0
                        }
                    })
                    .collect();
            (0..height / cells::ROWS).for_each(|_| bytes.extend_from_slice(&line));
        }
    }
    std::fs::write(&strip, bytes)?;
    let (strip, out) = (strip.to_string_lossy(), film.to_string_lossy());
    let (size, length) = (format!("{width}x{height}"), seconds.to_string());
    let args = [
        "-v",
        "error",
        "-f",
        "rawvideo",
        "-pix_fmt",
        "gray",
        "-s",
        &size,
        "-r",
        "30",
        "-i",
        &strip,
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x320:rate=30",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=1000:sample_rate=48000",
        "-filter_complex",
        "[0]scale=640:40:flags=neighbor,format=yuv420p[cells];[1]noise=alls=12:allf=t,format=yuv420p[moves];[moves][cells]vstack",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "30",
        "-c:a",
        "aac",
        "-b:a",
        "128k",
        "-ac",
        "2",
        "-t",
        &length,
        &out,
    ];
    run("ffmpeg", args, Duration::from_secs(120)).await?;
    Ok(film)
}

/// When this process was held up.
struct Watchman {
    held_up: Arc<Mutex<Vec<(f64, f64)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watchman {
    fn new() -> Self {
        let held_up = Arc::<Mutex<Vec<(f64, f64)>>>::default();
        let noted = Arc::clone(&held_up);
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                tokio::time::sleep(Duration::from_millis(10)).await;
                let took = began.elapsed();
                if took > HELD_UP
                    && let Ok(mut noted) = noted.lock()
                {
                    noted.push((wall() - took.as_secs_f64() * 1000.0, wall()));
                }
            }
        });
        Self { held_up, task }
    }

    fn held_up(&self) -> Vec<(f64, f64)> {
        self.held_up.lock().map_or_else(|_| Vec::new(), |noted| noted.clone())
    }
}

impl Drop for Watchman {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Broadcasts the film to a room over a line that becomes narrow and wide again. `command` broadcasts, but for its source
/// and preset; it leads over the line.
async fn measure(server: &Server, room: &Room, line: &Line, mut command: Command, plan: &Plan) -> Result<Found> {
    let folder = tempfile::tempdir()?;
    let seconds = 80 + plan.stays.as_secs() as usize;
    let film = film(folder.path(), seconds).await?;
    line.carries(plan.wide).await?;
    command.arg("--file").arg(&film).args(["--loop", "--preset", plan.preset]);
    if let Line::Kernel(namespace) = line {
        command = namespace.inside(&command);
    }
    let mut program = live::begin(server, room, &mut command).await?;
    let watchman = Watchman::new();
    let viewer = flv::Viewer::open(&server.flv_url(room)).await?;
    viewer.more_pictures(240, SOON).await?;
    let sent = figures(&program).iter().filter_map(|f| f["bitrate_kbps"].as_f64()).fold(0.0, f64::max);

    line.carries(plan.narrow).await?;
    let fell = wall();
    // This is how long it is narrow; nothing is waited for by it.
    tokio::time::sleep(plan.stays).await;
    let low = figures(&program).last().and_then(video).context("no figures")?;
    let widened = wall();
    line.carries(plan.wide).await?;
    let more = || async { Ok(figures(&program).last().and_then(video).filter(|kbits| *kbits > low * 5 / 4)) };
    wait::until("more bits for the picture", SOON, more).await.context("the line is wide again")?;
    let wide_again = wall();
    viewer.more_pictures(150, SOON).await?;
    let high = figures(&program).last().and_then(video).context("no figures")?;
    let silences = silences(&viewer, &watchman.held_up(), fell);
    let samples = samples(&viewer).await?;
    program.signal(libc::SIGINT);
    program.ended(SOON).await?;
    ensure!(wide_again > widened, "the clock on the wall went back");

    viewer.check_timeline(flv::SLATE_HOLE, flv::SOUND_HOLE)?;
    let ages = ages(&leave::seen_by_flv(&viewer).await?, fell).context("no clock was seen while the line was wide")?;
    let said = program.words().lines().filter(|l| kind(l) == "uplink").map(str::to_owned).collect();
    let back = back(&ages, fell, widened, plan.late.as_secs_f64() * 1000.0)
        .with_context(|| format!("the picture never came back; {said:?}"))?;
    let in_time = |from: f64, until: f64| {
        let some: Vec<f64> = ages.iter().filter(|(at, _)| *at >= from && *at < until).map(|(_, age)| *age).collect();
        super::figures::percentile(&some, 0.95).context("no pictures")
    };
    Ok(Found {
        sent,
        back,
        narrow_age: in_time(fell + back, widened)?,
        wide_age: in_time(wide_again, f64::INFINITY)?,
        silences,
        tone: tone::heard(samples.get(48_000..).context("no sound")?, 48_000.0, TONE),
        video: (low, high),
        said,
    })
}

fn kind(line: &str) -> String {
    serde_json::from_str::<Value>(line).unwrap_or_default()["type"].as_str().unwrap_or_default().to_owned()
}

/// The figures that the broadcaster has told, a second each.
fn figures(program: &Program) -> Vec<Value> {
    let lines = program.words();
    lines.lines().filter_map(|l| serde_json::from_str::<Value>(l).ok()).filter(|v| v["type"] == "stats").collect()
}

fn video(figures: &Value) -> Option<u64> {
    figures["uplink"]["video_kbps"].as_u64()
}

async fn samples(viewer: &flv::Viewer) -> Result<Vec<f32>> {
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    ffmpeg::samples(file.path()).await
}

/// When each picture came, and how old it was beyond the youngest before `fell`; a placeholder's is older than any.
fn ages(seen: &[leave::Seen], fell: f64) -> Option<Vec<(f64, f64)>> {
    let way = |s: &leave::Seen| s.captured.map(|captured| s.at - captured);
    let youngest = seen.iter().filter(|s| s.at < fell).filter_map(way).min_by(f64::total_cmp)?;
    Some(seen.iter().map(|s| (s.at, way(s).map_or(NEVER, |way| way - youngest))).collect())
}

/// How long after `fell` a second of pictures began that were all in time, after the first that was not. 0: all were.
fn back(ages: &[(f64, f64)], fell: f64, until: f64, late: f64) -> Option<f64> {
    let narrow: Vec<(f64, f64)> = ages.iter().copied().filter(|(at, _)| *at >= fell && *at < until).collect();
    let Some(first) = narrow.iter().position(|(_, age)| *age >= late) else { return Some(0.0) };
    let seconds = narrow.get(first..)?.windows(30);
    let in_time = |second: &&[(f64, f64)]| second.iter().all(|(_, age)| *age < late);
    seconds.into_iter().find(in_time).and_then(|second| Some(second.first()?.0 - fell))
}

/// Silence that the stage put in, where the machine was not held up.
fn silences(viewer: &flv::Viewer, held_up: &[(f64, f64)], fell: f64) -> Vec<f64> {
    let silent = aac::silent_frame(2);
    let sounds: Vec<flv::Tag> = viewer.tags().into_iter().filter(flv::Tag::is_sound).collect();
    let is_silent = |tag: &flv::Tag| tag.body.get(2..) == Some(&silent[..]);
    let excused = |at: f64| held_up.iter().any(|(from, until)| at >= *from && at <= *until + AFTER);
    // It begins with some.
    let silent = sounds.iter().skip_while(|tag| is_silent(tag)).filter(|tag| is_silent(tag));
    let at = silent.map(|tag| wall() - tag.at.elapsed().as_secs_f64() * 1000.0);
    at.filter(|at| !excused(*at)).map(|at| at - fell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_return_of_the_picture_is_found_among_what_is_late() {
        let picture = |n: i32| f64::from(n) * 33.0;
        // A second as ever, two seconds too late, and in time again but for one.
        let age = |n: i32| if (30..90).contains(&n) || n == 150 { 1500.0 } else { 40.0 };
        let ages: Vec<(f64, f64)> = (0..300).map(|n| (picture(n), age(n))).collect();
        let found = back(&ages, picture(30), picture(300), 1000.0).unwrap();
        assert_eq!(found, picture(90) - picture(30));
        assert_eq!(back(&ages[160..], picture(160), picture(300), 1000.0), Some(0.0));
        let never: Vec<(f64, f64)> = (0..300).map(|n| (picture(n), 1500.0)).collect();
        assert!(back(&never, 0.0, 9000.0, 1000.0).is_none());
    }

    #[test]
    fn the_age_counts_from_the_youngest() {
        let seen = |at: f64, captured: Option<f64>| leave::Seen { at, captured, key: None };
        let all = [seen(1000.0, Some(10.0)), seen(1050.0, Some(43.0)), seen(2000.0, Some(76.0)), seen(2100.0, None)];
        let ages = ages(&all, 1500.0).unwrap();
        assert_eq!(ages[..3], [(1000.0, 0.0), (1050.0, 17.0), (2000.0, 934.0)]);
        assert_eq!(ages[3].1, NEVER);
    }
}
