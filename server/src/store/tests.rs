//! The store by itself: migrations, refusals, numbering.

#![allow(clippy::unwrap_used)]

use mujian_media::rtmp::Secret;
use mujian_protocol::api::{Person, Role};
use mujian_protocol::ballot::{BallotOption, BallotResult, BallotSettings, BallotView, Interaction, Owed};
use mujian_protocol::hall::Announcement;
use mujian_protocol::room::{Away, EventId, RoomEvent, RoomEventBody, Stage};
use mujian_protocol::{AccountId, BallotId, RelayId, RoomId, StreamId, WallTime};
use rusqlite::Connection;

use super::migrations::RELAYS;
use super::*;

async fn person(store: &Store, name: &str) -> Person {
    let new = NewAccount {
        name: name.into(),
        name_key: name.to_lowercase(),
        password: Some("kept".into()),
        role: Role::Viewer,
        at: WallTime(1),
    };
    store.create_account(new).await.unwrap().unwrap().person()
}

async fn room(store: &Store, id: &str) -> RoomRow {
    let owner = person(store, &format!("owner of {id}")).await;
    store.create_room(new_room(id, owner), 10).await.unwrap().unwrap()
}

fn new_room(id: &str, owner: Person) -> RoomRow {
    RoomRow {
        id: id.parse().unwrap(),
        owner,
        title: "t".into(),
        category: String::new(),
        tags: vec!["a".into()],
        stream_key: "key".into(),
        created_at: WallTime(2),
        stage: Stage::Off,
        stage_since: WallTime(2),
        last: EventId { epoch: 1, number: 0 },
        stream: None,
        away: None,
        ballot: BallotSettings::default(),
    }
}

fn changed(at: i64) -> NewEvent {
    NewEvent {
        at: WallTime(at),
        author: None,
        client_ref: None,
        body: RoomEventBody::StageChanged { stage: Stage::Live, away: None },
    }
}

const ZERO: EventId = EventId { epoch: 0, number: 0 };
const MAX: EventId = EventId { epoch: i64::MAX as u64, number: i64::MAX as u64 };

#[tokio::test]
async fn events_are_numbered_without_holes_also_when_operations_fail() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let room = room(&store, "room").await;
    let mut tasks = Vec::new();
    for i in 0..50 {
        let (store, id) = (store.clone(), room.id.clone());
        tasks.push(tokio::spawn(async move {
            let wrong: RoomId = "nowhere".parse().unwrap();
            let target = if i % 5 == 0 { wrong } else { id };
            store.append_events(target, vec![changed(i), changed(i)]).await
        }));
    }
    let mut taken = 0;
    for task in tasks {
        taken += task.await.unwrap().map_or(0, |a| a.len());
    }
    assert_eq!(taken, 80);
    let page = store.events_between(room.id.clone(), ZERO, MAX, 1000).await.unwrap();
    let numbers: Vec<u64> = page.events.iter().map(|e| e.id.number).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    assert!(page.complete);
    let page = store
        .events_between(room.id, EventId { epoch: 1, number: 10 }, EventId { epoch: 1, number: 70 }, 5)
        .await
        .unwrap();
    assert_eq!(page.events.iter().map(|e| e.id.number).collect::<Vec<_>>(), [66, 67, 68, 69, 70]);
    assert!(!page.complete);
}

#[tokio::test]
async fn the_same_client_ref_counts_once_for_its_author_only() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let room = room(&store, "room").await;
    let (a, b) = (person(&store, "a").await, person(&store, "b").await);
    let event =
        |author: &Person| NewEvent { author: Some(author.id.clone()), client_ref: Some("ref".into()), ..changed(1) };
    let first = store.append_events(room.id.clone(), vec![event(&a), event(&a), event(&b)]).await.unwrap();
    assert_eq!(
        first.iter().map(|e| (e.event.id.number, e.fresh)).collect::<Vec<_>>(),
        [(1, true), (1, false), (2, true)]
    );
    let again = store.append_events(room.id, vec![event(&a)]).await.unwrap();
    assert_eq!((again[0].event.id.number, again[0].fresh), (1, false));
}

#[tokio::test]
async fn streams_and_stages_follow_their_events() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let room = room(&store, "room").await;
    let stream = StreamId::new();
    let started = NewEvent { body: RoomEventBody::StreamStarted { stream: stream.clone() }, ..changed(5) };
    store.append_events(room.id.clone(), vec![started, changed(6)]).await.unwrap();
    let row = store.room(room.id.clone()).await.unwrap().unwrap();
    assert_eq!((row.stage, row.stage_since, row.stream), (Stage::Live, WallTime(6), Some(stream.clone())));
    let ended = NewEvent { body: RoomEventBody::StreamEnded { stream: stream.clone() }, ..changed(9) };
    store.append_events(room.id.clone(), vec![ended]).await.unwrap();
    let streams = store.streams(room.id.clone(), 10).await.unwrap();
    assert_eq!(streams, [StreamRow { id: stream, started_at: WallTime(5), ended_at: Some(WallTime(9)) }]);
    assert_eq!(store.room(room.id).await.unwrap().unwrap().stream, None);
}

