//! A sound card made of software: PulseAudio with a null sink for the loudspeaker and one for the microphone.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{Program, run};
use crate::wait;

/// A running sound server.
pub struct Sound {
    folder: TempDir,
    _server: Program,
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
        let socket = folder.path().join("pulse.sock");
        let mut command = Command::new("pulseaudio");
        command
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--log-target=stderr", "-L"])
            .arg(format!("module-native-protocol-unix auth-anonymous=1 socket={}", socket.display()))
            .args(["-L", "module-null-sink sink_name=spk rate=48000 channels=2"])
            .args(["-L", "module-null-sink sink_name=mic rate=48000 channels=2"])
            .env("XDG_RUNTIME_DIR", folder.path())
            .env("HOME", folder.path());
        let server = Program::start(&mut command)?;
        let sound = Self { folder, _server: server };
        wait::until("the sound server", Duration::from_secs(15), || async {
            sound.pactl(&["set-default-sink", "spk"]).await?;
            sound.pactl(&["set-default-source", "mic.monitor"]).await?;
            Ok(Some(()))
        })
        .await?;
        Ok(sound)
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
        let line = format!(
            "ffmpeg -v error -re -f lavfi -i sine=frequency={frequency}:sample_rate=48000 -ac 2 -f s16le - | \
             pacat --playback -d mic --latency-msec=20 --raw --format=s16le --rate=48000 --channels=2"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).envs(self.environment()).stdin(Stdio::null());
        Program::start(&mut command)
    }
}
