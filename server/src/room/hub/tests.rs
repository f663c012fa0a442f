//! The hub with a real store.

#![allow(clippy::unwrap_used)]

use mujian_protocol::LeaveId;
use mujian_protocol::api::Role;
use mujian_protocol::ballot::BallotSettings;
use mujian_protocol::room::DanmakuMode;

use super::*;
use crate::store::NewAccount;

async fn room_with_author(store: &Store) -> (RoomRow, Person) {
    let at = WallTime(1);
    let new = NewAccount { name: "a".into(), name_key: "a".into(), password: None, role: Role::Viewer, at };
    let author = store.create_account(new).await.unwrap().unwrap().person();
    let row = RoomRow {
        id: "room".parse().unwrap(),
        owner: author.clone(),
        title: "t".into(),
        category: String::new(),
        tags: Vec::new(),
        stream_key: "key".into(),
        created_at: at,
        stage: Stage::Off,
        stage_since: at,
        last: EventId { epoch: 1, number: 0 },
        stream: None,
        away: None,
        ballot: BallotSettings::default(),
    };
    (store.create_room(row, 1).await.unwrap().unwrap(), author)
}

/// Writers write while clients come, read a little, are cut off and come again: in the end each has
/// every event, once and in order, from memory, from the disk and from the channel alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_comes_twice_across_reconnects() {
    const WRITERS: u64 = 4;
    const EACH: u64 = 150;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (row, author) = room_with_author(&store).await;
    let clock = Clock::start();
    let (hub, task) = Hub::new(&row, Past::default(), store.clone(), clock, Grants::new(10));
    let task = tokio::spawn(task);

    let mut clients = Vec::new();
    for client in 0..6u64 {
        let (hub, store, room) = (hub.clone(), store.clone(), row.id.clone());
        clients.push(tokio::spawn(async move {
            let mut has: Vec<u64> = Vec::new();
            let mut visits = 0;
            while has.len() < (WRITERS * EACH) as usize {
                visits += 1;
                let after = has.last().map_or(0, |number| *number);
                let after = Some(EventId { epoch: 1, number: after });
                let member = Member { account: None, address: [127, 0, 0, 1].into(), watching: true };
                let mut joined = hub.join(after, member).await.unwrap();
                match joined.catchup {
                    Catchup::Exact(events) => has.extend(events.iter().map(|e| e.id.number)),
                    Catchup::Load { after, upto } => {
                        let page = store.events_between(room.clone(), after, upto, 1000).await.unwrap();
                        assert!(page.complete);
                        has.extend(page.events.iter().map(|e| e.id.number));
                    }
                    Catchup::Snapshot(_) => panic!("missed too many: the test is not about that"),
                }
                assert_eq!(has.last().copied().unwrap_or(0), joined.last.number);
                // Reads a little, differently each time.
                for _ in 0..(client * 7 + visits * 3) % 40 {
                    if has.len() >= (WRITERS * EACH) as usize {
                        break;
                    }
                    let message = joined.messages.recv().await.unwrap();
                    let message: serde_json::Value = serde_json::from_str(&message.text).unwrap();
                    if message["type"] == "event" {
                        has.push(message["event"]["id"]["number"].as_u64().unwrap());
                    }
                }
            }
            assert_eq!(has, (1..=WRITERS * EACH).collect::<Vec<_>>());
            visits
        }));
    }
    let mut writers = Vec::new();
    for writer in 0..WRITERS {
        let (hub, author) = (hub.clone(), author.clone());
        writers.push(tokio::spawn(async move {
            let (reply, mut answers) = mpsc::channel(4);
            for n in 0..EACH {
                let danmaku = Danmaku {
                    author: author.clone(),
                    text: "x".into(),
                    mode: DanmakuMode::Scroll,
                    color: "#ffffff".into(),
                    client_ref: format!("{writer}-{n}"),
                };
                // Every fifth is sent twice, as by somebody who did not hear the answer.
                for _ in 0..if n % 5 == 0 { 2 } else { 1 } {
                    hub.write(author.clone(), danmaku.clone(), reply.clone()).await.unwrap();
                    assert!(matches!(answers.recv().await, Some(ServerMessage::Accepted { .. })));
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let mut visits = 0;
    for client in clients {
        visits += client.await.unwrap();
    }
    assert!(visits > 20, "the clients hardly ever came again: {visits}");
    assert_eq!((hub.sockets(), hub.viewers()), (0, 0));
    drop(hub);
    task.await.unwrap();
}

/// What waits when the last hub is dropped is still written.
#[tokio::test]
async fn a_hub_ends_after_its_last_write() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (row, _) = room_with_author(&store).await;
    let (hub, task) = Hub::new(&row, Past::default(), store.clone(), Clock::start(), Grants::new(1));
    let stream = StreamId::new();
    hub.status(RoomStatus { stage: Stage::Live, since: WallTime(5), stream: Some(stream.clone()), away: None }).await;
    drop(hub);
    task.await;
    let row = store.room(row.id).await.unwrap().unwrap();
    assert_eq!((row.stage, row.stream, row.last.number), (Stage::Live, Some(stream), 2));
}

#[test]
fn the_room_is_told_what_changed_and_nothing_else() {
    let (a, b) = (StreamId::new(), StreamId::new());
    let told = |stage, stream: Option<&StreamId>| Told { stage, stream: stream.cloned(), away: None };
    let now = |stage, stream: Option<&StreamId>| RoomStatus {
        stage,
        since: WallTime(0),
        stream: stream.cloned(),
        away: None,
    };
    let ended = |s: &StreamId| RoomEventBody::StreamEnded { stream: s.clone() };
    let started = |s: &StreamId| RoomEventBody::StreamStarted { stream: s.clone() };
    let stage = |stage| RoomEventBody::StageChanged { stage, away: None };
    assert_eq!(reconcile(&told(Stage::Off, None), &now(Stage::Off, None)), []);
    assert_eq!(reconcile(&told(Stage::Off, None), &now(Stage::Live, Some(&a))), [started(&a), stage(Stage::Live)]);
    assert_eq!(reconcile(&told(Stage::Live, Some(&a)), &now(Stage::Lost, Some(&a))), [stage(Stage::Lost)]);
    assert_eq!(reconcile(&told(Stage::Live, Some(&a)), &now(Stage::Live, Some(&b))), [ended(&a), started(&b)]);
    assert_eq!(reconcile(&told(Stage::Live, Some(&a)), &now(Stage::Off, None)), [ended(&a), stage(Stage::Off)]);
    // Under a cover, the streamer leaves.
    let away = Some(Away { since: WallTime(3), leave_id: LeaveId::new(), keep_sound: true, back_at: None });
    let left = RoomStatus { away: away.clone(), ..now(Stage::Covered, Some(&a)) };
    let bodies = reconcile(&told(Stage::Covered, Some(&a)), &left);
    assert_eq!(bodies, [RoomEventBody::StageChanged { stage: Stage::Covered, away: away.clone() }]);
    assert_eq!(reconcile(&Told { away, ..told(Stage::Covered, Some(&a)) }, &left), []);
}
