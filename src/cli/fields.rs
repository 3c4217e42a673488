//! `hq field …`: fields of contacts, organizations and collections, and the kinds of their values.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::rows::One;
use super::show::{listed, one_of, part, query, quoted};

/// `hq field …`
#[derive(Subcommand)]
pub enum Command {
    /// List the fields of contacts, organizations or a collection
    List(Of),
    /// Create a field
    Add {
        /// The name
        label: String,
        /// The kind of its values
        #[arg(long, default_value = "text", value_parser = one_of(entity::Kind::ALL.iter().map(|one| one.word())))]
        kind: String,
        /// Its choices, separated by commas
        #[arg(long)]
        choices: Option<String>,
        #[command(flatten)]
        of: Of,
    },
    /// Convert a field to text, number, date or select
    Kind {
        /// Its key
        key: String,
        /// The kind of its values
        #[arg(value_parser = one_of(entity::Kind::CONVERTIBLE.iter().map(|one| one.word())))]
        kind: String,
        /// Only show what would happen to the values
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        of: Of,
    },
    /// Show the progress of a conversion
    Conversion(One),
    /// Undo a conversion; later changes by others stay
    Undo(One),
    /// Redo a conversion that was undone
    Redo(One),
    /// Remove a field that you added
    Remove {
        /// Its key
        key: String,
        #[command(flatten)]
        of: Of,
    },
}

/// Whose fields.
#[derive(Args)]
pub struct Of {
    /// contacts, organizations, or a collection's name
    #[arg(long, default_value = "contacts")]
    of: String,
    #[command(flatten)]
    place: Place,
}

/// Runs a command of fields.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    let params_for = |of: &Of| query(&[("of", Some(of.of.as_str()))]);
    match command {
        Command::List(of) => {
            let ask = Ask::get(format!("/api/v1/fields{}", params_for(&of)));
            let all = door.call(ask.within(of.place.workspace.as_ref())).await?;
            print(common, &all, &listed(&all, field_row, "No fields."))
        }
        Command::Add { label, kind, choices, of } => {
            let choices = choices.map(|text| {
                let labels = text.split(',').map(str::trim).filter(|one| !one.is_empty());
                labels.map(|label| json!({ "label": label })).collect::<Vec<_>>()
            });
            let body = json!({ "label": label, "kind": kind, "choices": choices });
            let ask = Ask::post(format!("/api/v1/fields{}", params_for(&of)), &body);
            let made = door.call(ask.within(of.place.workspace.as_ref())).await?;
            print(common, &made, &[field_row(&made).join("  ")])
        }
        Command::Kind { key, kind, dry_run, of } => {
            let body = json!({ "kind": kind, "dry_run": dry_run });
            let path = format!("/api/v1/fields/{}/kind{}", part(&key), params_for(&of));
            let ask = Ask::post(path, &body).within(of.place.workspace.as_ref());
            let done = door.call(ask).await?;
            print(common, &done, &conversion_lines(&done))
        }
        Command::Conversion(one) => {
            let path = format!("/api/v1/conversions/{}", part(&one.which));
            let ask = Ask::get(path).within(one.place.workspace.as_ref());
            let shown = door.call(ask).await?;
            print(common, &shown, &conversion_lines(&shown))
        }
        Command::Undo(one) => turned(common, door, (&one, "undo")).await,
        Command::Redo(one) => turned(common, door, (&one, "redo")).await,
        Command::Remove { key, of } => {
            let ask = Ask::delete(format!("/api/v1/fields/{}{}", part(&key), params_for(&of)));
            let gone = door.call(ask.within(of.place.workspace.as_ref())).await?;
            print(common, &gone, &[format!("Removed {key}.")])
        }
    }
}

/// Takes a conversion back or restores it, and waits for the end.
async fn turned(
    common: &Common,
    door: &Door,
    (one, verb): (&One, &str),
) -> Result<u8, CommandError> {
    let at = format!("/api/v1/conversions/{}", part(&one.which));
    let workspace = one.place.workspace.as_ref();
    let mut now =
        door.call(Ask::post(format!("{at}/{verb}"), &json!({})).within(workspace)).await?;
    while ["undoing", "redoing"].contains(&word(&now, "state")) {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        now = door.call(Ask::get(at.as_str()).within(workspace)).await?;
    }
    print(common, &now, &conversion_lines(&now))
}

/// What became of the values of a field, with examples of what differs.
fn conversion_lines(one: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "{}: {} to {}, {}: {} unchanged, {} converted, {} lost",
        word(one, "field"),
        word(one, "from"),
        word(one, "to"),
        word(one, "state"),
        one["same"],
        one["converted"],
        one["lost"],
    )];
    if !word(one, "id").is_empty() {
        lines.push(format!("Conversion {}", word(one, "id")));
    }
    for key in ["converted_examples", "lost_examples"] {
        for example in one[key].as_array().into_iter().flatten() {
            lines.push(format!(
                "{}: {} → {}",
                quoted(word(example, "record")),
                quoted(word(example, "old")),
                word(example, "new")
            ));
        }
    }
    lines
}

/// A field as a row of a list: its key, its kind, its name.
pub(super) fn field_row(one: &Value) -> Vec<String> {
    vec![word(one, "key").to_owned(), word(one, "kind").to_owned(), quoted(word(one, "label"))]
}
