//! The computer says that nobody sits here any more: the screen is locked, or it goes to sleep.
//! Then the streamer leaves without a press (row B11), and the microphone is closed as well, whatever is
//! chosen for leaving: nobody meant to be heard. Only "back" ends such a stay. While on air the computer is
//! kept from going to sleep by itself.
//!
//! It is heard on Linux. Other systems say such things in other ways, and none is listened to there yet.

#[cfg(target_os = "linux")]
mod awake;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
pub use self::linux::listen;

/// Why nobody sits here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The screen is locked.
    Locked,
    /// The computer goes to sleep.
    Sleeps,
}

/// Hears nothing.
#[cfg(not(target_os = "linux"))]
pub async fn listen(
    _leave: impl Fn(Why) + Send + Sync,
    _state: tokio::sync::watch::Receiver<std::sync::Arc<mujian_protocol::studio::StudioState>>,
) {
}
