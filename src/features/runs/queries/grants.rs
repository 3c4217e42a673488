//! Senders of messages from messengers.

use crate::runs::model::{Grant, Input, InputGrant, Sender, SenderGrant};
use crate::workspace::model::Member;
use kernel::{InputId, Role, RunId};
use store::{Read, ReadExt, StoreError};

/// The sender to whose rights a run is cut; `None` if it has all rights of its agent.
pub fn of_run(read: &dyn Read, run: RunId) -> Result<Option<Grant>, StoreError> {
    Ok(read.get::<SenderGrant>(run)?.map(|one| one.grant))
}

/// The sender of an input; `None` if it did not come over a messenger.
pub fn of_input(read: &dyn Read, input: InputId) -> Result<Option<Grant>, StoreError> {
    Ok(read.get::<InputGrant>(input)?.map(|one| one.grant))
}

/// The sender as a member with their current role. `None` for guests, unknown accounts and former members.
pub fn member(read: &dyn Read, sender: Sender) -> Result<Option<Member>, StoreError> {
    let Sender::Person(account) = sender else { return Ok(None) };
    Ok(read.get::<Member>(account)?.filter(|member| member.left_at.is_none()))
}

/// Whether a role may change things.
#[must_use]
pub fn may_write(role: Role) -> bool {
    match role {
        Role::Owner | Role::Admin | Role::Member => true,
        Role::Viewer => false,
    }
}

/// Whether an input is a message of a person or a guest, not of HQ and not a comment.
pub fn is_message(read: &dyn Read, input: &Input) -> Result<bool, StoreError> {
    Ok(input.is_talk() || of_input(read, input.id)?.is_some())
}
