//! Line-based three-way merge of two edits of a text.
//!
//! Edits of different lines are combined, also of adjacent lines. If both edits changed the same lines, or inserted at
//! the same place, the caller gets all three versions and a combined text that contains everything of both.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// Maximum number of lines to compare. In longer texts, any two edits conflict as a whole.
const MAX_LINES: usize = 3000;

/// Result of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Merged {
    /// The merged text.
    Clean(String),
    /// A conflict that a person must resolve.
    Clash(Clash),
}

/// A merge conflict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Clash {
    /// The conflicting places.
    pub places: Vec<Place>,
    /// The current text.
    pub now: String,
    /// The merged text, with the first edit in the conflicting places.
    pub mine: String,
    /// The merged text, with the second edit in the conflicting places.
    pub theirs: String,
    /// The merged text, with both edits in the conflicting places, first edit first.
    pub both: String,
}

/// A conflicting place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The text of the first edit.
    pub mine: String,
    /// The text of the second edit.
    pub theirs: String,
}

/// The side chosen for a conflicting place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The first edit.
    Mine,
    /// The second edit.
    Theirs,
}

/// Byte order mark.
const MARK: char = '\u{feff}';

/// Restores the line ends and byte order mark of `base` in a text that was submitted through a form. New lines get the
/// most frequent line end of `base`.
#[must_use]
pub fn dressed(base: &str, new_text: &str) -> String {
    let new_text = new_text.replace("\r\n", "\n");
    let (marked, plain) = match base.strip_prefix(MARK) {
        Some(plain) => (true, plain),
        None => (false, base),
    };
    let new_text = new_text.strip_prefix(MARK).unwrap_or(&new_text);
    let ends = plain.matches('\n').count();
    let long = plain.matches("\r\n").count();
    let text = match (long, long == ends) {
        (0, _) => new_text.to_owned(),
        (_, true) => new_text.replace('\n', "\r\n"),
        (_, false) => each_dressed(plain, new_text, ends < 2 * long),
    };
    if marked { format!("{MARK}{text}") } else { text }
}

/// The same for mixed line ends: unchanged lines keep theirs.
fn each_dressed(base: &str, new_text: &str, mostly_long: bool) -> String {
    let old: Vec<&str> = base.split('\n').collect();
    let bare = |line: &'_ str| line.strip_suffix('\r').unwrap_or(line).to_owned();
    let bares: Vec<String> = old.iter().map(|line| bare(line)).collect();
    let bares: Vec<&str> = bares.iter().map(String::as_str).collect();
    let new: Vec<&str> = new_text.split('\n').collect();
    let mut long = vec![mostly_long; new.len()];
    for op in capture_diff_slices(Algorithm::Myers, &bares, &new) {
        let (tag, from, to) = op.as_tag_tuple();
        if tag == DiffTag::Equal {
            from.zip(to).for_each(|(old_at, at)| long[at] = old[old_at].ends_with('\r'));
        }
    }
    let mut text = String::with_capacity(new_text.len() + new.len());
    for (at, line) in new.iter().enumerate() {
        text.push_str(line);
        if at + 1 < new.len() {
            text.push_str(if long[at] { "\r\n" } else { "\n" });
        }
    }
    text
}

/// Replaces a range of lines with another one.
#[derive(Clone, Debug)]
struct Edit {
    from: Range<usize>,
    to: Range<usize>,
}

/// Merges two edits of `base`.
#[must_use]
pub fn lines(base: &str, mine: &str, theirs: &str) -> Merged {
    merged(&taken_apart(base, mine, theirs), theirs)
}

/// Merges with a side chosen for each conflicting place. Returns `None` if the number of choices differs from the
/// number of conflicting places.
#[must_use]
pub fn picked(base: &str, mine: &str, theirs: &str, sides: &[Side]) -> Option<String> {
    let pieces = taken_apart(base, mine, theirs);
    let places = pieces.iter().filter(|piece| matches!(piece, Piece::Place(_))).count();
    if places != sides.len() {
        return None;
    }
    let mut sides = sides.iter();
    Some(joined(&pieces, &mut |place| match sides.next() {
        Some(Side::Theirs) => vec![place.theirs.clone()],
        Some(Side::Mine) | None => vec![place.mine.clone()],
    }))
}

