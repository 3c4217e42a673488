//! Conversion of fields to another kind: the result for each value, and the conversion itself, row by row.

use std::sync::Arc;

use entity::{Column, FieldValue, Kind, Look, Source};
use features::tasks::queries::people::{People, assignee_of};
use store::{Range, Read, ReadExt as _, StoreError, WriteTx};
use uuid::Uuid;

use super::dates::{self, Reading};
use super::fields::{checked, def_of};
use super::imports::Stays;
use super::suggestions::void_field;
use super::turns::{Progress, nothing_to, turns_other};
use super::words::choices_of;
use crate::cards::FIELD;
use crate::columns;
use crate::error::CrmError;
use crate::model::back::{self, Turn};
use crate::model::{
    CONVERSIONS_RUNNING, Cast, Conversion, ConversionId, FieldDef, Home, ImportState, NAME, Shape,
};
use crate::names::Known;

/// Prefix of the previous kind in the sources of a converted value.
const CONVERTED: &str = "converted from ";

/// Describes [`Kind::CONVERTIBLE`] in words.
const POSSIBLE: &str = "only text, number, date and select (one choice) fields can be converted";

/// The result for a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Became {
    /// Its text is unchanged.
    Same(FieldValue),
    /// Its text changes.
    Other(FieldValue),
    /// It cannot be converted, for this reason.
    Lost(String),
}

/// Converts values of a field to another kind.
#[derive(Debug)]
pub struct Caster {
    from: Column,
    to: Column,
}

impl Caster {
    /// A caster between two shapes of a field.
    #[must_use]
    pub fn new(column: &Column, (from, to): (&Shape, &Shape)) -> Self {
        Self { from: from.on(column), to: to.on(column) }
    }

    /// The text of a value before the conversion.
    #[must_use]
    pub fn shown(&self, value: &FieldValue, known: &Known<'_>) -> String {
        self.from.shown(value, known)
    }

    /// The text of a value after the conversion.
    #[must_use]
    pub fn then(&self, value: &FieldValue, known: &Known<'_>) -> String {
        self.to.shown(value, known)
    }

    /// Converts a value.
    #[must_use]
    pub fn cast(&self, value: &FieldValue, known: &Known<'_>) -> Became {
        match self.to.read(&written(&self.from, self.to.kind, value, known), known) {
            Ok(Some(cast)) if self.then(&cast, known) == self.shown(value, known) => {
                Became::Same(cast)
            }
            Ok(Some(cast)) => Became::Other(cast),
            Ok(None) => Became::Lost("Can’t be converted.".to_owned()),
            Err(why) => Became::Lost(why),
        }
    }
}

/// The text of a value for parsing as another kind.
#[must_use]
pub fn written(from: &Column, to: Kind, value: &FieldValue, known: &Known<'_>) -> String {
    match (value, to) {
        (FieldValue::Text(text), Kind::Date) => dates::day(text.trim(), Reading::UNDATED),
        _ => from.written(value, known),
    }
}

/// The column of a field, if it can be converted.
///
/// # Errors
/// When it does not exist, is built in, has no conversions, or is being converted.
pub fn convertible(read: &dyn Read, (home, key): (Home, &str)) -> Result<Column, CrmError> {
    let all = columns::of(read, home)?;
    let column = all.into_iter().find(|column| column.key == key);
    let column = column.ok_or_else(|| CrmError::no("field", key))?;
    if column.own || key == NAME {
        let message = format!("\"{}\" is built in and keeps its kind", column.label);
        return Err(CrmError::Refused(message));
    }
    if !Kind::CONVERTIBLE.contains(&column.kind) {
        let (label, kind) = (&column.label, column.kind.label().to_lowercase());
        return Err(CrmError::Refused(format!("\"{label}\" has the kind {kind}; {POSSIBLE}")));
    }
    let running: Vec<Conversion> = read.scan(CONVERSIONS_RUNNING, &Range::all())?;
    if running.iter().any(|one| one.home == home && one.key == key) {
        let message = format!("the values of \"{}\" are already being converted", column.label);
        return Err(CrmError::Refused(message));
    }
    Ok(column)
}

