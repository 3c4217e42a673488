//! `http_request`: one HTTP request through the SSRF guard, with secrets that the agent names and never sees.
//!
//! `{{secret:KEY}}` in the query, in headers and in the body is replaced by the value, only for the hosts of that
//! secret and only over TLS. Redirects are not followed: the result names the target, which needs a request of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crypto::redact::Redactor;
use features::agents::queries::reach;
use kernel::Can;
use kernel::text::cut;
use net::client::{Extent, HttpClient, Response};
use net::guard::{self, Hosts, Opened};
use net::message::{Method, Policy, Request, Timeouts};
use tool::{
    ActTool, Aliases, Effect, Group, ToolCx, ToolError, ToolOutput, ToolSpec, leaks, untrusted,
};
use vault::Given;

use super::fetch::hosts_of;
use super::secrets::{note, readable, unknown};

pub(crate) const NAME: &str = "http_request";
/// Most bytes that are sent.
const MAX_SENT: usize = 1024 * 1024;
/// Most bytes of a response that are read.
const MAX_READ: usize = 1024 * 1024;
/// Timeouts of a request.
const TIMES: Timeouts = Timeouts {
    headers: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    total: Some(Duration::from_secs(120)),
};
/// Start and end of a secret reference.
const MARKS: (&str, &str) = (SECRET, "}}");
/// Start of a secret reference.
pub(crate) const SECRET: &str = "{{secret:";

pub(crate) struct HttpRequest {
    pub http: HttpClient,
}

/// What `http_request` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Args {
    /// An https address. In its query, headers and body, {{secret:KEY}} inserts a secret.
    url: String,
    /// GET (default), POST, PUT, PATCH, DELETE or HEAD.
    method: Option<String>,
    /// Headers.
    headers: Option<BTreeMap<String, String>>,
    /// Text, or an object to send as JSON.
    body: Option<Value>,
}

impl ActTool for HttpRequest {
    type Args = Args;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(NAME),
        group: Group::Web,
        needs: Can::Write,
        effect: Effect::External,
        about: Cow::Borrowed(
            "Make an HTTP request to an API, with secrets that secret_list names but you never \
            see.",
        ),
    };
    const ALIASES: Aliases = &[("data", "body"), ("json", "body")];

    async fn act(&self, cx: &ToolCx, args: Args) -> Result<ToolOutput, ToolError> {
        let wanted = Wanted::of(args)?;
        if let Some(why) = wanted.leak(&cx.ws.app.redactor) {
            let text = format!("nothing was sent: {why}; name a secret with {{{{secret:KEY}}}}");
            return Err(ToolError::refused("denied", text));
        }
        let (only, opened) = (hosts_of(cx)?, cx.ws.read(|snap| reach::opened(snap))?);
        let inside = opened.has(&wanted.at);
        let keys = wanted.keys()?;
        let given = match keys.is_empty() {
            true => Vec::new(),
            false => named(cx, &keys, &wanted.at, inside)?,
        };
        let at_host = wanted.at.host_str().unwrap_or_default().to_owned();
        // Redirects are not followed: another address needs its own check.
        let request = wanted.filled(&given)?.only(only).timeouts(TIMES).redirects(0);
        if !given.is_empty() {
            note(cx, &given, &at_host).await?;
        }
        let sent = self.send(request, inside.then_some(opened));
        let answer = tokio::select! {
            answer = sent => answer,
            () = cx.cancel.cancelled() => return Err(ToolError::refused("aborted", "stopped")),
        };
        Ok(match answer {
            Ok(answer) => output(cx, answer),
            // A failure of the remote side is reported to the model, not as an error of HQ.
            Err(error) => ToolOutput::error(format!("Error(unavailable): {error}")),
        })
    }
}

struct Answer {
    status: u16,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    is_cut: bool,
}

impl HttpRequest {
    async fn send(
        &self,
        request: Request,
        opened: Option<Opened>,
    ) -> Result<Answer, net::error::NetError> {
        let response = match opened {
            Some(opened) => self.http.opening(opened).request(request).await?,
            None => self.http.request(request).await?,
        };
        let Response { status, headers, url, body } = response;
        let (body, extent) = body.beginning(MAX_READ).await?;
        let headers = headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(Answer { status, url, headers: headers.collect(), body, is_cut: extent == Extent::Cut })
    }
}

/// The request of a call.
struct Wanted {
    at: Url,
    url: String,
    method: Method,
    headers: BTreeMap<String, String>,
    body: String,
    is_json: bool,
}

impl Wanted {
    fn of(args: Args) -> Result<Self, ToolError> {
        let wrong = |text: String| ToolError::refused("invalid_args", text);
        let method = match args.method.unwrap_or_default().trim().to_ascii_uppercase().as_str() {
            "" | "GET" => Method::Get,
            "POST" => Method::Post,
            "PUT" => Method::Put,
            "PATCH" => Method::Patch,
            "DELETE" => Method::Delete,
            "HEAD" => Method::Head,
            other => return Err(wrong(format!("method: {} isn't supported", cut(other, 20)))),
        };
        let at = guard::parse(&args.url).map_err(|error| wrong(format!("url: {error}")))?;
        let (body, is_json) = match args.body {
            None | Some(Value::Null) => (String::new(), false),
            Some(Value::String(text)) => (text, false),
            Some(value) => (value.to_string(), true),
        };
        if MAX_SENT < body.len() {
            return Err(ToolError::refused("too_large", "body: at most 1 MB"));
        }
        let headers = args.headers.unwrap_or_default();
        Ok(Self { at, url: args.url, method, headers, body, is_json })
    }

