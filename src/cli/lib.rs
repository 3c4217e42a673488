//! The commands. `hq serve` is the program; the others ask it through the socket in its data folder,
//! or, when it does not run, the stores themselves.

mod activity;
mod agents;
mod approvals;
mod backup;
mod browsers;
mod commands;
mod connections;
mod demo;
mod door;
mod exports;
mod fields;
mod gateways;
mod history;
mod host;
mod imports;
mod knowledge;
mod model;
mod secrets;
mod sources;
mod inbox;
mod jobs;
mod members;
mod mcp_serve;
mod models;
mod money;
mod needs;
mod notifications;
mod nouns;
mod onboarding;
mod operate;
mod search;
mod series;
mod show;
mod stores;
mod streams;
mod policy;
mod portable;
mod prices;
mod progress;
mod reach;
#[cfg(test)]
mod reference_tests;
mod rollback;
mod routines;
mod rows;
mod runs;
mod seed;
mod serve;
mod tasks;
mod templates;
mod tokens;
mod undo;
mod users;
mod views;
mod web;
mod work;
mod workspaces;
mod written;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use app::config::remote::{Remote, RemoteError, RemoteFlags};
use app::config::{Config, Given};

use door::Door;
use reach::block_on;

/// All went well.
const OK: u8 = 0;
/// Refused, or something is not as it should be.
const FAILED: u8 = 1;
/// Wrong use, or it could not run.
const USAGE: u8 = 2;
/// HQ does not run, or does not answer.
const NOT_RUNNING: u8 = 3;
/// A limit cut an answer short, or left none.
const LIMIT: u8 = 4;

/// A company of AI agents in one program and one data folder.
#[derive(Parser)]
#[command(name = "hq", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Args, Clone)]
struct Common {
    /// The data folder [default: ./data]
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Print one JSON value
    #[arg(long, global = true)]
    json: bool,
    /// The log level: error, warn, info, debug, trace, or levels by module
    #[arg(long, global = true, value_name = "LEVEL")]
    log: Option<String>,
    /// Use a server on another machine [variable: HQ_URL]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// The token for it; other users of this machine can read arguments [variable: HQ_TOKEN]
    #[arg(long, global = true, value_name = "TOKEN", conflicts_with = "token_file")]
    token: Option<String>,
    /// A file with the token
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run HQ
    Serve(serve::Serve),
    /// Watch an agent work in practice mode, in a temporary folder, or create a demo company
    Demo(demo::Demo),
    /// Run this machine as a gateway of a workspace on another machine; status, doctor, connect, leave
    Replica(host::Replica),
    /// Show whether HQ is running on the data folder, and its state
    Status(commands::StatusFlags),
    #[command(flatten)]
    Work(work::Work),
    /// Agent browsers: status, doctor, tabs, snapshot, act, stop, reset
    #[command(subcommand)]
    Browser(browsers::Command),
    /// Accounts: list, disable, enable, a link for a new password
    #[command(subcommand)]
    User(users::Command),
    /// Workspaces: list, add, archive, delete, move
    #[command(subcommand)]
    Workspace(workspaces::Command),
    /// API tokens: create, list, revoke
    #[command(subcommand)]
    Token(commands::Token),
    /// Back up everything; list, verify, prune
    Backup(backup::Backup),
    /// Restore a backup in place or into a new folder; HQ must be stopped
    Restore(backup::Restore),
    /// Export a workspace to a portable file
    Export(portable::Export),
    /// Create a new workspace from a portable file
    Import(portable::Import),
    /// Find problems
    #[command(subcommand)]
    Doctor(commands::Doctor),
    /// The audit trail: verify, export
    #[command(subcommand)]
    Audit(operate::Audit),
    /// Remove all former versions of one record
    ///
    /// Free pages of the store may keep the text until `hq store compact`; backups, exports and the
    /// copies from before an upgrade or a restore keep it too.
    Redact(operate::Redact),
    /// The store: size, compact, check
    #[command(subcommand)]
    Store(stores::StoreCommand),
    /// Consumers of the feed: positions and failed entries
    #[command(subcommand)]
    Consumer(stores::ConsumerCommand),
    /// Go back to the data from before an upgrade, with HQ stopped
    Rollback(rollback::Rollback),
    /// Show each setting and where it comes from
    Config,
    /// Exit with 0 if HQ responds: for containers
    Healthcheck,
}

