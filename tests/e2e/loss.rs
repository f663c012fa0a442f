//! The publisher's connection is lost and comes back (row A7): nobody's player ends, jumps or stays silent.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::ffmpeg::{self, Publish};
use mujian_tests::flv::{HOLE, SLATE_HOLE, SOUND_HOLE, Viewer};
use mujian_tests::process::Program;
use mujian_tests::server::{Server, Setup};
use mujian_tests::{live, picture, tone, wait};

use crate::publish::{mpv, position};

const SOON: Duration = Duration::from_secs(20);

fn with_tone(frequency: u32) -> Publish {
    Publish { sound: Some(format!("sine=frequency={frequency}:sample_rate=48000")), ..Publish::default() }
}

#[tokio::test]
async fn viewers_see_the_slate_while_a_killed_publisher_is_away_and_then_the_stream_with_its_sound() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = with_tone(1000).start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    let mut mpv = mpv(&server.flv_url(&room))?;
    mpv.line("that it plays", SOON, |l| position(l).is_some_and(|s| s > 1.0)).await?;
    viewer.more_pictures(60, SOON).await?;

    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    // The slate plays: three seconds of pictures without a publisher.
    viewer.more_pictures(60, SOON).await?;
    let slate_at = viewer.pictures();

    // Another tone and another size: what comes back is really what is published now.
    let mut back = with_tone(1500);
    back.picture = "testsrc2=size=854x480:rate=30".into();
    let _publisher = back.start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let back_at = viewer.pictures();
    viewer.more_pictures(120, SOON).await?;

    // One connection all along, one continuous timeline; the slate has 15 pictures a second.
    assert_eq!(viewer.ended(), None);
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let packets = ffmpeg::packets(file.path()).await?;
    for video in [true, false] {
        let mut last: Option<f64> = None;
        for packet in packets.iter().filter(|p| p.video == video) {
            if let Some(last) = last {
                assert!(packet.dts >= last && packet.dts - last <= 0.068, "a jump from {last} s to {} s", packet.dts);
            }
            last = Some(packet.dts);
        }
    }

    // The slate was shown: bright or dark, it is one picture that hardly moves, and not the stream's.
    let pictures = ffmpeg::grey(file.path(), 64, 36).await?;
    let (live, slate) = (&pictures[20], &pictures[slate_at.saturating_sub(10)]);
    assert!(picture::difference(live, slate) > 0.1, "the slate differs from the stream");
    let last = pictures.last().context("no picture")?;
    assert!(picture::difference(last, slate) > 0.1, "the stream is back");

    // The samples: the first tone, then silence, then the second tone.
    let samples = ffmpeg::samples(file.path()).await?;
    let first_sound = packets.iter().find(|p| !p.video).context("no sound")?.pts;
    let times: Vec<f64> = packets.iter().filter(|p| p.video).map(|p| p.dts).collect();
    let at =
        |index: usize| (((times[index.min(times.len() - 1)] - first_sound) * 48_000.0) as usize).min(samples.len());
    let piece = |from: usize| &samples[from.min(samples.len() - 24_000)..(from + 24_000).min(samples.len())];
    assert!(tone::share(piece(12_000), 48_000.0, 1000.0) > 0.8, "the first tone");
    assert!(tone::rms(piece(at(slate_at).saturating_sub(36_000))) < 0.01, "silence under the slate");
    let end = piece(samples.len() - 24_000);
    assert!(tone::share(end, 48_000.0, 1500.0) > 0.8, "the second tone at the end");
    // It came with the picture, not seconds after it.
    let soon = piece(at(back_at + 45));
    assert!(tone::share(soon, 48_000.0, 1500.0) > 0.8, "the second tone within 1.5 s of the picture");

    // mpv went through all of it.
    let before = mpv.words().lines().rev().find_map(position).context("mpv says no position")?;
    mpv.line("that it plays on", SOON, |l| position(l).is_some_and(|s| s > before + 1.0)).await?;
    Ok(())
}

/// Held up for less than the 100 ms after which pictures are made, and for longer; how long it really takes on a busy
/// machine does not matter, see [`HOLE`].
#[tokio::test]
async fn a_publisher_that_is_held_up_for_a_moment_leaves_no_hole() -> Result<()> {
    let server = Server::start().await?;
    let held_up = async |publisher: Program, room| {
        let viewer = Viewer::open(&server.flv_url(room)).await?;
        viewer.more_pictures(45, SOON).await?;
        for ms in [60, 90, 75, 90, 60, 90, 75, 90, 250, 90, 400, 60] {
            publisher.signal(libc::SIGSTOP);
            tokio::time::sleep(Duration::from_millis(ms)).await;
            publisher.signal(libc::SIGCONT);
            viewer.more_pictures(12, SOON).await?;
        }
        viewer.more_pictures(30, SOON).await?;
        viewer.check_timeline(HOLE, SOUND_HOLE)
    };
    let room = server.room("ffmpeg", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    held_up(publisher, &room).await.context("ffmpeg")?;
    let room = server.room("broadcaster", "A room").await?;
    // It leaves out what it has no time for.
    let publisher = live::start(&server, &room, &["--test-card", "--preset", "540p30"]).await?;
    held_up(publisher, &room).await.context("mujian live")
}

#[tokio::test]
async fn the_slate_covers_a_publisher_that_is_stuck_while_its_connection_stays() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(60, SOON).await?;
    publisher.signal(libc::SIGSTOP);
    server.wait_stage(&room, "lost", SOON).await?;
    viewer.more_pictures(45, SOON).await?;
    publisher.signal(libc::SIGCONT);
    server.wait_stage(&room, "live", SOON).await?;
    viewer.more_pictures(60, SOON).await?;
    viewer.check_timeline(SLATE_HOLE, SOUND_HOLE)?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    ffmpeg::decodes(file.path()).await
}

#[tokio::test]
async fn the_stream_ends_when_nobody_comes_back_within_the_grace_time() -> Result<()> {
    let server = Setup::default().grace(3).start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(30, SOON).await?;
    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    server.wait_stage(&room, "off", SOON).await?;
    wait::until("the end of the viewer's stream", SOON, || async { Ok(viewer.ended()) }).await?;
    Ok(())
}

#[tokio::test]
async fn a_second_publisher_is_refused_with_a_sentence_while_the_first_goes_on() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let _first = with_tone(1000).start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let viewer = Viewer::open(&server.flv_url(&room)).await?;
    viewer.more_pictures(30, SOON).await?;
    let mut second = with_tone(1500).start(&server.publish_url(&room))?;
    assert!(!second.ended(SOON).await?.success());
    let words = second.words();
    let why = "Another program (ffmpeg) is already publishing to this room. End it there, or let this one in from the \
               room's page, then try again.";
    assert!(words.contains(why), "ffmpeg was told why: {words}");
    viewer.more_pictures(60, SOON).await?;
    let file = tempfile::Builder::new().suffix(".flv").tempfile()?;
    viewer.save(file.path())?;
    let samples = ffmpeg::samples(file.path()).await?;
    assert!(tone::share(&samples[samples.len() - 24_000..], 48_000.0, 1000.0) > 0.8, "still the first");
    Ok(())
}
