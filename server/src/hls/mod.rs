//! Low-latency HLS (RFC 8216bis): `/live/ROOM/index.m3u8`, for phones, players and caches.
//!
//! One task per room ([`Packager`]) cuts the programme into parts and segments, keeps the newest for live players
//! ([`Live`]) and hands whole ones to the recorder: live and replay are made of the same bytes. HTTP has no connection
//! that lasts as long as a viewer watches, so a viewer is a *session*: asking for `index.m3u8` begins one, it holds the
//! viewer's grant, every other address carries its name, and it ends when nothing was asked for in a while. The grant is
//! looked at for every playlist, part and segment.
//!
//! Playlists are never kept by caches. Parts and segments never change: their names carry the stream's beginning.

mod live;
mod packager;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use bytes::Bytes;
use mujian_media::hls::window::{Found, TARGET_SECONDS};
use mujian_protocol::{ErrorCode, RoomId};

pub use self::live::Live;
pub use self::packager::Packager;
use crate::api::Failure;
use crate::app::App;
use crate::egress::{ANY_ORIGIN, admit, preflight};
use crate::grant::{Grant, Protocol};

/// Whoever asks early is answered within this (6.2.5.2 of RFC 8216bis: three target durations).
const PATIENCE: Duration = Duration::from_secs(3 * TARGET_SECONDS as u64);
/// The first segment of a stream is there within this.
const FIRST_SEGMENT: Duration = Duration::from_secs(10);
/// The type of playlists (RFC 8216bis, 4).
pub(crate) const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// How long caches keep media: it never changes, but is not there for long either.
const MEDIA_CACHING: &str = "public, max-age=60, immutable";

/// The routes under `/live/ROOM/`.
pub fn router(app: &Arc<App>) -> Router {
    Router::new().route("/live/{room}/{file}", any(live_file)).with_state(Arc::clone(app))
}

