//! Script of the practice provider: chooses the next turn from the conversation alone. Equal conversations give equal
//! turns, so a resumed run continues where it was. Each tool is called a fixed number of times, so every run ends.

use serde_json::{Value, json};

use super::card::{self, Card, Cause};
use crate::model::{ChatRequest, Message, Part, Role, ToolChoice};
use kernel::text::cut;

/// The next turn.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turn {
    /// Simulated thinking, if thinking is on.
    pub thinking: &'static str,
    pub text: String,
    /// The tool to call, with its arguments.
    pub call: Option<(String, Value)>,
}

/// A call of this run with its result.
struct Made<'a> {
    tool: &'a str,
    /// The error message, if the call failed.
    failed: Option<&'a str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Read,
    Plan,
    Write,
    Submit,
    Reply,
    Done,
}

const WORK: &[Step] = &[Step::Read, Step::Plan, Step::Write, Step::Submit, Step::Done];
const REPLY: &[Step] = &[Step::Read, Step::Reply, Step::Done];

impl Step {
    fn tool(self) -> &'static str {
        match self {
            Self::Read => "task_get",
            Self::Plan | Self::Reply => "comment_add",
            Self::Write => "write",
            Self::Submit => "deliverable_submit",
            Self::Done => "work_done",
        }
    }
}

/// The next turn of a conversation.
pub(super) fn next(request: &ChatRequest) -> Turn {
    if request.tool_choice == ToolChoice::None && request.offers("work_done") {
        return say(
            "I have to stop here. My work so far is in the steps above. Run me again to continue.",
        );
    }
    if request.offers("work_done") { work(request) } else { chat(request) }
}

fn say(text: impl Into<String>) -> Turn {
    Turn { thinking: "The script ends here.", text: text.into(), call: None }
}

fn work(request: &ChatRequest) -> Turn {
    let (card, since) = run(request);
    let made = made(&request.messages[since..]);
    let last_error = made.last().and_then(|m| m.failed.map(|why| (m.tool, why)));
    if made.iter().any(|m| m.tool == "work_done" && m.failed.is_none()) {
        return say("The practice run is finished. No AI was involved.");
    }
    if made.iter().any(|m| m.tool == "work_fail") {
        return say("I couldn’t finish this practice run. The reason is above.");
    }
    let sorry = match last_error {
        Some((tool, why)) => {
            format!("`{tool}` returned an error ({}). ", cut(why.trim(), 160))
        }
        None => String::new(),
    };
    let failed = |tool: &str| made.iter().find(|m| m.tool == tool).and_then(|m| m.failed);
    if let Some(why) = failed("deliverable_submit") {
        return give_up(request, &sorry, why);
    }
    let script = if card.cause == Cause::Comment { REPLY } else { WORK };
    let open = |step: &&Step| {
        request.offers(step.tool())
            && !made.iter().any(|m| m.tool == step.tool())
            && card.task_or(**step)
    };
    match script.iter().find(open) {
        Some(step) => act(request, *step, &card, &sorry),
        None if failed("work_done").is_some()
            && made.iter().filter(|m| m.tool == "work_done").count() == 1 =>
        {
            // Perhaps only the task state was rejected.
            let args = json!({ "summary": summary(&card) });
            Turn {
                thinking: "Finishing was refused, so I’ll try the simplest form.",
                text: format!("{sorry}I’ll finish without changing the task’s status."),
                call: Some(("work_done".to_owned(), fit(request, "work_done", args))),
            }
        }
        None => say(format!("{sorry}The practice script ends here, so I’ll stop.")),
    }
}

impl Card {
    /// Steps about a task need a task.
    fn task_or(&self, step: Step) -> bool {
        self.task.is_some() || matches!(step, Step::Write | Step::Done)
    }

    fn name(&self) -> &str {
        self.task.as_deref().unwrap_or("the task")
    }
}

fn give_up(request: &ChatRequest, sorry: &str, why: &str) -> Turn {
    let reason = format!("Couldn’t submit the result: {}", cut(why.trim(), 300));
    let text = format!(
        "{sorry}I can’t finish without submitting a result, so I’ll report that and \
        stop."
    );
    let call = request.offers("work_fail").then(|| {
        let args = json!({ "reason": reason, "summary": reason });
        ("work_fail".to_owned(), fit(request, "work_fail", args))
    });
    Turn { thinking: "Submitting failed, and trying again won’t help.", text, call }
}

