//! The commands for the stores themselves and for what follows their feeds.

use std::ops::ControlFlow;
use std::time::Duration;

use axum::http::Method;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use app::config::Config;
use features::health::queries::letters::{Letter, Letters};
use kernel::Cause;
use server::operate::{ConsumerList, ConsumerRequest, LettersRequest, Where, chosen};
use store::doctor::{Diagnosis, cure, diagnose, follow, mend};
use store::stats::{Compacted, stats};
use store::verify::Progress;
use store::{Store, StoreError};
use web::format;

use super::commands::{or_none, print};
use super::operate::{Place, clear, failed, run_job, show, unchosen};
use super::reach::{self, CommandError, Reach, block_on};
use super::{Common, FAILED, OK};

/// `hq store …`
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Show the size of each table
    Stats(Place),
    /// Compact the file; HQ is unavailable while it runs
    Compact(Place),
    /// Check every page of the file; HQ is unavailable while it runs
    Check(Place),
}

/// Flags of `hq doctor store`.
#[derive(Args)]
pub struct DoctorStore {
    #[command(flatten)]
    place: Place,
    /// Repair differences
    #[arg(long)]
    repair: bool,
}

/// `hq consumer …`
#[derive(Subcommand)]
pub enum ConsumerCommand {
    /// Show the position of each consumer
    List(Place),
    /// Pause a consumer
    Pause(Named),
    /// Resume a consumer
    Resume(Named),
    /// List the dead letters of a consumer, oldest first, with the reasons
    Letters(OfLetters),
    /// Skip the next entry: move it to the dead letters
    Skip(Skip),
    /// Move a consumer back to an entry
    Rewind(Entry),
    /// Start a consumer from the beginning
    Rebuild(Named),
    /// Retry a dead letter
    Retry(Entry),
    /// Drop a dead letter
    Drop(Entry),
}

