//! `/api/v1/tasks/{task}/labels`, and other groupings and relations of tasks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::claims::queries as proofs;
use features::claims::rules as claims;
use features::tasks::model::label::Label;
use features::tasks::model::relation::Relation;
use features::tasks::queries::brief::Names;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::json::{LabelView, TaskRef, TaskView};
use features::tasks::queries::{self, labels, relations};
use features::tasks::rules;
use kernel::{Can, ProofMode, RelationId, RelationKind, TaskId};
use store::{Read, ReadExt as _, WriteTx};
use web::error::ApiError;
use web::etag::Tagged;
use web::extract::{Json, Path, Path2};
use web::idempotency::Once;
use web::routes::{Doc, Needs as _, Routes};
use web::session::Person;

pub(super) fn api() -> Routes {
    of_tasks()
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
                Doc::new("Add labels to a task by name and remove others")
                    .body::<MarkBody>()
                    .returns::<Labels>()
            }),
        )
        .get(
            "/tasks/{task}/relations",
            related.needs(Can::Read).doc(|| {
                Doc::new("Blockers, blocked tasks and related tasks").returns::<Relations>()
            }),
        )
        .post(
            "/tasks/{task}/relations",
            relate.needs(Can::Write).doc(|| {
                Doc::new("Relate a task to another").body::<RelateBody>().returns::<Relations>()
            }),
        )
        .delete(
            "/tasks/{task}/relations/{relation}",
            unrelate.needs(Can::Write).doc(|| Doc::new("Remove a relation").returns::<Relations>()),
        )
        .post(
            "/tasks/{task}/place",
            place.needs(Can::Write).doc(|| {
                Doc::new("Place a task between two others in the manual order")
                    .body::<PlaceBody>()
                    .returns::<TaskView>()
            }),
        )
        .get(
            "/tasks/{task}/proof",
            proof.needs(Can::Read).doc(|| {
                Doc::new("Whether agents must give evidence for a task").returns::<ProofOut>()
            }),
        )
        .post(
            "/tasks/{task}/proof",
            prove.needs(Can::Write).doc(|| {
                Doc::new(
                    "Set whether agents must give evidence for a task, or leave it to its stream",
                )
                .body::<ProofBody>()
                .returns::<ProofOut>()
            }),
        )
        .post(
            "/tasks/{task}/start",
            start.needs(Can::Write).doc(|| {
                Doc::new("Start a task's agent now, even if the task is blocked")
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
    let change = labels::LabelFilter::Change { add: body.add, remove: body.remove };
    let marked =
        once.run(move |tx: &mut WriteTx<'_>| rules::labels::ask(tx, id, change).map(|_| ()));
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
    super::with_etag(&ws, id)
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
    super::with_etag(&ws, id)
}

/// The evidence for a task.
#[derive(Serialize, JsonSchema)]
struct ProofOut {
    /// `null` if its stream decides.
    proof: Option<ProofMode>,
    /// Whether work without evidence is returned to its agent once.
    required: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ProofBody {
    /// `show`, `require`, or `null` to leave it to the stream.
    proof: Option<ProofMode>,
}

async fn proof(ws: Ws, Path(text): Path<String>) -> Result<Json<ProofOut>, ApiError> {
    let found = ws.read(|snap| {
        let task = queries::resolve(snap, &text)?;
        let required = claims::is_required(snap, &task)?;
        Ok::<_, TaskError>(ProofOut { proof: proofs::of_task(snap, task.id)?, required })
    })?;
    Ok(Json(found))
}

async fn prove(
    ws: Ws,
    who: Person,
    once: Once,
    Path(text): Path<String>,
    Json(body): Json<ProofBody>,
) -> Result<Json<ProofOut>, ApiError> {
    let id = ws.read(|snap| queries::resolve(snap, &text))?.id;
    let mode = body.proof;
    let set = once.run(move |tx: &mut WriteTx<'_>| {
        claims::set_for_task(tx, id, mode).map_err(TaskError::from)
    });
    ws.write(&who, set).await?;
    proof(ws, Path(id.to_string())).await
}
