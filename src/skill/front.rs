//! Front matter of a `SKILL.md`: YAML between two lines `---`.
//!
//! Besides the fields of the specification, HQ reads `requires` and `always`, also where OpenClaw has them (below
//! `metadata.openclaw`).

use std::collections::BTreeMap;

use crate::error::visible;
use crate::yaml::{self, Fault, Value};
use crate::{MAX_FRONT, SKILL_MD, SkillError};

/// Maximum length of each text in lists.
const MAX_ITEM: usize = 200;
const MAX_ITEMS: usize = 100;
/// Names below `metadata` with requirements.
const VENDORS: [&str; 3] = ["hq", "openclaw", "clawdbot"];

/// What a skill needs from the machine. HQ shows it and does not install it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requires {
    /// Programs, all of them.
    pub bins: Vec<String>,
    /// Programs, at least one of them.
    pub any_bins: Vec<String>,
    /// Environment variables.
    pub env: Vec<String>,
    pub config: Vec<String>,
    pub os: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Front {
    pub name: Option<String>,
    pub description: Option<String>,
    pub licence: Option<String>,
    pub compatibility: Option<String>,
    /// Nested values are JSON.
    pub metadata: BTreeMap<String, String>,
    pub allowed_tools: Vec<String>,
    pub requires: Requires,
    /// Whether the instructions belong into every prompt.
    pub is_always: bool,
    /// Whether the text is not valid YAML and was read with added quotes.
    pub is_repaired: bool,
    /// Start of the text after the front matter, in bytes.
    pub body_offset: usize,
    /// The same as a line, from 1.
    pub body_line: usize,
}

/// Reads the front matter of a `SKILL.md`. Returns `None` if there is none. Fields may be missing.
pub fn front(skill_md: &str) -> Result<Option<Front>, SkillError> {
    let Some(block) = block(skill_md)? else { return Ok(None) };
    let (value, is_repaired) = match yaml::read(block.yaml) {
        Ok(value) => (value, false),
        Err(fault) if fault.is_syntax => match yaml::read(&quoted(block.yaml)) {
            Ok(value) => (value, true),
            Err(_) => return Err(refused(fault)), // ok: the first fault is about the original text.
        },
        Err(fault) => return Err(refused(fault)),
    };
    if !matches!(value, Value::Map(_) | Value::Null) {
        return Err(at_line(2, "the front matter isn't a list of fields"));
    }
    let metadata = value.get("metadata").unwrap_or(&Value::Null);
    let vendor = VENDORS.iter().find_map(|vendor| metadata.get(vendor)).unwrap_or(&Value::Null);
    let always = value.get("always").or_else(|| vendor.get("always"));
    Ok(Some(Front {
        name: text(&value, "name")?,
        description: text(&value, "description")?,
        licence: match text(&value, "license")? {
            Some(licence) => Some(licence),
            None => text(&value, "licence")?,
        },
        compatibility: text(&value, "compatibility")?,
        metadata: texts(metadata)?,
        allowed_tools: match value.get("allowed-tools") {
            Some(Value::Text(text)) => tools(text),
            other => list(other, "allowed-tools")?,
        },
        requires: requires(&value, vendor)?,
        is_always: always.and_then(Value::text) == Some("true"),
        is_repaired,
        body_offset: block.body_offset,
        body_line: block.body_line,
    }))
}

struct Block<'a> {
    yaml: &'a str,
    body_offset: usize,
    body_line: usize,
}

fn block(text: &str) -> Result<Option<Block<'_>>, SkillError> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    if first.trim_start_matches('\u{feff}').trim_end() != "---" {
        return Ok(None);
    }
    let (start, mut at) = (first.len(), first.len());
    for (index, line) in lines.enumerate() {
        if MAX_FRONT < at - start {
            break;
        }
        let end = at + line.len();
        if matches!(line.trim_end(), "---" | "...") {
            // The first line and the one after this.
            return Ok(Some(Block {
                yaml: &text[start..at],
                body_offset: end,
                body_line: index + 3,
            }));
        }
        at = end;
    }
    let reason = match MAX_FRONT < at - start {
        true => "the front matter is longer than 64 KiB",
        false => "the front matter has no end; add a line with --- below it",
    };
    Err(at_line(1, reason))
}

