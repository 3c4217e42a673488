//! Usage figures for a range of days.

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::machines::Machines;
use features::agents::queries::{self as agents, Called};
use features::usage::chart::{self, Chart, Series};
use features::usage::model::day::{Sums, day_in};
use features::usage::period::Month;
use features::usage::queries::daily::{self, Rolled, at_pace};
use features::usage::queries::report::{ALL, By, Of, Report, report};
use features::usage::queries::{self, unmetered};
use features::usage::span::{self, Kind, NoSpan, Span, SpanParams};
use features::workspace::model::Settings;
use kernel::AgentId;
use store::{ReadExt, Snap, StoreError};
use web::form::sentence;
use web::format;
use web::live::Live;
use web::parts::{Face, Tab, Tone, percent};

use super::HERE;

/// Maximum number of table rows; the total includes the rest.
const SHOWN: usize = 100;

/// A row of the table.
pub(super) struct LineRow {
    pub name: String,
    pub note: String,
    pub href: String,
    pub calls: String,
    pub input: String,
    pub cached: String,
    pub output: String,
    pub billed: String,
    pub list: String,
}

/// An agent with its monthly budget.
pub(super) struct Row {
    pub face: Face,
    pub name: String,
    pub href: String,
    pub spent: String,
    pub limit: String,
    pub percent: u8,
    pub tone: Tone,
    pub pace: String,
}

pub(super) struct View {
    pub live: Live,
    pub zone: String,
    pub behind: String,
    pub health: String,
    pub days_csv: String,
    pub calls_csv: String,
    pub budgets: String,
    pub prices: String,
    pub here: String,
    pub ranges: Vec<Tab>,
    pub groups: Vec<Tab>,
    pub measures: Vec<Tab>,
    /// The range as typed, and its error.
    pub from: String,
    pub to: String,
    pub group: &'static str,
    pub wrong: Option<NoSpan>,
    /// An error of the range that belongs to no field; may be empty.
    pub wrong_whole: String,
    pub label: String,
    pub before: String,
    /// Address of the previous month; empty if the range is not a month.
    pub before_href: String,
    pub after_href: String,
    /// Shown instead of figures if nothing was spent.
    pub unspent: &'static str,
    pub spent: String,
    pub spent_note: String,
    pub list: String,
    pub forecast: String,
    pub forecast_note: String,
    pub against: String,
    pub against_note: String,
    pub reserved: String,
    /// Notice of calls without a known cost; may be empty.
    pub unmetered: String,
    pub chart: Chart,
    /// The measure that is shown.
    pub of: Of,
    /// Text below an empty chart.
    pub nothing: String,
    pub by: &'static str,
    pub lines: Vec<LineRow>,
    pub more: String,
    pub in_all: LineRow,
    /// Agents with their budgets; `None` if the range is not a month.
    pub rows: Option<Vec<Row>>,
}

impl View {
    /// The error of a field of the range.
    pub fn wrong_at(&self, field: &str) -> &'static str {
        self.wrong.filter(|wrong| wrong.field == field).map_or("", |wrong| wrong.message)
    }
}

fn unspent(sum: i64, is_present: bool) -> &'static str {
    match (sum, is_present) {
        (0, true) => "No spending yet",
        (0, false) => "No spending in this period",
        _ => "",
    }
}

/// An amount; empty for zero.
fn unless_zero(micros: i64) -> String {
    match micros {
        0 => String::new(),
        micros => format::money(micros),
    }
}

