//! Finds agents' files that contain a key or secret in plain text. Such a file is never committed and no tool shows
//! the value, but the file itself belongs to the agent, so backups and exports include it unchanged.

use app::Ws;
use app::jobs::{JobWatch, UnderWay};
use git::files::AgentFiles;
use git::folder::Kind;
use serde::{Deserialize, Serialize};
use store::verify::Progress;
use store::{Range, ReadExt as _, StoreError};
use tool::leaks;

use crate::agents::model::Agent;

/// Kind of the search job.
pub const EXPOSED: &str = "keys_in_files";
/// Maximum number of files searched per agent, and maximum folder depth.
const MOST_FILES: usize = 20_000;
const DEEPEST: usize = 32;
/// Maximum size of a searched file in bytes; larger files are not written as text by hand.
const MAX_FILE: u64 = 2 << 20;
/// Maximum number of files named, and of lines per file.
const NAMED: usize = 100;
const LINES: usize = 5;

/// Result of the search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// Number of files with a key or secret.
    pub count: usize,
    /// The first of them.
    pub files: Vec<ExposedFile>,
}

/// A file that contains a key or secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposedFile {
    /// Slug of the agent.
    pub agent: String,
    /// Path in the agent's folder.
    pub path: String,
    /// The first lines that contain one.
    pub lines: Vec<usize>,
    /// Number of lines that contain one.
    pub all: usize,
}

/// The last result in a workspace; `None` if there was no search since the start.
#[must_use]
pub fn last(ws: &Ws) -> Option<Exposed> {
    let state = ws.app.jobs.state(&ws.slug, EXPOSED)?;
    // ok: `begin` wrote the value.
    state.result.and_then(|found| serde_json::from_value(found).ok())
}

/// Starts the search in the files of all agents of a workspace.
///
/// # Errors
/// If a search is running.
pub fn begin(ws: &Ws) -> Result<(), UnderWay> {
    let own = ws.clone();
    ws.app.begin_job(&ws.slug, EXPOSED, move |watch| search_files(&own, watch))
}

/// Searches the files of all agents until cancelled. Blocking.
fn search_files(ws: &Ws, watch: &JobWatch) -> Result<Exposed, StoreError> {
    let agents: Vec<Agent> = ws.read(|snap| snap.list(&Range::all()))?;
    let mut found = Exposed::default();
    for agent in agents {
        // ok: an agent without a folder has no files.
        let Ok(files) = AgentFiles::open(&ws.agent_folder(&agent.slug)) else { continue };
        let (mut folders, mut seen) = (vec![(String::new(), 0)], 0);
        while let Some((folder, depth)) = folders.pop() {
            let what = "searching the agents' files";
            if watch.tell(Progress { what, done: found.count as u64, total: 0 }).is_break() {
                return Err(StoreError::Failed("it was cancelled".to_owned()));
            }
            // ok: a removed or locked folder cannot be searched.
            for item in files.list(&folder).ok().flatten().unwrap_or_default() {
                let path = match folder.as_str() {
                    "" => item.name,
                    folder => format!("{folder}/{}", item.name),
                };
                match item.kind {
                    Kind::Folder if depth < DEEPEST => folders.push((path, depth + 1)),
                    Kind::File { bytes, .. } if bytes <= MAX_FILE && seen < MOST_FILES => {
                        seen += 1;
                        // ok: as above.
                        let Ok(Some(part)) = files.read_up_to(&path, MAX_FILE) else { continue };
                        let mut lines = leaks::lines_of_file(&ws.app.redactor, &part.bytes);
                        if lines.is_empty() {
                            continue;
                        }
                        found.count += 1;
                        if found.files.len() < NAMED {
                            let (agent, all) = (agent.slug.clone(), lines.len());
                            lines.truncate(LINES);
                            found.files.push(ExposedFile { agent, path, lines, all });
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    found.files.sort_by(|a, b| (&a.agent, &a.path).cmp(&(&b.agent, &b.path)));
    Ok(found)
}
