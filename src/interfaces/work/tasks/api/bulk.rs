//! `/api/v1/tasks/bulk`: the same change to many tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::filter::Asker;
use features::tasks::queries::list::Today;
use features::tasks::queries::matching::matching;
use features::tasks::queries::{self, due};
use features::tasks::rules::bulk::{self, Bulk, MOST};
use kernel::{Assignee, Can, Priority, TaskId, TaskStatus, Timestamp};
use store::{Read, WriteTx};
use web::error::ApiError;
use web::extract::{Json, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

pub(super) fn api() -> Routes {
    Routes::new().post(
        "/tasks/bulk",
        change.needs(Can::Write).doc(|| {
            Doc::new("Change up to 500 tasks at once, with one undo")
                .body::<Body>()
                .returns::<Changed>()
        }),
    )
}

/// Which tasks, and what is to change; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Body {
    /// Keys or ids.
    #[serde(default)]
    tasks: Vec<String>,
    /// In their place: all tasks that fit, at most 500.
    q: Option<String>,
    status: Option<TaskStatus>,
    priority: Option<Priority>,
    /// A slug, handle or id; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    assignee: Option<Option<String>>,
    /// The name or id of a stream; `null` takes it out.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    stream: Option<Option<String>>,
    /// A day or a moment; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    due_at: Option<Option<String>>,
    /// A day or a moment; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    start_at: Option<Option<String>>,
    /// Names of labels that come; one that is new makes a label.
    #[serde(default)]
    add_labels: Vec<String>,
    /// Names of labels that go.
    #[serde(default)]
    remove_labels: Vec<String>,
    /// Out of the way, or back.
    archived: Option<bool>,
}

/// What was done.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Changed {
    /// How many tasks were named.
    tasks: usize,
    /// The entry of the feed that holds all of it: what `undo` takes. None when nothing was different.
    entry: Option<u64>,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<Body>,
) -> Result<Json<Changed>, ApiError> {
    let (me, zone) = (Assignee::Person(who.account), due::zone(&who.zone));
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        let names = Names::read(tx)?;
        let today = Today { now: tx.now(), zone };
        let ids = ids(tx, &body, &names, (me, &today))?;
        let bulk = read(tx, body, &names, (me, &today))?;
        bulk::apply(tx, &ids, &bulk)?;
        // ok: without a change there is nothing to undo.
        Ok::<_, TaskError>((ids.len(), tx.seq().ok()))
    });
    let (tasks, entry) = ws.write(&who, changed).await.map_err(TaskError::in_api)?;
    Ok(Json(Changed { tasks, entry }))
}

fn ids(
    read: &dyn Read,
    body: &Body,
    names: &Names,
    (me, today): (Assignee, &Today),
) -> Result<Vec<TaskId>, TaskError> {
    let Some(q) = &body.q else {
        let named = body.tasks.iter().take(MOST + 1);
        return named.map(|name| Ok(queries::resolve(read, name)?.id)).collect();
    };
    if !body.tasks.is_empty() {
        return Err(TaskError::field("q", "name the tasks or use q, not both"));
    }
    if q.trim().is_empty() {
        return Err(TaskError::field(
            "q",
            "an empty query matches every task; be specific, such as is:open",
        ));
    }
    matching(&Asker { read, people: &names.people, me, today }, q, MOST)
}

fn read(
    read: &dyn Read,
    body: Body,
    names: &Names,
    (me, today): (Assignee, &Today),
) -> Result<Bulk, TaskError> {
    let text = |field: &Option<Option<String>>| {
        field.as_ref().map(|text| text.clone().unwrap_or_default())
    };
    let due = text(&body.due_at);
    let at = |text: &String| -> Result<Option<Timestamp>, TaskError> {
        due::parse(text, &today.zone, today.now)
    };
    let start = |text: String| due::parse_start(&text, &today.zone, today.now);
    Ok(Bulk {
        status: body.status,
        careful: false,
        priority: body.priority,
        assignee: text(&body.assignee).map(|who| names.people.find(&who, me)).transpose()?,
        stream: text(&body.stream).map(|name| queries::stream(read, &name)).transpose()?,
        due_has_time: due.as_deref().is_some_and(due::has_time),
        due_at: due.as_ref().map(at).transpose()?,
        // In the API, a date means the whole day.
        due_keeps: None,
        start_at: text(&body.start_at).map(start).transpose()?,
        add_labels: body.add_labels,
        remove_labels: body.remove_labels,
        archived: body.archived,
    })
}
