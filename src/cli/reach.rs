//! How a command reaches HQ: through the socket of the program that runs on the folder, or, when none
//! runs, on the stores themselves.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use app::config::Config;
use server::lock::{self, Holder, LockError};
use server::socket::Place;
use server::{Offline, StartError, offline};

use super::{FAILED, LIMIT, NOT_RUNNING, USAGE};

/// How long the program may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a command may take.
const LONGEST: Duration = Duration::from_secs(30);
/// How long one may take that reads all files.
const LONGEST_LOOK: Duration = Duration::from_secs(2 * 60 * 60);

/// What is sent along with a request.
pub struct Payload {
    /// Its media type.
    pub media: &'static str,
    pub bytes: Vec<u8>,
}

impl Default for Payload {
    fn default() -> Self {
        Self { media: "application/json", bytes: Vec::new() }
    }
}

impl From<&Value> for Payload {
    fn from(body: &Value) -> Self {
        Self { bytes: body.to_string().into_bytes(), ..Self::default() }
    }
}

impl Payload {
    fn json(body: &impl Serialize) -> Result<Self, CommandError> {
        Ok(Self { bytes: serde_json::to_vec(body).map_err(failed)?, ..Self::default() })
    }

    /// The content of a file.
    pub fn file(bytes: Vec<u8>) -> Self {
        Self { media: "application/octet-stream", bytes }
    }
}

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It was refused, with the reason.
    #[error("{0}")]
    Refused(String),
    /// The API refused it, or an agent has no answer.
    #[error("{words}")]
    Api {
        /// The stable word of that.
        kind: String,
        /// The reason.
        words: String,
    },
    /// The program does not run.
    #[error("HQ isn't running on {0}; start it with `hq serve`")]
    NotRunning(String),
    /// Somebody holds the folder and does not answer.
    #[error("{}, but it doesn't respond at its socket; check its log, or end it",
        .0.as_ref().map_or_else(
            || "the data folder is in use".to_owned(),
            |holder| format!("the data folder is in use by {holder}"),
        ))]
    Silent(Option<Holder>),
    /// The server on another machine cannot be asked.
    #[error("{0}; is the address right, and is HQ running there?")]
    Unreachable(String),
    /// There is no such folder.
    #[error("there is no data folder at {0}; give it with --data, or start HQ with `hq serve`")]
    NoFolder(String),
    /// There is a folder, and nothing of HQ in it.
    #[error(
        "{0} isn't an HQ data folder (no system.redb): is it the right folder, and is its disk \
         mounted? give it with --data, or start HQ there with `hq serve`"
    )]
    NoHq(String),
    /// No answer of an agent came in time.
    #[error("{0}")]
    Late(String),
    /// It could not run at all.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    /// The exit code.
    pub fn code(&self) -> u8 {
        match self {
            // A limit left no answer of an agent: of its run, or a budget.
            Self::Api { kind, .. } if matches!(kind.as_str(), "limit" | "insufficient_quota") => {
                LIMIT
            }
            Self::Refused(_) | Self::Api { .. } => FAILED,
            Self::NotRunning(_) | Self::Silent(_) | Self::Unreachable(_) => NOT_RUNNING,
            Self::NoFolder(_) | Self::NoHq(_) | Self::Late(_) | Self::Failed(_) => USAGE,
        }
    }

    /// A stable word for programs: that of the API where it refused.
    pub fn kind(&self) -> &str {
        match self {
            Self::Api { kind, .. } => kind,
            Self::Refused(_) => "refused",
            Self::NotRunning(_) | Self::Silent(_) | Self::Unreachable(_) => "not_running",
            Self::Late(_) => "timeout",
            Self::NoFolder(_) | Self::NoHq(_) | Self::Failed(_) => "not_possible",
        }
    }
}

/// Runs a command on a small runtime of its own. It goes there in a box: the runtime would else be compiled anew, with the
/// command within it, for each of them.
pub fn block_on<'w, T>(
    work: impl Future<Output = Result<T, CommandError>> + 'w,
) -> Result<T, CommandError> {
    let work: Pin<Box<dyn Future<Output = Result<T, CommandError>> + 'w>> = Box::pin(work);
    let failed = |error: io::Error| CommandError::Failed(error.to_string());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(work)
}