/// Which consumer.
#[derive(Args)]
pub struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq consumer letters`.
#[derive(Args)]
pub struct OfLetters {
    #[command(flatten)]
    named: Named,
    /// Only after this entry, as the previous list shows it
    #[arg(long, value_name = "ENTRY")]
    after: Option<u64>,
    /// Maximum number, up to 100
    #[arg(long, default_value_t = 25)]
    limit: usize,
}

/// Which consumer, and the entry that it is to skip.
#[derive(Args)]
pub struct Skip {
    /// Its name
    name: String,
    /// The number of the entry; if another one is next, nothing is skipped
    entry: Option<u64>,
    #[command(flatten)]
    place: Place,
}

/// Which consumer and which entry.
#[derive(Args)]
pub struct Entry {
    /// Its name
    name: String,
    /// The number of the entry
    entry: u64,
    #[command(flatten)]
    place: Place,
}

/// Does something in the running program, or on the stores of a stopped one: first the workspace's,
/// then that of the accounts.
fn on_both<T: Serialize + Send>(
    common: &Common,
    config: Config,
    (kind, place): (&str, Place),
    alone: impl Fn(&Store) -> Result<T, StoreError> + Sync,
) -> Result<Value, CommandError> {
    let place = Where { workspace: place.workspace };
    block_on(async {
        match reach::reach(config).await? {
            Reach::Running(local) => run_job(common, &local, kind, &place).await,
            Reach::Stopped(offline) => {
                let ws = chosen(&offline.app, place.workspace.as_deref()).map_err(unchosen)?;
                // The stores may not be worked on from a thread of the async runtime.
                let (own, system) = (ws.store.clone(), offline.app.system.clone());
                std::thread::scope(|scope| {
                    let work = scope.spawn(|| {
                        let both = (alone(&own), alone(&system));
                        Ok(json!({ "workspace": both.0?, "accounts": both.1? }))
                    });
                    let done: Result<Value, StoreError> =
                        work.join().unwrap_or(Err(StoreError::Closed));
                    done.map_err(failed)
                })
            }
        }
    })
}

/// `hq store …`.
pub fn store(common: &Common, config: Config, command: StoreCommand) -> Result<u8, CommandError> {
    match command {
        StoreCommand::Stats(place) => {
            let found = on_both(common, config, ("stats", place), stats)?;
            print(common, &found, &table_lines(&found))
        }
        StoreCommand::Compact(place) => {
            let done = on_both(common, config, ("compact", place), Store::compact)?;
            let line = |name: &str| {
                let part: Compacted = serde_json::from_value(done[name].clone()).map_err(failed)?;
                Ok::<_, CommandError>(format!(
                    "{name}: from {} to {} in {} ms",
                    format::size(part.before),
                    format::size(part.after),
                    part.took_ms
                ))
            };
            let lines = [line("workspace")?, line("accounts")?];
            print(common, &done, &lines)
        }
        StoreCommand::Check(place) => {
            let check = |store: &Store| store.check().map(|sound| json!({ "sound": sound }));
            let done = on_both(common, config, ("check", place), check)?;
            let line = |name: &str| match done[name]["sound"] == true {
                true => format!("{name}: no damage found"),
                false => format!("{name}: DAMAGED pages were repaired; run `hq audit verify`"),
            };
            print(common, &done, &[line("workspace"), line("accounts")])?;
            let sound = done["workspace"]["sound"] == true && done["accounts"]["sound"] == true;
            Ok(if sound { OK } else { FAILED })
        }
    }
}

fn table_lines(found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    for name in ["workspace", "accounts"] {
        let figure = |what: &str| format::size(found[name][what].as_u64().unwrap_or(0));
        let oldest = match found[name]["oldest_snapshot_ms"].as_u64() {
            Some(ms) => format!("oldest snapshot {}", format::duration(Duration::from_millis(ms))),
            None => "no reader".to_owned(),
        };
        lines.push(format!(
            "{name}: file {}, rows {}, trees {}, half-empty pages {}, free {}, {} entries, {oldest}",
            figure("file"),
            figure("stored"),
            figure("overhead"),
            figure("fragmented"),
            figure("free"),
            found[name]["feed"]
        ));
        for table in found[name]["tables"].as_array().into_iter().flatten() {
            if table["rows"] == 0 {
                continue;
            }
            let size = |what: &str| table[what].as_u64().unwrap_or(0);
            lines.push(format!(
                "  {:<28} {:<8} {:>10} rows {:>10} {:>10} half empty",
                table["name"].as_str().unwrap_or_default(),
                table["kind"].as_str().unwrap_or_default(),
                size("rows"),
                format::size(size("stored") + size("overhead")),
                format::size(size("fragmented"))
            ));
        }
    }
    lines
}

/// `hq doctor store`.
pub fn doctor(common: &Common, config: Config, flags: DoctorStore) -> Result<u8, CommandError> {
    let kind = if flags.repair { "mend" } else { "doctor" };
    let repair = flags.repair;
    let alone = |store: &Store| {
        let all = server::consumers::all();
        let watch = &mut |Progress { what, done, total }| -> ControlFlow<()> {
            show(common, what, done, total);
            ControlFlow::Continue(())
        };
        let found = if repair {
            let by = (kernel::Actor::System(kernel::Part::Cli), Cause::Setup);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| StoreError::Failed(error.to_string()))?;
            let mend = &mut |found: &mut Diagnosis| runtime.block_on(mend(store, by, found));
            cure(store, all.all(), watch, mend)?
        } else {
            let mut found = diagnose(store, watch)?;
            follow(store, all.all(), &mut found)?;
            found
        };
        clear(common);
        Ok(found)
    };
    let found = on_both(common, config, (kind, flags.place), alone)?;
    let mut lines = Vec::new();
    let mut left = 0;
    for name in ["workspace", "accounts"] {
        let part: Diagnosis = serde_json::from_value(found[name].clone()).map_err(failed)?;
        lines.push(format!(
            "{name}: {} records, {} index rows, {} references, {} sums in {} ms: {}",
            part.records,
            part.index_rows,
            part.references,
            part.sums,
            part.took_ms,
            match (part.differences_count, part.mended, part.left()) {
                (0, ..) => "everything matches".to_owned(),
                (n, 0, _) => format!("{n} DIFFER; --repair fixes what it can"),
                (n, mended, 0) => format!("{n} differed, {mended} were repaired"),
                (n, mended, left) =>
                    format!("{n} differed, {mended} were repaired, {left} STILL DIFFER"),
            }
        ));
        let each = part.differences.iter();
        lines.extend(each.map(|one| format!("  {}, {} {}", one.table, one.of, one.what)));
        left += part.left();
    }
    print(common, &found, &lines)?;
    Ok(if left == 0 { OK } else { FAILED })
}

/// `hq consumer …`.
pub fn consumer(
    common: &Common,
    config: Config,
    command: ConsumerCommand,
) -> Result<u8, CommandError> {
    let wish = |act: &str, name: String, entry: Option<u64>, place: Place| ConsumerRequest {
        workspace: place.workspace,
        name,
        act: act.to_owned(),
        entry,
    };
    let named = |act: &str, one: Named| wish(act, one.name, None, one.place);
    let entry = |act: &str, one: Entry| wish(act, one.name, Some(one.entry), one.place);
    let wish = match command {
        ConsumerCommand::List(place) => return list(common, config, place),
        ConsumerCommand::Letters(flags) => return letters(common, config, flags),
        ConsumerCommand::Pause(one) => named("pause", one),
        ConsumerCommand::Resume(one) => named("resume", one),
        ConsumerCommand::Skip(one) => wish("skip", one.name, one.entry, one.place),
        ConsumerCommand::Rebuild(one) => named("rebuild", one),
        ConsumerCommand::Rewind(one) => entry("rewind", one),
        ConsumerCommand::Retry(one) => entry("retry", one),
        ConsumerCommand::Drop(one) => entry("drop", one),
    };
    let now: ConsumerList = block_on(async {
        reach::local(config).await?.call(Method::POST, "/local/consumers", Some(&wish)).await
    })?;
    print(common, &now, &consumer_lines(&now))
}

fn list(common: &Common, config: Config, place: Place) -> Result<u8, CommandError> {
    let query = place.workspace.as_ref().map(|slug| format!("?workspace={slug}"));
    let path = format!("/local/consumers{}", query.unwrap_or_default());
    let now: ConsumerList = block_on(async {
        reach::local(config).await?.call(Method::GET, &path, None::<&()>).await
    })?;
    print(common, &now, &consumer_lines(&now))
}

fn letters(common: &Common, config: Config, flags: OfLetters) -> Result<u8, CommandError> {
    let OfLetters { named: Named { name, place }, after, limit } = flags;
    let wish = LettersRequest { workspace: place.workspace, name, after, limit: Some(limit) };
    let query = serde_urlencoded::to_string(&wish).map_err(failed)?;
    let path = format!("/local/consumers/letters?{query}");
    let page: Letters = block_on(async {
        reach::local(config).await?.call(Method::GET, &path, None::<&()>).await
    })?;
    let mut lines = or_none(page.items.iter().map(letter_line).collect(), "No dead letters.");
    lines.extend(page.next.as_ref().map(|next| format!("More: --after {next}")));
    print(common, &page, &lines)
}

/// "17  2026-11-20T09:00:00Z  Mira changed the workspace settings: it tastes bad".
fn letter_line(one: &Letter) -> String {
    let message = one.said.replace('\n', " ");
    format!("{:<8} {:.0}  {message}: {}", one.seq, one.at, one.error)
}

fn consumer_lines(now: &ConsumerList) -> Vec<String> {
    if now.items.is_empty() {
        return vec!["no consumers yet".to_owned()];
    }
    let line = |one: &interfaces_insights::health::api::ConsumerView| {
        let error = match (&one.last_error, one.troubled) {
            (None, _) => String::new(),
            (Some(error), true) => format!("; {error}"),
            (Some(error), false) => format!("; last error (resolved): {error}"),
        };
        format!(
            "{:<16} {:<12} at {} of {}, {} behind ({} s), {} dead letters{error}",
            one.name,
            one.state,
            one.cursor,
            one.head,
            one.behind,
            one.behind_seconds,
            one.dead_letters
        )
    };
    let mut lines: Vec<String> = now.items.iter().map(line).collect();
    if now.items.iter().any(|one| 0 < one.dead_letters) {
        lines.push("To see dead letters: `hq consumer letters NAME`".to_owned());
    }
    lines
}
