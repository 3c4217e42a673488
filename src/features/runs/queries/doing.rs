//! Describes a tool call in words: icon, verb and subject. All pages use the same words.

use serde_json::{Map, Value};

use kernel::text::ellipsis;

use super::steps::{CallState, ToolCall};
use crate::runs::model::CallStatus;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Doing {
    pub icon: &'static str,
    /// Past, present or planned action.
    pub verb: String,
    pub what: String,
    /// Time category of the tool.
    pub kind: &'static str,
}

#[must_use]
pub fn doing(call: &ToolCall) -> Doing {
    let (icon, verb, kind) = words(&call.name);
    let args = arguments(call);
    let verb = match call.name.as_str() {
        "browser" => in_page(&args).unwrap_or(verb),
        _ => verb,
    };
    let verb = match (verb, call.state, waits(&call.name)) {
        ("", ..) => format!("Called {}", call.name),
        (verb, ..) if call.could_not() => format!("Could not {}", infinitive(verb)),
        (_, CallState::Planned, Some(waits)) => waits.to_owned(),
        (verb, CallState::Planned, None) => format!("Next: {}", infinitive(verb)),
        (verb, ..) => verb.to_owned(),
    };
    let mut what = subject(&call.name, &args);
    // A call that was restored without its request still has the path of the written file.
    if what.is_empty() {
        let written = call.file.as_ref().map(|mark| &mark.path).or(call.paths.first());
        what = written.cloned().unwrap_or_default();
    }
    Doing { icon, verb, what, kind }
}

/// The parsed arguments of a call; empty if the model did not write a JSON object.
#[must_use]
pub fn arguments(call: &ToolCall) -> Map<String, Value> {
    serde_json::from_str(&call.arguments).unwrap_or_default()
}

/// Verb of a planned call that its run waits for: such a call counts as begun.
fn waits(tool: &str) -> Option<&'static str> {
    match tool {
        "ask_person" => Some("Asks:"),
        "wait_until" => Some("Waits:"),
        "subagent_wait" => Some("Waiting for its sub-agents"),
        _ => None,
    }
}

impl ToolCall {
    /// Whether the call failed before it took effect. A program that exits with an error was still run.
    #[must_use]
    pub fn could_not(&self) -> bool {
        let failed = [CallStatus::Error, CallStatus::Timeout].map(CallState::Ended);
        failed.contains(&self.state)
            && !matches!(self.name.as_str(), "exec" | "process")
            && !words(&self.name).1.is_empty()
    }
}

/// The error message of a tool without its code, which is meant for models.
#[must_use]
pub fn uncoded(answer: &str) -> String {
    let parts = answer.trim().strip_prefix("Error(").and_then(|rest| rest.split_once("): "));
    parts.map_or_else(|| answer.to_owned(), |(_, parts)| kernel::text::capitalized(parts))
}

/// First line of a failed call's error, as a sentence.
#[must_use]
pub fn why(answer: &str) -> String {
    let text = uncoded(answer);
    kernel::text::capitalized(text.trim().lines().next().unwrap_or_default())
}

/// Turns "Created a task:" into "create a task:".
fn infinitive(verb: &str) -> String {
    let (past, rest) = verb.split_once(' ').unwrap_or((verb, ""));
    let (past, end) = past.strip_suffix(':').map_or((past, ""), |past| (past, ":"));
    let verb = match past {
        "Wrote" => "write".to_owned(),
        "Ran" => "run".to_owned(),
        "Notified" => "notify".to_owned(),
        "Replied" => "reply".to_owned(),
        "Stopped" => "stop".to_owned(),
        "Went" => "go".to_owned(),
        "Chose" => "choose".to_owned(),
        "Dragged" => "drag".to_owned(),
        "Changed" | "Created" | "Completed" | "Delegated" | "Escalated" | "Declined"
        | "Deleted" | "Used" | "Closed" | "Typed" | "Saved" | "Managed" | "Archived"
        | "Resolved" | "Removed" | "Related" | "Postponed" => {
            lower(past.strip_suffix('d').unwrap_or(past))
        }
        regular => lower(regular.strip_suffix("ed").unwrap_or(regular)),
    };
    format!("{verb}{end} {rest}").trim_end().to_owned()
}

