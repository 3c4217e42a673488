//! `hq agent …`: ask an agent, talk with it, look into its files, stop it.

mod ask;
mod chat;
mod drafts;
mod files;
mod profile;
mod upgrade;

use std::io::Read as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;

/// The largest question.
const MAX_QUESTION: u64 = 1 << 20;

/// `hq agent …`
#[derive(Subcommand)]
pub enum Command {
    /// List all agents with their states
    List(Place),
    /// Create an agent from a role template
    Create(Create),
    /// Show one agent
    Show(Named),
    /// Change an agent's name, description, model, permissions and budget
    Edit(Box<profile::Edit>),
    /// Upgrade agents to newer versions of their role templates
    #[command(subcommand)]
    Upgrade(upgrade::Command),
    /// Set the manager of an agent: another agent or a person
    ReportsTo(ReportsTo),
    /// Ask an agent a question and print its answer; exits with 1 if there is no answer, and with 4 if a limit
    /// cut it short or left none
    Run(ask::Run),
    /// Chat with an agent, line by line, with commands such as /help; an empty line or Ctrl-D ends the chat
    Chat(Named),
    /// List your conversations with an agent and those about tasks
    Sessions(Sessions),
    /// Start another conversation; rename, share, archive, restore or reset one
    #[command(subcommand)]
    Session(OnSession),
    /// Move an agent to another gateway
    Move(Move),
    /// Agent files: list, read, change, restore
    #[command(subcommand)]
    Files(files::Command),
    /// Drafts of agents' identity files, written by programs: list, accept, refuse
    #[command(subcommand)]
    Drafts(drafts::Command),
    /// Stop and pause an agent, or all agents
    Stop(Stop),
    /// Resume an agent, or all agents, where they stopped
    Resume(Which),
}

