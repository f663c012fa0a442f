//! Backup and restore: the database at one moment, and the files that it tells of.
//!
//! A backup is a folder: `manifest.json`, the database, and recordings and placeholders as they lie in a data folder.
//! It is taken by a process of its own while the server runs. First the database is copied, in one piece; then what the
//! copy tells of, and nothing else. The server writes files before the rows that tell of them, and deletes them after, so
//! what the copy tells of is there, or was deleted meanwhile: then the copy forgets it too. A recording that is being
//! made is whole up to its last segment: its index is copied before its media.
//!
//! It grows under another name and gets its own last, so what is called a backup is one.
//!
//! What is restored is a server that goes on from there: its rooms number their events in a new epoch, since clients may
//! have others of the old numbers, and recovery codes, which may have been used since, are good no more.

mod copy;
mod make;
mod restore;

use std::io;
use std::path::{Component, Path, PathBuf};

use mujian_protocol::WallTime;
use serde::{Deserialize, Serialize};

pub use make::{Made, make};
pub use restore::{Restored, restore};

use crate::store::snapshot::SnapshotError;
use crate::store::{LATEST, OpenError};

/// Name of the file that tells what a backup holds.
const MANIFEST: &str = "manifest.json";
/// Version of that file.
const FORMAT: u32 = 1;
/// Longest manifest that is read, in bytes.
const MANIFEST_MAX: u64 = 256 << 20;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    /// Version of this file.
    format: u32,
    /// The version of the program that made it.
    program: String,
    /// When.
    made_at: WallTime,
    /// The format of the database.
    schema: u32,
    /// Every file but this one.
    files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    /// Where it lies, with `/` between names.
    path: String,
    /// Its length in bytes.
    bytes: u64,
    /// SHA-256 of its bytes, in hex.
    sha256: String,
}

impl Entry {
    /// The path, if it leads nowhere else.
    fn path(&self) -> Option<PathBuf> {
        let path = Path::new(&self.path);
        let plain = path.components().all(|c| matches!(c, Component::Normal(_)));
        (plain && path.components().next().is_some() && !self.path.contains('\\')).then(|| path.to_owned())
    }
}

/// A backup was not made, or not restored. Each says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data folder or its database cannot be used.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// A database is damaged.
    #[error("{0} Nothing was changed.")]
    Damaged(String),
    /// There is something where the backup is to be.
    #[error("{path} is there already. Give another name, or a folder in which the backup gets a name of its own.")]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The folder for the backup is not there.
    #[error("There is no folder {path} to put the backup into. Make it first, or check that its disk is mounted.")]
    NoFolder {
        /// Which.
        path: PathBuf,
    },
    /// No space is left.
    #[error("The disk that holds {path} is full. Free some space, or take another disk; nothing was kept of it.")]
    Full {
        /// Which.
        path: PathBuf,
    },
    /// The system refused something.
    #[error("{path} cannot be read or written: {source}.")]
    Disk {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no backup.
    #[error("{path} is no backup of Mujian: {detail}. Give the folder that holds {MANIFEST}.")]
    NotABackup {
        /// Which.
        path: PathBuf,
        /// Why not.
        detail: String,
    },
    /// A newer program made it.
    #[error(
        "The backup {path} was made by a newer version of Mujian ({program}; its format is {found}, this program knows up to {known}). Use the newer version; nothing was changed."
    )]
    Newer {
        /// Which.
        path: PathBuf,
        /// That program's version.
        program: String,
        /// The backup's format of what is newer.
        found: u32,
        /// The newest that this program knows.
        known: u32,
    },
    /// A file of the backup is not as it was.
    #[error("The backup is damaged: {path} {what}. Take another backup; nothing was changed.")]
    Broken {
        /// Which.
        path: String,
        /// How.
        what: &'static str,
    },
    /// The data folder has something in it.
    #[error(
        "The data folder {path} is not empty. Give another one with --data, or put what is in it aside with --replace."
    )]
    NotEmpty {
        /// Which.
        path: PathBuf,
    },
}

impl BackupError {
    fn disk(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Disk { path, source },
        }
    }

    /// The exit code of a program that ends because of it, as for [`crate::StartError`].
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Data(OpenError::NotWritable { .. }) => 5,
            Self::Data(OpenError::Full { .. }) | Self::Full { .. } => 6,
            Self::Data(OpenError::Newer { .. }) | Self::Newer { .. } => 7,
            Self::Data(OpenError::InUse { .. }) => 8,
            _ => 1,
        }
    }
}

impl From<SnapshotError> for BackupError {
    fn from(error: SnapshotError) -> Self {
        match error {
            SnapshotError::Open(error) => Self::Data(error),
            damaged @ SnapshotError::Damaged { .. } => Self::Damaged(damaged.to_string()),
        }
    }
}

/// A name made of a time, as `20261121-174500`.
fn stamp(at: WallTime) -> String {
    let Ok(t) = time::OffsetDateTime::from_unix_timestamp(at.millis().div_euclid(1000)) else { return String::new() };
    let (month, day) = (u8::from(t.month()), t.day());
    format!("{:04}{month:02}{day:02}-{:02}{:02}{:02}", t.year(), t.hour(), t.minute(), t.second())
}

/// Has the system keep the entries of a folder, and of all folders in it, for good.
fn sync_folders(folder: &Path) -> Result<(), BackupError> {
    let failed = |e| BackupError::disk(folder, e);
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    sync_folder(folder)
}

/// Has the system keep a folder's entries for good.
fn sync_folder(folder: &Path) -> Result<(), BackupError> {
    #[cfg(unix)]
    {
        let synced = std::fs::File::open(folder).and_then(|f| f.sync_all());
        synced.map_err(|e| BackupError::disk(folder, e))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_leads_nowhere_else() {
        let path = |text: &str| Entry { path: text.into(), bytes: 0, sha256: String::new() }.path();
        assert_eq!(path("recordings/a/b"), Some("recordings/a/b".into()));
        for bad in ["", "/etc/passwd", "../x", "a/../../x", "./a", "a\\..\\b"] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_backup_is_named_by_its_time() {
        assert_eq!(stamp(WallTime(1_795_281_905_999)), "20261121-172505");
        assert_eq!(stamp(WallTime(-1)), "19691231-235959");
    }
}
