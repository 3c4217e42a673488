//! Tasks by due day. All tasks are counted from the columns; only the displayed ones are read from the store.

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::best::Best;
use super::columns::Row;
use super::list::{self, Filter, Sort, Today};
use super::terms::Dated;
use crate::tasks::model::Task;
use kernel::TaskId;
use kernel::filter::Days;
use store::{Read, ReadExt as _, StoreError};

/// Tasks due on a day.
#[derive(Clone, Debug, Default)]
pub struct DueOn {
    pub total: usize,
    /// The first tasks: unfinished ones first, highest priority first.
    pub first: Vec<Task>,
}

/// The first rows of a day.
struct Firsts<'r> {
    undone: Best<'r>,
    others: Best<'r>,
    limit: usize,
}

impl<'r> Firsts<'r> {
    fn new(limit: usize) -> Self {
        let best = || Best::new(Sort::Priority, limit);
        Self { undone: best(), others: best(), limit }
    }

    fn push(&mut self, row: &'r Row) {
        match row.is_unfinished() {
            true => self.undone.push(row),
            false => self.others.push(row),
        }
    }

    /// Number of rows, and the ids of the first ones.
    fn into_first(self) -> (usize, Vec<TaskId>) {
        let ((undone, first), (others, rest)) =
            (self.undone.into_first(), self.others.into_first());
        let rows = first.into_iter().chain(rest).take(self.limit);
        (undone + others, rows.map(|row| row.id).collect())
    }
}

/// Matching tasks per due day, for consecutive days. Reads at most `limit` tasks per day.
pub fn due(
    read: &dyn Read,
    filter: &Filter,
    today: &Today,
    days: &[Date],
    limit: usize,
) -> Result<Vec<DueOn>, StoreError> {
    let span =
        |day: &Date| Days { from: Some(*day), to: day.checked_add(1.day()).ok() }.span(&today.zone);
    let spans: Vec<(i64, i64)> = days.iter().map(span).collect();
    let found = list::fitting(read, filter, (today, list::Walk::Forth), |rows| {
        let mut own: Vec<Firsts<'_>> = spans.iter().map(|_| Firsts::new(limit)).collect();
        for row in rows {
            let Some(at) = row.dated(Dated::Due) else { continue };
            let begun = spans.partition_point(|(start, _)| *start <= at);
            if let Some(day) = begun.checked_sub(1).filter(|day| at < spans[*day].1) {
                own[day].push(row);
            }
        }
        own.into_iter().map(Firsts::into_first).collect::<Vec<_>>()
    })?;
    let mut out = Vec::with_capacity(found.len());
    for (total, ids) in found {
        let mut first = Vec::with_capacity(ids.len());
        for id in ids {
            // A task missing from the snapshot was created after it.
            first.extend(read.get::<Task>(id)?);
        }
        out.push(DueOn { total, first });
    }
    Ok(out)
}
