//! Received messages: who wrote, where, to which agent, and what follows.

use channel_adapters as adapters;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::{Grant, Sender};
use features::runs::queries::{halt, talk as talks};
use features::runs::rules::{NewInput, RunError, SessionSpec, talk};
use features::workspace::queries as workspace;
use jiff::SignedDuration;
use kernel::{AccountId, AgentId, Can, ChannelId, Error, InputId, ProblemKind};
use store::{Read, ReadExt as _, StoreError, WriteTx};

use crate::model::{
    Access, Channel, ChannelMessageId, ChannelState, DAILY_LIMIT, Message, MessageState, Person,
    Room,
};
use crate::queries::{self, MAX_EARLIER, Origin};

use super::cards::{self, Chosen};
use super::command::{self, Context};
use super::files::Files;
use super::limits::{self, ChatMember};
use super::outbox::{self, Place};
use super::pairing::{self, Stranger};
use super::sender_changed;

/// A message that arrives later than this is held until a person asks for an answer.
pub(super) const LATE: SignedDuration = SignedDuration::from_hours(2);
/// Maximum number of characters stored of a message.
pub(super) const MAX_TEXT: usize = 20_000;

const NO_MENTION: &str = "no mention";

struct Decision {
    state: MessageState,
    verdict: String,
    keeps_text: bool,
    to: Option<(AgentId, InputId)>,
}

impl Decision {
    /// Nothing happens, and the text is not stored.
    fn ignored(verdict: impl Into<String>) -> Self {
        Self { state: MessageState::Ignored, verdict: verdict.into(), keeps_text: false, to: None }
    }
}

/// Handles a message once: one that arrives again changes nothing. `code` is a fresh pairing code.
///
/// # Errors
/// `sender_changed` if the transaction's actor is no longer the sender's.
pub fn message(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    (channel, code): (ChannelId, &str),
    message: &adapters::Message,
    files: &Files,
) -> Result<(), Error> {
    let chat = &message.place.chat;
    if queries::is_known(tx, channel, chat, &message.id)?.is_some() {
        return Ok(());
    }
    let Some(settings) = tx.get::<Channel>(channel)? else { return Ok(()) };
    if tx.by() != queries::actor(tx, channel, &message.sender.id)? {
        return Err(sender_changed());
    }
    let text = command::without_bot(&message.text, &settings.bot_handle);
    let message = &adapters::Message { text, ..message.clone() };
    let decision = match (message.sender.is_bot, message.is_direct) {
        (true, _) => Decision::ignored("from a bot"),
        (false, true) => direct(tx, cx, (channel, code), message, files)?,
        (false, false) => in_room(tx, cx, channel, message, files)?,
    };
    store(tx, channel, message, files, decision)?;
    let state = queries::state(tx, channel, tx.now())?;
    tx.put(&ChannelState { last_in: Some(tx.now()), ..state })?;
    Ok(())
}

fn store(
    tx: &mut WriteTx<'_>,
    channel: ChannelId,
    message: &adapters::Message,
    files: &Files,
    decision: Decision,
) -> Result<(), Error> {
    let text = match decision.keeps_text {
        true => files.after(&message.text).chars().take(MAX_TEXT).collect(),
        false => String::new(),
    };
    tx.put(&Message {
        id: tx.new_id(),
        channel,
        chat: message.place.chat.clone(),
        thread: message.place.thread.clone(),
        provider_id: message.id.clone(),
        sender: message.sender.id.clone(),
        sender_name: kernel::text::one_line(&message.sender.name).chars().take(100).collect(),
        is_direct: message.is_direct,
        text,
        state: decision.state,
        verdict: decision.verdict,
        agent: decision.to.map(|(agent, _)| agent),
        input: decision.to.map(|(_, input)| input),
        is_awaiting: decision.to.is_some(),
        sent_at: message.sent_at,
        received_at: tx.now(),
    })?;
    Ok(())
}

