//! The settings page of fields: fields of records, stages of the pipeline, presets.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use entity::{AgentsMay, Choice, Column, Kind, Look, Stands};
use features::tasks::queries::view_context::ViewContext;
use kernel::{Can, Hue, Problem as _, ProblemKind};
use store::Read;
use web::error::PageError;
use web::extract::{Form, Path2, Query};
use web::flash;
use web::html;
use web::hx::Hx;
use web::live::Live;
use web::parts::{self, Tab};
use web::path_words;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};

use crate::columns::{self, STAGE};
use crate::error::CrmError;
use crate::model::{CONTACTS, Home, ORGANIZATIONS, RECORDS};
use crate::queries;
use crate::rules::{self, FieldPatch};
use crate::typed::{FormValues, given, text};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/settings/fields", show.needs(Can::Read))
        .post("/settings/fields", make.needs(Can::Write))
        .post("/settings/fields/start", start.needs(Can::Write))
        .post("/settings/fields/{key}/{verb}", act.needs(Can::Write))
}

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FieldsPageParams {
    of: String,
}

/// The home for a word or the id of a collection.
pub(crate) fn home_of(read: &dyn Read, word: &str) -> Result<Home, CrmError> {
    match word {
        "" | "contacts" => Ok(Home::Contacts),
        "organizations" => Ok(Home::Organizations),
        name => Ok(Home::Collection(queries::collection(read, name)?.id)),
    }
}

/// The word of a home in addresses.
pub(crate) fn word_of(home: Home) -> String {
    match home {
        Home::Contacts => "contacts".to_owned(),
        Home::Organizations => "organizations".to_owned(),
        Home::Collection(id) => id.to_string(),
    }
}

/// A stage in the form of the pipeline.
struct StageView {
    key: String,
    label: String,
    colours: Vec<parts::Choice>,
    stands: Vec<parts::Choice>,
    chance: String,
    colour: String,
}

struct FieldView {
    key: String,
    label: String,
    kind: &'static str,
    about: String,
    group: String,
    own: bool,
    required: bool,
    fixed: bool,
    has_choices: bool,
    are_labels: bool,
    /// Whether its kind can be converted.
    converts: bool,
    choices: String,
    choice_labels: Vec<(String, String)>,
    is_number: bool,
    look: String,
    agents: Vec<parts::Choice>,
    agents_label: &'static str,
}

#[derive(Template)]
#[template(path = "crm/fields.html")]
struct FieldsPage {
    shell: Shell,
    live: Live,
    url: String,
    of: String,
    tabs: Vec<Tab>,
    list_url: String,
    stages: Vec<StageView>,
    fields: Vec<FieldView>,
    kinds: Vec<parts::Choice>,
    targets: Vec<parts::Choice>,
    /// Whether the records have no tags.
    lacks_tags: bool,
    may_write: bool,
    error: String,
    typed: FormValues,
}

web::region!(FieldsPage, as_rows, FieldsRows, "crm/fields-rows.html");

impl FieldsPage {
    fn form_value(&self, key: &str) -> &str {
        text(&self.typed, key)
    }
}

