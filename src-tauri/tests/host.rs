//! The hosted server as a real process: found again, kept by its lease, started again, shared.
#![allow(clippy::unwrap_used)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use mujian::host::client::{HostOptions, Hosted};
use mujian::host::control::{Answer, Lines, Request};
use mujian::host::info::HostInfo;
use mujian_protocol::Problem;
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(30);

fn options(data: &Path, grace: Duration) -> HostOptions {
    HostOptions { data: data.into(), program: env!("CARGO_BIN_EXE_mujian").into(), grace, last: None }
}

/// Waits until nobody listens there any more.
async fn gone(at: SocketAddr) {
    let watch = async {
        while let Ok(mut stream) = TcpStream::connect(at).await {
            // The server's end closes this connection; until then there is nothing to read.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    };
    tokio::time::timeout(LIMIT, watch).await.unwrap();
}

async fn stop(hosted: &Hosted) {
    let control = hosted.info().control;
    hosted.ask(Request::Stop).await.unwrap();
    gone(control).await;
}

#[tokio::test]
async fn a_new_app_finds_the_server_of_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    let grace = Duration::from_secs(60);
    let first = Hosted::start(options(dir.path(), grace)).await.unwrap();
    assert!(!first.was_found());
    let info = first.info();
    // As after a crash: nobody says goodbye.
    drop(first);
    let second = Hosted::start(options(dir.path(), grace)).await.unwrap();
    assert!(second.was_found());
    assert_eq!(second.info(), info);
    let api = reqwest::Client::new();
    let me = api.get(format!("http://{}/api/v1/me", info.http)).bearer_auth(&info.token).send().await.unwrap();
    assert_eq!(me.status(), 200, "the operator is logged in");
    assert!(info.http.ip().is_loopback() && info.rtmp.ip().is_loopback(), "others cannot reach it");
    stop(&second).await;
    assert_eq!(HostInfo::read(dir.path()), None, "a server that ended is not found");
}

#[tokio::test]
async fn a_server_without_an_app_ends_after_the_grace_time() {
    let dir = tempfile::tempdir().unwrap();
    let hosted = Hosted::start(options(dir.path(), Duration::from_secs(1))).await.unwrap();
    let info = hosted.info();
    drop(hosted);
    gone(info.control).await;
    assert!(TcpStream::connect(info.http).await.is_err());
    assert_eq!(HostInfo::read(dir.path()), None);
}

#[tokio::test]
async fn a_server_that_dies_is_started_again_at_the_same_place() {
    let dir = tempfile::tempdir().unwrap();
    let hosted = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap();
    let before = hosted.info();
    let mut watch = hosted.watch();
    watch.mark_unchanged();
    let pid = rustix::process::Pid::from_raw(before.pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    tokio::time::timeout(LIMIT, watch.changed()).await.unwrap().unwrap();
    let after = hosted.info();
    assert_ne!(after.pid, before.pid);
    assert_eq!((after.http, after.rtmp), (before.http, before.rtmp));
    stop(&hosted).await;
}

#[tokio::test]
async fn only_who_knows_the_secret_is_the_app() {
    let dir = tempfile::tempdir().unwrap();
    let hosted = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap();
    let mut lines = Lines::new(TcpStream::connect(hosted.info().control).await.unwrap());
    assert!(lines.ask(&Request::Hello { secret: "guess".into() }).await.is_err());
    let mut lines = Lines::new(TcpStream::connect(hosted.info().control).await.unwrap());
    assert!(lines.ask(&Request::Stop).await.is_err(), "nothing comes before the secret");
    assert_eq!(hosted.ask(Request::Renew).await.unwrap(), Answer::default(), "and the app is still served");
    stop(&hosted).await;
}

#[tokio::test]
async fn sharing_opens_another_address_and_closes_it() {
    let dir = tempfile::tempdir().unwrap();
    let hosted = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap();
    let shared = hosted.ask(Request::Share).await.unwrap().shared.unwrap();
    assert!(
        shared.http.ip().is_unspecified() && shared.rtmp.ip().is_unspecified(),
        "on every address of this computer"
    );
    let here = SocketAddr::from((Ipv4Addr::LOCALHOST, shared.http.port()));
    let health = |at| reqwest::get(format!("http://{at}/healthz"));
    assert_eq!(health(here).await.unwrap().status(), 200);
    assert_eq!(hosted.ask(Request::Unshare).await.unwrap(), Answer::default());
    gone(here).await;
    assert_eq!(health(hosted.info().http).await.unwrap().status(), 200, "the app's own way stays");
    stop(&hosted).await;
}

#[tokio::test]
async fn the_hosts_own_settings_count_and_a_mistake_in_them_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("server.toml");
    std::fs::write(&settings, "registration_open = false\n").unwrap();
    let hosted = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap();
    let about = reqwest::get(format!("http://{}/api/v1/server", hosted.info().http)).await.unwrap();
    let about: serde_json::Value = about.json().await.unwrap();
    assert_eq!(about["registration_open"], false, "{about}");
    stop(&hosted).await;

    std::fs::write(&settings, "registration = false\n").unwrap();
    let error = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap_err();
    assert!(error.message.contains("server.toml has a mistake"), "{}", error.message);
    let Some(Problem::SettingsDamaged { reason }) = error.problem.as_deref() else { panic!("{error:?}") };
    assert!(reason.contains("server.toml") && reason.contains("registration"), "{reason}");
}

#[tokio::test]
async fn a_newer_database_is_left_alone_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let hosted = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap();
    stop(&hosted).await;
    let path = dir.path().join("server").join("mujian.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.pragma_update(None, "user_version", 9999).unwrap();
    drop(database);
    let error = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(error.code, mujian_protocol::ErrorCode::Storage);
    let told = error.problem.as_deref();
    assert!(matches!(told, Some(Problem::NewerData { path: p, found: 9999, .. }) if *p == path.display().to_string()));
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_used_is_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("server"), "in the way").unwrap();
    let error = Hosted::start(options(dir.path(), Duration::from_secs(60))).await.unwrap_err();
    assert_eq!(error.code, mujian_protocol::ErrorCode::Storage);
    assert!(error.message.contains("server"), "{}", error.message);
    // What it says comes over whole, so that the window can say it in the person's language.
    assert!(matches!(error.problem.as_deref(), Some(Problem::FolderNotWritable { .. })), "{error:?}");
}
