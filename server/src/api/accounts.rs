//! Accounts, sessions, set-up.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use mujian_protocol::api::Role;
use mujian_protocol::api::{
    AccountDeletion, AccountPatch, AccountView, Credentials, NamePatch, PasswordChange, RecoveryCode, RecoveryRequest,
    SessionView, SetupRequest,
};
use mujian_protocol::audit::AuditPage;
use mujian_protocol::export::AccountExport;
use mujian_protocol::{AccountId, ApiError, ErrorCode, Problem};
use serde::Deserialize;
use tokio_util::task::TaskTracker;
use utoipa::IntoParams;

use super::extract::{Asked, Body, Caller, InPath, Peer, bearer};
use super::{Answer, Failure};
use crate::account::Recovery;
use crate::app::App;
use crate::limit::address_key;
use crate::store::{Account, Deletion, RoleChange};
use crate::text;

/// Makes an account, and a session for it.
#[utoipa::path(post, path = "/accounts", tag = "accounts", request_body = Credentials, responses(
    (status = 201, description = "The account, and its session's token", body = SessionView),
    (status = 400, description = "The name or the password is not taken", body = ApiError),
    (status = 403, description = "Registration is closed, and the caller is no operator", body = ApiError),
    (status = 409, description = "The name belongs to somebody", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn sign_up(
    State(app): State<Arc<App>>,
    peer: Peer,
    headers: HeaderMap,
    Body(ask): Body<Credentials>,
) -> Answer<(StatusCode, Json<SessionView>)> {
    // The first account may always be made: it becomes the operator's, who makes those of others from then on.
    let closed = !app.config.registration_open && app.setup.code().is_none();
    let operator = if closed { operator_of(&app, &headers).await? } else { None };
    if closed && operator.is_none() {
        return Err(Failure::new(
            ErrorCode::RegistrationClosed,
            "New accounts are closed on this server. Ask its operator for one.",
        ));
    }
    app.limits
        .accounts
        .take(address_key(peer.address), app.clock.now())
        .map_err(|wait| Failure::too_often("Too many accounts were made from this address.", wait))?;
    let session = app.accounts.sign_up(&app.store, &app.clock, &ask, operator.map(|o| o.id)).await?;
    tracing::info!(account = %session.account.id, "An account was made.");
    Ok((StatusCode::CREATED, Json(session)))
}

/// Does something to the end, also when whoever asked for it does not wait for the answer: a call is dropped with its
/// connection, and who was logged out on the disk must not go on speaking in a room.
pub(super) async fn to_the_end<T: Send + 'static>(
    tasks: &TaskTracker,
    work: impl Future<Output = Answer<T>> + Send + 'static,
) -> Answer<T> {
    let broken = || Failure::new(ErrorCode::Internal, "The server has a fault; the call broke off.");
    tasks.spawn(work).await.unwrap_or_else(|_| Err(broken()))
}

/// The operator, if one calls.
async fn operator_of(app: &App, headers: &HeaderMap) -> Answer<Option<Account>> {
    let Some(token) = bearer(headers) else { return Ok(None) };
    let session = app.accounts.session(&app.store, &app.clock, token).await?;
    Ok(session.map(|(account, _)| account).filter(|account| account.role == Role::Operator))
}

/// Begins a session.
#[utoipa::path(post, path = "/sessions", tag = "accounts", request_body = Credentials, responses(
    (status = 201, description = "The account, and the session's token", body = SessionView),
    (status = 401, description = "The name or the password is wrong", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    peer: Peer,
    Body(ask): Body<Credentials>,
) -> Answer<(StatusCode, Json<SessionView>)> {
    take_log_in(&app, peer, &ask.name)?;
    let session = app.accounts.log_in(&app.store, &app.clock, &ask).await?;
    Ok((StatusCode::CREATED, Json(session)))
}

/// Passwords and codes are not found out by trying: neither from one address nor of one name.
fn take_log_in(app: &App, peer: Peer, name: &str) -> Answer<()> {
    let now = app.clock.now();
    let mut key = text::name_key(&name.chars().take(128).collect::<String>());
    key.truncate(key.floor_char_boundary(128));
    app.limits
        .sessions
        .take(address_key(peer.address), now)
        .and_then(|()| app.limits.session_names.take(key, now))
        .map_err(|wait| Failure::too_often("Too many log-ins were tried.", wait))
}

