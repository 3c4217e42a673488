//! Chosen rows given to an agent: one task that links to each of them.

use axum::response::{IntoResponse as _, Response};
use serde_json::Value;

use app::{App, Ws};
use features::links::model::Target;
use features::links::queries::MOST;
use features::links::rules as links;
use features::tasks::queries as tasks;
use features::tasks::queries::people::People;
use features::tasks::rules::{self, NewTask};
use kernel::Assignee;
use kernel::key::KeyBuf;
use web::error::PageError;
use web::extract::{Form, Path};
use web::flash;
use web::format;
use web::hx::{Ask, Hx};
use web::parts::Tone;
use web::session::Person;
use web::shell::Flash;

use super::bulk::chosen;
use crate::error::CrmError;
use crate::model::{Book, CollectionId, Records};
use crate::queries;
use crate::typed::{Typed, text};

/// Makes a task for an agent about the chosen rows of a book.
pub(super) async fn give<B: Book>(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    make::<B>((app, ws, who), hx, (None, typed)).await
}

/// The same about records of a collection.
pub(super) async fn give_records(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path(said): Path<String>,
    Form(typed): Form<Typed>,
) -> Result<Response, PageError> {
    let id = ws.read(|snap| queries::collection(snap, &said))?.id;
    make::<Records>((app, ws, who), hx, (Some(id), typed)).await
}

async fn make<B: Book>(
    (app, ws, who): (App, Ws, Person),
    hx: Hx,
    (collection, typed): (Option<CollectionId>, Typed),
) -> Result<Response, PageError> {
    // One task has so many links.
    let ids = chosen::<B>(&ws, &who, (collection, &typed), MOST)?;
    let (count, me) = (ids.len(), Assignee::Person(who.account));
    let (title, agent) = (text(&typed, "title").to_owned(), text(&typed, "agent").to_owned());
    let task = ws
        .write(&who, move |tx| {
            let assignee = People::read(tx)?.find(&agent, me)?;
            if assignee.and_then(Assignee::agent).is_none() {
                return Err(CrmError::field("agent", "Choose an agent."));
            }
            let task = rules::create(tx, NewTask { assignee, ..NewTask::titled(title) })?;
            for id in ids {
                let row = queries::get_rev::<B>(tx, id)?.0;
                let key = KeyBuf::of(&row.id).into_bytes();
                links::add(tx, task.id, Target::Row(B::TABLE.number, key), "")?;
            }
            Ok(tasks::name(tx, task.number)?)
        })
        .await?;
    let given = format::count(count as u64, B::noun().one, B::noun().many);
    let words = format!("{task} is about {given}");
    if hx.is_partial() {
        let ask = Ask::new().toast(Tone::Ok, &words).event("hq:chosen", Value::Null);
        return Ok((ask, "").into_response());
    }
    Ok(flash::say(&app, Flash::ok(words), hx.go_to(&ws.url(&format!("tasks/{task}")))))
}
