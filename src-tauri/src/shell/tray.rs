//! The icon in the desktop's tray: says from the corner of the eye whether the camera is on the air.
//!
//! A desktop without a tray shows none; the window, its title and its frame say the same.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::ApiError;
use mujian_protocol::app::TrayWords;
use mujian_protocol::studio::StudioState;
use parking_lot::Mutex;
use tauri::image::Image;
use tauri::menu::{Menu, MenuItem};
use tauri::tray::{TrayIcon, TrayIconBuilder};
use tauri::{AppHandle, Manager as _, Wry};

use super::commands::Shell;
use super::{closing, window};
use crate::app::{App, is_on_air};

/// The icon's side in pixels.
const SIDE: u32 = 32;

/// What the icon says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    Idle,
    Live,
    Away,
}

impl Face {
    fn of(state: &StudioState) -> Self {
        match (is_on_air(&state.broadcast), &state.away) {
            (false, _) => Self::Idle,
            (true, None) => Self::Live,
            (true, Some(_)) => Self::Away,
        }
    }
}

/// The icon, its menu, and the page's words for them.
pub(super) struct Tray {
    icon: TrayIcon<Wry>,
    open: MenuItem<Wry>,
    toggle: MenuItem<Wry>,
    quit: MenuItem<Wry>,
    shown: Mutex<(Face, TrayWords)>,
}

impl Tray {
    /// Puts it there; none where the desktop's library for it is missing. On the main thread.
    pub(super) fn start(handle: &AppHandle) -> Option<Self> {
        // The library is looked for when it is first used, and its absence is a panic there.
        let built = std::panic::catch_unwind(AssertUnwindSafe(|| Self::build(handle)));
        match built {
            Ok(Ok(tray)) => Some(tray),
            Ok(Err(error)) => {
                tracing::info!(%error, "there is no tray icon");
                None
            }
            Err(_) => {
                tracing::warn!("there is no tray icon: the library libayatana-appindicator3 is missing");
                None
            }
        }
    }

    fn build(handle: &AppHandle) -> tauri::Result<Self> {
        let words = TrayWords::default();
        let open = MenuItem::with_id(handle, "open", &words.open, true, None::<&str>)?;
        let toggle = MenuItem::with_id(handle, "toggle", &words.leave, false, None::<&str>)?;
        let quit = MenuItem::with_id(handle, "quit", &words.quit, true, None::<&str>)?;
        let menu = Menu::with_items(handle, &[&toggle, &open, &quit])?;
        let icon = TrayIconBuilder::with_id("mujian")
            .icon(picture(Face::Idle))
            .menu(&menu)
            .tooltip(&words.idle)
            .on_menu_event(|handle, event| match event.id().as_ref() {
                "open" => window::show(handle),
                "quit" => closing::asked(handle),
                "toggle" => press(handle.clone()),
                _ => {}
            })
            .build(handle)?;
        Ok(Self { icon, open, toggle, quit, shown: Mutex::new((Face::Idle, words)) })
    }

    /// The page's language changed.
    pub(super) fn say(&self, words: TrayWords) {
        let face = self.shown.lock().0;
        self.show(face, words, true);
    }

    fn follow(&self, state: &StudioState) {
        let (before, words) = self.shown.lock().clone();
        let face = Face::of(state);
        if face != before {
            self.show(face, words, false);
        }
    }

    fn show(&self, face: Face, words: TrayWords, new_words: bool) {
        let (tooltip, toggle) = match face {
            Face::Idle => (&words.idle, &words.leave),
            Face::Live => (&words.live, &words.leave),
            Face::Away => (&words.away, &words.back),
        };
        let done = self
            .icon
            .set_icon(Some(picture(face)))
            .and_then(|()| self.icon.set_tooltip(Some(tooltip)))
            .and_then(|()| self.icon.set_title(Some(tooltip)))
            .and_then(|()| self.toggle.set_text(toggle))
            .and_then(|()| self.toggle.set_enabled(face != Face::Idle))
            .and_then(|()| if new_words { self.open.set_text(&words.open) } else { Ok(()) })
            .and_then(|()| if new_words { self.quit.set_text(&words.quit) } else { Ok(()) });
        if let Err(error) = done {
            tracing::info!(%error, "the tray icon could not be changed");
        }
        *self.shown.lock() = (face, words);
    }
}

/// Shows in the tray what the studio does, for as long as the app runs.
pub(super) async fn follow(handle: AppHandle, app: Arc<App>) {
    let mut state = app.studio().watch();
    drop(app);
    loop {
        let now = state.borrow_and_update().clone();
        if let Some(tray) = &handle.state::<Shell>().tray.lock().clone() {
            tray.follow(&now);
        }
        if state.changed().await.is_err() {
            return;
        }
    }
}

/// Leaves, or comes back.
fn press(handle: AppHandle) {
    tauri::async_runtime::spawn(async move {
        let Ok(app) = handle.state::<Shell>().app().await else { return };
        if let Err(error) = toggle(&app, Duration::ZERO) {
            tracing::info!(%error, "nothing to leave");
        }
    });
}

/// Leaves, as of so long `ago`, or comes back.
///
/// # Errors
/// `Conflict` when nothing is on air.
pub(super) fn toggle(app: &App, ago: Duration) -> Result<(), ApiError> {
    if app.studio().state().away.is_some() {
        app.back();
        return Ok(());
    }
    app.leave(ago)
}

/// A disc of cinnabar on air; a gold ring with a pause in it while away; a pale ring otherwise.
fn picture(face: Face) -> Image<'static> {
    let (color, filled) = match face {
        Face::Idle => ([150, 139, 124], false),
        Face::Live => ([228, 71, 47], true),
        Face::Away => ([220, 180, 106], false),
    };
    let mut rgba = Vec::with_capacity((SIDE * SIDE * 4) as usize);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let (dx, dy) = (x as f32 + 0.5 - SIDE as f32 / 2.0, y as f32 + 0.5 - SIDE as f32 / 2.0);
            let far = dx.hypot(dy);
            let edge = |at: f32| (at - far + 0.5).clamp(0.0, 1.0);
            let ring = edge(14.5) - edge(11.0);
            let pause = face == Face::Away && dy.abs() < 5.5 && (2.0..5.0).contains(&dx.abs());
            let alpha = if filled { edge(14.5) } else { ring.max(f32::from(u8::from(pause))) };
            rgba.extend_from_slice(&[color[0], color[1], color[2], (alpha * 255.0) as u8]);
        }
    }
    Image::new_owned(rgba, SIDE, SIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_faces_differ_at_a_glance() {
        let middle = |face| {
            let image = picture(face);
            let at = ((SIDE / 2 * SIDE + SIDE / 2) * 4) as usize;
            image.rgba()[at..at + 4].to_vec()
        };
        assert_eq!(middle(Face::Live), [228, 71, 47, 255]);
        assert_eq!(middle(Face::Idle)[3], 0);
        assert_eq!(middle(Face::Away)[3], 0);
        let away = picture(Face::Away);
        let bar = ((SIDE / 2 * SIDE + SIDE / 2 + 3) * 4) as usize;
        assert_eq!(away.rgba()[bar..bar + 4], [220, 180, 106, 255]);
    }
}
