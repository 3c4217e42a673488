//! Parses times of day as people write them: `9`, `9:30`, `9.30`, `930`, `9:30 pm`, `21:30`.

use jiff::civil::Time;

use crate::day::small;
use crate::{FieldError, display};

/// Error message for an invalid time of day.
pub const WANTED: &str = "Write the time as 9:30, 930 or 9:30 pm.";

const HALVES: [(&str, bool); 4] = [("am", false), ("a.m.", false), ("pm", true), ("p.m.", true)];

/// Formats a time for input fields, as [`read`] parses it: `09:30`, or in the person's form. Seconds appear only if they
/// are not zero.
#[must_use]
pub fn written(time: Time) -> String {
    if time.second() == 0 { display::time(time) } else { display::exact_time(time) }
}

/// Parses a time of day.
#[must_use]
pub fn read(text: &str) -> Option<Time> {
    let text = text.trim().to_lowercase();
    let (text, after_noon) = halved(&text);
    let pieces: Vec<&str> = text.split([':', '.']).collect();
    let (hour, minute, second) = match pieces.as_slice() {
        [digits] if 3 <= digits.len() => {
            let (hour, minute) = digits.split_at_checked(digits.len() - 2)?;
            (hour, minute, "00")
        }
        [hour] => (*hour, "00", "00"),
        [hour, minute] => (*hour, *minute, "00"),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    let hour = match (after_noon, small(hour)?) {
        (None, hour) => hour,
        (Some(false), hour @ 1..=12) => hour % 12,
        (Some(true), hour @ 1..=12) => hour % 12 + 12,
        _ => return None,
    };
    Time::new(hour, of_two(minute)?, of_two(second)?, 0).ok()
}

/// Parses the time of day in a form field. An empty field is `None`.
///
/// # Errors
/// If the text is not a time of day. The message names a valid form.
pub fn in_field(field: &str, text: &str) -> Result<Option<Time>, FieldError> {
    match text.trim() {
        "" => Ok(None),
        text => read(text).map(Some).ok_or_else(|| FieldError::new(field, WANTED)),
    }
}

/// Minutes since midnight.
#[must_use]
pub fn minutes(time: Time) -> u16 {
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).unwrap_or(0)
}

/// Returns `true` if the text ends with am or pm.
pub(crate) fn is_halved(text: &str) -> bool {
    halved(&text.trim().to_lowercase()).1.is_some()
}

/// The time without am/pm, and `Some(true)` for pm.
fn halved(text: &str) -> (&str, Option<bool>) {
    let without = |(word, after): &(&str, bool)| {
        text.strip_suffix(*word).map(|rest| (rest.trim_end(), Some(*after)))
    };
    HALVES.iter().find_map(without).unwrap_or((text, None))
}

fn of_two(digits: &str) -> Option<i8> {
    small(digits).filter(|_| digits.len() == 2)
}

#[cfg(test)]
mod tests {
    use super::{in_field, minutes, read, written};
    use jiff::civil::Time;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        for (text, time) in [
            ("9", "09:00"),
            (" 21 ", "21:00"),
            ("9:30", "09:30"),
            ("9.30", "09:30"),
            ("930", "09:30"),
            ("0930", "09:30"),
            ("2130", "21:30"),
            ("21:30", "21:30"),
            ("9:30 pm", "21:30"),
            ("9PM", "21:00"),
            ("930 p.m.", "21:30"),
            ("12 am", "00:00"),
            ("12:15 a.m.", "00:15"),
            ("12pm", "12:00"),
            ("0:00", "00:00"),
            ("09:00:00", "09:00"),
            ("14:30:15", "14:30:15"),
        ] {
            assert_eq!(read(text).map(written).as_deref(), Some(time), "{text}");
        }
        assert_eq!(read("21:30").map(minutes), Some(1_290));
    }

    #[test]
    fn what_is_no_time_is_not_guessed() {
        for text in [
            "",
            "noon",
            "pm",
            "24",
            "24:00",
            "25:00",
            "9:60",
            "960",
            "9:3",
            "13 pm",
            "0 am",
            "93000",
            "9:30:5",
            "9:30:15.5",
            "-9",
            "9h",
            "é",
            "9é0",
            "24.11.",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn an_empty_field_is_no_time_and_a_wrong_one_is_named() {
        assert_eq!(in_field("at", " ").unwrap(), None);
        assert_eq!(in_field("at", "930").unwrap().map(written).as_deref(), Some("09:30"));
        assert_eq!(in_field("at", "soon").unwrap_err().field, "at");
    }

    proptest! {
        #[test]
        fn what_a_field_shows_is_read_again(hour in 0_i8..24, minute in 0_i8..60, second in 0_i8..60) {
            let time = Time::new(hour, minute, second, 0).unwrap();
            prop_assert_eq!(read(&written(time)), Some(time));
        }

        #[test]
        fn nothing_that_is_typed_breaks_it(text in "\\PC{0,12}") {
            let _ = read(&text);
        }
    }
}
