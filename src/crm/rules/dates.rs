//! Dates of a file: `12/31/2025` or `31.12.2025`. The order of day and month is decided once per column from all of its
//! cells, never cell by cell.

use jiff::civil::{Date, DateTime, Time};

use crate::model::{DateBasis, DateOrder, Mapped};

/// Formats of dates with the name of the month.
const NAMED: [&str; 9] = [
    "%d %b %Y",
    "%d %B %Y",
    "%d. %b %Y",
    "%d. %B %Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%b %d %Y",
    "%B %d %Y",
];
/// Formats of a time after a date.
const TIMES: [&str; 6] = ["%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p"];

/// How the dates of a column are read.
#[derive(Clone, Copy)]
pub(super) struct Reading {
    /// Whether the month comes before the day.
    pub(super) month_first: bool,
    /// The year of the import, which determines the century of two-digit years; `None` rejects those.
    pub(super) this_year: Option<i16>,
}

impl Reading {
    /// Day first, four-digit years only.
    pub(super) const UNDATED: Self = Self { month_first: false, this_year: None };

    /// Only for validity checks, for which the century is irrelevant.
    fn any(month_first: bool) -> Self {
        Self { month_first, this_year: Some(2000) }
    }

    /// Completes a year: a two-digit one is at most ten years in the future.
    fn year(self, written: i16) -> Option<i16> {
        match written {
            0..=99 => {
                let last = self.this_year? + 10;
                Some(last - (last - written).rem_euclid(100))
            }
            _ => Some(written),
        }
    }
}

/// A year of two or four digits.
fn year(text: &str) -> Option<i16> {
    let is_one = matches!(text.len(), 2 | 4) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok())?
}

/// A date with the year at the end.
struct Parts {
    first: i8,
    second: i8,
    year: i16,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let (first, second, last) = three(text)?;
        Some(Self { first: small(first)?, second: small(second)?, year: year(last)? })
    }

    fn date(&self, reading: Reading) -> Option<Date> {
        let (day, month) = match reading.month_first {
            true => (self.second, self.first),
            false => (self.first, self.second),
        };
        Date::new(reading.year(self.year)?, month, day).ok()
    }
}

/// The three parts of a date separated by dots, slashes or hyphens.
fn three(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(['.', '/', '-']).collect();
    let [a, b, c] = parts[..] else { return None };
    Some((a, b, c))
}

fn small(text: &str) -> Option<i8> {
    let is_one = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok())?
}

/// Splits a cell into the date and the rest.
fn split(text: &str) -> (&str, &str) {
    let (head, rest) = text.split_once([' ', 'T', ',']).unwrap_or((text, ""));
    (head, rest.trim_start_matches([' ', ',']))
}

/// Parses a numeric date, except the basic format of ISO 8601 (`20261224`), which fields read themselves.
fn read(text: &str, reading: Reading) -> Option<Date> {
    let year_first = |(year, month, day): (&str, &str, &str)| {
        let year = (year.len() == 4).then(|| year.parse().ok())??;
        Date::new(year, small(month)?, small(day)?).ok()
    };
    match Parts::of(text) {
        Some(parts) => parts.date(reading),
        None => three(text).and_then(year_first),
    }
}

/// Parses a date with the name of its month.
fn named(text: &str, reading: Reading) -> Option<Date> {
    let written = year(text.rsplit([' ', '-', ',']).next()?)?;
    let of = |form: &&str| Date::strptime(form, text).ok().filter(|date| date.year() == written);
    let date = NAMED.iter().find_map(of)?;
    Date::new(reading.year(written)?, date.month(), date.day()).ok()
}

/// Converts a date to `2026-12-24`; returns other text unchanged.
pub(super) fn day(text: &str, reading: Reading) -> String {
    let date = named(text, reading).or_else(|| read(split(text).0, reading));
    date.map_or_else(|| text.to_owned(), |date| date.to_string())
}

