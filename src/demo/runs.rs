//! What agents do: each item of an inbox becomes a run, whose steps are those that an engine would take.

use std::collections::VecDeque;

use super::people::For;
use super::words::ToolText;
use super::{Company, Job, Out, SeedError};
use features::comments::rules::{self as comments, Reach};
use features::deliverables::model::{BY_TASK, Content, Deliverable};
use features::deliverables::rules::{self as deliverables, NewDelivery};
use features::inbox::model::Item;
use features::inbox::{queries as inbox, rules as items};
use features::runs::model::{Body, CallStatus, EventKind, ModelSource, Park, PromptPart};
use features::runs::queries as runs;
use features::runs::rules::{self as life, Pause, RunSpec, RunWriter, SessionSpec, park};
use features::tasks::model::Task;
use features::tasks::queries::relations as ties;
use features::tasks::rules::{self as tasks, NewTask};
use features::usage::queries as usage;
use features::usage::rules::{self as money, Callee, Reserve, Spent, UsageError};
use kernel::key::KeyBuf;
use kernel::text::ellipsis;
use kernel::{
    Actor, AgentId, Assignee, CallKind, Cause, DeliverableState, ItemId, ItemKind, Outcome, Part,
    RunId, RunTrigger, TaskId, Thinking, WaitFor,
};
use providers::catalog;
use providers::model::{Part as Said, Usage as Tokens};
use store::{Range, ReadExt as _, StoreError, WriteTx};

/// Who gives runs to items.
const ENGINE: (Actor, Cause) = (Actor::System(Part::Engine), Cause::Timer);
/// How many waiting items are looked at together.
const PAGE: usize = 2_000;
/// The word of the provider in the record.
const PROVIDER: &str = "anthropic";
/// The most that is held back for a call, in micro-dollars and tokens.
const BOUND: (i64, i64) = (250_000, 40_000);

/// A run that is at work.
pub(super) struct Live {
    run: RunId,
    agent: usize,
    epoch: u64,
    task: Option<TaskId>,
    title: String,
    script: VecDeque<Step>,
    /// How many steps were taken.
    taken: u32,
    over: bool,
}

impl Live {
    /// Whether it has ended, or waits for somebody.
    pub fn is_over(&self) -> bool {
        self.over
    }
}

/// What an agent does in a step of its run.
enum Step {
    /// Looks at something.
    Look(ToolText),
    /// Says something on the task.
    Comment(String),
    /// Delivers work, or the next version of what is to be changed.
    Deliver { title: String, text: String, note: String, again: bool },
    /// Asks a person, and waits.
    Ask(String),
    /// Ends the task and the run.
    Finish(String),
    /// Ends the run.
    End(Outcome, String),
}

impl Step {
    /// The tool that it calls, with its arguments; none for the end of a run that says nothing.
    fn call(&self) -> Option<(&'static str, String)> {
        let one = |name: &str, text: &str| serde_json::json!({ name: text }).to_string();
        Some(match self {
            Self::Look(tool) => (tool.name, tool.arguments.clone()),
            Self::Comment(text) => ("comment_add", one("body", text)),
            Self::Deliver { text, again: false, .. } => ("deliverable_submit", one("body", text)),
            Self::Deliver { text, .. } => ("deliverable_revise", one("body", text)),
            Self::Ask(text) => ("ask_person", one("question", text)),
            Self::Finish(text) | Self::End(Outcome::Done, text) => {
                ("work_done", one("summary", text))
            }
            Self::End(Outcome::Failed { .. }, text) => ("work_fail", one("reason", text)),
            Self::End(..) => return None,
        })
    }
}

/// What a model has said in a step.
struct Answer {
    text: String,
    tokens: Tokens,
    millis: u64,
}

/// An item that an agent takes up.
struct Taken {
    agent: usize,
    kind: ItemKind,
    task: Option<TaskId>,
    title: String,
    card: String,
    rejected: bool,
}

impl Company {
    /// An agent that works in a stream, or any.
    pub(super) fn free_worker(&mut self, stream: usize) -> AgentId {
        let all = self.agents.iter().zip(&self.words.agents);
        let fits: Vec<AgentId> = all
            .filter(|(_, text)| text.streams.contains(&stream))
            .map(|(agent, _)| agent.id)
            .collect();
        match fits.is_empty() {
            true => self.agents[self.dice.below(self.agents.len())].id,
            false => *self.dice.pick(&fits),
        }
    }

