//! Creates an agent's files: its branch from the template's branch, its folder from its own branch.
//!
//! The status is `provisioning` until the last file exists, then `ready`. Every step is idempotent, so a crash is
//! fixed by repeating all steps.

use crate::users::model::Account;
use crate::workspace::model::{Member, Settings};
use app::{Who, Ws};
use git::files::AgentFiles;
use git::history::At;
use git::{AgentsRepo, Author, Branch, CommitId, Entry, File, GitError};
use kernel::text::of_bytes;
use kernel::{Actor, AgentId, AgentStatus, Cause, Part, Timestamp};
use store::{ReadExt, StoreError};

use super::desk;
use super::files::FilesError;
use super::model::Agent;
use super::queries::{self, lines};
use super::rules::{self, AgentError};
use super::templates::{self, MANIFEST, Persona};
use super::upgrade;

/// Files with lines that follow the record, as long as they are as HQ wrote them.
const LINES: [&str; 2] = ["IDENTITY.md", "USER.md"];
/// Larger files were not written by HQ; in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Slugs of the built-in templates.
#[must_use]
pub fn template_names() -> Vec<&'static str> {
    templates::builtin().iter().map(|template| template.slug.as_str()).collect()
}

/// Creates the files of a waiting agent and sets its status to ready or error.
///
/// # Errors
/// If the store fails. A failure with files is recorded in the status.
pub async fn make(ws: &Ws, who: &impl Who, id: AgentId) -> Result<Agent, AgentError> {
    let agent = ws.read(|snap| snap.get::<Agent>(id))?;
    let agent = agent.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
    // Serialize set-ups: a concurrent caller finds the agent ready.
    let _turn = ws.paths.hold(&ws.agent_folder(&agent.slug)).await;
    let agent = ws.read(|snap| snap.get::<Agent>(id))?;
    let agent = agent.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
    if agent.status != AgentStatus::Provisioning {
        // Its files are in use; creating them again would undo its work.
        return Ok(agent);
    }
    let (here, who_it_is) = (ws.clone(), persona(ws, &agent)?);
    let made = tokio::task::spawn_blocking(move || make_files(&here, &agent, &who_it_is)).await;
    let made = match made {
        Ok(made) => made.map_err(|error| error.to_string()),
        Err(_) => Err("HQ couldn't set up its files; try again".to_owned()),
    };
    ws.write(who, move |tx| match made {
        Ok(version) => rules::provisioned(tx, id, version),
        Err(reason) => rules::provision_failed(tx, id, &reason),
    })
    .await
}

/// Completes set-ups after a crash. Called once when a workspace is opened.
pub async fn complete_provisioning(ws: &Ws) -> Result<(), AgentError> {
    let waiting: Vec<AgentId> = ws.read(|snap| {
        let all = queries::all(snap)?;
        let waits = all.into_iter().filter(|agent| agent.status == AgentStatus::Provisioning);
        Ok::<_, StoreError>(waits.map(|agent| agent.id).collect())
    })?;
    let who = (Actor::System(Part::Engine), Cause::Setup);
    seed(ws).await;
    note_versions(ws, &who).await?;
    upgrade::apply::finish(ws, &who).await?;
    for id in waiting {
        let agent = make(ws, &who, id).await?;
        tracing::info!(agent.id = %id, status = %agent.status, "finished setting up an agent");
    }
    Ok(())
}

/// Updates the templates in the repository to the built-in ones, unless a person has changed them. Agents are not
/// changed; upgrade offers are computed from this.
async fn seed(ws: &Ws) {
    let ws = ws.clone();
    let seeded = tokio::task::spawn_blocking(move || {
        // A workspace without templates gets them with its first agent.
        let (repo, first) = (ws.repo()?, Branch::template(templates::DEFAULT)?);
        if repo.head(&first)?.is_some() {
            seed_into(repo, ws.app.clock.now())?;
        }
        Ok::<_, GitError>(())
    });
    match seeded.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!("templates are as they were: {error}"),
        Err(error) => tracing::error!("bringing templates up to date failed: {error}"),
    }
}

