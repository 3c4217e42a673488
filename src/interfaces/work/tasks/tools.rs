//! Task tools for agents. They use the same rules as the pages.

mod labels;
mod merge;
mod place;
mod plans;
mod series;

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use features::links::queries as links;
use features::runs::model::Place;
use features::runs::queries::taint;
use features::streams::model::Stream;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::filter::Asker;
use features::tasks::queries::labels::LabelFilter;
use features::tasks::queries::{self, brief, due, list};
use features::tasks::rules::templates::Spawn;
use features::tasks::rules::{self, NewTask, TaskPatch};
use kernel::filter::{Query, Term};
use kernel::{Assignee, Can, Priority, RelationKind, StreamId, TaskId, TaskStatus, Timestamp};
use store::{ReadExt as _, WriteTx};
use tool::{
    Aliases, Effect, Group, Looks, ReadTool, Registry, ToolCx, ToolError, ToolOutput, ToolSpec,
    WriteTool, untrusted,
};

/// Maximum number of parts created with a task.
const MAX_ITEMS: usize = 50;

#[must_use]
pub fn tools() -> Registry {
    Registry::new()
        .read(TaskList)
        .read(TaskGet)
        .write(TaskCreate)
        .write(TaskUpdate)
        .write(TaskComplete)
        .write(TaskDelegate)
        .write(place::TaskClaim)
        .write(place::TaskRelate)
        .write(place::TaskArchive)
        .read(place::TaskHistory)
        .read(plans::TemplateList)
        .read(plans::TemplateGet)
        .write(plans::TemplateSpawn)
        .write(plans::TemplateSave)
        .read(series::SeriesList)
        .write(series::SeriesSave)
        .write(series::SeriesControl)
        .write(labels::LabelSave)
}

const fn spec(name: &'static str, effect: Effect, about: &'static str) -> ToolSpec {
    let needs = match effect {
        Effect::Read => Can::Read,
        _ => Can::Write,
    };
    ToolSpec {
        name: Cow::Borrowed(name),
        group: Group::Tasks,
        needs,
        effect,
        about: Cow::Borrowed(about),
    }
}

/// Query terms that a host can answer from its copy of the tasks.
const COPIED: [&str; 13] = [
    "status", "assignee", "creator", "stream", "label", "priority", "due", "start", "created",
    "updated", "done", "parent", "id",
];

pub struct TaskList;

/// Arguments of `task_list`.
#[derive(Deserialize, JsonSchema)]
pub struct ListArgs {
    /// me (default), any, none or a name
    assignee: Option<String>,
    /// open (default), all, or comma-separated
    status: Option<String>,
    /// words, or terms: due:<7d label:x has:comment -priority:low
    q: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize)]
struct Listed {
    tasks: Vec<brief::Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<&'static str>,
}

impl ReadTool for TaskList {
    type Args = ListArgs;
    const SPEC: ToolSpec = spec("task_list", Effect::Read, "List tasks, most urgent first.");
    const LOOKS: Looks = Looks::Copy;

    async fn read(&self, cx: &ToolCx, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let now = cx.ws.app.clock.now();
        cx.ws.read(|snap| {
            let names = brief::Names::read(snap)?;
            let me = Assignee::Agent(cx.agent);
            let query = Query::parse(args.q.as_deref().unwrap_or_default());
            // Explicit terms replace the defaults.
            let says = |keys: &[&str]| query.terms.iter().any(|term| keys.contains(&&*term.key));
            let is_copied = |term: &Term| term.is_words() || COPIED.contains(&&*term.key);
            if cx.ws.upstream.is_some() && !query.terms.iter().all(is_copied) {
                let message = "the workspace's copy on this machine doesn't have that data";
                return Err(ToolError::refused("not_here", message));
            }
            let assignee = match args.assignee.as_deref().map(str::trim) {
                Some("any" | "all" | "") => list::Whose::Any,
                None if says(&["assignee"]) => list::Whose::Any,
                who => match names.people.find(who.unwrap_or("me"), me)? {
                    Some(one) => list::Whose::One(one),
                    None => list::Whose::Nobody,
                },
            };
            let today = list::Today { now, zone: names.zone.clone() };
            let asker = Asker { read: snap, people: &names.people, me, today: &today };
            let parsed = asker.understand(&query)?;
            let usual = if says(&["status", "is"]) { "all" } else { "open" };
            let filter = list::Filter {
                status: statuses(args.status.as_deref().unwrap_or(usual))?,
                assignee,
                ..list::Filter::of(parsed.strict()?)
            };
            let cut = list::Cut { after: None, limit: args.limit.unwrap_or(25).clamp(1, 100) };
            let page = list::page(snap, &filter, list::Sort::Priority, &today, &cut)?;
            let tasks = page.items.iter().map(|task| names.line(task)).collect();
            let more = page.next.map(|_| "there are more; narrow the search");
            let places = page.items.iter().map(|task| Place::Task(task.id));
            Ok(taint::shown(snap, cx, places, ToolOutput::of(&Listed { tasks, more }))?)
        })
    }
}

