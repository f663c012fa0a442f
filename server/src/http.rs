//! The loop that accepts HTTP connections.
//!
//! It is ours, and not axum's, because media wants its sockets tuned, every connection counted
//! until its socket is closed (upgraded ones too), and slow senders of headers cut off.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::api::hosts::Listener;
use crate::app::App;
use crate::egress;
use crate::limit::address_key;
use crate::tls::{Front, Inside};

/// Time to send the head of a request, and to stay idle between two.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a request's head, and of what hyper gathers before it writes.
const BUFFER: usize = 64 * 1024;
/// Bytes that the kernel keeps for a connection at most. A viewer that falls behind is then known to be
/// behind within about a second of video, and costs no more memory than this.
const SEND_BUFFER: usize = 256 * 1024;
/// Bytes not yet sent past which the socket does not ask for more.
const NOT_SENT: u32 = 32 * 1024;
/// A peer that acknowledges nothing for so long is gone.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STALL: Duration = Duration::from_secs(20);
/// How long connections may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(3);

/// A connection's socket. Its place among the connections is free again when it is dropped.
#[derive(Debug)]
pub struct Stream {
    tcp: TcpStream,
    _slot: OwnedSemaphorePermit,
    _place: Place,
}

/// Connections of each address.
type Addresses = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection's place among those of its address.
#[derive(Debug)]
struct Place {
    address: IpAddr,
    all: Addresses,
}

impl Place {
    /// Takes one of `most`.
    fn take(all: &Addresses, address: IpAddr, most: usize) -> Option<Self> {
        let mut counts = all.lock();
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Self { address, all: Arc::clone(all) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

impl Stream {
    fn new(tcp: TcpStream, slot: OwnedSemaphorePermit, place: Place) -> Self {
        metrics::gauge!("mujian_http_connections").increment(1.0);
        Self { tcp, _slot: slot, _place: place }
    }

    /// The socket, to read or set its options.
    #[must_use]
    pub fn tcp(&self) -> &TcpStream {
        &self.tcp
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        metrics::gauge!("mujian_http_connections").decrement(1.0);
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

/// The socket behind an upgraded connection, and what was read from it too early.
///
/// # Errors
/// Gives the connection back if it did not come from this module's loop.
pub fn into_stream(upgraded: hyper::upgrade::Upgraded) -> Result<(Stream, bytes::Bytes), hyper::upgrade::Upgraded> {
    let parts = upgraded.downcast::<TokioIo<Stream>>()?;
    Ok((parts.io.into_inner(), parts.read_buf))
}

/// What all listeners of a server share.
#[derive(Clone)]
pub(crate) struct Acceptor {
    pub(crate) app: Arc<App>,
    pub(crate) router: Router,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    addresses: Addresses,
}

impl Acceptor {
    pub(crate) fn new(app: &Arc<App>) -> Self {
        let (router, most) = (crate::router(app), app.config.max_connections);
        let slots = Arc::new(Semaphore::new(most));
        Self { app: Arc::clone(app), router, slots, tasks: TaskTracker::new(), addresses: Addresses::default() }
    }

    /// A place for a connection from this address. None: it has as many as it may.
    fn place(&self, peer: SocketAddr) -> Option<Place> {
        let config = &self.app.config;
        let address = peer.ip().to_canonical();
        let proxy = config.trusted_proxies.iter().any(|p| p.to_canonical() == address);
        let most = if proxy { usize::MAX } else { config.max_connections_per_address };
        Place::take(&self.addresses, address_key(address), most)
    }

    /// Accepts until `stop`, then lets running requests finish for a moment.
    /// With `tls`, of what is inside it.
    pub(crate) async fn serve(self, listener: TcpListener, tls: Option<Arc<Front>>, stop: CancellationToken) {
        let loopback = listener.local_addr().is_ok_and(|a| a.ip().to_canonical().is_loopback());
        let way = Listener { loopback, secure: tls.is_some() };
        loop {
            // Without a free place the kernel's queue holds newcomers, and refuses them when full.
            let slot = tokio::select! {
                slot = Arc::clone(&self.slots).acquire_owned() => slot,
                () = stop.cancelled() => return,
            };
            let Ok(slot) = slot else { return };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = stop.cancelled() => return,
            };
            match accepted {
                Ok((tcp, peer)) => {
                    let Some(place) = self.place(peer) else {
                        metrics::counter!("mujian_http_connections_refused_total").increment(1);
                        continue;
                    };
                    tune(&tcp);
                    let open = move |tcp| Stream::new(tcp, slot, place);
                    let (app, router, stop) = (Arc::clone(&self.app), self.router.clone(), stop.clone());
                    match tls.clone() {
                        None => self.tasks.spawn(connection(app, open(tcp), (peer, way), router, stop)),
                        Some(front) => self.tasks.spawn(async move {
                            let opened = tokio::select! {
                                opened = front.open_connection(tcp, Inside::Http) => opened,
                                () = stop.cancelled() => return,
                            };
                            match opened {
                                Ok((inner, copy)) => {
                                    tune(&inner);
                                    tokio::join!(copy, connection(app, open(inner), (peer, way), router, stop));
                                }
                                Err(error) => tracing::debug!(%error, %peer, "No TLS with this client."),
                            }
                        }),
                    };
                }
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    // Out of file descriptors, most likely: trying again at once would spin.
                    tracing::warn!(%error, "A connection could not be accepted.");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Failing is harmless: the connection works, a little worse.
fn tune(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let socket = socket2::SockRef::from(tcp);
    let _ = socket.set_send_buffer_size(SEND_BUFFER);
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(NOT_SENT);
    // A peer that takes nothing is given up, whoever writes to it and however patiently.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_user_timeout(Some(STALL));
    // Dead peers are noticed by their silence, not by their viewers' count growing for ever.
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(60));
    let _ = socket.set_tcp_keepalive(&keepalive);
}

async fn connection(
    app: Arc<App>,
    stream: Stream,
    (peer, way): (SocketAddr, Listener),
    router: Router,
    stop: CancellationToken,
) {
    let taken = tokio::select! {
        taken = egress::take_directly(&app, stream, peer, way) => taken,
        () = stop.cancelled() => return,
    };
    let Some(stream) = taken else { return };
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(way);
        router.clone().oneshot(request.map(Body::new))
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(DRAIN, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "A connection broke.");
    }
}

/// Lets this process open as many sockets as it may have connections, as far as the system allows: many
/// systems start programs with 1024.
pub(crate) fn raise_file_limit(connections: usize) {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let wanted = connections as u64 + 1024;
        let limit = getrlimit(Resource::Nofile);
        if limit.current.is_none_or(|now| now >= wanted) {
            return;
        }
        let current = limit.maximum.map_or(wanted, |most| most.min(wanted));
        if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum }) {
            tracing::warn!(%error, "The limit of open files could not be raised.");
        } else if current < wanted {
            tracing::warn!(
                limit = current,
                wanted,
                "The system allows fewer open files than max_connections asks for; past that, viewers are kept waiting."
            );
        }
    }
    #[cfg(not(unix))]
    let _ = connections;
}
