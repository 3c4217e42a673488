//! `hq stream …`: groups of tasks with one goal.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use kernel::{Hue, ProofMode, StreamKind};

use super::Common;
use super::agents::{items, word};
use super::commands::print;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{handle, listed, one_of, part, pick, query, quoted};

/// `hq stream …`
#[derive(Subcommand)]
pub enum Command {
    /// List streams with their progress
    List {
        /// Only archived ones
        #[arg(long)]
        archived: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Show a stream: goal, lead and open tasks
    Show(Which),
    /// Create a stream
    Add {
        /// The name
        name: String,
        #[command(flatten)]
        fields: Fields,
        #[command(flatten)]
        place: Place,
    },
    /// Change a stream; none clears the lead or the target date
    Edit {
        #[command(flatten)]
        which: Which,
        /// The name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Archive a stream
    Archive(Which),
    /// Restore an archived stream
    Restore(Which),
}

/// Which stream.
#[derive(Args)]
pub struct Which {
    /// Its name, or its id
    stream: String,
    #[command(flatten)]
    place: Place,
}

/// What a stream has.
#[derive(Args)]
pub struct Fields {
    /// A description, in one line
    #[arg(long)]
    description: Option<String>,
    /// The goal, in Markdown
    #[arg(long)]
    goal: Option<String>,
    /// A slug, a handle, me, or none
    #[arg(long)]
    lead: Option<String>,
    /// A day (2026-12-24), or none
    #[arg(long, value_name = "DAY")]
    target: Option<String>,
    /// The kind of stream
    #[arg(long, value_parser = one_of(StreamKind::ALL.iter().map(|one| one.word())))]
    kind: Option<String>,
    /// Whether agents must give evidence with finished work
    #[arg(long, value_parser = one_of(ProofMode::ALL.iter().map(|one| one.word())))]
    proof: Option<String>,
    /// Its colour
    #[arg(long, value_parser = one_of(Hue::ALL.iter().map(|one| one.word())))]
    colour: Option<String>,
    /// One emoji
    #[arg(long)]
    icon: Option<String>,
}

impl Fields {
    /// The JSON body of the given fields. `none` is omitted for a new stream, and becomes `null` for a change.
    fn body(self, is_new: bool) -> Map<String, Value> {
        let mut body = Map::new();
        let kept = [
            ("description", self.description),
            ("goal", self.goal),
            ("kind", self.kind),
            ("proof", self.proof),
            ("colour", self.colour),
            ("icon", self.icon),
        ];
        for (name, value) in kept {
            body.extend(value.map(|value| (name.to_owned(), Value::String(value))));
        }
        for (name, value) in [("lead", self.lead), ("target_date", self.target)] {
            let value = value.filter(|value| !(is_new && value == "none"));
            body.extend(value.map(|value| (name.to_owned(), or_null(value))));
        }
        body
    }
}

fn or_null(text: String) -> Value {
    if text == "none" { Value::Null } else { Value::String(text) }
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { archived, place } => {
            let params = query(&[("archived", archived.then_some("true"))]);
            let ask = Ask::get(format!("/api/v1/streams{params}"));
            let all = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &all, &listed(&all, row, "No streams."))
        }
        Command::Show(which) => show(common, door, &which).await,
        Command::Add { name, fields, place } => {
            let mut body = fields.body(true);
            body.insert("name".to_owned(), Value::String(name));
            let body = Value::Object(body);
            let ask = Ask::post("/api/v1/streams", &body).within(place.workspace.as_ref());
            let stream = door.call(ask).await?;
            print(common, &stream, &[line(&stream)])
        }
        Command::Edit { which, name, fields } => {
            let mut body = fields.body(false);
            body.extend(name.map(|name| ("name".to_owned(), Value::String(name))));
            if body.is_empty() {
                return Err(CommandError::Failed(
                    "say what to change; see `hq stream edit --help`".to_owned(),
                ));
            }
            change(common, door, &which, &Value::Object(body)).await
        }
        Command::Archive(which) => change(common, door, &which, &json!({ "archived": true })).await,
        Command::Restore(which) => {
            // The API resolves names of unarchived streams only, and another one may have this name by now.
            let place = which.place;
            let ask = Ask::get("/api/v1/streams?archived=true").within(place.workspace.as_ref());
            let all = door.call(ask).await?;
            let noun = ("archived stream", "hq stream list --archived");
            let one = pick(&all, &which.stream, noun, |one| vec![word(one, "name")])?;
            let which = Which { stream: word(one, "id").to_owned(), place };
            change(common, door, &which, &json!({ "archived": false })).await
        }
    }
}

