//! `subagent_spawn`, `subagent_wait`, `subagent_list`, `subagent_stop`: a run delegates parts of its work to runs of
//! their own. Spawning is a workspace change, so it happens exactly once. Waiting parks the run.

use std::borrow::Cow;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;

use features::agents::queries as agents;
use features::runs::model::{Awaited, Child, Park, Run};
use features::runs::queries::{children as reading, words};
use features::runs::rules::children::{self, NewChild};
use features::runs::rules::park;
use features::usage::queries::{self as usage, budgets};
use kernel::{Can, Outcome, Thinking, WaitFor};
use store::{Read, ReadExt, StoreError, WriteTx};
use tool::{
    Aliases, Effect, Group, ReadTool, ToolCx, ToolError, ToolOutput, ToolSpec, ToolWait, WriteTool,
};
use web::format;

use super::wait::nothing;

/// The tools; a run that may have no sub-agents gets none of them.
pub(crate) const ALL: &[&str] =
    &["subagent_spawn", "subagent_wait", "subagent_list", "subagent_stop"];
/// By default a sub-agent gets this fraction of its parent's remaining budget.
const SHARE: u64 = 4;
/// Most sub-agents that are listed.
const LISTED: usize = 20;

pub(crate) struct Spawn;

/// What a sub-agent begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Begins {
    /// Only with its task.
    Isolated,
    /// With this conversation.
    Fork,
}

/// What `subagent_spawn` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SpawnArgs {
    /// What to do and everything it must know: it sees nothing of this conversation unless context is fork.
    task: String,
    /// A short name.
    name: Option<String>,
    /// Another model.
    model: Option<String>,
    /// How much it thinks.
    thinking: Option<Thinking>,
    /// Budget in dollars (a quarter of what you have left).
    budget: Option<f64>,
    /// Another agent to do it (you).
    agent: Option<String>,
    /// `fork`: it starts with this conversation (`isolated`).
    context: Option<Begins>,
    /// Time limit in minutes.
    minutes: Option<u32>,
}

impl WriteTool for Spawn {
    type Args = SpawnArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(ALL[0]),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Add,
        about: Cow::Borrowed(
            "Hand part of your work to a sub-agent, which works in parallel; you get its \
            answer.",
        ),
    };
    const ALIASES: Aliases = &[
        ("label", "name"),
        ("task_name", "name"),
        ("prompt", "task"),
        ("agent_id", "agent"),
        ("agentId", "agent"),
    ];

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: SpawnArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let limits = share(cx, tx, args.budget)?;
        let agent = args.agent.filter(|name| !name.trim().is_empty());
        let agent = match &agent {
            Some(name) => Some(agents::by_name(tx, name)?.ok_or_else(|| {
                let text = format!("there is no agent {name}; agent_list shows all agents");
                ToolError::refused("not_found", text)
            })?),
            None => None,
        };
        let by = agent.as_ref().filter(|agent| agent.id != cx.agent);
        let by = by.map_or_else(String::new, |agent| format!(" {} does it.", agent.name));
        let new = NewChild {
            parent: cx.run,
            task: args.task,
            name: args.name.unwrap_or_default(),
            model: args.model.filter(|model| !model.trim().is_empty()),
            thinking: args.thinking,
            limits,
            agent: agent.map(|agent| agent.id),
            fork: args.context == Some(Begins::Fork),
            minutes: args.minutes,
        };
        let (child, run) = children::spawn(tx, new)?;
        let pays = match child.limit_micros {
            Some(micros) => format!(" It can spend {}.", format::money(micros)),
            None => String::new(),
        };
        let mut output = ToolOutput::text(format!(
            "{} has started.{by}{pays} Continue with something else, or wait with {}.",
            children::called(&child, &run),
            ALL[1]
        ));
        output.load = ALL[1..].iter().map(|name| (*name).to_owned()).collect();
        Ok(output)
    }
}

/// The budget of a sub-agent: money in micro-dollars, then tokens.
fn share(
    cx: &ToolCx,
    tx: &WriteTx<'_>,
    wish: Option<f64>,
) -> Result<(Option<i64>, Option<i64>), ToolError> {
    let left = budgets::left_of_run(tx, cx.agent, cx.run, tx.now())?;
    let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let tokens = left.tokens.map(|tokens| whole(tokens / SHARE));
    let Some(dollars) = wish else {
        return Ok((left.micros.map(|micros| whole(micros / SHARE)), tokens));
    };
    // A budget of more than ten million dollars is a mistake.
    let micros = match dollars {
        dollars if 0.0 < dollars && dollars <= 10_000_000.0 => (dollars * 1_000_000.0) as i64,
        _ => {
            return Err(ToolError::refused(
                "invalid_args",
                "give the budget in dollars, such as \
            0.25",
            ));
        }
    };
    match left.micros {
        Some(left) if whole(left) < micros => Err(ToolError::refused(
            "over_budget",
            format!("you only have {} left", format::money(whole(left))),
        )),
        _ => Ok((Some(micros), tokens)),
    }
}

