//! Writes of the workspace list in `system.redb`. A workspace's own data is in its own store; changes to both are made
//! there first.

use jiff::SignedDuration;

use kernel::{Event, Timestamp, WorkspaceId, WorkspaceState};
use store::{Range, ReadExt, WriteTx};

use super::super::model::{ApiToken, TokenSecret, Workspace};
use super::UsersError;

/// Grace period between the request and the deletion of a workspace.
pub const GRACE: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Adds a workspace to the list, unless it is there.
pub fn list(tx: &mut WriteTx<'_>, workspace: &Workspace) -> Result<(), UsersError> {
    if tx.get::<Workspace>(workspace.id)?.is_none() {
        tx.put(workspace)?;
        tx.emit(Event::WorkspaceAdded { workspace: workspace.id, slug: workspace.slug.clone() });
    }
    Ok(())
}

/// Updates the copy of a workspace's name.
pub fn relabel(
    tx: &mut WriteTx<'_>,
    id: WorkspaceId,
    label: &str,
    emoji: &str,
) -> Result<(), UsersError> {
    if let Some(mut kept) = tx.get::<Workspace>(id)? {
        label.clone_into(&mut kept.label);
        emoji.clone_into(&mut kept.emoji);
        tx.put(&kept)?;
    }
    Ok(())
}

/// Archives a workspace, schedules its deletion, or restores it.
///
/// # Errors
/// If it is not listed.
pub fn set_state(
    tx: &mut WriteTx<'_>,
    id: WorkspaceId,
    to: WorkspaceState,
) -> Result<Workspace, UsersError> {
    let mut kept = tx.get::<Workspace>(id)?.ok_or(UsersError::NotFound("workspace"))?;
    let from = kept.state;
    if from == to {
        return Ok(kept);
    }
    kept.state = to;
    kept.delete_after = (to == WorkspaceState::Deleting).then(|| tx.now() + GRACE);
    tx.put(&kept)?;
    tx.emit(Event::WorkspaceStateChanged { workspace: id, from, to });
    Ok(kept)
}

/// Removes a workspace from the list and revokes its tokens. Its history stays in the feed.
pub fn forget(tx: &mut WriteTx<'_>, id: WorkspaceId) -> Result<(), UsersError> {
    let Some(kept) = tx.get::<Workspace>(id)? else { return Ok(()) };
    withdraw_tokens(tx, |token| token.workspace == id)?;
    tx.delete::<Workspace>(id)?;
    tx.emit(Event::WorkspaceRemoved { workspace: id, slug: kept.slug, label: kept.label });
    Ok(())
}

/// Revokes the matching unrevoked tokens. Returns the number.
pub fn withdraw_tokens(
    tx: &mut WriteTx<'_>,
    which: impl Fn(&ApiToken) -> bool,
) -> Result<usize, UsersError> {
    let now: Timestamp = tx.now();
    let open = |token: &ApiToken| token.is_open() && now < token.expires_at;
    let all = tx.list::<ApiToken>(&Range::all())?;
    let gone: Vec<_> = all.into_iter().filter(|token| open(token) && which(token)).collect();
    let count = gone.len();
    for mut token in gone {
        token.revoked_at = Some(now);
        tx.put(&token)?;
        tx.delete::<TokenSecret>(token.id)?;
        tx.emit(Event::TokenRevoked { token: token.id });
    }
    Ok(count)
}
