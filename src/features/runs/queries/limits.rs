//! What bounds sub-agents, and the fields with which people choose it.

use crate::features::runs::model::SubagentLimits;
use crate::store::{ReadExt, StoreError};

/// What bounds the sub-agents of the workspace.
///
/// # Errors
/// When the disk fails.
pub fn of(tx: &impl ReadExt) -> Result<SubagentLimits, StoreError> {
    Ok(tx.get::<SubagentLimits>(())?.unwrap_or_default())
}

/// A field of the form.
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it asks for.
    pub label: &'static str,
    /// What that means, and what can be chosen.
    pub hint: String,
    /// What counts now.
    pub value: String,
}

/// What each limit is called, and what it means, in the order of [`SubagentLimits::BOUNDS`].
const WORDS: [(&str, &str); 5] = [
    ("How deep they go", "1: a sub-agent makes none of its own."),
    ("How many one run makes", "In all its time."),
    ("How many are at work at once", "In one conversation."),
    ("How many come from one run in all", "With those that its sub-agents make."),
    ("How long one works, in minutes", "Waiting does not count. It has a last word then."),
];

/// The fields as they are now.
///
/// # Errors
/// When the disk fails.
pub fn fields(tx: &impl ReadExt) -> Result<Vec<Field>, StoreError> {
    let values = of(tx)?.values();
    let all = SubagentLimits::BOUNDS.into_iter().zip(WORDS).zip(values);
    let field = |(((name, least, most), (label, meaning)), value): (_, u32)| Field {
        name,
        label,
        hint: format!("{meaning} {least} to {most}."),
        value: value.to_string(),
    };
    Ok(all.map(field).collect())
}
