//! The handshake of the WebSocket that carries media (RFC 6455, 4.2).
//!
//! A stock library would frame and copy every message for every viewer; here messages are framed once a
//! room, so after the handshake the bare socket is taken from hyper.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use mujian_media::websocket::ViewerFrames;
use mujian_protocol::{ErrorCode, RoomId};
use sha1::{Digest, Sha1};

use super::admit;
use super::viewer::{Viewer, Wire};
use crate::api::Failure;
use crate::app::App;
use crate::grant::{Grant, Protocol};
use crate::http::into_stream;
use crate::rooms::Room;

/// RFC 6455, 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Takes a viewer in. The room need not be on air: the viewer waits for the stream to begin.
pub(super) async fn answer(app: &Arc<App>, room: &RoomId, mut request: Request) -> Result<Response, Failure> {
    let accept = accept(request.headers())?;
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    let (room, grant) = admit(app, room, Protocol::WebSocketMp4, &parts).await?;
    app.tasks.spawn(async move {
        // Fails if the viewer went away between its request and the answer.
        if let Ok(upgraded) = upgrade.await {
            begin(upgraded, &room, grant);
        }
    });
    let headers = [
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    Ok((StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response())
}

fn begin(upgraded: hyper::upgrade::Upgraded, room: &Arc<Room>, grant: Grant) {
    let Ok((stream, early)) = into_stream(upgraded) else {
        tracing::error!("A WebSocket came over a connection that is not ours.");
        return;
    };
    let wire = Wire::WebSocket { frames: ViewerFrames::default(), unanswered: 0 };
    let reader = room.fanout.programme().reader();
    room.fanout.join(|counted| {
        let keep = Arc::clone(room);
        let mut viewer = Viewer::new(stream, wire, Bytes::new(), reader, grant, (keep, counted));
        // A viewer may send before it has the answer; what it breaks by that shows when it sends more.
        let _ = viewer.take(&early);
        viewer
    });
}

/// Checks the handshake and gives `Sec-WebSocket-Accept`.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Failure> {
    let has = |name: header::HeaderName, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
        values.flat_map(|v| v.split(',')).any(|v| v.trim().eq_ignore_ascii_case(word))
    };
    if !has(header::UPGRADE, "websocket") || !has(header::CONNECTION, "upgrade") {
        return Err(Failure::with_status(
            StatusCode::UPGRADE_REQUIRED,
            ErrorCode::InvalidRequest,
            "This address is a WebSocket. Players take the same room's address that ends in .flv.",
        ));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let (Some(key), true) = (key, has(header::SEC_WEBSOCKET_VERSION, "13")) else {
        return Err(Failure::new(ErrorCode::InvalidRequest, "The WebSocket handshake is not of version 13."));
    };
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    HeaderValue::from_str(&STANDARD.encode(digest))
        .map_err(|_| Failure::new(ErrorCode::Internal, "The handshake failed."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_is_that_of_the_standard() {
        let mut headers = HeaderMap::new();
        let mut set = |name: header::HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
        set(header::UPGRADE, "websocket");
        set(header::CONNECTION, "keep-alive, Upgrade");
        set(header::SEC_WEBSOCKET_VERSION, "13");
        // RFC 6455, 1.3.
        set(header::SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(accept(&headers).unwrap(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        for (name, wrong) in [
            (header::UPGRADE, "h2c"),
            (header::CONNECTION, "close"),
            (header::SEC_WEBSOCKET_VERSION, "8"),
            (header::SEC_WEBSOCKET_KEY, "short"),
        ] {
            let mut headers = headers.clone();
            headers.insert(name.clone(), HeaderValue::from_static(wrong));
            assert!(accept(&headers).is_err(), "{name}");
        }
    }
}
