//! Calls under `/api/v1`, over TCP, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use common::{site, site_with};
use mujian_media::rtmp::Secret;
use mujian_protocol::RoomId;
use mujian_server::config::Rate;
use mujian_server::ingest::{Denied, Publishers};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn code(body: &Value) -> &str {
    assert!(body["message"].as_str().is_some_and(|m| m.len() > 10 && m.ends_with('.')), "{body}");
    body["code"].as_str().unwrap()
}

#[tokio::test]
async fn accounts_and_sessions() {
    let site = site().await;
    let (status, body) = site.post("/accounts", None, json!({"name": " 小明 ", "password": "correct horse"})).await;
    assert_eq!(status, 201);
    assert_eq!((body["account"]["name"].as_str(), body["account"]["role"].as_str()), (Some("小明"), Some("viewer")));
    assert!(body["account"]["id"].is_string() && body["account"]["created_at"].is_i64());
    let token = body["token"].as_str().unwrap().to_owned();
    assert_eq!(site.get("/me", Some(&token)).await.1, body["account"]);

    let (status, body) =
        site.post("/accounts", None, json!({"name": "小\u{200b}明", "password": "correct horse"})).await;
    assert_eq!((status.as_u16(), code(&body)), (409, "name_taken"));
    for (name, password) in [
        ("", "correct horse"),
        ("a\u{202e}", "correct horse"),
        (&"n".repeat(25), "correct horse"),
        ("b", "short"),
        ("b", &"p".repeat(257)),
    ] {
        let (status, body) = site.post("/accounts", None, json!({"name": name, "password": password})).await;
        assert_eq!((status.as_u16(), code(&body)), (400, "invalid_request"), "{name}");
    }

    let (status, body) = site.post("/sessions", None, json!({"name": "小明", "password": "correct horse"})).await;
    assert_eq!(status, 201);
    let second = body["token"].as_str().unwrap().to_owned();
    for (name, password) in [("小明", "correct horses"), ("nobody", "correct horse")] {
        let (status, body) = site.post("/sessions", None, json!({"name": name, "password": password})).await;
        assert_eq!((status.as_u16(), code(&body)), (401, "wrong_credentials"));
    }
    assert_eq!(site.call(Method::DELETE, "/sessions/current", Some(&token), None).await.0, 204);
    let (status, body) = site.get("/me", Some(&token)).await;
    assert_eq!((status.as_u16(), code(&body)), (401, "unauthenticated"));
    assert_eq!(site.get("/me", Some(&second)).await.0, 200);
    let site = site.restart().await;
    assert_eq!(site.get("/me", Some(&second)).await.0, 200, "a session outlives the server");
}

#[tokio::test]
async fn every_failure_is_a_code_and_a_sentence() {
    let site = site().await;
    let raw = |method: Method, path: &str, kind: &str, body: Vec<u8>| {
        let request =
            site.client.request(method, format!("{}/api/v1{path}", site.base)).header("content-type", kind).body(body);
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.json::<Value>().await.unwrap())
        }
    };
    let json_type = "application/json";
    for (status, expected, answer) in [
        (404, "not_found", raw(Method::GET, "/nothing", json_type, vec![]).await),
        (404, "not_found", raw(Method::GET, "/../v2/rooms", json_type, vec![]).await),
        (404, "not_found", raw(Method::GET, "/rooms/abcd", json_type, vec![]).await),
        (404, "not_found", raw(Method::GET, "/rooms/NO!", json_type, vec![]).await),
        (404, "not_found", raw(Method::GET, "/rooms/%ff", json_type, vec![]).await),
        (404, "not_found", raw(Method::POST, "/rooms/abcd/publishers/%ff/admit", json_type, vec![]).await),
        (404, "not_found", raw(Method::PATCH, "/accounts/%ff", json_type, vec![]).await),
        (405, "invalid_request", raw(Method::PUT, "/accounts", json_type, vec![]).await),
        (415, "invalid_request", raw(Method::POST, "/accounts", "text/plain", b"{}".to_vec()).await),
        (400, "invalid_request", raw(Method::POST, "/accounts", json_type, b"{".to_vec()).await),
        (422, "invalid_request", raw(Method::POST, "/accounts", json_type, b"{\"name\": 1}".to_vec()).await),
        (413, "too_large", raw(Method::POST, "/accounts", json_type, vec![b' '; 65 * 1024]).await),
        (400, "invalid_request", raw(Method::GET, "/rooms?limit=many", json_type, vec![]).await),
        (400, "invalid_request", raw(Method::GET, "/rooms?lime=1", json_type, vec![]).await),
        (401, "unauthenticated", raw(Method::POST, "/rooms", json_type, b"{\"title\": \"a\"}".to_vec()).await),
        (401, "unauthenticated", raw(Method::GET, "/me", json_type, vec![]).await),
        (404, "not_found", raw(Method::GET, "/rooms/abcd/socket", json_type, vec![]).await),
    ] {
        assert_eq!((answer.0, code(&answer.1)), (status, expected), "{}", answer.1);
    }
}

