//! Our own broadcaster without a window: `mujian live`.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::link::Roads;
use crate::process::{Program, ours};
use crate::server::{Room, Server};

/// A command that broadcasts to a room with its stream key; the source and the rest are up to the caller.
///
/// # Errors
///
/// The program was not built.
pub fn command(server: &Server, room: &Room, args: &[&str]) -> Result<Command> {
    command_at(&server.url(), server, room, args)
}

/// The same at another address of the server.
///
/// # Errors
///
/// The program was not built.
pub fn command_at(address: &str, server: &Server, room: &Room, args: &[&str]) -> Result<Command> {
    let mut command = base(server, address, room, args)?;
    command.env("MUJIAN_STREAM_KEY", &room.key);
    Ok(command)
}

/// The same over roads that may be bad, with the stream key.
///
/// # Errors
///
/// The program was not built.
pub fn command_over(roads: &Roads, server: &Server, room: &Room, args: &[&str]) -> Result<Command> {
    command_at(&roads.url(), server, room, args)
}

/// As the room's owner, who is listened to: what is pressed in the program is told to the server by both roads.
///
/// # Errors
///
/// The program was not built, or the session cannot be handed to it.
pub fn command_of_owner(roads: &Roads, server: &Server, room: &Room, args: &[&str]) -> Result<Command> {
    let mut command = base(server, &roads.url(), room, args)?;
    let folder = server.data.join("broadcaster");
    std::fs::create_dir_all(&folder)?;
    let token = folder.join(format!("token-{}", room.id));
    std::fs::write(&token, &room.token)?;
    command.arg("--token-file").arg(token);
    Ok(command)
}

fn base(server: &Server, url: &str, room: &Room, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(ours("mujian")?);
    command.args(["live", "--server", url, "--room", &room.id, "--json"]).args(args);
    command.env("MUJIAN_DATA", server.data.join("broadcaster"));
    Ok(command)
}

/// What `mujian devices` lists on a display.
///
/// # Errors
///
/// The program was not built, or fails.
pub async fn devices(display: &str) -> Result<Value> {
    devices_with(display, []).await
}

/// The same with something more in the program's environment.
///
/// # Errors
///
/// As [`devices`].
pub async fn devices_with<const N: usize>(display: &str, environment: [(&str, &str); N]) -> Result<Value> {
    let mut command = Command::new(ours("mujian")?);
    command.args(["devices", "--json"]).env("DISPLAY", display).envs(environment).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(20), command.output()).await??;
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Starts a broadcast and waits until it is live.
///
/// # Errors
///
/// It does not come on air; its words are in the message.
pub async fn start(server: &Server, room: &Room, args: &[&str]) -> Result<Program> {
    begin(server, room, &mut command(server, room, args)?).await
}

/// The same with a command of the caller's.
///
/// # Errors
///
/// As for [`start`].
pub async fn begin(server: &Server, room: &Room, command: &mut Command) -> Result<Program> {
    let mut program = Program::start(command)?;
    program.line("that it is live", Duration::from_secs(30), |l| kind(l) == "live").await?;
    server.wait_stage(room, "live", Duration::from_secs(10)).await?;
    Ok(program)
}

fn said(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_default()
}

fn kind(line: &str) -> String {
    said(line)["type"].as_str().unwrap_or_default().to_owned()
}

/// A stay away, as the broadcaster tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// Its name.
    pub id: String,
    /// Since when, in milliseconds since 1970. The gate was closed a moment before.
    pub since: i64,
}

fn stay(line: &str) -> Option<Stay> {
    let line = said(line);
    let id = line["leave_id"].as_str().filter(|_| line["type"] == "away")?;
    Some(Stay { id: id.to_owned(), since: line["since"].as_i64()? })
}

/// The streamer leaves by the broadcaster's own signal; gives the stay when that has begun there.
///
/// # Errors
///
/// It does not say so within `limit`.
pub async fn leave(program: &mut Program, limit: Duration) -> Result<Stay> {
    let before: HashSet<String> = program.words().lines().filter_map(stay).map(|s| s.id).collect();
    program.signal(libc::SIGUSR1);
    let another = |line: &str| stay(line).is_some_and(|s| !before.contains(&s.id));
    let line = program.line("that the streamer left", limit, another).await?;
    stay(&line).context("no stay")
}

/// Waits until the broadcaster says that the server knows of a stay.
///
/// # Errors
///
/// It does not within `limit`.
pub async fn told(program: &mut Program, stay_is: &Stay, limit: Duration) -> Result<()> {
    let told = |line: &str| stay(line).is_some_and(|s| s.id == stay_is.id) && said(line)["told"] == true;
    program.line("that the server knows", limit, told).await.map(drop)
}

/// The streamer comes back by the broadcaster's own signal.
pub fn back(program: &Program) {
    program.signal(libc::SIGUSR2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stay_is_read() {
        let line =
            r#"{"type":"away","leave_id":"a","since":12,"keep_sound":false,"step":{"step":"closing"},"told":false}"#;
        assert_eq!(stay(line), Some(Stay { id: "a".into(), since: 12 }));
        assert_eq!(stay(r#"{"type":"live","since":12}"#), None);
        assert_eq!(kind(r#"{"type":"live","since":12}"#), "live");
        assert_eq!(kind("no JSON"), "");
    }
}
