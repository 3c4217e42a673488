//! An agent's files: its branch from the template's, its folder from its branch.
//!
//! The record says `provisioning` before the first file is made and `ready` after the last one.
//! Each step may be done twice, so a crash in between is mended by doing all of it again.

use crate::workspace::model::{Member, Settings};
use app::{Who, Ws};
use git::files::AgentFiles;
use git::history::At;
use git::snapshot::Paths;
use git::{AgentsRepo, Author, Branch, Entry, File, GitError};
use kernel::{Actor, AgentId, AgentStatus, Cause, Part, Timestamp};
use store::{ReadExt, StoreError};

use super::model::Agent;
use super::queries::{self, lines};
use super::rules::{self, AgentError};
use super::templates::{self, MANIFEST, Persona};

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
    let plan = ws.read(|snap| {
        let agent = snap.get::<Agent>(id)?.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
        let owner = match lines::first_person(snap, id)? {
            Some(account) => snap.get::<Member>(account)?.map(|member| member.name),
            None => None,
        };
        let workspace = snap.get::<Settings>(())?.map(|settings| settings.name);
        Ok::<_, AgentError>((agent, owner.unwrap_or_default(), workspace.unwrap_or_default()))
    })?;
    let (agent, owner, workspace) = plan;
    if agent.status != AgentStatus::Provisioning {
        // Its files are its own by now: making them again would undo its work.
        return Ok(agent);
    }
    let (here, now) = (ws.clone(), ws.app.clock.now());
    let made =
        tokio::task::spawn_blocking(move || make_files(&here, &agent, &owner, &workspace, now))
            .await;
    let failure = match made {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("the set-up of its files ended in an error of HQ; try again".to_owned()),
    };
    ws.write(who, move |tx| match failure {
        None => rules::provisioned(tx, id),
        Some(reason) => rules::provision_failed(tx, id, &reason),
    })
    .await
}

/// Finishes what a crash has left half made: called once when a workspace is opened.
///
/// # Errors
/// When the store fails.
pub async fn complete_provisioning(ws: &Ws) -> Result<(), AgentError> {
    let waiting: Vec<AgentId> = ws.read(|snap| {
        let all = queries::all(snap)?;
        let waits = all.into_iter().filter(|agent| agent.status == AgentStatus::Provisioning);
        Ok::<_, StoreError>(waits.map(|agent| agent.id).collect())
    })?;
    let who = (Actor::System(Part::Engine), Cause::Setup);
    for id in waiting {
        let agent = make(ws, &who, id).await?;
        tracing::info!(agent.id = %id, status = %agent.status, "finished setting up an agent");
    }
    Ok(())
}

fn make_files(
    ws: &Ws,
    agent: &Agent,
    owner: &str,
    workspace: &str,
    now: Timestamp,
) -> Result<(), GitError> {
    let repo = ws.repo()?;
    let branch = Branch::agent(&agent.slug)?;
    if repo.head(&branch)?.is_none() {
        for template in templates::builtin() {
            repo.ensure_template(&template.slug, &template.files, now)?;
        }
        let role = templates::find(&agent.template).map_or("", |t| t.manifest.role.as_str());
        let who = Persona { owner, workspace, role, ..persona(agent) };
        let files = template_files(repo, &agent.template)?;
        let entry = Entry {
            author: &Author::hq(),
            message: &format!("agent: Set up {}", agent.name),
            time: now,
        };
        let personal = templates::personalise(&files, &who);
        repo.create_agent_branch(&agent.slug, &agent.template, &personal, &entry)?;
    }
    repo.checkout(&branch, &ws.agent_folder(&agent.slug))?;
    AgentFiles::create(&ws.agent_scratch(&agent.slug)).map(|_| ())
}

/// The files of a template as they are in the repository, where a person may have changed them.
fn template_files(repo: &AgentsRepo, template: &str) -> Result<Vec<File>, GitError> {
    let at = At::Branch(Branch::template(template)?);
    let mut files = Vec::new();
    for listed in repo.tree(&at)? {
        files.extend(repo.read_file(&at, &listed.path)?);
    }
    Ok(files)
}

fn persona(agent: &Agent) -> Persona<'_> {
    Persona {
        slug: &agent.slug,
        name: &agent.name,
        emoji: &agent.emoji,
        role: "",
        description: &agent.description,
        template: &agent.template,
        owner: "",
        workspace: "",
    }
}

/// Writes what the record says of an agent into its manifest, where that says something else. It looks at
/// the record when it has its turn: of two changes the later one stays, in whatever order they are told.
///
/// # Errors
/// When the disk or the repository fails.
pub async fn tell_files(ws: &Ws, agent: &Agent, author: Author) -> Result<(), GitError> {
    let folder = ws.agent_folder(&agent.slug);
    let _turn = ws.paths.hold(&folder.join(MANIFEST)).await;
    let (ws, id, now) = (ws.clone(), agent.id, ws.app.clock.now());
    let told = tokio::task::spawn_blocking(move || {
        let found = ws.read(|snap| snap.get::<Agent>(id));
        let Some(agent) = found.unwrap_or_else(|error| {
            tracing::warn!(agent.id = %id, "the record of an agent cannot be read: {error}");
            None
        }) else {
            return Ok(());
        };
        let (branch, repo) = (Branch::agent(&agent.slug)?, ws.repo()?);
        let wanted = templates::manifest(&persona(&agent));
        let files = AgentFiles::open(&folder)?;
        let there = files.read_up_to(MANIFEST, wanted.len() as u64 + 1)?;
        let is_there = there.is_some_and(|part| part.bytes == wanted.as_bytes());
        let kept = repo.read_file(&At::Branch(branch.clone()), MANIFEST)?;
        if is_there && kept.is_some_and(|file| file.bytes == wanted.as_bytes()) {
            return Ok(());
        }
        files.write(&File::new(MANIFEST, wanted))?;
        let message = format!("agent: Describe {}", agent.name);
        let entry = Entry { author: &author, message: &message, time: now };
        let only = [MANIFEST.to_owned()];
        repo.commit_paths(&branch, &folder, Paths::Only(&only), &entry).map(|_| ())
    });
    told.await.unwrap_or_else(|error| {
        tracing::error!("telling an agent's files about it failed: {error}");
        Ok(())
    })
}

/// Tells the files when something that they say has changed. The record is the truth: when its
/// files cannot be written now they are behind, which is logged and mended at the next start.
pub async fn tell_change(ws: &Ws, author: Author, before: &Agent, now: &Agent) {
    let told = |agent: &Agent| (agent.name.clone(), agent.emoji.clone(), agent.description.clone());
    if told(before) == told(now) {
        return;
    }
    if let Err(error) = tell_files(ws, now, author).await {
        tracing::warn!(agent.id = %now.id, "the agent's manifest is behind: {error}");
    }
}
