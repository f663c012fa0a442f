//! Where a log-in at a server of others is remembered (issue 4): in the system's keychain.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::desk::Desk;
use mujian_tests::keyring::Keyring;
use mujian_tests::server::Server;
use mujian_tests::wait;
use mujian_tests::webdriver::Window;

const SOON: Duration = Duration::from_secs(30);
const ACCOUNT: &str = "//nav//a[contains(., 'Account')]";
const GUEST: &str = "document.querySelector('h1')?.innerText === 'guest'";

async fn at_the_account(desk: &Desk, server: &Server) -> Result<Window> {
    let app = desk.open_app_with(&["--server", &server.url()]).await?;
    app.click(ACCOUNT).await?;
    Ok(app)
}

async fn holds(keyring: &Keyring, count: usize) -> Result<()> {
    let what = format!("{count} log-ins in the keychain");
    wait::until(&what, SOON, || async { Ok((keyring.holds().await? == count).then_some(())) }).await
}

#[tokio::test]
async fn a_log_in_is_kept_in_the_systems_keychain() -> Result<()> {
    let server = Server::start().await?;
    let desk = Desk::new().await?;
    let mut keyring = Keyring::start(&desk).await?;
    let app = at_the_account(&desk, &server).await?;
    app.click("//button[normalize-space(.) = 'Sign up']").await?;
    app.fill("dialog input[autocomplete=username]", "guest").await?;
    app.fill("dialog input[type=password]", "correct horse battery").await?;
    app.click("//dialog//button[@type='submit']").await?;
    app.wait(GUEST, SOON).await?;
    holds(&keyring, 1).await?;
    app.close().await?;
    drop(app);

    let app = at_the_account(&desk, &server).await?;
    app.wait(GUEST, SOON).await.context("not remembered")?;
    app.close().await?;
    drop(app);

    // It is locked, and nobody unlocks it: that is said, and nothing is lost.
    keyring.lock().await?;
    let app = at_the_account(&desk, &server).await?;
    app.wait("document.body.innerText.includes('keychain did not say so')", SOON).await?;
    ensure!(app.eval(GUEST).await? == false, "the token was somewhere else, too");
    app.close().await?;
    drop(app);

    keyring.unlock().await?;
    let app = at_the_account(&desk, &server).await?;
    app.wait(GUEST, SOON).await.context("lost")?;
    app.click("//button[normalize-space(.) = 'Log out']").await?;
    app.wait("document.body.innerText.includes('Sign up')", SOON).await?;
    holds(&keyring, 0).await?;
    Ok(())
}
