//! Files of an agent that are part of each of its prompts, and the maximum part of each.

use std::sync::OnceLock;

use app::Ws;
use kernel::AgentId;
use store::{Blobs, Read, StoreError};

use super::skills::Skill;

/// Returns the knowledge text that is in an agent's context at the start, besides its own files.
pub type KnowledgeOf = fn(&dyn Read, &Blobs, AgentId) -> Result<String, StoreError>;

static KNOWLEDGE: OnceLock<KnowledgeOf> = OnceLock::new();

/// Installs the source of knowledge, before the first run. Only the first call has an effect.
pub fn install_knowledge(of: KnowledgeOf) {
    // ok: a second server in the same process has the same function.
    let _ = KNOWLEDGE.set(of);
}

/// Knowledge in an agent's context at the start, besides its own files; may be empty.
pub fn knowledge(read: &dyn Read, blobs: &Blobs, agent: AgentId) -> Result<String, StoreError> {
    KNOWLEDGE.get().map_or_else(|| Ok(String::new()), |of| of(read, blobs, agent))
}

/// Returns whether people have set up web search. Blocking.
pub type Searches = fn(&Ws) -> Result<bool, StoreError>;

static SEARCHES: OnceLock<Searches> = OnceLock::new();

/// Installs the source of web search, before the first run. Only the first call has an effect.
pub fn install_search(of: Searches) {
    // ok: a second server in the same process has the same function.
    let _ = SEARCHES.set(of);
}

/// Whether agents are offered web search from their first request on. Blocking.
#[must_use]
pub fn searches(ws: &Ws) -> bool {
    let found = SEARCHES.get().map_or(Ok(false), |of| of(ws));
    found.unwrap_or_else(|error| {
        tracing::warn!(%error, "it is not known whether agents can search the web");
        false
    })
}

/// Skills in knowledge, by the names that messages have as `$name`.
#[derive(Clone, Copy)]
pub struct KnowledgeSkills {
    /// Those of an agent.
    pub list: fn(&dyn Read, AgentId) -> Result<Vec<Skill>, StoreError>,
    /// The texts of those with one of these names, by name.
    pub texts: TextsOf,
}

/// Returns the texts of skills by name.
pub type TextsOf =
    fn(&dyn Read, &Blobs, AgentId, &[String]) -> Result<Vec<(String, String)>, StoreError>;

static SKILLS: OnceLock<KnowledgeSkills> = OnceLock::new();

/// Installs the source of skills in knowledge, before the first run. Only the first call has an effect.
pub fn install_skills(skills: KnowledgeSkills) {
    // ok: a second server in the same process has the same functions.
    let _ = SKILLS.set(skills);
}

/// The skills in knowledge that an agent can be asked to use.
pub fn skills(read: &dyn Read, agent: AgentId) -> Result<Vec<Skill>, StoreError> {
    SKILLS.get().map_or_else(|| Ok(Vec::new()), |of| (of.list)(read, agent))
}

/// The texts of those with one of these names, by name.
pub fn skill_texts(
    read: &dyn Read,
    blobs: &Blobs,
    agent: AgentId,
    names: &[String],
) -> Result<Vec<(String, String)>, StoreError> {
    SKILLS.get().map_or_else(|| Ok(Vec::new()), |of| (of.texts)(read, blobs, agent, names))
}

/// HQ's instructions at the beginning of every prompt.
pub const RULES: &str = include_str!("prompts/rules.md");

/// A file that prompts include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File {
    /// Name in the agent's folder.
    pub name: &'static str,
    /// Maximum part included, in characters.
    pub most: usize,
}

/// Maximum part of a daily note, in characters. A prompt includes the newest two.
pub const MAX_NOTE: usize = 8 * 1024;

/// In prompt order.
pub const FILES: [File; 6] = [
    File { name: "IDENTITY.md", most: 20_000 },
    File { name: "SOUL.md", most: 20_000 },
    File { name: "AGENTS.md", most: 20_000 },
    File { name: "TOOLS.md", most: 20_000 },
    File { name: "USER.md", most: 4_000 },
    File { name: "MEMORY.md", most: 24 * 1024 },
];

/// Maximum characters of a file in a prompt; 0 for other files.
#[must_use]
pub fn most_of(name: &str) -> usize {
    FILES.iter().find(|file| file.name == name).map_or(0, |file| file.most)
}
