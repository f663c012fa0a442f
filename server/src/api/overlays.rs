//! A room's overlay: the page that a program like OBS lays over its picture. Its address has a key of its own.
//!
//! With the key one reads along in the room's socket, and can do nothing else. The address has it after its `#`, so it
//! comes neither into requests nor into what a page tells others of where it was; the page says it in its hello.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mujian_protocol::ApiError;
use mujian_protocol::api::{OverlayKey, OverlayState};

use super::accounts::to_the_end;
use super::rooms::Own;
use super::{Answer, Failure};
use crate::account::SecretToken;
use crate::app::App;
use crate::rooms::Room;
use crate::store::OverlayRow;

/// Whether the overlay is switched on. Its key is not told again.
#[utoipa::path(get, path = "/rooms/{room}/overlay", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "Whether it is", body = OverlayState),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn get(Own(room): Own) -> Json<OverlayState> {
    let made_at = room.overlay().borrow().map(|overlay| overlay.made_at);
    Json(OverlayState { made_at })
}

/// Switches the overlay on, or gives it another key. An older one opens nothing from now on, and overlays that are shown
/// with it end at once.
#[utoipa::path(post, path = "/rooms/{room}/overlay", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 201, description = "The key. It is not told again", body = OverlayKey),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn renew(State(app): State<Arc<App>>, Own(room): Own) -> Answer<(StatusCode, Json<OverlayKey>)> {
    let key = SecretToken::new();
    let made_at = app.clock.wall();
    set(&app, room, Some(OverlayRow { key_hash: key.hash().0, made_at })).await?;
    Ok((StatusCode::CREATED, Json(OverlayKey { key: key.reveal(), made_at })))
}

/// Switches the overlay off. Those that are shown end at once.
#[utoipa::path(delete, path = "/rooms/{room}/overlay", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 204, description = "No key opens it any more"),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn switch_off(State(app): State<Arc<App>>, Own(room): Own) -> Answer<StatusCode> {
    set(&app, room, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is on the disk and what is in memory are one, also where whoever called is gone by then.
async fn set(app: &Arc<App>, room: Arc<Room>, overlay: Option<OverlayRow>) -> Answer<()> {
    let store = app.store.clone();
    let known = to_the_end(&app.tasks, async move { Ok(room.set_overlay(&store, overlay).await?) }).await?;
    if known { Ok(()) } else { Err(Failure::no_room()) }
}
