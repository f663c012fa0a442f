//! Who may publish where.

use std::future::Future;

use mujian_media::rtmp::Secret;
use mujian_media::rtmp::server::PublishRequest;
use mujian_protocol::RoomId;
use mujian_protocol::api::RefusedPublisher;

use crate::stage::StageHandle;

/// The application part of every publishing address.
pub(super) const APP: &str = "live";

/// Why somebody may not publish. Each is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The address is not of the form that is taken.
    #[error(
        "The address is not complete: {0}. In OBS: server rtmp://HOST/live, stream key ROOM?key=KEY; both are on the account page, under the room."
    )]
    Address(&'static str),
    /// There is no such room.
    #[error("There is no room \u{201c}{0}\u{201d} on this server. Copy the address again from the account page.")]
    UnknownRoom(String),
    /// The key is not the room's, or is no longer.
    #[error("The room or the stream key is wrong, or the key was renewed. Copy both again from the account page.")]
    WrongKey,
    /// Too many wrong keys from one address.
    #[error("Too many wrong stream keys came from your address. Wait {0} seconds, then try again with the right one.")]
    TooMany(u64),
    /// The key was good when the stream began, and is another now.
    #[error(
        "The room's stream key was renewed, so this one opens nothing any more. Copy the new one from the account page."
    )]
    Renewed,
    /// It comes from this server itself.
    #[error(
        "This is a room of this server, restreamed, and it leads back to this server. Restream to other servers only."
    )]
    LeadsBack,
    /// The server cannot say now.
    #[error("The server cannot check the stream key at the moment. Try again in a minute.")]
    Unavailable,
}

/// A publisher's right to a room, as long as it is connected.
pub trait Admission: Send + Sync {
    /// Waits until the stream key that opened the room is no longer the room's.
    fn revoked(&mut self) -> impl Future<Output = ()> + Send;

    /// What this publisher sends is not taken: the owner should know.
    fn not_taken(&self, publisher: RefusedPublisher) -> impl Future<Output = ()> + Send;

    /// Its key frames are too far apart, or no longer are: the owner should know.
    fn key_frames(&self, far: bool) -> impl Future<Output = ()> + Send;
}

/// The rooms, as ingest sees them.
pub trait Publishers: Send + Sync + 'static {
    /// Holds a room in memory as long as a publisher is connected to it.
    type Room: Admission;

    /// The stage of a room, for somebody who has the room's key.
    ///
    /// # Errors
    /// The room is not there, the key is wrong, or neither can be found out.
    fn authorise(
        &self,
        room: &RoomId,
        key: &Secret,
    ) -> impl Future<Output = Result<(StageHandle, Self::Room), Denied>> + Send;

    /// Whether a program of this name is this server itself, or hands on what this server restreams.
    fn leads_back(&self, program_id: &str) -> bool {
        let _ = program_id;
        false
    }
}

/// The room that a request names, if it is complete.
pub(super) fn room_of(request: &PublishRequest) -> Result<RoomId, Denied> {
    if request.app != APP {
        return Err(Denied::Address("it does not go to /live"));
    }
    if request.room.is_empty() {
        return Err(Denied::Address("the room is missing"));
    }
    if request.key.is_empty() {
        return Err(Denied::Address("the stream key is missing (…?key=KEY)"));
    }
    request.room.parse().map_err(|_| Denied::UnknownRoom(request.room.chars().take(40).collect()))
}

/// What a program is called in front of people, from what it calls itself. The interface has the names that are none
/// in its languages (`i18n/problem`).
pub(super) fn program_name(flash_version: &str) -> String {
    match flash_version {
        "" => "an RTMP program".to_owned(),
        s if s.contains("Lavf") => "ffmpeg".to_owned(),
        // The name that OBS took from Adobe's encoder, as have others.
        s if s.starts_with("FMLE/") => "OBS or a similar program".to_owned(),
        s => s.chars().take(60).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(app: &str, room: &str, key: &str) -> PublishRequest {
        PublishRequest {
            app: app.into(),
            room: room.into(),
            key: Secret::new(key),
            program: String::new(),
            program_id: None,
            marks: false,
            args: Vec::new(),
        }
    }

    #[test]
    fn incomplete_addresses_are_told_what_is_missing() {
        assert_eq!(room_of(&request("live", "room-1", "k")).unwrap().as_str(), "room-1");
        for (app, room, key, word) in [
            ("app", "room-1", "k", "/live"),
            ("live", "", "k", "room"),
            ("live", "room-1", "", "key"),
            ("live", "../x", "k", "../x"),
        ] {
            let said = room_of(&request(app, room, key)).unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn programs_have_names() {
        assert_eq!(program_name("FMLE/3.0 (compatible; Lavf59.27.100)"), "ffmpeg");
        assert_eq!(program_name("FMLE/3.0 (compatible; FMSc/1.0)"), "OBS or a similar program");
        assert_eq!(program_name("Mujian/0.1.0"), "Mujian/0.1.0");
    }
}