/// Records the template version of agents created before versions were recorded.
async fn note_versions(ws: &Ws, who: &impl Who) -> Result<(), AgentError> {
    let mut unknown = ws.read(|snap| queries::all(snap))?;
    unknown.retain(|agent| {
        agent.template_commit.is_none() && agent.status != AgentStatus::Provisioning
    });
    if unknown.is_empty() {
        return Ok(());
    }
    let own = ws.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let repo = own.repo()?;
        let known = |agent: Agent| Ok(version(repo, &agent)?.map(|version| (agent.id, version)));
        unknown.into_iter().filter_map(|agent| known(agent).transpose()).collect()
    });
    let known: Vec<(AgentId, CommitId)> = match looked.await {
        Ok(Ok(known)) => known,
        Ok(Err(error)) => {
            let error: GitError = error;
            tracing::warn!("the versions of agents' templates are not known: {error}");
            return Ok(());
        }
        Err(error) => {
            tracing::error!("looking for versions of templates failed: {error}");
            return Ok(());
        }
    };
    ws.write(who, move |tx| {
        known.into_iter().try_for_each(|(id, version)| rules::version::known(tx, id, version))
    })
    .await
}

fn seed_into(repo: &AgentsRepo, time: Timestamp) -> Result<(), GitError> {
    for template in templates::builtin() {
        repo.ensure_template(&template.slug, &template.files, time)?;
    }
    Ok(())
}

/// Creates the files. Returns the template version used.
fn make_files(ws: &Ws, agent: &Agent, who: &Persona) -> Result<Option<CommitId>, GitError> {
    let repo = ws.repo()?;
    let branch = Branch::agent(&agent.slug)?;
    if repo.head(&branch)?.is_none() {
        let time = ws.app.clock.now();
        seed_into(repo, time)?;
        let files = files_at(repo, &At::Branch(Branch::template(&agent.template)?))?;
        let message = format!("agent: Set up {}", agent.name);
        let entry = Entry { author: &Author::hq(), message: &message, time };
        let personal = templates::personalise(&files, who);
        repo.create_agent_branch(&agent.slug, &agent.template, &personal, &entry)?;
    }
    repo.checkout(&branch, &ws.agent_folder(&agent.slug))?;
    AgentFiles::create(&ws.agent_scratch(&agent.slug))?;
    repo.fork(&branch, &Branch::template(&agent.template)?)
}

/// Files of a template in the repository, where a person may have changed them.
pub(super) fn files_at(repo: &AgentsRepo, at: &At) -> Result<Vec<File>, GitError> {
    let mut files = Vec::new();
    for listed in repo.tree(at)? {
        files.extend(repo.read_file(at, &listed.path)?);
    }
    Ok(files)
}

/// Template version of an agent, also if it was created before versions were recorded.
pub(super) fn version(repo: &AgentsRepo, agent: &Agent) -> Result<Option<CommitId>, GitError> {
    match agent.template_commit {
        Some(version) => Ok(Some(version)),
        None => repo.fork(&Branch::agent(&agent.slug)?, &Branch::template(&agent.template)?),
    }
}

/// Current values for an agent's files.
pub(super) fn persona(ws: &Ws, agent: &Agent) -> Result<Persona, StoreError> {
    let (settings, owner) = ws.read(|snap| {
        let owner = lines::first_person(snap, agent.id)?;
        let owner = owner.map(|account| snap.get::<Member>(account)).transpose()?.flatten();
        Ok::<_, StoreError>((snap.get::<Settings>(())?, owner))
    })?;
    let account = match &owner {
        Some(owner) => ws.app.system.read(|snap| snap.get::<Account>(owner.account))?,
        None => None,
    };
    let (workspace, zone) = settings.map(|one| (one.name, one.zone)).unwrap_or_default();
    Ok(Persona {
        owner: owner.map(|owner| owner.name).unwrap_or_default(),
        zone: account.and_then(|account| account.zone).unwrap_or(zone),
        workspace,
        ..Persona::of(agent)
    })
}

