//! `hq agent run`: one question, its answer, and with `--json` all that is known of how it came about.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::commands::print;
use crate::door::{Ask, Door};
use crate::operate::Place;
use crate::reach::CommandError;
use crate::{Common, LIMIT, OK, complain, runs};
use web::format;

use super::{question, word};

/// Flags of `hq agent run`.
#[derive(Args)]
pub struct Run {
    /// Its slug or id
    agent: String,
    /// The question; - reads it from standard input
    #[arg(required = true)]
    text: Vec<String>,
    /// Instructions for this question
    #[arg(long)]
    instructions: Option<String>,
    /// A conversation with memory, by a name that you choose; `main` is the chat on the page
    #[arg(long, value_name = "NAME")]
    session: Option<String>,
    /// Another model for this question
    #[arg(long)]
    model: Option<String>,
    /// The thinking level: none, low, medium, high or max
    #[arg(long, value_name = "LEVEL")]
    thinking: Option<String>,
    /// The time limit in seconds; exits with 2 when it is over
    #[arg(long, default_value_t = 600, value_name = "SECONDS")]
    timeout: u64,
    #[command(flatten)]
    place: Place,
}

/// Why there is no whole answer: a stable word for programs, and a sentence.
type Why = (String, String);

/// Asks, and prints what is answered.
pub async fn run(common: &Common, door: &Door, flags: &Run) -> Result<u8, CommandError> {
    let workspace = flags.place.workspace.as_ref();
    let answer = match answer(door, flags).await {
        Err(error) if common.json => return without_answer(common, &error),
        answered => answered?,
    };
    let id = word(&answer, "id");
    let name = id.strip_prefix("resp_").unwrap_or(id);
    let run = door.call(Ask::get(format!("/api/v1/runs/{name}")).within(workspace)).await?;
    // People are shown the answer alone.
    let steps = match common.json {
        true => runs::steps(door, name, &flags.place).await?,
        false => Vec::new(),
    };
    let cut = cut_short(&answer, &run);
    let report = envelope(&answer, &run, &steps, cut.as_ref());
    print(common, &report, &[word(&report, "final").to_owned()])?;
    let Some((_, why)) = cut else { return Ok(OK) };
    complain(&why);
    Ok(LIMIT)
}

/// Waits for the answer.
async fn answer(door: &Door, flags: &Run) -> Result<Value, CommandError> {
    let text = question(&flags.text)?;
    let mut body = json!({
        "model": format!("hq/{}", flags.agent), "input": text, "instructions": flags.instructions,
    });
    if let Some(level) = &flags.thinking {
        body["reasoning"] = json!({ "effort": level });
    }
    let ask = Ask::post("/v1/responses", &body)
        .within(flags.place.workspace.as_ref())
        .header("x-hq-session-key", flags.session.as_ref())
        .header("x-hq-model", flags.model.as_ref());
    let longest = Duration::from_secs(flags.timeout);
    let Ok(answered) = tokio::time::timeout(longest, door.call(ask)).await else {
        let seconds = format::count(flags.timeout, "second", "seconds");
        return Err(CommandError::Late(format!("no answer within {seconds}")));
    };
    answered
}

/// Tells programs why there is no answer at all.
fn without_answer(common: &Common, error: &CommandError) -> Result<u8, CommandError> {
    let status = match error {
        CommandError::Late(_) => "timeout",
        error if error.code() == LIMIT => "limit",
        _ => "failed",
    };
    let why = json!({ "message": error.to_string(), "kind": error.kind() });
    print(common, &json!({ "ok": false, "status": status, "error": why }), &[])?;
    complain(&error.to_string());
    Ok(error.code())
}

/// An answer with all that is known of its run, for programs.
fn envelope(answer: &Value, run: &Value, steps: &[Value], cut: Option<&Why>) -> Value {
    let contents = answer["output"].as_array().into_iter().flatten();
    let contents = contents.filter_map(|item| item["content"].as_array()).flatten();
    let texts: Vec<&str> = contents.filter_map(|content| content["text"].as_str()).collect();
    let payloads: Vec<Value> = texts.iter().map(|text| json!({ "text": text })).collect();
    let (usage, used) = (&answer["usage"], &run["used"]);
    let mut report = json!({
        "ok": cut.is_none(),
        "status": answer["status"],
        "final": texts.last().copied().unwrap_or_default(),
        "payloads": payloads,
        "usage": {
            "input": usage["input_tokens"],
            "output": usage["output_tokens"],
            "total": usage["total_tokens"],
            "cacheRead": usage["input_tokens_details"]["cached_tokens"],
            "cacheWrite": used["tokens"]["cache_write"],
        },
        "costUsd": run["cost_micros"].as_f64().map(|micros| micros / 1e6),
        "assistantTurns": run["calls"],
        "toolSummary": tool_summary(steps),
        "model": used["model"].as_str().or(run["model"].as_str()),
        "provider": used["provider"],
        "sessionId": run["session"],
        "run": run["name"],
        "responseId": answer["id"],
    });
    if let Some((kind, message)) = cut {
        report["error"] = json!({ "message": message, "kind": kind });
    }
    report
}

