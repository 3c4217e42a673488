//! Workspaces whose members have no account here: the folder was copied into the data directory, or the accounts were
//! lost.

use crate::people::{accounts, handover};
use crate::portable::still;
use app::{App, Ws, blocking};
use features::agents::queries as agents;
use features::users;
use features::workspace::queries;
use features::workspace::rules::members::{self, Joining};
use kernel::{Actor, Cause, Part};
use store::{StoreError, WriteTx};

use super::error::LifeError;

/// Reason of runs that are ended.
const CAME: &str = "the workspace came from another HQ";

/// Pauses a workspace from another HQ, where the original may still be active: running work ends, agents are paused,
/// unsent messages are dropped, and nothing starts until a person resumes it. Runs before the workspace is listed, so
/// an interrupted attempt is repeated. Not applied to workspaces of this HQ, whose members all have accounts, and to
/// an interrupted set-up, which has no agents.
pub(super) async fn quieten(
    app: &App,
    by: (Actor, Cause),
    ws: &Ws,
    owned: bool,
) -> Result<(), LifeError> {
    let is_used = owned || !ws.read(|snap| agents::all(snap))?.is_empty();
    if !is_used || accounts::strangers(app, ws)?.is_empty() {
        return Ok(());
    }
    let store = ws.store.clone();
    let quieten = move || still::quieten(&store, by, CAME);
    let quiet = blocking(quieten, StoreError::Panicked).await?;
    let still::Quiet { interrupted, paused } =
        quiet.map_err(|error| StoreError::Failed(error.to_string()))?;
    tracing::warn!(
        workspace = ws.slug,
        "{} comes from another HQ: all work is paused until someone resumes it ({interrupted} runs \
         ended, {paused} agents paused), and its members are invited again by email address",
        ws.slug
    );
    Ok(())
}

/// Makes the owner of this HQ an owner of a workspace in which no owner can sign in. The next start retries after a
/// failure.
pub(super) async fn take_over(app: &App, by: (Actor, Cause), ws: &Ws) {
    if let Err(error) = give_owner(app, by, ws).await {
        tracing::error!(workspace = ws.slug, %error, "couldn't make anyone its owner");
    }
}

async fn give_owner(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    let shut = accounts::shut(app, ws)?;
    let is_owned = ws.read(|snap| {
        // Before its set-up, a workspace has no members and waits for the first one.
        let is_new = queries::members(snap)?.is_empty();
        Ok::<_, StoreError>(is_new || queries::open_owners(snap, &shut)?.next().is_some())
    })?;
    if is_owned {
        return Ok(());
    }
    let Some(keeper) = app.system.read(|snap| users::queries::keeper(snap))? else {
        return Ok(());
    };
    let former = accounts::former(app, ws, &keeper)?;
    let joining = Joining { account: keeper.id, name: keeper.name, email: keeper.email };
    let join = move |tx: &mut WriteTx<'_>| members::take_over(tx, joining);
    let member = handover::succeed(ws, &by, (former, shut), join).await?;
    tracing::warn!(workspace = ws.slug, "{} now owns {}", member.email, ws.slug);
    Ok(())
}

/// Like [`take_over`] for all workspaces, after HQ was set up with existing workspaces.
pub(crate) async fn take_over_all(app: &App) {
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in &all {
        take_over(app, by, ws).await;
    }
}
