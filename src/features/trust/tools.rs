//! The tools of the program, for pages that say what becomes of their calls. The registry itself is the runtime's, which
//! stands above.

use std::sync::OnceLock;

use tool::{Registry, ToolSpec};

static ALL: OnceLock<Vec<ToolSpec>> = OnceLock::new();

/// Notes the tools; only the first call counts.
pub fn install(tools: &Registry) {
    // ok: a second call comes from a second server in the same process, with the same tools.
    let _ = ALL.set(tools.iter().map(|entry| entry.spec).collect());
}

/// All of them, by name; none before the server has begun.
#[must_use]
pub fn all() -> &'static [ToolSpec] {
    ALL.get().map_or(&[], Vec::as_slice)
}
