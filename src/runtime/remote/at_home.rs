//! The primary's side of the link to hosts: checks a host's request, carries it out once, and repeats the stored answer
//! if the request is sent again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::SignedDuration;
use parking_lot::Mutex;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use app::Ws;
use app::upstream::{Answered, HostHandler, Refusal, Sent};
use features::agents::model::Agent;
use features::jobs::model::Job;
use features::runs::model::{Run, Session};
use features::runs::rules::RunError;
use features::trust::model::Approval;
use features::trust::queries as trust;
use features::trust::senders;
use features::workspace::queries::modules::Off;
use gateways::error::GatewayError;
use gateways::model::{HearerId, RunAnswer};
use gateways::queries;
use gateways::rules as gates;
use kernel::{Actor, AgentId, Cause, GatewayId, JsonText, RunId, Timestamp, TypedId as _};
use store::{BlobId, Read, ReadExt, StoreError};
use tool::{AnyTool, ToolCx, ToolError};

use super::{Found, Look, MOST, RemoteRequest, late, read, value};
use crate::command::tool::{Ready, ToolMade};
use crate::command::{About, Command, JournalCommand, Place};
use crate::journal::blocking;
use crate::toolbox::{denied, is_for_locked, may_use};
use crate::{BY, Engine, EngineError, child, gate};

/// Largest stored answer, in bytes.
const KEPT: usize = 200 * 1024;

/// Refusal code for something a host may not do.
const NOT_YOURS: &str = "not_yours";
/// Minimum interval of notifications about one host.
const TOLD: SignedDuration = SignedDuration::from_hours(1);

/// Blobs of hosts that are being received.
type Parts = HashMap<(GatewayId, BlobId), Vec<u8>>;

/// Answers requests of hosts.
#[derive(Clone)]
pub struct AtHome {
    engine: Engine,
    parts: Arc<Mutex<Parts>>,
    /// When people were last notified about each host.
    notified: Arc<Mutex<HashMap<GatewayId, Timestamp>>>,
}

impl AtHome {
    #[must_use]
    pub fn new(engine: Engine) -> Self {
        Self { engine, parts: Arc::default(), notified: Arc::default() }
    }

    /// Notifies people that a host has sent something it may not send.
    async fn tell(&self, ws: &Ws, from: GatewayId, what: &str) {
        let now = ws.app.clock.now();
        let is_told = {
            let mut notified = self.notified.lock();
            let is_told = notified.get(&from).is_some_and(|at| now < *at + TOLD);
            if !is_told {
                notified.insert(from, now);
            }
            is_told
        };
        if is_told {
            return;
        }
        let what = what.to_owned();
        if let Err(error) = ws.write(&BY, move |tx| gates::lied(tx, from, &what)).await {
            tracing::warn!(%error, "it is not told what a host said");
        }
    }
}

impl HostHandler for AtHome {
    fn hear(
        &self,
        ws: Ws,
        from: GatewayId,
        about: Option<RunId>,
        digest: [u8; 32],
        what: Value,
    ) -> Answered<'static> {
        let own = self.clone();
        Box::pin(async move {
            let answer = match read::<RemoteRequest>(what)? {
                RemoteRequest::Nothing => Ok(Value::Null),
                RemoteRequest::Look(look) => own.run_read(&ws, from, look).await,
                RemoteRequest::Piece(piece) => own.piece(&ws, from, piece).await,
                RemoteRequest::Branch { agent, here, offset } => {
                    super::files::branch(&ws, from, agent, here, offset).await
                }
                RemoteRequest::Draft { agent, draft, has, offset } => {
                    super::files::draft(&ws, from, agent, (draft, has), offset).await
                }
                RemoteRequest::Commits { agent, pack, head } => {
                    super::files::commits(&ws, from, agent, pack, head).await
                }
                RemoteRequest::Write { by, why, command } => {
                    own.write(&ws, from, (about, digest), (by, why), *command).await
                }
            };
            let refused = answer.map_err(|error| Refusal::from(&error));
            if let Err(refusal) = &refused
                && refusal.code == NOT_YOURS
            {
                own.tell(&ws, from, &refusal.sentence).await;
            }
            refused
        })
    }
}

