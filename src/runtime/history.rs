//! The conversation as a model sees it, folded from the session's events.
//!
//! Rebuilt for each run and then kept up to date with what the run appends. Each assistant message
//! is followed by one message with the results of all its calls: a call without a result, left by
//! a crash or a stop, is answered with an error, so that no provider ever sees a dangling call.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crypto::redact::Redactor;
use features::runs::model::{Attachment, BROKEN_OFF, Body, COMMENT_BY, CallStatus, EventKind};
use kernel::text::head_tail;
use kernel::{AccountId, Actor};
use providers::model::{Message, Part, Role};
use tool::untrusted;

/// How many of the newest messages are never made smaller.
const RECENT: usize = 4;
/// What is longer may be left out when the conversation is too long, in bytes.
const LONG: usize = 400;

const SUMMARY: &str = "[The older parts of this conversation stand in this summary; they can be found again with memory_search.]";

const LEFT_OUT: &str = "[Earlier parts of this conversation were left out; your files and the task hold what matters.]";

const NO_PICTURE: &str = "[A picture stood here; read it again if you need it.]";

const REFUSED: &str = "[A picture or document stood here; the model's provider did not take it.]";

/// Folds events into messages.
#[derive(Clone, Debug, Default)]
pub struct History {
    messages: Vec<Message>,
    /// Who wrote each of them; nobody for what was said to the model, and where it is not known.
    authors: Vec<Option<Arc<Author>>>,
    /// Who was asked last.
    asked: Option<Arc<Author>>,
    /// The ids of all calls that were ever in it.
    calls: HashSet<String>,
    /// The message with the newest run card: what a run is about is never cut off.
    card: Option<usize>,
    /// Takes secrets out of what people and tasks say.
    redactor: Option<Arc<Redactor>>,
    /// Who is told apart by name.
    people: Arc<People>,
    /// Calls of the last assistant message that have no result yet.
    open: Vec<String>,
    /// What the provider counted with its last answer, and how many messages there were then.
    counted: Option<(u64, usize)>,
    /// Whether there are pictures that nobody has looked at yet.
    pictured: bool,
    /// Whether the last message is what had come of an answer that broke off.
    partial: bool,
}

/// A model as it was asked: the provider's stable word, and the model's name.
type Author = (String, String);

/// The place of a part in a conversation: its message, and its number there.
pub type Place = (usize, usize);

/// Who may speak in a conversation: all but the one whose it is are named.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Whose it is; nobody's if it is about work.
    pub owner: Option<AccountId>,
    /// The names of people.
    pub names: HashMap<AccountId, String>,
}

impl People {
    /// What somebody said, with the name of who speaks where a model could not tell it otherwise.
    #[must_use]
    pub fn told<'t>(&self, by: Actor, said: &'t str) -> Cow<'t, str> {
        let account = by.account().filter(|account| self.owner != Some(*account));
        match account.and_then(|account| self.names.get(&account)) {
            Some(name) if !said.starts_with(COMMENT_BY) => {
                Cow::Owned(format!("{name} says: {said}"))
            }
            _ => Cow::Borrowed(said),
        }
    }
}

/// About how many tokens so many bytes are.
#[must_use]
pub fn tokens_of(bytes: usize) -> u64 {
    bytes as u64 * 3 / 10
}

/// About how many tokens a picture is, or a page of a document.
const PICTURE_TOKENS: u64 = 1_600;
/// About how many bytes a page of a document has.
const PAGE: usize = 64 * 1024;
/// The most that a model reads of a text file that came with a message, in bytes.
pub const MAX_FILE_TEXT: usize = 60_000;

