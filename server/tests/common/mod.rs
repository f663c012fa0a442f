//! A real server on free ports of this computer, and a client for it.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

pub mod publisher;

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use mujian_server::config::Config;
use mujian_server::{Running, Server};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// Nothing that a test waits for takes longer, unless it never comes.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Site {
    pub server: Option<Running>,
    pub base: String,
    pub client: Client,
    pub data: tempfile::TempDir,
}

pub async fn site() -> Site {
    site_with(|_| {}).await
}

pub async fn site_with(change: impl FnOnce(&mut Config)) -> Site {
    let data = tempfile::tempdir().unwrap();
    let mut config = Config::local(data.path());
    change(&mut config);
    start(config, data).await
}

async fn start(config: Config, data: tempfile::TempDir) -> Site {
    let server = Server::start(config).await.unwrap();
    let base = format!("http://{}", server.http);
    Site { server: Some(server), base, client: Client::new(), data }
}

impl Site {
    /// Stops the server and starts another one on the same data.
    pub async fn restart(mut self) -> Self {
        self.server.take().unwrap().shutdown().await;
        let config = Config::local(self.data.path());
        start(config, self.data).await
    }

    pub async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() })
    }

    pub async fn get(&self, path: &str, token: Option<&str>) -> (StatusCode, Value) {
        self.call(Method::GET, path, token, None).await
    }

    pub async fn post(&self, path: &str, token: Option<&str>, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, token, Some(body)).await
    }

    /// Makes an account; gives its token.
    pub async fn person(&self, name: &str) -> String {
        let (status, body) = self.post("/accounts", None, json!({"name": name, "password": "correct horse"})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body["token"].as_str().unwrap().to_owned()
    }

    /// Makes a room; gives it as its owner sees it.
    pub async fn room(&self, token: &str) -> Value {
        let (status, body) = self.post("/rooms", Some(token), json!({"title": "a room"})).await;
        assert_eq!(status, StatusCode::CREATED, "{body}");
        body
    }

    /// Opens a room's socket.
    pub async fn socket(&self, room: &str) -> Socket {
        self.socket_from(room, None).await.unwrap()
    }

    pub async fn socket_from(&self, room: &str, origin: Option<&str>) -> Result<Socket, StatusCode> {
        let url = format!("{}/api/v1/rooms/{room}/socket", self.base.replace("http", "ws"));
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            request.headers_mut().insert("origin", origin.parse().unwrap());
        }
        match tokio_tungstenite::connect_async(request).await {
            Ok((inner, _)) => Ok(Socket { inner }),
            Err(tokio_tungstenite::tungstenite::Error::Http(r)) => Err(r.status()),
            Err(e) => panic!("{e}"),
        }
    }
}

pub struct Socket {
    pub inner: tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
}

impl Socket {
    pub async fn send(&mut self, message: Value) {
        self.inner.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Says hello; gives the welcome.
    pub async fn hello(&mut self, token: Option<&str>, after: Option<Value>) -> Value {
        let mut hello = json!({"type": "hello", "version": 1});
        if let Some(token) = token {
            hello["token"] = token.into();
        }
        if let Some(after) = after {
            hello["after"] = after;
        }
        self.send(hello).await;
        self.next_of("welcome").await
    }

    pub async fn danmaku(&mut self, client_ref: &str, text: &str) {
        self.send(json!({"type": "danmaku", "client_ref": client_ref, "text": text})).await;
    }

    /// The next message of a type; others are passed over.
    pub async fn next_of(&mut self, kind: &str) -> Value {
        let found = async {
            loop {
                let message = self.next().await.unwrap_or_else(|code| panic!("closed with {code} before {kind}"));
                if message["type"] == kind {
                    return message;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{kind} in time"))
    }

    /// The next message, or the code the socket was closed with (0: without one).
    pub async fn next(&mut self) -> Result<Value, u16> {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.inner.next()).await.expect("a message in time");
            match message {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map_or(0, |f| f.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(0),
            }
        }
    }

    /// The code the socket is closed with; messages before are passed over.
    pub async fn closed(&mut self) -> u16 {
        let closed = async {
            loop {
                if let Err(code) = self.next().await {
                    return code;
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the socket is closed in time")
    }
}
