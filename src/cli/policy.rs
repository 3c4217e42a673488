//! `hq policy …`: what agents may do without asking: modes, permissions, and what would become of a call.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use kernel::{AccessDecision, TrustMode};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::connections;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, moment, one_of, part, pick, query, short};

/// `hq policy …`
#[derive(Subcommand)]
pub enum Command {
    /// Show the mode and permissions of an agent; without one, the workspace's permissions
    Show {
        /// The agent's slug or id
        agent: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Show or set an agent's mode
    Mode {
        /// The agent's slug or id
        agent: String,
        /// locked: read-only; ask: asks before what can't be undone; auto: like ask, and the reviewer may approve; full: everything its settings allow
        #[arg(value_parser = one_of(TrustMode::ALL.iter().map(|mode| mode.word())))]
        mode: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Show or set the model that reviews what agents in auto mode ask
    Reviewer {
        /// As <connection>/<model>, the connection by handle, name or id; none: people are asked
        reviewer: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Allow calls of a tool
    Allow(Permit),
    /// Ask before calls of a tool
    Ask(Permit),
    /// Deny calls of a tool; this always wins
    Deny(Permit),
    /// Remove a permission
    Remove {
        /// Its id, or the end of it, as in `show`
        permission: String,
        /// The agent that has it
        #[arg(long)]
        agent: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Show what would happen to an agent's calls of a tool, and why; calls nothing
    Explain {
        /// The agent's slug or id
        agent: String,
        /// The tool
        tool: String,
        /// The command line of a program, for exec
        #[arg(long)]
        command: Option<String>,
        #[command(flatten)]
        request: Request,
        #[command(flatten)]
        place: Place,
    },
    /// Add the missing permissions of a preset; without a name, list presets
    Preset {
        /// The name of the preset
        name: Option<String>,
        /// Only for this agent, by its slug or id
        #[arg(long)]
        agent: Option<String>,
        #[command(flatten)]
        place: Place,
    },
}

/// `hq sandbox …`
#[derive(Subcommand)]
pub enum Sandbox {
    /// Show what an agent's programs may do, and which protections hold on this machine
    Explain {
        /// The agent's slug or id
        agent: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What a permission is for.
#[derive(Args)]
pub struct Permit {
    /// The tool, or '*' for all
    tool: String,
    /// Only for this agent, by its slug or id
    #[arg(long)]
    agent: Option<String>,
    #[command(flatten)]
    request: Request,
    /// The reason
    #[arg(long, default_value = "")]
    note: String,
    /// Days until it ends, 1 to 365 [default: never]
    #[arg(long)]
    days: Option<u16>,
    #[command(flatten)]
    place: Place,
}

/// Which requests, of the tool that makes them.
#[derive(Args)]
pub struct Request {
    /// Only requests to this host
    #[arg(long)]
    host: Option<String>,
    /// Only requests by this method, such as GET
    #[arg(long, requires = "host")]
    method: Option<String>,
}

impl Permit {
    fn body(&self, decision: AccessDecision) -> Value {
        let mut body = Map::new();
        body.insert("tool".to_owned(), json!(self.tool));
        body.insert("leave".to_owned(), json!(decision.word()));
        body.insert("note".to_owned(), json!(self.note));
        let given = [
            ("agent", &self.agent),
            ("host", &self.request.host),
            ("method", &self.request.method),
        ];
        for (name, value) in given {
            body.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
        }
        body.extend(self.days.map(|days| ("days".to_owned(), json!(days))));
        Value::Object(body)
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::Show { agent, place } => show(common, door, agent.as_deref(), &place).await,
        Command::Mode { agent, mode, place } => {
            let path = mode_path(&agent);
            let ask = match mode {
                Some(mode) => Ask::put(path, &json!({ "mode": mode })),
                None => Ask::get(path),
            };
            let mode = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &mode, &[word(&mode, "mode").to_owned()])
        }
        Command::Reviewer { reviewer, place } => {
            self::reviewer(common, door, reviewer.as_deref(), &place).await
        }
        Command::Allow(permit) => add(common, door, &permit, AccessDecision::Allow).await,
        Command::Ask(permit) => add(common, door, &permit, AccessDecision::Ask).await,
        Command::Deny(permit) => add(common, door, &permit, AccessDecision::Deny).await,
        Command::Remove { permission, agent, place } => {
            let all = kept(door, agent.as_deref(), &place).await?;
            let noun = ("permission", "hq policy show");
            let one = pick(&all, &permission, noun, |_| Vec::new())?;
            let path = format!("/api/v1/permissions/{}", part(word(one, "id")));
            door.call(Ask::delete(path).within(place.workspace.as_ref())).await?;
            print(common, one, &[format!("Removed {}.", row(one).join(" · "))])
        }
        Command::Explain { agent, tool, command, request, place } => {
            let params = query(&[
                ("agent", Some(agent.as_str())),
                ("tool", Some(tool.as_str())),
                ("command", command.as_deref()),
                ("host", request.host.as_deref()),
                ("method", request.method.as_deref()),
            ]);
            let ask = Ask::get(format!("/api/v1/policy/explain{params}"));
            let answer = door.call(ask.within(place.workspace.as_ref())).await?;
            let mut line = format!("{}: {}", word(&answer, "verdict"), word(&answer, "why"));
            if let Some(rule) = answer["rule"].as_str() {
                line.push_str(&format!(
                    " (permission {}: {})",
                    short(rule),
                    word(&answer, "calls")
                ));
            }
            print(common, &answer, &[line])
        }
        Command::Preset { name: None, place, .. } => {
            let ask = Ask::get("/api/v1/permissions/presets");
            let all = door.call(ask.within(place.workspace.as_ref())).await?;
            let row =
                |one: &Value| vec![word(one, "name").to_owned(), word(one, "about").to_owned()];
            print(common, &all, &listed(&all, row, "No presets."))
        }
        Command::Preset { name: Some(name), agent, place } => {
            let body = json!({ "agent": agent });
            let ask = Ask::post(format!("/api/v1/permissions/presets/{}", part(&name)), &body);
            let done = door.call(ask.within(place.workspace.as_ref())).await?;
            let line = match done["added"].as_u64().unwrap_or_default() {
                0 => "All of its permissions exist already.".to_owned(),
                1 => "1 permission added.".to_owned(),
                n => format!("{n} permissions added."),
            };
            print(common, &done, &[line])
        }
    }
}

/// Shows or chooses the model that reviews.
async fn reviewer(
    common: &Common,
    door: &Door,
    chosen: Option<&str>,
    place: &Place,
) -> Result<u8, CommandError> {
    let path = "/api/v1/policy/reviewer";
    let all = connections::all(door, place).await?;
    let ask = match chosen {
        None => Ask::get(path),
        Some("none") => Ask::put(path, &json!({ "connection": null, "model": null })),
        Some(one) => {
            let (connection, model) = one.split_once('/').ok_or_else(|| {
                CommandError::Failed(format!("write <connection>/<model> instead of {one}"))
            })?;
            let connection = word(connections::pick(&all, connection)?, "id");
            Ask::put(path, &json!({ "connection": connection, "model": model }))
        }
    };
    let answer = door.call(ask.within(place.workspace.as_ref())).await?;
    let line = match answer["model"].as_str() {
        Some(model) => {
            let id = word(&answer, "connection");
            let handle = connections::pick(&all, id).map_or(id.to_owned(), connections::handle);
            format!("{handle}/{model}")
        }
        None => "No reviewer: people are asked.".to_owned(),
    };
    print(common, &answer, &[line])
}

/// Tells of the sandbox of an agent's programs.
///
/// # Errors
/// When there is no such agent, or nobody answers.
pub async fn sandbox(common: &Common, door: &Door, command: Sandbox) -> Result<u8, CommandError> {
    let Sandbox::Explain { agent, place } = command;
    let ask = Ask::get(format!("/api/v1/agents/{}/sandbox", part(&agent)));
    let answer = door.call(ask.within(place.workspace.as_ref())).await?;
    let texts = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let text = |line: &Value| line.as_str().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = texts("asked").iter().map(text).collect();
    lines.extend(texts("hosts").iter().map(|host| format!("  {}", text(host))));
    let abi = answer["landlock_abi"].as_u64().unwrap_or_default();
    lines.push(format!(
        "{}: {} (Landlock ABI {abi})",
        word(&answer, "overall"),
        word(&answer, "says")
    ));
    let found = |one: &Value| format!("{:<8} {}", word(one, "how"), word(one, "text"));
    lines.extend(texts("found").iter().map(found));
    print(common, &answer, &lines)
}

fn mode_path(agent: &str) -> String {
    format!("/api/v1/agents/{}/mode", part(agent))
}

async fn kept(door: &Door, agent: Option<&str>, place: &Place) -> Result<Value, CommandError> {
    let path = format!("/api/v1/permissions{}", query(&[("agent", agent)]));
    door.call(Ask::get(path).within(place.workspace.as_ref())).await
}

async fn show(
    common: &Common,
    door: &Door,
    agent: Option<&str>,
    place: &Place,
) -> Result<u8, CommandError> {
    let mut all = kept(door, agent, place).await?;
    let mut lines = Vec::new();
    if let Some(agent) = agent {
        let ask = Ask::get(mode_path(agent)).within(place.workspace.as_ref());
        let mode = word(&door.call(ask).await?, "mode").to_owned();
        lines.push(format!("mode: {mode}"));
        all["mode"] = json!(mode);
    }
    lines.extend(listed(&all, used_row, "No permissions."));
    print(common, &all, &lines)
}

async fn add(
    common: &Common,
    door: &Door,
    permit: &Permit,
    decision: AccessDecision,
) -> Result<u8, CommandError> {
    let body = permit.body(decision);
    let ask = Ask::post("/api/v1/permissions", &body).within(permit.place.workspace.as_ref());
    let rule = door.call(ask).await?;
    print(common, &rule, &[row(&rule).join(" · ")])
}

/// The same with how often it decided what became of a call, and when last.
fn used_row(rule: &Value) -> Vec<String> {
    let used = match rule["last_used_at"].is_string() {
        true => {
            let last = moment(rule, "last_used_at");
            format!("{} in 30 days, last {last}", rule["used_in_30_days"])
        }
        false => "not used yet".to_owned(),
    };
    let mut cells = row(rule);
    cells.insert(4, used);
    cells
}

/// "1a2b3c4d  allow  exec  agent  git status …, inside the folder. It builds here".
fn row(rule: &Value) -> Vec<String> {
    let whose = if rule["agent"].is_string() { "agent" } else { "workspace" };
    let mut last = word(rule, "calls").to_owned();
    if !word(rule, "note").is_empty() {
        last.push_str(&format!(". {}", word(rule, "note")));
    }
    if let Some(until) = rule["expires_at"].as_str() {
        last.push_str(&format!(" (until {until})"));
    }
    vec![
        short(word(rule, "id")).to_owned(),
        word(rule, "leave").to_owned(),
        word(rule, "tool").to_owned(),
        whose.to_owned(),
        last,
    ]
}
