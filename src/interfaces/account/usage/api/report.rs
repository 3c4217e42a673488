//! `/api/v1/usage/report`: aggregated usage, also as files.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::queries::machines::Machines;
use features::usage::model::day::{Sums, day_in};
use features::usage::period::Month;
use features::usage::queries::daily;
use features::usage::queries::report::{By, Of, report};
use features::usage::span::{self, SpanParams};
use kernel::Can;
use web::error::ApiError;
use web::extract::{Json, Query};
use web::routes::{Doc, Needs, Routes};
use web::session::Alive;

use super::files;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/usage/report",
            sum_up.needs(Can::Read).doc(|| {
                Doc::new("Usage totals of a date range, by agent, model, task, machine and more")
                    .query::<ReportParams>()
                    .returns::<ReportView>()
            }),
        )
        .get(
            "/usage/days.csv",
            days.needs(Can::Read).doc(|| {
                Doc::new(
                    "Daily usage as CSV: a line per agent, model, task, stream, routine and \
                        machine",
                )
                .query::<ReportDaysParams>()
                .media("text/csv")
            }),
        )
        .get(
            "/usage/calls.csv",
            calls.needs(Can::Read).doc(|| {
                Doc::new("All calls of a date range as CSV, oldest first")
                    .query::<ReportDaysParams>()
                    .media("text/csv")
            }),
        )
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct ReportDaysParams {
    /// `today`, `7`, `30`, `90` (days, today among them) or `month`, which it is when nothing is said.
    range: String,
    /// Which month, such as `2026-11`; this one when it is left out.
    month: String,
    /// The first day, such as `2026-11-01`; it goes before a range.
    from: String,
    /// The last day; today when it is left out.
    to: String,
}

#[derive(Deserialize, JsonSchema, Default)]
#[serde(default, deny_unknown_fields)]
struct ReportParams {
    /// As for the files: `today`, `7`, `30`, `90` or `month`.
    range: String,
    /// Which month, such as `2026-11`.
    month: String,
    /// The first day, such as `2026-11-01`.
    from: String,
    /// The last day.
    to: String,
    /// `agent`, which it is when nothing is said, `model`, `task`, `stream`, `routine`, `gateway`, `source`, `kind`
    /// or `day`.
    by: String,
}

impl From<ReportDaysParams> for SpanParams {
    fn from(ReportDaysParams { range, month, from, to }: ReportDaysParams) -> Self {
        Self { range, month, from, to, ..Self::default() }
    }
}

impl From<ReportParams> for SpanParams {
    fn from(ReportParams { range, month, from, to, by }: ReportParams) -> Self {
        Self { range, month, from, to, by, ..Self::default() }
    }
}

#[derive(Serialize, JsonSchema)]
struct ReportView {
    /// The IANA zone that the days are of.
    zone: String,
    from: String,
    to: String,
    /// By what it is summed up.
    by: &'static str,
    /// Entries of the feed that are not in the figures yet.
    behind: u64,
    total: SumsView,
    /// What this month will have cost at its pace, in micro-dollars, when the days hold today.
    forecast_micros: Option<i64>,
    /// The dearest first; days in their order.
    items: Vec<LineView>,
}

#[derive(Serialize, JsonSchema)]
struct LineView {
    /// A stable word: an id, a model with its provider, a date.
    key: String,
    name: String,
    sums: SumsView,
}

#[derive(Serialize, JsonSchema)]
struct SumsView {
    calls: u64,
    /// Calls of which nobody knows the cost; they are in no sum of money.
    unmetered: u64,
    /// Calls whose figures are estimates.
    estimated: u64,
    /// Calls that were refused, or never arrived.
    failed: u64,
    input: u64,
    cache_read: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
    billed_micros: i64,
    /// The catalogue's price at the time.
    list_micros: i64,
}

fn sums(sums: Sums) -> SumsView {
    SumsView {
        calls: sums.calls,
        unmetered: sums.unpriced,
        estimated: sums.estimated,
        failed: sums.failed,
        input: sums.input,
        cache_read: sums.cache_read,
        cache_write: sums.cache_write,
        output: sums.output,
        reasoning: sums.reasoning,
        billed_micros: sums.billed_micros,
        list_micros: sums.list_micros,
    }
}

async fn sum_up(ws: Ws, Query(params): Query<ReportParams>) -> Result<Json<ReportView>, ApiError> {
    let params = SpanParams::from(params);
    let made = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let by = match params.by.as_str() {
                "" => By::default(),
                word => By::parse(word).ok_or_else(|| {
                    let words = By::ALL.map(By::word).join(", ");
                    ApiError::invalid("by", format!("choose one of {words}"))
                })?,
            };
            let today = day_in(ws.app.clock.now(), &daily::zone(snap)?);
            let span = span::read(&params, today)?;
            let rolled = daily::rolled(ws, snap, span.first..=span.last)?;
            let report = report(snap, &rolled, (by, Of::Billed), &Machines::with_former(snap)?)?;
            let holds_today = span.first <= today && today <= span.last;
            let month = Month::of_day(today);
            let items = report.lines.into_iter().map(|line| LineView {
                key: line.key,
                name: line.name,
                sums: sums(line.sums),
            });
            Ok::<_, ApiError>(ReportView {
                zone: rolled.zone.iana_name().unwrap_or("UTC").to_owned(),
                from: Month::date_of(span.first).to_string(),
                to: Month::date_of(span.last).to_string(),
                by: by.word(),
                behind: rolled.behind,
                total: sums(report.total),
                forecast_micros: match holds_today {
                    true => Some(daily::forecast(ws, snap, month, today)?),
                    false => None,
                },
                items: items.collect(),
            })
        })
    });
    Ok(Json(made.await?))
}

async fn days(ws: Ws, Query(params): Query<ReportDaysParams>) -> Result<Response, ApiError> {
    Ok(files::days(ws, params.into()).await?)
}

async fn calls(
    ws: Ws,
    alive: Alive,
    Query(params): Query<ReportDaysParams>,
) -> Result<Response, ApiError> {
    Ok(files::calls(ws, alive, params.into()).await?)
}
