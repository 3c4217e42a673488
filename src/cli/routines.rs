//! `hq routine …`: what begins by itself.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use web::format;

use super::Common;
use super::agents::{items, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{listed, moment, pick, quoted, short};
use super::written::Edit;

mod add;

use add::Add;

/// What such fields look like.
const EXAMPLE: &str = r#"Example of flags:
  hq routine add --agent ada --cron "0 9 * * 1-5" --message "Look at what is due."
Example of a file:
  {"agent": "ada", "name": "Morning look", "instruction": "Look at what is due.",
   "schedule": {"cadence_type": "weekdays", "time_of_day": "09:00"}}"#;

/// `hq routine …`
#[derive(Subcommand)]
pub enum Command {
    /// List routines: schedule and state
    List {
        /// Only this agent's
        #[arg(long, value_name = "AGENT")]
        agent: Option<String>,
        /// Only one-off routines that are done and put away
        #[arg(long)]
        done: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show one routine: trigger, action and next run
    Show(Which),
    /// Test a routine: its conditions, what the agent would read, the next times; starts and costs nothing
    Test {
        #[command(flatten)]
        which: Which,
        /// The task or agent of the simulated event
        #[arg(long, value_name = "RECORD", default_value = "")]
        with: String,
    },
    /// Run a routine now
    Run {
        #[command(flatten)]
        which: Which,
        /// The task or agent of the simulated event
        #[arg(long, value_name = "RECORD", default_value = "")]
        with: String,
    },
    /// Pause a routine, or all with --all
    #[command(alias = "disable")]
    Pause(WhichOrAll),
    /// Resume a routine, or all with --all
    #[command(alias = "enable")]
    Resume(WhichOrAll),
    /// List the runs of a routine, newest first
    #[command(alias = "runs")]
    History(Which),
    /// Create a routine from flags, or from a file with the fields of POST /api/v1/routines
    #[command(after_help = EXAMPLE, alias = "create")]
    Add(Box<Add>),
    /// Change the fields in the JSON; null clears one
    Edit(Edit<Which>),
    /// Delete a routine; its runs and tasks stay
    #[command(aliases = ["rm", "delete"])]
    Remove(Which),
}

/// Which routine.
#[derive(Args)]
pub struct Which {
    /// Its name, its id, or the end of it
    routine: String,
    #[command(flatten)]
    place: Place,
}

/// Which routine, or all.
#[derive(Args)]
pub struct WhichOrAll {
    /// Its name, its id, or the end of it
    #[arg(required_unless_present = "all")]
    routine: Option<String>,
    /// All routines
    #[arg(long, conflicts_with = "routine")]
    all: bool,
    #[command(flatten)]
    place: Place,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { agent, done, place } => {
            let mut path = format!("/api/v1/routines?done={done}");
            if let Some(agent) = &agent {
                path.push_str(&format!("&agent={}", format::query_value(agent)));
            }
            let all = door.call(Ask::get(path).within(place.workspace.as_ref())).await?;
            print(common, &all, &listed(&all, row, "No routines yet."))
        }
        Command::Show(which) => show(common, door, &which).await,
        Command::Test { which, with } => {
            let path = path(door, &which.routine, &which.place).await?;
            let body = json!({ "record": with });
            let ask = Ask::post(format!("{path}/test"), &body);
            let trial = door.call(ask.within(which.place.workspace.as_ref())).await?;
            print(common, &trial, &trial_words(&trial))
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
            let lines = items(&past).iter().map(fired_words).collect();
            print(common, &past, &or_none(lines, "No runs yet."))
        }
        Command::Add(new) => {
            let body = Value::Object(new.fields()?);
            let ask = Ask::post("/api/v1/routines", &body).within(new.place.workspace.as_ref());
            let routine = door.call(ask).await?;
            print(common, &routine, &[line(&routine)])
        }
        Command::Edit(Edit { which, fields }) => {
            let fields = fields.read()?;
            let old = find(door, &which.routine, &which.place).await?;
            // The API takes a routine whole: what the file does not name stays as it is.
            let mut body = old["routine"].clone();
            for (name, value) in fields {
                body[name] = value;
            }
            let ask = Ask::put(address(&old), &body).within(which.place.workspace.as_ref());
            let routine = door.call(ask).await?;
            print(common, &routine, &[line(&routine)])
        }
        Command::Remove(which) => {
            let old = find(door, &which.routine, &which.place).await?;
            door.call(Ask::delete(address(&old)).within(which.place.workspace.as_ref())).await?;
            let name = quoted(word(&old["routine"], "name"));
            print(common, &old, &[format!("Deleted {name}.")])
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
        let message = if pause { "all routines are paused" } else { "routines run again from now" };
        return print(common, &rules, &[message.to_owned()]);
    };
    let path = path(door, name, &which.place).await?;
    let verb = if pause { "pause" } else { "resume" };
    let body = json!({});
    let ask = Ask::post(format!("{path}/{verb}"), &body).within(workspace);
    let routine = door.call(ask).await?;
    print(common, &routine, &[line(&routine)])
}

/// ""Morning look" · ready · Weekdays at 9:00, Europe/Berlin · next 2026-11-23T08:00:00Z".
fn line(routine: &Value) -> String {
    let name = quoted(word(&routine["routine"], "name"));
    let next = match word(routine, "next_at") {
        "" => String::new(),
        at => format!(" · next {at}"),
    };
    format!("{name} · {} · {}{next}", word(routine, "state"), word(routine, "sentence"))
}

/// "2026-11-23T08:00:00Z · schedule · done".
fn fired_words(fired: &Value) -> String {
    let mut words = vec![
        word(fired, "at").to_owned(),
        word(fired, "by").to_owned(),
        word(fired, "state").to_owned(),
    ];
    for key in ["subject", "task", "why"] {
        words.extend(Some(word(fired, key).to_owned()).filter(|text| !text.is_empty()));
    }
    words.join(" · ")
}

/// The routine with this name or id; one that is put away, if no other is meant.
async fn find(door: &Door, name: &str, place: &Place) -> Result<Value, CommandError> {
    let noun = ("routine", "hq routine list");
    let listed = |done: bool| Ask::get(format!("/api/v1/routines?done={done}"));
    let all = door.call(listed(false).within(place.workspace.as_ref())).await?;
    let error = match pick(&all, name, noun, names) {
        Ok(found) => return Ok(found.clone()),
        Err(error) => error,
    };
    // The name of several is none of those that are put away.
    if items(&all).iter().any(|one| names(one)[0].eq_ignore_ascii_case(name)) {
        return Err(error);
    }
    let done = door.call(listed(true).within(place.workspace.as_ref())).await?;
    pick(&done, name, noun, names).cloned().map_err(|_| error)
}

fn names(routine: &Value) -> Vec<&str> {
    vec![word(&routine["routine"], "name")]
}

/// The address of the routine with this name or id.
async fn path(door: &Door, name: &str, place: &Place) -> Result<String, CommandError> {
    find(door, name, place).await.map(|routine| address(&routine))
}

fn address(routine: &Value) -> String {
    format!("/api/v1/routines/{}", word(routine, "id"))
}

/// A routine in a list: "ab12cd34  ready  2026-11-23T08:00:00Z  "Morning look" · Weekdays at 9:00".
fn row(routine: &Value) -> Vec<String> {
    let name = quoted(word(&routine["routine"], "name"));
    vec![
        short(word(routine, "id")).to_owned(),
        word(routine, "state").to_owned(),
        moment(routine, "next_at"),
        format!("{name} · {}", word(routine, "sentence")),
    ]
}

/// A routine with what it does.
async fn show(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let path = path(door, &which.routine, &which.place).await?;
    let routine = door.call(Ask::get(path).within(which.place.workspace.as_ref())).await?;
    let wish = &routine["routine"];
    let mut lines = vec![line(&routine)];
    // Said where it is another moment than that of the schedule.
    let fires = Some(word(&routine, "fires_at")).filter(|at| *at != word(&routine, "next_at"));
    let fires = fires.unwrap_or_default().to_owned();
    let runs = routine["runs"].as_u64().unwrap_or_default();
    let pairs = [
        ("Agent", word(wish, "agent").to_owned()),
        ("Stopped", word(&routine, "stopped").to_owned()),
        ("Fires", fires),
        ("Done", word(&routine, "done_at").to_owned()),
        ("Last", word(&routine, "last_at").to_owned()),
        ("Started", format::count(runs, "run or task", "runs and tasks")),
        ("Task", word(&wish["task"], "title").to_owned()),
    ];
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    lines.extend(pairs.map(|(name, value)| format!("{name}: {value}")));
    let written = routine["writing"].as_array().into_iter().flatten();
    lines.extend(written.map(|one| {
        let (task, at) = (word(one, "task"), word(one, "fires_at"));
        format!("Text is being edited: {task} triggers a run {at} unless it changes again")
    }));
    let instruction = word(wish, "instruction");
    if !instruction.is_empty() {
        lines.extend([String::new(), instruction.to_owned()]);
    }
    print(common, &routine, &lines)
}

/// What would happen.
fn trial_words(trial: &Value) -> Vec<String> {
    let fires = trial["fires"] == true;
    let mut lines = vec![if fires { "It would run." } else { "It would not run." }.to_owned()];
    for one in trial["conditions"].as_array().into_iter().flatten() {
        let holds = if one["holds"] == true { "true" } else { "not true" };
        let (words, found) = (word(one, "words"), quoted(word(one, "found")));
        lines.push(format!("{words}: {holds}, it is {found}"));
    }
    let title = word(trial, "title");
    lines.extend((!title.is_empty()).then(|| format!("Creates the task {}", quoted(title))));
    let held = word(trial, "held_until");
    lines.extend((!held.is_empty()).then(|| format!("Its work would wait until {held}")));
    let next = trial["next"].as_array().into_iter().flatten();
    let within = match word(trial, "within") {
        "" => String::new(),
        length => format!(", within {length} after"),
    };
    lines.extend(next.filter_map(Value::as_str).map(|at| format!("Next: {at}{within}")));
    let instruction = word(trial, "instruction");
    if !instruction.is_empty() {
        lines.extend([String::new(), instruction.to_owned()]);
    }
    lines
}
