//! The server's calls under `/api/v1`, with the session of whoever is logged in.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt as _;
use mujian_protocol::api::{AccountView, Credentials, SPEED_MAX, SessionView, SpeedView};
use mujian_protocol::app::{ApiRequest, ApiResponse};
use mujian_protocol::{ApiError, ErrorCode, Problem};
use mujian_server::outbound;
use parking_lot::RwLock;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, RequestBuilder, StatusCode, redirect};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

/// How long a call may take.
const TIMEOUT: Duration = Duration::from_secs(15);
/// And for a picture or a film that the server may have to draw first, behind others.
const DRAWN: Duration = Duration::from_secs(120);
/// Longest answer that is read, in bytes.
const ANSWER_MAX: usize = 4 << 20;
/// Longest path of a call, in bytes.
const PATH_MAX: usize = 8192;
/// How long sending a file may take.
const UPLOAD: Duration = Duration::from_secs(30 * 60);
/// How long measuring the line may take, with what waits on it at the end.
const MEASURED: Duration = Duration::from_secs(25);
/// Bytes that are sent at once to measure it.
const PIECE: usize = 16 << 10;
/// Longest answer that is a picture or a film, in bytes.
const MEDIA_MAX: usize = 32 << 20;

/// A server, and who is logged in there. Clones share the session.
#[derive(Clone)]
pub struct Api {
    base: Arc<RwLock<Url>>,
    client: reqwest::Client,
    session: Arc<RwLock<Option<Session>>>,
}

#[derive(Clone)]
struct Session {
    token: Zeroizing<String>,
    account: Option<AccountView>,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base().as_str()).finish_non_exhaustive()
    }
}

impl Api {
    /// A client for the server at `base` (`http://HOST:PORT`); nothing is sent yet.
    ///
    /// # Errors
    /// `Internal` when no HTTP client can be made.
    pub fn new(base: Url) -> Result<Self, ApiError> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .connect_timeout(Duration::from_secs(5))
            .redirect(redirect::Policy::none())
            .user_agent(concat!("mujian/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| ApiError::new(ErrorCode::Internal, format!("No HTTP client could be made ({e}).")))?;
        Ok(Self { base: Arc::new(RwLock::new(base)), client, session: Arc::default() })
    }

    /// Where the server is.
    #[must_use]
    pub fn base(&self) -> Url {
        self.base.read().clone()
    }

    /// The server is somewhere else now: a hosted one was started again.
    pub fn set_base(&self, base: Url) {
        *self.base.write() = base;
    }

    /// An address of the server for a WebSocket; `path` begins with `/`.
    ///
    /// # Errors
    /// `InvalidRequest` when the path is not one.
    pub fn socket_url(&self, path: &str) -> Result<Url, ApiError> {
        let base = self.base();
        let mut url = base.join(path).map_err(|_| bad_path())?;
        let scheme = if base.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).map_err(|()| bad_path())?;
        Ok(url)
    }

    /// The session's token.
    #[must_use]
    pub fn token(&self) -> Option<Zeroizing<String>> {
        self.session.read().as_ref().map(|s| s.token.clone())
    }

    /// Who is logged in, as far as is known.
    #[must_use]
    pub fn account(&self) -> Option<AccountView> {
        self.session.read().as_ref().and_then(|s| s.account.clone())
    }

    /// Uses a session that was opened before.
    pub fn set_session(&self, token: Option<Zeroizing<String>>, account: Option<AccountView>) {
        *self.session.write() = token.map(|token| Session { token, account });
    }

    /// Makes an account, or logs in, and uses the session from now on.
    ///
    /// # Errors
    /// As the server says, or `Unreachable`.
    pub async fn open_session(&self, create: bool, credentials: &Credentials) -> Result<AccountView, ApiError> {
        let path = if create { "/accounts" } else { "/sessions" };
        let opened: SessionView = self.call(Method::POST, path, Some(credentials)).await?;
        self.set_session(Some(Zeroizing::new(opened.token)), Some(opened.account.clone()));
        Ok(opened.account)
    }

