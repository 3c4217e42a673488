//! Telegram: the Bot API by long polling.

use std::fmt;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use net::client::HttpClient;
use net::guard;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    Batch, BoxFuture, Button, Channel, CommandInfo, Fault, FaultKind, FileRef, Found, Identity,
    Inbox, OutBody, Outgoing, Receipt,
};

mod api;
mod incoming;

use api::{Api, Call, Failure, Params, Refusal, Upload};
use incoming::Me;

const DEFAULT_BASE: &str = "https://api.telegram.org";
/// What the server may wait for an update.
const POLL_SECS: u64 = 50;
const POLL_LIMIT: Duration = Duration::from_secs(65);
const CALL_LIMIT: Duration = Duration::from_secs(30);
const UPLOAD_LIMIT: Duration = Duration::from_secs(180);
/// An empty poll that ends sooner is followed by a pause: the server does not wait.
const SHORTEST_POLL: Duration = Duration::from_secs(1);
const MAX_PHOTO: usize = 10_000_000;
const MAX_FILE: usize = 50_000_000;
/// Limits of Telegram in characters. Counted in UTF-16, as Telegram does.
const MAX_CAPTION: usize = 1024;
const MAX_TOAST: usize = 200;
const MAX_COMMANDS: usize = 100;
const BUTTONS_PER_ROW: usize = 3;

/// One bot.
pub struct Telegram {
    api: Api,
    me: OnceLock<Me>,
}

/// Finds a bot token in a text, for example a message from BotFather.
pub fn token_in(text: &str) -> Option<&str> {
    text.match_indices(':').find_map(|(colon, _)| {
        let digits = text[..colon].bytes().rev().take_while(u8::is_ascii_digit).count();
        let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let key = text[colon + 1..].bytes().take_while(is_key).count();
        (5 <= digits && 30 <= key).then(|| &text[colon - digits..=colon + key])
    })
}

impl Telegram {
    /// A bot at `api_base`, or at Telegram itself. `client` must be able to reach it with the guarded policy.
    pub fn open(
        token: &str,
        api_base: Option<&str>,
        client: HttpClient,
    ) -> Result<Telegram, Fault> {
        let token = token.trim();
        if token_in(token) != Some(token) {
            let detail = "this is not a Telegram bot token; copy the token from @BotFather";
            return Err(Fault::new(FaultKind::Permanent, detail));
        }
        let base = api_base.unwrap_or(DEFAULT_BASE).trim().trim_end_matches('/');
        let parsed = guard::parse(base).ok().filter(|url| guard::check_shape(url).is_ok());
        if parsed.is_none_or(|url| url.query().is_some() || url.fragment().is_some()) {
            let detail = "this is not the address of a Bot API server; write it as https://host";
            return Err(Fault::new(FaultKind::Permanent, detail));
        }
        let api = Api { client, base: base.to_owned(), token: token.to_owned() };
        Ok(Telegram { api, me: OnceLock::new() })
    }

    async fn identify(&self) -> Result<Value, Fault> {
        let result = self.api.call("getMe", &Params::new(), CALL_LIMIT).await;
        let me = value(&result.map_err(|failure| failure.fault(Call::Login))?);
        let strange = "the server didn't answer like Telegram; check its address";
        let id = me["id"].as_i64().ok_or_else(|| Fault::new(FaultKind::Transient, strange))?;
        let handle = me["username"].as_str().unwrap_or_default().to_owned();
        // ok: the first answer stays; a bot's id never changes.
        let _ = self.me.set(Me { id, handle });
        Ok(me)
    }

    async fn examine(&self) -> Result<Identity, Fault> {
        let me = self.identify().await?;
        let mut warnings = Vec::new();
        // ok: only a warning depends on it, and polling reports a webhook as well.
        let webhook = self.api.call("getWebhookInfo", &Params::new(), CALL_LIMIT).await.ok();
        let url = webhook.map(|result| value(&result)["url"].clone()).unwrap_or_default();
        if url.as_str().is_some_and(|url| !url.is_empty()) {
            let text = "another program has set a webhook for this bot; remove the webhook, \
                        or nothing is received here";
            warnings.push(text.to_owned());
        }
        if me["can_read_all_group_messages"] == false {
            let text = "privacy mode is on: in groups the bot sees only commands and replies to it; \
                        to change this, send /setprivacy to @BotFather and add the bot again";
            warnings.push(text.to_owned());
        }
        let handle = me["username"].as_str().unwrap_or_default().to_owned();
        Ok(Identity {
            id: me["id"].to_string(),
            name: me["first_name"].as_str().unwrap_or_default().to_owned(),
            link: Some(format!("https://t.me/{handle}?start={{code}}")),
            invite: None,
            handle,
            warnings,
        })
    }

