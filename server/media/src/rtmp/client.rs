//! The client's side: a publisher.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::chunk::MessageHead;
use super::link::Link;
use super::message::{self, Command, Incoming, PICTURE, SOUND};
use super::{AWAY_MESSAGE, BACK_MESSAGE, MARKS_PROPERTY, PROGRAM_PROPERTY, RtmpError, Secret};
use crate::amf::Value;
use crate::flv::write::{AUDIO_CONFIG_HEAD, AUDIO_HEAD, VIDEO_CONFIG_HEAD, timestamp, video_head};
use crate::flv::{Metadata, TAG_AUDIO, TAG_VIDEO};
use crate::frame::FeedItem;
use crate::time::{MediaTime, Now};

/// Longest message that a server may send, in bytes.
const MAX_MESSAGE: usize = 64 << 10;
/// The server is asked to acknowledge half of so many bytes: often enough to see a slow line by it.
const WINDOW: u32 = 32 << 10;
/// Longest sentence that is kept of a server, in characters.
const TEXT_MAX: usize = 500;

/// Where and as whom to publish.
#[derive(Clone, Debug)]
pub struct Config {
    /// The application: `live`.
    pub app: String,
    /// The address up to the application: `rtmp://HOST/live`.
    pub tc_url: String,
    /// The stream's name: `ROOM?key=KEY`.
    pub stream: Secret,
    /// What the program calls itself.
    pub program: String,
    /// The program's own name for itself, the same at each reconnect.
    pub program_id: Option<String>,
    /// Whether this program marks in its stream where the streamer leaves and comes back.
    pub marks: bool,
    /// Our chunk size, in bytes; at least 128.
    pub chunk_size: u32,
    /// From the first moment until the server lets us publish.
    pub setup_time: Duration,
    /// What the handshake's filling is made of.
    pub seed: u64,
}

impl Config {
    /// The usual sizes and times for this address.
    #[must_use]
    pub fn new(app: &str, tc_url: &str, stream: Secret) -> Self {
        Self {
            app: app.to_owned(),
            tc_url: tc_url.to_owned(),
            stream,
            program: concat!("Mujian/", env!("CARGO_PKG_VERSION")).to_owned(),
            program_id: None,
            marks: false,
            chunk_size: 60_000,
            setup_time: Duration::from_secs(10),
            seed: 1,
        }
    }
}

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The server lets us publish: send.
    Publishing,
    /// The server refused, or ended it: its code and its sentence.
    Refused {
        /// Such as `NetStream.Publish.BadName`.
        code: String,
        /// For a person.
        description: String,
    },
}

/// Why an item was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server does not let us publish, or does no longer")]
pub struct NotPublishing;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Handshake,
    Connecting,
    Creating,
    Asking,
    Publishing,
    Closed,
}

const CONNECT: f64 = 1.0;
const RELEASE: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE: f64 = 4.0;
const PUBLISH: f64 = 5.0;

/// A publisher's connection, from its first byte.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    phase: Phase,
    started: Now,
    stream: u32,
    events: VecDeque<Event>,
}