#[tokio::test]
async fn accounts_own_a_bounded_number_of_rooms() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let owner = person(&store, "a").await;
    assert!(store.create_room(new_room("room-1", owner.clone()), 1).await.unwrap().is_some());
    assert!(store.create_room(new_room("room-2", owner), 1).await.unwrap().is_none());
}

#[tokio::test]
async fn sessions_end_and_move() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let a = person(&store, "a").await;
    store.create_session([1; 32], a.id.clone(), WallTime(10), WallTime(20)).await.unwrap();
    assert_eq!(store.session([1; 32], WallTime(19)).await.unwrap().unwrap().account.name, "a");
    assert!(store.session([1; 32], WallTime(20)).await.unwrap().is_none());
    store.extend_session([1; 32], WallTime(30)).await.unwrap();
    assert!(store.session([1; 32], WallTime(20)).await.unwrap().is_some());
    store.delete_session([1; 32]).await.unwrap();
    assert!(store.session([1; 32], WallTime(11)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_recovery_code_is_good_once_for_a_while_and_a_few_tries() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let a = person(&store, "a").await;
    let keep = |account: &AccountId, hash: u8, tries| {
        let (hand, expires_at) = (Hand { by: None, at: WallTime(10) }, WallTime(20));
        store.keep_recovery(NewRecovery { account: account.clone(), code_hash: [hash; 32], hand, expires_at, tries })
    };
    let recover = |hash: u8, at| store.recover(a.id.clone(), [hash; 32], format!("new {hash}"), WallTime(at));
    assert_eq!(keep(&AccountId::new(), 1, 3).await.unwrap(), KeptRecovery::Unknown);
    let hosting = NewAccount {
        name: "host".into(),
        name_key: "host".into(),
        password: None,
        role: Role::Operator,
        at: WallTime(1),
    };
    let hosting = store.create_account(hosting).await.unwrap().unwrap();
    assert_eq!(keep(&hosting.id, 1, 3).await.unwrap(), KeptRecovery::NoPassword);
    assert!(store.audit(None, 9).await.unwrap().entries.is_empty(), "nothing was done");
    assert!(!recover(1, 11).await.unwrap(), "none was made");
    // A newer one takes the place of the older one.
    for hash in [1, 2] {
        assert_eq!(keep(&a.id, hash, 3).await.unwrap(), KeptRecovery::Done);
    }
    assert!(!recover(1, 11).await.unwrap());
    assert!(!recover(2, 20).await.unwrap(), "too old");
    store.create_session([1; 32], a.id.clone(), WallTime(10), WallTime(90)).await.unwrap();
    assert!(recover(2, 19).await.unwrap());
    assert_eq!(store.password(a.id.clone()).await.unwrap().as_deref(), Some("new 2"));
    assert!(store.session([1; 32], WallTime(19)).await.unwrap().is_none());
    assert!(!recover(2, 19).await.unwrap(), "it was used");
    // Wrong ones use it up.
    assert_eq!(keep(&a.id, 4, 2).await.unwrap(), KeptRecovery::Done);
    assert!(!recover(5, 11).await.unwrap() && !recover(5, 11).await.unwrap() && !recover(4, 11).await.unwrap());
    assert_eq!(store.password(a.id).await.unwrap().as_deref(), Some("new 2"));
}

#[tokio::test]
async fn a_room_has_one_overlay_that_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let room = room(&store, "room").await;
    let row = |n: u8| OverlayRow { key_hash: [n; 32], made_at: WallTime(n.into()) };
    assert_eq!(store.overlay(room.id.clone()).await.unwrap(), None);
    for n in [1, 2] {
        assert!(store.set_overlay(room.id.clone(), Some(row(n))).await.unwrap());
        assert_eq!(store.overlay(room.id.clone()).await.unwrap(), Some(row(n)));
    }
    assert!(!store.set_overlay("nowhere".parse().unwrap(), Some(row(1))).await.unwrap());
    assert!(store.set_overlay(room.id.clone(), None).await.unwrap());
    assert_eq!(store.overlay(room.id.clone()).await.unwrap(), None);
    assert!(store.set_overlay(room.id.clone(), Some(row(3))).await.unwrap());
    let gone = store.delete_account(room.owner.id.clone(), "kept".into(), WallTime(9)).await.unwrap();
    assert!(matches!(gone, Deletion::Done { .. }), "{gone:?}");
    assert_eq!(store.overlay(room.id).await.unwrap(), None);
}

