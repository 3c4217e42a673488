//! `hq task …`: the board at the terminal.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::Common;
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;

/// `hq task …`
#[derive(Subcommand)]
pub enum Command {
    /// Tasks, the most urgent first; the open ones unless said otherwise
    List {
        /// Words or terms, as in the box above the list: 'assignee:me due:<7d label:launch'
        #[arg(default_value = "")]
        query: String,
        /// How many at most, up to 100
        #[arg(long, default_value_t = 25)]
        limit: usize,
        #[command(flatten)]
        place: Place,
    },
    /// One task with its description
    Show(Which),
    /// Make a task
    Add(Add),
    /// Give a task to an agent or a person
    Assign {
        #[command(flatten)]
        which: Which,
        /// A slug, a handle, me, or none
        to: String,
    },
    /// Put labels on a task, and take those off that stand after --off
    Label {
        #[command(flatten)]
        which: Which,
        /// Names; one that is new makes a label
        names: Vec<String>,
        /// Names of those that go
        #[arg(long, value_delimiter = ',')]
        off: Vec<String>,
    },
    /// Mark a task as done
    Done(Which),
    /// Comment on a task; @slug gives an agent work
    Comment {
        #[command(flatten)]
        which: Which,
        /// Markdown
        text: String,
        /// The id of the comment that it answers
        #[arg(long)]
        reply_to: Option<String>,
    },
    /// Comments on a task, oldest first
    Comments(Which),
    /// React to a comment, or take a reaction back with --off
    React {
        /// Its id
        comment: String,
        /// An emoji or its word: thumbs_up, heart, party, laugh, eyes, confused, rocket, thumbs_down
        reaction: String,
        /// Take it back
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        place: Place,
    },
    /// What a task is linked to
    Links(Which),
    /// Link a task to an address or to another record
    Link {
        #[command(flatten)]
        which: Which,
        /// https://…, MC-12, @agent, stream:Name, routine:Name, deliverable:id or file:id
        target: String,
        /// What it is called
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Take a link away
    Unlink {
        /// Its id
        link: String,
        #[command(flatten)]
        place: Place,
    },
    /// Settle the talk that a comment belongs to, or open it again
    Resolve {
        /// Its id
        comment: String,
        /// Open it again
        #[arg(long)]
        reopen: bool,
        #[command(flatten)]
        place: Place,
    },
}

/// Which task.
#[derive(Args)]
pub struct Which {
    /// Its name (MC-142), number or id
    task: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq task add`.
#[derive(Args)]
pub struct Add {
    /// What is to be done, in one line
    title: String,
    /// More, in Markdown
    #[arg(long)]
    description: Option<String>,
    /// A slug, a handle, or me
    #[arg(long)]
    assignee: Option<String>,
    /// low, medium, high or urgent
    #[arg(long)]
    priority: Option<String>,
    /// A day (2026-11-20) or a moment
    #[arg(long)]
    due: Option<String>,
    /// When it may begin: a day or a moment
    #[arg(long)]
    start: Option<String>,
    /// The name of a stream
    #[arg(long)]
    stream: Option<String>,
    /// Names of labels, with commas
    #[arg(long, value_delimiter = ',')]
    labels: Vec<String>,
    /// The task that it is a part of
    #[arg(long)]
    parent: Option<String>,
    #[command(flatten)]
    place: Place,
}

/// Runs one of them.
///
/// # Errors
/// What was refused, or that nobody answers.
pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List { query, limit, place } => {
            let status =
                if query.contains("status:") || query.contains("is:") { "" } else { "open" };
            let asked = [("q", query), ("status", status.to_owned()), ("limit", limit.to_string())];
            let asked = serde_urlencoded::to_string(asked).unwrap_or_default();
            let ask = Ask::get(format!("/api/v1/tasks?{asked}"));
            let all = door.call(ask.within(place.workspace.as_ref())).await?;
            let lines = all["items"].as_array().into_iter().flatten().map(line).collect();
            print(common, &all, &or_none(lines, "No tasks."))
        }
        Command::Show(which) => {
            let task = door.call(Ask::get(path(&which, "")).within(at(&which))).await?;
            let mut lines = vec![line(&task)];
            lines.extend(Some(text(&task, "description").to_owned()).filter(|t| !t.is_empty()));
            print(common, &task, &lines)
        }
        Command::Add(add) => {
            let (body, place) = wish(add);
            let ask = Ask::post("/api/v1/tasks", &body).within(place.workspace.as_ref());
            let task = door.call(ask).await?;
            print(common, &task, &[line(&task)])
        }
        Command::Assign { which, to } => {
            let to = if to == "none" { Value::Null } else { Value::String(to) };
            change(common, door, &which, &json!({ "assignee": to })).await
        }
        Command::Label { which, names, off } => {
            let body = json!({ "add": names, "remove": off });
            let ask = Ask::post(path(&which, "/labels"), &body).within(at(&which));
            let labels = door.call(ask).await?;
            let names = labels["items"].as_array().into_iter().flatten();
            let names: Vec<String> = names.map(|label| text(label, "name").to_owned()).collect();
            print(common, &labels, &or_none(names, "No labels."))
        }
        Command::Done(which) => change(common, door, &which, &json!({ "status": "done" })).await,
        Command::Comment { which, text, reply_to } => {
            let body = json!({ "body": text, "reply_to": reply_to });
            let ask = Ask::post(path(&which, "/comments"), &body).within(at(&which));
            let said = door.call(ask).await?;
            print(common, &said, &["commented".to_owned()])
        }
        Command::Comments(which) => {
            let asked = format!("{}?limit=100", path(&which, "/comments"));
            let all = door.call(Ask::get(asked).within(at(&which))).await?;
            let lines = all["items"].as_array().into_iter().flatten().map(said).collect();
            print(common, &all, &or_none(lines, "No comments."))
        }
        Command::React { comment, reaction, off, place } => {
            let body = json!({ "reaction": reaction, "on": !off });
            let ask = Ask::post(of_comment(&comment, "reactions"), &body);
            let comment = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &comment, &[said(&comment)])
        }
        Command::Links(which) => {
            let all = door.call(Ask::get(path(&which, "/links")).within(at(&which))).await?;
            let lines = all["items"].as_array().into_iter().flatten().map(link).collect();
            print(common, &all, &or_none(lines, "No links."))
        }
        Command::Link { which, target, label } => {
            let body = json!({ "target": target, "label": label });
            let ask = Ask::post(path(&which, "/links"), &body).within(at(&which));
            let made = door.call(ask).await?;
            print(common, &made, &[link(&made)])
        }
        Command::Unlink { link: id, place } => {
            let id = crate::web::format::query_value(&id);
            let ask = Ask::delete(format!("/api/v1/links/{id}"));
            let gone = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &gone, &[link(&gone)])
        }
        Command::Resolve { comment, reopen, place } => {
            let body = json!({ "settled": !reopen });
            let ask = Ask::post(of_comment(&comment, "settle"), &body);
            let comment = door.call(ask.within(place.workspace.as_ref())).await?;
            print(common, &comment, &[said(&comment)])
        }
    }
}

async fn change(
    common: &Common,
    door: &Door,
    which: &Which,
    body: &Value,
) -> Result<u8, CommandError> {
    let task = door.call(Ask::patch(path(which, ""), body).within(at(which))).await?;
    print(common, &task, &[line(&task)])
}

/// What is asked for, without what was not said.
fn wish(add: Add) -> (Value, Place) {
    let mut body = Map::new();
    body.insert("title".to_owned(), Value::String(add.title));
    let fields = [
        ("description", add.description),
        ("assignee", add.assignee),
        ("priority", add.priority),
        ("due_at", add.due),
        ("start_at", add.start),
        ("stream", add.stream),
        ("parent", add.parent),
    ];
    for (name, value) in fields {
        body.extend(value.map(|value| (name.to_owned(), Value::String(value))));
    }
    body.insert("labels".to_owned(), json!(add.labels));
    (Value::Object(body), add.place)
}

fn path(which: &Which, below: &str) -> String {
    format!("/api/v1/tasks/{}{below}", crate::web::format::query_value(&which.task))
}

fn of_comment(id: &str, verb: &str) -> String {
    format!("/api/v1/comments/{}/{verb}", crate::web::format::query_value(id))
}

/// "0198… · mira · settled · 👍 2 · Blue ones, please".
fn said(comment: &Value) -> String {
    let mut words = vec![text(comment, "id").to_owned(), text(&comment["author"], "handle").into()];
    words.extend(comment["parent"].as_str().map(|_| "answer".to_owned()));
    words.extend(comment["settled_at"].as_str().map(|_| "settled".to_owned()));
    for one in comment["reactions"].as_array().into_iter().flatten() {
        let count = one["by"].as_array().map_or(0, Vec::len);
        words.push(format!("{} {count}", text(one, "emoji")));
    }
    words.push(crate::kernel::text::ellipsis(&text(comment, "body").replace('\n', " "), 120));
    words.join(" · ")
}

/// "0198… · task · MC-3 Compare prices · the plan".
fn link(link: &Value) -> String {
    let words = ["id", "kind", "name", "label"].map(|key| text(link, key));
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn at(which: &Which) -> Option<&String> {
    which.place.workspace.as_ref()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

/// "MC-3 · In progress · Compare prices · ada · due 2026-11-25T22:59:59Z · [launch, offer]".
fn line(task: &Value) -> String {
    let mut words = vec![
        text(task, "key").to_owned(),
        text(task, "status").replace('_', " "),
        text(task, "title").to_owned(),
    ];
    let handle = text(&task["assignee"], "handle");
    words.extend(Some(handle.to_owned()).filter(|handle| !handle.is_empty()));
    words.extend(
        Some(text(task, "due_at")).filter(|at| !at.is_empty()).map(|at| format!("due {at}")),
    );
    let names = |key: &str, of: fn(&Value) -> &str| -> Vec<String> {
        task[key].as_array().into_iter().flatten().map(|one| of(one).to_owned()).collect()
    };
    let labels = names("labels", |label| label.as_str().unwrap_or_default());
    words.extend((!labels.is_empty()).then(|| format!("[{}]", labels.join(", "))));
    let blockers = names("blocked_by", |task| text(task, "key"));
    words.extend((!blockers.is_empty()).then(|| format!("waits for {}", blockers.join(", "))));
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::line;
    use serde_json::json;

    #[test]
    fn a_line_says_what_there_is() {
        let task = json!({
            "key": "MC-3", "status": "in_progress", "title": "Compare", "assignee": null,
            "labels": ["launch"], "blocked_by": [{ "key": "MC-1" }],
        });
        assert_eq!(line(&task), "MC-3 · in progress · Compare · [launch] · waits for MC-1");
    }
}