impl Common {
    /// The server on another machine that the command is for, if it is.
    fn remote(&self) -> Result<Option<Remote>, RemoteError> {
        let flags = RemoteFlags {
            url: self.url.clone(),
            token: self.token.clone(),
            token_file: self.token_file.clone(),
        };
        Remote::find(flags, &Given::with_flags(BTreeMap::new()).environment)
    }

    /// The settings, with the flags of a command on top.
    fn config(
        &self,
        more: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Config, app::config::ConfigError> {
        let mut flags: BTreeMap<&'static str, String> = more.into_iter().collect();
        if let Some(data) = &self.data {
            flags.insert("data", data.display().to_string());
        }
        if let Some(log) = &self.log {
            flags.insert("log", log.clone());
        }
        Config::load(&Given::with_flags(flags))
    }
}

/// Runs the command that was given.
#[must_use]
pub fn main() -> ExitCode {
    // What HQ writes, whichever command does it, is for its own user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    std::panic::set_hook(Box::new(tell_panic));
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { OK };
            // ok: nobody reads what is printed.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    ExitCode::from(run(&cli.common, cli.command))
}

/// Says where HQ has a bug, in one line: neither a trace, which nobody reads on a server, nor what the text was about.
fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    if store::expects_panic() {
        return;
    }
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let words = kernel::text::panic_words(panic.payload());
    // ok: nobody reads what is printed.
    let _ = std::io::Write::write_fmt(
        &mut std::io::stderr(),
        format_args!("hq: a bug at {place}: {words}\n"),
    );
}

fn run(common: &Common, command: Command) -> u8 {
    // Its token is for joining, and no other server is asked.
    let command = match command {
        Command::Replica(host) => return host::run(common, host),
        command => command,
    };
    match common.remote() {
        Ok(None) => {}
        Ok(Some(remote)) => return elsewhere(common, command, &remote),
        Err(error) => {
            fail(common, &error.to_string());
            return USAGE;
        }
    }
    let command = match command {
        Command::Serve(serve) => return serve::run(common, serve),
        Command::Demo(demo) => return demo::run(common, &demo),
        command => command,
    };
    let config = match common.config([]) {
        Ok(config) => config,
        Err(error) => {
            fail(common, &error.to_string());
            return USAGE;
        }
    };
    let done = match command {
        Command::Status(flags) => commands::status(common, &config, &flags),
        Command::Work(work) => {
            block_on(async { work.run(common, &Door::here(&config).await?).await })
        }
        Command::Browser(browsers::Command::Of(browser)) => {
            block_on(async { browsers::run(common, &Door::here(&config).await?, browser).await })
        }
        Command::Browser(browsers::Command::Doctor) => browsers::doctor(common, &config),
        Command::User(command) => users::run(common, config, command),
        Command::Workspace(command) => workspaces::run(common, config, command),
        Command::Token(commands::Token::Create(flags)) => {
            commands::create_token(common, config, flags)
        }
        Command::Token(commands::Token::List(place)) => {
            block_on(async { tokens::list(common, &Door::here(&config).await?, &place).await })
        }
        Command::Token(commands::Token::Revoke(flags)) => {
            block_on(async { tokens::revoke(common, &Door::here(&config).await?, &flags).await })
        }
        Command::Backup(flags) => backup::backup(common, config, flags),
        Command::Restore(flags) => backup::restore_command(common, &config, flags),
        Command::Export(flags) => portable::export(common, config, &flags),
        Command::Import(flags) => portable::import(common, config, flags),
        Command::Doctor(commands::Doctor::Sandbox) => commands::doctor_sandbox(common, &config),
        Command::Audit(operate::Audit::Verify(flags)) => {
            operate::audit_verify(common, config, flags)
        }
        Command::Audit(operate::Audit::Export(flags)) => {
            operate::audit_export(common, config, flags)
        }
        Command::Audit(operate::Audit::Keep(flags)) => block_on(async {
            operate::audit_keep(common, &Door::here(&config).await?, &flags).await
        }),
        Command::Redact(flags) => operate::redact(common, config, flags),
        Command::Store(command) => stores::store(common, config, command),
        Command::Consumer(command) => stores::consumer(common, config, command),
        Command::Doctor(commands::Doctor::Store(flags)) => stores::doctor(common, config, flags),
        Command::Doctor(commands::Doctor::Blobs(place)) => {
            commands::doctor_blobs(common, config, &place)
        }
        Command::Doctor(commands::Doctor::Files(flags)) => {
            commands::doctor_files(common, config, &flags)
        }
        Command::Doctor(commands::Doctor::Connections) => {
            commands::doctor_connections(common, config)
        }
        Command::Doctor(commands::Doctor::Keys) => commands::doctor_keys(common, config),
        Command::Rollback(flags) => rollback::run(common, &config, &flags),
        Command::Config => commands::config(common, &config),
        Command::Healthcheck => commands::healthcheck(common, &config),
        Command::Serve(_) | Command::Demo(_) | Command::Replica(_) => Ok(OK),
    };
    done.unwrap_or_else(|error| {
        fail(common, &error.to_string());
        error.code()
    })
}