    async fn poll(&self, inbox: &dyn Inbox, cursor: &str) -> Result<(), Fault> {
        let me = match self.me.get() {
            Some(me) => me,
            None => {
                self.identify().await?;
                self.me.get().expect("invariant: identify has set it")
            }
        };
        let mut params = object(json!({
            // The first poll returns at once and proves that the connection works.
            "timeout": 0,
            "limit": 100,
            "allowed_updates": ["message", "edited_message", "callback_query", "my_chat_member"],
        }));
        // Without an offset, Telegram repeats what no program has acknowledged.
        if let Ok(offset) = cursor.parse::<i64>() {
            params.insert("offset".to_owned(), offset.into());
        }
        loop {
            let begun = Instant::now();
            let result = match self.api.call("getUpdates", &params, POLL_LIMIT).await {
                Ok(result) => result,
                Err(Failure::Refused(Refusal { code: 429, retry_after, .. })) => {
                    sleep(retry_after.unwrap_or(SHORTEST_POLL)).await;
                    continue;
                }
                Err(failure) => return Err(failure.fault(Call::Login)),
            };
            let strange = || {
                let detail = "the server didn't answer like Telegram; check its address";
                Fault::new(FaultKind::Transient, detail)
            };
            let updates = incoming::updates(result.get(), me).ok_or_else(strange)?;
            inbox.online();
            if let Some(next) = updates.next {
                let cursor = Some(next.to_string());
                inbox.receive(Batch { events: updates.events, cursor }).await?;
                params.insert("offset".to_owned(), next.into());
            } else if params.insert("timeout".to_owned(), POLL_SECS.into()) != Some(0.into()) {
                sleep(SHORTEST_POLL.saturating_sub(begun.elapsed())).await;
            }
        }
    }

    async fn perform(&self, out: &Outgoing) -> Result<Receipt, Fault> {
        let mut params = Params::new();
        match &out.body {
            OutBody::Text { markdown, buttons } => {
                address(&mut params, out);
                decorate(&mut params, buttons);
                self.write("sendMessage", params, markdown, Call::Once).await
            }
            OutBody::Preview { markdown } => {
                address(&mut params, out);
                params.insert("disable_notification".to_owned(), true.into());
                self.write("sendMessage", params, markdown, Call::Once).await
            }
            OutBody::Draft { id, markdown } => {
                address(&mut params, out);
                params.remove("reply_parameters");
                params.insert("draft_id".to_owned(), (*id).into());
                self.write("sendMessageDraft", params, markdown, Call::Repeatable).await
            }
            OutBody::Delete { message } => {
                params.insert("chat_id".to_owned(), number(&out.place.chat));
                params.insert("message_id".to_owned(), number(message));
                match self.deliver("deleteMessage", &mut params, None).await {
                    Err(Failure::Refused(refusal))
                        if refusal.says(400, "message to delete not found") =>
                    {
                        Ok(Receipt::default())
                    }
                    done => done
                        .map(|_| Receipt::default())
                        .map_err(|failure| failure.fault(Call::Repeatable)),
                }
            }
            OutBody::Edit { message, markdown, buttons } => {
                params.insert("chat_id".to_owned(), number(&out.place.chat));
                params.insert("message_id".to_owned(), number(message));
                decorate(&mut params, buttons);
                let receipt =
                    self.write("editMessageText", params, markdown, Call::Repeatable).await?;
                let unchanged = receipt.message.is_empty();
                Ok(if unchanged { Receipt { message: message.clone() } } else { receipt })
            }
            OutBody::File { name, media_type, bytes, caption } => {
                address(&mut params, out);
                if !caption.is_empty() {
                    params.insert("caption".to_owned(), first_units(caption, MAX_CAPTION).into());
                }
                let boundary = format!("hq-{}", out.key);
                let file =
                    Upload { field: "document", name, media_type, bytes, boundary: &boundary };
                self.send_file(params, file).await
            }
            OutBody::Pressed { press, text } => {
                params.insert("callback_query_id".to_owned(), press.as_str().into());
                if !text.is_empty() {
                    params.insert("text".to_owned(), first_units(text, MAX_TOAST).into());
                }
                self.finish("answerCallbackQuery", params).await
            }
            OutBody::Typing => {
                address(&mut params, out);
                params.remove("reply_parameters");
                params.insert("action".to_owned(), "typing".into());
                self.finish("sendChatAction", params).await
            }
        }
    }

