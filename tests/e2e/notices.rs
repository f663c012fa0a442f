//! Who follows a streamer is told when they go live, once for each stream: by the browser, and by the desktop in the app.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::desk::Desk;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::Server;
use mujian_tests::wait;
use serde_json::{Value, json};
use zbus::zvariant::OwnedValue;
use zbus::{Connection, connection, interface};

use crate::app::HALL;

const SOON: Duration = Duration::from_secs(60);
const SHOWN: &str = "shownNotices.map(({ title, body }) => [title, body].join(': ')).join('|')";

/// It is looked every 20 s, and at once where the network is there again.
const LOOK: &str = "window.dispatchEvent(new Event('online'))";

/// Until the page has asked once more what is live, and looked at the answer.
async fn looked(browser: &mut Browser, page: Page) -> Result<()> {
    let at = "JSON.parse(localStorage.getItem('mujian.known_streams') ?? '{\"at\":0}').at";
    let before = browser.eval(page, at).await?;
    browser.eval(page, LOOK).await?;
    browser.wait(page, &format!("{at} > {before}"), SOON).await.map(|_| ())
}

#[tokio::test]
async fn a_browser_tells_of_each_stream_once_and_only_when_it_was_asked_to() -> Result<()> {
    let server = Server::start().await?;
    let [room, other] = [server.room("岚山", "深夜手冲").await?, server.room("Marlow", "RTMP").await?];
    let fan = server.account("小明").await?;
    // One that is on already is no news.
    let _running = Publish::default().start(&server.publish_url(&other))?;
    server.wait_stage(&other, "live", SOON).await?;
    for room in [&room, &other] {
        let (status, answer) = server.call("PUT", &format!("/rooms/{}/follow", room.id), Some(&fan), None).await?;
        ensure!(status == 204, "{answer}");
    }
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.note_notices(page).await?;
    browser.goto(page, &server.url()).await?;
    browser.eval(page, &format!("(localStorage.setItem('mujian.token', {fan:?}), location.reload(), true)")).await?;
    // Nobody is asked without a press.
    browser.visible(page, "role=button[name='Tell me when they go live']", SOON).await?;
    ensure!(browser.eval(page, "localStorage.getItem('test.permission')").await?.is_null());
    browser.click(page, "role=button[name='Tell me when they go live']").await?;
    looked(&mut browser, page).await?;
    browser
        .wait(page, "[...document.querySelectorAll('button')].every((b) => !b.innerText.includes('Tell me'))", SOON)
        .await?;
    assert_eq!(browser.eval(page, SHOWN).await?, "");

    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    browser.eval(page, LOOK).await?;
    browser.wait(page, &format!("{SHOWN} === '岚山 is live: 深夜手冲'"), SOON).await?;
    // Away and back it is the same stream, also for a page that is loaded again.
    for word in ["leave", "back"] {
        let path = format!("/rooms/{}/{word}", room.id);
        let (status, answer) = server.call("POST", &path, Some(&room.token), Some(json!({}))).await?;
        ensure!(status < 300, "{answer}");
    }
    looked(&mut browser, page).await?;
    assert_eq!(browser.eval(page, "shownNotices.length").await?, json!(1));
    browser.eval(page, "(shownNotices[0].onclick(), true)").await?;
    browser.wait(page, &format!("location.pathname === '/watch/{}'", room.id), SOON).await?;
    browser.goto(page, &format!("{}/account", server.url())).await?;
    looked(&mut browser, page).await?;
    assert_eq!(browser.eval(page, SHOWN).await?, "");

    // Switched off, the next stream is told to nobody.
    browser.click(page, "role=checkbox[name='Tell me when a streamer I follow goes live'][checked]").await?;
    browser
        .visible(page, "role=checkbox[name='Tell me when a streamer I follow goes live'][checked=false]", SOON)
        .await?;
    drop(publisher);
    let (status, answer) =
        server.call("POST", &format!("/rooms/{}/end", room.id), Some(&room.token), Some(json!({}))).await?;
    ensure!(status < 300, "{answer}");
    browser.goto(page, &server.url()).await?;
    let _next = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    browser.visible(page, &format!("article a[href$='{}']", room.id), SOON).await?;
    assert_eq!(browser.eval(page, SHOWN).await?, "");
    // On again it is told of what begins from then on, so of this one it is not.
    browser.goto(page, &format!("{}/account", server.url())).await?;
    browser.click(page, "role=checkbox[name='Tell me when a streamer I follow goes live']").await?;
    browser.wait(page, "localStorage.getItem('mujian.known_streams') !== null", SOON).await?;
    assert_eq!(browser.eval(page, SHOWN).await?, "");
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());
    Ok(())
}

