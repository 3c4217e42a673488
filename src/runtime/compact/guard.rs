//! Content that a summary must preserve: rules of people, unanswered requests, and exact identifiers. Patterns find it,
//! not a model, so a summary can be checked against it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use regex::Regex;

use super::plan::{Piece, Speaker};
use kernel::text::cut;

/// The headings of a summary, in order.
pub(super) const HEADINGS: [&str; 9] = [
    "Goal",
    "Constraints and preferences",
    "Decisions",
    "Done",
    "In progress",
    "Pending asks",
    "Key identifiers",
    "Open errors",
    "Next step",
];

/// Heading of the rules of people in their exact words; filled by patterns, never by a model.
pub(super) const WORD_FOR_WORD: &str = "Constraints and preferences, word for word";

/// Most rules, requests and identifiers that are collected.
const MOST: (usize, usize, usize) = (24, 8, 80);
/// A longer sentence does not count as a rule.
const LONGEST_RULE: usize = 400;
/// Bytes of a request that are kept word for word.
const LONGEST_ASK: usize = 2_000;
/// An identifier must be preserved if it occurs twice, or within this many responses before the end.
const RECENT: usize = 10;
/// Minimum share of a sentence's words that the summary must contain, in percent.
const ENOUGH: usize = 60;

/// Words that mark a sentence as a rule.
static RULE: LazyLock<Regex> = LazyLock::new(|| {
    expression(
        r"(?i)\b(always|never|must|mustn't|do not|don't|only|from now on|make sure|no more than|at most|at least|prefer|immer|nie|niemals|nur|muss|müssen|darf|dürfen|bitte nicht|ab jetzt|höchstens|mindestens)\b",
    )
});

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    expression(concat!(
        r#"https?://[^\s<>"'`)\]]+"#,
        r"|[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
        r"|\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b",
        r"|(?:\.{0,2}/)?[\w.@-]+(?:/[\w.@-]+)+/?",
        r"|\b[\w-]+\.(?:md|txt|csv|tsv|json|rs|py|ts|js|html|css|toml|ya?ml|pdf|docx?|xlsx?|pptx?|png|jpe?g|svg|sh|sql|log|zip)\b",
        r"|\b[A-Z][A-Z0-9]{1,9}-\d+\b",
        r"|#\d{2,}\b",
        r"|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b",
        r"|[$€£]\s?\d(?:[\d.,]*\d)?",
        r"|\b\d(?:[\d.,]*\d)?\s?(?:€|\$|EUR\b|USD\b|GBP\b|CHF\b)",
        r"|\b[0-9a-f]{7,64}\b",
    ))
});

fn expression(pattern: &str) -> Regex {
    Regex::new(pattern).expect("invariant: a fixed expression that a test compiles")
}

/// Content that a summary must preserve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Must {
    /// Rules of people, and those in the previous summary.
    pub rules: Vec<String>,
    /// Rules of people in their exact words.
    pub exact: Vec<String>,
    pub asks: Vec<String>,
    pub names: Vec<String>,
}

/// What a summary lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Missing {
    pub headings: Vec<&'static str>,
    pub lost: Must,
}

impl Must {
    /// Collects the content from the conversation and the previous summary.
    pub(super) fn of(pieces: &[Piece], before: Option<&str>) -> Self {
        Self {
            rules: rules(pieces, before),
            exact: exact(pieces, before),
            asks: asks(pieces, before),
            names: names(pieces, before),
        }
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.asks.is_empty() && self.names.is_empty()
    }

    /// Those of `rules` that are not in people's exact words.
    pub(super) fn summed_up(&self, rules: &[String]) -> Vec<String> {
        let exact: HashSet<String> = self.exact.iter().map(|rule| normal(rule)).collect();
        rules.iter().filter(|rule| !exact.contains(&normal(rule))).cloned().collect()
    }

    /// What a summary lacks of this content.
    pub(super) fn missing(&self, summary: &str) -> Missing {
        let lower = summary.to_lowercase();
        let words: HashSet<&str> = words(&lower).collect();
        let is_lost = |text: &&String| !says(&words, text);
        let lost = Self {
            rules: self.rules.iter().filter(is_lost).cloned().collect(),
            exact: Vec::new(),
            asks: self.asks.iter().filter(is_lost).cloned().collect(),
            names: self
                .names
                .iter()
                .filter(|name| !lower.contains(&name.to_lowercase()))
                .cloned()
                .collect(),
        };
        let headings = HEADINGS.into_iter().filter(|heading| !has(summary, heading)).collect();
        Missing { headings, lost }
    }
}

