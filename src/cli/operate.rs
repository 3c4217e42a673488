//! The commands that look after the stores: verify, export, remove former versions.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Method;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use app::config::Config;
use app::jobs::JobState;
use features::audit::queries::{VERIFY, VERIFY_BLOBS};
use features::users::rules::UsersError;
use server::operate::{ExportPiece, ExportRequest, RedactRequest, Redacted, Where, chosen};
use store::verify::{Depth, Progress, Verified, verify_with};
use store::{Blobs, Store};

use super::commands::print;
use super::door::{Ask, Door};
use super::reach::{self, CommandError, Local, Reach, block_on};
use super::{Common, FAILED, OK};

/// How often a running piece of work is asked how far it is.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Which workspace a command is for.
#[derive(Args, Clone, Default)]
pub struct Place {
    /// The workspace; optional if there is one
    #[arg(long, value_name = "SLUG")]
    pub workspace: Option<String>,
}

/// `hq audit …`
#[derive(Subcommand)]
pub enum Audit {
    /// Compare everything with its hashes: entries, former versions, records, and whether the
    /// files that they refer to exist
    Verify(Verify),
    /// Export all actions, oldest first, as JSON Lines
    Export(Export),
    /// Show or set how long former versions are kept
    Keep(Keep),
}

/// Flags of `hq audit keep`.
#[derive(Args)]
pub struct Keep {
    #[command(flatten)]
    place: Place,
    /// Remove versions older than this many days
    #[arg(long)]
    days: Option<u16>,
    /// Remove the oldest above this many MB; 0 means no limit
    #[arg(long)]
    megabytes: Option<u32>,
}

/// `hq audit keep`
pub async fn audit_keep(common: &Common, door: &Door, flags: &Keep) -> Result<u8, CommandError> {
    const PATH: &str = "/api/v1/audit/retention";
    let workspace = flags.place.workspace.as_ref();
    let mut keeping = door.call(Ask::get(PATH).within(workspace)).await?;
    if flags.days.is_some() || flags.megabytes.is_some() {
        if let Some(days) = flags.days {
            keeping["days"] = days.into();
        }
        if let Some(megabytes) = flags.megabytes {
            keeping["megabytes"] = Some(megabytes).filter(|some| 0 < *some).into();
        }
        keeping = door.call(Ask::put(PATH, &keeping).within(workspace)).await?;
    }
    let size = match keeping["megabytes"].as_u64() {
        Some(megabytes) => format!("up to {megabytes} MB"),
        None => "without a size limit".to_owned(),
    };
    let message = format!("Former versions are kept for {} days, {size}.", keeping["days"]);
    print(common, &keeping, &[message])
}

/// Flags of `hq audit verify`.
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    place: Place,
    /// Also read the content of every file; slow if there are many
    #[arg(long)]
    blobs: bool,
}

/// Flags of `hq audit export`.
#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    /// Instead of actions in the workspace: sign-ins, tokens and accounts of its members, and
    /// changes of workspaces and backups
    #[arg(long)]
    accounts: bool,
    /// The file [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Where the words of former versions may lie all the same, and what to do.
const REMAINS: [&str; 3] = [
    "The text of those versions may still be",
    "- in free pages of the store's file; `hq store compact` rewrites the file",
    "- in copies: backups, exported files, the store from before an upgrade (hq.redb.before-…, for \
     14 days), and what a restore has set aside (before-restore-…)",
];

/// Flags of `hq redact`.
#[derive(Args)]
pub struct Redact {
    /// The table, such as tasks; accounts, api_tokens, workspaces and backup_settings belong to the
    /// whole HQ
    table: String,
    /// Its id; of a task also its key, such as AW-1
    id: String,
    #[command(flatten)]
    place: Place,
    /// Confirm: former versions can't be restored
    #[arg(long)]
    yes: bool,
}

pub(super) fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::Failed(error.to_string())
}

pub(super) fn refused(error: &web::error::ApiError) -> CommandError {
    reach::refusal(Some(&error.0.code), error.0.detail.clone())
}

/// Why no workspace was chosen.
pub(super) fn unchosen(error: UsersError) -> CommandError {
    refused(&error.into())
}

/// Tells on a terminal how far a piece of work is.
pub(super) fn show(common: &Common, what: &str, done: u64, total: u64) {
    use std::io::IsTerminal;
    let mut out = std::io::stderr();
    if common.json || !out.is_terminal() {
        return;
    }
    let of = if total == 0 { String::new() } else { format!(" of {total}") };
    // ok: nobody looks.
    let _ = write!(out, "\r\x1b[K{done}{of} {what}").and_then(|()| out.flush());
}

pub(super) fn clear(common: &Common) {
    use std::io::IsTerminal;
    let mut out = std::io::stderr();
    if !common.json && out.is_terminal() {
        // ok: nobody looks.
        let _ = write!(out, "\r\x1b[K").and_then(|()| out.flush());
    }
}

