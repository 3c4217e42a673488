//! All skills of a workspace with their precedence: an agent's folder, then knowledge, then packages. Built-in skills
//! are files of templates in the agents' folders.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use app::Ws;
use features::agents::model::Agent;
use features::agents::{queries as agents, skills, templates};
use features::runs::model::Place;
use features::runs::queries::taint;
use git::files::AgentFiles;
use kernel::Error;
use kit::{Group, OpCx, Prepared, Row};
use knowledge::model::{Item, Scope};
use serde_json::{Value, json};
use store::{Read, StoreError};

use super::noun::State;
use super::queries::{self, Means};

/// Most agents whose folders are read.
const MAX_AGENTS: usize = 100;
/// Longest description in a list, in bytes.
const MAX_ABOUT: usize = 200;

/// Origin of packages.
const PACKAGE: &str = "Package";
/// Why a skill waits for a person.
const UNREAD: &str = "An agent wrote it after reading untrusted content";

/// Names of the skills that agents have from HQ.
static BUILT_IN: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let files = templates::builtin().iter().flat_map(|template| &template.files);
    let name =
        |path: &str| path.strip_prefix("skills/")?.strip_suffix("/SKILL.md").map(str::to_owned);
    files.filter_map(|file| name(&file.path)).collect()
});

/// A skill of the list.
struct Listed {
    name: String,
    about: String,
    origin: &'static str,
    /// The agent's slug, for skills in folders.
    agent: String,
    state: State,
    reason: String,
    /// Its page, relative to the workspace.
    path: String,
}

fn one_line(text: &str) -> String {
    skill::one_line(&crate::names::visible(text), MAX_ABOUT)
}

fn live(read: &dyn Read) -> Result<impl Iterator<Item = Agent>, StoreError> {
    let live = agents::all(read)?.into_iter().filter(|agent| agent.archived_at.is_none());
    Ok(live.take(MAX_AGENTS))
}

/// Skills in agents' folders. Blocking.
fn in_folders(ws: &Ws, read: &dyn Read) -> Result<Vec<Listed>, StoreError> {
    let mut all = Vec::new();
    for agent in live(read)? {
        // ok: an agent without a folder has no skills of its own.
        let files = AgentFiles::open(&ws.agent_folder(&agent.slug)).ok();
        let own = files.map(|files| skills::of(&files)).unwrap_or_default();
        let unread = taint::skills_of(read, agent.id)?;
        let one = |skill: skills::Skill| of_folder(&agent, &skill, unread.contains(&skill.name));
        all.extend(own.into_iter().map(one));
    }
    Ok(all)
}

/// Handles of the agents with a skill of this name in their folder that does not await review. Blocking.
pub(super) fn owners(ws: &Ws, read: &dyn Read, name: &str) -> Result<Vec<String>, StoreError> {
    let mut owners = Vec::new();
    for agent in live(read)? {
        // ok: an agent without a folder has no skills of its own.
        let files = AgentFiles::open(&ws.agent_folder(&agent.slug)).ok();
        let has_one = files.is_some_and(|files| skills::has(&files, name));
        if has_one && !taint::skills_of(read, agent.id)?.contains(name) {
            owners.push(format!("@{}", agent.slug));
        }
    }
    Ok(owners)
}

fn of_folder(agent: &Agent, skill: &skills::Skill, waits: bool) -> Listed {
    let query = web::format::query_value(&skill.path());
    Listed {
        name: skill.name.clone(),
        about: one_line(&skill.about),
        origin: if BUILT_IN.contains(&skill.name) { "Built in" } else { "Agent’s folder" },
        agent: agent.slug.clone(),
        state: if waits { State::Waiting } else { State::Active },
        reason: if waits { UNREAD.to_owned() } else { String::new() },
        path: format!("agents/{}/files?path={query}", agent.slug),
    }
}

