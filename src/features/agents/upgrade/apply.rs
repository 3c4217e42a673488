//! Applies, declines and reverts upgrades. One upgrade is one commit and is reverted as a whole.

use std::collections::{BTreeMap, BTreeSet};

use crate::runs::queries as runs;
use app::{Who, Ws};
use git::history::At;
use git::{Author, Branch, CommitId, File, GitError};
use kernel::RunState;
use kernel::text::of_bytes;
use store::{ReadExt, Snap};
use tool::leaks;
use tool::merge::Side;
use web::session::Person;

use super::compare::{Choice, Outcome};
use super::{Offer, Shelf, UpgradeError, made, offer, offers, usable};
use crate::agents::desk::{self, LockedFolder};
use crate::agents::editing::Hand;
use crate::agents::files::FilesError;
use crate::agents::model::Agent;
use crate::agents::provision;
use crate::agents::queries;
use crate::agents::rules::{self, AgentError};
use crate::agents::templates::{self, MANIFEST, Persona};

/// Trailer of an upgrade commit with the applied version.
const VERSION: &str = "Version: ";
/// Trailer with the previous version.
const BEFORE: &str = "Before: ";

/// Request to apply an upgrade.
#[derive(Clone, Debug, Default)]
pub struct UpgradeRequest {
    /// Another template than the agent's own.
    pub template: Option<String>,
    /// Mark of the offer that was reviewed; `None` accepts the current offer.
    pub mark: Option<String>,
    /// Choices by path.
    pub choices: BTreeMap<String, Choice>,
    /// Choice for all other conflicts.
    pub rest: Option<Side>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// `None` if only the record changed.
    pub commit: Option<CommitId>,
    /// Changed files.
    pub paths: Vec<String>,
}

/// Applies the newest version of a template.
///
/// # Errors
/// If a conflict is undecided, the agent is at work, or the offer has changed.
pub async fn apply(hand: Hand<'_>, wish: UpgradeRequest) -> Result<Applied, UpgradeError> {
    let Hand { ws, agent, who } = hand;
    let seen = offer(ws, agent, wish.template.as_deref()).await?;
    let mut held: BTreeSet<String> = seen.changes.iter().map(|one| one.path.clone()).collect();
    held.insert(MANIFEST.to_owned());
    let (id, paths) = (agent.id, held.clone());
    let author = Author::person(&who.name, who.account);
    let (applied, upgraded) = desk::at(ws, agent, author, held, move |desk| {
        desk.disk_has_room()?;
        // Other writers may have changed the files before they were locked, so compute the offer again.
        let agent = desk.ws.read(|snap| snap.get::<Agent>(id))?;
        let agent = agent.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
        usable(&agent)?;
        at_rest(desk, &agent)?;
        let template = wish.template.as_deref().unwrap_or(&agent.template);
        let offer = made(&desk.ws, &agent, template, &mut Shelf::default())?;
        let is_other = wish.mark.as_ref().is_some_and(|mark| *mark != offer.mark);
        if is_other || !offer.changes.iter().all(|change| paths.contains(&change.path)) {
            return Err(UpgradeError::Moved);
        }
        if !offer.is_any() && !offer.is_move() {
            return Err(UpgradeError::Nothing(agent.name));
        }
        take(desk, &agent, &offer, &wish)
    })
    .await?;
    let (changed_paths, commit) = (applied.paths.clone(), applied.commit);
    ws.write(who, move |tx| {
        if let Some(commit) = commit {
            changed_paths.into_iter().for_each(|path| rules::files_changed(tx, id, path, commit));
        }
        rules::version::taken(tx, id, upgraded).map(drop)
    })
    .await?;
    Ok(applied)
}

