//! Describes cron lines in words. A line is parsed into times of day and days, and the words are built from these, so
//! every generated description is exact. Lines without a short description are described field by field.

use jiff::civil::Time;

use super::Days;
use super::words::{clock_words, day_words, few, ordinal};
use crate::text::listed;

/// Maximum number of times of day that are listed.
const TIMES: usize = 6;
/// Minimum number of equidistant times that are described as an interval.
const ROW: usize = 4;
/// Maximum number of days of a month that are listed.
const MONTH_DAYS: usize = 4;
/// Minutes per day.
const DAY: u16 = 24 * 60;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Examples: "Weekdays at 8:00", "Every 15 minutes", "Monthly on the 1st at 6:00". The zone is not included. Returns
/// `None` if the line has no short description.
pub(super) fn words(line: &str) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [minutes, hours, month_days, months, week_days] = fields[..] else { return None };
    // Hours that begin with `*` follow elapsed time. Only such lines never pause.
    let goes_on = hours.starts_with('*');
    let times = times(&numbers(minutes, (0, 59), &[])?, &numbers(hours, (0, 23), &[])?);
    let times = time_words(&times, goes_on)?;
    let months = numbers(months, (1, 12), &MONTHS)?;
    let days = match (month_days, week_days) {
        (of_month, "*") => of_month_words(of_month, &months)?,
        ("*", of_week) => of_week_words(of_week, &months)?,
        // Two restricted day fields mean either day. A short sentence does not express that.
        _ => return None,
    };
    Some(match (days.as_str(), times) {
        ("Daily", Times::Row(row)) => format!("Every {row}"),
        (_, Times::Row(row)) => format!("{days} every {row}"),
        (_, Times::At(at)) => format!("{days} at {at}"),
    })
}

/// Times of a day, in words.
enum Times {
    /// "8:00 and 20:00".
    At(String),
    /// Follows "every": "15 minutes from 9:00 to 17:45".
    Row(String),
}

/// Minutes since midnight.
fn times(minutes: &[u16], hours: &[u16]) -> Vec<u16> {
    hours.iter().flat_map(|hour| minutes.iter().map(move |minute| hour * 60 + minute)).collect()
}

fn time_words(times: &[u16], goes_on: bool) -> Option<Times> {
    let (first, last) = (*times.first()?, *times.last()?);
    let part = |number: u16| i8::try_from(number).unwrap_or(0);
    let time = |minute: u16| Time::new(part(minute / 60), part(minute % 60), 0, 0);
    let clock = |minute: u16| clock_words(time(minute).unwrap_or_default());
    let step = times.get(1).map_or(0, |second| second - first);
    if ROW <= times.len() && times.windows(2).all(|two| two[1] - two[0] == step) {
        let far = match step % 60 {
            0 => few(u32::from(step / 60), "hour"),
            _ => few(u32::from(step), "minute"),
        };
        // From each full hour, also across midnight and while the clocks are set back.
        let always = goes_on && first == 0 && last + step == DAY && step <= 60;
        return Some(Times::Row(match always {
            true => far,
            false => format!("{far} from {} to {}", clock(first), clock(last)),
        }));
    }
    let all: Vec<String> = times.iter().map(|time| clock(*time)).collect();
    (all.len() <= TIMES).then(|| Times::At(listed(&all)))
}

fn of_week_words(field: &str, months: &[u16]) -> Option<String> {
    let numbers = numbers(field, (0, 7), &WEEKDAYS)?;
    let iso = numbers.iter().map(|day| if *day == 0 { 7 } else { *day });
    let days = Days::of(iso.filter_map(|day| u8::try_from(day).ok()));
    let often = match days.numbers().len() {
        7 => "Daily".to_owned(),
        _ if days == Days::WORKING => "Weekdays".to_owned(),
        _ => format!("Weekly on {}", day_words(days)),
    };
    Some(format!("{often}{}", within(months)))
}

