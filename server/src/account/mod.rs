//! Accounts: names, passwords, sessions, and who the operator is.

mod code;
mod endings;
mod password;
mod setup;
mod token;

use std::time::Duration;

use mujian_protocol::api::{
    Credentials, NAME_MAX, PASSWORD_MAX, PASSWORD_MIN, PasswordChange, RecoveryCode, RecoveryRequest, Role, SessionView,
};
use mujian_protocol::{AccountId, ApiError, ErrorCode, Field, Problem, WallTime};
use tokio::sync::broadcast;

pub use endings::Ending;
pub use setup::SetupCode;
pub use token::{SecretToken, TokenHash};

use crate::clock::Clock;
use crate::store::{Account, AccountRow, Deletion, Hand, KeptRecovery, NewAccount, NewRecovery, Store, StoreError};
use crate::text;

/// A session ends so long after it was last used.
pub const SESSION_LIFE: Duration = Duration::from_hours(30 * 24);
/// A session's end is moved only when that moves it by so much: not every call is a write.
const SLIDE: Duration = Duration::from_hours(24);

/// A recovery code is good for so long.
pub const RECOVERY_LIFE: Duration = Duration::from_hours(24);
/// Wrong codes that may be tried against one.
const RECOVERY_TRIES: u32 = 10;

/// Makes accounts and sessions.
#[derive(Debug)]
pub struct Accounts {
    passwords: password::Passwords,
    endings: endings::Endings,
}

/// Why an account or a session was not made.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// For the person who asked.
    #[error(transparent)]
    Refused(#[from] ApiError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn refuse<T>(code: ErrorCode, message: impl Into<String>) -> Result<T, AccountError> {
    Err(AccountError::Refused(ApiError::new(code, message)))
}

/// Checks a name and gives it as it is shown.
///
/// # Errors
/// It is too short or too long, or has characters that are not allowed.
pub fn check_name(name: &str) -> Result<String, ApiError> {
    let taken = text::line(name, 1, NAME_MAX).map_err(|e| {
        ApiError::new(ErrorCode::InvalidRequest, format!("The name {e}; take 1 to {NAME_MAX} characters."))
            .about(e.problem(Field::Name))
    })?;
    if text::name_key(&taken).is_empty() {
        return Err(ApiError::new(ErrorCode::InvalidRequest, "The name has nothing that can be seen.")
            .about(Problem::TextEmpty { field: Field::Name }));
    }
    Ok(taken)
}

fn check_password(password: &str) -> Result<(), ApiError> {
    if password.len() > PASSWORD_MAX {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("The password is longer than {PASSWORD_MAX} bytes."),
        )
        .about(Problem::PasswordLong));
    }
    if password.chars().count() < PASSWORD_MIN {
        return Err(ApiError::new(
            ErrorCode::InvalidRequest,
            format!("The password is too short; take {PASSWORD_MIN} characters or more."),
        )
        .about(Problem::PasswordShort { min: PASSWORD_MIN as u32 }));
    }
    Ok(())
}

impl Accounts {
    /// With as many hashes at a time as suits this machine.
    #[must_use]
    pub fn new() -> Self {
        Self { passwords: password::Passwords::new(), endings: endings::Endings::new() }
    }

    /// Makes an account and its first session. `operator`: who makes it, where that is not whose it will be.
    ///
    /// # Errors
    /// The name or the password is not taken, the name belongs to somebody, too many ask at once, or
    /// the database failed.
    pub async fn sign_up(
        &self,
        store: &Store,
        clock: &Clock,
        ask: &Credentials,
        operator: Option<AccountId>,
    ) -> Result<SessionView, AccountError> {
        let name = check_name(&ask.name)?;
        check_password(&ask.password)?;
        let key = text::name_key(&name);
        // Before the costly hash; the database decides in the end.
        if store.account_by_name(key.clone()).await?.is_some() {
            return name_taken();
        }
        let password = Some(self.passwords.hash(&ask.password).await?);
        let new = NewAccount { name, name_key: key, password, role: Role::Viewer, at: clock.wall() };
        let hand = operator.map(|id| Hand { by: Some(id), at: clock.wall() });
        match store.create_account_by(new, hand).await? {
            Some(account) => Ok(begin_session(store, clock, &account).await?),
            None => name_taken(),
        }
    }

    /// Gives an account another name, by the rules of [`sign_up`](Self::sign_up).
    ///
    /// # Errors
    /// The name is not taken, it belongs to somebody else, or the database failed.
    pub async fn rename(&self, store: &Store, account: &Account, name: &str) -> Result<Account, AccountError> {
        let name = check_name(name)?;
        let key = text::name_key(&name);
        match store.rename(account.id.clone(), name, key).await? {
            Some(account) => Ok(account),
            None => name_taken(),
        }
    }

