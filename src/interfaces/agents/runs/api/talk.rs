//! Chat messages as JSON: sending and cancelling.

use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::runs::attach;
use crate::runs::commands::{self, Done, Place};
use crate::runs::resending;
use app::Ws;
use features::agents::model::Agent;
use features::connections::queries::named::{self, Named};
use features::runs::model::{Input, InputState, MAX_ATTACHED, Session};
use features::runs::queries;
use features::runs::rules::{self, NewInput, RunError, Sent};
use kernel::{Can, Fast, InputId, Placed, QueueMode, RunId, SessionId, Thinking};
use store::ReadExt as _;
use web::error::{ApiError, PageError};
use web::extract::{Json, Path, Path2};
use web::file::{self, Show, clean_name};
use web::idempotency::Once;
use web::routes::{Doc, Needs, Routes};
use web::session::Person;

use super::sessions::{agent, session};
use super::view::{FileOut, actor};

/// Size limit of a request with a message, in bytes; Base64 makes its files a third larger.
const MAX_BODY: usize = 28 * 1024 * 1024;

pub(super) fn routes() -> Routes {
    let routes = Routes::new()
        .post(
            "/agents/{agent}/messages",
            say.needs(Can::Chat).doc(|| {
                Doc::new("Send a message to an agent in your conversation")
                    .body::<SayBody>()
                    .returns::<SaidOut>()
                    .status(201)
            }),
        )
        .post(
            "/sessions/{session}/messages",
            say_in.needs(Can::Chat).doc(|| {
                Doc::new("Send a message in an active conversation: your own or a shared one")
                    .body::<SayBody>()
                    .returns::<SaidOut>()
                    .status(201)
            }),
        )
        .post(
            "/runs/{name}/messages",
            say_to_run.needs(Can::Chat).doc(|| {
                Doc::new("Send a message to a run, read at the next step")
                    .body::<SayBody>()
                    .returns::<SaidOut>()
                    .status(201)
            }),
        );
    Routes::new()
        .merge(routes.wrap(|route| route.layer(DefaultBodyLimit::max(MAX_BODY))))
        .get(
            "/commands",
            list_commands
                .needs(Can::Read)
                .doc(|| Doc::new("Chat commands").returns::<CommandsOut>()),
        )
        .post(
            "/agents/{agent}/commands",
            command.needs(Can::Chat).doc(|| {
                Doc::new(
                    "Send text that may be a command, such as /status; other text is sent as a \
                     message",
                )
                .body::<CommandBody>()
                .returns::<DoneOut>()
            }),
        )
        .patch(
            "/messages/{message}",
            amend.needs(Can::Chat).doc(|| {
                Doc::new("Edit your message while it is unread")
                    .body::<AmendBody>()
                    .returns::<MessageOut>()
            }),
        )
        .get(
            "/messages/{message}/files/{n}",
            file_of.needs(Can::Read).doc(|| {
                Doc::new("A file of a message, counted from 0").media("application/octet-stream")
            }),
        )
        .post(
            "/messages/{message}/cancel",
            take_back.needs(Can::Chat).doc(|| {
                Doc::new("Withdraw your message while it is unread").returns::<MessageOut>()
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
    /// Files that came with it.
    attachments: Vec<FileOut>,
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
                reason = Some(
                    "too many messages were queued; the next turn gets a \
                    note"
                        .to_owned(),
                );
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
            attachments: input.attached.into_iter().map(FileOut::of).collect(),
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
    /// A model for this message alone: `id` or `connection/id`.
    #[serde(default)]
    model: Option<String>,
    /// How much the model thinks about this message alone.
    #[serde(default)]
    thinking: Option<Thinking>,
    /// Whether this message alone is to be answered sooner, where the provider has a way for that; it may
    /// cost more.
    #[serde(default)]
    fast: Option<Fast>,
    /// Files that come with it, at most 8 with 20 MB together; the whole request has to fit the
    /// limit of bodies.
    #[serde(default)]
    attachments: Vec<FileBody>,
    /// The `leaf` of the conversation as it was seen last; when it has gone on since, the message is
    /// refused with `conversation_moved`.
    #[serde(default)]
    expected_leaf: Option<String>,
}

/// A file that comes with a message.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    /// Its name.
    name: String,
    /// Its content in Base64.
    data: String,
}

/// A message or a command.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CommandBody {
    /// As it is typed.
    text: String,
    /// A conversation that goes on and that you may speak in; without it, your own.
    #[serde(default)]
    session: Option<SessionId>,
}

/// Other words.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AmendBody {
    /// Markdown.
    text: String,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
struct DoneOut {
    /// What the command answers, in Markdown; none for a message.
    answer: Option<String>,
    /// Whether another conversation is yours now.
    anew: bool,
    /// What became of the message; none for a command.
    said: Option<SaidOut>,
}

/// A command.
#[derive(Serialize, JsonSchema)]
struct CommandOut {
    name: &'static str,
    alias: Option<&'static str>,
    /// What may follow it.
    arguments: &'static str,
    about: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct CommandsOut {
    items: Vec<CommandOut>,
}

/// What became of it.
#[derive(Serialize, JsonSchema)]
pub struct SaidOut {
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
    Ok((StatusCode::CREATED, Json(said_out(ws, sent)?)).into_response())
}

fn said_out(ws: &Ws, sent: Sent) -> Result<SaidOut, ApiError> {
    let Sent { message, run, placed, before } = sent;
    let input = ws.read(|snap| snap.get::<Input>(message))?;
    let session = input.ok_or_else(|| ApiError::not_found("This message"))?.session;
    Ok(SaidOut { message, session, run, outcome: placed, before })
}

/// Converts a body to a message and stores its files.
async fn new_input(ws: &Ws, body: SayBody) -> Result<NewInput, ApiError> {
    if MAX_ATTACHED < body.attachments.len() {
        return Err(RunError::TooManyFiles.into());
    }
    let mut files = Vec::with_capacity(body.attachments.len());
    for (n, FileBody { name, data }) in body.attachments.into_iter().enumerate() {
        let data = BASE64.decode(data.trim()).map_err(|error| {
            ApiError::invalid(
                &format!("attachments[{n}].data"),
                format!("this isn't valid Base64: {error}"),
            )
        })?;
        files.push((clean_name(&name), data));
    }
    let attached = match files.is_empty() {
        true => Vec::new(),
        false => attach::put(ws, files).await?,
    };
    let model = match body.model.as_deref().map(str::trim).filter(|name| !name.is_empty()) {
        None => None,
        Some(name) => match ws.read(|snap| named::model(snap, name))? {
            Named::Known(model) => Some(model),
            Named::Unknown(near) => {
                let text = format!("there is no such model; similar: {}", near.join(", "));
                return Err(ApiError::invalid("model", text));
            }
        },
    };
    let (mode, thinking, fast) = (body.mode, body.thinking, body.fast);
    Ok(NewInput { mode, model, thinking, fast, attached, ..NewInput::chat(body.text) })
}

async fn say(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<SayBody>,
) -> Result<Response, ApiError> {
    let agent = ws.read(|snap| agent(snap, &name))?;
    let place = Place { ws: &ws, who: &who, agent: &agent, talk: None };
    say_at(place, once, body).await
}

async fn say_in(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<SessionId>,
    Json(body): Json<SayBody>,
) -> Result<Response, ApiError> {
    let session = ws.read(|snap| session(snap, &who, id))?;
    let agent = ws.read(|snap| snap.get::<Agent>(session.agent))?;
    let agent = agent.ok_or(RunError::NoAgent(session.agent))?;
    say_at(Place { ws: &ws, who: &who, agent: &agent, talk: Some(id) }, once, body).await
}

async fn say_at(place: Place<'_>, once: Once, body: SayBody) -> Result<Response, ApiError> {
    let (ws, who, spec) = (place.ws, place.who, place.spec()?);
    let expected = body.expected_leaf.clone();
    let new = new_input(ws, body).await?;
    let say = once.run(move |tx| -> Result<_, RunError> {
        if let Some(leaf) = &expected {
            let session = queries::session_by_key(tx, &spec.key)?;
            rules::talk::expect(session.as_ref(), leaf)?;
        }
        rules::talk::say(tx, spec, new)
    });
    let sent = ws.write(who, say).await?;
    answer(ws, sent)
}

async fn list_commands(_: Ws, _: Person) -> Json<CommandsOut> {
    let items = slash::COMMANDS.iter().map(|spec| CommandOut {
        name: spec.name,
        alias: spec.alias,
        arguments: spec.arguments,
        about: spec.about,
    });
    Json(CommandsOut { items: items.collect() })
}

async fn command(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<CommandBody>,
) -> Result<Json<DoneOut>, ApiError> {
    let agent = ws.read(|snap| agent(snap, &name))?;
    let place = Place { ws: &ws, who: &who, agent: &agent, talk: body.session };
    let done = commands::run(&place, NewInput::chat(body.text), None, once).await?;
    Ok(Json(match done {
        Done::Told(text) => DoneOut { answer: Some(text), anew: false, said: None },
        Done::Anew(text) => DoneOut { answer: Some(text), anew: true, said: None },
        Done::Said(sent) => DoneOut { answer: None, anew: false, said: Some(said_out(&ws, sent)?) },
    }))
}

async fn amend(
    ws: Ws,
    who: Person,
    once: Once,
    Path(id): Path<InputId>,
    Json(body): Json<AmendBody>,
) -> Result<Json<MessageOut>, ApiError> {
    let by = who.account;
    let amend = once.run(move |tx| rules::resend::amend(tx, id, by, &body.text));
    ws.write(&who, amend).await?;
    let input = ws.read(|snap| snap.get::<Input>(id))?;
    let input = input.ok_or_else(|| ApiError::not_found("This message"))?;
    Ok(Json(MessageOut::of(input)))
}

/// Sends a read message again, optionally with new text. `undone` states whether its effects were reverted.
///
/// # Errors
/// The message is unread or may not be sent again.
pub async fn resent(
    ws: &Ws,
    who: &Person,
    message: (InputId, Option<String>, Option<String>),
    undone: bool,
    once: Once,
) -> Result<Response, ApiError> {
    let id = message.0;
    let input = ws.read(|snap| snap.get::<Input>(id))?;
    if input.is_some_and(|input| !matches!(input.state, InputState::Consumed(_))) {
        return Err(RunError::Unread.into());
    }
    let sent = resending::once_more(ws, who, message, undone, once).await?;
    answer(ws, sent.ok_or(RunError::Unread)?)
}

async fn file_of(
    ws: Ws,
    who: Person,
    headers: HeaderMap,
    Path2(message, n): Path2<InputId, usize>,
) -> Result<Response, PageError> {
    let file = attach::of_message(&ws, &who, (message, n))?;
    file::serve(&ws, (&file.name, file.blob), Show::Download, &headers).await
}

async fn say_to_run(
    ws: Ws,
    who: Person,
    once: Once,
    Path(name): Path<String>,
    Json(body): Json<SayBody>,
) -> Result<Response, ApiError> {
    let run = super::find(&ws, &who, &name)?;
    let expected = body.expected_leaf.clone();
    let new = new_input(&ws, body).await?;
    let say = once.run(move |tx| -> Result<_, RunError> {
        if let Some(leaf) = &expected {
            rules::talk::expect(tx.get::<Session>(run.session)?.as_ref(), leaf)?;
        }
        rules::talk::say_to_run(tx, run.id, new)
    });
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
