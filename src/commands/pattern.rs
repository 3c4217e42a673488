//! What a rule holds of a command, and which patterns are worth keeping.

use serde::{Deserialize, Serialize};

use super::lookup::{Bound, Open, Seen};
use super::programs::{self, Tool};
use super::unwrap::Command;

/// The commands that a rule lets through. A released layout only grows at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pattern {
    /// This command with exactly these words, in this folder.
    Argv {
        /// What the command comes to, in hexadecimal digits.
        hash: String,
        /// The words, as they are shown.
        words: Vec<String>,
        /// Files of code that it runs, with what they held.
        files: Vec<Bound>,
    },
    /// What a program of the path does by its first words, with no other options than these, and with
    /// nothing outside of the folder among its words.
    Subcommand {
        /// The program's bare name.
        program: String,
        /// The words after it that say what it does, such as `status`.
        words: Vec<String>,
        /// The names of the options that it may have, sorted.
        options: Vec<String>,
    },
}

/// Patterns that let a whole line through together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// One for each command of the line, none twice.
    pub patterns: Vec<Pattern>,
}

impl Pattern {
    /// The pattern in words for people.
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

/// What a pattern is found by among many: a command that it lets through has the same key.
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
    /// What it is found by.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Argv { hash, .. } => Key::of_hash(hash),
            Self::Subcommand { program, words, .. } => Key::of_words(program, words),
        }
    }
}

impl Seen {
    /// The keys of all patterns that may let this command through.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let exact = self.keeps.then(|| Key::of_hash(&self.hash));
        let open = self.open.as_ref();
        exact
            .into_iter()
            .chain(open.and_then(|open| Some(Key::of_words(&open.program, self.act(open)?))))
    }

    /// The words by which a command says what it does; none where what was kept of it has fewer.
    fn act(&self, open: &Open) -> Option<&[String]> {
        self.argv.get(1..=open.act)
    }

    /// Whether a pattern lets this command through.
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

/// What may be kept of a line beyond once, the narrowest first; nothing if a part of it may not.
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

/// What may be left open of a command of a program that the path finds.
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

/// The name of an option without its value: what stands behind `=`, or a number at its end.
fn name(option: &str) -> String {
    let name = option.split_once('=').map_or(option, |(name, _)| name);
    name.trim_end_matches(|sign: char| sign.is_ascii_digit()).to_owned()
}

/// Words as a person would type them.
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
