//! Validates email addresses and phone numbers, in one place for all of HQ. Readers remove wrappers found in foreign
//! files (`mailto:`, `tel:`, and `="…"`, which spreadsheets use to keep leading zeros), and return every address in a
//! cell.

use kernel::text::ellipsis;
use unicode_normalization::UnicodeNormalization as _;

use crate::name::is_unseen;
use crate::value::digits;

/// Maximum length of an email address, in bytes (RFC 5321, 4.5.3.1.3, without the brackets).
const MAX_MAIL: usize = 254;
/// Minimum number of digits of each of several numbers in a cell. `040 / 123456` is one number.
const LEAST_BESIDE: usize = 6;
/// Extension markers, longest first.
const EXTENSIONS: [&str; 7] = ["extension", "extn", "ext", "durchwahl", "dw", "x", "#"];

/// Returns `true` if the whole text is an email address. The host may be a name in the local network.
#[must_use]
pub fn is_mail_address(text: &str) -> bool {
    let Some((name, host)) = text.rsplit_once('@') else { return false };
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c);
    let is_label = |label: &str| {
        let inner = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(inner)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= MAX_MAIL
        && !name.is_empty()
        && name.split('.').all(|atom| !atom.is_empty())
        && !name.contains(is_odd)
        && host.split('.').all(is_label)
}

/// Parses an email address that others can write to. Removes `mailto:`, a display name and angle brackets.
///
/// # Errors
/// A sentence that says that the text is not an address.
pub fn mail_address(text: &str) -> Result<String, String> {
    let seen: String = text.chars().filter(|c| !is_unseen(*c)).collect();
    let mut bare = unquoted(&seen);
    // Either wrapper may contain the other.
    for _ in 0..2 {
        bare = match (bare.rfind('<'), bare.strip_suffix('>')) {
            (Some(at), Some(rest)) => rest[at + 1..].trim(),
            _ => bare,
        };
        bare = match after(bare, "mailto:") {
            Some(rest) => rest.split('?').next().unwrap_or_default().trim(),
            None => bare,
        };
    }
    let has_domain = bare.rsplit_once('@').is_some_and(|(_, host)| host.contains('.'));
    match has_domain && is_mail_address(bare) {
        true => Ok(bare.to_owned()),
        false => Err(format!("\"{}\" isn't an email address.", ellipsis(text, 80))),
    }
}

/// Parses a phone number and keeps its notation. Removes `tel:` and spreadsheet quotes. An extension becomes `ext. 12`
/// unless it was written as `x12` or `#12`.
///
/// # Errors
/// A sentence that says that the text is not a number, or that its digits were lost.
pub fn phone(text: &str) -> Result<String, String> {
    let bare = bare_number(&plain_number(text));
    if is_number(&bare) {
        return Ok(bare);
    }
    if is_shortened(&bare) {
        return Err(format!("A spreadsheet shortened \"{}\", so digits are missing.", bare));
    }
    match with_extension(&bare) {
        Some((number, extension)) if is_number(number) => Ok(format!("{number} ext. {extension}")),
        _ => Err(format!("\"{}\" isn't a phone number.", ellipsis(text, 80))),
    }
}

/// The email addresses in one cell, unchanged.
#[must_use]
pub fn mails_in(text: &str) -> Vec<String> {
    let ats = |text: &str| text.matches('@').count();
    if ats(text) < 2 {
        return vec![text.trim().to_owned()];
    }
    let text = text.replace(GOOGLE, "\n");
    let mut found = Vec::new();
    // A piece without `@` is part of a name: "Teixeira, Rosa" <rosa@example.com>.
    for piece in text.split([',', ';', '\n', '|']).filter(|piece| piece.contains('@')) {
        match ats(piece) {
            1 => found.push(piece.trim().to_owned()),
            _ => {
                let words = piece.split(|c: char| c.is_whitespace() || c == '/');
                found.extend(words.filter(|word| word.contains('@')).map(str::to_owned));
            }
        }
    }
    found
}

/// The phone numbers in one cell, unchanged.
#[must_use]
pub fn phones_in(text: &str) -> Vec<String> {
    let trimmed = |all: std::str::Split<'_, &str>| {
        all.map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    if text.contains(GOOGLE) {
        return trimmed(text.split(GOOGLE));
    }
    // A parameter of `tel:` (RFC 3966) is not another number.
    let mut marked = plain_number(text);
    let lower = marked.to_ascii_lowercase();
    for (at, _) in lower.rmatch_indices(";ext=") {
        marked.replace_range(at..at + ";ext=".len(), " ext. ");
    }
    for word in [" or ", " and ", " oder ", " und "] {
        marked = marked.replace(word, "\n");
    }
    let pieces = trimmed(marked.replace(['/', '|', ';', ',', '،', '؛', '、'], "\n").split("\n"));
    let stands = |piece: &String| phone(piece).is_ok_and(|one| LEAST_BESIDE <= digits(&one).len());
    match 1 < pieces.len() && pieces.iter().all(stands) {
        true => pieces,
        false => vec![text.trim().to_owned()],
    }
}

