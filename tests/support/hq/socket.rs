//! WebSocket of a browser's live view.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::Person;

/// Longest wait for an expected message.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Socket(WebSocketStream<TcpStream>);

/// A received message.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    Json(Value),
    Bytes(Vec<u8>),
}

impl Person {
    /// Opens a socket with this `Origin`.
    ///
    /// # Errors
    /// The HTTP status, if the server rejects it.
    pub async fn socket(&self, path: &str, origin: &str) -> Result<Socket, u16> {
        let url = format!("{}{path}", self.base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("an address");
        let value = |text: &str| HeaderValue::try_from(text).expect("a header's value");
        request.headers_mut().insert("cookie", value(&self.cookie()));
        request.headers_mut().insert("origin", value(origin));
        let host = self.base.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(host).await.expect("the server takes connections");
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Socket(socket)),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no socket: {error}"),
        }
    }

    /// Gets a ticket and opens a socket with it.
    pub async fn ticketed(&self, base: &str) -> Socket {
        let given = self.form(&format!("{base}/ticket"), &[]).await.json();
        let ticket = given["ticket"].as_str().expect("a ticket").to_owned();
        let opened = self.socket(&format!("{base}/view?ticket={ticket}"), &self.base).await;
        opened.unwrap_or_else(|status| panic!("refused with {status}"))
    }
}

impl Socket {
    pub async fn say(&mut self, value: &Value) {
        self.0.send(Message::Text(value.to_string().into())).await.expect("it is heard");
    }

    /// The next message; `None` at the end.
    pub async fn next(&mut self) -> Option<Heard> {
        loop {
            let came = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("in time");
            match came? {
                Ok(Message::Text(text)) => {
                    return Some(Heard::Json(serde_json::from_str(&text).expect("JSON")));
                }
                Ok(Message::Binary(bytes)) => return Some(Heard::Bytes(bytes.to_vec())),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// Receives and acknowledges frames until one matches.
    pub async fn picture(&mut self, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        loop {
            match self.next().await.expect("it goes on") {
                Heard::Bytes(bytes) => {
                    self.say(&serde_json::json!({ "do": "ack" })).await;
                    if wanted(&bytes) {
                        return bytes;
                    }
                }
                Heard::Json(_) => {}
            }
        }
    }

    /// Waits for a matching state; frames meanwhile are acknowledged.
    pub async fn state(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            match self.next().await.expect("it goes on") {
                Heard::Json(said) if wanted(&said["state"]) => return said["state"].clone(),
                Heard::Json(said) => assert!(said["problem"].is_null(), "{said}"),
                Heard::Bytes(_) => self.say(&serde_json::json!({ "do": "ack" })).await,
            }
        }
    }
}
