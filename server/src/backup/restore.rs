//! Puts a backup into a data folder.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use mujian_protocol::WallTime;

use super::copy::{copy, growing, make_folder};
use super::{BackupError, FORMAT, LATEST, MANIFEST, MANIFEST_MAX, Manifest, stamp, sync_folder, sync_folders};
use crate::store::snapshot::{inspect, reserve, revive};
use crate::store::{FILE, LOCK};

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// When the backup was made.
    pub made_at: WallTime,
    /// How many files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Where what was in the folder before was put.
    pub aside: Option<PathBuf>,
}

/// Puts a backup into a data folder that is empty or not there. With `replace` what is in it is put aside, in a folder
/// of its own inside.
///
/// # Errors
/// It is no backup, a newer one, or damaged; a server uses the folder, it is not empty, or the disk failed. Then the
/// folder is as it was.
pub fn restore(backup: &Path, data: &Path, replace: bool, at: WallTime) -> Result<Restored, BackupError> {
    let manifest = read(backup)?;
    let (folder_was_there, lock_was_there) = (data.is_dir(), data.join(LOCK).exists());
    let lock = reserve(data)?;
    let done = put(backup, &manifest, data, replace, at);
    if done.is_err() && !lock_was_there {
        let _ = fs::remove_file(data.join(LOCK));
        if !folder_was_there {
            let _ = fs::remove_dir(data);
        }
    }
    drop(lock);
    let aside = done?;
    let bytes = manifest.files.iter().map(|f| f.bytes).sum();
    Ok(Restored { made_at: manifest.made_at, files: manifest.files.len(), bytes, aside })
}

fn read(backup: &Path) -> Result<Manifest, BackupError> {
    let path = backup.join(MANIFEST);
    let none = |detail: String| BackupError::NotABackup { path: backup.to_owned(), detail };
    let file = File::open(&path).map_err(|e| none(format!("{MANIFEST} cannot be read ({e})")))?;
    let mut text = Vec::new();
    file.take(MANIFEST_MAX).read_to_end(&mut text).map_err(|e| BackupError::disk(&path, e))?;
    // Its versions before its form: a newer one may have another.
    #[derive(serde::Deserialize)]
    struct Versions {
        format: u32,
        #[serde(default)]
        program: String,
        #[serde(default)]
        schema: u32,
    }
    let unreadable = |e: serde_json::Error| none(format!("{MANIFEST} cannot be understood ({e})"));
    let versions: Versions = serde_json::from_slice(&text).map_err(unreadable)?;
    for (found, known) in [(versions.format, FORMAT), (versions.schema, LATEST)] {
        if found > known {
            let (path, program) = (backup.to_owned(), versions.program);
            return Err(BackupError::Newer { path, program, found, known });
        }
    }
    let manifest: Manifest = serde_json::from_slice(&text).map_err(unreadable)?;
    let mut seen = HashSet::new();
    for entry in &manifest.files {
        let path = entry.path().ok_or_else(|| none(format!("{MANIFEST} names {:?}", entry.path)))?;
        if !seen.insert(path) {
            return Err(none(format!("{MANIFEST} names {:?} twice", entry.path)));
        }
    }
    if !seen.contains(Path::new(FILE)) {
        return Err(none(format!("{MANIFEST} names no {FILE}")));
    }
    Ok(manifest)
}

/// What is in a folder besides the lock.
fn others(data: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let entries = fs::read_dir(data).map_err(|e| BackupError::disk(data, e))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| BackupError::disk(data, e))?.path();
        if path != data.join(LOCK) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Copies and checks everything first; then a few names are changed.
fn put(
    backup: &Path,
    manifest: &Manifest,
    data: &Path,
    replace: bool,
    at: WallTime,
) -> Result<Option<PathBuf>, BackupError> {
    let before = others(data)?;
    if !before.is_empty() && !replace {
        return Err(BackupError::NotEmpty { path: data.to_owned() });
    }
    check_lengths(backup, manifest)?;
    // Inside the folder, which may be a disk of its own.
    let growing = growing(".restore-", data)?;
    for entry in &manifest.files {
        let broken = |what| BackupError::Broken { path: entry.path.clone(), what };
        let name = entry.path().ok_or_else(|| broken("cannot be named so"))?;
        let copied = copy(&backup.join(&name), &growing.path().join(&name), &entry.path)?;
        if copied.ok_or_else(|| broken("is missing"))?.sha256 != entry.sha256 {
            return Err(broken("has other bytes than it had"));
        }
    }
    if inspect(growing.path())? != manifest.schema {
        return Err(BackupError::Broken { path: FILE.into(), what: "has another format than the backup tells" });
    }
    revive(growing.path(), manifest.made_at, at)?;
    sync_folders(growing.path())?;

    let mut moves = Vec::new();
    let aside = if before.is_empty() { None } else { Some(data.join(format!("before-restore-{}", stamp(at)))) };
    if let Some(aside) = &aside {
        if aside.exists() {
            return Err(BackupError::Exists { path: aside.clone() });
        }
        make_folder(aside)?;
        moves.extend(before.into_iter().map(|path| (aside.join(path.file_name().unwrap_or_default()), path)));
    }
    // The database last: without it the folder is one of a server that never ran.
    let mut tops = others(growing.path())?;
    tops.sort_unstable_by_key(|path| path.ends_with(FILE));
    moves.extend(tops.into_iter().map(|path| (data.join(path.file_name().unwrap_or_default()), path)));
    if let Err(error) = rename_all(&moves) {
        let _ = aside.map(fs::remove_dir);
        return Err(error);
    }
    aside.iter().try_for_each(|aside| sync_folder(aside))?;
    sync_folder(data)?;
    Ok(aside)
}

/// Looks at all files' lengths before anything is copied: what is not whole is told at once, and takes no space.
fn check_lengths(backup: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    for entry in &manifest.files {
        let broken = |what| Err(BackupError::Broken { path: entry.path.clone(), what });
        let path = backup.join(&entry.path);
        match fs::metadata(&path) {
            Ok(found) if !found.is_file() => return broken("is no file"),
            Ok(found) if found.len() != entry.bytes => return broken("is shorter or longer than it was"),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => return broken("is missing"),
            Err(e) => return Err(BackupError::disk(&path, e)),
        }
    }
    Ok(())
}

/// Gives all of these (the new name first) their new names, or none of them: a folder in it that is a disk of its own
/// cannot be moved.
fn rename_all(moves: &[(PathBuf, PathBuf)]) -> Result<(), BackupError> {
    for (done, (to, from)) in moves.iter().enumerate() {
        if let Err(e) = fs::rename(from, to) {
            for (to, from) in moves.iter().take(done).rev() {
                // Where even that fails the error that is told names the disk.
                let _ = fs::rename(to, from);
            }
            return Err(BackupError::disk(from, e));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_that_fails_takes_those_before_it_back() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("a"), "mine").unwrap();
        let moves = [(at("moved"), at("a")), (at("nothing moved"), at("nothing"))];
        assert!(matches!(rename_all(&moves), Err(BackupError::Disk { path, .. }) if path == at("nothing")));
        assert_eq!(fs::read_to_string(at("a")).unwrap(), "mine");
        assert!(!at("moved").exists());
    }
}