/// Logs and refuses a request that a host may not send.
fn not_yours(from: GatewayId, what: &str) -> EngineError {
    tracing::warn!(gateway.id = %from, "a host is refused: {what}");
    EngineError::Home(Refusal::new(NOT_YOURS, what))
}

/// Returns `true` if an agent is placed on this gateway.
pub(super) fn is_its(read: &dyn Read, from: GatewayId, agent: AgentId) -> Result<bool, StoreError> {
    Ok(queries::gateway_of(read, agent)? == from)
}

/// A run that a host names, if its agent is placed there.
fn its_run(
    snap: &dyn Read,
    read: &dyn Read,
    from: GatewayId,
    id: RunId,
) -> Result<Run, EngineError> {
    match snap.get::<Run>(id)? {
        Some(run) if is_its(read, from, run.agent)? => Ok(run),
        // The run has ended, and its agent has moved since.
        Some(run) if !run.is_live() => Err(RunError::Fenced.into()),
        _ => Err(not_yours(from, "this run's agent doesn't work on this machine")),
    }
}

impl AtHome {
    /// Applies a command of a host. A repeated command gets its stored answer.
    async fn write(
        &self,
        ws: &Ws,
        from: GatewayId,
        (about, digest): (Option<RunId>, [u8; 32]),
        (by, why): (Actor, Cause),
        command: Command,
    ) -> Result<Value, EngineError> {
        let hearer = match (about, &command) {
            (Some(run), Command::Entry { hand, .. }) if hand.run == run => {
                HearerId::from_uuid(run.uuid())
            }
            (None, Command::Order(_)) => HearerId::from_uuid(from.uuid()),
            _ => return Err(not_yours(from, "this is about a different run than it says")),
        };
        // An offline host never writes commands that belong to the primary alone.
        if let Command::Entry { hand, line } = &command
            && hand.cut.is_some()
            && (line.place() == Place::Home || hand.first.is_some())
        {
            return Err(not_yours(from, "only HQ writes this"));
        }
        if let Some(before) = ws.read(|snap| snap.get::<RunAnswer>(hearer))?
            && before.said == digest
        {
            return answered(&before);
        }
        let ready = match &command {
            Command::Entry { hand, line: JournalCommand::ToolMade(made) } => {
                Some(self.ready(ws, from, hand.run, made).await?)
            }
            _ => None,
        };
        let evidence = late::Evidence::of(&command);
        let wrote = ws.store.write(by, why, move |tx| {
            if let Some(before) = tx.get::<RunAnswer>(hearer)?
                && before.said == digest
            {
                return answered(&before);
            }
            check(&*tx, from, (by, why), &command)?;
            if !late::is_its_money(&*tx, &command)? {
                return Err(not_yours(from, "this money is reserved for another run"));
            }
            let grant = late::Moves::of(&command).begin(tx)?;
            let answer = command.apply(tx, ready)?;
            grant.end(tx, from)?;
            let text = answer.to_string();
            if text.len() <= KEPT {
                let answer = RunAnswer { of: hearer, said: digest, answer: JsonText(text) };
                gates::answered(tx, &answer).map_err(of_gateway)?;
            }
            Ok::<_, EngineError>(answer)
        });
        let wrote = wrote.await;
        let is_late = wrote.as_ref().is_err_and(EngineError::is_fenced);
        if let Some(evidence) = evidence.filter(|_| is_late) {
            evidence.keep(ws, from).await?;
        }
        let answer = wrote?;
        if let Some(run) = about {
            ws.live.finish(run);
        }
        Ok(answer)
    }

