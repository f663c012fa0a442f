//! The same stream for everybody: 720p30 of 2.5 Mbit/s with sound.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::{Bytes, BytesMut};
use mujian_media::flv::{self, Demuxer};
use mujian_media::fmp4::{Fragment, VideoSample};
use mujian_media::frame::{AudioFrame, FeedItem, VideoFrame};
use mujian_media::rtmp::{Secret, client};
use mujian_media::time::{MediaTime, Now};
use mujian_media::websocket;

const PICTURES: i64 = 120;
const RATE: u32 = 30;

/// How frames travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// FLV tags.
    Flv,
    /// Fragments of MP4 as WebSocket messages.
    Mp4,
}

impl fmt::Display for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Flv { "flv" } else { "mp4" })
    }
}

impl FromStr for Wire {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "flv" => Ok(Self::Flv),
            "mp4" => Ok(Self::Mp4),
            _ => bail!("flv or mp4"),
        }
    }
}

/// Writes four seconds to a file.
///
/// # Errors
///
/// ffmpeg fails.
pub(super) async fn encode(path: &Path) -> Result<()> {
    let args = format!(
        "-hide_banner -loglevel error -nostdin -f lavfi -i testsrc2=size=1280x720:rate={RATE},noise=alls=12:allf=t -f lavfi -i \
         sine=frequency=440:sample_rate=48000 -t 4 -c:v libx264 -preset veryfast -tune zerolatency -threads 1 -g 60 \
         -pix_fmt yuv420p -b:v 2500k -minrate 2500k -maxrate 2500k -bufsize 1250k -c:a aac -ac 2 -b:a 128k -y"
    );
    let mut args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
    args.push(path.display().to_string());
    crate::process::run("ffmpeg", &args, Duration::from_secs(60)).await.context("the clip")?;
    Ok(())
}

fn read(path: &Path) -> Result<Vec<FeedItem>> {
    let mut demuxer = Demuxer::new();
    demuxer.input(&std::fs::read(path)?)?;
    let items: Vec<_> = std::iter::from_fn(|| demuxer.poll()).collect();
    let pictures = items.iter().filter(|item| matches!(item, FeedItem::Video(_))).count();
    anyhow::ensure!(pictures == PICTURES as usize, "{pictures} pictures");
    Ok(items)
}

/// The frames that the server sends of this clip, played over and over for so long: each picture with the sound
/// that came before it, and the time of each.
///
/// # Errors
///
/// The file cannot be read.
pub(super) fn frames(path: &Path, wire: Wire, length: Duration) -> Result<Vec<(MediaTime, Bytes)>> {
    let items = read(path)?;
    let mut frames = Vec::new();
    let mut sound: Vec<AudioFrame> = Vec::new();
    for item in endless(&items) {
        match item {
            FeedItem::Audio(frame) => sound.push(frame),
            FeedItem::Video(frame) => {
                let at = frame.dts;
                if at.to_duration() > length {
                    break;
                }
                frames.push((at, pack(wire, &frame, &std::mem::take(&mut sound), frames.len() as u32)));
            }
            _ => {}
        }
    }
    Ok(frames)
}

fn pack(wire: Wire, video: &VideoFrame, audio: &[AudioFrame], sequence: u32) -> Bytes {
    let mut out = BytesMut::new();
    match wire {
        Wire::Flv => {
            audio.iter().for_each(|frame| flv::audio_tag(&mut out, frame));
            flv::video_tag(&mut out, video);
        }
        Wire::Mp4 => {
            let sample = VideoSample { frame: video, duration: MediaTime::from_scale(1, RATE) };
            let wall = Some(Duration::from_secs(1_800_000_000));
            let fragment = Fragment { sequence, wall, video: Some(sample), audio, sample_rate: 48_000 }.write();
            websocket::binary_header(&mut out, fragment.len());
            out.extend_from_slice(&fragment);
        }
    }
    out.freeze()
}

/// The clip over and over, on one timeline.
fn endless(items: &[FeedItem]) -> impl Iterator<Item = FeedItem> + '_ {
    let length = MediaTime::from_scale(PICTURES, RATE);
    (0..).flat_map(move |round| {
        let by = length.times(round);
        items.iter().filter(move |item| round == 0 || matches!(item, FeedItem::Video(_) | FeedItem::Audio(_))).map(
            move |item| {
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
            },
        )
    })
}

/// Publishes while it lives.
pub(super) struct Publishing {
    stop: Arc<AtomicBool>,
}

impl Drop for Publishing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Publishes the clip over and over, paced by the clock of this process to a fraction of a millisecond
/// (ffmpeg's own pacing is good to 10 ms only).
///
/// # Errors
///
/// The server does not take it.
pub(super) fn publish(server: SocketAddr, stream: &str, path: &Path) -> Result<Publishing> {
    let items = read(path)?;
    let mut tcp = TcpStream::connect(server)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_secs(10)))?;
    let origin = Instant::now();
    let now = move || Now::from_origin(origin.elapsed());
    let config = client::Config::new("live", &format!("rtmp://{server}/live"), Secret::new(stream));
    let mut session = client::Session::new(config, now());
    let mut buffer = [0; 4096];
    loop {
        while let Some(bytes) = session.poll_output() {
            tcp.write_all(&bytes)?;
        }
        match session.poll_event() {
            Some(client::Event::Publishing) => break,
            Some(client::Event::Refused { description, .. }) => bail!("the server refuses: {description}"),
            None => {}
        }
        let count = tcp.read(&mut buffer)?;
        anyhow::ensure!(count > 0, "the server closed the connection");
        session.input(&buffer[..count], now())?;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let mut answers = tcp.try_clone()?;
    answers.set_read_timeout(None)?;
    // Its reports of what it has received.
    std::thread::spawn(move || while answers.read(&mut buffer).is_ok_and(|count| count > 0) {});
    let stopped = Arc::clone(&stop);
    std::thread::spawn(move || -> Result<()> {
        let began = Instant::now();
        for item in endless(&items) {
            if let FeedItem::Video(frame) = &item {
                super::reference::sleep_until(began + frame.dts.to_duration());
            }
            if stopped.load(Ordering::Relaxed) {
                break;
            }
            session.send(&item)?;
            while let Some(bytes) = session.poll_output() {
                tcp.write_all(&bytes)?;
            }
        }
        let _ = tcp.shutdown(std::net::Shutdown::Both);
        Ok(())
    });
    Ok(Publishing { stop })
}
