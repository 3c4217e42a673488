//! What hosts were answered last. A host that did not hear its answer says the same once more, and is to hear the same.

use kernel::{JsonText, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

use super::HearerId;

/// Last answers.
pub const RUN_ANSWERS: Table = Table::new(398, "run_answers");

/// The last answer about a run, or to a host where it was about none. The next one takes its place: who says something new
/// has heard it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunAnswer {
    /// The run, or the gateway.
    pub of: HearerId,
    /// The SHA-256 of what was said.
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
