//! Keeps translated-sounding phrases out of what people read: text and attributes of templates, texts that templates pass
//! to their parts, texts in Rust (messages of errors, flash messages, hints, labels, mail, push messages, output of
//! commands) and the help of commands, which `docs/cli.md` is generated from.

use std::fs;
use std::ops::Range;
use std::path::Path;

use support::source::{code_only, files, literals};

/// Phrases that no text may contain, each with what to write. A phrase matches whole words in any case.
const BANNED: &[(&str, &str)] = &[
    ("anew", "again"),
    ("by itself", "automatically"),
    ("by themselves", "automatically"),
    ("by hand", "manually"),
    ("goes on", "continues"),
    ("go on with", "continue"),
    ("goes along", "is included"),
    ("stands in", "is in"),
    ("stands there", "is there, or the current version"),
    ("lies in", "is in"),
    ("is told", "is notified, or is shown"),
    ("are told", "are notified"),
    ("be told", "be notified"),
    ("may not", "can't, or might not: \"may not\" means both"),
    ("somebody", "someone; better the role, such as a member"),
    ("nobody", "no one"),
    ("the wheel", "control: take control, is in control"),
    ("a yes", "an approval"),
    ("yes or no", "approval"),
    ("words from outside", "untrusted content"),
    ("in the meantime", "name the change: there's a newer version"),
    ("meanwhile", "name the change"),
    ("hire", "create an agent"),
    ("hired", "created"),
    ("employee", "agent"),
    ("one a line", "one per line"),
    ("with commas", "separate with commas"),
    ("taken away", "deleted"),
    ("brought back", "restored"),
    ("bring back", "restore"),
    ("bring in", "import"),
    ("out of the way", "archived"),
    ("what is off", "disabled modules"),
    ("the dark", "capture is paused"),
    ("of agents", "agent as an adjective: agent files"),
    ("of the agent", "the agent's"),
    ("of the workspace", "the workspace's, or workspace as an adjective"),
    ("is no", "isn't a"),
    ("are no", "there are no, or aren't"),
    ("was made", "was created"),
    ("in all", "in total"),
    ("switch it on", "turn it on"),
    ("switched on", "turned on"),
    ("switched off", "turned off"),
];

/// Phrases with the words before or behind them that make them right.
const RIGHT: &[(&str, &str, &str)] = &[
    ("is no", "there ", ""),
    ("are no", "there ", ""),
    ("is no", "", " longer"),
    ("are no", "", " longer"),
    ("in all", "", " workspaces"),
    ("in all", "", " conversations"),
    ("with commas", "separate ", ""),
    // Doubt, not a ban.
    ("may not", "may or ", ""),
    ("of agents", "number ", ""),
    ("the dark", "", " theme"),
    // An answer about a value, not an approval.
    ("yes or no", "enter ", ""),
    ("yes or no", "must be ", ""),
    // People are hired, not agents: a stage of candidates, and a purpose of a workspace.
    ("hired", "offer, ", ", rejected"),
    ("hired", "offer | ", " | rejected"),
    ("hire", "run, ", ", publish"),
    // What people may type to find "New agent".
    ("hire", "create add ", ""),
];

/// Files in `src` whose literals are no texts, each with the reason.
const NO_TEXTS: &[(&str, &str)] = &[("vault/ordinary.rs", "words that no password may be")];

/// Code in whose parentheses or brackets literals are not for people who use HQ: log lines, reports of bugs, reasons of lints.
const INTERNAL: &[&str] = &[
    "trace!(",
    "debug!(",
    "info!(",
    "warn!(",
    "error!(",
    "assert!(",
    "assert_eq!(",
    "assert_ne!(",
    "panic!(",
    "unreachable!(",
    ".expect(",
    "#[expect(",
    "#[allow(",
];

