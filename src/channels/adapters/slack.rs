//! Slack: Socket Mode and the Web API.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use net::client::HttpClient;
use net::message::Method;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use url::form_urlencoded;

use super::api::{self, Reply, list, no_drafts, some, text};
use super::{
    BoxFuture, Button, ButtonStyle, Channel, CommandInfo, Fault, FaultKind, FileRef, Found,
    Identity, Inbox, OutBody, Outgoing, Receipt, Sender,
};

mod events;
mod socket;

const NAME: &str = "Slack";
const HOST: &str = "https://slack.com";
/// What the bot needs.
const SCOPES: [&str; 9] = [
    "app_mentions:read",
    "channels:history",
    "chat:write",
    "files:read",
    "files:write",
    "im:history",
    "im:read",
    "im:write",
    "users:read",
];
const MAX_NAMES: usize = 500;
const MAX_PRESSES: usize = 256;
/// Slack's limit for the text of a block is 3000.
const MAX_SECTION: usize = 2900;
/// Seconds by which the clocks of HQ and Slack may differ.
const SKEW_SECS: i64 = 60;
/// Errors after which Slack may have posted the message anyway.
const UNCLEAR: [&str; 3] = ["fatal_error", "internal_error", "request_timeout"];

/// An app in a workspace.
pub struct Slack {
    origin: String,
    app_auth: String,
    bot_auth: String,
    /// Whether `origin` is Slack itself.
    is_official: bool,
    client: HttpClient,
    me: OnceCell<Me>,
    people: Mutex<HashMap<String, Sender>>,
    titles: Mutex<HashMap<String, String>>,
    presses: Mutex<VecDeque<KnownPress>>,
}

/// The app's own ids.
#[derive(Clone, Debug)]
struct Me {
    user: String,
    bot: String,
    handle: String,
}

/// Who pressed where.
struct KnownPress {
    id: String,
    user: String,
    thread: Option<String>,
}

/// Prepares an app. `api_base` replaces `https://slack.com`.
pub fn open(
    app_token: &str,
    bot_token: &str,
    api_base: Option<&str>,
    client: HttpClient,
) -> Result<Slack, Fault> {
    let (app, bot) = (app_token.trim(), bot_token.trim());
    let refused = |detail: &str| Err(Fault::new(FaultKind::Permanent, detail));
    if !app.starts_with("xapp-") || !api::is_token(app) {
        return refused(
            "this isn't an app-level token; create one with connections:write under Basic Information",
        );
    }
    if !bot.starts_with("xox") || !api::is_token(bot) {
        return refused(
            "this isn't a bot token; install the app and copy the token that starts with xoxb-",
        );
    }
    Ok(Slack {
        origin: api::origin(api_base, HOST)?,
        app_auth: format!("Bearer {app}"),
        bot_auth: format!("Bearer {bot}"),
        is_official: api_base.is_none(),
        client,
        me: OnceCell::new(),
        people: Mutex::default(),
        titles: Mutex::default(),
        presses: Mutex::default(),
    })
}

impl fmt::Debug for Slack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slack").finish_non_exhaustive()
    }
}

