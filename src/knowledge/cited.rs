//! Which passages a run had before it: a cite of any other is a guess, and says so.

use std::collections::HashSet;
use std::sync::Arc;

use features::runs::model::{EventKind, Run, SessionEvent};
use kernel::key::KeyBuf;
use kernel::{RunId, RunState};
use store::{Range, Read, ReadExt as _, StoreError};

use crate::links::CITE;
use crate::model::{Item, KnowledgeId, Scope};
use crate::recent::Recent;

/// Runs that are over: their texts are shown again and again.
static KEPT: Recent<RunId, Seen> = Recent::new(64);
/// The tool that gives an item as a whole.
const READS: &str = "knowledge_read";

/// What stood in the conversation of a run.
#[derive(Debug, Default)]
pub struct Seen {
    items: HashSet<KnowledgeId>,
    passages: HashSet<(KnowledgeId, u32)>,
}

impl Seen {
    /// What stood in a run's conversation, up to now or to its end.
    ///
    /// # Errors
    /// When the store fails.
    pub fn of(read: &dyn Read, run: RunId) -> Result<Arc<Self>, StoreError> {
        if let Some(seen) = KEPT.get(|of| *of == run) {
            return Ok(seen);
        }
        let found: Option<Run> = read.get(run)?;
        let Some(found) = found else { return Ok(Arc::default()) };
        // What earlier runs of the conversation have read stands in it, too.
        let events: Vec<SessionEvent> = read.list(&Range::prefix(KeyBuf::of(&found.session)))?;
        let mut seen = Self::default();
        for event in events {
            if let EventKind::ToolFinished { name, result, .. } = &event.kind {
                seen.take(name, result.head());
            }
        }
        let seen = Arc::new(seen);
        if found.state == RunState::Ended {
            KEPT.keep(run, seen.clone());
        }
        Ok(seen)
    }

    fn take(&mut self, tool: &str, result: &str) {
        for piece in result.split(CITE).skip(1) {
            let Some((id, rest)) = piece.split_once('#') else { continue };
            // ok: words that look like a cite and are none cite nothing.
            let Ok(id) = id.parse::<KnowledgeId>() else { continue };
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            match (tool == READS, rest[..digits].parse()) {
                (true, _) => {
                    self.items.insert(id);
                }
                (false, Ok(n)) => {
                    self.passages.insert((id, n));
                }
                (false, Err(_)) => {}
            }
        }
    }

    /// Whether a passage stood there. What stands in front of agents when they start always does.
    #[must_use]
    pub fn has(&self, item: &Item, n: u32) -> bool {
        item.scope != Scope::Library
            || self.items.contains(&item.id)
            || self.passages.contains(&(item.id, n))
    }
}

#[cfg(test)]
mod tests {
    use kernel::TypedId as _;
    use kernel::id::made_of::uuid::Uuid;

    use super::Seen;
    use crate::model::KnowledgeId;

    #[test]
    fn what_tools_gave_is_known_by_its_cites() {
        let id = |n| KnowledgeId::from_uuid(Uuid::from_u128(n));
        let mut seen = Seen::default();
        let said = format!("{{\"cite\":\"[[know:{}#3]]\"}} know:x#1 know:{}#", id(1), id(2));
        seen.take("knowledge_search", &said);
        assert_eq!(seen.passages.into_iter().collect::<Vec<_>>(), [(id(1), 3)]);
        let mut seen = Seen::default();
        seen.take("knowledge_read", &format!("Cite a passage as [[know:{}#0]].", id(4)));
        assert!(seen.items.contains(&id(4)));
    }
}