#[tokio::test]
async fn rooms() {
    let site = site().await;
    let (owner, other) = (site.person("owner").await, site.person("other").await);
    let ask = json!({"title": " <i>Night</i> ", "category": "Music", "tags": ["a", "A", "b"]});
    let (status, made) = site.post("/rooms", Some(&owner), ask).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!(site.get("/me", Some(&owner)).await.1["role"], "streamer");
    let id = made["id"].as_str().unwrap();
    let key = made["stream_key"].as_str().unwrap();
    assert!(key.len() >= 20);
    let rtmp = site.server.as_ref().unwrap().rtmp;
    assert_eq!(made["rtmp_url"], format!("rtmp://127.0.0.1:{}/live/{id}", rtmp.port()));
    assert_eq!(
        (&made["title"], &made["stage"], &made["tags"]),
        (&json!("<i>Night</i>"), &json!("off"), &json!(["a", "b"]))
    );

    let (status, seen) = site.get(&format!("/rooms/{id}"), None).await;
    assert_eq!((status.as_u16(), &seen["owner"]["name"], &seen["viewers"]), (200, &json!("owner"), &json!(0)));
    assert!(seen.get("stream_key").is_none() && !seen.to_string().contains(key));
    let (_, list) = site.get("/rooms", None).await;
    assert_eq!(list, json!([seen]));
    assert_eq!(site.get("/rooms?live=true", None).await.1, json!([]));
    assert_eq!(site.get("/me/rooms", Some(&owner)).await.1, json!([seen]));
    assert_eq!(site.get("/me/rooms", Some(&other)).await.1, json!([]));

    for (method, path) in [
        (Method::GET, "owner"),
        (Method::POST, "stream_key"),
        (Method::POST, "end"),
        (Method::GET, "publishers"),
        (Method::GET, "publishers/refused"),
        (Method::POST, "publishers/x/admit"),
    ] {
        let path = format!("/rooms/{id}/{path}");
        let (status, body) = site.call(method.clone(), &path, Some(&other), None).await;
        assert_eq!((status.as_u16(), code(&body)), (403, "forbidden"), "{path}");
        assert_eq!(site.call(method, &path, None, None).await.0, 401);
    }
    let path = format!("/rooms/{id}");
    assert_eq!(site.call(Method::PATCH, &path, Some(&other), Some(json!({"title": "mine"}))).await.0, 403);
    let (status, body) = site.call(Method::PATCH, &path, Some(&owner), Some(json!({"title": "Day", "tags": []}))).await;
    assert_eq!(
        (status.as_u16(), &body["title"], &body["category"], &body["tags"]),
        (200, &json!("Day"), &json!("Music"), &json!([]))
    );
    for bad in [
        json!({"title": ""}),
        json!({"title": "t".repeat(81)}),
        json!({"tags": vec!["t"; 9]}),
        json!({"category": "a\u{0}"}),
    ] {
        let (status, body) = site.call(Method::PATCH, &path, Some(&owner), Some(bad)).await;
        assert_eq!((status.as_u16(), code(&body)), (400, "invalid_request"));
    }

    assert_eq!(site.get(&format!("{path}/owner"), Some(&owner)).await.1["stream_key"], key);
    let (_, renewed) = site.post(&format!("{path}/stream_key"), Some(&owner), json!({})).await;
    let new = renewed["stream_key"].as_str().unwrap();
    assert_ne!(new, key);
    let rooms = &site.server.as_ref().unwrap().app().rooms;
    let room = id.parse().unwrap();
    let opens = async |room: &RoomId, key: &str| rooms.authorise(room, &Secret::new(key)).await.map(|_| ());
    assert_eq!(opens(&room, key).await, Err(Denied::WrongKey));
    assert_eq!(opens(&room, new).await, Ok(()));
    // Not told apart: ids can be guessed.
    assert_eq!(opens(&"nowhere".parse().unwrap(), new).await, Err(Denied::WrongKey));

    let (status, body) = site.post(&format!("{path}/end"), Some(&owner), json!({})).await;
    assert_eq!((status.as_u16(), code(&body)), (409, "off_air"));
    assert_eq!(site.get(&format!("{path}/publishers"), Some(&owner)).await.1, json!([]));
    let (status, body) = site.post(&format!("{path}/publishers/x/admit"), Some(&owner), json!({})).await;
    assert_eq!((status.as_u16(), code(&body)), (404, "not_found"));
    let (status, token) = site.post(&format!("{path}/tokens"), Some(&other), json!({})).await;
    assert_eq!(status, 201);
    let app = site.server.as_ref().unwrap().app();
    assert!(app.watch_tokens.check(token["token"].as_str().unwrap(), &room, app.clock.now()).is_some());

    let site = site.restart().await;
    let (_, seen) = site.get(&path, None).await;
    assert_eq!((&seen["title"], &seen["stage"]), (&json!("Day"), &json!("off")));
}