/// A command for a server on another machine.
fn elsewhere(common: &Common, command: Command, remote: &Remote) -> u8 {
    let done = match command {
        Command::Status(flags) => commands::remote_status(common, remote, &flags),
        Command::Healthcheck => commands::remote_healthcheck(remote),
        Command::Work(work) => block_on(async { work.run(common, &Door::there(remote)).await }),
        Command::Browser(browsers::Command::Of(browser)) => {
            block_on(async { browsers::run(common, &Door::there(remote), browser).await })
        }
        Command::Token(commands::Token::List(place)) => {
            block_on(async { tokens::list(common, &Door::there(remote), &place).await })
        }
        Command::Token(commands::Token::Revoke(flags)) => {
            block_on(async { tokens::revoke(common, &Door::there(remote), &flags).await })
        }
        _ => {
            let text = "this only works on the machine itself; omit --url and --token, and unset \
                        HQ_URL and HQ_TOKEN (--public-url is the address for people)";
            fail(common, text);
            return USAGE;
        }
    };
    done.unwrap_or_else(|error| {
        fail(common, &error.to_string());
        error.code()
    })
}

/// Prints a line for people or programs: nothing in it is obeyed by a terminal.
fn say(line: &str) {
    // ok: nobody reads what is printed; `hq status | head -1` is no error.
    let _ = is_said(line);
}

/// The same; says whether somebody still reads it.
fn is_said(line: &str) -> bool {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", show::plain(line)).and_then(|()| out.flush()).is_ok()
}

/// Tells why a command failed: to people, and as a value to programs that asked for one.
fn fail(common: &Common, why: &str) {
    if common.json {
        say(&serde_json::json!({ "ok": false, "error": { "message": why } }).to_string());
    }
    complain(why);
}

/// Prints what went wrong.
#[expect(clippy::print_stderr, reason = "what a command complains about stands on standard error")]
fn complain(line: &str) {
    eprintln!("hq: {}", show::plain(line));
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;
    use clap::{CommandFactory as _, Parser as _};

    use super::Cli;

    /// The words of every command, of those that only have others as well.
    fn words(command: &clap::Command, before: &[String], all: &mut Vec<Vec<String>>) {
        all.push(before.to_vec());
        for one in command.get_subcommands() {
            words(one, &[before, &[one.get_name().to_owned()]].concat(), all);
        }
    }

    #[test]
    fn every_command_is_well_formed_and_has_help() {
        Cli::command().debug_assert();
        let mut all = Vec::new();
        words(&Cli::command(), &["hq".to_owned()], &mut all);
        assert!(200 < all.len(), "{} commands", all.len());
        for words in all {
            let arguments = words.iter().cloned().chain(["--help".to_owned()]);
            let shown = match Cli::try_parse_from(arguments) {
                Ok(_) => panic!("{} goes on behind its help", words.join(" ")),
                Err(shown) => shown,
            };
            assert_eq!(shown.kind(), ErrorKind::DisplayHelp, "{}: {shown}", words.join(" "));
            assert!(shown.to_string().contains("Usage: "), "{}", words.join(" "));
        }
    }
}
