//! Compaction: before a conversation outgrows its model's context window, a summary replaces its older part. The events
//! stay; only the start of what the model reads moves, in the transaction that stores the summary. A crash in between
//! changes nothing, and messages wait as during any other call.
//!
//! A summary is checked against the content it must preserve (`guard`). A summary that lacks some is written once more.
//! Then patterns append what is still missing, or write all of it (`extract`). Rules of people follow every summary in
//! their exact words. A transient failure is retried once, then the next model is tried. A run never ends for lack of a
//! summary.

mod extract;
mod guard;
mod plan;
mod remember;
mod words;

use std::time::{Duration, Instant};

use features::runs::model::{Compaction, CompactionWhy, EventKind, Run, SummaryBy};
use features::runs::queries as runs;
use features::usage::rules::Spent;
use kernel::text::cut;
use kernel::{Outcome, RunTrigger};
use providers::model::{ChatRequest, Message, Part, SystemPart};
use store::{ReadExt, StoreError};

use super::EngineError;
use super::command::calls::CutOff;
use super::command::journal;
use super::context::{PLAN, Shown};
use super::history::tokens_of;
use super::model_call::Aside;
use super::turn::{Step, Turn};
use guard::Must;
use plan::{Keep, Plan};

/// Share of the context window that is used before a conversation is compacted, in percent.
const SOFT: u64 = 75;
/// The newest part of a conversation that stays, in tokens.
const KEEP_RECENT: u64 = 20_000;
/// Reserve for what a call adds, in tokens.
const RESERVE: u64 = 20_000;
/// How often a conversation that a provider rejected is compacted before it is cut.
const MAX_OVERFLOWS: u32 = 3;
/// A compaction that leaves more than this had little effect, in percent.
const LITTLE: u64 = 80;
/// After this many with little effect, no more compactions are made.
const MAX_LITTLE: u32 = 2;
/// Highest believed ratio of a provider's count to the estimate, in thousandths.
const MAX_SCALE: u64 = 8_000;
/// Time limit for one summary.
const LIMIT: Duration = Duration::from_mins(3);
/// The longest summary, in tokens.
const MAX_SUMMARY: u32 = 4_096;
/// Most calls for one summary, including the correction.
const MAX_CHUNKS: usize = 12;

/// Compaction state of a run's task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    overflows: u32,
    little: u32,
    /// No new attempt below this many tokens.
    rests_until: u64,
}

impl State {
    /// The provider has accepted the conversation.
    pub(super) fn fits(&mut self) {
        self.overflows = 0;
    }
}

/// The result of a compaction.
enum Came {
    Shrunk,
    Nothing,
    /// The run has ended or waits.
    Ended(Step),
}

/// A summary, or the call that was cut off.
enum Told {
    Summary(String, SummaryBy),
    Stopped(Option<Box<CutOff>>),
}

/// Total cost of the calls for a summary.
#[derive(Default)]
struct Sum {
    calls: u32,
    input: u64,
    output: u64,
    micros: Option<i64>,
}

impl Sum {
    fn add(&mut self, spent: &Spent) {
        self.input += spent.tokens.input_total();
        self.output += spent.tokens.output;
        self.micros = match (self.calls, self.micros, spent.billed_micros) {
            (0, _, billed) => billed,
            (_, Some(before), Some(billed)) => Some(before + billed),
            _ => None,
        };
        self.calls += 1;
    }
}

impl Turn {
    /// Before a call: compacts the conversation on request or if it will soon not fit. Returns `None` if the call can
    /// be made.
    pub(super) async fn condense(&mut self) -> Result<Option<Step>, EngineError> {
        // The next step reloads the run.
        if self.is_behind() {
            return Ok(Some(Step::Next));
        }
        let (request, waiting) = self.talk.journal.ws.read(|snap| {
            let heard = runs::queue::heard(snap, self.setting.session, self.talk.journal.run)?;
            let waiting: usize = heard.iter().map(|input| input.text.len()).sum();
            Ok::<_, StoreError>((runs::context(snap, self.setting.session)?.asked, waiting))
        })?;
        let used = self.used() + tokens_of(waiting);
        let (why, focus) = match &request {
            Some(request) => (CompactionWhy::Asked, request.focus.clone()),
            None if self.is_full(used) => (CompactionWhy::Full, String::new()),
            None => return Ok(None),
        };
        match self.compact(why, focus, used).await? {
            Came::Ended(step) => Ok(Some(step)),
            Came::Shrunk | Came::Nothing
                if why == CompactionWhy::Asked && !self.is_spoken_to()? =>
            {
                // The run was created only for the compaction.
                self.end(Outcome::Done, "").await.map(Some)
            }
            Came::Shrunk | Came::Nothing => Ok(None),
        }
    }

