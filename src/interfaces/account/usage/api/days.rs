//! `/api/v1/usage/daily`: usage by day.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::machines::Machines;
use features::usage::model::day::{UsageDay, day_in};
use features::usage::model::nobody;
use features::usage::period::Month;
use features::usage::queries::daily;
use features::usage::span::{self, MAX_DAYS};
use kernel::key::KeyBuf;
use kernel::{AgentId, RoutineId, StreamId, TaskId};
use store::{ReadExt as _, Record as _, Snap, StoreError, cursor_key, key_cursor};
use web::error::ApiError;
use web::extract::{Json, Query};

/// Maximum number of items per response.
const MAX: usize = 500;

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
pub(super) struct UsageDaysParams {
    /// The first day, `2026-11-01`; the first of this month when it is left out.
    from: Option<String>,
    /// The last day; today when it is left out.
    to: Option<String>,
    /// The `next` of the page before.
    after: Option<String>,
    /// At most so many, up to 500.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Page {
    /// The IANA zone that the days are of.
    zone: String,
    /// Entries of the feed that are not in the figures yet.
    behind: u64,
    items: Vec<Item>,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Item {
    date: String,
    /// None for tests of connections.
    agent: Option<AgentId>,
    slug: Option<String>,
    task: Option<TaskId>,
    /// The stream that the task was in.
    stream: Option<StreamId>,
    /// The routine that began the run, or made its task.
    routine: Option<RoutineId>,
    /// The slug of the gateway whose machine the runs worked on; the id of one that was removed.
    gateway: String,
    provider: String,
    model: String,
    calls: u64,
    /// Calls without a known price.
    unpriced: u64,
    /// Calls whose figures are estimates.
    estimated: u64,
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    billed_micros: i64,
    /// The catalogue's price at the time.
    list_micros: i64,
}

fn day(field: &'static str, text: &str) -> Result<u32, ApiError> {
    span::day(text).ok_or_else(|| ApiError::invalid(field, "enter a day like 2026-11-20"))
}

pub(super) async fn list(
    ws: Ws,
    Query(params): Query<UsageDaysParams>,
) -> Result<Json<Page>, ApiError> {
    let after = match params.after.as_deref() {
        None | Some("") => Vec::new(),
        Some(text) => cursor_key(text)
            .ok_or_else(|| ApiError::invalid("after", "use `next` of the previous page"))?,
    };
    let limit = params.limit.unwrap_or(100).clamp(1, MAX);
    ws.read(|snap| {
        let today = day_in(ws.app.clock.now(), &daily::zone(snap)?);
        let to = params.to.as_deref().map_or(Ok(today), |text| day("to", text))?;
        let from = match params.from.as_deref() {
            Some(text) => day("from", text)?,
            None => Month::of_day(to).first_day(),
        };
        if to < from || MAX_DAYS <= to - from {
            let text = "choose a day before `to`, at most a year earlier";
            return Err(ApiError::invalid("from", text));
        }
        let rolled = daily::rolled(&ws, snap, from..=to)?;
        let key = |day: &UsageDay| KeyBuf::of(&day.id()).into_bytes();
        let mut rest = rolled.days.into_iter().filter(|day| after < key(day)).peekable();
        let page: Vec<UsageDay> = rest.by_ref().take(limit).collect();
        let more = rest.peek().is_some();
        let machines = Machines::read(snap)?;
        Ok(Json(Page {
            zone: rolled.zone.iana_name().unwrap_or("UTC").to_owned(),
            behind: rolled.behind,
            next: page.last().filter(|_| more).map(|day| key_cursor(&key(day))),
            items: page
                .into_iter()
                .map(|day| item(snap, day, &machines))
                .collect::<Result<_, StoreError>>()?,
        }))
    })
}

fn item(snap: &Snap<'_>, day: UsageDay, machines: &Machines) -> Result<Item, StoreError> {
    let sums = day.sums;
    Ok(Item {
        date: Month::date_of(day.day).to_string(),
        agent: Some(day.agent).filter(|agent| *agent != nobody()),
        slug: snap.get::<Agent>(day.agent)?.map(|agent| agent.slug),
        task: day.task,
        stream: day.stream,
        routine: day.routine,
        gateway: machines.slug(day.gateway),
        provider: day.provider,
        model: day.model,
        calls: sums.calls,
        unpriced: sums.unpriced,
        estimated: sums.estimated,
        input: sums.input,
        cache_read: sums.cache_read,
        cache_write: sums.cache_write,
        output: sums.output,
        reasoning: sums.reasoning,
        billed_micros: sums.billed_micros,
        list_micros: sums.list_micros,
    })
}
