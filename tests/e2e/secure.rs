//! A server with a certificate of its own (issue 4): programs publish by RTMPS, pages come by HTTPS.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::server::{Room, Setup};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::web::pictures;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_certificate_from_files_brings_https_and_rtmps() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem())?;
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    let config = format!(
        "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nhttps = \"127.0.0.1:0\"\nrtmps = \"127.0.0.1:0\"\n"
    );
    let server = Setup::default().config(&config).start().await?;
    let words = server.program.words();
    let words = words.lines().find(|l| l.starts_with("ready ")).context("it is not ready")?;
    let port = |name: &str| -> Result<u16> {
        let at = words.split_whitespace().find_map(|w| w.strip_prefix(name)).with_context(|| words.to_owned())?;
        Ok(at.rsplit(':').next().context("no port")?.parse()?)
    };
    let (https, rtmps) = (port("https=")?, port("rtmps=")?);

    // Who trusts the certificate gets in by its name alone, and is told where to publish as safely.
    let trusted = reqwest::Certificate::from_pem(made.cert.pem().as_bytes())?;
    let client = reqwest::Client::builder().tls_certs_only([trusted]).build()?;
    let base = format!("https://localhost:{https}");
    let token = server.account("owner").await?;
    let made = client
        .post(format!("{base}/api/v1/rooms"))
        .bearer_auth(&token)
        .json(&json!({"title": "Safe"}))
        .send()
        .await?
        .error_for_status()?
        .json::<serde_json::Value>()
        .await?;
    let id = made["id"].as_str().context("no id")?.to_owned();
    let key = made["stream_key"].as_str().context("no key")?.to_owned();
    ensure!(made["rtmp_url"] == format!("rtmps://localhost:{rtmps}/live/{id}"), "told {}", made["rtmp_url"]);
    ensure!(client.get(format!("https://127.0.0.1:{https}/healthz")).send().await.is_err(), "another name");
    ensure!(reqwest::get(format!("{base}/healthz")).await.is_err(), "nobody vouches for it");

    let room = Room { id: id.clone(), key: key.clone(), token };
    let publisher = Publish::default().start(&format!("rtmps://localhost:{rtmps}/live/{id}?key={key}"))?;
    server.wait_stage(&room, "live", SOON).await?;
    let mut browser = Browser::start(false).await?;
    let page = browser.page(&Look::default()).await?;
    browser.goto(page, &server.watch_url(&room).replace(&server.url(), &base)).await?;
    browser.wait(page, "location.protocol === 'https:' && isSecureContext", SOON).await?;
    browser.wait(page, "document.querySelector('video')?.videoWidth === 640", SOON).await?;
    pictures(&mut browser, page, 30).await?;
    // Players that fetch, and the link's preview, which names itself.
    let mut media = client.get(format!("{base}/live/{id}.flv")).send().await?.error_for_status()?;
    ensure!(media.chunk().await?.is_some_and(|c| c.starts_with(b"FLV")), "no FLV");
    let html = client.get(format!("{base}/watch/{id}")).send().await?.text().await?;
    ensure!(html.contains(&format!("content=\"https://localhost:{https}/watch/{id}\"")), "no https in the preview");
    assert_eq!(browser.complaints(page).await?, Vec::<String>::new());

    // Who speaks no TLS there is sent away; others do not notice.
    let mut plain = TcpStream::connect(("127.0.0.1", https)).await?;
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut said = Vec::new();
    // An alert, or a reset: either ends it.
    let _ = tokio::time::timeout(SOON, plain.read_to_end(&mut said)).await?;
    ensure!(!said.starts_with(b"HTTP"), "HTTP without TLS");
    pictures(&mut browser, page, 10).await?;
    drop(publisher);
    Ok(())
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_told() -> Result<()> {
    let config = "[tls]\ncertificate = \"/nowhere/cert.pem\"\nkey = \"/nowhere/key.pem\"\nhttps = \"127.0.0.1:0\"\n";
    let (mut command, _, _folder) = Setup::default().config(config).command()?;
    let output = command.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(3), "{:?}: {said}", output.status);
    ensure!(said.contains("The certificate /nowhere/cert.pem cannot be read"), "{said}");
    Ok(())
}
