//! Parses days as people write them: `tomorrow`, `Fri`, `24 Nov`, `Nov 24, 2026`, `24.11.`, `2026-11-24`.

use jiff::civil::{Date, DateTime, Weekday};
use jiff::{Timestamp, ToSpan as _};

use crate::display::{self, Forms};
use crate::{DateForm, FieldError, clock};

/// Error message for an invalid day.
pub const WANTED: &str = "Write the day as 24 Dec, Friday or 2026-12-24.";
/// Error message for an invalid day with time.
pub const WANTED_TIMED: &str = "Write the day and the time as 24 Dec, 18:00 or Friday 9:30 pm.";

/// Direction from today in which a day without a year, or a day of the week, is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toward {
    /// The next such day.
    Ahead,
    /// The previous such day.
    Back,
}

const WEEK: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Formats a day for input fields, as [`read`] parses it: `24 Nov 2026`, or in the person's form.
#[must_use]
pub fn written(day: Date) -> String {
    display::day(day)
}

/// Formats a day with its time as [`read_timed`] parses it: `24 Nov 2026, 14:30`.
#[must_use]
pub fn written_timed(at: DateTime) -> String {
    format!("{}, {}", written(at.date()), clock::written(at.time()))
}

/// Parses the day in a form field. An empty field is `None`.
///
/// # Errors
/// If the text is not a day. The message names a valid form.
pub fn in_field(
    field: &str,
    text: &str,
    today: Date,
    toward: Toward,
) -> Result<Option<Date>, FieldError> {
    match text.trim() {
        "" => Ok(None),
        text => read(text, today, toward).map(Some).ok_or_else(|| FieldError::new(field, WANTED)),
    }
}

/// Parses a day followed by a time of day. The time needs a colon or am/pm: `24 Nov, 14:30`, `fri 9 pm`,
/// `2026-11-24T14:30`.
#[must_use]
pub fn read_timed(text: &str, today: Date, toward: Toward) -> Option<DateTime> {
    let is_between = |sign: char| sign.is_whitespace() || sign == ',';
    let mut cuts = text.char_indices().filter(|(_, sign)| is_between(*sign));
    let found = cuts.find_map(|(at, _)| {
        let (day, time) = text.split_at(at);
        let time = time.trim_start_matches(is_between);
        let is_time = time.contains(':') || clock::is_halved(time);
        let time = is_time.then(|| clock::read(time)).flatten()?;
        Some(read(day, today, toward)?.to_datetime(time))
    });
    found.or_else(|| {
        // Text with an offset is a moment and not a wall-clock time.
        let is_local = text.contains(':') && text.trim().parse::<Timestamp>().is_err();
        is_local.then(|| text.trim().parse().ok()).flatten()
    })
}

/// Parses a day. Returns `None` for other text and for ambiguous dates: `3/4` means March to some readers and April to
/// others, unless the person has chosen a form with slashes.
#[must_use]
pub fn read(text: &str, today: Date, toward: Toward) -> Option<Date> {
    let text = text.to_lowercase();
    let words = text.split(|sign: char| sign.is_whitespace() || sign == ',');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let words = match words.as_slice() {
        // A day of the week before a date adds nothing.
        [first, rest @ ..] if !rest.is_empty() && weekday(first).is_some() => rest,
        all => all,
    };
    match words {
        ["today"] => Some(today),
        ["tomorrow"] => today.tomorrow().ok(),
        ["yesterday"] => today.yesterday().ok(),
        ["in", count, unit] => later(today, count, unit),
        ["next", one] => of_week(one, today, Toward::Ahead),
        ["last", one] => of_week(one, today, Toward::Back),
        [one] => of_week(one, today, toward)
            .or_else(|| soon(one, today))
            .or_else(|| figures(one, today, toward)),
        [one, other] => named(one, other, None, today, toward),
        [one, other, year] => named(one, other, Some(self::year(year)?), today, toward),
        _ => None,
    }
}

