//! `hq source …`: folders and sites that are kept up to date as knowledge.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::rows::{At, One};
use super::show::{listed, moment, one_of, part, query, quoted};

/// `hq source …`
#[derive(Subcommand)]
pub enum Command {
    /// List sources with their state
    List(At),
    /// Show a source with its last syncs, by id or name
    Show(One),
    /// Add a source: folder path=/srv/handbook, or web url=https://example.com how=sitemap
    Add(New),
    /// Change a source: its name, its interval, or values as key=value
    Edit(Change),
    /// Sync a source now
    Sync(One),
    /// Remove a source
    Remove {
        /// Its id or name
        which: String,
        /// What to do with its items
        #[arg(long, default_value = "keep", value_parser = one_of(["keep", "archive", "delete"]))]
        items: String,
        #[command(flatten)]
        place: Place,
    },
}

/// What is set.
#[derive(Args)]
pub struct Values {
    /// The connector's values, as key=value
    values: Vec<String>,
    /// The name
    #[arg(long)]
    name: Option<String>,
    /// Hours between two syncs
    #[arg(long)]
    hours: Option<u32>,
    /// Whether agents may write to it
    #[arg(long)]
    writable: Option<bool>,
    /// The folder for new items: name, path or id; empty for none
    #[arg(long)]
    folder: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// A source to be added.
#[derive(Args)]
pub struct New {
    /// The connector: folder, web, or another
    connector: String,
    #[command(flatten)]
    values: Values,
}

/// What is to change.
#[derive(Args)]
pub struct Change {
    /// Its id or name
    which: String,
    /// Whether it is paused
    #[arg(long)]
    paused: Option<bool>,
    #[command(flatten)]
    values: Values,
}

impl Values {
    fn body(&self) -> Result<Map<String, Value>, CommandError> {
        let mut body = Map::new();
        let mut reads = Map::new();
        for pair in &self.values {
            let (key, value) = pair.split_once('=').ok_or_else(|| {
                CommandError::Failed(format!("{pair} isn't a value; write key=value"))
            })?;
            reads.insert(key.trim().to_owned(), json!(value));
        }
        if !reads.is_empty() {
            body.insert("reads".to_owned(), Value::Object(reads));
        }
        body.extend(self.name.as_ref().map(|name| ("name".to_owned(), json!(name))));
        body.extend(self.hours.map(|hours| ("interval_hours".to_owned(), json!(hours))));
        body.extend(self.writable.map(|may| ("writable".to_owned(), json!(may))));
        body.extend(self.folder.as_ref().map(|folder| ("folder".to_owned(), json!(folder))));
        Ok(body)
    }
}

fn at(which: &str) -> String {
    format!("/api/v1/sources/{}", part(which))
}

/// Runs a command.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(here) => {
            let ask = Ask::get("/api/v1/sources").within(here.place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, row, "No sources."))
        }
        Command::Show(one) => {
            let shown =
                door.call(Ask::get(at(&one.which)).within(one.place.workspace.as_ref())).await?;
            print(common, &shown, &describe(&shown))
        }
        Command::Add(new) => {
            let mut body = new.values.body()?;
            body.insert("connector".to_owned(), json!(new.connector));
            body.entry("reads").or_insert_with(|| json!({}));
            let ask = Ask::post("/api/v1/sources", &Value::Object(body));
            let made = door.call(ask.within(new.values.place.workspace.as_ref())).await?;
            print(common, &made, &[row(&made).join("  ")])
        }
        Command::Edit(change) => edit(common, door, &change).await,
        Command::Sync(one) => {
            let path = format!("{}/sync", at(&one.which));
            let ask = Ask::post(path, &json!({})).within(one.place.workspace.as_ref());
            let now = door.call(ask).await?;
            print(common, &now, &[format!("Started the sync of {}.", quoted(word(&now, "name")))])
        }
        Command::Remove { which, items, place } => {
            let path = format!("{}{}", at(&which), query(&[("items", Some(items.as_str()))]));
            let gone = door.call(Ask::delete(path).within(place.workspace.as_ref())).await?;
            print(common, &gone, &[format!("Removed {}.", quoted(&which))])
        }
    }
}

async fn edit(common: &Common, door: &Door, change: &Change) -> Result<u8, CommandError> {
    let place = change.values.place.workspace.as_ref();
    let mut body = change.values.body()?;
    body.extend(change.paused.map(|paused| ("paused".to_owned(), json!(paused))));
    if let Some(Value::Object(given)) = body.remove("reads") {
        // What is not named stays.
        let now = door.call(Ask::get(at(&change.which)).within(place)).await?;
        let mut reads = now["reads"].as_object().cloned().unwrap_or_default();
        reads.extend(given);
        body.insert("reads".to_owned(), Value::Object(reads));
    }
    let ask = Ask::patch(at(&change.which), &Value::Object(body)).within(place);
    let changed = door.call(ask).await?;
    print(common, &changed, &[row(&changed).join("  ")])
}

fn row(one: &Value) -> Vec<String> {
    let status = match (one["running"].as_bool(), one["paused"].as_bool()) {
        (Some(true), _) => "syncing",
        (_, Some(true)) => "paused",
        _ => word(one, "status"),
    };
    vec![
        word(one, "id").to_owned(),
        word(one, "connector").to_owned(),
        status.to_owned(),
        one["items"].to_string(),
        moment(one, "synced_at"),
        quoted(word(one, "name")),
    ]
}

fn describe(one: &Value) -> Vec<String> {
    let mut lines = vec![row(one).join("  ")];
    for (key, value) in one["reads"].as_object().into_iter().flatten() {
        lines.push(format!("{key}: {}", value.as_str().unwrap_or_default()));
    }
    lines.extend(Some(word(one, "message").to_owned()).filter(|words| !words.is_empty()));
    for run in one["syncs"].as_array().into_iter().flatten().take(10) {
        lines.push(format!(
            "{}  {}  {} seen, {} new, {} changed, {} gone, {} failed",
            moment(run, "began_at"),
            word(run, "state"),
            run["seen"],
            run["new"],
            run["changed"],
            run["gone"],
            run["failed"],
        ));
    }
    lines
}
