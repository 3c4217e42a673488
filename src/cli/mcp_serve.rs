//! `hq mcp serve`: an MCP server on standard input and output. Each message goes to `POST /mcp` of HQ, so that programs
//! which start their servers themselves use the tools of a running HQ.

use std::io::{BufRead as _, Read as _, Write as _};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use clap::Subcommand;
use mcp::wire;
use serde_json::{Value, json};

use super::OK;
use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::{CommandError, words_of};

/// Longest message; HQ takes no longer ones.
const MAX_LINE: u64 = 1024 * 1024;
/// How long requests may take that are open when the input ends.
const LAST: Duration = Duration::from_secs(10);

/// The noun whose commands `serve` stands beside.
pub const BESIDE: &str = "mcp";

/// `hq mcp serve`, beside the commands of the noun.
#[derive(Subcommand)]
pub enum Command {
    /// Serve HQ's tools to another program over standard input and output (Model Context Protocol)
    Serve(Place),
}

pub async fn run(door: &Door, command: Command) -> Result<u8, CommandError> {
    let Command::Serve(place) = command;
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut reading = Box::pin(line());
    loop {
        tokio::select! {
            answer = answered(&mut open) => write(answer.as_ref())?,
            read = &mut reading => match read? {
                Line::End => break,
                Line::Long => {
                    let text = format!("a message has at most {MAX_LINE} bytes");
                    write(Some(&failure(None, wire::INVALID_REQUEST, &text)))?;
                    reading.set(line());
                }
                Line::Text(text) => {
                    take(door, &place, &text, &mut open)?;
                    reading.set(line());
                }
            },
        }
    }
    let rest = async {
        while !open.is_empty() {
            write(answered(&mut open).await.as_ref())?;
        }
        Ok(OK)
    };
    tokio::time::timeout(LAST, rest).await.unwrap_or(Ok(OK))
}

/// A request that HQ has not answered yet.
struct Open<'d> {
    /// Null for a notification.
    id: Value,
    answer: Pin<Box<dyn Future<Output = Option<Value>> + 'd>>,
}

/// Begins to pass on a message, or ends the request that it cancels.
fn take<'d>(
    door: &'d Door,
    place: &Place,
    text: &[u8],
    open: &mut Vec<Open<'d>>,
) -> Result<(), CommandError> {
    if text.trim_ascii().is_empty() {
        return Ok(());
    }
    let Ok(message) = serde_json::from_slice::<Value>(text) else {
        return write(Some(&failure(None, wire::PARSE_ERROR, "the line isn't JSON")));
    };
    if message["method"] == "notifications/cancelled" {
        // HTTP cancels a request by closing it.
        let cancelled = &message["params"]["requestId"];
        open.retain(|one| one.id.is_null() || one.id != *cancelled);
        return Ok(());
    }
    let mut ask = Ask::post("/mcp", &message).within(place.workspace.as_ref());
    for (name, value) in mcp::server::request_headers(&message) {
        ask = ask.header(name, Some(&value));
    }
    let id = message["id"].clone();
    let kept = id.clone();
    let answer = Box::pin(async move {
        match door.exchange(ask).await {
            Ok(body) if body.is_empty() => None,
            Ok(body) => Some(understood(&kept, &body)),
            Err(error) => Some(failure(Some(&kept), wire::INTERNAL_ERROR, &error.to_string())),
        }
        .filter(|answer| !kept.is_null() || answer.is_array())
    });
    open.push(Open { id, answer });
    Ok(())
}

/// HQ's answer, or what it says if it does not answer in the protocol.
fn understood(id: &Value, body: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(body) {
        Ok(answer) if answer.is_array() || answer["jsonrpc"] == "2.0" => answer,
        _ => {
            let text = String::from_utf8_lossy(body);
            let words = words_of(&text).unwrap_or_else(|| "HQ refused the request".to_owned());
            failure(Some(id), wire::INTERNAL_ERROR, &words)
        }
    }
}

fn failure(id: Option<&Value>, code: i64, message: &str) -> Value {
    let mut failure = json!({ "jsonrpc": "2.0", "error": { "code": code, "message": message } });
    if let Some(id) = id {
        failure["id"] = id.clone();
    }
    failure
}

/// The first answer that is there. Waits for ever without open requests.
async fn answered(open: &mut Vec<Open<'_>>) -> Option<Value> {
    std::future::poll_fn(|cx| {
        for at in 0..open.len() {
            if let Poll::Ready(answer) = open[at].answer.as_mut().poll(cx) {
                drop(open.swap_remove(at));
                return Poll::Ready(answer);
            }
        }
        Poll::Pending
    })
    .await
}

enum Line {
    Text(Vec<u8>),
    /// Too long; all of it has been read.
    Long,
    End,
}

async fn line() -> Result<Line, CommandError> {
    let read = tokio::task::spawn_blocking(|| -> std::io::Result<Line> {
        let mut input = std::io::stdin().lock();
        let mut part = |line: &mut Vec<u8>| {
            input.by_ref().take(MAX_LINE + 1).read_until(b'\n', line).map(|_| line.ends_with(b"\n"))
        };
        let mut line = Vec::new();
        let is_whole = part(&mut line)?;
        if !is_whole && line.len() as u64 > MAX_LINE {
            loop {
                let mut rest = Vec::new();
                if part(&mut rest)? || rest.is_empty() {
                    return Ok(Line::Long);
                }
            }
        }
        Ok(if line.is_empty() { Line::End } else { Line::Text(line) })
    });
    let failed = |error: std::io::Error| CommandError::Failed(format!("standard input: {error}"));
    read.await.map_err(|error| CommandError::Failed(error.to_string()))?.map_err(failed)
}

/// Writes a message as one line. JSON escapes line ends.
fn write(message: Option<&Value>) -> Result<(), CommandError> {
    let Some(message) = message else { return Ok(()) };
    let mut out = std::io::stdout().lock();
    let written = writeln!(out, "{message}").and_then(|()| out.flush());
    written.map_err(|error| CommandError::Failed(format!("standard output: {error}")))
}

#[cfg(test)]
mod tests {
    use super::understood;
    use serde_json::json;

    #[test]
    fn a_refusal_outside_the_protocol_becomes_an_error_with_its_words() {
        let id = json!("a");
        let answer = json!({ "jsonrpc": "2.0", "id": "a", "result": {} });
        assert_eq!(understood(&id, answer.to_string().as_bytes()), answer);
        let refused = understood(&id, br#"{"detail":"This token has expired."}"#);
        assert_eq!(refused["id"], "a");
        assert_eq!(refused["error"]["message"], "This token has expired.");
        assert_eq!(understood(&id, b"<html>")["error"]["code"], -32603);
    }
}