pub(super) fn view(ws: &Ws, snap: &Snap<'_>, params: &SpanParams) -> Result<View, StoreError> {
    let now = ws.app.clock.now();
    let today = day_in(now, &daily::zone(snap)?);
    let month = Month::of_day(today);
    let (span, wrong) = match span::read(params, today) {
        Ok(span) => (span, None),
        Err(wrong) => (month_of(month), Some(wrong)),
    };
    let by = By::parse(&params.by).unwrap_or_default();
    let of = Of::parse(&params.of).unwrap_or_default();
    let past = span.past(today);
    let rolled = daily::rolled(ws, snap, span.first..=span.last)?;
    let machines = Machines::with_former(snap)?;
    let report = report(snap, &rolled, (by, of), &machines)?;
    let spent = report.total.billed_micros;
    let (first, last) = span.before(today);
    let former = daily::billed(&daily::rolled(ws, snap, first..=last)?.days);
    let forecast = match span.first <= today && today <= span.last {
        true => Some(daily::forecast(ws, snap, month, today)?),
        false => None,
    };
    let budget = snap.get::<Settings>(())?.and_then(|settings| settings.budget_micros);
    let reserved: i64 = queries::reservations(snap, now)?.iter().map(|r| r.micros).sum();
    let is_present = forecast.is_some();
    let address = |query: &str, by: By, of: Of| {
        let drawn = match of {
            Of::Billed => String::new(),
            of => format!("&of={}", of.word()),
        };
        ws.url(&format!("{HERE}?{query}&by={}{drawn}", by.word()))
    };
    let own = |query: String| address(&query, by, of);
    let all = agents(snap)?;
    let (before_href, after_href) = beside(span, month, own);
    let shown = report.lines.iter().take(SHOWN);
    let file = |name: &str| ws.url(&format!("{HERE}/{name}.csv?{}", span.query()));
    Ok(View {
        live: Live::new(own(span.query())).table("usage").table("agents").table("settings"),
        zone: rolled.zone.iana_name().unwrap_or("UTC").to_owned(),
        behind: behind(&rolled),
        health: ws.url("settings/health"),
        days_csv: file("days"),
        calls_csv: file("calls"),
        budgets: ws.url("settings/usage/budgets"),
        prices: ws.url("settings/usage/prices"),
        here: ws.url(HERE),
        ranges: ranges(span, &own),
        groups: groups(machines.are_many(), by, |one| address(&span.query(), one, of)),
        measures: Of::ALL
            .into_iter()
            .map(|one| Tab::new(one.label(), address(&span.query(), by, one), one == of))
            .collect(),
        from: day_text(&params.from, span, span.first),
        to: day_text(&params.to, span, span.last),
        group: by.word(),
        wrong,
        wrong_whole: match wrong {
            Some(wrong) if !["from", "to"].contains(&wrong.field) => sentence(wrong.message),
            _ => String::new(),
        },
        label: span.label(),
        before: before_label(span),
        before_href,
        after_href,
        unspent: unspent(spent + report.total.list_micros + reserved, is_present),
        spent: format::money(spent),
        spent_note: format::count(u64::from(past), "day", "days"),
        list: unless_zero(report.total.list_micros),
        forecast: forecast.map_or_else(String::new, format::money),
        forecast_note: match budget {
            Some(budget) => format!("of {} budget", format::limit(budget)),
            None => "no limit".to_owned(),
        },
        against: against(spent, former),
        against_note: match span.kind {
            _ if former <= 0 => format!("no data for {}", before_label(span)),
            Kind::Month(_) => "same day".to_owned(),
            Kind::Today | Kind::Last(_) | Kind::Between => "just before".to_owned(),
        },
        reserved: unless_zero(if is_present { reserved } else { 0 }),
        unmetered: unmetered_words(ws, snap, report.total.unpriced)?,
        chart: drawn(span, past, &report, by, of),
        of,
        nothing: nothing(&span.label(), of, &report.total),
        by: by.label(),
        more: match report.lines.len().saturating_sub(SHOWN) {
            0 => String::new(),
            n => format!("and {} more, included in the total", format::grouped(n as u64)),
        },
        in_all: line(ws, "All calls", "", "", &report.total),
        lines: shown.map(|one| line(ws, &one.name, &one.note, &one.path, &one.sums)).collect(),
        rows: match span.kind {
            Kind::Month(shown) => Some(rows(ws, snap, &all, shown, past)?),
            Kind::Today | Kind::Last(_) | Kind::Between => None,
        },
    })
}

