//! Rooms: made, looked at, changed, published to.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mujian_protocol::api::{
    CATEGORY_MAX, NewRoom, OwnedRoom, RefusedPublisher, Role, RoomPatch, RoomView, TAG_MAX, TAGS_MAX, TITLE_MAX,
    WaitingPublisher, WatchToken,
};
use mujian_protocol::audit::AuditAction;
use mujian_protocol::ballot::BallotSettings;
use mujian_protocol::room::{CLIENT_MESSAGE_MAX, EventId, Stage};
use mujian_protocol::{AccountId, ApiError, ErrorCode, Field, Problem, RoomId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Asked, Body, Caller, InPath, Peer, RoomPath};
use super::hosts::Listener;
use super::placeholders::media;
use super::{Answer, Failure, layers};
use crate::app::App;
use crate::room::socket;
use crate::rooms::{Ingress, Room, owned};
use crate::store::{Concerned, RoomRow, RoomUpdate};
use crate::text::{self, TextError};

/// Most rooms in one answer.
const LIST_MAX: u32 = 200;
/// A token to watch with lives so long.
const WATCH_LIFE: Duration = Duration::from_secs(10 * 60);

/// A text that is not taken; `what` is its name in English.
pub(super) fn invalid(field: Field, what: &str, error: TextError) -> Failure {
    Failure::new(ErrorCode::InvalidRequest, format!("The {what} {error}.")).about(error.problem(field))
}

/// More of a kind than may be; `what` are they in English.
pub(super) fn too_many(field: Field, what: &str, most: usize) -> Failure {
    let max = u32::try_from(most).unwrap_or(u32::MAX);
    let words = format!("There are more than {most} {what}.");
    Failure::new(ErrorCode::InvalidRequest, words).about(Problem::TooMany { field, max })
}

fn title(title: &str) -> Answer<String> {
    text::line(title, 1, TITLE_MAX).map_err(|e| invalid(Field::Title, "title", e))
}

fn category(category: &str) -> Answer<String> {
    text::line(category, 0, CATEGORY_MAX).map_err(|e| invalid(Field::Category, "category", e))
}

/// Tags once each, in the order given.
fn tags(tags: &[String]) -> Answer<Vec<String>> {
    if tags.len() > TAGS_MAX {
        return Err(too_many(Field::Tag, "tags", TAGS_MAX));
    }
    let mut taken: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = text::line(tag, 1, TAG_MAX).map_err(|e| invalid(Field::Tag, "tag", e))?;
        if !taken.iter().any(|t| text::name_key(t) == text::name_key(&tag)) {
            taken.push(tag);
        }
    }
    Ok(taken)
}

/// A new stream key: 160 random bits.
fn stream_key() -> String {
    use base64::Engine;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 20]>())
}

/// The host that publishers should use: as configured, or as this request reached the server.
fn host(app: &App, headers: &HeaderMap) -> String {
    if let Some(host) = &app.config.public_host {
        return host.clone();
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok());
    let url = host.and_then(|h| url::Url::parse(&format!("http://{h}/")).ok());
    url.and_then(|u| u.host_str().map(str::to_owned)).unwrap_or_else(|| "localhost".into())
}

/// How a request reached the server: what decides the publishing address that it is told.
pub(super) struct Way(Ingress);

impl FromRequestParts<Arc<App>> for Way {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let listener = Listener::of(parts);
        let rtmps = app.rtmps_port().filter(|_| listener.secure);
        let host = host(app, &parts.headers);
        Ok(Self(Ingress { host, port: rtmps.unwrap_or_else(|| app.rtmp_port(listener)), secure: rtmps.is_some() }))
    }
}

fn as_owner(app: &App, way: &Way, row: &RoomRow) -> OwnedRoom {
    owned(app.rooms.view(row), row.stream_key.clone(), &way.0)
}

pub(super) async fn find(app: &App, id: &RoomId) -> Answer<Arc<Room>> {
    app.rooms.get(id).await?.ok_or_else(Failure::no_room)
}

/// The room, if the caller owns it or runs the server.
pub(super) async fn find_own(app: &App, id: &RoomId, caller: &Caller) -> Answer<Arc<Room>> {
    let room = find(app, id).await?;
    let owner = room.row().owner.id;
    if owner == caller.account.id {
        Ok(room)
    } else if caller.is_operator() {
        note_call(app, id, owner, caller).await?;
        Ok(room)
    } else {
        Err(Failure::new(ErrorCode::Forbidden, "This room belongs to somebody else.").about(Problem::NotYours))
    }
}

