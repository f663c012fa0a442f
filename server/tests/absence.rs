//! Leaving for a while and coming back, by the API, against the real server.

#![allow(clippy::unwrap_used)]

mod common;

use common::publisher::{Clip, Live};
use common::{PATIENCE, Site, Socket, site};
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::room::Stage;
use mujian_server::slate::{AwaySlates, SlateRequest};
use reqwest::StatusCode;
use serde_json::{Value, json};

const SMALL: &str = "160x90";

fn id(room: &Value) -> &str {
    room["id"].as_str().unwrap()
}

async fn call(site: &Site, room: &Value, what: &str, token: &str, body: Value) -> (StatusCode, Value) {
    site.post(&format!("/rooms/{}/{what}", id(room)), Some(token), body).await
}

/// The next change of what is shown, or of the stay away.
async fn change(socket: &mut Socket) -> (Value, Value) {
    loop {
        let body = socket.next_of("event").await["event"]["body"].clone();
        if body["kind"] == "stage_changed" {
            return (body["stage"].clone(), body["away"].clone());
        }
    }
}

async fn shows(live: &Live, stage: Stage) {
    let mut status = live.room.stage.status();
    let wait = status.wait_for(|s| s.stage == stage);
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{stage:?} in time")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_comes_when_it_holds_and_everybody_is_told() {
    let site = site().await;
    let (owner, other) = (site.person("owner").await, site.person("other").await);
    let room = site.room(&owner).await;
    let live = Live::start(site.server.as_ref().unwrap(), id(&room), Clip::encode(SMALL, "")).await;
    let mut guest = site.socket(id(&room)).await;
    assert_eq!(guest.hello(None, None).await["room"]["away"], Value::Null);

    for (token, status) in [(Some(other.as_str()), 403), (None, 401)] {
        for what in ["leave", "back"] {
            let path = format!("/rooms/{}/{what}", id(&room));
            assert_eq!(site.post(&path, token, json!({})).await.0, status);
        }
    }
    for bad in [json!({"leave_id": ""}), json!({"leave_id": "a b"}), json!({"keep_sound": 1})] {
        assert_eq!(call(&site, &room, "leave", &owner, bad).await.0, 422);
    }
    assert_eq!(call(&site, &room, "back", &owner, json!({})).await.1["stage"], "live", "nothing to come back from");

    let ask = json!({"leave_id": "lunch", "keep_sound": true, "placeholder_id": "food"});
    let (status, view) = call(&site, &room, "leave", &owner, ask.clone()).await;
    assert_eq!((status.as_u16(), &view["stage"]), (200, &json!("away")), "{view}");
    assert_eq!((&view["away"]["leave_id"], &view["away"]["keep_sound"]), (&json!("lunch"), &json!(true)));
    let on_disk = site.server.as_ref().unwrap().app().store.room(live.room.id.clone()).await.unwrap().unwrap().away;
    assert_eq!(serde_json::to_value(on_disk).unwrap(), view["away"]);
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["away"], view["away"]);
    assert_eq!(site.get("/rooms?live=true", None).await.1[0]["away"], view["away"]);
    // That it went live before may be told first.
    while change(&mut guest).await != (json!("away"), view["away"].clone()) {}
    let mut late = site.socket(id(&room)).await;
    assert_eq!(late.hello(None, None).await["room"]["away"], view["away"]);

    // Told twice it counts once; the way back of another stay away changes nothing.
    assert_eq!(call(&site, &room, "leave", &owner, ask.clone()).await.1["away"], view["away"]);
    let (status, same) = call(&site, &room, "back", &owner, json!({"leave_id": "dinner"})).await;
    assert_eq!((status.as_u16(), &same["away"]), (200, &view["away"]));

    let (status, back) = call(&site, &room, "back", &owner, json!({"leave_id": "lunch"})).await;
    assert_eq!((status.as_u16(), &back["away"]), (200, &Value::Null));
    shows(&live, Stage::Live).await;
    loop {
        let (stage, away) = change(&mut guest).await;
        assert_eq!(away, Value::Null);
        if stage == "live" {
            break;
        }
    }
    // A leave that was held up on its way comes too late; the room says so instead of "away".
    let (status, error) = call(&site, &room, "leave", &owner, ask).await;
    assert_eq!((status.as_u16(), &error["code"]), (409, &json!("conflict")));
    assert!(error["message"].as_str().unwrap().contains("leave_id"), "{error}");
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["stage"], "live");
    assert_eq!(call(&site, &room, "back", &owner, json!({})).await.0, 200);

    // From two devices at once: away, once, and back by one word.
    let (one, two) = tokio::join!(
        call(&site, &room, "leave", &owner, json!({"keep_sound": true})),
        call(&site, &room, "leave", &owner, json!({}))
    );
    assert_eq!((one.0.as_u16(), two.0.as_u16()), (200, 200));
    let view = site.get(&format!("/rooms/{}", id(&room)), None).await.1;
    assert_eq!(
        (&view["stage"], &view["away"]["keep_sound"]),
        (&json!("away"), &json!(false)),
        "the sound, if both let it"
    );
    let (one, two) =
        tokio::join!(call(&site, &room, "back", &owner, json!({})), call(&site, &room, "back", &owner, json!({})));
    assert_eq!((one.0.as_u16(), two.0.as_u16()), (200, 200));
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["away"], Value::Null);
    shows(&live, Stage::Live).await;

    // A script needs no body. The end ends the stay away too.
    let bare = format!("/rooms/{}/leave", id(&room));
    assert_eq!(site.call(reqwest::Method::POST, &bare, Some(&owner), None).await.1["stage"], "away");
    assert_eq!(call(&site, &room, "end", &owner, json!({})).await.0, 204);
    let view = site.get(&format!("/rooms/{}", id(&room)), None).await.1;
    assert_eq!((&view["stage"], &view["away"]), (&json!("off"), &Value::Null));
    let on_disk = site.server.as_ref().unwrap().app().store.room(live.room.id.clone()).await.unwrap().unwrap();
    assert_eq!(on_disk.away, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_before_the_stream_begins_it_away_also_after_a_restart() {
    let site = site().await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let (status, view) = call(&site, &room, "leave", &owner, json!({"leave_id": "early"})).await;
    assert_eq!((status.as_u16(), &view["stage"], &view["away"]["leave_id"]), (200, &json!("off"), &json!("early")));
    let site = site.restart().await;
    assert_eq!(
        site.get(&format!("/rooms/{}", id(&room)), None).await.1["away"],
        view["away"],
        "nobody asked for the room"
    );
    assert_eq!(site.get("/rooms", None).await.1[0]["away"], view["away"]);
    let server = site.server.as_ref().unwrap();
    let live = Live::start_as(server, id(&room), Clip::encode(SMALL, ""), Stage::Away).await;
    let site = {
        drop(live);
        site.restart().await
    };
    let live = Live::start_as(site.server.as_ref().unwrap(), id(&room), Clip::encode(SMALL, ""), Stage::Away).await;
    assert_eq!(call(&site, &room, "back", &owner, json!({})).await.0, 200);
    shows(&live, Stage::Live).await;
    drop(live);
    let site = site.restart().await;
    let _live = Live::start(site.server.as_ref().unwrap(), id(&room), Clip::encode(SMALL, "")).await;
}

/// What a publisher says in its stream is stored like what is said by a call; a call does not open the gate that
/// the publisher closed by itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_publishers_say_in_their_streams_is_stored_too() {
    let site = site().await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let live = Live::start_marking(site.server.as_ref().unwrap(), id(&room), Clip::encode(SMALL, "")).await;
    let store = &site.server.as_ref().unwrap().app().store;
    let stored = |wanted: Option<&'static str>| {
        let (store, id) = (store.clone(), live.room.id.clone());
        async move {
            let wait = async {
                loop {
                    let away = store.room(id.clone()).await.unwrap().unwrap().away;
                    if away.as_ref().map(|a| a.leave_id.as_str()) == wanted {
                        return;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{wanted:?} is stored in time"));
        }
    };
    let away =
        |id: &str| FeedItem::AwayMark { leave_id: id.parse().unwrap(), last: MediaTime::ZERO, keep_sound: false };
    let back = |id: &str| FeedItem::BackMark { leave_id: id.parse().unwrap() };
    live.mark(away("one"));
    stored(Some("one")).await;
    shows(&live, Stage::Away).await;
    live.mark(back("one"));
    stored(None).await;
    shows(&live, Stage::Live).await;

    // On both ways, then back by a call alone: the room's fact is over, the picture waits for the publisher's word.
    assert_eq!(call(&site, &room, "leave", &owner, json!({"leave_id": "two"})).await.0, 200);
    live.mark(away("two"));
    assert_eq!(call(&site, &room, "back", &owner, json!({"leave_id": "two"})).await.1["away"], Value::Null);
    stored(None).await;
    live.mark(away("three"));
    stored(Some("three")).await;
    live.mark(back("three"));
    stored(None).await;
    shows(&live, Stage::Live).await;
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["stage"], "live");
}

/// A disk that does not take it: the picture is off, whoever left is told, and it is stored as soon as that goes.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_keeps_the_picture_off() {
    let site = site().await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let live = Live::start(site.server.as_ref().unwrap(), id(&room), Clip::encode(SMALL, "")).await;
    let store = &site.server.as_ref().unwrap().app().store;
    let database = rusqlite::Connection::open(site.data.path().join("mujian.db")).unwrap();
    database.busy_timeout(PATIENCE).unwrap();
    let refuse = |yes: bool| {
        let refuse = "CREATE TRIGGER broken BEFORE UPDATE OF away_id ON rooms BEGIN SELECT RAISE(FAIL, 'broken'); END";
        database.execute_batch(if yes { refuse } else { "DROP TRIGGER broken" }).unwrap();
    };
    let kept = |wanted: bool| {
        let (store, id) = (store.clone(), live.room.id.clone());
        async move {
            let wait = async {
                while store.room(id.clone()).await.unwrap().unwrap().away.is_some() != wanted {
                    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                }
            };
            tokio::time::timeout(PATIENCE, wait).await.expect("the disk knows in time");
        }
    };
    refuse(true);
    let (status, error) = call(&site, &room, "leave", &owner, json!({"leave_id": "one"})).await;
    assert_eq!((status.as_u16(), &error["code"]), (500, &json!("internal")));
    assert!(error["message"].as_str().unwrap().contains("picture is off"), "{error}");
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["stage"], "away");
    refuse(false);
    kept(true).await;

    refuse(true);
    let (status, error) = call(&site, &room, "back", &owner, json!({})).await;
    assert_eq!((status.as_u16(), &error["code"]), (500, &json!("internal")));
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["stage"], "away", "still");
    refuse(false);
    assert_eq!(call(&site, &room, "back", &owner, json!({})).await.0, 200);
    kept(false).await;
    shows(&live, Stage::Live).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leave_says_what_is_shown_and_when_one_means_to_be_back() {
    let site = site().await;
    let owner = site.person("owner").await;
    let room = site.room(&owner).await;
    let shelf = async || site.get(&format!("/rooms/{}/placeholders", id(&room)), Some(&owner)).await.1;
    let leave = async |ask: Value| call(&site, &room, "leave", &owner, ask).await;
    let back_at = async |at: Value| {
        let path = format!("/rooms/{}/back_at", id(&room));
        site.call(reqwest::Method::PUT, &path, Some(&owner), Some(json!({"back_at": at}))).await
    };
    let soon = mujian_protocol::WallTime::now().millis() + 600_000;

    assert_eq!(call(&site, &room, "away", &owner, json!({"placeholder_id": "nothing"})).await.0, 404);
    let next = call(&site, &room, "away", &owner, json!({"placeholder_id": "food"})).await.1;
    assert_eq!((&next["id"], &next["reason"]), (&json!("food"), &json!("picked")));
    assert_eq!(shelf().await["next"], "food");

    // What the leave itself names is shown, and the time is told; the pick ahead is used up by this stay.
    let (status, view) = leave(json!({"leave_id": "a", "placeholder_id": "game", "back_at": soon})).await;
    assert_eq!((status.as_u16(), &view["away"]["back_at"]), (200, &json!(soon)), "{view}");
    let told = leave(json!({"leave_id": "a"})).await.1;
    assert_eq!(told["away"], view["away"], "told twice, it is the same");
    let now = shelf().await;
    assert_eq!((&now["choice"]["id"], &now["next"]), (&json!("game"), &Value::Null), "{now}");
    // Whatever it takes to draw it, something is there at once: what was shown before may be gone from the shelf, or refused.
    let held = site.server.as_ref().unwrap().app().rooms.get(&id(&room).parse().unwrap()).await.unwrap().unwrap();
    assert!(held.shelf.ready(SlateRequest::default()).await.is_some());
    assert!(held.shelf.exact(SlateRequest::default()).await.is_err(), "this server draws nothing");

    let (status, view) = back_at(json!(soon + 60_000)).await;
    assert_eq!((status.as_u16(), &view["away"]["back_at"]), (200, &json!(soon + 60_000)), "{view}");
    let store = &site.server.as_ref().unwrap().app().store;
    let on_disk = store.room(id(&room).parse().unwrap()).await.unwrap().unwrap().away;
    assert_eq!(serde_json::to_value(on_disk).unwrap(), view["away"], "it outlives a restart");
    for (at, status) in [(json!(5), 400), (json!(soon + 2 * 86_400_000), 400), (Value::Null, 200)] {
        assert_eq!(back_at(at.clone()).await.0, status, "{at}");
    }
    assert_eq!(site.get(&format!("/rooms/{}", id(&room)), None).await.1["away"]["back_at"], Value::Null);

    assert_eq!(call(&site, &room, "back", &owner, json!({})).await.0, 200);
    assert_eq!(back_at(json!(soon)).await.0, 409, "there is nothing to come back from");
    assert_eq!(shelf().await["choice"]["reason"], "empty", "the next time is another one");

    // What cannot be shown or told is refused, and the streamer is away all the same.
    for (ask, status) in [
        (json!({"leave_id": "b", "placeholder_id": "nothing", "back_at": soon}), 404),
        (json!({"leave_id": "b", "back_at": 1}), 400),
    ] {
        let (found, error) = leave(ask).await;
        assert_eq!(found, status, "{error}");
        assert!(error["message"].as_str().unwrap().starts_with("You are away and your picture is off."), "{error}");
        let view = site.get(&format!("/rooms/{}", id(&room)), None).await.1;
        assert_eq!((&view["away"]["leave_id"], &view["away"]["back_at"]), (&json!("b"), &json!(soon)), "{view}");
    }
}
