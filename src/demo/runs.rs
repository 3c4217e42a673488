//! Runs of agents: inbox items become runs with the steps that an engine would record.

use std::collections::VecDeque;

use super::people::For;
use super::texts::ToolText;
use super::{Company, DemoError, Job, Out};
use features::comments::rules::{self as comments, Reach};
use features::deliverables::model::{BY_TASK, Content, Deliverable};
use features::deliverables::rules::{self as deliverables, NewDelivery};
use features::inbox::model::Item;
use features::inbox::{queries as inbox, rules as items};
use features::runs::model::{Body, CallStatus, EventKind, ModelSource, Park, PromptPart};
use features::runs::queries as runs;
use features::runs::rules::{self as life, Pause, RunSpec, RunWriter, SessionSpec, park};
use features::tasks::model::Task;
use features::tasks::queries::relations as found;
use features::tasks::rules::{self as tasks, NewTask};
use features::usage::queries as usage;
use features::usage::rules::{self as money, Callee, Reserve, Spent, UsageError};
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{
    Actor, Assignee, CallKind, Cause, DeliverableState, ItemKind, Outcome, Part, RunId, RunTrigger,
    TaskId, Thinking, WaitFor,
};
use providers::catalog;
use providers::model::{Part as Said, Usage as Tokens};
use store::{Range, ReadExt as _, WriteTx};

/// Actor that starts runs.
const ENGINE: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// Waiting items read at once.
const PAGE: usize = 2_000;
/// Provider in the records.
const PROVIDER: &str = "anthropic";
/// Reservation per call, in micro-dollars and tokens.
const BOUND: (i64, i64) = (250_000, 40_000);

/// A running run.
pub(super) struct Live {
    run: RunId,
    agent: usize,
    epoch: u64,
    task: Option<TaskId>,
    script: VecDeque<Step>,
    /// Number of steps so far.
    taken: u32,
    /// Ended, or waiting for a person.
    is_over: bool,
}

/// A step of a run.
enum Step {
    Read(ToolText),
    Comment(String),
    /// Delivers work, or the next version after a change request.
    Deliver {
        title: String,
        text: String,
        note: String,
        again: bool,
    },
    /// Asks a person and waits.
    Ask(String),
    /// Completes the task and ends the run.
    Finish(String),
    End(Outcome, String),
}

impl Step {
    /// The tool call of this step: name and arguments.
    fn call(&self) -> (&str, String) {
        let (tool, name, text) = match self {
            Self::Read(tool) => return (&tool.name, tool.arguments.clone()),
            Self::Comment(text) => ("comment_add", "body", text),
            Self::Deliver { text, again: false, .. } => ("deliverable_submit", "body", text),
            Self::Deliver { text, .. } => ("deliverable_revise", "body", text),
            Self::Ask(text) => ("ask_person", "question", text),
            Self::End(Outcome::Failed { .. }, text) => ("work_fail", "reason", text),
            Self::Finish(text) | Self::End(_, text) => ("work_done", "summary", text),
        };
        (tool, serde_json::json!({ name: text }).to_string())
    }
}

/// A model's response in a step.
struct Answer {
    text: String,
    tokens: Tokens,
    millis: u64,
}

/// An inbox item that an agent starts.
struct Taken {
    agent: usize,
    item: Item,
    title: String,
    /// The item's reasons, for the model.
    card: String,
}

impl Company {
    /// Starts a run for each idle one of the first agents, for its longest waiting item; returns the number of runs.
    pub(super) async fn hand_out(&mut self, first: usize, asks: bool) -> Result<usize, DemoError> {
        let mut jobs = Vec::new();
        for taken in self.waiting(first)? {
            let (item, slug) = (taken.item.clone(), self.agents[taken.agent].slug.clone());
            let title = taken.title.clone();
            jobs.push(Job::new(ENGINE, taken, move |tx| take_up(tx, &item, &slug, title)));
        }
        let mut begins = Vec::new();
        for (taken, out) in self.all(jobs).await? {
            let Some(Out::Run(run)) = out else { continue };
            let by = Actor::Agent { agent: self.agents[taken.agent].id, run };
            let (model, card) = (self.texts.agents[taken.agent].model.clone(), taken.card.clone());
            let by = (by, Cause::Step(run, 1));
            begins.push(Job::new(by, (run, taken), move |tx| begin(tx, run, model, card)));
        }
        let mut begun = 0;
        for ((run, taken), out) in self.all(begins).await? {
            let Some(Out::Begun(epoch)) = out else { continue };
            let script = match asks {
                true => {
                    let ask = self.texts.say(&mut self.dice, "asks");
                    VecDeque::from([self.read(&taken.title), Step::Ask(ask)])
                }
                false => self.script(&taken),
            };
            let Taken { agent, item: Item { task, .. }, .. } = taken;
            self.live.push(Live { run, agent, epoch, task, script, taken: 0, is_over: false });
            begun += 1;
        }
        Ok(begun)
    }

