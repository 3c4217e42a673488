//! Single-use tickets for connections that a page opens and cannot authenticate with a form. A ticket is valid for 30
//! seconds, one person and one target. In memory only.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crypto::token::{Token, TokenKind};
use kernel::{AccountId, AgentId, WorkspaceId};

/// Lifetime of a ticket.
const LIFE: Duration = Duration::from_secs(30);
/// Maximum number of tickets. The oldest are evicted.
const MANY: usize = 1_000;

/// Scope of a ticket: one person and the browser of one agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub account: AccountId,
    pub workspace: WorkspaceId,
    pub agent: AgentId,
}

/// Issued tickets.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<String, (Ticket, Instant)>>);

impl Tickets {
    #[must_use]
    pub fn issue(&self, ticket: Ticket) -> String {
        let word = Token::issue(TokenKind::Agent).reveal().to_owned();
        let mut all = self.0.lock();
        all.retain(|_, (_, at)| at.elapsed() < LIFE);
        if MANY <= all.len() {
            let oldest = all.iter().min_by_key(|(_, (_, at))| *at).map(|(word, _)| word.clone());
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        all.insert(word.clone(), (ticket, Instant::now()));
        word
    }

    /// Redeems a ticket. Returns whether it was valid for this scope.
    #[must_use]
    pub fn take(&self, word: &str, ticket: Ticket) -> bool {
        let found = self.0.lock().remove(word);
        found.is_some_and(|(given, at)| given == ticket && at.elapsed() < LIFE)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ticket, Tickets};
    use kernel::{AccountId, AgentId, TypedId as _, WorkspaceId};

    #[test]
    fn a_ticket_is_good_once_and_for_one_thing() {
        let all = Tickets::default();
        let ticket = Ticket {
            account: AccountId::from_bytes([1; 16]),
            workspace: WorkspaceId::from_bytes([2; 16]),
            agent: AgentId::from_bytes([3; 16]),
        };
        let word = all.issue(ticket);
        assert!(all.take(&word, ticket) && !all.take(&word, ticket));
        let other = Ticket { agent: AgentId::from_bytes([4; 16]), ..ticket };
        let word = all.issue(ticket);
        assert!(
            !all.take(&word, other) && !all.take(&word, ticket),
            "it is used up by a wrong use"
        );
    }
}
