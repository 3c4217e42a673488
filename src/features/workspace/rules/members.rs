//! Who belongs to the workspace and as what. Nobody gives or takes more than they have, and there is
//! always an owner.

use std::collections::BTreeMap;

use crate::agents::queries as agents;
use kernel::key::KeyBuf;
use kernel::{AccountId, Actor, Event, Role, Timestamp, Via};
use store::{ReadExt, WriteTx};

use super::super::model::{MEMBER_BY_HANDLE, Member};
use super::super::queries;
use super::WorkspaceError;

/// What whoever writes may do as the people of the workspace go. Whoever runs the machine counts as
/// an owner.
///
/// # Errors
/// When it is nobody of the workspace.
pub fn standing(tx: &WriteTx<'_>) -> Result<Role, WorkspaceError> {
    match tx.by() {
        Actor::System(_) | Actor::Person { via: Via::Socket { .. }, .. } => Ok(Role::Owner),
        Actor::Person { account, .. } => {
            let member = queries::member(tx, account)?;
            Ok(member.ok_or(WorkspaceError::NoMember(account))?.role)
        }
        _ => Err(WorkspaceError::PeopleOnly),
    }
}

/// Refuses who may not give this role, or touch somebody who has it.
///
/// # Errors
/// When it is more than their own.
pub fn may_handle(tx: &WriteTx<'_>, role: Role) -> Result<(), WorkspaceError> {
    match queries::may_give(standing(tx)?, role) {
        true => Ok(()),
        false => Err(WorkspaceError::MoreThanOwn(role.label())),
    }
}

fn present(tx: &WriteTx<'_>, account: AccountId) -> Result<Member, WorkspaceError> {
    queries::member(tx, account)?.ok_or(WorkspaceError::NoMember(account))
}

/// People whose accounts are closed, or who have none here: they own what they own, and nobody can count on
/// them.
pub type Shut = BTreeMap<AccountId, Timestamp>;

/// Refuses to leave the workspace without an owner who can sign in.
fn keep_an_owner(tx: &WriteTx<'_>, going: &Member, shut: &Shut) -> Result<(), WorkspaceError> {
    match going.role == Role::Owner && !queries::has_other_owner(tx, going.account, shut)? {
        true => Err(WorkspaceError::LastOwner),
        false => Ok(()),
    }
}

/// Changes what a member is.
///
/// # Errors
/// When it is more than one's own, or the last owner who can sign in.
pub fn change_role(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    to: Role,
    shut: &Shut,
) -> Result<Member, WorkspaceError> {
    let mut member = present(tx, account)?;
    may_handle(tx, member.role)?;
    may_handle(tx, to)?;
    if member.role == to {
        return Ok(member);
    }
    keep_an_owner(tx, &member, shut)?;
    let from = std::mem::replace(&mut member.role, to);
    tx.put(&member)?;
    tx.emit(Event::MemberRoleChanged { account, from, to });
    Ok(member)
}

/// Ends a membership: one's own, or that of somebody with no more rights. The row stays, for the
/// names in the history.
///
/// # Errors
/// When it is somebody with more rights, or the last owner who can sign in.
pub fn remove(
    tx: &mut WriteTx<'_>,
    account: AccountId,
    shut: &Shut,
) -> Result<Member, WorkspaceError> {
    let member = present(tx, account)?;
    let own = tx.by().account() == Some(account);
    if !own {
        may_handle(tx, member.role)?;
    }
    keep_an_owner(tx, &member, shut)?;
    leave(tx, member)
}

/// Ends the membership of somebody who came with the workspace from elsewhere and has no account here: who they
/// are joins as who they are here.
///
/// # Errors
/// When it is no member.
pub fn give_way(tx: &mut WriteTx<'_>, stranger: AccountId) -> Result<Member, WorkspaceError> {
    let member = present(tx, stranger)?;
    leave(tx, member)
}

fn leave(tx: &mut WriteTx<'_>, mut member: Member) -> Result<Member, WorkspaceError> {
    member.left_at = Some(tx.now());
    tx.put(&member)?;
    tx.emit(Event::MemberLeft { account: member.account });
    Ok(member)
}

/// A person who joins.
#[derive(Clone, Debug)]
pub struct Joining {
    pub account: AccountId,
    /// The name for others.
    pub name: String,
    /// The email address.
    pub email: String,
}

/// Makes somebody a member, or one again.
///
/// # Errors
/// When the name is none.
pub(super) fn join(
    tx: &mut WriteTx<'_>,
    who: Joining,
    role: Role,
) -> Result<Member, WorkspaceError> {
    let name = queries::checked_member_name(&who.name)?;
    let former = tx.get::<Member>(who.account)?;
    let wanted = former.map_or_else(|| super::handle(&name, &who.email), |former| former.handle);
    let member = Member {
        account: who.account,
        handle: free_handle(tx, &wanted, who.account)?,
        name,
        email: who.email,
        role,
        created_at: tx.now(),
        left_at: None,
    };
    tx.put(&member)?;
    tx.emit(Event::MemberJoined { account: who.account });
    Ok(member)
}

/// Makes an account an owner of a workspace that came from elsewhere, beside the people in it.
///
/// # Errors
/// When the name is none.
pub fn take_over(tx: &mut WriteTx<'_>, who: Joining) -> Result<Member, WorkspaceError> {
    join(tx, who, Role::Owner)
}

/// The wanted handle, with a number if another person or agent is called so.
fn free_handle(tx: &WriteTx<'_>, wanted: &str, own: AccountId) -> Result<String, WorkspaceError> {
    let mut handle = wanted.to_owned();
    for number in 2.. {
        let mut key = KeyBuf::new();
        key.text(&handle);
        let person = tx.find::<Member>(MEMBER_BY_HANDLE, &key)?.filter(|one| one.account != own);
        if person.is_none() && agents::by_slug(tx, &handle)?.is_none() {
            break;
        }
        handle = format!("{wanted}-{number}");
    }
    Ok(handle)
}
