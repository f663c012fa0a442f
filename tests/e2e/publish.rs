//! Any standard publisher (row A3), any standard player (row A4).

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use mujian_tests::ffmpeg::{self, Publish};
use mujian_tests::flv::{HOLE, SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::process::Program;
use mujian_tests::server::{Room, Server};
use mujian_tests::{picture, tone, wait};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{ChildStdin, Command};
use tokio_tungstenite::tungstenite::Message;

use crate::hostile::{Socket, room_socket};

const SOON: Duration = Duration::from_secs(20);

/// Publishes, watches so many pictures, and gives the viewer's file.
async fn watched(publish: &Publish, pictures: usize) -> Result<(tempfile::NamedTempFile, Viewer)> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let _publisher = publish.start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(pictures, SOON).await?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    Ok((file, viewer))
}

#[tokio::test]
async fn ffmpeg_publishes_like_obs_and_ffmpeg_plays_it() -> Result<()> {
    let (file, viewer) = watched(&Publish::like_obs(), 240).await?;
    // 30 a second: 33.3 ms, as whole milliseconds in FLV; sound: 1024 samples at 44.1 kHz are 23.2 ms.
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    assert!(
        viewer.tags().iter().find(|t| t.is_picture()).context("no picture")?.is_key(),
        "it begins with a key frame"
    );

    let streams = ffmpeg::streams(&file.path().to_string_lossy()).await?;
    let named = |kind: &str| streams.iter().find(|s| s["codec_type"] == kind).cloned().unwrap_or_default();
    assert_eq!((named("video")["codec_name"].as_str(), named("video")["width"].as_i64()), (Some("h264"), Some(640)));
    assert_eq!(
        (named("audio")["codec_name"].as_str(), named("audio")["sample_rate"].as_str()),
        (Some("aac"), Some("44100"))
    );

    ffmpeg::decodes(file.path()).await?;
    let packets = ffmpeg::packets(file.path()).await?;
    assert!(packets.iter().any(|p| p.video && p.pts > p.dts), "B-frames keep their presentation times");
    assert!(packets.iter().all(|p| p.pts >= p.dts));
    let samples = ffmpeg::samples(file.path()).await?;
    let middle = &samples[samples.len() / 2..samples.len() / 2 + 24_000];
    assert!(tone::share(middle, 48_000.0, 1000.0) > 0.8, "the tone arrives");
    let pictures = ffmpeg::grey(file.path(), 64, 36).await?;
    assert!(pictures.len() > 200);
    assert!(picture::difference(&pictures[20], &pictures[120]) > 0.005, "the picture moves");
    Ok(())
}

#[tokio::test]
async fn a_stream_without_sound_gets_a_silent_track() -> Result<()> {
    let (file, viewer) = watched(&Publish { sound: None, ..Publish::default() }, 120).await?;
    viewer.check_timeline(HOLE, SOUND_HOLE)?;
    ffmpeg::decodes(file.path()).await?;
    let samples = ffmpeg::samples(file.path()).await?;
    assert!(samples.len() > 48_000);
    assert!(tone::rms(&samples) < 0.001);
    Ok(())
}

#[tokio::test]
async fn one_channel_at_48_khz_is_taken() -> Result<()> {
    let mut publish = Publish::default();
    let at = publish.coding.iter().position(|word| word == "-ac").context("no -ac")?;
    publish.coding[at + 1] = "1".into();
    let (file, _) = watched(&publish, 90).await?;
    ffmpeg::decodes(file.path()).await?;
    let samples = ffmpeg::samples(file.path()).await?;
    assert!(tone::share(&samples[samples.len() - 24_000..], 48_000.0, 1000.0) > 0.8);
    Ok(())
}

#[tokio::test]
async fn the_publishers_goodbye_ends_the_stream() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(30, SOON).await?;
    publisher.signal(libc::SIGINT);
    publisher.ended(SOON).await?;
    server.wait_stage(&room, "off", SOON).await?;
    wait::until("the end of the viewer's stream", SOON, || async { Ok(viewer.ended()) }).await?;
    // And the room can go live again.
    let _again = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await
}

#[tokio::test]
async fn mpv_plays_the_rooms_address_within_seconds() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let mut mpv = mpv(&server.flv_url(&room))?;
    mpv.line("that it plays", SOON, |l| position(l).is_some_and(|s| s > 2.0)).await?;
    Ok(())
}

/// A room that is live.
async fn on_air() -> Result<(Server, Room, Program)> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    Ok((server, room, publisher))
}

#[tokio::test]
async fn ffmpeg_decodes_the_rooms_address() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error", "-progress", "-", "-i", &server.flv_url(&room)]);
    command.args(["-frames:v", "120", "-map", "0:v", "-map", "0:a"]);
    // The times as they are: a picture that was filled in stands between two steps of 30 a second.
    command.args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]);
    let mut ffmpeg = Program::start(&mut command)?;
    assert!(ffmpeg.ended(SOON).await?.success(), "{}", ffmpeg.words());
    let words = ffmpeg.words();
    let frames = words.lines().filter_map(|l| l.strip_prefix("frame=")?.trim().parse::<u32>().ok()).max();
    assert_eq!(frames, Some(120), "{words}");
    assert!(words.lines().all(|l| l.contains('=')), "figures only, no complaints: {words}");
    Ok(())
}

