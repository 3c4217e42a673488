//! `hq runs …`: what agents do and did.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use kernel::Route;
use kernel::text::ellipsis;
use net::lines::LineParser;
use providers::model::Part;
use web::format;

use super::agents::{items, second, word};
use super::commands::{or_none, print};
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;
use super::{Common, FAILED, OK, say};

/// How often a run that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(300);
/// The longest line of an export.
const MAX_LINE: usize = 16 << 20;
/// How much of a line is shown.
const WIDTH: usize = 160;

/// `hq runs …`
#[derive(Subcommand)]
pub enum Command {
    /// List runs, newest first
    List(List),
    /// Show a run and its steps
    Show(Named),
    /// Show a run and follow it until it ends; exits with 1 if it failed
    Follow(Named),
    /// Stop a run; it ends within a second
    Stop(Named),
    /// Take a run back from a machine that does not respond: the run ends and its work starts again
    TakeBack(Named),
    /// Show what filled the context at a run's last model call, part by part
    Context(Named),
    /// Continue a run that ended at a limit, was stopped or crashed
    Continue(Continue),
    /// Retry an ended run, in its place
    Retry(Retry),
    /// Start a run again beside it, for example with another model
    Fork(Fork),
    /// Export a run with all its events as JSON Lines
    Export(Named),
    /// Compare two runs: model, outcome, cost, tokens, time
    Compare(Compare),
}

/// Flags of `hq runs continue`.
#[derive(Args)]
pub struct Continue {
    #[command(flatten)]
    named: Named,
    /// A message for its agent
    #[arg(long, default_value = "")]
    text: String,
}

/// Flags of `hq runs retry`.
#[derive(Args)]
pub struct Retry {
    #[command(flatten)]
    fork: Fork,
    /// First undo its changes from that step on, in the workspace and in files
    #[arg(long)]
    undo: bool,
}

/// Flags of `hq runs fork`.
#[derive(Args)]
pub struct Fork {
    #[command(flatten)]
    named: Named,
    /// The step, as numbered on its page [default: the start]
    #[arg(long, value_name = "STEP")]
    from: Option<String>,
    /// Another model
    #[arg(long)]
    model: Option<String>,
    /// The thinking level: none, low, medium, high or max
    #[arg(long)]
    thinking: Option<String>,
}

/// Which two runs.
#[derive(Args)]
pub struct Compare {
    /// The first run
    a: String,
    /// The second run
    b: String,
    #[command(flatten)]
    place: Place,
}

/// Flags of `hq runs list`.
#[derive(Args)]
pub struct List {
    /// Only runs of an agent, by slug or id
    #[arg(long)]
    agent: Option<String>,
    /// Only runs on a gateway, by slug, name or id; local is the machine that HQ runs on
    #[arg(long)]
    gateway: Option<String>,
    /// Only runs in this state: queued, running, waiting or ended
    #[arg(long)]
    state: Option<String>,
    /// Only runs of a task, by its key
    #[arg(long)]
    task: Option<String>,
    /// Maximum number, up to 100
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    place: Place,
}

/// Which run.
#[derive(Args)]
pub struct Named {
    /// Its name, such as R-12, or its id
    run: String,
    #[command(flatten)]
    place: Place,
}

pub async fn run(common: &Common, door: &Door, command: Command) -> Result<u8, CommandError> {
    match command {
        Command::List(flags) => list(common, door, &flags).await,
        Command::Show(named) => show(common, door, &named).await,
        Command::Follow(named) => follow(common, door, &named).await,
        Command::Stop(named) => cut_off(common, door, &named, "stop").await,
        Command::TakeBack(named) => cut_off(common, door, &named, "take-back").await,
        Command::Context(named) => context(common, door, &named).await,
        Command::Continue(flags) => onward(common, door, &flags).await,
        Command::Retry(flags) => {
            branch(common, door, &flags.fork, ("retry", json!({ "undo": flags.undo }))).await
        }
        Command::Fork(flags) => branch(common, door, &flags, ("fork", json!({}))).await,
        Command::Compare(flags) => compare(common, door, &flags).await,
        Command::Export(named) => export(door, &named).await,
    }
}

/// Ends a run; how it ended is told with why.
async fn cut_off(
    common: &Common,
    door: &Door,
    named: &Named,
    how: &str,
) -> Result<u8, CommandError> {
    let path = format!("/api/v1/runs/{}/{how}", named.run);
    let body = json!({});
    let run = door.call(Ask::post(path, &body).within(named.place.workspace.as_ref())).await?;
    let mut lines = vec![line(&run)];
    if let Some(reason) = run["outcome"]["reason"].as_str() {
        lines.push(reason.to_owned());
    }
    print(common, &run, &lines)
}

