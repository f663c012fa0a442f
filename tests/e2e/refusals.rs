//! Bad input at the command line and at the border: each ends in a sentence that says what happened and what to do.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::flv::{HOLE, SOUND_HOLE, Viewer};
use mujian_tests::process::{Program, ours};
use mujian_tests::server::Setup;
use tokio::process::Command;

const SOON: Duration = Duration::from_secs(20);

/// Whether a program said exactly this to a person, and nothing of its insides.
fn says(words: &str, sentence: &str) -> bool {
    words.lines().any(|line| line == format!("mujian-server: {sentence}"))
        && !words.contains("panicked")
        && !words.contains("stack backtrace")
}

#[tokio::test]
async fn a_port_in_use_is_told() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for option in ["--http", "--rtmp"] {
        let (mut command, _, _folder) = Setup::default().arg(option).arg(&address).command()?;
        let mut server = Program::start(&mut command)?;
        assert_eq!(server.ended(SOON).await?.code(), Some(4), "{option}");
        let (what, words) = (option.trim_start_matches('-').to_uppercase(), server.words());
        let sentence = format!(
            "The {what} port {address} is already used by another program. Stop that program, or choose another one with \
             {option} ADDR (port 0 takes any free one)."
        );
        assert!(says(&words, &sentence), "{option}: {words}");
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
    let known: u32 = raised.pragma_query_value(None, "user_version", |row| row.get(0))?;
    raised.pragma_update(None, "user_version", 9999)?;
    raised.close().map_err(|(_, error)| error)?;
    let before = std::fs::read(&database)?;
    let (mut command, _, _folder) = Setup::default().data(&data).command()?;
    let mut server = Program::start(&mut command)?;
    assert_eq!(server.ended(SOON).await?.code(), Some(7));
    let sentence = format!(
        "The database {} was written by a newer version of Mujian (its format is 9999, this program knows up to {known}). \
         Use the newer version; nothing was changed.",
        database.display()
    );
    assert!(says(&server.words(), &sentence), "{}", server.words());
    assert!(before == std::fs::read(&database)?, "the newer database was touched");
    Ok(())
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_written_is_told() -> Result<()> {
    let (mut command, data, _folder) = Setup::default().disk("ro").command()?;
    let mut server = Program::start(&mut command)?;
    assert_eq!(server.ended(SOON).await?.code(), Some(5));
    let (data, words) = (data.display(), server.words());
    let sentence = format!(
        "The data folder {data} cannot be written: Read-only file system (os error 30). Give another one with --data, or \
         make it writable for the user who runs the server."
    );
    assert!(says(&words, &sentence), "{words}");
    Ok(())
}

#[tokio::test]
async fn a_full_disk_is_told_at_the_start() -> Result<()> {
    let (mut command, data, _folder) = Setup::default().disk("size=16k").command()?;
    let mut server = Program::start(&mut command)?;
    assert_eq!(server.ended(SOON).await?.code(), Some(6));
    let words = server.words();
    // Which of its files did not fit is not the person's affair.
    let line =
        words.lines().find_map(|l| l.strip_prefix(&format!("mujian-server: The disk that holds {}", data.display())));
    let rest = " is full. Free some space, or give a folder on another disk with --data.";
    assert!(line.is_some_and(|l| l.ends_with(rest)) && !words.contains("panicked"), "{words}");
    Ok(())
}

/// Fills a disk to its last byte; gives the file that does it.
fn fill(folder: &Path) -> Result<std::path::PathBuf> {
    use std::io::Write;
    let path = folder.join("filling");
    let mut file = std::fs::File::create(&path)?;
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(path)
}

#[tokio::test]
async fn a_disk_that_fills_up_while_it_serves_costs_nothing_that_was_kept() -> Result<()> {
    let server = Setup::default().disk("size=8m").start().await?;
    let room = server.room("owner", "Before").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(30, SOON).await?;
    let filling = fill(&server.data_inside()?)?;

    // What cannot be kept is refused with a sentence; until then what there is room for is kept.
    let path = format!("/rooms/{}", room.id);
    let change = async |title: String| {
        server.call("PATCH", &path, Some(&room.token), Some(serde_json::json!({"title": title}))).await
    };
    let mut kept = "Before".to_owned();
    let refused = loop {
        let title = format!("Title {kept}").chars().take(70).collect::<String>();
        let (status, answer) = change(title.clone()).await?;
        if status != 200 {
            break answer;
        }
        kept = title;
    };
    assert_eq!(refused["code"], "storage", "{refused}");
    let sentence = "The server's disk is full; nothing was changed. Its operator must free some space.";
    assert_eq!(refused["message"], sentence);
    // The stream does not need the disk.
    viewer.more_pictures(60, SOON).await?;
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    assert_eq!(server.stage(&room).await?, "live");
    let (_, view) = server.call("GET", &path, None, None).await?;
    assert_eq!(view["title"], kept.as_str(), "what was refused is not shown either");

    // Room again: it goes on by itself.
    std::fs::remove_file(filling)?;
    let (status, answer) = change("After".into()).await?;
    assert_eq!((status, &answer["title"]), (200, &serde_json::json!("After")), "{answer}");
    Ok(())
}

#[tokio::test]
async fn nonsense_on_the_command_line_is_told() -> Result<()> {
    let value = ["invalid value 'nowhere' for '--http <"];
    let option = ["unexpected argument '--grace' found"];
    for (args, wrong) in [(["--http", "nowhere"], value), (["--grace", "x"], option)] {
        let program = "mujian-server";
        let mut run = Program::start(Command::new(ours(program)?).args(args))?;
        assert_eq!(run.ended(SOON).await?.code(), Some(2), "{program} {args:?}: {}", run.words());
        let words = run.words();
        let line = words.lines().find(|l| l.starts_with("error: ")).unwrap_or_default();
        let sentence = wrong.iter().all(|word| line.contains(word));
        assert!(sentence && words.contains("--help"), "{words}");
    }
    Ok(())
}
