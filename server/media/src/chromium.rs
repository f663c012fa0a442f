//! A browser's verdict on our streams: the real Chromium plays them by media source extensions.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::aac;
use crate::avc::skip::SkipPictures;
use crate::fmp4::{Fragment, VideoSample, codecs_string, init_segment};
use crate::frame::{AudioFrame, VideoFrame};
use crate::testing;
use crate::time::MediaTime;

const PAGE: &str = r#"<!doctype html><video muted></video><script>
const say = text => fetch('/result', {method: 'POST', body: text});
(async () => {
  const video = document.querySelector('video');
  const source = new MediaSource();
  video.src = URL.createObjectURL(source);
  await new Promise(done => source.onsourceopen = done);
  const buffer = source.addSourceBuffer('video/mp4; codecs="CODECS"');
  let waits = 0;
  video.onwaiting = () => waits++;
  video.onerror = () => say('error ' + video.error.message);
  buffer.onerror = () => say('error in the buffer');
  const data = await (await fetch('/media')).arrayBuffer();
  buffer.appendBuffer(data);
  await new Promise(done => buffer.onupdateend = done);
  const ranges = buffer.buffered.length;
  source.endOfStream();
  await video.play();
  waits = 0;
  const start = performance.now();
  video.onended = () => {
    const q = video.getVideoPlaybackQuality();
    const took = Math.round(performance.now() - start);
    say(`ended at ${video.currentTime.toFixed(2)} waits ${waits} ranges ${ranges} pictures ${q.totalVideoFrames} corrupted ${q.corruptedVideoFrames} took ${took}`);
  };
})().catch(error => say('error ' + error));
</script>"#;

/// Serves the page and the media to one browser and gives what the page reports.
fn play(media: &[u8], codecs: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        // Without a debugging port a headless browser ends as soon as the page is loaded.
        .args(["--remote-debugging-port=0", &address])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("chromium is installed (make setup)");
    let (media, codecs) = (media.to_vec(), codecs.to_owned());
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((socket, _)) = listener.accept() {
            // A browser may open a connection ahead of need, and say nothing on it.
            let _ = socket.set_read_timeout(Some(Duration::from_secs(2)));
            if let Some(report) = answer(socket, &media, &codecs) {
                return tell.send(report);
            }
        }
        Ok(())
    });
    let report = told.recv_timeout(Duration::from_secs(60));
    browser.kill().unwrap();
    browser.wait().unwrap();
    report.expect("the page reports within a minute")
}

/// Answers one request; what was posted, if it was a report.
fn answer(socket: TcpStream, media: &[u8], codecs: &str) -> Option<String> {
    let mut reader = BufReader::new(&socket);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut posted = vec![0; length];
    reader.read_exact(&mut posted).ok()?;
    let page = PAGE.replace("CODECS", codecs);
    let (kind, body) = match request.split(' ').nth(1)? {
        "/" => ("text/html", page.as_bytes()),
        "/media" => ("video/mp4", media),
        _ => ("text/plain", &b""[..]),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    (&socket).write_all(&[head.as_bytes(), body].concat()).ok()?;
    request.starts_with("POST /result").then(|| String::from_utf8_lossy(&posted).into_owned())
}

#[test]
fn chromium_plays_through_twenty_made_pictures() {
    for x264 in [
        "-profile:v high -tune zerolatency -g 60",
        "-profile:v baseline -bf 0 -g 60",
        "-profile:v main -bf 2 -g 60 -x264-params b-adapt=0",
    ] {
        let encoded = testing::encode(60, x264);
        let reordered = u32::from(x264.contains("-bf 2"));
        let mut skip = SkipPictures::new(&encoded.config);
        let step = MediaTime::from_scale(1, 30);
        let mut pictures: Vec<VideoFrame> = Vec::new();
        // Where groups of B pictures come, the P before them is two frames late.
        let late = |i: usize| match (reordered, i % 3) {
            (0, _) => 0,
            (_, 0) => 1,
            (_, 1) => 3,
            _ => 0,
        };
        for (i, frame) in testing::frames(&encoded.units).into_iter().enumerate() {
            skip.observe(&frame);
            let dts = step.times(pictures.len() as i64);
            pictures.push(VideoFrame { dts, pts: dts.saturating_add(step.times(late(i))), ..frame });
            if i == 30 {
                for _ in 0..20 {
                    let dts = step.times(pictures.len() as i64);
                    let pts = dts.saturating_add(step.times(reordered.into()));
                    pictures.push(VideoFrame { dts, pts, key: false, data: skip.make().unwrap() });
                }
            }
        }
        let audio_config = aac::make_asc(48_000, 2);
        let mut media = init_segment(&encoded.config, &audio_config).to_vec();
        let mut sound = 0;
        for (i, frame) in pictures.iter().enumerate() {
            let mut audio = Vec::new();
            while MediaTime::from_scale(1024 * sound, 48_000) <= frame.dts {
                audio.push(AudioFrame { pts: MediaTime::from_scale(1024 * sound, 48_000), data: aac::silent_frame(2) });
                sound += 1;
            }
            let wall = Some(Duration::from_secs(1_700_000_000));
            let video = Some(VideoSample { frame, duration: step });
            let fragment = Fragment { sequence: i as u32 + 1, wall, video, audio: &audio, sample_rate: 48_000 };
            media.extend_from_slice(&fragment.write());
        }
        let report = play(&media, &codecs_string(&encoded.config, &audio_config));
        eprintln!("{x264}: {report}");
        assert!(report.starts_with("ended at 2.") && report.contains("waits 0 ranges 1 "), "{x264}: {report}");
        assert!(report.contains("pictures 80 corrupted 0 "), "{x264}: {report}");
    }
}
