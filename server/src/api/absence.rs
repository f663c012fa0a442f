//! Leaving for a while and coming back, what viewers vote on meanwhile, and what is owed for it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mujian_protocol::api::{BackAtRequest, BackRequest, LeaveRequest, RoomView};
use mujian_protocol::ballot::{
    BALLOT_SECONDS_MAX, BallotSettings, BallotSettingsPatch, BallotState, INTERACTION_MAX, INTERACTIONS_MAX,
    Interaction, VoteRequest,
};
use mujian_protocol::room::ServerMessage;
use mujian_protocol::{ApiError, BallotId, ErrorCode, Field, Problem, RoomId, WallTime};
use tokio::sync::mpsc;

use super::extract::{Body, BodyIfAny, Caller, InPath, RoomPath};
use super::rooms::{find, invalid, too_many};
use super::{Answer, Failure};
use crate::absence::{BackError, LeaveError};
use crate::app::App;
use crate::rooms::Room;
use crate::stage::Leave;
use crate::store::{RoomUpdate, Settled, StoreError};
use crate::text;

/// How far ahead a streamer may mean to be back, in milliseconds.
const BACK_AT_MAX: i64 = 24 * 60 * 60 * 1000;

impl From<LeaveError> for Failure {
    fn from(error: LeaveError) -> Self {
        let (code, problem) = match &error {
            LeaveError::Over => (ErrorCode::Conflict, Problem::LeaveOver),
            LeaveError::Closing(_) => (ErrorCode::Conflict, Problem::RoomClosing),
            LeaveError::NotKept(StoreError::Full) => (ErrorCode::Storage, Problem::LeaveNotKept),
            LeaveError::NotKept(_) => (ErrorCode::Internal, Problem::LeaveNotKept),
        };
        Self::new(code, error.to_string()).about(problem)
    }
}

impl From<BackError> for Failure {
    fn from(error: BackError) -> Self {
        match error {
            BackError::Closing(_) => Self::closing(),
            BackError::Store(error) => error.into(),
        }
    }
}

/// The room, if it is the caller's own. Whoever runs the server may do much; switch on somebody's
/// picture they may not.
pub(super) async fn find_mine(app: &App, id: &RoomId, caller: &Caller) -> Answer<Arc<Room>> {
    let room = find(app, id).await?;
    if room.row().owner.id == caller.account.id {
        Ok(room)
    } else {
        Err(Failure::new(ErrorCode::Forbidden, "Only the room's owner can do this.").about(Problem::NotYours))
    }
}

/// The streamer leaves for a while: viewers see a placeholder until they are back.
///
/// It holds when the answer comes: no picture goes out any more, and it is stored. It holds whether or not a publisher
/// is connected, and whether or not the room is on air: a stream that begins later begins away. Who is away and
/// leaves once more stays away; the sound goes on then only if both allow it. A placeholder that is not on the shelf, or
/// a time that cannot be, is refused with the streamer away all the same.
#[utoipa::path(post, path = "/rooms/{room}/leave", tag = "rooms", request_body = Option<LeaveRequest>, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The streamer is away", body = RoomView),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 400, description = "The streamer is away, but not told to be back when it is said", body = ApiError),
    (status = 404, description = "There is no such room; or the streamer is away, and there is no such placeholder", body = ApiError),
    (status = 409, description = "The stay away of this leave_id is over already; nothing changed", body = ApiError),
    (status = 507, description = "The picture is off, but that could not be stored: the disk is full", body = ApiError),
))]
pub(super) async fn leave(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    BodyIfAny(ask): BodyIfAny<LeaveRequest>,
) -> Answer<Json<RoomView>> {
    let room = find_mine(&app, &id, &caller).await?;
    let leave_id = ask.leave_id.unwrap_or_default();
    let now = app.clock.wall();
    let back_at = check_back_at(ask.back_at, now);
    let back_at_now = back_at.as_ref().ok().copied().flatten();
    let leave = Leave { leave_id, since: now, keep_sound: ask.keep_sound, back_at: back_at_now };
    let stay = room.absence.leave(leave).await?;
    tracing::info!(room = %room.id, "The streamer left, by a call.");
    // The picture is off by now; what takes its place never keeps that waiting, and cannot undo it.
    if let Some(placeholder) = ask.placeholder_id {
        room.shelf.pick(Some(placeholder), Some(&stay.leave_id)).await.map_err(|e| away_but(e.into()))?;
    }
    back_at.map_err(away_but)?;
    Ok(Json(room.view()))
}

