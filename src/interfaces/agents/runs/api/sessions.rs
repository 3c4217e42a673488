//! Conversations as JSON: the list, their messages, and actions on a whole conversation.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runs::looking;
use app::Ws;
use features::agents::model::Agent;
use features::agents::queries as agents;
use features::runs::model::{QueueOf, Session};
use features::runs::queries::{self, marks, search, sessions as reading, talk};
use features::runs::rules::{self, RunError};
use kernel::cursor::Page;
use kernel::{AccountId, AgentId, Can, Fast, RunId, SessionId, TaskId, Thinking};
use store::{Read, ReadExt, StoreError};
use web::error::ApiError;
use web::extract::{Json, Patch, Path, Query};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::queue::QueueOut;
use super::talk::MessageOut;
use super::view::{StepOut, actor};
use super::{StepPage, StepQuery, limit};

/// Maximum number of conversations listed.
const LISTED: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/agents/{agent}/sessions",
            list.needs(Can::Read).doc(|| {
                Doc::new(
                    "Your conversations with an agent, those that others share and those about \
                     tasks, newest first",
                )
                .query::<ListQuery>()
                .returns::<Sessions>()
            }),
        )
        .post(
            "/agents/{agent}/sessions",
            begin_anew.needs(Can::Chat).doc(|| {
                Doc::new("Restart your conversation; the previous one stays readable")
                    .returns::<Option<SessionOut>>()
            }),
        )
        .post(
            "/agents/{agent}/sessions/begin",
            begin.needs(Can::Chat).doc(|| {
                Doc::new("Start another conversation with an agent")
                    .body::<BeginBody>()
                    .returns::<SessionOut>()
                    .status(201)
            }),
        )
        .get(
            "/agents/{agent}/sessions/search",
            search_in.needs(Can::Read).doc(|| {
                Doc::new(
                    "Search your conversations with an agent and those about tasks, best first",
                )
                .query::<SearchQuery>()
                .returns::<FoundOut>()
            }),
        )
        .merge(of_one())
}

/// Routes of one conversation.
fn of_one() -> Routes {
    Routes::new()
        .get(
            "/sessions/{session}",
            show.needs(Can::Read).doc(|| {
                Doc::new("A conversation with its queued messages").returns::<SessionOut>()
            }),
        )
        .patch(
            "/sessions/{session}",
            change.needs(Can::Chat).doc(|| {
                Doc::new(
                    "Name a conversation (an empty name lets its first words name it again), share \
                     it with the workspace or make it private",
                )
                .body::<ChangeBody>()
                .returns::<SessionOut>()
            }),
        )
        .post(
            "/sessions/{session}/read",
            read.needs(Can::Read).doc(|| {
                Doc::new("Mark a conversation as read").returns::<SessionOut>()
            }),
        )
        .get(
            "/sessions/{session}/events",
            events.needs(Can::Read).doc(|| {
                Doc::new("Messages and steps, oldest first; request again with `after` for more")
                    .query::<StepQuery>()
                    .returns::<StepPage>()
            }),
        )
        .post(
            "/sessions/{session}/archive",
            archive.needs(Can::Chat).doc(|| {
                Doc::new("Archive a conversation; it stays readable")
                    .returns::<SessionOut>()
            }),
        )
        .post(
            "/sessions/{session}/restore",
            restore.needs(Can::Chat).doc(|| {
                Doc::new(
                    "Continue an archived conversation; the current one is archived",
                )
                .returns::<SessionOut>()
            }),
        )
        .post(
            "/sessions/{session}/reset",
            reset.needs(Can::Chat).doc(|| {
                Doc::new(
                    "Restart a conversation under its key; the previous one stays readable and queued messages move over",
                )
                .returns::<SessionOut>()
            }),
        )
        .post(
            "/sessions/{session}/compact",
            compact.needs(Can::Chat).doc(|| {
                Doc::new("Summarize the older part of a conversation now")
                    .body::<CompactBody>()
                    .returns::<CompactOut>()
                    .status(201)
            }),
        )
}

/// Which conversations.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only archived ones, or only others; both without it.
    #[serde(default)]
    archived: Option<bool>,
}

/// What is looked for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    /// Words; they are found by their beginnings.
    q: String,
    /// At most so many passages, up to 100.
    #[serde(default)]
    limit: Option<usize>,
}

