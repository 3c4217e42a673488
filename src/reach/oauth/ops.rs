//! Operations of sign-ins: sign in, sign out, and the client that people registered by hand.

use app::Ws;
use kernel::{Error, ProblemKind};
use kit::{OpCx, Prepared, Reply};
use serde_json::{Value, json};
use store::WriteTx;
use vault::values::{self, Ends, NewValue};

use super::{flow, revocation, rules};
use crate::model::McpServer;
use crate::ops::{late, reply, wait};

const MAX_CLIENT: usize = 2_000;

pub(crate) fn link_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "message": { "type": "string" },
            "url": { "type": "string" },
            "host": { "type": "string" },
        },
        "required": ["message", "url", "host"],
    })
}

fn lost() -> Error {
    Error::new(ProblemKind::Internal, "internal", "the result was lost")
}

/// A begun sign-in with its workspace.
struct Started(Ws, flow::Begun);

pub(crate) fn sign_in(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let server: McpServer = ws.read(|snap| cx.record(snap))?;
    let begun = wait(flow::begin(ws, &server), late())??;
    Ok(Box::new(Started(ws.clone(), begun)))
}

pub(crate) fn signing_in(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let Ok(started) = prepared.downcast::<Started>() else { return Err(lost()) };
    let Started(ws, begun) = *started;
    let Some(account) = tx.by().account() else {
        let text = "only a person can sign in";
        return Err(Error::new(ProblemKind::Forbidden, "person_required", text));
    };
    rules::bind_client(tx, cx.id()?, &begun.pending.issuer.issuer)?;
    let (url, host) = (begun.url.clone(), begun.host.clone());
    flow::wait_for(&ws, begun, account);
    let message = format!("Open this address in your browser within ten minutes: {url}");
    Ok(Reply::json(&json!({ "message": message, "url": url, "host": host })))
}

pub(crate) fn sign_out(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let server: McpServer = ws.read(|snap| cx.record(snap))?;
    let message = wait(revocation::withdraw(ws, &server), late())?;
    Ok(Box::new(json!({ "message": message })))
}

pub(crate) fn signed_out(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    rules::signed_out(tx, cx.id()?)?;
    reply(cx, tx, prepared)
}

pub(crate) fn seal_client(cx: &OpCx<'_>, ws: &Ws) -> Result<Prepared, Error> {
    let server: McpServer = ws.read(|snap| cx.record(snap))?;
    if !flow::has_sign_in(&server) {
        let text = "Only servers at an address without an Authorization header have a sign-in.";
        return Err(Error::field("client_id", text));
    }
    let (id, secret) = (cx.text("client_id").trim(), cx.text("client_secret").trim());
    for (key, text) in [("client_id", id), ("client_secret", secret)] {
        if MAX_CLIENT < text.len() || text.chars().any(char::is_control) {
            return Err(Error::field(key, "Use at most 2,000 characters on one line."));
        }
    }
    if id.is_empty() && !secret.is_empty() {
        return Err(Error::field("client_id", "Enter the id of this client."));
    }
    let value = match secret {
        "" => None,
        secret => {
            let label = "secret of an OAuth client";
            let sealed = values::seal_watched(&ws.app, label, secret, Some(Ends::Trim));
            Some(sealed.map_err(Error::of)?)
        }
    };
    Ok(Box::new(value))
}

pub(crate) fn set_client(
    cx: &OpCx<'_>,
    tx: &mut WriteTx<'_>,
    prepared: Prepared,
) -> Result<Reply, Error> {
    let value = prepared.downcast::<Option<NewValue>>().map_err(|_| lost())?;
    let server: McpServer = cx.record(tx)?;
    rules::set_client(tx, &server, cx.text("client_id").trim(), *value)?;
    Ok(Reply::record(&server.id))
}
