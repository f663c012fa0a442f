//! The frames of a WebSocket (RFC 6455, 5), on the server's side of a connection that only sends.
//!
//! What the server sends is framed once for all viewers, so it is not masked and not compressed. What a
//! viewer sends is of no interest but for pings and its farewell: it is read only as far as is needed
//! to see those, and to notice who misbehaves.

use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// Longest header that a server writes.
pub const HEADER_MAX: usize = 10;
/// Longest payload of a control frame.
const CONTROL_MAX: usize = 125;
/// Longest message that a viewer may send, in bytes.
pub const MESSAGE_MAX: u64 = 4096;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Writes the header of an unmasked binary message of one frame.
pub fn binary_header(out: &mut impl BufMut, length: usize) {
    out.put_u8(FINAL | BINARY);
    match length {
        0..=125 => out.put_u8(length as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// An empty ping.
#[must_use]
pub fn ping() -> Bytes {
    Bytes::from_static(&[FINAL | PING, 0])
}

/// The answer to a ping; of a payload that is too long the start.
#[must_use]
pub fn pong(payload: &[u8]) -> Bytes {
    control(PONG, payload)
}

/// A farewell with its code (7.4.1) and a sentence.
#[must_use]
pub fn close(code: u16, reason: &str) -> Bytes {
    let mut end = reason.len().min(CONTROL_MAX - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    control(CLOSE, &[&code.to_be_bytes(), &reason.as_bytes()[..end]].concat())
}

fn control(kind: u8, payload: &[u8]) -> Bytes {
    let payload = &payload[..payload.len().min(CONTROL_MAX)];
    let mut out = BytesMut::with_capacity(2 + payload.len());
    out.put_u8(FINAL | kind);
    out.put_u8(payload.len() as u8);
    out.put_slice(payload);
    out.freeze()
}

/// Why a viewer's connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Violation {
    /// The frame is not of the protocol.
    #[error("The WebSocket frame is malformed.")]
    Malformed,
    /// A message is longer than [`MESSAGE_MAX`].
    #[error("The WebSocket message is too long; this socket only sends.")]
    TooLong,
}

impl Violation {
    /// The code of the farewell.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Malformed => 1002,
            Self::TooLong => 1009,
        }
    }
}

/// What a viewer sent that asks for something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Answer with a [`pong`] of this payload.
    Ping(Bytes),
    /// It is alive.
    Pong,
    /// It says farewell: answer with [`close`] and this code, then close.
    Close(u16),
}

/// Reads what a viewer sends. Costs a few dozen bytes between frames.
#[derive(Clone, Debug, Default)]
pub struct ViewerFrames {
    head: [u8; 14],
    have: u8,
    /// Bytes of the payload that did not come yet.
    left: u64,
    /// How much of the payload came.
    came: u64,
    /// A message of several frames is under way; so long is it by now.
    message: Option<u64>,
    payload: Vec<u8>,
}

