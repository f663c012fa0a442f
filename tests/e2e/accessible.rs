//! What machines can tell of whether everybody can use the pages (WCAG 2.2 AA): axe finds nothing in any screen, in both
//! languages and both themes, on a desk and on a phone.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look, Page};
use mujian_tests::chat::say;
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::{Room, Server};
use mujian_tests::webdriver::Window;

use crate::app::{OnAir, wait_stage};

const SOON: Duration = Duration::from_secs(20);
/// A key, or what a person clicks.
type Step = (&'static str, &'static str);

/// A server with a room on air, one that is not, and who writes in the first.
async fn theatre() -> Result<(Server, Room, String, mujian_tests::process::Program)> {
    let mut server = Server::start().await?;
    let room = server.room("岚山 Lanshan", "深夜手冲 · 听雨聊天").await?;
    let change = serde_json::json!({"category": "生活", "tags": ["咖啡", "雨声"]});
    server.call("PATCH", &format!("/rooms/{}", room.id), Some(&room.token), Some(change)).await?;
    let later = server.room("Marlow", "Writing an RTMP server").await?;
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as u64 + 100_000_000;
    let announced = serde_json::json!({"at": at, "title": "Questions about RTMP"});
    let path = format!("/rooms/{}/announcement", later.id);
    let (status, answer) = server.call("PUT", &path, Some(&later.token), Some(announced)).await?;
    ensure!(status == 200, "{answer}");
    // One that has ended, with a replay.
    let ended = server.room("小满", "练琴").await?;
    let short = Publish::default().start(&server.publish_url(&ended))?;
    server.wait_stage(&ended, "live", SOON).await?;
    let path = format!("/rooms/{}/end", ended.id);
    let (status, answer) = server.call("POST", &path, Some(&ended.token), Some(serde_json::json!({}))).await?;
    ensure!(status < 300, "{answer}");
    drop(short);
    let publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;
    // Who runs the server sees more of it.
    let (guest, me) = (server.account("石头").await?, server.operator("阿宁").await?);
    for followed in [&room.id, &server.room("白塔剧社", "独角戏").await?.id] {
        let (status, answer) = server.call("PUT", &format!("/rooms/{followed}/follow"), Some(&me), None).await?;
        ensure!(status == 204, "{answer}");
    }
    say(&server, &room, &guest, &["晚上好 @岚山 Lanshan", "@阿宁 hello", "and more"]).await?;
    Ok((server, room, me, publisher))
}

/// Waits until nothing in the page moves: what fades in has another contrast meanwhile.
pub(crate) const STILL: &str = "document.fonts.ready.then(() => Promise.allSettled(document.getAnimations().map((a) => \
    a.effect?.getTiming().iterations === Infinity ? null : a.finished))).then(() => true)";

/// What was found wrong, with where.
struct Findings {
    look: Look,
    found: Vec<String>,
}

impl Findings {
    async fn take(&mut self, browser: &mut Browser, page: Page, screen: &str) -> Result<()> {
        browser.eval(page, STILL).await?;
        let theme = if self.look.dark { "dark" } else { "light" };
        let place = format!("{screen}, {}, {theme}, {} wide", self.look.locale, self.look.width);
        let found = browser.axe(page).await.with_context(|| place.clone())?;
        self.found.extend(found.into_iter().map(|what| format!("{place}: {what}")));
        Ok(())
    }
}

