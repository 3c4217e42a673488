//! Last answers to hosts. A host that missed an answer repeats its message and must get the same answer.

use kernel::{JsonText, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

use super::HearerId;

pub const RUN_ANSWERS: Table = Table::new(398, "run_answers");

/// The last answer about a run, or to a host if the message was about no run. A newer answer replaces it: a host that
/// sends a new message has received the previous answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAnswer {
    /// The run, or the gateway.
    pub of: HearerId,
    /// SHA-256 of the host's message.
    pub said: [u8; 32],
    pub answer: JsonText,
}

impl Record for RunAnswer {
    type Id = HearerId;
    const TABLE: Table = RUN_ANSWERS;
    const CLASS: Class = Class::Local;
    fn id(&self) -> HearerId {
        self.of
    }
    fn sample() -> Self {
        Self { of: HearerId::from_bytes([97; 16]), said: [7; 32], answer: JsonText::empty() }
    }
}
