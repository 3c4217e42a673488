//! Handover of a member's work to another member. Tasks and agents are changed by their own rules; this module checks
//! the recipient, records the handover until it is finished, and emits its event.

use kernel::{AccountId, Event, Role};
use store::{ReadExt, WriteTx};

use super::super::model::{Handover, Member};
use super::super::queries;
use super::WorkspaceError;
use super::members::Shut;

/// Records a handover until [`end`].
///
/// # Errors
/// If the recipient cannot do the work.
pub fn begin(
    tx: &mut WriteTx<'_>,
    from: AccountId,
    to: AccountId,
    shut: &Shut,
) -> Result<Member, WorkspaceError> {
    let heir = queries::member(tx, to)?.ok_or(WorkspaceError::NoMember(to))?;
    if to == from || heir.role == Role::Viewer || shut.contains_key(&to) {
        let text = format!("{} can't take over this work; choose someone else", heir.name);
        return Err(WorkspaceError::field("to", text));
    }
    let began_at = tx.now();
    tx.put(&Handover { from, to, began_at })?;
    Ok(heir)
}

/// Emits the event of a finished handover.
pub fn tell(tx: &mut WriteTx<'_>, from: AccountId, to: AccountId, tasks: usize, agents: usize) {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (tasks, agents) = (count(tasks), count(agents));
    tx.emit(Event::MemberHandedOver { account: from, to, tasks, agents });
}

/// Deletes the record of a finished handover.
pub fn end(tx: &mut WriteTx<'_>, from: AccountId) -> Result<(), WorkspaceError> {
    if tx.get::<Handover>(from)?.is_some() {
        tx.delete::<Handover>(from)?;
    }
    Ok(())
}
