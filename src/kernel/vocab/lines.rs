//! Vocabulary of reporting lines.

use serde::{Deserialize, Serialize};

use super::Assignee;
use crate::id::{AccountId, AgentId};

/// The manager of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Manager {
    /// A member.
    Person(AccountId),
    /// Another agent.
    Agent(AgentId),
}

impl Manager {
    /// The agent id, if the manager is an agent.
    #[must_use]
    pub fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent),
            Self::Person(_) => None,
        }
    }

    /// The account id, if the manager is a person.
    #[must_use]
    pub fn person(self) -> Option<AccountId> {
        match self {
            Self::Person(account) => Some(account),
            Self::Agent(_) => None,
        }
    }
}

impl From<Manager> for Assignee {
    fn from(manager: Manager) -> Self {
        match manager {
            Manager::Person(account) => Self::Person(account),
            Manager::Agent(agent) => Self::Agent(agent),
        }
    }
}

impl From<AccountId> for Manager {
    fn from(account: AccountId) -> Self {
        Self::Person(account)
    }
}

words! {
    /// To which other agents an agent may give work.
    Delegation {
        /// To those who report to it, and to those who report to them.
        Line = "line", "Everyone below it";
        /// Only to those who report to it.
        Reports = "reports", "Its direct reports";
        /// To all.
        Open = "open", "All agents";
    }
}
