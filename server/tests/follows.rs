//! Following rooms, over TCP, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use std::process::Stdio;

use common::{Site, site, site_with};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::process::Command;

fn id(room: &Value) -> &str {
    room["id"].as_str().unwrap()
}

fn why(body: &Value) -> (&str, &str) {
    assert!(body["message"].as_str().is_some_and(|m| m.len() > 10 && m.ends_with('.')), "{body}");
    (body["code"].as_str().unwrap(), body["problem"]["kind"].as_str().unwrap_or_default())
}

async fn follow(site: &Site, token: Option<&str>, room: &str, on: bool) -> (u16, Value) {
    let method = if on { Method::PUT } else { Method::DELETE };
    let (status, body) = site.call(method, &format!("/rooms/{room}/follow"), token, None).await;
    (status.as_u16(), body)
}

async fn followed(site: &Site, token: &str, query: &str) -> Vec<Value> {
    let (status, list) = site.get(&format!("/me/followed{query}"), Some(token)).await;
    assert_eq!(status, 200, "{list}");
    list.as_array().unwrap().clone()
}

async fn followers(site: &Site, token: &str, room: &str) -> Value {
    site.get(&format!("/rooms/{room}/followers"), Some(token)).await.1
}

#[tokio::test]
async fn an_account_follows_rooms_and_only_their_owner_is_told_how_many_do() {
    let site = site().await;
    let [owner, other, fan] = [site.person("owner").await, site.person("other").await, site.person("fan").await];
    let (one, two) = (site.room(&owner).await, site.room(&other).await);
    let (one, two) = (id(&one), id(&two));
    assert_eq!(follow(&site, None, one, true).await.0, 401);
    assert_eq!(follow(&site, None, one, false).await.0, 401);
    assert_eq!(site.get("/me/followed", None).await.0, 401);
    assert_eq!(follow(&site, Some(&fan), "nowhere", true).await.0, 404);
    assert_eq!(follow(&site, Some(&fan), "nowhere", false).await.0, 204, "what is not there is not followed");
    let (status, body) = follow(&site, Some(&owner), one, true).await;
    assert_eq!((status, why(&body)), (409, ("conflict", "follows_own")));

    assert_eq!(followed(&site, &fan, "").await, [] as [Value; 0]);
    for _ in 0..2 {
        assert_eq!(follow(&site, Some(&fan), one, true).await, (204, Value::Null));
    }
    assert_eq!(follow(&site, Some(&fan), two, true).await.0, 204);
    assert_eq!(follow(&site, Some(&other), one, true).await.0, 204);
    // As everybody sees them; of other accounts' follows nothing is told.
    let list = followed(&site, &fan, "").await;
    assert_eq!(list.len(), 2);
    for room in &list {
        assert_eq!(*room, site.get(&format!("/rooms/{}", id(room)), None).await.1);
    }
    assert_eq!(followed(&site, &other, "").await.iter().map(id).collect::<Vec<_>>(), [one]);
    assert_eq!(followed(&site, &owner, "").await, [] as [Value; 0]);
    assert_eq!(followed(&site, &fan, "?live=true").await, [] as [Value; 0]);

    assert_eq!(followers(&site, &owner, one).await, json!({"followers": 2}));
    for (token, room, expected) in [(&other, one, 403), (&fan, one, 403), (&owner, "nowhere", 404)] {
        assert_eq!(site.get(&format!("/rooms/{room}/followers"), Some(token)).await.0, expected);
    }
    assert_eq!(why(&followers(&site, &fan, one).await), ("forbidden", "not_yours"));
    let app = site.server.as_ref().unwrap().app();
    let operator = app.accounts.operator_session(&app.store, &app.clock, "host").await.unwrap().token;
    assert_eq!(why(&followers(&site, &operator, one).await), ("forbidden", "not_yours"));
    assert_eq!(site.get(&format!("/rooms/{one}/followers"), None).await.0, 401);
    let told = site.get(&format!("/rooms/{one}"), None).await.1.to_string();
    assert!(!told.contains("follow"), "{told}");

    let site = site.restart().await;
    assert_eq!(followed(&site, &fan, "").await.len(), 2, "it outlives the server");
    for _ in 0..2 {
        assert_eq!(follow(&site, Some(&fan), one, false).await, (204, Value::Null));
    }
    assert_eq!(followed(&site, &fan, "").await.iter().map(id).collect::<Vec<_>>(), [two]);
    assert_eq!(followers(&site, &owner, one).await, json!({"followers": 1}));
}

#[tokio::test]
async fn an_account_follows_a_bounded_number_of_rooms_and_is_told_so() {
    assert_eq!(mujian_server::config::Limits::default().rooms_followed, 500);
    let site = site_with(|c| c.limits.rooms_followed = 2).await;
    let (owner, fan) = (site.person("owner").await, site.person("fan").await);
    let [a, b, c] = [site.room(&owner).await, site.room(&owner).await, site.room(&owner).await];
    for room in [&a, &b, &a] {
        assert_eq!(follow(&site, Some(&fan), id(room), true).await.0, 204);
    }
    let (status, body) = follow(&site, Some(&fan), id(&c), true).await;
    assert_eq!((status, why(&body), &body["problem"]["max"]), (409, ("conflict", "follows_full"), &json!(2)));
    // One that is followed stays so, and a place that is given back is free.
    assert_eq!(follow(&site, Some(&fan), id(&a), true).await.0, 204);
    assert_eq!(follow(&site, Some(&fan), id(&b), false).await.0, 204);
    assert_eq!(follow(&site, Some(&fan), id(&c), true).await.0, 204);
    assert_eq!(followed(&site, &fan, "").await.len(), 2);
}

#[tokio::test]
async fn what_is_live_comes_first() {
    let site = site().await;
    let (owner, fan) = (site.person("owner").await, site.person("fan").await);
    let live = site.room(&owner).await;
    // Made later, and so the newer of the two.
    let off = site.room(&owner).await;
    for room in [&live, &off] {
        assert_eq!(follow(&site, Some(&fan), id(room), true).await.0, 204);
    }
    assert_eq!(followed(&site, &fan, "").await.iter().map(id).collect::<Vec<_>>(), [id(&off), id(&live)]);
    let mut socket = site.socket(id(&live)).await;
    socket.hello(None, None).await;
    let address = format!("{}?key={}", live["rtmp_url"].as_str().unwrap(), live["stream_key"].as_str().unwrap());
    let _publisher = Command::new("ffmpeg")
        .args(["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25", "-f", "lavfi", "-i", "sine"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-threads", "1", "-c:a", "aac", "-ar", "48000"])
        .args(["-f", "flv", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("ffmpeg is installed");
    while socket.next_of("event").await["event"]["body"]["stage"] != "live" {}
    let list = followed(&site, &fan, "").await;
    assert_eq!(list.iter().map(id).collect::<Vec<_>>(), [id(&live), id(&off)]);
    assert_eq!((&list[0]["stage"], list[0]["live_since"].is_i64()), (&json!("live"), true));
    assert_eq!(followed(&site, &fan, "?live=true").await, list[..1]);
}
