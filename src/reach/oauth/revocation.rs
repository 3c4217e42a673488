//! Withdrawal of tokens at their authorization server: at a sign-out, and after a server was moved or removed.

use app::{Ws, blocking};
use store::StoreError;

use super::flow::write;
use super::model::McpRevocation;
use super::refresh::turn;
use super::tokens::Credentials;
use super::wire::Wire;
use super::{keep, queries, rules, tokens};
use crate::model::McpServer;

/// Withdraws the tokens of a server. Returns what happened, in a sentence.
pub(super) async fn withdraw(ws: &Ws, server: &McpServer) -> String {
    let held = turn(ws, server.id);
    let _held = held.lock().await;
    let name = &server.name;
    let (own, id) = (ws.clone(), server.id);
    let opened = blocking(move || keep::open_any(&own, id), StoreError::Failed).await;
    let opened = match opened.and_then(|opened| opened) {
        Ok(Some(opened)) => opened,
        Ok(None) => return format!("Signed out of {name}."),
        Err(error) => {
            let why = web::form::sentence(&error.to_string());
            return format!("Signed out of {name}. {why}");
        }
    };
    let wire = Wire::opening(ws, &server.open_hosts);
    match tokens::revoke(&wire, &opened.credentials).await {
        Ok(true) => format!("Signed out of {name}. Its tokens are withdrawn and deleted."),
        Ok(false) => unnotified(name),
        Err(fault) => {
            tracing::warn!(%fault, "the tokens of an MCP server of {} can't be withdrawn", ws.slug);
            unnotified(name)
        }
    }
}

fn unnotified(name: &str) -> String {
    format!(
        "Signed out of {name}. Its authorization server couldn’t be notified; withdraw HQ’s access there, too."
    )
}

/// Withdraws the tokens of ended sign-ins, once each and as far as that is possible.
pub(crate) async fn revoke_ended(ws: &Ws) {
    // ok: the next round reads them again.
    let Ok(ended) = ws.read(|snap| queries::revocations(snap)) else { return };
    for McpRevocation { id, secret, open_hosts } in ended {
        let own = ws.clone();
        let opened = blocking(move || keep::credentials(&own, secret), StoreError::Failed).await;
        // ok: the next round tries again.
        let Ok(credentials) = opened.flatten() else { return };
        // It is taken first, so that a request that fails is not repeated for ever.
        if write(ws, move |tx| rules::revoking(tx, id)).await == Some(true)
            && let Some(credentials) = credentials
        {
            revoke_later(ws, credentials, open_hosts);
        }
    }
}

/// Withdraws tokens without waiting for the answer.
pub(super) fn revoke_later(ws: &Ws, credentials: Credentials, open_hosts: Vec<String>) {
    let own = ws.clone();
    ws.spawn("revocation of MCP tokens", async move {
        revoke(&own, &credentials, &open_hosts).await;
    });
}

async fn revoke(ws: &Ws, credentials: &Credentials, open_hosts: &[String]) {
    let wire = Wire::opening(ws, open_hosts);
    if let Err(fault) = tokens::revoke(&wire, credentials).await {
        tracing::warn!(%fault, "the tokens of an MCP server of {} can't be withdrawn", ws.slug);
    }
}