    /// Sends or edits a text; once more without formatting if Telegram refuses that.
    async fn write(
        &self,
        method: &str,
        mut params: Params,
        markdown: &str,
        call: Call,
    ) -> Result<Receipt, Fault> {
        let styled = channel_format::telegram(markdown);
        let entities: Vec<Value> = styled.entities.into_iter().map(entity).collect();
        params.insert("text".to_owned(), styled.text.into());
        params.insert("entities".to_owned(), entities.into());
        params.insert("link_preview_options".to_owned(), json!({"is_disabled": true}));
        let mut sent = self.deliver(method, &mut params, None).await;
        if let Err(Failure::Refused(refusal)) = &sent
            && refusal.is_about_formatting()
        {
            params.insert("text".to_owned(), channel_format::plain(markdown).into());
            params.remove("entities");
            sent = self.deliver(method, &mut params, None).await;
        }
        match sent {
            Ok(result) => Ok(receipt(&result)),
            Err(Failure::Refused(refusal)) if refusal.says(400, "message is not modified") => {
                Ok(Receipt::default())
            }
            Err(failure) => Err(failure.fault(call)),
        }
    }

    async fn send_file(&self, mut params: Params, mut file: Upload<'_>) -> Result<Receipt, Fault> {
        if MAX_FILE < file.bytes.len() {
            let detail = "the file is too large for Telegram; send one of at most 50 MB";
            return Err(Fault::new(FaultKind::Permanent, detail));
        }
        let is_image = matches!(file.media_type, "image/jpeg" | "image/png" | "image/webp");
        if is_image && file.bytes.len() <= MAX_PHOTO {
            file.field = "photo";
            match self.deliver("sendPhoto", &mut params, Some(&file)).await {
                // An image with unusual dimensions is still a good document.
                Err(Failure::Refused(refusal))
                    if refusal.says(400, "photo") || refusal.says(400, "image") => {}
                sent => return sent.map(|r| receipt(&r)).map_err(|f| f.fault(Call::Once)),
            }
        }
        file.field = "document";
        let sent = self.deliver("sendDocument", &mut params, Some(&file)).await;
        sent.map(|result| receipt(&result)).map_err(|failure| failure.fault(Call::Once))
    }

    /// Performs a call without a message as its result.
    async fn finish(&self, method: &str, mut params: Params) -> Result<Receipt, Fault> {
        let done = self.deliver(method, &mut params, None).await;
        done.map(|_| Receipt::default()).map_err(|failure| failure.fault(Call::Repeatable))
    }

    /// Performs a call, in the chat's new place if it has moved.
    async fn deliver(
        &self,
        method: &str,
        params: &mut Params,
        file: Option<&Upload<'_>>,
    ) -> Result<Box<RawValue>, Failure> {
        let mut sent = self.attempt(method, params, file).await;
        if let Err(Failure::Refused(Refusal { moved_to: Some(chat), .. })) = sent {
            params.insert("chat_id".to_owned(), chat.into());
            sent = self.attempt(method, params, file).await;
        }
        sent
    }

    async fn attempt(
        &self,
        method: &str,
        params: &Params,
        file: Option<&Upload<'_>>,
    ) -> Result<Box<RawValue>, Failure> {
        match file {
            Some(file) => self.api.upload(method, params, file, UPLOAD_LIMIT).await,
            None => self.api.call(method, params, CALL_LIMIT).await,
        }
    }

    async fn photo(&self, most: u64) -> Result<Option<Bytes>, Failure> {
        let mut user = self.me.get().map(|me| me.id);
        if user.is_none() {
            let me = value(&self.api.call("getMe", &Params::new(), CALL_LIMIT).await?);
            user = me["id"].as_i64();
        }
        let params = object(json!({"user_id": user, "limit": 1}));
        let found = value(&self.api.call("getUserProfilePhotos", &params, CALL_LIMIT).await?);
        // Telegram offers each picture in several sizes, smallest first.
        let sizes = found["photos"][0].as_array().map_or(&[][..], Vec::as_slice);
        let is_enough = |size: &&Value| 160 <= size["width"].as_u64().unwrap_or_default();
        let Some(size) = sizes.iter().find(is_enough).or(sizes.last()) else { return Ok(None) };
        let id = size["file_id"].as_str().unwrap_or_default();
        Ok(Some(self.fetch(id, most).await?))
    }

