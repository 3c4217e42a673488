//! Import of secrets from pasted text: first a preview, then all or none. No response contains the pasted text; it
//! stays in the browser.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use app::{App, Ws};
use web::error::PageError;
use web::extract::{Form, Query};
use web::form::Wrong;
use web::html;
use web::hx::Hx;
use web::parts::Choice;
use web::session::Person;
use web::shell::Shell;

use super::typed::SecretForm;
use super::{HERE, MENU, done};
use crate::api;
use crate::dotenv;
use crate::error::VaultError;
use crate::rules::{self, Entry, Existing, ImportOptions, Verdict};

/// A line of the preview.
struct Line {
    line: usize,
    key: String,
    tone: &'static str,
    says: String,
}

#[derive(Template)]
#[template(path = "vault/paste.html")]
struct PastePage {
    shell: Shell,
    here: &'static str,
    base: String,
    v: SecretForm,
    wrong: Wrong,
    agents: Vec<Choice>,
    gateways: Vec<Choice>,
    scopes: Vec<Choice>,
    lines: Vec<Line>,
    /// Whether the lines were checked.
    is_judged: bool,
    summary: String,
}

web::region!(PastePage, as_preview, PastePreview, "vault/paste-preview.html");

/// `GET /settings/secrets/paste`
pub(super) async fn form(
    ws: Ws,
    shell: Shell,
    Query(form): Query<SecretForm>,
) -> Result<Response, PageError> {
    let v = SecretForm::default().for_agent(form.text("agent")).for_gateway(form.text("gateway"));
    html::page(&page(&ws, shell, v, Wrong::none(), None)?)
}

fn page(
    ws: &Ws,
    shell: Shell,
    form: SecretForm,
    wrong: Wrong,
    judged: Option<Vec<Entry>>,
) -> Result<PastePage, VaultError> {
    let entries = judged.as_deref().unwrap_or_default();
    let fine = entries.iter().filter(|one| one.is_taken()).count();
    let wrong_lines = entries.iter().filter(|one| matches!(one.verdict, Verdict::Wrong(_))).count();
    let summary = match (fine, wrong_lines) {
        (0, 0) => "No KEY=value lines found.".to_owned(),
        (fine, 0) => format!("{fine} ready to import."),
        (_, wrong) => format!("Correct {wrong} of {} first.", entries.len()),
    };
    let gateways = form.gateways(ws)?;
    Ok(PastePage {
        shell,
        here: MENU,
        base: ws.url(HERE),
        agents: form.boxes(ws)?,
        scopes: form.scopes(!gateways.is_empty()),
        gateways,
        lines: entries.iter().map(line).collect(),
        is_judged: judged.is_some(),
        summary,
        v: form.without_value(),
        wrong,
    })
}

fn line(entry: &Entry) -> Line {
    let note = entry.note();
    let with = |says: &str| match note.as_str() {
        "" => says.to_owned(),
        note => format!("{says}: {note}"),
    };
    let tone = |usual| if note.is_empty() { usual } else { "warn" };
    let (tone, says) = match &entry.verdict {
        Verdict::New => (tone("ok"), with("New")),
        Verdict::Replaces(_) => (tone("info"), with("Replaces the value")),
        Verdict::Empty => ("warn", with("Skipped")),
        Verdict::Wrong(why) => ("danger", why.clone()),
    };
    Line { line: entry.line, key: entry.key.clone(), tone, says }
}

/// `POST /settings/secrets/paste`
pub(super) async fn send(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Form(form): Form<SecretForm>,
) -> Result<Response, PageError> {
    let existing = if form.has("replace") { Existing::Replace } else { Existing::Refuse };
    let wish = ImportOptions { existing, ordinary: form.has("ordinary") };
    let text = dotenv::read(form.text("text"));
    let scope = match form.scope(&ws) {
        Ok(scope) => scope,
        Err(error) => return redisplay(&ws, shell, form, &error),
    };
    if form.text("act") != "add" {
        let judged = ws.read(|snap| rules::judge(snap, &text, &scope, wish))?;
        let page = page(&ws, shell, form, Wrong::none(), Some(judged))?;
        return match hx.is_partial() {
            true => html::fragment(&page.as_preview()),
            false => html::page(&page),
        };
    }
    let taken = async {
        let entries = ws.read(|snap| rules::judge(snap, &text, &scope, wish))?;
        rules::fine(&entries)?;
        let sealed = api::sealed(&app, &text)?;
        ws.write(&who, move |tx| rules::import(tx, &text, sealed, &scope, wish)).await
    };
    match taken.await {
        Ok(made) => {
            let count = web::format::count(made.len() as u64, "secret", "secrets");
            done(&app, &ws, &hx, format!("Imported {count}.")).await
        }
        Err(error) => redisplay(&ws, shell, form, &error),
    }
}

fn redisplay(
    ws: &Ws,
    shell: Shell,
    form: SecretForm,
    error: &VaultError,
) -> Result<Response, PageError> {
    let wrong = Wrong::of(error)?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page(ws, shell, form, wrong, None)?)
}