/// Converts a date with time to `2026-12-24T14:30:00`; returns other text, or an unreadable time, unchanged.
pub(super) fn moment(text: &str, reading: Reading) -> String {
    let (head, rest) = split(text);
    let Some(date) = read(head, reading) else {
        return day(text, reading);
    };
    let time = match rest {
        "" => Some(Time::midnight()),
        rest => TIMES.iter().find_map(|form| Time::strptime(form, rest).ok()),
    };
    time.map_or_else(|| text.to_owned(), |time| DateTime::from_parts(date, time).to_string())
}

/// Whether a cell is a date in any order, and whether it has a time. Three short numbers are a date only with slashes:
/// with dots they may be a version.
pub(crate) fn is_day(text: &str) -> (bool, bool) {
    let (head, rest) = split(text.trim());
    let reads = |month_first| read(head, Reading::any(month_first)).is_some();
    let is_short = three(head).is_some_and(|(first, _, last)| first.len() < 4 && last.len() < 4);
    if (is_short && !head.contains('/')) || !(reads(false) || reads(true)) {
        return (named(text.trim(), Reading::any(false)).is_some(), false);
    }
    match rest {
        "" => (true, false),
        rest => {
            let is_time = TIMES.iter().any(|form| Time::strptime(form, rest).is_ok());
            (is_time, is_time)
        }
    }
}

/// Counts evidence for the date order of a column.
#[derive(Default)]
struct Votes {
    day_first: usize,
    month_first: usize,
    /// Ambiguous dates with different results.
    open: usize,
    dates: usize,
}

impl Votes {
    fn of<'c>(cells: impl Iterator<Item = &'c str>) -> Self {
        let mut votes = Self::default();
        for parts in cells.filter_map(|cell| Parts::of(split(cell.trim()).0)) {
            let day_first = parts.date(Reading::any(false));
            match (day_first, parts.date(Reading::any(true))) {
                // Invalid in both orders, so it is no evidence.
                (None, None) => continue,
                (Some(_), None) => votes.day_first += 1,
                (None, Some(_)) => votes.month_first += 1,
                (first, second) => votes.open += usize::from(first != second),
            }
            votes.dates += 1;
        }
        votes
    }

    fn order(&self) -> Option<DateOrder> {
        let basis = match (self.day_first, self.month_first, self.open) {
            _ if self.dates == 0 => return None,
            (0, 0, 1..) => DateBasis::Assumed,
            (0, _, _) | (_, 0, _) => DateBasis::Proven,
            _ => DateBasis::Mixed,
        };
        Some(DateOrder { month_first: self.day_first < self.month_first, basis })
    }
}