#[tokio::test]
async fn rooms_are_searched_for() {
    let site = site().await;
    let mut ids = Vec::new();
    for (owner, new) in [
        ("岚山 Lanshan", json!({"title": "深夜手冲 · 听雨聊天", "category": "生活", "tags": ["咖啡", "雨声"]})),
        ("Marlow", json!({"title": "Writing an RTMP server", "category": "Code", "tags": ["rust"]})),
    ] {
        let token = site.person(owner).await;
        ids.push(site.post("/rooms", Some(&token), new).await.1["id"].clone());
    }
    let search = async |query: &[(&str, &str)]| {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/rooms", site.base), query).unwrap();
        let answer = site.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query:?}");
        let rooms: Value = answer.json().await.unwrap();
        rooms.as_array().unwrap().iter().map(|room| room["id"].clone()).collect::<Vec<_>>()
    };
    let long = "咖啡".repeat(300);
    for (words, which) in [
        ("听雨", Some(0)),
        ("咖啡聊天", Some(0)),
        ("lanshan 生活", Some(0)),
        ("ＲＵＳＴ", Some(1)),
        ("mar", Some(1)),
        ("咖啡 rust", None),
        ("\"*:%_' OR 1=1 --", None),
        ("***", None),
        (long.as_str(), Some(0)),
    ] {
        let expected: Vec<Value> = which.map(|i: usize| ids[i].clone()).into_iter().collect();
        assert_eq!(search(&[("search", words)]).await, expected, "{words}");
    }
    assert_eq!(search(&[("search", "rust"), ("live", "true")]).await, Vec::<Value>::new(), "none is on air");
    assert_eq!(search(&[("search", "rust"), ("limit", "0")]).await, Vec::<Value>::new());
    assert_eq!(search(&[("search", "  ")]).await.len(), 2, "nothing is searched for");
}