fn of_month_words(field: &str, months: &[u16]) -> Option<String> {
    let days = match field {
        "L" => vec!["the last day".to_owned()],
        _ => {
            let days = numbers(field, (1, 31), &[])?;
            let last = *days.last()?;
            if days.len() == 31 {
                return Some(format!("Daily{}", within(months)));
            }
            // On the 31st, nothing happens in a short month. "Monthly" would hide that.
            let shortest = months.iter().map(|month| shortest(*month)).min()?;
            if MONTH_DAYS < days.len() || shortest < last {
                return None;
            }
            let days = days.iter().filter_map(|day| u8::try_from(*day).ok());
            days.map(|day| format!("the {}", ordinal(day))).collect()
        }
    };
    let days = listed(&days);
    Some(match months.len() {
        12 => format!("Monthly on {days}"),
        _ => format!("On {days} of {}", month_words(months)),
    })
}

/// " in January and July", or empty for every month.
fn within(months: &[u16]) -> String {
    match months.len() {
        12 => String::new(),
        _ => format!(" in {}", month_words(months)),
    }
}

fn month_words(months: &[u16]) -> String {
    let name = |month: &u16| MONTHS.get(usize::from(*month) - 1).copied().unwrap_or_default();
    listed(&months.iter().map(|month| name(month).to_owned()).collect::<Vec<_>>())
}

