//! The outbox: one row per part of a message to a chat.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AccountId, ChannelId, NotificationId, RunId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{CardId, Channel, DeliveryId};

pub const DELIVERIES: Table = Table::new(422, "channel_deliveries");
/// Channel, chat and id of unsent deliveries, in order.
pub const OPEN_BY_CHANNEL: Index = Index::multi(423, "channel_deliveries_open");
pub const BY_RUN: Index = Index::multi(424, "channel_deliveries_by_run");
/// Person, notification and part, so that each notification goes to a person once.
pub const BY_NOTICE: Index = Index::unique(432, "channel_deliveries_by_notice");

kernel::words! {
    /// The state of a delivery.
    DeliveryState {
        Queued = "queued", "Queued";
        Sending = "sending", "Sending";
        Sent = "sent", "Sent";
        /// It will not be tried again.
        Failed = "failed", "Not sent";
        /// The connection broke while sending; it may have arrived.
        Unknown = "unknown", "May have arrived";
        Expired = "expired", "Expired";
        /// A person decided not to send it, or there was nothing to say.
        Suppressed = "suppressed", "Not needed";
    }
}

impl DeliveryState {
    #[must_use]
    pub fn is_open(self) -> bool {
        matches!(self, Self::Queued | Self::Sending)
    }
}

kernel::words! {
    /// What a bridge reports of a sent message.
    ReceiptState {
        Delivered = "delivered", "Delivered";
        Read = "read", "Read";
        Failed = "failed", "Not delivered";
    }
}

/// The content of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Payload {
    /// Markdown of one part.
    Text(String),
    /// Answers the press of a button with a note for the presser.
    Pressed { press: String, note: String },
    /// A decision card, with buttons while it is open.
    Card(CardId),
    /// Replaces the message of a decided card.
    Update(CardId),
    /// A file of the run's agent.
    File { path: String },
    /// Markdown of one part of a notification. The last part also gets a link.
    Notice { account: AccountId, notification: NotificationId, text: String },
    /// Markdown of one part of what the run's agent sent of its own accord.
    Said(String),
    /// The beginning of an answer that is still being written. The worker edits the message.
    Preview(String),
    /// Removes the message of a preview.
    Removal(DeliveryId),
}

kernel::words! {
    /// What people are shown of a payload.
    PayloadKind {
        Message = "message", "Message";
        Button = "button", "Reply to a button";
        Decision = "decision", "Decision";
        Outcome = "outcome", "Outcome of a decision";
        File = "file", "File";
        Notification = "notification", "Notification";
        Agent = "agent", "Message of an agent";
    }
}

impl Payload {
    /// Whether it is a preview or its removal, which people do not see as a message of its own.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Preview(_) | Self::Removal(_))
    }

    #[must_use]
    pub fn kind(&self) -> PayloadKind {
        match self {
            Self::Text(_) | Self::Preview(_) | Self::Removal(_) => PayloadKind::Message,
            Self::Pressed { .. } => PayloadKind::Button,
            Self::Card(_) => PayloadKind::Decision,
            Self::Update(_) => PayloadKind::Outcome,
            Self::File { .. } => PayloadKind::File,
            Self::Notice { .. } => PayloadKind::Notification,
            Self::Said(_) => PayloadKind::Agent,
        }
    }
}

/// One part of a message to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// Also the idempotency key of the request.
    pub id: DeliveryId,
    pub channel: ChannelId,
    pub chat: String,
    pub thread: Option<String>,
    pub is_direct: bool,
    pub reply_to: Option<String>,
    pub payload: Payload,
    /// Number of the part, from 1, and number of parts.
    pub part: u32,
    pub parts: u32,
    /// The run whose answer it is.
    pub run: Option<RunId>,
    pub state: DeliveryState,
    /// Why it was not sent, in a sentence.
    pub detail: String,
    pub attempts: u32,
    /// Set when the message is repeated after an unknown outcome. The repeat carries a mark.
    pub is_repeat: bool,
    /// The platform's id of the sent message.
    pub provider_id: String,
    /// The last report of a bridge.
    pub receipt: Option<ReceiptState>,
    #[serde(with = "millisecond::required")]
    pub due_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::optional")]
    pub sent_at: Option<Timestamp>,
}

impl Record for Delivery {
    type Id = DeliveryId;
    const TABLE: Table = DELIVERIES;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[OPEN_BY_CHANNEL, BY_RUN, BY_NOTICE];
    fn id(&self) -> DeliveryId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.state.is_open() {
            keys.entry(OPEN_BY_CHANNEL).part(self.channel).text(&self.chat);
        }
        if let Some(run) = self.run {
            keys.entry(BY_RUN).part(run);
        }
        if let Payload::Notice { account, notification, .. } = &self.payload {
            keys.entry(BY_NOTICE).part(*account).part(*notification).part(self.part);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, Some(self.channel), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: DeliveryId::from_bytes([65; 16]),
            channel: ChannelId::from_bytes([60; 16]),
            chat: "42".into(),
            thread: Some("7".into()),
            is_direct: true,
            reply_to: Some("1001".into()),
            payload: Payload::Text("**Done** ü".into()),
            part: 1,
            parts: 2,
            run: Some(RunId::from_bytes([9; 16])),
            state: DeliveryState::Queued,
            detail: "Telegram didn’t answer.".into(),
            attempts: 1,
            is_repeat: true,
            provider_id: "2002".into(),
            receipt: Some(ReceiptState::Read),
            due_at: at,
            expires_at: at,
            created_at: at,
            sent_at: Some(at),
        }
    }
}
