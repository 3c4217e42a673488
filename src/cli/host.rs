//! `hq replica …`: this machine as a gateway of a workspace that lies elsewhere.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use app::config::{Config, ConfigError, Source};
use crypto::redact::Redactor;
use kernel::id::SystemIds;
use kernel::time::SystemClock;
use kernel::{Clock as _, text};
use replica::doctor::{Finding, of_folder};
use replica::status::Status;
use replica::{Begin, Boxed, Ending, Given, Join, Pace, Parts, ReplicaError, Token, Work, folder};
use sandbox::spawn::OWN_PROGRAM;
use sandbox::{left_over, own_files};
use server::listen::Front;
use server::lock::{self, Lock};
use server::socket;
use store::NoFaults;
use web::format;

use super::commands::{NOTHING, print};
use super::reach::{self, CommandError, block_on};
use super::serve::{self, log_to_stderr};
use super::{Common, FAILED, NOT_RUNNING, OK, USAGE, complain, fail, say};

/// The folder where neither a flag nor a setting names one.
const FOLDER: &str = "./replica";
/// Threads for what blocks: reads of the mirror, roots, names.
const BLOCKING: usize = 32;

/// `hq replica …`
#[derive(Args)]
pub struct Replica {
    #[command(subcommand)]
    command: Option<Command>,
    /// Join the workspace at this address, with --token-file or --token; later starts need no flags
    #[arg(long, value_name = "URL")]
    join: Option<String>,
    /// The fingerprint of the workspace's key, from the command in Settings, Gateways
    #[arg(long, alias = "home", value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
    /// Labels of this machine, separated by commas: gpu,region=eu
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Show whether it's linked, since when, and which workspace data it has
    Status,
    /// Find problems: folder, address, certificate, versions, clock, disk
    Doctor,
    /// Link now instead of waiting for the next try
    Connect,
    /// Stop being a gateway: sign off, and remove the key and all workspace data here
    Leave,
}

/// Runs a command, or the host until it is asked to end; gives the exit code.
pub fn run(common: &Common, host: Replica) -> u8 {
    let config = match config(common) {
        Ok(config) => config,
        Err(error) => {
            fail(common, &error.to_string());
            return USAGE;
        }
    };
    let done = match &host.command {
        None => return start(common, &config, host),
        Some(Command::Status) => block_on(status(common, &config)),
        Some(Command::Doctor) => block_on(doctor(common, &config)),
        Some(Command::Connect) => block_on(connect(common, &config)),
        Some(Command::Leave) => block_on(remove_gateway(common, &config)),
    };
    done.unwrap_or_else(|error| {
        fail(common, &error.to_string());
        error.code()
    })
}

/// The settings; a host has a folder of its own where nobody names one.
fn config(common: &Common) -> Result<Config, ConfigError> {
    let config = common.config([])?;
    let is_unnamed = |setting: &app::config::Setting| {
        setting.name == "data" && setting.source == Source::Default
    };
    match config.settings.iter().any(is_unnamed) {
        true => common.config([("data", FOLDER.to_owned())]),
        false => Ok(config),
    }
}

fn parts(work: Option<(&Config, &Arc<Redactor>)>) -> Parts {
    Parts {
        begin: work.map(|(config, redactor)| begin(config.clone(), Arc::clone(redactor))),
        schema: server::schema::workspace,
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds::default()),
        faults: Arc::new(NoFaults),
        pace: Pace::default(),
    }
}

/// How the work of agents begins here.
fn begin(config: Config, redactor: Arc<Redactor>) -> Begin {
    Arc::new(move |given: Given| {
        let parts = server::Parts { redactor: Arc::clone(&redactor), ..server::Parts::default() };
        let config = config.clone();
        Box::pin(async move {
            let begun = server::away::begin(config, parts, given.store, given.upstream).await;
            begun.map(|away| Box::new(Working(away)) as Box<dyn Work>).map_err(|e| e.to_string())
        })
    })
}

/// What works here.
struct Working(server::away::Away);

