//! What the hall has besides the rooms: what is announced for later, and what ended lately.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use mujian_protocol::api::TITLE_MAX;
use mujian_protocol::hall::{
    ANNOUNCED_DAYS_MAX, AnnouncedProgramme, Announcement, AnnouncementState, EndedProgramme, EndedReplay, HallView,
};
use mujian_protocol::{ApiError, ErrorCode, Field, Problem, RoomId, WallTime};

use super::extract::{Body, RoomPath};
use super::rooms::{Own, invalid};
use super::{Answer, Failure};
use crate::app::App;
use crate::replay::serve;
use crate::store::RecordingRow;
use crate::text;

/// Most of either in one answer.
const SHOWN: u32 = 12;
/// What ended longer ago is not lately any more, in milliseconds.
const LATELY: i64 = 3 * DAY;
const DAY: i64 = 24 * 3600 * 1000;

/// What rooms announce for later, and streams that ended in the last three days: at most twelve of each.
#[utoipa::path(get, path = "/hall", tag = "rooms", responses(
    (status = 200, description = "Both, for everybody", body = HallView),
))]
pub(super) async fn hall(State(app): State<Arc<App>>) -> Answer<Json<HallView>> {
    let now = app.clock.wall();
    let on_air = |room: &RoomId| app.rooms.held(room).is_some_and(|room| room.on_air());
    let announced = app.store.announced(now, SHOWN).await?;
    let announced: Vec<AnnouncedProgramme> = announced
        .into_iter()
        .filter(|(row, _)| !on_air(&row.id))
        .map(|(row, announced)| AnnouncedProgramme { room: app.rooms.view(&row), announced })
        .collect();
    let since = WallTime(now.millis().saturating_sub(LATELY));
    let mut ended = Vec::new();
    for stream in app.store.ended_since(since, SHOWN).await? {
        if on_air(&stream.room.id) {
            continue;
        }
        let recording = app.store.recording(stream.id).await?;
        ended.push(EndedProgramme {
            room: app.rooms.view(&stream.room),
            started_at: stream.started_at,
            ended_at: stream.ended_at,
            replay: recording.and_then(|row| replay(&app, row)),
        });
    }
    Ok(Json(HallView { announced, ended }))
}

/// A replay that everybody can watch.
fn replay(app: &App, row: RecordingRow) -> Option<EndedReplay> {
    let played_ms = serve::played(app, &row);
    (row.ended_at.is_some() && played_ms > 0).then_some(EndedReplay { id: row.id, title: row.title, played_ms })
}

/// What a room announces. It is over an hour after its time, and when a stream begins from an hour before it on.
#[utoipa::path(get, path = "/rooms/{room}/announcement", tag = "rooms",
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "What is announced, if anything is", body = AnnouncementState),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn announcement(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
) -> Answer<Json<AnnouncementState>> {
    if app.rooms.held(&id).is_none() && app.store.room(id.clone()).await?.is_none() {
        return Err(Failure::no_room());
    }
    let announced = app.store.announcement(id, app.clock.wall()).await?;
    Ok(Json(AnnouncementState { announced }))
}

/// Announces a programme, in place of the one before.
#[utoipa::path(put, path = "/rooms/{room}/announcement", tag = "rooms", request_body = Announcement, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "It is announced", body = AnnouncementState),
    (status = 400, description = "The title is not taken, or the time does not lie ahead, or too far", body = ApiError),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn announce(
    State(app): State<Arc<App>>,
    Own(room): Own,
    Body(ask): Body<Announcement>,
) -> Answer<Json<AnnouncementState>> {
    let title = text::line(&ask.title, 1, TITLE_MAX).map_err(|e| invalid(Field::Title, "title", e))?;
    let now = app.clock.wall();
    let ahead = ask.at.millis().saturating_sub(now.millis());
    if !(1..=i64::from(ANNOUNCED_DAYS_MAX) * DAY).contains(&ahead) {
        let words = format!("What is announced must lie ahead, by {ANNOUNCED_DAYS_MAX} days at most.");
        return Err(
            Failure::new(ErrorCode::InvalidRequest, words).about(Problem::AnnouncedWhen { days: ANNOUNCED_DAYS_MAX })
        );
    }
    let announced = Announcement { at: ask.at, title };
    if !app.store.set_announcement(room.id.clone(), Some(announced.clone()), now).await? {
        return Err(Failure::no_room());
    }
    Ok(Json(AnnouncementState { announced: Some(announced) }))
}

/// Announces nothing any more.
#[utoipa::path(delete, path = "/rooms/{room}/announcement", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 204, description = "Nothing is announced"),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn withdraw(State(app): State<Arc<App>>, Own(room): Own) -> Answer<StatusCode> {
    if app.store.set_announcement(room.id.clone(), None, app.clock.wall()).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::no_room())
    }
}