impl Channel for Slack {
    fn check(&self) -> BoxFuture<'_, Identity> {
        Box::pin(async {
            let reply = self.form("auth.test", &[]).await?;
            let warnings = missing_scopes(&reply);
            self.socket_url().await?;
            let (user, team) = (text(&reply.body, "/user_id"), text(&reply.body, "/team_id"));
            let handle = text(&reply.body, "/user");
            let known = self.person(user).await;
            Ok(Identity {
                id: user.to_owned(),
                name: if known.name == user { handle.to_owned() } else { known.name },
                handle: handle.to_owned(),
                link: Some(format!("https://slack.com/app_redirect?channel={user}&team={team}")),
                invite: None,
                warnings,
            })
        })
    }

    fn listen<'a>(&'a self, inbox: &'a dyn Inbox, cursor: String) -> BoxFuture<'a, ()> {
        Box::pin(socket::listen(self, inbox, cursor))
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Receipt> {
        Box::pin(self.perform(out))
    }

    fn find<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Found> {
        Box::pin(self.look_up(out))
    }

    fn download<'a>(&'a self, file: &'a FileRef, most: u64) -> BoxFuture<'a, Bytes> {
        Box::pin(async move {
            // The token is sent to this address.
            if !self.is_own(&file.id) {
                let detail = "this isn't a file of Slack; send the file again";
                return Err(Fault::new(FaultKind::Permanent, detail));
            }
            let request = api::request(Method::Get, &file.id);
            let request = request.header("authorization", self.bot_auth.as_str());
            api::download(&self.client, request, NAME, most).await
        })
    }

    fn picture(&self, most: u64) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let me = self.me().await?.user.as_str();
            let reply = self.form("users.info", &[("user", me)]).await?;
            let Some(url) = some(&reply.body, "/user/profile/image_192") else { return Ok(None) };
            // Pictures are public: the token stays here.
            let request = api::request(Method::Get, url);
            api::download(&self.client, request, NAME, most).await.map(Some)
        })
    }

    /// Slack takes commands from the app's manifest only.
    fn register<'a>(&'a self, _commands: &'a [CommandInfo]) -> BoxFuture<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl Slack {
    async fn perform(&self, out: &Outgoing) -> Result<Receipt, Fault> {
        match &out.body {
            OutBody::Text { markdown, buttons } => self.post_text(out, markdown, buttons).await,
            OutBody::Preview { markdown } => self.post_text(out, markdown, &[]).await,
            OutBody::Draft { .. } => Err(no_drafts()),
            OutBody::Delete { message } => {
                let body = json!({ "channel": out.place.chat, "ts": message });
                let reply = self.post("chat.delete", body).await?;
                if text(&reply.body, "/error") != "message_not_found" {
                    accepted(reply, false)?;
                }
                Ok(Receipt::default())
            }
            OutBody::Edit { message, markdown, buttons } => {
                let markup = channel_format::slack(markdown);
                let blocks = match buttons.is_empty() {
                    true => json!([]),
                    false => blocks(&markup, buttons, false),
                };
                let body = json!({
                    "channel": out.place.chat, "ts": message, "text": markup, "blocks": blocks,
                });
                accepted(self.post("chat.update", body).await?, false)?;
                Ok(Receipt { message: message.clone() })
            }
            OutBody::File { name, bytes, caption, .. } => {
                self.upload(out, name, bytes, &channel_format::slack(caption)).await
            }
            OutBody::Pressed { press, text } => self.whisper(&out.place.chat, press, text).await,
            // Bots cannot show that they type.
            OutBody::Typing => Ok(Receipt::default()),
        }
    }

    async fn post_text(
        &self,
        out: &Outgoing,
        markdown: &str,
        buttons: &[Button],
    ) -> Result<Receipt, Fault> {
        let message = |text: String, is_plain: bool| {
            let mut body = json!({
                "channel": out.place.chat,
                "text": text,
                "mrkdwn": !is_plain,
                "unfurl_links": false,
                "unfurl_media": false,
                "metadata": {"event_type": "hq_message", "event_payload": {"key": out.key}},
            });
            if !buttons.is_empty() {
                body["blocks"] = blocks(&text, buttons, is_plain);
            }
            if let Some(thread) = &out.place.thread {
                body["thread_ts"] = thread.as_str().into();
            }
            body
        };
        let body = message(channel_format::slack(markdown), false);
        let mut reply = self.post("chat.postMessage", body).await?;
        if text(&reply.body, "/error").starts_with("invalid_blocks") {
            let body = message(channel_format::plain(markdown), true);
            reply = self.post("chat.postMessage", body).await?;
        }
        let reply = accepted(reply, true)?;
        Ok(Receipt { message: text(&reply.body, "/ts").to_owned() })
    }

    /// Uploads a file, which is visible only after the last step.
    async fn upload(
        &self,
        out: &Outgoing,
        name: &str,
        bytes: &Bytes,
        caption: &str,
    ) -> Result<Receipt, Fault> {
        let len = bytes.len().to_string();
        let params = [("filename", name), ("length", len.as_str())];
        let place = self.form("files.getUploadURLExternal", &params).await?.body;
        let url = text(&place, "/upload_url");
        if !self.is_own(url) {
            return Err(api::trouble(NAME));
        }
        let request = api::request(Method::Post, url).timeouts(api::FILE);
        let request = request.body("application/octet-stream", bytes.clone());
        let reply = api::call(&self.client, request, NAME, false).await?;
        if !reply.is_success() {
            return Err(api::trouble(NAME).retry_after(reply.retry_after()));
        }
        let mut body = json!({
            "files": [{"id": text(&place, "/file_id"), "title": name}],
            "channel_id": out.place.chat,
        });
        if !caption.is_empty() {
            body["initial_comment"] = caption.into();
        }
        if let Some(thread) = &out.place.thread {
            body["thread_ts"] = thread.as_str().into();
        }
        accepted(self.post("files.completeUploadExternal", body).await?, true)?;
        // Slack shares the file later and does not return the id of its message.
        Ok(Receipt::default())
    }

    /// Shows a text to the presser only. The press itself was acknowledged when it was received.
    async fn whisper(&self, channel: &str, press: &str, text: &str) -> Result<Receipt, Fault> {
        let body = {
            let presses = self.presses.lock();
            let known = presses.iter().find(|known| known.id == press);
            let Some(known) = known.filter(|_| !text.is_empty()) else {
                return Ok(Receipt::default());
            };
            let mut body = json!({
                "channel": channel, "user": known.user, "text": channel_format::slack(text),
            });
            if let Some(thread) = &known.thread {
                body["thread_ts"] = thread.as_str().into();
            }
            body
        };
        accepted(self.post("chat.postEphemeral", body).await?, true)?;
        Ok(Receipt::default())
    }

    async fn look_up(&self, out: &Outgoing) -> Result<Found, Fault> {
        match &out.body {
            OutBody::Text { .. } | OutBody::Preview { .. } => {}
            OutBody::File { .. } => return Ok(Found::Unknown),
            _ => return Ok(Found::Absent),
        }
        let oldest = (out.since.as_second() - SKEW_SECS).max(0).to_string();
        let mut params = vec![
            ("channel", out.place.chat.as_str()),
            ("oldest", oldest.as_str()),
            ("limit", "200"),
            ("include_all_metadata", "true"),
        ];
        let method = match &out.place.thread {
            Some(thread) => {
                params.push(("ts", thread));
                "conversations.replies"
            }
            None => "conversations.history",
        };
        let found = self.form(method, &params).await?.body;
        let is_it = |message: &&Value| text(message, "/metadata/event_payload/key") == out.key;
        if let Some(message) = list(&found, "/messages").iter().find(is_it) {
            let message = text(message, "/ts").to_owned();
            return Ok(Found::Sent(Receipt { message }));
        }
        let has_more = found.get("has_more").and_then(Value::as_bool).unwrap_or_default();
        Ok(if has_more { Found::Unknown } else { Found::Absent })
    }

    /// The address of a new socket. It works once.
    async fn socket_url(&self) -> Result<String, Fault> {
        let reply = self.call("apps.connections.open", &self.app_auth, FORM, String::new()).await?;
        if reply.status == 200 && text(&reply.body, "/error").starts_with("not_allowed_token") {
            let detail = "Slack refuses the app-level token; create one with connections:write";
            return Err(Fault::new(FaultKind::Revoked, detail));
        }
        let reply = accepted(reply, false)?;
        let url = text(&reply.body, "/url");
        if self.is_official && !self.is_own(&url.replacen("wss://", "https://", 1)) {
            return Err(api::trouble(NAME));
        }
        Ok(url.to_owned())
    }

    async fn me(&self) -> Result<&Me, Fault> {
        let found = self.me.get_or_try_init(|| async {
            let body = self.form("auth.test", &[]).await?.body;
            let own = |pointer: &str| text(&body, pointer).to_owned();
            Ok(Me { user: own("/user_id"), bot: own("/bot_id"), handle: own("/user") })
        });
        found.await
    }

    /// Looks up a person's name. A message without a name is better than none, so this never fails.
    async fn person(&self, id: &str) -> Sender {
        if let Some(known) = self.people.lock().get(id) {
            return known.clone();
        }
        let unknown = Sender { id: id.to_owned(), name: id.to_owned(), ..Sender::default() };
        if id.is_empty() {
            return unknown;
        }
        let Ok(reply) = self.form("users.info", &[("user", id)]).await else { return unknown };
        let sender = events::person(id, &reply.body);
        remember(&self.people, id, sender.clone());
        sender
    }

    /// Title of a room; empty if the app may not see it.
    async fn title(&self, channel: &str) -> String {
        if let Some(known) = self.titles.lock().get(channel) {
            return known.clone();
        }
        let title = match self.form("conversations.info", &[("channel", channel)]).await {
            Ok(reply) => some(&reply.body, "/channel/name").map(|name| format!("#{name}")),
            Err(fault) if fault.kind == FaultKind::Permanent => None,
            Err(_) => return String::new(),
        };
        let title = title.unwrap_or_default();
        remember(&self.titles, channel, title.clone());
        title
    }

    /// Whether the bot's token may go to this address.
    fn is_own(&self, url: &str) -> bool {
        let rest = url.strip_prefix(&self.origin);
        let is_origin = rest.is_some_and(|rest| rest.starts_with('/'));
        let host =
            url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#', '\\']).next());
        is_origin || host.is_some_and(|host| host.ends_with(".slack.com") && !host.contains('@'))
    }

    /// Calls a method that only reads, or may be repeated.
    async fn form(&self, method: &str, params: &[(&str, &str)]) -> Result<Reply, Fault> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        accepted(self.call(method, &self.bot_auth, FORM, body).await?, false)
    }

    async fn post(&self, method: &str, body: Value) -> Result<Reply, Fault> {
        self.call(method, &self.bot_auth, JSON, body.to_string()).await
    }

    async fn call(
        &self,
        method: &str,
        auth: &str,
        kind: &str,
        body: String,
    ) -> Result<Reply, Fault> {
        let request = api::request(Method::Post, format!("{}/api/{method}", self.origin))
            .header("authorization", auth)
            .body(kind, body);
        api::call(&self.client, request, NAME, kind == JSON).await
    }
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json; charset=utf-8";

