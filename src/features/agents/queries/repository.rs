//! Whether the history of agents' files is whole, and its repair: what `hq doctor files`, Health, each start and the
//! restore drill ask. Blocking.

use std::io;

use app::Ws;
use git::check::{self, Checked, Depth, Fault};
use git::{Author, Branch, Entry, GitError};
use serde::{Deserialize, Serialize};
use tool::leaks;

/// What was found in the repository of a workspace.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Found {
    /// The workspace.
    pub workspace: String,
    /// How many branches there are.
    pub branches: usize,
    /// How many objects were compared with their names.
    pub objects: usize,
    /// What is wrong, in sentences.
    pub faults: Vec<String>,
    /// What was put right, and what of it is lost, in sentences.
    pub repaired: Vec<String>,
}

/// Looks at the history of agents' files. Where no agent has files, nothing is opened.
#[must_use]
pub fn look(ws: &Ws, depth: Depth) -> Found {
    match checked(ws, depth) {
        Ok(checked) => found(ws, &checked),
        Err(error) => {
            let (workspace, faults) = (ws.slug.clone(), vec![error.to_string()]);
            Found { workspace, faults, ..Found::default() }
        }
    }
}

fn found(ws: &Ws, checked: &Checked) -> Found {
    Found {
        workspace: ws.slug.clone(),
        branches: checked.branches,
        objects: checked.objects,
        faults: checked.faults.iter().map(words).collect(),
        repaired: Vec::new(),
    }
}

fn checked(ws: &Ws, depth: Depth) -> Result<Checked, GitError> {
    let agents = agents(ws)?;
    match agents.is_empty() {
        true => Ok(Checked::default()),
        false => Ok(ws.repo()?.check(&agents, depth)),
    }
}

fn agents(ws: &Ws) -> Result<Vec<String>, GitError> {
    let folder = ws.folder.join("agents");
    check::agents_in(&folder).map_err(|source: io::Error| GitError::Disk { path: folder, source })
}

fn words(fault: &Fault) -> String {
    let Fault { branch, what, is_newest } = fault;
    match is_newest {
        true => format!("{branch}: {what}"),
        false => format!("{branch}: older versions cannot be read: {what}"),
    }
}

/// Lets each branch whose newest version is lost begin anew with what lies in the folder of its agent. A repository that
/// does not open is put aside. What is lost is said; a backup may have it.
pub fn repair(ws: &Ws) -> Result<Found, GitError> {
    let now = ws.app.clock.now();
    let aside = ws.folder.join(format!("agents.git.damaged-{}", now.as_second()));
    let opens = ws.repo().is_ok();
    if !opens {
        check::put_aside(&ws.folder.join("agents.git"), &aside)?;
    }
    let repo = ws.repo()?;
    let agents = agents(ws)?;
    let checked = repo.check(&agents, Depth::Objects);
    let mut repaired = Vec::new();
    if !opens {
        repaired.push(format!("the repository did not open and lies in {} now", aside.display()));
    }
    let refuses =
        |_: &str, bytes: &[u8]| leaks::in_file(&ws.app.redactor, bytes).map(|leak| leak.why);
    for slug in agents {
        let branch = Branch::agent(&slug)?;
        let lost = |fault: &&Fault| fault.branch == branch && fault.is_newest;
        if !checked.faults.iter().any(|fault| lost(&fault)) {
            continue;
        }
        let author = Author::hq();
        let message = format!("Begin anew after the history was lost\n\nAgent: {slug}\n");
        let entry = Entry { author: &author, message: &message, time: now };
        let skipped = repo.begin_anew(&branch, &ws.agent_folder(&slug), &refuses, &entry)?;
        let mut said = format!(
            "{slug}: the files are kept as they lie in the folder; their older versions are lost, and what was deleted"
        );
        if !skipped.is_empty() {
            let paths: Vec<&str> = skipped.iter().map(|one| one.path.as_str()).collect();
            said.push_str(&format!("; not taken: {}", paths.join(", ")));
        }
        repaired.push(said);
    }
    // Reading every object takes long; where nothing was changed it stands as it was found.
    match repaired.is_empty() {
        true => Ok(found(ws, &checked)),
        false => Ok(Found { repaired, ..look(ws, Depth::Objects) }),
    }
}
