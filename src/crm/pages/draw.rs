//! View structs of cells and form fields for templates.

use entity::{Cell, Column, Decimal, FieldValue, Kind, Origin, Stands};
use features::tasks::queries::labels;
use features::tasks::queries::view_context::ViewContext;
use jiff::civil::Date;
use kernel::display;
use kernel::{Actor, Cause, FieldError, day};
use store::{Read, StoreError};
use web::ink;
use web::parts::{Choice, Face};
use web::time::{Due, RelTime, Work};

use super::Look;
use super::frame::newest;
use crate::columns;
use crate::model::{RowKind, Suggestion};

/// A value in a cell.
#[derive(Clone, Default)]
pub(super) struct Shown {
    /// Empty if there is no value.
    pub text: String,
    /// Link target; empty if none.
    pub href: String,
    /// Whether the link leaves HQ.
    pub out: bool,
    /// Colour of a choice.
    pub colour: String,
    /// A person or agent.
    pub face: Option<Face>,
    /// Tags and other choices: colour and label.
    pub tags: Vec<(String, String)>,
    /// The number in `text`.
    pub number: Option<Decimal>,
    /// Percentage for a bar.
    pub share: Option<u8>,
    /// Whether an agent wrote it and nobody has confirmed it.
    pub unchecked: bool,
}

impl Shown {
    /// The tone of a bar by its percentage.
    pub fn tone(&self) -> &'static str {
        match self.share {
            Some(..30) => "danger",
            Some(..70) => "warn",
            _ => "ok",
        }
    }
}

/// The tone of a due date.
pub(super) fn day_tone(day: Date, today: Date) -> &'static str {
    let work = if day < today { Work::Late } else { Work::Open };
    Due::new(day, today, work).tone.as_str()
}

/// A value as shown in a list or on a page.
pub(super) fn shown(
    scene: &ViewContext,
    look: &Look<'_>,
    column: &Column,
    cell: Option<&Cell>,
) -> Shown {
    let Some((cell, value)) = cell.and_then(|cell| Some((cell, cell.value.as_ref()?))) else {
        return Shown::default();
    };
    let mut shown = Shown {
        text: column.shown(value, &look.known),
        unchecked: cell.origin.is_unchecked(),
        ..Shown::default()
    };
    let hue = |key: &str| {
        let found = column.choices.iter().find(|choice| choice.key == key);
        found.map_or_else(String::new, |one| ink::named(one.colour))
    };
    match value {
        FieldValue::Choice(key) => shown.colour = hue(key),
        FieldValue::Choices(keys) => {
            shown.tags = keys.iter().map(|key| (hue(key), column.label_of(key))).collect();
        }
        FieldValue::Who(who) => shown.face = Some(look.known.people.face(*who)),
        FieldValue::Email(address) => shown.href = format!("mailto:{address}"),
        FieldValue::Phone(number) => {
            let plain: String =
                number.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
            shown.href = format!("tel:{plain}");
        }
        FieldValue::Url(address) => {
            shown.href.clone_from(address);
            shown.out = true;
            shown.text = entity::plain_url(address);
        }
        FieldValue::Refers(target) => {
            let at = RowKind::of_table(target.table).path;
            shown.href = scene.ws.url(&format!("{at}/{}", target.id));
        }
        FieldValue::At(at) => {
            shown.text = display::day_time(at.to_zoned(scene.today.zone.clone()).datetime());
        }
        FieldValue::Number(number) => {
            shown.number = Some(*number);
            if column.look == entity::Look::Bar {
                let whole = (number.millionths() / 1_000_000).clamp(0, 100);
                shown.share = u8::try_from(whole).ok();
            }
        }
        _ => {}
    }
    shown
}

/// The origin of a value: "by Ada", and the rest of the sentence.
#[derive(Clone)]
pub(super) struct From {
    pub face: Face,
    /// Its channel: "from a file, row 7"; empty if entered by hand.
    pub through: String,
    pub at: RelTime,
    /// Sources: address or record, quote, and the link of an address.
    pub sources: Vec<(String, String, String)>,
    /// Page of the run; empty if none.
    pub run: String,
}

/// The origin of a value.
pub(super) fn origin(scene: &ViewContext, look: &Look<'_>, origin: &Origin) -> From {
    let through = match (origin.cause, origin.row) {
        (Cause::Import(_), Some(row)) => format!("imported, row {row}"),
        (Cause::Import(_), None) => "imported".to_owned(),
        (Cause::Undo(_), _) => "through undo".to_owned(),
        (Cause::Routine(..), _) => "through a routine".to_owned(),
        (Cause::Setup, _) => "at set-up".to_owned(),
        _ => match origin.by {
            Actor::Person { via: kernel::Via::Token(_), .. } => "through the API".to_owned(),
            _ => String::new(),
        },
    };
    let link = |at: &str| match at.starts_with("https://") || at.starts_with("http://") {
        true => at.to_owned(),
        false => String::new(),
    };
    let sources = origin.sources.iter().map(|one| {
        let text =
            if link(&one.at).is_empty() { one.at.clone() } else { entity::plain_url(&one.at) };
        (text, one.quote.clone(), link(&one.at))
    });
    From {
        face: look.known.people.actor(origin.by),
        through,
        at: scene.time(origin.at),
        sources: sources.collect(),
        run: match origin.cause {
            Cause::Step(run, _) => scene.ws.url(&format!("runs/{run}")),
            _ => String::new(),
        },
    }
}

