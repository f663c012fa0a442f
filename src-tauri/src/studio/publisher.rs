//! One attempt to publish: a connection, the RTMP session on it, and the queue that feeds it.
//!
//! It never decides to try again; [`Machine`](super::machine::Machine) does.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use mujian_media::frame::FeedItem;
use mujian_media::rtmp::client::{Config, Event, Session};
use mujian_media::rtmp::{self, RtmpError};
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, HEARD};
use super::machine::{self, Input};
use super::outbox::Outbox;
use super::target::Target;
use crate::clock;

/// How long the system may refuse to take more bytes before the connection counts as dead.
const WRITE: Duration = Duration::from_secs(5);
/// Bytes gathered for one write at most: they cannot be dropped any more.
const BATCH: usize = 16 << 10;

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
    let mut connection = tokio::select! {
        opened = Connection::open(target) => opened.map_err(End::Lost)?,
        () = farewell.cancelled() => return Ok(()),
    };
    let mut config = Config::new(&target.app, &target.tc_url(), target.stream_name());
    config.program_id = Some(target.program.clone());
    config.marks = true;
    config.seed = rand::random();
    let mut session = Session::new(config, clock::now());
    let mut published = Some(published);
    let mut buffer = BytesMut::with_capacity(HEARD);
    outbox.connecting();
    loop {
        flush(&mut session, &mut connection, outbox).await?;
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
        // What is left at the end goes out, however full the line is.
        let last = farewell.is_cancelled();
        if session.is_publishing() && drain(&mut session, outbox, last)? {
            continue;
        }
        if last {
            session.end();
            flush(&mut session, &mut connection, outbox).await?;
            connection.goodbye().await;
            return Ok(());
        }
        let setup = session.deadline().unwrap_or_else(|| clock::now().plus(Duration::from_secs(3600)));
        buffer.clear();
        tokio::select! {
            read = connection.hear(&mut buffer) => match read? {
                0 => return Err(End::Lost(machine::connection_lost("the server closed it"))),
                _ => hear(&mut session, &buffer, outbox)?,
            },
            () = outbox.arrived(), if session.is_publishing() => {}
            () = farewell.cancelled() => {}
            () = tokio::time::sleep_until(clock::deadline(setup)) => session.tick(clock::now())?,
        }
    }
}

/// Hands a batch of what waits to the session. False: nothing waited.
fn drain(session: &mut Session, outbox: &Outbox, last: bool) -> Result<bool, End> {
    let (mut items, mut frames, mut size) = (0, 0, 0);
    while size < BATCH
        && let Some(item) = outbox.pop(last)
    {
        items += 1;
        if let FeedItem::Video(frame) = &item {
            frames += 1;
            size += frame.data.len();
        }
        session.send(&item).map_err(|e| End::Lost(machine::connection_lost(e)))?;
    }
    outbox.count(frames);
    Ok(items > 0)
}

/// Takes what the server says.
fn hear(session: &mut Session, bytes: &[u8], outbox: &Outbox) -> Result<(), RtmpError> {
    session.input(bytes, clock::now())?;
    if let Some(told) = session.acknowledged() {
        outbox.acknowledged(told);
    }
    Ok(())
}

/// Sends what the session has for the server, and listens meanwhile: what a slow line carries is known by that.
async fn flush(session: &mut Session, connection: &mut Connection, outbox: &Outbox) -> Result<(), End> {
    let lost = |why: &str| End::Lost(machine::connection_lost(why));
    let mut heard = BytesMut::with_capacity(HEARD);
    // After the goodbye nothing that is said changes anything.
    let was_closed = session.is_closed();
    while let Some(bytes) = session.poll_output() {
        let mut rest: &[u8] = &bytes;
        let mut taken = tokio::time::Instant::now();
        while !rest.is_empty() {
            let piece = rest.get(..BATCH).unwrap_or(rest);
            heard.clear();
            // Each write that takes something shows that the link lives, so the limit is for one, not for all.
            let moved = match tokio::time::timeout_at(taken + WRITE, connection.exchange(piece, &mut heard)).await {
                Ok(moved) => moved?,
                Err(_) => return Err(lost("nothing could be sent for 5 s")),
            };
            match moved.heard {
                Some(0) => return Err(lost("the server closed it")),
                Some(_) => hear(session, &heard, outbox)?,
                None => {}
            }
            if session.is_closed() && !was_closed {
                return Ok(());
            }
            match moved.wrote {
                Some(0) => return Err(lost("the server takes nothing")),
                Some(count) => {
                    outbox.wrote(count as u64);
                    rest = rest.get(count..).unwrap_or_default();
                    taken = tokio::time::Instant::now();
                }
                None => {}
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use mujian_media::frame::VideoFrame;
    use mujian_media::rtmp::server;
    use mujian_media::time::MediaTime;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    /// An acknowledgement (RTMP 1.0, 5.4.3) as one whole message.
    const ACKNOWLEDGED: [u8; 16] = [2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, 0, 0, 1];

    /// Takes the stream, then reads nothing any more, but goes on talking until nobody listens.
    async fn talk(mut stream: TcpStream) -> io::Result<()> {
        let mut session = server::Session::new(server::Config::default(), clock::now());
        let mut buffer = [0; 4096];
        while !session.is_publishing() {
            let count = stream.read(&mut buffer).await?;
            session.input(&buffer[..count], clock::now()).map_err(io::Error::other)?;
            if let Some(server::Event::PublishRequested(_)) = session.poll_event() {
                session.accept(clock::now());
            }
            while let Some(bytes) = session.poll_output() {
                stream.write_all(&bytes).await?;
            }
        }
        let mut often = tokio::time::interval(Duration::from_millis(50));
        loop {
            often.tick().await;
            stream.write_all(&ACKNOWLEDGED).await?;
        }
    }

    #[tokio::test]
    async fn a_server_that_talks_but_takes_nothing_is_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        socket2::SockRef::from(&listener).set_recv_buffer_size(16 << 10).unwrap();
        let target = Target {
            host: "127.0.0.1".into(),
            port: listener.local_addr().unwrap().port(),
            secure: false,
            openly: false,
            app: "live".into(),
            room: "room-1".parse().unwrap(),
            key: rtmp::Secret::new("k"),
            program: "p".into(),
            keys: None,
        };
        let outbox = Outbox::default();
        outbox.begins(MediaTime::ZERO, 2_500_000, 160_000);
        let farewell = CancellationToken::new();
        let server = async {
            let (stream, _) = listener.accept().await.unwrap();
            talk(stream).await
        };
        let pictures = async {
            let mut often = tokio::time::interval(Duration::from_millis(20));
            for n in 0.. {
                often.tick().await;
                let at = MediaTime::from_millis(n * 33);
                let data = Bytes::from(vec![0; 256 << 10]);
                outbox.push(FeedItem::Video(VideoFrame { dts: at, pts: at, key: true, data }));
            }
        };
        let ended = tokio::select! {
            ended = attempt(&target, &outbox, &farewell, || ()) => ended,
            end = server => panic!("the publisher goes by itself first: {end:?}"),
            () = pictures => unreachable!("pictures do not end"),
            () = tokio::time::sleep(12 * WRITE) => panic!("it waits for ever"),
        };
        let Input::Lost(error) = ended else { panic!("{ended:?}") };
        assert!(error.message.contains("nothing could be sent"), "{}", error.message);
    }
}