fn direct(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    (channel, code): (ChannelId, &str),
    message: &adapters::Message,
    files: &Files,
) -> Result<Decision, Error> {
    let (sender, chat) = (&message.sender, message.place.chat.as_str());
    let stranger = Stranger { channel, sender, chat, code };
    let mut words = message.text.split_whitespace();
    let is_start = words.next() == Some("/start");
    if let Some(link) = words.next().filter(|_| is_start) {
        // A member who opens a link becomes the member of the link.
        return Ok(Decision::ignored(pairing::pair_by_link(tx, &stranger, link)?));
    }
    let person = queries::person(tx, channel, &sender.id)?;
    let who = match &person {
        Some(Person { access: Access::Guest, .. }) => Sender::Guest,
        Some(person) => match queries::account_of(tx, person)? {
            Some(account) => Sender::Person(account),
            None if person.access == Access::Member => {
                return Ok(Decision::ignored("no longer a member"));
            }
            None => return Ok(Decision::ignored(pairing::open_request(tx, &stranger)?)),
        },
        None => return Ok(Decision::ignored(pairing::open_request(tx, &stranger)?)),
    };
    if let Some(person) = person.filter(|person| person.chat != chat) {
        tx.put(&Person { chat: chat.to_owned(), ..person })?;
    }
    if is_start {
        let place = Place::direct(channel, chat);
        outbox::queue(tx, &place, "Hello! What can I do for you?", None)?;
        return Ok(Decision::ignored("greeted"));
    }
    if let Sender::Person(account) = who
        && let Some(card) = cards::replied(tx, channel, message)?
        && card.account == account
    {
        let words = message.text.trim();
        let chosen = match message.files.is_empty() {
            true => Chosen::Words(words),
            false => Chosen::Files(words),
        };
        let note = cards::decide(tx, cx, card, &chosen)?;
        outbox::queue(tx, &Place::direct(channel, chat), &note, None)?;
        return Ok(Decision::ignored("decision by reply"));
    }
    if let Some(verdict) = over_limit(tx, channel, message, who)? {
        return Ok(verdict);
    }
    pass_on(tx, cx, (channel, message, files), Grant { sender: who, is_room: false })
}

/// Guests have a daily limit of runs and cost.
fn over_limit(
    tx: &mut WriteTx<'_>,
    channel: ChannelId,
    message: &adapters::Message,
    who: Sender,
) -> Result<Option<Decision>, Error> {
    if who != Sender::Guest {
        return Ok(None);
    }
    let (chat, sender) = (message.place.chat.as_str(), message.sender.id.as_str());
    if !limits::is_guest_over(tx, ChatMember { channel, chat, sender }, tx.now())? {
        return Ok(None);
    }
    let day = limits::day_before(tx.now());
    if !queries::was_refused(tx, (channel, chat, sender), day)? {
        let text = "That’s all I can do for you today. Please write again tomorrow.";
        outbox::queue(tx, &place(channel, message), text, None)?;
    }
    Ok(Some(Decision::ignored(DAILY_LIMIT)))
}

fn place(channel: ChannelId, message: &adapters::Message) -> Place {
    Place {
        channel,
        chat: message.place.chat.clone(),
        thread: message.place.thread.clone(),
        is_direct: message.is_direct,
        reply_to: None,
    }
}

fn in_room(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    channel: ChannelId,
    message: &adapters::Message,
    files: &Files,
) -> Result<Decision, Error> {
    let chat = message.place.chat.as_str();
    let room = known_room(tx, channel, chat, &message.title)?;
    let person = queries::person(tx, channel, &message.sender.id)?;
    if person.is_some_and(|person| person.access == Access::Denied) {
        return Ok(Decision::ignored("denied"));
    }
    if !room.is_allowed {
        return Ok(Decision::ignored("room not allowed"));
    }
    let is_meant = message.mentions_bot || is_named(tx, channel, message)?;
    if !is_meant {
        return Ok(Decision { keeps_text: true, ..Decision::ignored(NO_MENTION) });
    }
    let sender = match tx.by().account() {
        Some(account) => Sender::Person(account),
        None => Sender::Guest,
    };
    let who = ChatMember { channel, chat, sender: &message.sender.id };
    let limit = (room.budget_micros, sender == Sender::Guest);
    if limits::is_room_over(tx, who, limit, tx.now())? {
        return Ok(Decision { keeps_text: true, ..Decision::ignored(DAILY_LIMIT) });
    }
    pass_on(tx, cx, (channel, message, files), Grant { sender, is_room: true })
}