/// What the tools of a run did: how often, which, how many went wrong, and for how long.
fn tool_summary(steps: &[Value]) -> Value {
    let (mut calls, mut failures, mut millis) = (0_u32, 0_u32, 0_u64);
    let mut tools: Vec<&str> = Vec::new();
    for step in steps.iter().filter(|step| word(step, "kind") == "tool_finished") {
        calls += 1;
        failures += u32::from(word(step, "status") != "ok");
        millis += step["millis"].as_u64().unwrap_or_default();
        let name = word(step, "name");
        if !tools.contains(&name) {
            tools.push(name);
        }
    }
    json!({ "calls": calls, "tools": tools, "failures": failures, "totalToolTimeMs": millis })
}

/// Why an answer is not whole; nothing for one that is.
fn cut_short(answer: &Value, run: &Value) -> Option<Why> {
    if word(answer, "status") != "incomplete" {
        return None;
    }
    let (name, reason) = (word(run, "name"), word(&answer["incomplete_details"], "reason"));
    let (kind, why) = match (word(&run["outcome"], "word"), reason) {
        ("limit", _) => {
            let reason = word(&run["outcome"], "reason");
            ("limit", format!("{reason} To continue it: `hq runs continue {name}`"))
        }
        (_, "content_filter") => (reason, "the provider refuses the rest".to_owned()),
        _ => (reason, "it is longer than the model's output limit".to_owned()),
    };
    Some((kind.to_owned(), format!("the answer was cut short: {why}")))
}

#[cfg(test)]
mod tests {
    use super::{cut_short, envelope};
    use serde_json::{Value, json};

    fn run(outcome: &str) -> Value {
        let reason = "The most model calls of one run were made.";
        json!({
            "name": "R-2", "outcome": { "word": outcome, "reason": reason }, "calls": 3,
            "cost_micros": 1_500_000, "model": "opus", "session": "s-1",
            "used": { "model": "spare", "provider": "anthropic", "tokens": { "cache_write": 7 } },
        })
    }

    #[test]
    fn an_answer_that_is_not_whole_says_why() {
        let answer = |reason: &str| {
            let details = json!({ "reason": reason });
            json!({ "status": "incomplete", "incomplete_details": details })
        };
        assert_eq!(cut_short(&json!({ "status": "completed" }), &run("done")), None);
        for (reason, outcome, kind, words) in [
            ("max_output_tokens", "limit", "limit", "most model calls"),
            ("max_output_tokens", "limit", "limit", "continue R-2"),
            ("max_output_tokens", "done", "max_output_tokens", "longer than"),
            ("content_filter", "done", "content_filter", "refuses"),
        ] {
            let (code, why) = cut_short(&answer(reason), &run(outcome)).expect("words");
            assert!(code == kind && why.contains(words), "{code}: {why}");
        }
    }

    #[test]
    fn programs_are_told_all_that_is_known_of_an_answer() {
        let answer = json!({
            "id": "resp_1", "status": "completed",
            "output": [{ "content": [{ "type": "output_text", "text": "Three." }] }],
            "usage": { "input_tokens": 40, "output_tokens": 2, "total_tokens": 42,
                       "input_tokens_details": { "cached_tokens": 30 } },
        });
        let tool = |name: &str, status: &str, millis: u64| json!({ "kind": "tool_finished", "name": name, "status": status, "millis": millis });
        let steps = [
            json!({ "kind": "tool_started", "name": "read" }),
            tool("read", "ok", 5),
            tool("exec", "timeout", 90),
            tool("read", "error", 2),
        ];
        let report = envelope(&answer, &run("done"), &steps, None);
        assert_eq!((&report["ok"], &report["final"]), (&json!(true), &json!("Three.")));
        assert_eq!(report["payloads"], json!([{ "text": "Three." }]));
        let usage = json!({
            "input": 40, "output": 2, "total": 42, "cacheRead": 30, "cacheWrite": 7,
        });
        assert_eq!((&report["usage"], &report["costUsd"]), (&usage, &json!(1.5)));
        let tools = json!({
            "calls": 3, "tools": ["read", "exec"], "failures": 2, "totalToolTimeMs": 97,
        });
        assert_eq!(report["toolSummary"], tools);
        assert_eq!((&report["model"], &report["provider"]), (&json!("spare"), &json!("anthropic")));
        assert!(report["error"].is_null(), "{report}");
        let why = ("limit".to_owned(), "cut short".to_owned());
        let report = envelope(&answer, &run("limit"), &[], Some(&why));
        assert_eq!(report["error"], json!({ "message": "cut short", "kind": "limit" }));
    }
}
