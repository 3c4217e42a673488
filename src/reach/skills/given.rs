//! The packages that an agent has, for its prompt, its tools and its programs.

use app::Ws;
use features::agents::model::Agent;
use features::agents::packages::Package;
use features::agents::skills;
use features::runs::queries::taint;
use git::files::AgentFiles;
use kernel::AgentId;
use store::{Read, ReadExt as _, StoreError};

use super::disk;
use super::model::{Skill, SkillVersion};
use super::queries::{self, Means, Standing};

/// The packages of an agent, or the one of this name, that are approved, intact, and not replaced by another skill of
/// their name. Blocking.
pub fn packages(ws: &Ws, agent: AgentId, name: Option<&str>) -> Result<Vec<Package>, StoreError> {
    unlink(ws)?;
    let found = ws.read(|snap| {
        let all: Vec<Skill> = match name {
            Some(name) => queries::called(snap, name)?.into_iter().collect(),
            None => queries::all(snap)?,
        };
        let all = active(snap, all)?;
        // Most workspaces have none, and the rest takes longer.
        if all.is_empty() {
            return Ok(None);
        }
        let Some(agent) = snap.get::<Agent>(agent)? else { return Ok(None) };
        let own = own_skills(ws, snap, &agent, &all)?;
        Ok::<_, StoreError>(Some((all, Means::of_agent(snap, &agent, own)?)))
    })?;
    let Some((all, means)) = found else { return Ok(Vec::new()) };
    let mut packages = Vec::new();
    for (skill, version) in all {
        if means.wanted(&skill, Some(&version)) == Standing::Active && ready(ws, &version) {
            if let Err(error) = disk::link(ws, &skill.name, &version) {
                tracing::warn!(%error, "programs don't find a skill by its name");
            }
            packages.push(Package {
                name: skill.name,
                description: version.description.clone(),
                folder: disk::folder(ws, &version),
            });
        }
    }
    Ok(packages)
}

/// The names of those packages that the agent's folder has as skills. One that awaits review replaces no package.
/// Blocking.
fn own_skills(
    ws: &Ws,
    read: &dyn Read,
    agent: &Agent,
    packages: &[(Skill, SkillVersion)],
) -> Result<Vec<String>, StoreError> {
    // ok: an agent without a folder has no skills of its own.
    let Ok(files) = AgentFiles::open(&ws.agent_folder(&agent.slug)) else { return Ok(Vec::new()) };
    let unread = taint::skills_of(read, agent.id)?;
    let names = packages.iter().map(|(skill, _)| skill.name.as_str());
    let own = names.filter(|name| !unread.contains(*name) && skills::has(&files, name));
    Ok(own.map(str::to_owned).collect())
}

/// Removes the links of packages that were removed or blocked.
fn unlink(ws: &Ws) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::Failed(error.to_string());
    let links = disk::links(ws).map_err(failed)?;
    // Read after the links, so that a package that is approved in between keeps its link.
    let stale = ws.read(|snap| {
        let mut stale = Vec::new();
        for name in links {
            let skill = queries::called(snap, &name)?;
            if skill.is_none_or(|one| one.is_blocked || one.active.is_none()) {
                stale.push(name);
            }
        }
        Ok::<_, StoreError>(stale)
    })?;
    for name in stale {
        disk::unlink(ws, &name).map_err(failed)?;
    }
    Ok(())
}

/// The active versions of those packages that are not blocked.
fn active(read: &dyn Read, all: Vec<Skill>) -> Result<Vec<(Skill, SkillVersion)>, StoreError> {
    let mut found = Vec::new();
    for skill in all.into_iter().filter(|skill| !skill.is_blocked) {
        if let Some(version) = queries::active(read, &skill)? {
            found.push((skill, version));
        }
    }
    Ok(found)
}

/// Whether the folder of a version is there and as approved.
fn ready(ws: &Ws, version: &SkillVersion) -> bool {
    if let Err(error) = disk::lay(ws, version) {
        tracing::error!(%error, skill.hash = version.hash, "a skill can't be used");
        return false;
    }
    disk::check(ws, version).is_none()
}

/// Writes missing folders of active packages, checks all, and removes those of no version.
pub fn begin(ws: &Ws) {
    let at = ws.clone();
    ws.spawn("skills", async move {
        let done = at.read_blocking(|ws| {
            let (all, in_use) = ws.read(|snap| {
                let (all, mut in_use) = (queries::all(snap)?, Vec::new());
                for skill in &all {
                    let versions = queries::versions(snap, skill.id)?;
                    in_use.extend(versions.into_iter().map(|version| version.hash));
                }
                Ok::<_, StoreError>((active(snap, all)?, in_use))
            })?;
            disk::sweep(ws, &in_use).map_err(|error| StoreError::Failed(error.to_string()))?;
            unlink(ws)?;
            for (_, version) in &all {
                ready(ws, version);
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "skills were not checked");
        }
    });
}
