//! What the page asks of the shelf: the server's own calls, for the room that this shelf is mirrored to. `-` in the
//! place of the room is that room, whether there is one yet or not.

use std::collections::BTreeMap;
use std::sync::Arc;

use mujian_protocol::app::{ApiRequest, ApiResponse};
use mujian_protocol::placeholder::{
    AwayRequest, ChoiceView, PLACEHOLDER_BYTES_MAX, PlaceholderKind, PlaceholderPatch, ShelfView,
};
use mujian_protocol::{ApiError, ErrorCode, Problem, RoomId, WallTime};
use mujian_server::placeholder::{HEAD, check_upload, said};
use serde_json::Value;

use super::mirror::{blocking, remote_of};
use super::plan::{LocalShelf, Words, matches, plan};
use super::store::{Item, ShelfError, Store};
use super::view::{Told, choice_here, compose};
use super::{Shelf, answered, passes, taken};

/// The page's name for the room that is published to.
const OWN: &str = "-";

/// A call, taken apart: the room, what is behind it, and the query.
struct Call<'a> {
    room: &'a str,
    rest: Vec<&'a str>,
    query: &'a str,
}

impl<'a> Call<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.strip_prefix("/rooms/")?.split('/');
        Some(Self { room: parts.next()?, rest: parts.collect(), query })
    }
}

fn no_room() -> ApiError {
    ApiError::new(
        ErrorCode::NotFound,
        "There is no room on the server yet. Go live once, or put something on the shelf.",
    )
}

impl Shelf {
    /// The real path of a call, which may name the page's own room.
    async fn real(&self, call: &Call<'_>) -> Result<String, ApiError> {
        let room = match call.room {
            OWN => self.room().await?.ok_or_else(no_room)?.to_string(),
            room => room.to_owned(),
        };
        let query = if call.query.is_empty() { String::new() } else { format!("?{}", call.query) };
        let rest: String = call.rest.iter().map(|part| format!("/{part}")).collect();
        Ok(format!("/rooms/{room}{rest}{query}"))
    }

    async fn room(&self) -> Result<Option<RoomId>, ApiError> {
        if self.store.is_err() {
            return crate::own_room::find(&self.api, &self.cache, &self.server).await;
        }
        Ok(self.find().await?.map(|place| place.room))
    }

    /// Whether this shelf answers for that room: not without a shelf, and not for others of the account's rooms.
    fn is_mine(&self, call: &Call<'_>) -> bool {
        let mirrored = || self.state.lock().place.as_ref().is_some_and(|place| place.room.as_str() == call.room);
        self.store.is_ok() && (call.room == OWN || mirrored())
    }

    /// A call of the page's; none: it is none of the shelf's.
    pub async fn request(&self, request: &ApiRequest) -> Option<Result<ApiResponse, ApiError>> {
        let call = Call::of(&request.path)?;
        if self.is_mine(&call) {
            let answer = match (request.method.as_str(), call.rest.as_slice()) {
                ("GET", ["placeholders"]) => self.list().await.and_then(answered),
                ("PATCH", ["placeholders", key]) => self.change(&call, key, request).await,
                ("DELETE", ["placeholders", key]) => self.delete(&call, key).await,
                ("POST", ["away"]) => self.pick(&call, request).await,
                _ => return self.passed(&call, request).await,
            };
            return Some(answer);
        }
        self.passed(&call, request).await
    }

    /// What is not the shelf's, but names the page's own room.
    async fn passed(&self, call: &Call<'_>, request: &ApiRequest) -> Option<Result<ApiResponse, ApiError>> {
        if call.room != OWN {
            return None;
        }
        Some(self.pass(call, request).await)
    }

    async fn pass(&self, call: &Call<'_>, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let path = self.real(call).await?;
        self.api.pass(&ApiRequest { path, ..request.clone() }).await
    }

    /// A file of the page's; none: it is none of the shelf's.
    pub async fn upload(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        file: &[u8],
    ) -> Option<Result<ApiResponse, ApiError>> {
        let call = Call::of(path)?;
        match (self.is_mine(&call), method, call.rest.as_slice()) {
            (true, "POST", ["placeholders"]) => Some(self.add(call.query, content_type, file).await),
            (true, "PUT", ["placeholders", key, "sound"]) if self.holds(key) => {
                Some(self.set_sound(key, content_type, file).await)
            }
            _ if call.room == OWN => Some(match self.real(&call).await {
                Ok(path) => self.api.upload(method, &path, content_type, file.to_vec()).await,
                Err(error) => Err(error),
            }),
            _ => None,
        }
    }

