//! Discord: API and gateway v10.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use net::client::HttpClient;
use net::message::{Method, Timeouts};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::api::{self, Reply, list, no_drafts, some, text};
use super::{
    BoxFuture, Button, ButtonStyle, Channel, CommandInfo, Fault, FaultKind, FileRef, Found,
    Identity, Inbox, OutBody, Outgoing, Place, Receipt,
};

mod events;
mod gateway;

const NAME: &str = "Discord";
const HOST: &str = "https://discord.com";
/// Hosts of attachments.
const FILE_HOSTS: [&str; 2] = ["https://cdn.discordapp.com/", "https://media.discordapp.net/"];
/// View channels, send messages (also in threads), embed links, attach files, read history, add reactions.
const PERMISSIONS: u64 =
    (1 << 10) | (1 << 11) | (1 << 38) | (1 << 14) | (1 << 15) | (1 << 16) | (1 << 6);
/// Application flags that say that bots may read messages.
const MAY_READ_TEXT: u64 = (1 << 18) | (1 << 19);
const SUPPRESS_EMBEDS: u64 = 1 << 2;
const SUPPRESS_NOTIFICATIONS: u64 = 1 << 12;
const EPHEMERAL: u64 = 1 << 6;
/// Discord accepts a follow-up to a press for 15 minutes; more presses than this are not remembered.
const MAX_PRESSES: usize = 256;
const MAX_ROOMS: usize = 5000;
/// Most messages that Discord returns at once, and most pages that are looked through for one.
const PAGE: usize = 100;
const MAX_PAGES: usize = 5;
/// How far the clocks of HQ and Discord may differ.
const SKEW: Duration = Duration::from_secs(60);

/// A bot account.
pub struct Discord {
    api: String,
    auth: String,
    /// Whether `api` is Discord itself.
    is_official: bool,
    client: HttpClient,
    /// Id of the bot's user.
    me: OnceCell<String>,
    rooms: Mutex<HashMap<String, Room>>,
    guilds: Mutex<HashMap<String, String>>,
    /// Paths for follow-ups, by interaction.
    presses: Mutex<VecDeque<(String, String)>>,
}

/// Cached properties of a Discord channel.
#[derive(Clone, Debug, Default)]
struct Room {
    title: String,
    guild: String,
    /// The channel of a thread.
    parent: Option<String>,
    is_direct: bool,
}

/// Prepares an account. `api_base` replaces `https://discord.com`.
pub fn open(token: &str, api_base: Option<&str>, client: HttpClient) -> Result<Discord, Fault> {
    let token = token.trim().trim_start_matches("Bot ").trim();
    if !api::is_token(token) {
        return Err(Fault::new(
            FaultKind::Permanent,
            "this isn't a bot token; copy it from Bot → Token in the Discord developer portal",
        ));
    }
    Ok(Discord {
        api: api::origin(api_base, HOST)? + "/api/v10",
        auth: format!("Bot {token}"),
        is_official: api_base.is_none(),
        client,
        me: OnceCell::new(),
        rooms: Mutex::default(),
        guilds: Mutex::default(),
        presses: Mutex::default(),
    })
}

impl fmt::Debug for Discord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Discord").finish_non_exhaustive()
    }
}

