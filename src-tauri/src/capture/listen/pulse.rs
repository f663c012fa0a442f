//! What is played at an output, as PulseAudio gives it, or PipeWire, which answers as PulseAudio does: the output's monitor,
//! recorded over the native protocol (its version 13 on).
//!
//! One thread reads one connection, and nothing outlives it. The stream may not be moved: where an output goes away, the
//! server would hand its listeners the next best source, which may be a microphone.

use std::ffi::{CStr, CString};
use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use mujian_av::AvError;
use mujian_av::sound::{RATE, Sample};
use mujian_media::time::MediaTime;
use mujian_protocol::studio::Device;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    self, AuthParams, AuthReply, ChannelMap, Command, CommandReply, CommandTag, CreateRecordStreamReply, GetSinkInfo,
    LatencyParams, Prop, Props, ProtocolError, PulseError, RecordLatency, RecordStreamParams, SampleFormat, SampleSpec,
    SetClientNameReply, SinkInfo, TagStructReader,
};

use super::ear::{DEFAULT, Ear, NONE_SET_UP};
use super::stream::{Chunk, Message};
use crate::capture::{CaptureError, Clock};

/// Longest that the server may take for an answer.
const REPLY: Duration = Duration::from_secs(2);
/// How often it is looked whether the stream is to end, while nothing comes.
const LOOK: Duration = Duration::from_millis(100);
/// How often the server is asked which output it is, and how late it is.
const ASK: Duration = Duration::from_secs(1);
/// Bytes of a sample of both channels.
const SAMPLE: usize = 8;
/// Bytes that are asked for at a time: 20 ms.
const FRAGMENT: u32 = RATE / 50 * SAMPLE as u32;
/// Longest message that is taken, in bytes; PulseAudio's own queues hold no more.
const MESSAGE: usize = protocol::MAX_MEMBLOCKQ_LENGTH;
/// The channel of what is no sound.
const COMMANDS: u32 = u32::MAX;
/// Bytes of a cookie (`PA_NATIVE_COOKIE_LENGTH`): who brings another number of them is hung up on, even where anybody is let
/// in.
const COOKIE: usize = 256;
/// Most outputs that are listed.
const MOST: usize = 64;
/// An output may say that what it is given is heard so much later, at most.
const LATENESS: Duration = Duration::from_secs(1);

/// Why nothing comes any more.
enum End {
    /// It was asked for.
    Closed,
    /// The output is another one by now, or gone.
    Moved,
}

/// A connection to the sound server.
struct Server {
    socket: UnixStream,
    version: u16,
    sequence: u32,
    input: Vec<u8>,
}

/// Gives what is played at an output until nobody holds the stream open any more.
pub(super) fn listen(
    ear: &Ear,
    id: &str,
    clock: Clock,
    sender: &SyncSender<Message>,
    closed: &Receiver<()>,
) -> Result<(), CaptureError> {
    let (name, refused) = (name_of(id)?, |e| refused(ear, e));
    loop {
        let mut server = Server::connect()?;
        let sink = server.sink(&name).map_err(refused)?;
        let stream = server.record(&sink).map_err(refused)?;
        // Nobody listens any more if this fails; that is seen next.
        let _ = sender.send(Message::Open(RATE));
        match server.read(&stream, &sink, &name, clock, sender, closed).map_err(refused)? {
            End::Closed => return Ok(()),
            // Not in a circle, where it goes away as soon as it is there.
            End::Moved => match closed.recv_timeout(LOOK) {
                Err(RecvTimeoutError::Timeout) => {}
                _ => return Ok(()),
            },
        }
    }
}

/// Lists outputs, the default first.
///
/// # Errors
/// There is no sound server, or it has none.
pub(super) fn list() -> Result<Vec<Device>, CaptureError> {
    let refused = |e| refused(&Ear::Output(DEFAULT.into()), e);
    let mut server = Server::connect()?;
    server.sink(protocol::DEFAULT_SINK).map_err(refused)?;
    let sinks: Vec<SinkInfo> = server.ask(&Command::GetSinkInfoList).map_err(refused)?;
    let mut list = vec![Device { id: DEFAULT.into(), name: "What this computer plays".into(), is_default: true }];
    list.extend(sinks.into_iter().take(MOST).map(|sink| {
        let text = |words: &CStr| words.to_string_lossy().into_owned();
        let name = text(sink.description.as_deref().unwrap_or(&sink.name));
        Device { id: text(&sink.name), name, is_default: false }
    }));
    Ok(list)
}

fn refused(ear: &Ear, error: ProtocolError) -> CaptureError {
    match error {
        ProtocolError::ServerError(PulseError::NoEntity) if matches!(ear, Ear::Output(id) if id == DEFAULT) => {
            CaptureError::NoOutput { reason: NONE_SET_UP.into() }
        }
        ProtocolError::ServerError(PulseError::NoEntity) => AvError::Gone { device: ear.name() }.into(),
        // The server's own word without ours before it.
        ProtocolError::ServerError(error) => CaptureError::NoOutput { reason: error.to_string() },
        ProtocolError::Io(error) => CaptureError::NoOutput { reason: error.to_string() },
        error => CaptureError::NoOutput { reason: error.to_string() },
    }
}

