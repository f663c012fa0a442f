//! The log-in at a server that others run, remembered from one start to the next: in the system's keychain, and where there
//! is none in the app's own file, which nobody else can read.
//!
//! A log-in is written to the file first and moved from there: a keychain may ask the person something, and a log-in neither
//! waits for the answer nor is lost with it.

use std::sync::Arc;
use std::time::Duration;

use mujian_protocol::api::AccountView;
use mujian_protocol::app::Withheld;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::cache::{Cache, CacheError, StoredSession, Token};
use crate::keychain::{Keychain, KeychainError, ask};

/// A start waits for the keychain no longer than this: it may ask for its password.
const READ: Duration = Duration::from_secs(20);
/// Nobody waits for what is moved into it, or taken out.
const WRITE: Duration = Duration::from_secs(300);
/// The setting that says that the keychain refused: it is not asked at each start, only after the next log-in.
const REFUSED: &str = "keychain refused";

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
#[derive(Debug)]
pub enum Remembered {
    /// Nobody was logged in.
    Nothing,
    /// Somebody is.
    Session(Zeroizing<String>, AccountView),
    /// Somebody was, but the keychain does not give it, and why. It stays where it is.
    Withheld(Withheld),
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
        Ok(match self.ask(READ, |keychain, name| keychain.read(name)).await {
            Ok(Some(token)) => Remembered::Session(token, account),
            // A keychain that is not open may say so, too.
            Ok(None) => Remembered::Withheld(Withheld::Missing),
            Err(error) => {
                tracing::warn!(%error, "the log-in stays in the keychain");
                Remembered::Withheld(match error {
                    KeychainError::Locked(_) => Withheld::Locked,
                    KeychainError::Late(_) => Withheld::Late,
                    KeychainError::Failed(_) => Withheld::Failed,
                })
            }
        })
    }

    /// Somebody logged in. [`Self::settle`] is to follow.
    ///
    /// # Errors
    /// When the app's file cannot be written.
    pub fn remember(&self, token: &str, account: &AccountView) -> Result<(), CacheError> {
        self.cache.set_session(&self.server, token, account)?;
        self.cache.forget_setting(REFUSED)
    }

    /// The account has another name.
    ///
    /// # Errors
    /// As for [`Self::remember`].
    pub fn renamed(&self, account: &AccountView) -> Result<(), CacheError> {
        self.cache.set_account(&self.server, account)
    }

    /// Nobody is logged in any more. [`Self::settle`] is to follow.
    ///
    /// # Errors
    /// As for [`Self::remember`].
    pub fn forget(&self) -> Result<(), CacheError> {
        self.cache.end_session(&self.server)
    }

    /// Makes the keychain, if there is one, hold what counts: the log-in, which leaves the file, or nothing. What does not
    /// come to its end now does at the next start.
    pub async fn settle(&self) {
        let _turn = self.turn.lock().await;
        if let Err(error) = self.settle_in_turn().await {
            tracing::warn!(%error, "what the keychain holds could not be settled");
        }
    }

    async fn settle_in_turn(&self) -> Result<(), CacheError> {
        loop {
            let token = match self.cache.session(&self.server)? {
                Some(StoredSession { token: Token::Here(token), .. }) => Some(token),
                None if self.cache.in_keychain(&self.server)? => None,
                _ => return Ok(()),
            };
            if self.cache.setting(REFUSED)?.is_some() {
                return Ok(());
            }
            let asked = match token.clone() {
                Some(token) => {
                    // Before it is there: whatever happens now, it is taken out one day.
                    if !self.cache.set_in_keychain(&self.server, true)? {
                        continue;
                    }
                    self.ask(WRITE, move |keychain, name| keychain.write(name, &token)).await
                }
                None => self.ask(WRITE, |keychain, name| keychain.forget(name)).await,
            };
            if let Err(error) = asked {
                tracing::info!(%error, "the keychain does not take part");
                return self.cache.set_setting(REFUSED, "yes");
            }
            match token {
                Some(token) => self.cache.tucked_away(&self.server, &token)?,
                // Unless somebody logged in meanwhile, which the next round sees.
                None => drop(self.cache.set_in_keychain(&self.server, false)?),
            }
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        limit: Duration,
        act: impl FnOnce(&dyn Keychain, &str) -> Result<T, KeychainError> + Send + 'static,
    ) -> Result<T, KeychainError> {
        let (keychain, name) = (Arc::clone(&self.keychain), self.name.clone());
        ask(limit, move || act(&*keychain, &name)).await
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
        fn refuse(&self, yes: bool) {
            self.refuses.store(yes, std::sync::atomic::Ordering::SeqCst);
        }

        fn answer(&self) -> Result<(), KeychainError> {
            match self.meanwhile.lock().take() {
                Some(Meanwhile::LogOut(cache)) => cache.end_session(SERVER).unwrap(),
                Some(Meanwhile::LogIn(cache)) => cache.set_session(SERVER, "second", &account()).unwrap(),
                None => {}
            }
            let refuses = self.refuses.load(std::sync::atomic::Ordering::SeqCst);
            if refuses { Err(KeychainError::Locked("it is locked".into())) } else { Ok(()) }
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

    fn account() -> AccountView {
        static ID: std::sync::LazyLock<AccountId> = std::sync::LazyLock::new(AccountId::new);
        AccountView { id: ID.clone(), name: "甲".into(), role: Role::Viewer, created_at: WallTime(5) }
    }

    fn desk() -> (Cache, Arc<Fake>, Login) {
        let (cache, keychain) = (Cache::in_memory().unwrap(), Arc::new(Fake::default()));
        let login = Login::new(cache.clone(), Arc::clone(&keychain) as Arc<dyn Keychain>, SERVER, "this one");
        (cache, keychain, login)
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
        login.remember("first", &account()).unwrap();
        assert_eq!(token(&login).await.as_deref(), Some("first"), "before it has moved");
        login.settle().await;
        assert_eq!(in_file(&cache), None);
        assert_eq!(token(&login).await.as_deref(), Some("first"));
        // Another name changes nothing of it.
        let named = AccountView { name: "乙".into(), ..account() };
        login.renamed(&named).unwrap();
        assert!(matches!(login.remembered().await.unwrap(), Remembered::Session(t, a) if *t == "first" && a == named));
        login.remember("second", &account()).unwrap();
        login.settle().await;
        assert_eq!(token(&login).await.as_deref(), Some("second"));
        login.forget().unwrap();
        assert_eq!(token(&login).await, None);
        login.settle().await;
        assert!(keychain.kept.lock().is_empty() && !cache.in_keychain(SERVER).unwrap());
    }

    #[tokio::test]
    async fn without_a_keychain_it_stays_in_the_file() {
        let (cache, keychain, login) = desk();
        keychain.refuse(true);
        login.remember("first", &account()).unwrap();
        login.settle().await;
        assert_eq!(in_file(&cache).as_deref(), Some("first"));
        assert_eq!(token(&login).await.as_deref(), Some("first"));
        // Who dismissed its question is not asked again before the next log-in.
        keychain.refuse(false);
        login.settle().await;
        assert_eq!(in_file(&cache).as_deref(), Some("first"));
        login.remember("second", &account()).unwrap();
        login.settle().await;
        assert_eq!((in_file(&cache), token(&login).await.as_deref()), (None, Some("second")));
    }

    #[tokio::test]
    async fn what_the_keychain_withholds_is_not_lost() {
        let (cache, keychain, login) = desk();
        login.remember("first", &account()).unwrap();
        login.settle().await;
        keychain.refuse(true);
        assert!(matches!(login.remembered().await.unwrap(), Remembered::Withheld(Withheld::Locked)));
        keychain.refuse(false);
        assert_eq!(token(&login).await.as_deref(), Some("first"));
        // One that is not open may say that it has nothing.
        let kept = std::mem::take(&mut *keychain.kept.lock());
        assert!(matches!(login.remembered().await.unwrap(), Remembered::Withheld(Withheld::Missing)));
        *keychain.kept.lock() = kept;
        assert_eq!(token(&login).await.as_deref(), Some("first"));

        // Logged in anew while it is locked, and out again: the first one is taken out too, once it can be.
        keychain.refuse(true);
        login.remember("second", &account()).unwrap();
        login.settle().await;
        login.forget().unwrap();
        login.settle().await;
        assert!(cache.in_keychain(SERVER).unwrap());
        keychain.refuse(false);
        login.remember("third", &account()).unwrap();
        login.forget().unwrap();
        login.settle().await;
        assert!(keychain.kept.lock().is_empty() && !cache.in_keychain(SERVER).unwrap());
    }

    #[tokio::test]
    async fn what_happens_while_the_keychain_thinks_counts() {
        let (cache, keychain, login) = desk();
        login.remember("first", &account()).unwrap();
        *keychain.meanwhile.lock() = Some(Meanwhile::LogOut(cache.clone()));
        login.settle().await;
        assert!(keychain.kept.lock().is_empty() && token(&login).await.is_none(), "logged out");

        login.remember("first", &account()).unwrap();
        *keychain.meanwhile.lock() = Some(Meanwhile::LogIn(cache.clone()));
        login.settle().await;
        assert_eq!((in_file(&cache), token(&login).await.as_deref()), (None, Some("second")));

        // Logged out, and in again while the keychain forgets.
        login.forget().unwrap();
        *keychain.meanwhile.lock() = Some(Meanwhile::LogIn(cache.clone()));
        login.settle().await;
        assert_eq!((in_file(&cache), token(&login).await.as_deref()), (None, Some("second")));
        assert!(cache.in_keychain(SERVER).unwrap());
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
            login.remember(words, &account()).unwrap();
            login.settle().await;
        }
        assert_eq!(token(&one).await.as_deref(), Some("first"));
        assert_eq!(token(&other).await.as_deref(), Some("second"));
    }
}
