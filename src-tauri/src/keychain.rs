//! The system's keychain: the Secret Service on Linux (GNOME's keyring, KDE's wallet), Keychain on macOS, Credential Manager
//! on Windows.
//!
//! It may ask the person first, for as long as they take; or hang. So each question has a thread of its own, which is waited
//! for so long and no longer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keyring::Entry;
use zeroize::Zeroizing;

/// What a person finds it by in their keychain.
const SERVICE: &str = "Mujian";
/// Longest reason that is logged, in characters.
const REASON: usize = 200;
/// Questions without an answer, at most; after that none is asked any more.
const OPEN: usize = 4;

/// Why the keychain gave or took nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeychainError {
    /// It did not answer in time, or has too many questions to answer already.
    #[error("the keychain did not answer within {0} s")]
    Late(u64),
    /// It is locked, and whoever was asked did not unlock it.
    #[error("the keychain is locked ({0})")]
    Locked(String),
    /// It fails, or there is none.
    #[error("the keychain fails ({0})")]
    Failed(String),
}

/// Where secrets are kept by name.
pub trait Keychain: Send + Sync + std::fmt::Debug + 'static {
    /// The secret of that name.
    ///
    /// # Errors
    /// There is no keychain, or it refuses.
    fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, KeychainError>;

    /// Keeps a secret, in the place of the one before.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError>;

    /// Forgets a secret, if there is one.
    ///
    /// # Errors
    /// As for [`Self::read`].
    fn forget(&self, name: &str) -> Result<(), KeychainError>;
}

/// This system's.
#[derive(Debug, Clone, Copy)]
pub struct System;

impl Keychain for System {
    fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, KeychainError> {
        match entry(name)?.get_password() {
            Ok(secret) => Ok(Some(Zeroizing::new(secret))),
            Err(keyring::Error::NoEntry) => Ok(None),
            Err(error) => Err(refused(&error)),
        }
    }

    fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError> {
        entry(name)?.set_password(secret).map_err(|error| refused(&error))
    }

    fn forget(&self, name: &str) -> Result<(), KeychainError> {
        match entry(name)?.delete_credential() {
            Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn entry(name: &str) -> Result<Entry, KeychainError> {
    if let Err(error) = Entry::store_status() {
        return Err(refused(error));
    }
    Entry::new(SERVICE, name).map_err(|error| refused(&error))
}

fn refused(error: &keyring::Error) -> KeychainError {
    let reason = error.to_string().chars().take(REASON).collect();
    match error {
        keyring::Error::NoStorageAccess(_) => KeychainError::Locked(reason),
        _ => KeychainError::Failed(reason),
    }
}

/// Asks on a thread of its own, and waits so long for the answer. What is answered later than that counts for nobody.
///
/// # Errors
/// As `act` says; [`KeychainError::Late`].
pub async fn ask<T: Send + 'static>(
    limit: Duration,
    act: impl FnOnce() -> Result<T, KeychainError> + Send + 'static,
) -> Result<T, KeychainError> {
    let late = || KeychainError::Late(limit.as_secs());
    let asked = Asked::begin().ok_or_else(late)?;
    let (answer, answered) = tokio::sync::oneshot::channel();
    let begun = std::thread::Builder::new().name("keychain".into()).spawn(move || {
        let done = act();
        drop(asked);
        // Nobody waits any more.
        let _ = answer.send(done);
    });
    if let Err(error) = begun {
        return Err(KeychainError::Failed(error.to_string()));
    }
    match tokio::time::timeout(limit, answered).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(KeychainError::Failed("its library crashed".into())),
        Err(_) => Err(late()),
    }
}

/// A question without an answer; one less when it is dropped, also by a panic.
struct Asked;

static ASKED: AtomicUsize = AtomicUsize::new(0);

impl Asked {
    fn begin() -> Option<Self> {
        let one_more = |n: usize| (n < OPEN).then_some(n + 1);
        ASKED.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).ok().map(|_| Self)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        ASKED.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for_and_not_asked_for_ever() {
        let limit = Duration::from_millis(5);
        let mut ends = Vec::new();
        for _ in 0..OPEN {
            let (end, ended) = std::sync::mpsc::channel::<()>();
            ends.push(end);
            let hangs = move || ended.recv().map_err(|_| KeychainError::Failed("over".into()));
            assert_eq!(ask(limit, hangs).await, Err(KeychainError::Late(0)));
        }
        assert_eq!(ask(limit, || Ok(5)).await, Err(KeychainError::Late(0)), "none more is asked");
        drop(ends);
        let long = Duration::from_secs(30);
        while ask(long, || Ok(5)).await != Ok(5) {
            tokio::task::yield_now().await;
        }
    }
}
