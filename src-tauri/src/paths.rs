//! Where the app keeps its data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

use mujian_protocol::{ApiError, ErrorCode, Problem};

/// The data folder: what was asked for, or the place that the system's conventions name.
///
/// # Errors
/// `Storage` when the environment names no place.
pub fn data_dir(asked: Option<&Path>) -> Result<PathBuf, ApiError> {
    if let Some(asked) = asked {
        return Ok(asked.to_owned());
    }
    from_environment(|name| std::env::var_os(name)).ok_or_else(|| {
        ApiError::new(
            ErrorCode::Storage,
            "No place for the app's data is known: set HOME, or name a folder with --data.",
        )
        .about(Problem::FolderUnknown)
    })
}

fn from_environment(var: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // A relative path in these variables is to be ignored (XDG Base Directory Specification).
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|p| p.is_absolute());
    if cfg!(target_os = "macos") {
        return absolute("HOME").map(|home| home.join("Library/Application Support/live.mujian.app"));
    }
    if cfg!(windows) {
        return absolute("LOCALAPPDATA").map(|local| local.join("mujian"));
    }
    let base = absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")))?;
    Some(base.join("mujian"))
}

/// Makes the data folder, for its owner only.
///
/// # Errors
/// `Storage`, with a sentence, when it cannot be made or written.
pub fn prepare(dir: &Path) -> Result<(), ApiError> {
    let prepared = fs::create_dir_all(dir).and_then(|()| restrict(dir, 0o700)).and_then(|()| probe(dir));
    prepared.map_err(|error| {
        let path = dir.display().to_string();
        let problem = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::DiskFull { path },
            _ => Problem::FolderNotWritable { path, reason: error.to_string() },
        };
        ApiError::new(
            ErrorCode::Storage,
            format!("The data folder {} cannot be written ({error}). Free some space or mend its permissions, or name another with --data.", dir.display()),
        )
        .about(problem)
    })
}

fn probe(dir: &Path) -> io::Result<()> {
    // Permissions alone do not tell: the disk may be full or mounted read-only.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    io::Write::write_all(&mut file, &[0; 512])?;
    file.as_file().sync_data()
}

/// Lets nobody but the owner in.
///
/// # Errors
/// As the system says.
pub fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }
    #[cfg(not(unix))]
    {
        let _ = (path, mode);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn conventions_are_followed() {
        let get = |pairs: &'static [(&str, &str)]| {
            from_environment(move |name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
        };
        assert_eq!(get(&[("HOME", "/h")]), Some("/h/.local/share/mujian".into()));
        assert_eq!(get(&[("HOME", "/h"), ("XDG_DATA_HOME", "/x")]), Some("/x/mujian".into()));
        assert_eq!(get(&[("HOME", "/h"), ("XDG_DATA_HOME", "x")]), Some("/h/.local/share/mujian".into()));
        assert_eq!(get(&[]), None);
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = prepare(&file.join("data")).unwrap_err();
        assert_eq!(error.code, ErrorCode::Storage);
        assert!(error.message.contains("--data"), "{}", error.message);
        assert!(matches!(error.problem.as_deref(), Some(Problem::FolderNotWritable { .. })), "{error:?}");
    }
}