    /// Begins a session for who knows the password.
    ///
    /// # Errors
    /// The name or the password is wrong (it is not told which), too many ask at once, or the database failed.
    pub async fn log_in(&self, store: &Store, clock: &Clock, ask: &Credentials) -> Result<SessionView, AccountError> {
        let wrong = || refuse(ErrorCode::WrongCredentials, "The name or the password is wrong.");
        if ask.password.len() > PASSWORD_MAX || ask.name.len() > 16 * NAME_MAX {
            return wrong();
        }
        let row = store.account_by_name(text::name_key(&ask.name)).await?;
        let hash = row.as_ref().and_then(|r| r.password.clone());
        // Somebody who does not exist takes as long as somebody who does.
        let right = self.passwords.verify(&ask.password, hash).await?;
        let Some(AccountRow { account, password: Some(password) }) = row.filter(|_| right) else { return wrong() };
        let (token, now) = (SecretToken::new(), clock.wall());
        let (hash, end) = (token.hash().0, after(now, SESSION_LIFE));
        if !store.create_session_by(password, hash, account.id.clone(), now, end).await? {
            return wrong();
        }
        Ok(SessionView { account: account.view(), token: token.reveal() })
    }

    /// Checks that whoever uses an account's session also knows its password; gives the password's PHC string.
    ///
    /// # Errors
    /// It is wrong, the account has none, too many ask at once, or the database failed.
    pub async fn confirm(&self, store: &Store, account: &Account, password: &str) -> Result<String, AccountError> {
        let Some(known) = store.password(account.id.clone()).await? else {
            let sentence = "This account has no password: the app that hosts the server is logged in by itself.";
            return Err(ApiError::new(ErrorCode::Conflict, sentence).about(Problem::PasswordNone).into());
        };
        if password.len() <= PASSWORD_MAX && self.passwords.verify(password, Some(known.clone())).await? {
            return Ok(known);
        }
        let wrong = ApiError::new(ErrorCode::WrongCredentials, "The password is wrong.");
        Err(wrong.about(Problem::PasswordWrong).into())
    }

    /// Changes the password for who knows the old one. The session that asks goes on; the account's others end.
    ///
    /// # Errors
    /// The old password is wrong, the new one is not taken, too many ask at once, or the database failed.
    pub async fn change_password(
        &self,
        store: &Store,
        (account, session): (&Account, TokenHash),
        ask: &PasswordChange,
    ) -> Result<(), AccountError> {
        check_password(&ask.new)?;
        let old = self.confirm(store, account, &ask.old).await?;
        let new = self.passwords.hash(&ask.new).await?;
        if !store.set_password(account.id.clone(), old, new, session.0).await? {
            let wrong = ApiError::new(ErrorCode::WrongCredentials, "The password was changed a moment ago.");
            return Err(wrong.about(Problem::PasswordWrong).into());
        }
        self.endings.tell(Ending::All(account.id.clone(), Some(session)));
        Ok(())
    }

    /// Sets a new password for who has a code of the operator's; all sessions of the account end. Gives whose it is.
    ///
    /// # Errors
    /// The name or the code is wrong (it is not told which) or used up, the password is not taken, too many ask at
    /// once, or the database failed.
    pub async fn recover(
        &self,
        store: &Store,
        clock: &Clock,
        ask: &RecoveryRequest,
    ) -> Result<AccountId, AccountError> {
        check_password(&ask.password)?;
        let row = if ask.name.len() <= 16 * NAME_MAX {
            store.account_by_name(text::name_key(&ask.name)).await?
        } else {
            None
        };
        // Somebody who does not exist takes as long as somebody who does.
        let password = self.passwords.hash(&ask.password).await?;
        if let Some(AccountRow { account: Account { id, .. }, .. }) = row {
            let hash = code::Recovery::typed(&ask.code).hash(&id);
            if store.recover(id.clone(), hash, password, clock.wall()).await? {
                self.endings.tell(Ending::All(id.clone(), None));
                return Ok(id);
            }
        }
        let sentence = "The name or the recovery code is wrong, or the code was used or is too old. Ask the operator for another one.";
        Err(ApiError::new(ErrorCode::WrongCredentials, sentence).about(Problem::RecoveryWrong).into())
    }

    /// Deletes an account for who knows its password.
    ///
    /// # Errors
    /// The password is wrong, the account has none, too many ask at once, or the database failed.
    pub async fn delete(
        &self,
        store: &Store,
        clock: &Clock,
        account: &Account,
        password: &str,
    ) -> Result<Deletion, AccountError> {
        let known = self.confirm(store, account, password).await?;
        let deletion = store.delete_account(account.id.clone(), known, clock.wall()).await?;
        if matches!(deletion, Deletion::Done { .. }) {
            self.endings.tell(Ending::All(account.id.clone(), None));
        }
        Ok(deletion)
    }

