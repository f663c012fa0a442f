//! Many viewers in one thread: they read, take note of when each frame was complete, and throw it away.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::Seen;
use super::clip::Wire;
use crate::measure::figures::percentile;

/// Viewers that join in a second.
const JOINS: u32 = 100;
/// Bytes of a frame that are kept to look at.
const LOOK: usize = 320;

struct Viewer {
    socket: TcpStream,
    asked: Instant,
    joined: Option<Duration>,
    /// Still in the answer's head: its last bytes.
    head: Option<Vec<u8>>,
    /// The beginning of the piece under way.
    piece: Vec<u8>,
    /// Bytes of it that were read.
    came: usize,
}

/// A complete frame.
struct Frame {
    /// Its time on the stream's timeline, in milliseconds.
    time: f64,
    key: bool,
}

impl Viewer {
    fn connect(address: SocketAddr, request: Option<&str>) -> Result<Self> {
        // Connecting to this machine is done at once; writing needs no waiting either.
        let tcp = std::net::TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        let asked = Instant::now();
        if let Some(request) = request {
            (&tcp).write_all(request.as_bytes())?;
        }
        tcp.set_nonblocking(true)?;
        let head = request.map(|_| Vec::new());
        Ok(Self {
            socket: TcpStream::from_std(tcp),
            asked,
            joined: None,
            head,
            piece: Vec::with_capacity(LOOK),
            came: 0,
        })
    }

    /// Goes through bytes that came; tells of every frame that is complete with them.
    fn take(&mut self, mut bytes: &[u8], wire: Wire, mut complete: impl FnMut(&mut Self, Frame)) -> Result<()> {
        if let Some(head) = &mut self.head {
            let before = head.len();
            head.extend_from_slice(bytes);
            let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(()) };
            if !head.starts_with(b"HTTP/1.1 200") && !head.starts_with(b"HTTP/1.1 101") {
                bail!("{}", String::from_utf8_lossy(head));
            }
            // Behind the head of FLV stand its own 13 bytes.
            let skip = end + 4 + if wire == Wire::Flv { 13 } else { 0 };
            if head.len() < skip {
                return Ok(());
            }
            bytes = &bytes[skip - before..];
            self.head = None;
        }
        while !bytes.is_empty() {
            let size = self.size(wire);
            let count = size.unwrap_or(self.came + 1).saturating_sub(self.came).min(bytes.len());
            let look = LOOK.saturating_sub(self.piece.len()).min(count);
            self.piece.extend_from_slice(&bytes[..look]);
            self.came += count;
            bytes = &bytes[count..];
            if self.size(wire) == Some(self.came) {
                if let Some(frame) = self.frame(wire) {
                    complete(self, frame);
                }
                self.piece.clear();
                self.came = 0;
            }
        }
        Ok(())
    }

    /// How long the piece under way is, as far as that is known.
    fn size(&self, wire: Wire) -> Option<usize> {
        let piece = &self.piece;
        match wire {
            Wire::Flv => {
                let size = piece.get(1..4)?;
                Some(11 + 4 + size.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
            }
            Wire::Mp4 => match piece.get(1)? {
                126 => Some(4 + usize::from(u16::from_be_bytes(piece.get(2..4)?.try_into().ok()?))),
                127 => Some(10 + u64::from_be_bytes(piece.get(2..10)?.try_into().ok()?) as usize),
                size => Some(2 + usize::from(*size)),
            },
        }
    }

    /// The frame that the complete piece is; none: sound, or a configuration.
    fn frame(&self, wire: Wire) -> Option<Frame> {
        let piece = &self.piece;
        let behind = |kind: &[u8; 4]| piece.windows(4).position(|w| w == kind).and_then(|at| piece.get(at + 4..));
        match wire {
            Wire::Flv => {
                let picture = piece[0] == 9 && piece.get(12) == Some(&1);
                let time = u32::from_be_bytes([piece[7], piece[4], piece[5], piece[6]]);
                picture.then(|| Frame { time: time.into(), key: piece[11] >> 4 == 1 })
            }
            Wire::Mp4 => {
                // Of a fragment of sound alone the only track is the second.
                if behind(b"tfhd")?.get(4..8)? != [0, 0, 0, 1] {
                    return None;
                }
                let time = u64::from_be_bytes(behind(b"tfdt")?.get(4..12)?.try_into().ok()?);
                let key = behind(b"trun")?.get(20..24)? == [2, 0, 0, 0];
                Some(Frame { time: time as f64 / 90.0, key })
            }
        }
    }
}

