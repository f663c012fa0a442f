//! The `mujian-server` program itself: its one line, its end, its exit codes.

#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

const PROGRAM: &str = env!("CARGO_BIN_EXE_mujian-server");
const PATIENCE: Duration = Duration::from_secs(20);

struct Program {
    child: Child,
    http: SocketAddr,
    rtmp: SocketAddr,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--data").arg(data).args(["--http", "127.0.0.1:0", "--rtmp", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn start(mut command: Command) -> Program {
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let words: Vec<&str> = line.trim_end().split(' ').collect();
    let [ready, http, rtmp] = words[..] else { panic!("not the line that was promised: {line:?}") };
    assert_eq!(ready, "ready");
    let address = |word: &str, name: &str| word.strip_prefix(name).unwrap().parse().unwrap();
    Program { http: address(http, "http="), rtmp: address(rtmp, "rtmp="), child }
}

/// Waits for the end; gives the exit code and what went to stderr.
fn end(child: &mut Child) -> (Option<i32>, String) {
    let mut stderr = child.stderr.take().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        let _ = tell.send(text);
    });
    // Its stderr ends when the program does.
    let text = told.recv_timeout(PATIENCE).expect("the program ends in time");
    (child.wait().unwrap().code(), text)
}

fn refuses(command: &mut Command, code: i32, words: &[&str]) {
    let (status, stderr) = end(&mut command.spawn().unwrap());
    assert_eq!(status, Some(code), "{stderr}");
    let sentence = stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
    assert!(!stderr.contains("panicked"), "{stderr}");
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(name).arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn it_serves_and_stops_when_asked() {
    for name in ["-TERM", "-INT"] {
        let data = tempfile::tempdir().unwrap();
        let mut program = start(command(&data.path().join("new/folder")));
        assert_ne!(program.http.port(), 0);
        assert_ne!(program.rtmp.port(), 0);
        for address in [program.http, program.rtmp] {
            std::net::TcpStream::connect(address).unwrap();
        }
        signal(&program.child, name);
        let (code, stderr) = end(&mut program.child);
        assert_eq!(code, Some(0), "{stderr}");
        // The code is for who sits at the terminal.
        assert_eq!(stderr.matches("set-up code").count(), 1, "{stderr}");
        assert!(stderr.contains(&format!("Open http://{}/account, sign up", program.http)), "{stderr}");
        let mut rest = String::new();
        program.child.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "only one line goes to stdout");
    }
}

#[test]
fn the_setup_code_is_not_in_the_structured_log() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path());
    command.args(["--log-format", "json"]);
    let mut program = start(command);
    signal(&program.child, "-TERM");
    let (code, stderr) = end(&mut program.child);
    assert_eq!(code, Some(0));
    let (log, plain): (Vec<&str>, Vec<&str>) = stderr.lines().partition(|l| l.starts_with('{'));
    assert_eq!(plain.len(), 1);
    let secret = plain[0].rsplit(' ').next().unwrap();
    assert_eq!(secret.len(), 14);
    assert!(!log.is_empty() && log.iter().all(|l| !l.contains(secret)));
}

#[test]
fn what_keeps_it_from_starting_is_told() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--http", "--rtmp"] {
        let mut command = Command::new(PROGRAM);
        command.arg("--data").arg(data.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let other = if option == "--http" { "--rtmp" } else { "--http" };
        command.args([option, &address, other, "127.0.0.1:0"]);
        refuses(&mut command, 4, &[&address, "already used", option]);
    }

    let file = data.path().join("file");
    std::fs::write(&file, "").unwrap();
    refuses(&mut command(&file.join("data")), 5, &["cannot be written", "--data"]);
    // A file system that nobody can write to, not even root.
    refuses(&mut command(Path::new("/proc/mujian")), 5, &["cannot be written", "--data"]);

    for (text, words) in [("htpp = 1", "htpp"), ("grace_seconds = 0", "grace_seconds"), ("http = ", "config")] {
        let config = data.path().join("mujian.toml");
        std::fs::write(&config, text).unwrap();
        let (status, stderr) = end(&mut command(data.path()).arg("--config").arg(&config).spawn().unwrap());
        assert_eq!(status, Some(3), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    refuses(command(data.path()).arg("--config").arg("/nowhere/mujian.toml"), 3, &["cannot be read", "--config"]);
    refuses(command(data.path()).arg("--nonsense"), 2, &["--help"]);

    let running = start(command(data.path()));
    refuses(&mut command(data.path()), 8, &["used by another server", "--data"]);
    drop(running);
}

#[test]
fn a_newer_database_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let mut program = start(command(data.path()));
    signal(&program.child, "-TERM");
    assert_eq!(end(&mut program.child).0, Some(0));
    let path = data.path().join("mujian.db");
    let newer = mujian_server::store::LATEST + 1;
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", newer).unwrap();
    let before = std::fs::read(&path).unwrap();
    refuses(&mut command(data.path()), 7, &["newer version", "nothing was changed"]);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

/// A disk of its own that is full, in a namespace of the test's own: anybody may make one there on Linux.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told() {
    let data = tempfile::tempdir().unwrap();
    // In a mount namespace of its own: nothing is left behind.
    let script = "mount -t tmpfs -o size=256k none \"$1\" && { dd if=/dev/zero of=\"$1/filler\" bs=1k 2>/dev/null; exec \"$2\" --data \"$1\" --http 127.0.0.1:0 --rtmp 127.0.0.1:0; }";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(data.path()).arg(PROGRAM);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    refuses(&mut command, 6, &["disk", "full", "--data"]);
}

