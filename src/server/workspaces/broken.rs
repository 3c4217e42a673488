//! Workspaces that cannot be opened, and whose they are: their own stores cannot tell any more, so a copy
//! of the accounts of their people is kept beside each store.

use std::fs;
use std::io;
use std::path::Path;

use crate::app::Broken;
use crate::kernel::AccountId;

/// The copy: one account a line. Written anew when it differs, read when the store does not open.
const PEOPLE: &str = "people";

/// One that a backup brings back.
pub(super) fn damaged(folder: &Path, reason: impl Into<String>) -> Broken {
    let slug = folder.file_name().map(|name| name.to_string_lossy().into_owned());
    Broken {
        slug: slug.unwrap_or_default(),
        reason: reason.into(),
        restore: true,
        people: people_of(folder),
    }
}

/// One whose reason says what to do.
pub(super) fn in_the_way(folder: &Path, reason: impl Into<String>) -> Broken {
    Broken { restore: false, ..damaged(folder, reason) }
}

/// Who belonged to the workspace of this folder; nobody when that is not known.
fn people_of(folder: &Path) -> Vec<AccountId> {
    // ok: without the copy only who keeps HQ is told what is wrong, and others nothing at all.
    let text = fs::read_to_string(folder.join(PEOPLE)).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Keeps the copy true. Blocking.
///
/// # Errors
/// When the disk refuses.
pub(super) fn note_people(folder: &Path, mut people: Vec<AccountId>) -> io::Result<()> {
    people.sort_unstable();
    if people_of(folder) == people {
        return Ok(());
    }
    let lines: Vec<String> = people.iter().map(ToString::to_string).collect();
    let fresh = folder.join(format!("{PEOPLE}.new"));
    fs::write(&fresh, lines.join("\n"))?;
    fs::rename(&fresh, folder.join(PEOPLE))
}

#[cfg(test)]
mod tests {
    use super::{damaged, in_the_way, note_people};
    use crate::kernel::{AccountId, TypedId};

    #[test]
    fn whose_a_workspace_was_is_known_without_its_store() {
        let folder = tempfile::tempdir().unwrap();
        let id = |n| AccountId::from_bytes([n; 16]);
        assert!(damaged(folder.path(), "gone").people.is_empty());
        note_people(folder.path(), vec![id(2), id(1)]).unwrap();
        assert_eq!(damaged(folder.path(), "gone").people, [id(1), id(2)]);
        note_people(folder.path(), vec![id(2)]).unwrap();
        let other = in_the_way(folder.path(), "a copy");
        assert_eq!((other.people, other.restore), (vec![id(2)], false));
        std::fs::write(folder.path().join("people"), "what is this\n").unwrap();
        assert!(damaged(folder.path(), "gone").people.is_empty());
    }
}