fn act(request: &ChatRequest, step: Step, card: &Card, sorry: &str) -> Turn {
    let (name, title) = (card.name(), &card.title);
    let revised = matches!(card.cause, Cause::Changes(_));
    let (thinking, text, args) = match step {
        Step::Read => ("First I’ll read the task.", plan_in_words(card), json!({ "task": name })),
        Step::Plan => (
            "A plan in the task helps everyone follow along.",
            format!("{sorry}I’ll add a plan to the task so everyone can follow along."),
            json!({ "task": name, "body": plan_comment(card) }),
        ),
        Step::Write => (
            "Notes belong in a file.",
            format!("{sorry}Next I’ll save my notes in a file."),
            json!({ "path": notes_path(card), "content": notes(card) }),
        ),
        Step::Submit => (
            "The result goes to a person for review.",
            if revised {
                format!("{sorry}I’ll submit a revised version for your note.")
            } else {
                format!("{sorry}I’ll submit the result for review.")
            },
            submission(card),
        ),
        Step::Reply => (
            "I got a comment, so I’ll reply once.",
            format!("{sorry}I’ll reply in the task."),
            json!({ "task": name, "body": format!(
                "Thanks for your comment on {name}. I’m practice mode, a script without AI, so I \
                    can reply but not understand it. Connect a provider to get a real answer.") }),
        ),
        Step::Done => (
            "My part is done. A person decides now.",
            format!("{sorry}That’s my part of “{title}”. It’s ready for a person to review."),
            json!({ "summary": summary(card), "task_state": "in_review" }),
        ),
    };
    Turn { thinking, text, call: Some((step.tool().to_owned(), fit(request, step.tool(), args))) }
}

fn plan_in_words(card: &Card) -> String {
    let (name, title) = (card.name(), &card.title);
    match &card.cause {
        Cause::Changes(note) => format!(
            "This is practice mode, a script without AI. You requested changes on {name} \
                “{title}”: “{note}”. I’ll read the task again, share a plan, take notes and submit \
                a revised version."
        ),
        Cause::Comment => format!(
            "This is practice mode, a script without AI. There’s a comment on {name} “{title}”. \
                I’ll read the task and reply once."
        ),
        Cause::Work => format!(
            "This is practice mode, a script without AI. My plan for {name} “{title}”: read the \
                task, share a plan, save notes in a file, submit a short text for review, and \
                finish."
        ),
    }
}

fn plan_comment(card: &Card) -> String {
    let title = &card.title;
    match &card.cause {
        Cause::Changes(note) => format!(
            "**Practice plan for the revision** (no AI)\n\n> {note}\n\n1. Address this note in the \
                text\n2. Submit a new version"
        ),
        Cause::Work | Cause::Comment => format!(
            "**Practice plan** (no AI)\n\n1. Read “{title}”\n2. Save notes in `{}`\n3. Submit a \
                short text for review",
            notes_path(card)
        ),
    }
}

fn notes_path(card: &Card) -> String {
    let name = card.task.as_deref().map_or_else(|| "practice".to_owned(), str::to_lowercase);
    let suffix = if matches!(card.cause, Cause::Changes(_)) { "-revised" } else { "" };
    format!("notes/{name}{suffix}.md")
}

fn notes(card: &Card) -> String {
    let mut text = format!("# Notes on {}: {}\n\n", card.name(), card.title);
    text.push_str("Written by practice mode. No AI has read or thought about this task.\n\n");
    if let Cause::Changes(note) = &card.cause {
        text.push_str(&format!("## The note\n\n> {note}\n\n"));
    }
    text.push_str(
        "## What a real agent would do here\n\n- Read the description, comments and links\n- Look things up, ask, \
         try things out\n- Save what it learns in files like this one\n",
    );
    text
}

