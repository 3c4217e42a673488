//! Tools for a task's place among others: claim, relate, archive, history.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spec;
use features::runs::model::Place;
use features::runs::queries::taint;
use features::tasks::model::Task;
use features::tasks::queries::due::Deadline;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::history::{self, Back, Fact, FactKind};
use features::tasks::queries::{self, brief, relations};
use features::tasks::rules::{self, TaskPatch};
use kernel::{Assignee, RelationKind, TaskId};
use store::{Read, WriteTx};
use tool::{Effect, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, WriteTool};

/// Default number of history steps.
const STEPS: usize = 30;
/// Maximum number of history steps.
const MAX_STEPS: usize = 100;

/// `task_claim`: claims a task.
pub struct TaskClaim;

/// Arguments of `task_claim`.
#[derive(Deserialize, JsonSchema)]
pub struct ClaimArgs {
    /// such as MC-142
    task: String,
}

impl WriteTool for TaskClaim {
    type Args = ClaimArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "task_claim",
        Effect::Change,
        "Claim an unassigned task and start it. If several agents claim it, the first gets it.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ClaimArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let id = queries::resolve(tx, &args.task)?.id;
        let task = rules::claim::claim(tx, id, cx.agent)?;
        let names = brief::Names::read(tx)?;
        Ok(ToolOutput::of(&brief::brief(tx, &names, (&task, cx.agent))?))
    }
}

/// How a task stands to another.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Tie {
    BlockedBy,
    Blocks,
    RelatesTo,
    PartOf,
    HasPart,
}

/// `task_relate`: relates a task to another.
pub struct TaskRelate;

/// Arguments of `task_relate`.
#[derive(Deserialize, JsonSchema)]
pub struct RelateArgs {
    /// default: the one you work on
    task: Option<String>,
    kind: Tie,
    /// such as MC-142
    other: String,
    /// true removes the relation
    #[serde(default)]
    remove: bool,
}

/// The relations of a task.
#[derive(Serialize)]
struct Ties {
    task: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    waits_for: Vec<brief::Line>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocks: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relates_to: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    part_of: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<brief::Line>,
}

fn ties(read: &dyn Read, id: TaskId) -> Result<Ties, TaskError> {
    let (names, task) = (brief::Names::read(read)?, queries::get(read, id)?);
    let called = |tasks: Vec<Task>| tasks.iter().map(|task| names.of(task)).collect();
    let lines = |tasks: Vec<Task>| tasks.iter().map(|task| names.line(task)).collect();
    Ok(Ties {
        task: names.of(&task),
        waits_for: lines(relations::open_blockers(read, id)?),
        blocks: called(relations::waiting_for(read, id)?),
        relates_to: called(relations::related(read, id)?),
        part_of: called(queries::ancestors(read, &task)?),
        parts: lines(queries::children(read, id)?),
    })
}

impl WriteTool for TaskRelate {
    type Args = RelateArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "task_relate",
        Effect::Change,
        "Relate a task to another: blocked by, subtask of, related to. Shows its relations.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: RelateArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = queries::meant(tx, args.task.as_deref(), cx.task)?;
        let other = queries::resolve(tx, &args.other)?;
        let (own, them) = (task.id, other.id);
        match args.kind {
            Tie::BlockedBy => tie(tx, (own, RelationKind::BlockedBy, them), args.remove)?,
            Tie::Blocks => tie(tx, (them, RelationKind::BlockedBy, own), args.remove)?,
            Tie::RelatesTo => tie(tx, (own, RelationKind::RelatesTo, them), args.remove)?,
            Tie::PartOf => part(tx, &task, them, args.remove)?,
            Tie::HasPart => part(tx, &other, own, args.remove)?,
        }
        Ok(ToolOutput::of(&ties(tx, own)?))
    }
}

fn tie(
    tx: &mut WriteTx<'_>,
    (task, kind, other): (TaskId, RelationKind, TaskId),
    remove: bool,
) -> Result<(), TaskError> {
    match remove {
        true => rules::relations::unrelate(tx, task, kind, other).map(drop),
        false => rules::relations::relate(tx, task, kind, other).map(drop),
    }
}

/// Makes a task a part of another, or removes it. Does nothing if that is already so.
fn part(tx: &mut WriteTx<'_>, part: &Task, whole: TaskId, remove: bool) -> Result<(), TaskError> {
    let is_part = part.parent == Some(whole);
    if is_part != remove {
        return Ok(());
    }
    let parent = Some((!remove).then_some(whole));
    rules::update(tx, part.id, TaskPatch { parent, ..TaskPatch::default() }).map(drop)
}

/// `task_archive`: archives a task.
pub struct TaskArchive;

