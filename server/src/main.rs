//! The `mujian-server` program.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use mujian_protocol::WallTime;
use mujian_protocol::api::RecoveryCode;
use mujian_server::account::{Recovery, make_recovery};
use mujian_server::backup;
use mujian_server::config::Config;
use mujian_server::store::{Hand, Store};
use mujian_server::{Server, StartError};

/// Mujian's server: takes streams by RTMP, shows them to viewers in the app, in browsers and in
/// players.
#[derive(Parser)]
#[command(name = "mujian-server", version, after_help = EXAMPLES)]
struct Options {
    #[command(subcommand)]
    command: Option<Order>,
    /// Configuration, a TOML file; options given here win over it
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Folder for the database and everything else that is kept [default: mujian-data]
    #[arg(long, value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Where to serve HTTP [default: 0.0.0.0:8080]; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Where to take RTMP [default: 0.0.0.0:1935]; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    rtmp: Option<SocketAddr>,
    /// A name by which the server may be called, besides its addresses and its computer's own name; may
    /// be given several times
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Form of the log, which goes to stderr; MUJIAN_LOG filters it (as "info,mujian_server=debug")
    #[arg(long, value_name = "FORM", default_value = "text")]
    log_format: LogFormat,
}

/// What to do instead of serving.
#[derive(Subcommand)]
enum Order {
    /// Make a code with which who lost their password sets a new one; it goes to stdout
    Recover {
        /// The account's name
        name: String,
    },
    /// Back the data folder up: the database and all recordings and placeholders, as they are at one moment
    Backup {
        /// The backup, a folder that is made; or a folder that is there, in which it is named by the time
        target: PathBuf,
    },
    /// Put a backup into a data folder that is empty or not there, and that no server uses
    Restore {
        /// The backup
        backup: PathBuf,
        /// Put what is in the data folder aside, into a folder of its own inside it
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

const EXAMPLES: &str = "Examples:
  mujian-server
      serve on port 8080, RTMP on 1935, data in ./mujian-data
  mujian-server --data /var/lib/mujian --http 127.0.0.1:9000
  mujian-server --config mujian.toml --log-format json
  mujian-server --allow-host live.example.org
      also answer to a name, as http://live.example.org:8080
  mujian-server --http 127.0.0.1:0 --rtmp 127.0.0.1:0
      any free ports; the line \"ready ...\" tells which
  mujian-server recover Anna --data /var/lib/mujian
      a code with which Anna sets a new password, once, within a day
  mujian-server backup /mnt/backups --data /var/lib/mujian
      /mnt/backups/mujian-backup-DATE-TIME, also while the server runs
  mujian-server restore /mnt/backups/mujian-backup-20260401-040000 --data new
      the server as it was then; start it with --data new

While the server has no operator, it prints a set-up code when it starts. Who
enters it on the account page becomes its operator.

HTTPS and RTMPS with a certificate from files: [tls] in the configuration.

When it can serve, one line goes to stdout: ready http=ADDR rtmp=ADDR, and
https=ADDR rtmps=ADDR where those are served too
SIGTERM or Ctrl-C stops it cleanly, with exit code 0.

Exit codes:
  0  stopped                       5  the data folder cannot be written
  1  another failure               6  the disk is full
  2  the command line is wrong     7  the database is of a newer version
  3  the configuration is wrong    8  the data folder is in use
  4  a port is in use";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("worker") {
        return mujian_server::worker::run(&words.collect::<Vec<_>>());
    }
    let options = Options::parse();
    start_log(options.log_format, if options.command.is_some() { "warn" } else { "info" });
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mujian-server: The system gives no threads: {error}.");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run(options)) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("mujian-server: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn start_log(format: LogFormat, usual: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("MUJIAN_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
}

async fn run(options: Options) -> Result<ExitCode, StartError> {
    let mut config = match &options.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.data = options.data.unwrap_or(config.data);
    match &options.command {
        None => {}
        Some(Order::Recover { name }) => return recover(&config.data, name).await,
        Some(Order::Backup { target }) => return Ok(back_up(&config.data, target)),
        Some(Order::Restore { backup, replace }) => return Ok(restore(backup, &config.data, *replace)),
    }
    config.http = options.http.unwrap_or(config.http);
    config.rtmp = options.rtmp.unwrap_or(config.rtmp);
    config.allowed_hosts.extend(options.allow_host);
    config.print_setup_code = true;
    config.worker_program = std::env::current_exe().ok();
    // Signals count from the first moment on: one that comes while starting is not lost.
    let mut signals = Signals::new();
    let running = Server::start(config).await?;
    let (page, publish) = (here(running.http), here(running.rtmp));
    let mut stdout = std::io::stdout();
    if stdout.is_terminal() {
        eprintln!(
            "Mujian is at http://{page}/ on this computer; programs publish to rtmp://{publish}/live. Ctrl-C stops it."
        );
    }
    if let Some(code) = running.setup_code() {
        // To the terminal and not to the log, which may be kept or sent somewhere.
        eprintln!(
            "The server has no operator yet. Open http://{page}/account, sign up or log in, and enter this set-up code there: {code}"
        );
    }
    // Whoever started us may have closed stdout; serving goes on.
    let also = |name: &str, address: Option<SocketAddr>| address.map(|a| format!(" {name}={a}")).unwrap_or_default();
    let secure = also("https", running.https) + &also("rtmps", running.rtmps);
    let _ = writeln!(stdout, "ready http={} rtmp={}{secure}", running.http, running.rtmp);
    let _ = stdout.flush();
    signals.wait().await;
    tracing::info!("Stopping.");
    tokio::select! {
        () = running.shutdown() => {}
        () = signals.wait() => tracing::warn!("Stopped at once, as asked again."),
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a recovery code: alone on stdout, what it is for on stderr.
async fn recover(data: &Path, name: &str) -> Result<ExitCode, StartError> {
    let store = Store::open_beside(data)?;
    let hand = Hand { by: None, at: WallTime::now() };
    let made = match store.account_by_name(mujian_server::text::name_key(name)).await? {
        Some(row) => make_recovery(&store, &row.account.id, hand).await?,
        None => Recovery::Unknown,
    };
    store.close().await;
    let RecoveryCode { code, expires_at } = match made {
        Recovery::Made(code) => code,
        Recovery::Unknown => {
            eprintln!("mujian-server: There is no account \"{name}\" in {}. Check the name.", data.display());
            return Ok(ExitCode::FAILURE);
        }
        Recovery::NoPassword => {
            eprintln!(
                "mujian-server: \"{name}\" has no password to lose: the app that hosts this server is logged in by itself. Log in there."
            );
            return Ok(ExitCode::FAILURE);
        }
    };
    eprintln!(
        "With this code {name} sets a new password, once, until {}: on the server's page, under Log in, \"Forgot the password?\".",
        moment(expires_at)
    );
    println!("{code}");
    Ok(ExitCode::SUCCESS)
}

fn back_up(data: &Path, target: &Path) -> ExitCode {
    told(backup::make(data, target, WallTime::now()).map(|made| {
        let backup::Made { path, files, bytes, schema, unnoted } = made;
        if let Some(why) = unnoted {
            eprintln!("mujian-server: The backup is made, but the server's audit log could not tell of it. {why}");
        }
        println!("backup={} files={files} bytes={bytes} format={schema}", path.display());
    }))
}

fn restore(backup: &Path, data: &Path, replace: bool) -> ExitCode {
    told(backup::restore(backup, data, replace, WallTime::now()).map(|restored| {
        let backup::Restored { made_at, files, bytes, aside } = restored;
        if let Some(aside) = aside {
            eprintln!("What was in the folder before is in {} now.", aside.display());
        }
        eprintln!("{} is as it was on {}. Start the server with it.", data.display(), moment(made_at));
        println!("restored={} files={files} bytes={bytes}", data.display());
    }))
}

fn told(done: Result<(), backup::BackupError>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mujian-server: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// A time as operators read it, to the minute.
fn moment(at: WallTime) -> String {
    time::OffsetDateTime::from_unix_timestamp(at.millis() / 1000).map_or_else(
        |_| "the end of time".to_owned(),
        |t| format!("{} {:02}:{:02} UTC", t.date(), t.hour(), t.minute()),
    )
}

/// An address as a person on this computer opens it.
fn here(listening: SocketAddr) -> String {
    if listening.ip().is_unspecified() { format!("localhost:{}", listening.port()) } else { listening.to_string() }
}

/// SIGTERM and SIGINT.
struct Signals {
    #[cfg(unix)]
    terminate: Option<tokio::signal::unix::Signal>,
    #[cfg(unix)]
    interrupt: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self { terminate: signal(SignalKind::terminate()).ok(), interrupt: signal(SignalKind::interrupt()).ok() }
    }

    #[cfg(unix)]
    async fn wait(&mut self) {
        async fn one(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => {
                    signal.recv().await;
                }
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = one(&mut self.terminate) => {}
            () = one(&mut self.interrupt) => {}
        }
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self {}
    }

    #[cfg(not(unix))]
    async fn wait(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