/// What was answered with 201 is there after the program was killed in the middle of more.
#[tokio::test]
async fn what_was_acknowledged_survives_a_kill() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path().to_owned();
    let mut program = tokio::task::spawn_blocking(move || start(command(&folder))).await.unwrap();
    let client = reqwest::Client::new();
    let account = serde_json::json!({"name": "a", "password": "correct horse"});
    let made = client.post(format!("http://{}/api/v1/accounts", program.http)).json(&account).send().await.unwrap();
    assert_eq!(made.status(), 201);
    let token = made.json::<serde_json::Value>().await.unwrap()["token"].as_str().unwrap().to_owned();
    let rooms = format!("http://{}/api/v1/rooms", program.http);
    let room = |n: u32| {
        let request = client.post(&rooms).bearer_auth(&token).json(&serde_json::json!({"title": n.to_string()}));
        async move { request.send().await.is_ok_and(|r| r.status() == 201) }
    };
    assert!(room(0).await);
    // More is under way when the program is killed.
    let more = futures_util::future::join_all((1..8).map(room));
    let kill = async { program.child.kill().unwrap() };
    let (more, ()) = tokio::join!(more, kill);
    let acknowledged = 1 + more.iter().filter(|taken| **taken).count();
    program.child.wait().unwrap();

    let folder = data.path().to_owned();
    let program = tokio::task::spawn_blocking(move || start(command(&folder))).await.unwrap();
    let mine = client.get(format!("http://{}/api/v1/me/rooms", program.http)).bearer_auth(&token).send().await.unwrap();
    assert_eq!(mine.status(), 200);
    let kept = mine.json::<Vec<serde_json::Value>>().await.unwrap().len();
    assert!(kept >= acknowledged, "{kept} of {acknowledged} rooms were kept");
}

#[test]
fn the_operator_makes_a_recovery_code_at_the_terminal_while_the_server_runs() {
    let data = tempfile::tempdir().unwrap();
    let recover = |data: &Path, name: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(["recover", name, "--data"]).arg(data).output().unwrap()
    };
    let nowhere = recover(&data.path().join("nothing"), "Anna");
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nowhere.stderr).contains("There is no database of Mujian in"), "{nowhere:?}");
    let program = start(command(data.path()));
    let nobody = recover(data.path(), "Anna");
    assert_eq!((nobody.status.code(), nobody.stdout.len()), (Some(1), 0));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("no account \"Anna\""), "{nobody:?}");

    let http = |path: &str, body: &str| {
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(program.http).unwrap();
        let (host, length) = (program.http, body.len());
        write!(
            stream,
            "POST /api/v1{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    assert_eq!(http("/accounts", r#"{"name": "Anna", "password": "correct horse"}"#), 201);
    let made = recover(data.path(), "anna");
    assert!(made.status.success(), "{made:?}");
    assert!(String::from_utf8_lossy(&made.stderr).contains("sets a new password, once, until 20"), "{made:?}");
    let code = String::from_utf8(made.stdout).unwrap();
    let body = format!(r#"{{"name": "Anna", "code": "{}", "password": "battery staple"}}"#, code.trim_end());
    assert_eq!(http("/recovery", &body), 204);
    assert_eq!(http("/recovery", &body), 401);
    assert_eq!(http("/sessions", r#"{"name": "Anna", "password": "battery staple"}"#), 201);
}