    /// Returns `true` if a message waits for this run's answer.
    fn is_spoken_to(&self) -> Result<bool, EngineError> {
        let (session, run) = (self.setting.session, self.talk.journal.run);
        let spoken = self.talk.journal.ws.read(|snap| {
            if !runs::queue::heard(snap, session, run)?.is_empty() {
                return Ok(true);
            }
            let Some(run) = snap.get::<Run>(run)? else { return Ok(false) };
            let events = runs::events_of_run(snap, &run, usize::MAX)?;
            Ok::<_, StoreError>(events.iter().any(|e| matches!(e.kind, EventKind::Input { .. })))
        })?;
        Ok(spoken || self.setting.trigger == RunTrigger::Item)
    }

    /// Handles a conversation that is too long for the provider. Returns `None` if compaction does not help.
    pub(super) async fn overflowed(&mut self) -> Result<Option<Step>, EngineError> {
        if self.is_behind() {
            return Ok(Some(Step::Next));
        }
        if MAX_OVERFLOWS <= self.talk.compactions.overflows || self.is_of_no_use() {
            return Ok(None);
        }
        let used = self.used();
        match self.compact(CompactionWhy::Overflow, String::new(), used).await? {
            Came::Shrunk => {
                self.talk.compactions.overflows += 1;
                Ok(Some(Step::Next))
            }
            Came::Nothing => Ok(None),
            Came::Ended(step) => Ok(Some(step)),
        }
    }

    /// Estimated tokens of the next request.
    pub(super) fn used(&self) -> u64 {
        self.talk.journal.history.tokens(self.talk.fixed.bytes)
    }

    /// Tokens that a request may have before the conversation is compacted.
    fn room_for_talk(&self) -> u64 {
        let known = &self.chooser.chosen.known;
        let window = u64::from(known.window);
        let answer = u64::from(self.setting.agent.max_output.min(known.max_output)).min(window / 4);
        let hard = window.saturating_sub(RESERVE.min(window / 5) + answer);
        (window * SOFT / 100).min(hard)
    }

    fn is_full(&self, used: u64) -> bool {
        self.room_for_talk() < used
            && self.talk.compactions.rests_until < used
            && !self.is_of_no_use()
    }

    fn is_of_no_use(&self) -> bool {
        MAX_LITTLE <= self.talk.compactions.little
    }

    fn what_stays(&self, why: CompactionWhy, used: u64) -> Keep {
        let window = u64::from(self.chooser.chosen.known.window);
        let tokens = match why {
            CompactionWhy::Asked => KEEP_RECENT.min(window / 5).min(used / 4),
            CompactionWhy::Full => KEEP_RECENT.min(window / 5),
            CompactionWhy::Overflow => KEEP_RECENT.min(window / 8).min(used / 3),
        };
        let worth = match why {
            CompactionWhy::Full => 1_000.max(used / 10),
            CompactionWhy::Asked | CompactionWhy::Overflow => 200,
        };
        Keep { tokens, most: self.room_for_talk() / 2, worth, scale: self.scale(used) }
    }

    /// Ratio of the provider's count to the estimate from bytes, in thousandths.
    fn scale(&self, used: u64) -> u64 {
        let estimate = self.talk.journal.history.estimate(self.talk.fixed.bytes).max(1);
        (used * 1_000 / estimate).clamp(1_000, MAX_SCALE)
    }

    async fn compact(
        &mut self,
        why: CompactionWhy,
        focus: String,
        used: u64,
    ) -> Result<Came, EngineError> {
        let (session, run) = (self.setting.session, self.talk.journal.run);
        let ws = self.talk.journal.ws.clone();
        let shown = ws.read(|snap| Shown::read(snap, session, run))?;
        let keep = self.what_stays(why, used);
        let Some(mut plan) = Plan::of(&shown.events, run, keep, &shown.people) else {
            return self.nothing(why, used).await;
        };
        for text in plan.texts() {
            let clean = ws.app.redactor.text(text).into_owned();
            *text = clean;
        }
        let started = Instant::now();
        let event = EventKind::CompactionStarted { why, focus: focus.clone(), tokens: used };
        self.tell(vec![event], journal::Shown::Same).await?;
        let mut sum = Sum::default();
        let summary = self.summarise(&plan, shown.summary.as_deref(), &focus, &mut sum).await?;
        let (text, by) = match summary {
            Told::Summary(text, by) => (text, by),
            Told::Stopped(cut_off) => {
                return self.stopped(cut_off).await.map(Came::Ended);
            }
        };
        let clean = ws.app.redactor.text(&text);
        let (text, lines) = words::for_memory(&clean);
        // Memory is written before its source leaves the conversation.
        let remembered = self.remember(lines).await?;
        let mut summary = cut(&text, extract::LONGEST).to_owned();
        if let Some(card) = &plan.card {
            summary.push_str("\n\n## What this run is about, word for word\n\n");
            // Headings within the card do not count as rules.
            summary.push_str(&guard::without(card, guard::WORD_FOR_WORD));
        }
        let first_kept = plan.first_kept;
        if let Some(plan) = shown.plan_before(first_kept) {
            summary.push_str(PLAN);
            summary.push_str(&ws.app.redactor.text(plan));
        }
        let after = shown.after(first_kept, summary.clone()).history(&ws);
        let tokens_after = after.estimate(self.talk.fixed.bytes) * self.scale(used) / 1_000;
        let how = Compaction {
            by,
            first_kept,
            tokens_before: used,
            tokens_after,
            model: self.chooser.chosen.model.clone(),
            input_tokens: sum.input,
            output_tokens: sum.output,
            billed_micros: sum.micros,
            millis: super::calls::since(started),
        };
        let events =
            remembered.into_iter().chain([EventKind::Compacted { summary, how }]).collect();
        self.tell(events, journal::Shown::From(first_kept)).await?;
        self.look_again()?;
        let is_little = used * LITTLE / 100 < tokens_after;
        self.talk.compactions.little = if is_little { self.talk.compactions.little + 1 } else { 0 };
        Ok(Came::Shrunk)
    }