fn page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    home: Home,
) -> Result<FieldsPage, CrmError> {
    let columns = columns::of(read, home)?;
    let url = scene.ws.url("settings/fields");
    let of = word_of(home);
    let mut tabs = vec![
        Tab::new("Contacts", url.clone(), home == Home::Contacts),
        Tab::new("Organizations", format!("{url}?of=organizations"), home == Home::Organizations),
    ];
    for one in queries::collections(read)? {
        let here = home == Home::Collection(one.id);
        tabs.push(Tab::new(one.name, format!("{url}?of={}", one.id), here));
    }
    let stage = columns.iter().find(|column| column.key == STAGE);
    let kinds = Kind::ALL.iter();
    Ok(FieldsPage {
        live: Live::new(format!("{url}?of={of}")).table("fields"),
        list_url: scene.ws.url(&match home {
            Home::Contacts => "contacts".to_owned(),
            Home::Organizations => "organizations".to_owned(),
            Home::Collection(id) => format!("collections/{id}"),
        }),
        stages: stage.map_or_else(Vec::new, |stage| {
            let mut all: Vec<StageView> =
                stage.choices.iter().map(|one| stage_view(Some(one))).collect();
            all.push(stage_view(None));
            all
        }),
        fields: columns.iter().filter(|column| column.key != STAGE).map(field_view).collect(),
        kinds: kinds
            .map(|kind| parts::Choice::new(kind.word(), kind.label(), *kind == Kind::Text))
            .collect(),
        targets: vec![
            parts::Choice::new("contacts", "Contacts", true),
            parts::Choice::new("organizations", "Organizations", false),
            parts::Choice::new("records", "Collection records", false),
        ],
        lacks_tags: columns.iter().all(|column| column.key != columns::TAGS),
        may_write: scene.may_write,
        error: String::new(),
        typed: FormValues::new(),
        shell,
        url,
        of,
        tabs,
    })
}

fn stage_view(choice: Option<&Choice>) -> StageView {
    let stands = choice.map_or(Stands::Open, |choice| choice.stands);
    let colour = choice.map_or(Hue::C9, |choice| choice.colour);
    StageView {
        key: choice.map_or_else(String::new, |choice| choice.key.clone()),
        label: choice.map_or_else(String::new, |choice| choice.label.clone()),
        colours: Hue::ALL
            .iter()
            .map(|hue| parts::Choice::new(hue.word(), hue.label(), *hue == colour))
            .collect(),
        stands: Stands::ALL
            .iter()
            .map(|one| parts::Choice::new(one.word(), one.label(), *one == stands))
            .collect(),
        chance: choice.map_or_else(String::new, |choice| choice.chance.to_string()),
        colour: web::ink::named(colour),
    }
}

fn field_view(column: &Column) -> FieldView {
    let labels: Vec<&str> = column.choices.iter().map(|choice| choice.label.as_str()).collect();
    let agents = AgentsMay::ALL.iter();
    FieldView {
        kind: column.kind.label(),
        about: column.about.clone(),
        group: column.group.clone(),
        own: column.own,
        required: column.required,
        fixed: column.key == crate::model::NAME,
        has_choices: column.kind.has_choices() && !columns::are_labels(column),
        are_labels: columns::are_labels(column),
        converts: !column.own && entity::Kind::CONVERTIBLE.contains(&column.kind),
        choices: labels.join("\n"),
        choice_labels: column
            .choices
            .iter()
            .map(|one| (web::ink::named(one.colour), one.label.clone()))
            .collect(),
        is_number: column.kind.is_number(),
        look: column.look.word(),
        agents_label: column.agents.label(),
        agents: agents
            .map(|one| parts::Choice::new(one.word(), one.label(), *one == column.agents))
            .collect(),
        key: column.key.clone(),
        label: column.label.clone(),
    }
}

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Query(params): Query<FieldsPageParams>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        page(&ViewContext::new(&ws, &who, snap)?, snap, shell, home_of(snap, &params.of)?)
    })?;
    match hx.is_partial() {
        true => html::fragment(&page.as_rows()),
        false => html::page(&page),
    }
}

/// The changes of a field in a form.
fn patch(form: &FormValues) -> Result<FieldPatch, CrmError> {
    let look = match given(form, "look").as_deref().map(str::trim) {
        Some(word) => {
            Some(Look::of(&word.to_lowercase()).or_else(|| Look::of(word)).ok_or_else(|| {
                CrmError::field("look", "Use plain, percent, bar or a three-letter currency code.")
            })?)
        }
        None => None,
    };
    Ok(FieldPatch {
        label: given(form, "label"),
        kind: Kind::of(text(form, "kind")),
        look,
        group: given(form, "group"),
        choices: None,
        required: form.contains_key("form").then(|| form.contains_key("required")),
        to: match given(form, "to").as_deref() {
            Some("organizations") => Some(ORGANIZATIONS.number),
            Some("records") => Some(RECORDS.number),
            Some(_) => Some(CONTACTS.number),
            None => None,
        },
        about: given(form, "about"),
        agents: text(form, "agents").parse().ok(),
    })
}