/// The new shape of a field. Choices are the existing ones, else one per word in `texts`.
///
/// # Errors
/// When the field cannot get this kind or already has it, or its values make no choices.
pub fn shaped<'t>(
    column: &Column,
    kind: Kind,
    texts: impl Iterator<Item = &'t str>,
) -> Result<Shape, CrmError> {
    if kind == column.kind {
        return Err(CrmError::field("kind", "The field already has this kind."));
    }
    if !Kind::CONVERTIBLE.contains(&kind) {
        return Err(CrmError::field("kind", format!("{}.", kernel::text::capitalized(POSSIBLE))));
    }
    let choices = match (kind.has_choices(), column.choices.is_empty()) {
        (false, _) => Vec::new(),
        (true, false) => column.choices.clone(),
        (true, true) => choices_of(kind, texts),
    };
    if kind.has_choices() && choices.is_empty() {
        return Err(CrmError::field("kind", "There are no values to create choices from."));
    }
    let look = if kind == Kind::Number { column.look } else { Look::Plain };
    Ok(Shape { kind, look, choices, to: column.to })
}

pub fn conversion_of(read: &dyn Read, id: ConversionId) -> Result<Conversion, CrmError> {
    read.get(id)?.ok_or_else(|| CrmError::no("conversion", &id.to_string()))
}

fn put(tx: &mut WriteTx<'_>, mut one: Conversion) -> Result<Conversion, CrmError> {
    one.updated_at = tx.now();
    tx.put(&one)?;
    Ok(one)
}

/// Starts to convert a field. Converts the rows in `first` in this transaction and the others piece by piece; `rows` is
/// the number of all rows.
///
/// # Errors
/// When the field cannot get the kind.
pub fn begin_conversion(
    tx: &mut WriteTx<'_>,
    (home, key): (Home, &str),
    to: Shape,
    (rows, first): (usize, &[Uuid]),
) -> Result<Conversion, CrmError> {
    let column = convertible(tx, (home, key))?;
    let old = def_of(tx, home, &column)?;
    let def = checked(FieldDef {
        kind: to.kind,
        look: to.look,
        choices: to.choices,
        to: to.to,
        updated_at: tx.now(),
        ..old.clone()
    })?;
    void_field(tx, home, key)?;
    tx.put(&def)?;
    tx.emit(FIELD.changed(&old, &def));
    let now = tx.now();
    let one = Conversion {
        id: tx.new_id(),
        home,
        key: key.to_owned(),
        label: column.label.clone(),
        from: Shape::of(&column),
        to: Shape { kind: def.kind, look: def.look, choices: def.choices, to: def.to },
        state: ImportState::Running,
        rows: u32::try_from(rows).unwrap_or(u32::MAX),
        next: 0,
        after: None,
        counts: Cast::default(),
        entries: Vec::new(),
        by: tx.by(),
        created_at: now,
        updated_at: now,
        kept: 0,
        kept_fields: 0,
        stayed: Vec::new(),
    };
    converted(tx, one, (first, first.len() == rows))
}

/// Converts the values of some rows in one transaction and advances the cursor.
pub fn convert_rows(
    tx: &mut WriteTx<'_>,
    id: ConversionId,
    (after, ids, are_last): (Option<Uuid>, &[Uuid], bool),
) -> Result<bool, CrmError> {
    let one = conversion_of(tx, id)?;
    if one.state != ImportState::Running || one.after != after {
        return Ok(false);
    }
    let one = converted(tx, one, (ids, are_last))?;
    Ok(one.state == ImportState::Running)
}

fn converted(
    tx: &mut WriteTx<'_>,
    mut one: Conversion,
    (ids, are_last): (&[Uuid], bool),
) -> Result<Conversion, CrmError> {
    let counts = cast_rows(tx, &one, ids)?;
    one.counts = one.counts.plus(counts);
    one.next += u32::try_from(ids.len()).unwrap_or(u32::MAX);
    one.after = ids.last().copied().or(one.after);
    match tx.seq() {
        Ok(seq) => one.entries.push(seq),
        // If all these rows are deleted, there is no entry.
        Err(StoreError::NoSeq) => {}
        Err(error) => return Err(error.into()),
    }
    if are_last {
        one.state = ImportState::Done;
    }
    put(tx, one)
}

