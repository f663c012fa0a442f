//! A room's newest segments and those who watch them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use mujian_media::hls::window::{Found, Window};
use mujian_media::time::Now;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::grant::Grant;

/// A viewer that asks for nothing in this time has gone. Playlists are asked for several times a second.
const IDLE: Duration = Duration::from_secs(30);

/// What live players of a room are given.
pub struct Live {
    window: Mutex<Option<Window>>,
    /// The `EXT-X-STREAM-INF` line of what is shown now.
    variant: Mutex<Option<String>>,
    head: watch::Sender<u64>,
    sessions: Mutex<HashMap<String, Session>>,
    viewers: metrics::Gauge,
    bytes: metrics::Counter,
}

struct Session {
    grant: Arc<Grant>,
    last: Now,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            window: Mutex::default(),
            variant: Mutex::default(),
            head: watch::Sender::new(0),
            sessions: Mutex::default(),
            viewers: metrics::gauge!("mujian_viewers", "protocol" => "hls"),
            bytes: metrics::counter!("mujian_egress_bytes_total", "protocol" => "hls"),
        }
    }
}

impl Live {
    /// Changes what there is and tells those who wait.
    pub(super) fn change(&self, change: impl FnOnce(&mut Option<Window>)) {
        change(&mut self.window.lock());
        self.head.send_modify(|n| *n += 1);
    }

    pub(super) fn set_variant(&self, line: Option<String>) {
        *self.variant.lock() = line;
    }

    /// Changes whenever there is more.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// What players are told to choose from: one rendition. There is none before the first whole segment: players that
    /// know no parts would find nothing.
    pub(super) fn variant(&self) -> Found<String> {
        let window = self.window.lock();
        match (window.as_ref(), self.variant.lock().clone()) {
            (Some(window), _) if window.ended() => Found::Never,
            (Some(window), Some(variant)) if window.has_segment() => Found::Now(variant),
            _ => Found::Later,
        }
    }

    pub(super) fn playlist(&self, wanted: Option<(u64, Option<usize>)>, query: &str) -> Found<String> {
        self.window.lock().as_ref().map_or(Found::Never, |window| window.playlist(wanted, query))
    }

    pub(super) fn file(&self, name: &str) -> Found<Vec<Bytes>> {
        self.window.lock().as_ref().map_or(Found::Never, |window| window.file(name))
    }

    /// Takes a viewer in; gives the session's name.
    pub(super) fn begin_session(&self, grant: Grant, now: Now) -> String {
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 12]>());
        self.sessions.lock().insert(name.clone(), Session { grant: Arc::new(grant), last: now });
        self.viewers.increment(1.0);
        name
    }

    /// The grant of a viewer that is here.
    pub(super) fn session(&self, name: &str, now: Now) -> Option<Arc<Grant>> {
        let mut sessions = self.sessions.lock();
        let session = sessions.get_mut(name)?;
        session.last = session.last.max(now);
        Some(Arc::clone(&session.grant))
    }

    pub(super) fn count(&self, bytes: usize) {
        self.bytes.increment(bytes as u64);
    }

    /// Lets viewers go that ask for nothing any more, and those whose grant was taken back.
    pub(super) fn sweep(&self, now: Now) {
        let mut sessions = self.sessions.lock();
        let before = sessions.len();
        sessions.retain(|_, s| now.since(s.last) < IDLE && !s.grant.revoked());
        self.viewers.decrement((before - sessions.len()) as f64);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.viewers.decrement(self.sessions.lock().len() as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::{GrantRequest, Grants, Protocol};

    #[test]
    fn a_viewer_stays_for_as_long_as_it_asks() {
        let (live, grants) = (Live::default(), Grants::new(10));
        let at = |s| Now::from_origin(Duration::from_secs(s));
        let request = GrantRequest { account: None, address: "10.0.0.1".parse().unwrap(), protocol: Protocol::Hls };
        let one = live.begin_session(grants.issue(request.clone()).unwrap(), at(0));
        let two = live.begin_session(grants.issue(request).unwrap(), at(0));
        assert_ne!(one, two);
        assert!(live.session(&one, at(20)).is_some() && live.session("other", at(20)).is_none());
        live.sweep(at(40));
        assert_eq!(grants.viewers(), 1);
        assert!(live.session(&two, at(41)).is_none());
        grants.revoke(|_| true);
        assert!(live.session(&one, at(41)).unwrap().revoked());
        live.sweep(at(42));
        assert!(live.session(&one, at(42)).is_none() && grants.viewers() == 0);
    }
}