/// Quotes the values of fields in one line. Many skills have a colon in an unquoted description, which is not valid
/// YAML.
fn quoted(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let field = line.split_once(": ").filter(|(key, value)| {
            let is_key = key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
            let is_plain =
                !value.trim_start().starts_with(['"', '\'', '|', '>', '[', '{', '&', '*']);
            is_key && is_plain && !key.is_empty() && !value.trim().is_empty()
        });
        lines.push(match field {
            Some((key, value)) => format!("{key}: '{}'", value.trim().replace('\'', "''")),
            None => line.to_owned(),
        });
    }
    lines.join("\n")
}

fn text(value: &Value, key: &str) -> Result<Option<String>, SkillError> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Text(text)) => {
            let text = text.trim();
            Ok((!text.is_empty()).then(|| text.to_owned()))
        }
        Some(_) => Err(wrong(format!("the field {key} isn't a text"))),
    }
}

fn texts(metadata: &Value) -> Result<BTreeMap<String, String>, SkillError> {
    match metadata {
        Value::Null => Ok(BTreeMap::new()),
        Value::Map(entries) => Ok(entries
            .iter()
            .map(|(key, value)| {
                let text = match value {
                    Value::Null => String::new(),
                    Value::Text(text) => text.clone(),
                    nested => nested.json().to_string(),
                };
                (key.clone(), text)
            })
            .collect()),
        _ => Err(wrong("the field metadata isn't a mapping".to_owned())),
    }
}

fn list(value: Option<&Value>, key: &str) -> Result<Vec<String>, SkillError> {
    let items = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Text(text)) => {
            text.split([',', ' ']).filter(|item| !item.is_empty()).map(str::to_owned).collect()
        }
        Some(Value::List(items)) => {
            let texts: Option<Vec<_>> =
                items.iter().map(|item| Some(item.text()?.trim().to_owned())).collect();
            texts.ok_or_else(|| wrong(format!("the field {key} has something other than texts")))?
        }
        Some(Value::Map(_)) => return Err(wrong(format!("the field {key} isn't a list"))),
    };
    if MAX_ITEMS < items.len() || items.iter().any(|item| MAX_ITEM < item.len()) {
        return Err(wrong(format!("the field {key} is too long")));
    }
    Ok(items)
}

/// Tools, separated by spaces or commas; those in brackets belong to a tool (`Bash(git add:*) Read`).
fn tools(text: &str) -> Vec<String> {
    let (mut tools, mut tool, mut depth) = (Vec::new(), String::new(), 0_usize);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match depth == 0 && (character.is_whitespace() || character == ',') {
            true => tools.push(std::mem::take(&mut tool)),
            false => tool.push(character),
        }
    }
    tools.push(tool);
    tools.retain(|tool| !tool.is_empty() && tool.len() <= MAX_ITEM);
    tools.truncate(MAX_ITEMS);
    tools
}

fn requires(value: &Value, vendor: &Value) -> Result<Requires, SkillError> {
    let own = value.get("requires").or_else(|| vendor.get("requires")).unwrap_or(&Value::Null);
    if !matches!(own, Value::Map(_) | Value::Null) {
        return Err(wrong("the field requires isn't a mapping".to_owned()));
    }
    Ok(Requires {
        bins: list(own.get("bins"), "requires.bins")?,
        any_bins: list(own.get("any_bins").or_else(|| own.get("anyBins")), "requires.any_bins")?,
        env: list(own.get("env"), "requires.env")?,
        config: list(own.get("config"), "requires.config")?,
        os: list(own.get("os").or_else(|| vendor.get("os")), "requires.os")?,
    })
}

fn refused(fault: Fault) -> SkillError {
    // The YAML begins on the second line.
    at_line(fault.line + 1, &fault.reason)
}

fn at_line(line: usize, reason: &str) -> SkillError {
    SkillError::Front { path: SKILL_MD.to_owned(), line, reason: visible(reason, 200) }
}

fn wrong(reason: String) -> SkillError {
    SkillError::Specification { path: SKILL_MD.to_owned(), reason }
}