fn remember<T>(known: &Mutex<HashMap<String, T>>, id: &str, value: T) {
    let mut known = known.lock();
    if MAX_NAMES <= known.len() {
        known.clear();
    }
    known.insert(id.to_owned(), value);
}

/// Slack answers 200 and reports success or failure in the body.
fn accepted(reply: Reply, may_write: bool) -> Result<Reply, Fault> {
    if reply.is_success() && reply.body.get("ok").and_then(Value::as_bool) == Some(true) {
        return Ok(reply);
    }
    if let Some(fault) = api::busy(reply.status.into(), NAME) {
        return Err(fault.retry_after(reply.retry_after()));
    }
    let error = text(&reply.body, "/error");
    let permanent = |detail: &str| Fault::new(FaultKind::Permanent, detail);
    let fault = match error {
        "ratelimited" | "rate_limited" => api::waiting(NAME),
        "invalid_auth" | "token_revoked" | "account_inactive" | "token_expired" | "not_authed" => {
            revoked()
        }
        "channel_not_found" | "not_in_channel" => {
            permanent("the bot isn't in this channel; add it there with /invite")
        }
        "is_archived" => permanent("this channel is archived on Slack"),
        "message_not_found" | "cant_update_message" => {
            permanent("this message no longer exists on Slack")
        }
        "missing_scope" => permanent(&scope_detail(text(&reply.body, "/needed"))),
        error if UNCLEAR.contains(&error) && may_write => {
            Fault::new(FaultKind::UnknownAfterSend, "Slack failed before it confirmed the message")
        }
        error if UNCLEAR.contains(&error) => api::trouble(NAME),
        "service_unavailable" | "team_added_to_org" | "" => api::trouble(NAME),
        _ => permanent("Slack refused the request; check the app's settings and permissions there"),
    };
    Err(fault.retry_after(reply.retry_after()))
}

