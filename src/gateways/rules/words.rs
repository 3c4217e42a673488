//! Validation of what people type, and sanitizing of what hosts report.

use axum::http::Uri;
use kernel::FieldError;
use kernel::text::{ellipsis, one_line, slug};

use crate::model::Gateway;

/// In characters.
const MAX_LABEL: usize = 80;
const MAX_SLUG: usize = 32;
/// Limits of labels per gateway and characters per label.
const MOST: usize = 16;
const LONGEST: usize = 40;
const MAX_ADDRESS: usize = 300;
/// Slugs that have another meaning in addresses.
const TAKEN: [&str; 3] = ["local", "new", "tokens"];

/// Validates a gateway's display name.
pub(super) fn label(text: &str) -> Result<String, FieldError> {
    let label = one_line(text).trim().to_owned();
    match label.chars().count() {
        0 => Err(FieldError::new("label", "Enter a name.")),
        n if MAX_LABEL < n => {
            Err(FieldError::new("label", format!("Use at most {MAX_LABEL} characters.")))
        }
        _ => Ok(label),
    }
}

/// Largest spending limit of an offline run, in micro-dollars.
const MAX_GRANT: i64 = 1_000_000_000;
/// Longest time that a run may work offline, in hours.
const MAX_HOURS: u32 = 30 * 24;

/// Validates the spending limit of an offline run, in micro-dollars.
pub(super) fn grant(micros: i64) -> Result<i64, FieldError> {
    match (0..=MAX_GRANT).contains(&micros) {
        true => Ok(micros),
        false => Err(FieldError::new("grant_micros", "Enter an amount from $0 to $1,000.")),
    }
}

/// Validates the time that a run may work offline, in hours.
pub(super) fn hours(hours: u32) -> Result<u32, FieldError> {
    match hours <= MAX_HOURS {
        true => Ok(hours),
        false => Err(FieldError::new("cut_hours", "Enter at most 720 hours.")),
    }
}

/// A free slug for a label; a number is appended if the slug is taken.
pub(super) fn free_slug(label: &str, all: &[Gateway]) -> String {
    let plain = match slug(label, MAX_SLUG) {
        empty if empty.is_empty() => "gateway".to_owned(),
        made => made,
    };
    let is_free = |word: &str| !TAKEN.contains(&word) && all.iter().all(|one| one.slug != word);
    let numbered = (2_u32..).map(|n| {
        let end = format!("-{n}");
        format!("{}{end}", slug(&plain, MAX_SLUG - end.len()))
    });
    let mut tries = std::iter::once(plain.clone()).chain(numbered);
    tries.find(|word| is_free(word)).unwrap_or_default()
}

/// Splits labels at commas and whitespace.
#[must_use]
pub fn labels_of(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c == ',' || c.is_whitespace());
    parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// Validates and normalizes labels.
pub(super) fn labels(labels: &[String]) -> Result<Vec<String>, FieldError> {
    let mut found: Vec<String> = Vec::new();
    for one in labels {
        let one = one.trim().to_lowercase();
        if !is_label(&one) {
            let shown = ellipsis(&one_line(&one), LONGEST);
            let words = format!(
                "\"{shown}\" isn’t a label. Use a word or word=value with letters, digits and . _ \
                    -, such as gpu or region=eu."
            );
            return Err(FieldError::new("labels", words));
        }
        if !found.contains(&one) {
            found.push(one);
        }
    }
    match found.len() {
        n if MOST < n => Err(FieldError::new("labels", format!("Use at most {MOST} labels."))),
        _ => Ok(found),
    }
}

fn is_label(text: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
    };
    let (key, value) = text.split_once('=').map_or((text, None), |(key, value)| (key, Some(value)));
    text.len() <= LONGEST && is_word(key) && value.is_none_or(is_word)
}

/// Validates the address that overrides the reported one; may be empty.
pub(super) fn address(text: &str) -> Result<String, FieldError> {
    let address = text.trim();
    if address.is_empty() || is_address(address) {
        return Ok(address.to_owned());
    }
    let words = "Enter an address such as https://gpu.example.com, or leave it empty.";
    Err(FieldError::new("address", words))
}

/// Whether the address is safe as a link.
fn is_address(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    !host.is_empty()
        && !host.contains('@')
        && text.len() <= MAX_ADDRESS
        && text.parse::<Uri>().is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
}

/// One line of a host's report, cut to length.
pub(super) fn clip(text: &str, most: usize) -> String {
    ellipsis(one_line(text).trim(), most)
}

/// The valid ones of the addresses that a host reports.
pub(super) fn said_addresses(all: &[String]) -> Vec<String> {
    let fit = all.iter().map(|one| one.trim()).filter(|one| is_address(one));
    fit.take(MOST).map(str::to_owned).collect()
}

/// The given labels, followed by the valid ones that the host reports.
pub(super) fn joined_labels(given: &[String], reported: &[String]) -> Vec<String> {
    let mut all = given.to_vec();
    for one in reported.iter().map(|one| one.trim().to_lowercase()).filter(|one| is_label(one)) {
        if all.len() < MOST && !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{address, free_slug, is_address, joined_labels, label, labels, labels_of};
    use crate::model::Gateway;
    use store::Record as _;

    #[test]
    fn a_slug_follows_from_the_label_and_gets_a_number_when_it_is_taken() {
        let mut all = vec![Gateway::this_machine()];
        for wanted in ["workshop-nas", "workshop-nas-2", "workshop-nas-3"] {
            let slug = free_slug("Workshop NAS", &all);
            assert_eq!(slug, wanted);
            all.push(Gateway { slug, ..Gateway::sample() });
        }
        assert_eq!(free_slug("Local", &all), "local-2");
        assert_eq!(free_slug("New", &all), "new-2");
        assert_eq!(free_slug("工場", &all), "gateway");
        let long = free_slug(&"x".repeat(90), &all);
        all.push(Gateway { slug: long, ..Gateway::sample() });
        assert_eq!(free_slug(&"x".repeat(90), &all), format!("{}-2", "x".repeat(30)));
    }

    #[test]
    fn labels_are_words_or_pairs() {
        let parsed = labels_of("GPU, region=eu  gpu");
        assert_eq!(labels(&parsed).expect("labels"), ["gpu", "region=eu"]);
        for wrong in ["=eu", "region=", "a=b=c", "ü", "a b;c", &"x".repeat(41)] {
            assert!(labels(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(labels(&(0..17).map(|n| format!("l{n}")).collect::<Vec<_>>()).is_err());
        let reported = ["GPU".to_owned(), "no label!".to_owned(), "arm".to_owned()];
        assert_eq!(joined_labels(&["gpu".to_owned()], &reported), ["gpu", "arm"]);
        assert!(label(" \u{200b} ").is_err() && label(&"x".repeat(81)).is_err());
    }

    #[test]
    fn an_address_is_one_that_a_browser_may_be_sent_to() {
        for right in ["https://gpu.example.com", "http://10.0.0.7:8080/hq?a=1"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in [
            "javascript:alert(1)",
            "https://",
            "https://user@host",
            "ftp://host",
            "https://a b",
            "//host",
            "https://host\n",
        ] {
            assert!(!is_address(wrong), "{wrong}");
        }
        assert_eq!(address("  ").expect("none"), "");
        assert!(address("host").is_err());
    }
}
