//! Files of agents in which a program wrote a key or a secret as it is. No commit takes such a file and no tool shows the
//! value, but the file itself is the agent's: backups and exports have it as it lies there.

use app::Ws;
use app::jobs::{JobWatch, UnderWay};
use git::files::AgentFiles;
use git::folder::Kind;
use serde::{Deserialize, Serialize};
use store::verify::Progress;
use store::{Range, ReadExt as _, StoreError};
use tool::leaks;

use crate::agents::model::Agent;

/// The kind of the job that looks.
pub const EXPOSED: &str = "keys_in_files";
/// How many files of an agent are looked through, and how deep.
const MOST_FILES: usize = 20_000;
const DEEPEST: usize = 32;
/// The largest file that is looked through, in bytes: a longer one is no text that anybody writes.
const MAX_FILE: u64 = 2 << 20;
/// How many files are named, and how many lines of each.
const NAMED: usize = 100;
const LINES: usize = 5;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposed {
    /// How many files hold one.
    pub count: usize,
    /// The first of them.
    pub files: Vec<ExposedFile>,
}

/// A file that holds a key or a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposedFile {
    /// The slug of the agent.
    pub agent: String,
    /// The path in its folder.
    pub path: String,
    /// The first lines that hold one.
    pub lines: Vec<usize>,
    /// How many lines do.
    pub all: usize,
}

/// What was found last in a workspace; nothing when nobody has looked since the start.
#[must_use]
pub fn last(ws: &Ws) -> Option<Exposed> {
    let state = ws.app.jobs.state(&ws.slug, EXPOSED)?;
    // ok: it is what `begin` has written.
    state.result.and_then(|found| serde_json::from_value(found).ok())
}

/// Begins to look through the files of all agents of a workspace.
///
/// # Errors
/// When that is under way.
pub fn begin(ws: &Ws) -> Result<(), UnderWay> {
    let own = ws.clone();
    ws.app.begin_job(&ws.slug, EXPOSED, move |watch| look(&own, watch))
}

/// Looks through the files of all agents, until it is called off. Blocking.
fn look(ws: &Ws, watch: &JobWatch) -> Result<Exposed, StoreError> {
    let agents: Vec<Agent> = ws.read(|snap| snap.list(&Range::all()))?;
    let mut found = Exposed::default();
    for agent in agents {
        // ok: an agent without a folder has no files.
        let Ok(files) = AgentFiles::open(&ws.agent_folder(&agent.slug)) else { continue };
        let (mut folders, mut seen) = (vec![(String::new(), 0)], 0);
        while let Some((folder, depth)) = folders.pop() {
            let what = "looking through the files of agents";
            if watch.tell(Progress { what, done: found.count as u64, total: 0 }).is_break() {
                return Err(StoreError::Failed("it was called off".to_owned()));
            }
            // ok: what was removed meanwhile, or is locked, cannot be looked through.
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
