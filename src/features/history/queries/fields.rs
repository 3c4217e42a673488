//! Record fields in words: labels, values and differences.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::cards;
use crate::deliverables::queries::diff::{self, Line};
use entity::{Field, Meaning, Type};
use kernel::display;
use kernel::text::capitalized;
use store::StoreError;
use web::format;

use super::names::{Names, Word};

/// Longer or multi-line texts are compared line by line.
const LONG: usize = 100;
/// Maximum number of displayed list values.
const MOST_LISTED: usize = 20;
/// Maximum length of a value displayed in one piece.
const MAX_SHOWN: usize = 400;
/// Fields of any record that repeat the entry's heading.
const STAMPS: &[&str] = &["id", "updated_at", "created_at", "created_by"];
/// Internal fields of records without a descriptor.
const QUIET: &[&str] = &["assignment", "number", "blob", "rank", "waits_from", "called", "on"];
/// Fields whose values are words of a closed list.
const WORDS: &[&str] =
    &["status", "state", "priority", "thinking", "verdict", "role", "wire", "kind"];
/// Labels that differ from the field name.
const LABELS: &[(&str, &str)] = &[
    ("due_at", "Due"),
    ("completed_at", "Done"),
    ("archived_at", "Archived"),
    ("edited_at", "Edited"),
    ("left_at", "Left"),
    ("parent", "Parent task"),
    ("start_at", "Start"),
    ("due_has_time", "Due time"),
    ("other", "Other task"),
    ("body", "Text"),
    ("mentions", "Mentioned agents"),
    ("people", "Mentioned people"),
    ("target", "Link"),
    ("settled_by", "Decided by"),
    ("settled_at", "Decided"),
    ("version", "Current version"),
    ("submitted_by", "Delivered by"),
    ("status_reason", "Reason"),
    ("slug", "Name in URLs"),
    ("exec", "Can run programs"),
    ("network", "Programs can use the network"),
    ("of", "Belongs to"),
    ("budget_micros", "Monthly budget"),
    ("budget_soft_pct", "Warns at (percent)"),
    ("max_output", "Maximum output (tokens)"),
    ("template_commit", "Template version"),
    ("template_passed", "Declined version"),
    ("wire", "API format"),
    ("base_url", "Address"),
    ("key_hint", "Key"),
    ("tested", "Last test"),
    ("price", "Price per million tokens"),
    ("old_task_keys", "Former task keys"),
    ("zone", "Time zone"),
    ("run_cap_micros", "Limit per run"),
    ("comments_reach_assignee", "Comments reach the assignee"),
    ("without", "Disabled modules"),
    ("quiet", "Quiet hours"),
    ("front_at", "Moved to the front"),
    ("asked_at", "Requested by a person"),
    ("pressed", "Start now"),
    ("per_hour", "Items per hour"),
    ("exec_without_jail", "Programs can run without a sandbox"),
    ("depth", "Sub-agent depth"),
    ("fan_out", "Direct sub-agents per run"),
    ("live", "Concurrent sub-agents"),
    ("total", "Total sub-agents per run"),
    ("minutes", "Minutes per sub-agent"),
    ("email", "Email"),
    ("handle", "Handle"),
    ("size", "Size in bytes"),
    ("media", "Kind"),
    ("payer", "Payer"),
    ("limit_micros", "Spend limit"),
    ("limit_tokens", "Token limit"),
    ("soft_pct", "Warns at (percent)"),
    ("hard", "Stops calls"),
    ("begins_at", "Starts"),
    ("input_micros", "Input per million tokens"),
    ("cache_read_micros", "Cache read per million"),
    ("cache_write_micros", "Cache write per million"),
    ("output_micros", "Output per million tokens"),
];

/// A changed field.
#[derive(Clone, Debug)]
pub struct FieldDiff {
    /// JSON name.
    pub name: String,
    pub label: String,
    /// Former value, if any.
    pub before: Option<Word>,
    pub after: Option<Word>,
    /// Line diff of a long text.
    pub lines: Vec<Line>,
    /// `true` if the record was created or deleted, so that there is no comparison.
    pub whole: bool,
    /// Stored values.
    pub raw: (Value, Value),
}

/// Label of a field of a table.
#[must_use]
pub fn label_in(table: u16, name: &str) -> String {
    match cards::of_table(table) {
        Some(noun) => noun.field(name).map_or_else(|| sentence(name), |one| capitalized(one.label)),
        None => label(name),
    }
}

