//! Channels: the settings of an account on a messenger, and the state of its connection.

use features::agents::model::Agent;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, AgentId, ChannelId, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{BlobId, BlobRefs, Class, OnDelete, Record, Refs, Root, Table};
use vault::model::SecretId;

pub const CHANNELS: Table = Table::new(410, "channels");
pub const STATES: Table = Table::new(411, "channel_states");

kernel::words! {
    /// A messenger.
    Kind {
        Telegram = "telegram", "Telegram";
        Discord = "discord", "Discord";
        Slack = "slack", "Slack";
        /// A program that connects another messenger by signed webhooks.
        Webhook = "webhook", "Webhook bridge";
    }
}

kernel::words! {
    /// Whether people see an answer while it is written. A preview is never the answer itself.
    Previews {
        Off = "off", "Off";
        /// At each step of the pace that the platform allows.
        Edit = "edit", "As it is written";
        Block = "block", "Paragraph by paragraph";
    }
}

/// A bot account on a messenger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    pub id: ChannelId,
    pub kind: Kind,
    pub name: String,
    /// Answers where no route matches. Deleting the agent turns the channel off.
    pub agent: Option<AgentId>,
    pub is_enabled: bool,
    /// The platform's id of the bot, which a new token must have, too; for a webhook, the random part of its address.
    pub bot_id: String,
    pub bot_name: String,
    /// User name without `@`.
    pub bot_handle: String,
    /// Link that opens a chat with the bot; `{code}` stands for a pairing code.
    pub link: String,
    /// Link that adds the bot to a server or workspace.
    pub invite: String,
    /// Another server that speaks the platform's API; empty for the platform itself. For a webhook, the bridge.
    pub api_base: String,
    /// The sealed tokens, in the order of the kind's fields.
    pub secrets: Vec<SecretId>,
    /// Rises when the worker must connect again, for example with a new token.
    pub token_version: u32,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
    /// Whether decisions are asked for and accepted here. A bridge could forge them.
    pub may_decide: bool,
    pub stream: Previews,
    /// An image of the bot.
    pub picture: Option<BlobId>,
}

impl Record for Channel {
    type Id = ChannelId;
    const TABLE: Table = CHANNELS;
    const CLASS: Class = Class::Tracked;
    const BLOBS: Option<fn(&Self, &mut BlobRefs)> =
        Some(|channel, blobs| channel.picture.into_iter().for_each(|blob| blobs.one(blob)));
    fn id(&self) -> ChannelId {
        self.id
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Agent>(0, self.agent, OnDelete::Clear);
    }
    fn clear(&mut self, _field: u8) {
        self.agent = None;
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ChannelId::from_bytes([60; 16]),
            kind: Kind::Telegram,
            name: "Ada ü".into(),
            agent: Some(AgentId::from_bytes([5; 16])),
            is_enabled: true,
            bot_id: "7001".into(),
            bot_name: "Ada".into(),
            bot_handle: "ada_bot".into(),
            link: "https://t.me/ada_bot?start={code}".into(),
            invite: String::new(),
            api_base: String::new(),
            secrets: vec![SecretId::from_bytes([90; 16])],
            token_version: 1,
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
            may_decide: true,
            stream: Previews::Block,
            picture: Some(BlobId::of(b"picture")),
        }
    }
}

kernel::words! {
    /// The connection of a channel.
    State {
        Off = "off", "Off";
        Starting = "starting", "Connecting";
        Online = "online", "Online";
        Error = "error", "Not connected";
        Revoked = "revoked", "Token revoked";
        /// Another program has set a webhook, which prevents polling.
        Webhook = "webhook", "Blocked by a webhook";
    }
}

impl State {
    /// Whether people should know of it if it lasts.
    #[must_use]
    pub fn is_down(self) -> bool {
        matches!(self, Self::Error | Self::Revoked | Self::Webhook)
    }
}

/// The state of a channel, as its worker reports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    pub channel: ChannelId,
    pub state: State,
    /// Why it is not connected, in a sentence; empty while online.
    pub detail: String,
    /// The adapter's position.
    pub cursor: String,
    /// When the state began.
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub last_in: Option<Timestamp>,
    #[serde(with = "millisecond::optional")]
    pub last_out: Option<Timestamp>,
    /// Whether people were notified of the current outage.
    pub is_reported: bool,
}

impl ChannelState {
    #[must_use]
    pub fn new(channel: ChannelId, now: Timestamp) -> Self {
        Self {
            channel,
            state: State::Off,
            detail: String::new(),
            cursor: String::new(),
            since: now,
            last_in: None,
            last_out: None,
            is_reported: false,
        }
    }
}

impl Record for ChannelState {
    type Id = ChannelId;
    const TABLE: Table = STATES;
    const CLASS: Class = Class::Work;
    fn id(&self) -> ChannelId {
        self.channel
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(1, Some(self.channel), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Channel>(self.channel)
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            state: State::Error,
            detail: "Telegram didn’t answer.".into(),
            cursor: "42".into(),
            last_in: Some(at),
            last_out: Some(at),
            is_reported: true,
            ..Self::new(ChannelId::from_bytes([60; 16]), at)
        }
    }
}