/// Arguments of `task_archive`.
#[derive(Deserialize, JsonSchema)]
pub struct ArchiveArgs {
    /// such as MC-142
    task: String,
    /// true restores it
    #[serde(default)]
    restore: bool,
}

impl WriteTool for TaskArchive {
    type Args = ArchiveArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "task_archive",
        Effect::Change,
        "Archive a task that was created by mistake, or restore it. Otherwise prefer status \
         cancelled, which tells others more.",
    );

    fn commit(
        &self,
        _: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: ArchiveArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let task = queries::resolve(tx, &args.task)?;
        queries::lines::may_give(tx, tx.by(), Some(&task), None)?;
        let name = queries::name(tx, task.number)?;
        let done = match args.restore {
            true => {
                rules::restore(tx, task.id)?;
                "restored"
            }
            false => {
                rules::archive(tx, task.id)?;
                "archived"
            }
        };
        Ok(ToolOutput::text(format!("{name} is {done}.")))
    }
}

/// `task_history`: shows the history of a task.
pub struct TaskHistory;

/// Arguments of `task_history`.
#[derive(Deserialize, JsonSchema)]
pub struct HistoryArgs {
    /// default: the one you work on
    task: Option<String>,
    /// number of newest steps (30)
    limit: Option<usize>,
}

/// A history step.
#[derive(Serialize)]
struct Step {
    at: String,
    by: String,
    what: String,
}

impl ReadTool for TaskHistory {
    type Args = HistoryArgs;
    const SPEC: ToolSpec =
        spec("task_history", Effect::Read, "Show a task's history: who changed what, and when.");

    async fn read(&self, cx: &ToolCx, args: HistoryArgs) -> Result<ToolOutput, ToolError> {
        cx.ws.read(|snap| {
            let task = queries::meant(snap, args.task.as_deref(), cx.task)?;
            let names = brief::Names::read(snap)?;
            let facts = history::history(snap, task.id, 1)?.facts;
            let most = args.limit.unwrap_or(STEPS).clamp(1, MAX_STEPS);
            let from = facts.len().saturating_sub(most);
            let steps: Vec<Step> = facts[from..].iter().map(|fact| step(&names, fact)).collect();
            let output = ToolOutput::of(&steps);
            Ok::<_, ToolError>(taint::shown(snap, cx, [Place::Task(task.id)], output)?)
        })
    }
}

fn step(names: &brief::Names, fact: &Fact) -> Step {
    let who = |who: Option<Assignee>| {
        who.map_or_else(|| "no one".to_owned(), |who| names.people.handle(who))
    };
    let day = |due: Option<Deadline>| {
        due.map_or_else(|| "none".to_owned(), |due| due.written(&names.zone))
    };
    let what = match &fact.kind {
        FactKind::Created => "created".to_owned(),
        FactKind::Assigned(from, to) => format!("assignee {} to {}", who(*from), who(*to)),
        FactKind::Status(from, to) => format!("status {from} to {to}"),
        FactKind::Title(Some(before)) => format!("title, formerly \"{before}\""),
        FactKind::Title(None) => "title".to_owned(),
        FactKind::Priority(Some(from), to) => format!("priority {from} to {to}"),
        FactKind::Priority(None, to) => format!("priority to {to}"),
        FactKind::Due(Some(from), to) => format!("due {} to {}", day(*from), day(*to)),
        FactKind::Due(None, to) => format!("due to {}", day(*to)),
        FactKind::Archived(true) => "archived".to_owned(),
        FactKind::Archived(false) => "restored".to_owned(),
        FactKind::Labels(moved) => moved.describe(str::to_owned, ("", "")),
        FactKind::Field(field) => field.word().to_owned(),
        FactKind::Undone(back) => {
            let each: Vec<String> = back
                .iter()
                .map(|one| match one {
                    Back::Title(title) => format!("title \"{title}\""),
                    Back::Status(status) => format!("status {status}"),
                    Back::Priority(to) => format!("priority {to}"),
                    Back::Assignee(to) => format!("assignee {}", who(*to)),
                    Back::Due(at) => format!("due {}", day(*at)),
                    Back::Archived(true) => "archived".to_owned(),
                    Back::Archived(false) => "not archived".to_owned(),
                    Back::Description => "the former description".to_owned(),
                    Back::Labels(moved) => moved.describe(str::to_owned, ("", "")),
                })
                .collect();
            match each.is_empty() {
                true => "a change was undone".to_owned(),
                false => format!("a change was undone: {} again", each.join(", ")),
            }
        }
    };
    Step { at: fact.at.to_string(), by: names.people.actor_handle(fact.actor), what }
}
