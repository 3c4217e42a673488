//! `hq secret …`: keys and variables of agents. Values come from standard input or a file, never as an argument.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::knowledge::words;
use super::operate::Place;
use super::reach::CommandError;
use super::rows::At;
use super::show::{listed, moment, one_of, part, query, quoted};

/// `hq secret …`
#[derive(Subcommand)]
pub enum Command {
    /// List secrets, without values
    List(At),
    /// Add a secret, or replace its value; the value is read from standard input or a file
    Set(New),
    /// Remove a secret: agents lose it at once; it can be restored for 7 days
    Remove(Named),
    /// Restore a removed secret, by its id
    Restore(Named),
    /// Put the previous value back, within 24 hours
    PutBack(Named),
    /// Explain why an agent has a variable or not
    Why(Named),
    /// List the uses of a secret
    Uses(Named),
    /// Import KEY=value lines of a file, all or none; - reads standard input
    Import(Import),
    /// Show the master key, former keys still needed, and the progress of a replacement
    MasterKey(At),
    /// Replace the master key and seal every secret again with it, while HQ runs
    RotateMaster(Rotate),
    /// Delete a former master key that nothing needs, for good
    DiscardMaster(Discard),
}

/// Which secret.
#[derive(Args)]
pub struct Named {
    /// Its variable or id
    which: String,
    /// The agent whose own secret is meant, or that the question is about
    #[arg(long)]
    agent: Option<String>,
    /// The gateway whose own secret is meant
    #[arg(long, conflicts_with = "agent")]
    gateway: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// A secret to be set.
#[derive(Args)]
pub struct New {
    /// Its variable, such as SHOP_API_KEY
    key: String,
    /// The file with the value, instead of standard input
    #[arg(long)]
    file: Option<PathBuf>,
    /// What to do with line breaks at the ends of the value
    #[arg(long, value_parser = one_of(["keep", "trim"]))]
    ends: Option<String>,
    /// The name, such as what it is for
    #[arg(long)]
    name: Option<String>,
    /// A note for people
    #[arg(long)]
    note: Option<String>,
    /// Only for this agent; may be given several times
    #[arg(long)]
    agent: Vec<String>,
    /// Only for agents on this gateway
    #[arg(long, conflicts_with = "agent")]
    gateway: Option<String>,
    /// A host it is used at; may be given several times
    #[arg(long)]
    host: Vec<String>,
    /// How agents use it
    #[arg(long, value_parser = one_of(["value", "stand_in", "requests"]))]
    way: Option<String>,
    /// Whether only programs get it for which the agent names it
    #[arg(long)]
    named_only: Option<bool>,
    /// Renew by this time, such as 2027-05-31T00:00:00Z
    #[arg(long)]
    expires: Option<String>,
    /// Not a secret: a plain variable, which people can read
    #[arg(long)]
    plain: bool,
    /// Accept an ordinary word or number as the value: it is masked wherever it is written
    #[arg(long)]
    ordinary: bool,
    #[command(flatten)]
    place: Place,
}

/// Another master key.
#[derive(Args)]
pub struct Rotate {
    /// Do not wait until everything is sealed again
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    place: Place,
}

/// A former master key that goes.
#[derive(Args)]
pub struct Discard {
    /// Its id: eight hex digits
    key: String,
    #[command(flatten)]
    place: Place,
}

/// Lines to be taken in.
#[derive(Args)]
pub struct Import {
    /// The file, or - for standard input
    file: PathBuf,
    /// Only for this agent; may be given several times
    #[arg(long)]
    agent: Vec<String>,
    /// Only for agents on this gateway
    #[arg(long, conflicts_with = "agent")]
    gateway: Option<String>,
    /// Replace the values of those that exist
    #[arg(long)]
    replace: bool,
    /// Accept ordinary words and numbers as values: they are masked wherever they are written
    #[arg(long)]
    ordinary: bool,
    /// Only show what would happen
    #[arg(long)]
    preview: bool,
    #[command(flatten)]
    place: Place,
}

const ALL: &str = "/api/v1/secrets";
const MASTER: &str = "/api/v1/secrets/master-key";
/// How often it is asked how far a change of the master key is.
const LOOK: Duration = Duration::from_millis(300);

fn at(one: &Named, verb: &str) -> String {
    let whose = [("agent", one.agent.as_deref()), ("gateway", one.gateway.as_deref())];
    format!("{ALL}/{}{verb}{}", part(&one.which), query(&whose))
}

/// Runs a command.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    let post = |one: &Named, verb: &str| {
        Ask::post(at(one, verb), &json!({})).within(one.place.workspace.as_ref())
    };
    let get =
        |one: &Named, verb: &str| Ask::get(at(one, verb)).within(one.place.workspace.as_ref());
    match command {
        Command::List(here) => {
            let all = door.call(Ask::get(ALL).within(here.place.workspace.as_ref())).await?;
            print(common, &all, &listed(&all, row, "No secrets."))
        }
        Command::Set(new) => set(common, door, &new).await,
        Command::Remove(one) => {
            let ask = Ask::delete(at(&one, "")).within(one.place.workspace.as_ref());
            let gone = door.call(ask).await?;
            let message = format!("Removed {}. It can be restored for 7 days.", quoted(&one.which));
            print(common, &gone, &[message])
        }
        Command::Restore(one) => {
            let back = door.call(post(&one, "/restore")).await?;
            print(common, &back, &[format!("Restored {}.", word(&back, "key"))])
        }
        Command::PutBack(one) => {
            let back = door.call(post(&one, "/put-back")).await?;
            print(
                common,
                &back,
                &[format!("Put the previous value of {} back.", word(&back, "key"))],
            )
        }
        Command::Why(one) => {
            let why = door.call(get(&one, "/why")).await?;
            let says = why["says"].as_array().into_iter().flatten().filter_map(Value::as_str);
            print(common, &why, &says.map(str::to_owned).collect::<Vec<_>>())
        }
        Command::Uses(one) => {
            let uses = door.call(get(&one, "/uses")).await?;
            print(common, &uses, &listed(&uses, use_row, "Not used yet."))
        }
        Command::Import(import) => take_in(common, door, &import).await,
        Command::MasterKey(here) => {
            let now = door.call(Ask::get(MASTER).within(here.place.workspace.as_ref())).await?;
            print(common, &now, &master(&now))
        }
        Command::RotateMaster(one) => rotate(common, door, &one).await,
        Command::DiscardMaster(one) => {
            let ask = Ask::post(format!("{MASTER}/discard"), &json!({ "key": one.key }));
            let now = door.call(ask.within(one.place.workspace.as_ref())).await?;
            print(common, &now, &[format!("Deleted the former key {}.", one.key)])
        }
    }
}

