//! How dates, times and numbers are written for a person.
//!
//! The functions follow the form of the person whose request runs on this thread. Everywhere else (API, tools,
//! programs, stored texts) they follow [`Forms::USUAL`].

use std::cell::Cell;
use std::marker::PhantomData;

use jiff::civil::{Date, DateTime, Time};

use crate::{DateForm, NumberForm, TimeForm};

/// The forms that one person reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forms {
    /// Form of days.
    pub date: DateForm,
    /// Form of times of day.
    pub time: TimeForm,
    /// Form of numbers.
    pub number: NumberForm,
}

thread_local! {
    static CURRENT: Cell<Option<Forms>> = const { Cell::new(None) };
}

impl Forms {
    /// The forms without a person's choice.
    pub const USUAL: Self =
        Self { date: DateForm::Words, time: TimeForm::Whole, number: NumberForm::Comma };

    /// The forms that apply on this thread.
    #[must_use]
    pub fn current() -> Self {
        CURRENT.get().unwrap_or(Self::USUAL)
    }

    /// Applies these forms on this thread until the guard is dropped.
    pub fn enter(self) -> Entered {
        Entered { before: CURRENT.replace(Some(self)), thread: PhantomData }
    }

    /// Applies these forms until the guard of the thread is dropped. Without a guard, nothing changes.
    pub fn replace(self) {
        if CURRENT.get().is_some() {
            CURRENT.set(Some(self));
        }
    }

    /// The forms of days and numbers in a hidden field of a page, for [`Self::of_page`]: `day_first.point`.
    #[must_use]
    pub fn of_fields(self) -> String {
        format!("{}.{}", self.date, self.number)
    }

    /// The current forms with those of days and numbers from [`Self::of_fields`]; `None` for other text.
    #[must_use]
    pub fn of_page(text: &str) -> Option<Self> {
        let (date, number) = text.split_once('.')?;
        // ok: unknown words are other text.
        Some(Self { date: date.parse().ok()?, number: number.parse().ok()?, ..Self::current() })
    }
}

/// Restores the former forms of the thread when dropped.
#[must_use = "the forms apply only while the guard exists"]
pub struct Entered {
    before: Option<Forms>,
    // A guard belongs to its thread.
    thread: PhantomData<*const ()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// Formats a day with its year: `29 Nov 2026`. [`crate::day::read`] parses it.
#[must_use]
pub fn day(day: Date) -> String {
    styled(day, "%-d %b %Y")
}

/// Formats a day with its year and the whole name of the month: `29 November 2026`.
#[must_use]
pub fn long_day(day: Date) -> String {
    styled(day, "%-d %B %Y")
}

/// Formats a day without its year: `29 Nov`.
#[must_use]
pub fn day_of_year(day: Date) -> String {
    styled_of_year(day, "%-d %b")
}

/// Formats a day without its year, with the whole name of the month: `29 November`.
#[must_use]
pub fn long_day_of_year(day: Date) -> String {
    styled_of_year(day, "%-d %B")
}

/// Formats a day, without its year if it is the year of `today`.
#[must_use]
pub fn near_day(date: Date, today: Date) -> String {
    if date.year() == today.year() { day_of_year(date) } else { day(date) }
}

/// Formats a time of day: `14:30`, `09:05`, `2:30 pm`.
#[must_use]
pub fn time(time: Time) -> String {
    match Forms::current().time {
        TimeForm::Whole => time.strftime("%H:%M").to_string(),
        TimeForm::Halves => halved(time, ""),
    }
}

/// Formats a time of day without a leading zero: `14:30`, `9:05`, `2:30 pm`.
#[must_use]
pub fn short_time(time: Time) -> String {
    match Forms::current().time {
        TimeForm::Whole => time.strftime("%-H:%M").to_string(),
        TimeForm::Halves => halved(time, ""),
    }
}

/// Formats a time of day with seconds: `14:30:05`, `2:30:05 pm`.
#[must_use]
pub fn exact_time(time: Time) -> String {
    match Forms::current().time {
        TimeForm::Whole => time.strftime("%H:%M:%S").to_string(),
        TimeForm::Halves => halved(time, &format!(":{:02}", time.second())),
    }
}

/// Formats a day with its year and time: `29 Nov 2026, 14:30`.
#[must_use]
pub fn day_time(at: DateTime) -> String {
    format!("{}, {}", day(at.date()), time(at.time()))
}

/// Formats a whole number with separators of thousands: `12,345`.
#[must_use]
pub fn grouped(n: u64) -> String {
    let mark = match Forms::current().number {
        NumberForm::Comma => ',',
        NumberForm::Point => '.',
        // A line must not break inside a number.
        NumberForm::Space => '\u{a0}',
    };
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if 0 < i && (digits.len() - i).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(digit);
    }
    out
}

