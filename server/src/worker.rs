//! Short-lived processes for work that may crash, hang or eat: `PROGRAM worker NAME ...`.
//!
//! They give up priority, processor time and memory before they begin.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::slate::{Art, SlateKind, SlateRequest, Theme, make};

/// Most processor time of a worker, in seconds.
const CPU_SECONDS: u64 = 100;
/// The same where ten minutes of video may have to be encoded; it is lowered once it is known how long one is.
const PLACEHOLDER_CPU_SECONDS: u64 = 1920;
/// Most bytes of a file that it writes.
const FILE: u64 = 1024 * 1024 * 1024;
/// Most memory that it may map, in bytes.
const MEMORY: u64 = 2 * 1024 * 1024 * 1024;
/// The lowest: whoever streams or watches meanwhile must not notice.
const NICE: i32 = 19;

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
    /// Makes a placeholder of what came from outside, as the order on stdin says.
    Placeholder,
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
    }
    let made = match worker {
        Worker::Slate { kind, theme, name, width, height, fps } => {
            let request = SlateRequest { width: width & !1, height: height & !1, fps };
            let art = match kind {
                SlateKind::Moment => Art::Moment,
                SlateKind::SoundOnly => Art::SoundOnly,
                SlateKind::Away => Art::Theme(theme, name),
            };
            make::make_bytes(&art, request).map(Vec::from)
        }
        Worker::Placeholder => return crate::placeholder::run_worker(),
        Worker::Poster { theme, name, width, height } => {
            make::poster(&Art::Theme(theme, name), width & !1, height & !1)
        }
    };
    let done = made
        .map_err(|e| e.to_string())
        .and_then(|bytes| std::io::stdout().write_all(&bytes).map_err(|e| e.to_string()));
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
