//! Mapping of a file's columns and words: as the page offers it, and as forms and the API express it.

use entity::{Column, Kind};
use sheet::Table;
use store::Read;
use web::parts::Choice;

use super::order::{self, OrderView};
use crate::columns;
use crate::error::CrmError;
use crate::model::{Becomes, Goes, Import, Mapped};
use crate::rules;
use crate::typed::FormValues;

/// Maximum number of words of a column on the page.
const WORDS: usize = 30;

/// A column of the file on the page.
pub(super) struct ColumnView {
    pub(super) n: usize,
    pub(super) header: String,
    pub(super) targets: Vec<Choice>,
    /// Words that are no choices of its field.
    pub(super) words: Vec<WordView>,
    pub(super) more_words: usize,
    /// The order of day and month; `None` if it has no dates.
    pub(super) order: Option<OrderView>,
}

impl ColumnView {
    /// Whether it is not mapped.
    pub(super) fn is_left_out(&self) -> bool {
        self.targets.iter().any(|one| one.chosen && one.value.is_empty())
    }
}

/// A word that is no choice, and its possible treatments.
pub(super) struct WordView {
    pub(super) word: String,
    pub(super) targets: Vec<Choice>,
}

/// The columns of an import.
pub(super) fn columns_of(
    read: &dyn Read,
    import: &Import,
    table: &Table,
) -> Result<Vec<ColumnView>, CrmError> {
    let fields = columns::of(read, import.home)?;
    let mut all = Vec::new();
    for (n, mapped) in import.columns.iter().enumerate() {
        let cells = || table.rows.iter().filter_map(move |row| row.get(n)).map(String::as_str);
        let mut targets = vec![Choice::new("", "Skip", mapped.goes == Goes::Nowhere)];
        for field in &fields {
            let chosen = mapped.goes.field() == Some(field.key.as_str());
            targets.push(Choice::new(format!("field:{}", field.key), &field.label, chosen));
        }
        if let Some(gone) =
            mapped.goes.field().filter(|key| !fields.iter().any(|one| one.key == *key))
        {
            let label = format!("Removed field: {gone}");
            targets.push(Choice::new(format!("field:{gone}"), label, true));
        }
        for kind in Kind::ALL.iter().copied() {
            if kind != Kind::Relation {
                let chosen = mapped.goes == Goes::New(kind);
                targets.push(Choice::new(
                    format!("new:{}", kind.word()),
                    format!("New field: {}", kind.label()),
                    chosen,
                ));
            }
        }
        targets.push(Choice::new("id", "Record ID", mapped.goes == Goes::Id));
        let is_field = |key: &str| mapped.goes.field() == Some(key);
        let field = fields.iter().find(|field| is_field(&field.key) && rules::is_chosen(field));
        let unknown = field.map_or_else(Vec::new, |field| rules::unknown(field, cells()));
        let more_words = unknown.len().saturating_sub(WORDS);
        let words = match field {
            Some(field) => {
                let words = unknown.iter().take(WORDS);
                words.map(|word| word_view((import, mapped), field, word)).collect()
            }
            None => Vec::new(),
        };
        let (header, order) = (mapped.header.clone(), order::view(mapped, &fields));
        all.push(ColumnView { n, header, targets, words, more_words, order });
    }
    Ok(all)
}

fn word_view((import, mapped): (&Import, &Mapped), field: &Column, word: &str) -> WordView {
    let becomes = shown(import, (mapped, &field.key), word);
    let mut targets = vec![
        Choice::new("", "Skip", becomes == Becomes::Nothing),
        Choice::new("add", "Add", becomes == Becomes::Added),
    ];
    targets.extend(field.choices.iter().map(|one| {
        let target = Becomes::Choice(one.key.clone());
        Choice::new(word_of(&target), &one.label, becomes == target)
    }));
    WordView { word: word.to_owned(), targets }
}

/// The treatment of a word that the page shows.
fn shown(import: &Import, (mapped, key): (&Mapped, &str), word: &str) -> Becomes {
    rules::becomes(import, (mapped, key), word).unwrap_or(Becomes::Nothing)
}

/// Parses a mapping of a form or the API; `None` if invalid.
pub(super) fn goes(word: &str) -> Option<Goes> {
    match word.split_once(':') {
        Some(("field", key)) => Some(Goes::Field(key.to_owned())),
        Some(("key", key)) => Some(Goes::Key(key.to_owned())),
        Some(("new", kind)) => Kind::of(kind).map(Goes::New),
        None if word == "id" => Some(Goes::Id),
        None if word.is_empty() => Some(Goes::Nowhere),
        _ => None,
    }
}

/// Parses a mapping of the API.
///
/// # Errors
/// When it is invalid, or names a field that does not exist.
pub(super) fn target(word: &str, fields: &[Column]) -> Result<Goes, CrmError> {
    let says = match goes(word) {
        Some(goes) => match goes.field() {
            Some(key) if !fields.iter().any(|field| field.key == key) => {
                format!("\"{word}\": there's no field \"{key}\".")
            }
            _ => return Ok(goes),
        },
        None => {
            let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.word()).collect();
            format!(
                "\"{word}\": use field: or key: with a field's key, id, an empty text, or new: \
                    with one of {}.",
                kinds.join(", ")
            )
        }
    };
    Err(CrmError::field("columns", says))
}

