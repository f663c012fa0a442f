//! Recordings: listed, looked at, deleted; their danmaku.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use mujian_media::time::MediaTime;
use mujian_protocol::replay::{
    OwnerOfReplay, RecordingProblem, Replay, ReplayDanmaku, ReplayDanmakuPage, ReplayDownload, ReplayMoment,
    ReplayMomentKind, ReplaySpan, ReplayVersion, ReplayView,
};
use mujian_protocol::room::RoomEventBody;
use mujian_protocol::{ApiError, ErrorCode, WallTime};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Caller, InPath, RoomPath, bearer};
use super::rooms::note_call;
use super::{Answer, Failure};
use crate::app::App;
use crate::replay::plan::{Plan, Span};
use crate::replay::reading::{Opened, Version};
use crate::replay::serve::{self, Viewer};
use crate::store::{Account, Problem, RecordingRow};

/// Most recordings in one answer.
const LIST_MAX: u32 = 200;
/// Most danmaku that are looked at for one answer.
const PAGE: u32 = 2000;
/// Danmaku that were written so long after the end still belong to it.
const AFTER_END_MS: i64 = 10_000;

/// Who calls, if anybody is logged in.
async fn caller(app: &App, headers: &HeaderMap) -> Answer<Option<Account>> {
    let Some(token) = bearer(headers) else { return Ok(None) };
    let session = app.accounts.session(&app.store, &app.clock, token).await?;
    session.map(|(account, _)| Some(account)).ok_or_else(Failure::unauthenticated)
}

fn view(app: &App, row: &RecordingRow, owner: bool) -> ReplayView {
    let problem = row.problem.map(|problem| match problem {
        Problem::DiskFull => RecordingProblem::DiskFull,
        Problem::DiskFailed => RecordingProblem::DiskFailed,
        Problem::TooSlow => RecordingProblem::TooSlow,
    });
    ReplayView {
        id: row.id.clone(),
        room: row.room.clone(),
        title: row.title.clone(),
        started_at: row.started_at,
        ended_at: row.ended_at,
        played_ms: serve::played(app, row),
        whole_ms: row.duration,
        away_ms: row.away,
        owner: owner.then_some(OwnerOfReplay { bytes: row.bytes, problem }),
    }
}

/// The recordings of a room, newest first. Its owner also sees the one that is being made, and those of which nothing
/// is left to play.
#[utoipa::path(get, path = "/rooms/{room}/replays", tag = "replays",
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The recordings", body = Vec<ReplayView>),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    RoomPath(room): RoomPath,
    headers: HeaderMap,
) -> Answer<Json<Vec<ReplayView>>> {
    let caller = caller(&app, &headers).await?;
    if app.rooms.held(&room).is_none() && app.store.room(room.clone()).await?.is_none() {
        return Err(Failure::no_room());
    }
    let rows = app.store.recordings(room, LIST_MAX).await?;
    let views = rows.iter().filter_map(|row| {
        let owner = serve::is_owner(row, caller.as_ref());
        let view = view(&app, row, owner);
        (owner || (view.ended_at.is_some() && view.played_ms > 0)).then_some(view)
    });
    Ok(Json(views.collect()))
}

fn ms(time: MediaTime) -> i64 {
    time.millis()
}

fn spans(plan: &Plan, opened: &Opened) -> Vec<ReplaySpan> {
    let told = |s: &Span| ReplaySpan { from_ms: ms(s.from), to_ms: ms(s.to), played_ms: ms(s.at) };
    plan.spans(&opened.index.entries).iter().map(told).collect()
}

fn downloads(row: &RecordingRow, opened: &Opened, version: Version, query: &str) -> Vec<ReplayDownload> {
    let forms = opened.forms();
    let files = forms.iter().enumerate().map(|(i, form)| ReplayDownload {
        url: format!("/replays/{}/{}-{i}.mp4{query}", row.id, serve::name(version)),
        width: form.width,
        height: form.height,
        length_ms: ms(opened.form_plan(version, form).length),
    });
    files.filter(|file| file.length_ms > 0).collect()
}

