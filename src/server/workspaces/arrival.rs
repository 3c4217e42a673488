//! Workspaces whose people have no account here: the folder was put into the data folder by hand, or the accounts were
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

/// Why runs end that were at work.
const CAME: &str = "the workspace came from another HQ";

/// Lets everything stand still in a workspace that comes from another HQ, which may go on there: what was at work
/// ends, agents are paused, what was to be sent is not, nothing begins until somebody resumes it. Before it is listed:
/// what is cut off is done again. One of this HQ has only people with an account here; where HQ has no
/// owner yet, one whose set-up was cut off has no agents.
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
        "{} comes from another HQ: all work is paused until somebody resumes it ({interrupted} runs \
         ended, {paused} agents paused), and its people are asked in again by their addresses",
        ws.slug
    );
    Ok(())
}

/// Makes the keeper of this HQ an owner where no owner could sign in. When a store refuses, the next start tries
/// it again.
pub(super) async fn take_over(app: &App, by: (Actor, Cause), ws: &Ws) {
    if let Err(error) = give_owner(app, by, ws).await {
        tracing::error!(workspace = ws.slug, %error, "nobody could be made its owner");
    }
}

async fn give_owner(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    let shut = accounts::shut(app, ws)?;
    let is_owned = ws.read(|snap| {
        // Before its set-up it has nobody, and waits for who comes first.
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
    tracing::warn!(workspace = ws.slug, "{} owns {} from now on", member.email, ws.slug);
    Ok(())
}

/// The same for each workspace, once somebody has set HQ up among them.
pub(crate) async fn take_over_all(app: &App) {
    let by = (Actor::System(Part::Setup), Cause::Setup);
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in &all {
        take_over(app, by, ws).await;
    }
}
