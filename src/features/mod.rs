//! One folder for each noun; see STYLE for the inner shape.

pub mod workspace;
pub mod users;
pub mod tasks;
pub mod comments;
pub mod deliverables;
pub mod agents;
pub mod inbox;
pub mod runs;
pub mod usage;
pub mod connections;

use crate::tool::Registry;

/// The tools that agents have from all features.
#[must_use]
pub fn tools() -> Registry {
    Registry::new()
        .merge(tasks::tools())
        .merge(comments::tools())
        .merge(deliverables::tools())
        .merge(agents::tools())
}
