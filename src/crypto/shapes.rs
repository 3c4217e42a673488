//! Keys as their makers write them, found without knowing them: what looks like one is masked in what HQ writes and hands
//! on, and does not go out in requests and files. Patterns of one's own only add to these.
//!
//! One list for all. Where text comes from programs and files only what is a key without doubt is masked, so that code
//! survives; logs, errors and messages lose what stands in addresses and headers as well.

use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use regex::bytes::{Regex, RegexBuilder};

/// The most patterns of one's own that are looked for.
pub const MOST: usize = 50;
/// The longest of them, in bytes.
const LONGEST: usize = 500;
/// How much memory one may take, in bytes.
const ROOM: usize = 1 << 20;
/// Shorter ones show nothing of themselves.
const SHOWS: usize = 18;

/// With what keys, and the places of keys, begin. All of them are looked for at once; what follows is looked at where one is
/// found.
const BEGINS: [&str; 20] = [
    "sk-",
    "gho_",
    "ghp_",
    "ghr_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xox",
    "hf_",
    "AGE-SECRET-KEY-1",
    "AKIA",
    "AIza",
    ":AA",
    "eyJ",
    "-----BEGIN ",
    "://",
    "uthorization",
    "ookie",
    "OOKIE",
];

static BEGIN: LazyLock<AhoCorasick> = LazyLock::new(|| {
    AhoCorasick::new(BEGINS).expect("invariant: a fixed list that a test searches for")
});

/// Keys that are keys without doubt.
static KEYS: LazyLock<Regex> = LazyLock::new(|| {
    fixed(concat!(
        r"(?-u)^(?:sk-[A-Za-z0-9_-]{20,}",
        r"|gh[oprsu]_[A-Za-z0-9]{20,}",
        r"|github_pat_[A-Za-z0-9_]{20,}",
        r"|glpat-[A-Za-z0-9_-]{16,}",
        r"|xox[abprs]-[A-Za-z0-9-]{10,}",
        r"|hf_[A-Za-z0-9]{24,}",
        r"|AGE-SECRET-KEY-1[A-Z0-9]{20,}",
        r"|AKIA[A-Z0-9]{16}",
        r"|AIza[A-Za-z0-9_-]{35}",
        // A Telegram bot's, behind its number.
        r"|:AA[A-Za-z0-9_-]{33}",
        // A JSON web token.
        r"|eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}",
        r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[\s\\rn]*[A-Za-z0-9+/=]{32,})+",
        r"(?:[\s\\rn]*[A-Za-z0-9+/=]{1,64})?(?:[\s\\rn]*-----END [A-Z ]{0,20}PRIVATE KEY-----)?)",
    ))
});

/// What stands in the place of a key by the words before it: the password of an address, the word of a header.
static PLACES: LazyLock<Regex> = LazyLock::new(|| {
    fixed(concat!(
        r#"(?-u)^(?:://[^\s/:@"'<>]{0,64}:(?<a>[^\s/@"'<>]{3,256})@"#,
        r#"|uthorization"?\s?[:=]\s?"?(?:[A-Za-z]{1,10} )?(?<b>[A-Za-z0-9._~+/=-]{16,})"#,
        r#"|(?i:ookie)"?: ?"?(?<c>[^\r\n"]{16,}))"#,
    ))
});

/// Those that must not go out. The others are public where they belong: keys of maps, names in signed links.
const REFUSED: [&str; 7] = ["sk-", "gh", "glpat-", "xox", "hf_", "AGE-SECRET-KEY-", "-----BEGIN"];

fn fixed(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: a fixed expression that a test compiles")
}

/// Where a text is on its way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// The log.
    Logs,
    /// What is told of something that failed.
    Errors,
    /// Mail and push.
    Messages,
    /// What tools and programs say.
    Tools,
    /// All else, where only known values are looked for.
    Elsewhere,
}

impl Spot {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Logs, Self::Errors, Self::Messages, Self::Tools, Self::Elsewhere];

    /// For people, behind "in".
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Logs => "the log",
            Self::Errors => "errors",
            Self::Messages => "mail and push",
            Self::Tools => "output of tools",
            Self::Elsewhere => "conversations",
        }
    }
}

/// Whether a text holds what looks like a key that must not go out.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_refused = |found: &Range<usize>| {
        REFUSED.iter().any(|begin| bytes[found.clone()].starts_with(begin.as_bytes()))
    };
    text.contains("PRIVATE KEY-----") || keys(bytes, false).iter().any(is_refused)
}

/// What looks like a key without doubt, and where `wide` what stands in the place of one.
fn keys(bytes: &[u8], wide: bool) -> Vec<Range<usize>> {
    let (mut found, mut from) = (Vec::new(), 0);
    for begin in BEGIN.find_iter(bytes).map(|begin| begin.start()) {
        if begin < from {
            continue;
        }
        let before = begin.checked_sub(1).map(|at| bytes[at]);
        let stands = match bytes[begin] {
            b':' => bytes[begin + 1] == b'/' || before.is_some_and(|byte| byte.is_ascii_digit()),
            b'-' => true,
            // The place of a key begins with a letter in either case.
            b'u' | b'o' | b'O' => wide,
            _ => !before.is_some_and(|byte| byte.is_ascii_alphanumeric()),
        };
        if !stands {
            continue;
        }
        let rest = &bytes[begin..];
        let key = KEYS.find(rest).map(|one| one.range());
        let place = || {
            let found = PLACES.captures(rest).filter(|_| wide)?;
            ["a", "b", "c"].iter().find_map(|name| found.name(name)).map(|found| found.range())
        };
        if let Some(one) = key.or_else(place) {
            from = begin + one.end;
            found.push(begin + one.start..from);
        } else if rest.starts_with(b"eyJ") {
            // Its end was looked for all along: whatever begins in there is not looked at once more.
            let word = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
            from = begin + rest.iter().take_while(word).count();
        }
    }
    found
}

