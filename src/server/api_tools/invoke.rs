//! `POST /tools/invoke`: one tool call as plain JSON, with a dry run.

use axum::Extension;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use web::error::{ApiError, Failure};
use web::extract;
use web::session::Frozen;

use super::{ApiTool, Given, Sender, Shared};

/// Maximum size of a body in bytes.
const MAX_BODY: usize = 2 * 1024 * 1024;
/// Names that other programs give to tools that run programs, change files or reach past the workspace. They answer as
/// unknown even if a tool gets such a name one day.
const DENIED: [&str; 17] = [
    "exec",
    "spawn",
    "shell",
    "fs_write",
    "fs_delete",
    "fs_move",
    "apply_patch",
    "sessions_spawn",
    "sessions_send",
    "cron",
    "gateway",
    "nodes",
    "write",
    "edit",
    "process",
    "browser.evaluate",
    "message",
];
/// The conversation and the agent that callers may name: the default of programs that have several. A call acts for
/// the owner of the token, so no other can be meant.
const MAIN: &str = "main";

/// A call of a tool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Invocation {
    /// The tool. Wins over `tool`.
    name: Option<String>,
    /// The tool.
    tool: Option<String>,
    /// Becomes the argument `action` if the tool has one.
    action: Option<String>,
    /// The arguments.
    args: Map<String, Value>,
    /// Only `main`: a call acts for the owner of the token and belongs to no conversation.
    session_key: Option<String>,
    /// Only `main`: a call acts for the owner of the token, not for an agent.
    agent_id: Option<String>,
    /// A repeat within 24 hours returns the first result.
    idempotency_key: Option<String>,
    /// Checks arguments and rights, and changes nothing.
    dry_run: bool,
}

pub(super) async fn invoke(
    Extension(tools): Extension<Shared>,
    request: Request,
) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let sender = Sender::of(&parts)?;
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        let text = "send at most 2 MiB of JSON, and all of it";
        return Ok(refuse(StatusCode::PAYLOAD_TOO_LARGE, "too_large", text));
    };
    let asked: Invocation = match extract::object(&body) {
        Ok(asked) => asked,
        Err(misfit) => {
            let text = match misfit.field.is_empty() {
                true => misfit.message,
                false => format!("{}: {}", misfit.field, misfit.message),
            };
            return Ok(refuse(StatusCode::BAD_REQUEST, "invalid_request", &text));
        }
    };
    for (field, named) in [("sessionKey", &asked.session_key), ("agentId", &asked.agent_id)] {
        if named.as_deref().is_some_and(|named| !named.is_empty() && named != MAIN) {
            let text = format!("{field} must be omitted: a call acts for the owner of the token");
            return Ok(refuse(StatusCode::BAD_REQUEST, "unsupported", &text));
        }
    }
    let Some(name) = asked.name.as_ref().or(asked.tool.as_ref()) else {
        return Ok(refuse(StatusCode::BAD_REQUEST, "invalid_request", "name is missing"));
    };
    let tool = tools.named(name).filter(|_| !DENIED.contains(&name.as_str()));
    let Some(tool) = tool.filter(|tool| asked.dry_run || sender.may(tool)) else {
        let text = format!("there is no tool {name} for this token");
        return Ok(refuse(StatusCode::NOT_FOUND, "tool_not_found", &text));
    };
    let mut arguments = asked.args;
    if let Some(action) = asked.action
        && tool.arguments.schema["properties"]["action"].is_object()
    {
        arguments.insert("action".to_owned(), Value::String(action));
    }
    if asked.dry_run {
        return Ok(succeed(&verdict(&sender, tool, &arguments)));
    }
    let given = Given { arguments, key: asked.idempotency_key };
    let outcome = match tools.call(&sender, tool, given).await {
        Ok(outcome) => outcome,
        Err(ApiError(failure)) => return Ok(refuse_with(&failure)),
    };
    if outcome.is_success() {
        return Ok(succeed(&outcome.value));
    }
    Ok(refuse(plain(outcome.status), outcome.code(), &outcome.reason()))
}

/// What a call would meet, and the rule that decides. Records that the arguments name are not looked up.
fn verdict(sender: &Sender<'_>, tool: &ApiTool, arguments: &Map<String, Value>) -> Value {
    let errors = tool.arguments.check(arguments);
    let reads = tool.method == Method::GET;
    let is_frozen = !reads && sender.parts.extensions.get::<Frozen>().is_some();
    let module = tool.module(&sender.off());
    let (verdict, rule) = match module {
        _ if !sender.may(tool) => ("deny", format!("permission {}", tool.can.word())),
        _ if is_frozen => ("deny", "closed workspace".to_owned()),
        Some(module) => ("deny", format!("module {}", module.word)),
        None => ("allow", format!("permission {}", tool.can.word())),
    };
    json!({
        "dryRun": true,
        "tool": tool.name(),
        "verdict": verdict,
        "rule": rule,
        "valid": errors.is_empty(),
        "errors": errors,
    })
}

fn succeed(result: &Value) -> Response {
    axum::Json(json!({ "ok": true, "result": result })).into_response()
}

fn refuse(status: StatusCode, kind: &str, message: &str) -> Response {
    let body = json!({ "ok": false, "error": { "type": kind, "message": message } });
    (status, axum::Json(body)).into_response()
}

fn refuse_with(failure: &Failure) -> Response {
    refuse(plain(failure.status()), &failure.code, &failure.detail)
}

/// Invalid arguments are 400 here.
fn plain(status: StatusCode) -> StatusCode {
    match status {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        other => other,
    }
}
