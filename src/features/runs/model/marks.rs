//! Read marks: unread count of each participant of a conversation.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::runs::model::Session;
use kernel::{AccountId, AgentId, SessionId, Timestamp, TypedId};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const READ_MARKS: Table = Table::new(182, "read_marks");
/// Member, then whether anything is unread.
pub const MARKS_BY_MEMBER: Index = Index::multi(186, "read_marks_by_member");

/// A member's read mark. It exists from the first message or view on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    pub session: SessionId,
    pub member: AccountId,
    /// The conversation's agent.
    pub agent: AgentId,
    /// Unread responses, questions, messages of others and failures.
    pub unread: u32,
    /// Time of the last view.
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for ReadMark {
    type Id = (SessionId, AccountId);
    const TABLE: Table = READ_MARKS;
    const CLASS: Class = Class::Work;
    const INDEXES: &'static [Index] = &[MARKS_BY_MEMBER];
    fn id(&self) -> (SessionId, AccountId) {
        (self.session, self.member)
    }
    fn index(&self, keys: &mut Keys) {
        keys.entry(MARKS_BY_MEMBER).part(self.member).u8(u8::from(0 < self.unread));
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Session>(1, Some(self.session), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            session: SessionId::from_bytes([12; 16]),
            member: AccountId::from_bytes([1; 16]),
            agent: AgentId::from_bytes([5; 16]),
            unread: 3,
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
