//! Parsing and formatting of dollar amounts. Stored in micro-dollars.

use kernel::display;

use super::rules::WorkspaceError;

/// Formats micro-dollars as dollars: `40`, `2.50`, `0.0042`.
#[must_use]
pub fn dollars(micros: i64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    let mut places = format!("{:06}", rest.abs());
    while 2 < places.len() && places.ends_with('0') {
        places.pop();
    }
    display::entered(&format!("{whole}.{places}"))
}

/// Parses a dollar amount into micro-dollars.
///
/// # Errors
/// If it is no amount.
pub fn micros(field: &'static str, text: &str) -> Result<i64, WorkspaceError> {
    let example = display::entered("2.50");
    let wanted = format!("enter an amount in dollars, like 40 or {example}");
    let wrong = || WorkspaceError::field(field, &wanted);
    let text = display::strict_number(text.trim().trim_start_matches('$')).ok_or_else(wrong)?;
    let (whole, places) = text.split_once('.').unwrap_or((&text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(places) || 6 < places.len() {
        return Err(wrong());
    }
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let places: i64 = format!("{places:0<6}").parse().map_err(|_| wrong())?;
    whole.checked_mul(1_000_000).and_then(|w| w.checked_add(places)).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::{dollars, micros};

    #[test]
    fn an_amount_comes_back_as_it_was_typed() {
        for (text, value) in [("40", 40_000_000), ("2.50", 2_500_000), ("0.0042", 4_200)] {
            assert_eq!(micros("budget", text).ok(), Some(value));
            assert_eq!(dollars(value), text);
        }
        assert_eq!(micros("budget", " $1,200 ").ok(), Some(1_200_000_000));
        for bad in [
            "",
            "x",
            "12,50",
            ",50",
            "1,2345",
            "1.234,50",
            "-1",
            "1.2345678",
            "1.2.3",
            "99999999999999999999",
        ] {
            assert!(micros("budget", bad).is_err(), "{bad}");
        }
    }
}
