//! What can go wrong, each a sentence for a person: what happened, and what to do.

use std::time::Duration;

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AvError {
    /// The path names nothing.
    #[error("There is no file at {path}. Check the name, or choose the file again.")]
    NotFound {
        /// What was opened.
        path: String,
    },
    /// The system refuses to open it.
    #[error("{path} may not be read by this program. Change its permissions, or choose another.")]
    Denied {
        /// What was opened.
        path: String,
    },
    /// The path is a folder.
    #[error("{path} is a folder. Choose a media file in it.")]
    Folder {
        /// What was opened.
        path: String,
    },
    /// FFmpeg finds no container format that it knows.
    #[error("{path} is not a media file that can be played ({reason}). Choose a video or sound file.")]
    NotMedia {
        /// What was opened.
        path: String,
        /// FFmpeg's words.
        reason: String,
    },
    /// A container with neither picture nor sound in it.
    #[error("{path} has neither picture nor sound in it. Choose another file.")]
    NoStreams {
        /// What was opened.
        path: String,
    },
    /// The container is known, a codec in it is not, or not one picture or sample came out.
    #[error("Nothing in {path} could be decoded ({reason}). The file may be damaged or cut short; choose another.")]
    Undecodable {
        /// What was opened.
        path: String,
        /// What the decoder said.
        reason: String,
    },
    /// Opening or reading took longer than allowed.
    #[error("{path} gave no data for {} s. Check that it is still connected, then try again.", limit.as_secs())]
    TimedOut {
        /// What was opened.
        path: String,
        /// The limit that passed.
        limit: Duration,
    },
    /// A device is in use by another program.
    #[error("{device} is in use by another program. Close that program, then try again.")]
    Busy {
        /// The device, as a person calls it.
        device: String,
    },
    /// A device went away while it was used, or is not there.
    #[error("{device} is not there. Plug it in, or choose another.")]
    Gone {
        /// The device, as a person calls it.
        device: String,
    },
    /// A device could not be opened for another reason.
    #[error("{device} could not be opened ({reason}). Choose another, or start the computer again if it should work.")]
    Device {
        /// The device, as a person calls it.
        device: String,
        /// The system's words.
        reason: String,
    },
    /// This build of FFmpeg lacks an encoder.
    #[error(
        "The FFmpeg on this computer was built without the encoder {name}. Choose another, or install an FFmpeg that has it."
    )]
    MissingEncoder {
        /// FFmpeg's name of it.
        name: String,
    },
    /// This build of FFmpeg lacks a way to capture.
    #[error(
        "The FFmpeg on this computer was built without the input device {name}. Choose another source, or install an FFmpeg that has it."
    )]
    MissingInput {
        /// FFmpeg's name of it.
        name: String,
    },
    /// An encoder for special hardware found none.
    #[error("There is no {label} on this computer, or its driver is missing ({reason}).")]
    NoHardware {
        /// What a person calls it.
        label: String,
        /// What the driver said.
        reason: String,
    },
    /// An encoder refused to open or failed while it ran.
    #[error("The encoder {name} failed: {reason}.")]
    Encoder {
        /// FFmpeg's name of it.
        name: String,
        /// How.
        reason: Fault,
    },
    /// A fault of FFmpeg where none is expected.
    #[error("FFmpeg failed to {what} ({reason}).")]
    Ffmpeg {
        /// What was asked of it, as a verb.
        what: &'static str,
        /// Its words.
        reason: String,
    },
}

/// How an encoder failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It said so, or its driver.
    #[error("{0}")]
    Said(String),
    /// Not as many pictures came out as went in.
    #[error("{sent} pictures went in and {came} came out")]
    Lost {
        /// That went in.
        sent: u32,
        /// That came out.
        came: u32,
    },
    /// Other pictures came out.
    #[error("its pictures are not those that went in (picture {picture}: {decibels} dB)")]
    Wrong {
        /// The first of them.
        picture: u32,
        /// How near it comes (PSNR).
        decibels: u32,
    },
    /// No key frame where one was asked for.
    #[error("it gives no key frame when one is asked for")]
    NoKeyFrame,
    /// What came out cannot be streamed.
    #[error("{0}")]
    Unstreamable(String),
}

impl From<String> for Fault {
    fn from(said: String) -> Self {
        Self::Said(said)
    }
}

impl AvError {
    pub(crate) fn ffmpeg(what: &'static str) -> impl Fn(ffmpeg_next::Error) -> Self {
        move |e| Self::Ffmpeg { what, reason: text(e) }
    }

    pub(crate) fn encoder(name: &str) -> impl Fn(ffmpeg_next::Error) -> Self + '_ {
        move |e| Self::Encoder { name: name.to_owned(), reason: text(e).into() }
    }
}

/// FFmpeg's or the system's words for an error, without a full stop.
pub(crate) fn text(e: ffmpeg_next::Error) -> String {
    e.to_string().trim_end_matches('.').to_owned()
}

/// Checks a return code of a raw call: negative is an error.
pub(crate) fn check(code: i32) -> Result<i32, ffmpeg_next::Error> {
    if code < 0 { Err(ffmpeg_next::Error::from(code)) } else { Ok(code) }
}