fn name_of(id: &str) -> Result<CString, CaptureError> {
    let gone = |_| AvError::Gone { device: Ear::Output(id.to_owned()).name() }.into();
    if id == DEFAULT { Ok(protocol::DEFAULT_SINK.to_owned()) } else { CString::new(id).map_err(gone) }
}

impl Server {
    fn connect() -> Result<Self, CaptureError> {
        let none = |reason: String| CaptureError::NoOutput { reason };
        let path = pulseaudio::socket_path_from_env().ok_or_else(|| none("no sound server runs".into()))?;
        let socket = UnixStream::connect(path).map_err(|e| none(e.to_string()))?;
        let mut server = Self { socket, version: protocol::MAX_VERSION, sequence: 0, input: Vec::new() };
        server.greet().map_err(|e| none(e.to_string()))?;
        Ok(server)
    }

    fn greet(&mut self) -> Result<(), ProtocolError> {
        self.socket.set_write_timeout(Some(REPLY))?;
        let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
        let cookie = cookie.filter(|cookie| cookie.len() == COOKIE).unwrap_or_else(|| vec![0; COOKIE]);
        let auth = AuthParams { version: self.version, supports_shm: false, supports_memfd: false, cookie };
        let reply: AuthReply = self.ask(&Command::Auth(auth))?;
        self.version = self.version.min(reply.version);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"Mujian");
        let _: SetClientNameReply = self.ask(&Command::SetClientName(props))?;
        Ok(())
    }

    fn sink(&mut self, name: &CStr) -> Result<SinkInfo, ProtocolError> {
        self.ask(&Command::GetSinkInfo(GetSinkInfo { index: None, name: Some(name.to_owned()) }))
    }

    fn record(&mut self, sink: &SinkInfo) -> Result<CreateRecordStreamReply, ProtocolError> {
        let monitor = sink.monitor_source_index.ok_or(ProtocolError::ServerError(PulseError::NoEntity))?;
        self.ask(&Command::CreateRecordStream(RecordStreamParams {
            // The server converts, and mixes surround down.
            sample_spec: SampleSpec { format: SampleFormat::Float32Le, channels: 2, sample_rate: RATE },
            channel_map: ChannelMap::stereo(),
            source_index: Some(monitor),
            buffer_attr: BufferAttr { fragment_size: FRAGMENT, ..BufferAttr::default() },
            flags: StreamFlags { no_move: true, adjust_latency: true, ..StreamFlags::default() },
            ..RecordStreamParams::default()
        }))
    }

    /// Reads the stream until it is closed, or the output is another one.
    fn read(
        &mut self,
        stream: &CreateRecordStreamReply,
        sink: &SinkInfo,
        name: &CStr,
        clock: Clock,
        sender: &SyncSender<Message>,
        closed: &Receiver<()>,
    ) -> Result<End, ProtocolError> {
        let (mut due, mut asked) = (Instant::now(), None::<(u32, u32, Instant)>);
        // How much later than it was played what comes now is.
        let mut age = MediaTime::ZERO;
        loop {
            if closed.try_recv() != Err(TryRecvError::Empty) {
                return Ok(End::Closed);
            }
            let now = Instant::now();
            match asked {
                Some((_, _, at)) if now.saturating_duration_since(at) > REPLY => return Err(ProtocolError::Timeout),
                None if now >= due => {
                    let wanted = GetSinkInfo { index: None, name: Some(name.to_owned()) };
                    let output = self.send(&Command::GetSinkInfo(wanted))?;
                    let params = LatencyParams { channel: stream.channel, now: std::time::SystemTime::now() };
                    let latency = self.send(&Command::GetRecordLatency(params))?;
                    asked = Some((output, latency, now));
                    due = now + ASK;
                }
                _ => {}
            }
            let Some((channel, bytes)) = self.message(Instant::now() + LOOK)? else { continue };
            if channel == stream.channel {
                let samples: Vec<Sample> = bytes.chunks_exact(SAMPLE).map(sample).collect();
                let length = MediaTime::from_scale(samples.len() as i64, RATE);
                let at = clock.now().saturating_sub(length).saturating_sub(age);
                // A full channel means that our listener hangs: what comes now is lost.
                let _ = sender.try_send(Message::Chunk(Chunk { at, samples }));
            } else if channel == COMMANDS {
                let mut bytes = bytes.as_slice();
                let mut answer = TagStructReader::new(&mut bytes, self.version);
                let (tag, number) = (answer.read_enum::<CommandTag>()?, answer.read_u32()?);
                let of = |wanted: Option<u32>| wanted == Some(number);
                match tag {
                    CommandTag::RecordStreamKilled | CommandTag::RecordStreamMoved => return Ok(End::Moved),
                    CommandTag::Error if of(asked.map(|a| a.0)) || of(asked.map(|a| a.1)) => {
                        return Err(ProtocolError::ServerError(answer.read_enum()?));
                    }
                    CommandTag::Reply if of(asked.map(|a| a.0)) => {
                        let now: SinkInfo = answer.read()?;
                        if now.index != sink.index {
                            return Ok(End::Moved);
                        }
                    }
                    CommandTag::Reply if of(asked.map(|a| a.1)) => {
                        age = lateness(&answer.read()?);
                        asked = None;
                    }
                    _ => {}
                }
            }
        }
    }

    /// Asks, and waits for the answer. Nothing else is expected meanwhile.
    fn ask<R: CommandReply>(&mut self, command: &Command) -> Result<R, ProtocolError> {
        let (sequence, until) = (self.send(command)?, Instant::now() + REPLY);
        loop {
            let (channel, bytes) = self.message(until)?.ok_or(ProtocolError::Timeout)?;
            if channel != COMMANDS {
                continue;
            }
            let mut bytes = bytes.as_slice();
            let mut answer = TagStructReader::new(&mut bytes, self.version);
            match (answer.read_enum()?, answer.read_u32()?) {
                (CommandTag::Reply, number) if number == sequence => return answer.read(),
                (CommandTag::Error, number) if number == sequence => {
                    return Err(ProtocolError::ServerError(answer.read_enum()?));
                }
                _ => {}
            }
        }
    }

    fn send(&mut self, command: &Command) -> Result<u32, ProtocolError> {
        self.sequence += 1;
        protocol::write_command_message(&mut self.socket, self.sequence, command, self.version)?;
        Ok(self.sequence)
    }

    /// The next message and its channel; none: not by then.
    fn message(&mut self, until: Instant) -> Result<Option<(u32, Vec<u8>)>, ProtocolError> {
        let mut piece = [0; 16 << 10];
        loop {
            if self.input.len() >= protocol::DESCRIPTOR_SIZE {
                let head = protocol::read_descriptor(&mut self.input.as_slice())?;
                let length = head.length as usize;
                if length > MESSAGE {
                    return Err(ProtocolError::Invalid(format!("a message of {length} bytes")));
                }
                let end = protocol::DESCRIPTOR_SIZE + length;
                if self.input.len() >= end {
                    let body = self.input[protocol::DESCRIPTOR_SIZE..end].to_vec();
                    self.input.drain(..end);
                    return Ok(Some((head.channel, body)));
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the sound server hung up").into()),
                Ok(read) => self.input.extend_from_slice(&piece[..read]),
                Err(error) if is_passing(error.kind()) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

const fn is_passing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// What was taken from a monitor is heard only when the output has played it.
fn lateness(told: &RecordLatency) -> MediaTime {
    let time = |micros: u64| MediaTime::from_duration(Duration::from_micros(micros).min(LATENESS));
    time(told.source_usec).saturating_sub(time(told.sink_usec))
}

fn sample(bytes: &[u8]) -> Sample {
    let value = |at: usize| {
        let value = f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if value.is_finite() { value.clamp(-8.0, 8.0) } else { 0.0 }
    };
    [value(0), value(4)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_and_never_a_non_number() {
        let bytes = |left: f32, right: f32| [left.to_le_bytes(), right.to_le_bytes()].concat();
        assert_eq!(sample(&bytes(0.5, -0.25)), [0.5, -0.25]);
        assert_eq!(sample(&bytes(f32::NAN, f32::INFINITY)), [0.0, 0.0]);
    }

    #[test]
    fn what_is_played_later_counts_later() {
        let told = |source_usec, sink_usec| RecordLatency {
            sink_usec,
            source_usec,
            playing: true,
            local_time: std::time::SystemTime::UNIX_EPOCH,
            remote_time: std::time::SystemTime::UNIX_EPOCH,
            write_offset: 0,
            read_offset: 0,
        };
        assert_eq!(lateness(&told(20_000, 0)), MediaTime::from_millis(20));
        assert_eq!(lateness(&told(0, 30_000)), MediaTime::from_millis(-30));
        assert_eq!(lateness(&told(0, u64::MAX)), MediaTime::from_millis(-1000), "and within bounds");
    }

    #[test]
    fn a_server_is_read_in_pieces_and_not_believed() {
        use std::io::Write as _;

        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut server = Server { socket: ours, version: protocol::MAX_VERSION, sequence: 0, input: Vec::new() };
        let soon = || Instant::now() + Duration::from_millis(20);
        let message = |length: u32, body: &[u8]| {
            let mut bytes = Vec::new();
            let flags = protocol::DescriptorFlags::empty();
            let head = protocol::Descriptor { length, channel: 3, offset: 0, flags };
            protocol::write_descriptor(&mut bytes, &head).unwrap();
            bytes.extend_from_slice(body);
            bytes
        };
        let whole = message(4, b"abcd");
        theirs.write_all(&whole[..10]).unwrap();
        assert!(server.message(soon()).unwrap().is_none());
        theirs.write_all(&whole[10..]).unwrap();
        assert_eq!(server.message(soon()).unwrap(), Some((3, b"abcd".to_vec())));
        theirs.write_all(&message(u32::MAX, b"")).unwrap();
        assert!(matches!(server.message(soon()), Err(ProtocolError::Invalid(_))));
        server.input.clear();
        drop(theirs);
        assert!(matches!(server.message(soon()), Err(ProtocolError::Io(_))));
    }
}
