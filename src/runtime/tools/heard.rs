//! Decides whether a program's output and files count as untrusted. They do if the program could reach the network or
//! read untrusted content in its agent's folder.
//!
//! A program's reads are not observed. A command line counts as reading everything, unless all of its programs are
//! known here: those that print no file contents, and those that read only the files they name. A line that cannot be
//! parsed reads everything.

use std::path::{Path, PathBuf};

use commands::{Reduced, Unwrapped};
use features::agents::model::Agent;
use features::jobs::model::Job;
use features::jobs::queries as jobs;
use features::runs::model::{Place, SCRATCH};
use features::runs::queries::taint;
use store::{Read, StoreError};
use tool::{ToolCx, ToolError, untrusted};

use super::exec::Args;
use super::folder;

/// Programs without network access that print no file contents.
const LISTERS: &[&str] = &[
    "[", "basename", "cd", "chmod", "dirname", "echo", "false", "id", "ls", "mkdir", "nproc",
    "printf", "pwd", "rm", "rmdir", "seq", "sleep", "stat", "test", "touch", "true", "uname",
    "whoami",
];
/// Programs without network access that read only the files and folders they name.
const READERS: &[&str] = &[
    "cat", "cksum", "cmp", "comm", "cp", "cut", "date", "df", "diff", "du", "fold", "head", "join",
    "mv", "nl", "od", "paste", "rev", "sort", "tac", "tail", "tr", "uniq", "wc",
];
/// Options of these programs that name a list of further files.
const LISTS: &[&str] = &["--files0-from"];
/// Kernel file systems; their contents differ per process.
const KERNEL: &[&str] = &["/proc", "/dev", "/sys"];

/// The sources that may have influenced a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hears {
    /// Only trusted content of its folder. It may print the names of these untrusted files.
    Itself(Vec<String>),
    /// Untrusted content or the network.
    Anybody,
}

impl Hears {
    /// The sources of a call's program. Determined before it starts.
    pub(super) async fn of_call(
        cx: &ToolCx,
        args: &Args,
        agent: &Agent,
    ) -> Result<Self, ToolError> {
        let network = agent.network;
        let known = cx.ws.read(|snap| Untrusted::of(snap, cx))?;
        if !network && known.is_empty() {
            return Ok(Self::Itself(Vec::new()));
        }
        let at = Folders {
            root: cx.folder.clone(),
            scratch: cx.ws.agent_scratch(&agent.slug),
            below: args.workdir.clone().unwrap_or_default(),
        };
        let (command, has_env) =
            (args.command.clone(), args.env.as_ref().is_some_and(|all| !all.is_empty()));
        folder::blocking(move || {
            let known = known.there(&at);
            let reads = if has_env { Reads::Anything } else { at.reads(&command) };
            Ok(match reads {
                Reads::Anything if network || !known.is_empty() => Self::Anybody,
                Reads::Named(paths) if paths.iter().any(|path| known.has(&at, path)) => {
                    Self::Anybody
                }
                _ => Self::Itself(known.names()),
            })
        })
        .await
    }

    /// The sources of a job.
    pub(super) fn of_job(cx: &ToolCx, job: &Job) -> Result<Self, ToolError> {
        Ok(match cx.ws.read(|snap| taint::is_of_job(snap, job.agent, job.session))? {
            true => Self::Anybody,
            false => Self::Itself(Vec::new()),
        })
    }

    /// Marks the output as untrusted if necessary.
    pub(super) fn marked(&self, cx: &ToolCx, text: String) -> String {
        let names = match self {
            Self::Itself(names) => names.iter().any(|name| text.contains(name.as_str())),
            Self::Anybody => true,
        };
        if !names || text.is_empty() {
            return text;
        }
        untrusted::wrap(&untrusted::id_for(cx), &text)
    }

    /// The same for the whole output so far. A program without output is marked, too, because it may have written
    /// files.
    pub(super) fn marked_whole(&self, cx: &ToolCx, text: String) -> String {
        match self {
            Self::Anybody if text.is_empty() => {
                untrusted::wrap(&untrusted::id_for(cx), "(it printed nothing)")
            }
            _ => self.marked(cx, text),
        }
    }
}

/// The untrusted content that programs of an agent can read.
#[derive(Clone, Debug, Default)]
struct Untrusted {
    /// Files in the agent's folder.
    paths: Vec<String>,
    /// The scratch folder may contain untrusted content.
    scratch: bool,
    /// There may be more than the named files: the list is full, or a running job may write some.
    more: bool,
}

impl Untrusted {
    fn of(tx: &dyn Read, cx: &ToolCx) -> Result<Self, StoreError> {
        let mut known = Self::default();
        let all = taint::files_of(tx, cx.agent)?;
        known.more = taint::MOST <= all.len() || is_written_now(tx, cx)?;
        for one in all {
            let Place::File { path, .. } = one.place else { continue };
            match path == SCRATCH {
                true => known.scratch = true,
                false => known.paths.push(path),
            }
        }
        Ok(known)
    }

    fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.scratch && !self.more
    }

    /// Keeps only what exists. Blocking.
    fn there(mut self, at: &Folders) -> Self {
        self.paths.retain(|path| at.root.join(path).symlink_metadata().is_ok());
        // ok: programs cannot read an unreadable folder either.
        self.scratch &= at.scratch.read_dir().is_ok_and(|mut all| all.next().is_some());
        self
    }

    /// Returns `true` if a path is, contains or is inside untrusted content. Blocking.
    fn has(&self, at: &Folders, path: &Path) -> bool {
        if self.more {
            return true;
        }
        let Ok(real) = path.canonicalize() else { return false };
        let is_in = |folder: &Path| real.starts_with(folder) || folder.starts_with(&real);
        if self.scratch && at.scratch.canonicalize().is_ok_and(|scratch| is_in(&scratch)) {
            return true;
        }
        // ok: a missing folder has no files.
        let Ok(root) = at.root.canonicalize() else { return false };
        self.paths.iter().any(|one| root.join(one).starts_with(&real))
    }

    fn names(self) -> Vec<String> {
        let name = |path: String| path.rsplit('/').next().unwrap_or_default().to_owned();
        self.paths.into_iter().map(name).filter(|name| !name.is_empty()).collect()
    }
}

/// Returns `true` if a running job of a tainted conversation may write untrusted content now.
pub(crate) fn is_written_now(tx: &dyn Read, cx: &ToolCx) -> Result<bool, StoreError> {
    for job in jobs::running(tx, Some(cx.agent))? {
        if taint::of(tx, job.session)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The files that a command line reads.
#[derive(Debug, PartialEq, Eq)]
enum Reads {
    Named(Vec<PathBuf>),
    Anything,
}

/// The folders of a command line.
struct Folders {
    root: PathBuf,
    scratch: PathBuf,
    below: String,
}

impl Folders {
    fn reads(&self, command: &str) -> Reads {
        let Reduced::Plan(parts) = commands::reduce(command) else { return Reads::Anything };
        let start = self.root.join(&self.below);
        let mut named = Vec::new();
        for part in parts {
            let Unwrapped::Commands(all) = commands::unwrap(&part.argv) else {
                return Reads::Anything;
            };
            for one in all {
                let Some((program, words)) = one.argv.split_first() else { continue };
                let is_reader = READERS.contains(&program.as_str());
                if one.inline || !(is_reader || LISTERS.contains(&program.as_str())) {
                    return Reads::Anything;
                }
                let read = if is_reader { words } else { &[] };
                for word in read.iter().chain(&one.touches) {
                    if LISTS.iter().any(|option| word.starts_with(option))
                        || KERNEL.iter().any(|at| word.contains(at))
                    {
                        return Reads::Anything;
                    }
                    for (outer, inner) in part
                        .folders
                        .iter()
                        .flat_map(|at| one.folders.iter().map(move |to| (at, to)))
                    {
                        let at = start.join(outer).join(inner);
                        named.extend(files_in(word).map(|file| at.join(file)));
                    }
                }
            }
        }
        Reads::Named(named)
    }
}

/// Parts of a word that may be a path: the word and the value of an option.
fn files_in(word: &str) -> impl Iterator<Item = &str> {
    let value = word.split_once('=').map(|(_, value)| value);
    let attached = word.strip_prefix('-').and_then(|rest| rest.get(1..));
    [Some(word), value, attached].into_iter().flatten().filter(|file| !file.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(root: &Path) -> Folders {
        Folders { root: root.to_owned(), scratch: root.join("none"), below: String::new() }
    }

    #[test]
    fn only_lines_of_known_programs_say_what_they_read() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("in")).expect("a folder");
        for path in ["bad", "in/bad", "good"] {
            std::fs::write(dir.path().join(path), "x").expect("a file");
        }
        std::os::unix::fs::symlink("bad", dir.path().join("link")).expect("a link");
        let known =
            Untrusted { paths: vec!["bad".into(), "in/bad".into()], ..Untrusted::default() };
        let reads = |line: &str| match at(dir.path()).reads(line) {
            Reads::Anything => None,
            Reads::Named(paths) => Some(paths.iter().any(|path| known.has(&at(dir.path()), path))),
        };
        for line in
            ["ls -la", "echo bad", "cat good", "wc -l good | sort", "cd in && ls bad", "rm bad"]
        {
            assert_eq!(reads(line), Some(false), "{line}");
        }
        for line in [
            "cat bad",
            "cat ./in/../bad",
            "cat link",
            "cd in && cat bad",
            "cp -r . /tmp/x",
            "diff good in",
            "cp -tin good",
            "sort --output=x bad",
            "cat in/bad | wc -l",
            "date -fbad",
        ] {
            assert_eq!(reads(line), Some(true), "{line}");
        }
        for line in [
            "python3 x.py",
            "sh x",
            "cat *",
            "cat $F",
            "cat < bad",
            "grep -r x",
            "./cat good",
            "make",
            "wc --files0-from=good",
            "cat /proc/self/environ",
            "cat good | sh",
            "git status",
        ] {
            assert_eq!(reads(line), None, "{line}");
        }
    }
}