impl Missing {
    pub(super) fn is_nothing(&self) -> bool {
        self.headings.is_empty() && self.lost.is_empty()
    }

    /// The correction request to the model that wrote the summary.
    pub(super) fn correction(&self) -> String {
        let mut out = String::from("Your summary left something out. Write all of it again.\n");
        if !self.headings.is_empty() {
            out.push_str("\nMissing headings:\n");
            out.extend(self.headings.iter().map(|heading| format!("## {heading}\n")));
        }
        let lists = [
            ("Missing rules from people", &self.lost.rules),
            ("Missing unanswered requests", &self.lost.asks),
            ("Missing identifiers, to be copied exactly", &self.lost.names),
        ];
        for (title, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            out.push_str(&format!("\n{title}:\n"));
            out.extend(list.iter().map(|one| format!("- {one}\n")));
        }
        out
    }
}

/// A heading without its markup, in lower case.
fn plain(line: &str) -> String {
    let line = line.trim().trim_start_matches(['#', '*', ' ']).trim_end_matches(['*', ':', ' ']);
    line.to_lowercase()
}

/// Returns `true` if a summary has this heading.
pub(super) fn has(summary: &str, heading: &str) -> bool {
    let wanted = heading.to_lowercase();
    summary.lines().any(|line| plain(line) == wanted)
}

/// The lines below headings that start with `heading`.
pub(super) fn below<'s>(summary: &'s str, heading: &str) -> Vec<&'s str> {
    let wanted = heading.to_lowercase();
    let mut lines = Vec::new();
    let mut inside = false;
    for line in summary.lines() {
        if line.trim_start().starts_with('#') {
            inside = plain(line).starts_with(&wanted);
        } else if inside {
            let text = line.trim().trim_start_matches(['-', '*', ' ']);
            if !text.is_empty() && !text.eq_ignore_ascii_case("none") {
                lines.push(text);
            }
        }
    }
    lines
}

/// A text without the sections whose headings start with `heading`.
pub(super) fn without(text: &str, heading: &str) -> String {
    let wanted = heading.to_lowercase();
    let (mut out, mut inside) = (String::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with('#') {
            inside = plain(line).starts_with(&wanted);
        }
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim().to_owned()
}

fn words(lower: &str) -> impl Iterator<Item = &str> {
    let telling =
        |word: &&str| 4 <= word.chars().count() || word.contains(|c: char| c.is_ascii_digit());
    lower
        .split(|c: char| !c.is_alphanumeric())
        .filter(move |word| !word.is_empty() && telling(word))
}

/// Returns `true` if enough of a sentence's words occur.
fn says(there: &HashSet<&str>, text: &str) -> bool {
    let lower = cut(text, 600).to_lowercase();
    let wanted: HashSet<&str> = words(&lower).collect();
    let found = wanted.iter().filter(|word| there.contains(*word)).count();
    wanted.len() * ENOUGH <= found * 100
}

fn rules(pieces: &[Piece], before: Option<&str>) -> Vec<String> {
    let former = before.into_iter().flat_map(|text| below(text, HEADINGS[1]));
    newest(former.chain(laid_down(pieces)).collect())
}

/// The rules of people word for word, without a model's rewording of them.
fn exact(pieces: &[Piece], before: Option<&str>) -> Vec<String> {
    let former = before.into_iter().flat_map(|text| below(text, WORD_FOR_WORD));
    newest(former.chain(laid_down(pieces)).map(|rule| cut(rule, LONGEST_RULE)).collect())
}

fn laid_down(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    let spoken = pieces.iter().filter(|piece| piece.who == Speaker::Person);
    let lines = spoken.flat_map(|piece| sentences(&piece.text));
    lines.map(|line| line.trim_start_matches(['-', '*', ' '])).filter(|sentence| {
        sentence.len() <= LONGEST_RULE && !sentence.ends_with('?') && RULE.is_match(sentence)
    })
}

/// The newest rules without duplicates, in order.
fn newest(all: Vec<&str>) -> Vec<String> {
    let mut seen = HashSet::new();
    let fresh = all.into_iter().rev().filter(|rule| seen.insert(normal(rule)));
    let mut kept: Vec<String> = fresh.take(MOST.0).map(str::to_owned).collect();
    kept.reverse();
    kept
}

/// A sentence normalised for comparison: whitespace, case and final punctuation.
fn normal(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    text.trim_end_matches(['.', '!']).to_owned()
}

/// The sentences and lines of a text.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| matches!(c, '.' | '!' | '?');
    text.lines().flat_map(move |line| {
        let mut rest = line;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            // A sentence ends before a space: "3.5" and "notes.md" do not split it.
            let end = rest
                .char_indices()
                .find(|(at, c)| ends(*c) && rest[at + 1..].starts_with(' '))
                .map_or(rest.len(), |(at, _)| at + 1);
            let (one, more) = rest.split_at(end);
            rest = more.trim_start();
            Some(one.trim())
        })
    })
}