/// The way to HQ.
pub enum Reach {
    /// It runs.
    Running(Local),
    /// It does not run; nobody else can start it now.
    Stopped(Box<Offline>),
}

/// Where requests of this machine's owner are answered.
pub struct Local {
    way: Way,
    holder: Option<Holder>,
}

enum Way {
    /// By the program that runs.
    Socket(Place),
    /// By this command, which holds the folder.
    Here(Box<Offline>),
}

/// Finds who answers requests: the program that runs, or this command.
///
/// # Errors
/// As [`reach`].
pub async fn local(config: Config) -> Result<Local, CommandError> {
    Ok(match reach(config).await? {
        Reach::Running(local) => local,
        Reach::Stopped(offline) => Local { way: Way::Here(offline), holder: None },
    })
}

/// Finds the way.
///
/// # Errors
/// When somebody holds the folder and does not answer, or there is no HQ in it: only `hq serve` makes one.
pub async fn reach(config: Config) -> Result<Reach, CommandError> {
    if let Some(local) = running(&config).await? {
        return Ok(Reach::Running(local));
    }
    // In the middle of a restore the store is on its way.
    let is_one = ["system.redb", "restore.json"].iter().any(|name| config.data.join(name).exists());
    if !is_one {
        return Err(CommandError::NoHq(config.data.display().to_string()));
    }
    match offline(config.clone()).await {
        Ok(offline) => Ok(Reach::Stopped(Box::new(offline))),
        // Started or stopped just now: the socket knows better.
        Err(StartError::Lock(LockError::Held(holder))) => match running(&config).await? {
            Some(local) => Ok(Reach::Running(local)),
            None => Err(CommandError::Silent(holder)),
        },
        Err(error) => Err(CommandError::Failed(error.to_string())),
    }
}

/// The program that runs on the folder, if one does.
///
/// # Errors
/// When there is no folder, or its holder does not answer.
pub async fn running(config: &Config) -> Result<Option<Local>, CommandError> {
    let shown = config.data.display().to_string();
    if !config.data.is_dir() {
        return Err(CommandError::NoFolder(shown));
    }
    let failed = |error: io::Error| CommandError::Failed(format!("{shown}: {error}"));
    let place = Place::of(&config.data).map_err(failed)?;
    let holder = lock::holder(&config.data);
    match tokio::time::timeout(PATIENCE, place.connect()).await {
        Ok(Ok(_)) => Ok(Some(Local { way: Way::Socket(place), holder })),
        Ok(Err(error))
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            ) =>
        {
            Ok(None)
        }
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(CommandError::Silent(holder)),
    }
}

impl Local {
    /// Asks the program.
    ///
    /// # Errors
    /// What it refuses, or that it does not answer.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CommandError> {
        self.call_within(LONGEST, method, path, body).await
    }

    /// As `call`, for what takes its time.
    pub async fn call_within<T: DeserializeOwned>(
        &self,
        longest: Duration,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CommandError> {
        let text = self.text_within(longest, method, path, body).await?;
        serde_json::from_str(&text)
            .map_err(|error| CommandError::Failed(format!("unexpected response: {error}")))
    }

    /// Asks the program for text.
    pub async fn text(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<String, CommandError> {
        let looks = path.starts_with("/local/doctor");
        let longest = if looks { LONGEST_LOOK } else { LONGEST };
        self.text_within(longest, method, path, body).await
    }

    async fn text_within(
        &self,
        longest: Duration,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<String, CommandError> {
        let exchange = async {
            let payload = body.map(Payload::json).transpose()?;
            let answer = self.send(method, path, payload, &[]).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await.map_err(failed)?.to_bytes();
            Ok::<_, CommandError>((status, String::from_utf8_lossy(&body).into_owned()))
        };
        let (status, text) = match self.way {
            Way::Here(_) => exchange.await?,
            Way::Socket(_) => {
                let answered = tokio::time::timeout(longest, exchange).await;
                answered.map_err(|_| CommandError::Silent(self.holder.clone())).flatten()?
            }
        };
        if status.is_success() {
            return Ok(text);
        }
        let words = words_of(&text).unwrap_or_else(|| text.trim().to_owned());
        Err(refusal(code_of(&text).as_deref(), words))
    }

    /// Sends a request; its answer is still to be read.
    ///
    /// # Errors
    /// When the program does not answer.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        payload: Option<Payload>,
        headers: &[(&str, String)],
    ) -> Result<Response<Body>, CommandError> {
        let Payload { media, bytes } = payload.unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, media);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(bytes)).map_err(failed)?;
        let place = match &self.way {
            Way::Here(offline) => return Ok(offline.answer(request).await),
            Way::Socket(place) => place,
        };
        let stream = place.connect().await.map_err(failed)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await.map_err(failed)?.map(Body::new))
    }
}

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::Failed(error.to_string())
}

