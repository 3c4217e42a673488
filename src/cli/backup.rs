//! `hq backup …` and `hq restore …`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::http::Method;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use app::config::Config;
use backup::{Address, Manifest, Means, Meter, Repository, S3Keys, Target, mend_head, open_target};
use crypto::keyring::Secret;
use features::backups::job;
use features::backups::model::{BackupRun, Deed, Outcome};
use kernel::Clock as _;
use kernel::time::SystemClock;
use net::client::{ClientParts, HttpClient};
use net::message::Policy;
use server::backups::{BackupCommand, KEYS_GO_WITH_TO, LocalList, LocalRun};
use server::restore::{Mode, RestoreRequest, Which, key_file, restore};

use super::commands::print;
use super::progress::{LOOK, Shown, watched};
use super::reach::{self, CommandError, Local, Reach, block_on};
use super::{Common, FAILED, complain};

const NOTHING: Option<&()> = None;

/// Flags of `hq backup`.
#[derive(Args)]
pub struct Backup {
    #[command(flatten)]
    place: Place,
    /// Accept a place with another repository than last time, or none
    #[arg(long)]
    new_place: bool,
    #[command(subcommand)]
    deed: Option<BackupDeed>,
}

/// `hq backup …`
#[derive(Subcommand)]
enum BackupDeed {
    /// List backups
    List,
    /// Check every hash of a backup
    Verify {
        /// The backup's name or the start of it [default: the newest]
        id: Option<String>,
    },
    /// Remove backups that retention does not keep, and pieces that no backup needs
    Prune,
    /// Rebuild a missing or damaged hq-backups.json at a place that is not encrypted
    #[command(alias = "mend")]
    Repair,
}

/// Where backups are.
#[derive(Args, Clone)]
pub struct Place {
    /// A folder or s3://bucket/folder?endpoint=https://… [default: from the settings]
    #[arg(long, global = true, value_name = "PLACE")]
    to: Option<String>,
    #[command(flatten)]
    keys: Keys,
}

/// What opens a place.
#[derive(Args, Clone)]
pub struct Keys {
    /// A file with the passphrase of encrypted backups
    #[arg(long, global = true, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file with the bucket's access key on its first line and the secret key on its second
    #[arg(long, global = true, value_name = "FILE")]
    credentials_file: Option<PathBuf>,
}

/// Flags of `hq restore`.
#[derive(Args)]
pub struct Restore {
    /// The place of the backups: a folder or s3://bucket/folder?endpoint=https://…
    from: String,
    /// The start of a backup's name, or a time such as 2026-11-20T12:00:00Z, also between two backups
    /// [default: the newest with all workspaces]
    #[arg(long, value_name = "ID|TIME")]
    at: Option<String>,
    /// Only this workspace; with --into also the accounts
    #[arg(long, value_name = "SLUG")]
    workspace: Option<String>,
    /// Check everything and show what would be restored
    #[arg(long)]
    dry_run: bool,
    /// Also set aside existing workspaces that are not in the backup
    #[arg(long, conflicts_with_all = ["workspace", "into", "dry_run"])]
    exactly: bool,
    /// Restore into a new data folder, which must be empty or missing
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
}

fn failed(error: &impl std::fmt::Display) -> CommandError {
    CommandError::Failed(error.to_string())
}

fn refused(error: &impl std::fmt::Display) -> CommandError {
    CommandError::Refused(error.to_string())
}

