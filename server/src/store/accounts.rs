//! Accounts.

use mujian_protocol::api::{AccountView, Person, Role};
use mujian_protocol::audit::AuditAction;
use mujian_protocol::{AccountId, WallTime};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::migrations::Migration;
use super::{Concerned, Hand, Store, StoreError, audit, search, sessions};

pub(super) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    sql: "
        CREATE TABLE meta (
            key TEXT PRIMARY KEY,
            value ANY NOT NULL
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE accounts (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            -- The name as it is compared: two people cannot look the same.
            name_key TEXT NOT NULL UNIQUE,
            -- A PHC string of argon2id; NULL: nobody logs in with a password.
            password TEXT,
            role TEXT NOT NULL CHECK (role IN ('viewer', 'streamer', 'moderator', 'operator')),
            created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID;
    ",
}];

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The name shown.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// When it was made.
    pub created_at: WallTime,
}

impl Account {
    /// As its owner sees it.
    #[must_use]
    pub fn view(&self) -> AccountView {
        AccountView { id: self.id.clone(), name: self.name.clone(), role: self.role, created_at: self.created_at }
    }

    /// As others see it.
    #[must_use]
    pub fn person(&self) -> Person {
        Person { id: self.id.clone(), name: self.name.clone() }
    }
}

/// An account with what a log-in needs.
#[derive(Clone)]
pub struct AccountRow {
    /// The account.
    pub account: Account,
    /// The PHC string, if it has a password.
    pub password: Option<String>,
}

/// What became of a change of role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// It was done.
    Done(Account),
    /// There is no such account.
    Unknown,
    /// Nobody would run the server any more.
    LastOperator,
}

/// An account to be made.
pub struct NewAccount {
    /// The name shown.
    pub name: String,
    /// The name as it is compared.
    pub name_key: String,
    /// The PHC string, if it has a password.
    pub password: Option<String>,
    /// What it may do.
    pub role: Role,
    /// When it is made.
    pub at: WallTime,
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Streamer => "streamer",
        Role::Moderator => "moderator",
        Role::Operator => "operator",
    }
}

fn role_of(name: &str) -> Role {
    match name {
        "streamer" => Role::Streamer,
        "moderator" => Role::Moderator,
        "operator" => Role::Operator,
        // The table allows no other.
        _ => Role::Viewer,
    }
}

/// Reads `id, name, role, created_at` from a column on.
pub(super) fn account_at(row: &Row<'_>, first: usize) -> rusqlite::Result<Account> {
    Ok(Account {
        id: parsed(row, first)?,
        name: row.get(first + 1)?,
        role: role_of(row.get_ref(first + 2)?.as_str()?),
        created_at: WallTime(row.get(first + 3)?),
    })
}

/// Reads an identifier, which the database holds as text.
pub(super) fn parsed<T: std::str::FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(index)?.as_str()?;
    text.parse()
        .map_err(|e: T::Err| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(e)))
}

