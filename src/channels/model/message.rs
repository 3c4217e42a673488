//! Received messages, with what HQ decided about each.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{AgentId, ChannelId, InputId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{Channel, ChannelMessageId};

pub const MESSAGES: Table = Table::new(418, "channel_messages");
/// Channel, chat and the platform's id of the message.
pub const BY_PROVIDER_ID: Index = Index::unique(419, "channel_messages_by_provider_id");
/// [`Awaiting`]; the messages that no run has answered yet.
pub const AWAITING: Index = Index::multi(420, "channel_messages_awaiting");
/// Channel, chat and time.
pub const RECENT: Index = Index::multi(421, "channel_messages_by_chat");
/// Channel and chat, then the messages that count towards a daily limit by time, and those refused by sender and time.
pub const LIMITED: Index = Index::multi(431, "channel_messages_limited");

/// Verdict on a message that was refused for a daily limit.
pub const DAILY_LIMIT: &str = "daily limit";

kernel::words! {
    /// What happened to a message.
    MessageState {
        /// An agent got it.
        Passed = "passed", "Passed on";
        /// It arrived too late and waits for a person.
        Held = "held", "Waits";
        /// Nothing happens.
        Ignored = "ignored", "Ignored";
    }
}

/// Keys of the messages that wait for an answer.
#[derive(Clone, Copy, Debug)]
pub enum Awaiting<'a> {
    Agent(AgentId),
    Sender(ChannelId, &'a str),
    /// All senders of the channel.
    Channel(ChannelId),
}

impl Awaiting<'_> {
    /// The start of the keys of [`AWAITING`].
    #[must_use]
    pub fn key(self) -> KeyBuf {
        let mut key = KeyBuf::new();
        self.add_to(&mut key);
        key
    }

    fn add_to(self, key: &mut KeyBuf) {
        match self {
            Self::Agent(agent) => key.u8(0).part(agent),
            Self::Sender(channel, sender) => key.u8(1).part(channel).text(sender),
            Self::Channel(channel) => key.u8(1).part(channel),
        };
    }
}

/// A received message. Rows are kept, so that duplicates are recognised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: ChannelMessageId,
    pub channel: ChannelId,
    pub chat: String,
    pub thread: Option<String>,
    /// The platform's id, unique within the chat.
    pub provider_id: String,
    pub sender: String,
    pub sender_name: String,
    pub is_direct: bool,
    /// Empty if it must not be stored.
    pub text: String,
    pub state: MessageState,
    /// The decision in a few words: `no mention`, `code sent`.
    pub verdict: String,
    pub agent: Option<AgentId>,
    pub input: Option<InputId>,
    /// Whether an answer to `input` is still expected.
    pub is_awaiting: bool,
    #[serde(with = "millisecond::required")]
    pub sent_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub received_at: Timestamp,
}

impl Message {
    /// Whether it counts towards the daily limits of its sender and room: it was passed on, or was a command.
    fn is_counted(&self) -> bool {
        self.input.is_some() || self.verdict.starts_with("command")
    }
}

/// The start of the keys of [`LIMITED`] for the counted messages of a chat.
#[must_use]
pub fn counted_key(channel: ChannelId, chat: &str) -> KeyBuf {
    let mut key = KeyBuf::of(&channel);
    key.text(chat).u8(0);
    key
}

/// The start of the keys of [`LIMITED`] for the refused messages of a sender in a chat.
#[must_use]
pub fn refused_key(channel: ChannelId, chat: &str, sender: &str) -> KeyBuf {
    let mut key = KeyBuf::of(&channel);
    key.text(chat).u8(1).text(sender);
    key
}

impl Record for Message {
    type Id = ChannelMessageId;
    const TABLE: Table = MESSAGES;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[BY_PROVIDER_ID, AWAITING, RECENT, LIMITED];
    fn id(&self) -> ChannelMessageId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_PROVIDER_ID).part(self.channel).text(&self.chat).text(&self.provider_id);
        if let Some(agent) = self.agent.filter(|_| self.is_awaiting) {
            Awaiting::Agent(agent).add_to(keys.entry(AWAITING));
            Awaiting::Sender(self.channel, &self.sender).add_to(keys.entry(AWAITING));
        }
        keys.entry(RECENT).part(self.channel).text(&self.chat).part(self.received_at);
        if self.is_counted() {
            let key = counted_key(self.channel, &self.chat).with(&self.received_at);
            *keys.entry(LIMITED) = key;
        }
        if self.verdict == DAILY_LIMIT {
            let key = refused_key(self.channel, &self.chat, &self.sender);
            *keys.entry(LIMITED) = key.with(&self.received_at);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, Some(self.channel), OnDelete::Cascade);
        refs.to::<Agent>(1, self.agent, OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        (self.agent, self.is_awaiting) = (None, false);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ChannelMessageId::from_bytes([64; 16]),
            channel: ChannelId::from_bytes([60; 16]),
            chat: "42".into(),
            thread: Some("7".into()),
            provider_id: "1001".into(),
            sender: "42".into(),
            sender_name: "Bob ü".into(),
            is_direct: true,
            text: "What is new?".into(),
            state: MessageState::Passed,
            verdict: "Ada".into(),
            agent: Some(AgentId::from_bytes([5; 16])),
            input: Some(InputId::from_bytes([8; 16])),
            is_awaiting: true,
            sent_at: at,
            received_at: at,
        }
    }
}
