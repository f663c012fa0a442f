//! The room that this app publishes to: found again, or made.

use mujian_media::rtmp::Secret;
use mujian_protocol::api::{NewRoom, OwnedRoom, RoomPatch, RoomView, TITLE_MAX};
use mujian_protocol::room::Away;
use mujian_protocol::studio::StudioSettings;
use mujian_protocol::{ApiError, ErrorCode, RoomId};
use reqwest::Method;
use zeroize::Zeroizing;

use crate::api::Api;
use crate::cache::Cache;
use crate::studio::Keys;

/// A room and the key that lets its owner publish.
#[derive(Clone)]
pub struct OwnRoom {
    /// The room.
    pub id: RoomId,
    /// Its stream key.
    pub key: Zeroizing<String>,
    /// The streamer is away there: left elsewhere, or before this app was started.
    pub away: Option<Away>,
}

/// The account's room at the server named `server` in the cache, as the settings describe it: the one
/// of last time, else the first, else a new one.
///
/// # Errors
/// `Unauthenticated` when nobody is logged in; else as the server or the cache says.
pub async fn prepare(api: &Api, cache: &Cache, server: &str, settings: &StudioSettings) -> Result<OwnRoom, ApiError> {
    // Going live and the shelf's mirror may both find that there is none: one of them makes it.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let account = api.account().ok_or_else(|| ApiError::new(ErrorCode::Unauthenticated, "Log in to go live."))?;
    let (mine, last) = (rooms(api).await?, last(api, cache, server)?);
    let room = match chosen(&mine, last.as_ref()) {
        Some(room) => {
            describe(api, &room.id, &settings.into()).await?;
            with_key(api, room.id.clone()).await?
        }
        None => {
            let title = settings.title.trim();
            let title = if title.is_empty() { first_title(&account.name) } else { title.to_owned() };
            let new = NewRoom { title, category: settings.category.clone(), tags: settings.tags.clone() };
            let made: OwnedRoom = api.call(Method::POST, "/rooms", Some(&new)).await?;
            OwnRoom { id: made.room.id, key: Zeroizing::new(made.stream_key), away: None }
        }
    };
    cache.set_last_room(server, &account.id, &room.id)?;
    Ok(room)
}

/// The account's room at that server, if it has one.
///
/// # Errors
/// As [`prepare`].
pub async fn find(api: &Api, cache: &Cache, server: &str) -> Result<Option<RoomId>, ApiError> {
    let (mine, last) = (rooms(api).await?, last(api, cache, server)?);
    Ok(chosen(&mine, last.as_ref()).map(|room| room.id.clone()))
}

async fn rooms(api: &Api) -> Result<Vec<RoomView>, ApiError> {
    api.call(Method::GET, "/me/rooms", None::<&()>).await
}

fn last(api: &Api, cache: &Cache, server: &str) -> Result<Option<RoomId>, ApiError> {
    let account = api.account().ok_or_else(|| ApiError::new(ErrorCode::Unauthenticated, "Log in to go live."))?;
    Ok(cache.last_room(server, &account.id)?)
}

/// The one of last time, else the first.
fn chosen<'a>(mine: &'a [RoomView], last: Option<&RoomId>) -> Option<&'a RoomView> {
    mine.iter().find(|r| Some(&r.id) == last).or(mine.first())
}

/// A room of the account that is logged in, with its key.
///
/// # Errors
/// `Forbidden` when it is another's; else as the server says.
pub async fn with_key(api: &Api, id: RoomId) -> Result<OwnRoom, ApiError> {
    let room: OwnedRoom = api.call(Method::GET, &format!("/rooms/{id}/owner"), None::<&()>).await?;
    Ok(OwnRoom { id, key: Zeroizing::new(room.stream_key), away: room.room.away })
}

/// Where the key of such a room is asked for again.
#[must_use]
pub fn keys(api: &Api) -> Keys {
    let api = api.clone();
    Keys::new(move |room| {
        let api = api.clone();
        async move { with_key(&api, room).await.map(|room| Secret::new(room.key.as_str())) }
    })
}

/// A room's title, category and tags; what is none stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words {
    /// The title.
    pub title: Option<String>,
    /// The category.
    pub category: Option<String>,
    /// The tags.
    pub tags: Option<Vec<String>>,
}

impl From<&StudioSettings> for Words {
    /// An empty title leaves the room's.
    fn from(s: &StudioSettings) -> Self {
        let title = Some(s.title.trim().to_owned()).filter(|t| !t.is_empty());
        Self { title, category: Some(s.category.clone()), tags: Some(s.tags.clone()) }
    }
}

/// Makes the words of a room these, where they differ.
///
/// # Errors
/// As the server says.
pub async fn describe(api: &Api, id: &RoomId, words: &Words) -> Result<(), ApiError> {
    let path = format!("/rooms/{id}");
    let room: RoomView = api.call(Method::GET, &path, None::<&()>).await?;
    let patch = RoomPatch {
        title: words.title.clone().filter(|t| *t != room.title),
        category: words.category.clone().filter(|c| *c != room.category),
        tags: words.tags.clone().filter(|t| *t != room.tags),
    };
    if patch.title.is_some() || patch.category.is_some() || patch.tags.is_some() {
        api.call::<serde_json::Value>(Method::PATCH, &path, Some(&patch)).await?;
    }
    Ok(())
}

fn first_title(name: &str) -> String {
    format!("{name} · 幕间").chars().take(TITLE_MAX).collect()
}
