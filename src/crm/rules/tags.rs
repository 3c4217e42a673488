//! Tags: labels of the workspace on contacts, organizations and records. A field maps the keys in its cells to labels,
//! which have the names and colours, so renaming a label applies everywhere.

use entity::{Column, free_key};
use features::tasks::model::label::{Label, LabelId};
use features::tasks::queries::labels;
use features::tasks::rules::labels::{self as registry, NewLabel};
use kernel::TypedId as _;
use kernel::text::one_line;
use serde_json::Value;
use store::{Range, ReadExt as _, StoreError, WriteTx};
use uuid::Uuid;

use super::fields::{def_of, rows_of, swap};
use crate::cards::FIELD;
use crate::columns::{self, TAGS};
use crate::error::CrmError;
use crate::model::{FieldDef, Home, RowKind, Tag};

/// The sent names that are no tags yet, without duplicates; `None` if all exist.
///
/// # Errors
/// When a name cannot be a tag.
pub(super) fn new_tags(column: &Column, value: &Value) -> Result<Option<Vec<String>>, CrmError> {
    let all: Vec<String> = match value {
        Value::String(text) => text.split([',', ';']).map(one_line).collect(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).map(one_line).collect(),
        _ => Vec::new(),
    };
    let mut new: Vec<String> = Vec::new();
    for tag in all.into_iter().filter(|tag| !tag.is_empty()) {
        // The key of a tag may be the former name of its label and must not match.
        let lower = tag.to_lowercase();
        let is_there = column.choices.iter().any(|one| one.label.to_lowercase() == lower);
        if is_there || new.iter().any(|one| one.to_lowercase() == lower) {
            continue;
        }
        let is_name = label_name(&tag).is_some_and(|name| name == tag);
        if !is_name || entity::key_of(&tag).is_empty() {
            let shown = kernel::text::ellipsis(&tag, 60);
            return Err(CrmError::field(TAGS, format!("\"{shown}\" can't be a tag.")));
        }
        new.push(tag);
    }
    Ok((!new.is_empty()).then_some(new))
}

/// Converts a text to a label name: cut, without invalid characters. `None` if nothing is left.
fn label_name(text: &str) -> Option<String> {
    let bare = text.replace([',', ';'], " ");
    let bare = one_line(bare.trim_start_matches(['+', '-', ' ']));
    let cut: String = bare.chars().take(labels::MAX_NAME).collect();
    let name = cut.trim().to_owned();
    let is_word = kernel::text::word_of_filters("", &name).is_some();
    (!name.is_empty() && !is_word).then_some(name)
}

/// The label with this name, created if needed.
fn label_called(tx: &mut WriteTx<'_>, new: NewLabel) -> Result<Label, CrmError> {
    match labels::called(tx, &new.name)? {
        Some(label) => Ok(label),
        None => Ok(registry::create(tx, new)?),
    }
}

/// Makes tags of names, using existing or new labels. Returns the column with them as choices.
///
/// # Errors
/// When a label cannot have the name.
pub(super) fn create_tags(
    tx: &mut WriteTx<'_>,
    (home, column): (Home, &Column),
    names: &[String],
) -> Result<Column, CrmError> {
    let mut def = def_of(tx, home, column)?;
    let mut grown = column.clone();
    for name in names {
        let label = label_called(tx, NewLabel { name: name.clone(), ..NewLabel::default() })?;
        let key = key_for(&def, &label.name);
        grown.choices.push(columns::tag(key.clone(), &label));
        def.tags.push(Tag { key, label: label.id });
    }
    tx.put(&def)?;
    Ok(grown)
}

/// The cell key for a label that is new to the field.
fn key_for(def: &FieldDef, name: &str) -> String {
    free_key(name, |key| {
        def.tags.iter().any(|tag| tag.key == key) || def.choices.iter().any(|one| one.key == key)
    })
}

/// Converts the choices of a tag field to labels; its cells stay unchanged.
pub(super) fn absorb(tx: &mut WriteTx<'_>, def: &mut FieldDef) -> Result<(), CrmError> {
    for choice in std::mem::take(&mut def.choices) {
        let name = label_name(&choice.label)
            .unwrap_or_else(|| format!("Tag {}", choice.key.chars().take(30).collect::<String>()));
        let new = NewLabel { name, colour: Some(choice.colour.into()), ..NewLabel::default() };
        let label = label_called(tx, new)?;
        def.tags.push(Tag { key: choice.key, label: label.id });
    }
    Ok(())
}

/// Whether a tag field still has its own choices, from before tags were labels.
fn waits(def: &FieldDef) -> bool {
    columns::holds_labels(def) && !def.choices.is_empty()
}

/// Whether any field has tags from before they were labels.
pub fn tags_wait(read: &dyn store::Read) -> Result<bool, StoreError> {
    Ok(read.list::<FieldDef>(&Range::all())?.iter().any(waits))
}

/// Converts tags from before they were labels.
pub fn take_over_tags(tx: &mut WriteTx<'_>) -> Result<(), CrmError> {
    let all: Vec<FieldDef> = tx.list(&Range::all())?;
    for old in all.into_iter().filter(waits) {
        let mut def = old.clone();
        absorb(tx, &mut def)?;
        def.updated_at = tx.now();
        tx.put(&def)?;
        tx.emit(FIELD.changed(&old, &def));
    }
    Ok(())
}

/// Replaces a label of a kind's rows by another one, or removes it.
///
/// # Errors
/// When more rows have it than one transaction may change.
pub(crate) fn replace_label(
    kind: &'static RowKind,
    tx: &mut WriteTx<'_>,
    from: Uuid,
    to: Option<Uuid>,
) -> Result<(), StoreError> {
    let (from, to) = (LabelId::from_uuid(from), to.map(LabelId::from_uuid));
    let all: Vec<FieldDef> = tx.list(&Range::all())?;
    for old in
        all.into_iter().filter(|def| def.home.table() == kind.table && columns::holds_labels(def))
    {
        let is_it = |tag: &&Tag| tag.label == from;
        let gone: Vec<String> = old.tags.iter().filter(is_it).map(|tag| tag.key.clone()).collect();
        if gone.is_empty() {
            continue;
        }
        let mut def = old.clone();
        let there = to.and_then(|to| old.tags.iter().find(|tag| tag.label == to));
        match (to, there) {
            // The cells stay unchanged: their key is mapped to another label.
            (Some(to), None) => {
                for tag in def.tags.iter_mut().filter(|tag| tag.label == from) {
                    tag.label = to;
                }
            }
            _ => {
                def.tags.retain(|tag| tag.label != from);
                let rows = rows_of(tx, def.home)?;
                swap(tx, rows, (TAGS, &gone), there.map(|tag| tag.key.as_str()))?;
            }
        }
        def.updated_at = tx.now();
        tx.put(&def)?;
        tx.emit(FIELD.changed(&old, &def));
    }
    Ok(())
}
