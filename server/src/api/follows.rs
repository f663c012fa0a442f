//! Rooms that accounts follow. Whom one follows is told to oneself only, and how many follow a room to its owner only.

use std::cmp::Reverse;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mujian_protocol::api::{Followers, RoomView};
use mujian_protocol::room::Stage;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Caller, RoomPath};
use super::{Answer, Failure};
use crate::app::App;
use crate::store::Following;

/// Follows a room. Twice is as once.
#[utoipa::path(put, path = "/rooms/{room}/follow", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 204, description = "The account that calls follows the room"),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
    (status = 409, description = "It is one's own, or the account follows as many as it may", body = ApiError),
))]
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    RoomPath(room): RoomPath,
    caller: Caller,
) -> Answer<StatusCode> {
    let most = app.config.limits.rooms_followed;
    match app.store.follow(caller.account.id, room, app.clock.wall(), most).await? {
        Following::Done => Ok(StatusCode::NO_CONTENT),
        Following::NoRoom => Err(Failure::no_room()),
        Following::Gone => Err(Failure::unauthenticated()),
        Following::Own => {
            let words = "This is your own room; it cannot be followed by you.";
            Err(Failure::new(ErrorCode::Conflict, words).about(Problem::FollowsOwn))
        }
        Following::Full => {
            let words = format!("An account follows at most {most} rooms. Stop following one of those first.");
            Err(Failure::new(ErrorCode::Conflict, words).about(Problem::FollowsFull { max: most }))
        }
    }
}

/// Follows a room no more. One that is not followed, or is not there any more, is as well.
#[utoipa::path(delete, path = "/rooms/{room}/follow", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 204, description = "The account that calls does not follow the room"),
    (status = 401, description = "Nobody is logged in", body = ApiError),
))]
pub(super) async fn unfollow(
    State(app): State<Arc<App>>,
    RoomPath(room): RoomPath,
    caller: Caller,
) -> Answer<StatusCode> {
    app.store.unfollow(caller.account.id, room).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only rooms with a stream.
    #[serde(default)]
    live: bool,
}

/// The rooms that the account that calls follows: those with a stream first, the newest stream first; then those that
/// were on air last.
#[utoipa::path(get, path = "/me/followed", tag = "rooms", params(ListQuery), security(("session" = [])), responses(
    (status = 200, description = "The rooms", body = Vec<RoomView>),
    (status = 401, description = "Nobody is logged in", body = ApiError),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    caller: Caller,
    Asked(query): Asked<ListQuery>,
) -> Answer<Json<Vec<RoomView>>> {
    let rows = app.store.followed(caller.account.id, app.config.limits.rooms_followed).await?;
    let mut views: Vec<RoomView> = rows.iter().map(|row| app.rooms.view(row)).collect();
    views.retain(|view| !query.live || view.stage != Stage::Off);
    // Within each half the store's order stays: what began or ended last comes first.
    views.sort_by_key(|view| (view.stage == Stage::Off, Reverse(view.live_since)));
    Ok(Json(views))
}

/// How many follow a room.
#[utoipa::path(get, path = "/rooms/{room}/followers", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "How many", body = Followers),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn followers(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
) -> Answer<Json<Followers>> {
    let row = app.store.room(id.clone()).await?.ok_or_else(Failure::no_room)?;
    // Not the operator's either: it is nothing that has to be known to run a server.
    if row.owner.id != caller.account.id {
        let words = "How many follow a room is told to its owner only.";
        return Err(Failure::new(ErrorCode::Forbidden, words).about(Problem::NotYours));
    }
    Ok(Json(Followers { followers: app.store.followers(id).await? }))
}