impl Keys {
    fn passphrase(&self) -> Result<Option<String>, CommandError> {
        let Some(file) = &self.passphrase_file else { return Ok(None) };
        let text = read_small(file)?;
        // The line break that every editor adds is no part of it.
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn s3(&self) -> Result<Option<(String, String)>, CommandError> {
        let Some(file) = &self.credentials_file else { return Ok(None) };
        let text = read_small(file)?;
        let mut lines = text.lines().map(|line| line.trim().to_owned());
        match (lines.next(), lines.next()) {
            (Some(id), Some(secret)) if !id.is_empty() && !secret.is_empty() => {
                Ok(Some((id, secret)))
            }
            _ => Err(CommandError::Failed(format!(
                "{} must hold the access key on its first line and the secret key on its second",
                file.display()
            ))),
        }
    }
}

fn read_small(file: &Path) -> Result<String, CommandError> {
    let read = std::fs::metadata(file).and_then(|meta| match meta.len() {
        0..=65_536 => std::fs::read_to_string(file),
        _ => Err(std::io::ErrorKind::FileTooLarge.into()),
    });
    read.map_err(|error| CommandError::Failed(format!("{}: {error}", file.display())))
}

/// `hq backup`, `list`, `verify`, `prune`.
pub fn backup(common: &Common, config: Config, flags: Backup) -> Result<u8, CommandError> {
    let Place { to, keys } = &flags.place;
    if to.is_none() && (keys.passphrase_file.is_some() || keys.credentials_file.is_some()) {
        return Err(CommandError::Failed(KEYS_GO_WITH_TO.to_owned()));
    }
    match flags.deed {
        Some(BackupDeed::List) => list(common, config, &flags.place),
        Some(BackupDeed::Verify { id }) => match &flags.place.to {
            Some(to) => verify(common, &config, (to, id), &flags.place.keys),
            None => {
                let wish = BackupCommand {
                    deed: Some(Deed::Verify),
                    backup: id,
                    ..BackupCommand::default()
                };
                ask(common, config, &flags.place, wish)
            }
        },
        Some(BackupDeed::Repair) => repair(common, &flags.place),
        Some(BackupDeed::Prune) => {
            let wish = BackupCommand { deed: Some(Deed::Prune), ..BackupCommand::default() };
            ask(common, config, &flags.place, wish)
        }
        None => {
            let (deed, new_place) = (Some(Deed::Backup), flags.new_place);
            let wish = BackupCommand { deed, new_place, ..BackupCommand::default() };
            ask(common, config, &flags.place, wish)
        }
    }
}

/// Has the program do it, or does it itself when that is stopped.
fn ask(
    common: &Common,
    config: Config,
    place: &Place,
    wish: BackupCommand,
) -> Result<u8, CommandError> {
    let mut to = place.to.clone();
    if let Some(given) = &mut to
        && !given.contains("://")
    {
        // The program has another folder to start from.
        *given = std::path::absolute(&*given).map_err(|e| failed(&e))?.display().to_string();
    }
    let (passphrase, keys) = (place.keys.passphrase()?, place.keys.s3()?);
    let wish = BackupCommand { to, passphrase, keys, ..wish };
    let run = block_on(async {
        match reach::reach(config).await? {
            Reach::Running(local) => follow(common, &local, &wish).await,
            Reach::Stopped(offline) => {
                let wish = wish.wish().map_err(|e| refused(&e))?;
                let app = &offline.app;
                let how_far = || app.backups.busy().map(|busy| busy.meter.progress());
                let done = watched(common, how_far, job::run(app, wish)).await;
                done.map_err(|e| refused(&e))
            }
        }
    })?;
    if run.is_incomplete() {
        // It is there, and it is no success.
        print(common, &run, &[line(&run)])?;
        return Ok(FAILED);
    }
    if run.outcome == Outcome::Failed {
        return Err(CommandError::Refused(run.note.unwrap_or_default()));
    }
    print(common, &run, &[line(&run)])
}

async fn follow(
    common: &Common,
    local: &Local,
    wish: &BackupCommand,
) -> Result<BackupRun, CommandError> {
    let begun: LocalRun = local.call(Method::POST, "/local/backups", Some(wish)).await?;
    let path = format!("/local/backups/{}", begun.run.id);
    let mut shown = Shown::new(common);
    loop {
        let now: LocalRun = local.call(Method::GET, &path, NOTHING).await?;
        if now.run.outcome != Outcome::Running {
            return Ok(now.run);
        }
        shown.say(now.progress);
        tokio::time::sleep(LOOK).await;
    }
}

fn line(run: &BackupRun) -> String {
    let note = run.note.as_deref().map(|note| format!(" ({note})")).unwrap_or_default();
    match (run.deed, &run.backup) {
        (Deed::Backup, Some(id)) if run.is_incomplete() => format!(
            "INCOMPLETE: the backup {id} at {}: {}",
            run.place,
            run.note.as_deref().unwrap_or_default()
        ),
        (Deed::Backup, Some(id)) => format!(
            "Backup {id} is at {}: {}, {} new{note}",
            run.place,
            size(run.bytes),
            size(run.new_bytes)
        ),
        (Deed::Verify, Some(id)) => format!("Backup {id} is complete: {}{note}", size(run.bytes)),
        (deed, _) => format!("{}: done{note}, {} freed", deed.label(), size(run.new_bytes)),
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    web::format::size(bytes)
}

/// A backup in a list that a command asks of the place itself.
#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    manifest: Manifest,
    /// Whether pieces of it are missing: a check has put them aside, or somebody has removed them.
    damaged: bool,
}

fn listed_line(one: &Listed) -> String {
    let manifest = &one.manifest;
    let mark = if one.damaged { "damaged" } else { "" };
    format!(
        "{}  {}  {:>10}  {:>10} new  {}{}  {mark}",
        manifest.id,
        manifest.taken_at,
        size(manifest.bytes()),
        size(manifest.new_bytes),
        manifest.workspaces.join(", "),
        lacks(&manifest.missing)
    )
}

fn lacks(missing: &[String]) -> String {
    if missing.is_empty() {
        String::new()
    } else {
        format!("  INCOMPLETE, without {}", missing.join(", "))
    }
}

fn list(common: &Common, config: Config, place: &Place) -> Result<u8, CommandError> {
    if let Some(to) = &place.to {
        let repo = with_repository(common, to, &place.keys, |repo, _| {
            repo.states().map_err(|e| refused(&e))
        });
        let (all, unreadable) = repo?;
        let all: Vec<_> =
            all.into_iter().map(|(manifest, whole)| Listed { manifest, damaged: !whole }).collect();
        let lines: Vec<_> = all.iter().rev().map(listed_line).collect();
        unreadable.iter().for_each(|(_, error)| complain(&error.to_string()));
        return match (print(common, &all, &lines)?, unreadable.is_empty()) {
            (code, true) => Ok(code),
            _ => Ok(FAILED),
        };
    }
    let found: LocalList = block_on(async {
        reach::local(config).await?.call(Method::GET, "/local/backups", NOTHING).await
    })?;
    let mut lines = vec![format!("Backups at {}:", found.place)];
    lines.extend(found.backups.iter().map(|one| {
        let mark = match (one.damage(), one.verified_at) {
            (Some(_), _) => "damaged",
            (None, Some(_)) => "checked",
            (None, None) => "",
        };
        format!(
            "{}  {}  {:>10}  {:>10} new  {}{}  {mark}",
            one.id,
            one.taken_at,
            size(one.bytes),
            size(one.new_bytes),
            one.workspaces.join(", "),
            lacks(&one.missing())
        )
    }));
    match (found.backups.is_empty(), found.unread) {
        (true, 0) => lines.push("none yet. To make one: `hq backup`".to_owned()),
        (_, 0) => {}
        (_, more) => lines.push(format!(
            "{more} that HQ hasn't read yet. To list them: `hq backup list --to {}`",
            found.place
        )),
    }
    print(common, &found, &lines)
}

/// Opens a repository without a data folder and works with it on a thread that may block.
fn with_repository<T: Send + 'static>(
    common: &Common,
    to: &str,
    keys: &Keys,
    work: impl FnOnce(&Repository, &Meter) -> Result<T, CommandError> + Send + 'static,
) -> Result<T, CommandError> {
    with_target(common, to, keys, move |target, passphrase, meter| {
        let repo = Repository::open(target, passphrase.as_ref()).map_err(|e| refused(&e))?;
        work(&repo, meter)
    })
}