    /// Calls the server and reads its answer.
    ///
    /// # Errors
    /// As the server says; `Unreachable` when it cannot be asked; `Internal` when its answer is not understood.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, ApiError> {
        let body = body.map(serde_json::to_value).transpose().map_err(|_| bad_path())?.unwrap_or(Value::Null);
        understood(self.exchange(method, path, &body).await?)
    }

    /// Passes a call of the window on: the answer comes back as it is, errors of the server included.
    ///
    /// # Errors
    /// `InvalidRequest` when it is not a call; `Unreachable` when the server cannot be asked.
    pub async fn pass(&self, request: &ApiRequest) -> Result<ApiResponse, ApiError> {
        let method = match request.method.as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return Err(ApiError::new(ErrorCode::InvalidRequest, "A call is GET, POST, PUT, PATCH or DELETE.")),
        };
        self.exchange(method, &request.path, &request.body).await
    }

    /// Sends a file of the window's; the answer comes back as it is, errors of the server included.
    ///
    /// # Errors
    /// As [`Self::pass`].
    pub async fn upload(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        file: Vec<u8>,
    ) -> Result<ApiResponse, ApiError> {
        let method = match method {
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            _ => return Err(ApiError::new(ErrorCode::InvalidRequest, "A file is sent by POST or PUT.")),
        };
        let mut request = self.request(method, path)?.timeout(UPLOAD).body(file);
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let (status, bytes) = self.read(request, ANSWER_MAX).await?;
        Ok(answer_of(status, &bytes))
    }

    /// Sends a file of this computer's, piece by piece, and reads the answer.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub async fn send_file<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        file: Option<tokio::fs::File>,
    ) -> Result<T, ApiError> {
        let mut request = self.request(method, path)?.timeout(UPLOAD);
        if let Some(file) = file {
            let length = file.metadata().await.map(|m| m.len());
            if let Ok(length) = length {
                request = request.header(CONTENT_LENGTH, length);
            }
            request = request.body(file);
        }
        if !content_type.is_empty() {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let (status, bytes) = self.read(request, ANSWER_MAX).await?;
        understood(answer_of(status, &bytes))
    }

    /// Fetches a file piece by piece; each is handed to `take`, which may refuse it.
    ///
    /// # Errors
    /// As the server says; as [`Self::pass`]; what `take` says.
    pub async fn fetch_file(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), ApiError> + Send,
    ) -> Result<(), ApiError> {
        let request = self.request(Method::GET, path)?.timeout(UPLOAD);
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        if !status.is_success() {
            let body = response.json().await.unwrap_or_default();
            let answer = ApiResponse { status: status.as_u16(), body };
            return error_of(&answer).map_or(Ok(()), Err);
        }
        while let Some(piece) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            take(&piece)?;
        }
        Ok(())
    }

    /// A picture or a film that only who is logged in may see.
    ///
    /// # Errors
    /// As the server says; as [`Self::pass`].
    pub async fn media(&self, path: &str) -> Result<Vec<u8>, ApiError> {
        let request = self.request(Method::GET, path)?.timeout(DRAWN);
        let (status, bytes) = self.read(request, MEDIA_MAX).await?;
        let body = if status.is_success() { Value::Null } else { serde_json::from_slice(&bytes).unwrap_or_default() };
        match error_of(&ApiResponse { status: status.as_u16(), body }) {
            Some(error) => Err(error),
            None => Ok(bytes),
        }
    }

    /// Sends what only its arrival is measured of, for `time` and at most 16 MiB.
    ///
    /// # Errors
    /// As the server says; as [`Self::call`].
    pub async fn measure_line(&self, time: Duration) -> Result<SpeedView, ApiError> {
        // By chance, so that nothing on the way makes it smaller.
        let mut piece = vec![0; PIECE];
        rand::fill(&mut piece[..]);
        let (piece, end) = (Bytes::from(piece), Instant::now() + time);
        let pieces = futures_util::stream::iter(0..SPEED_MAX / PIECE as u64)
            .take_while(move |_| std::future::ready(Instant::now() < end))
            .map(move |_| Ok::<_, std::convert::Infallible>(piece.clone()));
        let request = self.request(Method::POST, "/speed")?.timeout(MEASURED).body(Body::wrap_stream(pieces));
        let (status, bytes) = self.read(request, ANSWER_MAX).await?;
        understood(answer_of(status, &bytes))
    }

    async fn exchange(&self, method: Method, path: &str, body: &Value) -> Result<ApiResponse, ApiError> {
        let mut request = self.request(method, path)?;
        if !body.is_null() {
            request = request.json(body);
        }
        let (status, bytes) = self.read(request, ANSWER_MAX).await?;
        Ok(answer_of(status, &bytes))
    }

    /// A call as whoever is logged in.
    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, ApiError> {
        let request = self.client.request(method, self.address(path)?);
        Ok(match self.token() {
            Some(token) => request.bearer_auth(token.as_str()),
            None => request,
        })
    }

    async fn read(&self, request: RequestBuilder, most: usize) -> Result<(StatusCode, Vec<u8>), ApiError> {
        let mut response = request.send().await.map_err(|e| self.unreachable(&e))?;
        let status = response.status();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.unreachable(&e))? {
            if bytes.len() + chunk.len() > most {
                return Err(ApiError::new(ErrorCode::TooLarge, "The server's answer is too long."));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok((status, bytes))
    }

    fn address(&self, path: &str) -> Result<Url, ApiError> {
        // The page may name a call, not another place of the server or another server.
        let plain = path.starts_with('/') && !path.contains("..") && !path.contains('\\') && path.len() <= PATH_MAX;
        let base = self.base();
        let url = plain.then(|| base.join(&format!("/api/v1{path}")).ok()).flatten().ok_or_else(bad_path)?;
        if url.origin() == base.origin() && url.path().starts_with("/api/v1/") { Ok(url) } else { Err(bad_path()) }
    }

    fn unreachable(&self, error: &reqwest::Error) -> ApiError {
        if let Some(reason) = outbound::distrust(error) {
            return untrusted(self.base().host_str().unwrap_or_default(), reason);
        }
        let why = if error.is_timeout() { "it does not answer in time" } else { "no connection" };
        let address = self.base().origin().ascii_serialization();
        ApiError::new(
            ErrorCode::Unreachable,
            format!(
                "The server at {} cannot be reached ({why}). Check the address, and that the server runs.",
                address
            ),
        )
        .about(Problem::ServerUnreachable { address })
    }
}

