//! Dates of a file: `12/31/2025` or `31.12.2025`. Which of day and month comes first is decided once for a column, by all
//! of its cells, and never cell by cell.

use jiff::civil::{Date, DateTime, Time};

use crate::model::{DateBasis, DateOrder, Mapped};

/// How people write a day with the name of its month.
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
/// How a time is written behind a date.
const TIMES: [&str; 6] = ["%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p"];

/// A date whose year stands last.
struct Parts {
    first: i8,
    second: i8,
    year: i16,
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let (first, second, year) = three(text)?;
        let year = (year.len() == 4).then(|| year.parse().ok())??;
        Some(Self { first: small(first)?, second: small(second)?, year })
    }

    fn date(&self, month_first: bool) -> Option<Date> {
        let (day, month) = match month_first {
            true => (self.second, self.first),
            false => (self.first, self.second),
        };
        Date::new(self.year, month, day).ok()
    }
}

/// The three parts of a date between points, strokes or dashes.
fn three(text: &str) -> Option<(&str, &str, &str)> {
    let parts: Vec<&str> = text.split(['.', '/', '-']).collect();
    let [a, b, c] = parts[..] else { return None };
    Some((a, b, c))
}

fn small(text: &str) -> Option<i8> {
    let is_one = matches!(text.len(), 1 | 2) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok())?
}

/// The date of a cell, and what stands behind it.
fn split(text: &str) -> (&str, &str) {
    let (head, rest) = text.split_once([' ', 'T', ',']).unwrap_or((text, ""));
    (head, rest.trim_start_matches([' ', ',']))
}

/// A day in any writing but the short one of ISO 8601, which is read as it is.
fn read(text: &str, month_first: bool) -> Option<Date> {
    let year_first = |(year, month, day): (&str, &str, &str)| {
        let year = (year.len() == 4).then(|| year.parse().ok())??;
        Date::new(year, small(month)?, small(day)?).ok()
    };
    match Parts::of(text) {
        Some(parts) => parts.date(month_first),
        None => three(text).and_then(year_first),
    }
}

/// A date as `2026-12-24`; what is none stays.
pub(super) fn day(text: &str, month_first: bool) -> String {
    let named = NAMED.iter().find_map(|form| Date::strptime(form, text).ok());
    let date = named.or_else(|| read(split(text).0, month_first));
    date.map_or_else(|| text.to_owned(), |date| date.to_string())
}

/// A date with its time as `2026-12-24T14:30:00`; what is none, or has a time that cannot be read, stays.
pub(super) fn moment(text: &str, month_first: bool) -> String {
    let (head, rest) = split(text);
    let Some(date) = read(head, month_first) else {
        return day(text, month_first);
    };
    let time = match rest {
        "" => Some(Time::midnight()),
        rest => TIMES.iter().find_map(|form| Time::strptime(form, rest).ok()),
    };
    time.map_or_else(|| text.to_owned(), |time| DateTime::from_parts(date, time).to_string())
}

/// Whether a cell is a day, in whichever order, or a day with a time behind it.
pub(crate) fn is_day(text: &str) -> (bool, bool) {
    let (head, rest) = split(text.trim());
    let reads = |month_first| read(head, month_first).is_some();
    if head.len() < 8 || !(reads(false) || reads(true)) {
        let text = text.trim();
        return (NAMED.iter().any(|form| Date::strptime(form, text).is_ok()), false);
    }
    match rest {
        "" => (true, false),
        rest => {
            let is_time = TIMES.iter().any(|form| Time::strptime(form, rest).is_ok());
            (is_time, is_time)
        }
    }
}

/// What the dates of a column say of their order.
#[derive(Default)]
struct Votes {
    day_first: usize,
    month_first: usize,
    /// Dates that read either way, as different days.
    open: usize,
    dates: usize,
}

impl Votes {
    fn of<'c>(cells: impl Iterator<Item = &'c str>) -> Self {
        let mut votes = Self::default();
        for parts in cells.filter_map(|cell| Parts::of(split(cell.trim()).0)) {
            votes.dates += 1;
            match (parts.first, parts.second) {
                (13.., 1..=12) => votes.day_first += 1,
                (1..=12, 13..) => votes.month_first += 1,
                (first, second) => votes.open += usize::from(first != second),
            }
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

/// Decides the order of day and month for each column that has such dates. Where no date tells it, another column of the
/// file that does is followed, else the day comes first.
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
    use super::{day, decide, is_day, moment};
    use crate::model::{DateBasis, DateOrder, Goes, Mapped};

    fn decided(columns: &[&[&str]]) -> Vec<Option<(bool, DateBasis)>> {
        let most = columns.iter().map(|cells| cells.len()).max().unwrap_or_default();
        let cell = |n: usize, column: &&[&str]| column.get(n).map_or("", |cell| *cell).to_owned();
        let rows: Vec<Vec<String>> =
            (0..most).map(|n| columns.iter().map(|column| cell(n, column)).collect()).collect();
        let mut mapped: Vec<Mapped> =
            columns.iter().map(|_| Mapped::new("x", Goes::Nowhere)).collect();
        decide(&rows, &mut mapped);
        let told =
            |one: Mapped| one.dates.map(|DateOrder { month_first, basis }| (month_first, basis));
        mapped.into_iter().map(told).collect()
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
}
