//! A screen made of software: Xvfb on a free display.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Program, run};

/// A running Xvfb.
pub struct Screen {
    /// For `DISPLAY`.
    pub display: String,
    size: (u32, u32),
    server: Program,
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
        let size = (width, height);
        let (server, display) = begin(size, None).await?;
        Ok(Self { display, size, server, _folder: folder })
    }

    /// The X server is killed: the screen is gone.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn unplug(&mut self) -> Result<()> {
        self.server.signal(libc::SIGKILL);
        self.server.ended(Duration::from_secs(10)).await.map(drop)
    }

    /// It is there again, on the same display.
    ///
    /// # Errors
    ///
    /// Xvfb does not start.
    pub async fn plug(&mut self) -> Result<()> {
        (self.server, _) = begin(self.size, Some(&self.display)).await?;
        Ok(())
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

    /// A window with this title at this place, that shows a source of FFmpeg's (lavfi).
    ///
    /// # Errors
    ///
    /// ffplay does not start.
    pub fn window(&self, title: &str, picture: &str, (left, top): (u32, u32)) -> Result<Program> {
        let (left, top) = (left.to_string(), top.to_string());
        let mut command = Command::new("ffplay");
        command
            .args(["-loglevel", "error", "-f", "lavfi", "-i", picture, "-noborder", "-left", &left, "-top", &top])
            .args(["-window_title", title])
            .env("DISPLAY", &self.display)
            .env("SDL_AUDIODRIVER", "dummy");
        Program::start(&mut command)
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

async fn begin((width, height): (u32, u32), display: Option<&str>) -> Result<(Program, String)> {
    let mut command = Command::new("Xvfb");
    command.args(display);
    command.args(["-displayfd", "1", "-screen", "0", &format!("{width}x{height}x24"), "-nolisten", "tcp", "-noreset"]);
    let mut server = Program::start(&mut command)?;
    let digits = |line: &str| !line.is_empty() && line.bytes().all(|b| b.is_ascii_digit());
    let number = server.line("its display", Duration::from_secs(15), digits).await?;
    Ok((server, format!(":{number}")))
}

/// A session bus for programs that need one (WebKitGTK): its address for `DBUS_SESSION_BUS_ADDRESS`.
pub struct Bus {
    /// The address.
    pub address: String,
    _daemon: Program,
    _folder: tempfile::TempDir,
}

/// As a session's, but nothing starts by itself there: whatever the computer has installed (a keyring that asks for a
/// password, say), a test finds only what it started.
const BUS: &str = "<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>\
    <policy context='default'><allow send_destination='*' eavesdrop='true'/><allow eavesdrop='true'/><allow own='*'/></policy>\
    </busconfig>";

impl Bus {
    /// Starts a bus of its own.
    ///
    /// # Errors
    ///
    /// dbus-daemon does not start.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("mujian-bus-").tempdir()?;
        let config = folder.path().join("bus.conf");
        std::fs::write(&config, BUS)?;
        let mut command = Command::new("dbus-daemon");
        command
            .args(["--nofork", "--nopidfile", "--print-address", "--config-file"])
            .arg(&config)
            .stderr(Stdio::null());
        let mut daemon = Program::start(&mut command)?;
        let address = daemon.line("its address", Duration::from_secs(10), |l| l.starts_with("unix:")).await?;
        Ok(Self { address, _daemon: daemon, _folder: folder })
    }
}
