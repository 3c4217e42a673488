//! The commands for whoever runs the machine: how it is, links, tokens, settings, the sandbox.

use std::time::Instant;

use axum::http::Method;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use app::config::remote::Remote;
use app::config::{Config, Setting};
use features::agents::queries::repository::Found;
use features::backups::queries::damaged::Damaged;
use kernel::Scope;
use sandbox::own_files;
use sandbox::policy::WithoutLandlock;
use sandbox::posture::{Line, Overall, SelfTest, Verdict};
use sandbox::spawn::{OWN_PROGRAM, Spawner};
use server::local::{
    FreshToken, ProviderStatus, RemoteStatus, Status, TokenRequest, WorkspaceStatus,
};
use server::ops::{blobs, connections, files, keys};
use web::format;

use super::door::Door;
use super::models;
use super::operate::Place;
use super::reach::{self, CommandError, block_on};
use super::{Common, FAILED, OK, say};

/// No body.
pub const NOTHING: Option<&()> = None;

/// Flags of `hq status`.
#[derive(Args)]
pub struct StatusFlags {
    /// Test each provider with one short call, which costs as much as any other
    #[arg(long)]
    probe: bool,
}

/// `hq token …`
#[derive(Subcommand)]
pub enum Token {
    /// Create an API token; it is printed once
    Create(CreateToken),
    /// List a workspace's tokens: owner, scopes, last use
    List(Place),
    /// Revoke a token: it stops working at once
    Revoke(RevokeToken),
}

/// Flags of `hq token revoke`.
#[derive(Args)]
pub struct RevokeToken {
    /// Its id, as `hq token list` shows it
    pub id: String,
    #[command(flatten)]
    pub place: Place,
}

/// Flags of `hq token create`.
#[derive(Args)]
pub struct CreateToken {
    /// The name, such as what it is for
    #[arg(long)]
    name: String,
    /// The scopes: read, write, chat, review, approvals, agents, browser, admin
    /// [default: all]
    #[arg(long, value_delimiter = ',')]
    scopes: Vec<String>,
    /// Days until it expires, 1 to 365 [default: 90]
    #[arg(long)]
    days: Option<i64>,
    /// The account's email address; optional if there is one account
    #[arg(long)]
    email: Option<String>,
    /// The workspace; optional if there is one
    #[arg(long)]
    workspace: Option<String>,
}

/// `hq doctor …`
#[derive(Subcommand)]
pub enum Doctor {
    /// Test which protections of the sandbox for agents' programs hold on this machine
    Sandbox,
    /// Compare all indexes, references and totals with the records
    Store(super::stores::DoctorStore),
    /// Check that every file that records refer to exists and is intact; reads all of them, in all
    /// workspaces unless one is named
    Blobs(Place),
    /// Check that every version of agent files exists and is intact; reads all of them
    Files(DoctorFiles),
    /// Check which provider connections can be used, and why not; makes no outside call
    Connections,
    /// Show the state of the master key: an interrupted replacement, missing keys, and what to do
    Keys,
}

/// Flags of `hq doctor files`.
#[derive(clap::Args)]
pub struct DoctorFiles {
    /// Repair damaged histories from backups; if none has one, start it again from the agent's folder
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    place: Place,
}

/// Prints a value for programs or lines for people.
pub fn print<T: Serialize>(
    common: &Common,
    value: &T,
    lines: &[String],
) -> Result<u8, CommandError> {
    if common.json {
        let text = serde_json::to_string_pretty(value);
        say(&text.map_err(|error| CommandError::Failed(error.to_string()))?);
    } else {
        lines.iter().for_each(|line| say(line));
    }
    Ok(OK)
}

/// What is said where connections would be listed.
pub const NO_CONNECTION: &str =
    "No connections yet. Agents use practice mode. Add a connection under Settings, Connections.";

/// Lines for people, or one that says that there are none and what helps: silence reads like a fault.
pub fn or_none(mut lines: Vec<String>, none: &str) -> Vec<String> {
    if lines.is_empty() {
        lines.push(none.to_owned());
    }
    lines
}

