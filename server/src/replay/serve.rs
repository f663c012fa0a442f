//! Recordings over HTTP: playlists, segments and files, under `/replays/ID/`.
//!
//! | name | what |
//! | --- | --- |
//! | `cut.m3u8`, `c0.m4s` … | the replay without what was shown while the streamer was away |
//! | `full.m3u8`, `f0.m4s` … | the whole: for its owner, and for everybody where there is nothing to cut |
//! | `apart.m3u8`, `a0.m4s` … | the whole, for players that do the leaving out, where the operator wants it so |
//! | `init0.mp4` … | how they are coded |
//! | `cut-0.mp4`, `full-0.mp4` … | to download, one for each size |
//!
//! Players cannot send a header, so the owner's addresses carry a token (`?token=`) of some hours, for this room.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use mujian_media::time::MediaTime;
use mujian_protocol::api::Role;
use mujian_protocol::{ErrorCode, Problem, StreamId};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::movie::Film;
use super::plan;
use super::reading::{Opened, Version};
use crate::api::Failure;
use crate::app::App;
use crate::egress::{ANY_ORIGIN, preflight};
use crate::hls::playlist_response;
use crate::store::{Account, RecordingRow};

/// The owner's addresses are good for so long.
const OWNERS_LIFE: Duration = Duration::from_secs(6 * 3600);
/// Segments never change.
const MEDIA_CACHING: &str = "private, max-age=86400, immutable";
/// So many files to download are prepared at a time.
const BUILDING: usize = 2;
/// Files that stay prepared, for those who fetch them piece by piece.
const FILMS: usize = 4;

type FilmKey = (StreamId, Version, usize);

/// Files to download that were prepared lately.
#[derive(Debug)]
pub struct Films {
    ready: Mutex<VecDeque<(FilmKey, Arc<Film>)>>,
    building: Semaphore,
}

impl Default for Films {
    fn default() -> Self {
        Self { ready: Mutex::default(), building: Semaphore::new(BUILDING) }
    }
}

impl Films {
    fn ready(&self, key: &FilmKey) -> Option<Arc<Film>> {
        self.ready.lock().iter().find(|(k, _)| k == key).map(|(_, film)| Arc::clone(film))
    }

    async fn get(&self, key: FilmKey, opened: Arc<Opened>) -> io::Result<Arc<Film>> {
        if let Some(film) = self.ready(&key) {
            return Ok(film);
        }
        let _turn = self.building.acquire().await.map_err(io::Error::other)?;
        if let Some(film) = self.ready(&key) {
            return Ok(film);
        }
        let form = opened.forms().into_iter().nth(key.2).ok_or(io::ErrorKind::NotFound)?;
        let version = key.1;
        let build = tokio::task::spawn_blocking(move || Film::build(opened, version, &form));
        let film = Arc::new(build.await.map_err(io::Error::other)??);
        let mut ready = self.ready.lock();
        ready.push_back((key, Arc::clone(&film)));
        if ready.len() > FILMS {
            ready.pop_front();
        }
        Ok(film)
    }
}

/// Who wants to watch.
pub(crate) struct Viewer {
    pub(crate) account: Option<Account>,
}

/// A version's name in addresses.
pub(crate) fn name(version: Version) -> &'static str {
    match version {
        Version::Cut => "cut",
        Version::Full => "full",
        Version::Apart => "apart",
    }
}

/// What viewers get: the cut version of streams that are long enough.
pub(crate) fn viewers_version(app: &App, row: &RecordingRow) -> Version {
    let rules = &app.config.recordings;
    let cut = row.away > 0 && plan::is_cut(MediaTime::from_millis(row.duration), rules.cut_from_minutes);
    if cut { Version::Cut } else { Version::Full }
}

/// Milliseconds of a recording that viewers are played.
pub(crate) fn played(app: &App, row: &RecordingRow) -> i64 {
    if viewers_version(app, row) == Version::Cut { row.duration - row.away } else { row.duration }
}

/// Whether an account owns the recording, or runs the server.
pub(crate) fn is_owner(row: &RecordingRow, account: Option<&Account>) -> bool {
    account.is_some_and(|a| a.id == row.owner || a.role == Role::Operator)
}

/// A recording that is made is not played yet.
pub(crate) fn still_made() -> Failure {
    Failure::new(ErrorCode::Conflict, "This stream is still being recorded. Its replay is there when it has ended.")
        .about(Problem::ReplayUnfinished)
}

fn unknown() -> Failure {
    Failure::new(ErrorCode::NotFound, "There is no such recording. It may have been deleted.")
}

/// Finds a recording.
pub(crate) async fn find(app: &App, id: &str) -> Result<RecordingRow, Failure> {
    let id: StreamId = id.parse().map_err(|_| unknown())?;
    app.store.recording(id).await?.ok_or_else(unknown)
}

