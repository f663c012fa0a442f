//! A broadcast from the first click to the end, against the real server, through a link that breaks.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use mujian::api::Api;
use mujian::encode::{Encoders, ProbeCommand};
use mujian::studio::{self, Start, Studio, Target};
use mujian::telling::Telling;
use mujian::viewer::media::{Media, Piece};
use mujian::viewer::room::Room;
use mujian_media::rtmp::Secret;
use mujian_protocol::api::{Credentials, LeaveRequest, NewRoom, OwnedRoom, RoomView};
use mujian_protocol::app::{LinkState, MediaState, RoomChannelMessage};
use mujian_protocol::room::{Away, ClientMessage, DanmakuMode, RoomEventBody, ServerMessage, Stage};
use mujian_protocol::studio::{AwayStep, Broadcast, NoticeCode, Preset, StudioSettings, StudioState, VideoSource};
use mujian_protocol::{ErrorCode, LeaveId, RoomId, WallTime};
use mujian_server::{Config, Running, Server};
use reqwest::Method;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

const LIMIT: Duration = Duration::from_secs(60);

struct Stand {
    _data: tempfile::TempDir,
    running: Running,
    api: Api,
    room: OwnedRoom,
}

impl Stand {
    async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let config = Config {
            data: data.path().into(),
            http: any,
            rtmp: any,
            worker_program: Some(env!("CARGO_BIN_EXE_mujian").into()),
            ..Config::default()
        };
        let running = Server::start(config).await.unwrap();
        let api = Api::new(format!("http://{}/", running.http).parse().unwrap()).unwrap();
        let person = Credentials { name: "streamer".into(), password: "correct horse".into() };
        api.open_session(true, &person).await.unwrap();
        let new = NewRoom { title: "test".into(), ..NewRoom::default() };
        let room: OwnedRoom = api.call(Method::POST, "/rooms", Some(&new)).await.unwrap();
        Self { _data: data, running, api, room }
    }

    fn id(&self) -> RoomId {
        self.room.room.id.clone()
    }

    fn target(&self, at: SocketAddr, key: &str) -> Target {
        let url = format!("rtmp://{at}/live").parse().unwrap();
        Target::from_url(&url, self.id(), Secret::new(key), "this-program".into()).unwrap()
    }

    async fn view(&self) -> RoomView {
        self.api.call(Method::GET, &format!("/rooms/{}", self.id()), None::<&()>).await.unwrap()
    }
}

fn test_card() -> Studio {
    let settings = StudioSettings {
        microphone: None,
        preset: Preset::P540f30,
        encoder: Some("libx264".into()),
        ..StudioSettings::default()
    };
    let program = env!("CARGO_BIN_EXE_mujian").into();
    let command = ProbeCommand { program, arguments: vec!["worker".into(), "probe-encoder".into()] };
    let rig = studio::rig_with(&tokio::runtime::Handle::current(), Encoders::new(command));
    Studio::start(rig, settings)
}

async fn until(studio: &Studio, what: &str, is: impl FnMut(&Arc<StudioState>) -> bool) -> Arc<StudioState> {
    let mut state = studio.watch();
    let waited = tokio::time::timeout(LIMIT, state.wait_for(is)).await.map(|s| s.unwrap().clone());
    waited.unwrap_or_else(|_| panic!("{what}: {:?}", studio.state()))
}

fn live(state: &Arc<StudioState>) -> bool {
    matches!(state.broadcast, Broadcast::Live { .. })
}

