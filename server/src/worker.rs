//! Short-lived processes for work that may crash, hang or eat: `PROGRAM worker NAME ...`.
//!
//! They give up priority, processor time and memory before they begin, and they end with whoever ordered their work:
//! their stdin stays open as long as it is waited for.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};

use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::slate::{Art, SlateKind, SlateRequest, Theme, make};

/// Most processor time of a worker, in seconds.
const CPU_SECONDS: u64 = 100;
/// The same where ten minutes of video may have to be encoded; it is lowered once it is known how long one is.
const PLACEHOLDER_CPU_SECONDS: u64 = 1920;
/// The same for one picture.
const COVER_CPU_SECONDS: u64 = 10;
/// Somebody who looks at the hall waits for it, but less urgently than others for the live path.
const COVER_NICE: i32 = 10;
/// Most bytes of a file that it writes.
const FILE: u64 = 1024 * 1024 * 1024;
/// Most memory that it may map, in bytes.
const MEMORY: u64 = 2 * 1024 * 1024 * 1024;
/// The lowest: whoever streams or watches meanwhile must not notice.
const NICE: i32 = 19;

/// Longest order, in bytes.
pub(crate) const ORDER_MAX: u64 = 64 * 1024;

/// Has a worker of `program` do what `arguments` and `order`, one line, say; gives at most `most` bytes of what it writes
/// to stdout, and how it ended. Dropping this kills it, and so does the end of this process, whatever ends it.
///
/// # Errors
///
/// It cannot be started, or its answer not be read.
pub(crate) async fn hire(
    program: &Path,
    arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
    order: &[u8],
    most: u64,
) -> std::io::Result<(Vec<u8>, ExitStatus)> {
    let mut child = Command::new(program)
        .arg("worker")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    // Taken out: waiting for a child closes its stdin.
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(std::io::Error::other("it has no pipes"));
    };
    // How it ended says more than that it does not listen.
    let _ = stdin.write_all(&[order, b"\n"].concat()).await;
    let mut answer = Vec::new();
    stdout.take(most).read_to_end(&mut answer).await?;
    let status = child.wait().await?;
    drop(stdin);
    Ok((answer, status))
}

/// Reads the order, and from then on ends this process when nobody waits for it any more.
fn take_order(most: u64) -> std::io::Result<String> {
    let mut stdin = BufReader::new(std::io::stdin());
    let mut order = String::new();
    (&mut stdin).take(most).read_line(&mut order)?;
    let until_gone = move || {
        let _ = std::io::copy(&mut stdin, &mut std::io::sink());
        std::process::exit(1);
    };
    std::thread::Builder::new().name("leash".into()).spawn(until_gone)?;
    Ok(order)
}

/// Runs a worker of the server.
#[derive(Parser)]
#[command(name = "worker", no_binary_name = true)]
enum Worker {
    /// Makes a slate and writes it to stdout.
    Slate {
        #[arg(long)]
        kind: SlateKind,
        /// Which of the placeholders, where the kind is one.
        #[arg(long, default_value = "away")]
        theme: Theme,
        /// The streamer's name on it.
        #[arg(long, default_value = "")]
        name: String,
        /// Pixels, even.
        #[arg(long, value_parser = clap::value_parser!(u32).range(64..=4096))]
        width: u32,
        #[arg(long, value_parser = clap::value_parser!(u32).range(64..=4096))]
        height: u32,
        /// Pictures a second.
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=60))]
        fps: u32,
    },
    /// Draws one picture of a placeholder of the system and writes it to stdout, as JPEG.
    Poster {
        #[arg(long)]
        theme: Theme,
        /// The streamer's name on it.
        #[arg(long, default_value = "")]
        name: String,
        /// Pixels, even.
        #[arg(long, value_parser = clap::value_parser!(u32).range(64..=4096), default_value = "640")]
        width: u32,
        #[arg(long, value_parser = clap::value_parser!(u32).range(64..=4096), default_value = "360")]
        height: u32,
    },
    /// Makes a placeholder of what came from outside, as the order says.
    Placeholder,
    /// Decodes the key frame that the order is, and writes it to stdout as a small JPEG.
    Cover,
}

/// Runs the worker that `args` (what stands behind `worker`) names, in this process.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let worker = match Worker::try_parse_from(args) {
        Ok(worker) => worker,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    match worker {
        Worker::Placeholder => limit(PLACEHOLDER_CPU_SECONDS, NICE),
        Worker::Slate { .. } => limit(CPU_SECONDS, NICE),
        // Small, and somebody who looks at a page waits for it.
        Worker::Poster { .. } => limit(CPU_SECONDS, 0),
        Worker::Cover => limit(COVER_CPU_SECONDS, COVER_NICE),
    }
    let most = if matches!(worker, Worker::Cover) { crate::cover::ORDER_MAX } else { ORDER_MAX };
    let order = match take_order(most) {
        Ok(order) => order,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    let made = match worker {
        Worker::Slate { kind, theme, name, width, height, fps } => {
            let request = SlateRequest { width: width & !1, height: height & !1, fps };
            let art = match kind {
                SlateKind::Moment => Art::Moment,
                SlateKind::SoundOnly => Art::SoundOnly,
                SlateKind::Away => Art::Theme(theme, name),
            };
            make::make_bytes(&art, request).map(Vec::from).map_err(|e| e.to_string())
        }
        Worker::Placeholder => return crate::placeholder::run_worker(&order),
        Worker::Poster { theme, name, width, height } => {
            make::poster(&Art::Theme(theme, name), width & !1, height & !1).map_err(|e| e.to_string())
        }
        Worker::Cover => crate::cover::draw(&order),
    };
    let done = made.and_then(|bytes| std::io::stdout().write_all(&bytes).map_err(|e| e.to_string()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Lowers this process's limit of processor time, what it took so far included.
#[cfg(unix)]
pub(crate) fn allow(cpu_seconds: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Cpu).maximum.unwrap_or(u64::MAX).min(cpu_seconds);
    let _ = setrlimit(Resource::Cpu, Rlimit { current: Some(most), maximum: Some(most) });
}

#[cfg(not(unix))]
pub(crate) fn allow(_cpu_seconds: u64) {}

#[cfg(unix)]
fn limit(cpu_seconds: u64, politeness: i32) {
    use rustix::process::{Resource, Rlimit, nice, setrlimit};
    // A limit that the system refuses is no reason not to work: the parent's time limit stands.
    let _ = nice(politeness);
    let both = |v| Rlimit { current: Some(v), maximum: Some(v) };
    let _ = setrlimit(Resource::Cpu, both(cpu_seconds));
    let _ = setrlimit(Resource::As, both(MEMORY));
    let _ = setrlimit(Resource::Core, both(0));
    let _ = setrlimit(Resource::Fsize, both(FILE));
}

#[cfg(not(unix))]
fn limit(_cpu_seconds: u64, _politeness: i32) {}
