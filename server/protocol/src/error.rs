//! Errors that cross a border: a stable code from one list and a sentence for a person.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

use crate::problem::Problem;

/// What went wrong, for programs. A code exists only where somebody acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is not of the form that the call takes.
    InvalidRequest,
    /// Nobody is logged in, or the session has ended.
    Unauthenticated,
    /// The name or the password is wrong.
    WrongCredentials,
    /// The account may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The name is taken.
    NameTaken,
    /// It clashes with the present state.
    Conflict,
    /// Too many requests; try again later.
    RateLimited,
    /// The operator has closed registration.
    RegistrationClosed,
    /// The set-up code is wrong or was used.
    WrongSetupCode,
    /// The room is not on air.
    OffAir,
    /// Longer or larger than is allowed.
    TooLarge,
    /// The stream key is wrong.
    WrongStreamKey,
    /// Somebody is already publishing to the room.
    AlreadyPublishing,
    /// The stream's codec or its parameters are not taken.
    UnsupportedMedia,
    /// A capture device is missing, busy, denied or silent.
    Device,
    /// The server cannot be reached.
    Unreachable,
    /// The data folder cannot be written, is full, or was written by a newer version.
    Storage,
    /// A fault of ours.
    Internal,
}

/// An error as it travels: `{code, message}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// For a person, in English; the interface has its own words for each code and each problem.
    pub message: String,
    /// What exactly stands in the way, where the code alone does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub problem: Option<Box<Problem>>,
}

impl ApiError {
    /// An error with its sentence.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), problem: None }
    }

    /// The same, with what exactly stands in the way.
    #[must_use]
    pub fn about(mut self, problem: impl Into<Option<Problem>>) -> Self {
        self.problem = problem.into().map(Box::new);
        self
    }
}
