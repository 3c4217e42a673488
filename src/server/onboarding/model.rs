//! Onboarding step: the model connection. Offers a provider, which is tested immediately, a local server, or the
//! practice provider.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use app::{App, Ws};
use features::connections::checks;
use features::connections::model::Connection;
use features::connections::presets::{KeyNeed, PRESETS, Preset};
use features::connections::provider::{forget_key, seal_key};
use features::connections::queries::{self as connections, Pick};
use features::connections::rules::{self as connection_rules, ConnectionError};
use features::onboarding::local::{self, Found};
use features::onboarding::model::{Onboarding, Step};
use features::onboarding::rules::{self, OnboardingError};
use features::usage::model::budget::Budget;
use features::usage::queries::budgets as standing;
use features::usage::rules::UsageError;
use features::usage::rules::budgets::{self, BudgetRequest};
use features::workspace::model::Settings;
use interfaces_account::connections::pages::new::{self as settings, NewConnectionForm};
use kernel::{Actor, Cause, ConnectionId, FieldError, Part, Payer, Period, Problem, ProblemKind};
use providers::base;
use store::{Read, ReadExt, StoreError, WriteTx};
use web::error::PageError;
use web::extract::Query;
use web::fields;
use web::form::Wrong;
use web::format;
use web::html;
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::parts::Choice;
use web::session::Person;
use web::shell::Theme;

use super::{Steps, address, at, complete_step, status};

/// Provider kinds shown before the user asks for all.
const OFFERED: [&str; 4] = ["anthropic", "openai", "gemini", "openrouter"];
/// Offered monthly limits in dollars.
const LIMITS: [i64; 5] = [10, 20, 40, 100, 250];
const MICROS: i64 = 1_000_000;
/// Form value for keeping a limit that was set elsewhere.
const KEEP: &str = "keep";

struct Card {
    /// Unique on the page.
    key: String,
    kind: &'static str,
    name: String,
    initial: String,
    about: String,
    /// How to connect the provider, with its tone.
    badge: (&'static str, &'static str),
    href: String,
    open: bool,
}

/// Fields of the expanded card.
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
    /// Whether the model answers but does not call tools.
    only_talks: bool,
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
    /// Whether another connection is added although one works.
    another: bool,
    cards: Vec<Card>,
    /// Label of the link to all kinds; empty if all are shown.
    more: String,
    more_href: String,
    wrong: Wrong,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelStepParams {
    kind: String,
    /// Address of a detected local server.
    at: String,
    all: String,
    /// Whether another connection is added although one works.
    another: String,
}

/// Query parameters that the links of the cards preserve.
impl ModelStepParams {
    fn rest(&self) -> &'static str {
        match (self.all.is_empty(), self.another.is_empty()) {
            (true, true) => "",
            (false, true) => "&all=1",
            (true, false) => "&another=1",
            (false, false) => "&all=1&another=1",
        }
    }
}

pub(super) async fn show(
    app: App,
    ws: Ws,
    headers: HeaderMap,
    Query(params): Query<ModelStepParams>,
) -> Result<Response, PageError> {
    match at(&ws, Step::Model)? {
        Ok(open) => page(&app, &ws, &headers, (&open, &params), Wrong::none()).await,
        Err(elsewhere) => Ok(elsewhere),
    }
}

async fn page(
    app: &App,
    ws: &Ws,
    headers: &HeaderMap,
    (open, params): (&Onboarding, &ModelStepParams),
    wrong: Wrong,
) -> Result<Response, PageError> {
    let works = ws.read(|snap| works(snap))?;
    let another = works.is_some() && !params.another.is_empty();
    let works = works.filter(|_| !another);
    let here = address(ws, Step::Model);
    let (state, cards) = match works {
        Some(works) => (State::Connected(works), Vec::new()),
        None => {
            let found = local::find_servers(&app.http, local::usual()).await;
            offers(ws, &here, params, &found)
        }
    };
    let more = match (&state, params.all.is_empty()) {
        (State::Choosing(_), true) => format!("Show all {} providers", PRESETS.len()),
        _ => String::new(),
    };
    let all = ModelStepParams { all: "1".to_owned(), ..params.clone() };
    let page = Page {
        theme: Theme::from_headers(headers),
        steps: Steps::of(ws, open, Step::Model),
        state,
        another,
        cards,
        more_href: format!("{here}?{}", all.rest().trim_start_matches('&')),
        here,
        more,
        wrong,
    };
    html::document(status(&page.wrong), &page)
}

