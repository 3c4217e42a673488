//! Disabling, enabling and removing accounts. An account spans all workspaces, so only a person who owns all
//! workspaces of the account, or the machine's owner, may change it.

use std::collections::BTreeSet;

use app::{App, Who, Ws};
use features::backups::queries::damaged;
use features::users;
use features::users::model::{Account, Workspace};
use features::users::rules::{UsersError, accounts as rules};
use features::workspace::model::Member;
use features::workspace::queries;
use features::workspace::rules::WorkspaceError;
use features::workspace::rules::members::Shut;
use kernel::{AccountId, Actor, Cause, Role};
use store::{Range, ReadExt, StoreError, WriteTx};
use web::error::PageError;
use web::session::Person;

/// Disabled accounts, and members without an account: nobody can sign in as them. A caller that makes a decision with
/// the result must hold `people_turn`.
pub fn shut(app: &App, ws: &Ws) -> Result<Shut, StoreError> {
    let mut shut = app.system.read(|snap| users::queries::disabled(snap))?;
    shut.extend(strangers(app, ws)?.into_iter().map(|one| (one.account, one.created_at)));
    Ok(shut)
}

/// Members without an account: they came with an imported workspace.
pub fn strangers(app: &App, ws: &Ws) -> Result<Vec<Member>, StoreError> {
    let members = ws.read(|snap| queries::members(snap))?;
    app.system.read(|snap| {
        let mut strangers = Vec::new();
        for member in members {
            if snap.get::<Account>(member.account)?.is_none() {
                strangers.push(member);
            }
        }
        Ok(strangers)
    })
}

/// The imported member with this account's email address: the same person with another id.
pub fn former(app: &App, ws: &Ws, account: &Account) -> Result<Option<AccountId>, StoreError> {
    let mut all = strangers(app, ws)?.into_iter();
    Ok(all.find(|one| one.email == account.email).map(|one| one.account))
}

/// Whether another workspace has, or may have, a member with this id. An account with the id would get access to that
/// workspace without an invitation. A workspace that is not open cannot be checked.
pub fn may_be_elsewhere(app: &App, ws: &Ws, account: AccountId) -> Result<bool, StoreError> {
    let open: Vec<Ws> = app.workspaces.read().clone();
    for place in open.iter().filter(|place| place.id != ws.id) {
        if place.read(|snap| queries::member(snap, account))?.is_some() {
            return Ok(true);
        }
    }
    let listed = app.system.read(|snap| snap.list::<Workspace>(&Range::all()))?;
    Ok(listed.iter().any(|row| open.iter().all(|place| place.id != row.id)))
}

/// Rejects unless `who` owns all workspaces of the account in which `counts` accepts its role.
///
/// # Errors
/// When `who` does not own one of them.
pub fn owns_all(
    app: &App,
    who: &Person,
    account: AccountId,
    counts: impl Fn(Role) -> bool,
) -> Result<(), WorkspaceError> {
    for place in queries::places(app, account)? {
        let own = place.ws.read(|snap| queries::member(snap, who.account))?;
        let owns = own.is_some_and(|own| own.role == Role::Owner);
        if counts(place.member.role) && !owns {
            return Err(WorkspaceError::OtherPlace);
        }
    }
    Ok(())
}

/// The member with this account. `own` describes the action that people cannot take on their own account.
///
/// # Errors
/// When the account is the person's own or not a member's.
pub fn another(
    ws: &Ws,
    who: &Person,
    account: AccountId,
    own: &'static str,
) -> Result<Member, WorkspaceError> {
    let member = ws.read(|snap| queries::member(snap, account))?;
    let member = member.ok_or(WorkspaceError::NoMember(account))?;
    if account == who.account { Err(WorkspaceError::OwnAccount(own)) } else { Ok(member) }
}

/// Disables or enables the account of a member.
///
/// # Errors
/// When the account is the person's own or not a member's, or the person lacks the right.
pub async fn set(
    app: &App,
    ws: &Ws,
    who: &Person,
    account: AccountId,
    open: bool,
) -> Result<(Member, Account), PageError> {
    // People must not lock themselves out.
    let own = "disable your own account; another owner can, or `hq user disable`";
    let member = another(ws, who, account, own)?;
    owns_all(app, who, account, |_| true)?;
    let now = carry_out(app, (who.actor(), who.cause()), account, open).await?;
    Ok((member, now))
}

