//! Decision cards: a question to one person in their direct chat, with buttons.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::key::KeyBuf;
use kernel::{
    AccountId, ApprovalId, ChannelId, DeliverableId, RunId, Timestamp, TypedId as _, VersionId,
};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{CardId, Channel, ChannelPersonId, DeliveryId};

pub const CARDS: Table = Table::new(426, "channel_cards");
/// Channel and chat; the open cards.
pub const OPEN_CARDS: Index = Index::multi(427, "channel_cards_open");
/// Person and subject, so that nobody is asked the same thing twice.
pub const BY_SUBJECT: Index = Index::multi(428, "channel_cards_by_subject");
/// [`Matter`]; the open cards.
pub const OPEN_BY_MATTER: Index = Index::multi(429, "channel_cards_open_by_matter");

/// What is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subject {
    Approval(ApprovalId),
    Question(RunId, u32),
    Review(DeliverableId, VersionId),
    Pairing(ChannelPersonId),
}

impl Subject {
    fn key(self, key: &mut KeyBuf) {
        match self {
            Self::Approval(id) => key.u8(0).part(id),
            Self::Question(run, step) => key.u8(1).part(run).part(step),
            Self::Review(_, version) => key.u8(2).part(version),
            Self::Pairing(person) => key.u8(3).part(person),
        };
    }

    fn matter(self) -> Matter {
        match self {
            Self::Approval(id) => Matter::Approval(id),
            Self::Question(run, _) => Matter::Question(run),
            Self::Review(deliverable, _) => Matter::Review(deliverable),
            Self::Pairing(person) => Matter::Pairing(person),
        }
    }

    /// The key of [`BY_SUBJECT`] for a person.
    #[must_use]
    pub fn key_for(self, account: AccountId) -> KeyBuf {
        let mut key = KeyBuf::of(&account);
        self.key(&mut key);
        key
    }
}

/// The record whose changes may decide a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Matter {
    Approval(ApprovalId),
    Question(RunId),
    Review(DeliverableId),
    Pairing(ChannelPersonId),
}

impl Matter {
    const PAIRING: u8 = 3;

    /// The key of [`OPEN_BY_MATTER`].
    #[must_use]
    pub fn key(self) -> KeyBuf {
        let mut key = KeyBuf::new();
        self.add_to(&mut key);
        key
    }

    /// The start of the keys of all pairing requests.
    #[must_use]
    pub fn all_pairings() -> KeyBuf {
        let mut key = KeyBuf::new();
        key.u8(Self::PAIRING);
        key
    }

    fn add_to(self, key: &mut KeyBuf) {
        match self {
            Self::Approval(id) => key.u8(0).part(id),
            Self::Question(run) => key.u8(1).part(run),
            Self::Review(deliverable) => key.u8(2).part(deliverable),
            Self::Pairing(person) => key.u8(Self::PAIRING).part(person),
        };
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Also part of the data of its buttons.
    pub id: CardId,
    pub channel: ChannelId,
    pub chat: String,
    /// The person who is asked. Only their press counts.
    pub account: AccountId,
    pub subject: Subject,
    /// Markdown.
    pub text: String,
    /// Labels of the buttons.
    pub choices: Vec<String>,
    /// Path of the page in the workspace.
    pub path: String,
    /// The message that shows it.
    pub delivery: DeliveryId,
    /// How it was decided; `None` while it is open.
    pub outcome: Option<String>,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
}

impl Record for Card {
    type Id = CardId;
    const TABLE: Table = CARDS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[OPEN_CARDS, BY_SUBJECT, OPEN_BY_MATTER];
    fn id(&self) -> CardId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if self.outcome.is_none() {
            keys.entry(OPEN_CARDS).part(self.channel).text(&self.chat);
            self.subject.matter().add_to(keys.entry(OPEN_BY_MATTER));
        }
        let key = keys.entry(BY_SUBJECT);
        key.part(self.account);
        self.subject.key(key);
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, Some(self.channel), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: CardId::from_bytes([67; 16]),
            channel: ChannelId::from_bytes([60; 16]),
            chat: "42".into(),
            account: AccountId::from_bytes([2; 16]),
            subject: Subject::Question(RunId::from_bytes([9; 16]), 3),
            text: "Which supplier ü?".into(),
            choices: vec!["The first".into()],
            path: "runs/R-1".into(),
            delivery: DeliveryId::from_bytes([65; 16]),
            outcome: Some("Answered by Bob".into()),
            created_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
