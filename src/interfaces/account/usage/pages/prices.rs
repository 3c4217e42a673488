//! The page of prices: custom prices, built-in prices, and models without a price.

use std::collections::BTreeMap;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::usage::api::prices::{ANY, place, state};
use app::{App, Ws};
use features::connections::queries as connections;
use features::history::queries as history;
use features::usage::model::price::EnteredPrice;
use features::usage::queries::counting::{self, Learned};
use features::usage::queries::{daily, prices, unmetered};
use features::usage::rules::counting as forgetting;
use features::usage::rules::prices::{self as rules, AMOUNTS, NewPrice};
use kernel::cadence::midnight;
use kernel::day::{self, Toward};
use kernel::display;
use kernel::{Can, ConnectionId, Timestamp};
use providers::catalog::{self, Model, Price};
use store::{Record as _, Snap, StoreError};
use web::error::PageError;
use web::extract::{Form, Query};
use web::flash;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::live::Live;
use web::parts::{Choice, Tone};
use web::routes::{Needs, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use super::MENU;

const HERE: &str = "settings/usage/prices";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/settings/usage/prices", show.needs(Can::Read))
        .post("/settings/usage/prices", set.needs(Can::Admin))
        .post("/settings/usage/prices/remove", remove.needs(Can::Admin))
        .post("/settings/usage/prices/counting", reset.needs(Can::Admin))
}

/// A custom price.
struct Row {
    model: String,
    place: String,
    begins: String,
    state: &'static str,
    tone: Tone,
    /// Input, cache read, cache write, output.
    amounts: Vec<String>,
    /// The price's key in forms.
    which: Which,
    history: String,
}

/// A price of the built-in catalog.
struct BuiltIn {
    name: String,
    model: String,
    amounts: Vec<String>,
    note: String,
    href: String,
}

/// A model without a price.
struct Unknown {
    model: String,
    note: String,
    href: String,
}

/// A model that counts more tokens than usual.
struct Dear {
    model: String,
    place: String,
    tokens: u32,
    /// How many times as many tokens as usual.
    times: String,
    connection: String,
}

struct View {
    live: Live,
    rows: Vec<Row>,
    unmetered: Vec<Unknown>,
    built_in: Vec<BuiltIn>,
    dear: Vec<Dear>,
    usual: u32,
    manages: bool,
}

/// Fields of a form or an address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PriceForm {
    model: String,
    connection: String,
    begins: String,
    input: String,
    cache_read: String,
    cache_write: String,
    output: String,
}

/// The key of a price.
#[derive(Clone, Deserialize)]
struct Which {
    model: String,
    connection: String,
    /// Unix milliseconds.
    begins_ms: i64,
}

#[derive(Template)]
#[template(path = "usage/prices.html")]
struct PricesPage {
    shell: Shell,
    here: &'static str,
    usage: String,
    view: View,
    begins_hint: String,
    places: Vec<Choice>,
    v: PriceForm,
    wrong: Wrong,
}

#[derive(Template)]
#[template(path = "usage/prices-list.html")]
struct List {
    shell: Shell,
    view: View,
}

async fn show(
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Query(form): Query<PriceForm>,
) -> Result<Response, PageError> {
    if hx.wants("all-prices") {
        let manages = who.access.may(Can::Admin);
        let view = ws.read_blocking(move |ws| ws.read(|snap| view(ws, manages, snap))).await?;
        return html::fragment(&List { shell, view });
    }
    html::page(&page(&ws, &who, shell, form, Wrong::none()).await?)
}

async fn page(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    form: PriceForm,
    wrong: Wrong,
) -> Result<PricesPage, PageError> {
    let manages = who.access.may(Can::Admin);
    let looked = ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let view = view(ws, manages, snap)?;
            Ok::<_, StoreError>((view, connections::all(snap)?, daily::zone(snap)?))
        })
    });
    let (view, all, zone) = looked.await?;
    let mut places = vec![Choice::new(ANY, "All connections", form.connection == ANY)];
    places.extend(all.iter().map(|one| {
        let handle = connections::handle(&one.name);
        let chosen = handle == form.connection;
        Choice::new(handle, &one.name, chosen)
    }));
    Ok(PricesPage {
        here: MENU,
        usage: shell.url("settings/usage"),
        view,
        begins_hint: format!(
            "From the start of that day in {}. Leave empty to start now.",
            zone.iana_name().unwrap_or("UTC")
        ),
        places,
        v: form,
        wrong,
        shell,
    })
}

