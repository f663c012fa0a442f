//! Chromium, driven by Playwright in a small Node program (`tests/browser/driver.mjs`): one JSON line per order and answer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, Command};

use crate::process::{Program, source_root};
use crate::wait::patient;

/// A browser with a profile of its own.
pub struct Browser {
    program: Program,
    input: ChildStdin,
    orders: u64,
}

/// How a page presents itself to the site.
#[derive(Clone, Debug)]
pub struct Look {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// As `en-US` or `zh-CN`.
    pub locale: &'static str,
    /// Dark, else light.
    pub dark: bool,
    /// The time zone, as `Asia/Tokyo`.
    pub zone: &'static str,
}

impl Default for Look {
    fn default() -> Self {
        Self { width: 1280, height: 800, locale: "en-US", dark: true, zone: "Asia/Shanghai" }
    }
}

/// A page, by its number in the driver.
#[derive(Clone, Copy, Debug)]
pub struct Page(u64);

impl Browser {
    /// Starts Chromium. With `own_autoplay_rule` sound needs a person's click first, as in everybody's browser.
    ///
    /// # Errors
    ///
    /// Node, playwright-core or Chromium is missing.
    pub async fn start(own_autoplay_rule: bool) -> Result<Self> {
        let driver = source_root().join("tests/browser/driver.mjs");
        let (program, input) = Program::start_with_input(Command::new("node").arg(driver))?;
        let mut browser = Self { program, input, orders: 0 };
        browser.order(json!({"op": "launch", "own_autoplay_rule": own_autoplay_rule}), Duration::from_secs(60)).await?;
        Ok(browser)
    }

    async fn order(&mut self, mut order: Value, limit: Duration) -> Result<Value> {
        self.orders += 1;
        let id = self.orders;
        order["id"] = id.into();
        self.input.write_all(format!("{order}\n").as_bytes()).await?;
        self.input.flush().await?;
        let start = format!("{{\"id\":{id},");
        let line = self.program.line(&format!("an answer to {order}"), limit, |l| l.starts_with(&start)).await?;
        let answer: Value = serde_json::from_str(&line)?;
        match answer["error"].as_str() {
            Some(error) => bail!("{}: {error}", order["op"]),
            None => Ok(answer["value"].clone()),
        }
    }

    /// A new page with nothing kept from others.
    ///
    /// # Errors
    ///
    /// The browser is gone.
    pub async fn page(&mut self, look: &Look) -> Result<Page> {
        let order = json!({"op": "page", "width": look.width, "height": look.height, "locale": look.locale,
            "zone": look.zone, "scheme": if look.dark { "dark" } else { "light" }});
        let value = self.order(order, Duration::from_secs(20)).await?;
        Ok(Page(value.as_u64().context("no page")?))
    }

    /// Lets the page keep nothing from the next address on, as where a person blocks all cookies.
    ///
    /// # Errors
    ///
    /// The browser is gone.
    pub async fn keep_nothing(&mut self, page: Page) -> Result<()> {
        self.order(json!({"op": "keep_nothing", "page": page.0}), Duration::from_secs(20)).await.map(|_| ())
    }

    /// From the next address on the page has notices that are only noted, in `shownNotices`, and that the person allows
    /// when asked.
    ///
    /// # Errors
    ///
    /// The browser is gone.
    pub async fn note_notices(&mut self, page: Page) -> Result<()> {
        self.order(json!({"op": "note_notices", "page": page.0}), Duration::from_secs(20)).await.map(|_| ())
    }

    /// Opens an address.
    ///
    /// # Errors
    ///
    /// It does not load.
    pub async fn goto(&mut self, page: Page, url: &str) -> Result<()> {
        self.order(json!({"op": "goto", "page": page.0, "url": url}), Duration::from_secs(30)).await.map(|_| ())
    }

    /// Evaluates an expression in the page; promises are awaited.
    ///
    /// # Errors
    ///
    /// It throws.
    pub async fn eval(&mut self, page: Page, script: &str) -> Result<Value> {
        self.order(json!({"op": "eval", "page": page.0, "script": script}), Duration::from_secs(120)).await
    }

    /// Waits until an expression is true in the page; gives its value.
    ///
    /// # Errors
    ///
    /// It was not within `limit`.
    pub async fn wait(&mut self, page: Page, script: &str, limit: Duration) -> Result<Value> {
        let order = json!({"op": "wait", "page": page.0, "script": script, "limit": patient(limit).as_millis() as u64});
        self.order(order, limit + Duration::from_secs(10)).await
    }

    /// What axe finds wrong with what the page shows (WCAG 2.2 A and AA, and good practice), in one line each that begins
    /// with how much it matters: `minor`, `moderate`, `serious`, `critical`.
    ///
    /// # Errors
    ///
    /// It cannot be run.
    pub async fn axe(&mut self, page: Page) -> Result<Vec<String>> {
        let value = self.order(json!({"op": "axe", "page": page.0}), Duration::from_secs(60)).await?;
        Ok(serde_json::from_value(value)?)
    }

