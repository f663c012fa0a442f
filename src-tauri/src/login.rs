//! The log-in at a server that others run, remembered from one start to the next: in the system's keychain, and where there
//! is none in the app's own file, which nobody else can read.
//!
//! A log-in is written to the file first and moved from there: a keychain may ask the person something, and a log-in neither
//! waits for the answer nor is lost with it.

use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::api::AccountView;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::cache::{Cache, CacheError, StoredSession, Token};
use crate::keychain::{Keychain, KeychainError, ask};

/// A start waits for the keychain no longer than this: it may ask for its password.
const READ: Duration = Duration::from_secs(20);
/// Nobody waits for what is moved into it.
const WRITE: Duration = Duration::from_secs(300);

/// The log-in at one server.
#[derive(Debug)]
pub struct Login {
    cache: Cache,
    keychain: Arc<dyn Keychain>,
    server: String,
    /// What it is called in the keychain.
    name: String,
    /// One thing at a time is done there.
    turn: Mutex<()>,
}

/// What is left of the last log-in.
pub enum Remembered {
    /// Nobody was logged in.
    Nothing,
    /// Somebody is.
    Session(Zeroizing<String>, AccountView),
    /// Somebody was, but the keychain does not give it, and why. It stays there.
    Withheld(KeychainError),
}

impl Login {
    /// At a server. `program` tells this data folder from others of the same person.
    #[must_use]
    pub fn new(cache: Cache, keychain: Arc<dyn Keychain>, server: &str, program: &str) -> Self {
        let name = format!("{server} {program}");
        Self { cache, keychain, server: server.to_owned(), name, turn: Mutex::default() }
    }

    /// What is left of the last log-in.
    ///
    /// # Errors
    /// When the app's file cannot be read.
    pub async fn remembered(&self) -> Result<Remembered, CacheError> {
        let Some(StoredSession { token, account }) = self.cache.session(&self.server)? else {
            return Ok(Remembered::Nothing);
        };
        if let Token::Here(token) = token {
            return Ok(Remembered::Session(token, account));
        }
        let _turn = self.turn.lock().await;
        let (keychain, name) = (Arc::clone(&self.keychain), self.name.clone());
        Ok(match ask(READ, move || keychain.read(&name)).await {
            Ok(Some(token)) => Remembered::Session(token, account),
            Ok(None) => {
                // The person took it out there: that is a log-out.
                self.cache.set_session(&self.server, None)?;
                Remembered::Nothing
            }
            Err(error) => {
                tracing::warn!(%error, "the log-in stays in the keychain");
                Remembered::Withheld(error)
            }
        })
    }

    /// Somebody logged in. [`Self::tuck_away`] is to follow.
    ///
    /// # Errors
    /// When the app's file cannot be written.
    pub fn remember(&self, token: Zeroizing<String>, account: AccountView) -> Result<(), CacheError> {
        self.cache.set_session(&self.server, Some(&StoredSession { token: Token::Here(token), account }))
    }

    /// The account has another name.
    ///
    /// # Errors
    /// As for [`Self::remember`].
    pub fn renamed(&self, account: &AccountView) -> Result<(), CacheError> {
        self.cache.set_account(&self.server, account)
    }

    /// Nobody is logged in any more. What is in the keychain goes by itself.
    ///
    /// # Errors
    /// As for [`Self::remember`].
    pub fn forget(self: &Arc<Self>) -> Result<(), CacheError> {
        let there = self.cache.session(&self.server)?.is_some_and(|s| matches!(s.token, Token::Keychain));
        self.cache.set_session(&self.server, None)?;
        if there {
            let login = Arc::clone(self);
            tokio::spawn(async move { login.take_out().await });
        }
        Ok(())
    }

    async fn take_out(&self) {
        let _turn = self.turn.lock().await;
        // Somebody may have logged in again meanwhile.
        if !matches!(self.cache.session(&self.server), Ok(None)) {
            return;
        }
        let (keychain, name) = (Arc::clone(&self.keychain), self.name.clone());
        if let Err(error) = ask(WRITE, move || keychain.forget(&name)).await {
            tracing::warn!(%error, "the log-in is over, but stays in the keychain");
        }
    }