fn lower(verb: &str) -> String {
    let mut chars = verb.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Current activity in words. `activity` is the name of the running tool or the agent's own progress text.
#[must_use]
pub fn now(activity: &str) -> &str {
    match activity.trim() {
        "read" => "reading a file",
        "list" => "listing its folder",
        "search" => "searching its files",
        "write" => "writing a file",
        "edit" | "apply_patch" => "changing a file",
        "memory_search" => "searching its memory",
        "memory_read" => "reading its memory",
        "memory_append" | "memory_replace" => "saving to its memory",
        "exec" => "running a program",
        "process" => "managing a program",
        "web_fetch" => "reading a web page",
        "web_search" => "searching the web",
        "browser" => "using its browser",
        "browser_download" => "saving a download",
        "task_list" => "listing tasks",
        "task_get" => "reading the task",
        "task_create" => "creating a task",
        "task_update" => "changing a task",
        "task_complete" => "completing a task",
        "task_delegate" => "delegating a task",
        "task_escalate" => "asking its manager",
        "task_claim" => "claiming a task",
        "task_relate" => "relating tasks",
        "task_archive" => "archiving a task",
        "task_history" => "reading a task’s history",
        "template_list" | "template_get" => "reading task templates",
        "template_spawn" => "creating tasks from a template",
        "template_save" => "writing a task template",
        "series_list" => "reading recurring tasks",
        "series_save" | "series_control" => "managing recurring tasks",
        "label_list" | "label_save" => "managing labels",
        "stream_list" => "reading streams",
        "stream_save" => "changing a stream",
        "view_list" => "reading saved views",
        "inbox_list" | "inbox_drop" => "checking its inbox",
        "routine_list" => "reading its routines",
        "routine_save" | "routine_delete" => "managing its routines",
        "notify_owner" => "notifying a person",
        "channel_send" => "sending a message",
        "comment_add" | "comment_reply" => "writing a comment",
        "comment_react" | "comment_resolve" => "reading comments",
        "link_add" | "link_remove" => "managing links",
        "deliverable_submit" | "deliverable_revise" => "delivering",
        "deliverable_list" | "deliverable_get" => "reading delivered work",
        "agent_list" => "looking up colleagues",
        "message_agent" => "writing to a colleague",
        "ask_person" => "asking a person",
        "wait_until" => "waiting",
        "progress" => "reporting progress",
        "work_done" => "finishing",
        "work_fail" => "returning the work",
        "work_snooze" => "postponing the work",
        "tool_search" => "searching for a tool",
        "subagent_spawn" => "creating a sub-agent",
        "subagent_wait" => "waiting for its sub-agents",
        "subagent_list" | "subagent_stop" => "managing its sub-agents",
        other => other,
    }
}

/// Icon, past-tense verb and time category of a tool; the verb is empty for an unknown tool.
fn words(tool: &str) -> (&'static str, &'static str, &'static str) {
    match tool {
        "read" => ("file", "Read", "file"),
        "list" => ("folder", "Listed", "file"),
        "search" => ("search", "Searched files for", "file"),
        "write" => ("file", "Wrote", "file"),
        "edit" | "apply_patch" => ("edit", "Changed", "file"),
        "memory_search" => ("book", "Searched its memory for", "file"),
        "memory_read" => ("book", "Read its memory:", "file"),
        "memory_append" => ("book", "Added to its memory:", "file"),
        "memory_replace" => ("book", "Corrected its memory:", "file"),
        "exec" => ("terminal", "Ran", "exec"),
        "process" => ("terminal", "Managed program", "exec"),
        "web_fetch" => ("globe", "Opened", "web"),
        "web_search" => ("search", "Searched the web for", "web"),
        "browser" => ("globe", "Used its browser:", "web"),
        "browser_download" => ("download", "Saved a download:", "web"),
        "task_list" => ("tasks", "Listed tasks", "hq"),
        "task_get" => ("tasks", "Read task", "hq"),
        "task_create" => ("plus", "Created a task:", "hq"),
        "task_update" => ("tasks", "Changed task", "hq"),
        "task_complete" => ("done", "Completed task", "hq"),
        "task_delegate" => ("sub", "Delegated to", "hq"),
        "task_escalate" => ("warn", "Escalated:", "hq"),
        "task_claim" => ("tasks", "Claimed task", "hq"),
        "task_relate" => ("branch", "Related a task to", "hq"),
        "task_archive" => ("archive", "Archived task", "hq"),
        "task_history" => ("clock", "Read the history of", "hq"),
        "template_list" => ("copy", "Listed task templates", "hq"),
        "template_get" => ("copy", "Viewed the template", "hq"),
        "template_spawn" => ("copy", "Created tasks from the template", "hq"),
        "template_save" => ("copy", "Saved the template", "hq"),
        "series_list" => ("repeat", "Listed recurring tasks", "hq"),
        "series_save" => ("repeat", "Saved the recurring task", "hq"),
        "series_control" => ("repeat", "Managed the recurring task", "hq"),
        "label_list" => ("tag", "Listed labels", "hq"),
        "label_save" => ("tag", "Saved the label", "hq"),
        "stream_list" => ("layers", "Listed streams", "hq"),
        "stream_save" => ("layers", "Saved the stream", "hq"),
        "view_list" => ("filter", "Listed saved views", "hq"),
        "inbox_list" => ("inbox", "Checked its inbox", "hq"),
        "inbox_drop" => ("inbox", "Declined", "hq"),
        "routine_list" => ("repeat", "Listed its routines", "hq"),
        "routine_save" => ("repeat", "Saved a routine", "hq"),
        "routine_delete" => ("repeat", "Deleted a routine", "hq"),
        "notify_owner" => ("bell", "Notified a person:", "hq"),
        "channel_send" => ("comment", "Sent a message:", "hq"),
        "comment_add" => ("comment", "Commented on", "hq"),
        "comment_reply" => ("comment", "Replied to a comment", "hq"),
        "comment_react" => ("comment", "Reacted with", "hq"),
        "comment_resolve" => ("comment", "Resolved a thread", "hq"),
        "link_add" => ("link", "Linked", "hq"),
        "link_remove" => ("link", "Removed a link", "hq"),
        "deliverable_submit" | "deliverable_revise" => ("box", "Delivered", "hq"),
        "deliverable_list" => ("box", "Listed delivered work", "hq"),
        "deliverable_get" => ("box", "Read the deliverable:", "hq"),
        "agent_list" => ("users", "Looked up colleagues", "hq"),
        "message_agent" => ("send", "Wrote to", "hq"),
        "ask_person" => ("comment", "Asked:", "hq"),
        "wait_until" => ("clock", "Waited:", "hq"),
        "progress" => ("pulse", "Reported progress:", "hq"),
        "work_done" => ("done", "Finished the work", "hq"),
        "work_fail" => ("warn", "Returned the work", "hq"),
        "work_snooze" => ("clock", "Postponed the work", "hq"),
        "tool_search" => ("search", "Searched for a tool:", "hq"),
        "subagent_spawn" => ("sub", "Created a sub-agent:", "hq"),
        "subagent_wait" => ("clock", "Waited for its sub-agents", "hq"),
        "subagent_list" => ("sub", "Listed its sub-agents", "hq"),
        "subagent_stop" => ("stop", "Stopped the sub-agent", "hq"),
        _ => ("code", "", "hq"),
    }
}

/// Past-tense verb of a browser action; `None` for an unknown action.
fn in_page(args: &Map<String, Value>) -> Option<&'static str> {
    Some(match args.get("action")?.as_str()? {
        "open" | "navigate" => "Opened",
        "back" => "Went back",
        "forward" => "Went forward",
        "reload" => "Reloaded the page",
        "tabs" => "Listed its tabs",
        "close" => "Closed a tab",
        "snapshot" => "Read the page",
        "screenshot" => "Took a screenshot",
        "click" => "Clicked",
        "hover" => "Pointed at",
        "type" => "Typed into",
        "fill" => "Filled in",
        "select" => "Chose in",
        "press" => "Pressed",
        "scroll" => "Scrolled",
        "drag" => "Dragged",
        "wait" => "Waited for the page",
        "dialog" => "Answered a dialog",
        "upload" => "Uploaded a file to",
        "evaluate" => "Ran a script in the page",
        "batch" => "Performed several actions",
        _ => return None,
    })
}