/// A link that can be cut: what goes through it goes on to the server.
struct Wire {
    at: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Wire {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let at = listener.local_addr().unwrap();
        let whole = watch::Sender::new(true);
        let state = whole.subscribe();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut state = state.clone();
                tokio::spawn(async move {
                    if !*state.borrow_and_update() {
                        return;
                    }
                    let mut far = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = state.changed() => {}
                    }
                });
            }
        });
        Self { at, whole }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_link_is_mended_and_viewers_stay() {
    let stand = Stand::new().await;
    let wire = Wire::to(stand.running.rtmp).await;
    let studio = test_card();
    studio.go_live(stand.target(wire.at, &stand.room.stream_key), Start::default()).await.unwrap();
    until(&studio, "live", live).await;

    let (pieces, mut got) = mpsc::unbounded_channel();
    let _media = Media::watch(stand.api.clone(), &stand.id(), move |piece| pieces.send(piece).is_ok());
    let (mut connected, mut inits) = (0, 0);
    let mut next =
        async |what: &str| tokio::time::timeout(LIMIT, got.recv()).await.unwrap_or_else(|_| panic!("{what}")).unwrap();
    while inits == 0 {
        match next("an init segment").await {
            Piece::State(MediaState::Connected) => connected += 1,
            Piece::Data(bytes) => inits += u32::from(bytes.get(4..8) == Some(&b"ftyp"[..])),
            Piece::State(other) => panic!("{other:?}"),
        }
    }

    let before = stand.view().await;
    wire.whole.send_replace(false);
    let lost = until(&studio, "reconnecting", |s| matches!(s.broadcast, Broadcast::Reconnecting { .. })).await;
    let Broadcast::Reconnecting { since, .. } = lost.broadcast else { unreachable!() };
    until(&studio, "a failed attempt", |s| matches!(s.broadcast, Broadcast::Reconnecting { attempt: 1.., .. })).await;
    wire.whole.send_replace(true);
    let again = until(&studio, "live again", live).await;
    assert_eq!(again.broadcast, Broadcast::Live { since }, "it is the same broadcast");
    let sent = again.stats.sent_frames;
    until(&studio, "frames after the break", |s| s.stats.sent_frames > sent + 30).await;
    let view = stand.view().await;
    assert_eq!((view.stage, view.live_since), (Stage::Live, before.live_since), "it is the same stream");

    // The viewer's connection was never broken.
    for _ in 0..30 {
        match next("fragments go on").await {
            Piece::Data(bytes) => assert!(bytes.len() > 8),
            Piece::State(state) => panic!("{state:?}"),
        }
    }
    assert_eq!(connected, 1);

    tokio::time::timeout(LIMIT, studio.end_and_wait()).await.unwrap();
    assert_eq!(studio.state().broadcast, Broadcast::Idle);
    assert_eq!(stand.view().await.stage, Stage::Off, "the goodbye was heard before the end was told");
    stand.running.shutdown().await;
}

/// What the room's socket says that viewers are shown.
struct Shown {
    _room: Room,
    stage: watch::Receiver<Option<Stage>>,
}

impl Shown {
    fn of(stand: &Stand) -> Self {
        let (told, stage) = watch::channel(None);
        let deliver = move |message| {
            if let RoomChannelMessage::Message { message } = message {
                match *message {
                    ServerMessage::Welcome { room, .. } => drop(told.send_replace(Some(room.stage))),
                    ServerMessage::Event { event } => {
                        if let RoomEventBody::StageChanged { stage, .. } = event.body {
                            told.send_replace(Some(stage));
                        }
                    }
                    _ => {}
                }
            }
            true
        };
        Self { _room: Room::join(stand.api.clone(), &stand.id(), true, deliver), stage }
    }

