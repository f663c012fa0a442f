//! A real `mujian-server` on free ports, and its API as a person's program would call it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Program, ours};
use crate::wait;

/// How a server is started.
#[derive(Default)]
pub struct Setup {
    config: String,
    data: Option<PathBuf>,
    disk: Option<String>,
    args: Vec<String>,
    log: Option<String>,
    trusted: Option<PathBuf>,
}

/// A running server. Dropping it kills it.
pub struct Server {
    /// The program.
    pub program: Program,
    /// Where it serves pages and the API.
    pub http: SocketAddr,
    /// Where it takes publishers.
    pub rtmp: SocketAddr,
    /// Its data folder.
    pub data: PathBuf,
    client: reqwest::Client,
    _folder: TempDir,
}

/// What a server says when it starts has come by then.
const SAID: Duration = Duration::from_secs(30);

/// A room, with what its owner knows.
#[derive(Clone, Debug)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// Its stream key.
    pub key: String,
    /// The owner's session.
    pub token: String,
}

impl Setup {
    /// Seconds that a lost publisher may take to come back.
    #[must_use]
    pub fn grace(self, seconds: u32) -> Self {
        self.config(&format!("grace_seconds = {seconds}\n"))
    }

    /// Lines for the configuration file.
    #[must_use]
    pub fn config(mut self, lines: &str) -> Self {
        self.config.push_str(lines);
        self
    }

    /// A data folder to use instead of a new one.
    #[must_use]
    pub fn data(mut self, data: &Path) -> Self {
        self.data = Some(data.to_owned());
        self
    }

    /// A disk of its own for the data, in memory: options of tmpfs, such as `size=4m`.
    #[must_use]
    pub fn disk(mut self, options: &str) -> Self {
        self.disk = Some(options.to_owned());
        self
    }

    /// Another argument.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// What its log has, as `MUJIAN_LOG` says it.
    #[must_use]
    pub fn log(mut self, filter: &str) -> Self {
        self.log = Some(filter.to_owned());
        self
    }

    /// Certificates that it trusts, in place of the system's.
    #[must_use]
    pub fn trusting(mut self, certificates: &Path) -> Self {
        self.trusted = Some(certificates.to_owned());
        self
    }

    /// The command, and the folder that must live as long as it runs.
    ///
    /// # Errors
    ///
    /// The program was not built, or no folder can be made.
    pub fn command(&self) -> Result<(Command, PathBuf, TempDir)> {
        let folder = tempfile::Builder::new().prefix("mujian-test-").tempdir()?;
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("disk/data"));
        let disk = data.parent().context("the data folder has no parent")?;
        std::fs::create_dir_all(disk)?;
        let config = folder.path().join("config.toml");
        std::fs::write(&config, &self.config)?;
        let mut command = Command::new(ours("mujian-server")?);
        command.arg("--config").arg(&config).arg("--data").arg(&data);
        for (name, default) in [("--http", "127.0.0.1:0"), ("--rtmp", "127.0.0.1:0")] {
            if !self.args.iter().any(|arg| arg == name) {
                command.args([name, default]);
            }
        }
        command.args(&self.args).env("RUST_BACKTRACE", "1");
        if let Some(filter) = &self.log {
            command.env("MUJIAN_LOG", filter);
        }
        if let Some(trusted) = &self.trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        if let Some(options) = &self.disk {
            command = inside_small_disk(disk, options, &command);
        }
        Ok((command, data, folder))
    }

    /// Starts the server and waits until it can serve.
    ///
    /// # Errors
    ///
    /// It did not get ready; its words are in the message.
    pub async fn start(self) -> Result<Server> {
        let (mut command, data, folder) = self.command()?;
        let mut program = Program::start(&mut command)?;
        let ready = program.line("that it is ready", Duration::from_secs(30), |l| l.starts_with("ready ")).await?;
        let address = |name: &str| -> Result<SocketAddr> {
            let at = ready.split_whitespace().find_map(|word| word.strip_prefix(name)).context("no address")?;
            at.parse().with_context(|| format!("{at} is no address, in: {ready}"))
        };
        let (http, rtmp) = (address("http=")?, address("rtmp=")?);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
        Ok(Server { program, http, rtmp, data, client, _folder: folder })
    }
}

/// A command in a mount namespace of its own, where `folder` is a small file system with these options of tmpfs. What it
/// had in its environment must be set anew.
#[must_use]
pub fn inside_small_disk(folder: &Path, options: &str, command: &Command) -> Command {
    let mut outer = Command::new("unshare");
    outer.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    outer.arg(format!("mount -t tmpfs -o {options} tmpfs \"$0\" && exec \"$@\"")).arg(folder);
    outer.arg(command.as_std().get_program()).args(command.as_std().get_args());
    outer
}

