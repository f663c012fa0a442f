//! Replays from the real server, over TCP, judged by the real ffmpeg.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::Path;
use std::time::Duration;

use common::publisher::{Clip, Live};
use common::{PATIENCE, Site, site_with};
use mujian_protocol::room::Stage;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

struct Desk {
    site: Site,
    owner: String,
    room: String,
}

/// A server whose every replay is cut.
async fn desk() -> Desk {
    let site = site_with(|c| c.recordings.cut_from_minutes = 0).await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await["id"].as_str().unwrap().to_owned();
    Desk { site, owner, room }
}

/// Blue while live: away shows a placeholder, which is not blue.
fn blue(size: &str) -> Clip {
    Clip::encode(size, "-vf drawbox=c=blue:t=fill -b:v 300k")
}

impl Desk {
    async fn live(&self, clip: Clip) -> Live {
        Live::start(self.site.server.as_ref().unwrap(), &self.room, clip).await
    }

    /// Waits until so much of the programme went out.
    async fn goes_on(&self, live: &Live, by: Duration) {
        let programme = live.room.stage.programme();
        let mut head = programme.watch();
        let mut from = None;
        let on = head.wait_for(|_| {
            let Some(newest) = programme.newest() else { return false };
            newest.dts.saturating_sub(*from.get_or_insert(newest.dts)).to_duration() >= by
        });
        timeout(PATIENCE, on).await.unwrap().unwrap();
    }

    /// The owner leaves, or comes back.
    async fn say(&self, what: &str) {
        let (status, body) =
            self.site.post(&format!("/rooms/{}/{what}", self.room), Some(&self.owner), json!({})).await;
        assert_eq!(status, 200, "{body}");
    }

    async fn stage(&self, live: &Live, stage: Stage) {
        let mut status = live.room.stage.status();
        timeout(PATIENCE, status.wait_for(|s| s.stage == stage)).await.unwrap().unwrap();
    }

