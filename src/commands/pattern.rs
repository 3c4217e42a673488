//! Patterns of rules, and which of them to offer for a line.

use serde::{Deserialize, Serialize};

use super::lookup::{Bound, Open, Seen};
use super::programs::{self, Tool};
use super::unwrap::Command;

/// The commands that a rule permits. Stored: a released layout only grows at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pattern {
    /// This command with exactly these words, in this folder.
    Argv {
        /// Fingerprint in hex.
        hash: String,
        /// For display.
        words: Vec<String>,
        /// Code files that it runs, with their hashes.
        files: Vec<Bound>,
    },
    /// A subcommand of a program in `PATH`, with these options only, and no argument that refers to a path outside the
    /// folder.
    Subcommand {
        /// Bare name.
        program: String,
        /// Subcommand words, such as `status`.
        words: Vec<String>,
        /// Names of permitted options, sorted.
        options: Vec<String>,
    },
}

/// Patterns that together permit a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// One per command, without duplicates.
    pub patterns: Vec<Pattern>,
}

impl Pattern {
    /// The pattern as text for people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Argv { words, .. } => shown(words),
            Self::Subcommand { program, words, options } => {
                let named = shown(&[std::slice::from_ref(program), words].concat());
                match options.is_empty() {
                    true => format!("{named} …, inside the folder, without options"),
                    false => format!("{named} …, inside the folder, with {}", options.join(" ")),
                }
            }
        }
    }
}

/// Index key of patterns: a command has the key of every pattern that may permit it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(String);

impl Key {
    fn of_hash(hash: &str) -> Self {
        Self(format!("={hash}"))
    }

    fn of_words(program: &str, words: &[String]) -> Self {
        let mut key = format!(">{program}");
        for word in words {
            key.push('\0');
            key.push_str(word);
        }
        Self(key)
    }
}

impl Pattern {
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Argv { hash, .. } => Key::of_hash(hash),
            Self::Subcommand { program, words, .. } => Key::of_words(program, words),
        }
    }
}

impl Seen {
    /// Keys of all patterns that may permit this command.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let exact = self.keeps.then(|| Key::of_hash(&self.hash));
        let open = self.open.as_ref();
        exact
            .into_iter()
            .chain(open.and_then(|open| Some(Key::of_words(&open.program, self.act(open)?))))
    }

    /// The words that determine the action; `None` if fewer words were stored.
    fn act(&self, open: &Open) -> Option<&[String]> {
        self.argv.get(1..=open.act)
    }

    /// Whether a pattern permits this command.
    #[must_use]
    pub fn matches(&self, pattern: &Pattern) -> bool {
        match pattern {
            Pattern::Argv { hash, files, .. } => {
                self.keeps && *hash == self.hash && *files == self.files
            }
            Pattern::Subcommand { program, words, options } => {
                self.open.as_ref().is_some_and(|open| {
                    open.program == *program
                        && self.act(open).is_some_and(|act| *act == **words)
                        && open.options.iter().all(|option| options.contains(option))
                })
            }
        }
    }

    fn exact(&self) -> Pattern {
        let (hash, words) = (self.hash.clone(), self.argv.clone());
        Pattern::Argv { hash, words, files: self.files.clone() }
    }

    fn subcommand(&self) -> Option<Pattern> {
        let Open { program, act, options } = self.open.clone()?;
        let words = self.argv[1..=act].to_vec();
        Some(Pattern::Subcommand { program, words, options })
    }
}

/// Patterns to offer for a line, the narrowest first; empty if a part of it must not be permitted permanently.
#[must_use]
pub fn scopes(seen: &[Seen]) -> Vec<Scope> {
    if seen.is_empty() || seen.iter().any(|seen| !seen.keeps) {
        return Vec::new();
    }
    let exact = Scope::of(seen.iter().map(Seen::exact));
    let open = Scope::of(seen.iter().map(|seen| seen.subcommand().unwrap_or_else(|| seen.exact())));
    match exact == open {
        true => vec![exact],
        false => vec![exact, open],
    }
}

impl Scope {
    fn of(all: impl Iterator<Item = Pattern>) -> Self {
        let mut patterns = Vec::new();
        for pattern in all {
            if !patterns.contains(&pattern) {
                patterns.push(pattern);
            }
        }
        Self { patterns }
    }
}

/// The part of a command that may vary; `program` is found in `PATH`.
pub(crate) fn open(program: &str, command: &Command) -> Option<Open> {
    let words = &command.argv[1..];
    let options: Vec<&String> = words.iter().filter(|word| is_option(word)).collect();
    if options.iter().any(|option| programs::carries(option)) {
        return None;
    }
    let act = match Tool::named(program) {
        Some(tool) => {
            let sends =
                |word: &String| program == "git" && (word.contains(':') || word.starts_with('+'));
            if options.iter().any(|option| Tool::carries(option)) || words.iter().any(sends) {
                return None;
            }
            tool.act(words)?
        }
        None if programs::looks(program) => 0,
        None => return None,
    };
    let mut options: Vec<String> = options.into_iter().map(|option| name(option)).collect();
    options.sort_unstable();
    options.dedup();
    Some(Open { program: program.to_owned(), act, options })
}

fn is_option(word: &str) -> bool {
    word.len() > 1 && word.starts_with('-')
}

/// Name of an option, without `=value` or a trailing number.
fn name(option: &str) -> String {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    name.trim_end_matches(|sign: char| sign.is_ascii_digit()).to_owned()
}

/// Words in shell notation.
fn shown(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word.chars().all(|sign| sign.is_alphanumeric() || "-_./=:@%+,".contains(sign))
    };
    let quoted = |word: &String| match plain(word) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}