/// A refusal of something that came with a leave, which holds.
fn away_but(failure: Failure) -> Failure {
    failure.preceded_by("You are away and your picture is off.")
}

/// A time that lies ahead, by a day at most.
fn check_back_at(at: Option<WallTime>, now: WallTime) -> Answer<Option<WallTime>> {
    match at.map(|at| at.millis().saturating_sub(now.millis())) {
        Some(ahead) if !(1..=BACK_AT_MAX).contains(&ahead) => Err(Failure::new(
            ErrorCode::InvalidRequest,
            "The time to be back at must lie ahead, by a day at most. Give another one, or none.",
        )
        .about(Problem::BackAtPast)),
        _ => Ok(at),
    }
}

/// When the streamer, who is away, means to be back. Viewers are shown it; nothing follows from it.
#[utoipa::path(put, path = "/rooms/{room}/back_at", tag = "rooms", request_body = BackAtRequest, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "Viewers are told", body = RoomView),
    (status = 400, description = "The time does not lie ahead, or too far", body = ApiError),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
    (status = 409, description = "The streamer is not away", body = ApiError),
))]
pub(super) async fn back_at(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    Body(ask): Body<BackAtRequest>,
) -> Answer<Json<RoomView>> {
    let room = find_mine(&app, &id, &caller).await?;
    let at = check_back_at(ask.back_at, app.clock.wall())?;
    if !room.absence.back_at(at).await? {
        let words = "You are not away, so there is no time to be back at. Leave first.";
        return Err(Failure::new(ErrorCode::Conflict, words).about(Problem::NotAway));
    }
    Ok(Json(room.view()))
}

/// The streamer is back. Where they are not away, or away by another leave than the one that is named, nothing
/// changes.
#[utoipa::path(post, path = "/rooms/{room}/back", tag = "rooms", request_body = Option<BackRequest>, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The room; its stage is live from the publisher's next key frame on", body = RoomView),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
    (status = 507, description = "The streamer is still away: the disk is full", body = ApiError),
))]
pub(super) async fn back(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    BodyIfAny(ask): BodyIfAny<BackRequest>,
) -> Answer<Json<RoomView>> {
    let room = find_mine(&app, &id, &caller).await?;
    room.absence.back(ask.leave_id.as_ref()).await?;
    tracing::info!(room = %room.id, "The streamer is back, by a call.");
    Ok(Json(room.view()))
}

/// What is voted on now, and what the streamer owes.
#[utoipa::path(get, path = "/rooms/{room}/ballot", tag = "rooms",
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The open ballot with its votes, if there is one, and what is owed", body = BallotState),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn ballot(State(app): State<Arc<App>>, RoomPath(id): RoomPath) -> Answer<Json<BallotState>> {
    let room = find(&app, &id).await?;
    Ok(Json(room.hub.ballot().await.map_err(closing)?))
}

fn closing<E>(_: E) -> Failure {
    Failure::closing()
}

