//! Two thousand people vote in five seconds, each at a socket of their own: is every vote counted, and how far are the
//! tallies behind?

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use mujian_protocol::WallTime;
use mujian_protocol::api::Role;
use mujian_server::account::SecretToken;
use mujian_server::store::NewAccount;
use mujian_server::{Config, Server as InProcess};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::ffmpeg::Publish;
use crate::measure::leave::call;
use crate::server::{Room, Server, Setup};

const SOON: Duration = Duration::from_secs(30);
/// Options of a ballot, unless a streamer has others.
const OPTIONS: usize = 5;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What came out.
#[derive(Clone, Debug)]
pub struct Votes {
    /// How long a vote was not in the newest tally, at most, in seconds.
    pub behind: f64,
    /// Votes that were cast, and votes in the last tally, for each option.
    pub counted: ([u64; OPTIONS], [u64; OPTIONS]),
}

/// Makes accounts and their sessions ahead of the server's start: two thousand passwords would take minutes.
async fn accounts(data: &Path, count: usize) -> Result<Vec<String>> {
    let running = InProcess::start(Config::local(data)).await?;
    let store = &running.app().store;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let mut tokens = Vec::with_capacity(count);
    for n in 0..count {
        let name = format!("voter {n}");
        let new = NewAccount { name_key: name.clone(), name, password: None, role: Role::Viewer, at: WallTime(now) };
        let account = store.create_account(new).await?.context("the name is taken")?;
        let token = SecretToken::new();
        store.create_session(token.hash().0, account.id, WallTime(now), WallTime(now + 3_600_000)).await?;
        tokens.push(token.reveal());
    }
    running.shutdown().await;
    Ok(tokens)
}

async fn hello(server: &Server, room: &Room, token: Option<&str>) -> Result<(Socket, Value)> {
    let url = format!("ws://{}/api/v1/rooms/{}/socket", server.http, room.id);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let mut hello = json!({"type": "hello", "version": 1});
    if let Some(token) = token {
        hello["token"] = token.into();
    }
    socket.send(Message::text(hello.to_string())).await?;
    let welcome = next(&mut socket, "welcome").await?;
    Ok((socket, welcome))
}

/// The next message of a type; others are passed over.
async fn next(socket: &mut Socket, kind: &str) -> Result<Value> {
    let kind_of = format!("\"type\":\"{kind}\"");
    let found = async {
        while let Some(message) = socket.next().await {
            if let Message::Text(text) = message?
                && text.contains(&kind_of)
            {
                return Ok(serde_json::from_str(&text)?);
            }
        }
        anyhow::bail!("the socket was closed before {kind}")
    };
    tokio::time::timeout(SOON, found).await.with_context(|| format!("no {kind}"))?
}

/// Lets so many people vote within `time`.
///
/// # Errors
///
/// Somebody is not let in, or a vote is not acknowledged.
pub async fn measure(count: usize, time: Duration) -> Result<Votes> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let tokens = accounts(&data, count).await?;
    let quick = "[limits]\nrequests = { burst = 100000, per_hour = 3600000 }\n";
    let server = Setup::default().config(quick).data(&data).start().await?;
    let room = server.room("owner", "Votes").await?;
    let _publisher = Publish::default().start(&server.publish_url(&room))?;
    server.wait_stage(&room, "live", SOON).await?;

    let mut sockets = Vec::with_capacity(count);
    for token in &tokens {
        sockets.push(hello(&server, &room, Some(token)).await?.0);
    }
    call(&server, &room, "leave", json!({})).await?;
    let (mut watcher, welcome) = hello(&server, &room, None).await?;
    let ballot = welcome["ballot"]["id"].as_str().context("no ballot is open")?.to_owned();

    let mut cast = [0; OPTIONS];
    let (begin, step) = (Instant::now() + Duration::from_secs(1), time / u32::try_from(count)?);
    let mut voters = JoinSet::new();
    for (n, mut socket) in sockets.into_iter().enumerate() {
        let option = n * 7 % 11 % OPTIONS;
        cast[option] += 1;
        let vote = json!({"type": "vote", "client_ref": "a", "ballot": ballot, "option": option}).to_string();
        let at = begin + step * u32::try_from(n)?;
        voters.spawn(async move {
            tokio::time::sleep_until(at.into()).await;
            let sent = Instant::now();
            socket.send(Message::text(vote)).await?;
            next(&mut socket, "voted").await?;
            Ok::<_, anyhow::Error>((sent, socket))
        });
    }
    // When each tally came, and how many votes it had.
    let watching = tokio::spawn(async move {
        let mut tallies: Vec<(Instant, [u64; OPTIONS])> = Vec::new();
        loop {
            let tally = next(&mut watcher, "tally").await?;
            let votes: [u64; OPTIONS] = serde_json::from_value(tally["votes"].clone())?;
            tallies.push((Instant::now(), votes));
            if votes.iter().sum::<u64>() >= u64::try_from(count)? {
                return Ok::<_, anyhow::Error>(tallies);
            }
        }
    });
    let (mut sent, mut open) = (Vec::with_capacity(count), Vec::with_capacity(count));
    while let Some(voted) = voters.join_next().await {
        let (at, socket) = voted??;
        sent.push(at);
        // Everybody stays and is told the tallies, as in a room.
        open.push(socket);
    }
    sent.sort();
    let tallies = watching.await??;
    let counted = tallies.last().context("no tally")?.1;
    ensure!(open.len() == count);
    Ok(Votes { behind: behind(&sent, &tallies), counted: (cast, counted) })
}

/// The longest, in seconds, that a vote was not in the newest tally: until the tally after the last one without it.
fn behind(sent: &[Instant], tallies: &[(Instant, [u64; OPTIONS])]) -> f64 {
    let (mut had, mut most) = (0, Duration::ZERO);
    for (at, votes) in tallies {
        if let Some(oldest) = sent.get(had) {
            most = most.max(at.saturating_duration_since(*oldest));
        }
        had = usize::try_from(votes.iter().sum::<u64>()).unwrap_or(usize::MAX);
    }
    most.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_is_behind_until_a_tally_has_it() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let tally = |ms, votes| (at(ms), [votes, 0, 0, 0, 0]);
        let sent = [at(0), at(100), at(200)];
        assert_eq!(behind(&sent, &[tally(50, 1), tally(550, 3)]), 0.45);
        assert_eq!(behind(&sent, &[tally(50, 0), tally(700, 3)]), 0.7);
    }
}