    /// Moves the log-in from the file to the keychain, if there is one.
    pub async fn tuck_away(&self) {
        let _turn = self.turn.lock().await;
        let Ok(Some(StoredSession { token: Token::Here(token), .. })) = self.cache.session(&self.server) else {
            return;
        };
        let (keychain, name, secret) = (Arc::clone(&self.keychain), self.name.clone(), token.clone());
        if let Err(error) = ask(WRITE, move || keychain.write(&name, &secret)).await {
            tracing::info!(%error, "the log-in is kept in the app's own file");
            return;
        }
        match self.cache.tucked_away(&self.server, &token) {
            Ok(true) => {}
            // Logged out meanwhile, or in again: that log-in's turn comes.
            Ok(false) => {
                let (keychain, name) = (Arc::clone(&self.keychain), self.name.clone());
                let _ = ask(WRITE, move || keychain.forget(&name)).await;
            }
            Err(error) => tracing::warn!(%error, "the log-in is in the keychain and in the app's own file"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use mujian_protocol::api::Role;
    use mujian_protocol::{AccountId, WallTime};

    use super::*;

    #[derive(Debug, Default)]
    struct Fake {
        kept: parking_lot::Mutex<HashMap<String, String>>,
        /// It is locked, or there is none.
        refuses: std::sync::atomic::AtomicBool,
        /// What happens while it thinks.
        meanwhile: parking_lot::Mutex<Option<Meanwhile>>,
    }

    #[derive(Clone, Debug)]
    enum Meanwhile {
        LogOut(Cache),
        LogIn(Cache),
    }

    impl Fake {
        fn answer(&self) -> Result<(), KeychainError> {
            match self.meanwhile.lock().take() {
                Some(Meanwhile::LogOut(cache)) => cache.set_session(SERVER, None).unwrap(),
                Some(Meanwhile::LogIn(cache)) => {
                    let token = Token::Here(secret("second"));
                    cache.set_session(SERVER, Some(&StoredSession { token, account: account() })).unwrap();
                }
                None => {}
            }
            let refuses = self.refuses.load(std::sync::atomic::Ordering::SeqCst);
            if refuses { Err(KeychainError::Refused("it is locked".into())) } else { Ok(()) }
        }
    }

    impl Keychain for Fake {
        fn read(&self, name: &str) -> Result<Option<Zeroizing<String>>, KeychainError> {
            self.answer()?;
            Ok(self.kept.lock().get(name).cloned().map(Zeroizing::new))
        }
        fn write(&self, name: &str, secret: &str) -> Result<(), KeychainError> {
            self.answer()?;
            self.kept.lock().insert(name.into(), secret.into());
            Ok(())
        }
        fn forget(&self, name: &str) -> Result<(), KeychainError> {
            self.answer()?;
            self.kept.lock().remove(name);
            Ok(())
        }
    }

    const SERVER: &str = "https://live.example";

    fn secret(words: &str) -> Zeroizing<String> {
        Zeroizing::new(words.to_owned())
    }

    fn account() -> AccountView {
        static ID: std::sync::LazyLock<AccountId> = std::sync::LazyLock::new(AccountId::new);
        AccountView { id: ID.clone(), name: "甲".into(), role: Role::Viewer, created_at: WallTime(5) }
    }

    fn desk() -> (Cache, Arc<Fake>, Arc<Login>) {
        let (cache, keychain) = (Cache::in_memory().unwrap(), Arc::new(Fake::default()));
        let login = Login::new(cache.clone(), Arc::clone(&keychain) as Arc<dyn Keychain>, SERVER, "this one");
        (cache, keychain, Arc::new(login))
    }

    async fn token(login: &Login) -> Option<String> {
        match login.remembered().await.unwrap() {
            Remembered::Session(token, _) => Some(token.to_string()),
            Remembered::Nothing | Remembered::Withheld(_) => None,
        }
    }

    fn in_file(cache: &Cache) -> Option<String> {
        match cache.session(SERVER).unwrap()?.token {
            Token::Here(token) => Some(token.to_string()),
            Token::Keychain => None,
        }
    }

    #[tokio::test]
    async fn a_log_in_moves_into_the_keychain_and_is_read_from_there() {
        let (cache, keychain, login) = desk();
        login.remember(secret("first"), account()).unwrap();
        assert_eq!(token(&login).await.as_deref(), Some("first"), "before it has moved");
        login.tuck_away().await;
        assert_eq!(in_file(&cache), None);
        assert_eq!(token(&login).await.as_deref(), Some("first"));
        // Another name changes nothing of it.
        let named = AccountView { name: "乙".into(), ..account() };
        login.renamed(&named).unwrap();
        assert!(matches!(login.remembered().await.unwrap(), Remembered::Session(t, a) if *t == "first" && a == named));
        login.remember(secret("second"), account()).unwrap();
        login.tuck_away().await;
        assert_eq!(token(&login).await.as_deref(), Some("second"));
        login.forget().unwrap();
        login.take_out().await;
        assert_eq!(token(&login).await, None);
        assert!(keychain.kept.lock().is_empty());
    }

    #[tokio::test]
    async fn without_a_keychain_it_stays_in_the_file() {
        let (cache, keychain, login) = desk();
        keychain.refuses.store(true, std::sync::atomic::Ordering::SeqCst);
        login.remember(secret("first"), account()).unwrap();
        login.tuck_away().await;
        assert_eq!(in_file(&cache).as_deref(), Some("first"));
        assert_eq!(token(&login).await.as_deref(), Some("first"));
        // There is one at the next start.
        keychain.refuses.store(false, std::sync::atomic::Ordering::SeqCst);
        login.tuck_away().await;
        assert_eq!(in_file(&cache), None);
        // And it is locked at the one after: nothing is lost.
        keychain.refuses.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(login.remembered().await.unwrap(), Remembered::Withheld(KeychainError::Refused(_))));
        keychain.refuses.store(false, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(token(&login).await.as_deref(), Some("first"));
        // The person takes it out: that is a log-out.
        keychain.kept.lock().clear();
        assert_eq!(token(&login).await, None);
        assert!(cache.session(SERVER).unwrap().is_none());
    }

    #[tokio::test]
    async fn what_happens_while_the_keychain_thinks_counts() {
        let (cache, keychain, login) = desk();
        login.remember(secret("first"), account()).unwrap();
        *keychain.meanwhile.lock() = Some(Meanwhile::LogOut(cache.clone()));
        login.tuck_away().await;
        assert!(keychain.kept.lock().is_empty() && token(&login).await.is_none(), "logged out");

        login.remember(secret("first"), account()).unwrap();
        *keychain.meanwhile.lock() = Some(Meanwhile::LogIn(cache.clone()));
        login.tuck_away().await;
        assert_eq!(token(&login).await.as_deref(), Some("second"));
        login.tuck_away().await;
        assert_eq!((in_file(&cache), token(&login).await.as_deref()), (None, Some("second")));

        // Logged out and in again before the keychain had its turn.
        login.forget().unwrap();
        login.remember(secret("third"), account()).unwrap();
        login.tuck_away().await;
        login.take_out().await;
        assert_eq!(token(&login).await.as_deref(), Some("third"));
    }

    #[tokio::test]
    async fn two_data_folders_have_log_ins_of_their_own() {
        let keychain = Arc::new(Fake::default());
        let of = |program: &str| {
            let chain = Arc::clone(&keychain) as Arc<dyn Keychain>;
            Login::new(Cache::in_memory().unwrap(), chain, SERVER, program)
        };
        let (one, other) = (of("one"), of("other"));
        for (login, words) in [(&one, "first"), (&other, "second")] {
            login.remember(secret(words), account()).unwrap();
            login.tuck_away().await;
        }
        assert_eq!(token(&one).await.as_deref(), Some("first"));
        assert_eq!(token(&other).await.as_deref(), Some("second"));
    }
}
