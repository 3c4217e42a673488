//! Runs and their steps as JSON.

use schemars::JsonSchema;
use serde::Serialize;

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries::machines;
use features::claims::queries::{self as claims, json::ProofView};
use features::runs::model::{
    Attachment, Body, Branch, Child, Compaction, EventKind, PromptPart, Run, RunBounds,
    SessionEvent,
};
use features::runs::queries::{branches, children, onward, run_limits, talk, waits, words};
use features::usage::queries as usage;
use features::usage::queries::cap::{self, Cap};
use kernel::{
    AccountId, Actor, AgentId, InputId, ItemId, Outcome, RunId, RunState, RunTrigger, SessionId,
    TaskId, Thinking, WaitFor,
};
use store::{Read, ReadExt, StoreError};

use super::deliveries::DeliveryOut;
use super::silent::{LateOut, SilentOut};
use super::used::UsedOut;

/// What a run waits for.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WaitingOut {
    /// For what.
    r#for: WaitFor,
    /// Since when.
    since: String,
    /// What would end it, in one sentence.
    detail: String,
    /// When it ends by itself.
    until: Option<String>,
}

/// How a run ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct OutcomeOut {
    /// `done`, `failed`, `snoozed`, `stopped`, `no_outcome`, `limit`, `interrupted`, `crash_loop`.
    word: &'static str,
    /// The class of a failure, or the limit that was reached.
    code: Option<String>,
    /// Why, in a sentence; nothing when it ended well.
    reason: Option<String>,
}

impl OutcomeOut {
    fn of(outcome: &Outcome) -> Self {
        let code = match outcome {
            Outcome::Failed { code, .. } => Some(code.clone()),
            Outcome::Limit { which } => Some(which.clone()),
            _ => None,
        };
        Self { word: outcome.word(), code, reason: words::reason(outcome) }
    }
}

/// A sub-agent of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ChildOut {
    /// Its run.
    id: RunId,
    /// The name of its run, such as `R-2292`.
    name: String,
    /// What its parent calls it; empty when it has no name.
    label: String,
    /// What it does now.
    state: RunState,
    /// How it ended, as a word.
    outcome: Option<&'static str>,
    /// What it has cost, in micro-dollars.
    cost_micros: i64,
}

/// A run of the same beginning.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct KinOut {
    /// Its id.
    id: RunId,
    /// Its name, such as `R-2292`.
    name: String,
    /// `retry` or `fork`.
    why: &'static str,
    /// The step, as on the page of the run that was begun again; none for its beginning.
    from: Option<u32>,
}

impl KinOut {
    fn of(tx: &dyn Read, branch: &Branch, run: RunId) -> Result<Option<Self>, StoreError> {
        let (why, from) = (branch.why.word(), branch.step);
        Ok(tx.get::<Run>(run)?.map(|run| Self { id: run.id, name: run.name(), why, from }))
    }
}

/// What bounds a run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunBoundsOut {
    /// The most model calls.
    calls: u32,
    /// The most tool calls.
    tool_calls: u32,
    /// For how many minutes it works; waiting does not count.
    working_minutes: u32,
    /// The most that it may cost, in micro-dollars; none for no limit.
    cost_micros: Option<i64>,
    /// The most tokens that it may take, sent and received; none for no limit.
    tokens: Option<i64>,
}

