//! `hq rollback`: the data of before an upgrade, for the program version that wrote it.

use std::path::Path;

use clap::Args;
use serde_json::json;

use crate::config::Config;
use crate::kernel::Clock as _;
use crate::kernel::time::SystemClock;
use crate::server::{lock, upgrade};
use crate::store::migrate::{self, UpgradeError};
use crate::store::{FORMAT, StoreError};

use super::reach::CommandError;
use super::{Common, FAILED, OK, commands};

/// Flags of `hq rollback`.
#[derive(Args)]
pub struct Rollback {
    /// The format to go back to [default: this program's, or the one before it]
    #[arg(long, value_name = "FORMAT")]
    to: Option<u32>,
    /// Really do it; without this it is only said what would be done
    #[arg(long)]
    yes: bool,
}

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::Failed(error.to_string())
}

/// Why the format of a store is not known: nothing was written, so its words for writes do not fit.
fn unreadable(file: &Path, error: &StoreError) -> String {
    let why = match error {
        StoreError::Failed(why) | StoreError::Damaged(why) => why.clone(),
        other => other.to_string(),
    };
    format!(
        "{}: this store is damaged or cannot be read ({why}), and nothing was changed; `hq rollback` only goes \
         back to before an upgrade, so restore a backup with `hq restore` first",
        file.display()
    )
}

/// Puts the kept files of all stores back. What was changed since the upgrade is set aside.
pub fn run(common: &Common, config: &Config, flags: &Rollback) -> Result<u8, CommandError> {
    let now = SystemClock.now();
    let _lock = lock::take(&config.data, now).map_err(failed)?;
    let files = upgrade::files(config).map_err(failed)?;
    let mut formats = Vec::new();
    for file in files {
        let found = migrate::format_of(&file).map_err(|error| failed(unreadable(&file, &error)))?;
        formats.push((file, found));
    }
    let newest = formats.iter().map(|(_, found)| *found).max().unwrap_or(FORMAT);
    let kept = formats.iter().map(|(file, _)| migrate::kept(file));
    let kept = kept.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    // An upgrade may have passed more than one format.
    let older = kept.iter().flatten().map(|kept| kept.format).filter(|format| *format < FORMAT);
    let before = older.max().unwrap_or(FORMAT - 1);
    let to = flags.to.unwrap_or(if newest > FORMAT { FORMAT } else { before });
    formats.retain(|(_, found)| *found > to);
    if formats.is_empty() {
        let lines = [format!("Nothing to do: no store is newer than format {to}.")];
        return commands::print(common, &json!({ "to": to, "files": [] }), &lines);
    }
    // All or none: a missing copy is found before the first file is touched.
    for (file, _) in &formats {
        if !migrate::kept(file).map_err(failed)?.iter().any(|kept| kept.format == to) {
            let mut name = file.clone().into_os_string();
            name.push(format!(".before-{to}"));
            return Err(failed(UpgradeError::NothingKept { file: name.into() }));
        }
    }
    let mut lines = Vec::new();
    for (file, found) in &formats {
        let name = file.display();
        if flags.yes {
            let aside = migrate::roll_back(file, to, now).map_err(failed)?;
            let aside = aside.display();
            lines.push(format!("{name} is back at format {to}; what it was lies in {aside}"));
        } else {
            lines.push(format!("{name} would go from format {found} back to {to}"));
        }
    }
    let done = if flags.yes {
        format!("Start the program version that reads format {to} now.")
    } else {
        "Nothing was changed. What was written since the upgrade will be set aside; repeat with \
         --yes to do it."
            .to_owned()
    };
    lines.push(done);
    let names: Vec<_> = formats.iter().map(|(file, _)| file.display().to_string()).collect();
    commands::print(common, &json!({ "to": to, "done": flags.yes, "files": names }), &lines)?;
    Ok(if flags.yes { OK } else { FAILED })
}
