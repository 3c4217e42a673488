//! Limits of runs, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::ReachOf;
use features::runs::model::{RunBounds, RunLimits};
use features::runs::queries::run_limits as reading;
use features::runs::rules;
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::sessions::agent;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/run-limits",
            of_workspace.needs(Can::Read).doc(|| {
                Doc::new(
                    "Limits of model calls, tool calls and working time per run; budgets limit \
                     cost and tokens",
                )
                .returns::<RunLimitsOut>()
            }),
        )
        .put(
            "/run-limits",
            set_workspace.needs(Can::Admin).doc(|| {
                Doc::new("Set them for all runs; they apply from each run's next step")
                    .body::<RunLimitsBody>()
                    .returns::<RunLimitsOut>()
            }),
        )
        .get(
            "/agents/{agent}/run-limits",
            of_agent
                .needs(Can::Read)
                .doc(|| Doc::new("Limits of an agent's runs").returns::<RunLimitsOut>()),
        )
        .put(
            "/agents/{agent}/run-limits",
            set_agent
                .needs(Can::Agents)
                .doc(|| Doc::new("Choose that").body::<RunLimitsBody>().returns::<RunLimitsOut>()),
        )
}

/// What counts, and what of it was chosen here.
#[derive(Serialize, JsonSchema)]
struct RunLimitsOut {
    /// The most model calls of a run.
    calls: u32,
    /// The most tool calls of a run.
    tool_calls: u32,
    /// For how many minutes a run works; waiting does not count.
    working_minutes: u32,
    /// What was chosen here; what is none is decided above it, or as usual.
    chosen: RunLimitsBody,
}

impl RunLimitsOut {
    fn of(own: &RunLimits, counts: &RunLimits) -> Json<Self> {
        let RunBounds { calls, tool_calls, working_minutes } = RunBounds::of(counts);
        let chosen = RunLimitsBody {
            calls: own.calls,
            tool_calls: own.tool_calls,
            working_minutes: own.working_minutes,
        };
        Json(Self { calls, tool_calls, working_minutes, chosen })
    }
}

/// A choice; what is left out is decided above it, or as usual.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RunLimitsBody {
    /// The most model calls of a run, 1 to 10000.
    #[serde(default)]
    calls: Option<u32>,
    /// The most tool calls of a run, 1 to 20000.
    #[serde(default)]
    tool_calls: Option<u32>,
    /// For how many minutes a run works, 1 to 10080.
    #[serde(default)]
    working_minutes: Option<u32>,
}

impl RunLimitsBody {
    fn limits(&self, of: ReachOf) -> RunLimits {
        RunLimits::of_values(of, [self.calls, self.tool_calls, self.working_minutes])
    }
}

async fn of_workspace(ws: Ws, _: Person) -> Result<Json<RunLimitsOut>, ApiError> {
    let own = ws.read(|snap| reading::own(snap, ReachOf::Workspace))?;
    Ok(RunLimitsOut::of(&own, &own))
}

async fn set_workspace(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<RunLimitsBody>,
) -> Result<Json<RunLimitsOut>, ApiError> {
    let limits = body.limits(ReachOf::Workspace);
    ws.write(&who, once.run(move |tx| rules::run_limits::set(tx, limits))).await?;
    of_workspace(ws, who).await
}

async fn of_agent(
    ws: Ws,
    _: Person,
    Path(name): Path<String>,
) -> Result<Json<RunLimitsOut>, ApiError> {
    ws.read(|snap| {
        let agent = agent(snap, &name)?.id;
        let own = reading::own(snap, ReachOf::Agent(agent))?;
        Ok(RunLimitsOut::of(&own, &reading::chosen(snap, agent)?))
    })
}

async fn set_agent(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<RunLimitsBody>,
) -> Result<Json<RunLimitsOut>, ApiError> {
    let found = ws.read(|snap| agent(snap, &name))?;
    let limits = body.limits(ReachOf::Agent(found.id));
    ws.write(&who, once.run(move |tx| rules::run_limits::set(tx, limits))).await?;
    of_agent(ws, who, Path(name)).await
}
