//! The API of cost and tokens.

pub(super) mod budgets;
mod days;
pub(super) mod files;
pub(super) mod prices;
mod report;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::machines;
use features::runs::queries as runs;
use features::workspace::model::Settings;
use kernel::{AgentId, CallEnd, CallKind, Can, ConnectionId, PricedBy, Route, RunId};
use store::{ReadExt, StoreError};
use web::error::ApiError;
use web::extract::{Json, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use features::usage::model::{Usage, nobody};
use features::usage::period::Month;
use features::usage::queries;
use features::usage::rules::UsageError;
use features::usage::rules::budgets::{Limits, set_limits as write_limits};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .merge(budgets::routes())
        .merge(prices::routes())
        .merge(report::routes())
        .get(
            "/usage",
            month.needs(Can::Read).doc(|| {
                Doc::new("A month's cost: in total, by agent and by day (UTC)")
                    .query::<UsageParams>()
                    .returns::<MonthView>()
            }),
        )
        .get(
            "/usage/daily",
            days::list.needs(Can::Read).doc(|| {
                Doc::new(
                    "Calls, tokens and cost by day, agent, model, task, stream, routine and machine",
                )
                .query::<days::UsageDaysParams>()
                .returns::<days::Page>()
            }),
        )
        .get(
            "/usage/runs/{run}",
            of_run.needs(Can::Read).doc(|| {
                Doc::new("A run's model calls with their cost").returns::<RunView>()
            }),
        )
        .get(
            "/usage/limits",
            limits.needs(Can::Read).doc(|| {
                Doc::new("Limits for the workspace and for each run").returns::<LimitsView>()
            }),
        )
        .put(
            "/usage/limits",
            set_limits.needs(Can::Admin).doc(|| {
                Doc::new("Set limits for the workspace and for each run")
                    .body::<LimitsView>()
                    .returns::<LimitsView>()
            }),
        )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct UsageParams {
    /// `2026-11`; this month when it is left out.
    month: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct MonthView {
    month: String,
    /// Micro-dollars.
    billed_micros: i64,
    /// What of it tests of connections cost.
    tests_micros: i64,
    by_agent: Vec<AgentView>,
    by_day: Vec<DayView>,
}

#[derive(Serialize, JsonSchema)]
struct AgentView {
    agent: AgentId,
    slug: Option<String>,
    billed_micros: i64,
    budget_micros: Option<i64>,
}

#[derive(Serialize, JsonSchema)]
struct DayView {
    date: String,
    billed_micros: i64,
}

#[derive(Serialize, JsonSchema)]
struct RunView {
    run: RunId,
    /// The slug of the gateway whose machine it works on, or did; the id of one that was removed.
    gateway: String,
    billed_micros: i64,
    calls: Vec<CallView>,
}

#[derive(Serialize, JsonSchema)]
struct CallView {
    call: u32,
    provider: String,
    connection: Option<ConnectionId>,
    model: String,
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    /// None when no price is known: the call is unmetered.
    billed_micros: Option<i64>,
    /// What the catalogue asked for the same then; none when it did not know.
    list_micros: Option<i64>,
    priced_by: PricedBy,
    /// On which way the provider is paid.
    route: Route,
    /// What the call was for.
    kind: CallKind,
    end: CallEnd,
    /// Whether the figures are estimates, because the call's end is not known.
    estimated: bool,
    at: String,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LimitsView {
    /// A month, in micro-dollars; none for no limit.
    month_micros: Option<i64>,
    /// A run, in micro-dollars; 0 for no limit.
    run_micros: i64,
}

fn call(usage: Usage) -> CallView {
    CallView {
        call: usage.call,
        provider: usage.provider,
        connection: usage.connection,
        model: usage.model,
        input: usage.input,
        cache_read: usage.cache_read,
        cache_write: usage.cache_write,
        output: usage.output,
        reasoning: usage.reasoning,
        billed_micros: usage.billed_micros,
        list_micros: usage.list_micros,
        priced_by: usage.priced_by,
        route: usage.route,
        kind: usage.kind,
        end: usage.end,
        estimated: usage.estimated,
        at: usage.at.to_string(),
    }
}

async fn month(ws: Ws, Query(params): Query<UsageParams>) -> Result<Json<MonthView>, ApiError> {
    let now = ws.app.clock.now();
    let month = match params.month.as_deref() {
        None | Some("") => Month::of(now),
        Some(text) => Month::parse(text)
            .ok_or_else(|| ApiError::invalid("month", "enter a month like 2026-11"))?,
    };
    let view = ws.read(|snap| {
        let at = month.start();
        let (mut by_agent, mut tests_micros) = (Vec::new(), 0);
        for (agent, billed_micros) in queries::by_agent(snap, at)? {
            if agent == nobody() {
                tests_micros = billed_micros;
                continue;
            }
            let found = snap.get::<Agent>(agent)?;
            by_agent.push(AgentView {
                agent,
                budget_micros: found.as_ref().and_then(|agent| agent.budget_micros),
                slug: found.map(|agent| agent.slug),
                billed_micros,
            });
        }
        let days = queries::by_day(snap, at, month.last())?;
        let by_day = days.into_iter().map(|(day, billed_micros)| DayView {
            date: Month::date_of(day).to_string(),
            billed_micros,
        });
        Ok::<_, StoreError>(MonthView {
            month: month.to_string(),
            billed_micros: queries::month_total(snap, at)?,
            tests_micros,
            by_agent,
            by_day: by_day.collect(),
        })
    })?;
    Ok(Json(view))
}

async fn of_run(ws: Ws, who: Person, Path(name): Path<String>) -> Result<Json<RunView>, ApiError> {
    ws.read(|snap| {
        let run = match runs::by_name(snap, &name)? {
            Some(run) if runs::talk::may_see_run(snap, &run, who.account, who.role)? => run,
            _ => return Err(ApiError::not_found("This run")),
        };
        let calls = queries::of_run(snap, run.id)?.into_iter().map(call).collect();
        let billed_micros = queries::run_cost(snap, run.id)?;
        let gateway = machines::slug(snap, run.gateway)?;
        Ok(Json(RunView { run: run.id, gateway, billed_micros, calls }))
    })
}

fn limits_of(ws: &Ws) -> Result<Json<LimitsView>, ApiError> {
    let settings = ws.read(|snap| snap.get::<Settings>(()))?;
    let settings = settings.ok_or(UsageError::NoWorkspace)?;
    Ok(Json(LimitsView {
        month_micros: settings.budget_micros,
        run_micros: settings.run_cap_micros,
    }))
}

async fn limits(ws: Ws) -> Result<Json<LimitsView>, ApiError> {
    limits_of(&ws)
}

async fn set_limits(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<LimitsView>,
) -> Result<Json<LimitsView>, ApiError> {
    let new = Limits { month_micros: body.month_micros, run_micros: body.run_micros };
    ws.write(&who, once.run(move |tx| write_limits(tx, new))).await?;
    limits_of(&ws)
}
