//! How far each member has read each conversation that is theirs or that they take part in.

use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::runs::model::Session;
use kernel::{AccountId, AgentId, SessionId, Timestamp, TypedId};
use store::{Class, Index, Keys, OnDelete, Record, Refs, Table};

pub const READ_MARKS: Table = Table::new(182, "read_marks");
/// Member, then whether something waits to be read.
pub const MARKS_BY_MEMBER: Index = Index::multi(186, "read_marks_by_member");

/// A member's place in a conversation. There is one from when they first spoke in it or looked at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadMark {
    /// The conversation.
    pub session: SessionId,
    pub member: AccountId,
    /// Whose conversation it is.
    pub agent: AgentId,
    /// How much was said since they looked: answers, questions, what others said, what went wrong.
    pub unread: u32,
    /// When they looked last.
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
