//! The page of usage and budgets in the settings.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use crate::app::{App, Ws};
use crate::features::agents::model::Agent;
use crate::features::agents::queries as agents;
use crate::features::workspace::model::Settings;
use crate::kernel::{AgentId, Can};
use crate::store::{ReadExt, Snap, StoreError};
use crate::web::error::PageError;
use crate::web::extract::{Form, Query};
use crate::web::flash;
use crate::web::form::Wrong;
use crate::web::format;
use crate::web::html;
use crate::web::hx::Hx;
use crate::web::live::Live;
use crate::web::parts::{Face, Tone, percent};
use crate::web::routes::{Needs, Routes};
use crate::web::session::Person;
use crate::web::shell::{Flash, Shell};

use super::chart::{self, Chart};
use super::model::day::{UsageDay, day_in};
use super::model::nobody;
use super::period::Month;
use super::queries;
use super::queries::daily::{self, Rolled};
use super::rules::budgets::{Limits, set_limits};

mod budgets;
mod prices;
mod table;

use table::ModelRow;

const HERE: &str = "settings/usage";
const MENU: &str = "usage";

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/settings/usage", show.needs(Can::Read))
        .post("/settings/usage", save.needs(Can::Admin))
        .get("/settings/usage/days.csv", table::download.needs(Can::Read))
        .merge(budgets::routes())
        .merge(prices::routes())
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Asked {
    month: String,
}

struct Row {
    face: Face,
    name: String,
    href: String,
    spent: String,
    limit: String,
    percent: u8,
    tone: Tone,
    pace: String,
}

struct View {
    live: Live,
    zone: String,
    behind: String,
    health: String,
    csv: String,
    budgets: String,
    prices: String,
    models: Vec<ModelRow>,
    in_all: ModelRow,
    month: String,
    before: String,
    before_href: String,
    after_href: String,
    spent: String,
    spent_note: String,
    forecast: String,
    forecast_note: String,
    against: String,
    against_note: String,
    reserved: String,
    chart: Chart,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    month: String,
    run: String,
}

#[derive(Template)]
#[template(path = "usage/show.html")]
struct UsagePage {
    shell: Shell,
    here: &'static str,
    manages: bool,
    view: View,
    v: Typed,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "usage/figures.html")]
struct Figures {
    view: View,
}

async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let view = ws.read(|snap| view(&ws, snap, &asked))?;
    if hx.wants("usage") {
        return html::fragment(&Figures { view });
    }
    let settings = ws.read(|snap| snap.get::<Settings>(()))?;
    let v = settings.map_or_else(Typed::default, |settings| Typed {
        month: settings.budget_micros.map_or_else(String::new, format::plain_dollars),
        run: match settings.run_cap_micros {
            0 => String::new(),
            cap => format::plain_dollars(cap),
        },
    });
    let manages = who.access.may(Can::Admin);
    let wrong = Wrong::none();
    html::page(&UsagePage { shell, here: MENU, manages, view, v, wrong })
}

/// The month that is asked for, the zone of its days, and what day it is there.
fn wanted(ws: &Ws, snap: &Snap<'_>, asked: &Asked) -> Result<(Month, u32), StoreError> {
    let today = day_in(ws.app.clock.now(), &daily::zone(snap)?);
    Ok((Month::parse(&asked.month).unwrap_or_else(|| Month::of_day(today)), today))
}

fn view(ws: &Ws, snap: &Snap<'_>, asked: &Asked) -> Result<View, StoreError> {
    let now = ws.app.clock.now();
    let (month, today) = wanted(ws, snap, asked)?;
    let present = Month::of_day(today);
    let (first, before) = (month.first_day(), month.before().first_day());
    let past = match month == present {
        true => today + 1 - first,
        false if today < first => 0,
        false => month.days(),
    };
    let rolled = daily::rolled(ws, snap, first..=first + month.days() - 1)?;
    let total = billed(&rolled.days);
    let budget = snap.get::<Settings>(())?.and_then(|settings| settings.budget_micros);
    let forecast = at_pace(total, past, month.days());
    let former = daily::rolled(ws, snap, before..=(before + past.max(1) - 1).min(first - 1))?;
    let all = agents(snap)?;
    let reserved: i64 = queries::reservations(snap, now)?.iter().map(|r| r.micros).sum();
    let spent = queries::by_agent(snap, month.start())?;
    let href = |month: Month| ws.url(&format!("{HERE}?month={month}"));
    let rows = all
        .iter()
        .filter(|agent| agent.archived_at.is_none() || spent.iter().any(|(id, _)| *id == agent.id));
    let (models, in_all) = table::models(&rolled.days);
    Ok(View {
        live: Live::new(href(month)).table("usage").table("agents").table("settings"),
        zone: rolled.zone.iana_name().unwrap_or("UTC").to_owned(),
        behind: behind(&rolled),
        health: ws.url("settings/health"),
        csv: ws.url(&format!("{HERE}/days.csv?month={month}")),
        budgets: ws.url("settings/usage/budgets"),
        prices: ws.url("settings/usage/prices"),
        models,
        in_all,
        month: month.label(),
        before: month.before().label(),
        before_href: href(month.before()),
        after_href: if month == present { String::new() } else { href(month.after()) },
        spent: format::money(total),
        spent_note: format::count(u64::from(past), "day", "days"),
        forecast: format::money(forecast),
        forecast_note: match budget {
            Some(budget) => format!("of {} budget", format::limit(budget)),
            None => "no limit".to_owned(),
        },
        against: against(total, billed(&former.days)),
        against_note: "same day".to_owned(),
        reserved: match (month == present, reserved) {
            (true, 1..) => format::money(reserved),
            _ => String::new(),
        },
        chart: chart(month, past, &all, &rolled.days),
        rows: rows.map(|agent| row(ws, agent, &spent, past, month)).collect(),
    })
}

