//! Adding and removing links. The section that shows them is part of the task's page.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use app::{App, Ws};
use features::links::queries::{self, LinkError};
use features::links::rules;
use features::tasks::queries as tasks;
use kernel::{Can, LinkId};
use web::error::PageError;
use web::extract::{Form, Path};
use web::hx::{Ask, Hx};
use web::routes::{Needs as _, Routes};
use web::session::Person;
use web::shell::Flash;
use web::{flash, html};

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post("/tasks/{task}/links", add.needs(Can::Write))
        .post("/links/{link}/delete", remove.needs(Can::Write))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LinkForm {
    target: String,
    label: String,
}

async fn add(
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(text): Path<String>,
    Form(form): Form<LinkForm>,
) -> Result<Response, PageError> {
    let (task, target) = ws.read(|snap| {
        let task = tasks::resolve(snap, &text)?;
        Ok::<_, LinkError>((task, queries::meant(snap, &form.target, None)?))
    })?;
    ws.write(&who, move |tx| rules::add(tx, task.id, target, &form.label)).await?;
    if hx.is_partial() {
        let ask = Ask::new().reswap("none").changed("tasks", task.id).close_dialog();
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let name = ws.read(|snap| tasks::name(snap, task.number))?;
    Ok(hx.go_to(&ws.url(&format!("tasks/{name}#task-links"))))
}

async fn remove(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(id): Path<LinkId>,
) -> Result<Response, PageError> {
    let removed = ws.write(&who, move |tx| {
        let link = rules::remove(tx, id)?;
        Ok::<_, LinkError>((link.task, tx.seq()?))
    });
    let (task, entry) = removed.await?;
    if hx.is_partial() {
        let undo = ws.url(&format!("undo/entry/{entry}"));
        let ask = Ask::new().reswap("none").changed("tasks", task);
        let ask = ask.toast_with_undo("Removed the link", &undo);
        return Ok((ask, html::answer(StatusCode::OK, String::new())).into_response());
    }
    let name = ws.read(|snap| {
        let task = tasks::get(snap, task)?;
        Ok::<_, LinkError>(tasks::name(snap, task.number)?)
    })?;
    let back = hx.go_to(&ws.url(&format!("tasks/{name}#task-links")));
    Ok(flash::say(&app, Flash::ok("Removed the link."), back))
}
