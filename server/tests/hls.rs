//! HLS and recordings from the real server, over TCP, judged by the real ffmpeg.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::Duration;

use common::publisher::{Clip, Live};
use common::{PATIENCE, Site, site};
use mujian_protocol::room::Stage;
use mujian_server::replay::index::Index;
use mujian_server::store::RecordingRow;
use reqwest::Response;
use tokio::process::Command;
use tokio::time::timeout;

async fn room() -> (Site, String) {
    let site = site().await;
    let token = site.person("owner").await;
    let id = site.room(&token).await["id"].as_str().unwrap().to_owned();
    (site, id)
}

fn small() -> Clip {
    Clip::encode("320x180", "-b:v 300k")
}

async fn live(site: &Site, room: &str, clip: Clip) -> Live {
    Live::start(site.server.as_ref().unwrap(), room, clip).await
}

struct Player<'a> {
    site: &'a Site,
    folder: String,
    media: String,
}

impl<'a> Player<'a> {
    async fn open(site: &'a Site, room: &str) -> Self {
        let folder = format!("{}/live/{room}/", site.base);
        let response = site.client.get(format!("{folder}index.m3u8")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "application/vnd.apple.mpegurl");
        assert_eq!(response.headers()["access-control-allow-origin"], "*");
        let text = response.text().await.unwrap();
        assert!(text.contains("CODECS=\"avc1.") && text.contains("RESOLUTION=320x180"), "{text}");
        let media = text.lines().last().unwrap().to_owned();
        Self { site, folder, media }
    }

    async fn get(&self, name: &str) -> Response {
        timeout(PATIENCE, self.site.client.get(format!("{}{name}", self.folder)).send()).await.unwrap().unwrap()
    }

    async fn playlist(&self, more: &str) -> String {
        let response = self.get(&format!("{}{more}", self.media)).await;
        assert_eq!(response.status(), 200, "{more}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        response.text().await.unwrap()
    }
}

/// The value of a tag's attribute, or of the tag itself.
fn values<'a>(text: &'a str, tag: &str, attribute: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|l| l.strip_prefix(tag));
    lines
        .map(|l| l.split(&format!("{attribute}=")).nth(1).unwrap().split(',').next().unwrap().trim_matches('"'))
        .collect()
}

fn tag(text: &str, tag: &str) -> u64 {
    text.lines().find_map(|l| l.strip_prefix(tag)).unwrap().parse().unwrap()
}

/// Runs a program; gives its output and what it complained about.
async fn run(program: &str, args: &[&str]) -> (String, String) {
    let mut command = Command::new(program);
    command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let out = timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{program} {args:?}: {said}");
    (String::from_utf8(out.stdout).unwrap(), said)
}

/// The decoding times of each track's packets, in seconds, from ffmpeg's framecrc format.
fn times(framecrc: &str, track: u32) -> Vec<f64> {
    let scale: f64 =
        framecrc.lines().find_map(|l| l.strip_prefix(&format!("#tb {track}: 1/"))).unwrap().parse().unwrap();
    let rows = framecrc.lines().filter(|l| !l.starts_with('#'));
    rows.map(|l| l.split(',').map(str::trim).collect::<Vec<_>>())
        .filter(|f| f[0] == track.to_string())
        .map(|f| f[1].parse::<f64>().unwrap() / scale)
        .collect()
}

fn steps(times: &[f64]) -> (f64, f64) {
    let steps: Vec<f64> = times.windows(2).map(|w| w[1] - w[0]).collect();
    let least = steps.iter().copied().fold(f64::MAX, f64::min);
    (least, steps.iter().copied().fold(0.0, f64::max))
}