/// The same with the place itself, whatever lies there.
fn with_target<T: Send + 'static>(
    common: &Common,
    to: &str,
    keys: &Keys,
    work: impl FnOnce(Arc<dyn Target>, Option<Secret>, &Meter) -> Result<T, CommandError>
    + Send
    + 'static,
) -> Result<T, CommandError> {
    let address: Address = to.parse().map_err(|e| refused(&e))?;
    let passphrase = keys.passphrase()?.map(Secret::new);
    let s3 = keys.s3()?.map(|(id, secret)| S3Keys { id, secret: Secret::new(secret) });
    block_on(async move {
        let means = Means {
            http: HttpClient::new(ClientParts::default()),
            clock: Arc::new(SystemClock),
            policy: Policy::Trusted,
        };
        let target = open_target(&address, s3, &means).map_err(|e| refused(&e))?;
        let meter = Arc::new(Meter::default());
        let counted = Arc::clone(&meter);
        let done = tokio::task::spawn_blocking(move || work(target, passphrase, &counted));
        let done = watched(common, || Some(meter.progress()), done).await;
        done.map_err(|e| failed(&e))?
    })
}

/// `hq backup repair`: needs no data folder.
fn repair(common: &Common, place: &Place) -> Result<u8, CommandError> {
    let Some(to) = &place.to else {
        let words = "give the place with --to; `hq backup list` shows the one in the settings";
        return Err(CommandError::Failed(words.to_owned()));
    };
    let work = |target: Arc<dyn Target>, _: Option<Secret>, _: &Meter| {
        let made = mend_head(&*target, SystemClock.now()).map_err(|e| refused(&e))?;
        Ok((target.place().to_owned(), made))
    };
    let (place, made) = with_target(common, to, &place.keys, work)?;
    let words = match made {
        None => format!("hq-backups.json at {place} is readable; nothing to rebuild"),
        Some(backups) => format!(
            "Rebuilt hq-backups.json at {place} from {backups} backups; check them with `hq \
             backup verify --to {place}`. If the next backup reports a different repository, \
             accept it once with `hq backup --new-place`"
        ),
    };
    print(common, &serde_json::json!({ "place": place, "backups": made }), &[words])
}

