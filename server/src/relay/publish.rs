//! One attempt to publish a room's programme to a further address: a connection, RTMP as a client, and a reader of the
//! programme like any other viewer's.
//!
//! What waits is bounded: a batch that the connection has not taken yet. While it waits nothing is read, and a reader that
//! falls behind goes on at the newest key frame, so nobody else notices. It never decides to try again.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use mujian_media::flv::Metadata;
use mujian_media::frame::{AudioFrame, FeedItem, VideoFrame};
use mujian_media::rtmp::client::{Config, Event, NotPublishing, Session};
use mujian_media::rtmp::{self, RtmpError, Secret};
use mujian_media::time::MediaTime;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::machine::Failure;
use crate::clock::Clock;
use crate::outbound::{self, OpenError, Stream};
use crate::stage::programme::{Chunk, Programme, ReadItem, Reader};

/// How long the other side may take no more bytes before the connection counts as dead.
const STALL: Duration = Duration::from_secs(10);
/// How long the goodbye may take, with what goes before it.
const GOODBYE: Duration = Duration::from_secs(2);
/// Bytes that are gathered for the connection before it takes them.
const BATCH: usize = 64 << 10;
/// Bytes that wait in the kernel before a write waits: what waits here can still be left out.
const NOT_SENT: u32 = 128 << 10;
/// Bytes of what the other side says that are read at once.
const HEARD: usize = 8 << 10;
/// Pieces of a key from this length on are kept out of what is told of the other side's words.
const PIECE: usize = 6;

/// What an attempt needs to know.
pub(super) struct Order {
    /// Where to.
    pub(super) address: Address,
    /// The stream's name there.
    pub(super) key: Secret,
    /// What the server calls itself there, and what went on the way before it.
    pub(super) program_id: String,
    /// Whether it may lead to the server's own network.
    pub(super) anywhere: bool,
    /// What is published.
    pub(super) programme: Arc<Programme>,
    /// The clocks.
    pub(super) clock: Clock,
}

/// Publishes until `farewell` or until it fails. `published` is called once, when the other side takes the stream.
pub(super) async fn attempt(
    order: &Order,
    farewell: &CancellationToken,
    published: impl FnOnce() + Send,
) -> Result<(), Failure> {
    let stream = tokio::select! {
        stream = connect(order) => stream?,
        () = farewell.cancelled() => return Ok(()),
    };
    let mut config = Config::new(&order.address.app, &order.address.tc_url, order.key.clone());
    config.program_id = Some(order.program_id.clone());
    config.seed = rand::random();
    let mut talk = Talk {
        order,
        session: Session::new(config, order.clock.now()),
        reader: None,
        packer: Packer::default(),
        out: Bytes::new(),
        over: false,
    };
    talk.run(stream, farewell, published).await
}

async fn connect(order: &Order) -> Result<Box<dyn Stream>, Failure> {
    let address = &order.address;
    let tls = address.tls.then_some(address.host.as_str());
    let mut last = "no answer".to_owned();
    for at in address.resolve(order.anywhere).await? {
        match outbound::open(at, tls, NOT_SENT).await {
            Ok(stream) => return Ok(stream),
            Err(OpenError::Failed(reason)) => last = reason,
            Err(OpenError::Untrusted(reason)) => {
                let host = address.host.clone();
                let sentence = format!("{host} does not prove who it is ({reason}). Nothing was sent to it.");
                return Err(again(ErrorCode::Unreachable, sentence, Problem::RelayUntrusted { host, reason }));
            }
        }
    }
    Err(unreachable(address, last))
}

fn unreachable(address: &Address, reason: String) -> Failure {
    let place = address.place();
    let sentence = format!("{place} cannot be reached ({reason}). Check the address.");
    again(ErrorCode::Unreachable, sentence, Problem::RelayUnreachable { address: place, reason })
}