/// The default connection, unless it is the practice provider.
fn works(tx: &dyn Read) -> Result<Option<Works>, StoreError> {
    let Some(settings) = tx.get::<Settings>(())? else { return Ok(None) };
    let (Some(id), Some(model)) = (settings.default_connection, settings.default_model) else {
        return Ok(None);
    };
    let Some(connection) = tx.get::<Connection>(id)? else { return Ok(None) };
    let picks = connections::picks(tx)?.into_iter().map(|pick| {
        let chosen = pick.connection == Some(id) && pick.model == model;
        Choice::new(pick.value(), pick.label(), chosen)
    });
    let tested = connection.tested;
    Ok(Some(Works {
        only_talks: tested.as_ref().is_some_and(checks::only_talks),
        said: tested.map(|tested| tested.message).unwrap_or_default(),
        models: connection.models.len(),
        name: connection.name,
        picks: picks.collect(),
        limits: limits(settings.budget_micros),
    }))
}

/// The monthly limits to choose from, including the current one.
fn limits(now: Option<i64>) -> Vec<Choice> {
    let words = |micros| format!("{} for all agents", format::limit(micros));
    let mut all = vec![Choice::new("", "No limit", now.is_none())];
    all.extend(LIMITS.iter().map(|dollars| {
        let micros = dollars * MICROS;
        Choice::new(dollars.to_string(), words(micros), now == Some(micros))
    }));
    if let Some(other) = now.filter(|now| LIMITS.iter().all(|dollars| dollars * MICROS != *now)) {
        all.push(Choice::new(KEEP, words(other), true));
    }
    all
}