/// Votes. An account has one vote, which takes the place of the one before.
#[utoipa::path(post, path = "/rooms/{room}/ballot/vote", tag = "rooms", request_body = VoteRequest, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The vote is kept; how the ballot stands", body = BallotState),
    (status = 400, description = "The ballot has no such option", body = ApiError),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
    (status = 409, description = "The ballot is not open", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn vote(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    Body(ask): Body<VoteRequest>,
) -> Answer<Json<BallotState>> {
    let room = find(&app, &id).await?;
    let voter = caller.account.id;
    app.limits
        .votes
        .take(voter.clone(), app.clock.now())
        .map_err(|wait| Failure::too_often("That was too fast.", wait))?;
    let (reply, mut answer) = mpsc::channel(1);
    room.hub.vote(voter, String::new(), (ask.ballot, ask.option), reply).await.map_err(closing)?;
    match answer.recv().await {
        Some(ServerMessage::Refused { error, .. }) => Err(error.into()),
        Some(_) => Ok(Json(room.hub.ballot().await.map_err(closing)?)),
        None => Err(closing(())),
    }
}

/// What viewers can vote for while the streamer is away.
#[utoipa::path(get, path = "/rooms/{room}/interactions", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "What is offered, and when", body = BallotSettings),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn interactions(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
) -> Answer<Json<BallotSettings>> {
    Ok(Json(find_mine(&app, &id, &caller).await?.row().ballot))
}

/// Changes what viewers can vote for, from the next ballot on.
#[utoipa::path(patch, path = "/rooms/{room}/interactions", tag = "rooms", request_body = BallotSettingsPatch, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "What is offered from now on", body = BallotSettings),
    (status = 400, description = "There are too many, one has no words that are taken, or the time is too long", body = ApiError),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn change_interactions(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    Body(patch): Body<BallotSettingsPatch>,
) -> Answer<Json<BallotSettings>> {
    let room = find_mine(&app, &id, &caller).await?;
    let mut ballot = room.row().ballot;
    ballot.enabled = patch.enabled.unwrap_or(ballot.enabled);
    ballot.seconds = patch.seconds.unwrap_or(ballot.seconds);
    if ballot.seconds > BALLOT_SECONDS_MAX {
        let words =
            format!("A ballot is open for at most {BALLOT_SECONDS_MAX} seconds; 0 is until the streamer is back.");
        return Err(Failure::new(ErrorCode::InvalidRequest, words));
    }
    if let Some(list) = patch.interactions {
        ballot.interactions = offered(list)?;
    }
    room.change(RoomUpdate { ballot: Some(ballot.clone()), ..RoomUpdate::default() }).await?;
    Ok(Json(ballot))
}

/// Each once, in the order given, words cleaned.
fn offered(list: Vec<Interaction>) -> Answer<Vec<Interaction>> {
    if list.len() > INTERACTIONS_MAX {
        return Err(too_many(Field::Interaction, "interactions", INTERACTIONS_MAX));
    }
    let key = |i: &Interaction| match i {
        Interaction::BuiltIn { key } => Err(*key),
        Interaction::Own { text } => Ok(text::name_key(text)),
    };
    let mut taken: Vec<Interaction> = Vec::with_capacity(list.len());
    for interaction in list {
        let interaction = match interaction {
            Interaction::Own { text } => {
                let text =
                    text::line(&text, 1, INTERACTION_MAX).map_err(|e| invalid(Field::Interaction, "interaction", e))?;
                Interaction::Own { text }
            }
            built_in @ Interaction::BuiltIn { .. } => built_in,
        };
        if !taken.iter().any(|t| key(t) == key(&interaction)) {
            taken.push(interaction);
        }
    }
    Ok(taken)
}

/// The streamer has done what was owed: everybody in the room is told.
#[utoipa::path(post, path = "/rooms/{room}/owed/{owed}/done", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("owed" = String, Path, description = "What is owed, by its id")), responses(
    (status = 204, description = "It is done, now or before"),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room, or it owes no such thing", body = ApiError),
))]
pub(super) async fn done(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    InPath(path): InPath<(String, String)>,
    caller: Caller,
) -> Answer<StatusCode> {
    let room = find_mine(&app, &id, &caller).await?;
    let unknown = || Failure::new(ErrorCode::NotFound, "The room owes no such thing.");
    let owed: BallotId = path.1.parse().map_err(|_| unknown())?;
    match room.hub.settle(owed).await? {
        Settled::Done(_) | Settled::Already => Ok(StatusCode::NO_CONTENT),
        Settled::Unknown => Err(unknown()),
    }
}
