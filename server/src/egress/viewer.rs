//! One viewer: where it stands in the programme, and what its socket did not take yet.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use mujian_media::websocket::{self, Request, ViewerFrames};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::fanout::Counted;
use super::figures::{Figures, Tally};
use crate::grant::Grant;
use crate::http::Stream;
use crate::rooms::Room;
use crate::stage::programme::{Chunk, Head, ReadItem, Reader};

/// A viewer whose socket takes nothing for so long is gone.
const STALL: Duration = Duration::from_secs(10);
/// A viewer that nothing is sent to is asked this often whether it is there.
const PING: Duration = Duration::from_secs(20);
/// It is gone if so many of them in a row bring nothing back.
const UNANSWERED: u8 = 3;
/// So much is taken out of the ring at a time at most, in bytes and in pieces: what stays in the ring can
/// still be skipped.
const BATCH_BYTES: usize = 64 * 1024;
const BATCH: usize = 16;
/// Bytes that a viewer may send at once, and then a second: pings and little else.
const INPUT_BURST: u32 = 64 * 1024;
const INPUT_RATE: u32 = 2 * 1024;

/// Why a viewer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Its connection is broken or closed.
    Gone,
    /// It said farewell with this code.
    Farewell(u16),
    /// It broke the protocol: the code says how.
    Violation(u16),
    /// It sends without end.
    Flood,
    /// Its grant was taken back.
    Revoked,
    /// It takes nothing.
    Stalled,
    /// The stream is over, and its protocol has no way to wait for another.
    Ended,
    /// The server stops.
    Stopping,
}

/// How the programme reaches a viewer.
pub(super) enum Wire {
    /// Tags behind an HTTP head.
    Flv,
    /// Messages, each one fragment or an init segment.
    WebSocket {
        /// What it sends.
        frames: ViewerFrames,
        /// Pings since it sent anything.
        unanswered: u8,
    },
}

/// One viewer.
pub(super) struct Viewer {
    /// Before the stream: fields are dropped in their order, and who sees the connection end and comes
    /// again must find the place free.
    grant: Grant,
    stream: Stream,
    wire: Wire,
    reader: Reader,
    figures: &'static Figures,
    /// What the socket did not take yet; the first may have been taken in part.
    pending: VecDeque<Bytes>,
    /// The configuration that the viewer knows.
    config: Option<u64>,
    /// The last write that went through, wholly or in part, or the first that did not.
    wrote: Instant,
    /// Bytes that it may send now, as of the last time it did.
    allowance: u32,
    counted_at: Instant,
    /// Keeps the room in memory, and the count of the task right.
    _kept: (Arc<Room>, Counted),
    /// The stream is over.
    over: bool,
}

impl Viewer {
    /// A viewer that first gets `head`, then the programme.
    pub(super) fn new(
        stream: Stream,
        wire: Wire,
        head: Bytes,
        reader: Reader,
        grant: Grant,
        kept: (Arc<Room>, Counted),
    ) -> Self {
        let now = Instant::now();
        let figures = Figures::of(&wire);
        figures.viewers.increment(1.0);
        let pending = if head.is_empty() { VecDeque::new() } else { VecDeque::from([head]) };
        Self {
            stream,
            wire,
            reader,
            grant,
            figures,
            pending,
            config: None,
            wrote: now,
            allowance: INPUT_BURST,
            counted_at: now,
            _kept: kept,
            over: false,
        }
    }

    pub(super) fn tcp(&self) -> &TcpStream {
        self.stream.tcp()
    }

    /// Writes the newest chunk where that is all that the viewer waits for, by the shortest way: this is done for every
    /// viewer and every picture. False: there is more to do, by [`Self::write`].
    pub(super) fn write_head(&mut self, head: &Head, now: Instant, tally: &mut Tally) -> bool {
        let chunk = &head.chunk;
        if !self.reader.is_at(head)
            || self.config != Some(chunk.config.id)
            || !self.pending.is_empty()
            || self.grant.is_revoked()
        {
            return false;
        }
        let bytes = match self.wire {
            Wire::Flv => chunk.flv(),
            Wire::WebSocket { .. } => chunk.ws(),
        };
        // Past tokio, which would look first whether the socket takes bytes: it does, as a rule. Where not, and where it is
        // broken, the long way finds the same.
        let Ok(count) = socket2::SockRef::from(self.stream.tcp()).send(bytes) else { return false };
        self.wrote = now;
        tally.add(&self.wire, count);
        self.reader.pass(head);
        if count < bytes.len() {
            self.pending.push_back(bytes.slice(count..));
        }
        self.pending.is_empty()
    }

    /// Writes what there is. False: the socket is full, there is more.
    pub(super) fn write(&mut self, now: Instant) -> Result<bool, Leaving> {
        loop {
            self.fill()?;
            if self.pending.is_empty() {
                return if self.over { Err(Leaving::Ended) } else { Ok(true) };
            }
            if !self.flush(now)? {
                return Ok(false);
            }
        }
    }

    /// Takes chunks out of the ring up to a batch.
    fn fill(&mut self) -> Result<(), Leaving> {
        let mut bytes: usize = self.pending.iter().map(Bytes::len).sum();
        while !self.over && bytes < BATCH_BYTES && self.pending.len() < BATCH {
            if self.grant.is_revoked() {
                return Err(Leaving::Revoked);
            }
            match self.reader.try_next() {
                Some(ReadItem::Chunk(chunk)) => bytes += self.push(&chunk),
                Some(ReadItem::Skipped { chunks }) => {
                    self.figures.skips.increment(1);
                    self.figures.skipped.increment(chunks);
                }
                Some(ReadItem::End) if matches!(self.wire, Wire::Flv) => self.over = true,
                // The next stream comes the same way.
                Some(ReadItem::End) => {}
                None => break,
            }
        }
        Ok(())
    }

