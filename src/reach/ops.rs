//! Operations that talk to a server: test, log and call. They run outside of a transaction.

use std::time::Duration;

use app::Ws;
use kernel::{Error, ProblemKind};
use kit::{OpCx, Prepared, Reply};
use mcp::client::McpError;
use mcp::schema::Checker;
use serde_json::{Map, Value, json};
use store::{Read, WriteTx};
use tokio_util::sync::CancellationToken;

use crate::model::{McpServer, Mode};
use crate::pool::{Fault, Pool, Target};
use crate::{names, queries, result};

/// Longest wait for a server, also for the download of its program.
const PATIENCE: Duration = Duration::from_secs(180);
const LATE: McpError = McpError::Timeout { was_sent: true, limit: PATIENCE };

fn unavailable(message: impl Into<String>) -> Error {
    Error::new(ProblemKind::Unavailable, "mcp_unavailable", message)
}

pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Error {
    Error::new(ProblemKind::Conflict, code, message)
}

/// The error that people see for a call without a result.
fn failed(ws: &Ws, fault: &Fault, mode: Mode) -> Error {
    match fault {
        Fault::Call(error) if may_have_acted(error) && mode == Mode::Acts => {
            let text = result::outcome_unknown(error);
            Error::new(
                ProblemKind::Unavailable,
                "mcp_outcome_unknown",
                result::brief(&ws.app.redactor, &text),
            )
        }
        fault => unavailable(result::brief(&ws.app.redactor, &fault.describe())),
    }
}

/// An answered error is an outcome.
fn may_have_acted(error: &McpError) -> bool {
    error.was_sent() && !matches!(error, McpError::Rpc(_))
}

/// Waits for a server on this blocking thread. `late` is the error if it takes too long.
pub(crate) fn wait<T>(call: impl Future<Output = T>, late: Error) -> Result<T, Error> {
    let handle = tokio::runtime::Handle::try_current();
    // ok: without a runtime HQ is not running.
    let handle = handle.map_err(|_| unavailable("start HQ first"))?;
    let timed = handle.block_on(async { tokio::time::timeout(PATIENCE, call).await });
    timed.map_err(|_| late)
}

pub(crate) fn late() -> Error {
    unavailable("the server didn’t answer in three minutes; try again")
}

/// Connects and reads the tools. A server that is not reachable is a result, too.
pub fn probe(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let server = ws.read(|snap| cx.record::<McpServer>(snap))?;
    let pool = Pool::of(ws);
    let message = match wait(pool.probe(ws, server.id), late())? {
        Ok(count) => {
            let waiting = ws.read(|snap| waiting(snap, &server))?;
            let tools = if count == 1 { "1 tool".to_owned() } else { format!("{count} tools") };
            format!("{} answers and has {tools}{waiting}.", server.name)
        }
        Err(fault) => result::brief(&ws.app.redactor, &fault.describe()),
    };
    Ok(Box::new(json!({ "message": message })))
}

fn waiting(read: &dyn Read, server: &McpServer) -> Result<String, Error> {
    let tools = queries::tools(read, server.id)?;
    let open = tools.iter().filter(|tool| tool.approved().is_none() && !tool.is_missing).count();
    Ok(match open {
        0 => String::new(),
        open => format!("; {open} to review"),
    })
}

/// The JSON of the first step.
pub fn reply(_: &OpCx<'_>, _: &mut WriteTx<'_>, prepared: Prepared) -> Result<Reply, Error> {
    let lost = |_| Error::new(ProblemKind::Internal, "internal", "the result was lost");
    let answer = prepared.downcast::<Value>().map_err(lost)?;
    Ok(Reply::json(&answer))
}

pub fn log(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let (server, state) = ws.read(|snap| {
        let server = cx.record::<McpServer>(snap)?;
        let state = queries::state(snap, server.id)?;
        Ok::<_, Error>((server, state))
    })?;
    let status = Pool::of(ws).status(server.id);
    let mut lines = Vec::new();
    lines.push(if status.is_open { "Connected." } else { "Not connected now." }.to_owned());
    if !state.detail.is_empty() {
        lines.push(state.detail.clone());
    }
    if !state.era.is_empty() {
        lines.push(format!("Protocol: {}.", state.era));
    }
    if let Some(last) = &status.last {
        let how = if last.is_ok { "succeeded" } else { "failed" };
        lines.push(format!("Last call: {} at {}, {how}.", names::visible(&last.tool), last.at));
    }
    if let Some(p50) = status.p50 {
        lines.push(format!("Half of the calls take at most {} ms.", p50.as_millis()));
    }
    if 0 < status.ends {
        lines.push(format!("The program ended {} times in the last minutes.", status.ends));
    }
    if !status.log.trim().is_empty() {
        lines.push(format!("The program printed:\n{}", names::visible(&status.log)));
    }
    let text = result::clean(&ws.app.redactor, &lines.join("\n"));
    Ok(Box::new(json!({ "message": text })))
}

/// Calls an approved tool, with the same checks as for an agent.
pub fn call(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let name = cx.text("tool");
    let (target, definition) = ws.read(|snap| {
        let server = cx.record::<McpServer>(snap)?;
        let tool = queries::tool_meant(snap, server.id, ("tool", name))?;
        let target = Target::of(&tool, &server).ok_or_else(|| {
            let state = tool.state(&server).label().to_lowercase();
            conflict("mcp_tool_unapproved", format!("the tool can’t be called: it is {state}"))
        })?;
        Ok::<_, Error>((target, tool.definition))
    })?;
    let text = cx.text("arguments");
    let text = if text.is_empty() { "{}" } else { text };
    let wrong = |message: String| Error::field("arguments", web::form::sentence(&message));
    let mut arguments: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let definition: Value = serde_json::from_str(&definition).unwrap_or_default();
    let checker = Checker::new(&definition["inputSchema"]);
    let checker = checker.map_err(|error| conflict("mcp_tool_unusable", error.to_string()))?;
    checker.check_arguments(&mut arguments).map_err(|faults| wrong(faults.join("; ")))?;
    let pool = Pool::of(ws);
    let late = match target.mode {
        Mode::Reads => late(),
        Mode::Acts => failed(ws, &Fault::Call(LATE), target.mode),
    };
    let called = wait(pool.call(ws, &target, &arguments, &CancellationToken::new()), late)?;
    let answer = called.map_err(|fault| failed(ws, &fault, target.mode))?;
    let text = result::read(&answer);
    let redactor = &ws.app.redactor;
    let text = names::visible(&result::clean(redactor, &text));
    Ok(Box::new(json!({
        "message": kernel::text::ellipsis(&text, 20_000),
        "is_error": answer.is_error,
        "structured": answer.structured_content.map(|value| result::clean_json(redactor, value)),
    })))
}
