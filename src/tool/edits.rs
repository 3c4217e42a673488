//! Text replacement: exact, or else at the only place that differs just in white space at line ends. Letters are never
//! treated as equal, and unmatched text stays identical.

use super::ToolError;
use super::text;

/// Maximum text size for lenient matching, in bytes.
const MAX_LENIENT: usize = 2 * 1024 * 1024;
/// Maximum size of the edited text, in bytes. Limits expansion, such as replacing each letter with a longer text.
pub const MAX_TEXT: usize = 10 * 1024 * 1024;
/// Maximum number of edits per call.
const MAX_EDITS: usize = 500;

/// A replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// Text to replace.
    pub old: String,
    /// Replacement text.
    pub new: String,
}

/// How many matches an edit may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Exactly one.
    One,
    /// At least one.
    All,
}

/// Applies all edits in order, or none. Returns the new text and the number of replaced places.
///
/// # Errors
/// If an edit matches nowhere or too often, or changes nothing.
pub fn apply(whole: &str, edits: &[Edit], places: Places) -> Result<(String, usize), ToolError> {
    if MAX_EDITS < edits.len() {
        let text = format!("a call can make at most {MAX_EDITS} edits; use several calls");
        return Err(ToolError::refused("too_large", text));
    }
    let (mark, before) = text::split_mark(whole);
    let end = text::common_end(before);
    let (mut now, mut count) = (before.to_owned(), 0);
    for (n, edit) in edits.iter().enumerate() {
        let (next, places) = one(&now, edit, places, end).map_err(|error| match error {
            ToolError::Refused { code, message } if edits.len() > 1 => {
                ToolError::refused(code, format!("edit {} of {}: {message}", n + 1, edits.len()))
            }
            error => error,
        })?;
        (now, count) = (next, count + places);
    }
    if now == before {
        return Err(ToolError::refused(
            "invalid_args",
            "nothing would change: newText is the same as what is there",
        ));
    }
    Ok((format!("{mark}{now}"), count))
}

fn one(
    now: &str,
    edit: &Edit,
    places: Places,
    end: Option<&'static str>,
) -> Result<(String, usize), ToolError> {
    let (_, old) = text::split_mark(&edit.old);
    if old.is_empty() {
        return Err(ToolError::refused(
            "invalid_args",
            "oldText must not be empty; use write for a whole file",
        ));
    }
    let new = text::with_ends(&edit.new, end);
    let found: Vec<usize> = now.match_indices(old).map(|(at, _)| at).collect();
    let gone = found.len().saturating_mul(old.len());
    let comes = found.len().max(1).saturating_mul(new.len());
    if MAX_TEXT < (now.len() - gone).saturating_add(comes) {
        let text = "the file would be longer than the limit of 10 MB; replace less";
        return Err(ToolError::refused("too_large", text));
    }
    match (found.as_slice(), places) {
        ([], _) => {
            let (from, to) = lenient(now, old)?;
            Ok((format!("{}{new}{}", &now[..from], &now[to..]), 1))
        }
        ([at], _) => Ok((format!("{}{new}{}", &now[..*at], &now[at + old.len()..]), 1)),
        (many, Places::All) => Ok((now.replace(old, &new), many.len())),
        (many, Places::One) => Err(many_places(now, many)),
    }
}

fn many_places(now: &str, at: &[usize]) -> ToolError {
    let lines: Vec<usize> = at.iter().map(|at| text::line_of(now, *at)).collect();
    ToolError::refused(
        "ambiguous",
        format!(
            "oldText occurs {} times, at lines {}; add more of the surrounding text, or use \
             replaceAll: true",
            at.len(),
            text::numbers(&lines)
        ),
    )
}

/// The only place that matches except for white space at line ends.
fn lenient(now: &str, old: &str) -> Result<(usize, usize), ToolError> {
    let (wanted, _) = without_outer_ends(old);
    if now.len() <= MAX_LENIENT && !wanted.trim().is_empty() {
        let (plain, places) = without_outer_ends(now);
        let found: Vec<usize> = plain.match_indices(&wanted).map(|(at, _)| at).collect();
        match found.as_slice() {
            [] => {}
            [at] => {
                let mut from = places[*at];
                let to = places[at + wanted.len() - 1] + 1;
                if wanted.starts_with('\n') && now[..from].ends_with('\r') {
                    from -= 1;
                }
                return Ok((from, to));
            }
            many => {
                let many: Vec<usize> = many.iter().map(|at| places[*at]).collect();
                return Err(many_places(now, &many));
            }
        }
    }
    let near = text::nearest(&text::lines(now), old);
    let hint = if near.is_empty() {
        "read the file and copy the text exactly".to_owned()
    } else {
        format!("the nearest lines (→ tab, · space at the end, ␍ return) are:{near}")
    };
    Err(ToolError::refused("not_found", format!("oldText does not occur in the file; {hint}")))
}

