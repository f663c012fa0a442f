//! What needs FFmpeg, for the app and the server: open, decode, scale, resample, encode.
//!
//! FFmpeg's C interface is called here and in no other crate. Everything that can be said with the
//! safe wrapper is; where it cannot, the block says why it is sound.
//!
//! Beside it lives what the same users need next to FFmpeg and what needs no FFmpeg at all: the
//! [`testcard`] (drawing it and reading it back) and the [`sound`] mathematics (drift, mixing,
//! metering), so that both are tested without devices.

#![allow(unsafe_code, reason = "FFmpeg is a C library; every block has its SAFETY note")]

pub mod decode;
pub mod device;
pub mod encode;
mod error;
mod frames;
pub mod inset;
pub mod open;
mod picture;
pub mod resample;
pub mod scale;
pub mod sound;
pub mod testcard;

pub use error::{AvError, Fault};
pub use ffmpeg_next::format::Pixel;
pub use picture::{Picture, dark};

/// The version of FFmpeg's libraries, as whoever built them calls it.
#[must_use]
pub fn version() -> String {
    // SAFETY: the function gives a pointer to a constant string of the library.
    let text = unsafe { std::ffi::CStr::from_ptr(ffmpeg_next::ffi::av_version_info()) };
    format!("FFmpeg {} ({})", text.to_string_lossy(), ffmpeg_next::codec::version())
}

/// Prepares FFmpeg: registers the devices and keeps the libraries from writing to stderr (their
/// errors come back as values). Every entry point of this crate calls it; calling it again is free.
pub fn init() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // It only registers devices and error texts, and has no way to fail in FFmpeg 5 and later.
        let _ = ffmpeg_next::init();
        let level = if std::env::var_os("MUJIAN_FFMPEG_LOG").is_some() {
            ffmpeg_next::ffi::AV_LOG_VERBOSE
        } else {
            ffmpeg_next::ffi::AV_LOG_QUIET
        };
        // SAFETY: sets a global integer of libavutil; no pointer is involved.
        unsafe { ffmpeg_next::ffi::av_log_set_level(level) };
    });
}