/// Subject of a call, from its most telling argument; at most 160 characters.
fn subject(tool: &str, args: &Map<String, Value>) -> String {
    let names: &[&str] = match tool {
        "exec" => &["command", "cmd", "argv"],
        "read" | "write" | "edit" | "apply_patch" | "list" | "memory_read" => &["path", "file"],
        "memory_append" => &["text"],
        "memory_replace" => &["new", "old"],
        "memory_search" | "search" | "web_search" | "tool_search" => &["query", "pattern", "text"],
        "web_fetch" => &["url"],
        "browser" => &["url", "key", "ref", "find"],
        "browser_download" => &["path", "name"],
        "task_create" | "deliverable_submit" | "deliverable_revise" => &["title", "name"],
        "task_delegate" | "message_agent" => &["agent", "to", "assignee"],
        "ask_person" => &["question"],
        "task_escalate" => &["reason"],
        "wait_until" => &["reason", "until", "task"],
        "progress" => &["text", "message", "note", "summary"],
        "subagent_spawn" => &["name", "task"],
        "subagent_wait" => &["ids"],
        "work_done" | "work_fail" | "work_snooze" => &[],
        "task_relate" => &["other"],
        "template_get" | "template_spawn" => &["template"],
        "template_save" => &["name", "template"],
        "series_save" | "series_control" => &["title", "series"],
        "label_save" => &["label"],
        "stream_save" => &["stream", "name"],
        "inbox_drop" => &["reason"],
        "deliverable_get" => &["deliverable"],
        "notify_owner" | "channel_send" => &["text"],
        "task_list" | "agent_list" | "template_list" | "series_list" | "label_list"
        | "stream_list" | "view_list" | "inbox_list" | "deliverable_list" | "routine_list"
        | "routine_save" | "routine_delete" => &[],
        _ => &["task", "title", "id"],
    };
    let text = first_of(args, names);
    let text = if text.is_empty() && tool == "list" { ".".to_owned() } else { text };
    ellipsis(text.lines().next().unwrap_or_default(), 160)
}

