//! `host.json`: how a new process of the app finds the server that an earlier one started.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{fs, io};

use mujian_protocol::api::AccountView;
use serde::{Deserialize, Serialize};

/// What the file says. It holds secrets: only its owner can read it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostInfo {
    /// The version of the program that hosts.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where RTMP is taken.
    pub rtmp: SocketAddr,
    /// Where the app speaks to it.
    pub control: SocketAddr,
    /// What the app says first there.
    pub secret: String,
    /// The operator's session.
    pub token: String,
    /// The operator's account.
    pub account: AccountView,
}

impl std::fmt::Debug for HostInfo {
    // Secrets must not reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostInfo")
            .field("pid", &self.pid)
            .field("http", &self.http)
            .field("rtmp", &self.rtmp)
            .field("control", &self.control)
            .finish_non_exhaustive()
    }
}

/// Where it lies in the data folder.
#[must_use]
pub fn path(data: &Path) -> PathBuf {
    data.join("host.json")
}

impl HostInfo {
    /// What the file says; none when there is none, or it cannot be understood.
    #[must_use]
    pub fn read(data: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path(data)).ok()?).ok()
    }

    /// Writes the file, whole or not at all, readable by its owner only.
    ///
    /// # Errors
    /// As the system says.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        // A temporary file is made with mode 0600.
        let mut file = tempfile::NamedTempFile::new_in(data)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.persist(path(data))?;
        Ok(())
    }

    /// Removes the file, if it is still about this process.
    pub fn remove(&self, data: &Path) {
        if Self::read(data).is_some_and(|there| there.pid == self.pid)
            && let Err(error) = fs::remove_file(path(data))
        {
            tracing::warn!(%error, "host.json could not be removed");
        }
    }
}

#[cfg(test)]
pub(super) fn example() -> HostInfo {
    use mujian_protocol::{AccountId, WallTime, api::Role};
    HostInfo {
        version: "0".into(),
        pid: 1,
        http: SocketAddr::from(([127, 0, 0, 1], 1)),
        rtmp: SocketAddr::from(([127, 0, 0, 1], 2)),
        control: SocketAddr::from(([127, 0, 0, 1], 3)),
        secret: "s3cret".into(),
        token: "t0ken".into(),
        account: AccountView { id: AccountId::new(), name: "n".into(), role: Role::Operator, created_at: WallTime(0) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_written_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let info = example();
        info.write(dir.path()).unwrap();
        assert_eq!(HostInfo::read(dir.path()), Some(info.clone()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(path(dir.path())).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let shown = format!("{info:?}");
        assert!(!shown.contains("s3cret") && !shown.contains("t0ken"));
        HostInfo { pid: 2, ..info.clone() }.remove(dir.path());
        assert!(HostInfo::read(dir.path()).is_some(), "another process's file stays");
        info.remove(dir.path());
        assert_eq!(HostInfo::read(dir.path()), None);
    }

    #[test]
    fn damage_is_no_server() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(path(dir.path()), b"{\"pid\":").unwrap();
        assert_eq!(HostInfo::read(dir.path()), None);
    }
}
