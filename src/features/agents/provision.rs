//! An agent's files: its branch from the template's, its folder from its branch.
//!
//! The record says `provisioning` before the first file is made and `ready` after the last one.
//! Each step may be done twice, so a crash in between is mended by doing all of it again.

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

/// The files whose lines follow the record, as long as they are as HQ wrote them.
const LINES: [&str; 2] = ["IDENTITY.md", "USER.md"];
/// A larger file is one that HQ did not write, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// The templates there are, by slug.
#[must_use]
pub fn template_names() -> Vec<&'static str> {
    templates::builtin().iter().map(|template| template.slug.as_str()).collect()
}

/// Makes the files of an agent that waits for them and says that it is ready, or why not.
///
/// # Errors
/// When the store refuses; a failure with files is kept in the record.
pub async fn make(ws: &Ws, who: &impl Who, id: AgentId) -> Result<Agent, AgentError> {
    let agent = ws.read(|snap| snap.get::<Agent>(id))?;
    let agent = agent.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
    // One at a time: whoever asks for the same agent meanwhile finds it made.
    let _turn = ws.paths.hold(&ws.agent_folder(&agent.slug)).await;
    let agent = ws.read(|snap| snap.get::<Agent>(id))?;
    let agent = agent.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
    if agent.status != AgentStatus::Provisioning {
        // Its files are its own by now: making them again would undo its work.
        return Ok(agent);
    }
    let (here, who_it_is) = (ws.clone(), persona(ws, &agent)?);
    let made = tokio::task::spawn_blocking(move || make_files(&here, &agent, &who_it_is)).await;
    let made = match made {
        Ok(made) => made.map_err(|error| error.to_string()),
        Err(_) => Err("the set-up of its files ended in an error of HQ; try again".to_owned()),
    };
    ws.write(who, move |tx| match made {
        Ok(version) => rules::provisioned(tx, id, version),
        Err(reason) => rules::provision_failed(tx, id, &reason),
    })
    .await
}

/// Finishes what a crash has left half made: called once when a workspace is opened.
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

/// Brings the templates in the repository up to what comes with this HQ, where nobody but HQ has changed them. No agent
/// changes by that; it is what offers are made of.
async fn seed(ws: &Ws) {
    let ws = ws.clone();
    let seeded = tokio::task::spawn_blocking(move || {
        // A workspace without any gets them with its first agent.
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

/// Notes which version of its template an agent has that was made before that was noted.
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

/// Makes them, and tells from which version of the template.
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

/// The files of a template as they are in the repository, where a person may have changed them.
pub(super) fn files_at(repo: &AgentsRepo, at: &At) -> Result<Vec<File>, GitError> {
    let mut files = Vec::new();
    for listed in repo.tree(at)? {
        files.extend(repo.read_file(at, &listed.path)?);
    }
    Ok(files)
}

/// The version of its template that an agent has, also of one from before that was noted.
pub(super) fn version(repo: &AgentsRepo, agent: &Agent) -> Result<Option<CommitId>, GitError> {
    match agent.template_commit {
        Some(version) => Ok(Some(version)),
        None => repo.fork(&Branch::agent(&agent.slug)?, &Branch::template(&agent.template)?),
    }
}

/// What the files of an agent are told of it now.
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

/// Writes what the record says of an agent into its manifest, and into those lines of its files that are still as
/// HQ wrote them; all other lines stay. It looks at the record when it has its turn: of two changes the later one
/// stays, in whatever order they are told.
///
/// # Errors
/// When the disk or the repository fails.
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
        let before = kept.map_or_else(|| now.clone(), |file| now.told(&file.bytes));
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

/// Whether the manifest as it lies here says what the record says of an agent. Blocks on the disk.
///
/// # Errors
/// When the store or the disk fails.
pub fn is_told(ws: &Ws, agent: &Agent) -> Result<bool, FilesError> {
    let folder = ws.agent_folder(&agent.slug);
    if !folder.is_dir() {
        return Ok(false);
    }
    let wanted = persona(ws, agent)?.manifest();
    let there = AgentFiles::open(&folder)?.read_up_to(MANIFEST, wanted.len() as u64 + 1)?;
    Ok(there.is_some_and(|part| part.bytes == wanted.as_bytes()))
}

/// Tells the files when something that they say has changed. The record is the truth: when its
/// files cannot be written now they are behind, which is logged and mended at the next start.
pub async fn tell_change(ws: &Ws, author: Author, before: &Agent, now: &Agent) {
    let told = |agent: &Agent| Agent {
        name: agent.name.clone(),
        emoji: agent.emoji.clone(),
        role: agent.role.clone(),
        description: agent.description.clone(),
        domains: agent.domains.clone(),
        capabilities: agent.capabilities.clone(),
        reports_to: agent.reports_to,
        ..before.clone()
    };
    if told(before) == told(now) {
        return;
    }
    if let Err(error) = tell_files(ws, now, author).await {
        tracing::warn!(agent.id = %now.id, "the agent's manifest is behind: {error}");
    }
}
