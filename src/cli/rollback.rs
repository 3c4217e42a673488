//! `hq rollback`: the data of before an upgrade, for the program version that wrote it.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use app::config::Config;
use features::users::model::Workspace;
use kernel::Clock as _;
use kernel::time::SystemClock;
use server::{lock, upgrade};
use store::disk::sync_folder;
use store::migrate::{self, Kept, UpgradeError};
use store::{FORMAT, StoreError};

use super::reach::CommandError;
use super::{Common, FAILED, OK, commands};

/// Flags of `hq rollback`.
#[derive(Args)]
pub struct Rollback {
    /// The format to go back to [default: this program's, or the one before it]
    #[arg(long, value_name = "FORMAT")]
    to: Option<u32>,
    /// Confirm; without this, HQ only says what would happen
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

/// Files of stores with their formats.
type Formats = Vec<(PathBuf, u32)>;

/// Parts the stores that have a file to go back to from those of workspaces that were added since the upgrade:
/// the list that the older program reads does not have them.
fn parted(config: &Config, formats: Formats, to: u32) -> Result<(Formats, Formats), CommandError> {
    let (mut back, mut added) = (Vec::new(), Vec::new());
    let system = config.data.join("system.redb");
    let mut list = Kept { format: to, path: system.clone() };
    for (file, found) in formats {
        let kept = migrate::kept(&file).map_err(failed)?.into_iter().find(|kept| kept.format == to);
        match kept {
            Some(kept) => {
                if file == system {
                    list = kept;
                }
                back.push((file, found));
            }
            None => added.push((file, found)),
        }
    }
    if added.is_empty() {
        return Ok((back, added));
    }
    // ok: who cannot tell what was there before sets nothing aside.
    let listed: Option<Vec<Workspace>> = list.records().ok();
    for (file, _) in &added {
        let slug = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
        let is_new = |rows: &Vec<Workspace>| !rows.iter().any(|row| row.slug == slug);
        if *file == system || !listed.as_ref().is_some_and(is_new) {
            let mut name = file.clone().into_os_string();
            name.push(format!(".before-{to}"));
            return Err(failed(UpgradeError::NothingKept { file: name.into() }));
        }
    }
    Ok((back, added))
}

/// The folder of a workspace that only the newer program reads, and where it goes: beside all others, under a
/// name that is free.
fn place_beside(config: &Config, file: &Path, format: u32) -> (PathBuf, PathBuf) {
    let folder = file.parent().map(Path::to_path_buf).unwrap_or_default();
    let beside = config.data.join(format!("workspaces.after-{format}"));
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let place = |n: u32| match n {
        1 => beside.join(&name),
        n => beside.join(format!("{name}-{n}")),
    };
    let aside = (1..).map(place).find(|place| fs::symlink_metadata(place).is_err());
    (folder, aside.unwrap_or_default())
}

/// Moves the folder of a workspace aside, in one step.
fn set_aside(folder: &Path, aside: &Path) -> std::io::Result<()> {
    let all = aside.parent().unwrap_or(aside);
    fs::create_dir_all(all)?;
    fs::rename(folder, aside)?;
    [Some(all), all.parent(), folder.parent()].into_iter().flatten().try_for_each(sync_folder)
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
    let (back, added) = parted(config, formats, to)?;
    let mut lines = Vec::new();
    for (file, found) in &back {
        let name = file.display();
        if flags.yes {
            let aside = migrate::roll_back(file, to, now).map_err(failed)?;
            let aside = aside.display();
            lines.push(format!("{name} is back at format {to}; its newer state is in {aside}"));
        } else {
            lines.push(format!("{name} would go back from format {found} to {to}"));
        }
    }
    let mut moved = Vec::new();
    for (file, found) in &added {
        let (folder, aside) = place_beside(config, file, *found);
        let (from, to_place) = (folder.display(), aside.display());
        if flags.yes {
            set_aside(&folder, &aside)
                .map_err(|e| failed(format!("{from}: {e}; run this again")))?;
            lines.push(format!(
                "{from} was added since, and only the newer version can read it: it is now in \
                 {to_place}. When that version runs again, stop it, move the folder back and start \
                 it again to adopt the workspace"
            ));
        } else {
            lines.push(format!(
                "{from} was added since and has no earlier state: it would be moved to {to_place}"
            ));
        }
        moved.push(aside.display().to_string());
    }
    let done = if flags.yes {
        format!("Now start the program version that reads format {to}.")
    } else {
        "Nothing was changed. What was written since the upgrade will be set aside; repeat with \
         --yes to do it."
            .to_owned()
    };
    lines.push(done);
    let names: Vec<_> = back.iter().map(|(file, _)| file.display().to_string()).collect();
    let all = json!({ "to": to, "done": flags.yes, "files": names, "set_aside": moved });
    commands::print(common, &all, &lines)?;
    Ok(if flags.yes { OK } else { FAILED })
}