/// The decimal separator.
#[must_use]
pub fn decimal_mark() -> char {
    match Forms::current().number {
        NumberForm::Comma => '.',
        NumberForm::Point | NumberForm::Space => ',',
    }
}

/// Converts a number that a program wrote, such as `12.5`, for input fields: with the person's decimal separator.
#[must_use]
pub fn entered(number: &str) -> String {
    number.replace('.', decimal_mark().encode_utf8(&mut [0; 4]))
}

/// Converts a number as the person types it to the form with a decimal point and without separators of thousands. In
/// the usual form, and if it is no number, the text stays as it is.
#[must_use]
pub fn plain_number(typed: &str) -> String {
    let form = Forms::current().number;
    if form == NumberForm::Comma || !typed.contains(|sign: char| sign.is_ascii_digit()) {
        return typed.to_owned();
    }
    let Some(bare) = joined(typed) else { return typed.to_owned() };
    match (bare.rfind(','), bare.rfind('.')) {
        // 1,234.50 is in the usual form.
        (Some(comma), Some(point)) if comma < point => bare,
        (Some(comma), Some(_)) if !is_grouped(&bare[..comma], '.') => bare,
        (Some(_), _) => bare.replace('.', "").replace(',', "."),
        (None, Some(_)) if form == NumberForm::Point && is_grouped(&bare, '.') => {
            bare.replace('.', "")
        }
        _ => bare,
    }
}

/// Like [`plain_number`], also without the commas of the usual form. `None` if a separator of thousands stands anywhere
/// but between groups of three digits: `12,50` is not 1250.
#[must_use]
pub fn strict_number(typed: &str) -> Option<String> {
    let plain = joined(&plain_number(typed))?;
    let (whole, part) = plain.split_once('.').unwrap_or((&plain, ""));
    let fits = !part.contains(',') && (!whole.contains(',') || is_grouped(whole, ','));
    fits.then(|| plain.replace(',', ""))
}

/// The text without spaces; `None` if spaces separate digits, but not groups of three.
fn joined(typed: &str) -> Option<String> {
    let words: Vec<&str> = typed.split_whitespace().collect();
    let is_digit = |sign: char| sign.is_ascii_digit();
    let fits = words.windows(2).all(|pair| {
        let before = pair[0].len() - pair[0].trim_end_matches(is_digit).len();
        let after = pair[1].len() - pair[1].trim_start_matches(is_digit).len();
        before == 0 || after == 0 || (before <= 3 && after == 3)
    });
    fits.then(|| words.concat())
}

/// Whether the mark separates groups of three digits: points in `1.234`, but not in `12.5`, `0.125` or `.5`.
fn is_grouped(number: &str, mark: char) -> bool {
    let is_unit = |sign: char| !sign.is_ascii_digit() && sign != mark;
    let mut groups = number.trim_matches(is_unit).split(mark);
    let first = groups.next().unwrap_or_default();
    let is_first = (1..=3).contains(&first.len()) && !first.starts_with('0');
    is_first && groups.all(|group| group.len() == 3)
}

fn styled(day: Date, words: &str) -> String {
    let form = match Forms::current().date {
        DateForm::Words => words,
        DateForm::MonthFirst => "%-m/%-d/%Y",
        DateForm::DayFirst => "%d/%m/%Y",
        DateForm::Dots => "%d.%m.%Y",
        DateForm::Iso => "%Y-%m-%d",
    };
    day.strftime(form).to_string()
}