/// Ends the session of the token that the call carries.
#[utoipa::path(delete, path = "/sessions/current", tag = "accounts", security(("session" = [])), responses(
    (status = 204, description = "The session has ended"),
    (status = 401, description = "Nobody is logged in", body = ApiError),
))]
pub(super) async fn log_out(State(app): State<Arc<App>>, caller: Caller) -> Answer<StatusCode> {
    let work = Arc::clone(&app);
    to_the_end(&app.tasks, async move { Ok(work.accounts.end_session(&work.store, caller.session).await?) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ends all sessions of the account that calls but the one of this call.
#[utoipa::path(delete, path = "/sessions/others", tag = "accounts", security(("session" = [])), responses(
    (status = 204, description = "The account is logged in nowhere else any more"),
    (status = 401, description = "Nobody is logged in", body = ApiError),
))]
pub(super) async fn log_out_elsewhere(State(app): State<Arc<App>>, caller: Caller) -> Answer<StatusCode> {
    let work = Arc::clone(&app);
    to_the_end(&app.tasks, async move {
        let Caller { account, session, .. } = caller;
        work.accounts.end_other_sessions(&work.store, &account.id, session).await?;
        work.watch_tokens.revoke(&account.id);
        tracing::info!(account = %account.id, "An account was logged out elsewhere.");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Changes the password of the account that calls. The session of this call goes on, the account's others end.
#[utoipa::path(put, path = "/me/password", tag = "accounts", request_body = PasswordChange, security(("session" = [])), responses(
    (status = 204, description = "The new password is the password"),
    (status = 400, description = "The new password is not taken", body = ApiError),
    (status = 401, description = "Nobody is logged in, or the old password is wrong", body = ApiError),
    (status = 409, description = "The account has no password", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn change_password(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(ask): Body<PasswordChange>,
) -> Answer<StatusCode> {
    take_password_try(&app, &caller)?;
    let work = Arc::clone(&app);
    to_the_end(&app.tasks, async move {
        let Caller { account, session, .. } = caller;
        work.accounts.change_password(&work.store, (&account, session), &ask).await?;
        work.watch_tokens.revoke(&account.id);
        tracing::info!(account = %account.id, "A password was changed.");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// What the server holds of the account that calls, to take along.
#[utoipa::path(get, path = "/me/export", tag = "accounts", security(("session" = [])), responses(
    (status = 200, description = "Profile, rooms, placeholders, recordings, danmaku and votes", body = AccountExport),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn export(State(app): State<Arc<App>>, caller: Caller) -> Answer<Json<AccountExport>> {
    app.limits
        .exports
        .take(caller.account.id.clone(), app.clock.now())
        .map_err(|wait| Failure::too_often("The data was downloaded too often.", wait))?;
    let export = app.store.export(caller.account.id, app.clock.wall()).await?;
    export.map(Json).ok_or_else(Failure::unauthenticated)
}

/// Deletes the account that calls, for good: its rooms with all that is in them, its sessions, and its name wherever it
/// stands. What it wrote in rooms of others stays without its name.
#[utoipa::path(delete, path = "/me", tag = "accounts", request_body = AccountDeletion, security(("session" = [])), responses(
    (status = 204, description = "The account is deleted"),
    (status = 401, description = "Nobody is logged in, or the password is wrong", body = ApiError),
    (status = 409, description = "It is the only operator's, has no password, or one of its rooms is on air", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(ask): Body<AccountDeletion>,
) -> Answer<StatusCode> {
    take_password_try(&app, &caller)?;
    let work = Arc::clone(&app);
    to_the_end(&app.tasks, async move { delete_whole(&work, &caller, &ask).await }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The account first, on the disk; then who is in its rooms, and files. What a crash leaves of those goes at the next start.
async fn delete_whole(app: &App, caller: &Caller, ask: &AccountDeletion) -> Answer<()> {
    let id = caller.account.id.clone();
    let on_air = || {
        Failure::new(ErrorCode::Conflict, "One of your rooms is on air. End the stream first.").about(Problem::OnAir)
    };
    if app.rooms.on_air().iter().any(|room| room.row().owner.id == id) {
        return Err(on_air());
    }
    let deleted = app.accounts.delete(&app.store, &app.clock, &caller.account, &ask.password).await?;
    let (rooms, recordings) = match deleted {
        Deletion::Done { rooms, recordings } => (rooms, recordings),
        Deletion::OnAir => return Err(on_air()),
        Deletion::Unknown => return Err(Failure::unauthenticated()),
        Deletion::LastOperator => {
            let sentence = "You are the only operator. Make another account operator first.";
            return Err(Failure::new(ErrorCode::Conflict, sentence).about(Problem::LastOperator));
        }
    };
    app.watch_tokens.revoke(&id);
    app.rooms.forgotten(&id).await;
    for room in &rooms {
        app.rooms.remove(room).await;
        app.placeholders.forget_room(room).await;
    }
    for recording in &recordings {
        app.shelf.forget(&recording.id);
        app.keeper.remove_files(recording).await;
    }
    tracing::info!(account = %id, rooms = rooms.len(), "An account was deleted.");
    Ok(())
}

/// Whoever has a session does not find out its password by trying.
fn take_password_try(app: &App, caller: &Caller) -> Answer<()> {
    app.limits
        .passwords
        .take(caller.account.id.clone(), app.clock.now())
        .map_err(|wait| Failure::too_often("The password was asked for too often.", wait))
}

/// Who is logged in.
#[utoipa::path(get, path = "/me", tag = "accounts", security(("session" = [])), responses(
    (status = 200, description = "The account", body = AccountView),
    (status = 401, description = "Nobody is logged in", body = ApiError),
))]
pub(super) async fn me(caller: Caller) -> Json<AccountView> {
    Json(caller.account.view())
}

/// Gives the account that calls another name; whoever sees it in a room is told at once.
#[utoipa::path(patch, path = "/me", tag = "accounts", request_body = NamePatch, security(("session" = [])), responses(
    (status = 200, description = "The account", body = AccountView),
    (status = 400, description = "The name is not taken", body = ApiError),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 409, description = "The name belongs to somebody", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn rename(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(patch): Body<NamePatch>,
) -> Answer<Json<AccountView>> {
    app.limits
        .names
        .take(caller.account.id.clone(), app.clock.now())
        .map_err(|wait| Failure::too_often("The name was changed too often.", wait))?;
    let account = app.accounts.rename(&app.store, &caller.account, &patch.name).await?;
    app.rooms.renamed(&account.person()).await;
    tracing::info!(account = %account.id, "An account has another name.");
    Ok(Json(account.view()))
}

/// Whom to find.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct FindQuery {
    /// The name, as a person writes it.
    name: String,
}

fn operators_only(caller: &Caller) -> Answer<()> {
    if caller.is_operator() {
        Ok(())
    } else {
        Err(Failure::new(ErrorCode::Forbidden, "Only the server's operator may do this."))
    }
}

/// Finds an account by its name, for the operator.
#[utoipa::path(get, path = "/accounts", tag = "accounts", params(FindQuery), security(("session" = [])), responses(
    (status = 200, description = "The account, or none", body = Vec<AccountView>),
    (status = 403, description = "The caller is not the operator", body = ApiError),
))]
pub(super) async fn find(
    State(app): State<Arc<App>>,
    caller: Caller,
    Asked(query): Asked<FindQuery>,
) -> Answer<Json<Vec<AccountView>>> {
    operators_only(&caller)?;
    let found = app.store.account_by_name(text::name_key(&query.name)).await?;
    Ok(Json(found.iter().map(|row| row.account.view()).collect()))
}

/// Changes what an account may do.
#[utoipa::path(patch, path = "/accounts/{account}", tag = "accounts", request_body = AccountPatch,
    params(("account" = String, Path, description = "The account's id")), security(("session" = [])), responses(
    (status = 200, description = "The account", body = AccountView),
    (status = 403, description = "The caller is not the operator", body = ApiError),
    (status = 404, description = "There is no such account", body = ApiError),
    (status = 409, description = "Nobody would run the server any more", body = ApiError),
))]
pub(super) async fn change(
    State(app): State<Arc<App>>,
    InPath(account): InPath<String>,
    caller: Caller,
    Body(patch): Body<AccountPatch>,
) -> Answer<Json<AccountView>> {
    operators_only(&caller)?;
    let unknown = || Failure::new(ErrorCode::NotFound, "There is no such account.");
    let id: AccountId = account.parse().map_err(|_| unknown())?;
    match app.store.set_role(id, patch.role, Some(caller.hand(&app))).await? {
        RoleChange::Done(account) => {
            tracing::info!(account = %account.id, role = ?account.role, by = %caller.account.id, "A role was changed.");
            Ok(Json(account.view()))
        }
        RoleChange::Unknown => Err(unknown()),
        RoleChange::LastOperator => {
            Err(Failure::new(ErrorCode::Conflict, "This is the only operator. Make another account operator first."))
        }
    }
}

