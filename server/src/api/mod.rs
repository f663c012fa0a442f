//! Everything under `/api/v1`, the pages, and what operators look at.
//!
//! A session is a token in `Authorization: Bearer`, for the app and for pages alike: a page keeps it in
//! its own `localStorage`. There is no cookie, so no site can make a browser act for a person here, and
//! no call needs a guard against that. Against stolen tokens stands the pages' policy, which runs no
//! script but the interface's own.

mod absence;
mod accounts;
mod error;
pub mod extract;
mod follows;
mod hall;
pub mod hosts;
mod layers;
mod leftover;
mod openapi;
mod overlays;
mod pages;
mod placeholders;
mod previews;
mod relays;
mod replays;
mod rooms;
mod server;
mod speed;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, patch, post, put};
use axum::{Json, Router};
use mujian_protocol::ErrorCode;

pub use error::Failure;

use crate::app::App;

/// Longest body of a call, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// Longest time that a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// What calls give.
type Answer<T> = Result<T, Failure>;

/// All routes that this module serves.
pub fn router(app: &Arc<App>) -> Router {
    let calls = Router::new()
        .route("/accounts", post(accounts::sign_up).get(accounts::find))
        .route("/accounts/{account}", patch(accounts::change))
        .route("/accounts/{account}/recovery", post(accounts::make_recovery))
        .route("/audit", get(accounts::audit))
        .route("/recovery", post(accounts::recover))
        .route("/sessions", post(accounts::log_in))
        .route("/sessions/others", delete(accounts::log_out_elsewhere))
        .route("/sessions/current", delete(accounts::log_out))
        .route("/me", get(accounts::me).patch(accounts::rename).delete(accounts::delete))
        .route("/me/export", get(accounts::export))
        .route("/me/password", put(accounts::change_password))
        .route("/me/rooms", get(rooms::mine))
        .route("/me/followed", get(follows::list))
        .route("/rooms", post(rooms::create).get(rooms::list))
        .route("/rooms/{room}", get(rooms::get).patch(rooms::change))
        .route("/rooms/{room}/cover", get(rooms::cover))
        .route("/rooms/{room}/owner", get(rooms::get_owned))
        .route("/rooms/{room}/stream_key", post(rooms::renew_key))
        .route("/rooms/{room}/end", post(rooms::end))
        .route("/rooms/{room}/leave", post(absence::leave))
        .route("/rooms/{room}/back", post(absence::back))
        .route("/rooms/{room}/back_at", put(absence::back_at))
        .route("/rooms/{room}/ballot", get(absence::ballot))
        .route("/rooms/{room}/ballot/vote", post(absence::vote))
        .route("/rooms/{room}/interactions", get(absence::interactions).patch(absence::change_interactions))
        .route("/rooms/{room}/owed/{owed}/done", post(absence::done))
        .route("/hall", get(hall::hall))
        .route("/rooms/{room}/announcement", get(hall::announcement).put(hall::announce).delete(hall::withdraw))
        .route("/rooms/{room}/follow", put(follows::follow).delete(follows::unfollow))
        .route("/rooms/{room}/followers", get(follows::followers))
        .route("/rooms/{room}/publishers", get(rooms::publishers))
        .route("/rooms/{room}/publishers/refused", get(rooms::refused))
        .route("/rooms/{room}/publishers/{publisher}/admit", post(rooms::admit))
        .route("/rooms/{room}/overlay", get(overlays::get).post(overlays::renew).delete(overlays::switch_off))
        .route("/rooms/{room}/relays", get(relays::list).post(relays::add))
        .route("/rooms/{room}/relays/{relay}", patch(relays::change).delete(relays::delete))
        .route("/rooms/{room}/tokens", post(rooms::watch_token))
        .route("/rooms/{room}/socket", get(rooms::open_socket))
        .route("/rooms/{room}/replays", get(replays::list))
        .route("/replays/{replay}", get(replays::get).delete(replays::delete))
        .route("/replays/{replay}/danmaku", get(replays::danmaku))
        .route("/rooms/{room}/placeholders", get(placeholders::list))
        .route("/rooms/{room}/placeholders/{placeholder}", patch(placeholders::change).delete(placeholders::delete))
        .route("/rooms/{room}/placeholders/{placeholder}/preview", get(placeholders::preview))
        .route("/rooms/{room}/placeholders/{placeholder}/file", get(placeholders::file))
        .route("/rooms/{room}/placeholders/{placeholder}/sound", get(placeholders::sound))
        .route("/rooms/{room}/away", post(placeholders::pick))
        .route("/review/placeholders", get(placeholders::waiting))
        .route("/review/placeholders/{placeholder}/verdict", post(placeholders::verdict))
        .route("/accounts/{account}/trust", put(placeholders::trust))
        .route("/setup", post(accounts::set_up))
        .route("/server", get(server::info))
        .route("/openapi.json", get(|| async { Json(openapi::document()) }))
        .fallback(|| async { Failure::new(ErrorCode::NotFound, "There is no such call.") })
        .method_not_allowed_fallback(|| async {
            Failure::with_status(
                StatusCode::METHOD_NOT_ALLOWED,
                ErrorCode::InvalidRequest,
                "This call does not take that method.",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(from_fn(layers::time_limit))
        // Uploads, what is sent to be measured, and pictures that may have to be drawn first, bound their size and time themselves.
        .route("/rooms/{room}/placeholders/{placeholder}/poster", get(placeholders::poster))
        .route("/rooms/{room}/placeholders", post(placeholders::add))
        .route("/rooms/{room}/placeholders/{placeholder}/sound", put(placeholders::set_sound))
        .route("/speed", post(speed::speed).layer(DefaultBodyLimit::disable()))
        .layer(from_fn_with_state(Arc::clone(app), layers::per_address))
        .layer(from_fn_with_state(Arc::clone(app), layers::cross_origin))
        .layer(from_fn(leftover::thrown_away))
        .layer(from_fn(layers::count));
    Router::new()
        .nest("/api/v1", calls)
        .route("/healthz", get(server::healthz))
        .route("/readyz", get(server::readyz))
        .route("/metrics", get(server::metrics))
        .fallback(pages::page)
        .with_state(Arc::clone(app))
}

/// What is put around everything that is served over HTTP, media included.
pub fn around(app: &Arc<App>, router: Router) -> Router {
    router
        .layer(from_fn_with_state(Arc::clone(app), hosts::known))
        .layer(from_fn(pages::secured))
        .layer(from_fn(layers::no_panic))
}
