//! The app's end: finds the hosted server or starts it, keeps its lease, and starts it again if it dies.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mujian_media::backoff::Backoff;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot, watch};

use super::control::{Answer, Lines, Request};
use super::info::HostInfo;
use crate::clock;

/// How often the lease is renewed.
const RENEW: Duration = Duration::from_secs(5);
/// How long the server may take to start.
const START: Duration = Duration::from_secs(30);
/// How long a server that is said to be there may take to answer.
const FIND: Duration = Duration::from_secs(3);
/// Past this many bytes the log begins anew.
const LOG_MAX: u64 = 4 << 20;

/// How a hosted server is started.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The app's data folder.
    pub data: PathBuf,
    /// The program: this one.
    pub program: PathBuf,
    /// How long it lives without an app.
    pub grace: Duration,
    /// The addresses of last time (HTTP, RTMP), so that links and OBS settings stay good. Others are
    /// taken where these are in use.
    pub last: Option<(SocketAddr, SocketAddr)>,
}

/// A hosted server that is kept running. Dropping it leaves the server to its lease.
#[derive(Debug)]
pub struct Hosted {
    info: watch::Receiver<HostInfo>,
    found: bool,
    orders: mpsc::Sender<Order>,
}

type Order = (Request, oneshot::Sender<Result<Answer, ApiError>>);

impl Hosted {
    /// Finds the server that runs, or starts it.
    ///
    /// # Errors
    /// `Storage` or `Internal` with the sentence of the server that could not start.
    pub async fn start(options: HostOptions) -> Result<Self, ApiError> {
        let (info, lines, found) = match find(&options.data).await {
            Some((info, lines)) => (info, lines, true),
            None => {
                let (info, lines) = spawn(&options).await?;
                (info, lines, false)
            }
        };
        tracing::info!(http = %info.http, pid = info.pid, found, "the hosted server is there");
        let (told, info) = watch::channel(info);
        let (orders, inbox) = mpsc::channel(8);
        tokio::spawn(keep(options, told, lines, inbox));
        Ok(Self { info, found, orders })
    }

    /// The server, as it is now.
    #[must_use]
    pub fn info(&self) -> HostInfo {
        self.info.borrow().clone()
    }

