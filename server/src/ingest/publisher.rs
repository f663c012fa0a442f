//! One publisher's connection.

use std::future;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mujian_media::flv::NotTaken;
use mujian_media::frame::FeedItem;
use mujian_media::rtmp::RtmpError;
use mujian_media::rtmp::server::{Event, PublishRequest, Refusal, Session};
use mujian_media::time::Now;
use mujian_protocol::api::RefusedPublisher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::{Span, debug, info, warn};

use super::access::{Admission, Denied, Publishers, program_name, room_of};
use super::burst::Burst;
use super::keyframes::KeyFrames;
use super::listener::Shared;
use crate::stage::{Feed, FeedClosed, PublishRefused, Publisher};

/// Most bytes that are read at once.
const READ: usize = 64 << 10;
/// A peer that does not take an answer for so long is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The store and the stage answer within this, or the publisher is told to try again.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// A closed connection's last words may take so long to be read.
const LINGER: Duration = Duration::from_secs(2);
const STOPPING: &str = "The server is stopping. It will be back soon; start the stream again in a minute.";

/// Serves a connection until it ends.
pub(super) async fn serve<P: Publishers>(
    tcp: TcpStream,
    address: IpAddr,
    number: u64,
    shared: Arc<Shared<P>>,
    stop: CancellationToken,
) {
    let now = shared.clock.now();
    let config = mujian_media::rtmp::server::Config { seed: number, ..shared.config.session.clone() };
    let mut connection = Connection {
        session: Session::new(config, now),
        tcp,
        address,
        number,
        shared,
        stop,
        feed: None,
        room: None,
        program: String::new(),
        burst: Burst::default(),
        key_frames: KeyFrames::default(),
        out: Vec::new(),
    };
    let end = connection.run().await;
    connection.close(&end).await;
}

/// Why a connection ended.
#[derive(Debug)]
enum End {
    /// The peer closed it, or it broke.
    Gone,
    /// We closed it after saying why.
    Told,
    /// The peer spoke nonsense, or too slowly.
    Protocol(RtmpError),
}

struct Connection<P: Publishers> {
    session: Session,
    tcp: TcpStream,
    address: IpAddr,
    number: u64,
    shared: Arc<Shared<P>>,
    stop: CancellationToken,
    feed: Option<Feed>,
    room: Option<P::Room>,
    /// What the publisher is called in front of people.
    program: String,
    burst: Burst,
    key_frames: KeyFrames,
    out: Vec<FeedItem>,
}

impl<P: Publishers> Connection<P> {
    async fn run(&mut self) -> End {
        let mut buffer = BytesMut::with_capacity(READ);
        loop {
            if !self.flush().await {
                return End::Gone;
            }
            if self.session.is_closed() {
                return End::Told;
            }
            let deadline = [self.session.deadline(), self.burst.deadline()].into_iter().flatten().min();
            let wait = deadline.map(|d| d.since(self.now()));
            let stop = self.stop.clone();
            tokio::select! {
                read = self.tcp.read_buf(&mut buffer) => match read {
                    Ok(0) | Err(_) => return End::Gone,
                    Ok(_) => {
                        let result = self.session.input(&buffer, self.now());
                        buffer.clear();
                        // What came before the mistake counts.
                        self.events().await;
                        if let Err(e) = result {
                            return End::Protocol(e);
                        }
                    }
                },
                () = sleep(wait) => {
                    let now = self.now();
                    if let Err(e) = self.session.tick(now) {
                        return End::Protocol(e);
                    }
                    self.burst.tick(now, &mut self.out);
                    self.hand_over().await;
                }
                why = closed(self.feed.as_ref()) => self.stage_closed(why),
                () = revoked(self.room.as_mut()) => self.revoked(),
                () = stop.cancelled() => self.session.refuse(Refusal::Unavailable, STOPPING),
            }
        }
    }

    fn now(&self) -> Now {
        self.shared.clock.now()
    }

