//! Conditions of a routine. All of up to ten must hold; one of them may be a group in which any test suffices. Fields
//! are validated when a routine is saved. Evaluation never fails: a missing value is empty.

mod datum;

use std::cmp::Ordering;

use jiff::Timestamp;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::registry::{Kind, OWN, VIEW};
use entity::Type;
use kernel::FieldError;
use kernel::text::nearest;

pub use datum::{Datum, Values, value_of};

use datum::same;

/// Maximum number of conditions, and of tests in a group.
pub const MOST: usize = 10;
/// Maximum length of a comparison value in characters.
const MAX_VALUE: usize = 200;

/// How a field is compared. Stored by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// It is the value.
    Is,
    /// It is not.
    IsNot,
    /// It is one of the values, which have commas between them.
    OneOf,
    /// It holds the value.
    Contains,
    /// It is greater, or later.
    Greater,
    /// It is less, or earlier.
    Less,
    /// There is nothing.
    Empty,
    /// There is something.
    Filled,
    /// It has just become the value: with this change, and not with one before.
    ChangesTo,
}

impl Op {
    /// All operators, in form order.
    pub const ALL: [Self; 9] = [
        Self::Is,
        Self::IsNot,
        Self::ChangesTo,
        Self::OneOf,
        Self::Contains,
        Self::Greater,
        Self::Less,
        Self::Empty,
        Self::Filled,
    ];

    /// The API word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is_not",
            Self::OneOf => "one_of",
            Self::Contains => "contains",
            Self::Greater => "greater",
            Self::Less => "less",
            Self::Empty => "empty",
            Self::Filled => "filled",
            Self::ChangesTo => "changes_to",
        }
    }

    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is not",
            Self::OneOf => "is one of",
            Self::Contains => "contains",
            Self::Greater => "is greater than",
            Self::Less => "is less than",
            Self::Empty => "is empty",
            Self::Filled => "is not empty",
            Self::ChangesTo => "changes to",
        }
    }

    /// Parses an API word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.word() == word)
    }

    /// Returns `true` if the operator takes a value.
    #[must_use]
    pub fn has_value(self) -> bool {
        !matches!(self, Self::Empty | Self::Filled)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    /// Field of the event kind.
    pub field: String,
    pub op: Op,
    pub value: String,
}

/// Stored by position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// This test must hold.
    One(Test),
    /// One of these tests must hold.
    Any(Vec<Test>),
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions(Vec<Condition>);

/// A comparison as it is written in JSON, or a group of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Written {
    /// One of the fields of the event.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// `is` when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// With what; several with commas for `one_of`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// In place of all of these: comparisons of which one is enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub any: Vec<Alternative>,
}

/// A comparison in a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alternative {
    /// One of the fields of the event.
    pub field: String,
    /// `is` when it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    /// With what.
    pub value: String,
}

/// What became of one condition, for whoever tries a routine out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Checked {
    /// The condition in words.
    pub words: String,
    /// What the record has there.
    pub found: String,
    /// Whether it is true.
    pub holds: bool,
}

impl Test {
    fn holds(&self, values: &Values) -> bool {
        let datum = value_of(values, &self.field);
        match self.op {
            Op::Is => datum.is(&self.value),
            Op::IsNot => !datum.is(&self.value),
            Op::OneOf => self.value.split(',').any(|value| datum.is(value)),
            Op::Contains => datum.contains(&self.value),
            Op::Greater => datum.order(&self.value) == Some(Ordering::Greater),
            Op::Less => datum.order(&self.value) == Some(Ordering::Less),
            Op::Empty => *datum == Datum::Nothing,
            Op::Filled => *datum != Datum::Nothing,
            Op::ChangesTo => datum.is(&self.value) && value_of(values, "changed").is(&self.field),
        }
    }

