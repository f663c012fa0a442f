//! Where a broadcast goes.

use std::future::Future;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use mujian_media::rtmp::{self, Secret};
use mujian_protocol::{ApiError, ErrorCode, RoomId};
use url::{Host, Url};

/// Asks the server for the room's stream key, as its owner.
#[derive(Clone)]
pub struct Keys(Arc<dyn Fn(RoomId) -> BoxFuture<'static, Result<Secret, ApiError>> + Send + Sync>);

impl Keys {
    /// From what asks.
    pub fn new<F>(ask: impl Fn(RoomId) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Secret, ApiError>> + Send + 'static,
    {
        Self(Arc::new(move |room| Box::pin(ask(room))))
    }

    /// The key now.
    ///
    /// # Errors
    /// As the server says.
    pub async fn ask(&self, room: RoomId) -> Result<Secret, ApiError> {
        (self.0)(room).await
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

/// A room at an RTMP server, with its key.
#[derive(Clone, Debug)]
pub struct Target {
    /// Name or address of the server's computer.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Over TLS.
    pub secure: bool,
    /// Not over TLS, although the server is known by an address that is: the streamer is told.
    pub openly: bool,
    /// The RTMP application: `live`.
    pub app: String,
    /// The room.
    pub room: RoomId,
    /// The room's stream key.
    pub key: Secret,
    /// This program's own name, the same at every attempt: so it may take over from itself at once.
    pub program: String,
    /// Where to ask for another key when this one was renewed; none: nowhere.
    pub keys: Option<Keys>,
}

impl Target {
    /// From an address `rtmp://HOST[:PORT][/APP]`, or `rtmps://`; the application is `live` unless the address names one.
    ///
    /// # Errors
    /// `InvalidRequest` when it is not one.
    pub fn from_url(url: &Url, room: RoomId, key: Secret, program: String) -> Result<Self, ApiError> {
        let bad = |what: &str| {
            ApiError::new(ErrorCode::InvalidRequest, format!("{what} Write the address as rtmp://HOST/live."))
        };
        let (secure, usual) = match url.scheme() {
            "rtmp" => (false, rtmp::PORT),
            "rtmps" => (true, rtmp::TLS_PORT),
            _ => return Err(bad("That is not an RTMP address.")),
        };
        let host = match url.host() {
            Some(Host::Ipv6(ip)) => ip.to_string(),
            Some(host) => host.to_string(),
            None => return Err(bad("The address names no host.")),
        };
        let app = url.path().trim_matches('/');
        if app.contains('/') {
            return Err(bad("The address goes past the application; the room is named by --room."));
        }
        let app = if app.is_empty() { "live" } else { app };
        let port = url.port().unwrap_or(usual);
        Ok(Self { host, port, secure, openly: false, app: app.to_owned(), room, key, program, keys: None })
    }

    /// The address up to the application, as RTMP's `tcUrl`.
    #[must_use]
    pub fn tc_url(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let scheme = if self.secure { "rtmps" } else { "rtmp" };
        format!("{scheme}://{host}:{}/{}", self.port, self.app)
    }

    /// The stream's name: the room, and the key as its query.
    #[must_use]
    pub fn stream_name(&self) -> Secret {
        Secret::new(format!("{}?key={}", self.room, self.key.expose()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, ApiError> {
        Target::from_url(&url.parse().unwrap(), "demo".parse().unwrap(), Secret::new("k3y"), "p".into())
    }

    #[test]
    fn addresses_are_read() {
        let t = target("rtmp://[::1]:19350").unwrap();
        assert_eq!((t.host.as_str(), t.port, t.app.as_str()), ("::1", 19350, "live"));
        assert_eq!(t.tc_url(), "rtmp://[::1]:19350/live");
        assert_eq!(t.stream_name().expose(), "demo?key=k3y");
        assert_eq!(target("rtmp://host/other/").unwrap().app, "other");
        assert_eq!(target("rtmp://host").unwrap().port, 1935);
        let safe = target("rtmps://host").unwrap();
        assert_eq!((safe.secure, safe.tc_url().as_str()), (true, "rtmps://host:443/live"));
        assert!(target("http://host/live").is_err());
        assert!(target("rtmp://host/live/demo").is_err());
        assert!(!format!("{t:?}").contains("k3y"));
    }
}
