//! The screen is locked, or the computer goes to sleep: the streamer leaves by itself (row B11). The buses are real; what
//! is said on them is said by the test, in logind's, the portal's and the screen saver's names. And on air the computer is kept
//! from going to sleep by itself.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::OwnedFd as Fd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use mujian_tests::process::Program;
use mujian_tests::screen::Bus;
use mujian_tests::server::Server;
use mujian_tests::{live, wait};
use zbus::zvariant::{ObjectPath, OwnedFd, OwnedObjectPath, OwnedValue};
use zbus::{Connection, connection, interface};

const SOON: Duration = Duration::from_secs(30);
const MANAGER: &str = "/org/freedesktop/login1";
const SESSION: &str = "/org/freedesktop/login1/session/_31";

/// What logind does for those who put sleep off, and tells of sessions.
#[derive(Clone, Default)]
struct Logind {
    /// The other ends of the descriptors that were given out.
    held: Arc<Mutex<Vec<std::io::PipeReader>>>,
    /// The same of those that keep the computer awake.
    awake: Arc<Mutex<Vec<std::io::PipeReader>>>,
}

#[interface(name = "org.freedesktop.login1.Manager")]
impl Logind {
    fn inhibit(&self, what: &str, who: &str, why: &str, mode: &str) -> zbus::fdo::Result<OwnedFd> {
        // Never "idle": the screen's own lock stays possible.
        assert!((what, who) == ("sleep", "Mujian") && !why.is_empty());
        let (reader, writer) = std::io::pipe().map_err(|e| zbus::fdo::Error::Failed(e.to_string()))?;
        match mode {
            "delay" => self.held.lock().unwrap().push(reader),
            "block" => self.awake.lock().unwrap().push(reader),
            other => panic!("the mode {other}"),
        }
        Ok(Fd::from(writer).into())
    }

    fn get_session(&self, id: &str) -> OwnedObjectPath {
        assert_eq!(id, "auto");
        ObjectPath::from_static_str_unchecked(SESSION).into()
    }
}

/// What the desktop's portal does for those who keep it awake.
#[derive(Clone, Default)]
struct Portal {
    requests: Arc<Mutex<Vec<u32>>>,
    closed: Arc<Mutex<u32>>,
}

const REQUEST: &str = "/org/freedesktop/portal/desktop/request/1";

#[interface(name = "org.freedesktop.portal.Inhibit")]
impl Portal {
    fn inhibit(&self, _window: &str, flags: u32, options: HashMap<String, OwnedValue>) -> OwnedObjectPath {
        assert!(options.contains_key("reason"));
        self.requests.lock().unwrap().push(flags);
        ObjectPath::from_static_str_unchecked(REQUEST).into()
    }
}

struct PortalRequest(Portal);

#[interface(name = "org.freedesktop.portal.Request")]
impl PortalRequest {
    fn close(&self) {
        *self.0.closed.lock().unwrap() += 1;
    }
}

/// Two buses, a logind on one of them, and a broadcast between them.
struct Desk {
    server: Server,
    room: mujian_tests::server::Room,
    program: Program,
    logind: Logind,
    system: Connection,
    desktop: Connection,
    _buses: [Bus; 2],
}

impl Desk {
    async fn on_air(args: &[&str]) -> Result<Self> {
        let buses = [Bus::start().await?, Bus::start().await?];
        let logind = Logind::default();
        let system = connection::Builder::address(buses[0].address.as_str())?
            .serve_at(MANAGER, logind.clone())?
            .name("org.freedesktop.login1")?
            .build()
            .await?;
        let desktop = connection::Builder::address(buses[1].address.as_str())?.build().await?;
        let server = Server::start().await?;
        let room = server.room("owner", "A room").await?;
        let mut command = live::command(&server, &room, args)?;
        command.env("DBUS_SYSTEM_BUS_ADDRESS", &buses[0].address).env("DBUS_SESSION_BUS_ADDRESS", &buses[1].address);
        let program = Program::start(&mut command)?;
        server.wait_stage(&room, "live", SOON).await?;
        let desk = Self { server, room, program, logind, system, desktop, _buses: buses };
        desk.held(1).await?;
        Ok(desk)
    }

    /// Until so many descriptors were given out.
    async fn held(&self, count: usize) -> Result<()> {
        let held = Arc::clone(&self.logind.held);
        wait::until("that sleep is put off", SOON, || async { Ok((held.lock().unwrap().len() == count).then_some(())) })
            .await
    }

    /// Until the newest descriptor is closed.
    async fn let_go(&self) -> Result<()> {
        let newest = self.logind.held.lock().unwrap().last().context("nothing was held")?.try_clone()?;
        closed(newest).await
    }