/// The error where `host` does not prove who it is.
pub(crate) fn untrusted(host: &str, reason: String) -> ApiError {
    ApiError::new(
        ErrorCode::Unreachable,
        format!(
            "The certificate of {host} cannot be trusted ({reason}). Nothing was sent there. Check the address, or ask who runs the server."
        ),
    )
    .about(Problem::ServerUntrusted { host: host.to_owned(), reason })
}

fn answer_of(status: StatusCode, bytes: &[u8]) -> ApiResponse {
    ApiResponse { status: status.as_u16(), body: serde_json::from_slice(bytes).unwrap_or(Value::Null) }
}

/// What a call asked for, or what the server says in its place.
fn understood<T: DeserializeOwned>(answer: ApiResponse) -> Result<T, ApiError> {
    match error_of(&answer) {
        Some(error) => Err(error),
        None => serde_json::from_value(answer.body).map_err(|e| not_understood(&e)),
    }
}

fn not_understood(error: &serde_json::Error) -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        format!("The server's answer was not understood ({error}). Its version may differ from the app's."),
    )
    .about(Problem::VersionDiffers)
}

fn bad_path() -> ApiError {
    ApiError::new(ErrorCode::InvalidRequest, "That is not a call of the server.")
}

/// The error in an answer that is not a success.
#[must_use]
pub fn error_of(answer: &ApiResponse) -> Option<ApiError> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if status.is_success() {
        return None;
    }
    let told = serde_json::from_value::<ApiError>(answer.body.clone()).ok();
    Some(told.unwrap_or_else(|| {
        let code = match status {
            StatusCode::UNAUTHORIZED => ErrorCode::Unauthenticated,
            StatusCode::FORBIDDEN => ErrorCode::Forbidden,
            StatusCode::NOT_FOUND => ErrorCode::NotFound,
            StatusCode::TOO_MANY_REQUESTS => ErrorCode::RateLimited,
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                ErrorCode::Unreachable
            }
            _ => ErrorCode::Internal,
        };
        ApiError::new(code, format!("The server answered {status}, without a reason. Is it a Mujian server?"))
            .about(Problem::NoMujianServer)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api() -> Api {
        Api::new("http://127.0.0.1:9/".parse().unwrap()).unwrap()
    }

    #[test]
    fn only_calls_can_be_named() {
        let api = api();
        assert_eq!(api.address("/rooms?x=1").unwrap().as_str(), "http://127.0.0.1:9/api/v1/rooms?x=1");
        for bad in ["rooms", "", "/../metrics", "/a/../../x", "http://evil/", "/%2e%2e/%2e%2e/metrics", "/\\evil"] {
            assert!(api.address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sockets_follow_the_scheme() {
        assert_eq!(api().socket_url("/live/demo.mp4").unwrap().as_str(), "ws://127.0.0.1:9/live/demo.mp4");
        let secure = Api::new("https://host".parse().unwrap()).unwrap();
        assert_eq!(secure.socket_url("/x").unwrap().as_str(), "wss://host/x");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_told_in_a_sentence() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let api = Api::new(base.parse().unwrap()).unwrap();
        let error = api.call::<Value>(Method::GET, "/server", None::<&()>).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unreachable);
        assert!(error.message.contains(&base), "{}", error.message);
    }
}
