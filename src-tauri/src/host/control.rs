//! What the app says to the server that it hosts: JSON, one object a line, over the loopback.

use std::net::SocketAddr;
use std::time::Duration;

use mujian_protocol::{ApiError, ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Longest line, in bytes.
const LINE_MAX: u64 = 4096;

/// A line of the app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// The first line: it is the app.
    Hello {
        /// As in `host.json`.
        secret: String,
    },
    /// The app is still there.
    Renew,
    /// Listen beyond this computer.
    Share,
    /// Listen on this computer only.
    Unshare,
    /// End at once.
    Stop,
}

/// Where a shared server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// For viewers.
    pub http: SocketAddr,
    /// For programs that publish.
    pub rtmp: SocketAddr,
}

/// A line of the server: the answer to each request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The addresses that others can reach, while there are any.
    #[serde(default)]
    pub shared: Option<Shared>,
    /// Why the request failed.
    #[serde(default)]
    pub error: Option<ApiError>,
}

/// One end of the connection. `I` comes in, `O` goes out.
#[derive(Debug)]
pub struct Lines {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl Lines {
    /// Over a connected socket.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader: BufReader::new(reader), writer }
    }

    /// The next line; none at the end, or when what came is not a line of this kind.
    pub async fn read<I: for<'a> Deserialize<'a>>(&mut self) -> Option<I> {
        let mut line = Vec::new();
        let read = (&mut self.reader).take(LINE_MAX).read_until(b'\n', &mut line).await.ok()?;
        if read == 0 || line.last() != Some(&b'\n') {
            return None;
        }
        serde_json::from_slice(&line).ok()
    }

    /// Sends a line. False: the connection is gone.
    pub async fn write<O: Serialize + Sync>(&mut self, value: &O) -> bool {
        let Ok(mut line) = serde_json::to_vec(value) else { return false };
        line.push(b'\n');
        matches!(tokio::time::timeout(TIMEOUT, self.writer.write_all(&line)).await, Ok(Ok(())))
    }

    /// Waits until the other side is gone. Nothing is lost when this is given up.
    pub async fn gone(&mut self) {
        // What the other side says unasked is left in the buffer; it ends the waiting as well, and the
        // next question tells.
        let _ = self.reader.fill_buf().await;
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// `Unreachable` when the server is gone; its own error when it refuses.
    pub async fn ask(&mut self, request: &Request) -> Result<Answer, ApiError> {
        let gone = || {
            ApiError::new(ErrorCode::Unreachable, "The hosted server does not answer. It is started again by itself.")
                .about(Problem::HostRestarting)
        };
        if !self.write(request).await {
            return Err(gone());
        }
        let answer: Answer = tokio::time::timeout(TIMEOUT, self.read()).await.ok().flatten().ok_or_else(gone)?;
        match answer.error {
            Some(error) => Err(error),
            None => Ok(answer),
        }
    }
}