    async fn sleeps(&self, going: bool) -> Result<()> {
        let manager = "org.freedesktop.login1.Manager";
        Ok(self.system.emit_signal(None::<&str>, MANAGER, manager, "PrepareForSleep", &(going,)).await?)
    }

    async fn away(&mut self) -> Result<()> {
        let closed = |l: &str| l.contains("\"type\":\"away\"") && l.contains("\"closed\"");
        let line = self.program.line("that the source is closed", SOON, closed).await?;
        assert!(line.contains("\"keep_sound\":false"), "nobody meant to be heard: {line}");
        self.server.wait_stage(&self.room, "away", SOON).await
    }

    async fn back(&mut self) -> Result<()> {
        self.program.signal(libc::SIGUSR2);
        self.server.wait_stage(&self.room, "live", SOON).await
    }
}

#[tokio::test]
async fn a_computer_that_goes_to_sleep_waits_until_the_camera_is_closed() -> Result<()> {
    let mut desk = Desk::on_air(&["--test-card", "--keep-sound"]).await?;
    desk.sleeps(true).await?;
    desk.let_go().await?;
    desk.away().await?;
    // Awake again: still away, and the next sleep will wait as well.
    desk.sleeps(false).await?;
    desk.held(2).await?;
    desk.server.wait_stage(&desk.room, "away", SOON).await?;
    desk.back().await?;
    desk.sleeps(true).await?;
    desk.let_go().await?;
    desk.away().await
}

/// Until the other end of this is closed.
async fn closed(mut held: std::io::PipeReader) -> Result<()> {
    let closed = tokio::task::spawn_blocking(move || held.read(&mut [0]));
    anyhow::ensure!(tokio::time::timeout(wait::patient(4 * SOON), closed).await??? == 0, "something was written");
    Ok(())
}

#[tokio::test]
async fn the_computer_is_kept_awake_from_going_live_to_the_end() -> Result<()> {
    let mut desk = Desk::on_air(&["--test-card"]).await?;
    let awake = Arc::clone(&desk.logind.awake);
    let held = || async { Ok((awake.lock().unwrap().len() == 1).then_some(())) };
    wait::until("that sleep is blocked", SOON, held).await?;
    let newest = awake.lock().unwrap().last().context("nothing is held")?.try_clone()?;
    let let_go = tokio::spawn(closed(newest));
    // Away, the stream goes on, and so does this.
    desk.program.signal(libc::SIGUSR1);
    desk.server.wait_stage(&desk.room, "away", SOON).await?;
    desk.back().await?;
    assert!(!let_go.is_finished(), "it was let go while away");
    assert_eq!(awake.lock().unwrap().len(), 1, "held once");
    desk.program.signal(libc::SIGINT);
    let_go.await??;
    assert_eq!(desk.program.ended(SOON).await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn without_logind_the_desktops_portal_keeps_it_awake() -> Result<()> {
    let bus = Bus::start().await?;
    let portal = Portal::default();
    let _desktop = connection::Builder::address(bus.address.as_str())?
        .serve_at("/org/freedesktop/portal/desktop", portal.clone())?
        .serve_at(REQUEST, PortalRequest(portal.clone()))?
        .name("org.freedesktop.portal.Desktop")?
        .build()
        .await?;
    let server = Server::start().await?;
    let room = server.room("owner", "A room").await?;
    let mut command = live::command(&server, &room, &["--test-card"])?;
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent").env("DBUS_SESSION_BUS_ADDRESS", &bus.address);
    let mut program = live::begin(&server, &room, &mut command).await?;
    let asked = || async { Ok((!portal.requests.lock().unwrap().is_empty()).then_some(())) };
    wait::until("that the portal is asked", SOON, asked).await?;
    assert_eq!(*portal.requests.lock().unwrap(), [4], "suspend alone, not idle");
    program.signal(libc::SIGINT);
    assert_eq!(program.ended(SOON).await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn a_locked_screen_leaves() -> Result<()> {
    let mut desk = Desk::on_air(&["--test-card", "--keep-sound"]).await?;
    let saver = "org.gnome.ScreenSaver";
    for going in [false, true] {
        desk.desktop.emit_signal(None::<&str>, "/org/gnome/ScreenSaver", saver, "ActiveChanged", &(going,)).await?;
    }
    desk.away().await?;
    desk.back().await?;
    let session = "org.freedesktop.login1.Session";
    desk.system.emit_signal(None::<&str>, SESSION, session, "Lock", &()).await?;
    desk.away().await
}
