//! The order of day and month in columns, as the page and the API show and change it.

use entity::{Column, Kind};
use web::parts::Choice;

use crate::model::{DateBasis, DateOrder, Goes, Mapped};

/// The choice of an order on the page.
pub(super) struct OrderView {
    pub(super) choices: Vec<Choice>,
    /// Why it should be checked; empty if the dates prove it.
    pub(super) hint: String,
}

/// Whether a column is read as dates.
fn is_dated(mapped: &Mapped, fields: &[Column]) -> bool {
    let is_day = |kind: Kind| matches!(kind, Kind::Date | Kind::Datetime);
    match &mapped.goes {
        Goes::Nowhere | Goes::Id => false,
        Goes::New(kind) => is_day(*kind),
        Goes::Field(key) | Goes::Key(key) => {
            fields.iter().any(|one| one.key == *key && is_day(one.kind))
        }
    }
}

/// The order of a date column.
pub(super) fn view(mapped: &Mapped, fields: &[Column]) -> Option<OrderView> {
    let order = mapped.dates.filter(|_| is_dated(mapped, fields))?;
    Some(OrderView {
        choices: vec![
            Choice::new("day_first", "Day first: 24/12/2026", !order.month_first),
            Choice::new("month_first", "Month first: 12/24/2026", order.month_first),
        ],
        hint: hint(order).unwrap_or_default(),
    })
}

/// A warning about an order; `None` if the dates prove it or a person chose it.
fn hint(order: DateOrder) -> Option<String> {
    let first = if order.month_first { "month" } else { "day" };
    match order.basis {
        DateBasis::Assumed => {
            Some(format!("These dates are ambiguous. HQ reads the {first} first."))
        }
        DateBasis::Mixed => Some(format!(
            "Some dates have the day first, others the month. HQ reads the {first} first, like \
                most of them."
        )),
        DateBasis::Proven | DateBasis::Chosen => None,
    }
}

/// Warnings of all date columns with their headings.
pub(super) fn notes(columns: &[Mapped], fields: &[Column]) -> Vec<String> {
    let dated = columns.iter().filter(|one| is_dated(one, fields));
    let lines = dated.filter_map(|one| Some(format!("{}: {}", one.header, hint(one.dates?)?)));
    lines.collect()
}

/// A column with a chosen order; an unchanged order keeps its basis.
pub(super) fn with(mut mapped: Mapped, word: &str) -> Option<Mapped> {
    let month_first = match word {
        "day_first" => false,
        "month_first" => true,
        _ => return None,
    };
    if mapped.dates.is_none_or(|order| order.month_first != month_first) {
        mapped.dates = Some(DateOrder::chosen(month_first));
    }
    Some(mapped)
}