    /// Next item of each idle agent that takes work, the longest overdue first.
    fn waiting(&self, first: usize) -> Result<Vec<Taken>, DemoError> {
        let now = self.app.clock.now();
        let rests = |n: &usize| self.live.iter().all(|run| run.agent != *n);
        let mut free: Vec<usize> =
            (0..first).filter(|n| !self.agents[*n].paused && rests(n)).collect();
        self.ws.read(|snap| {
            let mut chosen = Vec::new();
            for item in inbox::due(snap, now, PAGE)? {
                let Some(at) = free.iter().position(|n| self.agents[*n].id == item.agent) else {
                    continue;
                };
                let (mut title, mut is_blocked) = (None, false);
                if let Some(task) = item.task {
                    title = snap.get::<Task>(task)?.map(|task| task.title);
                    is_blocked =
                        item.waits_for_blockers() && !found::open_blockers(snap, task)?.is_empty();
                }
                if is_blocked {
                    continue;
                }
                let reasons: Vec<&str> =
                    item.reasons.iter().map(|one| one.summary.as_str()).collect();
                let card = reasons.join("\n");
                let title = title.unwrap_or_else(|| ellipsis(&card, 80));
                chosen.push(Taken { agent: free.swap_remove(at), item, title, card });
            }
            Ok(chosen)
        })
    }

    fn read(&mut self, title: &str) -> Step {
        Step::Read(self.texts.tool(&mut self.dice, title))
    }

    /// The steps for an item.
    fn script(&mut self, taken: &Taken) -> VecDeque<Step> {
        let reads = self.dice.within(1, 3);
        let mut script: VecDeque<Step> = (0..reads).map(|_| self.read(&taken.title)).collect();
        let summary = self.texts.say(&mut self.dice, "summary");
        let done = Step::End(Outcome::Done, summary.clone());
        if taken.item.task.is_none() {
            script.push_back(done);
            return script;
        }
        let is_assignment = matches!(
            taken.item.kind,
            ItemKind::TaskAssignment
                | ItemKind::TaskReassignment
                | ItemKind::BlockerResolved
                | ItemKind::StartNow
        );
        let is_review = taken.item.kind == ItemKind::DeliverableReview;
        let is_rejected = is_review && taken.card.starts_with("Deliverable rejected");
        let chance = self.dice.below(100);
        let say = |company: &mut Self, kind| company.texts.say(&mut company.dice, kind);
        script.extend(if is_rejected {
            [Step::Comment(say(self, "answer")), Step::Finish(summary)]
        } else if is_review || (is_assignment && chance < 45) {
            [self.delivery(&taken.title, is_review), done]
        } else if is_assignment && chance < 50 {
            let reason = say(self, "trouble");
            let failed = Outcome::Failed { code: "agent".to_owned(), reason: reason.clone() };
            [self.read(&taken.title), Step::End(failed, reason)]
        } else if is_assignment {
            [Step::Comment(say(self, "report")), Step::Finish(summary)]
        } else {
            [Step::Comment(say(self, "answer")), done]
        });
        script
    }

    fn delivery(&mut self, title: &str, again: bool) -> Step {
        let (title, text) = self.texts.delivery(title);
        let note = self.texts.say(&mut self.dice, "note");
        Step::Deliver { title, text, note, again }
    }

    /// The next step of each run.
    pub(super) fn steps(&mut self) -> Vec<Job<For>> {
        let mut jobs = Vec::new();
        for (place, live) in self.live.iter_mut().enumerate() {
            let Some(step) = live.script.pop_front() else { continue };
            live.taken += 1;
            live.is_over = matches!(step, Step::Ask(_) | Step::Finish(_) | Step::End(..));
            let dice = &mut self.dice;
            let answer = Answer {
                text: self.texts.say(dice, "thought"),
                tokens: Tokens {
                    input: dice.within(300, 2_500) as u64,
                    cache_read: dice.within(4_000, 14_000) as u64,
                    cache_write: dice.below(3_000) as u64,
                    output: dice.within(60, 900) as u64,
                    ..Tokens::default()
                },
                millis: dice.within(1_500, 14_000) as u64,
            };
            let (run, epoch, task) = (live.run, live.epoch, live.task);
            let by = Actor::Agent { agent: self.agents[live.agent].id, run };
            let by = (by, Cause::Step(run, live.taken + 1));
            jobs.push(Job::new(by, For::Step(place), move |tx| {
                let pen = RunWriter::open(tx, run, epoch)?;
                take_step(tx, pen, task, step, answer)
            }));
        }
        jobs
    }

