//! What a host lacks for a browser, found out without starting one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sandbox::confine;
use sandbox::policy::WithoutLandlock;

use crate::setup::Setup;

/// Where fonts lie.
const FONTS: &[&str] = &["/usr/share/fonts", "/usr/local/share/fonts"];
/// Folders within folders that are looked through for a font.
const DEPTH: usize = 4;

/// One thing that a browser needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// What it is.
    pub name: &'static str,
    /// Whether it is there.
    pub is_met: bool,
    /// What was found, and what would help.
    pub says: String,
}

/// Looks at the program, its folder, the fonts and the jail. Blocking.
#[must_use]
pub fn look(setup: &Setup) -> Vec<Need> {
    vec![program(&setup.program), folder(setup), fonts(), jail(setup), own_sandbox()]
}

fn program(path: &Path) -> Need {
    let shown = path.display();
    let found = fs::metadata(path);
    let says = match &found {
        Err(error) => format!("{shown}: {error}; install Debian's package `chromium`"),
        Ok(_) if path.starts_with("/snap") => {
            format!("{shown} is a snap, which starts in no other jail; install a Debian package")
        }
        Ok(meta) if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 => {
            format!("{shown} is no program")
        }
        Ok(_) => return met("program", shown.to_string()),
    };
    Need { name: "program", is_met: false, says }
}

fn folder(setup: &Setup) -> Need {
    match fs::create_dir_all(&setup.folder) {
        Ok(()) => met("folder", setup.folder.display().to_string()),
        Err(error) => {
            let says = format!("{} cannot be made: {error}", setup.folder.display());
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
        return met("jail", format!("Landlock {abi} keeps files and ports"));
    }
    let is_met = setup.without_landlock == WithoutLandlock::Start;
    let says = match abi {
        0 => "this kernel has no Landlock: pages that break the browser reach what HQ reaches",
        _ => {
            "this kernel cannot tell ports apart: pages that break the browser get past the way out"
        }
    };
    Need {
        name: "jail",
        is_met: is_met || 0 < abi,
        says: format!("{says}; use Linux 6.7 or later"),
    }
}

/// Not a lack: the jail allows no new namespaces, and stands in for Chromium's own sandbox.
fn own_sandbox() -> Need {
    met("own sandbox", "off inside the jail, which refuses the namespaces it needs".to_owned())
}

fn met(name: &'static str, says: String) -> Need {
    Need { name, is_met: true, says }
}
