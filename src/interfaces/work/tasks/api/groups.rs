//! `/api/v1/labels`, and what groups tasks and ties them together.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::model::label::Label;
use features::tasks::model::label::LabelId;
use features::tasks::model::relation::Relation;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::{LabelView, TaskRef, TaskView};
use features::tasks::queries::{self, labels, marks, relations};
use features::tasks::rules;
use features::tasks::rules::labels::{LabelPatch, NewLabel};
use kernel::{Can, Colour, RelationId, RelationKind, TaskId};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::etag::{IfMatch, Tagged};
use web::extract::{Json, Patch, Path, Path2, sent};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

/// Routes below `/api/v1`.
pub(super) fn api() -> Routes {
    Routes::new().merge(of_labels()).merge(of_tasks())
}

fn of_labels() -> Routes {
    Routes::new()
        .get("/labels", all.needs(Can::Read).doc(|| Doc::new("Labels").returns::<UsedLabels>()))
        .post(
            "/labels",
            create.needs(Can::Write).doc(|| {
                Doc::new("Make a label").body::<NewBody>().returns::<LabelView>().status(201)
            }),
        )
        .get(
            "/labels/{label}",
            show.needs(Can::Read)
                .doc(|| Doc::new("A label, by its name or id").returns::<LabelView>()),
        )
        .patch(
            "/labels/{label}",
            change.needs(Can::Write).doc(|| {
                Doc::new("Change a label").if_match().body::<ChangeBody>().returns::<LabelView>()
            }),
        )
        .delete(
            "/labels/{label}",
            remove.needs(Can::Write).doc(|| {
                Doc::new("Delete a label; it goes from everything that has it")
                    .if_match()
                    .returns::<LabelView>()
            }),
        )
        .post(
            "/labels/{label}/merge",
            merge.needs(Can::Write).doc(|| {
                Doc::new("Make a label one with another: whatever has the first gets the other")
                    .body::<MergeBody>()
                    .returns::<LabelView>()
            }),
        )
}

fn of_tasks() -> Routes {
    Routes::new()
        .get(
            "/tasks/{task}/labels",
            own_labels
                .needs(Can::Read)
                .doc(|| Doc::new("The labels of a task").returns::<Labels>()),
        )
        .post(
            "/tasks/{task}/labels",
            mark.needs(Can::Write).doc(|| {
                Doc::new("Put labels on a task, by name, and take others off")
                    .body::<MarkBody>()
                    .returns::<Labels>()
            }),
        )
        .get(
            "/tasks/{task}/relations",
            related.needs(Can::Read).doc(|| {
                Doc::new("What a task waits for, what waits for it, and what is related to it")
                    .returns::<Relations>()
            }),
        )
        .post(
            "/tasks/{task}/relations",
            relate.needs(Can::Write).doc(|| {
                Doc::new("Say how a task stands to another")
                    .body::<RelateBody>()
                    .returns::<Relations>()
            }),
        )
        .delete(
            "/tasks/{task}/relations/{relation}",
            unrelate
                .needs(Can::Write)
                .doc(|| Doc::new("Take a relation away").returns::<Relations>()),
        )
        .post(
            "/tasks/{task}/place",
            place.needs(Can::Write).doc(|| {
                Doc::new("Put a task behind one and before another, in the order by hand")
                    .body::<PlaceBody>()
                    .returns::<TaskView>()
            }),
        )
        .post(
            "/tasks/{task}/start",
            start.needs(Can::Write).doc(|| {
                Doc::new("Let the agent of a task begin now, also when the task waits for others")
                    .returns::<TaskView>()
            }),
        )
}

#[derive(Serialize, JsonSchema)]
struct Labels {
    items: Vec<LabelView>,
    next: Option<String>,
}

impl Labels {
    fn of(labels: Vec<Label>) -> Self {
        Self { items: labels.into_iter().map(LabelView::of).collect(), next: None }
    }
}

/// Labels with what has each.
#[derive(Serialize, JsonSchema)]
struct UsedLabels {
    items: Vec<UsedLabel>,
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct UsedLabel {
    #[serde(flatten)]
    label: LabelView,
    /// How many records have it, by their kind: `{"task": 3, "contact": 2}`.
    uses: BTreeMap<&'static str, usize>,
}

async fn all(ws: Ws) -> Result<Json<UsedLabels>, ApiError> {
    let items = ws.read(|snap| {
        let (tasks, others) = (marks::label_counts(snap)?, labels::Uses::read(snap)?);
        let used = |label: Label| {
            let mut uses: BTreeMap<&'static str, usize> =
                others.of(&label).into_iter().map(|one| (one.noun.word, one.count)).collect();
            uses.insert("task", tasks.get(&label.id).copied().unwrap_or(0));
            UsedLabel { label: LabelView::of(label), uses }
        };
        Ok::<_, TaskError>(labels::all(snap)?.into_iter().map(used).collect())
    })?;
    Ok(Json(UsedLabels { items, next: None }))
}

/// A label to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewBody {
    name: String,
    /// One that follows from the name when there is none.
    colour: Option<Colour>,
    #[serde(default)]
    description: String,
}

