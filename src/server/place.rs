//! Remembers where the data directory was last used. A copy would resume the same runs and spend the same money as
//! the original, so a copied directory starts paused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use app::App;
use features::runs::model::HaltOf;
use features::runs::rules::halt;
use kernel::{Actor, Cause, HaltHow, Part};

/// File with inode, folder path and machine id, one per line.
const FILE: &str = "place";
const MACHINE: &str = "/etc/machine-id";

/// Pauses all work if the directory was copied since the last start. Runs before work starts.
pub(super) async fn heed(app: &App, in_container: bool) {
    let data = app.config.data.clone();
    let looked = tokio::task::spawn_blocking(move || is_copy(&data, in_container)).await;
    match looked {
        Ok(Ok(false)) => return,
        Ok(Ok(true)) => tracing::warn!("this folder is a copy: all work is paused at first"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "it could not be noted where the data folder is");
            return;
        }
        Err(error) => {
            tracing::error!(%error, "the look at the data folder was cut off");
            return;
        }
    }
    halt_all(app, HaltHow::Now).await;
}

/// Pauses the work of every workspace with the program as actor. `Halt::cause` explains the reason.
pub(super) async fn halt_all(app: &App, how: HaltHow) {
    let all = app.workspaces.read().clone();
    for ws in all {
        let by = (Actor::System(Part::Setup), Cause::Setup);
        let order = ws.write(&by, move |tx| halt::order(tx, HaltOf::Workspace, how)).await;
        if let Err(error) = order {
            tracing::error!(%error, "the work of {} could not be halted", ws.slug);
        }
    }
}

/// Whether the directory was copied since the last check. Records its current place. In a container, path and machine
/// id do not count: the path is always the same and the machine has no stable id.
fn is_copy(data: &Path, in_container: bool) -> io::Result<bool> {
    let path = data.join(FILE);
    let known = match fs::read_to_string(&path) {
        Ok(known) => Some(known).filter(|known| !known.trim().is_empty()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // Written in place: a new file would have another inode.
    let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
    let folder = fs::canonicalize(data)?;
    // ok: without a machine id, the other values distinguish the places.
    let machine = fs::read_to_string(MACHINE).unwrap_or_default();
    let now = format!("{}\n{}\n{}\n", file.metadata()?.ino(), folder.display(), machine.trim());
    if known.as_ref() == Some(&now) {
        return Ok(false);
    }
    put(&mut file, &now)?;
    let Some(known) = known else { return Ok(false) };
    let (mut before, mut here) = (known.lines(), now.lines());
    let is_other_file = before.next() != here.next();
    let is_elsewhere = in_container || before.ne(here);
    Ok(is_other_file && is_elsewhere)
}

fn put(file: &mut File, text: &str) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_what_was_moved_and_from_what_is_new() {
        let all = tempfile::tempdir().unwrap();
        let (first, second, third) =
            (all.path().join("first"), all.path().join("second"), all.path().join("third"));
        fs::create_dir(&first).unwrap();
        assert!(!is_copy(&first, false).unwrap(), "a new one");
        assert!(!is_copy(&first, false).unwrap(), "where it was");
        fs::create_dir(&second).unwrap();
        fs::copy(first.join(FILE), second.join(FILE)).unwrap();
        assert!(is_copy(&second, false).unwrap());
        assert!(!is_copy(&second, false).unwrap(), "it is at home there from now on");
        fs::rename(&second, &third).unwrap();
        assert!(!is_copy(&third, false).unwrap(), "it was moved");
        // The same path in another container, with other files.
        fs::copy(first.join(FILE), first.join("copy")).unwrap();
        fs::rename(first.join("copy"), first.join(FILE)).unwrap();
        assert!(is_copy(&first, true).unwrap());
        fs::copy(first.join(FILE), first.join("copy")).unwrap();
        fs::rename(first.join("copy"), first.join(FILE)).unwrap();
        assert!(!is_copy(&first, false).unwrap(), "put back where it was");
    }
}