#[tokio::test]
async fn follows_count_once_are_bounded_and_go_with_their_room_and_account() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (one, two) = (room(&store, "room-1").await, room(&store, "room-2").await);
    let (fan, other) = (person(&store, "fan").await, person(&store, "other").await);
    let follow = async |who: &Person, room: &RoomRow, at, most| {
        store.follow(who.id.clone(), room.id.clone(), WallTime(at), most).await.unwrap()
    };
    let followed = async |who: &Person| {
        let rows = store.followed(who.id.clone(), 9).await.unwrap();
        rows.into_iter().map(|row| row.id.as_str().to_owned()).collect::<Vec<_>>()
    };
    for at in [5, 6] {
        assert_eq!(follow(&fan, &one, at, 1).await, Following::Done, "twice is as once");
    }
    assert_eq!(follow(&fan, &two, 7, 1).await, Following::Full);
    assert_eq!(follow(&one.owner, &one, 7, 9).await, Following::Own);
    let nowhere = RoomRow { id: "nowhere".parse().unwrap(), ..one.clone() };
    assert_eq!(follow(&fan, &nowhere, 7, 9).await, Following::NoRoom);
    assert_eq!(follow(&fan, &two, 8, 2).await, Following::Done);
    assert_eq!(follow(&other, &one, 9, 2).await, Following::Done);
    assert_eq!(store.followers(one.id.clone()).await.unwrap(), 2);
    // The one that was on air last comes first, and the first follow is what the export tells.
    store.append_events(two.id.clone(), vec![changed(50)]).await.unwrap();
    assert_eq!(followed(&fan).await, ["room-2", "room-1"]);
    assert_eq!(store.followed(fan.id.clone(), 1).await.unwrap().len(), 1);
    let told = store.export(fan.id.clone(), WallTime(9)).await.unwrap().unwrap().follows;
    let told: Vec<_> = told.iter().map(|f| (f.room.as_str(), f.title.as_str(), f.since.0)).collect();
    assert_eq!(told, [("room-1", "t", 5), ("room-2", "t", 8)]);
    for _ in 0..2 {
        store.unfollow(fan.id.clone(), two.id.clone()).await.unwrap();
    }
    assert_eq!((followed(&fan).await, followed(&other).await), (vec!["room-1".into()], vec!["room-1".to_owned()]));
    // With the account; and nothing of it comes back.
    let gone = store.delete_account(other.id.clone(), "kept".into(), WallTime(9)).await.unwrap();
    assert!(matches!(gone, Deletion::Done { .. }), "{gone:?}");
    assert_eq!(store.followers(one.id.clone()).await.unwrap(), 1);
    assert_eq!(follow(&other, &one, 9, 2).await, Following::Gone);
    // With the room.
    store.delete_account(one.owner.id.clone(), "kept".into(), WallTime(9)).await.unwrap();
    assert_eq!((followed(&fan).await, store.followers(one.id.clone()).await.unwrap()), (Vec::new(), 0));
}

const HOUR: i64 = 3_600_000;

async fn stream(store: &Store, room: &RoomRow, from: i64, to: Option<i64>) -> StreamId {
    let stream = StreamId::new();
    let body = RoomEventBody::StreamStarted { stream: stream.clone() };
    store.append_events(room.id.clone(), vec![NewEvent { body, ..changed(from) }]).await.unwrap();
    if let Some(to) = to {
        end(store, room, &stream, to).await;
    }
    stream
}

async fn end(store: &Store, room: &RoomRow, stream: &StreamId, at: i64) {
    let body = RoomEventBody::StreamEnded { stream: stream.clone() };
    store.append_events(room.id.clone(), vec![NewEvent { body, ..changed(at) }]).await.unwrap();
}

#[tokio::test]
async fn what_is_announced_stands_until_it_is_given_or_its_time_has_passed() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (one, two) = (room(&store, "room-1").await, room(&store, "room-2").await);
    let what = |at: i64, title: &str| Announcement { at: WallTime(at), title: title.into() };
    let set = async |room: &RoomRow, what: Option<Announcement>, now| {
        store.set_announcement(room.id.clone(), what, WallTime(now)).await.unwrap()
    };
    let told = async |room: &RoomRow, now| store.announcement(room.id.clone(), WallTime(now)).await.unwrap();
    let listed = async |now| {
        let all = store.announced(WallTime(now), 9).await.unwrap();
        all.into_iter().map(|(room, what)| format!("{}: {}", room.id, what.title)).collect::<Vec<_>>()
    };
    let at = 100 * HOUR;
    assert!(!set(&RoomRow { id: "nowhere".parse().unwrap(), ..one.clone() }, Some(what(at, "x")), HOUR).await);
    assert!(set(&one, Some(what(at + HOUR, "first")), HOUR).await);
    assert!(set(&one, Some(what(at, "snow")), HOUR).await, "in place of the one before");
    assert!(set(&two, Some(what(at - 1, "rain")), HOUR).await);
    assert_eq!(listed(2 * HOUR).await, ["room-2: rain", "room-1: snow"]);
    assert_eq!(store.announced(WallTime(2 * HOUR), 1).await.unwrap().len(), 1);
    assert!(set(&two, None, 2 * HOUR).await);
    assert_eq!(told(&two, 2 * HOUR).await, None);
    // An hour after its time it is over.
    assert_eq!(told(&one, at + HOUR - 1).await, Some(what(at, "snow")));
    assert_eq!(told(&one, at + HOUR).await, None);
    assert_eq!(listed(at + HOUR).await, [] as [String; 0]);
    // Another stream before that is not it; while it runs the hall tells nothing.
    let other = stream(&store, &one, at - 2 * HOUR, None).await;
    assert_eq!(listed(at - HOUR).await, [] as [String; 0]);
    end(&store, &one, &other, at - HOUR - 1).await;
    assert_eq!(listed(at - HOUR).await, ["room-1: snow"]);
    // Announced while a stream runs it is the next one.
    let running = stream(&store, &one, at - HOUR, None).await;
    assert_eq!(told(&one, at).await, None, "this one is it");
    assert!(set(&one, Some(what(at, "later")), at - HOUR + 1).await);
    end(&store, &one, &running, at - HOUR + 2).await;
    assert_eq!(listed(at).await, ["room-1: later"]);
    stream(&store, &one, at - 5, Some(at)).await;
    assert_eq!((told(&one, at).await, listed(at).await.len()), (None, 0), "it was given, and has ended");
    // It goes with its room, and along with the account.
    assert!(set(&two, Some(what(at, "rain")), HOUR).await);
    let kept = store.export(two.owner.id.clone(), WallTime(9)).await.unwrap().unwrap();
    assert_eq!(kept.rooms[0].announced, Some(what(at, "rain")));
    store.delete_account(two.owner.id.clone(), "kept".into(), WallTime(9)).await.unwrap();
    assert_eq!((told(&two, HOUR).await, listed(2 * HOUR).await.len()), (None, 0));
}

