//! What the parts of a running server share.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use mujian_protocol::AccountId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::account::{Accounts, SetupCode};
use crate::api::hosts::{self, Hosts, Listener};
use crate::clock::Clock;
use crate::config::Config;
use crate::limit::Limiter;
use crate::placeholder::Placeholders;
use crate::replay::reading::Shelf;
use crate::replay::serve::Films;
use crate::replay::{Keeper, Recorder};
use crate::rooms::Rooms;
use crate::slate::SlateSource;
use crate::store::{Store, StoreError};
use crate::watch_token::WatchTokens;

/// What the parts of a running server share. One for each server.
pub struct App {
    /// The operator's settings.
    pub config: Config,
    /// The clocks.
    pub clock: Clock,
    /// The truth on disk.
    pub store: Store,
    /// Accounts and sessions.
    pub accounts: Accounts,
    /// The rooms in memory.
    pub rooms: Arc<Rooms>,
    /// The recordings' folder.
    pub keeper: Keeper,
    /// Recordings that are open.
    pub shelf: Shelf,
    /// Files to download that are ready.
    pub films: Films,
    /// What rooms show while their streamers are away.
    pub placeholders: Placeholders,
    /// Tokens to watch with.
    pub watch_tokens: WatchTokens,
    /// The way to the first operator.
    pub setup: SetupCode,
    /// How often things may be done.
    pub limits: Limits,
    /// The names by which the server may be called.
    pub hosts: Hosts,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
    /// Tasks that the server waits for when it stops.
    pub tasks: TaskTracker,
    rtmp_port: AtomicU16,
    /// Where RTMP is taken from other computers, while the server is shared; 0: it is not.
    shared_rtmp_port: AtomicU16,
    rtmps_port: AtomicU16,
}

/// The limiters.
#[derive(Debug)]
pub struct Limits {
    pub(crate) accounts: Limiter<IpAddr>,
    pub(crate) sessions: Limiter<IpAddr>,
    pub(crate) session_names: Limiter<String>,
    pub(crate) setup: Limiter<IpAddr>,
    pub(crate) passwords: Limiter<AccountId>,
    pub(crate) exports: Limiter<AccountId>,
    pub(crate) names: Limiter<AccountId>,
    pub(crate) rooms: Limiter<AccountId>,
    pub(crate) danmaku: Limiter<AccountId>,
    pub(crate) votes: Limiter<AccountId>,
    pub(crate) relays: Limiter<AccountId>,
    pub(crate) speed: Limiter<AccountId>,
    pub(crate) requests: Limiter<IpAddr>,
}

impl App {
    pub(crate) fn new(config: Config, store: Store, slates: SlateSource) -> Self {
        let l = &config.limits;
        let limits = Limits {
            accounts: Limiter::new(l.accounts),
            sessions: Limiter::new(l.sessions),
            session_names: Limiter::new(l.sessions),
            setup: Limiter::new(l.sessions),
            passwords: Limiter::new(l.sessions),
            exports: Limiter::new(l.rooms),
            names: Limiter::new(l.rooms),
            rooms: Limiter::new(l.rooms),
            danmaku: Limiter::new(l.danmaku),
            votes: Limiter::new(l.votes),
            relays: Limiter::new(l.relays),
            speed: Limiter::new(l.speed),
            requests: Limiter::new(l.requests),
        };
        let clock = Clock::start();
        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let folder = config.data.join("recordings");
        let keeper = Keeper::new(store.clone(), clock, folder.clone(), config.recordings.clone());
        let recorder = Recorder::new(store.clone(), clock, tasks.clone(), config.recordings.record.then_some(folder));
        let placeholders = Placeholders::new(store.clone(), slates.clone(), &config.data, clock);
        let shelves = placeholders.clone();
        let rooms =
            Rooms::new(store.clone(), clock, config.clone(), (slates, shelves), recorder, stop.clone(), tasks.clone());
        Self {
            hosts: Hosts::new(&config, hosts::computer().as_deref()),
            config,
            clock,
            store,
            accounts: Accounts::new(),
            rooms: Arc::new(rooms),
            keeper,
            shelf: Shelf::default(),
            films: Films::default(),
            placeholders,
            watch_tokens: WatchTokens::default(),
            setup: SetupCode::default(),
            limits,
            stop,
            tasks,
            rtmp_port: AtomicU16::new(0),
            shared_rtmp_port: AtomicU16::new(0),
            rtmps_port: AtomicU16::new(0),
        }
    }

    /// The port that takes RTMP from whoever reached the server by `listener`.
    #[must_use]
    pub fn rtmp_port(&self, listener: Listener) -> u16 {
        match self.shared_rtmp_port.load(Ordering::Relaxed) {
            shared if shared != 0 && !listener.loopback => shared,
            _ => self.rtmp_port.load(Ordering::Relaxed),
        }
    }

    /// The port that takes RTMPS, if one does.
    #[must_use]
    pub fn rtmps_port(&self) -> Option<u16> {
        Some(self.rtmps_port.load(Ordering::Relaxed)).filter(|port| *port != 0)
    }

    pub(crate) fn set_rtmps_port(&self, port: u16) {
        self.rtmps_port.store(port, Ordering::Relaxed);
    }

    pub(crate) fn set_shared_rtmp_port(&self, port: u16) {
        self.shared_rtmp_port.store(port, Ordering::Relaxed);
    }

    pub(crate) fn set_rtmp_port(&self, port: u16) {
        self.rtmp_port.store(port, Ordering::Relaxed);
    }

    /// What must be known before the first request.
    pub(crate) async fn prepare(&self) -> Result<(), StoreError> {
        if self.config.print_setup_code && self.store.first_operator().await?.is_none() {
            self.setup.arm();
        }
        self.keeper.recover().await?;
        self.placeholders.sweep().await?;
        self.tasks.spawn(self.keeper.clone().run(self.stop.clone()));
        self.tasks.spawn(Arc::clone(&self.rooms).sweep());
        let (rooms, store, stop) = (Arc::clone(&self.rooms), self.store.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            tokio::select! {
                done = make_unmade(&rooms, &store) => if let Err(error) = done {
                    tracing::warn!(%error, "placeholders that were not ready could not be made; the next start tries again");
                },
                () = stop.cancelled() => {}
            }
        });
        Ok(())
    }
}

/// Has placeholders made ready that were not when the server stopped.
async fn make_unmade(rooms: &Arc<Rooms>, store: &Store) -> Result<(), StoreError> {
    for item in store.placeholders_unmade().await? {
        if let Some(room) = rooms.get(&item.room).await? {
            room.shelf.prepare(&item.placeholder.id).await?;
        }
    }
    Ok(())
}
