//! Places on channels to which results of routines go. The channels package is above this one and knows them.

use std::sync::OnceLock;

use kernel::{AgentId, Error, ProblemKind};
use store::{Read, StoreError};

use super::model::DeliverTo;

/// The paired people and allowed rooms: of an agent's channels, or of all.
pub type ChoicesOf = fn(&dyn Read, Option<AgentId>) -> Result<Vec<DeliverTo>, StoreError>;
/// The place with a name or id on an agent's channels.
pub type Find = fn(&dyn Read, AgentId, &str) -> Result<DeliverTo, Error>;

static OF: OnceLock<(ChoicesOf, Find)> = OnceLock::new();

/// Installs the source, before the first page. Only the first call has an effect.
pub fn install(choices: ChoicesOf, find: Find) {
    // ok: a second server in the same process has the same functions.
    let _ = OF.set((choices, find));
}

/// The places to choose from.
pub fn choices(read: &dyn Read, agent: Option<AgentId>) -> Result<Vec<DeliverTo>, StoreError> {
    OF.get().map_or_else(|| Ok(Vec::new()), |(choices, _)| choices(read, agent))
}

/// Finds a place by name or id.
///
/// # Errors
/// If there is none, or several have the name.
pub fn find(read: &dyn Read, agent: AgentId, text: &str) -> Result<DeliverTo, Error> {
    let none = || Error::new(ProblemKind::Invalid, "place_not_found", "there are no channels");
    OF.get().map_or_else(|| Err(none()), |(_, find)| find(read, agent, text))
}
