//! Skill packages of an agent: read-only folders with a `SKILL.md` that people have approved. The package `reach` has
//! the records; agents see a package as `skills/<name>` beside the skills in their own folder.

use std::path::PathBuf;
use std::sync::OnceLock;

use app::Ws;
use git::files::{AgentFiles, Item, Part};
use kernel::text::one_line;
use kernel::{AgentId, Error};
use store::{Read, StoreError, WriteTx};

use super::skills::Skill;

/// Variable with the folder in which programs find packages by name.
pub const VARIABLE: &str = "HQ_SKILLS";

/// A package that an agent has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub description: String,
    /// Its files on this machine.
    pub folder: PathBuf,
}

impl Package {
    /// The package as a skill, for its line in the prompt.
    #[must_use]
    pub fn skill(&self) -> Skill {
        Skill { name: self.name.clone(), about: one_line(&self.description) }
    }
}

/// Returns the packages of an agent whose files are intact, or the one of this name, without those that another skill
/// of their name replaces. Blocking.
pub type PackagesOf = fn(&Ws, AgentId, Option<&str>) -> Result<Vec<Package>, StoreError>;

static PACKAGES: OnceLock<PackagesOf> = OnceLock::new();

/// Installs the source of packages, before the first run. Only the first call has an effect.
pub fn install(of: PackagesOf) {
    // ok: a second server in the same process has the same function.
    let _ = PACKAGES.set(of);
}

/// The packages of an agent; none on an error, because an agent can work without them. Blocking.
#[must_use]
pub fn of(ws: &Ws, agent: AgentId) -> Vec<Package> {
    called(ws, agent, None)
}

fn called(ws: &Ws, agent: AgentId, name: Option<&str>) -> Vec<Package> {
    let Some(of) = PACKAGES.get().filter(|_| ws.upstream.is_none()) else { return Vec::new() };
    of(ws, agent, name).unwrap_or_else(|error| {
        tracing::warn!(%error, agent.id = %agent, "an agent starts without skill packages");
        Vec::new()
    })
}

/// The write that proposes a skill. Returns what the agent is told.
pub type Propose = Box<dyn FnOnce(&mut WriteTx<'_>) -> Result<String, Error> + Send>;

/// A skill that an agent has written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'d> {
    pub title: &'d str,
    pub text: &'d str,
    /// What the agent learned.
    pub reason: &'d str,
}

/// How skills of agents become proposals.
#[derive(Clone, Copy)]
pub struct Proposals {
    /// Whether others can influence what an agent writes, so that a person decides about its skills.
    pub are_needed: fn(&Ws, &dyn Read, AgentId) -> Result<bool, StoreError>,
    /// Scans and stores a skill. Blocking.
    pub prepare: fn(&Ws, AgentId, &Draft<'_>) -> Result<Propose, Error>,
}

static PROPOSALS: OnceLock<Proposals> = OnceLock::new();

/// Installs the way of proposals, before the first run. Only the first call has an effect.
pub fn install_proposals(proposals: Proposals) {
    // ok: a second server in the same process has the same functions.
    let _ = PROPOSALS.set(proposals);
}

/// The way of proposals for an agent whose skills a person decides about.
pub fn proposals(ws: &Ws, agent: AgentId) -> Result<Option<Proposals>, StoreError> {
    let Some(proposals) = PROPOSALS.get().filter(|_| ws.upstream.is_none()) else {
        return Ok(None);
    };
    let are_needed = ws.read(|snap| (proposals.are_needed)(ws, snap, agent))?;
    Ok(are_needed.then_some(*proposals))
}

/// The folder with a link for each package.
#[must_use]
pub fn folder(ws: &Ws) -> PathBuf {
    ws.folder.join("skills").join("active")
}

/// What a path in a package leads to.
#[derive(Debug)]
pub enum Found {
    Folder(Vec<Item>),
    File(Part),
}

/// A file of up to `limit` bytes, or a folder, of the agent's packages: `skills/<name>/<path>`. Blocking.
#[must_use]
pub fn find(ws: &Ws, agent: AgentId, path: &str, limit: u64) -> Option<(Package, Found)> {
    let (name, rest) = match path.strip_prefix("skills/")?.split_once('/') {
        Some((name, rest)) => (name, rest),
        None => (path.strip_prefix("skills/")?, ""),
    };
    let package = called(ws, agent, Some(name)).pop()?;
    // ok: an unreadable package is reported in the list of skills.
    let files = AgentFiles::open(&package.folder).ok()?;
    // ok: as above.
    let found = match files.list(rest).ok()? {
        Some(items) => Found::Folder(items),
        None => Found::File(files.read_up_to(rest, limit).ok().flatten()?),
    };
    Some((package, found))
}

#[cfg(test)]
mod tests {
    use super::Package;

    #[test]
    fn the_line_of_a_package_is_one_line() {
        let package = Package {
            name: "pdf".to_owned(),
            description: "Reads\n  PDF forms".to_owned(),
            folder: std::path::PathBuf::new(),
        };
        assert_eq!(package.skill().line(), "- pdf: Reads PDF forms");
    }
}
