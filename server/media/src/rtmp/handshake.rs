//! The handshake (5.2), in its plain form, which every publisher speaks.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::RtmpError;
use crate::time::Now;

/// Bytes of C1, S1, C2 and S2.
pub const PACKET: usize = 1536;
const VERSION: u8 = 3;

/// The bytes after a packet's two times: any will do, they are no secret.
fn fill(out: &mut BytesMut, mut seed: u64, count: usize) {
    for _ in 0..count {
        // xorshift64, never zero.
        seed = seed.max(1);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        out.put_u8((seed >> 32) as u8);
    }
}

fn millis(now: Now) -> u32 {
    now.since_origin().as_millis() as u32
}

fn check_version(version: u8) -> Result<(), RtmpError> {
    match version {
        VERSION => Ok(()),
        6 | 8 => {
            Err(RtmpError::NotRtmp("encrypted RTMP (RTMPE) is asked for, which is not taken; use rtmp:// or rtmps://"))
        }
        b'G' | b'P' | b'H' => Err(RtmpError::NotRtmp("it looks like HTTP; this port is for publishing")),
        0x16 => Err(RtmpError::NotRtmp("it looks like TLS; use rtmp:// here, not rtmps://")),
        _ => Err(RtmpError::NotRtmp("the first byte is not RTMP's version")),
    }
}

/// Which part of the handshake a side waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    Version,
    First,
    Second,
    Done,
}

/// One side of the handshake.
#[derive(Debug)]
pub struct Handshake {
    wait: Wait,
    is_server: bool,
    seed: u64,
}

impl Handshake {
    /// The server's side: it speaks when the client has.
    #[must_use]
    pub fn server(seed: u64) -> Self {
        Self { wait: Wait::Version, is_server: true, seed }
    }

    /// The client's side, and C0 and C1, which it says at once.
    #[must_use]
    pub fn client(seed: u64, now: Now) -> (Self, Bytes) {
        let mut out = BytesMut::with_capacity(1 + PACKET);
        put_first(&mut out, seed, now);
        (Self { wait: Wait::Version, is_server: false, seed }, out.freeze())
    }

    /// Whether both sides have said all.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.wait == Wait::Done
    }

    /// Takes from the front of `buffer` what belongs to the handshake, and appends the answer to `out`.
    ///
    /// # Errors
    /// [`RtmpError::NotRtmp`] when the peer speaks something else.
    pub fn advance(&mut self, buffer: &mut BytesMut, out: &mut BytesMut, now: Now) -> Result<(), RtmpError> {
        if self.wait == Wait::Version && !buffer.is_empty() {
            check_version(buffer.get_u8())?;
            self.wait = Wait::First;
        }
        if self.wait == Wait::First && buffer.len() >= PACKET {
            let theirs = buffer.split_to(PACKET);
            if self.is_server {
                put_first(out, self.seed, now);
            }
            // Its own packet comes back to the peer unchanged: OBS's librtmp compares all of it, the time
            // of reading that the specification puts into the second field too.
            out.put_slice(&theirs);
            self.wait = Wait::Second;
        }
        if self.wait == Wait::Second && buffer.len() >= PACKET {
            // The echo is not compared: publishers exist that send something else.
            buffer.advance(PACKET);
            self.wait = Wait::Done;
        }
        Ok(())
    }
}

fn put_first(out: &mut BytesMut, seed: u64, now: Now) {
    out.put_u8(VERSION);
    out.put_u32(millis(now));
    // Zero here says: the plain handshake.
    out.put_u32(0);
    fill(out, seed, PACKET - 8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_finish_byte_by_byte() {
        let now = Now::default();
        let (mut client, hello) = Handshake::client(1, now);
        let mut server = Handshake::server(2);
        let (mut to_server, mut to_client) = (BytesMut::from(&hello[..]), BytesMut::new());
        let (mut in_server, mut in_client) = (BytesMut::new(), BytesMut::new());
        while !(client.is_done() && server.is_done()) {
            if to_server.has_remaining() {
                in_server.extend_from_slice(&to_server.split_to(1));
                server.advance(&mut in_server, &mut to_client, now).unwrap();
            } else {
                assert!(to_client.has_remaining(), "both wait");
            }
            if to_client.has_remaining() {
                in_client.extend_from_slice(&to_client.split_to(1));
                client.advance(&mut in_client, &mut to_server, now).unwrap();
            }
        }
        assert!(in_server.is_empty() && in_client.is_empty());
    }

    #[test]
    fn other_protocols_are_told_so() {
        for (first, word) in [(b'G', "HTTP"), (0x16, "TLS"), (6, "RTMPE"), (0, "version")] {
            let mut h = Handshake::server(1);
            let e = h.advance(&mut BytesMut::from(&[first][..]), &mut BytesMut::new(), Now::default()).unwrap_err();
            assert!(e.to_string().contains(word), "{e}");
        }
    }
}
