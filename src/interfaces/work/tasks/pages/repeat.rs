//! The recurrence fields of a task form.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::tasks::model::series::{DueAfter, Series};
use features::tasks::queries::due;
use features::tasks::queries::series::DueFields;
use features::tasks::rules::series::SeriesPatch;
use features::workspace::queries as workspace;
use kernel::day::{self, Toward};
use kernel::vocab::UnknownWord;
use kernel::{CadenceKind, FieldError, MissedPolicy, Schedule, ScheduleFields};
use store::{Read, StoreError};
use web::parts::Choice;
use web::time::zones;

/// The available cadences, with labels.
const CADENCES: &[(CadenceKind, &str)] = &[
    (CadenceKind::Daily, "Daily"),
    (CadenceKind::Weekdays, "Weekdays"),
    (CadenceKind::Weekly, "Weekly"),
    (CadenceKind::Monthly, "Monthly"),
    (CadenceKind::EveryNDays, "Every few days"),
    (CadenceKind::Cron, "Cron expression"),
];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The form as typed.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Repeat {
    /// A cadence; empty for a non-recurring task.
    pub cadence_type: String,
    pub interval_n: String,
    day_1: String,
    day_2: String,
    day_3: String,
    day_4: String,
    day_5: String,
    day_6: String,
    day_7: String,
    /// 1 to 31, or -1 for the last day.
    pub day_of_month: String,
    /// Local time of day.
    pub time_of_day: String,
    /// A time zone; the workspace's if empty.
    pub timezone: String,
    /// The first day.
    pub starts_on: String,
    /// A cron expression.
    pub cron: String,
    /// The last day.
    pub ends_on: String,
    /// Number of occurrences after which it ends.
    pub ends_after_count: String,
    /// What happens to an unfinished previous task.
    pub missed_policy: String,
    /// Days from the occurrence to the due date.
    pub due_after_days: String,
    /// Time of the due date; end of the day if empty.
    pub due_at_time: String,
    /// Non-empty if the tasks have no due date.
    pub never_due: String,
}

/// The validated form.
pub struct Wanted {
    pub schedule: Schedule,
    /// What happens to an unfinished previous task.
    pub missed: MissedPolicy,
    /// The last day.
    pub ends_on: Option<Date>,
    /// Number of occurrences after which it ends.
    pub ends_after: Option<u32>,
    /// The due date rule; `None` if the tasks have no due date.
    pub due: Option<DueAfter>,
}

impl Wanted {
    /// Converts the fields to a patch of a series.
    pub fn patch(self) -> SeriesPatch {
        SeriesPatch {
            schedule: Some(self.schedule),
            missed: Some(self.missed),
            ends_on: Some(self.ends_on),
            ends_after: Some(self.ends_after),
            due: Some(self.due),
            ..SeriesPatch::default()
        }
    }
}

/// The fields with their choices.
pub struct RepeatView {
    pub typed: Repeat,
    pub cadences: Vec<Choice>,
    /// Days of the week.
    pub days: Vec<Choice>,
    pub month_days: Vec<Choice>,
    pub zones: Vec<Choice>,
    /// Policies for an unfinished previous task.
    pub policies: Vec<Choice>,
    /// Address of the preview.
    pub preview: String,
}

/// The name of the workspace's time zone.
pub fn zone(read: &dyn Read) -> Result<String, StoreError> {
    Ok(workspace::settings(read)?.map_or_else(|| "UTC".to_owned(), |settings| settings.zone))
}

impl Repeat {
    /// The fields of an existing series.
    pub fn of(series: &Series) -> Self {
        let fields = ScheduleFields::from(&series.schedule);
        let text = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
        let day = |day: u8| match fields.days_of_week.contains(&day) {
            true => "on".to_owned(),
            false => String::new(),
        };
        Self {
            cadence_type: series.schedule.kind().word().to_owned(),
            interval_n: text(fields.interval_n),
            day_1: day(1),
            day_2: day(2),
            day_3: day(3),
            day_4: day(4),
            day_5: day(5),
            day_6: day(6),
            day_7: day(7),
            day_of_month: fields.day_of_month.map(|day| day.to_string()).unwrap_or_default(),
            time_of_day: fields.time_of_day.unwrap_or_default(),
            timezone: fields.timezone.unwrap_or_default(),
            starts_on: fields.starts_on.unwrap_or_default(),
            cron: fields.cron.unwrap_or_default(),
            ends_on: series.last_day().map(|day| day.to_string()).unwrap_or_default(),
            ends_after_count: text(series.ends_after),
            missed_policy: series.missed.word().to_owned(),
            due_after_days: match series.due {
                Some(due) if 0 < due.days => due.days.to_string(),
                _ => String::new(),
            },
            due_at_time: series.due.and_then(|due| DueFields::from(due).time).unwrap_or_default(),
            never_due: if series.due.is_none() { "on".to_owned() } else { String::new() },
        }
    }

    /// The proposal for a task that becomes recurring.
    pub fn weekdays() -> Self {
        Self { cadence_type: CadenceKind::Weekdays.word().to_owned(), ..Self::default() }
    }

    /// Whether a cadence is selected.
    pub fn repeats(&self) -> bool {
        !self.cadence_type.is_empty()
    }

    fn days(&self) -> [&str; 7] {
        let Self { day_1, day_2, day_3, day_4, day_5, day_6, day_7, .. } = self;
        [day_1, day_2, day_3, day_4, day_5, day_6, day_7]
    }