    fn words(&self, kind: Option<&Kind>) -> String {
        let field = match self.field.strip_prefix(VIEW) {
            None if self.field.starts_with(OWN) => self.field[OWN.len()..].replace('_', " "),
            Some(view) => format!("the number of tasks in the view {view}"),
            None => kind.map_or(self.field.as_str(), |kind| kind.label_of(&self.field)).to_owned(),
        };
        match self.op.has_value() {
            true => format!("{field} {} {}", self.op.label(), self.value),
            false => format!("{field} {}", self.op.label()),
        }
    }

    fn found(&self, values: &Values) -> String {
        let found = value_of(values, &self.field).shown();
        if found.is_empty() { "nothing".to_owned() } else { found.into_owned() }
    }

    /// Validates a test for a kind of event.
    fn read(kind: &Kind, at: &str, (field, op, value): Parts<'_>) -> Result<Self, FieldError> {
        let known = kind.fields();
        let (field, value) = (field.trim(), value.trim());
        let found = kind.field(field).map(|one| (one.name, one.label, one.of));
        let is_view = VIEW.len() < field.len() && field.starts_with(VIEW);
        let found = found.or(is_view.then_some((field, "the number of tasks", Type::Number)));
        let is_own = OWN.len() < field.len() && field.starts_with(OWN) && kind.has_own_fields();
        let found = found.or(is_own.then_some((field, field, Type::Text)));
        let Some((name, label, of)) = found else {
            let near = nearest(field, known.clone().map(|one| one.name));
            let hint = match near {
                Some(near) => format!("did you mean {near}?"),
                None => known.map(|one| one.name).collect::<Vec<_>>().join(", "),
            };
            let message = format!("{} has no field \"{field}\"; {hint}", kind.word);
            return Err(FieldError::new(at, message));
        };
        let op = op.unwrap_or(Op::Is);
        if op == Op::ChangesTo && !kind.tells_change_of(name) {
            let message = format!("{} doesn’t include changes of \"{label}\"; use is", kind.word);
            return Err(FieldError::new(at, message));
        }
        check_value((label, of), op, value).map_err(|message| FieldError::new(at, message))?;
        let value = if op.has_value() { written(of, op, value) } else { String::new() };
        Ok(Self { field: name.to_owned(), op, value })
    }
}

/// Whether the values of a field of an event are numbers.
#[must_use]
pub fn has_numbers(kind: &Kind, field: &str) -> bool {
    field.starts_with(VIEW) || kind.field(field).is_some_and(|one| one.of == Type::Number)
}

/// Field, operator and value as entered.
type Parts<'a> = (&'a str, Option<Op>, &'a str);

/// Checks that the operator and value suit the field type.
fn check_value((label, of): (&str, Type), op: Op, value: &str) -> Result<(), String> {
    if !op.has_value() {
        return Ok(());
    }
    if value.is_empty() {
        return Err(format!("enter a value to compare \"{label}\" with"));
    }
    if MAX_VALUE < value.chars().count() {
        return Err(format!("use a value of at most {MAX_VALUE} characters"));
    }
    let ordered = matches!(op, Op::Greater | Op::Less);
    if ordered && matches!(of, Type::Text | Type::List | Type::Words(_) | Type::YesNo) {
        let other = if of == Type::Text || of == Type::List { ", or contains" } else { "" };
        return Err(format!("\"{label}\" can’t be greater or less; use is, is one of{other}"));
    }
    if op == Op::Contains {
        return match of {
            Type::Text | Type::List | Type::Words(_) | Type::Ranked(_) => Ok(()),
            Type::Number => Err(format!("compare \"{label}\" with a whole number")),
            Type::YesNo | Type::Moment | Type::Clock => {
                Err(format!("\"{label}\" isn’t text; use is"))
            }
        };
    }
    let parts: Vec<&str> = match op {
        Op::OneOf => value.split(',').map(str::trim).collect(),
        _ => vec![value],
    };
    let all = |fits: fn(&str) -> bool| parts.iter().all(|part| fits(part));
    match of {
        Type::Text | Type::List => Ok(()),
        Type::Number if !all(|part| part.parse::<f64>().is_ok_and(f64::is_finite)) => {
            Err(format!("compare \"{label}\" with a number"))
        }
        Type::Moment if !all(is_moment) => {
            Err(format!("compare \"{label}\" with a day such as 2026-12-24, or a time"))
        }
        Type::Clock if !all(|part| clock(part).is_some()) => {
            Err(format!("compare \"{label}\" with a time such as 09:00"))
        }
        Type::YesNo if !all(|part| yes_no(part).is_some()) => {
            Err(format!("\"{label}\" must be yes or no"))
        }
        Type::Words(words) | Type::Ranked(words)
            if !parts.iter().all(|part| words.iter().any(|word| same(word, part))) =>
        {
            Err(format!("\"{label}\" is one of: {}", words.join(", ")))
        }
        _ => Ok(()),
    }
}

