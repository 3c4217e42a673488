//! Talk as JSON: conversations with an agent, what was said in them, saying something, taking it back.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::Ws;
use crate::features::agents::model::Agent;
use crate::features::agents::queries as agents;
use crate::features::runs::model::{Input, InputState, Session};
use crate::features::runs::queries::{self, talk};
use crate::features::runs::rules::{self, NewInput, RunError, Sent, SessionSpec};
use crate::kernel::cursor::Page;
use crate::kernel::{AgentId, Can, InputId, Placed, QueueMode, RunId, SessionId, TaskId};
use crate::store::{ReadExt, StoreError};
use crate::web::error::ApiError;
use crate::web::extract::{Json, Path, Query};
use crate::web::idempotency::Once;
use crate::web::routes::{Doc, Needs, Routes};
use crate::web::session::Person;

use super::queue::QueueOut;
use super::view::{StepOut, actor};
use super::{StepPage, StepQuery, limit};

/// How many conversations are listed.
const LISTED: usize = 100;

/// Routes below `/api/v1`.
pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/sessions",
            list.needs(Can::Read).doc(|| {
                Doc::new("Your conversations with an agent and those about tasks, newest first")
                    .returns::<Sessions>()
            }),
        )
        .post(
            "/agents/{agent}/sessions",
            begin_anew.needs(Can::Chat).doc(|| {
                Doc::new("Begin your conversation anew; the former one can still be read")
                    .returns::<Option<SessionOut>>()
            }),
        )
        .post(
            "/agents/{agent}/messages",
            say.needs(Can::Chat).doc(|| {
                Doc::new("Say something to an agent in your conversation with it")
                    .body::<SayBody>()
                    .returns::<SaidOut>()
                    .status(201)
            }),
        )
        .get(
            "/sessions/{session}",
            show.needs(Can::Read).doc(|| {
                Doc::new("A conversation, with what waits to be read").returns::<SessionOut>()
            }),
        )
        .get(
            "/sessions/{session}/events",
            events.needs(Can::Read).doc(|| {
                Doc::new("What was said and done, oldest first; ask again with `after` for more")
                    .query::<StepQuery>()
                    .returns::<StepPage>()
            }),
        )
        .post(
            "/sessions/{session}/compact",
            compact.needs(Can::Chat).doc(|| {
                Doc::new("Put the older part of a conversation into a summary, now")
                    .body::<CompactBody>()
                    .returns::<CompactOut>()
                    .status(201)
            }),
        )
        .post(
            "/runs/{name}/messages",
            say_to_run.needs(Can::Chat).doc(|| {
                Doc::new("Say something to a run; it is read at the next step")
                    .body::<SayBody>()
                    .returns::<SaidOut>()
                    .status(201)
            }),
        )
        .post(
            "/messages/{message}/cancel",
            take_back.needs(Can::Chat).doc(|| {
                Doc::new("Take back what you said, while nobody has read it")
                    .returns::<MessageOut>()
            }),
        )
}

/// A conversation.
#[derive(Serialize, JsonSchema)]
struct SessionOut {
    id: SessionId,
    agent: AgentId,
    /// The task that it is about.
    task: Option<TaskId>,
    /// Whether it is the one that you talk in now.
    yours: bool,
    /// The run that works in it.
    active_run: Option<RunId>,
    /// How many events it has.
    events: u32,
    /// How often its older part was put into a summary.
    compactions: u32,
    /// Whether somebody wants that done now.
    compaction_asked: bool,
    /// What was said and not read yet.
    waiting: Vec<MessageOut>,
    /// What was dropped; whoever said it may bring it back.
    dropped: Vec<MessageOut>,
    /// What a message does there while a run works.
    queue: QueueOut,
    created_at: String,
    last_at: String,
    /// Since when it is a former one.
    archived_at: Option<String>,
}

/// Something said.
#[derive(Serialize, JsonSchema)]
pub(super) struct MessageOut {
    id: InputId,
    session: SessionId,
    by: String,
    text: String,
    /// `waiting`, `read`, `cancelled` or `dropped`.
    state: &'static str,
    /// The run that has it.
    run: Option<RunId>,
    /// What it does while a run works.
    mode: QueueMode,
    /// Why it was dropped.
    reason: Option<String>,
    /// Whether whoever said it may bring it back.
    kept: bool,
    created_at: String,
}