#[tokio::test]
async fn the_last_stream_of_each_room_that_is_off_ended_lately() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (one, two, three) = (room(&store, "room-1").await, room(&store, "room-2").await, room(&store, "room-3").await);
    stream(&store, &one, 10, Some(20)).await;
    let last = stream(&store, &one, 30, Some(40)).await;
    let longer = stream(&store, &two, 15, Some(45)).await;
    stream(&store, &three, 10, Some(41)).await;
    stream(&store, &three, 50, None).await;
    let ended = store.ended_since(WallTime(19), 9).await.unwrap();
    let told: Vec<_> = ended.iter().map(|e| (e.room.id.as_str(), &e.id, e.started_at.0, e.ended_at.0)).collect();
    assert_eq!(told, [("room-2", &longer, 15, 45), ("room-1", &last, 30, 40)]);
    assert_eq!(store.ended_since(WallTime(40), 9).await.unwrap().len(), 1);
    assert_eq!(store.ended_since(WallTime(19), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_room_has_a_few_further_addresses_that_go_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (one, other) = (room(&store, "one-room").await, room(&store, "other-room").await);
    let row = |n: i64| RelayRow {
        id: RelayId::new(),
        name: format!("name {n}"),
        url: format!("rtmp://host{n}/app"),
        key: Secret::new(format!("key {n}")),
        on: n % 2 == 0,
        made_at: WallTime(n),
    };
    let rows = [row(1), row(2)];
    for (row, done) in [(&rows[1], RelayAdded::Done), (&rows[0], RelayAdded::Done), (&row(3), RelayAdded::Full)] {
        assert_eq!(store.add_relay(one.id.clone(), row.clone(), 2).await.unwrap(), done);
    }
    assert_eq!(store.add_relay("nowhere".parse().unwrap(), row(4), 2).await.unwrap(), RelayAdded::NoRoom);
    assert_eq!(store.relays(one.id.clone()).await.unwrap(), rows);
    assert_eq!(store.relays(other.id.clone()).await.unwrap(), []);
    let change = RelayChange { key: Some(Secret::new("other")), on: Some(true), ..RelayChange::default() };
    let changed = RelayRow { key: Secret::new("other"), on: true, ..rows[0].clone() };
    let id = rows[0].id.clone();
    assert_eq!(store.change_relay(one.id.clone(), id.clone(), change.clone()).await.unwrap(), Some(changed.clone()));
    assert_eq!(store.change_relay(other.id.clone(), id.clone(), change).await.unwrap(), None, "it is another room's");
    assert_eq!(store.relays(one.id.clone()).await.unwrap(), [changed, rows[1].clone()]);
    assert!(!store.remove_relay(other.id, id.clone()).await.unwrap());
    assert!(store.remove_relay(one.id.clone(), id.clone()).await.unwrap());
    assert!(!store.remove_relay(one.id.clone(), id).await.unwrap());
    let export = store.export(one.owner.id.clone(), WallTime(9)).await.unwrap().unwrap();
    let text = serde_json::to_string(&export.rooms[0].relays).unwrap();
    assert_eq!(text, r#"[{"name":"name 2","url":"rtmp://host2/app","on":true}]"#);
    let gone = store.delete_account(one.owner.id.clone(), "kept".into(), WallTime(9)).await.unwrap();
    assert!(matches!(gone, Deletion::Done { .. }), "{gone:?}");
    assert_eq!(store.relays(one.id).await.unwrap(), []);
}

/// A command of the operator's works while the server runs, and where none ever ran it says so.
#[tokio::test]
async fn a_store_is_opened_beside_a_running_server() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = Store::open_beside(folder.path()).unwrap_err();
    assert!(matches!(nothing, OpenError::Nothing { .. }) && nothing.to_string().contains("--data"), "{nothing}");
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none(), "and nothing was made");
    let server = Store::open(folder.path()).unwrap();
    let a = person(&server, "a").await;
    let beside = Store::open_beside(folder.path()).unwrap();
    let (hand, expires_at) = (Hand { by: None, at: WallTime(10) }, WallTime(20));
    let new = NewRecovery { account: a.id.clone(), code_hash: [1; 32], hand, expires_at, tries: 1 };
    assert_eq!(beside.keep_recovery(new).await.unwrap(), KeptRecovery::Done);
    beside.close().await;
    assert!(server.recover(a.id, [1; 32], "new".into(), WallTime(11)).await.unwrap());
    // While an older server runs, the database is not brought to a newer format under it.
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    connection.pragma_update(None, "user_version", LATEST - 1).unwrap();
    drop(connection);
    let older = Store::open_beside(folder.path()).unwrap_err();
    assert!(matches!(older, OpenError::Older { .. }), "{older}");
}

