//! The programme's bytes: fragments over a WebSocket, joined again by itself.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use mujian_media::backoff::Backoff;
use mujian_protocol::api::WatchToken;
use mujian_protocol::app::MediaState;
use mujian_protocol::{ApiError, ErrorCode, RoomId};
use reqwest::Method;
use tokio_tungstenite::tungstenite::Message;
use tracing::Instrument as _;

use super::socket;
use crate::api::Api;
use crate::clock;

/// Longest message that is taken, in bytes: one fragment with its key frame.
const MESSAGE_MAX: usize = 16 << 20;
/// The programme always sends something; silence for this long is a dead connection.
const SILENCE: Duration = Duration::from_secs(5);

/// A programme that is watched. Dropping it stops.
#[derive(Debug)]
pub struct Media {
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Media {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a watcher gets.
#[derive(Debug)]
pub enum Piece {
    /// An init segment or a fragment, whole.
    Data(Bytes),
    /// The connection stands otherwise now.
    State(MediaState),
}

impl Media {
    /// Watches a room. `deliver` gets everything in order; it answers false when nobody listens any more.
    /// Must be called inside a tokio runtime.
    pub fn watch(api: Api, room: &RoomId, deliver: impl FnMut(Piece) -> bool + Send + 'static) -> Self {
        let span = tracing::info_span!("media", room = %room);
        Self { task: tokio::spawn(run(api, room.clone(), deliver).instrument(span)) }
    }
}

async fn run(api: Api, room: RoomId, mut deliver: impl FnMut(Piece) -> bool) {
    let mut backoff = Backoff::default();
    let mut token = None;
    loop {
        let lost = match connection(&api, &room, token.as_ref(), &mut backoff, &mut deliver).await {
            Over::Gone => return,
            Over::Off => {
                deliver(Piece::State(MediaState::Ended));
                return;
            }
            // A room that asks for a token: fetched once for each refusal, so a revoked one is not fought for.
            Over::Lost(error) if token.is_none() && wants_token(&error) => match watch_token(&api, &room).await {
                Ok(fresh) => {
                    token = Some(fresh);
                    continue;
                }
                Err(error) => error,
            },
            Over::Lost(error) => error,
        };
        token = None;
        if !deliver(Piece::State(MediaState::Lost { reason: lost.message })) {
            return;
        }
        tokio::time::sleep(backoff.failed(clock::jitter())).await;
    }
}

enum Over {
    /// Nobody listens any more.
    Gone,
    /// The room is not on air, or there is no such room.
    Off,
    Lost(ApiError),
}

fn wants_token(error: &ApiError) -> bool {
    matches!(error.code, ErrorCode::Unauthenticated | ErrorCode::Forbidden)
}

async fn watch_token(api: &Api, room: &RoomId) -> Result<String, ApiError> {
    let path = format!("/rooms/{room}/tokens");
    Ok(api.call::<WatchToken>(Method::POST, &path, None::<&()>).await?.token)
}

async fn connection(
    api: &Api,
    room: &RoomId,
    token: Option<&String>,
    backoff: &mut Backoff,
    deliver: &mut impl FnMut(Piece) -> bool,
) -> Over {
    let mut url = match api.socket_url(&format!("/live/{room}.mp4")) {
        Ok(url) => url,
        Err(error) => return Over::Lost(error),
    };
    if let Some(token) = token {
        url.query_pairs_mut().append_pair("token", token);
    }
    let mut socket = match socket::open(&url, MESSAGE_MAX).await {
        Ok(socket) => socket,
        Err(error) if matches!(error.code, ErrorCode::OffAir | ErrorCode::NotFound) => return Over::Off,
        Err(error) => return Over::Lost(error),
    };
    if !deliver(Piece::State(MediaState::Connected)) {
        return Over::Gone;
    }
    let mut pieces = 0u32;
    loop {
        match tokio::time::timeout(SILENCE, socket.next()).await {
            Ok(Some(Ok(Message::Binary(bytes)))) => {
                pieces = pieces.saturating_add(1);
                if pieces == 100 {
                    backoff.reset();
                }
                if !deliver(Piece::Data(bytes)) {
                    return Over::Gone;
                }
            }
            // A proper close is the end of the stream; asking again tells whether the room is off air.
            Ok(Some(Ok(Message::Close(_))) | None) => return Over::Lost(socket::lost("the server closed it")),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(error))) => return Over::Lost(socket::lost(error)),
            Err(_) => return Over::Lost(socket::lost("nothing came for 5 s")),
        }
    }
}
