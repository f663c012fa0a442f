//! A child program whose words are kept, and that does not outlive its test.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::wait::patient;

/// Most lines kept of what a program said.
const LINES_MAX: usize = 4000;

/// Most lines shown of that when a test fails.
const SHOWN: usize = 80;

/// Whether this runs inside a test, not a bench.
fn under_test() -> bool {
    std::env::current_exe().is_ok_and(|me| me.parent().is_some_and(|folder| folder.ends_with("deps")))
}

/// What a program said, in order.
#[derive(Default)]
struct Words {
    lines: Mutex<VecDeque<String>>,
    more: Notify,
}

impl Words {
    fn push(&self, line: String) {
        if let Ok(mut lines) = self.lines.lock() {
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(line);
        }
        self.more.notify_waiters();
    }

    fn find(&self, wanted: &dyn Fn(&str) -> bool) -> Option<String> {
        self.lines.lock().ok()?.iter().find(|line| wanted(line)).cloned()
    }

    fn all(&self) -> String {
        self.lines.lock().map(|lines| lines.iter().cloned().collect::<Vec<_>>().join("\n")).unwrap_or_default()
    }
}

/// A running program.
pub struct Program {
    name: String,
    child: Child,
    words: Arc<Words>,
    listeners: Vec<JoinHandle<()>>,
}

/// Where our own programs were built: beside the test that runs, or where `MUJIAN_PROGRAMS` says.
///
/// # Errors
///
/// The program is not there: it says how to build it.
pub fn ours(name: &str) -> Result<PathBuf> {
    let folder = match std::env::var_os("MUJIAN_PROGRAMS") {
        Some(folder) => PathBuf::from(folder),
        None => {
            let me = std::env::current_exe()?;
            let beside = me.parent().context("the test has no folder")?;
            if beside.ends_with("deps") { beside.parent().unwrap_or(beside).to_owned() } else { beside.to_owned() }
        }
    };
    let path = folder.join(name);
    if !path.exists() {
        bail!("{} is not there: `cargo build --workspace` makes it", path.display());
    }
    Ok(path)
}

/// The root of the source tree.
#[must_use]
pub fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

impl Program {
    /// Starts a program in a process group of its own. Its output is read as lines, its input closed.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null());
        Self::start_inner(command).map(|(program, _)| program)
    }

    /// The same, with its standard input open for writing.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn start_with_input(command: &mut Command) -> Result<(Self, ChildStdin)> {
        command.stdin(Stdio::piped());
        let (program, stdin) = Self::start_inner(command)?;
        Ok((program, stdin.context("no standard input")?))
    }

    fn start_inner(command: &mut Command) -> Result<(Self, Option<ChildStdin>)> {
        let name = Path::new(command.as_std().get_program())
            .file_name()
            .map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
        end_with_parent(command);
        let mut child = command.spawn().with_context(|| format!("{name} cannot be started"))?;
        let words = Arc::new(Words::default());
        let mut listeners = Vec::new();
        if let Some(out) = child.stdout.take() {
            listeners.push(tokio::spawn(listen(out, Arc::clone(&words))));
        }
        if let Some(err) = child.stderr.take() {
            listeners.push(tokio::spawn(listen(err, Arc::clone(&words))));
        }
        let stdin = child.stdin.take();
        Ok((Self { name, child, words, listeners }, stdin))
    }

    /// Its process id; none once it has ended.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Everything it said (the last few thousand lines).
    #[must_use]
    pub fn words(&self) -> String {
        self.words.all()
    }

    /// The first line, said or still to be said, that `wanted` accepts.
    ///
    /// # Errors
    ///
    /// The program ended, or the limit passed, without such a line.
    pub async fn line(&mut self, what: &str, limit: Duration, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let words = Arc::clone(&self.words);
        let limit = patient(limit);
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let more = words.more.notified();
            tokio::pin!(more);
            more.as_mut().enable();
            if let Some(line) = words.find(&wanted) {
                return Ok(line);
            }
            tokio::select! {
                () = more => {}
                () = tokio::time::sleep_until(deadline) => bail!("{} did not say {what} within {limit:?}; it said:\n{}", self.name, words.all()),
                status = self.child.wait() => {
                    heard(&mut self.listeners).await;
                    if let Some(line) = words.find(&wanted) { return Ok(line); }
                    bail!("{} ended ({}) before it said {what}; it said:\n{}", self.name, status?, words.all());
                }
            }
        }
    }

    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: i32) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            send(pid, signal);
        }
    }

    /// SIGKILL to the program and whatever it started.
    pub fn kill_all(&mut self) {
        if let Some(pid) = self.pid().and_then(|pid| i32::try_from(pid).ok()) {
            send(-pid, libc::SIGKILL);
        }
    }

    /// Waits for the program's end.
    ///
    /// # Errors
    ///
    /// It did not end within `limit`.
    pub async fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let limit = patient(limit);
        match tokio::time::timeout(limit, self.child.wait()).await {
            Ok(status) => {
                heard(&mut self.listeners).await;
                Ok(status?)
            }
            Err(_) => bail!("{} did not end within {limit:?}; it said:\n{}", self.name, self.words()),
        }
    }

    /// Asks the program to end (SIGTERM) and waits.
    ///
    /// # Errors
    ///
    /// It did not end within `limit`.
    pub async fn stop(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(libc::SIGTERM);
        self.ended(limit).await
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Test runners show this only when the test fails.
        if under_test() || std::env::var_os("MUJIAN_SHOW").is_some() {
            let words = self.words();
            let lines: Vec<&str> = words.lines().collect();
            eprintln!("---- {} said:\n{}\n----", self.name, lines[lines.len().saturating_sub(SHOWN)..].join("\n"));
        }
        self.kill_all();
    }
}

/// Runs a program to its end and gives its standard output.
///
/// # Errors
///
/// It failed (its last words are in the message) or did not end within `limit`.
pub async fn run<S: AsRef<OsStr>>(
    program: &str,
    args: impl IntoIterator<Item = S>,
    limit: Duration,
) -> Result<Vec<u8>> {
    let limit = patient(limit);
    let child = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let out = tokio::time::timeout(limit, child)
        .await
        .with_context(|| format!("{program} did not end within {limit:?}"))?
        .with_context(|| format!("{program} cannot be started"))?;
    if !out.status.success() {
        bail!("{program} failed ({}): {}", out.status, String::from_utf8_lossy(&out.stderr));
    }
    Ok(out.stdout)
}

/// Waits until the last lines of a program that has ended came through its pipes. What it started may hold them open.
async fn heard(listeners: &mut Vec<JoinHandle<()>>) {
    let all = futures_util::future::join_all(listeners.drain(..));
    let _ = tokio::time::timeout(Duration::from_secs(1), all).await;
}

async fn listen(pipe: impl AsyncRead + Unpin, words: Arc<Words>) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while let Ok(n) = reader.read_until(b'\n', &mut line).await {
        if n == 0 {
            break;
        }
        words.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
}

/// SIGKILL to a process that one of our programs started.
pub fn kill(pid: i32) {
    send(pid, libc::SIGKILL);
}

#[allow(unsafe_code)]
fn send(pid: i32, signal: i32) {
    // SAFETY: kill(2) takes plain numbers and touches no memory; the pid is of a process that our test started.
    unsafe {
        libc::kill(pid, signal);
    }
}

#[allow(unsafe_code)]
fn end_with_parent(command: &mut Command) {
    // SAFETY: prctl(2) is async-signal-safe and only marks the child: it is killed when the thread that started it
    // ends, so that a test which is killed leaves nothing behind.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}
