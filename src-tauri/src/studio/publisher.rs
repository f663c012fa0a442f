//! One attempt to publish: a TCP connection, the RTMP session on it, and the queue that feeds it.
//!
//! It never decides to try again; [`Machine`](super::machine::Machine) does.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mujian_media::frame::FeedItem;
use mujian_media::rtmp::client::{Config, Event, Session};
use mujian_media::rtmp::{self, RtmpError};
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::machine::{self, Input};
use super::outbox::Outbox;
use super::target::Target;
use crate::clock;

/// How long the connection may take.
const CONNECT: Duration = Duration::from_secs(8);
/// How long the system may refuse to take more bytes before the connection counts as dead.
const WRITE: Duration = Duration::from_secs(5);
/// How long the server may take to close after the goodbye.
const CLOSE: Duration = Duration::from_secs(1);
/// Bytes that wait in the kernel before a write waits: past it the queue here can still drop.
const NOT_SENT: u32 = 64 << 10;
/// Bytes gathered for one write at most.
const BATCH: usize = 128 << 10;

/// Publishes until something ends it; the answer tells the machine what.
///
/// `published` is called once when the server takes the stream. `farewell`: send what waits, say goodbye.
pub async fn attempt(
    target: &Target,
    outbox: &Outbox,
    farewell: &CancellationToken,
    published: impl FnOnce() + Send,
) -> Input {
    let ended = run(target, outbox, farewell, published).await;
    outbox.close();
    match ended {
        Ok(()) => Input::Gone,
        Err(End::Lost(error)) => Input::Lost(error),
        Err(End::Refused(error)) => Input::Refused(error),
    }
}

enum End {
    Lost(ApiError),
    Refused(ApiError),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Lost(machine::connection_lost(error))
    }
}

impl From<RtmpError> for End {
    fn from(error: RtmpError) -> Self {
        // Already sentences for a person.
        Self::Lost(ApiError::new(ErrorCode::Unreachable, error.to_string()).about(Problem::ConnectionLost))
    }
}

async fn run(
    target: &Target,
    outbox: &Outbox,
    farewell: &CancellationToken,
    published: impl FnOnce() + Send,
) -> Result<(), End> {
    let mut stream = tokio::select! {
        stream = connect(target) => stream?,
        () = farewell.cancelled() => return Ok(()),
    };
    let mut config = Config::new(&target.app, &target.tc_url(), target.stream_name());
    config.program_id = Some(target.program.clone());
    config.marks = true;
    config.seed = rand::random();
    let mut session = Session::new(config, clock::now());
    let mut published = Some(published);
    let mut buffer = BytesMut::with_capacity(16 << 10);
    loop {
        flush(&mut session, &mut stream, outbox).await?;
        while let Some(event) = session.poll_event() {
            match event {
                Event::Publishing => {
                    outbox.open();
                    if let Some(published) = published.take() {
                        published();
                    }
                }
                Event::Refused { code, description } => return Err(refused(&code, &description)),
            }
        }
        if session.is_publishing() && drain(&mut session, outbox)? {
            continue;
        }
        if farewell.is_cancelled() {
            session.end();
            flush(&mut session, &mut stream, outbox).await?;
            return goodbye(stream).await;
        }
        let setup = session.deadline().unwrap_or_else(|| clock::now().plus(Duration::from_secs(3600)));
        buffer.clear();
        tokio::select! {
            read = stream.read_buf(&mut buffer) => match read? {
                0 => return Err(End::Lost(machine::connection_lost("the server closed it"))),
                _ => session.input(&buffer, clock::now())?,
            },
            () = outbox.arrived(), if session.is_publishing() => {}
            () = farewell.cancelled() => {}
            () = tokio::time::sleep_until(clock::deadline(setup)) => session.tick(clock::now())?,
        }
    }
}

async fn connect(target: &Target) -> Result<TcpStream, End> {
    let unreachable =
        |why: &dyn std::fmt::Display| {
            End::Lost(ApiError::new(
            ErrorCode::Unreachable,
            format!(
                "The server at {} port {} cannot be reached ({why}). Check the address, and that the server runs.",
                target.host, target.port
            ),
        )
        .about(Problem::ServerUnreachable { address: format!("{}:{}", target.host, target.port) }))
        };
    let stream = match tokio::time::timeout(CONNECT, TcpStream::connect((target.host.as_str(), target.port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreachable(&error)),
        Err(_) => return Err(unreachable(&"no answer")),
    };
    stream.set_nodelay(true)?;
    // A full pipe must show here, where pictures can be dropped, not in megabytes of kernel memory.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket2::SockRef::from(&stream).set_tcp_notsent_lowat(NOT_SENT)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    socket2::SockRef::from(&stream).set_send_buffer_size(4 * NOT_SENT as usize)?;
    Ok(stream)
}

/// Hands a batch of what waits to the session. False: nothing waited.
fn drain(session: &mut Session, outbox: &Outbox) -> Result<bool, End> {
    let (mut items, mut frames, mut size) = (0, 0, 0);
    while size < BATCH
        && let Some(item) = outbox.pop()
    {
        items += 1;
        if let FeedItem::Video(frame) = &item {
            frames += 1;
            size += frame.data.len();
        }
        session.send(&item).map_err(|e| End::Lost(machine::connection_lost(e)))?;
    }
    outbox.count(0, frames);
    Ok(items > 0)
}

async fn flush(session: &mut Session, stream: &mut TcpStream, outbox: &Outbox) -> Result<(), End> {
    while let Some(bytes) = session.poll_output() {
        let length = bytes.len() as u64;
        write(stream, &bytes).await?;
        outbox.count(length, 0);
    }
    Ok(())
}

async fn write(stream: &mut TcpStream, bytes: &Bytes) -> Result<(), End> {
    // Each write that takes something shows that the link lives, so the limit is for one, not for all.
    let mut rest: &[u8] = bytes;
    while !rest.is_empty() {
        match tokio::time::timeout(WRITE, stream.write(rest)).await {
            Ok(Ok(0)) => return Err(End::Lost(machine::connection_lost("the server takes nothing"))),
            Ok(Ok(n)) => rest = rest.get(n..).unwrap_or_default(),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => return Err(End::Lost(machine::connection_lost("nothing could be sent for 5 s"))),
        }
    }
    Ok(())
}

/// Waits until the server has read everything and closes too: closing first with unread bytes of the
/// server's would reset the connection and could lose the goodbye.
async fn goodbye(mut stream: TcpStream) -> Result<(), End> {
    // The goodbye is said; how the connection ends changes nothing.
    let _ = stream.shutdown().await;
    let _ = tokio::time::timeout(CLOSE, tokio::io::copy(&mut stream, &mut tokio::io::sink())).await;
    Ok(())
}

fn refused(code: &str, description: &str) -> End {
    let said = if description.is_empty() { "The server refused the stream." } else { description };
    let error = |kind| ApiError::new(kind, said);
    match code {
        rtmp::DENIED => End::Refused(error(ErrorCode::WrongStreamKey)),
        rtmp::BAD_NAME => End::Refused(error(ErrorCode::AlreadyPublishing)),
        // It is stopping, and will be back: the connection is lost, no more than that.
        rtmp::UNAVAILABLE => End::Lost(error(ErrorCode::Unreachable)),
        // What the app sends is taken everywhere, so the stream was ended.
        _ => End::Refused(error(ErrorCode::Conflict).about(Problem::StreamEnded)),
    }
}