    /// A picture or film of one; none: it is none of the shelf's.
    pub async fn media(&self, path: &str) -> Option<Result<Vec<u8>, ApiError>> {
        let call = Call::of(path)?;
        let id = match call.rest.as_slice() {
            ["placeholders", key, _] if self.is_mine(&call) => self.id_of(key),
            _ if call.room == OWN => Ok(None),
            _ => return None,
        };
        let fetch = async {
            let id = id?;
            let mut rest = call.rest.clone();
            if let (Some(id), Some(part)) = (id.as_deref(), rest.get_mut(1)) {
                *part = id;
            }
            self.api.media(&self.real(&Call { rest, ..call }).await?).await
        };
        Some(fetch.await)
    }

    /// Whether one of this key is on this computer.
    fn holds(&self, key: &str) -> bool {
        let found = || Ok::<_, ApiError>(self.store()?.item(self.whose()?, key)?.is_some());
        found().unwrap_or(false)
    }

    /// What the room calls one of this computer's; none: that is no key. It may not be there yet.
    fn id_of(&self, key: &str) -> Result<Option<String>, ApiError> {
        if !self.holds(key) {
            return Ok(None);
        }
        let not_yet = || {
            ApiError::new(ErrorCode::Conflict, "It has not come to the server yet. Wait until it says so.")
                .about(Problem::NotMirrored)
        };
        let place = self.state.lock().place.clone().ok_or_else(not_yet)?;
        Ok(Some(self.store()?.base(&place, key)?.ok_or_else(not_yet)?.id))
    }

    /// The shelf as it is here, with what the room says of it.
    async fn list(&self) -> Result<ShelfView, ApiError> {
        let looked = async {
            let Some(place) = self.find().await? else { return Ok(None) };
            self.look(&place).await.map(Some)
        };
        match looked.await {
            Ok(None) => Ok(self.here()?.2),
            Ok(Some(seen)) => {
                let (store, place) = (self.store()?, self.state.lock().place.clone());
                if let Some(place) = place
                    && !plan(&store.local(&place)?, &remote_of(&seen), &self.held()).is_empty()
                {
                    // Something was done in a browser.
                    self.nudge.notify_one();
                }
                Ok(self.here()?.2)
            }
            Err(error) if passes(&error) || error.code == ErrorCode::NotFound => {
                self.state.lock().trouble = Some(error);
                Ok(self.here()?.2)
            }
            Err(error) => Err(error),
        }
    }

    /// The shelf, without asking the server.
    fn here(&self) -> Result<(LocalShelf, Vec<Item>, ShelfView), ApiError> {
        let (store, shelf) = (self.store()?, self.whose()?);
        let state = self.state.lock();
        // Without a room there is nothing that was agreed on.
        let local = match state.place.as_ref().filter(|place| place.shelf == shelf) {
            Some(place) => store.local(place)?,
            None => LocalShelf::default(),
        };
        let items = store.items(shelf)?;
        let told = Told { refused: &state.refused, given_up: &state.given_up, trouble: state.trouble.as_ref() };
        let view = compose(&local, &items, state.seen.as_ref(), told);
        Ok((local, items, view))
    }

