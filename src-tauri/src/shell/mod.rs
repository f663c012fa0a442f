//! The window: the only code that names Tauri. Each command is a few lines over [`App`](crate::app::App).

mod closing;
mod commands;
mod hotkeys;
mod pipes;
mod small;
mod tray;
mod window;

pub use window::open;
