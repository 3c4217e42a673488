//! Single-field actions on a task: status, assignee, priority, due date, archive, …

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::tz::TimeZone;
use serde::Deserialize;

use super::create::word;
use super::ties::{self, Tie};
use app::{App, Ws};
use features::claims::rules as claims;
use features::tasks::model::Task;
use features::tasks::queries::due::{self, Deadline};
use features::tasks::queries::error::TaskError;
use features::tasks::queries::labels::LabelFilter;
use features::tasks::queries::open_ends::OpenEnds;
use features::tasks::queries::{self, standing, view_context::ViewContext};
use features::tasks::rules::{self, TaskPatch};
use kernel::{Priority, ProofMode, TaskId, TaskStatus, Thinking};
use store::WriteTx;
use web::error::PageError;
use web::extract::{Form, Path2};
use web::hx::{Ask, Hx};
use web::parts::Tone;
use web::path_words;
use web::session::Person;
use web::shell::Flash;
use web::{flash, html};

path_words! {
    /// One of the acts.
    pub Verb {
        /// Another status.
        Status = "status",
        /// Another assignee.
        Assign = "assign",
        /// Another priority.
        Priority = "priority",
        /// Another due date.
        Due = "due",
        /// Another model.
        Model = "model",
        /// Another thinking level.
        Thinking = "thinking",
        /// Another parent.
        Parent = "parent",
        /// Out of the way.
        Archive = "archive",
        /// Back again.
        Restore = "restore",
        /// Open again, with a new date.
        Reopen = "reopen",
        /// Another stream.
        Stream = "stream",
        /// Labels that come and go.
        Labels = "labels",
        /// Another first day.
        Start = "start",
        /// A relation to another task.
        Tie = "tie",
        /// A relation less.
        Untie = "untie",
        /// Its agent begins now.
        Run = "run",
        /// Handling of a task without an assignee.
        Care = "care",
        /// Whether its agent must give evidence.
        Proof = "proof",
        /// What differs from the series holds for all that follow.
        Follow = "following",
    }
}

/// The action's value in a field of its own name, and where to redirect afterwards.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Value {
    status: String,
    assignee: String,
    priority: String,
    due: String,
    /// Time of day of the due date. Empty for the whole day; the task keeps its time if absent.
    due_time: Option<String>,
    model: String,
    thinking: String,
    proof: String,
    parent: String,
    stream: String,
    /// A label with `+` to add or `-` to remove it.
    label: String,
    /// Names of labels to add.
    names: String,
    start: String,
    /// The kind of relation.
    kind: String,
    other: String,
    /// Action on a task without an assignee: `wake`, `take` or `close`.
    act: String,
    back: String,
}

/// Notice for a relation that already exists.
const TIED: &str = "These tasks already have this relation. Nothing changed.";

/// Changes one field.
pub async fn act(
    app: App,
    ws: Ws,
    who: Person,
    hx: Hx,
    Path2(text, verb): Path2<String, Verb>,
    Form(value): Form<Value>,
) -> Result<Response, PageError> {
    let (id, back) = (ws.read(|snap| queries::resolve(snap, &text))?.id, value.back.clone());
    let scene = ws.read(|snap| ViewContext::new(&ws, &who, snap))?;
    let change = match verb {
        Verb::Tie | Verb::Untie => {
            let tie = Tie::from_word(&value.kind)?;
            let other = ws.read(|snap| ties::meant(&scene, snap, &value.other))?;
            Change::Tie(tie, other, verb == Verb::Tie)
        }
        _ => read(&scene, verb, &value)?,
    };
    let changed = ws.write(&who, move |tx| {
        let task = change.apply(tx, id)?;
        // ok: without a change there is nothing to undo.
        Ok::<_, TaskError>((task, tx.seq().ok()))
    });
    let (task, entry) = changed.await?;
    let name = scene.name(&task);
    if hx.is_partial() {
        let ask = Ask::new().reswap("none").changed("tasks", id).close_dialog();
        let ask = match verb {
            Verb::Status | Verb::Care => stands(ask, &scene, &task, entry)?,
            Verb::Archive => {
                let undo = format!("{}/restore", scene.href(&task));
                ask.toast_with_undo(&format!("Archived {name}"), &undo)
            }
            Verb::Restore => ask.toast(Tone::Ok, &format!("Restored {name}")),
            Verb::Tie if entry.is_none() => ask.toast(Tone::Info, TIED),
            Verb::Follow => ask.toast(Tone::Ok, "All following tasks now match this one"),
            _ => ask,
        };
        return Ok(empty(ask));
    }
    let known = back.starts_with(&ws.url("tasks")) || back == ws.url("");
    let at = if known { back } else { scene.href(&task) };
    let answer = hx.go_to(&at);
    Ok(match verb {
        Verb::Archive => flash::say(&app, Flash::ok(format!("Archived {name}")), answer),
        Verb::Restore => flash::say(&app, Flash::ok(format!("Restored {name}")), answer),
        Verb::Tie if entry.is_none() => flash::say(&app, Flash::ok(TIED.to_owned()), answer),
        _ => answer,
    })
}