#[tokio::test]
async fn a_name_is_changed_by_its_owner_and_heard_in_rooms_at_once() {
    let site = site().await;
    let (owner, other) = (site.person("owner").await, site.person("Other").await);
    let room = site.room(&owner).await;
    let id = room["id"].as_str().unwrap();
    let (mut mine, mut guest) = (site.socket(id).await, site.socket(id).await);
    mine.hello(Some(&owner), None).await;
    guest.hello(None, None).await;
    let rename = async |who: Option<&str>, name: &str| {
        let (status, body) = site.call(Method::PATCH, "/me", who, Some(json!({"name": name}))).await;
        (status.as_u16(), body)
    };
    assert_eq!(rename(None, "x").await.0, 401);
    for bad in ["", " ", "a\u{7}b", &"n".repeat(25)] {
        let (status, body) = rename(Some(&owner), bad).await;
        assert_eq!((status, code(&body)), (400, "invalid_request"), "{bad:?}");
    }
    let (status, body) = rename(Some(&owner), "OTHER").await;
    assert_eq!((status, code(&body)), (409, "name_taken"));
    let (status, body) = rename(Some(&owner), " 岚山 ").await;
    assert_eq!((status, &body["name"]), (200, &json!("岚山")));
    // One's own name may be written in another way.
    assert_eq!(rename(Some(&other), "other").await.1["name"], "other");

    let told = guest.next_of("renamed").await;
    assert_eq!(told["person"], json!({"id": body["id"], "name": "岚山"}));
    assert_eq!(site.get(&format!("/rooms/{id}"), None).await.1["owner"]["name"], "岚山");
    assert_eq!(site.get("/me", Some(&owner)).await.1["name"], "岚山");
    // Who was in the room already writes by the new name.
    mine.next_of("renamed").await;
    mine.send(json!({"type": "danmaku", "client_ref": "a", "text": "hi"})).await;
    assert_eq!(guest.next_of("event").await["event"]["body"]["author"]["name"], "岚山");
    // The new name logs in, the old one is free.
    let credentials = |name: &str| json!({"name": name, "password": "correct horse"});
    assert_eq!(site.post("/sessions", None, credentials("岚山")).await.0, 201);
    assert_eq!(site.post("/accounts", None, credentials("owner")).await.0, 201);
}

#[tokio::test]
async fn the_setup_code_makes_one_operator() {
    let site = site_with(|c| c.print_setup_code = true).await;
    assert_eq!(site.get("/server", None).await.1["setup_needed"], true);
    let (first, second) = (site.person("first").await, site.person("second").await);
    let right = site.server.as_ref().unwrap().setup_code().unwrap();
    let (status, body) = site.post("/setup", Some(&first), json!({"code": "AAAA-AAAA-AAAA"})).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "wrong_setup_code"));
    assert_eq!(site.post("/setup", None, json!({"code": right})).await.0, 401);
    let (status, body) = site.post("/setup", Some(&first), json!({"code": right.to_lowercase()})).await;
    assert_eq!((status.as_u16(), &body["role"]), (200, &json!("operator")));
    let (status, body) = site.post("/setup", Some(&second), json!({"code": right})).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "wrong_setup_code"));
    assert_eq!(site.get("/server", None).await.1["setup_needed"], false);
    // The operator finds people and gives them roles; nobody else does.
    let find = |token: String| {
        let site = &site;
        async move { site.get("/accounts?name=SECOND", Some(&token)).await }
    };
    assert_eq!(find(second.clone()).await.0, 403);
    let found = find(first.clone()).await.1;
    assert_eq!((&found[0]["name"], &found[0]["role"]), (&json!("second"), &json!("viewer")));
    let of = |account: &Value| format!("/accounts/{}", account["id"].as_str().unwrap());
    let (me, role) = (site.get("/me", Some(&first)).await.1, |role: &str| Some(json!({"role": role})));
    assert_eq!(site.call(Method::PATCH, &of(&found[0]), Some(&second), role("operator")).await.0, 403);
    let (status, body) = site.call(Method::PATCH, &of(&me), Some(&first), role("viewer")).await;
    assert_eq!((status.as_u16(), code(&body)), (409, "conflict"), "there is always an operator");
    let (status, body) = site.call(Method::PATCH, &of(&found[0]), Some(&first), role("moderator")).await;
    assert_eq!((status.as_u16(), &body["role"]), (200, &json!("moderator")));
    assert_eq!(site.call(Method::PATCH, "/accounts/nobody", Some(&first), role("viewer")).await.0, 404);
    assert_eq!(site.call(Method::PATCH, &of(&me), Some(&first), role("king")).await.0, 422);
    // The operator may do what owners may.
    let room = site.room(&second).await;
    let path = format!("/rooms/{}/owner", room["id"].as_str().unwrap());
    assert_eq!(site.get(&path, Some(&first)).await.0, 200);
}

