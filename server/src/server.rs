//! A server as a whole: opened, listening, stopped.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::api::SessionView;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::config::{Config, ConfigError};
use crate::http::Acceptor;
use crate::ingest::{Ingest, IngestConfig};
use crate::rooms::Rooms;
use crate::slate::SlateSource;
use crate::store::{OpenError, Store, StoreError};
use crate::tls::{Front, TlsError};

/// The server cannot start. Each says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data folder or the database cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The store failed right after it was opened.
    #[error("The database does not work: {0}.")]
    Store(#[from] StoreError),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A part of the program itself is broken.
    #[error("The program is damaged: {0}. Install it again.")]
    Damaged(String),
    /// A port is taken.
    #[error(
        "The {what} port {address} is already used by another program. Stop that program, or choose another one with --{flag} ADDR (port 0 takes any free one)."
    )]
    PortInUse {
        /// HTTP or RTMP.
        what: &'static str,
        /// The option that sets it.
        flag: &'static str,
        /// Which.
        address: SocketAddr,
    },
    /// A port cannot be opened.
    #[error("The {what} address {address} cannot be listened on: {source}. Choose another one with --{flag} ADDR.")]
    Listen {
        /// HTTP or RTMP.
        what: &'static str,
        /// The option that sets it.
        flag: &'static str,
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl StartError {
    /// The error as it crosses to the app's window.
    #[must_use]
    pub fn to_api(&self) -> ApiError {
        let (code, problem) = match self {
            Self::Data(error) => (ErrorCode::Storage, Some(error.problem())),
            Self::Store(StoreError::Full) => (ErrorCode::Storage, Some(Problem::ServerDiskFull)),
            Self::Store(_) => (ErrorCode::Storage, Some(Problem::ServerDataFailed)),
            Self::PortInUse { address, .. } => {
                (ErrorCode::Internal, Some(Problem::PortInUse { address: address.to_string() }))
            }
            Self::Listen { address, source, .. } => {
                let (address, reason) = (address.to_string(), source.to_string());
                (ErrorCode::Internal, Some(Problem::PortRefused { address, reason }))
            }
            Self::Config(error) => (ErrorCode::Internal, Some(Problem::SettingsDamaged { reason: error.reason() })),
            Self::Tls(error) => (ErrorCode::Internal, Some(Problem::SettingsDamaged { reason: error.to_string() })),
            Self::Damaged(_) => (ErrorCode::Internal, Some(Problem::ProgramDamaged)),
        };
        ApiError::new(code, self.to_string()).about(problem)
    }

    /// The exit code of a program that ends because of it: 3 configuration, 4 port in use or not
    /// to be had, 5 data folder not writable, 6 disk full, 7 database of a newer version, 8 data
    /// folder in use, 1 anything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Tls(_) => 3,
            Self::PortInUse { .. } | Self::Listen { .. } => 4,
            Self::Data(OpenError::NotWritable { .. }) => 5,
            Self::Data(OpenError::Full { .. }) | Self::Store(StoreError::Full) => 6,
            Self::Data(OpenError::Newer { .. }) => 7,
            Self::Data(OpenError::InUse { .. }) => 8,
            Self::Data(_) | Self::Store(_) | Self::Damaged(_) => 1,
        }
    }
}

/// A server whose store is open and that does not listen yet.
pub struct Server {
    app: Arc<App>,
}

impl Server {
    /// Opens the store.
    ///
    /// # Errors
    /// The configuration is wrong, or the data folder cannot be used.
    pub fn open(config: Config) -> Result<Self, StartError> {
        config.check()?;
        crate::metrics::install();
        let slates = match &config.worker_program {
            Some(program) => SlateSource::with_worker(program.clone(), config.data.join("slates")),
            None => SlateSource::built_in(),
        };
        let slates = slates.map_err(|e| StartError::Damaged(e.to_string()))?;
        let store = Store::open(&config.data)?;
        Ok(Self { app: Arc::new(App::new(config, store, slates)) })
    }

