//! Reads of labels: by name or id, all labels, labels of a task, and label changes in the feed.

use std::collections::BTreeMap;

use super::error::TaskError;
use crate::cards;
use crate::tasks::model::label::LabelId;
use crate::tasks::model::label::{BY_NAME, Label, TASK_LABELS, TaskLabel};
use entity::{Entity, Labelled};
use kernel::key::KeyBuf;
use kernel::key::decode;
use kernel::text::listed;
use kernel::{TaskId, TypedId as _};
use store::{Entry, Op, Range, Read, ReadExt as _, StoreError};
use uuid::Uuid;

/// Maximum name length in characters.
pub const MAX_NAME: usize = 40;

/// Label and its revision.
pub fn get_rev(read: &dyn Read, id: LabelId) -> Result<(Label, u64), TaskError> {
    read.get_rev::<Label>(id)?.ok_or_else(|| TaskError::NoLabel(id.to_string()))
}

/// Finds a label by case-insensitive name or by id.
pub fn resolve(read: &dyn Read, text: &str) -> Result<Label, TaskError> {
    let text = text.trim();
    let found = match text.parse::<LabelId>() {
        Ok(id) => read.get::<Label>(id)?,
        Err(_) => called(read, text)?,
    };
    found.ok_or_else(|| TaskError::NoLabel(text.chars().take(MAX_NAME).collect()))
}

/// Finds a label by case-insensitive name.
pub fn called(read: &dyn Read, name: &str) -> Result<Option<Label>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    read.find::<Label>(BY_NAME, &key)
}

/// All labels by name.
pub fn all(read: &dyn Read) -> Result<Vec<Label>, StoreError> {
    read.scan::<Label>(BY_NAME, &Range::all())
}

/// Number of records of a noun other than tasks that have a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedBy {
    pub noun: &'static Entity,
    pub count: usize,
    /// Path of their filtered list below the workspace. Empty if there is no such list.
    pub path: String,
}

/// Number of records other than tasks per label and noun.
#[derive(Debug)]
pub struct Uses(Vec<(&'static Entity, Labelled, BTreeMap<Uuid, usize>)>);

impl Uses {
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let mut all = Vec::new();
        for noun in cards::all() {
            if let Some(labelled) = noun.labelled {
                all.push((noun, labelled, (labelled.counts)(read)?));
            }
        }
        Ok(Self(all))
    }

    /// The nouns with records that have this label.
    #[must_use]
    pub fn of(&self, label: &Label) -> Vec<UsedBy> {
        let used =
            |(noun, labelled, counts): &(&'static Entity, Labelled, BTreeMap<Uuid, usize>)| {
                let count = counts.get(&label.id.uuid()).copied().filter(|count| 0 < *count)?;
                Some(UsedBy { noun, count, path: (labelled.path)(&label.name) })
            };
        self.0.iter().filter_map(used).collect()
    }
}

pub fn ids_of(read: &dyn Read, task: TaskId) -> Result<Vec<LabelId>, StoreError> {
    let marks = read.list::<TaskLabel>(&super::of_task(task))?;
    Ok(marks.into_iter().map(|mark| mark.label).collect())
}

/// The labels of a task by name.
pub fn of(read: &dyn Read, task: TaskId) -> Result<Vec<Label>, StoreError> {
    let mut labels = Vec::new();
    for id in ids_of(read, task)? {
        labels.extend(read.get::<Label>(id)?);
    }
    labels.sort_by_key(|label| label.name.to_lowercase());
    Ok(labels)
}

/// Names of added and removed labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    pub added: Vec<String>,
    pub removed: Vec<String>,
}

impl Moved {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Merges a later change. A label that was added and removed again is dropped.
    pub fn then(&mut self, later: Self) {
        for name in later.added {
            take_in(name, &mut self.removed, &mut self.added);
        }
        for name in later.removed {
            take_in(name, &mut self.added, &mut self.removed);
        }
    }

