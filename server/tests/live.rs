//! What a room's people are told while real programs publish to it.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Stdio;

use common::{PATIENCE, Site, Socket, site, site_with};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// ffmpeg, publishing a small picture with sound in real time.
fn publish(site: &Site, room: &Value, key: &str) -> Child {
    let rtmp = site.server.as_ref().unwrap().rtmp;
    let address = format!("rtmp://{rtmp}/live/{}?key={key}", room["id"].as_str().unwrap());
    Command::new("ffmpeg")
        .args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-threads", "1", "-c:a", "aac", "-ar", "48000"])
        .args(["-f", "flv", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed")
}

/// The next event of a kind; others are given back in order with it.
async fn until(socket: &mut Socket, kind: &str, stage: Option<&str>) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        let body = socket.next_of("event").await["event"]["body"].clone();
        let found = body["kind"] == kind && stage.is_none_or(|s| body["stage"] == s);
        seen.push(body);
        if found {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_stream_from_its_start_to_its_end() {
    let site = site().await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let (id, key) = (room["id"].as_str().unwrap(), room["stream_key"].as_str().unwrap());
    let path = format!("/rooms/{id}");
    let (mut mine, mut guest) = (site.socket(id).await, site.socket(id).await);
    mine.hello(Some(&owner), None).await;
    guest.hello(None, None).await;

    let mut wrong = publish(&site, &room, "wrong");
    let ended = tokio::time::timeout(PATIENCE, wrong.wait()).await.expect("a wrong key is refused").unwrap();
    assert!(!ended.success());

    let _first = publish(&site, &room, key);
    let began = until(&mut guest, "stage_changed", Some("live")).await;
    assert_eq!(began[0]["kind"], "stream_started");
    let stream = began[0]["stream"].clone();
    let (_, view) = site.get(&path, None).await;
    assert_eq!((&view["stage"], view["live_since"].is_i64()), (&json!("live"), true));
    assert_eq!(site.get("/rooms?live=true", None).await.1, json!([view]));
    assert_eq!(site.get("/rooms", None).await.1, json!([view]));

    // Somebody who comes now is told what is.
    let mut late = site.socket(id).await;
    let welcome = late.hello(None, None).await;
    assert_eq!((&welcome["room"]["stage"], welcome["events"].as_array().unwrap().len()), (&json!("live"), began.len()));

    // A second program with the right key: refused, the owner is told, nobody else is.
    let mut second = publish(&site, &room, key);
    let waiting = mine.next_of("publisher_waiting").await["publisher"].clone();
    assert_eq!((&waiting["program"], &waiting["address"]), (&json!("ffmpeg"), &json!("127.0.0.1")));
    let ended = tokio::time::timeout(PATIENCE, second.wait()).await.expect("the second is refused").unwrap();
    assert!(!ended.success());
    let (_, list) = site.get(&format!("{path}/publishers"), Some(&owner)).await;
    assert_eq!(list, json!([waiting]));
    // An owner who opens the room only now is told as well; nobody else is.
    let (mut owner_later, mut guest_later) = (site.socket(id).await, site.socket(id).await);
    assert_eq!(owner_later.hello(Some(&owner), None).await["waiting"], json!([waiting]));
    assert_eq!(guest_later.hello(None, None).await["waiting"], json!([]));
    let admit = format!("{path}/publishers/{}/admit", waiting["id"].as_str().unwrap());
    assert_eq!(site.call(Method::POST, &admit, Some(&owner), None).await.0, 204);
    assert_eq!(site.get(&format!("{path}/publishers"), Some(&owner)).await.1, json!([]));

    let mut owner_later = site.socket(id).await;
    assert_eq!(owner_later.hello(Some(&owner), None).await["waiting"], json!([]));

    // The owner ends it.
    let (status, body) = site.call(Method::POST, &format!("{path}/end"), Some(&owner), None).await;
    assert_eq!(status, 204, "{body}");
    let mut ended = until(&mut guest, "stage_changed", Some("off")).await;
    ended.retain(|e| e["kind"] == "stream_ended");
    assert_eq!(ended, [json!({"kind": "stream_ended", "stream": stream})]);
    assert_eq!(site.get(&path, None).await.1["stage"], "off");
    assert_eq!(site.get("/rooms?live=true", None).await.1, json!([]));
}

#[tokio::test]
async fn a_stream_that_a_stopped_server_left_open_is_closed_at_the_next_start() {
    let site = site().await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let id = room["id"].as_str().unwrap();
    let mut guest = site.socket(id).await;
    guest.hello(None, None).await;
    let publisher = publish(&site, &room, room["stream_key"].as_str().unwrap());
    let began = until(&mut guest, "stage_changed", Some("live")).await;
    drop(publisher);
    drop(guest);
    let site = site.restart().await;
    assert_eq!(site.get(&format!("/rooms/{id}"), None).await.1["stage"], "off");
    let mut guest = site.socket(id).await;
    let welcome = guest.hello(None, None).await;
    let mut bodies: Vec<Value> = welcome["events"].as_array().unwrap().iter().map(|e| e["body"].clone()).collect();
    // What was not written before the welcome comes right after it.
    while bodies.last().unwrap()["stage"] != "off" {
        bodies.push(guest.next_of("event").await["event"]["body"].clone());
    }
    let ended: Vec<&Value> = bodies.iter().filter(|b| b["kind"] == "stream_ended").collect();
    assert_eq!(ended, [&json!({"kind": "stream_ended", "stream": began[0]["stream"]})]);
}

/// The hall's picture of a room: status and body.
async fn cover(site: &Site, id: &str) -> (u16, Vec<u8>) {
    let answer = site.client.get(format!("{}/api/v1/rooms/{id}/cover", site.base)).send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 200 {
        assert_eq!(answer.headers()["content-type"], "image/jpeg");
        assert_eq!(answer.headers()["cache-control"], "no-store");
    }
    (status, answer.bytes().await.unwrap().to_vec())
}

#[tokio::test]
async fn a_cover_is_taken_from_what_is_live_and_goes_when_that_does() {
    let site = site_with(|config| config.worker_program = Some(env!("CARGO_BIN_EXE_mujian-server").into())).await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let (id, key) = (room["id"].as_str().unwrap(), room["stream_key"].as_str().unwrap());
    let path = format!("/rooms/{id}");
    let mut guest = site.socket(id).await;
    guest.hello(None, None).await;
    assert_eq!(cover(&site, id).await, (204, vec![]), "nothing is shown");
    assert_eq!(cover(&site, "nowhere").await, (204, vec![]));

    let _publisher = publish(&site, &room, key);
    until(&mut guest, "stage_changed", Some("live")).await;
    let (status, jpeg) = cover(&site, id).await;
    assert!(status == 200 && jpeg.starts_with(&[0xff, 0xd8]), "{status}, {} bytes", jpeg.len());
    let name = site.data.path().join("cover.jpg");
    std::fs::write(&name, &jpeg).unwrap();
    let probe = ["-v", "error", "-show_entries", "stream=width,height", "-of", "csv=p=0"];
    let form = Command::new("ffprobe").args(probe).arg(&name).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&form.stdout).trim(), "640,360");
    assert_eq!(cover(&site, id).await.1, jpeg, "it is new enough");

    // From the answer on nobody gets a picture of somebody who left.
    assert_eq!(site.post(&format!("{path}/leave"), Some(&owner), json!({})).await.0, 200);
    assert_eq!(cover(&site, id).await, (204, vec![]));
    until(&mut guest, "stage_changed", Some("away")).await;
    assert_eq!(cover(&site, id).await, (204, vec![]), "and none of the placeholder");
    assert_eq!(site.post(&format!("{path}/back"), Some(&owner), json!({})).await.0, 200);
    until(&mut guest, "stage_changed", Some("live")).await;
    let (status, again) = cover(&site, id).await;
    assert!(status == 200 && again != jpeg, "a new one");
    assert_eq!(site.call(Method::POST, &format!("{path}/end"), Some(&owner), None).await.0, 204);
    assert_eq!(cover(&site, id).await, (204, vec![]));
}
