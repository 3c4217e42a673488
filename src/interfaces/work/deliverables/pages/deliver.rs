//! The page on which people submit a deliverable: a text, an address, a file, a page or a record.

use askama::Template;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;

use super::super::api::{page_of, record_of};
use app::{App, Ws};
use features::cards;
use features::deliverables::model::{Answer, Content};
use features::deliverables::queries;
use features::deliverables::rules::{self, DeliverableError, MAX_FILE, NewDelivery};
use features::links::model::Target;
use features::links::queries as links;
use features::tasks::model::Task;
use features::tasks::queries as tasks;
use features::tasks::queries::view_context::ViewContext;
use kernel::{DeliverableId, FieldError, Problem as _, ProblemKind};
use store::schema::id_text;
use store::{Read, StoreError};
use web::error::PageError;
use web::extract::Path;
use web::hx::Hx;
use web::idempotency::Once;
use web::parts::Choice;
use web::session::Person;
use web::shell::{Flash, Shell};
use web::upload::{self, Arrived};
use web::{flash, html};

/// A requested change with the answer to it.
struct Ask {
    ask: String,
    done: bool,
    note: String,
}

#[derive(Template)]
#[template(path = "deliverables/deliver.html")]
struct DeliverPage {
    shell: Shell,
    task_name: String,
    task_href: String,
    list_url: String,
    action: String,
    key: i64,
    /// The deliverable that is revised: id, title and next version number.
    revises: Option<(String, String, u32)>,
    asks: Vec<Ask>,
    kinds: Vec<Choice>,
    typed: DeliverForm,
    wrong: Vec<FieldError>,
}

impl DeliverPage {
    fn error(&self, field: &str) -> &str {
        self.wrong.iter().find(|e| e.field == field).map_or("", |e| e.message.as_str())
    }
}

#[derive(Clone, Debug, Default)]
struct DeliverForm {
    title: String,
    kind: String,
    text: String,
    url: String,
    /// Title or id of a page.
    page: String,
    /// A record, such as `contact:Name`.
    record: String,
    note: String,
    revises: String,
    key: String,
    answers: Vec<Answer>,
}

impl From<Vec<(String, String)>> for DeliverForm {
    fn from(pairs: Vec<(String, String)>) -> Self {
        let mut form = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "title" => form.title = value,
                "kind" => form.kind = value,
                "text" => form.text = value,
                "url" => form.url = value,
                "page" => form.page = value,
                "record" => form.record = value,
                "note" => form.note = value,
                "revises" => form.revises = value,
                "key" => form.key = value,
                // In the form, each answer begins with its `done` field.
                "done" => form.answers.push(Answer { done: value == "yes", note: String::new() }),
                "answer" => {
                    if let Some(answer) = form.answers.last_mut() {
                        answer.note = value;
                    }
                }
                _ => {}
            }
        }
        form
    }
}

/// The empty form for a task.
pub async fn form(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(text): Path<String>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?;
        page((&ws, &who), snap, &task, DeliverForm::default())
    })?;
    html::page(&DeliverPage { shell, ..page })
}

/// The form for the next version; a text is prefilled.
pub async fn revise(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(id): Path<DeliverableId>,
) -> Result<Response, PageError> {
    let page = ws.read(|snap| {
        let piece = queries::get(snap, id)?;
        let task = tasks::get(snap, piece.deliverable.task)?;
        let newest = piece.newest().map(|judged| judged.version.content.clone());
        let paged = match newest.as_ref().and_then(Content::page) {
            Some(page) => links::name(snap, &page)?,
            None => None,
        };
        let kind = newest.as_ref().map_or("text", Content::word).to_owned();
        let record = match newest.as_ref().and_then(Content::page) {
            Some(target) if kind == "record" => named(snap, &target)?,
            _ => String::new(),
        };
        let (text, url) = match newest {
            Some(Content::Url(url)) => (String::new(), url),
            Some(Content::Text(text)) => (text, String::new()),
            _ => (String::new(), String::new()),
        };
        let paged = paged.map(|(title, _)| title).unwrap_or_default();
        let revises = id.to_string();
        let form =
            DeliverForm { kind, text, url, page: paged, record, revises, ..DeliverForm::default() };
        page((&ws, &who), snap, &task, form)
    })?;
    html::page(&DeliverPage { shell, ..page })
}

