//! What a player gets while real programs publish, die and come back: one stream without a hole.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use common::{PATIENCE, Site, site_with};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::process::{Child, Command};

/// How ffmpeg publishes.
#[derive(Clone, Copy)]
struct Form {
    size: &'static str,
    rate: &'static str,
    video: &'static [&'static str],
    sound: Option<&'static str>,
}

/// As OBS does by default: B pictures, 44.1 kHz.
const LIKE_OBS: Form = Form {
    size: "320x180",
    rate: "25",
    video: &["-preset", "veryfast", "-profile:v", "high", "-bf", "2", "-g", "50"],
    sound: Some("44100"),
};
const PLAIN: Form = Form {
    size: "320x180",
    rate: "30",
    video: &["-preset", "ultrafast", "-tune", "zerolatency", "-g", "30"],
    sound: Some("48000"),
};
const MUTE: Form = Form { sound: None, ..PLAIN };

fn publish(site: &Site, room: &Value, form: Form) -> Child {
    let rtmp = site.server.as_ref().unwrap().rtmp;
    let (id, key) = (room["id"].as_str().unwrap(), room["stream_key"].as_str().unwrap());
    let picture = format!("testsrc2=size={}:rate={}", form.size, form.rate);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-re", "-f", "lavfi", "-i", &picture]);
    if let Some(rate) = form.sound {
        ffmpeg.args(["-re", "-f", "lavfi", "-i", "sine=frequency=1000", "-c:a", "aac", "-ac", "2", "-ar", rate]);
    }
    ffmpeg
        .args(["-c:v", "libx264", "-threads", "1", "-pix_fmt", "yuv420p"])
        .args(form.video)
        .args(["-f", "flv", &format!("rtmp://{rtmp}/live/{id}?key={key}")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed")
}

/// Waits until the room shows `stage`.
async fn until(site: &Site, room: &Value, stage: &str) {
    let app = site.server.as_ref().unwrap().app();
    let id = room["id"].as_str().unwrap().parse().unwrap();
    let room = app.rooms.get(&id).await.unwrap().unwrap();
    let mut status = room.stage.status();
    let wait = status.wait_for(|s| serde_json::to_value(s.stage).unwrap() == stage);
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{stage} comes")).unwrap();
}

/// A viewer over HTTP-FLV that keeps what it got.
struct Viewer {
    got: Arc<Mutex<Vec<u8>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Viewer {
    async fn start(site: &Site, room: &Value) -> Self {
        let address = format!("{}/live/{}.flv", site.base, room["id"].as_str().unwrap());
        let mut answer = reqwest::get(address).await.unwrap().error_for_status().unwrap();
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&got);
        let task = tokio::spawn(async move {
            while let Ok(Some(piece)) = answer.chunk().await {
                kept.lock().extend_from_slice(&piece);
            }
        });
        Self { got, task }
    }

    /// The time of the last whole tag, in milliseconds.
    fn reached(&self) -> i64 {
        let got = self.got.lock();
        let (mut at, mut last) = (13, 0);
        while let Some(head) = got.get(at..at + 11) {
            let size = usize::from(head[1]) << 16 | usize::from(head[2]) << 8 | usize::from(head[3]);
            last = i64::from(head[7]) << 24 | i64::from(head[4]) << 16 | i64::from(head[5]) << 8 | i64::from(head[6]);
            at += 15 + size;
        }
        last
    }

    /// Waits until so much more has come, by the stream's own clock.
    async fn more(&self, ms: i64) {
        let from = self.reached();
        let wait = async {
            while self.reached() < from + ms {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("stuck at {} ms", self.reached()));
    }

    fn stop(self, path: &Path) {
        self.task.abort();
        std::fs::write(path, &*self.got.lock()).unwrap();
    }
}

/// Every packet's track, decoding and presentation time, as ffprobe sees them.
async fn packets(path: &Path) -> Vec<(u8, f64, f64)> {
    let out = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "packet=codec_type,dts_time,pts_time", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut f = line.split(',');
            let kind = if f.next()? == "video" { b'v' } else { b'a' };
            let (pts, dts) = (f.next()?.parse().ok()?, f.next()?.parse().ok()?);
            Some((kind, dts, pts))
        })
        .collect()
}

/// No track has a hole or a step back, and both are there to the end.
async fn assert_whole(path: &Path) -> Vec<(u8, f64, f64)> {
    let all = packets(path).await;
    let mut ends = Vec::new();
    for (kind, longest) in [(b'v', 0.101), (b'a', 0.0255)] {
        let track: Vec<f64> = all.iter().filter(|p| p.0 == kind).map(|p| p.1).collect();
        assert!(track.len() > 50, "{} packets", track.len());
        for pair in track.windows(2) {
            let step = pair[1] - pair[0];
            assert!(step > 0.0005, "{} steps back: {pair:?}", char::from(kind));
            assert!(step <= longest, "{} has a hole: {pair:?}", char::from(kind));
        }
        ends.push(track[track.len() - 1]);
    }
    assert!((ends[0] - ends[1]).abs() < 0.5, "both tracks reach the end: {ends:?}");
    assert!(all.iter().all(|p| p.2 >= p.1), "shown before it is decoded");
    all
}

/// ffmpeg decodes all of it without a complaint.
async fn assert_decodes(path: &Path) {
    let out = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-i"])
        .arg(path)
        .args(["-map", "0:v", "-map", "0:a", "-vf", "scale=64:36"])
        // Squeezed pictures stand closer together than a frame rate allows.
        .args(["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"])
        .output()
        .await
        .unwrap();
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{told}");
    let bad: Vec<&str> = told.lines().filter(|l| !l.contains("changing video frame properties")).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

/// The mean colour of the picture at `second`.
async fn colour(path: &Path, second: f64) -> [f64; 3] {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-vf", &format!("select='gte(t,{second})',scale=1:1:flags=area,format=rgb24")])
        .args(["-frames:v", "1", "-f", "rawvideo", "-"])
        .output()
        .await
        .unwrap();
    [0, 1, 2].map(|i| f64::from(out.stdout[i]))
}

/// The loudness at `second`, from 0 to 1.
async fn loudness(path: &Path, second: f64) -> f64 {
    let out = Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-af", &format!("atrim={second}:{}", second + 0.4), "-ac", "1", "-f", "f32le", "-"])
        .output()
        .await
        .unwrap();
    let samples: Vec<f32> = out.stdout.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert!(samples.len() > 10_000);
    samples.iter().map(|s| f64::from(s.abs())).sum::<f64>() / samples.len() as f64
}

async fn stand() -> (Site, Value) {
    let site = site_with(|config| config.worker_program = Some(env!("CARGO_BIN_EXE_mujian-server").into())).await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    (site, room)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_is_killed_and_another_comes_while_the_player_plays_on() {
    let (site, room) = stand().await;
    let first = publish(&site, &room, LIKE_OBS);
    until(&site, &room, "live").await;
    let viewer = Viewer::start(&site, &room).await;
    viewer.more(3000).await;

    drop(first);
    until(&site, &room, "lost").await;
    let lost = viewer.reached();
    viewer.more(3000).await;

    let _second = publish(&site, &room, PLAIN);
    until(&site, &room, "live").await;
    let back = viewer.reached();
    viewer.more(3000).await;

    let file = site.data.path().join("watched.flv");
    viewer.stop(&file);
    let all = assert_whole(&file).await;
    assert_decodes(&file).await;
    let start = all[0].1;
    let slate = (lost as f64 / 1000.0 + 1.5) - start;
    let [red, green, blue] = colour(&file, slate + start).await;
    assert!(red > 1.8 * green && red > 1.8 * blue, "the curtain is red: {red} {green} {blue}");
    let live = back as f64 / 1000.0 + 1.5;
    let [red, green, _] = colour(&file, live).await;
    assert!(red < 1.5 * green, "the test picture is not: {red} {green}");
    assert!(loudness(&file, slate + start).await < 0.001, "the slate is silent");
    assert!(loudness(&file, live).await > 0.02, "sound is back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_without_sound_has_a_silent_track() {
    let (site, room) = stand().await;
    let _publisher = publish(&site, &room, MUTE);
    until(&site, &room, "live").await;
    let viewer = Viewer::start(&site, &room).await;
    viewer.more(2500).await;
    let file = site.data.path().join("watched.flv");
    viewer.stop(&file);
    assert_whole(&file).await;
    assert_decodes(&file).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_makes_the_slate_of_the_streams_form() {
    use mujian_server::slate::{SlateKind, SlateRequest, SlateSource};
    let folder = tempfile::tempdir().unwrap();
    let program: std::path::PathBuf = env!("CARGO_BIN_EXE_mujian-server").into();
    let source = SlateSource::with_worker(program, folder.path().join("slates")).unwrap();
    let request = SlateRequest { width: 96, height: 160, fps: 24 };
    let made = source.exact(SlateKind::SoundOnly, request).await.unwrap();
    assert_eq!((made.config.width, made.config.height, made.frames.len()), (96, 160, 96));
    assert!(made.frames[0].key);
    // Another process finds it in the folder: no worker is needed.
    let nobody = SlateSource::with_worker("/nonexistent".into(), folder.path().join("slates")).unwrap();
    assert_eq!(nobody.exact(SlateKind::SoundOnly, request).await.unwrap().frames, made.frames);
    // A damaged file is made anew; without a worker that is an error, and no panic.
    let file = std::fs::read_dir(folder.path().join("slates")).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, b"MJSLATE1 and nonsense").unwrap();
    let nobody = SlateSource::with_worker("/nonexistent".into(), folder.path().join("slates")).unwrap();
    assert!(nobody.exact(SlateKind::SoundOnly, request).await.is_err());
    assert_eq!(source.exact(SlateKind::SoundOnly, request).await.unwrap().frames, made.frames, "from memory");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_replaced_by_the_placeholder_that_is_seen_and_heard() {
    let site = site_with(|config| config.worker_program = Some(env!("CARGO_BIN_EXE_mujian-server").into())).await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let id = room["id"].as_str().unwrap();
    let app = site.server.as_ref().unwrap().app();
    let account = site.get("/me", Some(&owner)).await.1["id"].as_str().unwrap().parse().unwrap();
    app.store.set_trusted(account, true, None).await.unwrap();
    // A blue picture with a tone.
    let file = site.data.path().join("blue.mp4");
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "color=blue:size=320x180:rate=15:duration=3", "-f", "lavfi"])
        .args(["-i", "sine=frequency=600:duration=3", "-shortest"])
        .arg(&file)
        .status();
    assert!(made.await.unwrap().success());
    let body = std::fs::read(&file).unwrap();
    let url = format!("{}/api/v1/rooms/{id}/placeholders?name=blue", site.base);
    let request = site.client.post(url).bearer_auth(&owner).header("content-type", "video/mp4").body(body);
    let placeholder: Value = request.send().await.unwrap().json().await.unwrap();
    let _publisher = publish(&site, &room, PLAIN);
    until(&site, &room, "live").await;
    // The only one on the shelf is chosen, once it is ready.
    let chosen = async {
        loop {
            let shelf = site.get(&format!("/rooms/{id}/placeholders"), Some(&owner)).await.1;
            if shelf["choice"]["id"] == placeholder["id"] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), chosen).await.expect("it is made");

    let viewer = Viewer::start(&site, &room).await;
    viewer.more(1000).await;
    let leave = format!("/rooms/{id}/leave");
    let (status, body) = site.post(&leave, Some(&owner), serde_json::json!({})).await;
    assert_eq!(status, 200, "{body}");
    until(&site, &room, "away").await;
    let away = viewer.reached();
    viewer.more(5000).await;
    // Taken off the shelf while it is shown: another takes its place at once, whatever must be drawn for that.
    let shown = format!("/rooms/{id}/placeholders/{}", placeholder["id"].as_str().unwrap());
    assert_eq!(site.call(reqwest::Method::DELETE, &shown, Some(&owner), None).await.0, 204);
    let gone = viewer.reached();
    viewer.more(3000).await;
    assert_eq!(site.post(&format!("/rooms/{id}/back"), Some(&owner), serde_json::json!({})).await.0, 200);
    until(&site, &room, "live").await;
    viewer.more(1000).await;
    let file = site.data.path().join("watched.flv");
    viewer.stop(&file);
    let start = assert_whole(&file).await[0].1;
    assert_decodes(&file).await;
    let at = away as f64 / 1000.0 + 2.5 - start;
    let [red, green, blue] = colour(&file, at).await;
    assert!(blue > 3.0 * red && blue > 3.0 * green, "the placeholder is blue: {red} {green} {blue}");
    assert!(loudness(&file, at).await > 0.02, "and it is heard");
    let after = gone as f64 / 1000.0 + 1.5 - start;
    let [red, green, blue] = colour(&file, after).await;
    assert!(blue < 2.0 * red.max(green) + 20.0, "it is gone: {red} {green} {blue}");
    assert!(loudness(&file, after).await < 0.005, "and silent");
}
