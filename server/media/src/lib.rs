//! The formats and protocols of live streaming, without input or output.
//!
//! Everything here decides and parses; sockets, files and clocks are the callers'. All input is
//! taken to be hostile: sizes are bounded, errors are typed, nothing panics on bytes.
#![forbid(unsafe_code)]

pub mod aac;
pub mod amf;
pub mod avc;
pub mod backoff;
pub mod flv;
pub mod fmp4;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
pub mod hls;
pub mod rtmp;
pub mod time;
pub mod websocket;

#[cfg(test)]
mod chromium;
#[cfg(test)]
mod testing;