/// Writes and commits the chosen changes.
fn take(
    desk: &LockedFolder,
    agent: &Agent,
    offer: &Offer,
    wish: &UpgradeRequest,
) -> Result<(Applied, Agent), UpgradeError> {
    let rest = wish.rest.map(Choice::All);
    let (mut outcomes, mut undecided) = (Vec::new(), Vec::new());
    for change in &offer.changes {
        match change.outcome(wish.choices.get(&change.path).or(rest.as_ref())) {
            None => undecided.push(change.path.clone()),
            Some(Outcome::Stays) => {}
            Some(outcome) => outcomes.push((change.path.as_str(), outcome)),
        }
    }
    if !undecided.is_empty() {
        return Err(UpgradeError::Undecided(undecided));
    }
    for (path, outcome) in &outcomes {
        if let Outcome::Written(file) = outcome
            && let Some(text) = of_bytes(file.bytes.clone(), false)
            && let Some(leak) = leaks::first(&desk.ws.app.redactor, &text)
        {
            return Err(UpgradeError::Key { path: (*path).to_owned(), leak });
        }
    }
    let manifest = provision::persona(&desk.ws, &offer.agent)?.manifest();
    let mut paths: Vec<&str> = outcomes.iter().map(|(path, _)| *path).collect();
    paths.push(MANIFEST);
    for path in &paths {
        desk.files.has_place(path)?;
    }
    desk.keep(&paths)?;
    let manifest = File::new(MANIFEST, manifest);
    let mut files: BTreeMap<&str, Option<&File>> = BTreeMap::from([(MANIFEST, Some(&manifest))]);
    for (path, outcome) in &outcomes {
        match outcome {
            Outcome::Written(file) => drop(files.insert(*path, Some(file))),
            Outcome::Removed => drop(files.insert(*path, None)),
            Outcome::Stays => {}
        }
    }
    // Commit first: after a kill the missing changes in the folder are then known, and [`finish`] applies them. In
    // the opposite order, new files in the folder would pass for the agent's own work.
    let commit = desk.commit_files(&files, &message(agent, offer))?;
    if let Err(error) = lay_down(desk, &files) {
        if let Some(commit) = commit {
            back_out(desk, agent, commit);
        }
        return Err(error.into());
    }
    paths.pop();
    let paths = paths.into_iter().map(str::to_owned).collect();
    Ok((Applied { commit, paths }, offer.agent.clone()))
}

/// Writes the committed files into the folder.
fn lay_down(desk: &LockedFolder, files: &BTreeMap<&str, Option<&File>>) -> Result<(), GitError> {
    for (path, file) in files {
        match file {
            Some(file) => desk.files.write(file)?,
            None => {
                desk.files.remove(path)?;
                desk.files.remove_empty_above(path)?;
            }
        }
    }
    Ok(())
}

/// Reverts an upgrade that could not be written into the folder.
fn back_out(desk: &LockedFolder, agent: &Agent, commit: CommitId) {
    let (message, mark) = undoing(agent, commit);
    if let Err(error) = desk.go_back((commit, None), (&message, &mark)) {
        tracing::warn!(agent.id = %agent.id, "half an upgrade lies in its folder: {error}");
    }
}

/// Message of the commit that reverts an upgrade, and its mark.
fn undoing(agent: &Agent, commit: CommitId) -> (String, String) {
    let mark = format!("Undoes: {commit}");
    let message =
        format!("template: Go back to before an upgrade\n\n{mark}\nAgent: {}\n", agent.slug);
    (message, mark)
}

/// Message of an upgrade commit, with the versions as trailers for the revert.
fn message(agent: &Agent, offer: &Offer) -> String {
    let to = &offer.to;
    let name = templates::find(&to.template).map_or(&to.template, |one| &one.manifest.name);
    let day = to.at.strftime("%-d %B %Y");
    let before = match &offer.from {
        Some(from) => format!("{BEFORE}{} {}\n", from.template, from.commit),
        None => String::new(),
    };
    format!(
        "template: Take over {name} of {day}\n\n{VERSION}{} {}\n{before}Agent: {}\n",
        to.template, to.commit, agent.slug
    )
}

/// Refuses while a run of the agent works, because the run reads and writes these files.
fn at_rest(desk: &LockedFolder, agent: &Agent) -> Result<(), UpgradeError> {
    let live = desk.ws.read(|snap| runs::live_of_agent(snap, agent.id))?;
    match live.iter().any(|run| run.state == RunState::Running) {
        true => Err(UpgradeError::Working(agent.name.clone())),
        false => Ok(()),
    }
}