fn in_knowledge(read: &dyn Read) -> Result<Vec<Listed>, StoreError> {
    let mut all = Vec::new();
    for item in knowledge::skills::all(read)? {
        let waits = taint::is_written(read, &Place::of(item.id))?;
        all.push(of_knowledge(&item, waits));
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

fn of_knowledge(item: &Item, waits: bool) -> Listed {
    let (state, reason) = match (waits, item.scope) {
        (true, _) => (State::Waiting, UNREAD),
        (false, Scope::Library) => (State::Hidden, "Hidden: it is found by search only"),
        (false, _) => (State::Active, ""),
    };
    Listed {
        name: item.title.clone(),
        about: item.scope.label().to_owned(),
        origin: "Knowledge",
        agent: String::new(),
        state,
        reason: reason.to_owned(),
        path: format!("knowledge/{}", item.id),
    }
}

fn packages(read: &dyn Read) -> Result<Vec<Listed>, StoreError> {
    let means = Means::read(read)?;
    let mut all = Vec::new();
    for skill in queries::all(read)? {
        let active = queries::active(read, &skill)?;
        let standing = means.standing(&skill, active.as_ref());
        let (state, reason) = State::of(&standing, skill.waiting.is_some());
        all.push(Listed {
            about: one_line(&skill.description),
            origin: PACKAGE,
            agent: String::new(),
            state,
            reason,
            path: format!("settings/skills?edit={}#form", skill.id),
            name: skill.name,
        });
    }
    Ok(all)
}

/// Notes for each skill in a folder which others it replaces, which are given by name and origin.
fn with_shadowed<'n>(
    mut folders: Vec<Listed>,
    others: impl Iterator<Item = (&'n str, &'static str)>,
) -> Vec<Listed> {
    let mut by_name: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, origin) in others {
        let other = match origin {
            PACKAGE => "the package",
            _ => "the skill in knowledge",
        };
        for name in [name.to_owned(), kernel::text::slug(name, skill::MAX_NAME)] {
            by_name.entry(name).or_default().insert(other);
        }
    }
    for one in folders.iter_mut().filter(|one| one.state == State::Active) {
        if let Some(others) = by_name.get(&one.name) {
            let others = others.iter().copied().collect::<Vec<_>>().join(" and ");
            one.reason = format!("Comes before {others} of this name");
        }
    }
    folders
}

/// The lists below the packages on the page.
pub(super) fn groups(ws: &Ws, read: &dyn Read) -> Result<Vec<Group>, StoreError> {
    let (knowledge, packages) = (in_knowledge(read)?, queries::all(read)?);
    let packages = packages.iter().map(|skill| (skill.name.as_str(), PACKAGE));
    let others = knowledge.iter().map(with_origin).chain(packages);
    let folders = with_shadowed(in_folders(ws, read)?, others);
    Ok(vec![
        Group { title: "Knowledge".to_owned(), rows: knowledge.iter().map(row).collect() },
        Group { title: "Agent folders".to_owned(), rows: folders.iter().map(row).collect() },
    ])
}

fn with_origin(listed: &Listed) -> (&str, &'static str) {
    (listed.name.as_str(), listed.origin)
}

fn row(listed: &Listed) -> (Row, String) {
    let parts = [listed.reason.as_str(), listed.about.as_str()];
    let about: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    let mut marks = Vec::new();
    if !listed.agent.is_empty() {
        marks.push((format!("@{}", listed.agent), String::new()));
        marks.push((listed.origin.to_owned(), String::new()));
    }
    let row = Row {
        name: listed.name.clone(),
        about: about.join(" · "),
        state: Some(listed.state.chip()),
        marks,
        ..Row::default()
    };
    (row, listed.path.clone())
}

/// All skills, for commands and the API.
pub(super) fn all(_: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let (mut all, folders) = ws.read(|snap| {
        let mut all = packages(snap)?;
        all.extend(in_knowledge(snap)?);
        Ok::<_, StoreError>((all, in_folders(ws, snap)?))
    })?;
    let folders = with_shadowed(folders, all.iter().map(with_origin));
    all.extend(folders);
    let line = |one: &Listed| {
        let agent =
            if one.agent.is_empty() { String::new() } else { format!(" of @{}", one.agent) };
        let state = if one.reason.is_empty() { one.state.label() } else { one.reason.as_str() };
        format!("{} ({}{agent}): {state}", one.name, one.origin)
    };
    let lines: Vec<String> = all.iter().map(line).collect();
    let skills: Vec<Value> = all
        .iter()
        .map(|one| {
            json!({
                "name": one.name, "description": one.about, "origin": one.origin, "agent": one.agent,
                "state": one.state.word(), "reason": one.reason,
            })
        })
        .collect();
    let message = if lines.is_empty() { "No skills.".to_owned() } else { lines.join("\n") };
    Ok(Box::new(json!({ "message": message, "skills": skills })))
}
