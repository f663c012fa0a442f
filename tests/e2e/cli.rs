//! The broadcaster without a window (row A5): `mujian live`, `devices`, `encoders`.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::flv::{HOLE, SOUND_HOLE, Viewer};
use mujian_tests::process::{Program, ours, run, source_root};
use mujian_tests::screen::Screen;
use mujian_tests::server::Server;
use mujian_tests::sound::Sound;
use mujian_tests::{ffmpeg, live, picture, tone, wait};
use tokio::process::Command;

use crate::publish::WRONG_KEY;

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_test_card_goes_live_and_ctrl_c_ends_it_properly() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut program = live::start(&server, &room, &["--test-card", "--preset", "540p30"]).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(150, SOON).await?;
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    // A key frame every 2 s, and no B-frames.
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let packets = ffmpeg::packets(file.path()).await?;
    let keys: Vec<f64> = packets.iter().filter(|p| p.video && p.key).map(|p| p.pts).collect();
    assert!(keys.len() >= 2 && keys.windows(2).all(|k| k[1] - k[0] < 2.1), "{keys:?}");
    assert!(packets.iter().filter(|p| p.video).all(|p| (p.pts - p.dts).abs() < 0.001));
    ffmpeg::decodes(file.path()).await?;

    program.signal(libc::SIGINT);
    assert_eq!(program.ended(SOON).await?.code(), Some(0), "{}", program.words());
    server.wait_stage(&room, "off", SOON).await?;
    // Every line of standard output was JSON, and the last one says that it ended.
    let words = program.words();
    let last = words.lines().rev().find(|l| l.starts_with('{')).context("no JSON")?;
    let last: serde_json::Value = serde_json::from_str(last)?;
    assert_eq!(last["type"], "ended", "{words}");
    assert!(!words.contains(&room.key), "the stream key was printed");
    Ok(())
}

#[tokio::test]
async fn the_broadcaster_comes_back_by_itself_after_its_server_was_killed() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut program = live::start(&server, &room, &["--test-card", "--preset", "540p30"]).await?;
    let (data, http, rtmp) = (server.data.clone(), server.http.to_string(), server.rtmp.to_string());
    server.program.signal(libc::SIGKILL);
    program.line("that it reconnects", SOON, |l| l.contains("\"reconnecting\"")).await?;
    let setup = mujian_tests::server::Setup::default().data(&data).arg("--http").arg(&http).arg("--rtmp").arg(&rtmp);
    let again = setup.start().await?;
    again.wait_stage(&room, "live", Duration::from_secs(40)).await?;
    let viewer = Viewer::open(&again.flv_url(&room)).await?;
    viewer.more_pictures(60, SOON).await
}

#[tokio::test]
async fn the_screen_and_the_microphone_arrive() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let (screen, sound) = (Screen::start(1280, 720).await?, Sound::start().await?);
    let _content = screen.moving_content(1280, 720)?;
    let _tone = sound.tone(1300)?;
    let mut command = live::command(&server, &room, &["--screen", "--mic", "default", "--preset", "540p30"])?;
    command.env("DISPLAY", &screen.display).envs(sound.environment());
    let _program = Program::start(&mut command)?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(150, SOON).await?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let samples = ffmpeg::samples(file.path()).await?;
    let heard = tone::heard(&samples[samples.len() - 96_000..], 48_000.0, 1300.0);
    assert!(heard > 0.2, "the microphone is heard for {heard} of the time");
    let pictures = ffmpeg::grey(file.path(), 64, 36).await?;
    let (first, last) = (&pictures[pictures.len() - 60], &pictures[pictures.len() - 1]);
    assert!(picture::brightness(last) > 0.1 && picture::difference(first, last) > 0.002, "the screen's moving picture");
    Ok(())
}

