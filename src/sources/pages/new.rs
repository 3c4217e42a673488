//! New source: choice of the connector, then what it reads.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use connect::{Capability, Input, Manifest, Reads};
use kernel::{FieldError, Problem as _, ProblemKind};
use knowledge::queries::Tree;
use serde_json::{Map, Value};
use store::WriteTx;
use web::error::PageError;
use web::extract::Query;
use web::hx::Hx;
use web::idempotency::FormOnce;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

use super::sheet;
use crate::api;
use crate::error::SourceError;
use crate::reach;
use crate::rules::{self, NewSource, Patch};

/// Choices of hours between syncs.
pub(super) const HOURS: [u32; 5] = [1, 6, 12, 24, 168];

/// Submitted fields by name.
pub(super) type FormValues = Map<String, Value>;

struct Offer {
    icon: String,
    name: String,
    about: String,
    href: String,
}

/// A field that a connector asks for.
pub(super) struct Asks {
    pub(super) name: String,
    pub(super) label: String,
    pub(super) hint: String,
    pub(super) placeholder: String,
    pub(super) kind: &'static str,
    pub(super) value: String,
    pub(super) error: String,
    pub(super) required: bool,
    pub(super) choices: Vec<Choice>,
    /// Suggestions while typing.
    pub(super) places: Vec<String>,
}

#[derive(Template)]
#[template(path = "sources/new.html", blocks = [])]
struct NewPage {
    shell: Shell,
    sheet: &'static str,
    list_url: String,
    base: String,
    offers: Vec<Offer>,
    connector: String,
    title: String,
    about: String,
    asks: Vec<Asks>,
    name: (String, String),
    hours: Vec<Choice>,
    folders: Vec<Choice>,
    may_write: bool,
    writable: bool,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Chosen {
    connector: String,
}

pub(super) async fn new(
    ws: Ws,
    shell: Shell,
    Query(chosen): Query<Chosen>,
) -> Result<Response, PageError> {
    let none = FormValues::new();
    let page = ws.read_blocking(move |ws| page(ws, shell, (&chosen.connector, &none, &[])));
    html::page(&page.await?)
}

fn page(
    ws: &Ws,
    shell: Shell,
    (connector, form, wrong): (&str, &FormValues, &[FieldError]),
) -> Result<NewPage, SourceError> {
    let catalog = reach::catalog(&ws.app);
    let base = ws.url("knowledge/sources");
    let offer = |one: &Manifest| Offer {
        icon: one.icon.clone(),
        name: one.name.clone(),
        about: one.description.clone(),
        href: format!("{base}/new?connector={}", one.id),
    };
    let manifest = catalog.get(connector);
    let value = |key: &str| text(form, key);
    let hours = manifest.map_or(6, |one| one.default_interval_hours);
    let hours = value("interval_hours").parse().unwrap_or(hours);
    let folder = value("folder");
    let known = manifest.map(|one| one.reads.iter().map(|field| field.key.as_str()).collect());
    let known: Vec<&str> = known.unwrap_or_default();
    let other =
        wrong.iter().filter(|one| !known.contains(&one.field.as_str()) && one.field != "name");
    Ok(NewPage {
        shell,
        sheet: sheet(),
        list_url: ws.url("knowledge"),
        offers: catalog.manifests.iter().map(offer).collect(),
        connector: manifest.map(|one| one.id.clone()).unwrap_or_default(),
        title: manifest.map(|one| one.name.clone()).unwrap_or_default(),
        about: manifest.map(|one| one.description.clone()).unwrap_or_default(),
        asks: manifest.map(|one| asks(ws, one, form, wrong)).unwrap_or_default(),
        name: (value("name").to_owned(), error_of(wrong, "name")),
        hours: intervals(hours),
        folders: folders(ws, folder)?,
        may_write: manifest.is_some_and(|one| one.supports_write),
        writable: !value("writable").is_empty(),
        error: other.map(|one| one.message.as_str()).collect::<Vec<_>>().join(" "),
        base,
    })
}

/// Text of a field; empty if the field is missing.
pub(super) fn text<'t>(form: &'t FormValues, key: &str) -> &'t str {
    form.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn error_of(wrong: &[FieldError], key: &str) -> String {
    wrong.iter().find(|one| one.field == key).map(|one| one.message.clone()).unwrap_or_default()
}

