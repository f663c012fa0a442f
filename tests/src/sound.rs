//! A sound card made of software: PulseAudio with a null sink for the loudspeaker and one for the microphone.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Program, run};
use crate::wait;

/// A running sound server.
pub struct Sound {
    folder: TempDir,
    server: Program,
}

impl Sound {
    /// Starts one with the sinks `spk` and `mic`; the default source is what is played to `mic`.
    ///
    /// # Errors
    ///
    /// PulseAudio does not start.
    pub async fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("mujian-sound-").tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))?;
        let server = serve(&folder)?;
        let sound = Self { folder, server };
        sound.ready().await?;
        Ok(sound)
    }

    async fn ready(&self) -> Result<()> {
        wait::until("the sound server", Duration::from_secs(15), || async {
            self.pactl(&["set-default-sink", "spk"]).await?;
            self.pactl(&["set-default-source", "mic.monitor"]).await?;
            Ok(Some(()))
        })
        .await
    }

    /// The microphone is gone, and so is every other device: without one, nothing can be heard in its place.
    ///
    /// # Errors
    ///
    /// pactl fails.
    pub async fn unplug(&self) -> Result<()> {
        self.pactl(&["unload-module", "module-null-sink"]).await.map(drop)
    }

    /// One sink alone is gone.
    ///
    /// # Errors
    ///
    /// There is none of that name, or pactl fails.
    pub async fn unplug_sink(&self, sink: &str) -> Result<()> {
        let modules = String::from_utf8(self.pactl(&["list", "short", "modules"]).await?)?;
        let of = format!("sink_name={sink} ");
        let module = modules.lines().find(|line| format!("{line} ").contains(&of)).with_context(|| modules.clone())?;
        let number = module.split_whitespace().next().unwrap_or_default();
        self.pactl(&["unload-module", number]).await.map(drop)
    }

    /// The microphone is there again.
    ///
    /// # Errors
    ///
    /// pactl fails.
    pub async fn plug(&self) -> Result<()> {
        self.pactl(&["load-module", "module-null-sink", "sink_name=mic", "rate=48000", "channels=2"]).await?;
        self.pactl(&["set-default-source", "mic.monitor"]).await.map(drop)
    }

    /// The sound server itself is killed.
    ///
    /// # Errors
    ///
    /// It does not end.
    pub async fn kill(&mut self) -> Result<()> {
        self.server.signal(libc::SIGKILL);
        self.server.ended(Duration::from_secs(10)).await.map(drop)
    }

    /// It runs again, with all its devices.
    ///
    /// # Errors
    ///
    /// PulseAudio does not start.
    pub async fn again(&mut self) -> Result<()> {
        self.server = serve(&self.folder)?;
        self.ready().await
    }

    /// What a program needs in its environment to use it.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, String); 2] {
        let folder = self.folder.path().display();
        [("XDG_RUNTIME_DIR", folder.to_string()), ("PULSE_SERVER", format!("unix:{folder}/pulse.sock"))]
    }

    /// Controls the server.
    ///
    /// # Errors
    ///
    /// pactl fails.
    pub async fn pactl(&self, args: &[&str]) -> Result<Vec<u8>> {
        let [_, (_, server)] = self.environment();
        let mut all = vec!["--server", &server];
        all.extend(args);
        run("pactl", all, Duration::from_secs(5)).await
    }

    /// Plays a tone into the microphone until it is dropped.
    ///
    /// # Errors
    ///
    /// ffmpeg or pacat does not start.
    pub fn tone(&self, frequency: u32) -> Result<Program> {
        self.tone_at("mic", frequency)
    }

    /// Plays a tone at one of the sinks until it is dropped.
    ///
    /// # Errors
    ///
    /// ffmpeg or pacat does not start.
    pub fn tone_at(&self, sink: &str, frequency: u32) -> Result<Program> {
        let line = format!(
            "ffmpeg -v error -re -f lavfi -i sine=frequency={frequency}:sample_rate=48000 -ac 2 -f s16le - | \
             pacat --playback -d {sink} --latency-msec=20 --raw --format=s16le --rate=48000 --channels=2"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).envs(self.environment()).stdin(Stdio::null());
        Program::start(&mut command)
    }
}

fn serve(folder: &TempDir) -> Result<Program> {
    let socket = folder.path().join("pulse.sock");
    let mut command = Command::new("pulseaudio");
    command
        // Its blocks of shared memory are freed twice now and then, where who plays is killed while an output is listened to.
        .arg("--disable-shm=yes")
        .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-target=stderr", "-L"])
        .arg(format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()))
        .args(["-L", "module-null-sink sink_name=spk rate=48000 channels=2"])
        .args(["-L", "module-null-sink sink_name=mic rate=48000 channels=2"])
        .env("XDG_RUNTIME_DIR", folder.path())
        .env("HOME", folder.path());
    Program::start(&mut command)
}

/// Frequency of the tone that a [`Skewed`] microphone hears, in hertz: an octave above the test card's, so that the two
/// can be told apart in one sound.
pub const SKEWED_TONE: f64 = 2000.0;

/// A microphone whose clock is off: it gives more, or fewer, samples a second than it says. What it hears is a tone in
/// the first tenth of every second of the wall clock. It is the default source until it is dropped.
pub struct Skewed {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Skewed {
    /// One whose clock is `ppm` millionths fast.
    ///
    /// # Errors
    ///
    /// PulseAudio refuses the source, or its pipe cannot be opened.
    pub async fn start(sound: &Sound, ppm: f64) -> Result<Self> {
        let pipe = sound.folder.path().join("microphone");
        let file = format!("file={}", pipe.display());
        let load =
            ["load-module", "module-pipe-source", "source_name=skewed", "format=s16le", "rate=48000", "channels=2"];
        sound.pactl(&[&load[..], &[&file]].concat()).await?;
        sound.pactl(&["set-default-source", "skewed"]).await?;
        let mut pipe = std::fs::OpenOptions::new().write(true).open(&pipe)?;
        let rate = 48_000.0 * (1.0 + ppm * 1e-6);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (began, wall) = (Instant::now(), SystemTime::now());
            let wall = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
            let mut written = 0u64;
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(5));
                let due = (began.elapsed().as_secs_f64() * rate) as u64;
                let mut bytes = Vec::with_capacity((due.saturating_sub(written) * 4) as usize);
                for index in written..due {
                    let at = (wall + index as f64 / rate).fract();
                    let value = if at < 0.1 { 0.25 * (std::f64::consts::TAU * SKEWED_TONE * at).sin() } else { 0.0 };
                    let sample = ((value * f64::from(i16::MAX)) as i16).to_le_bytes();
                    bytes.extend_from_slice(&sample);
                    bytes.extend_from_slice(&sample);
                }
                written = due;
                if pipe.write_all(&bytes).is_err() {
                    return;
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Skewed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It may be waiting at the pipe; the sound server's end ends that.
        drop(self.thread.take());
    }
}