/// Begins a piece of work in the running program and waits until it ends.
pub(super) async fn run_job(
    common: &Common,
    local: &Local,
    kind: &str,
    place: &Where,
) -> Result<Value, CommandError> {
    let path = format!("/local/jobs/{kind}");
    let mut state: JobState = local.call(Method::POST, &path, Some(place)).await?;
    let query = place.workspace.as_ref().map(|slug| format!("?workspace={slug}"));
    let path = format!("{path}{}", query.unwrap_or_default());
    while state.ended.is_none() {
        show(common, &state.what, state.done, state.total);
        tokio::time::sleep(ASK_EVERY).await;
        state = local.call(Method::GET, &path, None::<&()>).await?;
    }
    clear(common);
    match (state.result, state.error) {
        (Some(value), _) => Ok(value),
        (None, error) => Err(CommandError::Refused(error.unwrap_or_default())),
    }
}

/// `hq audit verify`.
pub fn audit_verify(common: &Common, config: Config, flags: Verify) -> Result<u8, CommandError> {
    let place = Where { workspace: flags.place.workspace };
    let (kind, depth) = match flags.blobs {
        true => (VERIFY_BLOBS, Depth::Whole),
        false => (VERIFY, Depth::There),
    };
    let found: Value = block_on(async {
        match reach::reach(config).await? {
            Reach::Running(local) => run_job(common, &local, kind, &place).await,
            Reach::Stopped(offline) => {
                let ws = chosen(&offline.app, place.workspace.as_deref()).map_err(unchosen)?;
                let look = |store: &Store, blobs: Option<(&Blobs, Depth)>| {
                    verify_with(store, blobs, &mut |Progress { what, done, total }| {
                        show(common, what, done, total);
                        ControlFlow::Continue(())
                    })
                    .map_err(failed)
                };
                let both = json!({
                    "workspace": look(&ws.store, Some((&ws.blobs, depth)))?,
                    "accounts": look(&offline.app.system, None)?,
                });
                clear(common);
                Ok(both)
            }
        }
    })?;
    let mut lines = Vec::new();
    let mut sound = true;
    for (name, what) in [("workspace", "the workspace"), ("accounts", "the accounts")] {
        let report: Verified = serde_json::from_value(found[name].clone()).map_err(failed)?;
        lines.push(format!(
            "{}: {} entries, {} former versions, {} records, {} files in {} ms: {}",
            what,
            report.entries,
            report.images,
            report.rows,
            report.blobs,
            report.took_ms,
            match report.faults_count {
                0 => "all match their hashes".to_owned(),
                n => format!("{n} DO NOT MATCH"),
            }
        ));
        lines.extend(report.faults.iter().map(|fault| format!("  {fault}")));
        if report.is_sound() {
            lines.push(format!("  last hash {}", report.head));
        } else {
            sound = false;
        }
    }
    if !sound {
        lines.push("Keep a copy of the data folder, and restore an earlier backup.".to_owned());
    }
    print(common, &found, &lines)?;
    Ok(if sound { OK } else { FAILED })
}

/// `hq audit export`.
pub fn audit_export(common: &Common, config: Config, flags: Export) -> Result<u8, CommandError> {
    let mut wish = ExportRequest {
        workspace: flags.place.workspace,
        source: flags.accounts.then(|| "accounts".to_owned()),
        after: 0,
    };
    let mut out: Box<dyn Write> = match &flags.out {
        Some(path) => Box::new(std::fs::File::create(path).map_err(failed)?),
        None => Box::new(std::io::stdout().lock()),
    };
    block_on(async {
        let local = reach::local(config).await?;
        loop {
            let query = serde_urlencoded::to_string(&wish).map_err(failed)?;
            let path = format!("/local/audit?{query}");
            let piece: ExportPiece = local.call(Method::GET, &path, None::<&()>).await?;
            out.write_all(piece.text.as_bytes()).map_err(failed)?;
            match piece.next {
                Some(next) => wish.after = next,
                None => return out.flush().map_err(failed),
            }
            show(common, "entries", wish.after, 0);
        }
    })?;
    clear(common);
    Ok(OK)
}

/// `hq redact`.
pub fn redact(common: &Common, config: Config, flags: Redact) -> Result<u8, CommandError> {
    let wish = RedactRequest {
        workspace: flags.place.workspace,
        table: flags.table.clone(),
        id: flags.id.clone(),
        look: !flags.yes,
    };
    let done: Redacted = block_on(async {
        reach::local(config).await?.call(Method::POST, "/local/redact", Some(&wish)).await
    })?;
    if !flags.yes {
        let named = match done.id == flags.id {
            true => flags.id,
            false => format!("{} ({})", flags.id, done.id),
        };
        return Err(CommandError::Refused(format!(
            "this permanently removes all former versions of {} {named}; backups and other copies \
             keep them; confirm with --yes",
            flags.table
        )));
    }
    let line = format!("Removed {} former versions. The current version stays.", done.removed);
    let lines: Vec<String> = std::iter::once(line).chain(REMAINS.map(str::to_owned)).collect();
    print(common, &done, &lines)
}
