//! Somebody else in the room, who writes danmaku: the room's socket without a page.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Interval, MissedTickBehavior};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::server::{Room, Server};

/// All of them are answered by then.
const SOON: Duration = Duration::from_secs(30);

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

/// Joins the room with a session.
async fn join(server: &Server, room: &Room, token: &str) -> Result<Socket> {
    let url = format!("ws://{}/api/v1/rooms/{}/socket", server.http, room.id);
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await?;
    let hello = json!({"type": "hello", "version": mujian_protocol::room::ROOM_PROTOCOL, "token": token});
    socket.send(Message::text(hello.to_string())).await?;
    Ok(socket)
}

/// Joins the room with a session, writes these comments in their order, and leaves when all of them are accepted.
///
/// # Errors
///
/// The server refused one of them, or did not answer.
pub async fn say(server: &Server, room: &Room, token: &str, texts: &[&str]) -> Result<()> {
    let mut socket = join(server, room, token).await?;
    let visit = uuid::Uuid::new_v4();
    let talk = async {
        for (number, text) in texts.iter().enumerate() {
            let client_ref = format!("{visit}.{number}");
            let order = json!({"type": "danmaku", "client_ref": client_ref, "text": text});
            socket.send(Message::text(order.to_string())).await?;
            loop {
                let Message::Text(answer) = socket.next().await.context("the socket was closed")?? else { continue };
                let answer: Value = serde_json::from_str(&answer)?;
                if answer["client_ref"] != client_ref.as_str() {
                    continue;
                }
                match answer["type"].as_str() {
                    Some("accepted") => break,
                    Some("refused") => bail!("{text} was refused: {answer}"),
                    _ => {}
                }
            }
        }
        Ok(())
    };
    tokio::time::timeout(SOON, talk).await.context("no answer")?
}

/// People who write all the time, with one voice.
pub struct Crowd {
    stop: watch::Sender<bool>,
    people: Vec<JoinHandle<Result<u64>>>,
}

/// As many share a crowd's writing: how much one socket may say is bounded, whatever the limits of accounts are.
const PEOPLE: u32 = 50;

impl Crowd {
    /// Writes so many danmaku a second, evenly, until [`Crowd::end`]. The server's limits must allow it.
    ///
    /// # Errors
    ///
    /// The room's socket does not open.
    pub async fn begin(server: &Server, room: &Room, token: &str, a_second: u32) -> Result<Self> {
        let stop = watch::Sender::new(false);
        let mut people = Vec::new();
        for person in 0..PEOPLE {
            let socket = join(server, room, token).await?;
            let every = Duration::from_secs(1) * PEOPLE / a_second;
            // One after the other, not all at once.
            let beat = tokio::time::interval_at(Instant::now() + every * person / PEOPLE, every);
            people.push(tokio::spawn(write(socket, beat, stop.subscribe())));
        }
        Ok(Self { stop, people })
    }

    /// Falls silent: how many danmaku the room took.
    ///
    /// # Errors
    ///
    /// One was refused, or the connection broke.
    pub async fn end(self) -> Result<u64> {
        self.stop.send_replace(true);
        let mut taken = 0;
        for person in self.people {
            taken += person.await??;
        }
        Ok(taken)
    }
}

/// Writes at each beat until it is stopped: how many were accepted.
async fn write(mut socket: Socket, mut beat: Interval, mut stop: watch::Receiver<bool>) -> Result<u64> {
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let visit = uuid::Uuid::new_v4();
    let words = ["晚上好", "哈哈哈哈哈", "what a voice", "这一段太好听了", "again, please", "听雨听雨听雨"];
    let (mut number, mut taken) = (0_usize, 0);
    loop {
        tokio::select! {
            _ = stop.changed() => return Ok(taken),
            _ = beat.tick() => {
                number += 1;
                let text = format!("{} {number}", words[number % words.len()]);
                let order = json!({"type": "danmaku", "client_ref": format!("{visit}.{number}"), "text": text});
                socket.send(Message::text(order.to_string())).await?;
            }
            answer = socket.next() => {
                let Message::Text(answer) = answer.context("the socket was closed")?? else { continue };
                if answer.contains("\"type\":\"refused\"") {
                    bail!("refused: {answer}");
                }
                taken += u64::from(answer.contains("\"type\":\"accepted\""));
            }
        }
    }
}
