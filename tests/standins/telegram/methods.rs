//! A bot's state and the methods of the Bot API on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Value, json};

use super::params::{Params, int};
use super::{Chat, User};

const MAX_TEXT: usize = 4096;
const MAX_DOWNLOAD: usize = 20_000_000;

pub(super) type Reply = Result<Value, Refused>;

/// An error answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub status: u16,
    pub description: String,
    pub parameters: Option<Value>,
}

/// Something that the bot sent.
#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub chat: i64,
    /// Text, caption or the text that answers a press.
    pub text: String,
    pub entities: Value,
    pub reply_markup: Value,
    pub message_id: i64,
    /// All parameters.
    pub params: Value,
    pub file: Vec<u8>,
}

#[derive(Default)]
pub(super) struct Bot {
    me: Value,
    pub is_revoked: bool,
    pub webhook: String,
    pub updates: VecDeque<Value>,
    /// Number of the newest poll.
    pub polls: u64,
    pub calls: Vec<String>,
    pub sent: Vec<Sent>,
    /// Chat, id and text of the drafts that were shown.
    pub drafts: Vec<(i64, i64, String)>,
    pub files: BTreeMap<String, Vec<u8>>,
    allowed: Vec<Value>,
    commands: Value,
    last_id: i64,
    chats: BTreeMap<i64, Value>,
    messages: BTreeMap<(i64, i64), Value>,
    presses: BTreeSet<String>,
    moved: BTreeMap<i64, i64>,
}

impl Refused {
    pub fn new(status: u16, description: &str) -> Refused {
        Refused { status, description: description.to_owned(), parameters: None }
    }

    pub fn unauthorized() -> Refused {
        Refused::new(401, "Unauthorized")
    }

    pub fn missing() -> Refused {
        Refused::new(404, "Not Found")
    }

    fn bad(what: &str) -> Refused {
        Refused::new(400, &format!("Bad Request: {what}"))
    }
}

impl Bot {
    pub fn new(id: i64, name: &str, handle: &str) -> Bot {
        let me = json!({
            "id": id, "is_bot": true, "first_name": name, "username": handle,
            "can_join_groups": true, "can_read_all_group_messages": false,
            "supports_inline_queries": false,
        });
        Bot { me, commands: json!([]), last_id: 100, ..Bot::default() }
    }

    pub fn called(&self, method: &str) -> usize {
        self.calls.iter().filter(|call| *call == method).count()
    }

    pub fn live(&self) -> Result<(), Refused> {
        if self.is_revoked { Err(Refused::unauthorized()) } else { Ok(()) }
    }

    pub fn say(&mut self, chat: &Chat, from: &User, text: &str, now: i64) -> i64 {
        let message =
            json!({"chat": chat.0, "from": from.0, "text": text, "entities": entities(text)});
        self.queue(json!({"message": message}), now)
    }

    pub fn press(&mut self, chat: &Chat, from: &User, of: i64, data: &str, now: i64) -> i64 {
        let key = (chat.0["id"].as_i64().unwrap_or_default(), of);
        let gone = json!({"chat": chat.0, "message_id": of, "date": 0});
        let message = self.messages.get(&key).cloned().unwrap_or(gone);
        let id = self.next_id().to_string();
        self.presses.insert(id.clone());
        let press = json!({
            "id": id, "from": from.0, "message": message, "chat_instance": "1", "data": data,
        });
        self.queue(json!({"callback_query": press}), now)
    }

    pub fn migrate(&mut self, from: i64, to: i64, now: i64) -> i64 {
        self.moved.insert(from, to);
        let message = json!({"chat": self.chat(from), "migrate_to_chat_id": to});
        self.queue(json!({"message": message}), now)
    }

    pub fn queue(&mut self, mut update: Value, now: i64) -> i64 {
        let id = self.next_id();
        update["update_id"] = id.into();
        for kind in ["message", "edited_message"] {
            let Some(message) = update.get_mut(kind) else { continue };
            if let Some(chat) = message["chat"]["id"].as_i64() {
                self.chats.insert(chat, message["chat"].clone());
            }
            if message.is_object() {
                if message["message_id"].is_null() {
                    self.last_id += 1;
                    message["message_id"] = self.last_id.into();
                }
                if message["date"].is_null() {
                    message["date"] = now.into();
                }
            }
        }
        let is_allowed =
            |kind: &Value| kind.as_str().is_some_and(|kind| update.get(kind).is_some());
        if self.allowed.is_empty() || self.allowed.iter().any(is_allowed) {
            self.updates.push_back(update);
        }
        id
    }

    /// Forgets updates before the offset; a negative one counts from the end.
    pub fn acknowledge(&mut self, params: &Params) {
        if let Some(allowed) = params.get("allowed_updates").as_array() {
            self.allowed.clone_from(allowed);
        }
        match int(params, "offset") {
            Some(offset) if offset < 0 => {
                let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
                let forgotten = self.updates.len().saturating_sub(keep);
                self.updates.drain(..forgotten);
            }
            Some(offset) => {
                self.updates.retain(|it| offset <= it["update_id"].as_i64().unwrap_or(0))
            }
            None => {}
        }
    }

