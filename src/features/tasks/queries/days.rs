//! Tasks by the days on which they are due, however many there are: all are counted from the columns, and only
//! those that are shown are read.

use jiff::ToSpan as _;
use jiff::civil::Date;

use super::best::Best;
use super::list::{self, Filter, Sort, Today};
use super::terms::Dated;
use crate::features::tasks::model::Task;
use crate::kernel::filter::Days;
use crate::store::{Read, ReadExt as _, StoreError};

/// What is due on a day.
#[derive(Clone, Debug, Default)]
pub struct DueOn {
    /// How many tasks.
    pub total: usize,
    /// The first of them.
    pub first: Vec<Task>,
}

/// The tasks that fit and are due on each of these days, which follow one another; at most `limit` are
/// read of a day.
///
/// # Errors
/// When the store fails.
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
        let mut own: Vec<Best<'_>> = spans.iter().map(|_| Best::new(Sort::Due, limit)).collect();
        for row in rows {
            let Some(at) = row.dated(Dated::Due) else { continue };
            let begun = spans.partition_point(|(start, _)| *start <= at);
            if let Some(day) = begun.checked_sub(1).filter(|day| at < spans[*day].1) {
                own[day].push(row);
            }
        }
        let first = |best: Best<'_>| {
            let (total, rows) = best.into_first();
            (total, rows.into_iter().map(|row| row.id).collect::<Vec<_>>())
        };
        own.into_iter().map(first).collect::<Vec<_>>()
    })?;
    let mut out = Vec::with_capacity(found.len());
    for (total, ids) in found {
        let mut first = Vec::with_capacity(ids.len());
        for id in ids {
            // One that the snapshot does not have was made after it.
            first.extend(read.get::<Task>(id)?);
        }
        out.push(DueOn { total, first });
    }
    Ok(out)
}
