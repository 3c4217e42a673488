//! `hq connection …`: connections to providers, and signing in to them.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::agents::{items, word};
use super::commands::{NO_CONNECTION, or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::{Common, FAILED, OK, say};

/// How often a sign-in that is under way is looked at.
const GLANCE: Duration = Duration::from_secs(1);
const PATH: &str = "/api/v1/connections";

/// `hq connection …`
#[derive(Subcommand)]
pub enum Command {
    /// List connections: billing route, and whether they can be used
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Sign in to a connection that uses an account instead of a key
    Login(Login),
    /// Sign out: delete a connection's tokens
    SignOut(Named),
    /// List the agents, routines and settings that use a connection
    Uses(Named),
    /// Remove a connection and its key
    Remove(Remove),
}

/// Flags of `hq connection remove`.
#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    which: Named,
    /// The connection that agents, routines and settings use instead: name, handle or id [default: the workspace's]
    #[arg(long, value_name = "CONNECTION")]
    replacement: Option<String>,
}

/// Which connection.
#[derive(Args)]
pub struct Named {
    /// Its name, handle or id
    name: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq connection login`.
#[derive(Args)]
pub struct Login {
    #[command(flatten)]
    which: Named,
    /// In a browser, or by entering a code at the provider [default: the first available]
    #[arg(long, value_parser = ["browser", "code"])]
    way: Option<String>,
    /// Finish a pending sign-in: the address to which the browser was redirected, or the code in it
    #[arg(long, value_name = "ADDRESS", conflicts_with = "way")]
    answer: Option<String>,
    /// Only start; do not wait until it is done
    #[arg(long)]
    no_wait: bool,
}

/// Does it.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { place } => {
            let all = door.call(Ask::get(PATH).within(place.workspace.as_ref())).await?;
            let lines: Vec<String> = items(&all).iter().map(line).collect();
            print(common, &all, &or_none(lines, NO_CONNECTION))
        }
        Command::Login(flags) => login(common, door, flags).await,
        Command::Uses(which) => {
            let path = format!("{PATH}/{}/uses", found(door, &which).await?);
            let all = door.call(Ask::get(path).within(which.place.workspace.as_ref())).await?;
            let line = |one: &Value| format!("{}  {}", word(one, "kind"), word(one, "name"));
            let lines: Vec<String> = items(&all).iter().map(line).collect();
            print(common, &all, &or_none(lines, "Not in use."))
        }
        Command::Remove(Remove { which, replacement }) => {
            let mut path = format!("{PATH}/{}", found(door, &which).await?);
            let place = which.place;
            let workspace = place.workspace.clone();
            if let Some(name) = replacement {
                let other = found(door, &Named { name, place }).await?;
                path = format!("{path}?replacement={other}");
            }
            door.open(Ask::delete(path).within(workspace.as_ref())).await?;
            let done = json!({ "removed": which.name });
            print(common, &done, &[format!("Removed {}", which.name)])
        }
        Command::SignOut(which) => {
            let path = format!("{PATH}/{}/account", found(door, &which).await?);
            door.open(Ask::delete(path).within(which.place.workspace.as_ref())).await?;
            let done = json!({ "signed_out": which.name });
            print(common, &done, &[format!("Signed out of {}", which.name)])
        }
    }
}

fn line(one: &Value) -> String {
    let state = match one["reason"].as_str() {
        Some(reason) => format!("cannot be used: {reason}"),
        None => "can be used".to_owned(),
    };
    format!("{}  {}  {}  {state}", word(one, "name"), word(one, "route"), word(one, "id"))
}

/// The id of a connection.
async fn found(door: &Door, which: &Named) -> Result<String, CommandError> {
    let all = all(door, &which.place).await?;
    pick(&all, &which.name).map(|one| word(one, "id").to_owned())
}

/// All connections.
pub(super) async fn all(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get(PATH).within(place.workspace.as_ref())).await
}

/// The one that is meant: by its id, its name or its handle, as the names of models begin with it. A name goes before
/// the same handle of another one.
pub(super) fn pick<'v>(all: &'v Value, meant: &str) -> Result<&'v Value, CommandError> {
    let wanted = meant.to_lowercase();
    let all = items(all);
    let is_called =
        |one: &&Value| word(one, "id") == wanted || word(one, "name").to_lowercase() == wanted;
    if let Some(one) = all.iter().find(is_called) {
        return Ok(one);
    }
    let found: Vec<&Value> = all.iter().filter(|one| handle(one) == wanted).collect();
    match found.as_slice() {
        [one] => Ok(one),
        [] => Err(CommandError::Refused(format!(
            "there is no connection {meant}; see `hq connection list`"
        ))),
        _ => Err(CommandError::Refused(format!(
            "{meant} is the handle of several connections; use a name or id"
        ))),
    }
}

/// What names of models begin with.
pub(super) fn handle(one: &Value) -> String {
    kernel::text::slug(word(one, "name"), 40)
}

async fn login(common: &Common, door: &Door, flags: Login) -> Result<u8, CommandError> {
    let Login { which, way, answer, no_wait } = flags;
    let workspace = which.place.workspace.as_ref();
    let path = format!("{PATH}/{}/login", found(door, &which).await?);
    if let Some(answer) = answer {
        let body = json!({ "answer": answer });
        let ask = Ask::post(format!("{path}/answer"), &body).within(workspace);
        return over(common, &which.name, &door.call(ask).await?);
    }
    let flow = way.map(|way| if way == "code" { "device".to_owned() } else { way });
    let body = json!({ "flow": flow });
    let begun = door.call(Ask::post(path.as_str(), &body).within(workspace)).await?;
    if no_wait {
        return print(common, &begun, &describe(&which.name, &begun));
    }
    if !common.json {
        describe(&which.name, &begun).iter().for_each(|line| say(line));
    }
    loop {
        tokio::time::sleep(GLANCE).await;
        let now = door.call(Ask::get(path.as_str()).within(workspace)).await?;
        if now["state"] != "waiting" {
            return over(common, &which.name, &now);
        }
    }
}

/// What the person does.
fn describe(name: &str, begun: &Value) -> Vec<String> {
    let mut lines = vec![format!("Open {}", word(begun, "url"))];
    match word(begun, "code") {
        "" => {
            lines.push(
                "Sign in there. The browser is then redirected to an address on its own machine."
                    .into(),
            );
            lines.push(format!(
                "If HQ doesn't notice: hq connection login \"{name}\" --answer 'that address'"
            ));
        }
        code => lines.push(format!("Enter {code} there.")),
    }
    lines.push(format!("Sign in before {}.", word(begun, "expires_at")));
    lines
}

/// How it ended.
fn over(common: &Common, name: &str, ended: &Value) -> Result<u8, CommandError> {
    let state = word(ended, "state");
    let message = match word(ended, "message") {
        "" => String::new(),
        text => format!(": {text}"),
    };
    let line = match state {
        "done" => format!("Signed in to {name}"),
        state => format!("Not signed in to {name} ({state}){message}"),
    };
    print(common, ended, &[line])?;
    Ok(if state == "done" { OK } else { FAILED })
}

#[cfg(test)]
mod tests {
    use super::pick;
    use serde_json::json;

    #[test]
    fn a_connection_is_meant_by_id_name_or_handle() {
        let all = json!({ "items": [
            { "id": "1", "name": "My OpenRouter" },
            { "id": "2", "name": "work" },
            { "id": "3", "name": "Work!" },
            { "id": "4", "name": "Side (a)" },
            { "id": "5", "name": "side a" },
            { "id": "6", "name": "Side: a" },
        ] });
        let id = |meant: &str| pick(&all, meant).map(|one| one["id"].as_str().unwrap().to_owned());
        for (meant, one) in [
            ("1", "1"),
            ("my openrouter", "1"),
            ("my-openrouter", "1"),
            ("Work", "2"),
            ("Work!", "3"),
        ] {
            assert_eq!(id(meant).unwrap(), one, "{meant}");
        }
        assert!(id("side-a").unwrap_err().to_string().contains("several"));
        assert!(id("other").unwrap_err().to_string().contains("no connection"));
    }
}