    /// The context of a tool call, and whether the agent may use the tool now.
    fn place(
        &self,
        ws: &Ws,
        from: GatewayId,
        run: RunId,
        name: &str,
    ) -> Result<(ToolCx, bool), EngineError> {
        let read = ws.read(|snap| {
            let run = its_run(snap, snap, from, run)?;
            let mut agent = snap
                .get::<Agent>(run.agent)?
                .ok_or(EngineError::Broken("the agent of a run is gone"))?;
            let child = child::of(snap, &run)?;
            child::narrow(child.as_ref(), &mut agent);
            let (off, locked) =
                (Off::of_agent(snap, agent.id)?, trust::is_locked(snap, &[agent.id])?);
            let sender = senders::of_run(snap, run.id)?;
            Ok::<_, EngineError>((run, agent, child, off, locked, sender))
        });
        let (run, agent, child, off, locked, sender) = read?;
        let entry = self.engine.tools.get(name).filter(|entry| {
            may_use((&agent, &off), run.trigger, child.as_ref(), entry)
                && (!locked || is_for_locked(&entry.spec))
                && sender.as_ref().is_none_or(|sender| sender.may_use(&entry.spec))
        });
        let cx = ToolCx {
            ws: ws.clone(),
            agent: agent.id,
            run: run.id,
            number: run.number,
            step: run.steps + 1,
            session: run.session,
            item: run.item,
            task: run.task,
            folder: ws.agent_folder(&agent.slug),
            max_result: tool::MAX_OUTPUT,
            seen: Arc::default(),
            child: child.clone(),
            // Tools of layers are not offered on hosts.
            tools: Arc::clone(&self.engine.tools).into(),
            cancel: CancellationToken::new(),
        };
        Ok((cx, entry.is_some()))
    }

    /// The refusal of a tool. The agent may have been locked or lost the tool since its host checked the call.
    fn denied(&self, ws: &Ws, name: &str) -> Result<ToolError, EngineError> {
        let off = ws.read(|snap| Off::of(snap))?;
        let (code, why) = match self.engine.tools.get(name) {
            Some(entry) => denied(&off, &entry.spec),
            None => ("denied", format!("you can't use {name} here")),
        };
        Ok(ToolError::refused(code, why))
    }

    async fn ready(
        &self,
        ws: &Ws,
        from: GatewayId,
        run: RunId,
        made: &ToolMade,
    ) -> Result<Ready, EngineError> {
        let (cx, may) = self.place(ws, from, run, &made.name)?;
        if !may {
            return Ok(Ready::refusing(cx, self.denied(ws, &made.name)?));
        }
        let lease = gate::weighed_there(made.arguments.clone());
        match Ready::of(&self.engine.tools, &made.name, cx.clone(), lease).await {
            Ok(Some(ready)) => Ok(ready),
            Ok(None) => Err(not_yours(from, "this tool changes nothing in the workspace")),
            Err(error) => Ok(Ready::refusing(cx, error)),
        }
    }

    async fn run_read(&self, ws: &Ws, from: GatewayId, look: Look) -> Result<Value, EngineError> {
        let (mut cx, may) = self.place(ws, from, look.run, &look.name)?;
        (cx.step, cx.max_result) = (look.step, look.most.min(64_000));
        let Some(AnyTool::Read(tool)) = self.engine.tools.get(&look.name).map(|one| &one.tool)
        else {
            return Err(not_yours(from, "this tool doesn't only read"));
        };
        let done = match may {
            true => tool.read(&cx, gate::weighed_there(look.arguments)).await,
            false => Err(self.denied(ws, &look.name)?),
        };
        let output = match done {
            Ok(output) => output,
            Err(error) => error.into_output()?,
        };
        let found = Found {
            text: output.text,
            is_error: output.is_error,
            load: output.load,
            whole: output.whole,
        };
        value(&found).map_err(EngineError::Home)
    }