fn is_moment(text: &str) -> bool {
    text.parse::<Date>().is_ok() || text.parse::<Timestamp>().is_ok()
}

/// Normalises a time of day so that text comparison orders times.
fn clock(text: &str) -> Option<String> {
    let time = kernel::clock::read(text)?;
    Some(format!("{:02}:{:02}", time.hour(), time.minute()))
}

fn yes_no(text: &str) -> Option<&'static str> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Some("yes"),
        "no" | "false" => Some("no"),
        _ => None,
    }
}

/// Normalised value for storage.
fn written(of: Type, op: Op, value: &str) -> String {
    let one = |part: &str| match of {
        Type::Clock => clock(part),
        Type::YesNo => yes_no(part).map(str::to_owned),
        _ => None,
    };
    match op {
        Op::Contains => value.to_owned(),
        Op::OneOf => {
            let parts = value.split(',').map(str::trim);
            let parts = parts.map(|part| one(part).unwrap_or_else(|| part.to_owned()));
            parts.collect::<Vec<_>>().join(", ")
        }
        _ => one(value).unwrap_or_else(|| value.to_owned()),
    }
}

impl Conditions {
    /// Validates conditions for a kind of event and reports all errors.
    ///
    /// # Errors
    /// All errors.
    pub fn read(kind: &Kind, written: &[Written]) -> Result<Self, Vec<FieldError>> {
        let (mut wrong, mut all) = (Vec::new(), Vec::new());
        if MOST < written.len() {
            let message = format!("at most {MOST} conditions");
            wrong.push(FieldError::new("conditions", message));
        }
        if 1 < written.iter().filter(|one| !one.any.is_empty()).count() {
            let message = "only one condition can be a group";
            wrong.push(FieldError::new("conditions", message));
        }
        for (n, one) in written.iter().take(MOST).enumerate() {
            let at = format!("conditions.{n}");
            if one.any.is_empty() {
                match Test::read(kind, &at, (&one.field, one.op, &one.value)) {
                    Ok(test) => all.push(Condition::One(test)),
                    Err(error) => wrong.push(error),
                }
                continue;
            }
            if MOST < one.any.len() {
                let message = format!("at most {MOST} conditions in a group");
                wrong.push(FieldError::new(&at, message));
            }
            let mut group = Vec::new();
            for (m, other) in one.any.iter().take(MOST).enumerate() {
                let at = format!("{at}.any.{m}");
                match Test::read(kind, &at, (&other.field, other.op, &other.value)) {
                    Ok(test) => group.push(test),
                    Err(error) => wrong.push(error),
                }
            }
            all.push(Condition::Any(group));
        }
        if wrong.is_empty() { Ok(Self(all)) } else { Err(wrong) }
    }

