//! Calls of the Bot API. The token is part of each URL, so no URL reaches an error or the log.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use net::client::HttpClient;
use net::error::NetError;
use net::message::{Method, Request, Timeouts};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::{busy, download, net_fault, request};
use crate::{Fault, FaultKind};

const NAME: &str = "Telegram";

/// Parameters of a method.
pub(super) type Params = Map<String, Value>;

/// The Bot API with one token.
pub(super) struct Api {
    pub client: HttpClient,
    /// Scheme and host, without a slash at the end.
    pub base: String,
    pub token: String,
}

/// A file for [`Api::upload`].
pub(super) struct Upload<'a> {
    /// Name of the parameter.
    pub field: &'static str,
    pub name: &'a str,
    pub media_type: &'a str,
    pub bytes: &'a Bytes,
    /// Does not occur in `bytes`.
    pub boundary: &'a str,
}

/// Determines the fault of a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    /// Shows whether the token is valid.
    Login,
    /// May be repeated without a further effect.
    Repeatable,
    /// Has an effect each time.
    Once,
}

/// Why a call has no result.
pub(super) enum Failure {
    Net(NetError),
    /// The answer is incomplete or of another server, such as a proxy, with this status.
    Unreadable(u64),
    Refused(Refusal),
    /// A file could not be downloaded.
    Download(Fault),
}

/// An error answer of Telegram.
pub(super) struct Refusal {
    pub code: u64,
    /// In lower case. For comparisons only, never for people.
    description: String,
    pub retry_after: Option<Duration>,
    /// The chat's new id.
    pub moved_to: Option<i64>,
}

impl Api {
    /// Calls a method with JSON parameters.
    pub async fn call(
        &self,
        method: &str,
        params: &Params,
        limit: Duration,
    ) -> Result<Box<RawValue>, Failure> {
        // ok: a map of JSON values always becomes text.
        let body = serde_json::to_vec(params).unwrap_or_default();
        self.exchange(self.post(method, limit).body("application/json", body)).await
    }

    /// Calls a method with a file, as multipart form data.
    pub async fn upload(
        &self,
        method: &str,
        params: &Params,
        file: &Upload<'_>,
        limit: Duration,
    ) -> Result<Box<RawValue>, Failure> {
        let form = format!("multipart/form-data; boundary={}", file.boundary);
        self.exchange(self.post(method, limit).body(&form, multipart(params, file))).await
    }

    /// Downloads a file of [`Api::call`] with `getFile`.
    pub async fn file(&self, path: &str, most: u64) -> Result<Bytes, Failure> {
        let url = format!("{}/file/bot{}/{path}", self.base, self.token);
        let file = download(&self.client, request(Method::Get, url), NAME, most).await;
        file.map_err(Failure::Download)
    }

    fn post(&self, method: &str, limit: Duration) -> Request {
        let url = format!("{}/bot{}/{method}", self.base, self.token);
        let timeouts = Timeouts { headers: limit, idle: limit, total: Some(limit) };
        request(Method::Post, url).timeouts(timeouts)
    }

    async fn exchange(&self, request: Request) -> Result<Box<RawValue>, Failure> {
        let response = self.client.request(request).await.map_err(Failure::Net)?;
        let status = u64::from(response.status);
        let body = response.body.bytes().await.map_err(Failure::Net)?;
        read(status, &String::from_utf8_lossy(&body))
    }
}

/// Reads an answer. Its parts are parsed later, so that one malformed update does not affect the others.
fn read(status: u64, text: &str) -> Result<Box<RawValue>, Failure> {
    let parts: Option<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(text).ok();
    let Some(mut parts) = parts.filter(|parts| parts.contains_key("ok")) else {
        return Err(Failure::Unreadable(status));
    };
    let value = |name: &str| -> Value {
        let part = parts.get(name).and_then(|part| serde_json::from_str(part.get()).ok());
        part.unwrap_or_default()
    };
    if value("ok") != true {
        let description = value("description").as_str().map(str::to_lowercase);
        let mut refusal = Refusal::of(value("error_code").as_u64().unwrap_or(status), description);
        let more = value("parameters");
        refusal.retry_after = more["retry_after"].as_u64().map(Duration::from_secs);
        refusal.moved_to = more["migrate_to_chat_id"].as_i64();
        return Err(Failure::Refused(refusal));
    }
    parts.remove("result").ok_or(Failure::Unreadable(status))
}