/// Completes upgrades that a kill interrupted: the agent's newest commit is an upgrade that its record, and possibly
/// its folder, does not reflect. Called once when a workspace is opened, before any work starts.
pub async fn finish(ws: &Ws, who: &impl Who) -> Result<(), AgentError> {
    let agents = ws.read(|snap| queries::all(snap))?;
    if agents.is_empty() {
        return Ok(());
    }
    let own = ws.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let mut behind = Vec::new();
        for agent in agents {
            match unnoted(&own, &agent) {
                Ok(upgraded) => behind.extend(upgraded),
                Err(error) => {
                    tracing::warn!(agent.id = %agent.id, "its newest commit cannot be read: {error}");
                }
            }
        }
        behind
    });
    let behind = looked.await.unwrap_or_else(|error| {
        tracing::error!("looking for upgrades that are not noted failed: {error}");
        Vec::new()
    });
    if behind.is_empty() {
        return Ok(());
    }
    ws.write(who, move |tx| {
        behind
            .into_iter()
            .try_for_each(|upgraded| rules::version::taken(tx, upgraded.id, upgraded).map(drop))
    })
    .await
}

/// The agent's record according to its newest commit, if that is an upgrade missing in the stored record. Also
/// updates the folder to that commit.
fn unnoted(ws: &Ws, agent: &Agent) -> Result<Option<Agent>, GitError> {
    let (repo, branch) = (ws.repo()?, Branch::agent(&agent.slug)?);
    let Some(head) = repo.head(&branch)? else { return Ok(None) };
    let message = repo.commit(head)?.message;
    let Some((template, version)) =
        trailer(&message, VERSION).and_then(|line| line.split_once(' '))
    else {
        return Ok(None);
    };
    let version = Some(CommitId::parse(version)?);
    let manifest = repo.read_file(&At::Commit(head), MANIFEST)?;
    let (Some(manifest), false) = (manifest, agent.template_commit == version) else {
        return Ok(None);
    };
    repo.bring(&ws.agent_folder(&agent.slug), head)?;
    let now = Persona::of(agent).with_manifest(&manifest.bytes);
    let team = templates::find(template).map(|one| one.manifest.team.clone());
    Ok(Some(Agent {
        description: now.description,
        role: now.role,
        team: team.unwrap_or_else(|| agent.team.clone()),
        domains: now.domains,
        capabilities: now.capabilities,
        template: template.to_owned(),
        template_commit: version,
        template_passed: None,
        ..agent.clone()
    }))
}

/// Result of an upgrade for one agent.
#[derive(Debug)]
pub struct Each {
    pub agent: Agent,
    pub came: Result<Applied, UpgradeError>,
}

/// Applies all offers that have no conflicts.
///
/// # Errors
/// If the store or repository fails. Errors of one agent are in its own result.
pub async fn apply_clean(ws: &Ws, who: &Person) -> Result<Vec<Each>, UpgradeError> {
    let mut all = Vec::new();
    for (agent, offer) in offers(ws).await? {
        if offer.is_clean() {
            let wish = UpgradeRequest { mark: Some(offer.mark), ..UpgradeRequest::default() };
            let came = apply(Hand { ws, agent: &agent, who }, wish).await;
            all.push(Each { agent, came });
        }
    }
    Ok(all)
}

/// Declines the current version of a template. The next version is offered again.
///
/// # Errors
/// `Nothing` if there is no offer.
pub async fn pass(hand: Hand<'_>) -> Result<(), UpgradeError> {
    let Hand { ws, agent, who } = hand;
    let offer = offer(ws, agent, None).await?;
    let (id, to) = (agent.id, offer.to.commit);
    ws.write(who, move |tx| rules::version::passed(tx, id, to).map(drop)).await?;
    Ok(())
}

/// Whether a commit message is that of an upgrade.
#[must_use]
pub fn is_upgrade(message: &str) -> bool {
    trailer(message, VERSION).is_some()
}

fn trailer<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    let (_, last) = message.trim_end().rsplit_once("\n\n")?;
    last.lines().find_map(|line| line.strip_prefix(name))
}

/// Result of a revert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// `None` if no file was reverted.
    pub commit: Option<CommitId>,
    /// Reverted files.
    pub paths: Vec<String>,
    /// Unchanged files with the reason.
    pub kept: Vec<(String, &'static str)>,
}