/// A suggestion of an agent.
pub(super) struct Suggested {
    pub id: String,
    /// The value in words.
    pub text: String,
    /// Its origin.
    pub from: From,
}

/// Builds the view of a suggestion.
pub(super) fn suggested(
    scene: &ViewContext,
    look: &Look<'_>,
    (column, one): (&Column, &Suggestion),
) -> Suggested {
    let as_origin = Origin {
        by: one.by,
        cause: Cause::Timer,
        at: one.created_at,
        row: None,
        sources: one.sources.clone(),
        right: None,
    };
    Suggested {
        id: one.id.to_string(),
        text: one.value.as_ref().map_or_else(String::new, |value| column.shown(value, &look.known)),
        from: origin(scene, look, &as_origin),
    }
}

/// A field of a form.
#[derive(Clone, Default)]
pub(super) struct Input {
    /// Key of the field.
    pub name: String,
    pub label: String,
    /// The control: `text`, `area`, `select`, `day`, `moment`, or the type of an input.
    pub control: &'static str,
    /// The submitted or current value.
    pub value: String,
    /// The value in the form that people type; empty if identical.
    pub written: String,
    /// Options of a select.
    pub choices: Vec<Choice>,
    /// Suggestions for typing.
    pub offers: Vec<String>,
    /// Error message; empty if none.
    pub error: String,
    pub hint: String,
    pub required: bool,
}

/// The form field of a column.
pub(super) fn input(
    scene: &ViewContext,
    (look, read): (&Look<'_>, &dyn Read),
    column: &Column,
    value: Option<&FieldValue>,
) -> Result<Input, StoreError> {
    let written = value.map_or_else(String::new, |value| column.written(value, &look.known));
    let mut input = Input {
        name: column.key.clone(),
        label: column.label.clone(),
        control: control(column.kind),
        hint: column.about.clone(),
        required: column.required,
        value: written,
        ..Input::default()
    };
    match column.kind {
        Kind::Select => {
            let chosen = value.and_then(FieldValue::text).unwrap_or_default();
            input.choices.push(Choice::new("", "None", chosen.is_empty()));
            let all = column.choices.iter();
            input
                .choices
                .extend(all.map(|one| Choice::new(&one.key, &one.label, one.key == chosen)));
        }
        Kind::Boolean => {
            input.choices = [("", "Not set"), ("yes", "Yes"), ("no", "No")]
                .map(|(word, label)| Choice::new(word, label, word == input.value))
                .to_vec();
        }
        Kind::Person => {
            let who = match value {
                Some(FieldValue::Who(who)) => Some(*who),
                _ => None,
            };
            input.choices = look.known.people.choices(who, scene.me);
        }
        Kind::MultiSelect => {
            input.offers = match columns::are_labels(column) {
                true => labels::all(read)?.into_iter().map(|label| label.name).collect(),
                false => column.choices.iter().map(|choice| choice.label.clone()).collect(),
            };
            if input.hint.is_empty() {
                input.hint = "Separate with commas.".to_owned();
            }
        }
        Kind::Datetime => {
            if let Some(FieldValue::At(at)) = value {
                let local = at.to_zoned(scene.today.zone.clone()).datetime();
                input.written = day::written_timed(local);
            }
        }
        Kind::Number => input.written = display::entered(&input.value),
        Kind::Relation => {
            input.offers = newest(RowKind::of_table(column.to), read)?;
        }
        _ => {}
    }
    Ok(input)
}

fn control(kind: Kind) -> &'static str {
    match kind {
        Kind::LongText => "area",
        Kind::Select | Kind::Boolean | Kind::Person => "select",
        Kind::Date => "day",
        Kind::Datetime => "moment",
        Kind::Email => "email",
        Kind::Phone => "tel",
        _ => "text",
    }
}

/// Assigns errors to their fields; returns those without a field.
pub(super) fn refused(inputs: &mut [Input], wrong: &[FieldError]) -> String {
    let mut others = Vec::new();
    for one in wrong {
        match inputs.iter_mut().find(|input| input.name == one.field) {
            Some(input) => input.error.clone_from(&one.message),
            None => others.push(one.message.clone()),
        }
    }
    others.join(" ")
}

/// The style of a stage's meaning.
pub(super) fn tone(stands: Stands) -> &'static str {
    match stands {
        Stands::Open => "info",
        Stands::Won => "ok",
        Stands::Lost => "neutral",
    }
}
