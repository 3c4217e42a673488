//! The conversation as a model sees it, folded from the session's events.
//!
//! It is rebuilt for each run and then updated with each event that the run appends. Each assistant message is followed
//! by one message with the results of all its calls. A call without a result, after a crash or a stop, gets an error,
//! because providers reject dangling calls.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crypto::redact::Redactor;
use features::runs::model::{Attachment, BROKEN_OFF, Body, COMMENT_BY, CallStatus, EventKind};
use kernel::text::head_tail;
use kernel::{AccountId, Actor};
use providers::model::{Message, Part, Role};
use tool::untrusted;

/// Number of newest messages that are never shortened.
const RECENT: usize = 4;
/// Parts longer than this may be left out of a conversation that is too long, in bytes.
const LONG: usize = 400;

const SUMMARY: &str = "[This summarizes the older parts of this conversation; memory_search finds \
    the originals.]";

const LEFT_OUT: &str = "[Earlier parts of this conversation were left out; your files and the task hold what matters.]";

const NO_PICTURE: &str = "[An image was here; read it again if you need it.]";

const REFUSED: &str = "[An image or document was here; the model's provider didn't accept it.]";

/// Folds events into messages.
#[derive(Clone, Debug, Default)]
pub struct History {
    messages: Vec<Message>,
    /// Author of each message. `None` for user messages and for unknown authors.
    authors: Vec<Option<Arc<Author>>>,
    /// The model of the last request.
    author: Option<Arc<Author>>,
    /// Ids of all calls that this conversation ever contained.
    calls: HashSet<String>,
    /// Index of the newest run card, which is never cut off.
    card: Option<usize>,
    /// Masks secrets in user messages and tasks.
    redactor: Option<Arc<Redactor>>,
    /// The people whose messages are prefixed with their names.
    people: Arc<People>,
    /// Calls of the last assistant message without a result.
    open: Vec<String>,
    /// The provider's token count of the last response, and the number of messages at that time.
    counted: Option<(u64, usize)>,
    /// There are pictures that were not resized yet.
    pictured: bool,
    /// The last message is the partial text of a broken-off response.
    partial: bool,
}

/// Provider word and model name of a request.
type Author = (String, String);

/// Index of a message and index of a part in it.
pub type Place = (usize, usize);

/// The participants of a conversation. All but its owner are named in messages.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// The owner; `None` if the conversation is about work.
    pub owner: Option<AccountId>,
    pub names: HashMap<AccountId, String>,
}

impl People {
    /// The message text, prefixed with the speaker's name where the model could not know it otherwise.
    #[must_use]
    pub fn attribute<'t>(&self, by: Actor, text: &'t str) -> Cow<'t, str> {
        let account = by.account().filter(|account| self.owner != Some(*account));
        match account.and_then(|account| self.names.get(&account)) {
            Some(name) if !text.starts_with(COMMENT_BY) => {
                Cow::Owned(format!("{name} says: {text}"))
            }
            _ => Cow::Borrowed(text),
        }
    }
}

/// Estimated number of tokens of so many bytes.
#[must_use]
pub fn tokens_of(bytes: usize) -> u64 {
    bytes as u64 * 3 / 10
}

/// Estimated tokens of a picture or of a page of a document.
const PICTURE_TOKENS: u64 = 1_600;
/// Estimated bytes per page of a document.
const PAGE: usize = 64 * 1024;
/// Most bytes of an attached text file that a model reads.
pub const MAX_FILE_TEXT: usize = 60_000;

/// Estimated tokens of an attachment.
#[must_use]
pub fn tokens_of_file(file: &Attachment) -> u64 {
    let len = usize::try_from(file.len).unwrap_or(usize::MAX);
    if file.is_picture() {
        PICTURE_TOKENS
    } else if file.is_document() {
        pages(len).saturating_mul(PICTURE_TOKENS)
    } else if file.is_text() {
        tokens_of(len.min(MAX_FILE_TEXT))
    } else {
        tokens_of(file.name.len() + 64)
    }
}

