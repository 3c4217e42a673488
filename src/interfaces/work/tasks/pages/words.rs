//! Editing title and description in place: the form, merging of concurrent edits, the preview, checklist items.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::show;
use app::Ws;
use features::tasks::model::Task;
use features::tasks::queries::error::{FieldClash, TaskError};
use features::tasks::queries::series::Common;
use features::tasks::queries::{self, view_context::ViewContext};
use features::tasks::rules;
use features::tasks::rules::words::{Words, Written};
use kernel::text::MAX_TEXT;
use kernel::{FieldError, Problem as _, ProblemKind};
use web::checklist::Tick;
use web::error::PageError;
use web::extract::{Form, Path};
use web::form::sentence;
use web::html::{self, SafeHtml};
use web::hx::{Ask, Hx};
use web::parts::Tone;
use web::session::Person;
use web::shell::Shell;

/// The edit form.
#[derive(Clone, Debug, Default)]
pub struct Edit {
    /// The title as typed.
    pub title: String,
    /// The description as typed.
    pub description: String,
    /// The title when editing began.
    pub title_base: String,
    /// The description when editing began.
    pub description_base: String,
    /// Whether the description has the focus.
    pub below: bool,
    pub wrong: Vec<FieldError>,
    /// Concurrent edits by others, by field name.
    pub theirs: Vec<(&'static str, String)>,
}

impl Edit {
    /// Starts editing a task in the title or the description.
    pub fn of(task: &Task, first: &str) -> Self {
        Self {
            title: task.title.clone(),
            description: task.description.clone(),
            title_base: task.title.clone(),
            description_base: task.description.clone(),
            below: first == "description",
            ..Self::default()
        }
    }

    pub(super) fn error(&self, field: &str) -> String {
        let wrong = self.wrong.iter().find(|error| error.field == field);
        wrong.map(|error| sentence(&error.message)).unwrap_or_default()
    }

    /// After conflicting edits, keeps the editor's text in the fields beside the other text. Saving again keeps the
    /// editor's text.
    fn after(mut self, now: &Task, clashes: Vec<FieldClash>) -> Self {
        (self.title_base, self.description_base) = (now.title.clone(), now.description.clone());
        let clashed = |field: &str| clashes.iter().any(|one| one.field == field);
        if !clashed("title") {
            self.title.clone_from(&now.title);
        }
        if !clashed("description") {
            self.description.clone_from(&now.description);
        }
        for FieldClash { field, clash } in clashes {
            let label = if field == "title" { "Title" } else { "Description" };
            let theirs: Vec<_> = clash.places.into_iter().map(|place| place.theirs).collect();
            self.theirs.push((label, theirs.join("\n…\n")));
            match field {
                "title" => self.title = clash.mine,
                _ => self.description = clash.mine,
            }
        }
        self
    }
}

/// Addresses and names for the form's script.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// API address of the task.
    pub api: String,
    /// Name of the stored draft.
    pub draft: String,
    /// Event that reports a change of the task.
    pub heard: String,
    /// Address of the completions for @ and #.
    pub names: String,
    /// Whether the task belongs to a series.
    pub repeats: bool,
}

impl Place {
    /// For a task and its reader.
    pub fn of(scene: &ViewContext, task: &Task) -> Self {
        Self {
            api: format!("/api/v1/tasks/{}", scene.name(task)),
            draft: format!("{}:{}", scene.me, task.id),
            heard: format!("hq:tasks:{}", task.id),
            names: scene.ws.url("names"),
            repeats: task.series.is_some(),
        }
    }
}

/// The submitted title and description.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TaskTextForm {
    title: String,
    description: String,
    title_base: Option<String>,
    description_base: Option<String>,
    /// `following` to change future tasks of the series as well.
    scope: String,
}