    /// Handles the result of a step. A run with a refused step has no steps left and will be ended.
    pub(super) fn stepped(&mut self, place: usize, out: Option<Out>) {
        match out {
            Some(Out::Delivered(piece)) => self.expect_review(piece),
            Some(_) => {}
            None => {
                self.live[place].script.clear();
                self.live[place].is_over = false;
            }
        }
    }

    /// Removes ended runs, and ends those whose step was refused.
    pub(super) async fn end_runs(&mut self) -> Result<(), DemoError> {
        self.live.retain(|run| !run.is_over);
        let stuck = self.live.extract_if(.., |run| run.script.is_empty());
        for run in stuck.map(|live| live.run).collect::<Vec<_>>() {
            let ended = self
                .ws
                .write(&ENGINE, move |tx| life::force_end(tx, run, Outcome::Interrupted, ""));
            ended.await?;
        }
        Ok(())
    }

    /// Lets an agent or two ask questions that stay open.
    pub(super) async fn let_ask(&mut self) -> Result<(), DemoError> {
        let few = self.few();
        for n in 0..few {
            let stream = self.texts.agents[n].streams[0];
            let new = NewTask {
                assignee: Some(Assignee::Agent(self.agents[n].id)),
                stream: Some(self.streams[stream]),
                ..self.next_task(stream)
            };
            self.act(0, move |tx| tasks::create(tx, new)).await?;
        }
        self.hand_out(few, true).await?;
        for _ in 0..2 {
            self.pass(10, 40);
            let jobs = self.steps();
            self.happen(jobs).await?;
        }
        Ok(())
    }
}

/// Creates the run of an item and leases the item to it.
fn take_up(tx: &mut WriteTx<'_>, item: &Item, slug: &str, title: String) -> Result<Out, DemoError> {
    let key = runs::item_session_key(tx, slug, item)?;
    let session = SessionSpec { agent: item.agent, key, owner: None, task: item.task };
    let spec = RunSpec { trigger: RunTrigger::Item, item: Some(item.id), task: item.task, title };
    let Some(run) = life::make_item_run(tx, session, spec)? else { return Ok(Out::Later) };
    items::lease(tx, item.id, run)?;
    Ok(Out::Run(run))
}

/// Starts a run with its first model call.
fn begin(tx: &mut WriteTx<'_>, run: RunId, model: String, card: String) -> Result<Out, DemoError> {
    let mut pen = life::begin(tx, run)?;
    let thinking = Thinking::Low;
    (pen.run.model, pen.run.model_source) = (model.clone(), ModelSource::Agent);
    pen.run.thinking = thinking;
    let (attempt, epoch) = (pen.run.attempt, pen.run.epoch);
    pen.append(tx, EventKind::RunStarted { attempt, model, thinking, request_bytes: 11_400 })?;
    let (text, by) = (Body::Inline(card), ENGINE.0);
    pen.append(tx, EventKind::Input { input: None, text, by, steered: false })?;
    let part = |name: &str, bytes| PromptPart { name: name.to_owned(), bytes, stable: true };
    let parts = vec![part("AGENTS.md", 3_100), part("SOUL.md", 900), part("MEMORY.md", 640)];
    pen.append(tx, EventKind::Prompted { parts })?;
    ask(tx, &mut pen)?;
    pen.save(tx)?;
    Ok(Out::Begun(epoch))
}

/// Calls the model with new inputs, and reserves the estimated cost.
fn ask(tx: &mut WriteTx<'_>, pen: &mut RunWriter) -> Result<(), DemoError> {
    pen.read_inputs(tx)?;
    let (call, provider, model) = (pen.run.calls + 1, PROVIDER.to_owned(), pen.run.model.clone());
    let callee = Callee { connection: None, provider: provider.clone(), model: model.clone() };
    let reserve = Reserve {
        agent: pen.run.agent,
        run: pen.run.id,
        call,
        kind: CallKind::Step,
        callee,
        bound_micros: BOUND.0,
        input_micros: BOUND.0 / 10,
        bound_tokens: BOUND.1,
        input_tokens: BOUND.1 / 2,
    };
    match tx.attempt(|tx| money::reserve(tx, reserve)) {
        Ok(_) => {}
        Err(UsageError::Store(error)) => return Err(error.into()),
        // The budget is used up: this call is skipped.
        Err(_) => return Ok(()),
    }
    let event = EventKind::CallStarted { call, provider, model, reserved_micros: BOUND.0 };
    Ok(pen.append(tx, event)?)
}

