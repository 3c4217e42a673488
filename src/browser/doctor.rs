//! Checks what this host lacks for a browser, without starting one.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt};
use std::path::Path;

use sandbox::confine;
use sandbox::policy::WithoutLandlock;

use crate::setup::Setup;

/// Paths of Chromium in other packages.
const ELSEWHERE: &[&str] = &[
    "/opt/google/chrome/chrome",
    "/usr/lib64/chromium-browser/chromium-browser",
    "/usr/lib/chromium-browser/chromium-browser",
];
/// Snap programs, which cannot start in another jail.
const SNAPS: &[&str] = &["/snap/bin/chromium", "/var/lib/snapd/snap/bin/chromium"];
/// Folder of named shared memory.
const SHARED: &str = "/dev/shm";
/// Kernel settings for user namespaces of unprivileged users, of the kernel and of Debian and Ubuntu.
const NAMESPACES: &[&str] =
    &["/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone"];
const FONTS: &[&str] = &["/usr/share/fonts", "/usr/local/share/fonts"];
/// How many levels of folders are searched for a font.
const DEPTH: usize = 4;

/// One requirement of a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub name: &'static str,
    pub is_met: bool,
    /// What was found, and what would help.
    pub says: String,
}

/// Checks the program, its folder, fonts, the jail, and other requirements of Chromium. Blocking.
#[must_use]
pub fn inspect(setup: &Setup) -> Vec<Need> {
    vec![
        program(&setup.program),
        folder(setup),
        fonts(),
        jail(setup),
        shared_memory(),
        own_sandbox(),
        user(),
    ]
}

fn program(path: &Path) -> Need {
    let shown = path.display();
    let found = fs::metadata(path);
    let says = match &found {
        Err(error) => format!("{shown}: {error}; {}", instead()),
        Ok(_) if is_of_a_snap(path) => {
            format!(
                "{shown} is a snap, which can't start in HQ's sandbox; install a Debian \
                package"
            )
        }
        Ok(_) if is_script(path) => format!(
            "{shown} is a script that starts Chromium; set HQ_CHROMIUM to the program it starts"
        ),
        Ok(meta) if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 => {
            format!("{shown} isn't a program")
        }
        Ok(_) => return met("program", shown.to_string()),
    };
    Need { name: "program", is_met: false, says }
}

/// Advice when the program is missing.
fn instead() -> String {
    if let Some(other) = ELSEWHERE.iter().find(|path| Path::new(path).is_file()) {
        return format!("set HQ_CHROMIUM to {other}, or install Debian's package `chromium`");
    }
    let has_snap = SNAPS.iter().any(|path| Path::new(path).exists());
    let why = if has_snap { "the installed snap can't start in HQ's sandbox; " } else { "" };
    format!("{why}install Debian's package `chromium`")
}

fn is_of_a_snap(path: &Path) -> bool {
    // The path may be a symbolic link to a snap.
    let leads_to = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    [path, leads_to.as_path()].iter().any(|path| {
        ["/snap", "/var/lib/snapd", "/usr/bin/snap"].iter().any(|snap| path.starts_with(snap))
    })
}

fn is_script(path: &Path) -> bool {
    let mut head = [0; 2];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == *b"#!"
}

fn folder(setup: &Setup) -> Need {
    match fs::create_dir_all(&setup.folder) {
        Ok(()) => met("folder", setup.folder.display().to_string()),
        Err(error) => {
            let says = format!("{} can't be created: {error}", setup.folder.display());
            Need { name: "folder", is_met: false, says }
        }
    }
}

fn fonts() -> Need {
    match FONTS.iter().any(|folder| has_font(Path::new(folder), DEPTH)) {
        true => met("fonts", "there are some".to_owned()),
        false => Need {
            name: "fonts",
            is_met: false,
            says: "there are none, so pages show boxes; install `fonts-dejavu-core`".to_owned(),
        },
    }
}

fn has_font(folder: &Path, depth: usize) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let path = entry.path();
        let is_font = path
            .extension()
            .is_some_and(|end| ["ttf", "otf", "ttc", "pfb"].iter().any(|font| end == *font));
        is_font || (0 < depth && path.is_dir() && has_font(&path, depth - 1))
    })
}

fn jail(setup: &Setup) -> Need {
    let abi = confine::landlock_abi();
    if confine::PORTS <= abi {
        return met("jail", format!("Landlock {abi} protects files and ports"));
    }
    let is_met = setup.without_landlock == WithoutLandlock::Start;
    let says = match abi {
        0 => {
            "this kernel has no Landlock: a page that exploits the browser can reach what HQ \
            reaches"
        }
        _ => {
            "this kernel can't distinguish ports: a page that exploits the browser can bypass HQ's \
             proxy"
        }
    };
    Need {
        name: "jail",
        is_met: is_met || 0 < abi,
        says: format!("{says}; use Linux 6.7 or later"),
    }
}

/// Always met: Chromium is told to use its own folder for shared memory.
fn shared_memory() -> Need {
    let says = match Path::new(SHARED).is_dir() {
        true => format!("{SHARED} isn't used; the browser's own folder is"),
        false => format!(
            "{SHARED} doesn't exist and isn't needed; the browser's own folder is \
            used"
        ),
    };
    met("shared memory", says)
}

/// Always met: the jail refuses new namespaces and replaces Chromium's own sandbox.
fn own_sandbox() -> Need {
    let is_refused = |path: &&str| fs::read_to_string(path).is_ok_and(|text| text.trim() == "0");
    let host = match NAMESPACES.iter().any(is_refused) {
        true => "only root can create user namespaces on this machine, but they aren't needed",
        false => "HQ's sandbox refuses the user namespaces it needs, and replaces it",
    };
    met("own sandbox", format!("off; {host}"))
}

/// Always met; but an escape from a browser of root would have root's rights.
fn user() -> Need {
    let says = match uid() {
        Some(0) => "HQ runs as root; the sandbox still works, but a separate user is safer",
        _ => "HQ doesn't run as root",
    };
    met("user", says.to_owned())
}

/// The user id of this process.
fn uid() -> Option<u32> {
    // ok: without `/proc` nothing is reported
    fs::metadata("/proc/self").ok().map(|meta| meta.uid())
}

fn met(name: &'static str, says: String) -> Need {
    Need { name, is_met: true, says }
}
