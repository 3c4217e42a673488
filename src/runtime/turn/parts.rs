//! The parts of a run at work, each with what it alone knows, and what follows from a step.

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
use tool::ChildCx;

use crate::Engine;
use crate::chosen::Chosen;
use crate::client::Client;
use crate::compact;
use crate::ending::{CutWords, LimitReached};
use crate::failover::Chain;
use crate::guard::Guard;
use crate::journal::Journal;
use crate::limits::Limits;

/// The outcome of a step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Another step.
    Next,
    /// Nothing: the run has ended, or a later start of the program takes it up.
    Over,
    /// A wait: the dispatcher takes the run up again when it is over.
    Waits,
}

/// The setting of a run: its purpose, its agent and its bounds.
pub struct Setting {
    pub engine: Engine,
    pub agent: Agent,
    /// The modules that its workspace does without.
    pub off: Off,
    /// Whether it may change nothing: its model is offered no tools that do.
    pub locked: bool,
    pub session: SessionId,
    /// Its bounds, as far as it has looked.
    pub limits: Limits,
    pub trigger: RunTrigger,
    /// The differences of a sub-agent.
    pub child: Option<ChildCx>,
    pub item: Option<Item>,
    /// For a run that begins again at a step of another: what is told of what lies between.
    pub again: Option<String>,
    /// The run as it was when this task took it up.
    pub run: Run,
    /// The wishes of a program beside words.
    pub client: Option<Client>,
    /// Whether it answers a question beside a conversation, in words alone.
    pub aside: bool,
    pub cancel: CancellationToken,
    pub rests: Arc<AtomicBool>,
    /// How often home had heard by then what its host wrote of it alone.
    pub drained: u64,
}

/// The model that answers a run, and the others that may.
pub struct Chooser {
    pub chosen: Chosen,
    /// The choice, whoever answers now.
    pub home: Choice,
    /// Whether it is to answer sooner than others are answered.
    pub fast: Option<Fast>,
    /// Everybody who may answer.
    pub chain: Chain,
    /// That another answers, when it could not be noted before the run began.
    pub switched: Option<EventKind>,
    /// Whether it was learned that no output limit counts for who is asked now.
    pub unlimited: bool,
    /// The wishes of messages since the last call.
    pub wish: Option<Asks>,
    /// Counts changes after which another model may be chosen, and how many were seen.
    pub choices: Arc<AtomicU64>,
    pub seen_choices: u64,
}

/// The conversation of a run, and the request that is made of it.
pub struct Talk {
    pub journal: Journal,
    /// System prompt and tools; the conversation is lent to it for each call.
    pub request: ChatRequest,
    /// The size of what is the same in each request.
    pub fixed: Size,
    /// Whether the run was begun by this task.
    pub begun: bool,
    /// Model calls so far.
    pub calls: u32,
    /// How often the conversation was made shorter for a call that did not fit.
    pub shorter: u32,
    /// How many tools were left out because the provider does not take them.
    pub left_out: u32,
    /// Old results are not looked at again below so many tokens.
    pub pruned_below: u64,
    /// The compactions as far as this task knows.
    pub compactions: compact::State,
    /// Whether the conversation goes without what the model thought.
    pub unthought: bool,
}

/// The possible ends of a run, and what its model was told of them.
#[derive(Default)]
pub struct Ends {
    /// Failed calls in a row.
    pub failures: u32,
    /// Whether the model was told that its last answer was none.
    pub nudged: bool,
    /// The words of an answer that was cut off at the output limit.
    pub cut: CutWords,
    /// A warning that the model gets before its next call.
    pub warned: Option<String>,
    pub guard: Guard,
    /// The rest of the calls of a message is not made: they come to nothing new.
    pub blocked: bool,
    /// Set when the next call is the last one.
    pub wrap_up: Option<LimitReached>,
    /// The limit that its model was told of before this task took the run up.
    pub told: Option<&'static str>,
    /// A person's yes on which the next call is made.
    pub approved: Option<ApprovalId>,
}

impl Talk {
    /// At the beginning of a task's work on a run that has made so many calls.
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
