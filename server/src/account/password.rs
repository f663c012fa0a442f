//! Passwords: argon2id, off the threads that serve, a bounded number at a time.

use std::sync::Arc;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use mujian_protocol::{ApiError, ErrorCode, Problem};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Callers that may wait for their turn; the rest is asked to come again.
const WAITING: usize = 64;

/// A password that nobody has, hashed: what the password of somebody who does not exist is compared with.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmU$Zm9yIG5vYm9keSB3aGF0c29ldmVyLCBzbyBubyBtYXRjaA";

#[derive(Debug)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    /// Those that run and those that wait.
    places: Arc<Semaphore>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        // Each takes 19 MiB and tens of milliseconds of a core: half of the cores stay for the streams.
        let at_once = std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).clamp(1, 4));
        Self { turns: Arc::new(Semaphore::new(at_once)), places: Arc::new(Semaphore::new(at_once + WAITING)) }
    }

    /// The PHC string of a password, with a salt of its own.
    pub(super) async fn hash(&self, password: &str) -> Result<String, ApiError> {
        self.run(password, |password| {
            Argon2::default().hash_password(password).map(|h| h.to_string()).map_err(|_| internal())
        })
        .await?
    }

    /// Whether a password is the one of a PHC string. Without one the work is done all the same, and the answer is no.
    pub(super) async fn verify(&self, password: &str, phc: Option<String>) -> Result<bool, ApiError> {
        self.run(password, move |password| {
            let known = phc.is_some();
            let phc = phc.unwrap_or_else(|| NOBODY.to_owned());
            let right = PasswordHash::new(&phc).is_ok_and(|h| Argon2::default().verify_password(password, &h).is_ok());
            known && right
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        password: &str,
        work: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(ApiError::new(
                ErrorCode::RateLimited,
                "Too many people log in right now; try again in a few seconds.",
            )
            .about(Problem::Crowded));
        };
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| internal())?;
        let password = Zeroizing::new(password.as_bytes().to_vec());
        tokio::task::spawn_blocking(move || {
            let _held = (place, turn);
            work(&password)
        })
        .await
        .map_err(|_| internal())
    }
}

fn internal() -> ApiError {
    ApiError::new(ErrorCode::Internal, "The password could not be checked; this is a fault of the server.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_itself_and_no_other() {
        let passwords = Passwords::new();
        let (a, b) = (passwords.hash("correct horse").await.unwrap(), passwords.hash("correct horse").await.unwrap());
        assert!(a.starts_with("$argon2id$") && a != b);
        assert!(passwords.verify("correct horse", Some(a.clone())).await.unwrap());
        assert!(!passwords.verify("correct horses", Some(a)).await.unwrap());
        assert!(!passwords.verify("correct horse", None).await.unwrap());
        assert!(!passwords.verify("correct horse", Some("rubbish".into())).await.unwrap());
    }

    #[test]
    fn nobody_costs_as_much_as_somebody() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let somebody = Argon2::default().hash_password(b"somebody").unwrap();
        let cost = |h: &PasswordHash| (h.algorithm.to_string(), h.version, h.params.to_string());
        assert_eq!(cost(&nobody), cost(&somebody));
        assert!(nobody.hash.is_some());
    }
}
