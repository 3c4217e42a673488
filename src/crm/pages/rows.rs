//! Rows as shown in a table or on a board.

use std::collections::BTreeMap;

use entity::{Column, FieldValue};
use features::tasks::queries::due as days;
use features::tasks::queries::view_context::ViewContext;
use jiff::civil::Date;
use kernel::TypedId as _;
use kernel::display;
use store::Read;
use uuid::Uuid;
use web::ink;
use web::parts::Face;
use web::time::RelTime;

use super::draw::{self, Shown, shown};
use super::{Look, row_url};
use crate::columns;
use crate::error::CrmError;
use crate::list;
use crate::model::{ContactId, Row, RowKind};
use crate::queries;

/// The head of a column.
pub(super) struct Head {
    pub key: String,
    pub label: String,
    pub sort: String,
    /// `ascending`, `descending`, or empty.
    pub sorted: &'static str,
    pub number: bool,
}

/// A row of the table, or a card.
pub(super) struct Line {
    pub id: String,
    pub href: String,
    pub face: Face,
    pub name: String,
    pub cells: Vec<(String, Shown, bool)>,
    pub due: Option<(String, &'static str)>,
    pub last: Option<(&'static str, &'static str, RelTime)>,
    pub second: String,
    /// Value of the deal.
    pub worth: String,
}

/// The common value of a group's rows.
#[derive(Clone)]
pub(super) struct Mark {
    /// The value in queries and forms: key of a choice, handle or id; `none` if there is no value.
    pub word: String,
    pub label: String,
    /// Colour of a choice.
    pub colour: String,
    /// A person or agent.
    pub face: Option<Face>,
}

/// The mark of rows with a value of a column.
pub(super) fn mark(rows: &Rows<'_>, column: &Column, value: Option<&FieldValue>) -> Mark {
    let known = &rows.look.known;
    let key = match value {
        Some(FieldValue::Choice(key)) => key.as_str(),
        _ => "",
    };
    let choice = column.choices.iter().find(|choice| choice.key == key);
    let word = match value {
        None => "none".to_owned(),
        // A tag is identified by the name of its label, because its key may be the name of another one.
        Some(FieldValue::Choice(key)) if columns::are_labels(column) => column.label_of(key),
        Some(FieldValue::Choice(key)) => key.clone(),
        Some(FieldValue::Refers(target)) => target.id.to_string(),
        Some(value) => column.written(value, known),
    };
    Mark {
        label: value.map_or_else(
            || format!("No {}", column.label.to_lowercase()),
            |value| column.shown(value, known),
        ),
        colour: choice.map_or_else(String::new, |one| ink::named(one.colour)),
        face: match value {
            Some(FieldValue::Who(who)) => Some(known.people.face(*who)),
            _ => None,
        },
        word,
    }
}

/// Context for showing rows.
pub(super) struct Rows<'a> {
    pub scene: &'a ViewContext,
    pub read: &'a dyn Read,
    pub look: &'a Look<'a>,
    /// The next follow-up of contacts.
    pub due: &'a BTreeMap<ContactId, Date>,
    /// The visible columns.
    pub keys: &'a [String],
}

impl Rows<'_> {
    /// The rows with these ids.
    pub fn of(&self, kind: &'static RowKind, ids: &[Uuid]) -> Result<Vec<Line>, CrmError> {
        list::rows(kind, self.read, ids)?.into_iter().map(|row| self.line(&row)).collect()
    }

    fn line(&self, row: &Row) -> Result<Line, CrmError> {
        let (scene, look) = (self.scene, self.look);
        let cell = |key: &String| {
            let column = look.columns.iter().find(|column| column.key == *key)?;
            let shown = shown(scene, look, column, row.cells.get(key));
            Some((key.clone(), shown, column.kind.is_number()))
        };
        let contact = ContactId::from_uuid(row.id);
        let is_contact = row.kind.is_contacts();
        let today = days::day(scene.today.now, &scene.today.zone);
        let day = |day: &Date| {
            let text = if *day == today { "Today".to_owned() } else { display::day_of_year(*day) };
            (text, draw::day_tone(*day, today))
        };
        let last = if is_contact { queries::last_touch(self.read, contact)? } else { None };
        Ok(Line {
            id: row.id.to_string(),
            href: row_url(row.kind, scene, row.id),
            face: Face::person(row.name()),
            name: row.name().to_owned(),
            cells: self.keys.iter().filter_map(cell).collect(),
            due: if is_contact { self.due.get(&contact).map(day) } else { None },
            last: last.map(|(kind, at)| (kind.glyph(), kind.label(), scene.time(at))),
            second: look.second(row, &["title", columns::ORGANIZATION]),
            worth: columns::money(&look.columns)
                .and_then(|column| Some(column.shown(row.value(&column.key)?, &look.known)))
                .unwrap_or_default(),
        })
    }
}

impl Line {
    /// The cell at this place, if its column has numbers.
    fn number(&self, at: usize) -> Option<&(String, Shown, bool)> {
        self.cells.get(at).filter(|cell| cell.2)
    }
}

/// Gives the numbers of each column as many decimals as the one with the most, so that their digits line up.
pub(super) fn align<'l>(lines: impl Iterator<Item = &'l mut Line>) {
    let mut lines: Vec<&mut Line> = lines.collect();
    let count = lines.first().map_or(0, |line| line.cells.len());
    for at in 0..count {
        let mut most = 0;
        for (_, shown, _) in lines.iter().filter_map(|line| line.number(at)) {
            most = most.max(decimals(&shown.text).map_or(0, |(_, count)| count));
        }
        for line in &mut lines {
            let Some((_, shown, true)) = line.cells.get_mut(at) else { continue };
            let Some((end, count)) = decimals(&shown.text) else { continue };
            let point = if count == 0 && 0 < most { "." } else { "" };
            shown.text.insert_str(end, &format!("{point}{}", "0".repeat(most - count)));
        }
    }
}

/// Where the digits of a number's text end, and how many of them are decimals; `None` without digits.
fn decimals(text: &str) -> Option<(usize, usize)> {
    let end = text.rfind(|c: char| c.is_ascii_digit())? + 1;
    Some((end, text[..end].rsplit_once('.').map_or(0, |(_, digits)| digits.len())))
}

#[cfg(test)]
mod tests {
    use super::decimals;

    #[test]
    fn decimals_are_counted_within_signs_and_units() {
        assert_eq!(decimals("$1,234.5"), Some((8, 1)));
        assert_eq!(decimals("12 %"), Some((2, 0)));
        assert_eq!(decimals("CHF 1,000.25"), Some((12, 2)));
        assert_eq!(decimals(""), None);
    }
}
