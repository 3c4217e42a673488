//! What agents think with: a provider that is tested at once, a server that runs here already, or practice.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use app::{App, Ws};
use doors_account::connections::pages::new::{self as settings, Typed};
use features::connections::model::Connection;
use features::connections::presets::{KeyNeed, PRESETS, Preset};
use features::connections::provider::forget_key;
use features::connections::queries::{self as connections, Pick};
use features::connections::rules::{self as connection_rules, ConnectionError};
use features::onboarding::local::{self, Found};
use features::onboarding::model::{Onboarding, Step};
use features::usage::rules::budgets::{self, Wish};
use features::workspace::model::Settings;
use kernel::{Payer, Period};
use store::{ReadExt, StoreError};
use web::error::PageError;
use web::extract::Query;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::parts::Choice;
use web::session::Person;
use web::shell::Theme;

use super::{Steps, address, at, leave, status};

/// The kinds that are offered before somebody asks for all.
const OFFERED: [&str; 4] = ["anthropic", "openai", "gemini", "openrouter"];
/// The limits of a month that are offered, in dollars.
const LIMITS: [i64; 5] = [10, 20, 40, 100, 250];
const MICROS: i64 = 1_000_000;
/// At which share of the limit a person hears of it, in percent.
const SOFT_PCT: u8 = 80;

struct Card {
    /// Tells it from the others on the page.
    key: String,
    kind: &'static str,
    name: String,
    initial: String,
    about: String,
    /// How one connects it, with its tone.
    badge: (&'static str, &'static str),
    href: String,
    open: bool,
}

/// The fields of the card that is open.
#[derive(Default)]
struct Open {
    asks_address: bool,
    address: String,
    asks_key: bool,
    needs_key: bool,
    key_hint: &'static str,
    key_shape: &'static str,
}

struct Works {
    name: String,
    said: String,
    models: usize,
    picks: Vec<Choice>,
    limits: Vec<Choice>,
}

enum State {
    Connected(Works),
    Choosing(Open),
}

#[derive(Template)]
#[template(path = "onboarding/model.html")]
struct Page {
    theme: Theme,
    steps: Steps,
    here: String,
    state: State,
    cards: Vec<Card>,
    /// The words of the link to all kinds; empty when all are shown.
    more: String,
    wrong: Wrong,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    kind: String,
    /// The address of a server that was found.
    at: String,
    all: String,
}

pub(super) async fn show(
    app: App,
    ws: Ws,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    match at(&ws, Step::Model)? {
        Ok(open) => page(&app, &ws, &headers, (&open, &asked), Wrong::none()).await,
        Err(elsewhere) => Ok(elsewhere),
    }
}

async fn page(
    app: &App,
    ws: &Ws,
    headers: &HeaderMap,
    (open, asked): (&Onboarding, &Asked),
    wrong: Wrong,
) -> Result<Response, PageError> {
    let works = ws.read(|snap| works(snap))?;
    let here = address(ws, Step::Model);
    let (state, cards) = match works {
        Some(works) => (State::Connected(works), Vec::new()),
        None => {
            let found = local::look(&app.http, local::usual()).await;
            offers(ws, &here, asked, &found)
        }
    };
    let more = match (&state, asked.all.is_empty()) {
        (State::Choosing(_), true) => format!("Show all {} providers", PRESETS.len()),
        _ => String::new(),
    };
    let page = Page {
        theme: Theme::from_headers(headers),
        steps: Steps::of(ws, open, Step::Model),
        here,
        state,
        cards,
        more,
        wrong,
    };
    html::document(status(&page.wrong), &page)
}

/// The connection that agents use now, unless that is practice.
fn works(tx: &impl ReadExt) -> Result<Option<Works>, StoreError> {
    let settings = tx.get::<Settings>(())?;
    let now = settings.and_then(|one| Some((one.default_connection?, one.default_model?)));
    let Some((id, model)) = now else { return Ok(None) };
    let Some(connection) = tx.get::<Connection>(id)? else { return Ok(None) };
    let picks = connections::picks(tx)?.into_iter().map(|pick| {
        let chosen = pick.connection == Some(id) && pick.model == model;
        Choice::new(pick.value(), pick.label(), chosen)
    });
    let limits = std::iter::once(Choice::new("", "No limit", true));
    let limits = limits.chain(LIMITS.iter().map(|dollars| {
        Choice::new(dollars.to_string(), format!("${dollars} for all agents"), false)
    }));
    Ok(Some(Works {
        said: connection.tested.map(|tested| tested.message).unwrap_or_default(),
        models: connection.models.len(),
        name: connection.name,
        picks: picks.collect(),
        limits: limits.collect(),
    }))
}

