//! Number formats (ECMA-376): renders numbers and dates by format code: `7.5%`, `$1,234.50`, `03/15/2026`.

use jiff::civil::Date;

use super::shown;

/// Longest format code in Excel, in bytes.
pub(crate) const LONGEST: usize = 255;
const DAY_HALF: i64 = 12;
/// Largest denominator with one and with two digits.
const DENOMINATORS: [u32; 2] = [9, 99];

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
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// A token of a format code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Literal(char),
    /// Digit placeholder: `0`, `#` or `?`.
    Digit(char),
    Point,
    Comma,
    Percent,
    Slash,
    General,
    /// Date or time part: letter and repetition.
    Moment(char, usize),
    /// `AM/PM`.
    Half,
    /// Text placeholder.
    Text,
}

/// Renders a value; `None` for unsupported formats.
pub(crate) fn show(code: &str, value: f64, from_1904: bool) -> Option<String> {
    let sections = sections(code)?;
    let (at, value) = match (sections.len(), value) {
        (1, value) => (0, value),
        (_, value) if value < 0.0 => (1, -value),
        (2, value) => (0, value),
        (_, value) => (if value == 0.0 { 2 } else { 0 }, value),
    };
    let section = &sections[at];
    let is_moment = section.iter().any(|token| matches!(token, Token::Moment(..) | Token::Half));
    let shown = match is_moment {
        true => moment(section, value, from_1904)?,
        false if value < 0.0 => format!("-{}", number(section, -value)?),
        false => number(section, value)?,
    };
    Some(shown.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// Sections of a format code: positive, negative, zero.
fn sections(code: &str) -> Option<Vec<Vec<Token>>> {
    let mut sections = vec![Vec::new()];
    let mut rest = code;
    while let Some(sign) = rest.chars().next() {
        rest = &rest[sign.len_utf8()..];
        let tokens = sections.last_mut()?;
        match sign {
            ';' => sections.push(Vec::new()),
            '"' => {
                let (quoted, after) = rest.split_once('"').unwrap_or((rest, ""));
                tokens.extend(quoted.chars().map(Token::Literal));
                rest = after;
            }
            '\\' | '_' | '*' => {
                let mut signs = rest.chars();
                let next = signs.next();
                match sign {
                    '\\' => tokens.extend(next.map(Token::Literal)),
                    // A space of a character's width.
                    '_' => tokens.push(Token::Literal(' ')),
                    _ => {}
                }
                rest = signs.as_str();
            }
            '[' => {
                let (inner, after) = rest.split_once(']')?;
                rest = after;
                match inner.strip_prefix('$') {
                    Some(money) => {
                        let (symbol, _) = money.split_once('-').unwrap_or((money, ""));
                        tokens.extend(symbol.chars().map(Token::Literal));
                    }
                    // Conditions, and elapsed time.
                    None if inner.starts_with(['<', '>', '=']) || inner.len() < 3 => return None,
                    None => {}
                }
            }
            '0' | '#' | '?' => tokens.push(Token::Digit(sign)),
            '.' => tokens.push(Token::Point),
            ',' => tokens.push(Token::Comma),
            '%' => tokens.push(Token::Percent),
            '/' => tokens.push(Token::Slash),
            sign if sign.is_ascii_alphabetic() => {
                let (token, length) = word(sign, rest)?;
                tokens.push(token);
                rest = &rest[length..];
            }
            '@' => tokens.push(Token::Text),
            sign => tokens.push(Token::Literal(sign)),
        }
    }
    // The text section is irrelevant for numbers.
    sections.retain(|section| !section.contains(&Token::Text));
    (!sections.is_empty()).then_some(sections)
}

/// The token that starts with a letter, and its remaining length in bytes.
fn word(first: char, rest: &str) -> Option<(Token, usize)> {
    let follows = |word: &str| {
        let next = rest.get(..word.len());
        next.is_some_and(|next| next.eq_ignore_ascii_case(word)).then_some(word.len())
    };
    let first = first.to_ascii_lowercase();
    match first {
        'g' => follows("eneral").map(|length| (Token::General, length)),
        'a' => follows("M/PM").or_else(|| follows("/P")).map(|length| (Token::Half, length)),
        'y' | 'm' | 'd' | 'h' | 's' => {
            let repeats = rest.chars().take_while(|sign| sign.eq_ignore_ascii_case(&first)).count();
            Some((Token::Moment(first, repeats + 1), repeats))
        }
        _ => None,
    }
}

/// Renders a positive number.
fn number(tokens: &[Token], value: f64) -> Option<String> {
    if tokens.contains(&Token::General) {
        let plain = shown::plain(value);
        return Some(literal(tokens, &plain));
    }
    if tokens.contains(&Token::Slash) {
        return fraction(tokens, value);
    }
    let is_digit = |token: &Token| matches!(token, Token::Digit(_));
    let Some(last) = tokens.iter().rposition(is_digit) else { return Some(literal(tokens, "")) };
    let point = tokens.iter().position(|token| *token == Token::Point).unwrap_or(tokens.len());
    let whole: Vec<usize> = (0..point).filter(|at| is_digit(&tokens[*at])).collect();
    let decimals = (point..tokens.len()).filter(|at| is_digit(&tokens[*at])).count();
    let is_comma = |at: &usize| tokens[*at] == Token::Comma;
    // Commas between digits group them; each one after the last digit divides by 1,000.
    let ends = whole.last().copied().unwrap_or(point);
    let is_grouped = whole.first().is_some_and(|first| (*first..ends).any(|at| is_comma(&at)));
    let behind = if point < last { last } else { ends };
    let thousands = (behind..tokens.len()).filter(is_comma).count();
    let hundreds = tokens.iter().filter(|token| **token == Token::Percent).count();
    let scaled = value * 100_f64.powi(hundreds as i32) / 1_000_f64.powi(thousands as i32);
    let (digits, fraction) = rounded(scaled, decimals);
    let wanted = whole.iter().position(|at| tokens[*at] == Token::Digit('0'));
    let wanted = wanted.map_or(0, |first| whole.len() - first);
    let digits = if digits == "0" { "" } else { &digits };
    let digits = format!("{digits:0>wanted$}");

    let mut out = String::new();
    let (mut place, mut decimal) = (0, 0);
    let kept = kept(&tokens[point..], &fraction);
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Digit(_) if at < point => {
                let behind = whole.len() - place - 1;
                let from = if place == 0 { 0 } else { digits.len().saturating_sub(behind + 1) };
                let to = digits.len().saturating_sub(behind);
                for (at, digit) in (from..to).zip(digits[from..to].chars()) {
                    out.push(digit);
                    let left = digits.len() - at - 1;
                    if is_grouped && left > 0 && left % 3 == 0 {
                        out.push(',');
                    }
                }
                place += 1;
            }
            Token::Digit(_) => {
                out.extend(fraction.chars().nth(decimal).filter(|_| decimal < kept));
                decimal += 1;
            }
            Token::Point if at == point && kept > 0 => out.push('.'),
            Token::Percent => out.push('%'),
            Token::Literal(sign) => out.push(*sign),
            _ => {}
        }
    }
    Some(out)
}

