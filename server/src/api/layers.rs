//! What happens around every call.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use mujian_protocol::{ErrorCode, Problem};
use tracing::Instrument;

use super::{CALL_TIMEOUT, Failure, extract};
use crate::app::App;
use crate::limit::address_key;

/// A call that takes too long is given up.
pub(super) async fn time_limit(request: Request, next: Next) -> Response {
    match tokio::time::timeout(CALL_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::with_status(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::Internal,
            "The call took too long. Try again in a moment.",
        )
        .about(Problem::ServerSlow)
        .into_response(),
    }
}

/// One address gets so many calls.
pub(super) async fn per_address(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let peer = extract::peer(&parts, &app);
    match app.limits.requests.take(address_key(peer.address), app.clock.now()) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(wait) => Failure::too_often("Too many calls come from this address.", wait).into_response(),
    }
}

/// Counts calls and the time they took. The log has the path and never the query: tokens may be in it.
pub(super) async fn count(request: Request, next: Next) -> Response {
    let span = tracing::debug_span!("call", method = %request.method(), path = request.uri().path());
    let start = Instant::now();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, took) = (response.status(), start.elapsed());
    metrics::counter!("mujian_http_requests_total", "status" => status.as_str().to_owned()).increment(1);
    metrics::histogram!("mujian_http_request_seconds").record(took.as_secs_f64());
    span.in_scope(|| tracing::debug!(status = status.as_u16(), ?took, "A call was answered."));
    response
}

/// A fault of ours costs one call, not the connection's task, and says nothing of the inside.
pub(super) async fn no_panic(request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!("A call broke off.");
            Failure::new(ErrorCode::Internal, "The server has a fault; the call was not done.").into_response()
        }
    }
}

/// Whether a page of this origin may use the server: no origin (a program), the server's own, or one
/// that the operator allowed.
///
/// The server's own is the one whose host is the host that the request was sent to: a page of another
/// site cannot make a browser send another `Host` than the one it connects to.
#[must_use]
pub(super) fn origin_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if allowed.iter().any(|a| a == origin) {
        return true;
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let own = ["http://", "https://"].iter().find_map(|scheme| origin.strip_prefix(scheme));
    matches!((own, host), (Some(own), Some(host)) if own.eq_ignore_ascii_case(host))
}

/// Pages of origins that the operator allowed may call; browsers keep others from reading answers.
/// No cookie exists, so nothing is done in the name of a person whose page did not hold the token.
pub(super) async fn cross_origin(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let origin = request
        .headers()
        .get(header::ORIGIN)
        .filter(|o| o.to_str().is_ok_and(|o| app.config.allowed_origins.iter().any(|a| a == o)))
        .cloned();
    let Some(origin) = origin else { return next.run(request).await };
    let preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Authorization, Content-Type"));
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    } else {
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        let allowed = ["https://friend.example".to_owned()];
        let check = |origin: Option<&str>, host: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            origin_allowed(&headers, &allowed)
        };
        assert!(check(None, "a.example:8080"));
        assert!(check(Some("http://a.example:8080"), "a.example:8080"));
        assert!(check(Some("https://A.example"), "a.example"));
        assert!(check(Some("https://friend.example"), "a.example"));
        for bad in [
            "null",
            "http://evil.example",
            "http://a.example.evil.example",
            "http://a.example:81",
            "file://a.example",
            "",
        ] {
            assert!(!check(Some(bad), "a.example"), "{bad}");
        }
    }
}
