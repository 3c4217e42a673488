//! Text that a page does not show but an agent reads: comments and invisible elements of Markdown and HTML.

use std::sync::LazyLock;

use memchr::memmem;
use regex::Regex;

use super::{FindingKind, Found};
use crate::File;

const PAGES: [&str; 6] = [".md", ".mdx", ".markdown", ".html", ".htm", ".svg"];

/// Words of instructions. Comments for tools, such as `<!-- prettier-ignore -->`, have none of them.
static INSTRUCTION: LazyLock<Regex> = LazyLock::new(|| {
    super::rules::compile(
        r"(?i)\b(you (must|should|are|will|can)|must|always|never|do not|don't|instructions?|assistant|agents?|claude|gpt|model|system prompt|secretly|silently|execute|run|curl|wget|fetch|send|upload|post|password|token|api[ _-]?key|credentials?|https?)\b",
    )
});

static INVISIBLE: LazyLock<Regex> = LazyLock::new(|| {
    super::rules::compile(
        r#"(?i)(display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|opacity\s*:\s*0(\.0+)?\s*[;"']|<[a-z]+[^>]*\shidden[\s>])"#,
    )
});

/// `[//]: # (text)` is a link definition that pages do not show.
static DEFINITION: LazyLock<Regex> =
    LazyLock::new(|| super::rules::compile(r"^\s{0,3}\[[^\]]*\]:\s*(#|<>)\s*[(\x22'](.+)[)\x22']"));

pub fn look(file: &File, text: &str, found: &mut Found) {
    let path = file.path.to_ascii_lowercase();
    if !PAGES.iter().any(|ending| path.ends_with(ending)) {
        return;
    }
    let (mut line, mut counted) = (1, 0);
    let mut rest = 0;
    while let Some(at) = memmem::find(&text.as_bytes()[rest..], b"<!--") {
        let start = rest + at;
        let body = start + "<!--".len();
        let end =
            memmem::find(&text.as_bytes()[body..], b"-->").map_or(text.len(), |end| body + end);
        line += text[counted..start].matches('\n').count();
        counted = start;
        let comment = &text[body..end];
        if INSTRUCTION.is_match(comment) {
            let words = comment.split_whitespace().take(60).collect::<Vec<_>>().join(" ");
            found.add(&file.path, line, FindingKind::HiddenComment, &words);
        }
        rest = end;
    }
    for (index, line) in text.lines().enumerate() {
        let defined = line.trim_start().starts_with('[')
            && DEFINITION.captures(line).is_some_and(|parts| INSTRUCTION.is_match(&parts[2]));
        let is_invisible = line.contains('<') && INVISIBLE.is_match(line);
        if defined || is_invisible {
            found.add(&file.path, index + 1, FindingKind::HiddenComment, line);
        }
    }
}