fn pages(len: usize) -> u64 {
    1 + (len / PAGE) as u64
}

impl History {
    /// An empty conversation that masks live secrets in every message.
    #[must_use]
    pub fn guarded(redactor: Arc<Redactor>) -> Self {
        Self { redactor: Some(redactor), ..Self::default() }
    }

    /// Sets the participants.
    #[must_use]
    pub fn among(self, people: Arc<People>) -> Self {
        Self { people, ..self }
    }

    /// Takes the messages out for a request, with an error for each open call. Return them with [`History::put_back`].
    pub fn take(&mut self) -> Vec<Message> {
        self.close("this call was not executed");
        std::mem::take(&mut self.messages)
    }

    /// Puts the messages of [`History::take`] back. No message may have been added since.
    pub fn put_back(&mut self, messages: Vec<Message>) {
        self.messages = messages;
    }

    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Returns `true` if a call with this id was ever made.
    #[must_use]
    pub fn has_call(&self, wanted: &str) -> bool {
        self.calls.contains(wanted)
    }

    /// Indexes of assistant messages by another or an unknown model. Thinking must only go back to the model that wrote
    /// it.
    #[must_use]
    pub fn of_others(&self, provider: &str, model: &str) -> BTreeSet<usize> {
        let own = |author: &Author| author.0 == provider && author.1 == model;
        let all = self.messages.iter().zip(&self.authors).enumerate();
        let others = all.filter(|(_, (message, by))| {
            message.role == Role::Assistant && !by.as_deref().is_some_and(own)
        });
        others.map(|(at, _)| at).collect()
    }

    /// Sets the model of the first request, before any event is added.
    pub fn was_asked(&mut self, provider: &str, model: &str) {
        self.author = Some(Arc::new((provider.to_owned(), model.to_owned())));
    }