    /// Converts to the JSON form.
    #[must_use]
    pub fn written(&self) -> Vec<Written> {
        let one = |condition: &Condition| match condition {
            Condition::One(test) => Written {
                field: test.field.clone(),
                op: Some(test.op),
                value: test.value.clone(),
                any: Vec::new(),
            },
            Condition::Any(tests) => Written {
                any: tests
                    .iter()
                    .map(|test| Alternative {
                        field: test.field.clone(),
                        op: Some(test.op),
                        value: test.value.clone(),
                    })
                    .collect(),
                ..Written::default()
            },
        };
        self.0.iter().map(one).collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns `true` if all conditions hold.
    #[must_use]
    pub fn hold(&self, values: &Values) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::One(test) => test.holds(values),
            Condition::Any(tests) => tests.iter().any(|test| test.holds(values)),
        })
    }

    /// Returns `true` if the conditions fail whatever the counts of saved views are.
    #[must_use]
    pub fn fail_without_views(&self, values: &Values) -> bool {
        self.0.iter().any(|condition| match condition {
            Condition::One(test) => !test.field.starts_with(VIEW) && !test.holds(values),
            Condition::Any(tests) => {
                tests.iter().all(|test| !test.field.starts_with(VIEW) && !test.holds(values))
            }
        })
    }

    /// Slugs of the saved views whose counts are needed.
    pub fn views(&self) -> impl Iterator<Item = &str> {
        let tests = self.0.iter().flat_map(|condition| match condition {
            Condition::One(test) => std::slice::from_ref(test),
            Condition::Any(tests) => tests.as_slice(),
        });
        tests.filter_map(|test| test.field.strip_prefix(VIEW))
    }

    /// Result of each condition for an event of this kind.
    #[must_use]
    pub fn check(&self, kind: Option<&Kind>, values: &Values) -> Vec<Checked> {
        let checked = |words: String, found: String, holds: bool| Checked { words, found, holds };
        let one = |condition: &Condition| match condition {
            Condition::One(test) => {
                checked(test.words(kind), test.found(values), test.holds(values))
            }
            Condition::Any(tests) => checked(
                tests.iter().map(|test| test.words(kind)).collect::<Vec<_>>().join(" or "),
                tests.iter().map(|test| test.found(values)).collect::<Vec<_>>().join(", "),
                tests.iter().any(|test| test.holds(values)),
            ),
        };
        self.0.iter().map(one).collect()
    }

    /// In words, such as "status is done and (priority is high or priority is urgent)".
    #[must_use]
    pub fn words(&self, kind: Option<&Kind>) -> String {
        let one = |condition: &Condition| match condition {
            Condition::One(test) => test.words(kind),
            Condition::Any(tests) => {
                let all = tests.iter().map(|test| test.words(kind));
                let all = all.collect::<Vec<_>>().join(" or ");
                if self.0.len() == 1 { all } else { format!("({all})") }
            }
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" and ")
    }

    /// For the sample of a record.
    pub(super) fn sample() -> Self {
        let test = |field: &str, op, value: &str| Test {
            field: field.to_owned(),
            op,
            value: value.to_owned(),
        };
        Self(vec![
            Condition::One(test("new", Op::Is, "done")),
            Condition::Any(vec![test("priority", Op::OneOf, "high, urgent")]),
        ])
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::routines::registry;

    fn values(all: &[(&'static str, Datum)]) -> Values {
        all.iter().map(|(name, datum)| (Cow::Borrowed(*name), datum.clone())).collect()
    }

    fn one(field: &str, op: Op, value: &str) -> Written {
        Written { field: field.into(), op: Some(op), value: value.into(), any: Vec::new() }
    }

    fn read(all: &[Written]) -> Result<Conditions, Vec<FieldError>> {
        Conditions::read(registry::kind("task.status").unwrap(), all)
    }

    #[test]
    fn all_must_hold_and_any_of_a_group() {
        let group = Written {
            any: vec![
                Alternative { field: "priority".into(), op: None, value: "urgent".into() },
                Alternative { field: "title".into(), op: Some(Op::Contains), value: "rent".into() },
            ],
            ..Written::default()
        };
        let all = read(&[one("new", Op::Is, "done"), group]).unwrap();
        let with = |new: &str, priority: &str, title: &str| {
            values(&[
                ("new", Datum::text(new)),
                ("priority", Datum::text(priority)),
                ("title", Datum::text(title)),
            ])
        };
        assert!(all.hold(&with("done", "urgent", "x")));
        assert!(all.hold(&with("Done", "low", "Pay the RENT")));
        assert!(!all.hold(&with("done", "low", "x")));
        assert!(!all.hold(&with("todo", "urgent", "x")));
        assert_eq!(all.written().len(), 2);
        assert_eq!(read(&all.written()).unwrap(), all);
    }

    #[test]
    fn orders_are_those_of_numbers_priorities_and_texts() {
        let holds = |datum: Datum, op, value: &str| {
            let test = Test { field: "x".into(), op, value: value.into() };
            test.holds(&values(&[("x", datum)]))
        };
        assert!(holds(Datum::Number(10.0), Op::Greater, "9"));
        assert!(!holds(Datum::Number(10.0), Op::Less, "nine"));
        assert!(holds(Datum::text("high"), Op::Greater, "medium"));
        assert!(holds(Datum::text("low"), Op::Less, "urgent"));
        assert!(holds(Datum::text("08:30"), Op::Less, "09:00"));
        assert!(!holds(Datum::Nothing, Op::Less, "9"));
        assert!(holds(Datum::Nothing, Op::Empty, ""));
        assert!(holds(Datum::Nothing, Op::IsNot, "done"));
        assert!(holds(Datum::text("b"), Op::OneOf, "a, b"));
        let due = || {
            let at: Timestamp = "2026-12-24T22:59:59Z".parse().unwrap();
            Datum::Moment(at, Date::constant(2026, 12, 24))
        };
        assert!(holds(due(), Op::Is, "2026-12-24") && holds(due(), Op::Greater, "2026-12-23"));
        assert!(holds(due(), Op::Less, "2026-12-24T23:00:00Z"));
        assert!(!holds(due(), Op::Less, "2026-12-24") && !holds(due(), Op::Contains, "2026"));
    }

    #[test]
    fn values_are_checked_by_the_type_of_their_field() {
        let kind = registry::kind("task.changed").unwrap();
        let kept = |field: &str, op, value: &str| {
            Conditions::read(kind, &[one(field, op, value)])
                .map(|all| all.written().remove(0).value)
        };
        for (field, op, value) in [
            ("title", Op::Greater, "a"),
            ("labels", Op::Less, "a"),
            ("status", Op::Greater, "todo"),
            ("old_priority", Op::Greater, "loud"),
            ("due", Op::Less, "soon"),
            ("due", Op::Contains, "2026"),
            ("due_in_days", Op::Contains, "3"),
            ("due_in_days", Op::Is, "NaN"),
            ("time", Op::Greater, "noon"),
            ("view:open", Op::Greater, "many"),
            ("view:", Op::Greater, "3"),
        ] {
            assert!(kept(field, op, value).is_err(), "{field} {} {value}", op.word());
        }
        assert_eq!(kept("time", Op::Greater, "9:00").unwrap(), "09:00");
        assert_eq!(kept("due", Op::Less, "2026-12-24").unwrap(), "2026-12-24");
        assert_eq!(kept("old_priority", Op::Less, "High").unwrap(), "High");
        assert_eq!(kept("view:open", Op::Greater, "3").unwrap(), "3");
        let agent = registry::kind("agent.changed").unwrap();
        let exec = Conditions::read(agent, &[one("exec", Op::Is, "true")]).unwrap();
        assert_eq!(exec.written()[0].value, "yes");
        let views = Conditions::read(kind, &[one("view:open", Op::Less, "9")]).unwrap();
        assert_eq!(views.views().collect::<Vec<_>>(), ["open"]);
    }

    #[test]
    fn what_cannot_be_is_refused_when_it_is_saved() {
        let message = |all: &[Written]| read(all).unwrap_err().remove(0).message;
        assert!(message(&[one("prio", Op::Is, "high")]).contains("priority"));
        assert!(message(&[one("priority", Op::Is, "loud")]).contains("urgent"));
        assert!(message(&[one("budget_left", Op::Greater, "much")]).contains("number"));
        assert!(message(&[one("title", Op::Is, "")]).contains("to compare"));
        let eleven = vec![one("title", Op::Is, "x"); 11];
        assert!(message(&eleven).contains("at most 10"));
        let group = Written { any: vec![Alternative::default()], ..Written::default() };
        assert!(message(&[group.clone(), group]).contains("only one condition"));
    }
}