/// Separator that Google Contacts writes between several values in one cell.
pub const GOOGLE: &str = " ::: ";

/// Removes the quoting that makes spreadsheets treat a value as text: `'077`, `="077"`, `"077"`.
fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let text = text.strip_prefix('\'').map_or(text, |rest| rest.strip_suffix('\'').unwrap_or(rest));
    let inner = text.strip_prefix("=\"").or_else(|| text.strip_prefix('"'));
    inner.and_then(|inner| inner.strip_suffix('"')).unwrap_or(text).trim()
}

/// The text after a case-insensitive prefix.
fn after<'t>(text: &'t str, start: &str) -> Option<&'t str> {
    let head = text.get(..start.len())?;
    head.eq_ignore_ascii_case(start).then(|| &text[start.len()..])
}

/// Converts digits, dashes and blanks of any script to ASCII.
fn plain_number(text: &str) -> String {
    text.nfkc().filter(|c| !is_unseen(*c)).map(plain_sign).collect()
}

/// Zeros of digit ranges that NFKC does not map: Arabic, Persian, N'Ko, Indic, Thai and Khmer.
const ZEROS: [char; 14] = [
    '\u{660}', '\u{6f0}', '\u{7c0}', '\u{966}', '\u{9e6}', '\u{a66}', '\u{ae6}', '\u{b66}',
    '\u{be6}', '\u{c66}', '\u{ce6}', '\u{d66}', '\u{e50}', '\u{17e0}',
];

fn plain_sign(c: char) -> char {
    let digit = || {
        let past = |zero: &char| u32::from(c).checked_sub(u32::from(*zero));
        ZEROS.iter().filter_map(past).find(|past| *past < 10)
    };
    match c {
        c if c.is_ascii() && !c.is_whitespace() => c,
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        c if c.is_whitespace() => ' ',
        c => digit().and_then(|digit| char::from_digit(digit, 10)).unwrap_or(c),
    }
}

/// A number without the link prefix, with its extension as a word.
fn bare_number(text: &str) -> String {
    let bare = unquoted(text);
    let linked = ["tel:", "callto:", "sms:"].iter().find_map(|start| after(bare, start));
    let bare = linked.unwrap_or(bare).trim();
    let Some((number, parameters)) = bare.split_once(';') else { return bare.to_owned() };
    let extension = parameters.split(';').find_map(|one| after(one.trim(), "ext="));
    match extension {
        Some(extension) => format!("{} ext. {}", number.trim(), extension.trim()),
        None if linked.is_some() => number.trim().to_owned(),
        None => bare.to_owned(),
    }
}

fn is_number(text: &str) -> bool {
    let fits = text.chars().all(|c| c.is_ascii_digit() || " +-()/.x#".contains(c));
    let count = text.chars().filter(char::is_ascii_digit).count();
    // A leading plus introduces the country code. A plus within a number would begin another one.
    let is_signed_once = text
        .rfind('+')
        .is_none_or(|at| !text[..at].contains(|c: char| c == '+' || c.is_ascii_digit()));
    fits && is_signed_once && (3..=20).contains(&count)
}

/// Returns `true` for a number that a spreadsheet has shortened: `4.47701E+11`.
fn is_shortened(text: &str) -> bool {
    let Some((head, power)) = text.split_once(['e', 'E']) else { return false };
    let all = |text: &str, more: &[char]| {
        text.bytes().any(|byte| byte.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || more.contains(&c))
    };
    all(head, &['.', ',', '+', '-']) && all(power, &['+', '-'])
}

/// Splits a number from its extension.
fn with_extension(text: &str) -> Option<(&str, &str)> {
    let head = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let extension = &text[head.len()..];
    let head = head.trim_end_matches([' ', '.', ':', '=']);
    let mark = EXTENSIONS.iter().find(|mark| {
        let tail = head.len().checked_sub(mark.len()).and_then(|at| head.get(at..));
        tail.is_some_and(|tail| tail.eq_ignore_ascii_case(mark))
    })?;
    let number = head[..head.len() - mark.len()].trim_end_matches([' ', ',', ';', '-', '(']);
    (1..=8).contains(&extension.len()).then_some((number, extension))
}

#[cfg(test)]
mod tests {
    use super::{is_mail_address, mail_address, mails_in, phone, phones_in};