/// Parses `open`, `all`, or status words separated by commas.
fn statuses(text: &str) -> Result<Vec<TaskStatus>, ToolError> {
    match text.trim() {
        "all" | "any" => Ok(Vec::new()),
        "open" | "" => Ok(list::OPEN.to_vec()),
        words => words
            .split(',')
            .map(|word| {
                let parsed = word.trim().parse::<TaskStatus>();
                parsed.map_err(|e| ToolError::refused("invalid_args", e.to_string()))
            })
            .collect(),
    }
}

/// `task_get`: shows one task.
pub struct TaskGet;

/// Arguments of `task_get`.
#[derive(Deserialize, JsonSchema)]
pub struct GetArgs {
    /// such as MC-142; default: your task
    task: Option<String>,
}

impl ReadTool for TaskGet {
    type Args = GetArgs;
    const SPEC: ToolSpec = spec(
        "task_get",
        Effect::Read,
        "Show a task with its subtasks, comments and delivered \
            work.",
    );
    const LOOKS: Looks = Looks::Copy;

    async fn read(&self, cx: &ToolCx, args: GetArgs) -> Result<ToolOutput, ToolError> {
        let (agent, here) = (cx.agent, cx.task);
        let (brief, comments, places) = cx
            .ws
            .read_blocking(move |ws| {
                ws.read(|snap| {
                    let task = queries::meant(snap, args.task.as_deref(), here)?;
                    let names = brief::Names::read(snap)?;
                    let comments = links::suggestions(ws, snap, agent, &task)?;
                    let brief = brief::brief(snap, &names, (&task, agent))?;
                    Ok::<_, TaskError>((brief, comments, brief::places(snap, &task)?))
                })
            })
            .await?;
        let mut answer = serde_json::to_value(brief).unwrap_or_default();
        if !comments.is_empty() {
            // Text from files and external systems is untrusted.
            let words = serde_json::to_string(&comments).unwrap_or_default();
            answer["linked_knowledge"] = untrusted::wrap(&untrusted::id_for(cx), &words).into();
        }
        Ok(cx.ws.read(|snap| taint::shown(snap, cx, places, ToolOutput::of(&answer)))?)
    }
}

/// `task_create`: creates a task.
pub struct TaskCreate;

/// Arguments of `task_create`.
#[derive(Deserialize, JsonSchema)]
pub struct CreateArgs {
    #[serde(default)]
    title: String,
    /// creates its tasks
    template: Option<String>,
    /// Markdown
    description: Option<String>,
    priority: Option<Priority>,
    /// YYYY-MM-DD
    due: Option<String>,
    /// me, a person or one of your reports
    assignee: Option<String>,
    parent: Option<String>,
    labels: Option<Vec<String>>,
    /// default: that of your task
    stream: Option<String>,
    start: Option<String>,
    /// its subtasks
    #[serde(default)]
    items: Vec<Item>,
}

// A part that is created with a task. Not a doc comment: its text would be part of every request to the model.
#[derive(Deserialize, JsonSchema)]
struct Item {
    title: String,
    description: Option<String>,
    assignee: Option<String>,
    /// numbers of items, from 1
    #[serde(default)]
    blocked_by: Vec<usize>,
}

/// A task with the parts that were created with it.
#[derive(Serialize)]
struct Whole {
    #[serde(flatten)]
    line: brief::Line,
    parts: Vec<brief::Line>,
}

