//! The room socket, over TCP, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use base64::Engine;
use common::{PATIENCE, site, site_with};
use futures_util::SinkExt;
use mujian_server::config::Rate;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

fn texts(events: &Value) -> Vec<String> {
    events.as_array().unwrap().iter().map(|e| e["body"]["text"].as_str().unwrap_or("-").to_owned()).collect()
}

fn id(room: &Value) -> &str {
    room["id"].as_str().unwrap()
}

#[tokio::test]
async fn danmaku_reaches_everybody_once_and_in_order() {
    let site = site_with(|c| c.limits.danmaku = Rate { burst: 100, per_hour: 1 }).await;
    let (a, b) = (site.person("a").await, site.person("b").await);
    let room = site.room(&a).await;
    let (mut anna, mut ben, mut guest) =
        (site.socket(id(&room)).await, site.socket(id(&room)).await, site.socket(id(&room)).await);
    let welcome = anna.hello(Some(&a), None).await;
    assert_eq!(
        (&welcome["you"]["name"], &welcome["resumed"], &welcome["events"]),
        (&json!("a"), &json!(false), &json!([]))
    );
    assert_eq!(welcome["room"]["id"], room["id"]);
    ben.hello(Some(&b), None).await;
    assert_eq!(guest.hello(None, None).await["you"], Value::Null);
    for n in 0..10 {
        anna.danmaku(&format!("a{n}"), "  <b>你好</b> ").await;
        ben.danmaku(&format!("b{n}"), "hi").await;
    }
    let mut lists = Vec::new();
    for socket in [&mut anna, &mut ben, &mut guest] {
        let mut events = Vec::new();
        while events.len() < 20 {
            events.push(socket.next_of("event").await["event"].clone());
        }
        lists.push(events);
    }
    assert_eq!(lists[0], lists[1]);
    assert_eq!(lists[0], lists[2]);
    let numbers: Vec<u64> = lists[0].iter().map(|e| e["id"]["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
    let first = lists[0].iter().find(|e| e["body"]["client_ref"] == "a0").unwrap();
    assert_eq!(
        (&first["body"]["text"], &first["body"]["author"]["name"], &first["body"]["color"], &first["body"]["mode"]),
        (&json!("<b>你好</b>"), &json!("a"), &json!("#ffffff"), &json!("scroll"))
    );
}

#[tokio::test]
async fn the_studio_is_no_audience() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut studio = site.socket(id(&room)).await;
    studio.send(json!({"type": "hello", "version": 1, "token": a, "watching": false})).await;
    assert_eq!(studio.next_of("welcome").await["room"]["viewers"], 0);
    let mut guest = site.socket(id(&room)).await;
    assert_eq!(guest.hello(None, None).await["room"]["viewers"], 1);
    assert_eq!(studio.next_of("presence").await["viewers"], 1);
    // The same person, who also looks at the room's page.
    let mut page = site.socket(id(&room)).await;
    assert_eq!(page.hello(Some(&a), None).await["room"]["viewers"], 2);
}

/// Says hello with the key of an overlay.
async fn as_overlay(site: &common::Site, room: &str, key: &str) -> common::Socket {
    let mut socket = site.socket(room).await;
    socket.send(json!({"type": "hello", "version": 1, "overlay": key})).await;
    socket
}

#[tokio::test]
async fn an_overlay_reads_along_and_can_do_nothing_else() {
    let site = site().await;
    let (a, b) = (site.person("a").await, site.person("b").await);
    let (room, other) = (site.room(&a).await, site.room(&a).await);
    let path = format!("/rooms/{}/overlay", id(&room));
    assert_eq!(site.get(&path, Some(&a)).await.1, json!({"made_at": null}));
    for (method, token, expected) in [
        (Method::GET, Some(b.as_str()), 403),
        (Method::POST, Some(b.as_str()), 403),
        (Method::DELETE, Some(b.as_str()), 403),
        (Method::GET, None, 401),
        (Method::POST, None, 401),
        (Method::DELETE, None, 401),
    ] {
        assert_eq!(site.call(method.clone(), &path, token, None).await.0, expected, "{method}");
    }
    let (status, made) = site.post(&path, Some(&a), Value::Null).await;
    assert_eq!(status, 201, "{made}");
    let key = made["key"].as_str().unwrap();
    assert_eq!(site.get(&path, Some(&a)).await.1, json!({"made_at": made["made_at"]}), "the key is not told again");

    let mut overlay = as_overlay(&site, id(&room), key).await;
    let welcome = overlay.next_of("welcome").await;
    assert_eq!((&welcome["you"], &welcome["room"]["viewers"]), (&Value::Null, &json!(0)), "it is no audience");
    let mut ben = site.socket(id(&room)).await;
    ben.hello(Some(&b), None).await;
    assert_eq!(overlay.next_of("presence").await["viewers"], 1);
    ben.danmaku("one", "<b>hi</b>").await;
    assert_eq!(overlay.next_of("event").await["event"]["body"]["text"], "<b>hi</b>");
    overlay.danmaku("two", "from the overlay").await;
    let refused = overlay.next_of("refused").await;
    assert_eq!((&refused["client_ref"], &refused["error"]["code"]), (&json!("two"), &json!("unauthenticated")));
    let ballot = mujian_protocol::BallotId::new();
    overlay.send(json!({"type": "vote", "client_ref": "3", "ballot": ballot, "option": 0})).await;
    assert_eq!(overlay.next_of("refused").await["error"]["code"], "unauthenticated");

    // It is no session, in calls or in the socket, and opens no other room; no session is a key of an overlay.
    assert_eq!(site.get("/me", Some(key)).await.0, 401);
    assert_eq!(site.get(&path, Some(key)).await.0, 401);
    let mut taken = site.socket(id(&room)).await;
    taken.send(json!({"type": "hello", "version": 1, "token": key})).await;
    assert_eq!(taken.closed().await, 4401);
    for (room, key) in [(id(&other), key), (id(&room), a.as_str()), (id(&room), ""), (id(&room), "nonsense")] {
        let mut refused = as_overlay(&site, room, key).await;
        assert_eq!(refused.next_of("refused").await["error"]["code"], "unauthenticated");
        assert_eq!(refused.closed().await, 4401);
    }
    // Beside a session it counts alone.
    let mut both = site.socket(id(&room)).await;
    both.send(json!({"type": "hello", "version": 1, "token": a, "overlay": key})).await;
    assert_eq!(both.next_of("welcome").await["you"], Value::Null);
}

#[tokio::test]
async fn an_overlay_ends_at_once_when_its_key_does() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let path = format!("/rooms/{}/overlay", id(&room));
    let make =
        async |site: &common::Site| site.post(&path, Some(&a), Value::Null).await.1["key"].as_str().unwrap().to_owned();
    let first = make(&site).await;
    let mut shown = as_overlay(&site, id(&room), &first).await;
    shown.next_of("welcome").await;
    let mut guest = site.socket(id(&room)).await;
    guest.hello(None, None).await;

    let second = make(&site).await;
    assert_ne!(first, second);
    assert_eq!(shown.next_of("refused").await["error"]["code"], "unauthenticated");
    assert_eq!(shown.closed().await, 4401);
    assert_eq!(as_overlay(&site, id(&room), &first).await.closed().await, 4401);
    let mut shown = as_overlay(&site, id(&room), &second).await;
    shown.next_of("welcome").await;
    // Other changes of the room do not end it.
    let rename = Some(json!({"title": "new"}));
    site.call(Method::PATCH, &format!("/rooms/{}", id(&room)), Some(&a), rename).await;
    assert_eq!(shown.next_of("event").await["event"]["body"]["kind"], "room_changed");

    // It outlives the server, and only its hash is on the disk.
    drop((shown, guest));
    let site = site.restart().await;
    let mut shown = as_overlay(&site, id(&room), &second).await;
    shown.next_of("welcome").await;
    let raw = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(&second).unwrap();
    for file in std::fs::read_dir(site.data.path()).unwrap() {
        let Ok(bytes) = std::fs::read(file.unwrap().path()) else { continue };
        for secret in [second.as_bytes(), &raw] {
            assert!(!bytes.windows(secret.len()).any(|w| w == secret), "the key is on the disk");
        }
    }
    assert_eq!(site.call(Method::DELETE, &path, Some(&a), None).await.0, 204);
    assert_eq!(shown.closed().await, 4401);
    assert_eq!(as_overlay(&site, id(&room), &second).await.closed().await, 4401);
    assert_eq!(site.get(&path, Some(&a)).await.1, json!({"made_at": null}));
    assert_eq!(site.call(Method::DELETE, &path, Some(&a), None).await.0, 204, "again");
    let site = site.restart().await;
    assert_eq!(as_overlay(&site, id(&room), &second).await.closed().await, 4401);
}

