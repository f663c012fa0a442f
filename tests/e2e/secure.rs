//! A server with a certificate of its own (issue 4): programs publish by RTMPS, pages come by HTTPS.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::browser::{Browser, Look};
use mujian_tests::ffmpeg::Publish;
use mujian_tests::flv::Viewer;
use mujian_tests::live;
use mujian_tests::server::{Room, Server, Setup};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::web::pictures;

const SOON: Duration = Duration::from_secs(30);

/// A server that speaks TLS for `localhost`, with a certificate of its own making.
struct Safe {
    server: Server,
    https: u16,
    rtmps: u16,
    rtmp: u16,
    certificate: PathBuf,
    _folder: TempDir,
}

impl Safe {
    async fn start() -> Result<Self> {
        Self::with_rtmps(true).await
    }

    async fn with_rtmps(served: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        std::fs::write(&certificate, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut config = format!("[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nhttps = \"127.0.0.1:0\"\n");
        if served {
            config += "rtmps = \"127.0.0.1:0\"\n";
        }
        let server = Setup::default().config(&config).start().await?;
        let words = server.program.words();
        let words = words.lines().find(|l| l.starts_with("ready ")).context("it is not ready")?;
        let port = |name: &str| -> Result<u16> {
            let at = words.split_whitespace().find_map(|w| w.strip_prefix(name)).with_context(|| words.to_owned())?;
            Ok(at.rsplit(':').next().context("no port")?.parse()?)
        };
        let rtmps = if served { port("rtmps=")? } else { 0 };
        let (https, rtmp) = (port("https=")?, port("rtmp=")?);
        Ok(Self { server, https, rtmps, rtmp, certificate, _folder: folder })
    }
}

/// Whether somebody on this computer is connected to a port of its own.
fn is_connected(port: u16) -> Result<bool> {
    let table = std::fs::read_to_string("/proc/net/tcp")? + &std::fs::read_to_string("/proc/net/tcp6")?;
    let to = format!(":{port:04X}");
    // Columns: number, local address, remote address, state; 01 is an open connection.
    Ok(table
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>())
        .any(|columns| columns.get(2).is_some_and(|remote| remote.ends_with(&to)) && columns.get(3) == Some(&"01")))
}

#[tokio::test]
async fn the_app_publishes_by_rtmps_to_a_server_that_it_knows_by_https() -> Result<()> {
    let safe = Safe::start().await?;
    let Safe { server, https, rtmps, rtmp, certificate, .. } = &safe;
    let room = server.room("owner", "Safe").await?;
    let source = ["--test-card", "--preset", "540p30", "--encoder", "libx264", "--mic", "none"];
    // By the server's own address, and by the one that OBS would use.
    for address in [format!("https://localhost:{https}"), format!("rtmps://localhost:{rtmps}/live")] {
        let mut command = live::command_at(&address, server, &room, &source)?;
        command.env("SSL_CERT_FILE", certificate);
        let mut program = live::begin(server, &room, &mut command).await?;
        ensure!(is_connected(*rtmps)?, "nobody publishes by RTMPS to {address}");
        ensure!(!is_connected(*rtmp)?, "somebody publishes in the clear to {address}");
        let viewer = Viewer::open(&server.flv_url(&room)).await?;
        viewer.more_pictures(60, SOON).await?;
        ensure!(program.stop(SOON).await?.success(), "{}", program.words());
        server.wait_stage(&room, "off", SOON).await?;

        // Nothing is said to a server that does not prove who it is.
        let output = live::command_at(&address, server, &room, &source)?.kill_on_drop(true).output();
        let output = tokio::time::timeout(SOON, output).await??;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        ensure!(output.status.code() == Some(5), "{:?}: {said}", output.status);
        ensure!(said.contains("The certificate of localhost cannot be trusted"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn who_publishes_in_the_open_to_a_server_of_https_is_told() -> Result<()> {
    let Safe { server, https, rtmp, certificate, _folder, .. } = Safe::with_rtmps(false).await?;
    let room = server.room("owner", "Half safe").await?;
    let source = ["--test-card", "--preset", "540p30", "--encoder", "libx264", "--mic", "none"];
    let mut command = live::command_at(&format!("https://localhost:{https}"), &server, &room, &source)?;
    command.env("SSL_CERT_FILE", &certificate);
    let program = live::begin(&server, &room, &mut command).await?;
    ensure!(is_connected(rtmp)?, "nobody publishes");
    let told = "\"code\":\"sent_openly\"";
    mujian_tests::wait::until("the word of it", SOON, || async { Ok(program.words().contains(told).then_some(())) })
        .await
}

#[tokio::test]
async fn a_certificate_from_files_brings_https_and_rtmps() -> Result<()> {
    let Safe { server, https, rtmps, certificate, _folder, .. } = Safe::start().await?;

    // Who trusts the certificate gets in by its name alone, and is told where to publish as safely.
    let trusted = reqwest::Certificate::from_pem(&std::fs::read(&certificate)?)?;
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
