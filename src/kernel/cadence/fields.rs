//! Schedule fields of JSON and forms, and their validation.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Cadence, Days, MonthDay, Schedule, cron, day_number, instant};
use crate::clock;
use crate::problem::FieldError;
use crate::time::from_ms;
use crate::vocab::CadenceKind;

/// When something repeats. What the chosen cadence does not use is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleFields {
    /// How it repeats.
    pub cadence_type: Option<CadenceKind>,
    /// Every so many minutes, hours, days, weeks or months; 1 if left out (15 for minutes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_n: Option<u32>,
    /// `weekly`: ISO numbers, 1 is Monday and 7 is Sunday. The day of `starts_on` if left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days_of_week: Vec<u8>,
    /// `monthly`: 1 to 31 (the last day in a shorter month), -1 for the last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub day_of_month: Option<i8>,
    /// Time on the wall, such as `09:00`. Minutes and hours count from it on the day of `starts_on`;
    /// there it is midnight if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_of_day: Option<String>,
    /// A name such as `Europe/Berlin`; that of the workspace if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<String>,
    /// The day that everything counts from, such as `2026-11-20`; today if left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_on: Option<String>,
    /// `cron`: minute, hour, day of the month, month, day of the week, such as `0 9 * * 1-5`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// `once`: a moment such as `2026-11-20T09:00:00Z`, or a time on the wall without `Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}

/// Validation errors, one per field.
type Faults = Vec<FieldError>;

impl ScheduleFields {
    /// Validates all fields and returns every error. `zone` is the default zone; `now` determines today.
    pub fn read(&self, zone: &str, now: Timestamp) -> Result<Schedule, Faults> {
        let mut faults = Faults::new();
        let zone = self.zone(zone).map_err(|fault| faults.push(fault)).ok();
        let known = zone.clone().unwrap_or(TimeZone::UTC);
        let starts_on = self.start(&known, now).map_err(|fault| faults.push(fault)).ok();
        let minute = self.minute().map_err(|fault| faults.push(fault)).ok();
        let start = starts_on.unwrap_or(Date::constant(1970, 1, 1));
        let cadence = self.cadence(&known, start).map_err(|fault| faults.push(fault)).ok();
        let (Some(_), Some(starts_on), Some(minute), Some(cadence)) =
            (&zone, starts_on, minute, cadence)
        else {
            return Err(faults);
        };
        let zone = known.iana_name().unwrap_or("UTC").to_owned();
        let schedule = Schedule { cadence, minute, zone, starts_on: day_number(starts_on) };
        // Such as 30 February.
        if matches!(schedule.cadence, Cadence::Cron(_)) && schedule.next(Timestamp::MIN).is_none() {
            return Err(vec![FieldError::new("cron", "no day ever matches this")]);
        }
        Ok(schedule)
    }

    /// The cadence type: given explicitly, or implied by a field that only one type uses.
    #[must_use]
    pub fn kind(&self) -> Option<CadenceKind> {
        let by_cron = given(&self.cron).map(|_| CadenceKind::Cron);
        let by_moment = given(&self.at).map(|_| CadenceKind::Once);
        self.cadence_type.or(by_cron).or(by_moment)
    }

    fn zone(&self, default: &str) -> Result<TimeZone, FieldError> {
        let name = given(&self.timezone).unwrap_or(default);
        TimeZone::get(name).map_err(|_| {
            // The library error only says that the zone was not found.
            let text = format!("there is no time zone {name:?}; use one such as Europe/Berlin");
            FieldError::new("timezone", text)
        })
    }

    fn start(&self, zone: &TimeZone, now: Timestamp) -> Result<Date, FieldError> {
        let Some(text) = given(&self.starts_on) else { return Ok(zone.to_datetime(now).date()) };
        let date = text.parse::<Date>().ok().filter(|date| (2000..=2200).contains(&date.year()));
        date.ok_or_else(|| FieldError::new("starts_on", "use a date such as 2026-11-20"))
    }

    fn minute(&self) -> Result<u16, FieldError> {
        let elapsed = [CadenceKind::EveryNMinutes, CadenceKind::EveryNHours];
        let Some(text) = given(&self.time_of_day) else {
            let midnight = self.kind().is_some_and(|kind| elapsed.contains(&kind));
            return Ok(if midnight { 0 } else { 9 * 60 });
        };
        let time = clock::read(text);
        let time =
            time.ok_or_else(|| FieldError::new("time_of_day", "use a time such as 09:00"))?;
        Ok(clock::minutes(time))
    }