/// What a desktop shows notices with.
#[derive(Clone, Default)]
struct Desktop {
    shown: Arc<Mutex<Vec<(String, String)>>>,
}

#[interface(name = "org.freedesktop.Notifications")]
impl Desktop {
    fn get_capabilities(&self) -> Vec<String> {
        ["actions", "body", "body-markup"].map(str::to_owned).into()
    }

    #[allow(clippy::too_many_arguments, reason = "the specification has that many")]
    fn notify(
        &self,
        app_name: &str,
        replaces_id: u32,
        _app_icon: &str,
        summary: &str,
        body: &str,
        actions: Vec<String>,
        _hints: HashMap<String, OwnedValue>,
        _expire_timeout: i32,
    ) -> u32 {
        assert_eq!((app_name, replaces_id), ("Mujian", 0));
        assert_eq!(actions, ["default", "Watch"]);
        let mut shown = self.shown.lock().unwrap();
        shown.push((summary.to_owned(), body.to_owned()));
        6 + u32::try_from(shown.len()).unwrap()
    }
}

/// A call of the hosted server's, by somebody else than the app.
async fn call(server: &str, method: reqwest::Method, path: &str, token: &str, body: Value) -> Result<Value> {
    let request = reqwest::Client::new().request(method, format!("{server}/api/v1{path}")).bearer_auth(token);
    let answer = request.json(&body).send().await?;
    ensure!(answer.status().is_success(), "{path}: {}", answer.status());
    let text = answer.text().await?;
    Ok(if text.is_empty() { Value::Null } else { serde_json::from_str(&text)? })
}

#[tokio::test]
async fn the_app_tells_by_the_desktop_and_a_press_leads_to_the_room() -> Result<()> {
    let desk = Desk::new().await?;
    let desktop = Desktop::default();
    let address = desk.environment().remove("DBUS_SESSION_BUS_ADDRESS").context("no bus")?;
    let place = "/org/freedesktop/Notifications";
    let bus: Connection = connection::Builder::address(address.as_str())?
        .serve_at(place, desktop.clone())?
        .name("org.freedesktop.Notifications")?
        .build()
        .await?;
    let app = desk.open_app().await?;
    let server = desk.hosted().await?;
    let post = reqwest::Method::POST;
    let who = json!({"name": "岚山", "password": "correct horse battery"});
    let token =
        call(&server, post.clone(), "/accounts", "none", who).await?["token"].as_str().context("no token")?.to_owned();
    let room = call(&server, post.clone(), "/rooms", &token, json!({"title": "R&B <b>"})).await?;
    let id = room["id"].as_str().context("no id")?.to_owned();

    // Followed on the room's page; in the app it is told unless it is switched off.
    app.click(HALL).await?;
    app.click(&format!("a[href$='{id}']")).await?;
    app.click("//button[contains(., 'Follow')]").await?;
    app.wait(
        "[...document.querySelectorAll('[aria-pressed=true]')].some((b) => b.innerText.includes('Following'))",
        SOON,
    )
    .await?;
    app.click(HALL).await?;
    app.wait("(localStorage.getItem('mujian.known_streams') ?? '') !== ''", SOON).await?;
    let address = format!(
        "{}?key={}",
        room["rtmp_url"].as_str().context("no address")?,
        room["stream_key"].as_str().context("no key")?
    );
    let _publisher = Publish::default().start(&address)?;
    let shown = || desktop.shown.lock().unwrap().clone();
    app.wait(&format!("document.querySelector(\"article a[href$='{id}']\") !== null"), SOON).await?;
    app.eval(LOOK).await?;
    wait::until("a notice", SOON, || async { Ok((!shown().is_empty()).then_some(())) }).await?;
    // The title is plain text, the body is read as markup.
    assert_eq!(shown(), [("岚山 is live".to_owned(), "R&amp;B &lt;b&gt;".to_owned())]);
    // Another notice's press is none of this one's.
    for id in [6_u32, 7] {
        bus.emit_signal(None::<&str>, place, "org.freedesktop.Notifications", "ActionInvoked", &(id, "default"))
            .await?;
    }
    app.wait(&format!("location.pathname === '/watch/{id}'"), SOON).await?;
    let at = "JSON.parse(localStorage.getItem('mujian.known_streams')).at";
    let before = app.eval(at).await?;
    // By itself, every 20 s.
    app.wait(&format!("{at} > {before}"), SOON).await?;
    assert_eq!(shown().len(), 1, "once for a stream");
    Ok(())
}
