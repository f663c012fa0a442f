//! People and their accounts (row G1), as they go about it in a browser.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::server::Server;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);
/// What [`Server::account`] gives everybody.
const OLD: &str = "correct horse battery";
const NEW: &str = "a new staple 新密码";

const LOGGED_OUT: &str = "text=You are not logged in.";

/// The account page, in a browser of its own.
async fn account_page(browser: &mut Browser, server: &Server) -> Result<Page> {
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &format!("{}/account", server.url())).await?;
    Ok(page)
}

/// Fills the log-in dialog and sends it.
async fn try_password(browser: &mut Browser, page: Page, name: &str, password: &str) -> Result<()> {
    browser.fill(page, "role=dialog >> role=textbox[name='Name']", name).await?;
    browser.fill(page, "role=dialog >> input[name=password]", password).await?;
    browser.press(page, "role=dialog >> input[name=password]", "Enter").await
}

async fn log_in(browser: &mut Browser, server: &Server, name: &str, password: &str) -> Result<Page> {
    let page = account_page(browser, server).await?;
    browser.click(page, "main >> role=button[name='Log in'] >> nth=0").await?;
    try_password(browser, page, name, password).await?;
    browser.visible(page, &format!("role=heading[name='{name}']"), SOON).await?;
    Ok(page)
}

/// A call that the page makes as whoever is logged in there: its status.
async fn asks_who(browser: &mut Browser, page: Page) -> Result<serde_json::Value> {
    let ask = "fetch('/api/v1/me', { headers: { authorization: `Bearer ${localStorage.getItem('mujian.token')}` } }) \
        .then((r) => r.status)";
    browser.eval(page, ask).await
}

#[tokio::test]
async fn a_password_is_changed_and_other_devices_are_logged_out() -> Result<()> {
    let server = Server::start().await?;
    server.account("Anna").await?;
    let mut browser = Browser::start(false).await?;
    let here = log_in(&mut browser, &server, "Anna", OLD).await?;
    let elsewhere = log_in(&mut browser, &server, "Anna", OLD).await?;

    browser.click(here, "role=button[name='Change the password…']").await?;
    let field = |name: &str| format!("role=dialog >> input[name={name}]");
    let submit = "role=dialog >> role=button[name='Change the password']";
    for (name, text) in [("old-password", "not the one"), ("new-password", NEW), ("new-password-again", "another")] {
        browser.fill(here, &field(name), text).await?;
    }
    browser.click(here, submit).await?;
    browser.visible(here, "role=dialog >> text=The two new passwords are not the same.", SOON).await?;
    browser.fill(here, &field("new-password-again"), NEW).await?;
    browser.click(here, submit).await?;
    browser.visible(here, "role=dialog >> text=The present password is wrong.", SOON).await?;
    assert_eq!(asks_who(&mut browser, elsewhere).await?, 200, "nothing was changed yet");
    browser.fill(here, &field("old-password"), OLD).await?;
    browser.click(here, submit).await?;
    browser.visible(here, "text=The password is changed", SOON).await?;
    assert_eq!(asks_who(&mut browser, here).await?, 200);
    assert_eq!(asks_who(&mut browser, elsewhere).await?, 401);

    // The other device notices by itself, and comes in again with the new password only.
    browser.visible(elsewhere, LOGGED_OUT, SOON).await?;
    browser.click(elsewhere, "main >> role=button[name='Log in'] >> nth=0").await?;
    try_password(&mut browser, elsewhere, "Anna", OLD).await?;
    browser.visible(elsewhere, "role=dialog >> text=The name or the password is wrong.", SOON).await?;
    try_password(&mut browser, elsewhere, "Anna", NEW).await?;
    browser.visible(elsewhere, "role=heading[name='Anna']", SOON).await?;

    browser.click(elsewhere, "role=button[name='Log out everywhere…']").await?;
    browser.click(elsewhere, "role=dialog >> role=button[name='Log out everywhere']").await?;
    browser.visible(elsewhere, LOGGED_OUT, SOON).await?;
    assert_eq!(asks_who(&mut browser, here).await?, 401);
    browser.visible(here, LOGGED_OUT, SOON).await
}

