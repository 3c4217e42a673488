//! Invitations: links that make their bearer a member, once. Nobody grants more than their own role.

use jiff::SignedDuration;

use crypto::token::{Token, TokenHash};
use kernel::{AccountId, Event, InviteId, Role};
use store::{ReadExt, WriteTx};

use super::super::model::{Invite, InviteSecret, Member};
use super::super::queries;
use super::WorkspaceError;
use super::members::{self, Joining};

/// Lifetime of an invitation.
pub const LIFE: SignedDuration = SignedDuration::from_hours(72);
/// Maximum number of open invitations.
const MOST: usize = 100;

pub struct NewInvite {
    /// Role of the new member.
    pub role: Role,
    /// Bound address in lower case.
    pub email: Option<String>,
    /// Public part of the token.
    pub public: String,
    pub hash: TokenHash,
    /// Members without an account here. They may be invited to continue their membership.
    pub strangers: Vec<AccountId>,
}

/// Creates an invitation.
///
/// # Errors
/// If the role is above the actor's own, or the person is already a member.
pub fn create(tx: &mut WriteTx<'_>, new: NewInvite) -> Result<Invite, WorkspaceError> {
    members::may_handle(tx, new.role)?;
    let by = tx.by().account().ok_or(WorkspaceError::PeopleOnly)?;
    let now = tx.now();
    if MOST <= queries::open_invites(tx, now)?.len() {
        return Err(WorkspaceError::ManyInvites(MOST));
    }
    let here = queries::members(tx)?;
    if let Some(known) = here.iter().find(|one| Some(&one.email) == new.email.as_ref()) {
        if !new.strangers.contains(&known.account) {
            let text = format!("{} is already a member", known.name);
            return Err(WorkspaceError::field("email", text));
        }
        // The invited person continues that member's role.
        members::may_handle(tx, known.role)?;
    }
    let invite = Invite {
        id: tx.new_id(),
        public: new.public,
        role: new.role,
        email: new.email,
        by,
        created_at: now,
        expires_at: now + LIFE,
        ended_at: None,
        used_by: None,
    };
    tx.put(&invite)?;
    tx.put(&InviteSecret { invite: invite.id, hash: new.hash })?;
    tx.emit(Event::Invited { invite: invite.id, role: invite.role });
    Ok(invite)
}

/// Withdraws an invitation. A used or withdrawn one stays unchanged.
///
/// # Errors
/// If there is no such invitation, or its role is above the actor's own.
pub fn withdraw(tx: &mut WriteTx<'_>, id: InviteId) -> Result<Invite, WorkspaceError> {
    let mut invite = tx.get::<Invite>(id)?.ok_or(WorkspaceError::NoInvite)?;
    members::may_handle(tx, invite.role)?;
    if invite.ended_at.is_none() {
        invite.ended_at = Some(tx.now());
        tx.put(&invite)?;
        tx.delete::<InviteSecret>(id)?;
        tx.emit(Event::InviteWithdrawn { invite: id });
    }
    Ok(invite)
}

/// Reserves an invitation for an account that is about to be created. [`accept`] or [`finish`] uses it up; [`release`]
/// frees it if the account was not created.
///
/// # Errors
/// If it is invalid or already reserved.
pub fn claim(
    tx: &mut WriteTx<'_>,
    token: &Token,
    account: AccountId,
) -> Result<Invite, WorkspaceError> {
    let mut invite = queries::invite(tx, token, tx.now())?.ok_or(WorkspaceError::DeadInvite)?;
    if invite.used_by.is_some() {
        return Err(WorkspaceError::DeadInvite);
    }
    invite.used_by = Some(account);
    tx.put(&invite)?;
    Ok(invite)
}

/// Frees a reserved invitation whose account was not created.
pub fn release(tx: &mut WriteTx<'_>, id: InviteId) -> Result<(), WorkspaceError> {
    let open = tx.get::<Invite>(id)?.filter(|one| one.ended_at.is_none() && one.used_by.is_some());
    if let Some(invite) = open {
        tx.put(&Invite { used_by: None, ..invite })?;
    }
    Ok(())
}

/// Uses up an invitation and adds the member. `anew` means that the account was just created for it, possibly for an
/// imported member.
///
/// # Errors
/// If it is invalid, reserved, or bound to somebody else.
pub fn accept(
    tx: &mut WriteTx<'_>,
    token: &Token,
    who: Joining,
    anew: bool,
) -> Result<Member, WorkspaceError> {
    let invite = queries::invite(tx, token, tx.now())?.ok_or(WorkspaceError::DeadInvite)?;
    use_up(tx, invite, who, anew)
}

/// Uses up a reserved invitation for the account that was created since.
///
/// # Errors
/// If it was withdrawn meanwhile or reserved for another account.
pub fn finish(tx: &mut WriteTx<'_>, id: InviteId, who: Joining) -> Result<Member, WorkspaceError> {
    let invite = tx.get::<Invite>(id)?.filter(|one| one.ended_at.is_none());
    use_up(tx, invite.ok_or(WorkspaceError::DeadInvite)?, who, true)
}

fn use_up(
    tx: &mut WriteTx<'_>,
    mut invite: Invite,
    who: Joining,
    anew: bool,
) -> Result<Member, WorkspaceError> {
    let now = tx.now();
    if invite.used_by.is_some_and(|by| by != who.account) {
        return Err(WorkspaceError::DeadInvite);
    }
    if invite.email.as_ref().is_some_and(|only| *only != who.email) {
        return Err(WorkspaceError::OtherPerson);
    }
    if !anew && queries::member(tx, who.account)?.is_some() {
        return Err(WorkspaceError::Member);
    }
    (invite.ended_at, invite.used_by) = (Some(now), Some(who.account));
    tx.put(&invite)?;
    tx.delete::<InviteSecret>(invite.id)?;
    tx.emit(Event::InviteAccepted { invite: invite.id, account: who.account });
    members::join(tx, who, invite.role)
}

/// Sets whether owners and admins must have a second factor.
///
/// # Errors
/// If the actor is no owner.
pub fn require_factor(
    tx: &mut WriteTx<'_>,
    policy: super::super::model::People,
) -> Result<(), WorkspaceError> {
    members::may_handle(tx, Role::Owner)?;
    tx.put(&policy)?;
    Ok(())
}