/// A recording: where it can be watched, when the streamer was away, and the files to download.
#[utoipa::path(get, path = "/replays/{replay}", tag = "replays",
    params(("replay" = String, Path, description = "The recording's id")), responses(
    (status = 200, description = "The recording", body = Replay),
    (status = 404, description = "There is no such recording", body = ApiError),
    (status = 409, description = "The stream is still being recorded", body = ApiError),
))]
pub(super) async fn get(
    State(app): State<Arc<App>>,
    InPath(id): InPath<String>,
    headers: HeaderMap,
) -> Answer<Json<Replay>> {
    let caller = caller(&app, &headers).await?;
    let row = serve::find(&app, &id).await?;
    let opened = serve::open(&app, &row).await?;
    let owner = serve::is_owner(&row, caller.as_ref());
    let (viewers, in_player) = (serve::viewers_version(&app, &row), app.config.recordings.cut_in_player);
    let cut = spans(opened.plan(viewers), &opened);
    let sent = if in_player && viewers == Version::Cut { Version::Apart } else { viewers };
    let replay = ReplayVersion {
        playlist: format!("/replays/{}/{}.m3u8", row.id, serve::name(sent)),
        length_ms: ms(opened.plan(sent).length),
        spans: (sent != viewers).then(|| cut.clone()),
        downloads: downloads(&row, &opened, viewers, ""),
    };
    let full = match &caller {
        Some(account) if owner => {
            let query = serve::owners_query(&app, &row, account);
            Some(ReplayVersion {
                playlist: format!("/replays/{}/full.m3u8{query}", row.id),
                length_ms: ms(opened.plan(Version::Full).length),
                spans: None,
                downloads: downloads(&row, &opened, Version::Full, &query),
            })
        }
        _ => None,
    };
    let moments = opened.moments().into_iter().map(|m| ReplayMoment {
        kind: if m.left { ReplayMomentKind::Left } else { ReplayMomentKind::Back },
        whole_ms: ms(m.at),
        at: m.wall,
    });
    let view = view(&app, &row, owner);
    Ok(Json(Replay { view, moments: moments.collect(), spans: cut, replay, full }))
}

/// Deletes a recording and its files.
#[utoipa::path(delete, path = "/replays/{replay}", tag = "replays", security(("session" = [])),
    params(("replay" = String, Path, description = "The recording's id")), responses(
    (status = 204, description = "It is gone"),
    (status = 403, description = "It belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such recording", body = ApiError),
    (status = 409, description = "The stream is still being recorded", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    InPath(id): InPath<String>,
    caller: Caller,
) -> Answer<StatusCode> {
    let row = serve::find(&app, &id).await?;
    if !serve::is_owner(&row, Some(&caller.account)) {
        return Err(Failure::new(ErrorCode::Forbidden, "This recording belongs to somebody else.")
            .about(mujian_protocol::Problem::NotYours));
    }
    if row.ended_at.is_none() {
        return Err(serve::still_made());
    }
    if row.owner != caller.account.id {
        note_call(&app, &row.room, row.owner.clone(), &caller).await?;
    }
    app.keeper.delete(&row).await?;
    app.shelf.forget(&row.id);
    tracing::info!(recording = %row.id, by = %caller.account.id, "A recording was deleted.");
    Ok(StatusCode::NO_CONTENT)
}

/// Which danmaku.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DanmakuQuery {
    /// Where to go on: `next` of the last answer.
    #[serde(default)]
    from: u32,
    /// On the whole recording's timeline, for its owner, who then also gets those that were written meanwhile.
    #[serde(default)]
    full: bool,
}

/// The danmaku of a recording at their places. Those that were written while the streamer was away have none where that
/// is cut.
#[utoipa::path(get, path = "/replays/{replay}/danmaku", tag = "replays",
    params(("replay" = String, Path, description = "The recording's id"), DanmakuQuery), responses(
    (status = 200, description = "Danmaku, in order", body = ReplayDanmakuPage),
    (status = 404, description = "There is no such recording", body = ApiError),
    (status = 409, description = "The stream is still being recorded", body = ApiError),
))]
pub(super) async fn danmaku(
    State(app): State<Arc<App>>,
    InPath(id): InPath<String>,
    Asked(query): Asked<DanmakuQuery>,
    headers: HeaderMap,
) -> Answer<Json<ReplayDanmakuPage>> {
    let caller = caller(&app, &headers).await?;
    let row = serve::find(&app, &id).await?;
    let opened = serve::open(&app, &row).await?;
    let version = if query.full { Version::Full } else { serve::viewers_version(&app, &row) };
    let viewer = Viewer { account: caller };
    serve::may_watch(&app, &row, version, &viewer)?;
    let (plan, entries) = (opened.plan(version), &opened.index.entries);
    let Some((first, last)) = entries.first().zip(entries.last()) else {
        return Ok(Json(ReplayDanmakuPage { danmaku: Vec::new(), next: None }));
    };
    let end = WallTime(last.wall.millis() + ms(last.duration()) + AFTER_END_MS);
    let events = app.store.danmaku_between(row.room.clone(), (first.wall, end), (query.from, PAGE)).await?;
    let next = (events.len() >= PAGE as usize).then(|| query.from.saturating_add(PAGE));
    let placed = events.into_iter().filter_map(|event| match event.body {
        RoomEventBody::Danmaku(danmaku) => {
            Some(ReplayDanmaku { played_ms: ms(plan.at_wall(entries, event.at)?), danmaku })
        }
        _ => None,
    });
    Ok(Json(ReplayDanmakuPage { danmaku: placed.collect(), next }))
}