impl Server {
    /// The data folder as the server sees it: on a disk of its own it is not there for others.
    ///
    /// # Errors
    ///
    /// The server is gone.
    pub fn data_inside(&self) -> Result<PathBuf> {
        let pid = self.program.pid().context("the server is gone")?;
        let path = self.data.strip_prefix("/").context("the data folder's path is relative")?;
        Ok(PathBuf::from(format!("/proc/{pid}/root")).join(path))
    }

    /// Starts a server as it comes.
    ///
    /// # Errors
    ///
    /// It did not get ready.
    pub async fn start() -> Result<Self> {
        Setup::default().start().await
    }

    /// Its address for browsers, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Calls the API under `/api/v1`; gives the status and the body.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or its answer is no JSON.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> Result<(u16, Value)> {
        let url = format!("{}/api/v1{path}", self.url());
        let mut request = self.client.request(method.parse()?, url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).with_context(|| text.clone())? };
        Ok((status, body))
    }

    /// Makes an account and gives its token.
    ///
    /// # Errors
    ///
    /// The server refused.
    pub async fn account(&self, name: &str) -> Result<String> {
        let body = json!({"name": name, "password": "correct horse battery"});
        let (status, answer) = self.call("POST", "/accounts", None, Some(body)).await?;
        match answer["token"].as_str() {
            Some(token) if status == 201 => Ok(token.to_owned()),
            _ => bail!("no account: {status} {answer}"),
        }
    }

    /// Makes an account that runs the server, with the code that the server printed; gives its token.
    ///
    /// # Errors
    ///
    /// The server printed none, or refused.
    pub async fn operator(&mut self, name: &str) -> Result<String> {
        let token = self.account(name).await?;
        let line = self.program.line("the set-up code", SAID, |l| l.contains("set-up code there")).await?;
        let code = line.rsplit(' ').next().context("no code")?;
        let (status, answer) = self.call("POST", "/setup", Some(&token), Some(json!({"code": code}))).await?;
        ensure!(status == 200, "{answer}");
        Ok(token)
    }

    /// Makes an account with a room of its own.
    ///
    /// # Errors
    ///
    /// The server refused.
    pub async fn room(&self, owner: &str, title: &str) -> Result<Room> {
        let token = self.account(owner).await?;
        let (status, answer) = self.call("POST", "/rooms", Some(&token), Some(json!({"title": title}))).await?;
        match (answer["id"].as_str(), answer["stream_key"].as_str()) {
            (Some(id), Some(key)) if status == 201 => Ok(Room { id: id.to_owned(), key: key.to_owned(), token }),
            _ => bail!("no room: {status} {answer}"),
        }
    }

    /// What viewers of the room are shown now: `off`, `live`, `away`, `lost` or `covered`.
    ///
    /// # Errors
    ///
    /// The server cannot be reached.
    pub async fn stage(&self, room: &Room) -> Result<String> {
        let (_, answer) = self.call("GET", &format!("/rooms/{}", room.id), None, None).await?;
        answer["stage"].as_str().map(str::to_owned).with_context(|| format!("no stage in {answer}"))
    }

    /// Waits until viewers of the room are shown `stage`.
    ///
    /// # Errors
    ///
    /// They were not within `limit`.
    pub async fn wait_stage(&self, room: &Room, stage: &str, limit: Duration) -> Result<()> {
        wait::until(&format!("the stage {stage}"), limit, || async {
            let now = self.stage(room).await?;
            if now == stage { Ok(Some(())) } else { bail!("the stage is {now}") }
        })
        .await
    }

    /// Where a program publishes to, with the key.
    #[must_use]
    pub fn publish_url(&self, room: &Room) -> String {
        format!("rtmp://{}/live/{}?key={}", self.rtmp, room.id, room.key)
    }

    /// Where players watch.
    #[must_use]
    pub fn flv_url(&self, room: &Room) -> String {
        format!("{}/live/{}.flv", self.url(), room.id)
    }

    /// Where pages and the app watch.
    #[must_use]
    pub fn fmp4_url(&self, room: &Room) -> String {
        format!("ws://{}/live/{}.mp4", self.http, room.id)
    }

    /// Where players of HLS watch.
    #[must_use]
    pub fn hls_url(&self, room: &Room) -> String {
        format!("{}/live/{}/index.m3u8", self.url(), room.id)
    }

    /// The room's page.
    #[must_use]
    pub fn watch_url(&self, room: &Room) -> String {
        format!("{}/watch/{}", self.url(), room.id)
    }
}
