//! Failed work that waits for a person: not retried or dropped since, and no deliverable already asks the same person.

use std::collections::HashSet;

use jiff::ToSpan;

use crate::agents::model::Agent;
use crate::inbox::model::Item;
use crate::tasks::model::Task;
use crate::tasks::queries::standing;
use kernel::{AgentId, Timestamp};
use store::{Hit, Read, ReadExt, StoreError};

/// How long a failure is reported.
const TOLD_HOURS: i64 = 7 * 24;
/// Maximum number of closed items per agent to examine.
const LOOKED_AT: usize = 20;

/// A failed item.
pub struct Broken {
    pub item: Item,
    pub agent: AgentId,
    pub task: Option<Task>,
    /// Time of the failure.
    pub ended: Timestamp,
}

/// Failures of these agents, latest first, at most one per task.
pub fn of(tx: &dyn Read, agents: &[Agent], now: Timestamp) -> Result<Vec<Broken>, StoreError> {
    let since = now.checked_sub(TOLD_HOURS.hours()).unwrap_or(now);
    let mut found = Vec::new();
    for agent in agents {
        let over: Vec<Hit<Item>> = super::of_agent(tx, agent.id, true, None, LOOKED_AT)?;
        let mut seen = Vec::new();
        for item in over.into_iter().map(|hit| hit.record) {
            // Newest first: a later item on the same task supersedes earlier ones.
            if seen.contains(&item.task) && item.task.is_some() {
                continue;
            }
            seen.push(item.task);
            let ended = item.ended_at.unwrap_or(item.updated_at);
            if !item.has_failed() || ended < since {
                continue;
            }
            let task = match item.task {
                Some(task) => tx.get::<Task>(task)?,
                None => None,
            };
            let open = task.as_ref().is_none_or(|t| t.status.is_open() && t.archived_at.is_none());
            let is_replaced = match item.task {
                Some(task) => !super::open_of_task(tx, task)?.is_empty(),
                None => false,
            };
            let handed_in = match item.task {
                Some(task) => standing::in_review(tx, task)?,
                None => false,
            };
            if open && !is_replaced && !handed_in {
                found.push(Broken { item, agent: agent.id, task, ended });
            }
        }
    }
    found.sort_by_key(|one| std::cmp::Reverse(one.ended));
    // Several agents may have failed at the same task.
    let mut seen = HashSet::new();
    found.retain(|one| one.item.task.is_none_or(|task| seen.insert(task)));
    Ok(found)
}