/// Cards for available connections: detected local servers first, then the usual providers.
fn offers(ws: &Ws, here: &str, params: &ModelStepParams, found: &[Found]) -> (State, Vec<Card>) {
    let is_open = |kind: &str, at: &str| params.kind == kind && params.at == at;
    let mut cards: Vec<Card> = found
        .iter()
        .map(|one| {
            let (kind, at) = (one.place.kind, one.place.address.as_str());
            let query = format::query_value(at);
            let count = match one.models.len() {
                1 => "1 model".to_owned(),
                count => format!("{count} models"),
            };
            Card {
                key: query.clone(),
                kind,
                name: "A model on this machine".to_owned(),
                initial: "L".to_owned(),
                about: format!("Found at {at}: {count}, your data stays local"),
                badge: ("Local", "ok"),
                href: format!("{here}?kind={kind}&at={query}{}", params.rest()),
                open: is_open(kind, at),
            }
        })
        .collect();
    let offered = |preset: &&Preset| !params.all.is_empty() || OFFERED.contains(&preset.slug);
    cards.extend(PRESETS.iter().filter(offered).map(|preset| Card {
        key: preset.slug.to_owned(),
        kind: preset.slug,
        name: preset.name.to_owned(),
        initial: preset.name.chars().take(1).collect(),
        about: preset.text.to_owned(),
        badge: badge(preset),
        href: match preset.sign_in {
            Some(_) => ws.url(&format!("settings/connections/new?kind={}", preset.slug)),
            None => format!("{here}?kind={}{}", preset.slug, params.rest()),
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

/// `POST /onboarding/model`: creates and tests a connection. A connection that fails the test is deleted. If two
/// windows connect the same provider, one connection is kept.
pub(super) async fn connect(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    FormOnce(form, once): FormOnce<NewConnectionForm>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Model)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let here = address(&ws, Step::Model);
    let Some(preset) = features::connections::presets::find(&form.kind) else {
        return Ok(hx.go_to(&here));
    };
    let mut there = is_there(&app, &ws, (preset, &form), answers_and_calls)?;
    if there.is_none() {
        // An untested connection, left by a crash or currently tested in another window, is tested instead of a new
        // one.
        let untried = is_there(&app, &ws, (preset, &form), |one| one.tested.is_none())?;
        if let Some(id) = untried {
            // ok: if the test fails or the connection is gone, a new one is created from the form.
            let checked = checks::test(&ws, &who, id).await.ok();
            there = checked.filter(|checked| checked.tested.ok).map(|_| id);
        }
    }
    if let Some(there) = there {
        ws.write(&who, move |tx| think_with(tx, there)).await?;
        return Ok(hx.go_to(&here));
    }
    // A form whose connection failed may be submitted again unchanged.
    let is_gone = ws.read(|snap| match once.answered::<ConnectionId>(snap)? {
        Some(made) => Ok::<_, StoreError>(snap.get::<Connection>(made)?.is_none()),
        None => Ok(false),
    })?;
    let once = if is_gone { Once::without_key() } else { once };
    let made = loop {
        let form = NewConnectionForm { name: free_name(&ws, preset.name)?, ..form.clone() };
        match settings::connect(&app, &ws, &who, (preset, &form), once.clone()).await? {
            // Another window was faster.
            Err(ConnectionError::NameTaken(_)) => {}
            made => break made,
        }
    };
    let wrong = match made {
        Ok(made) if made.works => {
            let id = made.id;
            let stays = ws.write(&by_setup(), move |tx| only_one(tx, id)).await?;
            if stays != id {
                forget_key(&app, id);
            }
            ws.write(&who, move |tx| think_with(tx, stays)).await?;
            return Ok(hx.go_to(&here));
        }
        Ok(made) => {
            let id = made.id;
            ws.write(&by_setup(), move |tx| connection_rules::removal::delete(tx, id, None))
                .await?;
            forget_key(&app, id);
            let field = if preset.asks_address { "base_url" } else { "key" };
            Wrong::field(field, made.flash.text)
        }
        Err(error) => Wrong::of(&error)?,
    };
    if hx.is_partial() {
        // The typed values stay in the fields, including the key.
        let errors = ["key", "base_url"].map(|field| wrong.at(field));
        let errors = errors.into_iter().find(|errors| !errors.is_empty()).unwrap_or(wrong.whole());
        return html::fragment_with(status(&wrong), &fields::summary(errors));
    }
    let yes = || "1".to_owned();
    let params = ModelStepParams {
        kind: form.kind,
        all: yes(),
        another: yes(),
        ..ModelStepParams::default()
    };
    page(&app, &ws, &headers, (&open, &params), wrong).await
}

/// Actor for the cleanup: the user did not choose it.
fn by_setup() -> (Actor, Cause) {
    (Actor::System(Part::Setup), Cause::Setup)
}

/// The first connection that fulfils the condition.
fn alike(
    tx: &dyn Read,
    is: impl Fn(&Connection) -> bool,
) -> Result<Option<ConnectionId>, StoreError> {
    Ok(connections::all(tx)?.into_iter().find(is).map(|one| one.id))
}

fn answers(one: &Connection) -> bool {
    one.tested.as_ref().is_some_and(|tested| tested.ok)
}

/// Whether the connection answers and calls tools. Otherwise it is tested again, because the model may have changed.
fn answers_and_calls(one: &Connection) -> bool {
    answers(one) && !one.tested.as_ref().is_some_and(checks::only_talks)
}

/// An existing connection that matches the form and fulfils the condition, for example from another window.
fn is_there(
    app: &App,
    ws: &Ws,
    (preset, form): (&Preset, &NewConnectionForm),
    is: impl Fn(&Connection) -> bool,
) -> Result<Option<ConnectionId>, StoreError> {
    let address = if preset.asks_address { form.base_url.as_str() } else { preset.address };
    // ok: connecting rejects an invalid address.
    let Ok(base) = base::normalise(preset.wire.into(), address) else { return Ok(None) };
    let hint = seal_key(app, &form.key).map(|key| key.hint);
    let place = (preset.wire, &base.url, &hint);
    ws.read(|snap| alike(snap, |one| is(one) && (one.wire, &one.base_url, &one.key_hint) == place))
}

/// Deletes a working connection if another window has connected the same provider meanwhile. Returns the one that is
/// kept.
fn only_one(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<ConnectionId, ConnectionError> {
    let made = tx.get::<Connection>(id)?.ok_or(ConnectionError::NotFound(id))?;
    let place = (made.wire, &made.base_url, &made.key_hint);
    let other = alike(tx, |one| {
        one.id != id && answers(one) && (one.wire, &one.base_url, &one.key_hint) == place
    })?;
    let Some(other) = other else { return Ok(id) };
    connection_rules::removal::delete(tx, id, None)?;
    Ok(other)
}

/// Makes a connection the default unless it is.
fn think_with(tx: &mut WriteTx<'_>, id: ConnectionId) -> Result<(), ConnectionError> {
    let settings = tx.get::<Settings>(())?;
    match settings.and_then(|settings| settings.default_connection) == Some(id) {
        true => Ok(()),
        false => connection_rules::make_default(tx, id),
    }
}

/// The name of the kind, with a number if the name is taken.
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

/// `POST /onboarding/model/choose`: the default model and the monthly limit.
pub(super) async fn choose(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    FormOnce(form, _): FormOnce<Chosen>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Model)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let Some((connection, model)) = Pick::parse(&form.pick) else {
        let wrong = Wrong::of(&ConnectionError::BadModel)?;
        return page(&app, &ws, &headers, (&open, &ModelStepParams::default()), wrong).await;
    };
    let limit = match form.limit.as_str() {
        "" | KEEP => None,
        dollars => match dollars.parse::<i64>().ok().filter(|one| LIMITS.contains(one)) {
            Some(dollars) => Some(dollars * MICROS),
            None => {
                let wrong = Wrong::field("limit", "choose a limit");
                return page(&app, &ws, &headers, (&open, &ModelStepParams::default()), wrong)
                    .await;
            }
        },
    };
    let keeps = form.limit == KEEP;
    // One transaction, so that a crash cannot leave the model without its limit.
    let chosen = move |tx: &mut WriteTx<'_>| {
        connection_rules::set_default(tx, connection, &model)?;
        if !keeps {
            limit_month(tx, limit)?;
        }
        rules::go_on(tx, Step::Model)?;
        Ok::<_, ChoiceError>(())
    };
    ws.write(&who, chosen).await?;
    Ok(hx.go_to(&address(&ws, Step::Agent)))
}

/// Why the choice is invalid.
#[derive(Debug, thiserror::Error)]
enum ChoiceError {
    /// Onboarding is finished.
    #[error(transparent)]
    Setup(#[from] OnboardingError),
    /// The model cannot be the default.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The limit is invalid.
    #[error(transparent)]
    Limit(#[from] UsageError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Problem for ChoiceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Setup(error) => error.code(),
            Self::Connection(error) => error.code(),
            Self::Limit(error) => error.code(),
            Self::Store(error) => error.code(),
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::Setup(error) => error.kind(),
            Self::Connection(error) => error.kind(),
            Self::Limit(error) => error.kind(),
            Self::Store(error) => error.kind(),
        }
    }
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Setup(error) => error.fields(),
            Self::Connection(error) => error.fields(),
            Self::Limit(error) => error.fields(),
            Self::Store(_) => Vec::new(),
        }
    }
}

/// Sets or removes the monthly limit of all agents. Other fields of the budget stay.
fn limit_month(tx: &mut WriteTx<'_>, limit_micros: Option<i64>) -> Result<(), UsageError> {
    let now = standing::one(tx, Payer::Workspace, Period::Month)?;
    let now = now.unwrap_or_else(|| Budget::new(Payer::Workspace, Period::Month));
    let Budget { payer, period, limit_tokens, soft_pct, hard, .. } = now;
    budgets::set(tx, BudgetRequest { payer, period, limit_micros, limit_tokens, soft_pct, hard })
}

/// `POST /onboarding/model/skip`: agents use the practice provider for now.
pub(super) async fn skip(
    ws: Ws,
    who: Person,
    hx: Hx,
    FormOnce(IgnoredAny, _): FormOnce<IgnoredAny>,
) -> Result<Response, PageError> {
    complete_step(&ws, &who, &hx, Step::Model).await
}
