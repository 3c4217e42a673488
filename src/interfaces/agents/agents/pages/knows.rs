//! What an agent knows before it starts: the parts of its prompt, and its skills.

use app::Ws;
use features::agents::model::Agent;
use features::agents::packages::Package;
use features::agents::prompted;
use features::agents::skills::{self, Origin, Told};
use features::runs::model::PromptPart;
use features::runs::queries as runs;
use features::runs::queries::makeup::{self, Group, Share};
use git::GitError;
use git::files::AgentFiles;
use kernel::text::ellipsis;
use store::{Snap, StoreError};
use web::format::{self, query_value};
use web::parts::percent;
use web::time::RelTime;

use super::When;

/// How many runs are searched for one that has called a model.
const RUNS: usize = 5;
/// Maximum number of parts listed.
const PARTS: usize = 8;

/// The parts of a prompt.
pub(super) struct Knows {
    /// The total, and how much of it is stable between calls.
    pub told: String,
    pub parts: Vec<PartRow>,
    /// The smaller parts in one line; may be empty.
    pub rest: String,
}

/// A part of a prompt.
pub(super) struct PartRow {
    pub name: String,
    pub group: &'static str,
    pub tokens: String,
    pub percent: u8,
}

/// A skill of the agent.
pub(super) struct SkillRow {
    pub name: String,
    pub about: String,
    /// Empty for a package.
    pub href: String,
    /// Deviation from the template, and the author; may be empty.
    pub mark: String,
    pub at: Option<RelTime>,
}

/// The prompt of the newest run that called a model; before the first run, the prompt that is prepared for it.
pub(super) fn of(
    ws: &Ws,
    snap: &Snap<'_>,
    agent: &Agent,
    packages: &[Package],
) -> Result<Option<Knows>, StoreError> {
    for hit in runs::of_agent(snap, agent.id, None, RUNS)? {
        let parts = makeup::known(snap, &hit.record)?;
        if !parts.is_empty() {
            return Ok(Some(Knows::of(parts, "")));
        }
    }
    let mut parts = ready(ws, snap, agent, packages).unwrap_or_else(|error| {
        tracing::warn!(agent.id = %agent.id, "its files cannot be read: {error}");
        Vec::new()
    });
    if parts.is_empty() {
        return Ok(None);
    }
    let knowledge = prompted::knowledge(snap, &ws.blobs, agent.id)?;
    parts.extend(part("KNOWLEDGE.md", knowledge.len() as u64));
    Ok(Some(Knows::of(makeup::shares(&parts), "; tools are added with its first run")))
}

/// The rules and the agent's own files, as its first prompt will contain them. Blocks on disk reads.
fn ready(
    ws: &Ws,
    snap: &Snap<'_>,
    agent: &Agent,
    packages: &[Package],
) -> Result<Vec<PromptPart>, GitError> {
    let folder = ws.agent_folder(&agent.slug);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = AgentFiles::open(&folder)?;
    let mut parts: Vec<PromptPart> =
        part("Rules", prompted::RULES.len() as u64).into_iter().collect();
    for file in prompted::FILES {
        let has = files.read_up_to(file.name, 0)?.map_or(0, |has| has.total);
        parts.extend(part(file.name, has.min(file.most as u64)));
    }
    let own = skills::trusted(snap, agent.id, &files).unwrap_or_else(|error| {
        tracing::warn!(%error, agent.id = %agent.id, "its skills are not counted");
        Vec::new()
    });
    let lines = skills::lines(&own, packages);
    let lines: u64 = lines.iter().map(|line| line.len() as u64 + 1).sum();
    parts.extend(part(makeup::SKILLS, lines));
    Ok(parts)
}

/// A part of a prompt; `None` if it is empty.
fn part(name: &str, bytes: u64) -> Option<PromptPart> {
    let (name, stable) = (name.to_owned(), name != "MEMORY.md");
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    (0 < bytes).then_some(PromptPart { name, bytes, stable })
}

impl Knows {
    fn of(mut parts: Vec<Share>, besides: &str) -> Self {
        let all: u64 = parts.iter().map(|part| part.tokens).sum();
        let stable: u64 = parts.iter().filter(|part| part.stable).map(|part| part.tokens).sum();
        parts.sort_by_key(|part| std::cmp::Reverse(part.tokens));
        let rest = parts.split_off(PARTS.min(parts.len()));
        let others: u64 = rest.iter().map(|part| part.tokens).sum();
        let row = |part: Share| PartRow {
            group: match part.group {
                // The name already says it.
                Group::Tools => "",
                group => group.label(),
            },
            tokens: format::tokens(part.tokens),
            percent: percent(part.tokens, all),
            name: part.name,
        };
        Self {
            told: format!(
                "about {} tokens, {} % cached between calls{besides}",
                format::tokens(all),
                percent(stable, all)
            ),
            rest: match rest.len() as u64 {
                0 => String::new(),
                count => format!(
                    "and {} more, {} tokens",
                    format::count(count, "part", "parts"),
                    format::tokens(others)
                ),
            },
            parts: parts.into_iter().map(row).collect(),
        }
    }
}

/// The skills in the agent's folder, and its packages; without the former if it cannot be read.
pub(super) fn skills(
    ws: &Ws,
    agent: &Agent,
    packages: Vec<Package>,
    (when, base): (&When, &str),
) -> Vec<SkillRow> {
    let all = skills::with_origins(ws, agent).unwrap_or_else(|error| {
        tracing::warn!(agent.id = %agent.id, "its skills cannot be read: {error}");
        Vec::new()
    });
    let row = |Told { skill, origin, by }: Told| SkillRow {
        about: ellipsis(&skill.about, 120),
        href: format!("{base}/files?path={}", query_value(&skill.path())),
        mark: match (origin, &by) {
            (Origin::Template, _) => String::new(),
            (Origin::Changed, None) => "Changed here".to_owned(),
            (Origin::Changed, Some(by)) if by.is_itself => "Improved by the agent".to_owned(),
            (Origin::Changed, Some(by)) => format!("Changed by {}", by.name),
            (Origin::Own, None) => "Own skill".to_owned(),
            (Origin::Own, Some(by)) if by.is_itself => "Written by the agent".to_owned(),
            (Origin::Own, Some(by)) => format!("Added by {}", by.name),
        },
        at: by.and_then(|by| by.at).map(|at| when.at(at)),
        name: skill.name,
    };
    let package = |one: Package| SkillRow {
        about: ellipsis(&one.skill().about, 120),
        href: String::new(),
        mark: "Package".to_owned(),
        at: None,
        name: one.name,
    };
    all.into_iter().map(row).chain(packages.into_iter().map(package)).collect()
}