/// Adds a notice about the task's new status. A closed task leaves most lists, so the notice names its open ends and
/// offers undo. A task with deliverables under review stays in review, so the notice says so.
pub(super) fn stands(
    ask: Ask,
    scene: &ViewContext,
    task: &Task,
    entry: Option<u64>,
) -> Result<Ask, TaskError> {
    if task.status.is_open() {
        let waits = scene.ws.read(|snap| standing::in_review(snap, task.id))?;
        let words = || {
            format!(
                "{} stays in review until its deliverables are \
            reviewed",
                scene.name(task)
            )
        };
        return Ok(if waits { ask.toast(Tone::Info, &words()) } else { ask });
    }
    let Some(seq) = entry else { return Ok(ask) };
    let open = match task.status {
        TaskStatus::Done => scene.ws.read(|snap| OpenEnds::of(snap, task.id))?.describe(),
        _ => String::new(),
    };
    let words = format!("{} is {}{open}", scene.name(task), task.status.label().to_lowercase());
    Ok(ask.toast_with_undo(&words, &scene.ws.url(&format!("undo/entry/{seq}"))))
}

fn empty(ask: Ask) -> Response {
    (ask, html::answer(StatusCode::OK, String::new())).into_response()
}

/// A parsed change.
enum Change {
    Status(TaskStatus),
    Assign(Option<kernel::Assignee>),
    Patch(Box<TaskPatch>),
    Parent(String),
    Labels(LabelFilter),
    /// Adds (`true`) or removes a relation to another task.
    Tie(Tie, TaskId, bool),
    Run,
    Archive,
    Restore,
    /// Reopens the task with this due date; a time of day in this zone is kept.
    Reopen(Option<Deadline>, TimeZone),
    Follow,
    Proof(Option<ProofMode>),
}

impl Change {
    fn apply(self, tx: &mut WriteTx<'_>, id: TaskId) -> Result<Task, TaskError> {
        match self {
            Self::Status(to) => rules::set_status(tx, id, to),
            Self::Assign(to) => rules::assign(tx, id, to),
            Self::Patch(patch) => rules::update(tx, id, *patch),
            Self::Parent(text) => {
                let parent = match text.trim() {
                    "" => None,
                    text => Some(queries::resolve(tx, text)?.id),
                };
                let patch = TaskPatch { parent: Some(parent), ..TaskPatch::default() };
                rules::update(tx, id, patch)
            }
            Self::Labels(change) => rules::labels::ask(tx, id, change),
            Self::Tie(tie, other, true) => tie.add(tx, id, other),
            Self::Tie(tie, other, false) => tie.remove(tx, id, other),
            Self::Run => rules::start_now(tx, id),
            Self::Archive => rules::archive(tx, id),
            Self::Restore => rules::restore(tx, id),
            Self::Reopen(due, zone) => {
                let due = due::moved(Deadline::of(&queries::get(tx, id)?), due, &zone);
                let has_time = due.is_some_and(|due| due.has_time);
                rules::overdue::reopen(tx, id, due.map(|due| due.at), has_time)
            }
            Self::Proof(mode) => {
                claims::set_for_task(tx, id, mode)?;
                queries::get(tx, id)
            }
            Self::Follow => {
                rules::series::follow(tx, id, &[])?;
                queries::get(tx, id)
            }
        }
    }
}