/// Prints what there is under `path`, a line each.
///
/// # Errors
/// When nobody answers.
pub fn list<T: Serialize + DeserializeOwned>(
    common: &Common,
    config: Config,
    path: &str,
    line: fn(&T) -> String,
) -> Result<u8, CommandError> {
    let all: Vec<T> =
        block_on(async { reach::local(config).await?.call(Method::GET, path, NOTHING).await })?;
    let shown: Vec<String> = all.iter().map(line).collect();
    print(common, &all, &shown)
}

/// `hq status`: whether it runs, and how it is.
pub fn status(common: &Common, config: &Config, flags: &StatusFlags) -> Result<u8, CommandError> {
    let (status, took): (Status, _) = block_on(async {
        let door = Door::here(config).await?;
        let began = Instant::now();
        let mut status: Status = door.fetch("/local/status").await?;
        let took = began.elapsed();
        for ws in status.workspaces.iter_mut().filter(|_| flags.probe) {
            let slug = ws.slug.clone();
            probe(&door, Some(&slug), ws).await?;
        }
        Ok((status, took))
    })?;
    let mut lines = vec![
        format!(
            "Runtime: running (process {}, since {}, version {})",
            status.pid,
            status.since.map(|at| at.to_string()).unwrap_or_default(),
            status.version
        ),
        format!("Address: {}", status.url),
        format!("Response time: {} ms", took.as_millis()),
    ];
    lines.extend(status.memory_kib.map(|kib| format!("Memory: {} MB", kib / 1024)));
    if status.setup_required {
        lines.push(
            "Waiting for its owner. To create a set-up link: `hq user reset-link`".to_owned(),
        );
    }
    lines.extend(status.disk_trouble.as_ref().map(|trouble| format!("Disk: {trouble}")));
    lines.extend(status.key_trouble.as_ref().map(|trouble| format!("Master key: {trouble}")));
    lines.push(match (&status.backup_trouble, status.last_backup) {
        (Some(trouble), _) => format!("Backups: {trouble}"),
        (None, Some(at)) => format!("Backups: last one {at}"),
        (None, None) => "Backups: none yet".to_owned(),
    });
    lines.extend(status.workspaces.iter().flat_map(workspace_lines));
    let shut = |one: &Damaged| {
        let word = if one.restore.is_some() { "DAMAGED" } else { "NOT OPEN" };
        format!("{}: {word}: {}", one.slug, one.words())
    };
    lines.extend(status.damaged.iter().map(shut));
    print(common, &status, &lines)?;
    Ok(if status.damaged.is_empty() { OK } else { FAILED })
}

/// Really asks the providers of a workspace, and keeps what came of it.
async fn probe(
    door: &Door,
    slug: Option<&String>,
    ws: &mut WorkspaceStatus,
) -> Result<(), CommandError> {
    let standings = models::standings(door, slug, true).await?;
    let read = |one| serde_json::from_value::<ProviderStatus>(one);
    let read: Result<Vec<ProviderStatus>, _> = standings.into_iter().map(read).collect();
    ws.providers = read.map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(())
}

fn workspace_lines(ws: &WorkspaceStatus) -> Vec<String> {
    let first = format!(
        "{} ({}): {} · {} working, {} waiting · {} due · {} · {} today",
        ws.name,
        ws.slug,
        format::count(ws.agents as u64, "agent", "agents"),
        format::count(ws.runs_working as u64, "run", "runs"),
        ws.runs_waiting,
        format::count(ws.items_due as u64, "item", "items"),
        format::count(ws.tasks_open, "open task", "open tasks"),
        format::money(ws.today_micros)
    );
    let still = ws.paused.then(|| {
        let slug = &ws.slug;
        format!("  All work is paused. To resume it: `hq agent resume --all --workspace {slug}`")
    });
    let provider = |one: &ProviderStatus| {
        let reason = one.reason.as_ref().map(|word| format!(" ({word})")).unwrap_or_default();
        let until = one.until.as_ref().map(|at| format!(" until {at}")).unwrap_or_default();
        format!("  {} ({}): {}{reason}{until}", one.name, one.route, one.status)
    };
    std::iter::once(first).chain(still).chain(ws.providers.iter().map(provider)).collect()
}

