//! Membership and roles. Nobody grants or revokes more than their own role, and there is always an owner.

use std::collections::BTreeMap;

use crate::agents::queries as agents;
use kernel::key::KeyBuf;
use kernel::{AccountId, Actor, Event, Role, Timestamp, Via};
use store::{ReadExt, WriteTx};

use super::super::model::{MEMBER_BY_HANDLE, Member};
use super::super::queries;
use super::WorkspaceError;

/// Role of the acting person. A user of this machine's socket counts as owner.
///
/// # Errors
/// If the actor is no member.
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

/// Checks that the actor may grant this role or change a member who has it.
///
/// # Errors
/// If the role is above the actor's own.
pub fn may_handle(tx: &WriteTx<'_>, role: Role) -> Result<(), WorkspaceError> {
    match queries::may_give(standing(tx)?, role) {
        true => Ok(()),
        false => Err(WorkspaceError::MoreThanOwn(role.label())),
    }
}

fn present(tx: &WriteTx<'_>, account: AccountId) -> Result<Member, WorkspaceError> {
    queries::member(tx, account)?.ok_or(WorkspaceError::NoMember(account))
}

/// Disabled accounts, and members without an account here. They cannot act as owners.
pub type Shut = BTreeMap<AccountId, Timestamp>;

/// Rejects leaving the workspace without an owner who can sign in.
fn keep_an_owner(tx: &WriteTx<'_>, going: &Member, shut: &Shut) -> Result<(), WorkspaceError> {
    match going.role == Role::Owner && !queries::has_other_owner(tx, going.account, shut)? {
        true => Err(WorkspaceError::LastOwner),
        false => Ok(()),
    }
}

/// Changes a member's role.
///
/// # Errors
/// If the role is above the actor's own, or the member is the last owner who can sign in.
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

/// Ends a membership. The row stays, so that history can show the name.
///
/// # Errors
/// If the member has a higher role than the actor, or is the last owner who can sign in.
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
    remove_member(tx, member)
}

/// Ends the membership of an imported member without an account here, who joins again with a local account.
///
/// # Errors
/// If there is no such member.
pub fn give_way(tx: &mut WriteTx<'_>, stranger: AccountId) -> Result<Member, WorkspaceError> {
    let member = present(tx, stranger)?;
    remove_member(tx, member)
}

fn remove_member(tx: &mut WriteTx<'_>, mut member: Member) -> Result<Member, WorkspaceError> {
    member.left_at = Some(tx.now());
    tx.put(&member)?;
    tx.emit(Event::MemberLeft { account: member.account });
    Ok(member)
}

/// A joining person.
#[derive(Clone, Debug)]
pub struct Joining {
    pub account: AccountId,
    pub name: String,
    pub email: String,
}

/// Adds a member, or reactivates a former one.
///
/// # Errors
/// If the name is invalid.
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

/// Makes an account an owner of an imported workspace, in addition to its members.
///
/// # Errors
/// If the name is invalid.
pub fn take_over(tx: &mut WriteTx<'_>, who: Joining) -> Result<Member, WorkspaceError> {
    join(tx, who, Role::Owner)
}

/// The wanted handle, with a number if another person or agent uses it.
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