#[tokio::test]
async fn a_host_has_its_operator_before_anything_listens() {
    let data = tempfile::tempdir().unwrap();
    let server = mujian_server::Server::open(mujian_server::Config::local(data.path())).unwrap();
    let session = server.operator_session("streamer").await.unwrap();
    let again = server.operator_session("somebody else").await.unwrap();
    assert_eq!(session.account.id, again.account.id);
    let running = server.listen().await.unwrap();
    assert_eq!(running.setup_code(), None);
    let me = format!("http://{}/api/v1/me", running.http);
    let body: Value =
        reqwest::Client::new().get(&me).bearer_auth(&session.token).send().await.unwrap().json().await.unwrap();
    assert_eq!((&body["role"], &body["name"]), (&json!("operator"), &json!("streamer")));
    // Shared: another address, until that is over.
    let extra = running.listen_also("127.0.0.1:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let health = format!("http://{}/healthz", extra.http);
    assert_eq!(reqwest::get(&health).await.unwrap().status(), 200);
    let address = extra.http;
    drop(extra);
    let deadline = tokio::time::Instant::now() + common::PATIENCE;
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "the address is still served");
        tokio::task::yield_now().await;
    }
    running.shutdown().await;
}

#[tokio::test]
async fn too_often_is_refused_with_the_time_to_wait() {
    let site = site_with(|c| c.limits.accounts = Rate { burst: 1, per_hour: 60 }).await;
    site.person("one").await;
    let url = format!("{}/api/v1/accounts", site.base);
    let response =
        site.client.post(url).json(&json!({"name": "two", "password": "correct horse"})).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(code(&response.json().await.unwrap()), "rate_limited");
}

#[tokio::test]
async fn registration_can_be_closed() {
    let site = site_with(|c| c.registration_open = false).await;
    let (status, body) = site.post("/accounts", None, json!({"name": "a", "password": "correct horse"})).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "registration_closed"));
}

#[tokio::test]
async fn where_registration_is_closed_the_operator_makes_accounts() {
    let site = site_with(|c| c.registration_open = false).await;
    let operator = site.server.as_ref().unwrap().app();
    let session = operator.accounts.operator_session(&operator.store, &operator.clock, "host").await.unwrap();
    let new = json!({"name": "a", "password": "correct horse"});
    assert_eq!(site.post("/accounts", Some("nonsense"), new.clone()).await.0, 403);
    let (status, body) = site.post("/accounts", Some(&session.token), new).await;
    assert_eq!((status.as_u16(), &body["account"]["role"]), (201, &json!("viewer")));
    // Whom the operator made may not make others.
    let made = body["token"].as_str().unwrap().to_owned();
    assert_eq!(site.post("/accounts", Some(&made), json!({"name": "b", "password": "correct horse"})).await.0, 403);
}