async fn walk(browser: &mut Browser, server: &Server, room: &Room, me: &str, seen: &mut Findings) -> Result<()> {
    let page = browser.page(&seen.look).await?;
    browser.goto(page, &server.url()).await?;
    browser.visible(page, &format!("a[href$='{}']", room.id), SOON).await?;
    browser.visible(page, "article .cover img", SOON).await?;
    browser.visible(page, "section[aria-labelledby=coming] time", SOON).await?;
    browser.visible(page, "section[aria-labelledby=ended] a", SOON).await?;
    seen.take(browser, page, "the hall").await?;
    browser.fill(page, "role=searchbox", "听雨").await?;
    browser.visible(page, "role=status >> text=听雨", SOON).await?;
    seen.take(browser, page, "what was found").await?;
    browser.fill(page, "role=searchbox", "海上").await?;
    browser.visible(page, "role=status >> h2", SOON).await?;
    seen.take(browser, page, "nothing found").await?;
    browser.goto(page, &format!("{}/watch/nowhere", server.url())).await?;
    browser.visible(page, "h1", SOON).await?;
    seen.take(browser, page, "no such room").await?;
    browser.goto(page, &format!("{}/account", server.url())).await?;
    browser.visible(page, ".content .buttons", SOON).await?;
    seen.take(browser, page, "a stranger's account").await?;
    browser.click(page, ".content .buttons button >> nth=0").await?;
    browser.visible(page, "dialog input[type=password]", SOON).await?;
    seen.take(browser, page, "logging in").await?;
    browser.goto(page, &format!("{}/parts", server.url())).await?;
    browser.visible(page, ".page h1", SOON).await?;
    seen.take(browser, page, "the page of parts").await?;
    browser.goto(page, &server.watch_url(room)).await?;
    browser.visible(page, ".list .name >> nth=0", SOON).await?;
    seen.take(browser, page, "the room of a stranger").await?;

    let session = format!("(localStorage.setItem('mujian.token', {me:?}), location.reload(), true)");
    browser.eval(page, &session).await?;
    browser.visible(page, "role=combobox", SOON).await?;
    browser.wait(page, "document.querySelector('video')?.currentTime > 1", SOON).await?;
    seen.take(browser, page, "the room").await?;
    let steps: [(&str, &[Step], &str); 7] = [
        ("the read-out", &[("key", "i")], "i"),
        ("the theatre", &[("key", "t")], "t"),
        ("the emoji", &[("click", ".emoji")], "Escape"),
        ("about a person", &[("click", ".list .name >> nth=0")], ""),
        ("more", &[("click", ".more > button")], "Escape"),
        ("the settings", &[("click", ".pair button >> nth=1")], "Escape"),
        ("the keys", &[("key", "?")], "Escape"),
    ];
    for (screen, way, back) in steps {
        for (how, what) in way {
            match *how {
                "key" => browser.key(page, what).await?,
                _ => browser.click(page, what).await?,
            }
        }
        seen.take(browser, page, screen).await?;
        if !back.is_empty() {
            browser.key(page, back).await?;
        }
        // Keys are letters in a field, and what a closed dialog leaves may be one.
        browser.eval(page, "(document.activeElement?.blur(), true)").await?;
    }
    browser.goto(page, &server.url()).await?;
    browser.visible(page, "section article button[aria-pressed=true]", SOON).await?;
    browser.visible(page, "section article .cover img", SOON).await?;
    seen.take(browser, page, "the hall of who follows").await?;
    browser.goto(page, &format!("{}/account", server.url())).await?;
    let section = |n: usize, button: usize| format!(".content > section >> nth={n} >> button >> nth={button}");
    browser.visible(page, &section(5, 0), SOON).await?;
    seen.take(browser, page, "the account").await?;
    for (n, button, screen) in
        [(2, 0, "the password"), (2, 1, "logging out everywhere"), (3, 1, "deleting the account")]
    {
        browser.click(page, &section(n, button)).await?;
        browser.visible(page, "dialog", SOON).await?;
        seen.take(browser, page, screen).await?;
        browser.key(page, "Escape").await?;
    }
    browser.fill(page, ".content > section >> nth=4 >> input", "石头").await?;
    browser.click(page, &section(4, 0)).await?;
    browser.visible(page, ".made", SOON).await?;
    browser.click(page, &section(5, 0)).await?;
    browser.visible(page, ".content > section >> nth=5 >> li >> nth=0", SOON).await?;
    seen.take(browser, page, "the log").await?;

    let session = format!("(localStorage.setItem('mujian.token', {:?}), location.reload(), true)", room.token);
    browser.eval(page, &session).await?;
    browser.click(page, "article .buttons button >> nth=1").await?;
    browser.visible(page, "dialog .buttons button", SOON).await?;
    seen.take(browser, page, "the overlay").await?;
    browser.click(page, "dialog .buttons button >> nth=0").await?;
    browser.visible(page, "dialog .buttons button >> nth=1", SOON).await?;
    seen.take(browser, page, "the overlay's address").await?;
    browser.key(page, "Escape").await?;
    browser.click(page, "article .buttons button >> nth=2").await?;
    browser.visible(page, "dialog form", SOON).await?;
    seen.take(browser, page, "restreaming, before the first").await?;
    for (n, text) in ["somewhere", "rtmp://relay.invalid/app", "made-up-key-of-a-test"].into_iter().enumerate() {
        browser.fill(page, &format!("dialog form input >> nth={n}"), text).await?;
    }
    browser.click(page, "dialog form button >> nth=0").await?;
    browser.visible(page, "dialog li .why", SOON).await?;
    seen.take(browser, page, "restreaming that waits").await?;
    browser.click(page, "dialog li .buttons button >> nth=1").await?;
    browser.visible(page, "dialog li form", SOON).await?;
    seen.take(browser, page, "restreaming, changed").await?;
    browser.click(page, "dialog li form button >> nth=1").await?;
    // The next look begins without it.
    browser.click(page, "dialog li .buttons button >> nth=2").await?;
    browser.click(page, "dialog li .buttons button >> nth=1").await?;
    browser.visible(page, "dialog form", SOON).await?;
    browser.key(page, "Escape").await?;
    browser.click(page, ".announce button").await?;
    browser.visible(page, "dialog input[type=datetime-local]", SOON).await?;
    seen.take(browser, page, "announcing").await?;
    browser.close(page).await
}

