//! The form of a routine: parsing it, and filling it in again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;

use features::routines::conditions::{Alternative, MOST, Op, Written, has_numbers};
use features::routines::model::Routine;
use features::routines::registry;
use features::routines::wish::{EventRequest, QuietRequest, RoutineRequest, TaskRequest};
use features::tasks::queries::due;
use kernel::cadence::ScheduleFields;
use kernel::day::{self, Toward};
use kernel::display;
use kernel::vocab::CadenceKind;
use kernel::{CatchUp, FieldError, Overlap, Priority, RoutineSession, Thinking};
use web::form::Wrong;
use web::format;

/// A time of a schedule in its own time zone, as people write it.
fn on_the_clock(at: &str, fields: &ScheduleFields) -> String {
    let zone = due::zone(fields.timezone.as_deref().unwrap_or_default());
    let moment = at.parse::<Timestamp>();
    moment.map_or_else(|_| at.to_owned(), |at| day::written_timed(at.to_zoned(zone).datetime()))
}

/// The numbers of a condition as programs write them. Where the comma is the decimal separator, it separates two
/// numbers only with a space.
fn plain_numbers(op: Option<Op>, typed: &str) -> String {
    if op == Some(Op::OneOf) && display::decimal_mark() == ',' {
        let all = typed.replace(';', ", ");
        let all = all.split(", ").map(str::trim).filter(|one| !one.is_empty());
        return all.map(display::plain_number).collect::<Vec<_>>().join(", ");
    }
    display::plain_number(typed)
}

/// Minimum numbers of condition rows: all must match, and one of them must match.
pub(super) const ROWS: usize = 4;
pub(super) const ANY_ROWS: usize = 3;
/// Maximum number of template roles.
pub(super) const ROLES: usize = 100;

/// Fields under "More" that are empty by default.
const MORE: [&str; 10] = [
    "starts_on",
    "jitter_secs",
    "catch_up_minutes",
    "delete_when_done",
    "own_changes",
    "model",
    "thinking",
    "budget",
    "quiet_from",
    "deliver_to",
];
/// Error names of the fields under "More".
const MORE_WRONG: [&str; 9] = [
    "starts_on",
    "timezone",
    "jitter_secs",
    "catch_up",
    "catch_up_minutes",
    "budget_micros",
    "quiet_hours.from",
    "quiet_hours.until",
    "deliver_to",
];

/// The input by field; fields that were not sent are empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct RoutineForm(BTreeMap<String, String>);

impl RoutineForm {
    pub(super) fn at(&self, field: &str) -> &str {
        self.0.get(field).map_or("", |value| value.trim())
    }

    pub(super) fn set(&mut self, field: &str, value: impl Into<String>) {
        self.0.insert(field.to_owned(), value.into());
    }

    /// Whether a field under "More" is set or invalid.
    pub(super) fn has_more(&self, wrong: &Wrong) -> bool {
        let chosen = |field: &&str| !self.at(field).is_empty() && self.at(field) != "0";
        MORE.iter().any(chosen)
            || self.at("session") == RoutineSession::Main.word()
            || MORE_WRONG.iter().any(|field| !wrong.at(field).is_empty())
    }

    fn given(&self, field: &str) -> Option<String> {
        Some(self.at(field).to_owned()).filter(|text| !text.is_empty())
    }

    /// Parses a number; records an error if it is invalid.
    fn number<T: std::str::FromStr>(&self, field: &str, wrong: &mut Vec<FieldError>) -> Option<T> {
        let text = self.at(field);
        if text.is_empty() {
            return None;
        }
        let number = text.parse().ok();
        if number.is_none() {
            wrong.push(FieldError::new(field, "use a whole number"));
        }
        number
    }

    /// Parses a word of a closed list; an unknown word counts as empty.
    fn word<T: std::str::FromStr>(&self, field: &str) -> Option<T> {
        self.at(field).parse().ok()
    }

    /// The first day in ISO format; records an error if it is invalid.
    fn starts_on(&self, today: Date, wrong: &mut Vec<FieldError>) -> Option<String> {
        let day = day::in_field("starts_on", self.at("starts_on"), today, Toward::Ahead);
        day.unwrap_or_else(|fault| {
            wrong.push(fault);
            None
        })
        .map(|day| day.to_string())
    }

    /// The time of a one-time schedule in ISO format; records an error if it is invalid.
    fn moment(&self, today: Date, wrong: &mut Vec<FieldError>) -> Option<String> {
        let text = self.at("at");
        if text.parse::<Timestamp>().is_ok() {
            return Some(text.to_owned());
        }
        let at = day::read_timed(text, today, Toward::Ahead);
        if at.is_none() {
            wrong.push(FieldError::new("at", day::WANTED_TIMED));
        }
        at.map(|at| at.to_string())
    }

