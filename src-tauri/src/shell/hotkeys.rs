//! Keys that are heard while another program is in front: leave and come back, mute, go live.
//!
//! Off until the person turns them on, since they are then taken from every other program. X11, Windows and macOS have
//! them; Wayland's desktops do not give keys to programs that are not in front, and there a sentence says so.

use std::cell::RefCell;
use std::time::Duration;

use global_hotkey::hotkey::{Code, HotKey, Modifiers};
use global_hotkey::{GlobalHotKeyEvent, GlobalHotKeyManager, HotKeyState};
use mujian_protocol::studio::StudioSettings;
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tauri::{AppHandle, Manager as _};

use super::commands::Shell;
use super::tray;
use crate::app::App;

thread_local! {
    /// On the main thread, which some systems want it made and used by.
    static KEYS: RefCell<Option<Keys>> = const { RefCell::new(None) };
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Away,
    Mute,
    GoLive,
}

/// The keys, and how a person calls them. The page's own shortcuts are others: they need the window in front.
const DEEDS: [(Deed, Code, &str); 3] = [
    (Deed::Away, Code::F9, "Ctrl+Shift+F9"),
    (Deed::Mute, Code::F10, "Ctrl+Shift+F10"),
    (Deed::GoLive, Code::F11, "Ctrl+Shift+F11"),
];

struct Keys {
    manager: GlobalHotKeyManager,
    taken: Vec<HotKey>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        for key in &self.taken {
            // The system takes them back with the program in any case.
            let _ = self.manager.unregister(*key);
        }
    }
}

fn key(code: Code) -> HotKey {
    HotKey::new(Some(Modifiers::CONTROL | Modifiers::SHIFT), code)
}

fn take(handle: &AppHandle) -> Result<Keys, ApiError> {
    if on_wayland(|name| std::env::var_os(name).is_some()) {
        return Err(unsupported("Wayland"));
    }
    let manager = GlobalHotKeyManager::new().map_err(|e| unsupported(&e.to_string()))?;
    let mut keys = Keys { manager, taken: Vec::new() };
    for (_, code, name) in DEEDS {
        let key = key(code);
        keys.manager.register(key).map_err(|error| {
            tracing::info!(%error, name, "a key cannot be taken");
            ApiError::new(
                ErrorCode::Conflict,
                format!("Another program has {name} already. Close it, or free the key there."),
            )
            .about(Problem::KeyTaken { key: name.to_owned() })
        })?;
        keys.taken.push(key);
    }
    let handle = handle.clone();
    GlobalHotKeyEvent::set_event_handler(Some(move |event: GlobalHotKeyEvent| {
        let deed = DEEDS.iter().find(|(_, code, _)| key(*code).id() == event.id());
        if let (HotKeyState::Pressed, Some((deed, _, _))) = (event.state(), deed) {
            press(&handle, *deed);
        }
    }));
    Ok(keys)
}

/// The window speaks Wayland: keys of X11 would be heard from other windows of X11 only.
fn on_wayland(is_set: impl Fn(&str) -> bool) -> bool {
    cfg!(target_os = "linux") && is_set("WAYLAND_DISPLAY")
}

fn unsupported(why: &str) -> ApiError {
    ApiError::new(
        ErrorCode::Device,
        format!("This desktop does not let a program hear keys while another is in front ({why})."),
    )
    .about(Problem::NoGlobalKeys)
}

/// Takes the keys, or gives them back.
///
/// # Errors
/// `Device` where the desktop has no such keys, `Conflict` where another program has one of them.
pub(super) async fn set(handle: &AppHandle, on: bool) -> Result<(), ApiError> {
    let (done, answer) = tokio::sync::oneshot::channel();
    let inner = handle.clone();
    let work = move || {
        let result = KEYS.with_borrow_mut(|keys| {
            // Given back first: what is taken twice counts as taken by another.
            *keys = None;
            if on {
                *keys = Some(take(&inner)?);
            }
            Ok(())
        });
        // Whoever asked may be gone.
        let _ = done.send(result);
    };
    let gone = || ApiError::new(ErrorCode::Internal, "The window is closing.");
    handle.run_on_main_thread(work).map_err(|_| gone())?;
    answer.await.unwrap_or_else(|_| Err(gone()))
}

fn press(handle: &AppHandle, deed: Deed) {
    let handle = handle.clone();
    tauri::async_runtime::spawn(async move {
        let Ok(app) = handle.state::<Shell>().app().await else { return };
        let done = match deed {
            Deed::Away => tray::toggle(&app, Duration::ZERO),
            Deed::Mute => mute(&app).await,
            Deed::GoLive => app.go_live().await,
        };
        if let Err(error) = done {
            tracing::info!(%error, ?deed, "the key did nothing");
        }
    });
}

async fn mute(app: &App) -> Result<(), ApiError> {
    let settings = app.studio().state().settings.clone();
    app.set(StudioSettings { muted: !settings.muted, ..settings }).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_does_two_things() {
        let ids: std::collections::HashSet<u32> = DEEDS.iter().map(|(_, code, _)| key(*code).id()).collect();
        assert_eq!(ids.len(), DEEDS.len());
    }

    #[test]
    fn keys_of_x11_are_not_taken_for_a_window_of_wayland() {
        assert!(!on_wayland(|_| false));
        assert_eq!(on_wayland(|name| name == "WAYLAND_DISPLAY"), cfg!(target_os = "linux"));
    }
}
