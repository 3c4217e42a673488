//! `hq routine …`: what begins by itself.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;

/// `hq routine …`
#[derive(Subcommand)]
pub enum Command {
    /// All routines: when each fires, and how it stands
    List {
        /// Of this agent only
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        #[command(flatten)]
        place: Place,
    },
    /// Let one fire now
    Run {
        #[command(flatten)]
        which: Which,
        /// With this task or agent, as if the event had happened to it
        #[arg(long, value_name = "RECORD", default_value = "")]
        with: String,
    },
    /// Let one stand still, or all of them with --all
    Pause(WhichOrAll),
    /// Let one go on from now, or all of them with --all
    Resume(WhichOrAll),
    /// What became of the times and events of one, newest first
    History(Which),
}

/// Which routine.
#[derive(Args)]
pub struct Which {
    /// Its name, or its id
    routine: String,
    #[command(flatten)]
    place: Place,
}

/// Which routine, or all.
#[derive(Args)]
pub struct WhichOrAll {
    /// Its name, or its id
    #[arg(required_unless_present = "all")]
    routine: Option<String>,
    /// All of them
    #[arg(long, conflicts_with = "routine")]
    all: bool,
    #[command(flatten)]
    place: Place,
}

/// Runs one of them.
///
/// # Errors
/// What was refused, or that nobody answers.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { agent, place } => {
            let path = match &agent {
                Some(agent) => {
                    format!("/api/v1/routines?agent={}", crate::web::format::query_value(agent))
                }
                None => "/api/v1/routines".to_owned(),
            };
            let all = door.call(Ask::get(path).within(place.workspace.as_ref())).await?;
            let lines = items(&all).map(line).collect();
            print(common, &all, &or_none(lines, "No routines yet."))
        }
        Command::Run { which, with } => {
            let path = path(door, &which.routine, &which.place).await?;
            let body = json!({ "record": with });
            let ask = Ask::post(format!("{path}/run"), &body);
            let fired = door.call(ask.within(which.place.workspace.as_ref())).await?;
            print(common, &fired, &[fired_words(&fired)])
        }
        Command::Pause(which) => stand(common, door, which, true).await,
        Command::Resume(which) => stand(common, door, which, false).await,
        Command::History(which) => {
            let path = path(door, &which.routine, &which.place).await?;
            let ask = Ask::get(format!("{path}/runs"));
            let past = door.call(ask.within(which.place.workspace.as_ref())).await?;
            let lines = items(&past).map(fired_words).collect();
            print(common, &past, &or_none(lines, "It has not fired yet."))
        }
    }
}

async fn stand(
    common: &Common,
    door: &Door,
    which: WhichOrAll,
    pause: bool,
) -> Result<u8, CommandError> {
    let workspace = which.place.workspace.as_ref();
    let Some(name) = &which.routine else {
        let body = json!({ "paused": pause });
        let ask = Ask::patch("/api/v1/routines/rules", &body).within(workspace);
        let rules = door.call(ask).await?;
        let said = if pause { "no routine fires now" } else { "routines go on from now" };
        return print(common, &rules, &[said.to_owned()]);
    };
    let path = path(door, name, &which.place).await?;
    let verb = if pause { "pause" } else { "resume" };
    let body = json!({});
    let ask = Ask::post(format!("{path}/{verb}"), &body).within(workspace);
    let routine = door.call(ask).await?;
    print(common, &routine, &[line(&routine)])
}

fn items(all: &Value) -> impl Iterator<Item = &Value> {
    all["items"].as_array().into_iter().flatten()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// "Morning look · ready · Weekdays at 9:00, Europe/Berlin · next 2026-11-23T08:00:00Z".
fn line(routine: &Value) -> String {
    let name = text(&routine["routine"], "name");
    let next = match text(routine, "next_at") {
        "" => String::new(),
        at => format!(" · next {at}"),
    };
    format!("{name} · {} · {}{next}", text(routine, "state"), text(routine, "sentence"))
}

/// "2026-11-23T08:00:00Z · schedule · done".
fn fired_words(fired: &Value) -> String {
    let mut words = vec![
        text(fired, "at").to_owned(),
        text(fired, "by").to_owned(),
        text(fired, "state").to_owned(),
    ];
    for key in ["subject", "task", "why"] {
        words.extend(Some(text(fired, key).to_owned()).filter(|text| !text.is_empty()));
    }
    words.join(" · ")
}

/// The address of the routine with this name or id.
async fn path(door: &Door, name: &str, place: &Place) -> Result<String, CommandError> {
    let ask = Ask::get("/api/v1/routines").within(place.workspace.as_ref());
    let all = door.call(ask).await?;
    let meant = |one: &&Value| {
        text(one, "id") == name || text(&one["routine"], "name").eq_ignore_ascii_case(name)
    };
    let mut found = items(&all).filter(meant);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(format!("/api/v1/routines/{}", text(one, "id"))),
        (Some(_), Some(_)) => Err(CommandError::Refused(format!(
            "several routines are called {name}; give the id (`hq routine list --json`)"
        ))),
        (None, _) => Err(CommandError::Refused(format!(
            "there is no routine {name}; `hq routine list` shows all"
        ))),
    }
}