    /// Converts the form to a request and collects errors of numbers and amounts. Dates are in the routine's time zone,
    /// or in `zone` if it has none.
    pub(super) fn wish(&self, zone: &str, now: Timestamp) -> (RoutineRequest, Vec<FieldError>) {
        let mut wrong = Vec::new();
        let is_event = self.at("when") == "event";
        let zone = self.given("timezone").map_or_else(|| due::zone(zone), |own| due::zone(&own));
        let today = due::day(now, &zone);
        let is_once = self.word("cadence_type") == Some(CadenceKind::Once);
        // Schedule fields that were filled in before an event was selected are ignored.
        let schedule = (!is_event).then(|| ScheduleFields {
            cadence_type: self.word("cadence_type"),
            interval_n: self.number("interval_n", &mut wrong),
            days_of_week: self.days("day_"),
            day_of_month: self.number("day_of_month", &mut wrong),
            time_of_day: self.given("time_of_day"),
            timezone: self.given("timezone"),
            starts_on: self.starts_on(today, &mut wrong),
            cron: self.given("cron"),
            at: match is_once {
                true => self.moment(today, &mut wrong),
                false => self.given("at"),
            },
        });
        let budget_micros = match self.at("budget") {
            "" => None,
            text => {
                let micros = format::parse_dollars(text);
                if micros.is_none() {
                    wrong.push(FieldError::new("budget_micros", format::wanted_dollars()));
                }
                micros
            }
        };
        let task = (self.at("action") == "task").then(|| {
            let template = self.given("template");
            TaskRequest {
                title: self.at("task_title").to_owned(),
                priority: self.word("task_priority"),
                unassigned: !self.at("task_unassigned").is_empty(),
                due_days: self.number("due_days", &mut wrong),
                roles: template.iter().flat_map(|_| self.roles()).collect(),
                template,
            }
        });
        let quiet = !(self.at("quiet_from").is_empty() && self.at("quiet_until").is_empty());
        let wish = RoutineRequest {
            agent: self.given("agent"),
            name: self.at("name").to_owned(),
            instruction: self.0.get("instruction").cloned().unwrap_or_default(),
            schedule,
            event: is_event.then(|| EventRequest {
                when: self.at("event").to_owned(),
                all: self.conditions(),
                own_changes: !self.at("own_changes").is_empty(),
            }),
            task,
            catch_up: self.word("catch_up"),
            catch_up_minutes: self.number("catch_up_minutes", &mut wrong),
            overlap: self.word("overlap"),
            model: self.given("model"),
            thinking: self.word("thinking"),
            budget_micros,
            quiet_hours: quiet.then(|| QuietRequest {
                days: self.days("quiet_day_"),
                from: self.at("quiet_from").to_owned(),
                until: self.at("quiet_until").to_owned(),
                timezone: self.given("quiet_zone").or_else(|| self.given("timezone")),
            }),
            jitter_secs: match is_event {
                true => None,
                false => self.number("jitter_secs", &mut wrong),
            },
            delete_when_done: !is_event && is_once && !self.at("delete_when_done").is_empty(),
            session: self.word("session"),
            deliver_to: self.given("deliver_to").filter(|_| self.at("action") != "task"),
        };
        (wish, wrong)
    }

    /// The assignees of the template's roles, by role.
    pub(super) fn roles(&self) -> impl Iterator<Item = (String, String)> {
        let role = move |n: usize| {
            Some((self.given(&format!("role_name_{n}"))?, self.given(&format!("role_{n}"))?))
        };
        (0..ROLES).filter_map(role)
    }

    /// Number of condition rows to show: one more than are in use.
    pub(super) fn rows(&self, prefix: &str, least: usize) -> usize {
        let used = |n: &usize| !self.at(&format!("{prefix}{n}_field")).is_empty();
        let last = (1..=MOST).rev().find(used).unwrap_or(0);
        (last + 1).clamp(least, MOST)
    }

    fn days(&self, prefix: &str) -> Vec<u8> {
        (1..=7).filter(|day| !self.at(&format!("{prefix}{day}")).is_empty()).collect()
    }

    fn conditions(&self) -> Vec<Written> {
        let kind = registry::kind(self.at("event"));
        let parts = |row: &str| {
            let at = |part: &str| self.at(&format!("{row}_{part}")).to_owned();
            let (field, op, value) = (at("field"), Op::named(&at("op")), at("value"));
            match kind.is_some_and(|kind| has_numbers(kind, &field)) {
                true => (field, op, plain_numbers(op, &value)),
                false => (field, op, value),
            }
        };
        let mut all = Vec::new();
        for n in 1..=MOST {
            let (field, op, value) = parts(&format!("c{n}"));
            if !field.is_empty() {
                all.push(Written { field, op, value, any: Vec::new() });
            }
        }
        let mut any = Vec::new();
        for n in 1..=MOST {
            let (field, op, value) = parts(&format!("a{n}"));
            if !field.is_empty() {
                any.push(Alternative { field, op, value });
            }
        }
        if !any.is_empty() {
            all.push(Written { any, ..Written::default() });
        }
        all
    }

