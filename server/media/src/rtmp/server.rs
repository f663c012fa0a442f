//! The server's side of one connection: it takes one publisher and never plays.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use mujian_protocol::LeaveId;

use super::chunk::Message;
use super::link::Link;
use super::message::{self, Command, Incoming};
use super::{
    AWAY_MESSAGE, BACK_MESSAGE, BAD_NAME, DENIED, LEADS_BACK, MARKS_PROPERTY, PROGRAM_PROPERTY, RtmpError, Secret,
    UNAVAILABLE,
};
use crate::amf::Value;
use crate::flv::clock::Unroll;
use crate::flv::{FlvError, Metadata, TAG_AUDIO, TAG_VIDEO, Tracks};
use crate::frame::FeedItem;
use crate::time::Now;

/// The only message stream that is given out.
const STREAM: u32 = 1;
/// Longest text that is kept of what a program says about itself, in characters.
const TEXT_MAX: usize = 200;
/// Most arguments that are kept of an address's query.
const ARGS_MAX: usize = 16;

/// Limits and sizes of a session.
#[derive(Clone, Debug)]
pub struct Config {
    /// Longest message before publishing is allowed, in bytes.
    pub max_message_before: usize,
    /// Longest message of a publisher, in bytes.
    pub max_message: usize,
    /// From the first moment until the request to publish.
    pub setup_time: Duration,
    /// A publisher of which nothing at all comes for so long, no answer to a ping either, is closed.
    pub silence: Duration,
    /// Our own chunk size, in bytes.
    pub chunk_size: u32,
    /// The window that the peer is told, in bytes.
    pub window: u32,
    /// Most events that may wait to be polled.
    pub max_events: usize,
    /// What the handshake's filling is made of.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_message_before: 64 << 10,
            max_message: 4 << 20,
            setup_time: Duration::from_secs(10),
            silence: Duration::from_secs(30),
            chunk_size: 4096,
            window: 2_500_000,
            max_events: 8192,
            seed: 1,
        }
    }
}

/// A program asks to publish.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishRequest {
    /// The application part of the address: `live`.
    pub app: String,
    /// The room as written; not yet checked.
    pub room: String,
    /// The stream key.
    pub key: Secret,
    /// What the program calls itself (`flashVer`).
    pub program: String,
    /// The program's own name for itself, the same at each of its reconnects; our client sends it.
    pub program_id: Option<String>,
    /// The program marks in its stream where the streamer leaves and comes back; ours does.
    pub marks: bool,
    /// Other arguments of the address.
    pub args: Vec<(String, Secret)>,
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishRequest")
            .field("app", &self.app)
            .field("room", &self.room)
            .field("key", &self.key)
            .field("program", &self.program)
            .field("program_id", &self.program_id)
            .field("marks", &self.marks)
            .field("args", &self.args)
            .finish()
    }
}

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Answer with [`Session::accept`] or [`Session::refuse`].
    PublishRequested(PublishRequest),
    /// A configuration, a frame, or the mark that the streamer left or is back.
    Item(FeedItem),
    /// What the publisher says about its stream.
    Metadata(Metadata),
    /// The publisher said goodbye.
    Ended,
}

/// Why publishing is refused, as the codes that programs know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The key, the room or the address is wrong.
    Denied,
    /// Somebody else publishes there.
    BadName,
    /// The codec is not taken, or the stream was ended: trying again would not help.
    Failed,
    /// The server is stopping or cannot answer now: trying again later helps.
    Unavailable,
    /// It comes from this server itself, by restreaming.
    LeadsBack,
}

impl Refusal {
    fn code(self) -> &'static str {
        match self {
            Self::Denied => DENIED,
            Self::BadName => BAD_NAME,
            Self::Failed => "NetStream.Publish.Failed",
            Self::Unavailable => UNAVAILABLE,
            Self::LeadsBack => LEADS_BACK,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Handshake, `connect`, `createStream`.
    Setup,
    /// Asked to publish; the owner has not answered.
    Asked,
    Publishing,
    /// The publisher said goodbye; it may ask again.
    Ended,
    /// Refused or failed: nothing more is read.
    Closed,
}

/// One connection, from its first byte.
///
/// Feed it with [`Self::input`], then drain [`Self::poll_event`] and [`Self::poll_output`]. After an
/// error, or when [`Self::is_closed`], drain the output once more and close the connection.
#[derive(Debug)]
pub struct Session {
    config: Config,
    link: Link,
    phase: Phase,
    started: Now,
    /// When a message last came while publishing.
    heard: Now,
    pinged: Now,
    events: VecDeque<Event>,
    connected: bool,
    app: String,
    app_query: Secret,
    program: String,
    program_id: Option<String>,
    marks: bool,
    tracks: Tracks,
    clock: Unroll,
    scratch: Vec<FeedItem>,
    skipped: u64,
    last_skipped: Option<&'static str>,
}

impl Session {
    /// A session that begins now.
    #[must_use]
    pub fn new(config: Config, now: Now) -> Self {
        let link = Link::server(config.seed, config.max_message_before);
        Self {
            config,
            link,
            phase: Phase::Setup,
            started: now,
            heard: now,
            pinged: now,
            events: VecDeque::new(),
            connected: false,
            app: String::new(),
            app_query: Secret::default(),
            program: String::new(),
            program_id: None,
            marks: false,
            tracks: Tracks::default(),
            clock: Unroll::default(),
            scratch: Vec::new(),
            skipped: 0,
            last_skipped: None,
        }
    }

