//! Form fields as templates, compiled once like those in [`super::draw`]. Templates use them through the macros of
//! `templates/forms.html`.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;
use kernel::display::Forms;
use kernel::{clock, day};

use crate::parts::Choice;

/// An error message for the whole form.
#[derive(Template)]
#[template(path = "ui/summary.html")]
pub struct Summary<'a> {
    text: &'a str,
}

impl HtmlSafe for Summary<'_> {}

/// Creates an error message for the whole form.
pub fn summary<'a>(text: &'a str) -> Summary<'a> {
    Summary { text }
}

/// A random key for a form that creates something ([`FormOnce`](crate::idempotency::FormOnce)).
#[must_use]
pub fn once_key() -> String {
    let mut bytes = [0; 12];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        // ok: without a key, repeated submits are not detected.
        Err(_) => String::new(),
    }
}

/// A hidden field with the forms of dates and numbers in which the page is drawn.
#[derive(Template)]
#[template(path = "ui/drawn.html")]
pub struct Drawn {
    forms: String,
}

impl HtmlSafe for Drawn {}

/// Marks a form with typed days, numbers or amounts: what it sends is read in the forms of now.
#[must_use]
pub fn drawn() -> Drawn {
    Drawn { forms: Forms::current().of_fields() }
}

/// Error or hint of a field.
#[derive(Template)]
#[template(path = "ui/says.html")]
pub struct Says<'a> {
    before: &'static str,
    id: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
}

impl HtmlSafe for Says<'_> {}

/// Creates the error or hint of the field with this element id.
pub fn says<'a>(id: &'a dyn Display, error: &'a str, hint: &'a str) -> Says<'a> {
    Says { before: "", id, error, hint }
}

/// Creates the error or hint of the field with this name.
pub fn below<'a>(name: &'a dyn Display, error: &'a str, hint: &'a str) -> Says<'a> {
    Says { before: "f-", id: name, error, hint }
}

/// A single-line text field.
#[derive(Template)]
#[template(path = "ui/text.html")]
pub struct Text<'a> {
    name: &'a dyn Display,
    label: &'a dyn Display,
    value: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
    kind: &'a str,
    placeholder: &'a str,
    complete: &'a str,
    required: bool,
    focus: bool,
}

impl HtmlSafe for Text<'_> {}

/// Creates a single-line text field.
#[expect(clippy::too_many_arguments, reason = "a macro of the templates names them")]
pub fn text<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    value: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
    kind: &'a str,
    placeholder: &'a str,
    complete: &'a str,
    required: &bool,
    focus: &bool,
) -> Text<'a> {
    Text {
        name,
        label,
        value,
        error,
        hint,
        kind,
        placeholder,
        complete,
        required: *required,
        focus: *focus,
    }
}

/// A date field for typed input, with a button that opens the browser's date picker.
#[derive(Template)]
#[template(path = "ui/day_box.html")]
pub struct DayBox<'a> {
    id: &'a dyn Display,
    name: &'a dyn Display,
    /// In human-readable form; an invalid date stays as typed.
    value: String,
    /// Id of the form, if the field is outside of it.
    form: &'a str,
    /// Error, shown below the field with the hint. A required field shows neither.
    error: &'a str,
    required: bool,
    /// Accessible label if there is no visible one; otherwise empty.
    label: &'a str,
}

impl HtmlSafe for DayBox<'_> {}

/// Creates a date field without a visible label.
pub fn day_box<'a>(
    id: &'a dyn Display,
    name: &'a dyn Display,
    value: &dyn Display,
    form: &'a str,
    error: &'a str,
    required: &bool,
    label: &'a str,
) -> DayBox<'a> {
    let value = value.to_string();
    let value = value.parse().map_or(value, day::written);
    DayBox { id, name, value, form, error, required: *required, label }
}

/// A time field for typed input.
#[derive(Template)]
#[template(path = "ui/time_box.html")]
pub struct TimeBox<'a> {
    id: &'a dyn Display,
    name: &'a dyn Display,
    /// In 24-hour format; an invalid time stays as typed.
    value: String,
    /// Id of the form, if the field is outside of it.
    form: &'a str,
    title: &'a str,
    placeholder: &'a str,
    /// Error. The surrounding field shows label, error and hint.
    error: &'a str,
}

impl HtmlSafe for TimeBox<'_> {}

/// Creates a time field without a label.
pub fn time_box<'a>(
    id: &'a dyn Display,
    name: &'a dyn Display,
    value: &dyn Display,
    form: &'a str,
    title: &'a str,
    placeholder: &'a str,
    error: &'a str,
) -> TimeBox<'a> {
    let value = value.to_string();
    let value = clock::read(&value).map_or(value, clock::written);
    TimeBox { id, name, value, form, title, placeholder, error }
}

/// A password field.
#[derive(Template)]
#[template(path = "ui/secret.html")]
pub struct Secret<'a> {
    name: &'a dyn Display,
    label: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
    placeholder: &'a str,
    complete: &'a str,
    required: bool,
}

impl HtmlSafe for Secret<'_> {}

/// Creates a password field.
pub fn secret<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
    placeholder: &'a str,
    complete: &'a str,
    required: &bool,
) -> Secret<'a> {
    Secret { name, label, error, hint, placeholder, complete, required: *required }
}

/// A multi-line text field.
#[derive(Template)]
#[template(path = "ui/area.html")]
pub struct Area<'a> {
    name: &'a dyn Display,
    label: &'a dyn Display,
    value: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
    placeholder: &'a str,
    rows: &'a dyn Display,
    required: bool,
}

impl HtmlSafe for Area<'_> {}

/// Creates a multi-line text field.
#[expect(clippy::too_many_arguments, reason = "a macro of the templates names them")]
pub fn area<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    value: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
    placeholder: &'a str,
    rows: &'a dyn Display,
    required: &bool,
) -> Area<'a> {
    Area { name, label, value, error, hint, placeholder, rows, required: *required }
}

/// A select field.
#[derive(Template)]
#[template(path = "ui/select.html")]
pub struct Select<'a> {
    name: &'a dyn Display,
    label: &'a dyn Display,
    choices: &'a [Choice],
    error: &'a str,
    hint: &'a str,
}

impl HtmlSafe for Select<'_> {}

/// Creates a select field.
pub fn select<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    choices: &'a [Choice],
    error: &'a str,
    hint: &'a str,
) -> Select<'a> {
    Select { name, label, choices, error, hint }
}

/// A checkbox.
#[derive(Template)]
#[template(path = "ui/check.html")]
pub struct Check<'a> {
    name: &'a dyn Display,
    label: &'a dyn Display,
    checked: bool,
    value: &'a dyn Display,
    hint: &'a str,
}

impl HtmlSafe for Check<'_> {}

/// Creates a checkbox.
pub fn check<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    checked: &bool,
    value: &'a dyn Display,
    hint: &'a str,
) -> Check<'a> {
    Check { name, label, checked: *checked, value, hint }
}

/// A switch.
#[derive(Template)]
#[template(path = "ui/switch.html")]
pub struct Switch<'a> {
    name: &'a dyn Display,
    label: &'a dyn Display,
    checked: bool,
    hint: &'a str,
}

impl HtmlSafe for Switch<'_> {}

/// Creates a switch.
pub fn switch<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    checked: &bool,
    hint: &'a str,
) -> Switch<'a> {
    Switch { name, label, checked: *checked, hint }
}
