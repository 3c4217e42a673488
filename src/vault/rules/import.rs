//! Import of several secrets from a text of assignments. All are imported or none.

use std::collections::BTreeMap;

use kernel::FieldError;
use store::{Read, StoreError, WriteTx};

use super::secrets::{NewSecret, Patch, create};
use super::value::set_value;
use crate::dotenv::{Assignment, Read as Text};
use crate::error::VaultError;
use crate::model::{Category, Scope, SecretId};
use crate::names;
use crate::queries;
use crate::values::{self, NewValue};

kernel::words! {
    /// What becomes of secrets that are there already.
    Existing {
        /// They are named as wrong.
        Refuse = "refuse", "Refuse";
        /// Their values are replaced.
        Replace = "replace", "Replace their values";
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportOptions {
    /// What happens to secrets that exist already.
    pub existing: Existing,
    /// Values that are ordinary text are confirmed.
    pub ordinary: bool,
}

/// Result of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    New,
    /// Replaces the value of this secret.
    Replaces(SecretId),
    /// Skipped: no value.
    Empty,
    /// Rejected, with the reason.
    Wrong(String),
}

/// A checked line, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Line number.
    pub line: usize,
    /// The variable; empty if the line is no assignment.
    pub key: String,
    pub verdict: Verdict,
    /// The value is too short to be masked.
    pub is_short: bool,
    /// A `#` ended the value, so more may have been meant.
    pub is_cut: bool,
}

impl Entry {
    /// Whether the line would be imported.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self.verdict, Verdict::New | Verdict::Replaces(_))
    }

    /// What to know of a line before the import; empty if there is nothing.
    #[must_use]
    pub fn note(&self) -> String {
        let mut notes = Vec::new();
        match self.verdict {
            Verdict::Empty => notes.push("no value, skipped"),
            Verdict::New | Verdict::Replaces(_) if self.is_short => {
                notes.push("too short to mask in output");
            }
            _ => {}
        }
        if self.is_cut {
            notes.push("the value ends before #; add quotes if # is part of it");
        }
        notes.join("; ")
    }
}

/// Checks a text for this scope. Writes nothing; the result contains no value.
pub fn judge(
    read: &dyn Read,
    text: &Text,
    scope: &Scope,
    wish: ImportOptions,
) -> Result<Vec<Entry>, StoreError> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for Assignment { line, key, value, is_cut } in &text.assignments {
        let repeated = match value.is_empty() {
            true => None,
            false => first.insert(key, *line),
        };
        let wrong = || values::wrong(value).map(str::to_owned);
        let problem =
            || values::ask(value, false, wish.ordinary).err().map(|error| error.to_string());
        let verdict = match (names::wrong(key), repeated) {
            (Some(why), _) => Verdict::Wrong(why),
            (_, Some(line)) => Verdict::Wrong(format!("Line {line} already sets {key}.")),
            _ if value.is_empty() => Verdict::Empty,
            _ => match wrong().or_else(problem) {
                Some(why) => Verdict::Wrong(why),
                None => known(read, key, scope, wish.existing)?,
            },
        };
        let is_short = crypto::redact::is_short(value.as_bytes());
        entries.push(Entry { line: *line, key: key.clone(), verdict, is_short, is_cut: *is_cut });
    }
    entries.extend(text.others.iter().map(|line| {
        let verdict = Verdict::Wrong("This isn’t an assignment. Use KEY=value.".to_owned());
        Entry { line: *line, key: String::new(), verdict, is_short: false, is_cut: false }
    }));
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn known(
    read: &dyn Read,
    key: &str,
    scope: &Scope,
    existing: Existing,
) -> Result<Verdict, StoreError> {
    for owner in scope.owners() {
        let Some(there) = queries::at(read, key, owner)? else { continue };
        return Ok(match existing {
            Existing::Replace if there.scope == *scope => Verdict::Replaces(there.id),
            Existing::Replace => Verdict::Wrong(format!("{key} also exists for other agents.")),
            Existing::Refuse => Verdict::Wrong(format!("{key} already exists.")),
        });
    }
    Ok(Verdict::New)
}

/// Imports a text. `sealed` has its non-empty values in order.
///
/// # Errors
/// Names every invalid line; then nothing is written.
pub fn import(
    tx: &mut WriteTx<'_>,
    text: &Text,
    sealed: Vec<NewValue>,
    scope: &Scope,
    wish: ImportOptions,
) -> Result<Vec<SecretId>, VaultError> {
    let entries = judge(tx, text, scope, wish)?;
    fine(&entries)?;
    let mut made = Vec::new();
    for (entry, value) in entries.into_iter().filter(Entry::is_taken).zip(sealed) {
        made.push(match entry.verdict {
            Verdict::Replaces(id) => set_value(tx, id, value)?.id,
            Verdict::New | Verdict::Empty | Verdict::Wrong(_) => {
                let patch = Patch { scope: Some(scope.clone()), ..Patch::default() };
                let (name, key) = (entry.key.clone(), Some(entry.key));
                let category = Category::User;
                create(tx, NewSecret { name, key, category, plain: false, value, patch })?.id
            }
        });
    }
    Ok(made)
}

/// Fails if any line is invalid or no line can be imported.
///
/// # Errors
/// Names every invalid line.
pub fn fine(entries: &[Entry]) -> Result<(), VaultError> {
    let wrong: Vec<_> = entries.iter().filter_map(complaint).collect();
    match wrong.is_empty() && !entries.iter().any(Entry::is_taken) {
        true => Err(VaultError::field("text", "No KEY=value lines found.")),
        false if wrong.is_empty() => Ok(()),
        false => Err(VaultError::Invalid(wrong)),
    }
}

fn complaint(entry: &Entry) -> Option<FieldError> {
    match &entry.verdict {
        Verdict::Wrong(why) => Some(FieldError::new("text", format!("Line {}: {why}", entry.line))),
        Verdict::New | Verdict::Replaces(_) | Verdict::Empty => None,
    }
}
