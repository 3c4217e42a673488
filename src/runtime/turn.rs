//! The loop of one run: model call, tool calls, model call, … until the run ends, waits or is taken over.

mod parts;

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use app::Ws;
use crypto::redact::Spot;
use features::agents::model::Agent;
use features::agents::prompted;
use features::connections::away as connections;
use features::inbox::model::Item;
use features::runs::model::{BranchWhy, Run, Session};
use features::runs::queries as runs;
use features::runs::rules::RunError;
use features::usage::queries::budgets::Lack;
use features::usage::rules::{Admitted, UsageError};
use features::workspace::queries::modules::Off;
use kernel::{CallKind, InputId, Outcome, RunId};
use providers::bound::Size;
use providers::catalog::Model;
use providers::error::ErrorClass;
use providers::model::ChatRequest;
use store::ReadExt;

use super::before::Before;
use super::chosen::{self};
use super::client::Client;
use super::command::calls::{self, CallBegun, CallPaid, Question};
use super::command::ends::BudgetLacked;
use super::command::orders::RunEnded;
use super::context::Shown;
use super::ending::LimitReached;
use super::failover::{self, FallbackChain};
use super::journal::{Journal, blocking};
use super::model_call::{Answer, Called};
use super::port::Port;
use super::run_slot::RunSlot;
use super::toolbox::{Call, Further};
use super::{BY, Engine, EngineError, child, commit, fetch_blobs, prompt, resume, toolbox};

pub(super) use parts::{Chooser, Ends, Setting, Step, Talk};

/// How often an overlong conversation is shortened before the run gives up.
const MAX_SHORTER: u32 = 3;

/// Handles by which the dispatcher controls a run's task.
#[derive(Clone)]
pub(super) struct RunControl {
    pub cancel: CancellationToken,
    /// Set before `cancel` if the run is to continue later.
    pub rests: Arc<AtomicBool>,
    /// Counts changes after which the run may have to choose another model.
    pub choices: Arc<AtomicU64>,
    /// How often the primary has received events that this host wrote for the run while offline.
    pub drained: u64,
    pub seat: RunSlot,
}

/// A working run: its state (`setting`), its model (`chooser`), its conversation (`talk`) and its limits and end
/// (`ends`). [`Turn::step`] is one iteration of the loop.
pub(super) struct Turn {
    pub setting: Setting,
    pub chooser: Chooser,
    pub talk: Talk,
    pub ends: Ends,
}

/// Result of the transaction that starts a call.
enum Begun {
    Admitted(u32, Box<Admitted>),
    /// The run waits or has ended.
    Done(Step),
}

/// Works on a run until it ends, waits or is taken over. Returns `true` if the dispatcher must check the run again: it
/// waits, or its end could not be written.
pub(super) async fn drive(engine: &Engine, ws: &Ws, run: RunId, control: RunControl) -> bool {
    let work = AssertUnwindSafe(work(engine, ws, run, control)).catch_unwind().await;
    ws.live.finish(run);
    let (code, reason) = match work {
        Ok(Ok(waits)) => return waits,
        Ok(Err(error)) if error.is_fenced() => {
            tracing::debug!(run.id = %run, "run {run} was taken away");
            // The run may be queued again and waits for this task to end.
            return true;
        }
        Ok(Err(error)) => {
            tracing::warn!(run.id = %run, %error, "run {run} failed");
            (error.word().to_owned(), error.to_string())
        }
        Err(_) => (
            "internal".to_owned(),
            "a bug in HQ ended this run; the log has the details".to_owned(),
        ),
    };
    let reason = ws.app.redactor.masked(Spot::Errors, &reason).into_owned();
    let outcome = Outcome::Failed { code, reason };
    let ended = ws.order(BY, RunEnded { run, outcome, silent: false }).await;
    if let Err(error) = &ended {
        tracing::error!(run.id = %run, %error, "the end of run {run} could not be written");
    }
    ended.is_err()
}

async fn work(
    engine: &Engine,
    ws: &Ws,
    run: RunId,
    control: RunControl,
) -> Result<bool, EngineError> {
    let mut turn = match Turn::load(engine, ws, run, control).await {
        Ok(turn) => turn,
        Err(error) => {
            commit::left(ws, run).await;
            return Err(error);
        }
    };
    let worked = turn.work().await;
    if worked.is_err() {
        // Commit the changed files however the run ended. The journal may know of more changes than the events do if
        // the last write failed.
        commit::files(&mut turn.talk.journal).await?;
    }
    worked.map(|step| step == Step::Waits)
}