impl Session {
    /// A session that begins now; its first bytes wait in [`Self::poll_output`].
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        let link = Link::client(config.seed, MAX_MESSAGE, now);
        Self { config, link, phase: Phase::Handshake, started: now, stream: 0, events: VecDeque::new() }
    }

    /// Takes the server's next bytes. Drain events and output after each call.
    ///
    /// # Errors
    /// When the connection cannot go on.
    pub fn input(&mut self, bytes: &[u8], now: Now) -> Result<(), RtmpError> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        let result = self.link.input(bytes, now).and_then(|()| self.read_all());
        if result.is_err() {
            self.phase = Phase::Closed;
        }
        result
    }

    fn read_all(&mut self) -> Result<(), RtmpError> {
        if self.phase == Phase::Handshake && self.link.is_open() {
            self.phase = Phase::Connecting;
            self.connect();
        }
        while self.phase != Phase::Closed {
            let Some((_, what)) = self.link.next_message()? else { break };
            if let Incoming::Command(c) = what {
                self.command(&c)?;
            }
        }
        Ok(())
    }

    /// The next bytes for the server.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.link.take_output()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::tick`] must be called at the latest, if the server has not answered until then.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        let waits = !matches!(self.phase, Phase::Publishing | Phase::Closed);
        waits.then(|| self.started.plus(self.config.setup_time))
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// [`RtmpError::Slow`] when the deadline has passed.
    pub fn tick(&mut self, now: Now) -> Result<(), RtmpError> {
        if self.deadline().is_none_or(|d| now < d) {
            return Ok(());
        }
        self.phase = Phase::Closed;
        Err(RtmpError::Slow("the server did not answer in time"))
    }

    /// How many bytes of this connection the server has said that it has read, counted round at 2^32. Some
    /// servers never say it, others seldom.
    #[must_use]
    pub fn acknowledged(&self) -> Option<u32> {
        self.link.told()
    }

    /// Whether items can be sent.
    #[must_use]
    pub fn is_publishing(&self) -> bool {
        self.phase == Phase::Publishing
    }

    /// Whether nothing more happens: drain the output and close.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Sends an item; configurations first, and again whenever they change.
    ///
    /// # Errors
    /// [`NotPublishing`] before the server lets us and after it ended.
    pub fn send(&mut self, item: &FeedItem) -> Result<(), NotPublishing> {
        self.check()?;
        match item {
            FeedItem::VideoConfig(c) => {
                self.media(PICTURE, TAG_VIDEO, MediaTime::ZERO, &[&VIDEO_CONFIG_HEAD, &c.avcc], true);
            }
            FeedItem::AudioConfig(c) => {
                self.media(SOUND, TAG_AUDIO, MediaTime::ZERO, &[&AUDIO_CONFIG_HEAD, &c.asc], true);
            }
            FeedItem::Video(f) => self.media(PICTURE, TAG_VIDEO, f.dts, &[&video_head(f), &f.data], false),
            FeedItem::Audio(f) => self.media(SOUND, TAG_AUDIO, f.pts, &[&AUDIO_HEAD, &f.data], false),
            FeedItem::AwayMark { leave_id, last, keep_sound } => {
                // Rounded down: what came after the press by less than a millisecond stays out too.
                let ms = last.flicks().div_euclid(MediaTime::from_millis(1).flicks()).max(0) as u32;
                let what = Value::object([
                    ("leave_id", Value::string(leave_id.as_str())),
                    ("last_ms", Value::Number(f64::from(ms))),
                    ("keep_sound", Value::Boolean(*keep_sound)),
                ]);
                self.mark(AWAY_MESSAGE, ms, what);
            }
            FeedItem::BackMark { leave_id } => {
                let ms = self.link.writer.last_timestamp(PICTURE).unwrap_or(0);
                self.mark(BACK_MESSAGE, ms, Value::object([("leave_id", Value::string(leave_id.as_str()))]));
            }
        }
        Ok(())
    }

    fn mark(&mut self, name: &str, at: u32, what: Value) {
        message::data(&mut self.link.writer, &mut self.link.out, self.stream, at, &[Value::string(name), what]);
    }

    /// Says what the stream is, for display.
    ///
    /// # Errors
    /// [`NotPublishing`], as for [`Self::send`].
    pub fn send_metadata(&mut self, m: &Metadata) -> Result<(), NotPublishing> {
        self.check()?;
        let values = [Value::string("@setDataFrame"), Value::string("onMetaData"), m.to_amf()];
        message::data(&mut self.link.writer, &mut self.link.out, self.stream, 0, &values);
        Ok(())
    }

    /// Says goodbye: the stream ends. Drain the output and close.
    pub fn end(&mut self) {
        if self.phase == Phase::Publishing {
            let name = Value::string(self.config.stream.expose());
            self.call(0, "FCUnpublish", 6.0, &[Value::Null, name]);
            self.call(0, "deleteStream", 7.0, &[Value::Null, Value::Number(f64::from(self.stream))]);
        }
        self.phase = Phase::Closed;
    }

    fn check(&self) -> Result<(), NotPublishing> {
        if self.phase == Phase::Publishing { Ok(()) } else { Err(NotPublishing) }
    }

    fn media(&mut self, chunk_stream: u32, kind: u8, at: MediaTime, parts: &[&[u8]], config: bool) {
        // A configuration has no time of its own; one in mid-stream stands where its track stands.
        let at = if config { self.link.writer.last_timestamp(chunk_stream).unwrap_or(0) } else { timestamp(at) };
        let head = MessageHead { chunk_stream, timestamp: at, kind, stream: self.stream };
        self.link.writer.write(&mut self.link.out, head, parts);
    }

    fn call(&mut self, stream: u32, name: &str, transaction: f64, args: &[Value]) {
        let out: &mut BytesMut = &mut self.link.out;
        message::command(&mut self.link.writer, out, stream, name, transaction, args);
    }

    fn connect(&mut self) {
        message::set_chunk_size(&mut self.link.writer, &mut self.link.out, self.config.chunk_size);
        let mut properties = vec![
            ("app".to_owned(), Value::string(self.config.app.clone())),
            ("type".to_owned(), Value::string("nonprivate")),
            ("flashVer".to_owned(), Value::string(self.config.program.clone())),
            ("tcUrl".to_owned(), Value::string(self.config.tc_url.clone())),
            ("fourCcList".to_owned(), Value::StrictArray(vec![Value::string("avc1"), Value::string("mp4a")])),
        ];
        if let Some(id) = self.config.program_id.clone() {
            properties.push((PROGRAM_PROPERTY.to_owned(), Value::String(id)));
        }
        if self.config.marks {
            properties.push((MARKS_PROPERTY.to_owned(), Value::Number(1.0)));
        }
        self.call(0, "connect", CONNECT, &[Value::Object(properties)]);
    }

    fn command(&mut self, c: &Command) -> Result<(), RtmpError> {
        match (c.name.as_str(), self.phase) {
            ("_result", Phase::Connecting) if c.transaction == CONNECT => {
                self.link.ask_for_window(WINDOW);
                let name = Value::string(self.config.stream.expose());
                self.call(0, "releaseStream", RELEASE, &[Value::Null, name.clone()]);
                self.call(0, "FCPublish", FC_PUBLISH, &[Value::Null, name]);
                self.call(0, "createStream", CREATE, &[Value::Null]);
                self.phase = Phase::Creating;
            }
            ("_result", Phase::Creating) if c.transaction == CREATE => {
                let id = c.args.iter().find_map(Value::as_number);
                let id = id.filter(|n| (1.0..=f64::from(u32::MAX)).contains(n));
                self.stream = id.ok_or(RtmpError::Order("the server gave no stream"))? as u32;
                let name = Value::string(self.config.stream.expose());
                self.call(self.stream, "publish", PUBLISH, &[Value::Null, name, Value::string("live")]);
                self.phase = Phase::Asking;
            }
            ("_error", Phase::Connecting | Phase::Creating) if c.transaction == CONNECT || c.transaction == CREATE => {
                self.refused(c);
            }
            ("close", _) => self.refused(c),
            ("onStatus", _) => {
                let info = c.args.iter().find(|v| v.get("code").is_some());
                let code = info.and_then(|i| i.get("code")).and_then(Value::as_str).unwrap_or_default();
                let level = info.and_then(|i| i.get("level")).and_then(Value::as_str).unwrap_or_default();
                if level == "error" {
                    self.refused(c);
                } else if code == "NetStream.Publish.Start" && self.phase == Phase::Asking {
                    self.phase = Phase::Publishing;
                    self.events.push_back(Event::Publishing);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn refused(&mut self, c: &Command) {
        let text = |name| {
            let found = c.args.iter().find_map(|v| v.get(name)).and_then(Value::as_str).unwrap_or_default();
            found.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect::<String>()
        };
        self.events.push_back(Event::Refused { code: text("code"), description: text("description") });
        self.phase = Phase::Closed;
    }
}
