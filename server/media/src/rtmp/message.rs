//! Messages (5.4, 7.1, 7.2): the ones that steer the connection, commands and data.

use bytes::{Buf, Bytes, BytesMut};

use super::RtmpError;
use super::chunk::{Message, MessageHead, Writer};
use crate::amf::{self, Value};
use crate::flv::{TAG_AUDIO, TAG_DATA, TAG_VIDEO};

/// Chunk stream of what steers the connection; the protocol fixes it.
pub const CONTROL: u32 = 2;
/// Chunk stream of our commands.
pub const COMMANDS: u32 = 3;
/// Chunk stream of our sound.
pub const SOUND: u32 = 4;
/// Chunk stream of our answers on a message stream, and of our data.
pub const STATUS: u32 = 5;
/// Chunk stream of our video.
pub const PICTURE: u32 = 6;

/// Most sub-messages in one aggregate.
const AGGREGATE_MAX: usize = 4096;

/// A message, understood.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The peer's chunk size from now on.
    SetChunkSize(u32),
    /// Forget what is unfinished on a chunk stream.
    Abort(u32),
    /// So many bytes have come to the peer, counted round at 2^32.
    Acknowledged(u32),
    /// The peer wants an acknowledgement every so many bytes.
    WindowSize(u32),
    /// The peer limits us; the size of its window is all that is used of it.
    PeerBandwidth(u32),
    /// The peer wants to know whether we are there.
    Ping(u32),
    /// The peer is there.
    Pong,
    /// A command.
    Command(Command),
    /// Data: its name and what follows it.
    Data(Vec<Value>),
    /// Sound.
    Audio(Bytes),
    /// A picture.
    Video(Bytes),
    /// Several messages in one.
    Aggregate(Bytes),
    /// Nothing that needs an answer.
    Nothing,
}

/// A command (7.1.1).
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// Which call it is, or answers; 0 wants no answer.
    pub transaction: f64,
    /// The object after it, and all arguments.
    pub args: Vec<Value>,
}

impl Command {
    fn from_values(values: Vec<Value>) -> Result<Self, RtmpError> {
        let mut values = values.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Err(RtmpError::Order("a command has no name"));
        };
        let transaction = match values.next() {
            Some(Value::Number(n)) if n.is_finite() => n,
            None => 0.0,
            Some(_) => return Err(RtmpError::Order("a command's number is no number")),
        };
        Ok(Self { name, transaction, args: values.collect() })
    }
}

fn u32_of(payload: &Bytes, at: usize) -> Result<u32, RtmpError> {
    let bytes = payload.get(at..).and_then(|b| b.first_chunk());
    bytes.map(|b| u32::from_be_bytes(*b)).ok_or(RtmpError::Broken("a control message is cut short"))
}

/// Understands a message.
///
/// # Errors
/// When it steers the connection or is a command and cannot be read. Broken data messages are not
/// errors: what of them can be read is given.
pub fn read(m: &Message) -> Result<Incoming, RtmpError> {
    let p = &m.payload;
    Ok(match m.kind {
        1 => Incoming::SetChunkSize(u32_of(p, 0)?),
        2 => Incoming::Abort(u32_of(p, 0)?),
        3 => Incoming::Acknowledged(u32_of(p, 0)?),
        4 if p.starts_with(&[0, 7]) => Incoming::Pong,
        4 if p.starts_with(&[0, 6]) => Incoming::Ping(u32_of(p, 2)?),
        5 => Incoming::WindowSize(u32_of(p, 0)?),
        6 => Incoming::PeerBandwidth(u32_of(p, 0)?),
        TAG_AUDIO => Incoming::Audio(p.clone()),
        TAG_VIDEO => Incoming::Video(p.clone()),
        20 => Incoming::Command(Command::from_values(amf::decode_all(p)?)?),
        // AMF3's kinds of message begin with a byte that says AMF0 all the same.
        17 => Incoming::Command(Command::from_values(amf::decode_all(p.get(1..).unwrap_or_default())?)?),
        TAG_DATA => Incoming::Data(amf::decode_lenient(p).0),
        15 => Incoming::Data(amf::decode_lenient(p.get(1..).unwrap_or_default()).0),
        22 => Incoming::Aggregate(p.clone()),
        _ => Incoming::Nothing,
    })
}

/// Takes an aggregate (7.1.6) apart: type, timestamp and body of each sub-message.
///
/// # Errors
/// When a sub-message is longer than what is there, or there are too many.
pub fn split_aggregate(m: &Message) -> Result<Vec<Message>, RtmpError> {
    let mut rest = m.payload.clone();
    let mut out = Vec::new();
    let mut first = None;
    while rest.len() >= 11 {
        let kind = rest.get_u8();
        let size = rest.get_uint(3) as usize;
        let low = rest.get_uint(3) as u32;
        let timestamp = u32::from(rest.get_u8()) << 24 | low;
        rest.advance(3);
        if rest.len() < size {
            return Err(RtmpError::Broken("an aggregate's part is longer than the aggregate"));
        }
        if out.len() >= AGGREGATE_MAX {
            return Err(RtmpError::Limit("an aggregate has too many parts"));
        }
        let payload = rest.split_to(size);
        // The back pointer; the last one is left out by some.
        rest.advance(rest.len().min(4));
        // Times inside count from the first part's, which stands for the aggregate's.
        let offset = timestamp.wrapping_sub(*first.get_or_insert(timestamp));
        let timestamp = m.timestamp.wrapping_add(offset);
        out.push(Message { chunk_stream: m.chunk_stream, timestamp, kind, stream: m.stream, payload });
    }
    Ok(out)
}