#[tokio::test]
async fn axe_finds_nothing_in_the_pages() -> Result<()> {
    let (server, room, me, _publisher) = theatre().await?;
    let mut browser = Browser::start(false).await?;
    let mut found = Vec::new();
    for (locale, dark, (width, height)) in [
        ("zh-CN", true, (1280, 800)),
        ("en-US", false, (1280, 800)),
        ("en-US", true, (390, 844)),
        ("zh-CN", false, (390, 844)),
    ] {
        let mut seen = Findings { look: Look { width, height, locale, dark, ..Look::default() }, found: Vec::new() };
        walk(&mut browser, &server, &room, &me, &mut seen).await?;
        found.extend(seen.found);
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

/// The studio's window at one moment.
struct Seen<'a> {
    app: &'a Window,
    look: &'static str,
    found: Vec<String>,
}

impl Seen<'_> {
    async fn take(&mut self, screen: &str) -> Result<()> {
        self.app.eval(STILL).await?;
        let found = self.app.axe().await.with_context(|| format!("{screen}, {}", self.look))?;
        self.found.extend(found.into_iter().map(|what| format!("the studio, {screen}, {}: {what}", self.look)));
        Ok(())
    }

    /// Looks at a dialog that a press opens, and closes it.
    async fn dialog(&mut self, opener: &str, screen: &str) -> Result<()> {
        self.app.click(opener).await?;
        self.app.wait("document.querySelector('dialog[open] .content') !== null", SOON).await?;
        self.take(screen).await?;
        self.app.click("dialog[open] header button").await?;
        self.app.wait("document.querySelector('dialog[open]') === null", SOON).await.map(drop)
    }

    async fn key(&self, key: &str) -> Result<()> {
        let event =
            format!("new KeyboardEvent('keydown', {{key: '{key}', ctrlKey: true, shiftKey: true, cancelable: true}})");
        self.app.eval(&format!("(dispatchEvent({event}), true)")).await.map(drop)
    }
}

#[tokio::test]
async fn axe_finds_nothing_in_the_studios_window() -> Result<()> {
    let on_air = OnAir::begin().await?;
    let OnAir { app, server, .. } = &on_air;
    let mut found = Vec::new();
    for (look, language, theme, set_up, shelf) in
        [("zh, light", "zh-CN", "light", "准备", "打开架子"), ("en, dark", "en", "dark", "Set-up", "Open the shelf")]
    {
        let prefs = format!("localStorage.setItem('mujian.prefs', JSON.stringify({{theme: '{theme}'}}))");
        let language = format!("localStorage.setItem('mujian.language', '{language}')");
        app.eval(&format!("(window.before = true, {prefs}, {language}, location.reload(), true)")).await?;
        app.wait("window.before === undefined && document.querySelector('button.health') !== null", SOON).await?;
        let theme = format!("document.documentElement.dataset.theme === '{theme}'");
        app.wait(&theme, SOON).await?;
        let mut seen = Seen { app, look, found: Vec::new() };
        seen.take("on air").await?;
        seen.dialog("button.health", "its health").await?;
        seen.dialog(".bar button.chip", "sharing").await?;
        seen.dialog(".bar button.chip ~ button.chip", "restreaming").await?;
        app.click(&format!("//aside//label[normalize-space(.) = '{set_up}']")).await?;
        app.wait("document.querySelector('aside .setup') !== null", SOON).await?;
        seen.take("the set-up").await?;
        seen.dialog(&format!("//button[contains(., '{shelf}')]"), "the shelf").await?;
        seen.key("E").await?;
        app.wait("document.querySelector('dialog[open]') !== null", SOON).await?;
        seen.take("ending").await?;
        app.click("dialog[open] header button").await?;
        app.wait("document.querySelector('dialog[open]') === null", SOON).await?;
        seen.key("L").await?;
        wait_stage(server, "away").await?;
        app.wait("document.querySelector('.app').classList.contains('away')", SOON).await?;
        app.wait("document.querySelector('video')?.currentTime > 0", SOON).await?;
        seen.take("away").await?;
        seen.key("L").await?;
        wait_stage(server, "live").await?;
        app.wait("!document.querySelector('.app').classList.contains('away')", SOON).await?;
        found.extend(seen.found);
    }
    ensure!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}