pub(super) fn known_room(
    tx: &mut WriteTx<'_>,
    channel: ChannelId,
    chat: &str,
    title: &str,
) -> Result<Room, Error> {
    let title: String = kernel::text::one_line(title).chars().take(200).collect();
    let room = match queries::room(tx, channel, chat)? {
        Some(room) if room.is_present && (room.title == title || title.is_empty()) => {
            return Ok(room);
        }
        Some(room) => Room { is_present: true, title, ..room },
        None => Room {
            id: tx.new_id(),
            channel,
            chat: chat.to_owned(),
            title,
            is_allowed: false,
            is_present: true,
            budget_micros: limits::GUEST_MICROS,
            created_at: tx.now(),
        },
    };
    tx.put(&room)?;
    Ok(room)
}

/// Whether the text of a room's message names the bot, its agent or the agent that would answer.
pub(super) fn is_named(
    read: &dyn Read,
    channel: ChannelId,
    message: &adapters::Message,
) -> Result<bool, StoreError> {
    let Some(settings) = read.get::<Channel>(channel)? else { return Ok(false) };
    let mut names = vec![settings.bot_name, settings.bot_handle];
    if let Some(id) = settings.agent {
        names.extend(read.get::<Agent>(id)?.map(|agent| agent.name));
    }
    let adapters::Message { place, sender, .. } = message;
    let (room, thread) = (Some(place.chat.as_str()), place.thread.as_deref());
    let origin = Origin { channel, room, thread, sender: &sender.id };
    names.extend(queries::route(read, origin)?.map(|(agent, _)| agent.name));
    let text = folded(&message.text);
    Ok(names.iter().any(|name| is_in(&text, &folded(name))))
}

/// Lower case, with single spaces.
fn folded(text: &str) -> String {
    text.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether a name is in the text, and not as a part of longer words.
fn is_in(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    !name.is_empty()
        && text.match_indices(name).any(|(at, found)| {
            let (before, after) = (&text[..at], &text[at + found.len()..]);
            !before.ends_with(is_word) && !after.starts_with(is_word)
        })
}

/// Passes the message to its agent, if it arrived in time.
fn pass_on(
    tx: &mut WriteTx<'_>,
    cx: &Context,
    (channel, message, files): (ChannelId, &adapters::Message, &Files),
    grant: Grant,
) -> Result<Decision, Error> {
    if message.sent_at < tx.now() - LATE {
        let mut verdict = "arrived late".to_owned();
        let state = MessageState::Held;
        if message.is_direct {
            let text =
                "I was offline when you wrote this. Write again if you still need an answer.";
            verdict = limits::note(tx, &place(channel, message), &verdict, text)?;
        }
        return Ok(Decision { state, verdict, keeps_text: true, to: None });
    }
    let arrived = Arrived {
        channel,
        chat: &message.place.chat,
        thread: message.place.thread.as_deref(),
        sender: &message.sender.id,
        sender_name: &message.sender.name,
        text: &message.text,
        files,
        is_direct: message.is_direct,
    };
    to_agent(tx, Some(cx), &arrived, grant)
}

/// A message on its way to an agent.
#[derive(Clone, Copy)]
struct Arrived<'a> {
    channel: ChannelId,
    chat: &'a str,
    thread: Option<&'a str>,
    sender: &'a str,
    sender_name: &'a str,
    text: &'a str,
    files: &'a Files,
    is_direct: bool,
}

impl Arrived<'_> {
    fn place(&self) -> Place {
        Place {
            channel: self.channel,
            chat: self.chat.to_owned(),
            thread: self.thread.map(str::to_owned),
            is_direct: self.is_direct,
            reply_to: None,
        }
    }
}