impl RunBoundsOut {
    fn of(tx: &dyn Read, run: &Run) -> Result<Option<Self>, StoreError> {
        if !run.is_live() {
            return Ok(None);
        }
        let RunBounds { calls, tool_calls, working_minutes } = run_limits::of_run(tx, run)?;
        let Cap { micros, tokens, .. } = cap::of_run(tx, run)?;
        Ok(Some(Self { calls, tool_calls, working_minutes, cost_micros: micros, tokens }))
    }
}

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct RunOut {
    /// Its id.
    id: RunId,
    /// Its name, such as `R-2291`.
    name: String,
    /// Whose.
    agent: AgentId,
    /// The slug of the gateway whose machine it works on, or did; `local` is the machine that HQ runs on. The id of one that
    /// was removed since.
    gateway: String,
    /// The conversation.
    session: SessionId,
    /// What started it.
    trigger: RunTrigger,
    /// The run of which it is a sub-agent.
    parent: Option<RunId>,
    /// Its sub-agents, oldest first.
    children: Vec<ChildOut>,
    /// The run that it begins again.
    again_of: Option<KinOut>,
    /// Runs that begin it again, oldest first.
    again: Vec<KinOut>,
    /// The inbox item that it serves.
    item: Option<ItemId>,
    /// The task that it works on.
    task: Option<TaskId>,
    /// What it is about, in one line.
    title: String,
    /// What it does now.
    state: RunState,
    /// What it waits for.
    waiting: Option<WaitingOut>,
    /// Why it does not go on now, in one sentence.
    why: Option<String>,
    /// The machine that it waits for, or on which it goes on by itself: nothing is heard of it.
    silent: Option<SilentOut>,
    /// What that machine said of it after it was taken back or stopped here; empty in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    late: Vec<LateOut>,
    /// Whether more came too late than `late` has.
    late_more: bool,
    /// How it ended.
    outcome: Option<OutcomeOut>,
    /// What stands on the button that lets it go on where it broke off; nothing when it cannot.
    goes_on: Option<String>,
    /// In the agent's words.
    summary: String,
    /// The evidence for the end of its work; none in lists, and for a run that claims nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<ProofView>,
    /// The model that was chosen; who answered in the end stands in `used`.
    model: String,
    /// Who chose that: `message`, `session`, `task`, `routine`, `agent`, `workspace` or `default`; none before a
    /// model is chosen.
    model_source: Option<&'static str>,
    /// How much it thinks.
    thinking: Thinking,
    /// Who chose that: `message`, `session`, `task`, `routine`, `agent`, `workspace` or `default`; none before it
    /// has begun.
    thinking_source: Option<&'static str>,
    /// Model calls so far.
    calls: u32,
    /// Tool calls so far.
    steps: u32,
    /// What bounds it; none once it has ended.
    limits: Option<RunBoundsOut>,
    /// What it does, in a few words.
    activity: String,
    /// What it has cost, in micro-dollars.
    cost_micros: i64,
    /// Deliveries of its answers to messengers; empty in lists.
    deliveries: Vec<DeliveryOut>,
    /// What its model calls have used; none in lists and before the first call has ended.
    used: Option<UsedOut>,
    /// When it was made.
    created_at: String,
    /// When it began to work.
    started_at: Option<String>,
    /// When it ended.
    ended_at: Option<String>,
}

impl RunOut {
    /// The run as a list item.
    pub fn in_list(
        ws: &Ws,
        tx: &dyn Read,
        run: &Run,
        account: AccountId,
    ) -> Result<Self, StoreError> {
        Ok(Self { title: talk::title_for(tx, run, account)?, ..Self::alike(ws, tx, run, account)? })
    }

    /// The run with its usage, as this person may use it.
    pub fn of(ws: &Ws, tx: &dyn Read, run: &Run, account: AccountId) -> Result<Self, StoreError> {
        let (used, (late, late_more)) = (UsedOut::of(tx, run.id)?, LateOut::of(tx, run)?);
        let deliveries = DeliveryOut::of_run(tx, run.id)?;
        let proof = claims::at_end(tx, run.id)?.map(ProofView::new);
        Ok(Self { used, late, late_more, deliveries, proof, ..Self::alike(ws, tx, run, account)? })
    }

