//! The shelf on the streamer's computer and its mirror, against the real server.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mujian::api::Api;
use mujian::cache::Cache;
use mujian::shelf::Shelf;
use mujian_protocol::api::{Credentials, NewRoom, OwnedRoom, RoomView};
use mujian_protocol::app::ApiRequest;
use mujian_protocol::placeholder::{Mirror, PLACEHOLDERS_MAX, PlaceholderView, ShelfView};
use mujian_protocol::{ErrorCode, Problem};
use mujian_server::config::Rate;
use mujian_server::{Config, Running, Server};
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

const LIMIT: Duration = Duration::from_secs(60);
const SVG: &[u8] = br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 9"><rect width="16" height="9"/></svg>"#;
const OTHER_SVG: &[u8] =
    br#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 16"><rect width="9" height="16"/></svg>"#;

/// A server where the streamer has an account.
struct Site {
    _data: tempfile::TempDir,
    running: Running,
    api: Api,
}

impl Site {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut config = Config { data: data.path().into(), http: any, rtmp: any, ..Config::default() };
        config.limits.requests = Rate { burst: 100_000, per_hour: 1_000_000 };
        let running = Server::start(config).await.unwrap();
        let api = Api::new(format!("http://{}/", running.http).parse().unwrap()).unwrap();
        let person = Credentials { name: "streamer".into(), password: "correct horse".into() };
        api.open_session(true, &person).await.unwrap();
        Self { _data: data, running, api }
    }

    async fn with_room() -> (Self, String) {
        let site = Self::new().await;
        let new = NewRoom { title: "test".into(), ..NewRoom::default() };
        let room: OwnedRoom = site.api.call(Method::POST, "/rooms", Some(&new)).await.unwrap();
        (site, room.room.id.to_string())
    }

    /// What is on the room's shelf, as a browser sees it.
    async fn view(&self, room: &str) -> ShelfView {
        self.api.call(Method::GET, &format!("/rooms/{room}/placeholders"), None::<&()>).await.unwrap()
    }

    async fn names(&self, room: &str) -> Vec<String> {
        self.view(room).await.placeholders.into_iter().map(|p| p.name).collect()
    }

    async fn browser_adds(&self, room: &str, name: &str, file: &[u8]) -> PlaceholderView {
        let path = format!("/rooms/{room}/placeholders?name={name}&text=hello");
        let kind = if file.is_empty() { "" } else { "image/svg+xml" };
        let answer = self.api.upload("POST", &path, kind, file.to_vec()).await.unwrap();
        assert_eq!(answer.status, 201, "{answer:?}");
        serde_json::from_value(answer.body).unwrap()
    }
}

/// The app's shelf in a data folder.
struct Desk {
    shelf: Arc<Shelf>,
    _mirror: AbortOnDropHandle<()>,
}

impl Desk {
    fn open(data: &Path, api: &Api, server: &str) -> Self {
        let cache = Cache::open(data).unwrap();
        let shelf = Arc::new(Shelf::open(data, api.clone(), cache, server.to_owned()));
        let mirror = AbortOnDropHandle::new(tokio::spawn(Shelf::mirror(Arc::downgrade(&shelf))));
        Self { shelf, _mirror: mirror }
    }

    async fn call(&self, method: &str, path: &str, body: Value) -> Result<Value, mujian_protocol::ApiError> {
        let request = ApiRequest { method: method.into(), path: path.into(), body };
        let answer = self.shelf.request(&request).await.expect("it is the shelf's")?;
        mujian::api::error_of(&answer).map_or(Ok(answer.body), Err)
    }

    async fn list(&self) -> ShelfView {
        serde_json::from_value(self.call("GET", "/rooms/-/placeholders", Value::Null).await.unwrap()).unwrap()
    }

    async fn drop_on(&self, name: &str, file: &[u8]) -> PlaceholderView {
        let path = format!("/rooms/-/placeholders?name={name}&keywords=a,b&text=hello");
        let kind = if file.is_empty() { "" } else { "image/svg+xml" };
        let answer = self.shelf.upload("POST", &path, kind, file).await.unwrap().unwrap();
        serde_json::from_value(answer.body).unwrap()
    }

    async fn patch(&self, id: &str, body: Value) {
        self.call("PATCH", &format!("/rooms/-/placeholders/{id}"), body).await.unwrap();
    }