    /// Gives each of the first agents that rests what has waited longest for it; says how many runs
    /// began.
    pub(super) async fn hand_out(&mut self, first: usize, asks: bool) -> Result<usize, SeedError> {
        let mut jobs = Vec::new();
        for (item, taken) in self.waiting(first)? {
            let slug = self.agents[taken.agent].slug.clone();
            let act: super::Act = Box::new(move |tx: &mut WriteTx<'_>| take_up(tx, &item, &slug));
            jobs.push(Job { by: ENGINE, act, what: taken });
        }
        let mut jobs_to_begin = Vec::new();
        for (taken, out) in self.piece(jobs).await? {
            let Some(Out::Run(run)) = out else { continue };
            let agent = self.agents[taken.agent].id;
            let (model, card) = (self.words.agents[taken.agent].model, taken.card.clone());
            let act: super::Act = Box::new(move |tx: &mut WriteTx<'_>| begin(tx, run, model, card));
            let by = (Actor::Agent { agent, run }, Cause::Step(run, 1));
            jobs_to_begin.push(Job { by, act, what: (run, taken) });
        }
        let mut begun = 0;
        for ((run, taken), out) in self.piece(jobs_to_begin).await? {
            let Some(Out::Begun(epoch)) = out else { continue };
            let script = match asks {
                true => {
                    let look = self.look(&taken.title);
                    VecDeque::from([look, Step::Ask(self.words.say(&mut self.dice, "asks"))])
                }
                false => self.script(&taken),
            };
            let Taken { agent, task, title, .. } = taken;
            self.live.push(Live { run, agent, epoch, task, title, script, taken: 0, over: false });
            begun += 1;
        }
        Ok(begun)
    }

    /// The item of each agent that takes work and has none, longest due first.
    fn waiting(&self, first: usize) -> Result<Vec<(Item, Taken)>, SeedError> {
        let now = self.app.clock.now();
        let mut free: Vec<usize> = (0..first)
            .filter(|n| !self.agents[*n].paused && self.live.iter().all(|run| run.agent != *n))
            .collect();
        self.ws.read(|snap| {
            let mut chosen = Vec::new();
            for item in inbox::due(snap, now, PAGE)? {
                let at = free.iter().position(|n| self.agents[*n].id == item.agent);
                let held = match item.task.filter(|_| item.waits_for_blockers()) {
                    Some(task) => !ties::open_blockers(snap, task)?.is_empty(),
                    None => false,
                };
                let Some(at) = at.filter(|_| !held) else { continue };
                let title = match item.task {
                    Some(task) => snap.get::<Task>(task)?.map(|task| task.title),
                    None => None,
                };
                let said: Vec<&str> = item.reasons.iter().map(|one| one.summary.as_str()).collect();
                let card = said.join("\n");
                let taken = Taken {
                    agent: free.swap_remove(at),
                    kind: item.kind,
                    task: item.task,
                    title: title.unwrap_or_else(|| ellipsis(&card, 80)),
                    rejected: card.starts_with("Deliverable rejected"),
                    card,
                };
                chosen.push((item, taken));
            }
            Ok::<_, SeedError>(chosen)
        })
    }

    fn look(&mut self, title: &str) -> Step {
        Step::Look(self.words.tool(&mut self.dice, title))
    }

    /// What an agent will do with an item.
    fn script(&mut self, taken: &Taken) -> VecDeque<Step> {
        let looks = self.dice.within(1, 3);
        let mut script: VecDeque<Step> = (0..looks).map(|_| self.look(&taken.title)).collect();
        let summary = self.words.say(&mut self.dice, "summary");
        if taken.task.is_none() {
            script.push_back(Step::End(Outcome::Done, summary));
            return script;
        }
        let given = matches!(
            taken.kind,
            ItemKind::TaskAssignment
                | ItemKind::TaskReassignment
                | ItemKind::BlockerResolved
                | ItemKind::StartNow
        );
        match (taken.kind, given, self.dice.below(100)) {
            (ItemKind::DeliverableReview, _, _) if taken.rejected => {
                script.push_back(Step::Comment(self.words.say(&mut self.dice, "answer")));
                script.push_back(Step::Finish(summary));
            }
            (ItemKind::DeliverableReview, _, _) => {
                script.push_back(self.delivery(&taken.title, true));
                script.push_back(Step::End(Outcome::Done, summary));
            }
            (_, true, 0..=44) => {
                script.push_back(self.delivery(&taken.title, false));
                script.push_back(Step::End(Outcome::Done, summary));
            }
            (_, true, 45..=48) => {
                let reason = self.words.say(&mut self.dice, "trouble");
                let failed = Outcome::Failed { code: "agent".to_owned(), reason: reason.clone() };
                script.push_back(Step::End(failed, reason));
            }
            (_, true, 49) => script.push_back(Step::End(Outcome::NoOutcome, String::new())),
            (_, true, 50) => {
                let which = "time".to_owned();
                script.push_back(Step::End(Outcome::Limit { which }, String::new()));
            }
            (_, true, _) => {
                script.push_back(Step::Comment(self.words.say(&mut self.dice, "report")));
                script.push_back(Step::Finish(summary));
            }
            _ => {
                script.push_back(Step::Comment(self.words.say(&mut self.dice, "answer")));
                script.push_back(Step::End(Outcome::Done, summary));
            }
        }
        script
    }

    fn delivery(&mut self, title: &str, again: bool) -> Step {
        let text = self.words.say(&mut self.dice, "delivery").replace("{title}", title);
        let note = self.words.say(&mut self.dice, "note");
        Step::Deliver { title: title.to_owned(), text, note, again }
    }

    /// The next step of each run.
    pub(super) fn steps(&mut self) -> Vec<Job<For>> {
        let mut jobs = Vec::new();
        for place in 0..self.live.len() {
            let live = &mut self.live[place];
            let Some(step) = live.script.pop_front() else { continue };
            live.taken += 1;
            let (run, epoch, task, n) = (live.run, live.epoch, live.task, live.taken);
            let agent = self.agents[live.agent].id;
            live.over = matches!(step, Step::Ask(_) | Step::Finish(_) | Step::End(..));
            let answer = Answer {
                text: self.words.say(&mut self.dice, "thought"),
                tokens: Tokens {
                    input: self.dice.within(300, 2_500) as u64,
                    cache_read: self.dice.within(4_000, 14_000) as u64,
                    cache_write: self.dice.below(3_000) as u64,
                    output: self.dice.within(60, 900) as u64,
                    ..Tokens::default()
                },
                millis: self.dice.within(1_500, 14_000) as u64,
            };
            let act: super::Act = Box::new(move |tx: &mut WriteTx<'_>| {
                let pen = RunWriter::open(tx, run, epoch)?;
                take_step(tx, pen, task, step, answer)
            });
            let by = (Actor::Agent { agent, run }, Cause::Step(run, n + 1));
            jobs.push(Job { by, act, what: For::Step(place) });
        }
        jobs
    }

    /// A step was taken. One that was refused leaves its run to be ended.
    pub(super) fn stepped(&mut self, place: usize, out: Option<Out>) {
        let task = self.live[place].task;
        match (task, out) {
            (Some(task), Some(Out::Delivered(piece))) => self.expect_review(task, piece),
            (_, None) => {
                self.live[place].script.clear();
                self.live[place].over = false;
            }
            _ => {}
        }
    }

    /// Lets an agent or two ask something that nobody has answered yet.
    pub(super) async fn let_ask(&mut self) -> Result<(), SeedError> {
        let count = if self.agents.len() < 10 { 1 } else { 2 };
        for n in 0..count {
            let stream = self.words.agents[n].streams[0];
            let title = self.words.title(&mut self.dice, stream);
            let new = NewTask {
                assignee: Some(Assignee::Agent(self.agents[n].id)),
                stream: Some(self.streams[stream]),
                ..NewTask::titled(title)
            };
            let act: super::Act = Box::new(move |tx: &mut WriteTx<'_>| {
                Ok(Out::Tasks(vec![tasks::create(tx, new)?.id]))
            });
            let by = (self.people[0].by, self.request());
            self.piece(vec![Job { by, act, what: () }]).await?;
        }
        self.hand_out(count, true).await?;
        for _ in 0..2 {
            self.pass(10, 40);
            let jobs = self.steps();
            self.happen(jobs).await?;
        }
        Ok(())
    }