fn revoked() -> Fault {
    Fault::new(
        FaultKind::Revoked,
        "Slack no longer accepts the app's tokens; install the app again and paste the new ones",
    )
}

fn scope_detail(needed: &str) -> String {
    let is_scope = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '_' | ',');
    let needed: String = needed.chars().filter(|c| is_scope(*c)).take(100).collect();
    format!(
        "the app lacks a permission; add {needed} under OAuth & Permissions and install it again"
    )
}

fn missing_scopes(reply: &Reply) -> Vec<String> {
    let Some(granted) = reply.headers.get("x-oauth-scopes") else { return Vec::new() };
    let granted: Vec<&str> = granted.split(',').map(str::trim).collect();
    let missing: Vec<&str> = SCOPES.into_iter().filter(|scope| !granted.contains(scope)).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    let detail =
        "The app lacks permissions; add these under OAuth & Permissions and install it again";
    vec![format!("{detail}: {}", missing.join(", "))]
}

/// The text in sections, then the buttons.
fn blocks(text: &str, buttons: &[Button], is_plain: bool) -> Value {
    let kind = if is_plain { "plain_text" } else { "mrkdwn" };
    let section = |text: &str| json!({"type": "section", "text": {"type": kind, "text": text}});
    let mut blocks: Vec<Value> = sections(text).into_iter().map(section).collect();
    let button = |(index, button): (usize, &Button)| {
        let label: String = button.label.chars().take(75).collect();
        let mut element = json!({
            "type": "button", "action_id": format!("hq{index}"), "value": button.data,
            "text": {"type": "plain_text", "text": label},
        });
        match button.style {
            ButtonStyle::Primary => element["style"] = "primary".into(),
            ButtonStyle::Danger => element["style"] = "danger".into(),
            ButtonStyle::Plain => {}
        }
        element
    };
    let elements: Vec<Value> = buttons.iter().take(25).enumerate().map(button).collect();
    blocks.push(json!({"type": "actions", "elements": elements}));
    blocks.into()
}

/// Cuts a text into parts that fit into a section, at line ends where possible.
fn sections(mut text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while MAX_SECTION < text.len() {
        let end = text.floor_char_boundary(MAX_SECTION);
        let end = text[..end].rfind('\n').map_or(end, |at| at + 1);
        parts.push(&text[..end]);
        text = &text[end..];
    }
    parts.push(text);
    parts.retain(|part| !part.trim().is_empty());
    parts
}

/// The delay before another attempt to fill a gap.
fn pause(fault: &Fault) -> Option<Duration> {
    fault.retry_after.filter(|_| fault.kind == FaultKind::Transient)
}