/// Masks secrets in the system prompt.
fn clean(ws: &Ws, request: &mut ChatRequest) {
    for part in &mut request.system {
        if let Cow::Owned(clean) = ws.app.redactor.text(&part.text) {
            part.text = clean;
        }
    }
}

/// The key under which a provider caches the start of requests. A client that sends its whole conversation each time
/// gets a new session each time, so its key is the agent.
fn cache_key(session: &Session) -> String {
    match runs::talk::is_throw_away(&session.key) {
        true => session.agent.to_string(),
        false => session.id.to_string(),
    }
}

impl Turn {
    async fn work(&mut self) -> Result<Step, EngineError> {
        match self.steps().await {
            // The local events were discarded; the primary sends the run again.
            Err(EngineError::Run(RunError::NoSession(_) | RunError::NotFound(_)))
                if self.is_behind() =>
            {
                self.rest().await
            }
            worked => worked,
        }
    }

    async fn steps(&mut self) -> Result<Step, EngineError> {
        let mut step = match self.setting.run.attempt {
            0 => Step::Next,
            _ => resume::settle(self).await?,
        };
        while step == Step::Next {
            step = self.step().await?;
        }
        Ok(step)
    }

    /// Reads all records that the run needs.
    async fn load(
        engine: &Engine,
        ws: &Ws,
        id: RunId,
        control: RunControl,
    ) -> Result<Self, EngineError> {
        let RunControl { cancel, rests, choices, drained, seat } = control;
        let seen_choices = choices.load(Ordering::Relaxed);
        let loaded = ws.read(|snap| {
            let run = snap.get::<Run>(id)?.ok_or_else(|| RunError::NotFound(id.to_string()))?;
            let session =
                snap.get::<Session>(run.session)?.ok_or(RunError::NoSession(run.session))?;
            let mut agent = snap.get::<Agent>(run.agent)?.ok_or(RunError::NoAgent(run.agent))?;
            let child = child::of(snap, &run)?;
            child::narrow(child.as_ref(), &mut agent);
            let item = run.item.map(|item| snap.get::<Item>(item)).transpose()?.flatten();
            let heard = runs::queue::heard(snap, session.id, run.id)?;
            let wish = heard.into_iter().find_map(|input| input.model);
            let choice = chosen::choose(snap, &run, &agent, wish.as_deref())?;
            let all = connections::candidates(ws, snap, &choice, agent.id)?;
            let choice = (FallbackChain::read(snap, all, ws.app.clock.now())?, choice);
            let shown = Shown::read(snap, session.id, id)?;
            let mut facts = prompt::Facts::read(snap, ws, &agent, &run)?;
            facts.recall_named(shown.of_run(id));
            let branch = runs::branches::of_run(snap, &run)?;
            let request = runs::client::find_request(snap, &run)?;
            let limits = engine.limits.for_agent(snap, agent.id)?;
            let (fast, off) = (runs::choice::fast(snap, &run)?, Off::of_agent(snap, agent.id)?);
            let of = (item, child, branch, request, fast, limits, off);
            Ok::<_, EngineError>((run, session, agent, of, choice, shown, facts))
        })?;
        let (run, session, agent, of, (mut chain, home), shown, mut facts) = loaded;
        let (item, child, branch, request, fast, limits, off) = of;
        let tools = engine.toolset(ws, agent.id)?;
        facts.connected = engine.layers.prompt(ws, agent.id)?;
        let aside = branch.as_ref().is_some_and(|branch| branch.why == BranchWhy::Aside);
        let client = request.map(|(_, demand)| Client::of(demand, &tools));
        let wanted = chain.now.clone();
        let (chosen, refused) = chain.connect(ws, &home).await?;
        let switched = refused.map(|why| failover::switched(ws, &wanted, &chain.now, &why));
        let folder = ws.agent_folder(&agent.slug);
        let mut request = ChatRequest::new(chosen.model.clone(), agent.max_output);
        facts.window = chosen.known.window;
        let (window, leads) = (facts.window, !facts.reports.is_empty());
        let (own, without) = (ws.clone(), off.has("knowledge"));
        let read = move || {
            prompt::recall(&own, &mut facts);
            if !without {
                facts.knowledge = prompt::knowledge(&own, facts.agent.id);
            }
            let searches = prompted::searches(&own);
            (!facts.knowledge.is_empty(), searches, prompt::system(&facts, &folder))
        };
        let (knows, searches, system) = blocking(read).await?;
        request.system = system;
        request.system.extend(shown.instructions.as_deref().map(prompt::of_program));
        clean(ws, &mut request);
        let further = Further { leads, knows, searches };
        let (loaded, who) = (&session.loaded_tools, (&agent, &off, further));
        request.tools =
            toolbox::offered(&tools, who, (run.trigger, window), child.as_ref(), loaded);
        let locked = toolbox::hold_back(&tools, ws, &run, &mut request.tools)?;
        request.thinking = chosen.thinking;
        request.metadata.cache_key = Some(cache_key(&session));
        client.iter().for_each(|client| client.shape(&mut request));
        let fixed = Size::of(&request);
        fetch_blobs::bring(ws, fetch_blobs::shown(shown.events.iter().map(|event| &event.kind)))
            .await;
        let journal = Journal { seat: Some(seat), ..shown.journal(ws, &run) };
        let before = Before::of(shown.of_run(run.id), &tools, client.as_ref());
        let setting = Setting {
            engine: engine.clone(),
            tools,
            agent,
            off,
            locked,
            session: session.id,
            limits,
            trigger: run.trigger,
            child,
            item,
            retry_note: branch.map(|branch| branch.note),
            client,
            aside,
            cancel,
            rests,
            drained,
            run,
        };
        let switched = switched.transpose()?;
        let chooser = Chooser {
            chosen,
            home,
            fast,
            chain,
            switched,
            unlimited: false,
            wish: None,
            choices,
            seen_choices,
        };
        let talk = Talk::new(journal, request, fixed, setting.run.calls);
        Ok(Self { setting, chooser, talk, ends: Ends::after(before) })
    }