async fn branch(
    common: &Common,
    door: &Door,
    flags: &Fork,
    (how, mut body): (&str, Value),
) -> Result<u8, CommandError> {
    for (name, value) in
        [("from", &flags.from), ("model", &flags.model), ("thinking", &flags.thinking)]
    {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let path = format!("/api/v1/runs/{}/{how}", flags.named.run);
    let made =
        door.call(Ask::post(path, &body).within(flags.named.place.workspace.as_ref())).await?;
    let (name, of, waits) = (word(&made, "name"), word(&made, "of"), word(&made, "waits"));
    let from = match made["from"].as_u64() {
        Some(step) => format!("from step {step}"),
        None => "from the start".to_owned(),
    };
    print(common, &made, &[format!("{name} runs {of} again {from}. {waits}").trim().to_owned()])
}

async fn context(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let path = format!("/api/v1/runs/{}/context", named.run);
    let made = door.call(Ask::get(path).within(named.place.workspace.as_ref())).await?;
    let about = if made["counted"] == true { "" } else { "about " };
    let of = match made["window"].as_u64() {
        Some(window) => format!(" of {}", format::grouped(window)),
        None => String::new(),
    };
    let sum = format::grouped(made["tokens"].as_u64().unwrap_or_default());
    let mut lines = vec![format!("{about}{sum}{of} tokens, {}", word(&made, "model"))];
    for part in made["parts"].as_array().into_iter().flatten() {
        let tokens = format::grouped(part["tokens"].as_u64().unwrap_or_default());
        let (kind, name) = (word(part, "kind"), word(part, "name"));
        lines.push(format!("{tokens:>10}  {kind:<10} {name}"));
    }
    print(common, &made, &lines)
}

async fn onward(common: &Common, door: &Door, flags: &Continue) -> Result<u8, CommandError> {
    let path = format!("/api/v1/runs/{}/continue", flags.named.run);
    let body = json!({ "text": flags.text });
    let workspace = flags.named.place.workspace.as_ref();
    let made = door.call(Ask::post(path, &body).within(workspace)).await?;
    let line = format!("{} continues as {}", word(&made, "of"), word(&made, "name"));
    print(common, &made, &[line])
}

async fn compare(common: &Common, door: &Door, flags: &Compare) -> Result<u8, CommandError> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("a", &flags.a).append_pair("b", &flags.b);
    let path = format!("/api/v1/runs/compare?{}", query.finish());
    let both = door.call(Ask::get(path).within(flags.place.workspace.as_ref())).await?;
    let lines: Vec<String> = ["a", "b"].map(|side| figures(&both[side])).to_vec();
    print(common, &both, &lines)
}

/// Writes lines as they come.
async fn export(door: &Door, named: &Named) -> Result<u8, CommandError> {
    let path = format!("/api/v1/runs/{}/export", named.run);
    let mut pieces = door.open(Ask::get(path).within(named.place.workspace.as_ref())).await?;
    let mut lines = LineParser::new(MAX_LINE);
    while let Some(piece) = pieces.next().await? {
        let whole = lines.push(&piece).map_err(|error| CommandError::Failed(error.to_string()))?;
        whole.iter().for_each(|line| say(line));
    }
    Ok(OK)
}

/// The figures of one of two runs in one line.
fn figures(side: &Value) -> String {
    let state = match word(side, "outcome") {
        "" => word(side, "state"),
        outcome => outcome,
    };
    let cost = side["cost_micros"].as_f64().unwrap_or_default() / 1e6;
    let seconds = side["worked_ms"].as_f64().unwrap_or_default() / 1e3;
    format!(
        "{:<8} {state:<12} ${cost:<8.4} {} in, {} out  {} calls, {} tools  {seconds:.1} s  {}",
        word(side, "run"),
        side["tokens_sent"],
        side["tokens_received"],
        side["calls"],
        side["steps"],
        word(side, "model"),
    )
}

async fn list(common: &Common, door: &Door, flags: &List) -> Result<u8, CommandError> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &flags.limit.to_string());
    for (name, value) in [
        ("agent", &flags.agent),
        ("gateway", &flags.gateway),
        ("state", &flags.state),
        ("task", &flags.task),
    ] {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    let path = format!("/api/v1/runs?{}", query.finish());
    let all = door.call(Ask::get(path).within(flags.place.workspace.as_ref())).await?;
    let lines: Vec<String> = items(&all).iter().map(line).collect();
    print(common, &all, &or_none(lines, "No runs."))
}

