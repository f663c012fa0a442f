//! What is left of a request's body when the answer is ready before all of it came: it is read and thrown away, within
//! bounds.
//!
//! A connection that is closed with unread bytes in it is reset, and the reset may reach a client before the answer
//! does (RFC 9112, 9.6): it would be told of a broken connection instead of what was wrong. And one that stays open is
//! closed by hyper all the same, when the client may have chosen it for its next call already.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::StreamExt;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::oneshot;

/// Most that is thrown away, in bytes: past that the connection is closed.
const BYTES_MAX: usize = 8 << 20;
/// Longest that is waited for it.
const TIME_MAX: Duration = Duration::from_secs(5);

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Option<Body>,
    back: Option<oneshot::Sender<Body>>,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(context);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let body = self.body.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Some(back)) = (body, self.back.take()) {
            // Whoever lent it may be gone, with the connection.
            let _ = back.send(body);
        }
    }
}

/// Lets the answer go out when the request has come whole, or closes the connection after it.
pub(super) async fn thrown_away(request: Request, next: Next) -> Response {
    // Who asks before sending does not send what was refused (RFC 9110, 10.1.1).
    if request.body().is_end_stream() || request.headers().contains_key(header::EXPECT) {
        return next.run(request).await;
    }
    let first_version = request.version() <= Version::HTTP_11;
    let (back, mut lent) = oneshot::channel();
    let request = request.map(|body| Body::new(Lent { body: Some(body), back: Some(back) }));
    let mut response = next.run(request).await;
    if let Ok(rest) = lent.try_recv()
        && !came_whole(rest.into_data_stream()).await
        && first_version
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn came_whole(mut rest: BodyDataStream) -> bool {
    let reading = async {
        let mut left = BYTES_MAX;
        while let Some(piece) = rest.next().await {
            match piece {
                Ok(piece) if piece.len() <= left => left -= piece.len(),
                _ => return false,
            }
        }
        true
    };
    tokio::time::timeout(TIME_MAX, reading).await.unwrap_or(false)
}
