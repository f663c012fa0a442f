//! A screen made of software: Xvfb on a free display.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;

use crate::process::{Program, run};

/// A running Xvfb.
pub struct Screen {
    /// For `DISPLAY`.
    pub display: String,
    _server: Program,
    _folder: TempDir,
}

impl Screen {
    /// Starts one of that size; the X server chooses the free display itself (`-displayfd`).
    ///
    /// # Errors
    ///
    /// Xvfb does not start.
    pub async fn start(width: u32, height: u32) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("mujian-screen-").tempdir()?;
        let mut command = Command::new("Xvfb");
        command.args([
            "-displayfd",
            "1",
            "-screen",
            "0",
            &format!("{width}x{height}x24"),
            "-nolisten",
            "tcp",
            "-noreset",
        ]);
        let mut server = Program::start(&mut command)?;
        let digits = |line: &str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
        let number = server.line("its display", Duration::from_secs(15), digits).await?;
        Ok(Self { display: format!(":{number}"), _server: server, _folder: folder })
    }

    /// Something that moves all over the screen, for encoders to work on: a full-screen test picture by ffplay.
    ///
    /// # Errors
    ///
    /// ffplay does not start.
    pub fn moving_content(&self, width: u32, height: u32) -> Result<Program> {
        let source = format!("testsrc2=size={width}x{height}:rate=30");
        let mut command = Command::new("ffplay");
        command
            .args(["-loglevel", "error", "-f", "lavfi", "-i", &source, "-noborder", "-left", "0", "-top", "0"])
            .env("DISPLAY", &self.display)
            .env("SDL_AUDIODRIVER", "dummy");
        Program::start(&mut command)
    }

    /// Asks a program's window to close, as a window manager does when its cross is pressed (ICCCM, 4.1.2.7).
    /// There is none on this screen, and no program at hand says it, so it is said here, in X11's own words.
    ///
    /// # Errors
    ///
    /// The program has no window, or the X server does not take it.
    pub async fn close_window(&self, class: &str) -> Result<()> {
        let args = ["-display", &self.display, "-root", "-tree"];
        let tree = String::from_utf8(run("xwininfo", args, Duration::from_secs(20)).await?)?;
        // Its largest; others of its class are never seen.
        let width = |line: &str| -> u32 {
            let size = line.split_whitespace().find(|w| w.contains('x') && w.contains('+')).unwrap_or_default();
            size.split('x').next().and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        let line = tree.lines().filter(|l| l.contains(&format!("(\"{class}\""))).max_by_key(|l| width(l));
        let line = line.with_context(|| format!("{class} has no window among:\n{tree}"))?;
        let id = line.split_whitespace().next().and_then(|w| w.strip_prefix("0x")).context("no id")?;
        let window = u32::from_str_radix(id, 16)?;

        let mut x = UnixStream::connect(format!("/tmp/.X11-unix/X{}", self.display.trim_start_matches(':'))).await?;
        // Little-endian, protocol 11.0, no authorisation.
        x.write_all(&[b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0]).await?;
        let mut head = [0; 8];
        x.read_exact(&mut head).await?;
        ensure!(head[0] == 1, "the X server refuses");
        let mut rest = vec![0; 4 * usize::from(u16::from_le_bytes([head[6], head[7]]))];
        x.read_exact(&mut rest).await?;
        let protocols = atom(&mut x, "WM_PROTOCOLS").await?;
        let delete = atom(&mut x, "WM_DELETE_WINDOW").await?;
        // SendEvent of a ClientMessage.
        let mut event = vec![25, 0, 11, 0];
        event.extend(window.to_le_bytes());
        event.extend([0; 4]);
        event.extend([33, 32, 0, 0]);
        for word in [window, protocols, delete, 0, 0, 0, 0] {
            event.extend(word.to_le_bytes());
        }
        // GetInputFocus: its answer says that what came before was taken.
        event.extend([43, 0, 1, 0]);
        x.write_all(&event).await?;
        let mut answer = [0; 32];
        x.read_exact(&mut answer).await?;
        ensure!(answer[0] == 1, "the X server says: error {}", answer[1]);
        Ok(())
    }

    /// A picture of the whole screen.
    ///
    /// # Errors
    ///
    /// `import` (ImageMagick) fails.
    pub async fn picture(&self, path: &Path) -> Result<()> {
        let file = path.to_string_lossy();
        let args = ["-display", &self.display, "-window", "root", &file];
        run("import", args, Duration::from_secs(20)).await.map(|_| ()).context("no picture of the screen")
    }
}

/// X11's number for a word.
async fn atom(x: &mut UnixStream, name: &str) -> Result<u32> {
    let words = u16::try_from(name.len().div_ceil(4))?;
    let mut request = vec![16, 0];
    request.extend((2 + words).to_le_bytes());
    request.extend(u16::try_from(name.len())?.to_le_bytes());
    request.extend([0, 0]);
    request.extend(name.as_bytes());
    request.resize(8 + 4 * usize::from(words), 0);
    x.write_all(&request).await?;
    let mut answer = [0; 32];
    x.read_exact(&mut answer).await?;
    ensure!(answer[0] == 1, "the X server knows no {name}");
    Ok(u32::from_le_bytes([answer[8], answer[9], answer[10], answer[11]]))
}

/// A session bus for programs that need one (WebKitGTK): its address for `DBUS_SESSION_BUS_ADDRESS`.
pub struct Bus {
    /// The address.
    pub address: String,
    _daemon: Program,
}

impl Bus {
    /// Starts a bus of its own.
    ///
    /// # Errors
    ///
    /// dbus-daemon does not start.
    pub async fn start() -> Result<Self> {
        let mut command = Command::new("dbus-daemon");
        command.args(["--session", "--nofork", "--nopidfile", "--print-address"]).stderr(Stdio::null());
        let mut daemon = Program::start(&mut command)?;
        let address = daemon.line("its address", Duration::from_secs(10), |l| l.starts_with("unix:")).await?;
        Ok(Self { address, _daemon: daemon })
    }
}