/// Flags of `hq agent create`.
#[derive(Args)]
pub struct Create {
    /// The name
    name: String,
    /// The slug for addresses, which never changes [default: derived from the name]
    #[arg(long)]
    slug: Option<String>,
    /// The role template, such as default or assistant
    #[arg(long)]
    template: Option<String>,
    /// The description
    #[arg(long, value_name = "TEXT")]
    about: Option<String>,
    /// One emoji
    #[arg(long)]
    emoji: Option<String>,
    /// The id of a connection, instead of the workspace's
    #[arg(long, requires = "model")]
    connection: Option<String>,
    /// The model of that connection
    #[arg(long, requires = "connection")]
    model: Option<String>,
    /// The thinking level: none, low, medium, high, max
    #[arg(long, value_name = "LEVEL")]
    thinking: Option<String>,
    /// Do not allow it to run programs
    #[arg(long)]
    no_exec: bool,
    /// The manager: an agent, a person, or none [default: you]
    #[arg(long, value_name = "WHO")]
    reports_to: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq agent reports-to`.
#[derive(Args)]
pub struct ReportsTo {
    /// The agent's slug or id
    agent: String,
    /// The handle of its manager: an agent, a person, or none
    to: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq agent move`.
#[derive(Args)]
pub struct Move {
    /// The agent's slug or id
    agent: String,
    /// The gateway: its slug, id or name; local is the machine that HQ runs on
    #[arg(long, value_name = "GATEWAY")]
    to: String,
    #[command(flatten)]
    place: Place,
}

/// Which agent.
#[derive(Args)]
pub struct Named {
    /// Its slug or id
    agent: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq agent sessions`.
#[derive(Args)]
pub struct Sessions {
    #[command(flatten)]
    named: Named,
    /// Only archived conversations
    #[arg(long, conflicts_with = "search")]
    archived: bool,
    /// Search messages in all conversations
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
}

/// `hq agent session …`
#[derive(Subcommand)]
pub enum OnSession {
    /// Start another conversation beside the current ones
    Begin {
        /// The agent's slug or id
        agent: String,
        /// The name [default: the first words]
        name: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Share it: the whole workspace can read it and write in it
    Share(OfSession),
    /// Make it private again
    Unshare(OfSession),
    /// Rename it; without a name, its first words are the name
    Rename {
        /// Its id, as `hq agent sessions` shows it
        session: String,
        /// The name
        name: Vec<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Archive it; it can still be read
    Archive(OfSession),
    /// Restore an archived conversation
    Restore(OfSession),
    /// Start again with a new conversation; the old one is archived and stays readable
    Reset(OfSession),
}

/// Which conversation.
#[derive(Args)]
pub struct OfSession {
    /// Its id, as `hq agent sessions` shows it
    session: String,
    #[command(flatten)]
    place: Place,
}

/// Which agent, or all.
#[derive(Args)]
pub struct Which {
    /// Its slug or id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    agent: Option<String>,
    /// All agents in the workspace
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq agent stop`.
#[derive(Args)]
pub struct Stop {
    #[command(flatten)]
    which: Which,
    /// Let the current step finish first
    #[arg(long)]
    gently: bool,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => list(common, door, &place).await,
        Command::Create(flags) => create(common, door, &flags).await,
        Command::Show(named) => profile::show(common, door, &named).await,
        Command::Edit(flags) => profile::edit(common, door, &flags).await,
        Command::Upgrade(command) => upgrade::run(common, door, command).await,
        Command::ReportsTo(flags) => reports_to(common, door, &flags).await,
        Command::Move(flags) => moved(common, door, &flags).await,
        Command::Run(flags) => ask::run(common, door, &flags).await,
        Command::Chat(named) => chat::chat(common, door, &named).await,
        Command::Sessions(flags) => sessions(common, door, &flags).await,
        Command::Session(act) => session(common, door, &act).await,
        Command::Files(command) => files::run(common, door, command).await,
        Command::Drafts(command) => drafts::run(common, door, command).await,
        Command::Stop(Stop { which, gently }) => {
            let how = if gently { "after_step" } else { "now" };
            halt(common, door, &which, Some(how)).await
        }
        Command::Resume(which) => halt(common, door, &which, None).await,
    }
}

/// A word of a value; nothing where there is none.
pub fn word<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// A moment of a value, to the second: that is enough in a list.
pub fn second<'v>(value: &'v Value, key: &str) -> &'v str {
    let at = word(value, key);
    at.split_once('.').map_or(at.trim_end_matches('Z'), |(seconds, _)| seconds)
}

/// The items of a page, or of a list that is no page.
pub fn items(value: &Value) -> &[Value] {
    value["items"].as_array().or(value.as_array()).map_or(&[], Vec::as_slice)
}

async fn list(common: &Common, door: &Door, place: &Place) -> Result<u8, CommandError> {
    let ask = Ask::get("/api/v1/agents").within(place.workspace.as_ref());
    let mut all = door.call(ask).await?;
    let paused = all_paused(door, place).await;
    let state = |one: &Value| match word(one, "status") {
        // Nothing that is ready begins while all work stands still.
        "ready" if paused => "paused with all work".to_owned(),
        status => status.to_owned(),
    };
    let line = |one: &Value| {
        let (slug, name, to) = (word(one, "slug"), word(one, "name"), manager(one));
        format!("{slug:<24} {name:<28} {:<14} {to}", state(one)).trim_end().to_owned()
    };
    let mut lines: Vec<String> = items(&all).iter().map(line).collect();
    if paused && !lines.is_empty() {
        lines.push("All work is paused. To resume it: `hq agent resume --all`".to_owned());
    }
    all["paused"] = json!(paused);
    print(common, &all, &or_none(lines, "No agents yet. To create one: `hq agent create NAME`"))
}

