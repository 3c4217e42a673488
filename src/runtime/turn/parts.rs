//! The parts of a working run and their state, and the outcome of a step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use features::agents::model::Agent;
use features::connections::queries::Choice;
use features::inbox::model::Item;
use features::runs::model::{EventKind, Run};
use features::runs::rules::Asks;
use features::workspace::queries::modules::Off;
use kernel::{ApprovalId, Fast, RunTrigger, SessionId};
use providers::bound::Size;
use providers::model::ChatRequest;
use tool::{ChildCx, Toolset};

use crate::Engine;
use crate::before::Before;
use crate::chosen::Chosen;
use crate::client::Client;
use crate::compact;
use crate::ending::{CutWords, LimitReached};
use crate::failover::FallbackChain;
use crate::guard::Guard;
use crate::journal::Journal;
use crate::limits::Limits;

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Next,
    /// The run has ended, or a later start of HQ resumes it.
    Over,
    /// The run waits; the dispatcher resumes it.
    Waits,
}

/// The purpose of a run, its agent and its limits.
pub struct Setting {
    pub engine: Engine,
    /// The agent's tools before the last call.
    pub tools: Toolset,
    pub agent: Agent,
    /// The disabled modules of its workspace.
    pub off: Off,
    /// The agent is locked: its model is offered only read-only tools.
    pub locked: bool,
    pub session: SessionId,
    /// The limits at the last check.
    pub limits: Limits,
    pub trigger: RunTrigger,
    /// The restrictions of a sub-agent.
    pub child: Option<ChildCx>,
    pub item: Option<Item>,
    /// For a retried run: the note about acts since its branching point.
    pub retry_note: Option<String>,
    /// The run when this task took it over.
    pub run: Run,
    /// The demands of the API client.
    pub client: Option<Client>,
    /// The run answers a side question with text alone.
    pub aside: bool,
    pub cancel: CancellationToken,
    pub rests: Arc<AtomicBool>,
    /// How often the primary had received offline events of this run by then.
    pub drained: u64,
}

/// The current model of a run and its alternatives.
pub struct Chooser {
    pub chosen: Chosen,
    /// The choice, whichever candidate is used.
    pub home: Choice,
    /// Whether priority calls are requested.
    pub fast: Option<Fast>,
    /// All candidates.
    pub chain: FallbackChain,
    /// The event of a switch that happened before the run started.
    pub switched: Option<EventKind>,
    /// The current candidate was found to ignore output limits.
    pub unlimited: bool,
    /// The model requests of messages since the last call.
    pub wish: Option<Asks>,
    /// Counts changes after which the run may have to choose another model, and how many of them were seen.
    pub choices: Arc<AtomicU64>,
    pub seen_choices: u64,
}

/// The conversation of a run and the request that is built from it.
pub struct Talk {
    pub journal: Journal,
    /// System prompt and tools; the conversation is moved into it for each call.
    pub request: ChatRequest,
    /// The size of the constant part of each request.
    pub fixed: Size,
    /// This task has started the run.
    pub begun: bool,
    /// Model calls so far.
    pub calls: u32,
    /// How often the conversation was shortened because a call did not fit.
    pub shorter: u32,
    /// Number of tools left out because the provider does not accept them.
    pub left_out: u32,
    /// No pruning below this many tokens.
    pub pruned_below: u64,
    /// Compactions in this task.
    pub compactions: compact::State,
    /// Thinking is left out of the conversation.
    pub unthought: bool,
}

/// Conditions that may end the run, and what its model was told of them.
#[derive(Default)]
pub struct Ends {
    /// Failed calls in a row.
    pub failures: u32,
    /// The model was already told that its last response was unusable.
    pub nudged: bool,
    /// The text of a response that was cut off at the output limit.
    pub cut: CutWords,
    /// A warning to the model before its next call.
    pub warned: Option<String>,
    pub guard: Guard,
    /// The remaining calls of the message are skipped because of a loop.
    pub blocked: bool,
    /// Set if the next call is the last one.
    pub wrap_up: Option<LimitReached>,
    /// The limit of which the model was notified before this task took the run over.
    pub notified_limit: Option<&'static str>,
    /// The approval of the next call.
    pub approved: Option<ApprovalId>,
}

impl Ends {
    /// The state of a run that another task began.
    pub fn after(before: Before) -> Self {
        Self {
            wrap_up: before.wrap_up(),
            notified_limit: before.notified_limit,
            guard: before.guard,
            ..Self::default()
        }
    }
}

impl Talk {
    /// For a task that takes over a run with this many calls.
    pub fn new(journal: Journal, request: ChatRequest, fixed: Size, calls: u32) -> Self {
        Self {
            journal,
            request,
            fixed,
            begun: false,
            calls,
            shorter: 0,
            left_out: 0,
            pruned_below: 0,
            compactions: compact::State::default(),
            unthought: false,
        }
    }
}