/// Accounts without a workspace and without a claimed invitation, except the account of the HQ's owner; oldest first.
/// Empty if a workspace is not open, because the accounts may belong to it.
pub fn without_workspace(app: &App) -> Result<Vec<Account>, StoreError> {
    let open: Vec<Ws> = app.workspaces.read().clone();
    let mut belong: BTreeSet<AccountId> = BTreeSet::new();
    for ws in &open {
        ws.read(|snap| {
            belong.extend(queries::members(snap)?.into_iter().map(|one| one.account));
            belong.extend(queries::taken_invites(snap)?.into_iter().filter_map(|one| one.used_by));
            Ok::<_, StoreError>(())
        })?;
    }
    app.system.read(|snap| {
        let listed = snap.list::<Workspace>(&Range::all())?;
        if listed.iter().any(|row| open.iter().all(|ws| ws.id != row.id)) {
            return Ok(Vec::new());
        }
        belong.extend(users::queries::keeper(snap)?.map(|one| one.id));
        let mut all = users::queries::accounts(snap)?;
        all.retain(|one| !belong.contains(&one.id));
        Ok(all)
    })
}

/// Whether this person may manage accounts without a workspace: the HQ's owner, or a person who owns every workspace.
/// Owners of only some workspaces do not see other accounts.
pub fn decides(app: &App, who: &Person) -> Result<bool, StoreError> {
    if damaged::keeps(app, who.account)? {
        return Ok(true);
    }
    let all = app.ask_each(|ws| ws.read(|snap| queries::member(snap, who.account)))?;
    let owns = |member: &Option<Member>| member.as_ref().is_some_and(|one| one.role == Role::Owner);
    Ok(app.broken.read().is_empty() && all.iter().all(|(_, member)| owns(member)))
}

/// Removes an account without a workspace.
///
/// # Errors
/// When the account does not exist or belongs to a workspace, or the person may not manage it.
pub async fn remove_as(app: &App, who: &Person, id: AccountId) -> Result<Account, PageError> {
    let decides = decides(app, who)?;
    let known = app.system.read(|snap| snap.get::<Account>(id))?.filter(|_| decides);
    let known = known.ok_or_else(|| UsersError::NoAccount(id.to_string()))?;
    if app.system.read(|snap| users::queries::keeper(snap))?.is_some_and(|one| one.id == id) {
        let own = "remove the account of HQ's admin";
        return Err(WorkspaceError::OwnAccount(own).into());
    }
    remove(app, (who.actor(), who.cause()), &known).await?;
    Ok(known)
}

/// Removes an account without a workspace, for example one left by an invitation that was not completed.
///
/// # Errors
/// When the account belongs, or may belong, to a workspace, or an invitation is claimed for it.
pub async fn remove(app: &App, by: (Actor, Cause), account: &Account) -> Result<(), PageError> {
    let _turn = app.people_turn.lock().await;
    let refused = |to: String| UsersError::Belongs(account.email.clone(), to);
    if let Some(place) = queries::places(app, account.id)?.into_iter().next() {
        return Err(refused(place.settings.name).into());
    }
    let open: Vec<Ws> = app.workspaces.read().clone();
    for ws in &open {
        let taken = ws.read(|snap| queries::taken_invites(snap))?;
        if taken.iter().any(|one| one.used_by == Some(account.id)) {
            return Err(refused(format!("{}, whose invitation it has taken", ws.slug)).into());
        }
    }
    let listed = app.system.read(|snap| snap.list::<Workspace>(&Range::all()))?;
    if let Some(shut) = listed.iter().find(|row| open.iter().all(|ws| ws.id != row.id)) {
        return Err(refused(format!("possibly {}, which isn't open", shut.slug)).into());
    }
    let id = account.id;
    app.system.write(by.0, by.1, move |tx| rules::remove(tx, id)).await?;
    Ok(())
}

/// Disables or enables an account. The last owner of a workspace cannot be disabled.
///
/// # Errors
/// When the account does not exist, or a workspace would have no owner who can sign in.
pub async fn carry_out(
    app: &App,
    by: (Actor, Cause),
    account: AccountId,
    open: bool,
) -> Result<Account, PageError> {
    let _turn = app.people_turn.lock().await;
    if !open {
        for place in queries::places(app, account)? {
            let shut = shut(app, &place.ws)?;
            let other = place.ws.read(|snap| queries::has_other_owner(snap, account, &shut))?;
            if place.member.role == Role::Owner && !other {
                return Err(WorkspaceError::OnlyOwner(place.settings.name).into());
            }
        }
    }
    let write = move |tx: &mut WriteTx<'_>| match open {
        true => rules::enable(tx, account),
        false => rules::disable(tx, account),
    };
    Ok(app.system.write(by.0, by.1, write).await?)
}