/// `hq status --url …`: how a workspace on another machine is.
pub fn remote_status(
    common: &Common,
    remote: &Remote,
    flags: &StatusFlags,
) -> Result<u8, CommandError> {
    let began = Instant::now();
    let mut status = told_by(remote)?;
    let took = began.elapsed();
    if flags.probe {
        let door = Door::there(remote);
        block_on(async { probe(&door, None, &mut status.workspace).await })?;
    }
    let mut lines = vec![
        format!("Runtime: running (version {})", status.version),
        format!("Address: {}", remote.url),
        format!("Response time: {} ms", took.as_millis()),
    ];
    lines.extend(workspace_lines(&status.workspace));
    print(common, &status, &lines)
}

/// `hq healthcheck --url …`.
pub fn remote_healthcheck(remote: &Remote) -> Result<u8, CommandError> {
    told_by(remote).map(|_| OK)
}

fn told_by(remote: &Remote) -> Result<RemoteStatus, CommandError> {
    block_on(async { Door::there(remote).fetch("/api/v1/status").await })
}

/// `hq healthcheck`: whether it answers, for containers.
pub fn healthcheck(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let answered = block_on(async {
        match reach::running(config).await? {
            Some(local) => local.text(Method::GET, "/healthz", NOTHING).await.map(Some),
            None => Ok(None),
        }
    });
    let fine = matches!(answered, Ok(Some(_)));
    if common.json {
        print(common, &json!({ "ok": fine }), &[])?;
    }
    // A container knows healthy and unhealthy only.
    Ok(if fine { OK } else { FAILED })
}

/// `hq token create`.
pub fn create_token(
    common: &Common,
    config: Config,
    flags: CreateToken,
) -> Result<u8, CommandError> {
    let scopes = flags.scopes.iter().map(|scope| scope.parse::<Scope>());
    let scopes = scopes.collect::<Result<Vec<_>, _>>();
    let wish = TokenRequest {
        name: flags.name,
        scopes: scopes.map_err(|error| CommandError::Failed(format!("--scopes: {error}")))?,
        days: flags.days,
        email: flags.email,
        workspace: flags.workspace,
    };
    let made: FreshToken = block_on(async {
        reach::local(config).await?.call(Method::POST, "/local/tokens", Some(&wish)).await
    })?;
    let words: Vec<_> = made.scopes.iter().map(|scope| scope.word()).collect();
    let what = format!(
        "For the workspace {}, scopes {}, until {}. It isn't shown again:",
        made.workspace,
        words.join(", "),
        made.expires_at
    );
    print(common, &made, &[what, made.token.clone()])
}

/// `hq config`: each setting with its source; those of the running program, if one runs.
pub fn config(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let running: Option<Value> = block_on(async {
        match reach::running(config).await {
            Ok(Some(local)) => local.call(Method::GET, "/local/config", NOTHING).await.map(Some),
            // Without a program these are the settings that one would start with.
            _ => Ok(None),
        }
    })?;
    let settings: Vec<Setting> = config.settings.clone();
    let mut lines: Vec<String> = settings
        .iter()
        .map(|one| {
            let value = if one.value.is_empty() { "(none)" } else { &one.value };
            format!("{:<32} {value:<32} {}", one.name, one.source.label())
        })
        .collect();
    let differs = running.as_ref().is_some_and(|running| running["settings"] != json!(settings));
    if differs {
        lines.push("The running server was started with other settings.".to_owned());
    }
    let value = json!({ "settings": settings, "running": running.map(|r| r["settings"].clone()) });
    print(common, &value, &lines)
}