/// Digits before and after the decimal point, rounded half up. Like in spreadsheets, 15 significant digits count: 28.5
/// is a half although its binary value is slightly smaller.
fn rounded(value: f64, decimals: usize) -> (String, String) {
    if value.fract() == 0.0 {
        return (format!("{value:.0}"), "0".repeat(decimals));
    }
    let text = format!("{:.14e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
    let mut point = exponent.parse::<isize>().unwrap_or(0) + 1;
    match usize::try_from(point.saturating_add_unsigned(decimals)) {
        Ok(kept) if kept < digits.len() => {
            let is_up = b'5' <= digits[kept];
            digits.truncate(kept);
            if is_up && raise(&mut digits) {
                digits.insert(0, b'1');
                point += 1;
            }
        }
        Ok(_) => {}
        Err(_) => digits.clear(),
    }
    let digit = |at: isize| {
        usize::try_from(at)
            .ok()
            .and_then(|at| digits.get(at))
            .map_or('0', |digit| char::from(*digit))
    };
    let whole: String = (0..point).map(digit).collect();
    let whole = whole.trim_start_matches('0');
    let behind = (point..point.saturating_add_unsigned(decimals)).map(digit).collect();
    (if whole.is_empty() { "0".to_owned() } else { whole.to_owned() }, behind)
}

/// Increments a digit string; returns whether it overflows.
fn raise(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return false;
        }
        *digit = b'0';
    }
    true
}

