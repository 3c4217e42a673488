//! Log of choices of the embedding model. The choice itself is stored with the models, for all workspaces; this row
//! records who made it in the workspace.

use kernel::{Actor, Part, Timestamp, TypedId as _};
use serde::{Deserialize, Serialize};
use store::{Class, Record, Table};

use jiff::fmt::serde::timestamp::millisecond;

use super::ModelChoiceId;

pub const MODEL_CHOICES: Table = Table::new(377, "model_choices");

kernel::words! {
    /// What somebody did with a model.
    ModelAct {
        /// Took it into use.
        Used = "used", "In use";
        /// Turned search by meaning off.
        Off = "off", "Off";
        /// Began its download, after which it is in use.
        Fetched = "fetched", "Downloaded";
        /// Removed its files.
        Removed = "removed", "Removed";
        /// Sent its files.
        Added = "added", "Added";
    }
}

/// An action on a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChoice {
    pub id: ModelChoiceId,
    pub act: ModelAct,
    /// The model; empty if semantic search was turned off.
    pub model: String,
    pub by: Actor,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

impl Record for ModelChoice {
    type Id = ModelChoiceId;
    const TABLE: Table = MODEL_CHOICES;
    // There is nothing to undo here: the choice is stored elsewhere.
    const CLASS: Class = Class::Log;
    fn id(&self) -> ModelChoiceId {
        self.id
    }
    fn sample() -> Self {
        Self {
            id: ModelChoiceId::from_bytes([72; 16]),
            act: ModelAct::Used,
            model: "bge-small-en-v1.5".into(),
            by: Actor::System(Part::Setup),
            at: kernel::time::from_ms(1_700_000_000_000),
        }
    }
}
