//! Selection of the first rows in sort order from a stream of rows.

use super::columns::Row;
use super::list::Sort;

/// Minimum number of rows to gather before a selection.
const FEWEST: usize = 64;

/// The first rows in sort order, and the total. Each row is examined once when it arrives, and most are rejected by one
/// comparison. Repeated passes over a hundred thousand rows would cost more than all comparisons, because they do not
/// fit into the processor cache.
pub(super) struct Best<'r> {
    sort: Sort,
    limit: usize,
    total: usize,
    rows: Vec<&'r Row>,
    /// Rows that sort after this one are rejected. `None` until `limit` rows were seen.
    last: Option<&'r Row>,
}

impl<'r> Best<'r> {
    pub(super) fn new(sort: Sort, limit: usize) -> Self {
        Self { sort, limit, total: 0, rows: Vec::new(), last: None }
    }

    /// Offers a row.
    pub(super) fn push(&mut self, row: &'r Row) {
        self.total += 1;
        if self.last.is_some_and(|last| row.compare(last, self.sort).is_ge()) {
            return;
        }
        self.rows.push(row);
        if self.limit.saturating_mul(2).max(FEWEST) <= self.rows.len() {
            self.pick();
        }
    }

    /// Keeps the first rows, unsorted.
    fn pick(&mut self) {
        let Some(at) = self.limit.checked_sub(1) else { return self.rows.clear() };
        if at < self.rows.len() {
            let sort = self.sort;
            let (_, last, _) = self.rows.select_nth_unstable_by(at, |a, b| a.compare(b, sort));
            self.last = Some(*last);
            self.rows.truncate(self.limit);
        }
    }

    /// Total, and the first rows in order.
    pub(super) fn into_first(mut self) -> (usize, Vec<&'r Row>) {
        self.pick();
        self.rows.sort_unstable_by(|a, b| a.compare(b, self.sort));
        (self.total, self.rows)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Best;
    use crate::tasks::model::Task;
    use crate::tasks::queries::columns::Row;
    use crate::tasks::queries::list::Sort;
    use kernel::time::from_ms;
    use kernel::{Priority, TaskId, TypedId as _};
    use store::Record as _;
    use store::columns::Column as _;

    fn row((n, (hand, priority, due)): (usize, (u8, usize, Option<u8>))) -> Row {
        let task = Task {
            id: TaskId::from_uuid(uuid::Uuid::from_u128(n as u128)),
            title: format!("Title {hand}"),
            rank: format!("a{hand}"),
            priority: Priority::ALL[priority],
            due_at: due.map(|due| from_ms(i64::from(due))),
            // Over some minutes, so that two tasks may share a minute.
            created_at: from_ms(i64::from(hand) * 20_000),
            updated_at: from_ms(i64::from(hand)),
            ..Task::sample()
        };
        Row::of(&task, &mut ())
    }

    proptest! {
        #[test]
        fn they_are_the_first_of_all_put_in_order(
            tasks in prop::collection::vec((any::<u8>(), 0..Priority::ALL.len(), any::<Option<u8>>()), 0..400),
            limit in prop_oneof![Just(usize::MAX), 0..90_usize],
        ) {
            let rows: Vec<Row> = tasks.into_iter().enumerate().map(row).collect();
            for (sort, name, _) in Sort::ALL {
                let mut best = Best::new(*sort, limit);
                rows.iter().for_each(|row| best.push(row));
                let (total, first) = best.into_first();
                let mut model: Vec<&Row> = rows.iter().collect();
                model.sort_by(|a, b| a.compare(b, *sort));
                model.truncate(limit);
                prop_assert_eq!(total, rows.len());
                let ids = |rows: Vec<&Row>| rows.iter().map(|row| row.id).collect::<Vec<_>>();
                prop_assert_eq!(ids(first), ids(model), "by {}", name);
            }
        }
    }
}