/// The fields that a connector asks for.
pub(super) fn asks(
    ws: &Ws,
    manifest: &Manifest,
    form: &FormValues,
    wrong: &[FieldError],
) -> Vec<Asks> {
    let fields = manifest.reads.iter().filter(|field| field.fixed.is_none());
    let one = |field: &connect::Field| {
        let given = text(form, &field.key).to_owned();
        let first = field.choices.first().map(|one| one.value.clone()).unwrap_or_default();
        let chosen = if given.is_empty() { first } else { given.clone() };
        let choice = |one: &connect::Choice| {
            Choice::new(&one.value, &one.label, one.value == chosen).hint(&one.hint)
        };
        Asks {
            name: field.key.clone(),
            label: field.label.clone(),
            hint: field.hint.clone(),
            placeholder: field.placeholder.clone(),
            kind: match field.input_type {
                Input::Url => "url",
                Input::Number => "number",
                Input::Choice => "choice",
                Input::Text => "text",
            },
            value: given,
            error: error_of(wrong, &field.key),
            required: field.required,
            choices: field.choices.iter().map(choice).collect(),
            places: match manifest.can(Capability::Browse) && field.required {
                true => {
                    ws.app.config.source_folders.iter().map(|at| at.display().to_string()).collect()
                }
                false => Vec::new(),
            },
        }
    };
    fields.map(one).collect()
}

/// Choices of hours between syncs, including the present value.
pub(super) fn intervals(hours: u32) -> Vec<Choice> {
    let mut all = HOURS.to_vec();
    if !all.contains(&hours) {
        all.push(hours);
        all.sort_unstable();
    }
    let label = |hours: u32| match hours {
        1 => "Every hour".to_owned(),
        24 => "Every day".to_owned(),
        168 => "Every week".to_owned(),
        n => format!("Every {n} hours"),
    };
    all.iter().map(|one| Choice::new(one.to_string(), label(*one), *one == hours)).collect()
}

/// Folders for new items.
pub(super) fn folders(ws: &Ws, chosen: &str) -> Result<Vec<Choice>, SourceError> {
    let tree = ws.read(|snap| Tree::read(snap))?;
    let mut all = vec![Choice::new("", "No folder", chosen.is_empty())];
    all.extend(tree.in_order().into_iter().map(|(folder, _)| {
        let id = folder.id.to_string();
        let label = tree.path(Some(folder.id)).join(" / ");
        let is_chosen = id == chosen;
        Choice::new(id, label, is_chosen)
    }));
    Ok(all)
}

/// The connector's values in a form.
pub(super) fn reads_of(manifest: &Manifest, form: &FormValues) -> Reads {
    let one = |field: &connect::Field| (field.key.clone(), text(form, &field.key).to_owned());
    manifest.reads.iter().map(one).collect()
}

pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    FormOnce(form, once): FormOnce<FormValues>,
) -> Result<Response, PageError> {
    let made = async {
        let new = wanted(&ws, &form).await?;
        let make = once.run(move |tx: &mut WriteTx<'_>| rules::create(tx, new).map(|one| one.id));
        ws.write(&who, make).await
    };
    match made.await {
        Ok(id) => {
            let at = ws.url(&format!("knowledge/sources/{id}"));
            let words = Flash::ok("Source added. The first sync has started.");
            Ok(flash::say(&app, words, hx.go_to(&at)))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let page = ws.read_blocking(move |ws| {
                let connector = text(&form, "connector").to_owned();
                page(ws, shell, (&connector, &form, &error.fields()))
            });
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page.await?)
        }
        Err(error) => Err(error.into()),
    }
}

async fn wanted(ws: &Ws, form: &FormValues) -> Result<NewSource, SourceError> {
    let connector = text(form, "connector");
    let manifest = api::manifest(ws, connector).await?;
    let reads = reads_of(&manifest, form);
    let about = api::looked(ws, connector, &reads).await?;
    let name = text(form, "name").trim();
    Ok(NewSource {
        name: if name.is_empty() { about.name } else { name.to_owned() },
        patch: Patch {
            // ok: an invalid number means the default.
            interval_hours: text(form, "interval_hours").parse().ok(),
            writable: Some(manifest.supports_write && !text(form, "writable").is_empty()),
            folder: api::folder_of(ws, Some(text(form, "folder")))?,
            ..Patch::default()
        },
        manifest,
        reads,
    })
}
