//! Closing the window: asked about first while on air, since it ends the broadcast for everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tauri::{AppHandle, Manager as _};

use super::commands::Shell;
use super::window;
use crate::app::{App, is_on_air};
use crate::exit;

/// A page that hangs cannot answer: who asks again after so long means it.
const PATIENCE: Duration = Duration::from_secs(10);

/// When the page was asked, while it has not answered.
#[derive(Debug, Default)]
pub(super) struct Closing {
    asked: Mutex<Option<Instant>>,
}

/// What a wish to close leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Ask,
    /// The question stands.
    Wait,
    End,
}

fn step(on_air: bool, asked: Option<Duration>) -> Step {
    match asked {
        _ if !on_air => Step::End,
        None => Step::Ask,
        Some(ago) if ago < PATIENCE => Step::Wait,
        Some(_) => Step::End,
    }
}

/// Somebody wants to close the window, or to quit.
pub(super) fn asked(handle: &AppHandle) {
    let shell = handle.state::<Shell>();
    // An app that has not started, or could not, has nothing to lose.
    let app: Option<Arc<App>> = shell.app.borrow().as_ref().and_then(|started| started.as_ref().ok().cloned());
    let on_air = app.as_ref().is_some_and(|app| is_on_air(&app.studio().state().broadcast));
    let mut asked = shell.closing.asked.lock();
    let now = Instant::now();
    match step(on_air, asked.map(|at| now.saturating_duration_since(at))) {
        Step::Ask if app.is_some_and(|app| app.studio().ask_to_close()) => {
            *asked = Some(now);
            window::show(handle);
        }
        Step::Wait => window::show(handle),
        Step::Ask | Step::End => close(handle),
    }
}

/// The person answered.
pub(super) fn answered(handle: &AppHandle, end: bool) {
    *handle.state::<Shell>().closing.asked.lock() = None;
    if end {
        close(handle);
    }
}

/// The goodbye may take a moment; the window need not wait for it.
fn close(handle: &AppHandle) {
    if let Some(window) = handle.get_webview_window("main")
        && let Err(error) = window.hide()
    {
        tracing::debug!(%error, "the window could not be hidden");
    }
    tauri::async_runtime::spawn(end(handle.clone(), exit::DONE));
}

/// Closes the window to open it again, as the process that watches over it does. Off air only.
pub(super) fn again(handle: &AppHandle) {
    tauri::async_runtime::spawn(end(handle.clone(), exit::AGAIN));
}

/// Ends the broadcast properly, then the program.
pub(super) async fn end(handle: AppHandle, code: u8) {
    static ENDING: AtomicBool = AtomicBool::new(false);
    if ENDING.swap(true, Ordering::Relaxed) {
        return;
    }
    let shell = handle.state::<Shell>();
    // An app that could not start has nothing to end.
    if let Ok(app) = shell.app().await {
        app.shut_down().await;
    }
    handle.exit(i32::from(code));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_air_it_is_asked_once_and_a_page_that_hangs_keeps_nobody() {
        assert_eq!(step(false, None), Step::End);
        assert_eq!(step(false, Some(Duration::ZERO)), Step::End);
        assert_eq!(step(true, None), Step::Ask);
        assert_eq!(step(true, Some(Duration::from_secs(1))), Step::Wait);
        assert_eq!(step(true, Some(PATIENCE)), Step::End);
    }
}
