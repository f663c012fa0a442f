//! Restreaming (row A8): what a room sends out goes to another server too, and leaving holds there.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mujian_tests::measure::leave::{self, Press};
use mujian_tests::process::{Program, run};
use mujian_tests::server::{Room, Server, Setup};
use mujian_tests::{ffmpeg, flv, live, wait};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

const SOON: Duration = Duration::from_secs(20);
/// Our waits between attempts grow to a minute.
const AT_LAST: Duration = Duration::from_secs(60);
const CARD: [&str; 3] = ["--test-card", "--preset", "540p30"];
/// Both ends are on this computer.
const NEAR: &str = "relays_to_private = true\n";

async fn near() -> Result<(Server, Room)> {
    let server = Setup::default().config(NEAR).log("debug").start().await?;
    let room = server.room("streamer", "Near").await?;
    Ok((server, room))
}

/// The far room's address and key, as its owner sees them.
fn to(server: SocketAddr, room: &Room) -> Value {
    json!({"name": "far", "url": format!("rtmp://{server}/live"), "key": format!("{}?key={}", room.id, room.key)})
}

async fn add(server: &Server, room: &Room, relay: Value) -> Result<String> {
    let path = format!("/rooms/{}/relays", room.id);
    let (status, added) = server.call("POST", &path, Some(&room.token), Some(relay)).await?;
    ensure!(status == 201, "{status} {added}");
    Ok(added["id"].as_str().context("no id")?.to_owned())
}

async fn change(server: &Server, room: &Room, relay: &str, patch: Value) -> Result<()> {
    let path = format!("/rooms/{}/relays/{relay}", room.id);
    let (status, changed) = server.call("PATCH", &path, Some(&room.token), Some(patch)).await?;
    ensure!(status == 200, "{status} {changed}");
    Ok(())
}

/// Waits until the owner is told that a further address stands so; gives what is told.
async fn stands(server: &Server, room: &Room, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let path = format!("/rooms/{}/relays", room.id);
    wait::until("the state of the restream", AT_LAST, || async {
        let (_, list) = server.call("GET", &path, Some(&room.token), None).await?;
        if wanted(&list[0]["state"]) { Ok(Some(list[0].clone())) } else { anyhow::bail!("it is {list}") }
    })
    .await
}

fn is(state: &'static str) -> impl Fn(&Value) -> bool {
    move |told| told["state"] == state
}

fn problem(relay: &Value) -> &str {
    relay["state"]["error"]["problem"]["kind"].as_str().unwrap_or_default()
}

async fn stop(mut program: Program) -> Result<()> {
    program.signal(libc::SIGINT);
    program.ended(SOON).await?;
    Ok(())
}

/// A far viewer sees the streamer's clock, and while the streamer is away the placeholder and nothing that is captured
/// meanwhile. It ends there when it ends here.
#[tokio::test]
async fn leaving_holds_where_a_room_is_restreamed_to() -> Result<()> {
    let (near, room) = near().await?;
    let far = Server::start().await?;
    let there = far.room("streamer", "Far").await?;
    add(&near, &room, to(far.rtmp, &there)).await?;
    let idle = stands(&near, &room, is("idle")).await?;
    ensure!(idle["key_end"] == there.key[there.key.len() - 4..], "{idle}");
    let program = live::start(&near, &room, &CARD).await?;
    far.wait_stage(&there, "live", SOON).await?;
    stands(&near, &room, is("live")).await?;
    let viewer = flv::Viewer::open(&far.flv_url(&there)).await?;
    viewer.more_pictures(30, SOON).await?;
    let beside = flv::Viewer::open(&near.flv_url(&room)).await?;
    let mut cycles = Vec::new();
    for n in 0..5u64 {
        tokio::time::sleep(Duration::from_millis(n * 37 % 230)).await;
        let stay = Duration::from_millis(400 + n * 53 % 300);
        cycles.push(leave::cycle(&near, &room, &mut Press::Api, stay).await.with_context(|| format!("cycle {n}"))?);
        viewer.more_pictures(30, SOON).await?;
    }
    let seen = leave::seen_by_flv(&viewer).await?;
    let found = leave::find(&seen, &cycles, false)?;
    // What the end of an absence may show is the near road's affair; the way on to the far server adds nothing to it.
    let slack = leave::slack(&leave::seen_by_flv(&beside).await?);
    let leaks = leave::leaks(seen.iter().filter_map(|s| s.captured), &cycles, slack);
    ensure!(leaks.is_empty(), "captured so long after it held: {leaks:?} ms");
    ensure!(found.no_keys == 0, "{} returns without a key frame", found.no_keys);
    ensure!(viewer.ended().is_none(), "the far stream broke off");

    // Away for longer: the placeholder is what is seen there, and nothing else.
    leave::call(&near, &room, "leave", json!({})).await?;
    viewer.more_pictures(45, SOON).await?;
    let again = flv::Viewer::open(&far.flv_url(&there)).await?;
    again.more_pictures(30, SOON).await?;
    let captured = leave::seen_by_flv(&again).await?.iter().filter(|s| s.captured.is_some()).count();
    ensure!(captured == 0, "{captured} pictures of the streamer while away");
    leave::call(&near, &room, "back", json!({})).await?;
    near.wait_stage(&room, "live", SOON).await?;

    stop(program).await?;
    far.wait_stage(&there, "off", SOON).await?;
    stands(&near, &room, is("idle")).await?;
    ensure!(!near.program.words().contains(&there.key), "the far key is in the log");
    Ok(())
}