#[tokio::test]
async fn rooms_can_be_for_streamers_only() {
    let site = site_with(|c| c.rooms_open = false).await;
    let viewer = site.person("viewer").await;
    let (status, body) = site.post("/rooms", Some(&viewer), json!({"title": "t"})).await;
    assert_eq!((status.as_u16(), code(&body)), (403, "forbidden"));
    let app = site.server.as_ref().unwrap().app();
    let id = site.call(Method::GET, "/me", Some(&viewer), None).await.1["id"].as_str().unwrap().parse().unwrap();
    app.store.set_role(id, mujian_protocol::api::Role::Streamer, None).await.unwrap();
    assert_eq!(site.post("/rooms", Some(&viewer), json!({"title": "t"})).await.0, 201);
}

#[tokio::test]
async fn who_opens_a_room_is_a_streamer() {
    let site = site_with(|_| ()).await;
    let person = site.person("person").await;
    let role = async || site.call(Method::GET, "/me", Some(&person), None).await.1["role"].clone();
    assert_eq!(role().await, json!("viewer"));
    assert_eq!(site.post("/rooms", Some(&person), json!({"title": "t"})).await.0, 201);
    assert_eq!(role().await, json!("streamer"));
}

#[tokio::test]
async fn what_operators_look_at() {
    let site = site_with(|c| c.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let response = site.client.get(format!("{}{path}", site.base)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        if path == "/metrics" {
            let text = response.text().await.unwrap();
            assert!(text.contains("mujian_http_connections"), "{text}");
        }
    }
    let away = site
        .client
        .get(format!("{}/metrics", site.base))
        .header("x-forwarded-for", "203.0.113.9")
        .send()
        .await
        .unwrap();
    assert_eq!(away.status(), 403);
}

#[tokio::test]
async fn pages_of_other_sites() {
    let site = site_with(|c| c.allowed_origins = vec!["https://friend.example".into()]).await;
    let ask = |origin: &'static str| {
        let request = site.client.request(Method::OPTIONS, format!("{}/api/v1/rooms", site.base));
        request.header("origin", origin).header("access-control-request-method", "POST").send()
    };
    let friend = ask("https://friend.example").await.unwrap();
    assert_eq!(friend.headers()["access-control-allow-origin"], "https://friend.example");
    assert!(ask("https://evil.example").await.unwrap().headers().get("access-control-allow-origin").is_none());
}

/// Every route is described, and every description has a route.
#[tokio::test]
async fn the_description_is_complete() {
    let site = site().await;
    let (status, document) = site.get("/openapi.json", None).await;
    assert_eq!(status, 200);
    let mut described = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, about) in methods.as_object().unwrap() {
            described += 1;
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            let address = path
                .replace("{room}", "abcd")
                .replace("{publisher}", "x")
                .replace("{account}", "x")
                .replace("{placeholder}", "x")
                .replace("{owed}", "x")
                .replace("{relay}", "x");
            let (status, body) = site.call(method.clone(), &address, None, None).await;
            assert_ne!(status, 405, "{method} {path}");
            assert!(status != 404 || body["message"] != "There is no such call.", "{method} {path}");
            assert!(about["responses"].as_object().is_some_and(|r| !r.is_empty()));
        }
    }
    let source = include_str!("../src/api/mod.rs");
    let routes = source.matches("get(").count()
        + source.matches("post(").count()
        + source.matches("put(").count()
        + source.matches("patch(").count()
        + source.matches("delete(").count();
    // healthz, readyz, metrics and the description itself are outside.
    assert_eq!(described, routes - 4, "a route is not described, or the other way round");
}

