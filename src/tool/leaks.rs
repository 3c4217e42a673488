//! Detects secrets in outgoing data: current secrets in any encoding, and strings that look like keys. Keys that are
//! public by design, such as map keys and signed links, do not count.

use std::collections::BTreeSet;

use crypto::redact::{Redactor, Spot};
use crypto::shapes;

/// The reason why a text must not be sent; `None` if it may.
#[must_use]
pub fn of(redactor: &Redactor, text: &str) -> Option<&'static str> {
    let decoded = decoded(text);
    // The lookup masks nothing, so it must not count as masking.
    let is_known = |text: &&str| !redactor.hidden(Spot::Elsewhere, text.as_bytes()).is_empty();
    if [text, decoded.as_str()].iter().any(is_known) {
        return Some("it contains a secret of this workspace");
    }
    shapes::is_key(&decoded).then_some("it contains what looks like a key")
}

/// A secret in a multi-line text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Line in which the secret ends, from 1.
    pub line: usize,
    /// Why the text must not be sent.
    pub why: &'static str,
}

/// The first secret of a text.
#[must_use]
pub fn first(redactor: &Redactor, text: &str) -> Option<Leak> {
    of(redactor, text)?;
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).chain([text.len()]).collect();
    // Binary search: a longer prefix never contains fewer secrets.
    let at = ends.partition_point(|end| of(redactor, &text[..*end]).is_none());
    let whole = ends.get(at).map_or(text, |end| &text[..*end]);
    of(redactor, whole).map(|why| Leak { line: at + 1, why })
}

/// Numbers of the lines in which secrets begin, in order.
#[must_use]
pub fn lines(redactor: &Redactor, text: &str) -> Vec<usize> {
    let Some(first) = first(redactor, text) else { return Vec::new() };
    let known = redactor.hidden(Spot::Elsewhere, text.as_bytes());
    let known = known.iter().map(|one| one.at.start);
    let starts: BTreeSet<usize> = known.chain(shapes::key_starts(text)).collect();
    // Scans each byte once, however many secrets there are.
    let (mut line, mut from, mut all) = (1, 0, BTreeSet::new());
    for start in starts {
        line += text.as_bytes()[from..start].iter().filter(|byte| **byte == b'\n').count();
        from = start;
        all.insert(line);
    }
    // Percent-encoded secrets have no exact position.
    let coded = text.lines().enumerate().filter(|(_, line)| line.contains('%'));
    all.extend(coded.filter(|(_, line)| of(redactor, line).is_some()).map(|(n, _)| n + 1));
    if all.is_empty() {
        all.insert(first.line);
    }
    all.into_iter().collect()
}

/// Maximum file size to scan, in bytes. Text written by people is shorter.
const MAX_FILE: usize = 2 << 20;

/// The first secret of a file; `None` for binary files.
#[must_use]
pub fn in_file(redactor: &Redactor, bytes: &[u8]) -> Option<Leak> {
    first(redactor, text_of(bytes)?)
}

/// Numbers of the lines of a file in which secrets begin, in order; empty for binary files.
#[must_use]
pub fn lines_of_file(redactor: &Redactor, bytes: &[u8]) -> Vec<usize> {
    text_of(bytes).map_or_else(Vec::new, |text| lines(redactor, text))
}

fn text_of(bytes: &[u8]) -> Option<&str> {
    // ok: binary content has no lines to scan
    std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_FILE)
}

/// Decodes percent-encoding.
pub(crate) fn decoded(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let pair = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match pair.and_then(|pair| hex::decode(pair).ok()) {
            Some(value) => {
                out.extend(value);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Leak, Redactor, decoded, first, of};
    use crypto::keyring::Secret;

    #[test]
    fn live_secrets_and_keys_do_not_go_out() {
        let redactor = Redactor::new();
        redactor.add("mail", Secret::new("correct-horse-battery"));
        let leaks = |text: &str| of(&redactor, text).is_some();
        assert!(leaks("https://x.test/?q=correct-horse-battery"));
        assert!(leaks("https://x.test/?q=%63orrect-horse-%62attery"));
        assert!(leaks("https://x.test/Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"));
        assert!(leaks("https://x.test/?k=sk-abcdefghijklmnopqrstuvwx"));
        assert!(leaks("https://x.test/ghp_%61bcdefghijklmnopqrstuvwx"));
        assert!(leaks("a=xoxb-1234567890-abc"));
        for fine in [
            "https://x.test/task-abcdefghijklmnopqrstuvwx",
            "https://x.test/?q=battery+horse&utm=2f9c1d3e4b5a69788796a5b4c3d2e1f0",
            "https://x.test/a%20b%",
            "https://maps.test/?key=AIzaSyA-0123456789abcdefghijklmnopqrstu",
        ] {
            assert!(!leaks(fine), "{fine}");
        }
    }

    #[test]
    fn the_first_secret_of_a_text_is_told_with_its_line() {
        let redactor = Redactor::new();
        redactor.add("mail", Secret::new("correct-horse-battery"));
        let line = |text: &str| first(&redactor, text).map(|leak| leak.line);
        assert_eq!(line("a\nb\n"), None);
        assert_eq!(line("correct-horse-battery"), Some(1));
        let key = "sk-abcdefghijklmnopqrstuvwx";
        assert_eq!(line(&format!("a\r\nb {key}\r\nc {key}")), Some(2));
        let why = "it contains what looks like a key";
        assert_eq!(first(&redactor, &format!("\n\n{key}\n")), Some(Leak { line: 3, why }));
    }

    #[test]
    fn percent_signs_are_read_as_what_they_stand_for() {
        assert_eq!(decoded("a%20b%zz%4"), "a b%zz%4");
        assert_eq!(decoded("%c3%bc"), "ü");
    }
}
