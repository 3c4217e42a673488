//! The model of a run, and the connection to a candidate.

use std::sync::Arc;

use jiff::SignedDuration;

use app::Ws;
use features::agents::model::Agent;
use features::connections::cooldown::Candidate;
use features::connections::model::Connection;
use features::connections::provider;
use features::connections::queries::{self as connections, Choice, turns};
use features::inbox::model::Item;
use features::routines::queries as routines;
use features::runs::model::{Child, ModelSource, Run, Session};
use features::runs::queries as runs;
use features::runs::queries::choice::{MessageOptions, in_session, thinking_asked};
use features::tasks::model::Task;
use kernel::{ConnectionId, Fast, RunTrigger, Thinking};
use providers::Provider;
use providers::catalog::Model;
use store::{Read, ReadExt, StoreError};

use super::EngineError;
use super::turn::Turn;

/// In this time from the start of a run a person may be waiting for it.
const AWAITED: SignedDuration = SignedDuration::from_secs(60);

/// The model of a run and its properties.
#[derive(Clone)]
pub(super) struct Chosen {
    pub provider: Arc<dyn Provider>,
    pub connection: Option<ConnectionId>,
    pub model: String,
    pub source: ModelSource,
    pub thinking: Thinking,
    /// Who chose the thinking level.
    pub thinking_source: ModelSource,
    /// The price of a priority call in percent of a normal one, if the connection has such calls.
    pub fast_percent: Option<u32>,
    /// Context window, limits and the applicable price.
    pub known: Model,
}

/// Determines the model and the thinking level of a run. A message's request holds until the run ends.
pub(super) fn choose(
    tx: &dyn Read,
    run: &Run,
    agent: &Agent,
    message: Option<&str>,
) -> Result<Choice, StoreError> {
    let task = match run.task {
        Some(task) => tx.get::<Task>(task)?,
        None => None,
    };
    let session = tx.get::<Session>(run.session)?;
    let wish = MessageOptions { model: message, thinking: thinking_asked(tx, run)? };
    let mut choice = in_session(tx, session.as_ref(), agent, task.as_ref(), wish)?;
    by_routine(tx, run, agent, &mut choice)?;
    if message.is_none() && run.model_source == ModelSource::Message {
        let there = match run.connection {
            Some(id) => tx.get::<Connection>(id)?.is_some(),
            None => true,
        };
        if there {
            choice.connection = run.connection;
            choice.model.clone_from(&run.model);
            choice.source = ModelSource::Message;
        }
    }
    if run.trigger == RunTrigger::Child
        && let Some(thinking) = tx.get::<Child>(run.id)?.and_then(|child| child.thinking)
    {
        (choice.thinking, choice.thinking_source) = (thinking, ModelSource::Message);
    }
    if let Some(thinking) = runs::branches::of_run(tx, run)?.and_then(|branch| branch.thinking) {
        (choice.thinking, choice.thinking_source) = (thinking, ModelSource::Message);
    }
    Ok(choice)
}

/// Applies the routine's choice. It takes precedence over the agent's and the workspace's choice, but over no other.
fn by_routine(
    tx: &dyn Read,
    run: &Run,
    agent: &Agent,
    choice: &mut Choice,
) -> Result<(), StoreError> {
    let item = match run.item {
        Some(item) => tx.get::<Item>(item)?,
        None => None,
    };
    let routine = match &item {
        Some(item) => routines::routine_of(tx, item)?,
        None => None,
    };
    let Some(routine) = routine else { return carried(tx, run, choice) };
    if let Some(model) = routine.model.as_deref()
        && weaker(choice.source)
    {
        let near = [agent.connection, choice.connection];
        (choice.connection, choice.model) = connections::locate(tx, model, near)?;
        choice.source = ModelSource::Routine;
    }
    if let Some(thinking) = routine.thinking
        && weaker(choice.thinking_source)
    {
        (choice.thinking, choice.thinking_source) = (thinking, ModelSource::Routine);
    }
    Ok(())
}

/// The same on a host, which has no routines: the run carries the routine's choice.
fn carried(tx: &dyn Read, run: &Run, choice: &mut Choice) -> Result<(), StoreError> {
    if run.model_source == ModelSource::Routine && weaker(choice.source) {
        let there = match run.connection {
            Some(id) => tx.get::<Connection>(id)?.is_some(),
            None => true,
        };
        if there {
            (choice.connection, choice.model) = (run.connection, run.model.clone());
            choice.source = ModelSource::Routine;
        }
    }
    if run.thinking_source == Some(ModelSource::Routine) && weaker(choice.thinking_source) {
        (choice.thinking, choice.thinking_source) = (run.thinking, ModelSource::Routine);
    }
    Ok(())
}

/// Returns `true` if a routine takes precedence over this source.
fn weaker(source: ModelSource) -> bool {
    matches!(source, ModelSource::Agent | ModelSource::Workspace | ModelSource::Fallback)
}

/// Connects to a candidate of a choice.
pub(super) fn connect(
    ws: &Ws,
    choice: &Choice,
    candidate: &Candidate,
) -> Result<Chosen, EngineError> {
    let Candidate { connection, slot, model } = candidate.clone();
    let provider = provider::with_key(ws, connection, slot)?;
    let known = provider::known(ws, connection, &*provider, &model)?;
    let Choice { source, thinking, thinking_source, .. } = *choice;
    let fast_percent = ws.read(|snap| turns::fast_percent(snap, connection))?;
    Ok(Chosen {
        provider,
        connection,
        model,
        source,
        thinking,
        thinking_source,
        fast_percent,
        known,
    })
}

impl Turn {
    /// Requests a priority call if the settings say so. Returns the price of the call in percent of a normal one.
    pub(super) fn pace(&mut self) -> u32 {
        let wanted = self.chooser.chosen.fast_percent.zip(self.chooser.fast);
        let now = self.talk.journal.ws.app.clock.now();
        let since = now.duration_since(self.setting.run.started_at.unwrap_or(now));
        let fast = wanted.map(|(percent, fast)| match fast {
            Fast::On => Some(percent),
            Fast::Auto => Some(percent).filter(|_| since < AWAITED),
            Fast::Off => None,
        });
        self.talk.request.fast = fast.map(|percent| percent.is_some());
        fast.flatten().unwrap_or(100)
    }
}
