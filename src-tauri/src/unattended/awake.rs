//! While on air the computer does not go to sleep by itself, over D-Bus: logind's block of sleep, or the desktop
//! portal's where there is no logind. Held from going live to the end, also while the streamer is away, since the
//! stream goes on.
//!
//! Only sleep is put off. That the screen gets dark and is locked stays as it is set up: a locked screen leaves,
//! and that is what protects a streamer who went away without a press. Closing the lid sleeps all the same.

use std::collections::HashMap;
use std::sync::Arc;

use mujian_protocol::studio::StudioState;
use tokio::sync::watch;
use zbus::Connection;
use zbus::zvariant::{OwnedFd, OwnedObjectPath, Value};

use super::linux::ManagerProxy;
use crate::app::is_on_air;

/// Shown by desktops that list what keeps them awake.
const WHY: &str = "You are live";
/// The portal's flag for "do not suspend"; 8, which is not set, would be "do not become idle".
const SUSPEND: u32 = 4;

#[zbus::proxy(
    interface = "org.freedesktop.portal.Inhibit",
    default_service = "org.freedesktop.portal.Desktop",
    default_path = "/org/freedesktop/portal/desktop",
    gen_blocking = false
)]
trait Portal {
    /// Holds until the request is closed, or who asked is gone from the bus.
    fn inhibit(&self, window: &str, flags: u32, options: HashMap<&str, Value<'_>>) -> zbus::Result<OwnedObjectPath>;
}

#[zbus::proxy(
    interface = "org.freedesktop.portal.Request",
    default_service = "org.freedesktop.portal.Desktop",
    gen_blocking = false
)]
trait Request {
    fn close(&self) -> zbus::Result<()>;
}

/// What keeps the computer awake until it is let go.
enum Held {
    Logind(OwnedFd),
    Portal(Connection, OwnedObjectPath),
}

/// Keeps the computer awake while on air, until it is dropped. Where the system offers no way, nothing happens.
pub(super) async fn while_on_air(mut state: watch::Receiver<Arc<StudioState>>) {
    // The studio being gone ends it.
    while state.wait_for(|s| is_on_air(&s.broadcast)).await.is_ok() {
        let held = hold().await;
        let over = state.wait_for(|s| !is_on_air(&s.broadcast)).await.is_err();
        if let Some(held) = held {
            held.let_go().await;
        }
        if over {
            return;
        }
    }
}

async fn hold() -> Option<Held> {
    match logind().await {
        Ok(held) => return Some(held),
        Err(error) => tracing::debug!(%error, "logind does not keep the computer awake"),
    }
    portal().await.inspect_err(|error| tracing::debug!(%error, "nothing keeps the computer awake")).ok()
}

async fn logind() -> zbus::Result<Held> {
    let bus = Connection::system().await?;
    Ok(Held::Logind(ManagerProxy::new(&bus).await?.inhibit("sleep", "Mujian", WHY, "block").await?))
}

async fn portal() -> zbus::Result<Held> {
    let bus = Connection::session().await?;
    let options = HashMap::from([("reason", Value::from(WHY))]);
    let request = PortalProxy::new(&bus).await?.inhibit("", SUSPEND, options).await?;
    Ok(Held::Portal(bus, request))
}

impl Held {
    async fn let_go(self) {
        match self {
            // Closing it is all.
            Self::Logind(held) => drop(held),
            Self::Portal(bus, request) => {
                let closed = async { RequestProxy::builder(&bus).path(request)?.build().await?.close().await };
                // Where that fails, the end of the connection does the same.
                let _: zbus::Result<()> = closed.await;
            }
        }
    }
}