#[tokio::test]
async fn the_audit_log_is_written_with_what_it_tells_of_and_only_grows() {
    use mujian_protocol::audit::AuditAction;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (a, b) = (person(&store, "a").await, person(&store, "b").await);
    let hand = |at| Hand { by: Some(a.id.clone()), at: WallTime(at) };
    assert!(store.make_first_operator(a.id.clone(), WallTime(1)).await.unwrap().is_some());
    assert!(store.make_first_operator(b.id.clone(), WallTime(2)).await.unwrap().is_none());
    let refused = store.set_role(a.id.clone(), Role::Viewer, Some(hand(3))).await.unwrap();
    assert_eq!(refused, RoleChange::LastOperator);
    store.set_role(b.id.clone(), Role::Moderator, Some(hand(4))).await.unwrap();
    // Nothing was changed, and nobody did it.
    store.set_role(b.id.clone(), Role::Moderator, Some(hand(5))).await.unwrap();
    store.set_role(b.id.clone(), Role::Streamer, None).await.unwrap();
    assert!(store.set_trusted(b.id.clone(), true, Some(hand(6))).await.unwrap());
    assert!(!store.set_trusted(AccountId::new(), true, Some(hand(7))).await.unwrap());
    let room: RoomId = "room".parse().unwrap();
    let (call, terminal) = ("POST /rooms/{room}/end".to_owned(), Hand { by: None, at: WallTime(8) });
    let on = Concerned { account: Some(AccountId::new()), room: Some(room.clone()) };
    store.note_audit(terminal, AuditAction::RoomCalled { call: call.clone() }, on).await.unwrap();

    let page = store.audit(None, 3).await.unwrap();
    let told: Vec<_> = page.entries.iter().map(|e| (e.number, e.at.millis(), e.action.clone())).collect();
    let expected = [
        (4, 8, AuditAction::RoomCalled { call }),
        (3, 6, AuditAction::TrustChanged { trusted: true }),
        (2, 4, AuditAction::RoleChanged { from: Role::Viewer, to: Role::Moderator }),
    ];
    assert_eq!((told.as_slice(), page.more), (expected.as_slice(), true));
    assert_eq!((page.entries[0].by.as_ref(), page.entries[0].room.as_ref()), (None, Some(&room)));
    assert_eq!(page.entries[0].account.as_ref().map(|p| p.name.as_str()), Some(""), "whoever it was");
    assert_eq!((page.entries[2].by.as_ref(), page.entries[2].account.as_ref()), (Some(&a), Some(&b)));
    let page = store.audit(Some(2), 3).await.unwrap();
    assert_eq!((page.entries.len(), &page.entries[0].action, page.more), (1, &AuditAction::BecameOperator, false));

    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    for sql in ["DELETE FROM audit", "UPDATE audit SET by_id = NULL WHERE number = 2"] {
        let refused = connection.execute_batch(sql).unwrap_err();
        assert!(refused.to_string().contains("the audit log only grows"), "{refused}");
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let id: AccountId = {
        let store = Store::open(folder.path()).unwrap();
        let a = person(&store, "a").await;
        assert!(matches!(Store::open(folder.path()), Err(OpenError::InUse { .. })));
        store.close().await;
        assert_eq!(store.extend_session([0; 32], WallTime(1)).await, Err(StoreError::Closed));
        a.id
    };
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.account_by_name("a".into()).await.unwrap().unwrap().account.id, id);
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let path = folder.path().join(FILE);
    // The writer's thread may still be folding the log in: a writer waits for it.
    let connection = Connection::open(&path).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.pragma_update(None, "user_version", LATEST + 1).unwrap();
    drop(connection);
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found, known: LATEST, .. } if found == LATEST + 1), "{error}");
    assert!(error.to_string().contains("newer version"), "{error}");
}

#[test]
fn somebody_elses_file_is_refused() {
    for text in [None, Some("this is a letter to my aunt, not a database; it is long enough to be read as one")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        match text {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => Connection::open(&path).unwrap().execute_batch("CREATE TABLE cats (name TEXT)").unwrap(),
        }
        assert!(matches!(Store::open(folder.path()), Err(OpenError::NotOurs { .. })));
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(Store::open(&file.join("data")), Err(OpenError::NotWritable { .. })));
}

fn own(text: &str) -> Interaction {
    Interaction::Own { text: text.into() }
}

#[tokio::test]
async fn a_stay_away_is_there_until_it_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let away = |id: &str| Away {
        since: WallTime(7),
        leave_id: id.parse().unwrap(),
        keep_sound: true,
        back_at: (id == "b").then_some(WallTime(9)),
    };
    let id = {
        let store = Store::open(folder.path()).unwrap();
        let room = room(&store, "room").await;
        assert_eq!(room.away, None);
        store.set_away(room.id.clone(), away("a")).await.unwrap();
        store.set_away(room.id.clone(), away("b")).await.unwrap();
        assert!(store.set_away("nowhere".parse().unwrap(), away("a")).await.is_err());
        store.close().await;
        room.id
    };
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.room(id.clone()).await.unwrap().unwrap().away, Some(away("b")));
    store.clear_away(id.clone()).await.unwrap();
    assert_eq!(store.room(id).await.unwrap().unwrap().away, None);
}