    fn push(&mut self, chunk: &Chunk) -> usize {
        let before: usize = self.pending.iter().map(Bytes::len).sum();
        let fresh = self.config.replace(chunk.config.id) != Some(chunk.config.id);
        match self.wire {
            Wire::Flv => {
                if fresh {
                    self.pending.push_back(chunk.config.flv_headers_at(chunk.dts));
                }
                self.pending.push_back(chunk.flv().clone());
            }
            Wire::WebSocket { .. } => {
                if fresh {
                    self.pending.push_back(chunk.config.ws_init.clone());
                }
                self.pending.push_back(chunk.ws().clone());
            }
        }
        self.pending.iter().map(Bytes::len).sum::<usize>() - before
    }

    /// Writes what is pending. False: the socket is full.
    fn flush(&mut self, now: Instant) -> Result<bool, Leaving> {
        while let Some(first) = self.pending.front() {
            let written = if self.pending.len() == 1 {
                self.stream.tcp().try_write(first)
            } else {
                let mut slices = [IoSlice::new(&[]); BATCH + 1];
                let mut count = 0;
                for (slice, bytes) in slices.iter_mut().zip(&self.pending) {
                    *slice = IoSlice::new(bytes);
                    count += 1;
                }
                self.stream.tcp().try_write_vectored(&slices[..count])
            };
            match written {
                Ok(0) => return Err(Leaving::Gone),
                Ok(count) => {
                    self.wrote = now;
                    self.figures.bytes.increment(count as u64);
                    self.forget(count);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Leaving::Gone),
            }
        }
        Ok(true)
    }

    fn forget(&mut self, mut count: usize) {
        while count > 0 {
            let Some(first) = self.pending.front_mut() else { return };
            if count < first.len() {
                first.advance(count);
                return;
            }
            count -= first.len();
            self.pending.pop_front();
        }
    }

    /// Reads once what the viewer sent.
    pub(super) fn read(&mut self, now: Instant) -> Result<(), Leaving> {
        let mut buffer = [0; 2048];
        let count = match self.stream.tcp().try_read(&mut buffer) {
            Ok(0) => return Err(Leaving::Gone),
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(_) => return Err(Leaving::Gone),
        };
        self.charge(count as u32, now)?;
        self.take(&buffer[..count])
    }

    /// Takes what the viewer sent, on a WebSocket; over HTTP it has nothing to say.
    pub(super) fn take(&mut self, mut input: &[u8]) -> Result<(), Leaving> {
        let Wire::WebSocket { frames, unanswered } = &mut self.wire else { return Ok(()) };
        *unanswered = 0;
        while !input.is_empty() {
            match frames.read(&mut input).map_err(|violation| Leaving::Violation(violation.code()))? {
                // Who sends pings but takes no bytes gets no answers piled up.
                Some(Request::Ping(payload)) if self.pending.len() < 2 * BATCH => {
                    self.pending.push_back(websocket::pong(&payload));
                }
                Some(Request::Close(code)) => return Err(Leaving::Farewell(code)),
                Some(Request::Ping(_) | Request::Pong) | None => {}
            }
        }
        Ok(())
    }

    fn charge(&mut self, bytes: u32, now: Instant) -> Result<(), Leaving> {
        let earned = now.saturating_duration_since(self.counted_at).as_millis().min(60_000) as u32;
        self.counted_at = now;
        self.allowance = (self.allowance + earned * INPUT_RATE / 1000).min(INPUT_BURST);
        // Every read costs something, however little it brings.
        self.allowance = self.allowance.checked_sub(bytes.max(64)).ok_or(Leaving::Flood)?;
        Ok(())
    }

    /// Once a second: whether it may stay, and a ping where nothing else goes out.
    pub(super) fn look_after(&mut self, now: Instant) -> Result<(), Leaving> {
        if self.grant.revoked() {
            return Err(Leaving::Revoked);
        }
        let quiet = now.saturating_duration_since(self.wrote);
        if !self.pending.is_empty() {
            return if quiet > STALL { Err(Leaving::Stalled) } else { Ok(()) };
        }
        if let Wire::WebSocket { unanswered, .. } = &mut self.wire
            && quiet >= PING
        {
            if *unanswered >= UNANSWERED {
                return Err(Leaving::Gone);
            }
            *unanswered += 1;
            self.pending.push_back(websocket::ping());
        }
        Ok(())
    }

    /// Says farewell as far as that is possible, and closes the connection.
    pub(super) fn leave(self, leaving: Leaving) {
        if matches!(self.wire, Wire::WebSocket { .. }) && self.pending.is_empty() {
            let farewell = match leaving {
                Leaving::Gone | Leaving::Stalled => None,
                Leaving::Farewell(code) => Some((code, "")),
                Leaving::Violation(code) => Some((code, "This socket takes only pings and a farewell.")),
                Leaving::Flood => Some((1008, "Too much was sent; this socket only sends.")),
                Leaving::Revoked => Some((1008, "The right to watch this room was taken back.")),
                Leaving::Ended => Some((1000, "The stream is over.")),
                Leaving::Stopping => Some((1001, "The server is stopping.")),
            };
            if let Some((code, reason)) = farewell {
                // A few bytes into a socket that took everything before.
                let _ = self.stream.tcp().try_write(&websocket::close(code, reason));
            }
        }
        tracing::debug!(?leaving, "A viewer leaves.");
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.figures.viewers.decrement(1.0);
    }
}
