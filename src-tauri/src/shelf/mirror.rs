//! Makes the room's shelf and this computer's the same, step by step, again and again.

use std::io::Write as _;
use std::sync::{Arc, Weak};
use std::time::Duration;

use mujian_media::backoff::Backoff;
use mujian_protocol::placeholder::{PLACEHOLDER_BYTES_MAX, PlaceholderPatch, PlaceholderView, ShelfView};
use mujian_protocol::{ApiError, ErrorCode};
use reqwest::Method;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;
use url::form_urlencoded::Serializer;

use super::plan::{Action, Base, Gone, Remote, RemoteShelf, Words, plan};
use super::store::{Blob, Item, Place, ShelfError, Store, hex};
use super::{Shelf, files_of, passes};
use crate::clock;

/// How often the room's shelf is looked at, for what a browser did there.
const PERIOD: Duration = Duration::from_secs(30);
/// A plan is made anew after each round; who changes things all the time waits for the next period.
const ROUNDS: usize = 8;

/// Mirrors for as long as the shelf is there.
pub(super) async fn run(shelf: Weak<Shelf>) {
    let mut backoff = Backoff::default();
    loop {
        let Some(shelf) = shelf.upgrade() else { return };
        let done = shelf.round().await;
        let pause = match &done {
            Ok(()) => {
                backoff.reset();
                PERIOD
            }
            Err(error) => {
                tracing::debug!(%error, "the shelf waits");
                backoff.failed(clock::jitter())
            }
        };
        shelf.state.lock().trouble = done.err();
        tokio::select! {
            () = shelf.nudge.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// What is said of one on the server.
pub(super) fn words_of(view: &PlaceholderView) -> Words {
    Words { name: view.name.clone(), keywords: view.keywords.clone(), text: view.text.clone() }
}

/// The room's shelf as it is compared with this one.
pub(super) fn remote_of(view: &ShelfView) -> RemoteShelf {
    let items = view.placeholders.iter().map(|p| Remote {
        id: p.id.clone(),
        key: p.key.clone(),
        words: words_of(p),
        sound: files_of(&p.digest).1.map(str::to_owned),
        changed_at: p.changed_at.millis(),
    });
    let removed = view.removed.iter().map(|r| Gone { id: r.id.clone(), key: r.key.clone(), at: r.at.millis() });
    RemoteShelf { items: items.collect(), ordered_at: view.ordered_at.millis(), removed: removed.collect() }
}

fn base_of(view: &PlaceholderView) -> Base {
    Base { id: view.id.clone(), words: words_of(view), sound: files_of(&view.digest).1.map(str::to_owned) }
}

impl Shelf {
    /// Does what is to be done until nothing is.
    async fn round(&self) -> Result<(), ApiError> {
        let Ok(store) = self.store() else { return Ok(()) };
        let Some(place) = self.find().await? else { return Ok(()) };
        for _ in 0..ROUNDS {
            let view = self.look(&place).await?;
            let actions = plan(&store.local(&place)?, &remote_of(&view), &self.held());
            if actions.is_empty() {
                return Ok(());
            }
            let mut waits = None;
            for action in actions {
                match self.act(store, &place, &view, &action).await {
                    Ok(()) => {}
                    Err(error) if matches!(error.code, ErrorCode::Unreachable | ErrorCode::Unauthenticated) => {
                        return Err(error);
                    }
                    Err(error) => waits = self.failed(&action, error).or(waits),
                }
            }
            if let Some(error) = waits {
                return Err(error);
            }
        }
        Ok(())
    }

    /// A step that failed is held until something changes, or it is what the mirror waits for.
    fn failed(&self, action: &Action, error: ApiError) -> Option<ApiError> {
        let vanished = matches!(error.problem.as_deref(), Some(mujian_protocol::Problem::ShelfFileGone { .. }));
        if passes(&error) && !vanished {
            return Some(error);
        }
        let mut state = self.state.lock();
        match action {
            Action::Upload { key } | Action::SendSound { key, .. } | Action::SendWords { key, .. } => {
                // What is gone from the room by now is planned anew.
                if error.code != ErrorCode::NotFound {
                    tracing::info!(%error, key, "a placeholder was not taken");
                    state.refused.insert(key.clone(), error);
                }
            }
            Action::Pull { id }
            | Action::Fetch { id, .. }
            | Action::TakeSound { id, .. }
            | Action::Revive { id, .. } => {
                tracing::info!(%error, id, "the server does not give a placeholder's file");
                state.given_up.insert(id.clone());
            }
            _ => tracing::debug!(%error, ?action, "a step of the shelf's mirror was not taken"),
        }
        None
    }

    async fn act(&self, store: &Arc<Store>, place: &Place, view: &ShelfView, action: &Action) -> Result<(), ApiError> {
        let shelf = place.shelf;
        let path = |id: &str| format!("/rooms/{}/placeholders/{id}", place.room);
        // What was seen of it a moment ago; what came since is seen in the next round.
        let there = |id: &str| view.placeholders.iter().find(|p| p.id == id);
        match action {
            Action::Upload { key } => {
                if let Some(item) = store.item(shelf, key)? {
                    let taken = self.send(store, place, &item).await?;
                    store.agree(place, key, &base_of(&taken))?;
                }
            }
            Action::SendSound { key, id } => {
                let Some(sound) = store.item(shelf, key)?.and_then(|item| item.sound) else { return Ok(()) };
                let file = opened(store, &sound).await?;
                let path = format!("{}/sound", path(id));
                self.api.send_file::<Value>(Method::PUT, &path, &sound.content_type, Some(file)).await?;
                let before = store.base(place, key)?.or_else(|| there(id).map(base_of));
                if let Some(base) = before {
                    store.agree(place, key, &Base { id: id.clone(), sound: Some(sound.digest), ..base })?;
                }
            }
            Action::SendWords { key, id } => {
                let (Some(item), Some(seen)) = (store.item(shelf, key)?, there(id)) else { return Ok(()) };
                let Words { name, keywords, text } = item.words.clone();
                let patch = PlaceholderPatch {
                    name: Some(name).filter(|n| *n != seen.name),
                    keywords: Some(keywords).filter(|k| *k != seen.keywords),
                    text: Some(text).filter(|t| *t != seen.text),
                    position: None,
                };
                self.api.call::<Value>(Method::PATCH, &path(id), Some(&patch)).await?;
                let before = store.base(place, key)?.unwrap_or_else(|| base_of(seen));
                store.agree(place, key, &Base { id: id.clone(), words: item.words, ..before })?;
            }
            Action::Delete { key, id } => match self.api.call::<Value>(Method::DELETE, &path(id), None::<&()>).await {
                Err(error) if error.code != ErrorCode::NotFound => return Err(error),
                _ => store.forget(place, key)?,
            },
            Action::Move { id, position } => {
                let position = u32::try_from(*position).ok();
                let patch = PlaceholderPatch { position, ..PlaceholderPatch::default() };
                self.api.call::<Value>(Method::PATCH, &path(id), Some(&patch)).await?;
            }
            Action::Pull { id } | Action::Revive { id, .. } => {
                let Some(seen) = there(id) else { return Ok(()) };
                self.pull(store, place, seen, action).await?;
            }
            Action::Fetch { key, id } => {
                let (Some(item), Some(seen)) = (store.item(shelf, key)?, there(id)) else { return Ok(()) };
                self.fetch_again(store, place, &item, seen).await?;
            }
            Action::TakeWords { key, id } => {
                let Some(seen) = there(id) else { return Ok(()) };
                let before = store.base(place, key)?.unwrap_or_else(|| base_of(seen));
                let base = Base { id: id.clone(), words: words_of(seen), ..before };
                store.set_words(shelf, key, &base.words, seen.changed_at.millis(), Some((place, &base)))?;
            }
            Action::TakeSound { key, id } => {
                let Some((seen, digest)) = there(id).and_then(|p| Some((p, files_of(&p.digest).1?))) else {
                    return Ok(());
                };
                let sound = self.fetch(store, &format!("{}/sound", path(id)), digest).await?;
                let before = store.base(place, key)?.unwrap_or_else(|| base_of(seen));
                let base = Base { id: id.clone(), sound: Some(digest.to_owned()), ..before };
                store.set_sound(shelf, key, sound, seen.changed_at.millis(), Some((place, &base)))?;
            }
            Action::Remove { key, at } => {
                store.remove(shelf, key, *at, Some(place))?;
                // There is room for another one now.
                self.state.lock().refused.clear();
            }
            Action::Agree { key, id } => {
                if let Some(seen) = there(id) {
                    store.agree(place, key, &base_of(seen))?;
                }
            }
            Action::TakeOrder { keys } => {
                store.set_order(shelf, keys, None)?;
                store.agree_order(place, keys)?;
            }
            Action::AgreeOrder { keys } => store.agree_order(place, keys)?,
        }
        Ok(())
    }

    async fn send(&self, store: &Store, place: &Place, item: &Item) -> Result<PlaceholderView, ApiError> {
        let Words { name, keywords, text } = &item.words;
        let keywords = keywords.join(",");
        let said = [("key", &item.key), ("name", name), ("keywords", &keywords), ("text", text)];
        let query = Serializer::new(String::new())
            .extend_pairs(said.into_iter().filter(|(_, value)| !value.is_empty()))
            .finish();
        let file = match &item.file {
            Some(blob) => Some(opened(store, blob).await?),
            None => None,
        };
        let kind = item.file.as_ref().map(|f| f.content_type.as_str()).unwrap_or_default();
        self.api.send_file(Method::POST, &format!("/rooms/{}/placeholders?{query}", place.room), kind, file).await
    }

    /// Takes one in that is on the server, with its files.
    async fn pull(
        &self,
        store: &Arc<Store>,
        place: &Place,
        seen: &PlaceholderView,
        action: &Action,
    ) -> Result<(), ApiError> {
        let path = format!("/rooms/{}/placeholders/{}", place.room, seen.id);
        let (file, sound) = files_of(&seen.digest);
        let mut files = Vec::new();
        let mut blobs = [None, None];
        for (n, (digest, what)) in [(file, "file"), (sound, "sound")].into_iter().enumerate() {
            if let Some(digest) = digest {
                let fetched = self.fetch(store, &format!("{path}/{what}"), digest).await?;
                blobs[n] = Some(fetched.1.clone());
                files.push(fetched);
            }
        }
        let [file, sound] = blobs;
        let item = Item {
            key: match action {
                Action::Revive { key, .. } => key.clone(),
                _ => seen.key.clone().unwrap_or_else(|| seen.id.clone()),
            },
            words: words_of(seen),
            kind: seen.kind,
            file,
            sound,
            created_at: seen.created_at.millis(),
            changed_at: seen.changed_at.millis(),
            removed_at: None,
        };
        let (store, place, base) = (Arc::clone(store), place.clone(), base_of(seen));
        blocking(move || store.add(place.shelf, &item, files, Some((&place, &base)))).await
    }

    /// Brings back what vanished from this computer's disk.
    async fn fetch_again(
        &self,
        store: &Arc<Store>,
        place: &Place,
        item: &Item,
        seen: &PlaceholderView,
    ) -> Result<(), ApiError> {
        let path = format!("/rooms/{}/placeholders/{}", place.room, seen.id);
        let (file, sound) = files_of(&seen.digest);
        let mut files = Vec::new();
        for (blob, there, what) in [(&item.file, file, "file"), (&item.sound, sound, "sound")] {
            let Some(blob) = blob.as_ref().filter(|b| !store.path(&b.digest).exists()) else { continue };
            if there != Some(blob.digest.as_str()) {
                return Err(ShelfError::Gone(store.path(&blob.digest)).into());
            }
            files.push(self.fetch(store, &format!("{path}/{what}"), &blob.digest).await?);
        }
        let store = Arc::clone(store);
        blocking(move || store.restore(files)).await
    }

    /// A file of the server's, which must be of this content.
    async fn fetch(&self, store: &Store, path: &str, wanted: &str) -> Result<(NamedTempFile, Blob), ApiError> {
        let mut file = store.incoming()?;
        let (mut hash, mut bytes) = (Sha256::new(), 0u64);
        let folder = file.path().parent().map(ToOwned::to_owned).unwrap_or_default();
        let take = |piece: &[u8]| {
            bytes += piece.len() as u64;
            if bytes > PLACEHOLDER_BYTES_MAX as u64 {
                return Err(ApiError::new(
                    ErrorCode::TooLarge,
                    "The server's file is larger than a placeholder may be.",
                ));
            }
            hash.update(piece);
            file.write_all(piece).map_err(|error| ShelfError::Disk { path: folder.clone(), error }.into())
        };
        self.api.fetch_file(path, take).await?;
        let digest = hex(&hash.finalize());
        if digest != wanted {
            return Err(ApiError::new(ErrorCode::Conflict, "The server gave another file than it said."));
        }
        Ok((file, Blob { digest, content_type: String::new(), bytes }))
    }
}

/// A file of the shelf, to be read.
async fn opened(store: &Store, blob: &Blob) -> Result<tokio::fs::File, ApiError> {
    let path = store.path(&blob.digest);
    tokio::fs::File::open(&path).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ShelfError::Gone(path).into(),
        _ => ShelfError::Disk { path, error }.into(),
    })
}

/// Runs what blocks on the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ShelfError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(ApiError::new(ErrorCode::Internal, "The shelf broke off. Try again.")),
    }
}
