//! Notifies the admins of a workspace of failing backups, once for consecutive failures.
//!
//! Run rows are in the system store and notifications in the workspace stores, so this cannot share a transaction with
//! the run. Each call checks who was already notified. A run that was cut off by a kill is reported at the next start.

use crate::workspace::queries as workspace;
use app::{App, Ws};
use kernel::{Actor, Cause, JobId, Part, Role};
use store::{StoreError, WriteTx};

use super::model::{BackupRun, Deed};
use super::{queries, rules};

/// Jobs whose failure is notified. A blocked prune only has its row.
const TOLD: [Deed; 3] = [Deed::Backup, Deed::Drill, Deed::Verify];
/// Replaces a reason that not all admins of the workspace may read, because it names targets and other workspaces.
const ELSEWHERE: &str = "An HQ administrator can see the reason in Settings, Backups.";

/// Notifies of every failure that was not notified yet.
pub async fn tell(app: &App) {
    for deed in TOLD {
        if let Err(error) = tell_of(app, deed).await {
            tracing::warn!(%error, "that {} failed could not be told", deed.noun());
        }
    }
}

async fn tell_of(app: &App, deed: Deed) -> Result<(), StoreError> {
    let place = queries::usual_place(app)?;
    let failing = app.system.read(|snap| queries::failing(snap, deed, &place))?;
    let Some((run, in_a_row)) = failing else {
        return Ok(());
    };
    let all: Vec<Ws> = app.workspaces.read().clone();
    for ws in all {
        if let Err(error) = tell_in(&ws, &run, in_a_row.clone()).await {
            tracing::warn!(%error, "that {} failed could not be told in {}", deed.noun(), ws.slug);
        }
    }
    Ok(())
}

async fn tell_in(ws: &Ws, run: &BackupRun, in_a_row: Vec<JobId>) -> Result<(), StoreError> {
    let why = match may_all_read(ws)? {
        true => run.note.clone().unwrap_or_default(),
        false => ELSEWHERE.to_owned(),
    };
    let (title, cause) = (run.words(), Cause::Job(run.id));
    let by = Actor::System(Part::Timer);
    let tell =
        move |tx: &mut WriteTx<'_>| rules::tell_failed(tx, &title, &in_a_row, &why).map(drop);
    ws.store.write(by, cause, tell).await
}

/// Returns `true` if all admins of the workspace administer every workspace.
fn may_all_read(ws: &Ws) -> Result<bool, StoreError> {
    let members = ws.read(|snap| workspace::members(snap))?;
    for member in members.iter().filter(|one| matches!(one.role, Role::Owner | Role::Admin)) {
        if !queries::may_manage(&ws.app, member.account)? {
            return Ok(false);
        }
    }
    Ok(true)
}
