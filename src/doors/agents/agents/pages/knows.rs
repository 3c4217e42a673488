//! What an agent knows before it starts: the parts of its prompt, and its skills.

use app::Ws;
use features::agents::model::Agent;
use features::agents::skills::{self, Origin, Skill};
use features::runs::queries as runs;
use features::runs::queries::makeup::{self, Group};
use kernel::AgentId;
use kernel::text::ellipsis;
use store::{Snap, StoreError};
use web::format::{self, query_value};
use web::parts::percent;

/// How many runs are looked at for one that has asked a model.
const RUNS: usize = 5;
/// How many parts are named.
const PARTS: usize = 8;

/// The parts of a prompt.
pub(super) struct Knows {
    /// The sum, and how much of it stays the same from call to call.
    pub told: String,
    pub parts: Vec<PartRow>,
    /// The smaller ones in a line; may be empty.
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
    pub href: String,
    /// Where it does not come from its template as it is; may be empty.
    pub mark: &'static str,
}

/// What the newest run that asked a model was told before anything else.
pub(super) fn of(snap: &Snap<'_>, agent: AgentId) -> Result<Option<Knows>, StoreError> {
    for hit in runs::of_agent(snap, agent, None, RUNS)? {
        let mut parts = makeup::known(snap, &hit.record)?;
        if parts.is_empty() {
            continue;
        }
        let all: u64 = parts.iter().map(|part| part.tokens).sum();
        let stable: u64 = parts.iter().filter(|part| part.stable).map(|part| part.tokens).sum();
        parts.sort_by_key(|part| std::cmp::Reverse(part.tokens));
        let rest = parts.split_off(PARTS.min(parts.len()));
        let others: u64 = rest.iter().map(|part| part.tokens).sum();
        let row = |part: makeup::Share| PartRow {
            group: match part.group {
                // Its name says it already.
                Group::Tools => "",
                group => group.label(),
            },
            tokens: format::tokens(part.tokens),
            percent: percent(part.tokens, all),
            name: part.name,
        };
        return Ok(Some(Knows {
            told: format!(
                "about {} tokens, {} % of them the same in each call",
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
        }));
    }
    Ok(None)
}

/// The skills in the agent's folder; none while that cannot be read.
pub(super) fn skills(ws: &Ws, agent: &Agent, base: &str) -> Vec<SkillRow> {
    let all = skills::with_origins(ws, agent).unwrap_or_else(|error| {
        tracing::warn!(agent.id = %agent.id, "its skills cannot be read: {error}");
        Vec::new()
    });
    let row = |(skill, origin): (Skill, Origin)| SkillRow {
        about: ellipsis(&skill.about, 120),
        href: format!("{base}/files?path={}", query_value(&skill.path())),
        mark: match origin {
            Origin::Template => "",
            Origin::Changed => "Changed here",
            Origin::Own => "Its own",
        },
        name: skill.name,
    };
    all.into_iter().map(row).collect()
}
