//! `POST /mcp`: the tools over the Model Context Protocol, without sessions.

use ::mcp::server::{About, Call, Headers, Host, HostError};
use ::mcp::wire::{CallResult, Content, Implementation, Tool};
use axum::Extension;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use interfaces_account::users::session::{self, Caller};
use kernel::ProblemKind;
use serde_json::Value;
use web::error::{ApiError, Failure};

use super::call::Outcome;
use super::{ApiTools, Given, Sender, Shared};

/// Maximum size of a message in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Field of `_meta` with an idempotency key for the operation.
const KEY: &str = "hq/idempotencyKey";

pub(super) async fn serve(
    Extension(tools): Extension<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&parts)?;
    // ok: too large or cut off; the text says both.
    let body = to_bytes(body, MAX_BODY).await.map_err(|_| {
        let text = "send a message of at most 1 MiB, and all of it";
        ApiError(Failure::new(ProblemKind::TooLarge, "bad_body", text))
    })?;
    let all = parts.headers.iter();
    let headers = Headers::read(all.map(|(name, value)| (name.as_str(), value.as_bytes())));
    let host = Tools { tools: &tools, sender };
    let answer = ::mcp::server::handle(&body, &headers, &host).await;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok(match answer.body {
        None => status.into_response(),
        Some(body) => {
            (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
        }
    })
}

/// The tools of one caller.
struct Tools<'r> {
    tools: &'r ApiTools,
    sender: Sender<'r>,
}

impl Host for Tools<'_> {
    fn about(&self) -> About {
        let server = Implementation {
            name: "hq".to_owned(),
            title: Some("HQ".to_owned()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let instructions = format!(
            "The workspace {} of HQ: its tasks, contacts, knowledge, routines and agents. Lists \
             return `next`; pass it as `after` for the next page. Give work to an agent with \
             task_create and `assignee`, or write to it with message_agent.",
            self.sender.ws.slug
        );
        About { server, instructions }
    }

    fn tools(&self) -> Vec<&Tool> {
        let off = self.sender.off();
        let all = self.tools.all().iter();
        all.filter(|tool| self.sender.possible.may(tool.can) && tool.module(&off).is_none())
            .map(|tool| &tool.definition)
            .collect()
    }

    fn call(&self, call: Call) -> BoxFuture<'_, Result<CallResult, HostError>> {
        async move {
            let tool = self.tools.named(&call.name).filter(|tool| self.sender.may(tool));
            let tool = tool.ok_or(HostError::UnknownTool)?;
            let key = call.meta.get(KEY).and_then(Value::as_str).map(str::to_owned);
            let given = Given { arguments: call.arguments, key };
            Ok(match self.tools.call(&self.sender, tool, given).await {
                Ok(outcome) => result(outcome),
                Err(error) => failed(error.0.detail),
            })
        }
        .boxed()
    }

    fn count(&self) -> Result<(), String> {
        let Some(caller) = self.sender.parts.extensions.get::<Caller>() else { return Ok(()) };
        session::count_further(&self.sender.ws.app, caller).map_err(|wait| {
            let seconds = wait.as_secs() + 1;
            format!("too many API calls; try again in {seconds} seconds")
        })
    }
}

/// The answer of a route as text, which every client shows, and as JSON.
fn result(outcome: Outcome) -> CallResult {
    if !outcome.is_success() {
        let mut result = failed(outcome.reason());
        result.structured_content = Some(outcome.value).filter(Value::is_object);
        return result;
    }
    let text = match &outcome.value {
        Value::Null => "Done".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    };
    let mut content = vec![Content::text(text)];
    // Models see the text of a result only.
    let tag = outcome.etag.as_deref().map(|tag| tag.trim_matches('"'));
    content.extend(tag.map(|tag| Content::text(format!("if_match: {tag}"))));
    let structured = Some(outcome.value).filter(|value| value.is_object() || value.is_array());
    CallResult { content, structured_content: structured, is_error: false }
}

fn failed(reason: String) -> CallResult {
    CallResult { content: vec![Content::text(reason)], is_error: true, ..CallResult::default() }
}
