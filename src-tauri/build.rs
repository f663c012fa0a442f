//! Prepares Tauri's context. The interface is embedded from `ui/dist`; when it has not been built
//! yet (`make build` builds it first), a placeholder folder lets the crate compile.

use std::path::Path;
use std::{fs, io};

/// The app's commands: what is not here cannot be called, and what is must be granted by a capability.
const COMMANDS: &[&str] = &[
    "app_info",
    "api_request",
    "api_upload",
    "api_media",
    "session_open",
    "session_close",
    "room_open",
    "room_send",
    "room_close",
    "media_open",
    "media_close",
    "studio_devices",
    "studio_encoders",
    "studio_pick_file",
    "studio_pick_folder",
    "studio_show_recordings",
    "studio_measure_line",
    "studio_get",
    "studio_set",
    "studio_go_live",
    "studio_end",
    "studio_leave",
    "studio_back",
    "notify",
    "studio_retake",
    "tray_words",
    "window_close",
    "home_choose",
    "hotkeys_set",
    "window_small",
    "studio_subscribe",
    "studio_preview",
    "studio_preview_stop",
    "share_start",
    "share_stop",
];

fn main() -> io::Result<()> {
    let dist = Path::new("../ui/dist");
    println!("cargo:rerun-if-changed=../ui/dist");
    println!("cargo:rerun-if-changed=capabilities");
    if !dist.join("index.html").exists() {
        fs::create_dir_all(dist)?;
        fs::write(
            dist.join("index.html"),
            "<!doctype html><meta charset=\"utf-8\"><title>Mujian</title>\
             <p>The interface has not been built: run <code>make build</code>.</p>\n",
        )?;
    }
    let attributes = tauri_build::Attributes::new().app_manifest(tauri_build::AppManifest::new().commands(COMMANDS));
    tauri_build::try_build(attributes).map_err(io::Error::other)
}
