//! Item lists, of one agent or all. Waiting items are in start order.

use crate::inbox::model::{DUE, Item};
use crate::runs::queries as runs;
use kernel::{AgentId, ItemState, Timestamp};
use store::{Hit, Range, Read, ReadExt, StoreError};

use super::order::place;

/// Maximum number of waiting items to sort.
pub const MOST_OPEN: usize = 500;
/// Maximum number of rows that a filter scans per page.
const LOOK_THROUGH: usize = 5_000;
/// Batch size of the scan.
const PAGE: usize = 200;

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub agent: Option<AgentId>,
    /// `true` for closed items, `false` for open ones.
    pub over: Option<bool>,
    pub state: Option<ItemState>,
}

impl Filter {
    fn takes(&self, item: &Item) -> bool {
        self.agent.is_none_or(|agent| agent == item.agent)
            && self.over.is_none_or(|over| over != item.is_open())
            && self.state.is_none_or(|state| [item.state, item.state.shown()].contains(&state))
    }
}

/// Open items: leased ones, then waiting ones in start order, then held ones, then deferred ones. At most `MOST_OPEN`
/// unleased items.
pub fn open(
    tx: &dyn Read,
    agent: Option<AgentId>,
    now: Timestamp,
) -> Result<Vec<Item>, StoreError> {
    let mut items = match agent {
        Some(agent) => super::open_until(tx, agent, MOST_OPEN)?,
        None => {
            let mut items: Vec<Item> = tx.scan(DUE, &Range::all().limit(MOST_OPEN))?;
            for run in runs::live(tx)? {
                let item = run.item.map(|item| tx.get::<Item>(item)).transpose()?.flatten();
                items.extend(item.filter(|item| item.state == ItemState::Leased));
            }
            items
        }
    };
    items.sort_by_key(|item| {
        let later = item.not_before.filter(|at| now < *at);
        let group = match (item.state, later, &item.held_reason) {
            (ItemState::Leased, ..) => 0,
            (_, Some(_), _) => 3,
            (_, None, Some(_)) => 2,
            (_, None, None) => 1_u8,
        };
        (group, later, place(item, now))
    });
    items.dedup_by_key(|item| item.id);
    Ok(items)
}

/// A page of items, newest first, and the cursor key of the next page.
pub fn page(
    tx: &dyn Read,
    filter: &Filter,
    after: Option<Vec<u8>>,
    limit: usize,
) -> Result<(Vec<Item>, Option<Vec<u8>>), StoreError> {
    let (mut found, mut seen, mut after) = (Vec::new(), 0, after);
    while seen < LOOK_THROUGH {
        let rows: Vec<Hit<Item>> = match (filter.agent, filter.over) {
            (Some(agent), Some(over)) => super::of_agent(tx, agent, over, after.as_deref(), PAGE)?,
            _ => {
                let mut range = Range::all().reverse().limit(PAGE);
                if let Some(after) = &after {
                    range = range.after(after);
                }
                tx.rows(&range)?
            }
        };
        let is_last = rows.len() < PAGE;
        for hit in rows {
            if found.len() == limit {
                return Ok((found, after));
            }
            seen += 1;
            after = Some(hit.key);
            found.extend(Some(hit.record).filter(|item| filter.takes(item)));
        }
        if is_last {
            return Ok((found, None));
        }
    }
    Ok((found, after))
}
