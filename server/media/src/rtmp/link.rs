//! What both sides of a connection share: handshake, chunks, acknowledgements, pings.

use bytes::{Bytes, BytesMut};

use super::RtmpError;
use super::chunk::{Message, Reader, Writer};
use super::handshake::Handshake;
use super::message::{self, Incoming};
use crate::time::Now;

/// An acknowledgement is sent at least this seldom (for every half of it), whatever window the peer asks for.
pub(super) const WINDOW_MIN: u32 = 32 << 10;
/// The window until the peer names one.
const WINDOW_DEFAULT: u32 = 2_500_000;
/// Most bytes of answers that wait for the peer to read them.
const ANSWERS_MAX: usize = 256 << 10;

/// The lower half of a session.
#[derive(Debug)]
pub(super) struct Link {
    handshake: Handshake,
    before: BytesMut,
    reader: Reader,
    pub(super) writer: Writer,
    pub(super) out: BytesMut,
    received: u64,
    acknowledged: u64,
    window: u32,
    /// What we have the peer acknowledge at most at once.
    ask: u32,
    /// What the peer said last of how much has come to it.
    told: Option<u32>,
}

impl Link {
    pub(super) fn server(seed: u64, max_message: usize) -> Self {
        Self::new(Handshake::server(seed), BytesMut::new(), max_message)
    }

    pub(super) fn client(seed: u64, max_message: usize, now: Now) -> Self {
        let (handshake, hello) = Handshake::client(seed, now);
        Self::new(handshake, BytesMut::from(hello), max_message)
    }

    fn new(handshake: Handshake, out: BytesMut, max_message: usize) -> Self {
        Self {
            handshake,
            before: BytesMut::new(),
            reader: Reader::new(max_message),
            writer: Writer::default(),
            out,
            received: 0,
            acknowledged: 0,
            window: WINDOW_DEFAULT,
            ask: u32::MAX,
            told: None,
        }
    }

    /// Has the peer acknowledge every `bytes`, whatever it would like better.
    pub(super) fn ask_for_window(&mut self, bytes: u32) {
        self.ask = bytes.max(WINDOW_MIN);
        message::window_size(&mut self.writer, &mut self.out, self.ask);
    }

    /// What the peer said last of how many bytes have come to it, counted round at 2^32.
    pub(super) fn told(&self) -> Option<u32> {
        self.told
    }

    pub(super) fn set_max_message(&mut self, bytes: usize) {
        self.reader.set_max_message(bytes);
    }

    pub(super) fn is_open(&self) -> bool {
        self.handshake.is_done()
    }

    pub(super) fn held(&self) -> usize {
        self.before.len() + self.reader.held() + self.out.len()
    }

    pub(super) fn take_output(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| self.out.split().freeze())
    }

    pub(super) fn input(&mut self, bytes: &[u8], now: Now) -> Result<(), RtmpError> {
        self.received += bytes.len() as u64;
        if self.handshake.is_done() {
            self.reader.input(bytes);
        } else {
            self.before.extend_from_slice(bytes);
            self.handshake.advance(&mut self.before, &mut self.out, now)?;
            if self.handshake.is_done() {
                self.reader.input(&self.before.split());
            }
        }
        if self.handshake.is_done() && self.received - self.acknowledged >= u64::from(self.window / 2) {
            self.acknowledged = self.received;
            message::acknowledge(&mut self.writer, &mut self.out, self.received as u32);
        }
        Ok(())
    }

    /// The next message that the session must act on.
    pub(super) fn next_message(&mut self) -> Result<Option<(Message, Incoming)>, RtmpError> {
        if !self.handshake.is_done() {
            return Ok(None);
        }
        while let Some(m) = self.reader.next_message()? {
            if self.out.len() > ANSWERS_MAX {
                return Err(RtmpError::NotReading);
            }
            match message::read(&m)? {
                Incoming::SetChunkSize(n) => self.reader.set_chunk_size(n)?,
                Incoming::Abort(id) => self.reader.abort(id),
                Incoming::WindowSize(n) => self.window = n.max(WINDOW_MIN),
                Incoming::PeerBandwidth(n) => {
                    let window = n.max(WINDOW_MIN).min(self.ask);
                    message::window_size(&mut self.writer, &mut self.out, window);
                }
                Incoming::Acknowledged(bytes) => self.told = Some(bytes),
                Incoming::Ping(stamp) => message::pong(&mut self.writer, &mut self.out, stamp),
                Incoming::Nothing => {}
                other => return Ok(Some((m, other))),
            }
        }
        Ok(None)
    }
}