    async fn fetch(&self, file: &str, most: u64) -> Result<Bytes, Failure> {
        let params = object(json!({"file_id": file}));
        let found = value(&self.api.call("getFile", &params, CALL_LIMIT).await?);
        let path = found["file_path"].as_str().unwrap_or_default();
        if found["file_size"].as_u64().is_some_and(|len| most < len) {
            return Err(Failure::too_big());
        }
        self.api.file(path, most).await
    }
}

impl Channel for Telegram {
    fn check(&self) -> BoxFuture<'_, Identity> {
        Box::pin(self.examine())
    }

    fn listen<'a>(&'a self, inbox: &'a dyn Inbox, cursor: String) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.poll(inbox, &cursor).await })
    }

    fn send<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Receipt> {
        Box::pin(self.perform(out))
    }

    fn find<'a>(&'a self, _out: &'a Outgoing) -> BoxFuture<'a, Found> {
        Box::pin(async { Ok(Found::Unknown) })
    }

    fn download<'a>(&'a self, file: &'a FileRef, most: u64) -> BoxFuture<'a, Bytes> {
        Box::pin(async move {
            self.fetch(&file.id, most).await.map_err(|failure| failure.fault(Call::Repeatable))
        })
    }

    /// Messages that wait at Telegram are kept.
    fn remove_webhook(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { self.finish("deleteWebhook", Params::new()).await.map(drop) })
    }

    fn picture(&self, most: u64) -> BoxFuture<'_, Option<Bytes>> {
        Box::pin(async move {
            self.photo(most).await.map_err(|failure| failure.fault(Call::Repeatable))
        })
    }

    /// Leaves out commands whose name Telegram does not allow.
    fn register<'a>(&'a self, commands: &'a [CommandInfo]) -> BoxFuture<'a, ()> {
        let is_allowed = |name: &str| {
            let is_fine = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
            (1..=32).contains(&name.len()) && name.bytes().all(is_fine)
        };
        let allowed = commands.iter().filter(|command| is_allowed(&command.name));
        let commands: Vec<Value> = allowed
            .take(MAX_COMMANDS)
            .map(|command| json!({"command": command.name, "description": command.about}))
            .collect();
        let params = object(json!({"commands": commands}));
        Box::pin(async move { self.finish("setMyCommands", params).await.map(|_| ()) })
    }
}

impl fmt::Debug for Telegram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telegram").field("me", &self.me).finish_non_exhaustive()
    }
}

fn address(params: &mut Params, out: &Outgoing) {
    params.insert("chat_id".to_owned(), number(&out.place.chat));
    if let Some(thread) = &out.place.thread {
        params.insert("message_thread_id".to_owned(), number(thread));
    }
    if let Some(answered) = &out.reply_to {
        let reply = json!({"message_id": number(answered), "allow_sending_without_reply": true});
        params.insert("reply_parameters".to_owned(), reply);
    }
}

fn decorate(params: &mut Params, buttons: &[Button]) {
    if buttons.is_empty() {
        return;
    }
    let button = |button: &Button| json!({"text": button.label, "callback_data": button.data});
    let rows: Vec<Vec<Value>> =
        buttons.chunks(BUTTONS_PER_ROW).map(|row| row.iter().map(button).collect()).collect();
    params.insert("reply_markup".to_owned(), json!({"inline_keyboard": rows}));
}

fn entity(entity: channel_format::TelegramEntity) -> Value {
    let mut all = json!({"type": entity.kind, "offset": entity.offset, "length": entity.length});
    if let Some(url) = entity.url {
        all["url"] = url.into();
    }
    if let Some(language) = entity.language {
        all["language"] = language.into();
    }
    all
}

/// Ids are numbers, except `@name` of a public channel.
fn number(id: &str) -> Value {
    id.parse::<i64>().map_or_else(|_| id.into(), Value::from)
}

fn first_units(text: &str, most: usize) -> String {
    let mut len = 0;
    let fits = |letter: &char| {
        len += letter.len_utf16();
        len <= most
    };
    text.chars().take_while(fits).collect()
}

fn receipt(result: &RawValue) -> Receipt {
    let message = value(result)["message_id"].as_i64();
    Receipt { message: message.map(|id| id.to_string()).unwrap_or_default() }
}

fn value(raw: &RawValue) -> Value {
    // ok: unreadable parts count as missing.
    serde_json::from_str(raw.get()).unwrap_or_default()
}

fn object(value: Value) -> Params {
    match value {
        Value::Object(map) => map,
        _ => Params::new(),
    }
}