    /// Ends one session.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_session(&self, store: &Store, session: TokenHash) -> Result<(), StoreError> {
        store.delete_session(session.0).await?;
        self.endings.tell(Ending::One(session));
        Ok(())
    }

    /// Ends all sessions of an account but one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn end_other_sessions(
        &self,
        store: &Store,
        account: &AccountId,
        but: TokenHash,
    ) -> Result<(), StoreError> {
        store.delete_other_sessions(account.clone(), but.0).await?;
        self.endings.tell(Ending::All(account.clone(), Some(but)));
        Ok(())
    }

    /// Sessions that end from now on. To be asked for before the session is looked up, so that none falls between.
    #[must_use]
    pub fn endings(&self) -> broadcast::Receiver<Ending> {
        self.endings.listen()
    }

    /// Begins a session for the first operator, who is made if there is none.
    ///
    /// # Errors
    /// The database failed.
    pub async fn operator_session(&self, store: &Store, clock: &Clock, name: &str) -> Result<SessionView, StoreError> {
        if let Some(operator) = store.first_operator().await? {
            return begin_session(store, clock, &operator).await;
        }
        let base = check_name(name).unwrap_or_else(|_| "host".into());
        for attempt in 1u32.. {
            let name = if attempt == 1 { base.clone() } else { numbered(&base, attempt) };
            let name_key = text::name_key(&name);
            let new = NewAccount { name, name_key, password: None, role: Role::Operator, at: clock.wall() };
            if let Some(account) = store.create_account(new).await? {
                return begin_session(store, clock, &account).await;
            }
        }
        Err(StoreError::Failed("every name is taken".into()))
    }

    /// The account of a session's token, if the session has not ended. Its end moves with its use.
    ///
    /// # Errors
    /// The database failed.
    pub async fn session(
        &self,
        store: &Store,
        clock: &Clock,
        token: &str,
    ) -> Result<Option<(Account, TokenHash)>, StoreError> {
        let Some(hash) = TokenHash::of(token) else { return Ok(None) };
        let now = clock.wall();
        let Some(row) = store.session(hash.0, now).await? else { return Ok(None) };
        let end = after(now, SESSION_LIFE);
        if end.millis() - row.expires_at.millis() > as_millis(SLIDE) {
            store.extend_session(hash.0, end).await?;
        }
        Ok(Some((row.account, hash)))
    }
}

/// What came of making a recovery code.
pub enum Recovery {
    /// It is made.
    Made(RecoveryCode),
    /// There is no such account.
    Unknown,
    /// The account has no password that could have been lost: the app that hosts the server uses it, and would be logged out.
    NoPassword,
}

/// Makes a code that sets an account's password once; an older one ends. `hand`: who makes it.
///
/// # Errors
/// The database failed.
pub async fn make_recovery(store: &Store, account: &AccountId, hand: Hand) -> Result<Recovery, StoreError> {
    let code = code::Recovery::new();
    let expires_at = after(hand.at, RECOVERY_LIFE);
    let (account, code_hash) = (account.clone(), code.hash(account));
    let new = NewRecovery { account, code_hash, hand, expires_at, tries: RECOVERY_TRIES };
    Ok(match store.keep_recovery(new).await? {
        KeptRecovery::Done => Recovery::Made(RecoveryCode { code: code.reveal(), expires_at }),
        KeptRecovery::Unknown => Recovery::Unknown,
        KeptRecovery::NoPassword => Recovery::NoPassword,
    })
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new()
    }
}

fn name_taken<T>() -> Result<T, AccountError> {
    refuse(ErrorCode::NameTaken, "This name belongs to somebody else; choose another one.")
}

/// `base` with a number, cut so that it stays short enough.
fn numbered(base: &str, number: u32) -> String {
    let suffix = format!("-{number}");
    base.chars().take(NAME_MAX - suffix.len()).chain(suffix.chars()).collect()
}

async fn begin_session(store: &Store, clock: &Clock, account: &Account) -> Result<SessionView, StoreError> {
    let token = SecretToken::new();
    let now = clock.wall();
    store.create_session(token.hash().0, account.id.clone(), now, after(now, SESSION_LIFE)).await?;
    Ok(SessionView { account: account.view(), token: token.reveal() })
}

fn as_millis(d: Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

/// The wall time so much later.
#[must_use]
pub fn after(at: WallTime, d: Duration) -> WallTime {
    WallTime(at.millis().saturating_add(as_millis(d)))
}
