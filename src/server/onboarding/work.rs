//! Onboarding step: the purpose of the workspace.

use askama::Template;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::templates;
use features::onboarding::model::{Intent, Onboarding, Step};
use features::onboarding::presets::{self, PRESETS, Preset};
use features::onboarding::rules::OnboardingError;
use interfaces_account::users::pages::passkeys;
use web::error::PageError;
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::parts::Choice;
use web::session::Person;
use web::shell::Theme;

use super::{Steps, address, at, first_name, prepare, status};

struct Card {
    word: &'static str,
    title: &'static str,
    about: &'static str,
    glyph: &'static str,
    colour: u8,
    /// What is created for the purpose.
    brings: Vec<&'static str>,
    /// The suggested role.
    agent: String,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "onboarding/work.html")]
struct Page {
    theme: Theme,
    steps: Steps,
    first: String,
    /// URL for adding a passkey, for a person who has just created the account; otherwise empty, also without browser
    /// support.
    passkey: String,
    cards: Vec<Card>,
    /// Choices of the first step with customers.
    begins: Vec<Choice>,
    wrong: Wrong,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct FirstTaskForm {
    intent: String,
    begins: String,
}

pub(super) async fn show(
    app: App,
    ws: Ws,
    who: Person,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    match at(&ws, Step::Work)? {
        Ok(open) => page((&app, &ws), &who, &headers, &open, Wrong::none()),
        Err(elsewhere) => Ok(elsewhere),
    }
}

/// What is created for a purpose, as short labels.
fn brings(preset: &Preset) -> Vec<&'static str> {
    let streams = preset.streams.iter().map(|stream| stream.name);
    let contacts = preset.contacts.map(|_| "Stages and fields");
    streams.chain(contacts).chain(preset.collection.map(|one| one.name)).collect()
}

fn page(
    (app, ws): (&App, &Ws),
    who: &Person,
    headers: &HeaderMap,
    open: &Onboarding,
    wrong: Wrong,
) -> Result<Response, PageError> {
    let has_card = |preset: &&Preset| !matches!(preset.intent, Intent::Explore | Intent::Outreach);
    let all = PRESETS.iter().filter(has_card);
    let is_outreach = open.intent == Some(Intent::Outreach);
    let cards = all.map(|preset| Card {
        word: preset.word(),
        title: preset.title,
        about: preset.about,
        glyph: preset.glyph,
        colour: preset.colour,
        brings: brings(preset),
        agent: templates::find(preset.agent.template)
            .map(|template| template.manifest.name.clone())
            .unwrap_or_default(),
        chosen: open.intent == Some(preset.intent)
            || (is_outreach && preset.intent == Intent::Reach),
    });
    let ways = [("outreach", "First contact", is_outreach), ("deals", "Deals", !is_outreach)];
    let page = Page {
        theme: Theme::from_headers(headers),
        steps: Steps::of(ws, open, Step::Work),
        first: first_name(&who.name).to_owned(),
        passkey: match open.is_first && passkeys::site(app, headers).is_some() {
            true => ws.url("settings/security"),
            false => String::new(),
        },
        cards: cards.collect(),
        begins: ways.map(|(value, label, chosen)| Choice::new(value, label, chosen)).to_vec(),
        wrong,
    };
    html::document(status(&page.wrong), &page)
}

pub(super) async fn choose(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    headers: HeaderMap,
    FormOnce(form, _): FormOnce<FirstTaskForm>,
) -> Result<Response, PageError> {
    let open = match at(&ws, Step::Work)? {
        Ok(open) => open,
        Err(elsewhere) => return Ok(elsewhere),
    };
    let intent = match (presets::meant(&form.intent), form.begins.as_str()) {
        (Some(Intent::Reach), "outreach") => Some(Intent::Outreach),
        (meant, _) => meant,
    };
    let Some(intent) = intent else {
        return page((&app, &ws), &who, &headers, &open, Wrong::of(&OnboardingError::NoIntent)?);
    };
    ws.write(&who, move |tx| prepare::choose(tx, intent)).await?;
    Ok(hx.go_to(&address(&ws, Step::Machine)))
}