async fn create(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<NewBody>,
) -> Result<Tagged<LabelView>, ApiError> {
    let new = NewLabel { name: body.name, colour: body.colour, description: body.description };
    let made = once.run(move |tx: &mut WriteTx<'_>| rules::labels::create(tx, new).map(|l| l.id));
    let id = ws.write(&who, made).await?;
    Ok(Tagged { status: StatusCode::CREATED, ..tagged(&ws, id)? })
}

fn tagged(ws: &Ws, id: LabelId) -> Result<Tagged<LabelView>, ApiError> {
    let (label, rev) = ws.read(|snap| labels::get_rev(snap, id))?;
    Ok(Tagged::ok(rev, LabelView::of(label)))
}

async fn show(ws: Ws, Path(text): Path<String>) -> Result<Tagged<LabelView>, ApiError> {
    let label = ws.read(|snap| labels::resolve(snap, &text))?;
    tagged(&ws, label.id)
}

/// What may be changed; a field that is absent stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    name: Option<String>,
    colour: Option<Colour>,
    #[serde(default, deserialize_with = "sent")]
    #[schemars(with = "Option<String>")]
    description: Option<Option<String>>,
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(text): Path<String>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Tagged<LabelView>, ApiError> {
    let id = ws.read(|snap| labels::resolve(snap, &text))?.id;
    let description = body.description.map(Option::unwrap_or_default);
    let patch = LabelPatch { name: body.name, colour: body.colour, description };
    let changed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::labels::expect_rev(tx, id, rev)?;
        rules::labels::update(tx, id, patch).map(|_| ())
    });
    ws.write(&who, changed).await?;
    tagged(&ws, id)
}

async fn remove(
    ws: Ws,
    who: Person,
    once: Once,
    IfMatch(rev): IfMatch,
    Path(text): Path<String>,
) -> Result<Json<LabelView>, ApiError> {
    let label = ws.read(|snap| labels::resolve(snap, &text))?;
    let id = label.id;
    let removed = once.run(move |tx: &mut WriteTx<'_>| {
        rules::labels::expect_rev(tx, id, rev)?;
        rules::labels::delete(tx, id).map(|_| ())
    });
    ws.write(&who, removed).await?;
    Ok(Json(LabelView::of(label)))
}

/// The label that stays, by its name or id.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MergeBody {
    into: String,
}

async fn merge(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<MergeBody>,
) -> Result<Tagged<LabelView>, ApiError> {
    let (from, into) = ws.read(|snap| {
        let from = labels::resolve(snap, &text)?.id;
        Ok::<_, TaskError>((from, labels::resolve(snap, &body.into)?.id))
    })?;
    let merged =
        once.run(move |tx: &mut WriteTx<'_>| rules::labels::merge(tx, from, into).map(|_| ()));
    ws.write(&who, merged).await?;
    tagged(&ws, into)
}

async fn own_labels(ws: Ws, Path(text): Path<String>) -> Result<Json<Labels>, ApiError> {
    let own = ws.read(|snap| {
        let task = queries::resolve(snap, &text)?;
        Ok::<_, TaskError>(labels::of(snap, task.id)?)
    })?;
    Ok(Json(Labels::of(own)))
}

/// Which labels come and which go, by name or id. A name that is new makes a label.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MarkBody {
    #[serde(default)]
    add: Vec<String>,
    #[serde(default)]
    remove: Vec<String>,
}

async fn mark(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<MarkBody>,
) -> Result<Json<Labels>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let asked = labels::Asked::Change { add: body.add, remove: body.remove };
    let marked =
        once.run(move |tx: &mut WriteTx<'_>| rules::labels::ask(tx, id, asked).map(|_| ()));
    ws.write(&who, marked).await?;
    own_labels(ws, Path(id.to_string())).await
}

/// A relation as one of its tasks sees it.
#[derive(Serialize, JsonSchema)]
struct Tie {
    /// For taking it away.
    id: RelationId,
    #[serde(flatten)]
    task: TaskRef,
}

#[derive(Serialize, JsonSchema)]
struct Relations {
    /// What must be done first.
    blocked_by: Vec<Tie>,
    /// What waits for it.
    blocks: Vec<Tie>,
    relates_to: Vec<Tie>,
    /// What it is a part of.
    parent: Option<TaskRef>,
    /// Its parts.
    children: Vec<TaskRef>,
    /// In the answer to a POST: whether the relation is a new one. What is so already changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<bool>,
}

fn tie(
    read: &dyn Read,
    names: &Names,
    (from, kind, to): (TaskId, RelationKind, TaskId),
    shown: TaskId,
) -> Result<Option<Tie>, TaskError> {
    let Some(relation) = relations::find(read, from, kind, to)? else { return Ok(None) };
    let task = queries::get(read, shown)?;
    Ok(Some(Tie { id: relation.id, task: TaskRef::of(names, &task) }))
}