#[tokio::test]
async fn pages_are_served_with_strict_headers() {
    let site = site().await;
    for path in ["/", "/watch/abcd", "/login"] {
        let response = site.client.get(format!("{}{path}", site.base)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("script-src 'self';")
                && policy.contains("media-src 'self' blob:")
                && !policy.contains("unsafe")
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert!(headers["content-type"].to_str().unwrap().starts_with("text/html"));
        // Built or not, it is a page.
        assert!(response.text().await.unwrap().contains("<!doctype html>"));
    }
    for path in ["/assets/nothing.js", "/live/abcd.ogg", "/../Cargo.toml", "/%2e%2e/Cargo.toml"] {
        let response = site.client.get(format!("{}{path}", site.base)).send().await.unwrap();
        assert_eq!(response.status(), 404, "{path}");
    }
    assert_eq!(site.client.post(&site.base).send().await.unwrap().status(), 405);
    let calls = site.client.get(format!("{}/api/v1/server", site.base)).send().await.unwrap();
    assert_eq!(calls.headers()["cache-control"], "no-store");
}

/// What is shown where a link to a room was shared: by programs that read the page and do not run it.
#[tokio::test]
async fn shared_links_tell_what_they_lead_to() {
    let site = site_with(|c| c.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]).await;
    let a = site.person("a <i>&").await;
    let title = "\"><script>alert(1)</script>' onload='x";
    let (_, room) =
        site.post("/rooms", Some(&a), json!({"title": title, "category": "</title>", "tags": ["</head>"]})).await;
    let path = format!("/watch/{}", room["id"].as_str().unwrap());
    let page = async |path: &str, headers: &[(&str, &str)]| {
        let mut request = site.client.get(format!("{}{path}", site.base));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let etag = response.headers()["etag"].to_str().unwrap().to_owned();
        (response.text().await.unwrap(), etag)
    };
    let (plain, tag) = page("/", &[]).await;
    assert!(!plain.contains("og:") && plain.matches("<title>").count() == 1, "{plain}");
    for nothing in ["/watch/nowhere", "/watch/NO", "/watch", "/replay/nothing", "/account"] {
        assert_eq!(page(nothing, &[]).await, (plain.clone(), tag.clone()), "{nothing}");
    }

    let (told, first) = page(&path, &[("accept-language", "en")]).await;
    let written = "&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#39; onload=&#39;x";
    assert!(told.contains(&format!("<meta property=\"og:title\" content=\"{written}\" />")), "{told}");
    assert!(told.contains(&format!("<title>{written} · Mujian</title>")), "{told}");
    let about = "The room of a &lt;i&gt;&amp; · &lt;/title&gt; · #&lt;/head&gt;";
    assert!(told.contains(&format!("<meta property=\"og:description\" content=\"{about}\" />")), "{told}");
    assert!(told.contains(&format!("<meta property=\"og:url\" content=\"{}{path}\" />", site.base)), "{told}");
    assert!(told.contains("<meta property=\"og:locale\" content=\"en_US\" />"), "{told}");
    for markup in ["<script", "<i>", "</title>", "</head>"] {
        assert_eq!(told.matches(markup).count(), plain.matches(markup).count(), "{markup} in {told}");
    }
    let proxied = [("accept-language", "zh-CN"), ("x-forwarded-proto", "https"), ("host", "127.0.0.1")];
    let (told, second) = page(&path, &proxied).await;
    assert!(
        told.contains("<meta property=\"og:locale\" content=\"zh_CN\" />") && told.contains(" 的直播间 · "),
        "{told}"
    );
    assert!(told.contains(&format!("content=\"https://127.0.0.1{path}\"")), "{told}");
    assert!(first != second && first != tag, "what differs has another name");
    // What it tells of is read again: the title is the room's now.
    site.call(
        Method::PATCH,
        &format!("/rooms/{}", room["id"].as_str().unwrap()),
        Some(&a),
        Some(json!({"title": "晚安"})),
    )
    .await;
    let (told, _) = page(&path, &[]).await;
    assert!(told.contains("<meta property=\"og:title\" content=\"晚安\" />") && told.contains("zh_CN"), "{told}");
}

