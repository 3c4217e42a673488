//! Accounts that people signed in to, as the process shares them: one turn at each, so that no two ask its maker
//! for new tokens at the same time, and what was learned of its models.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::kernel::ConnectionId;
use crate::providers::account::Ways;

/// What is shared of one account.
#[derive(Default)]
pub struct Account {
    /// Held by whoever asks the maker for tokens, until the answer is kept.
    pub turn: tokio::sync::Mutex<()>,
    /// Over which protocol its models answer.
    pub ways: Arc<Ways>,
}

/// All accounts of this process.
pub struct Accounts {
    all: Mutex<HashMap<ConnectionId, Arc<Account>>>,
    begun: watch::Sender<u64>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { all: Mutex::default(), begun: watch::Sender::new(0) }
    }
}

impl Accounts {
    /// What is shared of the account of a connection.
    #[must_use]
    pub fn of(&self, connection: ConnectionId) -> Arc<Account> {
        Arc::clone(self.all.lock().entry(connection).or_default())
    }

    /// Wakes whoever waits for sign-ins: one began or ended.
    pub fn nudge(&self) {
        self.begun.send_modify(|n| *n += 1);
    }

    /// Hears of sign-ins that begin and end.
    #[must_use]
    pub fn nudges(&self) -> watch::Receiver<u64> {
        self.begun.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Accounts;
    use crate::kernel::{ConnectionId, TypedId};

    #[test]
    fn there_is_one_turn_at_an_account() {
        let accounts = Accounts::default();
        let id = |n| ConnectionId::from_bytes([n; 16]);
        assert!(Arc::ptr_eq(&accounts.of(id(1)), &accounts.of(id(1))));
        assert!(!Arc::ptr_eq(&accounts.of(id(1)), &accounts.of(id(2))));
    }
}