    /// Ends runs of which a step was refused, so that none is left half done.
    pub(super) async fn end_stuck(&mut self) -> Result<(), SeedError> {
        let stuck = |run: &Live| !run.over && run.script.is_empty();
        let gone: Vec<(RunId, String)> = self
            .live
            .iter()
            .filter(|run| stuck(run))
            .map(|run| (run.run, run.title.clone()))
            .collect();
        self.live.retain(|run| !stuck(run));
        for (run, title) in gone {
            tracing::debug!(title, "a run of the demo is ended");
            let ended = self
                .ws
                .write(&ENGINE, move |tx| life::force_end(tx, run, Outcome::Interrupted, ""));
            ended.await?;
        }
        Ok(())
    }
}

/// Makes the run of an item and leases the item to it.
fn take_up(tx: &mut WriteTx<'_>, item: &Item, slug: &str) -> Result<Out, SeedError> {
    let title = match item.task {
        Some(task) => tx.get::<Task>(task)?.map(|task| task.title),
        None => item.reasons.last().map(|reason| ellipsis(&reason.summary, 80)),
    };
    let key = runs::item_session_key(tx, slug, item)?;
    let session = SessionSpec { agent: item.agent, key, owner: None, task: item.task };
    let id: ItemId = item.id;
    let title = title.unwrap_or_else(|| item.kind.label().to_owned());
    let spec = RunSpec { trigger: RunTrigger::Item, item: Some(id), task: item.task, title };
    let Some(run) = life::make_item_run(tx, session, spec)? else { return Ok(Out::Later) };
    items::lease(tx, id, run)?;
    Ok(Out::Run(run))
}