#[tokio::test]
async fn votes_count_once_and_in_their_order_and_what_won_is_owed_until_it_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let room = room(&store, "room").await;
    let (a, b) = (person(&store, "a").await.id, person(&store, "b").await.id);
    let option = |text, votes| BallotOption { interaction: own(text), votes };
    let ballot = BallotView {
        id: BallotId::new(),
        opened_at: WallTime(5),
        closes_at: None,
        options: vec![option("x", 0), option("y", 0)],
    };
    let event = |at, body| NewEvent { at: WallTime(at), author: None, client_ref: None, body };
    let opened = event(5, RoomEventBody::BallotOpened { ballot: ballot.clone() });
    store.append_events(room.id.clone(), vec![opened.clone()]).await.unwrap();
    assert!(store.append_events(room.id.clone(), vec![opened]).await.is_err(), "one at a time");
    let cast = |votes: &[(&AccountId, u32)]| {
        store.cast_votes(ballot.id.clone(), votes.iter().map(|(who, what)| ((*who).clone(), *what)).collect())
    };
    cast(&[(&a, 0), (&a, 0), (&b, 0)]).await.unwrap();
    cast(&[(&b, 0), (&a, 1), (&b, 1), (&a, 1)]).await.unwrap();
    let row = store.open_ballot(room.id.clone()).await.unwrap().unwrap();
    assert_eq!(row.ballot, ballot);
    assert_eq!(row.votes, [(a.clone(), 0), (b.clone(), 0), (a.clone(), 1), (b.clone(), 1)]);
    assert!(cast(&[(&a, 0), (&AccountId::new(), 1)]).await.is_err(), "nobody's vote");
    assert_eq!(store.open_ballot(room.id.clone()).await.unwrap().unwrap().votes.len(), 4, "and nothing of it is kept");

    let result = BallotResult {
        id: ballot.id.clone(),
        options: vec![option("x", 0), option("y", 2)],
        winner: Some(1),
        tie: false,
    };
    let closed = event(9, RoomEventBody::BallotClosed { result });
    store.append_events(room.id.clone(), vec![closed]).await.unwrap();
    assert_eq!(store.open_ballot(room.id.clone()).await.unwrap(), None);
    assert!(cast(&[(&a, 0)]).await.is_err(), "it is closed");
    let owed = Owed { id: ballot.id.clone(), interaction: own("y"), votes: 2, tie: false, since: WallTime(9) };
    assert_eq!(store.owed(room.id.clone(), 10).await.unwrap(), [owed]);
    let elsewhere: RoomId = "elsewhere".parse().unwrap();
    assert_eq!(store.settle(elsewhere, ballot.id.clone(), WallTime(10)).await.unwrap(), Settled::Unknown);
    let done = store.settle(room.id.clone(), ballot.id.clone(), WallTime(10)).await.unwrap();
    assert!(matches!(done, Settled::Done(Appended { event: RoomEvent { id: EventId { number: 3, .. }, .. }, .. })));
    assert_eq!(store.settle(room.id.clone(), ballot.id, WallTime(11)).await.unwrap(), Settled::Already);
    assert_eq!(store.owed(room.id, 10).await.unwrap(), []);
}

/// The rooms that a person's words find.
/// Somebody deletes while somebody else compares: what is in neither list would be put there again.
#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_is_on_the_shelf_or_among_the_deleted_ones_at_any_moment() {
    use mujian_protocol::placeholder::{PlaceholderKind, PlaceholderState, PlaceholderView};
    const COUNT: usize = 60;
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let room = room(&store, "shelf-room").await.id;
    let ids: Vec<String> = (0..COUNT).map(|n| format!("p{n}")).collect();
    for id in &ids {
        let view = PlaceholderView {
            id: id.clone(),
            name: id.clone(),
            keywords: Vec::new(),
            text: "hello".into(),
            kind: PlaceholderKind::Text,
            sound: false,
            bytes: 0,
            digest: "0".into(),
            duration_ms: None,
            state: PlaceholderState::Ready,
            stands: false,
            created_at: WallTime(1),
            changed_at: WallTime(1),
            key: None,
            mirror: None,
        };
        assert!(matches!(store.add_placeholder(room.clone(), view, COUNT, 1 << 30).await.unwrap(), Added::New));
    }
    let deleting = tokio::spawn({
        let (store, room, ids) = (store.clone(), room.clone(), ids.clone());
        async move {
            for id in ids {
                assert!(store.delete_placeholder(room.clone(), id, WallTime(2)).await.unwrap());
            }
        }
    });
    let mut seen = COUNT;
    while seen > 0 {
        let shelf = store.shelf(room.clone()).await.unwrap();
        seen = shelf.placeholders.len();
        assert_eq!(seen + shelf.removed.len(), COUNT, "each is somewhere");
    }
    deleting.await.unwrap();
}

