//! The chunk stream (5.3): messages cut into pieces and interleaved.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::RtmpError;

/// Chunk size before anybody sets another (5.4.1).
pub const DEFAULT_SIZE: usize = 128;
/// Smallest chunk size that is taken: smaller ones cost more header than payload.
pub const MIN_SIZE: usize = 128;
/// Most chunk streams that a peer may use at once.
pub const MAX_STREAMS: usize = 64;
/// The timestamp that says: the real one follows in 32 bits.
const EXTENDED: u32 = 0xFF_FFFF;
/// Longest chunk header: basic 3, message 11, extended timestamp 4.
const HEADER_MAX: usize = 18;

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The chunk stream it came on, or goes out on: 2 to 65,599.
    pub chunk_stream: u32,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// The message type (5.4, 7.1).
    pub kind: u8,
    /// The message stream; 0 is the connection itself.
    pub stream: u32,
    /// Its body.
    pub payload: Bytes,
}

#[derive(Debug)]
struct Incoming {
    id: u32,
    timestamp: u32,
    /// The last timestamp field, absolute after type 0 and a step otherwise: what type 3 repeats (5.3.1.2.4).
    field: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream: u32,
    partial: BytesMut,
    is_partial: bool,
}

/// Puts messages together from bytes that arrive in pieces of any size.
///
/// It allocates for what has arrived, never for what is announced, and holds at most one largest
/// message in all unfinished ones together.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    streams: Vec<Incoming>,
    /// The chunk that is being read: its stream's place, and the bytes still to come.
    current: Option<(usize, usize)>,
    chunk_size: usize,
    max_message: usize,
    unfinished: usize,
}