    /// The fields that lists and the single run share.
    fn alike(ws: &Ws, tx: &dyn Read, run: &Run, account: AccountId) -> Result<Self, StoreError> {
        let silent = SilentOut::of(ws, tx, run)?;
        let why = match &silent {
            Some(place) => Some(place.why.clone()),
            None => {
                let agent = tx.get::<Agent>(run.agent)?;
                waits::of(tx, run, agent.as_ref())?.map(|why| why.text)
            }
        };
        let waiting = run.waiting.as_ref().map(|waiting| WaitingOut {
            r#for: waiting.waits_for,
            since: waiting.since.to_string(),
            detail: waiting.detail.clone(),
            until: waiting.until.map(|until| until.to_string()),
        });
        let mut below = Vec::new();
        for child in children::of_parent(tx, run.id)? {
            let Some(run) = tx.get::<Run>(child.run)? else { continue };
            below.push(ChildOut {
                id: run.id,
                name: run.name(),
                label: child.name,
                state: run.state,
                outcome: run.outcome.as_ref().map(Outcome::word),
                cost_micros: usage::run_cost(tx, run.id)?,
            });
        }
        let mut repeats = Vec::new();
        for branch in branches::started_from(tx, run.id)? {
            repeats.extend(KinOut::of(tx, &branch, branch.run)?);
        }
        Ok(Self {
            id: run.id,
            name: run.name(),
            parent: tx.get::<Child>(run.id)?.map(|child| child.parent),
            children: below,
            again_of: match branches::of_run(tx, run)? {
                Some(branch) => KinOut::of(tx, &branch, branch.of)?,
                None => None,
            },
            again: repeats,
            agent: run.agent,
            gateway: machines::slug(tx, run.gateway)?,
            session: run.session,
            trigger: run.trigger,
            item: run.item,
            task: run.task,
            title: run.title.clone(),
            state: run.state,
            waiting,
            why,
            silent,
            late: Vec::new(),
            late_more: false,
            outcome: run.outcome.as_ref().map(OutcomeOut::of),
            goes_on: onward::of(tx, run, account)?.map(|onward| onward.label),
            summary: run.summary.clone(),
            proof: None,
            model: run.model.clone(),
            model_source: (!run.model.is_empty()).then(|| words::source_word(run.model_source)),
            thinking: run.thinking,
            thinking_source: run.thinking_source.map(words::source_word),
            calls: run.calls,
            steps: run.steps,
            limits: RunBoundsOut::of(tx, run)?,
            activity: run.activity.clone(),
            cost_micros: usage::run_cost(tx, run.id)?,
            deliveries: Vec::new(),
            used: None,
            created_at: run.created_at.to_string(),
            started_at: run.started_at.map(|at| at.to_string()),
            ended_at: run.ended_at.map(|at| at.to_string()),
        })
    }
}

/// A text; a long one is given by its head and its tail, whole at `…/steps/{n}/raw`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct TextOut {
    /// The text, or what is at hand of it.
    text: String,
    /// Its whole length in bytes.
    bytes: u64,
    /// Whether something was left out.
    shortened: bool,
}

impl TextOut {
    fn of(body: Body) -> Self {
        match body {
            Body::Inline(text) => Self { bytes: text.len() as u64, shortened: false, text },
            Body::Blob { len, head, .. } => Self { text: head, bytes: len, shortened: true },
        }
    }
}

/// A file that stays without a commit.
#[derive(Debug, Serialize, JsonSchema)]
struct LeftOutFile {
    path: String,
    /// The line with the key, from 1.
    line: u32,
    why: String,
}

