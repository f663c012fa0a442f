//! Real programs publish through the real listener into a real stage.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mujian_media::frame::{FeedItem, VideoFrame};
use mujian_media::rtmp::{Secret, client};
use mujian_media::time::{MediaTime, Now};
use mujian_media::{aac, avc};
use mujian_protocol::api::RefusedPublisher;
use mujian_protocol::room::Stage;
use mujian_protocol::{LeaveId, RoomId, WallTime};
use mujian_server::clock::Clock;
use mujian_server::ingest::{self, Admission, Denied, IngestConfig, Publishers};
use mujian_server::slate::SlateSource;
use mujian_server::stage::{self, Chunk, Leave, ReadItem, StageConfig, StageHandle, StageStatus, Told};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const PATIENCE: Duration = Duration::from_secs(30);
const KEY: &str = "correct-horse";

/// What the owner is told, and when the key is another.
#[derive(Clone)]
struct Owner {
    refused: watch::Sender<Option<RefusedPublisher>>,
    renewed: watch::Receiver<()>,
}

impl Admission for Owner {
    async fn revoked(&mut self) {
        self.renewed.changed().await.unwrap();
    }

    async fn not_taken(&self, publisher: RefusedPublisher) {
        self.refused.send_replace(Some(publisher));
    }

    async fn key_frames(&self, _far: bool) {}
}

struct OneRoom(StageHandle, Owner);

impl Publishers for OneRoom {
    type Room = Owner;

    async fn authorise(&self, room: &RoomId, key: &Secret) -> Result<(StageHandle, Owner), Denied> {
        match (room.as_str(), key.expose()) {
            ("room-1", KEY) => Ok((self.0.clone(), self.1.clone())),
            ("room-1", _) => Err(Denied::WrongKey),
            (other, _) => Err(Denied::UnknownRoom(other.to_owned())),
        }
    }
}

struct Ingest {
    address: SocketAddr,
    stage: StageHandle,
    refused: watch::Receiver<Option<RefusedPublisher>>,
    renewed: watch::Sender<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Ingest {
    async fn start() -> Self {
        Self::start_with(IngestConfig::default()).await
    }

    async fn start_with(config: IngestConfig) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clock = Clock::start();
        let stage = stage::spawn(StageConfig::new("room-1".parse().unwrap()), SlateSource::built_in().unwrap(), clock);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (told, refused) = watch::channel(None);
        let (renewed, renewal) = watch::channel(());
        let rooms = Arc::new(OneRoom(stage.clone(), Owner { refused: told, renewed: renewal }));
        let ingest = ingest::Ingest::new(rooms, config, clock, tasks.clone());
        tasks.spawn(ingest.serve(listener, None, stop.clone()));
        Self { address, stage, refused, renewed, tasks, stop }
    }

    fn url(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }

    /// Starts ffmpeg; `args` say what it publishes.
    fn ffmpeg(&self, args: &str, name: &str) -> Child {
        Command::new("ffmpeg")
            .args(["-hide_banner", "-nostdin", "-loglevel", "warning", "-threads", "1"])
            .args(args.split_whitespace())
            .args(["-f", "flv", &self.url(name)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the ffmpeg program is installed (make setup)")
    }

    /// Waits until the stage is as wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&StageStatus) -> bool) -> StageStatus {
        let mut status = self.stage.status();
        let found = tokio::time::timeout(PATIENCE, status.wait_for(|s| wanted(s))).await;
        match found {
            Ok(s) => s.unwrap().clone(),
            Err(_) => panic!("{what}: {:?}", self.stage.status().borrow().clone()),
        }
    }

    async fn until_stage(&self, stage: Stage) -> StageStatus {
        self.until(&format!("{stage:?}"), |s| s.stage == stage).await
    }

    /// The chunks that the stage puts out while `wanted` says so.
    async fn chunks(&self, mut wanted: impl FnMut(&[Arc<Chunk>]) -> bool) -> Vec<Arc<Chunk>> {
        let mut reader = self.stage.programme().reader();
        let mut out = Vec::new();
        let read = async {
            while wanted(&out) {
                match reader.next().await {
                    ReadItem::Chunk(c) => out.push(c),
                    ReadItem::Skipped { .. } => {}
                    ReadItem::End => break,
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("the programme goes on");
        out
    }

    async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(PATIENCE, self.tasks.wait()).await.expect("ingest stops");
    }
}

async fn said(child: &mut Child) -> String {
    let mut text = String::new();
    let mut stderr = child.stderr.take().unwrap();
    tokio::time::timeout(PATIENCE, stderr.read_to_string(&mut text)).await.expect("ffmpeg ends").unwrap();
    tokio::time::timeout(PATIENCE, child.wait()).await.expect("ffmpeg ends").unwrap();
    text
}

fn publishing(sound: &str, seconds: u32, video: &str) -> String {
    let sound = if sound.is_empty() { String::new() } else { format!("-re -f lavfi -i sine=r={sound}") };
    format!(
        "-re -f lavfi -i testsrc2=s=160x96:r=30 {sound} -t {seconds} -pix_fmt yuv420p -c:v libx264 -preset veryfast \
         -g 30 {video}"
    )
}

fn name() -> String {
    format!("room-1?key={KEY}")
}

#[tokio::test(flavor = "multi_thread")]
async fn obs_like_streams_go_out_live() {
    // B-frames at 44.1 kHz mono; 48 kHz stereo; no sound at all.
    for (sound, options, rate, channels) in [
        ("44100", "-bf 2 -c:a aac -ac 1", 44_100, 1),
        ("48000", "-bf 0 -c:a aac -ac 2", 48_000, 2),
        ("", "-bf 2", 48_000, 2),
    ] {
        let ingest = Ingest::start().await;
        let mut ffmpeg = ingest.ffmpeg(&publishing(sound, 4, options), &name());
        let status = ingest.until_stage(Stage::Live).await;
        let publisher = status.publisher.unwrap();
        assert_eq!((publisher.program.as_str(), publisher.address.as_str()), ("ffmpeg", "127.0.0.1"));
        // Silence comes by the clock, and pictures may come late and together.
        let few = |c: &[Arc<Chunk>]| c.iter().map(|c| c.audio.len()).sum::<usize>() <= 60;
        let chunks = ingest.chunks(|c| few(c) || c.iter().filter(|c| c.video.is_some()).count() < 60).await;
        assert!(chunks[0].key && chunks.iter().all(|c| c.stage == Stage::Live));
        let config = &chunks[0].config;
        assert_eq!((config.video.width, config.video.height), (160, 96));
        assert_eq!((config.audio.sample_rate, config.audio.channels), (rate, channels), "{options}");
        let reordered = chunks.iter().filter_map(|c| c.video.as_ref()).any(|v| v.pts > v.dts);
        assert_eq!(reordered, options.contains("-bf 2"));
        // A clean goodbye ends the stream.
        let text = said(&mut ffmpeg).await;
        ingest.until_stage(Stage::Off).await;
        assert!(!text.contains("rror"), "{text}");
        ingest.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_publisher_is_lost_and_comes_back() {
    let ingest = Ingest::start().await;
    let mut first = ingest.ffmpeg(&publishing("48000", 60, "-c:a aac"), &name());
    let stream = ingest.until_stage(Stage::Live).await.stream;
    first.kill().await.unwrap();
    ingest.until_stage(Stage::Lost).await;
    let mut second = ingest.ffmpeg(&publishing("48000", 60, "-c:a aac"), &name());
    let again = ingest.until_stage(Stage::Live).await;
    assert_eq!(again.stream, stream, "the same stream goes on");
    second.kill().await.unwrap();
    ingest.stop().await;
}

/// A link that can be made to stall: what the publisher sends meanwhile waits, and then comes at once.
struct Link {
    address: SocketAddr,
    open: watch::Sender<bool>,
}

impl Link {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, mut gate) = watch::channel(true);
        tokio::spawn(async move {
            let (publisher, _) = listener.accept().await.unwrap();
            let (mut from, mut back) = publisher.into_split();
            let (mut answers, mut to) = TcpStream::connect(target).await.unwrap().into_split();
            tokio::spawn(async move { tokio::io::copy(&mut answers, &mut back).await });
            let mut buffer = vec![0; 64 << 10];
            loop {
                let n = from.read(&mut buffer).await.unwrap_or(0);
                if n == 0 || gate.wait_for(|open| *open).await.is_err() || to.write_all(&buffer[..n]).await.is_err() {
                    return;
                }
            }
        });
        Self { address, open }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_after_a_stall_is_not_shown() {
    let mut ingest = Ingest::start().await;
    let link = Link::to(ingest.address).await;
    ingest.address = link.address;
    let mut reader = ingest.stage.programme().reader();
    let seconds = 14;
    let mut ffmpeg = ingest.ffmpeg(&publishing("48000", seconds, "-c:a aac -tune zerolatency"), &name());
    let mut live = 0;
    let mut stall = None;
    let read = async {
        loop {
            match reader.next().await {
                ReadItem::Chunk(c) => live += u32::from(c.video.is_some() && c.stage == Stage::Live),
                ReadItem::Skipped { .. } => panic!("the test reads too slowly to count"),
                ReadItem::End => return,
            }
            if live == 90 && stall.is_none() {
                link.open.send_replace(false);
                stall = Some(tokio::spawn({
                    let (stage, open) = (ingest.stage.clone(), link.open.clone());
                    async move {
                        // The stall goes on until viewers have been shown the slate for 5 s.
                        let mut status = stage.status();
                        status.wait_for(|s| s.stage == Stage::Lost).await.unwrap();
                        tokio::time::sleep(Duration::from_secs(5)).await;
                        open.send_replace(true);
                    }
                }));
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.expect("the stream ends");
    said(&mut ffmpeg).await;
    // The stall took 6 s; of its frames at most one group of pictures (1 s) is still wanted. Without what is
    // tested about 50 frames are missing, with it 150.
    let all = seconds * 30;
    assert!((all / 3..=all - 85).contains(&live), "{live} of {all} frames were shown live");
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_told_in_a_sentence() {
    let ingest = Ingest::start().await;
    for (options, name, words) in [
        ("-c:a aac", "room-1?key=wrong", "stream key is wrong"),
        ("-c:a aac", "room-1", "stream key is missing"),
        ("-c:a aac", "nowhere?key=k", "no room"),
        ("-c:a libmp3lame -ar 44100 -tune zerolatency", name().as_str(), "MP3"),
    ] {
        let mut ffmpeg = ingest.ffmpeg(&publishing("48000", 20, options), name);
        let text = said(&mut ffmpeg).await;
        assert!(text.contains(words), "{text}");
        ingest.until("nothing goes out", |s| s.stage == Stage::Off && s.publisher.is_none()).await;
    }
    ingest.stop().await;
}

/// A publisher made of our own client session.
struct Own {
    session: client::Session,
    tcp: TcpStream,
}

impl Own {
    async fn connect(ingest: &Ingest, program: Option<&str>) -> (Self, client::Event) {
        Self::try_connect(ingest, program).await.expect("the server answers")
    }

    /// None: the server closed the connection without a word.
    async fn try_connect(ingest: &Ingest, program: Option<&str>) -> Option<(Self, client::Event)> {
        let mut config = client::Config::new("live", &format!("rtmp://{}/live", ingest.address), Secret::new(name()));
        config.program_id = program.map(str::to_owned);
        config.marks = program.is_some();
        let session = client::Session::new(config, Now::default());
        let mut own = Self { session, tcp: TcpStream::connect(ingest.address).await.unwrap() };
        let event = own.event().await?;
        Some((own, event))
    }

    async fn flush(&mut self) -> std::io::Result<()> {
        while let Some(out) = self.session.poll_output() {
            self.tcp.write_all(&out).await?;
        }
        Ok(())
    }

    /// The next event; none when the connection ends without one.
    async fn event(&mut self) -> Option<client::Event> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(event) = self.session.poll_event() {
                return Some(event);
            }
            self.flush().await.ok()?;
            let read =
                tokio::time::timeout(PATIENCE, self.tcp.read(&mut buffer)).await.expect("the server says something");
            match read {
                Ok(n) if n > 0 => self.session.input(&buffer[..n], Now::default()).unwrap(),
                _ => return None,
            }
        }
    }

    async fn send(&mut self, items: &[FeedItem]) {
        for item in items {
            self.session.send(item).unwrap();
        }
        self.flush().await.unwrap();
    }
}

fn configs() -> [FeedItem; 2] {
    let sps = b"\x67\x64\x00\x0a\xac\xd9\x44\x26\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xf0\x3c\x48\x96\x58";
    let video = avc::config_from_parameter_sets(sps, b"\x68\xef\x8f\xcb").unwrap();
    [FeedItem::VideoConfig(Arc::new(video)), FeedItem::AudioConfig(Arc::new(aac::make_asc(48_000, 2)))]
}

fn refused(event: Option<client::Event>, code: &str) -> String {
    match event {
        Some(client::Event::Refused { code: c, description }) if c == code => description,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_publisher_is_refused_until_the_owner_admits_it() {
    let ingest = Ingest::start().await;
    let mut waiting = ingest.stage.waiting();
    let mut first = ingest.ffmpeg(&publishing("48000", 60, "-c:a aac"), &name());
    ingest.until_stage(Stage::Live).await;

    // Same program, same address, right key: two of them must not evict each other for ever.
    let mut second = ingest.ffmpeg(&publishing("48000", 60, "-c:a aac"), &name());
    let text = said(&mut second).await;
    assert!(text.contains("already publishing"), "{text}");
    let asked = tokio::time::timeout(PATIENCE, waiting.recv()).await.expect("the owner is told").unwrap();
    assert_eq!((asked.program.as_str(), asked.address.as_str()), ("ffmpeg", "127.0.0.1"));

    assert!(ingest.stage.admit(&asked.id).await);
    let mut second = ingest.ffmpeg(&publishing("48000", 60, "-c:a aac"), &name());
    let text = said(&mut first).await;
    assert!(!text.is_empty(), "the first one is closed");
    ingest.until_stage(Stage::Live).await;
    second.kill().await.unwrap();
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_program_takes_over_at_once() {
    let ingest = Ingest::start().await;
    let (mut first, event) = Own::connect(&ingest, Some("app-1")).await;
    assert_eq!(event, client::Event::Publishing);
    first.send(&configs()).await;
    let (_other, event) = Own::connect(&ingest, Some("app-2")).await;
    assert!(refused(Some(event), "NetStream.Publish.BadName").contains("already publishing"));
    let (_again, event) = Own::connect(&ingest, Some("app-1")).await;
    assert_eq!(event, client::Event::Publishing);
    assert!(refused(first.event().await, "NetStream.Publish.BadName").contains("Another connection"));
    ingest.stop().await;
}

/// A picture at this time: only as much of one as the server looks at.
fn picture(ms: i64, key: bool) -> FeedItem {
    let at = MediaTime::from_millis(ms);
    let data = Bytes::from_static(if key { b"\0\0\0\x04\x65\x88\x80\x40" } else { b"\0\0\0\x04\x41\x9a\x20\x40" });
    FeedItem::Video(VideoFrame { dts: at, pts: at, key, data })
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_in_the_stream_are_obeyed_and_told() {
    let ingest = Ingest::start().await;
    let mut told = ingest.stage.told();
    let (mut app, _) = Own::connect(&ingest, Some("app-1")).await;
    let status = ingest.until("who publishes is known", |s| s.publisher.is_some()).await;
    assert!(status.publisher.unwrap().marks);
    app.send(&configs()).await;
    app.send(&[picture(0, true), picture(33, false)]).await;
    ingest.until_stage(Stage::Live).await;

    let leave_id: LeaveId = "from-the-app".parse().unwrap();
    let away = FeedItem::AwayMark { leave_id: leave_id.clone(), last: MediaTime::from_millis(40), keep_sound: true };
    app.send(&[away, picture(66, true)]).await;
    let status = ingest.until_stage(Stage::Away).await;
    let left = status.away.unwrap();
    assert_eq!((&left.leave_id, left.keep_sound), (&leave_id, true));
    let heard = told.wait_for(Option::is_some).await.unwrap().clone();
    assert_eq!(heard, Some(Told::Left(left)));

    // The return and what follows it wait until it is stored; then its key frame is seen, no later one.
    app.send(&[FeedItem::BackMark { leave_id: leave_id.clone() }, picture(100, true), picture(133, false)]).await;
    told.wait_for(|t| *t == Some(Told::Back(leave_id.clone()))).await.unwrap();
    assert!(ingest.stage.status().borrow().away.is_some(), "not before it is stored");
    assert!(ingest.stage.back(Some(leave_id.clone())).await.unwrap());
    let status = ingest.until_stage(Stage::Live).await;
    assert_eq!(status.away, None);

    // The same leave over the API, held up: it is over. Another one holds.
    let mut leave = Leave { leave_id: leave_id.clone(), since: WallTime::now(), keep_sound: false, back_at: None };
    assert_eq!(ingest.stage.leave(leave.clone()).await.unwrap(), None);
    leave.leave_id = LeaveId::new();
    assert_eq!(ingest.stage.leave(leave.clone()).await.unwrap(), Some(leave.clone()));
    ingest.until_stage(Stage::Away).await;
    assert!(!ingest.stage.back(Some(leave_id)).await.unwrap(), "of another absence");

    // The app says goodbye: with the stream the absence is over, and that is told.
    app.session.end();
    app.flush().await.unwrap();
    told.wait_for(|t| *t == Some(Told::Back(leave.leave_id.clone()))).await.unwrap();
    let status = ingest.until_stage(Stage::Off).await;
    assert_eq!(status.away, None);
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_codec_ends_it_with_a_sentence() {
    let mut ingest = Ingest::start().await;
    let (mut own, _) = Own::connect(&ingest, None).await;
    // An HEVC sequence header in Enhanced RTMP's signalling, as a message of our own making.
    let mut body = bytes::BytesMut::new();
    let mut writer = mujian_media::rtmp::chunk::Writer::default();
    writer.set_chunk_size(60_000);
    let head = mujian_media::rtmp::chunk::MessageHead { chunk_stream: 7, timestamp: 0, kind: 9, stream: 1 };
    writer.write(&mut body, head, &[b"\x90hvc1\x01\x02\x03"]);
    own.tcp.write_all(&body).await.unwrap();
    let sentence = refused(own.event().await, "NetStream.Publish.Failed");
    assert!(sentence.contains("HEVC") && sentence.contains("H.264"), "{sentence}");
    // Programs that do not show it are not the only ones who know.
    let told = tokio::time::timeout(PATIENCE, ingest.refused.wait_for(Option::is_some)).await.expect("in time");
    let told = told.unwrap().clone().unwrap();
    assert_eq!((told.reason, told.address.as_str()), (sentence, "127.0.0.1"));
    ingest.until("nothing goes out", |s| s.stage == Stage::Off && s.publisher.is_none()).await;
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_key_cuts_off_whoever_has_the_old_one() {
    let ingest = Ingest::start().await;
    let (mut own, event) = Own::connect(&ingest, Some("app-1")).await;
    assert_eq!(event, client::Event::Publishing);
    own.send(&configs()).await;
    ingest.until("it publishes", |s| s.publisher.is_some()).await;
    ingest.renewed.send_replace(());
    let sentence = refused(own.event().await, "NetStream.Publish.Denied");
    assert!(sentence.contains("renewed") && sentence.contains("account page"), "{sentence}");
    // A loss and not an end: viewers wait for whoever comes with the new key.
    ingest.until("it is out", |s| s.publisher.is_none()).await;
    let (_again, event) = Own::connect(&ingest, Some("app-1")).await;
    assert_eq!(event, client::Event::Publishing);
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_connections_are_bounded_and_others_go_on() {
    let mut config = IngestConfig { per_address: 3, ..IngestConfig::default() };
    config.session.setup_time = Duration::from_secs(2);
    let ingest = Ingest::start_with(config).await;
    // Two that say nothing are closed by themselves; one that says nonsense at once.
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(ingest.address).await.unwrap());
    }
    let mut nonsense = TcpStream::connect(ingest.address).await.unwrap();
    nonsense.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    for tcp in silent.iter_mut().chain([&mut nonsense]) {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(PATIENCE, tcp.read_to_end(&mut rest)).await.expect("closed");
        assert!(read.is_err() || rest.is_empty());
    }
    drop((silent, nonsense));
    // Their places are free a moment after they see the end.
    let let_in = async {
        loop {
            if let Some(own) = Own::try_connect(&ingest, None).await {
                return own;
            }
        }
    };
    let (_own, event) = tokio::time::timeout(PATIENCE, let_in).await.expect("a place is free again");
    assert_eq!(event, client::Event::Publishing);
    ingest.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_tells_the_publisher() {
    let ingest = Ingest::start().await;
    let (mut own, _) = Own::connect(&ingest, None).await;
    ingest.stop.cancel();
    assert!(refused(own.event().await, mujian_media::rtmp::UNAVAILABLE).contains("stopping"));
    ingest.stop().await;
}
