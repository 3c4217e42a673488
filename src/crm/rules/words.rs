//! Words of a file that are no choices of their field, and their treatment.

use entity::{Choice, Column, Kind};
use kernel::text::one_line;
use store::WriteTx;

use super::change_field;
use super::fields::FieldPatch;
use crate::columns::{self, STAGE, TAGS};
use crate::error::CrmError;
use crate::model::{Becomes, Import, Mapped};

/// Maximum number of choices that an import adds to one field.
const MOST_CHOICES: usize = 100;
/// Maximum number of words named in a sentence.
const MOST_NAMED: usize = 12;

/// Whether words of a file are checked against the choices of a field: tags are created by naming them.
#[must_use]
pub fn is_chosen(column: &Column) -> bool {
    column.kind.has_choices() && column.key != TAGS
}

/// Built-in groups of Google Contacts, which begin with a star.
const GROUPS: [&str; 7] =
    ["my contacts", "mycontacts", "starred", "friends", "family", "coworkers", "other contacts"];

/// Converts a list in a cell to HQ's syntax: Google Contacts separates labels by ` ::: `. Its built-in groups, marked
/// by a star, are dropped.
pub(super) fn listed(text: &str) -> String {
    let label = |one: &str| match one.trim().strip_prefix("* ") {
        Some(group) if GROUPS.contains(&group.trim().to_lowercase().as_str()) => String::new(),
        Some(group) => group.replace("* ", ""),
        None => one.trim().replace("* ", ""),
    };
    let all = text.split(entity::GOOGLE).map(label).filter(|one| !one.is_empty());
    all.collect::<Vec<_>>().join(", ")
}

/// The words in one cell of the file.
fn words(kind: Kind, text: &str) -> Vec<String> {
    let all: Vec<String> = match kind {
        Kind::MultiSelect => listed(text).split([',', ';']).map(one_line).collect(),
        _ => vec![one_line(text)],
    };
    let is_word =
        |word: &String| !word.is_empty() && !sheet::is_error(word) && !is_none(kind, word);
    all.into_iter().filter(is_word).collect()
}

/// Whether a word means that nothing is chosen.
fn is_none(kind: Kind, word: &str) -> bool {
    kind == Kind::Select && word.eq_ignore_ascii_case("none")
}

/// The words in a file's column that are no choices of its field, without duplicates, in order.
#[must_use]
pub fn unknown<'c>(column: &Column, cells: impl Iterator<Item = &'c str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for word in cells.flat_map(|text| words(column.kind, text)) {
        if seen.insert(word.to_lowercase()) && column.choice(&word).is_none() {
            found.push(word);
        }
    }
    found
}

/// The treatment of a word that is no choice: as chosen for the word, else by the setting of the import. `None` if it
/// is left out and reported.
#[must_use]
pub fn becomes(import: &Import, (mapped, key): (&Mapped, &str), word: &str) -> Option<Becomes> {
    let chosen = mapped.becomes(word).cloned();
    chosen.or_else(|| (import.add_choices && key != STAGE).then_some(Becomes::Added))
}

/// A cell of the file with its words replaced as chosen. Empty if nothing is left.
pub(super) fn in_place(column: &Column, mapped: &Mapped, text: &str) -> String {
    let mut all = Vec::new();
    for word in words(column.kind, text) {
        match mapped.becomes(&word) {
            Some(Becomes::Nothing) if column.choice(&word).is_none() => {}
            Some(Becomes::Choice(key)) if column.choice(&word).is_none() => all.push(key.clone()),
            _ => all.push(word),
        }
    }
    all.join(", ")
}

/// The choices of a new field: all words of its column.
pub(crate) fn choices_of<'c>(kind: Kind, cells: impl Iterator<Item = &'c str>) -> Vec<Choice> {
    let mut choices = Vec::new();
    for word in unknown(&Column::new("", "", kind), cells) {
        add(&mut choices, &word, MOST_CHOICES);
    }
    choices
}

/// Adds a choice for a word, unless it is invalid or the limit is reached; returns whether it did.
fn add(choices: &mut Vec<Choice>, word: &str, most: usize) -> bool {
    let key = entity::free_key(word, |key| choices.iter().any(|one| one.key == key));
    let fits = !key.is_empty() && word.chars().count() <= 60 && !word.contains([',', ';']);
    let adds = fits && choices.len() < most;
    if adds {
        choices.push(Choice { key, ..Choice::called(word) });
    }
    adds
}

/// Adds the missing choices to the fields if requested; returns a sentence per field.
///
/// # Errors
/// When a field cannot take them.
pub(super) fn add_choices(
    tx: &mut WriteTx<'_>,
    import: &Import,
    rows: &[Vec<String>],
) -> Result<Vec<String>, CrmError> {
    let mut sentences = Vec::new();
    for (n, mapped) in import.columns.iter().enumerate() {
        let Some(key) = mapped.goes.field() else { continue };
        let all = columns::of(tx, import.home)?;
        let column = all.iter().find(|column| column.key == key && is_chosen(column));
        let Some(column) = column else { continue };
        let cells = rows.iter().filter_map(|row| row.get(n)).map(String::as_str);
        let mut choices = column.choices.clone();
        let most = choices.len() + MOST_CHOICES;
        let mut added = unknown(column, cells);
        added.retain(|word| {
            becomes(import, (mapped, key), word) == Some(Becomes::Added)
                && add(&mut choices, word, most)
        });
        if added.is_empty() {
            continue;
        }
        sentences.push(match key == STAGE {
            true if added.len() == 1 => format!("Adds the stage {}.", named(&added)),
            true => format!("Adds the stages {}.", named(&added)),
            false if added.len() == 1 => {
                format!("Adds the choice {} to {}.", named(&added), column.label)
            }
            false => format!("Adds the choices {} to {}.", named(&added), column.label),
        });
        let patch = FieldPatch { choices: Some(choices), ..FieldPatch::default() };
        change_field(tx, (import.home, key), patch, None)?;
    }
    Ok(sentences)
}

/// The first words as a list, with the number of further ones.
fn named(words: &[String]) -> String {
    let some = words.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
    match words.len().saturating_sub(MOST_NAMED) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}
