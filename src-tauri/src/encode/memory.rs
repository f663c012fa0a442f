//! How the encoders fared, kept from one start to the next: testing them takes seconds.
//!
//! It holds for the same program with the same FFmpeg and the same drivers; otherwise it is as if it were
//! not there.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use mujian_protocol::WallTime;
use mujian_protocol::studio::EncoderReport;
use serde::{Deserialize, Serialize};

/// The form of what is kept; what is kept in another one is found out anew.
const FORM: &str = "with faults";
/// Longest file that is read, in bytes.
const LONGEST: u64 = 1 << 20;
/// Where drivers and the devices they make lie.
const FOLDERS: &[&str] =
    &["/dev/dri", "/usr/lib/x86_64-linux-gnu/dri", "/usr/lib/aarch64-linux-gnu/dri", "/usr/lib/dri"];
/// Libraries that drivers bring, and devices.
const FILES: &[&str] = &[
    "/dev/nvidia0",
    "/proc/driver/nvidia/version",
    "/proc/sys/kernel/osrelease",
    "/usr/lib/x86_64-linux-gnu/libnvidia-encode.so.1",
    "/usr/lib/x86_64-linux-gnu/libmfx.so.1",
    "/usr/lib/x86_64-linux-gnu/libmfx-gen.so.1.2",
    "/usr/lib/x86_64-linux-gnu/libvpl.so.2",
    "/usr/lib/x86_64-linux-gnu/libva.so.2",
    "/usr/lib/aarch64-linux-gnu/libva.so.2",
];

/// The file that it is kept in.
#[derive(Clone, Debug)]
pub struct Memory {
    path: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    machine: Vec<String>,
    at: WallTime,
    encoders: Vec<EncoderReport>,
}

impl Memory {
    /// The one of a data folder.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self { path: data.join("encoders.json") }
    }

    /// What was found out on this same machine, and when.
    #[must_use]
    pub fn read(&self) -> Option<(WallTime, Vec<EncoderReport>)> {
        if fs::metadata(&self.path).ok()?.len() > LONGEST {
            return None;
        }
        let kept: Kept = serde_json::from_slice(&fs::read(&self.path).ok()?).ok()?;
        (kept.machine == machine()).then_some((kept.at, kept.encoders))
    }

    /// Writes it down, whole or not at all. A data folder that does not exist is not made for it.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, at: WallTime, encoders: &[EncoderReport]) -> io::Result<()> {
        let Some(folder) = self.path.parent().filter(|f| f.is_dir()) else { return Ok(()) };
        let kept = Kept { machine: machine(), at, encoders: encoders.to_vec() };
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(&kept)?)?;
        file.persist(&self.path)?;
        Ok(())
    }
}

/// What the result of a test depends on: this program, FFmpeg, and the drivers.
fn machine() -> Vec<String> {
    let mut all = vec![format!("mujian {}, {FORM}", env!("CARGO_PKG_VERSION")), mujian_av::version()];
    let mut files: Vec<PathBuf> = FILES.iter().map(PathBuf::from).collect();
    for folder in FOLDERS {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        files.extend(entries.take(256).map(|e| e.path()));
    }
    files.sort();
    for path in files {
        let Ok(meta) = fs::metadata(&path) else { continue };
        // Devices and what the kernel tells are made anew at every start: that they are there is what counts.
        if path.starts_with("/proc") {
            let text = fs::read_to_string(&path).unwrap_or_default();
            all.push(format!("{} {}", path.display(), text.lines().next().unwrap_or_default()));
        } else if path.starts_with("/dev") {
            all.push(path.display().to_string());
        } else {
            let changed = meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
            let seconds = changed.map_or(0, |t| t.as_secs());
            all.push(format!("{} {} {seconds}", path.display(), meta.len()));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_out_elsewhere_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let memory = Memory::in_folder(dir.path());
        assert!(memory.read().is_none());
        memory.write(WallTime(7), &[]).unwrap();
        assert_eq!(memory.read(), Some((WallTime(7), Vec::new())));
        let text = fs::read_to_string(&memory.path).unwrap();
        fs::write(&memory.path, text.replace(&mujian_av::version(), "FFmpeg 1.0")).unwrap();
        assert!(memory.read().is_none());
        fs::write(&memory.path, "{").unwrap();
        assert!(memory.read().is_none());
        assert!(Memory::in_folder(&dir.path().join("missing")).write(WallTime(0), &[]).is_ok());
    }

    #[test]
    fn the_machine_is_the_same_from_one_look_to_the_next() {
        assert_eq!(machine(), machine());
        assert!(machine().len() > 2, "{:?}", machine());
    }
}
