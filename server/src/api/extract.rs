//! What calls take out of a request. Whatever is wrong with it becomes `{code, message}`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, MatchedPath, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use mujian_protocol::api::Role;
use mujian_protocol::{ErrorCode, RoomId};
use serde::de::DeserializeOwned;

use super::Failure;
use crate::account::TokenHash;
use crate::app::App;
use crate::store::{Account, Hand};

/// A body of JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        match Json::<T>::from_request(request, app).await {
            Ok(Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(body_failure(&rejection)),
        }
    }
}

/// A body of JSON that may be left out: then it is as if nothing in it were said.
pub struct BodyIfAny<T>(pub T);

impl<T: DeserializeOwned + Default> FromRequest<Arc<App>> for BodyIfAny<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Failure> {
        match Option::<Json<T>>::from_request(request, app).await {
            Ok(Some(Json(value))) => Ok(Self(value)),
            Ok(None) => Ok(Self(T::default())),
            Err(rejection) => Err(body_failure(&rejection)),
        }
    }
}

fn body_failure(rejection: &JsonRejection) -> Failure {
    match rejection {
        JsonRejection::MissingJsonContentType(_) => Failure::with_status(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            ErrorCode::InvalidRequest,
            "The body must be JSON, with Content-Type: application/json.",
        ),
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
            Failure::new(ErrorCode::TooLarge, format!("The body is larger than {} bytes.", super::BODY_MAX))
        }
        _ => Failure::with_status(rejection.status(), ErrorCode::InvalidRequest, format!("{}.", rejection.body_text())),
    }
}

/// The query of an address.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<Arc<App>> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, app).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(Failure::new(ErrorCode::InvalidRequest, format!("{}.", rejection.body_text()))),
        }
    }
}

/// Parts of an address. What cannot be read names nothing.
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<App>> for InPath<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let path = Path::<T>::from_request_parts(parts, app).await;
        path.map(|Path(named)| Self(named))
            .map_err(|_| Failure::new(ErrorCode::NotFound, "There is nothing of this name."))
    }
}

/// The room in an address. What cannot be a room is one that does not exist.
pub struct RoomPath(pub RoomId);

impl FromRequestParts<Arc<App>> for RoomPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        #[derive(serde::Deserialize)]
        struct Named {
            room: String,
        }
        let Path(named) = Path::<Named>::from_request_parts(parts, app).await.map_err(|_| Failure::no_room())?;
        named.room.parse().map(Self).map_err(|_| Failure::no_room())
    }
}

/// Who calls: the request must have a session that is good.
pub struct Caller {
    /// Who.
    pub account: Account,
    /// Of which session.
    pub session: TokenHash,
    /// What: method and path, as the description of the calls has them.
    pub call: String,
}

impl Caller {
    /// Whether the account runs the server.
    #[must_use]
    pub fn is_operator(&self) -> bool {
        self.account.role == Role::Operator
    }

    /// As whose act the log knows what this call does.
    #[must_use]
    pub fn hand(&self, app: &App) -> Hand {
        Hand { by: Some(self.account.id.clone()), at: app.clock.wall() }
    }

    /// Whether the call only looks.
    #[must_use]
    pub fn only_looks(&self) -> bool {
        self.call.starts_with("GET ")
    }
}

/// The token of `Authorization: Bearer TOKEN`.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        let token = bearer(&parts.headers).ok_or_else(Failure::unauthenticated)?;
        let session = app.accounts.session(&app.store, &app.clock, token).await?;
        let (account, session) = session.ok_or_else(Failure::unauthenticated)?;
        let path = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str).unwrap_or_default();
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        Ok(Self { account, session, call: format!("{} {path}", parts.method) })
    }
}

/// The address that a request comes from: behind a proxy that is trusted, the one it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The address.
    pub address: IpAddr,
    /// Whether a proxy told it.
    pub forwarded: bool,
}

impl FromRequestParts<Arc<App>> for Peer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Failure> {
        Ok(peer(parts, app))
    }
}

/// Whether a proxy that is trusted handed the request on: what it says of the way that the request came is believed.
#[must_use]
pub fn through_proxy(parts: &Parts, app: &App) -> bool {
    let socket = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|c| c.0.ip().to_canonical());
    socket.is_some_and(|address| is_proxy(app, &address))
}

fn is_proxy(app: &App, address: &IpAddr) -> bool {
    app.config.trusted_proxies.iter().any(|t| t.to_canonical() == *address)
}

/// As [`Peer`], for those who have no extractor.
#[must_use]
pub fn peer(parts: &Parts, app: &App) -> Peer {
    let socket = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |c| c.0.ip().to_canonical());
    let told = parts.headers.get_all("x-forwarded-for");
    let forwarded = told.iter().next().is_some() || parts.headers.contains_key(header::FORWARDED);
    let trusted = |a: &IpAddr| is_proxy(app, a);
    if !trusted(&socket) {
        return Peer { address: socket, forwarded };
    }
    // The nearest proxy wrote last; the first from the right that is no proxy of ours is the peer.
    let mut list: Vec<IpAddr> = told
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|a| a.trim().parse::<IpAddr>().ok())
        .map(|a| a.to_canonical())
        .collect();
    while let Some(address) = list.pop() {
        if !trusted(&address) {
            return Peer { address, forwarded };
        }
    }
    Peer { address: socket, forwarded }
}
