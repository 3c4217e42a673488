//! Packages, their versions, and whether agents have them.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use features::agents::model::Agent;
use kernel::Error;
use kernel::key::KeyBuf;
use knowledge::model::{Item, Scope};
use knowledge::skills;
use store::{Range, Read, ReadExt as _, StoreError};

use super::disk;
use super::model::{
    LIST_BY_AGENT, Needs, SKILL_BY_NAME, Skill, SkillId, SkillList, SkillVersion, VERSION_BY_SKILL,
};
use super::noun::SKILL;

/// Where agents' programs are looked for.
const PATH: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
/// Most packages of a workspace that are read at once.
const MOST: usize = 1_000;

/// All packages by name.
pub fn all(read: &dyn Read) -> Result<Vec<Skill>, StoreError> {
    let mut all: Vec<Skill> = read.list(&Range::all().limit(MOST))?;
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
}

pub fn called(read: &dyn Read, name: &str) -> Result<Option<Skill>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(name);
    read.find(SKILL_BY_NAME, &key)
}

pub fn skill(read: &dyn Read, id: SkillId) -> Result<Skill, Error> {
    read.get::<Skill>(id)?.ok_or_else(|| SKILL.not_found(&id.to_string()))
}

/// The versions of a package, newest first.
pub fn versions(read: &dyn Read, id: SkillId) -> Result<Vec<SkillVersion>, StoreError> {
    let mut all: Vec<SkillVersion> =
        read.scan(VERSION_BY_SKILL, &Range::prefix(KeyBuf::of(&id)))?;
    all.sort_by_key(|version| std::cmp::Reverse(version.number));
    Ok(all)
}

pub fn active(read: &dyn Read, skill: &Skill) -> Result<Option<SkillVersion>, StoreError> {
    skill.active.map_or(Ok(None), |id| read.get(id))
}

pub fn waiting(read: &dyn Read, skill: &Skill) -> Result<Option<SkillVersion>, StoreError> {
    skill.waiting.map_or(Ok(None), |id| read.get(id))
}

/// The list of an agent; `None` if it has all packages.
pub fn list_of(read: &dyn Read, agent: &str) -> Result<Option<SkillList>, StoreError> {
    let mut key = KeyBuf::new();
    key.text(agent);
    read.find(LIST_BY_AGENT, &key)
}

/// Whether a package can be used, for one agent or in general.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Active,
    /// A version waits, and none is active.
    Waiting,
    Blocked,
    /// A skill that comes before it.
    Shadowed(String),
    /// Why it is not listed.
    Hidden(String),
}

/// What decides about packages besides their own records.
pub struct Means {
    /// Keys of secrets.
    keys: BTreeSet<String>,
    knowledge: Vec<Item>,
    /// The agent; `None` for the general state.
    agent: Option<ForAgent>,
}

struct ForAgent {
    slug: String,
    /// Names of packages that its own folder replaces.
    own: Vec<String>,
    list: Option<Vec<String>>,
    /// Settings of the agent by name.
    settings: [(&'static str, bool); 2],
}

/// Settings that packages may require.
const SETTINGS: [&str; 2] = ["exec", "network"];

impl Means {
    /// Reads what decides in general.
    pub fn read(read: &dyn Read) -> Result<Self, StoreError> {
        let keys = vault::queries::live(read)?.into_iter().map(|secret| secret.key).collect();
        Ok(Self { keys, knowledge: skills::accepted(read, |_| true)?, agent: None })
    }

    /// Reads what decides for an agent whose folder has skills with the names `own`.
    pub fn of_agent(read: &dyn Read, agent: &Agent, own: Vec<String>) -> Result<Self, StoreError> {
        let held = vault::queries::held(read, agent.id)?;
        let list = list_of(read, &agent.slug)?.map(|list| list.skills);
        let is_seen = |item: &Item| item.is_for(agent.id) && item.scope != Scope::Library;
        let knowledge = skills::accepted(read, is_seen)?;
        Ok(Self {
            keys: held.into_iter().map(|held| held.secret.key).collect(),
            knowledge,
            agent: Some(ForAgent {
                slug: agent.slug.clone(),
                own,
                list,
                settings: [(SETTINGS[0], agent.exec), (SETTINGS[1], agent.network)],
            }),
        })
    }

    /// Whether a package can be used, by the last check of its files.
    #[must_use]
    pub fn standing(&self, skill: &Skill, active: Option<&SkillVersion>) -> Standing {
        let fault = || active.and_then(|version| disk::last_fault(version.id));
        match self.wanted(skill, active) {
            Standing::Active => fault().map_or(Standing::Active, Standing::Hidden),
            other => other,
        }
    }

    /// Whether a package can be used if its files are intact.
    #[must_use]
    pub fn wanted(&self, skill: &Skill, active: Option<&SkillVersion>) -> Standing {
        if skill.is_blocked {
            return Standing::Blocked;
        }
        let Some(active) = active else { return Standing::Waiting };
        if let Some(agent) = &self.agent {
            if !skill.is_for(&agent.slug) {
                return Standing::Hidden("it is for other agents".to_owned());
            }
            if agent.list.as_ref().is_some_and(|list| !list.contains(&skill.name)) {
                return Standing::Hidden("it is not in the agent’s list".to_owned());
            }
            if agent.own.contains(&skill.name) {
                return Standing::Shadowed("the agent’s folder".to_owned());
            }
        }
        // In general only what all agents have is in its way.
        let is_before = |item: &&Item| {
            let is_for_all = self.agent.is_some() || item.scope == Scope::Workspace;
            is_for_all && skills::name(item) == skill.name
        };
        if let Some(item) = self.knowledge.iter().find(is_before) {
            return Standing::Shadowed(format!("knowledge, “{}”", item.title));
        }
        match self.lack(&active.needs) {
            Some(reason) => Standing::Hidden(reason),
            None => Standing::Active,
        }
    }

    /// What is missing of what a package needs.
    fn lack(&self, needs: &Needs) -> Option<String> {
        if needs.is_always {
            return None;
        }
        if !needs.os.is_empty() && !needs.os.iter().any(|os| is_this_system(os)) {
            return Some(format!("it needs {}", needs.os.join(" or ")));
        }
        if let Some(bin) = needs.bins.iter().find(|bin| !has_program(bin)) {
            return Some(format!("the program {bin} is missing"));
        }
        if !needs.any_bins.is_empty() && !needs.any_bins.iter().any(|bin| has_program(bin)) {
            return Some(format!("one of the programs {} is missing", needs.any_bins.join(", ")));
        }
        if let Some(key) = needs.env.iter().find(|key| !self.keys.contains(*key)) {
            return Some(format!("the secret {key} is missing"));
        }
        let is_lacking = |name: &&String| match &self.agent {
            Some(agent) => !agent.settings.contains(&(name.as_str(), true)),
            None => !SETTINGS.contains(&name.as_str()),
        };
        let lacking = needs.config.iter().find(is_lacking);
        lacking.map(|name| format!("the setting {name} is missing"))
    }
}

fn is_this_system(os: &str) -> bool {
    match os {
        "linux" => cfg!(target_os = "linux"),
        "darwin" | "macos" => cfg!(target_os = "macos"),
        _ => false,
    }
}

fn has_program(name: &str) -> bool {
    let is_plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    is_plain && PATH.iter().any(|folder| is_program(&Path::new(folder).join(name)))
}

fn is_program(path: &Path) -> bool {
    // ok: a file that can't be seen can't be run.
    path.metadata().is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