fn styled_of_year(day: Date, words: &str) -> String {
    let form = match Forms::current().date {
        DateForm::Words => words,
        DateForm::MonthFirst => "%-m/%-d",
        DateForm::DayFirst => "%d/%m",
        DateForm::Dots => "%d.%m.",
        DateForm::Iso => "%m-%d",
    };
    day.strftime(form).to_string()
}

fn halved(time: Time, seconds: &str) -> String {
    let (hour, half) = match time.hour() {
        0 => (12, "am"),
        hour @ 1..=11 => (hour, "am"),
        12 => (12, "pm"),
        hour => (hour - 12, "pm"),
    };
    format!("{hour}:{:02}{seconds} {half}", time.minute())
}

#[cfg(test)]
mod tests {
    use super::{
        Forms, day, day_of_year, day_time, entered, exact_time, grouped, long_day,
        long_day_of_year, near_day, plain_number, short_time, strict_number, time,
    };
    use crate::{DateForm, NumberForm, TimeForm, clock};
    use jiff::civil::date;

    fn dates(date: DateForm) -> Forms {
        Forms { date, ..Forms::USUAL }
    }

    fn numbers(number: NumberForm) -> Forms {
        Forms { number, ..Forms::USUAL }
    }

    #[test]
    fn a_day_is_written_in_each_form() {
        let (early, late) = (date(2026, 1, 5), date(2026, 11, 29));
        let written = |form: DateForm| {
            let _entered = dates(form).enter();
            [day(early), day(late), long_day(late), day_of_year(early), long_day_of_year(late)]
        };
        assert_eq!(
            written(DateForm::Words),
            ["5 Jan 2026", "29 Nov 2026", "29 November 2026", "5 Jan", "29 November"]
        );
        assert_eq!(
            written(DateForm::MonthFirst),
            ["1/5/2026", "11/29/2026", "11/29/2026", "1/5", "11/29"]
        );
        assert_eq!(
            written(DateForm::DayFirst),
            ["05/01/2026", "29/11/2026", "29/11/2026", "05/01", "29/11"]
        );
        assert_eq!(
            written(DateForm::Dots),
            ["05.01.2026", "29.11.2026", "29.11.2026", "05.01.", "29.11."]
        );
        assert_eq!(
            written(DateForm::Iso),
            ["2026-01-05", "2026-11-29", "2026-11-29", "01-05", "11-29"]
        );
        assert_eq!(near_day(early, late), "5 Jan");
        assert_eq!(near_day(date(2025, 1, 5), late), "5 Jan 2025");
        for form in DateForm::ALL {
            let _entered = dates(*form).enter();
            assert_eq!(day(late), form.label(), "the label is an example");
        }
    }

    #[test]
    fn a_time_is_written_in_both_forms_and_read_again() {
        let at = |hour, minute| date(2026, 11, 29).at(hour, minute, 7, 0);
        assert_eq!(time(at(9, 5).time()), "09:05");
        assert_eq!(short_time(at(9, 5).time()), "9:05");
        assert_eq!(exact_time(at(0, 0).time()), "00:00:07");
        let _entered = Forms { time: TimeForm::Halves, ..Forms::USUAL }.enter();
        for (hour, minute, text) in [
            (0, 0, "12:00 am"),
            (9, 5, "9:05 am"),
            (11, 59, "11:59 am"),
            (12, 0, "12:00 pm"),
            (12, 30, "12:30 pm"),
            (23, 59, "11:59 pm"),
        ] {
            let moment = at(hour, minute);
            assert_eq!(
                (time(moment.time()), short_time(moment.time())),
                (text.into(), text.into())
            );
            let read = clock::read(text).map(|time| (time.hour(), time.minute()));
            assert_eq!(read, Some((hour, minute)), "{text}");
        }
        assert_eq!(exact_time(at(14, 30).time()), "2:30:07 pm");
        assert_eq!(day_time(at(14, 30)), "29 Nov 2026, 2:30 pm");
    }

    #[test]
    fn a_number_is_written_in_each_form_whatever_its_size() {
        let written = |form| {
            let _entered = numbers(form).enter();
            [grouped(0), grouped(999), grouped(1_000), grouped(u64::MAX), entered("-1234.5")]
        };
        assert_eq!(
            written(NumberForm::Comma),
            ["0", "999", "1,000", "18,446,744,073,709,551,615", "-1234.5"]
        );
        assert_eq!(
            written(NumberForm::Point),
            ["0", "999", "1.000", "18.446.744.073.709.551.615", "-1234,5"]
        );
        assert_eq!(written(NumberForm::Space)[2], "1\u{a0}000");
    }