    /// Opens the store and listens.
    ///
    /// # Errors
    /// As for [`Server::open`] and [`Server::listen`].
    pub async fn start(config: Config) -> Result<Running, StartError> {
        Self::open(config)?.listen().await
    }

    /// Makes sure that there is an operator, and begins a session for the first one. For a program
    /// that hosts the server: the account exists before anything listens, and nobody can log in
    /// to it with a password.
    ///
    /// # Errors
    /// The database failed.
    pub async fn operator_session(&self, name: &str) -> Result<SessionView, StartError> {
        Ok(self.app.accounts.operator_session(&self.app.store, &self.app.clock, name).await?)
    }

    /// Listens and serves.
    ///
    /// # Errors
    /// A port is in use or cannot be opened.
    pub async fn listen(self) -> Result<Running, StartError> {
        let app = self.app;
        let stop = app.stop.clone();
        tokio::spawn(async move { stop.run_until_cancelled(crate::metrics::upkeep()).await });
        // With TLS a connection has three sockets: its own, and the pair behind it.
        let sockets = if app.config.tls.is_some() { 3 } else { 1 };
        crate::http::raise_file_limit(app.config.max_connections.saturating_mul(sockets));
        let http = bind("HTTP", "http", app.config.http).await?;
        let rtmp = bind("RTMP", "rtmp", app.config.rtmp).await?;
        let secure = Secure::bind(&app.config).await?;
        let address = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let (http_address, rtmp_address) = (address(&http, app.config.http), address(&rtmp, app.config.rtmp));
        app.set_rtmp_port(rtmp_address.port());
        app.prepare().await?;
        let acceptor = Acceptor::new(&app);
        acceptor.tasks.spawn(acceptor.clone().serve(http, None, app.stop.clone()));
        acceptor.tasks.spawn(make_slates(Arc::clone(&app)));
        let config = IngestConfig::of(&app.config);
        let ingest = Ingest::new(Arc::clone(&app.rooms), config, app.clock, acceptor.tasks.clone());
        acceptor.tasks.spawn(ingest.clone().serve(rtmp, None, app.stop.clone()));
        let secure = secure.map(|secure| secure.serve(&app, &acceptor, &ingest));
        tracing::info!(http = %http_address, rtmp = %rtmp_address, "The server listens.");
        let [https, rtmps] = secure.unwrap_or_default();
        Ok(Running { http: http_address, rtmp: rtmp_address, https, rtmps, app, acceptor, ingest })
    }
}

/// What is listened on with TLS, before it is served.
struct Secure {
    front: Arc<Front>,
    https: Option<TcpListener>,
    rtmps: Option<TcpListener>,
}

impl Secure {
    async fn bind(config: &Config) -> Result<Option<Self>, StartError> {
        let Some(tls) = &config.tls else { return Ok(None) };
        let front = Arc::new(Front::open(tls)?);
        let https = match tls.https {
            Some(address) => Some(bind("HTTPS", "config FILE, with another https", address).await?),
            None => None,
        };
        let rtmps = match tls.rtmps {
            Some(address) => Some(bind("RTMPS", "config FILE, with another rtmps", address).await?),
            None => None,
        };
        Ok(Some(Self { front, https, rtmps }))
    }

    /// Serves; gives the addresses of HTTPS and RTMPS.
    fn serve(self, app: &Arc<App>, acceptor: &Acceptor, ingest: &Ingest<Rooms>) -> [Option<SocketAddr>; 2] {
        let Self { front, https, rtmps } = self;
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        let addresses = [address(&https), address(&rtmps)];
        acceptor.tasks.spawn(Arc::clone(&front).keep(app.stop.clone()));
        if let Some(listener) = https {
            acceptor.tasks.spawn(acceptor.clone().serve(listener, Some(Arc::clone(&front)), app.stop.clone()));
        }
        if let Some(listener) = rtmps {
            acceptor.tasks.spawn(ingest.clone().serve(listener, Some(front), app.stop.clone()));
        }
        if let Some(port) = addresses[1].map(|a| a.port()) {
            app.set_rtmps_port(port);
        }
        tracing::info!(https = ?addresses[0], rtmps = ?addresses[1], "The server listens with TLS.");
        addresses
    }
}