#[tokio::test]
async fn one_address_does_not_get_every_connection() {
    use tokio::io::AsyncReadExt;
    let site = site_with(|c| c.max_connections_per_address = 2).await;
    let address = site.server.as_ref().unwrap().http;
    let open = || tokio::net::TcpStream::connect(address);
    let (first, _second) = (open().await.unwrap(), open().await.unwrap());
    // The third is accepted by the system and closed by the server.
    let mut third = open().await.unwrap();
    let read = tokio::time::timeout(common::PATIENCE, third.read(&mut [0; 1])).await.expect("closed in time");
    assert!(matches!(read, Ok(0) | Err(_)));
    // A place that is given up is free again.
    drop(first);
    let deadline = tokio::time::Instant::now() + common::PATIENCE;
    while reqwest::get(format!("{}/healthz", site.base)).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the place is not free again");
    }
}

/// A page that made its own name lead here is told apart by that name.
#[tokio::test]
async fn only_names_that_were_meant_for_the_server_are_answered() {
    let site = site_with(|c| c.allowed_hosts = vec!["live.example.org".into()]).await;
    let server = site.server.as_ref().unwrap();
    let port = server.http.port();
    let shared = server.listen_also(([0, 0, 0, 0], 0).into(), ([0, 0, 0, 0], 0).into()).await.unwrap();
    let ask = async |base: &str, path: &str, host: &str| {
        let response = site.client.get(format!("{base}{path}")).header("Host", host).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let other = format!("http://127.0.0.1:{}", shared.http.port());
    for host in ["localhost".into(), format!("127.0.0.1:{port}"), "[::1]:80".into(), "live.example.org".to_owned()] {
        for base in [&site.base, &other] {
            assert_eq!(ask(base, "/api/v1/server", &host).await.0, 200, "{host}");
        }
    }
    // An address of this computer: only where others may come from.
    assert_eq!(ask(&site.base, "/api/v1/server", "192.168.1.7:8080").await.0, 421);
    assert_eq!(ask(&other, "/api/v1/server", "192.168.1.7:8080").await.0, 200);
    for path in ["/api/v1/server", "/api/v1/rooms/nowhere/socket", "/", "/live/nowhere.flv", "/live/nowhere.mp4"] {
        for base in [&site.base, &other] {
            let (status, text) = ask(base, path, "evil.example:8080").await;
            assert_eq!(status, 421, "{path}");
            assert!(text.contains("evil.example") && text.contains("allowed_hosts"), "{path}: {text}");
        }
    }
    assert_eq!(ask(&site.base, "/healthz", "anything").await.0, 200);
}

/// Publishers from elsewhere are told the port that is open to them.
#[tokio::test]
async fn a_shared_server_tells_each_the_address_that_it_can_publish_to() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let server = site.server.as_ref().unwrap();
    let path = format!("/api/v1/rooms/{}/owner", room["id"].as_str().unwrap());
    let told = async |port: u16| {
        let request = site.client.get(format!("http://127.0.0.1:{port}{path}")).bearer_auth(&a);
        let room: Value = request.send().await.unwrap().json().await.unwrap();
        room["rtmp_url"].as_str().unwrap().to_owned()
    };
    let own = format!(":{}/", server.rtmp.port());
    assert!(told(server.http.port()).await.contains(&own));
    let shared = server.listen_also(([0, 0, 0, 0], 0).into(), ([0, 0, 0, 0], 0).into()).await.unwrap();
    assert!(told(shared.http.port()).await.contains(&format!(":{}/", shared.rtmp.port())));
    assert!(told(server.http.port()).await.contains(&own));
    // It is taken there; and no longer once it is not shared.
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", shared.rtmp.port())).await.is_ok());
    let (http, rtmp) = (shared.http.port(), shared.rtmp.port());
    drop(shared);
    let closed = async {
        for port in [http, rtmp] {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(common::PATIENCE, closed).await.expect("closed");
    assert!(told(server.http.port()).await.contains(&own));
}