/// A conversation.
#[derive(Serialize, JsonSchema)]
struct SessionOut {
    id: SessionId,
    agent: AgentId,
    /// Where it is found: a reset gives the key to the conversation that comes after.
    key: String,
    /// What it is called: its name, its task, or its first words.
    title: String,
    /// What somebody named it.
    name: Option<String>,
    /// How it stands: `idle`, `archived`, or as the run that has it.
    state: &'static str,
    /// The task that it is about.
    task: Option<TaskId>,
    /// Whether it is the one that you talk in now.
    yours: bool,
    /// The person whose it is; none for work.
    owner: Option<AccountId>,
    /// Who sees it.
    visibility: Visibility,
    /// How much was said in it that you have not read.
    unread: u32,
    /// The run that works in it.
    active_run: Option<RunId>,
    /// How many events it has.
    events: u32,
    /// What was said in it last, to be given as `expected_leaf` with what is said next.
    leaf: String,
    /// The model that was chosen for it alone.
    model: Option<String>,
    /// How much it thinks, when that was chosen for it alone.
    thinking: Option<Thinking>,
    /// Whether it is asked to answer sooner, when that was chosen for it alone.
    fast: Option<Fast>,
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

#[derive(Serialize, JsonSchema)]
struct Sessions {
    items: Vec<SessionOut>,
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

/// Who sees a conversation.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Visibility {
    /// Whose it is; who runs the workspace may look, and that is noted in it.
    Private,
    /// Everybody in the workspace, who may speak in it, too.
    Workspace,
}

/// Another name, or other people who see it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeBody {
    /// At most 120 characters.
    #[serde(default)]
    name: Option<String>,
    /// Only its owner says that.
    #[serde(default)]
    visibility: Option<Visibility>,
}

/// A further conversation.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct BeginBody {
    /// What it is called, at most 120 characters; without it, its first words name it, and one in which
    /// nothing was said yet is used again.
    #[serde(default)]
    name: String,
}

/// Something that was said and found.
#[derive(Serialize, JsonSchema)]
struct HitOut {
    session: SessionId,
    /// What the conversation is called.
    title: String,
    /// The number of the event in it.
    n: u32,
    run: Option<RunId>,
    at: String,
    /// Who said it; `agent` for the agent itself.
    by: String,
    /// The words around what was found.
    text: String,
}

/// What a search came to.
#[derive(Serialize, JsonSchema)]
struct FoundOut {
    items: Vec<HitOut>,
    /// Whether everything was looked through.
    complete: bool,
    /// The oldest moment that was looked at.
    until: Option<String>,
}

fn view(
    tx: &dyn Read,
    session: Session,
    (own, me): (&str, AccountId),
) -> Result<SessionOut, StoreError> {
    let waiting = queries::open_inputs(tx, session.id)?.into_iter().map(MessageOut::of);
    let dropped = queries::queue::dropped(tx, session.id)?.into_iter().map(MessageOut::of);
    let context = queries::context(tx, session.id)?;
    let title = reading::title(tx, &session)?;
    // Published words: they are older than the words of runs.
    let state = match reading::state(tx, &session)?.word {
        "running" => "working",
        "stalled" => "waiting",
        word => word,
    };
    Ok(SessionOut {
        compactions: context.compactions,
        compaction_asked: context.asked.is_some(),
        dropped: dropped.collect(),
        queue: QueueOut::of_session(tx, &session)?,
        yours: session.key == own && session.archived_at.is_none(),
        owner: session.owner,
        visibility: match session.is_private() {
            true => Visibility::Private,
            false => Visibility::Workspace,
        },
        unread: marks::unread(tx, session.id, me)?,
        waiting: waiting.collect(),
        title,
        state,
        leaf: reading::leaf(Some(&session)),
        thinking: session.thinking,
        fast: queries::preferences::chosen(tx, QueueOf::Session(session.id))?.fast,
        id: session.id,
        agent: session.agent,
        task: session.task,
        active_run: session.active_run,
        events: session.events,
        created_at: session.created_at.to_string(),
        last_at: session.last_at.to_string(),
        archived_at: session.archived_at.map(|at| at.to_string()),
        key: session.key,
        name: session.name,
        model: session.model,
    })
}

pub(super) fn agent(tx: &dyn Read, name: &str) -> Result<Agent, ApiError> {
    agents::by_name(tx, name)?.ok_or_else(|| ApiError::not_found("This agent"))
}