/// A refusal: a command that does not say which workspace it means is used wrongly.
pub fn refusal(code: Option<&str>, words: String) -> CommandError {
    match code {
        Some("workspace_required") => CommandError::Failed(words),
        Some(kind) => CommandError::Api { kind: kind.to_owned(), words },
        None => CommandError::Refused(words),
    }
}

/// The stable word of an answer that refuses, in the form of either API.
pub fn code_of(text: &str) -> Option<String> {
    let problem: Value = serde_json::from_str(text).ok()?;
    problem["code"].as_str().or(problem["error"]["code"].as_str()).map(str::to_owned)
}

/// What an answer that refuses says, in the form of either API, with what is wrong in which field.
pub fn words_of(text: &str) -> Option<String> {
    let problem: Value = serde_json::from_str(text).ok()?;
    let words = problem["detail"].as_str().or(problem["error"]["message"].as_str())?;
    let faults = problem["errors"].as_array().into_iter().flatten();
    let faults: Vec<(&str, &str)> = faults
        .filter_map(|fault| Some((fault["field"].as_str()?, fault["message"].as_str()?)))
        .collect();
    let messages: Vec<&str> = faults.iter().map(|(_, message)| *message).collect();
    // A sentence, with the field behind it unless it names that itself.
    let named = |(field, message): &(&str, &str)| match message.contains(field) {
        true => (*message).to_owned(),
        false => match message.strip_suffix('.') {
            Some(message) => format!("{message} ({field})."),
            None => format!("{message} ({field})"),
        },
    };
    if !faults.is_empty() && messages.join(" ") == words {
        // Nothing but what is wrong in the fields: it says in which.
        return Some(faults.iter().map(named).collect::<Vec<_>>().join(" "));
    }
    let others = faults.iter().filter(|(_, message)| !words.contains(message)).map(named);
    Some(std::iter::once(words.to_owned()).chain(others).collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::{CommandError, code_of, refusal, words_of};

    #[test]
    fn what_is_wrong_in_a_field_names_the_field() {
        let two = r#"{"detail":"This is needed. Too long.","errors":[
            {"field":"folder","message":"This is needed."},{"field":"title","message":"Too long."}]}"#;
        assert_eq!(words_of(two).as_deref(), Some("This is needed (folder). Too long (title)."));
        let other =
            r#"{"detail":"it does not fit","errors":[{"field":"size","message":"Too large."}]}"#;
        assert_eq!(words_of(other).as_deref(), Some("it does not fit; Too large (size)."));
        assert_eq!(words_of(r#"{"detail":"no"}"#).as_deref(), Some("no"));
    }

    #[test]
    fn who_does_not_say_which_workspace_has_used_the_command_wrongly() {
        let code = |text: &str| refusal(code_of(text).as_deref(), "no".to_owned()).code();
        assert_eq!(code(r#"{"code":"workspace_required","detail":"which?"}"#), 2);
        assert_eq!(code(r#"{"code":"workspace_damaged","detail":"damaged"}"#), 1);
        assert_eq!(code("no problem at all"), 1);
        assert_eq!(code(r#"{"error":{"code":"insufficient_quota","message":"used up"}}"#), 4);
        assert!(matches!(refusal(None, String::new()), CommandError::Refused(_)));
        assert_eq!(refusal(Some("model_not_found"), String::new()).kind(), "model_not_found");
    }
}