/// The far server is killed and comes back: the restream does too, by itself, and nobody near notices.
#[tokio::test]
async fn a_restream_comes_back_with_its_server() -> Result<()> {
    let (near, room) = near().await?;
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let mut far = Setup::default().data(&data).start().await?;
    let there = far.room("streamer", "Far").await?;
    let relay = add(&near, &room, to(far.rtmp, &there)).await?;
    let program = live::start(&near, &room, &CARD).await?;
    far.wait_stage(&there, "live", SOON).await?;
    let viewer = flv::Viewer::open(&near.flv_url(&room)).await?;
    viewer.more_pictures(15, SOON).await?;
    let (http, rtmp) = (far.http.to_string(), far.rtmp.to_string());
    far.program.signal(libc::SIGKILL);
    far.program.ended(SOON).await?;
    drop(far);
    let waiting = stands(&near, &room, is("waiting")).await?;
    ensure!(["relay_lost", "relay_unreachable"].contains(&problem(&waiting)), "{waiting}");
    ensure!(waiting["state"]["until"].as_i64().is_some(), "{waiting}");

    let far = Setup::default().data(&data).arg("--http").arg(&http).arg("--rtmp").arg(&rtmp).start().await?;
    stands(&near, &room, is("live")).await?;
    far.wait_stage(&there, "live", SOON).await?;
    viewer.more_pictures(15, SOON).await?;
    ensure!(viewer.ended().is_none());
    viewer.check_timeline(flv::HOLE, flv::SOUND_HOLE)?;
    // Switched off it ends there at once, and is told so.
    change(&near, &room, &relay, json!({"on": false})).await?;
    far.wait_stage(&there, "off", SOON).await?;
    stands(&near, &room, is("off")).await?;
    change(&near, &room, &relay, json!({"on": true})).await?;
    far.wait_stage(&there, "live", SOON).await?;
    stop(program).await
}

/// A wrong key is told with the far side's reason, and tried once.
#[tokio::test]
async fn a_wrong_key_is_told_and_not_tried_again() -> Result<()> {
    let (near, room) = near().await?;
    let mut far = Server::start().await?;
    let there = far.room("streamer", "Far").await?;
    let wrong = Room { key: "not-the-right-key".into(), ..there.clone() };
    let relay = add(&near, &room, to(far.rtmp, &wrong)).await?;
    let program = live::start(&near, &room, &CARD).await?;
    let refused = stands(&near, &room, is("refused")).await?;
    ensure!(problem(&refused) == "relay_key_refused", "{refused}");
    ensure!(refused["state"]["error"]["code"] == "wrong_stream_key", "{refused}");
    let reason = refused["state"]["error"]["problem"]["reason"].as_str().context("no reason")?;
    ensure!(reason.contains("stream key is wrong"), "{reason}");
    // Another one is refused meanwhile, after which this one would have been tried again long ago, if it were.
    change(&near, &room, &relay, json!({"key": to(far.rtmp, &there)["key"]})).await?;
    far.wait_stage(&there, "live", SOON).await?;
    stands(&near, &room, is("live")).await?;
    far.program.line("that it was refused", SOON, |l| l.contains("A publisher was refused")).await?;
    let refusals = far.program.words().lines().filter(|l| l.contains("A publisher was refused")).count();
    ensure!(refusals == 1, "{refusals} attempts with a wrong key");
    ensure!(!near.program.words().contains("not-the-right-key"), "the key is in the log");
    stop(program).await
}

/// A restream that leads back to its own server, at once or through another one, is refused and harms nobody.
#[tokio::test]
async fn a_restream_does_not_lead_back() -> Result<()> {
    let (near, room) = near().await?;
    let (_, second) = near.call("POST", "/rooms", Some(&room.token), Some(json!({"title": "Second"}))).await?;
    let text = |name: &str| second[name].as_str().map(str::to_owned).context("no room");
    let second = Room { id: text("id")?, key: text("stream_key")?, token: room.token.clone() };
    let relay = add(&near, &room, to(near.rtmp, &second)).await?;
    let program = live::start(&near, &room, &CARD).await?;
    let refused = stands(&near, &room, is("refused")).await?;
    ensure!(problem(&refused) == "relay_leads_back", "{refused}");

    // Through another server, from where it would come back.
    let far = Setup::default().config(NEAR).start().await?;
    let there = far.room("streamer", "Far").await?;
    add(&far, &there, to(near.rtmp, &second)).await?;
    let mut on = to(far.rtmp, &there);
    on["on"] = true.into();
    change(&near, &room, &relay, on).await?;
    far.wait_stage(&there, "live", SOON).await?;
    let refused = stands(&far, &there, is("refused")).await?;
    ensure!(problem(&refused) == "relay_leads_back", "{refused}");
    ensure!(near.stage(&second).await? == "off" && near.stage(&room).await? == "live");
    stop(program).await
}