async fn ended(site: &Site, room: &str) -> RecordingRow {
    let store = &site.server.as_ref().unwrap().app().store;
    let find = async {
        loop {
            let rows = store.recordings(room.parse().unwrap(), 10).await.unwrap();
            if let Some(row) = rows.into_iter().find(|r| r.ended_at.is_some()) {
                return row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, find).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn players_get_parts_as_they_come() {
    let (site, room) = room().await;
    let off = site.client.get(format!("{}/live/{room}/index.m3u8", site.base)).send().await.unwrap();
    assert_eq!(off.status(), 404);
    let live = live(&site, &room, small()).await;
    let player = Player::open(&site, &room).await;
    assert_eq!(live.room.grants.viewers(), 1);
    // Two segments are made while this waits for the third.
    let text = player.playlist("&_HLS_msn=2&_HLS_part=1").await;
    assert!(text.contains("CAN-BLOCK-RELOAD=YES") && text.contains("#EXT-X-PROGRAM-DATE-TIME:20"), "{text}");
    assert!(tag(&text, "#EXT-X-MEDIA-SEQUENCE:") == 0);
    for duration in values(&text, "#EXT-X-PART:", "DURATION") {
        let duration: f64 = duration.parse().unwrap();
        assert!(duration <= 0.21 && duration > 0.0, "{duration}");
    }
    let full: Vec<f64> = values(&text, "#EXT-X-PART:", "DURATION").iter().map(|d| d.parse().unwrap()).collect();
    assert!(full.iter().filter(|d| **d > 0.19).count() * 10 >= full.len() * 8, "{full:?}");
    let extinf: Vec<f64> = text
        .lines()
        .filter_map(|l| l.strip_prefix("#EXTINF:").and_then(|l| l.strip_suffix(',')))
        .map(|d| d.parse().unwrap())
        .collect();
    assert!(extinf.iter().all(|d| *d <= 6.0), "{extinf:?}");

    // The part that is hinted at comes when it is there, and stands in the next playlist.
    let hint = values(&text, "#EXT-X-PRELOAD-HINT:", "URI")[0].to_owned();
    let part = player.get(&hint).await;
    assert_eq!((part.status().as_u16(), &part.headers()["content-type"]), (200, &"video/mp4".parse().unwrap()));
    assert!(part.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let bytes = part.bytes().await.unwrap();
    assert!(mujian_media::fmp4::places(&bytes).is_ok());
    assert!(player.playlist("").await.contains(&hint));
    // A segment is its parts.
    let segment = text.lines().find(|l| l.contains("-0.m4s")).unwrap();
    let whole = player.get(segment).await.bytes().await.unwrap();
    let mut parts = Vec::new();
    for uri in values(&text, "#EXT-X-PART:", "URI").iter().filter(|u| u.contains("-0.")) {
        parts.extend_from_slice(&player.get(uri).await.bytes().await.unwrap());
    }
    assert_eq!(whole, parts);

    for (name, status) in [
        ("media.m3u8".to_owned(), 403),
        ("media.m3u8?s=nobody".to_owned(), 403),
        (format!("{}&_HLS_msn=99", player.media), 404),
        (format!("{}&_HLS_part=1", player.media), 400),
        (segment.replace("-0.m4s", "-99.m4s"), 404),
        (segment.split('?').next().unwrap().to_owned(), 403),
    ] {
        let response = player.get(&name).await;
        assert_eq!(response.status().as_u16(), status, "{name}");
        let body: serde_json::Value = response.json().await.unwrap();
        assert!(body["message"].as_str().unwrap().ends_with('.'), "{body}");
    }
    // Whoever waits is told at once when the right to watch is taken back.
    let next = tag(&player.playlist("").await, "#EXT-X-MEDIA-SEQUENCE:") + 4;
    let address = format!("{}&_HLS_msn={next}", player.media);
    let (answer, ()) = tokio::join!(player.get(&address), async {
        tokio::task::yield_now().await;
        live.room.grants.revoke(|_| true);
    });
    assert!(matches!(answer.status().as_u16(), 403 | 404), "{}", answer.status());
    assert_eq!(player.get(segment).await.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn ffmpeg_plays_through_another_size_and_the_recording_is_what_it_saw() {
    let (site, room) = room().await;
    let live = live(&site, &room, small()).await;
    let player = Player::open(&site, &room).await;
    live.play(Clip::encode("426x240", "-b:v 300k"));
    let url = format!("{}index.m3u8", player.folder);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.crc");
    let copy_path = copy.to_str().unwrap().to_owned();
    let args =
        ["-v", "error", "-live_start_index", "0", "-i", &url, "-t", "8", "-c", "copy", "-f", "framecrc", &copy_path];
    let (_, said) = run("ffmpeg", &args).await;
    assert_eq!(said, "");
    let text = std::fs::read_to_string(&copy).unwrap();
    for (track, most) in [(0, 0.055), (1, 0.025)] {
        let times = times(&text, track);
        let (least, longest) = steps(&times);
        assert!(times.len() > 200 && least > 0.0 && longest < most, "{track}: {least} {longest}");
    }
    let media = player.playlist("").await;
    assert_eq!(media.matches("#EXT-X-MAP:").count(), media.matches("#EXT-X-DISCONTINUITY\n").count() + 1, "{media}");
    live.end();
    let row = ended(&site, &room).await;
    assert!(row.duration > 7000 && row.bytes > 100_000 && row.problem.is_none(), "{row:?}");
    let playlist = player.playlist("").await;
    assert!(playlist.contains("#EXT-X-ENDLIST"), "{playlist}");
    // Who comes now finds nobody on air.
    let status = site.client.get(&url).send().await.unwrap().status();
    assert_eq!(status, 404);

    let files = site.server.as_ref().unwrap().app().keeper.folder_of(&row);
    let index = Index::read(&files).unwrap();
    assert_eq!(index.codings.len(), 2);
    assert!(index.entries.iter().all(|e| e.key && e.stage == Stage::Live && !e.gap), "{:?}", index.entries);
    assert!(index.entries.windows(2).all(|w| w[0].start + w[0].duration == w[1].start));
    let total: i64 = index.entries.iter().map(|e| e.duration().millis()).sum();
    assert!((total - row.duration).abs() < 50);
    // The bytes that players got are the bytes that were written.
    let segment = playlist.lines().find(|l| l.contains("-1.m4s")).unwrap();
    let sent = player.get(segment).await.bytes().await.unwrap();
    let media = std::fs::read(files.join("media.m4s")).unwrap();
    let entry = &index.entries[1];
    assert_eq!(sent, media[entry.offset as usize..][..entry.length() as usize]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_finishes_its_recordings() {
    let (site, room) = room().await;
    let live = live(&site, &room, small()).await;
    let player = Player::open(&site, &room).await;
    player.playlist("&_HLS_msn=1&_HLS_part=0").await;
    let id = live.room.id.clone();
    drop(live);
    let site = site.restart().await;
    let rows = site.server.as_ref().unwrap().app().store.recordings(id, 10).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].ended_at.is_some() && rows[0].duration > 1500, "{rows:?}");
}
