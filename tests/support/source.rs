//! Minimal analysis of Rust sources: the paths that a file names.

use std::fs;
use std::path::Path;

/// Relative path and text of all text files below a folder, sorted; empty if the folder is missing.
pub fn files(root: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a readable folder entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let name = path.strip_prefix(root).expect("below the root").to_string_lossy();
                found.push((name.into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

/// The text with comments, strings and character literals replaced by spaces; line breaks and positions are kept.
pub fn code_only(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut at = 0;
    while at < out.len() {
        let end = end_of_words(&out, at);
        for byte in out[at..end].iter_mut().filter(|byte| **byte != b'\n') {
            *byte = b' ';
        }
        at = end.max(at + 1);
    }
    String::from_utf8(out).expect("whole literals and comments are blanked, never half a character")
}

/// The offset of each string literal, and what is between its quotes: escapes are as in the source.
pub fn literals(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let end = end_of_words(bytes, at);
        if at < end && matches!(bytes[at], b'"' | b'r') {
            let literal = text[at..end].trim_start_matches('r').trim_matches('#');
            let inner = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            found.extend(inner.map(|inner| (at, inner)));
        }
        at = end.max(at + 1);
    }
    found
}

/// The end of the comment, string or character literal that begins at `at`; `at` if none does.
fn end_of_words(bytes: &[u8], at: usize) -> usize {
    match &bytes[at..] {
        [b'/', b'/', ..] => at + until(&bytes[at..], b"\n"),
        [b'/', b'*', ..] => at + until(&bytes[at..], b"*/"),
        [b'r', b'"' | b'#', ..] if !word(bytes, at) => raw_string(bytes, at),
        [b'"', ..] => quoted(bytes, at, b'"'),
        // A lifetime has no closing quote after one character or escape.
        [b'\'', b'\\', ..] | [b'\'', _, b'\'', ..] => quoted(bytes, at, b'\''),
        _ => at,
    }
}

/// All paths that start with `first`, with their offsets; a `use` tree counts as its individual paths.
pub fn paths(code: &str, first: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&format!("{first}::")) {
        let before = code[..at].trim_end();
        if !word(code.as_bytes(), at) && (!before.ends_with("::") || before.ends_with(" ::")) {
            let mut rest = &code[at..];
            let mut all = Vec::new();
            expand(&mut rest, &[], &mut all);
            found.extend(all.into_iter().map(|path| (at, path)));
        }
    }
    found
}

fn expand(rest: &mut &str, prefix: &[String], all: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        *rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('{') {
            *rest = inner;
            while !rest.is_empty() && !rest.starts_with('}') {
                expand(rest, &path, all);
                let next = rest.find([',', '}']).unwrap_or(rest.len());
                *rest = rest[next..].trim_start_matches(',').trim_start();
            }
            *rest = rest.strip_prefix('}').unwrap_or(rest);
            return;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end > 0 {
            path.push(rest[..end].to_owned());
        }
        *rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) if end > 0 => *rest = more,
            _ => return all.push(path),
        }
    }
}

/// Whether the byte before `at` belongs to an identifier.
fn word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_')
}

/// Distance to the end of `mark`, or to the end of the text.
fn until(bytes: &[u8], mark: &[u8]) -> usize {
    let found = bytes.windows(mark.len()).position(|window| window == mark);
    found.map_or(bytes.len(), |at| at + mark.len())
}

fn quoted(bytes: &[u8], at: usize, mark: u8) -> usize {
    let mut end = at + 1;
    while end < bytes.len() && bytes[end] != mark {
        end += if bytes[end] == b'\\' { 2 } else { 1 };
    }
    (end + 1).min(bytes.len())
}

fn raw_string(bytes: &[u8], at: usize) -> usize {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return at;
    }
    let close = [b"\"", "#".repeat(hashes).as_bytes()].concat();
    open + 1 + until(&bytes[open + 1..], &close)
}
