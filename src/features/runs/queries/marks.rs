//! Unread counts of conversations by member.

use std::collections::HashMap;

use crate::runs::model::{MARKS_BY_MEMBER, READ_MARKS, ReadMark, Session};
use kernel::key::KeyBuf;
use kernel::{AccountId, AgentId, SessionId};
use store::{Range, Read, ReadExt, StoreError};
use web::live::Live;

/// Maximum number of unread conversations counted for a member.
const COUNTED: usize = 500;
/// Maximum number of a member's conversations searched for those with one agent.
const PARTS: usize = 2_000;
/// Maximum number of participants of one conversation.
const MEMBERS: usize = 200;

/// Unread counts of a member by agent.
#[derive(Clone, Debug, Default)]
pub struct Unread(HashMap<AgentId, u32>);

impl Unread {
    /// Count for conversations with this agent.
    #[must_use]
    pub fn with(&self, agent: AgentId) -> u64 {
        self.0.get(&agent).copied().unwrap_or_default().into()
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|unread| u64::from(*unread)).sum()
    }
}

pub fn of_member(tx: &dyn Read, member: AccountId) -> Result<Unread, StoreError> {
    let mut at = KeyBuf::of(&member);
    at.u8(1);
    let marks: Vec<ReadMark> = tx.scan(MARKS_BY_MEMBER, &Range::prefix(at).limit(COUNTED))?;
    let mut unread = HashMap::new();
    for mark in marks {
        *unread.entry(mark.agent).or_default() += mark.unread;
    }
    Ok(Unread(unread))
}

/// The conversations with an agent in which the member has taken part.
pub fn part_in(
    tx: &dyn Read,
    member: AccountId,
    agent: AgentId,
) -> Result<Vec<SessionId>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&member)).limit(PARTS);
    let marks: Vec<ReadMark> = tx.scan(MARKS_BY_MEMBER, &range)?;
    let with = marks.into_iter().filter(|mark| mark.agent == agent);
    Ok(with.map(|mark| mark.session).collect())
}

/// Unread count of a member for one conversation.
pub fn unread(tx: &dyn Read, session: SessionId, member: AccountId) -> Result<u32, StoreError> {
    Ok(tx.get::<ReadMark>((session, member))?.map_or(0, |mark| mark.unread))
}

/// The marks of all participants.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<Vec<ReadMark>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&session)).limit(MEMBERS))
}

/// Whether a view must be recorded: the conversation is current, the member may speak in it, and it has unread
/// messages or was never viewed.
pub fn must_mark(tx: &dyn Read, session: &Session, member: AccountId) -> Result<bool, StoreError> {
    if !counts(session) || !session.admits(member) {
        return Ok(false);
    }
    let mark = tx.get::<ReadMark>((session.id, member))?;
    Ok(mark.is_none_or(|mark| 0 < mark.unread))
}

/// Whether a conversation has unread counts: a current chat with an owner, not one of an API client or a sub-agent.
#[must_use]
pub fn counts(session: &Session) -> bool {
    session.owner.is_some() && session.archived_at.is_none() && super::talk::is_talk(&session.key)
}

/// Subscribes a live region to unread counts.
#[must_use]
pub fn heard(live: Live) -> Live {
    live.table(READ_MARKS.name)
}
