//! Talk as JSON: saying something, taking it back.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::app::Ws;
use crate::features::runs::model::{Input, InputState};
use crate::features::runs::queries::talk;
use crate::features::runs::rules::{self, NewInput, RunError, Sent, SessionSpec};
use crate::kernel::{Can, InputId, Placed, QueueMode, RunId, SessionId};
use crate::store::ReadExt as _;
use crate::web::error::ApiError;
use crate::web::extract::{Json, Path};
use crate::web::idempotency::Once;
use crate::web::routes::{Doc, Needs, Routes};
use crate::web::session::Person;

use super::sessions::agent;
use super::view::actor;

/// Routes below `/api/v1`.
pub(super) fn routes() -> Routes {
    Routes::new()
        .post(
            "/agents/{agent}/messages",
            say.needs(Can::Chat).doc(|| {
                Doc::new("Say something to an agent in your conversation with it")
                    .body::<SayBody>()
                    .returns::<SaidOut>()
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
