//! Rooms' placeholders: put on the shelf, looked at, picked, and judged by people.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::StreamExt;
use mujian_media::fmp4::{self, Fragment, VideoSample};
use mujian_media::frame::{AudioFrame, VideoFrame};
use mujian_media::time::MediaTime;
use mujian_protocol::api::Role;
use mujian_protocol::placeholder::{
    AwayRequest, ChoiceView, PLACEHOLDER_BYTES_MAX, PLACEHOLDERS_MAX, PlaceholderKind, PlaceholderPatch,
    PlaceholderState, PlaceholderView, RefusalCode, ReviewItem, ShelfView, TrustRequest, VerdictRequest,
};
use mujian_protocol::{AccountId, ApiError, ErrorCode, Field, Problem, RoomId, WallTime};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::extract::{Asked, Body as JsonBody, Caller, InPath, RoomPath};
use super::rooms::{find_own, invalid};
use super::{Answer, Failure};
use crate::app::App;
use crate::placeholder::{NewPlaceholder, ShelfError, check_upload, said};
use crate::rooms::Room;
use crate::slate::tape::{self, Tape};
use crate::slate::{SOUND_RATE, SlateLoop, Theme};
use crate::text;

/// An upload that sends nothing for so long is given up.
const IDLE: Duration = Duration::from_secs(30);
/// And one that takes this long in all.
const UPLOAD: Duration = Duration::from_secs(30 * 60);
/// Bytes of a file that are read at once.
const PIECE: usize = 64 * 1024;
/// Longest preview.
const PREVIEW: MediaTime = MediaTime::from_millis(12_000);
/// Most in one list of what waits.
const WAITING_MAX: u32 = 100;

impl From<ShelfError> for Failure {
    fn from(error: ShelfError) -> Self {
        match error {
            ShelfError::Store(e) => e.into(),
            ShelfError::Full => Self::new(ErrorCode::Conflict, error.to_string())
                .about(Problem::ShelfFull { max: PLACEHOLDERS_MAX as u32 }),
            ShelfError::Unknown => Self::new(ErrorCode::NotFound, error.to_string()),
            ShelfError::Disk(e) => disk(&e),
        }
    }
}

fn disk(error: &std::io::Error) -> Failure {
    tracing::warn!(%error, "A placeholder could not be kept.");
    Failure::new(ErrorCode::Storage, "The server's disk cannot hold the file. Its operator must free some space.")
        .about(Problem::ServerDiskFull)
}

/// A file that came, with what is known of it.
struct Upload {
    file: tempfile::NamedTempFile,
    bytes: u64,
    digest: String,
    head: Vec<u8>,
}

/// Takes a body to a file: never more than the most, never in memory.
async fn receive(app: &App, headers: &HeaderMap, body: Body) -> Answer<Upload> {
    let most = PLACEHOLDER_BYTES_MAX as u64;
    let too_large = || {
        let message = format!("The file is larger than {} MB. Make it smaller and upload it again.", most >> 20);
        Failure::new(ErrorCode::TooLarge, message).about(Problem::UploadTooLarge { mb: (most >> 20) as u32 })
    };
    let told = headers.get(header::CONTENT_LENGTH).and_then(|l| l.to_str().ok()).and_then(|l| l.parse::<u64>().ok());
    if told.is_some_and(|told| told > most) {
        return Err(too_large());
    }
    let broken =
        || Failure::new(ErrorCode::InvalidRequest, "The upload broke off. Try again.").about(Problem::UploadBroken);
    let file = app.placeholders.incoming().map_err(|e| disk(&e))?;
    let mut upload = Upload { file, bytes: 0, digest: String::new(), head: Vec::new() };
    let mut hash = Sha256::new();
    let mut stream = body.into_data_stream();
    let work = async {
        loop {
            let next = tokio::time::timeout(IDLE, stream.next()).await.map_err(|_| broken())?;
            let Some(piece) = next else { break };
            let piece = piece.map_err(|_| broken())?;
            upload.bytes += piece.len() as u64;
            if upload.bytes > most {
                return Err(too_large());
            }
            let head = crate::placeholder::HEAD.saturating_sub(upload.head.len());
            upload.head.extend_from_slice(&piece[..piece.len().min(head)]);
            hash.update(&piece);
            // Small pieces to the page cache: not worth a thread's hand-over.
            upload.file.write_all(&piece).map_err(|e| disk(&e))?;
        }
        Ok(())
    };
    tokio::time::timeout(UPLOAD, work).await.map_err(|_| broken())??;
    upload.digest = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(upload)
}

