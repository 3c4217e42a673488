//! An agent's memory: `MEMORY.md` for lasting facts and `memory/<day>.md` for daily notes. These are plain files of
//! the agent; there is no other memory.

use jiff::civil::Date;

use crate::runs::model::Session;
use crate::runs::queries::search;
use app::Ws;
use git::GitError;
use git::files::AgentFiles;
use git::folder::Kind;
use kernel::{AccountId, FieldError, Problem, ProblemKind};
use store::StoreError;
use tool::rank::{Query, Ranking};

use super::editing::{self, Base, EditError, Ends, Hand, Written};
use super::model::Agent;
use super::there;

/// Lasting facts.
pub const LASTING: &str = "MEMORY.md";
/// Folder of the daily notes.
pub const DAYS: &str = "memory";
/// Maximum part of a memory file that is read, in bytes.
pub const MAX_FILE: u64 = 256 * 1024;
/// Maximum size of [`LASTING`] in bytes: what a prompt includes.
pub const MAX_LASTING: usize = 24 * 1024;
/// Maximum size of a note written by a person, in bytes.
const MAX_WRITTEN: usize = 64 * 1024;
/// Maximum number of notes searched, newest first.
const MAX_NOTES: usize = 730;
/// Maximum length of a passage in bytes.
const PASSAGE: usize = 700;

/// A memory file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Path in the agent's folder.
    pub path: String,
    /// `None` for lasting facts.
    pub day: Option<Date>,
    /// Size in bytes.
    pub bytes: u64,
}

/// A passage of a memory file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// First line, from 1.
    pub from: usize,
    /// Last line.
    pub to: usize,
    pub text: String,
}

/// A found passage.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub path: String,
    pub passage: Passage,
    /// Relevance, at most 1.
    pub score: f64,
}

/// Path of a daily note.
#[must_use]
pub fn note_of(day: Date) -> String {
    format!("{DAYS}/{day}.md")
}

/// Whether a path belongs to memory: `MEMORY.md` or a Markdown file among the daily notes.
#[must_use]
pub fn is_memory(path: &str) -> bool {
    path == LASTING
        || path
            .strip_prefix("memory/")
            .is_some_and(|name| name.ends_with(".md") && !name.contains('/'))
}

/// Maximum size of a memory file written by a person, in bytes; `None` for other files.
#[must_use]
pub fn most_of(path: &str) -> Option<usize> {
    is_memory(path).then_some(if path == LASTING { MAX_LASTING } else { MAX_WRITTEN })
}

/// The memory files: lasting facts, then daily notes, newest first.
pub fn notes(files: &AgentFiles) -> Result<Vec<Note>, GitError> {
    let mut all = Vec::new();
    for item in files.list(DAYS)?.unwrap_or_default() {
        let Kind::File { bytes, .. } = item.kind else { continue };
        let Some(stem) = item.name.strip_suffix(".md") else { continue };
        all.push(Note { day: stem.parse().ok(), path: format!("{DAYS}/{}", item.name), bytes });
    }
    all.sort_by(|a, b| (b.day, &b.path).cmp(&(a.day, &a.path)));
    all.truncate(MAX_NOTES);
    // ok: a folder or link in its place is no memory.
    if let Some(part) = files.read(LASTING, 0, 0).ok().flatten() {
        all.insert(0, Note { path: LASTING.to_owned(), day: None, bytes: part.total });
    }
    Ok(all)
}

/// Text of a memory file up to the read limit; `None` if there is no such file.
///
/// # Errors
/// If the path is not a file or the disk fails.
pub fn text(files: &AgentFiles, path: &str) -> Result<Option<String>, GitError> {
    let part = files.read(path, 0, MAX_FILE)?;
    Ok(part.map(|part| String::from_utf8_lossy(&part.bytes).into_owned()))
}