fn view(ws: &Ws, manages: bool, snap: &Snap<'_>) -> Result<View, StoreError> {
    let now = ws.app.clock.now();
    let zone = daily::zone(snap)?;
    let all = prices::all(snap)?;
    let names: BTreeMap<ConnectionId, String> =
        connections::all(snap)?.into_iter().map(|one| (one.id, one.name)).collect();
    let enter = |model: &str| ws.url(&format!("{HERE}?model={}#enter", format::query_value(model)));
    let unknown = unmetered::recent(ws, snap, now)?.into_iter().map(|one| Unknown {
        href: enter(&one.model),
        note: format!("{}, {} in 30 days", one.provider, format::count(one.calls, "call", "calls")),
        model: one.model,
    });
    let built_in = catalog::all().iter().filter_map(|model| built_in(&all, model, now, &enter));
    Ok(View {
        live: Live::new(ws.url(HERE)).table("prices").table("connections"),
        rows: all.iter().map(|one| row(ws, &all, one, &names, &zone, now)).collect(),
        unmetered: unknown.collect(),
        built_in: built_in.collect(),
        dear: counting::learned(snap)?.into_iter().map(|one| dear(one, &names)).collect(),
        usual: counting::usual(),
        manages,
    })
}

fn dear(one: Learned, names: &BTreeMap<ConnectionId, String>) -> Dear {
    let place = match one.connection {
        Some(id) => names.get(&id).map_or("a deleted connection", String::as_str),
        None => "practice",
    };
    let tenths = u64::from(one.tokens) * 10 / u64::from(counting::usual().max(1));
    Dear {
        place: place.to_owned(),
        tokens: one.tokens,
        times: format!("{}.{} times the usual count", tenths / 10, tenths % 10),
        connection: one.connection.map_or_else(|| ANY.to_owned(), |id| id.to_string()),
        model: one.model,
    }
}

fn row(
    ws: &Ws,
    all: &[EnteredPrice],
    one: &EnteredPrice,
    names: &BTreeMap<ConnectionId, String>,
    zone: &TimeZone,
    now: Timestamp,
) -> Row {
    let (label, tone) = match state(all, one, now) {
        "holds" => ("Active", Tone::Ok),
        "begins later" => ("Scheduled", Tone::Info),
        _ => ("Replaced", Tone::Neutral),
    };
    let name = one.connection.and_then(|id| names.get(&id));
    let begins = display::day_time(one.begins_at.to_zoned(zone.clone()).datetime());
    let is_known = catalog::describe(&one.model).price.is_some();
    let otherwise = if is_known { "built-in" } else { "as sent" };
    let amount = |amount: Option<u64>| amount.map_or_else(|| otherwise.to_owned(), dollars);
    Row {
        model: one.model.clone(),
        place: name.map_or_else(|| "all connections".to_owned(), Clone::clone),
        begins,
        state: label,
        tone,
        amounts: one.amounts().into_iter().map(amount).collect(),
        which: Which {
            model: one.model.clone(),
            connection: one.connection.map_or_else(|| ANY.to_owned(), |id| id.to_string()),
            begins_ms: one.begins_at.as_millisecond(),
        },
        history: history::href::<EnteredPrice>(ws, one.id()),
    }
}

fn built_in(
    all: &[EnteredPrice],
    model: &Model,
    now: Timestamp,
    enter: &impl Fn(&str) -> String,
) -> Option<BuiltIn> {
    let Price { input, cache_read, cache_write, output } = model.price?;
    let mut notes = Vec::new();
    if prices::at(all, &model.id, None, now).is_some() {
        notes.push("overridden".to_owned());
    }
    if let Some(long) = model.long {
        let (above, input) = (format::tokens(long.above), dollars(long.price.input));
        let output = dollars(long.price.output);
        notes.push(format!("{input} and {output} for calls of more than {above}"));
    }
    Some(BuiltIn {
        name: model.name.clone(),
        model: model.id.clone(),
        amounts: [input, cache_read, cache_write, output].map(dollars).to_vec(),
        note: notes.join(", "),
        href: enter(&model.id),
    })
}