/// Tabs for the grouping. Grouping by machine is offered once there are several.
fn groups(are_many: bool, by: By, href: impl Fn(By) -> String) -> Vec<Tab> {
    let shown = By::ALL.into_iter().filter(|one| *one != By::Gateway || *one == by || are_many);
    shown.map(|one| Tab::new(one.label(), href(one), one == by)).collect()
}

/// Addresses of the previous and next month, if the range is a month.
fn beside(span: Span, month: Month, own: impl Fn(String) -> String) -> (String, String) {
    let Kind::Month(shown) = span.kind else { return Default::default() };
    let href = |month: Month| own(format!("month={month}"));
    let after = if shown == month { String::new() } else { href(shown.after()) };
    (href(shown.before()), after)
}

fn month_of(month: Month) -> Span {
    let first = month.first_day();
    Span { first, last: first + month.days() - 1, kind: Kind::Month(month) }
}

fn ranges(span: Span, own: &impl Fn(String) -> String) -> Vec<Tab> {
    let mut tabs: Vec<Tab> =
        [("Today", "today"), ("7 days", "7"), ("30 days", "30"), ("90 days", "90")]
            .into_iter()
            .map(|(label, word)| {
                let query = format!("range={word}");
                let current = span.query() == query;
                Tab::new(label, own(query), current)
            })
            .collect();
    let is_month = matches!(span.kind, Kind::Month(_));
    tabs.push(Tab::new("Month", own("range=month".to_owned()), is_month));
    tabs
}

/// Content of a day field: the typed text, or the day itself for an explicit range.
fn day_text(text: &str, span: Span, day: u32) -> String {
    match span.kind {
        Kind::Between if text.is_empty() => Month::date_of(day).to_string(),
        _ => text.to_owned(),
    }
}

fn before_label(span: Span) -> String {
    match span.kind {
        Kind::Month(month) => month.before().label(),
        Kind::Today => "yesterday".to_owned(),
        Kind::Last(_) | Kind::Between => {
            format!("the previous {}", format::count(u64::from(span.count()), "day", "days"))
        }
    }
}

fn line(ws: &Ws, name: &str, note: &str, path: &str, sums: &Sums) -> LineRow {
    let mut notes: Vec<String> = Vec::new();
    notes.extend((!note.is_empty()).then(|| note.to_owned()));
    for (count, word) in
        [(sums.unpriced, "unmetered"), (sums.estimated, "estimated"), (sums.failed, "failed")]
    {
        notes.extend((0 < count).then(|| format!("{} {word}", format::grouped(count))));
    }
    LineRow {
        name: name.to_owned(),
        note: notes.join(", "),
        href: if path.is_empty() { String::new() } else { ws.url(path) },
        calls: format::grouped(sums.calls),
        input: format::tokens(sums.input),
        cached: format::tokens(sums.cache_read.saturating_add(sums.cache_write)),
        output: format::tokens(sums.output),
        billed: format::money(sums.billed_micros),
        list: format::money(sums.list_micros),
    }
}

fn drawn(span: Span, past: u32, report: &Report, by: By, of: Of) -> Chart {
    let series: Vec<Series> = match by {
        By::Day => vec![Series { key: ALL.to_owned(), name: "All calls".to_owned() }],
        By::Agent
        | By::Model
        | By::Task
        | By::Stream
        | By::Routine
        | By::Gateway
        | By::Source
        | By::Kind => {
            let shown = report.lines.iter().filter(|line| of.amount(&line.sums) != 0);
            let series =
                shown.map(|line| Series { key: line.key.clone(), name: line.name.clone() });
            series.collect()
        }
    };
    chart::draw(span, past, &report.days, &series, of)
}