    #[test]
    fn a_typed_number_is_read_in_the_form_of_the_person() {
        let read = |form, text: &str| {
            let _entered = numbers(form).enter();
            plain_number(text)
        };
        for (text, point, space) in [
            ("1.234", "1234", "1.234"),
            ("1.234,5", "1234.5", "1234.5"),
            ("1 234,5", "1234.5", "1234.5"),
            ("1\u{a0}234,5", "1234.5", "1234.5"),
            ("1,5", "1.5", "1.5"),
            ("1,234", "1.234", "1.234"),
            ("-12.5", "-12.5", "-12.5"),
            ("0.125", "0.125", "0.125"),
            ("$1.234.567", "$1234567", "$1.234.567"),
            ("1,234.50", "1,234.50", "1,234.50"),
            (".50", ".50", ".50"),
            ("12.50,5", "12.50,5", "12.50,5"),
            ("12 50", "12 50", "12 50"),
            ("ten of them", "ten of them", "ten of them"),
        ] {
            assert_eq!(read(NumberForm::Point, text), point, "{text}");
            assert_eq!(read(NumberForm::Space, text), space, "{text}");
            assert_eq!(read(NumberForm::Comma, text), text);
        }
    }

    #[test]
    fn the_forms_of_a_page_replace_those_of_the_guard() {
        let page = Forms { date: DateForm::DayFirst, ..numbers(NumberForm::Point) };
        assert_eq!(page.of_fields(), "day_first.point");
        page.replace();
        assert_eq!(Forms::current(), Forms::USUAL, "there is no guard");
        {
            let _entered = Forms { time: TimeForm::Halves, ..Forms::USUAL }.enter();
            Forms::of_page("day_first.point").unwrap().replace();
            assert_eq!(Forms::current(), Forms { time: TimeForm::Halves, ..page });
            assert_eq!([Forms::of_page("words"), Forms::of_page("words.roman")], [None, None]);
        }
        assert_eq!(Forms::current(), Forms::USUAL);
    }

    #[test]
    fn a_separator_of_thousands_between_other_groups_is_refused() {
        let read = |form, text: &str| {
            let _entered = numbers(form).enter();
            strict_number(text)
        };
        for (text, comma, point, space) in [
            ("12.50", Some("12.50"), Some("12.50"), Some("12.50")),
            ("12,50", None, Some("12.50"), Some("12.50")),
            (",50", None, Some(".50"), Some(".50")),
            (".50", Some(".50"), Some(".50"), Some(".50")),
            ("1,234.50", Some("1234.50"), Some("1234.50"), Some("1234.50")),
            ("1.234,50", None, Some("1234.50"), Some("1234.50")),
            ("1,234,567", Some("1234567"), Some("1.234.567"), Some("1.234.567")),
            ("1,23,456", None, Some("1.23.456"), Some("1.23.456")),
            ("12.50,5", None, None, None),
            ("0,125", None, Some("0.125"), Some("0.125")),
            ("1 234,5", None, Some("1234.5"), Some("1234.5")),
            ("1 234.5", Some("1234.5"), Some("1234.5"), Some("1234.5")),
            ("12 50", None, None, None),
        ] {
            for (form, wanted) in
                [(NumberForm::Comma, comma), (NumberForm::Point, point), (NumberForm::Space, space)]
            {
                assert_eq!(read(form, text).as_deref(), wanted, "{text}, {form}");
            }
        }
    }

    #[test]
    fn the_forms_apply_only_within_their_guard() {
        {
            let _entered = dates(DateForm::Iso).enter();
            {
                let _inner = dates(DateForm::Dots).enter();
                assert_eq!(Forms::current().date, DateForm::Dots);
            }
            assert_eq!(Forms::current().date, DateForm::Iso);
            let other = std::thread::spawn(Forms::current).join().unwrap();
            assert_eq!(other, Forms::USUAL);
        }
        assert_eq!(Forms::current(), Forms::USUAL);
    }
}
