//! Resolves a command line on this machine as a program in the sandbox sees it, and the agent's files that it names.
//! Approvals are bound to these files, and permissions are compared with the resolved commands.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use commands::{Machine, Reduced, Seen};
use git::files::AgentFiles;

use super::model::Witness;

/// Maximum number of files that an approval is bound to one by one.
const MAX_FILES: usize = 32;
/// Maximum number of paths tried for the words of a line.
const MAX_TRIED: usize = 2_000;
/// Maximum size of a bound file in bytes. The agent's tools read and write no larger files.
const MAX_FILE: u64 = 10 * 1024 * 1024;
/// Maximum length in bytes of a path whose parent folders are cached.
const MAX_WALKED: usize = 1_024;
/// Maximum number of cached paths, and of cached programs.
const MAX_KEPT: usize = 4_096;
/// Search path for programs in the sandbox.
const PATH: &[&str] =
    &["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A command line with its parsed and resolved forms.
#[derive(Debug)]
pub struct Line {
    /// Unchanged text.
    pub text: String,
    /// Working folder.
    pub cwd: String,
    /// Parsed form.
    pub reduced: Reduced,
    /// The resolved commands, or why they cannot be determined.
    pub seen: Result<Vec<Seen>, commands::Why>,
}

/// Resolves a command line, and hashes the agent's files that it names. `below` is its folder within the agent's
/// folder. Blocking.
#[must_use]
pub fn looked_at(text: String, folder: &Path, below: &str) -> (Line, Vec<Witness>) {
    let jail = Jail::at(folder);
    let below = match below {
        "" => String::new(),
        // ok: an invalid folder makes the program's start fail too.
        below => jail.files().and_then(|files| files.relative(below).ok()).unwrap_or_default(),
    };
    let line = jail.line(text, &jail.folder.join(below));
    let files = witnesses(&line, &jail);
    (line, files)
}

/// The commands that a line would run in an agent's folder. Blocking.
pub fn seen(text: &str, folder: &Path) -> Result<Vec<Seen>, commands::Why> {
    let jail = Jail::at(folder);
    jail.seen(&commands::reduce(text), &jail.folder.display().to_string())
}

/// Hashes of the agent's files that a line names. Beyond the limit, the last entry covers all others. Blocking.
fn witnesses(line: &Line, jail: &Jail) -> Vec<Witness> {
    let mut found = BTreeMap::new();
    for bound in line.seen.iter().flatten().flat_map(|seen| &seen.files) {
        found.extend(jail.sum(Path::new(&bound.path)));
    }
    let mut tried = HashSet::new();
    for (at, word) in words_of(line) {
        let path = Path::new(&line.cwd).join(at).join(word);
        if tried.len() < MAX_TRIED && tried.insert(path.clone()) {
            found.extend(jail.there(&path).and_then(|path| jail.sum(&path)));
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

/// The machine as the sandbox shows it, with the agent's folder if it exists. Files outside that folder have no hash,
/// so their approval is never saved.
struct Jail {
    folder: PathBuf,
    /// Opened on first use; `None` if the folder does not exist.
    files: OnceCell<Option<AgentFiles>>,
    /// Cache of resolved program names.
    programs: RefCell<HashMap<String, Option<String>>>,
    /// Cache of canonical paths; `None` for missing paths.
    followed: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
}

impl Jail {
    fn at(folder: &Path) -> Self {
        let real = folder.canonicalize().ok(); // ok: the folder does not exist
        // Most paths lie below this folder, which is canonical already.
        let followed = real.iter().map(|real| (real.clone(), Some(real.clone()))).collect();
        Self {
            folder: real.unwrap_or_else(|| folder.to_owned()),
            files: OnceCell::new(),
            programs: RefCell::default(),
            followed: RefCell::new(followed),
        }
    }

    /// Parses and resolves a line with this working folder.
    fn line(&self, text: String, cwd: &Path) -> Line {
        let (cwd, reduced) = (cwd.display().to_string(), commands::reduce(&text));
        let seen = self.seen(&reduced, &cwd);
        Line { text, cwd, reduced, seen }
    }

    /// Resolves a parsed line that begins in this folder.
    fn seen(&self, reduced: &Reduced, start: &str) -> Result<Vec<Seen>, commands::Why> {
        let at = self.folder.display().to_string();
        commands::resolve(reduced, &commands::Place { folder: &at, start, machine: self })
    }

    fn files(&self) -> Option<&AgentFiles> {
        // ok: without a folder there are no files.
        self.files.get_or_init(|| AgentFiles::open(&self.folder).ok()).as_ref()
    }

    /// Canonical path at the first lookup; `None` if the path does not exist.
    fn there(&self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.followed.borrow().get(path) {
            return known.clone();
        }
        let found = match (path.parent(), path.file_name()) {
            // A non-link in a canonical folder needs no further resolution.
            (Some(above), Some(name))
                if path.is_absolute() && path.as_os_str().len() < MAX_WALKED =>
            {
                self.there(above).and_then(|above| {
                    let path = above.join(name);
                    match path.symlink_metadata() {
                        Ok(found) if found.is_symlink() => path.canonicalize().ok(), // ok: broken link
                        found => found.ok().map(|_| path), // ok: missing path
                    }
                })
            }
            _ => path.canonicalize().ok(), // ok: missing path
        };
        let mut followed = self.followed.borrow_mut();
        if MAX_KEPT <= followed.len() {
            followed.clear();
        }
        followed.insert(path.to_owned(), found.clone());
        found
    }

    /// Name and SHA-256 of a file that the agent's tools can read.
    fn sum(&self, path: &Path) -> Option<(String, [u8; 32])> {
        let name = path.strip_prefix(&self.folder).ok()?.display().to_string();
        let part = self.files()?.read_up_to(&name, MAX_FILE).ok()??;
        (part.total <= MAX_FILE).then(|| (name, Sha256::digest(&part.bytes).into()))
    }
}

impl Machine for Jail {
    fn resolve(&self, name: &str) -> Option<String> {
        let mut programs = self.programs.borrow_mut();
        if MAX_KEPT <= programs.len() {
            programs.clear();
        }
        let found = programs.entry(name.to_owned()).or_insert_with(|| {
            let mut all = PATH.iter().map(|dir| Path::new(dir).join(name));
            all.find(|path| path.is_file()).map(|path| path.display().to_string())
        });
        found.clone()
    }

    fn real(&self, path: &str) -> Option<String> {
        let path = Path::new(path);
        for above in path.ancestors() {
            if let Some(real) = self.there(above) {
                let rest = path.strip_prefix(above).ok()?; // ok: `above` is an ancestor of `path`
                return Some(real.join(rest).display().to_string());
            }
        }
        None
    }

    fn hash(&self, path: &str) -> Option<String> {
        self.sum(Path::new(path)).map(|(_, hash)| hex::encode(hash))
    }
}

/// Words of a line that may be files, as (folder, word). Folders are relative to the line's working folder. For a
/// line that cannot be parsed: all words below all words.
fn words_of(line: &Line) -> Vec<(String, String)> {
    let mut words = Vec::new();
    match &line.reduced {
        Reduced::Plan(parts) => {
            for part in parts {
                let commands = match commands::unwrap(&part.argv) {
                    commands::Unwrapped::Commands(commands) => commands,
                    commands::Unwrapped::Opaque(_) => {
                        let pairs = part.argv.iter().map(|word| (String::new(), word.clone()));
                        words.extend(pairs);
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

/// All word-like parts of a text, each also below every other part.
fn loose(text: &str, words: &mut Vec<(String, String)>) {
    let parts = text.split(|c: char| c.is_whitespace() || "\"'`;|&<>()$={}".contains(c));
    let parts: Vec<&str> = parts.filter(|word| !word.is_empty()).take(MAX_FILES).collect();
    for at in std::iter::once("").chain(parts.iter().copied()) {
        words.extend(parts.iter().map(|word| (at.to_owned(), (*word).to_owned())));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_remembered_of_paths_is_what_the_machine_says_of_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a folder");
        fs::create_dir_all(root.join("a/b")).expect("folders");
        fs::write(root.join("a/b/file"), "words").expect("a file");
        for (at, to) in [("in", "a/b"), ("out", "/etc"), ("gone", "nowhere"), ("round", "round")] {
            symlink(to, root.join(at)).expect("a link");
        }
        let jail = Jail::at(&root);
        let paths = [
            "a",
            "a/b/file",
            "a/none",
            "none/file",
            "in",
            "in/file",
            "in/../b/file",
            "in/..",
            "out",
            "out/passwd",
            "out/../etc",
            "gone",
            "gone/file",
            "round",
            "a/b/file/more",
            "a/./b",
            "",
        ];
        for path in paths.into_iter().chain(paths) {
            let path = root.join(path);
            assert_eq!(jail.there(&path), path.canonicalize().ok(), "{}", path.display());
        }
        assert_eq!(jail.real("/none/at/all").as_deref(), Some("/none/at/all"));
        let real = jail.real(&root.join("in/new/file").display().to_string());
        assert_eq!(real, Some(root.join("a/b/new/file").display().to_string()));
        for text in ["ls -l a && ls out; cd in && cat file", "sh a/b/file", "ls $(x)", "ls in/.."] {
            let (line, _) = looked_at(text.to_owned(), &root, "");
            assert_eq!(seen(text, &root), line.seen, "{text}");
        }
    }
}
