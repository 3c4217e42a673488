//! What members have not read of conversations.

use std::collections::HashMap;

use crate::runs::model::{MARKS_BY_MEMBER, READ_MARKS, ReadMark, Session};
use kernel::key::KeyBuf;
use kernel::{AccountId, AgentId, SessionId};
use store::{Range, Read, ReadExt, StoreError};
use web::live::Live;

/// How many conversations with something to read are counted for a member.
const COUNTED: usize = 500;
/// Among how many conversations of a member those with one agent are looked for.
const PARTS: usize = 2_000;
/// How many members take part in one conversation.
const MEMBERS: usize = 200;

/// What somebody has to read, agent by agent.
#[derive(Clone, Debug, Default)]
pub struct Unread(HashMap<AgentId, u32>);

impl Unread {
    /// In conversations with this agent.
    #[must_use]
    pub fn with(&self, agent: AgentId) -> u64 {
        self.0.get(&agent).copied().unwrap_or_default().into()
    }

    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.values().map(|unread| u64::from(*unread)).sum()
    }
}

/// What a member has to read.
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

/// The conversations with an agent in which a member takes part or took part.
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

/// How much of a conversation a member has not read.
pub fn unread(tx: &dyn Read, session: SessionId, member: AccountId) -> Result<u32, StoreError> {
    Ok(tx.get::<ReadMark>((session, member))?.map_or(0, |mark| mark.unread))
}

/// The marks of all who take part in a conversation.
pub fn of_session(tx: &dyn Read, session: SessionId) -> Result<Vec<ReadMark>, StoreError> {
    tx.list(&Range::prefix(KeyBuf::of(&session)).limit(MEMBERS))
}

/// Whether a member's look at a conversation is to be noted: it is one that goes on and that they may
/// speak in, and something waits to be read or they have never looked.
pub fn must_mark(tx: &dyn Read, session: &Session, member: AccountId) -> Result<bool, StoreError> {
    if !counts(session) || !session.admits(member) {
        return Ok(false);
    }
    let mark = tx.get::<ReadMark>((session.id, member))?;
    Ok(mark.is_none_or(|mark| 0 < mark.unread))
}

/// Whether a conversation is one that people read: a person's own or a shared one that goes on, and none
/// of a program or of a part of a run.
#[must_use]
pub fn counts(session: &Session) -> bool {
    session.owner.is_some() && session.archived_at.is_none() && super::talk::is_talk(&session.key)
}

/// A region that shows what is unread.
#[must_use]
pub fn heard(live: Live) -> Live {
    live.table(READ_MARKS.name)
}
