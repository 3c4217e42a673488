//! `hq agent upgrade …`: what agents could take over from their templates, and taking it over.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::Common;
use crate::commands::{or_none, print};
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::show::{part, query, table};

use super::{Named, items, word};

const NOTHING: &str = "Every agent is up to date with its template.";

/// `hq agent upgrade …`
#[derive(Subcommand)]
pub enum Command {
    /// List agents with an upgrade offer
    List(Place),
    /// Show an agent's upgrade offer, file by file
    Show {
        #[command(flatten)]
        of: Named,
        /// Another role template instead of its own
        #[arg(long)]
        template: Option<String>,
    },
    /// Apply the upgrade, in one commit
    Apply(Apply),
    /// Skip this version; the next one is offered again
    Dismiss(Named),
    /// Undo an upgrade; later changes stay
    Undo {
        #[command(flatten)]
        of: Named,
        /// The commit of the upgrade
        commit: String,
    },
}

/// Whose words stay where both have changed the same.
#[derive(Clone, Copy, ValueEnum)]
enum Side {
    /// The agent's
    Mine,
    /// The template's
    Template,
}

impl Side {
    fn word(self) -> &'static str {
        match self {
            Self::Mine => "mine",
            Self::Template => "template",
        }
    }
}

/// Flags of `hq agent upgrade apply`.
#[derive(Args)]
pub struct Apply {
    /// Its slug or id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    agent: Option<String>,
    /// All agents whose upgrade needs no choice
    #[arg(long, conflicts_with_all = ["template", "keep"])]
    all: bool,
    /// Another role template instead of its own
    #[arg(long)]
    template: Option<String>,
    /// Whose text to keep where both changed the same lines; without it, nothing is upgraded there
    #[arg(long, value_name = "WHOSE")]
    keep: Option<Side>,
    #[command(flatten)]
    place: Place,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => list(common, door, &place).await,
        Command::Show { of, template } => {
            let path = at(&of.agent, &query(&[("template", template.as_deref())]));
            let offer = door.call(Ask::get(path).within(of.place.workspace.as_ref())).await?;
            print(common, &offer, &describe(&offer))
        }
        Command::Apply(flags) if flags.all => apply_all(common, door, &flags.place).await,
        Command::Apply(flags) => apply(common, door, &flags).await,
        Command::Dismiss(of) => {
            let path = at(&of.agent, "/dismiss");
            let ask = Ask::post(path, &json!({})).within(of.place.workspace.as_ref());
            let offer = door.call(ask).await?;
            let name = word(&offer, "name");
            let line = format!("Skipped this version for {name}.");
            print(common, &offer, &[line])
        }
        Command::Undo { of, commit } => {
            let ask = Ask::post(at(&of.agent, "/undo"), &json!({ "commit": commit }));
            let back = door.call(ask.within(of.place.workspace.as_ref())).await?;
            let mut lines = vec![format!("Reverted {} to before the upgrade.", of.agent)];
            for (path, why) in back["kept"].as_object().into_iter().flatten() {
                lines.push(format!("  kept {path}: {}", why.as_str().unwrap_or_default()));
            }
            print(common, &back, &lines)
        }
    }
}

fn at(agent: &str, below: &str) -> String {
    format!("/api/v1/agents/{}/upgrade{below}", part(agent))
}

async fn list(common: &Common, door: &Door, place: &Place) -> Result<u8, CommandError> {
    let ask = Ask::get("/api/v1/agent-upgrades").within(place.workspace.as_ref());
    let all = door.call(ask).await?;
    let row = |offer: &Value| {
        let choice = if offer["clean"] == true { "no choice needed" } else { "needs a choice" };
        let at = word(&offer["to"], "at").get(..10).unwrap_or_default();
        let template = format!("{} of {at}", word(&offer["to"], "template"));
        vec![word(offer, "agent").to_owned(), template, choice.to_owned()]
    };
    let rows: Vec<Vec<String>> = items(&all).iter().map(row).collect();
    print(common, &all, &or_none(table(&rows), NOTHING))
}

/// An offer, a file a line, and where somebody chooses both words.
fn describe(offer: &Value) -> Vec<String> {
    let rows = |key: &str| offer[key].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines = Vec::new();
    for file in rows("files") {
        lines.push(format!("{:<8}  {}", word(file, "fate"), word(file, "path")));
        for place in file["places"].as_array().into_iter().flatten() {
            for (sign, key) in [("<", "mine"), (">", "template")] {
                lines.extend(
                    word(place, key).lines().map(|line| format!("          {sign} {line}")),
                );
            }
        }
    }
    for one in rows("words") {
        let (field, before, after) = (word(one, "field"), word(one, "before"), word(one, "after"));
        lines.push(format!("{field}: {before} -> {after}"));
    }
    if offer["dismissed"] == true {
        lines.push("This version was skipped; you can still apply it.".to_owned());
    }
    let (name, template) = (word(offer, "name"), word(&offer["to"], "template"));
    or_none(lines, &format!("{name} is up to date with its template ({template})."))
}

async fn apply(common: &Common, door: &Door, flags: &Apply) -> Result<u8, CommandError> {
    let agent = flags.agent.as_deref().unwrap_or_default();
    let body = json!({ "template": flags.template, "rest": flags.keep.map(Side::word) });
    let ask = Ask::post(at(agent, ""), &body).within(flags.place.workspace.as_ref());
    let taken = door.call(ask).await?;
    let mut lines: Vec<String> = taken["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let commit = word(&taken, "commit");
    lines.push(format!("Upgraded. To undo it: `hq agent upgrade undo {agent} {commit}`"));
    print(common, &taken, &lines)
}

async fn apply_all(common: &Common, door: &Door, place: &Place) -> Result<u8, CommandError> {
    let ask = Ask::post("/api/v1/agent-upgrades", &json!({})).within(place.workspace.as_ref());
    let done = door.call(ask).await?;
    let mut lines: Vec<String> =
        items(&done).iter().map(|one| format!("Upgraded {}.", word(one, "agent"))).collect();
    for one in done["refused"].as_array().into_iter().flatten() {
        lines.push(format!("Did not upgrade {}: {}", word(one, "agent"), word(one, "why")));
    }
    print(common, &done, &or_none(lines, NOTHING))
}