    async fn add(&self, query: &str, content_type: &str, file: &[u8]) -> Result<ApiResponse, ApiError> {
        let asked: BTreeMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).map(|(k, v)| (k.into_owned(), v.into_owned())).collect();
        let said = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
        let words = Words {
            name: said::name(said("name"))?,
            keywords: said::keyword_list(said("keywords"))?,
            text: said::words(said("text"), !file.is_empty())?,
        };
        let kind = if file.is_empty() { PlaceholderKind::Text } else { checked(file, content_type)? };
        let (store, shelf) = (Arc::clone(self.store()?), self.whose()?);
        let at = WallTime::now().millis();
        let key = uuid::Uuid::now_v7().to_string();
        let (bytes, content_type) = (file.to_vec(), content_type.to_owned());
        let mut item =
            Item { key, words, kind, file: None, sound: None, created_at: at, changed_at: at, removed_at: None };
        let kept = item.clone();
        blocking(move || {
            let mut files = Vec::new();
            if !bytes.is_empty() {
                let (file, blob) = store.receive(&bytes, &content_type)?;
                item.file = Some(blob.clone());
                files.push((file, blob));
            }
            store.add(shelf, &item, files, None)
        })
        .await?;
        self.changed();
        let (_, _, view) = self.here()?;
        let added = view.placeholders.into_iter().find(|p| p.id == kept.key).ok_or(ShelfError::Unknown)?;
        answered(added)
    }

    async fn set_sound(&self, key: &str, content_type: &str, file: &[u8]) -> Result<ApiResponse, ApiError> {
        if matches!(checked(file, content_type)?, PlaceholderKind::Picture | PlaceholderKind::Animation) {
            let sentence = "This is a picture; choose a file with sound.";
            return Err(ApiError::new(ErrorCode::UnsupportedMedia, sentence).about(Problem::UploadSilent));
        }
        let (store, shelf, at) = (Arc::clone(self.store()?), self.whose()?, WallTime::now().millis());
        let (key, bytes, content_type) = (key.to_owned(), file.to_vec(), content_type.to_owned());
        blocking(move || {
            let sound = store.receive(&bytes, &content_type)?;
            store.set_sound(shelf, &key, sound, at, None)
        })
        .await?;
        self.changed();
        answered(Value::Null)
    }

    async fn change(&self, call: &Call<'_>, key: &str, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let (store, shelf) = (self.store()?, self.whose()?);
        let Some(item) = store.item(shelf, key)? else {
            // One that is only on the server.
            taken(self.pass(call, request).await?)?;
            return self.list().await.and_then(answered);
        };
        let patch: PlaceholderPatch = serde_json::from_value(request.body.clone())
            .map_err(|e| ApiError::new(ErrorCode::InvalidRequest, format!("{e}.")))?;
        let mut words = item.words.clone();
        if let Some(name) = patch.name {
            words.name = said::name(&name)?;
        }
        if let Some(keywords) = patch.keywords {
            words.keywords = said::keywords(keywords.iter().map(String::as_str))?;
        }
        if let Some(text) = patch.text {
            words.text = said::words(&text, item.kind != PlaceholderKind::Text)?;
        }
        let at = WallTime::now().millis();
        if words != item.words {
            store.set_words(shelf, key, &words, at, None)?;
        }
        if let Some(position) = patch.position {
            reorder(store, shelf, key, position as usize, at)?;
        }
        self.changed();
        answered(self.here()?.2)
    }

    async fn delete(&self, call: &Call<'_>, key: &str) -> Result<ApiResponse, ApiError> {
        if self.holds(key) {
            self.store()?.remove(self.whose()?, key, WallTime::now().millis(), None)?;
            self.changed();
            return answered(Value::Null);
        }
        let request = ApiRequest { method: "DELETE".into(), path: String::new(), body: Value::Null };
        self.pass(call, &request).await
    }

    async fn pick(&self, call: &Call<'_>, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let mut ask: AwayRequest = serde_json::from_value(request.body.clone())
            .map_err(|e| ApiError::new(ErrorCode::InvalidRequest, format!("{e}.")))?;
        if let Some(key) = ask.placeholder_id.take() {
            ask.placeholder_id = Some(self.id_of(&key)?.unwrap_or(key));
        }
        let body = serde_json::to_value(&ask).map_err(|e| ApiError::new(ErrorCode::Internal, e.to_string()))?;
        let answer = taken(self.pass(call, &ApiRequest { body, ..request.clone() }).await?)?;
        let choice: ChoiceView = serde_json::from_value(answer).map_err(|e| {
            ApiError::new(ErrorCode::Internal, format!("The server's answer was not understood ({e})."))
                .about(Problem::VersionDiffers)
        })?;
        let (local, _, _) = self.here()?;
        let seen = self.state.lock().seen.as_ref().map(remote_of).unwrap_or_default();
        let matched = matches(&local, &seen);
        let key_of: BTreeMap<&str, &str> = matched.iter().map(|(key, r)| (r.id.as_str(), *key)).collect();
        answered(choice_here(choice, &key_of))
    }
}

/// Puts one at a place among those that were not deleted.
fn reorder(store: &Store, shelf: i64, key: &str, position: usize, at: i64) -> Result<(), ApiError> {
    let items = store.items(shelf)?;
    let mut keys: Vec<String> = items.into_iter().filter(|i| i.removed_at.is_none()).map(|i| i.key).collect();
    keys.retain(|other| other != key);
    keys.insert(position.min(keys.len()), key.to_owned());
    Ok(store.set_order(shelf, &keys, Some(at))?)
}

/// What a file is; refused at once is what the server would refuse by its first bytes.
fn checked(file: &[u8], content_type: &str) -> Result<PlaceholderKind, ApiError> {
    if file.len() > PLACEHOLDER_BYTES_MAX {
        let mb = u32::try_from(PLACEHOLDER_BYTES_MAX >> 20).unwrap_or(u32::MAX);
        let message = format!("The file is larger than {mb} MB. Make it smaller.");
        return Err(ApiError::new(ErrorCode::TooLarge, message).about(Problem::UploadTooLarge { mb }));
    }
    check_upload(&file[..file.len().min(HEAD)], content_type).map_err(|refusal| {
        ApiError::new(ErrorCode::UnsupportedMedia, refusal.message).about(Problem::UploadRefused { code: refusal.code })
    })
}
