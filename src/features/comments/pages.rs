//! Writing, changing and removing comments. The timeline that shows them belongs to the task's page.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::queries::{self, CommentError, Composer, Power};
use super::rules::{self, Reach};
use crate::app::Ws;
use crate::features::tasks::model::Task;
use crate::features::tasks::queries as tasks;
use crate::features::tasks::queries::error::TaskError;
use crate::features::tasks::queries::scene::Scene;
use crate::kernel::{Can, CommentId, Problem as _, ProblemKind, TaskId};
use crate::web::error::PageError;
use crate::web::extract::{Form, Path, Path2};
use crate::web::html;
use crate::web::hx::{Ask, Hx};
use crate::web::idempotency::Once;
use crate::web::routes::{Needs as _, Routes};
use crate::web::session::Person;
use crate::web::shell::Shell;

/// Routes below the workspace.
#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/tasks/{task}/comment", add.needs(Can::Write))
        .get("/tasks/{task}/reach", reach.needs(Can::Read))
        .get("/tasks/{task}/comments/{comment}/edit", editor.needs(Can::Write))
        .post("/tasks/{task}/comments/{comment}", edit.needs(Can::Write))
        .post("/tasks/{task}/comments/{comment}/delete", remove.needs(Can::Write))
}

#[derive(Template)]
#[template(path = "comments/_composer.html")]
struct ComposerPart {
    composer: Composer,
}

#[derive(Template)]
#[template(path = "comments/_reach.html")]
struct ReachPart {
    composer: Composer,
}

/// A page with one comment: to change it, or to mend one that was refused.
#[derive(Template)]
#[template(path = "comments/write.html")]
struct WritePage {
    shell: Shell,
    title: &'static str,
    verb: &'static str,
    action: String,
    task_name: String,
    task_href: String,
    list_url: String,
    body: String,
    error: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Typed {
    body: String,
    note_only: String,
    /// What a second press is known by.
    key: String,
}

/// Tells the regions of this page that a task's comments changed.
fn changed(id: TaskId) -> Ask {
    Ask::new().changed("tasks", id)
}

async fn add(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path(text): Path<String>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let task = ws.read(|snap| tasks::resolve(snap, &text))?;
    let (id, body) = (task.id, typed.body.clone());
    let note = if typed.note_only.is_empty() { Reach::Usual } else { Reach::NoteOnly };
    let content = [typed.body.as_str(), typed.note_only.as_str()];
    let once = Once::of_form(&who, &format!("comment {id}"), &typed.key, &content);
    let add = once.run(move |tx| rules::add(tx, id, &body, note).map(|comment| comment.id));
    let added = ws.write(&who, add).await;
    let scene = ws.read(|snap| Scene::new(&ws, &who, snap))?;
    match added {
        Ok(_) if hx.is_partial() => {
            let composer = ws.read(|snap| queries::composer(&scene, snap, &task))?;
            Ok((changed(id), html::fragment::<_, PageError>(&ComposerPart { composer })?)
                .into_response())
        }
        Ok(comment) => Ok(hx.go_to(&format!("{}#c-{comment}", scene.href(&task)))),
        Err(error) if error.kind() == ProblemKind::Invalid => {
            if hx.is_partial() {
                let composer = ws.read(|snap| queries::composer(&scene, snap, &task))?;
                let composer = Composer {
                    body: typed.body,
                    note_only: !typed.note_only.is_empty(),
                    error: error.to_string(),
                    ..composer
                };
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return html::fragment_with(status, &ComposerPart { composer });
            }
            let action = format!("{}/comment", scene.href(&task));
            let page = page(&scene, shell, &task, ("Comment", "Comment", action));
            refused(page, typed.body, &error)
        }
        Err(error) => Err(error.into()),
    }
}

fn page(
    scene: &Scene,
    shell: Shell,
    task: &Task,
    (title, verb, action): (&'static str, &'static str, String),
) -> WritePage {
    WritePage {
        shell,
        title,
        verb,
        action,
        task_name: scene.name(task),
        task_href: scene.href(task),
        list_url: scene.ws.url("tasks"),
        body: String::new(),
        error: String::new(),
    }
}

fn refused(page: WritePage, body: String, error: &CommentError) -> Result<Response, PageError> {
    let page = WritePage { body, error: error.to_string(), ..page };
    html::document(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// The line that says whom a comment reaches.
async fn reach(ws: Ws, who: Person, Path(text): Path<String>) -> Result<Response, PageError> {
    let composer = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?;
        queries::composer(&Scene::new(&ws, &who, snap)?, snap, &task)
    })?;
    html::fragment(&ReachPart { composer })
}

async fn editor(
    ws: Ws,
    who: Person,
    shell: Shell,
    Path2(text, id): Path2<String, CommentId>,
) -> Result<Response, PageError> {
    let (scene, task, comment) = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?;
        let comment = queries::on_task(snap, task.id, id)?;
        Ok::<_, TaskError>((Scene::new(&ws, &who, snap)?, task, comment))
    })?;
    let comment = comment.ok_or(CommentError::NotFound)?;
    let page = edit_page(&scene, shell, &task, id);
    html::page(&WritePage { body: comment.body, ..page })
}

fn edit_page(scene: &Scene, shell: Shell, task: &Task, id: CommentId) -> WritePage {
    let action = format!("{}/comments/{id}", scene.href(task));
    page(scene, shell, task, ("Edit comment", "Save", action))
}

async fn edit(
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    Path2(text, id): Path2<String, CommentId>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let task = ws.read(|snap| tasks::resolve(snap, &text))?;
    let scene = ws.read(|snap| Scene::new(&ws, &who, snap))?;
    let body = typed.body.clone();
    match ws.write(&who, move |tx| rules::edit(tx, id, &body)).await {
        Ok(_) => Ok(hx.go_to(&format!("{}#c-{id}", scene.href(&task)))),
        Err(error) if error.kind() == ProblemKind::Invalid => {
            refused(edit_page(&scene, shell, &task, id), typed.body, &error)
        }
        Err(error) => Err(error.into()),
    }
}

async fn remove(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, id): Path2<String, CommentId>,
) -> Result<Response, PageError> {
    let task = ws.read(|snap| tasks::resolve(snap, &text))?;
    let power = Power::of(who.access);
    ws.write(&who, move |tx| rules::remove(tx, id, power)).await?;
    if hx.is_partial() {
        let ask = changed(task.id).reswap("none");
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let href = ws.read(|snap| Ok::<_, TaskError>(tasks::name(snap, task.number)?))?;
    Ok(hx.go_to(&ws.url(&format!("tasks/{href}"))))
}
