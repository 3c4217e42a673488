//! `/api/v1/tasks`.

mod bulk;
mod groups;
mod overdue;
mod series;
mod templates;
mod words;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::model::label::LabelId;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::filter::Asker;
use features::tasks::queries::json::TaskView;
use features::tasks::queries::list::{self, Cut, DueIn, Filter, OPEN, Sort, Today, Whose};
use features::tasks::queries::series::Common;
use features::tasks::queries::{self, due, labels};
use features::tasks::rules::words::Words;
use features::tasks::rules::{self, NewTask, TaskPatch};
use kernel::cursor::{DEFAULT_LIMIT, MAX_LIMIT};
use kernel::filter::Query as FilterQuery;
use kernel::{Assignee, Can, Priority, TaskId, TaskStatus, Thinking};
use store::{Read, WriteTx, cursor_key};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, Query, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

#[must_use]
pub fn api() -> Routes {
    Routes::new()
        .get(
            "/tasks",
            list_all
                .needs(Can::Read)
                .doc(|| Doc::new("List tasks").query::<TaskListParams>().returns::<Tasks>()),
        )
        .post(
            "/tasks",
            create.needs(Can::Write).doc(|| {
                Doc::new("Create a task").body::<NewBody>().returns::<TaskView>().status(201)
            }),
        )
        .get(
            "/tasks/{task}",
            show.needs(Can::Read).doc(|| Doc::new("Show a task").returns::<TaskView>()),
        )
        .patch(
            "/tasks/{task}",
            change.needs(Can::Write).doc(|| {
                Doc::new(
                    "Change a task; send If-Match to refuse intermediate changes, or base to \
                     merge title and description with them",
                )
                .if_match()
                .body::<ChangeBody>()
                .returns::<TaskView>()
            }),
        )
        .merge(words::api())
        .merge(bulk::api())
        .merge(groups::api())
        .merge(series::api())
        .merge(overdue::api())
        .merge(templates::api())
}

/// Which tasks, in which order.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct TaskListParams {
    /// Words in the title or description, a key, or terms: `assignee:me due:<7d -label:launch`.
    q: String,
    /// `open`, `closed`, `all` (the default), or status words with commas, as they are stored.
    status: String,
    /// `me`, `none`, an agent's slug, a person's handle, or an id.
    assignee: String,
    /// Priority words with commas.
    priority: String,
    /// `overdue`, `today`, `week` or `none`.
    due: String,
    /// Parts of this task only.
    parent: String,
    /// The name or id of a stream, or `none`.
    stream: String,
    /// Names of labels with commas: those with one of them.
    label: String,
    /// Whether something must be done first that is not done yet.
    blocked: Option<bool>,
    /// The archived ones in place of the others.
    archived: bool,
    /// `priority` (the default), `due`, `updated`, `created`, `title`, `manual` or `start`.
    sort: String,
    /// The `next` of the page before.
    after: Option<String>,
    /// 1 to 100; 25 unless said otherwise.
    limit: Option<usize>,
}

#[derive(Serialize, JsonSchema)]
struct Tasks {
    items: Vec<TaskView>,
    /// Give this back as `after`.
    next: Option<String>,
}

async fn list_all(
    ws: Ws,
    who: Person,
    Query(params): Query<TaskListParams>,
) -> Result<Json<Tasks>, ApiError> {
    let now = ws.app.clock.now();
    let tasks = ws.read(|snap| {
        let names = Names::read(snap)?;
        let today = Today { now, zone: due::zone(&who.zone) };
        let (filter, sort) = filter(snap, &names, &params, (who.account, &today))?;
        let limit = params.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
        if params.after.as_deref().is_some_and(|after| cursor_key(after).is_none()) {
            return Err(TaskError::field("after", "use the `next` of the previous page"));
        }
        let cut = Cut { after: params.after.clone(), limit };
        let page = list::page(snap, &filter, sort, &today, &cut)?;
        let views = page.items.into_iter().map(|task| TaskView::of(snap, &names, task));
        Ok::<_, TaskError>(Tasks { items: views.collect::<Result<_, _>>()?, next: page.next })
    })?;
    Ok(Json(tasks))
}