    /// Updates for poll number `poll`.
    pub fn ready(&self, poll: u64, limit: i64) -> Result<Vec<Value>, Refused> {
        self.live()?;
        if !self.webhook.is_empty() {
            let text = "Conflict: can't use getUpdates method while webhook is active; use \
                        deleteWebhook to delete the webhook first";
            return Err(Refused::new(409, text));
        }
        if self.polls != poll {
            let text = "Conflict: terminated by other getUpdates request; make sure that only one \
                        bot instance is running";
            return Err(Refused::new(409, text));
        }
        let limit = usize::try_from(limit).unwrap_or(100);
        Ok(self.updates.iter().take(limit).cloned().collect())
    }

    pub fn perform(&mut self, method: &str, params: &Params, now: i64) -> Reply {
        self.live()?;
        match method {
            "getMe" => Ok(self.me.clone()),
            "getWebhookInfo" => Ok(json!({
                "url": self.webhook, "has_custom_certificate": false,
                "pending_update_count": self.updates.len(),
            })),
            "setWebhook" | "deleteWebhook" => {
                params.text("url").clone_into(&mut self.webhook);
                Ok(true.into())
            }
            "sendMessage" => self.send_text(params, now),
            "sendMessageDraft" => self.draft(params),
            "editMessageText" => self.edit(params, now),
            "deleteMessage" => {
                let place = (self.target(params)?, int(params, "message_id").unwrap_or_default());
                match self.messages.remove(&place) {
                    Some(_) => {
                        self.sent.retain(|it| (it.chat, it.message_id) != place);
                        Ok(true.into())
                    }
                    None => Err(Refused::bad("message to delete not found")),
                }
            }
            "getUserProfilePhotos" => self.profile_photos(),
            "sendPhoto" => self.send_file("photo", params, now),
            "sendDocument" => self.send_file("document", params, now),
            "answerCallbackQuery" => {
                if !self.presses.contains(params.text("callback_query_id")) {
                    let text =
                        "query is too old and response timeout expired or query ID is invalid";
                    return Err(Refused::bad(text));
                }
                self.note(method, 0, 0, params);
                Ok(true.into())
            }
            "sendChatAction" => self.target(params).map(|_| true.into()),
            "setMyCommands" => {
                self.commands = params.get("commands").clone();
                Ok(true.into())
            }
            "getMyCommands" => Ok(self.commands.clone()),
            "getFile" => self.get_file(params.text("file_id")),
            _ => Err(Refused::missing()),
        }
    }

    fn send_text(&mut self, params: &Params, now: i64) -> Reply {
        let chat = self.target(params)?;
        check_text(params.text("text"), params.get("entities"))?;
        let content = json!({"text": params.text("text"), "entities": params.get("entities")});
        Ok(self.store("sendMessage", chat, content, params, now))
    }

    fn draft(&mut self, params: &Params) -> Reply {
        let chat = self.target(params)?;
        if chat < 0 {
            return Err(Refused::bad("TEXTDRAFT_PEER_INVALID"));
        }
        let id = int(params, "draft_id").filter(|id| *id != 0);
        let id = id.ok_or_else(|| Refused::bad("draft_id must be non-zero"))?;
        check_text(params.text("text"), params.get("entities"))?;
        self.drafts.push((chat, id, params.text("text").to_owned()));
        Ok(true.into())
    }

    /// The bot's picture in two sizes, if the file `picture` exists.
    fn profile_photos(&self) -> Reply {
        let Some(bytes) = self.files.get("picture") else {
            return Ok(json!({"total_count": 0, "photos": []}));
        };
        let size = |width: u32| {
            json!({"file_id": "picture", "file_unique_id": "picture", "width": width,
                   "height": width, "file_size": bytes.len()})
        };
        Ok(json!({"total_count": 1, "photos": [[size(160), size(640)]]}))
    }

    fn edit(&mut self, params: &Params, now: i64) -> Reply {
        let chat = self.target(params)?;
        check_text(params.text("text"), params.get("entities"))?;
        let id = int(params, "message_id").unwrap_or_default();
        let Some(message) = self.messages.get_mut(&(chat, id)) else {
            return Err(Refused::bad("message to edit not found"));
        };
        let former = message.clone();
        for name in ["text", "entities", "reply_markup"] {
            set(message, name, params.get(name));
        }
        if *message == former {
            let text = "message is not modified: specified new message content and reply markup \
                        are exactly the same as a current content and reply markup of the message";
            return Err(Refused::bad(text));
        }
        let mut edited = message.clone();
        edited["edit_date"] = now.into();
        self.note("editMessageText", chat, id, params);
        Ok(edited)
    }