/// About how many tokens a file of a message is.
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
    /// An empty conversation that never repeats a live secret to a provider, whoever said it.
    #[must_use]
    pub fn guarded(redactor: Arc<Redactor>) -> Self {
        Self { redactor: Some(redactor), ..Self::default() }
    }

    /// The same, in a conversation of these people.
    #[must_use]
    pub fn among(self, people: Arc<People>) -> Self {
        Self { people, ..self }
    }

    /// The messages so far, complete for a call; they are given back with [`History::put_back`].
    pub fn take(&mut self) -> Vec<Message> {
        self.close("this call was not carried out");
        std::mem::take(&mut self.messages)
    }

    /// After a call: nothing was added meanwhile.
    pub fn put_back(&mut self, messages: Vec<Message>) {
        self.messages = messages;
    }

    /// The messages so far.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Whether a call with this id was made before.
    #[must_use]
    pub fn has_call(&self, wanted: &str) -> bool {
        self.calls.contains(wanted)
    }

    /// The answers that another model has written, or nobody knows which: what it thought is its own.
    #[must_use]
    pub fn of_others(&self, provider: &str, model: &str) -> BTreeSet<usize> {
        let own = |author: &Author| author.0 == provider && author.1 == model;
        let all = self.messages.iter().zip(&self.authors).enumerate();
        let others = all.filter(|(_, (message, by))| {
            message.role == Role::Assistant && !by.as_deref().is_some_and(own)
        });
        others.map(|(at, _)| at).collect()
    }

    /// Says who was asked before the first event that is taken in.
    pub fn was_asked(&mut self, provider: &str, model: &str) {
        self.asked = Some(Arc::new((provider.to_owned(), model.to_owned())));
    }

    /// How many bytes the messages have, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.messages.iter().flat_map(|m| &m.parts).map(part_bytes).sum()
    }

    /// About how many tokens a request with these messages has; `fixed` are the bytes of all else in
    /// it. What the provider counted is believed, unless it cannot be.
    #[must_use]
    pub fn tokens(&self, fixed: u64) -> u64 {
        let all = self.estimate(fixed);
        match self.counted.filter(|(_, at)| *at <= self.messages.len()) {
            Some((tokens, at)) => (tokens + sum(&self.messages[at..])).max(all * 2 / 3),
            None => all,
        }
    }

    /// The same from its bytes alone.
    #[must_use]
    pub fn estimate(&self, fixed: u64) -> u64 {
        sum(&self.messages) + fixed * 3 / 10
    }

    /// Begins with what stands in place of all that came before.
    pub fn begin_with(&mut self, summary: &str) {
        self.user(Part::text(format!("{SUMMARY}\n\n{summary}")));
    }

    /// Takes in one event.
    pub fn push(&mut self, kind: &EventKind) {
        match kind {
            EventKind::Input { text, input, by, .. } => {
                let people = Arc::clone(&self.people);
                self.say(&people.told(*by, text.head()));
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
            // What was counted before holds no more.
            EventKind::Compacted { .. } => self.counted = None,
            EventKind::RunEnded { .. } => self.close("the run ended before this call was made"),
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
            // It stands in the result of the call that asked.
            | EventKind::Answered { .. }
            | EventKind::CompactionFailed { .. }
            // Its bytes lie elsewhere: whoever has them adds it.
            | EventKind::Picture { .. }
            | EventKind::Attached { .. } => {}
        }
    }

    /// Takes out all pictures with their places, when there are new ones among them; each has to be put back.
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

    /// Takes out all PDF documents with their places and names; each has to be put back.
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

    /// Puts something else in the place of a part.
    pub fn set(&mut self, (at, n): Place, new: Part) {
        let part = self.messages.get_mut(at).and_then(|message| message.parts.get_mut(n));
        if let Some(part) = part {
            *part = new;
        }
    }

    /// Puts words in the place of all pictures and documents. Answers whether there were any.
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

    /// Adds the picture of a result that was taken in just now.
    pub fn picture(&mut self, media_type: String, data: Vec<u8>) {
        self.pictured = true;
        self.user(Part::Image { media_type, data });
    }

    /// Adds a file of the message that was taken in just now; without its bytes a word in its place.
    pub fn attach(&mut self, file: &Attachment, data: Option<Vec<u8>>) {
        let Attachment { name, media_type, blob, len } = file;
        let part = match data {
            None => Part::text(format!("[The file {name} stood here; it is not shown again.]")),
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
                "[The attached file {name} ({media_type}, {} KB) lies in your folder as {}.]",
                len.div_ceil(1_024),
                file.place()
            )),
        };
        self.user(part);
    }

    /// Says where files of the message that was taken in just now lie in the agent's folder.
    pub fn places<'f>(&mut self, files: impl Iterator<Item = &'f Attachment>) {
        let told: Vec<String> =
            files.map(|file| format!("{} as {}", file.name, file.place())).collect();
        if !told.is_empty() {
            self.user(Part::text(format!("[In your folder: {}]", told.join("; "))));
        }
    }

    /// Adds a word in place of a picture that is not shown again.
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

    /// Where nothing was said since an answer broke off, it is asked for anew: a model that was shown its beginning would
    /// go on in the middle, and several providers take no conversation that ends with an answer.
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
        self.close("this call was not carried out");
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
            self.authors.push(self.asked.clone());
        }
    }

    /// What a provider counted holds no more: less is shown now.
    pub fn uncounted(&mut self) {
        self.counted = None;
    }

    /// Takes in the result of a call.
    pub fn result(&mut self, call_id: &str, status: CallStatus, text: &str) {
        let Some(at) = self.open.iter().position(|open| open == call_id) else { return };
        self.open.remove(at);
        let text = if text.is_empty() { "(no output)" } else { text };
        self.user(match status {
            CallStatus::Ok => Part::result(call_id, text),
            _ => Part::failure(call_id, text),
        });
    }

    /// Answers calls that have no result.
    fn close(&mut self, why: &str) {
        for call in std::mem::take(&mut self.open) {
            self.user(Part::failure(call, why));
        }
    }

    /// Leaves out what stands before the first message of a person or the first run card: only a
    /// part of the session's events was read, and it may begin in the middle of an exchange.
    pub fn begin_clean(&mut self) {
        let from = self.messages.iter().position(begins).unwrap_or(0);
        self.cut(from);
    }

    /// Leaves out the first messages, up to one in which somebody speaks.
    fn cut(&mut self, from: usize) {
        self.counted = None;
        self.messages.drain(..from);
        self.authors.drain(..from);
        self.card = self.card.and_then(|card| card.checked_sub(from));
        // Results whose calls were left out would dangle.
        if from > 0 {
            self.messages[0].parts.retain(|p| !matches!(p, Part::ToolResult { .. }));
        }
    }

    /// Makes the conversation smaller until it has at most `max` bytes: the oldest exchanges go
    /// first, then what tools said and were told long ago. Answers whether anything went.
    pub fn shrink(&mut self, max: usize) -> bool {
        let before = self.bytes();
        if before <= max {
            return false;
        }
        self.drop_exchanges(max);
        self.blank_old_results(max);
        self.bytes() < before
    }

    /// Drops the oldest exchanges, up to a place where a person or a run card speaks, and says so.
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

    /// Leaves out what the model thought, for a provider that does not take it back. Answers whether
    /// there was any.
    pub fn drop_thinking(&mut self) -> bool {
        self.counted = None;
        let before: usize = self.messages.iter().map(|m| m.parts.len()).sum();
        let messages = std::mem::take(&mut self.messages).into_iter();
        let said = messages.zip(std::mem::take(&mut self.authors));
        let rest = said.filter_map(|(message, by)| Some((message.without_thinking()?, by)));
        (self.messages, self.authors) = rest.unzip();
        before > self.messages.iter().map(|m| m.parts.len()).sum::<usize>()
    }
}

/// Whether somebody speaks here, so that a conversation may begin with it.
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

/// How much a piece of the conversation weighs beside text, in bytes: a picture is read as so many
/// tokens whatever its file has.
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
