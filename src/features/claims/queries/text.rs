//! What a claim or a delivered text names: links, paths, quoted commands, keys and words.

use std::collections::BTreeSet;

use url::Url;

/// Endings of file names. Only these make a word without a folder a path, because `example.com` is none.
const ENDINGS: &[&str] = &[
    "avif", "bash", "bmp", "c", "cfg", "cpp", "cs", "css", "csv", "db", "doc", "docx", "eml",
    "env", "epub", "gif", "go", "gz", "h", "html", "ics", "ini", "ipynb", "java", "jpeg", "jpg",
    "js", "json", "jsonl", "jsx", "kt", "lock", "log", "md", "mjs", "mp3", "mp4", "odp", "ods",
    "odt", "pdf", "php", "png", "ppt", "pptx", "ps1", "py", "rb", "rs", "rtf", "sh", "sql",
    "sqlite", "svg", "swift", "tar", "tex", "tgz", "toml", "ts", "tsv", "tsx", "txt", "wav",
    "webp", "xls", "xlsx", "xml", "yaml", "yml", "zip",
];

/// Basic forms of words that most claims contain. They select no call.
const COMMON: &[&str] = &[
    "all",
    "also",
    "and",
    "any",
    "are",
    "been",
    "but",
    "can",
    "command",
    "creat",
    "don",
    "fil",
    "for",
    "from",
    "has",
    "hav",
    "her",
    "him",
    "his",
    "into",
    "its",
    "mad",
    "mak",
    "messag",
    "new",
    "not",
    "now",
    "one",
    "our",
    "out",
    "pas",
    "pass",
    "ran",
    "record",
    "run",
    "runn",
    "send",
    "sent",
    "successfull",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "ther",
    "thi",
    "updat",
    "use",
    "was",
    "wer",
    "with",
    "writ",
    "written",
    "wrot",
    "you",
];

/// Words that say that a file was written.
const WRITTEN: &[&str] = &[
    "added",
    "changed",
    "created",
    "deleted",
    "drafted",
    "edited",
    "extended",
    "filled",
    "fixed",
    "generated",
    "made",
    "modified",
    "prepared",
    "produced",
    "removed",
    "renamed",
    "rewritten",
    "rewrote",
    "saved",
    "stored",
    "updated",
    "write",
    "writes",
    "written",
    "wrote",
];
/// Words that say that it was read.
const READ: &[&str] = &["checked", "consulted", "opened", "read", "reviewed", "used"];
/// Maximum length of a link, in bytes.
const MAX_LINK: usize = 2_048;

/// Links in a text, in order, without trailing punctuation.
#[must_use]
pub fn links(text: &str) -> Vec<String> {
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    let mut rest = text;
    while let Some(at) = rest.find("http") {
        let tail = &rest[at..];
        if !tail.starts_with("http://") && !tail.starts_with("https://") {
            rest = &tail["http".len()..];
            continue;
        }
        let link = trimmed(&tail[..link_end(tail)]);
        if MAX_LINK < link.len() || !Url::parse(link).is_ok_and(|url| url.has_host()) {
            rest = &tail[link.len().max("http".len())..];
            continue;
        }
        if known.insert(link) {
            all.push(link.to_owned());
        }
        rest = &tail[link.len()..];
    }
    all
}

/// Where a link ends: before a character that none contains, or in Markdown before the address of `[text](address)`.
fn link_end(tail: &str) -> usize {
    let ends = |at: usize, c: char| {
        c.is_whitespace() || "<>\"'`|\\^{}".contains(c) || tail[at..].starts_with("](")
    };
    tail.char_indices().find(|(at, c)| ends(*at, *c)).map_or(tail.len(), |(at, _)| at)
}

/// A link without punctuation that belongs to the sentence. A closing bracket stays if the link opens it.
fn trimmed(link: &str) -> &str {
    if MAX_LINK < link.len() {
        return link;
    }
    let count = |link: &str, bracket: char| link.matches(bracket).count();
    let mut link = link;
    loop {
        let shorter = link.trim_end_matches(['.', ',', ';', ':', '!', '?', '*', '_']);
        let shorter = match shorter.chars().last() {
            Some(')') if count(shorter, '(') < count(shorter, ')') => &shorter[..shorter.len() - 1],
            Some(']') if !shorter.contains('[') => &shorter[..shorter.len() - 1],
            _ => shorter,
        };
        if shorter.len() == link.len() {
            return link;
        }
        link = shorter;
    }
}