fn verify(
    common: &Common,
    config: &Config,
    (to, id): (&str, Option<String>),
    keys: &Keys,
) -> Result<u8, CommandError> {
    // A machine that has only the backups is left without a data folder.
    let scratch = config
        .data
        .is_dir()
        .then(|| config.data.join("backups").join(format!("verify-{}", std::process::id())));
    let opens = scratch.is_some();
    let done = with_repository(common, to, keys, move |repo, meter| {
        let manifest = match id {
            Some(start) => repo.find(&start).and_then(|id| repo.manifest(&id)),
            None => repo.newest(None),
        };
        let manifest = manifest.map_err(|e| refused(&e))?;
        let checked = backup::verify(repo, &manifest, None, meter);
        let mut bad = repo.bad_heads().map_err(|e| refused(&e))?;
        let checked = checked.map_err(|e| refused(&e))?;
        if let (true, Some(folder)) = (checked.faults.is_empty(), scratch) {
            let histories = backup::look_through_histories(repo, &manifest, &folder, meter);
            bad.extend(histories.map_err(|e| refused(&e))?);
        }
        Ok((manifest.id, checked, bad))
    });
    let (id, checked, bad) = done?;
    bad.iter().for_each(|bad| complain(bad));
    if checked.faults.is_empty() && !bad.is_empty() {
        return Ok(FAILED);
    }
    if !checked.faults.is_empty() {
        checked.faults.iter().for_each(|fault| complain(&fault.to_string()));
        complain(&format!("damaged backups: {}", checked.damaged.join(", ")));
        return Ok(FAILED);
    }
    let report = serde_json::json!({
        "backup": id, "bytes": checked.bytes, "rows": checked.rows, "files": checked.files,
    });
    let words = format!(
        "Backup {id} is complete: {}, {} rows, {} files",
        size(checked.bytes),
        checked.rows,
        checked.files
    );
    let histories = match opens {
        true => "Its agent file histories are complete",
        false => {
            "Its agent file histories were not checked: there is no data folder to extract them to"
        }
    };
    print(common, &report, &[words, histories.to_owned()])
}

/// `hq restore`.
pub fn restore_command(
    common: &Common,
    config: &Config,
    flags: Restore,
) -> Result<u8, CommandError> {
    let backup = match flags.at.as_deref() {
        None | Some("latest") => Which::Newest,
        Some(text) => text.parse::<Timestamp>().map_or(Which::Id(text.to_owned()), Which::At),
    };
    let mode = match (flags.dry_run, &flags.into) {
        (true, _) => Mode::DryRun,
        (false, Some(_)) => Mode::IntoEmpty,
        (false, None) if flags.exactly => Mode::Exactly,
        (false, None) => Mode::Restore,
    };
    let data = flags.into.unwrap_or_else(|| config.data.clone());
    let key_file = key_file(config, &data);
    let wish = RestoreRequest { data, backup, workspace: flags.workspace, mode, key_file };
    let done = with_repository(common, &flags.from, &flags.keys, move |repo, meter| {
        restore(repo, &wish, meter).map_err(|e| refused(&e))
    })?;
    let what = done.workspaces.join(", ");
    let mut lines = vec![format!(
        "All hashes match: {} in {} rows and files of the backup {} from {}",
        size(done.bytes),
        done.rows,
        done.backup,
        done.taken_at
    )];
    let what = if what.is_empty() { "only the accounts" } else { &what };
    if done.dry_run {
        lines.push(format!("Nothing was written. This would be restored: {what}"));
    } else {
        lines.push(format!("Restored into {}: {what}", done.data.display()));
    }
    if let Some(kept) = &done.kept {
        lines.push(format!(
            "The previous data is in {}; remove it when all is well",
            kept.display()
        ));
    }
    if let Some(moment) = done.moment {
        lines.push(match done.dry_run {
            true => format!("It would then go back to {moment}"),
            false => format!("It went back to {moment}"),
        });
    }
    lines.extend(done.notes.iter().map(|note| web::form::sentence(note)));
    for one in &done.unreadable {
        lines.push(format!("Can't be read with this master key: {one}"));
    }
    print(common, &done, &lines)
}
