//! Many secrets at once, out of a text with assignments: all of them or none.

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

/// What would become of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is added.
    New,
    /// It replaces the value of this one.
    Replaces(SecretId),
    /// Nothing, for this reason.
    Wrong(String),
}

/// A line that was judged, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub line: usize,
    /// The variable; empty for what is no assignment.
    pub key: String,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Whether its value is too short to be masked.
    pub is_short: bool,
}

/// Judges a text for this scope. Writes nothing, and tells no value.
///
/// # Errors
/// When the store fails.
pub fn judge(
    read: &dyn Read,
    text: &Text,
    scope: &Scope,
    existing: Existing,
) -> Result<Vec<Entry>, StoreError> {
    let mut first: BTreeMap<&str, usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for Assignment { line, key, value } in &text.assignments {
        let again = first.insert(key, *line);
        let verdict = match (names::wrong(key), again, values::wrong(value)) {
            (Some(why), ..) => Verdict::Wrong(why),
            (_, Some(line), _) => Verdict::Wrong(format!("Line {line} has {key} already.")),
            (.., Some(why)) => Verdict::Wrong(why.to_owned()),
            _ => known(read, key, scope, existing)?,
        };
        let is_short = crypto::redact::is_short(value.as_bytes());
        entries.push(Entry { line: *line, key: key.clone(), verdict, is_short });
    }
    entries.extend(text.others.iter().map(|line| {
        let verdict = Verdict::Wrong("This is no assignment: write KEY=value.".to_owned());
        Entry { line: *line, key: String::new(), verdict, is_short: false }
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
            Existing::Replace => Verdict::Wrong(format!("{key} exists for other agents, too.")),
            Existing::Refuse => Verdict::Wrong(format!("{key} already exists.")),
        });
    }
    Ok(Verdict::New)
}

/// Takes a text in. `sealed` has the values in the order of its assignments.
///
/// # Errors
/// Names every line that is wrong; then nothing is written.
pub fn import(
    tx: &mut WriteTx<'_>,
    text: &Text,
    sealed: Vec<NewValue>,
    scope: &Scope,
    existing: Existing,
) -> Result<Vec<SecretId>, VaultError> {
    let entries = judge(tx, text, scope, existing)?;
    fine(&entries)?;
    let mut made = Vec::new();
    for (entry, value) in entries.into_iter().zip(sealed) {
        made.push(match entry.verdict {
            Verdict::Replaces(id) => set_value(tx, id, value)?.id,
            Verdict::New | Verdict::Wrong(_) => {
                let patch = Patch { scope: Some(scope.clone()), ..Patch::default() };
                let (name, key) = (entry.key.clone(), Some(entry.key));
                let category = Category::User;
                create(tx, NewSecret { name, key, category, plain: false, value, patch })?.id
            }
        });
    }
    Ok(made)
}

/// Refuses lines of which one is wrong.
///
/// # Errors
/// Names every line that is.
pub fn fine(entries: &[Entry]) -> Result<(), VaultError> {
    let wrong: Vec<_> = entries.iter().filter_map(complaint).collect();
    match entries.is_empty() {
        true => Err(VaultError::field("text", "There is no KEY=value in it.")),
        false if wrong.is_empty() => Ok(()),
        false => Err(VaultError::Invalid(wrong)),
    }
}

fn complaint(entry: &Entry) -> Option<FieldError> {
    match &entry.verdict {
        Verdict::Wrong(why) => Some(FieldError::new("text", format!("Line {}: {why}", entry.line))),
        Verdict::New | Verdict::Replaces(_) => None,
    }
}
