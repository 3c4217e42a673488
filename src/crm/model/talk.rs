//! Interactions with contacts and organizations, notes about them, and follow-ups.

use jiff::civil::Date;
use jiff::fmt::serde::timestamp::millisecond;
use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Root, Table};

use super::{Contact, ContactId, Organization, OrganizationId, TalkId};

pub const TALKS: Table = Table::new(312, "interactions");
/// The contact, and the time.
pub const BY_CONTACT: Index = Index::multi(313, "interactions_by_contact");
/// The organization, and the time.
pub const BY_ORGANIZATION: Index = Index::multi(314, "interactions_by_organization");
/// The date of an open follow-up.
pub const BY_DUE: Index = Index::multi(315, "interactions_by_due");

kernel::words! {
    /// The kind of a talk.
    TalkKind {
        /// Mail.
        Email = "email", "Email";
        /// A call.
        Call = "call", "Call";
        /// A meeting.
        Meeting = "meeting", "Meeting";
        /// A message on LinkedIn.
        LinkedinMessage = "linkedin_message", "LinkedIn message";
        /// Another message.
        Dm = "dm", "Direct message";
        /// An introduction.
        Intro = "intro", "Introduction";
        /// A coffee.
        Coffee = "coffee", "Coffee";
        /// An event.
        Event = "event", "Event";
        /// A note: nobody talked.
        Note = "note", "Note";
        /// Something else.
        Other = "other", "Other";
    }
}

impl TalkKind {
    #[must_use]
    pub fn glyph(self) -> &'static str {
        match self {
            Self::Email => "mail",
            Self::Call => "phone",
            Self::Meeting | Self::Intro | Self::Coffee => "users",
            Self::Event => "calendar",
            Self::Note => "doc",
            Self::LinkedinMessage | Self::Dm | Self::Other => "comment",
        }
    }

    /// Whether there was contact: a note alone does not count.
    #[must_use]
    pub fn is_touch(self) -> bool {
        self != Self::Note
    }
}

kernel::words! {
    /// Who spoke to whom.
    Way {
        /// They to us.
        Inbound = "inbound", "Received";
        /// We to them.
        Outbound = "outbound", "Sent";
    }
}

/// An interaction or a note.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Talk {
    pub id: TalkId,
    pub contact: Option<ContactId>,
    /// The organization, if no contact is known.
    pub organization: Option<OrganizationId>,
    pub kind: TalkKind,
    /// Direction, if known.
    pub way: Option<Way>,
    /// One line.
    pub subject: String,
    /// Markdown.
    pub body: String,
    #[serde(with = "millisecond::required")]
    pub occurred_at: Timestamp,
    /// Next step.
    pub next_action: String,
    /// Due date of the next step.
    pub next_on: Option<Date>,
    #[serde(with = "millisecond::optional")]
    pub next_done_at: Option<Timestamp>,
    /// Who recorded it.
    pub by: Actor,
    /// Time of recording.
    #[serde(with = "millisecond::required")]
    pub created_at: Timestamp,
    #[serde(with = "millisecond::required")]
    pub updated_at: Timestamp,
}

impl Talk {
    /// Whether a follow-up is open.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.next_on.is_some() && self.next_done_at.is_none()
    }
}

impl Record for Talk {
    type Id = TalkId;
    const TABLE: Table = TALKS;
    const CLASS: Class = Class::Tracked;
    const INDEXES: &'static [Index] = &[BY_CONTACT, BY_ORGANIZATION, BY_DUE];
    fn id(&self) -> TalkId {
        self.id
    }
    fn index(&self, keys: &mut Keys) {
        if let Some(contact) = self.contact {
            keys.entry(BY_CONTACT).part(contact).part(self.occurred_at);
        }
        if let Some(organization) = self.organization {
            keys.entry(BY_ORGANIZATION).part(organization).part(self.occurred_at);
        }
        if let (Some(day), None) = (self.next_on, self.next_done_at) {
            keys.entry(BY_DUE).text(&day.to_string());
        }
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Contact>(1, self.contact, OnDelete::Cascade);
        // Without a contact nobody would be left that it is about.
        let alone = if self.contact.is_some() { OnDelete::Clear } else { OnDelete::Cascade };
        refs.to::<Organization>(2, self.organization, alone);
    }
    fn clear(&mut self, _field: u8) {
        self.organization = None;
    }
    fn root(&self) -> Root {
        match (self.contact, self.organization) {
            (Some(contact), _) => Root::of::<Contact>(contact),
            (None, Some(organization)) => Root::of::<Organization>(organization),
            (None, None) => Root::of::<Self>(self.id),
        }
    }
    fn sample() -> Self {
        let at = kernel::time::from_ms(1_700_000_000_000);
        Self {
            id: TalkId::from_bytes([63; 16]),
            contact: Some(ContactId::from_bytes([60; 16])),
            organization: None,
            kind: TalkKind::Call,
            way: Some(Way::Inbound),
            subject: "The hitch".into(),
            body: "It broke on a **kerb**.".into(),
            occurred_at: at,
            next_action: "Say when the new one arrives".into(),
            next_on: Some(Date::constant(2026, 5, 1)),
            next_done_at: None,
            by: Actor::System(Part::Setup),
            created_at: at,
            updated_at: at,
        }
    }
}
