//! Activity lines for people, and API words for feed entries.

use std::cell::OnceCell;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use serde_json::{Value, json};

use crate::audit::queries::{AuditQuery, cause_word, fired_in};
use crate::cards;
use crate::history::queries::names::Names;
use crate::history::queries::readable::{Eye, Looker};
use crate::routines::model::Routine;
use crate::runs::model::Run;
use crate::tasks::queries::people::{People, assignee_of};
use app::Ws;
use entity::Area;
use kernel::display;
use kernel::{Actor, Assignee, Cause, Event, Timestamp};
use store::audit as trail;
use store::{Entry, Op, Read, ReadExt as _, Schema, StoreError, feed, keep};
use web::parts::Face;

pub use super::feed::weight;
pub use super::words::Words;
use super::words::{self, rows};

/// Time limit of a page without results.
const LOOK: Duration = Duration::from_millis(100);
/// Time limit for finding the end of multi-part work, so that a page does not end within it.
const CLOSE: Duration = Duration::from_millis(1_000);
/// Number of candidate entries to read at once.
const PIECE: usize = 200;
/// Maximum number of entries to examine for newer activity.
const MAX_LOOK: u64 = 2_000;

/// Actor filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    People,
    Agents,
    /// HQ itself.
    System,
}

impl By {
    pub const ALL: [Self; 3] = [Self::People, Self::Agents, Self::System];

    /// Word in URLs.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Agents => "agents",
            Self::System => "system",
        }
    }

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