    /// There is too little to compact.
    async fn nothing(&mut self, why: CompactionWhy, used: u64) -> Result<Came, EngineError> {
        self.talk.compactions.rests_until = used + used / 10;
        if why == CompactionWhy::Asked {
            let why = "there is too little yet that could be put into a summary".to_owned();
            self.tell(vec![EventKind::CompactionFailed { why }], journal::Shown::Whole).await?;
        }
        Ok(Came::Nothing)
    }

    /// Appends events, and starts the run if necessary.
    async fn tell(
        &mut self,
        events: Vec<EventKind>,
        shown: journal::Shown,
    ) -> Result<(), EngineError> {
        self.enter(self.talk.fixed, journal::Told { events, shown }).await?;
        self.talk.begun = true;
        Ok(())
    }

    /// Rebuilds the history from the stored events.
    pub(super) fn look_again(&mut self) -> Result<(), EngineError> {
        let (session, run) = (self.setting.session, self.talk.journal.run);
        let shown = self.talk.journal.ws.read(|snap| Shown::read(snap, session, run))?;
        self.talk.journal.history = shown.history(&self.talk.journal.ws);
        if self.talk.unthought {
            self.talk.journal.history.drop_thinking();
        }
        Ok(())
    }

    /// Writes a summary, in several calls if the removed part is long.
    async fn summarise(
        &mut self,
        plan: &Plan,
        before: Option<&str>,
        focus: &str,
        sum: &mut Sum,
    ) -> Result<Told, EngineError> {
        let must = Must::of(&plan.pieces, before);
        let part = extract::Part { pieces: &plan.pieces, before };
        let room = u64::from(self.chooser.chosen.known.window / 4).max(2_000);
        let chunks = words::chunks(&plan.pieces, room, MAX_CHUNKS);
        let mut so_far = before.map(str::to_owned);
        let mut question = Vec::new();
        for chunk in &chunks {
            question = vec![Message::user(words::question(so_far.as_deref(), chunk, focus))];
            match self.ask(question.clone(), sum).await? {
                Answered::Text(text) => so_far = Some(text),
                Answered::Nothing => {
                    let text = extract::extract(&part, &must);
                    return Ok(Told::Summary(text, SummaryBy::Extract));
                }
                Answered::Stopped(cut_off) => return Ok(Told::Stopped(cut_off)),
            }
        }
        let first = so_far.unwrap_or_default();
        let missing = must.missing(&first);
        if missing.is_nothing() {
            let text = extract::with_rules(&first, &must);
            return Ok(Told::Summary(text, SummaryBy::Model));
        }
        question.push(Message::assistant(vec![Part::text(first.as_str())]));
        question.push(Message::user(missing.correction()));
        let better = match self.ask(question, sum).await? {
            Answered::Text(text) => text,
            Answered::Nothing => first,
            Answered::Stopped(cut_off) => return Ok(Told::Stopped(cut_off)),
        };
        let missing = must.missing(&better);
        Ok(match missing.is_nothing() {
            true => Told::Summary(extract::with_rules(&better, &must), SummaryBy::Mended),
            false => {
                let text = extract::mend(Some(&better), &missing, &part, &must);
                Told::Summary(text, SummaryBy::Extract)
            }
        })
    }

    async fn ask(
        &mut self,
        messages: Vec<Message>,
        sum: &mut Sum,
    ) -> Result<Answered, EngineError> {
        loop {
            let most = MAX_SUMMARY.min(self.chooser.chosen.known.max_output);
            let mut request = ChatRequest::new(self.chooser.chosen.model.clone(), most);
            let text = words::SYSTEM.trim().to_owned();
            request.system = vec![SystemPart { text, cache: false }];
            request.messages.clone_from(&messages);
            request.thinking = words::little(self.chooser.chosen.thinking);
            return Ok(match self.aside(&request, LIMIT).await? {
                Aside::Said(reply, spent) => {
                    sum.add(&spent);
                    match reply.text().trim() {
                        "" => Answered::Nothing,
                        text => Answered::Text(text.to_owned()),
                    }
                }
                Aside::Other => continue,
                Aside::Silent => Answered::Nothing,
                Aside::Stopped(cut_off) => Answered::Stopped(cut_off),
            });
        }
    }
}

/// The result of one call for a summary.
enum Answered {
    Text(String),
    Nothing,
    Stopped(Option<Box<CutOff>>),
}