/// Puts into the log that the operator calls something on another's room. What only looks is left out, unless it is the
/// stream key that is looked at.
pub(super) async fn note_call(app: &App, room: &RoomId, owner: AccountId, caller: &Caller) -> Answer<()> {
    if caller.only_looks() && !caller.call.ends_with("/owner") {
        return Ok(());
    }
    let on = Concerned { account: Some(owner), room: Some(room.clone()) };
    let action = AuditAction::RoomCalled { call: caller.call.clone() };
    Ok(app.store.note_audit(caller.hand(app), action, on).await?)
}

/// A room of the caller's own, named in the address.
pub(super) struct Own(pub(super) Arc<Room>);

impl FromRequestParts<Arc<App>> for Own {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let RoomPath(id) = RoomPath::from_request_parts(parts, app).await?;
        let caller = Caller::from_request_parts(parts, app).await?;
        find_own(app, &id, &caller).await.map(Self)
    }
}

/// Makes a room.
#[utoipa::path(post, path = "/rooms", tag = "rooms", request_body = NewRoom, security(("session" = [])), responses(
    (status = 201, description = "The room, with its stream key", body = OwnedRoom),
    (status = 400, description = "Title, category or a tag is not taken", body = ApiError),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 409, description = "The account owns as many rooms as it may", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    way: Way,
    Body(new): Body<NewRoom>,
) -> Answer<(StatusCode, Json<OwnedRoom>)> {
    if !app.config.rooms_open && caller.account.role == Role::Viewer {
        return Err(Failure::new(
            ErrorCode::Forbidden,
            "On this server rooms are opened by streamers. Ask its operator to make you one.",
        )
        .about(Problem::StreamersOnly));
    }
    let (title, category, tags) = (title(&new.title)?, category(&new.category)?, tags(&new.tags)?);
    app.limits
        .rooms
        .take(caller.account.id.clone(), app.clock.now())
        .map_err(|wait| Failure::too_often("Too many rooms were made.", wait))?;
    let now = app.clock.wall();
    let row = RoomRow {
        id: RoomId::from_random(rand::random()),
        owner: caller.account.person(),
        title,
        category,
        tags,
        stream_key: stream_key(),
        created_at: now,
        stage: Stage::Off,
        stage_since: now,
        last: EventId { epoch: 1, number: 0 },
        stream: None,
        away: None,
        ballot: BallotSettings::default(),
    };
    let most = app.config.limits.rooms_owned;
    let made = app.store.create_room(row, most).await?;
    let row = made.ok_or_else(|| {
        Failure::new(ErrorCode::Conflict, format!("An account owns at most {most} rooms; use one of those."))
            .about(Problem::RoomsFull { max: most })
    })?;
    if caller.account.role == Role::Viewer {
        // Who has a room is a streamer from then on, also where rooms are closed later.
        app.store.set_role(caller.account.id.clone(), Role::Streamer, None).await?;
    }
    tracing::info!(room = %row.id, owner = %row.owner.id, "A room was made.");
    Ok((StatusCode::CREATED, Json(as_owner(&app, &way, &row))))
}

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Only rooms with a stream.
    #[serde(default)]
    live: bool,
    /// At most so many, to 200.
    limit: Option<u32>,
    /// Only rooms that have all these words in their title, their tags, their category or their owner's name. Chinese needs
    /// no blanks; of other scripts a word's beginning is enough. What is behind the first 64 characters is not looked at.
    search: Option<String>,
}

/// Rooms that have these words, the best first.
async fn search(app: &App, words: String, live: bool, limit: usize) -> Answer<Vec<RoomView>> {
    // Words may have to be cut by a dictionary that is not in memory yet.
    let question = tokio::task::spawn_blocking(move || crate::search::question(&words));
    let Ok(Some(question)) = question.await else { return Ok(Vec::new()) };
    let rows = app.store.search_rooms(question, LIST_MAX).await?;
    let views = rows.iter().map(|row| app.rooms.view(row)).filter(|view| !live || view.stage != Stage::Off);
    Ok(views.take(limit).collect())
}

