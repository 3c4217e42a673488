//! `hq agent drafts …`: what programs of agents have made of the files that say who those are, and what becomes of it.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Common;
use crate::commands::{or_none, print};
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::show::part;

use super::{items, word};

/// `hq agent drafts …`
#[derive(Subcommand)]
pub enum Command {
    /// List all drafts, with the lines before and after
    List(Place),
    /// Accept a draft: replace the file with it
    Accept(OfDraft),
    /// Refuse a draft: the file stays unchanged
    Refuse(OfDraft),
}

/// Which draft.
#[derive(Args)]
pub struct OfDraft {
    /// The agent's slug or id
    agent: String,
    /// The file, such as SOUL.md
    file: String,
    #[command(flatten)]
    place: Place,
}

impl OfDraft {
    fn address(&self) -> String {
        format!("/api/v1/agents/{}/drafts/{}", part(&self.agent), part(&self.file))
    }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => {
            let all = all(door, &place).await?;
            let lines: Vec<String> = items(&all).iter().flat_map(describe).collect();
            print(common, &all, &or_none(lines, "No drafts."))
        }
        Command::Accept(of) => {
            let all = all(door, &of.place).await?;
            let is_meant = |one: &&Value| {
                [word(one, "agent_slug"), word(one, "agent")].contains(&of.agent.as_str())
                    && word(one, "file") == of.file
            };
            let found = items(&all).iter().find(is_meant);
            let hash = found.and_then(|one| one["hash"].as_str()).ok_or_else(|| {
                let message = format!("{} has no draft of {} to accept", of.agent, of.file);
                CommandError::Refused(message)
            })?;
            let ask = Ask::post(format!("{}/accept", of.address()), &json!({ "hash": hash }));
            let done = door.call(ask.within(of.place.workspace.as_ref())).await?;
            print(common, &done, &[format!("Accepted the draft of {}.", of.file)])
        }
        Command::Refuse(of) => {
            let ask = Ask::delete(of.address()).within(of.place.workspace.as_ref());
            let done = door.call(ask).await?;
            print(common, &done, &[format!("Refused the draft of {}.", of.file)])
        }
    }
}

async fn all(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get("/api/v1/drafts").within(place.workspace.as_ref())).await
}

/// A draft: whose it is and what made it, then its lines.
fn describe(draft: &Value) -> Vec<String> {
    let mut head = format!("{} · {}", word(draft, "agent_slug"), word(draft, "file"));
    for key in ["run", "program"] {
        match word(draft, key) {
            "" => {}
            text => head.push_str(&format!(" · {text}")),
        }
    }
    let mut lines = vec![head];
    match draft["text"].is_string() {
        true => lines.extend(word(draft, "diff").lines().map(|line| format!("  {line}"))),
        false => lines.push("  not text, or too long to show".to_owned()),
    }
    lines
}