impl Channel for Discord {
    fn check(&self) -> BoxFuture<'_, Identity> {
        Box::pin(async {
            let user = self.get("/users/@me").await?;
            let application = self.get("/applications/@me").await?;
            Ok(identity(&user, &application))
        })
    }

    fn listen<'a>(&'a self, inbox: &'a dyn Inbox, cursor: String) -> BoxFuture<'a, ()> {
        Box::pin(gateway::listen(self, inbox, cursor))
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Receipt> {
        Box::pin(self.perform(out))
    }

    fn find<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Found> {
        Box::pin(async move {
            if !matches!(
                out.body,
                OutBody::Text { .. } | OutBody::Preview { .. } | OutBody::File { .. }
            ) {
                return Ok(Found::Absent);
            }
            self.look_up(out).await
        })
    }

    fn download<'a>(&'a self, file: &'a FileRef, most: u64) -> BoxFuture<'a, Bytes> {
        let own = format!("{}/", self.api.trim_end_matches("/api/v10"));
        Box::pin(async move {
            if !FILE_HOSTS.iter().any(|host| file.id.starts_with(host))
                && !file.id.starts_with(&own)
            {
                let detail = "this isn't an attachment of Discord; send the file again";
                return Err(Fault::new(FaultKind::Permanent, detail));
            }
            // Attachments have signed addresses and need no token.
            let request = api::request(Method::Get, &file.id);
            api::download(&self.client, request, NAME, most).await
        })
    }

    fn picture(&self, most: u64) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            let user = self.get("/users/@me").await?;
            let Some(avatar) = some(&user, "/avatar") else { return Ok(None) };
            let id = text(&user, "/id");
            let url = format!("https://cdn.discordapp.com/avatars/{id}/{avatar}.png?size=128");
            let request = api::request(Method::Get, url);
            api::download(&self.client, request, NAME, most).await.map(Some)
        })
    }

    fn register<'a>(&'a self, commands: &'a [CommandInfo]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let application = self.get("/applications/@me").await?;
            let commands: Vec<Value> = commands
                .iter()
                .map(|command| {
                    json!({
                        "name": command.name, "type": 1, "description": command.about,
                        "options": [{"type": 3, "name": "text", "description": "More words"}],
                    })
                })
                .collect();
            let path = format!("/applications/{}/commands", text(&application, "/id"));
            self.call(Method::Put, &path, Some(json!(commands)), false).await?;
            Ok(())
        })
    }
}

impl Discord {
    async fn perform(&self, out: &Outgoing) -> Result<Receipt, Fault> {
        let channel = target(&out.place);
        let messages = format!("/channels/{channel}/messages");
        let reply = match &out.body {
            OutBody::Text { markdown, buttons } => {
                let body = new_message(out, &channel_format::discord(markdown), buttons);
                self.call(Method::Post, &messages, Some(body), true).await?
            }
            OutBody::Preview { markdown } => {
                let mut body = new_message(out, &channel_format::discord(markdown), &[]);
                body["flags"] = (SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS).into();
                self.call(Method::Post, &messages, Some(body), true).await?
            }
            OutBody::Draft { .. } => return Err(no_drafts()),
            OutBody::Delete { message } => {
                let path = format!("{messages}/{message}");
                let reply =
                    api::call(&self.client, self.request(Method::Delete, &path), NAME, false)
                        .await?;
                return match reply.status {
                    404 | 200..300 => Ok(Receipt::default()),
                    _ => Err(refusal(&reply)),
                };
            }
            OutBody::Edit { message, markdown, buttons } => {
                let body = json!({
                    "content": channel_format::discord(markdown),
                    "components": components(buttons),
                    "allowed_mentions": {"parse": []},
                });
                let path = format!("{messages}/{message}");
                self.call(Method::Patch, &path, Some(body), false).await?
            }
            OutBody::File { name, media_type, bytes, caption } => {
                let body = new_message(out, &channel_format::discord(caption), &[]);
                let (kind, form) = multipart(&out.key, &body, name, media_type, bytes);
                let request = self.request(Method::Post, &messages).body(&kind, form);
                self.exchange(request.timeouts(api::FILE), true).await?
            }
            OutBody::Pressed { press, text } => {
                self.follow_up(press, text).await?;
                return Ok(Receipt::default());
            }
            OutBody::Typing => {
                let path = format!("/channels/{channel}/typing");
                self.call(Method::Post, &path, None, false).await?;
                return Ok(Receipt::default());
            }
        };
        Ok(Receipt { message: some(&reply, "/id").unwrap_or_default() })
    }

    /// Looks for the nonce in the messages since the first attempt. Discord does not promise to return nonces; a message of
    /// the bot without one, or too many messages, leave it open.
    async fn look_up(&self, out: &Outgoing) -> Result<Found, Fault> {
        let (me, nonce) = (self.me().await?, nonce(&out.key));
        let mut after = events::id_at(out.since.saturating_sub(SKEW).unwrap_or(out.since));
        let mut is_unclear = false;
        for _ in 0..MAX_PAGES {
            let messages = format!("/channels/{}/messages", target(&out.place));
            let page = self.get(&format!("{messages}?after={after}&limit={PAGE}")).await?;
            let page = list(&page, "");
            for own in page.iter().filter(|message| text(message, "/author/id") == me) {
                match some(own, "/nonce") {
                    Some(found) if found == nonce => {
                        return Ok(Found::Sent(Receipt { message: text(own, "/id").to_owned() }));
                    }
                    Some(_) => {}
                    None => is_unclear = true,
                }
            }
            let newest = page.iter().filter_map(|message| text(message, "/id").parse().ok()).max();
            match newest.filter(|_| PAGE <= page.len()) {
                Some(newest) => after = newest,
                None => return Ok(if is_unclear { Found::Unknown } else { Found::Absent }),
            }
        }
        Ok(Found::Unknown)
    }

