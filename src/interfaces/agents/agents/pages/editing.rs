//! The forms beside an agent's file tree: edit, create, rename, upload and delete files. All work without script.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use app::{App, Ws};
use features::agents::editing::{self, Base, EditError, Ends, Hand, MAX_TEXT, Written};
use features::agents::files;
use git::snapshot::MAX_FILE;
use kernel::{Problem as _, ProblemKind};
use tool::merge::{Clash, Place};
use web::error::{Failure, PageError};
use web::extract::{Form, Path};
use web::flash;
use web::form::Wrong;
use web::hx::Hx;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload;

use super::files::{Paper, Visit, page, visit};

/// Maximum number of files per upload.
const AT_ONCE: usize = 20;

/// A text being edited.
pub(super) struct EditSheet {
    pub path: String,
    /// Content of the text field, after an empty line that browsers drop.
    pub text: String,
    /// The text as opened, JSON-encoded so that the form returns it unchanged.
    pub rev: String,
    pub clash: Option<ClashView>,
}

/// Conflicting edits of the same lines, and how to resolve them.
pub(super) struct ClashView {
    pub places: Vec<Place>,
    pub ways: [Way; 3],
}

/// A resolution of a conflict.
pub(super) struct Way {
    pub label: &'static str,
    pub text: String,
}

/// The content of a form beside the tree.
pub(super) enum What {
    Edit(Box<EditSheet>),
    /// A new file: path and text.
    New(String, String),
    /// A file to rename: old and new path.
    Rename(String, String),
    /// A file to delete.
    Remove(String),
    /// Files to upload into a folder.
    Send(String),
}

/// A form beside the tree.
pub(super) struct Sheet {
    pub what: What,
    /// Base address of the forms.
    pub base: String,
    pub back: String,
    /// Name under which the script stores the draft.
    pub keeps: String,
    pub wrong: Wrong,
}

impl Sheet {
    fn of(visit: &Visit, path: &str, what: What, wrong: Wrong) -> Self {
        let base = format!("{}/files", visit.head.base);
        let keeps = format!("{} {base} {path}", visit.who.account);
        Self { what, back: visit.href(path), base, keeps, wrong }
    }

    /// An error of the text as a whole or of its path.
    pub(super) fn error_message(&self) -> &str {
        if self.wrong.whole().is_empty() { self.wrong.at("path") } else { self.wrong.whole() }
    }
}

/// The form for an action.
pub(super) async fn begin(visit: &Visit, act: &str, path: &str) -> Result<Sheet, PageError> {
    let below = if path.is_empty() { String::new() } else { format!("{path}/") };
    let what = match act {
        "edit" => {
            let text = editing_text(visit, path).await?;
            What::Edit(Box::new(EditSheet::of(path, &text, &text)?))
        }
        "rename" => What::Rename(path.to_owned(), path.to_owned()),
        "remove" => What::Remove(path.to_owned()),
        "new" => What::New(below, String::new()),
        "send" => What::Send(path.to_owned()),
        _ => return Err(PageError::not_found("This page")),
    };
    Ok(Sheet::of(visit, path, what, Wrong::none()))
}

async fn editing_text(visit: &Visit, path: &str) -> Result<String, PageError> {
    let content = files::read(&visit.ws, &visit.agent, path, MAX_TEXT as u64).await?;
    match content.text {
        Some(text) if !content.is_cut => Ok(text),
        Some(_) => {
            let (path, most) = (path.to_owned(), MAX_TEXT as u64 / 1024);
            Err(EditError::TooLong { path, most, has: content.total.div_ceil(1024) }.into())
        }
        None => Err(EditError::NoText(path.to_owned()).into()),
    }
}

impl EditSheet {
    fn of(path: &str, text: &str, base: &str) -> Result<Self, PageError> {
        let rev = serde_json::to_string(base);
        let rev = rev.map_err(|error| PageError(Failure::internal(error)))?;
        let text = format!("\n{}", text.trim_start_matches('\u{feff}'));
        Ok(Self { path: path.to_owned(), text, rev, clash: None })
    }

    /// Both texts and the resolutions. Nothing is saved until the person chooses one.
    fn clashed(path: &str, clash: Clash) -> Result<Self, PageError> {
        let mut sheet = Self::of(path, &clash.mine, &clash.now)?;
        let way = |label, text: &str| Way { label, text: text.to_owned() };
        let ways = [
            way("Keep mine", &clash.mine),
            way("Take theirs", &clash.theirs),
            way("Keep both", &clash.both),
        ];
        sheet.clash = Some(ClashView { places: clash.places, ways });
        Ok(sheet)
    }
}

#[derive(Deserialize)]
pub(super) struct FileForm {
    path: String,
    /// The text as opened.
    rev: String,
    text: String,
}

