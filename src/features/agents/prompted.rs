//! Which of an agent's own files stand in each of its prompts, and how much of each.

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