/// Converts the values of rows. Values written after the start of the conversion stay.
fn cast_rows(tx: &mut WriteTx<'_>, one: &Conversion, ids: &[Uuid]) -> Result<Cast, CrmError> {
    let (me, people) = (assignee_of(tx.by()), Arc::new(People::read(tx)?));
    let column = Column::new(&one.key, &one.label, one.to.kind);
    let mut counts = Cast::default();
    let caster = Caster::new(&column, (&one.from, &one.to));
    for id in ids {
        let Some(old) = one.home.kind().get(tx, *id)? else {
            continue;
        };
        let Some(cell) = old.cells.get(&one.key).filter(|cell| cell.origin.at <= one.created_at)
        else {
            continue;
        };
        let Some(value) = cell.value.clone() else { continue };
        let (became, original) = {
            let read: &dyn Read = tx;
            let known = Known::with(Arc::clone(&people), read, me);
            (caster.cast(&value, &known), caster.shown(&value, &known))
        };
        let cast = match became {
            Became::Same(cast) => {
                counts.same += 1;
                Some(cast)
            }
            Became::Other(cast) => {
                counts.other += 1;
                Some(cast)
            }
            Became::Lost(_) => {
                counts.lost += 1;
                None
            }
        };
        if cast.as_ref() == Some(&value) {
            continue;
        }
        let mut row = old.clone();
        if let Some(cell) = row.cells.get_mut(&one.key) {
            cell.value = cast;
            // The author stays; the previous text becomes a source of the value.
            cell.origin.sources.retain(|source| !source.at.starts_with(CONVERTED));
            cell.origin.sources.push(Source {
                at: format!("{CONVERTED}{}", one.from.kind.label().to_lowercase()),
                quote: kernel::text::ellipsis(&original, entity::MAX_SOURCE),
            });
        }
        row.updated_at = tx.now();
        row.put(tx)?;
        tx.emit(row.changed_from(&old));
    }
    Ok(counts)
}

/// Records why a conversion failed.
pub fn fail_conversion(
    tx: &mut WriteTx<'_>,
    id: ConversionId,
    why: String,
) -> Result<(), CrmError> {
    let one = conversion_of(tx, id)?;
    put(tx, Conversion { state: ImportState::Failed(why), ..one }).map(drop)
}

/// Starts the undo or redo of a conversion. A running one of the same direction continues.
///
/// # Errors
/// When it still runs, goes in the other direction, or there is nothing to do.
pub fn turn_conversion(
    tx: &mut WriteTx<'_>,
    id: ConversionId,
    turn: Turn,
) -> Result<Conversion, CrmError> {
    let mut one = conversion_of(tx, id)?;
    let goes = back::turn(&one.entries);
    if one.state == ImportState::Running {
        return Err(CrmError::Refused("the values are still being converted".to_owned()));
    }
    if goes.is_some_and(|goes| goes != turn) {
        return Err(CrmError::Refused(turns_other(turn)));
    }
    let is_undone = one.state == ImportState::Undone;
    if one.entries.is_empty() || (goes.is_none() && is_undone != (turn == Turn::Forth)) {
        return Err(CrmError::Refused(nothing_to(turn)));
    }
    progress(&mut one).begin(turn);
    one.state = ImportState::Undoing;
    put(tx, one)
}

fn progress(one: &mut Conversion) -> Progress<'_> {
    let Conversion { entries, kept, kept_fields, stayed, .. } = one;
    Progress { entries, kept, kept_fields, stayed }
}

/// Records that an entry of a conversion was undone, by which entry, and what stayed; finishes after the last one.
pub fn conversion_back(
    tx: &mut WriteTx<'_>,
    id: ConversionId,
    took: (u64, Option<u64>, Stays),
) -> Result<(), CrmError> {
    let mut one = conversion_of(tx, id)?;
    let Some(over) = progress(&mut one).took(took) else { return Ok(()) };
    match over {
        Some(Turn::Back) => one.state = ImportState::Undone,
        Some(Turn::Forth) => one.state = ImportState::Done,
        None => {}
    }
    put(tx, one).map(drop)
}
