//! `hq onboarding …`: how far the set-up of a workspace is, what the workspace is for, and the end of the set-up.

use clap::Subcommand;
use serde_json::{Value, json};

use super::Common;
use super::agents::word;
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::quoted;

const ONBOARDING: &str = "/api/v1/onboarding";

/// `hq onboarding …`
#[derive(Subcommand)]
pub enum Command {
    /// Show the progress of the set-up
    Show(Place),
    /// Set the workspace's purpose; streams are created for it, and existing ones stay
    Choose {
        /// reach, outreach, run, hire, publish, research, organized or explore
        work: String,
        #[command(flatten)]
        place: Place,
    },
    /// End the set-up for good
    Finish(Place),
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    let (ask, place) = match command {
        Command::Show(place) => (Ask::get(ONBOARDING), place),
        Command::Choose { work, place } => {
            (Ask::patch(ONBOARDING, &json!({ "intent": work })), place)
        }
        Command::Finish(place) => (Ask::patch(ONBOARDING, &json!({ "done": true })), place),
    };
    let now = door.call(ask.within(place.workspace.as_ref())).await?;
    print(common, &now, &lines(&now))
}

fn lines(now: &Value) -> Vec<String> {
    let mut lines = vec![match now["open"].as_bool() {
        Some(true) => format!("The set-up is at the step {}.", quoted(word(now, "step"))),
        _ => "The set-up is over.".to_owned(),
    }];
    if let Some(intent) = now["intent"].as_str() {
        let streams = now["streams"].as_array().into_iter().flatten();
        let names: Vec<String> = streams.map(|one| quoted(word(one, "name"))).collect();
        let made = if names.is_empty() { "no streams".to_owned() } else { names.join(", ") };
        lines.push(format!("Purpose: {}. Created: {made}.", quoted(intent)));
    }
    lines
}