    /// Takes the next bytes. Drain events and output after each call.
    ///
    /// # Errors
    /// When the connection cannot go on; the peer is told where it can be, so drain the output first.
    pub fn input(&mut self, bytes: &[u8], now: Now) -> Result<(), RtmpError> {
        if self.phase == Phase::Closed {
            return Ok(());
        }
        let result = self.link.input(bytes, now).and_then(|()| self.read_all(now));
        if let Err(e) = &result {
            self.fail(e);
        }
        result
    }

    fn read_all(&mut self, now: Now) -> Result<(), RtmpError> {
        while self.phase != Phase::Closed {
            let Some((m, what)) = self.link.next_message()? else { break };
            self.heard = now;
            self.message(&m, what, now)?;
            if self.events.len() > self.config.max_events {
                return Err(RtmpError::Limit("too many messages at once"));
            }
        }
        Ok(())
    }

    /// The next bytes for the peer.
    pub fn poll_output(&mut self) -> Option<Bytes> {
        self.link.take_output()
    }

    /// What happened next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Self::tick`] must be called at the latest, if anything is to be waited for.
    #[must_use]
    pub fn deadline(&self) -> Option<Now> {
        match self.phase {
            Phase::Setup | Phase::Ended => Some(self.started.plus(self.config.setup_time)),
            Phase::Publishing => {
                let quiet = self.heard.max(self.pinged).plus(self.config.silence / 3);
                Some(quiet.min(self.heard.plus(self.config.silence)))
            }
            Phase::Asked | Phase::Closed => None,
        }
    }

    /// Lets time pass; drain the output afterwards.
    ///
    /// # Errors
    /// [`RtmpError::Slow`] when the peer took too long.
    pub fn tick(&mut self, now: Now) -> Result<(), RtmpError> {
        if self.deadline().is_none_or(|d| now < d) {
            return Ok(());
        }
        if self.phase == Phase::Publishing && now < self.heard.plus(self.config.silence) {
            // A publisher with nothing to send answers this.
            self.pinged = now;
            let stamp = now.since_origin().as_millis() as u32;
            message::ping(&mut self.link.writer, &mut self.link.out, stamp);
            return Ok(());
        }
        let e = RtmpError::Slow(match self.phase {
            Phase::Publishing => "nothing came from the publisher for too long",
            _ => "the program did not ask to publish in time",
        });
        self.fail(&e);
        Err(e)
    }

    /// Allows the publisher that asked.
    pub fn accept(&mut self, now: Now) {
        if self.phase != Phase::Asked {
            return;
        }
        self.phase = Phase::Publishing;
        self.heard = now;
        self.pinged = now;
        self.tracks = Tracks::default();
        self.clock = Unroll::default();
        self.link.set_max_message(self.config.max_message);
        message::stream_begin(&mut self.link.writer, &mut self.link.out, STREAM);
        self.status("status", "NetStream.Publish.Start", "Publishing has begun.");
    }

    /// Refuses the publisher that asked, or one that publishes, with a sentence for a person; then
    /// the connection is closed.
    pub fn refuse(&mut self, why: Refusal, description: &str) {
        if self.phase == Phase::Closed {
            return;
        }
        self.status("error", why.code(), description);
        self.phase = Phase::Closed;
    }

    /// Whether nothing more is read: drain the output and close.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether a publisher was accepted and has not ended.
    #[must_use]
    pub fn is_publishing(&self) -> bool {
        self.phase == Phase::Publishing
    }

    /// Broken payloads that were left out, and what was wrong with the last.
    #[must_use]
    pub fn skipped(&self) -> (u64, Option<&'static str>) {
        (self.skipped, self.last_skipped)
    }

    /// Bytes held for messages that are not finished and answers that are not polled.
    #[must_use]
    pub fn held(&self) -> usize {
        self.link.held()
    }

    fn fail(&mut self, e: &RtmpError) {
        if self.link.is_open() && self.connected {
            self.status("error", Refusal::Failed.code(), &e.to_string());
        }
        self.phase = Phase::Closed;
    }