/// Parses the filters strictly, so that API clients learn of mistakes.
fn filter(
    read: &dyn Read,
    names: &Names,
    params: &TaskListParams,
    (me, today): (kernel::AccountId, &Today),
) -> Result<(Filter, Sort), TaskError> {
    let me = Assignee::Person(me);
    let closed = || TaskStatus::ALL.iter().copied().filter(|status| !status.is_open()).collect();
    let status = match params.status.as_str() {
        "" | "all" => Vec::new(),
        "open" => OPEN.to_vec(),
        "closed" => closed(),
        text => words("status", text)?,
    };
    let assignee = match params.assignee.as_str() {
        "" => Whose::Any,
        text => match names.people.find(text, me)? {
            Some(who) => Whose::One(who),
            None => Whose::Nobody,
        },
    };
    let due = match params.due.as_str() {
        "" => None,
        text => Some(
            DueIn::from_word(text)
                .ok_or_else(|| TaskError::field("due", "use overdue, today, week or none"))?,
        ),
    };
    let sort = match params.sort.as_str() {
        "" => Sort::default(),
        text => Sort::from_word(text).ok_or_else(|| {
            TaskError::field("sort", "use priority, due, updated, created, title, manual or start")
        })?,
    };
    let parent = match params.parent.as_str() {
        "" => None,
        text => Some(queries::resolve(read, text)?.id),
    };
    let priority = words("priority", &params.priority)?;
    let stream = match params.stream.as_str() {
        "" => None,
        text => Some(queries::stream(read, text)?),
    };
    let names_of = params.label.split(',').map(str::trim).filter(|name| !name.is_empty());
    let labels: Vec<LabelId> = names_of
        .map(|name| labels::resolve(read, name).map(|label| label.id))
        .collect::<Result<_, _>>()?;
    let blocked = params.blocked;
    let asker = Asker { read, people: &names.people, me, today };
    let terms = asker.understand(&FilterQuery::parse(&params.q))?.strict()?;
    let archived = params.archived;
    let filter = Filter {
        status,
        assignee,
        priority,
        due,
        parent,
        stream,
        labels,
        blocked,
        archived,
        ..Filter::of(terms)
    };
    Ok((filter, sort))
}

fn words<T>(field: &str, text: &str) -> Result<Vec<T>, TaskError>
where
    T: std::str::FromStr<Err = kernel::vocab::UnknownWord>,
{
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().map_err(|e: T::Err| TaskError::field(field, e.to_string())))
        .collect()
}

/// A task to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    title: String,
    /// Markdown.
    #[serde(default)]
    description: String,
    status: Option<TaskStatus>,
    priority: Option<Priority>,
    /// `me`, an agent's slug, a person's handle, an id, or `hq` for HQ itself.
    assignee: Option<String>,
    /// The key or id of the task that it is a part of.
    parent: Option<String>,
    /// A day (`2026-11-20`) or a moment in RFC 3339.
    due_at: Option<String>,
    /// When it may begin: a day or a moment.
    start_at: Option<String>,
    /// The name or id of a stream; that of its parent when there is none.
    stream: Option<String>,
    /// Names of labels; one that is new makes a label.
    #[serde(default, alias = "tags")]
    labels: Vec<String>,
    /// In place of the agent's.
    model: Option<String>,
    /// In place of the agent's.
    thinking: Option<Thinking>,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<TaskView>, ApiError> {
    let (me, zone) = (Assignee::Person(who.account), due::zone(&who.zone));
    let made = once.run(move |tx: &mut WriteTx<'_>| {
        let names = Names::read(tx)?;
        let assignee = match body.assignee.as_deref() {
            Some(text) => names.people.find(text, me)?,
            None => None,
        };
        let parent = match body.parent.as_deref() {
            Some(text) => Some(parent(tx, text)?),
            None => None,
        };
        let due_at = match body.due_at.as_deref() {
            Some(text) => due::parse(text, &zone, tx.now())?,
            None => None,
        };
        let start_at = match body.start_at.as_deref() {
            Some(text) => due::parse_start(text, &zone, tx.now())?,
            None => None,
        };
        let new = NewTask {
            due_has_time: body.due_at.as_deref().is_some_and(due::has_time),
            start_at,
            stream: queries::stream(tx, body.stream.as_deref().unwrap_or_default())?,
            description: body.description,
            status: body.status.unwrap_or(TaskStatus::Todo),
            priority: body.priority.unwrap_or(Priority::Medium),
            assignee,
            parent,
            due_at,
            model: body.model,
            thinking: body.thinking,
            ..NewTask::titled(body.title)
        };
        let task = rules::create(tx, new)?;
        rules::labels::ask(tx, task.id, labels::LabelFilter::Exactly(body.labels))?;
        Ok::<_, TaskError>(task.id)
    });
    let id = ws.write(&who, made).await.map_err(TaskError::in_api)?;
    Ok(Tagged { status: StatusCode::CREATED, ..with_etag(&ws, id)? })
}

fn parent(read: &dyn Read, text: &str) -> Result<TaskId, TaskError> {
    match queries::resolve(read, text) {
        Ok(task) => Ok(task.id),
        Err(error) => Err(TaskError::field("parent", error.to_string())),
    }
}

fn with_etag(ws: &Ws, id: TaskId) -> Result<Tagged<TaskView>, ApiError> {
    let (rev, view) = ws.read(|snap| {
        let (task, rev) = queries::get_rev(snap, id)?;
        Ok::<_, TaskError>((rev, TaskView::of(snap, &Names::read(snap)?, task)?))
    })?;
    Ok(Tagged::ok(rev, view))
}

