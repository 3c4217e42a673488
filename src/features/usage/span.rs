//! Day ranges for usage pages: today, the last days, a month, or from one day to another.

use jiff::civil::Date;
use serde::Deserialize;

use kernel::day::{self, Toward};
use kernel::display;
use kernel::{FieldError, Problem, ProblemKind};
use web::format::query_value;

use super::period::Month;

/// Maximum number of days.
pub const MAX_DAYS: u32 = 366;

/// Query parameters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SpanParams {
    /// `today`, `7`, `30`, `90` or `month`.
    pub range: String,
    /// Month, such as `2026-11`.
    pub month: String,
    /// First day, such as `2026-11-01`.
    pub from: String,
    /// Last day.
    pub to: String,
    /// Grouping of the report.
    pub by: String,
    /// Amount drawn by day.
    pub of: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Today,
    /// The last days, including today.
    Last(u32),
    Month(Month),
    /// From one day to another.
    Between,
}

/// A range of days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Days since 1970.
    pub first: u32,
    pub last: u32,
    pub kind: Kind,
}

/// An invalid range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct NoSpan {
    pub field: &'static str,
    /// The expected input.
    pub message: &'static str,
}

impl Problem for NoSpan {
    fn code(&self) -> &'static str {
        "days_invalid"
    }
    fn kind(&self) -> ProblemKind {
        ProblemKind::Invalid
    }
    fn fields(&self) -> Vec<FieldError> {
        vec![FieldError::new(self.field, self.message)]
    }
}

/// Parses a day such as `2026-11-20` to days since 1970.
#[must_use]
pub fn day(text: &str) -> Option<u32> {
    number(text.trim().parse().ok()?)
}

/// Days since 1970.
fn number(date: Date) -> Option<u32> {
    let days = Date::constant(1970, 1, 1).until(date).ok()?.get_days();
    u32::try_from(days).ok()
}

/// Parses the range; the default is the current month.
///
/// # Errors
/// If the parameters are invalid.
pub fn read(params: &SpanParams, today: u32) -> Result<Span, NoSpan> {
    let (from, to) = (params.from.trim(), params.to.trim());
    if !from.is_empty() || !to.is_empty() {
        return between(from, to, today);
    }
    let last = |count: u32| (today.saturating_sub(count - 1), today);
    let ((first, last), kind) = match params.range.trim() {
        "today" => (last(1), Kind::Today),
        "7" => (last(7), Kind::Last(7)),
        "30" => (last(30), Kind::Last(30)),
        "90" => (last(90), Kind::Last(90)),
        "" | "month" => {
            let month = match params.month.trim() {
                "" => Month::of_day(today),
                text => Month::parse(text)
                    .ok_or(NoSpan { field: "month", message: "enter a month like 2026-11" })?,
            };
            let first = month.first_day();
            ((first, first + month.days() - 1), Kind::Month(month))
        }
        _ => {
            let message = "choose today, 7, 30, 90 or month";
            return Err(NoSpan { field: "range", message });
        }
    };
    Ok(Span { first, last, kind })
}

fn between(from: &str, to: &str, today: u32) -> Result<Span, NoSpan> {
    // Usage days lie in the past, so ambiguous dates are resolved backwards.
    let written = |field: &'static str, text: &str| {
        let day = day::read(text, Month::date_of(today), Toward::Back);
        day.and_then(number).ok_or(NoSpan { field, message: day::WANTED })
    };
    let last = match to {
        "" => today,
        text => written("to", text)?,
    };
    let first = match from {
        "" => Month::of_day(last).first_day(),
        text => written("from", text)?,
    };
    if last < first || MAX_DAYS <= last - first {
        let message = "Choose a start up to a year before the end.";
        return Err(NoSpan { field: "from", message });
    }
    Ok(Span { first, last, kind: Kind::Between })
}