fn labels(text: &str) -> Vec<String> {
    let lines = text.split(['\n', ',', ';']).map(kernel::text::one_line);
    lines.filter(|line| !line.is_empty()).collect()
}

async fn make(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let home = ws.read(|snap| home_of(snap, text(&form, "of")))?;
    let made = match patch(&form) {
        Ok(patch) => {
            let choices =
                labels(text(&form, "choices")).iter().map(|label| Choice::called(label)).collect();
            let patch = FieldPatch { choices: Some(choices), ..patch };
            ws.write(&who, move |tx| rules::make_field(tx, home, patch)).await
        }
        Err(error) => Err(error),
    };
    let done = made.map(|def| format!("Added {}", def.label));
    finish((app, ws, who), (hx, shell), (home, form), done)
}

/// Reports success, or shows the page again with the error.
fn finish(
    (app, ws, who): (App, Ws, Person),
    (hx, shell): (Hx, Shell),
    (home, form): (Home, FormValues),
    done: Result<String, CrmError>,
) -> Result<Response, PageError> {
    match done {
        Ok(words) => {
            let at = ws.url(&format!("settings/fields?of={}", word_of(home)));
            Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
        }
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::Conflict) => {
            let page =
                ws.read(|snap| page(&ViewContext::new(&ws, &who, snap)?, snap, shell, home))?;
            let page =
                FieldsPage { error: web::form::sentence(&error.to_string()), typed: form, ..page };
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

path_words! {
    /// What is done to a field.
    Verb {
        Save = "save",
        Stages = "stages",
        Remove = "remove",
    }
}

async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path2(key, verb): Path2<String, Verb>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let home = ws.read(|snap| home_of(snap, text(&form, "of")))?;
    let sent = form.clone();
    let done = ws
        .write(&who, move |tx| {
            let at = (home, key.as_str());
            let replaced = Some(text(&sent, "replaced"));
            let def = match verb {
                Verb::Remove => {
                    return rules::remove_field(tx, at).map(|def| format!("Removed {}", def.label));
                }
                Verb::Stages => {
                    let patch =
                        FieldPatch { choices: Some(stages(&sent)), ..FieldPatch::default() };
                    rules::change_field(tx, at, patch, replaced)?
                }
                Verb::Save => {
                    let def = rules::change_field(tx, at, patch(&sent)?, replaced)?;
                    match sent.contains_key("choices") {
                        true => {
                            rules::set_choices(tx, at, &labels(text(&sent, "choices")), replaced)?
                        }
                        false => def,
                    }
                }
            };
            Ok(format!("Saved {}", def.label))
        })
        .await;
    finish((app, ws, who), (hx, shell), (home, form), done)
}

/// The stages of the form in order; a stage without a name is removed.
fn stages(form: &FormValues) -> Vec<Choice> {
    let mut all = Vec::new();
    for n in 0..200 {
        let field = |name: &str| text(form, &format!("{name}.{n}"));
        if !form.contains_key(&format!("label.{n}")) {
            break;
        }
        let label = kernel::text::one_line(field("label"));
        if label.is_empty() {
            continue;
        }
        let choice = Choice::called(&label);
        all.push((
            field("at").parse::<u32>().unwrap_or(n + 1),
            Choice {
                key: field("key").to_owned(),
                colour: field("colour").parse().unwrap_or(choice.colour),
                stands: field("stands").parse().unwrap_or_default(),
                chance: field("chance").parse::<u8>().unwrap_or(0).min(100),
                ..choice
            },
        ));
    }
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, choice)| choice).collect()
}

async fn start(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let key = text(&form, "preset").to_owned();
    ws.write(&who, move |tx| rules::start_with(tx, &key)).await?;
    let words = Flash::ok("Stages and fields added. You can change them any time.");
    Ok(flash::say(&app, words, hx.go_to(&ws.url("contacts"))))
}