impl WriteTool for TaskCreate {
    type Args = CreateArgs;
    type Ready = ();
    const ALIASES: Aliases = &[("tags", "labels")];
    const SPEC: ToolSpec = spec("task_create", Effect::Add, "Create a task or a subtask.");

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: CreateArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let names = brief::Names::read(tx)?;
        let parent = match args.parent.as_deref() {
            Some(text) => Some(queries::resolve(tx, text)?.id),
            None => None,
        };
        let who = args.assignee.as_deref().unwrap_or_default();
        let stream = match args.stream.as_deref() {
            Some(text) => queries::stream(tx, text)?,
            None => own_stream(cx, tx)?,
        };
        if let Some(text) = args.template.as_deref() {
            let template = queries::templates::resolve(tx, text)?;
            let how = Spawn { stream, parent, ..Spawn::default() };
            return Ok(ToolOutput::of(&plans::spawn(tx, &template, &how)?));
        }
        let new = NewTask {
            description: args.description.unwrap_or_default(),
            priority: args.priority.unwrap_or(Priority::Medium),
            due_at: due_of(args.due.as_deref(), &names, tx.now())?.flatten(),
            due_has_time: args.due.as_deref().is_some_and(due::has_time),
            start_at: match args.start.as_deref() {
                Some(text) => due::parse_start(text, &names.zone, tx.now())?,
                None => None,
            },
            stream,
            assignee: names.people.find(who, Assignee::Agent(cx.agent))?,
            parent,
            ..NewTask::titled(args.title)
        };
        let mut task = rules::parts::create(tx, new)?;
        if let Some(labels) = args.labels {
            task = rules::labels::ask(tx, task.id, LabelFilter::read(&labels.join(",")))?;
        }
        let line = names.line(&task);
        if args.items.is_empty() {
            return Ok(ToolOutput::of(&line));
        }
        let parts = parts(tx, &names, (&task, Assignee::Agent(cx.agent)), &args.items)?;
        Ok(ToolOutput::of(&Whole { line, parts }))
    }
}

/// Creates the parts of a task. Dependencies are written before assignees, so that no agent starts a blocked part.
fn parts(
    tx: &mut WriteTx<'_>,
    names: &brief::Names,
    (whole, me): (&Task, Assignee),
    items: &[Item],
) -> Result<Vec<brief::Line>, TaskError> {
    if MAX_ITEMS < items.len() {
        let message =
            format!("create at most {MAX_ITEMS} at once; task_create with parent adds more");
        return Err(TaskError::field("items", message));
    }
    let mut made = Vec::with_capacity(items.len());
    for item in items {
        let new = NewTask {
            description: item.description.clone().unwrap_or_default(),
            parent: Some(whole.id),
            ..NewTask::titled(&item.title)
        };
        made.push(rules::parts::create(tx, new)?.id);
    }
    for (item, id) in items.iter().zip(&made) {
        for number in &item.blocked_by {
            let Some(blocker) = number.checked_sub(1).and_then(|n| made.get(n)) else {
                let message = format!("blocked_by {number}: use an item from 1 to {}", made.len());
                return Err(TaskError::field("items", message));
            };
            rules::relations::relate(tx, *id, RelationKind::BlockedBy, *blocker)?;
        }
    }
    let mut lines = Vec::with_capacity(made.len());
    for (item, id) in items.iter().zip(made) {
        let who = names.people.find(item.assignee.as_deref().unwrap_or_default(), me)?;
        lines.push(names.line(&rules::assign(tx, id, who)?));
    }
    Ok(lines)
}

/// Default stream for work of an agent: the stream of the task that its run works on.
fn own_stream(cx: &ToolCx, tx: &WriteTx<'_>) -> Result<Option<StreamId>, TaskError> {
    let Some(task) = cx.task else { return Ok(None) };
    let stream = match tx.get::<Task>(task)?.and_then(|task| task.stream) {
        Some(stream) => tx.get::<Stream>(stream)?,
        None => None,
    };
    Ok(stream.filter(|stream| stream.archived_at.is_none()).map(|stream| stream.id))
}

/// Parses a due date if given; the inner `None` clears the date.
fn due_of(
    text: Option<&str>,
    names: &brief::Names,
    now: Timestamp,
) -> Result<Option<Option<Timestamp>>, TaskError> {
    text.map(|text| due::parse(text, &names.zone, now)).transpose()
}

/// `task_update`: changes a task.
pub struct TaskUpdate;

/// Arguments of `task_update`.
#[derive(Deserialize, JsonSchema)]
pub struct UpdateArgs {
    /// default: your task
    task: Option<String>,
    status: Option<TaskStatus>,
    priority: Option<Priority>,
    /// YYYY-MM-DD or none
    due: Option<String>,
    title: Option<String>,
    description: Option<String>,
    /// the one you read, for texts
    rev: Option<u64>,
    /// a name, me or none
    assignee: Option<String>,
    /// +add, -remove
    labels: Option<Vec<String>>,
    /// +MC-1, -MC-2
    blocked_by: Option<Vec<String>>,
    relates_to: Option<Vec<String>>,
}

