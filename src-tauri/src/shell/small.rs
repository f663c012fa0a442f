//! The small window: the picture alone in a corner, above other windows where the desktop allows it. The desktop is asked
//! for that and does not answer (on Wayland it never does it); the window is small in any case.

use parking_lot::Mutex;
use tauri::{AppHandle, LogicalSize, Manager as _, PhysicalPosition, PhysicalSize, WebviewWindow};

use super::commands::Shell;

/// The least that every screen of the interface fits.
pub(super) const LEAST: LogicalSize<f64> = LogicalSize { width: 900.0, height: 600.0 };
/// A picture of 16 to 9.
const SMALL: LogicalSize<f64> = LogicalSize { width: 480.0, height: 270.0 };
const SMALL_LEAST: LogicalSize<f64> = LogicalSize { width: 320.0, height: 180.0 };

/// How the window was before it became small; nothing while it is not.
#[derive(Debug, Default)]
pub(super) struct Small {
    before: Mutex<Option<Before>>,
}

#[derive(Clone, Copy, Debug)]
struct Before {
    size: PhysicalSize<u32>,
    /// Unknown where the desktop tells nobody.
    at: Option<PhysicalPosition<i32>>,
    maximized: bool,
}

/// Makes the window small, or what it was before.
pub(super) fn set(handle: &AppHandle, small: bool) -> tauri::Result<()> {
    let Some(window) = handle.get_webview_window("main") else { return Ok(()) };
    let state = handle.state::<Shell>();
    // Never held while the window is asked: it answers on a thread that may wait for this.
    let before = state.small.before.lock().take();
    match (small, before) {
        (true, None) => {
            let maximized = window.is_maximized()?;
            if maximized {
                window.unmaximize()?;
            }
            let was = Before { size: window.inner_size()?, at: window.outer_position().ok(), maximized };
            *state.small.before.lock() = Some(was);
            window.set_min_size(Some(SMALL_LEAST))?;
            window.set_size(SMALL)?;
            window.set_always_on_top(true)
        }
        (true, known) => {
            *state.small.before.lock() = known;
            Ok(())
        }
        (false, Some(was)) => restore(&window, was),
        (false, None) => Ok(()),
    }
}

fn restore(window: &WebviewWindow, was: Before) -> tauri::Result<()> {
    window.set_always_on_top(false)?;
    window.set_size(was.size)?;
    window.set_min_size(Some(LEAST))?;
    if let Some(at) = was.at {
        window.set_position(at)?;
    }
    if was.maximized { window.maximize() } else { Ok(()) }
}