fn taken_apart<'a>(base: &'a str, mine: &'a str, theirs: &'a str) -> Vec<Piece<'a>> {
    if mine == base || mine == theirs {
        return vec![Piece::Lines(split(theirs))];
    }
    if theirs == base {
        return vec![Piece::Lines(split(mine))];
    }
    let (base, one, other) = (split(base), split(mine), split(theirs));
    if [&base, &one, &other].iter().any(|lines| MAX_LINES < lines.len()) {
        return vec![Piece::Place(Place { mine: mine.to_owned(), theirs: theirs.to_owned() })];
    }
    pieces(&base, (&one, &edits(&base, &one)), (&other, &edits(&base, &other)))
}

/// The lines of a text, without line ends.
fn split(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { text.split('\n').collect() }
}

/// The edits between two texts. Lines replaced one for one are separate edits.
fn edits(base: &[&str], text: &[&str]) -> Vec<Edit> {
    let mut edits = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, base, text) {
        let (tag, from, to) = op.as_tag_tuple();
        match tag {
            DiffTag::Equal => {}
            DiffTag::Replace if from.len() == to.len() => {
                let pairs = from.zip(to).filter(|(old, new)| base[*old] != text[*new]);
                edits.extend(pairs.map(|(old, new)| Edit { from: old..old + 1, to: new..new + 1 }));
            }
            _ => edits.push(Edit { from, to }),
        }
    }
    edits
}

/// A part of the merge result.
enum Piece<'a> {
    /// Lines without conflict.
    Lines(Vec<&'a str>),
    /// A conflicting place.
    Place(Place),
}

