//! `hq series …`: recurring tasks.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::Common;
use super::agents::{items, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{handle, listed, moment, pick, quoted, short, table};
use super::written::{Edit, New};

/// How many turns are shown.
const TURNS: usize = 20;

/// What such fields look like.
const EXAMPLE: &str = r#"Example of a file:
  {"title": "Weekly report", "assignee": "ada",
   "schedule": {"cadence_type": "weekly", "days_of_week": [1], "time_of_day": "09:00"}}"#;

/// `hq series …`
#[derive(Subcommand)]
pub enum Command {
    /// List recurring tasks, the next one first
    List(Place),
    /// Show a recurring task and the tasks that it created, newest first
    Show(Which),
    /// Create a recurring task from the fields of POST /api/v1/series
    #[command(after_help = EXAMPLE)]
    Add(New),
    /// Change the fields in the JSON, for future tasks
    Edit(Edit<Which>),
    /// Delete a recurring task; the tasks that it created stay
    Remove(Which),
    /// Pause a recurring task
    Pause(Which),
    /// Resume a recurring task
    Resume(Which),
    /// Create the next task now; its date is then used up
    Spawn(Which),
}

/// Which recurring task.
#[derive(Args)]
pub struct Which {
    /// Its title, its id, or the end of it
    series: String,
    #[command(flatten)]
    place: Place,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(place) => {
            let all = all(door, &place).await?;
            print(common, &all, &listed(&all, row, "No recurring tasks."))
        }
        Command::Show(which) => show(common, door, &which).await,
        Command::Add(new) => {
            let series = new.make(door, "/api/v1/series").await?;
            print(common, &series, &[line(&series)])
        }
        Command::Edit(Edit { which, fields }) => {
            let body = Value::Object(fields.read()?);
            let path = path(door, &which).await?;
            let ask = Ask::patch(path, &body).within(which.place.workspace.as_ref());
            let series = door.call(ask).await?;
            print(common, &series, &[line(&series)])
        }
        Command::Remove(which) => {
            let series = find(door, &which).await?;
            let path = format!("/api/v1/series/{}", word(&series, "id"));
            door.call(Ask::delete(path).within(which.place.workspace.as_ref())).await?;
            print(common, &series, &[format!("Deleted {}.", quoted(word(&series, "title")))])
        }
        Command::Pause(which) => act(common, door, &which, "pause").await,
        Command::Resume(which) => act(common, door, &which, "resume").await,
        Command::Spawn(which) => {
            let (path, body) = (path(door, &which).await?, json!({}));
            let ask = Ask::post(format!("{path}/spawn"), &body);
            let task = door.call(ask.within(which.place.workspace.as_ref())).await?;
            print(common, &task, &[super::tasks::line(&task)])
        }
    }
}

async fn all(door: &Door, place: &Place) -> Result<Value, CommandError> {
    door.call(Ask::get("/api/v1/series").within(place.workspace.as_ref())).await
}

async fn find(door: &Door, which: &Which) -> Result<Value, CommandError> {
    let all = all(door, &which.place).await?;
    let noun = ("recurring task", "hq series list");
    pick(&all, &which.series, noun, |one| vec![word(one, "title")]).cloned()
}

/// The address of the one that is meant.
async fn path(door: &Door, which: &Which) -> Result<String, CommandError> {
    Ok(format!("/api/v1/series/{}", word(&find(door, which).await?, "id")))
}

async fn act(common: &Common, door: &Door, which: &Which, verb: &str) -> Result<u8, CommandError> {
    let (path, body) = (path(door, which).await?, json!({}));
    let ask = Ask::post(format!("{path}/{verb}"), &body).within(which.place.workspace.as_ref());
    let series = door.call(ask).await?;
    print(common, &series, &[line(&series)])
}

async fn show(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let workspace = which.place.workspace.as_ref();
    let path = path(door, which).await?;
    let series = door.call(Ask::get(path.as_str()).within(workspace)).await?;
    let turns = door.call(Ask::get(format!("{path}/occurrences")).within(workspace)).await?;
    let mut lines = vec![line(&series)];
    let about = word(&series, "description");
    lines.extend((!about.is_empty()).then(|| about.to_owned()));
    lines.push(String::new());
    let rows: Vec<Vec<String>> = items(&turns).iter().take(TURNS).map(turn).collect();
    lines.extend(super::commands::or_none(table(&rows), "No tasks yet."));
    print(common, &json!({ "series": series, "occurrences": turns["items"] }), &lines)
}

fn row(series: &Value) -> Vec<String> {
    vec![
        short(word(series, "id")).to_owned(),
        word(series, "state").to_owned(),
        moment(series, "next_occurrence_at"),
        handle(&series["assignee"]),
        format!("{} · {}", quoted(word(series, "title")), word(series, "words")),
    ]
}

/// "ab12cd34 · active · "Weekly report" · Every Monday · next 2026-11-23T08:00:00Z".
fn line(series: &Value) -> String {
    let mut words = vec![
        short(word(series, "id")).to_owned(),
        word(series, "state").to_owned(),
        quoted(word(series, "title")),
        word(series, "words").to_owned(),
    ];
    let next = word(series, "next_occurrence_at");
    words.extend(
        (!next.is_empty()).then(|| format!("next {}", moment(series, "next_occurrence_at"))),
    );
    words.join(" · ")
}

/// A turn that was used: when it was, the task, and where that stands.
fn turn(slot: &Value) -> Vec<String> {
    let task = match word(slot, "task") {
        "" => "task deleted",
        key => key,
    };
    vec![moment(slot, "occurrence_at"), task.to_owned(), word(slot, "status").replace('_', " ")]
}