    /// One model call and its consequences.
    async fn step(&mut self) -> Result<Step, EngineError> {
        if self.setting.cancel.is_cancelled() && self.talk.begun {
            return self.stopped(None).await;
        }
        if self.is_halted()? || self.is_behind() {
            return self.rest().await;
        }
        self.choose_again().await?;
        if let Some(step) = self.ready().await? {
            return Ok(step);
        }
        self.prune().await?;
        if let Some(step) = self.condense().await? {
            return Ok(step);
        }
        let (call, admitted) = match self.begin_call().await {
            Ok(Begun::Admitted(call, admitted)) => (call, admitted),
            Ok(Begun::Done(step)) => return Ok(step),
            Err(EngineError::Halted) => return self.rest().await,
            Err(error) => return Err(error),
        };
        match self.call(call, *admitted).await? {
            Called::Answered(answer) => {
                (self.ends.failures, self.talk.shorter) = (0, 0);
                self.talk.compactions.fits();
                self.answered(*answer).await
            }
            Called::Stopped(cut_off) => self.stopped(Some(cut_off)).await,
            Called::Retry { from, at } => {
                let app = self.talk.journal.ws.app.clone();
                // The run keeps its slot and its task; the next call ends the wait.
                tokio::select! {
                    () = app.sleep_from(from, at) => Ok(Step::Next),
                    // The next step handles the shutdown.
                    () = app.closing.cancelled() => Ok(Step::Next),
                    () = self.setting.cancel.cancelled() => self.stopped(None).await,
                }
            }
            Called::Failed(error) => {
                if error.class == ErrorClass::ContextTooLong
                    && let Some(step) = self.overflowed().await?
                {
                    return Ok(step);
                }
                if self.has_no_limit()
                    || self.mend(error.class)
                    || self.hide_pictures(&error).await
                    || self.leave_tool_out(&error).await?
                {
                    return Ok(Step::Next);
                }
                self.fail_over(&error).await
            }
        }
    }

    /// Returns `true` if the primary has received this host's offline events since this task started. The primary may
    /// know more by now, so the run must be reloaded from its state.
    pub(super) fn is_behind(&self) -> bool {
        let up = self.talk.journal.ws.upstream.as_ref();
        up.is_some_and(|up| up.drained(self.talk.journal.run) != self.setting.drained)
    }

    /// Returns `true` if no further step may start: work is paused or the program is shutting down.
    pub(super) fn is_halted(&self) -> Result<bool, EngineError> {
        if self.talk.journal.ws.app.closing.is_cancelled() {
            return Ok(true);
        }
        let agent = self.setting.agent.id;
        Ok(self.talk.journal.ws.read(|snap| runs::halt::of_agent(snap, agent))?.is_some())
    }