fn read(scene: &ViewContext, verb: Verb, value: &Value) -> Result<Change, TaskError> {
    let patch = |patch: TaskPatch| Ok(Change::Patch(Box::new(patch)));
    let none = TaskPatch::default();
    match verb {
        Verb::Status => match value.status.parse() {
            Ok(status) => Ok(Change::Status(status)),
            Err(error) => {
                let error: kernel::vocab::UnknownWord = error;
                Err(TaskError::field("status", error.to_string()))
            }
        },
        Verb::Assign => Ok(Change::Assign(scene.people.find(&value.assignee, scene.myself())?)),
        Verb::Priority => {
            let priority = word("priority", &value.priority, Priority::Medium)?;
            patch(TaskPatch { priority: Some(priority), ..none })
        }
        Verb::Due => {
            let (zone, time) = (&scene.today.zone, value.due_time.as_deref());
            let text = time.unwrap_or_default();
            let due = due::parse_timed(&value.due, text, zone, scene.today.now)?;
            patch(TaskPatch {
                due_at: Some(due.map(|due| due.at)),
                due_has_time: due.is_some_and(|due| due.has_time),
                due_keeps: time.is_none().then(|| zone.clone()),
                ..none
            })
        }
        Verb::Model => patch(TaskPatch { model: Some(Some(value.model.clone())), ..none }),
        Verb::Thinking => {
            let thinking = match value.thinking.as_str() {
                "" => None,
                text => Some(word("thinking", text, Thinking::Low)?),
            };
            patch(TaskPatch { thinking: Some(thinking), ..none })
        }
        Verb::Proof => {
            let mode = match value.proof.as_str() {
                "" => None,
                text => Some(word("proof", text, ProofMode::Show)?),
            };
            Ok(Change::Proof(mode))
        }
        Verb::Stream => {
            let stream = scene.ws.read(|snap| queries::stream(snap, &value.stream))?;
            patch(TaskPatch { stream: Some(stream), ..none })
        }
        Verb::Labels => Ok(Change::Labels(match value.label.as_str() {
            "" => {
                let names = value.names.split(',').map(str::trim).filter(|name| !name.is_empty());
                let add = names.map(|name| name.trim_start_matches('+').to_owned()).collect();
                LabelFilter::Change { add, remove: Vec::new() }
            }
            label => LabelFilter::read(label),
        })),
        Verb::Start => {
            let start = due::parse_start(&value.start, &scene.today.zone, scene.today.now)?;
            patch(TaskPatch { start_at: Some(start), ..none })
        }
        Verb::Tie | Verb::Untie => Err(TaskError::field("other", "say which task, such as MC-142")),
        Verb::Run => Ok(Change::Run),
        Verb::Care => match value.act.as_str() {
            "wake" => Ok(Change::Run),
            "take" => Ok(Change::Assign(Some(scene.myself()))),
            "close" => Ok(Change::Status(TaskStatus::Cancelled)),
            _ => Err(TaskError::field("act", "choose wake, take or close")),
        },
        Verb::Parent => Ok(Change::Parent(value.parent.clone())),
        Verb::Archive => Ok(Change::Archive),
        Verb::Restore => Ok(Change::Restore),
        Verb::Follow => Ok(Change::Follow),
        Verb::Reopen => {
            let (zone, now) = (&scene.today.zone, scene.today.now);
            let time = value.due_time.as_deref().unwrap_or_default();
            let due = due::parse_timed(&value.due, time, zone, now)?;
            Ok(Change::Reopen(due, zone.clone()))
        }
    }
}