/// Day of the week for a prefix of at least three letters.
fn weekday(word: &str) -> Option<Weekday> {
    let same = |(name, _): &&(&str, Weekday)| is_short_for(word, name);
    WEEK.iter().find(same).map(|(_, day)| *day)
}

fn is_short_for(word: &str, name: &str) -> bool {
    let word = word.trim_end_matches('.');
    3 <= word.len() && name.starts_with(word)
}

fn of_week(word: &str, today: Date, toward: Toward) -> Option<Date> {
    let nth = if toward == Toward::Ahead { 1 } else { -1 };
    today.nth_weekday(nth, weekday(word)?).ok()
}

/// Relative days: `3d`, `2w`.
fn soon(word: &str, today: Date) -> Option<Date> {
    let unit = ["d", "w"].into_iter().find(|unit| word.ends_with(unit))?;
    later(today, word.strip_suffix(unit)?, unit)
}

fn later(today: Date, count: &str, unit: &str) -> Option<Date> {
    let count = i64::from(count.parse::<u16>().ok()?);
    let span = match unit {
        "d" | "day" | "days" => count.days(),
        "w" | "week" | "weeks" => count.weeks(),
        "month" | "months" => count.months(),
        _ => return None,
    };
    today.checked_add(span).ok()
}

/// A day number and a month name, in either order.
fn named(one: &str, other: &str, year: Option<i16>, today: Date, toward: Toward) -> Option<Date> {
    let (day, month) = match (of_month(one), month(other)) {
        (Some(day), Some(month)) => (day, month),
        _ => (of_month(other)?, month(one)?),
    };
    dated(day, month, year, today, toward)
}

fn month(word: &str) -> Option<i8> {
    let at = MONTHS.iter().position(|name| is_short_for(word, name))?;
    i8::try_from(at + 1).ok()
}

/// Parses a day number: `24`, `24.`, `24th`.
fn of_month(word: &str) -> Option<i8> {
    let digits = word.trim_end_matches(|sign: char| !sign.is_ascii_digit());
    let rest = &word[digits.len()..];
    matches!(rest, "" | "." | "st" | "nd" | "rd" | "th").then(|| small(digits)).flatten()
}

