//! Where `mujian live` publishes to: straight to an RTMP server, or to a room of a server that is asked.

use std::path::Path;

use mujian_media::rtmp::Secret;
use mujian_protocol::api::{Credentials, RoomView, ServerInfo};
use mujian_protocol::room::Away;
use mujian_protocol::{ApiError, ErrorCode};
use reqwest::Method;
use zeroize::Zeroizing;

use super::args::LiveArgs;
use crate::api::Api;
use crate::own_room;
use crate::studio::Target;

/// Longest token in a file, in bytes.
const TOKEN_MAX: u64 = 4096;

/// Where it publishes to, and whom it can ask about the room.
pub(super) struct Found {
    pub(super) target: Target,
    /// None: an RTMP server, of which nothing else is known.
    pub(super) api: Option<Api>,
    /// Logged in as the owner.
    pub(super) owner: bool,
    /// The streamer is away there already.
    pub(super) away: Option<Away>,
}

/// Finds the target, and sets the room's words where they are given.
pub(super) async fn find(args: &LiveArgs) -> Result<Found, ApiError> {
    let program = uuid::Uuid::new_v4().to_string();
    let key = args.key.as_deref().map(Secret::new);
    if matches!(args.server.scheme(), "rtmp" | "rtmps") {
        let key = key.ok_or_else(|| {
            usage("An RTMP server needs the room's stream key: set MUJIAN_STREAM_KEY, or give --key. Logging in works with https:// and http:// addresses.")
        })?;
        let target = Target::from_url(&args.server, args.room.clone(), key, program)?;
        return Ok(Found { target, api: None, owner: false, away: None });
    }
    let api = Api::new(args.server.clone())?;
    let info: ServerInfo = api.call(Method::GET, "/server", None::<&()>).await?;
    let owner = key.is_none();
    let key = match key {
        Some(key) => key,
        None => {
            log_in(&api, args).await?;
            own_room::describe(&api, &args.room, &words(args)).await?;
            Secret::new(own_room::with_key(&api, args.room.clone()).await?.key.as_str())
        }
    };
    let mut target = crate::app::target(&args.server, &info, args.room.clone(), key, program)?;
    target.keys = owner.then(|| own_room::keys(&api));
    let room: Option<RoomView> = match api.call(Method::GET, &format!("/rooms/{}", args.room), None::<&()>).await {
        Ok(room) => Some(room),
        // The stream key decides who publishes, and RTMP tells that better.
        Err(error) if error.code == ErrorCode::NotFound => None,
        Err(error) => return Err(error),
    };
    Ok(Found { target, api: Some(api), owner, away: room.and_then(|r| r.away) })
}

/// What is not given stays as it is; [`own_room::describe`] compares.
fn words(args: &LiveArgs) -> own_room::Words {
    own_room::Words {
        title: args.title.clone(),
        category: args.category.clone(),
        tags: (!args.tags.is_empty()).then(|| args.tags.clone()),
    }
}

async fn log_in(api: &Api, args: &LiveArgs) -> Result<(), ApiError> {
    if let Some(path) = &args.token_file {
        api.set_session(Some(token(path)?), None);
        return Ok(());
    }
    let name = args.name.clone().ok_or_else(|| {
        usage("How may this program publish? Set MUJIAN_STREAM_KEY to the room's stream key, or log in with --name and MUJIAN_PASSWORD, or with --token-file.")
    })?;
    let password = std::env::var("MUJIAN_PASSWORD")
        .map_err(|_| usage("Set MUJIAN_PASSWORD to the password of the account that --name says."))?;
    api.open_session(false, &Credentials { name, password }).await.map(|_| ())
}

fn token(path: &Path) -> Result<Zeroizing<String>, ApiError> {
    use std::io::Read as _;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)
        .and_then(|file| file.take(TOKEN_MAX).read_to_string(&mut text))
        .map_err(|e| usage(&format!("The token file {} cannot be read ({e}).", path.display())))?;
    let token = Zeroizing::new(text.trim().to_owned());
    if token.is_empty() || token.chars().any(char::is_whitespace) {
        return Err(usage(&format!("The token file {} holds no token.", path.display())));
    }
    Ok(token)
}

fn usage(sentence: &str) -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, sentence)
}