/// Adds or removes relations: `+MC-1, -MC-2`. Without a sign, a relation is added.
fn relate(
    tx: &mut WriteTx<'_>,
    id: TaskId,
    kind: RelationKind,
    names: Option<Vec<String>>,
) -> Result<(), TaskError> {
    let names = names.unwrap_or_default().join(",");
    let words = names.split(',').map(str::trim).filter(|word| !word.is_empty());
    for word in words {
        match word.strip_prefix('-') {
            Some(name) => {
                let other = queries::resolve(tx, name)?.id;
                rules::relations::unrelate(tx, id, kind, other)?;
            }
            None => {
                let other = queries::resolve(tx, word.trim_start_matches('+'))?.id;
                rules::relations::relate(tx, id, kind, other)?;
            }
        }
    }
    Ok(())
}

impl WriteTool for TaskUpdate {
    type Args = UpdateArgs;
    type Ready = ();
    const ALIASES: Aliases = &[("tags", "labels")];
    const SPEC: ToolSpec = spec(
        "task_update",
        Effect::Change,
        "Change fields of a task. Say why in a comment before status blocked.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: UpdateArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let id = queries::meant(tx, args.task.as_deref(), cx.task)?.id;
        let names = brief::Names::read(tx)?;
        let texts = (args.title, args.description);
        let patch = TaskPatch {
            priority: args.priority,
            due_at: due_of(args.due.as_deref(), &names, tx.now())?,
            due_has_time: args.due.as_deref().is_some_and(due::has_time),
            ..merge::words(tx, cx, id, texts, args.rev)?
        };
        let mut task = rules::update(tx, id, patch)?;
        if let Some(labels) = args.labels {
            task = rules::labels::ask(tx, id, LabelFilter::read(&labels.join(",")))?;
        }
        relate(tx, id, RelationKind::BlockedBy, args.blocked_by)?;
        relate(tx, id, RelationKind::RelatesTo, args.relates_to)?;
        if let Some(who) = args.assignee.as_deref() {
            let to = names.people.find(who, Assignee::Agent(cx.agent))?;
            task = rules::assign(tx, id, to)?;
        }
        task = match args.status {
            Some(TaskStatus::Done) => rules::complete(tx, id)?,
            Some(status) => rules::set_status(tx, id, status)?,
            None => task,
        };
        Ok(ToolOutput::of(&names.line(&task)))
    }
}

/// `task_complete`: finishes a task.
pub struct TaskComplete;

/// Arguments of `task_complete`.
#[derive(Deserialize, JsonSchema)]
pub struct CompleteArgs {
    /// default: the one you work on
    task: Option<String>,
}

impl WriteTool for TaskComplete {
    type Args = CompleteArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "task_complete",
        Effect::Change,
        "Finish a task. Refused while delivered work waits for review or subtasks are open.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: CompleteArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let id = queries::meant(tx, args.task.as_deref(), cx.task)?.id;
        let task = rules::complete(tx, id)?;
        let name = queries::name(tx, task.number)?;
        Ok(ToolOutput::text(format!("{name} is done.")))
    }
}

/// `task_delegate`: gives a part of a task to another agent.
pub struct TaskDelegate;

/// Arguments of `task_delegate`.
#[derive(Deserialize, JsonSchema)]
pub struct DelegateArgs {
    /// an agent that reports to you
    to: String,
    title: String,
    /// everything the agent needs to know, Markdown
    description: String,
    priority: Option<Priority>,
    /// YYYY-MM-DD
    due: Option<String>,
    /// default: the one you work on
    parent: Option<String>,
}

impl WriteTool for TaskDelegate {
    type Args = DelegateArgs;
    type Ready = ();
    const SPEC: ToolSpec = spec(
        "task_delegate",
        Effect::Add,
        "Give work to an agent that reports to you. You are woken with the result.",
    );

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: DelegateArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let names = brief::Names::read(tx)?;
        let parent = match (args.parent.as_deref(), cx.task) {
            (None, None) => None,
            (text, own) => Some(queries::meant(tx, text, own)?.id),
        };
        let me = Assignee::Agent(cx.agent);
        let assignee = names.people.find(&args.to, me)?;
        if assignee.and_then(Assignee::agent).is_none() {
            let message = format!("\"{}\" isn't an agent; agent_list shows all agents", args.to);
            return Err(ToolError::refused("not_an_agent", message));
        }
        let new = NewTask {
            description: args.description,
            priority: args.priority.unwrap_or(Priority::Medium),
            due_at: due_of(args.due.as_deref(), &names, tx.now())?.flatten(),
            due_has_time: args.due.as_deref().is_some_and(due::has_time),
            stream: own_stream(cx, tx)?,
            assignee,
            parent,
            ..NewTask::titled(args.title)
        };
        let task = rules::parts::delegate(tx, new)?;
        Ok(ToolOutput::of(&names.line(&task)))
    }
}
