//! About the server itself: what it is, and whether it is well.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mujian_protocol::ErrorCode;
use mujian_protocol::api::{Role, ServerInfo};

use super::extract::{Peer, bearer};
use super::hosts::Listener;
use super::{Answer, Failure};
use crate::app::App;

/// What the server is.
#[utoipa::path(get, path = "/server", tag = "server", responses(
    (status = 200, description = "What the server is", body = ServerInfo),
))]
pub(super) async fn info(State(app): State<Arc<App>>, listener: Listener) -> Json<ServerInfo> {
    Json(ServerInfo {
        version: env!("CARGO_PKG_VERSION").into(),
        registration_open: app.config.registration_open,
        setup_needed: app.setup.code().is_some(),
        rtmp_port: app.rtmp_port(listener),
        rtmps_port: app.rtmps_port(),
    })
}

/// The process runs.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// The server can do its work.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.stop.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match app.store.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(error) => {
            tracing::warn!(%error, "The server is not ready.");
            (StatusCode::SERVICE_UNAVAILABLE, "the database cannot be read\n").into_response()
        }
    }
}

/// Prometheus's figures: for programs on this computer, and for the operator.
pub(super) async fn metrics(State(app): State<Arc<App>>, peer: Peer, headers: HeaderMap) -> Answer<Response> {
    let local = peer.address.is_loopback() && !peer.forwarded;
    if !local {
        let operator = match bearer(&headers) {
            Some(token) => app.accounts.session(&app.store, &app.clock, token).await?,
            None => None,
        };
        if operator.is_none_or(|(account, _)| account.role != Role::Operator) {
            return Err(Failure::new(
                ErrorCode::Forbidden,
                "The figures are for programs on the server's computer, and for its operator.",
            ));
        }
    }
    let text = crate::metrics::render();
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