    /// Shows a text to the presser only. The press itself was acknowledged when it was received.
    async fn follow_up(&self, press: &str, text: &str) -> Result<(), Fault> {
        let path =
            self.presses.lock().iter().find(|(id, _)| id == press).map(|(_, path)| path.clone());
        // A press from before a restart can no longer be answered.
        let Some(path) = path.filter(|_| !text.is_empty()) else { return Ok(()) };
        let content = channel_format::discord(text);
        let body =
            json!({"content": content, "flags": EPHEMERAL, "allowed_mentions": {"parse": []}});
        self.call(Method::Post, &path, Some(body), true).await?;
        Ok(())
    }

    /// Id of the bot's user.
    async fn me(&self) -> Result<&str, Fault> {
        let found = self.me.get_or_try_init(|| async {
            let user = self.get("/users/@me").await?;
            Ok(text(&user, "/id").to_owned())
        });
        Ok(found.await?)
    }

    /// Looks up a channel, at most once.
    async fn room(&self, channel: &str) -> Result<Room, Fault> {
        if let Some(room) = self.rooms.lock().get(channel) {
            return Ok(room.clone());
        }
        let room = match self.get(&format!("/channels/{channel}")).await {
            Ok(found) => {
                let guild = text(&found, "/guild_id").to_owned();
                let server = self.guild_name(&guild).await?;
                self.remember(&found, &guild, &server);
                events::room(&found, &guild, &server)
            }
            // The bot may lack the right to view the channel of an interaction.
            Err(fault) if fault.kind == FaultKind::Permanent => Room::default(),
            Err(fault) => return Err(fault),
        };
        Ok(room)
    }

    async fn guild_name(&self, guild: &str) -> Result<String, Fault> {
        if guild.is_empty() {
            return Ok(String::new());
        }
        if let Some(name) = self.guilds.lock().get(guild) {
            return Ok(name.clone());
        }
        let name = match self.get(&format!("/guilds/{guild}")).await {
            Ok(found) => text(&found, "/name").to_owned(),
            Err(fault) if fault.kind == FaultKind::Permanent => String::new(),
            Err(fault) => return Err(fault),
        };
        self.guilds.lock().insert(guild.to_owned(), name.clone());
        Ok(name)
    }

    fn remember(&self, channel: &Value, guild: &str, server: &str) {
        let mut rooms = self.rooms.lock();
        if MAX_ROOMS <= rooms.len() {
            rooms.clear();
        }
        rooms.insert(text(channel, "/id").to_owned(), events::room(channel, guild, server));
    }

    /// Keeps the path for follow-ups. Returns whether the interaction is new.
    fn remember_press(&self, interaction: &Value) -> bool {
        let id = text(interaction, "/id");
        let path = format!(
            "/webhooks/{}/{}",
            text(interaction, "/application_id"),
            text(interaction, "/token")
        );
        let mut presses = self.presses.lock();
        if presses.iter().any(|(known, _)| known == id) {
            return false;
        }
        if MAX_PRESSES <= presses.len() {
            presses.pop_front();
        }
        presses.push_back((id.to_owned(), path));
        true
    }

    async fn get(&self, path: &str) -> Result<Value, Fault> {
        self.call(Method::Get, path, None, false).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        may_write: bool,
    ) -> Result<Value, Fault> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.body("application/json", body.to_string());
        }
        self.exchange(request, may_write).await
    }

    fn request(&self, method: Method, path: &str) -> net::message::Request {
        api::request(method, format!("{}{path}", self.api))
            .header("authorization", self.auth.as_str())
            .header(
                "user-agent",
                concat!("DiscordBot (https://hq.dev, ", env!("CARGO_PKG_VERSION"), ")"),
            )
            .timeouts(Timeouts::SHORT)
    }

    async fn exchange(
        &self,
        request: net::message::Request,
        may_write: bool,
    ) -> Result<Value, Fault> {
        let reply = api::call(&self.client, request, NAME, may_write).await?;
        if reply.is_success() { Ok(reply.body) } else { Err(refusal(&reply)) }
    }
}

