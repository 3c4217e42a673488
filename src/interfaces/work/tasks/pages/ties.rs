//! Groupings and relations of a task on its page: stream, labels, start, related tasks.

use super::rows::Tag;
use features::claims::queries as proofs;
use features::streams::model::Stream;
use features::streams::queries as streams;
use features::tasks::model::Task;
use features::tasks::queries::error::TaskError;
use features::tasks::queries::list::{self, Cut, Filter, Sort};
use features::tasks::queries::view_context::ViewContext;
use features::tasks::queries::{self, due, labels, marks, relations, standing};
use features::tasks::rules::{self, TaskPatch};
use kernel::{Colour, ProofMode, RelationKind, TaskId};
use store::{Read, ReadExt as _, StoreError, WriteTx};
use web::ink;
use web::live::Live;
use web::parts::Choice;
use web::time::{Due, Work};

/// Maximum number of suggested tasks.
const OFFERS: usize = 50;

/// A stream or label to choose.
pub(super) struct Pick {
    pub(super) tag: Tag,
    /// The value that the button sends.
    pub(super) value: String,
    pub(super) chosen: bool,
}

/// The grouping properties of a task.
#[derive(Default)]
pub(super) struct Rail {
    pub(super) stream: Option<Tag>,
    /// Address of the stream; may be empty.
    pub(super) stream_href: String,
    pub(super) streams: Vec<Pick>,
    pub(super) labels: Vec<Tag>,
    pub(super) picks: Vec<Pick>,
    /// The start date: for the form, and formatted.
    pub(super) start: Option<(String, String)>,
    /// Evidence for finished work: label, and whether the task itself says so.
    pub(super) proof: (&'static str, bool),
    pub(super) proofs: Vec<Choice>,
}

fn tag(name: &str, colour: impl Into<Colour>) -> Tag {
    Tag { name: name.to_owned(), colour: ink::drawn(colour.into()) }
}

/// Reads the grouping properties.
pub(super) fn rail(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Rail, StoreError> {
    let own = match task.stream {
        Some(stream) => read.get::<Stream>(stream)?,
        None => None,
    };
    let none = Tag { name: "No stream".to_owned(), colour: String::new() };
    let mut choices =
        vec![Pick { tag: none, value: "none".to_owned(), chosen: task.stream.is_none() }];
    for stream in streams::in_use(read)? {
        let chosen = task.stream == Some(stream.id);
        let (tag, value) = (tag(&stream.name, stream.colour), stream.id.to_string());
        choices.push(Pick { tag, value, chosen });
    }
    let has = labels::ids_of(read, task.id)?;
    let all = labels::all(read)?;
    let pick = |label: &features::tasks::model::label::Label| {
        let chosen = has.contains(&label.id);
        let sign = if chosen { '-' } else { '+' };
        let (tag, value) = (tag(&label.name, label.colour), format!("{sign}{}", label.name));
        Pick { tag, value, chosen }
    };
    let picks: Vec<Pick> = all.iter().map(pick).collect();
    let proof = proofs::of_task(read, task.id)?;
    let by_stream = own.as_ref().map_or(ProofMode::Show, |stream| stream.proof);
    let mut modes = vec![Choice::new("", "As its stream", proof.is_none())];
    let all = ProofMode::ALL.iter();
    modes.extend(all.map(|mode| Choice::new(mode.word(), mode.label(), proof == Some(*mode))));
    Ok(Rail {
        proof: (proof.unwrap_or(by_stream).label(), proof.is_some()),
        proofs: modes,
        stream_href: match &own {
            Some(stream) => scene.ws.url(&format!("streams/{}", stream.id)),
            None => String::new(),
        },
        stream: own.map(|stream| tag(&stream.name, stream.colour)),
        streams: choices,
        labels: picks.iter().filter(|pick| pick.chosen).map(|pick| pick.tag.clone()).collect(),
        picks,
        start: task.start_at.map(|at| {
            let (day, zone) = (due::day(at, &scene.today.zone), &scene.today.zone);
            let shown = Due::new(day, due::day(scene.today.now, zone), Work::Closed);
            (shown.iso, shown.text)
        }),
    })
}

/// A related task.
pub(super) struct TieRow {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) title: String,
    pub(super) status: (&'static str, &'static str),
}

/// Related tasks of one kind.
pub(super) struct TieGroup {
    pub(super) label: &'static str,
    pub(super) kind: &'static str,
    pub(super) rows: Vec<TieRow>,
}

/// The relations of a task.
#[derive(Default)]
pub(super) struct Ties {
    pub(super) live: Live,
    pub(super) groups: Vec<TieGroup>,
    /// Suggested tasks: name and title.
    pub(super) offers: Vec<(String, String)>,
}

/// Reads the relations, blocking tasks first.
pub(super) fn ties(
    scene: &ViewContext,
    read: &dyn Read,
    task: &Task,
    live: Live,
) -> Result<Ties, StoreError> {
    let review = marks::in_review(read)?;
    let row = |task: &Task| TieRow {
        name: scene.name(task),
        href: scene.href(task),
        title: task.title.clone(),
        status: standing::status(task.status, review.contains(task.id)),
    };
    let kinds = [
        ("Blocked by", "blocked_by", relations::blockers(read, task.id)?),
        ("Blocks", "blocks", relations::waiting_for(read, task.id)?),
        ("Related to", "relates_to", relations::related(read, task.id)?),
    ];
    let mut offers = Vec::new();
    if scene.may_write && task.archived_at.is_none() {
        let filter = Filter { status: list::OPEN.to_vec(), ..Filter::default() };
        let cut = Cut { after: None, limit: OFFERS };
        let page = list::page(read, &filter, Sort::Updated, &scene.today, &cut)?;
        let others = page.items.into_iter().filter(|other| other.id != task.id);
        offers.extend(others.map(|other| (scene.name(&other), other.title)));
    }
    Ok(Ties {
        live: live.table("tasks").table("task_relations"),
        groups: kinds
            .into_iter()
            .filter(|(.., tasks)| !tasks.is_empty())
            .map(|(label, kind, tasks)| TieGroup {
                label,
                kind,
                rows: tasks.iter().map(row).collect(),
            })
            .collect(),
        offers,
    })
}

/// The open tasks that block a task: the first ones as links, and the number of others.
#[derive(Default)]
pub(super) struct Held {
    pub(super) by: Vec<Blocker>,
    pub(super) others: usize,
}

/// A task that blocks another.
pub(super) struct Blocker {
    pub(super) name: String,
    pub(super) href: String,
    pub(super) title: String,
}

/// Reads what keeps an open task from starting.
pub(super) fn held(scene: &ViewContext, read: &dyn Read, task: &Task) -> Result<Held, StoreError> {
    /// Blockers that are named.
    const NAMED: usize = 3;
    if !task.status.is_open() {
        return Ok(Held::default());
    }
    let blockers = relations::open_blockers(read, task.id)?;
    let others = blockers.len().saturating_sub(NAMED);
    let by = blockers.into_iter().take(NAMED).map(|one| Blocker {
        name: scene.name(&one),
        href: scene.href(&one),
        title: one.title,
    });
    Ok(Held { by: by.collect(), others })
}

/// A relation from this task's point of view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// This task waits for the other.
    BlockedBy,
    /// The other waits for this task.
    Blocks,
    /// Readers of one should know the other.
    RelatesTo,
    /// This task is a part of the other.
    PartOf,
    /// The other is a part of this task.
    Whole,
}

