//! Messenger protocols behind one trait. An adapter speaks one platform's wire format; it stores nothing and decides
//! nothing. Access, routing, retries and order belong to `channels`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use kernel::Timestamp;

mod api;
pub mod discord;
pub mod slack;
pub mod telegram;
pub mod webhook;

/// The result of a call to a platform.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// One account on a platform.
pub trait Channel: Send + Sync {
    /// Verifies the credentials without receiving or sending anything. Also checks what receiving needs (intents, scopes).
    fn check(&self) -> BoxFuture<'_, Identity>;

    /// Receives from `cursor` until a fault, or until the future is dropped. Hands each batch to `inbox`, and acknowledges it
    /// to the platform only after `Inbox::receive` has returned `Ok`; a press or command that has to be answered within
    /// seconds, at once. An empty cursor starts with what is new.
    fn listen<'a>(&'a self, inbox: &'a dyn Inbox, cursor: String) -> BoxFuture<'a, ()>;

    /// Performs one request. A fault says whether the platform may have performed it.
    fn send<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Receipt>;

    /// Looks up whether an earlier [`Channel::send`] of the same `key` arrived. Only platforms that store the key know.
    fn find<'a>(&'a self, out: &'a Outgoing) -> BoxFuture<'a, Found>;

    /// Downloads a file of an incoming message, of at most `most` bytes.
    fn download<'a>(&'a self, file: &'a FileRef, most: u64) -> BoxFuture<'a, Bytes>;

    /// Registers the commands in the platform's menu.
    fn register<'a>(&'a self, commands: &'a [CommandInfo]) -> BoxFuture<'a, ()>;

    /// Removes a webhook that another program has set and that prevents polling.
    fn remove_webhook(&self) -> BoxFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// The bot's picture, if it has one and the platform shows it: an image of at most `most` bytes.
    fn picture(&self, most: u64) -> BoxFuture<'_, Option<Bytes>> {
        let _ = most;
        Box::pin(async { Ok(None) })
    }
}

/// Takes what an adapter receives.
pub trait Inbox: Send + Sync {
    /// Stores each event in a transaction of its own, and the cursor after all of them: a crash in between repeats events, but
    /// loses none. On an error the adapter stops without an acknowledgement.
    fn receive(&self, batch: Batch) -> BoxFuture<'_, ()>;
    /// The platform accepted the connection, or a poll succeeded.
    fn online(&self);
}

/// Events with the position after them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    pub events: Vec<Incoming>,
    /// Where to continue after a restart. `None` keeps the former one.
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    Message(Message),
    /// A new version of a message.
    Edit(Message),
    /// A button of a message that this account sent.
    Press(Press),
    /// A chat got a new id, for example a Telegram group that became a supergroup.
    Moved {
        from: String,
        to: String,
    },
    /// The bot was added to a room, or removed from a chat or blocked.
    Membership {
        place: Place,
        is_member: bool,
    },
}

/// A place where messages are exchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The platform's id.
    pub chat: String,
    /// Thread or topic within the chat.
    pub thread: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sender {
    /// The platform's id, which never changes.
    pub id: String,
    pub name: String,
    /// User name without `@`; may be empty.
    pub handle: String,
    pub is_bot: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The platform's id, unique within the chat.
    pub id: String,
    pub place: Place,
    /// Title of a room; empty in a direct chat.
    pub title: String,
    /// Whether the chat is with this person alone.
    pub is_direct: bool,
    pub sender: Sender,
    /// Plain text, in which mentions of the bot are kept.
    pub text: String,
    /// Whether the platform says that the bot is mentioned, by entity, id or a reply to one of its messages.
    pub mentions_bot: bool,
    /// Id of the message that this one replies to.
    pub reply_to: Option<String>,
    pub files: Vec<FileRef>,
    pub sent_at: Timestamp,
}

/// A file at the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRef {
    /// What [`Channel::download`] needs.
    pub id: String,
    pub name: String,
    /// MIME type; may be empty.
    pub media_type: String,
    pub len: Option<u64>,
    /// Length of a voice note in seconds.
    pub voice_secs: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Press {
    /// Unique for the press, for a repeat of the update.
    pub id: String,
    pub place: Place,
    /// Id of the message with the button.
    pub message: String,
    pub sender: Sender,
    /// [`Button::data`].
    pub data: String,
}

/// The account's identity at the platform.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub id: String,
    pub name: String,
    /// User name without `@`.
    pub handle: String,
    /// Link that opens a chat with the bot; `{code}` stands for a pairing code.
    pub link: Option<String>,
    /// Link that adds the bot to a server or workspace.
    pub invite: Option<String>,
    /// A setting that keeps the bot from working fully, in a sentence with what to do.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Our id of the request, the same in each attempt: 32 hexadecimal digits.
    pub key: String,
    pub place: Place,
    pub body: OutBody,
    /// Message that this one answers.
    pub reply_to: Option<String>,
    /// Since when attempts were made; [`Channel::find`] looks no further back.
    pub since: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutBody {
    /// Markdown within the platform's limit ([`channel_format::chunks`]). Refused formatting is sent once more as plain text.
    Text {
        markdown: String,
        buttons: Vec<Button>,
    },
    /// Replaces text and buttons of a message.
    Edit {
        message: String,
        markdown: String,
        buttons: Vec<Button>,
    },
    File {
        name: String,
        media_type: String,
        bytes: Bytes,
        caption: String,
    },
    /// A text that is still being written, as a silent message. [`OutBody::Edit`] replaces it, [`OutBody::Delete`] removes it.
    Preview {
        markdown: String,
    },
    /// A text that is still being written, shown by Telegram in a direct chat for 30 seconds. The same `id`, which is not
    /// zero, replaces it.
    Draft {
        id: u32,
        markdown: String,
    },
    /// Removes a message of the bot. One that is already gone counts as removed.
    Delete {
        message: String,
    },
    /// Answers a press, so that the button stops waiting. `text` is shown to the presser only; it may be empty.
    Pressed {
        press: String,
        text: String,
    },
    Typing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Button {
    pub label: String,
    /// At most 64 ASCII characters.
    pub data: String,
    pub style: ButtonStyle,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ButtonStyle {
    #[default]
    Plain,
    Primary,
    Danger,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Id of the new message; empty where there is none.
    pub message: String,
}

/// The result of [`Channel::find`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Sent(Receipt),
    Absent,
    /// The platform cannot tell.
    Unknown,
}

/// A command for the platform's menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// Lower case, without the slash.
    pub name: String,
    /// At most 100 characters.
    pub about: String,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// A sentence for people, without tokens and without the platform's raw text.
    pub detail: String,
    /// The delay that the platform asks for.
    pub retry_after: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Repeating will not help: the chat is gone, the bot was blocked.
    Permanent,
    /// Not performed; a later attempt may succeed.
    Transient,
    /// The account is not connected yet; the attempt does not count.
    NotReady,
    /// The connection broke after the request was sent.
    UnknownAfterSend,
    /// The credentials are no longer valid.
    Revoked,
    /// Another program uses the same credentials.
    Conflict,
    /// A webhook at the platform prevents polling.
    WebhookSet,
}

impl Fault {
    pub fn new(kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None }
    }

    #[must_use]
    pub fn retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}