/// A line for each message that carries the run's answer to a messenger.
fn delivery_lines(run: &Value) -> Vec<String> {
    let line = |one: &Value| {
        let part = match one["parts"].as_u64() {
            Some(2..) => format!(" part {}", one["part"]),
            _ => String::new(),
        };
        let why = match word(one, "detail") {
            "" => String::new(),
            detail => format!(": {detail}"),
        };
        format!("{} on {}{part}{why}", word(one, "state"), word(one, "channel"))
    };
    run["deliveries"].as_array().into_iter().flatten().map(line).collect()
}

fn line(run: &Value) -> String {
    let (outcome, detail) = (word(&run["outcome"], "word"), word(&run["waiting"], "detail"));
    let state = match (outcome, detail, word(&run["silent"], "name")) {
        ("", "", "") => word(run, "state").to_owned(),
        ("", "", machine) => format!("waiting for {machine}, which isn't responding"),
        ("", detail, _) => format!("waiting: {detail}"),
        (outcome, ..) => outcome.to_owned(),
    };
    let cost = run["cost_micros"].as_f64().unwrap_or_default() / 1e6;
    let (name, at) = (word(run, "name"), second(run, "created_at"));
    format!("{name:<8} {at}Z ${cost:<8.4} {state:<20} {}", word(run, "title"))
}

/// The machine that a run works on, where that is not the one that HQ runs on.
fn place(run: &Value) -> Option<String> {
    let gateway = word(run, "gateway");
    let is_away = !["", "local"].contains(&gateway);
    is_away.then(|| format!("on {gateway}"))
}

/// What bounds a run that has not ended, beside how far it has come.
fn limits(run: &Value) -> Option<String> {
    let most = run["limits"].as_object()?;
    let number = |name: &str| most.get(name).and_then(Value::as_u64);
    let (calls, tools) = (number("calls")?, number("tool_calls")?);
    let mut words = format!(
        "{} of {calls} model calls, {} of {tools} tool calls, at most {} min of work",
        run["calls"],
        run["steps"],
        number("working_minutes")?
    );
    if let Some(micros) = most.get("cost_micros").and_then(Value::as_i64) {
        words.push_str(&format!(", {}", format::money(micros)));
    }
    if let Some(tokens) = number("tokens") {
        words.push_str(&format!(", {} tokens", format::grouped(tokens)));
    }
    Some(words)
}

/// Which model a run has, who chose it, and who answered over which connection, once somebody has.
fn answers(run: &Value) -> Option<String> {
    let model = run["model"].as_str().filter(|model| !model.is_empty())?;
    let mut words = match word(run, "model_source") {
        "default" => format!("{model}, the only model"),
        by => format!("{model}, chosen by the {by}"),
    };
    let used = &run["used"];
    if let Ok(route) = word(used, "route").parse::<Route>() {
        let over = match word(used, "connection_name") {
            "" => String::new(),
            name => format!(" over {name}"),
        };
        words.push_str(&format!("; answers: {}{over} ({})", word(used, "model"), route.label()));
    }
    Some(words)
}

/// The tokens of a run by kind, once it has used any.
fn tokens(run: &Value) -> Option<String> {
    let tokens = run["used"]["tokens"].as_object()?;
    let number = |kind: &str| tokens.get(kind).and_then(Value::as_u64);
    let tokens = |kind: &str| format::grouped(number(kind).unwrap_or_default());
    let mut words = format!(
        "{} tokens: {} in, {} from cache, {} into cache, {} out",
        tokens("total"),
        tokens("input"),
        tokens("cache_read"),
        tokens("cache_write"),
        tokens("output"),
    );
    if number("reasoning").is_some() {
        words.push_str(&format!(" ({} of them thinking)", tokens("reasoning")));
    }
    Some(words)
}

async fn show(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let run = fetch(door, named).await?;
    let steps = steps(door, &named.run, &named.place).await?;
    let mut lines = vec![line(&run)];
    lines.extend([place(&run), answers(&run), tokens(&run), limits(&run)].into_iter().flatten());
    lines.extend(delivery_lines(&run));
    lines.extend(steps.iter().filter_map(describe_step));
    print(common, &json!({ "run": run, "steps": steps }), &lines)
}