    /// Ends the stream; gives its recording's id, once it is complete.
    async fn recorded(&self, live: Live) -> String {
        live.room.stage.end().await.unwrap();
        drop(live);
        let find = async {
            loop {
                let (_, list) = self.site.get(&format!("/rooms/{}/replays", self.room), None).await;
                if let Some(id) = list[0]["id"].as_str() {
                    return id.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, find).await.unwrap()
    }

    async fn replay(&self, id: &str, token: Option<&str>) -> Value {
        let (status, body) = self.site.get(&format!("/replays/{id}"), token).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    fn url(&self, path: &Value) -> String {
        format!("{}{}", self.site.base, path.as_str().unwrap())
    }

    /// The page of a replay, as a program gets it that shows links.
    async fn page(&self, id: &str) -> String {
        let request = self.site.client.get(format!("{}/replay/{id}", self.site.base)).header("accept-language", "en");
        request.send().await.unwrap().text().await.unwrap()
    }

    async fn status(&self, path: &str) -> StatusCode {
        self.site.client.get(format!("{}{path}", self.site.base)).send().await.unwrap().status()
    }

    async fn download(&self, path: &Value, to: &Path) -> Vec<u8> {
        let answer = self.site.client.get(self.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let length = answer.content_length().unwrap();
        let bytes = answer.bytes().await.unwrap().to_vec();
        assert_eq!(bytes.len() as u64, length);
        std::fs::write(to, &bytes).unwrap();
        bytes
    }
}

/// Runs a program; whatever it complains about is a failure.
async fn run(program: &str, args: &[&str]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let out = timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.trim().is_empty(), "{program} {args:?}: {said}");
    out.stdout
}

/// Decoding times of a track's packets, in seconds.
async fn times(what: &str, track: &str) -> Vec<f64> {
    let args = ["-v", "error", "-select_streams", track, "-show_entries", "packet=dts_time", "-of", "csv=p=0", what];
    let out = String::from_utf8(run("ffprobe", &args).await).unwrap();
    out.lines().filter_map(|l| l.trim_end_matches(',').parse().ok()).collect()
}

/// ffprobe finds no hole, no step back, and this length.
async fn is_continuous(what: &str, seconds: f64) {
    for (track, most) in [("v:0", 0.07), ("a:0", 0.0215)] {
        let times = times(what, track).await;
        for pair in times.windows(2) {
            assert!(pair[1] > pair[0] && pair[1] - pair[0] < most, "{what} {track}: {pair:?}");
        }
        let length = times.last().unwrap() - times[0];
        assert!((length - seconds).abs() < 0.15, "{what} {track}: {length} of {seconds}");
    }
}

/// Every picture of it, as the share of blue in its middle.
async fn blueness(what: &str) -> Vec<f64> {
    blueness_of(what, &[]).await
}

async fn blueness_of(what: &str, stretch: &[&str]) -> Vec<f64> {
    let filter = "crop=iw/2:ih/2,scale=1:1:flags=area,format=rgb24";
    let form = ["-an", "-vf", filter, "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-f", "rawvideo", "-"];
    let args = [&["-v", "error", "-i", what], stretch, &form].concat();
    let out = run("ffmpeg", &args).await;
    out.chunks_exact(3).map(|p| f64::from(p[2]) / p.iter().map(|b| f64::from(*b) + 1.0).sum::<f64>()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_leaves_out_what_was_shown_while_away() {
    let desk = desk().await;
    let live = desk.live(blue("320x180")).await;
    let mut socket = desk.site.socket(&desk.room).await;
    socket.hello(Some(&desk.owner), None).await;
    desk.goes_on(&live, Duration::from_secs(2)).await;
    socket.danmaku("1", "first").await;
    socket.next_of("accepted").await;
    for i in 0..2 {
        desk.say("leave").await;
        desk.stage(&live, Stage::Away).await;
        desk.goes_on(&live, Duration::from_secs(2)).await;
        socket.danmaku(&format!("away{i}"), "unseen").await;
        socket.next_of("accepted").await;
        desk.say("back").await;
        desk.stage(&live, Stage::Live).await;
        desk.goes_on(&live, Duration::from_secs(2)).await;
    }
    socket.danmaku("2", "last").await;
    socket.next_of("accepted").await;
    desk.goes_on(&live, Duration::from_secs(1)).await;
    let id = desk.recorded(live).await;

    let replay = desk.replay(&id, None).await;
    let (whole, away) = (replay["whole_ms"].as_i64().unwrap(), replay["away_ms"].as_i64().unwrap());
    let played = replay["played_ms"].as_i64().unwrap();
    assert!(away > 3500 && played > 6500 && (whole - away - played).abs() <= 2, "{replay}");
    assert!(replay["full"].is_null() && replay["owner"].is_null());
    let kinds: Vec<_> = replay["moments"].as_array().unwrap().iter().map(|m| m["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["left", "back", "left", "back"]);
    let spans = replay["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 3);
    for (i, moment) in replay["moments"].as_array().unwrap().iter().enumerate() {
        let border = if i % 2 == 0 { &spans[i / 2]["to_ms"] } else { &spans[i / 2 + 1]["from_ms"] };
        assert_eq!(&moment["whole_ms"], border);
    }

    // The playlist: continuous, as long as told, and blue from the first picture to the last.
    let playlist = desk.url(&replay["replay"]["playlist"]);
    let seconds = played as f64 / 1000.0;
    is_continuous(&playlist, seconds).await;
    assert!(blueness(&playlist).await.iter().all(|r| *r > 0.8));
    let text = desk.site.client.get(&playlist).send().await.unwrap().text().await.unwrap();
    assert!(!text.contains("DISCONTINUITY") && text.matches("#EXT-X-MAP").count() == 1, "nothing changes: {text}");
    // The file: the same.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("replay.mp4");
    let bytes = desk.download(&replay["replay"]["downloads"][0]["url"], &file).await;
    let name = file.to_str().unwrap();
    is_continuous(name, seconds).await;
    let pictures = blueness(name).await;
    assert!(pictures.iter().all(|r| *r > 0.8));
    assert_eq!(pictures.len(), blueness(&playlist).await.len());
    // Any range of it is the same bytes.
    let url = desk.url(&replay["replay"]["downloads"][0]["url"]);
    for (from, to) in [(0, 99), (100, 70_000), (bytes.len() - 5000, bytes.len() - 1)] {
        let part = desk.site.client.get(&url).header("range", format!("bytes={from}-{to}")).send().await.unwrap();
        assert_eq!(part.status(), 206);
        assert_eq!(part.headers()["content-range"], format!("bytes {from}-{to}/{}", bytes.len()).as_str());
        assert_eq!(part.bytes().await.unwrap(), bytes[from..=to]);
    }

    // Danmaku at their places; what was written to the placeholder has none.
    let (_, page) = desk.site.get(&format!("/replays/{id}/danmaku"), None).await;
    let told: Vec<_> =
        page["danmaku"].as_array().unwrap().iter().map(|d| d["danmaku"]["text"].as_str().unwrap()).collect();
    assert_eq!(told, ["first", "last"]);
    let at = |i: usize| page["danmaku"][i]["played_ms"].as_i64().unwrap();
    assert!(at(0) > 1500 && at(0) < 4500 && at(1) > 5500 && at(1) <= played, "{page}");

    // The whole is for the owner.
    assert_eq!(desk.status(&format!("/replays/{id}/full.m3u8")).await, 403);
    assert_eq!(desk.status(&format!("/replays/{id}/f0.m4s")).await, 403);
    assert_eq!(desk.status(&format!("/replays/{id}/full-0.mp4")).await, 403);
    assert_eq!(desk.status(&format!("/replays/{id}/c999.m4s")).await, 404);
    let (refused, _) = desk.site.get(&format!("/replays/{id}/danmaku?full=true"), None).await;
    assert_eq!(refused, 403);
    let owned = desk.replay(&id, Some(&desk.owner)).await;
    let full = desk.url(&owned["full"]["playlist"]);
    is_continuous(&full, whole as f64 / 1000.0).await;
    let seen = blueness(&full).await;
    assert!(seen.iter().any(|r| *r < 0.6), "the placeholder is there");
    // What the recording holds from the moment of leaving to the return is the placeholder and nothing else.
    for span in spans.windows(2) {
        let (from, to) = (span[0]["to_ms"].as_f64().unwrap(), span[1]["from_ms"].as_f64().unwrap());
        let (from, length) = ((from / 1000.0 + 0.001).to_string(), ((to - from) / 1000.0 - 0.002).to_string());
        let away = blueness_of(&full, &["-ss", &from, "-t", &length]).await;
        assert!(away.len() > 20 && away.iter().all(|r| *r < 0.6), "{away:?}");
    }
    let (_, page) = desk.site.get(&format!("/replays/{id}/danmaku?full=true"), Some(&desk.owner)).await;
    assert_eq!(page["danmaku"].as_array().unwrap().len(), 4);

    // A link to it tells what it is, and how long it is for viewers.
    let shared = desk.page(&id).await;
    let about = format!("A recording of owner, live · 0:{:02}", played / 1000);
    assert!(shared.contains(&format!("<meta property=\"og:description\" content=\"{about}\" />")), "{shared}");
    assert!(shared.contains("<meta property=\"og:title\" content=\"a room\" />"), "{shared}");

    // And deleted, by its owner alone.
    let stranger = desk.site.person("stranger").await;
    let path = format!("/replays/{id}");
    let delete = |token: &str| {
        let token = token.to_owned();
        let (site, path) = (&desk.site, &path);
        async move { site.call(Method::DELETE, path, Some(&token), None).await.0 }
    };
    assert_eq!(delete(&stranger).await, 403);
    assert_eq!(delete(&desk.owner).await, 204);
    assert_eq!(desk.status(&format!("/replays/{id}/cut.m3u8")).await, 404);
    assert!(!desk.page(&id).await.contains("og:"));
    let left = walk(&desk.site.data.path().join("recordings"));
    assert_eq!(left, Vec::<std::path::PathBuf>::new());
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().flat_map(|e| if e.path().is_dir() { walk(&e.path()) } else { vec![e.path()] }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_size_is_another_file_and_a_discontinuity() {
    let desk = desk().await;
    let live = desk.live(Clip::encode("320x180", "-b:v 300k")).await;
    desk.goes_on(&live, Duration::from_secs(3)).await;
    live.play(Clip::encode("426x240", "-b:v 300k"));
    let mut status = live.room.stage.status();
    timeout(PATIENCE, status.wait_for(|s| s.size == Some((426, 240)))).await.unwrap().unwrap();
    desk.goes_on(&live, Duration::from_secs(2)).await;
    let id = desk.recorded(live).await;
    let replay = desk.replay(&id, None).await;
    let downloads = replay["replay"]["downloads"].as_array().unwrap();
    let mut sizes: Vec<_> = downloads.iter().map(|d| d["width"].as_i64().unwrap()).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [320, 426]);
    let folder = tempfile::tempdir().unwrap();
    for file in downloads {
        let to = folder.path().join(format!("{}.mp4", file["width"]));
        desk.download(&file["url"], &to).await;
        is_continuous(to.to_str().unwrap(), file["length_ms"].as_f64().unwrap() / 1000.0).await;
        let decode = ["-v", "error", "-xerror", "-i", to.to_str().unwrap(), "-fps_mode", "passthrough"];
        run("ffmpeg", &[&decode[..], &["-enc_time_base", "-1", "-f", "null", "-"]].concat()).await;
    }
    let playlist = desk.url(&replay["replay"]["playlist"]);
    is_continuous(&playlist, replay["played_ms"].as_f64().unwrap() / 1000.0).await;
    let text = desk.site.client.get(&playlist).send().await.unwrap().text().await.unwrap();
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
    // Nothing was away, so what everybody gets is the whole.
    assert!(text.contains("f0.m4s"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_runs_is_no_replay_yet() {
    let desk = desk().await;
    let live = desk.live(Clip::encode("320x180", "-b:v 300k")).await;
    let path = format!("/rooms/{}/replays", desk.room);
    let find = async {
        loop {
            let (_, list) = desk.site.get(&path, Some(&desk.owner)).await;
            if let Some(id) = list[0]["id"].as_str() {
                return id.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let id = timeout(PATIENCE, find).await.unwrap();
    assert_eq!(desk.site.get(&path, None).await.1.as_array().unwrap().len(), 0);
    let (status, body) = desk.site.get(&format!("/replays/{id}"), None).await;
    assert_eq!((status.as_u16(), body["code"].as_str()), (409, Some("conflict")));
    assert!(!desk.page(&id).await.contains("og:"));
    let (status, _) = desk.site.call(Method::DELETE, &format!("/replays/{id}"), Some(&desk.owner), None).await;
    assert_eq!(status, 409);
    drop(live);
    assert_eq!(desk.site.get("/rooms/nowhere/replays", None).await.0, 404);
    assert_eq!(desk.site.get("/replays/nothing", None).await.0, 404);
}