impl Reader {
    /// A reader that takes messages of at most `max_message` bytes.
    #[must_use]
    pub fn new(max_message: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            streams: Vec::new(),
            current: None,
            chunk_size: DEFAULT_SIZE,
            max_message,
            unfinished: 0,
        }
    }

    /// From now on messages may have this many bytes.
    pub fn set_max_message(&mut self, bytes: usize) {
        self.max_message = bytes;
    }

    /// The peer's chunk size from now on (5.4.1).
    ///
    /// # Errors
    /// When it is smaller than [`MIN_SIZE`] or its highest bit is set.
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), RtmpError> {
        match usize::try_from(size) {
            Ok(n) if n >= MIN_SIZE && size < 1 << 31 => {
                self.chunk_size = n;
                Ok(())
            }
            _ => Err(RtmpError::Limit("its chunk size is below 128 or above 2147483647")),
        }
    }

    /// Forgets the unfinished message of a chunk stream (5.4.2).
    pub fn abort(&mut self, chunk_stream: u32) {
        if let Some(s) = self.streams.iter_mut().find(|s| s.id == chunk_stream) {
            self.unfinished -= s.partial.len();
            s.partial = BytesMut::new();
            s.is_partial = false;
        }
    }

    /// Bytes held for messages that are not finished.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() + self.unfinished
    }

    /// Appends the next bytes; then call [`Self::next_message`] until it gives none.
    pub fn input(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, or none until more bytes come.
    ///
    /// # Errors
    /// When the chunks make no sense or go past a limit. Nothing after that can be read.
    pub fn next_message(&mut self) -> Result<Option<Message>, RtmpError> {
        loop {
            let (place, left) = match self.current {
                Some(c) => c,
                None => match self.header()? {
                    Some(place) => {
                        let s = &self.streams[place];
                        (place, (s.length - s.partial.len()).min(self.chunk_size))
                    }
                    None => return Ok(None),
                },
            };
            let take = left.min(self.buffer.len());
            let s = &mut self.streams[place];
            if take > 0 {
                self.unfinished += take;
                if self.unfinished > self.max_message.max(s.length) {
                    return Err(RtmpError::Limit("too much is begun and not finished"));
                }
                s.partial.extend_from_slice(&self.buffer[..take]);
                self.buffer.advance(take);
            }
            if take < left {
                self.current = Some((place, left - take));
                return Ok(None);
            }
            self.current = None;
            if s.partial.len() == s.length {
                self.unfinished -= s.length;
                s.is_partial = false;
                let payload = std::mem::take(&mut s.partial).freeze();
                return Ok(Some(Message {
                    chunk_stream: s.id,
                    timestamp: s.timestamp,
                    kind: s.kind,
                    stream: s.stream,
                    payload,
                }));
            }
        }
    }

    /// Reads a chunk's header when all of it is there, and gives the place of its stream.
    fn header(&mut self) -> Result<Option<usize>, RtmpError> {
        let mut h = Cursor { bytes: &self.buffer, at: 0 };
        let Some((format, id)) = h.basic() else { return Ok(None) };
        let place = self.streams.iter().position(|s| s.id == id);
        let known = place.map(|p| &self.streams[p]);
        if format != 0 && known.is_none() {
            return Err(RtmpError::Broken("a chunk leaves out a header that was never sent"));
        }
        let is_partial = known.is_some_and(|s| s.is_partial);
        if format != 3 && is_partial {
            return Err(RtmpError::Broken("a message begins before the one on the same chunk stream ends"));
        }

        let mut field = known.map_or(0, |s| s.field);
        let mut extended = known.is_some_and(|s| s.extended);
        let (mut length, mut kind, mut stream) = known.map_or((0, 0, 0), |s| (s.length, s.kind, s.stream));
        if format <= 2 {
            let Some(f) = h.uint(3) else { return Ok(None) };
            field = f;
            extended = f == EXTENDED;
        }
        if format <= 1 {
            let (Some(l), Some(k)) = (h.uint(3), h.uint(1)) else { return Ok(None) };
            (length, kind) = (l as usize, k as u8);
        }
        if format == 0 {
            let Some(s) = h.uint_le() else { return Ok(None) };
            stream = s;
        }
        if extended {
            let Some(real) = h.peek_u32() else {
                // A message that ends here has no more bytes to look at, but then no header begins either.
                return Ok(None);
            };
            // Type 3 repeats the extended timestamp (5.3.1.3), but not every program writes it there.
            if format <= 2 {
                field = real;
                h.at += 4;
            } else if real == field {
                h.at += 4;
            }
        }
        if length > self.max_message {
            return Err(RtmpError::Limit("a message is longer than is taken"));
        }
        let consumed = h.at;
        debug_assert!(consumed <= HEADER_MAX);
        self.buffer.advance(consumed);

        let place = match place {
            Some(p) => p,
            None if self.streams.len() >= MAX_STREAMS => {
                return Err(RtmpError::Limit("it uses more than 64 chunk streams"));
            }
            None => {
                self.streams.push(Incoming {
                    id,
                    timestamp: 0,
                    field: 0,
                    extended: false,
                    length: 0,
                    kind: 0,
                    stream: 0,
                    partial: BytesMut::new(),
                    is_partial: false,
                });
                self.streams.len() - 1
            }
        };
        let s = &mut self.streams[place];
        if !s.is_partial {
            s.timestamp = if format == 0 { field } else { s.timestamp.wrapping_add(field) };
            s.is_partial = true;
        }
        (s.field, s.extended, s.length, s.kind, s.stream) = (field, extended, length, kind, stream);
        Ok(Some(place))
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn uint(&mut self, size: usize) -> Option<u32> {
        let v = self.bytes.get(self.at..self.at + size)?;
        self.at += size;
        Some(v.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    fn uint_le(&mut self) -> Option<u32> {
        self.uint(4).map(u32::swap_bytes)
    }

    fn peek_u32(&self) -> Option<u32> {
        self.bytes.get(self.at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
    }

    /// Format and chunk stream (5.3.1.1).
    fn basic(&mut self) -> Option<(u8, u32)> {
        let first = self.uint(1)?;
        let id = match first & 0x3F {
            0 => self.uint(1)? + 64,
            1 => {
                let (low, high) = (self.uint(1)?, self.uint(1)?);
                high * 256 + low + 64
            }
            id => id,
        };
        Some(((first >> 6) as u8, id))
    }
}

/// Cuts messages into chunks.
///
/// Each message begins with a full header, or, on a chunk stream that goes on with the same message
/// stream and not backwards in time, with one that leaves the message stream out.
#[derive(Debug)]
pub struct Writer {
    chunk_size: usize,
    /// Chunk stream, last timestamp, message stream.
    streams: Vec<(u32, u32, u32)>,
}

impl Default for Writer {
    fn default() -> Self {
        Self { chunk_size: DEFAULT_SIZE, streams: Vec::new() }
    }
}

impl Writer {
    /// Our chunk size from now on; the peer must have been told.
    pub fn set_chunk_size(&mut self, size: u32) {
        self.chunk_size = (size as usize).max(MIN_SIZE);
    }

    /// The timestamp of the last message on a chunk stream.
    #[must_use]
    pub fn last_timestamp(&self, chunk_stream: u32) -> Option<u32> {
        self.streams.iter().find(|(id, ..)| *id == chunk_stream).map(|(_, at, _)| *at)
    }

    /// Appends a message whose body is these parts, one after the other.
    ///
    /// The body must be shorter than 16 MiB and the chunk stream from 2 to 63, which holds for all
    /// callers.
    pub fn write(&mut self, out: &mut BytesMut, head: MessageHead, parts: &[&[u8]]) {
        let MessageHead { chunk_stream, timestamp, kind, stream } = head;
        let length: usize = parts.iter().map(|p| p.len()).sum();
        debug_assert!((2..64).contains(&chunk_stream) && length < 1 << 24);
        out.reserve(length + (length / self.chunk_size + 1) * 5 + HEADER_MAX);

        let step = match self.streams.iter_mut().find(|(id, ..)| *id == chunk_stream) {
            Some((_, last, of)) => {
                let step = timestamp.wrapping_sub(*last);
                let goes_on = *of == stream && step < 1 << 31;
                (*last, *of) = (timestamp, stream);
                goes_on.then_some(step)
            }
            None => {
                self.streams.push((chunk_stream, timestamp, stream));
                None
            }
        };
        let field = step.unwrap_or(timestamp);
        let format = if step.is_some() { 1u8 } else { 0 };
        out.put_u8(format << 6 | chunk_stream as u8);
        out.put_uint(u64::from(field.min(EXTENDED)), 3);
        out.put_uint(length as u64, 3);
        out.put_u8(kind);
        if step.is_none() {
            out.put_u32_le(stream);
        }
        if field >= EXTENDED {
            out.put_u32(field);
        }

        let mut room = self.chunk_size;
        for part in parts {
            let mut part = *part;
            while !part.is_empty() {
                if room == 0 {
                    out.put_u8(0xC0 | chunk_stream as u8);
                    if field >= EXTENDED {
                        out.put_u32(field);
                    }
                    room = self.chunk_size;
                }
                let (now, later) = part.split_at(part.len().min(room));
                out.put_slice(now);
                room -= now.len();
                part = later;
            }
        }
    }
}

/// What stands before a message's body.
#[derive(Clone, Copy, Debug)]
pub struct MessageHead {
    /// See [`Message::chunk_stream`]; here 2 to 63.
    pub chunk_stream: u32,
    /// See [`Message::timestamp`].
    pub timestamp: u32,
    /// See [`Message::kind`].
    pub kind: u8,
    /// See [`Message::stream`].
    pub stream: u32,
}
