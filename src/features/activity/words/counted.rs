//! Acts on many records at once. An import or a bulk edit is one sentence with a count: a page has a limit, the number
//! of records that one act changes has none.

use std::collections::HashMap;

use crate::cards::{self, RowEvent};
use kernel::{Cause, Event, ImportId, RowAct};
use noun::{Area, Noun};
use store::{Entry, Read, StoreError, feed};
use web::format;

use super::Words;

/// Events of one kind in one entry that are told one by one.
const ONE_BY_ONE: usize = 3;
/// So many events of a kind are tried until one of them has a sentence.
const TRIES: usize = 8;
/// An undo of an undo, and so on, is followed so often to what was undone first.
const MAX_TURNS: usize = 8;

/// Whether something was done, undone or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Done.
    Done,
    /// Undone.
    Undone,
    /// Done again after it was undone.
    Restored,
}

/// How many records of a kind a sentence is about.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    noun: &'static Noun,
    act: RowAct,
    /// The import that they came with. Written in pieces, it is one act, and so are its undo and its redo.
    pub import: Option<ImportId>,
    /// Which of these.
    pub turn: Turn,
    /// How many.
    pub count: u64,
}

impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.is_like(other) && self.count == other.count
    }
}

impl Eq for Counted {}

impl Counted {
    /// Whether the same was done to records of the same kind and import.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.noun.table == other.noun.table && self.act == other.act && self.is_of_act(other)
    }

    /// Whether it may be a piece of the same undo, redo or import.
    #[must_use]
    pub fn is_of_act(&self, other: &Self) -> bool {
        self.import == other.import && self.turn == other.turn
    }

    /// The records as text: `500 contacts`.
    #[must_use]
    pub fn thing(&self) -> String {
        format::count(self.count, self.noun.one, self.noun.many)
    }
}

/// How many events of each kind an entry has, and how many of them have been told.
pub(super) struct Kinds {
    kinds: HashMap<&'static str, Kind>,
}

#[derive(Default)]
struct Kind {
    count: usize,
    tried: usize,
    told: bool,
}

impl Kinds {
    pub(super) fn new(entry: &Entry) -> Self {
        let mut kinds: HashMap<&'static str, Kind> = HashMap::new();
        if ONE_BY_ONE < entry.events.len() {
            for event in &entry.events {
                kinds.entry(cards::event_name(event)).or_default().count += 1;
            }
        }
        Self { kinds }
    }

    /// How many more events of the same kind the sentence of this one covers; none when it needs no sentence because
    /// another one covers it.
    pub(super) fn next(&mut self, event: &Event) -> Option<u64> {
        let kind = self.kinds.get_mut(cards::event_name(event));
        let Some(kind) = kind.filter(|kind| ONE_BY_ONE < kind.count) else { return Some(0) };
        if kind.told || TRIES <= kind.tried {
            return None;
        }
        kind.tried += 1;
        Some(kind.count as u64 - 1)
    }

    /// The event has a sentence, which covers the others of its kind.
    pub(super) fn tell(&mut self, event: &Event) {
        if let Some(kind) = self.kinds.get_mut(cards::event_name(event)) {
            kind.told = true;
        }
    }
}

/// "created **500 contacts**", with the import as the page, or else the entry.
pub(super) fn rows(entry: &Entry, row: &RowEvent<'_>, count: u64) -> Option<(Area, Words)> {
    let noun = row.noun;
    if noun.own.is_some() {
        return None;
    }
    let (verb, icon) = match (row.act, entry.cause) {
        (RowAct::Created, Cause::Import(_)) => ("imported", "upload"),
        (RowAct::Created, _) => ("created", "plus"),
        (RowAct::Changed, _) => ("changed", "edit"),
        (RowAct::Deleted, _) => ("deleted", "x"),
    };
    let import = match entry.cause {
        Cause::Import(id) => Some(id),
        _ => None,
    };
    let counted = Counted { noun, act: row.act, import, turn: Turn::Done, count };
    let words = Words {
        verb: verb.to_owned(),
        thing: counted.thing(),
        path: match import {
            Some(id) => format!("imports/{id}"),
            None => format!("history/entry/{}", entry.seq),
        },
        icon,
        count: Some(counted),
        ..Words::default()
    };
    Some((noun.area, words))
}

/// "undid the import of **500 contacts**", for an entry that undid the entry `of`, or the undo of one; none where that
/// is no piece of an import. Where a piece wrote records of several kinds, the kind with the most records is counted.
pub(super) fn undone_import(
    read: &dyn Read,
    of: u64,
    entry: &Entry,
) -> Result<Option<Words>, StoreError> {
    let (mut of, mut is_undo) = (of, true);
    for _ in 0..MAX_TURNS {
        let Some(undone) = feed::entry(read, of)? else { return Ok(None) };
        if let Cause::Import(id) = undone.cause {
            return Ok(back_or_forth(id, &undone, (is_undo, entry)));
        }
        let inner = undone.events.iter().find_map(|event| match event {
            Event::UndoApplied { of, run: None, .. } => Some(*of),
            _ => None,
        });
        let Some(inner) = inner else { return Ok(None) };
        (of, is_undo) = (inner, !is_undo);
    }
    Ok(None)
}

fn back_or_forth(
    import: ImportId,
    piece: &Entry,
    (is_undo, entry): (bool, &Entry),
) -> Option<Words> {
    let rows = |noun: &Noun| {
        let changed = entry.changes.iter().filter(|change| change.table == noun.table);
        changed.count() as u64
    };
    let nouns = piece.events.iter().filter_map(cards::row_of).map(|row| row.noun);
    let mut nouns: Vec<&'static Noun> = nouns.filter(|noun| noun.own.is_none()).collect();
    nouns.dedup_by_key(|noun| noun.table);
    let noun = nouns.into_iter().max_by_key(|noun| rows(noun))?;
    let (verb, act, turn, icon) = match is_undo {
        true => ("undid the import of", RowAct::Deleted, Turn::Undone, "undo"),
        false => ("restored the import of", RowAct::Created, Turn::Restored, "repeat"),
    };
    let counted = Counted { noun, act, import: Some(import), turn, count: rows(noun) };
    Some(Words {
        verb: verb.to_owned(),
        thing: counted.thing(),
        path: format!("imports/{import}"),
        icon,
        count: Some(counted),
        ..Words::default()
    })
}
