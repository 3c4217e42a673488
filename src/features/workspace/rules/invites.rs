//! Invitations: a link that makes its bearer a member, once. Who makes it gives no more than they have.

use jiff::SignedDuration;

use crypto::token::{Token, TokenHash};
use kernel::{AccountId, Event, InviteId, Role};
use store::{ReadExt, WriteTx};

use super::super::model::{Invite, InviteSecret, Member};
use super::super::queries;
use super::WorkspaceError;
use super::members::{self, Joining};

/// How long an invitation is good.
pub const LIFE: SignedDuration = SignedDuration::from_hours(72);
/// How many may be open at once.
const MOST: usize = 100;

/// A new invitation.
pub struct NewInvite {
    /// What its bearer will be.
    pub role: Role,
    /// The only address that may use it, in lower case.
    pub email: Option<String>,
    /// The part of its token that finds it.
    pub public: String,
    pub hash: TokenHash,
    /// The members who have no account here: they may be asked in as who they are.
    pub strangers: Vec<AccountId>,
}

/// Makes an invitation.
///
/// # Errors
/// When it would give more than one's own rights, or the person is here already.
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
            let text = format!("{} is a member already", known.name);
            return Err(WorkspaceError::field("email", text));
        }
        // Whoever comes is who that member was.
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

/// Withdraws an invitation. One that was used or withdrawn stays as it is.
///
/// # Errors
/// When there is none, or it gives more than one's own rights.
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

/// Takes an invitation for an account that is made next. Nobody else uses it from here on; [`accept`] or [`finish`] uses
/// it up, [`release`] gives it back where there came to be no such account.
///
/// # Errors
/// When it is not good any more, or somebody has taken it.
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

/// Gives an invitation back that was taken for an account that there is not.
pub fn release(tx: &mut WriteTx<'_>, id: InviteId) -> Result<(), WorkspaceError> {
    let open = tx.get::<Invite>(id)?.filter(|one| one.ended_at.is_none() && one.used_by.is_some());
    if let Some(invite) = open {
        tx.put(&Invite { used_by: None, ..invite })?;
    }
    Ok(())
}

/// Uses an invitation up and makes its bearer a member; `anew` says that the account was made for it just
/// now, maybe as that of a member who came with the workspace from elsewhere.
///
/// # Errors
/// When it is not good any more, is taken, or is for somebody else.
pub fn accept(
    tx: &mut WriteTx<'_>,
    token: &Token,
    who: Joining,
    anew: bool,
) -> Result<Member, WorkspaceError> {
    let invite = queries::invite(tx, token, tx.now())?.ok_or(WorkspaceError::DeadInvite)?;
    use_up(tx, invite, who, anew)
}

/// Uses an invitation up for the account that it was taken for and that was made since.
///
/// # Errors
/// When it was withdrawn meanwhile, or taken for somebody else.
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

/// Says whether owners and admins must have a second factor here.
///
/// # Errors
/// When somebody else than an owner wants it.
pub fn require_factor(
    tx: &mut WriteTx<'_>,
    policy: super::super::model::People,
) -> Result<(), WorkspaceError> {
    members::may_handle(tx, Role::Owner)?;
    tx.put(&policy)?;
    Ok(())
}
