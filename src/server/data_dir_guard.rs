//! Detects that the data directory was moved, deleted or hidden by a mount. The open files would then receive data
//! that nobody could find again, so HQ stops all work and reports the problem until it is restarted.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use app::{App, DataDirGuard};
use kernel::ProblemKind;
use sandbox::own_files;
use store::Store;
use web::error::Failure;

/// Interval of the check without requests.
const EVERY: Duration = Duration::from_secs(2);

/// Identity of the lock file when the directory was opened.
pub(super) struct Anchor {
    file: PathBuf,
    /// Device and inode; `None` if unknown.
    was: Option<(u64, u64)>,
    gone: AtomicBool,
}

fn number_of(file: &Path) -> std::io::Result<(u64, u64)> {
    std::fs::metadata(file).map(|found| (found.dev(), found.ino()))
}

impl Anchor {
    /// Guards the lock file, which is held and therefore never replaced in normal operation.
    pub(super) fn of(file: &Path) -> Box<dyn DataDirGuard> {
        // ok: without an identity, the directory never counts as gone.
        let was = number_of(file).ok();
        Box::new(Self { file: file.to_owned(), was, gone: AtomicBool::new(false) })
    }
}

impl DataDirGuard for Anchor {
    fn is_here(&self) -> bool {
        if self.gone.load(Ordering::Relaxed) {
            return false;
        }
        let is_gone = match (self.was, number_of(&self.file)) {
            (Some(was), Ok(now)) => was != now,
            (Some(_), Err(error)) => matches!(
                error.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ),
            (None, _) => false,
        };
        if is_gone && !self.gone.swap(true, Ordering::Relaxed) {
            tracing::error!("{}", words(self.file.parent().unwrap_or(&self.file)));
        }
        !is_gone
    }
}

/// Description and remedy.
fn words(data: &Path) -> String {
    format!(
        "the data folder {} is missing or was replaced: HQ is stopped, and nothing is saved. \
         Restore the folder (is its disk mounted?) and restart HQ",
        data.display()
    )
}

/// The error for every request once the directory is gone.
pub(super) fn gone(app: &App) -> Option<Failure> {
    let failure = || {
        let detail = words(&app.config.data);
        Failure::new(ProblemKind::Unavailable, "data_folder_gone", detail)
    };
    (!app.is_here()).then(failure)
}

/// Checks periodically. Once the directory is gone, stops new work and closes every store, so that no write to lost
/// files is acknowledged.
pub(super) async fn watch(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = app.stopping.cancelled() => return,
        }
        let looking = app.clone();
        let here = tokio::task::spawn_blocking(move || {
            let is_here = looking.is_here();
            if is_here {
                // A program without a private mount namespace may have changed them.
                for restored in own_files::restore_top(&looking.config.data) {
                    tracing::warn!("{}", restored.describe());
                }
            }
            is_here
        });
        if here.await.unwrap_or(true) {
            continue;
        }
        app.closing.cancel();
        app.backups.close();
        let own = app.workspaces.read().iter().map(|ws| ws.store.clone()).collect::<Vec<_>>();
        let stores = own.into_iter().chain([app.system.clone()]).collect::<Vec<Store>>();
        let closed = tokio::task::spawn_blocking(move || stores.iter().for_each(Store::close));
        if let Err(error) = closed.await {
            tracing::error!(%error, "a store did not close well");
        }
        app.stopping.cancelled().await;
        return;
    }
}

#[cfg(test)]
mod tests {
    use super::Anchor;
    use std::fs;

    #[test]
    fn a_folder_that_was_moved_or_covered_is_gone_for_good() {
        let place = tempfile::tempdir().unwrap();
        let (data, aside) = (place.path().join("data"), place.path().join("aside"));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("lock"), "me").unwrap();
        let anchor = Anchor::of(&data.join("lock"));
        assert!(anchor.is_here());
        // The lock is rewritten in place and keeps its inode.
        fs::write(data.join("lock"), "me again").unwrap();
        assert!(anchor.is_here());
        fs::rename(&data, &aside).unwrap();
        let other = Anchor::of(&aside.join("lock"));
        assert!(!anchor.is_here());
        fs::create_dir(&data).unwrap();
        fs::write(data.join("lock"), "another").unwrap();
        assert!(!anchor.is_here());
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&aside, &data).unwrap();
        assert!(!anchor.is_here(), "its stores are closed: it is started again");
        assert!(!other.is_here());
    }
}
