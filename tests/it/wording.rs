//! Keeps translated-sounding phrases out of what people read: text and attributes of templates, texts that templates pass
//! to their parts, and messages of errors.

use std::path::Path;

use support::source::files;

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
    ("with commas", "separate ", ""),
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

/// The messages of `#[error("…")]`.
fn errors(source: &str) -> String {
    let messages = source.split("#[error(").skip(1).filter_map(|rest| {
        let rest = rest.trim_start().strip_prefix('"')?;
        let mut end = 0;
        let bytes = rest.as_bytes();
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        Some(rest[..end.min(rest.len())].replace("\\\n", " "))
    });
    messages.collect::<Vec<_>>().join("\n")
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
        if name.ends_with(".rs") {
            check(format!("src/{name}"), &errors(&text));
        }
    }
    assert!(faults.is_empty(), "{} texts:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn banned_phrases_are_found_in_text_attributes_and_errors() {
    let html = r#"<p title="Works by itself">{{ ui::hint("Drawn anew") }} {# anew #}</p><b class="anew">Fine</b>"#;
    let phrases: Vec<_> = found(&texts(html)).into_iter().map(|(phrase, ..)| phrase).collect();
    assert_eq!(phrases, ["anew", "by itself"]);
    let source = r#"#[error("somebody \"else\" has it")] #[error(transparent)]"#;
    assert_eq!(found(&errors(source)).len(), 1);
    assert!(found("There is no task. Renewed. A canew.").is_empty());
    assert_eq!(found("This is no task").len(), 1);
}
