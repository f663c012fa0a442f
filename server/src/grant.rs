//! Grants: every reader of a room's programme holds one, and it can be taken back at any chunk.
//!
//! Bans, covers for one account and paid access are then one check in one place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mujian_protocol::{AccountId, ApiError, ErrorCode, Problem};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Over what a programme is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// FLV over HTTP.
    HttpFlv,
    /// Fragments of MP4 over a WebSocket.
    WebSocketMp4,
    /// HLS.
    Hls,
}

/// Who wants to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// The account, where the reader named one.
    pub account: Option<AccountId>,
    /// Where the reader is.
    pub address: IpAddr,
    /// Over what.
    pub protocol: Protocol,
}

/// The grants of one room.
#[derive(Clone, Debug)]
pub struct Grants {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    next: AtomicU64,
    /// How often grants were taken back.
    revocations: AtomicU64,
    most: usize,
    held: Mutex<HashMap<u64, (GrantRequest, Arc<State>)>>,
}

#[derive(Debug, Default)]
struct State {
    revoked: AtomicBool,
    told: Notify,
}

/// The right to read a room's programme, until it is revoked or dropped.
#[derive(Debug)]
pub struct Grant {
    id: u64,
    /// The room's revocations that were looked at.
    seen: u64,
    state: Arc<State>,
    grants: Arc<Inner>,
}

impl Grants {
    /// For a room that takes `most` readers at a time.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let inner = Inner { next: AtomicU64::new(0), revocations: AtomicU64::new(0), most, held: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Lets a reader in. Rooms are free: whoever asks is let in while there is room.
    ///
    /// # Errors
    /// The room has as many readers as it takes.
    pub fn issue(&self, request: GrantRequest) -> Result<Grant, ApiError> {
        let mut held = self.inner.held.lock();
        if held.len() >= self.inner.most {
            return Err(ApiError::new(ErrorCode::RateLimited, "The room is full. Try again in a moment.")
                .about(Problem::RoomFull));
        }
        let id = self.inner.next.fetch_add(1, Ordering::Relaxed);
        let seen = self.inner.revocations.load(Ordering::Acquire);
        let state = Arc::new(State::default());
        held.insert(id, (request, Arc::clone(&state)));
        Ok(Grant { id, seen, state, grants: Arc::clone(&self.inner) })
    }

    /// Takes back the grants of which this is true.
    pub fn revoke(&self, mut which: impl FnMut(&GrantRequest) -> bool) {
        let held = self.inner.held.lock();
        for (request, state) in held.values() {
            if which(request) {
                state.revoked.store(true, Ordering::Release);
                state.told.notify_waiters();
            }
        }
        // Last: whoever sees another count sees the marks.
        self.inner.revocations.fetch_add(1, Ordering::Release);
    }

    /// Readers now.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.inner.held.lock().len()
    }

    /// Who reads now.
    #[must_use]
    pub fn readers(&self) -> Vec<(Option<AccountId>, IpAddr)> {
        self.inner.held.lock().values().map(|(r, _)| (r.account.clone(), r.address)).collect()
    }
}

impl Grant {
    /// Whether it was taken back: to be asked before every chunk.
    #[must_use]
    pub fn revoked(&self) -> bool {
        self.state.revoked.load(Ordering::Acquire)
    }

    /// The same for who asks for thousands of grants thirty times a second: the grant itself is looked at only after one
    /// of the room's was taken back.
    pub fn is_revoked(&mut self) -> bool {
        let revocations = self.grants.revocations.load(Ordering::Acquire);
        self.seen != revocations && {
            let revoked = self.revoked();
            // One that was taken back says so again and again.
            if !revoked {
                self.seen = revocations;
            }
            revoked
        }
    }

    /// Waits until it is taken back.
    pub async fn wait_revoked(&self) {
        let mut told = std::pin::pin!(self.state.told.notified());
        // From here on a notice is not missed, so the flag can be looked at.
        told.as_mut().enable();
        if !self.revoked() {
            told.await;
        }
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.grants.held.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(account: Option<&AccountId>) -> GrantRequest {
        GrantRequest { account: account.cloned(), address: "10.0.0.1".parse().unwrap(), protocol: Protocol::HttpFlv }
    }

    #[tokio::test]
    async fn a_grant_is_revoked_or_dropped() {
        let grants = Grants::new(2);
        let id = AccountId::new();
        let (a, b) = (grants.issue(request(Some(&id))).unwrap(), grants.issue(request(None)).unwrap());
        assert_eq!(grants.issue(request(None)).unwrap_err().code, ErrorCode::RateLimited);
        let waits = tokio::spawn(async move {
            a.wait_revoked().await;
            a
        });
        tokio::task::yield_now().await;
        grants.revoke(|r| r.account.as_ref() == Some(&id));
        let (mut a, mut b) = (waits.await.unwrap(), b);
        assert!(a.revoked() && !b.revoked());
        assert!(a.is_revoked() && !b.is_revoked() && a.is_revoked());
        a.wait_revoked().await;
        assert_eq!(grants.viewers(), 2);
        drop((a, b));
        assert_eq!(grants.viewers(), 0);
    }
}
