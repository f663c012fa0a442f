//! `mujian host`: the process that serves.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::{ApiError, ErrorCode};
use mujian_server::{Config, Extra, Running, Server, StartError};
use subtle::ConstantTimeEq as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::control::{Answer, Lines, Request, Shared};
use super::info::HostInfo;
use super::lease::Lease;
use super::share;
use crate::cli::args::HostArgs;
use crate::clock;

/// How long the first line of a connection may take.
const HELLO: Duration = Duration::from_secs(5);
/// Most control connections at a time.
const CONNECTIONS: usize = 8;

/// In the app's data folder: what whoever hosts has set, as for a server alone. Addresses and folders in it do not count.
const SETTINGS: &str = "server.toml";

type Asked = (Request, oneshot::Sender<Answer>);

/// Serves until the lease ends, the app says so, or a signal comes.
///
/// When it serves, one line goes to standard output: `ready`. When it cannot: `error` and the [`ApiError`] as JSON.
pub async fn run(args: HostArgs) -> ExitCode {
    match Host::start(&args).await {
        Ok(host) => {
            println!("ready");
            host.serve(args.grace).await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            let said = match error.downcast_ref::<StartError>() {
                Some(error) => error.to_api(),
                None => ApiError::new(ErrorCode::Internal, error.to_string()),
            };
            println!("error {}", serde_json::to_string(&said).unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

fn settings(data: &Path) -> anyhow::Result<Config> {
    let file = data.join(SETTINGS);
    Ok(if file.try_exists()? { Config::read(&file).map_err(StartError::from)? } else { Config::default() })
}

struct Host<'a> {
    data: &'a Path,
    info: HostInfo,
    running: Running,
    control: TcpListener,
    shared: Option<Extra>,
}

impl<'a> Host<'a> {
    async fn start(args: &'a HostArgs) -> anyhow::Result<Self> {
        // The ports of last time are only a wish: links stay good if they are free.
        let (http, rtmp) = (free(args.http).await, free(args.rtmp).await);
        let server = Server::open(Config {
            data: args.data.join("server"),
            http,
            rtmp,
            worker_program: std::env::current_exe().ok(),
            ..settings(&args.data)?
        })?;
        // The operator exists before anything listens.
        let session = server.operator_session(OPERATOR_NAME).await?;
        let running = server.listen().await?;
        let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let secret: [u8; 32] = rand::random();
        let info = HostInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            http: running.http,
            rtmp: running.rtmp,
            control: control.local_addr()?,
            secret: base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, secret),
            token: session.token,
            account: session.account,
        };
        info.write(&args.data)?;
        Ok(Self { data: &args.data, info, running, control, shared: None })
    }

    async fn serve(mut self, grace: Duration) {
        let mut lease = Lease::new(grace, clock::now());
        let (ask, mut asked) = mpsc::channel::<Asked>(CONNECTIONS);
        let slots = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS));
        let secret: Arc<str> = self.info.secret.as_str().into();
        let mut end = std::pin::pin!(crate::signal::asked_to_end());
        loop {
            tokio::select! {
                () = &mut end => break,
                () = tokio::time::sleep_until(clock::deadline(lease.deadline())) => {
                    if lease.expired(clock::now()) {
                        tracing::info!("no app has been there for the grace time; the server ends");
                        break;
                    }
                }
                accepted = self.control.accept() => {
                    if let (Ok((stream, _)), Ok(slot)) = (accepted, Arc::clone(&slots).try_acquire_owned()) {
                        let (ask, secret) = (ask.clone(), Arc::clone(&secret));
                        tokio::spawn(async move {
                            connection(stream, &secret, ask).await;
                            drop(slot);
                        });
                    }
                }
                Some((request, answer)) = asked.recv() => {
                    lease.renew(clock::now());
                    let stop = request == Request::Stop;
                    // An app that does not wait for the answer does not need it.
                    let _ = answer.send(self.act(request).await);
                    if stop { break }
                }
            }
        }
        self.info.remove(self.data);
        drop(self.shared);
        self.running.shutdown().await;
    }

    async fn act(&mut self, request: Request) -> Answer {
        match request {
            Request::Share if self.shared.is_none() => {
                let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
                match self.running.listen_also(any(share::HTTP_PORT), any(mujian_media::rtmp::PORT)).await {
                    Ok(extra) => self.shared = Some(extra),
                    Err(error) => return Answer { shared: None, error: Some(error.to_api()) },
                }
            }
            Request::Unshare => self.shared = None,
            Request::Share | Request::Hello { .. } | Request::Renew | Request::Stop => {}
        }
        let shared = self.shared.as_ref().map(|e| Shared { http: e.http, rtmp: e.rtmp });
        Answer { shared, error: None }
    }
}

async fn connection(stream: TcpStream, secret: &str, ask: mpsc::Sender<Asked>) {
    let mut lines = Lines::new(stream);
    let hello = tokio::time::timeout(HELLO, lines.read::<Request>()).await;
    let Ok(Some(Request::Hello { secret: said })) = hello else { return };
    if !bool::from(said.as_bytes().ct_eq(secret.as_bytes())) {
        return;
    }
    let mut request = Request::Renew;
    loop {
        let (reply, answer) = oneshot::channel();
        if ask.send((request, reply)).await.is_err() {
            return;
        }
        let Ok(answer) = answer.await else { return };
        if !lines.write(&answer).await {
            return;
        }
        match lines.read().await {
            Some(next) => request = next,
            None => return,
        }
    }
}

/// The address itself, or one with any free port if it is taken.
async fn free(address: SocketAddr) -> SocketAddr {
    match TcpListener::bind(address).await {
        Ok(_) => address,
        Err(_) => SocketAddr::new(address.ip(), 0),
    }
}

/// What the streamer is called: not by their account on this computer, which viewers have no business to know.
const OPERATOR_NAME: &str = "streamer";
