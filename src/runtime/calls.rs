//! Executes the tool calls of one response.
//!
//! Read-only calls of a message run concurrently. If one call of the message changes something, all calls run one after
//! the other, in the order of the message. The kind of a tool decides what is written when: see `tool/lib.rs`. A
//! message from a person that arrives during a call is read before the next call starts.

use std::time::Instant;

use features::runs::model::{Body, CallStatus, EventKind, Input, SeenFile, Session};
use features::runs::queries as runs;
use sandbox::left_over;
use store::ReadExt;
use tool::registry::Entry;
use tool::{AnyTool, Effect, Lease, Looks, Picture, ToolCx, ToolError, ToolOutput, untrusted};

use super::command::journal::StepBegun;
use super::command::tool::{Made, Ready, ToolMade};
use super::ending::LimitReached;
use super::gate::{Held, Passed};
use super::guard::{Advice, BLOCKED, Seen};
use super::journal::blocking;
use super::toolbox::{Call, definition, denied, is_for_locked, may_use, not_there};
use super::tools::{exec, progress};
use super::turn::{Step, Turn};
use super::{EngineError, before, child, commit, remote};

/// Most concurrent read-only calls.
const SIDE_BY_SIDE: usize = 8;

/// The tool whose programs change files.
pub(super) const PROGRAM: &str = "exec";

pub(super) const SKIPPED: &str = "Skipped because of a queued user message.";
const TOO_MANY: &str = "Skipped: this run has reached its limit of tool calls.";
const SAME_AGAIN: &str =
    "Skipped: the calls of this message keep giving the same result. Read the results first.";
const AFTER_BLOCK: &str = "Skipped: an earlier call of this message was refused.";

/// The result of a call before it is written.
pub(super) struct Outcomes {
    pub status: CallStatus,
    pub output: ToolOutput,
    pub millis: u64,
    pub paths: Vec<String>,
}

/// Additions to results: discovered tools, files that were read, and pictures.
#[derive(Default)]
struct Extras {
    load: Vec<String>,
    seen: Vec<SeenFile>,
    pictures: Vec<(String, Picture)>,
}

impl Extras {
    /// Collects the additions of one result. A model without vision gets a note in place of a picture.
    fn take(&mut self, call: &Call, output: &mut ToolOutput, sees: bool) {
        self.load.append(&mut output.load);
        let seen = std::mem::take(&mut output.seen).into_iter();
        self.seen.extend(seen.map(|(path, hash)| SeenFile { path, hash }));
        match output.picture.take() {
            Some(picture) if sees => self.pictures.push((call.id.clone(), picture)),
            Some(_) => output.text.push_str(" [your model can't see images]"),
            None => {}
        }
    }
}

impl Outcomes {
    pub(super) fn of(
        result: Result<ToolOutput, ToolError>,
        millis: u64,
    ) -> Result<Self, EngineError> {
        let output = match result {
            Ok(output) => output,
            Err(error) => error.into_output()?,
        };
        let status = if output.is_error { CallStatus::Error } else { CallStatus::Ok };
        Ok(Self { status, output, millis, paths: Vec::new() })
    }

    pub(super) fn without(status: CallStatus, text: impl Into<String>) -> Self {
        Self { status, output: ToolOutput::error(text), millis: 0, paths: Vec::new() }
    }
}