    /// Parses the fields and collects all errors.
    pub fn read(&self, zone: &str, now: Timestamp) -> Result<Wanted, Vec<FieldError>> {
        let mut wrong = Vec::new();
        let today = due::day(now, &due::zone(zone));
        let cadence_type = word::<CadenceKind>("cadence_type", &self.cadence_type, &mut wrong);
        let missed = word::<MissedPolicy>("missed_policy", &self.missed_policy, &mut wrong);
        let interval_n = number::<u32>("interval_n", &self.interval_n, &mut wrong);
        let day_of_month = number::<i8>("day_of_month", &self.day_of_month, &mut wrong);
        let ends_after = number::<u32>("ends_after_count", &self.ends_after_count, &mut wrong);
        let ends_on = day::in_field("ends_on", &self.ends_on, today, Toward::Ahead);
        let ends_on = ends_on.unwrap_or_else(|fault| {
            wrong.push(fault);
            None
        });
        // An invalid day is kept, and the schedule's validation rejects it.
        let starts_on = day::read(&self.starts_on, today, Toward::Ahead)
            .map_or_else(|| self.starts_on.clone(), |day| day.to_string());
        let days = (1..).zip(self.days()).filter(|(_, day)| !day.is_empty());
        let due = self.due(&mut wrong);
        let fields = ScheduleFields {
            cadence_type,
            interval_n: interval_n.filter(|_| self.uses_interval()),
            days_of_week: days.map(|(number, _)| number).collect(),
            day_of_month,
            time_of_day: Some(self.time_of_day.clone()),
            timezone: Some(self.timezone.clone()),
            starts_on: Some(starts_on),
            cron: Some(self.cron.clone()),
            at: None,
        };
        match fields.read(zone, now) {
            Ok(schedule) if wrong.is_empty() => Ok(Wanted {
                schedule,
                missed: missed.unwrap_or(MissedPolicy::AutoSkip),
                ends_on,
                ends_after,
                due,
            }),
            Ok(_) => Err(wrong),
            Err(faults) => {
                let known = |fault: &FieldError| wrong.iter().any(|one| one.field == fault.field);
                let more: Vec<_> = faults.into_iter().filter(|fault| !known(fault)).collect();
                wrong.extend(more);
                Err(wrong)
            }
        }
    }

    /// Parses the due date rule.
    fn due(&self, wrong: &mut Vec<FieldError>) -> Option<DueAfter> {
        let days = number::<u16>("due_after_days", &self.due_after_days, wrong);
        if !self.never_due.is_empty() {
            return None;
        }
        let fields =
            DueFields { days: days.unwrap_or_default(), time: Some(self.due_at_time.clone()) };
        match fields.read() {
            Ok(due) => Some(due),
            Err(_) => {
                wrong.push(FieldError::new("due_at_time", "use a time of day such as 17:00"));
                None
            }
        }
    }

    fn uses_interval(&self) -> bool {
        self.cadence_type != CadenceKind::Weekdays.word()
    }

    /// The fields with their choices; `never` offers "does not repeat".
    pub fn view(self, ws: &Ws, zone: &str, never: bool) -> RepeatView {
        let is = |word: &str| self.cadence_type == word;
        let none = never.then(|| Choice::new("", "Does not repeat", is("")));
        let kinds = CADENCES.iter();
        let kinds = kinds.map(|(kind, label)| Choice::new(kind.word(), *label, is(kind.word())));
        let cadences = none.into_iter().chain(kinds).collect();
        let days = (1..).zip(DAYS).zip(self.days());
        let days = days.map(|((number, label), on)| {
            // A new schedule preselects Monday to Friday.
            let usual = !self.repeats() && number < 6;
            Choice::new(format!("day_{number}"), label, !on.is_empty() || usual)
        });
        let days = days.collect();
        let numbers = (1..=31).map(|day: i32| (day.to_string(), day.to_string()));
        let all = numbers.chain([("-1".to_owned(), "Last day".to_owned())]);
        let month_days = all.map(|(value, label)| {
            let chosen = value == self.day_of_month;
            Choice::new(value, label, chosen)
        });
        let month_days = month_days.collect();
        let policies = MissedPolicy::ALL.iter().map(|policy| {
            let chosen = policy.word() == self.missed_policy;
            Choice::new(policy.word(), policy.label(), chosen)
        });
        RepeatView {
            cadences,
            days,
            month_days,
            policies: policies.collect(),
            zones: zones(if self.timezone.is_empty() { zone } else { &self.timezone }),
            preview: ws.url("tasks/recurring/preview"),
            typed: self,
        }
    }
}

fn word<T>(field: &str, text: &str, wrong: &mut Vec<FieldError>) -> Option<T>
where
    T: std::str::FromStr<Err = UnknownWord>,
{
    if text.is_empty() {
        return None;
    }
    text.parse().map_err(|e: UnknownWord| wrong.push(FieldError::new(field, e.to_string()))).ok()
}

fn number<T: std::str::FromStr>(field: &str, text: &str, wrong: &mut Vec<FieldError>) -> Option<T> {
    match text.trim() {
        "" => None,
        text => match text.parse() {
            Ok(number) => Some(number),
            Err(_) => {
                wrong.push(FieldError::new(field, "use a whole number"));
                None
            }
        },
    }
}