    /// Approximate size of the messages in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.messages.iter().flat_map(|m| &m.parts).map(part_bytes).sum()
    }

    /// Estimated tokens of a request with these messages; `fixed` is the size of everything else in bytes. Uses the
    /// provider's own count unless it is implausibly low.
    #[must_use]
    pub fn tokens(&self, fixed: u64) -> u64 {
        let all = self.estimate(fixed);
        match self.counted.filter(|(_, at)| *at <= self.messages.len()) {
            Some((tokens, at)) => (tokens + sum(&self.messages[at..])).max(all * 2 / 3),
            None => all,
        }
    }

    /// The same estimate from the sizes alone.
    #[must_use]
    pub fn estimate(&self, fixed: u64) -> u64 {
        sum(&self.messages) + fixed * 3 / 10
    }

    /// Starts the conversation with a summary of all older messages.
    pub fn begin_with(&mut self, summary: &str) {
        self.user(Part::text(format!("{SUMMARY}\n\n{summary}")));
    }

    /// Adds one event.
    pub fn push(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Input { text, input, by, .. } => {
                let people = Arc::clone(&self.people);
                self.say(&people.attribute(*by, text.head()));
                if input.is_none() {
                    self.card = Some(self.messages.len() - 1);
                }
            }
            EventKind::Notice { text } => self.say(text),
            EventKind::Assistant { parts, stop, input_tokens, output_tokens, .. } => {
                let before = self.messages.len();
                self.assistant(parts);
                self.partial = stop == BROKEN_OFF && before < self.messages.len();
                self.counted = (0 < *input_tokens)
                    .then(|| (input_tokens + output_tokens, self.messages.len()));
            }
            EventKind::ToolFinished { call_id, status, result, .. } => {
                self.result(call_id, *status, result.head());
            }
            // The previous count is no longer valid.
            EventKind::Compacted { .. } => self.counted = None,
            EventKind::RunEnded { .. } => self.close("the run ended before this call"),
            EventKind::CallStarted { provider, model, .. } => {
                self.was_asked(provider, model);
                self.drop_partial();
            }
            EventKind::RunStarted { .. }
            | EventKind::CallFailed { .. }
            | EventKind::ToolStarted { .. }
            | EventKind::Waiting { .. }
            | EventKind::Interrupted { .. }
            | EventKind::Committed { .. }
            | EventKind::FilesStarted { .. }
            | EventKind::FilesSeen { .. }
            | EventKind::ModelSwitched { .. }
            | EventKind::CompactionStarted { .. }
            | EventKind::Remembered { .. }
            | EventKind::Prompted { .. }
            | EventKind::Looked { .. }
            | EventKind::Late { .. }
            | EventKind::LeftOut { .. }
            // The answer is part of the call's result.
            | EventKind::Answered { .. }
            | EventKind::CompactionFailed { .. }
            // The bytes are in a blob; the caller adds them.
            | EventKind::Picture { .. }
            | EventKind::Attached { .. } => {}
        }
    }

    /// Takes all pictures out if there are new ones. Put each back with [`History::set`].
    pub fn new_pictures(&mut self) -> Vec<(Place, String, Vec<u8>)> {
        if !std::mem::take(&mut self.pictured) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (at, message) in self.messages.iter_mut().enumerate() {
            for (n, part) in message.parts.iter_mut().enumerate() {
                if let Part::Image { media_type, data } = part {
                    all.push(((at, n), media_type.clone(), std::mem::take(data)));
                }
            }
        }
        all
    }

    /// Takes all PDF documents out, with places and names. Put each back with [`History::set`].
    pub fn documents(&mut self) -> Vec<(Place, String, Vec<u8>)> {
        let mut all = Vec::new();
        for (at, message) in self.messages.iter_mut().enumerate() {
            for (n, part) in message.parts.iter_mut().enumerate() {
                if let Part::File { media_type, name, data } = part
                    && media_type == "application/pdf"
                {
                    all.push(((at, n), name.clone(), std::mem::take(data)));
                }
            }
        }
        all
    }

    /// Replaces a part.
    pub fn set(&mut self, (at, n): Place, new: Part) {
        let part = self.messages.get_mut(at).and_then(|message| message.parts.get_mut(n));
        if let Some(part) = part {
            *part = new;
        }
    }

    /// Replaces all pictures and documents with a note. Returns whether there were any.
    pub fn hide_pictures(&mut self) -> bool {
        let mut hidden = false;
        for part in self.messages.iter_mut().flat_map(|message| &mut message.parts) {
            if matches!(part, Part::Image { .. } | Part::File { .. }) {
                *part = Part::text(REFUSED);
                hidden = true;
            }
        }
        hidden
    }

    /// Adds the picture of the result that was just added.
    pub fn picture(&mut self, media_type: String, data: Vec<u8>) {
        self.pictured = true;
        self.user(Part::Image { media_type, data });
    }

    /// Adds a file of the message that was just added; without its bytes, a note.
    pub fn attach(&mut self, file: &Attachment, data: Option<Vec<u8>>) {
        let Attachment { name, media_type, blob, len } = file;
        let part = match data {
            None => Part::text(format!("[The file {name} was here; it isn't shown again.]")),
            Some(data) if file.is_picture() => {
                self.pictured = true;
                Part::Image { media_type: media_type.clone(), data }
            }
            Some(data) if file.is_document() => {
                Part::File { media_type: media_type.clone(), name: name.clone(), data }
            }
            Some(data) if file.is_text() => {
                let text = String::from_utf8_lossy(&data);
                let text = match &self.redactor {
                    Some(redactor) => redactor.text(&text),
                    None => Cow::Borrowed(text.as_ref()),
                };
                let text = head_tail(&text, MAX_FILE_TEXT, "\n[…]\n");
                let id = untrusted::id_of(&format!("{blob}/{name}"));
                let text = untrusted::wrap(&id, &text);
                let place = file.place();
                Part::text(format!("The attached file {name}, also in {place}:\n{text}"))
            }
            Some(_) => Part::text(format!(
                "[The attached file {name} ({media_type}, {} KB) is in your folder as {}.]",
                len.div_ceil(1_024),
                file.place()
            )),
        };
        self.user(part);
    }

    /// Tells the model where the files of the last message are in the agent's folder.
    pub fn places<'f>(&mut self, files: impl Iterator<Item = &'f Attachment>) {
        let places: Vec<String> =
            files.map(|file| format!("{} as {}", file.name, file.place())).collect();
        if !places.is_empty() {
            self.user(Part::text(format!("[In your folder: {}]", places.join("; "))));
        }
    }

    /// Adds a note in place of a picture that is not sent again.
    pub fn without_picture(&mut self) {
        self.user(Part::text(NO_PICTURE));
    }

    fn say(&mut self, text: &str) {
        self.close("a message came first");
        let text = match &self.redactor {
            Some(redactor) => redactor.text(text),
            None => Cow::Borrowed(text),
        };
        self.user(Part::text(text));
    }

    /// Removes a partial response if nothing followed it, so that the model answers anew. A model that saw its own
    /// beginning would continue in the middle, and several providers reject a conversation that ends with a response.
    fn drop_partial(&mut self) {
        let last = self.messages.last().is_some_and(|last| last.role == Role::Assistant);
        if std::mem::take(&mut self.partial) && last {
            self.messages.pop();
            self.authors.pop();
        }
    }

    fn user(&mut self, part: Part) {
        self.partial = false;
        match self.messages.last_mut() {
            Some(last) if last.role == Role::User => last.parts.push(part),
            _ => {
                self.messages.push(Message { role: Role::User, parts: vec![part] });
                self.authors.push(None);
            }
        }
    }

    fn assistant(&mut self, parts: &Body) {
        self.close("this call was not executed");
        let parts: Vec<Part> = serde_json::from_str(parts.head()).unwrap_or_default();
        self.open = parts
            .iter()
            .filter_map(|part| match part {
                Part::ToolCall { id, .. } => Some(id.clone()),
                _ => None,
            })
            .collect();
        self.calls.extend(self.open.iter().cloned());
        if !parts.is_empty() {
            self.messages.push(Message::assistant(parts));
            self.authors.push(self.author.clone());
        }
    }

    /// Discards the provider's token count, because the conversation became shorter.
    pub fn uncounted(&mut self) {
        self.counted = None;
    }

    /// Adds the result of a call.
    pub fn result(&mut self, call_id: &str, status: CallStatus, text: &str) {
        let Some(at) = self.open.iter().position(|open| open == call_id) else { return };
        self.open.remove(at);
        let text = if text.is_empty() { "(no output)" } else { text };
        self.user(match status {
            CallStatus::Ok => Part::result(call_id, text),
            _ => Part::failure(call_id, text),
        });
    }

    /// Adds an error as the result of each open call.
    fn close(&mut self, why: &str) {
        for call in std::mem::take(&mut self.open) {
            self.user(Part::failure(call, why));
        }
    }

    /// Drops everything before the first user message or run card. Only the last part of the session's events was read,
    /// and it may start in the middle of an exchange.
    pub fn begin_clean(&mut self) {
        let from = self.messages.iter().position(begins).unwrap_or(0);
        self.cut(from);
    }

    /// Drops the first messages, up to a user message.
    fn cut(&mut self, from: usize) {
        self.counted = None;
        self.messages.drain(..from);
        self.authors.drain(..from);
        self.card = self.card.and_then(|card| card.checked_sub(from));
        // Results whose calls were dropped would dangle.
        if from > 0 {
            self.messages[0].parts.retain(|p| !matches!(p, Part::ToolResult { .. }));
        }
    }

    /// Shortens the conversation to at most `max` bytes if possible: first drops the oldest exchanges, then blanks old
    /// tool arguments and results. Returns whether anything was removed.
    pub fn shrink(&mut self, max: usize) -> bool {
        let before = self.bytes();
        if before <= max {
            return false;
        }
        self.drop_exchanges(max);
        self.blank_old_results(max);
        self.bytes() < before
    }

    /// Drops the oldest exchanges up to a user message or run card, and leaves a note.
    fn drop_exchanges(&mut self, max: usize) {
        let mut bytes = self.bytes();
        let mut from = 0;
        let last = self.card.unwrap_or(usize::MAX);
        for (at, message) in self.messages.iter().enumerate() {
            if at > last {
                break;
            }
            if begins(message) && at > 0 {
                from = at;
                if bytes <= max {
                    break;
                }
            }
            bytes -= message.parts.iter().map(part_bytes).sum::<usize>();
        }
        if from > 0 {
            self.cut(from);
            self.messages[0].parts.insert(0, Part::text(LEFT_OUT));
        }
    }

    fn blank_old_results(&mut self, max: usize) {
        let mut bytes = self.bytes();
        self.counted = None;
        let old = self.messages.len().saturating_sub(RECENT);
        for part in self.messages[..old].iter_mut().flat_map(|message| &mut message.parts) {
            if bytes <= max {
                return;
            }
            let before = part_bytes(part);
            match part {
                Part::ToolResult { text, .. } if text.len() > LONG => {
                    "[left out; call the tool again if you need this]".clone_into(text);
                }
                Part::ToolCall { arguments, .. } if arguments.len() > LONG => {
                    r#"{"left_out":true}"#.clone_into(arguments);
                }
                Part::Image { .. } | Part::File { .. } => *part = Part::text(NO_PICTURE),
                _ => continue,
            }
            bytes = bytes + part_bytes(part) - before;
        }
    }

    /// Removes thinking, for a provider that does not accept it back. Returns whether there was any.
    pub fn drop_thinking(&mut self) -> bool {
        self.counted = None;
        let before: usize = self.messages.iter().map(|m| m.parts.len()).sum();
        let messages = std::mem::take(&mut self.messages).into_iter();
        let authored = messages.zip(std::mem::take(&mut self.authors));
        let rest = authored.filter_map(|(message, by)| Some((message.without_thinking()?, by)));
        (self.messages, self.authors) = rest.unzip();
        before > self.messages.iter().map(|m| m.parts.len()).sum::<usize>()
    }
}

