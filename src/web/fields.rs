//! The fields of forms, compiled once like everything in [`super::draw`]; templates write them as the macros of
//! `templates/forms.html`.

use std::fmt::Display;

use askama::Template;
use askama::filters::HtmlSafe;
use kernel::{clock, day};

use crate::parts::Choice;

/// What is wrong with a form as a whole.
#[derive(Template)]
#[template(path = "ui/summary.html")]
pub struct Summary<'a> {
    text: &'a str,
}

impl HtmlSafe for Summary<'_> {}

/// What is wrong with a form as a whole.
pub fn summary<'a>(text: &'a str) -> Summary<'a> {
    Summary { text }
}

/// A new key of a form that makes something ([`FormOnce`](crate::idempotency::FormOnce)).
#[must_use]
pub fn once_key() -> String {
    let mut bytes = [0; 12];
    match getrandom::fill(&mut bytes) {
        Ok(()) => hex::encode(bytes),
        // ok: a form without a key is sent as often as somebody sends it.
        Err(_) => String::new(),
    }
}

/// What is wrong with a field, or a hint.
#[derive(Template)]
#[template(path = "ui/says.html")]
pub struct Says<'a> {
    before: &'static str,
    id: &'a dyn Display,
    error: &'a str,
    hint: &'a str,
}

impl HtmlSafe for Says<'_> {}

/// What is wrong with a field, or a hint.
pub fn says<'a>(id: &'a dyn Display, error: &'a str, hint: &'a str) -> Says<'a> {
    Says { before: "", id, error, hint }
}

/// What is wrong with the field of this name, or a hint.
pub fn below<'a>(name: &'a dyn Display, error: &'a str, hint: &'a str) -> Says<'a> {
    Says { before: "f-", id: name, error, hint }
}

/// A field of one line.
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

/// A field of one line.
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

/// A day that is typed as people write it; the calendar of the browser stands behind its sign and fills it in.
#[derive(Template)]
#[template(path = "ui/day_box.html")]
pub struct DayBox<'a> {
    id: &'a dyn Display,
    name: &'a dyn Display,
    /// As people write it; what is no day stays as it was typed.
    value: String,
    /// The form that it belongs to, if it does not stand in it.
    form: &'a str,
    /// What is wrong, said below it with the hint; nothing stands below one that must be given.
    error: &'a str,
    required: bool,
    /// What it is called where no label stands beside it; empty where one does.
    label: &'a str,
}

impl HtmlSafe for DayBox<'_> {}

/// A day without a visible label of its own.
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

/// A time of day that is typed as people write it.
#[derive(Template)]
#[template(path = "ui/time_box.html")]
pub struct TimeBox<'a> {
    id: &'a dyn Display,
    name: &'a dyn Display,
    /// In 24 hours; what is no time of day stays as it was typed.
    value: String,
    /// The form that it belongs to, if it does not stand in it.
    form: &'a str,
    title: &'a str,
    placeholder: &'a str,
    /// What is wrong; the field's label, error and hint stand around it.
    error: &'a str,
}

impl HtmlSafe for TimeBox<'_> {}

/// A time of day without a label of its own.
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

/// A field for a secret.
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

/// A field for a secret.
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

/// A field of several lines.
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

/// A field of several lines.
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

/// A field with one of several values.
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

/// A field with one of several values.
pub fn select<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    choices: &'a [Choice],
    error: &'a str,
    hint: &'a str,
) -> Select<'a> {
    Select { name, label, choices, error, hint }
}

/// A box to tick.
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

/// A box to tick.
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

/// A switch.
pub fn switch<'a>(
    name: &'a dyn Display,
    label: &'a dyn Display,
    checked: &bool,
    hint: &'a str,
) -> Switch<'a> {
    Switch { name, label, checked: *checked, hint }
}
