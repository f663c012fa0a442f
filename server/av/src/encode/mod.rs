//! Encoders: H.264 for the picture, AAC-LC for the sound, JPEG for previews.

pub mod aac;
pub mod candidate;
mod hardware;
pub mod jpeg;
mod nal;
pub mod selftest;
pub mod video;

pub use aac::AacEncoder;
pub use candidate::Candidate;
pub use jpeg::JpegEncoder;
pub use video::{VideoEncoder, VideoSettings};