pub(super) fn since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Turn {
    /// Executes the calls of one message that are HQ's own tools.
    pub(super) async fn run_own_tools(&mut self, calls: Vec<Call>) -> Result<Step, EngineError> {
        if self.setting.cancel.is_cancelled() {
            return self.stopped(None).await;
        }
        self.look_up_tools()?;
        let only_looks = |call: &Call| {
            self.setting
                .tools
                .get(&call.name)
                .is_some_and(|entry| matches!(entry.tool, AnyTool::Read(_)) && self.may_use(entry))
        };
        let left = self.setting.limits.steps.saturating_sub(self.talk.journal.steps) as usize;
        if (2..=left).contains(&calls.len())
            && calls.iter().all(only_looks)
            && self.next_asked()?.is_none()
            && let Some(leases) = self.leases(&calls).await?
        {
            return self.run_reads(calls, leases).await;
        }
        for (at, call) in calls.iter().enumerate() {
            self.look_up_tools()?;
            if self.setting.cancel.is_cancelled() {
                return self.stopped(None).await;
            }
            if self.is_halted()? {
                return self.rest().await;
            }
            // A call whose approval or question was answered is made before new messages are read.
            if let Some(why) = self.held_up()?
                && !self.is_answered(call)?
                && self.next_asked()?.is_none()
            {
                return self.skip(&calls[at..], why).await.map(|()| Step::Next);
            }
            if let Some(why) = self.refuse(call) {
                self.answer(std::slice::from_ref(call), CallStatus::Error, why).await?;
                return self.skip(&calls[at + 1..], AFTER_BLOCK).await.map(|()| Step::Next);
            }
            match self.run_tool(call, &calls[at + 1..]).await {
                Ok(Step::Next) => {}
                Ok(step) => {
                    self.talk.journal.ws.live.finish(self.talk.journal.run);
                    return Ok(step);
                }
                Err(EngineError::Halted) => return self.rest().await,
                Err(error) => return Err(error),
            }
            if std::mem::take(&mut self.ends.blocked) {
                return self.skip(&calls[at + 1..], SAME_AGAIN).await.map(|()| Step::Next);
            }
        }
        if self.setting.cancel.is_cancelled() { self.stopped(None).await } else { Ok(Step::Next) }
    }

    /// Reads the agent's tools again, because people may have withdrawn or changed them.
    fn look_up_tools(&mut self) -> Result<(), EngineError> {
        let (engine, ws) = (&self.setting.engine, &self.talk.journal.ws);
        self.setting.tools = engine.toolset(ws, self.setting.agent.id)?;
        Ok(())
    }

    fn may_use(&self, entry: &Entry) -> bool {
        let who = (&self.setting.agent, &self.setting.off);
        may_use(who, self.setting.trigger, self.setting.child.as_ref(), entry)
    }

    /// The reason why no further call of the message may start.
    pub(super) fn held_up(&self) -> Result<Option<&'static str>, EngineError> {
        if self.talk.journal.steps >= self.setting.limits.steps {
            return Ok(Some(TOO_MANY));
        }
        let (session, run) = (self.setting.session, self.talk.journal.run);
        let heard = self.talk.journal.ws.read(|snap| runs::queue::heard(snap, session, run))?;
        Ok(heard.iter().any(Input::is_from_outside).then_some(SKIPPED))
    }

    /// Returns `true` if a call's tool plans changes of files.
    pub(super) fn plans_files(&self, call: &Call) -> bool {
        let entry = self.setting.tools.get(&call.name);
        entry.is_some_and(|entry| matches!(entry.tool, AnyTool::File(_)))
    }

    /// The reason why a tool is unavailable in this run.
    fn unusable(&self, entry: &Entry) -> Option<String> {
        let name = &*entry.spec.name;
        if !self.may_use(entry) {
            let (code, why) = denied(&self.setting.off, &entry.spec);
            return Some(format!("Error({code}): {why}"));
        }
        let is_away = self.talk.journal.ws.upstream.is_some();
        let why = not_there(name).filter(|_| is_away)?;
        Some(format!("Error(not_on_this_machine): {why}"))
    }

    /// The refusal of a tool that the agent does not have. A tool of a connected server may have been withdrawn since
    /// the conversation got it, and a run on a host has none of them.
    fn missing(&self, name: &str) -> Result<String, EngineError> {
        let (ws, session) = (&self.talk.journal.ws, self.setting.session);
        let was_loaded = ws.read(|snap| {
            let session = snap.get::<Session>(session)?;
            Ok::<_, EngineError>(
                session.is_some_and(|one| one.loaded_tools.iter().any(|t| t == name)),
            )
        })?;
        if was_loaded && ws.upstream.is_some() {
            return Ok(format!(
                "Error(not_on_this_machine): you work on a gateway, and {name} only runs on HQ's \
                 own machine. Do it another way, or report what is left"
            ));
        }
        if let Some(why) = self.setting.engine.layers.why_not(ws, self.setting.agent.id, name)? {
            return Ok(format!("Error(not_available): you can't use {name} now: {why}"));
        }
        if was_loaded {
            return Ok(format!(
                "Error(not_available): {name} was removed or turned off. Do it another way, or \
                 report what is left"
            ));
        }
        let near = self.setting.tools.nearest(name).join(", ");
        Ok(format!("Error(not_found): there is no tool \"{name}\". Similar: {near}"))
    }

    /// The reason why a call is blocked by the loop guard.
    fn refuse(&mut self, call: &Call) -> Option<&'static str> {
        match self.ends.guard.before(&call.name, &call.arguments) {
            Advice::Go => None,
            Advice::Block => Some(BLOCKED),
            Advice::End => {
                self.ends.wrap_up.get_or_insert(LimitReached::new("loop"));
                Some(BLOCKED)
            }
        }
    }

    /// Reports a result to the loop guard. The returned warning goes to the model with the result.
    fn note(&mut self, call: &Call, text: &str, is_error: bool) -> Option<&'static str> {
        let entry = self.setting.tools.get(&call.name);
        let changes = entry.is_some_and(before::changes);
        let seen = Seen { text, is_error, unknown: entry.is_none(), changes };
        let note = self.ends.guard.after(&call.name, &call.arguments, &seen);
        self.ends.blocked |= note.block;
        if note.end {
            self.ends.wrap_up.get_or_insert(LimitReached::new("loop"));
        }
        note.warning
    }

    /// Records calls as skipped.
    pub(super) async fn skip(&mut self, calls: &[Call], why: &str) -> Result<(), EngineError> {
        self.answer(calls, CallStatus::Skipped, why).await
    }

    /// Gives all these calls the same result without making them, in one transaction.
    async fn answer(
        &mut self,
        calls: &[Call],
        status: CallStatus,
        why: &str,
    ) -> Result<(), EngineError> {
        if calls.is_empty() {
            return Ok(());
        }
        self.talk.journal.unjudge();
        self.withdraw(calls).await?;
        let mut events = Vec::with_capacity(calls.len());
        for call in calls {
            let step = self.talk.journal.steps + 1 + u32::try_from(events.len()).unwrap_or(0);
            events.push(finished(step, call, status, Body::Inline(why.to_owned())));
        }
        self.write_down(events, Extras::default()).await
    }

    pub(super) fn cx(&self, step: u32) -> ToolCx {
        ToolCx {
            ws: self.talk.journal.ws.clone(),
            agent: self.setting.agent.id,
            run: self.talk.journal.run,
            number: self.talk.journal.number,
            step,
            session: self.setting.session,
            item: self.setting.run.item,
            task: self.setting.run.task,
            folder: self.talk.journal.ws.agent_folder(&self.setting.agent.slug),
            max_result: self.max_result(),
            seen: self.talk.journal.seen.files(),
            child: self.setting.child.clone(),
            tools: self.setting.tools.clone(),
            cancel: self.setting.cancel.clone(),
        }
    }

    /// Runs read-only calls concurrently and writes their results in one transaction.
    async fn run_reads(
        &mut self,
        calls: Vec<Call>,
        leases: Vec<Lease>,
    ) -> Result<Step, EngineError> {
        if self.is_halted()? {
            return self.rest().await;
        }
        if let Some(why) = self.held_up()? {
            return self.skip(&calls, why).await.map(|()| Step::Next);
        }
        for at in 0..calls.len() {
            if let Some(why) = self.refuse(&calls[at]) {
                self.ends.guard.unmade();
                return self.answer(&calls, CallStatus::Error, why).await.map(|()| Step::Next);
            }
        }
        let mut results = Vec::with_capacity(calls.len());
        let mut step = self.talk.journal.steps;
        let mut leases = leases.into_iter();
        for some in calls.chunks(SIDE_BY_SIDE) {
            let mut work = Vec::with_capacity(some.len());
            for (call, lease) in some.iter().zip(leases.by_ref()) {
                step += 1;
                work.push(self.read_one(call, step, lease));
            }
            results.extend(futures_util::future::join_all(work).await);
        }
        let mut events = Vec::with_capacity(calls.len());
        let (mut extras, cap) = (Extras::default(), self.max_result());
        let mut asking = Vec::new();
        for (call, result) in calls.iter().zip(results) {
            let step = self.talk.journal.steps + 1 + u32::try_from(events.len()).unwrap_or(0);
            let Outcomes { status, mut output, millis, .. } = result?;
            if output.wait.is_some() {
                asking.push(call);
                continue;
            }
            // The paths of files differ between equal results.
            let warning = self.note(call, &output.text, output.is_error);
            let paths = self.store_files(call, step, &mut output).await?;
            if let Some(warning) = warning {
                output.text = format!("{}\n{warning}", output.text);
            }
            extras.take(call, &mut output, self.chooser.chosen.known.vision);
            let result = self.talk.journal.body(step, (output.text, output.whole), cap).await?;
            let mut event = finished(step, call, status, result);
            if let EventKind::ToolFinished { millis: took, paths: changed, .. } = &mut event {
                (*took, *changed) = (millis, paths);
            }
            events.push(event);
        }
        // All of the calls were made.
        self.ends.blocked = false;
        self.write_down(events, extras).await?;
        // One after the other, because a run waits for one answer at a time.
        for call in asking {
            match self.run_tool(call, &[]).await? {
                Step::Next => {}
                step => return Ok(step),
            }
        }
        if self.setting.cancel.is_cancelled() { self.stopped(None).await } else { Ok(Step::Next) }
    }

    async fn read_one(
        &self,
        call: &Call,
        step: u32,
        lease: Lease,
    ) -> Result<Outcomes, EngineError> {
        let start = Instant::now();
        let entry = self.setting.tools.get(&call.name);
        let Some(entry @ Entry { tool: AnyTool::Read(tool), .. }) = entry else {
            return Err(EngineError::Broken("a tool changed its kind"));
        };
        let cx = self.cx(step);
        let work = async {
            match &cx.ws.upstream {
                Some(up) if tool.looks() != Looks::Here => {
                    let arguments = lease.arguments().to_owned();
                    let copy = (tool.looks() == Looks::Copy).then(|| tool.read(&cx, lease));
                    remote::run_read(&**up, &cx, (&call.name, &arguments), copy).await
                }
                _ => marked(entry, &cx, tool.read(&cx, lease).await),
            }
        };
        match self.guarded(self.limit(), work).await {
            Some(result) => Outcomes::of(result, since(start)),
            None => Ok(self.cut_off(start)),
        }
    }

    /// Executes one call of any kind; `later` are the calls after it in the same message.
    async fn run_tool(&mut self, call: &Call, later: &[Call]) -> Result<Step, EngineError> {
        let tools = self.setting.tools.clone();
        let Some(entry) = tools.get(&call.name) else {
            let text = self.missing(&call.name)?;
            return self
                .finish(call, Outcomes::without(CallStatus::Error, text))
                .await
                .map(|()| Step::Next);
        };
        if let Some(text) = self.unusable(entry) {
            return self
                .finish(call, Outcomes::without(CallStatus::Error, text))
                .await
                .map(|()| Step::Next);
        }
        let start = Instant::now();
        let step = self.talk.journal.steps + 1;
        let cx = self.cx(step);
        let resumed = self.resumed(call, entry).await?;
        let is_resumed = resumed.is_some();
        let (passed, Held { slot, before }) = match resumed {
            Some(passed) => (passed, Held::default()),
            None => self.pass((call, later), entry, &cx).await?,
        };
        let lease = match passed {
            Passed::Go { lease, .. } => lease,
            Passed::Refused(why) => {
                let refused = Outcomes::of(Err(why), since(start))?;
                return self.finish(call, refused).await.map(|()| Step::Next);
            }
            Passed::Waits => return Ok(Step::Waits),
        };
        let refused = match &entry.tool {
            AnyTool::Read(_) => self.read_one(call, step, lease).await?,
            // The primary prepares it, because it has the whole workspace.
            AnyTool::Write(_) if self.talk.journal.ws.upstream.is_some() => {
                let arguments = lease.arguments().to_owned();
                return self.change(call, arguments, None).await;
            }
            AnyTool::Write(_) => {
                let arguments = lease.arguments().to_owned();
                let ready = Ready::of(&self.setting.engine.tools, &call.name, cx, lease);
                match self.guarded(self.limit(), ready).await {
                    Some(Ok(Some(ready))) => {
                        return self.change(call, arguments, Some(ready.since(start))).await;
                    }
                    Some(Ok(None)) => return Err(EngineError::Broken("a tool changed its kind")),
                    Some(Err(refused)) => Outcomes::of(Err(refused), since(start))?,
                    None => self.cut_off(start),
                }
            }
            AnyTool::File(tool) => {
                let plan = self.guarded(self.limit(), tool.plan(&cx, lease)).await;
                let child = self.setting.child.as_ref();
                match plan.map(|plan| plan.and_then(|plan| child::keeps_to(child, plan))) {
                    Some(Ok(plan)) => self.change_files(call, plan, start).await?,
                    Some(Err(refused)) => Outcomes::of(Err(refused), since(start))?,
                    None => self.cut_off(start),
                }
            }
            AnyTool::Act(tool) => {
                let (call_id, name) = (call.id.clone(), call.name.clone());
                let begun = EventKind::ToolStarted { step, call_id, name, file: None };
                if !is_resumed {
                    self.begin_step(begun).await?;
                }
                // A program has a timeout of its own.
                let limit = self.limit().filter(|_| entry.spec.effect != Effect::Exec);
                let work = async { marked(entry, &cx, tool.act(&cx, lease).await) };
                let mut outcome = match self.guarded(limit, work).await {
                    Some(result) => Outcomes::of(result, since(start))?,
                    None => self.cut_off(start),
                };
                drop(slot);
                if let Some(before) = before {
                    outcome.paths = self.changed_since(before).await?;
                    // Keep the paths even if the run is taken over before they are written.
                    self.talk.journal.paths.extend(outcome.paths.iter().cloned());
                }
                self.talk.journal.effective = true;
                outcome
            }
        };
        if let Some(wait) = refused.output.wait {
            return self.wait_for_server(call, (wait, start)).await;
        }
        self.finish(call, refused).await?;
        let goes_on = self.setting.engine.jobs.holds(self.talk.journal.run, step);
        // The changes of a program that continues are unknown.
        self.talk.journal.unsure |= goes_on;
        if entry.spec.name == PROGRAM && !goes_on {
            // The program's output is now part of its result.
            let job = exec::job_folder(&self.talk.journal.ws, self.talk.journal.run, step);
            blocking(move || left_over::clear(&job)).await?;
        }
        Ok(Step::Next)
    }

    /// Executes a workspace tool: its effect and its result are written in one transaction.
    async fn change(
        &mut self,
        call: &Call,
        arguments: String,
        ready: Option<Ready>,
    ) -> Result<Step, EngineError> {
        let ends = ToolMade::ends(&call.name);
        let committed = if ends { commit::files(&mut self.talk.journal).await? } else { None };
        let entry = ToolMade {
            call_id: call.id.clone(),
            name: call.name.clone(),
            arguments,
            approved: self.ends.approved.take(),
            committed,
            effective: self.talk.journal.effective,
        };
        let made = self.talk.journal.apply_first(None, entry, ready).await?;
        let Made { text, is_error, left, load } = made;
        self.offer(&load);
        if left != Step::Waits {
            self.talk.journal.effective |= !is_error && !ends && call.name != progress::NAME;
            // The result is already written, so the warning goes to the next one.
            self.ends.warned =
                self.note(call, &text, is_error).map(str::to_owned).or(self.ends.warned.take());
        }
        Ok(left)
    }

    /// Records that a call starts, and what it is about to do.
    pub(super) async fn begin_step(&mut self, begun: EventKind) -> Result<(), EngineError> {
        let approved = self.ends.approved.take();
        self.talk.journal.apply(StepBegun { begun, approved }).await
    }

    /// Writes one result.
    pub(super) async fn finish(
        &mut self,
        call: &Call,
        outcome: Outcomes,
    ) -> Result<(), EngineError> {
        let step = self.talk.journal.steps + 1;
        let Outcomes { status, mut output, millis, mut paths } = outcome;
        let is_made = matches!(status, CallStatus::Ok | CallStatus::Error);
        let warning = is_made.then(|| self.note(call, &output.text, output.is_error)).flatten();
        paths.extend(self.store_files(call, step, &mut output).await?);
        if let Some(warning) = warning {
            output.text = format!("{}\n{warning}", output.text);
        }
        let mut extras = Extras::default();
        extras.take(call, &mut output, self.chooser.chosen.known.vision);
        let result =
            self.talk.journal.body(step, (output.text, output.whole), self.max_result()).await?;
        let mut event = finished(step, call, status, result);
        if let EventKind::ToolFinished { millis: took, paths: changed, .. } = &mut event {
            (*took, *changed) = (millis, paths);
        }
        self.write_down(vec![event], extras).await
    }

    /// Writes results with their additions. Discovered tools are available from the next model call on.
    async fn write_down(
        &mut self,
        mut events: Vec<EventKind>,
        extras: Extras,
    ) -> Result<(), EngineError> {
        let Extras { load, seen, pictures } = extras;
        self.offer(&load);
        if !seen.is_empty() {
            events.push(EventKind::FilesSeen { files: seen });
        }
        for (call_id, picture) in &pictures {
            events.push(self.talk.journal.picture(call_id, picture).await?);
        }
        self.talk.journal.results(events, load).await?;
        for (_, picture) in pictures {
            self.talk.journal.history.picture(picture.media_type, picture.data);
        }
        Ok(())
    }

    /// Adds tools that this run may use, from the next model call on.
    fn offer(&mut self, names: &[String]) {
        let tools = self.setting.tools.clone();
        for name in names {
            let known = self.talk.request.tools.iter().any(|tool| tool.name == *name);
            if let Some(entry) = tools.get(name).filter(|_| !known)
                && self.may_use(entry)
                && (!self.setting.locked || is_for_locked(&entry.spec))
            {
                self.talk.request.tools.push(definition(entry));
                self.talk.fixed = providers::bound::Size::of(&self.talk.request);
            }
        }
    }
}

/// Marks the result of a layer's tool as untrusted content. HQ's own refusals are trusted.
fn marked(
    entry: &Entry,
    cx: &ToolCx,
    result: Result<ToolOutput, ToolError>,
) -> Result<ToolOutput, ToolError> {
    match entry.is_layered() {
        true => result.map(|output| untrusted::around(cx, output)),
        false => result,
    }
}

fn finished(step: u32, call: &Call, status: CallStatus, result: Body) -> EventKind {
    EventKind::ToolFinished {
        step,
        call_id: call.id.clone(),
        name: call.name.clone(),
        status,
        result,
        millis: 0,
        paths: Vec::new(),
        seq: None,
    }
}