fn again(code: ErrorCode, sentence: impl Into<String>, problem: Problem) -> Failure {
    Failure { error: ApiError::new(code, sentence).about(problem), again: true }
}

fn lost(why: impl std::fmt::Display) -> Failure {
    let reason = why.to_string();
    let sentence = format!("The connection to the platform broke ({reason}).");
    again(ErrorCode::Unreachable, sentence, Problem::RelayLost { reason })
}

impl From<NotPublishing> for Failure {
    fn from(error: NotPublishing) -> Self {
        lost(error)
    }
}

/// The other side's word, without the key.
fn refused(key: &Secret, was_live: bool, code: &str, description: &str) -> Failure {
    let reason = if description.is_empty() { code } else { description };
    let reason = if reason.is_empty() { "it gave no reason".to_owned() } else { without_key(reason, key) };
    let (code, again, sentence, problem) = match code {
        rtmp::DENIED => (
            ErrorCode::WrongStreamKey,
            false,
            "The platform does not take the stream key",
            Problem::RelayKeyRefused { reason: reason.clone() },
        ),
        rtmp::BAD_NAME => (
            ErrorCode::AlreadyPublishing,
            true,
            "Somebody publishes there already",
            Problem::RelayBusy { reason: reason.clone() },
        ),
        rtmp::UNAVAILABLE => (
            ErrorCode::Unreachable,
            true,
            "The platform cannot take the stream now",
            Problem::RelayAway { reason: reason.clone() },
        ),
        rtmp::LEADS_BACK => {
            (ErrorCode::Conflict, false, "The address leads back to this server", Problem::RelayLeadsBack)
        }
        _ if was_live => (
            ErrorCode::Conflict,
            false,
            "The platform ended the stream",
            Problem::RelayEnded { reason: reason.clone() },
        ),
        _ => (
            ErrorCode::Conflict,
            false,
            "The platform refused the stream",
            Problem::RelayRefused { reason: reason.clone() },
        ),
    };
    Failure { error: ApiError::new(code, format!("{sentence} ({reason}).")).about(problem), again }
}

/// A platform's words with every piece of the key left out that could be one.
fn without_key(words: &str, key: &Secret) -> String {
    let key = key.expose();
    let mut pieces: Vec<&str> = key.split(['?', '&', '=', '/']).filter(|p| p.len() >= PIECE).collect();
    pieces.push(key);
    pieces.sort_unstable_by_key(|p| std::cmp::Reverse(p.len()));
    let mut words = words.to_owned();
    for piece in pieces.into_iter().filter(|p| !p.is_empty()) {
        words = words.replace(piece, "…");
    }
    words
}

/// What happened to the connection next.
enum Next {
    Heard(usize),
    Wrote(usize),
    Flushed,
    Item(ReadItem),
    Late,
    Farewell,
}

struct Talk<'a> {
    order: &'a Order,
    session: Session,
    /// From when the other side takes the stream.
    reader: Option<Reader>,
    packer: Packer,
    /// What the connection has not taken yet.
    out: Bytes,
    /// The stream that is published is over.
    over: bool,
}

