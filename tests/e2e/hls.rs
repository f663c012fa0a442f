//! HLS (rows A4 and B10): ffmpeg and hls.js play it through the loss of the publisher and its return.

use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::browser::{Browser, Look};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::process::{run, source_root};
use mujian_tests::server::Server;
use tokio::task::JoinHandle;

const SOON: Duration = Duration::from_secs(30);

/// What publishes after the loss: another size.
fn another() -> Publish {
    Publish { picture: "testsrc2=size=854x480:rate=30".into(), ..Publish::default() }
}

#[tokio::test]
async fn ffmpeg_plays_hls_through_a_loss_without_a_hole() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("copy.crc");
    let (url, path) = (server.hls_url(&room), copy.to_string_lossy().into_owned());
    let player: JoinHandle<Result<Vec<u8>>> = tokio::spawn(async move {
        let args =
            ["-v", "error", "-live_start_index", "0", "-i", &url, "-t", "20", "-c", "copy", "-f", "framecrc", &path];
        run("ffmpeg", args, Duration::from_secs(90)).await
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let _publisher = another().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    player.await??;
    let text = std::fs::read_to_string(&copy)?;
    for (track, most) in [("0", 0.075), ("1", 0.03)] {
        let scale: f64 =
            text.lines().find_map(|l| l.strip_prefix(&format!("#tb {track}: 1/"))).context("no time base")?.parse()?;
        let mut last: Option<f64> = None;
        let mut count = 0;
        for line in text.lines().filter(|l| !l.starts_with('#')) {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            if fields[0] != track {
                continue;
            }
            let at = fields[1].parse::<f64>()? / scale;
            if let Some(last) = last {
                assert!(at > last && at - last < most, "track {track}: from {last} to {at}");
            }
            (last, count) = (Some(at), count + 1);
        }
        assert!(count > 300 && last.context("no packets")? > 18.0, "track {track}: {count}");
    }
    Ok(())
}

#[tokio::test]
async fn hls_js_plays_through_a_loss_in_chromium() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &format!("{}/account", server.url())).await?;
    browser.wait(page, "document.readyState === 'complete'", SOON).await?;
    let library = std::fs::read_to_string(source_root().join("tests/node_modules/hls.js/dist/hls.min.js"))?;
    browser.eval(page, &format!("{library};true")).await?;
    let url = server.hls_url(&room);
    let begin = format!(
        "(() => {{
            document.body.innerHTML = '<video muted playsinline></video>';
            const video = document.querySelector('video');
            window.fatal = [];
            window.hls = new Hls({{ lowLatencyMode: true, enableWorker: false }});
            hls.on(Hls.Events.ERROR, (_, e) => {{ if (e.fatal) window.fatal.push(e.details); }});
            hls.loadSource('{url}');
            hls.attachMedia(video);
            void video.play();
            return true;
        }})()"
    );
    browser.eval(page, &begin).await?;
    let video = "document.querySelector('video')";
    browser.wait(page, &format!("{video}.currentTime > 0 && {video}.videoWidth === 640"), SOON).await?;
    let shown = format!("{video}.getVideoPlaybackQuality().totalVideoFrames");
    let before = browser.eval(page, &shown).await?.as_u64().unwrap_or(0);
    browser.wait(page, &format!("{shown} >= {}", before + 150), SOON).await?;
    // From the server's clock when a picture went out to this one when it is shown: it plays parts, not whole
    // segments, which would be three targets (18 s) behind.
    let behind = "(Date.now() - hls.playingDate.getTime()) / 1000";
    browser.wait(page, &format!("{behind} < 4"), SOON).await?;
    let latency = browser.eval(page, behind).await?;
    println!("hls.js plays {latency} s behind");

    publisher.signal(libc::SIGKILL);
    server.wait_stage(&room, "lost", SOON).await?;
    let at = browser.eval(page, &shown).await?.as_u64().unwrap_or(0);
    browser.wait(page, &format!("{shown} >= {}", at + 45), SOON).await?;
    let _publisher = another().start(&server.publish_url(&room))?;
    browser.wait(page, &format!("{video}.videoWidth === 854"), SOON).await?;
    let at = browser.eval(page, &shown).await?.as_u64().unwrap_or(0);
    browser.wait(page, &format!("{shown} >= {}", at + 120), SOON).await?;
    assert_eq!(browser.eval(page, "window.fatal.length").await?, 0);
    browser.wait(page, &format!("{behind} < 6"), SOON).await?;
    Ok(())
}

/// An older iPhone, as far as Chromium can be one: it plays HLS by itself and has nothing else.
#[tokio::test]
async fn a_page_without_media_source_extensions_plays_hls_by_itself() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look { width: 390, height: 800, ..Look::default() }).await?;
    browser.goto(page, &server.watch_url(&room)).await?;
    browser.visible(page, "text=Between acts", SOON).await?;
    browser.eval(page, "delete globalThis.MediaSource && delete globalThis.ManagedMediaSource").await?;
    assert_eq!(browser.eval(page, "typeof MediaSource").await?, "undefined");
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    let video = "document.querySelector('video')";
    browser.wait(page, &format!("{video}?.currentTime > 2 && {video}.videoWidth === 640"), SOON).await?;
    let source = browser.eval(page, &format!("{video}.currentSrc")).await?;
    assert!(source.as_str().is_some_and(|s| s.ends_with("/index.m3u8")), "{source}");
    // Its stream is lost for good and another begins: the page finds it by itself.
    publisher.signal(libc::SIGINT);
    server.wait_stage(&room, "off", SOON).await?;
    browser.visible(page, "text=Between acts", SOON).await?;
    let _publisher = another().start(&server.publish_url(&room))?;
    browser.wait(page, &format!("{video}?.videoWidth === 854 && {video}.currentTime > 1"), SOON).await?;
    Ok(())
}
