//! How the studio's machinery fares.

use mujian_protocol::studio::{EncoderReport, Notice};

use crate::capture::CaptureError;

/// How the machinery fares.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PipelineStatus {
    /// What a person calls the source on air; none before the first.
    pub source: Option<String>,
    /// A file that is not looped came to its end.
    pub finished: bool,
    /// The source failed and gives nothing; cameras and screens are opened again by themselves.
    pub source_error: Option<CaptureError>,
    /// The encoder that runs; none while not live.
    pub encoder: Option<EncoderReport>,
    /// Remarks that hold now: `camera_lost`, `screen_lost`, `window_lost`, `file_failed`, `file_ended`, `microphone_lost`,
    /// `microphone_silent`, `output_lost`, `encoder_fallback`.
    pub notices: Vec<Notice>,
}
