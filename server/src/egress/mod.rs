//! The programme's ways out to viewers: FLV over HTTP and fragmented MP4 over a WebSocket.
//!
//! Everything is packed once a room ([`crate::stage::programme`]); here it is only written. A viewer is a
//! socket and a place in the ring, in one of its room's few tasks ([`Fanout`]): nobody waits for anybody,
//! and who falls behind by age skips to the newest key frame. Every viewer holds a grant that is looked
//! at before every chunk.
//!
//! | path | what |
//! | --- | --- |
//! | [`direct`] | HTTP-FLV whose request is the first on its connection: past hyper, straight to the socket |
//! | [`flv`] | HTTP-FLV otherwise (a kept-alive connection): hyper writes it |
//! | [`websocket`] | the handshake; then the socket is taken from hyper |

mod direct;
mod fanout;
mod figures;
mod flv;
mod shard;
mod viewer;
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use mujian_protocol::{ErrorCode, RoomId};

pub(crate) use self::direct::take as take_directly;
pub use self::fanout::Fanout;
use crate::api::Failure;
use crate::api::extract;
use crate::app::App;
use crate::grant::{Grant, GrantRequest, Protocol};
use crate::rooms::Room;

/// The routes under `/live/`.
pub fn router(app: &Arc<App>) -> Router {
    Router::new().route("/live/{file}", any(live)).with_state(Arc::clone(app))
}

/// Media carries no cookies and is the same for everybody, so pages of any origin may play it; a room that
/// is not free asks for a token in the address.
pub(crate) const ANY_ORIGIN: (header::HeaderName, HeaderValue) =
    (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));

async fn live(State(app): State<Arc<App>>, Path(file): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let known = Wanted::of(&file);
    let mut response = match (&parts.method, known) {
        (_, None) => Failure::no_room().into_response(),
        (&Method::OPTIONS, Some(_)) => preflight(),
        (&Method::GET | &Method::HEAD, Some(Wanted { room, protocol: Protocol::HttpFlv })) => {
            flv::answer(&app, &room, &parts).await.unwrap_or_else(IntoResponse::into_response)
        }
        (&Method::GET, Some(Wanted { room, protocol: Protocol::WebSocketMp4 })) => {
            let request = Request::from_parts(parts, body);
            websocket::answer(&app, &room, request).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => Failure::with_status(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::InvalidRequest,
            "Media can only be fetched: use GET.",
        )
        .into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(ANY_ORIGIN.0, ANY_ORIGIN.1);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(crate) fn preflight() -> Response {
    let methods = (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    let headers = (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Range"));
    (StatusCode::NO_CONTENT, [methods, headers]).into_response()
}

/// What an address under `/live/` stands for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    room: RoomId,
    protocol: Protocol,
}

impl Wanted {
    /// `ROOM.flv` or `ROOM.mp4`.
    fn of(file: &str) -> Option<Self> {
        let (room, kind) = file.rsplit_once('.')?;
        let protocol = match kind {
            "flv" => Protocol::HttpFlv,
            "mp4" => Protocol::WebSocketMp4,
            _ => return None,
        };
        Some(Self { room: room.parse().ok()?, protocol })
    }
}

/// Finds the room and the viewer's right to watch it.
pub(crate) async fn admit(
    app: &Arc<App>,
    room: &RoomId,
    protocol: Protocol,
    parts: &Parts,
) -> Result<(Arc<Room>, Grant), Failure> {
    let room = app.rooms.get(room).await?.ok_or_else(Failure::no_room)?;
    if matches!(protocol, Protocol::HttpFlv | Protocol::Hls) && !room.on_air() {
        return Err(Failure::with_status(
            StatusCode::NOT_FOUND,
            ErrorCode::OffAir,
            "The room is not on air. Try again when the stream has begun.",
        ));
    }
    let query = parts.uri.query().unwrap_or_default();
    let token = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    let account = token.and_then(|(_, token)| app.watch_tokens.check(&token, &room.id, app.clock.now()));
    let address = extract::peer(parts, app).address;
    let grant = room.grants.issue(GrantRequest { account, address, protocol })?;
    Ok((room, grant))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let wanted = |file| Wanted::of(file).map(|w| (w.room.as_str().to_owned(), w.protocol));
        assert_eq!(wanted("room.flv"), Some(("room".into(), Protocol::HttpFlv)));
        assert_eq!(wanted("room.mp4"), Some(("room".into(), Protocol::WebSocketMp4)));
        for wrong in ["room", "room.ts", ".flv", "RO OM.flv", "room.flv.exe"] {
            assert_eq!(wanted(wrong), None, "{wrong}");
        }
    }
}