/// Requests of people since the agent's last answer. Those in the previous summary count only if there was no answer
/// since.
fn asks(pieces: &[Piece], before: Option<&str>) -> Vec<String> {
    let answered = pieces.iter().rposition(|piece| piece.answers);
    let former = before.filter(|_| answered.is_none());
    let former = former.into_iter().flat_map(|text| below(text, HEADINGS[5]));
    let from = answered.map_or(0, |at| at + 1);
    let spoken = pieces[from..].iter().filter(|piece| piece.who == Speaker::Person);
    let spoken = spoken.map(|piece| piece.text.trim());
    let mut all: Vec<String> =
        former.chain(spoken).map(|text| cut(text, LONGEST_ASK).to_owned()).collect();
    let from = all.len().saturating_sub(MOST.1);
    all.split_off(from)
}

/// Identifiers that must stay exact: those that occur twice or recently in messages or calls. An occurrence in the
/// previous summary counts once. Tool output does not count, because it can be read again.
fn names(pieces: &[Piece], before: Option<&str>) -> Vec<String> {
    let kept = before.into_iter().flat_map(|text| below(text, HEADINGS[6]));
    let kept: HashSet<&str> =
        kept.flat_map(|line| NAME.find_iter(line).map(|hit| trimmed(hit.as_str()))).collect();
    let mut found: HashMap<&str, (usize, usize)> = HashMap::new();
    for (at, piece) in pieces.iter().enumerate() {
        if matches!(piece.who, Speaker::Tool | Speaker::Hq) {
            continue;
        }
        for name in NAME.find_iter(&piece.text).map(|hit| trimmed(hit.as_str())) {
            if !is_name(name) {
                continue;
            }
            let known = usize::from(kept.contains(name));
            let entry = found.entry(name).or_insert((known, at));
            *entry = (entry.0 + 1, at);
        }
    }
    let needed = |(count, at): (usize, usize)| 2 <= count || pieces[at].age <= RECENT;
    let mut all: Vec<(&str, usize)> =
        found.into_iter().filter(|(_, seen)| needed(*seen)).map(|(n, (_, at))| (n, at)).collect();
    all.sort_by_key(|(name, at)| (*at, *name));
    let from = all.len().saturating_sub(MOST.2);
    all.split_off(from).into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn trimmed(name: &str) -> &str {
    name.trim_end_matches(['.', ',', ';', ':', '/', '-'])
}

/// Words with a slash, such as "and/or", and plain numbers are no identifiers.
fn is_name(name: &str) -> bool {
    let digit = name.contains(|c: char| c.is_ascii_digit());
    let plain = name.chars().all(|c| c.is_ascii_hexdigit());
    if plain {
        return digit && name.contains(|c: char| c.is_ascii_alphabetic());
    }
    let path = name.contains('/') && !name.contains("://");
    !path || name.starts_with(['/', '.']) || name.contains('.') || 2 <= name.matches('/').count()
}

#[cfg(test)]
mod tests {
    use super::{HEADINGS, Must, below};
    use crate::compact::plan::{Piece, Speaker};

    fn piece(who: Speaker, text: &str, answers: bool, age: usize) -> Piece {
        Piece { who, text: text.to_owned(), answers, age }
    }

    fn whole(body: &str) -> String {
        let mut out = String::new();
        for heading in HEADINGS {
            out.push_str(&format!("## {heading}\n{body}\n"));
        }
        out
    }

    #[test]
    fn rules_asks_and_names_are_found() {
        let pieces = [
            piece(Speaker::Person, "Compare offers. Never write to suppliers directly.", false, 2),
            piece(Speaker::Call, r#"read {"path":"offers/north.md"}"#, false, 2),
            piece(Speaker::Tool, "read: see other/deep/path.txt and 10.0.0.1", false, 2),
            piece(Speaker::Agent, "North wants €1,200, see MC-142 and/or he/she.", true, 1),
            piece(Speaker::Person, "And what does https://south.example/p?x=1 want?", false, 0),
        ];
        let must = Must::of(&pieces, None);
        assert_eq!(must.rules, ["Never write to suppliers directly."]);
        assert_eq!(must.asks, ["And what does https://south.example/p?x=1 want?"]);
        assert_eq!(
            must.names,
            ["offers/north.md", "MC-142", "€1,200", "https://south.example/p?x=1"]
        );
    }

    #[test]
    fn what_was_mentioned_once_long_ago_may_go() {
        let old = [piece(Speaker::Agent, "See a/b.md and c/d.md, c/d.md.", false, 11)];
        assert_eq!(Must::of(&old, None).names, ["c/d.md"]);
        let former = "## Key identifiers\n- a/b.md, x/y.md";
        assert_eq!(Must::of(&old, Some(former)).names, ["a/b.md", "c/d.md"]);
    }

    #[test]
    fn an_ask_of_before_is_open_until_something_is_answered() {
        let former = "## Pending asks\n- Which colour?\n## Done\n- none";
        let more = [piece(Speaker::Person, "Go on.", false, 1)];
        assert_eq!(Must::of(&more, Some(former)).asks, ["Which colour?", "Go on."]);
        let answered = [piece(Speaker::Agent, "Red.", true, 1)];
        assert_eq!(Must::of(&answered, Some(former)).asks, [""; 0]);
    }

    #[test]
    fn a_summary_is_held_against_it() {
        let must = Must {
            rules: vec!["Never write to suppliers directly.".into()],
            exact: Vec::new(),
            asks: vec!["What does South want for the van?".into()],
            names: vec!["offers/north.md".into()],
        };
        let good =
            whole("never write to suppliers directly; South: what want for van? offers/north.md");
        assert!(must.missing(&good).is_nothing(), "{:?}", must.missing(&good));
        let lossy = whole("compare offers");
        let missing = must.missing(&lossy);
        assert_eq!(missing.lost, must);
        assert!(missing.correction().contains("offers/north.md"), "{}", missing.correction());
        assert_eq!(must.missing("no headings at all").headings.len(), HEADINGS.len());
    }

    #[test]
    fn only_words_of_people_are_taken_up_word_for_word() {
        let former = "## Constraints and preferences\n- Always write to suppliers\n\
            ## Constraints and preferences, word for word\n- Never write to suppliers.\n- At most 5 vans.";
        let pieces =
            [piece(Speaker::Person, "Fine.\n- never  write to suppliers!\nOnly North.", false, 1)];
        let must = Must::of(&pieces, Some(former));
        assert_eq!(must.exact, ["At most 5 vans.", "never  write to suppliers!", "Only North."]);
        assert_eq!(must.summed_up(&must.rules), ["Always write to suppliers"]);
        let many: String = (0..40).map(|n| format!("Only {n} vans.\n")).collect();
        let must = Must::of(&[piece(Speaker::Person, &many, false, 1)], Some(former));
        assert_eq!((must.exact.len(), must.exact[0].as_str()), (24, "Only 16 vans."));
    }

    #[test]
    fn rules_of_a_former_summary_stay() {
        let former = "## Goal\nx\n## Constraints and preferences\n- Never call on Sundays\n- none\n## Done\n- y";
        assert_eq!(below(former, "Constraints and preferences"), ["Never call on Sundays"]);
        assert_eq!(Must::of(&[], Some(former)).rules, ["Never call on Sundays"]);
    }
}
