//! Killed while away (row B3): the server, and server and publisher at once. It stays away. And nothing that a killed
//! server had in work goes on without it. Pressed elsewhere: see `leave`; the window: see `away`.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use mujian_tests::flv::Viewer;
use mujian_tests::link::Roads;
use mujian_tests::live;
use mujian_tests::measure::leave;
use mujian_tests::process::{Program, ours};
use mujian_tests::server::{Room, Server, Setup};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);
const AT_LAST: Duration = Duration::from_secs(60);
const CARD: [&str; 3] = ["--test-card", "--preset", "540p30"];

/// The same server once more: its data, its ports.
async fn again(server: Server, data: &Path) -> Result<Server> {
    let (http, rtmp) = (server.http.to_string(), server.rtmp.to_string());
    drop(server);
    Setup::default().data(data).arg("--http").arg(&http).arg("--rtmp").arg(&rtmp).start().await
}

/// A new viewer gets a picture every time, and none of them was captured.
async fn nothing_is_seen(server: &Server, room: &Room) -> Result<()> {
    let viewer = Viewer::open(&server.flv_url(room)).await?;
    viewer.more_pictures(45, SOON).await?;
    let seen = leave::seen_by_flv(&viewer).await?;
    let captured = seen.iter().filter(|s| s.captured.is_some()).count();
    ensure!(captured == 0, "{captured} of {} pictures are the publisher's", seen.len());
    Ok(())
}

/// The streamer comes back by their own press, and is seen from then on.
async fn comes_back(server: &Server, room: &Room, program: &Program) -> Result<()> {
    let viewer = Viewer::open(&server.flv_url(room)).await?;
    viewer.more_pictures(5, SOON).await?;
    let back = leave::wall();
    live::back(program);
    server.wait_stage(room, "live", SOON).await?;
    viewer.more_pictures(45, SOON).await?;
    let captured: Vec<f64> = leave::seen_by_flv(&viewer).await?.iter().filter_map(|s| s.captured).collect();
    ensure!(!captured.is_empty() && captured.iter().all(|at| *at >= back), "captured before the return: {captured:?}");
    Ok(())
}

/// It dies before it hears of the press, so nothing of it is on the disk: the broadcaster says it again.
#[tokio::test]
async fn a_server_that_is_killed_before_it_hears_of_the_press_is_told_again() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut server = Setup::default().data(&data).start().await?;
    let room = server.room("owner", "A room").await?;
    let roads = Roads::to(&server).await?;
    let mut command = live::command_of_owner(&roads, &server, &room, &CARD)?;
    let mut program = live::begin(&server, &room, &mut command).await?;
    server.program.signal(libc::SIGSTOP);
    let stay = live::leave(&mut program, SOON).await?;
    server.program.signal(libc::SIGKILL);
    server.program.ended(SOON).await?;

    let server = again(server, &data).await?;
    server.wait_stage(&room, "away", AT_LAST).await?;
    nothing_is_seen(&server, &room).await?;
    live::told(&mut program, &stay, AT_LAST).await?;
    let view = server.call("GET", &format!("/rooms/{}", room.id), None, None).await?.1;
    ensure!(view["away"]["leave_id"] == *stay.id, "{view}");
    comes_back(&server, &room, &program).await
}

#[tokio::test]
async fn with_server_and_publisher_killed_at_once_what_comes_after_them_begins_away() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut server = Setup::default().data(&data).start().await?;
    let room = server.room("owner", "A room").await?;
    let roads = Roads::to(&server).await?;
    let mut command = live::command_of_owner(&roads, &server, &room, &CARD)?;
    let mut program = live::begin(&server, &room, &mut command).await?;
    let stay = live::leave(&mut program, SOON).await?;
    live::told(&mut program, &stay, SOON).await?;
    program.signal(libc::SIGKILL);
    server.program.signal(libc::SIGKILL);
    program.ended(SOON).await?;
    server.program.ended(SOON).await?;

    let server = again(server, &data).await?;
    let view = server.call("GET", &format!("/rooms/{}", room.id), None, None).await?.1;
    ensure!(view["away"]["leave_id"] == *stay.id, "{view}");
    // Started again as it was, by somebody who does not think of it.
    let mut program = Program::start(&mut command)?;
    program.line("that it is away", SOON, |l| l.contains("\"type\":\"away\"") && l.contains(&stay.id)).await?;
    server.wait_stage(&room, "away", AT_LAST).await?;
    nothing_is_seen(&server, &room).await?;
    comes_back(&server, &room, &program).await
}

/// What is killed closes its pipes; that a worker ends by that, and not because it is done, its exit code tells.
#[tokio::test]
async fn a_worker_ends_when_who_hired_it_is_gone() -> Result<()> {
    let mut command = Command::new(ours("mujian-server")?);
    // A minute of work.
    command.args(["worker", "slate", "--kind", "moment", "--width", "3840", "--height", "2160", "--fps", "60"]);
    let (mut worker, mut stdin) = Program::start_with_input(&mut command)?;
    stdin.write_all(b"\n").await?;
    drop(stdin);
    let status = worker.ended(SOON).await?;
    ensure!(status.code() == Some(1), "{status}");
    Ok(())
}
