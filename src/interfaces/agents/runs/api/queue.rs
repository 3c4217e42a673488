//! The message queue as JSON: queue settings, and the state of a message.

use axum::response::Response;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::runs::model::{Input, QueueOf, QueueRequest, Queueing, Session};
use features::runs::queries::queue as reading;
use features::runs::rules::{self, RunError};
use kernel::{Can, DropPolicy, InputId, QueueMode, SessionId};
use store::{Read, ReadExt, StoreError};
use web::error::ApiError;
use web::extract::{Json, Path};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::sessions;
use super::talk::{self, MessageOut};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get(
            "/messages/{message}",
            show.needs(Can::Read).doc(|| Doc::new("Status of a message").returns::<MessageOut>()),
        )
        .post(
            "/messages/{message}/restore",
            restore.needs(Can::Chat).doc(|| {
                Doc::new("Resend a dropped message of yours")
                    .returns::<super::talk::SaidOut>()
                    .status(201)
            }),
        )
        .post(
            "/messages/{message}/dismiss",
            dismiss
                .needs(Can::Chat)
                .doc(|| Doc::new("Dismiss a dropped message of yours").returns::<MessageOut>()),
        )
        .get(
            "/queue",
            workspace.needs(Can::Read).doc(|| {
                Doc::new("Default handling of messages while a run works").returns::<QueueOut>()
            }),
        )
        .put(
            "/queue",
            set_workspace
                .needs(Can::Admin)
                .doc(|| Doc::new("Choose that").body::<QueueBody>().returns::<QueueOut>()),
        )
        .get(
            "/agents/{agent}/queue",
            of_agent.needs(Can::Read).doc(|| {
                Doc::new("Handling of messages to an agent while it works").returns::<QueueOut>()
            }),
        )
        .put(
            "/agents/{agent}/queue",
            set_agent
                .needs(Can::Agents)
                .doc(|| Doc::new("Choose that").body::<QueueBody>().returns::<QueueOut>()),
        )
        .get(
            "/sessions/{session}/queue",
            of_session.needs(Can::Read).doc(|| {
                Doc::new("Handling of messages in a conversation while a run works")
                    .returns::<QueueOut>()
            }),
        )
        .put(
            "/sessions/{session}/queue",
            set_session
                .needs(Can::Chat)
                .doc(|| Doc::new("Choose that").body::<QueueBody>().returns::<QueueOut>()),
        )
}

/// What messages do while a run works.
#[derive(Serialize, JsonSchema)]
pub(super) struct QueueOut {
    /// What a message does that says nothing else.
    mode: QueueMode,
    /// Who decided that: `session`, `agent`, `workspace` or `default`.
    chosen_by: &'static str,
    /// How long it must be quiet before collected messages get their turn.
    debounce_ms: u64,
    /// How many messages may wait.
    cap: usize,
    /// What goes when there are more.
    drop: DropPolicy,
}

impl QueueOut {
    fn of(queueing: Queueing) -> Self {
        Self {
            mode: queueing.mode,
            chosen_by: queueing.by.word(),
            debounce_ms: u64::try_from(queueing.debounce.as_millis()).unwrap_or(0),
            cap: queueing.cap,
            drop: queueing.drop,
        }
    }

    pub(super) fn of_session(tx: &dyn Read, session: &Session) -> Result<Self, StoreError> {
        reading::of_session(tx, session).map(Self::of)
    }
}

/// A choice; what is left out is decided elsewhere.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct QueueBody {
    /// What a message does that says nothing else.
    #[serde(default)]
    mode: Option<QueueMode>,
    /// How long it must be quiet before collected messages get their turn.
    #[serde(default)]
    debounce_ms: Option<u32>,
    /// How many messages may wait, 1 to 200.
    #[serde(default)]
    cap: Option<u32>,
    /// What goes when there are more.
    #[serde(default)]
    drop: Option<DropPolicy>,
}

impl QueueBody {
    fn wish(self) -> QueueRequest {
        let Self { mode, debounce_ms, cap, drop } = self;
        QueueRequest { mode, debounce_ms, cap, drop }
    }
}

async fn show(ws: Ws, who: Person, Path(id): Path<InputId>) -> Result<Json<MessageOut>, ApiError> {
    ws.read(|snap| {
        let missing = || ApiError::not_found("This message");
        let input = snap.get::<Input>(id)?.ok_or_else(missing)?;
        sessions::session(snap, &who, input.session).map_err(|_| missing())?;
        Ok(Json(MessageOut::of(input)))
    })
}

async fn restore(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<InputId>,
) -> Result<Response, ApiError> {
    let by = who.account;
    let sent = ws.write(&who, once.run(move |tx| rules::queue::bring_back(tx, id, by))).await?;
    talk::answer(&ws, sent)
}

async fn dismiss(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<InputId>,
) -> Result<Json<MessageOut>, ApiError> {
    let by = who.account;
    ws.write(&who, once.run(move |tx| rules::queue::dismiss(tx, id, by))).await?;
    let input = ws.read(|snap| snap.get::<Input>(id))?;
    let input = input.ok_or_else(|| ApiError::not_found("This message"))?;
    Ok(Json(MessageOut::of(input)))
}

async fn choose(
    ws: &Ws,
    who: &Person,
    once: Once,
    of: QueueOf,
    body: QueueBody,
) -> Result<(), ApiError> {
    let wish = body.wish();
    let write = once.run(move |tx| -> Result<_, RunError> { rules::queue::choose(tx, of, wish) });
    Ok(ws.write(who, write).await?)
}

async fn workspace(ws: Ws, _: Person) -> Result<Json<QueueOut>, ApiError> {
    let queueing = ws.read(|snap| reading::of_workspace(snap))?;
    Ok(Json(QueueOut::of(queueing)))
}

async fn set_workspace(
    ws: Ws,
    who: Person,
    once: Once,
    Json(body): Json<QueueBody>,
) -> Result<Json<QueueOut>, ApiError> {
    choose(&ws, &who, once, QueueOf::Workspace, body).await?;
    workspace(ws, who).await
}

async fn of_agent(ws: Ws, _: Person, Path(name): Path<String>) -> Result<Json<QueueOut>, ApiError> {
    ws.read(|snap| {
        let agent = sessions::agent(snap, &name)?;
        Ok(Json(QueueOut::of(reading::of_agent(snap, agent.id)?)))
    })
}

async fn set_agent(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<QueueBody>,
) -> Result<Json<QueueOut>, ApiError> {
    let agent = ws.read(|snap| sessions::agent(snap, &name))?;
    choose(&ws, &who, once, QueueOf::Agent(agent.id), body).await?;
    of_agent(ws, who, Path(name)).await
}

async fn of_session(
    ws: Ws,
    who: Person,
    Path(id): Path<SessionId>,
) -> Result<Json<QueueOut>, ApiError> {
    ws.read(|snap| {
        let session = sessions::session(snap, &who, id)?;
        Ok(Json(QueueOut::of_session(snap, &session)?))
    })
}

async fn set_session(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
    Json(body): Json<QueueBody>,
) -> Result<Json<QueueOut>, ApiError> {
    ws.read(|snap| sessions::session(snap, &who, id))?;
    choose(&ws, &who, once, QueueOf::Session(id), body).await?;
    of_session(ws, who, Path(id)).await
}