    fn status(&mut self, level: &str, code: &str, description: &str) {
        let args = [Value::Null, message::status(level, code, description)];
        message::command(&mut self.link.writer, &mut self.link.out, STREAM, "onStatus", 0.0, &args);
    }

    fn answer(&mut self, name: &str, transaction: f64, args: &[Value]) {
        message::command(&mut self.link.writer, &mut self.link.out, 0, name, transaction, args);
    }

    fn message(&mut self, m: &Message, what: Incoming, now: Now) -> Result<(), RtmpError> {
        match what {
            Incoming::Command(c) => self.command(c, now),
            Incoming::Data(values) => self.data(m.timestamp, &values),
            Incoming::Audio(p) => self.media(TAG_AUDIO, m.timestamp, p),
            Incoming::Video(p) => self.media(TAG_VIDEO, m.timestamp, p),
            Incoming::Aggregate(_) => {
                for part in message::split_aggregate(m)? {
                    // An aggregate holds media and data; anything else in it, other aggregates too, is left out.
                    match message::read(&part)? {
                        Incoming::Data(values) => self.data(part.timestamp, &values)?,
                        Incoming::Audio(p) => self.media(TAG_AUDIO, part.timestamp, p)?,
                        Incoming::Video(p) => self.media(TAG_VIDEO, part.timestamp, p)?,
                        _ => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn media(&mut self, kind: u8, timestamp: u32, payload: Bytes) -> Result<(), RtmpError> {
        match self.phase {
            Phase::Publishing => {}
            // What was under way when the publisher said goodbye.
            Phase::Ended | Phase::Closed => return Ok(()),
            Phase::Setup | Phase::Asked => return Err(RtmpError::Order("media came before publishing was allowed")),
        }
        let at = self.clock.peek(timestamp);
        self.scratch.clear();
        let result = match kind {
            TAG_VIDEO => self.tracks.video(at, payload, &mut self.scratch),
            _ => self.tracks.audio(at, payload, &mut self.scratch),
        };
        match result {
            Ok(()) => {}
            Err(FlvError::Bad(why)) => {
                self.skipped += 1;
                self.last_skipped = Some(why);
                return Ok(());
            }
            Err(e) => return Err(e.into()),
        }
        // Only frames move the clock: a configuration's timestamp may be anything.
        if self.scratch.iter().any(|i| matches!(i, FeedItem::Video(_) | FeedItem::Audio(_))) {
            self.clock.next(timestamp);
        }
        self.events.extend(self.scratch.drain(..).map(Event::Item));
        Ok(())
    }

    fn data(&mut self, timestamp: u32, values: &[Value]) -> Result<(), RtmpError> {
        match self.phase {
            Phase::Publishing => {}
            Phase::Ended | Phase::Closed => return Ok(()),
            Phase::Setup | Phase::Asked => return Err(RtmpError::Order("data came before publishing was allowed")),
        }
        let values = match values {
            [Value::String(n), rest @ ..] if n == "@setDataFrame" => rest,
            all => all,
        };
        match values {
            [Value::String(n), what, ..] if n == "onMetaData" => {
                self.events.push_back(Event::Metadata(Metadata::from_amf(what)));
            }
            [Value::String(n), rest @ ..] if n == AWAY_MESSAGE => {
                // Whatever its fields say or fail to say: away, from this message on, with sound only if told so.
                let field = |name| rest.first().and_then(|v| v.get(name));
                let last = field("last_ms").and_then(Value::as_number);
                let last = last.filter(|n| (0.0..=f64::from(u32::MAX)).contains(n)).map_or(timestamp, |n| n as u32);
                let leave_id = leave_id(rest).unwrap_or_else(|| LeaveId::unnamed(timestamp));
                let keep_sound = field("keep_sound") == Some(&Value::Boolean(true));
                let mark = FeedItem::AwayMark { leave_id, last: self.clock.peek(last), keep_sound };
                self.events.push_back(Event::Item(mark));
            }
            [Value::String(n), rest @ ..] if n == BACK_MESSAGE => match leave_id(rest) {
                Some(leave_id) => self.events.push_back(Event::Item(FeedItem::BackMark { leave_id })),
                // Nothing is opened by a mark that does not say what it ends.
                None => {
                    self.skipped += 1;
                    self.last_skipped = Some("a return does not say from which absence");
                }
            },
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, c: Command, now: Now) -> Result<(), RtmpError> {
        if !self.connected && c.name != "connect" {
            return Err(RtmpError::Order("a command came before connect"));
        }
        match c.name.as_str() {
            "connect" => self.connect(&c),
            "createStream" => {
                self.answer("_result", c.transaction, &[Value::Null, Value::Number(f64::from(STREAM))]);
                Ok(())
            }
            "publish" => self.publish(&c),
            "FCUnpublish" | "closeStream" | "deleteStream" => {
                self.end(now);
                Ok(())
            }
            "play" | "play2" => {
                self.status(
                    "error",
                    "NetStream.Play.Failed",
                    "RTMP is for publishing here. To watch, open http://…/live/ROOM.flv or the room's page.",
                );
                self.phase = Phase::Closed;
                Ok(())
            }
            "releaseStream" | "FCPublish" | "_checkbw" => {
                self.answer("_result", c.transaction, &[Value::Null, Value::Null]);
                Ok(())
            }
            _ if c.transaction > 0.0 && !c.name.starts_with('_') => {
                let info = message::status("error", "NetConnection.Call.Failed", "This call is not known here.");
                self.answer("_error", c.transaction, &[Value::Null, info]);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn connect(&mut self, c: &Command) -> Result<(), RtmpError> {
        if self.connected {
            return Err(RtmpError::Order("connect came twice"));
        }
        let Some(what) = c.args.first() else { return Err(RtmpError::Order("connect says nothing")) };
        let text = |name| what.get(name).and_then(Value::as_str).map(printable);
        let app = what.get("app").and_then(Value::as_str).unwrap_or_default();
        let (app, query) = app.split_once('?').unwrap_or((app, ""));
        self.app = app.to_owned();
        self.app_query = Secret::new(query);
        self.program = text("flashVer").unwrap_or_default();
        self.program_id = text(PROGRAM_PROPERTY).filter(|s| !s.is_empty());
        self.marks = match what.get(MARKS_PROPERTY) {
            Some(Value::Number(n)) => *n >= 1.0,
            Some(Value::Boolean(b)) => *b,
            _ => false,
        };
        self.connected = true;

        let (w, out) = (&mut self.link.writer, &mut self.link.out);
        message::window_size(w, out, self.config.window);
        message::peer_bandwidth(w, out, self.config.window);
        message::set_chunk_size(w, out, self.config.chunk_size);
        // Enhanced RTMP, "Enhancing NetConnection connect Command": 1 is "can decode", 4 is ModEx.
        let can = |cc: &str| Value::object([(cc, Value::Number(1.0))]);
        let properties = Value::object([
            ("fmsVer", Value::string("FMS/3,5,7,7009")),
            ("capabilities", Value::Number(31.0)),
            ("mode", Value::Number(1.0)),
            ("fourCcList", Value::StrictArray(vec![Value::string("avc1"), Value::string("mp4a")])),
            ("videoFourCcInfoMap", can("avc1")),
            ("audioFourCcInfoMap", can("mp4a")),
            ("capsEx", Value::Number(4.0)),
        ]);
        let info = Value::object([
            ("level", Value::string("status")),
            ("code", Value::string("NetConnection.Connect.Success")),
            ("description", Value::string("Connection succeeded.")),
            ("objectEncoding", Value::Number(0.0)),
        ]);
        self.answer("_result", c.transaction, &[properties, info]);
        Ok(())
    }

    fn publish(&mut self, c: &Command) -> Result<(), RtmpError> {
        match self.phase {
            Phase::Setup | Phase::Ended => {}
            Phase::Asked | Phase::Publishing => return Err(RtmpError::Order("publish came twice")),
            Phase::Closed => return Ok(()),
        }
        let name = c.args.get(1).and_then(Value::as_str).unwrap_or_default();
        self.phase = Phase::Asked;
        let request = self.request(name);
        self.events.push_back(Event::PublishRequested(request));
        Ok(())
    }

    /// Reads application, room and arguments out of the address, however the program divided it.
    fn request(&self, name: &str) -> PublishRequest {
        let (path, query) = name.split_once('?').unwrap_or((name, ""));
        let mut parts = self.app.split('/').chain(path.split('/')).filter(|s| !s.is_empty());
        let app = parts.next().unwrap_or_default().to_owned();
        let room = parts.collect::<Vec<_>>().join("/");
        let mut key = Secret::default();
        let mut args = Vec::new();
        for pair in self.app_query.expose().split('&').chain(query.split('&')).take(ARGS_MAX) {
            match pair.split_once('=') {
                Some(("key", v)) => key = Secret::new(v),
                Some((n, v)) => args.push((printable(n), Secret::new(v))),
                None => {}
            }
        }
        PublishRequest {
            app: printable(&app),
            room: printable(&room),
            key,
            program: self.program.clone(),
            program_id: self.program_id.clone(),
            marks: self.marks,
            args,
        }
    }

    fn end(&mut self, now: Now) {
        if self.phase == Phase::Publishing {
            self.events.push_back(Event::Ended);
            self.status("status", "NetStream.Unpublish.Success", "Publishing has ended.");
            self.phase = Phase::Ended;
            self.started = now;
        }
    }
}

fn leave_id(values: &[Value]) -> Option<LeaveId> {
    values.first()?.get("leave_id")?.as_str()?.parse().ok()
}

fn printable(s: &str) -> String {
    s.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect()
}