/// Decides the order of day and month for each column with such dates. Without evidence it follows another column of
/// the file, else the day comes first.
pub fn decide(rows: &[Vec<String>], columns: &mut [Mapped]) {
    for (n, mapped) in columns.iter_mut().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(String::as_str);
        mapped.dates = Votes::of(cells).order();
    }
    let proven = |month_first: bool| {
        columns
            .iter()
            .filter_map(|one| one.dates)
            .any(|one| one.basis == DateBasis::Proven && one.month_first == month_first)
    };
    let month_first = proven(true) && !proven(false);
    for order in columns.iter_mut().filter_map(|one| one.dates.as_mut()) {
        if order.basis == DateBasis::Assumed {
            order.month_first = month_first;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reading, decide, is_day};
    use crate::model::{DateBasis, DateOrder, Goes, Mapped};

    fn reading(month_first: bool) -> Reading {
        Reading { month_first, this_year: Some(2026) }
    }

    fn day(text: &str, month_first: bool) -> String {
        super::day(text, reading(month_first))
    }

    fn moment(text: &str, month_first: bool) -> String {
        super::moment(text, reading(month_first))
    }

    fn decided(columns: &[&[&str]]) -> Vec<Option<(bool, DateBasis)>> {
        let most = columns.iter().map(|cells| cells.len()).max().unwrap_or_default();
        let cell = |n: usize, column: &&[&str]| column.get(n).map_or("", |cell| *cell).to_owned();
        let rows: Vec<Vec<String>> =
            (0..most).map(|n| columns.iter().map(|column| cell(n, column)).collect()).collect();
        let mut mapped: Vec<Mapped> =
            columns.iter().map(|_| Mapped::new("x", Goes::Nowhere)).collect();
        decide(&rows, &mut mapped);
        let decision =
            |one: Mapped| one.dates.map(|DateOrder { month_first, basis }| (month_first, basis));
        mapped.into_iter().map(decision).collect()
    }

    #[test]
    fn one_date_that_reads_in_one_way_alone_decides_for_its_column() {
        use DateBasis::{Assumed, Mixed, Proven};
        assert_eq!(decided(&[&["02/03/2025", "12/31/2025"]]), [Some((true, Proven))]);
        assert_eq!(decided(&[&["02.03.2025 10:00", "31.12.2025"]]), [Some((false, Proven))]);
        assert_eq!(decided(&[&["02/03/2025", "12/01/2025"]]), [Some((false, Assumed))]);
        assert_eq!(decided(&[&["03/03/2025"]]), [Some((false, Proven))], "either way the same");
        assert_eq!(
            decided(&[&["12/31/2025", "12/30/2025", "31/12/2025"]]),
            [Some((true, Mixed))],
            "most decide"
        );
        assert_eq!(decided(&[&["2025-12-31", "soon", "1.2.3", ""]]), [None]);
        assert_eq!(
            decided(&[&["02/03/2025"], &["12/31/2025"]]),
            [Some((true, Assumed)), Some((true, Proven))],
            "an open column follows the other"
        );
        assert_eq!(
            decided(&[&["02/03/2025"], &["12/31/2025"], &["31/12/2025"]])[0],
            Some((false, Assumed))
        );
    }

    #[test]
    fn dates_and_times_are_read_in_the_writing_of_files() {
        assert_eq!(
            (day("12/31/2025", true), day("12/31/2025", false)),
            ("2025-12-31".into(), "12/31/2025".into())
        );
        for text in
            ["31 Dec 2025", "Dec 31, 2025", "December 31, 2025", "31-Dec-2025", "2025/12/31"]
        {
            assert_eq!(day(text, false), "2025-12-31", "{text}");
            assert!(is_day(text).0, "{text}");
        }
        assert_eq!(moment("12/31/2025 2:30 PM", true), "2025-12-31T14:30:00");
        assert_eq!(moment("31.12.2025 14:30", false), "2025-12-31T14:30:00");
        assert_eq!(moment("31.12.2025 soon", false), "31.12.2025 soon");
        assert_eq!(moment("2025-12-31T14:30:00Z", false), "2025-12-31T14:30:00Z");
        assert_eq!(is_day("12/31/2025 2:30 PM"), (true, true));
        assert!(!is_day("1.2.3").0 && !is_day("31.02.2026").0 && !is_day("040-12-12345").0);
    }

    #[test]
    fn years_of_two_digits_lie_at_most_ten_years_ahead() {
        for (text, wanted) in [
            ("12-Jan-26", "2026-01-12"),
            ("Jan 3, 26", "2026-01-03"),
            ("3.4.26", "2026-04-03"),
            ("1/2/36", "2036-02-01"),
            ("1/2/37", "1937-02-01"),
            ("24 Dec 71", "1971-12-24"),
            ("29.02.00", "2000-02-29"),
            ("Jan 2026", "Jan 2026"),
            ("12-Jan-026", "12-Jan-026"),
            ("1.2.3", "1.2.3"),
        ] {
            assert_eq!(day(text, false), wanted, "{text}");
        }
        assert_eq!(
            (day("1/13/26", true), day("12/31/25", true)),
            ("2026-01-13".into(), "2025-12-31".into())
        );
        assert_eq!(moment("12/31/25 2:30 PM", true), "2025-12-31T14:30:00");
        assert!(is_day("1/13/26").0 && is_day("12-Jan-26").0 && !is_day("1.2.10").0);
        let proven = Some((true, DateBasis::Proven));
        assert_eq!(decided(&[&["1/13/26"], &["31/02/2026", "2/31/2026"]]), [proven, None]);
    }
}