impl Which {
    fn path(&self) -> String {
        format!("/api/v1/streams/{}", part(&self.stream))
    }
}

async fn change(
    common: &Common,
    door: &Door,
    which: &Which,
    body: &Value,
) -> Result<u8, CommandError> {
    let ask = Ask::patch(which.path(), body).within(which.place.workspace.as_ref());
    let stream = door.call(ask).await?;
    print(common, &stream, &[line(&stream)])
}

async fn show(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let workspace = which.place.workspace.as_ref();
    let stream = door.call(Ask::get(which.path()).within(workspace)).await?;
    let params = query(&[
        ("stream", Some(word(&stream, "id"))),
        ("status", Some("open")),
        ("limit", Some("25")),
    ]);
    let tasks = door.call(Ask::get(format!("/api/v1/tasks{params}")).within(workspace)).await?;
    let mut lines = vec![line(&stream)];
    let about = [word(&stream, "description"), word(&stream, "goal")];
    lines.extend(about.into_iter().filter(|text| !text.is_empty()).map(str::to_owned));
    lines.push(String::new());
    let rows: Vec<Vec<String>> = items(&tasks).iter().map(super::tasks::row).collect();
    lines.extend(super::commands::or_none(super::show::table(&rows), "No open tasks."));
    if tasks["next"].is_string() {
        let name = word(&stream, "name");
        lines.push(format!("More: hq task list 'stream:{}'", quoted(name)));
    }
    print(common, &json!({ "stream": stream, "tasks": tasks["items"] }), &lines)
}

/// The progress: "3 of 8 done".
fn progress(stream: &Value) -> String {
    let count = |key: &str| stream["tasks"][key].as_u64().unwrap_or_default();
    let open = ["todo", "in_progress", "blocked", "missed"].map(count).iter().sum::<u64>();
    format!("{} of {} done", count("done"), open + count("done"))
}

fn row(stream: &Value) -> Vec<String> {
    let target = match word(stream, "target_date") {
        "" => "-",
        day => day,
    };
    vec![progress(stream), handle(&stream["lead"]), target.to_owned(), quoted(word(stream, "name"))]
}

/// ""Launch" · 3 of 8 done · led by ada · until 2026-12-24 · archived".
fn line(stream: &Value) -> String {
    let mut words = vec![quoted(word(stream, "name")), progress(stream)];
    let lead = word(&stream["lead"], "handle");
    words.extend((!lead.is_empty()).then(|| format!("led by {lead}")));
    let target = word(stream, "target_date");
    words.extend((!target.is_empty()).then(|| format!("until {target}")));
    words.extend(stream["archived_at"].is_string().then(|| "archived".to_owned()));
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::line;

    #[test]
    fn a_stream_is_printed_in_one_line() {
        let mut stream = json!({
            "name": "Launch", "lead": { "handle": "ada" }, "target_date": "2026-12-24",
            "tasks": { "todo": 4, "in_progress": 1, "blocked": 0, "done": 3, "cancelled": 2, "missed": 0 },
        });
        assert_eq!(line(&stream), "\"Launch\" · 3 of 8 done · led by ada · until 2026-12-24");
        stream["archived_at"] = json!("2026-11-20T09:00:00Z");
        assert!(line(&stream).ends_with("archived"));
    }
}
