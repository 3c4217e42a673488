//! Who did it, and why: both stand in every head of the feed, so variants are only ever appended.

use serde::{Deserialize, Serialize};

use super::id::{
    AccountId, AgentId, ChannelId, GatewayId, ImportId, JobId, PluginId, RoutineId, RunId,
    SignInId, TokenId,
};

/// Who changed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// A person, and through what.
    Person {
        /// The account.
        account: AccountId,
        /// The way in.
        via: Via,
    },
    /// An agent within a run.
    Agent {
        /// The agent.
        agent: AgentId,
        /// Its run.
        run: RunId,
    },
    /// A plugin.
    Plugin(PluginId),
    /// A host that runs agents.
    Gateway(GatewayId),
    /// The program itself.
    System(Part),
}

impl Actor {
    /// The person, if it was one.
    #[must_use]
    pub fn account(self) -> Option<AccountId> {
        match self {
            Self::Person { account, .. } => Some(account),
            _ => None,
        }
    }

    /// The agent, if it was one.
    #[must_use]
    pub fn agent(self) -> Option<AgentId> {
        match self {
            Self::Agent { agent, .. } => Some(agent),
            _ => None,
        }
    }

    /// The run, if it was an agent.
    #[must_use]
    pub fn run(self) -> Option<RunId> {
        match self {
            Self::Agent { run, .. } => Some(run),
            _ => None,
        }
    }
}

/// How a person came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Via {
    /// A browser that is signed in.
    SignIn(SignInId),
    /// An API token.
    Token(TokenId),
    /// A messaging account.
    Channel(ChannelId),
    /// The local socket, with the user id of the peer.
    Socket {
        /// The peer's user id on this machine.
        uid: u32,
    },
}

/// A part of the program that acts by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// A command on this machine.
    Cli,
    /// First boot.
    Setup,
    /// A timer.
    Timer,
    /// A durable consumer.
    Consumer,
    /// A migration.
    Migration,
    /// Retention.
    Retention,
    /// A restore.
    Restore,
    /// The agent engine.
    Engine,
}

/// Why a transaction happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A request, by its id.
    Request([u8; 16]),
    /// A step of a run.
    Step(RunId, u32),
    /// A firing of a routine, by its instant in milliseconds.
    Routine(RoutineId, i64),
    /// A consumer, by its number.
    Consumer(u16),
    /// An undo of the entry with this seq.
    Undo(u64),
    /// An import.
    Import(ImportId),
    /// A job.
    Job(JobId),
    /// Retention.
    Retention,
    /// A migration.
    Migration(u32),
    /// First boot.
    Setup,
    /// A timer or the engine's own housekeeping.
    Timer,
    /// A restore.
    Restore,
}
