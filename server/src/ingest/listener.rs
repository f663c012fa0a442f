//! The loop that accepts publishers, and its limits.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use mujian_media::rtmp::server::Config as SessionConfig;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, debug, info_span, warn};

use super::access::Publishers;
use super::publisher;
use crate::clock::Clock;
use crate::config::{Config, Rate};
use crate::limit::{Limiter, address_key};
use crate::tls::{Front, Inside};

/// Limits of ingest.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    /// Most connections at a time.
    pub connections: usize,
    /// Most connections at a time from one address.
    pub per_address: usize,
    /// New connections from one address.
    pub rate: Rate,
    /// Wrong stream keys from one address.
    pub wrong_keys: Rate,
    /// Limits of each session.
    pub session: SessionConfig,
}

impl IngestConfig {
    /// As the operator configured it.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            connections: config.max_rtmp_connections,
            per_address: config.max_rtmp_connections_per_address,
            rate: config.limits.rtmp_connections,
            wrong_keys: config.limits.wrong_stream_keys,
            session: SessionConfig::default(),
        }
    }
}

impl Default for IngestConfig {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

/// What all publishers' tasks share.
pub(super) struct Shared<P> {
    pub(super) publishers: Arc<P>,
    pub(super) config: IngestConfig,
    pub(super) clock: Clock,
    pub(super) wrong_keys: Limiter<IpAddr>,
    connections: Mutex<HashMap<IpAddr, usize>>,
    rate: Limiter<IpAddr>,
    slots: Arc<Semaphore>,
    next: AtomicU64,
}

/// A connection's place among those of its address; free again when it is dropped.
struct Place<P: Publishers> {
    shared: Arc<Shared<P>>,
    key: IpAddr,
}

impl<P: Publishers> Place<P> {
    fn take(shared: &Arc<Shared<P>>, key: IpAddr) -> Option<Self> {
        let mut all = shared.connections.lock();
        let count = all.entry(key).or_default();
        if *count >= shared.config.per_address {
            return None;
        }
        *count += 1;
        metrics::gauge!("mujian_ingest_connections").increment(1.0);
        Some(Self { shared: Arc::clone(shared), key })
    }
}

impl<P: Publishers> Drop for Place<P> {
    fn drop(&mut self) {
        metrics::gauge!("mujian_ingest_connections").decrement(1.0);
        let mut all = self.shared.connections.lock();
        if let Some(count) = all.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.key);
            }
        }
    }
}

/// What takes publishers, at one address or more. Its limits are for all of them together.
pub struct Ingest<P: Publishers> {
    shared: Arc<Shared<P>>,
    tasks: TaskTracker,
}

impl<P: Publishers> Clone for Ingest<P> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), tasks: self.tasks.clone() }
    }
}

impl<P: Publishers> Ingest<P> {
    /// One for these rooms. Each publisher runs in a task of `tasks`.
    #[must_use]
    pub fn new(publishers: Arc<P>, config: IngestConfig, clock: Clock, tasks: TaskTracker) -> Self {
        let shared = Arc::new(Shared {
            publishers,
            clock,
            wrong_keys: Limiter::new(config.wrong_keys),
            rate: Limiter::new(config.rate),
            connections: Mutex::default(),
            slots: Arc::new(Semaphore::new(config.connections)),
            next: AtomicU64::new(1),
            config,
        });
        Self { shared, tasks }
    }

    /// Takes publishers until `stop`; those of this listener end soon after it too.
    /// With `tls`, of what is inside it.
    pub async fn serve(self, listener: TcpListener, tls: Option<Arc<Front>>, stop: CancellationToken) {
        accept(self.shared, self.tasks, listener, tls, stop).await;
    }
}

async fn accept<P: Publishers>(
    shared: Arc<Shared<P>>,
    tasks: TaskTracker,
    listener: TcpListener,
    tls: Option<Arc<Front>>,
    stop: CancellationToken,
) {
    loop {
        // Without a free place the kernel's queue holds newcomers, and refuses them when full.
        let slot = tokio::select! {
            slot = Arc::clone(&shared.slots).acquire_owned() => slot,
            () = stop.cancelled() => return,
        };
        let Ok(slot) = slot else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                warn!(%error, "A publisher's connection could not be accepted.");
                // Out of file descriptors, most likely: trying again at once would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let key = address_key(peer.ip());
        if shared.rate.take(key, shared.clock.now()).is_err() {
            metrics::counter!("mujian_ingest_refused_total", "why" => "rate").increment(1);
            continue;
        }
        let Some(place) = Place::take(&shared, key) else {
            metrics::counter!("mujian_ingest_refused_total", "why" => "connections").increment(1);
            continue;
        };
        tune(&tcp);
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let span = info_span!("publisher", number, %peer, room = tracing::field::Empty);
        let (shared, stop, tls) = (Arc::clone(&shared), stop.clone(), tls.clone());
        let serve = async move {
            debug!("A connection was opened.");
            let peer = canonical(peer);
            match tls {
                None => publisher::serve(tcp, peer, number, shared, stop).await,
                Some(front) => {
                    let opened = tokio::select! {
                        opened = front.open_connection(tcp, Inside::Rtmp) => opened,
                        () = stop.cancelled() => return,
                    };
                    match opened {
                        Ok((inner, copy)) => {
                            tune(&inner);
                            tokio::join!(copy, publisher::serve(inner, peer, number, shared, stop));
                        }
                        Err(error) => debug!(%error, "No TLS with this publisher."),
                    }
                }
            }
            drop((place, slot));
        };
        tasks.spawn(serve.instrument(span));
    }
}

fn canonical(peer: SocketAddr) -> IpAddr {
    peer.ip().to_canonical()
}

/// Failing is harmless: the connection works, a little worse.
fn tune(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let keepalive =
        socket2::TcpKeepalive::new().with_time(Duration::from_secs(15)).with_interval(Duration::from_secs(5));
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}
