//! Exit codes. Scripts rely on them; they are listed in `mujian live --help`.

use mujian_protocol::{ApiError, ErrorCode};

/// Done: the stream ended properly.
pub const DONE: u8 = 0;
/// A fault of ours.
pub const INTERNAL: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// The server refused: a wrong key or password, or somebody else is publishing.
pub const REFUSED: u8 = 3;
/// A capture device or an encoder is missing, busy, denied or silent.
pub const DEVICE: u8 = 4;
/// The server cannot be reached.
pub const UNREACHABLE: u8 = 5;
/// The media file cannot be played.
pub const MEDIA: u8 = 6;
/// The window ended to be opened again, with another server: for the process that watches over it.
pub const AGAIN: u8 = 64;

/// The exit code that tells a script about an error.
#[must_use]
pub const fn code_of(error: &ApiError) -> u8 {
    match error.code {
        ErrorCode::Device => DEVICE,
        ErrorCode::Unreachable | ErrorCode::RateLimited => UNREACHABLE,
        ErrorCode::UnsupportedMedia => MEDIA,
        ErrorCode::InvalidRequest | ErrorCode::TooLarge => USAGE,
        ErrorCode::Unauthenticated
        | ErrorCode::WrongCredentials
        | ErrorCode::Forbidden
        | ErrorCode::NotFound
        | ErrorCode::NameTaken
        | ErrorCode::Conflict
        | ErrorCode::RegistrationClosed
        | ErrorCode::WrongSetupCode
        | ErrorCode::OffAir
        | ErrorCode::WrongStreamKey
        | ErrorCode::AlreadyPublishing => REFUSED,
        ErrorCode::Storage | ErrorCode::Internal => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        let code = |c| code_of(&ApiError::new(c, ""));
        assert_eq!(code(ErrorCode::WrongStreamKey), 3);
        assert_eq!(code(ErrorCode::Device), 4);
        assert_eq!(code(ErrorCode::Unreachable), 5);
        assert_eq!(code(ErrorCode::UnsupportedMedia), 6);
    }
}
