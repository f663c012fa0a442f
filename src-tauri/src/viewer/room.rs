//! A room's socket: the loop around [`Link`](super::link::Link).

use futures_util::{SinkExt as _, StreamExt as _};
use mujian_protocol::app::{LinkState, RoomChannelMessage};
use mujian_protocol::room::{ClientMessage, ServerMessage};
use mujian_protocol::{ApiError, ErrorCode, Problem, RoomId};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tracing::Instrument as _;

use super::link::{Do, Link};
use super::socket::{self, Socket};
use crate::api::Api;
use crate::clock;

/// Longest message of the server that is taken, in bytes: a welcome with its events.
const MESSAGE_MAX: usize = 1 << 20;

enum Order {
    Send(ClientMessage),
    Renew,
}

/// A room that is joined, and joined again by itself. Dropping it leaves the room.
#[derive(Debug)]
pub struct Room {
    orders: mpsc::Sender<Order>,
    joined: watch::Receiver<bool>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Room {
    /// Joins a room, to watch it or, as the studio, only to run it. `deliver` gets everything in order; it answers false when nobody listens any more.
    /// Must be called inside a tokio runtime.
    pub fn join(
        api: Api,
        id: &RoomId,
        watching: bool,
        deliver: impl FnMut(RoomChannelMessage) -> bool + Send + 'static,
    ) -> Self {
        let (orders, inbox) = mpsc::channel(32);
        let (is_joined, joined) = watch::channel(false);
        let span = tracing::info_span!("room", room = %id);
        let path = format!("/api/v1/rooms/{id}/socket");
        let session = Session { api, path, watching, deliver, is_joined, socket: None };
        let task = tokio::spawn(session.run(inbox).instrument(span));
        Self { orders, joined, task }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// `Unreachable` when the connection does not stand; the message is not kept.
    pub fn send(&self, message: ClientMessage) -> Result<(), ApiError> {
        if !*self.joined.borrow() {
            return Err(ApiError::new(
                ErrorCode::Unreachable,
                "The room is not connected just now. Try again in a moment.",
            )
            .about(Problem::ConnectionLost));
        }
        self.orders
            .try_send(Order::Send(message))
            .map_err(|_| ApiError::new(ErrorCode::RateLimited, "Too many messages at once. Wait a moment."))
    }

    /// Says hello again, as whoever is logged in now.
    pub fn renew(&self) {
        // A full inbox holds a renewal or messages that fail without one; the next hello mends both.
        let _ = self.orders.try_send(Order::Renew);
    }
}

struct Session<F> {
    api: Api,
    path: String,
    watching: bool,
    deliver: F,
    is_joined: watch::Sender<bool>,
    socket: Option<Socket>,
}

impl<F: FnMut(RoomChannelMessage) -> bool + Send> Session<F> {
    async fn run(mut self, mut inbox: mpsc::Receiver<Order>) {
        let mut link = Link::new(clock::now(), self.watching);
        loop {
            while let Some(action) = link.poll() {
                if !self.act(action, &mut link).await {
                    return;
                }
            }
            tokio::select! {
                order = inbox.recv() => match order {
                    None => return,
                    Some(Order::Renew) => link.renew(clock::now()),
                    Some(Order::Send(message)) => self.send(message, &mut link).await,
                },
                heard = next(&mut self.socket) => match heard {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str::<ServerMessage>(&text) {
                        Ok(message) => link.message(message, clock::now()),
                        // A newer server may say what this client does not know.
                        Err(error) => tracing::debug!(%error, "a message was not understood"),
                    },
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        self.socket = None;
                        link.closed(clock::now(), clock::jitter());
                    }
                    Some(Ok(_)) => {}
                },
                () = tokio::time::sleep_until(clock::deadline(link.deadline())) => {
                    link.tick(clock::now(), clock::jitter());
                }
            }
        }
    }

    /// False: nobody listens any more, or there is no such room.
    async fn act(&mut self, action: Do, link: &mut Link) -> bool {
        match action {
            Do::Connect => match self.connect().await {
                Ok(socket) => {
                    self.socket = Some(socket);
                    link.opened(self.api.token().map(|t| t.as_str().to_owned()), clock::now());
                }
                Err(error) => {
                    tracing::debug!(%error, "the room could not be joined");
                    link.closed(clock::now(), clock::jitter());
                    if error.code == ErrorCode::NotFound {
                        let refused = ServerMessage::Refused { client_ref: None, error };
                        (self.deliver)(RoomChannelMessage::Message { message: Box::new(refused) });
                        return false;
                    }
                }
            },
            Do::Close => self.socket = None,
            Do::Send(message) => self.send(message, link).await,
            Do::Deliver(message) => return (self.deliver)(RoomChannelMessage::Message { message }),
            Do::State(state) => {
                self.is_joined.send_replace(state == LinkState::Joined);
                return (self.deliver)(RoomChannelMessage::State { state });
            }
        }
        true
    }

    async fn connect(&mut self) -> Result<Socket, ApiError> {
        socket::open(&self.api.socket_url(&self.path)?, MESSAGE_MAX).await
    }

    async fn send(&mut self, message: ClientMessage, link: &mut Link) {
        let (Some(socket), Ok(text)) = (&mut self.socket, serde_json::to_string(&message)) else { return };
        let sending = tokio::time::timeout(std::time::Duration::from_secs(10), socket.send(Message::text(text)));
        if !matches!(sending.await, Ok(Ok(()))) {
            self.socket = None;
            link.closed(clock::now(), clock::jitter());
        }
    }
}

/// The next message; for ever none while there is no socket.
async fn next(socket: &mut Option<Socket>) -> Option<Result<Message, tokio_tungstenite::tungstenite::Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}
