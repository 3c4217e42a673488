//! Pages of imports: the file, its columns with a preview, progress, problems, undo.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use app::{App, Ws};
use features::tasks::queries::view_context::ViewContext;
use kernel::{Can, ImportId, Problem as _, ProblemKind};
use sheet::Table;
use sheet::encoding::ENCODINGS;
use store::{Read, StoreError};
use web::error::PageError;
use web::extract::{Form, Path, Path2, Query};
use web::flash;
use web::format::{count, grouped};
use web::html;
use web::hx::Hx;
use web::idempotency::Once;
use web::live::Live;
use web::parts::{Choice, percent};
use web::path_words;
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload;

use super::listing::{self, describe, left_out, title};
use super::mapping::{self, ColumnView, columns_of};
use super::rows::{self, RowsParams, RowsView, wide};
use super::trial::{self, Trial};
use super::{MAX_BYTES, Preview, look_at, read_anew, start, take_back};
use crate::error::CrmError;
use crate::model::back::{self, Turn};
use crate::model::{Clash, Home, Import, ImportState, RowProblem, Stayed};
use crate::names::fields_of;
use crate::path_kind::PathKind;
use crate::rules::{self, FileRead, ImportPatch};
use crate::typed::{FormValues, text};
use crate::{columns, pieces, queries};

/// Maximum number of problems on the page.
const SHOWN: usize = 50;
/// An import without progress for this long, in milliseconds, counts as stalled.
const RESTS_MS: i64 = 20_000;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .get("/contacts/import", of.needs(Can::Write))
        .post("/contacts/import", send_to.needs(Can::Write))
        .get("/organizations/import", of.needs(Can::Write))
        .post("/organizations/import", send_to.needs(Can::Write))
        .get("/collections/{id}/import", of_collection.needs(Can::Write))
        .post("/collections/{id}/import", send_collection.needs(Can::Write))
        .get("/imports", listing::index.needs(Can::Read))
        .get("/imports/{id}", show.needs(Can::Read))
        .post("/imports/{id}", save.needs(Can::Write))
        .get("/imports/{id}/problems.csv", problems.needs(Can::Read))
        .post("/imports/{id}/{verb}", act.needs(Can::Write))
}

#[derive(Template)]
#[template(path = "crm/import_new.html")]
struct NewPage {
    shell: Shell,
    action: String,
    list_url: String,
    list_label: String,
    many: String,
    imports_url: String,
    error: String,
    pasted: String,
}

fn new_page(
    scene: &ViewContext,
    read: &dyn Read,
    shell: Shell,
    home: Home,
) -> Result<NewPage, CrmError> {
    let (at, label) = place(read, home)?;
    Ok(NewPage {
        shell,
        action: scene.ws.url(&format!("{at}/import")),
        list_url: scene.ws.url(&at),
        many: many(home, &label),
        list_label: label,
        imports_url: scene.ws.url("imports"),
        error: String::new(),
        pasted: String::new(),
    })
}

/// What the rows of a file become, in plural.
fn many(home: Home, label: &str) -> String {
    match home {
        Home::Contacts => "contacts".to_owned(),
        Home::Organizations => "organizations".to_owned(),
        Home::Collection(_) => format!("records of {label}"),
    }
}

/// The page of a home below the workspace, and its name.
pub(super) fn place(read: &dyn Read, home: Home) -> Result<(String, String), CrmError> {
    Ok(match home {
        Home::Contacts => ("contacts".to_owned(), "Contacts".to_owned()),
        Home::Organizations => ("organizations".to_owned(), "Organizations".to_owned()),
        Home::Collection(id) => {
            (format!("collections/{id}"), queries::collection(read, &id.to_string())?.name)
        }
    })
}

fn ask(ws: &Ws, who: &Person, shell: Shell, home: Home) -> Result<Response, PageError> {
    let page = ws.read(|snap| new_page(&ViewContext::new(ws, who, snap)?, snap, shell, home))?;
    html::page(&page)
}

async fn of(of: PathKind, ws: Ws, who: Person, shell: Shell) -> Result<Response, PageError> {
    ask(&ws, &who, shell, of.0.home(None))
}

