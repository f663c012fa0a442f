//! Where recordings go and what their files are called.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// The folder for recordings within the one for films.
const OURS: &str = "Mujian";
/// Longest title in a file's name, in bytes: file systems take 255 for the whole name.
const TITLE: usize = 160;
/// Most files of the same name.
const SAME: u32 = 1000;

/// Where recordings go if nobody chose: the folder for films, as the desktop names it.
#[must_use]
pub fn default_folder() -> Option<PathBuf> {
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    from_environment(|name| std::env::var_os(name), read)
}

fn from_environment(var: impl Fn(&str) -> Option<OsString>, read: impl Fn(&Path) -> Option<String>) -> Option<PathBuf> {
    let absolute = |name: &str| var(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let home = absolute(if cfg!(windows) { "USERPROFILE" } else { "HOME" })?;
    if cfg!(target_os = "macos") {
        return Some(home.join("Movies").join(OURS));
    }
    // As xdg-user-dirs writes it: XDG_VIDEOS_DIR="$HOME/Videos", or an absolute path.
    let config = absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    let said = read(&config.join("user-dirs.dirs")).unwrap_or_default();
    let named = said.lines().find_map(|line| {
        let path = line.trim().strip_prefix("XDG_VIDEOS_DIR=")?.trim_matches('"');
        match path.strip_prefix("$HOME") {
            Some(rest) => Some(home.join(rest.trim_start_matches('/'))),
            None => Some(PathBuf::from(path)).filter(|p| p.is_absolute()),
        }
    });
    Some(named.unwrap_or_else(|| home.join("Videos")).join(OURS))
}

/// A file's name without its ending: when, and the title as far as file systems take it.
#[must_use]
pub(super) fn file_name(at: time::OffsetDateTime, title: &str) -> String {
    let date = format!("{:04}-{:02}-{:02}", at.year(), u8::from(at.month()), at.day());
    let clock = format!("{:02}-{:02}-{:02}", at.hour(), at.minute(), at.second());
    let title = safe(title);
    if title.is_empty() { format!("{date} {clock}") } else { format!("{date} {clock} {title}") }
}

fn safe(title: &str) -> String {
    let forbidden = |c: char| c.is_control() || "/\\:*?\"<>|".contains(c) || is_hidden(c);
    let plain: String = title.chars().map(|c| if forbidden(c) { ' ' } else { c }).collect();
    let mut plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    while plain.len() > TITLE {
        plain.pop();
    }
    plain.trim_matches(['.', ' ']).to_owned()
}

/// Turns the direction of what follows, or shows nothing: a name that is not what it looks like.
const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Makes a file that was not there, in a folder that is made too.
///
/// # Errors
/// As the system says.
pub(super) fn create(folder: &Path, name: &str) -> io::Result<(File, PathBuf)> {
    std::fs::create_dir_all(folder)?;
    for n in 1..=SAME {
        let path = if n == 1 { format!("{name}.mp4") } else { format!("{name} ({n}).mp4") };
        let path = folder.join(path);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((file, path)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_on_every_file_system() {
        let offset = time::UtcOffset::from_hms(8, 0, 0).unwrap();
        let at = time::OffsetDateTime::from_unix_timestamp(1_795_352_733).unwrap().to_offset(offset);
        assert_eq!(file_name(at, "雨夜 咖啡馆"), "2026-11-22 21-05-33 雨夜 咖啡馆");
        assert_eq!(file_name(at, "../../etc/passwd"), "2026-11-22 21-05-33 etc passwd");
        assert_eq!(file_name(at, " a:b*c?\"<d>|\\e\0\n\u{202e}f. "), "2026-11-22 21-05-33 a b c d e f");
        assert_eq!(file_name(at, " . / "), "2026-11-22 21-05-33");
        let long = file_name(at, &"剧".repeat(300));
        assert!(long.len() <= 20 + TITLE && long.ends_with('剧'));
    }

    #[test]
    fn nothing_that_is_there_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a/b");
        let names: Vec<String> = (0..3)
            .map(|_| create(&folder, "x").unwrap().1.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["x.mp4", "x (2).mp4", "x (3).mp4"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_desktop_names_the_folder_for_films() {
        let vars = |name: &str| (name == "HOME").then(|| "/h".into());
        let with = |said: &'static str| from_environment(vars, move |_| Some(said.to_owned()));
        assert_eq!(with(""), Some("/h/Videos/Mujian".into()));
        assert_eq!(with("# a\nXDG_VIDEOS_DIR=\"$HOME/视频\"\n"), Some("/h/视频/Mujian".into()));
        assert_eq!(with("XDG_VIDEOS_DIR=\"/films\""), Some("/films/Mujian".into()));
        assert_eq!(with("XDG_VIDEOS_DIR=\"films\""), Some("/h/Videos/Mujian".into()));
        assert_eq!(from_environment(|_| None, |_| None), None);
    }
}
