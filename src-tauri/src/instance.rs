//! One app to a data folder: a second one asks the first to show its window, and ends.
//!
//! The lock is a file's and ends with the process, however it ends. Beside it lies a socket that only the
//! folder's owner can reach; who connects asks for the window.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use mujian_protocol::{ApiError, ErrorCode, Problem};

/// How long the first app may take to answer: it may be starting itself.
const ANSWER: Duration = Duration::from_secs(5);
/// How often one that is starting is asked again.
#[cfg(unix)]
const AGAIN: Duration = Duration::from_millis(100);

/// What the first app answers once its window is shown.
#[cfg(unix)]
const SHOWN: &[u8] = b"shown\n";

/// The right to a data folder, until it is dropped.
#[derive(Debug)]
pub struct Only {
    _lock: File,
    #[cfg(unix)]
    listener: Option<std::os::unix::net::UnixListener>,
}

/// How it went to ask for a data folder.
#[derive(Debug)]
pub enum Taken {
    /// It is this process's.
    Ours(Only),
    /// Another app has it, and shows its window now.
    Shown,
}

/// Takes the data folder, or has the app that has it show its window.
///
/// # Errors
/// `Storage` when the folder cannot be written, or another app has it and does not answer.
pub async fn take(data: &Path) -> Result<Taken, ApiError> {
    take_within(data, ANSWER).await
}

async fn take_within(data: &Path, answer: Duration) -> Result<Taken, ApiError> {
    let path = data.join("app.lock");
    let sentence = |what: String| ApiError::new(ErrorCode::Storage, what);
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(|e| {
        let problem = Problem::FolderNotWritable { path: data.display().to_string(), reason: e.to_string() };
        sentence(format!("{} cannot be written ({e}).", path.display())).about(problem)
    })?;
    match lock.try_lock() {
        Ok(()) => Ok(Taken::Ours(Only::listen(lock, data))),
        Err(TryLockError::WouldBlock) if tokio::time::timeout(answer, shown(data)).await.is_ok() => Ok(Taken::Shown),
        Err(TryLockError::WouldBlock) => Err(sentence(
            "Mujian is open already. Use its window, or give this one a data folder of its own with --data.".into(),
        )
        .about(Problem::AlreadyOpen)),
        Err(TryLockError::Error(e)) => {
            let problem = Problem::FolderNotWritable { path: data.display().to_string(), reason: e.to_string() };
            Err(sentence(format!("{} cannot be locked ({e}).", path.display())).about(problem))
        }
    }
}

fn socket(data: &Path) -> PathBuf {
    data.join("app.sock")
}

#[cfg(unix)]
impl Only {
    fn listen(lock: File, data: &Path) -> Self {
        let path = socket(data);
        // One that crashed leaves its socket behind; the lock says that nobody uses it.
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            // The path may be too long for a socket. Everything else works without.
            .inspect_err(|error| tracing::warn!(%error, "a second start of the app will not find this one's window"))
            .ok();
        Self { _lock: lock, listener }
    }

    /// Calls `show` whenever a second app is started. Never returns.
    pub async fn serve(&self, show: impl Fn()) {
        use tokio::io::AsyncWriteExt as _;
        let listener = self.listener.as_ref().and_then(|l| l.try_clone().ok());
        let Some(Ok(listener)) = listener.map(tokio::net::UnixListener::from_std) else {
            return std::future::pending().await;
        };
        loop {
            match listener.accept().await {
                Ok((mut stream, _)) => {
                    show();
                    // Whoever asked may have given up.
                    let _ = tokio::time::timeout(AGAIN, stream.write_all(SHOWN)).await;
                }
                Err(error) => {
                    tracing::warn!(%error, "a second start of the app could not be heard");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Only {
    fn drop(&mut self) {
        if let Some(path) = self.listener.as_ref().and_then(|l| l.local_addr().ok())
            && let Some(path) = path.as_pathname()
        {
            // Left behind it does no harm.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Asks until the window is shown.
#[cfg(unix)]
async fn shown(data: &Path) {
    use tokio::io::AsyncReadExt as _;
    loop {
        let asked = async {
            let mut stream = tokio::net::UnixStream::connect(socket(data)).await?;
            let mut answer = [0; SHOWN.len()];
            stream.read_exact(&mut answer).await.map(|_| answer == SHOWN)
        };
        if asked.await.is_ok_and(|shown| shown) {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

#[cfg(not(unix))]
impl Only {
    fn listen(lock: File, _: &Path) -> Self {
        Self { _lock: lock }
    }

    /// Nobody can ask here.
    pub async fn serve(&self, _: impl Fn()) {
        std::future::pending().await
    }
}

#[cfg(not(unix))]
async fn shown(data: &Path) {
    let _ = socket(data);
    std::future::pending().await
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    async fn ours(data: &Path) -> Only {
        match take(data).await.unwrap() {
            Taken::Ours(only) => only,
            Taken::Shown => panic!("nobody is there to show anything"),
        }
    }

    #[tokio::test]
    async fn the_second_has_the_first_show_its_window() {
        let dir = tempfile::tempdir().unwrap();
        let (shows, first) = (Arc::new(AtomicU32::new(0)), ours(dir.path()).await);
        let counted = Arc::clone(&shows);
        let count = move || {
            counted.fetch_add(1, Ordering::SeqCst);
        };
        let serving = tokio::spawn(async move { first.serve(count).await });
        for n in 1..=3 {
            assert!(matches!(take(dir.path()).await, Ok(Taken::Shown)));
            assert_eq!(shows.load(Ordering::SeqCst), n);
        }
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        // The first is gone: the folder is free.
        drop(ours(dir.path()).await);
    }

    #[tokio::test]
    async fn what_a_crash_leaves_behind_is_no_hindrance() {
        let dir = tempfile::tempdir().unwrap();
        drop(std::os::unix::net::UnixListener::bind(socket(dir.path())).unwrap());
        assert!(socket(dir.path()).exists());
        let _only = ours(dir.path()).await;
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_told_of() {
        let dir = tempfile::tempdir().unwrap();
        let _first = ours(dir.path()).await;
        let error = take_within(dir.path(), Duration::from_millis(300)).await.unwrap_err();
        assert!(error.code == ErrorCode::Storage && error.message.contains("--data"), "{error}");
    }
}
