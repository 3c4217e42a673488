//! The API of HQ: at the socket of the program that runs on the folder, where its owner asks, or on
//! another machine, with a token.

use std::io::Write as _;
use std::time::Duration;

use axum::http::Method;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use app::config::Config;
use app::config::remote::Remote;
use net::client::{Body, ClientParts, HttpClient, Response};
use net::message::{self, Policy, Request, Timeouts};

use super::complain;
use super::reach::{self, CommandError, Local, Payload, words_of};

/// How long an answer of an agent may take.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The largest answer that is told at once.
const MAX_TOLD: usize = 1 << 20;
/// The largest refusal that is read.
const MAX_REFUSAL: usize = 64 * 1024;

/// Where the API is.
pub enum Door {
    /// On this machine.
    Here(Local),
    /// On another one.
    There(Box<HttpClient>, Remote),
}

/// A question to the API.
pub struct Ask {
    method: Method,
    path: String,
    payload: Option<Payload>,
    headers: Vec<(&'static str, String)>,
}

impl Ask {
    /// Reads.
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), payload: None, headers: Vec::new() }
    }

    /// Does something.
    pub fn post(path: impl Into<String>, body: &Value) -> Self {
        Self { method: Method::POST, payload: Some(Payload::from(body)), ..Self::get(path) }
    }

    /// Sends a file.
    pub fn file(path: impl Into<String>, content: Vec<u8>) -> Self {
        Self { method: Method::POST, payload: Some(Payload::file(content)), ..Self::get(path) }
    }

    /// Puts a file in the place of what is there.
    pub fn put_file(path: impl Into<String>, content: Vec<u8>) -> Self {
        Self { method: Method::PUT, ..Self::file(path, content) }
    }

    /// Changes fields.
    pub fn patch(path: impl Into<String>, body: &Value) -> Self {
        Self { method: Method::PATCH, ..Self::post(path, body) }
    }

    /// Puts something in the place of what is there.
    pub fn put(path: impl Into<String>, body: &Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// Takes something away.
    pub fn delete(path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    /// With a header, if it has a value.
    pub fn header(mut self, name: &'static str, value: Option<&String>) -> Self {
        self.headers.extend(value.map(|value| (name, value.clone())));
        self
    }

    /// In a workspace, where there are several.
    pub fn within(self, workspace: Option<&String>) -> Self {
        self.header("x-hq-workspace", workspace)
    }
}

/// An answer that comes piece by piece.
pub enum Pieces {
    /// From the socket.
    Here(axum::body::Body),
    /// From the network.
    There(Box<Body>),
}

impl Door {
    /// The program that runs on the folder.
    ///
    /// # Errors
    /// When none does.
    pub async fn here(config: &Config) -> Result<Self, CommandError> {
        let not_running = || CommandError::NotRunning(config.data.display().to_string());
        reach::running(config).await?.map(Self::Here).ok_or_else(not_running)
    }

    /// A server on another machine.
    pub fn there(remote: &Remote) -> Self {
        if remote.is_open_to_listeners() {
            complain("the token is sent unencrypted; use https");
        }
        Self::There(Box::new(HttpClient::new(ClientParts::default())), remote.clone())
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// What is refused, or that nobody answers.
    pub async fn call(&self, ask: Ask) -> Result<Value, CommandError> {
        let mut pieces = self.open(ask).await?;
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await? {
            text.extend_from_slice(&piece);
        }
        if text.is_empty() {
            // It is done, and there is nothing to tell of it.
            return Ok(Value::Null);
        }
        serde_json::from_slice(&text).map_err(|error| {
            CommandError::Failed(format!("the response isn't valid JSON: {error}"))
        })
    }

    /// Reads what is told at once, such as how it is: whoever takes long does not answer.
    ///
    /// # Errors
    /// What is refused, or that nobody answers.
    pub async fn fetch<T: DeserializeOwned>(&self, path: &str) -> Result<T, CommandError> {
        let (client, remote) = match self {
            Self::Here(local) => return local.call(Method::GET, path, None::<&()>).await,
            Self::There(client, remote) => (client, remote),
        };
        let request = request(remote, Ask::get(path)).timeouts(Timeouts::SHORT);
        let (text, _) =
            answered(client, remote, request).await?.beginning(MAX_TOLD).await.map_err(silent)?;
        serde_json::from_slice(&text)
            .map_err(|_| CommandError::Failed(format!("{} isn't an HQ server", remote.url)))
    }

    /// Asks, and reads the answer as it is, also that of a refusal.
    ///
    /// # Errors
    /// That HQ doesn't answer.
    pub async fn exchange(&self, ask: Ask) -> Result<Vec<u8>, CommandError> {
        let mut pieces = match self {
            Self::Here(local) => {
                let sent = local.send(ask.method, &ask.path, ask.payload, &ask.headers).await?;
                Pieces::Here(sent.into_body())
            }
            Self::There(client, remote) => {
                let answer = client.request(request(remote, ask)).await.map_err(silent)?;
                Pieces::There(Box::new(answer.body))
            }
        };
        let mut text = Vec::new();
        while let Some(piece) = pieces.next().await? {
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    /// Asks; the answer is read piece by piece.
    ///
    /// # Errors
    /// What is refused, or that nobody answers.
    pub async fn open(&self, ask: Ask) -> Result<Pieces, CommandError> {
        match self {
            Self::Here(local) => {
                let sent = local.send(ask.method, &ask.path, ask.payload, &ask.headers).await?;
                let is_success = sent.status().is_success();
                let mut pieces = Pieces::Here(sent.into_body());
                if is_success {
                    return Ok(pieces);
                }
                let mut text = Vec::new();
                while let Some(piece) = pieces.next().await? {
                    text.extend_from_slice(&piece);
                }
                Err(refused(&text, "HQ"))
            }
            Self::There(client, remote) => answered(client, remote, request(remote, ask))
                .await
                .map(Box::new)
                .map(Pieces::There),
        }
    }
}

/// The answer of a server on another machine.
async fn answered(
    client: &HttpClient,
    remote: &Remote,
    request: Request,
) -> Result<Body, CommandError> {
    let answer = client.request(request).await.map_err(silent)?;
    if answer.is_success() {
        return Ok(answer.body);
    }
    let Response { status, body, .. } = answer;
    let (text, _) = body.beginning(MAX_REFUSAL).await.map_err(silent)?;
    Err(refused(&text, &format!("{} ({status})", remote.url)))
}

fn request(remote: &Remote, ask: Ask) -> Request {
    let method = match ask.method {
        Method::POST => message::Method::Post,
        Method::PUT => message::Method::Put,
        Method::PATCH => message::Method::Patch,
        Method::DELETE => message::Method::Delete,
        _ => message::Method::Get,
    };
    let timeouts = Timeouts { headers: LONGEST, idle: LONGEST, total: None };
    // Redirects are not followed, so that the token goes nowhere else.
    let mut request = Request::new(Policy::Trusted, method, format!("{}{}", remote.url, ask.path))
        .header("authorization", format!("Bearer {}", remote.token))
        .timeouts(timeouts);
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    match ask.payload {
        Some(Payload { media, bytes }) => request.body(media, bytes),
        None => request,
    }
}

fn refused(text: &[u8], who: &str) -> CommandError {
    let text = String::from_utf8_lossy(text);
    let words =
        words_of(&text).unwrap_or_else(|| format!("{who} refused the request without a reason"));
    reach::refusal(reach::code_of(&text).as_deref(), words)
}

fn silent(error: net::error::NetError) -> CommandError {
    CommandError::Unreachable(error.to_string())
}

impl Pieces {
    /// Prints all of them as they come; whoever reads it may stop.
    ///
    /// # Errors
    /// When the answer is cut off.
    pub async fn print(mut self) -> Result<(), CommandError> {
        while let Some(piece) = self.next().await? {
            let mut out = std::io::stdout().lock();
            if out.write_all(&piece).and_then(|()| out.flush()).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When the answer is cut off.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, CommandError> {
        match self {
            Self::Here(body) => loop {
                let Some(frame) = body.frame().await else { return Ok(None) };
                let frame = frame.map_err(|error| CommandError::Failed(error.to_string()))?;
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data.to_vec()));
                }
            },
            Self::There(body) => {
                Ok(body.chunk().await.map_err(silent)?.map(|piece| piece.to_vec()))
            }
        }
    }
}
