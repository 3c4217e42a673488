//! Sending a message on the chat page: text, files, commands. An error is shown above the text field, which keeps its
//! text.

use askama::Template;
use axum::extract::{FromRequest as _, FromRequestParts as _, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use crate::runs::attach;
use crate::runs::commands::{self, Done, Place};
use crate::runs::resending;
use app::{App, Ws};
use features::runs::model::{Attachment, MAX_ATTACHED, MAX_ATTACHED_BYTES};
use features::runs::rules::NewInput;
use kernel::{InputId, ProblemKind, QueueMode, SessionId};
use web::error::{Failure, PageError};
use web::extract::{Form, Path, Path2, Query};
use web::file::{self, Show};
use web::form::sentence;
use web::html::{self, SafeHtml};
use web::hx::{Ask, Hx};
use web::idempotency::Once;
use web::md;
use web::session::Person;
use web::shell::Shell;
use web::upload;

use super::acts::Said;
use super::chat::{self, find};
use super::place::{Spot, address, talk_of};
use super::queue;

/// The notice above the text field: output of a command, or why a message was not sent.
#[derive(Default, Template)]
#[template(path = "chat/_answer.html")]
pub(super) struct Answer {
    /// Tone; empty for no notice.
    pub tone: &'static str,
    pub html: SafeHtml,
    /// The typed text, for a page without script.
    pub typed: String,
}

impl Answer {
    fn info(text: &str) -> Self {
        Self { tone: "info", html: md::plain(text), typed: String::new() }
    }

    fn wrong(text: &str, draft: String) -> Self {
        Self { tone: "danger", html: md::plain(&sentence(text)), typed: draft }
    }
}

struct Sent {
    body: String,
    mode: Option<QueueMode>,
    leaf: Option<String>,
    key: String,
    attached: Vec<Attachment>,
}

impl Sent {
    /// The idempotency key, which recognises a repeated submission or a retry after a lost response.
    fn once(&self, who: &Person, slug: &str, talk: Option<SessionId>) -> Once {
        let mode = self.mode.map(QueueMode::word).unwrap_or_default();
        let files: Vec<String> = self.attached.iter().map(|file| file.blob.to_string()).collect();
        let files = files.join(" ");
        let content = [self.body.as_str(), mode, files.as_str()];
        let scope = match talk {
            Some(talk) => format!("chat {slug} {talk}"),
            None => format!("chat {slug}"),
        };
        Once::of_form(who, &scope, &self.key, &content)
    }
}

/// Parses a form with or without files.
async fn sent(app: &App, ws: &Ws, request: Request) -> Result<Sent, PageError> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("multipart/")) {
        let Form(message) = Form::<Said>::from_request(request, &()).await?;
        let mode = queue::mode_of(&message.mode)?;
        let leaf = Some(message.leaf).filter(|leaf| !leaf.is_empty());
        return Ok(Sent { body: message.body, mode, leaf, key: message.key, attached: Vec::new() });
    }
    let (parts, body) = request.into_parts();
    let limit = app.config.limits.upload_bytes().min(MAX_ATTACHED_BYTES);
    let form = upload::form_with_fields(ws, (&parts.headers, body), MAX_ATTACHED, limit).await?;
    let (fields, files) = form;
    let mut message = Sent {
        body: String::new(),
        mode: None,
        leaf: None,
        key: String::new(),
        attached: attach::all(ws, files).await?,
    };
    for (name, value) in fields {
        match name.as_str() {
            "body" => message.body = value,
            "mode" => message.mode = queue::mode_of(&value)?,
            "key" => message.key = value,
            "leaf" => message.leaf = Some(value).filter(|leaf| !leaf.is_empty()),
            _ => {}
        }
    }
    Ok(message)
}

/// Context of a response.
struct Answering<'p> {
    place: Place<'p>,
    hx: &'p Hx,
    /// For a page without script.
    shell: Option<Shell>,
}

impl Answering<'_> {
    /// Shows an error that concerns the input; returns any other error.
    fn refused(self, failure: Failure, draft: String) -> Result<Response, PageError> {
        let of_sender = matches!(
            failure.kind,
            ProblemKind::Invalid
                | ProblemKind::Conflict
                | ProblemKind::TooLarge
                | ProblemKind::Limited
        );
        match of_sender {
            true => self.answer(failure.status(), Answer::wrong(&failure.detail, draft)),
            false => Err(PageError(failure)),
        }
    }

    /// Responds with the notice, or with a page that contains it.
    fn answer(self, status: StatusCode, answer: Answer) -> Result<Response, PageError> {
        if let Some(shell) = self.shell {
            return chat::page_with(&self.place, shell, (status, answer));
        }
        // Resynchronise the page, in case its stream is interrupted.
        let all = serde_json::json!({ "target": "body" });
        let ask = Ask::new().retarget("#chat-answer").reswap("outerMorph").event("hq:resync", all);
        Ok((ask, html::fragment_with::<_, PageError>(status, &answer)?).into_response())
    }
}

