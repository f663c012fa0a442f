//! Placeholders of streamers: what viewers see while the streamer is away.
//!
//! Files come from outside. This process reads their first bytes and nothing more; a worker decodes
//! and encodes them, with little memory and time, and its death costs nothing but a sentence.

pub mod choice;
pub mod encode;
mod job;
pub mod said;
mod shelf;
mod sniff;
mod svg;
mod turns;
mod words;

use mujian_protocol::placeholder::{PlaceholderKind, RefusalCode};
use serde::{Deserialize, Serialize};

pub use job::run as run_worker;
pub use shelf::{NewPlaceholder, Placeholders, RoomShelf, ShelfError};
pub(crate) use shelf::{POSTER, is_kept};
pub use sniff::HEAD;

/// Why a file cannot be a placeholder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For a person.
    pub message: String,
}

impl Refusal {
    /// With its sentence.
    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(crate) fn damaged() -> Self {
        Self::new(
            RefusalCode::Damaged,
            "The file is damaged, or of a kind that cannot be read. Save it again, or in another format.",
        )
    }
}

/// Looks at the first bytes of an upload: what it will be, as far as they tell.
///
/// # Errors
/// It cannot be a placeholder, or is another thing than its `content_type` says.
pub fn check_upload(head: &[u8], content_type: &str) -> Result<PlaceholderKind, Refusal> {
    let format = sniff::check(head, content_type)?;
    Ok(match format {
        sniff::Format::Gif => PlaceholderKind::Animation,
        f if f.is_picture() => PlaceholderKind::Picture,
        f if f.is_sound() => PlaceholderKind::Audio,
        _ => PlaceholderKind::Video,
    })
}