#[tokio::test]
async fn ffplay_shows_the_rooms_address() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let mut command = Command::new("ffplay");
    // Its filter writes a line for each picture that was decoded.
    command.args(["-hide_banner", "-vf", "showinfo", &server.flv_url(&room)]);
    command.env("SDL_VIDEODRIVER", "dummy").env("SDL_AUDIODRIVER", "dummy");
    let mut ffplay = Program::start(&mut command)?;
    let number = |line: &str| -> Option<u32> {
        line.split_once("showinfo")?.1.split_once("n:")?.1.split_whitespace().next()?.parse().ok()
    };
    ffplay.line("that it decoded 120 pictures", SOON, |l| number(l).is_some_and(|n| n >= 119)).await?;
    assert!(!ffplay.words().contains("error"), "{}", ffplay.words());
    Ok(())
}

#[tokio::test]
async fn vlc_shows_the_rooms_address() -> Result<()> {
    let (server, room, _publisher) = on_air().await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    let mut vlc = Vlc::start(&server.flv_url(&room))?;
    vlc.says("frames displayed", 90, &viewer).await?;
    vlc.says("buffers played", 90, &viewer).await
}

/// VLC without a window, which tells its figures when it is asked.
pub(crate) struct Vlc {
    program: Program,
    input: ChildStdin,
    _home: TempDir,
}

impl Vlc {
    pub(crate) fn start(url: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        // VLC refuses to run as root; in a user namespace without a mapping nobody is.
        let mut command = Command::new("unshare");
        command.args(["--user", "cvlc", "-I", "rc", "--rc-fake-tty", "-V", "dummy", "-A", "dummy", url]);
        command.env("HOME", home.path());
        let (program, input) = Program::start_with_input(&mut command)?;
        Ok(Self { program, input, _home: home })
    }

    /// Waits until a figure is so high; it is asked for as often as `viewer` gets pictures.
    pub(crate) async fn says(&mut self, name: &str, least: u32, viewer: &Viewer) -> Result<()> {
        let figure = |line: &str| line.rsplit(':').next().and_then(|n| n.trim().parse::<u32>().ok());
        let (program, input) = (&mut self.program, &mut self.input);
        let asking = async {
            loop {
                viewer.more_pictures(10, SOON).await?;
                input.write_all(b"stats\n").await?;
            }
        };
        let found = program.line(name, SOON, |l| l.contains(name) && figure(l) >= Some(least));
        tokio::select! {
            found = found => found.map(drop),
            asked = asking => asked,
        }
    }

    /// The highest that a figure was so far.
    pub(crate) fn said(&self, name: &str) -> u32 {
        let figure = |l: &str| l.rsplit(':').next().and_then(|n| n.trim().parse().ok());
        self.program.words().lines().filter(|l| l.contains(name)).filter_map(figure).max().unwrap_or(0)
    }
}

/// What a publisher is told whose key is not the room's.
pub(crate) const WRONG_KEY: &str =
    "The room or the stream key is wrong, or the key was renewed. Copy both again from the account page.";

#[tokio::test]
async fn a_wrong_stream_key_is_refused() -> Result<()> {
    let server = Server::start().await?;
    let mut room = server.room("owner", "A room").await?;
    room.key = "wrong".into();
    let mut publisher = Publish::default().start(&server.publish_url(&room))?;
    assert!(!publisher.ended(SOON).await?.success());
    assert!(publisher.words().contains(WRONG_KEY), "ffmpeg was told why: {}", publisher.words());
    assert_eq!(server.stage(&room).await?, "off");
    Ok(())
}

#[tokio::test]
async fn codecs_that_are_not_taken_are_refused() -> Result<()> {
    let server = Server::start().await?;
    for (what, kind, codec, sentence, coding) in [
        (
            "mp3",
            "sound_codec",
            "MP3",
            "The sound is coded as MP3, which this server does not take. Choose AAC (in OBS: Settings, Output, Audio Encoder) and start again.",
            "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 30 -c:a libmp3lame -ar 44100",
        ),
        (
            "sorenson",
            "video_codec",
            "Sorenson H.263",
            "The video is coded as Sorenson H.263, which this server does not take. Choose an H.264 encoder (in OBS: Settings, Output, Video Encoder, x264 or any H.264 one) and start again.",
            "-c:v flv1 -c:a aac",
        ),
    ] {
        let room = server.room(&format!("owner-{what}"), "A room").await?;
        let mut owner = greeted(&server, &room).await?;
        let coding = coding.split_whitespace().map(str::to_owned).collect();
        let mut publisher = Publish { coding, ..Publish::default() }.start(&server.publish_url(&room))?;
        assert!(!publisher.ended(SOON).await?.success(), "{what}");
        assert!(publisher.words().contains(sentence), "{what}: {}", publisher.words());
        assert_eq!(server.stage(&room).await?, "off", "{what}");
        // The owner is told as well, at once and when they look later.
        let told = message(&mut owner, "publisher_refused").await?["publisher"].clone();
        assert_eq!(told["reason"], sentence, "{what}");
        assert_eq!(told["program"], "ffmpeg");
        assert_eq!(told["problem"], serde_json::json!({"kind": kind, "codec": codec}), "{what}");
        let path = format!("/rooms/{}/publishers/refused", room.id);
        let (_, list) = server.call("GET", &path, Some(&room.token), None).await?;
        assert_eq!(list, serde_json::json!([told]), "{what}");
        assert_eq!(welcome(&server, &room).await?.1["refused"], told, "{what}");
    }
    Ok(())
}