/// Walks the edits of both sides in text order.
fn pieces<'a>(
    base: &[&'a str],
    (one, mine): (&[&'a str], &[Edit]),
    (other, theirs): (&[&'a str], &[Edit]),
) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let (mut at, mut i, mut j) = (0, 0, 0);
    loop {
        let mine_first = match (mine.get(i), theirs.get(j)) {
            (None, None) => break,
            (Some(a), Some(b)) if meet(a, b) => {
                let (from_i, from_j) = (i, j);
                let start = a.from.start.min(b.from.start);
                let mut end = a.from.end.max(b.from.end);
                (i, j) = (i + 1, j + 1);
                loop {
                    match (mine.get(i), theirs.get(j)) {
                        (Some(next), _) if next.from.start < end => {
                            (end, i) = (end.max(next.from.end), i + 1);
                        }
                        (_, Some(next)) if next.from.start < end => {
                            (end, j) = (end.max(next.from.end), j + 1);
                        }
                        _ => break,
                    }
                }
                pieces.push(Piece::Lines(base[at..start].to_vec()));
                let one = made(base, &mine[from_i..i], one, start..end);
                let other = made(base, &theirs[from_j..j], other, start..end);
                pieces.push(match one == other {
                    true => Piece::Lines(one),
                    false => Piece::Place(Place { mine: one.join("\n"), theirs: other.join("\n") }),
                });
                at = end;
                continue;
            }
            (Some(a), Some(b)) => before(a, b),
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        let (edit, text) = if mine_first { (&mine[i], one) } else { (&theirs[j], other) };
        if mine_first {
            i += 1
        } else {
            j += 1
        }
        pieces.push(Piece::Lines(base[at..edit.from.start].to_vec()));
        pieces.push(Piece::Lines(text[edit.to.clone()].to_vec()));
        at = edit.from.end;
    }
    pieces.push(Piece::Lines(base[at..].to_vec()));
    pieces
}

/// Returns `true` if two edits affect the same lines or insert into the same gap.
fn meet(a: &Edit, b: &Edit) -> bool {
    let (a, b) = (&a.from, &b.from);
    match a.is_empty() && b.is_empty() {
        true => a.start == b.start,
        false => a.start < b.end && b.start < a.end,
    }
}

/// Returns `true` if `a` comes before `b`. Insertions precede replacements at the same line.
fn before(a: &Edit, b: &Edit) -> bool {
    (a.from.start, !a.from.is_empty()) < (b.from.start, !b.from.is_empty())
}

/// Applies edits to a range of lines.
fn made<'a>(
    base: &[&'a str],
    edits: &[Edit],
    text: &[&'a str],
    range: Range<usize>,
) -> Vec<&'a str> {
    let (mut lines, mut at) = (Vec::new(), range.start);
    for edit in edits {
        lines.extend_from_slice(&base[at..edit.from.start]);
        lines.extend_from_slice(&text[edit.to.clone()]);
        at = edit.from.end;
    }
    lines.extend_from_slice(&base[at..range.end]);
    lines
}

/// The merged text, or a conflict with all resolutions.
fn merged(pieces: &[Piece<'_>], now: &str) -> Merged {
    let places: Vec<Place> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Place(place) => Some(place.clone()),
            Piece::Lines(_) => None,
        })
        .collect();
    let text = |choice: &dyn Fn(&Place) -> Vec<String>| joined(pieces, &mut |place| choice(place));
    if places.is_empty() {
        return Merged::Clean(text(&|_| Vec::new()));
    }
    Merged::Clash(Clash {
        now: now.to_owned(),
        mine: text(&|place| vec![place.mine.clone()]),
        theirs: text(&|place| vec![place.theirs.clone()]),
        both: text(&|place| vec![place.mine.clone(), place.theirs.clone()]),
        places,
    })
}

/// Joins the pieces, with the text of `words` in each conflicting place.
fn joined(pieces: &[Piece<'_>], words: &mut dyn FnMut(&Place) -> Vec<String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Lines(lines) => all.extend(lines.iter().map(|line| (*line).to_owned())),
            Piece::Place(place) => {
                all.extend(words(place).into_iter().filter(|words| !words.is_empty()));
            }
        }
    }
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::{Clash, Merged, Place, Side, dressed, lines, picked};

    fn clean(base: &str, mine: &str, theirs: &str) -> String {
        match lines(base, mine, theirs) {
            Merged::Clean(text) => text,
            Merged::Clash(clash) => panic!("{clash:?}"),
        }
    }

    fn clash(base: &str, mine: &str, theirs: &str) -> Clash {
        match lines(base, mine, theirs) {
            Merged::Clean(text) => panic!("{text}"),
            Merged::Clash(clash) => clash,
        }
    }

    #[test]
    fn changes_of_different_lines_become_one_text() {
        assert_eq!(clean("a\nb\nc", "A\nb\nc", "a\nb\nC"), "A\nb\nC");
        assert_eq!(clean("a\nb", "A\nb", "a\nB"), "A\nB", "neighbours too");
        assert_eq!(clean("a\nb\nc", "A\nB\nc", "a\nb\nC"), "A\nB\nC");
        assert_eq!(clean("a\nb", "a\nb\nnew", "A\nb"), "A\nb\nnew");
        assert_eq!(clean("a", "a\nnew", "A"), "A\nnew", "behind a line that the other has changed");
        assert_eq!(clean("a", "new\na", "A"), "new\nA");
        assert_eq!(clean("a\nb\nc", "a\nc", "a\nb\nC"), "a\nC", "what one took away stays away");
        assert_eq!(clean("a\nb", "x\nb", "x\nb"), "x\nb", "both did the same");
        assert_eq!(clean("a\nb\nc", "a\nX\nc", "a\nX\nC"), "a\nX\nC");
    }

    #[test]
    fn changes_of_the_same_line_are_shown_with_all_ways_out() {
        let both = clash("a\nb\nc", "a\nmine\nc", "A\ntheirs\nc");
        let place = Place { mine: "mine".into(), theirs: "theirs".into() };
        assert_eq!(both.places, [place]);
        assert_eq!((both.now.as_str(), both.mine.as_str()), ("A\ntheirs\nc", "A\nmine\nc"));
        assert_eq!(both.theirs, "A\ntheirs\nc");
        assert_eq!(both.both, "A\nmine\ntheirs\nc");
        let first = clash("", "mine", "theirs");
        assert_eq!((first.mine.as_str(), first.both.as_str()), ("mine", "mine\ntheirs"));
        // One side deleted what the other changed.
        let gone = clash("a\nb\nc", "a\nc", "a\nB\nc");
        assert_eq!((gone.mine.as_str(), gone.theirs.as_str()), ("a\nc", "a\nB\nc"));
        assert_eq!(gone.both, "a\nB\nc");
        // Both sides inserted into the same gap.
        assert_eq!(clash("a", "a\none", "a\ntwo").both, "a\none\ntwo");
    }

    #[test]
    fn each_place_takes_the_side_that_is_chosen_for_it() {
        let (base, mine, theirs) = ("a\nb\nc\nd", "a1\nb\nc1\nd", "a2\nb\nc2\nD");
        let pick = |sides: &[Side]| picked(base, mine, theirs, sides);
        assert_eq!(pick(&[Side::Mine, Side::Theirs]).as_deref(), Some("a1\nb\nc2\nD"));
        assert_eq!(pick(&[Side::Theirs, Side::Mine]).as_deref(), Some("a2\nb\nc1\nD"));
        assert_eq!((pick(&[Side::Mine]), pick(&[])), (None, None));
        assert_eq!(picked(base, base, theirs, &[]).as_deref(), Some(theirs));
    }

    #[test]
    fn a_text_of_very_many_lines_is_not_taken_apart() {
        let long = |word: &str| format!("{}{word}", "x\n".repeat(super::MAX_LINES));
        let whole = clash(&long("a"), &long("b"), &long("c"));
        assert_eq!((whole.mine, whole.theirs), (long("b"), long("c")));
        assert_eq!(clean(&long("a"), &long("a"), &long("c")), long("c"));
    }

    #[test]
    fn what_came_through_a_form_ends_its_lines_as_the_text_did() {
        assert_eq!(dressed("a\nb\n", "a\r\nB\r\n"), "a\nB\n");
        assert_eq!(dressed("a\r\nb\r\n", "a\r\nnew\r\nb\r\n"), "a\r\nnew\r\nb\r\n");
        assert_eq!(dressed("\u{feff}a\r\n", "A\r\n"), "\u{feff}A\r\n");
        assert_eq!(dressed("\u{feff}a", "\u{feff}A"), "\u{feff}A", "the mark stands there once");
        let mixed = "a\r\nb\nc\r\nd";
        assert_eq!(dressed(mixed, "a\r\nb\r\nc\r\nd"), mixed, "lines that stay keep their ends");
        assert_eq!(dressed(mixed, "a\nb\nnew\nc\nd"), "a\r\nb\nnew\r\nc\r\nd");
        assert_eq!(dressed("", "a\r\nb"), "a\nb");
    }

    fn text(lines: &[u8]) -> String {
        let words: Vec<_> = lines.iter().map(|n| format!("line {n}")).collect();
        words.join("\n")
    }

    proptest! {
        #[test]
        fn who_changed_nothing_takes_nothing_back(
            base in prop::collection::vec(0u8..6, 0..12),
            other in prop::collection::vec(0u8..9, 0..12),
        ) {
            let (base, other) = (text(&base), text(&other));
            prop_assert_eq!(lines(&base, &base, &other), Merged::Clean(other.clone()));
            prop_assert_eq!(lines(&base, &other, &base), Merged::Clean(other.clone()));
            prop_assert_eq!(lines(&base, &other, &other), Merged::Clean(other));
        }

        #[test]
        fn nothing_that_one_of_them_wrote_is_lost_and_it_does_not_matter_who_was_first(
            base in prop::collection::vec(0u8..6, 0..10),
            mine in prop::collection::vec(0u8..6, 0..10),
            theirs in prop::collection::vec(0u8..6, 0..10),
            new in (prop::collection::vec(0usize..10, 0..3), prop::collection::vec(0usize..10, 0..3)),
        ) {
            let with = |lines: &[u8], at: &[usize], first: u8| {
                let mut all = lines.to_vec();
                for (n, at) in (first..).zip(at) {
                    all.insert((*at).min(all.len()), n);
                }
                all
            };
            let mine: Vec<u8> = with(&mine, &new.0, 100);
            let theirs = with(&theirs, &new.1, 200);
            let (base, mine, theirs) = (text(&base), text(&mine), text(&theirs));
            let whole = |merged: &Merged| match merged {
                Merged::Clean(text) => text.clone(),
                Merged::Clash(clash) => clash.both.clone(),
            };
            let (one, other) = (lines(&base, &mine, &theirs), lines(&base, &theirs, &mine));
            let all = whole(&one);
            for line in mine.lines().chain(theirs.lines()) {
                let added = !base.lines().any(|old| old == line);
                prop_assert!(!added || all.lines().any(|here| here == line), "{line} in {all}");
            }
            match (&one, &other) {
                (Merged::Clean(a), Merged::Clean(b)) => prop_assert_eq!(a, b),
                (Merged::Clash(a), Merged::Clash(b)) => {
                    prop_assert_eq!(&a.mine, &b.theirs);
                    prop_assert_eq!(&a.theirs, &b.mine);
                }
                _ => prop_assert!(false, "{one:?} and {other:?}"),
            }
        }
    }
}
