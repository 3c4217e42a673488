//! Rows as shown in a table or on a board.

use std::collections::BTreeMap;

use entity::{Column, Decimal, FieldValue};
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

/// Gives the numbers of each column as many decimals as the one with the most, so that their digits line up.
pub(super) fn align<'l>(lines: impl Iterator<Item = &'l mut Line>) {
    let mut lines: Vec<&mut Line> = lines.collect();
    let count = lines.first().map_or(0, |line| line.cells.len());
    for at in 0..count {
        let cells = lines.iter_mut().filter_map(|line| line.cells.get_mut(at));
        level(cells.map(|(_, shown, _)| shown).collect());
    }
}

/// Gives the numbers in the cells of one column the same number of decimals.
fn level(cells: Vec<&mut Shown>) {
    let places = |cell: &Shown| cell.number.map(Decimal::places);
    let most = cells.iter().filter_map(|cell| places(cell)).max().unwrap_or(0);
    for cell in cells {
        let Some(places) = places(cell) else { continue };
        // A unit follows the digits.
        let Some(last) = cell.text.rfind(|c: char| c.is_ascii_digit()) else { continue };
        let mut missing = "0".repeat(most - places);
        if places == 0 && 0 < most {
            missing.insert(0, display::decimal_mark());
        }
        cell.text.insert_str(last + 1, &missing);
    }
}

#[cfg(test)]
mod tests {
    use entity::{Decimal, Look};
    use kernel::NumberForm;
    use kernel::display::Forms;

    use super::{Shown, level};

    fn leveled(number: NumberForm, look: Look, texts: &[&str]) -> Vec<String> {
        let _entered = Forms { number, ..Forms::USUAL }.enter();
        let mut cells: Vec<Shown> = texts
            .iter()
            .map(|text| {
                let number = Decimal::parse(text, '.');
                let text = number.map(|number| look.shown(number)).unwrap_or_default();
                Shown { text, number, ..Shown::default() }
            })
            .collect();
        level(cells.iter_mut().collect());
        cells.into_iter().map(|cell| cell.text).collect()
    }

    #[test]
    fn the_numbers_of_a_column_line_up_in_each_form() {
        let mixed = ["12", "1234", "-1234567.5", "0.125", "", "123456789012"];
        assert_eq!(
            leveled(NumberForm::Comma, Look::Plain, &mixed),
            ["12.000", "1,234.000", "-1,234,567.500", "0.125", "", "123,456,789,012.000"]
        );
        assert_eq!(
            leveled(NumberForm::Point, Look::Plain, &mixed),
            ["12,000", "1.234,000", "-1.234.567,500", "0,125", "", "123.456.789.012,000"]
        );
        assert_eq!(
            leveled(NumberForm::Space, Look::Plain, &mixed[..3]),
            ["12,00", "1\u{a0}234,00", "-1\u{a0}234\u{a0}567,50"]
        );
    }

    #[test]
    fn whole_numbers_stay_whole_in_each_form() {
        for (form, wanted) in [
            (NumberForm::Comma, ["12", "1,234", "-9,876,543"]),
            (NumberForm::Point, ["12", "1.234", "-9.876.543"]),
            (NumberForm::Space, ["12", "1\u{a0}234", "-9\u{a0}876\u{a0}543"]),
        ] {
            assert_eq!(leveled(form, Look::Plain, &["12", "1234", "-9876543"]), wanted);
        }
    }

    #[test]
    fn decimals_stand_before_the_unit() {
        let texts = ["12", "1234.5"];
        let point = |look| leveled(NumberForm::Point, look, &texts);
        assert_eq!(point(Look::Percent), ["12,00 %", "1.234,50 %"]);
        assert_eq!(point(Look::Currency(*b"CHF")), ["CHF 12,00", "CHF 1.234,50"]);
        assert_eq!(point(Look::Currency(*b"USD")), ["$12,00", "$1.234,50"]);
    }
}
