//! What a command line would do on this machine as a program in the jail finds it, and the files of the agent that it
//! names: what a yes is bound to, and what a permission is compared with.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
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
/// The longest path of which each folder is remembered, in bytes.
const MAX_WALKED: usize = 1_024;
/// So many paths are remembered, and so many programs: lines of many others are looked at one after the other.
const MAX_KEPT: usize = 4_096;
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
    let below = match below {
        "" => String::new(),
        // ok: a folder that is refused here is refused by the program's start, too.
        below => jail.files().and_then(|files| files.relative(below).ok()).unwrap_or_default(),
    };
    let line = jail.line(text, &jail.folder.join(below));
    let files = witnesses(&line, &jail);
    (line, files)
}

/// What a command line would run in an agent's folder on this machine now. Blocking.
pub fn seen(text: &str, folder: &Path) -> Result<Vec<Seen>, commands::Why> {
    let jail = Jail::at(folder);
    jail.seen(&commands::reduce(text), &jail.folder.display().to_string())
}

/// The files of the agent that a line names, as they are now. Of very many the last stands for all others. Blocking.
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

/// The machine as a program in the jail finds it, with the agent's folder if it is there. A file outside of that has no
/// hash: a yes to it is never kept.
struct Jail {
    folder: PathBuf,
    /// The agent's files, once one of them is looked for; none where its folder is not there.
    files: OnceCell<Option<AgentFiles>>,
    /// The programs that names were found to be, as a line asks for the same ones many times.
    programs: RefCell<HashMap<String, Option<String>>>,
    /// Paths that were asked for, with all links followed; none for what is not there.
    followed: RefCell<HashMap<PathBuf, Option<PathBuf>>>,
}

impl Jail {
    fn at(folder: &Path) -> Self {
        let real = folder.canonicalize().ok(); // ok: it is not there
        // Most paths that are asked for lie below it, and its links are followed.
        let followed = real.iter().map(|real| (real.clone(), Some(real.clone()))).collect();
        Self {
            folder: real.unwrap_or_else(|| folder.to_owned()),
            files: OnceCell::new(),
            programs: RefCell::default(),
            followed: RefCell::new(followed),
        }
    }

    /// A command line that runs in this folder.
    fn line(&self, text: String, cwd: &Path) -> Line {
        let (cwd, reduced) = (cwd.display().to_string(), commands::reduce(&text));
        let seen = self.seen(&reduced, &cwd);
        Line { text, cwd, reduced, seen }
    }

    /// What a line would run that begins in this folder.
    fn seen(&self, reduced: &Reduced, start: &str) -> Result<Vec<Seen>, commands::Why> {
        let at = self.folder.display().to_string();
        commands::look(reduced, &commands::Place { folder: &at, start, machine: self })
    }

    fn files(&self) -> Option<&AgentFiles> {
        // ok: without a folder there are no files.
        self.files.get_or_init(|| AgentFiles::open(&self.folder).ok()).as_ref()
    }

    /// A path with all links followed, as it was when somebody first asked for it; nothing when it is not there.
    fn there(&self, path: &Path) -> Option<PathBuf> {
        if let Some(known) = self.followed.borrow().get(path) {
            return known.clone();
        }
        let found = match (path.parent(), path.file_name()) {
            // What is no link, in a folder of which the links are followed, is not walked down to once more.
            (Some(above), Some(name))
                if path.is_absolute() && path.as_os_str().len() < MAX_WALKED =>
            {
                self.there(above).and_then(|above| {
                    let path = above.join(name);
                    match path.symlink_metadata() {
                        Ok(found) if found.is_symlink() => path.canonicalize().ok(), // ok: it leads nowhere
                        found => found.ok().map(|_| path), // ok: it is not there
                    }
                })
            }
            _ => path.canonicalize().ok(), // ok: it is not there
        };
        let mut followed = self.followed.borrow_mut();
        if MAX_KEPT <= followed.len() {
            followed.clear();
        }
        followed.insert(path.to_owned(), found.clone());
        found
    }

    /// The name and SHA-256 of a file of the agent that tools can read.
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
