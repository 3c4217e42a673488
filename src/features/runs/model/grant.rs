//! The sender of a message from a messenger. A run that such a message started has the agent's rights cut to those of
//! its sender.

use serde::{Deserialize, Serialize};

use super::{Input, Run};
use kernel::{AccountId, InputId, RunId, TypedId};
use store::{Class, OnDelete, Record, Refs, Root, Table};

pub const INPUT_GRANTS: Table = Table::new(190, "input_grants");
/// `run_grants` are the money that a run may spend on a host.
pub const SENDER_GRANTS: Table = Table::new(191, "sender_grants");

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sender {
    /// Anybody without an account.
    Guest,
    /// A paired person, with the role that they have at the moment of each call.
    Person(AccountId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub sender: Sender,
    /// Whether others read along.
    pub is_room: bool,
}

impl Grant {
    /// The person, if the message came in their direct chat.
    #[must_use]
    pub fn direct(self) -> Option<AccountId> {
        match self.sender {
            Sender::Person(account) if !self.is_room => Some(account),
            Sender::Person(_) | Sender::Guest => None,
        }
    }
}

/// The sender of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputGrant {
    pub input: InputId,
    pub grant: Grant,
}

impl Record for InputGrant {
    type Id = InputId;
    const TABLE: Table = INPUT_GRANTS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> InputId {
        self.input
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Input>(1, Some(self.input), OnDelete::Cascade);
    }
    fn sample() -> Self {
        let grant = Grant { sender: Sender::Guest, is_room: true };
        Self { input: InputId::from_bytes([13; 16]), grant }
    }
}

/// The sender to whose rights a run is cut.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SenderGrant {
    pub run: RunId,
    pub grant: Grant,
}

impl Record for SenderGrant {
    type Id = RunId;
    const TABLE: Table = SENDER_GRANTS;
    const CLASS: Class = Class::Work;
    fn id(&self) -> RunId {
        self.run
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Run>(1, Some(self.run), OnDelete::Cascade);
    }
    fn root(&self) -> Root {
        Root::of::<Run>(self.run)
    }
    fn sample() -> Self {
        let sender = Sender::Person(AccountId::from_bytes([1; 16]));
        Self { run: RunId::from_bytes([8; 16]), grant: Grant { sender, is_room: false } }
    }
}
