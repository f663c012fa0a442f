//! Fan-out: what a viewer costs the server, beside a bare loop that writes the same bytes to as many plain
//! sockets, one write a frame.
//!
//! The server is the real program, fed by RTMP. Viewers and the loop are processes of their own (the
//! program `fanout`), so that processor time can be read for each.

mod clip;
mod reference;
mod viewers;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

pub use self::clip::Wire;
pub use self::reference::run as run_reference;
pub use self::viewers::run as run_viewers;
use super::cpu;
use super::figures::median;
use super::table::Row;
use crate::process::{Program, ours};
use crate::server::{Room, Server, Setup};

/// How long to measure, and for how many viewers.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Numbers of viewers.
    pub viewers: Vec<usize>,
    /// From the last join to the beginning of measuring.
    pub settle: Duration,
    /// Measuring.
    pub measure: Duration,
    /// How often, the server and the bare loop in turns.
    pub runs: usize,
    /// From the first frame on, so that the ring is full before memory is read.
    pub fill: Duration,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            viewers: vec![100, 400, 1000],
            settle: Duration::from_secs(10),
            measure: Duration::from_secs(10),
            runs: 3,
            fill: Duration::from_secs(60),
        }
    }
}

/// What the viewers saw.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Seen {
    /// Viewers that were connected to the end.
    pub viewers: usize,
    /// Frames that they got while it was measured.
    pub frames: u64,
    /// Lateness of a frame at a viewer beside the earliest, in milliseconds: 50th, 99th and 100th percentile.
    pub late_p50: f64,
    /// See `late_p50`.
    pub late_p99: f64,
    /// See `late_p50`.
    pub late_max: f64,
    /// From a viewer's request to the last byte of its first key frame, 95th percentile, in milliseconds.
    pub join_p95: f64,
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
struct Run {
    seen: Seen,
    /// Processor time for each viewer and second, in microseconds.
    cpu: f64,
    /// Memory of the process before anybody watched, with all watching, and at the end, in bytes.
    memory: [u64; 3],
    /// The share of the machine's processors that its host gave to others meanwhile, from 0 to 1.
    stolen: f64,
}

/// Measures everything.
///
/// # Errors
///
/// A program cannot be started, or breaks.
pub async fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let clip = folder.path().join("clip.flv");
    clip::encode(&clip).await?;
    let server = Setup::default().start().await?;
    let room = server.room("fanout", "Fan-out").await?;
    let publishing = clip::publish(server.rtmp, &format!("{}?key={}", room.id, room.key), &clip)?;
    server.wait_stage(&room, "live", Duration::from_secs(20)).await?;
    let mut rows = Vec::new();
    {
        // One viewer of each kind, until the ring is full.
        let mut warm = Vec::new();
        for wire in [Wire::Flv, Wire::Mp4] {
            warm.push(watch(server.http, &room, wire, 1, Duration::ZERO, plan.fill)?);
        }
        for mut viewer in warm {
            viewer.ended(plan.fill + Duration::from_secs(20)).await?;
        }
    }
    for wire in [Wire::Flv, Wire::Mp4] {
        for &count in &plan.viewers {
            let (mut ours, mut bare) = (Vec::new(), Vec::new());
            // One after the other and again: what a machine does besides takes part in both.
            for _ in 0..plan.runs {
                ours.push(of_server(&server, &room, wire, count, plan).await?);
                bare.push(of_loop(&clip, wire, count, plan).await?);
                let last = |runs: &[Run]| serde_json::to_string(&runs.last());
                println!("<!-- {wire} {count}: {} / {} -->", last(&ours)?, last(&bare)?);
            }
            rows.extend(rows_of(&format!("{wire}, {count} viewers"), count, &ours, &bare, plan)?);
        }
    }
    drop(publishing);
    Ok(rows)
}