/// The text of a file or of what is piped in. A value that is typed would be seen.
fn text(file: Option<&Path>) -> Result<String, CommandError> {
    let piped = Path::new("-");
    let file = file.unwrap_or(piped);
    if file == piped && std::io::stdin().is_terminal() {
        let message = "pipe the value in, or give a file with --file";
        return Err(CommandError::Failed(message.to_owned()));
    }
    words(file)
}

/// Without the one line break that `echo` ends with. Further ones are asked about.
fn without_last_break(mut value: String) -> String {
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    value
}

/// Begins a change of the master key, and waits for its end. Broken off, the change goes on.
async fn rotate(common: &Common, door: &Door, one: &Rotate) -> Result<u8, CommandError> {
    let place = one.place.workspace.as_ref();
    let ask = Ask::post(format!("{MASTER}/rotate"), &json!({})).within(place);
    let mut now = door.call(ask).await?;
    while !one.no_wait && now["change"]["under_way"] == true {
        let waits = now["change"]["waits"].as_array().map_or(0, Vec::len);
        if 0 < waits && now["change"]["through"].as_array().is_some_and(|all| !all.is_empty()) {
            // It goes on when they are open again.
            break;
        }
        tokio::time::sleep(LOOK).await;
        now = door.call(Ask::get(MASTER).within(place)).await?;
    }
    print(common, &now, &master(&now))
}

