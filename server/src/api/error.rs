//! How a call fails: a status, and `{code, message}`.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mujian_protocol::{ApiError, ErrorCode, Problem};

use crate::account::AccountError;
use crate::store::StoreError;

/// A call that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    status: StatusCode,
    error: ApiError,
    retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with the usual status of its code.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        ApiError::new(code, message).into()
    }

    /// A failure with a status of its own.
    #[must_use]
    pub fn with_status(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self { status, error: ApiError::new(code, message), retry_after: None }
    }

    /// The same, with what exactly stands in the way, for the interface.
    #[must_use]
    pub fn about(mut self, problem: Problem) -> Self {
        self.error = self.error.about(problem);
        self
    }

    /// The same, after a sentence on what was done all the same.
    #[must_use]
    pub fn preceded_by(mut self, sentence: &str) -> Self {
        self.error.message = format!("{sentence} {}", self.error.message);
        self
    }

    /// Too often.
    #[must_use]
    pub fn too_often(what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs_f64().ceil().max(1.0);
        let mut failure = Self::new(ErrorCode::RateLimited, format!("{what} Try again in {seconds} s."))
            .about(Problem::TooOften { seconds: seconds as u64 });
        failure.retry_after = Some(wait);
        failure
    }

    /// Nobody is logged in.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(ErrorCode::Unauthenticated, "Nobody is logged in, or the session has ended. Log in again.")
    }

    /// The room is being closed.
    #[must_use]
    pub fn closing() -> Self {
        Self::new(ErrorCode::Conflict, "The room is closing. Try again in a moment.").about(Problem::RoomClosing)
    }

    /// There is no such room.
    #[must_use]
    pub fn no_room() -> Self {
        Self::new(ErrorCode::NotFound, "There is no such room.")
    }

    /// The error that travels.
    #[must_use]
    pub fn error(&self) -> &ApiError {
        &self.error
    }
}

fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::InvalidRequest | ErrorCode::UnsupportedMedia | ErrorCode::Device => StatusCode::BAD_REQUEST,
        ErrorCode::Unauthenticated | ErrorCode::WrongCredentials => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden
        | ErrorCode::RegistrationClosed
        | ErrorCode::WrongSetupCode
        | ErrorCode::WrongStreamKey => StatusCode::FORBIDDEN,
        ErrorCode::NotFound => StatusCode::NOT_FOUND,
        ErrorCode::NameTaken | ErrorCode::Conflict | ErrorCode::OffAir | ErrorCode::AlreadyPublishing => {
            StatusCode::CONFLICT
        }
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::Storage => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Unreachable | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        #[allow(unreachable_patterns, reason = "codes are added by other parts, for other borders")]
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self { status: status_of(error.code), error, retry_after: None }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full => ApiError::new(
                ErrorCode::Storage,
                "The server's disk is full; nothing was changed. Its operator must free some space.",
            )
            .about(Problem::ServerDiskFull)
            .into(),
            StoreError::Closed => Self::with_status(
                StatusCode::SERVICE_UNAVAILABLE,
                ErrorCode::Internal,
                "The server is stopping. Try again in a moment.",
            )
            .about(Problem::ServerStopping),
            StoreError::Failed(detail) => {
                tracing::error!(detail, "The database failed.");
                Self::new(
                    ErrorCode::Internal,
                    "The server's database failed; nothing was changed. Try again in a moment.",
                )
                .about(Problem::ServerDataFailed)
            }
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Refused(e) => e.into(),
            AccountError::Store(e) => e.into(),
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self.error)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