    /// Phrase for the change, with `to` after the added and `from` after the removed labels: "added the label bug to
    /// and removed the labels idea and old from".
    #[must_use]
    pub fn describe(&self, show: impl Fn(&str) -> String, (to, from): (&str, &str)) -> String {
        let part = |verb: &str, names: &[String], end: &str| {
            let noun = if names.len() == 1 { "label" } else { "labels" };
            let shown: Vec<String> = names.iter().map(|name| show(name)).collect();
            (!shown.is_empty()).then(|| format!("{verb} the {noun} {}{end}", listed(&shown)))
        };
        let parts = [part("added", &self.added, to), part("removed", &self.removed, from)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }
}

fn take_in(name: String, other: &mut Vec<String>, own: &mut Vec<String>) {
    match other.iter().position(|one| *one == name) {
        Some(at) => {
            other.remove(at);
        }
        None if own.contains(&name) => {}
        None => own.push(name),
    }
}

/// Label changes of a task in a feed entry. Labels that were deleted since then have no name and are omitted.
pub fn moved(read: &dyn Read, entry: &Entry, task: TaskId) -> Result<Moved, StoreError> {
    let mut moved = Moved::default();
    for change in entry.changes.iter().filter(|change| change.table == TASK_LABELS.number) {
        let mine = decode::<(TaskId, LabelId)>(&change.key).filter(|(on, _)| *on == task);
        let Some((_, label)) = mine else { continue };
        let label = read.get::<Label>(label)?;
        let name = label.map_or_else(|| "(deleted)".to_owned(), |label| label.name);
        match change.op {
            Op::Insert => moved.added.push(name),
            Op::Delete => moved.removed.push(name),
            Op::Update => {}
        }
    }
    moved.added.sort_by_key(|name| name.to_lowercase());
    moved.removed.sort_by_key(|name| name.to_lowercase());
    Ok(moved)
}

/// A requested label change: the exact set of labels, or labels to add (`+name`) and remove (`-name`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFilter {
    Exactly(Vec<String>),
    Change {
        /// Names to add.
        add: Vec<String>,
        /// Names to remove.
        remove: Vec<String>,
    },
}

impl LabelFilter {
    /// Parses comma-separated names. If any name has a sign, names without a sign are added.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        if !words.iter().any(|word| word.starts_with(['+', '-'])) {
            let names = words.into_iter().filter(|word| !word.eq_ignore_ascii_case("none"));
            return Self::Exactly(names.map(str::to_owned).collect());
        }
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        for word in words {
            match word.strip_prefix('-') {
                Some(name) => remove.push(name.trim().to_owned()),
                None => add.push(word.trim_start_matches('+').trim().to_owned()),
            }
        }
        Self::Change { add, remove }
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelFilter, Moved};

    #[test]
    fn what_came_and_went_again_is_not_told() {
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        let moved = |added: &[&str], removed: &[&str]| Moved {
            added: names(added),
            removed: names(removed),
        };
        let mut all = moved(&["bug", "idea"], &["old"]);
        all.then(moved(&["old", "new"], &["idea", "late", "last"]));
        assert_eq!(all, moved(&["bug", "new"], &["late", "last"]));
        let text = all.describe(str::to_owned, (" to", " from"));
        let wanted = "added the labels bug and new to and removed the labels late and last from";
        assert_eq!(text, wanted);
        let text = moved(&[], &["old"]).describe(|name| format!("<{name}>"), ("", ""));
        assert_eq!(text, "removed the label <old>");
    }

    #[test]
    fn signs_say_what_comes_and_what_goes() {
        let names = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(LabelFilter::read("bug, idea"), LabelFilter::Exactly(names(&["bug", "idea"])));
        assert_eq!(LabelFilter::read(" none "), LabelFilter::Exactly(Vec::new()));
        let change =
            LabelFilter::Change { add: names(&["bug", "new"]), remove: names(&["old one"]) };
        assert_eq!(LabelFilter::read("+bug, -old one,,new"), change);
    }
}