/// The text without carriage returns and white space before line ends, and the source offset of each byte.
fn without_outer_ends(whole: &str) -> (String, Vec<usize>) {
    let mut plain = String::with_capacity(whole.len());
    let mut places = Vec::with_capacity(whole.len());
    let mut start = 0;
    for line in text::lines(whole) {
        let kept = line.text.trim_end_matches([' ', '\t']);
        plain.push_str(kept);
        places.extend(start..start + kept.len());
        start += line.text.len() + line.end.len();
        if !line.end.is_empty() {
            plain.push('\n');
            places.push(start - 1);
        }
    }
    (plain, places)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(old: &str, new: &str) -> Vec<Edit> {
        vec![Edit { old: old.to_owned(), new: new.to_owned() }]
    }

    fn done(text: &str, old: &str, new: &str) -> String {
        apply(text, &edit(old, new), Places::One).expect("one place").0
    }

    fn refused(text: &str, old: &str, places: Places) -> String {
        let error = apply(text, &edit(old, "X"), places).expect_err("it is refused");
        error.into_output().expect("a refusal").text
    }

    #[test]
    fn an_edit_wants_exactly_one_place() {
        assert_eq!(done("a b a", "b", "X"), "a X a");
        assert_eq!(apply("a b a", &edit("a", "X"), Places::All).unwrap(), ("X b X".into(), 2));
        let message = refused("a\nb\na\n", "a", Places::One);
        assert!(
            message.starts_with("Error(ambiguous)") && message.contains("lines 1, 3"),
            "{message}"
        );
        assert!(refused("a", "z", Places::All).starts_with("Error(not_found)"));
        assert!(refused("a", "", Places::One).starts_with("Error(invalid_args)"));
        assert!(refused("aX", "X", Places::One).contains("nothing would change"));
    }

    #[test]
    fn only_white_space_at_line_ends_is_overlooked() {
        assert_eq!(done("one  \ntwo\t\nthree\n", "one\ntwo\n", "1\n"), "1\nthree\n");
        assert_eq!(done("one\r\ntwo\r\nthree\r\n", "one\ntwo", "1\n2"), "1\r\n2\r\nthree\r\n");
        assert!(refused("  one\n", "\tone\n", Places::One).contains("1:   one"));
        let wide = refused("name：one\n", "name:one\n", Places::One);
        assert!(wide.starts_with("Error(not_found)"), "no letter is taken for another: {wide}");
        assert!(refused("a \nb\na\t\nb\n", "a\nb\n", Places::One).starts_with("Error(ambiguous)"));
    }

    #[test]
    fn mark_and_line_ends_stay() {
        assert_eq!(done("\u{feff}a\r\nb\r\n", "\u{feff}a", "x\ny"), "\u{feff}x\r\ny\r\nb\r\n");
        assert_eq!(done("a\nb", "a", "x\r\ny"), "x\ny\nb");
    }

    #[test]
    fn no_edit_comes_to_more_than_a_file_may_have() {
        let letters = "a".repeat(MAX_TEXT / 2);
        let each = apply(&letters, &edit("a", &"b".repeat(MAX_TEXT / 2)), Places::All);
        let message = each.unwrap_err().into_output().unwrap().text;
        assert!(message.starts_with("Error(too_large)"), "{message}");
        let doubling = vec![edit("a", "aa").remove(0); 60];
        let message = apply("a", &doubling, Places::All).unwrap_err().into_output().unwrap().text;
        assert!(message.starts_with("Error(too_large): edit 24 of 60"), "{message}");
        let many = vec![edit("a", "a").remove(0); MAX_EDITS + 1];
        assert!(apply("a", &many, Places::All).is_err());
    }

    #[test]
    fn several_edits_are_made_together_or_not_at_all() {
        let two = [edit("a", "1"), edit("1", "2")].concat();
        assert_eq!(apply("a b", &two, Places::One).unwrap(), ("2 b".into(), 2));
        let wrong = [edit("a", "1"), edit("z", "2")].concat();
        let message = apply("a b", &wrong, Places::One).unwrap_err().into_output().unwrap().text;
        assert!(message.contains("edit 2 of 2"), "{message}");
    }

    proptest! {
        #[test]
        fn what_is_not_replaced_stays_byte_for_byte(
            before in "[a-c \\t\\r\\n\u{e4}]{0,40}",
            old in "[a-c \\t\\n\u{e4}]{1,12}",
            after in "[a-c \\t\\r\\n\u{e4}]{0,40}",
            new in "[x-z]{0,8}",
        ) {
            let whole = format!("{before}{old}{after}");
            if let Ok((now, 1)) = apply(&whole, &edit(&old, &new), Places::One) {
                let at = whole.find(&old).expect("an exact place");
                prop_assert_eq!(&now[..at], &whole[..at]);
                prop_assert_eq!(&now[at + new.len()..], &whole[at + old.len()..]);
            }
        }

        #[test]
        fn no_text_makes_it_panic(whole in "\\PC*|[ \\t\\r\\n\u{feff}a]*", old in "[ \\t\\r\\n\u{feff}a]*", new in "[\\r\\nb]*") {
            for places in [Places::One, Places::All] {
                if let Ok((now, _)) = apply(&whole, &edit(&old, &new), places) {
                    // A byte order mark may move to the front if all text before it is deleted.
                    prop_assert!(!whole.starts_with(text::MARK) || now.starts_with(text::MARK));
                }
            }
        }
    }
}
