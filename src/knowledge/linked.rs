//! Best passages of the items that a task links to, for the agent that claims the task.

use app::Ws;
use features::links::model::Target;
use features::links::queries::{self as links, Said};
use features::tasks::model::Task;
use kernel::AgentId;
use kernel::key::decode;
use search::Wanted;
use store::{Read, ReadExt as _, StoreError};

use crate::cited::cite;
use crate::cut::Cut;
use crate::model::{ITEMS, Item};

/// Number of items considered, and passages per item.
const ITEMS_READ: usize = 5;
const PASSAGES: usize = 2;

/// The best passages of linked items, in the order of the links. Items that the agent may not see are left out.
pub fn suggestions(
    ws: &Ws,
    read: &dyn Read,
    agent: AgentId,
    task: &Task,
) -> Result<Vec<Said>, StoreError> {
    // Quotation marks in a task do not request phrases.
    let words = format!("{} {}", task.title, task.description);
    let wanted = Wanted::essence(&words.replace(['"', '“', '”', '„', '«', '»'], " "));
    let (mut all, mut items) = (Vec::new(), 0);
    for link in links::of_task(read, task.id)? {
        let Target::Row(table, key) = &link.target else { continue };
        if *table != ITEMS.number {
            continue;
        }
        let Some(id) = decode(key) else { continue };
        let item: Option<Item> = read.get(id)?;
        let sees = |item: &Item| item.is_for(agent) && item.archived_at.is_none();
        let Some(item) = item.filter(sees) else { continue };
        let cut =
            Cut::of(&ws.blobs, read, id).map_err(|error| StoreError::Failed(error.to_string()))?;
        for n in best(&cut, wanted.as_ref()) {
            let Some(quote) = cut.quote(n, None) else { continue };
            let (title, cite) = (item.title.clone(), cite(id, &cut, n));
            all.push(Said { title, cite, text: quote.text });
        }
        items += 1;
        if items == ITEMS_READ {
            break;
        }
    }
    Ok(all)
}

/// The passages with the most matching words, in text order; the first one if none matches.
fn best(cut: &Cut, wanted: Option<&Wanted>) -> Vec<u32> {
    let marks = |n: u32| {
        let words = cut.words(n).unwrap_or_default();
        wanted.map_or(0, |wanted| wanted.marks(words).len())
    };
    let mut ranked: Vec<(usize, u32)> = (0..cut.len()).map(|n| (marks(n), n)).collect();
    ranked.sort_by_key(|(marks, n)| (std::cmp::Reverse(*marks), *n));
    let some = ranked.iter().filter(|(marks, _)| 0 < *marks).take(PASSAGES);
    let mut best: Vec<u32> = some.map(|(_, n)| *n).collect();
    if best.is_empty() {
        best.extend(ranked.first().map(|(_, n)| *n));
    }
    best.sort_unstable();
    best
}