#[tokio::test]
async fn the_same_danmaku_sent_again_counts_once() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut anna = site.socket(id(&room)).await;
    anna.hello(Some(&a), None).await;
    anna.danmaku("one", "hello").await;
    let first = anna.next_of("accepted").await;
    drop(anna);
    // She did not know that it arrived.
    let mut anna = site.socket(id(&room)).await;
    let welcome = anna.hello(Some(&a), None).await;
    assert_eq!(texts(&welcome["events"]), ["hello"]);
    anna.danmaku("one", "hello").await;
    assert_eq!(anna.next_of("accepted").await, first);
    anna.danmaku("two", "again").await;
    assert_eq!(anna.next_of("event").await["event"]["id"]["number"], 2);
}

#[tokio::test]
async fn who_comes_back_gets_just_what_was_missed() {
    let site = site_with(|c| c.limits.danmaku = Rate { burst: 1000, per_hour: 1 }).await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut anna = site.socket(id(&room)).await;
    let start = anna.hello(Some(&a), None).await["last"].clone();
    for n in 0..25 {
        anna.danmaku(&n.to_string(), &n.to_string()).await;
        anna.next_of("accepted").await;
    }
    let missed = |after: u64| json!({"epoch": 1, "number": after});
    let mut back = site.socket(id(&room)).await;
    let welcome = back.hello(None, Some(missed(20))).await;
    assert_eq!(
        (&welcome["resumed"], texts(&welcome["events"])),
        (&json!(true), (20..25).map(|n| n.to_string()).collect())
    );
    let mut back = site.socket(id(&room)).await;
    let welcome = back.hello(None, Some(start.clone())).await;
    assert_eq!((&welcome["resumed"], texts(&welcome["events"]).len()), (&json!(true), 25));
    // A place that this room never had.
    let mut back = site.socket(id(&room)).await;
    let welcome = back.hello(None, Some(json!({"epoch": 7, "number": 1}))).await;
    assert_eq!((&welcome["resumed"], texts(&welcome["events"]).len()), (&json!(false), 25));

    // The server restarts: the client resumes where it stopped, from the disk.
    let path = format!("/rooms/{}", id(&room));
    assert!(anna.inner.close(None).await.is_ok());
    let site = site.restart().await;
    let (status, _) = site.call(Method::PATCH, &path, Some(&a), Some(json!({"title": "new"}))).await;
    assert_eq!(status, 200);
    let mut back = site.socket(id(&room)).await;
    let welcome = back.hello(None, Some(start)).await;
    let texts = texts(&welcome["events"]);
    assert_eq!((&welcome["resumed"], texts.len(), texts[25].as_str()), (&json!(true), 26, "-"));
    assert_eq!(
        welcome["events"][25]["body"],
        json!({"kind": "room_changed", "title": "new", "category": "", "tags": []})
    );
    assert_eq!(welcome["last"], missed(26));
}

