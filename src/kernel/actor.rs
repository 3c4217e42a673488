//! Actor and cause of a change. Both are stored in every head of the feed: append only.

use serde::{Deserialize, Serialize};

use super::id::{
    AccountId, AgentId, ChannelId, GatewayId, ImportId, JobId, PluginId, RoutineId, RunId,
    SignInId, TokenId,
};

/// Who made a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A person.
    Person {
        /// The account.
        account: AccountId,
        /// How the person signed in.
        via: Via,
    },
    /// An agent, acting in a run.
    Agent {
        /// The agent.
        agent: AgentId,
        /// The agent's run.
        run: RunId,
    },
    /// A plugin.
    Plugin(PluginId),
    /// A host that runs agents.
    Gateway(GatewayId),
    /// HQ itself.
    System(Part),
}

impl Actor {
    /// The account id, if the actor is a person.
    #[must_use]
    pub fn account(self) -> Option<AccountId> {
        match self {
            Self::Person { account, .. } => Some(account),
            _ => None,
        }
    }

    /// The agent id, if the actor is an agent.
    #[must_use]
    pub fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent { agent, .. } => Some(agent),
            _ => None,
        }
    }

    /// The run id, if the actor is an agent.
    #[must_use]
    pub fn run(self) -> Option<RunId> {
        match self {
            Self::Agent { run, .. } => Some(run),
            _ => None,
        }
    }
}

/// How a person is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// A signed-in browser.
    SignIn(SignInId),
    /// An API token.
    Token(TokenId),
    /// A messaging account.
    Channel(ChannelId),
    /// The local socket.
    Socket {
        /// User id of the peer on this machine.
        uid: u32,
    },
}

/// A component of HQ that acts on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// A command on this machine.
    Cli,
    /// Setup at first boot.
    Setup,
    /// A timer.
    Timer,
    /// A durable consumer.
    Consumer,
    /// A migration.
    Migration,
    /// Data retention.
    Retention,
    /// Restore from a backup.
    Restore,
    /// The agent engine.
    Engine,
}

/// Why a transaction was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A request, by request id.
    Request([u8; 16]),
    /// A step of a run: run id and step number.
    Step(RunId, u32),
    /// A firing of a routine, at a time in milliseconds since 1970.
    Routine(RoutineId, i64),
    /// A consumer, by number.
    Consumer(u16),
    /// An undo of the entry with this sequence number.
    Undo(u64),
    /// An import.
    Import(ImportId),
    /// A job.
    Job(JobId),
    /// Data retention.
    Retention,
    /// A migration, by number.
    Migration(u32),
    /// Setup at first boot.
    Setup,
    /// A timer or housekeeping of the engine.
    Timer,
    /// Restore from a backup.
    Restore,
}