#[tokio::test]
async fn a_media_file_plays_with_its_own_sound() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let folder = tempfile::tempdir()?;
    // Another container, other codecs, another rate: it is decoded and converted.
    let file = folder.path().join("节目.mkv").to_string_lossy().into_owned();
    let args = [
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=720x480:rate=25",
        "-f",
        "lavfi",
        "-i",
        "sine=frequency=800:sample_rate=44100",
        "-t",
        "20",
        "-c:v",
        "mpeg4",
        "-c:a",
        "libvorbis",
        &file,
    ];
    run("ffmpeg", args, SOON).await?;
    let _program = live::start(&server, &room, &["--file", &file, "--preset", "540p30"]).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(120, SOON).await?;
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    let got = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(got.path())?;
    let samples = ffmpeg::samples(got.path()).await?;
    // A machine that is too busy may leave a hole in what is decoded; a seam at every block must not pass.
    let tenths: Vec<f32> =
        samples[samples.len() - 96_000..].chunks(4800).map(|tenth| tone::share(tenth, 48_000.0, 800.0)).collect();
    assert!(tenths.iter().filter(|share| **share > 0.8).count() >= tenths.len() * 3 / 4, "the file's tone: {tenths:?}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_broadcast_is_told_with_an_exit_code() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "not a film\n".repeat(100))?;
    let (text, none) =
        (text.to_string_lossy().into_owned(), folder.path().join("none.mp4").to_string_lossy().into_owned());

    let no_media = format!("{text} is not a media file that can be played (");
    let no_file = format!("There is no file at {none}. Check the name, or choose the file again.");
    let no_camera = "the camera /dev/video77 is not there. Plug it in, or choose another.";
    for (what, args, key, code, sentence) in [
        ("a wrong key", vec!["--test-card"], "wrong", 3, WRONG_KEY),
        ("a file that is no media", vec!["--file", &text], &*room.key, 6, &no_media),
        ("a file that is not there", vec!["--file", &none], &*room.key, 6, &no_file),
        ("a camera that is not there", vec!["--camera", "/dev/video77"], &*room.key, 4, no_camera),
    ] {
        let mut command = Command::new(ours("mujian")?);
        command.args(["live", "--server", &server.url(), "--room", &room.id]).args(&args);
        command.env("MUJIAN_STREAM_KEY", key).env("MUJIAN_DATA", folder.path());
        let mut program = Program::start(&mut command)?;
        let ended = program.ended(SOON).await.context(what)?;
        let words = program.words();
        assert_eq!(ended.code(), Some(code), "{what}: {words}");
        let told = words.lines().find(|line| line.contains(sentence)).with_context(|| format!("{what}: {words}"))?;
        assert!(told.starts_with("error: ") && told.ends_with('.') && !words.contains("panicked"), "{what}: {words}");
    }
    assert_eq!(server.stage(&room).await?, "off");
    Ok(())
}

/// What `make run` does where there is no display.
#[tokio::test]
async fn without_a_display_a_server_and_a_test_card_run_and_their_addresses_are_printed() -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("demo");
    let programs = ours("mujian")?;
    let mut command = Command::new(source_root().join("tests/tools/headless"));
    command.env("MUJIAN_PROGRAMS", programs.parent().context("no folder")?).env("MUJIAN_DATA", &data);
    command.env("MUJIAN_HTTP", "0.0.0.0:0").env("MUJIAN_RTMP", "127.0.0.1:0");
    let mut demo = Program::start(&mut command)?;
    let mut addresses = Vec::new();
    for words in ["Watch it in a browser:", "Watch it in a player:"] {
        let line = demo.line(words, Duration::from_secs(60), |l| l.starts_with(words)).await?;
        addresses.push(line.split_whitespace().last().context("no address")?.to_owned());
    }
    let (page, player) = (&addresses[0], &addresses[1]);
    assert_eq!(reqwest::get(page).await?.status(), 200, "{page}");
    let viewer = wait::until("the stream", SOON, || async { Ok(Viewer::open(player).await.ok()) }).await?;
    viewer.more_pictures(60, SOON).await?;

    // What opens the room is its owner's alone, and is neither printed nor on a command line.
    let secret = data.join("demo.env");
    let kept = std::fs::read_to_string(&secret)?;
    let key = kept.lines().find_map(|l| l.strip_prefix("key=")).context("no key")?;
    assert_eq!(std::fs::metadata(&secret)?.permissions().mode() & 0o077, 0);
    assert!(!kept.contains("password") && !demo.words().contains(key), "{}", demo.words());
    let seen = String::from_utf8(run("ps", ["-eo", "args", "--no-headers", "-ww"], SOON).await?)?;
    assert!(seen.contains("mujian live") && !seen.contains(key), "{seen}");

    demo.signal(libc::SIGTERM);
    assert_eq!(demo.ended(SOON).await?.code(), Some(0), "{}", demo.words());
    assert!(viewer.ended().is_some(), "the broadcast said goodbye");
    Ok(())
}

#[tokio::test]
async fn devices_and_encoders_are_listed() -> Result<()> {
    let (screen, sound) = (Screen::start(800, 600).await?, Sound::start().await?);
    let list = |what: &'static str| {
        let mut command = Command::new(ours("mujian").unwrap());
        command.args([what, "--json"]).env("DISPLAY", &screen.display).envs(sound.environment());
        async move {
            let out = tokio::time::timeout(Duration::from_secs(60), command.output()).await??;
            anyhow::ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
            Ok::<serde_json::Value, anyhow::Error>(serde_json::from_slice(&out.stdout)?)
        }
    };
    let devices = wait::until("a microphone", SOON, || async {
        let devices = list("devices").await?;
        Ok(devices["microphones"].as_array().is_some_and(|m| !m.is_empty()).then_some(devices))
    })
    .await?;
    assert!(devices["screens"].as_array().is_some_and(|s| !s.is_empty()), "{devices}");

    let encoders = list("encoders").await?;
    let encoders = encoders.as_array().or_else(|| encoders["encoders"].as_array()).context("no list")?;
    let x264 = encoders.iter().find(|e| e["name"] == "libx264").context("no libx264")?;
    assert_eq!(x264["works"], true, "{x264}");
    for encoder in encoders.iter().filter(|e| e["works"] == false) {
        assert!(encoder["reason"].as_str().is_some_and(|r| r.len() > 10), "says why: {encoder}");
    }
    Ok(())
}