/// Parses the treatment of a word in a form or the API; `None` if invalid.
pub(super) fn becomes(text: &str) -> Option<Becomes> {
    match (text, text.split_once(':')) {
        ("", _) => Some(Becomes::Nothing),
        ("add", _) => Some(Becomes::Added),
        (_, Some(("choice", key))) => Some(Becomes::Choice(key.to_owned())),
        _ => None,
    }
}

/// Formats the treatment of a word.
pub(super) fn word_of(becomes: &Becomes) -> String {
    match becomes {
        Becomes::Nothing => String::new(),
        Becomes::Added => "add".to_owned(),
        Becomes::Choice(key) => format!("choice:{key}"),
    }
}

/// Changes the mapping of a column. The chosen treatments of words apply to one field only.
pub(super) fn moved(mapped: &Mapped, goes: Goes) -> Mapped {
    match goes == mapped.goes || (goes.field().is_some() && goes.field() == mapped.goes.field()) {
        true => Mapped { goes, ..mapped.clone() },
        false => Mapped { dates: mapped.dates, ..Mapped::new(mapped.header.clone(), goes) },
    }
}

/// The columns in a submitted form.
///
/// # Errors
/// When one is mapped to a field that does not exist.
pub(super) fn sent(
    import: &Import,
    fields: &[Column],
    form: &FormValues,
) -> Result<Vec<Mapped>, CrmError> {
    let all = import.columns.iter().enumerate();
    all.map(|column| sent_one((import, fields), column, form)).collect()
}

/// A column in a submitted form. A word with the treatment that the page showed stays unchosen.
fn sent_one(
    (import, fields): (&Import, &[Column]),
    (n, old): (usize, &Mapped),
    form: &FormValues,
) -> Result<Mapped, CrmError> {
    let text = form.get(&format!("goes.{n}")).and_then(serde_json::Value::as_str);
    let mapped =
        moved(old, text.map_or_else(|| Ok(old.goes.clone()), |word| target(word, fields))?);
    let text = form.get(&format!("dates.{n}")).and_then(serde_json::Value::as_str);
    let ordered = text.and_then(|word| order::with(mapped.clone(), word));
    let mut mapped = ordered.unwrap_or(mapped);
    let text = form.get("key").and_then(serde_json::Value::as_str);
    if let (Some(text), Some(key)) = (text, mapped.goes.field().map(str::to_owned)) {
        mapped.goes = if text == n.to_string() { Goes::Key(key) } else { Goes::Field(key) };
    }
    let Some(key) = old.goes.field().filter(|key| mapped.goes.field() == Some(key)) else {
        return Ok(mapped);
    };
    let start = format!("becomes.{n}.");
    for (name, value) in form {
        let word = name.strip_prefix(&start);
        let chosen = value.as_str().and_then(becomes);
        let (Some(word), Some(chosen)) = (word, chosen) else { continue };
        if chosen != shown(import, (old, key), word) {
            choose(&mut mapped, word, chosen);
        }
    }
    Ok(mapped)
}

/// Names the columns that are not mapped, as a sentence; `None` if all are. `is_told` decides by number whether to name
/// one: an empty column loses nothing.
pub(super) fn left_out(columns: &[Mapped], is_told: impl Fn(usize) -> bool) -> Option<String> {
    /// Maximum number of named columns.
    const NAMED: usize = 8;
    let all = columns.iter().enumerate();
    let all = all.filter(|(n, one)| one.goes == Goes::Nowhere && is_told(*n));
    let all: Vec<&str> =
        all.map(|(_, one)| one.header.trim()).filter(|one| !one.is_empty()).collect();
    let named = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => None,
        1 => Some(format!("This column is skipped: {named}.")),
        len if len <= NAMED => Some(format!("These columns are skipped: {named}.")),
        len => Some(format!("These columns are skipped: {named} and {} more.", len - NAMED)),
    }
}

/// Columns that can identify records of a collection; empty if there is no choice.
pub(super) fn keys_of(import: &Import) -> Vec<Choice> {
    if import.home.collection().is_none() {
        return Vec::new();
    }
    let mut all = vec![Choice::new("", "None: add every row", true)];
    for (n, mapped) in import.columns.iter().enumerate() {
        if mapped.goes.field().is_some() {
            let chosen = matches!(mapped.goes, Goes::Key(_));
            all[0].chosen &= !chosen;
            all.push(Choice::new(n.to_string(), &mapped.header, chosen));
        }
    }
    all
}

/// Sets the treatment of a word of a column.
pub(super) fn choose(mapped: &mut Mapped, word: &str, becomes: Becomes) {
    mapped.words.retain(|(one, _)| !one.eq_ignore_ascii_case(word));
    mapped.words.push((word.to_owned(), becomes));
}
