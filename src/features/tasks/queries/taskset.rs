//! Sorted task sets with fast sequential membership tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::columns::Row;
use kernel::TaskId;

/// Length of the prefix for which `is_before` holds, by galloping search. The cost grows with the distance, not with
/// the length of the slice.
pub(super) fn ahead<T>(sorted: &[T], is_before: impl Fn(&T) -> bool) -> usize {
    let mut step = 1;
    while sorted.get(step - 1).is_some_and(&is_before) {
        step *= 2;
    }
    let (low, high) = (step / 2, (step - 1).min(sorted.len()));
    low + sorted[low..high].partition_point(is_before)
}

/// Rows with these ids. Both inputs are in id order.
pub(super) fn named<'r>(rows: &'r [Row], ids: &[TaskId]) -> impl Iterator<Item = &'r Row> {
    let mut rest = rows;
    ids.iter().filter_map(move |id| {
        rest = &rest[ahead(rest, |row| row.id < *id)..];
        let (first, behind) = rest.split_first()?;
        (first.id == *id).then(|| {
            rest = behind;
            first
        })
    })
}

/// Length of the suffix for which `is_after` holds, as [`ahead`] from the other end.
fn behind<T>(sorted: &[T], is_after: impl Fn(&T) -> bool) -> usize {
    let (len, mut step) = (sorted.len(), 1);
    let from_end = |n: usize| len.checked_sub(n).and_then(|at| sorted.get(at));
    while from_end(step).is_some_and(&is_after) {
        step *= 2;
    }
    let (low, high) = (step / 2, (step - 1).min(len));
    let between = &sorted[len - high..len - low];
    high - between.partition_point(|one| !is_after(one))
}

/// Like [`named`], in descending order.
pub(super) fn named_back<'r>(rows: &'r [Row], ids: &[TaskId]) -> impl Iterator<Item = &'r Row> {
    let mut rest = rows;
    ids.iter().rev().filter_map(move |id| {
        rest = &rest[..rest.len() - behind(rest, |row| row.id > *id)];
        let (last, before) = rest.split_last()?;
        (last.id == *id).then(|| {
            rest = before;
            last
        })
    })
}

/// Tasks in id order. Column scans test membership in the same order, so the set remembers its last position and each
/// test is nearly free. Filling a hash table of a hundred thousand ids would cost more than all tests of a list.
#[derive(Debug, Default)]
pub struct TaskSet {
    ids: Vec<TaskId>,
    /// Last position. Only a hint: any value is correct.
    at: AtomicUsize,
}

impl TaskSet {
    #[must_use]
    pub fn contains(&self, id: TaskId) -> bool {
        let ids = self.ids.as_slice();
        let from = self.at.load(Ordering::Relaxed).min(ids.len());
        let is_ahead = from.checked_sub(1).is_none_or(|before| ids[before] < id);
        let at = match is_ahead {
            true => from + ahead(&ids[from..], |one| *one < id),
            false => from - behind(&ids[..from], |one| id <= *one),
        };
        self.at.store(at, Ordering::Relaxed);
        ids.get(at) == Some(&id)
    }

    /// In ascending order.
    pub(super) fn ids(&self) -> &[TaskId] {
        &self.ids
    }

    pub fn into_ids(self) -> impl Iterator<Item = TaskId> {
        self.ids.into_iter()
    }
}

impl PartialEq for TaskSet {
    fn eq(&self, other: &Self) -> bool {
        self.ids == other.ids
    }
}

impl Eq for TaskSet {}

impl Extend<TaskId> for TaskSet {
    fn extend<I: IntoIterator<Item = TaskId>>(&mut self, more: I) {
        self.ids.extend(more);
        if !self.ids.is_sorted() {
            self.ids.sort_unstable();
        }
        self.ids.dedup();
    }
}

impl FromIterator<TaskId> for TaskSet {
    fn from_iter<I: IntoIterator<Item = TaskId>>(ids: I) -> Self {
        let mut set = Self::default();
        set.extend(ids);
        set
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::{TaskSet, named, named_back};
    use crate::tasks::model::Task;
    use crate::tasks::queries::columns::Row;
    use kernel::{TaskId, TypedId as _};
    use store::Record as _;
    use store::columns::Column as _;

    fn id(n: u8) -> TaskId {
        TaskId::from_uuid(uuid::Uuid::from_u128(u128::from(n)))
    }

    proptest! {
        #[test]
        fn named_rows_are_the_same_from_both_ends(
            (rows, ids) in (prop::collection::btree_set(any::<u8>(), 0..60), prop::collection::btree_set(any::<u8>(), 0..60)),
        ) {
            let row = |n: &u8| Row::of(&Task { id: id(*n), ..Task::sample() }, &mut ());
            let all: Vec<Row> = rows.iter().map(row).collect();
            let wanted: Vec<TaskId> = ids.iter().copied().map(id).collect();
            let forth: Vec<TaskId> = named(&all, &wanted).map(|row| row.id).collect();
            let mut back: Vec<TaskId> = named_back(&all, &wanted).map(|row| row.id).collect();
            back.reverse();
            let model: Vec<TaskId> = rows.intersection(&ids).copied().map(id).collect();
            prop_assert_eq!(&forth, &model);
            prop_assert_eq!(&back, &model);
        }

        #[test]
        fn it_has_what_was_put_in_in_whatever_order_one_asks(
            (first, more) in (prop::collection::vec(any::<u8>(), 0..60), prop::collection::vec(any::<u8>(), 0..9)),
            probes in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let mut set: TaskSet = first.iter().copied().map(id).collect();
            set.extend(more.iter().copied().map(id));
            let model: BTreeSet<u8> = first.into_iter().chain(more).collect();
            for n in probes.into_iter().chain(0..=u8::MAX) {
                prop_assert_eq!(set.contains(id(n)), model.contains(&n), "{}", n);
            }
        }
    }
}
