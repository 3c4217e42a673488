//! WebSocket client behind the guard of HTTP requests, with the same certificates and resolver.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::client::HttpClient;
use super::error::{NetError, Phase};

/// Default limit of a message in bytes.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// A connection without any frame for this long is considered lost.
pub const MAX_SILENCE: Duration = Duration::from_secs(120);

const SEND_TIMEOUT: Duration = Duration::from_secs(30);
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Idle connections should cost little memory.
const BUFFER: usize = 8 * 1024;

/// A message of the other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Close { code: Option<u16>, reason: String },
}

/// An open connection.
pub struct Socket {
    stream: WebSocketStream<reqwest::Upgraded>,
    host: String,
    limit: usize,
    heard: Instant,
}

/// Connects to a `wss:` or `ws:` address. `limit` is the maximum size of a received message in bytes.
pub async fn connect(client: &HttpClient, url: &str, limit: usize) -> Result<Socket, NetError> {
    let url = match url.split_once("://") {
        Some(("wss", rest)) => format!("https://{rest}"),
        Some(("ws", rest)) => format!("http://{rest}"),
        Some(_) | None => url.to_owned(),
    };
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|err| NetError::Setup { detail: err.to_string() })?;
    let key = STANDARD.encode(random);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", &key),
    ] {
        let value = HeaderValue::from_str(value).expect("invariant: base64 is a valid header");
        headers.insert(HeaderName::from_static(name), value);
    }
    let answer = client.upgrade(&url, headers).await?;
    let host = answer.url().host_str().unwrap_or_default().to_owned();
    let accepted = answer.headers().get("sec-websocket-accept").map(HeaderValue::as_bytes);
    if answer.status() != 101 || accepted != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
        let detail = "it doesn't offer a WebSocket there".to_owned();
        return Err(NetError::Connect { host, detail });
    }
    let broken = |err: reqwest::Error| NetError::Broken {
        host: host.clone(),
        detail: err.without_url().to_string(),
    };
    let upgraded = answer.upgrade().await.map_err(broken)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER)
        .write_buffer_size(BUFFER)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    let stream = WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await;
    Ok(Socket { stream, host, limit, heard: Instant::now() })
}

impl Socket {
    /// The next message; `None` after the end. Pings are answered. May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Result<Frame, NetError>> {
        loop {
            let Ok(next) = timeout_at(self.heard + MAX_SILENCE, self.stream.next()).await else {
                let host = self.host.clone();
                return Some(Err(NetError::Timeout {
                    host,
                    phase: Phase::Idle,
                    limit: MAX_SILENCE,
                }));
            };
            self.heard = Instant::now();
            return Some(match next? {
                Ok(Message::Text(text)) => Ok(Frame::Text(text.as_str().to_owned())),
                Ok(Message::Close(frame)) => Ok(Frame::Close {
                    code: frame.as_ref().map(|frame| frame.code.into()),
                    reason: frame.map(|frame| frame.reason.to_string()).unwrap_or_default(),
                }),
                Ok(
                    Message::Ping(_) | Message::Pong(_) | Message::Binary(_) | Message::Frame(_),
                ) => {
                    continue;
                }
                Err(err) => Err(self.failure(&err)),
            });
        }
    }

    pub async fn send_text(&mut self, text: impl Into<String>) -> Result<(), NetError> {
        let message = Message::text(text.into());
        match timeout(SEND_TIMEOUT, self.stream.send(message)).await {
            Ok(sent) => sent.map_err(|err| self.failure(&err)),
            Err(_) => {
                let host = self.host.clone();
                Err(NetError::Timeout { host, phase: Phase::Idle, limit: SEND_TIMEOUT })
            }
        }
    }

    /// Says goodbye with this code, as far as the other side still listens.
    pub async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: CloseCode::from(code), reason: "".into() };
        // ok: the connection ends in any case.
        let _ = timeout(CLOSE_TIMEOUT, self.stream.close(Some(frame))).await;
    }

    fn failure(&self, err: &Error) -> NetError {
        let host = self.host.clone();
        match err {
            Error::Capacity(_) => NetError::TooLarge { host, limit: self.limit as u64 },
            other => NetError::Broken { host, detail: other.to_string() },
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("host", &self.host).finish_non_exhaustive()
    }
}
