//! The app's real window, driven by WebKitWebDriver (W3C WebDriver). `tauri-driver` does no more on Linux than rename
//! the capability, so it is not needed.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::{Program, source_root};
use crate::wait;

/// The name under which WebDriver hands out elements (W3C WebDriver, 11.1).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A window of the app.
pub struct Window {
    driver: Program,
    base: String,
    session: String,
    client: reqwest::Client,
}

impl Window {
    /// Starts the driver, and the app through it, with that environment.
    ///
    /// # Errors
    ///
    /// WebKitWebDriver is missing, or the app's window does not open.
    pub async fn open(app: &Path, args: &[&str], environment: &HashMap<String, String>) -> Result<Self> {
        // The driver takes a number only; a port that was free a moment ago is the best there is.
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("WebKitWebDriver");
        command.arg(format!("--port={port}")).arg("--host=127.0.0.1").envs(environment);
        command.env("TAURI_AUTOMATION", "true").env("TAURI_WEBVIEW_AUTOMATION", "true");
        let driver = Program::start(&mut command)?;
        let base = format!("http://127.0.0.1:{port}");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).build()?;
        wait::until("the WebDriver", Duration::from_secs(10), || async {
            Ok(Some(client.get(format!("{base}/status")).send().await?))
        })
        .await?;
        let mut window = Self { driver, base, session: String::new(), client };
        let options = json!({"binary": app.to_string_lossy(), "args": args});
        let body =
            json!({"capabilities": {"alwaysMatch": {"browserName": "wry", "webkitgtk:browserOptions": options}}});
        let answer = window.call("POST", "", Some(body)).await?;
        window.session = answer["sessionId"].as_str().context("no session")?.to_owned();
        Ok(window)
    }

    /// The driver's process, whose descendants are the app and what it started.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.driver.pid()
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Result<Value> {
        let url = if self.session.is_empty() {
            format!("{}/session", self.base)
        } else {
            format!("{}/session/{}{path}", self.base, self.session)
        };
        let mut request = self.client.request(method.parse()?, &url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let value = answer.json::<Value>().await?["value"].take();
        if !status.is_success() {
            bail!(
                "{method} {path}: {} {}; the driver said:\n{}",
                value["error"],
                value["message"],
                self.driver.words()
            );
        }
        Ok(value)
    }

    /// Runs `return EXPRESSION` in the page; promises are awaited.
    ///
    /// # Errors
    ///
    /// It throws.
    pub async fn eval(&self, expression: &str) -> Result<Value> {
        let script = format!(
            "const done = arguments[0]; Promise.resolve().then(() => ({expression})).then((v) => done({{ v }}), (e) => done({{ e: String(e) }}));"
        );
        let answer = self.call("POST", "/execute/async", Some(json!({"script": script, "args": []}))).await?;
        match answer["e"].as_str() {
            Some(error) => bail!("{expression}: {error}"),
            None => Ok(answer["v"].clone()),
        }
    }

    /// What axe finds wrong with what the window shows, as [`crate::browser::Browser::axe`].
    ///
    /// # Errors
    ///
    /// It cannot be run.
    pub async fn axe(&self) -> Result<Vec<String>> {
        let folder = source_root().join("tests");
        let axe = std::fs::read_to_string(folder.join("node_modules/axe-core/axe.min.js"))
            .context("axe is not installed: run `make test` once")?;
        self.call("POST", "/execute/sync", Some(json!({"script": axe, "args": []}))).await?;
        let run = std::fs::read_to_string(folder.join("browser/axe.js"))?;
        // A comment that ends with its line would take the closing bracket with it.
        Ok(serde_json::from_value(self.eval(&format!("\n{run}\n")).await?)?)
    }

    /// Waits until an expression is true in the page; gives its value.
    ///
    /// # Errors
    ///
    /// It was not within `limit`.
    pub async fn wait(&self, expression: &str, limit: Duration) -> Result<Value> {
        let seen = wait::until(expression, limit, || async {
            let value = self.eval(expression).await?;
            let no = value.is_null() || value == Value::Bool(false) || value == json!(0) || value == json!("");
            Ok((!no).then_some(value))
        })
        .await;
        match seen {
            Ok(value) => Ok(value),
            Err(error) => {
                let page = self.eval("document.body.innerText.slice(0, 3000)").await;
                Err(error.context(format!("the page says: {page:?}")))
            }
        }
    }

    /// The first element of an XPath or, where it does not begin with `/`, of a CSS selector; waits for it 15 s.
    async fn element(&self, selector: &str) -> Result<String> {
        let using = if selector.starts_with('/') { "xpath" } else { "css selector" };
        wait::until(selector, Duration::from_secs(15), || async {
            let answer = self.call("POST", "/element", Some(json!({"using": using, "value": selector}))).await?;
            Ok(answer[ELEMENT].as_str().map(str::to_owned))
        })
        .await
    }

    /// Clicks an element.
    ///
    /// # Errors
    ///
    /// It is not there or cannot be clicked within 15 s.
    pub async fn click(&self, selector: &str) -> Result<()> {
        wait::until(&format!("a click on {selector}"), Duration::from_secs(15), || async {
            let element = self.element(selector).await?;
            self.call("POST", &format!("/element/{element}/click"), Some(json!({}))).await?;
            Ok(Some(()))
        })
        .await
    }

    /// Clicks the element that closes the window. Whether the driver can still answer then is chance, so that what
    /// shall come of it is the caller's to look at.
    ///
    /// # Errors
    ///
    /// It is not there within 15 s.
    pub async fn click_to_close(&self, selector: &str) -> Result<()> {
        let element = self.element(selector).await?;
        let _ = self.call("POST", &format!("/element/{element}/click"), Some(json!({}))).await;
        Ok(())
    }

    /// Types into a field.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<()> {
        let element = self.element(selector).await?;
        self.call("POST", &format!("/element/{element}/clear"), Some(json!({}))).await?;
        self.call("POST", &format!("/element/{element}/value"), Some(json!({"text": text}))).await.map(|_| ())
    }

    /// Gives the window a size, in CSS pixels.
    ///
    /// # Errors
    ///
    /// The driver refuses.
    pub async fn resize(&self, width: u32, height: u32) -> Result<()> {
        let body = json!({"x": 0, "y": 0, "width": width, "height": height});
        self.call("POST", "/window/rect", Some(body)).await.map(|_| ())
    }

    /// Takes a picture of the page.
    ///
    /// # Errors
    ///
    /// It cannot be taken or written.
    pub async fn picture(&self, path: &Path) -> Result<()> {
        let value = self.call("GET", "/screenshot", None).await?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().context("no picture")?)?;
        std::fs::write(path, bytes)?;
        Ok(())
    }

    /// Closes the window as a person does.
    ///
    /// # Errors
    ///
    /// The driver is gone.
    pub async fn close(&self) -> Result<()> {
        self.call("DELETE", "", None).await.map(|_| ())
    }

    /// The processes that the driver started, by their command line: pids.
    ///
    /// # Errors
    ///
    /// `/proc` cannot be read.
    pub fn processes(&self, wanted: impl Fn(&[String]) -> bool) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        let Some(root) = self.driver.pid() else { return Ok(found) };
        for entry in std::fs::read_dir("/proc")? {
            let Ok(pid) = entry?.file_name().to_string_lossy().parse::<i32>() else { continue };
            let Ok(line) = std::fs::read(format!("/proc/{pid}/cmdline")) else { continue };
            let words: Vec<String> = line
                .split(|b| *b == 0)
                .map(|w| String::from_utf8_lossy(w).into_owned())
                .filter(|w| !w.is_empty())
                .collect();
            if descends(pid, root) && wanted(&words) {
                found.push(pid);
            }
        }
        Ok(found)
    }
}

/// Whether a process has `root` among its ancestors.
fn descends(pid: i32, root: u32) -> bool {
    let mut pid = i64::from(pid);
    for _ in 0..32 {
        if pid == i64::from(root) {
            return true;
        }
        // The fourth field is the parent; the second, in brackets, may hold anything.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        let Some(parent) = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) else {
            return false;
        };
        let Ok(parent) = parent.parse::<i64>() else { return false };
        if parent <= 1 {
            return false;
        }
        pid = parent;
    }
    false
}
