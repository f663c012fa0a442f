//! RTMP for a server that takes publishers and for a client that publishes (Adobe, "RTMP
//! Specification 1.0", 2012; signalling of "Enhanced RTMP", v2). Sans-IO: bytes and the time go in,
//! bytes and events come out; sockets, TLS and timers are the callers'.
//!
//! Layers, from below: [`handshake`], [`chunk`], [`message`], then [`server::Session`] and
//! [`client::Session`].

pub mod chunk;
pub mod client;
pub mod handshake;
mod link;
pub mod message;
mod secret;
pub mod server;
#[cfg(test)]
mod tests;

pub use secret::Secret;

use crate::amf::AmfError;
use crate::flv::{FlvError, NotTaken};

/// RTMP's own port (RTMP 1.0, 1).
pub const PORT: u16 = 1935;
/// RTMP over TLS has no port of its own; programs take the one of HTTPS.
pub const TLS_PORT: u16 = 443;

/// The key or the address of a stream is wrong.
pub const DENIED: &str = "NetStream.Publish.Denied";
/// Somebody else publishes there.
pub const BAD_NAME: &str = "NetStream.Publish.BadName";
/// The server is stopping or cannot answer now: a publisher may try again later by itself.
pub const UNAVAILABLE: &str = "NetConnection.Connect.AppShutdown";
/// What is published there comes from the same room, or from another one of the same server, by restreaming.
pub const LEADS_BACK: &str = "NetStream.Publish.LeadsBack";

/// The data message by which a publisher says that the streamer left, in the order of its stream. An
/// object: `leave_id` names the absence, `last_ms` is the last permitted timestamp, modulo 2^32,
/// `keep_sound` says whether the sound goes on.
pub const AWAY_MESSAGE: &str = "mujianAway";
/// The data message by which a publisher says that the streamer is back, an object with `leave_id`:
/// everything behind it was captured after that.
pub const BACK_MESSAGE: &str = "mujianBack";
/// The property of `connect` by which a publisher promises these messages: 1. One that connects while
/// the streamer is away says so again, before its first frame, with a `last_ms` of 0.
pub const MARKS_PROPERTY: &str = "mujianMarks";
/// The property of `connect` by which our own publisher names its program, the same at every
/// reconnect.
pub const PROGRAM_PROPERTY: &str = "mujianProgram";

/// Why a connection ends. Each is a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RtmpError {
    /// The first bytes are of another protocol.
    #[error("This is not RTMP: {0}.")]
    NotRtmp(&'static str),
    /// The stream of chunks makes no sense; what follows could not be told apart.
    #[error("The RTMP stream is broken: {0}.")]
    Broken(&'static str),
    /// Something is larger or more than is taken.
    #[error("The RTMP stream goes past a limit: {0}.")]
    Limit(&'static str),
    /// A command could not be read.
    #[error("An RTMP command cannot be read: {0}.")]
    Command(#[from] AmfError),
    /// The peer does things out of order.
    #[error("The program does not follow RTMP: {0}.")]
    Order(&'static str),
    /// The peer took too long to say what it wants.
    #[error("The connection was closed because {0}.")]
    Slow(&'static str),
    /// The codec, or its parameters, are not taken.
    #[error(transparent)]
    Unsupported(NotTaken),
    /// The peer does not read what is sent to it.
    #[error("The connection was closed because the other side does not read.")]
    NotReading,
}

impl From<FlvError> for RtmpError {
    fn from(e: FlvError) -> Self {
        match e {
            FlvError::Unsupported(s) => Self::Unsupported(s),
            FlvError::Bad(s) | FlvError::NotFlv(s) => Self::Broken(s),
        }
    }
}
