//! The OpenAI-compatible API. The model name `hq/<agent>` selects an agent.
//!
//! A request becomes a queued input of a session, and a run answers it, exactly as with a chat message. One write
//! creates the session, the input and the run. The response is read from the session once the store reports that the
//! run has ended. With an `Idempotency-Key` only one run is started: a repeat waits for that run or gets its answer.
//! Mounted at `/v1`.

mod activity;
mod content;
mod demand;
mod embeddings;
mod error;
mod form;
mod request;
mod responses;
mod resume;
mod stream;
mod talk;
mod turn;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use app::Ws;
use features::agents::model::Agent;
use features::agents::queries as people;
use features::agents::queries::elsewhere;
use features::connections::queries as connections;
use features::connections::queries::named::{self, Named};
use features::connections::queries::vectors;
use features::runs::model::{AnswerForm, Demand, Run, Session};
use features::runs::queries::choice::{MessageOptions, in_session};
use features::runs::queries::{self, talk as own};
use features::runs::rules::{self, NewInput, RunError, SessionSpec};
use kernel::{AgentId, Can, InputId, RunId, RunTrigger, Thinking};
use store::{Range, Read, ReadExt, StoreError, WriteTx};
use web::extract::Path;
use web::idempotency::{Once, OnceFile};
use web::routes::{Doc, Needs, Routes};
use web::session::{Alive, Person};

pub use error::shape_errors;

use activity::Activity;
use embeddings::{EmbeddingsList, EmbeddingsRequest};
use error::ChatError;
use form::{Chat, Form, Head};
use request::ChatRequest;
use responses::{ResponsesRequest, no_response};
use stream::Telling;
use talk::{Remembers, Talk, Target, Thread, header, unknown_model};
use turn::{StopOnDrop, Turn};

/// Size limit of a request body, in bytes.
const MAX_BODY: usize = 20 * 1024 * 1024;

#[must_use]
pub fn routes() -> Routes {
    Routes::new()
        .post(
            "/chat/completions",
            complete.needs(Can::Chat).doc(|| {
                Doc::new("Ask an agent in the OpenAI API format")
                    .body::<ChatRequest>()
                    .media("application/json")
                    .media("text/event-stream")
            }),
        )
        .post(
            "/responses",
            respond.needs(Can::Chat).doc(|| {
                Doc::new("Ask an agent in the Responses API format")
                    .body::<ResponsesRequest>()
                    .media("application/json")
                    .media("text/event-stream")
            }),
        )
        .post(
            "/embeddings",
            embed.needs(Can::Chat).doc(|| {
                Doc::new("Embed texts in the OpenAI API format")
                    .body::<EmbeddingsRequest>()
                    .returns::<EmbeddingsList>()
                    .no_key("nothing is stored")
            }),
        )
        .get(
            "/models",
            models.needs(Can::Read).doc(|| {
                Doc::new("List agents as models in the OpenAI API format").returns::<ModelList>()
            }),
        )
        .get(
            "/models/{*id}",
            model.needs(Can::Read).doc(|| Doc::new("One agent as a model").returns::<Model>()),
        )
        .wrap(|route| route.layer(DefaultBodyLimit::max(MAX_BODY)))
}

/// An agent as a model.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
struct Model {
    /// `hq`, `hq/default` or `hq/<agent>`.
    id: String,
    /// Always `model`.
    object: &'static str,
    /// When the agent was made, in seconds since 1970.
    created: i64,
    /// Always `hq`.
    owned_by: &'static str,
}

impl Model {
    fn of(id: String, agent: &Agent) -> Self {
        Self { id, object: "model", created: agent.created_at.as_second(), owned_by: "hq" }
    }
}

/// All agents as models.
#[derive(Debug, Serialize, JsonSchema)]
struct ModelList {
    /// Always `list`.
    object: &'static str,
    /// The models.
    data: Vec<Model>,
}

/// Agents that are not archived, oldest first.
fn agents(ws: &Ws) -> Result<Vec<Agent>, StoreError> {
    let all: Vec<Agent> = ws.read(|snap| snap.list(&Range::all()))?;
    Ok(all.into_iter().filter(|agent| agent.archived_at.is_none()).collect())
}

fn list(ws: &Ws) -> Result<Vec<Model>, StoreError> {
    let agents = agents(ws)?;
    let first = agents.first().into_iter();
    let first = first.flat_map(|agent| ["hq", "hq/default"].map(|id| Model::of(id.into(), agent)));
    let named = agents.iter().map(|agent| Model::of(format!("hq/{}", agent.slug), agent));
    Ok(first.chain(named).collect())
}