/// The medians of some runs for so many viewers; of memory what the worst run took.
fn rows_of(of: &str, count: usize, ours: &[Run], bare: &[Run], plan: &Plan) -> Result<Vec<Row>> {
    let name = |what: &str| format!("{what}, {of}");
    let each = |runs: &[Run], figure: fn(&Run) -> f64| runs.iter().map(figure).collect::<Vec<_>>();
    let middle = |figures: &[f64]| median(figures).context("no runs");
    let (cpu, reference) = (each(ours, |run| run.cpu), each(bare, |run| run.cpu));
    let all = [&cpu[..], &reference].concat();
    let what = name("server CPU a viewer-second");
    let mut rows = vec![Row::times(&what, "µs", middle(&cpu)?, middle(&reference)?, 1.5, all)];
    if count == 400 || plan.viewers.len() == 1 {
        let (late, reference) = (each(ours, |run| run.seen.late_p99), each(bare, |run| run.seen.late_p99));
        let all = [&late[..], &reference].concat();
        let what = name("lateness, 99th percentile");
        rows.push(Row::plus(&what, "ms", middle(&late)?, middle(&reference)?, 10.0, all));
    }
    let kib = |bytes: u64, before: u64| (bytes as f64 - before as f64) / 1024.0 / count as f64;
    let worst = |figures: &[f64]| figures.iter().copied().fold(f64::MIN, f64::max);
    // Before anybody watched: in the first run, for a process does not give back all that it once had.
    let before = ours.first().context("no runs")?.memory[0];
    let memory: Vec<f64> = ours.iter().map(|run| kib(run.memory[2], before)).collect();
    let grown: Vec<f64> = ours.iter().map(|run| kib(run.memory[2], run.memory[1])).collect();
    let joins = each(ours, |run| run.seen.join_p95);
    rows.push(Row::fixed(&name("memory a viewer"), "KiB", worst(&memory), 64.0, "at most 64 KiB", memory));
    let what = name("memory a viewer, growth while measuring");
    rows.push(Row::fixed(&what, "KiB", worst(&grown), 4.0, "flat: at most 4 KiB", grown));
    let what = name("join under load, 95th percentile");
    rows.push(Row::fixed(&what, "ms", middle(&joins)?, 30.0, "at most 30 ms", joins));
    Ok(rows)
}

fn helper(command: &str) -> Result<Command> {
    let mut helper = Command::new(ours("fanout")?);
    helper.arg(command);
    Ok(helper)
}

fn watch(
    server: SocketAddr,
    room: &Room,
    wire: Wire,
    count: usize,
    settle: Duration,
    measure: Duration,
) -> Result<Program> {
    let mut command = helper("watch")?;
    command.args(["--address", &server.to_string(), "--room", &room.id, "--wire", &wire.to_string()]);
    viewers_of(&mut command, count, settle, measure);
    Program::start(&mut command)
}

fn viewers_of(command: &mut Command, count: usize, settle: Duration, measure: Duration) {
    command.args(["--count", &count.to_string()]);
    command.args(["--settle", &settle.as_secs_f64().to_string(), "--measure", &measure.as_secs_f64().to_string()]);
}

async fn of_server(server: &Server, room: &Room, wire: Wire, count: usize, plan: &Plan) -> Result<Run> {
    let pid = server.program.pid().context("the server is gone")?;
    let before = cpu::memory(pid)?;
    let viewers = watch(server.http, room, wire, count, plan.settle, plan.measure)?;
    measure(viewers, pid, before, count, plan).await
}

async fn of_loop(clip: &Path, wire: Wire, count: usize, plan: &Plan) -> Result<Run> {
    let whole = plan.settle + plan.measure + Duration::from_secs(30 + count as u64 / 50);
    let mut command = helper("loop")?;
    command.arg("--clip").arg(clip).args(["--wire", &wire.to_string(), "--seconds", &whole.as_secs().to_string()]);
    let mut bare = Program::start(&mut command)?;
    let ready = bare.line("that it is ready", Duration::from_secs(20), |l| l.starts_with("ready ")).await?;
    let address = ready.trim_start_matches("ready ").trim().to_owned();
    let pid = bare.pid().context("the loop is gone")?;
    let before = cpu::memory(pid)?;
    let mut command = helper("watch")?;
    command.args(["--address", &address, "--wire", &wire.to_string()]);
    viewers_of(&mut command, count, plan.settle, plan.measure);
    measure(Program::start(&mut command)?, pid, before, count, plan).await
}

async fn measure(mut viewers: Program, pid: u32, before: u64, count: usize, plan: &Plan) -> Result<Run> {
    let joining = Duration::from_secs(30 + count as u64 / 50);
    viewers.line("that it measures", joining + plan.settle, |l| l == "measuring").await?;
    let (began, with_all, host) = (cpu::read(pid)?, cpu::memory(pid)?, cpu::host()?);
    viewers.line("that it has measured", plan.measure + Duration::from_secs(20), |l| l == "measured").await?;
    let (ended, at_end, stolen) = (cpu::read(pid)?, cpu::memory(pid)?, cpu::host()?.stolen_since(&host));
    let seen = viewers.line("what it saw", Duration::from_secs(20), |l| l.starts_with('{')).await?;
    let seen: Seen = serde_json::from_str(&seen)?;
    anyhow::ensure!(seen.viewers == count, "only {} of {count} viewers stayed", seen.viewers);
    let cpu = ended.cores_since(&began) * 1e6 / count as f64;
    viewers.ended(Duration::from_secs(20)).await?;
    Ok(Run { seen, cpu, memory: [before, with_all, at_end], stolen })
}