/// Entries of one answer.
const AUDIT_PAGE: u32 = 100;

/// Where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// Only entries of a smaller number.
    before: Option<u64>,
}

/// What moderators and operators did, newest first, for the operator.
#[utoipa::path(get, path = "/audit", tag = "server", params(AuditQuery), security(("session" = [])), responses(
    (status = 200, description = "The entries", body = AuditPage),
    (status = 403, description = "The caller is not the operator", body = ApiError),
))]
pub(super) async fn audit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Asked(query): Asked<AuditQuery>,
) -> Answer<Json<AuditPage>> {
    operators_only(&caller)?;
    Ok(Json(app.store.audit(query.before, AUDIT_PAGE).await?))
}

/// Makes a code with which who lost their password sets a new one. Codes that were made before for the account end.
#[utoipa::path(post, path = "/accounts/{account}/recovery", tag = "accounts",
    params(("account" = String, Path, description = "The account's id")), security(("session" = [])), responses(
    (status = 201, description = "The code", body = RecoveryCode),
    (status = 403, description = "The caller is not the operator", body = ApiError),
    (status = 404, description = "There is no such account", body = ApiError),
    (status = 409, description = "The account has no password", body = ApiError),
))]
pub(super) async fn make_recovery(
    State(app): State<Arc<App>>,
    InPath(account): InPath<String>,
    caller: Caller,
) -> Answer<(StatusCode, Json<RecoveryCode>)> {
    operators_only(&caller)?;
    let unknown = || Failure::new(ErrorCode::NotFound, "There is no such account.");
    let id: AccountId = account.parse().map_err(|_| unknown())?;
    match crate::account::make_recovery(&app.store, &id, caller.hand(&app)).await? {
        Recovery::Made(code) => {
            tracing::info!(account = %id, by = %caller.account.id, "A recovery code was made.");
            Ok((StatusCode::CREATED, Json(code)))
        }
        Recovery::NoPassword => {
            let sentence = "This account has no password: the app that hosts the server is logged in by itself.";
            Err(Failure::new(ErrorCode::Conflict, sentence).about(Problem::PasswordNone))
        }
        Recovery::Unknown => Err(unknown()),
    }
}