fn submission(card: &Card) -> Value {
    let (name, title) = (card.name(), &card.title);
    let mut body = format!(
        "# {title}\n\nThis is a practice result for {name}. It shows where an agent’s work \
            appears. No AI wrote it.\n\n"
    );
    let mut args = json!({ "task": name, "kind": "text", "title": format!("Result: {title}") });
    if let Cause::Changes(note) = &card.cause {
        body.push_str(&format!(
            "## Changed after your note\n\n> {note}\n\nThis version addresses the note.\n\n"
        ));
        args["note"] = json!(format!("Revised after your note: “{note}”"));
    }
    body.push_str(
        "## Done so far\n\n- Added a plan to the task\n- Saved notes in a file\n- Submitted this \
            text\n\n## Next steps\n\n- **Approve** it\n- **Request changes** and watch the next \
            version arrive\n",
    );
    args["body"] = json!(body);
    args
}

fn summary(card: &Card) -> String {
    match &card.cause {
        Cause::Changes(_) => {
            format!("Practice run: revised the result for “{}” after the note.", card.title)
        }
        Cause::Comment => format!("Practice run: answered the comment on “{}”.", card.title),
        Cause::Work => {
            format!("Practice run: planned, took notes and submitted a text for “{}”.", card.title)
        }
    }
}

/// Drops arguments that are not in the tool's schema.
fn fit(request: &ChatRequest, tool: &str, mut args: Value) -> Value {
    let schema = request.tools.iter().find(|t| t.name == tool).map(|t| &t.schema);
    let known = schema.and_then(|s| s.get("properties")).and_then(Value::as_object);
    if let (Some(known), Some(args)) = (known.filter(|k| !k.is_empty()), args.as_object_mut()) {
        args.retain(|name, _| known.contains_key(name));
    }
    args
}

/// The card of the current run, and the index of its first message.
fn run(request: &ChatRequest) -> (Card, usize) {
    let texts: Vec<(usize, String)> =
        request.messages.iter().enumerate().filter_map(instruction).collect();
    let newest = texts.last().map_or(0, |(at, _)| *at);
    let ends = |at: &usize| *at < newest && ends_run(&request.messages[*at], &request.messages);
    let ended = (0..request.messages.len()).rev().find(ends).map_or(0, |at| at + 1);
    let fresh: Vec<&(usize, String)> = texts.iter().filter(|(at, _)| ended <= *at).collect();
    let card = fresh.iter().rfind(|(_, text)| card::looks_like_card(text));
    let named = || fresh.iter().find(|(_, text)| card::reference(text).is_some());
    if let Some((at, text)) = card.or_else(named) {
        return (card::read(text), *at);
    }
    // The card may be at the end of the system prompt.
    let since = fresh.first().map_or(0, |(at, _)| *at);
    let system = request.system.iter().rev().find(|part| card::reference(&part.text).is_some());
    let text = system
        .map(|part| part.text.as_str())
        .or_else(|| texts.last().map(|(_, text)| text.as_str()));
    (card::read(text.unwrap_or("")), since)
}

/// User text without HQ's bracketed remarks, which name runs and tasks but are not cards.
fn instruction(message: (usize, &Message)) -> Option<(usize, String)> {
    texts(message, |text| !(text.starts_with('[') && text.ends_with(']')))
}

fn any_text(message: (usize, &Message)) -> Option<(usize, String)> {
    texts(message, |_| true)
}

/// The text of a user message, with the message index.
fn texts(
    (at, message): (usize, &Message),
    counts: impl Fn(&str) -> bool,
) -> Option<(usize, String)> {
    if message.role != Role::User {
        return None;
    }
    let texts = message.parts.iter().filter_map(|part| match part {
        Part::Text { text } => Some(text.trim()).filter(|text| counts(text)),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join("\n");
    (!text.trim().is_empty()).then_some((at, text))
}

/// Returns `true` if a message contains an accepted call that ended a run.
fn ends_run(message: &Message, all: &[Message]) -> bool {
    message.parts.iter().any(|part| match part {
        Part::ToolCall { id, name, .. }
            if matches!(name.as_str(), "work_done" | "work_fail" | "work_snooze") =>
        {
            result(all, id).is_some_and(|(_, is_error)| !is_error)
        }
        _ => false,
    })
}

/// The result of a call, and whether it is an error.
fn result<'a>(messages: &'a [Message], id: &str) -> Option<(&'a str, bool)> {
    messages.iter().flat_map(|m| &m.parts).find_map(|part| match part {
        Part::ToolResult { call_id, text, is_error } if call_id == id => {
            Some((text.as_str(), *is_error))
        }
        _ => None,
    })
}

fn made(messages: &[Message]) -> Vec<Made<'_>> {
    let mut made = Vec::new();
    for part in messages.iter().flat_map(|m| &m.parts) {
        let Part::ToolCall { id, name, .. } = part else { continue };
        let failed = result(messages, id).and_then(|(text, is_error)| is_error.then_some(text));
        made.push(Made { tool: name, failed });
    }
    made
}