fn page(
    (ws, who): (&Ws, &Person),
    read: &dyn Read,
    task: &Task,
    form: DeliverForm,
) -> Result<DeliverPage, DeliverableError> {
    let scene = ViewContext::new(ws, who, read)?;
    let (mut revises, mut asks) = (None, Vec::new());
    if let Ok(id) = form.revises.parse::<DeliverableId>() {
        let piece = queries::get(read, id)?;
        let review = piece.newest().and_then(|judged| judged.review.as_ref());
        let request = review.map(queries::asks).unwrap_or_default();
        let answer = |(n, ask): (usize, String)| {
            let Answer { done, note } = form.answers.get(n).cloned().unwrap_or_default();
            Ask { ask, done, note }
        };
        asks = request.into_iter().enumerate().map(answer).collect();
        let piece = piece.deliverable;
        revises = Some((piece.id.to_string(), piece.title, piece.versions + 1));
    }
    let kind = if form.kind.is_empty() { "text" } else { form.kind.as_str() };
    let choice = |value: &str, label: &str| Choice::new(value, label, value == kind);
    Ok(DeliverPage {
        shell: Shell::default(),
        task_name: scene.name(task),
        task_href: scene.href(task),
        list_url: ws.url("tasks"),
        action: format!("{}/deliver", scene.href(task)),
        key: scene.today.now.as_millisecond(),
        revises,
        asks,
        kinds: vec![
            choice("text", "Text"),
            choice("url", "Link"),
            choice("file", "File"),
            choice("page", "Page"),
            choice("record", "Record"),
        ],
        typed: form,
        wrong: Vec::new(),
    })
}

/// A record as the form names it: `contact:0192…`; empty if it is gone.
fn named(read: &dyn Read, target: &Target) -> Result<String, StoreError> {
    let Target::Row(table, key) = target else { return Ok(String::new()) };
    let Some(noun) = cards::of_table(*table) else { return Ok(String::new()) };
    let there = read.raw_get(*table, key)?.is_some();
    Ok(if there { format!("{}:{}", noun.word, id_text(key)) } else { String::new() })
}

fn content(
    ws: &Ws,
    form: &DeliverForm,
    file: Option<Arrived>,
) -> Result<Content, DeliverableError> {
    let wrong = |field, text: &str| Err(DeliverableError::Invalid(field, text.to_owned()));
    match (form.kind.as_str(), file) {
        ("file", Some(file)) => {
            Ok(Content::File { name: file.name, blob: file.blob, size: file.size })
        }
        ("file", None) => wrong("file", "Choose a file."),
        ("url", _) => Ok(Content::Url(form.url.clone())),
        ("page", _) => page_of(ws, form.page.trim()),
        ("record", _) => ws.read(|snap| record_of(snap, form.record.trim(), None)),
        _ => Ok(Content::Text(form.text.clone())),
    }
}

/// Moves errors of `body` to the form's field for this kind.
fn placed(error: &DeliverableError, kind: &str) -> Vec<FieldError> {
    let body = match kind {
        "url" => "url",
        "file" => "file",
        "page" => "page",
        "record" => "record",
        _ => "text",
    };
    let mut fields = error.fields();
    for field in &mut fields {
        if field.field == "body" {
            field.field = body.into();
        }
    }
    fields
}

/// Submits the deliverable.
pub async fn send(
    app: App,
    ws: Ws,
    who: Person,
    shell: Shell,
    Path(text): Path<String>,
    request: Request,
) -> Result<Response, PageError> {
    let task = ws.read(|snap| tasks::resolve(snap, &text))?;
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes().min(MAX_FILE);
    let (pairs, files) = upload::form_with_fields(&ws, (&parts.headers, body), 1, limit).await?;
    let form = DeliverForm::from(pairs);
    let id = task.id;
    let (own, file) = (form.clone(), files.into_iter().next());
    let delivered = match ws.read_blocking(move |ws| content(ws, &own, file)).await {
        Err(error) => Err(error),
        Ok(content) => {
            let new = NewDelivery {
                task: id,
                title: form.title.clone(),
                content,
                note: form.note.clone(),
                revises: match form.revises.as_str() {
                    "" => None,
                    text => Some(
                        text.parse()
                            .map_err(|_| DeliverableError::NotFound(form.revises.clone()))?,
                    ),
                },
            };
            let answers = form.answers.clone();
            let fields = [&form.title, &form.text, &form.url, &form.page, &form.record, &form.note];
            let fields = fields.map(String::as_str);
            let once = Once::of_form(&who, &format!("deliver {id}"), &form.key, &fields);
            let submit = once.run(move |tx| {
                rules::submit_answering(tx, new, answers).map(|(piece, _)| piece.title)
            });
            ws.write(&who, submit).await
        }
    };
    let hx = Hx::from_headers(&parts.headers);
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    match delivered {
        Ok(title) => {
            let words = format!("Delivered “{title}”. It’s ready for review.");
            Ok(flash::say(&app, Flash::ok(words), hx.go_to(&scene.href(&task))))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let wrong = placed(&error, &form.kind);
            let page = ws.read(|snap| page((&ws, &who), snap, &task, form))?;
            let page = DeliverPage { shell, wrong, ..page };
            html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error) => Err(error.into()),
    }
}
