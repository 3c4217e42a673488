//! What changes a task in more than one step, or more than one task.

use serde_json::{Map, Value, json};

use crate::Common;
use crate::agents::{question, word};
use crate::commands::print;
use crate::door::{Ask, Door};
use crate::reach::CommandError;
use crate::show::{part, quoted};

use super::flags::{Claim, Edit, Move, Which, Whiches, or_null};
use super::{at, line, path};

/// Changes fields.
pub async fn edit(common: &Common, door: &Door, flags: Edit) -> Result<u8, CommandError> {
    let mut body = Map::new();
    let description = match flags.description {
        Some(text) => Some(question(&[text])?),
        None => None,
    };
    let kept = [("title", flags.title), ("description", description), ("priority", flags.priority)];
    for (name, value) in kept {
        body.extend(value.map(|value| (name.to_owned(), Value::String(value))));
    }
    let cleared = [
        ("assignee", flags.assignee),
        ("due_at", flags.due),
        ("start_at", flags.start),
        ("stream", flags.stream),
        ("parent", flags.parent),
        ("model", flags.model),
    ];
    let thinking = flags.thinking.map(|word| match word.as_str() {
        "agent" => Value::Null,
        _ => Value::String(word),
    });
    body.extend(thinking.map(|value| ("thinking".to_owned(), value)));
    for (name, value) in cleared {
        body.extend(value.map(|value| (name.to_owned(), or_null(value))));
    }
    if body.is_empty() {
        return Err(CommandError::Failed(
            "say what to change; see `hq task edit --help`".to_owned(),
        ));
    }
    super::patch(common, door, &flags.which, &Value::Object(body)).await
}

/// Takes a task, and begins it when it was not begun.
pub async fn claim(common: &Common, door: &Door, flags: &Claim) -> Result<u8, CommandError> {
    let which = &flags.which;
    let (me, task) = (
        door.call(Ask::get("/api/v1/me").within(at(which))).await?,
        door.call(Ask::get(path(which, "")).within(at(which))).await?,
    );
    let (key, status) = (word(&task, "key"), word(&task, "status"));
    let holder = &task["assignee"];
    if ["done", "cancelled", "missed"].contains(&status) {
        return Err(CommandError::Refused(format!(
            "{key} is {status}; to reopen it: `hq task status {key} todo`"
        )));
    }
    let mine = holder["id"].is_string() && holder["id"] == me["account"]["id"];
    if holder.is_object() && !mine && !flags.force {
        return Err(CommandError::Refused(format!(
            "{} already has {key}; use --force to take it",
            word(holder, "handle")
        )));
    }
    let body = match status {
        "todo" => json!({ "assignee": "me", "status": "in_progress" }),
        _ => json!({ "assignee": "me" }),
    };
    super::patch(common, door, which, &body).await
}

/// Says what a task waits for.
pub async fn block(
    common: &Common,
    door: &Door,
    which: &Which,
    by: &[String],
) -> Result<u8, CommandError> {
    for other in by {
        let body = json!({ "kind": "blocked_by", "other": other });
        door.call(Ask::post(path(which, "/relations"), &body).within(at(which))).await?;
    }
    show_blockers(common, door, which).await
}

/// Says that a task waits for others no more.
pub async fn unblock(
    common: &Common,
    door: &Door,
    which: &Which,
    (by, all): (&[String], bool),
) -> Result<u8, CommandError> {
    let relations = door.call(Ask::get(path(which, "/relations")).within(at(which))).await?;
    let ties = relations["blocked_by"].as_array().cloned().unwrap_or_default();
    let mut gone = Vec::new();
    for name in by {
        // It may be called by its name, its number or its id.
        let other = Ask::get(format!("/api/v1/tasks/{}", part(name)));
        let other = door.call(other.within(at(which))).await?;
        let tie = ties.iter().find(|tie| tie["key"] == other["key"]);
        let tie = tie.ok_or_else(|| {
            let (task, other) = (&which.task, word(&other, "key"));
            CommandError::Refused(format!(
                "{other} doesn't block {task}; see `hq task show {task}`"
            ))
        })?;
        gone.push(tie);
    }
    if all {
        gone.extend(&ties);
    }
    for tie in gone {
        let below = format!("/relations/{}", part(word(tie, "id")));
        door.call(Ask::delete(path(which, &below)).within(at(which))).await?;
    }
    show_blockers(common, door, which).await
}

async fn show_blockers(common: &Common, door: &Door, which: &Which) -> Result<u8, CommandError> {
    let task = door.call(Ask::get(path(which, "")).within(at(which))).await?;
    print(common, &task, &[line(&task)])
}

/// Puts a task elsewhere.
pub async fn place(common: &Common, door: &Door, flags: Move) -> Result<u8, CommandError> {
    let which = &flags.which;
    let mut body = Map::new();
    for (name, value) in [("stream", flags.stream), ("parent", flags.parent)] {
        body.extend(value.map(|value| (name.to_owned(), or_null(value))));
    }
    let order = json!({ "after": flags.after, "before": flags.before });
    let is_ordered = order["after"].is_string() || order["before"].is_string();
    if body.is_empty() && !is_ordered {
        let text = "say where: --stream, --parent, --after or --before";
        return Err(CommandError::Failed(text.to_owned()));
    }
    let mut task = Value::Null;
    if !body.is_empty() {
        let body = Value::Object(body);
        task = door.call(Ask::patch(path(which, ""), &body).within(at(which))).await?;
    }
    if is_ordered {
        task = door.call(Ask::post(path(which, "/place"), &order).within(at(which))).await?;
    }
    let stream = word(&task, "stream");
    let mut lines = vec![line(&task)];
    lines.extend((!stream.is_empty()).then(|| format!("Stream: {}", quoted(stream))));
    print(common, &task, &lines)
}

/// Puts tasks out of the way, or brings them back: all of them or none.
pub async fn archive(
    common: &Common,
    door: &Door,
    which: &Whiches,
    archived: bool,
) -> Result<u8, CommandError> {
    let workspace = which.place.workspace.as_ref();
    if let [one] = which.tasks.as_slice() {
        let body = json!({ "archived": archived });
        let ask = Ask::patch(format!("/api/v1/tasks/{}", part(one)), &body);
        let task = door.call(ask.within(workspace)).await?;
        return print(common, &task, &[message(&line(&task), archived)]);
    }
    let body = json!({ "tasks": which.tasks, "archived": archived });
    let done = door.call(Ask::post("/api/v1/tasks/bulk", &body).within(workspace)).await?;
    let tasks = done["tasks"].as_u64().unwrap_or_default();
    let what = web::format::count(tasks, "task", "tasks");
    print(common, &done, &[message(&what, archived)])
}

fn message(what: &str, archived: bool) -> String {
    format!("{what} {}", if archived { "archived" } else { "restored" })
}

/// Follows a task, or no more.
pub async fn watch(
    common: &Common,
    door: &Door,
    which: &Which,
    on: bool,
) -> Result<u8, CommandError> {
    let (nothing, path) = (json!({}), path(which, "/watch"));
    let ask = if on { Ask::put(path, &nothing) } else { Ask::delete(path) };
    let now = door.call(ask.within(at(which))).await?;
    let line = match now["watching"] == true {
        true => format!("You follow {}.", which.task),
        false => format!("You no longer follow {}. You're still notified of mentions.", which.task),
    };
    print(common, &now, &[line])
}
