//! What people do with their own accounts, over TCP, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use common::{Site, site, site_with};
use mujian_server::config::Rate;
use reqwest::Method;
use serde_json::{Value, json};

const OLD: &str = "correct horse";
const NEW: &str = "battery staple";

fn code(body: &Value) -> (&str, &str) {
    assert!(body["message"].as_str().is_some_and(|m| m.len() > 10 && m.ends_with('.')), "{body}");
    (body["code"].as_str().unwrap(), body["problem"]["kind"].as_str().unwrap_or_default())
}

async fn log_in(site: &Site, name: &str, password: &str) -> Option<String> {
    let (status, body) = site.post("/sessions", None, json!({"name": name, "password": password})).await;
    assert!(status == 201 || code(&body).0 == "wrong_credentials", "{body}");
    body["token"].as_str().map(str::to_owned)
}

async fn change(site: &Site, token: &str, old: &str, new: &str) -> (u16, Value) {
    let body = Some(json!({"old": old, "new": new}));
    let (status, body) = site.call(Method::PUT, "/me/password", Some(token), body).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn who_knows_the_old_password_changes_it_and_stays_while_other_sessions_end() {
    let site = site().await;
    let (here, other) = (site.person("owner").await, site.person("other").await);
    let elsewhere = log_in(&site, "owner", OLD).await.unwrap();
    let room = site.room(&here).await["id"].as_str().unwrap().to_owned();
    let [mut mine, mut theirs, mut others] =
        [site.socket(&room).await, site.socket(&room).await, site.socket(&room).await];
    mine.hello(Some(&here), None).await;
    theirs.hello(Some(&elsewhere), None).await;
    others.hello(Some(&other), None).await;

    let (status, body) = change(&site, &elsewhere, "wrong horse", NEW).await;
    assert_eq!((status, code(&body)), (401, ("wrong_credentials", "password_wrong")));
    let (status, body) = change(&site, &here, OLD, "short").await;
    assert_eq!((status, code(&body)), (400, ("invalid_request", "password_short")));
    let (status, body) = change(&site, &here, OLD, &"x".repeat(257)).await;
    assert_eq!((status, code(&body)), (400, ("invalid_request", "password_long")));
    assert_eq!(site.call(Method::PUT, "/me/password", None, Some(json!({"old": OLD, "new": NEW}))).await.0, 401);
    assert_eq!(site.get("/me", Some(&elsewhere)).await.0, 200, "nothing was changed yet");

    assert_eq!(change(&site, &here, OLD, NEW).await.0, 204);
    assert_eq!(site.get("/me", Some(&here)).await.0, 200);
    assert_eq!(code(&site.get("/me", Some(&elsewhere)).await.1).0, "unauthenticated");
    assert_eq!(log_in(&site, "owner", OLD).await, None);
    assert!(log_in(&site, "owner", NEW).await.is_some());
    // The room's socket of the session that ended is closed at once, with the reason; the others speak on.
    assert_eq!(theirs.next_of("refused").await["error"]["code"], "unauthenticated");
    assert_eq!(theirs.closed().await, 4401);
    for socket in [&mut mine, &mut others] {
        socket.danmaku("a", "still here").await;
        socket.next_of("event").await;
    }
    let site = site.restart().await;
    assert_eq!(site.get("/me", Some(&elsewhere)).await.0, 401);
    assert!(log_in(&site, "owner", NEW).await.is_some() && log_in(&site, "owner", OLD).await.is_none());
}

#[tokio::test]
async fn passwords_are_not_found_out_with_a_session() {
    let site = site_with(|c| c.limits.sessions = Rate { burst: 2, per_hour: 1 }).await;
    let token = site.person("owner").await;
    for _ in 0..2 {
        assert_eq!(change(&site, &token, "wrong horse", NEW).await.0, 401);
    }
    let (status, body) = change(&site, &token, OLD, NEW).await;
    assert_eq!((status, code(&body)), (429, ("rate_limited", "too_often")));
    // Somebody else is not kept from it.
    let other = site.person("other").await;
    assert_eq!(change(&site, &other, OLD, NEW).await.0, 204);
}

#[tokio::test]
async fn who_hosts_the_server_has_no_password_to_change() {
    let site = site().await;
    let app = site.server.as_ref().unwrap().app();
    let session = app.accounts.operator_session(&app.store, &app.clock, "host").await.unwrap();
    let (status, body) = change(&site, &session.token, "", NEW).await;
    assert_eq!((status, code(&body)), (409, ("conflict", "password_none")));
}

#[tokio::test]
async fn logging_out_elsewhere_ends_all_sessions_but_this_one() {
    let site = site().await;
    let (here, other) = (site.person("owner").await, site.person("other").await);
    let [a, b] = [log_in(&site, "owner", OLD).await.unwrap(), log_in(&site, "owner", OLD).await.unwrap()];
    let room = site.room(&here).await["id"].as_str().unwrap().to_owned();
    let mut socket = site.socket(&room).await;
    socket.hello(Some(&a), None).await;
    assert_eq!(site.call(Method::DELETE, "/sessions/others", None, None).await.0, 401);
    assert_eq!(site.call(Method::DELETE, "/sessions/others", Some(&here), None).await.0, 204);
    for ended in [&a, &b] {
        assert_eq!(site.get("/me", Some(ended)).await.0, 401);
    }
    assert_eq!(socket.closed().await, 4401);
    for good in [&here, &other] {
        assert_eq!(site.get("/me", Some(good)).await.0, 200);
    }
    // Logging out here ends this one's sockets too.
    let mut mine = site.socket(&room).await;
    mine.hello(Some(&here), None).await;
    assert_eq!(site.call(Method::DELETE, "/sessions/current", Some(&here), None).await.0, 204);
    assert_eq!(mine.closed().await, 4401);
}

async fn recover(site: &Site, name: &str, code: &str, password: &str) -> (u16, Value) {
    let body = json!({"name": name, "code": code, "password": password});
    let (status, body) = site.post("/recovery", None, body).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn the_operator_makes_a_code_with_which_a_new_password_is_set_once() {
    let site = site().await;
    let token = site.person("Anna").await;
    let id = site.get("/me", Some(&token)).await.1["id"].as_str().unwrap().to_owned();
    let app = site.server.as_ref().unwrap().app();
    let operator = app.accounts.operator_session(&app.store, &app.clock, "host").await.unwrap().token;
    let path = format!("/accounts/{id}/recovery");
    assert_eq!(site.post(&path, None, json!({})).await.0, 401);
    assert_eq!(site.post(&path, Some(&token), json!({})).await.0, 403, "for the operator only");
    for nobody in ["nobody".to_owned(), mujian_protocol::AccountId::new().to_string()] {
        assert_eq!(site.post(&format!("/accounts/{nobody}/recovery"), Some(&operator), json!({})).await.0, 404);
    }
    // The app that hosts the server would be logged out of it.
    let hosting = id_of(&site.get("/me", Some(&operator)).await.1);
    let (status, body) = site.post(&format!("/accounts/{hosting}/recovery"), Some(&operator), json!({})).await;
    assert_eq!((status.as_u16(), code(&body)), (409, ("conflict", "password_none")));
    assert_eq!(code(&recover(&site, "Anna", "", NEW).await.1), ("wrong_credentials", "recovery_wrong"));
    let (status, made) = site.post(&path, Some(&operator), json!({})).await;
    assert_eq!(status, 201);
    let (typed, expires) = (made["code"].as_str().unwrap(), made["expires_at"].as_i64().unwrap());
    let day = 24 * 3600 * 1000;
    assert!((expires - app.clock.wall().millis() - day).abs() < 600_000, "{made}");
    // Making a code changes nothing yet.
    assert!(log_in(&site, "Anna", OLD).await.is_some());

    for (name, text, password, expected) in [
        ("Anna", "AAAA-AAAA-AAAA-AAAA", NEW, (401, ("wrong_credentials", "recovery_wrong"))),
        ("host", typed, NEW, (401, ("wrong_credentials", "recovery_wrong"))),
        ("nobody", typed, NEW, (401, ("wrong_credentials", "recovery_wrong"))),
        ("Anna", typed, "short", (400, ("invalid_request", "password_short"))),
    ] {
        let (status, body) = recover(&site, name, text, password).await;
        assert_eq!((status, code(&body)), expected, "{name} {text}");
    }
    let room = site.room(&token).await["id"].as_str().unwrap().to_owned();
    let mut socket = site.socket(&room).await;
    socket.hello(Some(&token), None).await;
    assert_eq!(recover(&site, "anna", &typed.to_lowercase(), NEW).await.0, 204);
    assert_eq!(socket.closed().await, 4401);
    assert_eq!(site.get("/me", Some(&token)).await.0, 401, "all sessions end");
    assert!(log_in(&site, "Anna", OLD).await.is_none() && log_in(&site, "Anna", NEW).await.is_some());
    assert_eq!(recover(&site, "Anna", typed, "another one").await.0, 401, "it is good once");
}

#[tokio::test]
async fn a_code_is_not_found_by_trying() {
    let site = site().await;
    let token = site.person("Anna").await;
    let id = site.get("/me", Some(&token)).await.1["id"].as_str().unwrap().parse().unwrap();
    let app = site.server.as_ref().unwrap().app();
    let hand = mujian_server::store::Hand { by: None, at: app.clock.wall() };
    let made = mujian_server::account::make_recovery(&app.store, &id, hand).await.unwrap();
    let mujian_server::account::Recovery::Made(made) = made else { panic!("no code") };
    for _ in 0..10 {
        assert_eq!(recover(&site, "Anna", "WRNG-WRNG-WRNG-WRNG", NEW).await.0, 401);
    }
    assert_eq!(recover(&site, "Anna", &made.code, NEW).await.0, 401, "it ended with the tenth try");
    // And however often codes are made, from one address so many are tried an hour.
    let site = site_with(|c| c.limits.sessions = Rate { burst: 2, per_hour: 1 }).await;
    for expected in [401, 401, 429] {
        assert_eq!(recover(&site, "Anna", "WRNG-WRNG-WRNG-WRNG", NEW).await.0, expected);
    }
}

/// A log-in whose password was right a moment ago does not outlive the change of it.
#[tokio::test]
async fn no_session_is_begun_with_a_password_that_was_changed_meanwhile() {
    let site = site().await;
    let token = site.person("owner").await;
    let app = site.server.as_ref().unwrap().app();
    let id: mujian_protocol::AccountId = site.get("/me", Some(&token)).await.1["id"].as_str().unwrap().parse().unwrap();
    let checked = app.store.password(id.clone()).await.unwrap().unwrap();
    assert_eq!(change(&site, &token, OLD, NEW).await.0, 204);
    let (now, later) = (app.clock.wall(), mujian_protocol::WallTime(i64::MAX));
    assert!(!app.store.create_session_by(checked, [7; 32], id.clone(), now, later).await.unwrap());
    assert!(app.store.session([7; 32], now).await.unwrap().is_none());
    let stands = app.store.password(id.clone()).await.unwrap().unwrap();
    assert!(app.store.create_session_by(stands, [7; 32], id, now, later).await.unwrap());
}

#[tokio::test]
async fn what_operators_and_moderators_do_is_in_the_log_for_the_operator() {
    let site = site_with(|c| c.print_setup_code = true).await;
    let (host, anna) = (site.person("host").await, site.person("Anna").await);
    let id = site.get("/me", Some(&anna)).await.1["id"].as_str().unwrap().to_owned();
    let setup = site.server.as_ref().unwrap().setup_code().unwrap();
    assert_eq!(site.post("/setup", Some(&host), json!({"code": setup})).await.0, 200);
    let call = async |method: Method, path: String, token: &str, body: Value| {
        site.call(method, &path, Some(token), Some(body)).await.0.as_u16()
    };
    assert_eq!(call(Method::PATCH, format!("/accounts/{id}"), &host, json!({"role": "moderator"})).await, 200);
    assert_eq!(call(Method::PUT, format!("/accounts/{id}/trust"), &host, json!({"trusted": true})).await, 204);
    assert_eq!(call(Method::POST, format!("/accounts/{id}/recovery"), &host, json!({})).await, 201);
    let room = site.room(&anna).await["id"].as_str().unwrap().to_owned();
    // Of one's own room nothing is told, nor of looking; what is done to another's room is, also what fails.
    assert_eq!(call(Method::PATCH, format!("/rooms/{room}"), &anna, json!({"title": "mine"})).await, 200);
    assert_eq!(site.get(&format!("/rooms/{room}/publishers"), Some(&host)).await.0, 200);
    assert_eq!(site.get(&format!("/rooms/{room}/owner"), Some(&host)).await.0, 200);
    assert_eq!(call(Method::PATCH, format!("/rooms/{room}"), &host, json!({"title": "theirs"})).await, 200);
    assert_eq!(call(Method::POST, format!("/rooms/{room}/end"), &host, json!({})).await, 409);
    // Who may not do something leaves nothing behind.
    assert_eq!(call(Method::POST, format!("/accounts/{id}/recovery"), &anna, json!({})).await, 403);

    assert_eq!(site.get("/audit", None).await.0, 401);
    assert_eq!(site.get("/audit", Some(&anna)).await.0, 403);
    let (status, page) = site.get("/audit", Some(&host)).await;
    assert_eq!((status.as_u16(), &page["more"]), (200, &json!(false)));
    let entries = page["entries"].as_array().unwrap();
    let told: Vec<(&str, &str)> = entries
        .iter()
        .map(|e| (e["action"]["action"].as_str().unwrap(), e["action"]["call"].as_str().unwrap_or_default()))
        .collect();
    let expected = [
        ("room_called", "POST /rooms/{room}/end"),
        ("room_called", "PATCH /rooms/{room}"),
        ("room_called", "GET /rooms/{room}/owner"),
        ("recovery_made", ""),
        ("trust_changed", ""),
        ("role_changed", ""),
        ("became_operator", ""),
    ];
    assert_eq!(told, expected);
    assert_eq!((&entries[0]["by"]["name"], &entries[0]["account"]["name"]), (&json!("host"), &json!("Anna")));
    assert_eq!((&entries[0]["room"], &entries[0]["number"]), (&json!(room), &json!(7)));
    assert_eq!(entries[5]["action"], json!({"action": "role_changed", "from": "viewer", "to": "moderator"}));
    let (_, page) = site.get("/audit?before=2", Some(&host)).await;
    assert_eq!(page["entries"].as_array().unwrap().len(), 1);
}

fn id_of(body: &Value) -> String {
    body["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_the_server_holds_of_an_account_is_taken_along() {
    let site = site().await;
    let (anna, other) = (site.person("Anna").await, site.person("zzyzx").await);
    let (mine, theirs) = (id_of(&site.room(&anna).await), id_of(&site.room(&other).await));
    let me = site.get("/me", Some(&anna)).await.1;
    let mut socket = site.socket(&theirs).await;
    socket.hello(Some(&anna), None).await;
    socket.danmaku("a", "hello 你好").await;
    socket.next_of("event").await;
    for room in [&mine, &theirs] {
        let mut socket = site.socket(room).await;
        socket.hello(Some(&other), None).await;
        socket.danmaku("a", "somebody else's").await;
        socket.next_of("event").await;
    }
    let app = site.server.as_ref().unwrap().app();
    let at = app.clock.wall();
    app.store.begin_recording(mujian_protocol::StreamId::new(), mine.parse().unwrap(), at).await.unwrap();
    let follow = format!("/rooms/{theirs}/follow");
    assert_eq!(site.call(Method::PUT, &follow, Some(&anna), None).await.0, 204);
    let follow = format!("/rooms/{mine}/follow");
    assert_eq!(site.call(Method::PUT, &follow, Some(&other), None).await.0, 204);
    assert_eq!(site.get("/me/export", None).await.0, 401);
    let (status, export) = site.get("/me/export", Some(&anna)).await;
    assert_eq!((status.as_u16(), &export["format"], &export["complete"]), (200, &json!(1), &json!(true)));
    assert_eq!((&export["account"], &export["trusted"]), (&me, &json!(false)));
    assert_eq!(export["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!((&export["rooms"][0]["id"], &export["rooms"][0]["title"]), (&json!(mine), &json!("a room")));
    for (list, length) in [(&export["rooms"], 1), (&export["rooms"][0]["recordings"], 1), (&export["danmaku"], 1)] {
        assert_eq!(list.as_array().map(Vec::len), Some(length), "{list}");
    }
    assert_eq!(export["rooms"][0]["placeholders"], json!([]));
    assert_eq!((&export["danmaku"][0]["text"], &export["danmaku"][0]["room"]), (&json!("hello 你好"), &json!(theirs)));
    assert_eq!(export["votes"], json!([]));
    let follows = export["follows"].as_array().unwrap();
    assert_eq!((follows.len(), &follows[0]["room"], &follows[0]["title"]), (1, &json!(theirs), &json!("a room")));
    assert!(follows[0]["since"].is_i64(), "{follows:?}");
    // Nothing of somebody else, and no secret.
    let key = site.get(&format!("/rooms/{mine}/owner"), Some(&anna)).await.1["stream_key"].as_str().unwrap().to_owned();
    let text = export.to_string();
    assert!(!text.contains(&key) && !text.contains("argon2"), "{text}");
    assert!(!text.contains("zzyzx") && !text.contains("somebody else's"), "{text}");
}

#[tokio::test]
async fn a_deleted_account_leaves_nothing_but_what_others_need() {
    let site = site().await;
    let (anna, other) = (site.person("Anna").await, site.person("other").await);
    let me = site.get("/me", Some(&anna)).await.1;
    let (mine, theirs) = (id_of(&site.room(&anna).await), id_of(&site.room(&other).await));
    let recordings = site.data.path().join("recordings").join(&mine);
    let app = site.server.as_ref().unwrap().app();
    let stream = mujian_protocol::StreamId::new();
    app.store.begin_recording(stream.clone(), mine.parse().unwrap(), app.clock.wall()).await.unwrap();
    let shelf = site.data.path().join("placeholders").join(&mine).join("one");
    for folder in [&recordings.join(stream.as_str()), &shelf] {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("media.m4s"), "x").unwrap();
    }
    let [mut in_mine, mut in_theirs] = [site.socket(&mine).await, site.socket(&theirs).await];
    in_mine.hello(Some(&other), None).await;
    in_theirs.hello(Some(&anna), None).await;
    in_theirs.danmaku("a", "hello").await;
    in_theirs.next_of("event").await;

    let follow = format!("/rooms/{theirs}/follow");
    assert_eq!(site.call(Method::PUT, &follow, Some(&anna), None).await.0, 204);
    let followers = format!("/rooms/{theirs}/followers");
    assert_eq!(site.get(&followers, Some(&other)).await.1, json!({"followers": 1}));
    let delete = async |token: &str, password: &str| {
        let (status, body) = site.call(Method::DELETE, "/me", Some(token), Some(json!({"password": password}))).await;
        (status.as_u16(), body)
    };
    let (status, body) = delete(&anna, "wrong horse").await;
    assert_eq!((status, code(&body)), (401, ("wrong_credentials", "password_wrong")));
    assert_eq!(site.get("/me", Some(&anna)).await.0, 200, "nothing was done");
    assert_eq!(delete(&anna, OLD).await.0, 204);

    assert_eq!(site.get(&followers, Some(&other)).await.1, json!({"followers": 0}));
    assert_eq!(site.get("/me", Some(&anna)).await.0, 401);
    assert_eq!(log_in(&site, "Anna", OLD).await, None);
    assert_eq!(in_theirs.closed().await, 4401);
    assert_eq!(in_mine.closed().await, 4404);
    assert_eq!(site.get(&format!("/rooms/{mine}"), None).await.0, 404);
    assert!(!recordings.exists() && !shelf.exists());
    // What was written elsewhere is there, in its place, and nobody's.
    let nameless = async |site: &Site| {
        let mut guest = site.socket(&theirs).await;
        let welcome = guest.hello(None, None).await;
        let said = &welcome["events"][0]["body"];
        assert_eq!((&said["text"], &said["author"]["name"]), (&json!("hello"), &json!("")), "{welcome}");
    };
    nameless(&site).await;
    // The name is free, and whoever takes it is somebody else.
    let again = site.person("Anna").await;
    assert_ne!(site.get("/me", Some(&again)).await.1["id"], me["id"]);
    let site = site.restart().await;
    nameless(&site).await;
}

/// A server that is killed between the database and the files leaves files that nothing tells of.
#[tokio::test]
async fn what_is_left_of_deleted_placeholders_goes_at_the_next_start() {
    let site = site().await;
    let token = site.person("Anna").await;
    let room = id_of(&site.room(&token).await);
    let shelf = site.data.path().join("placeholders");
    let path = format!("/rooms/{room}/placeholders?name=n&text=Back");
    let (status, view) = site.call(Method::POST, &path, Some(&token), None).await;
    assert!(status.is_success(), "{view}");
    let kept = shelf.join(&room).join(id_of(&view));
    let left =
        [shelf.join(&room), shelf.join("gone-room")].map(|room| room.join(mujian_protocol::StreamId::new().as_str()));
    let foreign = shelf.join("notes").join("mine");
    for folder in left.iter().chain([&kept, &foreign]) {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("file"), "x").unwrap();
    }
    let _site = site.restart().await;
    assert!(kept.exists() && foreign.exists());
    assert!(left.iter().all(|folder| !folder.exists()) && !shelf.join("gone-room").exists());
}

/// Who became somebody's operator a moment after their account was deleted is none.
#[tokio::test]
async fn nobody_becomes_operator_of_a_deleted_account() {
    let site = site_with(|c| c.print_setup_code = true).await;
    let token = site.person("Anna").await;
    let id: mujian_protocol::AccountId = id_of(&site.get("/me", Some(&token)).await.1).parse().unwrap();
    let (status, _) = site.call(Method::DELETE, "/me", Some(&token), Some(json!({"password": OLD}))).await;
    assert_eq!(status, 204);
    let app = site.server.as_ref().unwrap().app();
    assert!(app.store.make_first_operator(id, app.clock.wall()).await.unwrap().is_none());
    assert!(app.store.first_operator().await.unwrap().is_none());
}

#[tokio::test]
async fn an_account_that_the_operator_makes_is_in_the_log() {
    let site = site_with(|c| c.registration_open = false).await;
    let app = site.server.as_ref().unwrap().app();
    let operator = app.accounts.operator_session(&app.store, &app.clock, "host").await.unwrap().token;
    let ask = json!({"name": "Anna", "password": OLD});
    assert_eq!(site.post("/accounts", None, ask.clone()).await.0, 403);
    let (status, made) = site.post("/accounts", Some(&operator), ask.clone()).await;
    assert_eq!(status, 201);
    assert_eq!(site.post("/accounts", Some(&operator), ask).await.0, 409, "nothing was made");
    let (_, log) = site.get("/audit", Some(&operator)).await;
    assert_eq!(log["entries"].as_array().map(Vec::len), Some(1), "{log}");
    assert_eq!(log["entries"][0]["action"], json!({"action": "account_made"}));
    assert_eq!(log["entries"][0]["account"]["id"], made["account"]["id"]);
}

#[tokio::test]
async fn who_is_needed_or_on_air_is_not_deleted() {
    let site = site_with(|c| c.print_setup_code = true).await;
    let (host, anna) = (site.person("host").await, site.person("Anna").await);
    let setup = site.server.as_ref().unwrap().setup_code().unwrap();
    assert_eq!(site.post("/setup", Some(&host), json!({"code": setup})).await.0, 200);
    let delete = async |token: &str| {
        let (status, body) = site.call(Method::DELETE, "/me", Some(token), Some(json!({"password": OLD}))).await;
        (status.as_u16(), body)
    };
    let (status, body) = delete(&host).await;
    assert_eq!((status, code(&body)), (409, ("conflict", "last_operator")));
    // On air, as far as the room was told.
    let room: mujian_protocol::RoomId = id_of(&site.room(&anna).await).parse().unwrap();
    let app = site.server.as_ref().unwrap().app();
    let stream = mujian_protocol::StreamId::new();
    let event = |body| mujian_server::store::NewEvent { at: app.clock.wall(), author: None, client_ref: None, body };
    use mujian_protocol::room::RoomEventBody::{StreamEnded, StreamStarted};
    app.store.append_events(room.clone(), vec![event(StreamStarted { stream: stream.clone() })]).await.unwrap();
    let (status, body) = delete(&anna).await;
    assert_eq!((status, code(&body)), (409, ("conflict", "on_air")));
    app.store.append_events(room, vec![event(StreamEnded { stream })]).await.unwrap();
    // With another operator the first may go; what they did stays in the log.
    let id = id_of(&site.get("/me", Some(&anna)).await.1);
    let role = Some(json!({"role": "operator"}));
    assert_eq!(site.call(Method::PATCH, &format!("/accounts/{id}"), Some(&host), role).await.0, 200);
    assert_eq!(delete(&host).await.0, 204);
    let (_, log) = site.get("/audit", Some(&anna)).await;
    assert_eq!(log["entries"].as_array().map(Vec::len), Some(2));
    assert_eq!((&log["entries"][0]["by"]["name"], &log["entries"][0]["account"]["name"]), (&json!(""), &json!("Anna")));
    assert_eq!(delete(&anna).await.0, 409, "now Anna is the last one");
}
