//! Access decisions for an agent's tools.

use features::agents::model::Agent;
use features::browsers::queries as browsers;
use features::trust::authorize::{self, Facts, Reach, Verdict};
use features::trust::model::{BROWSER, What};
use features::trust::queries::{self, ALL_TOOLS};
use features::trust::tools;
use kernel::{AccessDecision, AgentId, PermissionId, Timestamp, TrustMode};
use store::{Read, StoreError};
use tool::args::nearest;
use tool::{Effect, Group, ToolSpec};
use web::form::sentence;
use web::format;

/// The tool for HTTP requests, whose calls are distinguished by host.
pub(super) const REQUESTS: &str = "http_request";

/// Tool groups in display order.
const GROUPS: [(Group, &str); 8] = [
    (Group::Machine, "Programs"),
    (Group::Web, "Web"),
    (Group::Files, "Files"),
    (Group::Work, "Work"),
    (Group::Agents, "Colleagues"),
    (Group::Tasks, "Tasks"),
    (Group::Customers, "Customers"),
    (Group::Knowledge, "Knowledge"),
];

/// A group of tools.
pub(super) struct Part {
    pub title: &'static str,
    /// "5 allowed, 1 asks".
    pub summary: String,
    /// Whether the group starts expanded, because not everything is allowed.
    pub open: bool,
    pub rows: Vec<Row>,
}

/// A tool with its access decision.
pub(super) struct Row {
    pub tool: &'static str,
    pub tone: &'static str,
    pub word: &'static str,
    pub why: String,
    decision: AccessDecision,
}

/// Label and tone of an access decision.
pub(super) fn word_of(decision: AccessDecision) -> (&'static str, &'static str) {
    match decision {
        AccessDecision::Allow => ("Allowed", "ok"),
        AccessDecision::Ask => ("Asks", "warn"),
        AccessDecision::Deny => ("Refused", "danger"),
    }
}

/// The tools that an agent has according to its switches.
pub(super) fn tools_of(tx: &dyn Read, agent: &Agent) -> Result<Vec<&'static ToolSpec>, StoreError> {
    let browses = browsers::is_switched_on(tx, agent.id)?;
    let has = |spec: &&ToolSpec| {
        (agent.exec || spec.effect != Effect::Exec) && (browses || spec.name != BROWSER)
    };
    Ok(tools::all().iter().filter(has).collect())
}

/// The tool with this name.
///
/// # Errors
/// Names similar tools.
pub(super) fn tool_named(name: &str) -> Result<&'static ToolSpec, String> {
    let all = tools::all();
    all.iter().find(|spec| spec.name == name).ok_or_else(|| {
        let near = nearest(name, all.iter().map(|spec| &*spec.name), 3).join(", ");
        format!("there is no tool {}; similar: {near}", kernel::text::cut(name, 64))
    })
}

/// The decision for calls of a tool.
fn verdict(
    tx: &dyn Read,
    agent: AgentId,
    (spec, programs): (&ToolSpec, Reach),
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let reach = authorize::reach_of(&spec.name, spec.effect, programs);
    authorize::authorize(tx, &[agent], None, &Facts::of(&spec.name, spec.effect, reach, now))
}

/// All tools of an agent by group, with their decisions.
pub(super) fn parts(tx: &dyn Read, agent: &Agent, now: Timestamp) -> Result<Vec<Part>, StoreError> {
    let programs = authorize::programs(tx, &[agent.id])?;
    let kept = queries::kept(tx, Some(agent.id))?;
    let is_kept_for_some = |tool: &str| {
        kept.iter().any(|rule| {
            (rule.tool == tool || rule.tool == ALL_TOOLS)
                && rule.what != What::All
                && rule.expires_at.is_none_or(|until| now < until)
        })
    };
    let (specs, mode) = (tools_of(tx, agent)?, queries::mode_of(tx, agent.id)?);
    let mut parts = Vec::new();
    for (group, title) in GROUPS {
        let mut rows = Vec::new();
        for spec in specs.iter().copied().filter(|spec| spec.group == group) {
            let Verdict { decision, why, rule, .. } = verdict(tx, agent.id, (spec, programs), now)?;
            let (word, tone) = word_of(decision);
            let mut why = sentence(&why);
            why.push_str(besides(spec, (decision, rule), mode));
            if is_kept_for_some(&spec.name) {
                why.push_str(" Some calls have their own permissions.");
            }
            rows.push(Row { tool: &spec.name, tone, word, why, decision });
        }
        if !rows.is_empty() {
            parts.push(Part {
                title,
                summary: summary(&rows),
                open: rows.iter().any(|row| row.decision != AccessDecision::Allow),
                rows,
            });
        }
    }
    Ok(parts)
}

/// Exceptions from the decision that a mode makes for a tool; empty for most tools.
pub(super) fn besides(
    spec: &ToolSpec,
    (decision, rule): (AccessDecision, Option<PermissionId>),
    mode: TrustMode,
) -> &'static str {
    let asks = matches!(mode, TrustMode::Ask | TrustMode::Auto);
    match (&*spec.name, decision) {
        _ if rule.is_some() || !asks => "",
        (BROWSER, AccessDecision::Allow) => {
            " It asks before acting on a site, sending passwords, cards or files, and filling in \
             secrets."
        }
        (REQUESTS, AccessDecision::Ask) => {
            " Read-only requests and those to its listed hosts don’t need approval."
        }
        (_, AccessDecision::Allow) if spec.effect == Effect::File => {
            " It asks before changing its identity files."
        }
        _ => "",
    }
}

fn summary(rows: &[Row]) -> String {
    let count = |decision: AccessDecision| {
        rows.iter().filter(|row| row.decision == decision).count() as u64
    };
    let parts = [
        (count(AccessDecision::Allow), "allowed", "allowed"),
        (count(AccessDecision::Ask), "asks", "ask"),
        (count(AccessDecision::Deny), "refused", "refused"),
    ];
    let parts = parts.into_iter().filter(|(n, ..)| 0 < *n);
    let parts: Vec<String> = parts.map(|(n, one, many)| format::count(n, one, many)).collect();
    parts.join(", ")
}

/// What the agent's programs can reach, in a sentence.
pub(super) fn programs(tx: &dyn Read, agent: &Agent) -> Result<&'static str, StoreError> {
    if !agent.exec {
        return Ok("It doesn’t run programs.");
    }
    Ok(match authorize::programs(tx, &[agent.id])? {
        Reach::Unjailed => "They run outside the sandbox and reach everything HQ reaches.",
        Reach::AnyHost => "They run in the sandbox and reach any public host.",
        Reach::Listed => "They run in the sandbox and reach only these hosts:",
        Reach::Inside | Reach::Elsewhere | Reach::Site | Reach::Itself | Reach::Place => {
            "They run in the sandbox, without network access."
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{Row, summary, word_of};
    use kernel::AccessDecision;

    #[test]
    fn a_group_says_how_many_of_its_tools_do_what() {
        let row = |decision| {
            let (word, tone) = word_of(decision);
            Row { tool: "exec", tone, word, why: String::new(), decision }
        };
        let all = [
            AccessDecision::Allow,
            AccessDecision::Ask,
            AccessDecision::Allow,
            AccessDecision::Deny,
        ]
        .map(row);
        assert_eq!(summary(&all), "2 allowed, 1 asks, 1 refused");
        assert_eq!(summary(&all[..1]), "1 allowed");
    }
}
