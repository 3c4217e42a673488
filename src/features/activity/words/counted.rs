//! Sentences for bulk actions. An import, a field conversion or a bulk edit becomes one sentence with a count, because
//! the number of records per action is unbounded.

use std::collections::HashMap;

use crate::cards::{self, RowEvent};
use entity::{Area, Entity};
use kernel::text::ellipsis;
use kernel::{Cause, Event, ImportId, RowAct, TypedId as _};
use store::{Entry, Read, Schema, StoreError, feed};
use uuid::Uuid;
use web::format;

use super::Words;

/// Events of one kind in an entry that get sentences of their own.
const ONE_BY_ONE: usize = 3;
/// Number of events of a kind to try until one yields a sentence.
const TRIES: usize = 8;
/// Maximum length of a file name in characters.
const MAX_FILE: usize = 60;
/// Maximum depth of undos of undos to follow.
const MAX_TURNS: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Done,
    Undone,
    /// Redone after an undo.
    Restored,
}

/// Table of imports, which is defined in a higher package.
const IMPORTS: &str = "imports";
/// Table of conversions, which is defined in a higher package.
const CONVERSIONS: &str = "conversions";

/// Multi-part work: written in several entries, shown as one action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Import(ImportId),
    /// Conversion of a field to another type.
    Conversion(Uuid),
}

impl Work {
    /// The work that an entry is part of.
    pub(super) fn of(schema: &Schema, entry: &Entry) -> Option<Self> {
        if let Cause::Import(id) = entry.cause {
            return Some(Self::Import(id));
        }
        let table = schema.named(CONVERSIONS)?.number;
        let change = entry.changes.iter().find(|change| change.table == table)?;
        Uuid::from_slice(&change.key).ok().map(Self::Conversion)
    }

    /// Path below the workspace.
    fn path(self) -> String {
        match self {
            Self::Import(id) => format!("imports/{id}"),
            Self::Conversion(id) => format!("settings/conversions/{id}"),
        }
    }

    /// File name of an import. `None` if it was pasted.
    fn file(self, read: &dyn Read, schema: &Schema) -> Result<Option<String>, StoreError> {
        let (Self::Import(id), Some(info)) = (self, schema.named(IMPORTS)) else { return Ok(None) };
        let Some(ops) = &info.ops else { return Ok(None) };
        let Some(row) = read.raw_get(info.number, id.uuid().as_bytes())? else { return Ok(None) };
        let import = (ops.json)(&row).unwrap_or_default();
        let name = import["name"].as_str().filter(|name| !name.is_empty());
        Ok(name.map(|name| ellipsis(name, MAX_FILE)))
    }
}

/// Record count of a sentence.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    noun: &'static Entity,
    act: RowAct,
    /// The work that it is part of. Undo and redo of work are also one action each.
    pub work: Option<Work>,
    pub turn: Turn,
    pub count: u64,
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.is_like(other) && self.count == other.count
    }
}

impl Eq for Counted {}

impl Counted {
    /// Returns `true` if both are the same action on the same kind of record in the same work.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.noun.table == other.noun.table && self.act == other.act && self.is_of_act(other)
    }

    /// Returns `true` if both can be parts of the same work, undo or redo.
    #[must_use]
    pub fn is_of_act(&self, other: &Self) -> bool {
        self.work == other.work && self.turn == other.turn
    }

    /// Count with noun, such as `500 contacts`.
    #[must_use]
    pub fn thing(&self) -> String {
        format::count(self.count, self.noun.one, self.noun.many)
    }
}

/// Events per kind in an entry, and which kinds have a sentence already.
pub(super) struct Kinds {
    kinds: HashMap<&'static str, Kind>,
    /// `true` if the entry is part of work.
    is_work: bool,
}

#[derive(Default)]
struct Kind {
    count: usize,
    tried: usize,
    is_covered: bool,
}

impl Kinds {
    /// In multi-part work every event is counted, because its last part may have few.
    pub(super) fn new(entry: &Entry, work: Option<Work>) -> Self {
        let mut kinds: HashMap<&'static str, Kind> = HashMap::new();
        if work.is_some() || ONE_BY_ONE < entry.events.len() {
            for event in &entry.events {
                kinds.entry(cards::event_name(event)).or_default().count += 1;
            }
        }
        Self { kinds, is_work: work.is_some() }
    }