/// Rooms: those with a stream first, by their viewers; then the newest. Those that are searched for: the best first.
#[utoipa::path(get, path = "/rooms", tag = "rooms", params(ListQuery), responses(
    (status = 200, description = "The rooms", body = Vec<RoomView>),
))]
pub(super) async fn list(State(app): State<Arc<App>>, Asked(query): Asked<ListQuery>) -> Answer<Json<Vec<RoomView>>> {
    let limit = query.limit.unwrap_or(50).min(LIST_MAX) as usize;
    if let Some(words) = query.search.filter(|words| !words.trim().is_empty()) {
        return Ok(Json(search(&app, words, query.live, limit).await?));
    }
    let mut views: Vec<RoomView> =
        app.rooms.on_air().iter().map(|r| r.view()).filter(|v| v.stage != Stage::Off).collect();
    views.sort_by(|a, b| b.viewers.cmp(&a.viewers).then(b.live_since.cmp(&a.live_since)).then(a.id.cmp(&b.id)));
    views.truncate(limit);
    if !query.live && views.len() < limit {
        let more = app.store.rooms(None, LIST_MAX).await?;
        for row in more.iter().filter(|row| !app.rooms.held(&row.id).is_some_and(|r| r.on_air())) {
            if views.len() >= limit {
                break;
            }
            views.push(app.rooms.view(row));
        }
    }
    Ok(Json(views))
}

/// A room.
#[utoipa::path(get, path = "/rooms/{room}", tag = "rooms", params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The room", body = RoomView),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn get(State(app): State<Arc<App>>, RoomPath(id): RoomPath) -> Answer<Json<RoomView>> {
    // Looking at a room does not bring it into memory.
    if let Some(room) = app.rooms.held(&id) {
        return Ok(Json(room.view()));
    }
    let row = app.store.room(id).await?.ok_or_else(Failure::no_room)?;
    Ok(Json(app.rooms.view(&row)))
}

/// A still picture of what the room's viewers are being shown, as JPEG, half a minute old at most. There is one only while
/// that is `live`.
#[utoipa::path(get, path = "/rooms/{room}/cover", tag = "rooms",
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/jpeg"),
    (status = 204, description = "There is none now"),
))]
pub(super) async fn cover(State(app): State<Arc<App>>, RoomPath(id): RoomPath) -> Answer<Response> {
    // What is not in memory is not on air. Nothing that is there or not is told of rooms.
    let (room, program) = (app.rooms.held(&id), app.rooms.slates().worker());
    let picture = match (room, program) {
        (Some(room), Some(program)) => room.cover.picture(program, app.clock.now()).await,
        _ => None,
    };
    Ok(picture.map_or_else(|| StatusCode::NO_CONTENT.into_response(), |jpeg| media("image/jpeg", jpeg)))
}

/// A room as its owner sees it.
#[utoipa::path(get, path = "/rooms/{room}/owner", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The room, with its stream key", body = OwnedRoom),
    (status = 403, description = "It belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn get_owned(State(app): State<Arc<App>>, Own(room): Own, way: Way) -> Answer<Json<OwnedRoom>> {
    Ok(Json(as_owner(&app, &way, &room.row())))
}

/// Changes a room.
#[utoipa::path(patch, path = "/rooms/{room}", tag = "rooms", request_body = RoomPatch, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The room", body = RoomView),
    (status = 400, description = "Title, category or a tag is not taken", body = ApiError),
    (status = 403, description = "It belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn change(Own(room): Own, Body(patch): Body<RoomPatch>) -> Answer<Json<RoomView>> {
    let update = RoomUpdate {
        title: patch.title.as_deref().map(title).transpose()?,
        category: patch.category.as_deref().map(category).transpose()?,
        tags: patch.tags.as_deref().map(tags).transpose()?,
        ballot: None,
    };
    room.change(update).await?;
    Ok(Json(room.view()))
}

/// Renews a room's stream key. The old one opens nothing from now on. A program that publishes with it is
/// cut off and told why; viewers see a slate, and the stream goes on when a program comes with the new key
/// within the grace time.
#[utoipa::path(post, path = "/rooms/{room}/stream_key", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The room, with its new stream key", body = OwnedRoom),
    (status = 403, description = "It belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn renew_key(State(app): State<Arc<App>>, Own(room): Own, way: Way) -> Answer<Json<OwnedRoom>> {
    room.renew_key(&app.store, stream_key()).await?;
    Ok(Json(as_owner(&app, &way, &room.row())))
}