/// Number of decimals shown: trailing zeros only where the code has `0`.
fn kept(tokens: &[Token], fraction: &str) -> usize {
    let places = tokens.iter().filter_map(|token| match token {
        Token::Digit(place) => Some(*place),
        _ => None,
    });
    let shown = places.zip(fraction.chars()).zip(1..);
    shown
        .filter(|((place, digit), _)| *place == '0' || *digit != '0')
        .map(|(_, n)| n)
        .last()
        .unwrap_or(0)
}

/// The literals of the code, with the number inserted once.
fn literal(tokens: &[Token], number: &str) -> String {
    let mut out = String::new();
    for token in tokens {
        match token {
            Token::Literal(sign) => out.push(*sign),
            Token::General => out.push_str(number),
            Token::Percent => out.push('%'),
            Token::Comma => out.push(','),
            _ => {}
        }
    }
    out
}

/// Renders a whole number and a fraction.
fn fraction(tokens: &[Token], value: f64) -> Option<String> {
    let slash = tokens.iter().position(|token| *token == Token::Slash)?;
    let is_plain =
        |token: &Token| matches!(token, Token::Digit(_) | Token::Literal(' ') | Token::Slash);
    if !tokens.iter().all(is_plain) {
        return None;
    }
    let below = tokens[slash..].iter().filter(|token| matches!(token, Token::Digit(_))).count();
    let most = DENOMINATORS.get(below.checked_sub(1)?)?;
    let (whole, rest) = (value.trunc(), value.fract());
    let error = |below: u32| (rest - (rest * f64::from(below)).round() / f64::from(below)).abs();
    let best = (1..=*most).min_by(|a, b| error(*a).total_cmp(&error(*b)))?;
    let above = (rest * f64::from(best)).round();
    let whole = if best == 1 { whole + above } else { whole };
    Some(match (whole, best) {
        (whole, 1) => shown::plain(whole),
        (0.0, best) => format!("{above}/{best}"),
        (whole, best) => format!("{} {above}/{best}", shown::plain(whole)),
    })
}

/// Renders a date, a time, or both.
fn moment(tokens: &[Token], value: f64, from_1904: bool) -> Option<String> {
    let (day, seconds) = shown::moment(value, from_1904)?;
    let is_moment = |token: &Token| matches!(token, Token::Moment(..));
    let is_of =
        |at: usize, letter: char| matches!(tokens[at], Token::Moment(known, _) if known == letter);
    let has_half = tokens.contains(&Token::Half);
    let mut out = String::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Moment('m', length) => {
                // `m` means minutes after hours and before seconds.
                let before = (0..at).rev().find(|at| is_moment(&tokens[*at]));
                let after = (at + 1..tokens.len()).find(|at| is_moment(&tokens[*at]));
                let is_minutes = before.is_some_and(|at| is_of(at, 'h'))
                    || after.is_some_and(|at| is_of(at, 's'));
                match is_minutes {
                    true => out.push_str(&padded(seconds / 60 % 60, *length)),
                    false => out.push_str(&month(day?, *length)),
                }
            }
            Token::Moment('y', ..=2) => out.push_str(&padded(i64::from(day?.year() % 100), 2)),
            Token::Moment('y', _) => out.push_str(&day?.year().to_string()),
            Token::Moment('d', length @ ..=2) => {
                out.push_str(&padded(i64::from(day?.day()), *length));
            }
            Token::Moment('d', length) => {
                let name = WEEKDAYS[day?.weekday().to_monday_zero_offset() as usize];
                out.push_str(if *length == 3 { &name[..3] } else { name });
            }
            Token::Moment('h', length) => {
                let hour = seconds / 3_600;
                let hour = match (has_half, hour % DAY_HALF) {
                    (false, _) => hour,
                    (true, 0) => DAY_HALF,
                    (true, hour) => hour,
                };
                out.push_str(&padded(hour, *length));
            }
            Token::Moment(_, length) => out.push_str(&padded(seconds % 60, *length)),
            Token::Half => out.push_str(if seconds / 3_600 < DAY_HALF { "AM" } else { "PM" }),
            Token::Literal(sign) => out.push(*sign),
            Token::Slash => out.push('/'),
            Token::Comma => out.push(','),
            // Fractions of a second are dropped with their point.
            Token::Point if !matches!(tokens.get(at + 1), Some(Token::Digit(_))) => out.push('.'),
            _ => {}
        }
    }
    Some(out)
}