/// Parses a number of one or two digits.
pub(crate) fn small(digits: &str) -> Option<i8> {
    let plain = digits.len() <= 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

fn year(digits: &str) -> Option<i16> {
    let plain = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// Parses `2026-11-24`, `24.11.` and `24.11.2026`. A date with slashes must be unambiguous or in the person's form.
fn figures(word: &str, today: Date, toward: Toward) -> Option<Date> {
    if let [years, month, day] = word.split('-').collect::<Vec<_>>().as_slice() {
        return Date::new(year(years)?, small(month)?, small(day)?).ok();
    }
    let sign = if word.contains('/') { '/' } else { '.' };
    let pieces: Vec<&str> = word.split(sign).collect();
    let (one, other, years) = match pieces.as_slice() {
        [one, other] | [one, other, ""] => (one, other, None),
        [one, other, years] => (one, other, Some(year(years)?)),
        _ => return None,
    };
    let (one, other) = (small(one)?, small(other)?);
    let (day, month) = match (sign, one <= 12, other <= 12) {
        ('.', ..) => (one, other),
        (_, true, true) if one != other => match Forms::current().date {
            DateForm::MonthFirst => (other, one),
            DateForm::DayFirst => (one, other),
            DateForm::Words | DateForm::Dots | DateForm::Iso => return None,
        },
        (_, true, false) => (other, one),
        _ => (one, other),
    };
    dated(day, month, years, today, toward)
}

/// A date without a year resolves to the nearest such day in the given direction, including today.
fn dated(day: i8, month: i8, year: Option<i16>, today: Date, toward: Toward) -> Option<Date> {
    if let Some(year) = year {
        return Date::new(year, month, day).ok();
    }
    // Two 29 Februaries are at most eight years apart.
    let mut all = (0..=8).filter_map(|far| {
        let year = match toward {
            Toward::Ahead => today.year().checked_add(far),
            Toward::Back => today.year().checked_sub(far),
        };
        Date::new(year?, month, day).ok()
    });
    all.find(|day| if toward == Toward::Ahead { today <= *day } else { *day <= today })
}

#[cfg(test)]
mod tests {
    use super::{Toward, in_field, read, read_timed, written, written_timed};
    use crate::display::Forms;
    use crate::{DateForm, TimeForm};
    use jiff::civil::{Date, date};
    use proptest::prelude::*;

    /// A Friday.
    const TODAY: Date = date(2026, 11, 20);

    #[test]
    fn a_day_is_read_as_people_write_it() {
        for (text, day) in [
            ("today", "2026-11-20"),
            (" Tomorrow ", "2026-11-21"),
            ("yesterday", "2026-11-19"),
            ("sat", "2026-11-21"),
            ("Thursday", "2026-11-26"),
            ("fri", "2026-11-27"),
            ("next tues", "2026-11-24"),
            ("last Mon.", "2026-11-16"),
            ("3d", "2026-11-23"),
            ("2w", "2026-12-04"),
            ("in 3 days", "2026-11-23"),
            ("in 1 month", "2026-12-20"),
            ("24 Nov", "2026-11-24"),
            ("nov 24", "2026-11-24"),
            ("24. November", "2026-11-24"),
            ("1st dec", "2026-12-01"),
            ("Tue, 24 Nov 2026", "2026-11-24"),
            ("November 24, 2026", "2026-11-24"),
            ("3 Sept", "2027-09-03"),
            ("20 Nov", "2026-11-20"),
            ("19 Nov", "2027-11-19"),
            ("29 feb", "2028-02-29"),
            ("24.11.", "2026-11-24"),
            ("1.2", "2027-02-01"),
            ("24.11.2027", "2027-11-24"),
            ("24/12", "2026-12-24"),
            ("12/24/2026", "2026-12-24"),
            ("5/5", "2027-05-05"),
            ("2026-11-24", "2026-11-24"),
            ("2027-1-5", "2027-01-05"),
        ] {
            let found = read(text, TODAY, Toward::Ahead).map(|day| day.to_string());
            assert_eq!(found.as_deref(), Some(day), "{text}");
        }
    }

    #[test]
    fn what_is_past_is_the_last_such_day() {
        for (text, day) in [
            ("fri", "2026-11-13"),
            ("24 Nov", "2025-11-24"),
            ("19.11.", "2026-11-19"),
            ("20 nov", "2026-11-20"),
            ("24 Nov 2026", "2026-11-24"),
        ] {
            let found = read(text, TODAY, Toward::Back).map(|day| day.to_string());
            assert_eq!(found.as_deref(), Some(day), "{text}");
        }
    }

    #[test]
    fn what_is_no_day_or_could_be_two_is_not_guessed() {
        for text in [
            "",
            " , ",
            "soon",
            "next week",
            "fr",
            "31 feb",
            "30.2.2026",
            "3/4",
            "03/04/2026",
            "24 nov 26",
            "2026-13-40",
            "2026-11-20T14:30",
            "2026-11-20 14:30",
            "14:30",
            "in x days",
            "in 99999 days",
            "nov",
            "24 24",
            "24.11.2026.1",
            "é",
            "24é",
        ] {
            assert_eq!(read(text, TODAY, Toward::Ahead), None, "{text}");
        }
    }

    #[test]
    fn a_day_with_a_time_is_read_as_people_write_it() {
        for (text, at) in [
            ("24 Nov, 14:30", "2026-11-24T14:30:00"),
            ("fri 9 pm", "2026-11-27T21:00:00"),
            ("Tue, 24 Nov 2026 9.30 pm", "2026-11-24T21:30:00"),
            ("tomorrow 9:05", "2026-11-21T09:05:00"),
            ("24.11. 18:00", "2026-11-24T18:00:00"),
            ("2026-11-24 14:30", "2026-11-24T14:30:00"),
            ("2026-11-24T14:30", "2026-11-24T14:30:00"),
        ] {
            let found = read_timed(text, TODAY, Toward::Ahead).map(|at| at.to_string());
            assert_eq!(found.as_deref(), Some(at), "{text}");
        }
        for text in [
            "",
            "24 Nov",
            "24 Nov 2027",
            "14:30",
            "soon 14:30",
            "24 Nov 25:00",
            "é, 9:00",
            "2026-11-24T14:30+01:00",
        ] {
            assert_eq!(read_timed(text, TODAY, Toward::Ahead), None, "{text}");
        }
    }

    #[test]
    fn a_date_with_slashes_is_read_in_the_form_of_the_person() {
        for (form, text, day) in [
            (DateForm::MonthFirst, "3/4/2027", "2027-03-04"),
            (DateForm::MonthFirst, "3/4", "2027-03-04"),
            (DateForm::MonthFirst, "24/12/2026", "2026-12-24"),
            (DateForm::DayFirst, "3/4/2027", "2027-04-03"),
            (DateForm::DayFirst, "03/04", "2027-04-03"),
            (DateForm::DayFirst, "12/24/2026", "2026-12-24"),
        ] {
            let _entered = Forms { date: form, ..Forms::USUAL }.enter();
            let found = read(text, TODAY, Toward::Ahead).map(|day| day.to_string());
            assert_eq!(found.as_deref(), Some(day), "{text}, {form}");
        }
        let _entered = Forms { date: DateForm::Iso, ..Forms::USUAL }.enter();
        assert_eq!(read("3/4/2027", TODAY, Toward::Ahead), None);
    }

    #[test]
    fn an_empty_field_is_no_day_and_a_wrong_one_is_named() {
        assert_eq!(in_field("from", " ", TODAY, Toward::Back).unwrap(), None);
        assert_eq!(in_field("from", "fri", TODAY, Toward::Back).unwrap(), Some(date(2026, 11, 13)));
        assert_eq!(in_field("from", "soon", TODAY, Toward::Back).unwrap_err().field, "from");
    }

    proptest! {
        #[test]
        fn what_a_field_shows_with_a_time_is_read_again(day in 1_i8..=28, hour in 0_i8..24, second in 0_i8..60) {
            let at = date(2027, 3, day).at(hour, 5, second, 0);
            prop_assert_eq!(read_timed(&written_timed(at), TODAY, Toward::Ahead), Some(at));
        }

        #[test]
        fn what_a_field_shows_is_read_again_in_each_form(
            month in 1_i8..=12,
            day in 1_i8..=28,
            form in 0_usize..5,
            hour in 0_i8..24,
        ) {
            let forms =
                Forms { date: DateForm::ALL[form], time: TimeForm::Halves, ..Forms::USUAL };
            let _entered = forms.enter();
            let at = date(2027, month, day).at(hour, 5, 0, 0);
            prop_assert_eq!(read(&written(at.date()), TODAY, Toward::Ahead), Some(at.date()));
            prop_assert_eq!(read_timed(&written_timed(at), TODAY, Toward::Ahead), Some(at));
        }

        #[test]
        fn what_a_field_shows_is_read_again(year in 1970_i16..2200, month in 1_i8..=12, day in 1_i8..=28) {
            let day = date(year, month, day);
            for toward in [Toward::Ahead, Toward::Back] {
                prop_assert_eq!(read(&written(day), TODAY, toward), Some(day));
                prop_assert_eq!(read(&day.to_string(), TODAY, toward), Some(day));
            }
        }

        #[test]
        fn nothing_that_is_typed_breaks_it(text in "\\PC{0,20}") {
            let _ = read(&text, TODAY, Toward::Ahead);
            let _ = read_timed(&text, TODAY, Toward::Ahead);
        }
    }
}