async fn show(ws: Ws, Path(text): Path<String>) -> Result<Tagged<TaskView>, ApiError> {
    let task = ws.read(|snap| queries::resolve(snap, &text))?;
    with_etag(&ws, task.id)
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    title: Option<String>,
    /// Markdown.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
    /// What title and description said when their writing began. Changes that others have made since
    /// stay; 409 with `clash` where both have changed the same lines.
    base: Option<words::Base>,
    status: Option<TaskStatus>,
    priority: Option<Priority>,
    /// A slug, handle or id; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    assignee: Option<Option<String>>,
    /// `null` makes it a task of its own.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    parent: Option<Option<String>>,
    /// A day or a moment; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    due_at: Option<Option<String>>,
    /// A day or a moment; `null` takes it away.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    start_at: Option<Option<String>>,
    /// The name or id of a stream; `null` takes it out.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    stream: Option<Option<String>>,
    /// The names of all its labels; one that is new makes a label.
    #[serde(default, alias = "tags", deserialize_with = "sent")]
    #[schemars(with = "Option<Vec<String>>")]
    labels: Option<Option<Vec<String>>>,
    /// `null` for the agent's.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    model: Option<Option<String>>,
    /// `null` for the agent's.
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<Thinking>")]
    thinking: Option<Option<Thinking>>,
    /// Out of the way, or back.
    archived: Option<bool>,
    /// Of a task of a series: whether what is changed here holds for all that follow.
    scope: Option<Scope>,
}

/// For which tasks of a series a change holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Scope {
    /// For this one.
    This,
    /// For this one and all that follow.
    Following,
}

/// The fields to change that the tasks of a series share.
fn common(body: &ChangeBody) -> Vec<Common> {
    let all = [
        (Common::Title, body.title.is_some()),
        (Common::Description, body.description.is_some()),
        (Common::Priority, body.priority.is_some()),
        (Common::Assignee, body.assignee.is_some()),
        (Common::Stream, body.stream.is_some()),
        (Common::Model, body.model.is_some()),
        (Common::Thinking, body.thinking.is_some()),
        (Common::Labels, body.labels.is_some()),
        (Common::Due, body.due_at.is_some()),
    ];
    all.into_iter().filter_map(|(field, given)| given.then_some(field)).collect()
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(text): Path<String>,
    Patch(mut body): Patch<ChangeBody>,
) -> Result<Tagged<TaskView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let (me, zone) = (Assignee::Person(who.account), due::zone(&who.zone));
    let follows = (body.scope == Some(Scope::Following)).then(|| common(&body));
    let texts = (body.title.take(), body.description.take().map(Option::unwrap_or_default));
    let words =
        ws.read(|snap| words::read(snap, ws.store.schema(), id, (texts, body.base.take())))?;
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::check_rev(tx, id, rev)?;
        apply(tx, id, (body, words), (me, &zone))?;
        match follows {
            Some(fields) if fields.is_empty() => {
                let text = "fields that a series' tasks share can't be changed here";
                Err(TaskError::field("scope", text))
            }
            Some(fields) => rules::series::follow(tx, id, &fields).map(|_| ()),
            None => Ok(()),
        }
    });
    match ws.write(&who, changed).await {
        Ok(()) => with_etag(&ws, id),
        Err(TaskError::Clash(all)) => {
            Err(ApiError::from(TaskError::Clash(all.clone())).with("clash", &all))
        }
        Err(error) => Err(error.in_api().into()),
    }
}

/// Applies all changes in one transaction: restores first, archives last.
fn apply(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    (body, words): (ChangeBody, Words),
    (me, zone): (Assignee, &jiff::tz::TimeZone),
) -> Result<(), TaskError> {
    if body.archived == Some(false) {
        rules::restore(tx, id)?;
    }
    let settled = rules::words::settle(&queries::get(tx, id)?, words)?;
    if !settled.clashes.is_empty() {
        return Err(TaskError::Clash(settled.clashes));
    }
    let parent = match body.parent {
        Some(Some(text)) => Some(Some(parent(tx, &text)?)),
        Some(None) => Some(None),
        None => None,
    };
    let due_has_time = body.due_at.iter().flatten().any(|text| due::has_time(text));
    let start_at = match body.start_at {
        Some(text) => Some(due::parse_start(text.as_deref().unwrap_or_default(), zone, tx.now())?),
        None => None,
    };
    let stream = match body.stream {
        Some(text) => Some(queries::stream(tx, text.as_deref().unwrap_or_default())?),
        None => None,
    };
    let due_at = match body.due_at {
        Some(Some(text)) => Some(due::parse(&text, zone, tx.now())?),
        Some(None) => Some(None),
        None => None,
    };
    let patch = TaskPatch {
        priority: body.priority,
        due_at,
        parent,
        model: body.model,
        thinking: body.thinking,
        due_has_time,
        start_at,
        stream,
        ..settled.patch
    };
    if !patch.is_empty() {
        rules::update(tx, id, patch)?;
    }
    if let Some(names) = body.labels {
        rules::labels::ask(tx, id, labels::LabelFilter::Exactly(names.unwrap_or_default()))?;
    }
    if let Some(text) = body.assignee {
        let names = Names::read(tx)?;
        let to = names.people.find(text.as_deref().unwrap_or("none"), me)?;
        rules::assign(tx, id, to)?;
    }
    if let Some(status) = body.status {
        rules::set_status(tx, id, status)?;
    }
    if body.archived == Some(true) {
        rules::archive(tx, id)?;
    }
    Ok(())
}
