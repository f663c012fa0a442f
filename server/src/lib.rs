//! Mujian's server: takes streams, decides what each room's viewers see, and shows it to them.
//!
//! The `mujian-server` program and the desktop app both run it, through [`Server`].
#![forbid(unsafe_code)]

pub mod absence;
pub mod account;
pub mod api;
pub mod app;
pub mod backup;
pub mod ballot;
pub mod clock;
pub mod config;
pub mod cover;
pub mod egress;
pub mod grant;
pub mod hls;
pub mod http;
pub mod ingest;
pub mod limit;
pub mod matching;
mod metrics;
pub mod outbound;
pub mod placeholder;
pub mod relay;
pub mod replay;
pub mod review;
pub mod room;
pub mod rooms;
pub mod search;
mod server;
pub mod slate;
pub mod stage;
pub mod store;
pub mod text;
pub mod tls;
pub mod watch_token;
pub mod worker;

use std::sync::Arc;

use axum::Router;

use crate::app::App;
pub use crate::config::Config;
pub use crate::server::{Extra, Running, Server, StartError};

/// Everything that is served over HTTP.
fn router(app: &Arc<App>) -> Router {
    let media = egress::router(app).merge(hls::router(app)).merge(replay::serve::router(app));
    api::around(app, api::router(app).merge(media))
}