/// Returns `true` if the message contains user text, so that a conversation may start with it.
fn begins(message: &Message) -> bool {
    message.role == Role::User && message.parts.iter().any(|p| matches!(p, Part::Text { .. }))
}

fn sum(messages: &[Message]) -> u64 {
    messages.iter().flat_map(|message| &message.parts).map(part_tokens).sum()
}

fn part_tokens(part: &Part) -> u64 {
    match part {
        Part::Image { .. } => PICTURE_TOKENS,
        Part::File { data, .. } => pages(data.len()).saturating_mul(PICTURE_TOKENS),
        part => tokens_of(part_bytes(part)),
    }
}

/// Size of a part in bytes of text. A picture counts by its tokens, whatever the size of its file.
fn part_bytes(part: &Part) -> usize {
    match part {
        Part::Text { text } | Part::ToolResult { text, .. } => text.len(),
        Part::Thinking { text, signature } => {
            text.len() + signature.as_ref().map_or(0, String::len)
        }
        Part::RedactedThinking { data } | Part::Opaque { data, .. } => data.len(),
        Part::ToolCall { arguments, .. } => arguments.len() + 64,
        Part::Image { .. } | Part::File { .. } => {
            usize::try_from(part_tokens(part).saturating_mul(10) / 3).unwrap_or(usize::MAX)
        }
    }
}

#[cfg(test)]
mod tests;
