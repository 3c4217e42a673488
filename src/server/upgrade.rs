//! Upgrades stores of older versions before opening them, and reports the progress.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use app::App;
use app::config::Config;
use kernel::Clock;
use kernel::id::IdSource;
use store::migrate::{self, Kept, Progress, UpgradeError};
use store::{Faults, Options, Schema};

use super::listen::{Front, Stage};
use super::migrations;
use super::workspaces::{self, LEAST_CACHE};

/// Dependencies of an upgrade.
pub(super) struct Upgrader {
    pub data: PathBuf,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
    pub faults: Arc<dyn Faults>,
    pub front: Front,
}

impl Upgrader {
    /// Opens a store, after an upgrade if its format is older. `formats` extracts found and known format from a
    /// format error.
    pub(super) fn open<T, E: From<UpgradeError>>(
        &self,
        file: &Path,
        schema: fn() -> Schema,
        formats: fn(&E) -> Option<(u32, u32)>,
        open: impl Fn() -> Result<T, E>,
    ) -> Result<T, E> {
        let error = match open() {
            Ok(opened) => return Ok(opened),
            Err(error) => error,
        };
        match formats(&error) {
            Some((found, known)) if found < known => {
                self.upgrade(file, schema, found)?;
                open()
            }
            Some((found, known)) => Err(self.newer(file, found, known).into()),
            None => Err(error),
        }
    }

    fn upgrade(&self, file: &Path, schema: fn() -> Schema, found: u32) -> Result<(), UpgradeError> {
        let options = Options {
            path: file.to_owned(),
            schema: schema(),
            cache: LEAST_CACHE,
            clock: Arc::clone(&self.clock),
            ids: Arc::clone(&self.ids),
            reactor: None,
            faults: Arc::clone(&self.faults),
        };
        let name = file.strip_prefix(&self.data).unwrap_or(file).display();
        tracing::warn!("upgrading {name} from format {found}; do not switch off");
        migrate::upgrade(options, found, &migrations::LIST, &|progress| {
            let words = words(&progress);
            tracing::info!("upgrading {name}: {words}");
            let message = format!("its data is being upgraded: {words}");
            self.front.tell(Stage { said: message, percent: None });
        })?;
        tracing::warn!("{name} is upgraded; what was there before is kept for 14 days beside it");
        Ok(())
    }

    fn newer(&self, file: &Path, found: u32, known: u32) -> UpgradeError {
        // ok: an unreadable folder has no copy to offer.
        let kept = migrate::kept(file).unwrap_or_default();
        let kept = kept.into_iter().find(|kept| kept.format == known).map(|kept| kept.path);
        let data = self.data.clone();
        UpgradeError::Newer { file: file.to_owned(), found, known, kept, data }
    }
}

fn words(progress: &Progress) -> String {
    match progress {
        Progress::Copying(bytes) => format!("Copying {} MB first", bytes.div_ceil(1 << 20)),
        Progress::Running(what, 0) => (*what).to_owned(),
        Progress::Running(what, pieces) => format!("{what}, part {}", pieces + 1),
        Progress::Checking => "Checking the result".to_owned(),
    }
}

/// Deletes copies that upgrades and downgrades left beside the stores after 14 days.
pub fn expire(app: &App) -> std::io::Result<()> {
    let now = app.clock.now();
    for file in files(&app.config)? {
        for kept in Kept::beside(&file)? {
            if kept.expire(now)? {
                tracing::info!("{} went: it was 14 days old", kept.path.display());
            }
        }
    }
    Ok(())
}

/// The files of all stores in a data directory.
pub fn files(config: &Config) -> std::io::Result<Vec<PathBuf>> {
    let folders = workspaces::folders(&config.data).map_err(std::io::Error::other)?;
    let system = config.data.join("system.redb");
    let own = Some(system).filter(|file| file.is_file());
    Ok(own.into_iter().chain(folders.into_iter().map(|folder| folder.join("hq.redb"))).collect())
}