fn claimed(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|t| t.to_str().ok()).unwrap_or_default()
}

fn refused(refusal: &crate::placeholder::Refusal) -> Failure {
    let code =
        if refusal.code == RefusalCode::TooManyPixels { ErrorCode::TooLarge } else { ErrorCode::UnsupportedMedia };
    Failure::new(code, refusal.message.clone()).about(Problem::UploadRefused { code: refusal.code })
}

/// Has a placeholder made ready in the background.
fn prepare(app: &Arc<App>, room: &Arc<Room>, id: String) {
    let (shelf, stop) = (Arc::clone(&room.shelf), app.stop.clone());
    app.tasks.spawn(async move {
        let done = tokio::select! {
            done = shelf.prepare(&id) => done,
            () = stop.cancelled() => return,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a placeholder could not be made ready; the next start tries again");
        }
    });
}

/// A room's placeholders.
#[utoipa::path(get, path = "/rooms/{room}/placeholders", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "The shelf, and what would be chosen now and why", body = ShelfView),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
) -> Answer<Json<ShelfView>> {
    let room = find_own(&app, &id, &caller).await?;
    room.shelf.follow(room.stay().as_ref()).await?;
    Ok(Json(room.shelf.view().await?))
}

/// What an upload says of itself.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct NewQuery {
    /// Its name.
    name: String,
    /// What it is about, separated by commas.
    #[serde(default)]
    keywords: String,
    /// Words on it.
    #[serde(default)]
    text: String,
    /// The uploading program's own name for it: what is sent twice under one is there once.
    #[serde(default)]
    key: Option<String>,
}

/// Puts a placeholder on the shelf. The body is its file: a picture, an animation, sound or a video; or
/// it is empty, and there are words alone.
#[utoipa::path(post, path = "/rooms/{room}/placeholders", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), NewQuery), responses(
    (status = 200, description = "It was on the shelf already, by its key", body = PlaceholderView),
    (status = 201, description = "It is on the shelf and is being made ready", body = PlaceholderView),
    (status = 400, description = "It cannot be a placeholder", body = ApiError),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 409, description = "The shelf is full", body = ApiError),
    (status = 413, description = "The file or the picture is too large", body = ApiError),
))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    Asked(query): Asked<NewQuery>,
    headers: HeaderMap,
    body: Body,
) -> Answer<(StatusCode, Json<PlaceholderView>)> {
    let room = find_own(&app, &id, &caller).await?;
    let (name, keywords) = (said::name(&query.name)?, said::keyword_list(&query.keywords)?);
    let key = query.key.as_deref().map(said::key).transpose()?;
    said::words(&query.text, true)?;
    let upload = receive(&app, &headers, body).await?;
    let text = said::words(&query.text, upload.bytes > 0)?;
    let kind = if upload.bytes > 0 {
        check_upload(&upload.head, claimed(&headers)).map_err(|r| refused(&r))?
    } else {
        PlaceholderKind::Text
    };
    let view = PlaceholderView {
        id: String::new(),
        name,
        keywords,
        text,
        kind,
        sound: false,
        bytes: upload.bytes,
        digest: upload.digest,
        duration_ms: None,
        state: PlaceholderState::Checking,
        stands: false,
        created_at: WallTime(0),
        changed_at: WallTime(0),
        key,
        mirror: None,
    };
    let file = (upload.bytes > 0).then_some(upload.file);
    let (view, new) = app.placeholders.add(&id, NewPlaceholder { view, file }).await?;
    if !new {
        return Ok((StatusCode::OK, Json(view)));
    }
    prepare(&app, &room, view.id.clone());
    Ok((StatusCode::CREATED, Json(view)))
}

type InRoom = InPath<(RoomId, String)>;