fn master(now: &Value) -> Vec<String> {
    let mut lines = vec![format!("Master key {}", word(now, "key"))];
    let change = &now["change"];
    if change.is_object() {
        let (from, sealed) = (word(change, "from"), &change["sealed"]);
        lines.push(match change["under_way"] == true {
            true => {
                format!("Re-encrypted since {from}: {sealed} so far; HQ continues automatically")
            }
            false => format!("Re-encrypted since {from}: {sealed}, complete"),
        });
        if change["shut"] != 0 {
            lines.push(format!(
                "{} can't be opened with any key here; enter them again",
                change["shut"]
            ));
        }
        let waits = change["waits"].as_array().into_iter().flatten().filter_map(Value::as_str);
        lines.extend(waits.map(|slug| format!("The workspace {slug} isn't open and waits")));
    }
    for former in now["formers"].as_array().into_iter().flatten() {
        let needs = former["needs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let needs = needs.collect::<Vec<_>>().join("; ");
        let needs = if needs.is_empty() { "nothing; you can delete it" } else { needs.as_str() };
        lines.push(format!("Former key {}, needed by: {needs}", word(former, "key")));
    }
    lines
}

async fn set(common: &Common, door: &Door, new: &New) -> Result<u8, CommandError> {
    let place = new.place.workspace.as_ref();
    let mut value = text(new.file.as_deref())?;
    let is_piped = new.file.as_deref().is_none_or(|file| file == Path::new("-"));
    if is_piped && new.ends.is_none() {
        value = without_last_break(value);
    }
    let mut body = Map::new();
    let texts = [("name", &new.name), ("note", &new.note), ("way", &new.way)];
    let texts = texts.into_iter().chain([("expires_at", &new.expires)]);
    body.extend(texts.filter_map(|(key, text)| Some((key.to_owned(), json!(text.as_ref()?)))));
    body.extend(new.named_only.map(|only| ("named_only".to_owned(), json!(only))));
    if !new.host.is_empty() {
        body.insert("hosts".to_owned(), json!(new.host));
    }
    let mut given = json!({ "value": value });
    given["ends"] = json!(new.ends);
    given["ordinary"] = json!(new.ordinary);
    let known = known(door, new).await?;
    let answer = match known {
        Some(id) => {
            let one = format!("{ALL}/{id}");
            if !body.is_empty() {
                door.call(Ask::patch(&one, &Value::Object(body)).within(place)).await?;
            }
            door.call(Ask::put(format!("{one}/value"), &given).within(place)).await?
        }
        None => {
            body.entry("name").or_insert_with(|| json!(new.key));
            if !new.agent.is_empty() {
                body.insert("agents".to_owned(), json!(new.agent));
            }
            body.extend(new.gateway.as_ref().map(|name| ("gateway".to_owned(), json!(name))));
            for (key, field) in given.as_object().into_iter().flatten() {
                body.insert(key.clone(), field.clone());
            }
            body.insert("key".to_owned(), json!(new.key));
            body.insert("plain".to_owned(), json!(new.plain));
            door.call(Ask::post(ALL, &Value::Object(body)).within(place)).await?
        }
    };
    let mut lines = vec![format!("Set {}, version {}.", new.key, answer["version"])];
    lines.extend(answer["warning"].as_str().map(str::to_owned));
    print(common, &answer, &lines)
}

/// The id of the secret with this variable for the same agents; none when it is to be added.
async fn known(door: &Door, new: &New) -> Result<Option<String>, CommandError> {
    let place = new.place.workspace.as_ref();
    let own = match (new.agent.as_slice(), &new.gateway) {
        ([agent], _) => Some(("agent", Some(agent.as_str()))),
        (_, Some(gateway)) => Some(("gateway", Some(gateway.as_str()))),
        _ => None,
    };
    if let Some(own) = own {
        let path = format!("{ALL}/{}{}", part(&new.key), query(&[own]));
        return match door.call(Ask::get(path).within(place)).await {
            Ok(one) => Ok(Some(word(&one, "id").to_owned())),
            Err(CommandError::Api { kind, .. }) if kind == "secret_not_found" => Ok(None),
            Err(error) => Err(error),
        };
    }
    let all = door.call(Ask::get(ALL).within(place)).await?;
    let is_it = |one: &&Value| {
        one["key"] == json!(new.key) && one["scope"] == "workspace" && one["removed_at"].is_null()
    };
    let shared = all["items"].as_array().into_iter().flatten().find(is_it);
    Ok(shared.filter(|_| new.agent.is_empty()).map(|one| word(one, "id").to_owned()))
}

async fn take_in(common: &Common, door: &Door, import: &Import) -> Result<u8, CommandError> {
    let mut body = json!({ "text": text(Some(&import.file))?, "preview": import.preview });
    body["existing"] = json!(if import.replace { "replace" } else { "refuse" });
    body["ordinary"] = json!(import.ordinary);
    if !import.agent.is_empty() {
        body["agents"] = json!(import.agent);
    }
    if let Some(gateway) = &import.gateway {
        body["gateway"] = json!(gateway);
    }
    let ask = Ask::post(format!("{ALL}/import"), &body).within(import.place.workspace.as_ref());
    let done = door.call(ask).await?;
    let line = |one: &Value| {
        format!(
            "{}  {}  {}  {}",
            one["line"],
            word(one, "key"),
            word(one, "verdict"),
            word(one, "says")
        )
    };
    let lines = done["lines"].as_array().into_iter().flatten().map(line);
    print(common, &done, &lines.map(|line| line.trim_end().to_owned()).collect::<Vec<_>>())
}

fn row(one: &Value) -> Vec<String> {
    let who = match one["agents"].as_array().map_or(0, Vec::len) {
        _ if one["scope"] == "workspace" => "all agents".to_owned(),
        _ if one["scope"] == "gateway" => format!("on {}", word(one, "gateway_name")),
        1 => "1 agent".to_owned(),
        n => format!("{n} agents"),
    };
    let state = if one["removed_at"].is_null() { word(one, "state") } else { "removed" };
    vec![
        word(one, "id").to_owned(),
        word(one, "key").to_owned(),
        who,
        word(one, "way").to_owned(),
        state.to_owned(),
        moment(one, "last_used_at"),
        quoted(word(one, "name")),
    ]
}

fn use_row(one: &Value) -> Vec<String> {
    vec![
        moment(one, "last_at"),
        word(one, "agent").to_owned(),
        word(one, "run").to_owned(),
        word(one, "way").to_owned(),
        word(one, "host").to_owned(),
        one["count"].to_string(),
        format!("version {}", one["version"]),
    ]
}