    /// Looks again until it is so.
    async fn until(&self, what: &str, is: impl Fn(&ShelfView) -> bool) -> ShelfView {
        let began = Instant::now();
        loop {
            let view = self.list().await;
            if is(&view) {
                return view;
            }
            assert!(began.elapsed() < LIMIT, "{what}: {view:#?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn all_mirrored(&self, count: usize) -> ShelfView {
        let done = |p: &PlaceholderView| p.mirror == Some(Mirror::Mirrored);
        self.until("all are mirrored", |v| v.placeholders.len() == count && v.placeholders.iter().all(done)).await
    }
}

fn names(view: &ShelfView) -> Vec<&str> {
    view.placeholders.iter().map(|p| p.name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_here_is_on_the_server_and_follows_every_change() {
    let (site, room) = Site::with_room().await;
    let data = tempfile::tempdir().unwrap();
    let desk = Desk::open(data.path(), &site.api, "there");
    let cat = desk.drop_on("cat", SVG).await;
    let dog = desk.drop_on("dog", &[]).await;
    desk.all_mirrored(2).await;
    let there = site.view(&room).await.placeholders;
    assert_eq!((there[0].name.as_str(), there[0].key.as_deref()), ("cat", Some(cat.id.as_str())));
    assert_eq!(there[0].keywords, ["a", "b"]);
    let file = site.api.media(&format!("/rooms/{room}/placeholders/{}/file", there[0].id)).await.unwrap();
    assert_eq!(file, SVG, "byte for byte");

    desk.patch(&cat.id, json!({"name": "tiger", "keywords": ["c"], "text": "later"})).await;
    desk.patch(&dog.id, json!({"position": 0})).await;
    let view = desk.list().await;
    assert_eq!(names(&view), ["dog", "tiger"], "here at once");
    desk.until("the server has it", |v| v.placeholders.iter().all(|p| p.mirror == Some(Mirror::Mirrored))).await;
    let began = Instant::now();
    while site.names(&room).await != ["dog", "tiger"] {
        assert!(began.elapsed() < LIMIT, "the order");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let tiger = site.view(&room).await.placeholders.remove(1);
    assert_eq!((tiger.keywords, tiger.text.as_str()), (vec!["c".to_owned()], "later"));

    // Its picture is asked for by its name here, and it is picked by it.
    assert_eq!(
        desk.call("POST", "/rooms/-/away", json!({"placeholder_id": dog.id})).await.unwrap()["reason"],
        "not_shown"
    );
    assert_eq!(site.view(&room).await.next, Some(there[1].id.clone()), "the server's own name for it");
    assert_eq!(desk.list().await.next, Some(dog.id.clone()));

    desk.call("DELETE", &format!("/rooms/-/placeholders/{}", cat.id), Value::Null).await.unwrap();
    assert_eq!(names(&desk.list().await), ["dog"]);
    let began = Instant::now();
    while site.names(&room).await != ["dog"] {
        assert!(began.elapsed() < LIMIT, "the deletion");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A restart knows all of it.
    drop(desk);
    let desk = Desk::open(data.path(), &site.api, "there");
    assert_eq!(names(&desk.all_mirrored(1).await), ["dog"]);
    assert_eq!(site.names(&room).await, ["dog"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_does_comes_here_and_all_of_it_goes_to_another_server() {
    let (site, room) = Site::with_room().await;
    let data = tempfile::tempdir().unwrap();
    let (cat, dog) = (site.browser_adds(&room, "cat", SVG).await, site.browser_adds(&room, "dog", &[]).await);
    {
        let desk = Desk::open(data.path(), &site.api, "there");
        desk.all_mirrored(2).await;
        let path = |p: &PlaceholderView| format!("/rooms/{room}/placeholders/{}", p.id);
        let _: Value = site.api.call(Method::DELETE, &path(&dog), None::<&()>).await.unwrap();
        let _: Value = site.api.call(Method::PATCH, &path(&cat), Some(&json!({"name": "lion"}))).await.unwrap();
        desk.until("the browser's changes are here", |v| names(v) == ["lion"]).await;
        desk.all_mirrored(1).await;
    }
    drop(site);
    let elsewhere = Site::new().await;
    let desk = Desk::open(data.path(), &elsewhere.api, "elsewhere");
    desk.all_mirrored(1).await;
    // There was no room yet.
    let rooms: Vec<RoomView> = elsewhere.api.call(Method::GET, "/me/rooms", None::<&()>).await.unwrap();
    assert_eq!(rooms.len(), 1);
    let room = rooms[0].id.as_str();
    let there = elsewhere.view(room).await.placeholders;
    assert_eq!((there.len(), there[0].name.as_str()), (1, "lion"));
    let file = elsewhere.api.media(&format!("/rooms/{room}/placeholders/{}/file", there[0].id)).await.unwrap();
    assert_eq!(file, SVG);
    // Somebody else who logs in at that server has a shelf of their own.
    let other = Credentials { name: "other".into(), password: "correct horse".into() };
    elsewhere.api.open_session(true, &other).await.unwrap();
    desk.shelf.session_changed();
    assert_eq!(names(&desk.list().await), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_reached_is_waited_for() {
    let (site, room) = Site::with_room().await;
    let data = tempfile::tempdir().unwrap();
    let there = site.api.base();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    site.api.set_base(format!("http://{}/", gone.local_addr().unwrap()).parse().unwrap());
    drop(gone);
    let desk = Desk::open(data.path(), &site.api, "there");
    let cat = desk.drop_on("cat", SVG).await;
    desk.drop_on("dog", OTHER_SVG).await;
    let waits = |p: &PlaceholderView| matches!(&p.mirror, Some(Mirror::Waiting { error: Some(e) }) if e.code == ErrorCode::Unreachable);
    let view = desk.until("both wait, and say for what", |v| v.placeholders.iter().all(waits)).await;
    assert_eq!((names(&view), view.built_in.len()), (vec!["cat", "dog"], 7));
    let early = desk.call("POST", "/rooms/-/away", json!({"placeholder_id": cat.id})).await.unwrap_err();
    assert!(matches!(early.problem.as_deref(), Some(Problem::NotMirrored)), "{early:?}");
    // Meanwhile a file vanishes from this computer.
    for entry in std::fs::read_dir(data.path().join("shelf/files")).unwrap() {
        let path = entry.unwrap().path();
        if std::fs::read(&path).unwrap() == SVG {
            std::fs::remove_file(path).unwrap();
        }
    }
    site.api.set_base(there);
    let told = |v: &ShelfView| {
        let told = v.placeholders.iter().map(|p| p.mirror.clone()).collect::<Vec<_>>();
        matches!(&told[..], [Some(Mirror::Refused { error }), Some(Mirror::Mirrored)]
            if matches!(error.problem.as_deref(), Some(Problem::ShelfFileGone { .. })))
    };
    desk.until("the one is told to be gone and the other is there", told).await;
    assert_eq!(site.names(&room).await, ["dog"]);
    // One that is on the server is brought back from there.
    let vanished = std::fs::read_dir(data.path().join("shelf/files")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_file(&vanished).unwrap();
    let began = Instant::now();
    while !vanished.exists() {
        desk.list().await;
        assert!(began.elapsed() < LIMIT);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_server_refuses_is_told_and_tried_again_when_something_changes() {
    let (site, room) = Site::with_room().await;
    let data = tempfile::tempdir().unwrap();
    let mine = {
        let there = site.api.base();
        site.api.set_base("http://127.0.0.1:9/".parse().unwrap());
        let desk = Desk::open(data.path(), &site.api, "there");
        let mine = desk.drop_on("mine", &[]).await;
        site.api.set_base(there);
        mine
    };
    for n in 0..PLACEHOLDERS_MAX {
        site.browser_adds(&room, &format!("n{n}"), &[]).await;
    }
    let desk = Desk::open(data.path(), &site.api, "there");
    let full = |v: &ShelfView| {
        v.placeholders.iter().any(|p| {
            p.id == mine.id && matches!(&p.mirror, Some(Mirror::Refused { error }) if error.code == ErrorCode::Conflict)
        })
    };
    let view = desk.until("the room's shelf is full", full).await;
    desk.until("all are here", |v| v.placeholders.len() == PLACEHOLDERS_MAX + 1).await;
    let other = view.placeholders.iter().find(|p| p.id != mine.id).unwrap();
    desk.until("that one is here", |v| v.placeholders.iter().any(|p| p.id == other.id && p.mirror.is_some())).await;
    desk.call("DELETE", &format!("/rooms/-/placeholders/{}", other.id), Value::Null).await.unwrap();
    desk.all_mirrored(PLACEHOLDERS_MAX).await;
    assert!(site.names(&room).await.contains(&"mine".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shelf_that_cannot_be_kept_here_leaves_the_servers_own() {
    let (site, room) = Site::with_room().await;
    site.browser_adds(&room, "cat", SVG).await;
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("shelf"), "in the way").unwrap();
    let desk = Desk::open(data.path(), &site.api, "there");
    let view = desk.list().await;
    assert_eq!((names(&view), view.placeholders[0].mirror.clone()), (vec!["cat"], None));
    desk.drop_on("dog", SVG).await;
    assert_eq!(site.names(&room).await, ["cat", "dog"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_placeholder_is_refused_before_it_is_kept() {
    let (site, _) = Site::with_room().await;
    let data = tempfile::tempdir().unwrap();
    let desk = Desk::open(data.path(), &site.api, "there");
    for (query, kind, file, code) in [
        ("name=n", "image/png", &b"<html></html>"[..], ErrorCode::UnsupportedMedia),
        ("name=n", "image/png", SVG, ErrorCode::UnsupportedMedia),
        ("name=", "image/svg+xml", SVG, ErrorCode::InvalidRequest),
        ("name=n", "", &[], ErrorCode::InvalidRequest),
    ] {
        let path = format!("/rooms/-/placeholders?{query}");
        let error = desk.shelf.upload("POST", &path, kind, file).await.unwrap().unwrap_err();
        assert_eq!(error.code, code, "{error}");
        assert!(error.message.ends_with('.'));
    }
    assert_eq!(desk.list().await.placeholders, []);
    assert_eq!(std::fs::read_dir(data.path().join("shelf/files")).unwrap().count(), 0);
    drop(site.running);
}