fn month(day: Date, length: usize) -> String {
    let name = MONTHS[day.month() as usize - 1];
    match length {
        ..=2 => padded(i64::from(day.month()), length),
        3 => name[..3].to_owned(),
        5 => name[..1].to_owned(),
        _ => name.to_owned(),
    }
}

fn padded(number: i64, length: usize) -> String {
    match length {
        1 => number.to_string(),
        _ => format!("{number:02}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::show;

    #[test]
    fn numbers_are_shown_as_their_format_says() {
        for (code, value, wanted) in [
            ("0.0%", 0.075, "7.5%"),
            ("0%", 1.0, "100%"),
            ("\"$\"#,##0.00", 1_234.5, "$1,234.50"),
            ("\"$\"#,##0.00", -1_234_567.891, "-$1,234,567.89"),
            ("#,##0.00\\ [$€-407]", 1_234.5, "1,234.50 €"),
            (
                "_(\"$\"* #,##0.00_);_(\"$\"* \\(#,##0.00\\);_(\"$\"* \"-\"??_);_(@_)",
                -5.0,
                "$(5.00)",
            ),
            ("_(\"$\"* #,##0.00_);_(\"$\"* \\(#,##0.00\\);_(\"$\"* \"-\"??_);_(@_)", 0.0, "$-"),
            ("#,##0", 1_234_567.0, "1,234,567"),
            ("#,##0", 12.0, "12"),
            ("#,##0,", 1_234_567.0, "1,235"),
            ("0.0,,\"M\"", 1_234_567.0, "1.2M"),
            ("0;(0)", -5.0, "(5)"),
            ("0.00", 1.005, "1.01"),
            ("0.00", 0.005, "0.01"),
            ("0%", 0.285, "29%"),
            ("0.0", 9.96, "10.0"),
            ("0", 0.4, "0"),
            ("0", 0.6, "1"),
            ("0.00", 12_345_678_901_234.56, "12345678901234.60"),
            ("0.##", 1.5, "1.5"),
            ("0.##", 2.0, "2"),
            ("#.00", 0.5, ".50"),
            ("0", 2.5, "3"),
            ("0", 12_345_678_901_234_570.0, "12345678901234570"),
            ("0000000000", 774_768_867.0, "0774768867"),
            ("000\\-00\\-0000", 123_456_789.0, "123-45-6789"),
            ("(000) 000-0000", 2_125_550_123.0, "(212) 555-0123"),
            ("# ?/?", 0.25, "1/4"),
            ("# ??/??", 3.75, "3 3/4"),
            ("# ?/?", 2.0, "2"),
            ("General\" kg\"", 2.5, "2.5 kg"),
            (";;;", 7.0, ""),
            ("[Red]0.0", 2.0, "2.0"),
        ] {
            assert_eq!(show(code, value, false).as_deref(), Some(wanted), "{code} {value}");
        }
        for code in ["0.00E+00", "[>100]0;0.0", "[h]:mm", "@", "0\"x", "b0"] {
            assert!(show(code, 1.0, false).is_none_or(|shown| shown == "1x"), "{code}");
        }
    }

    #[test]
    fn days_are_shown_as_their_format_says() {
        for (code, value, wanted) in [
            ("mm/dd/yyyy", 46_096.0, "03/15/2026"),
            ("d. mmmm yyyy", 46_096.0, "15. March 2026"),
            ("[$-409]ddd, mmm d, yy;@", 46_096.0, "Sun, Mar 15, 26"),
            ("yyyy\\-mm\\-dd hh:mm", 46_096.604_166_666_664, "2026-03-15 14:30"),
            ("h:mm AM/PM", 46_096.604_166_666_664, "2:30 PM"),
            ("mm:ss.0", 0.000_706_018_52, "01:01"),
        ] {
            assert_eq!(show(code, value, false).as_deref(), Some(wanted), "{code}");
        }
        assert_eq!(show("yyyy", -1.0, false), None);
    }

    proptest! {
        #[test]
        fn any_format_comes_to_an_end(code in "[0#?.,%/;\\[\\]$\"_*@a-zA-ZäÄ<> -]{0,40}", value in any::<f64>()) {
            let _ = show(&code, value, false); // ok: text or `None`, without a panic
        }
    }
}
