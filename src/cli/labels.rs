//! `hq label …`: the labels of tasks, contacts, organizations and records.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use kernel::Colour;

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, part, quoted};

/// `hq label …`
#[derive(Subcommand)]
pub enum Command {
    /// All labels
    List(Place),
    /// Make a label
    Add {
        /// What it is called
        name: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        place: Place,
    },
    /// Change a label
    Edit {
        #[command(flatten)]
        which: Which,
        /// What it is called
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Make a label one with another: whatever has it gets the other
    Merge {
        #[command(flatten)]
        which: Which,
        /// The label that stays
        #[arg(long)]
        into: String,
    },
    /// Delete a label; it goes from everything that has it
    Remove(Which),
}

/// Which label.
#[derive(Args)]
pub struct Which {
    /// Its name, or its id
    label: String,
    #[command(flatten)]
    place: Place,
}

/// What a label has.
#[derive(Args)]
pub struct Fields {
    /// Its colour: a name such as blue, a word from c1 to c12, or any other as #1f7a5c; one that follows
    /// from the name when none is given
    #[arg(long)]
    colour: Option<Colour>,
    /// What it means
    #[arg(long)]
    description: Option<String>,
}

impl Fields {
    fn body(self, name: Option<String>) -> Map<String, Value> {
        let colour = self.colour.map(|colour| colour.to_string());
        let all = [("name", name), ("colour", colour), ("description", self.description)];
        let given = all.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.map(|(name, value)| (name, Value::String(value))).collect()
    }
}

impl Which {
    fn path(&self) -> String {
        format!("/api/v1/labels/{}", part(&self.label))
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => {
            let ask = Ask::get("/api/v1/labels").within(place.workspace.as_ref());
            let all = door.call(ask).await?;
            print(common, &all, &listed(&all, row, "No labels."))
        }
        Command::Add { name, fields, place } => {
            let body = Value::Object(fields.body(Some(name)));
            let ask = Ask::post("/api/v1/labels", &body).within(place.workspace.as_ref());
            let label = door.call(ask).await?;
            print(common, &label, &[line(&label)])
        }
        Command::Edit { which, name, fields } => {
            let body = fields.body(name);
            if body.is_empty() {
                let text = "say what to change: --name, --colour or --description";
                return Err(CommandError::Failed(text.to_owned()));
            }
            let body = Value::Object(body);
            let ask = Ask::patch(which.path(), &body).within(which.place.workspace.as_ref());
            let label = door.call(ask).await?;
            print(common, &label, &[line(&label)])
        }
        Command::Merge { which, into } => {
            let body = json!({ "into": into });
            let path = format!("{}/merge", which.path());
            let ask = Ask::post(path, &body).within(which.place.workspace.as_ref());
            let label = door.call(ask).await?;
            print(common, &label, &[line(&label)])
        }
        Command::Remove(which) => {
            let ask = Ask::delete(which.path()).within(which.place.workspace.as_ref());
            let label = door.call(ask).await?;
            print(common, &label, &[format!("{} is deleted.", quoted(word(&label, "name")))])
        }
    }
}

fn row(label: &Value) -> Vec<String> {
    let about = word(label, "description");
    let name = quoted(word(label, "name"));
    let last = if about.is_empty() { name } else { format!("{name} {about}") };
    vec![word(label, "colour").to_owned(), last]
}

/// ""launch" · blue · What goes out with the launch".
fn line(label: &Value) -> String {
    let (name, colour) = (quoted(word(label, "name")), word(label, "colour").to_owned());
    let words = [name, colour, word(label, "description").to_owned()];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}