async fn embed(ws: Ws, body: Bytes) -> Result<Response, ChatError> {
    let request = EmbeddingsRequest::read(&body)?;
    let name = request.model();
    let far = ws.read(|snap| vectors::chosen(snap))?;
    if !embeddings::is_own(&ws, far.as_ref(), name) {
        let is_known = match Target::of(name) {
            Ok(Target::Default) => true,
            Ok(target) => match find(&ws, &target, name) {
                Err(error) if error.status == StatusCode::NOT_FOUND => false,
                found => found.map(|_| true)?,
            },
            Err(_) => false,
        };
        if !is_known {
            return Err(embeddings::unknown(&ws, far.as_ref(), name));
        }
    }
    embeddings::embed(&ws, far, request).await
}

async fn models(ws: Ws) -> Result<Response, ChatError> {
    let data = list(&ws)?;
    Ok(axum::Json(ModelList { object: "list", data }).into_response())
}

async fn model(ws: Ws, Path(id): Path<String>) -> Result<Response, ChatError> {
    let (target, name) = (Target::of(&id)?, id);
    let agent = find(&ws, &target, &name)?;
    Ok(axum::Json(Model::of(name, &agent)).into_response())
}

/// Resolves a target to an agent that is not archived.
fn find(ws: &Ws, target: &Target, model: &str) -> Result<Agent, ChatError> {
    let found = match target {
        Target::Default => agents(ws)?.into_iter().next(),
        Target::Named(name) => ws.read(|snap| match name.parse::<AgentId>() {
            Ok(id) => snap.get::<Agent>(id),
            Err(_) => people::by_slug(snap, name),
        })?,
    };
    match found.filter(|agent| agent.archived_at.is_none()) {
        Some(agent) => Ok(agent),
        None if *target == Target::Default => {
            let text = "this workspace has no agent yet; create one first";
            Err(ChatError::new(StatusCode::NOT_FOUND, "no_agent", text))
        }
        None => Err(unknown_model(model)),
    }
}

/// A request, independent of its format.
struct Question {
    /// The model name as requested.
    model: String,
    /// The client's `user` field.
    user: Option<String>,
    /// The run of the previous response.
    previous: Option<RunId>,
    talk: Talk,
    /// Requested tools, limits and output format.
    demand: Option<Demand>,
    /// The field that sets the output format, for errors.
    form: &'static str,
    thinking: Option<Thinking>,
    /// Whether the response is streamed.
    streams: bool,
    /// Whether the run continues after the client disconnects.
    stays: bool,
}

/// A request that was queued. Stored so that a repeat with the same key finds it.
#[derive(Serialize, Deserialize)]
struct PlacedRequest {
    /// The queued message.
    input: InputId,
    run: RunId,
    /// The first event of the run that belongs to the response, and the number of model calls before it.
    since: (u32, u32),
    /// Whether the run ends when the client disconnects, because the session was made for this call only.
    bound: bool,
    /// The id of the response.
    name: String,
    /// Time of the request, in Unix seconds.
    created: i64,
}

impl TryFrom<&ChatRequest> for Question {
    type Error = ChatError;

    fn try_from(request: &ChatRequest) -> Result<Self, ChatError> {
        Ok(Self {
            model: request.model.clone(),
            user: request.user.clone(),
            previous: None,
            talk: request.talk()?,
            demand: request.demand()?,
            form: "response_format",
            thinking: request.thinking()?,
            streams: request.streams(),
            stays: false,
        })
    }
}

impl TryFrom<&ResponsesRequest> for Question {
    type Error = ChatError;

    fn try_from(request: &ResponsesRequest) -> Result<Self, ChatError> {
        Ok(Self {
            model: request.model.clone(),
            user: request.user.clone(),
            previous: request.previous()?,
            talk: request.talk()?,
            demand: request.demand()?,
            form: "text.format",
            thinking: request.thinking()?,
            streams: request.streams(),
            stays: false,
        })
    }
}

