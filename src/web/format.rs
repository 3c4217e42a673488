//! Human-readable numbers and dates: money, tokens, sizes, durations, days, times. They follow the form of the person
//! whose request runs on this thread ([`kernel::display`]).

use std::time::Duration;

pub use kernel::display::{
    day, day_of_year, day_time, exact_time, grouped, long_day, long_day_of_year, near_day,
    short_time, time,
};
use kernel::display::{decimal_mark, entered, strict_number};

/// Dollars with two decimals, four below a cent: `$0.0042`, `$1.49`, `$1,204.00`.
pub fn money(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    // Amounts below half of the last digit are shown as zero.
    if (50..10_000).contains(&micros) {
        return format!("{sign}$0{}{:04}", decimal_mark(), (micros + 50) / 100);
    }
    let cents = (micros + 5_000) / 10_000;
    format!("{sign}${}{}{:02}", grouped(cents / 100), decimal_mark(), cents % 100)
}

/// A limit in dollars, without cents if they are zero: `$40`, `$1,200`, `$0.50`.
pub fn limit(micros: i64) -> String {
    match micros % 1_000_000 {
        0 if 0 <= micros => format!("${}", grouped((micros / 1_000_000).unsigned_abs())),
        _ => money(micros),
    }
}

/// Dollars for an input field: `40`, `12.50`.
pub fn plain_dollars(micros: i64) -> String {
    entered(&match (micros / 1_000_000, micros % 1_000_000) {
        (whole, 0) => whole.to_string(),
        (whole, part) if part % 10_000 == 0 => format!("{whole}.{:02}", part / 10_000),
        (whole, part) => format!("{whole}.{part:06}").trim_end_matches('0').to_owned(),
    })
}

/// Parses typed dollars into micro-dollars: `40`, `$40`, `1,200.50`; `None` if invalid, or if a separator of thousands
/// could be a decimal separator: `12,50`. See [`wanted_dollars`].
#[must_use]
pub fn parse_dollars(text: &str) -> Option<i64> {
    let text = strict_number(text.trim().trim_start_matches('$'))?;
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && part.is_empty()) || !digits(whole) || !digits(part) || 6 < part.len() {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let part: i64 = format!("{part:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(part)
}

/// Error message for invalid dollars, with an example in the person's form.
#[must_use]
pub fn wanted_dollars() -> String {
    format!("enter an amount in dollars, such as 40 or {}", entered("12.50"))
}

/// A number of tokens: `812`, `12.3K`, `1.2M`.
pub fn tokens(n: u64) -> String {
    let mark = decimal_mark();
    match n {
        0..1_000 => n.to_string(),
        1_000..999_950 => format!("{}{mark}{}K", (n + 50) / 1_000, (n + 50) % 1_000 / 100),
        _ => format!("{}{mark}{}M", (n + 50_000) / 1_000_000, (n + 50_000) % 1_000_000 / 100_000),
    }
}

/// Percent-encodes a query value. Letters, digits and `-._~/` stay.
pub fn query_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A number with its noun: `1 task`, `3 tasks`, `no tasks`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    match n {
        0 => format!("no {many}"),
        1 => format!("1 {one}"),
        _ => format!("{} {many}", grouped(n)),
    }
}

/// A file size: `512 B`, `12.5 KB`, `3.0 MB`.
pub fn size(bytes: u64) -> String {
    let mark = decimal_mark();
    let tenths = |unit: u64| format!("{}{mark}{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KB", tenths(1_024)),
        1_048_576..1_073_741_824 => format!("{} MB", tenths(1_048_576)),
        _ => format!("{} GB", tenths(1_073_741_824)),
    }
}