/// Sets a new password with a code of the operator's. The account's sessions end; log in with the new password.
#[utoipa::path(post, path = "/recovery", tag = "accounts", request_body = RecoveryRequest, responses(
    (status = 204, description = "The new password is the password"),
    (status = 400, description = "The password is not taken", body = ApiError),
    (status = 401, description = "The name or the code is wrong, or the code was used or is too old", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn recover(
    State(app): State<Arc<App>>,
    peer: Peer,
    Body(ask): Body<RecoveryRequest>,
) -> Answer<StatusCode> {
    take_log_in(&app, peer, &ask.name)?;
    let work = Arc::clone(&app);
    to_the_end(&app.tasks, async move {
        let account = work.accounts.recover(&work.store, &work.clock, &ask).await?;
        work.watch_tokens.revoke(&account);
        tracing::info!(%account, "A password was set with a recovery code.");
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Makes the account that calls the server's operator, with the code that the server printed.
#[utoipa::path(post, path = "/setup", tag = "server", request_body = SetupRequest, security(("session" = [])), responses(
    (status = 200, description = "The account, now operator", body = AccountView),
    (status = 401, description = "Nobody is logged in", body = ApiError),
    (status = 403, description = "The code is wrong or was used", body = ApiError),
    (status = 429, description = "Too often", body = ApiError),
))]
pub(super) async fn set_up(
    State(app): State<Arc<App>>,
    caller: Caller,
    peer: Peer,
    Body(ask): Body<SetupRequest>,
) -> Answer<Json<AccountView>> {
    app.limits
        .setup
        .take(address_key(peer.address), app.clock.now())
        .map_err(|wait| Failure::too_often("Too many codes were tried.", wait))?;
    let wrong = || {
        Failure::new(
            ErrorCode::WrongSetupCode,
            "This is not the set-up code, or it was used already. The server prints it when it starts, while it has no operator.",
        )
    };
    if !app.setup.matches(&ask.code) {
        return Err(wrong());
    }
    let operator = app.store.make_first_operator(caller.account.id.clone(), app.clock.wall()).await?;
    app.setup.disarm();
    match operator {
        Some(operator) if operator.id == caller.account.id => {
            tracing::info!(account = %operator.id, "The server has its operator.");
            Ok(Json(operator.view()))
        }
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_was_begun_is_done_though_nobody_waits_for_it() {
        let tasks = TaskTracker::new();
        let ((go, wait), (done, is_done)) = (oneshot::channel::<()>(), oneshot::channel());
        let work = async move {
            wait.await.unwrap();
            done.send(()).unwrap();
            Ok(())
        };
        let mut call = Box::pin(to_the_end(&tasks, work));
        assert!(futures_util::poll!(&mut call).is_pending());
        drop(call);
        go.send(()).unwrap();
        is_done.await.unwrap();
        assert!(to_the_end(&tasks, fault()).await.is_err());
    }

    async fn fault() -> Answer<()> {
        panic!("as a call with a fault does")
    }
}