/// Begins a run and asks its model for the first time.
fn begin(tx: &mut WriteTx<'_>, run: RunId, model: &str, card: String) -> Result<Out, SeedError> {
    let mut pen = life::begin(tx, run)?;
    (pen.run.model, pen.run.model_source) = (model.to_owned(), ModelSource::Agent);
    pen.run.thinking = Thinking::Low;
    let (attempt, epoch) = (pen.run.attempt, pen.run.epoch);
    let (model, thinking) = (model.to_owned(), Thinking::Low);
    pen.append(tx, EventKind::RunStarted { attempt, model, thinking, request_bytes: 11_400 })?;
    let (text, by) = (Body::Inline(card), Actor::System(Part::Engine));
    pen.append(tx, EventKind::Input { input: None, text, by, steered: false })?;
    let part = |name: &str, bytes| PromptPart { name: name.to_owned(), bytes, stable: true };
    let parts = vec![part("AGENTS.md", 3_100), part("SOUL.md", 900), part("MEMORY.md", 640)];
    pen.append(tx, EventKind::Prompted { parts })?;
    ask(tx, &mut pen)?;
    pen.save(tx)?;
    Ok(Out::Begun(epoch))
}

/// The model is asked, with what was said meanwhile: what that may cost is held back.
fn ask(tx: &mut WriteTx<'_>, pen: &mut RunWriter) -> Result<(), SeedError> {
    pen.read_inputs(tx)?;
    let call = pen.run.calls + 1;
    let reserve = Reserve {
        agent: pen.run.agent,
        run: pen.run.id,
        call,
        kind: CallKind::Step,
        callee: Callee {
            connection: None,
            provider: PROVIDER.to_owned(),
            model: pen.run.model.clone(),
        },
        bound_micros: BOUND.0,
        input_micros: BOUND.0 / 10,
        bound_tokens: BOUND.1,
        input_tokens: BOUND.1 / 2,
    };
    match tx.attempt(|tx| money::reserve(tx, reserve)) {
        Ok(_) => {}
        Err(UsageError::Store(error)) => return Err(error.into()),
        // Its budget is used up: this call is left out.
        Err(_) => return Ok(()),
    }
    let (provider, model) = (PROVIDER.to_owned(), pen.run.model.clone());
    let asked = EventKind::CallStarted { call, provider, model, reserved_micros: BOUND.0 };
    Ok(pen.append(tx, asked)?)
}

/// The model has answered: what that cost is booked.
fn answered(
    tx: &mut WriteTx<'_>,
    pen: &mut RunWriter,
    answer: &Answer,
    call: Option<(&str, &str, &str)>,
) -> Result<(), SeedError> {
    let tokens = answer.tokens;
    let mut billed = None;
    for held in usage::unsettled(tx, pen.run.id)? {
        let model = catalog::describe(&held.model);
        billed = usage::bill(&model, &tokens);
        let spent = Spent {
            connection: None,
            provider: held.provider.clone(),
            model: held.model.clone(),
            tokens,
            counted: true,
            billed_micros: billed,
            size: None,
        };
        money::settle(tx, held.id, spent)?;
    }
    let mut parts = vec![Said::Text { text: answer.text.clone() }];
    parts.extend(call.map(|(id, name, arguments)| Said::ToolCall {
        id: id.to_owned(),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    }));
    let parts = serde_json::to_string(&parts);
    let parts = parts.map_err(|error| SeedError::Refused(error.to_string()))?;
    let said = EventKind::Assistant {
        call: pen.run.calls,
        parts: Body::Inline(parts),
        stop: if call.is_some() { "tool_use" } else { "end" }.to_owned(),
        input_tokens: tokens.input_total(),
        output_tokens: tokens.output,
        billed_micros: billed,
        millis: answer.millis,
    };
    Ok(pen.append(tx, said)?)
}

