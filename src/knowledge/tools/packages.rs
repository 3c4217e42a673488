//! Skill packages in the tools for knowledge: agents search and read them like items.

use app::Ws;
use features::agents::packages::{self, Found};
use kernel::AgentId;
use kernel::text::{cut, ellipsis, one_line};
use serde_json::{Value, json};

use crate::queries;

/// Most packages in a result.
const HITS: usize = 5;
/// Longest description in a result, in characters.
const MAX_ABOUT: usize = 300;
/// Largest file that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The packages of an agent that fit a query best. Blocking.
pub(super) fn search(ws: &Ws, agent: AgentId, query: &str) -> Vec<Value> {
    let words = words(query);
    let mut found: Vec<(usize, packages::Package)> = packages::of(ws, agent)
        .into_iter()
        .map(|package| (score(&words, &package.name, &package.description), package))
        .filter(|(score, _)| 0 < *score && words.len() <= 2 * score)
        .collect();
    found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
    let one = |(_, package): (usize, packages::Package)| {
        json!({
            "item": format!("skills/{}/SKILL.md", package.name),
            "kind": "skill",
            "about": ellipsis(&one_line(&package.description), MAX_ABOUT),
        })
    };
    found.into_iter().take(HITS).map(one).collect()
}

fn words(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| !c.is_alphanumeric());
    parts.filter(|word| 2 < word.chars().count()).map(str::to_lowercase).collect()
}

fn score(query: &[String], name: &str, description: &str) -> usize {
    let text = format!("{name} {description}").to_lowercase();
    query.iter().filter(|word| text.contains(word.as_str())).count()
}

/// A file of a package, by its path or the name of the package; `None` if knowledge has the item or there is none.
/// Blocking.
pub(super) fn read(
    ws: &Ws,
    agent: AgentId,
    item: &str,
    (from, most): (usize, usize),
) -> Option<String> {
    let item = item.trim();
    let path = match item.strip_prefix("skills/") {
        Some(rest) if rest.contains('/') => item.to_owned(),
        Some(name) => format!("skills/{name}/SKILL.md"),
        None if ws.read(|snap| queries::item(snap, item, Some(agent))).is_ok() => return None,
        None => format!("skills/{item}/SKILL.md"),
    };
    let (package, found) = packages::find(ws, agent, &path, MAX_FILE)?;
    let Found::File(part) = found else { return None };
    // ok: a file that is no text is left to programs.
    let whole = String::from_utf8(part.bytes).ok()?;
    let from = whole.floor_char_boundary(from.min(whole.len()));
    let text = cut(&whole[from..], most);
    let end = from + text.len();
    let rest = match end < whole.len() {
        true => format!(" Bytes {from} to {end} of {}; continue with from: {end}.", whole.len()),
        false => String::new(),
    };
    Some(format!("{path} of the skill {}, read-only.{rest}\n{text}", package.name))
}

#[cfg(test)]
mod tests {
    use super::{score, words};

    #[test]
    fn a_query_finds_packages_by_name_and_description() {
        let query = words("fill in a PDF form");
        assert_eq!(query, ["fill", "pdf", "form"]);
        assert_eq!(score(&query, "pdf", "Fills in forms"), 3);
        assert_eq!(score(&query, "xls", "Reads tables"), 0);
    }
}
