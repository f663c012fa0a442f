//! The process that a person starts watches over the window: a window that crashes on air is opened
//! again by itself, and the broadcast goes on.

use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use tokio::process::Command;

use super::args::WindowArgs;
use super::{exit, fail};
use crate::cache::Cache;
use crate::paths;

/// Most crashes in [`WITHIN`] after which the window is opened again.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(60);

/// Whether to watch over the window. A WebDriver needs the window to be the process that it
/// started; `MUJIAN_SUPERVISE=1` and `=0` overrule.
pub(super) fn wanted() -> bool {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|v| v == value);
    let automated = is("TAURI_AUTOMATION", "true") || is("TAURI_WEBVIEW_AUTOMATION", "true");
    is("MUJIAN_SUPERVISE", "1") || !(automated || is("MUJIAN_SUPERVISE", "0"))
}

pub(super) async fn run(args: &WindowArgs) -> ExitCode {
    let mut crashes: Vec<Instant> = Vec::new();
    loop {
        let status = match window(args).await {
            Ok(status) => status,
            Err(error) => {
                eprintln!("error: The window could not be started ({error}).");
                return ExitCode::from(exit::INTERNAL);
            }
        };
        if status.code() == Some(i32::from(exit::AGAIN)) {
            continue;
        }
        if !crashed(status) {
            return ExitCode::from(status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(exit::INTERNAL));
        }
        crashes.push(Instant::now());
        if !on_air(args) {
            eprintln!(
                "error: Mujian was ended by a crash ({status}). Start it again; if it happens again, MUJIAN_LOG=info tells more."
            );
            return ExitCode::from(exit::INTERNAL);
        }
        if !again(&crashes, Instant::now()) {
            eprintln!(
                "error: Mujian crashed again and again ({status}). Viewers see a notice until the broadcast ends by itself."
            );
            return ExitCode::from(exit::INTERNAL);
        }
        eprintln!("Mujian was ended by a crash ({status}) while on air. It starts again, and the broadcast goes on.");
    }
}

async fn window(args: &WindowArgs) -> std::io::Result<ExitStatus> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("window");
    if let Some(server) = &args.server {
        command.arg("--server").arg(server.as_str());
    }
    if let Some(data) = &args.data {
        command.arg("--data").arg(data);
    }
    if slow_graphics() {
        command.env("WEBKIT_DISABLE_DMABUF_RENDERER", "1");
    }
    let mut child = command.spawn()?;
    let pid = child.id();
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = crate::signal::asked_to_end() => terminate(pid),
        }
    }
}

/// Without a GPU, WebKitGTK's usual way to the screen costs twice the processor time of the plain one.
fn slow_graphics() -> bool {
    cfg!(target_os = "linux")
        && std::env::var_os("WEBKIT_DISABLE_DMABUF_RENDERER").is_none()
        && !std::path::Path::new("/dev/dri/renderD128").exists()
}

fn terminate(pid: Option<u32>) {
    #[cfg(unix)]
    if let Some(pid) = pid.and_then(|p| i32::try_from(p).ok()).and_then(rustix::process::Pid::from_raw) {
        // It may have ended in this moment.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = pid;
}

/// Ended by a signal or by a panic, not by itself.
fn crashed(status: ExitStatus) -> bool {
    status.code().is_none_or(|code| code == 101)
}

fn on_air(args: &WindowArgs) -> bool {
    let data = match paths::data_dir(args.data.as_deref()) {
        Ok(data) => data,
        Err(error) => {
            fail(&error);
            return false;
        }
    };
    Cache::open(&data).and_then(|cache| cache.intent()).is_ok_and(|intent| intent.is_some())
}

fn again(crashes: &[Instant], now: Instant) -> bool {
    crashes.iter().filter(|at| now.saturating_duration_since(**at) < WITHIN).count() <= MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_up_when_it_crashes_again_and_again() {
        let now = Instant::now();
        assert!(again(&[now; 3], now));
        assert!(!again(&[now; 4], now));
        assert!(again(&[now; 4], now + WITHIN));
    }
}