/// Gives a placeholder sound, in place of its file's own: a picture with music.
#[utoipa::path(put, path = "/rooms/{room}/placeholders/{placeholder}/sound", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 204, description = "It is being made ready with this sound"),
    (status = 400, description = "It is no sound", body = ApiError),
    (status = 404, description = "There is no such placeholder", body = ApiError),
    (status = 413, description = "The file is too large", body = ApiError),
))]
pub(super) async fn set_sound(
    State(app): State<Arc<App>>,
    InPath((id, placeholder)): InRoom,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Answer<StatusCode> {
    let room = find_own(&app, &id, &caller).await?;
    own(&app, &id, &placeholder).await?;
    let upload = receive(&app, &headers, body).await?;
    let kind = check_upload(&upload.head, claimed(&headers)).map_err(|r| refused(&r))?;
    if matches!(kind, PlaceholderKind::Picture | PlaceholderKind::Animation) {
        return Err(Failure::new(ErrorCode::UnsupportedMedia, "This is a picture; choose a file with sound.")
            .about(Problem::UploadSilent));
    }
    app.placeholders.add_sound(&id, &placeholder, upload.file, upload.bytes, &upload.digest).await?;
    prepare(&app, &room, placeholder);
    Ok(StatusCode::NO_CONTENT)
}

/// The placeholder, if it stands on this room's shelf.
async fn own(app: &App, room: &RoomId, id: &str) -> Answer<ReviewItem> {
    let found = app.store.placeholder(id.to_owned()).await?;
    found.filter(|item| item.room == *room).ok_or_else(|| ShelfError::Unknown.into())
}

/// Changes a placeholder's name, keywords, place, or the words on it. With other words it is made and judged
/// again; until that is done, viewers see it as it was.
#[utoipa::path(patch, path = "/rooms/{room}/placeholders/{placeholder}", tag = "placeholders", request_body = PlaceholderPatch, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 200, description = "The shelf", body = ShelfView),
    (status = 404, description = "There is no such placeholder", body = ApiError),
))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    InPath((id, placeholder)): InRoom,
    caller: Caller,
    JsonBody(patch): JsonBody<PlaceholderPatch>,
) -> Answer<Json<ShelfView>> {
    let room = find_own(&app, &id, &caller).await?;
    let before = own(&app, &id, &placeholder).await?.placeholder;
    let has_file = before.kind != PlaceholderKind::Text;
    let patch = PlaceholderPatch {
        name: patch.name.as_deref().map(said::name).transpose()?,
        keywords: patch.keywords.map(|k| said::keywords(k.iter().map(String::as_str))).transpose()?,
        text: patch.text.map(|text| said::words(&text, has_file)).transpose()?,
        position: patch.position,
    };
    let changed = app.placeholders.change(&id, &placeholder, patch).await?.ok_or(ShelfError::Unknown)?;
    // Names and keywords are words, too; and what only its words refused may be good now.
    let words = matches!(before.state, PlaceholderState::Refused { code: RefusalCode::Words, .. });
    if changed.text || changed.said && words {
        // It may never have been made.
        prepare(&app, &room, placeholder);
    } else if changed.said {
        app.placeholders.judge(&placeholder).await?;
    }
    Ok(Json(room.shelf.view().await?))
}

/// Takes a placeholder off the shelf.
#[utoipa::path(delete, path = "/rooms/{room}/placeholders/{placeholder}", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 204, description = "It is gone"),
    (status = 404, description = "There is no such placeholder", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    InPath((id, placeholder)): InRoom,
    caller: Caller,
) -> Answer<StatusCode> {
    let room = find_own(&app, &id, &caller).await?;
    app.placeholders.delete(&id, &placeholder).await?;
    room.shelf.choose().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A placeholder's file as it was uploaded, for its owner.
#[utoipa::path(get, path = "/rooms/{room}/placeholders/{placeholder}/file", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, description = "There is none", body = ApiError),
))]
pub(super) async fn file(State(app): State<Arc<App>>, at: InRoom, caller: Caller) -> Answer<Response> {
    original(&app, at, &caller, false).await
}

/// The sound that was added to a placeholder, as it was uploaded, for its owner.
#[utoipa::path(get, path = "/rooms/{room}/placeholders/{placeholder}/sound", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 200, description = "The file", body = Vec<u8>, content_type = "application/octet-stream"),
    (status = 404, description = "There is none", body = ApiError),
))]
pub(super) async fn sound(State(app): State<Arc<App>>, at: InRoom, caller: Caller) -> Answer<Response> {
    original(&app, at, &caller, true).await
}

/// What somebody uploaded is handed out as bytes, never as something that a browser would open.
async fn original(app: &Arc<App>, at: InRoom, caller: &Caller, sound: bool) -> Answer<Response> {
    let InPath((room, id)) = at;
    find_own(app, &room, caller).await?;
    own(app, &room, &id).await?;
    let opened = tokio::fs::File::open(app.placeholders.original(&room, &id, sound)).await;
    let file = match opened {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Failure::new(ErrorCode::NotFound, "There is no such file."));
        }
        Err(e) => return Err(disk(&e)),
    };
    let length = file.metadata().await.map_err(|e| disk(&e))?.len();
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
    ];
    let pieces = futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = tokio::io::AsyncReadExt::read_buf(&mut file, &mut piece).await?;
        Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
    });
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// Whoever owns the room, or reviews rooms, may look.
async fn may_look(app: &App, room: &RoomId, caller: &Caller) -> Answer<()> {
    if matches!(caller.account.role, Role::Moderator | Role::Operator) {
        return Ok(());
    }
    find_own(app, room, caller).await.map(|_| ())
}