impl Tie {
    pub(super) fn from_word(word: &str) -> Result<Self, TaskError> {
        Ok(match word {
            "blocked_by" => Self::BlockedBy,
            "blocks" => Self::Blocks,
            "relates_to" => Self::RelatesTo,
            "part_of" => Self::PartOf,
            "whole" => Self::Whole,
            _ => return Err(TaskError::field("kind", "choose how the tasks are related")),
        })
    }

    /// Adds the relation.
    pub(super) fn add(
        self,
        tx: &mut WriteTx<'_>,
        task: TaskId,
        other: TaskId,
    ) -> Result<Task, TaskError> {
        let part = |parent| TaskPatch { parent: Some(Some(parent)), ..TaskPatch::default() };
        match self {
            Self::PartOf => rules::update(tx, task, part(other))?,
            Self::Whole => rules::update(tx, other, part(task))?,
            _ => {
                let (from, kind, to) = self.ends(task, other);
                rules::relations::relate(tx, from, kind, to)?
            }
        };
        queries::get(tx, task)
    }

    /// Removes the relation.
    pub(super) fn remove(
        self,
        tx: &mut WriteTx<'_>,
        task: TaskId,
        other: TaskId,
    ) -> Result<Task, TaskError> {
        let (from, kind, to) = self.ends(task, other);
        rules::relations::unrelate(tx, from, kind, to)?;
        queries::get(tx, task)
    }

    fn ends(self, task: TaskId, other: TaskId) -> (TaskId, RelationKind, TaskId) {
        match self {
            Self::Blocks => (other, RelationKind::BlockedBy, task),
            Self::RelatesTo => (task, RelationKind::RelatesTo, other),
            Self::BlockedBy | Self::PartOf | Self::Whole => (task, RelationKind::BlockedBy, other),
        }
    }
}

/// Resolves a task by name, or by text that occurs in exactly one open task's title.
pub(super) fn meant(scene: &ViewContext, read: &dyn Read, text: &str) -> Result<TaskId, TaskError> {
    let text = text.trim();
    if let Ok(task) = queries::resolve(read, text) {
        return Ok(task.id);
    }
    if text.is_empty() {
        return Err(TaskError::field("other", "say which task, such as MC-142"));
    }
    let filter = Filter { q: text.to_owned(), status: list::OPEN.to_vec(), ..Filter::default() };
    let cut = Cut { after: None, limit: 4 };
    let found = list::page(read, &filter, Sort::Updated, &scene.today, &cut)?.items;
    match found.as_slice() {
        [one] => Ok(one.id),
        [] => Err(TaskError::field("other", "no open task matches")),
        many => {
            let names: Vec<String> = many.iter().map(|task| scene.name(task)).collect();
            let message = format!("several tasks match; choose one: {}", names.join(", "));
            Err(TaskError::field("other", message))
        }
    }
}
