//! A keychain for a desk: GNOME's keyring daemon, with a keyring that no other program has.

use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use zbus::zvariant::OwnedObjectPath;
use zbus::{Connection, connection};

use crate::desk::Desk;
use crate::process::Program;
use crate::wait;

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const SERVICE_AT: &str = "/org/freedesktop/secrets";
const PASSWORD: &[u8] = b"of the test";
const SOON: Duration = Duration::from_secs(20);

/// A keyring, open or locked. It is kept when its daemon is started anew.
pub struct Keyring {
    bus: Connection,
    environment: HashMap<String, String>,
    daemon: Program,
    _folder: TempDir,
}

impl Keyring {
    /// Starts one on a desk's bus, open.
    ///
    /// # Errors
    ///
    /// gnome-keyring-daemon does not start.
    pub async fn start(desk: &Desk) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("mujian-keyring-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let mut environment = desk.environment();
        environment.insert("XDG_RUNTIME_DIR".into(), folder.path().to_string_lossy().into_owned());
        let address = environment.get("DBUS_SESSION_BUS_ADDRESS").context("no bus")?.as_str();
        let bus = connection::Builder::address(address)?.build().await?;
        let daemon = open(&environment).await?;
        let keyring = Self { bus, environment, daemon, _folder: folder };
        keyring.ready().await?;
        Ok(keyring)
    }

    /// Opens it again, as its owner does by logging in.
    ///
    /// # Errors
    ///
    /// As for [`Self::start`].
    pub async fn unlock(&mut self) -> Result<()> {
        self.daemon.stop(SOON).await?;
        self.daemon = open(&self.environment).await?;
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        wait::until("an open keyring", SOON, || async {
            let path: OwnedObjectPath = self.ask("ReadAlias", &"default").await?;
            Ok((path.as_str() != "/").then_some(()))
        })
        .await
    }

    /// Locks it: nobody is there who could be asked for its password.
    ///
    /// # Errors
    ///
    /// It refuses.
    pub async fn lock(&self) -> Result<()> {
        let path: OwnedObjectPath = self.ask("ReadAlias", &"default").await?;
        let (_, _): (Vec<OwnedObjectPath>, OwnedObjectPath) = self.ask("Lock", &(vec![path.as_ref()],)).await?;
        Ok(())
    }

    /// How many secrets of Mujian's it holds.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn holds(&self) -> Result<usize> {
        let of = HashMap::from([("service", "Mujian")]);
        let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = self.ask("SearchItems", &(of,)).await?;
        Ok(open.len() + locked.len())
    }

    async fn ask<B, R>(&self, method: &str, body: &B) -> Result<R>
    where
        B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
        R: for<'d> zbus::zvariant::DynamicDeserialize<'d>,
    {
        let answer = self.bus.call_method(Some(NAME), SERVICE_AT, Some(SERVICE), method, body).await?;
        Ok(answer.body().deserialize()?)
    }
}

async fn open(environment: &HashMap<String, String>) -> Result<Program> {
    let mut command = Command::new("gnome-keyring-daemon");
    command.args(["--foreground", "--unlock", "--components=secrets"]).envs(environment);
    let (daemon, mut stdin) = Program::start_with_input(&mut command)?;
    stdin.write_all(PASSWORD).await?;
    Ok(daemon)
}