/// Day heading: "Today", "Yesterday", "Friday, 20 November".
#[must_use]
pub fn day(date: Date, today: Date) -> String {
    match date {
        date if date == today => "Today".to_owned(),
        date if Some(date) == today.yesterday().ok() => "Yesterday".to_owned(),
        date if date.year() == today.year() => {
            format!("{}, {}", date.strftime("%A"), display::long_day_of_year(date))
        }
        date => format!("{}, {}", date.strftime("%A"), display::long_day(date)),
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub area: Option<Area>,
    pub by: Option<By>,
    /// Only entries before this one.
    pub before: Option<u64>,
}

/// The run or routine behind an action.
#[derive(Clone, Debug)]
pub struct Via {
    /// `run` or `routine`.
    pub kind: &'static str,
    pub name: String,
    /// Path below the workspace.
    pub path: String,
}

/// Whether an entry can be undone, judged from the entry alone. A preview of the undo gives the full answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    Possible,
    /// Not possible, with the reason.
    No(&'static str),
}

/// An activity line.
pub struct Line {
    /// Sequence number of the entry.
    pub seq: u64,
    pub at: Timestamp,
    pub by: Assignee,
    /// Face of the actor.
    pub who: Face,
    pub area: Area,
    pub words: Words,
    /// The run or routine behind it.
    pub via: Option<Via>,
    /// Cause as an API word.
    pub cause: &'static str,
    /// Distinct kinds of the entry's events.
    pub events: Vec<&'static str>,
    /// Undo state. Only on the first line of an entry.
    pub undo: Option<Undo>,
}

/// A page of lines, with the range that was examined.
#[derive(Default)]
pub struct Found {
    pub lines: Vec<Line>,
    /// Cursor: the next page is before this entry, or after it when searching newer activity.
    pub next: Option<u64>,
    /// `true` if there are more entries in this direction.
    pub more: bool,
    /// Number of entries examined.
    pub looked: u64,
    /// Time of the oldest entry examined.
    pub reached: Option<Timestamp>,
}

/// Activity that this person may see, newest first, about `limit` entries. Stops at a time limit. May block for a
/// while.
pub fn lines(ws: &Ws, (who, filter): (Looker, Filter), limit: usize) -> Result<Found, StoreError> {
    let schema = ws.store.schema();
    let by = |actor| filter.by.is_none_or(|by| by.covers(actor));
    let wanted = |entry: &Entry| words::may_tell(schema, entry);
    gather(ws, (who, filter.area), (filter.before, limit), |before| {
        let search = trail::Search {
            records: &[],
            before,
            since: None,
            until: None,
            limit: PIECE.min(limit),
            within: LOOK,
            by: &by,
            wanted: &wanted,
        };
        trail::search(&ws.store, &search)
    })
}

/// Activity that matches an audit query. Otherwise like [`lines`].
pub fn search(
    ws: &Ws,
    wish: &AuditQuery,
    of: (Looker, Option<Area>),
    limit: usize,
) -> Result<Found, StoreError> {
    gather(ws, of, (wish.before(), limit), |before| wish.search_before(ws, before, PIECE))
}

/// Converts entries to lines, batch by batch, until there are enough or the time is up.
fn gather(
    ws: &Ws,
    of: (Looker, Option<Area>),
    (before, limit): (Option<u64>, usize),
    piece: impl Fn(Option<u64>) -> Result<trail::Found, StoreError>,
) -> Result<Found, StoreError> {
    let (schema, lines, next) = (ws.store.schema(), Vec::new(), before);
    let mut found = Found { lines, next, more: true, looked: 0, reached: None };
    let (mut count, mut is_late, started) = (0, false, Instant::now());
    // A page shows multi-part work to its end.
    let amid_work = |lines: &[Line]| {
        let mut last = lines.iter().rev().take(LINES_OF_WORK);
        last.any(|line| line.words.count.is_some_and(|sum| sum.work.is_some()))
    };
    loop {
        let (mut at, mut is_full) = (found.next, false);
        let piece = piece(found.next)?;
        found.looked += piece.looked;
        let reached = piece.reached.map(|(_, at)| kernel::time::from_ms(at));
        found.reached = reached.or(found.reached);
        found.next = piece.next;
        ws.read(|snap| {
            let teller = Teller::new(snap, schema, of)?;
            for entry in &piece.entries {
                let mut lines = teller.describe(entry)?;
                let goes_on = |line: &Line| work_line(&found.lines, line).is_some();
                is_full =
                    (is_late || limit <= count) && !(lines.is_empty() || lines.iter().any(goes_on));
                if !is_full {
                    lines.retain_mut(|line| !joins_work(&mut found.lines, line));
                    count += usize::from(!lines.is_empty());
                    found.lines.extend(lines);
                    at = Some(entry.seq);
                    is_full = limit <= count && !amid_work(&found.lines);
                }
                if is_full {
                    found.next = at;
                    break;
                }
            }
            Ok::<_, StoreError>(())
        })?;
        found.more = found.next.is_some();
        let took = started.elapsed();
        is_late = LOOK <= took;
        if is_full || !found.more || CLOSE <= took || (is_late && !amid_work(&found.lines)) {
            return Ok(found);
        }
    }
}

/// Number of preceding lines that a further part of work can join.
const LINES_OF_WORK: usize = 8;

/// Adds a part of multi-part work to the line of the other parts. An import, a conversion, and the undo or redo of one
/// are written in parts but count as one action.
fn joins_work(lines: &mut [Line], line: &mut Line) -> bool {
    let above = work_line(lines, line).and_then(|at| lines.get_mut(at));
    let (Some(above), Some(piece)) = (above, line.words.count) else { return false };
    if let Some(sum) = &mut above.words.count {
        sum.count += piece.count;
        above.words.thing = sum.thing();
    }
    // Undoing the entry would revert only this part.
    above.undo = above.undo.map(|_| Undo::No("undo it as a whole on its page"));
    true
}

/// Index of the line that a part of work joins. `None` if it starts a line.
fn work_line(lines: &[Line], line: &Line) -> Option<usize> {
    let piece = line.words.count.filter(|piece| piece.work.is_some())?;
    for (at, above) in lines.iter().enumerate().rev().take(LINES_OF_WORK) {
        let Some(sum) = above.words.count.filter(|sum| sum.work == piece.work) else { continue };
        // The work was undone or redone in between, or by another actor.
        if !sum.is_of_act(&piece) || above.by != line.by {
            return None;
        }
        if sum.is_like(&piece) {
            return Some(at);
        }
    }
    None
}

/// Activity after an entry that matches an audit query and that this person may see, oldest first, and the last entry
/// examined. May block for a while.
pub fn after(
    ws: &Ws,
    wish: &AuditQuery,
    of: (Looker, Option<Area>),
    (seq, limit): (u64, usize),
) -> Result<Found, StoreError> {
    let begun = wish.begun(ws);
    let found = ws.read(|snap| {
        let teller = Teller::new(snap, ws.store.schema(), of)?;
        let (lines, next) = (Vec::new(), Some(seq));
        let mut found = Found { lines, next, more: true, looked: 0, reached: None };
        let (mut last, mut count) = (seq, 0);
        while count < limit && found.looked < MAX_LOOK {
            let Some(entry) = feed::entry(snap, last + 1)? else {
                found.more = false;
                break;
            };
            last = entry.seq;
            found.looked += 1;
            let at = kernel::time::from_ms(entry.at);
            found.reached = found.reached.or(Some(at));
            if wish.covers(&entry) && begun.covers(&entry) {
                let mut lines = teller.describe(&entry)?;
                lines.retain_mut(|line| !joins_work(&mut found.lines, line));
                count += usize::from(!lines.is_empty());
                found.lines.extend(lines);
            }
        }
        found.next = Some(last);
        Ok::<_, StoreError>(found)
    })?;
    begun.worked()?;
    Ok(found)
}

/// Converts entries to lines for one viewer.
struct Teller<'r> {
    read: &'r dyn Read,
    schema: &'r Schema,
    area: Option<Area>,
    people: People,
    eye: Eye<'r>,
    /// Record names, loaded on demand.
    names: OnceCell<Names<'r>>,
}

