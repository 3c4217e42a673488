//! Skills that agents write. If others can influence an agent, its skill is a package that waits for a person.

use app::Ws;
use features::agents::model::Agent;
use features::agents::packages::{Draft, Proposals, Propose};
use features::trust::model::What;
use features::trust::queries::{self as trust, places};
use features::trust::tools;
use features::workspace::queries::modules::Off;
use kernel::text::{one_line, slug};
use kernel::{AccessDecision, AgentId, Error};
use serde_json::Value;
use skill::{File, Package};
use store::{Read, ReadExt as _, StoreError, WriteTx};

use super::rules::{self, Fetched, Origin};
use super::{disk, queries};

/// Longest text of a skill in bytes.
const MAX_TEXT: usize = 40_000;
/// Longest description in bytes.
const MAX_ABOUT: usize = 160;

pub const PROPOSALS: Proposals = Proposals { are_needed, prepare };

/// Tools that read from the web.
const WEB: [&str; 4] = ["web_fetch", "web_search", "http_request", "browser"];

/// Agents with access to the web, tools of MCP servers or a channel.
fn are_needed(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    let Some(found) = read.get::<Agent>(agent)? else { return Ok(false) };
    if found.network || places::has_channel(read, agent)? || has_web(ws, read, agent)? {
        return Ok(true);
    }
    let servers = crate::queries::servers(read)?;
    Ok(servers.iter().any(|one| one.is_enabled && one.is_approved() && one.is_for(&found.slug)))
}

/// Whether one of the web tools is neither turned off nor denied as a whole.
fn has_web(ws: &Ws, read: &dyn Read, agent: AgentId) -> Result<bool, StoreError> {
    let off = Off::of_agent(read, agent)?;
    for spec in tools::all().iter().filter(|spec| WEB.contains(&&*spec.name)) {
        let rules = trust::rules_of(read, &spec.name, ws.app.clock.now())?;
        let is_denied = rules.iter().any(|rule| {
            let is_whole = rule.leave == AccessDecision::Deny && rule.what == What::All;
            is_whole && rule.run.is_none() && rule.agent.is_none_or(|of| of == agent)
        });
        if !off.has_tool(spec) && !is_denied {
            return Ok(true);
        }
    }
    Ok(false)
}

fn prepare(ws: &Ws, agent: AgentId, draft: &Draft<'_>) -> Result<Propose, Error> {
    let package = package(draft)?;
    let files = disk::keep(ws, &package)?;
    let fetched = Fetched::of(&package, files, None);
    Ok(Box::new(move |tx| propose(tx, agent, fetched)))
}

/// The package of a skill: its text with the front matter that packages need.
fn package(draft: &Draft<'_>) -> Result<Package, Error> {
    if MAX_TEXT < draft.text.len() {
        let message = format!("A skill has at most {MAX_TEXT} bytes. Leave out what isn’t needed.");
        return Err(Error::field("text", message));
    }
    let name = slug(draft.title, skill::MAX_NAME);
    if !skill::is_name(&name) {
        return Err(Error::field("title", "Use a title with letters or digits."));
    }
    let lines = draft.text.lines().map(|line| line.trim_start_matches('#').trim());
    let about = lines.filter(|line| !line.is_empty()).map(one_line).find(|line| !line.is_empty());
    let about = skill::one_line(&about.unwrap_or_else(|| draft.title.to_owned()), MAX_ABOUT);
    // JSON texts are YAML texts, too.
    let quoted = |text: &str| Value::from(one_line(text)).to_string();
    let text = format!(
        "---\nname: {name}\ndescription: {}\nmetadata:\n  title: {}\n  reason: {}\n---\n{}\n",
        quoted(&about),
        quoted(draft.title),
        quoted(draft.reason),
        draft.text.trim(),
    );
    let file = File { path: "SKILL.md".to_owned(), is_executable: false, bytes: text.into_bytes() };
    Package::from_files("", vec![file]).map_err(Error::of)
}

fn propose(tx: &mut WriteTx<'_>, agent: AgentId, fetched: Fetched) -> Result<String, Error> {
    let slug = tx.get::<Agent>(agent)?.map(|agent| agent.slug).unwrap_or_default();
    let name = fetched.name.clone();
    let known = queries::called(tx, &name)?.filter(|skill| skill.proposed_by == slug);
    if known.as_ref().is_none_or(|known| known.waiting.is_none()) {
        rules::check_proposals(tx)?;
    }
    match known {
        Some(known) => rules::receive(tx, &known, fetched)?,
        None => {
            let origin =
                Origin { agents: vec![slug.clone()], proposed_by: slug, ..Origin::default() };
            rules::install(tx, fetched, origin)?
        }
    };
    Ok(format!(
        "Proposed the skill {name}. You have it once a person has approved it. Continue without it."
    ))
}

#[cfg(test)]
mod tests {
    use super::{Draft, package};

    #[test]
    fn a_text_becomes_a_package_whatever_its_first_line_is() {
        let text = "# When: a \"deposit\" question\n\n1. Search.";
        let draft = Draft { title: "Answer: Deposits", text, reason: "asked # twice" };
        let package = package(&draft).expect("a package");
        assert_eq!(package.name, "answer-deposits");
        assert_eq!(package.description, "When: a \"deposit\" question");
        assert!(package.instructions().contains("1. Search."));
    }
}
