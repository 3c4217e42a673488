//! Settings, Modules: the parts of HQ that this workspace uses.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::history::queries as history;
use features::workspace::model::Settings;
use features::workspace::queries::modules::{self, Module, Off};
use features::workspace::rules::{self, SettingsPatch, WorkspaceError};
use kernel::Can;
use store::StoreError;
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::{check_rev, rev_of};
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::{flash, html};

#[derive(Template)]
#[template(path = "workspace/modules.html")]
struct ModulesPage {
    shell: Shell,
    here: &'static str,
    /// Each module, and whether it is enabled.
    all: Vec<(&'static Module, bool)>,
    may: bool,
    /// Revision of the settings.
    rev: String,
    history: String,
}

/// `GET /settings/modules`
pub(super) async fn show(ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    let (off, rev, history) = ws.read(|snap| {
        let history = history::href_if_any::<Settings>(&ws, snap, ())?;
        Ok::<_, StoreError>((Off::of(snap)?, rev_of::<Settings>(snap, ())?, history))
    })?;
    html::page(&ModulesPage {
        shell,
        here: "modules",
        all: modules::ALL.iter().map(|one| (one, !off.has(one.word))).collect(),
        may: who.access.may(Can::Admin) && ws.is_active(),
        rev,
        history,
    })
}

/// The enabled modules; a disabled switch is not sent.
#[derive(Deserialize)]
pub(super) struct ModulesForm {
    customers: Option<String>,
    collections: Option<String>,
    knowledge: Option<String>,
    #[serde(default)]
    rev: String,
}

/// Enables and disables modules.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<ModulesForm>,
) -> Result<Response, PageError> {
    let is_off = |word: &str| match word {
        "customers" => form.customers.is_none(),
        "collections" => form.collections.is_none(),
        _ => form.knowledge.is_none(),
    };
    let off = modules::ALL.iter().map(|one| one.word).filter(|word| is_off(word));
    let patch = SettingsPatch {
        without: Some(off.map(str::to_owned).collect()),
        ..SettingsPatch::default()
    };
    let rev = form.rev;
    ws.write(&who, move |tx| -> Result<_, WorkspaceError> {
        check_rev::<Settings>(tx, (), &rev)?;
        rules::update(tx, patch, None)
    })
    .await?;
    let back = hx.go_to(&ws.url("settings/modules"));
    Ok(flash::say(&app, Flash::ok("Saved."), back))
}

/// The page to return to after a module was enabled.
#[derive(Deserialize)]
pub(super) struct EnableForm {
    #[serde(default)]
    back: String,
}

/// Enables one module, from one of its pages, and returns there.
pub(super) async fn enable(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(word): Path<String>,
    Form(form): Form<EnableForm>,
) -> Result<Response, PageError> {
    let module = modules::by_word(&word).ok_or_else(|| PageError::not_found("The module"))?;
    ws.write(&who, move |tx| rules::enable_module(tx, module.word)).await?;
    let is_here =
        form.back.starts_with(&ws.url("")) && form.back.bytes().all(|b| b.is_ascii_graphic());
    let back = if is_here { form.back } else { ws.url("settings/modules") };
    let done = Flash::ok(format!("{} is on.", module.label));
    Ok(flash::say(&app, done, hx.go_to(&back)))
}
