//! `hq model …`: what search by meaning runs on.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::rows::{At, One};
use super::show::{one_of, part, quoted};

const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// `hq model …`
#[derive(Subcommand)]
pub enum Command {
    /// List models on this machine or to download, and the progress of semantic search
    List(At),
    /// Download a model that HQ knows, and use it
    Download(One),
    /// Add a model from files; without --use it isn't used yet
    Add(New),
    /// Use a model on this machine, by name or id
    Use(One),
    /// Turn semantic search off
    Off(At),
    /// Show the cost of vectors for all passages through a connection
    Price(Far),
    /// Use a connection for this workspace's vectors
    Connect(Far),
    /// Use the model on this machine again
    Local(At),
    /// Remove the files of a model that is not in use
    Remove(One),
}

/// A model in a folder of this machine.
#[derive(Args)]
pub struct New {
    /// The folder with config.json, tokenizer.json and model.safetensors
    folder: PathBuf,
    /// A name for a model that HQ doesn't know; giving one confirms its hashes
    #[arg(long)]
    name: Option<String>,
    /// How token vectors are pooled into one, as the model card says
    #[arg(long, value_parser = one_of(["mean", "first"]), default_value = "mean")]
    pooling: String,
    /// The prefix that the model expects before a question
    #[arg(long, default_value = "")]
    query_prefix: String,
    /// The prefix that the model expects before a passage
    #[arg(long, default_value = "")]
    passage_prefix: String,
    /// Also use it
    #[arg(long = "use")]
    takes: bool,
    #[command(flatten)]
    place: Place,
}

/// A model behind a connection.
#[derive(Args)]
pub struct Far {
    /// The connection, by its name or id
    connection: String,
    /// The embedding model's name on its server
    model: String,
    #[command(flatten)]
    place: Place,
}

/// Does what was asked.
///
/// # Errors
/// When HQ refuses it or cannot be reached.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(at) => {
            let ask = Ask::get("/api/v1/meaning").within(at.place.workspace.as_ref());
            print_state(common, &door.call(ask).await?, false)
        }
        Command::Download(one) => {
            let path = format!("/api/v1/meaning/models/{}/download", part(&one.which));
            let ask = Ask::post(path, &json!({})).within(one.place.workspace.as_ref());
            print_state(common, &door.call(ask).await?, false)
        }
        Command::Add(new) => add(common, door, &new).await,
        Command::Use(one) => {
            let body = json!({ "id": one.which });
            let ask = Ask::put("/api/v1/meaning/used", &body).within(one.place.workspace.as_ref());
            print_state(common, &door.call(ask).await?, true)
        }
        Command::Off(at) => {
            let body = json!({ "id": null });
            let ask = Ask::put("/api/v1/meaning/used", &body).within(at.place.workspace.as_ref());
            print_state(common, &door.call(ask).await?, false)
        }
        Command::Price(far) => price(common, door, &far).await,
        Command::Connect(far) => {
            let body = json!({ "connection": far.connection, "model": far.model });
            let ask = Ask::put("/api/v1/meaning/connection", &body);
            print_state(common, &door.call(ask.within(far.place.workspace.as_ref())).await?, true)
        }
        Command::Local(at) => {
            let body = json!({ "connection": null });
            let ask = Ask::put("/api/v1/meaning/connection", &body);
            print_state(common, &door.call(ask.within(at.place.workspace.as_ref())).await?, true)
        }
        Command::Remove(one) => {
            let path = format!("/api/v1/meaning/models/{}", part(&one.which));
            let gone = door.call(Ask::delete(path).within(one.place.workspace.as_ref())).await?;
            print(common, &gone, &[format!("Removed {}.", quoted(&one.which))])
        }
    }
}

async fn add(common: &Common, door: &Door, new: &New) -> Result<u8, CommandError> {
    for name in FILES {
        let path = new.folder.join(name);
        let content = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let ask = Ask::put_file(format!("/api/v1/meaning/files/{name}"), content);
        door.call(ask.within(new.place.workspace.as_ref())).await?;
    }
    let terms = new.name.as_ref().map(|name| {
        json!({
            "name": name,
            "pooling": new.pooling,
            "query_prefix": new.query_prefix,
            "passage_prefix": new.passage_prefix,
        })
    });
    let ask = Ask::post("/api/v1/meaning", &json!({ "terms": terms, "use": new.takes }));
    print_state(common, &door.call(ask.within(new.place.workspace.as_ref())).await?, new.takes)
}

async fn price(common: &Common, door: &Door, far: &Far) -> Result<u8, CommandError> {
    let (connection, model) = (part(&far.connection), part(&far.model));
    let path = format!("/api/v1/meaning/price?connection={connection}&model={model}");
    let price = door.call(Ask::get(path).within(far.place.workspace.as_ref())).await?;
    let cost = match (price["free"].as_bool(), price["micros"].as_i64()) {
        (Some(true), _) => "no cost per token there".to_owned(),
        (_, Some(micros)) => format!("about {}", web::format::money(micros)),
        _ => "price unknown".to_owned(),
    };
    let (passages, tokens) = (&price["passages"], &price["tokens"]);
    print(common, &price, &[format!("{passages} passages, about {tokens} tokens: {cost}.")])
}

fn unreadable(path: &Path, error: &std::io::Error) -> CommandError {
    CommandError::Failed(format!("couldn't read {}: {error}", path.display()))
}

/// Each model in a line, then how far it is. One that was chosen this moment has counted nothing yet.
fn print_state(common: &Common, state: &Value, chosen: bool) -> Result<u8, CommandError> {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let models = state["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines: Vec<String> = models
        .iter()
        .map(|one| {
            let standing = match (one["used"].as_bool(), one["here"].as_bool()) {
                (Some(true), _) => "in use",
                (_, Some(true)) => "here",
                _ => "not downloaded",
            };
            format!("{}  {standing}  {}", word(&one["id"]), quoted(&word(&one["name"])))
        })
        .collect();
    if state["connection"].is_object() {
        let (name, model) = (&state["connection"]["name"], &state["connection"]["model"]);
        lines.push(format!(
            "{} through {} creates this workspace's vectors.",
            word(model),
            quoted(&word(name))
        ));
    }
    if state["used"].is_string() {
        let (found, waiting) = (&state["passages"], &state["waiting"]);
        let begins = chosen && found.as_u64() == Some(0) && waiting.as_u64() == Some(0);
        lines.push(match begins {
            true => "Starting to read the workspace's passages.".to_owned(),
            false => format!("{found} passages are in semantic search, {waiting} not yet."),
        });
    }
    let waits = |one: &Value| one["here"] == json!(true) && one["used"] == json!(false);
    if models.iter().any(waits) {
        lines.push("To use another model on this machine: hq model use NAME".to_owned());
    }
    if state["downloading"].is_object() {
        let (have, of) = (&state["downloading"]["bytes"], &state["downloading"]["of"]);
        lines.push(format!("Downloading: {have} of {of} bytes."));
    }
    lines.extend(Some(word(&state["trouble"])).filter(|why| !why.is_empty()));
    print(common, state, &lines)
}