/// `POST /agents/{slug}/chat`
pub(super) async fn say(
    app: App,
    ws: Ws,
    who: Person,
    Path(slug): Path<String>,
    Query(Spot { talk }): Query<Spot>,
    request: Request,
) -> Result<Response, PageError> {
    let (mut parts, body) = request.into_parts();
    let hx = Hx::from_headers(&parts.headers);
    let shell = match hx.is_partial() {
        true => None,
        false => Some(Shell::from_request_parts(&mut parts, &app).await?),
    };
    let agent = find(&ws, &slug)?;
    let place = Place { ws: &ws, who: &who, agent: &agent, talk };
    let answering = Answering { place, hx: &hx, shell };
    let sent = match sent(&app, &ws, Request::from_parts(parts, body)).await {
        Ok(sent) => sent,
        Err(error) => return answering.refused(error.0, String::new()),
    };
    let once = sent.once(&who, &slug, talk);
    let Sent { body, mode, leaf, attached, .. } = sent;
    let new = NewInput { mode, attached, ..NewInput::chat(body.clone()) };
    match commands::run(&answering.place, new, leaf, once).await {
        Ok(Done::Said(_)) => chat::back(&ws, &who, answering.hx, (&agent, talk)),
        Ok(Done::Told(text)) => answering.answer(StatusCode::OK, Answer::info(&text)),
        Ok(Done::Anew(_)) => Ok(hx.go_to(&address(&ws, &slug, talk))),
        Err(error) => answering.refused(Failure::of(&error), body),
    }
}

/// The form of an edited message.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Resaid {
    /// The new text.
    pub body: String,
    /// The last message, as the page showed it.
    pub leaf: String,
    /// Key that identifies a repeated submission.
    pub key: String,
    /// Non-empty to undo the effects after the message first.
    pub undo: String,
}

/// A parsed form about a message; with the shell for a page without script.
pub type Came = (Hx, Option<Shell>, Resaid);

/// Parses a form about a message.
pub async fn read_again(app: &App, request: Request) -> Result<Came, PageError> {
    let (mut parts, body) = request.into_parts();
    let hx = Hx::from_headers(&parts.headers);
    let shell = match hx.is_partial() {
        true => None,
        false => Some(Shell::from_request_parts(&mut parts, app).await?),
    };
    let request = Request::from_parts(parts, body);
    let Form(form) = Form::<Resaid>::from_request(request, &()).await?;
    Ok((hx, shell, form))
}

/// `POST /agents/{slug}/chat/{input}/again`: sends the same text again for another response.
pub(super) async fn resend(
    app: App,
    ws: Ws,
    who: Person,
    Path2(slug, input): Path2<String, InputId>,
    request: Request,
) -> Result<Response, PageError> {
    let came = read_again(&app, request).await?;
    say_again(&ws, &who, (&slug, input), came, (None, false)).await
}

/// Sends a message again, optionally with new text. A waiting message is changed in place; for a read one, the
/// conversation branches. `undone` states whether its effects were reverted.
///
/// # Errors
/// The agent or the message does not exist.
pub async fn say_again(
    ws: &Ws,
    who: &Person,
    (slug, input): (&str, InputId),
    (hx, shell, form): Came,
    (text, undone): (Option<String>, bool),
) -> Result<Response, PageError> {
    let agent = find(ws, slug)?;
    let talk = talk_of(ws, who, &agent, input)?;
    let answering = Answering { place: Place { ws, who, agent: &agent, talk }, hx: &hx, shell };
    let message = input.to_string();
    let content = [message.as_str(), text.as_deref().unwrap_or_default()];
    let once = Once::of_form(who, "chat message", &form.key, &content);
    let leaf = Some(form.leaf).filter(|leaf| !leaf.is_empty());
    match resending::once_more(ws, who, (input, text, leaf), undone, once).await {
        Ok(_) => chat::back(ws, who, &hx, (&agent, talk)),
        Err(error) => answering.refused(Failure::of(&error), String::new()),
    }
}

/// `GET /messages/{message}/files/{n}`: a file of a message, inline where that is safe.
pub(super) async fn file(
    ws: Ws,
    who: Person,
    headers: HeaderMap,
    Path2(message, n): Path2<InputId, usize>,
) -> Result<Response, PageError> {
    let file = attach::of_message(&ws, &who, (message, n))?;
    file::serve(&ws, (&file.name, file.blob), Show::InPlace, &headers).await
}
