//! Tasks about rows: one for an agent with links to all selected rows, and one from the page of a record.

use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use app::{App, Ws};
use features::links::queries::MOST;
use features::links::rules as links;
use features::tasks::queries as tasks;
use features::tasks::queries::people::People;
use features::tasks::queries::view_context::ViewContext;
use features::tasks::rules::{self, NewTask};
use kernel::{Assignee, Problem as _, ProblemKind};
use store::WriteTx;
use uuid::Uuid;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::format;
use web::hx::{Ask, Hx};
use web::idempotency::FormOnce;
use web::parts::Tone;
use web::session::Person;
use web::shell::{Flash, Shell};

use super::bulk::chosen;
use super::show::refused;
use super::timeline::target;
use crate::error::CrmError;
use crate::model::{CollectionId, RowKind};
use crate::path_kind::PathKind;
use crate::queries;
use crate::typed::{FormValues, text};

/// Creates a task for an agent about the selected rows of a kind.
pub(super) async fn give(
    PathKind(kind): PathKind,
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    make(kind, (app, ws, who), hx, (None, form)).await
}

/// Creates a task for an agent about the selected records of a collection.
pub(super) async fn give_records(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(name): Path<String>,
    Form(form): Form<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &name))?.id;
    make(RowKind::RECORDS, (app, ws, who), hx, (Some(id), form)).await
}

async fn make(
    kind: &'static RowKind,
    (app, ws, who): (App, Ws, Person),
    hx: Hx,
    (collection, form): (Option<CollectionId>, FormValues),
) -> Result<Response, PageError> {
    // Limited by the number of links of a task.
    let ids = chosen(kind, &ws, &who, (collection, &form), MOST)?;
    let (count, me) = (ids.len(), Assignee::Person(who.account));
    let (title, agent) = (text(&form, "title").to_owned(), text(&form, "agent").to_owned());
    let task = ws
        .write(&who, move |tx| {
            let assignee = People::read(tx)?.find(&agent, me)?;
            if assignee.and_then(Assignee::agent).is_none() {
                return Err(CrmError::field("agent", "Choose an agent."));
            }
            task_about(kind, tx, NewTask { assignee, ..NewTask::titled(title) }, ids)
        })
        .await?;
    let given = format::count(count as u64, kind.entity().one, kind.entity().many);
    let words = format!("Created {task} about {given}");
    if hx.is_partial() {
        let ask = Ask::new().toast(Tone::Ok, &words).event("hq:chosen", Value::Null);
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(&format!("tasks/{task}")))))
}

/// Creates a task with links to rows; returns its name.
fn task_about(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    new: NewTask,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<String, CrmError> {
    let task = rules::create(tx, new)?;
    for id in ids {
        let row = queries::get_rev(kind, tx, id)?.0;
        links::add(tx, task.id, target(&row), "")?;
    }
    Ok(tasks::name(tx, task.number)?)
}

/// Creates a task about one row, for an agent, a person or nobody.
pub(super) async fn about(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    shell: Shell,
    (PathKind(kind), Path(name)): (PathKind, Path<String>),
    FormOnce(form, once): FormOnce<FormValues>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::resolve(kind, snap, &name))?.id;
    let (me, sent) = (Assignee::Person(who.account), form.clone());
    let made = ws
        .write(
            &who,
            once.run(move |tx: &mut WriteTx<'_>| {
                let title = text(&sent, "task").trim().to_owned();
                if title.is_empty() {
                    return Err(CrmError::field("task", "Enter a title."));
                }
                let assignee = People::read(tx)?.find(text(&sent, "assignee"), me)?;
                let description = text(&sent, "details").to_owned();
                let new = NewTask { description, assignee, ..NewTask::titled(title) };
                task_about(kind, tx, new, [id])
            }),
        )
        .await;
    match made {
        Ok(task) => {
            let at = ws.url(&format!("{}/{id}", kind.path));
            Ok(flash::say(&app, Flash::ok(format!("Created {task}")), hx.go_to(&at)))
        }
        Err(error) if error.kind() == ProblemKind::Invalid => ws.read(|snap| {
            let scene = ViewContext::new(&ws, &who, snap)?;
            let message = web::form::sentence(&error.to_string());
            refused(kind, &scene, snap, shell, (id, &message, form))
        }),
        Err(error) => Err(error.into()),
    }
}