/// What is to be masked on the way to a place: shapes of keys, and patterns of one's own.
pub(crate) fn spans(bytes: &[u8], spot: Spot, own: Option<&Regex>) -> Vec<Range<usize>> {
    if spot == Spot::Elsewhere {
        return Vec::new();
    }
    let mut found = keys(bytes, spot != Spot::Tools);
    found.extend(own.into_iter().flat_map(|own| own.find_iter(bytes)).map(|one| one.range()));
    // No pattern matches nothing, but one of one's own may do so at an edge.
    found.retain(|one| !one.is_empty());
    found.sort_by_key(|one| one.start);
    let mut apart: Vec<Range<usize>> = Vec::with_capacity(found.len());
    for one in found {
        match apart.last_mut() {
            Some(last) if one.start < last.end => last.end = last.end.max(one.end),
            _ => apart.push(one),
        }
    }
    apart
}

/// What stands in its place: of a long key both ends, by which people know it.
pub(crate) fn mask(found: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    match found.len() {
        len if SHOWS <= len && !found.starts_with(b"--") && found.iter().all(plain) => {
            let text = String::from_utf8_lossy(found);
            format!("{}…{}", &text[..6], &text[len - 4..])
        }
        _ => "***".to_owned(),
    }
}

/// Whether a pattern of one's own can be looked for.
///
/// # Errors
/// Why not, in words.
pub fn check(pattern: &str) -> Result<(), String> {
    if pattern.trim().is_empty() {
        return Err("write a pattern".to_owned());
    }
    if LONGEST < pattern.len() {
        return Err(format!("a pattern has at most {LONGEST} bytes"));
    }
    let built = build(pattern).map_err(|_| "this is no regular expression, or too large a one")?;
    match built.is_match(b"") {
        true => Err("it would match everywhere; name at least one sign".to_owned()),
        false => Ok(()),
    }
}

fn build(pattern: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(pattern).size_limit(ROOM).dfa_size_limit(ROOM).build()
}

/// One search for several patterns; those that do not compile are left out.
pub(crate) fn all_of<'a>(patterns: impl Iterator<Item = &'a str>) -> Option<Regex> {
    let fine = patterns.filter(|one| check(one).is_ok()).map(|one| format!("(?:{one})"));
    let joined: Vec<String> = fine.collect();
    let pattern = joined.join("|");
    let room = ROOM * joined.len().max(1);
    // ok: each of them compiles, and together they may take what they take apart.
    let built = RegexBuilder::new(&pattern).size_limit(room).dfa_size_limit(room).build();
    built.ok().filter(|_| !joined.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Spot, all_of, check, is_key, mask, spans};

    fn masked(spot: Spot, text: &str) -> String {
        let own = all_of(["EMP-[0-9]{4}"].into_iter());
        let (mut out, mut from) = (String::new(), 0);
        for one in spans(text.as_bytes(), spot, own.as_ref()) {
            out.push_str(&text[from..one.start]);
            out.push_str(&mask(&text.as_bytes()[one.clone()]));
            from = one.end;
        }
        out + &text[from..]
    }

    #[test]
    fn keys_are_known_by_their_shape() {
        let key = "sk-abcdefghijklmnopqrstuvwx";
        for spot in [Spot::Tools, Spot::Logs, Spot::Errors, Spot::Messages] {
            assert_eq!(masked(spot, &format!("a {key}, b")), "a sk-abc…uvwx, b");
            assert_eq!(masked(spot, "of EMP-1234."), "of ***.");
        }
        assert_eq!(masked(Spot::Elsewhere, key), key);
        for text in [
            format!("task-{}", "a".repeat(30)),
            "disk-abcdefghijklmnopqrstuvwx".to_owned(),
            "sk-short".to_owned(),
            "-----BEGIN PRIVATE KEY----- stands at its beginning".to_owned(),
        ] {
            assert_eq!(masked(Spot::Tools, &text), text);
        }
        let pem = format!(
            "x\n-----BEGIN RSA PRIVATE KEY-----\n{0}\n{0}\nabc=\n-----END RSA PRIVATE KEY-----\ny",
            "Q".repeat(64)
        );
        assert_eq!(masked(Spot::Tools, &pem), "x\n***\ny");
        let token = format!("123456789:AA{}", "x".repeat(33));
        assert!(masked(Spot::Tools, &token).starts_with("123456789***"), "{token}");
    }

    #[test]
    fn places_of_keys_are_masked_where_no_code_is_harmed() {
        let url = "postgres://app:hunter2@db/x";
        assert_eq!(masked(Spot::Tools, url), url);
        assert_eq!(masked(Spot::Logs, url), "postgres://app:***@db/x");
        let header = "Authorization: Bearer abc.def.ghi.jkl.mno";
        assert_eq!(masked(Spot::Errors, header), "Authorization: Bearer ***");
    }

    #[test]
    fn what_is_public_by_design_may_go_out() {
        assert!(is_key("a sk-abcdefghijklmnopqrstuvwx") && is_key("-----BEGIN PRIVATE KEY-----"));
        assert!(!is_key("https://maps.test/?key=AIzaSyA-0123456789abcdefghijklmnopqrstu"));
        assert!(!is_key("X-Amz-Credential=AKIAABCDEFGHIJKLMNOP"));
    }

    #[test]
    fn a_pattern_of_ones_own_is_one_and_matches_something() {
        assert!(check("EMP-[0-9]+").is_ok());
        for wrong in ["", "(", "a*", &"a".repeat(501), "(a{1000}){1000}"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert!(all_of(std::iter::empty()).is_none());
    }
}
