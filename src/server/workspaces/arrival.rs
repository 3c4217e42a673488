//! A workspace in which nobody has an account here: its folder was put into the data folder by hand, or the
//! accounts were lost.

use crate::app::{App, Ws};
use crate::features::users;
use crate::features::workspace::rules::members::{self, Joining};
use crate::kernel::{Actor, Cause};
use crate::server::people::{accounts, handover};
use crate::server::portable::still;
use crate::store::{StoreError, WriteTx};

use super::error::LifeError;

/// Why runs end that were at work.
const CAME: &str = "the workspace came from another HQ";

/// Whether there are members, and none of them has an account here.
fn is_of_strangers(app: &App, ws: &Ws) -> Result<bool, StoreError> {
    let (known, strangers) = accounts::told_apart(app, ws)?;
    Ok(known.is_empty() && !strangers.is_empty())
}

/// Lets everything stand still in a workspace that comes from another HQ, which may go on there: what was at work
/// ends, agents are paused, nothing begins until somebody resumes it. Before it is listed: what is cut off is
/// done again.
///
/// # Errors
/// When a store refuses.
pub(super) async fn quieten(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    if !is_of_strangers(app, ws)? {
        return Ok(());
    }
    let store = ws.store.clone();
    let quiet = super::life::blocking(move || still::quieten(&store, by, CAME)).await?;
    let still::Quiet { interrupted, paused } =
        quiet.map_err(|error| StoreError::Failed(error.to_string()))?;
    tracing::warn!(
        workspace = ws.slug,
        "{} comes from another HQ: all work stands still until somebody resumes it ({interrupted} runs \
         ended, {paused} agents paused), and its people are asked in again by their addresses",
        ws.slug
    );
    Ok(())
}

/// Makes the keeper of this HQ an owner where nobody else could sign in.
///
/// # Errors
/// When a store refuses.
pub(super) async fn take_over(app: &App, by: (Actor, Cause), ws: &Ws) -> Result<(), LifeError> {
    if !is_of_strangers(app, ws)? {
        return Ok(());
    }
    let Some(keeper) = app.system.read(|snap| users::queries::keeper(snap))? else {
        return Ok(());
    };
    let former = accounts::former(app, ws, &keeper)?;
    let joining = Joining { account: keeper.id, name: keeper.name, email: keeper.email };
    let join = move |tx: &mut WriteTx<'_>| members::take_over(tx, joining);
    let member = handover::succeed(ws, &by, former, join).await?;
    tracing::warn!(workspace = ws.slug, "{} owns {} from now on", member.email, ws.slug);
    Ok(())
}