/// Splits a text into passages at blank lines and headings.
#[must_use]
pub fn passages(text: &str) -> Vec<Passage> {
    let mut all: Vec<Passage> = Vec::new();
    let mut open: Option<Passage> = None;
    for (at, line) in text.lines().enumerate() {
        let (number, blank) = (at + 1, line.trim().is_empty());
        let full = open.as_ref().is_some_and(|p| PASSAGE < p.text.len() + line.len());
        if blank || full || line.starts_with('#') {
            all.extend(open.take());
        }
        if blank {
            continue;
        }
        match &mut open {
            Some(passage) => {
                passage.text.push('\n');
                passage.text.push_str(line);
                passage.to = number;
            }
            None => open = Some(Passage { from: number, to: number, text: line.to_owned() }),
        }
    }
    all.extend(open);
    all
}

/// Searches the memory, best passages first.
pub fn look_through(
    files: &AgentFiles,
    query: &Query,
    today: Date,
    since: Option<Date>,
    most: usize,
) -> Result<Vec<Found>, GitError> {
    let mut ranking = Ranking::new(query.clone());
    let mut known = Vec::new();
    for note in notes(files)? {
        if since.is_some_and(|since| note.day.is_some_and(|day| day < since)) {
            continue;
        }
        let days =
            note.day.and_then(|day| day.until(today).ok()).map(|span| i64::from(span.get_days()));
        let Some(text) = text(files, &note.path)? else { continue };
        for passage in passages(&text) {
            if ranking.add(&passage.text, days).is_some() {
                known.push((note.path.clone(), passage));
            }
        }
    }
    let best = ranking.best(most).into_iter();
    Ok(best
        .map(|(at, score)| {
            let (path, passage) = known[at].clone();
            Found { path, passage, score }
        })
        .collect())
}

#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The path does not belong to memory.
    #[error("{0} isn't a memory file; use MEMORY.md or the notes in memory/")]
    NotMemory(String),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("the agent has no files yet; set it up first")]
    NoFolder,
    #[error(transparent)]
    Git(#[from] GitError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task was cancelled.
    #[error("it was interrupted; try again")]
    CutOff,
}

impl Problem for MemoryError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotMemory(_) => "not_memory",
            Self::Edit(error) => error.code(),
            Self::NoFolder => "agent_files_missing",
            Self::Git(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::CutOff => "memory_unavailable",
        }
    }
    fn kind(&self) -> ProblemKind {
        match self {
            Self::NotMemory(_) => ProblemKind::Invalid,
            Self::Edit(error) => error.kind(),
            Self::NoFolder => ProblemKind::NotFound,
            Self::Git(error) => error.kind(),
            Self::Store(error) => error.kind(),
            Self::CutOff => ProblemKind::Unavailable,
        }
    }
    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::NotMemory(_) => vec![FieldError::new("path", self.to_string())],
            Self::Edit(error) => error.fields(),
            _ => Vec::new(),
        }
    }
}

/// Text of a memory file with the hash that an edit has to name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Empty if the file does not exist.
    pub text: String,
    /// Hash of `text`.
    pub hash: String,
}

impl Read {
    fn of(text: String) -> Self {
        let hash = editing::hash(&text);
        Self { text, hash }
    }
}

/// Search results in an agent's memory and conversations.
pub struct Searched {
    /// Notes, best first.
    pub notes: Vec<Found>,
    /// Messages, best first.
    pub messages: search::Searched,
}

/// The memory files of an agent.
///
/// # Errors
/// If there is no folder or the disk fails.
pub async fn list(ws: &Ws, agent: &Agent) -> Result<Vec<Note>, MemoryError> {
    in_folder(ws, agent, |files| Ok(notes(files)?)).await
}

/// Reads a memory file; empty if it does not exist.
///
/// # Errors
/// If the path does not belong to memory.
pub async fn read(ws: &Ws, agent: &Agent, path: &str) -> Result<Read, MemoryError> {
    if !is_memory(path) {
        return Err(MemoryError::NotMemory(path.to_owned()));
    }
    let path = path.to_owned();
    in_folder(ws, agent, move |files| Ok(Read::of(text(files, &path)?.unwrap_or_default()))).await
}