    /// Stores a piece of a blob. Returns whether the blob is complete.
    async fn piece(&self, ws: &Ws, from: GatewayId, piece: Sent) -> Result<Value, EngineError> {
        let Sent { id, offset, total, data: bytes } = piece;
        let own = ws.clone();
        if offset == 0 && blocking(move || own.blobs.has(id)).await? {
            return Ok(Value::Bool(true));
        }
        let whole = {
            let mut parts = self.parts.lock();
            if offset == 0 {
                parts.insert((from, id), Vec::new());
            }
            let has: u64 = parts.values().map(|part| part.len() as u64).sum();
            if MOST < total || MOST < has + bytes.len() as u64 {
                parts.retain(|(other, _), _| *other != from);
            }
            let part = parts.get_mut(&(from, id)).filter(|part| part.len() as u64 == offset);
            let Some(part) = part else {
                return Err(EngineError::Home(Refusal::new("gap", "a piece of a file is missing")));
            };
            part.extend_from_slice(&bytes);
            if (part.len() as u64) < total { None } else { parts.remove(&(from, id)) }
        };
        let Some(whole) = whole else { return Ok(Value::Bool(false)) };
        let own = ws.clone();
        let put = blocking(move || own.blobs.put(&whole)).await??;
        if put != id {
            return Err(not_yours(from, "a file isn't the one it was announced as"));
        }
        Ok(Value::Bool(true))
    }
}

fn answered(before: &RunAnswer) -> Result<Value, EngineError> {
    serde_json::from_str(&before.answer.0)
        .map_err(|_| EngineError::Broken("an answer that was kept cannot be read"))
}

/// Checks whether a host may write this command.
fn check(
    tx: &dyn Read,
    from: GatewayId,
    (by, why): (Actor, Cause),
    command: &Command,
) -> Result<(), EngineError> {
    let agents: BTreeSet<AgentId> = queries::bound(tx, from)?;
    let is_its = |agent: AgentId| agents.contains(&agent);
    let of_run = |run: RunId| -> Result<bool, StoreError> {
        Ok(tx.get::<Run>(run)?.is_some_and(|run| is_its(run.agent)))
    };
    let about = match command {
        Command::Entry { hand, .. } => About::Run(hand.run),
        Command::Order(order) => order.about(),
    };
    if let About::Run(run) = about
        && let Some(run) = tx.get::<Run>(run)?
        && !run.is_live()
        && !is_its(run.agent)
    {
        // The run has ended, and its agent has moved since.
        return Err(RunError::Fenced.into());
    }
    if let About::Job(job) = about
        && let Some(job) = tx.get::<Job>(job)?
        && !job.goes_on()
        && !is_its(job.agent)
    {
        // The job was given up when its agent moved.
        return Err(RunError::Fenced.into());
    }
    let speaks = match by {
        Actor::Agent { agent, run } => is_its(agent) && of_run(run)?,
        other => other == BY.0,
    };
    let because = match why {
        Cause::Step(run, _) => of_run(run)?,
        other => other == BY.1,
    };
    if !speaks || !because {
        return Err(not_yours(from, "no agent on this machine can send this"));
    }
    let may = match about {
        About::Run(run) => of_run(run)?,
        About::Session(id) => tx.get::<Session>(id)?.is_some_and(|session| is_its(session.agent)),
        About::Agent(agent) => is_its(agent),
        About::Job(id) => tx.get::<Job>(id)?.is_some_and(|job| is_its(job.agent)),
        About::Approval(id) => {
            let run = tx.get::<Approval>(id)?.map(|one| one.run);
            run.map(of_run).transpose()?.unwrap_or(false)
        }
        About::Nothing => true,
        About::Home => false,
    };
    match may {
        true => Ok(()),
        false => Err(not_yours(from, "this machine can't send this")),
    }
}

fn of_gateway(error: GatewayError) -> EngineError {
    match error {
        GatewayError::Store(error) => error.into(),
        other => EngineError::Home(Refusal::new("refused", other.to_string())),
    }
}