/// The text with template code of any kind blanked, apart from string literals with a space, which are texts.
fn texts(template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(start) =
        rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min()
    {
        let (before, code) = rest.split_at(start);
        out.push_str(before);
        let close = match &code[..2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let end = code.find(close).map_or(code.len(), |at| at + 2);
        if &code[..2] != "{#" {
            let literals = code[..end].split('"').skip(1).step_by(2);
            for literal in literals.filter(|literal| literal.contains(' ')) {
                out.push('\n');
                out.push_str(literal);
                out.push('\n');
            }
        }
        out.push(' ');
        rest = &code[end..];
    }
    out.push_str(rest);
    // Attributes that nobody reads.
    without_tags(&out)
}

/// HTML without its tags, apart from the attributes that people see or hear.
fn without_tags(html: &str) -> String {
    const READ: &[&str] =
        &["title=\"", "aria-label=\"", "placeholder=\"", "data-confirm", "alt=\""];
    let mut out = String::new();
    for piece in html.split('<') {
        let (tag, text) = piece.split_once('>').unwrap_or(("", piece));
        for name in READ {
            for (at, _) in tag.match_indices(name) {
                let value = tag[at..].split('"').nth(1).unwrap_or_default();
                out.push_str(value);
                out.push('\n');
            }
        }
        out.push_str(text);
        out.push('\n');
    }
    out
}

/// The texts among the string literals of a Rust source: those of several words, and single capitalised words.
/// Names and keys are neither. Literals of tests, which follow the code, and of [`INTERNAL`] code are left out.
fn rust_texts(source: &str) -> String {
    let source = without_tests(source);
    let all = literals(source);
    let is_text = |literal: &str| {
        literal.contains(' ') || literal.starts_with(|first: char| first.is_ascii_uppercase())
    };
    if !all.iter().any(|(_, literal)| is_text(literal)) {
        return String::new();
    }
    let internal = internal(&code_only(source));
    let mut out = String::new();
    for (at, literal) in all {
        if is_text(literal) && !internal.iter().any(|range| range.contains(&at)) {
            let escapes = [("\\\n", " "), ("\\n", " "), ("\\\"", "\""), ("\\u{2019}", "'")];
            out.push_str(&escapes.iter().fold(literal.to_owned(), |text, (code, sign)| {
                if text.contains(code) { text.replace(code, sign) } else { text }
            }));
            // A phrase does not continue in the next literal.
            out.push_str(" | ");
        }
    }
    out
}

/// The source up to its module of tests.
fn without_tests(source: &str) -> &str {
    const TEST: &str = "#[cfg(test)]\nmod ";
    let has_body = |at: &usize| {
        source[at + TEST.len()..].lines().next().is_some_and(|line| line.ends_with('{'))
    };
    let end = source.match_indices(TEST).map(|(at, _)| at).find(has_body);
    &source[..end.unwrap_or(source.len())]
}

/// The byte ranges of [`INTERNAL`] code, from its opening bracket to the closing one.
fn internal(code: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    for opening in INTERNAL {
        for (at, _) in code.match_indices(opening) {
            let start = at + opening.len();
            let mut depth = 1_usize;
            let close = code[start..].bytes().position(|byte| {
                match byte {
                    b'(' => depth += 1,
                    b')' => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            ranges.push(start..close.map_or(code.len(), |length| start + length));
        }
    }
    ranges
}

/// Whether a file has only tests.
fn is_test(name: &str) -> bool {
    name.split('/').any(|part| part == "tests") || name.ends_with("tests.rs")
}

/// Lower case with single spaces within lines of one sentence; apostrophes are straight.
fn plain(text: &str) -> String {
    let text = text.to_lowercase().replace(['\u{2019}', '\u{2018}'], "'").replace("&#39;", "'");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn found(text: &str) -> Vec<(&'static str, &'static str, String)> {
    let text = plain(text);
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '\'');
    let mut all = Vec::new();
    for (phrase, better) in BANNED {
        for (at, _) in text.match_indices(phrase) {
            let (before, after) = (&text[..at], &text[at + phrase.len()..]);
            if is_word(before.chars().next_back()) || is_word(after.chars().next()) {
                continue;
            }
            let is_right = |(of, start, end): &(&str, &str, &str)| {
                of == phrase && before.ends_with(start) && after.starts_with(end)
            };
            if RIGHT.iter().any(is_right) {
                continue;
            }
            let from = before.char_indices().rev().nth(30).map_or(0, |(at, _)| at);
            let to = after.char_indices().nth(20).map_or(after.len(), |(at, _)| at);
            let around = format!("{}{phrase}{}", &before[from..], &after[..to]);
            all.push((*phrase, *better, around));
        }
    }
    all
}

#[test]
fn no_text_that_people_read_sounds_translated() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    let mut check = |place: String, text: &str| {
        let lines = found(text).into_iter();
        faults.extend(lines.map(|(phrase, better, around)| {
            format!("{place}: \"{phrase}\" (write: {better}) in \"…{around}…\"")
        }));
    };
    for (name, text) in files(&root.join("templates")) {
        check(format!("templates/{name}"), &texts(&text));
    }
    for (name, text) in files(&root.join("src")) {
        let has_texts = NO_TEXTS.iter().all(|(file, _)| *file != name);
        if name.ends_with(".rs") && has_texts && !is_test(&name) {
            check(format!("src/{name}"), &rust_texts(&text));
        }
    }
    let help = fs::read_to_string(root.join("docs/cli.md")).expect("the help of commands");
    check("docs/cli.md".to_owned(), &help);
    assert!(faults.is_empty(), "{} texts:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn banned_phrases_are_found_in_text_and_attributes_of_templates() {
    let html = r#"<p title="Works by itself">{{ ui::hint("Drawn anew") }} {# anew #}</p><b class="anew">Fine</b>"#;
    let phrases: Vec<_> = found(&texts(html)).into_iter().map(|(phrase, ..)| phrase).collect();
    assert_eq!(phrases, ["anew", "by itself"]);
    assert!(found("There is no task. Renewed. A canew.").is_empty());
    assert_eq!(found("This is no task").len(), 1);
}

#[test]
fn banned_phrases_are_found_in_texts_of_rust_but_not_in_logs_names_and_tests() {
    let phrases = |source: &str| {
        let all = found(&rust_texts(source)).into_iter();
        all.map(|(phrase, ..)| phrase).collect::<Vec<_>>()
    };
    assert_eq!(
        phrases(r#"#[error("somebody \"else\" has it")] #[error(transparent)]"#),
        ["somebody"]
    );
    assert_eq!(phrases("flash(\"Task was \\\n    made\")"), ["was made"]);
    assert_eq!(
        phrases(r##"label("Hire"); let key = "hire"; text(r#"Drawn "anew" here"#)"##),
        ["anew", "hire"]
    );
    assert!(
        phrases(r#"tracing::warn!(%error, "{} goes on", f("by hand (or") ); // "anew here""#)
            .is_empty()
    );
    assert!(phrases(r#"list(&["this is", "no task"]); it.expect("a batch was made")"#).is_empty());
    let source =
        "const A: &str = \"goes on here\";\n#[cfg(test)]\nmod tests {\n    it(\"made anew\");\n}";
    assert_eq!(phrases(source), ["goes on"]);
}
