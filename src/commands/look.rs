//! What the names in a line mean on this machine.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::reduce::{Reduced, joined};
use super::unwrap::{self, Command, Unwrapped};
use super::{MAX_SEGMENTS, Pattern, Why, inside, pattern, programs};

/// What is asked of the machine on which a line would run.
pub trait Machine {
    /// The program that a bare name finds on the path, as an absolute path.
    fn resolve(&self, name: &str) -> Option<String>;
    /// An absolute path, which may have `..` in it, with all links followed; parts that do not exist stay
    /// as they are. Nothing if it cannot be told.
    fn real(&self, path: &str) -> Option<String>;
    /// The SHA-256 of a file, in hexadecimal digits.
    fn hash(&self, path: &str) -> Option<String>;
}

/// Where a line would run.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The folder that rules are bound to: absolute, without links.
    pub folder: &'a str,
    /// The folder in which the line starts: absolute, without links.
    pub start: &'a str,
    /// The machine.
    pub machine: &'a dyn Machine,
}

/// One command of a line in one of the folders in which it may run, compared with rules many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The program's name and its words.
    pub argv: Vec<String>,
    /// Files of code that it runs, with what they hold now.
    pub files: Vec<Bound>,
    /// Whether a rule may be kept for it; otherwise none lets it through.
    pub keeps: bool,
    pub(crate) hash: String,
    /// What may be left open of it.
    pub(crate) open: Option<Open>,
}

/// A file of code, bound to what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The path, with all links followed.
    pub path: String,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub hash: String,
}

/// A command whose words may differ as long as what it does stays the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    pub program: String,
    /// How many words after the program say what it does.
    pub act: usize,
    /// The names of its options, sorted.
    pub options: Vec<String>,
}

/// The commands that a line will run, as this machine would run them.
///
/// # Errors
/// Why that cannot be told.
pub fn look(line: &Reduced, place: &Place<'_>) -> Result<Vec<Seen>, Why> {
    let segments = match line {
        Reduced::Plan(segments) => segments,
        Reduced::Opaque(why) => return Err(*why),
    };
    let mut seen = Vec::new();
    for segment in segments {
        let commands = match unwrap::unwrap(&segment.argv) {
            Unwrapped::Commands(commands) => commands,
            Unwrapped::Opaque(why) => return Err(why),
        };
        for command in &commands {
            for outer in &segment.folders {
                seen.extend(command.folders.iter().map(|inner| {
                    let at = joined(place.start, &joined(outer, inner));
                    Seen::of(command, &at, place)
                }));
            }
            if seen.len() > MAX_SEGMENTS {
                return Err(Why::Long);
            }
        }
    }
    Ok(seen)
}

/// The commands of a line that no rule lets through; the line passes if there are none.
#[must_use]
pub fn misses<'a>(seen: &'a [Seen], rules: &[Pattern]) -> Vec<&'a Seen> {
    seen.iter().filter(|seen| !rules.iter().any(|rule| seen.matches(rule))).collect()
}

impl Seen {
    fn of(command: &Command, at: &str, place: &Place<'_>) -> Self {
        let argv = &command.argv;
        let program = found(&argv[0], place);
        let by_path =
            program.is_none().then_some(argv[0].as_str()).filter(|name| name.contains('/'));
        let code: Vec<&str> = by_path.into_iter().chain(programs::script(argv)).collect();
        let files: Vec<Bound> =
            code.iter().filter_map(|path| Bound::of(&joined(at, path), place)).collect();
        let known = (program.is_some() || by_path.is_some()) && files.len() == code.len();
        let at_real = place.machine.real(at);
        let keeps = known && !command.inline && at_real.is_some();
        let open = program.filter(|_| keeps && files.is_empty() && inside::holds(place, at));
        let open = open.and_then(|program| pattern::open(program, command));
        let words = command.argv[1..].iter().chain(&command.touches);
        let open = open.filter(|_| inside::all(place, at, &words.cloned().collect::<Vec<_>>()));
        let hash = fingerprint(command, at_real.as_deref().unwrap_or(at), place.folder);
        Self { argv: argv.clone(), files, keeps, hash, open }
    }
}

impl Bound {
    fn of(path: &str, place: &Place<'_>) -> Option<Self> {
        let path = place.machine.real(path)?;
        let hash = place.machine.hash(&path)?;
        Some(Self { path, hash })
    }
}

/// The bare name of a program that the path finds, outside of the folder in which an agent writes.
fn found<'a>(program: &'a str, place: &Place<'_>) -> Option<&'a str> {
    let name = program.rsplit('/').next().unwrap_or(program);
    let known = match place.machine.resolve(name) {
        Some(path) => (program == name || program == path) && !inside::holds(place, &path),
        None => program == name && programs::is_builtin(name),
    };
    known.then_some(name)
}

/// What makes a command the same one again: its words, the folder it runs in, and what its wrappers open.
fn fingerprint(command: &Command, at: &str, folder: &str) -> String {
    // Each workspace's folder has another path on another machine.
    let at = match inside::within(folder, at) {
        true => at[folder.trim_end_matches('/').len()..].trim_start_matches('/'),
        false => at,
    };
    let mut sum = Sha256::new();
    for list in [&[at.to_owned()][..], &command.touches, &command.argv] {
        sum.update((list.len() as u64).to_le_bytes());
        for word in list {
            sum.update((word.len() as u64).to_le_bytes());
            sum.update(word);
        }
    }
    hex::encode(sum.finalize())
}