fn chat(request: &ChatRequest) -> Turn {
    let last = request.messages.iter().enumerate().rev().find_map(any_text);
    let heard = last
        .map(|(_, text)| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .unwrap_or_default();
    let mut text = String::from(
        "I’m **practice mode**, a built-in script. No AI is involved and nothing leaves this \
            computer, so I can’t really answer",
    );
    match heard.as_str() {
        "" => text.push_str(".\n\n"),
        heard => text.push_str(&format!(
            ", but I got your message: \
            “{}”.\n\n",
            shortened(heard, 200)
        )),
    }
    text.push_str(
        "Things to try:\n\n- Create a task, assign it to this agent and watch it plan, comment, \
            write a file and submit a text.\n- Open the run to see each step with its input and \
            output.\n- Approve the result, \
         or request changes and see a revised version.\n\n",
    );
    if !request.tools.is_empty() {
        let names: Vec<String> = request.tools.iter().map(|t| format!("`{}`", t.name)).collect();
        text.push_str(&format!(
            "A real model could use these tools in this chat: {}.\n\n",
            names.join(", ")
        ));
    }
    text.push_str("For real answers, connect a provider in Settings, Connections.");
    Turn { thinking: "A chat, so I’ll explain practice mode and what to try.", text, call: None }
}

fn shortened(text: &str, max: usize) -> String {
    let short = cut(text, max);
    if short.len() < text.len() { format!("{}…", short.trim_end()) } else { short.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ToolDef;

    const TOOLS: &[&str] = &[
        "task_get",
        "comment_add",
        "write",
        "deliverable_submit",
        "work_done",
        "work_fail",
        "read",
    ];
    const CARD: &str = "Task MC-142: Write the brief\nPriority: high";

    fn request(card: &str) -> ChatRequest {
        let mut request = ChatRequest::new("practice", 4_000).message(Message::user(card));
        for name in TOOLS {
            let schema = json!({"type": "object"});
            request.tools.push(ToolDef {
                name: (*name).into(),
                description: String::new(),
                schema,
            });
        }
        request
    }

    /// Plays a run to its end and returns the calls. Tools in `fails` return errors.
    fn play(request: &mut ChatRequest, fails: &[&str]) -> Vec<(String, Value)> {
        let mut calls = Vec::new();
        for _ in 0..20 {
            let turn = next(request);
            assert_eq!(next(request), turn, "the same conversation gives the same answer");
            assert!(!turn.text.is_empty());
            let Some((tool, args)) = turn.call else { return calls };
            let id = format!("call{}", request.messages.len());
            request.messages.push(Message::assistant(vec![
                Part::text(turn.text),
                Part::call(id.as_str(), tool.as_str(), args.to_string()),
            ]));
            let failed = fails.contains(&tool.as_str());
            let result =
                if failed { Part::failure(id, "it is broken") } else { Part::result(id, "ok") };
            request.messages.push(Message::results(vec![result]));
            let end = tool == "work_done" && !failed;
            calls.push((tool, args));
            if end {
                return calls;
            }
        }
        panic!("the script does not end");
    }

    fn names(calls: &[(String, Value)]) -> Vec<&str> {
        calls.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn a_task_is_planned_noted_handed_in_and_finished() {
        let calls = play(&mut request(CARD), &[]);
        assert_eq!(
            names(&calls),
            ["task_get", "comment_add", "write", "deliverable_submit", "work_done"]
        );
        assert_eq!(calls[0].1, json!({"task": "MC-142"}));
        assert_eq!(calls[1].1["task"], "MC-142");
        assert_eq!(calls[2].1["path"], "notes/mc-142.md");
        assert_eq!(calls[3].1["kind"], "text");
        assert_eq!(calls[3].1["note"], Value::Null);
        assert_eq!(calls[4].1["task_state"], "in_review");
    }

    #[test]
    fn a_note_brings_a_revised_version_that_names_it() {
        let mut request = request(CARD);
        play(&mut request, &[]);
        request.messages.push(Message::user(
            "Task MC-142: Write the brief\nChanges requested: make it shorter",
        ));
        let calls = play(&mut request, &[]);
        assert_eq!(
            names(&calls),
            ["task_get", "comment_add", "write", "deliverable_submit", "work_done"]
        );
        assert!(calls[3].1["body"].as_str().is_some_and(|b| b.contains("make it shorter")));
        assert!(calls[3].1["note"].as_str().is_some_and(|n| n.contains("make it shorter")));
        assert_eq!(calls[2].1["path"], "notes/mc-142-revised.md");
    }

    #[test]
    fn a_run_that_begins_again_at_a_step_goes_on_from_there() {
        let mut request = request(CARD);
        let all = play(&mut request, &[]);
        // The card, and two calls with their results.
        request.messages.truncate(5);
        let note = "[You are back at this point. What you did after it, in R-4, is not part of \
                    this conversation.\nThese changes in the workspace remain: a comment on MC-9.]";
        request.messages.push(Message::user(note));
        assert_eq!(play(&mut request, &[]), all[2..]);
    }

    #[test]
    fn a_comment_is_answered_once() {
        let calls = play(&mut request("Task MC-1: X\nMira mentioned you:\n> Hello?"), &[]);
        assert_eq!(names(&calls), ["task_get", "comment_add", "work_done"]);
    }

    #[test]
    fn whatever_fails_the_run_ends() {
        let calls = play(&mut request(CARD), &["task_get", "comment_add", "write"]);
        assert_eq!(
            names(&calls),
            ["task_get", "comment_add", "write", "deliverable_submit", "work_done"]
        );
        let calls = play(&mut request(CARD), &["deliverable_submit"]);
        assert_eq!(names(&calls).last(), Some(&"work_fail"));
        let calls = play(&mut request(CARD), &["work_done"]);
        assert_eq!(names(&calls).iter().filter(|n| **n == "work_done").count(), 2);
        for tool in TOOLS {
            play(&mut request(CARD), &[tool]);
        }
        play(&mut request(CARD), TOOLS);
    }

    #[test]
    fn a_remark_in_between_does_not_start_again() {
        let mut request = request(CARD);
        let turn = next(&request);
        let (tool, args) = turn.call.expect("a call");
        request.messages.push(Message::assistant(vec![Part::call("c", tool, args.to_string())]));
        request.messages.push(Message::results(vec![Part::result("c", "ok")]));
        request.messages.push(Message::user("By the way, MC-142 is urgent"));
        assert_eq!(next(&request).call.map(|c| c.0).as_deref(), Some("comment_add"));
    }

    #[test]
    fn tools_that_are_not_offered_are_not_called() {
        let mut request = request(CARD);
        request.tools.retain(|t| t.name == "work_done" || t.name == "task_get");
        assert_eq!(names(&play(&mut request, &[])), ["task_get", "work_done"]);
        request.tool_choice = ToolChoice::None;
        assert_eq!(next(&request).call, None);
    }

    #[test]
    fn arguments_that_the_schema_does_not_know_are_left_out() {
        let mut request = request(CARD);
        request.tools.retain(|t| t.name == "work_done");
        request.tools[0].schema =
            json!({"type": "object", "properties": {"summary": {"type": "string"}}});
        let calls = play(&mut request, &[]);
        assert_eq!(
            calls[0].1.as_object().map(|o| o.keys().collect::<Vec<_>>()),
            Some(vec![&"summary".to_owned()])
        );
    }

    #[test]
    fn the_card_may_stand_in_the_system_prompt() {
        let mut request = request("Please begin.");
        request = request.system(CARD, crate::model::Cache::No);
        assert_eq!(play(&mut request, &[])[0].1, json!({"task": "MC-142"}));
    }

    #[test]
    fn a_chat_is_answered_with_what_practice_is() {
        let mut request = request("What is the weather?");
        request.tools.retain(|t| t.name == "read");
        let turn = next(&request);
        assert_eq!(turn.call, None);
        for word in ["practice mode", "What is the weather?", "`read`", "connect a provider"] {
            assert!(turn.text.contains(word), "{word} in {}", turn.text);
        }
    }
}