pub(super) fn media(kind: &'static str, bytes: impl Into<axum::body::Bytes>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, bytes.into()).into_response()
}

/// A still picture of a placeholder, as JPEG; of the system's own, too.
#[utoipa::path(get, path = "/rooms/{room}/placeholders/{placeholder}/poster", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/jpeg"),
    (status = 404, description = "There is none yet", body = ApiError),
))]
pub(super) async fn poster(
    State(app): State<Arc<App>>,
    InPath((id, placeholder)): InRoom,
    caller: Caller,
) -> Answer<Response> {
    may_look(&app, &id, &caller).await?;
    let none = || Failure::new(ErrorCode::NotFound, "There is no picture of it yet.");
    let jpeg = match Theme::named(&placeholder) {
        Some(theme) => {
            let row = app.store.room(id).await?.ok_or_else(Failure::no_room)?;
            app.rooms.slates().poster(theme, &row.owner.name).await.map_err(|_| none())?
        }
        None => {
            own(&app, &id, &placeholder).await?;
            app.placeholders.poster(&id, &placeholder).await.ok_or_else(none)?.into()
        }
    };
    Ok(media("image/jpeg", jpeg))
}

/// The beginning of a placeholder as viewers see it, as MP4.
#[utoipa::path(get, path = "/rooms/{room}/placeholders/{placeholder}/preview", tag = "placeholders", security(("session" = [])),
    params(("room" = String, Path, description = "The room's id"), ("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 200, description = "Some seconds of it", body = Vec<u8>, content_type = "video/mp4"),
    (status = 404, description = "It is not ready yet", body = ApiError),
))]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    InPath((id, placeholder)): InRoom,
    caller: Caller,
) -> Answer<Response> {
    may_look(&app, &id, &caller).await?;
    let item = own(&app, &id, &placeholder).await?;
    let none = || Failure::new(ErrorCode::NotFound, "It is not ready yet.");
    let path = app.placeholders.tape_of(&item).ok_or_else(none)?;
    let made = tokio::task::spawn_blocking(move || tape::open(&path).map(|(slate, tape)| mp4(&slate, &tape)));
    let film = made.await.map_err(|_| none())?.map_err(|e| disk(&e))?;
    Ok(media("video/mp4", film.freeze()))
}

/// The beginning of a slate as a file. Blocks on the disk.
fn mp4(slate: &SlateLoop, tape: &Tape) -> BytesMut {
    let audio = Arc::new(mujian_media::aac::make_asc(SOUND_RATE, 2));
    let mut out = BytesMut::from(&fmp4::init_segment(&slate.config, &audio)[..]);
    let mut sounds = 0i64;
    for n in 0..slate.len() {
        let at = slate.frame_duration.times(n as i64);
        if at > PREVIEW {
            break;
        }
        let Some(frame) = tape.read(n) else { break };
        let picture = VideoFrame { dts: at, pts: at, key: frame.key, data: frame.data };
        let mut sound = Vec::new();
        while MediaTime::from_scale(sounds * 1024, SOUND_RATE) < at.saturating_add(slate.frame_duration) {
            let pts = MediaTime::from_scale(sounds * 1024, SOUND_RATE);
            let data = slate.sound(pts).unwrap_or_else(|| mujian_media::aac::silent_frame(2));
            sound.push(AudioFrame { pts, data });
            sounds += 1;
        }
        let fragment = Fragment {
            sequence: u32::try_from(n).unwrap_or(u32::MAX - 1) + 1,
            wall: None,
            video: Some(VideoSample { frame: &picture, duration: slate.frame_duration }),
            audio: &sound,
            sample_rate: SOUND_RATE,
        };
        out.extend_from_slice(&fragment.write());
    }
    out
}

