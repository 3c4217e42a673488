//! Resolution of the names in a line on this machine.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::reduce::{Reduced, joined};
use super::unwrap::{self, Command, Unwrapped};
use super::{MAX_SEGMENTS, Pattern, Why, inside, pattern, programs};

/// System program folders.
const SYSTEM: &[&str] = &["/bin/", "/usr/bin/", "/usr/local/bin/"];

/// Queries about the machine on which a line would run.
pub trait Machine {
    /// Absolute path of the program that a bare name finds in `PATH`.
    fn resolve(&self, name: &str) -> Option<String>;
    /// An absolute path, possibly with `..`, with all links resolved; missing parts stay as they are. `None` if it
    /// cannot be determined.
    fn real(&self, path: &str) -> Option<String>;
    /// SHA-256 of a file, in hex.
    fn hash(&self, path: &str) -> Option<String>;
}

/// Where a line would run.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Folder that rules are bound to: absolute, without links.
    pub folder: &'a str,
    /// Start folder of the line: absolute, without links.
    pub start: &'a str,
    pub machine: &'a dyn Machine,
}

/// A command in one of its possible folders, prepared for matching with many rules. Stored in records, so a released
/// layout is frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Program name and arguments.
    pub argv: Vec<String>,
    /// Code files that it runs, with their hashes.
    pub files: Vec<Bound>,
    /// Rules may permit it; otherwise none does.
    pub keeps: bool,
    pub(crate) hash: String,
    /// Arguments that a rule may leave open.
    pub(crate) open: Option<Open>,
}

/// A code file with the hash of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// With all links resolved.
    pub path: String,
    /// SHA-256 in hex.
    pub hash: String,
}

/// A command whose arguments may vary while its action stays the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub program: String,
    /// Number of words after the program that determine the action.
    pub act: usize,
    /// Names of its options, sorted.
    pub options: Vec<String>,
}

/// Resolves the commands of a line on this machine.
pub fn resolve(line: &Reduced, place: &Place<'_>) -> Result<Vec<Seen>, Why> {
    let segments = match line {
        Reduced::Plan(segments) => segments,
        Reduced::Opaque(why) => return Err(*why),
    };
    let (mut seen, mut facts) = (Vec::new(), LineFacts::of(place));
    for segment in segments {
        let commands = match unwrap::unwrap(&segment.argv) {
            Unwrapped::Commands(commands) => commands,
            Unwrapped::Opaque(why) => return Err(why),
        };
        for command in &commands {
            let program = facts.program(&command.argv[0]);
            for outer in &segment.folders {
                for inner in &command.folders {
                    let at = facts.folder(joined(place.start, &joined(outer, inner)));
                    seen.push(Seen::of(command, program, at, place));
                }
            }
            if seen.len() > MAX_SEGMENTS {
                return Err(Why::Long);
            }
        }
    }
    Ok(seen)
}

/// Cached queries for one line, whose commands share programs and folders.
struct LineFacts<'a> {
    place: &'a Place<'a>,
    /// Program names as written, and whether the bare name finds the same program.
    programs: HashMap<String, bool>,
    folders: Vec<Folder>,
}

/// A folder in which commands run.
struct Folder {
    path: String,
    /// With all links resolved.
    real: Option<String>,
    /// Whether it is within the place's folder.
    is_inside: bool,
}

impl<'a> LineFacts<'a> {
    fn of(place: &'a Place<'a>) -> Self {
        Self { place, programs: HashMap::new(), folders: Vec::new() }
    }

    /// The bare name of a program that `PATH` finds outside the agent's folder.
    fn program<'p>(&mut self, written: &'p str) -> Option<&'p str> {
        let name = written.rsplit('/').next().unwrap_or(written);
        let known = match self.programs.get(written) {
            Some(known) => *known,
            None => {
                let known = finds(name, written, self.place);
                self.programs.insert(written.to_owned(), known);
                known
            }
        };
        known.then_some(name)
    }

    fn folder(&mut self, path: String) -> &Folder {
        let at = match self.folders.iter().position(|folder| folder.path == path) {
            Some(at) => at,
            None => {
                let real = self.place.machine.real(&path);
                let is_inside =
                    real.as_ref().is_some_and(|real| inside::within(self.place.folder, real));
                self.folders.push(Folder { path, real, is_inside });
                self.folders.len() - 1
            }
        };
        &self.folders[at]
    }
}

