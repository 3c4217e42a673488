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
use features::connections::presets::{self, Group, KeyNeed, PRESETS, Preset};
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
use interfaces_account::connections::pages::providers::{ProviderCard, ProviderList};
use kernel::{Actor, Cause, ConnectionId, FieldError, Part, Payer, Period, Problem, ProblemKind};
use providers::base;
use store::{Read, ReadExt, StoreError, WriteTx};
use web::error::PageError;
use web::extract::Query;
use web::fields;
use web::form::Wrong;
use web::format;
use web::html::{self, RenderError};
use web::hx::Hx;
use web::idempotency::{FormOnce, Once};
use web::parts::Choice;
use web::session::Person;
use web::shell::Theme;

use super::{Steps, address, at, complete_step, status};

/// Offered monthly limits in dollars.
const LIMITS: [i64; 5] = [10, 20, 40, 100, 250];
const MICROS: i64 = 1_000_000;
/// Form value for keeping a limit that was set elsewhere.
const KEEP: &str = "keep";

/// The form of the chosen provider.
#[derive(Default)]
struct Open {
    kind: &'static str,
    name: String,
    about: String,
    mark: &'static str,
    colour: u8,
    asks_address: bool,
    address: String,
    asks_key: bool,
    needs_key: bool,
    key_hint: &'static str,
    key_shape: &'static str,
    key_page: &'static str,
    key_site: &'static str,
}

impl Open {
    /// `found`: the detected local server whose form it is.
    fn of(preset: &'static Preset, found: Option<&Found>) -> Self {
        let card = match found {
            Some(one) => found_card(preset, one, String::new()),
            None => ProviderCard::new(preset, String::new()),
        };
        Self {
            kind: preset.slug,
            name: card.name,
            about: card.about,
            mark: card.mark,
            colour: card.colour,
            asks_address: preset.asks_address,
            address: found.map_or(preset.address, |one| &one.place.address).to_owned(),
            asks_key: found.is_none(),
            needs_key: preset.key == KeyNeed::Needed,
            key_hint: preset.key_hint,
            key_shape: preset.key_shape,
            key_page: preset.key_page,
            key_site: preset.key_site(),
        }
    }
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
    /// The form, and the list of providers as HTML.
    Choosing(Box<Open>, String),
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
    wrong: Wrong,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ModelStepParams {
    kind: String,
    /// Address of a detected local server.
    at: String,
    /// The typed address of a form that is shown again.
    base_url: String,
    /// Whether another connection is added although one works.
    another: String,
}

impl ModelStepParams {
    /// Query parameters that the links of the cards preserve.
    fn rest(&self) -> &'static str {
        if self.another.is_empty() { "" } else { "&another=1" }
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
    let state = match works {
        Some(works) => State::Connected(works),
        None => {
            let found = local::find_servers(&app.http, local::usual()).await;
            offers(ws, &here, params, &found)?
        }
    };
    let page = Page {
        theme: Theme::from_headers(headers),
        steps: Steps::of(ws, open, Step::Model),
        state,
        another,
        here,
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

/// The list of providers, with detected local servers first in their group, and the form of the chosen one. Without a
/// choice, it is the first detected server, else the first provider.
fn offers(
    ws: &Ws,
    here: &str,
    params: &ModelStepParams,
    found: &[Found],
) -> Result<State, RenderError> {
    let chosen = presets::find(&params.kind).filter(|preset| preset.sign_in.is_none());
    let server = match chosen {
        Some(preset) => {
            found.iter().find(|one| one.place.address == params.at).map(|s| (preset, s))
        }
        None => found.iter().find_map(|one| Some((presets::find(one.place.kind)?, one))),
    };
    let mut open = match (server, chosen) {
        (Some((preset, server)), _) => Open::of(preset, Some(server)),
        (None, Some(preset)) => Open::of(preset, None),
        (None, None) => PRESETS.first().map(|first| Open::of(first, None)).unwrap_or_default(),
    };
    if !params.base_url.is_empty() {
        open.address.clone_from(&params.base_url);
    }
    let slug = if server.is_some() { "" } else { open.kind };
    let mut list = ProviderList::new(slug, |preset| match preset.sign_in {
        Some(_) => ws.url(&format!("settings/connections/new?kind={}", preset.slug)),
        None => format!("{here}?kind={}{}", preset.slug, params.rest()),
    });
    for one in found.iter().rev() {
        let Some(preset) = presets::find(one.place.kind) else { continue };
        let at = format::query_value(&one.place.address);
        let href = format!("{here}?kind={}&at={at}{}", preset.slug, params.rest());
        let is_open = server.is_some_and(|(_, server)| server.place.address == one.place.address);
        let card = ProviderCard { is_open, ..found_card(preset, one, href) };
        list.put_first(Group::Local, card);
    }
    Ok(State::Choosing(Box::new(open), html::render(&list)?))
}

fn found_card(preset: &Preset, one: &Found, href: String) -> ProviderCard {
    let count = format::count(one.models.len() as u64, "model", "models");
    ProviderCard {
        name: "A model on this machine".to_owned(),
        about: format!("Found at {}: {count}, your data stays local", one.place.address),
        note: "Found",
        ..ProviderCard::new(preset, href)
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
    let Some(preset) = presets::find(&form.kind) else {
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
    let params = ModelStepParams {
        kind: form.kind,
        base_url: form.base_url,
        another: "1".to_owned(),
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