/// Saves title and description. Concurrent edits by others are merged or shown; nothing is lost.
pub async fn save(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(text): Path<String>,
    Form(form): Form<TaskTextForm>,
) -> Result<Response, PageError> {
    let task = ws.read(|snap| queries::resolve(snap, &text))?;
    let (id, follows) = (task.id, form.scope == "following" && task.series.is_some());
    let written = |text: &str, base: &Option<String>| {
        Some(Written { text: text.to_owned(), base: base.clone() })
    };
    let words = Words {
        title: written(&form.title, &form.title_base),
        description: written(&form.description, &form.description_base),
    };
    let saved = ws
        .write(&who, move |tx| {
            let (task, clashes) = rules::words::write(tx, id, words)?;
            if follows && clashes.is_empty() {
                rules::series::follow(tx, id, &[Common::Title, Common::Description])?;
            }
            Ok::<_, TaskError>((task, clashes))
        })
        .await;
    let edit = Edit {
        title: form.title,
        description: form.description,
        title_base: form.title_base.unwrap_or_else(|| task.title.clone()),
        description_base: form.description_base.unwrap_or_else(|| task.description.clone()),
        ..Edit::default()
    };
    let with = (&ws, &who);
    match saved {
        Ok((task, clashes)) if !clashes.is_empty() => {
            let edit = edit.after(&task, clashes);
            show::editing(with, (&hx, shell), &task, (StatusCode::CONFLICT, Some(edit)))
        }
        Ok((task, _)) if hx.is_partial() => {
            let text = show::editing(with, (&hx, shell), &task, (StatusCode::OK, None))?;
            Ok((Ask::new().changed("tasks", id), text).into_response())
        }
        Ok((task, _)) => {
            let name = ws.read(|snap| Ok::<_, TaskError>(queries::name(snap, task.number)?))?;
            Ok(hx.go_to(&ws.url(&format!("tasks/{name}"))))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => {
            let edit = Edit { wrong: error.fields(), ..edit };
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            show::editing(with, (&hx, shell), &task, (status, Some(edit)))
        }
        Err(error) => Err(error.into()),
    }
}

#[derive(Template)]
#[template(path = "tasks/_drawn.html")]
struct Drawn {
    html: SafeHtml,
}

/// Renders a description while it is being edited.
pub async fn preview(
    ws: Ws,
    who: Person,
    Form(form): Form<TaskTextForm>,
) -> Result<Response, PageError> {
    if MAX_TEXT < form.description.len() {
        return Err(TaskError::field("description", "at most 64 KB of text").into());
    }
    let html = ws.read(|snap| {
        Ok::<_, TaskError>(ViewContext::new(&ws, &who, snap)?.md(snap, &form.description))
    })?;
    html::fragment(&Drawn { html })
}

/// The checklist item to toggle.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pressed {
    tick: String,
}

/// Toggles a checklist item. If the item no longer exists, reports that and shows the current text.
pub async fn tick(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(text): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Result<Response, PageError> {
    let task = ws.read(|snap| queries::resolve(snap, &text))?;
    let id = task.id;
    let tick: Tick = match pressed.tick.parse() {
        Ok(tick) => tick,
        Err(_) => return Err(TaskError::field("tick", "choose a checklist item").into()),
    };
    let ticked = ws.write(&who, move |tx| rules::words::tick(tx, id, &tick)).await;
    let with = (&ws, &who);
    match ticked {
        Ok(task) if hx.is_partial() => {
            let text = show::editing(with, (&hx, shell), &task, (StatusCode::OK, None))?;
            Ok((Ask::new().changed("tasks", id), text).into_response())
        }
        Ok(task) => {
            let name = ws.read(|snap| Ok::<_, TaskError>(queries::name(snap, task.number)?))?;
            Ok(hx.go_to(&ws.url(&format!("tasks/{name}#task-text"))))
        }
        Err(error @ TaskError::NoItem(_)) if hx.is_partial() => {
            let now = ws.read(|snap| queries::get(snap, id))?;
            let text = show::editing(with, (&hx, shell), &now, (StatusCode::CONFLICT, None))?;
            let words = sentence(&error.to_string());
            Ok((Ask::new().toast(Tone::Warn, &words), text).into_response())
        }
        Err(error) => Err(error.into()),
    }
}
