//! Which tools a run is offered, and how their calls are carried out.
//!
//! Calls that only look run side by side; as soon as one of a message changes something, all run
//! one after the other in the order of the message. The kind of a tool decides what is written
//! when: see `tool/mod.rs`.

use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::features::agents::model::Agent;
use crate::features::runs::model::{CallStatus, EventKind, FileMark};
use crate::features::runs::queries as runs;
use crate::kernel::{Can, Outcome, RunTrigger};
use crate::providers::model::ToolDef;
use crate::tool::registry::Entry;
use crate::tool::{AnyTool, Effect, FilePlan, RunEnd, ToolCx, ToolError, ToolOutput};

use super::journal::{blocking, save};
use super::tools::folder;
use super::turn::Turn;
use super::{Engine, EngineError, commit};

/// How many calls that only look run at once.
const SIDE_BY_SIDE: usize = 8;
/// The longest that a tool without a limit of its own may take.
const MAX_TOOL: Duration = Duration::from_secs(660);
/// How long a stopped tool may take to end before it is left behind.
const GRACE: Duration = Duration::from_millis(850);

const SKIPPED: &str = "Skipped due to queued user message.";

/// Sent with each run that serves an item, in this order, so that the prefix stays cached.
const WORK: &[&str] = &[
    "work_done",
    "work_fail",
    "task_get",
    "task_update",
    "comment_add",
    "deliverable_submit",
    "read",
    "write",
    "edit",
    "search",
    "exec",
    "tool_search",
];
/// Sent with each chat or API run.
const TALK: &[&str] = &[
    "task_list",
    "task_get",
    "task_create",
    "task_update",
    "comment_add",
    "read",
    "edit",
    "search",
    "exec",
    "web_fetch",
    "tool_search",
];
/// What agents may do in the workspace; approving is for people.
const RIGHTS: &[Can] = &[Can::Open, Can::Read, Can::Write, Can::Chat];

/// Whether an agent may use a tool at all.
pub(super) fn may_use(agent: &Agent, trigger: RunTrigger, entry: &Entry) -> bool {
    let ends_work = matches!(entry.spec.name, "work_done" | "work_fail" | "work_snooze");
    RIGHTS.contains(&entry.spec.needs)
        && (agent.exec || entry.spec.effect != Effect::Exec)
        && (trigger == RunTrigger::Item || !ends_work)
}

/// The tools that a run is offered: the core set, then those that were found.
pub(super) fn offered(
    engine: &Engine,
    agent: &Agent,
    trigger: RunTrigger,
    loaded: &[String],
) -> Vec<ToolDef> {
    let core = if trigger == RunTrigger::Item { WORK } else { TALK };
    let found = loaded.iter().map(String::as_str).filter(|name| !core.contains(name));
    core.iter()
        .copied()
        .chain(found)
        .filter_map(|name| engine.tools.get(name))
        .filter(|entry| may_use(agent, trigger, entry))
        .map(definition)
        .collect()
}

fn definition(entry: &Entry) -> ToolDef {
    ToolDef {
        name: entry.spec.name.to_owned(),
        description: entry.spec.about.to_owned(),
        schema: entry.schema.clone(),
    }
}

/// A call as the model made it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

impl Call {
    pub(super) fn of((id, name, arguments): (&str, &str, &str)) -> Self {
        let name = match name {
            "ls" => "list",
            "glob" | "grep" => "search",
            "deliverable_revise" => "deliverable_submit",
            other => other,
        };
        Self { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned() }
    }
}

/// A result before it is written down.
struct Outcomes {
    status: CallStatus,
    output: ToolOutput,
    millis: u64,
    paths: Vec<String>,
}

impl Outcomes {
    fn of(result: Result<ToolOutput, ToolError>, millis: u64) -> Result<Self, EngineError> {
        let output = match result {
            Ok(output) => output,
            Err(error) => error.into_output()?,
        };
        let status = if output.is_error { CallStatus::Error } else { CallStatus::Ok };
        Ok(Self { status, output, millis, paths: Vec::new() })
    }

    fn without(status: CallStatus, text: impl Into<String>) -> Self {
        Self { status, output: ToolOutput::error(text), millis: 0, paths: Vec::new() }
    }
}

fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Turn {
    /// Carries out the calls of one message. Answers whether the run goes on.
    pub(super) async fn run_tools(&mut self, calls: Vec<Call>) -> Result<bool, EngineError> {
        let only_looks = |call: &Call| {
            self.engine.tools.get(&call.name).is_some_and(|e| matches!(e.tool, AnyTool::Read(_)))
        };
        if calls.len() > 1 && calls.iter().all(only_looks) {
            return self.look(calls).await;
        }
        for (at, call) in calls.iter().enumerate() {
            if self.cancel.is_cancelled() {
                return self.stopped().await;
            }
            if at > 0 && self.somebody_spoke()? {
                for skipped in &calls[at..] {
                    let outcome = Outcomes::without(CallStatus::Skipped, SKIPPED);
                    self.finish(skipped, outcome).await?;
                }
                return Ok(true);
            }
            if let Some(end) = self.run_tool(call).await? {
                return self.ended_by_tool(end).await;
            }
        }
        if self.cancel.is_cancelled() { self.stopped().await } else { Ok(true) }
    }

    fn somebody_spoke(&self) -> Result<bool, EngineError> {
        let session = self.session;
        self.journal.ws.read(|snap| Ok(!runs::open_inputs(snap, session)?.is_empty()))
    }

    fn cx(&self, step: u32) -> ToolCx {
        ToolCx {
            ws: self.journal.ws.clone(),
            agent: self.agent.id,
            run: self.journal.run,
            step,
            session: self.session,
            item: self.run.item,
            task: self.run.task,
            folder: self.journal.ws.agent_folder(&self.agent.slug),
            cancel: self.cancel.clone(),
        }
    }

    /// Calls that only look, side by side; their results are one transaction.
    async fn look(&mut self, calls: Vec<Call>) -> Result<bool, EngineError> {
        let mut results = Vec::with_capacity(calls.len());
        let mut step = self.journal.steps;
        for some in calls.chunks(SIDE_BY_SIDE) {
            let mut work = Vec::with_capacity(some.len());
            for call in some {
                step += 1;
                work.push(self.read_one(call, step));
            }
            results.extend(futures_util::future::join_all(work).await);
        }
        let mut events = Vec::with_capacity(calls.len());
        let mut load = Vec::new();
        for (at, (call, result)) in calls.iter().zip(results).enumerate() {
            let step = self.journal.steps + 1 + u32::try_from(at).unwrap_or(0);
            let Outcomes { status, output, millis, paths } = result?;
            load.extend(output.load);
            let result = self.journal.body(step, output.text).await?;
            events.push(EventKind::ToolFinished {
                step,
                call_id: call.id.clone(),
                name: call.name.clone(),
                status,
                result,
                millis,
                paths,
                seq: None,
            });
        }
        self.write_down(events, load).await?;
        if self.cancel.is_cancelled() { self.stopped().await } else { Ok(true) }
    }

    async fn read_one(&self, call: &Call, step: u32) -> Result<Outcomes, EngineError> {
        let start = Instant::now();
        let Some(Entry { tool: AnyTool::Read(tool), .. }) = self.engine.tools.get(&call.name)
        else {
            return Err(EngineError::Broken("a tool changed its kind"));
        };
        let cx = self.cx(step);
        let work = tool.read(&cx, &call.arguments);
        match self.guarded(work).await {
            Some(result) => Outcomes::of(result, since(start)),
            None => Ok(self.cut_off(start)),
        }
    }

    /// Waits for a tool, no longer than a stop or the limit allows.
    async fn guarded<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(work);
        tokio::select! {
            result = &mut work => Some(result),
            () = tokio::time::sleep(MAX_TOOL) => None,
            () = self.cancel.cancelled() => tokio::time::timeout(GRACE, work).await.ok(),
        }
    }

    fn cut_off(&self, start: Instant) -> Outcomes {
        let mut outcome = if self.cancel.is_cancelled() {
            Outcomes::without(CallStatus::Stopped, "stopped by a person")
        } else {
            Outcomes::without(CallStatus::Timeout, "this took too long and was ended")
        };
        outcome.millis = since(start);
        outcome
    }

    /// One call of any kind. Answers how the run ends, if it does.
    async fn run_tool(&mut self, call: &Call) -> Result<Option<RunEnd>, EngineError> {
        let tools = self.engine.tools.clone();
        let Some(entry) = tools.get(&call.name) else {
            let near = tools.nearest(&call.name).join(", ");
            let text = format!("there is no tool \"{}\". Near: {near}", call.name);
            self.finish(call, Outcomes::without(CallStatus::Error, text)).await?;
            return Ok(None);
        };
        if !may_use(&self.agent, self.trigger, entry) {
            let text = format!("you may not use {} here", call.name);
            self.finish(call, Outcomes::without(CallStatus::Error, text)).await?;
            return Ok(None);
        }
        let step = self.journal.steps + 1;
        match &entry.tool {
            AnyTool::Read(_) => {
                let outcome = self.read_one(call, step).await?;
                self.finish(call, outcome).await?;
                Ok(None)
            }
            AnyTool::Write(tool) => {
                let start = Instant::now();
                let cx = self.cx(step);
                if matches!(call.name.as_str(), "work_done" | "work_fail" | "work_snooze")
                    && let Some(committed) = commit::files(&mut self.journal).await?
                {
                    self.journal.append(vec![committed]).await?;
                }
                match self.guarded(tool.ready(&cx, &call.arguments)).await {
                    Some(Ok(change)) => self.change(call, cx, change, start).await,
                    Some(Err(refused)) => {
                        let outcome = Outcomes::of(Err(refused), since(start))?;
                        self.finish(call, outcome).await?;
                        Ok(None)
                    }
                    None => {
                        let outcome = self.cut_off(start);
                        self.finish(call, outcome).await?;
                        Ok(None)
                    }
                }
            }
            AnyTool::File(tool) => {
                let start = Instant::now();
                let cx = self.cx(step);
                match self.guarded(tool.plan(&cx, &call.arguments)).await {
                    Some(Ok(plan)) => self.change_file(call, plan, start).await?,
                    Some(Err(refused)) => {
                        let outcome = Outcomes::of(Err(refused), since(start))?;
                        self.finish(call, outcome).await?;
                    }
                    None => {
                        let outcome = self.cut_off(start);
                        self.finish(call, outcome).await?;
                    }
                }
                Ok(None)
            }
            AnyTool::Act(tool) => {
                self.begin_step(call, None).await?;
                let start = Instant::now();
                let cx = self.cx(step);
                let before = self.marks(entry).await?;
                let mut outcome = match self.guarded(tool.act(&cx, &call.arguments)).await {
                    Some(result) => Outcomes::of(result, since(start))?,
                    None => self.cut_off(start),
                };
                if let Some(before) = before {
                    outcome.paths = self.changed_since(before).await?;
                }
                self.journal.effective = true;
                self.finish(call, outcome).await?;
                Ok(None)
            }
        }
    }

    /// A workspace tool: its effect and its result are one transaction.
    async fn change(
        &mut self,
        call: &Call,
        cx: ToolCx,
        change: crate::tool::registry::Commit,
        start: Instant,
    ) -> Result<Option<RunEnd>, EngineError> {
        let (call, redactor) = (call.clone(), self.journal.ws.app.redactor.clone());
        let output = self
            .journal
            .write(move |tx, mut pen| {
                // What the tool refuses becomes its result; a failure of the program stays one.
                let output = match tx.attempt(|tx| change(&cx, tx)) {
                    Ok(output) => output,
                    Err(error) => error.into_output()?,
                };
                let text = redactor.text(&output.text).into_owned();
                let text =
                    crate::kernel::text::head_tail(&text, crate::tool::MAX_OUTPUT - 64, "\n[…]\n");
                pen.run.effective |=
                    !output.is_error && output.end.is_none() && call.name != "progress";
                pen.run.activity =
                    if call.name == "progress" { output.text.clone() } else { call.name.clone() };
                let seq = tx.seq().ok();
                pen.append(
                    tx,
                    EventKind::ToolFinished {
                        step: pen.run.steps + 1,
                        call_id: call.id,
                        name: call.name,
                        status: if output.is_error { CallStatus::Error } else { CallStatus::Ok },
                        result: crate::features::runs::model::Body::Inline(text),
                        millis: since(start),
                        paths: Vec::new(),
                        seq,
                    },
                )?;
                let mut appended = std::mem::take(&mut pen.appended);
                if let Some(end) = &output.end {
                    let (outcome, summary) = outcome_of(end);
                    pen.end(tx, outcome, &summary)?;
                } else {
                    appended.extend(save(tx, pen)?);
                }
                Ok((output, appended))
            })
            .await?;
        self.journal.effective |= !output.is_error;
        Ok(output.end)
    }

    /// The tool has ended the run in its own transaction; there is nothing left to do.
    async fn ended_by_tool(&mut self, _end: RunEnd) -> Result<bool, EngineError> {
        self.journal.ws.live.finish(self.journal.run);
        Ok(false)
    }

    /// A file tool: hashes noted, file changed, result noted.
    async fn change_file(
        &mut self,
        call: &Call,
        plan: FilePlan,
        start: Instant,
    ) -> Result<(), EngineError> {
        let after = plan.content.as_ref().map(|c| <[u8; 32]>::from(Sha256::digest(c)));
        let mark = FileMark { path: plan.path.clone(), before: plan.before, after };
        self.begin_step(call, Some(mark)).await?;
        let root = self.journal.ws.agent_folder(&self.agent.slug);
        let guard = self.journal.ws.paths.hold(&root.join(&plan.path)).await;
        let (path, before, content) = (plan.path.clone(), plan.before, plan.content);
        let done =
            blocking(move || folder::change(&root, &path, before, content.as_deref())).await?;
        drop(guard);
        let mut outcome = Outcomes::of(done.map(|()| plan.output), since(start))?;
        if outcome.status == CallStatus::Ok {
            outcome.paths.push(plan.path);
            self.journal.effective = true;
        }
        self.finish(call, outcome).await
    }

    async fn begin_step(&mut self, call: &Call, file: Option<FileMark>) -> Result<(), EngineError> {
        let (call_id, name) = (call.id.clone(), call.name.clone());
        self.journal
            .write(move |tx, mut pen| {
                pen.run.activity.clone_from(&name);
                let step = pen.run.steps + 1;
                pen.append(tx, EventKind::ToolStarted { step, call_id, name, file })?;
                save(tx, pen).map(|appended| ((), appended))
            })
            .await
    }

    async fn finish(&mut self, call: &Call, outcome: Outcomes) -> Result<(), EngineError> {
        let step = self.journal.steps + 1;
        let Outcomes { status, output, millis, paths } = outcome;
        let result = self.journal.body(step, output.text).await?;
        let event = EventKind::ToolFinished {
            step,
            call_id: call.id.clone(),
            name: call.name.clone(),
            status,
            result,
            millis,
            paths,
            seq: None,
        };
        self.write_down(vec![event], output.load).await
    }

    /// Writes results down; tools that were found are offered from the next call on.
    async fn write_down(
        &mut self,
        events: Vec<EventKind>,
        load: Vec<String>,
    ) -> Result<(), EngineError> {
        for name in &load {
            let known = self.tools.iter().any(|tool| tool.name == *name);
            if let Some(entry) = self.engine.tools.get(name).filter(|_| !known)
                && may_use(&self.agent, self.trigger, entry)
            {
                self.tools.push(definition(entry));
            }
        }
        let effective = self.journal.effective;
        self.journal
            .write(move |tx, mut pen| {
                pen.run.effective |= effective;
                for name in load {
                    if !pen.session.loaded_tools.contains(&name) {
                        pen.session.loaded_tools.push(name);
                    }
                }
                for event in events {
                    pen.append(tx, event)?;
                }
                save(tx, pen).map(|appended| ((), appended))
            })
            .await
    }

    /// For programs: what the folder looked like before.
    async fn marks(&self, entry: &Entry) -> Result<Option<folder::Marks>, EngineError> {
        if entry.spec.effect != Effect::Exec {
            return Ok(None);
        }
        let root = self.journal.ws.agent_folder(&self.agent.slug);
        blocking(move || folder::marks(&root)).await.map(Some)
    }

    async fn changed_since(&self, before: folder::Marks) -> Result<Vec<String>, EngineError> {
        let root = self.journal.ws.agent_folder(&self.agent.slug);
        blocking(move || folder::changed(&before, &folder::marks(&root))).await
    }
}

fn outcome_of(end: &RunEnd) -> (Outcome, String) {
    match end {
        RunEnd::Done { summary, .. } => (Outcome::Done, summary.clone()),
        RunEnd::Failed { reason } => {
            (Outcome::Failed { code: "agent".to_owned(), reason: reason.clone() }, reason.clone())
        }
        RunEnd::Snoozed { until, reason } => (Outcome::Snoozed { until: *until }, reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::{TALK, WORK, definition};
    use crate::net::client::{ClientParts, HttpClient};
    use crate::runtime::tools;
    use crate::sandbox::spawn::Spawner;

    fn size(names: &[&str]) -> usize {
        let sandbox = Spawner::new("/bin/false".into()).unwrap();
        let http = HttpClient::new(ClientParts::default());
        let all = tools::registry(crate::features::tools(), sandbox, http);
        let sizes = names.iter().map(|name| {
            let tool = definition(all.get(name).expect(name));
            tool.name.len() + tool.description.len() + tool.schema.to_string().len()
        });
        sizes.sum()
    }

    #[test]
    fn the_core_sets_exist_and_are_small() {
        assert!(size(WORK) < 6_000, "{}", size(WORK));
        assert!(size(TALK) < 6_000, "{}", size(TALK));
    }
}