/// Picks what is shown while the streamer is away: now, if away; else the next time. Nothing picked: by
/// rule.
#[utoipa::path(post, path = "/rooms/{room}/away", tag = "placeholders", request_body = AwayRequest, security(("session" = [])),
    params(("room" = String, Path, description = "The room's id")), responses(
    (status = 200, description = "What is shown, or will be, and why", body = ChoiceView),
    (status = 403, description = "The room belongs to somebody else", body = ApiError),
    (status = 404, description = "There is no such placeholder", body = ApiError),
))]
pub(super) async fn pick(
    State(app): State<Arc<App>>,
    RoomPath(id): RoomPath,
    caller: Caller,
    JsonBody(ask): JsonBody<AwayRequest>,
) -> Answer<Json<ChoiceView>> {
    let room = find_own(&app, &id, &caller).await?;
    Ok(Json(room.shelf.pick(ask.placeholder_id, room.stay().as_ref()).await?))
}

fn reviewer(caller: &Caller) -> Answer<()> {
    match caller.account.role {
        Role::Moderator | Role::Operator => Ok(()),
        _ => Err(Failure::new(ErrorCode::Forbidden, "Only moderators review placeholders.")),
    }
}

/// Placeholders that wait for a moderator, the oldest first.
#[utoipa::path(get, path = "/review/placeholders", tag = "review", security(("session" = [])), responses(
    (status = 200, description = "Those that wait", body = Vec<ReviewItem>),
    (status = 403, description = "The account reviews nothing", body = ApiError),
))]
pub(super) async fn waiting(State(app): State<Arc<App>>, caller: Caller) -> Answer<Json<Vec<ReviewItem>>> {
    reviewer(&caller)?;
    Ok(Json(app.store.placeholders_waiting(WAITING_MAX).await?))
}

/// Allows a placeholder, or refuses it.
#[utoipa::path(post, path = "/review/placeholders/{placeholder}/verdict", tag = "review", request_body = VerdictRequest, security(("session" = [])),
    params(("placeholder" = String, Path, description = "The placeholder's id")), responses(
    (status = 204, description = "So it is"),
    (status = 403, description = "The account reviews nothing", body = ApiError),
    (status = 404, description = "There is no such placeholder", body = ApiError),
    (status = 409, description = "It is not ready to be judged, or was changed since it was looked at", body = ApiError),
))]
pub(super) async fn verdict(
    State(app): State<Arc<App>>,
    InPath(placeholder): InPath<String>,
    caller: Caller,
    JsonBody(verdict): JsonBody<VerdictRequest>,
) -> Answer<StatusCode> {
    reviewer(&caller)?;
    let item = app.store.placeholder(placeholder).await?.ok_or(ShelfError::Unknown)?;
    let can = match &item.placeholder.state {
        PlaceholderState::Waiting | PlaceholderState::Ready => true,
        PlaceholderState::Refused { code, .. } => *code == RefusalCode::Moderator,
        PlaceholderState::Checking => false,
    };
    if !can {
        return Err(Failure::new(
            ErrorCode::Conflict,
            "It is not ready to be judged, or was refused for another reason.",
        )
        .about(Problem::Outdated));
    }
    let reason = text::line(verdict.reason.as_deref().unwrap_or_default(), 0, 200)
        .map_err(|e| invalid(Field::Reason, "reason", e))?;
    let (id, room) = (item.placeholder.id.clone(), item.room.clone());
    let refused = (!verdict.allow).then_some(reason);
    if !app.store.review_placeholder(item, verdict.digest, refused, caller.hand(&app)).await? {
        return Err(Failure::new(ErrorCode::Conflict, "It was changed since you looked at it. Look at it again.")
            .about(Problem::Outdated));
    }
    tracing::info!(placeholder = %id, by = %caller.account.id, allow = verdict.allow, "A placeholder was judged.");
    if let Some(room) = app.rooms.held(&room) {
        room.shelf.renewed(&id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Says whether an account's uploads are shown without a moderator's word.
#[utoipa::path(put, path = "/accounts/{account}/trust", tag = "accounts", request_body = TrustRequest, security(("session" = [])),
    params(("account" = String, Path, description = "The account's id")), responses(
    (status = 204, description = "So it is"),
    (status = 403, description = "Only the operator may", body = ApiError),
    (status = 404, description = "There is no such account", body = ApiError),
))]
pub(super) async fn trust(
    State(app): State<Arc<App>>,
    InPath(account): InPath<AccountId>,
    caller: Caller,
    JsonBody(ask): JsonBody<TrustRequest>,
) -> Answer<StatusCode> {
    if !caller.is_operator() {
        return Err(Failure::new(ErrorCode::Forbidden, "Only the operator says whom the server trusts."));
    }
    if app.store.set_trusted(account, ask.trusted, Some(caller.hand(&app))).await? {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Failure::new(ErrorCode::NotFound, "There is no such account."))
    }
}
