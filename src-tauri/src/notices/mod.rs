//! Short messages of the desktop, which stand outside the window: a followed streamer went live.
//!
//! On Linux the desktop's notification service is asked over D-Bus (freedesktop's "Desktop Notifications
//! Specification"). On other systems none is asked yet, and the page says nothing of it.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use self::linux::show;

/// Longest line of a notice, in characters: what is longer is cut.
const LINE: usize = 200;

/// What a notice says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its first line.
    pub title: String,
    /// What stands below it. Plain text.
    pub body: String,
    /// What a press on it does, in a word or two.
    pub open: String,
}

impl Notice {
    /// With lines of a bounded length.
    #[must_use]
    pub fn new(title: &str, body: &str, open: &str) -> Self {
        let line = |text: &str| text.chars().take(LINE).collect();
        Self { title: line(title), body: line(body), open: line(open) }
    }
}

/// Why a notice is not shown.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// The desktop has no such service, or it refused.
    #[cfg(target_os = "linux")]
    #[error("the desktop shows no notices ({0})")]
    Desktop(#[from] zbus::Error),
    /// On this system none are shown yet.
    #[error("this system is not asked for notices yet")]
    Unsupported,
}

/// Shows nothing.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub async fn show(_notice: &Notice) -> Result<bool, NoticeError> {
    Err(NoticeError::Unsupported)
}
