//! Opening the window, and ending properly with it.

use std::process::ExitCode;
use std::sync::Arc;

use mujian_protocol::ApiError;
use parking_lot::Mutex;
use tauri::webview::{NewWindowResponse, PageLoadEvent};
use tauri::{AppHandle, Manager as _, WebviewUrl, WebviewWindow, WebviewWindowBuilder, WindowEvent};
use tokio::sync::watch;

use super::closing::{self, Closing};
use super::commands::{self, Shell};
use super::hotkeys;
use super::pipes::Pipes;
use super::small::{self, Small};
use super::tray::{self, Tray};
use crate::app::{App, AppOptions};
use crate::exit;
use crate::instance::Only;
use crate::studio::rig::Rig;

/// Opens the window and runs until it is closed.
///
/// The server and the studio start beside it; a page that asks before they are there waits.
#[must_use]
pub fn open(
    runtime: &tokio::runtime::Handle,
    options: AppOptions,
    only: Result<Only, ApiError>,
    rig: Box<dyn Rig>,
) -> ExitCode {
    if !has_display() {
        eprintln!(
            "error: There is no display to open a window on. Start Mujian in a desktop session; \
             `mujian live --help` tells how to broadcast without a window."
        );
        return ExitCode::from(exit::DEVICE);
    }
    tauri::async_runtime::set(runtime.clone());
    let (started, app) = watch::channel(None);
    let pipes = Arc::new(Pipes::default());
    let shell = Shell {
        app,
        pipes: Arc::clone(&pipes),
        tray: Mutex::default(),
        closing: Closing::default(),
        small: Small::default(),
    };
    let builder = tauri::Builder::default()
        .manage(shell)
        .invoke_handler(tauri::generate_handler![
            commands::app_info,
            commands::api_request,
            commands::api_upload,
            commands::api_media,
            commands::session_open,
            commands::session_close,
            commands::room_open,
            commands::room_send,
            commands::room_close,
            commands::media_open,
            commands::media_close,
            commands::studio_devices,
            commands::studio_encoders,
            commands::studio_pick_file,
            commands::studio_pick_folder,
            commands::studio_show_recordings,
            commands::studio_measure_line,
            commands::studio_get,
            commands::studio_set,
            commands::studio_go_live,
            commands::studio_end,
            commands::studio_leave,
            commands::studio_back,
            commands::notify,
            commands::studio_retake,
            commands::tray_words,
            commands::window_close,
            commands::home_choose,
            commands::hotkeys_set,
            commands::window_small,
            commands::studio_subscribe,
            commands::studio_preview,
            commands::studio_preview_stop,
            commands::share_start,
            commands::share_stop,
        ])
        .on_page_load(move |page, load| {
            if load.event() == PageLoadEvent::Started {
                pipes.clear();
                // The page that asked for it is gone.
                if let Err(error) = small::set(page.app_handle(), false) {
                    tracing::warn!(%error, "the window could not be made large again");
                }
            }
        })
        .setup(move |handle| {
            start(handle.handle().clone(), options, only, rig, started);
            let window = window(handle.handle())?;
            reload_after_crash(&window)?;
            *handle.state::<Shell>().tray.lock() = Tray::start(handle.handle()).map(Arc::new);
            Ok(())
        });
    let app = match builder.build(tauri::generate_context!()) {
        Ok(app) => app,
        Err(error) => {
            eprintln!(
                "error: The window cannot be opened ({error}). `mujian live --help` tells how to broadcast without one."
            );
            return ExitCode::FAILURE;
        }
    };
    let code = app.run_return(|_, _| {});
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

/// Asked first, because the webview's library panics where there is none.
#[cfg(target_os = "linux")]
fn has_display() -> bool {
    gtk::init().is_ok()
}

#[cfg(not(target_os = "linux"))]
fn has_display() -> bool {
    true
}

fn start(
    handle: AppHandle,
    options: AppOptions,
    only: Result<Only, ApiError>,
    rig: Box<dyn Rig>,
    started: watch::Sender<Option<Result<Arc<App>, ApiError>>>,
) {
    tauri::async_runtime::spawn(async move {
        let app = match only {
            Ok(only) => App::start(options, only, rig).await,
            Err(error) => Err(error),
        };
        match &app {
            Ok(app) => {
                let (app, handle) = (Arc::clone(app), handle.clone());
                tauri::async_runtime::spawn(async move { app.only().serve(|| show(&handle)).await });
            }
            Err(error) => tracing::error!(%error, "the app could not start"),
        }
        if let Ok(app) = &app {
            if app.wants_hotkeys()
                && let Err(error) = hotkeys::set(&handle, true).await
            {
                tracing::warn!(%error, "keys are not heard while another program is in front");
            }
            tauri::async_runtime::spawn(tray::follow(handle.clone(), Arc::clone(app)));
        }
        started.send_replace(Some(app));
        crate::signal::asked_to_end().await;
        closing::end(handle, exit::DONE).await;
    });
}

/// Brings the window to the front.
pub(super) fn show(handle: &AppHandle) {
    let Some(window) = handle.get_webview_window("main") else { return };
    for done in [window.unminimize(), window.show(), window.set_focus()] {
        if let Err(error) = done {
            tracing::warn!(%error, "the window could not be brought to the front");
        }
    }
}

/// The window opens at the studio: who starts the app comes to broadcast, and after a crash on air
/// must see that the broadcast goes on.
fn window(handle: &AppHandle) -> tauri::Result<WebviewWindow> {
    let window = WebviewWindowBuilder::new(handle, "main", WebviewUrl::App("studio".into()))
        .title("Mujian 幕间")
        .inner_size(1280.0, 800.0)
        .min_inner_size(small::LEAST.width, small::LEAST.height)
        // What is dropped is for the page: it takes files in.
        .disable_drag_drop_handler()
        // The page stays the app's own; nothing in it may lead the window elsewhere.
        .on_navigation(|url| {
            matches!((url.scheme(), url.host_str()), ("tauri", _) | ("http" | "https", Some("tauri.localhost")))
        })
        .on_new_window(|_, _| NewWindowResponse::Deny)
        // The title says what the page says: on air or away, in the person's language.
        .on_document_title_changed(|window, title| {
            if let Err(error) = window.set_title(&title) {
                tracing::debug!(%error, "the title could not be changed");
            }
        })
        .build()?;
    let handle = handle.clone();
    window.on_window_event(move |event| {
        if let WindowEvent::CloseRequested { api, .. } = event {
            api.prevent_close();
            closing::asked(&handle);
        }
    });
    Ok(window)
}

/// The page lives in a process of the webview's; when that crashes, the page is loaded again. The
/// broadcast is not touched: it lives in this process.
#[cfg(target_os = "linux")]
fn reload_after_crash(window: &WebviewWindow) -> tauri::Result<()> {
    use webkit2gtk::WebViewExt as _;
    let pipes = Arc::clone(&window.state::<Shell>().pipes);
    window.with_webview(move |webview| {
        webview.inner().connect_web_process_terminated(move |view, reason| {
            tracing::warn!(?reason, "the page's process ended; the page is loaded again");
            pipes.clear();
            view.reload();
        });
    })
}

#[cfg(not(target_os = "linux"))]
fn reload_after_crash(_: &WebviewWindow) -> tauri::Result<()> {
    Ok(())
}