    /// The most output tokens of one call.
    fn max_output(&self) -> u32 {
        let wish = self.setting.client.as_ref().and_then(|client| client.demand.max_output);
        wish.map_or(self.setting.agent.max_output, |wish| wish.min(self.setting.agent.max_output))
    }

    /// The most bytes of one tool result that the model sees. Grows with the context window; never more than a third of
    /// it.
    pub(super) fn max_result(&self) -> usize {
        let window = self.chooser.chosen.known.window;
        let cap = match window {
            200_000.. => 64_000,
            100_000.. => 32_000,
            _ => 16_000,
        };
        // A token has at most about three bytes.
        cap.min(usize::try_from(window).unwrap_or(usize::MAX) * 9 / 10)
    }

    /// Shortens or repairs a conversation that the provider rejected. Returns whether another call is worth it.
    pub(super) fn mend(&mut self, class: ErrorClass) -> bool {
        match class {
            ErrorClass::ContextTooLong if self.talk.shorter < MAX_SHORTER => {
                self.talk.shorter += 1;
                let half = self.talk.journal.history.bytes() / 2;
                self.talk.journal.history.shrink(half)
            }
            ErrorClass::Replay if !self.talk.unthought => {
                self.talk.unthought = true;
                self.talk.journal.history.drop_thinking()
            }
            _ => false,
        }
    }

    pub(super) async fn failed_for_good(
        &mut self,
        class: ErrorClass,
        reason: String,
    ) -> Result<Step, EngineError> {
        if let Some(limit) = self.ends.wrap_up {
            // The limit ends the run. A failure would be retried later, although the run has used up its limit.
            let summary = self.left_at(limit.which, &reason);
            return self.end(Outcome::Limit { which: limit.which.to_owned() }, &summary).await;
        }
        let code = class.word().to_owned();
        self.end(Outcome::Failed { code, reason }, "").await
    }

    /// Re-reads the choice of model if it may have changed. It applies from the next call on.
    async fn choose_again(&mut self) -> Result<(), EngineError> {
        let choices = self.chooser.choices.load(Ordering::Relaxed);
        let wish = self.chooser.wish.take();
        if choices == self.chooser.seen_choices && wish.is_none() {
            return Ok(());
        }
        self.chooser.seen_choices = choices;
        let (run, agent) = (self.talk.journal.run, self.setting.agent.id);
        let read = self.talk.journal.ws.read(|snap| {
            let (run, agent) = (snap.get::<Run>(run)?, snap.get::<Agent>(agent)?);
            let (Some(run), Some(agent)) = (run, agent) else { return Ok(None) };
            let model = wish.as_ref().and_then(|wish| wish.model.as_deref());
            let choice = chosen::choose(snap, &run, &agent, model)?;
            let all = connections::candidates(&self.talk.journal.ws, snap, &choice, agent.id)?;
            let chain = FallbackChain::read(snap, all, self.talk.journal.ws.app.clock.now())?;
            let fast = runs::choice::fast(snap, &run)?;
            Ok::<_, EngineError>(Some((agent, choice, chain, fast)))
        })?;
        let Some((mut agent, choice, chain, fast)) = read else { return Ok(()) };
        self.chooser.fast = fast;
        child::narrow(self.setting.child.as_ref(), &mut agent);
        self.setting.agent = agent;
        self.take_choice(choice, chain).await
    }

    /// The transaction before a call: starts the run if necessary, reads queued messages, reserves the money and
    /// records the call.
    async fn begin_call(&mut self) -> Result<Begun, EngineError> {
        self.check_limits()?;
        let room = room(&self.chooser.chosen.known, self.talk.fixed);
        self.talk.journal.history.shrink(room);
        loop {
            match self.try_begin().await {
                // The run's cost limit is reached; it may still write a final summary.
                Err(EngineError::Usage(UsageError::OverBudget(lack)))
                    if lack.budget.is_of_run() && self.ends.wrap_up.is_none() =>
                {
                    self.ends.wrap_up =
                        Some(LimitReached::of(&lack).notified_before(self.ends.notified_limit));
                }
                Err(EngineError::Usage(UsageError::OverBudget(lack))) => {
                    return self.refused(lack).await;
                }
                other => return other,
            }
        }
    }