    #[test]
    fn an_address_of_mail_is_read_without_what_stands_around_it() {
        for text in [
            "rosa@example.com",
            " mailto:rosa@example.com?subject=Tea ",
            "<rosa@example.com>",
            "Rosa Teixeira <mailto:rosa@example.com>",
            "MAILTO:<rosa@example.com>",
            "'rosa@example.com",
            "=\"rosa@example.com\"",
            "rosa@\u{200b}example.com",
        ] {
            assert_eq!(mail_address(text).as_deref(), Ok("rosa@example.com"), "{text}");
        }
        for wrong in [
            "rosa",
            "@example.com",
            "rosa@",
            "rosa@example",
            "rosa@.example.com",
            "rosa@example..com",
            "rosa@example.com.",
            "ro sa@example.com",
            "rosa..t@example.com",
            "rosa.@example.com",
            "a@b@example.com",
            "rosa@-example.com",
            "rosa@example.com>",
            "rosa@exam!ple.com",
            "",
        ] {
            assert!(mail_address(wrong).is_err(), "{wrong}");
        }
        assert!(is_mail_address("hq@localhost") && is_mail_address("jörg@müller.example"));
    }

    #[test]
    fn a_number_of_a_telephone_is_read_with_its_extension() {
        for (text, number) in [
            ("+49 (40) 555-1", "+49 (40) 555-1"),
            ("tel:+49-40-555", "+49-40-555"),
            ("tel:+1-201-555-0123;ext=12", "+1-201-555-0123 ext. 12"),
            ("+1 201 555 0123;EXT=12", "+1 201 555 0123 ext. 12"),
            ("(02) 9000 0000 ext. 12", "(02) 9000 0000 ext. 12"),
            ("(02) 9000 0000, Extension: 12", "(02) 9000 0000 ext. 12"),
            ("(02) 9000 0000 ext12", "(02) 9000 0000 ext. 12"),
            ("555 0100 x12", "555 0100 x12"),
            ("'0774768867", "0774768867"),
            ("=\"0774768867\"", "0774768867"),
            ("\u{ff10}\u{ff14}\u{ff10}\u{2011}555", "040-555"),
            ("\u{202a}+49 40 555\u{202c}", "+49 40 555"),
            ("+٩٧١ ٤ ٥٥٥ ٠١٠٠", "+971 4 555 0100"),
            ("۰۲۱ ۵۵۵ ۰۱۰۰", "021 555 0100"),
            ("＋８１－３－５５５５", "+81-3-5555"),
            ("०११ ५५५", "011 555"),
            ("(+49) 40 555", "(+49) 40 555"),
        ] {
            assert_eq!(phone(text).as_deref(), Ok(number), "{text}");
        }
        for wrong in [
            "none",
            "12",
            "ext. 12",
            "next 12",
            "040 555 call me",
            "",
            "++1 555",
            "+1 +555",
            "040+555",
            "555 ٠١٠٠ call me",
        ] {
            assert!(phone(wrong).is_err(), "{wrong}");
        }
        let gone = phone("4.47701E+11").expect_err("its digits are gone");
        assert!(gone.contains("are missing"), "{gone}");
    }

    #[test]
    fn several_addresses_in_one_cell_are_told_apart() {
        assert_eq!(mails_in("a@x.example ::: b@x.example"), ["a@x.example", "b@x.example"]);
        assert_eq!(mails_in("a@x.example;b@x.example c@x.example").len(), 3);
        let named = "\"Teixeira, Rosa\" <a@x.example>, Jana <b@x.example>";
        assert_eq!(mails_in(named), ["Rosa\" <a@x.example>", "Jana <b@x.example>"]);
        assert_eq!(mails_in("Teixeira, Rosa <a@x.example>"), ["Teixeira, Rosa <a@x.example>"]);
        assert_eq!(mails_in(" none "), ["none"]);

        let two = ["0774 000 001", "0774 000 002"];
        for text in [
            "0774 000 001 / 0774 000 002",
            "0774 000 001; 0774 000 002",
            "0774 000 001 or 0774 000 002",
            "0774 000 001 ::: 0774 000 002",
        ] {
            assert_eq!(phones_in(text), two, "{text}");
        }
        let arabic = phones_in("٠٧٧٤٠٠٠٠٠١ ، ٠٧٧٤٠٠٠٠٠٢");
        assert_eq!(arabic, ["0774000001", "0774000002"]);
        for one in ["040 / 1234567", "0774/000001", "+1 201 555 0123, ext 5", "030 12345/67"] {
            assert_eq!(phones_in(one), [one]);
        }
        assert_eq!(
            phones_in("tel:+1-201-555-0123;ext=12"),
            ["tel:+1-201-555-0123;ext=12"],
            "a parameter is no number"
        );
    }
}