/// ffmpeg takes what is sent, as a server that is not ours, and decodes all of it.
#[tokio::test]
async fn ffmpeg_takes_a_restream() -> Result<()> {
    let (near, room) = near().await?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("far.flv");
    let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "info", "-nostats", "-listen", "1", "-f", "flv", "-i"]);
    command.arg(format!("rtmp://127.0.0.1:{port}/app/key")).args(["-c", "copy", "-flush_packets", "1"]).arg(&file);
    let mut far = Program::start(&mut command)?;
    let relay = json!({"name": "ffmpeg", "url": format!("rtmp://127.0.0.1:{port}/app"), "key": "key"});
    add(&near, &room, relay).await?;
    let program = live::start(&near, &room, &CARD).await?;
    stands(&near, &room, is("live")).await?;
    far.line("what it gets", SOON, |l| l.contains("Output #0")).await?;
    leave::call(&near, &room, "leave", json!({})).await?;
    let viewer = flv::Viewer::open(&near.flv_url(&room)).await?;
    viewer.more_pictures(30, SOON).await?;
    leave::call(&near, &room, "back", json!({})).await?;
    near.wait_stage(&room, "live", SOON).await?;
    viewer.more_pictures(30, SOON).await?;
    stop(program).await?;
    far.ended(SOON).await?;
    ffmpeg::decodes(&file).await?;
    let packets = ffmpeg::packets(&file).await?;
    for video in [true, false] {
        let times: Vec<f64> = packets.iter().filter(|p| p.video == video).map(|p| p.dts).collect();
        ensure!(times.len() > 60, "only {} packets, picture: {video}", times.len());
        ensure!(times[0] < 1.0, "the timeline begins at {}", times[0]);
        ensure!(times.windows(2).all(|pair| pair[1] >= pair[0]), "a step back, picture: {video}");
    }
    Ok(())
}

/// Takes TLS off and hands what is in it on to `inner`.
async fn tls_before(inner: SocketAddr, folder: &Path) -> Result<(SocketAddr, JoinHandle<()>)> {
    let config = folder.join("openssl.cnf");
    let words = "[req]\ndistinguished_name=dn\nx509_extensions=ext\nprompt=no\n[dn]\nCN=localhost\n[ext]\n\
                 subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=critical,CA:FALSE\n";
    std::fs::write(&config, words)?;
    let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let (key, certificate, config) = (path("key.pem"), path("certificate.pem"), path("openssl.cnf"));
    let args = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let args = args.into_iter().chain(["-keyout", &key, "-out", &certificate, "-config", &config]);
    run("openssl", args, SOON).await?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from_pem_file(&certificate)?], PrivateKeyDer::from_pem_file(&key)?)?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let at = listener.local_addr()?;
    let task = tokio::spawn(async move {
        while let Ok((outer, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut outer = acceptor.accept(outer).await?;
                let mut inner = TcpStream::connect(inner).await?;
                tokio::io::copy_bidirectional(&mut outer, &mut inner).await
            });
        }
    });
    Ok((at, task))
}

/// Over TLS, to whom the system trusts; to others nothing is sent.
#[tokio::test]
async fn a_restream_over_tls_goes_to_whom_it_trusts() -> Result<()> {
    let far = Server::start().await?;
    let there = far.room("streamer", "Far").await?;
    let folder = tempfile::tempdir()?;
    let (at, task) = tls_before(far.rtmp, folder.path()).await?;
    let mut relay = to(at, &there);
    relay["url"] = format!("rtmps://localhost:{}/live", at.port()).into();

    let (doubting, room) = near().await?;
    add(&doubting, &room, relay.clone()).await?;
    let program = live::start(&doubting, &room, &CARD).await?;
    let untrusted = stands(&doubting, &room, is("waiting")).await?;
    ensure!(problem(&untrusted) == "relay_untrusted", "{untrusted}");
    stop(program).await?;

    let trusting = Setup::default().config(NEAR).trusting(&folder.path().join("certificate.pem")).start().await?;
    let room = trusting.room("streamer", "Near").await?;
    add(&trusting, &room, relay).await?;
    let program = live::start(&trusting, &room, &CARD).await?;
    stands(&trusting, &room, is("live")).await?;
    let viewer = flv::Viewer::open(&far.flv_url(&there)).await?;
    viewer.more_pictures(30, SOON).await?;
    let captured = leave::seen_by_flv(&viewer).await?.iter().filter(|s| s.captured.is_some()).count();
    ensure!(captured > 15, "{captured} of the streamer's pictures");
    stop(program).await?;
    task.abort();
    Ok(())
}
