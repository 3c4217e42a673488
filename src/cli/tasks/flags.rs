//! What `hq task …` takes.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use crate::operate::Place;
use crate::show::one_of;
use kernel::vocab::UnknownWord;
use kernel::{Priority, TaskStatus, Thinking};

/// Which task.
#[derive(Args)]
pub struct Which {
    /// Its name (MC-142), number or id
    pub task: String,
    #[command(flatten)]
    pub place: Place,
}

/// Which tasks.
#[derive(Args)]
pub struct Whiches {
    /// Their names (MC-142), numbers or ids
    #[arg(required = true)]
    pub tasks: Vec<String>,
    #[command(flatten)]
    pub place: Place,
}

/// Flags of `hq task list`.
#[derive(Args)]
pub struct List {
    /// Words or terms, as in the filter box: 'assignee:me due:<7d label:launch'
    #[arg(default_value = "")]
    pub query: String,
    /// Only archived ones
    #[arg(long)]
    pub archived: bool,
    /// The order: priority, due, updated, created, title, manual or start
    #[arg(long, value_name = "ORDER")]
    pub sort: Option<String>,
    /// Maximum number, up to 100
    #[arg(long, default_value_t = 25)]
    pub limit: usize,
    /// Continue after the previous list
    #[arg(long, value_name = "CURSOR")]
    pub after: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

/// Flags of `hq task add`.
#[derive(Args)]
pub struct Add {
    /// The title
    title: String,
    /// The description, in Markdown
    #[arg(long)]
    description: Option<String>,
    /// A slug, a handle, or me
    #[arg(long)]
    assignee: Option<String>,
    /// The priority
    #[arg(long, value_parser = one_of(Priority::ALL.iter().map(|one| one.word())))]
    priority: Option<String>,
    /// A day (2026-11-20) or a time
    #[arg(long)]
    due: Option<String>,
    /// The start: a day or a time
    #[arg(long)]
    start: Option<String>,
    /// The name of a stream
    #[arg(long)]
    stream: Option<String>,
    /// Label names, separated by commas
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// The parent task
    #[arg(long)]
    parent: Option<String>,
    /// A model instead of the agent's
    #[arg(long)]
    model: Option<String>,
    /// The thinking level instead of the agent's
    #[arg(long, value_parser = one_of(Thinking::ALL.iter().map(|one| one.word())))]
    thinking: Option<String>,
    #[command(flatten)]
    place: Place,
}

impl Add {
    /// What is asked for, without what was not said.
    pub fn body(self) -> (Value, Place) {
        let mut body = Map::new();
        body.insert("title".to_owned(), Value::String(self.title));
        let fields = [
            ("description", self.description),
            ("assignee", self.assignee),
            ("priority", self.priority),
            ("due_at", self.due),
            ("start_at", self.start),
            ("stream", self.stream),
            ("parent", self.parent),
            ("model", self.model),
            ("thinking", self.thinking),
        ];
        for (name, value) in fields {
            body.extend(value.map(|value| (name.to_owned(), Value::String(value))));
        }
        body.insert("labels".to_owned(), json!(self.labels));
        (Value::Object(body), self.place)
    }
}

/// Flags of `hq task edit`.
#[derive(Args)]
pub struct Edit {
    #[command(flatten)]
    pub which: Which,
    /// The title
    #[arg(long)]
    pub title: Option<String>,
    /// The description, in Markdown; - reads standard input
    #[arg(long)]
    pub description: Option<String>,
    /// A slug, a handle, me, or none
    #[arg(long)]
    pub assignee: Option<String>,
    /// The priority
    #[arg(long, value_parser = one_of(Priority::ALL.iter().map(|one| one.word())))]
    pub priority: Option<String>,
    /// A day (2026-11-20, today, tomorrow), a time, or none
    #[arg(long)]
    pub due: Option<String>,
    /// The start: a day, a time, or none
    #[arg(long)]
    pub start: Option<String>,
    /// The name of a stream, or none
    #[arg(long)]
    pub stream: Option<String>,
    /// The parent task, or none
    #[arg(long)]
    pub parent: Option<String>,
    /// A model instead of the agent's, or none
    #[arg(long)]
    pub model: Option<String>,
    /// The thinking level instead of the agent's, or agent for the agent's
    #[arg(long, value_parser = one_of(Thinking::ALL.iter().map(|one| one.word()).chain(["agent"])))]
    pub thinking: Option<String>,
}

/// Flags of `hq task claim`.
#[derive(Args)]
pub struct Claim {
    #[command(flatten)]
    pub which: Which,
    /// Even if someone already has it
    #[arg(long)]
    pub force: bool,
}

/// Flags of `hq task move`.
#[derive(Args)]
pub struct Move {
    #[command(flatten)]
    pub which: Which,
    /// The new stream, or none
    #[arg(long)]
    pub stream: Option<String>,
    /// The new parent task, or none
    #[arg(long)]
    pub parent: Option<String>,
    /// After this task in the manual order
    #[arg(long, value_name = "TASK")]
    pub after: Option<String>,
    /// Before this task in the manual order
    #[arg(long, value_name = "TASK")]
    pub before: Option<String>,
}

/// Flags of `hq task deliver`.
#[derive(Args)]
pub struct Deliver {
    #[command(flatten)]
    pub which: Which,
    /// The title; optional for a revision
    #[arg(long, required_unless_present = "revises")]
    pub title: Option<String>,
    #[command(flatten)]
    pub work: Work,
    /// A note for the reviewer
    #[arg(long, default_value = "")]
    pub note: String,
    /// The deliverable of which this is the next version: its id, or the end of it
    #[arg(long, value_name = "ID")]
    pub revises: Option<String>,
}

/// What is delivered: one of them.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Work {
    /// A text in Markdown; - reads standard input
    #[arg(long)]
    pub text: Option<String>,
    /// A web address
    #[arg(long, value_name = "URL")]
    pub link: Option<String>,
    /// A file; it is also attached to the task
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// A knowledge page, as it is now: its id or title
    #[arg(long, value_name = "PAGE")]
    pub page: Option<String>,
    /// A record, as it is now, such as contact:Name
    #[arg(long, value_name = "RECORD")]
    pub record: Option<String>,
}

/// Flags of `hq task attach`.
#[derive(Args)]
pub struct Attach {
    #[command(flatten)]
    pub which: Which,
    /// The files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
}

/// Flags of `hq task review`.
#[derive(Args)]
pub struct Review {
    /// The deliverable's id, the end of it, or its task; without it, all that wait are listed
    pub piece: Option<String>,
    /// Your decision; without it, the deliverable is shown
    #[arg(requires = "piece", value_parser = one_of(["approve", "changes", "reject"]))]
    pub verdict: Option<String>,
    /// The changes, one per line; required unless you approve
    #[arg(long, default_value = "")]
    pub note: String,
    #[command(flatten)]
    pub place: Place,
}

/// The value of a field, or nothing for the word none.
pub fn or_null(text: String) -> Value {
    if text == "none" { Value::Null } else { Value::String(text) }
}

/// Where a task stands, as people write it.
pub fn status(text: &str) -> Result<TaskStatus, String> {
    let word = text.trim().to_lowercase().replace(['-', ' '], "_");
    word.parse().map_err(|error: UnknownWord| error.to_string())
}