/// An address for comparison: without fragment and trailing slash, with a lower-case host.
#[must_use]
pub fn plain_link(link: &str) -> String {
    let Ok(mut url) = Url::parse(link.trim()) else { return link.trim().to_lowercase() };
    url.set_fragment(None);
    let text = url.as_str();
    text.strip_suffix('/').unwrap_or(text).to_owned()
}

/// Paths of files in a text, in order. Links are not searched.
#[must_use]
pub fn paths(text: &str) -> Vec<String> {
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    for word in path_words(text) {
        if is_path(word) && known.insert(word) {
            all.push(word.to_owned());
        }
    }
    all
}

fn path_words(text: &str) -> impl Iterator<Item = &str> {
    let divides = |c: char| c.is_whitespace() || "\"'`<>()[]{},;|*=“”‘’„«»".contains(c);
    text.split(divides).map(|word| word.trim_end_matches(['.', ':', '!', '?', '…']))
}

fn is_path(word: &str) -> bool {
    if word.contains("://") || word.contains('@') || word.starts_with("www.") {
        return false;
    }
    let name = word.rsplit('/').next().unwrap_or(word);
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    let ending = ending.to_ascii_lowercase();
    !stem.is_empty() && ENDINGS.binary_search(&ending.as_str()).is_ok()
}

/// Whether a written path and the path of a call name the same file. The path of the call may be the longer one. A written one
/// may be longer only if it is absolute, because relative ones begin in the folder of the call's path.
#[must_use]
pub fn is_same_path(written: &str, path: &str) -> bool {
    let is_absolute = written.starts_with('/');
    let (written, path) = (plain_path(written), plain_path(path));
    let ends = |long: &str, short: &str| {
        long.strip_suffix(short).is_some_and(|head| head.is_empty() || head.ends_with('/'))
    };
    let is_same = ends(path, written) || is_absolute && ends(written, path);
    is_same && !written.is_empty() && !path.is_empty()
}

fn plain_path(path: &str) -> &str {
    path.trim_start_matches("./").trim_matches('/')
}

/// Whether a text names a path or file name as a whole word. Folders before the path make it another file, unless the
/// text has the absolute path.
#[must_use]
pub fn names(text: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_whole = |word: &str| word.starts_with('/') || word.starts_with("./");
    is_word_of(text, path, "/")
        || is_word_of(text, name, "/")
        || path_words(text).any(|word| is_whole(word) && is_same_path(word, path))
}

/// Whether a text says that it wrote the file with this path. The last verb before the name of the file decides, or any
/// verb if none stands there.
#[must_use]
pub fn says_written(text: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let verbs = |text: &str| -> Vec<bool> {
        let words = text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase);
        let verb = |word: String| match word.as_str() {
            word if WRITTEN.contains(&word) => Some(true),
            word if READ.contains(&word) => Some(false),
            _ => None,
        };
        words.filter_map(verb).collect()
    };
    let before = text.find(name).map(|at| verbs(&text[..at])).unwrap_or_default();
    before.last().copied().unwrap_or_else(|| verbs(text).contains(&true))
}

/// Whether a text contains another one that is not part of a longer word.
#[must_use]
pub fn has(text: &str, part: &str) -> bool {
    is_word_of(text, part, "")
}

/// Whether `word` stands in `text` between characters that cannot belong to it, nor to a path before it.
fn is_word_of(text: &str, word: &str, before: &str) -> bool {
    let belongs = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !word.is_empty()
        && text.match_indices(word).any(|(at, _)| {
            let head = text[..at].chars().next_back();
            let mut tail = text[at + word.len()..].chars();
            let next = tail.next();
            let is_longer = match next {
                // A file name goes on behind a dot, a sentence does not.
                Some('.') => tail.next().is_some_and(char::is_alphanumeric),
                Some(c) => belongs(c) || c == '/',
                None => false,
            };
            !is_longer && head.is_none_or(|c| !belongs(c) && !before.contains(c))
        })
}

/// What a text names exactly: quoted commands, links, mail addresses and keys such as `MC-12`.
#[must_use]
pub fn exact(text: &str) -> Vec<String> {
    let spans = text.split('`').skip(1).step_by(2).map(squeezed).filter(|span| !span.is_empty());
    let mut all: Vec<String> = spans.collect();
    all.extend(links(text));
    let divides = |c: char| c.is_whitespace() || "\"'`<>()[]{},;|*".contains(c);
    for word in text.split(divides) {
        let word = word.trim_end_matches(['.', ':', '!', '?']);
        let is_mail = word.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty() && host.contains('.') && !host.starts_with('.')
        });
        let is_key = word.split_once('-').is_some_and(|(key, number)| {
            (2..=10).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_uppercase())
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        });
        if (is_mail || is_key) && !all.iter().any(|known| known == word) {
            all.push(word.to_owned());
        }
    }
    all
}