    /// Number of further events that the sentence of this one covers. `None` if another sentence covers this event.
    pub(super) fn next(&mut self, event: &Event) -> Option<u64> {
        let one_by_one = if self.counts_all(event) { 0 } else { ONE_BY_ONE };
        let kind = self.kinds.get_mut(cards::event_name(event));
        let Some(kind) = kind.filter(|kind| one_by_one < kind.count) else { return Some(0) };
        if kind.is_covered || TRIES <= kind.tried {
            return None;
        }
        kind.tried += 1;
        Some(kind.count as u64 - 1)
    }

    /// Returns `true` for rows written by multi-part work, which are always counted.
    pub(super) fn counts_all(&self, event: &Event) -> bool {
        let is_row = |row: RowEvent<'_>| row.noun.own_fields.is_some();
        self.is_work && cards::row_of(event).is_some_and(is_row)
    }

    /// Marks the event's kind as covered by a sentence.
    pub(super) fn tell(&mut self, event: &Event) {
        if let Some(kind) = self.kinds.get_mut(cards::event_name(event)) {
            kind.is_covered = true;
        }
    }
}

/// Such as "created **500 contacts**", linked to the work or else to the entry.
pub(super) fn rows(
    (read, schema): (&dyn Read, &Schema),
    (entry, work): (&Entry, Option<Work>),
    (row, count): (&RowEvent<'_>, u64),
) -> Result<Option<(Area, Words)>, StoreError> {
    let noun = row.noun;
    if noun.own.is_some() {
        return Ok(None);
    }
    let (verb, icon) = match (row.act, work) {
        (RowAct::Created, Some(Work::Import(_))) => ("imported", "upload"),
        (RowAct::Created, _) => ("created", "plus"),
        (RowAct::Changed, Some(Work::Conversion(_))) => ("converted a field of", "edit"),
        (RowAct::Changed, _) => ("changed", "edit"),
        (RowAct::Deleted, _) => ("deleted", "x"),
    };
    let file = match work {
        Some(work) => work.file(read, schema)?,
        None => None,
    };
    let counted = Counted { noun, act: row.act, work, turn: Turn::Done, count };
    let words = Words {
        verb: verb.to_owned(),
        thing: counted.thing(),
        rest: file.map(|name| format!("from {name}")).unwrap_or_default(),
        path: match work {
            Some(work) => work.path(),
            None => format!("history/entry/{}", entry.seq),
        },
        icon,
        count: Some(counted),
        ..Words::default()
    };
    Ok(Some((noun.area, words)))
}

/// Such as "undid the import of **500 contacts**", for an entry that undid entry `of` or an undo of it. `None` if that
/// entry is no part of work. If it wrote several kinds of records, counts the most frequent kind.
pub(super) fn undone_work(
    (read, schema): (&dyn Read, &Schema),
    of: u64,
    entry: &Entry,
) -> Result<Option<Words>, StoreError> {
    let (mut of, mut is_undo) = (of, true);
    for _ in 0..MAX_TURNS {
        let Some(undone) = feed::entry(read, of)? else { return Ok(None) };
        let inner = undone.events.iter().find_map(|event| match event {
            Event::UndoApplied { of, run: None, .. } => Some(*of),
            _ => None,
        });
        let Some(inner) = inner else {
            let work = Work::of(schema, &undone);
            return Ok(work.and_then(|work| back_or_forth(work, &undone, (is_undo, entry))));
        };
        (of, is_undo) = (inner, !is_undo);
    }
    Ok(None)
}

fn back_or_forth(work: Work, piece: &Entry, (is_undo, entry): (bool, &Entry)) -> Option<Words> {
    let rows = |noun: &Entity| {
        let changed = entry.changes.iter().filter(|change| change.table == noun.table);
        changed.count() as u64
    };
    let nouns = piece.events.iter().filter_map(cards::row_of).map(|row| row.noun);
    let mut nouns: Vec<&'static Entity> = nouns.filter(|noun| noun.own.is_none()).collect();
    nouns.dedup_by_key(|noun| noun.table);
    let noun = nouns.into_iter().max_by_key(|noun| rows(noun))?;
    let (verb, act, turn, icon) = match is_undo {
        true => ("reverted", RowAct::Deleted, Turn::Undone, "undo"),
        false => ("restored", RowAct::Created, Turn::Restored, "repeat"),
    };
    let what = match work {
        Work::Import(_) => "import",
        Work::Conversion(_) => "conversion",
    };
    let counted = Counted { noun, act, work: Some(work), turn, count: rows(noun) };
    Some(Words {
        verb: format!("{verb} the {what} of"),
        thing: counted.thing(),
        path: work.path(),
        icon,
        count: Some(counted),
        ..Words::default()
    })
}