/// Minimum number of days of a month over all years.
fn shortest(month: u16) -> u16 {
    match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The numbers of a field, in order: `*`, `*/15`, `1-5`, `9-17/2`, `1,15`, `MON-FRI`. Returns `None` for any other
/// syntax and for values that cron rejects.
fn numbers(field: &str, (low, high): (u16, u16), names: &[&str]) -> Option<Vec<u16>> {
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let number = |text: &str| -> Option<u16> {
        let named = |name: &&str| name.get(..3).is_some_and(|name| name.eq_ignore_ascii_case(text));
        let number = match names.iter().position(named) {
            // Months count from 1, days of the week from 0.
            Some(at) => u16::try_from(at).ok()? + low,
            None if is_plain(text) => text.parse().ok()?,
            None => return None,
        };
        (low..=high).contains(&number).then_some(number)
    };
    let mut found = Vec::new();
    for part in field.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) if is_plain(step) => (range, step.parse().ok()?),
            Some(_) => return None,
            None => (part, 1),
        };
        let (first, last) = match (range, range.split_once('-')) {
            // 7 is also Sunday.
            ("*", _) => (low, if names.len() == 7 { 6 } else { high }),
            (_, Some((first, last))) => (number(first)?, number(last)?),
            (one, None) if step == 1 => (number(one)?, number(one)?),
            _ => return None,
        };
        if last < first || step == 0 {
            return None;
        }
        found.extend((first..=last).step_by(step));
    }
    if names.len() == 7 {
        found.iter_mut().filter(|day| **day == 7).for_each(|day| *day = 0);
    }
    found.sort_unstable();
    found.dedup();
    Some(found)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use jiff::civil::{Date, Time, date};
    use jiff::tz::TimeZone;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::{MONTHS, shortest, words};
    use crate::cadence::{ScheduleFields, day_words};
    use crate::vocab::CadenceKind;

    #[test]
    fn the_usual_lines_have_words() {
        for (line, expected) in [
            ("0 8 * * 1-5", "Weekdays at 8:00"),
            ("0 9 * * MON", "Weekly on Monday at 9:00"),
            ("30 9 * * 0,6", "Weekly on Saturday and Sunday at 9:30"),
            ("30 9 * * sat-7", "Weekly on Saturday and Sunday at 9:30"),
            ("0 9 * * 6-7", "Weekly on Saturday and Sunday at 9:00"),
            ("*/15 * * * *", "Every 15 minutes"),
            ("* * * * *", "Every minute"),
            ("0 * * * *", "Every hour"),
            ("30 * * * *", "Every hour from 0:30 to 23:30"),
            ("0 */6 * * *", "Every 6 hours from 0:00 to 18:00"),
            ("0 0-23 * * *", "Every hour from 0:00 to 23:00"),
            ("*/15 9-17 * * 1-5", "Weekdays every 15 minutes from 9:00 to 17:45"),
            ("0 8,20 * * *", "Daily at 8:00 and 20:00"),
            ("0 6 1 * *", "Monthly on the 1st at 6:00"),
            ("0 6 1,15 * *", "Monthly on the 1st and the 15th at 6:00"),
            ("0 18 L * *", "Monthly on the last day at 18:00"),
            ("0 9 31 12 *", "On the 31st of December at 9:00"),
            ("0 9 1 jan,JUL *", "On the 1st of January and July at 9:00"),
            ("0 9 * 7 1-5", "Weekdays in July at 9:00"),
        ] {
            assert_eq!(words(line).unwrap_or_default(), expected, "{line}");
        }
    }

    #[test]
    fn a_line_that_a_short_sentence_would_bend_stays_as_it_is() {
        for line in [
            "0 9 1 * 1",   // either of both days
            "0 9 31 * *",  // not in every month
            "0 9 29 2 *",  // not in every year
            "*/7 * * * *", // not at equal distances
            "0 9 */2 * *", // restarts each month
            "0 9 15W * *",
            "0 9 * * 1#2",
            "0 9 ? * 1",
            "5/15 * * * *",
            "0 9 * *",
            "0 0 9 * * *",
            "0 9 * * 5-1",
            "*/0 * * * *",
            "",
        ] {
            assert_eq!(words(line), None, "{line}");
        }
    }

    /// Days and times of day of a sentence, parsed as a person would read it.
    struct Said {
        day: Box<dyn Fn(Date) -> bool>,
        times: Vec<Time>,
    }

    fn list(text: &str) -> Vec<String> {
        text.replace(" and ", ", ").split(", ").map(str::to_owned).collect()
    }

    fn row(text: &str) -> Vec<Time> {
        let (far, bounds) = text.split_once(" from ").unwrap_or((text, "0:00 to 23:59"));
        let step: usize = match far.split_once(' ') {
            Some((number, "hours")) => number.parse::<usize>().unwrap() * 60,
            Some((number, _)) => number.parse().unwrap(),
            None => {
                if far == "hour" {
                    60
                } else {
                    1
                }
            }
        };
        let (first, last) = bounds.split_once(" to ").unwrap();
        let minute = |text: &str| {
            let time = clock(text);
            usize::try_from(time.hour()).unwrap() * 60 + usize::try_from(time.minute()).unwrap()
        };
        let part = |number: usize| i8::try_from(number).unwrap();
        let all = (minute(first)..=minute(last)).step_by(step);
        all.map(|at| Time::new(part(at / 60), part(at % 60), 0, 0).unwrap()).collect()
    }

    fn clock(text: &str) -> Time {
        let (hour, minute) = text.split_once(':').unwrap();
        Time::new(hour.parse().unwrap(), minute.parse().unwrap(), 0, 0).unwrap()
    }

    fn read(sentence: &str) -> Said {
        let (days, times) = match (sentence.strip_prefix("Every "), sentence.split_once(" at ")) {
            (Some(rest), _) => ("Daily", row(rest)),
            (None, Some((days, at))) => (days, list(at).iter().map(|time| clock(time)).collect()),
            (None, None) => {
                let (days, rest) = sentence.split_once(" every ").unwrap();
                (days, row(rest))
            }
        };
        let (days, months) =
            days.split_once(" in ").or(days.split_once(" of ")).unwrap_or((days, ""));
        let (days, months) =
            (days.to_owned(), if months.is_empty() { Vec::new() } else { list(months) });
        let day = move |date: Date| {
            let month = MONTHS[usize::try_from(date.month()).unwrap() - 1].to_owned();
            if !months.is_empty() && !months.contains(&month) {
                return false;
            }
            let number = u8::try_from(date.weekday().to_monday_one_offset()).unwrap();
            let name = day_words(super::Days::of([number]));
            if let Some(names) = days.strip_prefix("Weekly on ") {
                return list(names).contains(&name);
            }
            let of_month = days.strip_prefix("Monthly on ").or(days.strip_prefix("On "));
            match (of_month, days.as_str()) {
                (Some("the last day"), _) => date == date.last_of_month(),
                (Some(all), _) => list(all).iter().any(|one| {
                    let digits: String = one.chars().filter(char::is_ascii_digit).collect();
                    digits.parse::<i8>().unwrap() == date.day()
                }),
                (None, "Weekdays") => number <= 5,
                (None, "Daily") => true,
                other => panic!("nobody understands {other:?}"),
            }
        };
        Said { day: Box::new(day), times }
    }

    const MINUTES: [&str; 9] =
        ["0", "30", "*", "*/15", "*/7", "5,35", "10-50/20", "0-59/30", "0,20,40"];
    const HOURS: [&str; 9] =
        ["*", "*/2", "*/5", "8", "8,20", "9-17", "9-17/2", "6,12,18", "0,6,12,18"];
    const DAYS: [&str; 11] = ["*", "*", "*", "1", "1,15", "31", "28", "L", "1-31", "*/2", "1-3"];
    const OF_YEAR: [&str; 8] = ["*", "*", "*", "1", "JAN,JUL", "*/3", "2", "4,6"];
    const OF_WEEK: [&str; 13] =
        ["*", "*", "1-5", "MON-FRI", "0", "7", "6,0", "1,3,5", "SUN", "5-7", "0-6", "*/2", "0-7"];

    proptest! {
        /// The words describe exactly the times of the line.
        #[test]
        fn words_say_what_the_line_does(
            minutes in 0..MINUTES.len(),
            hours in 0..HOURS.len(),
            days in 0..DAYS.len(),
            of_year in 0..OF_YEAR.len(),
            of_week in 0..OF_WEEK.len(),
            start in 0..1_400_i32,
        ) {
            let (minutes, hours, days) = (MINUTES[minutes], HOURS[hours], DAYS[days]);
            let line = format!("{minutes} {hours} {days} {} {}", OF_YEAR[of_year], OF_WEEK[of_week]);
            let fields = ScheduleFields {
                cadence_type: Some(CadenceKind::Cron),
                starts_on: Some("2026-01-01".to_owned()),
                timezone: Some("UTC".to_owned()),
                cron: Some(line.clone()),
                ..ScheduleFields::default()
            };
            let schedule = fields.read("UTC", "2026-11-20T12:00:00Z".parse().unwrap());
            let (Ok(schedule), Some(sentence)) = (schedule, words(&line)) else { return Ok(()) };
            let spoken = read(&sentence);
            let first = date(2026, 1, 1).checked_add(jiff::Span::new().days(start)).unwrap();
            let at = |date: Date, time: Time| {
                date.to_datetime(time).to_zoned(TimeZone::UTC).unwrap().timestamp()
            };
            let all = first.series(jiff::Span::new().days(1)).filter(|day| (spoken.day)(*day));
            let times = spoken.times.clone();
            let all = all.flat_map(|day| times.clone().into_iter().map(move |time| at(day, time)));
            let expected: Vec<Timestamp> = all.take(120).collect();
            let before = at(first, Time::midnight()).as_second() - 1;
            let found = schedule.upcoming(Timestamp::from_second(before).unwrap(), 120);
            prop_assert_eq!(found, expected, "{} is said as {}", line, sentence);
        }
    }

    #[test]
    fn months_are_as_long_as_in_any_year() {
        for month in 1..=12_u16 {
            let last = date(2027, i8::try_from(month).unwrap(), 1).last_of_month().day();
            assert_eq!(shortest(month), u16::try_from(last).unwrap(), "{month}");
        }
    }
}