    /// Clicks like a person: waits until it is there and can be clicked. Selectors are Playwright's.
    ///
    /// # Errors
    ///
    /// It cannot be clicked within 10 s.
    pub async fn click(&mut self, page: Page, selector: &str) -> Result<()> {
        self.order(json!({"op": "click", "page": page.0, "selector": selector}), Duration::from_secs(20))
            .await
            .map(|_| ())
    }

    /// Fills a field.
    ///
    /// # Errors
    ///
    /// It cannot be filled within 10 s.
    pub async fn fill(&mut self, page: Page, selector: &str, text: &str) -> Result<()> {
        let order = json!({"op": "fill", "page": page.0, "selector": selector, "text": text});
        self.order(order, Duration::from_secs(20)).await.map(|_| ())
    }

    /// Chooses files in a field for files.
    ///
    /// # Errors
    ///
    /// The field is not there.
    pub async fn files(&mut self, page: Page, selector: &str, paths: &[&Path]) -> Result<()> {
        let order = json!({"op": "files", "page": page.0, "selector": selector, "paths": paths});
        self.order(order, Duration::from_secs(20)).await.map(|_| ())
    }

    /// Presses a key in a field.
    ///
    /// # Errors
    ///
    /// The field is not there.
    pub async fn press(&mut self, page: Page, selector: &str, key: &str) -> Result<()> {
        let order = json!({"op": "press", "page": page.0, "selector": selector, "key": key});
        self.order(order, Duration::from_secs(20)).await.map(|_| ())
    }

    /// Presses a key, wherever the focus is.
    ///
    /// # Errors
    ///
    /// There is no such key, or the browser is gone.
    pub async fn key(&mut self, page: Page, key: &str) -> Result<()> {
        self.order(json!({"op": "key", "page": page.0, "key": key}), Duration::from_secs(20)).await.map(|_| ())
    }

    /// Types a text, key by key, wherever the focus is.
    ///
    /// # Errors
    ///
    /// The browser is gone.
    pub async fn type_text(&mut self, page: Page, text: &str) -> Result<()> {
        self.order(json!({"op": "type", "page": page.0, "text": text}), Duration::from_secs(20)).await.map(|_| ())
    }

    /// Turns the mouse's wheel over something, by so many pixels.
    ///
    /// # Errors
    ///
    /// It is not there within 10 s.
    pub async fn wheel(&mut self, page: Page, selector: &str, down: i32) -> Result<()> {
        let order = json!({"op": "wheel", "page": page.0, "selector": selector, "down": down});
        self.order(order, Duration::from_secs(20)).await.map(|_| ())
    }

    /// Waits until something is visible.
    ///
    /// # Errors
    ///
    /// It was not within `limit`.
    pub async fn visible(&mut self, page: Page, selector: &str, limit: Duration) -> Result<()> {
        let order =
            json!({"op": "visible", "page": page.0, "selector": selector, "limit": patient(limit).as_millis() as u64});
        self.order(order, limit + Duration::from_secs(10)).await.map(|_| ())
    }

    /// Takes a picture of what the page shows.
    ///
    /// # Errors
    ///
    /// It cannot be taken or written.
    pub async fn picture(&mut self, page: Page, path: &Path) -> Result<()> {
        let order = json!({"op": "shot", "page": page.0, "path": path.to_string_lossy(), "transparent": false});
        self.order(order, Duration::from_secs(30)).await.map(|_| ())
    }

    /// Takes a picture of what the page paints, with nothing where it paints nothing, as a program that lays it over
    /// something else.
    ///
    /// # Errors
    ///
    /// It cannot be taken or written.
    pub async fn layer(&mut self, page: Page, path: &Path) -> Result<()> {
        let order = json!({"op": "shot", "page": page.0, "path": path.to_string_lossy(), "transparent": true});
        self.order(order, Duration::from_secs(30)).await.map(|_| ())
    }

    /// What the page wrote to its console as an error, and what it threw, so far.
    ///
    /// # Errors
    ///
    /// The browser is gone.
    pub async fn complaints(&mut self, page: Page) -> Result<Vec<String>> {
        let value = self.order(json!({"op": "complaints", "page": page.0}), Duration::from_secs(10)).await?;
        Ok(serde_json::from_value(value)?)
    }

    /// Closes a page.
    ///
    /// # Errors
    ///
    /// The browser is gone.
    pub async fn close(&mut self, page: Page) -> Result<()> {
        self.order(json!({"op": "close", "page": page.0}), Duration::from_secs(20)).await.map(|_| ())
    }
}
