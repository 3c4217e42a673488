//! Search in an agent's files: paths and lines that contain all words, case-insensitive.

use app::Ws;
use git::files::AgentFiles;
use kernel::text::{ellipsis, of_bytes};

use super::files::{FilesError, in_folder};
use super::model::Agent;

/// Maximum number of files returned.
const MOST: usize = 100;
/// Maximum number of lines returned per file.
const LINES: usize = 5;
/// Larger files are matched by path only; in bytes.
const MAX_READ: u64 = 512 * 1024;
/// Maximum number of bytes read in total.
const MAX_BYTES: u64 = 32 << 20;
/// Maximum number of search words.
const MAX_WORDS: usize = 8;
/// Maximum length of a shown line, and its part before the first word, in characters.
const SHOWN: usize = 200;
const BEFORE: usize = 60;

/// A found file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub path: String,
    /// First matching lines; empty if only the path matches.
    pub lines: Vec<Line>,
    /// Number of further matching lines.
    pub more: usize,
}

/// A matching line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts from 1.
    pub number: usize,
    /// Shortened if it is long.
    pub text: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Matches by path first.
    pub hits: Vec<Hit>,
    /// Whether the result may be incomplete.
    pub is_cut: bool,
}

/// Searches the paths and lines of an agent's files. Files that are not text are matched by path only.
///
/// # Errors
/// If there is no folder or the disk fails.
pub async fn search(ws: &Ws, agent: &Agent, query: &str) -> Result<Found, FilesError> {
    let words: Vec<String> =
        query.split_whitespace().take(MAX_WORDS).map(str::to_lowercase).collect();
    in_folder(ws, agent, move |files| look_through(files, &words)).await
}

fn look_through(files: &AgentFiles, words: &[String]) -> Result<Found, FilesError> {
    if words.is_empty() {
        return Ok(Found::default());
    }
    let scan = files.scan()?;
    let (mut named, mut matching) = (Vec::new(), Vec::new());
    let (mut read, mut is_cut) = (0, scan.is_cut);
    for (path, bytes) in scan.files().filter(|(path, _)| !path.ends_with(".keep")) {
        let by_name = has_all(&path.to_lowercase(), words);
        let (mut lines, mut more) = (Vec::new(), 0);
        if bytes <= MAX_READ && read + bytes <= MAX_BYTES {
            read += bytes;
            // A file removed meanwhile has no lines.
            let part = files.read_up_to(path, MAX_READ)?;
            let text = part.and_then(|part| of_bytes(part.bytes, false)).unwrap_or_default();
            (lines, more) = lines_of(&text, words);
        } else {
            is_cut = true;
        }
        if by_name || !lines.is_empty() {
            let group = if by_name { &mut named } else { &mut matching };
            group.push(Hit { path: path.to_owned(), lines, more });
        }
    }
    named.append(&mut matching);
    is_cut |= MOST < named.len();
    named.truncate(MOST);
    Ok(Found { hits: named, is_cut })
}

/// The first lines with all words, and the number of further ones.
fn lines_of(text: &str, words: &[String]) -> (Vec<Line>, usize) {
    let (mut lines, mut more) = (Vec::new(), 0);
    for (at, line) in text.lines().enumerate() {
        let low = line.to_lowercase();
        if !has_all(&low, words) {
            continue;
        }
        if lines.len() == LINES {
            more += 1;
            continue;
        }
        lines.push(Line { number: at + 1, text: around(line, &low, words) });
    }
    (lines, more)
}

fn has_all(text: &str, words: &[String]) -> bool {
    words.iter().all(|word| text.contains(word.as_str()))
}

/// The line, starting shortly before the first word.
fn around(line: &str, low: &str, words: &[String]) -> String {
    let first = words.iter().filter_map(|word| low.find(word.as_str())).min().unwrap_or(0);
    let before = low[..first].chars().count().saturating_sub(BEFORE);
    if line.chars().count() <= SHOWN || before == 0 {
        return ellipsis(line.trim(), SHOWN);
    }
    let rest: String = line.chars().skip(before).collect();
    format!("…{}", ellipsis(rest.trim(), SHOWN))
}

#[cfg(test)]
mod tests {
    use super::lines_of;

    #[test]
    fn lines_have_all_words_and_long_ones_are_cut_around_the_first() {
        let words = ["harbour".to_owned(), "crane".to_owned()];
        let long = format!("{} the Harbour has one CRANE {}", "x".repeat(300), "y".repeat(300));
        let text = format!("a crane\nThe crane of the harbour\n{long}\n");
        let (lines, more) = lines_of(&text, &words);
        assert_eq!((lines.len(), more), (2, 0));
        assert_eq!((lines[0].number, lines[0].text.as_str()), (2, "The crane of the harbour"));
        assert!(lines[1].text.starts_with('…') && lines[1].text.contains("Harbour has one CRANE"));
        assert!(lines[1].text.chars().count() <= 202, "{}", lines[1].text);
    }

    #[test]
    fn more_lines_than_are_told_are_counted() {
        let (lines, more) = lines_of(&"one\n".repeat(9), &["one".to_owned()]);
        assert_eq!((lines.len(), more), (5, 4));
    }
}
