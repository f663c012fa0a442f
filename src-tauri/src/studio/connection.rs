//! The connection that a broadcast goes out by: TCP, and TLS over it where the server takes that.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::BytesMut;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use mujian_server::outbound::{self, OpenError, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::io::poll_read_buf;

use super::target::Target;
use crate::api::untrusted;

/// How long the server may take to close after the goodbye.
const CLOSE: Duration = Duration::from_secs(1);
/// Bytes that wait in the kernel before a write waits: past it the queue here can still drop.
const NOT_SENT: u32 = 16 << 10;
/// Bytes of what the server says that are read at once.
pub(super) const HEARD: usize = 16 << 10;

/// What was done at once. One of both was.
pub(super) struct Moved {
    /// Bytes that the server said; 0: it closed.
    pub(super) heard: Option<usize>,
    /// Bytes that the system took.
    pub(super) wrote: Option<usize>,
}

/// An open connection.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    /// Bytes that TLS has taken and the system has not. Nothing is given to it before they are through: what waits there
    /// can be dropped no more.
    inside: usize,
}

impl Connection {
    /// Connects, and over TLS sees to it that it is the server that was meant.
    ///
    /// # Errors
    /// `Unreachable`: nobody answers there, or another one.
    pub(super) async fn open(target: &Target) -> Result<Self, ApiError> {
        let host = target.host.as_str();
        // A full pipe must show here, where pictures can be dropped, not in megabytes of kernel memory.
        match outbound::open((host, target.port), target.secure.then_some(host), NOT_SENT).await {
            Ok(stream) => Ok(Self { stream, inside: 0 }),
            Err(OpenError::Untrusted(reason)) => Err(untrusted(host, reason)),
            Err(OpenError::Failed(reason)) => Err(unreachable(target, &reason)),
        }
    }

    /// Gives the system what it takes of `bytes`, and hears what the server says: as soon as one of both can be done.
    ///
    /// After an answer without `wrote` it must be called with the same bytes again.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn exchange(&mut self, bytes: &[u8], heard: &mut BytesMut) -> io::Result<Moved> {
        poll_fn(|cx| {
            let heard = match poll_read_buf(Pin::new(&mut *self.stream), cx, heard)? {
                Poll::Ready(count) => Some(count),
                Poll::Pending => None,
            };
            let wrote = match self.write(cx, bytes) {
                // What it said comes first: it may say why it closes.
                Poll::Ready(Err(_)) if heard.is_some() => None,
                Poll::Ready(wrote) => Some(wrote?),
                Poll::Pending => None,
            };
            if heard.is_none() && wrote.is_none() { Poll::Pending } else { Poll::Ready(Ok(Moved { heard, wrote })) }
        })
        .await
    }

    /// How many of `bytes` the system has taken.
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.inside == 0 {
            self.inside = ready!(Pin::new(&mut *self.stream).poll_write(cx, bytes))?;
        }
        ready!(Pin::new(&mut *self.stream).poll_flush(cx))?;
        Poll::Ready(Ok(std::mem::take(&mut self.inside)))
    }

    /// Hears what the server says: how many bytes; 0: it closed. Nothing is lost where this is not waited for.
    ///
    /// # Errors
    /// The connection broke.
    pub(super) async fn hear(&mut self, heard: &mut BytesMut) -> io::Result<usize> {
        self.stream.read_buf(heard).await
    }

    /// Waits until the server has read everything and closes too: closing first with unread bytes of the server's would
    /// reset the connection and could lose the goodbye. However it ends, the goodbye is said.
    pub(super) async fn goodbye(mut self) {
        let closing = async {
            self.stream.shutdown().await?;
            tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await
        };
        if let Ok(Err(error)) = tokio::time::timeout(CLOSE, closing).await {
            tracing::debug!(%error, "the connection broke after the goodbye");
        }
    }
}

fn unreachable(target: &Target, why: &str) -> ApiError {
    let Target { host, port, .. } = target;
    ApiError::new(
        ErrorCode::Unreachable,
        format!(
            "The server at {host} port {port} cannot be reached ({why}). Check the address, and that the server runs."
        ),
    )
    .about(Problem::ServerUnreachable { address: format!("{host}:{port}") })
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::*;

    /// Says something and is gone; takes nothing.
    struct Parting(&'static [u8]);

    impl AsyncRead for Parting {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
            match std::mem::take(&mut self.0) {
                [] => Poll::Pending,
                said => {
                    into.put_slice(said);
                    Poll::Ready(Ok(()))
                }
            }
        }
    }

    impl AsyncWrite for Parting {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_was_said_before_it_broke_is_heard() {
        let mut connection = Connection { stream: Box::new(Parting(b"wrong key")), inside: 0 };
        let mut heard = BytesMut::with_capacity(100);
        let moved = connection.exchange(b"picture", &mut heard).await.unwrap();
        assert_eq!((moved.heard, moved.wrote, &heard[..]), (Some(9), None, &b"wrong key"[..]));
        let broken = connection.exchange(b"picture", &mut heard).await;
        assert_eq!(broken.err().map(|e| e.kind()), Some(io::ErrorKind::ConnectionReset));
    }
}