/// Saves a person's edit of a memory file. `hash` is that of the text as it was read.
///
/// # Errors
/// `Changed` if the file changed meanwhile.
pub async fn write(
    hand: Hand<'_>,
    path: &str,
    (text, hash): (String, &str),
) -> Result<Read, MemoryError> {
    if !is_memory(path) {
        return Err(MemoryError::NotMemory(path.to_owned()));
    }
    let base = Base::Hash(hash.to_owned());
    let written = Written { text, base, ends: Ends::AsBefore };
    Ok(Read::of(editing::save(hand, path, written).await?.text))
}

/// Searches an agent's memory, and its conversations in which the person may speak.
pub async fn find(
    ws: &Ws,
    agent: &Agent,
    by: AccountId,
    query: Query,
    today: Date,
    most: usize,
) -> Result<Searched, MemoryError> {
    let (own, id, now) = (ws.clone(), agent.id, ws.app.clock.now());
    in_folder(ws, agent, move |files| {
        let notes = look_through(files, &query, today, None, most)?;
        let may = |session: &Session| session.admits(by);
        let wish = search::ConversationSearch {
            agent: id,
            may: &may,
            query: &query,
            since: None,
            most,
            events: search::EVENTS,
            now,
        };
        let messages = search::search(&own, &wish)?;
        Ok(Searched { notes, messages })
    })
    .await
}

async fn in_folder<T: Send + 'static>(
    ws: &Ws,
    agent: &Agent,
    body: impl FnOnce(&AgentFiles) -> Result<T, MemoryError> + Send + 'static,
) -> Result<T, MemoryError> {
    let folder = there::folder(ws, agent).await.map_err(EditError::from)?;
    let done = tokio::task::spawn_blocking(move || {
        if !folder.is_dir() {
            return Err(MemoryError::NoFolder);
        }
        body(&AgentFiles::open(&folder)?)
    });
    done.await.map_err(|_| MemoryError::CutOff)?
}

/// Appends lines to a text as list items, without those already present; `None` if none are left.
#[must_use]
pub fn with_lines(old: &str, lines: &[&str]) -> Option<String> {
    let mut new = old.trim_end().to_owned();
    let before = new.len();
    for line in lines {
        let line = line.trim().trim_start_matches(['-', '*']).trim();
        let known = new.lines().any(|old| old.trim_start_matches(['-', '*', ' ']).trim() == line);
        if line.is_empty() || known {
            continue;
        }
        if !new.is_empty() {
            new.push('\n');
            let last = new.lines().last().unwrap_or_default();
            if last.starts_with('#') {
                new.push('\n');
            }
        }
        new.push_str("- ");
        new.push_str(line);
    }
    (before < new.len()).then(|| new + "\n")
}

#[cfg(test)]
mod tests {
    use super::{is_memory, passages, with_lines};

    #[test]
    fn passages_end_at_blank_lines_and_headings() {
        let text = "# People\nMira likes tea.\nOtto does not.\n\n\n# Places\nHamburg";
        let all = passages(text);
        let lines: Vec<_> = all.iter().map(|p| (p.from, p.to)).collect();
        assert_eq!(lines, [(1, 3), (6, 7)]);
        assert_eq!(all[1].text, "# Places\nHamburg");
        let long = "word ".repeat(100) + "\n";
        assert_eq!(passages(&long.repeat(3)).len(), 3);
    }

    #[test]
    fn lines_are_added_once() {
        assert_eq!(with_lines("", &["- Mira likes tea"]).as_deref(), Some("- Mira likes tea\n"));
        let old = "# Memory\n\n- Mira likes tea\n";
        assert_eq!(with_lines(old, &["Mira likes tea", " "]), None);
        assert_eq!(
            with_lines("# Memory\n", &["a", "b"]).as_deref(),
            Some("# Memory\n\n- a\n- b\n")
        );
    }

    #[test]
    fn only_files_of_memory_are_memory() {
        assert!(is_memory("MEMORY.md") && is_memory("memory/2026-11-20.md"));
        assert!(
            !is_memory("memory/a/b.md") && !is_memory("notes.md") && !is_memory("memory/x.txt")
        );
    }
}