/// Ends a room's stream, and with it the streamer's stay away.
#[utoipa::path(post, path = "/rooms/{room}/end", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 204, description = "No stream runs any more"),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
    (status = 409, description = "The room is not on air", body = ApiError),
))]
pub(super) async fn end(Own(room): Own) -> Answer<StatusCode> {
    if !room.on_air() {
        return Err(Failure::new(ErrorCode::OffAir, "The room is not on air; there is nothing to end."));
    }
    room.stage.end().await.map_err(|_| Failure::closing())?;
    room.absence.ended().await;
    Ok(StatusCode::NO_CONTENT)
}

/// Programs with the right key that were refused because another publishes.
#[utoipa::path(get, path = "/rooms/{room}/publishers", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "Those that were refused in the last minutes, newest first", body = Vec<WaitingPublisher>),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn publishers(State(app): State<Arc<App>>, Own(room): Own) -> Answer<Json<Vec<WaitingPublisher>>> {
    Ok(Json(room.waiting(app.clock.wall())))
}

/// Programs with the right key that were sent away because what they send is not taken.
#[utoipa::path(get, path = "/rooms/{room}/publishers/refused", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "Those of the last minutes, newest first", body = Vec<RefusedPublisher>),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn refused(State(app): State<Arc<App>>, Own(room): Own) -> Answer<Json<Vec<RefusedPublisher>>> {
    Ok(Json(room.refused(app.clock.wall())))
}

/// Lets a program in that was refused: its next attempt takes over.
#[utoipa::path(post, path = "/rooms/{room}/publishers/{publisher}/admit", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("publisher" = String, Path, description = "The publisher's id")), responses(
    (status = 204, description = "It may come"),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such room, or nobody of this id waits", body = ApiError),
))]
pub(super) async fn admit(Own(room): Own, InPath(path): InPath<(String, String)>) -> Answer<StatusCode> {
    if room.admit(&path.1).await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::new(ErrorCode::NotFound, "This program does not wait any more."))
    }
}

/// Makes a token to watch with, for players that cannot send a header.
#[utoipa::path(post, path = "/rooms/{room}/tokens", tag = "rooms", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 201, description = "The token", body = WatchToken),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn watch_token(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
) -> Answer<(StatusCode, Json<WatchToken>)> {
    let room = find(&app, &id).await?;
    let expires_at = crate::account::after(app.clock.wall(), WATCH_LIFE);
    let token = app.watch_tokens.issue(room.id.clone(), caller.account.id.clone(), app.clock.now(), WATCH_LIFE);
    Ok((StatusCode::CREATED, Json(WatchToken { token, expires_at })))
}

/// The rooms of the account that calls.
#[utoipa::path(get, path = "/me/rooms", tag = "rooms", security(("session" = [])), responses(
    (status = 200, description = "The rooms, newest first", body = Vec<RoomView>),
    (status = 401, description = "Nobody is logged in", body = ApiError),
))]
pub(super) async fn mine(State(app): State<Arc<App>>, caller: Caller) -> Answer<Json<Vec<RoomView>>> {
    let rows = app.store.rooms(Some(caller.account.id), LIST_MAX).await?;
    Ok(Json(rows.iter().map(|row| app.rooms.view(row)).collect()))
}

/// The room's socket.
#[utoipa::path(get, path = "/rooms/{room}/socket", tag = "rooms",
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 101, description = "A WebSocket: the client says hello first"),
    (status = 403, description = "The page is of another site", body = ApiError),
    (status = 404, description = "There is no such room", body = ApiError),
))]
pub(super) async fn open_socket(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    peer: Peer,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Answer<Response> {
    if !layers::origin_allowed(&headers, &app.config.allowed_origins) {
        return Err(Failure::new(ErrorCode::Forbidden, "Pages of another site may not use this server."));
    }
    let room = find(&app, &id).await?;
    let upgrade = upgrade
        .map_err(|e| Failure::with_status(e.status(), ErrorCode::InvalidRequest, format!("{}.", e.body_text())))?;
    let upgrade = upgrade
        .max_message_size(CLIENT_MESSAGE_MAX)
        .max_frame_size(CLIENT_MESSAGE_MAX)
        // What a person sends is small, and is sent at once: thousands of idle sockets should cost little.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(1024 * 1024);
    let span = tracing::debug_span!("room_socket", room = %room.id);
    Ok(upgrade
        .on_upgrade(move |socket| tracing::Instrument::instrument(socket::serve(socket, app, room, peer.address), span))
        .into_response())
}
