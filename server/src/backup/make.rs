//! Makes a backup.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use mujian_protocol::WallTime;

use super::copy::{copy, entry_of, growing, new_file};
use super::{BackupError, Entry, FORMAT, MANIFEST, Manifest, stamp, sync_folder, sync_folders};
use crate::placeholder::{POSTER, is_kept};
use crate::replay::index::{INDEX, MEDIA};
use crate::store::FILE;
use crate::store::snapshot::{Media, Snapshot, note_backup};

/// What was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The backup's folder.
    pub path: PathBuf,
    /// Its files, the manifest left out.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// The format of its database.
    pub schema: u32,
    /// Why the audit log does not tell of it; none: it does, or its format has no log yet.
    pub unnoted: Option<String>,
}

/// Backs a data folder up, also while a server uses it. `target`: the backup, or a folder that is there, in which the
/// backup gets a name made of the time.
///
/// # Errors
/// The data cannot be read, the target cannot be written or is there already, or the disk is full. Then nothing is left.
pub fn make(data: &Path, target: &Path, at: WallTime) -> Result<Made, BackupError> {
    let path = if target.is_dir() { target.join(format!("mujian-backup-{}", stamp(at))) } else { target.to_owned() };
    if path.symlink_metadata().is_ok() {
        return Err(BackupError::Exists { path });
    }
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(BackupError::Exists { path }),
    };
    if !folder.is_dir() {
        return Err(BackupError::NoFolder { path: folder.to_owned() });
    }
    // Private from the beginning, and gone if this fails.
    let growing = growing(".mujian-backup-", folder)?;
    let manifest = fill(data, growing.path(), at)?;
    let text = serde_json::to_vec_pretty(&manifest).map_err(|e| BackupError::disk(&path, e.into()))?;
    let place = growing.path().join(MANIFEST);
    let mut file = new_file(&place)?;
    file.write_all(&text).and_then(|()| file.sync_all()).map_err(|e| BackupError::disk(&place, e))?;
    sync_folders(growing.path())?;
    fs::rename(growing.path(), &path).map_err(|e| BackupError::disk(&path, e))?;
    // Under its own name it is nobody's to take away.
    let _ = growing.keep();
    sync_folder(folder)?;
    let bytes = manifest.files.iter().map(|f| f.bytes).sum();
    // Last: a full disk, for one, takes no entry, and is no reason to go without a backup on another one.
    let unnoted = note_backup(data, at).err().map(|e| e.to_string());
    Ok(Made { path, files: manifest.files.len(), bytes, schema: manifest.schema, unnoted })
}

fn fill(data: &Path, into: &Path, at: WallTime) -> Result<Manifest, BackupError> {
    let snapshot = Snapshot::take(data, into)?;
    let schema = snapshot.version();
    let mut files = Vec::new();
    for media in snapshot.media()? {
        let taken = take(data, into, &media)?;
        if snapshot.is_still_there(&media)? {
            files.extend(taken);
            continue;
        }
        snapshot.forget(&media)?;
        for entry in taken {
            let path = into.join(&entry.path);
            fs::remove_file(&path).map_err(|e| BackupError::disk(&path, e))?;
        }
    }
    files.extend(copy(&data.join(WORDS), &into.join(WORDS), WORDS)?);
    files.push(entry_of(&snapshot.finish()?, FILE)?);
    Ok(Manifest { format: FORMAT, program: env!("CARGO_PKG_VERSION").into(), made_at: at, schema, files })
}

/// The operator's list of words.
const WORDS: &str = "words.txt";

/// Copies what belongs to one row.
fn take(data: &Path, into: &Path, media: &Media) -> Result<Vec<Entry>, BackupError> {
    let (folder, names) = match media {
        // The index first: what it tells of is in the media file by then.
        Media::Recording(room, id) => (format!("recordings/{room}/{id}"), vec![INDEX.to_owned(), MEDIA.to_owned()]),
        Media::Placeholder(room, id) => {
            let folder = format!("placeholders/{room}/{id}");
            let names = names_in(&data.join(&folder));
            (folder, names)
        }
    };
    let mut entries = Vec::new();
    for name in names {
        let path = format!("{folder}/{name}");
        entries.extend(copy(&data.join(&path), &into.join(&path), &path)?);
    }
    Ok(entries)
}

/// A placeholder's files; not those that a worker is making.
fn names_in(folder: &Path) -> Vec<String> {
    // A folder that is not there is one of a placeholder that was deleted.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter_map(|e| e.file_name().into_string().ok())
        .filter(|n| is_kept(n))
        .collect();
    // The poster is the one file that is written in its place: last, it is done.
    names.sort_unstable_by_key(|name| (name == POSTER, name.clone()));
    names
}