/// What a claim names, computed once.
#[derive(Debug)]
pub struct Named {
    pub exact: Vec<String>,
    pub words: BTreeSet<String>,
}

impl Named {
    #[must_use]
    pub fn new(claim: &str) -> Self {
        Self { exact: exact(claim), words: words(claim) }
    }
}

/// A text with single spaces.
#[must_use]
pub fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The distinct words of a text in their basic form, without common ones.
#[must_use]
pub fn words(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words = words.filter(|word| 2 < word.chars().count()).map(stem);
    words.filter(|word| !COMMON.contains(&word.as_str())).collect()
}

/// A rough basic form: "tests" and "tested" become "test".
fn stem(word: &str) -> String {
    let word = word.to_lowercase();
    let mut stem = word.as_str();
    for ending in ["ings", "ing", "ied", "ies", "ed", "es", "s", "y", "e"] {
        if let Some(shorter) = stem.strip_suffix(ending)
            && 3 <= shorter.chars().count()
        {
            stem = shorter;
            break;
        }
    }
    stem.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{
        COMMON, ENDINGS, exact, is_same_path, links, names, paths, plain_link, says_written, words,
    };

    #[test]
    fn the_lists_are_searchable() {
        assert!(ENDINGS.is_sorted());
        assert!(COMMON.is_sorted());
        assert!(words("They have passed all the files, and this record was updated.").is_empty());
    }

    #[test]
    fn links_and_paths_are_found_without_the_sentence_around_them() {
        let text = "See [the offer](https://a.example/x_(1)), https://b.example/#top. It is in \
            `notes/offers.md`, ./data/prices.csv and report.pdf; not at example.com or 24/7.";
        assert_eq!(links(text), ["https://a.example/x_(1)", "https://b.example/#top"]);
        assert_eq!(paths(text), ["notes/offers.md", "./data/prices.csv", "report.pdf"]);
        assert_eq!(plain_link("https://B.example/#top"), plain_link("https://b.example"));
        assert!(links("httpx http:// https://").is_empty());
    }

    #[test]
    fn a_path_is_the_same_with_and_without_its_folders() {
        assert!(is_same_path("./notes/a.md", "notes/a.md"));
        assert!(is_same_path("a.md", "notes/a.md"));
        assert!(is_same_path("/data/agents/ada/notes/a.md", "notes/a.md"));
        assert!(!is_same_path("other/a.md", "notes/a.md"));
        assert!(!is_same_path("reports/2026/a.md", "a.md"), "another file");
        assert!(!is_same_path("ba.md", "a.md"));
        assert!(names("I wrote notes/Makefile.", "notes/Makefile"));
        assert!(names("I wrote the Makefile.", "notes/Makefile"));
        assert!(!names("I wrote other/Makefile.", "notes/Makefile"));
        assert!(!names("I wrote reports/2026/a.md", "a.md"));
        assert!(!names("I wrote reports/notes/a.md", "notes/a.md"));
        assert!(names("I wrote ./notes/a.md and /data/ada/notes/a.md", "notes/a.md"));
        assert!(!names("I wrote a.md.bak", "a.md"));
    }

    #[test]
    fn the_verb_before_a_file_says_what_happened_to_it() {
        assert!(says_written("Wrote notes/a.md", "notes/a.md"));
        assert!(says_written("a.md was updated", "a.md"));
        assert!(says_written("Read b.md and wrote a.md", "a.md"));
        assert!(!says_written("Read b.md and wrote a.md", "b.md"));
        assert!(!says_written("The prices are in a.md", "a.md"));
    }

    #[test]
    fn a_long_text_of_half_links_is_searched_once() {
        let text = "http".repeat(200_000) + &"https://:".repeat(100_000);
        assert!(links(&text).is_empty());
        assert_eq!(links(&"https://a.example](".repeat(50_000)), ["https://a.example"]);
        let many: Vec<String> = (0..30_000).map(|at| format!("https://a.example/{at}")).collect();
        assert_eq!(links(&many.join(" ")).len(), many.len());
    }

    #[test]
    fn claims_name_commands_people_and_keys() {
        let text = "Ran `cargo  test`, mailed anna@example.com about MC-12.";
        assert_eq!(exact(text), ["cargo test", "anna@example.com", "MC-12"]);
        assert_eq!(words("All tests passed"), words("the test"));
        assert_eq!(words("notified"), words("notify"));
    }
}
