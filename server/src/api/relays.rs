//! Where a room is restreamed to: its owner's list of further addresses.
//!
//! Not even the operator reads or changes another's: stream keys of other platforms are at stake. A key goes in and does
//! not come out again.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mujian_media::rtmp::Secret;
use mujian_protocol::relay::{NewRelay, RELAY_KEY_MAX, RELAY_NAME_MAX, RELAYS_MAX, RelayPatch, RelayView};
use mujian_protocol::{ApiError, ErrorCode, Field, Problem, RelayId};

use super::absence::find_mine;
use super::accounts::to_the_end;
use super::extract::{Body, Caller, InPath, RoomPath};
use super::rooms::invalid;
use super::{Answer, Failure};
use crate::app::App;
use crate::relay::Added;
use crate::relay::address::Address;
use crate::rooms::Room;
use crate::store::{RelayChange, RelayRow};
use crate::text;

fn name(name: &str) -> Answer<String> {
    text::line(name, 1, RELAY_NAME_MAX).map_err(|e| invalid(Field::RelayName, "name", e))
}

async fn url(room: &Room, url: &str) -> Answer<String> {
    let address = Address::read(url).ok_or_else(|| {
        Failure::new(
            ErrorCode::InvalidRequest,
            "The address is not complete. Write it as rtmp://HOST/APP or rtmps://HOST/APP, without the stream key.",
        )
        .about(Problem::RelayAddress)
    })?;
    room.relays.check(&address).await?;
    Ok(url.trim().to_owned())
}

fn key(key: &str) -> Answer<Secret> {
    let key = key.trim();
    if key.is_empty() || key.len() > RELAY_KEY_MAX || !key.bytes().all(|b| b.is_ascii_graphic()) {
        let sentence =
            format!("The stream key is empty, longer than {RELAY_KEY_MAX} characters, or has some that no key has.");
        return Err(Failure::new(ErrorCode::InvalidRequest, sentence).about(Problem::RelayKey));
    }
    Ok(Secret::new(key))
}

fn none_of_this_id() -> Failure {
    Failure::new(ErrorCode::NotFound, "There is no such address any more.")
}

/// A call that makes the server connect somewhere.
fn take_turn(app: &App, caller: &Caller) -> Answer<()> {
    app.limits
        .relays
        .take(caller.account.id.clone(), app.clock.now())
        .map_err(|wait| Failure::too_often("Addresses to restream to were changed too often.", wait))
}

/// The further addresses to which the room is restreamed, and how each stands.
#[utoipa::path(get, path = "/rooms/{room}/relays", tag = "relays", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The addresses, the oldest first, without keys", body = Vec<RelayView>),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    RoomPath(id): RoomPath,
) -> Answer<Json<Vec<RelayView>>> {
    Ok(Json(find_mine(&app, &id, &caller).await?.relays.views()))
}

/// Adds an address. While the room is on air, and the address is on, the server publishes there what viewers see, from now
/// on.
#[utoipa::path(post, path = "/rooms/{room}/relays", tag = "relays", request_body = NewRelay, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 201, description = "The address, without its key", body = RelayView),
    (status = 400, description = "Name, address or key is not taken", body = ApiError),
    (status = 403, description = "The room belongs to somebody else, or the address lies in the server's own network", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
    (status = 409, description = "The room has as many as it may", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    caller: Caller,
    RoomPath(id): RoomPath,
    Body(new): Body<NewRelay>,
) -> Answer<(StatusCode, Json<RelayView>)> {
    let room = find_mine(&app, &id, &caller).await?;
    let row = RelayRow {
        id: RelayId::new(),
        name: name(&new.name)?,
        url: url(&room, &new.url).await?,
        key: key(&new.key)?,
        on: new.on,
        made_at: app.clock.wall(),
    };
    take_turn(&app, &caller)?;
    match to_the_end(&app.tasks, async move { Ok(room.relays.add(row).await?) }).await? {
        Added::Done(view) => Ok((StatusCode::CREATED, Json(*view))),
        Added::Full => Err(Failure::new(
            ErrorCode::Conflict,
            format!("A room is restreamed to at most {RELAYS_MAX} addresses. Delete one first."),
        )
        .about(Problem::RelaysFull { max: RELAYS_MAX as u32 })),
        Added::Gone => Err(Failure::no_room()),
    }
}

/// Changes an address: what is left out stays. Switched on where it is on already, it is tried again at once.
#[utoipa::path(patch, path = "/rooms/{room}/relays/{relay}", tag = "relays", request_body = RelayPatch,
    security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("relay" = String, Path, description = "The address's id")),
    responses(
    (status = 200, description = "As it is now", body = RelayView),
    (status = 400, description = "Name, address or key is not taken, or another address came without its key", body = ApiError),
    (status = 403, description = "The room belongs to somebody else, or the address lies in the server's own network", body = ApiError),
    (status = 404, description = "There is no such room or address", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((id, relay)): InPath<(String, RelayId)>,
    Body(patch): Body<RelayPatch>,
) -> Answer<Json<RelayView>> {
    let room = find_mine(&app, &id.parse().map_err(|_| Failure::no_room())?, &caller).await?;
    let mut change = RelayChange { on: patch.on, ..RelayChange::default() };
    if let Some(text) = &patch.name {
        change.name = Some(name(text)?);
    }
    if let Some(text) = &patch.key {
        change.key = Some(key(text)?);
    }
    if let Some(text) = &patch.url {
        let url = url(&room, text).await?;
        let known = room.relays.views().into_iter().find(|r| r.id == relay).ok_or_else(none_of_this_id)?;
        // A key goes nowhere but where it was given for.
        if change.key.is_none() && url != known.url {
            let sentence = "With another address the stream key is needed again.";
            return Err(Failure::new(ErrorCode::InvalidRequest, sentence).about(Problem::RelayKeyAgain));
        }
        change.url = Some(url);
    }
    take_turn(&app, &caller)?;
    let changed = to_the_end(&app.tasks, async move { Ok(room.relays.change(&relay, change).await?) }).await?;
    changed.map(Json).ok_or_else(none_of_this_id)
}

/// Deletes an address. What is published there ends.
#[utoipa::path(delete, path = "/rooms/{room}/relays/{relay}", tag = "relays", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("relay" = String, Path, description = "The address's id")),
    responses(
    (status = 204, description = "It is gone, with its key"),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room or address", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    InPath((id, relay)): InPath<(String, RelayId)>,
) -> Answer<StatusCode> {
    let room = find_mine(&app, &id.parse().map_err(|_| Failure::no_room())?, &caller).await?;
    let gone = to_the_end(&app.tasks, async move { Ok(room.relays.remove(&relay).await?) }).await?;
    if gone { Ok(StatusCode::NO_CONTENT) } else { Err(none_of_this_id()) }
}
