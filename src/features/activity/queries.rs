//! Reads of the feed: lines for people, and the words that programs read.

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
use kernel::{Actor, Assignee, Cause, Event, Timestamp};
use store::audit as trail;
use store::{Entry, Op, Read, ReadExt as _, Schema, StoreError, feed, keep};
use web::parts::Face;

pub use super::feed::weight;
pub use super::words::Words;
use super::words::{self, rows};

/// How long one page looks for something to tell, unless it has found enough before.
const LOOK: Duration = Duration::from_millis(100);
/// How long the end of some work is looked for, so that a page does not end amid it.
const CLOSE: Duration = Duration::from_millis(1_000);
/// How many entries that may be told are read at once.
const PIECE: usize = 200;
/// How many entries are looked through at most for what came after a place.
const MAX_LOOK: u64 = 2_000;

/// Whose doings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    People,
    Agents,
    /// The program itself.
    System,
}

impl By {
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

/// What the lines of a day stand under: "Today", "Yesterday", "Friday, 20 November".
#[must_use]
pub fn day(date: Date, today: Date) -> String {
    match date {
        date if date == today => "Today".to_owned(),
        date if Some(date) == today.yesterday().ok() => "Yesterday".to_owned(),
        date if date.year() == today.year() => date.strftime("%A, %-d %B").to_string(),
        date => date.strftime("%A, %-d %B %Y").to_string(),
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

/// Through which run or routine something was done.
#[derive(Clone, Debug)]
pub struct Via {
    /// `run` or `routine`.
    pub kind: &'static str,
    pub name: String,
    /// Its page below the workspace.
    pub path: String,
}

/// Whether an entry can be undone, as far as one look at it tells; a preview of the undo says the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undo {
    /// It can.
    Possible,
    /// It cannot, and why.
    No(&'static str),
}

/// One thing that happened.
pub struct Line {
    /// The entry.
    pub seq: u64,
    pub at: Timestamp,
    pub by: Assignee,
    /// The same as a picture.
    pub who: Face,
    /// In which part of the program.
    pub area: Area,
    /// What, in words.
    pub words: Words,
    /// Through which run or routine.
    pub via: Option<Via>,
    /// For which reason, in a word.
    pub cause: &'static str,
    /// The kinds of the entry's events, each once.
    pub events: Vec<&'static str>,
    /// Whether it can be undone; told on the first line of an entry.
    pub undo: Option<Undo>,
}

/// A page of lines, with how far was looked for them.
#[derive(Default)]
pub struct Found {
    pub lines: Vec<Line>,
    /// Where to go on: before this entry, or after it when what comes after a place is looked for.
    pub next: Option<u64>,
    /// Whether there is more to look at in this direction.
    pub more: bool,
    /// How many entries were looked at.
    pub looked: u64,
    /// The time of the oldest of them.
    pub reached: Option<Timestamp>,
}

/// What happened, newest first, as far as this person may know it: about so many entries. Ends early when
/// it has looked for long. May take a while.
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

/// What a wish finds, in the same way.
pub fn search(
    ws: &Ws,
    wish: &AuditQuery,
    of: (Looker, Option<Area>),
    limit: usize,
) -> Result<Found, StoreError> {
    gather(ws, of, (wish.before(), limit), |before| wish.search_before(ws, before, PIECE))
}

/// Puts entries into words, a piece after the other, until there are enough or it took long.
fn gather(
    ws: &Ws,
    of: (Looker, Option<Area>),
    (before, limit): (Option<u64>, usize),
    piece: impl Fn(Option<u64>) -> Result<trail::Found, StoreError>,
) -> Result<Found, StoreError> {
    let (schema, lines, next) = (ws.store.schema(), Vec::new(), before);
    let mut found = Found { lines, next, more: true, looked: 0, reached: None };
    let (mut told, mut is_late, started) = (0, false, Instant::now());
    // Work of many pieces that begins on a page is told on it to its end.
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
                let mut lines = teller.told(entry)?;
                let goes_on = |line: &Line| work_line(&found.lines, line).is_some();
                is_full =
                    (is_late || limit <= told) && !(lines.is_empty() || lines.iter().any(goes_on));
                if !is_full {
                    lines.retain_mut(|line| !joins_work(&mut found.lines, line));
                    told += usize::from(!lines.is_empty());
                    found.lines.extend(lines);
                    at = Some(entry.seq);
                    is_full = limit <= told && !amid_work(&found.lines);
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

/// Lines that are searched for one that a further piece of some work belongs to.
const LINES_OF_WORK: usize = 8;

/// Adds the count of one piece of some work to the line of the other pieces. An import, a conversion, the undo and the
/// redo of one are written in pieces, and each is one act.
fn joins_work(lines: &mut [Line], line: &mut Line) -> bool {
    let above = work_line(lines, line).and_then(|at| lines.get_mut(at));
    let (Some(above), Some(piece)) = (above, line.words.count) else { return false };
    if let Some(sum) = &mut above.words.count {
        sum.count += piece.count;
        above.words.thing = sum.thing();
    }
    // An undo of the entry would take back this piece alone.
    above.undo = above.undo.map(|_| Undo::No("undo it as a whole on its page"));
    true
}

/// The line to which one piece of some work belongs; none where it begins a line.
fn work_line(lines: &[Line], line: &Line) -> Option<usize> {
    let piece = line.words.count.filter(|piece| piece.work.is_some())?;
    for (at, above) in lines.iter().enumerate().rev().take(LINES_OF_WORK) {
        let Some(sum) = above.words.count.filter(|sum| sum.work == piece.work) else { continue };
        // It was undone or restored in between, or by somebody else.
        if !sum.is_of_act(&piece) || above.by != line.by {
            return None;
        }
        if sum.is_like(&piece) {
            return Some(at);
        }
    }
    None
}

/// What a wish finds after an entry, oldest first, as far as this person may know it, and the entry up
/// to which was looked. May take a while.
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
        let (mut last, mut told) = (seq, 0);
        while told < limit && found.looked < MAX_LOOK {
            let Some(entry) = feed::entry(snap, last + 1)? else {
                found.more = false;
                break;
            };
            last = entry.seq;
            found.looked += 1;
            let at = kernel::time::from_ms(entry.at);
            found.reached = found.reached.or(Some(at));
            if wish.covers(&entry) && begun.covers(&entry) {
                let mut lines = teller.told(&entry)?;
                lines.retain_mut(|line| !joins_work(&mut found.lines, line));
                told += usize::from(!lines.is_empty());
                found.lines.extend(lines);
            }
        }
        found.next = Some(last);
        Ok::<_, StoreError>(found)
    })?;
    begun.worked()?;
    Ok(found)
}

/// Puts entries into words for somebody.
struct Teller<'r> {
    read: &'r dyn Read,
    schema: &'r Schema,
    area: Option<Area>,
    people: People,
    eye: Eye<'r>,
    /// What records are called; read when it is asked for.
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

    /// The lines of one entry.
    fn told(&self, entry: &Entry) -> Result<Vec<Line>, StoreError> {
        let mut said = words::of(self.read, self.schema, entry, (&self.people, Some(&self.eye)))?;
        if said.is_empty() {
            said.extend(self.rows(entry)?);
        }
        said.retain(|(of, _)| self.area.is_none_or(|only| only == *of));
        if said.is_empty() {
            return Ok(Vec::new());
        }
        let (via, mut undo) = (self.via(entry)?, Some(self.undo(entry)?));
        let lines = said.into_iter().map(|(area, words)| {
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

    /// What somebody changed without an event of its own: by the rows.
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
            // What HQ does by itself is not offered to be undone.
            return Ok(Undo::No("HQ did this by itself"));
        }
        let mut why = "you can undo nothing of this";
        for (n, change) in entry.changes.iter().enumerate() {
            if self.eye.may_undo(change.table) {
                if keep::taken(self.read, self.schema, entry, n)?.is_none() {
                    return Ok(Undo::Possible);
                }
                why = "what was there before is not kept any more";
            }
        }
        Ok(Undo::No(why))
    }

    /// Through which run or routine something was done, if this person may see that.
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
        // What somebody did is not done through the routine that it made fire.
        let by_itself = matches!(entry.actor, Actor::System(_));
        let Some(id) = fired_in(entry).filter(|_| by_itself) else { return Ok(None) };
        let routine = self.read.get::<Routine>(id)?;
        let path = format!("routines/{id}");
        Ok(routine.map(|routine| Via { kind: "routine", name: routine.name, path }))
    }
}

/// Sentences for an entry, for who may know everything; none for what only machines want to know.
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
    let data = match (event, cards::row_of(event)) {
        (Event::Row { .. }, Some(row)) => Some(row.json()),
        _ => data,
    };
    json!({ "name": cards::event_name(event), "data": data })
}