async fn found(store: &Store, words: &str) -> Vec<String> {
    let question = crate::search::question(words).unwrap();
    store.search_rooms(question, 10).await.unwrap().iter().map(|room| room.id.to_string()).collect()
}

async fn named(store: &Store, id: &str, title: &str, tags: &[&str]) -> RoomRow {
    let owner = person(store, &format!("owner of {id}")).await;
    let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
    let new = RoomRow { title: title.into(), tags, ..new_room(id, owner) };
    store.create_room(new, 10).await.unwrap().unwrap()
}

#[tokio::test]
async fn rooms_are_found_by_their_words_in_any_form() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    named(&store, "cafe", "深夜手冲 · 听雨聊天", &["咖啡", "雨声"]).await;
    named(&store, "stage", "线上小剧场《雨》", &["戏剧"]).await;
    named(&store, "code", "Writing a Ｒｕｓｔ server, \"live\" 100%", &["late night", "café"]).await;
    for (words, rooms) in [
        ("聊天", &["cafe"][..]),
        ("冲", &["cafe"]),
        ("剧场", &["stage"]),
        ("小剧", &["stage"]),
        ("咖啡聊天", &["cafe"]),
        ("聊天 戏剧", &[]),
        ("RUST", &["code"]),
        ("ｒｕｓ", &["code"]),
        ("ust", &[]),
        ("cafe", &["cafe", "code"]),
        ("CAFÉ writing", &["code"]),
        ("owner", &["cafe", "code", "stage"]),
        // Words that stand apart, and what is not a letter, which asks for nothing.
        ("咖啡雨声深", &["cafe"]),
        ("100% _ * \"live\" -rust NEAR", &[]),
        ("\"live\"*", &["code"]),
    ] {
        let mut all = found(&store, words).await;
        all.sort_unstable();
        assert_eq!(all, rooms, "{words}");
    }
    // Whole phrases before scattered words: both have both.
    named(&store, "far-off", "聊一聊天气，喝咖啡", &[]).await;
    named(&store, "near-by", "咖啡聊天", &[]).await;
    assert_eq!(found(&store, "咖啡聊天").await[0], "near-by");
}

#[tokio::test]
async fn the_index_follows_every_change() {
    let folder = tempfile::tempdir().unwrap();
    let id = {
        let store = Store::open(folder.path()).unwrap();
        let room = named(&store, "room", "听雨", &["咖啡"]).await;
        let (title, tags) = (Some("看雪".to_owned()), Some(vec!["热茶".to_owned()]));
        let update = RoomUpdate { title, tags, category: Some("生活".into()), ballot: None };
        store.update_room(room.id.clone(), update, WallTime(3)).await.unwrap();
        store.rename(room.owner.id.clone(), "石头".into(), "石头".into()).await.unwrap().unwrap();
        for (words, there) in [
            ("看雪", true),
            ("热茶", true),
            ("生活", true),
            ("石头", true),
            ("听雨", false),
            ("咖啡", false),
            ("owner", false),
        ] {
            assert_eq!(found(&store, words).await.len(), usize::from(there), "{words}");
        }
        store.close().await;
        room.owner.id
    };
    // Another edition of the index: it is written anew from what is there.
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    connection
        .execute_batch("UPDATE meta SET value = 0 WHERE key = 'search_edition'; DELETE FROM search_rooms;")
        .unwrap();
    drop(connection);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(found(&store, "看雪").await, ["room"]);
    let gone = store.delete_account(id, "kept".into(), WallTime(9)).await.unwrap();
    assert!(matches!(gone, Deletion::Done { .. }));
    assert_eq!(found(&store, "看雪").await, Vec::<String>::new());
    let left: u32 = store
        .read(|c| c.query_row("SELECT count(*) FROM search_words WHERE search_words MATCH '\"雪\"'", [], |r| r.get(0)))
        .await
        .unwrap();
    assert_eq!(left, 0, "nothing of it is left in the index");
}