/// The conversation, if this person may see it.
pub(super) fn session(tx: &dyn Read, who: &Person, id: SessionId) -> Result<Session, ApiError> {
    let found = tx.get::<Session>(id)?;
    let found = found.filter(|session| talk::may_see(session, who.account, who.role));
    found.ok_or_else(|| ApiError::not_found("This conversation"))
}

async fn list(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(query): Query<ListQuery>,
) -> Result<Json<Sessions>, ApiError> {
    let items = ws.read(|snap| {
        let agent = agent(snap, &name)?;
        let own = talk::own_key(snap, &agent, who.account, who.role)?;
        let mut all = talk::listed(snap, agent.id, who.account, LISTED)?;
        all.retain(|one| query.archived.is_none_or(|is| is == one.archived_at.is_some()));
        let views = all.into_iter().map(|session| view(snap, session, (&own, who.account)));
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
        Ok(view(snap, session, (&own, who.account))?)
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
    ws.read(|snap| session(snap, &who, id).map(drop))?;
    looking::note(&ws, &who, id).await?;
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

async fn search_in(
    ws: Ws,
    who: Person,
    Path(name): Path<String>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<FoundOut>, ApiError> {
    let agent = ws.read(|snap| agent(snap, &name))?;
    let most = limit(query.limit);
    let found = search::among_theirs(&ws, agent.id, who.account, &query.q, most).await?;
    let items = ws.read(|snap| {
        let mut items = Vec::with_capacity(found.hits.len());
        for hit in found.hits {
            let Some(session) = snap.get::<Session>(hit.session)? else { continue };
            items.push(HitOut {
                session: hit.session,
                title: reading::title(snap, &session)?,
                n: hit.n,
                run: hit.run,
                at: hit.at.to_string(),
                by: hit.by.map_or_else(|| "agent".to_owned(), actor),
                text: hit.text,
            });
        }
        Ok::<_, StoreError>(items)
    })?;
    let until = found.until.map(|at| at.to_string());
    Ok(Json(FoundOut { items, complete: found.complete, until }))
}

async fn change(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
    Patch(body): Patch<ChangeBody>,
) -> Result<Json<SessionOut>, ApiError> {
    let by = who.account;
    let change = once.run(move |tx| -> Result<_, RunError> {
        if let Some(name) = &body.name {
            rules::sessions::rename(tx, id, by, name)?;
        }
        match body.visibility {
            Some(seen) => rules::sessions::share(tx, id, by, seen == Visibility::Workspace),
            None => Ok(()),
        }
    });
    ws.write(&who, change).await?;
    Ok(Json(shown(&ws, &who, id)?))
}

async fn begin(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<BeginBody>,
) -> Result<Response, ApiError> {
    let agent = ws.read(|snap| agent(snap, &name))?;
    let of = (agent.id, who.account);
    let begin = once.run(move |tx| rules::sessions::begin(tx, of, &body.name).map(|new| new.id));
    let new = ws.write(&who, begin).await?;
    Ok((StatusCode::CREATED, Json(shown(&ws, &who, new)?)).into_response())
}

async fn read(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionOut>, ApiError> {
    let by = who.account;
    ws.write(&who, once.run(move |tx| rules::marks::read(tx, id, by))).await?;
    Ok(Json(shown(&ws, &who, id)?))
}

async fn archive(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionOut>, ApiError> {
    let by = who.account;
    ws.write(&who, once.run(move |tx| rules::sessions::archive(tx, id, by))).await?;
    Ok(Json(shown(&ws, &who, id)?))
}

async fn restore(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionOut>, ApiError> {
    let by = who.account;
    ws.write(&who, once.run(move |tx| rules::sessions::restore(tx, id, by))).await?;
    Ok(Json(shown(&ws, &who, id)?))
}

async fn reset(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
) -> Result<Json<SessionOut>, ApiError> {
    let by = who.account;
    let reset = once.run(move |tx| rules::sessions::reset(tx, id, by).map(|new| new.id));
    let new = ws.write(&who, reset).await?;
    Ok(Json(shown(&ws, &who, new)?))
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
        ws.write(&who, once.run(move |tx| rules::sessions::reset(tx, old.id, by).map(drop)))
            .await?;
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
