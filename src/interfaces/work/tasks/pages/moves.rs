//! Manual changes: moving one task by drag, and bulk changes.

use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::acts::stands;
use super::create::word;
use super::frame::asker;
use app::{App, Ws};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::matching::matching;
use features::tasks::queries::view_context::ViewContext;
use features::tasks::queries::{self, due, marks, standing};
use features::tasks::rules::bulk::{self, Bulk, MOST};
use features::tasks::rules::order;
use kernel::{Priority, TaskId, TaskStatus};
use store::Read;
use web::error::PageError;
use web::extract::{Form, Path};
use web::hx::{Ask, Hx};
use web::session::Person;
use web::shell::Flash;
use web::{flash, format, html};

/// The changes by field; absent fields stay unchanged.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct BulkChangeForm {
    /// The names of the tasks, separated by commas.
    tasks: String,
    /// Replaces `tasks`: all tasks that match this query, including those not shown.
    q: Option<String>,
    status: Option<String>,
    priority: Option<String>,
    assignee: Option<String>,
    stream: Option<String>,
    due: Option<String>,
    /// Time of day of the due date; if empty, each task keeps its own.
    due_time: String,
    start: Option<String>,
    /// A label to add.
    label: Option<String>,
    /// A label to remove.
    unlabel: Option<String>,
    /// `yes` or `no`.
    archived: Option<String>,
    /// The task directly before the new position.
    after: String,
    /// The task directly after the new position.
    before: String,
    /// Non-empty if the person confirmed finishing the task anyway.
    sure: String,
    back: String,
}

impl BulkChangeForm {
    /// The tasks to change.
    fn meant(&self, scene: &ViewContext, read: &dyn Read) -> Result<Vec<TaskId>, TaskError> {
        if let Some(q) = &self.q {
            return matching(&asker(scene, read), q, MOST);
        }
        let names = self.tasks.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.take(MOST + 1).map(|name| Ok(queries::resolve(read, name)?.id)).collect()
    }

    fn read(&self, scene: &ViewContext, read: &dyn Read) -> Result<Bulk, TaskError> {
        let zone = &scene.today.zone;
        let now = scene.today.now;
        let names = |label: &Option<String>| {
            let label = label.as_deref().map(str::trim).filter(|label| !label.is_empty());
            label.map(str::to_owned).into_iter().collect()
        };
        let status = self.status.as_deref().map(status);
        let usual = Priority::Medium;
        let priority = self.priority.as_deref().map(|text| word("priority", text, usual));
        let assignee = self.assignee.as_deref().map(|text| scene.people.find(text, scene.myself()));
        let due = self.due.as_deref();
        let due = due.map(|text| due::parse_timed(text, &self.due_time, zone, now)).transpose()?;
        Ok(Bulk {
            status: status.transpose()?,
            careful: self.sure.is_empty(),
            priority: priority.transpose()?,
            assignee: assignee.transpose()?,
            stream: self.stream.as_deref().map(|text| queries::stream(read, text)).transpose()?,
            due_at: due.map(|due| due.map(|due| due.at)),
            due_has_time: due.flatten().is_some_and(|due| due.has_time),
            due_keeps: Some(zone.clone()),
            start_at: self
                .start
                .as_deref()
                .map(|text| due::parse_start(text, zone, now))
                .transpose()?,
            add_labels: names(&self.label),
            remove_labels: names(&self.unlabel),
            archived: self.archived.as_deref().map(|text| text == "yes"),
        })
    }
}

fn task(read: &dyn Read, name: &str) -> Result<Option<TaskId>, TaskError> {
    match name.trim() {
        "" => Ok(None),
        name => Ok(Some(queries::resolve(read, name)?.id)),
    }
}

/// Parses a status word of columns and menus.
fn status(text: &str) -> Result<TaskStatus, TaskError> {
    if text == standing::review().0 {
        let why = "tasks move to In review when work is delivered and leave it after the review";
        return Err(TaskError::field("status", why));
    }
    word("status", text, TaskStatus::Todo)
}

/// How many of these tasks stay in review in spite of an open status, as a suffix of a sentence.
fn describe(read: &dyn Read, ids: &[TaskId]) -> Result<String, TaskError> {
    let review = marks::in_review(read)?;
    Ok(match ids.iter().filter(|id| review.contains(**id)).count() {
        0 => String::new(),
        1 => "; 1 stays in review".to_owned(),
        n => format!("; {n} stay in review"),
    })
}

/// Moves one task to another group, day or position.
pub async fn one(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(text): Path<String>,
    Form(wish): Form<BulkChangeForm>,
) -> Result<Response, PageError> {
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let (id, bulk, after, before) = ws.read(|snap| {
        let id = queries::resolve(snap, &text)?.id;
        let (after, before) = (task(snap, &wish.after)?, task(snap, &wish.before)?);
        Ok::<_, TaskError>((id, wish.read(&scene, snap)?, after, before))
    })?;
    let is_given = bulk.status.is_some();
    let moved = ws.write(&who, move |tx| {
        bulk::apply(tx, &[id], &bulk)?;
        if after.is_some() || before.is_some() {
            order::place(tx, id, after, before)?;
        }
        // ok: without a change there is nothing to undo.
        Ok::<_, TaskError>((queries::get(tx, id)?, tx.seq().ok()))
    });
    let (task, entry) = moved.await?;
    if hx.is_partial() {
        let ask = Ask::new().reswap("none").changed("tasks", task.id);
        let ask = if is_given { stands(ask, &scene, &task, entry)? } else { ask };
        return Ok((ask, "").into_response());
    }
    let name = scene.name(&task);
    let at = if wish.back.starts_with(&ws.url("tasks")) { wish.back } else { ws.url("tasks") };
    Ok(flash::say(&app, Flash::ok(format!("Moved {name}")), hx.go_to(&at)))
}

/// Changes many tasks as one undoable action.
pub async fn many(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(wish): Form<BulkChangeForm>,
) -> Result<Response, PageError> {
    let (ids, bulk) = ws.read(|snap| {
        let scene = ViewContext::new(&ws, &who, snap)?;
        let ids = wish.meant(&scene, snap)?;
        // A bulk change needs no confirmation per task.
        Ok::<_, TaskError>((ids, Bulk { careful: false, ..wish.read(&scene, snap)? }))
    })?;
    let count = ids.len();
    let changed = ws.write(&who, move |tx| {
        bulk::apply(tx, &ids, &bulk)?;
        let stay = match bulk.status.is_some_and(TaskStatus::is_open) {
            true => describe(tx, &ids)?,
            false => String::new(),
        };
        // ok: without a change there is nothing to undo.
        Ok::<_, TaskError>((tx.seq().ok(), stay))
    });
    let (entry, stay) = changed.await?;
    let words = format!("Changed {}{stay}", format::count(count as u64, "task", "tasks"));
    if hx.is_partial() {
        let ask = Ask::new().reswap("none").event("hq:chosen", serde_json::json!({}));
        let ask = ask.changed("tasks", "any");
        let ask = match entry {
            Some(seq) => ask.toast_with_undo(&words, &ws.url(&format!("undo/entry/{seq}"))),
            None => ask.toast(web::parts::Tone::Ok, &format!("No changes{stay}")),
        };
        return Ok((ask, html::answer(axum::http::StatusCode::OK, String::new())).into_response());
    }
    let at = if wish.back.starts_with(&ws.url("tasks")) { wish.back } else { ws.url("tasks") };
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&at)))
}