fn multipart(params: &Params, file: &Upload<'_>) -> Vec<u8> {
    let Upload { field, name, media_type, bytes, boundary } = file;
    let quoted = |text: &str| text.replace('"', "%22").replace(['\r', '\n'], " ");
    let mut body = Vec::with_capacity(bytes.len() + 2048);
    for (name, value) in params {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let part = format!(
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    let head = format!(
        "--{boundary}\r\ncontent-disposition: form-data; name=\"{field}\"; filename=\"{}\"\r\n\
         content-type: {}\r\n\r\n",
        quoted(name),
        quoted(media_type),
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(bytes);
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    body
}

impl Failure {
    /// A file beyond the limit.
    pub fn too_big() -> Failure {
        Failure::Refused(Refusal::of(400, Some("too big".to_owned())))
    }

    pub fn fault(self, call: Call) -> Fault {
        let may_write = call == Call::Once;
        match self {
            Failure::Net(err) => net_fault(&err, NAME, may_write),
            Failure::Unreadable(status) => unreadable(status, may_write),
            Failure::Refused(refusal) => refusal.fault(call),
            Failure::Download(fault) => fault,
        }
    }
}

/// The fault of an answer that is not Telegram's. After a success or a failure of a proxy, the request may have been
/// performed.
fn unreadable(status: u64, may_write: bool) -> Fault {
    let strange = "the server didn't answer like Telegram; check its address";
    let fault = busy(status, NAME).unwrap_or_else(|| Fault::new(FaultKind::Transient, strange));
    let is_unknown = may_write && matches!(status, 200..300 | 500..);
    Fault { kind: if is_unknown { FaultKind::UnknownAfterSend } else { fault.kind }, ..fault }
}

impl Refusal {
    fn of(code: u64, description: Option<String>) -> Refusal {
        let description = description.unwrap_or_default();
        Refusal { code, description, retry_after: None, moved_to: None }
    }

    /// Whether the request was refused with these words.
    pub fn says(&self, code: u64, words: &str) -> bool {
        self.code == code && self.description.contains(words)
    }

    /// Whether the same text without formatting may be accepted.
    pub fn is_about_formatting(&self) -> bool {
        self.says(400, "entit") || self.says(400, "parse")
    }

    fn fault(self, call: Call) -> Fault {
        if let Some(fault) = busy(self.code, NAME) {
            return fault.retry_after(self.retry_after);
        }
        let (kind, detail) = match self.code {
            401 => (FaultKind::Revoked, REVOKED),
            404 if call == Call::Login => (FaultKind::Revoked, REVOKED),
            409 if self.description.contains("webhook") => (
                FaultKind::WebhookSet,
                "another program has set a webhook for this bot; remove the webhook to receive here",
            ),
            409 => (
                FaultKind::Conflict,
                "another program receives with the same bot token; stop it, or create another bot",
            ),
            _ => (FaultKind::Permanent, self.reason()),
        };
        if kind == FaultKind::Permanent {
            tracing::debug!(code = self.code, description = %self.description, "Telegram refused a request");
        }
        Fault::new(kind, detail).retry_after(self.retry_after)
    }

    /// A sentence for a request that will never be accepted.
    fn reason(&self) -> &'static str {
        let known = REASONS.iter().find(|(words, _)| self.description.contains(words));
        match known {
            Some((_, reason)) => reason,
            None if self.code == 403 => "the bot can't write in this chat; add it again",
            None => {
                "Telegram refused the request; check the message and the bot's rights in the chat"
            }
        }
    }
}

const REVOKED: &str =
    "Telegram no longer accepts this bot token; copy the current one from @BotFather";

/// Words of refusals, in lower case, and what they mean.
const REASONS: [(&str, &str); 12] = [
    ("chat not found", "Telegram doesn't know this chat; its people must write to the bot first"),
    ("blocked by the user", "the person has blocked the bot; they can unblock it in Telegram"),
    ("deactivated", "the person has deleted their Telegram account"),
    ("initiate conversation", "the person must write to the bot first"),
    ("kicked", "the bot was removed from this chat; add it again"),
    ("not a member", "the bot is not in this chat; add it again"),
    ("not enough rights", "the bot can't write in this chat; change its rights there"),
    ("thread not found", "the topic no longer exists; write in another one"),
    ("topic_closed", "the topic is closed; reopen it"),
    ("query is too old", "the press is too old to be answered"),
    ("too long", "the message is too long for Telegram"),
    ("too big", "the file is too large; send a smaller one"),
];
