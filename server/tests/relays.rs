//! Where rooms are restreamed to, by the API; what goes there is tested end to end (`tests/e2e/relay.rs`).

#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, site, site_with};
use mujian_server::config::Rate;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const KEY: &str = "live_12345_s3cretsecret";

fn one(name: &str) -> Value {
    json!({"name": name, "url": "rtmps://live.example.tv/app", "key": KEY})
}

async fn room(site: &Site, token: &str) -> String {
    format!("/rooms/{}/relays", site.room(token).await["id"].as_str().unwrap())
}

fn problem((status, body): &(StatusCode, Value)) -> (u16, &str) {
    assert!(body["message"].as_str().is_some_and(|m| m.ends_with('.') && !m.contains(KEY)), "{body}");
    (status.as_u16(), body["problem"]["kind"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn an_owner_keeps_a_list_and_keys_go_in_only() {
    let site = site().await;
    let token = site.person("owner").await;
    let path = room(&site, &token).await;
    assert_eq!(site.get(&path, Some(&token)).await, (StatusCode::OK, json!([])));
    let (status, added) = site.post(&path, Some(&token), one(" 平台 ")).await;
    let (id, since) = (added["id"].as_str().unwrap().to_owned(), added["since"].as_i64().unwrap());
    let view = json!({
        "id": id, "name": "平台", "url": "rtmps://live.example.tv/app", "key_end": "cret", "on": true,
        "state": {"state": "idle"}, "since": since,
    });
    assert_eq!((status.as_u16(), &added), (201, &view));
    let listed = site.get(&path, Some(&token)).await.1;
    assert_eq!((listed[0]["id"].as_str(), listed.as_array().unwrap().len()), (Some(id.as_str()), 1));

    let change = async |body: Value| site.call(Method::PATCH, &format!("{path}/{id}"), Some(&token), Some(body)).await;
    let (status, changed) = change(json!({"on": false, "name": "other"})).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&changed["name"], &changed["on"], &changed["state"]["state"]),
        (&json!("other"), &json!(false), &json!("off"))
    );
    // A key goes nowhere but where it was given for.
    let elsewhere = json!({"url": "rtmp://elsewhere.example.tv/app"});
    assert_eq!(problem(&change(elsewhere.clone()).await), (400, "relay_key_again"));
    assert_eq!(change(json!({"url": "rtmps://live.example.tv/app"})).await.0, 200);
    let (status, changed) = change(json!({"url": elsewhere["url"], "key": "short"})).await;
    assert_eq!((status.as_u16(), &changed["url"], &changed["key_end"]), (200, &elsewhere["url"], &json!("")));
    let whole = json!({"url": "rtmps://live.example.tv/app", "key": KEY, "on": true});
    assert_eq!(change(whole).await.0, 200);

    // Nothing that is told has the key: the list, the export.
    let export = site.get("/me/export", Some(&token)).await.1;
    let told = json!([{"name": "other", "url": "rtmps://live.example.tv/app", "on": true}]);
    assert_eq!(export["rooms"][0]["relays"], told);
    let listed = site.get(&path, Some(&token)).await.1;
    assert!(!format!("{listed}{export}").contains("s3cret"), "{listed}");

    // What was kept is there after a restart.
    let site = site.restart().await;
    let mut after = site.get(&path, Some(&token)).await.1;
    assert_eq!(after[0]["state"]["state"], "idle");
    after[0]["since"] = listed[0]["since"].clone();
    after[0]["state"] = listed[0]["state"].clone();
    assert_eq!(after, listed);
    let delete = async |id: &str| site.call(Method::DELETE, &format!("{path}/{id}"), Some(&token), None).await;
    assert_eq!(delete(&id).await.0, 204);
    assert_eq!(delete(&id).await.0, 404);
    assert_eq!(delete("nothing").await.0, 404);
    assert_eq!(site.get(&path, Some(&token)).await.1, json!([]));
}

#[tokio::test]
async fn what_is_no_name_address_or_key_is_refused() {
    let site = site_with(|c| c.limits.relays = Rate { burst: 9, per_hour: 1 }).await;
    let token = site.person("owner").await;
    let path = room(&site, &token).await;
    for (field, value, wanted) in [
        ("name", "", "text_empty"),
        ("name", &*"n".repeat(41), "text_too_long"),
        ("name", "a\u{202e}b", "text_forbidden"),
        ("url", "http://live.example.tv/app", "relay_address"),
        ("url", "rtmp://live.example.tv", "relay_address"),
        ("url", "rtmp://user:pass@live.example.tv/app", "relay_address"),
        ("key", " ", "relay_key"),
        ("key", "two words", "relay_key"),
        ("key", &*"k".repeat(501), "relay_key"),
    ] {
        let mut body = one("name");
        body[field] = value.into();
        assert_eq!(problem(&site.post(&path, Some(&token), body).await), (400, wanted), "{field}: {value}");
    }
    for n in 0..8 {
        assert_eq!(site.post(&path, Some(&token), one(&format!("{n}"))).await.0, 201);
    }
    assert_eq!(problem(&site.post(&path, Some(&token), one("9")).await), (409, "relays_full"));
    assert_eq!(problem(&site.post(&path, Some(&token), one("10")).await), (429, "too_often"));
}

#[tokio::test]
async fn nobody_but_the_owner_sees_or_changes_it() {
    let site = site_with(|c| c.print_setup_code = true).await;
    let (operator, owner, other) =
        (site.person("operator").await, site.person("owner").await, site.person("other").await);
    let code = site.server.as_ref().unwrap().setup_code().unwrap();
    assert_eq!(site.post("/setup", Some(&operator), json!({"code": code})).await.0, 200);
    let path = room(&site, &owner).await;
    let id = site.post(&path, Some(&owner), one("one")).await.1["id"].as_str().unwrap().to_owned();
    let it = format!("{path}/{id}");
    for (token, status) in [(Some(&operator), 403), (Some(&other), 403), (None, 401)] {
        let token = token.map(String::as_str);
        assert_eq!(site.get(&path, token).await.0, status);
        assert_eq!(site.post(&path, token, one("two")).await.0, status);
        assert_eq!(site.call(Method::PATCH, &it, token, Some(json!({"on": false}))).await.0, status);
        assert_eq!(site.call(Method::DELETE, &it, token, None).await.0, status);
    }
    // By way of another's room it is not there either.
    let theirs = room(&site, &other).await;
    let through = format!("{theirs}/{id}");
    assert_eq!(site.call(Method::PATCH, &through, Some(&other), Some(json!({"on": false}))).await.0, 404);
    assert_eq!(site.call(Method::DELETE, &through, Some(&other), None).await.0, 404);
    assert_eq!(site.get("/rooms/nowhere/relays", Some(&owner)).await.0, 404);
    assert_eq!(site.get(&path, Some(&owner)).await.1[0]["on"], true);
}

/// The server's own network is the operator's: who only has an account does not reach it through the server.
#[tokio::test]
async fn the_servers_own_network_is_for_the_operators_rooms() {
    let own = [
        "rtmp://127.0.0.1/live",
        "rtmp://localhost:1935/live",
        "rtmp://10.0.0.3/live",
        "rtmps://[::1]/live",
        "rtmp://169.254.169.254/latest",
    ];
    let site = site_with(|c| c.print_setup_code = true).await;
    let (operator, owner) = (site.person("operator").await, site.person("owner").await);
    let code = site.server.as_ref().unwrap().setup_code().unwrap();
    assert_eq!(site.post("/setup", Some(&operator), json!({"code": code})).await.0, 200);
    let (theirs, others) = (room(&site, &operator).await, room(&site, &owner).await);
    let relay = |url: &str| json!({"name": "n", "url": url, "key": "k"});
    for url in own {
        assert_eq!(problem(&site.post(&others, Some(&owner), relay(url)).await), (403, "relay_private"), "{url}");
        assert_eq!(site.post(&theirs, Some(&operator), relay(url)).await.0, 201, "{url}");
    }
    let public = site.post(&others, Some(&owner), relay("rtmp://203.0.114.9/live")).await.1;
    let it = format!("{others}/{}", public["id"].as_str().unwrap());
    let moved = site.call(Method::PATCH, &it, Some(&owner), Some(json!({"url": own[0], "key": "k"}))).await;
    assert_eq!(problem(&moved), (403, "relay_private"));

    let site = site_with(|c| c.relays_to_private = true).await;
    let owner = site.person("owner").await;
    let path = room(&site, &owner).await;
    assert_eq!(site.post(&path, Some(&owner), relay(own[0])).await.0, 201);
}
