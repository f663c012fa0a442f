//! Opening a WebSocket of the server, with limits, and what a refusal means.

use std::time::Duration;

use mujian_protocol::app::ApiResponse;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use url::Url;

/// How long opening may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A socket to the server.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Opens it. `longest`: the longest message that is taken, in bytes.
///
/// # Errors
/// As the server says in its answer; `Unreachable` when it gives none.
pub async fn open(url: &Url, longest: usize) -> Result<Socket, ApiError> {
    let config = WebSocketConfig::default().max_message_size(Some(longest)).max_frame_size(Some(longest));
    let opening = connect_async_with_config(url.as_str(), Some(config), true);
    match tokio::time::timeout(TIMEOUT, opening).await {
        Ok(Ok((socket, _))) => Ok(socket),
        Ok(Err(Error::Http(response))) => {
            let body = response.body().as_deref().and_then(|b| serde_json::from_slice(b).ok()).unwrap_or_default();
            let answer = ApiResponse { status: response.status().as_u16(), body };
            Err(crate::api::error_of(&answer).unwrap_or_else(|| lost("it does not speak WebSocket")))
        }
        Ok(Err(Error::Io(error))) => Err(lost(error)),
        Ok(Err(error)) => Err(lost(error)),
        Err(_) => Err(lost("it does not answer in time")),
    }
}

/// The error for a socket that broke.
#[must_use]
pub fn lost(why: impl std::fmt::Display) -> ApiError {
    ApiError::new(
        ErrorCode::Unreachable,
        format!("The connection to the server broke ({why}). It is tried again by itself."),
    )
    .about(Problem::ConnectionLost)
}