/// A model has answered, what it wants is done, and it is asked again unless that was the end.
fn take_step(
    tx: &mut WriteTx<'_>,
    mut pen: RunWriter,
    task: Option<TaskId>,
    step: Step,
    answer: Answer,
) -> Result<Out, SeedError> {
    let number = pen.run.steps + 1;
    let call_id = format!("call_{number}");
    let call = step.call();
    let named = call.as_ref().map(|(name, args)| (call_id.as_str(), *name, args.as_str()));
    answered(tx, &mut pen, &answer, named)?;
    if let Step::Ask(question) = step {
        return asked(tx, pen, number, question);
    }
    let mut out = Out::Done;
    if let Some((name, _)) = call {
        let name = name.to_owned();
        let begun = EventKind::ToolStarted {
            step: number,
            call_id: call_id.clone(),
            name: name.clone(),
            file: None,
        };
        pen.append(tx, begun)?;
        let done = effect(tx, task, &step)?;
        let finished = EventKind::ToolFinished {
            step: number,
            call_id,
            name: name.clone(),
            status: done.status,
            result: Body::Inline(done.text),
            millis: answer.millis / 40 + 3,
            paths: Vec::new(),
            seq: done.seq,
        };
        pen.append(tx, finished)?;
        pen.run.effective |= done.seq.is_some();
        pen.run.activity = name;
        out = done.out;
    }
    if matches!(step, Step::Finish(_) | Step::End(..)) {
        pen.read_inputs(tx)?;
    }
    match step {
        Step::Finish(summary) => pen.end(tx, Outcome::Done, &summary).map(drop)?,
        Step::End(outcome, summary) => pen.end(tx, outcome, &summary).map(drop)?,
        _ => {
            ask(tx, &mut pen)?;
            pen.save(tx)?;
        }
    }
    Ok(out)
}

/// A run waits for a person's answer.
fn asked(
    tx: &mut WriteTx<'_>,
    pen: RunWriter,
    step: u32,
    question: String,
) -> Result<Out, SeedError> {
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
    };
    park::park(tx, wish)?;
    let pause =
        Pause { waits_for: WaitFor::Question, detail: question, needs_micros: None, until: None };
    pen.wait(tx, pause)?;
    Ok(Out::Done)
}

/// What a tool did.
struct Effect {
    status: CallStatus,
    text: String,
    seq: Option<u64>,
    out: Out,
}

/// Does what a tool does; what a rule refuses is what the model reads.
fn effect(tx: &mut WriteTx<'_>, task: Option<TaskId>, step: &Step) -> Result<Effect, SeedError> {
    let said = |text: &str| Effect {
        status: CallStatus::Ok,
        text: text.to_owned(),
        seq: None,
        out: Out::Done,
    };
    let done = match (step, task) {
        (Step::Look(tool), _) => return Ok(said(&tool.result)),
        (Step::Comment(text), Some(task)) => tx.attempt(|tx| {
            comments::add(tx, task, text, Reach::Usual)?;
            Ok::<_, SeedError>((Out::Done, "The comment was added."))
        }),
        (Step::Deliver { title, text, note, again }, Some(task)) => tx.attempt(|tx| {
            let revises = match again {
                true => unhappy(tx, task)?,
                false => None,
            };
            let content = Content::Text(text.clone());
            let (title, note) = (title.clone(), note.clone());
            let new = NewDelivery { task, title, content, note, revises };
            let piece = deliverables::submit(tx, new)?.0;
            Ok::<_, SeedError>((Out::Delivered(piece.id), "Delivered; it waits for a review."))
        }),
        (Step::Finish(_), Some(task)) => tx.attempt(|tx| {
            tasks::complete(tx, task)?;
            Ok::<_, SeedError>((Out::Done, "The task is done."))
        }),
        _ => return Ok(said("Noted.")),
    };
    match done {
        Ok((out, text)) => Ok(Effect { seq: Some(tx.seq()?), out, ..said(text) }),
        Err(SeedError::Refused(why)) => Ok(Effect { status: CallStatus::Error, ..said(&why) }),
        Err(error) => Err(error),
    }
}

/// The piece of a task of which another version is wanted.
fn unhappy(tx: &WriteTx<'_>, task: TaskId) -> Result<Option<kernel::DeliverableId>, StoreError> {
    let range = Range::prefix(KeyBuf::of(&task));
    let all: Vec<Deliverable> = tx.scan(BY_TASK, &range)?;
    let wanted = |piece: &&Deliverable| piece.state == DeliverableState::ChangesRequested;
    Ok(all.iter().find(wanted).map(|piece| piece.id))
}