/// Text below an empty chart.
fn nothing(days: &str, of: Of, total: &Sums) -> String {
    match of {
        Of::Billed if 0 < total.list_micros => {
            format!("Nothing billed for {days}. At list prices these calls have a cost.")
        }
        Of::Billed => {
            format!("Nothing billed for {days}. Practice mode and your own models are free.")
        }
        Of::List => format!("No calls with a list price for {days}."),
        Of::Tokens => format!("No tokens used for {days}."),
    }
}

/// Notice of data that the figures lack; may be empty.
fn behind(rolled: &Rolled) -> String {
    let given_up = match rolled.given_up {
        0 => String::new(),
        n => format!("Couldn’t count {}.", format::count(n as u64, "entry", "entries")),
    };
    match rolled.behind {
        0 => given_up,
        n => {
            let entries = format::count(
                n,
                "entry isn’t included yet",
                "entries aren’t included \
                yet",
            );
            format!("Still counting: {entries}. {given_up}")
        }
    }
}

/// Notice of calls without a known cost, with the models that still have no price.
fn unmetered_words(ws: &Ws, snap: &Snap<'_>, calls: u64) -> Result<String, StoreError> {
    if calls == 0 {
        return Ok(String::new());
    }
    let recent = unmetered::recent(ws, snap, ws.app.clock.now())?;
    let names: Vec<&str> = recent.iter().take(3).map(|one| one.model.as_str()).collect();
    let calls = format::count(calls, "call is unmetered", "calls are unmetered");
    let whose = match names.is_empty() {
        true => String::new(),
        false => format!(" No price for {}.", names.join(", ")),
    };
    Ok(format!("{calls}, so totals leave them out.{whose}"))
}

fn agents(snap: &Snap<'_>) -> Result<Vec<Agent>, StoreError> {
    let mut all = agents::all(snap)?;
    all.extend(agents::archived(snap)?);
    Ok(all)
}

/// Change compared with the same part of the previous range.
fn against(now: i64, before: i64) -> String {
    if before <= 0 {
        return String::new();
    }
    let change = (i128::from(now) - i128::from(before)) * 100 / i128::from(before);
    match change {
        0 => "the same".to_owned(),
        1.. => format!("+{change} %"),
        _ => format!("−{} %", change.unsigned_abs()),
    }
}

fn rows(
    ws: &Ws,
    snap: &Snap<'_>,
    all: &[Agent],
    month: Month,
    past: u32,
) -> Result<Vec<Row>, StoreError> {
    let spent = queries::by_agent(snap, month.start())?;
    let shown = all
        .iter()
        .filter(|agent| agent.archived_at.is_none() || spent.iter().any(|(id, _)| *id == agent.id));
    let called = Called::among(all);
    Ok(shown.map(|agent| row(ws, (agent, &called), &spent, past, month)).collect())
}

fn row(
    ws: &Ws,
    (agent, called): (&Agent, &Called),
    spent: &[(AgentId, i64)],
    past: u32,
    month: Month,
) -> Row {
    let micros = spent.iter().find(|(id, _)| *id == agent.id).map_or(0, |(_, micros)| *micros);
    let end = at_pace(micros, past, month.days());
    let (share, tone) = match agent.budget_micros {
        None => (0, Tone::Brand),
        Some(limit) => {
            let share = percent(micros.max(0).unsigned_abs(), limit.max(1).unsigned_abs());
            let tone = match share {
                100.. => Tone::Danger,
                share if agent.budget_soft_pct <= share => Tone::Warn,
                _ => Tone::Ok,
            };
            (share, tone)
        }
    };
    Row {
        face: called.face(agent),
        name: called.name(agent),
        href: ws.url(&format!("agents/{}/settings", agent.slug)),
        spent: format::money(micros),
        limit: agent.budget_micros.map_or_else(|| "none".to_owned(), format::limit),
        percent: share,
        tone,
        pace: match agent.budget_micros {
            _ if micros == 0 => "–".to_owned(),
            Some(limit) if limit <= micros => "used up".to_owned(),
            Some(limit) if limit < end => "will be used up".to_owned(),
            _ => format!("about {} by the end", format::money(end)),
        },
    }
}