fn billed(days: &[UsageDay]) -> i64 {
    days.iter().fold(0_i64, |sum, day| sum.saturating_add(day.sums.billed_micros))
}

/// What is missing in the figures, in words; empty when nothing is.
fn behind(rolled: &Rolled) -> String {
    let given_up = match rolled.given_up {
        0 => String::new(),
        n => format!("{} could not be counted.", format::count(n as u64, "entry", "entries")),
    };
    match rolled.behind {
        0 => given_up,
        n => {
            let entries = format::count(n, "entry of the record is", "entries of the record are");
            format!("The days are still being counted: {entries} not in them yet. {given_up}")
        }
    }
}

fn agents(snap: &Snap<'_>) -> Result<Vec<Agent>, StoreError> {
    let mut all = agents::all(snap)?;
    all.extend(agents::archived(snap)?);
    Ok(all)
}

fn at_pace(spent: i64, past: u32, days: u32) -> i64 {
    spent / i64::from(past.max(1)) * i64::from(days)
}

/// How much more or less than in the same part of the month before.
fn against(now: i64, before: i64) -> String {
    if before <= 0 {
        return "–".to_owned();
    }
    let change = (now - before) * 100 / before;
    match change {
        0 => "the same".to_owned(),
        1.. => format!("+{change} %"),
        _ => format!("−{} %", change.unsigned_abs()),
    }
}

fn row(ws: &Ws, agent: &Agent, spent: &[(AgentId, i64)], past: u32, month: Month) -> Row {
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
        face: Face::agent(&agent.name, &agent.emoji, &agent.slug),
        name: agent.name.clone(),
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

fn chart(month: Month, past: u32, all: &[Agent], rolled: &[UsageDay]) -> Chart {
    let mut days: BTreeMap<u32, Vec<(AgentId, i64)>> = BTreeMap::new();
    for one in rolled.iter().filter(|one| one.sums.billed_micros != 0) {
        let parts = days.entry(one.day).or_default();
        match parts.last_mut().filter(|(agent, _)| *agent == one.agent) {
            Some((_, sum)) => *sum = sum.saturating_add(one.sums.billed_micros),
            None => parts.push((one.agent, one.sums.billed_micros)),
        }
    }
    // The colours of a series in the order of making, so that an agent keeps its own as long as
    // there are no more than eight, and two that stand on each other never share one.
    let mut ids: Vec<AgentId> = days.values().flatten().map(|(agent, _)| *agent).collect();
    ids.sort();
    ids.dedup();
    let names: Vec<(AgentId, String, u8)> = ids
        .into_iter()
        .enumerate()
        .filter_map(|(n, id)| {
            let name = match id == nobody() {
                true => "Tests of connections".to_owned(),
                false => all.iter().find(|agent| agent.id == id)?.name.clone(),
            };
            Some((id, name, u8::try_from(n % 8).unwrap_or(0) + 1))
        })
        .collect();
    chart::draw(month.first_day(), month.days(), past, &days, &names)
}

async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let wrong = match limits(&typed) {
        Ok(limits) => match ws.write(&who, move |tx| set_limits(tx, limits)).await {
            Ok(()) => {
                let said = Flash::ok("The limits are saved and count from the next call.");
                return Ok(flash::say(&app, said, hx.go_to(&ws.url(HERE))));
            }
            Err(error) => Wrong::of(&error)?,
        },
        Err(wrong) => wrong,
    };
    let view = ws.read(|snap| view(&ws, snap, &Asked::default()))?;
    let manages = who.access.may(Can::Admin);
    let page = UsagePage { shell, here: MENU, manages, view, v: typed, wrong };
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

fn limits(typed: &Typed) -> Result<Limits, Wrong> {
    let amount = |field: &str, text: &str| match text.trim() {
        "" => Ok(None),
        text => match format::parse_dollars(text) {
            Some(micros) => Ok(Some(micros)),
            None => Err(Wrong::field(field, "write an amount in dollars, such as 40, or nothing")),
        },
    };
    Ok(Limits {
        month_micros: amount("month", &typed.month)?,
        run_micros: amount("run", &typed.run)?.unwrap_or(0),
    })
}
