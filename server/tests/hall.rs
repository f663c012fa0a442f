//! What is announced and what ended lately, over TCP, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, site};
use mujian_protocol::room::RoomEventBody::{self, StreamEnded, StreamStarted};
use mujian_protocol::{RoomId, StreamId};
use mujian_server::store::{NewEvent, RecordingProgress};
use reqwest::Method;
use serde_json::{Value, json};

const DAY: i64 = 24 * 3600 * 1000;

fn why(body: &Value) -> (&str, &str) {
    assert!(body["message"].as_str().is_some_and(|m| m.len() > 10 && m.ends_with('.')), "{body}");
    (body["code"].as_str().unwrap(), body["problem"]["kind"].as_str().unwrap_or_default())
}

async fn announce(site: &Site, token: Option<&str>, room: &str, at: i64, title: &str) -> (u16, Value) {
    let body = json!({"at": at, "title": title});
    let (status, body) = site.call(Method::PUT, &format!("/rooms/{room}/announcement"), token, Some(body)).await;
    (status.as_u16(), body)
}

async fn announced(site: &Site, room: &str) -> Value {
    site.get(&format!("/rooms/{room}/announcement"), None).await.1
}

fn now(site: &Site) -> i64 {
    site.server.as_ref().unwrap().app().clock.wall().millis()
}

#[tokio::test]
async fn a_programme_is_announced_by_its_rooms_owner_for_a_time_ahead() {
    let site = site().await;
    let (owner, other) = (site.person("owner").await, site.person("other").await);
    let (room, later) = (site.room(&owner).await, site.room(&owner).await);
    let (id, later) = (room["id"].as_str().unwrap(), later["id"].as_str().unwrap());
    let at = now(&site) + DAY;
    assert_eq!(announce(&site, None, id, at, "Snow").await.0, 401);
    let (status, body) = announce(&site, Some(&other), id, at, "Snow").await;
    assert_eq!((status, why(&body)), (403, ("forbidden", "not_yours")));
    assert_eq!(announce(&site, Some(&owner), "nowhere", at, "Snow").await.0, 404);
    for (at, title, problem) in [
        (now(&site) - 1, "Snow", "announced_when"),
        (0, "Snow", "announced_when"),
        (i64::MIN, "Snow", "announced_when"),
        (i64::MAX, "Snow", "announced_when"),
        (now(&site) + 90 * DAY + 60_000, "Snow", "announced_when"),
        (at, " ", "text_empty"),
        (at, &"x".repeat(81), "text_too_long"),
        (at, "a\u{202e}b", "text_forbidden"),
    ] {
        let (status, body) = announce(&site, Some(&owner), id, at, title).await;
        assert_eq!((status, why(&body)), (400, ("invalid_request", problem)), "{at} {title}");
    }
    assert_eq!(announced(&site, id).await, json!({"announced": null}), "nothing of that was kept");

    let kept = json!({"announced": {"at": at, "title": "看 雪"}});
    assert_eq!(announce(&site, Some(&owner), id, at, " 看\n雪 ").await, (200, kept.clone()));
    assert_eq!(announced(&site, id).await, kept);
    assert_eq!(announce(&site, Some(&owner), later, at + 1, "Later").await.0, 200);
    let site = site.restart().await;
    let (status, hall) = site.get("/hall", None).await;
    assert_eq!(status, 200);
    let told = hall["announced"].as_array().unwrap();
    assert_eq!(told.iter().map(|p| &p["announced"]["title"]).collect::<Vec<_>>(), ["看 雪", "Later"]);
    assert_eq!(told[0]["room"], site.get(&format!("/rooms/{id}"), None).await.1);
    assert_eq!(hall["ended"], json!([]));

    let path = format!("/rooms/{id}/announcement");
    assert_eq!(site.call(Method::DELETE, &path, Some(&other), None).await.0, 403);
    for _ in 0..2 {
        assert_eq!(site.call(Method::DELETE, &path, Some(&owner), None).await.0, 204);
    }
    assert_eq!(announced(&site, id).await, json!({"announced": null}));
    assert_eq!(site.get("/rooms/nowhere/announcement", None).await.0, 404);
    assert_eq!(site.get("/hall", None).await.1["announced"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_ended_lately_has_its_replay_once_there_is_one() {
    let site = site().await;
    let owner = site.person("owner").await;
    let made = site.room(&owner).await;
    let room: RoomId = made["id"].as_str().unwrap().parse().unwrap();
    let app = site.server.as_ref().unwrap().app();
    let say = async |at: i64, body: RoomEventBody| {
        let event = NewEvent { at: mujian_protocol::WallTime(at), author: None, client_ref: None, body };
        app.store.append_events(room.clone(), vec![event]).await.unwrap();
    };
    let now = now(&site);
    let (old, stream) = (StreamId::new(), StreamId::new());
    say(now - 4 * DAY, StreamStarted { stream: old.clone() }).await;
    say(now - 3 * DAY - 1000, StreamEnded { stream: old }).await;
    assert_eq!(site.get("/hall", None).await.1["ended"], json!([]), "that is too long ago");
    assert_eq!(announce(&site, Some(&owner), room.as_str(), now + 60_000, "Soon").await.0, 200);

    say(now - 5000, StreamStarted { stream: stream.clone() }).await;
    app.store.begin_recording(stream.clone(), room.clone(), app.clock.wall()).await.unwrap();
    let hall = site.get("/hall", None).await.1;
    assert_eq!(hall, json!({"announced": [], "ended": []}), "it runs");
    say(now - 1000, StreamEnded { stream: stream.clone() }).await;
    let ended = async || site.get("/hall", None).await.1["ended"].clone();
    let told = ended().await;
    assert_eq!((&told[0]["started_at"], &told[0]["ended_at"]), (&json!(now - 5000), &json!(now - 1000)));
    assert_eq!((&told[0]["room"]["id"], &told[0]["replay"]), (&json!(room), &Value::Null), "it is still being made");
    let progress =
        RecordingProgress { duration: 3999, bytes: 5, ended_at: Some(app.clock.wall()), ..Default::default() };
    app.store.note_recording(stream.clone(), progress).await.unwrap();
    assert_eq!(ended().await[0]["replay"], json!({"id": stream, "title": "a room", "played_ms": 3999}));
    // Nothing of it can be played: there is no link to it.
    app.store.note_recording(stream.clone(), RecordingProgress { duration: 0, ..progress }).await.unwrap();
    assert_eq!(ended().await[0]["replay"], Value::Null);
    app.store.note_recording(stream.clone(), progress).await.unwrap();
    app.store.delete_recording(stream).await.unwrap();
    assert_eq!(ended().await[0]["replay"], Value::Null);
}
