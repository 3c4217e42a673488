//! `hq models …`: what can be chosen, and whether those who offer it answer.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use web::format;

use super::agents::{items, word};
use super::commands::{NO_CONNECTION, or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::{Common, FAILED, OK};

/// How many models are asked for.
const MOST: u32 = 2_000;

/// `hq models …`
#[derive(Subcommand)]
pub enum Command {
    /// List models: context windows, abilities, prices, billing routes
    List(List),
    /// Show whether each connection can be used, and why not
    Status(Status),
    /// Set the default model for agents
    Set(Set),
    /// Show or set the fallback models
    Fallbacks(Fallbacks),
}

/// Flags of `hq models set`.
#[derive(Args)]
pub struct Set {
    /// The model, as `hq models list` names it
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq models fallbacks`.
#[derive(Args)]
pub struct Fallbacks {
    /// The models in order, as `hq models list` names them
    names: Vec<String>,
    /// An agent's own list, by its handle [default: the workspace's]
    #[arg(long, value_name = "AGENT")]
    agent: Option<String>,
    /// Use no fallback models
    #[arg(long, conflicts_with = "names")]
    none: bool,
    /// Let the agent use the workspace's list again
    #[arg(long, requires = "agent", conflicts_with_all = ["names", "none"])]
    usual: bool,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq models list`.
#[derive(Args)]
pub struct List {
    /// Only models of this connection, by name or id
    #[arg(long, visible_alias = "provider", value_name = "NAME")]
    connection: Option<String>,
    /// Only models with these words in id or name
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq models status`.
#[derive(Args)]
pub struct Status {
    /// Test each with one short call, which costs as much as any other
    #[arg(long)]
    probe: bool,
    /// Exit with 1 if one of them can't be used
    #[arg(long)]
    check: bool,
    #[command(flatten)]
    place: Place,
}

/// Does it.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(flags) => list(common, door, &flags).await,
        Command::Status(Status { probe, check, place }) => {
            let all = standings(door, place.workspace.as_ref(), probe).await?;
            let lines: Vec<String> = all.iter().map(standing).collect();
            print(common, &all, &or_none(lines, NO_CONNECTION))?;
            let well = all.iter().all(|one| word(one, "status") == "ok");
            Ok(if well || !check { OK } else { FAILED })
        }
        Command::Set(Set { name, place }) => {
            let workspace = place.workspace.as_ref();
            let all = known(door, workspace).await?;
            let body = chosen(&all, &name)?;
            let set = Ask::put("/api/v1/connections/default", &body).within(workspace);
            let set = door.call(set).await?;
            print(common, &set, &[format!("{name} is the default model")])
        }
        Command::Fallbacks(flags) => fallbacks(common, door, flags).await,
    }
}

/// All models that can be chosen.
async fn known(door: &Door, workspace: Option<&String>) -> Result<Vec<Value>, CommandError> {
    let path = format!("/api/v1/models?limit={MOST}");
    Ok(items(&door.call(Ask::get(path).within(workspace)).await?).to_vec())
}

/// A model by its name, as the API wants it.
fn chosen(all: &[Value], name: &str) -> Result<Value, CommandError> {
    let exact = |one: &&Value| word(one, "name") == name;
    let alike: Vec<&Value> = all.iter().filter(|one| word(one, "id") == name).collect();
    let found = match (all.iter().find(exact), alike.as_slice()) {
        (Some(one), _) => one,
        (None, [one]) => *one,
        (None, []) => {
            let text = format!("there is no model {name}; see `hq models list`");
            return Err(CommandError::Refused(text));
        }
        (None, more) => {
            let names: Vec<&str> = more.iter().map(|one| word(one, "name")).collect();
            let text = format!("several connections have {name}: {}", names.join(", "));
            return Err(CommandError::Refused(text));
        }
    };
    Ok(json!({ "connection": found["connection"], "model": found["id"] }))
}

async fn fallbacks(common: &Common, door: &Door, flags: Fallbacks) -> Result<u8, CommandError> {
    let workspace = flags.place.workspace.as_ref();
    let agent = match &flags.agent {
        None => Value::Null,
        Some(handle) => {
            let all = door.call(Ask::get("/api/v1/agents").within(workspace)).await?;
            let is = |one: &&Value| word(one, "slug") == handle || word(one, "id") == handle;
            let found = items(&all).iter().find(is).map(|one| one["id"].clone());
            found.ok_or_else(|| CommandError::Refused(format!("there is no agent {handle}")))?
        }
    };
    let path = "/api/v1/connections/fallbacks";
    let all = known(door, workspace).await?;
    let list = if flags.names.is_empty() && !flags.none && !flags.usual {
        let query = agent.as_str().map(|id| format!("?agent={id}")).unwrap_or_default();
        door.call(Ask::get(format!("{path}{query}")).within(workspace)).await?
    } else {
        let models = flags.names.iter().map(|name| chosen(&all, name));
        let models = models.collect::<Result<Vec<Value>, _>>()?;
        let models = if flags.usual { Value::Null } else { Value::Array(models) };
        let body = json!({ "agent": agent, "models": models });
        door.call(Ask::put(path, &body).within(workspace)).await?
    };
    let rows = list["models"].as_array().into_iter().flatten().map(|one| {
        let is = |known: &&Value| {
            known["connection"] == one["connection"] && known["id"] == one["model"]
        };
        let name = all.iter().find(is).map(|known| word(known, "name"));
        name.unwrap_or_else(|| word(one, "model")).to_owned()
    });
    let mut lines: Vec<String> = rows.collect();
    if lines.is_empty() {
        lines.push("No fallback models.".to_owned());
    }
    print(common, &list, &lines)
}

async fn list(common: &Common, door: &Door, flags: &List) -> Result<u8, CommandError> {
    let mut path = format!("/api/v1/models?limit={MOST}");
    for (name, value) in [("connection", &flags.connection), ("q", &flags.search)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", format::query_value(value)));
        }
    }
    let all = door.call(Ask::get(path).within(flags.place.workspace.as_ref())).await?;
    let mut lines: Vec<String> = items(&all).iter().map(model).collect();
    if all["more"] == true {
        lines.push(
            "There are more models. Narrow the list with --connection or --search.".to_owned(),
        );
    }
    print(common, &all, &lines)
}

/// How the connections of a workspace stand; with `probe` each is really asked first.
pub async fn standings(
    door: &Door,
    workspace: Option<&String>,
    probe: bool,
) -> Result<Vec<Value>, CommandError> {
    let all = door.call(Ask::get("/api/v1/models/status").within(workspace)).await?;
    let mut all = items(&all).to_vec();
    if !probe {
        return Ok(all);
    }
    for one in &mut all {
        let path = format!("/api/v1/connections/{}/test", word(one, "connection"));
        let tested = door.call(Ask::post(path, &json!({})).within(workspace)).await?;
        for key in ["status", "reason", "message", "millis"] {
            one[key] = tested[key].clone();
        }
        one["until"] = Value::Null;
        one["tested_at"] = tested["connection"]["tested"]["at"].clone();
    }
    Ok(all)
}

/// A connection in one line.
pub fn standing(one: &Value) -> String {
    let mut line =
        format!("{:<24} {:<13} {}", word(one, "name"), word(one, "route"), word(one, "status"));
    if let Some(millis) = one["millis"].as_u64() {
        line.push_str(&format!("  {millis} ms"));
    }
    if let Some(reason) = one["reason"].as_str() {
        line.push_str(&format!("  {reason}"));
    }
    if let Some(until) = one["until"].as_str() {
        line.push_str(&format!(" until {until}"));
    }
    for window in one["quota"].as_array().into_iter().flatten() {
        let left = window["left_percent"].as_u64().unwrap_or_default();
        line.push_str(&format!("  {}: {left} % left", word(window, "name")));
    }
    match (word(one, "status"), word(one, "message")) {
        ("ok", _) | (_, "") => line,
        (_, message) => format!("{line}: {message}"),
    }
}

fn model(one: &Value) -> String {
    let tokens = |key: &str| one[key].as_u64().map_or_else(|| "?".to_owned(), format::tokens);
    let mut can = Vec::new();
    for (key, does) in [("tools", "tools"), ("vision", "pictures")] {
        if one[key] == true {
            can.push(does.to_owned());
        }
    }
    let levels: Vec<&str> =
        one["thinking"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if levels.iter().any(|level| *level != "none") {
        can.push(format!("thinking {}", levels.join("/")));
    }
    let mut line = format!(
        "{:<44} {:>7} in {:>7} out  {:<20} {:<12} {}",
        word(one, "name"),
        tokens("window"),
        tokens("max_output"),
        price(&one["price"]),
        word(one, "route"),
        can.join(", "),
    );
    for (key, says) in [("is_default", "  (default)"), ("deprecated", "  (deprecated)")] {
        if one[key] == true {
            line.push_str(says);
        }
    }
    line.trim_end().to_owned()
}

fn price(price: &Value) -> String {
    let micros = |key: &str| price[key].as_i64();
    match (micros("input"), micros("output")) {
        (Some(0), Some(0)) => "free".to_owned(),
        (Some(input), Some(output)) => {
            format!("{} / {}", format::money(input), format::money(output))
        }
        _ => "price unknown".to_owned(),
    }
}
