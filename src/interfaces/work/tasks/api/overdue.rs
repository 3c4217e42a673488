//! Missed tasks, and the rule for when a task counts as missed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::with_etag;
use app::Ws;
use features::tasks::model::overdue::TaskRules;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::TaskView;
use features::tasks::queries::{self, due, overdue};
use features::tasks::rules::overdue as rules;
use kernel::{Can, Delegation};
use store::WriteTx;
use web::error::ApiError;
use web::etag::Tagged;
use web::extract::{Json, Patch, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

pub(super) fn api() -> Routes {
    Routes::new()
        .post(
            "/tasks/{task}/reopen",
            reopen.needs(Can::Write).doc(|| {
                Doc::new("Reopen a missed task with a new date and its former status")
                    .body::<Reopened>()
                    .returns::<TaskView>()
            }),
        )
        .get(
            "/settings/tasks",
            show.needs(Can::Read).doc(|| Doc::new("Rules for tasks").returns::<RulesView>()),
        )
        .patch(
            "/settings/tasks",
            change.needs(Can::Admin).doc(|| {
                Doc::new("Change the rules for tasks").body::<RulesBody>().returns::<RulesView>()
            }),
        )
}

/// A new date.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reopened {
    /// A day (`2026-11-20`) or a moment in RFC 3339, still to come.
    due_at: String,
}

/// Rules for tasks.
#[derive(Serialize, JsonSchema)]
struct RulesView {
    /// So many days after its due date a task that nobody is at is missed; 0 is the next day.
    missed_after_days: u16,
    /// To which other agents an agent may give work.
    delegation: Delegation,
}

/// Rules to change; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RulesBody {
    missed_after_days: Option<u16>,
    delegation: Option<Delegation>,
}

async fn reopen(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<Reopened>,
) -> Result<Tagged<TaskView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let zone = due::zone(&who.zone);
    let reopened = once.run(move |tx: &mut WriteTx<'_>| {
        let at = due::parse(&body.due_at, &zone, tx.now())?;
        rules::reopen(tx, id, at, due::has_time(&body.due_at)).map(|_| ())
    });
    ws.write(&who, reopened).await.map_err(TaskError::in_api)?;
    with_etag(&ws, id)
}

fn view(ws: &Ws) -> Result<Json<RulesView>, ApiError> {
    let rules = ws.read(|snap| overdue::rules(snap))?;
    let TaskRules { missed_after_days, delegation } = rules;
    Ok(Json(RulesView { missed_after_days, delegation }))
}

async fn show(ws: Ws) -> Result<Json<RulesView>, ApiError> {
    view(&ws)
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    Patch(body): Patch<RulesBody>,
) -> Result<Json<RulesView>, ApiError> {
    let changed = once.run(move |tx: &mut WriteTx<'_>| -> Result<(), TaskError> {
        let now = overdue::rules(tx)?;
        let rules = TaskRules {
            missed_after_days: body.missed_after_days.unwrap_or(now.missed_after_days),
            delegation: body.delegation.unwrap_or(now.delegation),
        };
        rules::set_rules(tx, rules).map(|_| ())
    });
    ws.write(&who, changed).await?;
    view(&ws)
}
