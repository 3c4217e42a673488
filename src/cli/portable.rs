//! `hq export` and `hq import`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::Method;
use clap::Args;

use app::config::Config;
use backup::portable::Portable;
use server::portable::Imported;
use server::transfer::{ExportOptions, ImportFile};
use web::format;

use super::Common;
use super::commands::print;
use super::progress::beaten;
use super::reach::{self, CommandError, block_on};

/// How long the program may take over a large workspace.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

/// Flags of `hq export`.
#[derive(Args)]
pub struct Export {
    /// The workspace
    #[arg(long, value_name = "SLUG")]
    workspace: String,
    /// The file to create; it must not exist
    file: PathBuf,
}

/// Flags of `hq import`.
#[derive(Args)]
pub struct Import {
    /// The file
    file: PathBuf,
    /// The new workspace's name in addresses [default: the one in the file]
    #[arg(long = "as", value_name = "SLUG")]
    slug: Option<String>,
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| CommandError::Failed(error.to_string()))
}

/// `hq export`.
pub fn export(common: &Common, config: Config, flags: &Export) -> Result<u8, CommandError> {
    if flags.file == Path::new("-") {
        // The program that runs writes it, and that has another standard output.
        let words = "`hq export` writes to a file: give a name, as in `hq export --workspace SLUG \
                     FILE && cat FILE`; for a file with exactly that name, use `./-`";
        return Err(CommandError::Failed(words.to_owned()));
    }
    let file = absolute(&flags.file)?;
    let wish = ExportOptions { workspace: flags.workspace.clone(), file: file.clone() };
    let so_far = |seconds: u64| {
        // ok: it is not there yet, or not ours to look at.
        let bytes = std::fs::metadata(&file).map_or(0, |meta| meta.len());
        format!("Exporting for {seconds} s: {} written", format::size(bytes))
    };
    let work = async {
        let local = reach::local(config).await?;
        local.call_within(LONG, Method::POST, "/local/export", Some(&wish)).await
    };
    let done: Portable = block_on(beaten(common, so_far, work))?;
    let rows: u64 = done.tables.iter().map(|table| table.rows).sum();
    let bytes: u64 = done.files.values().map(|file| file.bytes).sum();
    let mut lines = vec![format!(
        "Exported {} to {}: {} rows, {} files, {} unpacked",
        done.slug,
        flags.file.display(),
        rows,
        done.files.len(),
        format::size(bytes)
    )];
    lines.extend(done.left_out.iter().map(|one| format!("Left out: {one}")));
    print(common, &done, &lines)
}

/// `hq import`.
pub fn import(common: &Common, config: Config, flags: Import) -> Result<u8, CommandError> {
    let wish = ImportFile { file: absolute(&flags.file)?, slug: flags.slug };
    let so_far = |seconds: u64| format!("Importing for {seconds} s");
    let work = async {
        let local = reach::local(config).await?;
        local.call_within(LONG, Method::POST, "/local/import", Some(&wish)).await
    };
    let done: Imported = block_on(beaten(common, so_far, work))?;
    let mut lines = vec![format!(
        "Imported the workspace {}: {} rows, {} files, {} branches",
        done.slug, done.rows, done.blobs, done.branches
    )];
    if 0 < done.paused {
        lines.push(format!("Agents paused until you resume them: {}", done.paused));
    }
    if 0 < done.interrupted {
        lines.push(format!("Active runs that were ended here: {}", done.interrupted));
    }
    lines.extend(done.notes.iter().cloned());
    lines.extend(done.left_out.iter().map(|one| format!("Left out: {one}")));
    print(common, &done, &lines)
}