impl MessageOut {
    pub(super) fn of(input: Input) -> Self {
        let mut reason = None;
        let (state, run) = match input.state {
            InputState::Accepted => ("waiting", None),
            InputState::Assigned(run) => ("waiting", Some(run)),
            InputState::Consumed(run) => ("read", Some(run)),
            InputState::Cancelled => ("cancelled", None),
            InputState::Dropped(why) => {
                reason = Some(why);
                ("dropped", None)
            }
            InputState::Overflowed => {
                reason = Some("too many messages waited; the next turn hears of it".to_owned());
                ("dropped", None)
            }
        };
        Self {
            mode: input.mode,
            reason,
            kept: input.kept,
            id: input.id,
            session: input.session,
            by: actor(input.by),
            text: input.text,
            state,
            run,
            created_at: input.created_at.to_string(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
struct Sessions {
    items: Vec<SessionOut>,
}

/// What is said.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SayBody {
    /// Markdown.
    text: String,
    /// What it does while a run works: without it what was chosen for the conversation counts.
    #[serde(default)]
    mode: Option<QueueMode>,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
pub(super) struct SaidOut {
    /// Its id, to take it back.
    message: InputId,
    session: SessionId,
    /// The run that has it, or that it waits for.
    run: RunId,
    /// Where it went.
    outcome: Placed,
    /// How many messages come before it.
    before: u32,
}

/// What the summary should look at.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CompactBody {
    /// What matters most, in a few words.
    #[serde(default)]
    focus: String,
}

/// Who compacts it.
#[derive(Serialize, JsonSchema)]
struct CompactOut {
    session: SessionId,
    /// The run that does it at its next step.
    run: RunId,
}

fn view(tx: &impl ReadExt, session: Session, own: &str) -> Result<SessionOut, StoreError> {
    let waiting = queries::open_inputs(tx, session.id)?.into_iter().map(MessageOut::of);
    let dropped = queries::queue::dropped(tx, session.id)?.into_iter().map(MessageOut::of);
    let context = queries::context(tx, session.id)?;
    Ok(SessionOut {
        compactions: context.compactions,
        compaction_asked: context.asked.is_some(),
        dropped: dropped.collect(),
        queue: QueueOut::of_session(tx, &session)?,
        yours: session.key == own && session.archived_at.is_none(),
        waiting: waiting.collect(),
        id: session.id,
        agent: session.agent,
        task: session.task,
        active_run: session.active_run,
        events: session.events,
        created_at: session.created_at.to_string(),
        last_at: session.last_at.to_string(),
        archived_at: session.archived_at.map(|at| at.to_string()),
    })
}

pub(super) fn agent(tx: &impl ReadExt, name: &str) -> Result<Agent, ApiError> {
    agents::by_name(tx, name)?.ok_or_else(|| ApiError::not_found("This agent"))
}

/// A conversation that this person may look at.
pub(super) fn session(tx: &impl ReadExt, who: &Person, id: SessionId) -> Result<Session, ApiError> {
    let found = tx.get::<Session>(id)?;
    let found = found.filter(|session| talk::may_see(session, who.account, who.role));
    found.ok_or_else(|| ApiError::not_found("This conversation"))
}

async fn list(ws: Ws, who: Person, Path(name): Path<String>) -> Result<Json<Sessions>, ApiError> {
    let items = ws.read(|snap| {
        let agent = agent(snap, &name)?;
        let own = talk::own_key(snap, &agent, who.account, who.role)?;
        let all = talk::listed(snap, agent.id, who.account, LISTED)?;
        let views = all.into_iter().map(|session| view(snap, session, &own));
        Ok::<_, ApiError>(views.collect::<Result<_, StoreError>>()?)
    })?;
    Ok(Json(Sessions { items }))
}

fn shown(ws: &Ws, who: &Person, id: SessionId) -> Result<SessionOut, ApiError> {
    ws.read(|snap| {
        let session = session(snap, who, id)?;
        let own = match snap.get::<Agent>(session.agent)? {
            Some(agent) => talk::own_key(snap, &agent, who.account, who.role)?,
            None => String::new(),
        };
        Ok(view(snap, session, &own)?)
    })
}

async fn show(
    ws: Ws,
    who: Person,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionOut>, ApiError> {
    Ok(Json(shown(&ws, &who, id)?))
}

async fn events(
    ws: Ws,
    who: Person,
    Path(id): Path<SessionId>,
    Query(query): Query<StepQuery>,
) -> Result<Json<Page<StepOut>>, ApiError> {
    let limit = limit(query.limit);
    let from = query.after.map_or(0, |after| after.saturating_add(1));
    let (all, events) = ws.read(|snap| {
        let session = session(snap, &who, id)?;
        let most = u32::try_from(limit).unwrap_or(u32::MAX);
        let end = from.saturating_add(most).min(session.events);
        Ok::<_, ApiError>((session.events, queries::events(snap, id, from, end)?))
    })?;
    let items: Vec<StepOut> = events.into_iter().map(StepOut::of).collect();
    let last = items.last().map(|step| step.n);
    let next = last.filter(|n| n + 1 < all).map(|n| n.to_string());
    Ok(Json(Page { items, next }))
}

pub(super) fn answer(ws: &Ws, sent: Sent) -> Result<Response, ApiError> {
    let Sent { message, run, placed, before } = sent;
    let input = ws.read(|snap| snap.get::<Input>(message))?;
    let session = input.ok_or_else(|| ApiError::not_found("This message"))?.session;
    let said = SaidOut { message, session, run, outcome: placed, before };
    Ok((StatusCode::CREATED, Json(said)).into_response())
}

fn said(body: SayBody) -> NewInput {
    NewInput { mode: body.mode, ..NewInput::chat(body.text) }
}

async fn say(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<SayBody>,
) -> Result<Response, ApiError> {
    let (agent, key) = ws.read(|snap| {
        let agent = agent(snap, &name)?;
        let key = talk::own_key(snap, &agent, who.account, who.role)?;
        Ok::<_, ApiError>((agent.id, key))
    })?;
    let spec = SessionSpec { agent, key, owner: Some(who.account), task: None };
    let new = said(body);
    let say = once.run(move |tx| -> Result<_, RunError> { rules::talk::say(tx, spec, new) });
    let sent = ws.write(&who, say).await?;
    answer(&ws, sent)
}

async fn say_to_run(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<SayBody>,
) -> Result<Response, ApiError> {
    let run = super::find(&ws, &who, &name)?;
    let new = said(body);
    let say = once.run(move |tx| rules::talk::say_to_run(tx, run.id, new));
    let sent = ws.write(&who, say).await?;
    answer(&ws, sent)
}

async fn begin_anew(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
) -> Result<Json<Option<SessionOut>>, ApiError> {
    let (key, old) = ws.read(|snap| {
        let key = talk::own_key(snap, &agent(snap, &name)?, who.account, who.role)?;
        let old = queries::session_by_key(snap, &key)?;
        Ok::<_, ApiError>((key, old))
    })?;
    if let Some(old) = old {
        let by = who.account;
        ws.write(&who, once.run(move |tx| rules::talk::begin_anew(tx, old.id, by))).await?;
    }
    let new = ws.read(|snap| queries::session_by_key(snap, &key))?;
    Ok(Json(match new {
        Some(session) => Some(shown(&ws, &who, session.id)?),
        None => None,
    }))
}

async fn compact(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
    Json(body): Json<CompactBody>,
) -> Result<Response, ApiError> {
    let by = who.account;
    let ask = once.run(move |tx| rules::talk::compact(tx, id, by, &body.focus));
    let run = ws.write(&who, ask).await?;
    Ok((StatusCode::CREATED, Json(CompactOut { session: id, run })).into_response())
}

async fn take_back(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<InputId>,
) -> Result<Json<MessageOut>, ApiError> {
    let by = who.account;
    ws.write(&who, once.run(move |tx| rules::talk::take_back(tx, id, by))).await?;
    let input = ws.read(|snap| snap.get::<Input>(id))?;
    let input = input.ok_or_else(|| ApiError::not_found("This message"))?;
    Ok(Json(MessageOut::of(input)))
}