    fn send_file(&mut self, kind: &str, params: &Params, now: i64) -> Reply {
        let chat = self.target(params)?;
        let Some((name, bytes)) = &params.file else {
            return Err(Refused::bad(&format!("there is no {kind} in the request")));
        };
        let id = format!("file{}", self.next_id());
        self.files.insert(id.clone(), bytes.to_vec());
        let mut file = json!({"file_id": id, "file_unique_id": id, "file_size": bytes.len()});
        let content = if kind == "photo" {
            file["width"] = 1.into();
            file["height"] = 1.into();
            json!({"photo": [file]})
        } else {
            file["file_name"] = name.as_str().into();
            json!({"document": file})
        };
        let method = if kind == "photo" { "sendPhoto" } else { "sendDocument" };
        Ok(self.store(method, chat, content, params, now))
    }

    fn get_file(&self, id: &str) -> Reply {
        let bytes = self.files.get(id).ok_or_else(|| Refused::bad("invalid file_id"))?;
        if MAX_DOWNLOAD < bytes.len() {
            return Err(Refused::bad("file is too big"));
        }
        Ok(json!({
            "file_id": id, "file_unique_id": id, "file_size": bytes.len(),
            "file_path": format!("files/{id}"),
        }))
    }

    fn store(&mut self, method: &str, chat: i64, of: Value, params: &Params, now: i64) -> Value {
        let id = self.next_id();
        let mut message = of;
        message["message_id"] = id.into();
        message["date"] = now.into();
        message["chat"] = self.chat(chat);
        message["from"] = self.me.clone();
        for name in ["entities", "caption", "reply_markup"] {
            set(&mut message, name, params.get(name));
        }
        self.messages.insert((chat, id), message.clone());
        self.note(method, chat, id, params);
        message
    }

    fn note(&mut self, method: &str, chat: i64, message_id: i64, params: &Params) {
        let texts = ["text", "caption"].map(|name| params.text(name));
        let text = texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        self.sent.push(Sent {
            method: method.to_owned(),
            chat,
            text: text.to_owned(),
            entities: params.get("entities").clone(),
            reply_markup: params.get("reply_markup").clone(),
            message_id,
            params: Value::Object(params.values.clone()),
            file: params.file.as_ref().map(|(_, bytes)| bytes.to_vec()).unwrap_or_default(),
        });
    }

    fn target(&self, params: &Params) -> Result<i64, Refused> {
        let chat = int(params, "chat_id").ok_or_else(|| Refused::bad("chat_id is empty"))?;
        let Some(to) = self.moved.get(&chat) else { return Ok(chat) };
        let mut refused = Refused::bad("group chat was upgraded to a supergroup chat");
        refused.parameters = Some(json!({"migrate_to_chat_id": to}));
        Err(refused)
    }

    fn chat(&self, id: i64) -> Value {
        let kind = if id < 0 { "supergroup" } else { "private" };
        self.chats.get(&id).cloned().unwrap_or_else(|| json!({"id": id, "type": kind}))
    }

    fn next_id(&mut self) -> i64 {
        self.last_id += 1;
        self.last_id
    }
}

/// The current time in seconds since 1970.
#[expect(clippy::disallowed_methods, reason = "a foreign server has its own clock")]
pub(super) fn system_secs() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.ok().and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or_default()
}

fn set(message: &mut Value, name: &str, value: &Value) {
    let Some(fields) = message.as_object_mut() else { return };
    if value.is_null() || value == &json!([]) {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), value.clone());
    }
}

fn check_text(text: &str, entities: &Value) -> Result<(), Refused> {
    let units: Vec<u16> = text.encode_utf16().collect();
    if text.trim().is_empty() {
        return Err(Refused::bad("message text is empty"));
    }
    if MAX_TEXT < units.len() {
        return Err(Refused::bad("message is too long"));
    }
    let is_border = |at: usize| {
        units.get(at).is_none_or(|unit| !(0xDC00..0xE000).contains(unit)) && at <= units.len()
    };
    let is_inside = |entity: &Value| {
        let place = |name: &str| usize::try_from(entity[name].as_u64()?).ok();
        let (Some(offset), Some(length)) = (place("offset"), place("length")) else { return false };
        0 < length && is_border(offset) && is_border(offset + length)
    };
    let all = entities.as_array().map_or(&[][..], Vec::as_slice);
    match all.iter().all(is_inside) {
        true => Ok(()),
        false => Err(Refused::bad("ENTITY_BOUNDS_INVALID")),
    }
}

/// Mentions and a command at the beginning, as Telegram marks them.
fn entities(text: &str) -> Value {
    let mut found = Vec::new();
    let mut offset = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let is_part = |letter: char| letter.is_alphanumeric() || "@/_".contains(letter);
        let own = word.trim_end_matches(|letter| !is_part(letter));
        let kind = match own.as_bytes() {
            [b'@', _, ..] => Some("mention"),
            [b'/', _, ..] if offset == 0 => Some("bot_command"),
            _ => None,
        };
        if let Some(kind) = kind {
            let length = own.encode_utf16().count();
            found.push(json!({"type": kind, "offset": offset, "length": length}));
        }
        offset += word.encode_utf16().count();
    }
    found.into()
}
