//! HTTP-FLV as hyper writes it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use mujian_media::flv;
use mujian_protocol::RoomId;

use super::admit;
use super::figures::Figures;
use crate::api::Failure;
use crate::app::App;
use crate::grant::{Grant, Protocol};
use crate::rooms::Room;
use crate::stage::programme::{ReadItem, Reader};

pub(super) const MIME: &str = "video/x-flv";

/// What an FLV stream begins with, before any tag.
pub(super) fn file_header() -> Bytes {
    Bytes::copy_from_slice(&flv::file_header(true, true))
}

pub(super) async fn answer(app: &Arc<App>, room: &RoomId, parts: &Parts) -> Result<Response, Failure> {
    let (room, grant) = admit(app, room, Protocol::HttpFlv, parts).await?;
    let mime = (header::CONTENT_TYPE, HeaderValue::from_static(MIME));
    if parts.method == Method::HEAD {
        return Ok([mime].into_response());
    }
    let watching = Watching::new(room, grant);
    let tags = futures_util::stream::unfold(watching, |mut watching| async move {
        let bytes = watching.next().await?;
        Some((Ok::<_, Infallible>(bytes), watching))
    });
    Ok(([mime], Body::from_stream(tags)).into_response())
}

/// A viewer whose connection hyper keeps. A socket that takes nothing is given up by the kernel.
struct Watching {
    reader: Reader,
    grant: Grant,
    /// Keeps the room in memory.
    _room: Arc<Room>,
    head: Option<Bytes>,
    config: Option<u64>,
    figures: &'static Figures,
}

impl Watching {
    fn new(room: Arc<Room>, grant: Grant) -> Self {
        let figures = Figures::flv();
        figures.viewers.increment(1.0);
        let reader = room.fanout.programme().reader();
        Self { reader, grant, _room: room, head: Some(file_header()), config: None, figures }
    }

    async fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        loop {
            let item = tokio::select! {
                biased;
                () = self.grant.wait_revoked() => return None,
                item = self.reader.next() => item,
            };
            match item {
                ReadItem::Chunk(chunk) => {
                    let tags = chunk.flv().clone();
                    let bytes = if self.config.replace(chunk.config.id) == Some(chunk.config.id) {
                        tags
                    } else {
                        [chunk.config.flv_headers_at(chunk.dts), tags].concat().into()
                    };
                    self.figures.bytes.increment(bytes.len() as u64);
                    return Some(bytes);
                }
                ReadItem::Skipped { chunks } => {
                    self.figures.skips.increment(1);
                    self.figures.skipped.increment(chunks);
                }
                ReadItem::End => return None,
            }
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.figures.viewers.decrement(1.0);
    }
}
