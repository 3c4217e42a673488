//! Reads of labels: one by name or id, all of them, those of a task.

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

/// The longest name, in characters.
pub const MAX_NAME: usize = 40;

/// A label by its id, with its rev.
pub fn get_rev(read: &dyn Read, id: LabelId) -> Result<(Label, u64), TaskError> {
    read.get_rev::<Label>(id)?.ok_or_else(|| TaskError::NoLabel(id.to_string()))
}

/// A label by its name in any case, or by its id.
pub fn resolve(read: &dyn Read, text: &str) -> Result<Label, TaskError> {
    let text = text.trim();
    let found = match text.parse::<LabelId>() {
        Ok(id) => read.get::<Label>(id)?,
        Err(_) => called(read, text)?,
    };
    found.ok_or_else(|| TaskError::NoLabel(text.chars().take(MAX_NAME).collect()))
}

/// The label with this name.
pub fn called(read: &dyn Read, name: &str) -> Result<Option<Label>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(&name.to_lowercase());
    read.find::<Label>(BY_NAME, &key)
}

/// All labels by name.
pub fn all(read: &dyn Read) -> Result<Vec<Label>, StoreError> {
    read.scan::<Label>(BY_NAME, &Range::all())
}

/// How many records of a noun beside tasks have a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedBy {
    /// The card.
    pub noun: &'static Entity,
    pub count: usize,
    /// The list of them below the workspace; empty when there is no one list.
    pub path: String,
}

/// How many records beside tasks have each label, noun by noun.
#[derive(Debug)]
pub struct Uses(Vec<(&'static Entity, Labelled, BTreeMap<Uuid, usize>)>);

impl Uses {
    /// Counts them.
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let mut all = Vec::new();
        for noun in cards::all() {
            if let Some(labelled) = noun.labelled {
                all.push((noun, labelled, (labelled.counts)(read)?));
            }
        }
        Ok(Self(all))
    }

    /// The nouns some of whose records have a label.
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

/// The ids of a task's labels.
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

/// What happened to the labels of a task: names of those that came, and of those that went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// They came.
    pub added: Vec<String>,
    /// They went.
    pub removed: Vec<String>,
}

impl Moved {
    /// Whether none came and none went.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }

    /// Takes in what happened later: what came and went again is not told.
    pub fn then(&mut self, later: Self) {
        for name in later.added {
            take_in(name, &mut self.removed, &mut self.added);
        }
        for name in later.removed {
            take_in(name, &mut self.added, &mut self.removed);
        }
    }

    /// In words, with what follows those that came and those that went: "added the label bug to and removed the
    /// labels idea and old from".
    #[must_use]
    pub fn told(&self, show: impl Fn(&str) -> String, (to, from): (&str, &str)) -> String {
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

/// What an entry of the feed did to the labels of a task. One that has been deleted since has no name any more.
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

/// What a list of names asks: to be the labels of a task, or to come to them (`+name`) and go
/// (`-name`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFilter {
    /// Exactly these.
    Exactly(Vec<String>),
    /// These come and those go.
    Change {
        /// Names of those that come.
        add: Vec<String>,
        /// Names of those that go.
        remove: Vec<String>,
    },
}

impl LabelFilter {
    /// Reads names with commas between them. As soon as one has a sign, one without is meant to come.
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
        let said = all.told(str::to_owned, (" to", " from"));
        let wanted = "added the labels bug and new to and removed the labels late and last from";
        assert_eq!(said, wanted);
        let said = moved(&[], &["old"]).told(|name| format!("<{name}>"), ("", ""));
        assert_eq!(said, "removed the label <old>");
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