    fn cadence(&self, zone: &TimeZone, start: Date) -> Result<Cadence, FieldError> {
        let Some(kind) = self.kind() else {
            let words: Vec<&str> = CadenceKind::ALL.iter().map(|kind| kind.word()).collect();
            let text = format!("choose how it repeats: {}", words.join(", "));
            return Err(FieldError::new("cadence_type", text));
        };
        Ok(match kind {
            CadenceKind::EveryNMinutes => Cadence::Minutes(self.interval(15, 525_600, "minutes")?),
            CadenceKind::EveryNHours => Cadence::Hours(self.interval(1, 8_760, "hours")?),
            CadenceKind::Daily => Cadence::Daily(self.short_interval(365, "days")?),
            CadenceKind::EveryNDays => Cadence::Days(self.short_interval(365, "days")?),
            CadenceKind::Weekdays => Cadence::Weekdays,
            CadenceKind::Weekly => {
                let every = self.short_interval(52, "weeks")?;
                Cadence::Weekly { every, days: self.days(start)? }
            }
            CadenceKind::Monthly => {
                let every = self.short_interval(36, "months")?;
                Cadence::Monthly { every, day: self.month_day()? }
            }
            CadenceKind::Cron => {
                let line = given(&self.cron).unwrap_or_default();
                cron::Line::parse(line).map_err(|words| FieldError::new("cron", words))?;
                Cadence::Cron(line.split_whitespace().collect::<Vec<_>>().join(" "))
            }
            CadenceKind::Once => Cadence::Once(self.moment(zone)?),
        })
    }

    fn interval(&self, default: u32, most: u32, unit: &str) -> Result<u32, FieldError> {
        let every = self.interval_n.unwrap_or(default);
        if (1..=most).contains(&every) {
            return Ok(every);
        }
        Err(FieldError::new("interval_n", format!("use 1 to {most} {unit}")))
    }

    fn short_interval(&self, most: u16, unit: &str) -> Result<u16, FieldError> {
        let every = self.interval(1, u32::from(most), unit)?;
        Ok(u16::try_from(every).unwrap_or(most))
    }

    fn days(&self, start: Date) -> Result<Days, FieldError> {
        if self.days_of_week.iter().any(|day| !(1..=7).contains(day)) {
            let text = "use 1 for Monday to 7 for Sunday";
            return Err(FieldError::new("days_of_week", text));
        }
        let days = Days::of(self.days_of_week.iter().copied());
        let first = u8::try_from(start.weekday().to_monday_one_offset()).unwrap_or(1);
        Ok(if days.is_empty() { Days::of([first]) } else { days })
    }

    fn month_day(&self) -> Result<MonthDay, FieldError> {
        match self.day_of_month.unwrap_or(1) {
            -1 => Ok(MonthDay::Last),
            day @ 1..=31 => Ok(MonthDay::On(u8::try_from(day).unwrap_or(1))),
            _ => Err(FieldError::new("day_of_month", "use 1 to 31, or -1 for the last day")),
        }
    }

    fn moment(&self, zone: &TimeZone) -> Result<Timestamp, FieldError> {
        let text = given(&self.at).unwrap_or_default();
        let exact = text.parse::<Timestamp>().ok();
        let wall = || text.parse::<DateTime>().ok().and_then(|wall| instant(zone, wall));
        let at = exact.or_else(wall).map(|at| from_ms(at.as_millisecond()));
        at.ok_or_else(|| FieldError::new("at", "use a moment such as 2026-11-20T09:00"))
    }
}

impl From<&Schedule> for ScheduleFields {
    fn from(schedule: &Schedule) -> Self {
        let mut fields = Self {
            cadence_type: Some(schedule.kind()),
            time_of_day: Some(schedule.time().strftime("%H:%M").to_string()),
            timezone: Some(schedule.zone.clone()),
            starts_on: Some(schedule.starts_on().to_string()),
            ..Self::default()
        };
        match &schedule.cadence {
            Cadence::Minutes(every) | Cadence::Hours(every) => fields.interval_n = Some(*every),
            Cadence::Daily(every) | Cadence::Days(every) => {
                fields.interval_n = Some(u32::from(*every));
            }
            Cadence::Weekdays => {}
            Cadence::Weekly { every, days } => {
                fields.interval_n = Some(u32::from(*every));
                fields.days_of_week = days.numbers();
            }
            Cadence::Monthly { every, day } => {
                fields.interval_n = Some(u32::from(*every));
                fields.day_of_month = Some(match day {
                    MonthDay::On(day) => i8::try_from(*day).unwrap_or(31),
                    MonthDay::Last => -1,
                });
            }
            Cadence::Cron(line) => {
                fields.cron = Some(line.clone());
                fields.time_of_day = None;
            }
            Cadence::Once(at) => {
                fields.at = Some(at.to_string());
                fields.time_of_day = None;
            }
        }
        fields
    }
}

/// The trimmed text of a non-empty field.
fn given(field: &Option<String>) -> Option<&str> {
    field.as_deref().map(str::trim).filter(|text| !text.is_empty())
}