async fn live_file(
    State(app): State<Arc<App>>,
    Path((room, file)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let room: Result<RoomId, _> = room.parse();
    let mut response = match (&parts.method, room) {
        (_, Err(_)) => Failure::no_room().into_response(),
        (&Method::OPTIONS, Ok(_)) => preflight(),
        (&Method::GET | &Method::HEAD, Ok(room)) => {
            answer(&app, &room, &file, &parts).await.unwrap_or_else(IntoResponse::into_response)
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
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

async fn answer(app: &Arc<App>, room: &RoomId, file: &str, parts: &Parts) -> Result<Response, Failure> {
    if file == "index.m3u8" {
        return begin(app, room, parts).await;
    }
    let query = Query::of(parts.uri.query().unwrap_or_default());
    let live = app.rooms.held(room).map(|room| Arc::clone(&room.hls));
    let gone = || {
        Failure::new(
            ErrorCode::Forbidden,
            "This address belongs to a viewer who went. Open the room's index.m3u8 again.",
        )
    };
    let live = live.ok_or_else(gone)?;
    let grant = live.session(&query.session, app.clock.now()).ok_or_else(gone)?;
    if grant.revoked() {
        return Err(revoked());
    }
    let found = if file == "media.m3u8" {
        let wanted = query.wanted()?;
        let suffix = format!("?s={}", query.session);
        let playlist = wait(app, &live, &grant, PATIENCE, |live| live.playlist(wanted, &suffix)).await?;
        playlist.map(playlist_response)
    } else {
        let file = wait(app, &live, &grant, PATIENCE, |live| live.file(file)).await?;
        let mime = (header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
        let caching = (header::CACHE_CONTROL, HeaderValue::from_static(MEDIA_CACHING));
        file.map(|pieces| {
            live.count(pieces.iter().map(Bytes::len).sum());
            ([mime, caching], media(pieces)).into_response()
        })
    };
    found.ok_or_else(|| Failure::new(ErrorCode::NotFound, "This piece of the stream is not there, or not any more."))
}

fn revoked() -> Failure {
    Failure::new(ErrorCode::Forbidden, "The right to watch this room was taken back.")
}

/// A body of several pieces, whose length is known.
fn media(pieces: Vec<Bytes>) -> (HeaderMap, Body) {
    let length: usize = pieces.iter().map(Bytes::len).sum();
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let pieces = pieces.into_iter().map(Ok::<_, std::convert::Infallible>);
    (headers, Body::from_stream(futures_util::stream::iter(pieces)))
}

pub(crate) fn playlist_response(text: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(PLAYLIST))], text).into_response()
}

/// Begins a session: the multivariant playlist (4.4.6) leads to the one rendition.
async fn begin(app: &Arc<App>, room: &RoomId, parts: &Parts) -> Result<Response, Failure> {
    let (room, grant) = admit(app, room, Protocol::Hls, parts).await?;
    let found = wait(app, &room.hls, &grant, FIRST_SEGMENT, |live| live.variant()).await?;
    let variant = found.ok_or_else(|| {
        Failure::new(ErrorCode::OffAir, "The room is not on air. Try again when the stream has begun.")
    })?;
    let session = room.hls.begin_session(grant, app.clock.now());
    let text = format!("#EXTM3U\n#EXT-X-VERSION:9\n{variant}\nmedia.m3u8?s={session}\n");
    Ok(playlist_response(text))
}

/// Asks again whenever there is more, until there is an answer. None: it will never be there.
async fn wait<T>(
    app: &App,
    live: &Live,
    grant: &Grant,
    patience: Duration,
    ask: impl Fn(&Live) -> Found<T>,
) -> Result<Option<T>, Failure> {
    let mut head = live.watch();
    let asking = async {
        loop {
            head.mark_unchanged();
            match ask(live) {
                Found::Now(value) => return Some(value),
                Found::Never => return None,
                Found::Later => {}
            }
            if head.changed().await.is_err() {
                return None;
            }
        }
    };
    let late = |what| Failure::with_status(StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Internal, what);
    tokio::select! {
        biased;
        () = grant.wait_revoked() => Err(revoked()),
        found = asking => Ok(found),
        () = app.stop.cancelled() => Err(late("The server is stopping. Try again in a moment.")),
        () = tokio::time::sleep(patience) => Err(late("The stream does not go on right now. Try again in a moment.")),
    }
}

/// What follows the question mark.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    session: String,
    segment: Option<String>,
    part: Option<String>,
}

impl Query {
    fn of(text: &str) -> Self {
        let mut query = Self::default();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            match name.as_ref() {
                "s" => query.session = value.into_owned(),
                "_HLS_msn" => query.segment = Some(value.into_owned()),
                "_HLS_part" => query.part = Some(value.into_owned()),
                _ => {}
            }
        }
        query
    }

    /// The segment and part that the playlist must have (6.2.5.2).
    fn wanted(&self) -> Result<Option<(u64, Option<usize>)>, Failure> {
        let wrong = || {
            Failure::new(
                ErrorCode::InvalidRequest,
                "_HLS_msn and _HLS_part are whole numbers, the second with the first.",
            )
        };
        match (&self.segment, &self.part) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(wrong()),
            (Some(segment), part) => {
                let segment = segment.parse().map_err(|_| wrong())?;
                let part = part.as_ref().map(|p| p.parse().map_err(|_| wrong())).transpose()?;
                Ok(Some((segment, part)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let wanted = |text| Query::of(text).wanted().ok();
        assert_eq!(wanted("s=a"), Some(None));
        assert_eq!(wanted("s=a&_HLS_msn=7&_HLS_part=2"), Some(Some((7, Some(2)))));
        assert_eq!(wanted("_HLS_part=2&_HLS_msn=7"), Some(Some((7, Some(2)))));
        for wrong in ["_HLS_part=2", "_HLS_msn=x", "_HLS_msn=-1", "_HLS_msn=1&_HLS_part=99999999999999999999999"] {
            assert_eq!(wanted(wrong), None, "{wrong}");
        }
    }
}