impl Talk<'_> {
    async fn run(
        &mut self,
        stream: Box<dyn Stream>,
        farewell: &CancellationToken,
        published: impl FnOnce() + Send,
    ) -> Result<(), Failure> {
        let (mut input, mut output) = tokio::io::split(stream);
        let mut published = Some(published);
        let mut heard = BytesMut::with_capacity(HEARD);
        let mut flushed = true;
        // The last moment at which the other side took something.
        let mut taken = Instant::now();
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Publishing => {
                        self.reader = Some(self.order.programme.reader());
                        if let Some(published) = published.take() {
                            published();
                        }
                    }
                    Event::Refused { code, description } => {
                        return Err(refused(&self.order.key, self.reader.is_some(), &code, &description));
                    }
                }
            }
            self.fill()?;
            if !self.out.is_empty() && flushed {
                (flushed, taken) = (false, Instant::now());
            }
            let (waits, wants) = (!self.out.is_empty(), self.reader.is_some() && !self.over);
            let late = if flushed { None } else { Some(taken + STALL) };
            let setup = self.session.deadline().map(|d| Instant::now() + d.since(self.order.clock.now()));
            let next = tokio::select! {
                // What the other side says comes first: a refusal is told before the connection breaks.
                biased;
                read = input.read_buf(&mut heard) => Next::Heard(read.map_err(lost)?),
                () = farewell.cancelled() => Next::Farewell,
                done = push(&mut output, &self.out), if !flushed => done.map_err(lost)?,
                item = next_of(self.reader.as_mut()), if !waits && wants => Next::Item(item),
                () = until([late, setup]) => Next::Late,
            };
            match next {
                Next::Heard(0) => return Err(lost("the platform closed it")),
                Next::Heard(_) => {
                    self.session.input(&heard, self.order.clock.now()).map_err(not_rtmp)?;
                    heard.clear();
                }
                Next::Wrote(0) => return Err(lost("the platform takes nothing")),
                Next::Wrote(count) => {
                    self.out.advance(count);
                    taken = Instant::now();
                    metrics::counter!("mujian_relay_bytes_total").increment(count as u64);
                }
                Next::Flushed => flushed = true,
                Next::Item(item) => self.take(item)?,
                Next::Late if late.is_some_and(|at| at <= Instant::now()) => {
                    let (seconds, code) = (STALL.as_secs(), ErrorCode::Unreachable);
                    let sentence = format!("The platform takes nothing any more, for {seconds} s now.");
                    return Err(again(code, sentence, Problem::RelayStalled { seconds }));
                }
                Next::Late => self.session.tick(self.order.clock.now()).map_err(not_rtmp)?,
                Next::Farewell => {
                    // What the room has sent out goes there too, as far as the line takes it; then it is over.
                    let _ = tokio::time::timeout(GOODBYE, self.goodbye(&mut input, &mut output)).await;
                    return Ok(());
                }
            }
        }
    }

    /// Gathers what can be sent.
    fn fill(&mut self) -> Result<(), Failure> {
        if self.out.is_empty() {
            let mut size = 0;
            while size < BATCH && !self.over {
                let Some(item) = self.reader.as_mut().and_then(Reader::try_next) else { break };
                if let ReadItem::Chunk(chunk) = &item {
                    size += chunk.flv().len();
                }
                self.take(item)?;
            }
            self.out = self.session.poll_output().unwrap_or_default();
        }
        Ok(())
    }

    fn take(&mut self, item: ReadItem) -> Result<(), Failure> {
        match item {
            ReadItem::Chunk(chunk) => self.packer.pack(&chunk, &mut self.session)?,
            ReadItem::Skipped { chunks } => {
                metrics::counter!("mujian_relay_skipped_total").increment(chunks);
            }
            // The next stream is another attempt's.
            ReadItem::End => self.over = true,
        }
        Ok(())
    }

    async fn goodbye(
        &mut self,
        input: &mut (impl AsyncRead + Unpin),
        output: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        loop {
            output.write_all_buf(&mut self.out).await?;
            if self.session.is_closed() {
                break;
            }
            if self.fill().is_err() || self.out.is_empty() {
                self.session.end();
                self.out = self.session.poll_output().unwrap_or_default();
            }
        }
        output.flush().await?;
        output.shutdown().await?;
        // Closing first with unread words of the other side's would reset the connection and could lose the goodbye.
        tokio::io::copy(input, &mut tokio::io::sink()).await.map(drop)
    }
}

/// Writes what waits, or has everything go out that was written. Safe to cancel.
async fn push(output: &mut (impl AsyncWrite + Unpin), waits: &[u8]) -> io::Result<Next> {
    if waits.is_empty() {
        output.flush().await?;
        return Ok(Next::Flushed);
    }
    output.write(waits).await.map(Next::Wrote)
}

