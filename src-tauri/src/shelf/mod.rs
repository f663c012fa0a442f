//! The shelf of placeholders on the streamer's computer, and its mirror in the room that is published to.
//!
//! The page asks for the shelf as it would ask the server ([`front`]); it is answered from here, with what the server
//! says of it ([`view`]), and every change is made here first ([`store`]). A task brings the room's shelf and this one
//! together ([`mirror`]), as [`plan`] decides. So a placeholder can be put there before there is a room or a
//! connection, and it comes along to another server.

mod front;
mod mirror;
mod plan;
mod store;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use mujian_protocol::placeholder::ShelfView;
use mujian_protocol::{ApiError, ErrorCode};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::api::{self, Api};
use crate::app::HOSTED;
use crate::cache::Cache;
use crate::own_room;
use plan::Held;
use store::{Place, STREAMERS, Store};

/// See the top of the file.
#[derive(Debug)]
pub struct Shelf {
    api: Api,
    cache: Cache,
    /// As the cache calls it.
    server: String,
    /// Or why there is none; then the server's shelf is all there is.
    store: Result<Arc<Store>, ApiError>,
    state: Mutex<State>,
    nudge: Notify,
    finding: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    place: Option<Place>,
    /// Keys of what the room did not take, and why.
    refused: BTreeMap<String, ApiError>,
    /// Ids of what the server gives to nobody.
    given_up: BTreeSet<String>,
    /// What the mirror waits for.
    trouble: Option<ApiError>,
    /// The room's shelf as it was last seen.
    seen: Option<ShelfView>,
}

impl Shelf {
    /// The shelf in a data folder, mirrored to the server that `api` speaks with. One that cannot be opened keeps
    /// nobody from broadcasting.
    #[must_use]
    pub fn open(data: &Path, api: Api, cache: Cache, server: String) -> Self {
        let store = Store::open(data).map(Arc::new).map_err(|error| {
            tracing::warn!(%error, "the shelf on this computer cannot be used; the server's own is");
            ApiError::from(error)
        });
        Self {
            api,
            cache,
            server,
            store,
            state: Mutex::default(),
            nudge: Notify::new(),
            finding: tokio::sync::Mutex::default(),
        }
    }

    /// Mirrors this shelf for as long as it is there.
    pub async fn mirror(shelf: std::sync::Weak<Self>) {
        mirror::run(shelf).await;
    }

    /// Somebody else is logged in, or nobody.
    pub fn session_changed(&self) {
        *self.state.lock() = State::default();
        self.nudge.notify_one();
    }

    /// The streamer changed something: what was refused may be taken now.
    fn changed(&self) {
        self.state.lock().refused.clear();
        self.nudge.notify_one();
    }

    fn store(&self) -> Result<&Arc<Store>, ApiError> {
        self.store.as_ref().map_err(Clone::clone)
    }

    /// Which shelf it is, also while the server cannot be asked.
    fn whose(&self) -> Result<i64, ApiError> {
        match self.api.account() {
            // Whoever hosts the server is the streamer, whatever became of the server's data.
            Some(account) if self.server != HOSTED => Ok(self.store()?.shelf_of(&self.server, &account.id)?),
            _ => Ok(STREAMERS),
        }
    }

    /// The room that this shelf is mirrored to. It is made where there is none and something is to be mirrored.
    async fn find(&self) -> Result<Option<Place>, ApiError> {
        let known = || {
            let account = self.api.account().ok_or_else(|| {
                ApiError::new(ErrorCode::Unauthenticated, "Log in, so that your placeholders can be put on the server.")
            })?;
            let known = self.state.lock().place.clone().filter(|place| place.account == account.id);
            Ok::<_, ApiError>((account.id, known))
        };
        if let (_, Some(place)) = known()? {
            return Ok(Some(place));
        }
        let _one = self.finding.lock().await;
        let (account, found) = known()?;
        if found.is_some() {
            return Ok(found);
        }
        let (store, shelf) = (self.store()?, self.whose()?);
        let room = match own_room::find(&self.api, &self.cache, &self.server).await? {
            Some(room) => room,
            None if store.items(shelf)?.iter().all(|item| item.removed_at.is_some()) => return Ok(None),
            None => own_room::prepare(&self.api, &self.cache, &self.server, &self.cache.settings()?).await?.id,
        };
        let place = Place { shelf, server: self.server.clone(), account, room };
        *self.state.lock() = State { place: Some(place.clone()), ..State::default() };
        Ok(Some(place))
    }

    fn held(&self) -> Held {
        let state = self.state.lock();
        Held { push: state.refused.keys().cloned().collect(), pull: state.given_up.clone() }
    }

    /// The room's shelf, as it is now.
    async fn look(&self, place: &Place) -> Result<ShelfView, ApiError> {
        let path = format!("/rooms/{}/placeholders", place.room);
        let seen: Result<ShelfView, ApiError> = self.api.call(reqwest::Method::GET, &path, None::<&()>).await;
        let mut state = self.state.lock();
        match &seen {
            Ok(view) => {
                state.seen = Some(view.clone());
                let linked = |e: &ApiError| !matches!(e.code, ErrorCode::Unreachable | ErrorCode::Unauthenticated);
                state.trouble = state.trouble.take().filter(linked);
            }
            // The room is gone, or somebody else's: another is looked for.
            Err(error) if matches!(error.code, ErrorCode::NotFound | ErrorCode::Forbidden) => state.place = None,
            Err(_) => {}
        }
        seen
    }
}

/// Whether it may be otherwise in a moment, without anybody's doing.
fn passes(error: &ApiError) -> bool {
    use ErrorCode::{Internal, RateLimited, Storage, Unauthenticated, Unreachable};
    matches!(error.code, Unreachable | RateLimited | Internal | Unauthenticated | Storage)
}

/// What a digest says of the files: SHA-256 of the file and of the added sound.
fn files_of(digest: &str) -> (Option<&str>, Option<&str>) {
    /// Of a file without anything in it: words alone have that.
    const NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let files = digest.split('~').next().unwrap_or_default();
    let (file, sound) = files.split_once('+').map_or((files, None), |(file, sound)| (file, Some(sound)));
    (Some(file).filter(|f| !f.is_empty() && *f != NOTHING), sound)
}

/// As a call that the server took.
fn answered(body: impl serde::Serialize) -> Result<mujian_protocol::app::ApiResponse, ApiError> {
    let body = serde_json::to_value(body).map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
    Ok(mujian_protocol::app::ApiResponse { status: 200, body })
}

/// The answer, if the server took the call.
fn taken(answer: mujian_protocol::app::ApiResponse) -> Result<serde_json::Value, ApiError> {
    api::error_of(&answer).map_or(Ok(answer.body), Err)
}