    /// Fills the form from a routine.
    pub(super) fn of(routine: &Routine, agent: &str) -> Self {
        let (wish, mut form) = (RoutineRequest::from(routine), Self::default());
        form.set("agent", agent);
        form.set("name", wish.name);
        form.set("instruction", wish.instruction);
        if let Some(fields) = wish.schedule {
            form.set("when", "schedule");
            form.schedule(&fields);
        }
        if let Some(event) = wish.event {
            form.set("when", "event");
            form.set("event", event.when);
            form.set("own_changes", if event.own_changes { "on" } else { "" });
            form.written(&event.all);
        }
        if let Some(task) = wish.task {
            form.set("action", "task");
            form.set("task_title", task.title);
            form.set("task_priority", task.priority.map_or("", Priority::word));
            form.set("task_unassigned", if task.unassigned { "on" } else { "" });
            form.set("due_days", task.due_days.map_or_else(String::new, |days| days.to_string()));
            form.set("template", task.template.unwrap_or_default());
            for (n, (role, who)) in task.roles.into_iter().enumerate() {
                form.set(&format!("role_name_{n}"), role);
                form.set(&format!("role_{n}"), who);
            }
        }
        form.set("catch_up", wish.catch_up.map_or("", CatchUp::word));
        let minutes = wish.catch_up_minutes.map_or_else(String::new, |n| n.to_string());
        form.set("catch_up_minutes", minutes);
        form.set("overlap", wish.overlap.map_or("", Overlap::word));
        form.set("model", wish.model.unwrap_or_default());
        form.set("thinking", wish.thinking.map_or("", Thinking::word));
        let budget = wish.budget_micros.map_or_else(String::new, format::plain_dollars);
        form.set("budget", budget);
        let delay = wish.jitter_secs.map_or_else(String::new, |secs| secs.to_string());
        form.set("jitter_secs", delay);
        form.set("delete_when_done", if wish.delete_when_done { "on" } else { "" });
        form.set("session", wish.session.map_or("", RoutineSession::word));
        form.set("deliver_to", wish.deliver_to.unwrap_or_default());
        if let Some(quiet) = wish.quiet_hours {
            form.set("quiet_from", quiet.from);
            form.set("quiet_until", quiet.until);
            for day in quiet.days {
                form.set(&format!("quiet_day_{day}"), "on");
            }
            // A zone equal to the schedule's keeps following the schedule.
            let own = quiet.timezone.filter(|zone| zone != form.at("timezone"));
            form.set("quiet_zone", own.unwrap_or_default());
        }
        form
    }

    fn schedule(&mut self, fields: &ScheduleFields) {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        self.set("cadence_type", fields.cadence_type.map_or("", CadenceKind::word));
        self.set("interval_n", fields.interval_n.map_or_else(String::new, |n| n.to_string()));
        for day in &fields.days_of_week {
            self.set(&format!("day_{day}"), "on");
        }
        self.set("day_of_month", fields.day_of_month.map_or_else(String::new, |n| n.to_string()));
        self.set("time_of_day", text(&fields.time_of_day));
        self.set("timezone", text(&fields.timezone));
        self.set("starts_on", text(&fields.starts_on));
        self.set("cron", text(&fields.cron));
        self.set(
            "at",
            fields.at.as_deref().map_or_else(String::new, |at| on_the_clock(at, fields)),
        );
    }

    fn written(&mut self, all: &[Written]) {
        let mut n = 0;
        for one in all {
            if one.any.is_empty() {
                n += 1;
                self.condition(&format!("c{n}"), (&one.field, one.op, &one.value));
            }
            for (m, other) in (1..).zip(&one.any) {
                self.condition(&format!("a{m}"), (&other.field, other.op, &other.value));
            }
        }
    }

    fn condition(&mut self, row: &str, (field, op, value): (&str, Option<Op>, &str)) {
        let kind = registry::kind(self.at("event"));
        let value = match kind.is_some_and(|kind| has_numbers(kind, field)) {
            true => display::entered(value),
            false => value.to_owned(),
        };
        self.set(&format!("{row}_field"), field);
        self.set(&format!("{row}_op"), op.map_or("is", Op::word));
        self.set(&format!("{row}_value"), value);
    }
}

#[cfg(test)]
mod tests {
    use features::routines::conditions::Op;
    use kernel::NumberForm;
    use kernel::display::Forms;

    use super::RoutineForm;

    #[test]
    fn numbers_of_conditions_are_in_the_form_of_the_person() {
        let _entered = Forms { number: NumberForm::Point, ..Forms::USUAL }.enter();
        let mut form = RoutineForm::default();
        form.set("event", "task.status");
        for (op, typed, plain, shown) in [
            (Op::Greater, "1.500", "1500", "1500"),
            (Op::Less, "1,5", "1.5", "1,5"),
            (Op::Less, "1,125", "1.125", "1,125"),
            (Op::OneOf, "1,5, 2.000", "1.5, 2000", "1,5, 2000"),
            (Op::OneOf, "1,5; 2", "1.5, 2", "1,5, 2"),
        ] {
            form.condition("c1", ("budget_left", Some(op), ""));
            form.set("c1_value", typed);
            let all = form.conditions();
            assert_eq!(all[0].value, plain, "{typed}");
            form.written(&all);
            assert_eq!(form.at("c1_value"), shown, "{typed}");
        }
        form.condition("c1", ("title", Some(Op::Is), "1.500"));
        assert_eq!(form.conditions()[0].value, "1.500", "a text is no number");
    }
}
