//! Tells people of backups that fail: those who look after a workspace, once for all failures in a row.
//!
//! The rows of what was done lie in the store of accounts and notifications in those of workspaces, so
//! this comes after the row, and asks each time who knows already: what a kill cut off is told at the
//! next start.

use crate::workspace::queries as workspace;
use app::{App, Ws};
use kernel::{Actor, Cause, JobId, Part, Role};
use store::{StoreError, WriteTx};

use super::model::{BackupRun, Deed};
use super::{queries, rules};

/// What people wait for. That old backups were not tidied up stands in its row.
const TOLD: [Deed; 3] = [Deed::Backup, Deed::Drill, Deed::Verify];
/// In place of a reason that not everybody there may read: it names places and other workspaces.
const ELSEWHERE: &str = "Whoever administers this HQ sees why in its settings of backups.";

/// Tells of everything that fails and was not told.
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

/// Whether all who look after a workspace look after all of them.
fn may_all_read(ws: &Ws) -> Result<bool, StoreError> {
    let members = ws.read(|snap| workspace::members(snap))?;
    for member in members.iter().filter(|one| matches!(one.role, Role::Owner | Role::Admin)) {
        if !queries::may_manage(&ws.app, member.account)? {
            return Ok(false);
        }
    }
    Ok(true)
}
