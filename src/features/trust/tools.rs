//! The available tools, for pages that show how their calls are authorized. The registry itself belongs to the
//! `runtime` package, a higher layer.

use std::sync::OnceLock;

use tool::{Registry, ToolSpec};

static ALL: OnceLock<Vec<ToolSpec>> = OnceLock::new();

/// Stores the tools. Only the first call has an effect.
pub fn install(tools: &Registry) {
    // ok: a second server in the same process has the same tools.
    let _ = ALL.set(tools.iter().map(|entry| entry.spec.clone()).collect());
}

/// All tools; empty before the server starts.
#[must_use]
pub fn all() -> &'static [ToolSpec] {
    ALL.get().map_or(&[], Vec::as_slice)
}
