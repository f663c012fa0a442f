//! Between the studio and the server around it, about leaving and coming back: tells what is pressed
//! here until the server has answered, and follows what is pressed elsewhere.

use std::sync::{Arc, Weak};
use std::time::Duration;

use mujian_media::backoff::Backoff;
use mujian_protocol::api::{BackRequest, LeaveRequest, RoomView};
use mujian_protocol::app::{LinkState, RoomChannelMessage};
use mujian_protocol::room::{Away, RoomEventBody, ServerMessage, Stage};
use mujian_protocol::{ApiError, ErrorCode, RoomId};
use reqwest::Method;
use tokio_util::task::AbortOnDropHandle;

use crate::api::Api;
use crate::clock;
use crate::studio::Studio;
use crate::studio::absence::{Statement, Turn};
use crate::viewer::room::Room;

/// An answer changes what is to be told; without a change after this long it is told again.
const AGAIN: Duration = Duration::from_secs(1);

/// Both ways, for one room, while this is kept.
#[derive(Debug)]
pub struct Telling {
    _room: Room,
    _telling: Option<AbortOnDropHandle<()>>,
}

impl Telling {
    /// Begins. `tells`: the session of `api` is the owner's, so the server listens to it.
    #[must_use]
    pub fn start(api: &Api, room: &RoomId, studio: &Arc<Studio>, tells: bool) -> Self {
        let listener = Arc::downgrade(studio);
        let deliver = move |message| {
            let Some(studio) = listener.upgrade() else { return false };
            if let Some(turn) = news(&message) {
                studio.heard(turn);
            }
            true
        };
        let telling = tells
            .then(|| AbortOnDropHandle::new(tokio::spawn(tell(api.clone(), room.clone(), Arc::downgrade(studio)))));
        Self { _room: Room::join(api.clone(), room, false, deliver), _telling: telling }
    }
}

/// What a message of the room says about the streamer's being there.
fn news(message: &RoomChannelMessage) -> Option<Turn> {
    let message = match message {
        RoomChannelMessage::State { state: LinkState::Connecting } => return Some(Turn::Asking),
        RoomChannelMessage::State { .. } => return None,
        RoomChannelMessage::Message { message } => message,
    };
    let (stage, away) = match &**message {
        // What happened before is older than the room as it is.
        ServerMessage::Welcome { room, .. } => (room.stage, &room.away),
        ServerMessage::Event { event } => match &event.body {
            RoomEventBody::StageChanged { stage, away } => (*stage, away),
            _ => return None,
        },
        _ => return None,
    };
    of_stage(stage, away.clone()).map(Turn::News)
}

/// A stream that ended took the stay away with it; nobody has come back by that.
fn of_stage(stage: Stage, away: Option<Away>) -> Option<Option<Away>> {
    if away.is_none() && stage == Stage::Off { None } else { Some(away) }
}

async fn tell(api: Api, room: RoomId, studio: Weak<Studio>) {
    let Some(mut statement) = studio.upgrade().map(|s| s.statement()) else { return };
    let mut backoff = Backoff::default();
    loop {
        let now = statement.borrow_and_update().clone();
        let pause = match now {
            None => None,
            Some(now) => Some(match call(&api, &room, &now).await {
                Ok(turn) => {
                    backoff.reset();
                    let Some(studio) = studio.upgrade() else { return };
                    studio.heard(turn);
                    AGAIN
                }
                Err(error) => {
                    tracing::info!(%error, ?now, "the server could not be told yet");
                    backoff.failed(clock::jitter())
                }
            }),
        };
        let rest = async {
            match pause {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = statement.changed() => {
                if changed.is_err() {
                    return;
                }
                backoff.reset();
            }
            () = rest => {}
        }
    }
}

/// Tells it once; what the answer means.
async fn call(api: &Api, room: &RoomId, statement: &Statement) -> Result<Turn, ApiError> {
    match statement {
        Statement::Away { id, keep_sound } => {
            let leave = LeaveRequest { leave_id: Some(id.clone()), keep_sound: *keep_sound, ..LeaveRequest::default() };
            let view: RoomView = match api.call(Method::POST, &format!("/rooms/{room}/leave"), Some(&leave)).await {
                // That stay is over, or the room is closing: the room says which.
                Err(error) if error.code == ErrorCode::Conflict => {
                    api.call(Method::GET, &format!("/rooms/{room}"), None::<&()>).await?
                }
                told => told?,
            };
            Ok(Turn::LeaveTold(id.clone(), view.away))
        }
        Statement::Back { id } => {
            let back = BackRequest { leave_id: Some(id.clone()) };
            let view: RoomView = api.call(Method::POST, &format!("/rooms/{room}/back"), Some(&back)).await?;
            Ok(Turn::BackTold(id.clone(), view.away))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mujian_protocol::{LeaveId, WallTime};

    #[test]
    fn the_end_of_a_stream_brings_nobody_back() {
        let away = Away { since: WallTime(1), leave_id: LeaveId::new(), keep_sound: false, back_at: None };
        assert_eq!(of_stage(Stage::Off, None), None);
        assert_eq!(of_stage(Stage::Live, None), Some(None));
        assert_eq!(of_stage(Stage::Covered, Some(away.clone())), Some(Some(away)));
    }
}
