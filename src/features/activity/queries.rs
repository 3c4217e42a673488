//! Reads of the feed: lines for people, and the words that programs read.

use serde_json::{Value, json};

use crate::features::history::queries::readable::{Eye, Looker};
use crate::features::routines::model::Routine;
use crate::features::runs::model::Run;
use crate::features::tasks::queries::people::People;
use crate::kernel::{Actor, Cause, Event, Timestamp};
use crate::store::{Entry, Op, Read, ReadExt as _, Schema, StoreError, feed};
use crate::web::parts::Face;

use super::words;
pub use super::words::Words;

/// How many entries one page looks through at most.
const MAX_LOOK: usize = 2_000;
/// How many it reads at once.
const PIECE: usize = 200;

/// Which part of the program something happened in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// Tasks, comments, delivered work.
    Work,
    /// Agents and their runs.
    Agents,
    /// Members, settings, connections.
    Workspace,
}

impl Area {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Work, Self::Agents, Self::Workspace];

    /// The word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Agents => "agents",
            Self::Workspace => "workspace",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Work => "Work",
            Self::Agents => "Agents",
            Self::Workspace => "Workspace",
        }
    }
}

/// Whose doings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// People.
    People,
    /// Agents.
    Agents,
    /// The program itself.
    System,
}

impl By {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::People, Self::Agents, Self::System];

    /// The word in addresses.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Agents => "agents",
            Self::System => "system",
        }
    }

    /// The word for people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::People => "People",
            Self::Agents => "Agents",
            Self::System => "HQ",
        }
    }

    fn covers(self, actor: Actor) -> bool {
        match actor {
            Actor::Person { .. } => self == Self::People,
            Actor::Agent { .. } => self == Self::Agents,
            Actor::Plugin(_) | Actor::Gateway(_) | Actor::System(_) => self == Self::System,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Only this part.
    pub area: Option<Area>,
    /// Only theirs.
    pub by: Option<By>,
    /// Only what lies before this entry.
    pub before: Option<u64>,
}

/// One thing that happened.
pub struct Line {
    /// The entry.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: Face,
    /// What, in words.
    pub words: Words,
    /// Through which run or routine: its name, and its page below the workspace.
    pub via: Option<(String, String)>,
    /// The tables in which it changed something; only on the first line of an entry.
    pub tables: Vec<u16>,
}

/// A page of lines, newest first, and the entry before which to go on.
pub struct Lines {
    /// The lines.
    pub lines: Vec<Line>,
    /// Give this back as `before`.
    pub next: Option<u64>,
}

/// What happened, newest first, as far as this person may know it.
///
/// # Errors
/// When the disk fails.
pub fn lines(
    read: &dyn Read,
    schema: &Schema,
    (who, filter): (Looker, Filter),
    limit: usize,
) -> Result<Lines, StoreError> {
    let (people, eye) = (People::read(read)?, Eye::new(read, who));
    let mut found = Lines { lines: Vec::new(), next: None };
    let (mut before, mut looked) = (filter.before, 0);
    while found.lines.len() < limit && looked < MAX_LOOK {
        let entries = feed::newest(read, schema, before, PIECE)?;
        looked += entries.len();
        let is_last = entries.len() < PIECE;
        for entry in entries {
            before = Some(entry.seq);
            if filter.by.is_some_and(|by| !by.covers(entry.actor)) {
                continue;
            }
            found.lines.extend(told(read, schema, (&people, &eye), (&entry, filter.area))?);
            if limit <= found.lines.len() {
                break;
            }
        }
        if is_last && found.lines.len() < limit {
            return Ok(found);
        }
    }
    found.next = before;
    Ok(found)
}

/// What these entries say, as far as this person may know it.
///
/// # Errors
/// When the disk fails.
pub fn lines_of(
    read: &dyn Read,
    schema: &Schema,
    (who, area): (Looker, Option<Area>),
    entries: &[Entry],
) -> Result<Vec<Line>, StoreError> {
    let (people, eye) = (People::read(read)?, Eye::new(read, who));
    let mut lines = Vec::new();
    for entry in entries {
        lines.extend(told(read, schema, (&people, &eye), (entry, area))?);
    }
    Ok(lines)
}

/// The lines of one entry.
fn told(
    read: &dyn Read,
    schema: &Schema,
    (people, eye): (&People, &Eye<'_>),
    (entry, area): (&Entry, Option<Area>),
) -> Result<Vec<Line>, StoreError> {
    let mut tables: Vec<u16> = entry.changes.iter().map(|change| change.table).collect();
    if matches!(entry.actor, Actor::System(_)) {
        // What HQ does by itself is not offered to be undone.
        tables.clear();
    }
    tables.sort_unstable();
    tables.dedup();
    let mut lines = Vec::new();
    for (of, words) in words::of(read, schema, entry, (people, Some(eye)))? {
        if area.is_none_or(|only| only == of) {
            let who = match words.by {
                Some(by) => people.face(by),
                None => people.actor(entry.actor),
            };
            lines.push(Line {
                seq: entry.seq,
                at: crate::kernel::time::from_ms(entry.at),
                who,
                words,
                via: via(read, eye, entry)?,
                tables: std::mem::take(&mut tables),
            });
        }
    }
    Ok(lines)
}

/// Through which run or routine something was done, if this person may see that.
fn via(
    read: &dyn Read,
    eye: &Eye<'_>,
    entry: &Entry,
) -> Result<Option<(String, String)>, StoreError> {
    let run = match entry.cause {
        Cause::Step(run, _) => Some(run),
        _ => entry.actor.run(),
    };
    if let Some(run) = run {
        let run = read.get::<Run>(run)?;
        return match run {
            Some(run) if eye.sees_run(&run)? => {
                Ok(Some((run.name(), format!("runs/{}", run.name()))))
            }
            _ => Ok(None),
        };
    }
    let Cause::Routine(id, _) = entry.cause else { return Ok(None) };
    let routine = read.get::<Routine>(id)?;
    Ok(routine.map(|routine| (routine.name, format!("routines/{id}"))))
}

/// Sentences for an entry, for who may know everything; none for what only machines want to know.
///
/// # Errors
/// When the disk fails.
pub fn sentences(
    read: &dyn Read,
    schema: &Schema,
    entry: &Entry,
    people: &People,
) -> Result<Vec<Words>, StoreError> {
    let all = words::of(read, schema, entry, (people, None))?;
    Ok(all.into_iter().map(|(_, words)| words).collect())
}

/// What happened to a row, as programs read it.
#[must_use]
pub fn word(op: Op) -> &'static str {
    match op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    }
}

