//! Drafts of identity files, written by an agent's programs. Programs cannot change these files; a draft waits beside
//! them until a person accepts or rejects it.

use app::Ws;
use git::GitError;
use git::files::AgentFiles;
use kernel::Timestamp;
use kernel::text::{ellipsis, of_bytes, one_line};
use serde_json::Value;
use store::{Read, StoreError};
use tool::diff;
use web::session::Person;

use crate::agents::editing::{self, MAX_TEXT};
use crate::agents::files::FilesError;
use crate::agents::model::Agent;
use crate::agents::there;
use crate::runs::model::Run;
use crate::runs::queries as runs;
use crate::runs::queries::steps::{self, Steps, ToolCall, What};
use crate::runs::queries::talk;
use crate::trust::queries::IDENTITY;

/// Folder of the drafts within the agent's folder.
pub const PROPOSED: &str = "proposed";
/// Number of the agent's latest runs searched for the program that wrote a draft.
const LOOKED_AT: usize = 20;
/// Maximum length of a command line shown, in characters.
const LINE: usize = 160;

/// A draft of an identity file.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Name of the identity file.
    pub name: &'static str,
    /// Path of the draft.
    pub path: String,
    /// Text and hash of the draft; `None` if it is not text or too long.
    pub text: Option<(String, String)>,
    /// Current text of the file; empty if there is none.
    pub now: String,
    /// The program that wrote the draft, if known and visible.
    pub maker: Option<Maker>,
}

impl Draft {
    /// The changes as a diff; empty if the draft is not text or too long.
    #[must_use]
    pub fn diff(&self) -> String {
        let text = self.text.as_ref();
        text.map(|(text, _)| diff::whole(self.name, &self.now, text)).unwrap_or_default()
    }
}

/// Origin of a draft.
#[derive(Clone, Debug)]
pub struct Maker {
    pub run: Run,
    pub at: Timestamp,
    /// Command line.
    pub program: String,
}

/// Path of the draft of a file; `None` if the file has no drafts.
#[must_use]
pub fn path_of(name: &str) -> Option<String> {
    IDENTITY.contains(&name).then(|| format!("{PROPOSED}/{name}"))
}

/// The drafts that differ from their files, with their origin if the person may see it. Blocking.
///
/// # Errors
/// If the folder or store cannot be read.
pub fn of(ws: &Ws, tx: &dyn Read, agent: &Agent, who: &Person) -> Result<Vec<Draft>, FilesError> {
    let mut drafts = waiting(ws, agent)?;
    if !drafts.is_empty() {
        find_makers(tx, agent, &mut drafts)?;
    }
    for draft in &mut drafts {
        // Hide the run from people who may not view its conversation.
        if let Some(maker) = &draft.maker
            && !talk::may_see_run(tx, &maker.run, who.account, who.role)?
        {
            draft.maker = None;
        }
    }
    Ok(drafts)
}

/// Number of drafts of all agents. Blocking.
pub fn count(ws: &Ws, tx: &dyn Read) -> Result<usize, StoreError> {
    Ok(count_of(ws, &super::all(tx)?))
}

/// Number of drafts of these agents. Without drafts it costs two folder lookups per agent. Blocking.
#[must_use]
pub fn count_of(ws: &Ws, agents: &[Agent]) -> usize {
    let mut count = 0;
    for agent in agents {
        let folders = [ws.agent_folder(&agent.slug), there::copy_of(ws, &agent.slug)];
        if !folders.iter().any(|folder| folder.join(PROPOSED).is_dir()) {
            continue;
        }
        match waiting(ws, agent) {
            Ok(drafts) => count += drafts.len(),
            Err(error) => {
                tracing::warn!(agent.id = %agent.id, "its drafts cannot be read: {error}");
            }
        }
    }
    count
}

fn waiting(ws: &Ws, agent: &Agent) -> Result<Vec<Draft>, FilesError> {
    let folder = there::last_folder(ws, agent)?;
    if !folder.join(PROPOSED).is_dir() {
        return Ok(Vec::new());
    }
    let files = AgentFiles::open(&folder)?;
    let mut drafts = Vec::new();
    for name in IDENTITY {
        let path = format!("{PROPOSED}/{name}");
        let Some(text) = text_of(&files, &path)? else { continue };
        let now = text_of(&files, name)?.flatten().unwrap_or_default();
        if text.as_ref() == Some(&now) {
            continue;
        }
        let text = text.map(|text| {
            let hash = editing::hash(&text);
            (text, hash)
        });
        drafts.push(Draft { name, path, text, now, maker: None });
    }
    Ok(drafts)
}

/// Text of a file: `None` if it does not exist, `Some(None)` if it is not text or too long.
fn text_of(files: &AgentFiles, path: &str) -> Result<Option<Option<String>>, GitError> {
    let most = MAX_TEXT as u64;
    match files.read_up_to(path, most) {
        Ok(Some(part)) if most < part.total => Ok(Some(None)),
        Ok(Some(part)) => Ok(Some(of_bytes(part.bytes, false))),
        Ok(None) | Err(GitError::Path { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds the last program call that changed each draft.
fn find_makers(tx: &dyn Read, agent: &Agent, drafts: &mut [Draft]) -> Result<(), StoreError> {
    for hit in runs::of_agent(tx, agent.id, None, LOOKED_AT)? {
        if drafts.iter().all(|draft| draft.maker.is_some()) {
            break;
        }
        let run = hit.record;
        let events = steps::events_of(tx, &run)?;
        for step in Steps::fold(run.first_event, events, &|_| None).all.into_iter().rev() {
            let What::Tool(call) = step.what else { continue };
            for draft in drafts.iter_mut().filter(|draft| draft.maker.is_none()) {
                if call.paths.contains(&draft.path) {
                    let (run, at, program) = (run.clone(), step.at, program_of(&call));
                    draft.maker = Some(Maker { run, at, program });
                }
            }
        }
    }
    Ok(())
}

/// Command line of a call; the tool name for other tools.
fn program_of(call: &ToolCall) -> String {
    // ok: a model may write invalid JSON.
    let given: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    match given.get("command").and_then(Value::as_str) {
        Some(command) => ellipsis(&one_line(command), LINE),
        None => call.name.clone(),
    }
}