    async fn try_begin(&mut self) -> Result<Begun, EngineError> {
        if self.is_behind() {
            return Err(EngineError::Halted);
        }
        let percent = self.pace();
        let chosen = &self.chooser.chosen;
        let question = Question {
            connection: chosen.connection,
            provider: chosen.provider.name().to_owned(),
            model: chosen.model.clone(),
            known: chosen.known.clone(),
            size: self.talk.fixed.and(Size::of_messages(self.talk.journal.history.messages())),
            max_output: self.max_output(),
            heeds_limit: self.heeds_limit(),
            percent,
            kind: if self.ends.wrap_up.is_some() { CallKind::WrapUp } else { CallKind::Step },
            id: Some(self.talk.journal.new_id()),
            admitted: None,
        };
        let (size, switched) = (question.size, self.chooser.switched.clone());
        let notice = self.ends.wrap_up.as_mut().and_then(LimitReached::notice);
        let notices: Vec<String> = self.ends.warned.clone().into_iter().chain(notice).collect();
        let begun = self.talk.begun;
        let known = self.known()?;
        let written =
            self.enter(size, CallBegun { switched, told: notices, known, question }).await;
        if written.is_err()
            && let Some(limit) = &mut self.ends.wrap_up
        {
            limit.retract_notice();
        }
        let calls::Begun { call, admitted, wish } = written?;
        (self.chooser.switched, self.ends.warned) = (None, None);
        // The first call already uses the model that the message requested.
        self.chooser.wish = wish.filter(|_| begun);
        (self.talk.begun, self.talk.calls) = (true, call);
        self.setting.run.started_at.get_or_insert_with(|| self.talk.journal.ws.app.clock.now());
        Ok(Begun::Admitted(call, Box::new(admitted)))
    }

    /// The messages that a run on a host has received. `None` on the primary, which has all messages.
    fn known(&self) -> Result<Option<Vec<InputId>>, EngineError> {
        let (ws, run) = (&self.talk.journal.ws, self.talk.journal.run);
        if ws.upstream.is_none() {
            return Ok(None);
        }
        let heard = ws.read(|snap| runs::queue::heard(snap, self.setting.session, run))?;
        Ok(Some(heard.into_iter().map(|input| input.id).collect()))
    }

    /// Handles a call that no budget can pay. The run's own cap ends the run. For a monthly budget the run waits until
    /// the budget is raised or the month ends.
    async fn refused(&mut self, lack: Box<Lack>) -> Result<Begun, EngineError> {
        // The run may be ended while it waits, so its file changes are committed first.
        let committed = commit::files(&mut self.talk.journal).await?;
        let limit = self.ends.wrap_up.as_ref().map(|limit| limit.which.to_owned());
        let events = self.chooser.switched.take().into_iter().chain(committed).collect();
        let usual = lack.budget.usual;
        let lacked = BudgetLacked { events, lack, usual, limit };
        let waits = self.enter(self.talk.fixed, lacked).await?;
        Ok(Begun::Done(if waits { Step::Waits } else { Step::Over }))
    }

    /// Records a response and carries out its calls.
    async fn answered(&mut self, mut answer: Answer) -> Result<Step, EngineError> {
        let history = &self.talk.journal.history;
        answer.reply.tell_calls_apart(|id| history.has_call(id));
        let parts = match self.talk.journal.parts(&mut answer.reply) {
            Ok(parts) => parts,
            Err(why) => return self.not_kept(answer, why).await,
        };
        let calls: Vec<Call> = answer.reply.calls().map(Call::of).collect();
        if calls.is_empty() || self.ends.wrap_up.is_some() || self.setting.aside {
            return self.last_word(answer, parts).await;
        }
        self.ends.nudged = false;
        self.cut_in_a_call(&answer.reply);
        let event = Some((answer.event(parts), calls[0].name.clone()));
        self.talk.journal.apply(CallPaid { paid: answer.paid(), said: event }).await?;
        self.talk.journal.ws.live.finish(self.talk.journal.run);
        self.run_tools(calls).await
    }
}

/// Bytes of conversation that fit the model's context window beside everything else. Cutting here avoids paying for a
/// call that would fail. A provider that counts more reports an error, and the conversation is cut again.
fn room(known: &Model, fixed: Size) -> usize {
    let tokens = known.window.saturating_sub(known.max_output.min(known.window / 2));
    let bytes = (u64::from(tokens) * 3).saturating_sub(fixed.bytes).max(8_192);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