/// Writes the record's values into the manifest, and into lines of its files that are still as HQ wrote them. All
/// other lines stay. The record is read after the lock is taken, so the latest of several changes wins in any order
/// of calls.
///
/// # Errors
/// If the disk or repository fails.
pub async fn tell_files(ws: &Ws, agent: &Agent, author: Author) -> Result<(), FilesError> {
    let id = agent.id;
    let held = LINES.into_iter().chain([MANIFEST]).map(str::to_owned).collect();
    desk::at(ws, agent, author, held, move |desk| {
        let Some(agent) = desk.ws.read(|snap| snap.get::<Agent>(id))? else { return Ok(()) };
        let (repo, now) = (desk.ws.repo()?, persona(&desk.ws, &agent)?);
        let wanted = now.manifest();
        let there = desk.files.read_up_to(MANIFEST, wanted.len() as u64 + 1)?;
        let is_there = there.is_some_and(|part| part.bytes == wanted.as_bytes());
        let kept = repo.read_file(&At::Branch(desk.branch.clone()), MANIFEST)?;
        if is_there && kept.as_ref().is_some_and(|file| file.bytes == wanted.as_bytes()) {
            return Ok(());
        }
        let before = kept.map_or_else(|| now.clone(), |file| now.with_manifest(&file.bytes));
        let mut changed = vec![File::new(MANIFEST, wanted)];
        if let Some(version) = version(repo, &agent)? {
            for path in LINES {
                let template = repo.read_file(&At::Commit(version), path)?;
                let text =
                    desk.files.read_up_to(path, MAX_TEXT)?.filter(|one| one.total <= MAX_TEXT);
                let (Some(template), Some(part)) = (template, text) else { continue };
                let Some(text) = of_bytes(part.bytes, false) else { continue };
                let renewed = templates::renewed(&template, (&before, &now), &text);
                if renewed != text {
                    let (bytes, executable) = (renewed.into_bytes(), part.executable);
                    changed.push(File { path: path.to_owned(), bytes, executable });
                }
            }
        }
        let paths: Vec<&str> = changed.iter().map(|file| file.path.as_str()).collect();
        desk.keep(&paths)?;
        for file in &changed {
            desk.files.write(file)?;
        }
        desk.commit(&paths, &format!("agent: Describe {}", agent.name))?;
        Ok(())
    })
    .await
}

/// Whether the local manifest matches the record. Blocking.
///
/// # Errors
/// If the store or disk fails.
pub fn is_told(ws: &Ws, agent: &Agent) -> Result<bool, FilesError> {
    let folder = ws.agent_folder(&agent.slug);
    if !folder.is_dir() {
        return Ok(false);
    }
    let wanted = persona(ws, agent)?.manifest();
    let there = AgentFiles::open(&folder)?.read_up_to(MANIFEST, wanted.len() as u64 + 1)?;
    Ok(there.is_some_and(|part| part.bytes == wanted.as_bytes()))
}

/// Updates the files after a relevant change of the record. The record is authoritative: a failed update is logged
/// and repeated at the next start.
pub async fn tell_change(ws: &Ws, author: Author, before: &Agent, now: &Agent) {
    let shown = |agent: &Agent| Agent {
        name: agent.name.clone(),
        emoji: agent.emoji.clone(),
        role: agent.role.clone(),
        description: agent.description.clone(),
        domains: agent.domains.clone(),
        capabilities: agent.capabilities.clone(),
        reports_to: agent.reports_to,
        ..before.clone()
    };
    if shown(before) == shown(now) {
        return;
    }
    if let Err(error) = tell_files(ws, now, author).await {
        tracing::warn!(agent.id = %now.id, "the agent's manifest is behind: {error}");
    }
}