/// Without `cx`, commands are passed on as text, because a late command may no longer be wanted.
fn to_agent(
    tx: &mut WriteTx<'_>,
    cx: Option<&Context>,
    of: &Arrived<'_>,
    grant: Grant,
) -> Result<Decision, Error> {
    let room = (!of.is_direct).then_some(of.chat);
    let origin = Origin { channel: of.channel, room, thread: of.thread, sender: of.sender };
    let Some((agent, rule)) = queries::route(tx, origin)? else {
        return refused(tx, of, "no agent", "No agent is assigned to answer here at the moment.");
    };
    if let (Some(cx), Sender::Person(account)) = (cx, grant.sender) {
        let role = workspace::member(tx, account)?.map(|member| member.role);
        if !role.is_some_and(|role| (cx.rights)(role).may(Can::Chat)) {
            return refused(tx, of, "role", "Your role in HQ doesn’t let you talk to agents.");
        }
    }
    let key = session_key(tx, &agent, of, grant)?;
    let owner = match grant {
        Grant { sender: Sender::Person(account), is_room: false } => Some(account),
        _ => None,
    };
    let spec = SessionSpec { agent: agent.id, key, owner, task: None };
    let may_decide = tx.get::<Channel>(of.channel)?.is_some_and(|channel| channel.may_decide);
    let is_guest = grant.sender == Sender::Guest;
    if cx.is_some() && !is_guest && !may_decide && command::is_decision(of.text) {
        let place = of.place();
        let verdict = limits::note(tx, &place, "decisions not allowed", cards::ELSEWHERE)?;
        return Ok(Decision::ignored(verdict));
    }
    let command = match cx {
        Some(cx) => command::run(tx, cx, (&agent, &spec, grant), of.text)?,
        None => None,
    };
    if let Some((name, answer)) = command {
        outbox::queue(tx, &of.place(), &answer, None)?;
        return Ok(Decision::ignored(format!("command /{name}")));
    }
    let words = match command::words(tx, grant.sender, of.text) {
        Ok(words) => words,
        Err(answer) => {
            outbox::queue(tx, &of.place(), &answer, None)?;
            return Ok(Decision::ignored("command with wrong settings"));
        }
    };
    let text = with_context(tx, &Arrived { text: &words.text, ..*of })?;
    let input = NewInput {
        grant: Some(grant),
        attached: of.files.attached.clone(),
        model: words.model,
        mode: words.mode,
        thinking: words.thinking,
        fast: words.fast,
        ..NewInput::chat(text)
    };
    let sent = match talk::say(tx, spec, input) {
        Ok(sent) => sent,
        Err(RunError::Store(error)) => return Err(error.into()),
        Err(refused) => {
            let verdict = Error::of(refused).to_string();
            let text = format!("I couldn’t take this message: {verdict}.");
            return self::refused(tx, of, &verdict, &text);
        }
    };
    let mut verdict = format!("{rule}: {}", agent.name);
    if is_paused(tx, &agent)? {
        let text = format!("{} is paused. Your message waits until it resumes.", agent.name);
        verdict = limits::note(tx, &of.place(), "agent paused", &text)?;
    }
    Ok(Decision {
        state: MessageState::Passed,
        verdict,
        keeps_text: true,
        to: Some((agent.id, sent.message)),
    })
}

/// Ignores a message, and says why in a direct chat.
fn refused(
    tx: &mut WriteTx<'_>,
    of: &Arrived<'_>,
    verdict: &str,
    text: &str,
) -> Result<Decision, Error> {
    if of.is_direct {
        outbox::queue(tx, &of.place(), text, None)?;
    }
    Ok(Decision { keeps_text: true, ..Decision::ignored(verdict) })
}

fn is_paused(tx: &WriteTx<'_>, agent: &Agent) -> Result<bool, Error> {
    Ok(agents::held(agent).is_some() || halt::of_agent(tx, agent.id)?.is_some())
}

/// A member's direct chat is their main conversation. Guests, rooms and threads have their own.
fn session_key(
    tx: &WriteTx<'_>,
    agent: &Agent,
    of: &Arrived<'_>,
    grant: Grant,
) -> Result<String, Error> {
    if let Grant { sender: Sender::Person(account), is_room: false } = grant
        && let Some(member) = workspace::member(tx, account)?
    {
        return Ok(talks::own_key(tx, agent, account, member.role)?);
    }
    let kind = if of.is_direct { "direct" } else { "room" };
    let place = format!("agent:{}:channel:{}:{kind}:{}", agent.slug, of.channel, of.chat);
    Ok(match of.thread {
        Some(thread) => format!("{place}:thread:{thread}"),
        None => place,
    })
}