async fn complete(
    ws: Ws,
    who: Person,
    alive: Alive,
    once: OnceFile,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ChatError> {
    let request = ChatRequest::read(&body)?;
    let question = Question::try_from(&request)?;
    let (once, usage) = (once.with_body(&body), request.wants_usage());
    answer(ws, (who, alive), &headers, once, question, |head| Box::new(Chat::new(head, usage)))
        .await
}

async fn respond(
    ws: Ws,
    who: Person,
    alive: Alive,
    once: OnceFile,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ChatError> {
    let request = ResponsesRequest::read(&body)?;
    let (once, question) = (once.with_body(&body), Question::try_from(&request)?);
    answer(ws, (who, alive), &headers, once, question, |head| Box::new(request.form(head))).await
}

/// Queues the request, waits for the run and responds in the format that `form` creates.
async fn answer(
    ws: Ws,
    (who, alive): (Person, Alive),
    headers: &HeaderMap,
    once: Once,
    mut question: Question,
    form: impl FnOnce(Head) -> Box<dyn Form>,
) -> Result<Response, ChatError> {
    if ws.app.closing.is_cancelled() {
        return Err(turn::closing());
    }
    let keyed = once.is_keyed();
    // A client with a key repeats the request after a broken connection.
    question.stays = keyed || header(headers, "detach") == Some("true");
    // Subscribe before queueing the request, so that no part of the response is missed.
    let (entries, pieces) = (ws.store.subscribe(), ws.live.subscribe());
    let tells = question.streams && header(headers, "events") == Some("tools");
    let steps = tells.then(|| ws.store.subscribe());
    let accounts = ws.app.system.watch();
    let placed = match asked_before(&ws, &once)? {
        Some(placed) => placed,
        None => begin(&ws, &who, headers, once, &mut question).await?,
    };
    let PlacedRequest { input, run, since, bound, name, created } = placed;
    let mut guard = bound.then(|| StopOnDrop::new(ws.clone(), who.clone(), run));
    let form = form(Head { id: name, created, model: question.model });
    let demand = question.demand.unwrap_or_default();
    let (takes_calls, wants_calls) = (!demand.offered().is_empty(), demand.must_call());
    let formed = demand.form().is_some();
    let activity = match steps {
        Some(steps) => Activity::of(&ws, (run, since.0), demand, steps)?,
        None => None,
    };
    let mut turn = Turn {
        ws,
        input,
        run,
        since,
        keyed,
        unseen: keyed,
        takes_calls,
        wants_calls,
        sent_step: None,
        entries,
        accounts,
        alive,
    };
    turn.check()?;
    if question.streams {
        return Ok(stream::answer(Telling { turn, pieces, form, guard, activity, formed }));
    }
    drop(pieces);
    let ended = turn.ended().await?;
    if let Some(guard) = &mut guard {
        guard.disarm();
    }
    let answer = turn.answer(&ended)?;
    Ok(axum::Json(form.whole(&answer)).into_response())
}

/// Finds the earlier request with the same key.
///
/// # Errors
/// The earlier request was different, or its run no longer exists.
fn asked_before(ws: &Ws, once: &Once) -> Result<Option<PlacedRequest>, ChatError> {
    let found = ws.read(|snap| -> Result<_, StoreError> {
        let Some(placed) = once.answered::<PlacedRequest>(snap)? else { return Ok(None) };
        let is_there = snap.get::<Run>(placed.run)?.is_some();
        Ok(Some((placed, is_there)))
    })?;
    match found {
        Some((_, false)) => {
            let text = "the request with this Idempotency-Key is no longer stored; use a new key";
            Err(ChatError::new(StatusCode::CONFLICT, "no_answer_kept", text))
        }
        found => Ok(found.map(|(placed, _)| placed)),
    }
}

/// Selects the agent and the session and queues the request.
async fn begin(
    ws: &Ws,
    who: &Person,
    headers: &HeaderMap,
    once: Once,
    question: &mut Question,
) -> Result<PlacedRequest, ChatError> {
    let target = match header(headers, "agent-id") {
        Some(agent) => Target::Named(agent.to_owned()),
        None => Target::of(&question.model)?,
    };
    let agent = find(ws, &target, &question.model)?;
    if let Some(reason) = ws.read(|snap| rules::held(snap, &agent))? {
        let why = match reason {
            "workspace_paused" => "all work is paused until someone resumes it".to_owned(),
            other => other.replace('_', " "),
        };
        let text = format!("{} can't answer now: {why}", agent.name);
        return Err(ChatError::new(StatusCode::SERVICE_UNAVAILABLE, reason, text));
    }
    if let Some(place) = ws.read(|snap| elsewhere::silent(ws, snap, agent.id))? {
        // API clients do not wait for a silent host. In the chat, a person's message is stored until the host is back.
        let text = format!(
            "{} works on {}, which isn't responding; ask again when it is back",
            agent.name, place.label
        );
        return Err(ChatError::new(StatusCode::SERVICE_UNAVAILABLE, "gateway_offline", text));
    }
    let thread = match question.previous {
        Some(run) => Thread::After(run),
        None => {
            let user = question.user.as_deref();
            Thread::of(header(headers, "session-key"), user, who.account)?
        }
    };
    let model = match header(headers, "model") {
        Some(name) => Some(chosen(ws, who, name)?),
        None => None,
    };
    match resume::go_on(ws, who, &agent, once.clone(), question).await? {
        Some(placed) => Ok(placed),
        None => ask(ws, who, &agent, once, (&thread, model), question).await,
    }
}

/// The model override of a request. Requires `Can::Agents` and an existing model.
fn chosen(ws: &Ws, who: &Person, name: &str) -> Result<String, ChatError> {
    if !who.access.may(Can::Agents) {
        let text = "only people who manage agents can choose a model; omit `x-hq-model`";
        return Err(ChatError::new(StatusCode::FORBIDDEN, "forbidden", text));
    }
    match ws.read(|snap| named::model(snap, name))? {
        Named::Known(model) => Ok(model),
        Named::Unknown(near) => {
            let hint = match near.as_slice() {
                [] => String::new(),
                near => format!("; similar: {}", near.join(", ")),
            };
            let text = format!("`x-hq-model`: there is no model {name} here{hint}");
            Err(ChatError::new(StatusCode::BAD_REQUEST, "model_not_found", text))
        }
    }
}

/// Queues the request in its session, in one write.
async fn ask(
    ws: &Ws,
    who: &Person,
    agent: &Agent,
    once: Once,
    (thread, model): (&Thread, Option<String>),
    question: &mut Question,
) -> Result<PlacedRequest, ChatError> {
    let slug = &agent.slug;
    let key = match thread {
        Thread::Single => {
            let id = ws.app.ids.next(ws.app.clock.now_ms());
            format!("agent:{slug}:explicit:{id}")
        }
        Thread::Shared(name) => format!("agent:{slug}:explicit:{name}"),
        Thread::Own => ws.read(|snap| own::own_key(snap, agent, who.account, who.role))?,
        Thread::After(run) => {
            let key = ws.read(|snap| session_of(snap, *run, agent, who))?;
            key.ok_or_else(|| no_response(&run.to_string()))?
        }
    };
    let known = match thread {
        Thread::Single => None,
        _ => ws.read(|snap| queries::session_by_key(snap, &key))?,
    };
    if let Some(wanted) = question.demand.as_ref().and_then(Demand::form) {
        let options = (question.form, wanted);
        takes_form(ws, agent, (known.as_ref(), model.as_deref()), options)?;
    }
    let remembers = match known.is_some_and(|session| 0 < session.events) {
        true => Remembers::Everything,
        false => Remembers::Nothing,
    };
    question.talk.spill(remembers);
    let before = match remembers {
        Remembers::Everything => Vec::new(),
        Remembers::Nothing => question.talk.before(),
    };
    let clean = |text: &str| ws.app.redactor.text(text).into_owned();
    let before = before.into_iter().map(|one| one.cleaned(clean)).collect();
    let text = question.talk.input(remembers)?;
    let attached = content::keep(ws, question.talk.take_files()).await?;
    let (demand, thinking) = (question.demand.clone(), question.thinking);
    let spec = SessionSpec { agent: agent.id, key, owner: Some(who.account), task: None };
    let trigger = RunTrigger::Api;
    let new = NewInput { trigger, model, attached, demand, thinking, ..NewInput::chat(text) };
    let bound = *thread == Thread::Single && !question.stays;
    let created = ws.app.clock.now().as_second();
    let say = once.run(move |tx: &mut WriteTx<'_>| -> Result<_, RunError> {
        let sent = rules::talk::say_after(tx, spec, before, new)?;
        rules::client::bind(tx, sent.run, bound)?;
        let (input, run, name) = (sent.message, sent.run, sent.run.to_string());
        Ok(PlacedRequest { input, run, since: (0, 0), bound, name, created })
    });
    Ok(ws.write(who, say).await?)
}

/// Rejects an output format that the selected model does not support.
fn takes_form(
    ws: &Ws,
    agent: &Agent,
    (session, model): (Option<&Session>, Option<&str>),
    (param, form): (&str, &AnswerForm),
) -> Result<(), ChatError> {
    let wish = MessageOptions { model, thinking: None };
    let choice = ws.read(|snap| in_session(snap, session, agent, None, wish))?;
    // ok: the run reports why a connection cannot be used.
    let Ok(provider) = connections::with_key(ws, choice.connection, 0) else { return Ok(()) };
    if provider.takes_format(&choice.model, &connections::format_of(form)) {
        return Ok(());
    }
    let kind = if form.schema.is_some() { "json_schema" } else { "json_object" };
    let text = format!(
        "`{param}`: {} doesn't support {kind} over {}; describe the format in the message instead",
        choice.model,
        provider.name()
    );
    Err(ChatError::invalid(param, text))
}

/// The key of the session in which this run answered an API request of this person to this agent.
fn session_of(
    snap: &dyn Read,
    run: RunId,
    agent: &Agent,
    who: &Person,
) -> Result<Option<String>, StoreError> {
    let Some(run) = snap.get::<Run>(run)? else { return Ok(None) };
    let session = snap.get::<Session>(run.session)?;
    let explicit = format!("agent:{}:explicit:", agent.slug);
    let own = session.filter(|session| {
        session.agent == agent.id
            && session.owner == Some(who.account)
            && session.key.starts_with(&explicit)
    });
    Ok(own.map(|session| session.key))
}
