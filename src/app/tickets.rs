//! Tickets for what a page opens beside itself and cannot send a form for: each good once, for half a minute, for one
//! person and one thing. In memory only.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crypto::token::{Token, TokenKind};
use kernel::{AccountId, AgentId, WorkspaceId};

/// How long a ticket is good.
const LIFE: Duration = Duration::from_secs(30);
/// How many are kept; then the oldest go.
const MANY: usize = 1_000;

/// What a ticket is for: the browser of an agent, for one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whose ticket.
    pub account: AccountId,
    pub workspace: WorkspaceId,
    /// Whose browser.
    pub agent: AgentId,
}

/// Tickets that were given out.
#[derive(Default)]
pub struct Tickets(Mutex<HashMap<String, (Ticket, Instant)>>);

impl Tickets {
    /// Gives out a ticket.
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

    /// Uses a ticket up; says whether it was good for this.
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
