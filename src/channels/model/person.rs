//! Known senders of a channel: requests for access, guests and members.

use jiff::fmt::serde::timestamp::millisecond;
use kernel::{AccountId, ChannelId, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

use super::{Channel, ChannelPersonId, PairLinkId};

pub const PEOPLE: Table = Table::new(412, "channel_people");
/// Channel and the platform's id of the sender.
pub const BY_SENDER: Index = Index::unique(413, "channel_people_by_sender");
/// Account; only people with one.
pub const BY_ACCOUNT: Index = Index::multi(430, "channel_people_by_account");
pub const LINKS: Table = Table::new(425, "channel_pair_links");

kernel::words! {
    /// What a sender may do.
    Access {
        Requested = "requested", "Requests access";
        Guest = "guest", "Guest";
        Member = "member", "Member";
        Denied = "denied", "Denied";
    }
}

/// A sender. Until access is granted, nothing that they write is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    pub id: ChannelPersonId,
    pub channel: ChannelId,
    /// The platform's id.
    pub sender: String,
    pub name: String,
    /// User name without `@`; may be empty.
    pub handle: String,
    /// The direct chat with the bot.
    pub chat: String,
    pub access: Access,
    /// The member that the sender is.
    pub account: Option<AccountId>,
    /// SHA-256 of the pairing code, in hexadecimal; empty without an open request.
    pub code_hash: String,
    #[serde(with = "millisecond::optional")]
    pub code_expires_at: Option<Timestamp>,
    /// Wrong pairing links opened by the sender.
    pub guesses: u32,
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Person {
    #[must_use]
    pub fn is_open_request(&self, now: Timestamp) -> bool {
        self.access == Access::Requested && self.code_expires_at.is_some_and(|until| now < until)
    }
}

impl Record for Person {
    type Id = ChannelPersonId;
    const TABLE: Table = PEOPLE;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_SENDER, BY_ACCOUNT];
    const TOGETHER: &'static [&'static [&'static str]] =
        &[&["access", "account", "code_hash", "code_expires_at"]];
    fn id(&self) -> ChannelPersonId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(BY_SENDER).part(self.channel).text(&self.sender);
        if let Some(account) = self.account {
            keys.entry(BY_ACCOUNT).part(account);
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, Some(self.channel), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: ChannelPersonId::from_bytes([61; 16]),
            channel: ChannelId::from_bytes([60; 16]),
            sender: "42".into(),
            name: "Bob ü".into(),
            handle: "bob".into(),
            chat: "42".into(),
            access: Access::Member,
            account: Some(AccountId::from_bytes([2; 16])),
            code_hash: "00".into(),
            code_expires_at: Some(at),
            guesses: 1,
            created_at: at,
            updated_at: at,
        }
    }
}

/// A link that a signed-in member made for themselves. Whoever opens it first is that member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairLink {
    /// The first half of the SHA-256 of the code.
    pub id: PairLinkId,
    pub channel: ChannelId,
    pub account: AccountId,
    #[serde(with = "millisecond::required")]
    pub expires_at: Timestamp,
}

impl Record for PairLink {
    type Id = PairLinkId;
    const TABLE: Table = LINKS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> PairLinkId {
        self.id
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Channel>(0, Some(self.channel), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            id: PairLinkId::from_bytes([66; 16]),
            channel: ChannelId::from_bytes([60; 16]),
            account: AccountId::from_bytes([2; 16]),
            expires_at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