/// Joins, says `measuring` after `settle`, `measured` after `measure`, and then what was seen, as JSON.
///
/// # Errors
///
/// The server cannot be reached, or refuses.
pub fn run(
    address: SocketAddr,
    room: Option<&str>,
    wire: Wire,
    count: usize,
    settle: Duration,
    measure: Duration,
) -> Result<()> {
    let request = room.map(|room| match wire {
        Wire::Flv => format!("GET /live/{room}.flv HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        Wire::Mp4 => format!(
            "GET /live/{room}.mp4 HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        ),
    });
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut viewers: Vec<Option<Viewer>> = Vec::new();
    let mut buffer = vec![0; 128 * 1024];
    let origin = Instant::now();
    // Arrival less time of every frame while it is measured, in milliseconds.
    let mut offsets: Vec<f64> = Vec::with_capacity(count * 30 * (measure.as_secs() as usize + 1));
    let (mut next_join, mut from) = (origin, None);
    loop {
        let now = Instant::now();
        if viewers.len() < count && now >= next_join {
            let mut viewer = Viewer::connect(address, request.as_deref())?;
            poll.registry().register(&mut viewer.socket, Token(viewers.len()), Interest::READABLE)?;
            viewers.push(Some(viewer));
            next_join += Duration::from_secs(1) / JOINS;
            if viewers.len() == count {
                from = Some(now + settle);
            }
        }
        let measuring = from.is_some_and(|from| now >= from);
        if measuring && offsets.is_empty() {
            println!("measuring");
            // Marks the beginning; left out below.
            offsets.push(f64::NAN);
        }
        if from.is_some_and(|from| now >= from + measure) {
            break;
        }
        poll.poll(&mut events, Some(Duration::from_millis(if viewers.len() < count { 5 } else { 50 })))?;
        for event in &events {
            let place = event.token().0;
            let Some(viewer) = viewers[place].as_mut() else { continue };
            loop {
                match viewer.socket.read(&mut buffer) {
                    Ok(0) => {
                        viewers[place] = None;
                        break;
                    }
                    Ok(read) => {
                        let at = Instant::now();
                        let arrival = (at - origin).as_secs_f64() * 1000.0;
                        viewer.take(&buffer[..read], wire, |viewer, frame| {
                            if frame.key && viewer.joined.is_none() {
                                viewer.joined = Some(at - viewer.asked);
                            }
                            if measuring {
                                offsets.push(arrival - frame.time);
                            }
                        })?;
                        // A read that does not fill the buffer has emptied the socket.
                        if read < buffer.len() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(_) => {
                        viewers[place] = None;
                        break;
                    }
                }
            }
        }
    }
    println!("measured");
    offsets.retain(|offset| offset.is_finite());
    let earliest = offsets.iter().copied().fold(f64::INFINITY, f64::min);
    let late: Vec<f64> = offsets.iter().map(|offset| offset - earliest).collect();
    let joins: Vec<f64> = viewers.iter().flatten().filter_map(|v| v.joined).map(|d| d.as_secs_f64() * 1000.0).collect();
    let at = |share| percentile(&late, share).unwrap_or(f64::MAX);
    let seen = Seen {
        viewers: viewers.iter().flatten().count(),
        frames: late.len() as u64,
        late_p50: at(0.5),
        late_p99: at(0.99),
        late_max: at(1.0),
        join_p95: percentile(&joins, 0.95).unwrap_or(f64::MAX),
    };
    println!("{}", serde_json::to_string(&seen)?);
    Ok(())
}