/// Every older format, as the program of its time wrote it, opens with all that was in it.
#[tokio::test]
async fn every_older_version_migrates() {
    for version in 1..=LATEST {
        let folder = tempfile::tempdir().unwrap();
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/store-v{version}.sql"));
        let sql = std::fs::read_to_string(&fixture)
            .unwrap_or_else(|e| panic!("{}: {e}; each format keeps a fixture", fixture.display()));
        Connection::open(folder.path().join(FILE)).unwrap().execute_batch(&sql).unwrap();
        let store = Store::open(folder.path()).unwrap();
        let row = store.room("old-room".parse().unwrap()).await.unwrap().unwrap();
        assert_eq!((row.title.as_str(), row.owner.name.as_str(), row.last.number), ("旧房间", "老王", 2));
        let page = store.events_between(row.id.clone(), ZERO, MAX, 10).await.unwrap();
        assert_eq!(page.events.len(), 2);
        for words in ["房间", "老王", "A"] {
            assert_eq!(found(&store, words).await, ["old-room"], "{words}, version {version}");
        }
        if version >= 2 {
            let away = row.away.unwrap();
            assert_eq!(away.back_at, (version >= 4).then_some(WallTime(1_700_000_060_600)));
            assert_eq!(
                (away.leave_id.as_str(), away.since, away.keep_sound),
                ("lunch", WallTime(1_700_000_000_600), true)
            );
            assert_eq!((row.ballot.seconds, row.ballot.interactions.len()), (60, 2));
            let open = store.open_ballot(row.id.clone()).await.unwrap().unwrap();
            assert_eq!(
                (open.ballot.options.len(), open.votes),
                (2, vec![(row.owner.id.clone(), 0), (row.owner.id.clone(), 1)])
            );
            let owed = store.owed(row.id.clone(), 10).await.unwrap();
            assert_eq!((owed.len(), owed[0].votes, &owed[0].interaction), (1, 1, &own("跳绳")));
        } else {
            assert_eq!((row.away, row.ballot), (None, BallotSettings::default()));
        }
        let shelf = store.placeholders(row.id.clone()).await.unwrap();
        assert_eq!(shelf.len(), if version >= 4 { 2 } else { 0 });
        if version >= 4 {
            use mujian_protocol::placeholder::{PlaceholderState, RefusalCode};
            let changed = version >= 5;
            let state = if changed { PlaceholderState::Checking } else { PlaceholderState::Ready };
            assert_eq!((shelf[0].name.as_str(), &shelf[0].state, shelf[0].stands), ("后台", &state, changed));
            assert_eq!(shelf[0].changed_at, WallTime(if changed { 1_700_000_000_750 } else { 1_700_000_000_700 }));
            let standing = store.placeholder_standing(shelf[0].id.clone()).await.unwrap();
            assert_eq!(
                (shelf[0].key.as_deref(), standing.as_deref()),
                if changed { (Some("mine-1"), Some("ab")) } else { (None, None) }
            );
            let whole = store.shelf(row.id.clone()).await.unwrap();
            assert_eq!((whole.ordered_at.millis() > 0, whole.removed.len()), (changed, usize::from(changed)));
            assert_eq!(whole.placeholders, shelf);
            assert!(matches!(shelf[1].state, PlaceholderState::Refused { code: RefusalCode::Words, .. }));
            let picks = store.picks(row.id.clone()).await.unwrap();
            assert_eq!((picks.next.as_ref(), picks.shown.as_deref()), (Some(&shelf[0].id), Some("food")));
            assert_eq!(picks.stay.as_ref().map(|s| s.as_str()), Some("lunch"));
            assert_eq!(store.room_words(row.id.clone(), 9).await.unwrap().0, ["旧房间"]);
            assert!(store.is_trusted(row.owner.id.clone()).await.unwrap());
        }
        let (owner, at) = (row.owner.id.clone(), WallTime(1_700_000_001_000));
        assert!(!store.recover(owner.clone(), [2; 32], "wrong".into(), at).await.unwrap());
        let recovered = store.recover(owner.clone(), [1; 32], "new".into(), at).await.unwrap();
        let password = store.password(owner).await.unwrap();
        assert_eq!((recovered, password.as_deref() == Some("new")), (version >= 6, version >= 6));
        let gone = "018f0000-0000-7000-8000-000000000002".parse().unwrap();
        assert_eq!(store.account(gone).await.unwrap(), None);
        let log = store.audit(None, 9).await.unwrap();
        assert_eq!(log.entries.len(), usize::from(version >= 7));
        let overlay = OverlayRow { key_hash: [2; 32], made_at: WallTime(1_700_000_000_990) };
        assert_eq!(store.overlay(row.id.clone()).await.unwrap(), (version >= 10).then_some(overlay));
        assert_eq!(store.followers(row.id.clone()).await.unwrap(), u32::from(version >= 11));
        let announced = Announcement { at: WallTime(1_700_003_600_000), title: "看雪".into() };
        let now = WallTime(1_700_000_002_000);
        assert_eq!(store.announcement(row.id.clone(), now).await.unwrap(), (version >= 12).then_some(announced));
        let relays = store.relays(row.id.clone()).await.unwrap();
        let relays: Vec<_> = relays.iter().map(|r| (r.name.as_str(), r.key.expose(), r.on)).collect();
        assert_eq!(relays, if version >= RELAYS { vec![("旧平台", "key-of-old", true)] } else { vec![] });
        let next = store.append_events(row.id, vec![changed(9)]).await.unwrap();
        assert_eq!(next[0].event.id, EventId { epoch: 1, number: 3 });
        let connection = Connection::open(folder.path().join(FILE)).unwrap();
        let found: u32 = connection.query_row("PRAGMA user_version", [], |r| r.get(0)).unwrap();
        assert_eq!(found, LATEST);
        let broken: u32 =
            connection.query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |r| r.get(0)).unwrap();
        assert_eq!(broken, 0);
    }
}

/// A full disk, made with SQLite's own limit of pages, gives its own error and keeps what was there.
#[test]
fn a_full_disk_is_told_apart() {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA max_page_count = 4; CREATE TABLE t (b BLOB)").unwrap();
    let error = connection.execute("INSERT INTO t VALUES (zeroblob(100000))", []).unwrap_err();
    assert_eq!(StoreError::from(&error), StoreError::Full);
    assert!(matches!(OpenError::sqlite(Path::new("x"), &error), OpenError::Full { .. }));
}