async fn next_of(reader: Option<&mut Reader>) -> ReadItem {
    match reader {
        Some(reader) => reader.next().await,
        None => std::future::pending().await,
    }
}

async fn until(moments: [Option<Instant>; 2]) {
    match moments.into_iter().flatten().min() {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn not_rtmp(error: RtmpError) -> Failure {
    let reason = error.to_string();
    let sentence = format!("What answers there does not speak RTMP as it should. {reason}");
    again(ErrorCode::Unreachable, sentence, Problem::RelayNotRtmp { reason })
}

/// Makes items for RTMP of a programme's chunks, on a timeline that begins with the first.
#[derive(Default)]
struct Packer {
    config: Option<u64>,
    /// The time of the first chunk.
    begin: Option<MediaTime>,
}

impl Packer {
    fn pack(&mut self, chunk: &Chunk, session: &mut Session) -> Result<(), NotPublishing> {
        let first = chunk.audio.first().map_or(chunk.dts, |a| a.pts.min(chunk.dts));
        let begin = *self.begin.get_or_insert(first);
        let at = |time: MediaTime| time.saturating_sub(begin);
        if self.config.replace(chunk.config.id) != Some(chunk.config.id) {
            let (video, audio) = (&chunk.config.video, &chunk.config.audio);
            session.send_metadata(&Metadata {
                encoder: Some(concat!("Mujian/", env!("CARGO_PKG_VERSION")).to_owned()),
                width: Some(f64::from(video.width)),
                height: Some(f64::from(video.height)),
                frame_rate: video.frame_duration.map(|d| 1.0 / d.as_secs_f64()).filter(|rate| rate.is_finite()),
                sample_rate: Some(f64::from(audio.sample_rate)),
                stereo: Some(audio.channels > 1),
                ..Metadata::default()
            })?;
            session.send(&FeedItem::VideoConfig(Arc::clone(video)))?;
            session.send(&FeedItem::AudioConfig(Arc::clone(audio)))?;
        }
        let mut picture = chunk.video.as_ref();
        for sound in &chunk.audio {
            if let Some(v) = picture.take_if(|v| v.dts <= sound.pts) {
                send_picture(session, v, at)?;
            }
            session.send(&FeedItem::Audio(AudioFrame { pts: at(sound.pts), data: sound.data.clone() }))?;
        }
        if let Some(v) = picture {
            send_picture(session, v, at)?;
        }
        Ok(())
    }
}

fn send_picture(
    session: &mut Session,
    v: &VideoFrame,
    at: impl Fn(MediaTime) -> MediaTime,
) -> Result<(), NotPublishing> {
    session.send(&FeedItem::Video(VideoFrame { dts: at(v.dts), pts: at(v.pts), key: v.key, data: v.data.clone() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_platform_says_is_told_without_the_key() {
        let key = Secret::new("room?key=s3cret-key&x=1");
        let failure = refused(&key, false, rtmp::DENIED, "No app/room?key=s3cret-key&x=1; s3cret-key is wrong");
        assert_eq!(failure.error.code, ErrorCode::WrongStreamKey);
        assert_eq!(failure.error.message, "The platform does not take the stream key (No app/…; … is wrong).");
        assert!(!failure.again && !format!("{failure:?}").contains("s3cret"));
        let ended = refused(&key, true, "", "");
        assert_eq!(ended.error.problem, Some(Box::new(Problem::RelayEnded { reason: "it gave no reason".into() })));
        assert!(refused(&key, false, rtmp::BAD_NAME, "").again && refused(&key, true, rtmp::UNAVAILABLE, "").again);
        assert!(!refused(&key, false, "NetConnection.Connect.Rejected", "").again);
        assert_eq!(without_key("abc", &Secret::new("")), "abc");
    }
}
