//! Bad input at the command line and at the border: each ends in a sentence that says what happened and what to do.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::process::{Program, ours};
use mujian_tests::server::Setup;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);

/// A sentence for a person: not a bare code, not a trace of the program's insides.
fn is_a_sentence(words: &str) -> bool {
    let good = |line: &str| line.split_whitespace().count() >= 6 && line.contains('.');
    words.lines().any(good) && !words.contains("panicked") && !words.contains("stack backtrace")
}

#[tokio::test]
async fn a_port_in_use_is_told() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for option in ["--http", "--rtmp"] {
        let (mut command, _, _folder) = Setup::default().arg(option).arg(&address).command()?;
        let mut server = Program::start(&mut command)?;
        let code = server.ended(SOON).await?.code().context("killed")?;
        assert!(code != 0 && code != 101, "{option}: exit code {code}");
        let words = server.words();
        assert!(words.contains(&address) && is_a_sentence(&words), "{option}: {words}");
    }
    Ok(())
}

#[tokio::test]
async fn a_newer_database_is_left_alone() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut server = Setup::default().data(&data).start().await?;
    assert_eq!(server.program.stop(SOON).await?.code(), Some(0), "a clean end: {}", server.program.words());
    let database = std::fs::read_dir(&data)?
        .filter_map(|e| Some(e.ok()?.path()))
        .find(|p| std::fs::read(p).is_ok_and(|b| b.starts_with(b"SQLite format 3\0")))
        .context("no database")?;
    let raised = rusqlite::Connection::open(&database)?;
    raised.pragma_update(None, "user_version", 9999)?;
    raised.close().map_err(|(_, error)| error)?;
    let before = std::fs::read(&database)?;
    let (mut command, _, _folder) = Setup::default().data(&data).command()?;
    let mut server = Program::start(&mut command)?;
    let code = server.ended(SOON).await?.code().context("killed")?;
    assert!(code != 0 && code != 101, "exit code {code}");
    assert!(server.words().contains("newer") && is_a_sentence(&server.words()), "{}", server.words());
    assert!(before == std::fs::read(&database)?, "the newer database was touched");
    Ok(())
}

/// A command in a mount namespace of its own, where `folder` is a small file system.
fn inside_small_disk(folder: &std::path::Path, options: &str, command: &Command) -> Command {
    let mut outer = Command::new("unshare");
    outer.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    outer.arg(format!("mount -t tmpfs -o {options} tmpfs \"$0\" && exec \"$@\"")).arg(folder);
    outer.arg(command.as_std().get_program()).args(command.as_std().get_args());
    outer
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_told() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (command, data, _folder) = Setup::default().data(&folder.path().join("data")).command()?;
    let mut server = Program::start(&mut inside_small_disk(folder.path(), "ro", &command))?;
    let code = server.ended(SOON).await?.code().context("killed")?;
    assert!(code != 0 && code != 101, "exit code {code}");
    let words = server.words();
    assert!(words.contains(&data.to_string_lossy().into_owned()) && is_a_sentence(&words), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_is_told_at_the_start() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (command, _, _folder) = Setup::default().data(&folder.path().join("data")).command()?;
    let mut server = Program::start(&mut inside_small_disk(folder.path(), "size=16k", &command))?;
    let code = server.ended(SOON).await?.code().context("killed")?;
    assert!(code != 0 && code != 101, "exit code {code}");
    let words = server.words().to_lowercase();
    assert!((words.contains("full") || words.contains("space")) && is_a_sentence(&words), "{words}");
    Ok(())
}

#[tokio::test]
async fn nonsense_on_the_command_line_is_told() -> Result<()> {
    for (program, args) in [("mujian-server", vec!["--http", "nowhere"]), ("mujian-server", vec!["--grace", "x"])] {
        let mut run = Program::start(Command::new(ours(program)?).args(&args))?;
        assert_eq!(run.ended(SOON).await?.code(), Some(2), "{program} {args:?}: {}", run.words());
        assert!(run.words().contains(args[0]), "{}", run.words());
    }
    Ok(())
}