/// Makes the usual slates ahead of need, once what a start brings with it is over.
async fn make_slates(app: Arc<App>) {
    const AFTER_START: std::time::Duration = std::time::Duration::from_secs(20);
    let work = async {
        tokio::time::sleep(AFTER_START).await;
        app.rooms.slates().prepare().await;
    };
    tokio::select! {
        () = work => {}
        () = app.stop.cancelled() => {}
    }
}

async fn bind(what: &'static str, flag: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortInUse { what, flag, address },
        _ => StartError::Listen { what, flag, address, source },
    })
}

async fn bind_or_free(what: &'static str, flag: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    match bind(what, flag, address).await {
        Err(StartError::PortInUse { .. }) => bind(what, flag, SocketAddr::new(address.ip(), 0)).await,
        other => other,
    }
}

/// A server that serves. Dropping it does not stop it; [`Running::shutdown`] does.
pub struct Running {
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where RTMP is taken.
    pub rtmp: SocketAddr,
    /// Where HTTPS is served, if it is.
    pub https: Option<SocketAddr>,
    /// Where RTMPS is taken, if it is.
    pub rtmps: Option<SocketAddr>,
    app: Arc<App>,
    acceptor: Acceptor,
    ingest: Ingest<Rooms>,
}

impl Running {
    /// What the server is made of.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The set-up code that makes an account the operator, while there is no operator.
    #[must_use]
    pub fn setup_code(&self) -> Option<String> {
        self.app.setup.code()
    }

    /// Listens at other addresses too, as when a streamer shares a hosted server: for viewers and for
    /// programs that publish. A port that is taken is replaced by any free one.
    ///
    /// # Errors
    /// An address cannot be listened on.
    pub async fn listen_also(&self, http: SocketAddr, rtmp: SocketAddr) -> Result<Extra, StartError> {
        let web = bind_or_free("HTTP", "http", http).await?;
        let publishers = bind_or_free("RTMP", "rtmp", rtmp).await?;
        let address = |listener: &TcpListener, asked| listener.local_addr().unwrap_or(asked);
        let (http, rtmp) = (address(&web, http), address(&publishers, rtmp));
        let stop = self.app.stop.child_token();
        self.app.set_shared_rtmp_port(rtmp.port());
        self.acceptor.tasks.spawn(self.acceptor.clone().serve(web, None, stop.clone()));
        self.acceptor.tasks.spawn(self.ingest.clone().serve(publishers, None, stop.clone()));
        Ok(Extra { http, rtmp, app: Arc::clone(&self.app), stop })
    }

    /// Stops: nothing new is taken, sockets are told, what runs may finish for a few seconds, and the
    /// database is left tidy.
    pub async fn shutdown(self) {
        self.app.stop.cancel();
        self.acceptor.tasks.close();
        let drained = tokio::time::timeout(Duration::from_secs(5), async {
            self.acceptor.tasks.wait().await;
            self.app.tasks.close();
            self.app.tasks.wait().await;
        })
        .await;
        if drained.is_err() {
            tracing::warn!("Some connections did not end in time; they are cut.");
        }
        self.app.store.close().await;
        tracing::info!("The server has stopped.");
    }
}

/// Addresses listened on besides the first. Dropping it ends that, with their connections.
pub struct Extra {
    /// Where HTTP is served, with its real port.
    pub http: SocketAddr,
    /// Where RTMP is taken, with its real port.
    pub rtmp: SocketAddr,
    app: Arc<App>,
    stop: CancellationToken,
}

impl Drop for Extra {
    fn drop(&mut self) {
        self.app.set_shared_rtmp_port(0);
        self.stop.cancel();
    }
}
