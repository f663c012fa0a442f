//! A desk for the app: a screen, a sound card, a bus and a home of its own, and the app's window on it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::{kill, ours};
use crate::screen::{Bus, Screen};
use crate::sound::Sound;
use crate::wait;
use crate::webdriver::Window;

/// The system's dialog for files asks for a path at once, so that it can be typed.
const SETTINGS: &str = "[org/gtk/settings/file-chooser]\nlocation-mode='filename-entry'\nstartup-mode='cwd'\n";

/// Everything that a desktop app needs around it.
pub struct Desk {
    /// The screen.
    pub screen: Screen,
    /// The sound card.
    pub sound: Sound,
    /// Where the app keeps its data.
    pub data: PathBuf,
    bus: Bus,
    home: TempDir,
}

impl Desk {
    /// Sets one up.
    ///
    /// # Errors
    ///
    /// One of its programs does not start.
    pub async fn new() -> Result<Self> {
        let home = tempfile::Builder::new().prefix("mujian-desk-").tempdir()?;
        let data = home.path().join("data");
        let settings = home.path().join("glib-2.0/settings");
        std::fs::create_dir_all(&settings)?;
        std::fs::write(settings.join("keyfile"), SETTINGS)?;
        let (screen, sound, bus) = (Screen::start(1440, 960).await?, Sound::start().await?, Bus::start().await?);
        Ok(Self { screen, sound, data, bus, home })
    }

    /// What programs on this desk find in their environment.
    #[must_use]
    pub fn environment(&self) -> HashMap<String, String> {
        let home = self.home.path().to_string_lossy().into_owned();
        let mut all: HashMap<String, String> = [
            ("DISPLAY", &*self.screen.display),
            ("DBUS_SESSION_BUS_ADDRESS", &self.bus.address),
            ("HOME", &home),
            ("XDG_DATA_HOME", &home),
            ("XDG_CONFIG_HOME", &home),
            ("XDG_CACHE_HOME", &home),
            ("MUJIAN_DATA", &self.data.to_string_lossy()),
            ("LANG", "en_US.UTF-8"),
            ("LANGUAGE", "en"),
            ("LC_ALL", "C.UTF-8"),
            ("NO_AT_BRIDGE", "1"),
            // Settings of the desktop lie in the home folder, not with a service.
            ("GSETTINGS_BACKEND", "keyfile"),
            ("GDK_BACKEND", "x11"),
            ("LIBGL_ALWAYS_SOFTWARE", "1"),
            // Without a graphics card this halves what painting costs.
            ("WEBKIT_DISABLE_DMABUF_RENDERER", "1"),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
        all.extend(self.sound.environment().map(|(name, value)| (name.to_owned(), value)));
        all
    }

    /// Opens the app's window; in English, whatever the system speaks.
    ///
    /// # Errors
    ///
    /// The window does not open, or shows nothing within 30 s.
    pub async fn open_app(&self) -> Result<Window> {
        self.open_app_with(&[]).await
    }

    /// The same with words of the command line.
    ///
    /// # Errors
    ///
    /// As for [`Self::open_app`].
    pub async fn open_app_with(&self, args: &[&str]) -> Result<Window> {
        self.open(args, &self.environment()).await
    }

    /// The same as a person starts it: by the process that watches over the window, which is its child.
    ///
    /// # Errors
    ///
    /// As for [`Self::open_app`].
    pub async fn open_watched_app(&self) -> Result<Window> {
        let mut environment = self.environment();
        environment.insert("MUJIAN_SUPERVISE".into(), "1".into());
        self.open(&[], &environment).await
    }

    async fn open(&self, args: &[&str], environment: &HashMap<String, String>) -> Result<Window> {
        let window = Window::open(&ours("mujian")?, args, environment).await?;
        window.wait("document.querySelector('#app, main, h1') !== null", Duration::from_secs(30)).await?;
        window
            .eval("(window.before = true, localStorage.setItem('mujian.language', 'en'), location.reload(), true)")
            .await?;
        // The page of before may be in English as well, and is still there for a moment.
        window
            .wait(
                "window.before === undefined && document.documentElement.lang === 'en' \
                    && document.querySelector('h1') !== null",
                Duration::from_secs(30),
            )
            .await?;
        Ok(window)
    }

    /// Where the hosted server serves, as `http://HOST:PORT`.
    ///
    /// # Errors
    ///
    /// The app hosts none within 20 s.
    pub async fn hosted(&self) -> Result<String> {
        wait::until("the hosted server's host.json", Duration::from_secs(20), || async {
            let found = find(&self.data, "host.json").context("no host.json")?;
            let host: Value = serde_json::from_slice(&std::fs::read(found)?)?;
            let http = host["http"].as_str().context("no http in host.json")?;
            Ok(Some(if http.starts_with("http") { http.to_owned() } else { format!("http://{http}") }))
        })
        .await
    }
}

/// The hosted server outlives its app by the grace time: not that of a desk that is gone.
impl Drop for Desk {
    fn drop(&mut self) {
        let host = find(&self.data, "host.json").and_then(|file| std::fs::read(file).ok());
        let pid = host.and_then(|host| serde_json::from_slice::<Value>(&host).ok()?["pid"].as_i64());
        let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) else { return };
        // A server that was killed leaves its file, and its number to whoever comes next.
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(&*self.data.to_string_lossy()) {
            kill(pid);
        }
    }
}

/// The first file of that name under a folder.
fn find(folder: &std::path::Path, name: &str) -> Option<PathBuf> {
    for entry in std::fs::read_dir(folder).ok()?.filter_map(Result::ok) {
        let path = entry.path();
        if path.is_dir() {
            if let Some(found) = find(&path, name) {
                return Some(found);
            }
        } else if entry.file_name() == name {
            return Some(path);
        }
    }
    None
}