impl Store {
    /// Makes an account. None: the name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_account(&self, new: NewAccount) -> Result<Option<Account>, StoreError> {
        self.create_account_by(new, None).await
    }

    /// The same, and who made it where that is not whose it is. None: the name is taken.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create_account_by(&self, new: NewAccount, hand: Option<Hand>) -> Result<Option<Account>, StoreError> {
        let account = Account { id: AccountId::new(), name: new.name, role: new.role, created_at: new.at };
        self.write(move |c| {
            let made = c.execute(
                "INSERT INTO accounts (id, name, name_key, password, role, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (name_key) DO NOTHING",
                params![
                    account.id.as_str(),
                    account.name,
                    new.name_key,
                    new.password,
                    role_name(account.role),
                    account.created_at.millis()
                ],
            )?;
            if let Some(hand) = hand.filter(|_| made == 1) {
                let on = Concerned { account: Some(account.id.clone()), room: None };
                audit::note(c, &hand, &AuditAction::AccountMade, &on)?;
            }
            Ok((made == 1).then_some(account))
        })
        .await
    }

    /// An account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, StoreError> {
        self.read(move |c| {
            c.prepare_cached("SELECT id, name, role, created_at FROM accounts WHERE id = ?1 AND deleted_at IS NULL")?
                .query_row([id.as_str()], |r| account_at(r, 0))
                .optional()
        })
        .await
    }

    /// The account of a name, for a log-in.
    ///
    /// # Errors
    /// The database failed.
    pub async fn account_by_name(&self, name_key: String) -> Result<Option<AccountRow>, StoreError> {
        self.read(move |c| {
            c.prepare_cached("SELECT id, name, role, created_at, password FROM accounts WHERE name_key = ?1")?
                .query_row([name_key], |r| Ok(AccountRow { account: account_at(r, 0)?, password: r.get(4)? }))
                .optional()
        })
        .await
    }

    /// The PHC string of an account's password. None: there is no such account, or it has no password.
    ///
    /// # Errors
    /// The database failed.
    pub async fn password(&self, id: AccountId) -> Result<Option<String>, StoreError> {
        self.read(move |c| {
            let found = c
                .prepare_cached("SELECT password FROM accounts WHERE id = ?1")?
                .query_row([id.as_str()], |r| r.get::<_, Option<String>>(0))
                .optional()?;
            Ok(found.flatten())
        })
        .await
    }

    /// Replaces a password, if it is still `old`, and ends the account's sessions but the one that asks. Says
    /// whether it was.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_password(
        &self,
        id: AccountId,
        old: String,
        new: String,
        but: [u8; 32],
    ) -> Result<bool, StoreError> {
        self.write(move |c| {
            let changed = c.execute(
                "UPDATE accounts SET password = ?3 WHERE id = ?1 AND password = ?2",
                params![id.as_str(), old, new],
            )?;
            if changed == 1 {
                sessions::delete_all(c, &id, Some(but))?;
            }
            Ok(changed == 1)
        })
        .await
    }

    /// The first operator there was, if there is one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn first_operator(&self) -> Result<Option<Account>, StoreError> {
        self.read(first_operator).await
    }

    /// Changes what an account may do. There is always an operator, once there is one. `hand`: who did it, where
    /// somebody did.
    ///
    /// # Errors
    /// The database failed.
    pub async fn set_role(&self, id: AccountId, role: Role, hand: Option<Hand>) -> Result<RoleChange, StoreError> {
        self.write(move |c| {
            let Some(mut account) = by_id(c, &id)? else { return Ok(RoleChange::Unknown) };
            if account.role == Role::Operator && role != Role::Operator {
                let operators: u32 =
                    c.query_row("SELECT count(*) FROM accounts WHERE role = 'operator'", [], |r| r.get(0))?;
                if operators <= 1 {
                    return Ok(RoleChange::LastOperator);
                }
            }
            c.execute("UPDATE accounts SET role = ?2 WHERE id = ?1", params![id.as_str(), role_name(role)])?;
            let from = std::mem::replace(&mut account.role, role);
            if let Some(hand) = hand.filter(|_| from != role) {
                let on = Concerned { account: Some(id), room: None };
                audit::note(c, &hand, &AuditAction::RoleChanged { from, to: role }, &on)?;
            }
            Ok(RoleChange::Done(account))
        })
        .await
    }

    /// Gives an account another name. None: the name is somebody else's, or there is no such account.
    ///
    /// # Errors
    /// The database failed.
    pub async fn rename(&self, id: AccountId, name: String, name_key: String) -> Result<Option<Account>, StoreError> {
        self.write(move |c| {
            let changed = c.execute(
                "UPDATE OR IGNORE accounts SET name = ?2, name_key = ?3 WHERE id = ?1 AND deleted_at IS NULL",
                params![id.as_str(), name, name_key],
            )?;
            if changed != 1 {
                return Ok(None);
            }
            search::renamed(c, &id)?;
            by_id(c, &id)
        })
        .await
    }

    /// Makes an account an operator, if there is none yet. None: there is one already.
    ///
    /// # Errors
    /// The database failed.
    pub async fn make_first_operator(&self, id: AccountId, at: WallTime) -> Result<Option<Account>, StoreError> {
        self.write(move |c| {
            if first_operator(c)?.is_some() {
                return Ok(None);
            }
            let sql = "UPDATE accounts SET role = 'operator' WHERE id = ?1 AND deleted_at IS NULL";
            if c.execute(sql, [id.as_str()])? == 0 {
                return Ok(None);
            }
            let on = Concerned { account: Some(id.clone()), room: None };
            audit::note(c, &Hand { by: Some(id), at }, &AuditAction::BecameOperator, &on)?;
            first_operator(c)
        })
        .await
    }
}

fn by_id(c: &Connection, id: &AccountId) -> rusqlite::Result<Option<Account>> {
    c.prepare_cached("SELECT id, name, role, created_at FROM accounts WHERE id = ?1 AND deleted_at IS NULL")?
        .query_row([id.as_str()], |r| account_at(r, 0))
        .optional()
}

/// A viewer who makes a room is a streamer.
pub(super) fn promote_to_streamer(c: &Connection, id: &AccountId) -> rusqlite::Result<()> {
    c.execute("UPDATE accounts SET role = 'streamer' WHERE id = ?1 AND role = 'viewer'", [id.as_str()])?;
    Ok(())
}

fn first_operator(c: &Connection) -> rusqlite::Result<Option<Account>> {
    c.prepare_cached(
        "SELECT id, name, role, created_at FROM accounts WHERE role = 'operator' ORDER BY created_at, id LIMIT 1",
    )?
    .query_row([], |r| account_at(r, 0))
    .optional()
}
