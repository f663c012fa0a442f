//! A publisher inside the test: real frames of ffmpeg, handed to the room's stage in real time.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mujian_media::flv::Demuxer;
use mujian_media::frame::FeedItem;
use mujian_media::time::MediaTime;
use mujian_protocol::RoomId;
use mujian_protocol::room::Stage;
use mujian_server::Running;
use mujian_server::rooms::Room;
use mujian_server::stage::Publisher;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Two seconds of picture and sound, coded.
pub struct Clip {
    items: Vec<FeedItem>,
}

pub const CLIP: MediaTime = MediaTime::from_millis(2000);

impl Clip {
    /// 30 pictures a second of this size and coding, one key frame a second, and a tone at 48 kHz.
    pub fn encode(size: &str, coding: &str) -> Self {
        let args = format!(
            "-v error -f lavfi -i testsrc2=size={size}:rate=30:duration=2,noise=alls=20 -f lavfi -i \
             sine=sample_rate=48000:duration=2 -c:v libx264 -threads 1 -preset veryfast -tune zerolatency -pix_fmt yuv420p \
             -g 30 {coding} -c:a aac -ac 2 -f flv -flvflags no_duration_filesize -"
        );
        let made = Command::new("ffmpeg").args(args.split_whitespace()).stdin(Stdio::null()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let mut demuxer = Demuxer::new();
        demuxer.input(&made.stdout).unwrap();
        Self { items: std::iter::from_fn(|| demuxer.poll()).collect() }
    }
}

enum Order {
    Play(Clip),
    Mark(FeedItem),
    End,
}

/// Publishes clips over and over until it is ended or dropped (a lost connection).
pub struct Live {
    pub room: Arc<Room>,
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Live {
    pub async fn start(server: &Running, room: &str, clip: Clip) -> Self {
        Self::start_as(server, room, clip, Stage::Live).await
    }

    /// The same, where viewers are shown something else than the picture then.
    pub async fn start_as(server: &Running, room: &str, clip: Clip, shown: Stage) -> Self {
        Self::start_inner(server, room, clip, shown, false).await
    }

    /// One that marks in its stream where the streamer leaves and comes back.
    pub async fn start_marking(server: &Running, room: &str, clip: Clip) -> Self {
        Self::start_inner(server, room, clip, Stage::Live, true).await
    }

    async fn start_inner(server: &Running, room: &str, clip: Clip, shown: Stage, marks: bool) -> Self {
        let id: RoomId = room.parse().unwrap();
        let room = server.app().rooms.get(&id).await.unwrap().unwrap();
        let publisher =
            Publisher { id: "test".into(), program: "test".into(), address: "127.0.0.1".into(), same_as: None, marks };
        let feed = room.stage.publish(publisher).await.unwrap();
        let (orders, mut inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let (mut clip, mut next, mut ending) = (clip, None, false);
            let began = tokio::time::Instant::now();
            for round in 0.. {
                let from = CLIP.times(round);
                if let Some(next) = next.take() {
                    clip = next;
                }
                if ending {
                    return feed.end().await;
                }
                for item in &clip.items {
                    loop {
                        match inbox.try_recv() {
                            Ok(Order::Play(clip)) => next = Some(clip),
                            Ok(Order::Mark(mark)) => drop(feed.send(mark).await),
                            Ok(Order::End) => ending = true,
                            Err(_) => break,
                        }
                    }
                    let item = later(item, from);
                    let at = match &item {
                        FeedItem::Video(frame) => frame.dts,
                        FeedItem::Audio(frame) => frame.pts,
                        _ => from,
                    };
                    tokio::time::sleep_until(began + at.to_duration()).await;
                    if feed.send(item).await.is_err() {
                        return;
                    }
                }
            }
        });
        let mut status = room.stage.status();
        let live = status.wait_for(|s| s.stage == shown);
        tokio::time::timeout(Duration::from_secs(10), live).await.unwrap().unwrap();
        Self { room, orders, task }
    }

    /// Goes on with another clip, from the end of this one.
    pub fn play(&self, clip: Clip) {
        let _ = self.orders.send(Order::Play(clip));
    }

    /// Sends a mark behind what it sent so far.
    pub fn mark(&self, mark: FeedItem) {
        let _ = self.orders.send(Order::Mark(mark));
    }

    /// Says goodbye at the end of the clip.
    pub fn end(&self) {
        let _ = self.orders.send(Order::End);
    }
}

fn later(item: &FeedItem, by: MediaTime) -> FeedItem {
    let mut item = item.clone();
    match &mut item {
        FeedItem::Video(frame) => {
            frame.dts = frame.dts.saturating_add(by);
            frame.pts = frame.pts.saturating_add(by);
        }
        FeedItem::Audio(frame) => frame.pts = frame.pts.saturating_add(by),
        _ => {}
    }
    item
}