/// The first of the named arguments that is present, as text.
pub fn first_of(args: &Map<String, Value>, names: &[&str]) -> String {
    let found = names.iter().find_map(|name| args.get(*name));
    match found {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(words)) => {
            words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
        }
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::doing;
    use crate::runs::model::CallStatus;
    use crate::runs::queries::steps::{CallState, ToolCall};

    fn call(name: &str, arguments: &str, state: CallState) -> ToolCall {
        ToolCall {
            call_id: "1".into(),
            step: 1,
            name: name.into(),
            arguments: arguments.into(),
            state,
            result: None,
            paths: vec!["notes.md".into()],
            file: None,
            pictures: Vec::new(),
        }
    }

    #[test]
    fn a_call_is_told_by_its_verb_and_subject() {
        let shown = doing(&call("exec", r#"{"command":"ls -la"}"#, CallState::Running));
        assert_eq!((shown.verb.as_str(), shown.what.as_str()), ("Ran", "ls -la"));
        let planned = doing(&call("read", r#"{"path":"a.md"}"#, CallState::Planned));
        assert_eq!((planned.verb.as_str(), planned.what.as_str()), ("Next: read", "a.md"));
        let click = r#"{"action":"click","ref":"e12"}"#;
        let clicked = doing(&call("browser", click, CallState::Running));
        assert_eq!((clicked.verb.as_str(), clicked.what.as_str()), ("Clicked", "e12"));
        for (action, shown) in [
            ("type", "Could not type into"),
            ("close", "Could not close a tab"),
            ("back", "Could not go back"),
            ("drag", "Could not drag"),
        ] {
            let args = format!(r#"{{"action":"{action}"}}"#);
            let failed = call("browser", &args, CallState::Ended(CallStatus::Error));
            assert_eq!(doing(&failed).verb, shown);
        }
        let question = doing(&call("ask_person", r#"{"question":"Which?"}"#, CallState::Planned));
        assert_eq!((question.verb.as_str(), question.what.as_str()), ("Asks:", "Which?"));
    }

    #[test]
    fn what_failed_is_not_told_as_done() {
        for (tool, verb) in [
            ("task_create", "Could not create a task:"),
            ("task_get", "Could not read task"),
            ("task_delegate", "Could not delegate to"),
            ("task_escalate", "Could not escalate:"),
            ("message_agent", "Could not write to"),
            ("label_list", "Could not list labels"),
            ("comment_reply", "Could not reply to a comment"),
            ("task_archive", "Could not archive task"),
            ("exec", "Ran"),
            ("browser", "Could not use its browser:"),
            ("painter", "Called painter"),
        ] {
            let call = call(tool, "{}", CallState::Ended(CallStatus::Error));
            assert_eq!(doing(&call).verb, verb, "{tool}");
        }
    }

    #[test]
    fn without_arguments_the_written_file_is_named_and_without_words_the_tool() {
        let shown = doing(&call("write", "", CallState::Running));
        assert_eq!((shown.verb.as_str(), shown.what.as_str()), ("Wrote", "notes.md"));
        assert_eq!(doing(&call("painter", "{oops", CallState::Running)).verb, "Called painter");
    }
}