async fn create(common: &Common, door: &Door, flags: &Create) -> Result<u8, CommandError> {
    let mut body = json!({ "name": flags.name });
    let words = [
        ("slug", &flags.slug),
        ("template", &flags.template),
        ("description", &flags.about),
        ("emoji", &flags.emoji),
        ("connection", &flags.connection),
        ("model", &flags.model),
        ("thinking", &flags.thinking),
        ("reports_to", &flags.reports_to),
    ];
    for (name, value) in words {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    if flags.no_exec {
        body["exec"] = json!(false);
    }
    let ask = Ask::post("/api/v1/agents", &body).within(flags.place.workspace.as_ref());
    let made = door.call(ask).await?;
    let slug = word(&made, "slug");
    let message =
        format!("Created {}. To ask it something: `hq agent run {slug} TEXT`", word(&made, "name"));
    print(common, &made, &[message])
}

/// Whom an agent reports to, in words; nothing when that is nobody.
fn manager(agent: &Value) -> String {
    match word(&agent["manager"], "handle") {
        "" => String::new(),
        handle => format!("reports to @{handle}"),
    }
}

async fn reports_to(common: &Common, door: &Door, flags: &ReportsTo) -> Result<u8, CommandError> {
    let body = json!({ "reports_to": flags.to });
    let path = format!("/api/v1/agents/{}", flags.agent);
    let agent = door.call(Ask::patch(path, &body).within(flags.place.workspace.as_ref())).await?;
    let message = match manager(&agent).as_str() {
        "" => "reports to no one".to_owned(),
        to => to.to_owned(),
    };
    print(common, &agent, &[format!("{} {message}.", word(&agent, "name"))])
}

/// Lets an agent work on another machine.
async fn moved(common: &Common, door: &Door, flags: &Move) -> Result<u8, CommandError> {
    let body = json!({ "gateway": flags.to });
    let path = format!("/api/v1/agents/{}/gateway", flags.agent);
    let now = door.call(Ask::put(path, &body).within(flags.place.workspace.as_ref())).await?;
    let mut lines = vec![format!("{} now works on {}.", word(&now, "agent"), word(&now, "label"))];
    if !word(&now, "files_as_of").is_empty() {
        let at = second(&now, "files_as_of");
        lines.push(format!(
            "Its files are as of {at}Z. Later changes arrive when that machine is back."
        ));
    }
    print(common, &now, &lines)
}

/// The question as it was given, or from standard input.
pub fn question(text: &[String]) -> Result<String, CommandError> {
    if text != ["-"] {
        return Ok(text.join(" "));
    }
    let mut read = String::new();
    let input = std::io::stdin().lock();
    let failed = |error: std::io::Error| CommandError::Failed(format!("standard input: {error}"));
    input.take(MAX_QUESTION).read_to_string(&mut read).map_err(failed)?;
    Ok(read)
}

async fn sessions(common: &Common, door: &Door, flags: &Sessions) -> Result<u8, CommandError> {
    let Named { agent, place } = &flags.named;
    let path = format!("/api/v1/agents/{agent}/sessions");
    if let Some(words) = &flags.search {
        let query = serde_urlencoded::to_string([("q", words)]).unwrap_or_default();
        let ask = Ask::get(format!("{path}/search?{query}")).within(place.workspace.as_ref());
        let found = door.call(ask).await?;
        let lines = items(&found).iter().map(found_line).collect::<Vec<_>>();
        return print(common, &found, &or_none(lines, "No results."));
    }
    let ask = Ask::get(format!("{path}?archived={}", flags.archived));
    let all = door.call(ask.within(place.workspace.as_ref())).await?;
    let lines: Vec<String> = items(&all).iter().map(session_line).collect();
    print(common, &all, &or_none(lines, "No conversations."))
}

fn session_line(one: &Value) -> String {
    let mine = if one["yours"] == true { "*" } else { " " };
    let (id, last, state) = (word(one, "id"), second(one, "last_at"), word(one, "state"));
    let unread = match one["unread"].as_u64() {
        Some(unread) if 0 < unread => format!("  ({unread} unread)"),
        _ => String::new(),
    };
    let title = word(one, "title");
    format!("{mine} {id}  {last}Z  {:>6}  {state:<8}  {title}{unread}", one["events"])
}

fn found_line(one: &Value) -> String {
    let (session, at) = (word(one, "session"), second(one, "at"));
    let text = word(one, "text").split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{session}#{}  {at}Z  {}: {text}", one["n"], word(one, "title"))
}

/// Does something with one conversation.
async fn session(common: &Common, door: &Door, act: &OnSession) -> Result<u8, CommandError> {
    let (of, verb, message) = match act {
        OnSession::Rename { session, name, place } => {
            let path = format!("/api/v1/sessions/{session}");
            let body = json!({ "name": name.join(" ") });
            let ask = Ask::patch(path, &body).within(place.workspace.as_ref());
            let now = door.call(ask).await?;
            return print(common, &now, &[format!("Renamed to {}.", word(&now, "title"))]);
        }
        OnSession::Begin { agent, name, place } => {
            let path = format!("/api/v1/agents/{agent}/sessions/begin");
            let body = json!({ "name": name.join(" ") });
            let now = door.call(Ask::post(path, &body).within(place.workspace.as_ref())).await?;
            return print(common, &now, &[format!("Started conversation {}.", word(&now, "id"))]);
        }
        OnSession::Share(of) => return visible(common, door, of, "workspace").await,
        OnSession::Unshare(of) => return visible(common, door, of, "private").await,
        OnSession::Archive(of) => (of, "archive", "is archived"),
        OnSession::Restore(of) => (of, "restore", "is restored"),
        OnSession::Reset(of) => (of, "reset", "is the new conversation"),
    };
    let path = format!("/api/v1/sessions/{}/{verb}", of.session);
    let body = json!({});
    let ask = Ask::post(path, &body).within(of.place.workspace.as_ref());
    let now = door.call(ask).await?;
    print(common, &now, &[format!("{} {message}.", word(&now, "id"))])
}

/// Says who sees a conversation.
async fn visible(
    common: &Common,
    door: &Door,
    of: &OfSession,
    visibility: &str,
) -> Result<u8, CommandError> {
    let path = format!("/api/v1/sessions/{}", of.session);
    let body = json!({ "visibility": visibility });
    let ask = Ask::patch(path, &body);
    let now = door.call(ask.within(of.place.workspace.as_ref())).await?;
    let message = match word(&now, "visibility") {
        "workspace" => "is shared with the whole workspace",
        _ => "is private",
    };
    print(common, &now, &[format!("{} {message}.", word(&now, "id"))])
}

/// Whether all work stands still, as far as who asks may know.
async fn all_paused(door: &Door, place: &Place) -> bool {
    let response = door.call(Ask::get("/api/v1/pause").within(place.workspace.as_ref())).await;
    response.is_ok_and(|pause| pause["paused"] == true)
}

/// Lets work stand still, or go on.
async fn halt(
    common: &Common,
    door: &Door,
    which: &Which,
    how: Option<&str>,
) -> Result<u8, CommandError> {
    let (path, body) = match (&which.agent, how) {
        (Some(agent), Some(how)) => (format!("/api/v1/agents/{agent}/halt"), json!({ "how": how })),
        (Some(agent), None) => (format!("/api/v1/agents/{agent}/resume"), json!({})),
        (None, Some(how)) => ("/api/v1/pause".to_owned(), json!({ "how": how })),
        (None, None) => ("/api/v1/resume".to_owned(), json!({})),
    };
    let done = door.call(Ask::post(path, &body).within(which.place.workspace.as_ref())).await?;
    let who = which.agent.as_deref().unwrap_or("All work");
    let waits = which.agent.is_some() && how.is_none() && all_paused(door, &which.place).await;
    let does = match how {
        Some(_) => "is paused",
        None if waits => "continues when all work is resumed: `hq agent resume --all`",
        None => "is resumed",
    };
    print(common, &done, &[format!("{who} {does}.")])
}
