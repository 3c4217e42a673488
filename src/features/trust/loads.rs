//! Files that a program may load without its command line naming them: all files of the agent's folder. An approval
//! is bound to their inode metadata, which nothing in the sandbox can reset, so no content is read. Folders for
//! temporary files (`SCRATCH`) are excluded unless the line works there.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::line::Line;
use super::model::{LOADED, Plan, Witness};

/// Top-level folders whose files come and go while programs run.
const SCRATCH: &[&str] = &["scratch", "state", "tmp", ".cache", ".npm"];
/// Maximum number of files listed one by one, so that a card can name a changed file.
const MOST_NAMED: usize = 200;
/// Maximum length in bytes of a path listed by itself.
const LONGEST: usize = 200;
/// Maximum number of files compared. The card mentions when there are more.
const MOST: usize = 200_000;
/// Name of the entry that covers all unlisted files.
const OTHERS: &str = "other files of its folder";

/// Whether a line runs a program that may load files which the line does not name.
#[must_use]
pub fn may_load(line: &Line) -> bool {
    line.seen.as_ref().map_or(true, |seen| seen.iter().any(|one| !one.is_plain()))
}

/// Binds a plan to the files that its line may load. Blocking.
pub fn bind(plan: &mut Plan, folder: &Path) {
    let Ok(folder) = folder.canonicalize() else { return };
    let mut places: Vec<&str> = plan.files.iter().map(|file| file.path.as_str()).collect();
    let works_at = Path::new(&plan.folder).strip_prefix(&folder).ok().and_then(Path::to_str);
    places.extend(works_at);
    let works_in = |name: &str| places.iter().any(|place| place.split('/').next() == Some(name));
    let mut found = Found::default();
    found.walk(&folder, "", &|name| !SCRATCH.contains(&name) || works_in(name));
    if found.is_cut {
        plan.shown.push_str("\n# its folder has more than 200,000 files; the rest isn't compared");
    }
    plan.files.extend(found.witnesses());
}

#[derive(Default)]
struct Found {
    files: Vec<Witness>,
    is_cut: bool,
}

impl Found {
    fn walk(&mut self, folder: &Path, at: &str, takes: &dyn Fn(&str) -> bool) {
        // ok: a program cannot read an unreadable folder either.
        let Ok(entries) = folder.read_dir() else { return };
        for entry in entries.flatten() {
            if MOST <= self.files.len() {
                self.is_cut = true;
                return;
            }
            let name = entry.file_name();
            let shown = name.to_string_lossy();
            if shown == ".git" || at.is_empty() && !takes(&shown) {
                continue;
            }
            let path = if at.is_empty() { shown.into_owned() } else { format!("{at}/{shown}") };
            // Links are not followed: targets inside the folder are visited at their own path.
            let Ok(found) = entry.path().symlink_metadata() else { continue };
            if found.is_dir() {
                self.walk(&entry.path(), &path, takes);
                continue;
            }
            let mut hash = Sha256::new();
            for part in [found.ino(), found.len(), u64::from(found.mode())] {
                hash.update(part.to_le_bytes());
            }
            for part in [found.ctime(), found.ctime_nsec(), found.mtime(), found.mtime_nsec()] {
                hash.update(part.to_le_bytes());
            }
            self.files.push(Witness { path, hash: hash.finalize().into() });
        }
    }

    /// The files nearest to the top one by one, and one entry for all others.
    fn witnesses(mut self) -> Vec<Witness> {
        let key = |one: &Witness| (LONGEST < one.path.len(), one.path.matches('/').count());
        self.files.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.path.cmp(&b.path)));
        let named = self.files.iter().take_while(|one| one.path.len() <= LONGEST).count();
        let others = self.files.split_off(named.min(MOST_NAMED));
        let loaded = |path: &str| format!("{LOADED}{path}");
        let mut all: Vec<Witness> =
            self.files.into_iter().map(|one| Witness { path: loaded(&one.path), ..one }).collect();
        if !others.is_empty() {
            let mut hash = Sha256::new();
            for one in others {
                hash.update((one.path.len() as u64).to_le_bytes());
                hash.update(one.path.as_bytes());
                hash.update(one.hash);
            }
            all.push(Witness { path: loaded(OTHERS), hash: hash.finalize().into() });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn plan(folder: &str, named: &[&str]) -> Plan {
        let file = |path: &&str| Witness { path: (*path).to_owned(), hash: [0; 32] };
        Plan {
            arguments: String::new(),
            shown: String::new(),
            folder: folder.to_owned(),
            variables: Vec::new(),
            files: named.iter().map(file).collect(),
        }
    }

    fn bound(root: &Path, named: &[&str]) -> Vec<Witness> {
        let mut plan = plan(&root.display().to_string(), named);
        bind(&mut plan, root);
        plan.files.split_off(named.len())
    }

    #[test]
    fn every_way_of_changing_a_file_that_may_be_loaded_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a folder");
        for at in ["lib", "scratch", "node_modules/x", ".git"] {
            fs::create_dir_all(root.join(at)).expect("a folder");
        }
        let write = |path: &str, text: &str| fs::write(root.join(path), text).expect("a file");
        for path in ["p.py", "lib/a.py", "node_modules/x/index.js", "scratch/log", ".git/HEAD"] {
            write(path, "one");
        }
        let mut before = bound(&root, &["p.py"]);
        assert_eq!(before, bound(&root, &["p.py"]), "what nobody touches stays the same");
        let modified = fs::metadata(root.join("lib/a.py")).expect("it").modified().expect("a time");
        let steps: [(&str, &dyn Fn()); 5] = [
            ("other bytes", &|| write("node_modules/x/index.js", "two")),
            ("a new file that hides another", &|| write("json.py", "x")),
            ("gone", &|| fs::remove_file(root.join("json.py")).expect("it")),
            ("a link in its place", &|| {
                fs::remove_file(root.join("p.py")).expect("it");
                symlink("lib/a.py", root.join("p.py")).expect("a link");
            }),
            ("as many bytes, and its time set back", &|| {
                write("lib/a.py", "two");
                let file = fs::File::options().write(true).open(root.join("lib/a.py"));
                file.expect("it").set_modified(modified).expect("a time");
            }),
        ];
        for (step, change) in steps {
            change();
            let after = bound(&root, &["p.py"]);
            assert_ne!(before, after, "{step}");
            before = after;
        }
        write("scratch/log", "more");
        write(".git/HEAD", "more");
        assert_eq!(before, bound(&root, &["p.py"]), "what comes and goes is left out");
        assert_ne!(before, bound(&root, &["scratch/job.py"]), "unless the line works there");
    }

    #[test]
    fn many_files_are_one_and_a_change_in_them_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a folder");
        fs::create_dir(root.join("deep")).expect("a folder");
        for n in 0..MOST_NAMED + 50 {
            fs::write(root.join(format!("deep/{n}")), "one").expect("a file");
        }
        fs::write(root.join("top"), "one").expect("a file");
        let before = bound(&root, &[]);
        assert_eq!(before.len(), MOST_NAMED + 1);
        assert_eq!(
            (before[0].path.as_str(), before[MOST_NAMED].path.as_str()),
            ("./top", "./other files of its folder")
        );
        fs::remove_file(root.join(&before[MOST_NAMED - 1].path)).expect("it");
        assert_ne!(before, bound(&root, &[]));
    }
}