/// The text; in rooms, after the messages before it, which are marked as untrusted.
fn with_context(tx: &WriteTx<'_>, of: &Arrived<'_>) -> Result<String, Error> {
    let text = of.files.after(of.text);
    if of.is_direct {
        return Ok(text);
    }
    let mut earlier = Vec::new();
    for one in queries::recent(tx, of.channel, of.chat, 2 * MAX_EARLIER)? {
        if one.input.is_some() || earlier.len() == MAX_EARLIER {
            break;
        }
        if one.verdict == NO_MENTION && one.thread.as_deref() == of.thread {
            earlier.push(format!("{}: {}", one.sender_name, one.text.replace('\n', " ")));
        }
    }
    earlier.reverse();
    let context = match earlier.is_empty() {
        true => String::new(),
        false => {
            let id = tool::untrusted::id_of(&format!("{}{}", of.channel, of.chat));
            let lines = tool::untrusted::wrap(&id, &earlier.join("\n"));
            format!("Earlier messages in this room:\n{lines}\n\n")
        }
    };
    Ok(format!("{context}{} writes: {text}", of.sender_name))
}

/// Answers a message that arrived too late, at a person's request.
///
/// # Errors
/// If it was answered, or its sender may no longer write.
pub fn answer_now(tx: &mut WriteTx<'_>, id: ChannelMessageId) -> Result<Message, Error> {
    let held = tx.get::<Message>(id)?.filter(|one| one.state == MessageState::Held);
    let one = held.ok_or_else(|| {
        let message = "this message no longer waits";
        Error::new(ProblemKind::Conflict, "channel_message_not_held", message)
    })?;
    let person = queries::person(tx, one.channel, &one.sender)?;
    let account: Option<AccountId> = match &person {
        Some(person) => queries::account_of(tx, person)?,
        None => None,
    };
    let sender = match (account, person.map(|person| person.access)) {
        // Only the member acts as themselves; a run that another person starts has a guest's rights.
        (Some(account), _) if tx.by().account() == Some(account) => Sender::Person(account),
        (Some(_), _) | (None, Some(Access::Guest)) => Sender::Guest,
        (None, _) if !one.is_direct => Sender::Guest,
        (None, _) => {
            let message = "its sender may no longer write to this channel";
            return Err(Error::new(ProblemKind::Conflict, "sender_not_known", message));
        }
    };
    let files = Files::default();
    let arrived = Arrived {
        channel: one.channel,
        chat: &one.chat,
        thread: one.thread.as_deref(),
        sender: &one.sender,
        sender_name: &one.sender_name,
        text: &one.text,
        files: &files,
        is_direct: one.is_direct,
    };
    let decision = to_agent(tx, None, &arrived, Grant { sender, is_room: !one.is_direct })?;
    let answered = Message {
        state: decision.state,
        verdict: decision.verdict,
        agent: decision.to.map(|(agent, _)| agent),
        input: decision.to.map(|(_, input)| input),
        is_awaiting: decision.to.is_some(),
        ..one
    };
    tx.put(&answered)?;
    Ok(answered)
}

#[cfg(test)]
mod tests {
    use super::{folded, is_in};

    #[test]
    fn whole_names_are_found_at_the_boundaries_of_words() {
        let is_named = |text: &str, name: &str| is_in(&folded(text), &folded(name));
        for text in
            ["Ada Lovelace, hello", "ask ADA\n lovelace!", "(ada  Lovelace)", "@Ada Lovelace"]
        {
            assert!(is_named(text, "Ada Lovelace"), "{text}");
        }
        for text in ["", "Ada", "Lovelace", "Canada Lovelace", "Ada Lovelaces", "Ada_Lovelace"] {
            assert!(!is_named(text, "Ada Lovelace"), "{text}");
        }
        assert!(is_named("Frag Äda: wie viele?", "äda") && !is_named("Ädas", "äda"));
        assert!(is_named("@ada_bot?", "ada_bot") && !is_named("ada_bots", "ada_bot"));
        assert!(!is_named("Hello", "") && !is_named("", ""));
    }
}
