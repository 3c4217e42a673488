//! What one member has to do goes to another. The tasks and agents themselves are changed by their own
//! rules; here are who may take over, what remembers it until it is done, and what tells of it.

use kernel::{AccountId, Event, Role};
use store::{ReadExt, WriteTx};

use super::super::model::{Handover, Member};
use super::super::queries;
use super::WorkspaceError;
use super::members::Shut;

/// Remembers who takes over from whom, until [`end`].
///
/// # Errors
/// When the heir is nobody who can do the work.
pub fn begin(
    tx: &mut WriteTx<'_>,
    from: AccountId,
    to: AccountId,
    shut: &Shut,
) -> Result<Member, WorkspaceError> {
    let heir = queries::member(tx, to)?.ok_or(WorkspaceError::NoMember(to))?;
    if to == from || heir.role == Role::Viewer || shut.contains_key(&to) {
        let text = format!("{} cannot take over this work; choose somebody else", heir.name);
        return Err(WorkspaceError::field("to", text));
    }
    let began_at = tx.now();
    tx.put(&Handover { from, to, began_at })?;
    Ok(heir)
}

/// Says what has changed hands.
pub fn tell(tx: &mut WriteTx<'_>, from: AccountId, to: AccountId, tasks: usize, agents: usize) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (tasks, agents) = (count(tasks), count(agents));
    tx.emit(Event::MemberHandedOver { account: from, to, tasks, agents });
}

/// All of it has changed hands.
pub fn end(tx: &mut WriteTx<'_>, from: AccountId) -> Result<(), WorkspaceError> {
    if tx.get::<Handover>(from)?.is_some() {
        tx.delete::<Handover>(from)?;
    }
    Ok(())
}