#[tokio::test]
async fn the_operator_lets_somebody_set_a_new_password_who_lost_theirs() -> Result<()> {
    let mut server = Server::start().await?;
    server.operator("Olga").await?;
    let lost = server.account("Anna").await?;

    let mut browser = Browser::start(false).await?;
    let olga = log_in(&mut browser, &server, "Olga", OLD).await?;
    browser.fill(olga, "role=textbox[name='Name of the account']", "Ann").await?;
    browser.click(olga, "role=button[name='Make a recovery code']").await?;
    browser.visible(olga, "text=There is no account of this name.", SOON).await?;
    browser.fill(olga, "role=textbox[name='Name of the account']", "anna").await?;
    browser.click(olga, "role=button[name='Make a recovery code']").await?;
    browser.visible(olga, "text=Anna sets a new password with this code, once, until", SOON).await?;
    let shown = "document.querySelector('.made input')?.value ?? ''";
    let code = browser.eval(olga, shown).await?.as_str().unwrap_or_default().to_owned();
    ensure!(code.len() == 19, "{code:?} is no code");

    let anna = account_page(&mut browser, &server).await?;
    browser.visible(anna, LOGGED_OUT, SOON).await?;
    // Who has no account has no such section.
    assert_eq!(browser.eval(anna, "document.body.innerText.includes('lost their password')").await?, false);
    browser.click(anna, "main >> role=button[name='Log in'] >> nth=0").await?;
    browser.click(anna, "role=dialog >> role=button[name='Forgot the password?']").await?;
    browser.fill(anna, "role=dialog >> input[name=code]", "AAAA-AAAA-AAAA-AAAA").await?;
    try_password(&mut browser, anna, "Anna", NEW).await?;
    browser.visible(anna, "role=dialog >> text=The name or the recovery code is wrong", SOON).await?;
    browser.fill(anna, "role=dialog >> input[name=code]", &code.to_lowercase()).await?;
    try_password(&mut browser, anna, "Anna", NEW).await?;
    browser.visible(anna, "role=heading[name='Anna']", SOON).await?;
    assert_eq!(asks_who(&mut browser, anna).await?, 200);
    assert_eq!(server.call("GET", "/me", Some(&lost), None).await?.0, 401, "whoever was logged in is not any more");
    // The operator finds it in the log.
    browser.click(olga, "role=button[name='Show the log']").await?;
    browser.visible(olga, "text=Olga made a recovery code for Anna.", SOON).await?;
    browser.visible(olga, "text=Olga became the operator with the set-up code.", SOON).await?;
    let again = json!({"name": "Anna", "code": code, "password": OLD});
    assert_eq!(server.call("POST", "/recovery", None, Some(again)).await?.0, 401, "it is good once");
    Ok(())
}

#[tokio::test]
async fn who_leaves_takes_their_data_along_and_is_gone() -> Result<()> {
    let server = Server::start().await?;
    let room = server.room("Anna", "Rain").await?;
    let mut browser = Browser::start(false).await?;
    let anna = log_in(&mut browser, &server, "Anna", OLD).await?;
    let guest = browser.page(&Look::default()).await?;
    browser.goto(guest, &server.watch_url(&room)).await?;
    browser.visible(guest, "role=heading[name='Rain']", SOON).await?;
    // What is saved is kept for the test: the browser's own folder is not ours.
    let keep = "(globalThis.kept = { names: [], texts: [] }, \
        HTMLAnchorElement.prototype.click = function () { globalThis.kept.names.push(this.download); }, \
        ((make) => { URL.createObjectURL = (blob) => (globalThis.kept.texts.push(blob.text()), make.call(URL, blob)); })\
        (URL.createObjectURL), true)";
    browser.eval(anna, keep).await?;
    browser.click(anna, "role=button[name='Delete my account…']").await?;
    browser.fill(anna, "role=dialog >> input[name=password]", "not the one").await?;
    browser.visible(anna, "role=dialog >> text=Download your data first.", SOON).await?;
    let submit = "role=dialog >> role=button[name='Delete my account for good']";
    let locked = "document.querySelector('dialog button[type=submit]').disabled";
    assert_eq!(browser.eval(anna, locked).await?, true, "first the data");
    browser.click(anna, "role=dialog >> role=button[name='Download my data']").await?;
    browser.visible(anna, "role=dialog >> text=Your data was downloaded.", SOON).await?;
    let name = browser.eval(anna, "globalThis.kept.names[0]").await?;
    ensure!(name.as_str().is_some_and(|n| n.starts_with("mujian-Anna-20") && n.ends_with(".json")), "{name}");
    let text = browser.eval(anna, "globalThis.kept.texts[0]").await?;
    let data: serde_json::Value = serde_json::from_str(text.as_str().context("no text")?)?;
    assert_eq!((&data["account"]["name"], &data["rooms"][0]["title"]), (&json!("Anna"), &json!("Rain")));

    browser.click(anna, submit).await?;
    browser.visible(anna, "role=dialog >> text=The present password is wrong.", SOON).await?;
    browser.fill(anna, "role=dialog >> input[name=password]", OLD).await?;
    browser.click(anna, submit).await?;
    browser.visible(anna, LOGGED_OUT, SOON).await?;
    // Whoever is in a room that is gone is told.
    browser.visible(guest, "text=There is no such room", SOON).await?;
    assert_eq!(browser.eval(anna, "localStorage.getItem('mujian.token')").await?, serde_json::Value::Null);
    assert_eq!(server.call("GET", "/me", Some(&room.token), None).await?.0, 401);
    assert_eq!(server.call("GET", &format!("/rooms/{}", room.id), None, None).await?.0, 404);
    let credentials = json!({"name": "Anna", "password": OLD});
    assert_eq!(server.call("POST", "/sessions", None, Some(credentials)).await?.0, 401);
    Ok(())
}
