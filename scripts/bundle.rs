//! Sees to it that script, style and sprite are bundled before they are embedded: a program whose pages have no style
//! is not built. Node bundles them; where it is missing and nothing was bundled, the build ends and says what to do.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// What the bundle is made from, below the root of the project.
const SOURCES: &[&str] = &[
    "package.json",
    "package-lock.json",
    "scripts/assets.mjs",
    "static/css",
    "static/js",
    "static/icons",
    "static/icons.svg",
    "static/favicon.svg",
];
const BUNDLE: &str = "static/dist";

#[expect(clippy::print_stdout, reason = "so build scripts and Cargo talk")]
fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for source in SOURCES.iter().chain(&[BUNDLE]) {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    let made = newest(&root.join(BUNDLE).join("manifest.json"));
    let changed = SOURCES.iter().filter_map(|source| newest(&root.join(source))).max();
    let Some(changed) = changed.filter(|changed| made.is_none_or(|made| made < *changed)) else {
        return;
    };
    match bundle(&root, changed) {
        Ok(()) => {}
        Err(why) if made.is_some() => println!(
            "cargo::warning=the pages keep the style and script that were bundled before: {why}"
        ),
        Err(why) => panic!(
            "HQ's pages need their style and script, which Node bundles, and {why}. Install Node 18 or later with npm \
             (`make setup` does), then build again."
        ),
    }
}

/// Fetches the locked packages where they are missing, and bundles. The bundle gets the date of its newest source.
#[expect(clippy::disallowed_methods, reason = "a build has no clock of HQ")]
fn bundle(root: &Path, changed: SystemTime) -> Result<(), String> {
    let begun = SystemTime::now();
    let packages = root.join("node_modules/.package-lock.json");
    if newest(&packages) < newest(&root.join("package-lock.json")) {
        npm(root, &["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])?;
        let now = File::open(&packages).and_then(|file| file.set_modified(begun));
        now.map_err(|error| format!("{} cannot be marked: {error}", packages.display()))?;
    }
    npm(root, &["run", "--silent", "assets"])?;
    // Cargo would run this script again if a file that it watches were newer than its start.
    let dated = entries(&root.join(BUNDLE))
        .and_then(|all| all.iter().try_for_each(|path| File::open(path)?.set_modified(changed)));
    dated.map_err(|error| format!("the bundle cannot be dated: {error}"))
}

fn npm(root: &Path, arguments: &[&str]) -> Result<(), String> {
    match Command::new("npm").args(arguments).current_dir(root).output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            Err(format!("`npm {}` failed: {said}", arguments.join(" ")))
        }
        Err(error) => Err(format!("npm cannot be run: {error}")),
    }
}

/// When a file, or what lies below a folder, was changed last; nothing where there is none.
fn newest(path: &Path) -> Option<SystemTime> {
    let all = entries(path).ok()?;
    all.iter().filter_map(|path| fs::metadata(path).ok()?.modified().ok()).max()
}

/// The path itself and all that lies below it.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    if fs::metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            all.extend(entries(&entry?.path())?);
        }
    }
    all.push(path.to_owned());
    Ok(all)
}
