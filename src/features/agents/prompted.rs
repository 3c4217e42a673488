//! Which of an agent's own files stand in each of its prompts, and how much of each.

use std::sync::OnceLock;

use kernel::AgentId;
use store::{Blobs, Read, StoreError};

/// The words of what an agent has in front of it when it starts, besides its own files.
pub type KnowledgeOf = fn(&dyn Read, &Blobs, AgentId) -> Result<String, StoreError>;

static KNOWLEDGE: OnceLock<KnowledgeOf> = OnceLock::new();

/// Says where knowledge comes from, before the first run; only the first call counts.
pub fn install_knowledge(of: KnowledgeOf) {
    // ok: a second call comes from a second server in the same process, with the same function.
    let _ = KNOWLEDGE.set(of);
}

/// What an agent has in front of it when it starts, besides its own files; empty when that is nothing.
pub fn knowledge(read: &dyn Read, blobs: &Blobs, agent: AgentId) -> Result<String, StoreError> {
    KNOWLEDGE.get().map_or_else(|| Ok(String::new()), |of| of(read, blobs, agent))
}

/// What HQ tells each agent before anything else.
pub const RULES: &str = include_str!("prompts/rules.md");

/// A file that prompts hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the agent's folder.
    pub name: &'static str,
    /// The most characters of it.
    pub most: usize,
}

/// The most characters of a daily note; the newest two stand in a prompt.
pub const MAX_NOTE: usize = 8 * 1024;

/// The files in the order of a prompt.
pub const FILES: [File; 6] = [
    File { name: "IDENTITY.md", most: 20_000 },
    File { name: "SOUL.md", most: 20_000 },
    File { name: "AGENTS.md", most: 20_000 },
    File { name: "TOOLS.md", most: 20_000 },
    File { name: "USER.md", most: 4_000 },
    File { name: "MEMORY.md", most: 24 * 1024 },
];

/// The most characters of a file that a prompt holds; none of any other.
#[must_use]
pub fn most_of(name: &str) -> usize {
    FILES.iter().find(|file| file.name == name).map_or(0, |file| file.most)
}
