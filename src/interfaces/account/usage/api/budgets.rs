//! `/api/v1/budgets`: limits and usage of payers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::usage::model::budget::{BudgetWait, SOFT_PCT};
use features::usage::queries::budgets::{self as standing, Level, Standing};
use features::usage::queries::{payers, waiting};
use features::usage::rules::budgets::{self, BudgetRequest};
use kernel::{Can, Payer, Period, Timestamp};
use store::{Snap, StoreError};
use web::error::ApiError;
use web::extract::{Json, Path2, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/budgets",
            list.needs(Can::Read).doc(|| {
                Doc::new("Budgets with their spending. `payer` filters")
                    .query::<BudgetListParams>()
                    .returns::<Budgets>()
            }),
        )
        .get(
            "/budgets/{payer}/{period}",
            show.needs(Can::Read).doc(|| {
                Doc::new("A budget, by payer (see `payer` in the list) and period")
                    .returns::<BudgetView>()
            }),
        )
        .put(
            "/budgets/{payer}/{period}",
            set.needs(Can::Agents).doc(|| {
                Doc::new("Set a budget. Applies from the next call")
                    .body::<BudgetBody>()
                    .returns::<BudgetView>()
            }),
        )
        .post(
            "/budgets/{payer}/{period}/raise",
            raise.needs(Can::Agents).doc(|| {
                Doc::new("Resume work that waits for a budget, with $2 or 500,000 tokens more")
                    .returns::<BudgetView>()
            }),
        )
        .delete(
            "/budgets/{payer}/{period}",
            remove.needs(Can::Agents).doc(|| Doc::new("Remove a budget").returns::<Removed>()),
        )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct BudgetListParams {
    /// `workspace`, `agent:ada`, `task:MC-12`, `run:R-7`, `stream:Launch` or `routine:Morning look`; the
    /// last two also with an id.
    payer: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Budgets {
    items: Vec<BudgetView>,
}

#[derive(Serialize, JsonSchema)]
struct BudgetView {
    /// `workspace`, `agent:ada`, `task:MC-12`, `run:R-7`, `stream:Launch` or `routine:Morning look`.
    payer: String,
    /// What people call the payer.
    name: String,
    period: Period,
    /// Micro-dollars; none for no limit.
    limit_micros: Option<i64>,
    /// Tokens, sent and received; none for no limit.
    limit_tokens: Option<i64>,
    /// At which share a person is warned, in percent.
    soft_pct: u8,
    /// Whether no call starts that could pass it.
    hard: bool,
    /// Spent in this period, in micro-dollars, where money is limited.
    spent_micros: Option<i64>,
    /// Held back for calls that run, in micro-dollars.
    reserved_micros: Option<i64>,
    /// Used in this period, where tokens are limited.
    spent_tokens: Option<i64>,
    reserved_tokens: Option<i64>,
    /// How much of it is spent.
    percent: i64,
    /// `ok`, `warned` or `reached`.
    state: &'static str,
    /// When it begins anew.
    #[schemars(with = "Option<String>")]
    ends_at: Option<Timestamp>,
    /// How many runs wait for it.
    waiting: usize,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BudgetBody {
    /// Micro-dollars; none for no limit.
    #[serde(default)]
    limit_micros: Option<i64>,
    /// Tokens, sent and received; none for no limit.
    #[serde(default)]
    limit_tokens: Option<i64>,
    /// At which share a person is warned, in percent; 80 when it is left out.
    #[serde(default)]
    soft_pct: Option<u8>,
    /// Whether no call starts that could pass it; else it only warns.
    #[serde(default)]
    hard: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
struct Removed {
    /// Whether there was one.
    removed: bool,
}

fn payer(snap: &Snap<'_>, handle: &str) -> Result<Payer, ApiError> {
    payers::by_handle(snap, handle)?.ok_or_else(|| ApiError::not_found("This payer"))
}

fn period(word: &str) -> Result<Period, ApiError> {
    word.parse()
        .map_err(|error: kernel::vocab::UnknownWord| ApiError::invalid("period", error.to_string()))
}

fn view(
    snap: &Snap<'_>,
    one: &Standing,
    waits: &[BudgetWait],
    now: Timestamp,
) -> Result<BudgetView, StoreError> {
    let of = one.budget.payer;
    let (payer, name) = (payers::handle(snap, of)?, payers::whose(snap, of)?);
    let waiting = waiting::on(waits, &one.budget).count();
    let booked = |level: Option<Level>| level.map(|level| level.booked);
    let reserved = |level: Option<Level>| level.map(|level| level.reserved);
    Ok(BudgetView {
        payer,
        name,
        period: one.budget.period,
        limit_micros: one.budget.limit_micros,
        limit_tokens: one.budget.limit_tokens,
        soft_pct: one.budget.soft_pct,
        hard: one.budget.hard,
        spent_micros: booked(one.micros),
        reserved_micros: reserved(one.micros),
        spent_tokens: booked(one.tokens),
        reserved_tokens: reserved(one.tokens),
        percent: one.percent(),
        state: one.state(),
        ends_at: one.budget.period.ends(now),
        waiting,
    })
}

async fn list(ws: Ws, Query(params): Query<BudgetListParams>) -> Result<Json<Budgets>, ApiError> {
    let now = ws.app.clock.now();
    ws.read(|snap| {
        let all = match params.payer.as_deref() {
            None | Some("") => standing::all(snap)?,
            Some(handle) => standing::of(snap, payer(snap, handle)?)?,
        };
        let waits = waiting::all(snap)?;
        let all = standing::standings_of(snap, all, now)?;
        let items = all.iter().map(|one| view(snap, one, &waits, now));
        Ok(Json(Budgets { items: items.collect::<Result<_, StoreError>>()? }))
    })
}

fn one(ws: &Ws, payer: Payer, period: Period) -> Result<Json<BudgetView>, ApiError> {
    let now = ws.app.clock.now();
    ws.read(|snap| {
        let budget = standing::one(snap, payer, period)?;
        let budget = budget.ok_or_else(|| ApiError::not_found("This budget"))?;
        let one = standing::standing_of(snap, budget, now)?;
        Ok(Json(view(snap, &one, &waiting::all(snap)?, now)?))
    })
}

async fn show(
    ws: Ws,
    Path2(handle, word): Path2<String, String>,
) -> Result<Json<BudgetView>, ApiError> {
    let period = period(&word)?;
    let payer = ws.read(|snap| payer(snap, &handle))?;
    one(&ws, payer, period)
}

/// The budget to change. Requires the right to change agents, and admin rights for the workspace's own budget.
///
/// # Errors
/// The payer or the period is unknown, or the person may not change the budget.
pub(in crate::usage) fn may_change(
    ws: &Ws,
    who: &Person,
    handle: &str,
    word: &str,
) -> Result<(Payer, Period), ApiError> {
    let period = period(word)?;
    let payer = ws.read(|snap| payer(snap, handle))?;
    match payer {
        Payer::Workspace if !who.access.may(Can::Admin) => Err(ApiError::forbidden(Can::Admin)),
        payer => Ok((payer, period)),
    }
}

async fn set(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(handle, word): Path2<String, String>,
    Json(body): Json<BudgetBody>,
) -> Result<Json<BudgetView>, ApiError> {
    let (payer, period) = may_change(&ws, &who, &handle, &word)?;
    if body.limit_micros.is_none() && body.limit_tokens.is_none() {
        let text = "give a limit of money or tokens; DELETE removes a budget";
        return Err(ApiError::invalid("limit_micros", text));
    }
    let wish = BudgetRequest {
        payer,
        period,
        limit_micros: body.limit_micros,
        limit_tokens: body.limit_tokens,
        soft_pct: body.soft_pct.unwrap_or(SOFT_PCT),
        hard: body.hard.unwrap_or(true),
    };
    ws.write(&who, once.run(move |tx| budgets::set(tx, wish))).await?;
    one(&ws, payer, period)
}

async fn raise(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(handle, word): Path2<String, String>,
) -> Result<Json<BudgetView>, ApiError> {
    let (payer, period) = may_change(&ws, &who, &handle, &word)?;
    ws.write(&who, once.run(move |tx| budgets::raise(tx, payer, period))).await?;
    one(&ws, payer, period)
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(handle, word): Path2<String, String>,
) -> Result<Json<Removed>, ApiError> {
    let (payer, period) = may_change(&ws, &who, &handle, &word)?;
    let removed = ws.write(&who, once.run(move |tx| budgets::remove(tx, payer, period))).await?;
    Ok(Json(Removed { removed }))
}