/// `POST /agents/{slug}/files`: saves a text.
pub(super) async fn save(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(form): Form<FileForm>,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    let FileForm { path, rev, text } = form;
    let base: String = serde_json::from_str(&rev).map_err(|_| {
        let why = "the form is incomplete; open it again";
        PageError(Failure::new(ProblemKind::Invalid, "bad_form", why))
    })?;
    let given = Base::Text(base.clone());
    let written = Written { text: text.clone(), base: given, ends: Ends::AsBefore };
    let error = match editing::save(hand(&visit), &path, written).await {
        Ok(saved) => {
            let message = match (saved.commit, saved.joined) {
                (None, _) => format!("{path} is already up to date."),
                (Some(_), false) => format!("Saved {path}."),
                (Some(_), true) => {
                    format!("Saved {path}, merged with other changes.")
                }
            };
            return Ok(flash::say(&app, Flash::ok(message), hx.go_to(&visit.href(&path))));
        }
        Err(error) => error,
    };
    let status = status_of(&error);
    let (sheet, wrong) = match error {
        EditError::Clash { clash, .. } => (EditSheet::clashed(&path, *clash)?, Wrong::none()),
        EditError::Gone(_) => (EditSheet::of(&path, &text, "")?, Wrong::of(&error)?),
        error => (EditSheet::of(&path, &text, &base)?, Wrong::of(&error)?),
    };
    refuse(visit, shell, &path, (status, What::Edit(Box::new(sheet)), wrong)).await
}

#[derive(Deserialize)]
pub(super) struct NewFile {
    path: String,
    text: String,
}

/// `POST /agents/{slug}/files/new`
pub(super) async fn create(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(new): Form<NewFile>,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    let (path, text) = (new.path.trim().to_owned(), new.text.replace("\r\n", "\n"));
    match editing::create(hand(&visit), &path, text.clone()).await {
        Ok(_) => {
            let flash = Flash::ok(format!("Created {path}."));
            Ok(flash::say(&app, flash, hx.go_to(&visit.href(&path))))
        }
        Err(error) => {
            let refused = (status_of(&error), What::New(path, text), Wrong::of(&error)?);
            refuse(visit, shell, "", refused).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct NewName {
    path: String,
    to: String,
}

/// `POST /agents/{slug}/files/rename`
pub(super) async fn rename(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    hx: Hx,
    Path(slug): Path<String>,
    Form(new): Form<NewName>,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    let (path, to) = (new.path, new.to.trim().to_owned());
    match editing::rename(hand(&visit), &path, &to).await {
        Ok(_) => {
            let flash = Flash::ok(format!("Renamed {path} to {to}."));
            Ok(flash::say(&app, flash, hx.go_to(&visit.href(&to))))
        }
        Err(error) => {
            let what = What::Rename(path.clone(), to);
            let refused = (status_of(&error), what, Wrong::of(&error)?);
            refuse(visit, shell, &path, refused).await
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Named {
    path: String,
}

/// `POST /agents/{slug}/files/remove`
pub(super) async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(slug): Path<String>,
    Form(Named { path }): Form<Named>,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    editing::remove(hand(&visit), &path).await?;
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let flash = Flash::ok(format!("Deleted {path}. You can restore it from its history."));
    Ok(flash::say(&app, flash, hx.go_to(&visit.href(folder))))
}

/// `POST /agents/{slug}/files/send`: streams the files to disk, then adds them to the agent's files.
pub(super) async fn send(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(slug): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let visit = visit(ws, who, &slug).await?;
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes().min(MAX_FILE);
    let sent = (&parts.headers, body);
    let (fields, arrived) = upload::form_with_fields(&visit.ws, sent, AT_ONCE, limit).await?;
    let folder = fields.into_iter().find(|(name, _)| name == "folder");
    let folder = folder.map(|(_, folder)| folder.trim().trim_matches('/').to_owned());
    let folder = folder.unwrap_or_default();
    let mut names = Vec::with_capacity(arrived.len());
    for one in arrived {
        let path = match folder.as_str() {
            "" => one.name.clone(),
            folder => format!("{folder}/{}", one.name),
        };
        let name = one.name.clone();
        if let Err(error) = editing::upload(hand(&visit), &path, one).await {
            let mut message = format!("“{name}” was not added: {error}.");
            if !names.is_empty() {
                message.push_str(&format!(" Already added: {}.", names.join(", ")));
            }
            // An error that the form cannot fix is not shown in the form.
            Wrong::of(&error)?;
            let refused = (status_of(&error), What::Send(folder), Wrong::message(message));
            return refuse(visit, shell, "", refused).await;
        }
        names.push(name);
    }
    let message = match names.as_slice() {
        [] => "No file was chosen.".to_owned(),
        [one] => format!("Added {one}."),
        many => format!("Added {} files.", many.len()),
    };
    let back = Hx::from_headers(&parts.headers).go_to(&visit.href(&folder));
    Ok(flash::say(&app, Flash::ok(message), back))
}

fn hand(visit: &Visit) -> Hand<'_> {
    Hand { ws: &visit.ws, agent: &visit.agent, who: &visit.who }
}

fn status_of(error: &EditError) -> StatusCode {
    match error.kind() {
        ProblemKind::Conflict => StatusCode::CONFLICT,
        ProblemKind::Full => StatusCode::INSUFFICIENT_STORAGE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// The form with its errors.
async fn refuse(
    visit: Visit,
    shell: Shell,
    path: &str,
    (status, what, wrong): (StatusCode, What, Wrong),
) -> Result<Response, PageError> {
    let sheet = Sheet::of(&visit, path, what, wrong);
    page(visit, shell, path, (status, Paper::Sheet(Box::new(sheet)))).await
}
