//! `hq task …`: the board at the terminal.

mod change;
mod deliver;
pub mod files;
pub mod flags;
pub mod talk;

use clap::Subcommand;
use serde_json::{Value, json};

use kernel::TaskStatus;

use super::Common;
use super::agents::{items, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::show::{self, handle, listed, quoted};

use flags::{Add, Attach, Claim, Deliver, Edit, List, Move, Review, Which, Whiches};

/// `hq task …`
#[derive(Subcommand)]
pub enum Command {
    /// List tasks, most urgent first; open ones by default
    List(List),
    /// Show a task
    Show(Which),
    /// Create a task
    Add(Add),
    /// Change fields of a task; none clears a field
    Edit(Box<Edit>),
    /// Assign a task to an agent or a person
    Assign {
        #[command(flatten)]
        which: Which,
        /// A slug, a handle, me, or none
        to: String,
    },
    /// Assign a task to yourself and start it
    Claim(Claim),
    /// Set the status of a task
    Status {
        #[command(flatten)]
        which: Which,
        /// The status
        #[arg(value_parser = flags::status)]
        status: TaskStatus,
    },
    /// Mark a task as done
    Done(Which),
    /// Reopen a missed task with a new due date
    Reopen {
        #[command(flatten)]
        which: Which,
        /// A day (2026-11-20) or a time in the future
        #[arg(long)]
        due: String,
    },
    /// Add blockers to a task
    Block {
        #[command(flatten)]
        which: Which,
        /// The tasks that block it
        #[arg(required = true)]
        by: Vec<String>,
    },
    /// Remove blockers from a task: the named ones, or all with --all
    Unblock {
        #[command(flatten)]
        which: Which,
        /// The tasks that no longer block it
        #[arg(required_unless_present = "all")]
        by: Vec<String>,
        /// Remove all blockers
        #[arg(long, conflicts_with = "by")]
        all: bool,
    },
    /// Start the agent of a task now, even if the task is blocked
    Start(Which),
    /// Set when a task is due
    Due {
        #[command(flatten)]
        which: Which,
        /// A day (2026-11-20, today, tomorrow), a time, or none
        when: String,
    },
    /// Add labels to a task, and remove those after --off
    Label {
        #[command(flatten)]
        which: Which,
        /// Label names; a new name creates a label
        names: Vec<String>,
        /// Names of labels to remove
        #[arg(long, value_delimiter = ',')]
        off: Vec<String>,
    },
    /// Move a task to another stream, under another task, or within the manual order
    Move(Move),
    /// Archive tasks
    Archive(Whiches),
    /// Restore archived tasks
    Restore(Whiches),
    /// Follow a task, or unfollow it with --off
    Watch {
        #[command(flatten)]
        which: Which,
        /// Unfollow it
        #[arg(long)]
        off: bool,
    },
    /// Attach files to a task
    Attach(Attach),
    /// List the files on a task
    Files(Which),
    /// Submit a deliverable: a text, an address, a file, a page or a record
    Deliver(Deliver),
    /// List deliverables that wait for review; with an id or task: approve, request changes or reject
    Review(Review),
    /// Comment on a task; @slug gives an agent work
    Comment {
        #[command(flatten)]
        which: Which,
        /// Markdown; - reads standard input
        text: String,
        /// The id of the comment to reply to
        #[arg(long)]
        reply_to: Option<String>,
    },
    /// List comments on a task, oldest first
    Comments(Which),
    /// React to a comment, or remove a reaction with --off
    React {
        /// Its id
        comment: String,
        /// An emoji or its word: thumbs_up, heart, party, laugh, eyes, confused, rocket, thumbs_down
        reaction: String,
        /// Remove the reaction
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Resolve a comment thread, or reopen it
    Resolve {
        /// Its id
        comment: String,
        /// Reopen it
        #[arg(long)]
        reopen: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Set whether agents must give evidence for a task
    Proof {
        #[command(flatten)]
        which: Which,
        /// show, require, or none to leave it to the stream
        mode: String,
    },
    /// List the links of a task
    Links(Which),
    /// Link a task to an address or to another record
    Link {
        #[command(flatten)]
        which: Which,
        /// https://…, MC-12, @agent, stream:Name, routine:Name, deliverable:id or file:id
        target: String,
        /// The name
        #[arg(long, default_value = "")]
        label: String,
    },
    /// Remove a link
    Unlink {
        /// Its id
        link: String,
        #[command(flatten)]
        place: Place,
    },
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(flags) => list(common, door, &flags).await,
        Command::Show(which) => details(common, door, &which).await,
        Command::Add(add) => {
            let (body, place) = add.body();
            let ask = Ask::post("/api/v1/tasks", &body).within(place.workspace.as_ref());
            let task = door.call(ask).await?;
            print(common, &task, &[line(&task)])
        }
        Command::Edit(edit) => change::edit(common, door, *edit).await,
        Command::Assign { which, to } => {
            let to = flags::or_null(to);
            patch(common, door, &which, &json!({ "assignee": to })).await
        }
        Command::Claim(claim) => change::claim(common, door, &claim).await,
        Command::Status { which, status } => {
            patch(common, door, &which, &json!({ "status": status })).await
        }
        Command::Done(which) => patch(common, door, &which, &json!({ "status": "done" })).await,
        Command::Reopen { which, due } => {
            post(common, door, &which, ("/reopen", &json!({ "due_at": due }))).await
        }
        Command::Block { which, by } => change::block(common, door, &which, &by).await,
        Command::Unblock { which, by, all } => {
            change::unblock(common, door, &which, (&by, all)).await
        }
        Command::Proof { which, mode } => {
            let body = json!({ "proof": flags::or_null(mode) });
            let ask = Ask::post(path(&which, "/proof"), &body).within(at(&which));
            let now = door.call(ask).await?;
            let said = match now["required"].as_bool() {
                Some(true) => "Agents must give evidence.",
                _ => "Evidence is shown, but not required.",
            };
            print(common, &now, &[said.to_owned()])
        }
        Command::Start(which) => post(common, door, &which, ("/start", &json!({}))).await,
        Command::Due { which, when } => {
            patch(common, door, &which, &json!({ "due_at": flags::or_null(when) })).await
        }
        Command::Label { which, names, off } => {
            let body = json!({ "add": names, "remove": off });
            let ask = Ask::post(path(&which, "/labels"), &body).within(at(&which));
            let labels = door.call(ask).await?;
            let names: Vec<String> =
                items(&labels).iter().map(|label| word(label, "name").to_owned()).collect();
            print(common, &labels, &or_none(names, "No labels."))
        }
        Command::Move(flags) => change::place(common, door, flags).await,
        Command::Archive(which) => change::archive(common, door, &which, true).await,
        Command::Restore(which) => change::archive(common, door, &which, false).await,
        Command::Watch { which, off } => change::watch(common, door, &which, !off).await,
        Command::Attach(flags) => files::attach(common, door, flags).await,
        Command::Files(which) => files::list(common, door, &which).await,
        Command::Deliver(flags) => deliver::deliver(common, door, flags).await,
        Command::Review(flags) => deliver::review(common, door, flags).await,
        Command::Comment { which, text, reply_to } => {
            talk::comment(common, door, &which, (&text, reply_to)).await
        }
        Command::Comments(which) => talk::comments(common, door, &which).await,
        Command::React { comment, reaction, off, place } => {
            let body = json!({ "reaction": reaction, "on": !off });
            talk::act(common, door, (&comment, "reactions"), (&body, &place)).await
        }
        Command::Resolve { comment, reopen, place } => {
            let body = json!({ "settled": !reopen });
            talk::act(common, door, (&comment, "settle"), (&body, &place)).await
        }
        Command::Links(which) => talk::links(common, door, &which).await,
        Command::Link { which, target, label } => {
            talk::link(common, door, &which, (&target, &label)).await
        }
        Command::Unlink { link, place } => talk::unlink(common, door, &link, &place).await,
    }
}

async fn list(common: &Common, door: &Door, flags: &List) -> Result<u8, CommandError> {
    let names = |term: &str| flags.query.split_whitespace().any(|word| word.contains(term));
    let status = match names("status:") || names("is:") || flags.archived {
        true => None,
        false => Some("open"),
    };
    let limit = flags.limit.to_string();
    let query = show::query(&[
        ("q", Some(flags.query.as_str()).filter(|query| !query.is_empty())),
        ("status", status),
        ("archived", flags.archived.then_some("true")),
        ("sort", flags.sort.as_deref()),
        ("limit", Some(limit.as_str())),
        ("after", flags.after.as_deref()),
    ]);
    let ask = Ask::get(format!("/api/v1/tasks{query}")).within(flags.place.workspace.as_ref());
    let all = door.call(ask).await?;
    print(common, &all, &listed(&all, row, "No tasks."))
}

/// A task with what else is known of it.
async fn details(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let task = door.call(Ask::get(path(which, "")).within(at(which))).await?;
    let mut lines = vec![line(&task)];
    let pairs = [
        ("Priority", word(&task, "priority").to_owned()),
        ("Stream", word(&task, "stream").to_owned()),
        ("Parent", word(&task, "parent").to_owned()),
        ("Template", word(&task, "template").to_owned()),
        ("Starts", word(&task, "start_at").to_owned()),
        ("Model", word(&task, "model").to_owned()),
        ("Thinking", word(&task, "thinking").to_owned()),
        ("Archived", word(&task, "archived_at").to_owned()),
    ];
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    lines.extend(pairs.map(|(name, value)| format!("{name}: {value}")));
    for one in task["blocked_by"].as_array().into_iter().flatten() {
        let (key, status) = (word(one, "key"), word(one, "status").replace('_', " "));
        lines.push(format!("Blocked by {key} {} ({status})", quoted(word(one, "title"))));
    }
    let about = word(&task, "description");
    if !about.is_empty() {
        lines.extend([String::new(), about.to_owned()]);
    }
    print(common, &task, &lines)
}

/// Changes fields of a task, and shows it.
async fn patch(
    common: &Common,
    door: &Door,
    which: &Which,
    body: &Value,
) -> Result<u8, CommandError> {
    let task = door.call(Ask::patch(path(which, ""), body).within(at(which))).await?;
    print(common, &task, &[line(&task)])
}

/// Does something with a task, and shows it.
async fn post(
    common: &Common,
    door: &Door,
    which: &Which,
    (below, body): (&str, &Value),
) -> Result<u8, CommandError> {
    let task = door.call(Ask::post(path(which, below), body).within(at(which))).await?;
    print(common, &task, &[line(&task)])
}

/// API path of a task, or of another record such as `contact:Name`.
fn path(which: &Which, below: &str) -> String {
    let of = if which.task.contains(':') { "on" } else { "tasks" };
    format!("/api/v1/{of}/{}{below}", show::part(&which.task))
}

fn at(which: &Which) -> Option<&String> {
    which.place.workspace.as_ref()
}

/// Details of a task after its title: the labels, and the tasks that it waits for.
fn besides(task: &Value) -> Vec<String> {
    let names = |key: &str, of: fn(&Value) -> &str| -> Vec<String> {
        task[key].as_array().into_iter().flatten().map(|one| of(one).to_owned()).collect()
    };
    let labels = names("labels", |label| label.as_str().unwrap_or_default());
    let blockers = names("blocked_by", |task| word(task, "key"));
    let labels = (!labels.is_empty()).then(|| format!("[{}]", labels.join(", ")));
    let blockers = (!blockers.is_empty()).then(|| format!("blocked by {}", blockers.join(", ")));
    labels.into_iter().chain(blockers).collect()
}

/// A task in a list: "MC-3  in progress  high  ada  2026-11-25T22:59:59Z  "Compare prices" [launch]".
pub fn row(task: &Value) -> Vec<String> {
    let title = quoted(word(task, "title"));
    let title: Vec<String> = std::iter::once(title).chain(besides(task)).collect();
    vec![
        word(task, "key").to_owned(),
        word(task, "status").replace('_', " "),
        word(task, "priority").to_owned(),
        handle(&task["assignee"]),
        show::moment(task, "due_at"),
        title.join(" "),
    ]
}

/// "MC-3 · in progress · "Compare prices" · ada · due 2026-11-25T22:59:59Z · [launch, offer]".
pub fn line(task: &Value) -> String {
    let mut words = vec![
        word(task, "key").to_owned(),
        word(task, "status").replace('_', " "),
        quoted(word(task, "title")),
    ];
    let handle = word(&task["assignee"], "handle");
    words.extend(Some(handle.to_owned()).filter(|handle| !handle.is_empty()));
    words.extend(
        Some(word(task, "due_at")).filter(|at| !at.is_empty()).map(|at| format!("due {at}")),
    );
    words.extend(besides(task));
    words.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::{line, row};
    use serde_json::json;

    #[test]
    fn a_line_says_what_there_is() {
        let task = json!({
            "key": "MC-3", "status": "in_progress", "title": "Compare", "assignee": null,
            "labels": ["launch"], "blocked_by": [{ "key": "MC-1" }], "priority": "high",
        });
        assert_eq!(line(&task), "MC-3 · in progress · \"Compare\" · [launch] · blocked by MC-1");
        let cells =
            ["MC-3", "in progress", "high", "-", "-", "\"Compare\" [launch] blocked by MC-1"];
        assert_eq!(row(&task), cells);
    }
}
