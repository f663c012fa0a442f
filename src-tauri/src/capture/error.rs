//! Why nothing is captured: a sentence each, saying what to do.

use mujian_av::AvError;
use mujian_protocol::{ApiError, ErrorCode};

/// An error of capture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// FFmpeg or the device said no.
    #[error(transparent)]
    Av(#[from] AvError),
    /// It opened and gave nothing.
    #[error(
        "{device} opened but gave nothing for {seconds} s. Check that it is switched on and that this program may use it, or choose another."
    )]
    NothingCame {
        /// What a person calls it.
        device: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// Screens are captured through X11 so far.
    #[error(
        "This desktop runs on Wayland, which lets no program see the screen through X11. Log in to an X11 (Xorg) session, or choose a camera, a file or the test card."
    )]
    Wayland,
    /// No display server at all.
    #[error("There is no screen to capture: no display is set (DISPLAY). Start this program in a desktop session.")]
    NoDisplay,
    /// The system has no such kind of source here.
    #[error("{0}")]
    Unsupported(String),
    /// There is no microphone.
    #[error(
        "There is no microphone: the system's sound service gives no input device ({reason}). Plug one in, or choose \"no microphone\"."
    )]
    NoMicrophone {
        /// The system's words.
        reason: String,
    },
    /// A microphone refused.
    #[error(
        "The microphone {device} could not be used ({reason}). Check that no other program holds it, or choose another."
    )]
    Microphone {
        /// What a person calls it.
        device: String,
        /// The system's words.
        reason: String,
    },
    /// The system refuses access to the microphone.
    #[error(
        "The system does not let this program use the microphone {device}. Allow it in the system's privacy settings."
    )]
    MicrophoneDenied {
        /// What a person calls it.
        device: String,
    },
    /// What the computer plays cannot be taken.
    #[error("What this computer plays cannot be taken ({reason}). On Linux, PulseAudio or PipeWire must run.")]
    NoOutput {
        /// The system's words.
        reason: String,
    },
    /// A thread of ours ended without an answer.
    #[error("The capture of {0} stopped for an unknown reason. Choose the source again.")]
    Stopped(String),
}

impl CaptureError {
    /// The error as it crosses to the window and to scripts.
    #[must_use]
    pub fn to_api(&self) -> ApiError {
        let code = match self {
            Self::Av(
                AvError::NotFound { .. }
                | AvError::Folder { .. }
                | AvError::NotMedia { .. }
                | AvError::NoStreams { .. }
                | AvError::Undecodable { .. },
            ) => ErrorCode::UnsupportedMedia,
            _ => ErrorCode::Device,
        };
        ApiError::new(code, self.to_string())
    }
}