fn refusal(reply: &Reply) -> Fault {
    if let Some(fault) = api::busy(reply.status.into(), NAME) {
        return fault.retry_after(reply.retry_after());
    }
    let code = reply.body.get("code").and_then(Value::as_u64).unwrap_or_default();
    let (kind, detail) = match (reply.status, code) {
        (401, _) => return revoked(),
        (403, 50007) => {
            (FaultKind::Permanent, "this person accepts no direct messages from the bot")
        }
        (403, _) => (
            FaultKind::Permanent,
            "Discord denies the bot access to this channel; check its permissions there",
        ),
        (404, _) => (FaultKind::Permanent, "this channel or message no longer exists on Discord"),
        (413, _) => (FaultKind::Permanent, "the file is larger than Discord accepts"),
        _ => (FaultKind::Permanent, "Discord refused the request; check the bot's settings there"),
    };
    Fault::new(kind, detail).retry_after(reply.retry_after())
}

fn revoked() -> Fault {
    Fault::new(
        FaultKind::Revoked,
        "Discord no longer accepts the bot's token; paste a new one from the developer portal",
    )
}

fn identity(user: &Value, application: &Value) -> Identity {
    let (id, handle) = (text(user, "/id"), text(user, "/username"));
    let flags = application.get("flags").and_then(Value::as_u64).unwrap_or_default();
    let mut warnings = Vec::new();
    if flags & MAY_READ_TEXT == 0 {
        warnings.push(
            "The bot can't read messages in servers; turn on Message Content Intent in the Discord \
             developer portal under Bot"
                .to_owned(),
        );
    }
    if some(application, "/interactions_endpoint_url").is_some() {
        warnings.push(
            "Discord sends buttons and commands elsewhere; remove the Interactions Endpoint URL in \
             the Discord developer portal"
                .to_owned(),
        );
    }
    Identity {
        id: id.to_owned(),
        name: some(user, "/global_name").unwrap_or_else(|| handle.to_owned()),
        handle: handle.to_owned(),
        link: Some(format!("https://discord.com/users/{id}")),
        invite: Some(format!(
            "https://discord.com/oauth2/authorize?client_id={}&scope=bot%20applications.commands\
             &permissions={PERMISSIONS}",
            text(application, "/id")
        )),
        warnings,
    }
}

/// On Discord a thread is a channel with an id of its own.
fn target(place: &Place) -> &str {
    place.thread.as_deref().unwrap_or(&place.chat)
}

fn nonce(key: &str) -> String {
    key.chars().take(25).collect()
}

fn new_message(out: &Outgoing, content: &str, buttons: &[Button]) -> Value {
    let mut body = json!({
        "content": content,
        "nonce": nonce(&out.key),
        "enforce_nonce": true,
        "allowed_mentions": {"parse": []},
        "flags": SUPPRESS_EMBEDS,
        "components": components(buttons),
    });
    if let Some(id) = &out.reply_to {
        body["message_reference"] = json!({"message_id": id, "fail_if_not_exists": false});
    }
    body
}

/// Rows of at most five buttons, at most five rows.
fn components(buttons: &[Button]) -> Value {
    let button = |button: &Button| {
        let style = match button.style {
            ButtonStyle::Primary => 1,
            ButtonStyle::Plain => 2,
            ButtonStyle::Danger => 4,
        };
        let label: String = button.label.chars().take(80).collect();
        json!({"type": 2, "style": style, "label": label, "custom_id": button.data})
    };
    let row = |row: &[Button]| json!({"type": 1, "components": row.iter().map(button).collect::<Vec<_>>()});
    buttons.chunks(5).take(5).map(row).collect()
}

/// A form with the message and one file. The key is random enough for a boundary.
fn multipart(key: &str, body: &Value, name: &str, kind: &str, bytes: &[u8]) -> (String, Vec<u8>) {
    let safe = |text: &str| text.replace(|c: char| c.is_control() || c == '"' || c == '\\', "_");
    let kind = if kind.is_empty() { "application/octet-stream" } else { kind };
    let mut form = format!(
        "--{key}\r\ncontent-disposition: form-data; name=\"payload_json\"\r\ncontent-type: \
         application/json\r\n\r\n{body}\r\n--{key}\r\ncontent-disposition: form-data; \
         name=\"files[0]\"; filename=\"{}\"\r\ncontent-type: {}\r\n\r\n",
        safe(name),
        safe(kind),
    )
    .into_bytes();
    form.extend_from_slice(bytes);
    form.extend_from_slice(format!("\r\n--{key}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={key}"), form)
}