async fn of_collection(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    ask(&ws, &who, shell, Home::Collection(id))
}

async fn send_to(
    PathKind(kind): PathKind,
    ws: Ws,
    who: Person,
    shell: Shell,
    request: Request,
) -> Result<Response, PageError> {
    send((ws, who, shell), kind.home(None), request).await
}

async fn send_collection(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    send((ws, who, shell), Home::Collection(id), request).await
}

/// Accepts a file or pasted text.
async fn send(
    (ws, who, shell): (Ws, Person, Shell),
    home: Home,
    request: Request,
) -> Result<Response, PageError> {
    let (parts, body) = request.into_parts();
    let (fields, mut files) =
        upload::form_with_fields(&ws, (&parts.headers, body), 1, MAX_BYTES).await?;
    let pasted = fields.into_iter().find(|(name, _)| name == "pasted").map(|(_, text)| text);
    let pasted = pasted.unwrap_or_default();
    let looked = match files.pop() {
        Some(file) => ws.read_blocking(move |ws| look_at(ws, home, (file.blob, &file.name))).await,
        None if pasted.trim().is_empty() => {
            Err(CrmError::field("file", "Choose a file, or paste a table."))
        }
        None => {
            let text = pasted.clone();
            ws.read_blocking(move |ws| {
                let put = ws.blobs.put(text.as_bytes());
                let blob = put.map_err(|error| CrmError::Store(StoreError::of_file(&error)))?;
                look_at(ws, home, (blob, ""))
            })
            .await
        }
    };
    let made = match looked {
        Ok((new, _)) => ws.write(&who, move |tx| rules::make_import(tx, new)).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(import) => {
            Ok(Hx::from_headers(&parts.headers).go_to(&ws.url(&format!("imports/{}", import.id))))
        }
        Err(error) if matches!(error.kind(), ProblemKind::Invalid | ProblemKind::TooLarge) => {
            let page =
                ws.read(|snap| new_page(&ViewContext::new(&ws, &who, snap)?, snap, shell, home))?;
            let page = NewPage { error: error.to_string(), pasted, ..page };
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}

struct ProblemLine {
    row: u32,
    column: String,
    says: String,
}

impl ProblemLine {
    fn of(one: &RowProblem) -> Self {
        Self { row: one.row, column: one.column.clone(), says: one.says.clone() }
    }
}

/// What stayed when an import or a conversion was undone.
pub(crate) struct StayedLine {
    pub(crate) title: String,
    /// Page of the record; empty if it is deleted.
    pub(crate) href: String,
    /// Label of the field; empty for the record as a whole.
    pub(crate) field: String,
    pub(crate) says: String,
}

#[derive(Template)]
#[template(path = "crm/import.html")]
struct ShowPage {
    shell: Shell,
    live: Live,
    base: String,
    title: String,
    list_url: String,
    list_label: String,
    state: &'static str,
    said: String,
    past: listing::Past,
    share: u8,
    rests: bool,
    rows: String,
    columns: Vec<ColumnView>,
    notes: Vec<String>,
    sheets: Vec<Choice>,
    sheet: usize,
    header_row: String,
    clashes: Vec<Choice>,
    /// Columns that can identify records; for a collection only.
    keys: Vec<Choice>,
    decimals: Vec<Choice>,
    /// Encodings of a text; empty for a workbook.
    encodings: Vec<Choice>,
    encoding: String,
    add_choices: bool,
    /// What the rows become, in plural.
    many: String,
    /// Number of rows that would be imported, and of all rows; `None` if the rows could not be tried.
    seen: Option<(String, String)>,
    /// Progress of the trial; `None` when it has finished.
    trying: Option<Trying>,
    /// The verb with the number of rows to import.
    begin: String,
    /// The rows of the preview; `None` once the import has started.
    lines: Option<RowsView>,
    /// What the import adds to the fields, and which cells stay empty.
    told: Vec<String>,
    problems: Vec<ProblemLine>,
    more_problems: usize,
    stayed: Vec<StayedLine>,
    more_stayed: usize,
    error: String,
    may_write: bool,
    can_undo: bool,
    can_redo: bool,
}

web::region!(ShowPage, as_state, ShowState, "crm/import-state.html");

/// A running trial of the rows.
struct Trying {
    /// Progress in percent, and in words.
    share: u8,
    said: String,
    /// Address to poll.
    again: String,
}

impl ShowPage {
    /// Whether a column has dates.
    fn has_dates(&self) -> bool {
        self.columns.iter().any(|column| column.order.is_some())
    }

    /// Number of mapped columns.
    fn mapped(&self) -> usize {
        self.columns.iter().filter(|column| !column.is_left_out()).count()
    }
}

async fn show(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<ImportId>,
    Query(params): Query<RowsParams>,
) -> Result<Response, PageError> {
    let page = shown(&ws, &who, shell, (id, params, String::new())).await?;
    match hx.is_partial() {
        true => html::fragment(&page.as_state()),
        false => html::page(&page),
    }
}

async fn shown(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    (id, params, error): (ImportId, RowsParams, String),
) -> Result<ShowPage, CrmError> {
    let trial = trial::of(ws, who, (id, !params.goes_on())).await?;
    let who = who.clone();
    ws.read_blocking(move |ws| {
        ws.read(|snap| {
            let import = super::found(snap, id)?;
            let scene = ViewContext::new(ws, &who, snap)?;
            let trial = trial.as_deref().filter(|_| import.state == ImportState::Draft);
            page((&scene, shell), snap, &import, (trial, &params, error))
        })
    })
    .await
}

/// The verb that starts an import, with the number of rows to import if they were tried.
fn begin_label(import: &Import, seen: Option<&Preview>) -> String {
    let ready = seen.map_or(0, |seen| seen.came.counts.made + seen.came.counts.changed);
    let (one, many) = match import.home {
        Home::Contacts => ("contact", "contacts"),
        Home::Organizations => ("organization", "organizations"),
        Home::Collection(_) => ("record", "records"),
    };
    match ready {
        0 => "Import".to_owned(),
        ready => format!("Import {}", count(u64::from(ready), one, many)),
    }
}

/// Progress of the trial of an import's rows.
fn trying(base: &str, trial: &Trial, params: &RowsParams) -> Trying {
    let (tried, all) = (wide(trial.tried()), wide(trial.table.rows.len()));
    Trying {
        share: percent(tried, all),
        said: format!("{} of {} rows checked…", grouped(tried), grouped(all)),
        again: params.view_url(base),
    }
}

fn page(
    (scene, shell): (&ViewContext, Shell),
    read: &dyn Read,
    import: &Import,
    (trial, params, mut error): (Option<&Trial>, &RowsParams, String),
) -> Result<ShowPage, CrmError> {
    let base = scene.ws.url(&format!("imports/{}", import.id));
    let (at, list_label) = place(read, import.home)?;
    let problems = &import.problems;
    let (table, ended) = (trial.map(|trial| &trial.table), trial.and_then(Trial::ended));
    let seen = match ended.as_deref() {
        Some(Ok(seen)) => Some(seen),
        Some(Err(why)) => {
            if error.is_empty() {
                error.clone_from(why);
            }
            None
        }
        None => None,
    };
    let lines = table.map(|table| rows::view(&base, (import, table), seen, params));
    let mut notes = seen.map_or_else(Vec::new, |seen| seen.adds.clone());
    let left = seen.and_then(|seen| left_out(seen.came.counts.cells));
    notes.extend(left.map(|left| format!("{left}.")));
    let of = |seen: &Preview| {
        let ready = seen.came.counts.made + seen.came.counts.changed;
        (grouped(u64::from(ready)), grouped(wide(seen.rows)))
    };
    let waits = scene.today.now.as_millisecond() - import.updated_at.as_millisecond();
    let (kept, stayed) = (u64::from(import.kept) + u64::from(import.kept_fields), &import.stayed);
    let share = import.next.saturating_mul(100).checked_div(import.rows).unwrap_or(100);
    Ok(ShowPage {
        live: Live::new(base.clone()).record("imports", import.id),
        title: title(import),
        list_url: scene.ws.url(&at),
        many: many(import.home, &list_label),
        list_label,
        state: import.state.word(&import.entries),
        said: describe(import),
        past: listing::Past::of(scene, import, &at),
        share: match import.state {
            ImportState::Undoing => pieces::turned(&import.entries),
            _ => u8::try_from(share).unwrap_or(100),
        },
        rests: matches!(import.state, ImportState::Running | ImportState::Undoing)
            && RESTS_MS < waits,
        rows: grouped(u64::from(import.rows)),
        columns: match table {
            Some(table) => columns_of(read, import, table)?,
            None => Vec::new(),
        },
        notes: listing::notes(read, import, table)?,
        sheets: table.map_or_else(Vec::new, |table| {
            let all = table.sheets.iter().enumerate();
            all.map(|(n, name)| Choice::new((n + 1).to_string(), name, n == table.sheet)).collect()
        }),
        sheet: table.map_or(0, |table| table.sheet + 1),
        header_row: table.map_or_else(String::new, |table| table.header_row.to_string()),
        clashes: Clash::ALL
            .iter()
            .map(|one| Choice::new(one.word(), one.label(), *one == import.clash))
            .collect(),
        keys: mapping::keys_of(import),
        decimals: vec![
            Choice::new(".", "Point: 1,234.50", !import.decimal_comma),
            Choice::new(",", "Comma: 1.234,50", import.decimal_comma),
        ],
        encodings: encodings(import),
        encoding: import.encoding.clone().unwrap_or_default(),
        add_choices: import.add_choices,
        more_problems: problems.len().saturating_sub(SHOWN),
        problems: problems.iter().take(SHOWN).map(ProblemLine::of).collect(),
        more_stayed: usize::try_from(kept).unwrap_or(usize::MAX).saturating_sub(stayed.len()),
        stayed: stayed.iter().map(|one| stayed_line((scene, read), one)).collect(),
        begin: begin_label(import, seen),
        seen: seen.map(of),
        trying: trial.filter(|_| ended.is_none()).map(|trial| trying(&base, trial, params)),
        lines,
        told: notes,
        error,
        may_write: scene.may_write,
        can_undo: !import.entries.is_empty()
            && back::turn(&import.entries) != Some(Turn::Forth)
            && matches!(
                import.state,
                ImportState::Done | ImportState::Cancelled | ImportState::Failed(_)
            ),
        can_redo: !import.entries.is_empty()
            && (import.state == ImportState::Undone
                || (matches!(import.state, ImportState::Failed(_))
                    && back::turn(&import.entries) == Some(Turn::Forth))),
        shell,
        base,
    })
}

/// The possible encodings of a text file.
fn encodings(import: &Import) -> Vec<Choice> {
    let Some(now) = &import.encoding else { return Vec::new() };
    let all = ENCODINGS.iter().map(|(label, name)| Choice::new(*label, *name, label == now));
    let mut all: Vec<Choice> = all.collect();
    if !all.iter().any(|one| one.chosen) {
        all.insert(0, Choice::new(now, now, true));
    }
    all
}

pub(crate) fn stayed_line((scene, read): (&ViewContext, &dyn Read), stayed: &Stayed) -> StayedLine {
    let found = fields_of(read, stayed.record);
    let (title, href) = match &found {
        Some((noun, fields)) => ((noun.title)(fields), scene.ws.url(&(noun.path)(fields))),
        None => ("Since removed".to_owned(), String::new()),
    };
    StayedLine { title, href, field: stayed.field.clone(), says: stayed.says.clone() }
}

/// Saves the mapping of the columns, then shows the new preview or starts the import.
async fn save(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(id): Path<ImportId>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let import = ws.read(|snap| super::found(snap, id))?;
    let sheet: u32 = text(&form, "sheet").parse().unwrap_or(import.sheet);
    let header_row = text(&form, "header_row").parse().ok().or(import.header_row);
    let encoding = match text(&form, "encoding") {
        "" => import.encoding.clone(),
        word => Some(word.to_owned()),
    };
    let is_other = import.state == ImportState::Draft
        && (sheet != import.sheet && 0 < sheet && text(&form, "sheet") != text(&form, "was_sheet")
            || encoding != import.encoding
                && text(&form, "encoding") != text(&form, "was_encoding")
            || header_row != import.header_row
                && text(&form, "header_row") != text(&form, "was_header_row"));
    let patch = if is_other {
        match read_anew(&ws, &import, FileRead { sheet, header_row, encoding }).await {
            Ok(patch) => patch,
            Err(error) if error.kind() == ProblemKind::Invalid => {
                return refused(&ws, &who, shell, id, &error).await;
            }
            Err(error) => return Err(error.into()),
        }
    } else {
        let fields = ws.read(|snap| columns::of(snap, import.home)).map_err(CrmError::from)?;
        let mapped = match mapping::sent(&import, &fields, &form) {
            Ok(mapped) => mapped,
            Err(error) => return refused(&ws, &who, shell, id, &error).await,
        };
        ImportPatch {
            columns: Some(mapped),
            clash: text(&form, "clash").parse().ok(),
            decimal_comma: match text(&form, "decimal_sign") {
                "" => None,
                sign => Some(sign == ","),
            },
            month_first: None,
            add_choices: Some(form.contains_key("add_choices")),
            read: None,
        }
    };
    ws.write(&who, move |tx| rules::change_import(tx, id, patch)).await?;
    let at = ws.url(&format!("imports/{id}"));
    if text(&form, "then") == "begin" && !is_other {
        return match start(&ws, &who, id, Once::without_key()).await {
            Ok(()) => Ok(hx.go_to(&at)),
            Err(error) if error.kind() == ProblemKind::Invalid => {
                refused(&ws, &who, shell, id, &error).await
            }
            Err(error) => Err(error.into()),
        };
    }
    Ok(hx.go_to(&at))
}

/// The page of an import with an error message.
async fn refused(
    ws: &Ws,
    who: &Person,
    shell: Shell,
    id: ImportId,
    error: &CrmError,
) -> Result<Response, PageError> {
    let page = shown(ws, who, shell, (id, RowsParams::default(), error.to_string())).await?;
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

path_words! {
    /// What is done to an import.
    Verb {
        Cancel = "cancel",
        Undo = "undo",
        Redo = "redo",
        GoOn = "on",
    }
}

async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(id, verb): Path2<ImportId, Verb>,
) -> Result<Response, PageError> {
    let import = match verb {
        Verb::Cancel => ws.write(&who, move |tx| rules::cancel_import(tx, id)).await?,
        Verb::Undo => take_back(&ws, &who, (id, Turn::Back), Once::without_key()).await?,
        Verb::Redo => take_back(&ws, &who, (id, Turn::Forth), Once::without_key()).await?,
        Verb::GoOn => {
            super::go_on(&ws, id);
            pieces::turn(&ws, id, None).await;
            ws.read(|snap| super::found(snap, id))?
        }
    };
    let at = ws.url(&format!("imports/{id}"));
    Ok(flash::say(&app, Flash::ok(describe(&import)), hx.go_to(&at)))
}

/// Problems of an import or its preview as a table.
async fn problems(ws: Ws, who: Person, Path(id): Path<ImportId>) -> Result<Response, PageError> {
    let import = ws.read(|snap| super::found(snap, id))?;
    let problems = match import.state {
        ImportState::Draft => {
            let take_problems = |_: Import, _: &Table, seen: Preview| seen.came.problems;
            trial::whole(&ws, (&who, id), take_problems).await?
        }
        _ => import.problems,
    };
    let failed = |error: std::io::Error| CrmError::from(StoreError::Failed(error.to_string()));
    let mut csv = sheet::CsvWriter::new(Vec::new());
    csv.row(["Row", "Column", "Problem"]).map_err(failed)?;
    for one in &problems {
        csv.row([one.row.to_string().as_str(), &one.column, &one.says]).map_err(failed)?;
    }
    let mut answer = csv.finish().map_err(failed)?.into_response();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    let name = HeaderValue::from_static("attachment; filename=\"problems.csv\"");
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(answer)
}