#[tokio::test]
async fn presence_counts_people_not_windows() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut first = site.socket(id(&room)).await;
    first.hello(Some(&a), None).await;
    let mut second = site.socket(id(&room)).await;
    second.hello(Some(&a), None).await;
    let mut guest = site.socket(id(&room)).await;
    let welcome = guest.hello(None, None).await;
    assert_eq!(welcome["room"]["viewers"], 2);
    let seen = async |socket: &mut common::Socket, wanted: u64| loop {
        if socket.next_of("presence").await["viewers"] == wanted {
            break;
        }
    };
    seen(&mut first, 2).await;
    drop(guest);
    drop(second);
    seen(&mut first, 1).await;
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["viewers"], 1);
}

#[tokio::test]
async fn bad_input_is_refused_or_ends_the_socket() {
    let site = site_with(|c| c.allowed_origins = vec!["https://friend.example".into()]).await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let here = site.base.clone();
    for (origin, taken) in
        [("https://evil.example", false), ("null", false), ("https://friend.example", true), (&here, true)]
    {
        assert_eq!(site.socket_from(id(&room), Some(origin)).await.is_ok(), taken, "{origin}");
    }
    assert_eq!(site.socket_from("nowhere", None).await.err().unwrap(), 404);

    for (message, code) in [
        (json!({"type": "danmaku", "client_ref": "1", "text": "a"}), 4400),
        (json!({"type": "hello", "version": 99}), 4400),
        (json!({"type": "hello", "version": 1, "token": "nonsense"}), 4401),
        (json!({"type": "dance"}), 4400),
        (json!([]), 4400),
    ] {
        let mut socket = site.socket(id(&room)).await;
        socket.send(message.clone()).await;
        let refused = socket.next_of("refused").await;
        assert!(refused["error"]["message"].as_str().unwrap().ends_with('.'));
        assert_eq!(socket.closed().await, code, "{message}");
    }
    // Larger than a message may be: nothing of it is taken.
    let mut socket = site.socket(id(&room)).await;
    socket.hello(None, None).await;
    let _ = socket.inner.send(Message::text("x".repeat(100_000))).await;
    socket.closed().await;
    let mut socket = site.socket(id(&room)).await;
    socket.hello(None, None).await;
    socket.inner.send(Message::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(socket.closed().await, 4400);

    // Refused, and the conversation goes on.
    let mut guest = site.socket(id(&room)).await;
    guest.hello(None, None).await;
    guest.danmaku("1", "hello").await;
    let refused = guest.next_of("refused").await;
    assert_eq!((&refused["client_ref"], &refused["error"]["code"]), (&json!("1"), &json!("unauthenticated")));
    let mut anna = site.socket(id(&room)).await;
    anna.hello(Some(&a), None).await;
    for text in ["", " ", "a\u{202e}b", &"字".repeat(101)] {
        anna.danmaku("1", text).await;
        assert_eq!(anna.next_of("refused").await["error"]["code"], "invalid_request", "{text}");
    }
    anna.danmaku("1", &"字".repeat(100)).await;
    anna.next_of("accepted").await;
}

#[tokio::test]
async fn too_fast_is_refused() {
    let site = site_with(|c| c.limits.danmaku = Rate { burst: 2, per_hour: 1 }).await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut anna = site.socket(id(&room)).await;
    anna.hello(Some(&a), None).await;
    for n in 0..3 {
        anna.danmaku(&n.to_string(), "hello").await;
    }
    let refused = anna.next_of("refused").await;
    assert_eq!((&refused["client_ref"], &refused["error"]["code"]), (&json!("2"), &json!("rate_limited")));
    for n in 0..250 {
        if anna
            .inner
            .send(Message::text(json!({"type": "danmaku", "client_ref": n.to_string(), "text": "spam"}).to_string()))
            .await
            .is_err()
        {
            break;
        }
    }
    assert_eq!(anna.closed().await, 4429);
}

/// Whatever a client sends without end, it is cut off: not only what is well formed.
#[tokio::test]
async fn floods_end_the_socket() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let invalid = Message::text(json!({"type": "danmaku", "client_ref": "", "text": ""}).to_string());
    for flood in [invalid, Message::Ping(vec![1].into()), Message::Pong(vec![].into())] {
        let mut socket = site.socket(id(&room)).await;
        socket.hello(Some(&a), None).await;
        for _ in 0..300 {
            if socket.inner.send(flood.clone()).await.is_err() {
                break;
            }
        }
        // What the client sent after the end may reset the connection before the code is read.
        let code = socket.closed().await;
        assert!(code == 4429 || code == 0, "{code}");
    }
}