/// Reverts an upgrade: its files unless they changed since, and its changes to the record.
///
/// # Errors
/// `NoUpgrade` if the commit is not an upgrade of this agent; if the agent is at work.
pub async fn take_back(hand: Hand<'_>, commit: CommitId) -> Result<Back, UpgradeError> {
    let Hand { ws, agent, who } = hand;
    let (own, slug) = (ws.clone(), agent.slug.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let (repo, branch) = (own.repo()?, Branch::agent(&slug)?);
        if !repo.is_on(&branch, commit)? {
            return Err(UpgradeError::NoUpgrade);
        }
        let message = repo.commit(commit)?.message;
        let version = |name| trailer(&message, name).and_then(|line| line.split_once(' '));
        let before = version(BEFORE).ok_or(UpgradeError::NoUpgrade)?;
        let (_, taken) = version(VERSION).ok_or(UpgradeError::NoUpgrade)?;
        let mut paths: Vec<String> = repo.changed_by(&[commit])?;
        paths.retain(|path| path != MANIFEST);
        paths.sort();
        Ok((before.0.to_owned(), CommitId::parse(before.1)?, CommitId::parse(taken)?, paths))
    });
    let (template, version, taken, paths) = looked.await.map_err(|_| FilesError::CutOff)??;
    let id = agent.id;
    let held = paths.iter().cloned().collect();
    let author = Author::person(&who.name, who.account);
    let (back, upgraded) = desk::at(ws, agent, author, held, move |desk| {
        desk.disk_has_room()?;
        let agent = desk.ws.read(|snap: &Snap<'_>| snap.get::<Agent>(id))?;
        let agent = agent.ok_or_else(|| AgentError::NotFound(id.to_string()))?;
        usable(&agent)?;
        at_rest(desk, &agent)?;
        if agent.template_commit != Some(taken) {
            return Err(UpgradeError::NotLast);
        }
        let kept: Vec<&str> = paths.iter().map(String::as_str).collect();
        desk.keep(&kept)?;
        let (message, mark) = undoing(&agent, commit);
        let done = desk.go_back((commit, Some(paths.as_slice())), (&message, &mark))?;
        let upgraded =
            Agent { template, template_commit: Some(version), ..unsaid(desk, agent, commit)? };
        Ok::<_, UpgradeError>((
            Back { commit: done.commit, paths: done.restored, kept: done.kept },
            upgraded,
        ))
    })
    .await?;
    let (changed_paths, commit) = (back.paths.clone(), back.commit);
    let now = ws.write(who, move |tx| {
        if let Some(commit) = commit {
            changed_paths.into_iter().for_each(|path| rules::files_changed(tx, id, path, commit));
        }
        rules::version::taken(tx, id, upgraded)
    });
    let now: Agent = now.await?;
    provision::tell_files(ws, &now, Author::person(&who.name, who.account)).await?;
    Ok(back)
}

/// Reverts an upgrade's changes to the record, except fields that changed since.
fn unsaid(desk: &LockedFolder, agent: Agent, commit: CommitId) -> Result<Agent, UpgradeError> {
    let repo = desk.ws.repo()?;
    let now = provision::persona(&desk.ws, &agent)?;
    let persona_at = |at: &At| {
        Ok::<_, UpgradeError>(
            repo.read_file(at, MANIFEST)?.map(|file| now.with_manifest(&file.bytes)),
        )
    };
    let Some(parent) = repo.parent(commit)? else { return Ok(agent) };
    let (Some(before), Some(after)) =
        (persona_at(&At::Commit(parent))?, persona_at(&At::Commit(commit))?)
    else {
        return Ok(agent);
    };
    let mut agent = agent;
    if agent.description == after.description {
        agent.description = before.description;
    }
    if agent.role == after.role {
        agent.role = before.role;
    }
    if agent.domains == after.domains {
        agent.domains = before.domains;
    }
    if agent.capabilities == after.capabilities {
        agent.capabilities = before.capabilities;
    }
    let team = |template: &str| templates::find(template).map(|one| one.manifest.team.clone());
    if team(&after.template).is_some_and(|team| team == agent.team) {
        agent.team = team(&before.template).unwrap_or_default();
    }
    Ok(agent)
}