    async fn until(&mut self, stage: Stage) {
        let waited = tokio::time::timeout(LIMIT, self.stage.wait_for(|s| *s == Some(stage))).await.map(drop);
        waited.unwrap_or_else(|_| panic!("{stage:?} is not shown, but {:?}", *self.stage.borrow()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn leaves_by_the_mark_in_the_stream_alone_and_stays_away_through_a_broken_link() {
    let stand = Stand::new().await;
    let wire = Wire::to(stand.running.rtmp).await;
    let studio = test_card();
    let mut shown = Shown::of(&stand);
    assert_eq!(studio.leave(Duration::ZERO).unwrap_err().code, ErrorCode::Conflict, "nothing to leave");
    studio.go_live(stand.target(wire.at, &stand.room.stream_key), Start::default()).await.unwrap();
    until(&studio, "live", live).await;
    shown.until(Stage::Live).await;

    let away = studio.leave(Duration::ZERO).unwrap();
    assert!(studio.is_away(), "at once");
    let sent = studio.state().stats.sent_frames;
    let closed = until(&studio, "closed", |s| {
        s.away.as_ref().is_some_and(|a| a.step == AwayStep::Closed && a.leave_id == away.leave_id)
    });
    closed.await;
    shown.until(Stage::Away).await;
    assert_eq!(studio.leave(Duration::ZERO).unwrap().leave_id, away.leave_id, "pressed twice");

    // The link breaks, and "back" is not pressed: it is away on the new connection as well.
    wire.whole.send_replace(false);
    until(&studio, "reconnecting", |s| matches!(s.broadcast, Broadcast::Reconnecting { .. })).await;
    wire.whole.send_replace(true);
    let again = until(&studio, "live again", live).await;
    assert!(again.away.is_some() && again.stats.sent_frames <= sent + 3, "{sent} {:?}", again.stats);
    assert_eq!(stand.view().await.stage, Stage::Away);

    // Pressed while the link is broken, it holds on the next.
    wire.whole.send_replace(false);
    until(&studio, "reconnecting", |s| matches!(s.broadcast, Broadcast::Reconnecting { .. })).await;
    studio.back();
    until(&studio, "back", |s| s.away.is_none()).await;
    wire.whole.send_replace(true);
    until(&studio, "pictures go out", |s| live(s) && s.stats.sent_frames > sent + 30).await;
    shown.until(Stage::Live).await;
    tokio::time::timeout(LIMIT, studio.end_and_wait()).await.unwrap();
    stand.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_that_begins_away_opens_nothing_until_back() {
    let stand = Stand::new().await;
    let studio = test_card();
    let mut shown = Shown::of(&stand);
    let leave_id: LeaveId = "before-the-crash".parse().unwrap();
    let away = Away { since: WallTime(1), leave_id: leave_id.clone(), keep_sound: false, back_at: None };
    let start = Start { resume: true, away: Some(away) };
    studio.go_live(stand.target(stand.running.rtmp, &stand.room.stream_key), start).await.unwrap();
    let state = until(&studio, "live", live).await;
    assert_eq!(state.away.as_ref().map(|a| (&a.leave_id, a.since)), Some((&leave_id, WallTime(1))));
    shown.until(Stage::Away).await;
    assert_eq!(studio.state().stats.sent_frames, 0, "no picture ever");

    // The source that was chosen cannot be had: a sentence, and away still.
    let settings = studio.state().settings.clone();
    let file = VideoSource::File { path: "/nowhere/at/all.mp4".into(), looped: false };
    studio.set(StudioSettings { source: file, ..settings.clone() }).await.unwrap();
    studio.back();
    let failed = until(&studio, "why not", |s| s.notices.iter().any(|n| n.code == NoticeCode::BackFailed)).await;
    assert!(failed.away.is_some() && studio.is_away());
    studio.set(settings).await.unwrap();
    studio.back();
    until(&studio, "pictures go out", |s| s.away.is_none() && s.stats.sent_frames > 10).await;
    shown.until(Stage::Live).await;
    tokio::time::timeout(LIMIT, studio.end_and_wait()).await.unwrap();
    stand.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publisher_is_refused_and_another_source_can_be_tried_on_air() {
    let stand = Stand::new().await;
    let first = test_card();
    first.go_live(stand.target(stand.running.rtmp, &stand.room.stream_key), Start::default()).await.unwrap();
    until(&first, "live", live).await;
    let second = test_card();
    let mut target = stand.target(stand.running.rtmp, &stand.room.stream_key);
    target.program = "another-program".into();
    second.go_live(target, Start::default()).await.unwrap();
    let state = until(&second, "refused", |s| matches!(s.broadcast, Broadcast::Failed { .. })).await;
    let Broadcast::Failed { error } = &state.broadcast else { unreachable!() };
    assert_eq!(error.code, ErrorCode::AlreadyPublishing, "{error}");

    // A source that cannot be had costs nothing: what is on air stays.
    let settings = first.state().settings.clone();
    let file = VideoSource::File { path: "/nowhere/at/all.mp4".into(), looped: false };
    first.set(StudioSettings { source: file, ..settings.clone() }).await.unwrap();
    until(&first, "a notice", |s| s.notices.iter().any(|n| n.code == NoticeCode::SourceFailed)).await;
    let sent = first.state().stats.sent_frames;
    let state = until(&first, "frames go on", |s| s.stats.sent_frames > sent + 30).await;
    assert!(live(&state));
    // Nor does an encoder that cannot be had.
    let other = StudioSettings { encoder: Some("h264_none".into()), ..settings.clone() };
    first.set(other).await.unwrap();
    let state = until(&first, "a notice", |s| s.notices.iter().any(|n| n.code == NoticeCode::QualityRefused)).await;
    assert_eq!(state.settings.encoder, settings.encoder, "what holds is told");
    let sent = first.state().stats.sent_frames;
    until(&first, "frames go on", |s| s.stats.sent_frames > sent + 30).await;
    tokio::time::timeout(LIMIT, first.end_and_wait()).await.unwrap();
    stand.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_played_to_its_end_and_the_broadcast_with_it() {
    let stand = Stand::new().await;
    let path = stand._data.path().join("clip.mp4");
    let made = tokio::process::Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=8"])
        .args(["-f", "lavfi", "-i", "sine=duration=8", "-c:v", "libx264", "-c:a", "aac"])
        .arg(&path)
        .status();
    assert!(made.await.unwrap().success());
    let studio = test_card();
    let mut shown = Shown::of(&stand);
    let source = VideoSource::File { path: path.to_str().unwrap().into(), looped: false };
    studio.set(StudioSettings { source, ..StudioSettings::clone(&studio.state().settings) }).await.unwrap();
    studio.go_live(stand.target(stand.running.rtmp, &stand.room.stream_key), Start::default()).await.unwrap();
    until(&studio, "live", live).await;
    shown.until(Stage::Live).await;
    let over = until(&studio, "the end", |s| s.broadcast == Broadcast::Idle).await;
    // Frames before the connection stood, and what a busy machine drops, are missing from 240.
    assert!(over.stats.sent_frames > 20, "{:?}", over.stats);
    shown.until(Stage::Off).await;
    stand.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_final() {
    let stand = Stand::new().await;
    let studio = test_card();
    studio.go_live(stand.target(stand.running.rtmp, "wrong"), Start::default()).await.unwrap();
    let state = until(&studio, "failed", |s| matches!(s.broadcast, Broadcast::Failed { .. })).await;
    let Broadcast::Failed { error } = &state.broadcast else { unreachable!() };
    assert_eq!(error.code, ErrorCode::WrongStreamKey);
    assert!(error.message.len() > 20, "{error}");
    assert_eq!(stand.view().await.stage, Stage::Off);
    stand.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_renewed_on_air_is_fetched_and_the_broadcast_goes_on() {
    let stand = Stand::new().await;
    let studio = test_card();
    let target = stand.target(stand.running.rtmp, &stand.room.stream_key);
    let target = Target { keys: Some(mujian::own_room::keys(&stand.api)), ..target };
    studio.go_live(target, Start::default()).await.unwrap();
    let first = until(&studio, "live", live).await;
    let mut shown = Shown::of(&stand);
    shown.until(Stage::Live).await;
    let stream = stand.view().await.live_since;

    let path = format!("/rooms/{}/stream_key", stand.id());
    let renewed: OwnedRoom = stand.api.call(Method::POST, &path, None::<&()>).await.unwrap();
    assert_ne!(renewed.stream_key, stand.room.stream_key);
    until(&studio, "reconnecting", |s| matches!(s.broadcast, Broadcast::Reconnecting { .. })).await;
    let again = until(&studio, "live again", live).await;
    shown.until(Stage::Live).await;
    // It is the same broadcast here, and the same stream to viewers.
    assert_eq!(again.broadcast, first.broadcast);
    assert_eq!(stand.view().await.live_since, stream);
    studio.end_and_wait().await;
    stand.running.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_is_joined_and_joined_again() {
    let stand = Stand::new().await;
    let wire = Wire::to(stand.running.http).await;
    let api = Api::new(format!("http://{}/", wire.at).parse().unwrap()).unwrap();
    api.set_session(stand.api.token(), None);
    let (told, mut heard) = mpsc::unbounded_channel();
    let room = Room::join(api, &stand.id(), true, move |message| told.send(message).is_ok());
    let mut next = async || tokio::time::timeout(LIMIT, heard.recv()).await.unwrap().unwrap();
    let joined = RoomChannelMessage::State { state: LinkState::Joined };
    while next().await != joined {}
    let say = |text: &str| ClientMessage::Danmaku {
        client_ref: text.into(),
        text: text.into(),
        mode: DanmakuMode::Scroll,
        color: None,
    };
    let mut seen = Vec::new();
    let mut note = |message: &RoomChannelMessage| {
        if let RoomChannelMessage::Message { message } = message {
            let events = match &**message {
                ServerMessage::Event { event } => std::slice::from_ref(event),
                ServerMessage::Welcome { events, .. } => events,
                _ => &[],
            };
            seen.extend(events.iter().filter_map(|e| match &e.body {
                RoomEventBody::Danmaku(d) => Some(d.text.clone()),
                _ => None,
            }));
        }
        seen.len()
    };
    room.send(say("one")).unwrap();
    while note(&next().await) < 1 {}
    wire.whole.send_replace(false);
    while next().await != (RoomChannelMessage::State { state: LinkState::Lost }) {}
    assert_eq!(room.send(say("lost")).unwrap_err().code, ErrorCode::Unreachable);
    // Somebody else goes on talking meanwhile.
    let (told, mut other) = mpsc::unbounded_channel();
    let direct = Room::join(stand.api.clone(), &stand.id(), true, move |m| told.send(m).is_ok());
    while other.recv().await.unwrap() != joined {}
    direct.send(say("two")).unwrap();
    wire.whole.send_replace(true);
    while note(&next().await) < 2 {}
    room.send(say("three")).unwrap();
    while note(&next().await) < 3 {}
    assert_eq!(seen, ["one", "two", "three"]);
    stand.running.shutdown().await;
}

/// Against the server's API: told by a call while the stream's own connection is broken, and followed
/// when pressed in a browser.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_told_and_what_is_pressed_elsewhere_is_followed() {
    let stand = Stand::new().await;
    let wire = Wire::to(stand.running.rtmp).await;
    let studio = Arc::new(test_card());
    studio.go_live(stand.target(wire.at, &stand.room.stream_key), Start::default()).await.unwrap();
    let _telling = Telling::start(&stand.api, &stand.id(), &studio, true);
    let mut shown = Shown::of(&stand);
    until(&studio, "live", live).await;
    shown.until(Stage::Live).await;

    // In a browser.
    let id = stand.id();
    let leave = LeaveRequest { keep_sound: true, ..LeaveRequest::default() };
    let view: RoomView = stand.api.call(Method::POST, &format!("/rooms/{id}/leave"), Some(&leave)).await.unwrap();
    let fact = view.away.unwrap();
    let followed = until(&studio, "followed", |s| s.away.is_some()).await.away.clone().unwrap();
    assert_eq!((followed.leave_id, followed.keep_sound), (fact.leave_id, true));
    until(&studio, "closed", |s| s.away.as_ref().is_some_and(|a| a.step == AwayStep::Closed)).await;
    shown.until(Stage::Away).await;
    let _: RoomView = stand.api.call(Method::POST, &format!("/rooms/{id}/back"), None::<&()>).await.unwrap();
    until(&studio, "followed back", |s| s.away.is_none()).await;
    shown.until(Stage::Live).await;

    // Here, while the stream's connection is broken: the call tells it.
    wire.whole.send_replace(false);
    until(&studio, "reconnecting", |s| matches!(s.broadcast, Broadcast::Reconnecting { .. })).await;
    let away = studio.leave(Duration::ZERO).unwrap();
    until(&studio, "told", |s| s.away.as_ref().is_some_and(|a| a.told)).await;
    assert_eq!(stand.view().await.away.map(|a| a.leave_id), Some(away.leave_id));
    shown.until(Stage::Away).await;
    wire.whole.send_replace(true);
    until(&studio, "live again", live).await;
    studio.back();
    until(&studio, "back", |s| s.away.is_none()).await;
    shown.until(Stage::Live).await;
    assert_eq!(stand.view().await.away, None);
    tokio::time::timeout(LIMIT, studio.end_and_wait()).await.unwrap();
    stand.running.shutdown().await;
}
