//! Placeholders from outside, against a real server with real workers: good ones become what viewers
//! see, bad ones are refused with a sentence, within bounds.

#![allow(clippy::unwrap_used)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Site, site_with};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Workers have low priority; on a loaded machine they take their time.
const MADE: Duration = Duration::from_secs(300);

async fn stand() -> (Site, String, String) {
    let site = site_with(|config| {
        config.worker_program = Some(env!("CARGO_BIN_EXE_mujian-server").into());
    })
    .await;
    let token = site.person("streamer").await;
    let room = site.room(&token).await["id"].as_str().unwrap().to_owned();
    let account = site.get("/me", Some(&token)).await.1["id"].as_str().unwrap().parse().unwrap();
    // Trusted: what these tests are about is not who judges.
    assert!(site.server.as_ref().unwrap().app().store.set_trusted(account, true, None).await.unwrap());
    (site, token, room)
}

async fn upload(site: &Site, token: &str, room: &str, query: &str, kind: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let url = format!("{}/api/v1/rooms/{room}/placeholders?{query}", site.base);
    let request = site.client.post(url).bearer_auth(token).header("content-type", kind).body(body);
    let response = request.send().await.unwrap();
    (response.status(), response.json().await.unwrap())
}

/// The placeholder once it is no longer being made.
async fn settled(site: &Site, token: &str, room: &str, id: &str) -> Value {
    let began = Instant::now();
    loop {
        let (status, shelf) = site.get(&format!("/rooms/{room}/placeholders"), Some(token)).await;
        assert_eq!(status, 200, "{shelf}");
        let found = shelf["placeholders"].as_array().unwrap().iter().find(|p| p["id"] == id).unwrap().clone();
        if found["state"]["state"] != "checking" {
            return found;
        }
        assert!(began.elapsed() < MADE, "{found}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn ffmpeg(out: &Path, arguments: &[&str]) -> Vec<u8> {
    let done = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(out).status().unwrap();
    assert!(done.success());
    std::fs::read(out).unwrap()
}

/// Query, type, file; what it becomes, whether it has sound, how many milliseconds.
type Case<'a> = (&'a str, &'a str, Vec<u8>, &'a str, bool, i64);

const MOVES: &str = "testsrc2=size=320x180:rate=10:duration=1.5";

/// Each of them becomes what it should, and what viewers see of it can be looked at.
async fn become_what_viewers_see((site, token, room): &(Site, String, String), cases: Vec<Case<'_>>) {
    for (i, (query, kind, body, wanted, sound, millis)) in cases.into_iter().enumerate() {
        let (status, view) = upload(site, token, room, &format!("name=n{i}&{query}"), kind, body).await;
        assert_eq!(status, 201, "{view}");
        let made = settled(site, token, room, view["id"].as_str().unwrap()).await;
        assert_eq!(made["state"]["state"], "ready", "{made}");
        assert_eq!((made["kind"].as_str(), made["sound"].as_bool()), (Some(wanted), Some(sound)), "{made}");
        assert!((made["duration_ms"].as_i64().unwrap() - millis).abs() <= 700, "{made}");
        let path = format!("{}/api/v1/rooms/{room}/placeholders/{}", site.base, made["id"].as_str().unwrap());
        let get = async |what: &str| {
            let answer = site.client.get(format!("{path}/{what}")).bearer_auth(token).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{what} of {made}");
            answer.bytes().await.unwrap()
        };
        assert_eq!(get("poster").await[..3], [0xff, 0xd8, 0xff]);
        let preview = site.data.path().join(format!("{i}.preview.mp4"));
        std::fs::write(&preview, get("preview").await).unwrap();
        let decoded =
            Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&preview).args(["-f", "null", "-"]).output();
        let decoded = decoded.unwrap();
        assert!(decoded.status.success() && decoded.stderr.is_empty(), "{}", String::from_utf8_lossy(&decoded.stderr));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_still_becomes_what_viewers_see() {
    let stand = stand().await;
    let file = |name: &str| -> PathBuf { stand.0.data.path().join(name) };
    let one = |name: &str| ffmpeg(&file(name), &["-f", "lavfi", "-i", MOVES, "-frames:v", "1"]);
    let svg = br##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9" fill="#e4472f"/></svg>"##;
    let cases: Vec<Case<'_>> = vec![
        ("text=Back%20soon", "", Vec::new(), "text", false, 2000),
        ("", "image/png", one("a.png"), "picture", false, 2000),
        ("text=hello", "image/jpeg", one("a.jpg"), "picture", false, 2000),
        ("", "image/svg+xml", svg.to_vec(), "picture", false, 2000),
    ];
    become_what_viewers_see(&stand, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_moves_or_sounds_becomes_what_viewers_see() {
    let stand = stand().await;
    let file = |name: &str| -> PathBuf { stand.0.data.path().join(name) };
    let tone = "sine=frequency=440:duration=2.5";
    let cases: Vec<Case<'_>> = vec![
        ("", "image/gif", ffmpeg(&file("a.gif"), &["-f", "lavfi", "-i", MOVES]), "animation", false, 3000),
        (
            "",
            "image/png",
            ffmpeg(&file("b.png"), &["-f", "lavfi", "-i", MOVES, "-f", "apng"]),
            "animation",
            false,
            3000,
        ),
        ("", "audio/wav", ffmpeg(&file("a.wav"), &["-f", "lavfi", "-i", tone]), "audio", true, 2500),
        (
            "",
            "video/mp4",
            ffmpeg(&file("a.mp4"), &["-f", "lavfi", "-i", MOVES, "-f", "lavfi", "-i", tone, "-shortest"]),
            "video",
            true,
            1500,
        ),
    ];
    become_what_viewers_see(&stand, cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_picture_takes_music_and_is_as_long_as_it() {
    let (site, token, room) = stand().await;
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9"/></svg>"#;
    let (_, view) = upload(&site, &token, &room, "name=n", "image/svg+xml", svg.to_vec()).await;
    let id = view["id"].as_str().unwrap().to_owned();
    let sound = ffmpeg(&site.data.path().join("a.mp3"), &["-f", "lavfi", "-i", "sine=duration=4"]);
    let put = |body: Vec<u8>| {
        let url = format!("{}/api/v1/rooms/{room}/placeholders/{id}/sound", site.base);
        site.client.put(url).bearer_auth(&token).body(body).send()
    };
    assert_eq!(put(svg.to_vec()).await.unwrap().status(), 400, "a picture is no sound");
    // While the picture alone is still being made: what is made of it counts for nothing.
    assert_eq!(put(sound.clone()).await.unwrap().status(), 204);
    let made = settled(&site, &token, &room, &id).await;
    assert_eq!((made["kind"].as_str(), made["sound"].as_bool()), (Some("picture"), Some(true)), "{made}");
    assert!((made["duration_ms"].as_i64().unwrap() - 4000).abs() < 300, "{made}");
    // Other sound takes the place of the first, and counts alone.
    assert_eq!(made["bytes"], svg.len() + sound.len());
    let shorter = ffmpeg(&site.data.path().join("b.mp3"), &["-f", "lavfi", "-i", "sine=duration=3"]);
    assert_eq!(put(shorter.clone()).await.unwrap().status(), 204);
    let made = settled(&site, &token, &room, &id).await;
    assert!((made["duration_ms"].as_i64().unwrap() - 3000).abs() < 300, "{made}");
    assert_eq!(made["bytes"], svg.len() + shorter.len());
    assert_eq!(made["digest"].as_str().unwrap().matches('+').count(), 1, "{made}");
}

/// A PNG of this size whose pixels are one colour: small in the file, large when it is unpacked.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let python = format!(
        "import zlib,struct,sys\nw,h={width},{height}\nc=zlib.compressobj(9)\nrow=b'\\0'*(w*3+1)\nd=b''\n\
         for _ in range(h): d+=c.compress(row)\nd+=c.flush()\n\
         def k(t,b): return struct.pack('>I',len(b))+t+b+struct.pack('>I',zlib.crc32(t+b))\n\
         sys.stdout.buffer.write(b'\\x89PNG\\r\\n\\x1a\\n'+k(b'IHDR',struct.pack('>IIBBBBB',w,h,8,2,0,0,0))+k(b'IDAT',d)+k(b'IEND',b''))"
    );
    let out = Command::new("python3").args(["-c", &python]).output().unwrap();
    assert!(out.status.success());
    out.stdout
}

/// A GIF of so many pictures of one pixel.
fn endless_gif(pictures: usize) -> Vec<u8> {
    let mut out = b"GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xff\xff\xff".to_vec();
    for _ in 0..pictures {
        out.extend(b"\x21\xf9\x04\0\x02\0\0\0\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0");
    }
    out.push(0x3b);
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_is_refused_with_a_sentence_at_the_door() {
    let (site, token, room) = stand().await;
    let mut lie = bomb(16, 16);
    lie.truncate(60);
    let huge = {
        let mut png = bomb(16, 16);
        png[16..24].copy_from_slice(&[0, 0, 0x4e, 0x20, 0, 0, 0x4e, 0x20]);
        png
    };
    for (kind, body, status, code) in [
        ("image/png", b"<html><script>alert(1)</script></html>".to_vec(), 400, "unsupported_media"),
        ("image/jpeg", lie, 400, "unsupported_media"),
        ("video/mp4", bomb(16, 16), 400, "unsupported_media"),
        ("image/png", huge, 413, "too_large"),
        ("", Vec::new(), 400, "invalid_request"),
    ] {
        let (found, answer) = upload(&site, &token, &room, "name=n", kind, body).await;
        assert_eq!((found.as_u16(), answer["code"].as_str()), (status, Some(code)), "{answer}");
        assert!(answer["message"].as_str().unwrap().ends_with('.'), "{answer}");
    }
    // 2 GB that are announced are refused before they come; those that are not, when they are too many.
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = site.base.trim_start_matches("http://");
    for announced in [true, false] {
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        let length = if announced { "Content-Length: 2147483648" } else { "Transfer-Encoding: chunked" };
        let head = format!(
            "POST /api/v1/rooms/{room}/placeholders?name=n HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Type: video/mp4\r\n{length}\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        let (mut read, mut write) = socket.into_split();
        let sender = tokio::spawn(async move {
            let piece = [b"100000\r\n".to_vec(), vec![0u8; 1 << 20], b"\r\n".to_vec()].concat();
            for _ in 0..2048 {
                if announced || write.write_all(&piece).await.is_err() {
                    return;
                }
            }
        });
        let mut answer = vec![0; 1024];
        let got = tokio::time::timeout(MADE, read.read(&mut answer)).await.unwrap();
        sender.abort();
        // Whoever goes on sending may have the connection cut before the answer is read.
        let cut = !announced && !matches!(got, Ok(n) if n > 0);
        let answer = String::from_utf8_lossy(&answer);
        assert!(cut || answer.starts_with("HTTP/1.1 413"), "{answer}");
    }
    let began = Instant::now();
    let left = || {
        let folder = std::fs::read_dir(site.data.path().join("placeholders")).unwrap();
        folder.filter(|e| e.as_ref().unwrap().path().is_file()).count()
    };
    while left() > 0 {
        assert!(began.elapsed() < MADE, "nothing of it is kept");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_bad_inside_costs_a_worker_and_nothing_else() {
    let (site, token, room) = stand().await;
    let test = "testsrc2=size=32x32:rate=1:duration=700";
    let long = ffmpeg(&site.data.path().join("long.mkv"), &["-f", "lavfi", "-i", test, "-c:v", "mpeg4"]);
    let script = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script>alert(1)</script></svg>"#;
    let outside =
        br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><image href="file:///etc/passwd"/></svg>"#;
    let mut cut = bomb(640, 480);
    cut.truncate(cut.len() / 2);
    for (what, kind, body, codes) in [
        ("a script", "image/svg+xml", script.to_vec(), &["unsafe"][..]),
        ("a reference", "image/svg+xml", outside.to_vec(), &["unsafe"]),
        ("700 seconds", "video/x-matroska", long, &["too_long"]),
        ("a million pictures", "image/gif", endless_gif(1_000_000), &["too_many_pictures", "too_long"]),
        ("a torn picture", "image/png", cut, &["damaged"]),
        ("a film that is none", "video/mp4", [&b"\0\0\0\x20ftypisom"[..], &[7; 4000]].concat(), &["damaged"]),
    ] {
        let (status, view) = upload(&site, &token, &room, "name=n", kind, body).await;
        assert_eq!(status, 201, "{what}: {view}");
        let made = settled(&site, &token, &room, view["id"].as_str().unwrap()).await;
        let state = &made["state"];
        assert_eq!(state["state"], "refused", "{what}: {made}");
        assert!(codes.iter().any(|c| state["code"] == *c), "{what}: {state}");
        assert!(state["message"].as_str().unwrap().ends_with('.'));
    }
    assert_eq!(site.get("/server", None).await.0, 200, "the server is well");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_and_people_judge_and_the_default_stands_in() {
    let (site, owner, _) = stand().await;
    let (other, judge) = (site.person("other").await, site.person("judge").await);
    let room = site.room(&other).await["id"].as_str().unwrap().to_owned();
    let store = &site.server.as_ref().unwrap().app().store;
    let id = |view: &Value| view["id"].as_str().unwrap().to_owned();
    let judge_id = id(&site.get("/me", Some(&judge)).await.1);
    store.set_role(judge_id.parse().unwrap(), mujian_protocol::api::Role::Moderator, None).await.unwrap();

    // Words alone are judged by the list, wherever they stand.
    let (_, good) = upload(&site, &other, &room, "name=n&text=Back%20soon", "", Vec::new()).await;
    assert_eq!(settled(&site, &other, &room, &id(&good)).await["state"]["state"], "ready");
    for query in ["name=n&text=f.u.c.k", "name=fuck&text=fine", "name=n&keywords=ＦＵＣＫ&text=fine"] {
        let (status, bad) = upload(&site, &other, &room, query, "", Vec::new()).await;
        assert_eq!(status, 201, "{bad}");
        assert_eq!(settled(&site, &other, &room, &id(&bad)).await["state"]["code"], "words", "{query}");
        if query.starts_with("name=fuck") {
            // Written in another way, it is good.
            let path = format!("/rooms/{room}/placeholders/{}", id(&bad));
            let (status, shelf) = site.call(Method::PATCH, &path, Some(&other), Some(json!({"name": "fine"}))).await;
            assert_eq!(status, 200, "{shelf}");
            let began = Instant::now();
            while settled(&site, &other, &room, &id(&bad)).await["state"]["state"] != "ready" {
                assert!(began.elapsed() < MADE);
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    // A picture of somebody who is not trusted waits for a person.
    let svg = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9"/></svg>"#;
    let (_, picture) = upload(&site, &other, &room, "name=n", "image/svg+xml", svg.to_vec()).await;
    let picture = id(&picture);
    assert_eq!(settled(&site, &other, &room, &picture).await["state"]["state"], "waiting");
    let away = format!("/rooms/{room}/away");
    let choice = site.post(&away, Some(&other), json!({"placeholder_id": picture})).await.1;
    assert_eq!((choice["id"].as_str(), choice["reason"].as_str()), (Some("away"), Some("not_shown")), "{choice}");
    assert!(choice["why_not"].as_str().unwrap().contains("moderator"), "{choice}");

    assert_eq!(site.get("/review/placeholders", Some(&owner)).await.0, 403);
    let waiting = site.get("/review/placeholders", Some(&judge)).await.1;
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["placeholder"]["id"]), (1, &json!(picture)));
    let verdict = format!("/review/placeholders/{picture}/verdict");
    let digest = waiting[0]["placeholder"]["digest"].clone();
    let say = |allow: bool| json!({"allow": allow, "digest": digest, "reason": "No."});
    assert_eq!(site.post(&verdict, Some(&other), say(true)).await.0, 403, "not in one's own case");
    let old = json!({"allow": true, "digest": "something else that was looked at"});
    assert_eq!(site.post(&verdict, Some(&judge), old).await.0, 409, "nobody looked at this");
    assert_eq!(site.post(&verdict, Some(&judge), say(true)).await.0, 204);
    let shelf = site.get(&format!("/rooms/{room}/placeholders"), Some(&other)).await.1;
    assert_eq!((&shelf["choice"]["id"], &shelf["choice"]["reason"]), (&json!(picture), &json!("picked")), "{shelf}");
    assert_eq!(site.post(&verdict, Some(&judge), say(false)).await.0, 204);
    let shelf = site.get(&format!("/rooms/{room}/placeholders"), Some(&other)).await.1;
    assert_eq!(shelf["choice"]["id"], "away", "{shelf}");
    let path = format!("/rooms/{room}/placeholders/{picture}");
    let shelf = site.call(Method::PATCH, &path, Some(&other), Some(json!({"name": "another"}))).await.1;
    let state = &shelf["placeholders"].as_array().unwrap().iter().find(|p| p["id"] == picture).unwrap()["state"];
    assert_eq!(state["code"], "moderator", "another name changes no verdict");

    // Others may not touch the shelf, and what is deleted is gone.
    assert_eq!(site.get(&format!("/rooms/{room}/placeholders"), Some(&judge)).await.0, 403);
    assert_eq!(site.call(Method::DELETE, &path, Some(&owner), None).await.0, 403);
    assert_eq!(site.call(Method::DELETE, &path, Some(&other), None).await.0, 204);
    assert_eq!(site.call(Method::DELETE, &path, Some(&other), None).await.0, 404);
}

const SVG: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9"/></svg>"#;

#[tokio::test(flavor = "multi_thread")]
async fn other_words_are_made_and_judged_while_it_is_shown_as_it_was() {
    use mujian_server::slate::{AwaySlates as _, SlateRequest};
    let (site, token, room) = stand().await;
    let form = SlateRequest::default();
    let (_, view) = upload(&site, &token, &room, "name=n&text=Back%20soon", "", Vec::new()).await;
    let id = view["id"].as_str().unwrap().to_owned();
    let first = settled(&site, &token, &room, &id).await;
    let held = site.server.as_ref().unwrap().app().rooms.get(&room.parse().unwrap()).await.unwrap().unwrap();
    let shown = held.shelf.ready(form).await.unwrap();

    let path = format!("/rooms/{room}/placeholders/{id}");
    let patch = async |text: &str| {
        let (status, shelf) = site.call(Method::PATCH, &path, Some(&token), Some(json!({"text": text}))).await;
        assert_eq!(status, 200, "{shelf}");
        (shelf["choice"]["id"].clone(), shelf["placeholders"][0].clone())
    };
    let (choice, now) = patch("In a minute").await;
    assert_eq!((&choice, &now["text"], &now["stands"]), (&json!(id), &json!("In a minute"), &json!(true)), "{now}");
    assert_ne!(now["digest"], first["digest"]);
    let before = held.shelf.ready(form).await.unwrap();
    let again = settled(&site, &token, &room, &id).await;
    assert_eq!((&again["state"]["state"], &again["stands"]), (&json!("ready"), &json!(false)), "{again}");
    let after = held.shelf.ready(form).await.unwrap();
    // It may have been quick; but it is the one or the other, and never the default.
    assert!(std::sync::Arc::ptr_eq(&before, &shown) || std::sync::Arc::ptr_eq(&before, &after));
    assert!(!std::sync::Arc::ptr_eq(&after, &shown), "the new words are seen");

    // What the word list refuses is not made, and the words that were good stay.
    patch("f.u.c.k").await;
    let refused = settled(&site, &token, &room, &id).await;
    assert_eq!((&refused["state"]["code"], &refused["stands"]), (&json!("words"), &json!(true)), "{refused}");
    assert!(std::sync::Arc::ptr_eq(&held.shelf.ready(form).await.unwrap(), &after), "what was allowed is shown");
    // The same words again are no change; none at all are refused at the door.
    assert_eq!(patch("f.u.c.k").await.1["digest"], refused["digest"]);
    for bad in [json!({"text": " "}), json!({"text": "w".repeat(121)})] {
        assert_eq!(site.call(Method::PATCH, &path, Some(&token), Some(bad)).await.0, 400);
    }
    patch("In a minute").await;
    let good = settled(&site, &token, &room, &id).await;
    assert_eq!((&good["state"]["state"], &good["stands"]), (&json!("ready"), &json!(false)), "{good}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moderator_looks_at_other_words_anew_and_may_take_down_the_old_ones() {
    let (site, _, _) = stand().await;
    let (other, judge) = (site.person("other").await, site.person("judge").await);
    let room = site.room(&other).await["id"].as_str().unwrap().to_owned();
    let judge_id = site.get("/me", Some(&judge)).await.1["id"].as_str().unwrap().parse().unwrap();
    let store = &site.server.as_ref().unwrap().app().store;
    store.set_role(judge_id, mujian_protocol::api::Role::Moderator, None).await.unwrap();
    let (_, view) = upload(&site, &other, &room, "name=n", "image/svg+xml", SVG.to_vec()).await;
    let id = view["id"].as_str().unwrap().to_owned();
    let verdict = format!("/review/placeholders/{id}/verdict");
    let path = format!("/rooms/{room}/placeholders/{id}");
    let waits = settled(&site, &other, &room, &id).await;
    let say = |of: &Value, allow: bool| json!({"allow": allow, "digest": of["digest"]});
    assert_eq!(site.post(&verdict, Some(&judge), say(&waits, true)).await.0, 204);

    let text = |words: &str| Some(json!({"text": words}));
    assert_eq!(site.call(Method::PATCH, &path, Some(&other), text("hello")).await.0, 200);
    let now = settled(&site, &other, &room, &id).await;
    assert_eq!((&now["state"]["state"], &now["stands"]), (&json!("waiting"), &json!(true)), "{now}");
    let choice = async || site.get(&format!("/rooms/{room}/placeholders"), Some(&other)).await.1["choice"].clone();
    assert_eq!(choice().await["id"], json!(id), "the old one is shown");
    assert_eq!(site.post(&verdict, Some(&judge), say(&waits, true)).await.0, 409, "these words nobody saw");
    assert_eq!(site.post(&verdict, Some(&judge), say(&now, false)).await.0, 204);
    assert_eq!(choice().await["id"], "away", "nor the old one any more");
    // No words make good what a moderator refused.
    assert_eq!(site.call(Method::PATCH, &path, Some(&other), text("please")).await.0, 200);
    assert_eq!(settled(&site, &other, &room, &id).await["state"]["code"], "moderator");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_shelf_can_be_kept_elsewhere() {
    let (site, token, room) = stand().await;
    let stranger = site.person("stranger").await;
    let (status, view) = upload(&site, &token, &room, "name=n&key=mine-1", "image/svg+xml", SVG.to_vec()).await;
    assert_eq!((status.as_u16(), view["key"].as_str()), (201, Some("mine-1")), "{view}");
    let id = view["id"].as_str().unwrap().to_owned();
    // Sent again, because the answer was lost.
    let (status, again) = upload(&site, &token, &room, "name=n&key=mine-1", "image/svg+xml", SVG.to_vec()).await;
    assert_eq!((status.as_u16(), &again["id"]), (200, &json!(id)), "{again}");
    let shelf = async || site.get(&format!("/rooms/{room}/placeholders"), Some(&token)).await.1;
    assert_eq!(shelf().await["placeholders"].as_array().unwrap().len(), 1);
    assert_eq!(upload(&site, &token, &room, "name=n&key=a/b", "", Vec::new()).await.0, 400);

    let get = async |what: &str, token: &str| {
        let url = format!("{}/api/v1/rooms/{room}/placeholders/{id}/{what}", site.base);
        let answer = site.client.get(url).bearer_auth(token).send().await.unwrap();
        (answer.status().as_u16(), answer.headers().clone(), answer.bytes().await.unwrap())
    };
    let (status, headers, bytes) = get("file", &token).await;
    assert_eq!((status, &bytes[..]), (200, SVG));
    assert_eq!(headers["content-disposition"], "attachment");
    assert_eq!(headers["content-type"], "application/octet-stream");
    assert_eq!(get("file", &stranger).await.0, 403);
    assert_eq!(get("sound", &token).await.0, 404);
    let sound = ffmpeg(&site.data.path().join("a.mp3"), &["-f", "lavfi", "-i", "sine=duration=1"]);
    let url = format!("{}/api/v1/rooms/{room}/placeholders/{id}/sound", site.base);
    assert_eq!(site.client.put(url).bearer_auth(&token).body(sound.clone()).send().await.unwrap().status(), 204);
    assert_eq!(&get("sound", &token).await.2[..], sound);

    let (_, second) = upload(&site, &token, &room, "name=m&text=hello", "", Vec::new()).await;
    let second = second["id"].as_str().unwrap().to_owned();
    assert_eq!(shelf().await["ordered_at"], 0);
    let path = format!("/rooms/{room}/placeholders/{second}");
    let now = site.call(Method::PATCH, &path, Some(&token), Some(json!({"position": 0}))).await.1;
    assert_eq!((&now["placeholders"][0]["id"], now["ordered_at"].as_i64().unwrap() > 0), (&json!(second), true));

    assert_eq!(site.call(Method::DELETE, &format!("/rooms/{room}/placeholders/{id}"), Some(&token), None).await.0, 204);
    let now = shelf().await;
    assert_eq!((&now["removed"][0]["id"], &now["removed"][0]["key"]), (&json!(id), &json!("mine-1")), "{now}");
    // Put there again by its owner, it is no longer deleted.
    assert_eq!(upload(&site, &token, &room, "name=n&key=mine-1", "image/svg+xml", SVG.to_vec()).await.0, 201);
    assert_eq!(shelf().await["removed"], json!([]));
}

#[test]
fn a_worker_may_take_as_long_as_what_it_makes_is() {
    use mujian_server::placeholder::encode::{Order, make, processor_seconds};
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("a.mp4");
    ffmpeg(&film, &["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=5:duration=8.5"]);
    let mut order = Order {
        file: Some(film),
        sound: None,
        text: String::new(),
        owner: "n".into(),
        width: 320,
        height: 180,
        fps: 30,
        out: folder.path().join("out"),
        poster: folder.path().join("poster"),
    };
    let told = std::cell::Cell::new(0);
    make(&order, |seconds| told.set(seconds)).unwrap();
    assert_eq!(told.get(), processor_seconds(9), "not ten minutes' worth");
    (order.file, order.text) = (None, "words".into());
    make(&order, |seconds| told.set(seconds)).unwrap();
    assert_eq!(told.get(), processor_seconds(0));
}