fn relations_of(read: &dyn Read, id: TaskId) -> Result<Relations, TaskError> {
    let names = Names::read(read)?;
    let task = queries::get(read, id)?;
    let (mut blocked_by, mut blocks, mut relates_to) = (Vec::new(), Vec::new(), Vec::new());
    for other in relations::blockers(read, id)? {
        blocked_by.extend(tie(read, &names, (id, RelationKind::BlockedBy, other.id), other.id)?);
    }
    for other in relations::waiting_for(read, id)? {
        blocks.extend(tie(read, &names, (other.id, RelationKind::BlockedBy, id), other.id)?);
    }
    for other in relations::related(read, id)? {
        let (from, to) = if id < other.id { (id, other.id) } else { (other.id, id) };
        relates_to.extend(tie(read, &names, (from, RelationKind::RelatesTo, to), other.id)?);
    }
    let parent = match task.parent {
        Some(parent) => Some(TaskRef::of(&names, &queries::get(read, parent)?)),
        None => None,
    };
    let children = queries::children(read, id)?;
    let children = children.iter().map(|part| TaskRef::of(&names, part)).collect();
    Ok(Relations { blocked_by, blocks, relates_to, parent, children, added: None })
}

async fn related(ws: Ws, Path(text): Path<String>) -> Result<Json<Relations>, ApiError> {
    let shown = ws.read(|snap| {
        let task = queries::resolve(snap, &text)?;
        relations_of(snap, task.id)
    })?;
    Ok(Json(shown))
}

/// How a task stands to another.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Stands {
    /// It waits for the other.
    BlockedBy,
    /// The other waits for it.
    Blocks,
    /// Somebody who reads one should know of the other.
    RelatesTo,
}

/// A relation to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RelateBody {
    kind: Stands,
    /// The key or id of the other task.
    other: String,
}

async fn relate(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<RelateBody>,
) -> Result<Json<Relations>, ApiError> {
    let (id, other) = ws.read(|snap| {
        let task = queries::resolve(snap, &text)?;
        let other = queries::resolve(snap, &body.other);
        let other = other.map_err(|error| TaskError::field("other", error.to_string()))?;
        Ok::<_, TaskError>((task.id, other.id))
    })?;
    let (from, kind, to) = match body.kind {
        Stands::BlockedBy => (id, RelationKind::BlockedBy, other),
        Stands::Blocks => (other, RelationKind::BlockedBy, id),
        Stands::RelatesTo => (id, RelationKind::RelatesTo, other),
    };
    let count = |read: &dyn Read| relations::count(read, id);
    let before = ws.read(|snap| count(snap))?;
    let related = once
        .run(move |tx: &mut WriteTx<'_>| rules::relations::relate(tx, from, kind, to).map(|_| ()));
    ws.write(&who, related).await?;
    let shown = ws.read(|snap| {
        let added = Some(before < count(snap)?);
        Ok::<_, TaskError>(Relations { added, ..relations_of(snap, id)? })
    })?;
    Ok(Json(shown))
}

async fn unrelate(
    ws: Ws,
    who: Person,
    once: Once,
    Path2(text, relation): Path2<String, RelationId>,
) -> Result<Json<Relations>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let gone = once.run(move |tx: &mut WriteTx<'_>| {
        let own = |one: &Relation| one.task == id || one.other == id;
        match tx.get::<Relation>(relation)?.filter(own) {
            Some(one) => rules::relations::unrelate(tx, one.task, one.kind, one.other).map(|_| ()),
            None => Err(TaskError::NoRelation),
        }
    });
    ws.write(&who, gone).await?;
    Ok(Json(ws.read(|snap| relations_of(snap, id))?))
}

/// A place in the order by hand; one of the two may be left out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PlaceBody {
    /// The task that it comes behind.
    after: Option<String>,
    /// The task that it comes before.
    before: Option<String>,
}

async fn place(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<PlaceBody>,
) -> Result<Tagged<TaskView>, ApiError> {
    let (id, after, before) = ws.read(|snap| {
        let id = |text: &String| queries::resolve(snap, text).map(|task| task.id);
        let after = body.after.as_ref().map(id).transpose()?;
        let before = body.before.as_ref().map(id).transpose()?;
        Ok::<_, TaskError>((id(&text)?, after, before))
    })?;
    let placed = once
        .run(move |tx: &mut WriteTx<'_>| rules::order::place(tx, id, after, before).map(|_| ()));
    ws.write(&who, placed).await?;
    super::tagged(&ws, id)
}

async fn start(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
) -> Result<Tagged<TaskView>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let begun = once.run(move |tx: &mut WriteTx<'_>| rules::start_now(tx, id).map(|_| ()));
    ws.write(&who, begun).await?;
    super::tagged(&ws, id)
}
