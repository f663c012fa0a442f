//! Our own broadcaster without a window: `mujian live`.

use std::time::Duration;

use anyhow::Result;
use tokio::process::Command;

use crate::process::{Program, ours};
use crate::server::{Room, Server};

/// A command that broadcasts to a room with its stream key; the source and the rest are up to the caller.
///
/// # Errors
///
/// The program was not built.
pub fn command(server: &Server, room: &Room, args: &[&str]) -> Result<Command> {
    let mut command = Command::new(ours("mujian")?);
    command.args(["live", "--server", &server.url(), "--room", &room.id, "--json"]).args(args);
    command.env("MUJIAN_STREAM_KEY", &room.key).env("MUJIAN_DATA", server.data.join("broadcaster"));
    Ok(command)
}

/// Starts a broadcast and waits until it is live.
///
/// # Errors
///
/// It does not come on air; its words are in the message.
pub async fn start(server: &Server, room: &Room, args: &[&str]) -> Result<Program> {
    let mut program = Program::start(&mut command(server, room, args)?)?;
    let live = |line: &str| line.contains("\"type\":\"live\"") || line.contains("\"type\": \"live\"");
    program.line("that it is live", Duration::from_secs(30), live).await?;
    server.wait_stage(room, "live", Duration::from_secs(10)).await?;
    Ok(program)
}