#[tokio::test]
async fn a_change_of_the_room_is_told() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut guest = site.socket(id(&room)).await;
    guest.hello(None, None).await;
    site.call(Method::PATCH, &format!("/rooms/{}", id(&room)), Some(&a), Some(json!({"tags": ["x"]}))).await;
    let event = guest.next_of("event").await["event"].clone();
    assert_eq!(event["body"], json!({"kind": "room_changed", "title": "a room", "category": "", "tags": ["x"]}));
}

#[tokio::test]
async fn sockets_are_told_when_the_server_stops() {
    let mut site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let mut guest = site.socket(id(&room)).await;
    guest.hello(None, None).await;
    let server = site.server.take().unwrap();
    let stopping = tokio::spawn(server.shutdown());
    assert_eq!(guest.closed().await, 1001);
    tokio::time::timeout(PATIENCE, stopping).await.unwrap().unwrap();
}

/// A client that does not read is cut off, takes nobody with it, and loses nothing when it comes back.
#[tokio::test]
async fn a_slow_socket_is_closed_and_resumes() {
    let site = site().await;
    let a = site.person("a").await;
    let room = site.room(&a).await;
    let address = site.server.as_ref().unwrap().http;
    let small = tokio::net::TcpSocket::new_v4().unwrap();
    small.set_recv_buffer_size(4096).unwrap();
    let stream = tokio_tungstenite::MaybeTlsStream::Plain(small.connect(address).await.unwrap());
    let url = format!("ws://{address}/api/v1/rooms/{}/socket", id(&room));
    let (inner, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let mut slow = common::Socket { inner };
    slow.hello(None, None).await;
    let mut quick = site.socket(id(&room)).await;
    quick.hello(None, None).await;

    // More than the kernel's buffers and the room's queue hold.
    const COUNT: u64 = 128 * 30;
    let held = site.server.as_ref().unwrap().app().rooms.held(&id(&room).parse().unwrap()).unwrap();
    let author = held.row().owner;
    let write = async {
        // So many at a time as may wait for the store.
        let (reply, mut answers) = tokio::sync::mpsc::channel(256);
        for n in 0..COUNT {
            let danmaku = mujian_protocol::room::Danmaku {
                author: author.clone(),
                text: "字".repeat(100),
                mode: Default::default(),
                color: "#ffffff".into(),
                client_ref: n.to_string(),
            };
            held.hub.write(author.clone(), danmaku, reply.clone()).await.unwrap();
            if n % 128 == 127 {
                for _ in 0..128 {
                    let answer = answers.recv().await.unwrap();
                    assert!(matches!(answer, mujian_protocol::room::ServerMessage::Accepted { .. }), "{answer:?}");
                }
            }
        }
    };
    let read = async {
        let mut last = 0;
        while last < COUNT {
            let number = quick.next_of("event").await["event"]["id"]["number"].as_u64().unwrap();
            assert_eq!(number, last + 1);
            last = number;
        }
    };
    tokio::join!(write, read);

    let mut last = 0;
    loop {
        match slow.next().await {
            Ok(message) if message["type"] == "event" => {
                let number = message["event"]["id"]["number"].as_u64().unwrap();
                assert_eq!(number, last + 1);
                last = number;
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
    assert!(last < COUNT, "the slow socket was never behind");
    // Who missed more than a few hundred is told that there is a hole.
    let mut back = site.socket(id(&room)).await;
    let welcome = back.hello(None, Some(json!({"epoch": 1, "number": last}))).await;
    let events = welcome["events"].as_array().unwrap();
    assert_eq!(events.last().unwrap()["id"]["number"], COUNT);
    let whole = events[0]["id"]["number"] == last + 1;
    assert_eq!(welcome["resumed"], whole);
}
