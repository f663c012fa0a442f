//! Over D-Bus: logind's `PrepareForSleep` and `Lock` on the system's bus, and `ActiveChanged` of the
//! desktop's screen saver on the session's. Logind is asked to put sleep off for a moment, until the
//! camera is closed (an inhibitor of the kind "delay"; systemd's "Inhibitor Locks").

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use mujian_protocol::studio::{AwayStep, StudioState};
use tokio::sync::watch;
use zbus::message::Type;
use zbus::zvariant::{OwnedFd, OwnedObjectPath};
use zbus::{Connection, MatchRule, MessageStream};

use super::Why;

/// Whose signal it is, by the desktop. They have the same meaning in all.
const SCREEN_SAVERS: [&str; 4] =
    ["org.freedesktop.ScreenSaver", "org.gnome.ScreenSaver", "org.mate.ScreenSaver", "org.cinnamon.ScreenSaver"];
/// Signals that may wait to be looked at.
const WAITING: usize = 16;
/// How long sleep is put off at most; logind allows 5 s unless it is told otherwise.
const PUT_OFF: Duration = Duration::from_secs(3);

#[zbus::proxy(
    interface = "org.freedesktop.login1.Manager",
    default_service = "org.freedesktop.login1",
    default_path = "/org/freedesktop/login1",
    gen_blocking = false
)]
pub(super) trait Manager {
    /// Holds for as long as the descriptor is open.
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::Result<OwnedFd>;
    /// "auto" is the caller's own.
    fn get_session(&self, id: &str) -> zbus::Result<OwnedObjectPath>;
    /// True: about to; false: it has woken up.
    #[zbus(signal)]
    fn prepare_for_sleep(&self, start: bool) -> zbus::Result<()>;
}

#[zbus::proxy(
    interface = "org.freedesktop.login1.Session",
    default_service = "org.freedesktop.login1",
    gen_blocking = false
)]
trait Session {
    #[zbus(signal)]
    fn lock(&self) -> zbus::Result<()>;
}

/// Listens until it is dropped, and keeps the computer awake while on air. `leave` is called each time; `state` says when
/// the camera is closed.
///
/// Where there is no such bus or service, that one is not heard.
pub async fn listen(leave: impl Fn(Why) + Send + Sync, state: watch::Receiver<Arc<StudioState>>) {
    let system = async {
        let Some(bus) = found("the system's bus", Connection::system().await) else { return };
        tokio::join!(async { _ = found("logind's word of sleep", sleeps(&bus, &leave, &state).await) }, async {
            _ = found("logind's word of the lock", locks(&bus, &leave).await)
        },);
    };
    let desktop = async {
        let Some(bus) = found("the desktop's bus", Connection::session().await) else { return };
        let savers = SCREEN_SAVERS.map(|name| screen_saver(&bus, name, &leave));
        _ = found("the screen saver's word", futures_util::future::try_join_all(savers).await);
    };
    tokio::join!(system, desktop, super::awake::while_on_air(state.clone()));
}

fn found<T>(what: &str, result: zbus::Result<T>) -> Option<T> {
    // Usual on a computer without a desktop.
    result.inspect_err(|error| tracing::info!(%error, "{what} is not heard")).ok()
}

async fn sleeps(
    bus: &Connection,
    leave: &(impl Fn(Why) + Sync),
    state: &watch::Receiver<Arc<StudioState>>,
) -> zbus::Result<()> {
    let manager = ManagerProxy::new(bus).await?;
    let mut signals = manager.receive_prepare_for_sleep().await?;
    let mut held = put_off(&manager).await;
    while let Some(signal) = signals.next().await {
        if *signal.args()?.start() {
            leave(Why::Sleeps);
            // A camera that does not close must not keep the computer awake.
            let _ = tokio::time::timeout(PUT_OFF, closed(state.clone())).await;
            held = None;
        } else {
            held = put_off(&manager).await;
        }
    }
    drop(held);
    Ok(())
}

async fn put_off(manager: &ManagerProxy<'_>) -> Option<OwnedFd> {
    let why = "The camera is closed before the computer sleeps";
    let held = manager.inhibit("sleep", "Mujian", why, "delay").await;
    // The streamer leaves all the same; only the camera may be closed a moment later.
    held.inspect_err(|error| tracing::info!(%error, "sleep cannot be put off")).ok()
}

/// Ends once no source is open, or once nothing is on air.
async fn closed(mut state: watch::Receiver<Arc<StudioState>>) {
    let closed = |state: &Arc<StudioState>| match &state.away {
        Some(away) => matches!(away.step, AwayStep::Closed),
        None => !crate::app::is_on_air(&state.broadcast),
    };
    // The studio being gone is as good.
    let _ = state.wait_for(closed).await;
}

async fn locks(bus: &Connection, leave: &(impl Fn(Why) + Sync)) -> zbus::Result<()> {
    let path = ManagerProxy::new(bus).await?.get_session("auto").await?;
    let session = SessionProxy::builder(bus).path(path)?.build().await?;
    let mut signals = session.receive_lock().await?;
    while signals.next().await.is_some() {
        leave(Why::Locked);
    }
    Ok(())
}

/// Whoever says so: the name may not be there yet, and a false word only closes the camera.
async fn screen_saver(bus: &Connection, interface: &str, leave: &(impl Fn(Why) + Sync)) -> zbus::Result<()> {
    let rule = MatchRule::builder().msg_type(Type::Signal).interface(interface)?.member("ActiveChanged")?.build();
    let mut signals = MessageStream::for_match_rule(rule, bus, Some(WAITING)).await?;
    while let Some(signal) = signals.next().await {
        if signal?.body().deserialize::<bool>() == Ok(true) {
            leave(Why::Locked);
        }
    }
    Ok(())
}