/// The cards of what can be connected: servers that run here first when there are some, then the usual providers.
fn offers(ws: &Ws, here: &str, asked: &Asked, found: &[Found]) -> (State, Vec<Card>) {
    let is_open = |kind: &str, at: &str| asked.kind == kind && asked.at == at;
    let mut cards: Vec<Card> = found
        .iter()
        .map(|one| {
            let (kind, at) = (one.place.kind, one.place.address.as_str());
            let query = format::query_value(at);
            let count = match one.models.len() {
                1 => "one model".to_owned(),
                count => format!("{count} models"),
            };
            Card {
                key: query.clone(),
                kind,
                name: "A model on this machine".to_owned(),
                initial: "L".to_owned(),
                about: format!("Found at {at}: {count}, nothing leaves the house"),
                badge: ("Local", "ok"),
                href: format!("{here}?kind={kind}&at={query}"),
                open: is_open(kind, at),
            }
        })
        .collect();
    let offered = |preset: &&Preset| !asked.all.is_empty() || OFFERED.contains(&preset.slug);
    let all = if asked.all.is_empty() { "" } else { "&all=1" };
    cards.extend(PRESETS.iter().filter(offered).map(|preset| Card {
        key: preset.slug.to_owned(),
        kind: preset.slug,
        name: preset.name.to_owned(),
        initial: preset.name.chars().take(1).collect(),
        about: preset.text.to_owned(),
        badge: badge(preset),
        href: match preset.sign_in {
            Some(_) => ws.url(&format!("settings/connections/new?kind={}", preset.slug)),
            None => format!("{here}?kind={}{all}", preset.slug),
        },
        open: is_open(preset.slug, ""),
    }));
    if !cards.iter().any(|card| card.open)
        && let Some(first) = cards.first_mut()
    {
        first.open = true;
    }
    let open = cards.iter().position(|card| card.open);
    let fields = open.and_then(|n| cards.get(n)).and_then(|card| {
        let preset = features::connections::presets::find(card.kind)?;
        let at = found.iter().find(|one| card.key == format::query_value(&one.place.address));
        Some(Open {
            asks_address: preset.asks_address,
            address: at.map_or(preset.address, |one| &one.place.address).to_owned(),
            asks_key: at.is_none(),
            needs_key: preset.key == KeyNeed::Needed,
            key_hint: preset.key_hint,
            key_shape: preset.key_shape,
        })
    });
    (State::Choosing(fields.unwrap_or_default()), cards)
}

fn badge(preset: &Preset) -> (&'static str, &'static str) {
    match (preset.sign_in, preset.key) {
        (Some(_), _) => ("Sign in", "info"),
        _ if preset.slug == "anthropic" => ("Recommended", "brand"),
        (None, KeyNeed::Needed) => ("API key", ""),
        (None, KeyNeed::Optional) => ("Your own", ""),
    }
}

/// `POST /onboarding/model`: makes a connection and tests it. One that does not answer is not kept.
pub(super) async fn connect(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    FormOnce(typed, once): FormOnce<Typed>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Model)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let here = address(&ws, Step::Model);
    let Some(preset) = features::connections::presets::find(&typed.kind) else {
        return Ok(hx.go_to(&here));
    };
    let name = free_name(&ws, preset.name)?;
    let typed = Typed { name, ..typed };
    let asked = Asked { kind: typed.kind.clone(), all: "1".to_owned(), ..Asked::default() };
    let wrong = match settings::connect(&app, &ws, &who, (preset, &typed), once).await? {
        Ok(made) if made.works => return Ok(hx.go_to(&here)),
        Ok(made) => {
            let id = made.id;
            ws.write(&who, move |tx| connection_rules::delete(tx, id)).await?;
            forget_key(&app, id);
            let field = if preset.asks_address { "base_url" } else { "key" };
            Wrong::field(field, made.told.text)
        }
        Err(error) => Wrong::of(&error)?,
    };
    page(&app, &ws, &headers, (&open, &asked), wrong).await
}

/// The name of a kind, with a number behind it where one is called so already.
fn free_name(ws: &Ws, name: &str) -> Result<String, PageError> {
    let taken = |name: &str| {
        ws.read(|snap| Ok::<_, StoreError>(connections::by_name(snap, name)?.is_some()))
    };
    let mut free = name.to_owned();
    let mut number = 2;
    while taken(&free)? {
        free = format!("{name} {number}");
        number += 1;
    }
    Ok(free)
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    pick: String,
    limit: String,
}

/// `POST /onboarding/model/choose`: the everyday model, and what a month may cost.
pub(super) async fn choose(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    FormOnce(typed, _): FormOnce<Chosen>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Model)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let Some((connection, model)) = Pick::parse(&typed.pick) else {
        let wrong = Wrong::of(&ConnectionError::BadModel)?;
        return page(&app, &ws, &headers, (&open, &Asked::default()), wrong).await;
    };
    let limit = match typed.limit.as_str() {
        "" => None,
        dollars => match dollars.parse::<i64>().ok().filter(|one| LIMITS.contains(one)) {
            Some(dollars) => Some(dollars * MICROS),
            None => {
                let wrong = Wrong::field("limit", "choose one of the limits");
                return page(&app, &ws, &headers, (&open, &Asked::default()), wrong).await;
            }
        },
    };
    ws.write(&who, move |tx| connection_rules::set_default(tx, connection, &model)).await?;
    if limit.is_some() {
        let wish = Wish {
            payer: Payer::Workspace,
            period: Period::Month,
            limit_micros: limit,
            limit_tokens: None,
            soft_pct: SOFT_PCT,
            hard: true,
        };
        ws.write(&who, move |tx| budgets::set(tx, wish)).await?;
    }
    leave(&ws, &who, &hx, Step::Model).await
}

/// `POST /onboarding/model/skip`: agents use practice for now.
pub(super) async fn skip(
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(IgnoredAny, _): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    leave(&ws, &who, &hx, Step::Model).await
}