/// Dollars per million tokens, with all decimals.
fn dollars(micros: u64) -> String {
    format!("${}", format::plain_dollars(i64::try_from(micros).unwrap_or(i64::MAX)))
}

/// Parses a price, except for its connection.
fn read(form: &PriceForm, (zone, now): (&TimeZone, Timestamp)) -> Result<NewPrice, Wrong> {
    let mut wrong = Wrong::none();
    let texts = [&form.input, &form.cache_read, &form.cache_write, &form.output];
    let mut amounts = [None; 4];
    for ((text, field), amount) in texts.into_iter().zip(AMOUNTS).zip(&mut amounts) {
        let read = match text.trim() {
            "" => Ok(None),
            text => match format::parse_dollars(text).and_then(|n| u64::try_from(n).ok()) {
                Some(micros) => Ok(Some(micros)),
                None => {
                    let message = format!("{}, or leave it empty", format::wanted_dollars());
                    Err(Wrong::field(field, message))
                }
            },
        };
        *amount = wrong.join(read).flatten();
    }
    let today = now.to_zoned(zone.clone()).date();
    let begins = day::in_field("begins_at", &form.begins, today, Toward::Ahead);
    let begins = wrong.join(begins.map_err(Wrong::from)).flatten();
    // ok: every calendar day begins in every zone.
    let begins_at = begins.and_then(|day| midnight(zone, day));
    if wrong.has_fields() {
        return Err(wrong);
    }
    Ok(NewPrice { model: form.model.clone(), connection: None, begins_at, amounts })
}

async fn set(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    FormOnce(form, once): FormOnce<PriceForm>,
) -> Result<Response, PageError> {
    let word = if form.connection.is_empty() { ANY } else { &form.connection };
    let connection = ws.read(|snap| place(snap, word)).map_err(|refused| PageError(refused.0))?;
    let zone = ws.read(|snap| daily::zone(snap))?;
    let wrong = match read(&form, (&zone, ws.app.clock.now())) {
        Ok(new) => {
            let new = NewPrice { connection, ..new };
            match ws.write(&who, once.run(move |tx| rules::set(tx, new))).await {
                Ok(_) => {
                    let flash = Flash::ok("Price saved. Past calls keep theirs.");
                    return Ok(flash::say(&app, flash, hx.go_to(&ws.url(HERE))));
                }
                Err(error) => Wrong::of(&error)?,
            }
        }
        Err(wrong) => wrong,
    };
    let page = page(&ws, &who, shell, form, wrong).await?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

async fn remove(
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(which): Form<Which>,
) -> Result<Response, PageError> {
    let connection =
        ws.read(|snap| place(snap, &which.connection)).map_err(|refused| PageError(refused.0))?;
    let begins_at = Some(kernel::time::from_ms(which.begins_ms));
    let model = which.model;
    let taken = ws.write(&who, move |tx| rules::remove(tx, &model, connection, begins_at)).await?;
    let message = match taken {
        0 => "That price was already removed",
        _ => "Price removed",
    };
    Ok(hx.done(message, &ws.url(HERE)))
}

/// The model whose factor is reset.
#[derive(Deserialize)]
struct Counting {
    model: String,
    /// A connection's id, or `any` for practice.
    connection: String,
}

async fn reset(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(which): Form<Counting>,
) -> Result<Response, PageError> {
    let connection = which.connection.parse::<ConnectionId>().ok();
    let model = which.model.clone();
    let reset = ws.write(&who, move |tx| forgetting::reset(tx, connection, &model)).await?;
    let text = match reset {
        true => format!("Token counting for {} is reset", which.model),
        false => "Token counting was already reset".to_owned(),
    };
    Ok(flash::say(&app, Flash::ok(text), hx.go_to(&ws.url(HERE))))
}