impl ViewerFrames {
    /// Takes bytes off the front of `input`, to the end of a frame that asks for something, or all of them.
    ///
    /// # Errors
    /// The viewer breaks the protocol or sends too much: close the connection. Nothing more can be read.
    pub fn read(&mut self, input: &mut &[u8]) -> Result<Option<Request>, Violation> {
        loop {
            let head_size = self.head_size();
            if usize::from(self.have) < head_size {
                let Some((byte, rest)) = input.split_first() else { return Ok(None) };
                *input = rest;
                self.head[usize::from(self.have)] = *byte;
                self.have += 1;
                if usize::from(self.have) >= 2 && usize::from(self.have) == self.head_size() {
                    self.begin()?;
                }
                continue;
            }
            let (part, rest) = input.split_at(input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)));
            *input = rest;
            self.take(part);
            if self.left > 0 {
                return Ok(None);
            }
            if let Some(request) = self.finish()? {
                return Ok(Some(request));
            }
            if input.is_empty() {
                return Ok(None);
            }
        }
    }

    fn kind(&self) -> u8 {
        self.head[0] & 0x0f
    }

    fn head_size(&self) -> usize {
        match (self.have, self.head[1] & 0x7f) {
            (0 | 1, _) => 2,
            (_, 126) => 2 + 2 + 4,
            (_, 127) => 2 + 8 + 4,
            _ => 2 + 4,
        }
    }

    /// The head is complete.
    fn begin(&mut self) -> Result<(), Violation> {
        let (first, second) = (self.head[0], self.head[1]);
        let control = self.kind() >= CLOSE;
        let length = match second & 0x7f {
            126 => u64::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
            length => length.into(),
        };
        let known = matches!(self.kind(), CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG);
        let unsplit = !control || first & FINAL != 0 && length <= CONTROL_MAX as u64;
        if first & 0x70 != 0 || second & MASKED == 0 || !known || !unsplit {
            return Err(Violation::Malformed);
        }
        if !control {
            // A message goes on exactly if one is under way.
            if (self.kind() == CONTINUATION) != self.message.is_some() {
                return Err(Violation::Malformed);
            }
            let whole = self.message.unwrap_or(0).saturating_add(length);
            if whole > MESSAGE_MAX {
                return Err(Violation::TooLong);
            }
            self.message = (first & FINAL == 0).then_some(whole);
        }
        (self.left, self.came) = (length, 0);
        Ok(())
    }

    fn take(&mut self, part: &[u8]) {
        if self.kind() >= CLOSE {
            let head_size = self.head_size();
            let mask = &self.head[head_size - 4..head_size];
            let from = self.came as usize;
            self.payload.extend(part.iter().enumerate().map(|(i, byte)| byte ^ mask[(from + i) % 4]));
        }
        self.left -= part.len() as u64;
        self.came += part.len() as u64;
    }

    /// The frame is complete.
    fn finish(&mut self) -> Result<Option<Request>, Violation> {
        let kind = self.kind();
        self.have = 0;
        let payload = std::mem::take(&mut self.payload);
        Ok(match kind {
            PING => Some(Request::Ping(payload.into())),
            PONG => Some(Request::Pong),
            CLOSE => Some(Request::Close(match payload[..] {
                [] => 1000,
                [_] => return Err(Violation::Malformed),
                [high, low, ..] => match u16::from_be_bytes([high, low]) {
                    code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => code,
                    _ => return Err(Violation::Malformed),
                },
            })),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
        let mut out = vec![first];
        match payload.len() {
            n @ 0..=125 => out.push(MASKED | n as u8),
            n => {
                out.push(MASKED | 126);
                out.extend_from_slice(&(n as u16).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        out.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
        out
    }

    /// Reads everything, in pieces of this size.
    fn read(bytes: &[u8], piece: usize) -> Result<Vec<Request>, Violation> {
        let mut frames = ViewerFrames::default();
        let mut requests = Vec::new();
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                requests.extend(frames.read(&mut piece)?);
            }
        }
        Ok(requests)
    }

    proptest! {
        #[test]
        fn requests_come_through_whatever_the_pieces(
            mask in any::<[u8; 4]>(),
            payload in prop::collection::vec(any::<u8>(), 0..=125),
            text in prop::collection::vec(any::<u8>(), 0..2000),
            piece in 1usize..300,
        ) {
            let bytes = [
                frame(FINAL | PING, &payload, mask),
                frame(TEXT, &text, mask),
                frame(FINAL | PONG, &[], mask),
                frame(FINAL | CONTINUATION, &text, mask),
                frame(FINAL | BINARY, &text, mask),
                frame(FINAL | CLOSE, &[0x03, 0xe9, b'x'], mask),
            ].concat();
            let expected = vec![Request::Ping(payload.into()), Request::Pong, Request::Close(1001)];
            prop_assert_eq!(read(&bytes, piece), Ok(expected));
        }

        #[test]
        fn any_bytes_end_in_a_result(bytes in prop::collection::vec(any::<u8>(), 0..200), piece in 1usize..20) {
            prop_assert_eq!(read(&bytes, piece), read(&bytes, bytes.len().max(1)));
        }
    }

    #[test]
    fn misbehaviour_is_noticed() {
        let mask = [1, 2, 3, 4];
        let mut unmasked = frame(FINAL | PING, &[], mask);
        unmasked[1] &= !MASKED;
        let huge = [FINAL | BINARY, MASKED | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4];
        for (bytes, violation) in [
            (unmasked, Violation::Malformed),
            (frame(PING, &[], mask), Violation::Malformed),
            (frame(FINAL | PING, &[0; 126], mask), Violation::Malformed),
            (frame(FINAL | 0x40 | TEXT, b"compressed", mask), Violation::Malformed),
            (frame(FINAL | 3, &[], mask), Violation::Malformed),
            (frame(FINAL | CONTINUATION, &[], mask), Violation::Malformed),
            ([frame(TEXT, &[], mask), frame(TEXT, &[], mask)].concat(), Violation::Malformed),
            (frame(FINAL | CLOSE, &[3], mask), Violation::Malformed),
            (frame(FINAL | CLOSE, &[0, 0], mask), Violation::Malformed),
            (frame(FINAL | TEXT, &[0; 4097], mask), Violation::TooLong),
            ([frame(TEXT, &[0; 3000], mask), frame(CONTINUATION, &[0; 3000], mask)].concat(), Violation::TooLong),
            (huge.to_vec(), Violation::TooLong),
        ] {
            assert_eq!(read(&bytes, bytes.len()), Err(violation), "{:?}", &bytes[..bytes.len().min(16)]);
        }
    }

    #[test]
    fn what_is_sent_is_framed() {
        for (length, header) in
            [(5, &[0x82, 5][..]), (300, &[0x82, 126, 1, 44]), (70_000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x11, 0x70])]
        {
            let mut out = BytesMut::new();
            binary_header(&mut out, length);
            assert_eq!(out, header);
        }
        assert_eq!(&pong(b"ab")[..], [0x8a, 2, b'a', b'b']);
        let farewell = close(1008, &"幕".repeat(60));
        assert_eq!(usize::from(farewell[1]) + 2, farewell.len());
        assert!(std::str::from_utf8(&farewell[4..]).is_ok());
    }
}