/// A duration: `40 ms`, `0.4 s`, `14 s`, `2 min 5 s`, `3 h 20 min`, `2 d 4 h`.
pub fn duration(length: Duration) -> String {
    let whole = length.as_secs();
    let pair = |a: u64, one: &str, b: u64, two: &str| match b {
        0 => format!("{a} {one}"),
        _ => format!("{a} {one} {b} {two}"),
    };
    match whole {
        0 if length.subsec_millis() == 0 => "0 s".to_owned(),
        0 if length.subsec_millis() < 100 => format!("{} ms", length.subsec_millis()),
        0 => format!("0{}{} s", decimal_mark(), length.subsec_millis() / 100),
        1..60 => format!("{whole} s"),
        60..3_600 => pair(whole / 60, "min", whole % 60, "s"),
        3_600..86_400 => pair(whole / 3_600, "h", whole % 3_600 / 60, "min"),
        _ => pair(whole / 86_400, "d", whole % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        count, duration, grouped, limit, money, parse_dollars, plain_dollars, size, tokens,
        wanted_dollars,
    };
    use kernel::NumberForm;
    use kernel::display::Forms;
    use std::time::Duration;

    #[test]
    fn numbers_are_written_and_read_in_the_form_of_the_person() {
        let _entered = Forms { number: NumberForm::Point, ..Forms::USUAL }.enter();
        assert_eq!(money(-1_204_500_000), "-$1.204,50");
        assert_eq!((money(4_200), limit(1_200_000_000)), ("$0,0042".into(), "$1.200".into()));
        assert_eq!(money(i64::MAX), "$9.223.372.036.854,78");
        assert_eq!((tokens(12_345), size(12_800)), ("12,3K".into(), "12,5 KB".into()));
        assert_eq!(duration(Duration::from_millis(420)), "0,4 s");
        for micros in [40_000_000, 12_500_000, 1, 1_234_567] {
            assert_eq!(parse_dollars(&plain_dollars(micros)), Some(micros));
        }
        assert_eq!(plain_dollars(12_500_000), "12,50");
        assert_eq!(parse_dollars("$1.200"), Some(1_200_000_000));
        assert_eq!(parse_dollars("1.200,50"), Some(1_200_500_000));
        assert_eq!(parse_dollars("2.50"), Some(2_500_000));
        assert_eq!(parse_dollars("12,50"), Some(12_500_000));
        assert_eq!((parse_dollars("12.50,5"), parse_dollars("12 50")), (None, None));
        assert!(wanted_dollars().ends_with("12,50"));
    }

    #[test]
    fn money_shows_four_places_below_a_cent() {
        assert_eq!(money(0), "$0.00");
        assert_eq!(money(49), "$0.00");
        assert_eq!(money(4_200), "$0.0042");
        assert_eq!(money(9_999), "$0.0100");
        assert_eq!(money(10_000), "$0.01");
        assert_eq!(money(1_490_000), "$1.49");
        assert_eq!(money(1_204_000_000), "$1,204.00");
        assert_eq!(money(-500_000), "-$0.50");
    }

    #[test]
    fn dollars_are_read_as_people_type_them() {
        assert_eq!(parse_dollars("40"), Some(40_000_000));
        assert_eq!(parse_dollars(" $1,200.50 "), Some(1_200_500_000));
        assert_eq!(parse_dollars(".5"), Some(500_000));
        assert_eq!(parse_dollars("0.000001"), Some(1));
        for micros in [40_000_000, 12_500_000, 1, 1_234_567] {
            assert_eq!(parse_dollars(&plain_dollars(micros)), Some(micros));
        }
        assert_eq!(plain_dollars(12_500_000), "12.50");
        assert_eq!((limit(1_200_000_000), limit(500_000)), ("$1,200".into(), "$0.50".into()));
        for wrong in [
            "",
            "$",
            "-3",
            "12,50",
            ",50",
            "1,2345",
            "12 50",
            "1.234,50",
            "1.2.3",
            "0.0000001",
            "ten",
            "99999999999999999999",
        ] {
            assert_eq!(parse_dollars(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tokens_are_short_and_never_show_a_thousand_thousands() {
        assert_eq!(tokens(812), "812");
        assert_eq!(tokens(12_345), "12.3K");
        assert_eq!(tokens(999_949), "999.9K");
        assert_eq!(tokens(999_950), "1.0M");
        assert_eq!(tokens(1_234_567), "1.2M");
    }

    #[test]
    fn lengths_of_time_have_at_most_two_parts() {
        let of = |ms: u64| duration(Duration::from_millis(ms));
        assert_eq!(of(0), "0 s");
        assert_eq!(of(42), "42 ms");
        assert_eq!(of(420), "0.4 s");
        assert_eq!(of(14_000), "14 s");
        assert_eq!(of(125_000), "2 min 5 s");
        assert_eq!(of(12_000_000), "3 h 20 min");
        assert_eq!(of(187_200_000), "2 d 4 h");
    }

    #[test]
    fn counts_and_sizes_read_well() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(count(0, "task", "tasks"), "no tasks");
        assert_eq!(count(1, "task", "tasks"), "1 task");
        assert_eq!(count(1_200, "task", "tasks"), "1,200 tasks");
        assert_eq!(size(12_800), "12.5 KB");
        assert_eq!(size(3_145_728), "3.0 MB");
    }
}