/// Records the model's response with its tool call, and books the cost.
fn answered(
    tx: &mut WriteTx<'_>,
    pen: &mut RunWriter,
    answer: Answer,
    tool: Said,
) -> Result<(), DemoError> {
    let tokens = answer.tokens;
    let mut billed = None;
    for held in usage::unsettled(tx, pen.run.id)? {
        billed = usage::bill(&catalog::describe(&held.model), &tokens);
        let spent = Spent {
            connection: None,
            provider: held.provider,
            model: held.model,
            tokens,
            counted: true,
            billed_micros: billed,
            size: None,
        };
        money::settle(tx, held.id, spent)?;
    }
    let parts = serde_json::json!([Said::Text { text: answer.text }, tool]).to_string();
    let event = EventKind::Assistant {
        call: pen.run.calls,
        parts: Body::Inline(parts),
        stop: "tool_use".to_owned(),
        input_tokens: tokens.input_total(),
        output_tokens: tokens.output,
        billed_micros: billed,
        millis: answer.millis,
    };
    Ok(pen.append(tx, event)?)
}

/// Records response and tool result, and calls the model again unless the run ends.
fn take_step(
    tx: &mut WriteTx<'_>,
    mut pen: RunWriter,
    task: Option<TaskId>,
    step: Step,
    answer: Answer,
) -> Result<Out, DemoError> {
    let (number, millis) = (pen.run.steps + 1, answer.millis / 40 + 3);
    let call_id = format!("call_{number}");
    let (name, arguments) = step.call();
    let name = name.to_owned();
    let tool = Said::ToolCall { id: call_id.clone(), name: name.clone(), arguments };
    answered(tx, &mut pen, answer, tool)?;
    if let Step::Ask(question) = step {
        return wait_for_answer(tx, pen, number, question);
    }
    let begun = EventKind::ToolStarted {
        step: number,
        call_id: call_id.clone(),
        name: name.clone(),
        file: None,
    };
    pen.append(tx, begun)?;
    let done = tx.attempt(|tx| effect(tx, task, &step));
    let (status, text, seq, out) = match done {
        Ok((Out::Later, text)) => (CallStatus::Ok, text, None, Out::Done),
        Ok((out, text)) => (CallStatus::Ok, text, Some(tx.seq()?), out),
        // The model gets the error as the tool's result.
        Err(DemoError::Refused(why)) => (CallStatus::Error, why, None, Out::Done),
        Err(error) => return Err(error),
    };
    let finished = EventKind::ToolFinished {
        step: number,
        call_id,
        name: name.clone(),
        status,
        result: Body::Inline(text),
        millis,
        paths: Vec::new(),
        seq,
    };
    pen.append(tx, finished)?;
    pen.run.effective |= seq.is_some();
    pen.run.activity = name;
    let (outcome, summary) = match step {
        Step::Finish(summary) => (Outcome::Done, summary),
        Step::End(outcome, summary) => (outcome, summary),
        _ => {
            ask(tx, &mut pen)?;
            pen.save(tx)?;
            return Ok(out);
        }
    };
    pen.read_inputs(tx)?;
    pen.end(tx, outcome, &summary)?;
    Ok(out)
}

/// Lets a run wait for a person's answer.
fn wait_for_answer(
    tx: &mut WriteTx<'_>,
    pen: RunWriter,
    step: u32,
    question: String,
) -> Result<Out, DemoError> {
    let wish = Park {
        run: pen.run.id,
        step,
        agent: pen.run.agent,
        question: question.clone(),
        options: Vec::new(),
        until: None,
        task: None,
        at: tx.now(),
        over_at: None,
        asked: None,
    };
    park::park(tx, wish)?;
    let pause =
        Pause { waits_for: WaitFor::Question, detail: question, needs_micros: None, until: None };
    pen.wait(tx, pause)?;
    Ok(Out::Done)
}

/// Applies the effect of a tool; `Later` means no change.
fn effect(
    tx: &mut WriteTx<'_>,
    task: Option<TaskId>,
    step: &Step,
) -> Result<(Out, String), DemoError> {
    let (out, text) = match (step, task) {
        (Step::Read(tool), _) => (Out::Later, tool.result.as_str()),
        (Step::Comment(text), Some(task)) => {
            comments::add(tx, task, text, Reach::Usual)?;
            (Out::Done, "The comment was added.")
        }
        (Step::Deliver { title, text, note, again: is_repeat }, Some(task)) => {
            let all: Vec<Deliverable> = tx.scan(BY_TASK, &Range::prefix(KeyBuf::of(&task)))?;
            let is_wanted = |piece: &&Deliverable| {
                *is_repeat && piece.state == DeliverableState::ChangesRequested
            };
            let revises = all.iter().find(is_wanted).map(|piece| piece.id);
            let (title, content) = (title.clone(), Content::Text(text.clone()));
            let new = NewDelivery { task, title, content, note: note.clone(), revises };
            let piece = deliverables::submit(tx, new)?.0;
            (Out::Delivered(piece.id), "Delivered; it waits for a review.")
        }
        (Step::Finish(_), Some(task)) => {
            tasks::complete(tx, task)?;
            (Out::Done, "The task is done.")
        }
        _ => (Out::Later, "Noted."),
    };
    Ok((out, text.to_owned()))
}