impl<'r> Teller<'r> {
    fn new(
        read: &'r dyn Read,
        schema: &'r Schema,
        (who, area): (Looker, Option<Area>),
    ) -> Result<Self, StoreError> {
        let (people, eye) = (People::read(read)?, Eye::new(read, who));
        Ok(Self { read, schema, area, people, eye, names: OnceCell::new() })
    }

    /// Lines of one entry.
    fn describe(&self, entry: &Entry) -> Result<Vec<Line>, StoreError> {
        let mut sentences =
            words::of(self.read, self.schema, entry, (&self.people, Some(&self.eye)))?;
        if sentences.is_empty() {
            sentences.extend(self.rows(entry)?);
        }
        sentences.retain(|(of, _)| self.area.is_none_or(|only| only == *of));
        if sentences.is_empty() {
            return Ok(Vec::new());
        }
        let (via, mut undo) = (self.via(entry)?, Some(self.undo(entry)?));
        let lines = sentences.into_iter().map(|(area, words)| {
            let by = words.by.unwrap_or_else(|| assignee_of(entry.actor));
            Line {
                seq: entry.seq,
                at: kernel::time::from_ms(entry.at),
                who: self.people.face(by),
                by,
                area,
                words,
                via: via.clone(),
                cause: cause_word(entry.cause),
                events: cards::event_kinds(entry),
                undo: undo.take(),
            }
        });
        Ok(lines.collect())
    }

    /// Line for a change without events, from its rows.
    fn rows(&self, entry: &Entry) -> Result<Option<(Area, Words)>, StoreError> {
        if !rows::is_told(entry) || rows::is_of_gone(self.read, entry)? {
            return Ok(None);
        }
        let names = match self.names.get() {
            Some(names) => names,
            None => {
                let names = Names::new(self.read)?;
                self.names.get_or_init(|| names)
            }
        };
        rows::words(self.read, self.schema, entry, (names, &self.eye))
    }

    fn undo(&self, entry: &Entry) -> Result<Undo, StoreError> {
        if matches!(entry.actor, Actor::System(_)) {
            // HQ's own actions are not offered for undo.
            return Ok(Undo::No("HQ did this automatically"));
        }
        let mut why = "you can’t undo any of this";
        for (n, change) in entry.changes.iter().enumerate() {
            if self.eye.may_undo(change.table) {
                if keep::taken(self.read, self.schema, entry, n)?.is_none() {
                    return Ok(Undo::Possible);
                }
                why = "the previous values are no longer stored";
            }
        }
        Ok(Undo::No(why))
    }

    /// The run or routine behind an entry, if the viewer may see it.
    fn via(&self, entry: &Entry) -> Result<Option<Via>, StoreError> {
        let run = match entry.cause {
            Cause::Step(run, _) => Some(run),
            _ => entry.actor.run(),
        };
        if let Some(run) = run {
            return match self.read.get::<Run>(run)? {
                Some(run) if self.eye.sees_run(&run)? => {
                    let path = format!("runs/{}", run.name());
                    Ok(Some(Via { kind: "run", name: run.name(), path }))
                }
                _ => Ok(None),
            };
        }
        // A routine that fired because of a person's action did not perform that action.
        let by_itself = matches!(entry.actor, Actor::System(_));
        let Some(id) = fired_in(entry).filter(|_| by_itself) else { return Ok(None) };
        let routine = self.read.get::<Routine>(id)?;
        let path = format!("routines/{id}");
        Ok(routine.map(|routine| Via { kind: "routine", name: routine.name, path }))
    }
}

/// Sentences for an entry without permission checks. Empty for technical entries.
pub fn sentences(
    read: &dyn Read,
    schema: &Schema,
    entry: &Entry,
    people: &People,
) -> Result<Vec<Words>, StoreError> {
    let all = words::of(read, schema, entry, (people, None))?;
    Ok(all.into_iter().map(|(_, words)| words).collect())
}

/// API word of a row operation.
#[must_use]
pub fn word(op: Op) -> &'static str {
    match op {
        Op::Insert => "insert",
        Op::Update => "update",
        Op::Delete => "delete",
    }
}

/// API form of an actor.
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

/// API form of a cause.
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

/// API form of an event: `{"name": "task.created", "data": {…}}`.
#[must_use]
pub fn event(event: &Event) -> Value {
    let tagged = serde_json::to_value(event).unwrap_or_default();
    let data = tagged.as_object().and_then(|map| map.values().next()).cloned();
    let data = match (event, cards::row_of(event)) {
        (Event::Row { .. }, Some(row)) => Some(row.json()),
        _ => data,
    };
    json!({ "name": cards::event_name(event), "data": data })
}
