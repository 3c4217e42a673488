//! What a command line would do on this machine as a program in the jail finds it, and the files of the agent that it
//! names: what a yes is bound to, and what a permission is compared with.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use commands::{Machine, Reduced, Seen};
use git::files::AgentFiles;

use super::model::Witness;

/// The most files that a yes is bound to one by one.
const MAX_FILES: usize = 32;
/// The most places in which a word of a line is looked for.
const MAX_TRIED: usize = 2_000;
/// The largest file that is bound, in bytes: tools of the agent read and write none that is larger.
const MAX_FILE: u64 = 10 * 1024 * 1024;
/// Where a bare name is looked for in the jail.
const PATH: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A command line: what the shell will make of it, and what that is on this machine.
#[derive(Debug)]
pub struct Line {
    /// To the letter.
    pub text: String,
    /// The folder in which it runs.
    pub cwd: String,
    /// What the shell will make of it.
    pub reduced: Reduced,
    /// What that is here, or why it cannot be told.
    pub seen: Result<Vec<Seen>, commands::Why>,
}

/// A command line as it is on this machine now, and the files of the agent that it names. It runs below the agent's folder
/// at `below`. Blocking.
#[must_use]
pub fn looked_at(text: String, folder: &Path, below: &str) -> (Line, Vec<Witness>) {
    let jail = Jail::at(folder);
    let below = match (&jail.files, below) {
        (_, "") | (None, _) => String::new(),
        // ok: a folder that is refused here is refused by the program's start, too.
        (Some(files), below) => files.relative(below).unwrap_or_default(),
    };
    let line = jail.line(text, &jail.folder.join(below));
    let files = witnesses(&line, &jail);
    (line, files)
}

/// The files of the agent that a line names, as they are now. Of very many the last stands for all others. Blocking.
fn witnesses(line: &Line, jail: &Jail) -> Vec<Witness> {
    let mut found = BTreeMap::new();
    for bound in line.seen.iter().flatten().flat_map(|seen| &seen.files) {
        found.extend(jail.sum(Path::new(&bound.path)));
    }
    let mut tried = BTreeSet::new();
    for (at, word) in words_of(line) {
        let path = Path::new(&line.cwd).join(at).join(word);
        if tried.len() < MAX_TRIED && tried.insert(path.clone()) {
            // ok: no file, no witness
            found.extend(path.canonicalize().ok().and_then(|path| jail.sum(&path)));
        }
    }
    let mut all: Vec<Witness> =
        found.into_iter().map(|(path, hash)| Witness { path, hash }).collect();
    if MAX_FILES < all.len() {
        let rest = all.split_off(MAX_FILES - 1);
        let mut hash = Sha256::new();
        for one in &rest {
            hash.update((one.path.len() as u64).to_le_bytes());
            hash.update(one.path.as_bytes());
            hash.update(one.hash);
        }
        let path = format!("{} more files", rest.len());
        all.push(Witness { path, hash: hash.finalize().into() });
    }
    all
}

/// The machine as a program in the jail finds it, with the agent's folder if it is there. A file outside of that has no
/// hash: a yes to it is never kept.
pub(super) struct Jail {
    folder: PathBuf,
    files: Option<AgentFiles>,
}

impl Jail {
    pub(super) fn at(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Self { files: AgentFiles::open(&folder).ok(), folder }
    }

    /// A command line that runs in this folder.
    pub(super) fn line(&self, text: String, cwd: &Path) -> Line {
        let (at, cwd) = (self.folder.display().to_string(), cwd.display().to_string());
        let reduced = commands::reduce(&text);
        let place = commands::Place { folder: &at, start: &cwd, machine: self };
        let seen = commands::look(&reduced, &place);
        Line { text, cwd, reduced, seen }
    }

    /// The name and SHA-256 of a file of the agent that tools can read.
    fn sum(&self, path: &Path) -> Option<(String, [u8; 32])> {
        let name = path.strip_prefix(&self.folder).ok()?.display().to_string();
        let part = self.files.as_ref()?.read_up_to(&name, MAX_FILE).ok()??;
        (part.total <= MAX_FILE).then(|| (name, Sha256::digest(&part.bytes).into()))
    }
}

impl Machine for Jail {
    fn resolve(&self, name: &str) -> Option<String> {
        let found = PATH.iter().map(|dir| Path::new(dir).join(name)).find(|path| path.is_file())?;
        Some(found.display().to_string())
    }

    fn real(&self, path: &str) -> Option<String> {
        let path = Path::new(path);
        for above in path.ancestors() {
            if let Ok(real) = above.canonicalize() {
                let rest = path.strip_prefix(above).ok()?; // ok: it is one of its ancestors
                return Some(real.join(rest).display().to_string());
            }
        }
        None
    }

    fn hash(&self, path: &str) -> Option<String> {
        self.sum(Path::new(path)).map(|(_, hash)| hex::encode(hash))
    }
}

/// The words of a command line that may be files, each with the folders that it may be seen from, below the line's own.
/// Of a line that cannot be taken apart these are all words below all words.
fn words_of(line: &Line) -> Vec<(String, String)> {
    let mut words = Vec::new();
    match &line.reduced {
        Reduced::Plan(parts) => {
            for part in parts {
                let commands = match commands::unwrap(&part.argv) {
                    commands::Unwrapped::Commands(commands) => commands,
                    commands::Unwrapped::Opaque(_) => {
                        let said = part.argv.iter().map(|word| (String::new(), word.clone()));
                        words.extend(said);
                        loose(&part.argv.join(" "), &mut words);
                        continue;
                    }
                };
                for (outer, command) in
                    part.folders.iter().flat_map(|at| commands.iter().map(move |one| (at, one)))
                {
                    for inner in &command.folders {
                        let at = format!("{outer}/{inner}");
                        let at = at.trim_matches('/');
                        words.extend(command.argv.iter().map(|word| (at.to_owned(), word.clone())));
                    }
                }
            }
        }
        Reduced::Opaque(_) => loose(&line.text, &mut words),
    }
    words
}

/// All that looks like a word, also below all else that does.
fn loose(text: &str, words: &mut Vec<(String, String)>) {
    let parts = text.split(|c: char| c.is_whitespace() || "\"'`;|&<>()$={}".contains(c));
    let parts: Vec<&str> = parts.filter(|word| !word.is_empty()).take(MAX_FILES).collect();
    for at in std::iter::once("").chain(parts.iter().copied()) {
        words.extend(parts.iter().map(|word| (at.to_owned(), (*word).to_owned())));
    }
}