/// What happened.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum KindOut {
    /// Somebody said something, or the run card.
    Input { by: String, input: Option<InputId>, steered: bool, content: TextOut },
    /// The run began or went on.
    RunStarted { attempt: u32, model: String, thinking: Thinking, request_bytes: u32 },
    /// A model call is about to be made.
    CallStarted { call: u32, provider: String, model: String, reserved_micros: i64 },
    /// A model call failed.
    CallFailed { call: u32, class: String, message: String, retry_at: Option<String> },
    /// The model has spoken; the content is a list of parts as JSON text.
    Assistant {
        call: u32,
        content: TextOut,
        stop: String,
        input_tokens: u64,
        output_tokens: u64,
        billed_micros: Option<i64>,
        millis: u64,
    },
    /// A tool was begun.
    ToolStarted { step: u32, call_id: String, name: String },
    /// A tool has answered.
    ToolFinished {
        step: u32,
        call_id: String,
        name: String,
        status: &'static str,
        content: TextOut,
        millis: u64,
        paths: Vec<String>,
        seq: Option<u64>,
    },
    /// A word of the program to the model.
    Notice { text: String },
    /// The run waits.
    Waiting { r#for: WaitFor, detail: String, until: Option<String> },
    /// The program ended in the middle.
    Interrupted { what: String },
    /// Files were committed.
    Committed { commit: String, files: u32 },
    /// The run is over.
    RunEnded { outcome: OutcomeOut, summary: String },
    /// The run knows these files as they were then.
    FilesSeen { paths: Vec<String> },
    /// A result has a picture.
    Picture { call_id: String, media_type: String, bytes: u64 },
    /// Another model or key answers from here on.
    ModelSwitched { from: String, to: String, why: String },
    /// The older part of the conversation is about to be put into a summary: `asked` by somebody, the
    /// window is nearly `full`, or the provider refused it (`overflow`).
    CompactionStarted { why: &'static str, focus: String, tokens: u64 },
    /// Models read this summary in place of what came before `first_kept`. Written by the `model`, by
    /// the model once more after it lost something (`mended`), or by rules (`extract`).
    Compacted {
        content: TextOut,
        by: &'static str,
        first_kept: u32,
        tokens_before: u64,
        tokens_after: u64,
        model: String,
        input_tokens: u64,
        output_tokens: u64,
        billed_micros: Option<i64>,
        millis: u64,
    },
    /// The conversation stays as it is.
    CompactionFailed { why: String },
    /// Files stay without a commit because they hold a key.
    LeftOut { files: Vec<LeftOutFile> },
    /// What a compaction would have lost was written into the agent's memory.
    Remembered { path: String, lines: Vec<String> },
    /// Files came with the message before it.
    Attached { input: InputId, files: Vec<FileOut> },
    /// A person answered the run's question; it stands in the result of the call that asked, too.
    Answered { by: String, input: Option<InputId>, content: TextOut },
    /// What the model is told before anything is said, part by part.
    Prompted { parts: Vec<PromptPartOut> },
    /// Somebody who runs the workspace has looked at this private conversation.
    Looked { by: String },
    /// A tool has answered after its run was ended or put back without it; no model reads it.
    Late {
        step: u32,
        call_id: String,
        name: String,
        status: &'static str,
        content: TextOut,
        millis: u64,
        paths: Vec<String>,
    },
}

/// A part of the prompt: a file of the agent by its name, or words of HQ.
#[derive(Debug, Serialize, JsonSchema)]
struct PromptPartOut {
    /// What it is.
    name: String,
    /// Its length.
    bytes: u32,
    /// Whether it is the same from run to run, so that a provider may keep it.
    stable: bool,
}

impl PromptPartOut {
    fn of(part: PromptPart) -> Self {
        Self { name: part.name, bytes: part.bytes, stable: part.stable }
    }
}

/// A file of a message.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileOut {
    /// Its name.
    name: String,
    /// What it is, such as `image/png`.
    media_type: String,
    /// Its length.
    bytes: u64,
}

impl FileOut {
    pub fn of(file: Attachment) -> Self {
        Self { name: file.name, media_type: file.media_type, bytes: file.len }
    }
}

/// One event of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct StepOut {
    /// Its number in the session.
    pub n: u32,
    /// When.
    at: String,
    /// What.
    #[serde(flatten)]
    what: KindOut,
}

impl StepOut {
    pub fn of(event: SessionEvent) -> Self {
        Self { n: event.n, at: event.at.to_string(), what: kind(event.kind) }
    }
}