/// Opens one that is complete.
pub(crate) async fn open(app: &App, row: &RecordingRow) -> Result<Arc<Opened>, Failure> {
    if row.ended_at.is_none() {
        return Err(still_made());
    }
    app.shelf.get(&row.id, app.keeper.folder_of(row)).await.map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return unknown();
    }
    tracing::error!(%error, "A recording could not be read.");
    Failure::new(ErrorCode::Internal, "The recording could not be read from the server's disk.")
        .about(Problem::ReplayUnreadable)
}

/// Whether somebody may watch a version.
pub(crate) fn may_watch(app: &App, row: &RecordingRow, version: Version, viewer: &Viewer) -> Result<(), Failure> {
    let open = match version {
        Version::Cut => true,
        Version::Full => viewers_version(app, row) == Version::Full,
        Version::Apart => app.config.recordings.cut_in_player,
    };
    if open || is_owner(row, viewer.account.as_ref()) {
        return Ok(());
    }
    Err(Failure::new(ErrorCode::Forbidden, "The whole recording is for its streamer. Open the replay's page again.")
        .about(Problem::NotYours))
}

/// What the owner's addresses end with.
pub(crate) fn owners_query(app: &App, row: &RecordingRow, account: &Account) -> String {
    let token = app.watch_tokens.issue(row.room.clone(), account.id.clone(), app.clock.now(), OWNERS_LIFE);
    format!("?token={token}")
}

/// The routes under `/replays/ID/`.
pub fn router(app: &Arc<App>) -> Router {
    Router::new().route("/replays/{replay}/{file}", any(file)).with_state(Arc::clone(app))
}

