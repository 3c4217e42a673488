//! All tasks that match a query, for bulk changes.

use super::error::TaskError;
use super::filter::Asker;
use super::list::{self, Cut, Filter, Sort};
use kernel::TaskId;
use kernel::filter::Query;
use web::format;

/// All tasks that match a query, highest priority first.
///
/// # Errors
/// If a term of the query is unknown or more than `most` tasks match.
pub fn matching(asker: &Asker<'_>, q: &str, most: usize) -> Result<Vec<TaskId>, TaskError> {
    let filter = Filter::of(asker.understand(&Query::parse(q))?.strict()?);
    let cut = Cut { after: None, limit: most + 1 };
    let found = list::page(asker.read, &filter, Sort::Priority, asker.today, &cut)?.items;
    if most < found.len() {
        let all = list::total(asker.read, &filter, asker.today)?;
        let all = format::count(all as u64, "task", "tasks");
        let message =
            format!("{all} match and at most {most} can change at once; narrow the filter");
        return Err(TaskError::field("q", message));
    }
    Ok(found.into_iter().map(|task| task.id).collect())
}