fn control(w: &mut Writer, out: &mut BytesMut, kind: u8, parts: &[&[u8]]) {
    w.write(out, MessageHead { chunk_stream: CONTROL, timestamp: 0, kind, stream: 0 }, parts);
}

/// Says our chunk size, and cuts by it from then on.
pub fn set_chunk_size(w: &mut Writer, out: &mut BytesMut, size: u32) {
    control(w, out, 1, &[&size.to_be_bytes()]);
    w.set_chunk_size(size);
}

/// Says how many bytes have come.
pub fn acknowledge(w: &mut Writer, out: &mut BytesMut, bytes: u32) {
    control(w, out, 3, &[&bytes.to_be_bytes()]);
}

/// Asks for an acknowledgement every `bytes`.
pub fn window_size(w: &mut Writer, out: &mut BytesMut, bytes: u32) {
    control(w, out, 5, &[&bytes.to_be_bytes()]);
}

/// Limits what the peer has under way, dynamically (5.4.5).
pub fn peer_bandwidth(w: &mut Writer, out: &mut BytesMut, bytes: u32) {
    control(w, out, 6, &[&bytes.to_be_bytes(), &[2]]);
}

/// Says that a message stream begins (7.1.7).
pub fn stream_begin(w: &mut Writer, out: &mut BytesMut, stream: u32) {
    control(w, out, 4, &[&[0, 0], &stream.to_be_bytes()]);
}

/// Asks whether the peer is there.
pub fn ping(w: &mut Writer, out: &mut BytesMut, stamp: u32) {
    control(w, out, 4, &[&[0, 6], &stamp.to_be_bytes()]);
}

/// Answers a ping.
pub fn pong(w: &mut Writer, out: &mut BytesMut, stamp: u32) {
    control(w, out, 4, &[&[0, 7], &stamp.to_be_bytes()]);
}

/// Says a command or its answer.
pub fn command(w: &mut Writer, out: &mut BytesMut, stream: u32, name: &str, transaction: f64, args: &[Value]) {
    let mut body = amf::encode_all(&[Value::string(name), Value::Number(transaction)]);
    args.iter().for_each(|a| amf::encode(&mut body, a));
    let chunk_stream = if stream == 0 { COMMANDS } else { STATUS };
    w.write(out, MessageHead { chunk_stream, timestamp: 0, kind: 20, stream }, &[&body]);
}

/// Says data.
pub fn data(w: &mut Writer, out: &mut BytesMut, stream: u32, timestamp: u32, values: &[Value]) {
    let body = amf::encode_all(values);
    w.write(out, MessageHead { chunk_stream: STATUS, timestamp, kind: TAG_DATA, stream }, &[&body]);
}

/// The information object of a status (7.2.2).
#[must_use]
pub fn status(level: &str, code: &str, description: &str) -> Value {
    Value::object([
        ("level", Value::string(level)),
        ("code", Value::string(code)),
        ("description", Value::string(description)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, payload: &[u8]) -> Message {
        Message { chunk_stream: 3, timestamp: 1000, kind, stream: 0, payload: Bytes::copy_from_slice(payload) }
    }

    #[test]
    fn amf3_commands_hold_amf0() {
        let mut body = vec![0];
        body.extend_from_slice(&amf::encode_all(&[Value::string("connect"), Value::Number(1.0), Value::Null]));
        let Ok(Incoming::Command(c)) = read(&message(17, &body)) else { panic!("no command") };
        assert_eq!((c.name.as_str(), c.transaction), ("connect", 1.0));
    }

    #[test]
    fn aggregates_come_apart() {
        let mut body = Vec::new();
        for (at, byte) in [(70_000u32, 1u8), (70_040, 2)] {
            let [high, low @ ..] = at.to_be_bytes();
            body.push(TAG_AUDIO);
            body.extend([0, 0, 1]);
            body.extend(low);
            body.push(high);
            body.extend([0, 0, 0, byte, 0, 0, 0, 12]);
        }
        let parts = split_aggregate(&message(22, &body)).unwrap();
        assert_eq!(parts.iter().map(|p| (p.timestamp, p.payload[0])).collect::<Vec<_>>(), [(1000, 1), (1040, 2)]);
        body[1] = 9;
        assert!(split_aggregate(&message(22, &body)).is_err());
    }

    #[test]
    fn short_control_messages_are_errors() {
        for kind in [1, 2, 5, 6] {
            assert!(read(&message(kind, &[0, 0, 1])).is_err());
        }
        assert!(read(&message(4, &[0, 6, 1])).is_err());
        assert_eq!(read(&message(4, &[])), Ok(Incoming::Nothing));
        assert!(read(&message(20, &[0x05])).is_err());
    }
}
