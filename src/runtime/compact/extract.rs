//! A summary without a model, extracted from the conversation by patterns.

use std::fmt::Write as _;

use super::guard::{HEADINGS, Missing, Must, WORD_FOR_WORD, has, without};
use super::plan::{Piece, Speaker};
use kernel::text::{cut, ellipsis};

/// Most recent calls in an extract.
const CALLS: usize = 30;
/// Most recent questions of people in an extract.
const ASKED: usize = 8;
/// The longest summary, in bytes.
pub(super) const LONGEST: usize = 15_000;
/// Bytes of the previous summary in an extract.
const BEFORE: usize = 6_000;

/// Separates an extract from the previous summary.
const EARLIER: &str = "\n\n## Before that, as it was summed up then\n";

/// The input of a summary.
pub(super) struct Part<'p> {
    /// The messages, calls and results.
    pub pieces: &'p [Piece],
    /// The previous summary.
    pub before: Option<&'p str>,
}

/// A model's summary with the missing content appended. A text without most of the headings is replaced by an extract.
pub(super) fn mend(text: Option<&str>, missing: &Missing, part: &Part<'_>, must: &Must) -> String {
    let text =
        text.filter(|text| 2 * HEADINGS.iter().filter(|h| has(text, h)).count() > HEADINGS.len());
    let Some(text) = text else { return extract(part, must) };
    let mut out = cut(text.trim(), LONGEST * 2 / 3).to_owned();
    let lost = &missing.lost;
    let rules = must.summed_up(&lost.rules);
    list(&mut out, "Constraints and preferences, as they were summed up", &rules);
    list(&mut out, "Pending asks, word for word", &lost.asks);
    list(&mut out, "More key identifiers", &lost.names);
    with_rules(&out, must)
}

/// Appends the rules of people word for word, because a model may have distorted them.
pub(super) fn with_rules(text: &str, must: &Must) -> String {
    let mut rules = String::new();
    list(&mut rules, WORD_FOR_WORD, &must.exact);
    let text = without(text, WORD_FOR_WORD);
    format!("{}{rules}", cut(&text, LONGEST - rules.len()))
}

/// An extract of the conversation, followed by the previous summary as it was.
pub(super) fn extract(part: &Part<'_>, must: &Must) -> String {
    let by = |who: Speaker| part.pieces.iter().filter(move |piece| piece.who == who);
    let requests: Vec<String> = last(by(Speaker::Person), ASKED, 300);
    let calls: Vec<String> = last(by(Speaker::Call), CALLS, 160);
    let failed = by(Speaker::Tool).filter(|piece| piece.text.contains("Error("));
    let errors: Vec<String> = last(failed, 4, 200);
    let words: Vec<String> = last(by(Speaker::Agent), 1, 1_500);
    let rules = must.summed_up(&must.rules);
    let mut out = String::new();
    let sections: [&[String]; 9] =
        [&requests, &rules, &[], &calls, &[], &must.asks, &must.names, &errors, &words];
    for (heading, lines) in HEADINGS.into_iter().zip(sections) {
        list(&mut out, heading, lines);
        if lines.is_empty() {
            // ok: writing to a String cannot fail.
            let _ = write!(out, "\n\n## {heading}\nnone");
        }
    }
    let Some(before) = part.before.map(str::trim).filter(|before| !before.is_empty()) else {
        return with_rules(&out, must);
    };
    let before = cut(before, BEFORE);
    let own = cut(out.trim(), LONGEST - before.len() - EARLIER.len());
    with_rules(&format!("{own}{EARLIER}{before}"), must)
}

fn last<'p>(
    pieces: impl DoubleEndedIterator<Item = &'p Piece>,
    count: usize,
    length: usize,
) -> Vec<String> {
    let line = |piece: &Piece| {
        ellipsis(&piece.text.split_whitespace().collect::<Vec<_>>().join(" "), length)
    };
    let mut lines: Vec<String> = pieces.rev().take(count).map(line).collect();
    lines.reverse();
    lines
}

fn list(out: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    // ok: writing to a String cannot fail.
    let _ = write!(out, "\n\n## {heading}");
    for line in lines {
        let _ = write!(out, "\n- {}", line.replace('\n', "\n  "));
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, Part, extract, mend, with_rules};
    use crate::compact::guard::{HEADINGS, Must};
    use crate::compact::plan::{Piece, Speaker};

    fn pieces() -> Vec<Piece> {
        let say = |who, text: &str| Piece { who, text: text.to_owned(), answers: false, age: 0 };
        vec![
            say(Speaker::Person, "Never order from South. Look at offers/a.md"),
            say(Speaker::Call, r#"read {"path":"offers/a.md"}"#),
            say(Speaker::Tool, "read failed: Error(not_found): no such file"),
            say(Speaker::Agent, "The file is missing."),
        ]
    }

    #[test]
    fn an_extract_holds_everything_that_it_must() {
        let pieces = pieces();
        let part = Part { pieces: &pieces, before: None };
        let must = Must::of(&pieces, None);
        let text = extract(&part, &must);
        assert!(must.missing(&text).is_nothing(), "{text}");
        assert!(text.contains("Error(not_found)") && text.contains("The file is missing."));
    }

    #[test]
    fn a_lossy_summary_is_kept_with_what_it_lost() {
        let pieces = pieces();
        let part = Part { pieces: &pieces, before: None };
        let must = Must::of(&pieces, None);
        let lossy: String = HEADINGS.iter().map(|h| format!("## {h}\nfine\n")).collect();
        let mended = mend(Some(&lossy), &must.missing(&lossy), &part, &must);
        assert!(mended.starts_with("## Goal\nfine"), "{mended}");
        assert!(must.missing(&mended).is_nothing(), "{mended}");
        let none = mend(Some("I cannot do that."), &must.missing(""), &part, &must);
        assert!(must.missing(&none).is_nothing() && !none.contains("I cannot"), "{none}");
    }

    #[test]
    fn what_people_laid_down_stands_word_for_word_whatever_a_model_makes_of_it() {
        let must = Must::of(&pieces(), None);
        let opposite: String = HEADINGS
            .iter()
            .map(|h| format!("## {h}\nAlways order from South; offers/a.md\n"))
            .collect();
        let opposite =
            format!("{opposite}## Constraints and preferences, word for word\n- Order.\n");
        let text = with_rules(&opposite, &must);
        let end = "## Constraints and preferences, word for word\n- Never order from South.";
        assert!(text.ends_with(end) && !text.contains("- Order."), "{text}");
        // The rules survive any number of summaries.
        let reread = Must::of(&[], Some(&text));
        assert_eq!(with_rules("## Goal\nnone", &reread), format!("## Goal\nnone\n\n{end}"));
        let long = with_rules(&"a long story ".repeat(3_000), &must);
        assert!(long.ends_with(end) && long.len() <= LONGEST, "{}", long.len());
    }

    #[test]
    fn what_was_summed_up_before_is_not_lost_when_no_model_sums_up() {
        let pieces = pieces();
        let before =
            format!("## Goal\nCheap vans\n## Done\n- asked North{}", " and all".repeat(3_000));
        let part = Part { pieces: &pieces, before: Some(&before) };
        let must = Must::of(&pieces, part.before);
        let text = extract(&part, &must);
        assert!(text.contains("Cheap vans") && text.contains("asked North"), "{text}");
        assert!(must.missing(&text).is_nothing() && text.len() <= LONGEST, "{}", text.len());
    }
}