async fn file(State(app): State<Arc<App>>, Path((id, name)): Path<(String, String)>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut response = match parts.method {
        Method::OPTIONS => preflight(),
        Method::GET | Method::HEAD => {
            answer(&app, &id, &name, &parts).await.unwrap_or_else(IntoResponse::into_response)
        }
        _ => Failure::with_status(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::InvalidRequest,
            "Recordings can only be fetched: use GET.",
        )
        .into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(ANY_ORIGIN.0, ANY_ORIGIN.1);
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Playlist(Version),
    Init(usize),
    Segment(Version, usize),
    Film(Version, usize),
}

impl Wanted {
    fn of(name: &str) -> Option<Self> {
        let (stem, kind) = name.rsplit_once('.')?;
        let version = |name: &str| match name {
            "cut" => Some(Version::Cut),
            "full" => Some(Version::Full),
            "apart" => Some(Version::Apart),
            _ => None,
        };
        let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match kind {
            "m3u8" => Some(Self::Playlist(version(stem)?)),
            "m4s" => match stem.as_bytes().first()? {
                b'c' => Some(Self::Segment(Version::Cut, number(stem.get(1..)?)?)),
                b'f' => Some(Self::Segment(Version::Full, number(stem.get(1..)?)?)),
                b'a' => Some(Self::Segment(Version::Apart, number(stem.get(1..)?)?)),
                _ => None,
            },
            "mp4" => match stem.strip_prefix("init") {
                Some(text) => Some(Self::Init(number(text)?)),
                None => {
                    let (which, text) = stem.split_once('-')?;
                    Some(Self::Film(version(which)?, number(text)?))
                }
            },
            _ => None,
        }
    }
}

async fn answer(app: &Arc<App>, id: &str, name: &str, parts: &Parts) -> Result<Response, Failure> {
    let wanted = Wanted::of(name).ok_or_else(unknown)?;
    let row = find(app, id).await?;
    let query = parts.uri.query().unwrap_or_default();
    let token = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token").map(|(_, t)| t);
    let account = match token.as_deref().and_then(|t| app.watch_tokens.check(t, &row.room, app.clock.now())) {
        Some(id) => app.store.account(id).await?,
        None => None,
    };
    let viewer = Viewer { account };
    if let Wanted::Playlist(version) | Wanted::Segment(version, _) | Wanted::Film(version, _) = wanted {
        may_watch(app, &row, version, &viewer)?;
    }
    let opened = open(app, &row).await?;
    let media = || {
        [
            (header::CONTENT_TYPE, HeaderValue::from_static("video/mp4")),
            (header::CACHE_CONTROL, HeaderValue::from_static(MEDIA_CACHING)),
        ]
    };
    match wanted {
        Wanted::Playlist(version) => {
            let suffix = token.filter(|_| viewer.account.is_some()).map(|t| format!("?token={t}")).unwrap_or_default();
            Ok(playlist_response(opened.playlist(version, &suffix)))
        }
        Wanted::Init(config) => Ok((media(), opened.init(config).ok_or_else(unknown)?).into_response()),
        Wanted::Segment(version, number) => {
            let read = tokio::task::spawn_blocking(move || opened.segment(version, number));
            let bytes = read.await.map_err(io::Error::other).and_then(|read| read).map_err(|e| failed(&e))?;
            Ok((media(), bytes).into_response())
        }
        Wanted::Film(version, form) => {
            let film = app.films.get((row.id.clone(), version, form), opened).await.map_err(|e| failed(&e))?;
            Ok(download(film, &row, parts))
        }
    }
}

/// A file to keep, or a range of it.
fn download(film: Arc<Film>, row: &RecordingRow, parts: &Parts) -> Response {
    let length = film.length();
    let asked = parts.headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let (status, range) = match asked.map(|text| range_of(text, length)) {
        None | Some(Asked::All) => (StatusCode::OK, 0..length),
        Some(Asked::Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
        Some(Asked::Outside) => {
            let told = HeaderValue::from_str(&format!("bytes */{length}"));
            let told = (header::CONTENT_RANGE, told.unwrap_or(HeaderValue::from_static("bytes */0")));
            return (StatusCode::RANGE_NOT_SATISFIABLE, [told]).into_response();
        }
    };
    let mut headers = HeaderMap::new();
    let mut set = |name: header::HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_TYPE, "video/mp4".into());
    set(header::ACCEPT_RANGES, "bytes".into());
    set(header::CONTENT_LENGTH, (range.end - range.start).to_string());
    if status == StatusCode::PARTIAL_CONTENT {
        set(header::CONTENT_RANGE, format!("bytes {}-{}/{length}", range.start, range.end - 1));
    }
    set(header::CONTENT_DISPOSITION, disposition(&row.title, &row.id));
    let body = if parts.method == Method::HEAD { Body::empty() } else { Body::from_stream(film.stream(range)) };
    (status, headers, body).into_response()
}

/// The name to keep it under (RFC 6266): the title for those who understand it.
fn disposition(title: &str, id: &StreamId) -> String {
    let name: String = title.chars().filter(|c| !c.is_control() && !"/\\:*?\"<>|".contains(*c)).take(80).collect();
    let mut encoded = String::new();
    for byte in format!("{}.mp4", name.trim()).bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("attachment; filename=\"mujian-{id}.mp4\"; filename*=UTF-8''{encoded}")
}

#[derive(Debug, PartialEq, Eq)]
enum Asked {
    All,
    Some(Range<u64>),
    Outside,
}

/// One range of bytes (RFC 9110, 14.1.2); whatever else is asked for gets everything.
fn range_of(text: &str, length: u64) -> Asked {
    let Some((from, to)) = text.strip_prefix("bytes=").and_then(|t| t.split_once('-')) else { return Asked::All };
    match (from.trim().parse::<u64>(), to.trim().parse::<u64>()) {
        (Ok(from), _) if from >= length => Asked::Outside,
        (Ok(from), Ok(to)) if to >= from => Asked::Some(from..to.saturating_add(1).min(length)),
        (Ok(from), Err(_)) if to.trim().is_empty() => Asked::Some(from..length),
        (Err(_), Ok(last)) if from.trim().is_empty() && last > 0 => Asked::Some(length.saturating_sub(last)..length),
        _ => Asked::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(Wanted::of("cut.m3u8"), Some(Wanted::Playlist(Version::Cut)));
        assert_eq!(Wanted::of("f12.m4s"), Some(Wanted::Segment(Version::Full, 12)));
        assert_eq!(Wanted::of("init3.mp4"), Some(Wanted::Init(3)));
        assert_eq!(Wanted::of("full-1.mp4"), Some(Wanted::Film(Version::Full, 1)));
        for wrong in ["", "cut", "x.m3u8", "c.m4s", "c-1.m4s", "é1.m4s", "init.mp4", "cut-.mp4", "cut-1.m4s", "c1.mp4"]
        {
            assert_eq!(Wanted::of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ranges() {
        for (text, found) in [
            ("bytes=0-99", Asked::Some(0..100)),
            ("bytes=900-", Asked::Some(900..1000)),
            ("bytes=900-5000", Asked::Some(900..1000)),
            ("bytes=-100", Asked::Some(900..1000)),
            ("bytes=-5000", Asked::Some(0..1000)),
            ("bytes=1000-", Asked::Outside),
            ("bytes=5-2", Asked::All),
            ("bytes=0-1,5-6", Asked::All),
            ("lines=1-2", Asked::All),
            ("bytes=-", Asked::All),
        ] {
            assert_eq!(range_of(text, 1000), found, "{text}");
        }
    }

    #[test]
    fn a_title_is_a_name_that_every_system_takes() {
        let id = StreamId::new();
        let told = disposition("幕间 \"a/b\"\r\n: 1", &id);
        assert!(told.is_ascii() && !told.contains(['\r', '\n']), "{told}");
        assert!(told.ends_with("filename*=UTF-8''%E5%B9%95%E9%97%B4%20ab%201.mp4"), "{told}");
    }
}