/// The sub-agents with these names.
fn named(cx: &ToolCx, tx: &dyn Read, names: &[String]) -> Result<Vec<Child>, ToolError> {
    let mut all: Vec<Child> = Vec::with_capacity(names.len());
    for name in names {
        let Some((child, _)) = reading::by_name(tx, cx.session, name)? else {
            return Err(ToolError::refused(
                "not_found",
                format!("you have no sub-agent {name}; {} shows yours", ALL[2]),
            ));
        };
        if all.iter().all(|known| known.run != child.run) {
            all.push(child);
        }
    }
    Ok(all)
}

pub(crate) struct Wait;

/// What `subagent_wait` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct WaitArgs {
    /// Which, such as R-12; default: all of yours.
    #[serde(default)]
    ids: Vec<String>,
    /// Until the first has ended, not all.
    #[serde(default)]
    any: bool,
    /// Maximum minutes.
    minutes: Option<i64>,
}

impl WriteTool for Wait {
    type Args = WaitArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(ALL[1]),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed(
            "Wait until your sub-agents have ended or one has failed; returns their answers.",
        ),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: WaitArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let all = match args.ids.is_empty() {
            true => {
                let mut all = Vec::new();
                for child in reading::of_session(tx, cx.session)? {
                    if !reading::is_known(tx, &child)? {
                        all.push(child);
                    }
                }
                all
            }
            false => named(cx, tx, &args.ids)?,
        };
        if all.is_empty() {
            return Ok(ToolOutput::text("No sub-agent is running, and you have all answers."));
        }
        let mut over = if args.any {
            all.iter().any(|child| !child.is_live())
        } else {
            all.iter().all(|child| !child.is_live())
        };
        for child in all.iter().filter(|child| !child.is_live()) {
            over |= tx.get::<Run>(child.run)?.is_none_or(|run| !is_done(&run));
        }
        let until = args.minutes.map(|n| tx.now() + SignedDuration::from_mins(n.clamp(1, 86_400)));
        let wish = Park { until, ..nothing(cx, tx.now()) };
        let known = if over { None } else { park::park(tx, wish)? };
        let Some(known) = known else {
            return Ok(ToolOutput::text(children::report(tx, cx.run, all)?));
        };
        let live: Vec<Child> = all.iter().filter(|child| child.is_live()).cloned().collect();
        let detail = children::names(tx, &live)?;
        let by = Awaited { run: cx.run, step: cx.step, any: args.any };
        children::await_all(tx, all, &by)?;
        Ok(ToolOutput::text("It waits.").waiting(ToolWait {
            waits_for: WaitFor::Child,
            detail,
            until: known.until,
            question: None,
        }))
    }
}

fn is_done(run: &Run) -> bool {
    run.outcome == Some(Outcome::Done)
}

pub(crate) struct List;

/// What `subagent_list` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ListArgs {}

impl ReadTool for List {
    type Args = ListArgs;
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(ALL[2]),
        group: Group::Work,
        needs: Can::Read,
        effect: Effect::Read,
        about: Cow::Borrowed("List your sub-agents with their state and cost."),
    };

    async fn read(&self, cx: &ToolCx, _: ListArgs) -> Result<ToolOutput, ToolError> {
        let now = cx.ws.app.clock.now();
        let lines = cx.ws.read(|snap| {
            let mut lines = Vec::new();
            for child in reading::of_session(snap, cx.session)?.iter().rev().take(LISTED) {
                let Some(run) = snap.get::<Run>(child.run)? else { continue };
                let state = words::state(&run).label.to_lowercase();
                let seconds = run.worked(now) / 1_000;
                let cost = format::money(usage::run_cost(snap, run.id)?);
                let doing =
                    if child.is_live() { format!(", {}", run.activity) } else { String::new() };
                lines.push(format!(
                    "{}: {state}, {seconds} s of work, {cost}{}",
                    children::called(child, &run),
                    doing.trim_end_matches(", ")
                ));
            }
            Ok::<_, StoreError>(lines)
        })?;
        Ok(ToolOutput::text(match lines.is_empty() {
            true => "You have no sub-agents here.".to_owned(),
            false => lines.join("\n"),
        }))
    }
}

pub(crate) struct Stop;

/// What `subagent_stop` takes.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct StopArgs {
    /// Which, such as R-12.
    id: String,
}

impl WriteTool for Stop {
    type Args = StopArgs;
    type Ready = ();
    const SPEC: ToolSpec = ToolSpec {
        name: Cow::Borrowed(ALL[3]),
        group: Group::Work,
        needs: Can::Write,
        effect: Effect::Control,
        about: Cow::Borrowed("Stop one of your sub-agents and those it has created."),
    };

    fn commit(
        &self,
        cx: &ToolCx,
        tx: &mut WriteTx<'_>,
        args: StopArgs,
        (): (),
    ) -> Result<ToolOutput, ToolError> {
        let name = args.id;
        let Some(child) = named(cx, tx, std::slice::from_ref(&name))?.pop() else {
            return Err(ToolError::refused("not_found", "you have no such sub-agent"));
        };
        if !child.is_live() {
            return Ok(ToolOutput::text("It has already ended."));
        }
        children::stop(tx, child, None)?;
        Ok(ToolOutput::text("Stopped."))
    }
}