impl Work for Working {
    fn end(&self, at_once: bool) -> Boxed<'_, ()> {
        Box::pin(self.0.end(at_once))
    }
}

fn failed(error: impl std::fmt::Display) -> CommandError {
    CommandError::Failed(error.to_string())
}

// ── The program ──

fn start(common: &Common, config: &Config, host: Replica) -> u8 {
    let redactor = Arc::new(Redactor::new());
    if let Err(error) = log_to_stderr(&config.log, common.json, &redactor) {
        complain(&error);
        return USAGE;
    }
    let token = match (&common.token, &common.token_file) {
        (Some(text), _) => Some(Token::Given(Zeroizing::new(text.clone()))),
        (None, Some(file)) => Some(Token::File(file.clone())),
        (None, None) => None,
    };
    let Replica { join: home, fingerprint, labels, .. } = host;
    let join = Join { home, fingerprint, token, labels };
    // One thread: what is to be done is little, and an idle host is to be small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build();
    let done = runtime.map_err(failed).and_then(|runtime| {
        let done = runtime.block_on(until_told((config, &redactor), join, common.json));
        runtime.shutdown_background();
        done
    });
    match done {
        Ok(Next::End) => OK,
        Ok(Next::Anew) => {
            tracing::warn!("restarting, so that no key and no secret stays in memory");
            let error = become_anew(&config.data);
            complain(&format!("the program can't restart itself: {error}; start it again"));
            FAILED
        }
        Err(error) => {
            complain(&error.to_string());
            error.code()
        }
    }
}

/// What comes after the host has ended.
enum Next {
    End,
    /// The same again, without what was in memory.
    Anew,
}

/// Becomes this program with the same arguments, in a fresh memory. Wiping each copy would not do: buffers of requests, TLS,
/// the search for secrets in texts and the allocator keep some. Comes back only when that failed.
fn become_anew(data: &Path) -> std::io::Error {
    end_left(data);
    let mut words = app::config::arguments();
    let mut program = process::Command::new(OWN_PROGRAM);
    if let Some(own) = words.next() {
        program.arg0(own);
    }
    program.args(words).exec()
}

/// Takes the folder of a host.
fn taken(data: &Path) -> Result<Lock, CommandError> {
    folder::check(data).map_err(failed)?;
    let lock = lock::take(data, SystemClock.now()).map_err(failed)?;
    for restored in own_files::restore(data) {
        tracing::warn!("{}", restored.describe());
    }
    Ok(lock)
}

async fn until_told(
    (config, redactor): (&Config, &Arc<Redactor>),
    join: Join,
    as_json: bool,
) -> Result<Next, CommandError> {
    let data = config.data.as_path();
    let mut signals = serve::Ending::listen().map_err(failed)?;
    let lock = taken(data)?;
    let parts = parts(Some((config, redactor)));
    let host = replica::Replica::open(data, join, parts).map_err(failed)?;
    let (front, stop) = (Front::default(), CancellationToken::new());
    front.open(router(&host));
    let socket = socket::open(data, front, stop.clone()).map_err(failed)?;
    let shown = data.join(socket::NAME).display().to_string();
    match as_json {
        true => say(&json!({ "socket": shown }).to_string()),
        false => say(&format!("HQ is ready at {shown}")),
    }
    let asking = host.clone();
    let mut is_told = false;
    let waits = async {
        signals.wait().await;
        is_told = true;
        // What is begun is put back while there is a link.
        asking.rest().await;
        asking.end(Ending::Stopping);
        signals.wait().await;
    };
    let ended = tokio::select! {
        ended = host.run() => ended,
        () = waits => Ok(Ending::Stopping),
    };
    stop.cancel();
    socket.close();
    host.close();
    // Who asked it to end while it was ending for another reason is not to ask again.
    let is_told = is_told || signals.is_told().await;
    let left = match ended {
        Ok(Ending::Leaving) => folder::forget(data).map_err(failed).map(|()| Next::End),
        Ok(Ending::Stopping) => Ok(Next::End),
        Ok(Ending::ShutOut) if is_told => Ok(Next::End),
        Ok(Ending::ShutOut) => Ok(Next::Anew),
        Err(error) => Err(CommandError::Refused(error.to_string())),
    };
    drop(lock);
    left
}