    /// Tells when the server runs at another place or with another session.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<HostInfo> {
        self.info.clone()
    }

    /// It was there before this process.
    #[must_use]
    pub const fn was_found(&self) -> bool {
        self.found
    }

    /// Asks the server for something.
    ///
    /// # Errors
    /// `Unreachable` when it is gone; `Internal` with its sentence when it cannot do it.
    pub async fn ask(&self, request: Request) -> Result<Answer, ApiError> {
        let gone = || restarting("The hosted server is not there.");
        let (reply, answer) = oneshot::channel();
        self.orders.send((request, reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn keep(options: HostOptions, told: watch::Sender<HostInfo>, lines: Lines, mut inbox: mpsc::Receiver<Order>) {
    let mut lines = Some(lines);
    let mut backoff = Backoff::default();
    let mut share = false;
    let mut renew = tokio::time::interval(RENEW);
    renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = inbox.recv() => {
                let Some((request, reply)) = order else { return };
                match request {
                    Request::Share => share = true,
                    Request::Unshare => share = false,
                    _ => {}
                }
                let stop = request == Request::Stop;
                let answer = match &mut lines {
                    Some(lines) => lines.ask(&request).await,
                    None => Err(restarting("The hosted server is being started again. Try again in a moment.")),
                };
                // Whoever asked may have gone.
                let _ = reply.send(answer);
                if stop { return }
            }
            // A server that dies is noticed at once, not at the next renewal.
            () = gone(&mut lines) => {
                lines = None;
                renew.reset_immediately();
            }
            _ = renew.tick() => {
                if let Some(there) = &mut lines
                    && there.ask(&Request::Renew).await.is_ok()
                {
                    backoff.reset();
                    continue;
                }
                tracing::warn!("the hosted server is gone; it is started again");
                lines = again(&options, &told, share).await;
                if lines.is_none() {
                    renew.reset_after(backoff.failed(clock::jitter()));
                }
            }
        }
    }
}

fn restarting(sentence: &str) -> ApiError {
    ApiError::new(ErrorCode::Unreachable, sentence).about(Problem::HostRestarting)
}

/// Waits for the end of a connection; for ever while there is none.
async fn gone(lines: &mut Option<Lines>) {
    match lines {
        Some(lines) => lines.gone().await,
        None => std::future::pending().await,
    }
}

async fn again(options: &HostOptions, told: &watch::Sender<HostInfo>, share: bool) -> Option<Lines> {
    let (info, mut lines) = match find(&options.data).await {
        Some(there) => there,
        None => spawn(options)
            .await
            .inspect_err(|error| tracing::error!(%error, "the hosted server cannot be started"))
            .ok()?,
    };
    if share && let Err(error) = lines.ask(&Request::Share).await {
        tracing::warn!(%error, "the server is not shared any more");
    }
    told.send_replace(info);
    Some(lines)
}

/// The server that `host.json` names, if it answers and knows the secret.
async fn find(data: &Path) -> Option<(HostInfo, Lines)> {
    let info = HostInfo::read(data)?;
    // Another version's server is left to its lease; this one starts beside it.
    if info.version != env!("CARGO_PKG_VERSION") {
        return None;
    }
    let connecting = async {
        let mut lines = Lines::new(TcpStream::connect(info.control).await.ok()?);
        lines.ask(&Request::Hello { secret: info.secret.clone() }).await.ok()?;
        Some(lines)
    };
    let lines = tokio::time::timeout(FIND, connecting).await.ok().flatten()?;
    Some((info, lines))
}

async fn spawn(options: &HostOptions) -> Result<(HostInfo, Lines), ApiError> {
    let log_path = options.data.join("host.log").display().to_string();
    let failed =
        |what: String| ApiError::new(ErrorCode::Internal, what).about(Problem::HostFailed { log: log_path.clone() });
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let left = HostInfo::read(&options.data).map(|there| (there.http, there.rtmp));
    let (http, rtmp) = left.or(options.last).unwrap_or((any, any));
    let mut command = Command::new(&options.program);
    command
        .arg("host")
        .arg("--data")
        .arg(&options.data)
        .arg("--http")
        .arg(http.to_string())
        .arg("--rtmp")
        .arg(rtmp.to_string())
        .arg("--grace")
        .arg(format!("{}s", options.grace.as_secs().max(1)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(&options.data).map_or_else(|_| Stdio::null(), Stdio::from));
    // A process group of its own: Ctrl-C in the terminal ends the app, which then decides.
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(|e| {
        failed(format!("The server cannot be started: {} does not run ({e}).", options.program.display()))
    })?;
    let stdout = child.stdout.take();
    let said = tokio::time::timeout(START, async {
        let mut line = String::new();
        if let Some(stdout) = stdout {
            BufReader::new(stdout).read_line(&mut line).await.ok()?;
        }
        Some(line)
    })
    .await;
    // Reaps it whenever it ends, so that no dead process stays behind.
    tokio::spawn(async move { child.wait().await });
    match said {
        Ok(Some(line)) if line.trim() == "ready" => {
            find(&options.data).await.ok_or_else(|| failed("The server started but does not answer.".into()))
        }
        Ok(Some(line)) if line.starts_with("error ") => {
            Err(serde_json::from_str(line.trim_start_matches("error ")).unwrap_or_else(|_| failed(line)))
        }
        _ => Err(failed(format!("The server did not start. Its log is {log_path}."))),
    }
}

fn log(data: &Path) -> std::io::Result<File> {
    let path = data.join("host.log");
    let full = std::fs::metadata(&path).is_ok_and(|m| m.len() > LOG_MAX);
    let mut options = OpenOptions::new();
    if full {
        options.write(true).truncate(true)
    } else {
        options.append(true)
    };
    options.create(true).open(path)
}