    /// Why the request may not be sent: it contains the value of a secret.
    fn leak(&self, redactor: &Redactor) -> Option<&'static str> {
        let texts = [&self.url, &self.body].into_iter().chain(self.headers.values());
        texts.filter_map(|text| leaks::of(redactor, text)).next()
    }

    /// The names of the referenced secrets, without duplicates.
    fn keys(&self) -> Result<Vec<String>, ToolError> {
        let before = self.url.split(['?', '#']).next().unwrap_or_default();
        if before.contains(MARKS.0) {
            let text = "url: put secrets in the query, headers or body";
            return Err(ToolError::refused("invalid_args", text));
        }
        let mut keys = Vec::new();
        let texts = [&self.url, &self.body].into_iter().chain(self.headers.values());
        for text in texts {
            for key in names_in(text) {
                let key = key.ok_or_else(|| {
                    ToolError::refused("invalid_args", "write a secret as {{secret:KEY}}")
                })?;
                if !keys.iter().any(|known| known == key) {
                    keys.push(key.to_owned());
                }
            }
        }
        Ok(keys)
    }

    /// The request with the values of its secrets.
    fn filled(self, given: &[Given]) -> Result<Request, ToolError> {
        let url = fill(&self.url, given, in_query)?;
        let mut request = Request::new(Policy::Guarded, self.method, url);
        if !self.body.is_empty() {
            let body = match self.is_json {
                true => fill(&self.body, given, in_json)?,
                false => fill(&self.body, given, str::to_owned)?,
            };
            let kind = if self.is_json { "application/json" } else { "text/plain; charset=utf-8" };
            request = request.body(kind, body);
        }
        for (name, value) in &self.headers {
            let value = fill(value, given, str::to_owned)?;
            if value.contains(['\r', '\n', '\0']) {
                return Err(ToolError::refused(
                    "invalid_args",
                    "headers: line breaks aren't \
                    allowed",
                ));
            }
            request = request.header(&name.to_ascii_lowercase(), value);
        }
        Ok(request)
    }
}

fn in_query(value: &str) -> String {
    url::form_urlencoded::byte_serialize(value.as_bytes()).collect()
}

/// Escapes a value for a JSON string.
fn in_json(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The secret names in a text, in order; `None` for a reference without an end.
pub(crate) fn names_in(text: &str) -> impl Iterator<Item = Option<&str>> {
    let marked = text.split(MARKS.0).skip(1);
    marked.map(|part| part.split_once(MARKS.1).map(|(key, _)| key.trim()))
}

/// Replaces secret references with values. References inside a value are not replaced.
fn fill(text: &str, given: &[Given], write: fn(&str) -> String) -> Result<String, ToolError> {
    let mut parts = text.split(MARKS.0);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (key, rest) = part.split_once(MARKS.1).unwrap_or((part, ""));
        let one = given.iter().find(|one| one.key == key.trim());
        let value = one.and_then(|one| one.value.as_ref().ok());
        let value = value.and_then(|value| value.expose_text().ok()).ok_or_else(|| unknown(key))?;
        out.push_str(&write(value));
        out.push_str(rest);
    }
    Ok(out)
}

/// The named secrets, if each may be sent to this host.
pub(super) fn named(
    cx: &ToolCx,
    keys: &[String],
    at: &Url,
    inside: bool,
) -> Result<Vec<Given>, ToolError> {
    let denied = |text: String| ToolError::refused("denied", text);
    if at.scheme() != "https" && !inside {
        return Err(denied("secrets are only sent over https".to_owned()));
    }
    let mut all = vault::given(&cx.ws, cx.agent)?;
    all.retain(|one| keys.contains(&one.key));
    for key in keys {
        let one = all.iter().find(|one| one.key == *key).ok_or_else(|| unknown(key))?;
        readable(one)?;
        let is_for = |hosts: &[String]| {
            !hosts.is_empty() && Hosts::of(vec![hosts.to_vec()]).check(at).is_ok()
        };
        if !one.plain && !is_for(&one.hosts) {
            let text = match one.hosts.is_empty() {
                true => format!(
                    "{key} has no hosts: a person has to add the hosts that can \
                    receive it"
                ),
                false => format!("{key} can only be sent to {}", one.hosts.join(", ")),
            };
            return Err(denied(text));
        }
    }
    Ok(all)
}

fn output(cx: &ToolCx, answer: Answer) -> ToolOutput {
    let Answer { status, url, headers, body, is_cut } = answer;
    let mut head = format!("HTTP {status} from {url}\n");
    for (name, value) in headers {
        let _ = writeln!(head, "{name}: {value}"); // ok: writing to a String cannot fail
    }
    let size = body.len();
    let text = match String::from_utf8(body) {
        Ok(text) => text,
        Err(_) => format!("[{size} bytes of binary data]"),
    };
    let more = if is_cut { "\n[only the first 1 MB was read]" } else { "" };
    let id = untrusted::id_for(cx);
    let whole = untrusted::wrap(&id, &format!("{head}\n{text}{more}"));
    match status < 400 {
        true => ToolOutput::text(whole),
        false => ToolOutput::error(whole),
    }
}

#[cfg(test)]
mod tests {
    use super::{in_json, in_query};

    #[test]
    fn values_keep_to_their_place() {
        assert_eq!(in_query("a&b=c d#"), "a%26b%3Dc+d%23");
        assert_eq!(in_json("a\"b\\c\n"), "a\\\"b\\\\c\\n");
    }
}
