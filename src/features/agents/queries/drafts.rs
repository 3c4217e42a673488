//! Drafts of the files that say who an agent is: what its programs have made of them. A program changes none of these
//! files; what it has written lies beside until a person takes or refuses it.

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

/// Where they lie in the agent's folder.
pub const PROPOSED: &str = "proposed";
/// In so many of an agent's last runs the program is looked for that has made one.
const LOOKED_AT: usize = 20;
/// The most of a command line that is told, in characters.
const LINE: usize = 160;

/// A draft of a file.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The file.
    pub name: &'static str,
    /// Where the draft lies.
    pub path: String,
    /// The draft and the hash of it; none where it is no text or too long for one.
    pub text: Option<(String, String)>,
    /// What the file says now; empty where there is none.
    pub now: String,
    /// The program that has made it, as far as that is known and may be seen.
    pub maker: Option<Maker>,
}

impl Draft {
    /// The lines before and after; empty where it is no text or too long for one.
    #[must_use]
    pub fn diff(&self) -> String {
        let text = self.text.as_ref();
        text.map(|(text, _)| diff::whole(self.name, &self.now, text)).unwrap_or_default()
    }
}

/// What has made a draft.
#[derive(Clone, Debug)]
pub struct Maker {
    pub run: Run,
    pub at: Timestamp,
    /// The command line.
    pub program: String,
}

/// The path of the draft of a file; none for a file that has none.
#[must_use]
pub fn path_of(name: &str) -> Option<String> {
    IDENTITY.contains(&name).then(|| format!("{PROPOSED}/{name}"))
}

/// The drafts of an agent that differ from the files, with what has made them as far as this person may see it. Blocking.
///
/// # Errors
/// When its folder or the store cannot be read.
pub fn of(ws: &Ws, tx: &dyn Read, agent: &Agent, who: &Person) -> Result<Vec<Draft>, FilesError> {
    let mut drafts = waiting(ws, agent)?;
    if !drafts.is_empty() {
        find_makers(tx, agent, &mut drafts)?;
    }
    for draft in &mut drafts {
        // Whose conversation it was is not told to those who may not see it.
        if let Some(maker) = &draft.maker
            && !talk::may_see_run(tx, &maker.run, who.account, who.role)?
        {
            draft.maker = None;
        }
    }
    Ok(drafts)
}

/// How many wait, of all agents. Blocking.
pub fn count(ws: &Ws, tx: &dyn Read) -> Result<usize, StoreError> {
    Ok(count_of(ws, &super::all(tx)?))
}

/// How many of these agents' wait. Where there are none it costs a look at two folders an agent. Blocking.
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

/// What a file says: nothing when there is none, and nothing in it when it is no text or too long for one.
fn text_of(files: &AgentFiles, path: &str) -> Result<Option<Option<String>>, GitError> {
    let most = MAX_TEXT as u64;
    match files.read_up_to(path, most) {
        Ok(Some(part)) if most < part.total => Ok(Some(None)),
        Ok(Some(part)) => Ok(Some(of_bytes(part.bytes, false))),
        Ok(None) | Err(GitError::Path { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Finds the last call of a program after which each draft was another.
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

/// The command line of a call; of other tools the name.
fn program_of(call: &ToolCall) -> String {
    // ok: what a model wrote may be anything.
    let given: Value = serde_json::from_str(&call.arguments).unwrap_or_default();
    match given.get("command").and_then(Value::as_str) {
        Some(command) => ellipsis(&one_line(command), LINE),
        None => call.name.clone(),
    }
}
