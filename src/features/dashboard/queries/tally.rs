//! Counts of items that need a person's action. The page shows the first of each kind and the number of the others.

use std::collections::HashMap;

use kernel::TaskId;
use store::StoreError;
use web::format;

use super::DashboardContext;
use super::away::Hidden;
use super::needs::Row;

/// Maximum number of rows per kind, and in total.
const OF_A_KIND: usize = 5;
const ALL: usize = 12;
/// Limit of the count per kind. Beyond it the count is shown as "more than".
pub(super) const COUNTED: usize = 100;

/// Number of items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    counted: usize,
    /// `true` if there are more than were counted.
    beyond: bool,
}

impl Count {
    /// The count, and whether there are more.
    #[must_use]
    pub fn counted(self) -> (usize, bool) {
        (self.counted, self.beyond)
    }

    /// Short form, such as "8" or "120+". Empty for zero.
    #[must_use]
    pub fn short(self) -> String {
        match (self.counted, self.beyond) {
            (0, _) => String::new(),
            (n, false) => n.to_string(),
            (n, true) => format!("{n}+"),
        }
    }

    /// As a sentence. `None` for zero.
    #[must_use]
    pub fn describe(self) -> Option<String> {
        match (self.counted, self.beyond) {
            (0, _) => None,
            (1, false) => Some("One thing needs you.".to_owned()),
            (n, false) => Some(format!("{n} things need you.")),
            (n, true) => Some(format!("More than {n} things need you.")),
        }
    }
}

/// Items of a kind that are not displayed.
pub struct More {
    /// Such as "27 in review".
    pub label: String,
    pub href: String,
}

/// Items that need a person's action.
pub struct Needs {
    /// The rows that fit the page, most urgent first.
    pub rows: Vec<Row>,
    /// Total number of items.
    pub count: Count,
    /// Number of items that are not displayed.
    pub hidden: Count,
    /// Items that are not displayed, by kind.
    pub more: Vec<More>,
}

/// Items of one kind.
#[derive(Default)]
pub(super) struct Found {
    /// The first items.
    rows: Vec<Row>,
    /// Ids and tasks of the other items. A task counts once over all kinds.
    others: Vec<(String, Option<TaskId>)>,
}

impl Found {
    /// From rows that are cheap to build.
    pub(super) fn rows(hidden: &Hidden, mut rows: Vec<Row>) -> Self {
        rows.retain(|row| !hidden.has(&row.id));
        let others = rows.split_off(rows.len().min(OF_A_KIND));
        Self { rows, others: others.into_iter().map(|row| (row.id, row.task)).collect() }
    }

    /// Builds rows for the first items and counts the others, skipping hidden ones. `of` returns the id and task of an
    /// item.
    pub(super) fn draw<T>(
        hidden: &Hidden,
        things: impl IntoIterator<Item = T>,
        of: impl Fn(&T) -> (String, Option<TaskId>),
        mut row: impl FnMut(T) -> Result<Row, StoreError>,
    ) -> Result<Self, StoreError> {
        let mut found = Self::default();
        for thing in things {
            let (id, task) = of(&thing);
            if hidden.has(&id) {
                continue;
            }
            if found.rows.len() < OF_A_KIND {
                found.rows.push(Row { id, ..row(thing)? });
            } else {
                found.others.push((id, task));
            }
            if COUNTED <= found.rows.len() + found.others.len() {
                break;
            }
        }
        Ok(found)
    }
}

/// A kind of item.
pub(super) struct Kind {
    /// Plural label that follows the number.
    pub label: &'static str,
    pub path: &'static str,
    /// `true` if no item requires an action.
    pub is_told: bool,
    pub found: Found,
}

/// Merges items of the same task into one row: the row is at the most urgent kind and lists the other items.
pub(super) fn tally(scene: &DashboardContext<'_>, kinds: Vec<Kind>) -> Needs {
    let mut rows: Vec<(usize, Row)> = Vec::new();
    let mut counts = vec![0; kinds.len()];
    let mut beyond = false;
    // Kind in which a task is counted.
    let mut owner: HashMap<TaskId, usize> = HashMap::new();
    let mut names = Vec::with_capacity(kinds.len());
    for (kind, Kind { label, path, is_told, found }) in kinds.into_iter().enumerate() {
        names.push((label, path));
        beyond |= COUNTED <= found.rows.len() + found.others.len();
        let mut is_first = |task: Option<TaskId>| {
            task.is_none_or(|task| *owner.entry(task).or_insert(kind) == kind)
        };
        for row in found.rows {
            counts[kind] += usize::from(is_first(row.task));
            match before(&mut rows, row.task) {
                Some((other, _)) if *other == kind => rows.push((kind, row)),
                Some((_, before)) => {
                    before.facts.push(row.also);
                    before.with.push((row.id, row.is_told));
                }
                None => rows.push((kind, row)),
            }
        }
        for (id, task) in found.others {
            let first = is_first(task);
            counts[kind] += usize::from(first);
            if let Some((_, before)) = before(&mut rows, task).filter(|_| !first) {
                before.with.push((id, is_told));
            }
        }
    }
    rows.truncate(ALL);
    let count = Count { counted: counts.iter().sum(), beyond };
    let mut more = Vec::new();
    let mut hidden = 0;
    for (kind, (label, path)) in names.into_iter().enumerate() {
        let drawn = rows.iter().filter(|(of, _)| *of == kind).count();
        let left = counts[kind].saturating_sub(drawn);
        hidden += left;
        if 0 < left {
            let label = format!("{} {label}", format::grouped(left as u64));
            more.push(More { label, href: scene.ws.url(path) });
        }
    }
    let rows = rows.into_iter().map(|(_, row)| row).collect();
    Needs { rows, count, hidden: Count { counted: hidden, beyond }, more }
}

/// The existing row of a task.
fn before(rows: &mut [(usize, Row)], task: Option<TaskId>) -> Option<&mut (usize, Row)> {
    let task = task?;
    rows.iter_mut().find(|(_, row)| row.task == Some(task))
}

#[cfg(test)]
mod tests {
    use super::Count;

    #[test]
    fn a_count_says_that_there_are_more_than_were_counted() {
        let of = |counted, beyond| Count { counted, beyond };
        assert_eq!((of(0, false).short(), of(0, false).describe()), (String::new(), None));
        assert_eq!(of(1, false).describe().as_deref(), Some("One thing needs you."));
        assert_eq!(of(32, false).describe().as_deref(), Some("32 things need you."));
        assert_eq!(of(120, true).short(), "120+");
        assert_eq!(of(120, true).describe().as_deref(), Some("More than 120 things need you."));
    }
}