async fn follow(common: &Common, door: &Door, named: &Named) -> Result<u8, CommandError> {
    let mut after = None;
    loop {
        // First the run, then its steps: those of an ended one are all there.
        let run = fetch(door, named).await?;
        let ended = word(&run, "state") == "ended";
        loop {
            let page = page(door, &named.run, &named.place, after).await?;
            let Some(last) = page.last().and_then(|step| step["n"].as_u64()) else { break };
            after = Some(last);
            for step in &page {
                let line = if common.json { Some(step.to_string()) } else { describe_step(step) };
                line.iter().for_each(|line| say(line));
            }
        }
        if ended {
            say(&if common.json { run.to_string() } else { line(&run) });
            let well = ["done", "snoozed"].contains(&word(&run["outcome"], "word"));
            return Ok(if well { OK } else { FAILED });
        }
        tokio::time::sleep(GLANCE).await;
    }
}

async fn fetch(door: &Door, named: &Named) -> Result<Value, CommandError> {
    let path = format!("/api/v1/runs/{}", named.run);
    door.call(Ask::get(path).within(named.place.workspace.as_ref())).await
}

/// All steps of a run, in order.
pub async fn steps(door: &Door, run: &str, place: &Place) -> Result<Vec<Value>, CommandError> {
    let (mut steps, mut after) = (Vec::new(), None);
    loop {
        let page = page(door, run, place, after).await?;
        let Some(last) = page.last().and_then(|step| step["n"].as_u64()) else { return Ok(steps) };
        after = Some(last);
        steps.extend(page);
    }
}

/// The steps behind one, up to 100.
async fn page(
    door: &Door,
    run: &str,
    place: &Place,
    after: Option<u64>,
) -> Result<Vec<Value>, CommandError> {
    let mut path = format!("/api/v1/runs/{run}/steps?limit=100");
    if let Some(after) = after {
        path.push_str(&format!("&after={after}"));
    }
    let page = door.call(Ask::get(path).within(place.workspace.as_ref())).await?;
    Ok(items(&page).to_vec())
}

/// A step in one line; nothing for what says nothing to people.
fn describe_step(step: &Value) -> Option<String> {
    let text = word(&step["content"], "text");
    let words = match word(step, "kind") {
        "input" => format!("< {}: {text}", word(step, "by")),
        "assistant" => describe_parts(text)?,
        "tool_finished" => {
            let (name, status) = (word(step, "name"), word(step, "status"));
            format!("  {name}: {status} in {} ms: {text}", step["millis"])
        }
        "notice" => format!("  note: {}", word(step, "text")),
        "call_failed" => {
            format!("! {}: {}", word(step, "class"), word(step, "message"))
        }
        "waiting" => format!("… {}", word(step, "detail")),
        "interrupted" => format!("! interrupted: {}", word(step, "what")),
        "run_ended" => format!("= {}", word(&step["outcome"], "word")),
        _ => return None,
    };
    let flat = words.split_whitespace().collect::<Vec<_>>().join(" ");
    let lead = if words.starts_with(' ') { "  " } else { "" };
    Some(format!("{lead}{}", ellipsis(&flat, WIDTH)))
}

/// The words of the model, of the parts that it answered with.
fn describe_parts(parts: &str) -> Option<String> {
    let parts: Vec<Part> = serde_json::from_str(parts).ok()?;
    let texts = parts.into_iter().filter_map(|part| match part {
        Part::Text { text } => Some(text),
        _ => None,
    });
    let text = texts.collect::<Vec<_>>().join(" ");
    (!text.trim().is_empty()).then(|| format!("> {text}"))
}

#[cfg(test)]
mod tests {
    use super::{answers, tokens};
    use serde_json::json;

    #[test]
    fn who_answers_and_the_tokens_of_a_run_are_told_in_two_lines() {
        let mut run = json!({ "model": "opus", "model_source": "agent", "used": null });
        assert_eq!(answers(&run).as_deref(), Some("opus, chosen by the agent"));
        assert_eq!(tokens(&run), None);
        run["used"] = json!({
            "model": "spare", "connection_name": "Second", "route": "subscription",
            "tokens": { "input": 1200, "cache_read": 3000, "cache_write": 5, "output": 250,
                        "reasoning": null, "total": 4455 },
        });
        let text = "opus, chosen by the agent; answers: spare over Second (Subscription)";
        assert_eq!(answers(&run).as_deref(), Some(text));
        let text = "4,455 tokens: 1,200 in, 3,000 from cache, 5 into cache, 250 out";
        assert_eq!(tokens(&run).as_deref(), Some(text));
        run["used"]["tokens"]["reasoning"] = json!(40);
        assert!(tokens(&run).is_some_and(|text| text.ends_with("250 out (40 of them thinking)")));
        assert_eq!(answers(&json!({ "model": "" })), None);
    }
}