/// What answers at the socket.
fn router(host: &replica::Replica) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/replica/status", get(show_status))
        .route("/replica/doctor", get(show_doctor))
        .route("/replica/connect", post(do_connect))
        .route("/replica/leave", post(do_leave))
        .with_state(host.clone())
}

async fn show_status(State(host): State<replica::Replica>) -> Response {
    let read = tokio::task::spawn_blocking(move || host.status(true)).await;
    match read {
        Ok(Ok(status)) => Json(status).into_response(),
        Ok(Err(error)) => problem(error.code(), &error.to_string()),
        Err(error) => problem("cut_off", &error.to_string()),
    }
}

fn problem(code: &str, detail: &str) -> Response {
    let body = json!({ "code": code, "detail": detail });
    (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
}

async fn show_doctor(State(host): State<replica::Replica>) -> Json<Vec<Finding>> {
    Json(host.doctor(true).await)
}

async fn do_connect(State(host): State<replica::Replica>) -> Json<Value> {
    host.connect();
    Json(json!({ "tries": true }))
}

async fn do_leave(State(host): State<replica::Replica>) -> Json<Value> {
    host.end(Ending::Leaving);
    Json(json!({ "left": true }))
}

// ── What is asked of it ──

/// The host of the folder while no program runs it, with the lock that keeps it so.
fn at_rest(data: &Path) -> Result<(Lock, replica::Replica), CommandError> {
    let lock = taken(data)?;
    // Nothing is made in a folder that is none.
    if folder::Known::load(data).map_err(failed)?.is_none() {
        return Err(failed(ReplicaError::NotJoined));
    }
    let host = replica::Replica::open(data, Join::default(), parts(None)).map_err(failed)?;
    Ok((lock, host))
}

async fn status(common: &Common, config: &Config) -> Result<u8, CommandError> {
    if let Some(local) = reach::running(config).await? {
        let status: Status = local.call(Method::GET, "/replica/status", NOTHING).await?;
        return print(common, &status, &lines(&status));
    }
    let (lock, host) = at_rest(&config.data)?;
    let status = host.status(false).map_err(failed)?;
    host.close();
    drop(lock);
    print(common, &status, &lines(&status))?;
    Ok(NOT_RUNNING)
}

fn lines(status: &Status) -> Vec<String> {
    let words = |text: &Option<String>| text.clone().unwrap_or_default();
    let home = words(&status.home);
    let mut lines = vec![match (status.running, status.linked) {
        (false, _) => "The gateway isn't running. Start it with `hq replica`.".to_owned(),
        (true, true) => format!("Connected to {home} since {}", status.since),
        (true, false) => format!("Not connected to {home} since {}", status.since),
    }];
    lines.extend(status.why.iter().map(|why| format!("because: {why}")));
    lines.extend(status.copy.iter().map(|copy| format!("this copy: {copy}")));
    if status.paused {
        lines.push("Paused: it takes no new work.".to_owned());
    }
    lines.extend(status.trouble.iter().map(|trouble| format!("problem: {trouble}")));
    if let (Some(label), Some(gateway)) = (&status.label, status.gateway) {
        lines.push(format!("gateway: {label} ({gateway})"));
    }
    lines.push(format!("own key: {}", status.fingerprint));
    if let Some(print) = &status.home_fingerprint {
        lines.push(format!("workspace key: {print}"));
    }
    let there = match &status.home_version {
        Some(version) => format!(", {version} at the workspace"),
        None => String::new(),
    };
    lines.push(format!("HQ {} (wire {}){there}", status.version, status.wire));
    if let Some(since) = status.unsaid_since {
        let writes = status.unsaid;
        lines.push(format!(
            "{writes} writes of runs wait to be sent to the workspace, since {since}"
        ));
    }
    if let Some(since) = status.waiting_since {
        let runs = format::count(status.waiting, "run waits", "runs wait");
        lines.push(format!("{runs} for the connection to the workspace, since {since}"));
    }
    let rows: u64 = status.rows.values().sum();
    lines.push(match (&status.cursor, status.whole) {
        (None, _) => "no workspace data yet".to_owned(),
        (Some(cursor), true) => format!("up to date at {cursor}: {rows} rows"),
        (Some(_), false) => format!("receiving a snapshot: {rows} rows so far"),
    });
    lines.extend(status.rows.iter().map(|(table, rows)| format!("  {table}  {rows}")));
    lines
}

async fn doctor(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let found: Vec<Finding> = match reach::running(config).await? {
        Some(local) => local.call(Method::GET, "/replica/doctor", NOTHING).await?,
        None => match at_rest(&config.data) {
            Ok((lock, host)) => {
                let found = host.doctor(false).await;
                host.close();
                drop(lock);
                found
            }
            // What keeps it from being opened is seen from outside.
            Err(error) => {
                let found = of_folder(&config.data);
                if found.iter().all(|one| one.ok) {
                    return Err(error);
                }
                found
            }
        },
    };
    let mark = |one: &Finding| if one.ok { "ok" } else { "!!" };
    let shown: Vec<String> =
        found.iter().map(|one| format!("{}  {}  {}", mark(one), one.what, one.told)).collect();
    print(common, &found, &shown)?;
    Ok(if found.iter().all(|one| one.ok) { OK } else { FAILED })
}

async fn connect(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let Some(local) = reach::running(config).await? else {
        let words = "The gateway isn't running. Start it with `hq replica`.".to_owned();
        print(common, &json!({ "tries": false }), &[words])?;
        return Ok(NOT_RUNNING);
    };
    let response: Value = local.call(Method::POST, "/replica/connect", NOTHING).await?;
    let words =
        "It reconnects now if it isn't connected. `hq replica status` shows the result.".to_owned();
    print(common, &response, &[words])
}

async fn remove_gateway(common: &Common, config: &Config) -> Result<u8, CommandError> {
    let mut unheard = None;
    match reach::running(config).await? {
        Some(local) => {
            let _: Value = local.call(Method::POST, "/replica/leave", NOTHING).await?;
            gone(config).await?;
        }
        None => {
            let (lock, host) = at_rest(&config.data)?;
            unheard = host.say_goodbye().await.err().map(|error| error.to_string());
            host.close();
            let data = config.data.clone();
            // ok: what cannot be looked at is gone with the folder, and no more can be done for it.
            let _ = tokio::task::spawn_blocking(move || end_left(&data)).await;
            folder::forget(&config.data).map_err(failed)?;
            drop(lock);
        }
    }
    let mut lines = vec![
        "This machine is no longer a gateway. Its key and the workspace's data are removed."
            .to_owned(),
    ];
    lines.extend(
        unheard
            .iter()
            .map(|why| format!("The workspace wasn't notified: {}.", text::ellipsis(why, 300))),
    );
    lines.push(
        "Remove it under Settings, Gateways in the workspace, and the service hq-gateway here."
            .to_owned(),
    );
    print(common, &json!({ "left": true, "not_told": unheard }), &lines)
}

/// Ends the programs and browsers that a hard end of the gateway has left running. Blocking.
fn end_left(data: &Path) {
    let browsers = std::fs::read_dir(data.join("browsers")).into_iter().flatten().flatten();
    let folders = browsers.map(|browser| browser.path().join("run")).chain([data.join("jobs")]);
    let ended: usize = folders.map(|folder| left_over::end_all(&folder)).sum();
    if 0 < ended {
        tracing::info!("ended {ended} processes that were left running");
    }
}

/// Waits until the program that was asked to leave has ended.
async fn gone(config: &Config) -> Result<(), CommandError> {
    for _ in 0..150 {
        if !config.data.join(folder::NOTES).exists() && reach::running(config).await?.is_none() {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    Err(CommandError::Late("it was asked to leave but hasn't ended yet; check its log".to_owned()))
}