fn kind(kind: EventKind) -> KindOut {
    let when = |at: Option<kernel::Timestamp>| at.map(|at| at.to_string());
    match kind {
        EventKind::Input { input, text, by, steered } => {
            KindOut::Input { by: actor(by), input, steered, content: TextOut::of(text) }
        }
        EventKind::RunStarted { attempt, model, thinking, request_bytes } => {
            KindOut::RunStarted { attempt, model, thinking, request_bytes }
        }
        EventKind::CallStarted { call, provider, model, reserved_micros } => {
            KindOut::CallStarted { call, provider, model, reserved_micros }
        }
        EventKind::CallFailed { call, class, message, retry_at } => {
            KindOut::CallFailed { call, class, message, retry_at: when(retry_at) }
        }
        EventKind::Assistant {
            call,
            parts,
            stop,
            input_tokens,
            output_tokens,
            billed_micros,
            millis,
        } => KindOut::Assistant {
            call,
            content: TextOut::of(parts),
            stop,
            input_tokens,
            output_tokens,
            billed_micros,
            millis,
        },
        EventKind::ToolStarted { step, call_id, name, .. }
        | EventKind::FilesStarted { step, call_id, name, .. } => {
            KindOut::ToolStarted { step, call_id, name }
        }
        EventKind::ToolFinished { step, call_id, name, status, result, millis, paths, seq } => {
            let (status, content) = (words::call(status), TextOut::of(result));
            KindOut::ToolFinished { step, call_id, name, status, content, millis, paths, seq }
        }
        EventKind::Notice { text } => KindOut::Notice { text },
        EventKind::Waiting { waits_for, detail, until } => {
            KindOut::Waiting { r#for: waits_for, detail, until: when(until) }
        }
        EventKind::Interrupted { what } => KindOut::Interrupted { what },
        EventKind::Committed { commit, files } => KindOut::Committed { commit, files },
        EventKind::RunEnded { outcome, summary } => {
            KindOut::RunEnded { outcome: OutcomeOut::of(&outcome), summary }
        }
        EventKind::FilesSeen { files } => {
            KindOut::FilesSeen { paths: files.into_iter().map(|file| file.path).collect() }
        }
        EventKind::Picture { call_id, media_type, len, .. } => {
            KindOut::Picture { call_id, media_type, bytes: len }
        }
        EventKind::ModelSwitched { from, to, why } => KindOut::ModelSwitched { from, to, why },
        EventKind::CompactionStarted { why, focus, tokens } => {
            KindOut::CompactionStarted { why: words::compaction_cause(why), focus, tokens }
        }
        EventKind::Compacted { summary, how } => compacted(summary, how),
        EventKind::CompactionFailed { why } => KindOut::CompactionFailed { why },
        EventKind::LeftOut { files } => KindOut::LeftOut {
            files: files
                .into_iter()
                .map(|file| LeftOutFile { path: file.path, line: file.line, why: file.why })
                .collect(),
        },
        EventKind::Remembered { path, lines } => KindOut::Remembered { path, lines },
        EventKind::Attached { input, files } => {
            KindOut::Attached { input, files: files.into_iter().map(FileOut::of).collect() }
        }
        EventKind::Answered { input, by, text } => {
            KindOut::Answered { by: actor(by), input, content: TextOut::of(text) }
        }
        EventKind::Looked { by } => KindOut::Looked { by: actor(by) },
        EventKind::Late { step, call_id, name, status, result, millis, paths } => {
            let (status, content) = (words::call(status), TextOut::of(result));
            KindOut::Late { step, call_id, name, status, content, millis, paths }
        }
        EventKind::Prompted { parts } => {
            KindOut::Prompted { parts: parts.into_iter().map(PromptPartOut::of).collect() }
        }
    }
}

fn compacted(summary: String, how: Compaction) -> KindOut {
    KindOut::Compacted {
        content: TextOut::of(Body::Inline(summary)),
        by: words::summary_by(how.by),
        first_kept: how.first_kept,
        tokens_before: how.tokens_before,
        tokens_after: how.tokens_after,
        model: how.model,
        input_tokens: how.input_tokens,
        output_tokens: how.output_tokens,
        billed_micros: how.billed_micros,
        millis: how.millis,
    }
}

pub(super) fn actor(actor: Actor) -> String {
    match actor {
        Actor::Person { account, .. } => format!("person:{account}"),
        Actor::Agent { agent, .. } => format!("agent:{agent}"),
        Actor::Plugin(id) => format!("plugin:{id}"),
        Actor::Gateway(id) => format!("gateway:{id}"),
        Actor::System(_) => "system".to_owned(),
    }
}