/// `hq doctor blobs`.
pub fn doctor_blobs(common: &Common, config: Config, place: &Place) -> Result<u8, CommandError> {
    let found: Vec<blobs::Found> = doctor(config, Method::GET, ("blobs", place))?;
    print(common, &found, &blobs::lines(&found))?;
    Ok(if found.iter().all(|one| one.report.is_fine()) { OK } else { FAILED })
}

/// Asks for a look at one or all workspaces.
fn doctor<T: DeserializeOwned>(
    config: Config,
    method: Method,
    (what, place): (&str, &Place),
) -> Result<T, CommandError> {
    let slug = place.workspace.as_ref();
    let query = slug.map(|slug| format!("?workspace={slug}")).unwrap_or_default();
    let path = format!("/local/doctor/{what}{query}");
    block_on(async { reach::local(config).await?.call(method, &path, NOTHING).await })
}

/// `hq doctor files`.
pub fn doctor_files(
    common: &Common,
    config: Config,
    flags: &DoctorFiles,
) -> Result<u8, CommandError> {
    let method = if flags.repair { Method::POST } else { Method::GET };
    let found: Vec<Found> = doctor(config, method, ("files", &flags.place))?;
    print(common, &found, &files::lines(&found))?;
    Ok(if found.iter().all(|one| one.faults.is_empty()) { OK } else { FAILED })
}

/// `hq doctor connections`.
pub fn doctor_connections(common: &Common, config: Config) -> Result<u8, CommandError> {
    let found: Vec<connections::Found> =
        doctor(config, Method::GET, ("connections", &Place::default()))?;
    let lines: Vec<String> = found.iter().map(connections::line).collect();
    print(common, &found, &or_none(lines, NO_CONNECTION))?;
    Ok(if found.iter().all(|one| one.reason.is_none()) { OK } else { FAILED })
}

/// `hq doctor keys`.
pub fn doctor_keys(common: &Common, config: Config) -> Result<u8, CommandError> {
    let found: keys::Found = doctor(config, Method::GET, ("keys", &Place::default()))?;
    print(common, &found, &keys::lines(&found))?;
    Ok(if found.is_fine() { OK } else { FAILED })
}

/// `hq doctor sandbox`.
pub fn doctor_sandbox(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let failed = |error: &dyn std::fmt::Display| CommandError::Failed(error.to_string());
    // Where there is no data folder yet, none is left behind.
    let made = !config.data.exists();
    let data = if made { Config::scratch("hq-doctor") } else { config.data.clone() };
    std::fs::create_dir_all(&data).map_err(|error| failed(&error))?;
    let key = config.key_file();
    let test = SelfTest {
        data: data.clone(),
        master_key: key.is_file().then_some(key),
        without_landlock: WithoutLandlock::Refuse,
        landlock_ceiling: None,
    };
    let spawner = Spawner::new(OWN_PROGRAM.into()).map_err(|error| failed(&error))?;
    let restored = own_files::restore(&data);
    let posture = test.run(&spawner).map_err(|error| failed(&error));
    if made {
        std::fs::remove_dir_all(&data).map_err(|error| failed(&error))?;
    }
    let mut posture = posture?;
    posture.lines.extend(restored.iter().map(|one| Line {
        check: None,
        verdict: Verdict::Broken,
        text: one.describe(),
    }));
    let mut lines: Vec<String> = posture
        .lines
        .iter()
        .map(|line| {
            let word = match line.verdict {
                Verdict::Held => "held",
                Verdict::Coarse => "coarse",
                Verdict::Broken => "BROKEN",
                Verdict::Limit => "note",
            };
            format!("{word:<8} {}", line.text)
        })
        .collect();
    let word = match posture.overall {
        Overall::None => "none: agents' programs can't run on this machine",
        Overall::Coarse => "coarse",
        Overall::Strong => "strong",
    };
    lines.push(format!("Sandbox: {word} (Landlock ABI {})", posture.landlock_abi));
    print(common, &posture, &lines)?;
    let broken = posture.lines.iter().any(|line| line.verdict == Verdict::Broken);
    Ok(if broken || posture.overall == Overall::None { FAILED } else { OK })
}