/// The commands that no rule permits; if empty, the line is permitted.
#[must_use]
pub fn misses<'a>(seen: &'a [Seen], rules: &[Pattern]) -> Vec<&'a Seen> {
    seen.iter().filter(|seen| !rules.iter().any(|rule| seen.matches(rule))).collect()
}

impl Seen {
    /// An equivalent for matching with fewer words: only those that rules examine individually; all others are part of
    /// the fingerprint.
    #[must_use]
    pub fn reduced(&self) -> Self {
        let words = self.open.as_ref().map_or(1, |open| 1 + open.act);
        Self {
            argv: self.argv.iter().take(words).cloned().collect(),
            files: self.files.clone(),
            keeps: self.keeps,
            hash: self.hash.clone(),
            open: self.open.clone(),
        }
    }

    /// A fixed value for golden tests of records.
    #[must_use]
    pub fn sample() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            argv: texts(&["git", "log"]),
            files: vec![Bound { path: "/w/a.py".to_owned(), hash: "00ff".to_owned() }],
            keeps: true,
            hash: "ab12".to_owned(),
            open: Some(Open { program: "git".to_owned(), act: 1, options: texts(&["--all"]) }),
        }
    }

    /// All texts in it: words, option names and file paths.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let options = self.open.iter().flat_map(|open| &open.options);
        let words = self.argv.iter().chain(options).map(String::as_str);
        words.chain(self.files.iter().map(|file| file.path.as_str()))
    }

    /// Whether its effect follows from its words alone: a known system program that reads no files of instructions.
    /// Other programs may load files that the line does not name.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Some((program, words)) = self.argv.split_first() else { return false };
        let name = SYSTEM.iter().find_map(|folder| program.strip_prefix(folder)).unwrap_or(program);
        self.keeps
            && self.files.is_empty()
            && programs::is_plain_program(name)
            && !words.iter().any(|word| programs::runs_for_each(word))
            && !words.iter().any(|word| word.starts_with("--") && programs::carries(word))
    }

    /// Resolves a command in a folder; `program` is set if `PATH` finds it.
    fn of(command: &Command, program: Option<&str>, folder: &Folder, place: &Place<'_>) -> Self {
        let (argv, at) = (&command.argv, folder.path.as_str());
        let by_path =
            program.is_none().then_some(argv[0].as_str()).filter(|name| name.contains('/'));
        let code: Vec<&str> = by_path.into_iter().chain(programs::script(argv)).collect();
        let files: Vec<Bound> =
            code.iter().filter_map(|path| Bound::of(&joined(at, path), place)).collect();
        let known = (program.is_some() || by_path.is_some()) && files.len() == code.len();
        let keeps = known && !command.inline && folder.real.is_some();
        let open = program.filter(|_| keeps && files.is_empty() && folder.is_inside);
        let open = open.and_then(|program| pattern::open(program, command));
        let words = command.argv[1..].iter().chain(&command.touches);
        let open = open.filter(|_| inside::all(place, at, words));
        let hash = fingerprint(command, folder.real.as_deref().unwrap_or(at), place.folder);
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

/// Whether `PATH` finds the written program by its bare name, outside the agent's folder.
fn finds(name: &str, written: &str, place: &Place<'_>) -> bool {
    match place.machine.resolve(name) {
        Some(path) => (written == name || written == path) && !inside::holds(place, &path),
        None => written == name && programs::is_builtin(name),
    }
}

/// Fingerprint of a command: its words, its folder, and the files that its wrappers open.
fn fingerprint(command: &Command, at: &str, folder: &str) -> String {
    // Relative, since the workspace's path differs between machines.
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