/// Label of a field of a record without a descriptor.
fn label(name: &str) -> String {
    if let Some((_, label)) = LABELS.iter().find(|(field, _)| *field == name) {
        return (*label).to_owned();
    }
    sentence(name)
}

/// Converts `in_progress` to "In progress".
fn sentence(word: &str) -> String {
    if word == "todo" {
        return "To do".to_owned();
    }
    capitalized(&word.replace('_', " "))
}

/// Returns `true` for an internal field.
#[must_use]
pub fn is_quiet(table: u16, name: &str) -> bool {
    STAMPS.contains(&name) || (cards::of_table(table).is_none() && QUIET.contains(&name))
}

/// Describes fields in words.
pub struct Speaker<'n> {
    /// Resolves ids to names.
    pub names: &'n Names<'n>,
    /// Time zone for display.
    pub zone: TimeZone,
}

impl Speaker<'_> {
    /// Changed fields between two versions. For a created or deleted record, all its fields.
    pub fn diff(
        &self,
        table: u16,
        before: Option<&Map<String, Value>>,
        after: Option<&Map<String, Value>>,
    ) -> Result<Vec<FieldDiff>, StoreError> {
        let empty = Map::new();
        let (old, new) = (before.unwrap_or(&empty), after.unwrap_or(&empty));
        let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        let mut found = Vec::new();
        for name in names.into_iter().filter(|name| !is_quiet(table, name)) {
            let value = |side: &Map<String, Value>| side.get(name).cloned().unwrap_or_default();
            let short = |value: Value| match cards::of_table(table).and_then(|noun| noun.shorten) {
                Some(short) if !value.is_null() => short(self.names.read(), name, &value),
                _ => value,
            };
            let raw = (short(value(old)), short(value(new)));
            if raw.0 == raw.1 {
                continue;
            }
            let whole = before.is_none() || after.is_none();
            let field = FieldDiff { whole, ..self.field(table, name, raw)? };
            // Skip empty fields of a created or deleted record.
            if !whole || field.before.is_some() || field.after.is_some() || !field.lines.is_empty()
            {
                found.push(field);
            }
        }
        Ok(found)
    }

    /// Describes one changed field.
    pub fn field(
        &self,
        table: u16,
        name: &str,
        raw: (Value, Value),
    ) -> Result<FieldDiff, StoreError> {
        let (old, new) = (text_of(&raw.0), text_of(&raw.1));
        let is_long =
            |text: &Option<&str>| text.is_some_and(|t| LONG < t.len() || t.contains('\n'));
        let lines = match is_long(&old) || is_long(&new) {
            true => diff::changes(old.unwrap_or_default(), new.unwrap_or_default()),
            false => Vec::new(),
        };
        let (before, after) = match lines.is_empty() {
            true => {
                let of = cards::of_table(table).map(|noun| noun.field(name));
                let spoken = |value: &Value| match of {
                    Some(field) => self.by_card(field, value),
                    None => self.value(name, value),
                };
                (spoken(&raw.0)?, spoken(&raw.1)?)
            }
            false => (None, None),
        };
        let (name, label) = (name.to_owned(), label_in(table, name));
        Ok(FieldDiff { name, label, before, after, lines, whole: false, raw })
    }

    /// Value of a noun with a descriptor, from its field type and meaning. Ignores rules for fields with the same name
    /// in other nouns.
    fn by_card(&self, field: Option<&Field>, value: &Value) -> Result<Option<Word>, StoreError> {
        let of = field.map_or(Type::Text, |field| field.of);
        let means = field.map_or(Meaning::Itself, |field| field.means);
        Ok(match (value, means, of) {
            (Value::String(id), Meaning::Somebody, _) => Some(self.names.somebody(id)),
            (Value::String(id), Meaning::One(word), _) => Some(self.names.of(word, id)?),
            (Value::Array(all), Meaning::Somebody | Meaning::One(_), _) if !all.is_empty() => {
                Some(listed(all, |one| self.by_card(field, one))?)
            }
            (Value::String(word), _, Type::Words(_) | Type::Ranked(_)) if !word.is_empty() => {
                Some(Word::plain(sentence(word)))
            }
            (Value::Number(ms), _, Type::Moment) => Some(self.number("at", ms)),
            _ => self.value("", value)?,
        })
    }

    /// Value in words. `None` if empty.
    fn value(&self, name: &str, value: &Value) -> Result<Option<Word>, StoreError> {
        Ok(match value {
            Value::Null => None,
            Value::Bool(yes) => Some(Word::plain(if *yes { "Yes" } else { "No" })),
            Value::Number(number) => Some(self.number(name, number)),
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(self.text(name, text)?),
            Value::Array(all) if all.is_empty() => None,
            Value::Array(all) if name == "price" => {
                let dollars = |at: usize| {
                    all.get(at).and_then(Value::as_i64).map_or_else(String::new, format::limit)
                };
                Some(Word::plain(format!("{} in, {} out", dollars(0), dollars(1))))
            }
            Value::Array(all) => Some(listed(all, |one| self.value(name, one))?),
            Value::Object(map) => Some(self.object(name, map)?),
        })
    }

    fn number(&self, name: &str, number: &serde_json::Number) -> Word {
        let whole = number.as_i64();
        Word::plain(match whole {
            Some(ms) if name.ends_with("_at") || name == "at" || name == "until" => {
                let at = kernel::time::from_ms(ms).to_zoned(self.zone.clone());
                display::day_time(at.datetime())
            }
            Some(micros) if name.ends_with("_micros") => format::limit(micros),
            Some(n) if 9_999 < n => format::grouped(n.unsigned_abs()),
            _ => number.to_string(),
        })
    }

    fn text(&self, name: &str, text: &str) -> Result<Word, StoreError> {
        if uuid::Uuid::try_parse(text).is_ok() && text.len() == 36 {
            return self.names.of(name, text);
        }
        if WORDS.contains(&name) {
            return Ok(Word::plain(sentence(text)));
        }
        Ok(Word::plain(kernel::text::ellipsis(text, MAX_SHOWN)))
    }

    /// A person or agent, deliverable content, or a nested record.
    fn object(&self, name: &str, map: &Map<String, Value>) -> Result<Word, StoreError> {
        if map.len() == 1
            && let Some((variant, inner)) = map.iter().next()
            && variant.starts_with(char::is_uppercase)
        {
            return Ok(match (variant.as_str(), inner) {
                ("Agent" | "Person", Value::String(id)) => self.names.somebody(id),
                ("Agent" | "Person", Value::Object(who)) => {
                    let id = who.get("agent").or_else(|| who.get("account"));
                    self.names.somebody(id.and_then(Value::as_str).unwrap_or_default())
                }
                ("Task", Value::String(id)) => self.names.of("task", id)?,
                ("Stream", Value::String(id)) => self.names.of("stream", id)?,
                ("Piece", Value::String(id)) => self.names.of("deliverable", id)?,
                ("System", _) => Word::plain("HQ"),
                ("File", Value::Object(file)) => {
                    let name = file.get("name").and_then(Value::as_str).unwrap_or_default();
                    Word::plain(format!("the file {name}"))
                }
                (_, inner) => {
                    self.value(name, inner)?.unwrap_or_else(|| Word::plain(sentence(variant)))
                }
            });
        }
        let mut parts = Vec::new();
        for (key, value) in map {
            if let Some(word) = self.value(key, value)? {
                parts.push(format!("{}: {}", label(key).to_lowercase(), word.text));
            }
        }
        Ok(Word::plain(parts.join(", ")))
    }
}

/// Joins values.
fn listed(
    all: &[Value],
    word_of: impl Fn(&Value) -> Result<Option<Word>, StoreError>,
) -> Result<Word, StoreError> {
    let mut words = Vec::new();
    for one in all.iter().take(MOST_LISTED) {
        words.extend(word_of(one)?.map(|word| word.text));
    }
    if MOST_LISTED < all.len() {
        words.push(format!("and {} more", all.len() - MOST_LISTED));
    }
    Ok(Word::plain(words.join(", ")))
}

/// Text of a value: a string, or a deliverable's text content.
fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(map) if map.len() == 1 => map.get("Text").and_then(Value::as_str),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{label, sentence};

    #[test]
    fn fields_and_words_read_like_words() {
        assert_eq!(label("due_at"), "Due");
        assert_eq!(label("priority"), "Priority");
        assert_eq!(label("default_model"), "Default model");
        assert_eq!(sentence("in_progress"), "In progress");
        assert_eq!(sentence(""), "");
    }
}
