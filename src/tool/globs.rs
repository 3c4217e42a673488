//! Path patterns in the syntax of ignore files: `*.rs`, `docs/**`, `!keep.md`.

use regex::{Regex, RegexBuilder};

/// Maximum number of ignore rules.
const MAX_RULES: usize = 500;
/// Maximum size of a compiled pattern, in bytes.
const MAX_PATTERN: usize = 1 << 20;

/// Compiles a text pattern: a regular expression or literal text. A regular expression is case-sensitive only if it
/// contains upper case; literal text never is.
///
/// # Errors
/// The regex error.
pub fn words(pattern: &str, is_expression: Expression) -> Result<Regex, String> {
    let (source, blind) = match is_expression {
        Expression::Plain => (regex::escape(pattern), true),
        Expression::Regular => (pattern.to_owned(), !pattern.chars().any(char::is_uppercase)),
    };
    let built = RegexBuilder::new(&source).case_insensitive(blind).size_limit(MAX_PATTERN).build();
    built.map_err(|error| error.to_string())
}

/// How a text pattern is interpreted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expression {
    /// Literal text.
    Plain,
    /// A regular expression.
    Regular,
}

/// Compiles a path pattern. A pattern without a slash matches names in any folder.
///
/// # Errors
/// The regex error.
pub fn path(pattern: &str) -> Result<Regex, String> {
    let anchored = pattern.trim_end_matches('/').contains('/');
    let pattern = pattern.trim_start_matches('/').trim_end_matches('/');
    let start = if anchored { "^" } else { "^(?:.*/)?" };
    let source = format!("{start}{}$", expression(pattern));
    let built = RegexBuilder::new(&source).size_limit(MAX_PATTERN).build();
    built.map_err(|error| error.to_string())
}

fn expression(pattern: &str) -> String {
    let mut out = String::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                if rest.next_if_eq(&'/').is_some() {
                    out.push_str("(?:.*/)?");
                } else {
                    out.push_str(".*");
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => out.push_str(&regex::escape(&rest.next().unwrap_or('\\').to_string())),
            '[' => {
                let inner: String = rest.by_ref().take_while(|c| *c != ']').collect();
                let (not, inner) = match inner.strip_prefix(['!', '^']) {
                    Some(inner) => ("^", inner),
                    None => ("", inner.as_str()),
                };
                let inner = inner.replace('\\', "\\\\").replace('[', "\\[").replace("&&", "&");
                out.push_str(&format!("[{not}{inner}]"));
            }
            other => out.push_str(&regex::escape(&other.to_string())),
        }
    }
    out
}

/// The rules of all ignore files in a folder.
#[derive(Debug, Default)]
pub struct Ignore {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    /// Folder of the ignore file: empty, or with a trailing slash.
    base: String,
    pattern: Regex,
    brings_back: bool,
    only_folders: bool,
}

impl Ignore {
    /// Returns `true` if a file of this name is an ignore file.
    #[must_use]
    pub fn is_file(name: &str) -> bool {
        matches!(name, ".gitignore" | ".ignore")
    }

    /// Adds the rules of an ignore file in `folder`. Outer folders come first. Invalid lines are ignored.
    pub fn add(&mut self, folder: &str, content: &str) {
        let base = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        for line in content.lines().map(str::trim_end).filter(|l| !l.is_empty()) {
            if line.starts_with('#') || self.rules.len() >= MAX_RULES {
                continue;
            }
            let (brings_back, line) = match line.strip_prefix('!') {
                Some(line) => (true, line),
                None => (false, line),
            };
            if let Ok(pattern) = path(line) {
                let (base, only_folders) = (base.clone(), line.ends_with('/'));
                self.rules.push(Rule { base, pattern, brings_back, only_folders });
            }
        }
    }

    /// Returns `true` if the file or one of its parent folders is ignored.
    #[must_use]
    pub fn covers(&self, file: &str) -> bool {
        if self.rules.is_empty() {
            return false;
        }
        let folders = file.match_indices('/').map(|(at, _)| (&file[..at], true));
        let mut all = folders.chain([(file, false)]);
        all.any(|(path, is_folder)| self.matches(path, is_folder))
    }

    fn matches(&self, path: &str, is_folder: bool) -> bool {
        let fits = |rule: &&Rule| {
            let inner = path.strip_prefix(&rule.base);
            (is_folder || !rule.only_folders)
                && inner.is_some_and(|inner| rule.pattern.is_match(inner))
        };
        self.rules.iter().rev().find(fits).is_some_and(|rule| !rule.brings_back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_names_anywhere_and_paths_from_the_top() {
        for (pattern, fits, fails) in [
            ("*.rs", "src/a.rs", "a.rs.txt"),
            ("src/*.rs", "src/a.rs", "src/b/a.rs"),
            ("src/**/a.rs", "src/b/c/a.rs", "lib/a.rs"),
            ("docs/**", "docs/a/b", "doc/a"),
            ("a?[!x-z].md", "abc.md", "abx.md"),
            ("/top.md", "top.md", "a/top.md.x"),
            ("a.b", "a.b", "axb"),
        ] {
            let pattern = path(pattern).unwrap();
            assert!(pattern.is_match(fits) && !pattern.is_match(fails), "{pattern}");
        }
    }

    #[test]
    fn ignore_files_leave_out_and_bring_back() {
        let mut ignore = Ignore::default();
        ignore.add("", "# words\n*.log\nbuild/\n/top.txt\n!keep.log\n");
        ignore.add("sub", "local.md\n");
        for path in ["a.log", "x/y.log", "build/a/b.c", "top.txt", "sub/local.md"] {
            assert!(ignore.covers(path), "{path}");
        }
        for path in ["keep.log", "x/top.txt", "local.md", "builder/a", "build"] {
            assert!(!ignore.covers(path), "{path}");
        }
    }

    #[test]
    fn text_is_found_plainly_or_by_expression() {
        let found = |pattern, how, text| words(pattern, how).unwrap().is_match(text);
        assert!(found("a.b(", Expression::Plain, "x A.B(y"));
        assert!(found("fn \\w+", Expression::Regular, "Fn main"));
        assert!(!found("Fn \\w+", Expression::Regular, "fn main"));
        assert!(words("a(", Expression::Regular).is_err());
        assert!(words(&"(a{900}){900}".repeat(9), Expression::Regular).is_err(), "too large");
    }
}