/// Who did something, as programs read it.
#[must_use]
pub fn actor(actor: Actor) -> Value {
    match actor {
        Actor::Person { account, .. } => json!({ "kind": "person", "account": account }),
        Actor::Agent { agent, run } => json!({ "kind": "agent", "agent": agent, "run": run }),
        Actor::Plugin(id) => json!({ "kind": "plugin", "plugin": id }),
        Actor::Gateway(id) => json!({ "kind": "gateway", "gateway": id }),
        Actor::System(part) => {
            json!({ "kind": "system", "part": format!("{part:?}").to_lowercase() })
        }
    }
}

/// Why something happened, as programs read it.
#[must_use]
pub fn cause(cause: Cause) -> Value {
    match cause {
        Cause::Request(id) => json!({ "kind": "request", "request": hex::encode(id) }),
        Cause::Step(run, step) => json!({ "kind": "step", "run": run, "step": step }),
        Cause::Routine(id, at) => json!({ "kind": "routine", "routine": id, "at": at }),
        Cause::Consumer(number) => json!({ "kind": "consumer", "number": number }),
        Cause::Undo(seq) => json!({ "kind": "undo", "of": seq }),
        Cause::Import(id) => json!({ "kind": "import", "import": id }),
        Cause::Job(id) => json!({ "kind": "job", "job": id }),
        Cause::Retention => json!({ "kind": "retention" }),
        Cause::Migration(number) => json!({ "kind": "migration", "number": number }),
        Cause::Setup => json!({ "kind": "setup" }),
        Cause::Timer => json!({ "kind": "timer" }),
        Cause::Restore => json!({ "kind": "restore" }),
    }
}

/// `{"name": "task.created", "data": {…}}`.
#[must_use]
pub fn event(event: &Event) -> Value {
    let tagged = serde_json::to_value(event).unwrap_or_default();
    let data = tagged.as_object().and_then(|map| map.values().next()).cloned();
    json!({ "name": event.name(), "data": data })
}
