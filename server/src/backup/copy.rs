//! Copies files and knows their hashes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::{BackupError, Entry};

/// Bytes at a time.
const PIECE: usize = 256 * 1024;

/// Copies what a file holds now to a new file, kept for good when this returns. None: there is no such file.
pub(super) fn copy(from: &Path, to: &Path, name: &str) -> Result<Option<Entry>, BackupError> {
    let source = match File::open(from) {
        Ok(source) => source,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(BackupError::disk(from, e)),
    };
    let length = source.metadata().map_err(|e| BackupError::disk(from, e))?.len();
    if let Some(folder) = to.parent() {
        make_folder(folder)?;
    }
    // What grows is copied as far as it is.
    let (bytes, sha256) = pour((&mut source.take(length), from), Some((&mut new_file(to)?, to)))?;
    Ok(Some(Entry { path: name.to_owned(), bytes, sha256 }))
}

/// What a file that is there already holds.
pub(super) fn entry_of(path: &Path, name: &str) -> Result<Entry, BackupError> {
    let mut file = File::open(path).map_err(|e| BackupError::disk(path, e))?;
    file.sync_all().map_err(|e| BackupError::disk(path, e))?;
    let (bytes, sha256) = pour((&mut file, path), None)?;
    Ok(Entry { path: name.to_owned(), bytes, sha256 })
}

/// A folder to fill that nobody else reads, and that is gone again unless it is kept.
pub(super) fn growing(prefix: &str, folder: &Path) -> Result<tempfile::TempDir, BackupError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(prefix);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o700));
    }
    builder.tempdir_in(folder).map_err(|e| BackupError::disk(folder, e))
}

/// A folder that nobody else reads.
pub(super) fn make_folder(folder: &Path) -> Result<(), BackupError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(|e| BackupError::disk(folder, e))
}

/// A new file that nobody else reads.
pub(super) fn new_file(path: &Path) -> Result<File, BackupError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path).map_err(|e| BackupError::disk(path, e))
}

/// Reads to the end, writes what was read, and gives its length and hash.
fn pour(
    (from, source): (&mut impl Read, &Path),
    mut to: Option<(&mut File, &Path)>,
) -> Result<(u64, String), BackupError> {
    let (mut piece, mut bytes, mut digest) = (vec![0; PIECE], 0, Sha256::new());
    loop {
        let n = match from.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(BackupError::disk(source, e)),
        };
        let read = &piece[..n];
        digest.update(read);
        bytes += n as u64;
        if let Some((file, path)) = &mut to {
            file.write_all(read).map_err(|e| BackupError::disk(path, e))?;
        }
    }
    if let Some((file, path)) = to {
        file.sync_all().map_err(|e| BackupError::disk(path, e))?;
    }
    Ok((bytes, digest.finalize().iter().map(|b| format!("{b:02x}")).collect()))
}