/// The room's socket, as its owner.
async fn greeted(server: &Server, room: &Room) -> Result<Socket> {
    Ok(welcome(server, room).await?.0)
}

/// The same, with what it is told first.
async fn welcome(server: &Server, room: &Room) -> Result<(Socket, serde_json::Value)> {
    let mut socket = room_socket(server, room, None).await?;
    let hello = serde_json::json!({"type": "hello", "version": 1, "token": room.token, "watching": false});
    socket.send(Message::text(hello.to_string())).await?;
    let told = message(&mut socket, "welcome").await?;
    Ok((socket, told))
}

/// The next message of a type.
async fn message(socket: &mut Socket, kind: &str) -> Result<serde_json::Value> {
    let reading = async {
        while let Some(heard) = socket.next().await {
            if let Message::Text(text) = heard? {
                let value: serde_json::Value = serde_json::from_str(&text)?;
                if value["type"] == kind {
                    return Ok(value);
                }
            }
        }
        bail!("the socket was closed before {kind}")
    };
    tokio::time::timeout(SOON, reading).await.with_context(|| format!("no {kind}"))?
}

/// Key frames that are more than 4 s apart are pointed out to the owner, until they are nearer.
#[tokio::test]
async fn the_owner_is_told_of_key_frames_that_are_far_apart() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut owner = greeted(&server, &room).await?;
    // One at the start, the next after ten seconds, and from then on every second.
    let coding = "-c:v libx264 -preset ultrafast -r 30 -g 250 -sc_threshold 0 -pix_fmt yuv420p -c:a aac \
                  -force_key_frames expr:gte(t,10+n_forced)";
    let coding = coding.split_whitespace().map(str::to_owned).collect();
    let _publisher = Publish { coding, ..Publish::default() }.start(&server.publish_url(&room))?;
    assert_eq!(message(&mut owner, "key_frames").await?["far"], true);

    // Whoever comes later is told as well, if it is the owner.
    let another = Room { token: server.account("somebody").await?, ..room.clone() };
    for (who, told) in [(&room, true), (&another, false)] {
        let mut socket = room_socket(&server, who, None).await?;
        let hello = serde_json::json!({"type": "hello", "version": 1, "token": who.token, "watching": false});
        socket.send(Message::text(hello.to_string())).await?;
        assert_eq!(message(&mut socket, "welcome").await?["key_frames_far"], told);
    }
    assert_eq!(message(&mut owner, "key_frames").await?["far"], false, "it was mended");
    Ok(())
}

#[tokio::test]
async fn a_renewed_stream_key_cuts_off_whoever_publishes_with_the_old_one() -> Result<()> {
    let server = Server::start().await?;
    let mut room = server.room("owner", "A room").await?;
    let mut publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(30, SOON).await?;
    let path = format!("/rooms/{}/stream_key", room.id);
    let (status, renewed) = server.call("POST", &path, Some(&room.token), None).await?;
    assert_eq!(status, 200, "{renewed}");
    // Out at once: viewers see the slate, and it cannot come again.
    assert!(!publisher.ended(SOON).await?.success(), "it was cut off: {}", publisher.words());
    server.wait_stage(&room, "lost", SOON).await?;
    let mut again = Publish::default().start(&server.publish_url(&room))?;
    assert!(!again.ended(SOON).await?.success());
    assert!(again.words().contains(WRONG_KEY), "{}", again.words());
    // With the new key the stream goes on, in the same players.
    room.key = renewed["stream_key"].as_str().context("no key")?.to_owned();
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    viewer.more_pictures(60, SOON).await?;
    assert_eq!(viewer.ended(), None);
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)
}

/// mpv without a window, which says its position again and again.
pub(crate) fn mpv(url: &str) -> Result<Program> {
    let mut command = Command::new("mpv");
    command.args([
        "--no-config",
        "--vo=null",
        "--ao=null",
        "--term-status-msg=at ${=time-pos}\n",
        "--msg-level=all=status",
    ]);
    command.args(["--cache=yes", "--demuxer-readahead-secs=1", url]);
    Program::start(&mut command)
}

/// The position that mpv says in a line, in seconds.
pub(crate) fn position(line: &str) -> Option<f64> {
    line.rsplit("at ").next()?.trim().parse().ok()
}