    async fn events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::PublishRequested(request) => self.requested(&request).await,
                Event::Item(item) => {
                    let now = self.now();
                    if let (Some(far), Some(room)) = (self.key_frames.see(&item), &self.room) {
                        info!(
                            far,
                            "The publisher's key frames are further apart than they should be, or no longer are."
                        );
                        room.key_frames(far).await;
                    }
                    self.burst.push(item, now, &mut self.out);
                    self.hand_over().await;
                }
                Event::Metadata(m) => {
                    debug!(encoder = m.encoder, width = m.width, height = m.height, "The stream describes itself.");
                }
                Event::Ended => {
                    self.burst.release(&mut self.out);
                    self.hand_over().await;
                    if let Some(feed) = self.feed.take() {
                        feed.end().await;
                        info!("The publisher ended the stream.");
                    }
                }
            }
        }
    }

    async fn requested(&mut self, request: &PublishRequest) {
        let stop = self.stop.clone();
        let answer = tokio::select! {
            answer = tokio::time::timeout(ANSWER_TIMEOUT, self.let_in(request)) => answer,
            () = stop.cancelled() => return self.session.refuse(Refusal::Unavailable, STOPPING),
        };
        match answer.unwrap_or_else(|_| Err((Refusal::Unavailable, Denied::Unavailable.to_string()))) {
            Ok((feed, room)) => {
                (self.feed, self.room) = (Some(feed), Some(room));
                self.program = program_name(&request.program);
                (self.burst, self.key_frames) = (Burst::default(), KeyFrames::default());
                self.session.accept(self.now());
                metrics::counter!("mujian_ingest_accepted_total").increment(1);
                info!(program = request.program, "A publisher was let in.");
            }
            Err((refusal, sentence)) => {
                metrics::counter!("mujian_ingest_refused_total", "why" => "publish").increment(1);
                info!(program = request.program, reason = sentence, "A publisher was refused.");
                self.session.refuse(refusal, &sentence);
            }
        }
    }

    async fn let_in(&self, request: &PublishRequest) -> Result<(Feed, P::Room), (Refusal, String)> {
        let denied = |d: Denied| {
            let refusal = match d {
                Denied::Unavailable => Refusal::Unavailable,
                Denied::LeadsBack => Refusal::LeadsBack,
                _ => Refusal::Denied,
            };
            (refusal, d.to_string())
        };
        let room = room_of(request).map_err(denied)?;
        Span::current().record("room", room.as_str());
        let (stage, held) = match self.shared.publishers.authorise(&room, &request.key).await {
            Ok(found) => found,
            Err(d) => {
                let key = crate::limit::address_key(self.address);
                return Err(denied(match (d, self.shared.wrong_keys.take(key, self.now())) {
                    (Denied::WrongKey, Err(wait)) => Denied::TooMany(wait.as_secs() + 1),
                    (d, _) => d,
                }));
            }
        };
        if request.program_id.as_deref().is_some_and(|id| self.shared.publishers.leads_back(id)) {
            return Err(denied(Denied::LeadsBack));
        }
        let publisher = Publisher {
            id: self.number.to_string(),
            program: program_name(&request.program),
            address: self.address.to_string(),
            same_as: request.program_id.clone(),
            marks: request.marks,
        };
        let feed = stage.publish(publisher).await.map_err(|e| {
            let refusal = match e {
                PublishRefused::Busy { .. } => Refusal::BadName,
                PublishRefused::Gone => Refusal::Unavailable,
            };
            (refusal, e.to_string())
        })?;
        Ok((feed, held))
    }

    /// Gives the stage what may pass. While it waits the connection is not read, which slows the publisher down.
    async fn hand_over(&mut self) {
        let waits = self.out.len();
        for item in self.out.drain(..) {
            let Some(feed) = &self.feed else { return };
            tokio::select! {
                sent = feed.send(item) => if let Err(why) = sent {
                    self.feed = None;
                    self.session.refuse(refusal_of(why), &why.to_string());
                    return;
                },
                () = self.stop.cancelled() => return,
            }
        }
        if waits > 0 {
            self.burst.resumed(self.shared.clock.now());
        }
    }

    /// Whoever has the old key is out at once; viewers see a slate until somebody comes with the new one.
    fn revoked(&mut self) {
        (self.feed, self.room) = (None, None);
        info!("The publisher's stream key was renewed.");
        self.session.refuse(Refusal::Denied, &Denied::Renewed.to_string());
    }

    /// Many programs do not show why they were refused, so the room's owner is told as well.
    async fn tell_owner(&self, why: &NotTaken) {
        let Some(room) = &self.room else { return };
        room.not_taken(RefusedPublisher {
            program: self.program.clone(),
            address: self.address.to_string(),
            at: self.shared.clock.wall(),
            reason: why.sentence.clone(),
            problem: Box::new(why.problem.clone()),
        })
        .await;
    }

    fn stage_closed(&mut self, why: FeedClosed) {
        self.feed = None;
        info!(reason = %why, "The stage closed the feed.");
        self.session.refuse(refusal_of(why), &why.to_string());
    }

    /// Writes what the session has to say; false when the peer does not take it.
    async fn flush(&mut self) -> bool {
        while let Some(bytes) = self.session.poll_output() {
            match tokio::time::timeout(WRITE_TIMEOUT, self.tcp.write_all(&bytes)).await {
                Ok(Ok(())) => {}
                _ => return false,
            }
        }
        true
    }

    async fn close(mut self, end: &End) {
        let (skipped, last) = self.session.skipped();
        let dropped = self.burst.dropped();
        metrics::counter!("mujian_ingest_skipped_total").increment(skipped);
        metrics::counter!("mujian_ingest_dropped_total").increment(dropped);
        match end {
            End::Protocol(e) => warn!(error = %e, skipped, dropped, "The publisher's connection was closed."),
            _ => info!(skipped, last, dropped, "The publisher's connection has ended."),
        }
        if let Some(room) = &self.room
            && self.key_frames.are_far()
        {
            room.key_frames(false).await;
        }
        if let Some(feed) = self.feed.take() {
            // A codec that is not taken will not get better by waiting: the stream ends. Anything else
            // that was not said is a loss, and the stage waits for the publisher to come back.
            if let End::Protocol(RtmpError::Unsupported(reason)) = end {
                feed.end().await;
                self.tell_owner(reason).await;
            }
        }
        if matches!(end, End::Gone) || !self.flush().await {
            return;
        }
        // The sentence must arrive: closing with unread input would reset the connection and throw it away.
        let _ = self.tcp.shutdown().await;
        let mut rest = [0; 4096];
        let drain = async { while matches!(self.tcp.read(&mut rest).await, Ok(n) if n > 0) {} };
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}

async fn revoked<A: Admission>(room: Option<&mut A>) {
    match room {
        Some(room) => room.revoked().await,
        None => future::pending().await,
    }
}

fn refusal_of(why: FeedClosed) -> Refusal {
    match why {
        FeedClosed::TakenOver => Refusal::BadName,
        FeedClosed::Ended => Refusal::Failed,
        FeedClosed::Gone => Refusal::Unavailable,
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => future::pending().await,
    }
}

async fn closed(feed: Option<&Feed>) -> FeedClosed {
    match feed {
        Some(feed) => feed.closed().await,
        None => future::pending().await,
    }
}