impl Span {
    /// Number of days.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.last - self.first + 1
    }

    /// Number of days that have begun.
    #[must_use]
    pub fn past(&self, today: u32) -> u32 {
        match today.checked_sub(self.first) {
            Some(after) => (after + 1).min(self.count()),
            None => 0,
        }
    }

    /// The comparison range for the days that have begun: the same days of the previous month, else the same number
    /// of days just before.
    #[must_use]
    pub fn before(&self, today: u32) -> (u32, u32) {
        let past = self.past(today).max(1);
        match self.kind {
            Kind::Month(month) => {
                let first = month.before().first_day();
                (first, (first + past - 1).min(self.first.saturating_sub(1)))
            }
            Kind::Today | Kind::Last(_) | Kind::Between => {
                (self.first.saturating_sub(past), self.first.saturating_sub(1))
            }
        }
    }

    /// Query string of the range.
    #[must_use]
    pub fn query(&self) -> String {
        let date = |day: u32| query_value(&Month::date_of(day).to_string());
        match self.kind {
            Kind::Today => "range=today".to_owned(),
            Kind::Last(count) => format!("range={count}"),
            Kind::Month(month) => format!("month={month}"),
            Kind::Between => format!("from={}&to={}", date(self.first), date(self.last)),
        }
    }

    /// Range in file names: `2026-11` or `2026-11-01-to-2026-11-20`.
    #[must_use]
    pub fn file(&self) -> String {
        match self.kind {
            Kind::Month(month) => month.to_string(),
            Kind::Today => Month::date_of(self.first).to_string(),
            Kind::Last(_) | Kind::Between => {
                format!("{}-to-{}", Month::date_of(self.first), Month::date_of(self.last))
            }
        }
    }

    /// "November 2026", "the last 7 days".
    #[must_use]
    pub fn label(&self) -> String {
        let date = |day: u32| display::day(Month::date_of(day));
        match self.kind {
            Kind::Today => "today".to_owned(),
            Kind::Last(count) => format!("the last {count} days"),
            Kind::Month(month) => month.label(),
            Kind::Between if self.first == self.last => date(self.first),
            Kind::Between => format!("{} to {}", date(self.first), date(self.last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Month, SpanParams, day, read};

    fn span_params(range: &str, month: &str, from: &str, to: &str) -> SpanParams {
        let own = str::to_owned;
        let (range, month, from, to) = (own(range), own(month), own(from), own(to));
        SpanParams { range, month, from, to, ..SpanParams::default() }
    }

    #[test]
    fn days_are_read_compared_and_written_as_they_are_asked_for() {
        let today = day("2026-11-20").unwrap();
        let of = |params: &SpanParams| read(params, today).unwrap();
        let date = |day: u32| Month::date_of(day).to_string();
        let month = of(&SpanParams::default());
        assert_eq!(
            (month.count(), month.past(today), month.query().as_str()),
            (30, 20, "month=2026-11")
        );
        assert_eq!(month.label(), "November 2026");
        let before = month.before(today);
        assert_eq!((date(before.0), date(before.1)), ("2026-10-01".into(), "2026-10-20".into()));
        let week = of(&span_params("7", "", "", ""));
        assert_eq!(
            (date(week.first), week.last, week.kind),
            ("2026-11-14".into(), today, Kind::Last(7))
        );
        let before = week.before(today);
        assert_eq!((date(before.0), date(before.1)), ("2026-11-07".into(), "2026-11-13".into()));
        let one = of(&span_params("today", "", "", ""));
        assert_eq!((one.first, one.count(), one.label().as_str()), (today, 1, "today"));
        let some = of(&span_params("7", "2026-01", "2026-11-03", "2026-11-05"));
        assert_eq!((some.count(), some.past(today)), (3, 3), "two days go before all else");
        assert_eq!(some.query(), "from=2026-11-03&to=2026-11-05");
        assert_eq!(some.file(), "2026-11-03-to-2026-11-05");
        let spoken = of(&span_params("", "", "3 Nov", "last Thu"));
        assert_eq!(spoken.query(), "from=2026-11-03&to=2026-11-19");
        let past = of(&span_params("", "2026-02", "", ""));
        assert_eq!((past.count(), past.past(today)), (28, 28));
        let later = of(&span_params("", "", "2026-12-01", "2026-12-02"));
        assert_eq!(later.past(today), 0);
        for span in [month, week, one, some, past] {
            let mut back = SpanParams::default();
            for pair in span.query().split('&') {
                let (name, value) = pair.split_once('=').unwrap();
                match name {
                    "range" => back.range = value.into(),
                    "month" => back.month = value.into(),
                    "from" => back.from = value.into(),
                    _ => back.to = value.into(),
                }
            }
            assert_eq!(of(&back), span);
        }
    }

    #[test]
    fn what_means_no_days_names_its_field() {
        let today = day("2026-11-20").unwrap();
        for (wrong, field) in [
            (span_params("8", "", "", ""), "range"),
            (span_params("", "2026-13", "", ""), "month"),
            (span_params("", "", "soon", ""), "from"),
            (span_params("", "", "", "1"), "to"),
            (span_params("", "", "2026-11-02", "2026-11-01"), "from"),
            (span_params("", "", "2025-11-20", "2026-11-21"), "from"),
        ] {
            assert_eq!(read(&wrong, today).map_err(|no| no.field), Err(field), "{wrong:?}");
        }
        assert!(read(&span_params("", "", "2025-11-20", "2026-11-20"), today).is_ok());
    }
}
